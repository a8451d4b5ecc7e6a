//! What the data plane answered, counted where no two threads write.

use crate::id::{CellIdx, GroupIdx, MemberIdx};

//----------- Tally ----------------------------------------------------------

/// Per-thread counters of one layout of groups, members and cells. A reload makes a new one.
#[derive(Debug, Default)]
pub struct Tally {}

/// The sum over threads at one moment; counts since the tally was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TallySum {
    /// `answered[group][member]`: steered answers that gave the member.
    pub answered: Vec<Vec<u64>>,
    /// `queries[group][cell]`: steered queries from the cell.
    pub queries: Vec<Vec<u64>>,
    /// `all_down[group]`: steered queries for which no member could be given.
    pub all_down: Vec<u64>,
}

impl Tally {
    /// Room for `n_threads` writers, `n_members[g]` members of each group, and `n_cells` cells.
    pub fn new(_n_threads: usize, _n_members: &[usize], _n_cells: usize) -> Tally {
        Tally {}
    }

    /// Counts one steered answer of thread `thread`.
    pub fn count(&self, _thread: usize, _group: GroupIdx, _cell: CellIdx, _member: Option<MemberIdx>) {}

    /// Sums over threads.
    pub fn sum(&self) -> TallySum {
        TallySum::default()
    }
}
