//! Plans that need no measurement: what is served before the first sample, and what silence blends to.
//!
//! Both respect fences. The declared plan sends the clients of priced groups to the nearest members, and those of other groups
//! by their `steer=`, which asks for no load; the blind rows spread in proportion to declared capacity, wherever the clients
//! are, because a surge that nobody sees can come from anywhere and spreading costs milliseconds where holding costs service.

use crate::control::all_down::{self, Sources};
use crate::control::allocate::{Geography, GroupProblem, Problem, Room, classic};
use crate::control::candidates::{candidates, declared_capacity, distance_ms, route_idx};
use crate::control::rows::{RowSet, proportional};
use crate::geo::{Cell, CellMap};
use crate::id::{GroupIdx, MemberIdx};
use crate::policy::{Effect, Group, Policies, Reserve, Role, Route, SteerBy};
use crate::steering::{BreakerState, Demand, GroupPlan, MemberPlan, Mode, Plan, PopPlan, Row, ShadowState};

/// Members that are at most this much farther than the nearest share its clients by capacity, while
/// nothing is measured. Our choice: below the noise of distances as a proxy for latency.
const NEAR_MS: f64 = 5.0;

/// The plan before anything is measured: every breaker Closed, every shadow Cold, the members nearest
/// to each cell in proportion to their capacity.
pub fn declared_plan(policies: &Policies, cells: &CellMap) -> Plan {
    let pops = policies.pops.iter().enumerate().map(|(p, pop)| {
        let reserve = pop_reserve(policies, p).middle();
        PopPlan {
            breaker: BreakerState::Closed,
            reason: String::new(),
            capacity: pop.capacity,
            target: pop.capacity * (1.0 - reserve),
            load: 0.0,
            price_ms: 0.0,
            silent_secs: f64::INFINITY,
        }
    });
    let geography = Geography::new(policies, cells);
    let problem = declared_problem(policies, &geography);
    let groups = (0..policies.groups.len()).map(|g| declared_group(&problem, cells, GroupIdx::from(g)));
    Plan { decided_at: 0.0, mode: Mode::Declared, pops: pops.collect(), groups: groups.collect() }
}

/// The problem of a moment without load: every POP whole, every shadow Cold.
fn declared_problem<'a>(policies: &'a Policies, geography: &'a Geography) -> Problem<'a> {
    let room = |capacity: f64| Room { target: capacity, max: capacity };
    let group = |g: &Group| GroupProblem {
        demand: vec![0.0; geography.n_cells],
        usable: g.members.iter().map(|m| !matches!(m.role, Role::Shadow { .. })).collect(),
        shadow_active: vec![false; g.members.len()],
        room: g.members.iter().map(|m| m.capacity.map(room)).collect(),
        prev: None,
    };
    Problem {
        policies,
        geography,
        pops: policies.pops.iter().map(|p| room(p.capacity)).collect(),
        groups: policies.groups.iter().map(group).collect(),
    }
}

fn declared_group(problem: &Problem, cells: &CellMap, group: GroupIdx) -> GroupPlan {
    let policies = problem.policies;
    let spec = &policies.groups[group.idx()];
    let usable = problem.groups[group.idx()].usable.clone();
    let near = match spec.steer {
        SteerBy::Priced => near_rows(policies, cells, group, &usable),
        SteerBy::Weighted | SteerBy::Nearest | SteerBy::Static => classic::rows(problem, group),
    };
    let from = Sources { given: &usable, is_off: &vec![false; usable.len()], last: None, declared: None };
    let filled = |set: RowSet| all_down::fill(policies, cells, group, from, set);
    let (near, blind) = (filled(near), filled(blind_rows(policies, cells, group, &usable)));
    let share = mean_shares(&near, cells, spec.members.len());
    let members = spec.members.iter().zip(share).map(|(member, share)| {
        let shadow = matches!(member.role, Role::Shadow { .. });
        MemberPlan {
            usable: if shadow { Err("Cold") } else { Ok(()) },
            breaker: None,
            shadow: shadow.then_some(ShadowState::Cold),
            share,
            load: 0.0,
        }
    });
    GroupPlan {
        ttl: spec.ttl_max,
        demand: Demand::default(),
        members: members.collect(),
        rows: near.rows,
        row_of_cell: near.row_of_cell,
        blind_rows: blind.rows,
        blind_row_of_cell: blind.row_of_cell,
        short: 0.0,
        heavy: Default::default(),
    }
}

