//! Rows are kept as they are served now where a change would not pay.
//!
//! A row is kept when moving gains no more, at the present prices, than `churn_ms` per request moved, or than
//! `dead_band` of what the row costs. Then, wherever the kept rows put a resource over what it offers, those that put
//! more there than the solution would are let go, until nothing is over. The penalty stands here and not in the
//! exponent: there, a discount for what was served before feeds on itself and drifts in calm; here, a row is either as
//! it was or as the prices say.
//!
//! Most rows of most ticks are as they were to the bit, and cost a comparison.

use crate::control::allocate::classes::Classes;
use crate::control::allocate::dual::supply;
use crate::control::allocate::priced::{Solved, TIGHT};
use crate::control::allocate::problem::{Options, Problem};
use crate::control::rows::RowSet;
use crate::id::{GroupIdx, MemberIdx};
use crate::steering::Row;

/// The rows of all priced groups; those of others stay empty.
pub(crate) fn keep(problem: &Problem, options: &Options, classes: &Classes, solved: &Solved) -> Vec<RowSet> {
    let fresh: Vec<RowSet> = (0..classes.groups.len()).map(|c| class_rows(problem, classes, solved, c)).collect();
    let mut load = vec![0.0; solved.rooms.len() + 1];
    for row in 0..solved.lists.rows.len() {
        for k in solved.lists.rows.of(row).filter(|k| solved.x[*k] > 0.0) {
            let carried = solved.lists.rows.demand[row] * f64::from(solved.x[k]);
            solved.lists.rows.faces[solved.lists.rows.face[k] as usize]
                .iter()
                .for_each(|i| load[*i as usize] += carried);
        }
    }
    let band =
        Band { problem, options, classes, solved, fresh: &fresh, price: solved.lists.rows.face_prices(&solved.lambda) };
    let kept = band.kept(load);
    (0..problem.groups.len()).map(|g| band.rows(GroupIdx::from(g), &kept[g])).collect()
}

/// The distinct rows of a class as solved.
fn class_rows(problem: &Problem, classes: &Classes, solved: &Solved, class: usize) -> RowSet {
    let n_members = problem.policies.groups[classes.first(class).idx()].members.len();
    let lists = &solved.lists;
    let mut set = RowSet::with_cells(lists.n_cells);
    // Rows of one member are most of all rows: found without hashing.
    let mut single = vec![u32::MAX; n_members];
    let mut given: Vec<(u16, f32)> = Vec::new();
    for row in class * lists.n_cells..(class + 1) * lists.n_cells {
        given.clear();
        given.extend(lists.rows.of(row).filter(|&k| solved.x[k] > 0.0).map(|k| (lists.member[k].0, solved.x[k])));
        match given[..] {
            [(m, _)] if single[usize::from(m)] != u32::MAX => set.row_of_cell.push(single[usize::from(m)]),
            _ => {
                given.sort_unstable_by_key(|(m, _)| *m);
                let at = set.push(Row::of(n_members, given.iter().copied()));
                if let [(m, _)] = given[..] {
                    single[usize::from(m)] = at;
                }
            }
        }
    }
    set
}

/// A row that is not as it was, and would not gain by changing.
#[derive(Clone, Copy)]
struct Kept {
    group: GroupIdx,
    /// The cell.
    cell: u32,
}

struct Band<'a> {
    problem: &'a Problem<'a>,
    options: &'a Options,
    classes: &'a Classes,
    solved: &'a Solved,
    /// Per class, its rows as solved.
    fresh: &'a [RowSet],
    /// Per face, milliseconds.
    price: Vec<f64>,
}

