//! Rows of slots: who owns which, and how the fewest of them change hands.
//!
//! A row has a power-of-two number of slots; a client's key falls into one, and the slot names a
//! member. A new row is filled by weighted rendezvous hashing (Thaler and Ravishankar 1998, with the
//! logarithmic weights of Schindelhauer and Schomaker 2005): the owner of a slot is the member with the
//! least `−ln(u)/w`, `u` a hash of slot and member. That alone makes counts binomial; they are then
//! corrected to exact ones. A row with a history only ever hands slots from members with too many to
//! members with too few, first those that rendezvous would hand over too, so that a share that goes and
//! comes back finds its old clients, and rows of nodes with different histories drift together.
//!
//! Slots that carry much are placed before all this (`heavy`) and are not moved by it.
//!
//! Invariant: a row never holds a member whose count is 0.

use crate::steering::hash::{exponential, mix};
use crate::steering::heavy;
use std::sync::Arc;

/// Least slots of a row, as a power of two: shares hold to 1/256.
pub(crate) const MIN_BITS: u32 = 8;
/// Most slots of a row, as a power of two.
pub(crate) const MAX_BITS: u32 = 12;
/// Resolution of spread rows, as a power of two.
pub(crate) const SPREAD_BITS: u32 = 16;

/// Stands for an owner that is no longer a member.
pub(crate) const GONE: u16 = u16::MAX;

/// The slot of a sticky key in a row of the most slots there can be, 4,096. In a row of `1 << bits` it lies in slot
/// `slot_of(key) >> (12 − bits)`, since rows of different sizes nest.
#[inline]
pub fn slot_of(key: u64) -> u16 {
    (key >> (u64::BITS - MAX_BITS)) as u16
}

//----------- Slots ----------------------------------------------------------

/// The slots of one row; cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// No member may be given.
    Empty,
    /// One member has them all.
    One(u16),
    /// Owner per slot, in groups of at most 256 members.
    Narrow(Arc<[u8]>),
    /// Owner per slot, in larger groups.
    Wide(Arc<[u16]>),
    /// Contiguous ranges `(end, member)` of 2^16 slots, for spread groups: a low-discrepancy sequence
    /// stays one on an interval, not on a scattered set.
    Ranges(Arc<[(u32, u16)]>),
}

impl Slots {
    /// The slot that `key` falls into and its owner.
    #[inline]
    pub(crate) fn pick(&self, key: u64) -> Option<(u16, u16)> {
        // The high half of key × n: the top bits of the key, n being a power of two.
        let slot = |n: usize| ((u128::from(key) * n as u128) >> 64) as usize;
        match self {
            Slots::Empty => None,
            Slots::One(m) => Some((*m, (key >> (64 - MIN_BITS)) as u16)),
            Slots::Narrow(owners) => {
                let s = slot(owners.len());
                Some((u16::from(owners[s]), s as u16))
            }
            Slots::Wide(owners) => {
                let s = slot(owners.len());
                Some((owners[s], s as u16))
            }
            Slots::Ranges(ranges) => {
                let s = (key >> (64 - SPREAD_BITS)) as u32;
                ranges.iter().find(|(end, _)| s < *end).map(|&(_, m)| (m, s as u16))
            }
        }
    }

    /// Packs owners of a group of `n_members`.
    fn pack(owners: &[u16], n_members: usize) -> Slots {
        if n_members <= 256 {
            Slots::Narrow(owners.iter().map(|&m| m as u8).collect())
        } else {
            Slots::Wide(owners.into())
        }
    }

    /// Writes `1 << bits` owners into `to`, each passed through `rename`; `false` if this row has none.
    ///
    /// Slots of different sizes nest: slot `s` of a row is slots `2s` and `2s + 1` of one twice as long.
    fn unpack(&self, bits: u32, rename: impl Fn(u16) -> u16, to: &mut Vec<u16>) -> bool {
        fn resize<T: Copy>(from: &[T], n: usize, mut push: impl FnMut(T)) {
            for s in 0..n {
                push(from[s * from.len() / n]);
            }
        }
        to.clear();
        match self {
            Slots::Empty | Slots::Ranges(_) => return false,
            Slots::One(m) => to.resize(1 << bits, rename(*m)),
            Slots::Narrow(owners) => resize(owners, 1 << bits, |m| to.push(rename(u16::from(m)))),
            Slots::Wide(owners) => resize(owners, 1 << bits, |m| to.push(rename(m))),
        }
        true
    }
}

