//! Other records at some names of a packed zone.
//!
//! What a name's records are is the patch's to say; what follows from them is worked out here: empty non-terminals
//! come and go, wildcards and cuts mark their neighbours, glue is found. The zone that is patched stays as it is and may be
//! answered from meanwhile: the patch is made to a copy.

use crate::wire::{Name, rtype};
use crate::zone::store::build::{Builder, Logged, NONE};
use crate::zone::store::index::{hash_relative, name_at};
use crate::zone::store::node::{node_end, rrset_bounds};
use crate::zone::store::pack::{Packer, duplicates};
use crate::zone::store::survey::{Names, Questions, Survey, ancestors};
use crate::zone::store::{NODE_HEADER, Node, Zone, flag, word};

/// Most names that a patch puts records at, or looks at because of what it changes. Our choice: beyond it, a load of the
/// whole zone is no slower.
const MAX_NAMES: usize = 20_000;

//----------- Patch ----------------------------------------------------------

/// What stands anew at some names of a zone.
pub(crate) struct Patch {
    /// All records of those names.
    builder: Builder,
    /// Numbers of the names, and by number whether it is among them.
    names: Vec<u32>,
    anew: Vec<bool>,
}

/// A patched zone, and what must be looked at again.
pub(crate) struct Patched {
    /// The zone, without marks of policies.
    pub zone: Zone,
    /// Names whose records are others now, or gone.
    pub n_changed: usize,
    /// Every name of which a check may say something else than before.
    pub touched: Vec<Name>,
}

impl Patch {
    /// Takes from `builder` the names whose records are others than in `zone`. It holds all records of every name that
    /// it holds any of; names of `candidates` of which it holds none have none left.
    pub(crate) fn new(mut builder: Builder, zone: &Zone, candidates: &[Name]) -> Patch {
        let gone: Vec<u32> = candidates.iter().filter_map(|name| builder.number_of(name)).collect();
        let mut patch = Patch { anew: vec![false; builder.drafts.len()], builder, names: Vec::new() };
        for number in 0..patch.anew.len() as u32 {
            if patch.holds(number) && !patch.agrees(number, zone) {
                patch.put(number);
            }
        }
        for number in gone {
            let empty = zone.node_at_name(patch.builder.relative(number)).is_none_or(Node::is_empty);
            if !patch.holds(number) && !empty {
                patch.put(number);
            }
        }
        patch
    }

    /// Number of names whose records change.
    pub(crate) fn n_names(&self) -> usize {
        self.names.len()
    }

    fn put(&mut self, number: u32) {
        if !std::mem::replace(&mut self.anew[number as usize], true) {
            self.names.push(number);
        }
    }

    /// Whether a name has records.
    fn holds(&self, number: u32) -> bool {
        self.builder.drafts[number as usize].head != NONE
    }

    fn has_addresses(&self, number: u32) -> bool {
        self.builder.logged(number as usize).any(|r| matches!(r.rtype, rtype::A | rtype::AAAA))
    }

    /// Whether a name's records are those of the zone, in the same order.
    fn agrees(&self, number: u32, zone: &Zone) -> bool {
        let Some(node) = zone.node_at_name(self.builder.relative(number)) else { return false };
        let mut records: Vec<Logged<'_>> = self.builder.logged(number as usize).collect();
        records.sort_by_key(|r| r.rtype);
        let mut old = node.rrsets();
        for rrset in records.chunk_by(|a, b| a.rtype == b.rtype) {
            let Some(old) = old.next() else { return false };
            let ttl = rrset.iter().map(|r| r.ttl).min();
            if old.rtype != rrset[0].rtype || Some(old.ttl) != ttl {
                return false;
            }
            let repeats = duplicates(rrset);
            let new = rrset.iter().enumerate().filter(|(i, _)| repeats.get(*i) != Some(&true)).map(|(_, r)| r.rdata);
            if !old.rdatas().eq_by_octets(new) {
                return false;
            }
        }
        old.next().is_none()
    }

