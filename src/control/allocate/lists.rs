//! The candidates of every cell of every priced group, with their costs.
//!
//! A cell looks at its `nearest` members first, at members that its route names, and at external ones.
//! Whether a member beyond those would be cheaper can be told from the prices of a solution (column
//! generation): it cannot cost less than its distance, so only rows that pay more than the farthest
//! member they look at need to look farther.

use crate::control::allocate::dual::Rows;
use crate::control::allocate::problem::{Geography, GroupProblem, Options, Problem, Room};
use crate::control::allocate::{EXTERNAL_MS, FIRST_MS};
use crate::id::{CellIdx, GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Effect, Group, Role, SteerBy};

/// Extra milliseconds of an external member that `members=…` names: after the POPs named beside it,
/// before all others.
const NAMED_EXTERNAL_MS: f64 = FIRST_MS / 2.0;
/// How many times as many members a row that is badly served looks at next.
const WIDEN: u32 = 4;

//----------- Lists ----------------------------------------------------------

/// The rows of a problem and where they come from.
pub(crate) struct Lists {
    /// What the dual sees.
    pub(crate) rows: Rows,
    /// Parallel to `rows.cost`: the member.
    pub(crate) member: Vec<MemberIdx>,
    /// Per row, its group and cell.
    pub(crate) whose: Vec<(GroupIdx, CellIdx)>,
    /// Per row, how many members at POPs it looks at by distance.
    depth: Vec<u32>,
    /// Per row, what the members that it does not look at cost at least.
    beyond: Vec<f32>,
}

/// The resources of a problem: POPs, then members with a room of their own.
pub(crate) struct Resources {
    /// What they offer to priced groups, requests per second.
    pub(crate) rooms: Vec<Room>,
    /// `own[g][m]`: the resource of a member, or `rooms.len()`.
    pub(crate) own: Vec<Vec<u32>>,
}

impl Resources {
    /// `taken[p]`: what groups that are not priced put on POP `p`.
    pub(crate) fn new(problem: &Problem, taken: &[f64]) -> Resources {
        let less = |room: &Room, by: f64| Room { target: (room.target - by).max(0.0), max: (room.max - by).max(0.0) };
        let mut rooms: Vec<Room> = problem.pops.iter().zip(taken).map(|(room, by)| less(room, *by)).collect();
        let n_own = |g: &GroupProblem| g.room.iter().filter(|r| r.is_some()).count();
        let is_priced = |g: usize| problem.policies.groups[g].steer == SteerBy::Priced;
        let none = rooms.len()
            + (0..problem.groups.len()).filter(|&g| is_priced(g)).map(|g| n_own(&problem.groups[g])).sum::<usize>();
        let mut own = Vec::with_capacity(problem.groups.len());
        for (g, group) in problem.groups.iter().enumerate() {
            let mut resource = |room: &Option<Room>| match room {
                Some(room) if is_priced(g) => {
                    rooms.push(*room);
                    rooms.len() as u32 - 1
                }
                _ => none as u32,
            };
            own.push(group.room.iter().map(&mut resource).collect());
        }
        Resources { rooms, own }
    }

    /// The resource that stands for none.
    pub(crate) fn none(&self) -> u32 {
        self.rooms.len() as u32
    }
}

//----------- One group ------------------------------------------------------

/// What is the same for all cells of a group.
struct Side<'a> {
    group: GroupIdx,
    spec: &'a Group,
    usable: &'a [bool],
    /// Usable members at each POP: `at[first[p]..first[p + 1]]`.
    first: Vec<u32>,
    at: Vec<MemberIdx>,
    external: Vec<MemberIdx>,
    /// Money per member, milliseconds.
    money: Vec<f64>,
    least_money: f64,
    /// `named[route][m]`.
    named: Vec<Vec<bool>>,
    own: &'a [u32],
}

