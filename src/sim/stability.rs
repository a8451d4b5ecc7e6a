//! How the loop comes to rest after a push, over TTL, caches that overstay, late telemetry and long connections.

use crate::sim::run::{Moment, Run, Setting};
use crate::sim::scenario::{Fault, FaultKind, Surge, SurgeKind};
use crate::sim::secs::Secs;
use crate::sim::variant::Variant;
use std::collections::BTreeMap;

/// When the push comes, and what is run in all, in seconds.
const PUSH_AT: f64 = 1800.0;
/// See [`PUSH_AT`].
const RUN_SECS: f64 = 4800.0;
/// The past that is read, at most.
const HISTORY_SECS: f64 = 6.0 * 3600.0;
/// What comes last counts as rest, seconds.
const REST_SECS: f64 = 600.0;
/// Surges begin so much early or late.
const AROUND_SECS: f64 = 40.0;
/// Part of all load that a POP may be away from its rest.
pub const NEAR: f64 = 0.03;
/// Demand before a rise and after a fall, as a share of capacity, and what it rises and falls by.
const LEVEL: f64 = 0.55;
/// See [`LEVEL`].
const STEP: f64 = 0.3 * LEVEL;
/// Seconds that a POP is gone before it returns.
const GONE_SECS: f64 = 900.0;
/// The grid: TTLs in seconds, parts of caches that overstay, parts of requests on long connections.
const TTLS: [u32; 3] = [20, 60, 300];
/// See [`TTLS`].
const OVERSTAY: [f64; 2] = [0.0, 0.3];
/// See [`TTLS`].
const LONG: [f64; 3] = [0.0, 0.3, 0.6];
/// Least and most seconds that telemetry takes.
pub const DELAYS: [[f64; 2]; 4] = [[0.0, 0.0], [18.0, 20.0], [55.0, 60.0], [0.0, 60.0]];

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Push {
    /// Demand rises by 30 % at once.
    Rise,
    /// It falls to what it was before.
    Fall,
    /// The largest POP returns after a quarter of an hour; it is probed.
    Return,
}

/// All of them.
pub const PUSHES: [Push; 3] = [Push::Rise, Push::Fall, Push::Return];

/// One point of the grid.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct At {
    /// What happens.
    pub push: Push,
    /// Greatest TTL, seconds; the least is a third of it, 20 at least.
    pub ttl: u32,
    /// Part of caches that keep answers longer than told.
    pub overstay: f64,
    /// Part of requests on connections of minutes.
    pub long: f64,
    /// Least and most delay of telemetry, seconds.
    pub delay: [f64; 2],
}

/// How it came to rest there.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Point {
    /// Where.
    #[serde(flatten)]
    pub at: At,
    /// Seconds from the push on until no POP is farther than 3 % of all load from where it comes to rest.
    pub settling_secs: f64,
    /// Most that a POP had over where it was and where it comes to rest, as a part of all load.
    pub overshoot: f64,
    /// Most that a POP is away from its mean in the last ten minutes, as a part of all load: what never rests.
    pub restless: f64,
    /// Answers that went to and fro within one lag, in times of all demand.
    pub reversals: f64,
}

/// The grid, pushes in turn.
pub fn grid() -> Vec<At> {
    let mut grid = Vec::new();
    for push in PUSHES {
        for ttl in TTLS {
            for overstay in OVERSTAY {
                for long in LONG {
                    grid.extend(DELAYS.map(|delay| At { push, ttl, overstay, long, delay }));
                }
            }
        }
    }
    grid
}

