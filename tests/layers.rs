//! The layer picture of `src/lib.rs`, compared with the imports.
//!
//! Reads every file below `src/`, collects `crate::…` paths outside comments, and fails on one that
//! points up the picture or sideways where the picture has no arrow.

use std::fs;
use std::path::{Path, PathBuf};

/// The rows from the top of the house to its foundations.
const ROWS: &[&[&str]] = &[
    &["cli"],
    &["admin"],
    &["sim"],
    &["transport", "transfer", "control"],
    &["answer", "dnssec", "telemetry", "store", "events", "probe"],
    &["exchange"],
    &["steering"],
    &["zone", "policy"],
    &["wire", "masterfile", "geo", "forecast"],
    &["ahead", "clock", "id", "units"],
];

/// Neighbours on one row that may be imported: who, whom, why.
const BESIDE: &[(&str, &str, &str)] = &[
    ("masterfile", "wire", "owners and RDATA are names"),
    ("geo", "masterfile", "rows of a CSV are reported like lines of a zone"),
    ("events", "store", "moments are read in one place"),
    ("telemetry", "probe", "peers report what their own probes found"),
    ("policy", "zone", "members and fallbacks are RRsets of the zones"),
];

fn row(module: &str) -> usize {
    ROWS.iter().position(|r| r.contains(&module)).unwrap_or_else(|| panic!("module `{module}` is not in the picture"))
}

fn rust_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

/// The modules that one line of code names by `crate::…`, grouped imports included.
fn imports(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or("");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        assert!(!rest.starts_with('{'), "write one `use crate::module::…` per module: {line}");
        found.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
    }
    found
}

#[test]
fn imports_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut files, mut wrong, mut seen) = (Vec::new(), Vec::new(), 0);
    rust_files(&src, &mut files);
    for file in files {
        let relative = file.strip_prefix(&src).unwrap();
        let first = relative.iter().next().unwrap().to_str().unwrap();
        let module = first.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        for (n, line) in fs::read_to_string(&file).unwrap().lines().enumerate() {
            for import in imports(line) {
                seen += 1;
                let beside = || BESIDE.iter().any(|(who, whom, _)| *who == module && *whom == import);
                if import != module && row(&import) <= row(module) && !beside() {
                    wrong.push(format!("src/{}:{}: `{module}` imports `{import}`", relative.display(), n + 1));
                }
            }
        }
    }
    assert!(seen > 20, "found {seen} imports: the reader of imports is broken");
    assert!(wrong.is_empty(), "imports that do not point down:\n{}", wrong.join("\n"));
}

#[test]
fn every_module_is_in_the_picture() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for line in lib.lines() {
        if let Some(module) = line.strip_prefix("pub mod ") {
            row(module.trim_end_matches(';'));
        }
    }
}

#[test]
fn upward_imports_would_be_seen() {
    assert_eq!(imports("use crate::control::State; // crate::nothing"), ["control"]);
    assert_eq!(imports("fn f(x: crate::wire::Name, y: crate::geo::Cell)"), ["wire", "geo"]);
    assert!(row("control") < row("answer") && row("answer") < row("exchange"));
}
