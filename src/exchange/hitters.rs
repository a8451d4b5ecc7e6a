//! Which slots are asked most: a sketch of fixed size that one thread writes and one reader empties.
//!
//! An entry holds an id and a count, and every id falls into one entry by its hash. The id that is held counts up, any
//! other counts down, and whoever comes at 0 takes over: the majority vote of Boyer and Moore (1991), which is the summary
//! of Misra and Gries (1982) with one counter, once per entry. Space-Saving (Metwally, Agrawal and El Abbadi 2005) wants a
//! list in order of counts; this touches one cache line, and takes no branch that a processor could not foretell.
//!
//! What is found of an id that was asked `f` times, in an entry that was hit `n` times, lies between `f − (n − f)` and `f`:
//! never too much, and an id with more than half of an entry's hits is found. With `E` entries (8,192) and `N` queries of the
//! thread, `n − f` is `(N − f)/E` on average, so what counts for less than about one query in `E` may be lost among the others.
//!
//! Counts are of one stretch. There are two halves: one is written while the other rests. The reader lets them change places,
//! and a beat later empties the one that rests. So neither waits for the other, and each word has one writer at a time; a
//! query that is caught between its load and its store for as long as that leaves one entry to be told twice.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Entries of a half: 64 KiB, which caches near a core hold (our choice).
const ENTRIES: usize = 1 << ENTRY_BITS;
const ENTRY_BITS: u32 = 13;
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
    /// One half behind the other. Nobody else writes to what lies beside: it is long enough not to share its lines.
    entries: Box<[AtomicU64; 2 * ENTRIES]>,
}

/// Which half of all sketches is written.
#[derive(Debug, Default)]
pub(crate) struct Half {
    /// Where the half begins.
    first: AtomicUsize,
}

impl Half {
    /// The other one from now on.
    pub(crate) fn change(&self) {
        self.first.store(self.first.load(Ordering::Relaxed) ^ ENTRIES, Ordering::Relaxed);
    }
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
    /// An empty one.
    pub(crate) fn new() -> Hitters {
        let entries: Vec<AtomicU64> = (0..2 * ENTRIES).map(|_| AtomicU64::new(0)).collect();
        Hitters { entries: entries.try_into().expect("as many were made") }
    }

    /// Counts a query for a slot, below 4,096, of a row. Only the thread that owns the sketch calls this.
    #[inline]
    pub(crate) fn count(&self, half: &Half, row: u32, slot: u16) {
        let id = u64::from(row) << SLOT_BITS | u64::from(slot);
        let at = id.wrapping_mul(GOLDEN) >> (u64::BITS - ENTRY_BITS);
        let entry = &self.entries[(half.first.load(Ordering::Relaxed) | at as usize) % (2 * ENTRIES)];
        let (held, unasked) = (entry.load(Ordering::Relaxed), id << COUNT_BITS);
        // The count, where the id is the one that is held, and else more than any.
        let n = held.wrapping_sub(unasked);
        let counted = held.wrapping_add(u64::from(n < MOST)).wrapping_sub(u64::from(n > MOST));
        let is_free = u64::from(held & MOST == 0).wrapping_neg();
        entry.store((unasked + 1) & is_free | counted & !is_free, Ordering::Relaxed);
    }

    /// Empties the half that is not written and hands over what it held.
    pub(crate) fn empty(&self, half: &Half, mut hand: impl FnMut(Hit)) {
        let resting = half.first.load(Ordering::Relaxed) ^ ENTRIES;
        for entry in &self.entries[resting..resting + ENTRIES] {
            let held = entry.load(Ordering::Relaxed);
            if held != 0 {
                entry.store(0, Ordering::Relaxed);
            }
            if held & MOST > 0 {
                let id = held >> COUNT_BITS;
                let slot = (id & ((1 << SLOT_BITS) - 1)) as u16;
                hand(Hit { row: (id >> SLOT_BITS) as u32, slot, n: (held & MOST) as u32 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    /// What a sketch holds of these queries, after they have rested.
    fn found(asked: impl IntoIterator<Item = (u32, u16)>) -> HashMap<(u32, u16), u64> {
        let (hitters, half) = (Hitters::new(), Half::default());
        asked.into_iter().for_each(|(row, slot)| hitters.count(&half, row, slot));
        let mut found = HashMap::new();
        hitters.empty(&half, |_| panic!("nothing rests"));
        half.change();
        hitters.empty(&half, |hit| assert_eq!(found.insert((hit.row, hit.slot), u64::from(hit.n)), None));
        hitters.empty(&half, |_| panic!("it was told before"));
        found
    }

    #[test]
    fn a_few_are_counted_exactly() {
        let asked = [((0, 4095), 5), ((7, 0), 3), ((u32::MAX, 77), 1), ((0, 0), 2)];
        let found = found(asked.iter().flat_map(|(id, n)| std::iter::repeat_n(*id, *n as usize)));
        assert_eq!(found, HashMap::from(asked));
    }

    #[test]
    fn counting_stops_where_the_bits_end() {
        assert_eq!(found((0..MOST + 10).map(|_| (1, 2))), HashMap::from([((1, 2), MOST)]));
    }

    fn entry(row: u32, slot: u16) -> u64 {
        (u64::from(row) << SLOT_BITS | u64::from(slot)).wrapping_mul(GOLDEN) >> (64 - ENTRY_BITS)
    }

    /// Ids that all fall into a few entries.
    fn crowded() -> Vec<(u32, u16)> {
        let all = (0..40).flat_map(|row| (0..4096).map(move |slot| (row, slot)));
        all.filter(|(row, slot)| entry(*row, *slot) < 3).take(40).collect()
    }

    proptest! {
        /// In every entry the count lies within its bound, and whoever has more than half of its hits is found.
        #[test]
        fn counts_are_within_their_bound(asked in prop::collection::vec((0..40usize, 0..40usize), 0..200)) {
            let ids = crowded();
            let asked: Vec<(u32, u16)> = asked.into_iter().map(|(i, j)| ids[i.min(j)]).collect();
            let (mut truth, mut hits) = (HashMap::<(u32, u16), u64>::new(), HashMap::<u64, u64>::new());
            for (row, slot) in &asked {
                *truth.entry((*row, *slot)).or_default() += 1;
                *hits.entry(entry(*row, *slot)).or_default() += 1;
            }
            let found = found(asked);
            prop_assert!(found.keys().all(|id| truth.contains_key(id)));
            for (id, f) in truth {
                let n = hits[&entry(id.0, id.1)];
                let held = found.get(&id).copied().unwrap_or(0);
                prop_assert!(held <= f && held + n >= 2 * f, "{held} of {f} in {n}");
            }
        }
    }
}
