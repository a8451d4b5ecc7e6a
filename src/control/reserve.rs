//! How much of each POP is kept free, where its groups leave that to the loop (`reserve=least..most`).
//!
//! Demand that is more than was planned for arrives before answers can follow. By how much it may be more is what the
//! forecaster says of itself at the group's own lead, calibrated by what came: `(q95 − q50)/q50`. The reserve is that,
//! within the bounds, and follows it slowly, so that it moves nobody by itself. A POP keeps what the groups there need
//! between them, each by its load.
//!
//! The default is one share and not a range: in simulation a calm hour lets a learned reserve fall to its least, and
//! it is the burst after such an hour that needs it.

use crate::control::declared::pop_reserve;
use crate::control::outlook::lead_secs;
use crate::control::state::{Layout, State};
use crate::id::PopIdx;

/// Seconds in which it goes 1 − 1/e of the way.
const FOLLOW_SECS: f64 = 300.0;
/// Upper level of the forecast that is kept room for.
const SURE: f64 = 0.95;

/// Lets every POP's reserve follow what was learned, `dt` seconds on.
pub fn step(state: &mut State, layout: &Layout, dt: f64) {
    let errors: Vec<Option<f64>> = (0..state.groups.len()).map(|g| error(state, g)).collect();
    let follow = 1.0 - (-dt / FOLLOW_SECS).exp();
    for (p, pop) in state.pops.iter_mut().enumerate() {
        let range = pop_reserve(&layout.policies, p);
        if range.least >= range.most {
            pop.reserve = range.least;
            continue;
        }
        let (mut sum, mut load) = (0.0, 0.0);
        for ((spec, plan), error) in layout.policies.groups.iter().zip(&state.plan.groups).zip(&errors) {
            let here = spec.members.iter().zip(&plan.members).filter(|(m, _)| m.pop == Some(PopIdx::from(p)));
            let here: f64 = here.map(|(_, plan)| plan.load).sum();
            sum += here * error.unwrap_or(range.middle());
            load += here;
        }
        let wanted = if load > 0.0 { sum / load } else { range.middle() };
        pop.reserve += follow * (wanted.clamp(range.least, range.most) - pop.reserve);
    }
}

/// What a group's demand may be above its median at its own lead, as a part of that; `None` while no forecast can be trusted.
fn error(state: &State, g: usize) -> Option<f64> {
    let quantiles = state.groups[g].outlook.usual_at(lead_secs(state.plan.groups[g].ttl))?;
    let median = quantiles.at(0.5);
    (median > 0.0).then(|| (quantiles.at(SURE) / median - 1.0).max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::control::fixture;
    use crate::control::outlook::Told;
    use crate::control::{Inputs, tick};
    use crate::exchange::TallySum;
    use crate::policy::Reserve;
    use std::sync::Arc;

    /// What is kept free of `iad` an hour after its group was given this `reserve=`, and is told for certain what comes.
    fn after_an_hour(reserve: Reserve) -> f64 {
        let (mut policies, cells) = (fixture::policies(), Arc::new(fixture::cells()));
        policies.groups[0].reserve = reserve;
        let policies = Arc::new(policies);
        let mut state = State::new(1);
        for s in 0..360 {
            let at = 1000.0 + 10.0 * f64::from(s);
            let samples = [fixture::sample("iad", at, 10.0, 5000.0, 0.0)];
            let (tally, now) = (TallySum::default(), Now { mono: at, unix: at });
            let inputs = Inputs {
                policies: &policies,
                cells: &cells,
                samples: &samples,
                probes: &[],
                tally: &tally,
                calendar: None,
            };
            tick(&mut state, &inputs, now);
            state.foretell(0.into(), Some(Told { ahead: vec![500.0; 30], shares: Vec::new() }));
        }
        state.pops[2].reserve
    }

    #[test]
    fn a_sure_forecast_needs_the_least_and_one_share_is_one_share() {
        let learned = after_an_hour(Reserve { least: 0.1, most: 0.2 });
        assert!((learned - 0.1).abs() < 1e-3, "{learned}");
        assert_eq!(after_an_hour(Reserve::of(0.3)), 0.3);
    }
}
