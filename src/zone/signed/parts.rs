//! Making a [`Signed`]: entries and items, written one behind the other by as many threads as there are.

use crate::zone::signed::{Alternatives, Chain, ENTRY_HEADER, Facts, ITEM_HEADER, Places, Service, Signed};
use crate::zone::store::{Node, word};

/// A part of a [`Signed`] in the making. Places told by it hold within it; [`Parts::join`] lets them hold in the whole.
#[derive(Debug)]
pub struct Parts {
    arena: Vec<u8>,
    /// Node and entry.
    entries: Vec<(u32, u32)>,
    alternatives: Vec<Alternatives>,
    /// See [`Parts::leaves_as`] and [`Parts::answered_as`].
    leaving: Vec<(u32, u32)>,
    compact: Vec<(u32, u32)>,
    /// Where the entry starts that is being written.
    open: Option<usize>,
}

impl Default for Parts {
    fn default() -> Parts {
        // Place 0 means "none".
        Parts {
            arena: vec![0; 4],
            entries: Vec::new(),
            alternatives: Vec::new(),
            leaving: Vec::new(),
            compact: Vec::new(),
            open: None,
        }
    }
}

impl Parts {
    /// Begins the entry of a node; items follow, ascending by type. One entry is written at a time. `members`: of a steered
    /// name, as in [`Parts::alternatives`], which is to follow then.
    pub fn entry(&mut self, node: Node<'_>, members: &[[Vec<u32>; 3]]) {
        self.align();
        // A fan of more could not be counted, and is one that queries do without.
        let members = if members.len() <= usize::from(u16::MAX / 3) { members } else { &[] };
        for windows in members.iter().flatten() {
            let place = if let [place] = windows[..] { place } else { 0 };
            self.arena.extend_from_slice(&place.to_le_bytes());
        }
        let at = self.arena.len();
        self.open = Some(at);
        self.entries.push((node.place(), (at >> 2) as u32));
        self.arena.extend_from_slice(&[0; ENTRY_HEADER]);
        self.arena[at + 2..at + 4].copy_from_slice(&(3 * members.len() as u16).to_le_bytes());
    }

    /// Adds an item to the entry: `n` records where the zone does not have them, and their signatures. Returns its place.
    pub fn item(
        &mut self,
        rtype: u16,
        (n, records): (u16, &[u8]),
        (n_signatures, signatures): (u16, &[u8]),
        digest: u64,
    ) -> u32 {
        if let Some(at) = self.open {
            let n_items = u16::from_le_bytes([self.arena[at], self.arena[at + 1]]) + 1;
            self.arena[at..at + 2].copy_from_slice(&n_items.to_le_bytes());
        }
        self.loose(rtype, (n, records), (n_signatures, signatures), digest)
    }

    /// Says that another item stands for this one where the zone leaves in a transfer.
    pub fn leaves_as(&mut self, item: u32, other: u32) {
        self.leaving.push((item, other));
    }

    /// Says that another item stands for this proof where absence is proven by names themselves (RFC 9824).
    pub fn answered_as(&mut self, item: u32, other: u32) {
        self.compact.push((item, other));
    }

    /// Adds an item that belongs to no entry by itself, and returns its place. Not between [`Parts::entry`] and its items.
    pub fn loose(
        &mut self,
        rtype: u16,
        (n, records): (u16, &[u8]),
        (n_signatures, signatures): (u16, &[u8]),
        digest: u64,
    ) -> u32 {
        self.align();
        let at = self.arena.len();
        let header = [rtype, n, records.len() as u16, n_signatures, signatures.len() as u16, 0];
        header.iter().for_each(|value| self.arena.extend_from_slice(&value.to_le_bytes()));
        self.arena.extend_from_slice(&digest.to_le_bytes());
        debug_assert_eq!(self.arena.len() - at, ITEM_HEADER);
        self.arena.extend_from_slice(records);
        self.arena.extend_from_slice(signatures);
        (at >> 2) as u32
    }

    /// Gives the entry the answers that policies may give at its name: per member the places of its windows of A, of AAAA and
    /// of its alias; of the proofs that there is no A and no AAAA, 0 where there is no other than for any type; and of services.
    pub fn alternatives(&mut self, members: &[[Vec<u32>; 3]], without: [u32; 2], services: Vec<Service>) {
        let Some(at) = self.open else { return };
        let (mut starts, mut windows) = (vec![0], Vec::new());
        for kind in members.iter().flatten() {
            windows.extend_from_slice(kind);
            starts.push(windows.len() as u32);
        }
        self.alternatives.push(Alternatives { starts, windows, without, services });
        let number = self.alternatives.len() as u32;
        self.arena[at + 4..at + 8].copy_from_slice(&number.to_le_bytes());
    }

    /// Says which hash of the chain is that of the entry's name.
    pub fn hashed(&mut self, number: usize) {
        let Some(at) = self.open else { return };
        self.arena[at + 8..at + 12].copy_from_slice(&(number as u32 + 1).to_le_bytes());
    }

    fn align(&mut self) {
        self.arena.resize(self.arena.len().next_multiple_of(4), 0);
    }

    /// Puts the parts together. `chain` makes the chain; it is given where a place within a part lies in the whole.
    pub fn join(all: Vec<Parts>, chain: impl FnOnce(&dyn Fn(usize, u32) -> u32) -> Chain, facts: Facts) -> Signed {
        let len = all.iter().map(|parts| parts.arena.len() + 4).sum();
        let (mut arena, mut entries, mut alternatives) = (Vec::with_capacity(len), Vec::new(), Vec::new());
        let (mut bases, mut leaving, mut compact) = (Vec::with_capacity(all.len()), Vec::new(), Vec::new());
        for parts in all {
            arena.resize(usize::next_multiple_of(arena.len(), 4), 0);
            let (base, first) = ((arena.len() >> 2) as u32, alternatives.len() as u32);
            bases.push(base);
            arena.extend_from_slice(&parts.arena);
            for (node, at) in parts.entries {
                // The number of an entry's alternatives counts on from those of the parts before, and the places of its fan.
                let entry = ((at + base) as usize) << 2;
                count_on(&mut arena, entry + 4, first);
                for i in 1..=word(&arena, entry + 2) {
                    count_on(&mut arena, entry - 4 * i, base);
                }
                entries.push((node, at + base));
            }
            let moved = |place: u32| if place == 0 { 0 } else { place + base };
            leaving.extend(parts.leaving.into_iter().map(|(item, other)| (item + base, other + base)));
            compact.extend(parts.compact.into_iter().map(|(item, other)| (item + base, other + base)));
            alternatives.extend(parts.alternatives.into_iter().map(|a| {
                Alternatives {
                    windows: a.windows.into_iter().map(moved).collect(),
                    without: a.without.map(moved),
                    services: a
                        .services
                        .into_iter()
                        .map(|s| Service { places: s.places.into_iter().map(moved).collect(), ..s })
                        .collect(),
                    ..a
                }
            }));
        }
        let chain = chain(&|part, place| bases.get(part).map_or(0, |base| base + place));
        leaving.sort_unstable();
        compact.sort_unstable();
        let places = Places::of(entries.into_iter());
        Signed { arena, places, chain, alternatives, leaving, compact, online: None, facts }
    }
}

/// Adds to a number in the arena, if it is one: 0 means "none".
fn count_on(arena: &mut [u8], at: usize, by: u32) {
    let number = u32::from_le_bytes([arena[at], arena[at + 1], arena[at + 2], arena[at + 3]]);
    if number > 0 {
        arena[at..at + 4].copy_from_slice(&(number + by).to_le_bytes());
    }
}
