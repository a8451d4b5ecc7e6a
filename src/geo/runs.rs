//! Address space as runs: the whole of one family cut into stretches of addresses that share an id.
//!
//! A compile lays such cuts over one another: databases, then rules. Invariants of a `Vec<Run<A>>`
//! here: the first run starts at the lowest address, starts ascend, neighbours have different ids.
//! A run ends where the next one starts.

use std::collections::HashMap;
use std::hash::Hash;

//----------- Address --------------------------------------------------------

/// An address of one family as a number.
pub trait Address: Copy + Ord + std::fmt::Debug {
    /// Bits of an address.
    const BITS: u8;
    /// The address of these low [`Self::BITS`] bits.
    fn from_bits(bits: u128) -> Self;
    /// Its bits.
    fn bits(self) -> u128;
}

impl Address for u32 {
    const BITS: u8 = 32;
    fn from_bits(bits: u128) -> u32 {
        bits as u32
    }
    fn bits(self) -> u128 {
        u128::from(self)
    }
}

impl Address for u128 {
    const BITS: u8 = 128;
    fn from_bits(bits: u128) -> u128 {
        bits
    }
    fn bits(self) -> u128 {
        self
    }
}

//----------- Run ------------------------------------------------------------

/// One stretch of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<A> {
    /// Its first address.
    pub start: A,
    /// What its addresses have in common.
    pub id: u32,
}

/// Appends a run, or lets the last one go on if the id is the same.
pub fn push<A: Address>(runs: &mut Vec<Run<A>>, start: A, id: u32) {
    if runs.last().is_none_or(|last| last.id != id) {
        runs.push(Run { start, id });
    }
}

/// The same cut with other ids; neighbours that became equal are joined.
pub fn rename<A: Address>(runs: &[Run<A>], mut id: impl FnMut(u32) -> u32) -> Vec<Run<A>> {
    let mut out = Vec::new();
    for run in runs {
        push(&mut out, run.start, id(run.id));
    }
    out
}

/// Lays one cut over another; `join(under, over)` gives the id of what is common to both.
pub fn overlay<A: Address>(under: &[Run<A>], over: &[Run<A>], mut join: impl FnMut(u32, u32) -> u32) -> Vec<Run<A>> {
    let mut out = Vec::with_capacity(under.len());
    let (mut u, mut o) = (0, 0);
    while u < under.len() && o < over.len() {
        push(&mut out, under[u].start.max(over[o].start), join(under[u].id, over[o].id));
        match (under.get(u + 1), over.get(o + 1)) {
            (Some(a), Some(b)) => {
                u += usize::from(a.start <= b.start);
                o += usize::from(b.start <= a.start);
            }
            (Some(_), None) => u += 1,
            (None, Some(_)) => o += 1,
            (None, None) => break,
        }
    }
    out
}

/// The number of addresses of every run, in order.
pub fn sizes<A: Address>(runs: &[Run<A>]) -> impl Iterator<Item = (u32, f64)> {
    let end = 2f64.powi(i32::from(A::BITS));
    runs.iter().enumerate().map(move |(i, run)| {
        // Differences of whole numbers first: as floats, neighbours high up in IPv6 would coincide.
        let size = match runs.get(i + 1) {
            Some(next) => (next.start.bits() - run.start.bits()) as f64,
            None => end - run.start.bits() as f64,
        };
        (run.id, size)
    })
}

/// Cuts the family by prefixes `(bits, length, tag)`, which may nest, repeat and come in any order: the id of
/// a run is that of the ascending list of the tags of all prefixes over it, in `sets`.
pub fn of_prefixes<A: Address>(prefixes: &[(u128, u8, u32)], sets: &mut Interner<Vec<u32>>) -> Vec<Run<A>> {
    let mut sorted = prefixes.to_vec();
    sorted.sort_unstable();
    let (mut out, mut open) = (Vec::new(), Vec::<(u128, u32)>::new());
    let mut mark = |out: &mut Vec<Run<A>>, start: u128, open: &[(u128, u32)]| {
        let mut tags: Vec<u32> = open.iter().map(|&(_, tag)| tag).collect();
        tags.sort_unstable();
        tags.dedup();
        let id = sets.id(tags);
        // Several prefixes may begin or end at one address; the last word counts.
        while out.last().is_some_and(|run| run.start.bits() == start) {
            out.pop();
        }
        push(out, A::from_bits(start), id);
    };
    mark(&mut out, 0, &[]);
    for (bits, len, tag) in sorted {
        close(&mut open, Some(bits), |start, open| mark(&mut out, start, open));
        let host = u32::from(A::BITS - len.min(A::BITS));
        let last = bits | 1u128.checked_shl(host).map_or(u128::MAX, |n| n - 1);
        open.push((last, tag));
        mark(&mut out, bits, &open);
    }
    let top = if A::BITS == 128 { u128::MAX } else { (1u128 << A::BITS) - 1 };
    close(&mut open, None, |start, open| {
        if start <= top {
            mark(&mut out, start, open);
        }
    });
    out
}

