//! The kinds of `steer=` that look at no load: weighted, nearest, static.

use crate::control::allocate::problem::Problem;
use crate::control::candidates::{candidates, declared_capacity};
use crate::control::rows::{RowSet, proportional};
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::policy::{Effect, Group, SteerBy};
use crate::steering::Row;

/// What `steer=weighted` adds for an active shadow.
const SHADOW_BONUS: f64 = 0.2;

/// The rows of a group that is not priced.
pub(crate) fn rows(problem: &Problem, group: GroupIdx) -> RowSet {
    let spec = &problem.policies.groups[group.idx()];
    let mut set = RowSet::with_cells(problem.geography.n_cells);
    for r in 0..problem.geography.n_cells {
        let cell = CellIdx::from(r);
        let route = problem.geography.route[group.idx()][r].map(|r| &spec.routes[usize::from(r)]);
        let list = candidates(spec, route, &problem.groups[group.idx()].usable);
        let ms: Vec<f64> = list.iter().map(|m| distance(problem, spec, cell, *m, route.map(|r| &r.effect))).collect();
        set.push(match spec.steer {
            SteerBy::Weighted => weighted(problem, group, &list, &ms),
            SteerBy::Nearest => nearest(spec, &list, &ms),
            SteerBy::Static | SteerBy::Priced => fixed(problem, group, &list),
        });
    }
    set
}

fn distance(problem: &Problem, spec: &Group, cell: CellIdx, m: MemberIdx, effect: Option<&Effect>) -> f64 {
    if let Some(Effect::Prefer(set)) = effect
        && set.contains(&m)
    {
        return 0.0;
    }
    spec.members[m.idx()].pop.map_or(0.0, |pop| f64::from(problem.geography.ms(cell, pop)))
}

fn row(n_members: usize, list: &[MemberIdx], weight: impl Fn(usize) -> f64) -> Row {
    let mut weights = vec![0.0; n_members];
    list.iter().enumerate().for_each(|(at, m)| weights[m.idx()] = weight(at));
    proportional(&weights)
}

/// The classic rule: `weight = capacity·(1 − latency score) + (0.2 if shadow active)`, shares ∝ weight.
///
/// Over the candidates of the cell: capacity ÷ the largest capacity, capacity being what the member can
/// carry now; score = (ms − least ms) ÷ (most ms − least ms), 0 where all are equal. The farthest of
/// them therefore gets nothing unless its shadow is active; where every weight is 0, capacities decide.
fn weighted(problem: &Problem, group: GroupIdx, list: &[MemberIdx], ms: &[f64]) -> Row {
    let (spec, here) = (&problem.policies.groups[group.idx()], &problem.groups[group.idx()]);
    let capacity = |m: MemberIdx| match (here.room[m.idx()], spec.members[m.idx()].pop) {
        (Some(own), Some(pop)) => own.max.min(problem.pops[pop.idx()].max),
        (Some(own), None) => own.max,
        (None, Some(pop)) => problem.pops[pop.idx()].max,
        (None, None) => 0.0,
    };
    let largest = list.iter().map(|m| capacity(*m)).fold(0.0, f64::max);
    let (least, most) = ms.iter().fold((f64::INFINITY, 0.0_f64), |(a, b), ms| (a.min(*ms), b.max(*ms)));
    let size = |at: usize| if largest > 0.0 { capacity(list[at]) / largest } else { 1.0 };
    let weight = |at: usize| {
        let score = if most > least { (ms[at] - least) / (most - least) } else { 0.0 };
        let bonus = if here.shadow_active[list[at].idx()] { SHADOW_BONUS } else { 0.0 };
        size(at) * (1.0 - score) + bonus
    };
    let any = (0..list.len()).any(|at| weight(at) > 0.0);
    row(spec.members.len(), list, |at| if any { weight(at) } else { size(at) })
}

/// All to the least distance; ties by name.
fn nearest(spec: &Group, list: &[MemberIdx], ms: &[f64]) -> Row {
    let name = |at: usize| &spec.members[list[at].idx()].name;
    let first = (0..list.len()).min_by(|&a, &b| ms[a].total_cmp(&ms[b]).then_with(|| name(a).cmp(name(b))));
    row(spec.members.len(), list, |at| f64::from(u8::from(Some(at) == first)))
}

/// By `weight=`, or declared capacity.
fn fixed(problem: &Problem, group: GroupIdx, list: &[MemberIdx]) -> Row {
    let spec = &problem.policies.groups[group.idx()];
    let weight = |m: MemberIdx| {
        let member = &spec.members[m.idx()];
        member.weight.unwrap_or_else(|| declared_capacity(problem.policies, member))
    };
    row(spec.members.len(), list, |at| weight(list[at]))
}
