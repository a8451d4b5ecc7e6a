//! Address → id of its run, and the prefix length for which that holds: what queries read.
//!
//! Runs are sorted by first address. A first-level index on the top 16 bits leads to a short stretch of
//! runs, and a search among them ends it. Scopes come from edges: a block of addresses around `a` has
//! one id exactly if it touches neither the last address before the run nor the first one after it, so
//! the scope is one more than the bits that `a` shares with the closer of the two.
//!
//! Cost: IPv4 4 octets a run, IPv6 18, and a quarter and three quarters of a megabyte for the first level. Two
//! memory latencies for IPv4 (index, block), three for IPv6.

use crate::ahead;
use crate::geo::runs::{Address, Run};

//----------- V4 -------------------------------------------------------------

/// The runs of IPv4, in blocks of 65,536 addresses.
///
/// An item is the low half of a run's first address above 16 bits of id. A block of several runs begins with
/// the one in effect at its start, as if that started there: the edge that this invents is farther from
/// any address than a true one inside the block, so it decides no scope. The item of a block of one run has
/// the scope in place of the address.
#[derive(Debug)]
pub struct V4 {
    /// `first[t]`: the first item of the addresses whose top 16 bits are `t`; one more at the end.
    first: Box<[u32]>,
    items: Box<[u32]>,
    /// Positions of items whose id does not fit 16 bits, with the id, ascending; empty below 65,535 ids.
    wide: Box<[(u32, u32)]>,
    n_runs: usize,
}

/// Items in a cache line.
const ITEMS_A_LINE: usize = 16;
/// Stands in an item for an id that is in [`V4::wide`].
const WIDE: u32 = 0xffff;

impl V4 {
    /// Indexes runs that cover the family.
    pub fn new(runs: &[Run<u32>]) -> V4 {
        let (mut first, mut items, mut wide) = (Vec::with_capacity((1 << 16) + 1), Vec::new(), Vec::new());
        let mut put = |items: &mut Vec<u32>, high: u32, id: u32| {
            if id >= WIDE {
                wide.push((items.len() as u32, id));
            }
            items.push(high << 16 | id.min(WIDE));
        };
        let mut at = 0;
        for top in 0..1u32 << 16 {
            let start = top << 16;
            while runs.get(at + 1).is_some_and(|next| next.start <= start) {
                at += 1;
            }
            first.push(items.len() as u32);
            let inside = runs[at + 1..].iter().take_while(|run| run.start >> 16 == top).count();
            if inside == 0 {
                put(&mut items, u32::from(scope(runs, at, start)), runs[at].id);
            } else {
                put(&mut items, 0, runs[at].id);
                runs[at + 1..=at + inside].iter().for_each(|run| put(&mut items, run.start & 0xffff, run.id));
            }
        }
        first.push(items.len() as u32);
        V4 { first: first.into(), items: items.into(), wide: wide.into(), n_runs: runs.len() }
    }

    /// The id of an address and the shortest prefix around it that has one id.
    #[inline]
    pub fn find(&self, addr: u32) -> (u32, u8) {
        let top = (addr >> 16) as usize;
        let from = self.first[top] as usize;
        let block = &self.items[from..self.first[top + 1] as usize];
        if let &[item] = block {
            return (self.id(item, from), (item >> 16) as u8);
        }
        let low = addr as u16;
        let at = last_in_block(block, u32::from(low) << 16 | 0xffff);
        let edge = |item: u32| (item >> 16) as u16;
        let before = if at == 0 { 0 } else { ((edge(block[at]) - 1) ^ low).leading_zeros() };
        let after = block.get(at + 1).map_or(0, |&next| (edge(next) ^ low).leading_zeros());
        (self.id(block[at], from + at), 17 + before.max(after) as u8)
    }

    /// Asks for where [`V4::find`] begins.
    #[inline(always)]
    pub fn foresee(&self, addr: u32) {
        ahead::fetch(&self.first, (addr >> 16) as usize);
    }

    /// Asks for the block that [`V4::find`] will search: as far as three cache lines, which hold three in four of a
    /// database of two million networks.
    #[inline(always)]
    pub fn foresee_block(&self, addr: u32) {
        let top = (addr >> 16) as usize;
        let (from, to) = (self.first[top] as usize, self.first[top + 1] as usize);
        ahead::fetch(&self.items, from);
        for line in 1..=2 {
            if from + line * ITEMS_A_LINE < to {
                ahead::fetch(&self.items, from + line * ITEMS_A_LINE);
            }
        }
    }

