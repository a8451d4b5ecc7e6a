//! Signatures and proofs of absence of a zone, in a packed form of their own beside it.
//!
//! A query without DO never looks here, and a zone is read, patched and steered without knowing whether it is signed.
//! Whoever does look has the zone's node already and finds its entry by the node's place:
//!
//! ```text
//! entry   fan | n_items u16 | n_fan u16 | alternatives u32 | hashed u32 | items, ascending by type
//! item    type u16 | n u16 | length u16 | n_signatures u16 | signatures' length u16 | 0 u16 | digest u64
//!         | records | signatures
//! ```
//!
//! An item has the signatures of one RRset, as they stand in an answer (owner `c00c`), and the records themselves where the
//! zone does not have them: DNSKEY, NSEC and the like. `digest` tells what was signed, so that a signature is kept for as long
//! as that stays the same. `alternatives` and `hashed` are numbers from 1, 0 for none: of the answers that policies may give
//! at a steered name ([`Alternatives`]), and of the name's NSEC3. What nearly all answers at a steered name need of the former
//! stands before the entry, in its fan: `n_fan` places of items, per member that of A, of AAAA and of its alias where there is just
//! one, else 0. So a query finds its signatures three lines of memory from the node's.
//!
//! Made by [`Parts`], which several threads fill, for exactly one zone: places mean nothing in another.

mod chain;
mod leaving;
mod online;
mod parts;

pub use chain::{Chain, HASH_LEN, canonical, sort_key};
pub use leaving::{Changes, Version};
pub use online::{LONGEST, Online, OnlineKey, Signs};
pub use parts::Parts;

use crate::zone::store::{Node, Zone, word};

/// Octets of an entry's and of an item's header.
const ENTRY_HEADER: usize = 12;
const ITEM_HEADER: usize = 20;

//----------- Signed ---------------------------------------------------------

/// What makes a zone a signed one.
#[derive(Debug)]
pub struct Signed {
    arena: Vec<u8>,
    places: Places,
    chain: Chain,
    alternatives: Vec<Alternatives>,
    /// By place of an item, the place of the one that stands for it where the zone leaves; ascending.
    leaving: Vec<(u32, u32)>,
    /// By place of a proof, the place of the one that stands for it in compact denial; ascending.
    compact: Vec<(u32, u32)>,
    /// Who signs what is asked for, in compact denial.
    online: Option<Online>,
    /// What is known of it as a whole.
    pub facts: Facts,
}

/// What is known of a signed zone as a whole. Moments are seconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Signatures there are.
    pub n_signatures: usize,
    /// Those made for this load; the others were kept from the one before.
    pub n_made: usize,
    /// When any of them was made last; 0 for a zone that was signed elsewhere.
    pub signed_at: u32,
    /// When the first of them ends.
    pub earliest_end: u32,
    /// When the zone should be signed again: some end soon, or a key changes its state. `None`: never, since it was signed
    /// elsewhere.
    pub renew_at: Option<u32>,
}

impl Signed {
    /// Whether signatures and proofs are made here; otherwise the zone's own records have them.
    pub fn is_made_here(&self) -> bool {
        self.facts.renew_at.is_some()
    }

    /// What the chain of names or hashes tells.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The entry of a node.
    #[inline]
    pub fn entry(&self, node: Node<'_>) -> Option<Entry<'_>> {
        self.places.find(node.place()).map(|at| Entry { signed: self, at: (at as usize) << 2 })
    }

    /// The item at a place that [`Alternatives`] or [`Chain`] told.
    #[inline]
    pub fn item_at(&self, place: u32) -> Item<'_> {
        self.item((place as usize) << 2).0
    }

