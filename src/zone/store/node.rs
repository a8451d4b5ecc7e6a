//! One name of a zone, as it lies in the arena.

use crate::id::GroupIdx;
use crate::wire::{Name, rtype};
use crate::zone::store::rrset::RRset;
use crate::zone::store::{NODE_HEADER, RRSET_HEADER, Zone, flag, word};

//----------- Node -----------------------------------------------------------

/// One name of a zone.
#[derive(Clone, Copy)]
pub struct Node<'z> {
    pub(super) zone: &'z Zone,
    pub(super) at: usize,
}

impl<'z> Node<'z> {
    #[inline(always)]
    pub(crate) fn flags(self) -> u8 {
        self.zone.arena[self.at]
    }

    /// Where it lies: never 0, and known to this very zone alone.
    #[inline(always)]
    pub(crate) fn place(self) -> u32 {
        (self.at >> 2) as u32
    }

    /// The name's labels before the apex, lower case, without the root label.
    #[inline(always)]
    pub(crate) fn relative_name(self) -> &'z [u8] {
        let arena = &self.zone.arena;
        &arena[self.at + NODE_HEADER..self.at + NODE_HEADER + arena[self.at + 1] as usize]
    }

    /// The absolute name.
    pub fn name(self) -> Name {
        let wire = [self.relative_name(), self.zone.apex.as_wire()].concat();
        Name::from_wire(&wire).expect("the builder took it from a Name")
    }

    /// Whether it lies below a zone cut or a DNAME, so that a lookup does not find it as data.
    pub fn is_occluded(self) -> bool {
        self.flags() & flag::OCCLUDED != 0
    }

    /// Whether it is a zone cut: NS below the apex.
    pub fn is_cut(self) -> bool {
        self.flags() & flag::CUT != 0
    }

    /// Whether it is the hash of a name, and no name of the zone (RFC 5155 section 7.2.8).
    pub fn is_hash(self) -> bool {
        self.flags() & flag::HASH != 0
    }

    /// Whether there are no records here.
    pub fn is_empty(self) -> bool {
        self.n_rrsets() == 0
    }

    #[inline(always)]
    pub(super) fn n_rrsets(self) -> usize {
        word(&self.zone.arena, self.at + 2)
    }

    #[inline(always)]
    pub(super) fn rrsets_start(self) -> usize {
        let arena = &self.zone.arena;
        let steered = usize::from(arena[self.at] & flag::STEERED != 0);
        self.at + NODE_HEADER + arena[self.at + 1] as usize + 2 * steered
    }

    /// The group that answers addresses here, at steered nodes.
    #[inline(always)]
    pub fn group(self) -> Option<GroupIdx> {
        if self.flags() & flag::STEERED == 0 {
            return None;
        }
        Some(GroupIdx(word(&self.zone.arena, self.rrsets_start() - 2) as u16))
    }

    /// The RRset of a type.
    #[inline(always)]
    pub fn rrset(self, rtype: u16) -> Option<RRset<'z>> {
        let mut at = self.rrsets_start();
        for _ in 0..self.n_rrsets() {
            let [here, _, len, n_extra] = self.zone.rrset_header(at);
            if here >= rtype {
                return (here == rtype).then(|| self.zone.rrset_at(at).0);
            }
            at += RRSET_HEADER + usize::from(len) + 2 * usize::from(n_extra);
        }
        None
    }

    /// All RRsets, ascending by type.
    pub fn rrsets(self) -> impl Iterator<Item = RRset<'z>> {
        let mut at = self.rrsets_start();
        (0..self.n_rrsets()).map(move |_| {
            let (rrset, next) = self.zone.rrset_at(at);
            at = next;
            rrset
        })
    }

    /// The TTL of a record of one of its RRsets: of a signature that of what it covers, since the signatures of one name are no
    /// RRset (RFC 4034 section 3).
    pub fn ttl_of(self, rrset: &RRset<'_>, rdata: &[u8]) -> u32 {
        let covered = rdata.first_chunk().filter(|_| rrset.rtype == rtype::RRSIG);
        let covered = covered.and_then(|covered| self.rrset(u16::from_be_bytes(*covered)));
        covered.map_or(rrset.ttl, |covered| covered.ttl)
    }

    /// Whether there are addresses here.
    pub(super) fn has_addresses(self) -> bool {
        self.rrset(rtype::A).or_else(|| self.rrset(rtype::AAAA)).is_some()
    }

    /// Where the next node starts.
    pub(super) fn end(self) -> usize {
        node_end(&self.zone.arena, self.at)
    }
}

/// Where the headers of a node's RRsets stand, and last of all where they end.
pub(super) fn rrset_bounds(arena: &[u8], node: usize) -> impl Iterator<Item = usize> {
    let steered = usize::from(arena[node] & flag::STEERED != 0);
    let mut at = node + NODE_HEADER + usize::from(arena[node + 1]) + 2 * steered;
    (0..=word(arena, node + 2)).map(move |i| {
        if i > 0 {
            at += RRSET_HEADER + word(arena, at + 4) + 2 * word(arena, at + 6);
        }
        at
    })
}

/// Where the node after the one at `node` starts.
pub(super) fn node_end(arena: &[u8], node: usize) -> usize {
    rrset_bounds(arena, node).last().map_or(node, |end| end.next_multiple_of(4))
}
