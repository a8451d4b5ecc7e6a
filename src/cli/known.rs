//! What the last load knew of its files, so that the next one reads only what has changed.
//!
//! Zones of unchanged files (`seen`) are shared with the load before; a changed one is read again by its outline ([`reread`])
//! where that is enough. Policies are read again if one of their files or any zone changed, since they lean on zones; the map of
//! cells is made again if the databases, or what the policies ask of it, changed.

mod changes;
mod seen;

pub use changes::{Changes, MOST_NAMED};
pub(super) use seen::KEYS;

use crate::cli::config::Config;
use crate::cli::dnssec::sign::KnownSigned;
use crate::cli::load::{about, compile_cells, views};
use crate::exchange::MemberAnswer;
use crate::geo::{CellMap, Match};
use crate::masterfile::{Diagnostic, Report, Severity, decode};
use crate::policy::{self, Policies, PolicyFile};
use crate::transfer::keep::Keep;
use crate::transfer::settings::{Members, Settings};
use crate::units::LatLon;
use crate::wire::Name;
use crate::zone::load::{self, Outline, origin_of, reread};
use crate::zone::{Zone, ZoneSet};
use seen::{Looked, Seen, Stamp, hash, read_and_hash};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Zones with fewer records may lose any number of them unremarked.
const FEW: usize = 10;

//----------- Known ----------------------------------------------------------

/// What is known of the files of the last load that was taken.
#[derive(Default)]
pub struct Known {
    pub(super) zones: HashMap<PathBuf, (Arc<Zone>, KnownFile)>,
    /// Files of zones that a start has left out.
    pub(super) left_out: HashSet<PathBuf>,
    pub(super) policies: Option<KnownPolicies>,
    pub(super) cells: Option<KnownCells>,
    pub(super) answers: Option<Arc<Vec<Vec<MemberAnswer>>>>,
    pub(super) signed: KnownSigned,
    /// What is kept of zones that others have a part in.
    pub(super) keep: Arc<Mutex<Keep>>,
    /// Zones that are served otherwise than their files say, or have none; as they were last.
    pub(super) elsewhere: HashMap<Name, Arc<Zone>>,
    /// Catalogs' zones that are served: by apex, the settings that they have from there.
    pub(super) members: Members,
    /// The configuration of the last load that was taken, and what it says of other servers.
    pub(super) used: Option<Arc<(Config, Settings)>>,
}

/// The file of a zone.
#[derive(Clone, Default)]
pub(super) struct KnownFile {
    file: Seen,
    /// What it includes.
    includes: Vec<(PathBuf, Seen)>,
    outline: Option<Arc<Outline>>,
    /// The warnings it gave.
    told: Arc<Vec<Diagnostic>>,
    /// There is none: the zone comes from another server, or is made here.
    pub(super) is_elsewhere: bool,
}

impl KnownFile {
    /// That of a zone that has none.
    pub(super) fn elsewhere() -> KnownFile {
        KnownFile { is_elsewhere: true, ..KnownFile::default() }
    }
}

/// The policy files.
#[derive(Clone)]
pub(super) struct KnownPolicies {
    pub(super) policies: Arc<Policies>,
    /// The files, and after them what they include.
    files: Vec<(PathBuf, Seen)>,
    told: Vec<Diagnostic>,
}

/// The map of cells, and what it was made of.
pub(super) struct KnownCells {
    pub(super) cells: Arc<CellMap>,
    files: Vec<(PathBuf, Seen)>,
    matches: Vec<Match>,
    views: Vec<Vec<LatLon>>,
}

impl Known {
    /// Signatures that the load has made.
    pub fn n_signatures_made(&self) -> usize {
        self.signed.values().map(|of_zone| of_zone.n_made_since(&KnownSigned::new())).sum()
    }

