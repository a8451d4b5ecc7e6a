//! A changed file, read with what is remembered of it.
//!
//! ```text
//! text ── cut and hashed ──▶ kept pieces, new parts
//!         new parts ── scanned ──▶ names they speak of, and names that the pieces gone spoke of
//!         all pieces with records of those names ── loaded ──▶ their records, whole
//!         names whose records are others than the zone's ── patch ──▶ the zone
//!         those, what leads to them and what they lead to ── checks of the whole ──▶ nothing to tell
//! ```
//!
//! The outcome is the zone that [`crate::zone::load::read`] would make, or none: whenever there is anything to tell of
//! the new text, or much of it is new, it is for that to read it. So every diagnostic is made in one place.

use crate::masterfile::scanner::Piece;
use crate::masterfile::{Report, Scanner, Sources, Span, State, no_includes};
use crate::wire::{Name, rtype};
use crate::zone::load::Loader;
use crate::zone::load::check::{self, Target};
use crate::zone::load::index::Index;
use crate::zone::load::outline::{Outline, Part, Scanned};
use crate::zone::store::{Builder, Patch, RRset, Zone};
use std::collections::HashSet;
use std::ops::Range;

/// Most names that are checked again after a change. Our choice: with more, a load of the whole is not much slower.
const MAX_CHECKED: usize = 20_000;

/// A file that was read again.
pub struct Reread {
    /// The zone, without marks of policies; `None` if it is as it was.
    pub zone: Option<Zone>,
    /// What is remembered now.
    pub outline: Option<Outline>,
    /// Names whose records changed.
    pub n_changed: usize,
}

/// Reads the new octets of a file of which `zone` was made, and of which `outline` is remembered.
///
/// `None` if the whole must be loaded: see the module.
pub fn reread(octets: &[u8], zone: &Zone, outline: &Outline) -> Option<Reread> {
    let text = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let comparison = outline.compare(text)?;
    let parts = &comparison.parts;

    let mut names = Names::default();
    let kept: HashSet<usize> =
        parts.iter().filter_map(|p| if let Part::Kept { piece, .. } = p { Some(*piece) } else { None }).collect();
    for (_, known) in outline.pieces().iter().enumerate().filter(|(i, _)| !kept.contains(i)) {
        for nodes in &known.nodes {
            names.put_all(zone.names_between((nodes.start as usize) << 2, (nodes.end as usize) << 2));
        }
    }
    let candidates: Vec<Name> = names.set.iter().cloned().collect();
    for part in parts {
        if let Part::New { text: range, state } = part {
            scan(&text[range.clone()], state, Vec::new(), |entry, _, _| names.put(entry.owner))?;
        }
    }

    let mut places: Vec<u32> = names.set.iter().filter_map(|n| zone.place_of(n)).map(|at| (at >> 2) as u32).collect();
    places.sort_unstable();
    let concerns = |ranges: &[Range<u32>]| {
        ranges.iter().any(|r| places.get(places.partition_point(|at| *at < r.start)).is_some_and(|at| *at < r.end))
    };
    let mut loader = Loader { zone: Some((zone.apex().clone(), Builder::new(zone.apex()))), ..Loader::default() };
    let mut found: Vec<Vec<(Piece, Vec<Name>)>> = Vec::with_capacity(parts.len());
    let mut n_read = 0;
    for part in parts {
        let (state, cuts) = match part {
            Part::New { state, .. } => (state, comparison.cuts_in(part)),
            Part::Kept { piece, .. } if concerns(&outline.pieces()[*piece].nodes) => {
                (&outline.pieces()[*piece].state, vec![0])
            }
            Part::Kept { .. } => {
                found.push(Vec::new());
                continue;
            }
        };
        n_read += part.text().len();
        if n_read > text.len() / 4 {
            return None;
        }
        let mut in_pieces: Vec<Vec<Name>> = Vec::new();
        let pieces = scan(&text[part.text()], state, cuts, |entry, n_pieces, report| {
            if names.set.contains(entry.owner) {
                loader.record(entry, report);
                in_pieces.resize(n_pieces.max(1), Vec::new());
                let here = in_pieces.last_mut().expect("there is one at least");
                if here.last() != Some(entry.owner) {
                    here.push(entry.owner.clone());
                }
            }
        })?;
        in_pieces.resize(pieces.len(), Vec::new());
        found.push(pieces.into_iter().zip(in_pieces).collect());
    }

    let (_, builder) = loader.zone.take()?;
    let patch = Patch::new(builder, zone, &candidates);
    let (mut patched, mut n_changed) = (None, 0);
    if patch.n_names() > 0 {
        let made = patch.apply(zone)?;
        if made.zone.negative_soa().is_none()
            || !made.zone.oversized().is_empty()
            || !is_sound(&made.zone, made.touched)
        {
            return None;
        }
        (patched, n_changed) = (Some(made.zone), made.n_changed);
    }

    let now = patched.as_ref().unwrap_or(zone);
    let in_part = |(part, pieces): (&Part, Vec<(Piece, Vec<Name>)>)| -> Scanned {
        let known: &[Range<u32>] = match part {
            Part::Kept { piece, .. } => &outline.pieces()[*piece].nodes,
            Part::New { .. } => &[],
        };
        pieces.into_iter().map(|(piece, names)| (piece, ranges(&names, now, known))).collect()
    };
    let scanned = parts.iter().zip(found).map(in_part).collect();
    let outline = outline.renewed(text, comparison, scanned);
    Some(Reread { zone: patched, outline, n_changed })
}

