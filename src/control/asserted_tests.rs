//! Assertions, tick by tick, in the world of the tick's own tests.

use super::tests::{IAD, World};
use super::*;
use crate::control::asserted::{broken_between, broken_by};
use crate::control::fixture;
use crate::control::overrides::{Override, Overrides};
use crate::policy::assert::Assertion;

const AMS: usize = 0;

/// At least three of `ams`, `fra` and `iad`.
fn asserting() -> Policies {
    let mut policies = fixture::policies();
    policies.groups[0].assertions = vec![Assertion { pops: (0u16..3).map(PopIdx).collect(), at_least: 3 }];
    policies
}

#[test]
fn a_breaker_that_would_break_an_assertion_stays_suspect_while_its_pop_is_worth_it() {
    let mut world = World::calm_with(asserting());
    world.reports[AMS] = Some((500.0, 0.4));
    world.run(60.0);
    assert_eq!(world.breaker(AMS), BreakerState::Suspect);
    let reason = &world.last.plan.pops[AMS].reason;
    assert!(reason.contains("an assertion needs it"), "{reason}");
    assert!(!world.told("BROKEN"));
    world.reports[AMS] = Some((500.0, 0.9));
    world.run(60.0);
    assert_ne!(world.breaker(AMS), BreakerState::Suspect, "nine in ten clients are better off elsewhere");
    assert!(
        world.told(
            "asserted and BROKEN: at least 3 of ams.pop.example.com., fra.pop.example.com., iad.pop.example.com.;"
        ),
        "{:?}",
        world.notes
    );
    // What it does not name, it does not keep.
    world.reports[3] = Some((500.0, 0.4));
    world.run(15.0);
    assert_eq!(world.breaker(3), BreakerState::Open);
    world.reports[3] = Some((500.0, 0.0));
    world.reports[AMS] = Some((500.0, 0.0));
    world.run(600.0);
    assert!(world.told("asserted and true again"), "{:?}", world.notes);
}

#[test]
fn overrides_that_would_break_an_assertion_are_known_before_they_are_made() {
    let world = World::calm_with(asserting());
    let policies = asserting();
    let check = |whats: &[&str], breaks: bool| {
        let order = |(id, what): (u64, &&str)| Override {
            id,
            what: what.parse().unwrap(),
            author: "anna".into(),
            reason: "test".into(),
            made_at: 0.0,
            ends_at: 1e9,
        };
        let all = Overrides::of((1..).zip(whats).map(order));
        let broken = broken_by(&world.last.plan, &policies, &all);
        assert_eq!(!broken.is_empty(), breaks, "{whats:?}: {broken:?}");
    };
    check(&["drain ams.pop"], true);
    check(&["drain ams.web"], true);
    check(&["force-open *"], true);
    check(&["capacity fra.pop=0"], true);
    check(&["capacity fra.pop=10%"], false);
    check(&["drain sin.pop"], false);
    check(&["drain dub.pop"], false);
    check(&["force-closed ams.pop"], false);
    check(&["drain ams.pop", "force-closed ams.pop"], false);
    check(&["freeze web"], false);
}

/// An assertion that is broken already refuses what makes it worse, and nothing else.
#[test]
fn what_is_broken_already_may_not_get_worse() {
    let mut world = World::calm_with(asserting());
    world.reports[IAD] = Some((500.0, 0.9));
    world.run(10.0);
    let policies = asserting();
    let order = |what: &str| Override {
        id: 1,
        what: what.parse().unwrap(),
        author: "anna".into(),
        reason: "test".into(),
        made_at: 0.0,
        ends_at: 1e9,
    };
    let breaks = |what: &str| broken_by(&world.last.plan, &policies, &Overrides::of([order(what)])).len();
    assert_eq!([breaks("drain iad.pop"), breaks("drain sin.pop"), breaks("drain ams.pop")], [0, 0, 1]);
    let mut then = world.last.plan.clone();
    then.groups[0].members[AMS].usable = Err("Drained");
    assert_eq!(broken_between(&world.last.plan, &world.last.plan, &policies), [""; 0]);
    let words = broken_between(&world.last.plan, &then, &policies);
    assert!(words[0].ends_with("that would leave fra.pop.example.com."), "{words:?}");
}
