//! Shares: the allocation, with ramps, trickles and silence laid over it.

use crate::control::allocate::{
    Allocation, GroupAllocation, GroupProblem, PopAllocation, Problem, Room, Warm, allocate, limit_step,
};
use crate::control::breaker::TRICKLE;
use crate::control::candidates::candidates;
use crate::control::declared::blind_rows;
use crate::control::expected::Expected;
use crate::control::rooms::{PopRoom, member_room};
use crate::control::rows::{RowSet, proportional};
use crate::control::standing::{Standing, given};
use crate::control::state::{Layout, State};
use crate::id::{CellIdx, GroupIdx, MemberIdx, PopIdx};
use crate::steering::{Demand, GroupPlan, Heavy, Row, ShadowState};
use std::collections::HashMap;

/// Milliseconds beyond the nearest up to which a member that needs proving gets its trickle: clients pay
/// for the proof, so they should be near.
const TRICKLE_MS: f32 = 50.0;

/// Part of its capacity by which a POP's load may be planned to grow in one beat, where nothing must leave another.
/// Answers of one second are few, and what is taken back the next was noise. Measured: 2 % has less churn than 10 %, and
/// no more overload.
const MOST_IN: f64 = 0.02;

//----------- Placed ---------------------------------------------------------

/// Shares and what follows from them.
#[derive(Clone, Debug, Default)]
pub struct Placed {
    /// Per group: rows, row of each cell, load of each member, and what found no room.
    pub groups: Vec<PlacedGroup>,
    /// Per POP, milliseconds.
    pub price_ms: Vec<f64>,
    /// Per POP, milliseconds on top for clients who are at home elsewhere, where `spill=` bounds them.
    pub spill_ms: Vec<f64>,
}

/// One group of [`Placed`]; loads in requests per second, before gains.
#[derive(Clone, Debug, Default)]
pub struct PlacedGroup {
    /// The distinct rows.
    pub rows: Vec<Row>,
    /// For each cell, its row.
    pub row_of_cell: Vec<u32>,
    /// The blind rows and each cell's, as in the plan.
    pub blind: RowSet,
    /// Expected load of each member.
    pub load: Vec<f64>,
    /// Demand that found no room.
    pub short: f64,
}

/// What was allocated in the tick before, while ramps and trickles were laid over it: the next step is bounded from there, since
/// what was cut from it afterwards would be cut again.
#[derive(Clone, Debug, Default)]
pub struct Uncut {
    /// Per group, rows as if all that returns had returned; `None` for groups whose plan is just that.
    with: Vec<Option<GroupPlan>>,
    /// Per group, rows without what returns; empty while nothing does.
    without: Vec<GroupPlan>,
    /// The prices of those.
    warm: Warm,
    /// Who was returning: `[g][m]`.
    ramping: Vec<Vec<bool>>,
}

impl Uncut {
    /// Whether ramps or trickles are laid over any group.
    pub fn is_overlaid(&self) -> bool {
        self.with.iter().any(Option::is_some)
    }
}

/// Solves the allocation and lays ramps and trickles over it.
///
/// While somebody returns at a part `f`, served is `(1 − f)·without + f·with` of two allocations, in *every* group: groups
/// share POPs, and one that moved into room which is only there once the other's share has returned would put its POP over.
pub fn place(
    state: &mut State,
    layout: &Layout,
    expected: &[Expected],
    rooms: &[PopRoom],
    standings: &[Vec<Standing>],
) -> Placed {
    let caps = standings.iter().flatten().filter_map(|s| s.ramp());
    let least = caps.reduce(f64::min);
    let with = solve(state, layout, expected, rooms, standings, Returning::Back);
    let without = least.map(|_| solve(state, layout, expected, rooms, standings, Returning::Gone));
    remember(state, standings, &with, without.as_ref());
    let group = |(g, found): (usize, GroupAllocation)| {
        let rest = least.zip(without.as_ref().map(|a| &a.groups[g]));
        let standing = &standings[g];
        let (rows, row_of_cell, load) = match is_overlaid(standing, least) {
            false => (found.rows, found.row_of_cell, found.load),
            true => {
                let set = overlay(layout, GroupIdx::from(g), &found, rest, standing);
                let load = loads(&set.rows, &set.row_of_cell, &expected[g].by_cell, standing.len());
                (set.rows, set.row_of_cell, load)
            }
        };
        let usable: Vec<bool> = standing.iter().map(|s| *s == Standing::Full).collect();
        let blind = match usable.iter().any(|u| *u) {
            true => blind_rows(&layout.policies, &layout.cells, GroupIdx::from(g), &usable),
            false => blind_rows(&layout.policies, &layout.cells, GroupIdx::from(g), &given(standing)),
        };
        let short = mixed(found.short, rest.map(|(part, rest)| (part, rest.short)));
        PlacedGroup { rows, row_of_cell, blind, load, short }
    };
    let pops = |of: fn(&PopAllocation) -> f64| -> Vec<f64> {
        let rest = |p: usize| least.zip(without.as_ref().map(|a| of(&a.pops[p])));
        with.pops.iter().enumerate().map(|(p, with)| mixed(of(with), rest(p))).collect()
    };
    Placed {
        spill_ms: pops(|p| p.spill_ms),
        price_ms: pops(|p| p.price_ms),
        groups: with.groups.into_iter().enumerate().map(group).collect(),
    }
}

