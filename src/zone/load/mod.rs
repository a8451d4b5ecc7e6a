//! A master file, checked, becomes a zone.
//!
//! Records stream from the scanner through the checks that need one record only into the zone's
//! [`Builder`]; an index remembers which RRsets stand where, for the checks that need all of them. What a
//! zone may not hold is an error and there is no zone; what the field mends is mended with a warning. Every
//! problem has its place, and all are told at once.

mod check;
mod index;
mod outline;
mod reread;

pub use outline::Outline;
pub use reread::{Reread, reread};

use crate::masterfile::{Diagnostic, Entry, Includes, Report, Scanner, Severity, Sources, Span, Token};
use crate::wire::{Name, rtype};
use crate::zone::rdata;
use crate::zone::store::{Added, Builder, Zone};
use check::Target;
use index::{Index, Put};
use std::ops::Range;

/// Most problems told of one zone. Our choice: nobody reads more, and a wrong `$ORIGIN` makes one a line.
pub const MAX_PROBLEMS: usize = 1000;

/// Longest TTL (RFC 2181 section 8).
const MAX_TTL: u32 = i32::MAX as u32;

/// The origin that a zone file's name stands for: `zones/example.com.zone` is for `example.com.`.
///
/// `None` if the name does not end in `.zone` or the rest is no name.
pub fn origin_of(path: &str) -> Option<Name> {
    path.rsplit('/').next()?.strip_suffix(".zone")?.parse().ok()
}

/// Reads a zone out of its root text.
///
/// `path` is the name that problems are told under, and what relative `$INCLUDE` paths start from. `origin` completes
/// relative names until the text says otherwise; the apex is the owner of the SOA.
///
/// `None` if the text has an error, which is in `report` then. Warnings are there, too: the zone was mended.
pub fn load<'a>(
    path: &str,
    text: impl Into<String>,
    origin: &Name,
    includes: &'a mut Includes<'a>,
    report: &mut Report,
) -> Option<Zone> {
    read(path, text, origin, includes, report).map(|read| read.zone)
}

/// A zone that was read.
pub struct Read {
    /// The zone.
    pub zone: Zone,
    /// What [`reread`] needs to take in a change of the file. Zones that gave a warning have none, since its place may be
    /// another after any change, nor those that include files, nor short ones.
    pub outline: Option<Outline>,
}

/// As [`load`], for a text that may be read again.
pub fn read<'a>(
    path: &str,
    text: impl Into<String>,
    origin: &Name,
    includes: &'a mut Includes<'a>,
    report: &mut Report,
) -> Option<Read> {
    let text = text.into();
    let cuts = if text.len() < outline::MIN_TEXT { Vec::new() } else { outline::cuts(text.as_bytes()) };
    let mut sources = Sources::default();
    let mut own = Report::default();
    let mut loader = Loader { places: (!cuts.is_empty()).then(Places::default), ..Loader::default() };
    let mut scanner = Scanner::new(&mut sources, includes, path, text, origin, &mut own);
    scanner.note_pieces(cuts.clone());
    while let Some(entry) = scanner.next_entry(&mut own) {
        loader.record(&entry, &mut own);
        if own.diagnostics.len() >= 2 * MAX_PROBLEMS {
            loader.untold += cut(&mut own);
        }
    }
    let (pieces, is_alone) = (scanner.pieces().to_vec(), !scanner.has_included());
    let zone = loader.finish(&sources, path, origin, &mut own);
    let places = loader.places.take().filter(|_| is_alone && own.diagnostics.is_empty());
    let outline = places.and_then(|places| {
        Outline::new(sources.text(0).as_bytes(), &cuts, &pieces, places.nodes(&loader.offsets, pieces.len()))
    });
    let untold = loader.untold + cut(&mut own);
    own.sort();
    if untold > 0 {
        own.push(of_file(path, Severity::Warning, format!("{untold} more problems like these are not shown")));
    }
    let refused = own.has_errors();
    report.diagnostics.append(&mut own.diagnostics);
    zone.filter(|_| !refused).map(|zone| Read { zone, outline })
}

/// Drops what is beyond the limit, warnings before errors; how many.
fn cut(report: &mut Report) -> usize {
    let all = report.diagnostics.len();
    if all <= MAX_PROBLEMS {
        return 0;
    }
    let (mut errors, warnings): (Vec<_>, Vec<_>) =
        report.diagnostics.drain(..).partition(|d| d.severity == Severity::Error);
    errors.truncate(MAX_PROBLEMS);
    let room = MAX_PROBLEMS - errors.len();
    errors.extend(warnings.into_iter().take(room));
    report.diagnostics = errors;
    all - report.diagnostics.len()
}

