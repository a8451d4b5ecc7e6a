//! The compiled table that queries read.

use crate::id::{CellIdx, GroupIdx, MemberIdx};

//----------- Table ----------------------------------------------------------

/// The compiled form of a plan: for every group and cell a row of slots, each slot naming a member.
#[derive(Debug, Default)]
pub struct Table {}

/// The outcome of a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// The member to answer with.
    pub member: MemberIdx,
    /// The slot that named it.
    pub slot: u16,
}

impl Table {
    /// TTL of a group's answers, seconds.
    pub fn ttl(&self, _group: GroupIdx) -> u32 {
        60
    }

    /// The member of the slot that `key` falls into; `None` when no member may be given there.
    ///
    /// `key`: for sticky groups a stable hash of client prefix and group, for spread groups the
    /// position in a low-discrepancy sequence; uniform over `u64`.
    pub fn pick(&self, _group: GroupIdx, _cell: CellIdx, _key: u64) -> Option<Picked> {
        None
    }
}
