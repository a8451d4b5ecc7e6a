//! From files on disk to everything a snapshot is made of: the one loader that `serve`, a reload,
//! `check`, `explain` and `geoip` share, so that what checks is what loads.
//!
//! Nothing is taken by halves: an error anywhere gives no [`Loaded`] at all, and every problem of every
//! file is in the report.

use crate::cli::config::Config;
use crate::control::declared_plan;
use crate::exchange::{MemberAnswer, compose_answers};
use crate::geo::{CellMap, Databases};
use crate::masterfile::{Diagnostic, Report, Severity, decode};
use crate::policy::{self, Policies, PolicyFile};
use crate::steering::{Plan, Table};
use crate::units::LatLon;
use crate::wire::Name;
use crate::zone::{self, Zone, ZoneSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

//----------- Loaded ---------------------------------------------------------

/// Everything of one load, checked and compiled, with the plan that holds before anything is measured.
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
    /// Shares by declared capacity.
    pub plan: Arc<Plan>,
    /// Its compiled form.
    pub table: Arc<Table>,
    /// The databases, for people's questions; queries read `cells`.
    pub databases: Databases,
}

/// Reads zones, policies and databases, and says everything that is wrong with them.
pub fn load(config: &Config) -> (Option<Loaded>, Report) {
    let mut report = Report::default();
    let loaded = load_into(config, &mut report);
    report.sort();
    (loaded.filter(|_| !report.has_errors()), report)
}

fn load_into(config: &Config, report: &mut Report) -> Option<Loaded> {
    let databases = open_databases(config, report);
    let (zone_files, policy_files) = match list(&config.zones.dir) {
        Ok(files) => files,
        Err(e) => {
            report.push(
                about(&config.zones.dir, e)
                    .help("`[zones] dir` of floodway.toml names the folder of *.zone and *.policy"),
            );
            return None;
        }
    };
    if zone_files.is_empty() {
        report.push(
            about(&config.zones.dir, "no *.zone file here").help("a zone is one master file, such as example.com.zone"),
        );
    }
    let mut zones: Vec<Zone> = Vec::new();
    for path in &zone_files {
        let Some(zone) = load_zone(path, report) else { continue };
        match zones.iter().any(|z| z.apex() == zone.apex()) {
            true => report.push(
                about(path, format!("{} is in another file here, too", zone.apex()))
                    .help("one zone is one file: remove the copy, or give it another ending than .zone"),
            ),
            false => zones.push(zone),
        }
    }
    let mut zones = ZoneSet::new(zones);
    let files = policy_files.iter().filter_map(|path| {
        let octets = read(path).map_err(|e| report.push(about(path, e))).ok()?;
        Some(PolicyFile::new(path.display().to_string(), decode(octets)))
    });
    let files: Vec<_> = files.collect();
    let policies =
        policy::load(files, &mut |path| read(Path::new(path)), &zones, &missing(&zone_files, &zones), report)?;
    if report.has_errors() {
        return None;
    }
    zones.steer(policies.steers.iter().map(|s| (&s.name, s.group)));
    let databases = databases?;
    let cells = CellMap::compile(&databases, &policies.matches(), &views(&policies));
    let answers = compose_answers(&policies, &zones);
    let plan = declared_plan(&policies, &cells);
    let table = Table::compile(&plan, &policies, &cells.cells, None);
    Some(Loaded {
        zones: Arc::new(zones),
        policies: Arc::new(policies),
        cells: Arc::new(cells),
        answers: Arc::new(answers),
        plan: Arc::new(plan),
        table: Arc::new(table),
        databases,
    })
}

fn load_zone(path: &Path, report: &mut Report) -> Option<Zone> {
    let name = path.display().to_string();
    let octets = read(path).map_err(|e| report.push(about(path, e))).ok()?;
    let origin = zone::load::origin_of(&name).unwrap_or_else(Name::root);
    zone::load::load(&name, decode(octets), &origin, &mut |path| read(Path::new(path)), report)
}

/// The databases alone.
///
/// # Errors
/// The report as text.
pub fn databases(config: &Config) -> Result<Databases, String> {
    let mut report = Report::default();
    open_databases(config, &mut report).ok_or_else(|| report.to_string())
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
fn views(policies: &Policies) -> Vec<Vec<LatLon>> {
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

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| e.to_string())
}

fn about(path: &Path, message: impl Into<String>) -> Diagnostic {
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

/// The zone and policy files of a folder, each sorted by name; hidden files and others are left alone.
fn list(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), String> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(|e| e.to_string())? {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.file_name().is_some_and(|n| !n.to_string_lossy().starts_with('.')) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let of =
        |extension: &str| paths.iter().filter(|p| p.extension().is_some_and(|e| e == extension)).cloned().collect();
    Ok((of("zone"), of("policy")))
}
