//! From files on disk to everything a snapshot is made of: the one loader that `serve`, a reload,
//! `check`, `explain` and `geoip` share, so that what checks is what loads.
//!
//! Nothing is taken by halves: an error anywhere gives no [`Loaded`] at all, and every problem of every
//! file is in the report. Only a start may leave out what hangs together with errors (`cli::salvage`).

use crate::cli::config::Config;
use crate::cli::dnssec::sign;
use crate::cli::elsewhere::Elsewhere;
use crate::cli::known::{Changes, Known};
use crate::cli::peers;
use crate::cli::salvage::{FromFile, salvage};
use crate::control::declared_plan;
use crate::exchange::{MemberAnswer, compose_answers};
use crate::geo::{CellMap, Databases};
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::policy::Policies;
use crate::steering::{Plan, Table};
use crate::transfer::keep::Keep;
use crate::units::LatLon;
use crate::wire::Name;
use crate::zone::{self, ZoneSet};
use std::collections::{HashMap, HashSet};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where journals and copies of zones are, in a state folder.
pub fn kept_in(state: &Path) -> PathBuf {
    state.join("zones")
}

/// What an error in a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errors {
    /// Nothing is loaded: whoever asks has something to go on with, or only wants to know.
    Refuse,
    /// What hangs together with it is left out.
    LeaveOut,
    /// It is told, and the policies stay: no file has changed.
    GoOn,
}

/// What a load is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To be served: what changes is committed.
    Take,
    /// To say what it would be.
    Look,
}

/// The files of a load, and the zones that are good each by itself.
struct Files {
    zones: Vec<FromFile>,
    refused: Vec<(PathBuf, Name)>,
    zone_files: Vec<PathBuf>,
    policy_files: Vec<PathBuf>,
}

//----------- Loaded ---------------------------------------------------------

/// Everything of one load, checked and compiled.
#[derive(Debug)]
pub struct Loaded {
    /// The zones, steered names marked.
    pub zones: Arc<ZoneSet>,
    /// The policies.
    pub policies: Arc<Policies>,
    /// The map from addresses to cells.
    pub cells: Arc<CellMap>,
    /// The member's answers, composed.
    pub answers: Arc<Vec<Vec<MemberAnswer>>>,
}

impl Loaded {
    /// The plan that holds before anything is measured, by declared capacity, and its compiled form.
    pub fn declared(&self) -> (Arc<Plan>, Arc<Table>) {
        let plan = declared_plan(&self.policies, &self.cells);
        let table = Table::compile(&plan, &self.policies, &self.cells.cells, None);
        (Arc::new(plan), Arc::new(table))
    }
}

/// Reads zones, policies and databases, and says everything that is wrong with them.
pub fn load(config: &Config) -> (Option<Loaded>, Report) {
    let keep = Arc::new(Mutex::new(Keep::peek(&kept_in(&config.state.dir))));
    let (loaded, report, _) = Known { keep, ..Known::default() }.load(config);
    (loaded, report)
}

impl Known {
    /// As [`load`], reading only what has changed since the last load that was taken; and says what that was.
    pub fn load(&mut self, config: &Config) -> (Option<Loaded>, Report, Changes) {
        self.load_or(config, Errors::Refuse)
    }

    /// The same, and `errors` says what an error does.
    pub fn load_or(&mut self, config: &Config, errors: Errors) -> (Option<Loaded>, Report, Changes) {
        let (mut report, mut changes) = (Report::default(), Changes::default());
        let next = self.next(config, (errors, Purpose::Take), &mut report, &mut changes);
        report.sort();
        let loaded = next.map(|(loaded, next)| {
            *self = next;
            loaded
        });
        (loaded, report, changes)
    }

    /// Says what [`Known::load`] would, and forgets it.
    pub fn look(&self, config: &Config) -> (bool, Report, Changes) {
        let (mut report, mut changes) = (Report::default(), Changes::default());
        let would_be_taken = self.next(config, (Errors::Refuse, Purpose::Look), &mut report, &mut changes).is_some();
        report.sort();
        (would_be_taken, report, changes)
    }