fn near_rows(policies: &Policies, cells: &CellMap, group: GroupIdx, usable: &[bool]) -> RowSet {
    let routes = &policies.groups[group.idx()].routes;
    let mut near = RowSet::with_cells(cells.cells.len());
    for cell in &cells.cells {
        let route = route_idx(policies, group, cell).map(|r| &routes[r]);
        near.push(near_row(policies, group, cell, route, usable));
    }
    near
}

fn near_row(policies: &Policies, group: GroupIdx, cell: &Cell, route: Option<&Route>, usable: &[bool]) -> Row {
    let spec = &policies.groups[group.idx()];
    let mut list = candidates(spec, route, usable);
    if let Some(Effect::Prefer(set)) = route.map(|r| &r.effect) {
        let preferred: Vec<MemberIdx> = list.iter().copied().filter(|m| set.contains(m)).collect();
        if !preferred.is_empty() {
            list = preferred;
        }
    }
    let ms = |m: &MemberIdx| distance_ms(policies, &spec.members[m.idx()], cell);
    let nearest = list.iter().map(ms).fold(f64::INFINITY, f64::min);
    list.retain(|m| ms(m) <= nearest + NEAR_MS);
    by_capacity(policies, group, &list)
}

/// The row of a cell as if every member were up: the nearest by capacity, and shadows where there is no other.
pub fn up_row(policies: &Policies, group: GroupIdx, cell: &Cell, route: Option<&Route>) -> Row {
    let is_shadow = |m: &crate::policy::Member| matches!(m.role, Role::Shadow { .. });
    let actives: Vec<bool> = policies.groups[group.idx()].members.iter().map(|m| !is_shadow(m)).collect();
    let row = near_row(policies, group, cell, route, &actives);
    match row.is_empty() {
        false => row,
        true => near_row(policies, group, cell, route, &vec![true; actives.len()]),
    }
}

/// The rows to blend to when nothing is heard: fenced, usable members only, in proportion to declared
/// capacity. Cells under one route have one row.
pub fn blind_rows(policies: &Policies, cells: &CellMap, group: GroupIdx, usable: &[bool]) -> RowSet {
    let spec = &policies.groups[group.idx()];
    let row_under = |route: Option<&Route>| by_capacity(policies, group, &candidates(spec, route, usable));
    let open = row_under(None);
    let under: Vec<Row> = spec.routes.iter().map(|r| row_under(Some(r))).collect();
    let mut set = RowSet::with_cells(cells.cells.len());
    for cell in &cells.cells {
        set.push(route_idx(policies, group, cell).map_or(&open, |r| &under[r]).clone());
    }
    set
}

/// In proportion to declared capacity among `list`.
pub fn by_capacity(policies: &Policies, group: GroupIdx, list: &[MemberIdx]) -> Row {
    let spec = &policies.groups[group.idx()];
    let mut weights = vec![0.0; spec.members.len()];
    for m in list {
        weights[m.idx()] = declared_capacity(policies, &spec.members[m.idx()]);
    }
    proportional(&weights)
}

/// The greatest of the least and of the most `reserve=` of the groups that have a member at POP `pop_idx`; none if none has.
pub fn pop_reserve(policies: &Policies, pop_idx: usize) -> Reserve {
    let here = |m: &crate::policy::Member| m.pop.is_some_and(|p| p.idx() == pop_idx);
    let groups = policies.groups.iter().filter(|g| g.members.iter().any(here)).map(|g| g.reserve);
    groups.fold(Reserve::of(0.0), |a, b| Reserve { least: a.least.max(b.least), most: a.most.max(b.most) })
}

