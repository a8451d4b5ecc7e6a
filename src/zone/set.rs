//! Every zone served, found by the longest apex that is a suffix of the question.

use crate::id::{GroupIdx, ZoneIdx};
use crate::wire::{Name, NameBuf};
use crate::zone::history::History;
use crate::zone::signed::Signed;
use crate::zone::store::Zone;
use std::collections::HashMap;
use std::sync::Arc;

//----------- ZoneSet --------------------------------------------------------

/// The zones of one load. Those that a load leaves as they were are shared with the load before.
#[derive(Clone, Debug)]
pub struct ZoneSet {
    /// Those that are loaded, and after them those that could not be, as empty ones.
    zones: Vec<Arc<Zone>>,
    n_loaded: usize,
    /// What makes each a signed one, if it is; empty if none is.
    signed: Vec<Option<Arc<Signed>>>,
    /// Open addressing by apex hash: its high half, and the position in `zones` plus one, 0 if free. At most half
    /// full.
    table: Vec<(u32, u32)>,
    /// The numbers of labels that apexes have, longest first: only those suffixes of a question need a probe.
    label_counts: Vec<u8>,
    /// By apex, what has changed lately.
    histories: HashMap<Name, Arc<History>>,
}

impl Default for ZoneSet {
    fn default() -> ZoneSet {
        ZoneSet::new(Vec::new())
    }
}

impl ZoneSet {
    /// Takes the zones. Of two with one apex the first is served: the loader refuses such sets.
    pub fn new(zones: Vec<Zone>) -> ZoneSet {
        ZoneSet::sharing(zones.into_iter().map(Arc::new).collect())
    }

    /// As [`ZoneSet::new`], of zones that other sets may hold, too.
    pub fn sharing(zones: Vec<Arc<Zone>>) -> ZoneSet {
        ZoneSet::lacking(zones, &[])
    }

    /// As [`ZoneSet::sharing`], of a server that is to serve these apexes, too, and cannot: their names are found in
    /// [`Zone::is_left_out`] zones, and not in whatever zone lies above them.
    pub fn lacking(mut zones: Vec<Arc<Zone>>, left_out: &[Name]) -> ZoneSet {
        let n_loaded = zones.len();
        zones.extend(left_out.iter().map(|apex| Arc::new(Zone::left_out(apex))));
        let size = (zones.len() * 2 + 1).next_power_of_two();
        let mut set = ZoneSet {
            table: vec![(0, 0); size],
            label_counts: Vec::new(),
            zones: Vec::new(),
            n_loaded,
            signed: Vec::new(),
            histories: HashMap::new(),
        };
        let mask = set.table.len() - 1;
        for (i, zone) in zones.iter().enumerate() {
            set.label_counts.push(zone.apex().n_labels() as u8);
            let mut slot = zone.apex_hash() as usize & mask;
            while set.table[slot].1 != 0 {
                slot = (slot + 1) & mask;
            }
            set.table[slot] = ((zone.apex_hash() >> 32) as u32, i as u32 + 1);
        }
        set.label_counts.sort_unstable_by(|a, b| b.cmp(a));
        set.label_counts.dedup();
        set.zones = zones;
        set
    }

    /// The same with what has changed in them lately.
    pub fn with_histories(self, histories: HashMap<Name, Arc<History>>) -> ZoneSet {
        ZoneSet { histories, ..self }
    }

    /// What has changed lately in the zone with this apex, if that is remembered.
    pub fn history(&self, apex: &Name) -> Option<&Arc<History>> {
        self.histories.get(apex)
    }

    /// The same zones, with what makes each of them a signed one, in their order.
    pub fn with_signed(self, signed: Vec<Option<Arc<Signed>>>) -> ZoneSet {
        let some = signed.len() == self.n_loaded && signed.iter().any(Option::is_some);
        ZoneSet { signed: if some { signed } else { Vec::new() }, ..self }
    }

    /// Puts another version of a zone in its place.
    pub fn replace(&mut self, idx: ZoneIdx, zone: Arc<Zone>) {
        debug_assert_eq!(self.zones[idx.idx()].apex(), zone.apex());
        self.zones[idx.idx()] = zone;
    }

    /// What makes a zone a signed one, by its position; `None`: it is not signed.
    #[inline(always)]
    pub fn signed(&self, idx: usize) -> Option<&Arc<Signed>> {
        self.signed.get(idx).and_then(Option::as_ref)
    }

