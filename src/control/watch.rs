//! Watches one group's demand for anomalies, minute by minute, against what was forecast for it.

use crate::forecast::anomaly::{Anomalies, Anomaly, Change, Kind, USUAL_LIMIT};
use crate::forecast::quantiles::Quantiles;
use std::collections::VecDeque;

/// Minutes ahead at which forecasts are held against what came. Our choice: late enough that a surge has not crept into
/// its own forecast while it is told, and a lead that is fitted anyway.
pub const LEAD: usize = 15;
/// Most forecasts that wait; more only if the clock jumped.
const MOST_WAITING: usize = 2 * LEAD;
/// Most changes that wait to be told.
const MOST_TOLD: usize = 4;

/// See the module.
#[derive(Clone, Debug)]
pub struct Watch {
    anomalies: Anomalies,
    /// Ascending targets.
    waiting: VecDeque<(usize, Quantiles)>,
    told: VecDeque<Change>,
    step_secs: u32,
}

impl Watch {
    /// Nothing seen.
    pub fn new(step_secs: u32) -> Watch {
        let anomalies = Anomalies::new(step_secs, USUAL_LIMIT);
        Watch { anomalies, waiting: VecDeque::new(), told: VecDeque::new(), step_secs }
    }

    /// Notes what is forecast for step `target`.
    pub fn expect(&mut self, target: usize, forecast: Quantiles) {
        if self.waiting.back().is_none_or(|(last, _)| *last < target) {
            self.waiting.push_back((target, forecast));
        }
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_front();
        }
    }

    /// Takes in the value of step `t`; NaN is a gap.
    pub fn observe(&mut self, t: usize, value: f64) {
        while self.waiting.front().is_some_and(|(target, _)| *target < t) {
            self.waiting.pop_front();
        }
        let expected = self.waiting.pop_front_if(|(target, _)| *target == t).map(|(_, q)| q);
        if let Some(change) = self.anomalies.observe(value, expected.as_ref()) {
            self.told.push_back(change);
            if self.told.len() > MOST_TOLD {
                self.told.pop_front();
            }
        }
    }

    /// What changed since this was asked last, each with the seconds since the anomaly began.
    pub fn news(&mut self) -> Vec<(Change, f64)> {
        let told = std::mem::take(&mut self.told);
        let age = |change: &Change| match change {
            Change::Began(a) | Change::Became(a) | Change::Ended(a) => self.age(a),
        };
        told.into_iter().map(|change| (change, age(&change))).collect()
    }

    /// What is wrong now, and for how many seconds.
    pub fn current(&self) -> Option<(Anomaly, f64)> {
        self.anomalies.current().map(|a| (a, self.age(&a)))
    }

    /// Whether demand does what was not forecast, and nobody knows yet where it goes.
    pub fn is_unsettled(&self) -> bool {
        self.anomalies.current().is_some_and(|a| matches!(a.kind, Kind::Surge | Kind::Drop))
    }

    fn age(&self, a: &Anomaly) -> f64 {
        self.anomalies.steps().saturating_sub(a.since) as f64 * f64::from(self.step_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::quantiles::NORMAL;

    /// Forecasts meet their own minute, also where some are missing, and what comes is told once.
    #[test]
    fn a_surge_is_told_once() {
        let mut watch = Watch::new(60);
        for t in 0..200 {
            let value = 100.0 + (t * t % 7) as f64 + if t >= 150 { 200.0 } else { 0.0 };
            watch.observe(t, value);
            if t % 9 != 4 {
                watch.expect(t + LEAD, Quantiles::new(NORMAL.map(|z| 103.0 + 2.0 * z)));
            }
            let news = watch.news();
            match t {
                150 => {
                    let (Change::Began(surge), age) = news[0] else { panic!("{news:?}") };
                    assert_eq!((surge.kind, surge.since, age), (Kind::Surge, 150, 60.0));
                }
                _ if t < 170 => assert_eq!(news, []),
                _ => {}
            }
            assert!(watch.is_unsettled() == (t >= 150) || t >= 175, "{t}");
        }
        // By now it is a shift of level, and the loop need not hold its breath.
        assert!(!watch.is_unsettled());
    }
}
