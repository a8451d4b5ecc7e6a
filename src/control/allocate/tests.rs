//! Laws of the allocation, and small worlds that can be checked by hand.

use super::*;
use crate::control::fixture;
use crate::id::{CellIdx, MemberIdx, RuleIdx};
use crate::policy::{Effect, Group, Policies, Role, Route, SteerBy};
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
    fn external(mut self, price: f64) -> World {
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
fn served(allocation: &Allocation) -> Vec<GroupPlan> {
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

#[track_caller]
fn check(a: &Allocation, cell: usize, expect: &[f32], within: f32) {
    let got = shares(a, 0, cell);
    assert_eq!(got.len(), expect.len());
    assert!(got.iter().zip(expect).all(|(g, e)| (g - e).abs() <= within), "{got:?} for {expect:?}");
}

#[track_caller]
fn check_loads(a: &Allocation, expect: &[f64]) {
    for (pop, e) in a.pops.iter().zip(expect) {
        assert!((pop.load - e).abs() <= 0.002 * e.max(10.0), "{:?} for {expect:?}", a.pops);
    }
}

//----------- Small worlds ---------------------------------------------------

#[test]
fn with_room_everyone_goes_near() {
    let a = World::new(&[&[10.0, 40.0], &[50.0, 12.0]], &[1000.0, 1000.0], &[&[500.0, 300.0]]).solve();
    check(&a, 0, &[1.0, 0.0], 0.0);
    check(&a, 1, &[0.0, 1.0], 0.0);
    assert_eq!((a.pops[0].price_ms, a.groups[0].short), (0.0, 0.0));
    assert!(a.n_passes <= 8, "{}", a.n_passes);
}

/// A full POP keeps what it can and its price is the detour of the marginal client.
#[test]
fn a_full_pop_is_dearer_by_its_neighbours_distance() {
    let a = World::new(&[&[10.0, 40.0]], &[1000.0, 1000.0], &[&[1200.0]]).solve();
    check_loads(&a, &[850.0, 350.0]);
    assert!((a.pops[0].price_ms - 30.0).abs() < 1.5, "{:?}", a.pops);
    assert_eq!(a.pops[1].price_ms, 0.0);
}

#[test]
fn over_all_targets_the_excess_is_shared_in_proportion() {
    let ms: &[&[f32]] = &[&[10.0, 40.0], &[60.0, 12.0]];
    // 85 % of 3000 is 2550; 2800 leaves 2/9 of each reserve.
    let a = World::new(ms, &[1000.0, 2000.0], &[&[2700.0, 100.0]]).solve();
    let part = |p: usize, c: f64| (a.pops[p].load - 0.85 * c) / (0.15 * c);
    assert!((part(0, 1000.0) - 0.5556).abs() < 0.02 && (part(1, 2000.0) - 0.5556).abs() < 0.02, "{:?}", a.pops);
    assert_eq!(a.groups[0].short, 0.0);
    let a = World::new(ms, &[1000.0, 2000.0], &[&[3500.0, 100.0]]).solve();
    assert!((a.groups[0].short - 600.0).abs() < 1.0, "{:?}", a.groups[0]);
    assert!((a.pops[0].load - 1200.0).abs() < 6.0, "{:?}", a.pops);
}

#[test]
fn externals_take_what_no_target_can() {
    let world = World::new(&[&[10.0, 90.0]], &[1000.0, 1000.0], &[&[1500.0]]).external(1.0);
    check(&world.solve(), 0, &[850.0 / 1500.0, 650.0 / 1500.0, 0.0], 0.002);
    let world = World::new(&[&[10.0, 90.0]], &[1000.0, 1000.0], &[&[2500.0]]).external(1.0);
    let a = world.solve();
    check_loads(&a, &[850.0, 850.0]);
    assert!((a.groups[0].load[2] - 800.0).abs() < 4.0 && a.groups[0].short == 0.0);
    assert!(a.pops.iter().all(|p| p.price_ms < OVER_TARGET_MS && p.price_ms > 1800.0));
}

#[test]
fn routes_decide_who_may() {
    let ms = [&[10.0, 40.0, 70.0][..]; 5];
    let far = vec![MemberIdx(2)];
    let world = World::new(&ms, &[1000.0; 3], &[&[100.0, 100.0, 100.0, 100.0, 3000.0]])
        .route(0, Effect::Only(far.clone()))
        .route(1, Effect::First(far.clone()))
        .route(2, Effect::Prefer(far.clone()));
    let mut calm = world.clone();
    calm.demand[0][4] = 100.0;
    let a = calm.solve();
    for cell in 0..3 {
        check(&a, cell, &[0.0, 0.0, 1.0], 0.0);
    }
    check(&a, 3, &[1.0, 0.0, 0.0], 0.0);
    // The third POP gone: fences hold, the others fall back.
    let mut down = calm.clone();
    down.usable[0][2] = false;
    let a = down.solve();
    check(&a, 0, &[0.0, 0.0, 0.0], 0.0);
    check(&a, 1, &[1.0, 0.0, 0.0], 0.0);
    check(&a, 2, &[1.0, 0.0, 0.0], 0.0);
    assert_eq!(a.groups[0].short, 100.0);
    // All over their targets: the fenced stay, also those that would rather.
    let a = world.solve();
    check(&a, 0, &[0.0, 0.0, 1.0], 0.0);
    check(&a, 1, &[0.0, 0.0, 1.0], 0.0);
}

#[test]
fn a_first_set_that_is_full_spills() {
    let world =
        World::new(&[&[10.0, 40.0, 70.0]], &[1000.0; 3], &[&[1000.0]]).route(0, Effect::First(vec![MemberIdx(2)]));
    check(&world.solve(), 0, &[0.15, 0.0, 0.85], 0.002);
}

#[test]
fn a_members_own_room_is_a_limit() {
    let mut world = World::new(&[&[10.0, 40.0]], &[1000.0, 1000.0], &[&[500.0], &[300.0]]);
    world.own[0][0] = Some(Room { target: 200.0, max: 250.0 });
    let a = world.solve();
    assert!((a.groups[0].load[0] - 200.0).abs() < 1.0, "{:?}", a.groups[0]);
    assert!((a.groups[1].load[0] - 300.0).abs() < 1e-6);
    assert!((a.warm.members[0][0] - 30.0).abs() < 2.0);
}

#[test]
fn nearest_static_and_no_demand() {
    let mut world = World::new(&[&[40.0, 10.0, 10.0]], &[1000.0, 1000.0, 3000.0], &[&[0.0]]);
    check(&world.solve(), 0, &[0.0, 0.5, 0.5], 0.0);
    world.policies.groups[0].steer = SteerBy::Nearest;
    check(&world.solve(), 0, &[0.0, 1.0, 0.0], 0.0);
    world.policies.groups[0].steer = SteerBy::Static;
    check(&world.solve(), 0, &[0.2, 0.2, 0.6], 1e-6);
    world.policies.groups[0].members[0].weight = Some(2000.0);
    world.usable[0][1] = false;
    check(&world.solve(), 0, &[0.4, 0.0, 0.6], 1e-6);
}

/// The classic rule by hand: capacities 1, 1/2, 1/4 of the largest; scores 0, 1/2, 1.
#[test]
fn weighted_is_the_classic_rule() {
    let mut world = World::new(&[&[20.0, 40.0, 60.0]], &[800.0, 400.0, 200.0], &[&[100.0]]);
    world.policies.groups[0].steer = SteerBy::Weighted;
    check(&world.solve(), 0, &[0.8, 0.2, 0.0], 1e-6);
    world.shadow[0][2] = true;
    check(&world.solve(), 0, &[1.0 / 1.45, 0.25 / 1.45, 0.2 / 1.45], 1e-6);
    world.geography.ms = vec![7.0; 3];
    check(&world.solve(), 0, &[1.0 / 1.95, 0.5 / 1.95, 0.45 / 1.95], 1e-6);
    // The half capacity of a capped POP counts as half.
    world.rooms[0].max = 400.0;
    world.shadow[0][2] = false;
    check(&world.solve(), 0, &[0.4, 0.4, 0.2], 1e-6);
}

/// What other kinds of steering put on a POP is room that priced groups do not have.
#[test]
fn groups_share_pops() {
    let mut world = World::new(&[&[10.0, 40.0]], &[1000.0, 1000.0], &[&[600.0], &[600.0]]);
    world.policies.groups[0].steer = SteerBy::Nearest;
    let a = world.solve();
    assert!((a.groups[1].load[0] - 250.0).abs() < 1.0, "{:?}", a.groups[1]);
    check_loads(&a, &[850.0, 350.0]);
}

/// A POP that bounds what it takes from elsewhere: clients who have another POP nearer go past it once that is used up,
/// its own come first; and the bound gives way last of all, as targets do, and says what is short.
#[test]
fn spill_is_bounded() {
    let ms: &[&[f32]] = &[&[10.0, 40.0, 90.0], &[40.0, 10.0, 90.0]];
    let mut world = World::new(ms, &[1000.0; 3], &[&[1200.0, 300.0]]);
    check_loads(&world.solve(), &[850.0, 650.0, 0.0]);
    world.policies.pops[1].spill = Some(0.1);
    let a = world.solve();
    check_loads(&a, &[850.0, 385.0, 265.0]);
    assert!(a.pops[1].price_ms == 0.0 && (a.pops[1].spill_ms - 50.0).abs() < 2.0, "{:?}", a.pops);
    assert_eq!(a.groups[0].short, 0.0);
    // Who is sent there by name is at home there.
    check_loads(&world.clone().route(0, Effect::First(vec![MemberIdx(1)])).solve(), &[650.0, 850.0, 0.0]);
    // Where its own POP is down the clients are from elsewhere all the same, and there is nowhere else to go.
    world.usable[0] = vec![false, true, false];
    let a = world.solve();
    check_loads(&a, &[0.0, 1500.0, 0.0]);
    assert!((a.groups[0].short - 1100.0).abs() < 1.0, "{:?}", a.groups[0]);
    // An external member comes before the bound gives way.
    let mut world = World::new(&[&[10.0, 40.0], &[40.0, 10.0]], &[1000.0; 2], &[&[1200.0, 300.0]]).external(1.0);
    world.policies.pops[1].spill = Some(0.0);
    let a = world.solve();
    check_loads(&a, &[850.0, 300.0]);
    assert!((a.groups[0].load[2] - 350.0).abs() < 2.0 && a.groups[0].short == 0.0, "{:?}", a.groups[0]);
}

/// Carbon counts by what the group has it weigh: 300 g/kWh at 0.1 ms are worth 30 ms of detour, and no more.
#[test]
fn carbon_has_a_price() {
    let mut world = World::new(&[&[10.0, 35.0], &[10.0, 45.0]], &[1000.0; 2], &[&[100.0, 100.0]]);
    world.policies.pops[0].co2 = 320.0;
    world.policies.pops[1].co2 = 20.0;
    check(&world.solve(), 0, &[1.0, 0.0], 0.0);
    world.policies.groups[0].co2_price = 0.1;
    let a = world.solve();
    check(&a, 0, &[0.0, 1.0], 0.0);
    check(&a, 1, &[1.0, 0.0], 0.0);
}

/// Far members are looked at when the near are full.
#[test]
fn cells_look_farther_than_the_nearest_when_those_are_full() {
    let ms: Vec<f32> = (0..40).map(|p| 10.0 + p as f32).collect();
    let world = World::new(&[&ms], &[100.0; 40], &[&[2000.0]]);
    let a = world.solve();
    assert!(a.pops.iter().all(|p| p.load <= 85.0 + 2000.0 / 4096.0), "{:?}", a.pops);
    assert_eq!(a.groups[0].short, 0.0);
}

//----------- Staying --------------------------------------------------------

#[test]
fn calm_stays_calm() {
    let ms: &[&[f32]] = &[&[10.0, 11.0], &[30.0, 12.0]];
    let world = World::new(ms, &[1000.0, 1000.0], &[&[500.0, 300.0]]);
    let first = world.solve();
    let prev = served(&first);
    let mut later = world.clone();
    later.demand[0] = vec![520.0, 310.0];
    later.geography.ms[0] = 10.5;
    let again = allocate(&later.problem(&prev), &Options::default(), &first.warm);
    assert_eq!(again.groups[0].rows, first.groups[0].rows);
    // One that pays is made.
    later.geography.ms[0] = 60.0;
    let moved = allocate(&later.problem(&prev), &Options::default(), &first.warm);
    check(&moved, 0, &[0.0, 1.0], 0.0);
    // And one that must be, whatever it costs.
    later.geography.ms[0] = 10.0;
    later.demand[0][0] = 1200.0;
    let moved = allocate(&later.problem(&prev), &Options::default(), &first.warm);
    assert!(moved.pops[0].load <= 850.0 * 1.001, "{:?}", moved.pops);
}

#[test]
fn a_step_in_is_bounded_and_a_step_away_is_not() {
    let ms: &[&[f32]] = &[&[10.0, 40.0, 90.0]];
    let world = World::new(ms, &[1000.0; 3], &[&[500.0]]);
    let before =
        World { geography: Geography { ms: vec![50.0, 40.0, 90.0], ..world.geography.clone() }, ..world.clone() };
    let prev = served(&before.solve());
    let wanted = allocate(&world.problem(&prev), &Options::default(), &Warm::default());
    check(&wanted, 0, &[1.0, 0.0, 0.0], 0.0);
    let stay = [false; 3];
    check(&limit_step(&world.problem(&prev), wanted.clone(), 0.1, &stay), 0, &[0.2, 0.8, 0.0], 1e-5);
    check(&limit_step(&world.problem(&prev), wanted.clone(), 0.6, &stay), 0, &[1.0, 0.0, 0.0], 0.0);
    check(&limit_step(&world.problem(&prev), wanted.clone(), 0.1, &[false, true, false]), 0, &[1.0, 0.0, 0.0], 0.0);
    let mut open = world.clone();
    open.usable[0][1] = false;
    check(&limit_step(&open.problem(&prev), wanted.clone(), 0.1, &stay), 0, &[1.0, 0.0, 0.0], 0.0);
    // No plan before: nothing to step from.
    check(&limit_step(&world.problem(&[]), wanted.clone(), 0.1, &stay), 0, &[1.0, 0.0, 0.0], 0.0);
}

//----------- Laws -----------------------------------------------------------

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn shares_sum_to_one_and_respect_fences(world in worlds()) {
        let a = world.solve();
        prop_assert!(a.n_passes < 200, "{} passes", a.n_passes);
        let mut demand = 0.0;
        for g in 0..world.demand.len() {
            for r in 0..world.geography.n_cells {
                demand += world.demand[g][r];
                let fence = match world.geography.effect(GroupIdx::from(g), &world.policies.groups[g], CellIdx::from(r)) {
                    Some(Effect::Only(set)) => Some(set),
                    _ => None,
                };
                let may = |m: usize| world.usable[g][m] && fence.is_none_or(|set| set.contains(&MemberIdx::from(m)));
                let row = shares(&a, g, r);
                let sum: f32 = row.iter().sum();
                prop_assert_eq!(sum, if (0..row.len()).any(may) { 1.0 } else { 0.0 });
                for (m, share) in row.iter().enumerate() {
                    prop_assert!(*share == 0.0 || may(m));
                    prop_assert!(*share == 0.0 || *share > 0.0045);
                }
            }
        }
        let placed: f64 = a.pops.iter().map(|p| p.load).sum();
        prop_assert!(placed <= demand * (1.0 + 1e-6));
        // The same again, and from its own prices, is the same.
        prop_assert_eq!(&world.solve(), &a);
        let warm = allocate(&world.problem(&[]), &Options::default(), &a.warm);
        for (p, q) in a.pops.iter().zip(&warm.pops) {
            prop_assert!((p.load - q.load).abs() <= 0.01 * demand, "{:?} {:?}", a.pops, warm.pops);
        }
    }

    /// More capacity never serves less: what is short does not grow.
    #[test]
    fn more_capacity_never_serves_less(world in worlds(), p in 0usize..6, more in 1.0f64..3.0) {
        let mut larger = world.clone();
        let p = p % world.rooms.len();
        larger.rooms[p].target *= more;
        larger.rooms[p].max *= more;
        let demand: f64 = world.demand.iter().flatten().sum();
        let short = |w: &World| w.solve().groups.iter().map(|g| g.short).sum::<f64>();
        let (before, after) = (short(&world), short(&larger));
        prop_assert!(after <= before + 0.005 * demand, "{before} {after} of {demand}");
    }

    /// Groups with the same choices are solved as one, and get what they would get apart.
    #[test]
    fn classes_change_nothing(world in worlds()) {
        let mut apart = world.clone();
        let (most, n_pops) = (Room { target: 1e12, max: 1e12 }, world.rooms.len());
        // A room that is never full, so that no group is like another.
        apart.own.iter_mut().for_each(|own| own[n_pops - 1] = own[n_pops - 1].or(Some(most)));
        let (a, b) = (world.solve(), apart.solve());
        let demand: f64 = world.demand.iter().flatten().sum();
        for (a, b) in a.groups.iter().zip(&b.groups) {
            let moved: f64 = a.load.iter().zip(&b.load).map(|(a, b)| (a - b).abs()).sum();
            prop_assert!(moved <= 0.01 * demand, "{:?} {:?}", a.load, b.load);
        }
    }

    /// In other units of demand the same shares.
    #[test]
    fn shares_do_not_depend_on_the_unit(world in worlds(), power in -10i32..11) {
        let by = 2f64.powi(power);
        let mut scaled = world.clone();
        scaled.demand.iter_mut().flatten().for_each(|d| *d *= by);
        let room = |r: &mut Room| *r = Room { target: r.target * by, max: r.max * by };
        scaled.rooms.iter_mut().for_each(room);
        scaled.own.iter_mut().flatten().flatten().for_each(room);
        let (a, b) = (world.solve(), scaled.solve());
        for (a, b) in a.groups.iter().zip(&b.groups) {
            prop_assert_eq!((&a.rows, &a.row_of_cell), (&b.rows, &b.row_of_cell));
        }
    }

    /// A bounded step stays between where it was and where it goes, and keeps its bound.
    #[test]
    fn steps_are_bounded(world in worlds(), other in worlds(), max_in in 0.01f64..0.3) {
        let wanted = world.solve();
        let mut before = world.clone();
        let n = before.geography.ms.len();
        before.geography.ms.iter_mut().zip(other.geography.ms.iter().cycle()).for_each(|(m, o)| *m = *o);
        prop_assert_eq!(before.geography.ms.len(), n);
        let prev = served(&before.solve());
        let problem = world.problem(&prev);
        let step = limit_step(&problem, wanted.clone(), max_in, &vec![false; world.rooms.len()]);
        let mut came_in = vec![0.0; world.rooms.len()];
        for (g, prev) in prev.iter().enumerate() {
            for r in 0..world.geography.n_cells {
                let (row, to) = (shares(&step, g, r), shares(&wanted, g, r));
                let from = prev.rows[prev.row_of_cell[r] as usize].to_vec();
                let sum: f32 = row.iter().sum();
                prop_assert!((sum - to.iter().sum::<f32>()).abs() < 1e-5);
                for m in 0..row.len() {
                    prop_assert!(row[m] >= from[m].min(to[m]) - 1e-6 && row[m] <= from[m].max(to[m]) + 1e-6);
                    came_in[m] += world.demand[g][r] * f64::from((row[m] - from[m]).max(0.0));
                }
            }
        }
        for (p, came_in) in came_in.iter().enumerate() {
            prop_assert!(*came_in <= max_in * world.rooms[p].max * 1.001 + 1e-3, "{came_in} of {}", world.rooms[p].max);
        }
    }
}

#[test]
fn geography_is_that_of_the_policies() {
    let (policies, cells) = (fixture::policies(), fixture::cells());
    let geography = Geography::new(&policies, &cells);
    assert_eq!(geography.route[0], [None, Some(0), None, None, None]);
    let nearest = |r: usize| geography.order[r * geography.n_pops].idx();
    assert_eq!((nearest(2), nearest(3), nearest(4)), (0, 2, 3));
    assert_eq!(nearest(0), 0, "all as far: by name");
    assert_eq!(cells.cells[1].rules, [RuleIdx(0)]);
}
