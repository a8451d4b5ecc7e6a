//! Exponential smoothing with additive errors: ETS(A,N,N), ETS(A,A,N) and ETS(A,Ad,N), the best by AICc.
//!
//! ```text
//! ŷ(t+1) = l + φ·b        e = y − ŷ
//! l ← l + φ·b + α·e       b ← φ·b + β·e       ŷ(t+h) = l + (φ + φ² + … + φʰ)·b
//! ```
//!
//! Hyndman, Koehler, Ord and Snyder, *Forecasting with Exponential Smoothing* (2008), chapters 2 and 5. The errors are
//! linear in the first state, so for given `α, β, φ` the best first state is a regression and only these three are
//! searched (section 5.1 of the book seeds a heuristic and searches all five; this is exact and a third of the cost).
//! `augurs` has the same models; it keeps states and parameters to itself, so a new value would need a new fit.
//!
//! A gap moves the state on by its own forecast: no error, nothing learnt.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::members::search::Search;
use crate::forecast::members::spread::{Course, Path};

/// Most values fitted to, and fewest. Our choice: ten hours of minutes, since the level before that says nothing; and
/// four values per parameter and state.
const WINDOW: usize = 600;
const LEAST: usize = 20;
/// Evaluations of the search per model.
const CALLS: usize = 120;
/// Usual bounds of the book, section 5.1 and of R's `ets`.
const ALPHA: (f64, f64) = (1e-4, 0.9999);
const PHI: (f64, f64) = (0.8, 0.98);

//----------- Ets ------------------------------------------------------------

/// Which trends are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ets {
    /// The best of none, linear and damped by AICc.
    Auto,
    /// Level alone: simple exponential smoothing.
    Level,
    /// Holt's linear trend.
    Linear,
    /// Damped trend (Gardner and McKenzie 1985).
    Damped,
}

/// Parameters, and the state before the first value it was fitted to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FittedEts {
    /// Weight of an error in the level, in `(0, 1)`.
    pub alpha: f64,
    /// Weight of an error in the trend, in `[0, α]`; 0 without a trend.
    pub beta: f64,
    /// Damping per step, 1 for a linear trend, 0 without a trend.
    pub phi: f64,
    /// Sum of squared errors over the values fitted to, in squared units of the series.
    pub squares: f64,
    /// Corrected Akaike criterion, up to what all models of the same values have in common.
    pub aicc: f64,
    first: State,
}

/// Level and trend, in the unit of the series.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State {
    /// `l`
    pub level: f64,
    /// `b`, per step
    pub trend: f64,
}

impl FittedEts {
    /// Takes in one value; `None` is a gap.
    pub fn take(&self, s: &mut State, value: Option<f64>) {
        let said = s.level + self.phi * s.trend;
        let e = value.map_or(0.0, |y| y - said);
        *s = State { level: said + self.alpha * e, trend: self.phi * s.trend + self.beta * e };
    }

    /// The value `lead` steps on.
    pub fn value(&self, s: State, lead: usize) -> f64 {
        let damped = match self.phi {
            1.0 => lead as f64,
            phi => phi * (1.0 - phi.powi(lead as i32)) / (1.0 - phi),
        };
        s.level + damped * s.trend
    }

    /// The state after `values`, which it was fitted to; gaps are NaN.
    pub fn after(&self, values: &[f64]) -> State {
        let mut state = self.first;
        values.iter().for_each(|v| self.take(&mut state, Some(*v).filter(|v| v.is_finite())));
        state
    }
}

impl Ets {
    /// Fits to all of `values`; NaN is a gap. `None` for fewer than 20 known ones.
    pub fn fit_values(self, values: &[f64]) -> Option<FittedEts> {
        let n = values.iter().filter(|v| v.is_finite()).count();
        if n < LEAST {
            return None;
        }
        let kinds: &[Ets] = if self == Ets::Auto { &[Ets::Level, Ets::Linear, Ets::Damped] } else { &[self] };
        let fits = kinds.iter().map(|kind| kind.fit_one(values, n));
        fits.min_by(|a, b| a.aicc.total_cmp(&b.aicc))
    }

    fn fit_one(self, values: &[f64], n: usize) -> FittedEts {
        // β is searched as a share of α, so that it never exceeds it.
        let (start, reach, bounds): (&[f64], &[f64], &[(f64, f64)]) = match self {
            Ets::Level => (&[0.5], &[0.3], &[ALPHA]),
            Ets::Linear => (&[0.5, 0.1], &[0.3, 0.1], &[ALPHA, (1e-4, 1.0)]),
            Ets::Damped | Ets::Auto => (&[0.5, 0.1, 0.95], &[0.3, 0.1, -0.08], &[ALPHA, (1e-4, 1.0), PHI]),
        };
        let of = |x: &[f64]| {
            let beta = x.get(1).map_or(0.0, |share| share * x[0]);
            let phi = x.get(2).copied().unwrap_or(if x.len() == 2 { 1.0 } else { 0.0 });
            (x[0], beta, phi)
        };
        let search = Search { most_calls: CALLS, tolerance: 1e-7 };
        let (x, _) = search.least(start, reach, bounds, |x| concentrated(of(x), values).0);
        let (alpha, beta, phi) = of(&x);
        let (squares, first) = concentrated((alpha, beta, phi), values);
        // Parameters, first states and the variance.
        let k = match self {
            Ets::Level => 3.0,
            Ets::Linear => 5.0,
            Ets::Damped | Ets::Auto => 6.0,
        };
        let n = n as f64;
        let aicc = n * (squares / n + f64::MIN_POSITIVE).ln() + 2.0 * k + 2.0 * k * (k + 1.0) / (n - k - 1.0);
        FittedEts { alpha, beta, phi, squares, aicc, first }
    }
}