/// The share of each member over all cells, by cell weight; 0 where the weights sum to 0.
fn mean_shares(set: &RowSet, cells: &CellMap, n_members: usize) -> Vec<f64> {
    let mut sums = vec![0.0; n_members];
    let mut total = 0.0;
    for (cell, row) in cells.cells.iter().zip(&set.row_of_cell) {
        total += cell.weight;
        for (m, share) in set.rows[*row as usize].given() {
            sums[m] += cell.weight * f64::from(share);
        }
    }
    sums.iter().map(|s| if total > 0.0 { s / total } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;
    use crate::id::CellIdx;
    use crate::policy::AllDown;

    fn shares(plan: &Plan, cell: usize) -> Vec<f32> {
        plan.row(GroupIdx(0), CellIdx::from(cell)).to_vec()
    }

    #[test]
    fn groups_that_ask_for_no_load_are_steered_from_the_start() {
        let (mut policies, cells) = (fixture::policies(), fixture::cells());
        policies.groups[0].steer = SteerBy::Static;
        policies.groups[0].routes.clear();
        let n = policies.groups[0].members.len();
        policies.groups[0].members.iter_mut().enumerate().for_each(|(m, x)| x.weight = Some((m + 1) as f64));
        let plan = declared_plan(&policies, &cells);
        let row = plan.row(GroupIdx(0), CellIdx(1));
        let given: Vec<usize> = (0..n).filter(|m| policies.groups[0].members[*m].role == Role::Active).collect();
        let total: usize = given.iter().map(|m| m + 1).sum();
        for m in given {
            assert!((f64::from(row.get(m)) - (m + 1) as f64 / total as f64).abs() < 1e-6, "{row:?}");
        }
    }

    /// `weight=0` takes a member out of service; overflow is somebody, before the first sample and in silence.
    #[test]
    fn without_weights_the_externals_serve() {
        let (mut policies, cells) = (fixture::policies(), fixture::cells());
        policies.groups[0].steer = SteerBy::Static;
        policies.groups[0].routes.clear();
        policies.groups[0].members[..4].iter_mut().for_each(|m| m.weight = Some(0.0));
        let plan = declared_plan(&policies, &cells);
        let group = &plan.groups[0];
        let edge = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
        assert!(group.rows.iter().chain(&group.blind_rows).all(|r| r.to_vec() == edge), "{group:?}");
        policies.groups[0].members[1].weight = Some(0.1);
        assert_eq!(declared_plan(&policies, &cells).row(GroupIdx(0), CellIdx(3)).get(1), 1.0);
    }

    /// A fence around a shadow: nobody else may serve there, so under `all-down=all` the shadow is named.
    #[test]
    fn a_shadow_stands_in_where_there_is_no_other() {
        for (all_down, share) in [(AllDown::All, 1.0), (AllDown::Last, 1.0), (AllDown::NoData, 0.0)] {
            let (mut policies, cells) = (fixture::policies(), fixture::cells());
            policies.groups[0].all_down = all_down;
            policies.groups[0].routes[0].effect = Effect::Only(vec![MemberIdx(4)]);
            let plan = declared_plan(&policies, &cells);
            assert_eq!(shares(&plan, 1), [0.0, 0.0, 0.0, 0.0, share, 0.0], "{all_down:?}");
            assert_eq!(shares(&plan, 3), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
        }
    }

    #[test]
    fn everyone_is_sent_near_and_no_shadow_nor_overflow_is_given() {
        let plan = declared_plan(&fixture::policies(), &fixture::cells());
        assert_eq!(shares(&plan, 3), [0.0, 0.0, 1.0, 0.0, 0.0, 0.0], "US to iad");
        assert_eq!(shares(&plan, 4), [0.0, 0.0, 0.0, 1.0, 0.0, 0.0], "JP to sin");
        assert_eq!(shares(&plan, 1), [0.4, 0.6, 0.0, 0.0, 0.0, 0.0], "DE by capacity");
        let nowhere = shares(&plan, 0);
        assert!((nowhere[2] - 8.0 / 21.0).abs() < 1e-6, "unknown place: by capacity: {nowhere:?}");
        assert_eq!(plan.mode, Mode::Declared);
        assert_eq!(plan.groups[0].members[4].usable, Err("Cold"));
        assert_eq!(plan.pops[0].target, 4000.0 * 0.85);
    }

    #[test]
    fn blind_rows_spread_by_capacity_inside_fences() {
        let plan = declared_plan(&fixture::policies(), &fixture::cells());
        let group = &plan.groups[0];
        let row = |cell: usize| group.blind_rows[group.blind_row_of_cell[cell] as usize].to_vec();
        assert_eq!(row(1), &[0.4, 0.6, 0.0, 0.0, 0.0, 0.0]);
        assert!((row(4)[2] - 8.0 / 21.0).abs() < 1e-6);
        assert_eq!(group.blind_rows.len(), 2);
    }

    #[test]
    fn externals_serve_only_where_nothing_else_can() {
        let policies = fixture::policies();
        let only_edge = [false, false, false, false, false, true];
        let blind = blind_rows(&policies, &fixture::cells(), GroupIdx(0), &only_edge);
        assert_eq!(blind.rows[blind.row_of_cell[4] as usize].get(5), 1.0);
        assert_eq!(blind.rows[blind.row_of_cell[1] as usize].to_vec(), [0.0; 6], "a fence is a fence");
    }
}