    /// The zone with these records; `None` where a load of the whole is the better way.
    pub(crate) fn apply(mut self, base: &Zone) -> Option<Patched> {
        let n_changed = self.names.len();
        let questions = self.questions(base)?;
        let survey = if questions.is_empty() { Survey::default() } else { base.survey(&questions) };
        let n_found = survey.below.len() + survey.referrers.len();
        if n_changed + n_found > MAX_NAMES || base.n_dead > base.base_len / 8 {
            return None;
        }
        let mut touched = Vec::new();
        for at in survey.referrers.iter().chain(&survey.below) {
            touched.push(base.node_at(*at).name());
        }
        for &number in &self.names {
            let old = base.node_at_name(self.builder.relative(number));
            touched.push(self.name(number)?);
            // Addresses that a name server was here to need may be needed no more.
            for rrset in old.into_iter().filter_map(|node| node.rrset(rtype::NS)) {
                touched.extend(base.targets(&rrset).filter_map(|name| base.absolute(name)));
            }
        }
        for at in &survey.referrers {
            let node = base.node_at(*at);
            if node.flags() & (flag::CUT | flag::OCCLUDED) == flag::CUT {
                self.keep(node)?;
            }
        }
        let zone = Work::new(&self, base, &survey).run()?;
        Some(Patched { zone, n_changed, touched })
    }

    fn name(&self, number: u32) -> Option<Name> {
        Name::from_wire(&[self.builder.relative(number), self.builder.apex.as_wire()].concat()).ok()
    }

    /// Puts the records that a cut has: it is written anew, since its glue may be elsewhere now. `None` if other
    /// cuts may have it as glue in turn.
    fn keep(&mut self, node: Node<'_>) -> Option<()> {
        if node.has_addresses() {
            return None;
        }
        let name = node.name();
        for rrset in node.rrsets() {
            for rdata in rrset.rdatas() {
                self.builder.add(&name, rrset.rtype, rrset.ttl, &rdata);
            }
        }
        let number = self.builder.number_of(&name)?;
        self.anew.resize(self.builder.drafts.len(), false);
        self.put(number);
        Some(())
    }

    /// What must be known of the rest of the zone; `None` if it is too much.
    fn questions(&self, base: &Zone) -> Option<Questions> {
        let mut asked = Questions::default();
        for &number in &self.names {
            let relative = self.builder.relative(number);
            let old = base.node_at_name(relative).filter(|node| !node.is_empty());
            asked.except.insert(relative.into());
            if !self.holds(number) {
                asked.parents.insert(relative.into());
                asked.parents.extend(ancestors(relative).filter(|above| !above.is_empty()).map(Box::from));
            }
            let edge = flag::CUT | flag::DNAME;
            let (was, is) = (old.map_or(0, Node::flags) & edge, self.builder.drafts[number as usize].flags & edge);
            if was != is {
                if relative.is_empty() {
                    return None;
                }
                asked.edges.insert(relative.into());
                asked.named.insert(relative.into());
                asked.above_named.insert(relative.into());
            }
            let (had, has) = (old.is_some_and(Node::has_addresses), self.has_addresses(number));
            // Glue may have to be found anew; and records may lead to what is less now than it was.
            let is_glue = base.n_cuts > 0 && (had || has);
            let cname = |number: u32| self.builder.logged(number as usize).any(|r| r.rtype == rtype::CNAME);
            let class = (old.is_some(), old.is_some_and(|node| node.rrset(rtype::CNAME).is_some()));
            let less = !has && (had || class != (self.holds(number), cname(number)));
            if is_glue || less {
                asked.named.insert(relative.into());
            }
            if let Some(parent) = relative.strip_prefix(b"\x01*")
                && (had != has || less)
            {
                asked.above_named.insert(parent.into());
            }
        }
        Some(asked)
    }
}

/// Comparing stored RDATA with records.
trait EqByOctets {
    fn eq_by_octets<'r>(self, other: impl Iterator<Item = &'r [u8]>) -> bool;
}

impl<T: AsRef<[u8]>, I: Iterator<Item = T>> EqByOctets for I {
    fn eq_by_octets<'r>(mut self, mut other: impl Iterator<Item = &'r [u8]>) -> bool {
        loop {
            match (self.next(), other.next()) {
                (None, None) => return true,
                (Some(a), Some(b)) if a.as_ref() == b => {}
                _ => return false,
            }
        }
    }
}

impl Zone {
    /// A name within the zone.
    pub(crate) fn absolute(&self, relative: &[u8]) -> Option<Name> {
        let mut wire = [relative, self.apex.as_wire()].concat();
        wire.make_ascii_lowercase();
        Name::from_wire(&wire).ok()
    }
}

//----------- Work -----------------------------------------------------------