/// Least sum of squares over the first state, and that state. `e(t) = e₀(t) − g(t)·x` for the first state `x`: one pass
/// runs the values from state 0 and the two sensitivities beside them.
fn concentrated((alpha, beta, phi): (f64, f64, f64), values: &[f64]) -> (f64, State) {
    let (mut l, mut b) = ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]);
    let (mut a, mut r, mut e2) = ([0.0; 3], [0.0; 2], 0.0);
    for y in values {
        let said: [f64; 3] = std::array::from_fn(|i| l[i] + phi * b[i]);
        let e = if y.is_finite() { [y - said[0], -said[1], -said[2]] } else { [0.0; 3] };
        for i in 0..3 {
            l[i] = said[i] + alpha * e[i];
            b[i] = phi * b[i] + beta * e[i];
        }
        e2 += e[0] * e[0];
        a = [a[0] + e[1] * e[1], a[1] + e[1] * e[2], a[2] + e[2] * e[2]];
        r = [r[0] - e[0] * e[1], r[1] - e[0] * e[2]];
    }
    let trendless = phi == 0.0;
    let det = a[0] * a[2] - a[1] * a[1];
    let x = match trendless || det <= 1e-12 * a[0] * a[2] {
        true => [if a[0] > 0.0 { r[0] / a[0] } else { 0.0 }, 0.0],
        false => [(a[2] * r[0] - a[1] * r[1]) / det, (a[0] * r[1] - a[1] * r[0]) / det],
    };
    let squares = e2 - x[0] * r[0] - x[1] * r[1];
    (squares.max(0.0), State { level: x[0], trend: x[1] })
}

//----------- As a member ----------------------------------------------------

impl Course for Ets {
    type Path = FittedEts;

    fn name(&self) -> &'static str {
        match self {
            Ets::Auto => "ets",
            Ets::Level => "smoothing",
            Ets::Linear => "holt",
            Ets::Damped => "damped trend",
        }
    }

    /// Fits to the last 600 values. `None` for fewer than 20.
    fn path(&self, h: &History, _: &Known) -> Option<FittedEts> {
        self.fit_values(&known_values(h, WINDOW))
    }
}

impl Path for FittedEts {
    type State = State;

    /// At the least `α` that is chosen on traffic (0.05) the first value counts 2·10⁻⁷.
    const WARM_UP: usize = 300;

    fn start(&self, h: &History, t: usize) -> State {
        State { level: h.y(t), trend: 0.0 }
    }

    fn step(&self, state: &mut State, h: &History, t: usize) {
        self.take(state, h.known(t).then(|| h.y(t)));
    }

    fn ahead(&self, state: &State, _: &History, _: &Known, _: usize, lead: usize) -> f64 {
        self.value(*state, lead)
    }
}

/// The last `most` values at most, gaps as NaN.
pub fn known_values(h: &History, most: usize) -> Vec<f64> {
    let from = h.begin().max(h.len().saturating_sub(most)).min(h.len());
    (from..h.len()).map(|t| if h.known(t) { h.y(t) } else { f64::NAN }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: α = 0.5 from level 10: 12 gives 11, 13 gives 12.
    #[test]
    fn smooths_as_by_hand() {
        let ses = FittedEts { alpha: 0.5, beta: 0.0, phi: 0.0, squares: 0.0, aicc: 0.0, first: State::default() };
        let mut s = State { level: 10.0, trend: 0.0 };
        [12.0, 13.0].into_iter().for_each(|y| ses.take(&mut s, Some(y)));
        assert_eq!(ses.value(s, 7), 12.0);
        ses.take(&mut s, None);
        assert_eq!(s.level, 12.0, "a gap teaches nothing");
    }

    #[test]
    fn damped_trend_sums_its_powers() {
        let damped = FittedEts { alpha: 0.5, beta: 0.1, phi: 0.9, squares: 0.0, aicc: 0.0, first: State::default() };
        let s = State { level: 5.0, trend: 2.0 };
        assert!((damped.value(s, 3) - (5.0 + 2.0 * (0.9 + 0.81 + 0.729))).abs() < 1e-12);
    }

    /// A straight line is Holt's, without error, wherever it starts.
    #[test]
    fn a_line_is_followed_exactly() {
        let line: Vec<f64> = (0..60).map(|i| 7.0 + 3.0 * f64::from(i)).collect();
        let fitted = Ets::Linear.fit_values(&line).unwrap();
        assert!(fitted.squares < 1e-9, "{fitted:?}");
        assert!((fitted.value(fitted.after(&line), 4) - (7.0 + 3.0 * 63.0)).abs() < 1e-6);
    }

    #[test]
    fn noise_about_a_level_needs_no_trend() {
        let values: Vec<f64> = (0..200u32).map(|i| f64::from(i.wrapping_mul(2_654_435_761) >> 16) / 65536.0).collect();
        let fitted = Ets::Auto.fit_values(&values).unwrap();
        assert!(fitted.phi == 0.0 && fitted.alpha < 0.2, "{fitted:?}");
    }
}