    #[inline]
    fn id(&self, item: u32, at: usize) -> u32 {
        let id = item & 0xffff;
        if id == WIDE { self.wide_id(at) } else { id }
    }

    #[cold]
    fn wide_id(&self, at: usize) -> u32 {
        let i = self.wide.partition_point(|&(pos, _)| (pos as usize) < at);
        self.wide[i].1
    }

    /// Runs in it.
    pub fn n_runs(&self) -> usize {
        self.n_runs
    }
}

/// The last item that is at most `key`; the first one is.
#[inline]
fn last_in_block(block: &[u32], key: u32) -> usize {
    // Halving waits for each load before the next; counting does not, and sixteen items are one cache line.
    let (mut from, mut len) = (0, block.len());
    while len > 32 {
        let half = len / 2;
        from += if block[from + half] <= key { half } else { 0 };
        len -= half;
    }
    from + block[from + 1..from + len].iter().map(|&item| u32::from(item <= key)).sum::<u32>() as usize
}

/// The shortest prefix around an address of run `at` that has its id.
#[inline]
fn scope<A: Address>(runs: &[Run<A>], at: usize, addr: A) -> u8 {
    let shared = |edge: u128| (edge ^ addr.bits()).leading_zeros() as u8 - (128 - A::BITS) + 1;
    let before = runs[at].start.bits().checked_sub(1).map_or(0, shared);
    let after = runs.get(at + 1).map_or(0, |next| shared(next.start.bits()));
    before.max(after)
}

//----------- V6 -------------------------------------------------------------

/// The runs of IPv6, by the upper 64 bits; the few /64s that are not of one id stand apart.
#[derive(Debug)]
pub struct V6 {
    /// By the top 16 bits.
    tops: Box<[Top]>,
    /// Positions in `runs`; see [`Top`].
    slots: Box<[u32]>,
    runs: Box<[Run<u64>]>,
    /// Runs inside /64s whose id in `runs` is [`FINE`].
    fine: Box<[Run<u128>]>,
}

/// How to go on below 16 bits. Allocations cluster (most of 2000::/3 is empty, 2a00::/16 is full), so each
/// block of 16 bits cuts the stretch where its own runs start into as many equal slots as suits their number.
#[derive(Clone, Copy, Debug)]
struct Top {
    /// `slots[slot + j]`: the run in effect where slot `j` begins; slot 0 begins with the block.
    slot: u32,
    /// Bits 16 to 48 of the first run that starts in the block.
    base: u32,
    n_slots: u16,
    /// A slot is `1 << shift` values of bits 16 to 48 wide.
    shift: u8,
}

/// Id in [`V6::runs`] of a /64 that has several.
const FINE: u32 = u32::MAX;

impl V6 {
    /// Indexes runs that cover the family; ids must be below `u32::MAX`.
    pub fn new(runs: &[Run<u128>]) -> V6 {
        let (runs, fine) = split_fine(runs);
        let (mut tops, mut slots) = (Vec::with_capacity(1 << 16), Vec::new());
        let mut at = 0;
        for top in 0..1u64 << 16 {
            while runs.get(at + 1).is_some_and(|next| next.start <= top << 48) {
                at += 1;
            }
            let n_inside = runs[at + 1..].partition_point(|run| run.start >> 48 == top);
            tops.push(cut_top(&runs, at, n_inside, top, &mut slots));
        }
        V6 { tops: tops.into(), slots: slots.into(), runs: runs.into(), fine: fine.into() }
    }

    /// The id of an address and the shortest prefix around it that has one id.
    #[inline]
    pub fn find(&self, addr: u128) -> (u32, u8) {
        let key = (addr >> 64) as u64;
        let (from, to) = self.stretch(key);
        let at = from + last_at_most(&self.runs[from..=to], key, |run| run.start);
        let run = self.runs[at];
        if run.id == FINE {
            return self.find_fine(addr);
        }
        (run.id, scope(&self.runs, at, key))
    }