    /// The zone of a file: the one known if it is unchanged. Its problems go to `report`.
    pub(super) fn zone(
        &self,
        path: &Path,
        report: &mut Report,
        changes: &mut Changes,
    ) -> Option<(Arc<Zone>, KnownFile)> {
        let before = self.zones.get(path);
        let looked = Looked::at(path, before.map(|(_, known)| &known.file));
        if let Some((zone, known)) = before
            && looked.file.is_some()
            && known.includes.iter().all(|(path, seen)| Looked::at(path, Some(seen)).file.is_some())
        {
            report.diagnostics.extend(known.told.iter().cloned());
            return Some((zone.clone(), KnownFile { file: looked.file?, ..known.clone() }));
        }
        let (octets, stamp) = looked.take(path).map_err(|e| report.push(about(path, e))).ok()?;
        changes.n_changed += 1;
        if let Some((zone, known)) = before
            && let Some(again) = known.outline.as_ref().and_then(|outline| reread(&octets, zone, outline))
        {
            changes.n_names += again.n_changed;
            changes.n_changed -= usize::from(again.zone.is_none());
            let zone = match again.zone {
                Some(next) => {
                    changes.name(next.apex(), Some(zone.serial()), Some(next.serial()));
                    warn_of_loss(path, zone, &next, report);
                    Arc::new(next)
                }
                None => zone.clone(),
            };
            // Without an outline the next look at it must find it changed, unless the stamp says otherwise.
            let file = Seen { stamp, hash: None };
            let outline = again.outline.map(Arc::new);
            return Some((zone, KnownFile { file, outline, ..KnownFile::default() }));
        }
        changes.n_whole += 1;
        let name = path.display().to_string();
        let origin = origin_of(&name).unwrap_or_else(Name::root);
        let mut included = Vec::new();
        let mut include = |path: &str| {
            let (octets, seen) = read_and_hash(Path::new(path))?;
            included.push((PathBuf::from(path), seen));
            Ok(octets)
        };
        let hash = hash(&octets);
        let mut own = Report::default();
        let read = load::read(&name, decode(octets), &origin, &mut include, &mut own);
        let told = own.diagnostics.clone();
        report.diagnostics.append(&mut own.diagnostics);
        let read = read?;
        let before = before.map(|(zone, _)| zone).filter(|zone| zone.apex() == read.zone.apex());
        changes.name(read.zone.apex(), before.map(|zone| zone.serial()), Some(read.zone.serial()));
        before.into_iter().for_each(|before| warn_of_loss(path, before, &read.zone, report));
        let (zone, outline) = (Arc::new(read.zone), read.outline.map(Arc::new));
        // What has an outline needs no other hash.
        let file = Seen { stamp, hash: outline.is_none().then_some(hash) };
        Some((zone, KnownFile { file, includes: included, outline, told: told.into(), is_elsewhere: false }))
    }

    /// The policies: those known if no file and no zone changed.
    pub(super) fn policies(
        &self,
        paths: &[PathBuf],
        zones: &ZoneSet,
        missing: &[Name],
        report: &mut Report,
        changes: &mut Changes,
    ) -> Option<KnownPolicies> {
        let same_zones =
            changes.n_changed == 0 && changes.n_elsewhere == 0 && changes.n_gone == 0 && missing.is_empty();
        if let Some(known) = self.policies.as_ref().filter(|_| same_zones)
            && known.files.len() >= paths.len()
            && known.files.iter().zip(paths).all(|((known, _), path)| known == path)
            && known.files.iter().all(|(path, seen)| Looked::at(path, Some(seen)).file.is_some())
        {
            report.diagnostics.extend(known.told.iter().cloned());
            let KnownPolicies { policies, files, told } = known;
            return Some(KnownPolicies { policies: policies.clone(), files: files.clone(), told: told.clone() });
        }
        let mut seen = Vec::new();
        let mut texts = Vec::new();
        for path in paths {
            match read_and_hash(path) {
                Ok((octets, file)) => {
                    seen.push((path.clone(), file));
                    texts.push(PolicyFile::new(path.display().to_string(), decode(octets)));
                }
                Err(e) => report.push(about(path, e)),
            }
        }
        let mut include = |path: &str| {
            let (octets, file) = read_and_hash(Path::new(path))?;
            seen.push((PathBuf::from(path), file));
            Ok(octets)
        };
        let before = report.diagnostics.len();
        let policies = policy::load(texts, &mut include, zones, missing, report)?;
        let told = report.diagnostics[before..].to_vec();
        let known = self.policies.as_ref().map(|known| &known.policies).filter(|known| ***known == policies);
        changes.policies = known.is_none();
        Some(KnownPolicies { policies: known.cloned().unwrap_or_else(|| Arc::new(policies)), files: seen, told })
    }