    /// The zone that a question falls into, and the suffix of the name that is its apex.
    #[inline]
    pub fn find(&self, name: &NameBuf) -> Option<(&Zone, usize)> {
        self.find_from(name, 0).map(|(zone, apex)| (&*self.zones[zone], apex))
    }

    /// As [`ZoneSet::find`]; with it, what makes the zone a signed one.
    #[inline(always)]
    pub fn find_signed(&self, name: &NameBuf) -> Option<(&Zone, usize, Option<&Signed>)> {
        self.find_from(name, 0).map(|(zone, apex)| (&*self.zones[zone], apex, self.signed(zone).map(|s| &**s)))
    }

    /// As [`ZoneSet::find_signed`], among the zones whose apex is a proper ancestor of suffix `apex`.
    pub fn find_above(&self, name: &NameBuf, apex: usize) -> Option<(&Zone, usize, Option<&Signed>)> {
        let found = self.find_from(name, apex + 1);
        found.map(|(zone, apex)| (&*self.zones[zone], apex, self.signed(zone).map(|s| &**s)))
    }

    #[inline(always)]
    fn find_from(&self, name: &NameBuf, first: usize) -> Option<(usize, usize)> {
        for &count in &self.label_counts {
            let Some(i) = name.n_labels().checked_sub(usize::from(count)).filter(|i| *i >= first) else { continue };
            if let Some(zone) = self.probe(name.hash_from(i), name.suffix(i)) {
                return Some((zone, i));
            }
        }
        None
    }

    #[inline(always)]
    fn probe(&self, hash: u64, apex: &[u8]) -> Option<usize> {
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while self.table[slot].1 != 0 {
            let (tag, number) = self.table[slot];
            let i = number as usize - 1;
            if tag == (hash >> 32) as u32 && self.zones[i].apex().as_wire() == apex {
                return Some(i);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    /// Marks these names, and no others, as answered by groups, making nodes where there are none; wildcard owners
    /// are taken as such. Names outside every zone are passed over: policy loading refuses them. Marking costs
    /// unmarked names nothing, and a zone that has its marks already stays shared.
    pub fn steer<'n>(&mut self, marks: impl IntoIterator<Item = (&'n Name, GroupIdx)>) {
        let mut of_zone: Vec<Vec<(Name, GroupIdx)>> = vec![Vec::new(); self.zones.len()];
        for (name, group) in marks {
            let buf = NameBuf::from(name);
            let found = self.find(&buf).filter(|(zone, _)| !zone.is_left_out());
            let found = found.and_then(|(zone, _)| self.probe(zone.apex_hash(), zone.apex().as_wire()));
            if let Some(idx) = found {
                of_zone[idx].push((name.clone(), group));
            }
        }
        for (zone, marks) in self.zones.iter_mut().zip(of_zone) {
            if zone.marks() != marks {
                Arc::make_mut(zone).set_marks(marks);
            }
        }
    }

    /// The position of the zone with this apex.
    pub fn position(&self, apex: &Name) -> Option<ZoneIdx> {
        self.probe(apex.suffix_hash(), apex.as_wire()).map(ZoneIdx::from)
    }

    /// The zone at a position, to keep.
    pub fn share(&self, idx: ZoneIdx) -> Arc<Zone> {
        self.zones[idx.idx()].clone()
    }

    /// The zone with this apex.
    pub fn zone(&self, apex: &Name) -> Option<&Zone> {
        self.probe(apex.suffix_hash(), apex.as_wire()).map(|i| &*self.zones[i])
    }

    /// The zone that a name falls into.
    pub fn zone_of(&self, name: &Name) -> Option<&Zone> {
        self.find(&NameBuf::from(name)).map(|(zone, _)| zone)
    }

    /// All zones that are loaded, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Zone>> {
        self.zones[..self.n_loaded].iter()
    }

    /// Number of zones that are loaded.
    pub fn n_zones(&self) -> usize {
        self.n_loaded
    }

    /// Those that could not be loaded, as empty zones.
    pub fn left_out(&self) -> std::slice::Iter<'_, Arc<Zone>> {
        self.zones[self.n_loaded..].iter()
    }

    /// The zone at a position.
    pub fn get(&self, idx: ZoneIdx) -> &Zone {
        &self.zones[idx.idx()]
    }
}