    /// What is loaded, and what is known of it then.
    fn next(
        &self,
        config: &Config,
        how: (Errors, Purpose),
        report: &mut Report,
        changes: &mut Changes,
    ) -> Option<(Loaded, Known)> {
        let (zone_files, policy_files) = match list(&config.zones.dir) {
            Ok(files) => files,
            Err(e) => {
                let help = "`[zones] dir` of floodway.toml names the folder of *.zone and *.policy";
                report.push(about(&config.zones.dir, e).help(help));
                return None;
            }
        };
        let has_others = config.zone.values().any(|table| !table.primaries.is_empty() || table.catalog.is_some());
        if zone_files.is_empty() && !has_others {
            let help =
                "a zone is one master file, such as example.com.zone, or comes from `primaries` in floodway.toml";
            report.push(about(&config.zones.dir, "no *.zone file here").help(help));
        }
        let (zones, refused) = self.zones_of(&zone_files, report, changes);
        let known: HashSet<&PathBuf> = zones.iter().map(|(path, ..)| path).collect();
        let gone = self.zones.iter().filter(|(path, _)| !known.contains(path));
        gone.for_each(|(_, (zone, _))| changes.gone(zone));
        changes.n_gone += self.left_out.iter().filter(|path| !zone_files.contains(path)).count();
        let files = Files { zones, refused, zone_files, policy_files };
        self.assemble(config, files, how, report, changes)
    }

    /// Puts together anew what comes from other servers and from updates with the files as they were last read.
    pub fn load_elsewhere(&mut self) -> (Option<Loaded>, Report, Changes) {
        let (mut report, mut changes) = (Report::default(), Changes::default());
        let Some(used) = self.used.clone() else { return (None, report, changes) };
        let config = &used.0;
        let zones: Vec<FromFile> = self.zones.iter().map(|(p, (z, f))| (p.clone(), z.clone(), f.clone())).collect();
        let zone_files = self.zones.keys().chain(&self.left_out).cloned().collect();
        let policy_files = list(&config.zones.dir).map_or_else(|_| Vec::new(), |(_, policies)| policies);
        let files = Files { zones, refused: Vec::new(), zone_files, policy_files };
        let next = self.assemble(config, files, (Errors::GoOn, Purpose::Take), &mut report, &mut changes);
        let loaded = next.map(|(loaded, next)| {
            *self = next;
            loaded
        });
        (loaded, report, changes)
    }