    /// The map of cells: the one known if databases and policies ask for the same. `None` with an error in `report`.
    pub(super) fn cells(
        &self,
        config: &Config,
        policies: &Policies,
        report: &mut Report,
        changes: &mut Changes,
    ) -> Option<KnownCells> {
        let (matches, views) = (policies.matches(), views(policies));
        if let Some(known) = &self.cells
            && known.matches.iter().eq(matches.iter().copied())
            && known.views == views
            && known.files.iter().all(|(path, seen)| Looked::at(path, Some(seen)).file.is_some())
        {
            let KnownCells { cells, files, .. } = known;
            let matches = known.matches.clone();
            return Some(KnownCells { cells: cells.clone(), files: files.clone(), matches, views });
        }
        changes.cells = true;
        // Looked at before they are read: what changes in between is seen the next time.
        let files = config.geoip.files.iter().map(|path| (path.clone(), Seen { stamp: Stamp::of(path), hash: None }));
        let files = files.collect();
        let cells = Arc::new(compile_cells(config, policies, report)?);
        Some(KnownCells { cells, files, matches: matches.into_iter().cloned().collect(), views })
    }
}

/// Warns of a zone that has lost more than half of its records: the file may have been read while it was being written.
fn warn_of_loss(path: &Path, before: &Zone, after: &Zone, report: &mut Report) {
    let (had, has) = (before.n_records(), after.n_records());
    if had >= FEW && has < had / 2 {
        let help = "if it was read while it was being written, write such files beside their names and rename them";
        let message = format!("{} has {has} records, and had {had}; they are served as they are", after.apex());
        report.push(Diagnostic { severity: Severity::Warning, ..about(path, message).help(help) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::load::Loaded;
    use std::fmt::Write;

    fn big(middle: &str) -> String {
        let mut text = String::from("$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n");
        for i in 0..4000 {
            match i {
                2000 => text += middle,
                _ => writeln!(text, "h{i} A 192.0.2.{}", i % 256).unwrap(),
            }
        }
        text
    }

    /// Loads after each change of the files, and tells what it said it did.
    #[test]
    fn a_load_reads_only_what_changed() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!("[zones]\ndir = {:?}", dir.path()), "floodway.toml").unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let mut known = Known::default();
        let mut load = |said: &str| -> Loaded {
            let (loaded, report, changes) = known.load(&config);
            assert_eq!((report.to_string(), changes.to_string()), (String::new(), said.to_string()));
            loaded.unwrap()
        };
        let small = "$TTL 300\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nams A 192.0.2.2\nfra A 192.0.2.3\nwww A 192.0.2.2\nw3 A 192.0.2.2\n";
        let policy = "ams.pop POP at=52,4 capacity=1k\nfra.pop POP at=50,8 capacity=1k\n\
                      web GROUP\nweb MEMBER ams pop=ams.pop\nweb MEMBER fra pop=fra.pop\nwww STEER web\n";
        write("small.example.zone", small);
        write("big.example.zone", &big("mid A 192.0.2.9\n"));
        write("small.example.policy", policy);
        let first = load("2 of 2 zones changed, 2 loaded whole, policies made anew, the map of cells made anew");

        let again = load("0 of 2 zones changed");
        assert!(Arc::ptr_eq(&first.policies, &again.policies) && Arc::ptr_eq(&first.cells, &again.cells));
        assert!(first.zones.iter().zip(again.zones.iter()).all(|(a, b)| Arc::ptr_eq(a, b)));

        write("big.example.zone", &big("mid A 192.0.2.10\nmid2 A 192.0.2.9\n"));
        let changed = load("1 of 2 zones changed, 2 names");
        assert!(Arc::ptr_eq(&first.policies, &changed.policies) && Arc::ptr_eq(&first.answers, &changed.answers));
        let mid = "mid2.big.example.".parse().unwrap();
        assert!(changed.zones.zone_of(&mid).unwrap().node_of(&mid).is_some());
        let shared =
            |loaded: &Loaded| loaded.zones.iter().filter(|z| first.zones.iter().any(|f| Arc::ptr_eq(f, z))).count();
        assert_eq!(shared(&changed), 1);

        // Other marks in a zone that did not change: a copy of it is marked.
        write("small.example.policy", &policy.replace("www STEER", "w3 STEER"));
        let marked = load("0 of 2 zones changed, policies made anew");
        let marks = |loaded: &Loaded| loaded.zones.iter().flat_map(|z| z.marks().to_vec()).collect::<Vec<_>>();
        assert_eq!(marks(&marked)[0].0.to_string(), "w3.small.example.");
        assert_eq!(marks(&changed)[0].0.to_string(), "www.small.example.");

        std::fs::remove_file(dir.path().join("big.example.zone")).unwrap();
        load("0 of 1 zone changed, 1 gone");
    }

    /// What the log says of zones, and that a file which lost most of its records is told of.
    #[test]
    fn serials_and_losses_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!("[zones]\ndir = {:?}", dir.path()), "floodway.toml").unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let small = "$TTL 300\n@ SOA ns h 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n";
        let mut known = Known::default();
        let mut load = |serials: &str, warning: &str| {
            let (loaded, report, changes) = known.load(&config);
            assert!(loaded.is_some());
            assert_eq!(changes.serials(), serials);
            assert!(report.to_string().contains(warning) && report.to_string().is_empty() == warning.is_empty());
        };
        write("a.test.zone", &big("mid A 192.0.2.9\n"));
        write("b.test.zone", small);
        load("a.test. new at 1, b.test. new at 7", "");
        load("", "");
        write("a.test.zone", &big("mid A 192.0.2.9\n").replace("h 1 2", "h 2 2"));
        write("b.test.zone", &small.replace("2.1", "2.2"));
        load("a.test. 1 -> 2, b.test. at 7 as before", "");
        let whole = big("mid A 192.0.2.9\n");
        let half = &whole[..whole.rfind("h1500 ").unwrap()];
        write("a.test.zone", half);
        std::fs::remove_file(dir.path().join("b.test.zone")).unwrap();
        load("a.test. 2 -> 1, b.test. gone", "a.test. has 1503 records, and had 4003");
        (0..12).for_each(|i| write(&format!("z{i:02}.test.zone"), small));
        let named: Vec<_> = (0..8).map(|i| format!("z{i:02}.test. new at 7")).collect();
        load(&(named.join(", ") + " and 4 more"), "");
    }

    /// A load that is refused changes nothing of what is known.
    #[test]
    fn a_refused_load_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::parse(&format!("[zones]\ndir = {:?}", dir.path()), "floodway.toml").unwrap();
        let path = dir.path().join("big.example.zone");
        let mut known = Known::default();
        for (middle, is_good, said) in [
            (
                "mid A 192.0.2.9\n",
                true,
                "1 of 1 zone changed, 1 loaded whole, policies made anew, the map of cells made anew",
            ),
            ("mid A 192.0.2.300\n", false, "1 of 0 zones changed, 1 loaded whole, 1 gone"),
            ("mid A 192.0.2.9\n", true, "0 of 1 zone changed"),
            ("mid A 192.0.2.10\n", true, "1 of 1 zone changed, 1 name"),
        ] {
            std::fs::write(&path, big(middle)).unwrap();
            let (loaded, _, changes) = known.load(&config);
            assert_eq!((loaded.is_some(), changes.to_string()), (is_good, said.to_string()));
        }
    }
}
