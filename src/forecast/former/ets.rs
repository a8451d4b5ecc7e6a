//! Exponential smoothing with additive errors and damped trend, ETS(A,Ad,N).
//!
//! ```text
//! ŷ(t+1) = l + φ·b        e = y − ŷ
//! l ← l + φ·b + α·e       b ← φ·b + β·e       ŷ(t+h) = l + (φ + φ² + … + φʰ)·b
//! ```
//!
//! Hyndman, Koehler, Ord and Snyder, *Forecasting with Exponential Smoothing* (2008), section 2.5.
//! `augurs` finds the parameters by maximum likelihood. It keeps them to itself, so they are read back
//! from its one-step forecasts `f`, which obey, with `d(t) = f(t+1) − f(t)`,
//! `d(t) = φ·d(t−1) + (α + φβ)·e(t) − φα·e(t−1)`: a regression without a residue. Between fits the
//! recursion above runs here, one step per observation.

use augurs::ets::model::{ErrorComponent, ModelType, SeasonalComponent, TrendComponent, Unfit};
use augurs::prelude::*;

/// Least observations for a fit: five parameters and states need some multiple. Our choice.
pub const MIN_FIT: usize = 24;
/// Most recent observations used for a fit. Our choice: four hours of minutes; older level says nothing.
pub const MAX_FIT: usize = 240;
/// Bound on the search; a fit of [`MAX_FIT`] values stays near a millisecond.
const MAX_ITERATIONS: usize = 300;

/// What to fit; nothing has been learnt yet.
#[derive(Clone, Copy, Debug, Default)]
pub struct DampedTrend;

/// A fitted model with its present state.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedDampedTrend {
    /// Weight of an error in the level, in `(0, 1)`.
    pub alpha: f64,
    /// Weight of an error in the trend, in `[0, α]`.
    pub beta: f64,
    /// Damping of the trend per step, in `[0.8, 0.98]`.
    pub phi: f64,
    level: f64,
    trend: f64,
}

impl DampedTrend {
    /// Fits to the last [`MAX_FIT`] of `values`, which are finite. `None` for fewer than [`MIN_FIT`] of
    /// them, or when the search fails; a constant series is its own model.
    pub fn fit(self, values: &[f64]) -> Option<FittedDampedTrend> {
        let values = &values[values.len().saturating_sub(MAX_FIT)..];
        if values.len() < MIN_FIT {
            return None;
        }
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let scale = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let last = values[values.len() - 1];
        if scale <= 1e-9 * mean.abs().max(1e-9) {
            return Some(FittedDampedTrend { alpha: 0.5, beta: 0.0, phi: 0.9, level: last, trend: 0.0 });
        }
        // On a standard scale the search does the same steps wherever the series lies.
        let standard: Vec<f64> = values.iter().map(|v| (v - mean) / scale).collect();
        let kind = ModelType {
            error: ErrorComponent::Additive,
            trend: TrendComponent::Additive,
            season: SeasonalComponent::None,
        };
        let model = Unfit::new(kind).damped(true).max_iterations(MAX_ITERATIONS).fit(&standard).ok()?;
        let forecasts = model.predict_in_sample(None).ok()?.point;
        let mut fitted = read_back(&standard, &forecasts)?;
        fitted.level = mean + scale * fitted.level;
        fitted.trend *= scale;
        (fitted.level.is_finite() && fitted.trend.is_finite()).then_some(fitted)
    }
}

/// Parameters and final state from observations and their one-step forecasts.
fn read_back(values: &[f64], forecasts: &[f64]) -> Option<FittedDampedTrend> {
    let n = values.len();
    if forecasts.len() != n || forecasts.iter().any(|f| !f.is_finite()) {
        return None;
    }
    let e: Vec<f64> = values.iter().zip(forecasts).map(|(y, f)| y - f).collect();
    let d = |t: usize| forecasts[t + 1] - forecasts[t];
    // Normal equations of d(t) on [d(t−1), e(t), e(t−1)].
    let mut a = [[0.0; 4]; 3];
    for t in 1..n - 1 {
        let x = [d(t - 1), e[t], e[t - 1]];
        for i in 0..3 {
            for j in 0..3 {
                a[i][j] += x[i] * x[j];
            }
            a[i][3] += x[i] * d(t);
        }
    }
    let [phi, sum, minus_phi_alpha] = solve(a)?;
    let phi = phi.clamp(0.8, 0.98);
    let alpha = (-minus_phi_alpha / phi).clamp(1e-4, 0.9999);
    let beta = ((sum - alpha) / phi).clamp(0.0, alpha);
    // The state after the first observation, then the recursion.
    let level = forecasts[0] + alpha * e[0];
    let mut fitted = FittedDampedTrend { alpha, beta, phi, level, trend: (forecasts[1] - level) / phi };
    for y in &values[1..] {
        fitted.observe(Some(*y));
    }
    Some(fitted)
}