    /// From zones, each good by itself, to everything.
    fn assemble(
        &self,
        config: &Config,
        files: Files,
        (errors, purpose): (Errors, Purpose),
        report: &mut Report,
        changes: &mut Changes,
    ) -> Option<(Loaded, Known)> {
        let Files { mut zones, refused, zone_files, policy_files } = files;
        // What is wrong with them is told by the house.
        let settings = peers::read(config, &mut |_, _| {}).settings;
        let Elsewhere { from_files, settled, absent, members, forgotten } =
            self.add_elsewhere(config, &settings, &mut zones, report, changes);
        changes.n_zones = zones.len();
        let set = ZoneSet::sharing(zones.iter().map(|(_, zone, _)| zone.clone()).collect());
        let mut missing = missing(&zone_files, &set);
        missing.extend(absent.iter().cloned());
        let mut policies = self.policies(&policy_files, &set, &missing, report, changes);
        drop(set);
        let mut left_out = absent;
        if report.has_errors() && errors == Errors::GoOn {
            // What others have changed is theirs to say; the policies stay as they are.
            report.diagnostics.iter_mut().for_each(|d| d.severity = Severity::Warning);
            policies = self.policies.clone();
            let origin = |path: &PathBuf| zone::load::origin_of(&path.display().to_string());
            left_out.extend(self.left_out.iter().filter_map(origin));
        } else if report.has_errors() {
            // All that is wrong is told at once.
            open_databases(config, report)?;
            if errors == Errors::Refuse {
                return None;
            }
            let salvaged = salvage(self, zones, refused, policy_files, &left_out, report)?;
            (zones, policies) = (salvaged.zones, Some(salvaged.policies));
            left_out.extend(salvaged.left_out);
            changes.n_zones = zones.len();
        }
        let policies = policies?;
        let cells = self.cells(config, &policies.policies, report, changes)?;
        // Held once, or marking would copy them.
        let (files, zones): (Vec<_>, Vec<_>) = zones.into_iter().map(|(path, zone, file)| ((path, file), zone)).unzip();
        let mut set = ZoneSet::lacking(zones, &left_out);
        let left_out_names = left_out;
        set.steer(policies.policies.steers.iter().map(|s| (&s.name, s.group)));
        let (mut known, mut elsewhere) = (HashMap::with_capacity(files.len()), HashMap::new());
        for ((path, file), zone) in files.into_iter().zip(set.iter()) {
            let of_file = from_files.get(zone.apex());
            if file.is_elsewhere || of_file.is_some() {
                elsewhere.insert(zone.apex().clone(), zone.clone());
            }
            if !file.is_elsewhere {
                known.insert(path, (of_file.unwrap_or(zone).clone(), file));
            }
        }
        let left_out = zone_files.into_iter().filter(|path| !known.contains_key(path)).collect();
        let answers = compose_answers(&policies.policies, &set);
        let answers = match &self.answers {
            Some(known) if **known == answers => known.clone(),
            _ => Arc::new(answers),
        };
        let of_zone = |apex: &Name| members.get(apex).unwrap_or_else(|| settings.of(apex)).clone();
        let request = sign::Request {
            zones: &set,
            policies: &policies.policies,
            answers: &answers,
            config,
            settings: &of_zone,
            keep: &self.keep,
        };
        let before = report.counts().0;
        let done = sign::sign_all(&request, &self.signed, sign::now(), report);
        let mut served = None;
        if report.counts().0 > before {
            if errors == Errors::Refuse {
                return None;
            }
            // Unsigned they would be worse than absent: whoever validates takes them for forgeries.
            let failed = done.failed.clone()?;
            for apex in &failed {
                let what = format!("{apex} is left out and answered with SERVFAIL: it is to be signed, and cannot be");
                report.push(about(&config.dnssec.keys, what));
            }
            let rest = set.iter().filter(|zone| !failed.contains(zone.apex())).cloned().collect();
            served = Some(ZoneSet::lacking(rest, &[left_out_names, failed].concat()));
        }
        changes.n_signed = done.n_changed;
        if purpose == Purpose::Take {
            self.commit((settled, forgotten), &elsewhere, config, report);
            done.commit(&request, report);
        }
        let set = sign::with_signed(served.unwrap_or(set), &done.known).with_histories(self.keep().histories());
        let loaded = Loaded {
            zones: Arc::new(set),
            policies: policies.policies.clone(),
            cells: cells.cells.clone(),
            answers: answers.clone(),
        };
        let (policies, cells, answers) = (Some(policies), Some(cells), Some(answers));
        let (signed, keep, used) = (done.known, self.keep.clone(), Some(Arc::new((config.clone(), settings))));
        let next = Known { zones: known, left_out, policies, cells, answers, signed, keep, elsewhere, members, used };
        Some((loaded, next))
    }

    /// The zones that are good each by itself; and the files of the others, with the apexes that they are thought to
    /// have.
    fn zones_of(
        &self,
        paths: &[PathBuf],
        report: &mut Report,
        changes: &mut Changes,
    ) -> (Vec<FromFile>, Vec<(PathBuf, Name)>) {
        let mut zones: Vec<FromFile> = Vec::with_capacity(paths.len());
        let mut refused = Vec::new();
        let mut at = HashMap::with_capacity(paths.len());
        for path in paths {
            let named = zone::load::origin_of(&path.display().to_string());
            let Some((zone, file)) = self.zone(path, report, changes) else {
                refused.extend(named.filter(|apex| *apex != Name::root()).map(|apex| (path.clone(), apex)));
                continue;
            };
            let Some(first) = at.get(zone.apex()) else {
                at.insert(zone.apex().clone(), zones.len());
                zones.push((path.clone(), zone, file));
                continue;
            };
            let help = "one zone is one file: remove the copy, or give it another ending than .zone";
            report.push(about(path, format!("{} is in another file here, too", zone.apex())).help(help));
            // Where one of the two is to be chosen, it is the one that is called as the zone is.
            if named.as_ref() == Some(zone.apex()) {
                zones[*first] = (path.clone(), zone, file);
            }
        }
        (zones, refused)
    }
}