impl Band<'_> {
    /// The row that is served now, the one as solved, and the position of the latter among the lists.
    fn pair(&self, group: GroupIdx, cell: usize) -> Option<(&Row, &Row, usize)> {
        let class = self.classes.of_group[group.idx()]? as usize;
        let prev = self.problem.groups[group.idx()].prev?;
        let before = prev.rows.get(*prev.row_of_cell.get(cell)? as usize)?;
        let fresh = &self.fresh[class];
        let row = class * self.solved.lists.n_cells + cell;
        Some((before, &fresh.rows[fresh.row_of_cell[cell] as usize], row))
    }

    /// Per group, the cells whose row stays. `load`: what the solution puts on each resource, in parts of all demand.
    fn kept(&self, mut load: Vec<f64>) -> Vec<Vec<bool>> {
        let n_cells = self.solved.lists.n_cells;
        let rooms = self.solved.rooms.iter().zip(&self.solved.lambda).zip(&load);
        let mut limit: Vec<f64> =
            rooms.map(|((room, lambda), load)| supply(*room, *lambda).0.max(*load) * (1.0 + TIGHT)).collect();
        limit.push(f64::INFINITY);
        let mut kept = Vec::new();
        for group in (0..self.problem.groups.len()).map(GroupIdx::from) {
            for cell in 0..n_cells {
                let Some((before, fresh, row)) = self.pair(group, cell) else { break };
                if before != fresh && self.stays(row, before, fresh) {
                    self.add(group, cell, row, fresh, -1.0, &mut load);
                    self.add(group, cell, row, before, 1.0, &mut load);
                    kept.push(Kept { group, cell: cell as u32 });
                }
            }
        }
        loop {
            let over: Vec<bool> = load.iter().zip(&limit).map(|(l, most)| l > most).collect();
            if !over.contains(&true) {
                break;
            }
            let n_kept = kept.len();
            kept.retain(|one: &Kept| {
                let (group, cell) = (one.group, one.cell as usize);
                let Some((before, fresh, row)) = self.pair(group, cell) else { return false };
                let is_over = |m: usize| {
                    let face = self.candidate(row, m).map(|k| self.solved.lists.rows.face[k]);
                    let resources = face.map(|f| self.solved.lists.rows.faces[f as usize]);
                    resources.is_some_and(|all| all.iter().any(|i| over[*i as usize]))
                };
                let puts_more = before.given().any(|(m, share)| share > fresh.get(m) && is_over(m));
                let go = puts_more && self.problem.groups[group.idx()].demand[cell] > 0.0;
                if go {
                    self.add(group, cell, row, before, -1.0, &mut load);
                    self.add(group, cell, row, fresh, 1.0, &mut load);
                }
                !go
            });
            if kept.len() == n_kept {
                break;
            }
        }
        let mut cells = vec![Vec::new(); self.problem.groups.len()];
        for Kept { group, cell } in kept {
            let cells = &mut cells[group.idx()];
            cells.resize(n_cells, false);
            cells[cell as usize] = true;
        }
        cells
    }

    /// The candidate of a row that is member `m`.
    fn candidate(&self, row: usize, m: usize) -> Option<usize> {
        let lists = &self.solved.lists;
        lists.rows.of(row).find(|&k| lists.member[k] == MemberIdx(m as u16))
    }

    fn stays(&self, row: usize, before: &Row, fresh: &Row) -> bool {
        let (mut gain, mut moved, mut cost, mut sum) = (0.0, 0.0, 0.0, 0.0);
        let rows = &self.solved.lists.rows;
        for (m, was) in before.given() {
            // Who gives members that are no candidates must change.
            let Some(k) = self.candidate(row, m) else { return false };
            let was = f64::from(was);
            sum += was;
            moved += (was - f64::from(fresh.get(m))).max(0.0);
            gain += was * (f64::from(rows.cost[k]) + self.price[rows.face[k] as usize]);
        }
        for (m, is) in fresh.given() {
            let Some(k) = self.candidate(row, m) else { return false };
            let (is, c) = (f64::from(is), f64::from(rows.cost[k]));
            gain -= is * (c + self.price[rows.face[k] as usize]);
            cost += is * c;
        }
        (sum - 1.0).abs() < 1e-5 && gain <= (self.options.churn_ms * moved).max(self.options.dead_band * cost)
    }

    fn add(&self, group: GroupIdx, cell: usize, row: usize, shares: &Row, sign: f64, load: &mut [f64]) {
        let demand = sign * self.problem.groups[group.idx()].demand[cell] * self.solved.scale;
        for (m, share) in shares.given() {
            let Some(k) = self.candidate(row, m) else { continue };
            let face = self.solved.lists.rows.face[k] as usize;
            self.solved.lists.rows.faces[face].iter().for_each(|i| load[*i as usize] += demand * f64::from(share));
        }
    }

    /// The rows of a group: as they were in the cells that are `kept`, as solved in the others.
    fn rows(&self, group: GroupIdx, kept: &[bool]) -> RowSet {
        let Some(class) = self.classes.of_group[group.idx()] else { return RowSet::default() };
        let fresh = &self.fresh[class as usize];
        if kept.is_empty() {
            return RowSet::of(fresh.rows.clone(), fresh.row_of_cell.clone());
        }
        let prev = self.problem.groups[group.idx()].prev;
        let (before, row_of_cell) = prev.map_or((&[][..], &[][..]), |p| (&p.rows[..], &p.row_of_cell[..]));
        let mut set = RowSet::with_cells(kept.len());
        let mut met = [vec![u32::MAX; fresh.rows.len()], vec![u32::MAX; before.len()]];
        for (cell, kept) in kept.iter().enumerate() {
            let (rows, at) = match kept {
                false => (&fresh.rows[..], fresh.row_of_cell[cell]),
                true => (before, row_of_cell[cell]),
            };
            let met = &mut met[usize::from(*kept)][at as usize];
            match *met {
                u32::MAX => *met = set.push(rows[at as usize].clone()),
                known => set.row_of_cell.push(known),
            }
        }
        set
    }
}
