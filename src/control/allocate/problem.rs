//! What an allocation starts from, and what it gives back.
//!
//! All groups stand in one problem because they share POPs. Distances and routes change only with a
//! reload and live in [`Geography`]; the rest is made anew each tick.

use crate::control::allocate::kept::Kept;
use crate::control::candidates::{distance_ms_to, route_idx};
use crate::geo::{Cell, CellMap};
use crate::id::{CellIdx, GroupIdx, PopIdx};
use crate::policy::{Effect, Group, Policies};
use crate::steering::{GroupPlan, Row};

//----------- Geography ------------------------------------------------------

/// Distances and routes of one set of policies and cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Geography {
    /// Number of cells, `R`.
    pub n_cells: usize,
    /// Number of POPs, `P`.
    pub n_pops: usize,
    /// `ms[r * P + p]`: round-trip milliseconds from cell `r` to POP `p`, finite and not negative.
    pub ms: Vec<f32>,
    /// `order[r * P..][..P]`: the POPs from the nearest to cell `r` to the farthest, ties by name.
    pub order: Vec<PopIdx>,
    /// `route[g][r]`: the route of group `g` that decides for cell `r`.
    pub route: Vec<Vec<Option<u16>>>,
}

impl Geography {
    /// Works out distances and routes: `R·P·log P` plus, per group with routes, `R`.
    pub fn new(policies: &Policies, cells: &CellMap) -> Geography {
        let ms = cells.cells.iter().flat_map(|cell| policies.pops.iter().map(|pop| distance_ms_to(pop, cell) as f32));
        let routes = |g: usize| {
            let route = |cell: &Cell| route_idx(policies, GroupIdx::from(g), cell).map(|r| r as u16);
            cells.cells.iter().map(route).collect()
        };
        let route = (0..policies.groups.len()).map(routes).collect();
        Geography::from_ms(policies, cells.cells.len(), ms.collect(), route)
    }

    /// Takes distances from elsewhere, such as measured ones; shapes as in the fields.
    ///
    /// # Panics
    /// If the shapes do not fit.
    pub fn from_ms(policies: &Policies, n_cells: usize, ms: Vec<f32>, route: Vec<Vec<Option<u16>>>) -> Geography {
        let n_pops = policies.pops.len();
        assert_eq!(ms.len(), n_cells * n_pops, "one distance per cell and POP");
        assert!(
            route.len() == policies.groups.len() && route.iter().all(|r| r.len() == n_cells),
            "a route per group and cell"
        );
        let mut order = Vec::with_capacity(ms.len());
        for r in 0..n_cells {
            let from = order.len();
            order.extend((0..n_pops).map(PopIdx::from));
            let (ms, name) = (|p: PopIdx| ms[r * n_pops + p.idx()], |p: PopIdx| &policies.pops[p.idx()].name);
            order[from..].sort_by(|&a, &b| ms(a).total_cmp(&ms(b)).then_with(|| name(a).cmp(name(b))));
        }
        Geography { n_cells, n_pops, ms, order, route }
    }

    /// Milliseconds from a cell to a POP.
    pub fn ms(&self, cell: CellIdx, pop: PopIdx) -> f32 {
        self.ms[cell.idx() * self.n_pops + pop.idx()]
    }

    /// The POPs from the nearest to a cell to the farthest.
    pub fn order_of(&self, cell: CellIdx) -> &[PopIdx] {
        &self.order[cell.idx() * self.n_pops..][..self.n_pops]
    }

    /// What the routes of a group do to a cell.
    pub fn effect<'a>(&self, group: GroupIdx, spec: &'a Group, cell: CellIdx) -> Option<&'a Effect> {
        self.route[group.idx()][cell.idx()].map(|r| &spec.routes[usize::from(r)].effect)
    }
}

//----------- Problem --------------------------------------------------------

/// One tick's question: who serves what.
#[derive(Clone, Debug)]
pub struct Problem<'a> {
    /// The policies; `pops`, `groups` and members below run parallel to them.
    pub policies: &'a Policies,
    /// Their distances and routes.
    pub geography: &'a Geography,
    /// What each POP can carry, of all groups together.
    pub pops: Vec<Room>,
    /// The groups.
    pub groups: Vec<GroupProblem<'a>>,
}