impl<'a> Side<'a> {
    fn new(problem: &'a Problem, group: GroupIdx, resources: &'a Resources) -> Side<'a> {
        let policies = problem.policies;
        let (spec, usable) = (&policies.groups[group.idx()], &problem.groups[group.idx()].usable);
        let all = || (0..spec.members.len()).map(MemberIdx::from).filter(|m| usable[m.idx()]);
        let mut first = vec![0; policies.pops.len() + 1];
        all().filter_map(|m| spec.members[m.idx()].pop).for_each(|p| first[p.idx() + 1] += 1);
        (0..policies.pops.len()).for_each(|p| first[p + 1] += first[p]);
        let mut at: Vec<MemberIdx> = all().filter(|m| spec.members[m.idx()].pop.is_some()).collect();
        at.sort_by_key(|m| (spec.members[m.idx()].pop, &spec.members[m.idx()].name));
        let external = all().filter(|m| spec.members[m.idx()].role == Role::External).collect();
        let money: Vec<f64> =
            spec.members.iter().map(|m| m.price + m.pop.map_or(0.0, |p| policies.pops[p.idx()].price)).collect();
        let least_money = at.iter().map(|m| money[m.idx()]).fold(f64::INFINITY, f64::min);
        let named = spec.routes.iter().map(|route| {
            let (Effect::Only(set) | Effect::First(set) | Effect::Prefer(set)) = &route.effect;
            let mut named = vec![false; spec.members.len()];
            set.iter().for_each(|m| named[m.idx()] = true);
            named
        });
        let named = named.collect();
        Side { group, spec, usable, first, at, external, money, least_money, named, own: &resources.own[group.idx()] }
    }

    fn at_pop(&self, pop: PopIdx) -> &[MemberIdx] {
        &self.at[self.first[pop.idx()] as usize..self.first[pop.idx() + 1] as usize]
    }

    /// Cost of a member for a cell, without prices; `None` behind a fence.
    ///
    /// `named[m]`: whether the route names member `m`; `some_named`: whether any that is usable.
    fn cost(&self, geography: &Geography, cell: CellIdx, m: MemberIdx, effect: Effected) -> Option<f64> {
        let pop = self.spec.members[m.idx()].pop;
        let (distance, last_resort) = match pop {
            Some(pop) => (f64::from(geography.ms(cell, pop)), 0.0),
            None => (0.0, EXTERNAL_MS),
        };
        let money = self.money[m.idx()];
        Some(match effect {
            Effected::Free => distance + last_resort + money,
            Effected::Only(named) if named[m.idx()] => distance + last_resort + money,
            Effected::Only(_) => return None,
            Effected::First(named) if named[m.idx()] => {
                distance + money + if pop.is_none() { NAMED_EXTERNAL_MS } else { 0.0 }
            }
            Effected::First(_) => distance + last_resort + money + FIRST_MS,
            Effected::Prefer(named) if named[m.idx()] => money,
            Effected::Prefer(_) => distance + last_resort + money,
        })
    }

    fn effect(&self, geography: &Geography, cell: CellIdx) -> Effected<'_> {
        let Some(route) = geography.route[self.group.idx()][cell.idx()] else { return Effected::Free };
        let named = &self.named[usize::from(route)];
        match &self.spec.routes[usize::from(route)].effect {
            Effect::Only(_) => Effected::Only(named),
            Effect::First(set) if set.iter().any(|m| self.usable[m.idx()]) => Effected::First(named),
            Effect::First(_) => Effected::Free,
            Effect::Prefer(_) => Effected::Prefer(named),
        }
    }
}