    /// The item of a hash of the chain, as it leaves in a transfer.
    pub fn leaving_hash(&self, number: usize) -> Option<Item<'_>> {
        self.chain.hashed(number).map(|(_, place)| self.item_at(self.leaves_as(place)))
    }

    /// The places of items that stand for others.
    pub fn stand_ins(&self) -> impl Iterator<Item = u32> {
        self.leaving.iter().chain(&self.compact).map(|(_, other)| *other)
    }

    /// The same, with proofs of absence that are signed when they are asked for (RFC 9824).
    pub fn with_online(self, online: Online) -> Signed {
        Signed { online: Some(online), ..self }
    }

    /// Who signs proofs that are asked for; `None`: the chain proves absence.
    #[inline]
    pub fn online(&self) -> Option<&Online> {
        self.online.as_ref()
    }

    /// The proof that is answered in place of the one at a place.
    pub fn answered(&self, place: u32) -> Item<'_> {
        let other = self.compact.binary_search_by_key(&place, |(item, _)| *item);
        self.item_at(other.map_or(place, |at| self.compact[at].1))
    }

    fn leaves_as(&self, place: u32) -> u32 {
        self.leaving.binary_search_by_key(&place, |(item, _)| *item).map_or(place, |at| self.leaving[at].1)
    }

    /// Puts other signatures of an RRset in the place of those there are; whether they are as long.
    pub fn replace_signatures(&mut self, node: Node<'_>, rtype: u16, signatures: &[u8], digest: u64) -> bool {
        let Some(item) = self.entry(node).and_then(|entry| entry.item(rtype)) else { return false };
        if item.signatures.len() != signatures.len() {
            return false;
        }
        let at = item.signatures.as_ptr() as usize - self.arena.as_ptr() as usize;
        let header = at - item.records.len() - ITEM_HEADER;
        self.arena[at..at + signatures.len()].copy_from_slice(signatures);
        self.arena[header + 12..header + ITEM_HEADER].copy_from_slice(&digest.to_le_bytes());
        true
    }

    /// Every entry, in no particular order, and the place of its node.
    pub fn entries(&self) -> impl Iterator<Item = (u32, Entry<'_>)> {
        self.places.iter().map(|(node, at)| (node, Entry { signed: self, at: (at as usize) << 2 }))
    }

    /// The NSEC of the last name of the zone that is not behind `relative` in canonical order: the one that covers it, if it
    /// is not there. With it, its owner.
    pub fn covering<'z>(&self, zone: &'z Zone, relative: &[u8]) -> Option<(Node<'z>, Item<'_>)> {
        let node = zone.node_in(self.chain.before(zone, relative)?);
        Some((node, self.entry(node)?.item(crate::wire::rtype::NSEC)?))
    }

    /// Octets of memory held.
    pub fn memory_bytes(&self) -> usize {
        let of = |a: &Alternatives| size_of::<Alternatives>() + 4 * (a.starts.len() + a.places().count());
        let alternatives: usize = self.alternatives.iter().map(of).sum();
        size_of::<Signed>()
            + self.arena.capacity()
            + self.places.memory_bytes()
            + self.chain.memory_bytes()
            + (self.leaving.capacity() + self.compact.capacity()) * size_of::<(u32, u32)>()
            + alternatives
    }

    /// The item at an arena offset, and the offset after it.
    #[inline]
    fn item(&self, at: usize) -> (Item<'_>, usize) {
        let header = &self.arena[at..at + ITEM_HEADER];
        let len = [word(header, 4), word(header, 8)];
        let body = &self.arena[at + ITEM_HEADER..at + ITEM_HEADER + len[0] + len[1]];
        let (records, signatures) = body.split_at(len[0]);
        let digest = u64::from_le_bytes(*header[12..].first_chunk().expect("the header has it"));
        let (rtype, n, n_signatures) = (word(header, 0) as u16, word(header, 2) as u16, word(header, 6) as u16);
        let item = Item { rtype, n, records, n_signatures, signatures, digest };
        (item, (at + ITEM_HEADER + body.len()).next_multiple_of(4))
    }
}

//----------- Entry, Item ----------------------------------------------------

/// What there is of one name.
#[derive(Clone, Copy)]
pub struct Entry<'s> {
    signed: &'s Signed,
    at: usize,
}