/// Names that a change may concern.
#[derive(Default)]
struct Names {
    set: HashSet<Name>,
}

impl Names {
    fn put(&mut self, name: &Name) {
        if !self.set.contains(name) {
            self.set.insert(name.clone());
        }
    }

    fn put_all(&mut self, names: impl Iterator<Item = Name>) {
        self.set.extend(names);
    }
}

/// Scans a part of a file by itself and returns its pieces; `None` if there is anything to tell.
fn scan(
    text: &[u8],
    state: &State,
    cuts: Vec<u32>,
    mut each: impl FnMut(&crate::masterfile::Entry<'_>, usize, &mut Report),
) -> Option<Vec<Piece>> {
    let text = std::str::from_utf8(text).ok()?;
    let (mut sources, mut report, mut includes) = (Sources::default(), Report::default(), no_includes);
    let mut scanner = Scanner::new(&mut sources, &mut includes, "", text, &state.origin, &mut report);
    scanner.resume(state);
    scanner.note_pieces(cuts);
    while let Some(entry) = scanner.next_entry(&mut report) {
        each(&entry, entry.n_pieces, &mut report);
        if !report.diagnostics.is_empty() {
            return None;
        }
    }
    report.diagnostics.is_empty().then(|| scanner.pieces().to_vec())
}

/// The places of names in the arena, as ranges; those that `known` has already are left out.
fn ranges(names: &[Name], zone: &Zone, known: &[Range<u32>]) -> Vec<Range<u32>> {
    let is_new = |at: &u32| !known.iter().any(|range| range.contains(at));
    let places = names.iter().filter_map(|name| zone.place_of(name)).map(|at| (at >> 2) as u32);
    let mut places: Vec<u32> = places.filter(is_new).collect();
    places.sort_unstable();
    places.dedup();
    let mut ranges: Vec<Range<u32>> = Vec::new();
    for at in places {
        match ranges.last_mut() {
            // A range may hold names of other pieces, too: they cost a look, and a range less is a range less.
            Some(last) if at - last.end < 32 => last.end = at + 1,
            _ => ranges.push(at..at + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests;

//----------- Checks ---------------------------------------------------------

/// Whether the checks of a whole zone have nothing to tell of these names. They are made on a zone of those names and of
/// all that the checks look at to judge them.
fn is_sound(zone: &Zone, touched: Vec<Name>) -> bool {
    let mut sources = Sources::default();
    sources.add("", String::new());
    let (mut index, mut targets) = (Index::default(), Vec::new());
    let span = Span::default();
    let mut seen: HashSet<Name> = HashSet::new();
    let mut next = touched;
    next.push(zone.apex().clone());
    while let Some(name) = next.pop() {
        if seen.contains(&name) || !name.is_within(zone.apex()) {
            continue;
        }
        if seen.len() >= MAX_CHECKED {
            return false;
        }
        if let Some(parent) = name.parent() {
            // A wildcard beside it may stand for it.
            next.extend(
                parent.child(b"*").ok().filter(|wildcard| *wildcard != name && zone.node_of(wildcard).is_some()),
            );
            next.push(parent);
        }
        for rrset in zone.node_of(&name).into_iter().flat_map(|node| node.rrsets()) {
            for rdata in rrset.rdatas() {
                index.put(name.as_wire(), rrset.rtype, rrset.ttl, &rdata, span);
            }
            put_targets(zone, &name, &rrset, &mut index, &mut targets);
        }
        next.extend(
            targets
                .iter()
                .rev()
                .take_while(|t: &&Target| index.name(t.owner) == name.as_wire())
                .map(|t| t.name.clone()),
        );
        seen.insert(name);
    }
    let mut report = Report::default();
    let whole =
        check::Whole { apex: zone.apex(), soa: Some(span), index: &index, targets: &targets, sources: &sources };
    check::whole(&whole, &mut report);
    report.diagnostics.is_empty()
}

fn put_targets(zone: &Zone, owner: &Name, rrset: &RRset<'_>, index: &mut Index, targets: &mut Vec<Target>) {
    if !matches!(rrset.rtype, rtype::NS | rtype::CNAME | rtype::DNAME | rtype::MX | rtype::SRV) {
        return;
    }
    let owner = index.find(owner.as_wire()).unwrap_or(0);
    for name in zone.targets(rrset).filter_map(|name| zone.absolute(name)) {
        targets.push(Target { owner, rtype: rrset.rtype, name, span: Span::default() });
    }
}
