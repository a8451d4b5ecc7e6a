//! A predictive distribution, held as values at fixed levels.

/// How many levels a distribution is held at.
pub const N_LEVELS: usize = 16;

/// The levels: the probability that the outcome is not above. Those of the forecast benchmark, and 0.995
/// for the controller.
pub const LEVELS: [f64; N_LEVELS] =
    [0.01, 0.025, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60, 0.70, 0.80, 0.90, 0.95, 0.975, 0.99, 0.995];

/// The standard normal quantile at each of [`LEVELS`].
pub const NORMAL: [f64; N_LEVELS] = [
    -2.3263, -1.9600, -1.6449, -1.2816, -0.8416, -0.5244, -0.2533, 0.0, 0.2533, 0.5244, 0.8416, 1.2816, 1.6449, 1.9600,
    2.3263, 2.5758,
];

/// Levels asked for are held within this of 0 and 1: the tails are extrapolated, but not without end.
const LEAST_TAIL: f64 = 0.0005;

//----------- Quantiles ------------------------------------------------------

/// A distribution of one value to come. Values are finite and ascend with the level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    values: [f64; N_LEVELS],
}

impl Quantiles {
    /// From values at [`LEVELS`], sorted here, so that they never cross. Values must be finite.
    pub fn new(mut values: [f64; N_LEVELS]) -> Quantiles {
        debug_assert!(values.iter().all(|v| v.is_finite()), "quantiles are finite: {values:?}");
        values.sort_unstable_by(f64::total_cmp);
        Quantiles { values }
    }

    /// The same value at every level.
    pub fn certain(value: f64) -> Quantiles {
        Quantiles { values: [value; N_LEVELS] }
    }

    /// The values at [`LEVELS`].
    pub fn values(&self) -> &[f64; N_LEVELS] {
        &self.values
    }

    /// Every value put through `f`, which must be ascending.
    pub fn map(self, f: impl Fn(f64) -> f64) -> Quantiles {
        Quantiles { values: self.values.map(f) }
    }

    /// The value that is not exceeded with probability `q`: linear between levels; outside them the last
    /// slope goes on, to 0.0005 from either end.
    pub fn at(&self, q: f64) -> f64 {
        let q = q.clamp(LEAST_TAIL, 1.0 - LEAST_TAIL);
        let i = LEVELS.partition_point(|l| *l < q).clamp(1, N_LEVELS - 1);
        let part = (q - LEVELS[i - 1]) / (LEVELS[i] - LEVELS[i - 1]);
        self.values[i - 1] + part * (self.values[i] - self.values[i - 1])
    }

    /// The probability that the outcome is above `x`, in `[0, 1]`: the inverse of [`at`](Quantiles::at), with
    /// 1 and 0 beyond what that extrapolates to. Where the function is flat, what the highest level there leaves.
    pub fn above(&self, x: f64) -> f64 {
        if x < self.at(LEAST_TAIL) {
            return 1.0;
        }
        if x >= self.at(1.0 - LEAST_TAIL) {
            return 0.0;
        }
        let i = self.values.partition_point(|v| *v <= x).clamp(1, N_LEVELS - 1);
        let (low, high) = (self.values[i - 1], self.values[i]);
        let part = if high > low { (x - low) / (high - low) } else { 1.0 };
        1.0 - (LEVELS[i - 1] + part * (LEVELS[i] - LEVELS[i - 1])).clamp(LEAST_TAIL, 1.0 - LEAST_TAIL)
    }

    /// The mean of the values of both at each level, with weight `w` in `[0, 1]` on `other`: averaging
    /// quantile functions (Vincentisation) keeps their order.
    pub fn blend(&self, other: &Quantiles, w: f64) -> Quantiles {
        let mean = |i: usize| (1.0 - w) * self.values[i] + w * other.values[i];
        Quantiles { values: std::array::from_fn(mean) }
    }

    /// The distribution of the sum with an independent `other`: each taken as 16 values with the probabilities around its
    /// levels, so that the tails of the sum are those of 256 values.
    pub fn plus(&self, other: &Quantiles) -> Quantiles {
        for (certain, uncertain) in [(self, other), (other, self)] {
            if certain.values[0] == certain.values[N_LEVELS - 1] {
                return uncertain.map(|v| v + certain.values[0]);
            }
        }
        let mut sums = [(0.0, 0.0); N_LEVELS * N_LEVELS];
        for (i, sum) in sums.iter_mut().enumerate() {
            let (a, b) = (i / N_LEVELS, i % N_LEVELS);
            *sum = (self.values[a] + other.values[b], weight(a) * weight(b));
        }
        sums.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        Quantiles::of_weighted(&sums)
    }

