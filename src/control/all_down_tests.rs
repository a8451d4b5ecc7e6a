//! Nobody can serve: what each kind of `all-down` answers, tick by tick.

use super::*;
use crate::control::breaker::Breaker;
use crate::policy::AllDown;

/// A calm world of four members and a shadow, of which none is external.
fn without_overflow(all_down: AllDown) -> World {
    let mut policies = fixture::policies();
    policies.groups[0].members.pop();
    policies.groups[0].all_down = all_down;
    let mut world = World::new(policies);
    for p in 0..4 {
        world.reports[p] = Some((500.0, 0.0));
    }
    world.run(30.0);
    world
}

fn take_down(world: &mut World, pops: &[usize]) {
    for p in pops {
        world.state.pops[*p].breaker = Breaker::reopened(at(world.now), 1e6, "down".into());
        world.state.pops[*p].tripped_errors = 1.0;
        world.reports[*p] = Some((500.0, 1.0));
    }
    world.run(1.0);
}

fn blind_shares(world: &World, cell: usize) -> Vec<f32> {
    let group = &world.last.plan.groups[0];
    group.blind_rows[group.blind_row_of_cell[cell] as usize].to_vec()
}

/// `all-down=all`: as if every member were up, inside fences, the shadow left out; told once, and nobody is
/// said to be up.
#[test]
fn all_down_all_answers_as_if_all_were_up() {
    let mut world = without_overflow(AllDown::All);
    take_down(&mut world, &[0, 1, 2, 3]);
    world.run(5.0);
    assert_eq!(world.shares(US), [0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(world.shares(JP)[SIN], 1.0);
    assert_eq!(world.shares(DE), [0.4, 0.6, 0.0, 0.0, 0.0], "a fence is a fence");
    assert!((blind_shares(&world, US)[IAD] - 8.0 / 21.0).abs() < 1e-6);
    assert_eq!(world.last.plan.groups[0].members[IAD].usable, Err("Open"));
    assert_eq!((world.breaker(IAD), world.last.plan.pops[IAD].reason.as_str()), (BreakerState::Open, "down"));
    let told = world.notes.iter().filter(|n| n.contains("all members are down: answering as if all were up")).count();
    assert_eq!(told, 1, "{:?}", world.notes);
    assert!(!world.told("refused"), "{:?}", world.notes);
    world.reports = [None; 5];
    world.run(400.0);
    assert_eq!(world.last.plan.mode, Mode::Blind);
    assert!((world.shares(US)[IAD] - 8.0 / 21.0).abs() < 1e-6, "{:?}", world.shares(US));
    for p in 0..4 {
        world.state.pops[p].breaker = Breaker::closed(at(world.now));
        world.reports[p] = Some((500.0, 0.0));
    }
    world.run(5.0);
    assert!(world.told("up for all clients again") && !world.told("refused"), "{:?}", world.notes);
}

/// `all-down=last`: what was given before, by name across a reload; what is in no earlier plan as with `all`.
#[test]
fn all_down_last_goes_on_with_what_was_given() {
    let mut world = without_overflow(AllDown::Last);
    take_down(&mut world, &[IAD]);
    world.run(5.0);
    let (us, jp) = (world.shares(US), world.shares(JP));
    assert!(us[IAD] == 0.0 && us.iter().sum::<f32>() > 0.99);
    take_down(&mut world, &[0, 1, SIN]);
    let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    assert!(close(&world.shares(US), &us) && close(&world.shares(JP), &jp), "{us:?} {:?}", world.shares(US));
    assert!(world.told("answering as before") && !world.told("refused"), "{:?}", world.notes);
    let mut swapped = (*world.policies).clone();
    swapped.groups[0].members.swap(0, 3);
    swapped.groups[0].routes.clear();
    world.policies = Arc::new(swapped);
    world.run(3.0);
    assert!(close(&world.shares(US), &[us[3], us[1], us[2], us[0], us[4]]), "{us:?} {:?}", world.shares(US));
    assert!(!world.told("refused"), "{:?}", world.notes);
}

/// The others leave the row empty: what is said then is up to the answer.
#[test]
fn other_kinds_of_all_down_leave_the_row_empty() {
    for all_down in [AllDown::Static, AllDown::ServFail, AllDown::NoData] {
        let mut world = without_overflow(all_down);
        take_down(&mut world, &[0, 1, 2, 3]);
        for cell in 0..5 {
            assert_eq!((world.shares(cell), blind_shares(&world, cell)), (vec![0.0; 5], vec![0.0; 5]), "{all_down:?}");
        }
        assert!(world.told("all members are down"), "{:?}", world.notes);
    }
}

/// Members inside a fence are down and others are not: never the others, and where overflow may serve it does.
#[test]
fn a_fence_of_members_that_are_down_is_a_fence() {
    let kinds = [(AllDown::All, 1.0), (AllDown::Last, 1.0), (AllDown::Static, 0.0), (AllDown::ServFail, 0.0)];
    for (all_down, inside) in kinds {
        let mut world = without_overflow(all_down);
        take_down(&mut world, &[0, 1]);
        let de = world.shares(DE);
        assert!((de[0] + de[1] - inside).abs() < 1e-5 && de[2..] == [0.0; 3], "{all_down:?}: {de:?}");
        assert!(world.shares(US)[IAD] > 0.9);
        assert!(world.told("that some clients are kept to") && !world.told("refused"), "{:?}", world.notes);
    }
    let mut world = World::calm();
    take_down(&mut world, &[0, 1, 2, 3]);
    assert_eq!(world.shares(US), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], "overflow is somebody");
    assert_eq!(world.shares(DE), [0.4, 0.6, 0.0, 0.0, 0.0, 0.0]);
}
