//! A predictive distribution, held as values at fixed levels.

/// The levels at which distributions are held: the probability that the outcome is not above.
pub const LEVELS: [f64; 11] = [0.01, 0.05, 0.10, 0.25, 0.50, 0.75, 0.90, 0.95, 0.98, 0.99, 0.995];

/// The standard normal quantile at each of [`LEVELS`].
pub const NORMAL: [f64; 11] = [-2.3263, -1.6449, -1.2816, -0.6745, 0.0, 0.6745, 1.2816, 1.6449, 2.0537, 2.3263, 2.5758];

/// A distribution of one value to come. Values ascend with the level and are finite, from 0 on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    values: [f64; LEVELS.len()],
}

impl Quantiles {
    /// From values at [`LEVELS`]; sorted, with what is negative or not a number taken as 0.
    pub fn new(mut values: [f64; LEVELS.len()]) -> Quantiles {
        for v in &mut values {
            *v = if v.is_finite() { v.max(0.0) } else { 0.0 };
        }
        values.sort_unstable_by(f64::total_cmp);
        Quantiles { values }
    }

    /// The same value at every level.
    pub fn certain(value: f64) -> Quantiles {
        Quantiles::new([value; LEVELS.len()])
    }

    /// The value that is not exceeded with probability `q`, linear between levels; below the first and
    /// above the last level, the value there.
    pub fn at(&self, q: f64) -> f64 {
        let above = LEVELS.partition_point(|level| *level < q);
        match above {
            0 => self.values[0],
            n if n == LEVELS.len() => self.values[n - 1],
            n => {
                let part = (q - LEVELS[n - 1]) / (LEVELS[n] - LEVELS[n - 1]);
                self.values[n - 1] + part * (self.values[n] - self.values[n - 1])
            }
        }
    }

    /// The probability that the outcome is above `x`, linear between levels. Outside the levels it is
    /// 1 below the first value, and half of what the last level leaves up to as far above the last value
    /// as that is above the median, 0 beyond.
    pub fn above(&self, x: f64) -> f64 {
        let n = self.values.partition_point(|v| *v <= x);
        if n == 0 {
            return 1.0;
        }
        let last = self.values[LEVELS.len() - 1];
        if n == LEVELS.len() {
            return if x < last + (last - self.at(0.5)) { (1.0 - LEVELS[n - 1]) / 2.0 } else { 0.0 };
        }
        let part = (x - self.values[n - 1]) / (self.values[n] - self.values[n - 1]);
        1.0 - (LEVELS[n - 1] + part * (LEVELS[n] - LEVELS[n - 1]))
    }

    /// The values at [`LEVELS`].
    pub fn values(&self) -> &[f64; LEVELS.len()] {
        &self.values
    }
}

/// Pinball loss of quantile `value` at level `q` once `outcome` is known (Koenker and Bassett 1978): the
/// mean over outcomes is least at the true quantile. At least 0, in the unit of the values.
pub fn pinball(q: f64, value: f64, outcome: f64) -> f64 {
    let miss = outcome - value;
    (q * miss).max((q - 1.0) * miss)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Quantiles {
        Quantiles::new(LEVELS.map(|q| 100.0 * q))
    }

    #[test]
    fn reads_between_levels() {
        for (q, value) in [(0.5, 50.0), (0.6, 60.0), (0.001, 1.0), (0.9999, 99.5)] {
            assert!((ramp().at(q) - value).abs() < 1e-9, "{q}");
        }
        for (x, p) in [(50.0, 0.5), (60.0, 0.4), (0.5, 1.0), (120.0, 0.0025), (200.0, 0.0)] {
            assert!((ramp().above(x) - p).abs() < 1e-9, "{x}");
        }
        assert_eq!(Quantiles::certain(7.0).above(7.0), 0.0);
        assert_eq!(Quantiles::certain(7.0).above(6.9), 1.0);
    }

    #[test]
    fn pinball_charges_the_costly_side() {
        assert_eq!(pinball(0.9, 10.0, 20.0), 9.0);
        assert!((pinball(0.9, 20.0, 10.0) - 1.0).abs() < 1e-12);
        assert_eq!(pinball(0.5, 3.0, 3.0), 0.0);
    }
}