    /// From ascending values with weights that sum to 1, each of which stands for the middle of its weight; linear between
    /// them. `sorted` must not be empty.
    pub fn of_weighted(sorted: &[(f64, f64)]) -> Quantiles {
        let (mut below, mut i) = (0.0, 0);
        let values = LEVELS.map(|level| {
            while i + 1 < sorted.len() && below + sorted[i].1 + sorted[i + 1].1 / 2.0 < level {
                below += sorted[i].1;
                i += 1;
            }
            let (value, weight) = sorted[i];
            let Some((next, its)) = sorted.get(i + 1) else { return value };
            let part = (level - below - weight / 2.0) / ((weight + its) / 2.0).max(1e-12);
            value + part.clamp(0.0, 1.0) * (next - value)
        });
        Quantiles::new(values)
    }

    /// The greater of both at each level: what is not exceeded by whichever is greater, if they rise and fall together.
    pub fn or(&self, other: &Quantiles) -> Quantiles {
        Quantiles { values: std::array::from_fn(|i| self.values[i].max(other.values[i])) }
    }

    /// Mean pinball loss over the levels once `outcome` is known, in the unit of the values.
    pub fn loss(&self, outcome: f64) -> f64 {
        LEVELS.iter().zip(&self.values).map(|(q, v)| pinball(*q, *v, outcome)).sum::<f64>() / N_LEVELS as f64
    }
}

/// The probability that level `i` of [`LEVELS`] stands for: half the way to both neighbours. They sum to 1.
pub fn weight(i: usize) -> f64 {
    let low = if i == 0 { 0.0 } else { (LEVELS[i - 1] + LEVELS[i]) / 2.0 };
    let high = if i + 1 == N_LEVELS { 1.0 } else { (LEVELS[i] + LEVELS[i + 1]) / 2.0 };
    high - low
}

/// Pinball loss of quantile `value` at level `q` (Koenker and Bassett 1978): the mean over outcomes is
/// least at the true quantile. At least 0, in the unit of the values.
pub fn pinball(q: f64, value: f64, outcome: f64) -> f64 {
    let miss = outcome - value;
    (q * miss).max((q - 1.0) * miss)
}

/// Value at level `q` of ascending `sorted`, not empty: position `(n + 1)·q`, linear between neighbours,
/// the outermost beyond them (Hyndman and Fan 1996, type 6).
pub fn of_sorted(sorted: &[f64], q: f64) -> f64 {
    let n = sorted.len() as f64;
    let at = ((n + 1.0) * q - 1.0).clamp(0.0, n - 1.0);
    let (low, part) = (at as usize, at.fract());
    sorted[low] + part * (sorted[(low + 1).min(sorted.len() - 1)] - sorted[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_between_and_beyond_levels() {
        let ramp = Quantiles::new(LEVELS.map(|q| 100.0 * q));
        for (q, value) in [(0.5, 50.0), (0.65, 65.0), (0.001, 0.1), (0.999, 99.9), (1.0, 99.95)] {
            assert!((ramp.at(q) - value).abs() < 1e-9, "{q}");
        }
        assert_eq!(Quantiles::certain(7.0).at(0.99), 7.0);
        for (x, p) in [(50.0, 0.5), (60.0, 0.4), (0.04, 1.0), (99.9, 0.001), (200.0, 0.0)] {
            assert!((ramp.above(x) - p).abs() < 1e-9, "{x}");
        }
        assert_eq!(Quantiles::certain(7.0).above(7.0), 0.0);
        assert_eq!(Quantiles::certain(7.0).above(6.9), 1.0);
    }

    #[test]
    fn sums_of_independent_values() {
        let normal = |mean: f64, deviation: f64| Quantiles::new(NORMAL.map(|z| mean + deviation * z));
        let sum = normal(10.0, 3.0).plus(&normal(100.0, 4.0));
        for q in [0.05, 0.1, 0.5, 0.9, 0.95] {
            assert!((sum.at(q) - normal(110.0, 5.0).at(q)).abs() < 0.4, "{q}: {}", sum.at(q));
        }
        assert_eq!(normal(1.0, 2.0).plus(&Quantiles::certain(4.0)), normal(1.0, 2.0).map(|v| v + 4.0));
        assert_eq!(Quantiles::certain(5.0).plus(&Quantiles::certain(0.0)), Quantiles::certain(5.0));
        assert!(((0..N_LEVELS).map(weight).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(normal(0.0, 1.0).or(&Quantiles::certain(0.0)).values()[..8], [0.0; 8]);
    }

    #[test]
    fn sorts_what_crosses() {
        let crossed = Quantiles::new(std::array::from_fn(|i| -(i as f64)));
        assert!(crossed.values().windows(2).all(|w| w[0] <= w[1]));
    }

    #[test]
    fn pinball_charges_the_costly_side() {
        assert_eq!(pinball(0.9, 10.0, 20.0), 9.0);
        assert!((pinball(0.9, 20.0, 10.0) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn quantile_of_few_values() {
        let v = [1.0, 2.0, 4.0];
        for (q, value) in [(0.5, 2.0), (0.25, 1.0), (0.01, 1.0), (0.99, 4.0), (0.625, 3.0)] {
            assert_eq!(of_sorted(&v, q), value, "{q}");
        }
    }
}
