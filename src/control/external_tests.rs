//! Overflow to external members, with loads that follow answers: who takes it reports nothing.

use super::*;
use crate::policy::Role;

/// Requests per second that clients ask for, twice what the POPs have room for.
const ASKED: f64 = 42_000.0;
/// Seconds in which loads go 1 − 1/e of the way to what answers say.
const LAG_SECS: f64 = 30.0;

/// `ams fra iad sin` with 21k between them, 17.85k of it below their targets, and the overflow.
fn overflowing() -> World {
    let mut policies = fixture::policies();
    policies.groups[0].routes.clear();
    policies.groups[0].members.retain(|m| !matches!(m.role, Role::Shadow { .. }));
    World::new(policies)
}

/// What goes out is still asked for: POPs stay below their targets for as long as demand lasts, and nothing swings.
#[test]
fn overflow_does_not_take_itself_back() {
    let mut world = overflowing();
    let capacity = [4000.0, 6000.0, 8000.0, 3000.0];
    let mut load = [0.0; 4];
    let (mut most, mut least_out) = (0.0f64, 1.0f64);
    for second in 0..1800 {
        for p in 0..4 {
            let asked = world.last.plan.groups[0].members[p].share * ASKED;
            load[p] += (asked - load[p]) / LAG_SECS;
            world.reports[p] = Some((load[p], (1.0 - capacity[p] / load[p].max(1.0)).max(0.0)));
        }
        world.run(1.0);
        if second >= 600 {
            most = most.max(load.iter().sum());
            least_out = least_out.min(world.last.plan.groups[0].members[4].share);
        }
    }
    let plan = &world.last.plan.groups[0];
    assert!((0.9..1.1).contains(&(plan.demand.now / ASKED)), "{:?}", plan.demand);
    assert!(most < 1.05 * 17_850.0, "POPs had {most} between them");
    assert!((0.5..0.65).contains(&least_out), "{least_out} went out");
    assert!(!world.told("→ Open"), "{:?}", world.notes);
}