/// A route's effect with its members as a set.
#[derive(Clone, Copy)]
enum Effected<'a> {
    Free,
    Only(&'a [bool]),
    First(&'a [bool]),
    Prefer(&'a [bool]),
}

impl Effected<'_> {
    fn names(self, m: MemberIdx) -> bool {
        match self {
            Effected::Free => false,
            Effected::Only(named) | Effected::First(named) | Effected::Prefer(named) => named[m.idx()],
        }
    }
}

//----------- All groups -----------------------------------------------------

impl Lists {
    /// The candidates of all priced groups. `scale`: what demand is multiplied by.
    pub(crate) fn new(problem: &Problem, options: &Options, resources: &Resources, scale: f64) -> Lists {
        Lists::build(problem, resources, scale, |_| options.nearest.max(1) as u32)
    }

    /// Lists in which the rows that could be served at less cost by members beyond theirs look farther;
    /// `None` if there are no such rows. `lambda`: the prices of a solution, with the 0 of "none".
    pub(crate) fn widened(
        &self,
        problem: &Problem,
        resources: &Resources,
        scale: f64,
        lambda: &[f64],
    ) -> Option<Lists> {
        let paid = |row: usize| {
            let v = |k: usize| {
                f64::from(self.rows.cost[k]) + lambda[self.rows.pop[k] as usize] + lambda[self.rows.own[k] as usize]
            };
            self.rows.of(row).map(v).fold(f64::INFINITY, f64::min)
        };
        let geography = problem.geography;
        let mut sides: Vec<Option<Side>> = problem.groups.iter().map(|_| None).collect();
        let mut depth = self.depth.clone();
        let mut any = false;
        for row in (0..self.rows.len()).filter(|&r| self.rows.demand[r] > 0.0) {
            let (paid, (group, cell)) = (paid(row), self.whose[row]);
            if paid <= f64::from(self.beyond[row]) {
                continue;
            }
            let side = sides[group.idx()].get_or_insert_with(|| Side::new(problem, group, resources));
            let effect = side.effect(geography, cell);
            let listed = &self.member[self.rows.of(row)];
            let cheaper = |m: &MemberIdx| {
                let pop = side.spec.members[m.idx()].pop.map_or(resources.none(), |p| u32::from(p.0));
                let price = lambda[pop as usize] + lambda[side.own[m.idx()] as usize];
                !listed.contains(m) && side.cost(geography, cell, *m, effect).is_some_and(|c| c + price < paid)
            };
            let within = |p: &&PopIdx| f64::from(geography.ms(cell, **p)) + side.least_money < paid;
            if geography.order_of(cell).iter().take_while(within).any(|p| side.at_pop(*p).iter().any(cheaper)) {
                depth[row] *= WIDEN;
                any = true;
            }
        }
        any.then(|| Lists::build(problem, resources, scale, |row| depth[row]))
    }

    fn build(problem: &Problem, resources: &Resources, scale: f64, depth_of: impl Fn(usize) -> u32) -> Lists {
        let geography = problem.geography;
        let priced = || (0..problem.groups.len()).filter(|&g| problem.policies.groups[g].steer == SteerBy::Priced);
        let n_rows = priced().count() * geography.n_cells;
        let mut lists = Lists {
            rows: Rows { start: Vec::with_capacity(n_rows + 1), demand: Vec::with_capacity(n_rows), ..Rows::default() },
            member: Vec::new(),
            whose: Vec::with_capacity(n_rows),
            depth: Vec::with_capacity(n_rows),
            beyond: Vec::with_capacity(n_rows),
        };
        lists.rows.start.push(0);
        for g in priced() {
            let side = Side::new(problem, GroupIdx::from(g), resources);
            for (r, &demand) in problem.groups[g].demand.iter().enumerate() {
                let depth = depth_of(lists.rows.len());
                lists.push_row(&side, geography, CellIdx::from(r), depth, resources.none());
                lists.rows.demand.push(demand * scale);
            }
        }
        lists
    }

    fn push_row(&mut self, side: &Side, geography: &Geography, cell: CellIdx, depth: u32, none: u32) {
        let effect = side.effect(geography, cell);
        let mut beyond = f32::INFINITY;
        let mut seen = 0;
        let mut truncated = false;
        for &pop in geography.order_of(cell) {
            let here = side.at_pop(pop);
            if here.is_empty() {
                continue;
            }
            if seen >= depth && !truncated {
                truncated = true;
                beyond = geography.ms(cell, pop) + side.least_money as f32;
            }
            for &m in here {
                if truncated && !effect.names(m) {
                    continue;
                }
                if let Some(cost) = side.cost(geography, cell, m, effect) {
                    self.push(m, cost, u32::from(pop.0), side.own[m.idx()]);
                    seen += u32::from(!truncated);
                }
            }
            if truncated && matches!(effect, Effected::Free) {
                break;
            }
        }
        for &m in &side.external {
            if let Some(cost) = side.cost(geography, cell, m, effect) {
                self.push(m, cost, none, side.own[m.idx()]);
            }
        }
        self.rows.start.push(self.rows.cost.len() as u32);
        self.whose.push((side.group, cell));
        self.depth.push(depth);
        self.beyond.push(beyond);
    }

    fn push(&mut self, member: MemberIdx, cost: f64, pop: u32, own: u32) {
        self.member.push(member);
        self.rows.cost.push(cost as f32);
        self.rows.pop.push(pop);
        self.rows.own.push(own);
    }
}
