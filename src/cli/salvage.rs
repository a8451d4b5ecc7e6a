//! What a start serves of files that are not all good.
//!
//! A reload that finds an error changes nothing, since there is something to go on with. A start has nothing: were it
//! refused for one typing error, the next reboot would end the service of every zone. So what hangs together with
//! the error is left out, and the rest is served. BIND, Knot and NSD do likewise, zone by zone; here policies may
//! join zones, and go with them:
//!
//! 1. a zone whose file is refused is left out, under the name that the file has;
//! 2. the policies are read against the zones that are left. A policy file with an error, also one that leans on what is
//!    gone, is left out;
//! 3. with a policy file go the zones that its name and the owners of its records lie in: names that it steers may have
//!    no records of their own, and to deny them would last longer than to fail. Then again from 2.
//!
//! What is left out is answered with SERVFAIL. Where nothing is left, or where nobody can say what a policy file
//! steers, there is no start.

use crate::cli::known::{Changes, Known, KnownFile, KnownPolicies};
use crate::cli::load::{about, read};
use crate::masterfile::{Report, Severity, decode};
use crate::policy::PolicyFile;
use crate::wire::Name;
use crate::zone::{Zone, ZoneSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A zone with the file it came from.
pub(super) type FromFile = (PathBuf, Arc<Zone>, KnownFile);

/// What hangs together without an error.
pub(super) struct Salvaged {
    pub(super) zones: Vec<FromFile>,
    pub(super) policies: KnownPolicies,
    /// Apexes of the zones that are left out.
    pub(super) left_out: Vec<Name>,
}

/// Chooses what can be served out of `zones`, which are good each by itself. `refused`: files of other zones, and the
/// apexes that they are thought to have. Says in `report` what it leaves out; `None` if there can be no start.
pub(super) fn salvage(
    known: &Known,
    mut zones: Vec<FromFile>,
    refused: Vec<(PathBuf, Name)>,
    mut policy_files: Vec<PathBuf>,
    missing: &[Name],
    report: &mut Report,
) -> Option<Salvaged> {
    let mut left_out = Vec::new();
    for (path, apex) in refused {
        if !zones.iter().any(|(_, zone, _)| *zone.apex() == apex) && !left_out.contains(&apex) {
            say(&path, &apex, "the file has errors", report);
            left_out.push(apex);
        }
    }
    let policies = loop {
        let set = ZoneSet::sharing(zones.iter().map(|(_, zone, _)| zone.clone()).collect());
        let mut found = Report::default();
        if let Some(policies) = known.policies(&policy_files, &set, missing, &mut found, &mut Changes::default()) {
            break policies;
        }
        let is_at_fault = |path: &PathBuf| {
            let name = path.display().to_string();
            found.diagnostics.iter().any(|d| d.severity == Severity::Error && *d.file == *name)
        };
        let (faulty, good): (Vec<_>, Vec<_>) = policy_files.iter().cloned().partition(is_at_fault);
        // What stands in an included file is the fault of any that may include it.
        let faulty = if faulty.is_empty() { std::mem::take(&mut policy_files) } else { faulty };
        policy_files.retain(|path| good.contains(path));
        for path in faulty {
            let owners = owners(&path)?;
            let mut any = owners.iter().any(|owner| left_out.iter().any(|apex| owner.is_within(apex)));
            zones.retain(|(_, zone, _)| {
                let goes = owners
                    .iter()
                    .any(|owner| set.zone_of(owner).is_some_and(|of_owner| of_owner.apex() == zone.apex()));
                if goes {
                    say(&path, zone.apex(), "its policy has errors, or leans on what is left out", report);
                    left_out.push(zone.apex().clone());
                }
                any |= goes;
                !goes
            });
            if !any {
                let what = "nobody can say which zones this file steers, so that none can be served";
                report.push(about(&path, what));
                return None;
            }
        }
    };
    (!zones.is_empty()).then_some(Salvaged { zones, policies, left_out })
}

/// The names that a policy file is about: its own, and those of its records. `None` if it cannot be read.
fn owners(path: &Path) -> Option<Vec<Name>> {
    let file = PolicyFile::new(path.display().to_string(), decode(read(path).ok()?));
    let mut owners = file.owners();
    owners.push(file.origin);
    Some(owners)
}

fn say(path: &Path, apex: &Name, why: &str, report: &mut Report) {
    let help = "mend it and reload; a reload takes everything or nothing";
    report.push(about(path, format!("{apex} is left out and answered with SERVFAIL: {why}")).help(help));
}

#[cfg(test)]
mod tests {
    use crate::cli::config::Config;
    use crate::cli::known::Known;
    use crate::cli::load::{Errors, Loaded, load};
    use std::path::Path;

    const GOOD: &str = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nm A 192.0.2.2\nwww A 192.0.2.2\n";
    const BROKEN: &str = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.300\n";
    const STEERS: &str = "p POP at=52,4 capacity=1k\ng GROUP\ng MEMBER m pop=p\nwww STEER g\n";

    fn start(dir: &Path) -> (Option<Loaded>, Known, Config, String) {
        let config = Config::parse(&format!("[zones]\ndir = {dir:?}"), "floodway.toml").unwrap();
        let mut known = Known::default();
        let (loaded, report, _) = known.load_or(&config, Errors::LeaveOut);
        (loaded, known, config, report.to_string())
    }

    /// What a start serves and leaves out of these files, apexes sorted; empty if it refuses.
    fn check(files: &[(&str, &str)], expected: &str) {
        let dir = tempfile::tempdir().unwrap();
        files.iter().for_each(|(name, text)| std::fs::write(dir.path().join(name), text).unwrap());
        let (loaded, _, config, report) = start(dir.path());
        let found = loaded.map_or(String::new(), |loaded| {
            let names = |zones: std::slice::Iter<'_, _>| {
                let mut names: Vec<_> =
                    zones.map(|z: &std::sync::Arc<crate::zone::Zone>| z.apex().to_string()).collect();
                names.sort();
                names.join(" ")
            };
            let n = loaded.policies.steers.len();
            format!("{} | {} | {n} steered", names(loaded.zones.iter()), names(loaded.zones.left_out()))
        });
        assert_eq!(found, expected, "{report}");
        let is_whole = expected.contains("|  |");
        assert_eq!(load(&config).0.is_some(), is_whole, "who does not start takes all or nothing");
    }

    /// As while a folder of links is put together anew: what cannot be read is not what was taken away.
    #[test]
    fn a_link_that_leads_nowhere_takes_no_zone_away() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.test.zone"), GOOD).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("b.test.zone")).unwrap();
        std::fs::create_dir(dir.path().join("c.test.zone")).unwrap();
        let (loaded, _, config, report) = start(dir.path());
        let left_out: Vec<_> = loaded.unwrap().zones.left_out().map(|zone| zone.apex().to_string()).collect();
        assert_eq!(left_out, ["b.test."], "{report}");
        assert!(report.contains("b.test.zone: error: a link that leads nowhere"), "{report}");
        assert!(load(&config).0.is_none(), "nor does a reload take the rest");
    }

    #[test]
    fn a_start_leaves_out_what_hangs_together_with_errors() {
        check(
            &[("a.test.zone", GOOD), ("b.test.zone", GOOD), ("a.test.policy", STEERS)],
            "a.test. b.test. |  | 1 steered",
        );
        check(
            &[("a.test.zone", GOOD), ("b.test.zone", BROKEN), ("a.test.policy", STEERS)],
            "a.test. | b.test. | 1 steered",
        );
        check(
            &[("a.test.zone", BROKEN), ("b.test.zone", GOOD), ("a.test.policy", STEERS)],
            "b.test. | a.test. | 0 steered",
        );
        check(&[("a.test.zone", BROKEN)], "");
        check(&[("a.test.zone", GOOD), ("sub.a.test.zone", "")], "a.test. | sub.a.test. | 0 steered");
    }

    #[test]
    fn policies_go_with_their_zones_and_zones_with_their_policies() {
        let odd = STEERS.replace("capacity", "capcity");
        check(
            &[("a.test.zone", GOOD), ("b.test.zone", GOOD), ("a.test.policy", &odd)],
            "b.test. | a.test. | 0 steered",
        );
        // A policy of b that gives members of a.
        let leans = "p POP at=52,4 capacity=1k\ng GROUP\ng MEMBER m.a.test. pop=p\nwww STEER g\n";
        let files = [("a.test.zone", BROKEN), ("b.test.zone", GOOD), ("c.test.zone", GOOD), ("b.test.policy", leans)];
        check(&files, "c.test. | a.test. b.test. | 0 steered");
        // Sites that all share.
        let shared = STEERS.replace("p POP at=52,4 capacity=1k\n", "").replace("pop=p", "pop=p.pops.test.");
        let files = |pops| {
            let zones = [("a.test.zone", GOOD), ("b.test.zone", GOOD), ("pops.test.zone", GOOD)];
            [&zones[..], &[("a.test.policy", &shared[..]), ("pops.test.policy", pops)][..]].concat()
        };
        check(&files("p POP at=52,4 capacity=1k\n"), "a.test. b.test. pops.test. |  | 1 steered");
        check(&files("p POP at=520,4 capacity=1k\n"), "b.test. | a.test. pops.test. | 0 steered");
        check(&[("a.test.zone", GOOD), ("who.policy", "knows what\n")], "");
        let files = [("a.test.zone", GOOD), ("b.test.zone", GOOD), ("who.policy", "x.a.test. knows what\n")];
        check(&files, "b.test. | a.test. | 0 steered");
    }

    /// Of two files with one zone, the one that is called like it.
    #[test]
    fn a_copy_of_a_zone_does_not_replace_it() {
        let copy = GOOD.replace("@ SOA ns h 1", "$ORIGIN a.test.\n@ SOA ns h 9");
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.test-old.zone"), copy).unwrap();
        std::fs::write(dir.path().join("a.test.zone"), GOOD).unwrap();
        let loaded = start(dir.path()).0.unwrap();
        assert_eq!(loaded.zones.iter().map(|zone| zone.serial()).collect::<Vec<_>>(), [1]);
        assert_eq!(loaded.zones.left_out().len(), 0);
    }

    /// A mended zone comes with the next reload, and one whose file is taken away goes.
    #[test]
    fn what_was_left_out_comes_back_or_goes() {
        for mended in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("b.test.zone");
            std::fs::write(dir.path().join("a.test.zone"), GOOD).unwrap();
            std::fs::write(&path, BROKEN).unwrap();
            let (_, mut known, config, _) = start(dir.path());
            assert!(known.load(&config).0.is_none());
            if mended {
                std::fs::write(&path, GOOD).unwrap()
            } else {
                std::fs::remove_file(&path).unwrap()
            }
            let (loaded, _, changes) = known.load(&config);
            let loaded = loaded.unwrap();
            assert_eq!((loaded.zones.n_zones(), loaded.zones.left_out().len()), (1 + usize::from(mended), 0));
            assert!(changes.any(), "so that it is published");
        }
    }
}
