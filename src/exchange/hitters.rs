//! Which slots are asked most: a sketch of fixed size that one thread writes and one reader empties.
//!
//! An entry holds an id and a count, and every id falls into one entry by its hash. The id that is held counts up, any
//! other counts down, and whoever comes at 0 takes over: the majority vote of Boyer and Moore (1991), which is the summary
//! of Misra and Gries (1982) with one counter, once per entry. Space-Saving (Metwally, Agrawal and El Abbadi 2005) wants a
//! list in order of counts; this touches one cache line.
//!
//! What is found of an id that was asked `f` times, in an entry that was hit `n` times, lies between `f − (n − f)` and `f`:
//! never too much, and an id with more than half of an entry's hits is found. With `E` entries and `N` queries of the thread,
//! `n − f` is `(N − f)/E` on average, so what counts for less than about one query in `E` is lost among the others.
//!
//! Counts are of one stretch. There are two halves: one is written while the other rests, and the reader empties the one
//! that has rested before it lets them change places. So neither waits for the other, and each word has one writer at a
//! time; a query that is caught between its load and its store for a whole stretch leaves one entry to be told twice.

use crate::exchange::block::Block;

/// Bits of an id's count: 1,048,575 hits of one entry in one stretch, where counting stops.
const COUNT_BITS: u32 = 20;
const MOST: u64 = (1 << COUNT_BITS) - 1;
/// Bits of a slot in an id; the rest of the 64 are the row's.
const SLOT_BITS: u32 = 12;
/// 2^64 over the golden ratio: multiplicative hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

//----------- Hitters --------------------------------------------------------

/// The sketch of one thread.
#[derive(Debug)]
pub(crate) struct Hitters {
    halves: [Block; 2],
    /// What leaves of a 64-bit hash as many bits as there are entries.
    shift: u32,
}

/// What one slot was asked, at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hit {
    /// See [`Hitters::count`].
    pub row: u32,
    /// See [`Hitters::count`].
    pub slot: u16,
    /// Queries found.
    pub n: u32,
}

impl Hitters {
    /// `1 << bits` entries, empty.
    pub(crate) fn new(bits: u32) -> Hitters {
        Hitters { halves: [Block::new(1 << bits), Block::new(1 << bits)], shift: u64::BITS - bits }
    }

    /// Counts a query in half 0 or 1 for a slot, below 4,096, of a row. Only the thread that owns the sketch calls this.
    #[inline]
    pub(crate) fn count(&self, half: usize, row: u32, slot: u16) {
        let id = u64::from(row) << SLOT_BITS | u64::from(slot);
        let (block, at) = (&self.halves[half & 1], (id.wrapping_mul(GOLDEN) >> self.shift) as usize);
        let entry = block.get(at);
        let n = entry & MOST;
        block.put(
            at,
            match entry >> COUNT_BITS == id {
                true => entry + u64::from(n < MOST),
                false if n == 0 => id << COUNT_BITS | 1,
                false => entry - 1,
            },
        );
    }

    /// Empties the half that rests and hands over what it held.
    pub(crate) fn empty(&self, half: usize, mut hand: impl FnMut(Hit)) {
        let block = &self.halves[half & 1];
        for at in 0..1 << (u64::BITS - self.shift) {
            let entry = block.get(at);
            if entry != 0 {
                block.put(at, 0);
            }
            if entry & MOST > 0 {
                let id = entry >> COUNT_BITS;
                let slot = (id & ((1 << SLOT_BITS) - 1)) as u16;
                hand(Hit { row: (id >> SLOT_BITS) as u32, slot, n: (entry & MOST) as u32 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn emptied(hitters: &Hitters, half: usize) -> Vec<Hit> {
        let mut hits = Vec::new();
        hitters.empty(half, |hit| hits.push(hit));
        hits
    }

    #[test]
    fn a_few_are_counted_exactly() {
        let hitters = Hitters::new(11);
        let asked = [(0, 4095, 5), (7, 0, 3), (u32::MAX, 77, 1)];
        for (row, slot, n) in asked {
            (0..n).for_each(|_| hitters.count(1, row, slot));
        }
        assert_eq!(emptied(&hitters, 0), []);
        let mut found: Vec<_> = emptied(&hitters, 1).iter().map(|h| (h.row, h.slot, h.n)).collect();
        found.sort();
        assert_eq!(found, asked);
        assert_eq!(emptied(&hitters, 1), [], "what was told is gone");
    }

    #[test]
    fn counting_stops_where_the_bits_end() {
        let hitters = Hitters::new(4);
        (0..MOST + 10).for_each(|_| hitters.count(0, 1, 2));
        assert_eq!(emptied(&hitters, 0), [Hit { row: 1, slot: 2, n: MOST as u32 }]);
    }

    proptest! {
        /// In every entry the count lies within its bound, and whoever has more than half of its hits is found.
        #[test]
        fn counts_are_within_their_bound(ids in prop::collection::vec((0..3u32, 0..20u16), 0..400), bits in 1..6u32) {
            let hitters = Hitters::new(bits);
            let mut truth: HashMap<(u32, u16), u64> = HashMap::new();
            let mut hits: HashMap<usize, u64> = HashMap::new();
            let entry = |row: u32, slot: u16| ((u64::from(row) << SLOT_BITS | u64::from(slot)).wrapping_mul(GOLDEN) >> (64 - bits)) as usize;
            for (row, slot) in ids {
                hitters.count(0, row, slot);
                *truth.entry((row, slot)).or_default() += 1;
                *hits.entry(entry(row, slot)).or_default() += 1;
            }
            let found: HashMap<(u32, u16), u64> =
                emptied(&hitters, 0).iter().map(|h| ((h.row, h.slot), u64::from(h.n))).collect();
            for (id, f) in truth {
                let n = hits[&entry(id.0, id.1)];
                let held = found.get(&id).copied().unwrap_or(0);
                prop_assert!(held <= f && held + n >= 2 * f, "{held} of {f} in {n}");
            }
        }
    }
}
