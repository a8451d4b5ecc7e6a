//! The scenarios of `tests/scenarios/sim` load as they stand, and one of them runs.
//!
//! Those with a trace read it from a folder beside the project, and are skipped with a message where that is absent.

use floodway::cli::simulate::setting;
use floodway::sim::run::Run;
use floodway::sim::secs::Secs;
use floodway::sim::variant::Variant;
use std::path::Path;

#[test]
fn every_scenario_loads() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/sim");
    let mut n = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        n += 1;
        match setting(&path, None, None) {
            Err(e) if e.contains("No such file") && e.contains("traffic") => eprintln!("skipped: {e}"),
            loaded => assert!(loaded.is_ok(), "{}", loaded.unwrap_err()),
        }
    }
    assert!(n >= 10, "{n} scenarios in {}", dir.display());
}

/// Every request at a POP fails, and it says so: what caches and connections hold is lost, and then nobody is sent there.
/// Shows that breaker, table, caches and connections meet in the simulation as they do live.
#[test]
fn a_failing_pop_costs_what_is_held() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/sim/gray.toml");
    let mut setting = setting(&file, None, None).unwrap();
    setting.scenario.duration = Secs(480.0);
    setting.scenario.resolvers.caches = 100;
    (setting.scenario.fault[0].at, setting.scenario.fault[0].size) = (Secs(60.0), Some(1.0));
    let run = Run::prepare(&setting, &Variant::named("reactive").unwrap());
    let (figures, film) = run.seed(1, Some(60.0), &mut |_| Ok(())).unwrap();
    let ams = film.last().unwrap().pops[0];
    assert!(figures.failed_requests > 0.0 && figures.failed_requests < 0.1 * figures.requests, "{figures:?}");
    assert!(ams[0] < 0.1 && ams[2] < 0.1, "{ams:?}");
}
