//! What allocation decided, in full: enough to compile a table from, to serve from after a restart,
//! and to explain every answer with.
//!
//! Vectors run parallel to the policies and cells of one snapshot. What outlives a reload is saved by
//! name (`control::persist`).

use crate::id::{CellIdx, GroupIdx};
use std::sync::Arc;

//----------- Plan -----------------------------------------------------------

/// The decisions of one tick.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Plan {
    /// Unix seconds at which it was decided.
    pub decided_at: f64,
    /// Why the plan is what it is.
    pub mode: Mode,
    /// One entry per POP.
    pub pops: Vec<PopPlan>,
    /// One entry per group.
    pub groups: Vec<GroupPlan>,
}

/// On what the plan rests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing has been measured yet: declared capacities and the map's weights.
    #[default]
    Declared,
    /// Measured and forecast demand.
    Live,
    /// Telemetry is silent: somewhere between the last live plan and the blind shares.
    Blind,
    /// Read back after a restart and not yet renewed.
    Stale,
}

/// One POP in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PopPlan {
    /// Its breaker.
    pub breaker: BreakerState,
    /// Why the breaker is where it is, or what else takes room from the POP, in words; empty while nothing does.
    pub reason: String,
    /// What it can carry now, requests per second: declared, reported or learned × breaker factor.
    pub capacity: f64,
    /// What allocation aims to stay under: capacity − reserve, requests per second.
    pub target: f64,
    /// What the plan expects it to carry, requests per second.
    pub load: f64,
    /// Milliseconds that its fullness adds to its distance; at least 0.
    pub price_ms: f64,
    /// Seconds since a sample arrived; infinite before the first.
    pub silent_secs: f64,
}

/// State of a breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum BreakerState {
    /// Traffic flows.
    #[default]
    Closed,
    /// Traffic flows at a reduced factor while evidence gathers.
    Suspect,
    /// No traffic.
    Open,
    /// Bounded probes.
    HalfOpen,
    /// Closed, with capacity returning in steps.
    Ramp,
}

impl BreakerState {
    /// All of them.
    pub const ALL: [BreakerState; 5] =
        [BreakerState::Closed, BreakerState::Suspect, BreakerState::Open, BreakerState::HalfOpen, BreakerState::Ramp];
}

/// State of a shadow member.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum ShadowState {
    /// Off.
    #[default]
    Cold,
    /// Asked to start, not yet confirmed.
    Warming,
    /// Confirmed; serves a trickle.
    Ready,
    /// Serves.
    Active,
    /// Gets no new answers, waits for its load to fade.
    Draining,
}

/// One group in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupPlan {
    /// TTL of its answers, seconds.
    pub ttl: u32,
    /// Demand it was planned for.
    pub demand: Demand,
    /// One entry per member.
    pub members: Vec<MemberPlan>,
    /// The distinct rows.
    pub rows: Vec<Row>,
    /// For each cell, its row in `rows`.
    pub row_of_cell: Vec<u32>,
    /// The rows to blend towards when telemetry falls silent, parallel to `rows` of the same cells:
    /// `blind_rows[blind_row_of_cell[cell]]`; fenced, healthy, proportional to declared capacity.
    pub blind_rows: Vec<Row>,
    /// See `blind_rows`.
    pub blind_row_of_cell: Vec<u32>,
    /// Requests per second for which no room was found.
    pub short: f64,
    /// Slots that carry much of a cell, each placed as a whole by its weight; empty but for sticky groups.
    pub heavy: Heavy,
}

/// What the slots carry that carry much.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heavy {
    /// The slots, by ascending cell and slot. Clones share.
    pub slots: Arc<[HeavySlot]>,
    /// Part of the group's queries that they carry between them, in `[0, 1]`: how concentrated it is.
    pub part: f64,
}

