//! The dynamic optimised theta method: smoothing of the level plus a share of a trend line that is fitted anew at
//! every step.
//!
//! ```text
//! ŷ(t+1) = l + (1 − 1/θ)·D        D = (1−α)ᵗ·A + (1 − (1−α)ᵗ⁺¹)/α·B
//! l ← α·y + (1−α)·l               A, B: intercept and slope of the least-squares line through y(1…t)
//! ```
//!
//! Fiorucci, Pellegrini, Louzada, Petropoulos and Koehler 2016, *Models for optimising the theta method and their
//! relationship to state space models*, equations 12–17 (DOTM); Assimakopoulos and Nikolopoulos 2000 for the method.
//! For given `α` the errors are linear in the first level and in `ω = 1 − 1/θ`, so these two are a regression and only `α`
//! is searched. `t` counts from the start of a window of the last 600 values: the line through all of a long
//! series is flat.
//!
//! A gap takes the value forecast for it.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::members::ets::known_values;
use crate::forecast::members::search::Search;
use crate::forecast::members::spread::{Course, Path};

/// Values fitted to and run through for a state; fewest. Our choice, as [`Ets`](super::ets::Ets).
const WINDOW: usize = 600;
const LEAST: usize = 20;
/// Bounds of `α`, and the values tried before the search, as in R's `forecTheta`.
const ALPHA: (f64, f64) = (0.1, 0.99);
const TRIED: [f64; 6] = [0.1, 0.25, 0.45, 0.65, 0.85, 0.99];
/// Errors left out of the sum: the line needs two values.
const SKIPPED: usize = 3;

/// The method; it has no settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theta;

/// Its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedTheta {
    /// Weight of the newest value in the level, in `[0.1, 0.99]`.
    pub alpha: f64,
    /// `1 − 1/θ` in `[0, 1]`: share of the line's slope that is carried on; 0.5 for the classic `θ = 2`.
    pub omega: f64,
    /// The level before the first value fitted to.
    pub first: f64,
}

/// Level, mean and line after `t` values.
#[derive(Clone, Copy, Debug)]
pub struct State {
    t: f64,
    level: f64,
    mean: f64,
    intercept: f64,
    slope: f64,
    /// `(1−α)ᵗ`
    decay: f64,
}

impl State {
    fn new(level: f64) -> State {
        State { t: 0.0, level, mean: 0.0, intercept: 0.0, slope: 0.0, decay: 1.0 }
    }

    /// `D`: how far the line leads on from the level.
    fn line(&self, alpha: f64) -> f64 {
        self.decay * self.intercept + (1.0 - self.decay * (1.0 - alpha)) / alpha * self.slope
    }

    fn step(&mut self, y: f64, alpha: f64) {
        self.t += 1.0;
        let t = self.t;
        let miss = y - self.mean;
        self.slope = if t < 2.0 { 0.0 } else { ((t - 2.0) * self.slope + 6.0 * miss / t) / (t + 1.0) };
        self.mean += miss / t;
        self.intercept = self.mean - self.slope * (t + 1.0) / 2.0;
        self.level += alpha * (y - self.level);
        self.decay *= 1.0 - alpha;
    }
}

impl FittedTheta {
    fn said(&self, s: &State) -> f64 {
        s.level + if s.t < 2.0 { 0.0 } else { self.omega * s.line(self.alpha) }
    }

    fn observe(&self, s: &mut State, value: Option<f64>) {
        let y = value.unwrap_or_else(|| self.said(s));
        s.step(y, self.alpha);
    }

    /// The model is run on over its own forecasts.
    fn value(&self, mut s: State, lead: usize) -> f64 {
        for _ in 1..lead {
            let said = self.said(&s);
            s.step(said, self.alpha);
        }
        self.said(&s)
    }

    /// The forecast `lead` steps behind `values`, which it was fitted to; gaps are NaN.
    pub fn after(&self, values: &[f64], lead: usize) -> f64 {
        let mut state = State::new(self.first);
        values.iter().for_each(|v| self.observe(&mut state, Some(*v).filter(|v| v.is_finite())));
        self.value(state, lead)
    }
}

impl Theta {
    /// Fits to all of `values`; NaN is a gap. `None` for fewer than 20 known ones.
    pub fn fit_values(self, values: &[f64]) -> Option<FittedTheta> {
        if values.iter().filter(|v| v.is_finite()).count() < LEAST {
            return None;
        }
        let squares = |alpha: f64| regression(alpha, values).0;
        let tried = TRIED.map(|alpha| (alpha, squares(alpha)));
        let best = tried.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("some are tried").0;
        let search = Search { most_calls: 40, tolerance: 1e-9 };
        let (alpha, _) = search.least(&[best], &[0.08], &[ALPHA], |x| squares(x[0]));
        let (_, omega, first) = regression(alpha[0], values);
        Some(FittedTheta { alpha: alpha[0], omega, first })
    }
}

