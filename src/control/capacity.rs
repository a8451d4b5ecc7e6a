//! What a POP can carry, learned from the moments when it was too much.
//!
//! Additive increase, multiplicative decrease: a sign of overload takes the estimate to 0.9 of what was
//! served well at that moment, but not below half of what is declared; without signs it grows by 1 % of
//! what is declared a minute, up to the least of declared and reported.

use crate::clock::Now;
use crate::telemetry::Utilisation;

/// Least part of what is declared that overload can leave.
const FLOOR: f64 = 0.5;
/// Part of the goodput at overload that counts as sustainable.
const SUSTAINED: f64 = 0.9;
/// Growth per minute without overload, as part of what is declared.
const GROWTH_PER_MIN: f64 = 0.01;
/// A resource that is used so far is exhausted: queues grow without bound towards 1.
const FULL: f64 = 0.95;

/// A sign of overload.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Overload {
    /// What was served well meanwhile, requests per second.
    pub goodput: f64,
    /// What ran out, in a word.
    pub binding: &'static str,
}

/// The resource that is exhausted, if one is: the fullest first.
pub fn exhausted(used: &Utilisation) -> Option<&'static str> {
    let resources = [
        ("processor", used.cpu),
        ("memory", used.memory),
        ("bandwidth", used.bandwidth),
        ("connections", used.connections),
    ];
    let full = resources.into_iter().filter_map(|(word, share)| share.filter(|s| *s >= FULL).map(|s| (word, s)));
    full.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(word, _)| word)
}

/// The estimate of one POP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Learned {
    /// Requests per second and when that was so; `None` while nothing limits it.
    estimate: Option<(f64, Now)>,
    binding: &'static str,
}

impl Learned {
    /// Takes in a sign of overload, or its absence, and returns what the POP can carry now.
    ///
    /// `declared` and `reported` in requests per second; the result is at most the least of them.
    pub fn step(&mut self, declared: f64, reported: Option<f64>, overload: Option<Overload>, now: Now) -> f64 {
        let base = reported.map_or(declared, |r| r.min(declared)).max(0.0);
        let grown = match self.estimate {
            Some((was, since)) => was + GROWTH_PER_MIN * declared * now.since(since) / 60.0,
            None => base,
        };
        let estimate = match overload {
            Some(sign) => {
                self.binding = sign.binding;
                grown.min((SUSTAINED * sign.goodput).max(FLOOR * declared))
            }
            None => grown,
        };
        self.estimate = (estimate < base).then_some((estimate, now));
        if self.estimate.is_none() {
            self.binding = "";
        }
        estimate.min(base)
    }

    /// What ran out when the estimate was last lowered; empty while nothing limits it.
    pub fn binding(&self) -> &'static str {
        self.binding
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;

    #[test]
    fn overload_lowers_and_calm_restores() {
        let mut learned = Learned::default();
        let sign = |goodput| Some(Overload { goodput, binding: "processor" });
        assert_eq!(learned.step(1000.0, None, None, at(0.0)), 1000.0);
        assert_eq!(learned.step(1000.0, None, sign(800.0), at(1.0)), 720.0);
        assert_eq!(learned.binding(), "processor");
        assert_eq!(learned.step(1000.0, None, sign(100.0), at(1.0)), 500.0, "not below half");
        assert_eq!(learned.step(1000.0, None, None, at(61.0)), 510.0);
        assert_eq!(learned.step(1000.0, Some(400.0), None, at(62.0)), 400.0);
        assert_eq!(learned.step(1000.0, None, None, at(62.0 + 3600.0)), 1000.0);
        assert_eq!(learned.binding(), "");
    }

    #[test]
    fn the_fullest_resource_is_named() {
        let used = Utilisation { cpu: Some(0.96), memory: Some(0.5), bandwidth: Some(0.99), connections: None };
        assert_eq!(exhausted(&used), Some("bandwidth"));
        assert_eq!(exhausted(&Utilisation::default()), None);
    }
}
