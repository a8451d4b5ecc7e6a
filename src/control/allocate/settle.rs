//! What rows amount to: loads, and what is short.

use crate::control::allocate::lists::Lists;
use crate::control::allocate::problem::{Allocation, GroupAllocation, PopAllocation, Problem, Room};
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::steering::Row;
use std::collections::HashMap;

/// The rows of one group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pub(crate) rows: Vec<Row>,
    pub(crate) row_of_cell: Vec<u32>,
}

/// Adds up what `groups` put on members and POPs, and what these cannot carry.
pub(crate) fn settle(problem: &Problem, groups: Vec<Rows>, price_ms: impl Fn(usize) -> f64) -> Allocation {
    let mut pop_load = vec![0.0; problem.pops.len()];
    let mut settled = Vec::with_capacity(groups.len());
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
    for (g, group) in settled.iter_mut().enumerate() {
        for (m, &load) in group.load.iter().enumerate() {
            let own = problem.groups[g].room[m].map_or(0.0, |room| lost(load, room));
            let pop = problem.policies.groups[g].members[m].pop;
            let shared = pop.map_or(0.0, |p| lost(pop_load[p.idx()], problem.pops[p.idx()]));
            group.short += load * own.max(shared);
        }
    }
    let pops = pop_load.iter().enumerate().map(|(p, &load)| PopAllocation { load, price_ms: price_ms(p) }).collect();
    Allocation { pops, groups: settled, ..Allocation::default() }
}

/// Gathers the shares of priced rows into distinct rows per group; groups without any stay empty.
pub(crate) fn gather(problem: &Problem, lists: &Lists, x: &[f32]) -> Vec<Rows> {
    let mut groups: Vec<Rows> = problem.groups.iter().map(|_| Rows::default()).collect();
    let mut known: HashMap<Box<[(MemberIdx, u32)]>, u32> = HashMap::new();
    // Rows of one member are most of all rows: found without hashing.
    let mut single: Vec<u32> = Vec::new();
    let mut at = GroupIdx(u16::MAX);
    let mut key: Vec<(MemberIdx, u32)> = Vec::new();
    for row in 0..lists.rows.len() {
        let (group, cell): (GroupIdx, CellIdx) = lists.whose[row];
        let n_members = problem.policies.groups[group.idx()].members.len();
        if at != group || cell.idx() == 0 {
            at = group;
            known.clear();
            single.clear();
            single.resize(n_members, u32::MAX);
        }
        key.clear();
        key.extend(lists.rows.of(row).filter(|&k| x[k] > 0.0).map(|k| (lists.member[k], x[k].to_bits())));
        let to = &mut groups[group.idx()];
        let next = to.rows.len() as u32;
        let idx = match key[..] {
            [(m, _)] => std::mem::replace(&mut single[m.idx()], u32::MAX),
            _ => {
                key.sort_unstable();
                known.get(key.as_slice()).copied().unwrap_or(u32::MAX)
            }
        };
        let idx = if idx == u32::MAX { next } else { idx };
        match key[..] {
            [(m, _)] => single[m.idx()] = idx,
            _ if idx == next => {
                known.insert(key.as_slice().into(), idx);
            }
            _ => {}
        }
        if idx == next {
            to.rows.push(Row::of(n_members, key.iter().map(|(m, bits)| (m.0, f32::from_bits(*bits)))));
        }
        to.row_of_cell.push(idx);
    }
    groups
}
