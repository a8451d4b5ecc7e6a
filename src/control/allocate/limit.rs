//! Bounded steps in: a POP fills up over several ticks, but is left at once.
//!
//! Caches, connections and cold services make a sudden rise worse than its size; a fall hurts nobody. So
//! what rows add to a POP in one tick is held to a part of its capacity, unless it comes from where it
//! cannot stay: members that may no longer be given, and POPs that are over.

use crate::control::allocate::problem::{Allocation, GroupAllocation, Problem};
use crate::control::allocate::settle::settle;
use crate::control::rows::RowSet;
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::policy::Effect;
use crate::steering::{GroupPlan, Row};

/// The allocation on the way to `wanted` that a tick may take from `problem.groups[…].prev`.
///
/// `max_in`: what a POP may take in on top, as a part of its `max`; `leave[p]`: whether POP `p` is over,
/// so that leaving it is not bounded. Groups without a plan before take what is wanted at once, and so do
/// cells where no member was given before or none may be now.
///
/// Of what a row moves, the part that must leave is placed in full; additions are otherwise scaled by
/// `s_p = min(1, (max_in·max_p − forced in)/free in)` of their POP, and departures with them.
pub fn limit_step(problem: &Problem, wanted: Allocation, max_in: f64, leave: &[bool]) -> Allocation {
    let n_pops = problem.pops.len();
    let (mut forced_in, mut free_in) = (vec![0.0; n_pops], vec![0.0; n_pops]);
    for (g, to) in wanted.groups.iter().enumerate() {
        let Some(steps) = Steps::new(problem, GroupIdx::from(g), to, leave) else { continue };
        let (members, demand) = (&problem.policies.groups[g].members, &problem.groups[g].demand);
        for (r, demand) in demand.iter().enumerate().filter(|(_, d)| **d > 0.0) {
            let Some(row) = steps.of(r) else { continue };
            let must = row.must();
            for (m, added) in row.moves.iter().filter(|(_, d)| *d > 0.0) {
                if let Some(pop) = members[*m].pop {
                    forced_in[pop.idx()] += demand * added * must;
                    free_in[pop.idx()] += demand * added * (1.0 - must);
                }
            }
        }
    }
    let scale = |p: usize| {
        let room = (max_in * problem.pops[p].max - forced_in[p]).max(0.0);
        if free_in[p] > room { room / free_in[p] } else { 1.0 }
    };
    let scale: Vec<f64> = (0..n_pops).map(scale).collect();
    if scale.iter().all(|s| *s == 1.0) {
        return wanted;
    }
    let groups = wanted.groups.iter().enumerate().map(|(g, to)| {
        let whole = || RowSet::of(to.rows.clone(), to.row_of_cell.clone());
        let Some(steps) = Steps::new(problem, GroupIdx::from(g), to, leave) else { return whole() };
        let members = &problem.policies.groups[g].members;
        let of_member = |m: usize| members[m].pop.map_or(1.0, |p| scale[p.idx()]);
        let mut set = RowSet::with_cells(to.row_of_cell.len());
        let mut met = vec![u32::MAX; to.rows.len()];
        for (r, row) in to.row_of_cell.iter().enumerate() {
            match steps.of(r).map(|row| row.step(of_member)) {
                Some(row) => drop(set.push(row)),
                None if met[*row as usize] == u32::MAX => met[*row as usize] = set.push(to.rows[*row as usize].clone()),
                None => set.row_of_cell.push(met[*row as usize]),
            }
        }
        set
    });
    let settled = settle(problem, groups.collect());
    Allocation { n_passes: wanted.n_passes, ..settled.priced(wanted.warm) }
}

/// What the rows of a group are to do.
struct Steps<'a> {
    problem: &'a Problem<'a>,
    group: GroupIdx,
    prev: &'a GroupPlan,
    to: &'a GroupAllocation,
    /// Per member, whether it is usable and not at a POP to be left.
    may_stay: Vec<bool>,
}