/// What a POP or a member can carry, requests per second; finite, not negative.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Room {
    /// What to stay under while all demand fits so: capacity less reserve.
    pub target: f64,
    /// The most it bears, at least `target`.
    pub max: f64,
}

/// One group of a problem.
#[derive(Clone, Debug)]
pub struct GroupProblem<'a> {
    /// `demand[r]`: planned demand of cell `r`, requests per second, finite and not negative. Cells
    /// without demand get shares all the same.
    pub demand: Vec<f64>,
    /// `usable[m]`: whether member `m` may be given at all: its POP is not Open, it is not a shadow that
    /// is Cold, and so on.
    pub usable: Vec<bool>,
    /// `shadow_active[m]`: whether member `m` counts as having an active shadow, for `steer=weighted`.
    pub shadow_active: Vec<bool>,
    /// `room[m]`: what member `m` can carry; `None` where its POP's room is the only limit.
    pub room: Vec<Option<Room>>,
    /// The plan served now, if it was made for these policies and cells.
    pub prev: Option<&'a GroupPlan>,
}

/// How an allocation weighs things.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Temperature at which a cold solve starts, milliseconds; default 5.
    pub start_ms: f64,
    /// Final temperature, milliseconds, above 0: members whose cost differs by this much share as
    /// 1 : e. Costs at most `T·ln K` over the optimum with `K` members near: 0.7 keeps a group of six
    /// within 1.3 ms, a tenth of the usual 13 ms to the nearest.
    pub temperature_ms: f64,
    /// Shares below this are left out; default 0.005. Answers that rare cost a cache line and prove nothing.
    pub least_share: f64,
    /// Members of a large group that a cell looks at first, by distance; default 8. It looks at more
    /// when those are full.
    pub nearest: usize,
    /// Milliseconds that a moved request must gain to be worth moving, default 2. A row that is kept is
    /// kept for ever, so this is also what calm may cost: more than `T`, less than 13 ms / 5.
    pub churn_ms: f64,
    /// Part of its cost that a row must gain to change; default 0.01.
    pub dead_band: f64,
}

impl Default for Options {
    fn default() -> Options {
        Options { start_ms: 5.0, temperature_ms: 0.7, least_share: 0.005, nearest: 8, churn_ms: 2.0, dead_band: 0.01 }
    }
}

//----------- Allocation -----------------------------------------------------

/// The answer to a [`Problem`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allocation {
    /// One entry per POP.
    pub pops: Vec<PopAllocation>,
    /// One entry per group.
    pub groups: Vec<GroupAllocation>,
    /// Prices, to start the next allocation of the same policies from.
    pub warm: Warm,
    /// Evaluations of the whole problem that it took.
    pub n_passes: u32,
}

/// One POP in an allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PopAllocation {
    /// What it is expected to carry, requests per second.
    pub load: f64,
    /// Milliseconds that its fullness adds to its distance; at least 0. Above
    /// [`OVER_TARGET_MS`](crate::control::allocate::OVER_TARGET_MS) its target no longer holds.
    pub price_ms: f64,
    /// What it costs on top for clients who are at home elsewhere, where `spill=` bounds them.
    pub spill_ms: f64,
}

/// One group in an allocation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupAllocation {
    /// The distinct rows.
    pub rows: Vec<Row>,
    /// For each cell, its row.
    pub row_of_cell: Vec<u32>,
    /// Expected load of each member, requests per second.
    pub load: Vec<f64>,
    /// Demand for which no room was found, requests per second: its part of what POPs and members carry
    /// above their most or take from elsewhere above what `spill=` lets them, and the demand of cells where no member may
    /// be given.
    pub short: f64,
}

/// Prices of an earlier allocation, and what it looked at; empty for a cold start. Those of other policies do no harm beyond
/// a few more steps.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Warm {
    /// Price per POP, milliseconds.
    pub pops: Vec<f64>,
    /// Price per group and member, milliseconds; 0 without a room of its own.
    pub members: Vec<Vec<f64>>,
    /// Price per POP for clients who are at home elsewhere, on top; 0 without a bound on what it takes of them.
    pub spill: Vec<f64>,
    /// Whom rows may choose, where that is as it was; see [`Kept`].
    pub kept: Kept,
}
