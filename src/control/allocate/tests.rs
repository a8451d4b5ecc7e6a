//! Small worlds that can be checked by hand.

use super::world::{World, served, shares};
use super::*;
use crate::control::fixture;
use crate::id::{MemberIdx, RuleIdx};
use crate::policy::{Effect, SteerBy};

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

/// What no telemetry should bring, and some will: the shares are shares all the same.
#[test]
fn odd_numbers_give_shares_all_the_same() {
    let ms: &[&[f32]] = &[&[10.0, 40.0], &[50.0, 12.0]];
    for demand in [0.0, 1e-310, 1e-9, 1e12, 1e300, f64::MAX / 4.0, f64::INFINITY, f64::NAN] {
        for capacity in [0.0, 1e-300, 1.0, 1e300] {
            let world = World::new(ms, &[capacity, 1000.0], &[&[demand, demand]]);
            let first = world.solve();
            let mut calm = world.clone();
            calm.demand = vec![vec![1.0, 1.0]];
            let next = allocate(&calm.problem(&served(&first)), &Options::default(), &first.warm);
            for (a, cell) in [(&first, 0), (&first, 1), (&next, 0), (&next, 1)] {
                let sum: f32 = shares(a, 0, cell).iter().sum();
                assert_eq!(sum, 1.0, "demand {demand}, capacity {capacity}");
            }
            check(&next, 1, &[0.0, 1.0], 0.0);
        }
    }
}

#[test]
fn nothing_to_place_or_nowhere_to_place_it() {
    let no_cells = World::new(&[], &[1000.0], &[&[]]).solve();
    assert_eq!((no_cells.pops[0].load, no_cells.groups[0].row_of_cell.len()), (0.0, 0));
    let no_groups = World::new(&[&[10.0]], &[1000.0], &[]).solve();
    assert_eq!((no_groups.pops[0].load, no_groups.groups.len()), (0.0, 0));
    let one = World::new(&[&[10.0]], &[1000.0], &[&[5000.0]]).solve();
    check(&one, 0, &[1.0], 0.0);
    assert!((one.groups[0].short - 4000.0).abs() < 1.0, "{:?}", one.groups[0]);
    let edge = World::new(&[&[]], &[], &[&[500.0]]).external(1.0).solve();
    check(&edge, 0, &[1.0], 0.0);
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