/// Least sum of squares for `alpha`, with the `ω` and first level that reach it:
/// `y(t) − l₀(t) = (1−α)ᵗ⁻¹·first + ω·D(t)`, `l₀` being the level from first 0.
fn regression(alpha: f64, values: &[f64]) -> (f64, f64, f64) {
    let mut s = State::new(0.0);
    let (mut gg, mut gd, mut dd, mut gz, mut dz, mut zz) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0);
    for (i, y) in values.iter().enumerate() {
        // The share of the classic method stands in for gaps while ω is not known yet.
        let (g, d) = (s.decay, s.line(alpha));
        let y = if y.is_finite() { *y } else { s.level + 0.5 * d };
        if i >= SKIPPED && y.is_finite() {
            let z = y - s.level;
            (gg, gd, dd) = (gg + g * g, gd + g * d, dd + d * d);
            (gz, dz, zz) = (gz + g * z, dz + d * z, zz + z * z);
        }
        s.step(y, alpha);
    }
    let det = gg * dd - gd * gd;
    let mut omega = if det > 1e-12 * gg * dd { (gg * dz - gd * gz) / det } else { 0.5 };
    omega = omega.clamp(0.0, 1.0);
    let first = if gg > 0.0 { (gz - omega * gd) / gg } else { 0.0 };
    let squares =
        zz - 2.0 * (first * gz + omega * dz) + first * first * gg + 2.0 * first * omega * gd + omega * omega * dd;
    (squares.max(0.0), omega, first)
}

//----------- As a member ----------------------------------------------------

impl Course for Theta {
    type Path = FittedTheta;

    fn name(&self) -> &'static str {
        "theta"
    }

    /// Fits to the last 600 values. `None` for fewer than 20.
    fn path(&self, h: &History, _: &Known) -> Option<FittedTheta> {
        self.fit_values(&known_values(h, WINDOW))
    }
}

impl Path for FittedTheta {
    type State = State;
    const WARM_UP: usize = WINDOW;

    fn start(&self, h: &History, t: usize) -> State {
        State::new(h.y(t))
    }

    /// A line that spans one and a half windows is begun anew.
    fn step(&self, state: &mut State, h: &History, t: usize) {
        if state.t > 1.5 * WINDOW as f64 {
            *state = State::new(h.y(t - WINDOW));
            (t - WINDOW..t).for_each(|t| self.observe(state, h.known(t).then(|| h.y(t))));
        }
        self.observe(state, h.known(t).then(|| h.y(t)));
    }

    fn ahead(&self, state: &State, _: &History, _: &Known, _: usize, lead: usize) -> f64 {
        self.value(*state, lead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The recursions for `A` and `B` are the least-squares line.
    #[test]
    fn the_line_is_that_of_least_squares() {
        let values = [3.0, 5.0, 4.0, 8.0, 9.0];
        let mut s = State::new(0.0);
        values.into_iter().for_each(|y| s.step(y, 0.3));
        // By hand: mean 5.8 at t = 3, slope Σ(t−3)(y−5.8)/10 = (5.6 + 0.8 + 2.2 + 6.4)/10.
        assert!((s.slope - 1.5).abs() < 1e-12, "{s:?}");
        assert!((s.intercept - (5.8 - 4.5)).abs() < 1e-12);
    }

    /// For a line with ω = ½ (θ = 2) the method drifts on with about half the slope, as simple exponential smoothing with
    /// drift (Hyndman and Billah 2003).
    #[test]
    fn half_the_slope_is_carried_on() {
        let line: Vec<f64> = (0..200).map(f64::from).collect();
        let fitted = FittedTheta { alpha: 0.5, omega: 0.5, first: 0.0 };
        let (one, two) = (fitted.after(&line, 10), fitted.after(&line, 11));
        assert!((two - one - 0.5).abs() < 0.02, "{}", two - one);
    }

    #[test]
    fn a_line_wants_all_of_its_slope() {
        let line: Vec<f64> = (0..200).map(|i| 5.0 * f64::from(i)).collect();
        let fitted = Theta.fit_values(&line).unwrap();
        assert!(fitted.omega > 0.98, "{fitted:?}");
        assert!((fitted.after(&line, 1) - 1000.0).abs() < 5.0, "{}", fitted.after(&line, 1));
    }
}