impl<'s> Entry<'s> {
    /// The item of a type.
    #[inline]
    pub fn item(self, rtype: u16) -> Option<Item<'s>> {
        self.find(rtype).map(|at| self.signed.item(at).0)
    }

    /// The place of the item of a type.
    pub fn place(self, rtype: u16) -> Option<u32> {
        self.find(rtype).map(|at| (at >> 2) as u32)
    }

    #[inline]
    fn find(self, rtype: u16) -> Option<usize> {
        let arena = &self.signed.arena;
        let mut at = self.at + ENTRY_HEADER;
        for _ in 0..word(arena, self.at) {
            let here = word(arena, at) as u16;
            if here >= rtype {
                return (here == rtype).then_some(at);
            }
            at = (at + ITEM_HEADER + word(arena, at + 4) + word(arena, at + 8)).next_multiple_of(4);
        }
        None
    }

    /// All items, ascending by type.
    pub fn items(self) -> impl Iterator<Item = Item<'s>> {
        let mut at = self.at + ENTRY_HEADER;
        (0..word(&self.signed.arena, self.at)).map(move |_| {
            let (item, next) = self.signed.item(at);
            at = next;
            item
        })
    }

    /// All items as they leave in a transfer, ascending by type.
    pub fn leaving(self) -> impl Iterator<Item = Item<'s>> {
        let mut at = self.at + ENTRY_HEADER;
        (0..word(&self.signed.arena, self.at)).map(move |_| {
            let place = self.signed.leaves_as((at >> 2) as u32);
            at = self.signed.item(at).1;
            self.signed.item_at(place)
        })
    }

    /// The answers that policies may give.
    #[inline]
    pub fn alternatives(self) -> Option<&'s Alternatives> {
        number(&self.signed.arena, self.at + 4).and_then(|i| self.signed.alternatives.get(i))
    }

    /// The place of the item for a member's records of a kind, `first` being the first that is given.
    #[inline]
    pub fn of_member(self, member: usize, kind: Kind, first: usize) -> Option<u32> {
        let (arena, n) = (&self.signed.arena, word(&self.signed.arena, self.at + 2));
        let i = 3 * member + kind as usize;
        if i < n
            && let Some(place) = number(arena, self.at - 4 * (n - i))
        {
            return Some(place as u32 + 1);
        }
        self.alternatives()?.of_member(member, kind, first)
    }

    /// Which of the chain's hashes is the name's.
    #[inline]
    pub fn hashed(self) -> Option<usize> {
        number(&self.signed.arena, self.at + 8)
    }
}

/// The signatures of an RRset, and its records if the zone does not have them.
#[derive(Clone, Copy, Debug)]
pub struct Item<'s> {
    /// The RRset's type.
    pub rtype: u16,
    /// Number of records here.
    pub n: u16,
    /// The records as they stand in an answer, owner `c00c`.
    pub records: &'s [u8],
    /// Number of signatures.
    pub n_signatures: u16,
    /// Likewise.
    pub signatures: &'s [u8],
    /// What was signed, in short.
    pub digest: u64,
}

impl<'s> Item<'s> {
    /// The TTL of its records; of its signatures where it has none.
    pub fn ttl(&self) -> u32 {
        let octets = if self.n > 0 { self.records } else { self.signatures };
        octets.get(6..10).and_then(|ttl| ttl.first_chunk()).map_or(0, |ttl| u32::from_be_bytes(*ttl))
    }

    /// The RDATA of each of its records.
    pub fn rdatas(&self) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        rdatas(self.records)
    }

    /// The RDATA of each of its signatures.
    pub fn rrsigs(&self) -> impl Iterator<Item = &'s [u8]> + use<'s> {
        rdatas(self.signatures)
    }
}

/// The number that an entry has at an offset; `None` for 0.
#[inline]
fn number(arena: &[u8], at: usize) -> Option<usize> {
    (word(arena, at) | word(arena, at + 2) << 16).checked_sub(1)
}

/// The RDATA of each stored record.
pub fn rdatas(mut records: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, rest) = records.split_first_chunk::<12>()?;
        let (rdata, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([head[10], head[11]])))?;
        records = rest;
        Some(rdata)
    })
}