/// Solves three equations by elimination with pivoting; `None` if they do not determine the unknowns.
fn solve(mut a: [[f64; 4]; 3]) -> Option<[f64; 3]> {
    let size = a.iter().flatten().fold(0.0, |m: f64, v| m.max(v.abs()));
    for i in 0..3 {
        let pivot = (i..3).max_by(|p, q| a[*p][i].abs().total_cmp(&a[*q][i].abs()))?;
        a.swap(i, pivot);
        if a[i][i].abs() <= 1e-12 * size {
            return None;
        }
        for r in 0..3 {
            if r != i {
                let f = a[r][i] / a[i][i];
                let row = a[i];
                for (v, p) in a[r].iter_mut().zip(row) {
                    *v -= f * p;
                }
            }
        }
    }
    Some([a[0][3] / a[0][0], a[1][3] / a[1][1], a[2][3] / a[2][2]])
}

impl FittedDampedTrend {
    /// Takes in the next observation; a gap lets the state run on its own.
    pub fn observe(&mut self, value: Option<f64>) {
        let expected = self.level + self.phi * self.trend;
        let error = value.map_or(0.0, |y| y - expected);
        self.level = expected + self.alpha * error;
        self.trend = self.phi * self.trend + self.beta * error;
    }

    /// The forecast `lead ≥ 1` steps ahead.
    pub fn point(&self, lead: usize) -> f64 {
        let sum = self.phi * (1.0 - self.phi.powi(lead as i32)) / (1.0 - self.phi);
        self.level + sum * self.trend
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(n: usize) -> Vec<f64> {
        let (mut state, mut y) = (7u64, 100.0);
        (0..n)
            .map(|i| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                y += (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5 + 0.01 * i as f64;
                y
            })
            .collect()
    }

    /// The parameters are read back from forecasts; with the right ones the recursion repeats them.
    #[test]
    fn the_recursion_repeats_what_augurs_forecast() {
        let values = walk(200);
        let kind = ModelType {
            error: ErrorComponent::Additive,
            trend: TrendComponent::Additive,
            season: SeasonalComponent::None,
        };
        let model = Unfit::new(kind).damped(true).fit(&values).unwrap();
        let forecasts = model.predict_in_sample(None).unwrap().point;
        let mut fitted = read_back(&values[..199], &forecasts[..199]).unwrap();
        assert!((fitted.point(1) - forecasts[199]).abs() < 1e-6 * values[199], "{fitted:?}");
        fitted.observe(Some(values[199]));
        let ahead = model.predict(1, None).unwrap().point[0];
        assert!((fitted.point(1) - ahead).abs() < 1e-6 * values[199]);
    }

    #[test]
    fn a_trend_goes_on_and_is_damped() {
        let line: Vec<f64> = (0..60).map(|i| 10.0 + 2.0 * f64::from(i) + f64::from(i % 3) * 0.1).collect();
        let fitted = DampedTrend.fit(&line).unwrap();
        assert!((fitted.point(1) - 130.0).abs() < 2.0, "{}", fitted.point(1));
        assert!(fitted.point(30) > fitted.point(10) && fitted.point(30) < 190.0);
    }

    #[test]
    fn too_little_is_no_model_and_a_constant_is_one() {
        assert_eq!(DampedTrend.fit(&walk(MIN_FIT - 1)), None);
        let flat = DampedTrend.fit(&[5.0; 40]).unwrap();
        assert_eq!(flat.point(30), 5.0);
        assert_eq!(DampedTrend.fit(&[0.0; 40]).unwrap().point(3), 0.0);
    }
}