/// Non-zero counts of a row, by ascending member.
pub(crate) type Counts = Vec<(u16, u32)>;

/// The row of a spread group.
pub(crate) fn ranges(counts: &Counts) -> Slots {
    match counts[..] {
        [] => Slots::Empty,
        [(m, _)] => Slots::One(m),
        _ => {
            let mut end = 0;
            let next = |&(m, n): &(u16, u32)| {
                end += n;
                (end, m)
            };
            Slots::Ranges(counts.iter().map(next).collect())
        }
    }
}

//----------- Filler ---------------------------------------------------------

/// Fills and refills the rows of one group; keeps the hashes of its members, and buffers.
pub(crate) struct Filler<'a> {
    /// Stable name hash per member.
    members: &'a [u64],
    /// `−ln(u)` per slot, by row size and member; computed when first needed.
    scores: Vec<Vec<Option<Box<[f32]>>>>,
    owners: Vec<u16>,
    best: Vec<f32>,
    /// As wide as `best`, so that both are compared and chosen in one vector.
    winner: Vec<u32>,
    /// Per member: slots that it should have − slots that it has.
    lack: Vec<i32>,
    /// Slots of the row being filled that have been placed, ascending, and their owners.
    pins: Vec<(u16, u16)>,
}

impl<'a> Filler<'a> {
    /// For the group with these members' name hashes.
    pub(crate) fn new(members: &'a [u64]) -> Filler<'a> {
        let sizes = (MAX_BITS - MIN_BITS + 1) as usize;
        Filler {
            members,
            scores: vec![Vec::new(); sizes],
            owners: Vec::new(),
            best: Vec::new(),
            winner: Vec::new(),
            lack: vec![0; members.len()],
            pins: Vec::new(),
        }
    }

    /// A row of `1 << bits` slots that holds `shares` by what its slots carry, and its counts. `heavy`: slots of it,
    /// ascending, that carry more than others do, and what part of the row that is; for the rest as [`Filler::fill`].
    pub(crate) fn fill_by_weight(
        &mut self,
        shares: &[(u16, f32)],
        heavy: &[(u16, f32)],
        bits: u32,
        old: Option<(&Slots, &dyn Fn(u16) -> u16)>,
    ) -> (Slots, Counts) {
        let kept = old.is_some_and(|(slots, rename)| slots.unpack(bits, rename, &mut self.owners));
        let had = kept.then_some(self.owners.as_slice());
        let placed = heavy::place(shares, heavy, self.members, had, 1 << bits);
        self.pins = placed.pins;
        let slots = self.fill(&placed.counts, bits, old);
        self.pins.clear();
        (slots, placed.counts)
    }

    /// A row of `1 << bits` slots with exactly `counts`.
    ///
    /// `old`: the row to start from, and what its members are called here ([`GONE`] for those that are
    /// no more). Exactly as many slots change owner as counts require.
    pub(crate) fn fill(&mut self, counts: &Counts, bits: u32, old: Option<(&Slots, &dyn Fn(u16) -> u16)>) -> Slots {
        match counts[..] {
            [] => return Slots::Empty,
            [(m, _)] => return Slots::One(m),
            _ => {}
        }
        self.rendezvous(counts, bits);
        let kept = old.is_some_and(|(slots, rename)| slots.unpack(bits, rename, &mut self.owners));
        if !kept {
            self.owners.clear();
            self.owners.extend(self.winner.iter().map(|m| *m as u16));
        }
        for (slot, owner) in &self.pins {
            self.owners[usize::from(*slot)] = *owner;
        }
        self.correct(counts, kept);
        Slots::pack(&self.owners, self.members.len())
    }

    /// Writes the rendezvous winner of every slot, weights being the counts.
    fn rendezvous(&mut self, counts: &Counts, bits: u32) {
        let n = 1usize << bits;
        self.best.clear();
        self.best.resize(n, f32::INFINITY);
        self.winner.clear();
        self.winner.resize(n, 0);
        let of_size = &mut self.scores[(bits - MIN_BITS) as usize];
        of_size.resize(self.members.len(), None);
        for &(m, count) in counts {
            let (name, member) = (self.members[m as usize], u32::from(m));
            let scores = of_size[m as usize].get_or_insert_with(|| {
                let nested = |s: usize| (s as u64) << (MAX_BITS - bits);
                (0..n).map(|s| exponential(mix(name, nested(s)))).collect()
            });
            let per_weight = 1.0 / count as f32;
            for ((best, winner), score) in self.best.iter_mut().zip(&mut self.winner).zip(scores.iter()) {
                let score = score * per_weight;
                // A mask and not a branch: one vector instruction for several slots.
                let better = u32::from(score < *best).wrapping_neg();
                *winner = (member & better) | (*winner & !better);
                *best = best.min(score);
            }
        }
    }

    /// Hands slots from members with too many to members with too few: first, if they did not come from
    /// there, where rendezvous agrees; then to whoever lacks most.
    fn correct(&mut self, counts: &Counts, kept: bool) {
        // Whoever should have none has too many, and so has whoever is gone.
        self.lack.fill(-1);
        let mut missing = 0;
        for &(m, count) in counts {
            let has = self.owners.iter().map(|&owner| u16::from(owner == m)).sum::<u16>();
            let lack = count as i32 - i32::from(has);
            self.lack[m as usize] = lack;
            missing += lack.max(0);
        }
        let n = self.owners.len();
        let rounds: &[bool] = if kept { &[true, false] } else { &[false] };
        for &agreed in rounds {
            // Slots in a fixed scattered order: an odd stride visits each of a power of two once.
            // Neighbouring slots of a longer row came from one slot of a shorter one; they should not
            // move together.
            for s in (0..n).map(|i| i.wrapping_mul(0x9E37_79B1) & (n - 1)) {
                if missing == 0 {
                    return;
                }
                let from = self.owners[s] as usize;
                let has_too_many = self.lack.get(from).is_none_or(|lack| *lack < 0);
                if !has_too_many || self.is_pinned(s) {
                    continue;
                }
                let to = if agreed { self.winner[s] as u16 } else { self.neediest(counts) };
                if self.lack[to as usize] <= 0 {
                    continue;
                }
                if let Some(lack) = self.lack.get_mut(from)
                    && counts.binary_search_by_key(&from, |(m, _)| *m as usize).is_ok()
                {
                    *lack += 1;
                }
                self.lack[to as usize] -= 1;
                self.owners[s] = to;
                missing -= 1;
            }
        }
    }

    fn is_pinned(&self, slot: usize) -> bool {
        self.pins.binary_search_by_key(&slot, |(pinned, _)| usize::from(*pinned)).is_ok()
    }

    fn neediest(&self, counts: &Counts) -> u16 {
        let lack = |m: u16| (self.lack[m as usize], self.members[m as usize]);
        counts.iter().map(|&(m, _)| m).max_by_key(|&m| lack(m)).unwrap_or(GONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::apportion;
    use proptest::prelude::*;

    fn names(n: usize) -> Vec<u64> {
        (0..n).map(|i| mix(99, i as u64)).collect()
    }

    fn counts(shares: &[f32], bits: u32) -> Counts {
        let counts = apportion(shares, 1 << bits, &[]);
        counts.into_iter().enumerate().filter(|(_, n)| *n > 0).map(|(m, n)| (m as u16, n)).collect()
    }

    fn owners(slots: &Slots, bits: u32) -> Vec<u16> {
        let mut to = Vec::new();
        assert!(slots.unpack(bits, |m| m, &mut to));
        to
    }

    fn tally(owners: &[u16], n: usize) -> Vec<u32> {
        let mut tally = vec![0; n];
        for &m in owners {
            tally[m as usize] += 1;
        }
        tally
    }

    fn distance(a: &[u16], b: &[u16]) -> usize {
        a.iter().zip(b).filter(|(a, b)| a != b).count()
    }

    #[test]
    fn one_member_needs_no_slots() {
        let names = names(3);
        let mut filler = Filler::new(&names);
        assert_eq!(filler.fill(&counts(&[0.0, 1.0, 0.0], 8), 8, None), Slots::One(1));
        assert_eq!(filler.fill(&counts(&[0.0; 3], 8), 8, None), Slots::Empty);
        assert_eq!(Slots::Empty.pick(5), None);
    }

    #[test]
    fn large_groups_have_wide_slots() {
        let names = names(300);
        let row = Filler::new(&names).fill(&counts(&[1.0; 300], 10), 10, None);
        assert!(matches!(row, Slots::Wide(_)));
        assert!(owners(&row, 10).contains(&299));
    }

    /// A share that goes away and comes back finds its old clients.
    #[test]
    fn there_and_back_is_where_it_was() {
        let names = names(4);
        let mut filler = Filler::new(&names);
        let (a, b) = (counts(&[0.4, 0.3, 0.2, 0.1], 10), counts(&[0.1, 0.3, 0.5, 0.1], 10));
        let first = filler.fill(&a, 10, None);
        let moved = filler.fill(&b, 10, Some((&first, &|m| m)));
        let back = filler.fill(&a, 10, Some((&moved, &|m| m)));
        assert_eq!(distance(&owners(&first, 10), &owners(&moved, 10)), 307);
        // Only what the correction to exact counts had placed by hand may differ.
        assert!(distance(&owners(&first, 10), &owners(&back, 10)) <= 30);
    }

    #[test]
    fn sizes_nest() {
        let names = names(3);
        let mut filler = Filler::new(&names);
        let shares = [0.5, 0.25, 0.25];
        let small = filler.fill(&counts(&shares, 8), 8, None);
        let large = filler.fill(&counts(&shares, 10), 10, Some((&small, &|m| m)));
        for i in 0..1000 {
            let key = mix(3, i);
            assert_eq!(small.pick(key).unwrap().0, large.pick(key).unwrap().0);
        }
    }

    proptest! {
        #[test]
        fn rows_hold_their_counts_and_move_no_more_than_they_must(
            a in prop::collection::vec(prop_oneof![Just(0f32), 0f32..1.0], 6),
            b in prop::collection::vec(prop_oneof![Just(0f32), 0f32..1.0], 6),
            bits in MIN_BITS..=MAX_BITS,
        ) {
            prop_assume!(a.iter().any(|&s| s > 0.0) && b.iter().any(|&s| s > 0.0));
            let names = names(6);
            let mut filler = Filler::new(&names);
            let first = filler.fill(&counts(&a, bits), bits, None);
            let before = owners(&first, bits);
            prop_assert_eq!(tally(&before, 6), apportion(&a, 1 << bits, &[]));
            let second = filler.fill(&counts(&b, bits), bits, Some((&first, &|m| m)));
            let after = owners(&second, bits);
            prop_assert_eq!(tally(&after, 6), apportion(&b, 1 << bits, &[]));
            let must: u32 = apportion(&a, 1 << bits, &[]).iter().zip(apportion(&b, 1 << bits, &[])).map(|(&x, y)| x.saturating_sub(y)).sum();
            prop_assert_eq!(distance(&before, &after), must as usize);
            // A fresh filler knows nothing that this one learnt.
            prop_assert_eq!(Filler::new(&names).fill(&counts(&a, bits), bits, None), first);
        }

        #[test]
        fn slots_of_members_that_are_gone_are_shared_out(a in prop::collection::vec(0.01f32..1.0, 4)) {
            let names = names(4);
            let first = Filler::new(&names).fill(&counts(&a, 9), 9, None);
            let rest = [a[0], a[1], a[2]];
            let gone = |m: u16| if m == 3 { GONE } else { m };
            let second = Filler::new(&names[..3]).fill(&counts(&rest, 9), 9, Some((&first, &gone)));
            prop_assert_eq!(tally(&owners(&second, 9), 3), apportion(&rest, 512, &[]));
            prop_assert!(distance(&owners(&first, 9), &owners(&second, 9)) <= apportion(&a, 512, &[])[3] as usize + 3);
        }
    }
}
