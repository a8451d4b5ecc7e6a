//! The last minutes of one reporter: the samples of one (POP, group, member), in order, each once.
//!
//! Samples are placed by their own times, so they may arrive late, twice or out of order. A sample that
//! crosses the edge of the stretch asked for counts in proportion. Silence is measured on our own
//! monotonic clock from the last arrival.

use crate::clock::Now;
use crate::telemetry::Sample;
use std::collections::VecDeque;

/// Seconds of samples kept, by their own times.
pub const KEPT_SECS: f64 = 300.0;
/// A newest sample that is so far ahead of our clock is from before a clock step; it is dropped.
const FUTURE_SECS: f64 = 120.0;
/// Seconds over which a rate is taken. Our choice: three of the usual ten-second windows.
pub const RATE_SECS: f64 = 30.0;

//----------- Outcomes -------------------------------------------------------

/// What happened over a stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// Requests.
    pub requests: f64,
    /// Requests that failed.
    pub errors: f64,
    /// Seconds that the samples cover, overlaps counted each time; 0 if there is no sample.
    pub secs: f64,
    /// Requests that came with a latency, and the sum of p95 × requests over them.
    latency_weight: f64,
    latency_sum: f64,
}

impl Outcomes {
    /// What a reporter without latencies saw in `secs` seconds.
    pub fn of(requests: f64, errors: f64, secs: f64) -> Outcomes {
        Outcomes { requests, errors, secs, ..Outcomes::default() }
    }

    /// Share of requests that failed, in `[0, 1]`; 0 without requests.
    pub fn error_share(&self) -> f64 {
        if self.requests > 0.0 { self.errors / self.requests } else { 0.0 }
    }

    /// Requests per second that did not fail; `None` without a sample.
    pub fn goodput(&self) -> Option<f64> {
        (self.secs > 0.0).then(|| (self.requests - self.errors) / self.secs)
    }

    /// p95 latency in milliseconds, the mean of the samples' by requests: near enough to compare with a
    /// bound. `None` where none was reported.
    pub fn p95_ms(&self) -> Option<f64> {
        (self.latency_weight > 0.0).then(|| self.latency_sum / self.latency_weight)
    }

    /// Adds what another reporter saw of the same stretch; its time does not add up.
    pub fn beside(self, other: Outcomes) -> Outcomes {
        Outcomes {
            requests: self.requests + other.requests,
            errors: self.errors + other.errors,
            secs: self.secs.max(other.secs),
            latency_weight: self.latency_weight + other.latency_weight,
            latency_sum: self.latency_sum + other.latency_sum,
        }
    }
}

//----------- Window ---------------------------------------------------------

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// By end, ascending; no two with the same end and length.
    samples: VecDeque<Kept>,
    heard: Option<Now>,
}

#[derive(Clone, Copy, Debug)]
struct Kept {
    at: f64,
    secs: f64,
    requests: f64,
    errors: f64,
    p95_ms: Option<f64>,
}

/// What became of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It was added.
    New,
    /// It took the place of an earlier report of the same stretch.
    Replaced,
    /// It ends before everything that is kept, and says nothing any more.
    Old,
}

impl Window {
    /// Takes in a sample that arrived `now`.
    pub fn push(&mut self, sample: &Sample, now: Now) -> Arrival {
        if self.newest().is_some_and(|at| at > now.unix + FUTURE_SECS) {
            self.samples.clear();
        }
        if self.newest().is_some_and(|at| sample.at < at - KEPT_SECS) {
            return Arrival::Old;
        }
        let kept = Kept {
            at: sample.at,
            secs: sample.window_secs,
            requests: sample.requests,
            errors: sample.errors.min(sample.requests),
            p95_ms: sample.latency.map(|l| l.p95_ms),
        };
        self.heard = Some(now);
        let after = self.samples.partition_point(|k| (k.at, k.secs) < (kept.at, kept.secs));
        if let Some(same) = self.samples.get_mut(after).filter(|k| (k.at, k.secs) == (kept.at, kept.secs)) {
            *same = kept;
            return Arrival::Replaced;
        }
        self.samples.insert(after, kept);
        let oldest = self.newest().unwrap_or(kept.at) - KEPT_SECS;
        while self.samples.front().is_some_and(|k| k.at <= oldest) {
            self.samples.pop_front();
        }
        Arrival::New
    }

