//! What `pick=spread` gave last, so that the A and the AAAA of one client come from one member.
//!
//! Spread groups deal answers out along a low-discrepancy sequence, a value for each answer. A client's two
//! queries are one visit and have to share a value, whichever comes first and whichever threads the kernel hands
//! them to. So the first of a pair takes the next value and leaves it here; the query for the other family finds it
//! and takes it away. Shares then hold as evenly over the firsts of pairs as they would over single queries.
//!
//! The memory is lossy by design: an entry is overwritten by the next visit that falls on its place, without regard
//! to whether it was found, and a reload starts with an empty one. Either costs one client one pair: its second
//! query is decided for like a first, out of the same shares. With n visits between the two queries of a pair it
//! happens to about n pairs in [`N_ENTRIES`]. The same goes for a pair one query of which was repeated, because a
//! repeated query takes a new value.

use crate::wire::rtype;
use std::sync::atomic::{AtomicU64, Ordering};

/// Entries: 32 KiB, so that they stay in a core's nearest caches beside all else. Our choice: resolvers send
/// the two queries within a few milliseconds, and in 4 ms even 100,000 visits a second overwrite only a tenth.
pub const N_ENTRIES: usize = 4096;

//----------- Family ---------------------------------------------------------

/// Which addresses a query is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4: type A.
    A,
    /// IPv6: type AAAA.
    Aaaa,
}

impl Family {
    /// That of a type; `None` if it is none of addresses.
    #[inline]
    pub fn of(rtype: u16) -> Option<Family> {
        match rtype {
            rtype::A => Some(Family::A),
            rtype::AAAA => Some(Family::Aaaa),
            _ => None,
        }
    }
}

//----------- Pairs ----------------------------------------------------------

/// A fixed table of the values that wait for their second query, shared by all threads.
///
/// ```text
///   value 32 | tag 31 | family 1      0: nothing was left here yet
/// ```
///
/// An entry says everything itself, so relaxed loads and stores do: no thread waits for another, and the
/// worst that a race does is what a collision does.
#[derive(Debug, Default)]
pub struct Pairs {
    entries: Box<[AtomicU64]>,
}

impl Pairs {
    /// An empty memory.
    pub fn new() -> Pairs {
        Pairs { entries: (0..N_ENTRIES).map(|_| AtomicU64::new(0)).collect() }
    }

    /// The value for a query: the one that the query for the other family left, or else the `next` of the sequence,
    /// which is left for the other family. Without entries ([`Pairs::default`]) always the `next`.
    ///
    /// `visitor`: a hash of client and group, uniform over `u64`.
    #[inline]
    pub fn value(&self, visitor: u64, family: Family, next: impl FnOnce() -> u32) -> u32 {
        let Some(entry) = self.entries.get(visitor as usize % N_ENTRIES) else { return next() };
        // The tag's last bit is set, so that no entry looks like an empty one.
        let tag = (visitor >> 33 | 1) << 1;
        let (mine, others) = (tag | family as u64, tag | (family as u64 ^ 1));
        let found = entry.load(Ordering::Relaxed);
        if found & 0xffff_ffff == others {
            entry.store(0, Ordering::Relaxed);
            return (found >> 32) as u32;
        }
        let value = next();
        entry.store(u64::from(value) << 32 | mine, Ordering::Relaxed);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Family::{A, Aaaa};

    /// Plays visits `(visitor, family)`; the sequence counts from 1. Returns the values given.
    fn check(pairs: &Pairs, visits: &[(u64, Family)], expected: &[u32]) {
        let mut at = 0;
        let mut next = || {
            at += 1;
            at
        };
        let given: Vec<u32> = visits.iter().map(|&(v, family)| pairs.value(v, family, &mut next)).collect();
        assert_eq!(given, expected, "{visits:x?}");
    }

    #[test]
    fn the_second_of_a_pair_takes_what_the_first_left() {
        let (x, y) = (0x1234_5678_0000_0001, 0x1234_5678_0000_0002);
        check(&Pairs::new(), &[(x, A), (x, Aaaa)], &[1, 1]);
        check(&Pairs::new(), &[(x, Aaaa), (x, A)], &[1, 1]);
        check(&Pairs::new(), &[(x, A), (y, A), (y, Aaaa), (x, Aaaa)], &[1, 2, 2, 1]);
        // Taken away: the next query is a first again.
        check(&Pairs::new(), &[(x, A), (x, Aaaa), (x, Aaaa), (x, A)], &[1, 1, 2, 2]);
        // The same family again takes a new value, and that is the one left.
        check(&Pairs::new(), &[(x, A), (x, A), (x, Aaaa)], &[1, 2, 2]);
    }

    /// Two visitors on one place: the earlier loses its value, neither gets the other's.
    #[test]
    fn a_collision_costs_a_pair() {
        let (x, y) = (0x1234_5678_0000_0001, 0x8765_4321_0000_0001);
        check(&Pairs::new(), &[(x, A), (y, A), (x, Aaaa), (y, Aaaa)], &[1, 2, 3, 4]);
        check(&Pairs::new(), &[(x, A), (y, A), (y, Aaaa), (x, Aaaa)], &[1, 2, 2, 3]);
    }

    /// An empty place is nobody's value, not even of the hash 0.
    #[test]
    fn nothing_is_found_where_nothing_was_left() {
        check(&Pairs::new(), &[(0, Aaaa), (0, Aaaa)], &[1, 2]);
        check(&Pairs::new(), &[(0, A), (0, A)], &[1, 2]);
        check(&Pairs::default(), &[(7, A), (7, Aaaa)], &[1, 2]);
    }
}
