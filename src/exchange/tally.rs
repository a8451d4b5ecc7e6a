//! What the data plane answered, counted where no two threads write.
//!
//! Every thread owns a block of counters and is its only writer, so counting is a plain load and store:
//! no lock, no locked instruction, no cache line that two cores fight for. Readers sum over the blocks
//! whenever they like; a sum taken while threads count is right for some moment of each counter.
//!
//! Beside the counters lies what the slots of sticky groups carry: too many to have counters, so that a sketch per thread
//! (`hitters`) keeps those that are asked most, stretch by stretch.
//!
//! Invariant: counters never go down; a reload makes a new tally instead of clearing the old one.

use crate::exchange::block::Block;
use crate::exchange::hitters::{Half, Hitters};
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::steering::slot_of;

//----------- Tally ----------------------------------------------------------

/// Per-thread counters of one layout of groups, members and cells. A reload makes a new one.
///
/// A block holds, for each group, one counter per member and one for "no member", and behind those
/// `n_groups × n_cells` counters of the steered queries by cell.
#[derive(Debug, Default)]
pub struct Tally {
    pages: Box<[Page]>,
    /// The half of all sketches that is written now.
    half: Half,
    /// Where the members of each group start in a block; one more entry marks the start of the cells.
    first_member: Box<[usize]>,
    n_cells: usize,
}

/// What one thread counts.
#[derive(Debug)]
struct Page {
    block: Block,
    /// What it calls a row is a counter of queries by cell, counted from the first of these.
    hitters: Hitters,
}

/// The sum over threads at one moment; counts since the tally was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TallySum {
    /// `answered[group][member]`: steered answers that gave the member.
    pub answered: Vec<Vec<u64>>,
    /// `queries[group][cell]`: steered queries from the cell.
    pub queries: Vec<Vec<u64>>,
    /// `all_down[group]`: steered queries for which no member could be given.
    pub all_down: Vec<u64>,
    /// What slots carried in the stretch that was told last ([`Tally::carried`]), where one was; in any order, and a slot
    /// may be there more than once.
    pub carried: Vec<Carried>,
}

/// Queries of a sticky group from one cell whose keys fell into one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carried {
    /// The group.
    pub group: GroupIdx,
    /// The cell.
    pub cell: CellIdx,
    /// The slot, of 4,096, whatever the row has: see [`slot_of`].
    pub slot: u16,
    /// How many there were, at least: the sketch forgets some where much is asked, and invents none.
    pub n: u32,
}

impl Tally {
    /// Room for `n_threads` writers, `n_members[g]` members of each group, and `n_cells` cells.
    pub fn new(n_threads: usize, n_members: &[usize], n_cells: usize) -> Tally {
        let mut first_member = Vec::with_capacity(n_members.len() + 1);
        let mut at = 0;
        for n in n_members {
            first_member.push(at);
            at += n + 1;
        }
        first_member.push(at);
        let n_rows = n_members.len() * n_cells;
        let page = |_| Page { block: Block::new(at + n_rows), hitters: Hitters::new() };
        Tally {
            pages: (0..n_threads).map(page).collect(),
            half: Half::default(),
            first_member: first_member.into(),
            n_cells,
        }
    }

    /// Number of threads there is room for.
    pub fn n_threads(&self) -> usize {
        self.pages.len()
    }

    /// Counts one steered query of thread `thread`, answered with `member` or, if `None`, all-down. `sticky`: the key of the
    /// pick, where the group's are sticky, and its slot is counted as well.
    ///
    /// Only one thread may use each `thread` number, or counts get lost (nothing worse).
    ///
    /// # Panics
    /// If thread, group or cell is outside the layout.
    #[inline]
    pub fn count(&self, thread: usize, group: GroupIdx, cell: CellIdx, member: Option<MemberIdx>, sticky: Option<u64>) {
        let (Page { block, hitters }, group) = (&self.pages[thread], group.idx());
        let (first, next) = (self.first_member[group], self.first_member[group + 1]);
        let row = group * self.n_cells + cell.idx();
        block.add(member.map_or(next - 1, |m| first + m.idx()), 1);
        block.add(self.first_row() + row, 1);
        if let Some(key) = sticky {
            hitters.count(&self.half, row as u32, slot_of(key));
        }
    }

    /// Ends the stretch in which slots are counted, and begins the next.
    pub fn turn(&self) {
        self.half.change();
    }

    /// What slots carried in the stretch that ended last, over all threads; told once.
    ///
    /// One thread, the control loop, calls this, some time after [`Tally::turn`] and before the next: whoever counts has to
    /// have seen by then that a new stretch has begun.
    pub fn carried(&self) -> Vec<Carried> {
        let mut carried = Vec::new();
        for page in &self.pages {
            page.hitters.empty(&self.half, |hit| {
                let (group, cell) = (hit.row as usize / self.n_cells, hit.row as usize % self.n_cells);
                carried.push(Carried { group: group.into(), cell: cell.into(), slot: hit.slot, n: hit.n });
            });
        }
        carried
    }

    /// Sums over threads.
    pub fn sum(&self) -> TallySum {
        let n_groups = self.first_member.len().saturating_sub(1);
        let total = |at: usize| self.pages.iter().map(|page| page.block.get(at)).sum::<u64>();
        let range = |from: usize, n: usize| (from..from + n).map(total).collect::<Vec<u64>>();
        let mut sum = TallySum::default();
        for group in 0..n_groups {
            let (first, next) = (self.first_member[group], self.first_member[group + 1]);
            sum.answered.push(range(first, next - 1 - first));
            sum.all_down.push(total(next - 1));
            sum.queries.push(range(self.first_row() + group * self.n_cells, self.n_cells));
        }
        sum
    }

