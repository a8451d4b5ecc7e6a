//! Policy files → checked policies, all files of a load at once.

use crate::masterfile::{Entry, Includes, Report, Scanner, Severity, Sources, Span, suggest};
use crate::policy::check::check;
use crate::policy::ground::Land;
use crate::policy::keys::Kind;
use crate::policy::probe;
use crate::policy::record::{Record, Token};
use crate::policy::said::{SaidName, Spot};
use crate::policy::spec::Specs;
use crate::policy::value::Policies;
use crate::wire::{Name, rtype};
use crate::zone::ZoneSet;

//----------- Files ----------------------------------------------------------

/// One policy file.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// The path, as the operator is to see it.
    pub path: String,
    /// What it holds.
    pub text: String,
    /// What relative names are relative to before the first `$ORIGIN`.
    pub origin: Name,
}

impl PolicyFile {
    /// A file whose origin is its own name without `.policy`, as `zones/example.com.policy` has
    /// `example.com.`; the root where that is no name.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> PolicyFile {
        let path = path.into();
        let file = path.rsplit('/').next().unwrap_or_default();
        let origin = file.strip_suffix(".policy").unwrap_or(file).parse().unwrap_or_else(|_| Name::root());
        PolicyFile { path, text: text.into(), origin }
    }

    /// The owners of all records that can be read as such, whatever is wrong with the rest; not of included ones.
    pub fn owners(&self) -> Vec<Name> {
        let (mut sources, mut unheard) = (Sources::default(), Report::default());
        let mut includes = |_: &str| Err("not looked into".to_string());
        let (path, text) = (&self.path, self.text.clone());
        let mut scanner = Scanner::new(&mut sources, &mut includes, path, text, &self.origin, &mut unheard);
        let mut owners = Vec::new();
        while let Some(entry) = scanner.next_entry(&mut unheard) {
            owners.push(entry.owner.clone());
        }
        owners
    }
}

/// Reads and checks all policies of a load, against each other and against the zones that will serve
/// beside them. No file at all is a load without policies.
///
/// `missing`: what zones that could not be loaded are called. Of names that may lie in them nothing is told, so
/// that the fault in the zone file is not buried under what follows from it.
///
/// Everything wrong goes to `report`, warnings included. `None` if any of it is an error.
pub fn load(
    files: Vec<PolicyFile>,
    includes: &mut Includes<'_>,
    zones: &ZoneSet,
    missing: &[Name],
    report: &mut Report,
) -> Option<Policies> {
    let before = report.diagnostics.len();
    let mut specs = Specs::default();
    for file in files {
        scan(file, includes, &mut specs, report);
    }
    for pop in &mut specs.pops {
        probe::read_authorities(&mut pop.probe, includes, report);
    }
    let policies = check(specs, &Land { zones, missing }, report);
    let refused = report.diagnostics[before..].iter().any(|d| d.severity == Severity::Error);
    (!refused).then_some(policies)
}

fn scan(file: PolicyFile, includes: &mut Includes<'_>, specs: &mut Specs, report: &mut Report) {
    let mut sources = Sources::default();
    let mut includes = |path: &str| includes(path);
    let PolicyFile { path, text, origin } = file;
    let (before, mut any) = (report.diagnostics.len(), false);
    let mut scanner = Scanner::new(&mut sources, &mut includes, &path, text, &origin, report);
    while let Some(entry) = scanner.next_entry(report) {
        any = true;
        if let Some(record) = record(&entry, report) {
            specs.add(&record, report);
        }
    }
    if !any && report.diagnostics.len() == before {
        let whole = Spot { file: path.into(), line: 0, column: 0, width: 0, text: "".into() };
        let help = "delete the file if nothing is to be steered: one emptied by mistake would end all steering unseen";
        whole.error(report, "the file holds no records", help);
    }
}

//----------- Entry → record -------------------------------------------------

fn record(entry: &Entry<'_>, report: &mut Report) -> Option<Record> {
    let at = spot(entry, entry.rtype.span);
    let Some(kind) = Kind::ALL.into_iter().find(|k| k.word().eq_ignore_ascii_case(entry.rtype.text)) else {
        at.error(report, format!("\"{}\" is no policy record type", entry.rtype.text), type_help(entry.rtype.text));
        return None;
    };
    if entry.class != rtype::CLASS_IN {
        let help = "policies are of class IN, which need not be written";
        spot(entry, entry.class_span).error(report, "policies have no other class than IN", help);
    }
    if entry.ttl_span != entry.rtype.span {
        let help = "leave it out; `ttl` of the GROUP says how long answers live";
        spot(entry, entry.ttl_span).warn(report, "this TTL changes nothing", help);
    }
    let token = |token: crate::masterfile::Token<'_>| {
        let spot = spot(entry, token.span);
        let spot = if token.quoted { spot.part(1, token.text.chars().count()) } else { spot };
        Token { text: token.text.to_string(), spot }
    };
    Some(Record {
        kind,
        owner: SaidName {
            name: entry.owner.clone(),
            spot: spot(entry, entry.owner_span),
            origin: entry.origin.clone(),
        },
        at,
        tokens: entry.tokens().map(token).collect(),
    })
}

/// A place that outlives the entry.
fn spot(entry: &Entry<'_>, span: Span) -> Spot {
    let place = entry.error(span, "");
    Spot { file: place.file, line: place.line, column: place.column, width: place.width, text: place.text.into() }
}

fn type_help(found: &str) -> String {
    const IN_ZONES: [&str; 12] = ["A", "AAAA", "CNAME", "NS", "SOA", "MX", "TXT", "SRV", "CAA", "PTR", "HTTPS", "SVCB"];
    let upper = found.to_uppercase();
    if IN_ZONES.contains(&upper.as_str()) || upper.starts_with("TYPE") {
        return format!(
            "{upper} records belong in the .zone file; a .policy file holds POP, GROUP, MEMBER, ROUTE, ASSERT and STEER"
        );
    }
    if found.contains('=') {
        return "a record is: owner, type, values; the type is POP, GROUP, MEMBER, ROUTE, ASSERT or STEER".to_string();
    }
    match suggest(found, Kind::ALL.map(Kind::word)) {
        Some(near) => format!("did you mean {near}?"),
        None => "policy record types are POP, GROUP, MEMBER, ROUTE, ASSERT and STEER".to_string(),
    }
}