/// A slot that carries much of its cell: a large resolver, or several clients that fall together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeavySlot {
    /// The cell.
    pub cell: CellIdx,
    /// The slot, of 4,096 ([`slot_of`](crate::steering::slot_of)).
    pub slot: u16,
    /// Part of the cell's queries that it carries, in `(0, 1]`.
    pub weight: f32,
}

impl Heavy {
    /// The slots of one cell.
    pub fn of(&self, cell: CellIdx) -> &[HeavySlot] {
        let from = self.slots.partition_point(|s| s.cell < cell);
        let n = self.slots[from..].partition_point(|s| s.cell == cell);
        &self.slots[from..from + n]
    }
}

/// What a group is expected to ask for, requests per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Demand {
    /// Measured now.
    pub now: f64,
    /// Planned for: the greatest of now and the quantiles looked at.
    pub planned: f64,
    /// Median and 0.9 quantile 5, 15 and 30 minutes ahead; `None` without a forecast.
    pub ahead: Option<[[f64; 2]; 3]>,
}

/// The breaker of one member alone.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnBreaker {
    /// Its state, not Closed.
    pub state: BreakerState,
    /// Why it is there, and what keeps it there, in words.
    pub reason: String,
}

/// One member in the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberPlan {
    /// Whether it may be given at all, and if not, why (`Open`, `Cold`, …, in words).
    pub usable: Result<(), &'static str>,
    /// Its own breaker, where that is not Closed: it fails and others at its POP do not. The POP's stands with the POP.
    pub breaker: Option<Arc<OwnBreaker>>,
    /// State, for shadow members.
    pub shadow: Option<ShadowState>,
    /// Share of the group's planned demand, in `[0, 1]`.
    pub share: f64,
    /// Expected load, requests per second.
    pub load: f64,
}

/// Shares of one set of cells: of each member in `[0, 1]`, summing to 1; or all 0 when no member may be given
/// there and `all-down=` puts none in their place.
///
/// Only what is not 0 is held, since a row gives few of what may be hundreds of members: with 200, a plan of 500,000
/// rows takes a tenth of what all shares would. Clones share.
#[derive(Clone, Debug)]
pub struct Row {
    n_members: usize,
    /// Ascending by member.
    given: Arc<[(u16, f32)]>,
}

impl PartialEq for Row {
    fn eq(&self, other: &Row) -> bool {
        // Plans are compared with those before, and most rows are the very same.
        self.n_members == other.n_members && (Arc::ptr_eq(&self.given, &other.given) || self.given == other.given)
    }
}

impl Row {
    /// A row of `shares[m]` for member `m`.
    pub fn new(shares: &[f32]) -> Row {
        Row::of(shares.len(), (0..).zip(shares).map(|(m, share)| (m, *share)))
    }

    /// A row of the shares of some of `n_members`, ascending by member; the others have none.
    pub fn of(n_members: usize, shares: impl Iterator<Item = (u16, f32)>) -> Row {
        Row { n_members, given: shares.filter(|(_, share)| *share != 0.0).collect() }
    }

    /// Number of members, with a share or without.
    pub fn n_members(&self) -> usize {
        self.n_members
    }

    /// The share of a member.
    pub fn get(&self, member: usize) -> f32 {
        self.given.binary_search_by_key(&member, |(m, _)| usize::from(*m)).map_or(0.0, |at| self.given[at].1)
    }

    /// Members and their shares, those that are not 0, ascending.
    pub fn given(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        self.given.iter().map(|&(m, share)| (usize::from(m), share))
    }

    /// Whether no member has a share.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// The share of every member.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut shares = vec![0.0; self.n_members];
        self.given().for_each(|(m, share)| shares[m] = share);
        shares
    }
}

impl Plan {
    /// The shares of a cell in a group.
    pub fn row(&self, group: GroupIdx, cell: CellIdx) -> &Row {
        let g = &self.groups[group.idx()];
        &g.rows[g.row_of_cell[cell.idx()] as usize]
    }
}