    /// Moves all of it by so many seconds, since the wall clock was stepped by as many.
    pub fn shift(&mut self, secs: f64) {
        self.samples.iter_mut().for_each(|kept| kept.at += secs);
    }

    /// The end of the newest sample, unix seconds.
    pub fn newest(&self) -> Option<f64> {
        self.samples.back().map(|k| k.at)
    }

    /// What happened in the `secs` before the newest sample's end, but not before `since` (unix seconds).
    pub fn recent(&self, secs: f64, since: f64) -> Outcomes {
        let Some(to) = self.newest() else { return Outcomes::default() };
        let from = (to - secs).max(since);
        let mut sum = Outcomes::default();
        for kept in self.samples.iter().rev() {
            // Samples are in order of their ends: the first that ends before `from` ends the search.
            if kept.at <= from {
                break;
            }
            let inside = (kept.at.min(to) - (kept.at - kept.secs).max(from)).max(0.0);
            let part = inside / kept.secs;
            sum.requests += part * kept.requests;
            sum.errors += part * kept.errors;
            sum.secs += inside;
            if let Some(p95) = kept.p95_ms {
                sum.latency_weight += part * kept.requests;
                sum.latency_sum += part * kept.requests * p95;
            }
        }
        sum
    }

    /// Requests per second over the last [`RATE_SECS`] that were reported; `None` before the first sample.
    pub fn rate(&self) -> Option<f64> {
        let recent = self.recent(RATE_SECS, f64::NEG_INFINITY);
        (recent.secs > 0.0).then(|| recent.requests / recent.secs)
    }

    /// Seconds since the last arrival; infinite before the first.
    pub fn silent_secs(&self, now: Now) -> f64 {
        self.heard.map_or(f64::INFINITY, |heard| now.since(heard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{at, sample};

    #[test]
    fn late_and_repeated_samples_change_nothing() {
        let ordered = [(10.0, 100.0), (20.0, 200.0), (30.0, 300.0)];
        let push = |order: &[usize]| {
            let mut window = Window::default();
            for i in order {
                let (end, requests) = ordered[*i];
                window.push(&sample("ams", end, 10.0, requests, 1.0), at(31.0));
            }
            window.recent(30.0, f64::NEG_INFINITY)
        };
        assert_eq!(push(&[0, 1, 2]).requests, 600.0);
        for order in [[2, 1, 0].as_slice(), &[1, 0, 2], &[0, 0, 1, 2, 1]] {
            assert_eq!(push(order), push(&[0, 1, 2]), "{order:?}");
        }
    }

    #[test]
    fn edges_count_in_proportion() {
        let mut window = Window::default();
        window.push(&sample("ams", 100.0, 10.0, 1000.0, 500.0), at(100.0));
        assert_eq!(window.recent(4.0, 0.0).requests, 400.0);
        assert_eq!(window.recent(30.0, 99.0).errors, 50.0);
        assert_eq!(window.recent(30.0, 101.0), Outcomes::default());
        assert_eq!(window.rate(), Some(100.0));
        assert_eq!(window.recent(30.0, 0.0).goodput(), Some(50.0));
    }

    #[test]
    fn old_ones_go_and_a_clock_step_is_survived() {
        let mut window = Window::default();
        let push = |window: &mut Window, end, now| window.push(&sample("ams", end, 10.0, 1.0, 0.0), at(now));
        assert_eq!(push(&mut window, 1000.0, 1000.0), Arrival::New);
        assert_eq!(push(&mut window, 1000.0, 1000.0), Arrival::Replaced);
        assert_eq!(push(&mut window, 600.0, 1000.0), Arrival::Old);
        assert_eq!(push(&mut window, 500.0, 500.0), Arrival::New, "the clock went back: start over");
        assert_eq!(window.newest(), Some(500.0));
    }

    #[test]
    fn silence_is_counted_from_the_last_arrival() {
        let mut window = Window::default();
        assert_eq!(window.silent_secs(at(5.0)), f64::INFINITY);
        window.push(&sample("ams", 1.0, 10.0, 1.0, 0.0), at(5.0));
        assert_eq!(window.silent_secs(at(65.0)), 60.0);
    }
}
