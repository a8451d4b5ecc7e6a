//! One zone, packed for answering.
//!
//! All nodes of a zone lie in one arena of octets, and one open-addressing table of `u32` finds them by the
//! suffix hash of their name. Records are stored as they stand in an answer, so that answering is one probe and
//! one copy:
//!
//! ```text
//! node      flags u8 | name length u8 | n_rrsets u16 | name, relative to the apex, lower case
//!           | group u16 (steered nodes only) | RRsets, ascending by type
//! RRset     type u16 | n u16 | length u16 | n_extra u16 | records | n_extra × u16
//! record    c00c | type | class | TTL | RDLENGTH | RDATA, in network order
//! extra     positions in `records` of pointers to the apex; for NS: their number first, and after them
//!           the glue, four words each: position of the target's name, 1 if below this cut, node (low, high)
//! ```
//!
//! `c00c` points to the question's name. Names within the zone in the RDATA of NS, CNAME, PTR, MX and SOA are
//! stored as labels and a pointer to be filled in with the place of the apex in the message at hand; names in
//! other types are never compressed (RFC 3597 section 4, RFC 6672 section 2.5). Nodes start at multiples of four,
//! and a table entry is the node's offset over four with as many bits of the hash above it as there is room
//! for, so that a probe of an absent name rarely touches the arena.
//!
//! Empty non-terminals are nodes without RRsets. Names below a zone cut or a DNAME are there (they may be
//! glue) but flagged, and a lookup does not find them as data.
//!
//! A [`Builder`] packs a zone as a whole. A `Patch` makes a copy of one with other records at some names:
//! a node that keeps its length is written over, others go to the end. Names that policies steer have a second
//! node behind all others (`store::steered`), so that the zone can be had as its file says it at any time.

mod build;
mod index;
mod node;
mod pack;
mod patch;
mod rrset;
mod serial;
mod steered;
mod survey;

pub use build::{Added, Builder};
pub use node::Node;
pub use rrset::RRset;

pub(crate) use patch::Patch;
pub(crate) use survey::ancestors;

use crate::ahead;
use crate::wire::{Name, NameBuf};
use index::{Index, hash_relative};
use std::fmt;
use steered::Steered;

/// What a node is, besides its records.
pub(crate) mod flag {
    /// NS below the apex: a zone cut.
    pub(crate) const CUT: u8 = 1;
    /// Owns a DNAME.
    pub(crate) const DNAME: u8 = 2;
    /// Has a child `*`.
    pub(crate) const WILDCARD_CHILD: u8 = 4;
    /// Answered by policy.
    pub(crate) const STEERED: u8 = 8;
    /// Lies below a cut or a DNAME: not to be found as data.
    pub(crate) const OCCLUDED: u8 = 16;
    /// Has nothing but NSEC3 and its signatures: no name of the zone (RFC 5155 section 7.2.8).
    pub(crate) const HASH: u8 = 32;
    /// No name leads here: left over from before a patch, or the SOA of negative answers.
    pub(crate) const DEAD: u8 = 128;
}

/// Octets of an RRset's header.
const RRSET_HEADER: usize = 8;
/// Octets of a node's header.
const NODE_HEADER: usize = 4;
/// Octets of a stored record before its RDATA.
pub(crate) const RECORD_HEADER: usize = 12;

