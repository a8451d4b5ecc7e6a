//! Steered names: whom we decide for, and which member it is.

use crate::exchange::{Family, Snapshot};
use crate::geo::Located;
use crate::id::GroupIdx;
use crate::policy::Pick;
use crate::steering::{Picked, mix};
use crate::wire::edns::Ecs;
use crate::wire::rtype;
use std::net::IpAddr;

/// Bits of an IPv4 and of an IPv6 address that [`sticky_key`] takes: what resolvers commonly send (RFC 7871 section
/// 11.1).
const STICKY_BITS: (u8, u8) = (24, 56);
/// 2^64 over the golden ratio: the step of the low-discrepancy sequence with the most even gaps (Knuth,
/// The Art of Computer Programming, volume 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

//----------- Subject --------------------------------------------------------

/// Whom an answer is decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The client's prefix where the query told it, else the resolver's address.
    pub addr: IpAddr,
    /// Bits of the address that the query told; `None` if it told none, and then the reply's scope is 0.
    pub source: Option<u8>,
}

impl Subject {
    /// The client subnet of the query if it has one and it is not empty, else the source address.
    #[inline(always)]
    pub fn of(ecs: Option<&Ecs>, source: IpAddr) -> Subject {
        match ecs.and_then(|e| Some((e.client()?, e.used))) {
            Some((addr, bits)) => Subject { addr, source: Some(bits) },
            None => Subject { addr: source.to_canonical(), source: None },
        }
    }
}

//----------- Decision -------------------------------------------------------

/// Who answers, and how that came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The subject's cell, and for how long a prefix that holds.
    pub located: Located,
    /// What chose the slot.
    pub key: u64,
    /// How it was made.
    pub pick: Pick,
    /// The member; `None` if none may be given there.
    pub picked: Option<Picked>,
    /// Bits of the subject's address that `key` made count, if it told so many; 0 where any key picks the same, and
    /// for `pick=spread`, which deals out to visitors, not to prefixes.
    pub key_bits: u8,
}

impl Decision {
    /// Locates the subject and picks a member of the group.
    ///
    /// For `pick=spread`: `spread` is where this thread's sequence stands; it steps on if a value is taken. `pair`
    /// is what the query asks for, so that the one for the other family has the same key; `None` neither finds nor
    /// leaves anything there.
    #[inline]
    pub fn make(
        snapshot: &Snapshot,
        group: GroupIdx,
        subject: Subject,
        spread: &mut u64,
        pair: Option<Family>,
    ) -> Decision {
        let located = snapshot.cells.locate(subject.addr);
        let mode = snapshot.table.pick_mode(group);
        let key = match mode {
            Pick::Sticky => sticky_key(subject.addr, snapshot.table.sticky_seed(group)),
            Pick::Spread => {
                let mut next = || {
                    *spread = spread.wrapping_add(GOLDEN);
                    (*spread >> 32) as u32
                };
                spread_key(match pair {
                    Some(family) => snapshot.pairs.value(visitor(subject.addr, group), family, next),
                    None => next(),
                })
            }
        };
        let key_bits = match (mode, subject.addr) {
            _ if mode == Pick::Spread || snapshot.table.is_sole(group, located.cell) => 0,
            (_, IpAddr::V4(_)) => STICKY_BITS.0,
            (_, IpAddr::V6(_)) => STICKY_BITS.1,
        };
        Decision { located, key, pick: mode, picked: snapshot.table.pick(group, located.cell, key), key_bits }
    }

    /// The key, if a client always has the same: only its slot is worth counting.
    #[inline]
    pub fn sticky(&self) -> Option<u64> {
        (self.pick == Pick::Sticky).then_some(self.key)
    }

    /// Scope prefix length to reply with: the prefix within which the decision is the same, where the client was
    /// told (RFC 7871 section 7.2.1). That is the lookup's, which may be longer than the source prefix and then says
    /// that more bits would have been of use; where the pick is one of several, at least what the key was made of, or
    /// one cached answer would bind all of a cell to one member, and A and AAAA, asked for by two clients, to two.
    #[inline]
    pub fn scope(&self, subject: Subject) -> u8 {
        subject.source.map_or(0, |source| self.located.scope.max(source.min(self.key_bits)))
    }
}

/// Whether a question at a name steered by `group` is decided by a pick: addresses are. Where a member is external,
/// so is every other type, because the alias that it gives is all there is at its name (RFC 1034 section 3.6.2, RFC
/// 2181 section 10.1). ANY is not: it is answered minimally.
#[inline]
pub fn is_picked(snapshot: &Snapshot, group: GroupIdx, qtype: u16) -> bool {
    let has_external =
        || snapshot.answers.get(group.idx()).is_some_and(|members| members.iter().any(|m| !m.cname.is_empty()));
    matches!(qtype, rtype::A | rtype::AAAA) || qtype != rtype::ANY && has_external()
}

/// The key that gives a client its slot: SplitMix64 of its prefix, started at the group's `seed`. Fixed for ever, so that
/// every node, and the same node after a restart, gives a client the same slot.
///
/// The prefix is cut to 24 bits of IPv4 or 56 of IPv6 (`STICKY_BITS`), so that a client has one slot whether its resolver
/// sends more bits or is itself the client. Who sends made-up prefixes may choose their slots whatever the hash is, by
/// asking; so a keyed hash of prefix and name (SipHash-2-4: 300 instructions, this one 15) would keep nobody from it.
#[inline]
pub fn sticky_key(client: IpAddr, seed: u64) -> u64 {
    let prefix = match client {
        IpAddr::V4(v4) => u64::from(u32::from(v4) & u32::MAX << (32 - STICKY_BITS.0)) | 4 << 56,
        IpAddr::V6(v6) => (u128::from(v6) >> (128 - STICKY_BITS.1)) as u64 | 6 << 56,
    };
    mix(seed, prefix)
}

/// The key of a value of the sequence: its high bits choose the slot, its low bits, turned round, the first
/// address. It has 32 bits because that is what [`crate::exchange::Pairs`] keeps.
#[inline]
fn spread_key(value: u32) -> u64 {
    u64::from(value) << 32 | u64::from(value.reverse_bits())
}

/// Tells the visitors of spread groups apart. No prefix is cut: whoever sends both queries of a pair sends the same
/// address in both.
#[inline]
fn visitor(client: IpAddr, group: GroupIdx) -> u64 {
    let bits = match client {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    mix(mix(u64::from(group.0), (bits >> 64) as u64), bits as u64)
}

/// `n` records of `len` octets each are stored; at most `answers` of them go into a reply. Returns the first
/// and how many: clients start at different ones, by the low half of the key (the high half chose the slot).
#[inline]
pub fn rotation(key: u64, n: usize, answers: u8) -> (usize, usize) {
    let first = ((key & 0xffff_ffff) * n as u64) >> 32;
    (first as usize, n.min(usize::from(answers.max(1))))
}