    /// Where the counters of queries by cell begin.
    #[inline]
    fn first_row(&self) -> usize {
        self.first_member[self.first_member.len() - 1]
    }
}

impl TallySum {
    /// What was counted between `earlier` and this sum of the same tally.
    ///
    /// If the layouts differ, `earlier` belongs to a tally that has been replaced, and all of this
    /// sum is new.
    pub fn since(&self, earlier: &TallySum) -> TallySum {
        let row = |now: &[u64], then: &[u64]| -> Vec<u64> {
            now.iter().zip(then).map(|(now, then)| now.saturating_sub(*then)).collect()
        };
        let rows = |now: &[Vec<u64>], then: &[Vec<u64>]| -> Vec<Vec<u64>> {
            now.iter().zip(then).map(|(now, then)| row(now, then)).collect()
        };
        if self.layout() != earlier.layout() {
            return self.clone();
        }
        TallySum {
            answered: rows(&self.answered, &earlier.answered),
            queries: rows(&self.queries, &earlier.queries),
            all_down: row(&self.all_down, &earlier.all_down),
            carried: self.carried.clone(),
        }
    }

    /// Steered queries of all groups: every one got a member or was all-down.
    pub fn total(&self) -> u64 {
        self.queries.iter().flatten().sum()
    }

    fn layout(&self) -> (Vec<usize>, Vec<usize>) {
        (self.answered.iter().map(Vec::len).collect(), self.queries.iter().map(Vec::len).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counts a list of events on a tally of two threads, groups of 3 and 1 members, and 4 cells, and
    /// compares with sums kept the obvious way.
    fn check(events: &[(usize, u16, u32, Option<u16>)]) {
        let members = [3, 1];
        let tally = Tally::new(2, &members, 4);
        let mut want = TallySum {
            answered: members.iter().map(|n| vec![0; *n]).collect(),
            queries: vec![vec![0; 4]; 2],
            all_down: vec![0; 2],
            carried: Vec::new(),
        };
        let mut middle = TallySum::default();
        for (i, (thread, group, cell, member)) in events.iter().enumerate() {
            if i == events.len() / 2 {
                middle = tally.sum();
                assert_eq!(middle, want);
            }
            tally.count(*thread, GroupIdx(*group), CellIdx(*cell), member.map(MemberIdx), None);
            want.queries[*group as usize][*cell as usize] += 1;
            match member {
                Some(m) => want.answered[*group as usize][*m as usize] += 1,
                None => want.all_down[*group as usize] += 1,
            }
        }
        let sum = tally.sum();
        assert_eq!(sum, want);
        assert_eq!(sum.total(), events.len() as u64);
        let answered: u64 = sum.answered.iter().flatten().sum();
        assert_eq!(answered + sum.all_down.iter().sum::<u64>(), sum.total(), "the books balance");
        assert_eq!(sum.since(&middle).total(), (events.len() - events.len() / 2) as u64);
    }

    /// What is counted for slots is told when its stretch has ended, whole, under the group and cell that it was weighed for.
    #[test]
    fn what_slots_carry_is_told_once() {
        let tally = Tally::new(2, &[3, 1], 4);
        let key = |slot: u64| slot << 52 | 12_345;
        for (thread, group, cell, slot, n) in [(0, 0, 0, 7, 3), (1, 0, 0, 7, 2), (1, 1, 3, 4095, 4)] {
            (0..n).for_each(|_| tally.count(thread, GroupIdx(group), CellIdx(cell), None, Some(key(slot))));
        }
        assert_eq!(tally.carried(), [], "nothing rests yet");
        tally.turn();
        tally.count(0, GroupIdx(1), CellIdx(2), None, Some(key(9)));
        let of = |(group, cell, slot, n)| Carried { group: GroupIdx(group), cell: CellIdx(cell), slot, n };
        let mut told = tally.carried();
        told.sort_by_key(|c| (c.group, c.n));
        assert_eq!(told, [(0, 0, 7, 2), (0, 0, 7, 3), (1, 3, 4095, 4)].map(of));
        assert_eq!(tally.carried(), []);
        tally.turn();
        assert_eq!(tally.carried(), [of((1, 2, 9, 1))]);
        assert_eq!(Tally::default().carried(), []);
    }

    proptest! {
        /// Every counter is its own: no event lands on another's, and sums over threads are exact.
        #[test]
        fn sums_are_exact(events in prop::collection::vec((0..2usize, 0..2u16, 0..4u32, prop::option::of(0..3u16)), 0..60)) {
            let fitting: Vec<_> = events.into_iter().map(|(t, g, c, m)| (t, g, c, m.filter(|m| g == 0 || *m < 1))).collect();
            check(&fitting);
        }
    }

    /// After a reload the first difference is what the new tally holds, not nonsense against the old.
    #[test]
    fn a_new_layout_starts_over() {
        let (old, new) = (Tally::new(1, &[2], 1), Tally::new(1, &[3], 1));
        old.count(0, GroupIdx(0), CellIdx(0), None, None);
        new.count(0, GroupIdx(0), CellIdx(0), Some(MemberIdx(2)), None);
        assert_eq!(new.sum().since(&old.sum()), new.sum());
        assert_eq!(Tally::default().sum(), TallySum::default());
    }
}
