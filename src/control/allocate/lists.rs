//! The candidates of every cell of every class of priced groups, with their costs.
//!
//! A cell looks at its `nearest` members first, at members that its route names, and at external ones.
//! Whether a member beyond those would be cheaper can be told from the prices of a solution (column
//! generation): it cannot cost less than its distance, so only rows that pay more than the farthest
//! member they look at need to look farther.

use crate::control::allocate::classes::Classes;
use crate::control::allocate::dual::{Face, Rows};
use crate::control::allocate::problem::{Geography, GroupProblem, Options, Problem, Room};
use crate::control::allocate::{EXTERNAL_MS, FIRST_MS};
use crate::control::candidates::money_ms;
use crate::id::{CellIdx, GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Effect, Group, Role, SteerBy};
use std::sync::Arc;

/// Extra milliseconds of an external member that `members=…` names: after the POPs named beside it,
/// before all others.
const NAMED_EXTERNAL_MS: f64 = FIRST_MS / 2.0;
/// How many times as many members a row that is badly served looks at next.
const WIDEN: u32 = 4;

//----------- Lists ----------------------------------------------------------

/// The rows of a problem and where they come from. What does not change with demand is shared between clones.
#[derive(Clone)]
pub(crate) struct Lists {
    /// What the dual sees.
    pub(crate) rows: Rows,
    /// Parallel to `rows.cost`: the member.
    pub(crate) member: Arc<Vec<MemberIdx>>,
    /// Number of cells: row `c * n_cells + r` is that of class `c` in cell `r`.
    pub(crate) n_cells: usize,
    /// Per row, how many members at POPs it looks at by distance.
    depth: Arc<Vec<u32>>,
    /// Per row, what the members that it does not look at cost at least.
    beyond: Arc<Vec<f32>>,
}

/// The resources of a problem: POPs, then members with a room of their own, then what POPs take from elsewhere.
pub(crate) struct Resources {
    /// What they offer to priced groups, requests per second.
    pub(crate) rooms: Vec<Room>,
    /// `own[g][m]`: the resource of a member, or `rooms.len()`.
    pub(crate) own: Vec<Vec<u32>>,
    /// `spill[p]`: the resource that clients from elsewhere take up at POP `p`, or `rooms.len()`.
    pub(crate) spill: Vec<u32>,
    /// What candidates may take up; see [`Rows`].
    pub(crate) faces: Vec<Face>,
    /// `of_own[i]`: the face of a member with resource `i`, and after it that for clients from elsewhere.
    of_own: Vec<u32>,
}

impl Resources {
    /// `taken[p]`: what groups that are not priced put on POP `p`.
    pub(crate) fn new(problem: &Problem, taken: &[f64]) -> Resources {
        let less = |room: &Room, by: f64| Room { target: (room.target - by).max(0.0), max: (room.max - by).max(0.0) };
        let n_pops = problem.pops.len();
        let mut rooms: Vec<Room> = problem.pops.iter().zip(taken).map(|(room, by)| less(room, *by)).collect();
        let is_priced = |g: usize| problem.policies.groups[g].steer == SteerBy::Priced;
        let some = |g: &GroupProblem| g.room.iter().filter(|r| r.is_some()).count();
        let n_own: usize = (0..problem.groups.len()).filter(|&g| is_priced(g)).map(|g| some(&problem.groups[g])).sum();
        let capped = || problem.policies.pops.iter().zip(&problem.pops).map(|(pop, room)| (pop.spill, room));
        let n_spill = capped().filter(|(part, _)| part.is_some()).count();
        let none = (n_pops + n_own + n_spill) as u32;
        let mut own = Vec::with_capacity(problem.groups.len());
        for (g, group) in problem.groups.iter().enumerate() {
            let mut resource = |room: &Option<Room>| match room {
                Some(room) if is_priced(g) => {
                    rooms.push(*room);
                    rooms.len() as u32 - 1
                }
                _ => none,
            };
            own.push(group.room.iter().map(&mut resource).collect::<Vec<u32>>());
        }
        let mut resource = |(part, room): (Option<f64>, &Room)| {
            part.map_or(none, |part| {
                rooms.push(Room { target: part * room.target, max: part * room.max });
                rooms.len() as u32 - 1
            })
        };
        let spill: Vec<u32> = capped().map(&mut resource).collect();
        let mut faces: Vec<Face> = (0..n_pops as u32).map(|p| [p, none, none]).collect();
        faces.extend((0..n_pops).map(|p| [p as u32, none, spill[p]]));
        faces.push([none; 3]);
        let mut of_own = vec![0; none as usize];
        for (spec, own) in problem.policies.groups.iter().zip(&own) {
            for (member, &i) in spec.members.iter().zip(own).filter(|(_, i)| **i != none) {
                of_own[i as usize] = faces.len() as u32;
                let pop = member.pop.map_or(none, |p| u32::from(p.0));
                faces.extend([[pop, i, none], [pop, i, member.pop.map_or(none, |p| spill[p.idx()])]]);
            }
        }
        Resources { rooms, own, spill, faces, of_own }
    }

