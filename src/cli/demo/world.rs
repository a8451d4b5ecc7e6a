//! The world of the demo: resolvers that cache answers, clients behind them, POPs that bear load.
//!
//! Pure and seeded by position: no clock, no sockets. Each resolver stands for clients in one prefix
//! and carries its part of the demand to the POP of the answer it holds, until that answer expires:
//! so the demo shows the lag that caches put between a changed share and a changed load.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

//----------- The script -----------------------------------------------------

/// What happens when; seconds from the start of the demo.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Script {
    /// Length of one day of the rhythm.
    pub day_secs: f64,
    /// By how much demand rises and falls over a day, as a part of its mean.
    pub swing: f64,
    /// Mean demand as a share of all declared capacity.
    pub mean: f64,
    /// When the surge is announced; infinite: never.
    pub announce_at: f64,
    /// Start of the surge; infinite: none comes.
    pub surge_at: f64,
    /// Seconds that it takes to rise.
    pub surge_rise: f64,
    /// Seconds that it stays.
    pub surge_stay: f64,
    /// Factor on the demand of the surging place.
    pub surge_factor: f64,
    /// Start of a failure of one POP; infinite: none fails.
    pub fail_at: f64,
    /// How long it fails.
    pub fail_secs: f64,
    /// Seconds that a shadow takes to get warm.
    pub warm_secs: f64,
}

impl Script {
    /// A day with an announced surge, more than the POPs near it bear, in its second quarter and a failure after it, told
    /// in `secs`. In 150 a newcomer sees the shift, the trip and the return.
    pub fn day(secs: f64) -> Script {
        Script {
            day_secs: 0.8 * secs,
            swing: 0.35,
            mean: 0.3,
            announce_at: 0.08 * secs,
            surge_at: 0.27 * secs,
            surge_rise: 0.06 * secs,
            surge_stay: 0.2 * secs,
            surge_factor: 5.0,
            fail_at: 0.6 * secs,
            fail_secs: 0.13 * secs,
            warm_secs: 0.08 * secs,
        }
    }

    /// Always the same demand, and nothing happens: for looking whether the loop keeps still.
    pub fn steady() -> Script {
        let never = f64::INFINITY;
        Script { swing: 0.0, announce_at: never, surge_at: never, fail_at: never, ..Script::day(150.0) }
    }

    /// Factor on a place's demand at `t`: the daily rhythm, shifted by longitude, and the surge if it is there.
    pub fn factor(&self, t: f64, longitude: f64, surging: bool) -> f64 {
        let phase = std::f64::consts::TAU * (t / self.day_secs + longitude / 360.0);
        let rhythm = 1.0 + self.swing * phase.sin();
        let u = t - self.surge_at;
        let surge = if !surging || u < 0.0 {
            0.0
        } else if u < self.surge_rise {
            u / self.surge_rise
        } else if u < self.surge_rise + self.surge_stay {
            1.0
        } else {
            (-(u - self.surge_rise - self.surge_stay) / (self.surge_rise)).exp()
        };
        rhythm * (1.0 + (self.surge_factor - 1.0) * surge)
    }

    /// Whether the failing POP fails at `t`.
    pub fn fails(&self, t: f64) -> bool {
        (self.fail_at..self.fail_at + self.fail_secs).contains(&t)
    }
}

//----------- World ----------------------------------------------------------

/// One resolver and the clients behind it.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// The client prefix (a /24) that it sends along.
    pub prefix: Ipv4Addr,
    /// Degrees east, for the rhythm.
    pub longitude: f64,
    /// The cell its clients lie in, as the server names it.
    pub cell: String,
    /// Its part of all demand; the weights of all resolvers sum to 1.
    pub weight: f64,
    /// Whether its clients take part in the surge.
    pub surging: bool,
    /// The answer it holds, and when that expires.
    pub held: Option<(IpAddr, f64)>,
}

impl Resolver {
    /// Its part of mean demand at `t`.
    pub fn demand(&self, script: &Script, t: f64) -> f64 {
        self.weight * script.factor(t, self.longitude, self.surging)
    }

