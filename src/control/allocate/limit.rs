//! Bounded steps in: a POP fills up over several ticks, but is left at once.
//!
//! Caches, connections and cold services make a sudden rise worse than its size; a fall hurts nobody. So
//! what rows add to a POP in one tick is held to a part of its capacity, unless it comes from where it
//! cannot stay: members that may no longer be given, and POPs that are over.

use crate::control::allocate::problem::{Allocation, Problem};
use crate::control::allocate::settle::{Rows, settle};
use crate::control::rows::RowSet;
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::policy::Effect;
use crate::steering::Row;

/// The allocation on the way to `wanted` that a tick may take from `problem.groups[…].prev`.
///
/// `max_in`: what a POP may take in on top, as a part of its `max`; `leave[p]`: whether POP `p` is over,
/// so that leaving it is not bounded. Groups without a plan before take what is wanted at once, and so do
/// cells where no member was given before or none may be now.
///
/// Of what a row moves, the part that must leave is placed in full; additions are otherwise scaled by
/// `s_p = min(1, (max_in·max_p − forced in)/free in)` of their POP, and departures with them.
pub fn limit_step(problem: &Problem, wanted: &Allocation, max_in: f64, leave: &[bool]) -> Allocation {
    let n_pops = problem.pops.len();
    let (mut forced_in, mut free_in) = (vec![0.0; n_pops], vec![0.0; n_pops]);
    for_each_move(problem, wanted, leave, |group, cell, row| {
        let demand = problem.groups[group.idx()].demand[cell.idx()];
        let must = row.must();
        for (m, added) in row.moves().filter(|(_, d)| *d > 0.0) {
            if let Some(pop) = problem.policies.groups[group.idx()].members[m].pop {
                forced_in[pop.idx()] += demand * added * must;
                free_in[pop.idx()] += demand * added * (1.0 - must);
            }
        }
    });
    let scale = |p: usize| {
        let room = (max_in * problem.pops[p].max - forced_in[p]).max(0.0);
        if free_in[p] > room { room / free_in[p] } else { 1.0 }
    };
    let scale: Vec<f64> = (0..n_pops).map(scale).collect();
    if scale.iter().all(|s| *s == 1.0) {
        return wanted.clone();
    }
    let mut groups: Vec<RowSet> = problem.groups.iter().map(|g| RowSet::with_cells(g.demand.len())).collect();
    for_each_move(problem, wanted, leave, |group, _, row| {
        let members = &problem.policies.groups[group.idx()].members;
        groups[group.idx()].push(row.step(|m| members[m].pop.map_or(1.0, |p| scale[p.idx()])));
    });
    let taken = |(set, to): (RowSet, &crate::control::allocate::GroupAllocation)| match set.row_of_cell.is_empty() {
        true => Rows { rows: to.rows.clone(), row_of_cell: to.row_of_cell.clone() },
        false => Rows { rows: set.rows, row_of_cell: set.row_of_cell },
    };
    let groups = groups.into_iter().zip(&wanted.groups).map(taken).collect();
    let price = |p: usize| wanted.pops[p].price_ms;
    Allocation { warm: wanted.warm.clone(), n_passes: wanted.n_passes, ..settle(problem, groups, price) }
}

/// Calls `each` for the cells of groups that have a plan.
fn for_each_move(
    problem: &Problem,
    wanted: &Allocation,
    leave: &[bool],
    mut each: impl FnMut(GroupIdx, CellIdx, Move<'_>),
) {
    for (g, (here, to)) in problem.groups.iter().zip(&wanted.groups).enumerate() {
        let Some(prev) = here.prev else { continue };
        let spec = &problem.policies.groups[g];
        let stuck: Vec<bool> = spec
            .members
            .iter()
            .zip(&here.usable)
            .map(|(m, usable)| *usable && !m.pop.is_some_and(|p| leave[p.idx()]))
            .collect();
        for (r, row) in to.row_of_cell.iter().enumerate() {
            let to = &to.rows[*row as usize].to_vec();
            let before = prev.row_of_cell.get(r).and_then(|r| prev.rows.get(*r as usize));
            let before = &before.map_or_else(|| to.clone(), Row::to_vec);
            let fence = match problem.geography.effect(GroupIdx::from(g), spec, CellIdx::from(r)) {
                Some(Effect::Only(set)) => Some(set.as_slice()),
                _ => None,
            };
            each(GroupIdx::from(g), CellIdx::from(r), Move { before, to, may_stay: &stuck, fence });
        }
    }
}

//----------- Move -----------------------------------------------------------

/// What one row is to do.
struct Move<'a> {
    before: &'a [f32],
    to: &'a [f32],
    /// Per member, whether it is usable and not at a POP to be left.
    may_stay: &'a [bool],
    fence: Option<&'a [MemberIdx]>,
}

impl Move<'_> {
    /// Members and what their share changes by.
    fn moves(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let change = |(b, t): (&f32, &f32)| f64::from(*t) - f64::from(*b);
        self.before.iter().zip(self.to).map(change).enumerate().filter(|(_, d)| *d != 0.0)
    }

    fn must_leave(&self, m: usize) -> bool {
        !self.may_stay[m] || self.fence.is_some_and(|set| !set.contains(&MemberIdx::from(m)))
    }

    /// The part of what moves that must; 1 where the row begins or ends to give members at all.
    fn must(&self) -> f64 {
        let empty = |shares: &[f32]| shares.iter().all(|s| *s == 0.0);
        if empty(self.before) || empty(self.to) {
            return 1.0;
        }
        let left = |keep: bool| -> f64 {
            self.moves().filter(|(m, d)| *d < 0.0 && (keep || self.must_leave(*m))).map(|(_, d)| -d).sum()
        };
        let all = left(true);
        if all > 0.0 { (left(false) / all).min(1.0) } else { 1.0 }
    }

    /// The row that `scale[m]` of the additions allows, beyond those that must be.
    fn step(&self, scale: impl Fn(usize) -> f64) -> Row {
        let must = self.must();
        let factor = |m: usize| must + (1.0 - must) * scale(m);
        let wanted: f64 = self.moves().map(|(_, d)| d.max(0.0)).sum();
        let allowed: f64 = self.moves().map(|(m, d)| d.max(0.0) * factor(m)).sum();
        if must >= 1.0 || allowed >= wanted {
            return Row::new(self.to);
        }
        // What must leave leaves; the others give up the rest in proportion.
        let freely = (allowed - must * wanted) / ((1.0 - must) * wanted);
        let mut shares = self.before.to_vec();
        for (m, d) in self.moves() {
            let part = match () {
                () if d > 0.0 => factor(m),
                () if self.must_leave(m) => 1.0,
                () => freely,
            };
            shares[m] = (f64::from(self.before[m]) + d * part).max(0.0) as f32;
        }
        Row::new(&shares)
    }
}