#[inline]
pub(crate) fn word(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

//----------- Zone -----------------------------------------------------------

/// A zone that can be answered from. Made by [`Builder`].
#[derive(Clone)]
pub struct Zone {
    apex: Name,
    apex_hash: u64,
    arena: Vec<u8>,
    index: Index,
    /// Where the SOA with the TTL of negative answers is; 0 without SOA.
    negative_at: usize,
    serial: u32,
    n_names: usize,
    n_rrsets: usize,
    n_records: usize,
    /// Nodes that are cuts.
    n_cuts: usize,
    /// Octets of nodes that patches have left behind.
    n_dead: usize,
    oversized: Vec<(Name, u16)>,
    /// Where the nodes end that come of the zone's file; those of steered names follow.
    base_len: usize,
    steered: Steered,
}

impl Zone {
    /// Stands for a zone that this server is to serve and could not load. Has no records.
    pub fn left_out(apex: &Name) -> Zone {
        Builder::new(apex).finish()
    }

    /// Whether there is nothing to answer from, because the zone could not be loaded. One that was has a SOA.
    #[inline]
    pub fn is_left_out(&self) -> bool {
        self.n_records == 0
    }

    /// The apex.
    pub fn apex(&self) -> &Name {
        &self.apex
    }

    /// The suffix hash of the apex.
    pub fn apex_hash(&self) -> u64 {
        self.apex_hash
    }

    /// The SOA's serial; 0 without SOA.
    pub fn serial(&self) -> u32 {
        self.serial
    }

    /// Number of owner names with records, glue included.
    pub fn n_names(&self) -> usize {
        self.n_names
    }

    /// Number of RRsets.
    pub fn n_rrsets(&self) -> usize {
        self.n_rrsets
    }

    /// Number of records.
    pub fn n_records(&self) -> usize {
        self.n_records
    }

    /// RRsets too long for any message: their owner and type. Records that did not fit were left out.
    pub fn oversized(&self) -> &[(Name, u16)] {
        &self.oversized
    }

    /// Octets of memory held.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Zone>() + self.arena.capacity() + self.index.memory_bytes() + self.steered.memory_bytes()
    }

    /// The node of suffix `i` of `name`, with the apex at suffix `apex`; occluded ones too.
    #[inline(always)]
    pub(crate) fn node(&self, name: &NameBuf, i: usize, apex: usize) -> Option<Node<'_>> {
        let relative = &name.as_wire()[name.start(i)..name.start(apex)];
        self.index.find(name.hash_from(i), |at| self.node_at(at).relative_name() == relative).map(|at| self.node_at(at))
    }

    /// Asks for the slot where the search for a hash begins.
    #[inline(always)]
    pub(crate) fn foresee_slot(&self, hash: u64) {
        self.index.foresee(hash);
    }

    /// Asks for the node with this hash, so that [`Zone::lookup`] finds it at hand: its first two cache lines, which hold
    /// most nodes.
    #[inline(always)]
    pub(crate) fn foresee_node(&self, hash: u64) {
        if let Some(at) = self.index.find(hash, |_| true) {
            ahead::fetch(&self.arena, at);
            ahead::fetch(&self.arena, at + 64);
        }
    }

    /// The node `*` below suffix `i` of `name`.
    #[inline]
    pub(crate) fn wildcard_node(&self, name: &NameBuf, i: usize, apex: usize) -> Option<Node<'_>> {
        let parent = &name.as_wire()[name.start(i)..name.start(apex)];
        let hash = crate::wire::name::suffix_hash(name.hash_from(i), b"*");
        self.index
            .find(hash, |at| self.node_at(at).relative_name().strip_prefix(b"\x01*") == Some(parent))
            .map(|at| self.node_at(at))
    }

    /// A copy without marks, with room for `extra` octets of nodes.
    fn clone_for_patch(&self, extra: usize) -> Zone {
        let mut arena = Vec::with_capacity(self.arena.len() + extra);
        arena.extend_from_slice(&self.arena);
        let mut copy = Zone {
            apex: self.apex.clone(),
            arena,
            index: self.index.clone(),
            oversized: Vec::new(),
            steered: self.steered.clone(),
            ..*self
        };
        copy.unmark();
        copy
    }

    /// The node of a relative name with this hash; occluded ones too.
    pub(crate) fn node_by(&self, hash: u64, relative: &[u8]) -> Option<Node<'_>> {
        self.index.find(hash, |at| self.node_at(at).relative_name() == relative).map(|at| self.node_at(at))
    }

    /// The node of a relative name, lower case.
    pub(crate) fn node_by_relative(&self, relative: &[u8]) -> Option<Node<'_>> {
        self.node_at_name(relative)
    }

    /// The node of a relative name.
    pub(crate) fn node_at_name(&self, relative: &[u8]) -> Option<Node<'_>> {
        self.node_by(hash_relative(relative, self.apex_hash), relative)
    }

    /// The node at a place that [`Node::place`] told.
    #[inline(always)]
    pub(crate) fn node_in(&self, place: u32) -> Node<'_> {
        self.node_at((place as usize) << 2)
    }

    #[inline(always)]
    fn node_at(&self, at: usize) -> Node<'_> {
        Node { zone: self, at }
    }

    /// The node at a name of the zone, empty non-terminals and names below cuts included.
    pub fn node_of(&self, name: &Name) -> Option<Node<'_>> {
        if !name.is_within(&self.apex) {
            return None;
        }
        let buf = NameBuf::from(name);
        self.node(&buf, 0, buf.n_labels() - self.apex.labels().count())
    }

    /// An RRset as the zone holds it, glue below cuts included. Takes no part in answering.
    pub fn rrset(&self, name: &Name, rtype: u16) -> Option<RRset<'_>> {
        self.node_of(name)?.rrset(rtype)
    }

    /// The SOA with the TTL for negative answers: the lesser of its own and MINIMUM (RFC 2308 section 5).
    pub(crate) fn negative_soa(&self) -> Option<RRset<'_>> {
        (self.negative_at != 0).then(|| self.rrset_at(self.negative_at).0)
    }

    /// The node at `cursor` or next behind it, which then stands behind that; `None` after the last. From 0 on this gives
    /// every node once, in the order of [`Zone::nodes`].
    pub fn node_after(&self, cursor: &mut usize) -> Option<Node<'_>> {
        let (at, next) = self.index.offset_after(*cursor)?;
        *cursor = next;
        Some(self.node_at(at))
    }

    /// Every node, in no particular order.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.index.offsets().map(|at| self.node_at(at))
    }

    /// Type, number of records, their length, and words after them.
    #[inline(always)]
    fn rrset_header(&self, at: usize) -> [u16; 4] {
        // One load: an array's `map` is a call here, and this is asked of every RRset on the way.
        let h = u64::from_le_bytes(*self.arena[at..].first_chunk::<RRSET_HEADER>().expect("RRsets have a header"));
        [h as u16, (h >> 16) as u16, (h >> 32) as u16, (h >> 48) as u16]
    }

    /// The RRset at an arena offset, and the offset after it.
    #[inline(always)]
    fn rrset_at(&self, at: usize) -> (RRset<'_>, usize) {
        let [rtype, n, len, n_extra] = self.rrset_header(at);
        let (len, n_extra) = (usize::from(len), usize::from(n_extra));
        let start = at + RRSET_HEADER;
        let end = start + len + 2 * n_extra;
        let body = &self.arena[start..end];
        let (records, extra) = body.split_at(len);
        let first: &[u8; RECORD_HEADER] = records.first_chunk().expect("an RRset has a record");
        let ttl = u32::from_be_bytes([first[6], first[7], first[8], first[9]]);
        (RRset { rtype, ttl, n, records, extra, zone: self }, end)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({} serial {}, {} names)", self.apex, self.serial, self.n_names)
    }
}

#[cfg(test)]
mod tests;