    /// Asks for where [`V6::find`] begins.
    #[inline(always)]
    pub fn foresee(&self, addr: u128) {
        ahead::fetch(&self.tops, (addr >> 112) as usize);
    }

    /// Asks for the runs that [`V6::find`] will search.
    #[inline(always)]
    pub fn foresee_runs(&self, addr: u128) {
        ahead::fetch(&self.runs, self.stretch((addr >> 64) as u64).0);
    }

    /// The first and the last run of those among which the one of a key is.
    #[inline(always)]
    fn stretch(&self, key: u64) -> (usize, usize) {
        let top = &self.tops[(key >> 48) as usize];
        let slot = (((key >> 16) as u32).saturating_sub(top.base) >> top.shift).min(u32::from(top.n_slots) - 1);
        let slot = (top.slot + slot) as usize;
        (self.slots[slot] as usize, self.slots[slot + 1] as usize)
    }

    #[cold]
    fn find_fine(&self, addr: u128) -> (u32, u8) {
        let at = last_at_most(&self.fine, addr, |run| run.start);
        // The neighbours in this list may lie outside the /64; the one inside it is closer and decides.
        (self.fine[at].id, scope(&self.fine, at, addr))
    }

    /// Runs in it.
    pub fn n_runs(&self) -> usize {
        self.runs.len() + self.fine.len()
    }
}

/// Takes the /64s with several ids out.
fn split_fine(runs: &[Run<u128>]) -> (Vec<Run<u64>>, Vec<Run<u128>>) {
    let (mut coarse, mut fine) = (Vec::<Run<u64>>::new(), Vec::<Run<u128>>::new());
    let mut i = 0;
    let mut current = 0;
    while let Some(run) = runs.get(i) {
        let key = (run.start >> 64) as u64;
        let inside = runs[i..].partition_point(|r| (r.start >> 64) as u64 == key);
        let aligned = run.start as u64 == 0;
        if aligned && inside == 1 {
            crate::geo::runs::push(&mut coarse, key, run.id);
        } else {
            if !aligned {
                fine.push(Run { start: u128::from(key) << 64, id: current });
            }
            fine.extend(&runs[i..i + inside]);
            crate::geo::runs::push(&mut coarse, key, FINE);
            if let Some(next) = key.checked_add(1)
                && runs.get(i + inside).is_none_or(|r| r.start > u128::from(next) << 64)
            {
                crate::geo::runs::push(&mut coarse, next, runs[i + inside - 1].id);
            }
        }
        current = runs[i + inside - 1].id;
        i += inside;
    }
    (coarse, fine)
}

/// Cuts the block `top`, at whose first address run `at` is in effect and in which `n_inside` more start.
fn cut_top(runs: &[Run<u64>], at: usize, n_inside: usize, top: u64, slots: &mut Vec<u32>) -> Top {
    let middle = |run: &Run<u64>| (run.start >> 16) as u32;
    let inside = &runs[at + 1..at + 1 + n_inside];
    let (base, end) = (inside.first().map_or(0, middle), inside.last().map_or(0, middle));
    // About two runs to a slot: a slot's bounds are read together, and so are two runs.
    let n_wanted = (n_inside as u32 / 2).clamp(1, 1 << 14);
    let shift = (0..32).find(|&s| (end - base) >> s < n_wanted).unwrap_or(31);
    let n_slots = ((end - base) >> shift) + 1;
    let slot = slots.len() as u32;
    slots.push(at as u32);
    let mut i = at;
    for j in 1..n_slots {
        let edge = top << 48 | u64::from(base + (j << shift)) << 16;
        while runs.get(i + 1).is_some_and(|next| next.start <= edge) {
            i += 1;
        }
        slots.push(i as u32);
    }
    slots.push((at + n_inside) as u32);
    Top { slot, base, n_slots: n_slots as u16, shift: shift as u8 }
}

//----------- Search ---------------------------------------------------------

/// The last item whose key is at most `key`; the first item's key is taken to be.
#[inline]
fn last_at_most<T, K: Ord + Copy>(items: &[T], key: K, key_of: impl Fn(&T) -> K) -> usize {
    let (mut from, mut len) = (0, items.len());
    while len > 1 {
        let half = len / 2;
        // No branch to mispredict: the comparison becomes a conditional move.
        from += if key_of(&items[from + half]) <= key { half } else { 0 };
        len -= half;
    }
    from
}