/// What holds between two allocations. `rest`: the part at which somebody returns, and what holds without them. Of what finds no room
/// it is the most that it can be, since that is convex.
fn mixed(with: f64, rest: Option<(f64, f64)>) -> f64 {
    rest.map_or(with, |(part, without)| without + part * (with - without))
}

/// How an allocation sees members that return.
#[derive(Clone, Copy, PartialEq)]
enum Returning {
    /// As if they were back.
    Back,
    /// As if they were still gone.
    Gone,
}

fn solve(
    state: &State,
    layout: &Layout,
    expected: &[Expected],
    rooms: &[PopRoom],
    standings: &[Vec<Standing>],
    returning: Returning,
) -> Allocation {
    // Those without what returns say nothing any more once somebody else returns.
    let same = state.uncut.ramping == ramping(standings);
    let (prev, warm) = match returning {
        Returning::Gone if same => (state.uncut.without.iter().map(Some).collect(), &state.uncut.warm),
        Returning::Gone => (Vec::new(), &state.warm),
        Returning::Back => (state.uncut.with.iter().map(Option::as_ref).collect(), &state.warm),
    };
    let group = |g: usize| {
        let prev = prev.get(g).copied().flatten().unwrap_or(&state.plan.groups[g]);
        group_problem(state, layout, expected, rooms, &standings[g], g, returning, prev)
    };
    let problem = Problem {
        policies: &layout.policies,
        geography: &layout.geography,
        pops: rooms.iter().map(|r| Room { target: r.room.target / r.gain, max: r.room.max / r.gain }).collect(),
        groups: (0..expected.len()).map(group).collect(),
    };
    let wanted = allocate(&problem, &state.skills.options, warm);
    let over = |(p, room): (usize, &PopRoom)| state.plan.pops[p].load > room.target;
    let leave: Vec<bool> = rooms.iter().enumerate().map(over).collect();
    match state.skills.steps {
        true => limit_step(&problem, wanted, MOST_IN, &leave),
        false => wanted,
    }
}

/// Keeps what the next tick starts from.
fn remember(state: &mut State, standings: &[Vec<Standing>], with: &Allocation, without: Option<&Allocation>) {
    let least = without.map(|_| 0.0);
    let plan = |found: &GroupAllocation| GroupPlan {
        ttl: 0,
        demand: Demand::default(),
        members: Vec::new(),
        rows: found.rows.clone(),
        row_of_cell: found.row_of_cell.clone(),
        blind_rows: Vec::new(),
        blind_row_of_cell: Vec::new(),
        short: found.short,
        heavy: Heavy::default(),
    };
    let uncut = |(g, found): (usize, &GroupAllocation)| is_overlaid(&standings[g], least).then(|| plan(found));
    state.uncut = Uncut {
        with: with.groups.iter().enumerate().map(uncut).collect(),
        without: without.map_or(Vec::new(), |a| a.groups.iter().map(plan).collect()),
        warm: without.map_or_else(Warm::default, |a| a.warm.clone()),
        ramping: ramping(standings),
    };
    state.warm = with.warm.clone();
}

/// Who is returning: `[g][m]`.
fn ramping(standings: &[Vec<Standing>]) -> Vec<Vec<bool>> {
    standings.iter().map(|of| of.iter().map(|s| s.ramp().is_some()).collect()).collect()
}

