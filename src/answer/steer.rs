//! Steered names: whom we decide for, and which member it is.

use crate::exchange::{Family, Snapshot};
use crate::geo::Located;
use crate::id::GroupIdx;
use crate::policy::Pick;
use crate::steering::{Picked, mix};
use crate::wire::Name;
use crate::wire::edns::Ecs;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::net::IpAddr;

/// SipHash-2-4 key of [`sticky_key`]: fixed for ever, so that every node, and the same node after a restart,
/// gives a client the same slot. The first digits of π.
const STICKY_KEY: (u64, u64) = (0x2432_3f6a_8885_a308, 0xd313_198a_2e03_7073);
/// 2^64 over the golden ratio: the step of the low-discrepancy sequence with the most even gaps (Knuth,
/// The Art of Computer Programming, volume 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

//----------- Subject --------------------------------------------------------

/// Whom an answer is decided for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The client's prefix where the query told it, else the resolver's address.
    pub addr: IpAddr,
    /// Whether the query told it: only then does the reply carry a scope above 0.
    pub from_ecs: bool,
}

impl Subject {
    /// The client subnet of the query if it has one and it is not empty, else the source address.
    #[inline]
    pub fn of(ecs: Option<Ecs>, source: IpAddr) -> Subject {
        match ecs.and_then(|e| e.client()) {
            Some(addr) => Subject { addr, from_ecs: true },
            None => Subject { addr: source.to_canonical(), from_ecs: false },
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
    /// The member; `None` if none may be given there.
    pub picked: Option<Picked>,
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
        let key = match snapshot.table.pick_mode(group) {
            Pick::Sticky => sticky_key(subject.addr, &snapshot.policies.groups[group.idx()].name),
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
        Decision { located, key, picked: snapshot.table.pick(group, located.cell, key) }
    }

    /// Scope prefix length to reply with: the prefix within which the lookup ends alike, where the client was
    /// told (RFC 7871 section 7.2.1); it may be longer than the source prefix, which then says that more
    /// bits would have been of use.
    #[inline]
    pub fn scope(&self, subject: Subject) -> u8 {
        if subject.from_ecs { self.located.scope } else { 0 }
    }
}

/// The key that gives a client its slot: SipHash-2-4 of its prefix and the group's name.
///
/// The prefix is cut to 24 bits of IPv4 or 56 of IPv6, what resolvers commonly send (RFC 7871 section 11.1), so
/// that a client has one slot whether its resolver sends more bits or is itself the client.
#[inline]
pub fn sticky_key(client: IpAddr, group: &Name) -> u64 {
    let prefix = match client {
        IpAddr::V4(v4) => u64::from(u32::from(v4) & 0xffff_ff00) | 4 << 56,
        IpAddr::V6(v6) => (u128::from(v6) >> 72) as u64 | 6 << 56,
    };
    let mut hasher = SipHasher24::new_with_keys(STICKY_KEY.0, STICKY_KEY.1);
    hasher.write(&prefix.to_le_bytes());
    hasher.write(group.as_wire());
    hasher.finish()
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