/// Ends every open prefix whose last address lies before `until` (all of them for `None`), innermost first.
fn close(open: &mut Vec<(u128, u32)>, until: Option<u128>, mut mark: impl FnMut(u128, &[(u128, u32)])) {
    while let Some(&(last, _)) = open.last() {
        if until.is_some_and(|until| last >= until) {
            return;
        }
        open.pop();
        if let Some(next) = last.checked_add(1) {
            mark(next, open);
        }
    }
}

//----------- Interner -------------------------------------------------------

/// Gives equal values the same small id, in order of first sight.
#[derive(Debug)]
pub struct Interner<T> {
    /// The values by id.
    pub values: Vec<T>,
    ids: HashMap<T, u32>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// Starts with these values, which must differ, as ids 0, 1, ….
    pub fn with(values: Vec<T>) -> Interner<T> {
        let ids = values.iter().cloned().zip(0..).collect();
        Interner { values, ids }
    }

    /// The id of a value.
    pub fn id(&mut self, value: T) -> u32 {
        if let Some(&id) = self.ids.get(&value) {
            return id;
        }
        let id = u32::try_from(self.values.len()).expect("a file has fewer than 2^32 records");
        self.ids.insert(value.clone(), id);
        self.values.push(value);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at<A: Address>(runs: &[Run<A>], addr: A) -> u32 {
        runs[runs.partition_point(|run| run.start <= addr) - 1].id
    }

    fn well_formed<A: Address>(runs: &[Run<A>]) {
        assert_eq!(runs[0].start.bits(), 0);
        assert!(runs.windows(2).all(|w| w[0].start < w[1].start && w[0].id != w[1].id), "{runs:?}");
    }

    fn arb_prefixes() -> impl Strategy<Value = Vec<(u128, u8, u32)>> {
        // Few distinct bits, so that prefixes nest and touch.
        let one = (0u32..64, 0u8..=32, 0u32..5).prop_map(|(top, len, tag)| {
            let bits = top.reverse_bits() | (top & 3);
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            (u128::from(bits & mask), len, tag)
        });
        prop::collection::vec(one, 0..12)
    }

    fn covers(p: &(u128, u8, u32), addr: u32) -> bool {
        (p.0 as u32 ^ addr).checked_shr(32 - u32::from(p.1)).unwrap_or(0) == 0
    }

    proptest! {
        /// A cut by prefixes says of every address what a scan over the prefixes says.
        #[test]
        fn prefixes_equal_a_linear_scan(prefixes in arb_prefixes(), extra in any::<u32>()) {
            let mut sets = Interner::with(vec![]);
            let runs: Vec<Run<u32>> = of_prefixes(&prefixes, &mut sets);
            well_formed(&runs);
            let edges = prefixes.iter().map(|p| p.0 as u32);
            for addr in edges.flat_map(|e| [e, e.wrapping_sub(1), e | 0xff, (e | 0xff).wrapping_add(1)]).chain([extra]) {
                let mut want: Vec<u32> = prefixes.iter().filter(|p| covers(p, addr)).map(|p| p.2).collect();
                want.sort_unstable();
                want.dedup();
                prop_assert_eq!(&sets.values[at(&runs, addr) as usize], &want);
            }
        }

        /// An overlay says of every address what its two cuts say.
        #[test]
        fn overlays_join_what_is_there(a in arb_prefixes(), b in arb_prefixes(), extra in any::<u32>()) {
            let (mut sets, mut pairs) = (Interner::with(vec![]), Interner::with(vec![]));
            let (ra, rb): (Vec<Run<u32>>, Vec<Run<u32>>) = (of_prefixes(&a, &mut sets), of_prefixes(&b, &mut sets));
            let both = overlay(&ra, &rb, |x, y| pairs.id((x, y)));
            well_formed(&both);
            for addr in ra.iter().chain(&rb).flat_map(|r| [r.start, r.start.wrapping_sub(1)]).chain([extra]) {
                prop_assert_eq!(pairs.values[at(&both, addr) as usize], (at(&ra, addr), at(&rb, addr)));
            }
            let total: f64 = sizes(&both).map(|(_, n)| n).sum();
            prop_assert_eq!(total, 2f64.powi(32));
        }
    }

    #[test]
    fn whole_families_have_no_end_to_run_over() {
        let mut sets = Interner::with(vec![]);
        let runs: Vec<Run<u128>> = of_prefixes(&[(0, 0, 7), (u128::MAX, 128, 9)], &mut sets);
        well_formed(&runs);
        assert_eq!(sets.values[at(&runs, 0) as usize], [7]);
        assert_eq!(sets.values[at(&runs, u128::MAX) as usize], [7, 9]);
    }
}