/// Puts what operators decided in the place of the allocation: the shares of before for groups that are frozen, the declared
/// ones where steering is off; less what may no longer be given.
pub fn overrule(
    state: &State,
    layout: &Layout,
    expected: &[Expected],
    standings: &[Vec<Standing>],
    placed: &mut Placed,
) {
    for (g, placed) in placed.groups.iter_mut().enumerate() {
        let kept = match state.forced.group(GroupIdx::from(g)) {
            force if force.steering_off => &layout.declared.groups[g],
            force if force.frozen => &state.plan.groups[g],
            _ => continue,
        };
        let set = blended(kept, &placed.blind, &standings[g], 0.0);
        placed.load = loads(&set.rows, &set.row_of_cell, &expected[g].by_cell, standings[g].len());
        (placed.rows, placed.row_of_cell) = (set.rows, set.row_of_cell);
    }
}

/// Whether anything is laid over the allocation of a group. `least`: at what part somebody returns, in whatever group.
fn is_overlaid(standing: &[Standing], least: Option<f64>) -> bool {
    least.is_some() || standing.contains(&Standing::Trickle)
}

#[expect(clippy::too_many_arguments, reason = "the same as of `solve`, and which group")]
fn group_problem<'a>(
    state: &State,
    layout: &Layout,
    expected: &[Expected],
    rooms: &[PopRoom],
    standing: &[Standing],
    g: usize,
    returning: Returning,
    prev: &'a GroupPlan,
) -> GroupProblem<'a> {
    let members = (0..standing.len()).map(MemberIdx::from);
    let usable = standing.iter().map(|s| match s {
        Standing::Full => true,
        Standing::Ramping(_) => returning == Returning::Back,
        Standing::Trickle | Standing::Not(_) => false,
    });
    let shadows = &state.groups[g].members;
    GroupProblem {
        demand: expected[g].by_cell.clone(),
        usable: usable.collect(),
        shadow_active: shadows.iter().map(|m| m.shadow.is_some_and(|s| s.state() == ShadowState::Active)).collect(),
        room: members.map(|m| member_room(state, layout, rooms, GroupIdx::from(g), m)).collect(),
        prev: Some(prev),
    }
}

/// Rows with ramps and trickles: `rest + f·(with − rest)`, then a hundredth for each that needs proving and is near. Where
/// nobody else may be given, they get all.
///
/// `rest`: the least part at which anybody returns, and the allocation without all of those.
fn overlay(
    layout: &Layout,
    g: GroupIdx,
    with: &GroupAllocation,
    rest: Option<(f64, &GroupAllocation)>,
    standing: &[Standing],
) -> RowSet {
    let spec = &layout.policies.groups[g.idx()];
    let given = given(standing);
    let proving: Vec<MemberIdx> =
        (0..standing.len()).filter(|m| standing[*m] == Standing::Trickle).map(MemberIdx::from).collect();
    let near = near_cells(layout, g, &proving);
    let mut set = RowSet::with_cells(layout.cells.cells.len());
    let mut known: HashMap<(u32, u32, Option<u16>, Vec<bool>), Row> = HashMap::new();
    for r in 0..layout.cells.cells.len() {
        let (a, b) = (with.row_of_cell[r], rest.map_or(0, |(_, rest)| rest.row_of_cell[r]));
        let route = layout.geography.route[g.idx()][r];
        let proves: Vec<bool> = near.iter().map(|n| n[r]).collect();
        let row = known.entry((a, b, route, proves)).or_insert_with_key(|(_, _, _, proves)| {
            let full = &with.rows[a as usize];
            let mut row = match rest {
                Some((least, rest)) => ramped(full, &rest.rows[b as usize], standing, least),
                None => full.clone(),
            };
            let allowed = candidates(spec, route.map(|r| &spec.routes[usize::from(r)]), &given);
            trickle(&mut row, &proving, proves, &allowed);
            row
        });
        set.push(row.clone());
    }
    set
}

/// A row between the one with all who return and the one without: at their own part if it gives any, at the `least` of all
/// if not.
fn ramped(full: &Row, rest: &Row, standing: &[Standing], least: f64) -> Row {
    let own = full.given().filter_map(|(m, _)| standing[m].ramp()).reduce(f64::min);
    let f = own.unwrap_or(least) as f32;
    if rest.is_empty() || full == rest {
        return full.clone();
    }
    let mixed: Vec<f32> = full.to_vec().iter().zip(rest.to_vec()).map(|(a, b)| b + f * (a - b)).collect();
    Row::new(&mixed)
}