impl<'a> Steps<'a> {
    /// `None` for a group without a plan before.
    fn new(problem: &'a Problem, group: GroupIdx, to: &'a GroupAllocation, leave: &[bool]) -> Option<Steps<'a>> {
        let (here, spec) = (&problem.groups[group.idx()], &problem.policies.groups[group.idx()]);
        let may_stay = |(m, usable): (&crate::policy::Member, &bool)| *usable && !m.pop.is_some_and(|p| leave[p.idx()]);
        let may_stay = spec.members.iter().zip(&here.usable).map(may_stay).collect();
        Some(Steps { problem, group, prev: here.prev?, to, may_stay })
    }

    /// What the row of a cell is to do; `None` if it stays, or has none before.
    fn of(&self, r: usize) -> Option<Move<'_>> {
        let to = &self.to.rows[self.to.row_of_cell[r] as usize];
        let before = self.prev.row_of_cell.get(r).and_then(|r| self.prev.rows.get(*r as usize))?;
        if before == to {
            return None;
        }
        let left = before.given().map(|(m, was)| (m, f64::from(to.get(m)) - f64::from(was)));
        let new = to.given().filter(|(m, _)| before.get(*m) == 0.0).map(|(m, is)| (m, f64::from(is)));
        let mut moves: Vec<(usize, f64)> = left.chain(new).filter(|(_, d)| *d != 0.0).collect();
        moves.sort_unstable_by_key(|(m, _)| *m);
        let spec = &self.problem.policies.groups[self.group.idx()];
        let fence = match self.problem.geography.effect(self.group, spec, CellIdx::from(r)) {
            Some(Effect::Only(set)) => Some(set.as_slice()),
            _ => None,
        };
        Some(Move { before, to, moves, may_stay: &self.may_stay, fence })
    }
}

//----------- Move -----------------------------------------------------------

/// What one row is to do.
struct Move<'a> {
    before: &'a Row,
    to: &'a Row,
    /// Members whose share changes, and by how much; ascending.
    moves: Vec<(usize, f64)>,
    /// See [`Steps`].
    may_stay: &'a [bool],
    fence: Option<&'a [MemberIdx]>,
}

impl Move<'_> {
    fn must_leave(&self, m: usize) -> bool {
        !self.may_stay[m] || self.fence.is_some_and(|set| !set.contains(&MemberIdx::from(m)))
    }

    /// The part of what moves that must; 1 where the row begins or ends to give members at all.
    fn must(&self) -> f64 {
        if self.before.is_empty() || self.to.is_empty() {
            return 1.0;
        }
        let left = |keep: bool| -> f64 {
            self.moves.iter().filter(|(m, d)| *d < 0.0 && (keep || self.must_leave(*m))).map(|(_, d)| -d).sum()
        };
        let all = left(true);
        if all > 0.0 { (left(false) / all).min(1.0) } else { 1.0 }
    }

    /// The row that `scale[m]` of the additions allows, beyond those that must be.
    fn step(&self, scale: impl Fn(usize) -> f64) -> Row {
        let must = self.must();
        let factor = |m: usize| must + (1.0 - must) * scale(m);
        let wanted: f64 = self.moves.iter().map(|(_, d)| d.max(0.0)).sum();
        let allowed: f64 = self.moves.iter().map(|(m, d)| d.max(0.0) * factor(*m)).sum();
        if must >= 1.0 || allowed >= wanted {
            return self.to.clone();
        }
        // What must leave leaves; the others give up the rest in proportion.
        let freely = (allowed - must * wanted) / ((1.0 - must) * wanted);
        let mut shares = self.before.to_vec();
        for &(m, d) in &self.moves {
            let part = match () {
                () if d > 0.0 => factor(m),
                () if self.must_leave(m) => 1.0,
                () => freely,
            };
            shares[m] = (f64::from(self.before.get(m)) + d * part).max(0.0) as f32;
        }
        Row::new(&shares)
    }
}
