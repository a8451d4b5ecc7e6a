//! What one announced event asks for over time, per unit of its size: send profile ∗ response, and pass-along.
//!
//! Messages go out evenly over the send time, so the responses by `t` are `R(t) = (H(t) − H(t−D))/D` with
//! `H = ∫G` ([`Response::area`]). Responders pass the message on: each brings `n` more on average, after an exponentially
//! distributed time with mean `t_p`. Self-exciting processes with such a kernel (Hawkes 1971) have the closed resolvent
//! `ψ(u) = (n/t_p)·e^{−(1−n)u/t_p}`, so the passed-along part `y` follows `y′ = −(1−n)/t_p·y + n/t_p·R′`, which is exact
//! between the points of a grid. All of it sums to `1/(1−n)`.
//!
//! Our choice: `t_p = t_d`, people pass things on about as slowly as they answer them.

use crate::events::response::{Response, Shape};
use std::sync::LazyLock;

/// Seconds between the points of the first two hours.
const FINE_SECS: f64 = 15.0;
/// Points of the first two hours.
const N_FINE: usize = 480;
/// Growth of the distance to the start after that.
const GROWTH: f64 = 1.03;
/// Where the grid ends: longer than anything is announced for.
const END_SECS: f64 = 1e7;

/// The points of all curves, seconds after the start.
static GRID: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let mut grid: Vec<f64> = (0..=N_FINE).map(|i| i as f64 * FINE_SECS).collect();
    while *grid.last().expect("it begins with 0") < END_SECS {
        grid.push(grid.last().expect("it begins with 0") * GROWTH);
    }
    grid
});

//----------- Curve ----------------------------------------------------------

/// Responses over time of an event whose direct ones sum to 1.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Responses by each point of the grid.
    by: Vec<f64>,
}

impl Curve {
    /// `send_secs`: how long sending takes, 0 for at once. `pass_along`: `n`, in `[0, 1)`.
    pub fn new(shape: Shape, send_secs: f64, pass_along: f64) -> Curve {
        let response = Response::new(shape);
        let direct = |t: f64| match send_secs > 0.0 {
            true => (response.area(t) - response.area(t - send_secs)) / send_secs,
            false => response.by(t),
        };
        let decay = (1.0 - pass_along) / shape.decay_secs;
        let (mut by, mut last, mut passing, mut passed) = (vec![0.0], 0.0, 0.0, 0.0);
        for points in GRID.windows(2) {
            let (secs, now) = (points[1] - points[0], direct(points[1]).max(last));
            let steady = pass_along / (1.0 - pass_along) * (now - last) / secs;
            let kept = (-decay * secs).exp();
            passed += steady * secs + (passing - steady) * (1.0 - kept) / decay;
            passing = steady + (passing - steady) * kept;
            last = now;
            by.push(now + passed);
        }
        Curve { by }
    }

    /// Responses by `t` seconds after the start; ascending, 0 before, `1/(1−n)` in the end.
    pub fn by(&self, t: f64) -> f64 {
        if t <= 0.0 {
            return 0.0;
        }
        let i = point(t);
        let Some(next) = self.by.get(i + 1) else { return self.by[i] };
        self.by[i] + (t - GRID[i]) / (GRID[i + 1] - GRID[i]) * (next - self.by[i])
    }

    /// Responses per second at `t`; at least 0.
    pub fn rate(&self, t: f64) -> f64 {
        if t < 0.0 {
            return 0.0;
        }
        let i = point(t);
        self.by.get(i + 1).map_or(0.0, |next| (next - self.by[i]) / (GRID[i + 1] - GRID[i]))
    }

    /// When the rate is greatest, seconds after the start, and that rate.
    pub fn peak(&self) -> (f64, f64) {
        let rates = GRID.windows(2).zip(self.by.windows(2));
        let rates = rates.map(|(t, by)| ((t[0] + t[1]) / 2.0, (by[1] - by[0]) / (t[1] - t[0])));
        rates.max_by(|a, b| a.1.total_cmp(&b.1)).expect("the grid has points")
    }
}

/// The last point of the grid at or before `t`, at least 0.
fn point(t: f64) -> usize {
    match t < FINE_SECS * N_FINE as f64 {
        true => (t / FINE_SECS) as usize,
        false => GRID.partition_point(|p| *p <= t) - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PUSH: Shape = Shape { rise_secs: 20.0, decay_secs: 300.0, exponent: 1.2 };

    #[test]
    fn nothing_before_the_start_and_all_of_it_in_the_end() {
        let check = |send, n: f64| {
            let curve = Curve::new(PUSH, send, n);
            assert_eq!((curve.by(-1.0), curve.rate(-1.0), curve.by(0.0)), (0.0, 0.0, 0.0));
            assert!((curve.by(1e9) * (1.0 - n) - 1.0).abs() < 1e-3, "{}", curve.by(1e9));
            assert_eq!(curve.rate(1e9), 0.0);
        };
        check(0.0, 0.0);
        check(600.0, 0.3);
        check(3600.0, 0.95);
    }

    #[test]
    fn sending_slowly_lowers_the_peak_and_moves_it_behind() {
        let [(t0, at_once), (t1, slowly)] = [0.0, 1800.0].map(|send| Curve::new(PUSH, send, 0.0).peak());
        assert!(slowly < at_once / 2.0 && t1 > t0, "{t0} {at_once} {t1} {slowly}");
        assert!((1500.0..1900.0).contains(&t1), "the peak of a long sending is at its end: {t1}");
    }

    /// The resolvent against clusters counted generation by generation.
    #[test]
    fn pass_along_is_the_sum_of_its_generations() {
        let (n, step, len) = (0.5, 5.0, 4000);
        let direct = Curve::new(PUSH, 0.0, 0.0);
        let mut generation: Vec<f64> =
            (0..len).map(|i| direct.by(f64::from(i + 1) * step) - direct.by(f64::from(i) * step)).collect();
        let mut all = generation.clone();
        for _ in 0..40 {
            // Children arrive exponentially after their parents: a recursive filter.
            let (kept, mut waiting) = ((-step / PUSH.decay_secs).exp(), 0.0);
            for born in &mut generation {
                let parents = *born;
                *born = waiting * (1.0 - kept) + parents * n * (1.0 - kept) / 2.0;
                waiting = waiting * kept + parents * n * (1.0 - (1.0 - kept) / 2.0);
            }
            all.iter_mut().zip(&generation).for_each(|(all, born)| *all += born);
        }
        let curve = Curve::new(PUSH, 0.0, n);
        for until in [300.0, 1200.0, 6000.0] {
            let counted: f64 = all[..(until / step) as usize].iter().sum();
            assert!((curve.by(until) / counted - 1.0).abs() < 0.01, "{until}: {} {counted}", curve.by(until));
        }
    }

    proptest! {
        /// Never negative, and its rate is what its sum grows by.
        #[test]
        fn a_curve(decay in 30.0..2e4f64, exponent in 0.3..2.5f64, send in 0.0..7200.0f64, n in 0.0..0.95f64, t in -60.0..2e5f64) {
            let curve = Curve::new(Shape { rise_secs: 30.0, decay_secs: decay, exponent }, send, n);
            prop_assert!(curve.rate(t) >= 0.0 && curve.by(t) >= 0.0);
            prop_assert!(curve.by(t + 30.0) >= curve.by(t));
            prop_assert!(curve.by(t) <= 1.0 / (1.0 - n) + 1e-6);
            prop_assert!(curve.rate(t) <= curve.peak().1 + 1e-12);
        }
    }
}