    /// The resource that stands for none.
    pub(crate) fn none(&self) -> u32 {
        self.rooms.len() as u32
    }

    /// Whether some POP bounds what it takes from elsewhere.
    fn any_spill(&self) -> bool {
        self.spill.iter().any(|i| *i != self.none())
    }

    /// The face of a member at a POP, `own` its resource; `away`: for clients who are at home elsewhere.
    fn face(&self, pop: Option<PopIdx>, own: u32, away: bool) -> u32 {
        let n_pops = self.spill.len();
        match (own == self.none(), pop) {
            (true, None) => 2 * n_pops as u32,
            (true, Some(pop)) => u32::from(pop.0) + if away { n_pops as u32 } else { 0 },
            (false, _) => self.of_own[own as usize] + u32::from(away),
        }
    }
}

//----------- One group ------------------------------------------------------

/// What is the same for all cells of a class, by the group that stands for it.
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
    resources: &'a Resources,
    /// Whether a POP has a member that always serves; empty where no POP bounds what it takes from elsewhere.
    homes: Vec<bool>,
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
        let money: Vec<f64> = spec.members.iter().map(|m| money_ms(policies, spec, m)).collect();
        let least_money = at.iter().map(|m| money[m.idx()]).fold(f64::INFINITY, f64::min);
        let named = spec.routes.iter().map(|route| {
            let (Effect::Only(set) | Effect::First(set) | Effect::Prefer(set)) = &route.effect;
            let mut named = vec![false; spec.members.len()];
            set.iter().for_each(|m| named[m.idx()] = true);
            named
        });
        let named = named.collect();
        let homes = if resources.any_spill() { homes(spec, policies.pops.len()) } else { Vec::new() };
        Side { group, spec, usable, first, at, external, money, least_money, named, resources, homes }
    }

    /// The face of a member for clients of a cell; `home_ms`: how far they have to the POPs where they are at home.
    fn face(&self, geography: &Geography, cell: CellIdx, m: MemberIdx, effect: Effected, home_ms: f32) -> u32 {
        let pop = self.spec.members[m.idx()].pop;
        let away = pop.is_some_and(|pop| geography.ms(cell, pop) > home_ms) && !effect.names(m);
        self.resources.face(pop, self.resources.own[self.group.idx()][m.idx()], away)
    }

    /// See [`Side::face`]; infinite where it makes no difference.
    fn home_ms(&self, geography: &Geography, cell: CellIdx) -> f32 {
        match self.homes.is_empty() {
            true => f32::INFINITY,
            false => home_ms(geography, cell, &self.homes),
        }
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

/// Whether each POP has a member of a group that always serves: clients are at home at the nearest such one, be it up or
/// down.
pub(crate) fn homes(spec: &Group, n_pops: usize) -> Vec<bool> {
    let mut homes = vec![false; n_pops];
    let active = spec.members.iter().filter(|m| m.role == Role::Active);
    active.filter_map(|m| m.pop).for_each(|p| homes[p.idx()] = true);
    homes
}

/// How far the clients of a cell have to the POPs where they are at home; several, if they are as far. Infinite without any.
pub(crate) fn home_ms(geography: &Geography, cell: CellIdx, homes: &[bool]) -> f32 {
    let at_home = geography.order_of(cell).iter().find(|p| homes[p.idx()]);
    at_home.map_or(f32::INFINITY, |p| geography.ms(cell, *p))
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

//----------- All classes ----------------------------------------------------

impl Lists {
    /// The candidates of all classes. `scale`: what demand is multiplied by.
    pub(crate) fn new(
        problem: &Problem,
        classes: &Classes,
        options: &Options,
        resources: &Resources,
        scale: f64,
    ) -> Lists {
        let geography = problem.geography;
        let nearest = options.nearest.max(1) as u32;
        let mut making = Making::with_room(classes.groups.len() * geography.n_cells, nearest as usize);
        for class in 0..classes.groups.len() {
            let side = Side::new(problem, classes.first(class), resources);
            (0..geography.n_cells).for_each(|r| making.push_row(&side, geography, CellIdx::from(r), nearest));
        }
        making.finish(demand(problem, classes, scale), geography.n_cells, resources)
    }

    /// The same candidates, another demand.
    pub(crate) fn demanded(self, problem: &Problem, classes: &Classes, scale: f64) -> Lists {
        let rows = Rows { demand: demand(problem, classes, scale), ..self.rows };
        Lists { rows, ..self }
    }

    /// Lists in which the rows that could be served at less cost by members beyond theirs look farther;
    /// `None` if there are no such rows. `lambda`: the prices of a solution, with the 0 of "none".
    pub(crate) fn widened(
        &self,
        problem: &Problem,
        classes: &Classes,
        resources: &Resources,
        lambda: &[f64],
    ) -> Option<Lists> {
        let price = self.rows.face_prices(lambda);
        let paid = |row: usize| {
            let v = |k: usize| f64::from(self.rows.cost[k]) + price[self.rows.face[k] as usize];
            self.rows.of(row).map(v).fold(f64::INFINITY, f64::min)
        };
        let geography = problem.geography;
        let mut side: Option<(usize, Side)> = None;
        let mut depth = Vec::new();
        for row in (0..self.rows.len()).filter(|&r| self.beyond[r] < f32::INFINITY && self.rows.demand[r] > 0.0) {
            let paid = paid(row);
            if paid <= f64::from(self.beyond[row]) {
                continue;
            }
            let (class, cell) = (row / self.n_cells, CellIdx::from(row % self.n_cells));
            let (_, side) = match &mut side {
                Some(known) if known.0 == class => known,
                other => other.insert((class, Side::new(problem, classes.first(class), resources))),
            };
            let effect = side.effect(geography, cell);
            let home_ms = side.home_ms(geography, cell);
            let listed = &self.member[self.rows.of(row)];
            let cheaper = |m: &MemberIdx| {
                let price = price[side.face(geography, cell, *m, effect, home_ms) as usize];
                !listed.contains(m) && side.cost(geography, cell, *m, effect).is_some_and(|c| c + price < paid)
            };
            let within = |p: &&PopIdx| f64::from(geography.ms(cell, **p)) + side.least_money < paid;
            if geography.order_of(cell).iter().take_while(within).any(|p| side.at_pop(*p).iter().any(cheaper)) {
                if depth.is_empty() {
                    depth.clone_from(&*self.depth);
                }
                depth[row] *= WIDEN;
            }
        }
        if depth.is_empty() {
            return None;
        }
        let per_row = self.rows.cost.len() / self.rows.len().max(1) + 1;
        let mut making = Making::with_room(self.rows.len(), per_row);
        let mut side: Option<(usize, Side)> = None;
        for (row, depth) in depth.into_iter().enumerate() {
            // Few rows look farther; the others are copied.
            if depth == self.depth[row] {
                making.copy_row(self, row);
                continue;
            }
            let class = row / self.n_cells;
            let (_, side) = match &mut side {
                Some(known) if known.0 == class => known,
                other => other.insert((class, Side::new(problem, classes.first(class), resources))),
            };
            making.push_row(side, geography, CellIdx::from(row % self.n_cells), depth);
        }
        Some(making.finish(self.rows.demand.clone(), self.n_cells, resources))
    }
}

/// Demand per row, in parts of all: `c * n_cells + r` is that of class `c` in cell `r`.
fn demand(problem: &Problem, classes: &Classes, scale: f64) -> Vec<f64> {
    let n_cells = problem.geography.n_cells;
    let mut demand = vec![0.0; classes.groups.len() * n_cells];
    for (groups, to) in classes.groups.iter().zip(demand.chunks_mut(n_cells.max(1))) {
        for g in groups {
            to.iter_mut().zip(&problem.groups[g.idx()].demand).for_each(|(to, d)| *to += d * scale);
        }
    }
    demand
}

/// Lists that are being made, row by row; the fields are theirs.
struct Making {
    start: Vec<u32>,
    cost: Vec<f32>,
    face: Vec<u32>,
    member: Vec<MemberIdx>,
    depth: Vec<u32>,
    beyond: Vec<f32>,
}

impl Making {
    /// No row yet, with room for `n_rows` at `per_row` candidates each.
    fn with_room(n_rows: usize, per_row: usize) -> Making {
        let n = n_rows * per_row;
        let mut start = Vec::with_capacity(n_rows + 1);
        start.push(0);
        Making {
            start,
            cost: Vec::with_capacity(n),
            face: Vec::with_capacity(n),
            member: Vec::with_capacity(n),
            depth: Vec::with_capacity(n_rows),
            beyond: Vec::with_capacity(n_rows),
        }
    }

    fn finish(self, demand: Vec<f64>, n_cells: usize, resources: &Resources) -> Lists {
        let Making { start, cost, face, member, depth, beyond } = self;
        let faces = Arc::new(resources.faces.clone());
        let rows = Rows { start: Arc::new(start), demand, cost: Arc::new(cost), face: Arc::new(face), faces };
        Lists { rows, member: Arc::new(member), n_cells, depth: Arc::new(depth), beyond: Arc::new(beyond) }
    }

    fn copy_row(&mut self, from: &Lists, row: usize) {
        let range = from.rows.of(row);
        self.cost.extend_from_slice(&from.rows.cost[range.clone()]);
        self.face.extend_from_slice(&from.rows.face[range.clone()]);
        self.member.extend_from_slice(&from.member[range]);
        self.start.push(self.cost.len() as u32);
        self.depth.push(from.depth[row]);
        self.beyond.push(from.beyond[row]);
    }

    fn push_row(&mut self, side: &Side, geography: &Geography, cell: CellIdx, depth: u32) {
        let effect = side.effect(geography, cell);
        let home_ms = side.home_ms(geography, cell);
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
                    self.push(m, cost, side.face(geography, cell, m, effect, home_ms));
                    seen += u32::from(!truncated);
                }
            }
            if truncated && matches!(effect, Effected::Free) {
                break;
            }
        }
        for &m in &side.external {
            if let Some(cost) = side.cost(geography, cell, m, effect) {
                self.push(m, cost, side.face(geography, cell, m, effect, home_ms));
            }
        }
        self.start.push(self.cost.len() as u32);
        self.depth.push(depth);
        self.beyond.push(beyond);
    }

    fn push(&mut self, member: MemberIdx, cost: f64, face: u32) {
        self.member.push(member);
        self.cost.push(cost as f32);
        self.face.push(face);
    }
}