impl Address for u64 {
    const BITS: u8 = 64;
    fn from_bits(bits: u128) -> u64 {
        bits as u64
    }
    fn bits(self) -> u128 {
        u128::from(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::runs::{Interner, of_prefixes};
    use proptest::prelude::*;

    /// The id of an address by a scan over the runs, and the shortest prefix by trying them all.
    fn slowly<A: Address>(runs: &[Run<A>], addr: A) -> (u32, u8) {
        let id_at = |bits: u128| runs.iter().rev().find(|run| run.start.bits() <= bits).unwrap().id;
        let id = id_at(addr.bits());
        let one_id = |len: &u8| {
            let host = 1u128.checked_shl(u32::from(A::BITS - len)).map_or(u128::MAX, |n| n - 1);
            let (lo, hi) = (addr.bits() & !host, addr.bits() | host);
            id_at(lo) == id && runs.iter().all(|r| r.start.bits() <= lo || r.start.bits() > hi || r.id == id)
        };
        (id, (0..=A::BITS).find(one_id).unwrap())
    }

    fn edges<A: Address>(runs: &[Run<A>], extra: A) -> Vec<A> {
        let mut all = vec![extra, A::from_bits(0), A::from_bits(u128::MAX)];
        all.extend(runs.iter().flat_map(|r| [r.start, A::from_bits(r.start.bits().wrapping_sub(1))]));
        all
    }

    proptest! {
        /// A lookup equals a linear scan, its scope is true, and no shorter one is.
        #[test]
        fn v4_equals_a_linear_scan(
            nets in prop::collection::vec((any::<u32>(), 0u8..=32, 0u32..4), 0..20),
            near in prop::collection::vec((0u32..300, 20u8..=32, 0u32..4), 0..20),
            extra in any::<u32>(),
        ) {
            let mask = |bits: u32, len: u8| bits & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            let near = near.iter().map(|&(b, len, t)| (0x0a0a_0000 + b * 7, len, t));
            let nets: Vec<_> = nets.iter().copied().chain(near).map(|(b, len, t)| (u128::from(mask(b, len)), len, t)).collect();
            let runs: Vec<Run<u32>> = of_prefixes(&nets, &mut Interner::with(vec![]));
            let fast = V4::new(&runs);
            let shifted: Vec<_> = runs.iter().map(|run| Run { id: run.id + 65_533, ..*run }).collect();
            let wide = V4::new(&shifted);
            for addr in edges(&runs, extra) {
                let want = slowly(&runs, addr);
                prop_assert_eq!(fast.find(addr), want, "{:#x}", addr);
                prop_assert_eq!(wide.find(addr), (want.0 + 65_533, want.1), "{:#x}", addr);
            }
        }

        #[test]
        fn v6_equals_a_linear_scan(
            nets in prop::collection::vec((any::<u128>(), 0u8..=128, 0u32..4), 0..20),
            near in prop::collection::vec((any::<u128>(), 30u8..=128, 0u32..4), 0..60),
            extra in any::<u128>(),
        ) {
            let mask = |bits: u128, len: u8| bits & u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            // Clustered as allocations are: under 2a02::/24, some within few /64s.
            let near = near.iter().map(|&(b, len, t)| {
                let b = if len > 60 { b & 0xff00_0000_0000_000f_0000_0000_0000_00ff } else { b };
                (0x2a02u128 << 112 | b >> 24, len, t)
            });
            let nets: Vec<_> = nets.iter().copied().chain(near).map(|(b, len, t)| (mask(b, len), len, t)).collect();
            let runs: Vec<Run<u128>> = of_prefixes(&nets, &mut Interner::with(vec![]));
            let fast = V6::new(&runs);
            for addr in edges(&runs, extra) {
                let ((id, scope), (want, least)) = (fast.find(addr), slowly(&runs, addr));
                prop_assert_eq!(id, want, "{:#x}", addr);
                // Beside a /64 with several ids a scope may be longer than it need be, never shorter.
                prop_assert!(scope >= least && scope <= least.max(64), "{:#x}: {} for {}", addr, scope, least);
            }
        }
    }
}