fn of_file(path: &str, severity: Severity, message: String) -> Diagnostic {
    let file = path.into();
    Diagnostic { severity, file, line: 0, column: 0, width: 0, text: String::new(), message, help: None }
}

//----------- Loader ---------------------------------------------------------

/// One load under way.
#[derive(Default)]
struct Loader {
    /// The apex and the zone in the making, once the SOA is seen.
    zone: Option<(Name, Builder)>,
    /// Where the SOA stands.
    soa: Option<Span>,
    /// Records before the SOA.
    early: Vec<Record>,
    index: Index,
    targets: Vec<Target>,
    /// What records get that state no TTL: the SOA's minimum.
    ttl: Option<u32>,
    /// The type of the `$GENERATE` that made a record that was refused: the others of it would be told the same.
    refused: Option<Span>,
    rdata: Vec<u8>,
    untold: usize,
    /// Which names have records in which piece of the text, if that is to be remembered.
    places: Option<Places>,
    /// Where the nodes lie, once the zone is packed.
    offsets: Vec<usize>,
}

/// Numbers of names, as [`Builder::last`] tells them, by piece of the text.
#[derive(Default)]
struct Places {
    piece: usize,
    of_piece: Vec<Vec<Range<u32>>>,
}

impl Places {
    fn put(&mut self, number: u32) {
        if self.of_piece.len() <= self.piece {
            self.of_piece.resize(self.piece + 1, Vec::new());
        }
        let ranges = &mut self.of_piece[self.piece];
        match ranges.last_mut() {
            Some(last) if last.contains(&number) => {}
            // What lies between was made for this name: the names above it.
            Some(last) if number >= last.end && number - last.end < 8 => last.end = number + 1,
            _ => ranges.push(number..number + 1),
        }
    }

    /// The same by place in the arena, over four.
    fn nodes(mut self, offsets: &[usize], n_pieces: usize) -> Vec<Vec<Range<u32>>> {
        self.of_piece.resize(n_pieces, Vec::new());
        let at = |number: u32| offsets.get(number as usize).map_or(0, |at| (at >> 2) as u32);
        let place = |ranges: Vec<Range<u32>>| ranges.into_iter().map(|r| at(r.start)..at(r.end - 1) + 1).collect();
        self.of_piece.into_iter().map(place).collect()
    }
}

/// A record that waits for the SOA.
struct Record {
    owner: Name,
    rtype: u16,
    ttl: u32,
    rdata: Vec<u8>,
    taken: bool,
    span: Span,
    target: Option<Target>,
}

impl Loader {
    /// Takes one record of the file.
    fn record(&mut self, entry: &Entry<'_>, report: &mut Report) {
        if entry.is_generated() && self.refused == Some(entry.rtype.span) {
            return;
        }
        if let Some(places) = &mut self.places {
            places.piece = entry.n_pieces.saturating_sub(1);
        }
        let Some(rtype) = record_type(entry, report) else {
            self.refused = Some(entry.rtype.span);
            return;
        };
        let mut rdata = std::mem::take(&mut self.rdata);
        // A record whose data is refused is an error already; it still counts as being there, so that its
        // absence is not an error, too.
        let mut taken = rdata::scan(rtype, entry, &mut rdata, report);
        if !taken {
            rdata.clear();
            self.refused = Some(entry.rtype.span);
        }
        let ttl = match self.ttl_of(entry, rtype, &rdata, report) {
            Some(ttl) => ttl,
            None => {
                taken = false;
                0
            }
        };
        if entry.owner_span != entry.rtype.span {
            warn_of_owner(entry, report);
        }
        let target = if taken { target_of(entry, rtype, &rdata) } else { None };
        if rtype == rtype::SOA {
            self.start(entry, report);
        }
        match &self.zone {
            None => self.early.push(Record {
                owner: entry.owner.clone(),
                rtype,
                ttl,
                rdata: rdata.clone(),
                taken,
                span: entry.owner_span,
                target,
            }),
            Some(_) => {
                let data = taken.then_some(&rdata[..]);
                self.put(entry.owner, rtype, ttl, data, entry.owner_span, target, entry.sources, report);
            }
        }
        self.rdata = rdata;
    }

