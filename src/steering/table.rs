//! The compiled table that queries read.
//!
//! For every group and cell there is a row of slots. A query's key falls into a slot, the slot names the
//! member. Cells whose shares and history agree have one row between them, and rows that a new plan
//! leaves as they were are shared with the table before. A cell with slots that carry much has a row of its own.

mod compile;

use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::policy::Pick;
use crate::steering::slots::{Counts, Slots};
use crate::wire::Name;
use std::sync::Arc;

//----------- Table ----------------------------------------------------------

/// The compiled form of a plan: for every group and cell a row of slots, each slot naming a member.
#[derive(Debug, Default)]
pub struct Table {
    groups: Vec<GroupTable>,
    /// Names of the cells, by which the next table finds the rows of this one.
    cells: Arc<[Box<str>]>,
}

#[derive(Debug)]
struct GroupTable {
    row_of_cell: Vec<u32>,
    rows: Vec<Slots>,
    /// Parallel to `rows`: what each row holds of each member.
    counts: Vec<Arc<Counts>>,
    ttl: u32,
    pick: Pick,
    name: Name,
    /// Stable hash of `name`.
    seed: u64,
    /// Stable name hash per member.
    members: Vec<u64>,
}

/// The outcome of a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// The member to answer with.
    pub member: MemberIdx,
    /// The slot that named it.
    pub slot: u16,
}

impl Table {
    /// TTL of a group's answers, seconds; 0 for a group that the table does not have.
    #[inline]
    pub fn ttl(&self, group: GroupIdx) -> u32 {
        self.groups.get(group.idx()).map_or(0, |g| g.ttl)
    }

    /// How keys for a group are made; sticky for a group that the table does not have.
    #[inline]
    pub fn pick_mode(&self, group: GroupIdx) -> Pick {
        self.groups.get(group.idx()).map_or(Pick::Sticky, |g| g.pick)
    }

    /// What tells the keys of a sticky group from those of the others: a stable hash of its name; 0 for a group that
    /// the table does not have.
    #[inline]
    pub fn sticky_seed(&self, group: GroupIdx) -> u64 {
        self.groups.get(group.idx()).map_or(0, |g| g.seed)
    }

    /// The member of the slot that `key` falls into; `None` when no member may be given there.
    ///
    /// `key`: for sticky groups a stable hash of client prefix and group, for spread groups the
    /// position in a low-discrepancy sequence; uniform over `u64`.
    #[inline]
    pub fn pick(&self, group: GroupIdx, cell: CellIdx, key: u64) -> Option<Picked> {
        let group = self.groups.get(group.idx())?;
        let row = *group.row_of_cell.get(cell.idx())?;
        let (member, slot) = group.rows[row as usize].pick(key)?;
        Some(Picked { member: MemberIdx(member), slot })
    }

    /// Whether every key picks alike in a cell: the row has one member, or none.
    #[inline]
    pub fn is_sole(&self, group: GroupIdx, cell: CellIdx) -> bool {
        let row = self.groups.get(group.idx()).and_then(|g| Some(&g.rows[*g.row_of_cell.get(cell.idx())? as usize]));
        row.is_none_or(|row| matches!(row, Slots::Empty | Slots::One(_)))
    }

    /// What the row of a cell holds: members and their number of slots, by ascending member, and the
    /// number of slots in all. Empty and 0 when no member may be given there.
    pub fn slots(&self, group: GroupIdx, cell: CellIdx) -> (Vec<(MemberIdx, u32)>, u32) {
        let group = &self.groups[group.idx()];
        let counts = &group.counts[group.row_of_cell[cell.idx()] as usize];
        let total = counts.iter().map(|(_, n)| n).sum();
        (counts.iter().map(|&(m, n)| (MemberIdx(m), n)).collect(), total)
    }

    /// Number of distinct rows over all groups.
    pub fn n_rows(&self) -> usize {
        self.groups.iter().map(|g| g.rows.len()).sum()
    }
}

#[cfg(test)]
mod tests;