fn trickle(row: &mut Row, proving: &[MemberIdx], proves: &[bool], allowed: &[MemberIdx]) {
    let chosen = |m: &MemberIdx| allowed.contains(m);
    if row.is_empty() {
        let mut weights = vec![0.0; row.n_members()];
        proving.iter().filter(|m| chosen(m)).for_each(|m| weights[m.idx()] = 1.0);
        *row = proportional(&weights);
        return;
    }
    let chosen: Vec<usize> =
        proving.iter().zip(proves).filter(|(m, near)| **near && chosen(m)).map(|(m, _)| m.idx()).collect();
    let kept = 1.0 - TRICKLE as f32 * chosen.len() as f32;
    if kept > 0.5 && !chosen.is_empty() {
        let mut shares = row.to_vec();
        shares.iter_mut().for_each(|s| *s *= kept);
        chosen.iter().for_each(|m| shares[*m] += TRICKLE as f32);
        *row = Row::new(&shares);
    }
}

/// For each of `proving`, the cells that are near it; all cells, for one that is near to none.
fn near_cells(layout: &Layout, g: GroupIdx, proving: &[MemberIdx]) -> Vec<Vec<bool>> {
    let spec = &layout.policies.groups[g.idx()];
    let pops: Vec<PopIdx> = spec.members.iter().filter_map(|m| m.pop).collect();
    let n_cells = layout.cells.cells.len();
    let near = |m: &MemberIdx| {
        let Some(pop) = spec.members[m.idx()].pop else { return vec![true; n_cells] };
        let is_near = |r: usize| {
            let ms = |p: PopIdx| layout.geography.ms(CellIdx::from(r), p);
            ms(pop) <= pops.iter().map(|p| ms(*p)).fold(f32::INFINITY, f32::min) + TRICKLE_MS
        };
        let near: Vec<bool> = (0..n_cells).map(is_near).collect();
        if near.contains(&true) { near } else { vec![true; n_cells] }
    };
    proving.iter().map(near).collect()
}

/// Load of each member under rows and a demand per cell.
pub fn loads(rows: &[Row], row_of_cell: &[u32], demand: &[f64], n_members: usize) -> Vec<f64> {
    let mut of_row = vec![0.0; rows.len()];
    for (row, demand) in row_of_cell.iter().zip(demand) {
        of_row[*row as usize] += demand;
    }
    let mut load = vec![0.0; n_members];
    for (row, demand) in rows.iter().zip(of_row) {
        row.given().for_each(|(m, share)| load[m] += demand * f64::from(share));
    }
    load
}

/// Rows somewhere between an earlier plan's and the blind rows, without what may no longer be given:
/// what is served while telemetry is silent. `weight` 0 is the earlier plan, 1 the blind rows.
pub fn blended(frozen: &GroupPlan, blind: &RowSet, standing: &[Standing], weight: f64) -> RowSet {
    let given = given(standing);
    let mut set = RowSet::with_cells(frozen.row_of_cell.len());
    let mut known: HashMap<(u32, u32), Row> = HashMap::new();
    for (a, b) in frozen.row_of_cell.iter().zip(&blind.row_of_cell) {
        let row = known.entry((*a, *b)).or_insert_with(|| {
            let (from, to) = (&frozen.rows[*a as usize], &blind.rows[*b as usize]);
            let mut mixed = vec![0.0; given.len()];
            for (row, weight) in [(from, 1.0 - weight), (to, weight)] {
                row.given().filter(|(m, _)| given[*m]).for_each(|(m, share)| mixed[m] += weight * f64::from(share));
            }
            let mixed = proportional(&mixed);
            if mixed.is_empty() { to.clone() } else { mixed }
        });
        set.push(row.clone());
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is served while members return lies between the two allocations, in every row.
    #[test]
    fn a_row_returns_at_its_own_part_or_the_least() {
        let (full, rest) = (Row::new(&[0.5, 0.5, 0.0]), Row::new(&[0.0, 0.6, 0.4]));
        let check = |standing: &[Standing; 3], rest: &Row, expect: [f32; 3]| {
            let got = ramped(&full, rest, standing, 0.05).to_vec();
            assert!(got.iter().zip(expect).all(|(g, e)| (g - e).abs() < 1e-6), "{got:?} for {expect:?}");
        };
        let (back, slow) = (Standing::Ramping(0.25), Standing::Ramping(0.1));
        check(&[back, Standing::Full, Standing::Full], &rest, [0.125, 0.575, 0.3]);
        check(&[back, slow, Standing::Full], &rest, [0.05, 0.59, 0.36]);
        check(&[Standing::Full; 3], &rest, [0.025, 0.595, 0.38]);
        check(&[back, Standing::Full, Standing::Full], &Row::new(&[0.0; 3]), [0.5, 0.5, 0.0]);
        check(&[Standing::Full; 3], &full, [0.5, 0.5, 0.0]);
        assert_eq!((mixed(10.0, None), mixed(10.0, Some((0.25, 30.0)))), (10.0, 25.0));
    }
}