    /// The TTL that holds for an entry.
    fn ttl_of(&mut self, entry: &Entry<'_>, rtype: u16, rdata: &[u8], report: &mut Report) -> Option<u32> {
        if let Some(ttl) = entry.ttl {
            if ttl <= MAX_TTL {
                return Some(ttl);
            }
            let message = format!("a TTL of {ttl} seconds is beyond the longest there is, {MAX_TTL}");
            report.push(entry.error(entry.ttl_span, message).help("a day is 1d or 86400"));
            return None;
        }
        if rtype == rtype::SOA
            && self.ttl.is_none()
            && let Some(minimum) = rdata.last_chunk()
        {
            let minimum = u32::from_be_bytes(*minimum).min(MAX_TTL);
            self.ttl = Some(minimum);
            let message = format!("no TTL is stated; records get {minimum}, the minimum of the SOA");
            report.push(entry.warning(entry.rtype.span, message).help("state it above the SOA: $TTL 3600"));
        }
        if self.ttl.is_none() {
            let message = "no TTL is stated, and none before";
            report
                .push(entry.error(entry.rtype.span, message).help("put a default at the head of the file: $TTL 3600"));
            // Once is enough.
            self.ttl = Some(0);
        }
        self.ttl
    }

    /// A SOA: the first makes its owner the apex.
    fn start(&mut self, entry: &Entry<'_>, report: &mut Report) {
        if self.zone.is_some() {
            return;
        }
        self.soa = Some(entry.owner_span);
        self.open(entry.owner, entry.sources, report);
    }

    fn open(&mut self, apex: &Name, sources: &Sources, report: &mut Report) {
        self.zone = Some((apex.clone(), Builder::new(apex)));
        if !self.early.is_empty() {
            // Where those stand is known no more.
            self.places = None;
        }
        for early in std::mem::take(&mut self.early) {
            let Record { owner, rtype, ttl, rdata, taken, span, target } = early;
            self.put(&owner, rtype, ttl, taken.then_some(&rdata), span, target, sources, report);
        }
    }

    /// A record on its way into the zone, whose apex is known. `rdata`: `None` if it was refused.
    #[allow(clippy::too_many_arguments, reason = "a record and its place, from two callers that hold them apart")]
    fn put(
        &mut self,
        owner: &Name,
        rtype: u16,
        ttl: u32,
        rdata: Option<&[u8]>,
        span: Span,
        target: Option<Target>,
        sources: &Sources,
        report: &mut Report,
    ) {
        let Some((apex, builder)) = &mut self.zone else { return };
        if !owner.is_within(apex) {
            let message = format!("{owner} is not within {apex}, so its record is left out");
            report.push(sources.warning(span, message));
            return;
        }
        if rtype == rtype::SOA && owner != apex {
            let message = format!("a second SOA, at {owner}: the apex of this zone is {apex}");
            report.push(
                sources.error(span, message).help("a zone below has a file of its own; here stand its NS records"),
            );
            return;
        }
        match self.index.put(owner.as_wire(), rtype, ttl, rdata.unwrap_or(&[]), span) {
            Put::First => {}
            Put::Repeats(_) if rdata.is_none() => return,
            Put::Repeats(at) => {
                let first = sources.place(self.index.at(at).span);
                let message =
                    format!("this {} record repeats an earlier one, and is kept once", rdata::type_text(rtype));
                report.push(sources.warning(span, message).help(format!("its RRset begins in {first}")));
                return;
            }
            Put::Joins(at) => {
                let seen = self.index.at(at);
                let (first, type_text) = (sources.place(seen.span), rdata::type_text(rtype));
                if matches!(rtype, rtype::SOA | rtype::CNAME | rtype::DNAME) {
                    let message = format!("{owner} has a second {type_text}; there may be one");
                    report.push(sources.error(span, message).help(format!("the first stands in {first}")));
                    return;
                }
                // Signatures are no RRset of their own: each has the TTL of what it covers (RFC 4034 section 3).
                if ttl != seen.ttl && rtype != RRSIG {
                    let least = ttl.min(seen.ttl);
                    let message =
                        format!("the {type_text} records of {owner} have TTLs {} and {ttl}; all get {least}", seen.ttl);
                    report.push(sources.warning(span, message).help(format!("the first stands in {first}")));
                    seen.ttl = least;
                }
            }
        }
        let Some(rdata) = rdata else { return };
        if let Some(mut target) = target {
            target.owner = self.index.find(owner.as_wire()).unwrap_or(0);
            if target.name.is_within(apex) {
                self.targets.push(target);
            }
        }
        if builder.add(owner, rtype, ttl, rdata) == Added::TooLarge {
            report.push(sources.error(span, "the zone is too large to be held"));
        }
        if let Some(places) = &mut self.places {
            places.put(builder.last());
        }
    }

