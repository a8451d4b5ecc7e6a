//! What operators are told about policies with something wrong in them.
//!
//! Every `tests/golden/policies/*.policy` is loaded on the zone beside it, and what is reported is
//! compared with its `.expect`. `FLOODWAY_BLESS=1 cargo test --test golden_policies` rewrites those;
//! read what changed as somebody would at 3 a.m.

use floodway::masterfile::{Report, no_includes};
use floodway::policy::{self, PolicyFile};
use floodway::zone::{self, ZoneSet};
use std::fs;
use std::path::{Path, PathBuf};

fn dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/policies")
}

fn read(name: &str) -> String {
    fs::read_to_string(dir().join(name)).expect("a file of this directory")
}

/// A zone by the server's own loader, which has nothing to say about it.
fn zones(path: &str, text: &str) -> ZoneSet {
    let (origin, mut report) = ("example.com.".parse().unwrap(), Report::default());
    let zone = zone::load::load(path, text, &origin, &mut no_includes, &mut report);
    assert!(report.diagnostics.is_empty(), "{report}");
    ZoneSet::new(vec![zone.expect("no errors")])
}

/// What `floodway check` would print for one policy.
fn told(name: &str, zones: &ZoneSet) -> String {
    let mut report = Report::default();
    let file = PolicyFile { path: name.to_string(), text: read(name), origin: "example.com.".parse().unwrap() };
    let mut includes = |path: &str| fs::read(dir().join(path)).map_err(|e| e.kind().to_string());
    let loaded = policy::load(vec![file], &mut includes, zones, &[], &mut report);
    report.sort();
    let (errors, warnings) = report.counts();
    assert_eq!(loaded.is_none(), errors > 0, "{name}: refused exactly with errors");
    let outcome = if loaded.is_some() { "taken" } else { "refused" };
    format!("{report}=> {outcome}: {errors} errors, {warnings} warnings\n")
}

#[test]
fn operators_are_told_what_is_wrong_and_what_would_do() {
    let zones = zones("zone", &read("zone"));
    let bless = std::env::var_os("FLOODWAY_BLESS").is_some();
    let mut names: Vec<String> = fs::read_dir(dir())
        .expect("the directory is there")
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".policy"))
        .collect();
    names.sort();
    assert!(names.len() >= 40, "only {} cases", names.len());
    let mut wrong = Vec::new();
    for name in names {
        let expect = dir().join(name.replace(".policy", ".expect"));
        let told = told(&name, &zones);
        if bless {
            fs::write(&expect, &told).unwrap();
        } else if fs::read_to_string(&expect).ok().as_deref() != Some(&told) {
            wrong.push(format!("--- {name} now says\n{told}"));
        }
    }
    assert!(wrong.is_empty(), "{}\nrun with FLOODWAY_BLESS=1 if this is better", wrong.join("\n"));
}

/// A zone with a fault of its own is fault enough: what it may hold is not held against the policies.
#[test]
fn nothing_is_told_of_names_in_zones_that_are_missing() {
    let zones = zones("zone", &read("zone"));
    let check = |missing: &str, owner: &str, told: bool| {
        let mut report = Report::default();
        let text = format!("{}\n{owner} STEER web\nweb MEMBER m.{owner} pop=ams.pop\n", read("base"));
        let file = PolicyFile::new("zones/example.com.policy", text);
        policy::load(vec![file], &mut no_includes, &zones, &[missing.parse().unwrap()], &mut report);
        assert_eq!(!report.diagnostics.is_empty(), told, "{missing} {owner}: {report}");
    };
    check("example.org.", "www.example.org.", false);
    check("example.org.", "www.example.net.", false);
    check(".", "www.example.net.", false);
    check("lab.example.com.", "www.lab.example.com.", false);
    check("lab.example.com.", "nowhere.example.com.", true);
    check(".", "nowhere.example.com.", true);
}

/// What the README walks through has to be without blemish.
#[test]
fn the_example_policies_load_without_a_word() {
    let example =
        |name: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("zones").join(name)).unwrap();
    let zones = zones("zones/example.com.zone", &example("example.com.zone"));
    let file = PolicyFile::new("zones/example.com.policy", example("example.com.policy"));
    let mut report = Report::default();
    let loaded = policy::load(vec![file], &mut no_includes, &zones, &[], &mut report);
    assert!(report.diagnostics.is_empty(), "{report}");
    let loaded = loaded.expect("no errors");
    assert_eq!((loaded.pops.len(), loaded.groups.len(), loaded.steers.len()), (8, 4, 5));
    let again = vec![PolicyFile::new("printed.policy", policy::print(&loaded))];
    let again = policy::load(again, &mut no_includes, &zones, &[], &mut report).expect("printed policies load");
    assert_eq!(again.pops, loaded.pops);
    assert_eq!(again.steers, loaded.steers);
}