/// A copy of a zone on which a patch is at work.
struct Work<'p> {
    patch: &'p Patch,
    survey: &'p Survey,
    base: &'p Zone,
    /// The copy: its arena is the packer's.
    zone: Zone,
    packer: Packer<'p>,
    /// Names that came or went, empty non-terminals included.
    moved: Vec<Box<[u8]>>,
}

impl<'p> Work<'p> {
    fn new(patch: &'p Patch, base: &'p Zone, survey: &'p Survey) -> Work<'p> {
        let mut zone = base.clone_for_patch(patch.builder.log.len() + patch.builder.names.len() + 4096);
        let arena = std::mem::take(&mut zone.arena);
        let packer = Packer::new(&patch.builder, Some((base, &patch.anew)), arena);
        Work { patch, survey, base, zone, packer, moved: Vec::new() }
    }

    fn run(mut self) -> Option<Zone> {
        let patch = self.patch;
        let mut names = patch.names.clone();
        // From the apex down, so that a name's ancestors are known.
        names.sort_by_key(|number| ancestors(patch.builder.relative(*number)).count());
        let mut records = Vec::new();
        for &number in &names {
            match patch.holds(number) {
                true => self.write(number, &mut records),
                false => self.erase(patch.builder.relative(number)),
            }
        }
        self.drop_empty(&names);
        self.mark_wildcards();
        self.occlude()?;
        self.packer.fix_glue();
        if patch.anew[0] {
            self.negative_soa();
        }
        if !self.packer.oversized.is_empty() {
            return None;
        }
        let Work { mut zone, packer, .. } = self;
        if patch.anew[0] {
            zone.serial = packer.serial();
        }
        zone.n_names += packer.n_names;
        zone.n_rrsets += packer.n_rrsets;
        zone.n_records += packer.n_records;
        zone.n_cuts += packer.n_cuts;
        zone.arena = packer.arena;
        zone.arena.shrink_to_fit();
        zone.base_len = zone.arena.len();
        Some(zone)
    }

    fn find(&self, relative: &[u8]) -> Option<usize> {
        let arena = &self.packer.arena;
        self.zone.index.find(hash_relative(relative, self.zone.apex_hash), |at| name_at(arena, at) == relative)
    }

    /// Whether a name lies below a cut or a DNAME, as things stand.
    fn is_occluded(&self, relative: &[u8]) -> bool {
        let is_edge = |above| self.find(above).is_some_and(|at| self.packer.arena[at] & (flag::CUT | flag::DNAME) != 0);
        ancestors(relative).any(is_edge)
    }

    /// Octets of a node.
    fn len(&self, at: usize) -> usize {
        node_end(&self.packer.arena, at) - at
    }

    /// Writes a name with its records.
    fn write(&mut self, number: u32, records: &mut Vec<Logged<'p>>) {
        let builder = &self.patch.builder;
        let relative = builder.relative(number);
        let old = self.find(relative);
        if old.is_none() {
            self.moved.push(relative.into());
            for above in ancestors(relative) {
                if self.find(above).is_none() {
                    self.insert_empty(above);
                }
            }
        }
        let mut flags = builder.drafts[number as usize].flags & (flag::CUT | flag::DNAME);
        if self.is_occluded(relative) {
            flags |= flag::OCCLUDED;
        }
        if let Some(old) = old {
            flags |= self.packer.arena[old] & flag::WILDCARD_CHILD;
            self.count_out(old);
        }
        let first_fixup = self.packer.fixups.len();
        let at = self.packer.pack_node(number as usize, flags, records);
        let (hash, apex_hash, len) =
            (builder.hashes[number as usize], self.zone.apex_hash, self.packer.arena.len() - at);
        match old {
            Some(old) if self.len(old) == len => {
                self.packer.arena.copy_within(at.., old);
                self.packer.arena.truncate(at);
                self.packer.offsets[number as usize] = old;
                self.packer.fixups[first_fixup..].iter_mut().for_each(|(place, _)| *place -= at - old);
            }
            Some(old) => {
                self.bury(old);
                self.zone.index.replace(hash, old, at, &self.packer.arena, apex_hash);
            }
            None => self.zone.index.insert(hash, at, &self.packer.arena, apex_hash),
        }
    }

    /// Takes a name's records away. What stands below it keeps it as an empty non-terminal.
    fn erase(&mut self, relative: &[u8]) {
        let Some(old) = self.find(relative) else { return };
        let flags = self.packer.arena[old] & flag::WILDCARD_CHILD;
        self.count_out(old);
        self.remove(relative, old);
        if self.survey.parents.contains(relative) {
            self.insert_empty(relative);
            if let Some(at) = self.find(relative) {
                self.packer.arena[at] |= flags;
            }
        }
    }

    /// Removes the empty non-terminals that nothing stands below any more.
    fn drop_empty(&mut self, names: &[u32]) {
        let patch = self.patch;
        let (gone, there): (Vec<u32>, Vec<u32>) = names.iter().partition(|number| !patch.holds(**number));
        let needed: Names = there.iter().flat_map(|n| ancestors(patch.builder.relative(*n))).map(Box::from).collect();
        for number in gone {
            for above in ancestors(patch.builder.relative(number)).filter(|above| !above.is_empty()) {
                let is_needed = needed.contains(above) || self.survey.parents.contains(above);
                if let Some(at) = self.find(above)
                    && !is_needed
                    && self.packer.arena[at + 2..at + NODE_HEADER] == [0, 0]
                {
                    self.remove(above, at);
                }
            }
        }
    }

    fn mark_wildcards(&mut self) {
        for name in std::mem::take(&mut self.moved) {
            let Some(parent) = name.strip_prefix(b"\x01*") else { continue };
            let there = self.find(&name).is_some();
            if let Some(at) = self.find(parent) {
                let flags = &mut self.packer.arena[at];
                *flags = *flags & !flag::WILDCARD_CHILD | if there { flag::WILDCARD_CHILD } else { 0 };
            }
        }
    }

    /// Flags anew what stands below cuts and DNAMEs that came or went.
    fn occlude(&mut self) -> Option<()> {
        for at in &self.survey.below {
            let relative = self.base.node_at(*at).relative_name();
            let Some(at) = self.find(relative) else { continue };
            let flags = if self.is_occluded(relative) { flag::OCCLUDED } else { 0 };
            if self.packer.arena[at] & flag::OCCLUDED != flags {
                // A cut's glue depends on the flag. It has no business there: whoever loads the whole will say so.
                if self.packer.arena[at] & (flag::CUT | flag::DNAME) != 0 {
                    return None;
                }
                self.packer.arena[at] ^= flag::OCCLUDED;
            }
        }
        Some(())
    }

    fn negative_soa(&mut self) {
        let old = self.zone.negative_at;
        let end = self.packer.arena.len();
        let new = self.packer.pack_negative_soa();
        if old != 0 && new != 0 && self.len(old - NODE_HEADER) == self.packer.arena.len() - end {
            self.packer.arena.copy_within(end.., old - NODE_HEADER);
            self.packer.arena.truncate(end);
            return;
        }
        if old != 0 {
            self.zone.n_dead += self.len(old - NODE_HEADER);
        }
        self.zone.negative_at = new;
    }

    fn insert_empty(&mut self, relative: &[u8]) {
        let at = self.packer.arena.len();
        let flags = if self.is_occluded(relative) { flag::OCCLUDED } else { 0 };
        self.packer.arena.extend_from_slice(&[flags, relative.len() as u8, 0, 0]);
        self.packer.arena.extend_from_slice(relative);
        self.packer.arena.resize(self.packer.arena.len().next_multiple_of(4), 0);
        let hash = hash_relative(relative, self.zone.apex_hash);
        self.zone.index.insert(hash, at, &self.packer.arena, self.zone.apex_hash);
        self.moved.push(relative.into());
    }

    fn remove(&mut self, relative: &[u8], at: usize) {
        let hash = hash_relative(relative, self.zone.apex_hash);
        self.zone.index.remove(hash, at, &self.packer.arena, self.zone.apex_hash);
        self.bury(at);
        self.moved.push(relative.into());
    }

    fn bury(&mut self, at: usize) {
        self.zone.n_dead += self.len(at);
        self.packer.arena[at] |= flag::DEAD;
    }

    /// Takes a node out of the counts.
    fn count_out(&mut self, at: usize) {
        let arena = &self.packer.arena;
        let n_rrsets = word(arena, at + 2);
        let n_records: usize = rrset_bounds(arena, at).take(n_rrsets).map(|header| word(arena, header + 2)).sum();
        self.zone.n_cuts -= usize::from(arena[at] & flag::CUT != 0);
        self.zone.n_names -= usize::from(n_rrsets > 0);
        self.zone.n_rrsets -= n_rrsets;
        self.zone.n_records -= n_records;
    }
}