/// Runs one point in the world of a setting, without its own surges, events and faults.
///
/// # Errors
/// What a run says.
pub fn point(base: &Setting, variant: &Variant, seed: u64, at: At) -> Result<Point, String> {
    let mut scenario = base.scenario.clone();
    scenario.resolvers.obey = 1.0 - at.overstay;
    scenario.clients.long_share = at.long;
    scenario.telemetry.delay = at.delay.map(Secs);
    scenario.telemetry.probes |= at.push == Push::Return;
    scenario.duration = Secs(RUN_SECS);
    // A level needs no long past.
    scenario.history = Secs(scenario.history.0.min(HISTORY_SECS));
    (scenario.fault, scenario.surge, scenario.announce) = (Vec::new(), Vec::new(), Vec::new());
    let surge = |at: f64, lasts: Option<f64>| Surge {
        group: base.policies.groups[0].name.to_string(),
        kind: SurgeKind::Step,
        at: Secs(at),
        rise: Secs(1.0),
        decay: Secs(1.0),
        exponent: 1.0,
        lasts: lasts.map(Secs),
        peak: None,
        share: Some(STEP),
        branching: 0.0,
        spread: 0.0,
        cells: BTreeMap::new(),
    };
    match at.push {
        Push::Rise => scenario.surge = vec![surge(PUSH_AT, None)],
        Push::Fall => scenario.surge = vec![surge(0.0, Some(PUSH_AT))],
        Push::Return => {
            let largest = base.policies.pops.iter().max_by(|a, b| a.capacity.total_cmp(&b.capacity));
            let pop = largest.map(|p| p.name.to_string()).ok_or("there is no POP")?;
            let (from, lasts) = (Secs(PUSH_AT - GONE_SECS), Secs(GONE_SECS));
            scenario.fault = vec![Fault { at: from, lasts, pop, kind: FaultKind::Down, size: None }];
        }
    }
    scenario.demand.iter_mut().for_each(|d| {
        (d.trace, d.peak, d.share, d.wave) = (None, None, Some(LEVEL), 0.0);
    });
    let mut policies = base.policies.clone();
    policies.groups.iter_mut().for_each(|g| (g.ttl_min, g.ttl_max) = ((at.ttl / 3).max(20), at.ttl));
    let traces = vec![None; scenario.demand.len()];
    let setting = Setting::new(scenario, &traces, &policies, base.cells.clone())?;
    let (figures, film) = Run::prepare(&setting, variant).seed(seed, Some(10.0), &mut |_| Ok(()))?;
    let (settling_secs, overshoot, restless) = settling(&film);
    Ok(Point { at, settling_secs, overshoot, restless, reversals: figures.reversals })
}

/// Seconds until rest, the greatest overshoot on the way, and how far from its mean a POP goes at rest.
fn settling(film: &[Moment]) -> (f64, f64, f64) {
    let n_pops = film.first().map_or(0, |m| m.pops.len());
    let mean = |p: usize, from: f64, to: f64| {
        let of: Vec<f64> = film.iter().filter(|m| (from..to).contains(&m.at)).map(|m| m.pops[p][2]).collect();
        of.iter().sum::<f64>() / of.len().max(1) as f64
    };
    let (mut last, mut overshoot, mut restless) = (PUSH_AT, 0.0f64, 0.0f64);
    for p in 0..n_pops {
        let before = mean(p, PUSH_AT - 300.0, PUSH_AT - AROUND_SECS);
        let rest = mean(p, RUN_SECS - REST_SECS, RUN_SECS + 1.0);
        for moment in film.iter().filter(|m| m.at > PUSH_AT + AROUND_SECS) {
            let share = moment.pops[p][2];
            overshoot = overshoot.max(share - before.max(rest));
            if (share - rest).abs() > NEAR {
                last = last.max(moment.at);
            }
            if moment.at > RUN_SECS - REST_SECS {
                restless = restless.max((share - rest).abs());
            }
        }
    }
    (last - PUSH_AT, overshoot, restless)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rest_is_where_it_ends() {
        let at = |t: f64| Moment { at: t, groups: Vec::new(), pops: vec![[0.0, 0.0, share(t), 0.0, 0.0, 0.0]] };
        fn share(t: f64) -> f64 {
            match t {
                t if t < PUSH_AT => 0.3,
                t if t < PUSH_AT + 100.0 => 0.6,
                _ => 0.5,
            }
        }
        let film: Vec<Moment> = (0..=480).map(|i| at(f64::from(i) * 10.0)).collect();
        let (secs, overshoot, restless) = settling(&film);
        assert!(secs == 90.0 && (overshoot - 0.1).abs() < 1e-9 && restless < 1e-9, "{secs} {overshoot} {restless}");
    }

    #[test]
    fn the_grid_is_whole() {
        assert_eq!(grid().len(), 3 * 3 * 2 * 3 * 4);
    }
}
