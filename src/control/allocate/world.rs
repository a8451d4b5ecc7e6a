//! Worlds to try the allocation on: any that a test makes, and random ones.

use super::*;
use crate::control::fixture;
use crate::id::MemberIdx;
use crate::policy::{Effect, Group, Policies, Role, Route};
use crate::steering::GroupPlan;
use proptest::prelude::*;

//----------- A world of any size --------------------------------------------

/// Everything a problem borrows or is made of; one member per POP in every group, in order.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) policies: Policies,
    pub(crate) geography: Geography,
    pub(crate) rooms: Vec<Room>,
    pub(crate) demand: Vec<Vec<f64>>,
    pub(crate) usable: Vec<Vec<bool>>,
    pub(crate) own: Vec<Vec<Option<Room>>>,
    pub(crate) shadow: Vec<Vec<bool>>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let effects: Vec<_> = self.policies.groups.iter().flat_map(|g| g.routes.iter().map(|r| &r.effect)).collect();
        let geography = &self.geography;
        writeln!(f, "rooms {:?}\nusable {:?}\nown {:?}", self.rooms, self.usable, self.own)?;
        writeln!(f, "demand {:?}\nroutes {effects:?} {:?}", self.demand, geography.route)?;
        geography.ms.chunks(geography.n_pops.max(1)).try_for_each(|ms| writeln!(f, "ms {ms:?}"))
    }
}

impl World {
    /// `ms[r][p]`, `demand[g][r]`; each POP has `capacity`, 15 % of it in reserve.
    pub(crate) fn new(ms: &[&[f32]], capacity: &[f64], demand: &[&[f64]]) -> World {
        let pops = capacity.iter().enumerate().map(|(p, c)| fixture::pop(&format!("p{p:03}"), 0.0, 0.0, *c)).collect();
        let members =
            || (0..capacity.len()).map(|p| fixture::member(&format!("m{p:03}"), Some(p as u16), Role::Active));
        let groups: Vec<Group> = demand.iter().map(|_| fixture::group(members().collect(), Vec::new())).collect();
        let policies = Policies { pops, groups, steers: Vec::new() };
        let route = demand.iter().map(|_| vec![None; ms.len()]).collect();
        World {
            geography: Geography::from_ms(&policies, ms.len(), ms.concat(), route),
            rooms: capacity.iter().map(|c| Room { target: 0.85 * c, max: *c }).collect(),
            demand: demand.iter().map(|d| d.to_vec()).collect(),
            usable: demand.iter().map(|_| vec![true; capacity.len()]).collect(),
            own: demand.iter().map(|_| vec![None; capacity.len()]).collect(),
            shadow: demand.iter().map(|_| vec![false; capacity.len()]).collect(),
            policies,
        }
    }

    /// Adds an external member to group 0.
    pub(crate) fn external(mut self, price: f64) -> World {
        let mut edge = fixture::member("edge", None, Role::External);
        edge.price = price;
        self.policies.groups[0].members.push(edge);
        self.usable[0].push(true);
        self.own[0].push(None);
        self.shadow[0].push(false);
        self
    }

    /// Gives a cell of group 0 a route.
    pub(crate) fn route(mut self, cell: usize, effect: Effect) -> World {
        let routes = &mut self.policies.groups[0].routes;
        routes.push(Route { when: Default::default(), effect, text: String::new() });
        self.geography.route[0][cell] = Some(routes.len() as u16 - 1);
        self
    }

    pub(crate) fn problem<'a>(&'a self, prev: &'a [GroupPlan]) -> Problem<'a> {
        let group = |g: usize| GroupProblem {
            demand: self.demand[g].clone(),
            usable: self.usable[g].clone(),
            shadow_active: self.shadow[g].clone(),
            room: self.own[g].clone(),
            prev: prev.get(g),
        };
        let groups = (0..self.demand.len()).map(group).collect();
        Problem { policies: &self.policies, geography: &self.geography, pops: self.rooms.clone(), groups }
    }

    pub(crate) fn solve(&self) -> Allocation {
        allocate(&self.problem(&[]), &Options::default(), &Warm::default())
    }
}

/// An allocation as the plan that would be served.
pub(crate) fn served(allocation: &Allocation) -> Vec<GroupPlan> {
    let group = |g: &GroupAllocation| GroupPlan {
        ttl: 60,
        demand: Default::default(),
        members: Vec::new(),
        rows: g.rows.clone(),
        row_of_cell: g.row_of_cell.clone(),
        blind_rows: Vec::new(),
        blind_row_of_cell: Vec::new(),
        short: g.short,
        heavy: Default::default(),
    };
    allocation.groups.iter().map(group).collect()
}

pub(crate) fn shares(a: &Allocation, g: usize, r: usize) -> Vec<f32> {
    a.groups[g].rows[a.groups[g].row_of_cell[r] as usize].to_vec()
}

prop_compose! {
    /// Up to three groups over up to six POPs and eight cells, with fences, own rooms and POPs down;
    /// demand from far below to far above what there is.
    pub(crate) fn worlds()(
        n_pops in 2usize..7, n_cells in 1usize..9, n_groups in 1usize..4,
    )(
        ms in prop::collection::vec(prop::collection::vec(1f32..300.0, n_pops), n_cells),
        capacity in prop::collection::vec(50.0f64..5000.0, n_pops),
        weights in prop::collection::vec(prop::collection::vec(prop_oneof![1 => Just(0.0), 8 => 0.01f64..1.0], n_cells), n_groups),
        fullness in 0.05f64..1.6,
        down in prop::collection::vec(prop::bool::weighted(0.1), n_pops),
        fence in prop::option::of((0..n_cells, prop::collection::vec(0..n_pops as u16, 1..3), 0u8..3)),
        own in prop::option::of((0..n_groups, 0..n_pops, 0.05f64..0.8)),
    ) -> World {
        let total: f64 = capacity.iter().sum();
        let sum = weights.iter().flatten().sum::<f64>().max(1e-9);
        let demand: Vec<Vec<f64>> = weights.iter().map(|w| w.iter().map(|w| w / sum * total * fullness).collect()).collect();
        let (ms, demand): (Vec<&[f32]>, Vec<&[f64]>) = (ms.iter().map(|m| &m[..]).collect(), demand.iter().map(|d| &d[..]).collect());
        let mut world = World::new(&ms, &capacity, &demand);
        world.usable.iter_mut().for_each(|u| u.iter_mut().zip(&down).for_each(|(u, d)| *u = !d));
        if let Some((cell, set, kind)) = fence {
            let set: Vec<MemberIdx> = set.into_iter().map(MemberIdx).collect();
            world = world.route(cell, match kind {
                0 => Effect::Only(set),
                1 => Effect::First(set),
                _ => Effect::Prefer(set),
            });
        }
        if let Some((g, m, part)) = own {
            world.own[g][m] = Some(Room { target: 0.85 * part * capacity[m], max: part * capacity[m] });
        }
        world
    }
}