//----------- Alternatives ---------------------------------------------------

/// What a steered name may answer with, each with its signatures: per member its addresses of a family, or its alias.
///
/// Of more addresses than one answer has, neighbours are given, starting anywhere; so there are as many answers as
/// addresses. Their order is no matter to a signature (RFC 4034 section 6.3), nor is a TTL below the signed one (RFC 4034
/// section 3.1.4), so that neither shares nor plans ask for others.
#[derive(Debug, Default)]
pub struct Alternatives {
    /// Per member where its windows of A, of AAAA and its alias start in `windows`; and where the last one ends.
    pub(in crate::zone::signed) starts: Vec<u32>,
    /// Places of items.
    pub(in crate::zone::signed) windows: Vec<u32>,
    /// The proof that there is no A, and no AAAA: the name's NSEC or NSEC3 without that type; 0: as for other types.
    pub(in crate::zone::signed) without: [u32; 2],
    /// See [`Service`].
    pub(in crate::zone::signed) services: Vec<Service>,
}

/// What an RRset of SVCB or HTTPS may answer with whose hints are those of a steered target.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its type.
    pub rtype: u16,
    /// Places of items: without hints of steered targets, and then with those of each member of their group, if they have one
    /// between them.
    pub places: Vec<u32>,
}

/// What a member answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Addresses.
    A = 0,
    /// Addresses of IPv6.
    Aaaa = 1,
    /// An alias.
    Cname = 2,
}

impl Alternatives {
    /// As [`Entry::of_member`].
    fn of_member(&self, member: usize, kind: Kind, first: usize) -> Option<u32> {
        let at = 3 * member + kind as usize;
        let (start, end) = (*self.starts.get(at)? as usize, *self.starts.get(at + 1)? as usize);
        let windows = self.windows.get(start..end)?;
        if windows.len() == 1 { windows.first().copied() } else { windows.get(first).copied() }
    }

    /// The place of the proof that there are no addresses of a family.
    #[inline]
    pub fn without(&self, kind: Kind) -> Option<u32> {
        self.without.get(kind as usize).copied().filter(|place| *place != 0)
    }

    /// The place of the records of a type with a member's hints; `None`: with none.
    pub fn service(&self, rtype: u16, member: Option<usize>) -> Option<u32> {
        let service = self.services.iter().find(|service| service.rtype == rtype)?;
        let number = member.map_or(0, |member| member + 1);
        service.places.get(number).or(service.places.first()).copied()
    }

    /// The places of all items.
    pub fn places(&self) -> impl Iterator<Item = u32> {
        let services = self.services.iter().flat_map(|service| &service.places);
        self.windows.iter().chain(&self.without).chain(services).copied().filter(|place| *place != 0)
    }
}

//----------- Places ---------------------------------------------------------

/// Place of a node → place of its entry: open addressing, at most seven tenths full. Places are arena offsets over four,
/// and none is 0.
#[derive(Debug, Default)]
struct Places {
    slots: Vec<(u32, u32)>,
}

impl Places {
    fn of(entries: impl ExactSizeIterator<Item = (u32, u32)>) -> Places {
        let mut places = Places { slots: vec![(0, 0); entries.len() * 10 / 7 + 2] };
        for (node, at) in entries {
            let mut i = places.home(node);
            while places.slots[i].0 != 0 {
                i = (i + 1) % places.slots.len();
            }
            places.slots[i] = (node, at);
        }
        places
    }

    #[inline]
    fn home(&self, node: u32) -> usize {
        let hash = node.wrapping_mul(0x9e37_79b9);
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    fn find(&self, node: u32) -> Option<u32> {
        let mut i = self.home(node);
        loop {
            match *self.slots.get(i)? {
                (here, at) if here == node => return Some(at),
                (0, _) => return None,
                _ => i = if i + 1 == self.slots.len() { 0 } else { i + 1 },
            }
        }
    }

    fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        self.slots.iter().copied().filter(|(node, _)| *node != 0)
    }

    fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<(u32, u32)>()
    }
}
