//! How the loop comes to rest after a step in demand, over TTL, caches that overstay, and late telemetry.

use crate::sim::run::{Moment, Run, Setting};
use crate::sim::scenario::{Surge, SurgeKind};
use crate::sim::secs::Secs;
use crate::sim::variant::Variant;

/// When the step comes, and what is run in all, in seconds.
const STEP_AT: f64 = 600.0;
/// See [`STEP_AT`].
const RUN_SECS: f64 = 3600.0;
/// What comes last counts as rest, seconds.
const REST_SECS: f64 = 600.0;
/// Part of all load that a POP may be away from its rest.
const NEAR: f64 = 0.03;
/// Size of the step, as a share of capacity.
const STEP: f64 = 0.25;
/// The grid: TTLs in seconds, parts of caches that overstay, seconds of delay.
const TTLS: [u32; 3] = [20, 60, 300];
/// See [`TTLS`].
const OVERSTAY: [f64; 2] = [0.0, 0.3];
/// See [`TTLS`].
const DELAYS: [f64; 3] = [0.0, 20.0, 60.0];

/// One point of the map.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Point {
    /// Greatest TTL, seconds; the least is a third of it, 20 at least.
    pub ttl: u32,
    /// Part of caches that keep answers longer than told.
    pub overstay: f64,
    /// Greatest delay of telemetry, seconds; the least is half of it.
    pub delay: f64,
    /// Seconds from the step on until no POP is farther than 3 % of all load from where it comes to rest.
    pub settling_secs: f64,
    /// Most that a POP had over where it was and where it comes to rest, as a part of all load.
    pub overshoot: f64,
    /// Answers that went to and fro within one lag, in times of all demand.
    pub reversals: f64,
}

/// Runs the grid in a scenario without its own surges and faults; one seed.
///
/// # Errors
/// None today; what a run says.
pub fn map(setting: &Setting, variant: &Variant, seed: u64) -> Result<Vec<Point>, String> {
    let mut points = Vec::new();
    for ttl in TTLS {
        for overstay in OVERSTAY {
            for delay in DELAYS {
                points.push(point(setting, variant, seed, ttl, overstay, delay)?);
            }
        }
    }
    Ok(points)
}

fn point(base: &Setting, variant: &Variant, seed: u64, ttl: u32, overstay: f64, delay: f64) -> Result<Point, String> {
    let mut scenario = base.scenario.clone();
    scenario.resolvers.obey = 1.0 - overstay;
    scenario.telemetry.delay = [Secs(delay / 2.0), Secs(delay)];
    scenario.duration = Secs(RUN_SECS);
    scenario.fault.clear();
    let step = Surge {
        group: base.policies.groups[0].name.to_string(),
        kind: SurgeKind::Step,
        at: Secs(STEP_AT),
        rise: Secs(1.0),
        decay: Secs(1.0),
        exponent: 1.0,
        lasts: None,
        peak: None,
        share: Some(STEP),
        branching: 0.0,
        spread: 0.0,
        cells: Default::default(),
    };
    scenario.surge = vec![step];
    scenario.demand.iter_mut().for_each(|d| (d.trace, d.peak, d.share, d.wave) = (None, None, Some(0.5), 0.0));
    let mut policies = base.policies.clone();
    policies.groups.iter_mut().for_each(|g| (g.ttl_min, g.ttl_max) = ((ttl / 3).max(20), ttl));
    let traces = vec![None; scenario.demand.len()];
    let setting = Setting::new(scenario, &traces, &policies, base.cells.clone())?;
    let (figures, film) = Run::prepare(&setting, variant).seed(seed, Some(10.0), &mut |_| Ok(()))?;
    let (settling_secs, overshoot) = settling(&film);
    Ok(Point { ttl, overstay, delay, settling_secs, overshoot, reversals: figures.reversals })
}

/// Seconds until rest, and the greatest overshoot on the way.
fn settling(film: &[Moment]) -> (f64, f64) {
    let n_pops = film.first().map_or(0, |m| m.pops.len());
    let mean = |p: usize, from: f64, to: f64| {
        let of: Vec<f64> = film.iter().filter(|m| (from..to).contains(&m.at)).map(|m| m.pops[p][2]).collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    };
    let (mut last, mut overshoot) = (STEP_AT, 0.0f64);
    for p in 0..n_pops {
        let (before, rest) = (mean(p, STEP_AT - 300.0, STEP_AT - 40.0), mean(p, RUN_SECS - REST_SECS, RUN_SECS + 1.0));
        for moment in film.iter().filter(|m| m.at > STEP_AT + 40.0) {
            let share = moment.pops[p][2];
            overshoot = overshoot.max(share - before.max(rest));
            if (share - rest).abs() > NEAR {
                last = last.max(moment.at);
            }
        }
    }
    (last - STEP_AT, overshoot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_where_it_ends() {
        let at = |t: f64| Moment { at: t, groups: Vec::new(), pops: vec![[0.0, 0.0, share(t), 0.0, 0.0, 0.0]] };
        fn share(t: f64) -> f64 {
            match t {
                t if t < STEP_AT => 0.3,
                t if t < STEP_AT + 100.0 => 0.6,
                _ => 0.5,
            }
        }
        let film: Vec<Moment> = (0..=360).map(|i| at(f64::from(i) * 10.0)).collect();
        let (secs, overshoot) = settling(&film);
        assert!(secs == 90.0 && (overshoot - 0.1).abs() < 1e-9, "{secs} {overshoot}");
    }
}