/// The databases alone.
///
/// # Errors
/// The report as text.
pub fn databases(config: &Config) -> Result<Databases, String> {
    let mut report = Report::default();
    open_databases(config, &mut report).ok_or_else(|| report.to_string())
}

/// Reads and compiles the map; `None` if a database cannot be read.
pub(super) fn compile_cells(config: &Config, policies: &Policies, report: &mut Report) -> Option<CellMap> {
    let databases = open_databases(config, report)?;
    Some(CellMap::compile(&databases, &policies.matches(), &views(policies)))
}

/// What the zones are called that could not be loaded.
fn missing(files: &[PathBuf], zones: &ZoneSet) -> Vec<Name> {
    if files.is_empty() {
        return vec![Name::root()];
    }
    if zones.n_zones() == files.len() {
        return Vec::new();
    }
    let origins =
        files.iter().map(|path| zone::load::origin_of(&path.display().to_string()).unwrap_or_else(Name::root));
    origins.filter(|origin| zones.zone(origin).is_none()).collect()
}

fn open_databases(config: &Config, report: &mut Report) -> Option<Databases> {
    if config.geoip.files.is_empty() {
        return Some(Databases::embedded());
    }
    let mut files = Vec::new();
    for path in &config.geoip.files {
        match read(path) {
            Ok(octets) => files.push((path.display().to_string(), octets)),
            Err(e) => report.push(about(path, e)),
        }
    }
    let opened = Databases::open(files, &config.geoip.paths);
    let errors = opened.as_ref().err().into_iter().flatten();
    errors.for_each(|e| report.push(about(Path::new(&e.name), e.reason.to_string())));
    opened.ok()
}

/// The distinct sets of sites that groups have: the geography that steering must tell apart.
pub(super) fn views(policies: &Policies) -> Vec<Vec<LatLon>> {
    let mut views: Vec<Vec<LatLon>> = Vec::new();
    for group in &policies.groups {
        let mut pops: Vec<_> = group.members.iter().filter_map(|m| m.pop).collect();
        pops.sort();
        pops.dedup();
        let sites = pops.into_iter().map(|pop| policies.pops[pop.idx()].at).collect();
        if !views.contains(&sites) {
            views.push(sites);
        }
    }
    views
}

//----------- Files ----------------------------------------------------------

/// Reads a plain file, through links. A pipe would be waited for and a device would never end, so both are refused.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, String> {
    read_up_to(path, u64::MAX)
}

/// The same of a file of so many octets at most.
pub(super) fn read_up_to(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    // The mode matters for pipes alone: opened so, they are not waited for.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = opened.map_err(|e| match e.kind() {
        ErrorKind::NotFound if path.is_symlink() => "a link that leads nowhere".to_owned(),
        _ => e.to_string(),
    })?;
    let meta = file.metadata().map_err(|e| e.to_string())?;
    match (meta.is_dir(), meta.is_file()) {
        (true, _) => return Err("a folder, and no file".into()),
        (_, false) => return Err("a pipe, socket or device, and no file".into()),
        _ => {}
    }
    if meta.len() > most {
        return Err(format!("{} octets: at most {most}", meta.len()));
    }
    let mut octets = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0));
    // It may grow meanwhile.
    let n = file.take(most.saturating_add(1)).read_to_end(&mut octets).map_err(|e| e.to_string())?;
    if n as u64 > most { Err(format!("more than {most} octets")) } else { Ok(octets) }
}

pub(super) fn about(path: &Path, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        severity: Severity::Error,
        file: path.display().to_string().into(),
        line: 0,
        column: 0,
        width: 0,
        text: String::new(),
        message: message.into(),
        help: None,
    }
}

/// The zone and policy files of a folder, each sorted by name; hidden files, folders and others are left alone. What has such a
/// name and cannot be read, as a link that leads nowhere, is among them: a zone is not to vanish unseen.
fn list(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('.')) && !path.is_dir() {
            paths.push(path);
        }
    }
    paths.sort();
    let of =
        |extension: &str| paths.iter().filter(|p| p.extension().is_some_and(|e| e == extension)).cloned().collect();
    Ok((of("zone"), of("policy")))
}
