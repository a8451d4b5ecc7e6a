//! Shadows in the tick: what they cost and bring, and what a budget forbids.

use super::*;
use crate::control::accounts::{Accounts, Moment};

const GROUP: &str = "web.example.com.";
const SHADOW: &str = "dub.web.example.com.";

/// Demand grows over all targets at once.
fn surge(world: &mut World) {
    world.reports[DUB] = Some((0.0, 0.0));
    for p in 0..4 {
        world.reports[p] = Some((5000.0, 0.0));
    }
}

/// A start in which demand outgrows the others is one that paid; standby costs by its share of what the shadow can carry,
/// and nothing while it is off.
#[test]
fn starts_and_what_they_bring_are_accounted_for() {
    let mut world = World::calm();
    let account = |world: &World| *world.state.accounts().get(GROUP, SHADOW).unwrap();
    assert_eq!((account(&world).starts, account(&world).on_secs, account(&world).cost), (0, 0.0, 0.0));
    surge(&mut world);
    world.run(60.0);
    let warming = account(&world);
    assert!(warming.starts == 1 && warming.on_secs > 30.0 && warming.paid == 0, "{warming:?}");
    world.shadow = ShadowState::Ready;
    world.run(30.0);
    let ready = account(&world);
    assert!(ready.paid == 1 && ready.prevented > 1000.0, "{ready:?}");
    // 5 % of 4,000 less 15 % a second.
    let per_sec = (ready.cost - warming.cost) / (ready.on_secs - warming.on_secs);
    assert!((per_sec - 170.0).abs() < 1.0, "{per_sec}");
    let back = Accounts::parse(&world.state.accounts().print(2000.0)).unwrap();
    assert_eq!(back.get(GROUP, SHADOW), Some(&account(&world)));
}

/// A budget that is used up starts nothing more, and says so; four fifths of it are told of before.
#[test]
fn a_budget_bounds_standby() {
    let check = |spent: f64, wanted: ShadowState, told: &str| {
        let mut policies = fixture::policies();
        policies.groups[0].budget_secs = Some(3600.0);
        let mut state = State::new(7);
        let mut accounts = Accounts::default();
        let on = Moment { is_on: true, ..Moment::default() };
        accounts.account(GROUP, SHADOW, 0.0).pass(&on, spent, 900.0);
        state.resume_accounts(accounts);
        let mut world = World::resumed(policies, state, 1000.0);
        surge(&mut world);
        world.run(60.0);
        assert_eq!(world.last.directives[0].wanted, wanted, "{:?}", world.notes);
        let is_told = world.notes.iter().any(|n| n.contains(told));
        assert!(is_told, "{told}: {:?}", world.notes);
    };
    check(
        3600.0,
        ShadowState::Cold,
        "100 % of this month's standby is spent, 60 min of 60 min: no shadow is started until",
    );
    check(3240.0, ShadowState::Warming, "90 % of this month's standby is spent, 54 min of 60 min");
}

/// Before most POPs were heard nothing is known of demand, and nothing is started by it.
#[test]
fn the_first_to_report_starts_nothing() {
    let mut world = World::new(fixture::policies());
    world.reports[0] = Some((50_000.0, 0.0));
    world.run(10.0);
    assert_eq!(world.last.directives[0].wanted, ShadowState::Cold);
}
