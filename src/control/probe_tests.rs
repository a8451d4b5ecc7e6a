//! What probes change, tick by tick. Outcomes come every second here, and the defaults of rise and fall hold.

use super::*;

/// All four POPs that serve, seen from one place; those in `down` are not found well.
fn seen(place: &'static str, down: &[usize]) -> Vec<(usize, &'static str, bool)> {
    (0..4).map(|p| (p, place, !down.contains(&p))).collect()
}

/// A POP that dies together with its telemetry: silence alone would keep it for ever.
#[test]
fn a_pop_that_dies_with_its_telemetry_is_taken_out() {
    let mut world = World::calm();
    world.probes = seen("here", &[]);
    world.run(20.0);
    (world.probes, world.reports[IAD]) = (seen("here", &[IAD]), None);
    world.run(11.0);
    assert_eq!(world.breaker(IAD), BreakerState::Closed, "not silent for long enough");
    world.run(3.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open, "{:?}", world.notes);
    assert_eq!(world.shares(US)[IAD], 0.0);
    assert!(world.told("and its probes fail: connection refused"), "{:?}", world.notes);
    world.run(400.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open, "as long as its probes fail");
    // Its telemetry stays dark; its probes are well again.
    world.probes = seen("here", &[]);
    world.run(90.0);
    assert!(matches!(world.breaker(IAD), BreakerState::HalfOpen | BreakerState::Ramp), "{:?}", world.breaker(IAD));
    world.run(600.0);
    assert_eq!(world.breaker(IAD), BreakerState::Closed, "{:?}", world.notes);
}

#[test]
fn one_place_alone_decides_nothing_while_telemetry_is_heard() {
    let mut world = World::calm();
    world.probes = seen("here", &[IAD]);
    world.run(60.0);
    assert_eq!(world.breaker(IAD), BreakerState::Closed);
    assert!(world.last.plan.pops[IAD].reason.contains("its probes fail: connection refused"), "and it is told");
    world.probes.extend(seen("there", &[IAD]));
    world.run(5.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open, "two places need no silence");
}

/// When the server itself is cut off, everything fails at once.
#[test]
fn who_sees_nobody_takes_out_nobody() {
    let mut world = World::calm();
    world.reports = [None; 5];
    world.probes = seen("here", &[0, 1, 2, 3]);
    world.run(400.0);
    assert!((0..4).all(|p| world.breaker(p) == BreakerState::Closed), "{:?}", world.notes);
}

/// A network without any telemetry can be steered by probes alone.
#[test]
fn probes_do_without_telemetry() {
    let mut world = World::new(fixture::policies());
    world.probes = seen("here", &[SIN]);
    world.run(5.0);
    assert_eq!(world.last.plan.mode, Mode::Declared);
    assert_eq!((world.breaker(SIN), world.shares(JP)[SIN]), (BreakerState::Open, 0.0));
    assert!(world.shares(JP).iter().sum::<f32>() > 0.99, "somebody else answers");
    world.probes = seen("here", &[]);
    world.run(600.0);
    assert_eq!((world.breaker(SIN), world.shares(JP)[SIN]), (BreakerState::Closed, 1.0), "{:?}", world.notes);
}
