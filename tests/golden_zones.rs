//! Faulty zones and what operators are told of them.
//!
//! Each `tests/golden/zones/*.zone` is loaded as the zone `example.com.`, and what is printed must be what stands in the
//! `.expect` file beside it. `FLOODWAY_BLESS=1 cargo test --test golden_zones` rewrites those files: read the difference
//! as the operator would before it is committed.

use std::path::{Path, PathBuf};

use floodway::masterfile::Report;
use floodway::zone::load;

fn told(file: &Path) -> String {
    let dir = file.parent().expect("golden files lie in a directory");
    let name = file.file_name().expect("golden files have names").to_string_lossy();
    let text = std::fs::read_to_string(file).expect("golden files are text");
    let mut includes = |path: &str| std::fs::read(dir.join(path)).map_err(|_| "there is no such file".to_string());
    let mut report = Report::default();
    let origin = "example.com.".parse().expect("this is a name");
    let zone = load::load(&name, text, &origin, &mut includes, &mut report);
    assert_eq!(zone.is_none(), report.has_errors(), "{name}");
    let verdict = match &zone {
        Some(zone) => format!("loads with {} records\n", zone.n_records()),
        None => "is refused\n".into(),
    };
    format!("{report}{verdict}")
}

#[test]
fn operators_are_told_what_is_wrong() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/zones");
    let bless = std::env::var_os("FLOODWAY_BLESS").is_some();
    let files = std::fs::read_dir(&dir).expect("the golden files are there").map(|f| f.expect("readable").path());
    let mut zones: Vec<PathBuf> = files.filter(|f| f.extension().is_some_and(|e| e == "zone")).collect();
    zones.sort();
    let mut wrong = Vec::new();
    for zone in &zones {
        let (expect, told) = (zone.with_extension("expect"), told(zone));
        if bless {
            std::fs::write(&expect, &told).expect("golden files can be written");
        } else if std::fs::read_to_string(&expect).unwrap_or_default() != told {
            wrong.push(format!("--- {}\n{told}", zone.display()));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), zones.len(), wrong.join("\n"));
    assert!(zones.len() >= 35);
}