    /// Takes an answer in at `t`. The first one is as old as its `phase` says, in `[0, 1)` of its TTL: caches that have long been there
    /// do not all ask in the same second.
    pub fn take(&mut self, address: IpAddr, ttl: u32, t: f64, phase: f64) {
        let left = if self.held.is_none() { 1.0 - phase } else { 1.0 };
        self.held = Some((address, t + left * f64::from(ttl)));
    }

    /// Whether it has to ask at `t`.
    pub fn must_ask(&self, t: f64) -> bool {
        self.held.is_none_or(|(_, expires)| expires <= t)
    }
}

/// What one POP went through in a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Requests per second that arrived.
    pub rate: f64,
    /// Of those, how many failed.
    pub error_rate: f64,
    /// Median latency, milliseconds.
    pub p50_ms: f64,
    /// Share of capacity in use, capped at 1.
    pub cpu: f64,
    /// Requests per second by cell.
    pub cells: BTreeMap<String, f64>,
}

/// Splits the demand at `t` over POPs by the answers that resolvers hold.
///
/// `total`: mean demand in requests per second. `pop_of`: which POP an address belongs to; addresses of
/// none (external members) carry their load away. Returns one step per POP.
pub fn loads(
    script: &Script,
    t: f64,
    total: f64,
    resolvers: &[Resolver],
    pop_of: &BTreeMap<IpAddr, usize>,
    capacities: &[f64],
    failing: usize,
) -> Vec<Step> {
    let mut steps = vec![Step::default(); capacities.len()];
    for r in resolvers {
        let Some(pop) = r.held.and_then(|(addr, _)| pop_of.get(&addr)) else { continue };
        let rate = total * r.demand(script, t);
        steps[*pop].rate += rate;
        *steps[*pop].cells.entry(r.cell.clone()).or_default() += rate;
    }
    for (pop, step) in steps.iter_mut().enumerate() {
        let utilisation = step.rate / capacities[pop].max(1.0);
        let over = (step.rate - capacities[pop] * 1.05).max(0.0);
        step.error_rate = if pop == failing && script.fails(t) { 0.6 * step.rate } else { over };
        step.p50_ms = 12.0 / (1.0 - utilisation.min(0.95));
        step.cpu = utilisation.min(1.0);
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(weight: f64, held: Option<IpAddr>) -> Resolver {
        Resolver {
            prefix: Ipv4Addr::new(192, 0, 2, 0),
            longitude: 0.0,
            cell: "JP".into(),
            weight,
            surging: true,
            held: held.map(|a| (a, 30.0)),
        }
    }

    #[test]
    fn a_surge_rises_stays_and_fades() {
        let s = Script::day(150.0);
        let base = |t| s.factor(t, 0.0, false);
        assert_eq!(s.factor(s.surge_at - 1.0, 0.0, true), base(s.surge_at - 1.0));
        let top = s.surge_at + s.surge_rise + 1.0;
        assert!((s.factor(top, 0.0, true) / base(top) - s.surge_factor).abs() < 1e-9);
        let late = s.surge_at + s.surge_rise * 8.0 + s.surge_stay;
        assert!(s.factor(late, 0.0, true) / base(late) < 1.01);
    }

    #[test]
    fn load_follows_held_answers() {
        let (a, b): (IpAddr, IpAddr) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let pops = BTreeMap::from([(a, 0), (b, 1)]);
        let rs = [resolver(0.75, Some(a)), resolver(0.25, Some(b)), resolver(0.5, None)];
        let s = Script { surge_at: 1e9, fail_at: 1e9, ..Script::day(150.0) };
        let steps = loads(&s, 0.0, 100.0, &rs, &pops, &[50.0, 50.0], 0);
        assert_eq!((steps[0].rate, steps[1].rate), (75.0, 25.0));
        assert_eq!(steps[0].error_rate, 22.5);
        assert_eq!(steps[1].error_rate, 0.0);
        assert_eq!(Script::steady().factor(50.0, 100.0, true), 1.0);
        let mut fresh = rs[2].clone();
        fresh.take(a, 20, 0.0, 0.75);
        assert_eq!(fresh.held, Some((a, 5.0)));
        fresh.take(b, 20, 5.0, 0.75);
        assert_eq!(fresh.held, Some((b, 25.0)));
        assert!(rs[2].must_ask(0.0) && rs[0].must_ask(30.0) && !rs[0].must_ask(29.0));
    }
}