    /// Checks the whole and packs it.
    fn finish(&mut self, sources: &Sources, path: &str, origin: &Name, report: &mut Report) -> Option<Zone> {
        if self.zone.is_none() {
            // Without a SOA the checks go by the origin, to tell what else is wrong.
            let any = !self.early.is_empty();
            self.open(origin, sources, report);
            // A SOA on a line that could not be read has been told of.
            let words = |d: &Diagnostic| d.text.split_whitespace().any(|word| word.eq_ignore_ascii_case("SOA"));
            if !report.diagnostics.iter().any(|d| d.severity == Severity::Error && words(d)) {
                let message = if any { "the zone has no SOA record" } else { "the file holds no records" };
                let help = "a zone begins with: @ SOA ns1 hostmaster 1 3600 900 604800 300";
                report.push(of_file(path, Severity::Error, message.into()).help(help));
            }
        }
        let (apex, builder) = self.zone.take()?;
        let index = std::mem::take(&mut self.index);
        let targets = std::mem::take(&mut self.targets);
        check::whole(&check::Whole { apex: &apex, soa: self.soa, index: &index, targets: &targets, sources }, report);
        if report.has_errors() {
            return None;
        }
        drop(index);
        let (zone, offsets) = builder.finish_with_offsets();
        self.offsets = offsets;
        for (owner, rtype) in zone.oversized() {
            let message = format!("the {} records of {owner} do not fit into any message", rdata::type_text(*rtype));
            report.push(of_file(path, Severity::Error, message));
        }
        Some(zone)
    }
}

/// Signatures (RFC 4034 section 3).
const RRSIG: u16 = 46;

//----------- One record -----------------------------------------------------

/// The type of a record that a zone may hold.
fn record_type(entry: &Entry<'_>, report: &mut Report) -> Option<u16> {
    let token = entry.rtype;
    let Some(rtype) = rdata::parse_type(token.text) else {
        report.push(unknown_type(entry, token));
        return None;
    };
    if entry.class != rtype::CLASS_IN {
        let message = "only class IN is served";
        report.push(entry.error(entry.class_span, message).help("leave the class out, or write IN"));
        return None;
    }
    if rtype == 0 || rdata::formats::META.iter().any(|(code, _)| *code == rtype) {
        let message = format!("{} is for messages, not for data: a zone cannot hold it", rdata::type_text(rtype));
        report.push(entry.error(token.span, message));
        return None;
    }
    Some(rtype)
}

fn unknown_type(entry: &Entry<'_>, token: Token<'_>) -> Diagnostic {
    let problem = rdata::unknown_type(entry, token);
    // `  www A 192.0.2.1`: the name was meant to be the owner, but the line begins with white space.
    let next = entry.token(0).map_or("", |t| t.text);
    let is_head = rdata::parse_type(next).is_some()
        || crate::masterfile::scanner::parse_class(next).is_some()
        || crate::masterfile::parse_ttl(next).is_some() && entry.n_rdata() > 2;
    if entry.owner_span == token.span && is_head {
        let help = format!("if \"{}\" is the owner, it must stand in the first column", token.text);
        return problem.help(help);
    }
    problem
}

fn warn_of_owner(entry: &Entry<'_>, report: &mut Report) {
    // Only a relative name can have its origin twice, and then it is this long.
    let (owner, origin) = (entry.owner.as_wire(), entry.origin.as_wire());
    if owner.len() + 1 < 2 * origin.len() || origin.len() == 1 {
        return;
    }
    let text = entry.sources.text(entry.owner_span.file);
    let from = entry.owner_span.start as usize;
    let text = &text[from..from + entry.owner_span.len as usize];
    if !text.ends_with('.')
        && text != "@"
        && let Some(problem) = rdata::lacks_dot(entry, text, entry.owner_span, owner)
    {
        report.push(problem);
    }
}

/// The host that a record leads to.
fn target_of(entry: &Entry<'_>, rtype: u16, rdata: &[u8]) -> Option<Target> {
    let (field, at) = match rtype {
        rtype::NS | rtype::CNAME | rtype::DNAME => (0, 0),
        rtype::MX => (1, 2),
        rtype::SRV => (3, 6),
        _ => return None,
    };
    let mut wire = rdata.get(at..)?.to_vec();
    wire.make_ascii_lowercase();
    let name = Name::from_wire(&wire).ok()?;
    let span = entry.token(field).map_or(entry.rtype.span, |t| t.span);
    Some(Target { owner: 0, rtype, name, span })
}

#[cfg(test)]
mod tests;
