//! Overrides, tick by tick, in the world of the tick's own tests.

use super::tests::{DE, IAD, JP, SIN, US, World};
use super::*;
use crate::control::fixture;
use crate::control::overrides::{Override, Overrides};

fn order(id: u64, what: &str) -> Override {
    Override {
        id,
        what: what.parse().unwrap(),
        author: "anna".into(),
        reason: "new disks".into(),
        made_at: 0.0,
        ends_at: 1e9,
    }
}

impl World {
    /// Overrides from the next tick on, which is made.
    fn overrule(&mut self, whats: &[&str]) {
        self.state.overrule(Overrides::of((1..).zip(whats).map(|(id, what)| order(id, what))));
        self.run(1.0);
    }
}

#[test]
fn a_drained_pop_gets_no_new_answer_in_the_tick_that_is_told_and_returns_in_steps() {
    let mut world = World::calm();
    world.overrule(&["drain iad.pop"]);
    (0..5).for_each(|cell| assert_eq!(world.shares(cell)[IAD], 0.0, "cell {cell}"));
    assert_eq!(world.last.plan.groups[0].members[IAD].usable, Err("Drained"));
    assert_eq!(world.breaker(IAD), BreakerState::Closed, "what its breaker says is shown beside");
    assert!(
        world.last.plan.pops[IAD].reason.contains("drain iad.pop by anna until"),
        "{:?}",
        world.last.plan.pops[IAD]
    );
    assert!(world.told("override: drain iad.pop by anna"));
    world.overrule(&[]);
    assert!(world.told("no longer overridden: drain iad.pop"));
    assert_eq!(world.breaker(IAD), BreakerState::Ramp);
    world.run(1.0);
    let share = world.shares(US)[IAD];
    assert!(share > 0.0 && share < 0.06, "{share}");
    world.run(600.0);
    assert!(world.shares(US)[IAD] > 0.98);
}

#[test]
fn a_drain_holds_before_the_first_sample_and_ends_there_at_once() {
    let mut world = World::new(fixture::policies());
    world.overrule(&["drain sin.*"]);
    assert_eq!((world.last.plan.mode, world.shares(JP)[SIN]), (Mode::Declared, 0.0));
    world.run(60.0);
    assert_eq!(world.shares(JP)[SIN], 0.0);
    world.overrule(&[]);
    assert_eq!(world.shares(JP)[SIN], 1.0);
}

/// A drained member is not taken for one that is up while another can be; one that is forced open is.
#[test]
fn who_is_drained_stands_in_last() {
    let mut world = World::calm();
    world.overrule(&["drain fra.web", "force-open ams.web"]);
    assert_eq!(world.shares(DE), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0], "inside the fence, of those that failed");
    world.overrule(&["drain fra.web", "drain ams.web"]);
    assert_eq!(world.shares(DE), [0.4, 0.6, 0.0, 0.0, 0.0, 0.0], "all-down=all: no answer is worse");
}

#[test]
fn forced_closed_serves_whatever_its_breaker_says() {
    let mut world = World::calm();
    world.overrule(&["force-closed iad.pop"]);
    world.reports[IAD] = Some((500.0, 0.6));
    world.run(5.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open, "raw");
    assert!(world.shares(US)[IAD] > 0.98, "forced");
    world.overrule(&[]);
    assert_eq!(world.shares(US)[IAD], 0.0, "effective again");
}

#[test]
fn a_capacity_is_taken_for_what_it_is_said_to_be() {
    let mut world = World::calm();
    world.overrule(&["capacity iad.pop=0"]);
    world.run(5.0);
    assert_eq!(world.last.plan.pops[IAD].capacity, 0.0);
    assert!(world.shares(US)[IAD] < 0.01, "{:?}", world.shares(US));
    world.overrule(&["capacity iad.pop=50%"]);
    assert_eq!(world.last.plan.pops[IAD].capacity, 4000.0);
}

#[test]
fn frozen_shares_stay_but_for_what_fails() {
    let mut world = World::calm();
    world.overrule(&["freeze web"]);
    let before = world.shares(US);
    world.reports[IAD] = Some((9000.0, 0.0));
    world.run(120.0);
    assert_eq!(world.shares(US), before, "overload moves nothing");
    world.reports[IAD] = Some((500.0, 0.6));
    world.run(40.0);
    assert_eq!(world.shares(US)[IAD], 0.0);
    assert!((world.shares(US).iter().sum::<f32>() - 1.0).abs() < 1e-3);
}

#[test]
fn without_steering_the_declared_shares_are_given() {
    let mut world = World::calm();
    world.overrule(&["capacity iad.pop=1%"]);
    world.run(60.0);
    assert!(world.shares(US)[IAD] < 0.9, "a full POP gets less: {:?}", world.shares(US));
    world.overrule(&["capacity iad.pop=1%", "steering-off *"]);
    assert_eq!(world.shares(US)[IAD], 1.0);
}

#[test]
fn without_forecasts_nothing_above_now_is_planned_for() {
    let mut world = World::calm();
    for minute in 0..90 {
        world.reports[IAD] = Some((500.0 + 20.0 * f64::from(minute), 0.0));
        world.run(60.0);
    }
    let demand = |world: &World| world.last.plan.groups[0].demand;
    assert!(demand(&world).planned > demand(&world).now, "{:?}", demand(&world));
    world.overrule(&["forecast-off web"]);
    assert_eq!(demand(&world).planned, demand(&world).now);
    assert!(demand(&world).ahead.is_some(), "they are still shown");
}
