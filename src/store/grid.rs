//! A regular grid out of irregular readings.
//!
//! Steps begin at multiples of their length since 1970, UTC. A step in which nothing was seen is a gap, `None`, and never
//! a 0: silence is not the absence of demand.

use crate::store::rollup::{Bucket, floor};

/// Most steps of one grid: ten years of minutes, lest a stray time fills the memory.
pub const MAX_STEPS: usize = 5_300_000;

/// Times beyond are no times (the year 33,658): with room for sums, in `i64` and in `f64` to the millisecond.
pub const MAX_UNIX: f64 = 1e12;

//----------- Means ----------------------------------------------------------

/// The mean of every step from the one that `since` is in to the last that ends at `until` or before, unix seconds;
/// at most [`MAX_STEPS`], the latest. `buckets`: of stretches that divide the step, in any order.
pub fn means(buckets: &[(i64, Bucket)], since: i64, until: i64, step: i64) -> Vec<Option<f64>> {
    let n_steps = ((until - floor(since, step)) / step).clamp(0, MAX_STEPS as i64);
    let first = floor(until, step) - n_steps * step;
    let mut sums = vec![(0.0, 0u64); n_steps as usize];
    for (start, bucket) in buckets.iter().filter(|(start, _)| *start >= first) {
        if let Some((sum, count)) = sums.get_mut(((start - first) / step) as usize) {
            *sum += bucket.sum;
            *count = count.saturating_add(bucket.count);
        }
    }
    sums.into_iter().map(|(sum, count)| (count > 0).then(|| sum / count as f64)).collect()
}

//----------- Counters -------------------------------------------------------

/// A reading of something that only grows, until it starts again at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Unix seconds.
    pub at: f64,
    /// What the counter said; at least 0.
    pub value: f64,
}

/// The rate of a counter in each step of `step` seconds that its readings cover: the beginning of the step and the
/// increase per second, ascending.
///
/// Readings may come in any order; of several at one moment the greatest counts. One below the one before it is of
/// a counter that has started again, and all it says was added since (as Prometheus' `rate` takes it). What was added
/// between two readings is spread evenly over the time between them; more than `longest` seconds between them are a gap.
/// A step of which less than half is covered is left out.
pub fn rates(readings: &[Reading], step: i64, longest: f64) -> Vec<(i64, f64)> {
    let mut readings: Vec<Reading> =
        readings.iter().copied().filter(|r| r.at.abs() < MAX_UNIX && r.value.is_finite() && r.value >= 0.0).collect();
    readings.sort_by(|a, b| a.at.total_cmp(&b.at).then(b.value.total_cmp(&a.value)));
    readings.dedup_by_key(|r| r.at.to_bits());
    let mut rates = Vec::new();
    // The step being filled: its beginning, what was added in it, and the seconds of it that are covered.
    let (mut current, mut added, mut covered) = (i64::MIN, 0.0, 0.0);
    let length = step as f64;
    let mut close = |start: i64, added: f64, covered: f64| {
        if covered >= length / 2.0 {
            rates.push((start, added / covered));
        }
    };
    for pair in readings.windows(2) {
        let (from, to) = (pair[0].at, pair[1].at);
        let increase = if pair[1].value >= pair[0].value { pair[1].value - pair[0].value } else { pair[1].value };
        if to - from > longest {
            continue;
        }
        let mut at = from;
        while at < to {
            let start = floor(at.floor() as i64, step);
            if start != current {
                close(current, added, covered);
                (current, added, covered) = (start, 0.0, 0.0);
            }
            let end = to.min((start + step) as f64);
            added += increase * (end - at) / (to - from);
            covered += end - at;
            at = end;
        }
    }
    close(current, added, covered);
    rates
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn gaps_stay_gaps_and_the_running_step_is_left_out() {
        let at = |start, value| (start, Bucket::of(value, 0, false));
        let check = |buckets: &[_], since, until, step, expected: &[Option<f64>]| {
            assert_eq!(means(buckets, since, until, step), expected);
        };
        check(&[], 0, 180, 60, &[None, None, None]);
        check(&[at(0, 1.0), at(120, 3.0), at(180, 9.0)], 0, 199, 60, &[Some(1.0), None, Some(3.0)]);
        check(&[at(0, 1.0), at(60, 3.0)], 30, 120, 120, &[Some(2.0)]);
        check(&[at(-60, 5.0)], -60, 0, 60, &[Some(5.0)]);
        check(&[at(0, 1.0)], 500, 20, 60, &[]);
        assert_eq!(means(&[], i64::MIN / 2, 0, 60).len(), MAX_STEPS);
    }

    fn reading(at: f64, value: f64) -> Reading {
        Reading { at, value }
    }

    #[test]
    fn counters_become_rates() {
        let check = |readings: &[(f64, f64)], expected: &[(i64, f64)]| {
            let readings: Vec<_> = readings.iter().map(|(at, value)| reading(*at, *value)).collect();
            assert_eq!(rates(&readings, 60, 300.0), expected);
        };
        check(&[], &[]);
        check(&[(0.0, 5.0)], &[]);
        check(&[(0.0, 0.0), (60.0, 600.0), (120.0, 720.0)], &[(0, 10.0), (60, 2.0)]);
        // Out of order, twice, and NaN.
        check(&[(60.0, 600.0), (0.0, 0.0), (60.0, 600.0), (9.0, f64::NAN)], &[(0, 10.0)]);
        // It started again in between: 120 is what came since.
        check(&[(0.0, 1000.0), (60.0, 120.0)], &[(0, 2.0)]);
        // Spread over the minutes between; the last is covered by a third only.
        check(&[(0.0, 0.0), (140.0, 140.0)], &[(0, 1.0), (60, 1.0)]);
        // Ten minutes of silence are a gap, whatever was added in them.
        check(&[(0.0, 0.0), (60.0, 60.0), (660.0, 9e9), (720.0, 9e9)], &[(0, 1.0), (660, 0.0)]);
    }

    proptest! {
        /// Nothing is lost or made up: over whole steps the rates sum to the increase.
        #[test]
        fn increases_are_kept(increases in prop::collection::vec((1..50u32, 0..1000u32), 1..60)) {
            let mut readings = vec![reading(0.0, 7.0)];
            for (secs, more) in increases {
                let before = readings[readings.len() - 1];
                readings.push(reading(before.at + f64::from(secs), before.value + f64::from(more)));
            }
            let before = readings[readings.len() - 1];
            readings.push(reading((before.at / 60.0).ceil() * 60.0, before.value));
            let total: f64 = rates(&readings, 60, 300.0).iter().map(|(_, rate)| rate * 60.0).sum();
            prop_assert!((total - (before.value - 7.0)).abs() < 1e-6 * total.max(1.0));
        }
    }
}
