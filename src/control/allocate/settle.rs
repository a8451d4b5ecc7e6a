//! What rows amount to: loads, and what is short.

use crate::control::allocate::lists::{home_ms, homes};
use crate::control::allocate::problem::{Allocation, GroupAllocation, PopAllocation, Problem, Room, Warm};
use crate::control::rows::RowSet;
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::policy::{Effect, SteerBy};

/// Adds up what `groups` put on members and POPs, and what these cannot carry.
pub(crate) fn settle(problem: &Problem, groups: Vec<RowSet>) -> Allocation {
    let mut pop_load = vec![0.0; problem.pops.len()];
    let mut settled = Vec::with_capacity(groups.len());
    let away = away(problem, &groups);
    for (g, rows) in groups.into_iter().enumerate() {
        let members = &problem.policies.groups[g].members;
        // Demand per distinct row first: rows are few where cells are many.
        let mut demand = vec![0.0; rows.rows.len()];
        rows.row_of_cell.iter().zip(&problem.groups[g].demand).for_each(|(r, d)| demand[*r as usize] += d);
        let (mut load, mut short) = (vec![0.0; members.len()], 0.0);
        for (row, demand) in rows.rows.iter().zip(demand) {
            row.given().for_each(|(m, share)| load[m] += demand * f64::from(share));
            short += if row.is_empty() { demand } else { 0.0 };
        }
        for (load, member) in load.iter().zip(members) {
            if let Some(pop) = member.pop {
                pop_load[pop.idx()] += load;
            }
        }
        settled.push(GroupAllocation { rows: rows.rows, row_of_cell: rows.row_of_cell, load, short });
    }
    let lost = |load: f64, room: Room| if load > room.max { 1.0 - room.max / load } else { 0.0 };
    let mut came = vec![0.0; problem.pops.len()];
    for (spec, away) in problem.policies.groups.iter().zip(&away) {
        let at = spec.members.iter().zip(away).filter_map(|(m, away)| Some((m.pop?, away)));
        at.for_each(|(pop, away)| came[pop.idx()] += away);
    }
    for (g, group) in settled.iter_mut().enumerate() {
        for (m, &load) in group.load.iter().enumerate() {
            let own = problem.groups[g].room[m].map_or(0.0, |room| lost(load, room));
            let pop = problem.policies.groups[g].members[m].pop;
            let shared = pop.map_or(0.0, |p| lost(pop_load[p.idx()], problem.pops[p.idx()]));
            let spilled = away.get(g).zip(pop).map_or(0.0, |(away, p)| {
                let room = problem.pops[p.idx()];
                let part = problem.policies.pops[p.idx()].spill.unwrap_or(1.0);
                away[m] * lost(came[p.idx()], Room { target: part * room.target, max: part * room.max })
            });
            group.short += (load * own.max(shared)).max(spilled);
        }
    }
    let pops = pop_load.iter().map(|&load| PopAllocation { load, ..PopAllocation::default() }).collect();
    Allocation { pops, groups: settled, ..Allocation::default() }
}

/// Load of each member by clients who are at home at another POP, where `spill=` bounds that; empty where no POP bounds
/// it.
fn away(problem: &Problem, groups: &[RowSet]) -> Vec<Vec<f64>> {
    let policies = problem.policies;
    if policies.pops.iter().all(|pop| pop.spill.is_none()) {
        return Vec::new();
    }
    let of_group = |(g, rows): (usize, &RowSet)| {
        let spec = &policies.groups[g];
        let mut away = vec![0.0; spec.members.len()];
        if spec.steer != SteerBy::Priced {
            return away;
        }
        let homes = homes(spec, policies.pops.len());
        let cells = rows.row_of_cell.iter().zip(&problem.groups[g].demand).enumerate();
        for (r, (row, demand)) in cells.filter(|(_, (_, d))| **d > 0.0) {
            let cell = CellIdx::from(r);
            let home_ms = home_ms(problem.geography, cell, &homes);
            let effect = problem.geography.effect(GroupIdx::from(g), spec, cell);
            let named = |m: usize| match effect {
                Some(Effect::Only(set) | Effect::First(set) | Effect::Prefer(set)) => set.contains(&MemberIdx::from(m)),
                None => false,
            };
            for (m, share) in rows.rows[*row as usize].given() {
                let Some(pop) = spec.members[m].pop else { continue };
                let bounded = policies.pops[pop.idx()].spill.is_some();
                if bounded && problem.geography.ms(cell, pop) > home_ms && !named(m) {
                    away[m] += demand * f64::from(share);
                }
            }
        }
        away
    };
    groups.iter().enumerate().map(of_group).collect()
}

impl Allocation {
    /// With the prices that led to it.
    pub(crate) fn priced(mut self, warm: Warm) -> Allocation {
        for (p, pop) in self.pops.iter_mut().enumerate() {
            pop.price_ms = warm.pops.get(p).copied().unwrap_or(0.0);
            pop.spill_ms = warm.spill.get(p).copied().unwrap_or(0.0);
        }
        self.warm = warm;
        self
    }
}
