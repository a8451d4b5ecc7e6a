//! Means over seeds, with intervals.

use crate::sim::rng::Rng;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 2_000;

/// A mean and where 95 % of resampled means lie (Efron 1979, percentile interval).
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Lower and upper end.
    pub low: f64,
    /// See `low`.
    pub high: f64,
}

/// Mean and interval of values, one per seed; all 0 without any. The same values give the same interval.
pub fn mean(values: &[f64]) -> Mean {
    let n = values.len();
    if n == 0 {
        return Mean::default();
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Mean { mean, low: mean, high: mean };
    }
    let mut rng = Rng::new(n as u64, "bootstrap");
    let mut resample = || (0..n).map(|_| values[rng.below(n)]).sum::<f64>() / n as f64;
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resample()).collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |q: f64| means[(q * (RESAMPLES - 1) as f64).round() as usize];
    Mean { mean, low: at(0.025), high: at(0.975) }
}

/// Mean and interval of the differences `a[i] − b[i]` of the same seeds.
pub fn paired(a: &[f64], b: &[f64]) -> Mean {
    mean(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_hold_the_mean_and_pairs_are_tighter() {
        let a: Vec<f64> = (0..20).map(|i| 100.0 + f64::from(i % 7) * 10.0).collect();
        let b: Vec<f64> = a.iter().map(|v| v - 1.0).collect();
        let m = mean(&a);
        assert!(m.low < m.mean && m.mean < m.high && m.high - m.low < 25.0, "{m:?}");
        assert_eq!(m, mean(&a));
        assert_eq!(paired(&a, &b), Mean { mean: 1.0, low: 1.0, high: 1.0 });
        assert_eq!(mean(&[]), Mean::default());
    }
}
