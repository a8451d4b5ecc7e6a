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

/// `breaker.resume=manual`: out until an operator says so, restarts included; then by steps as ever.
#[test]
fn manual_resume_outlasts_a_restart() {
    let mut policies = fixture::policies();
    policies.pops[IAD].breaker.resume = crate::policy::Resume::Manual;
    let mut world = World::new(policies.clone());
    world.reports = [Some((500.0, 0.0)), Some((500.0, 0.0)), Some((500.0, 0.9)), Some((500.0, 0.0)), None];
    world.run(30.0);
    world.reports[IAD] = Some((5.0, 0.0));
    world.run(900.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open);
    let reason = &world.last.plan.pops[IAD].reason;
    assert!(reason.contains("requests failed; waits for an operator"), "{reason}");
    let saved = Saved::parse(&world.state.saved().unwrap().print(), world.now).unwrap();
    let reports = world.reports;
    let mut world = World::resumed(policies, State::resume(7, saved), world.now + 5.0);
    world.reports = reports;
    world.run(300.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open);
    let reason = world.last.plan.pops[IAD].reason.clone();
    assert_eq!(reason.matches("waits for an operator").count(), 1, "{reason}");
    let resume = crate::control::overrides::Override {
        id: 1,
        what: "resume iad.pop".parse().unwrap(),
        author: "anna".into(),
        reason: "new disks".into(),
        made_at: 0.0,
        ends_at: 1e9,
    };
    world.state.overrule(crate::control::overrides::Overrides::of([resume]));
    world.reports[IAD] = Some((500.0, 0.0));
    world.run(600.0);
    assert_eq!(world.breaker(IAD), BreakerState::Closed, "{:?}", world.notes);
}

/// A POP that says it is full is capped only while it serves at least half of what it should: else it is broken.
#[test]
fn full_and_hardly_serving_is_failing() {
    let failing = |share: f64| {
        let mut world = World::calm();
        for _ in 0..3 {
            world.now += 1.0;
            let mut sample = sample("iad", world.now, 1.0, 500.0, 500.0 * share);
            sample.utilisation = Utilisation { cpu: Some(0.99), ..Utilisation::default() };
            world.tick(&[sample]);
        }
        world.breaker(IAD)
    };
    assert_eq!((failing(0.4), failing(0.9)), (BreakerState::Closed, BreakerState::Open));
}

/// Peers are compared with each other only where there are five or more.
#[test]
fn an_outlier_needs_peers_and_doubt_of_its_own() {
    let after = |share: f64, n: usize| {
        let mut world = World::calm();
        world.shadow = ShadowState::Active;
        for p in 0..n {
            world.reports[p] = Some((500.0, if p == IAD { share } else { 0.001 }));
        }
        world.run(60.0);
        world.breaker(IAD)
    };
    assert_eq!(after(0.045, 4), BreakerState::Closed, "four are no peers");
    assert_eq!(after(0.045, 5), BreakerState::Open);
    assert_eq!(after(0.01, 5), BreakerState::Closed, "worse than the others, and well");
}
