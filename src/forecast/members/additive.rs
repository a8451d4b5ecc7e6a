//! An additive model of trend, seasons and known events, with errors that fade.
//!
//! ```text
//! y(t) = g(t) + r(t)
//! g(t) = a + b·t + Σ dⱼ·max(0, t − sⱼ) + Σ Fourier terms of day and week + Σ effects of regressors
//! r(t) = φ·r(t−1) + θ·e(t−1) + e(t)
//! ```
//!
//! `g` is the model of Taylor and Letham (2018), *Forecasting at Scale* (Prophet), sections 3.1–3.3: a line that may bend at
//! evenly placed points, seasons as Fourier series, holidays as regressors. Its priors are normal here, so that the whole fit is
//! one regularised least squares in place of a search by Stan. `r`, which the paper leaves as noise, is what makes it
//! of use for the next half hour: regression with ARMA errors (Hyndman and Athanasopoulos 2021, chapter 10).
//!
//! Gaps are left out of the regression and are no observations of `r`.

use crate::forecast::history::{DAY, History};
use crate::forecast::known::Known;
use crate::forecast::members::arima::{Arima, FittedArima, Order, State};
use crate::forecast::members::spread::{Course, Path};
use crate::forecast::solve::solve;
use std::f64::consts::TAU;

/// Days fitted to, where a step is up to five minutes and where it is longer, and the most values of them, evenly taken. As
/// the benchmark gives Prophet.
const DAYS: usize = 14;
const DAYS_OF_COARSE: usize = 90;
const MOST: usize = 2000;
/// Least days of history, so that the day is not mistaken for a trend.
const LEAST_DAYS: usize = 2;
/// Waves per day and per week: Prophet's 4, and 6 for a week in place of its 3, since weekends begin within hours.
const DAILY: usize = 4;
const WEEKLY: usize = 6;
/// Bends of the trend, evenly over the first 90 %. Prophet has 25 over 80 %, for years.
const BENDS: usize = 10;
const BENT: f64 = 0.9;
/// Deviations of the priors, in deviations of the series (and of its trend over all of the window): bends, all else, with
/// errors of about a third. Our choice, near Prophet's 0.05 (of a Laplace) and 10.
const BEND_PRIOR: f64 = 0.3;
const OTHER_PRIOR: f64 = 10.0;
const ERROR: f64 = 0.3;
/// Values from which the errors' model is made, and steps from which its state is.
const ERRORS: usize = 600;
const WARM_UP: usize = 60;

/// The method; it has no settings. Regressors come with the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Additive;

/// Coefficients of `g` and the model of `r`.
#[derive(Clone, Debug)]
pub struct FittedAdditive {
    /// The first step fitted to, and the steps from there to the end of the fit.
    begin: usize,
    span: f64,
    weekly: bool,
    /// In the unit of the series, in the order of [`basis`].
    weights: Vec<f64>,
    /// Name and effect per unit of each regressor that was seen.
    effects: Vec<(String, f64)>,
    errors: FittedArima,
}

/// The terms of `g` that need no calendar, at a time of the window in `[0, 1]` (beyond it, after the fit).
fn basis(at: f64, secs: i64, weekly: bool, out: &mut Vec<f64>) {
    out.extend([1.0, at]);
    out.extend((1..=BENDS).map(|j| (at - BENT * j as f64 / (BENDS + 1) as f64).max(0.0)));
    let mut waves = |cycle: i64, count: usize| {
        let turn = TAU * secs.rem_euclid(cycle) as f64 / cycle as f64;
        out.extend((1..=count).flat_map(|k| [(k as f64 * turn).sin(), (k as f64 * turn).cos()]));
    };
    waves(i64::from(DAY), DAILY);
    if weekly {
        waves(7 * i64::from(DAY), WEEKLY);
    }
}

impl FittedAdditive {
    /// `g` without regressors.
    fn plain(&self, h: &History, t: usize) -> f64 {
        let mut row = Vec::with_capacity(self.weights.len());
        basis((t as f64 - self.begin as f64) / self.span, h.wall_secs(t), self.weekly, &mut row);
        row.iter().zip(&self.weights).map(|(x, w)| x * w).sum()
    }

    /// What regressors add at step `t`.
    fn events(&self, h: &History, known: &Known, t: usize) -> f64 {
        let effect = |name: &str| self.effects.iter().find(|(n, _)| n == name).map_or(0.0, |(_, e)| *e);
        known.regressors.iter().map(|r| r.at(h.secs(t)) * effect(&r.name)).sum()
    }
}

impl Course for Additive {
    type Path = FittedAdditive;

    fn name(&self) -> &'static str {
        "additive"
    }

    /// `None` for a series younger than two days.
    fn path(&self, h: &History, known: &Known) -> Option<FittedAdditive> {
        let (n, day) = (h.len(), h.day.len);
        let days = if h.step_secs <= 300 { DAYS } else { DAYS_OF_COARSE };
        let begin = h.begin().max(n.saturating_sub(days * day));
        let length = n - begin;
        if length < (LEAST_DAYS * day).max(48) {
            return None;
        }
        let deviation = h.deviation(begin, n);
        if deviation <= 0.0 {
            return None;
        }
        let weekly = length >= 2 * 7 * day;
        let (span, stride) = ((length - 1) as f64, length.div_ceil(MOST));
        let seen = |r: &&_| {
            let r: &crate::forecast::known::Regressor = r;
            r.spans().iter().any(|s| s.from_secs < h.secs(n) && s.until_secs > h.secs(begin))
        };
        let regressors: Vec<_> = known.regressors.iter().filter(seen).collect();

        // Normal equations of y / deviation.
        let mut row = vec![];
        basis(0.0, 0, weekly, &mut row);
        let (plain, p) = (row.len(), row.len() + regressors.len());
        let (mut a, mut b) = (vec![0.0; p * p], vec![0.0; p]);
        let mut last = 0.0;
        for t in (begin..n).rev().step_by(stride).filter(|t| h.known(*t)) {
            row.clear();
            basis((t - begin) as f64 / span, h.wall_secs(t), weekly, &mut row);
            row.extend(regressors.iter().map(|r| r.at(h.secs(t))));
            for i in 0..p {
                (0..=i).for_each(|j| a[i * p + j] += row[i] * row[j]);
                b[i] += row[i] * h.y(t) / deviation;
            }
            last += 1.0;
        }
        if last < p as f64 {
            return None;
        }
        for i in 0..p {
            let prior = if (2..2 + BENDS).contains(&i) { BEND_PRIOR } else { OTHER_PRIOR };
            // The level is as far from the base as it is.
            a[i * p + i] += if i == 0 { 1e-9 } else { (ERROR / prior).powi(2) };
        }
        solve(&mut a, &mut b);
        let mut weights: Vec<f64> = b.iter().map(|w| w * deviation).collect();
        let effects = regressors.iter().map(|r| r.name.clone()).zip(weights.drain(plain..)).collect();
        let errors = FittedArima::default();
        let mut fitted = FittedAdditive { begin, span, weekly, weights, effects, errors };
        let rest: Vec<f64> = (begin.max(n.saturating_sub(ERRORS))..n)
            .map(|t| if h.known(t) { h.y(t) - fitted.plain(h, t) - fitted.events(h, known, t) } else { f64::NAN })
            .collect();
        fitted.errors = Arima::Of(Order { p: 1, d: 0, q: 1 }).fit_values(&rest)?;
        // What g misses on the whole is its own; errors fade to nothing.
        fitted.errors.constant = 0.0;
        Some(fitted)
    }
}

impl Path for FittedAdditive {
    type State = State;
    const WARM_UP: usize = WARM_UP;

    fn start(&self, h: &History, t: usize) -> State {
        self.errors.before(h.y(t) - self.plain(h, t))
    }

    /// Of `r` with the regressors' effects left in it; see [`ahead`](Path::ahead).
    fn step(&self, state: &mut State, h: &History, t: usize) {
        self.errors.take(state, h.known(t).then(|| h.y(t) - self.plain(h, t)));
    }

    fn ahead(&self, state: &State, h: &History, known: &Known, t: usize, lead: usize) -> f64 {
        let rest = match self.effects.is_empty() {
            true => self.errors.value(*state, lead),
            // The calendar may have changed since, so the errors beside it are run through again.
            false => {
                let from = t.saturating_sub(WARM_UP).max(h.begin()).min(t);
                let error = |t: usize| h.y(t) - self.plain(h, t) - self.events(h, known, t);
                let mut state = self.errors.before(error(from));
                (from..=t).for_each(|t| _ = self.errors.take(&mut state, h.known(t).then(|| error(t))));
                self.errors.value(state, lead)
            }
        };
        self.plain(h, t + lead) + self.events(h, known, t + lead) + rest
    }

    fn effects(&self) -> Vec<(String, f64)> {
        self.effects.clone()
    }

    fn size(&self) -> usize {
        self.weights.len() * 8 + self.effects.iter().map(|(n, _)| n.len() + 32).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::known::{Regressor, Span};

    const HOUR: i64 = 3600;

    /// Days of 50 ± 20 with 40 more while a sale is on.
    fn sales(n: usize, sale: &Regressor) -> History {
        let mut h = History::new(0, HOUR as u32);
        for i in 0..n {
            let day = 50.0 + 20.0 * (i as f64 * TAU / 24.0).sin();
            h.push(day + 40.0 * sale.at(i as i64 * HOUR) + (i * i % 7) as f64 * 0.2);
        }
        h
    }

    /// The sale to come is in the forecast before its first hour was seen.
    #[test]
    fn an_announced_event_is_forecast() {
        let span = |from: i64| Span { from_secs: from * HOUR, until_secs: (from + 5) * HOUR, value: 1.0 };
        let known =
            Known { regressors: vec![Regressor::new("sale", vec![span(100), span(220), span(300), span(402)])] };
        let h = sales(400, &known.regressors[0]);
        let fitted = Additive.path(&h, &known).unwrap();
        let effect = fitted.effects()[0].1;
        assert!((effect - 40.0).abs() < 3.0, "{effect}");
        let state = fitted.start(&h, 399);
        let jump = fitted.ahead(&state, &h, &known, 399, 3) - fitted.ahead(&state, &h, &known, 399, 2);
        let unannounced = fitted.ahead(&state, &h, Known::NOTHING, 399, 3);
        assert!(jump > 30.0 && unannounced < fitted.ahead(&state, &h, &known, 399, 3) - 30.0, "{jump}");
    }

    #[test]
    fn a_bend_in_the_trend_is_followed() {
        let mut h = History::new(0, 300);
        (0..288 * 10).for_each(|i: i32| h.push(f64::from(i.max(1500) - 1500) * 0.1 + f64::from(i * 7919 % 13)));
        let fitted = Additive.path(&h, Known::NOTHING).unwrap();
        let slope = (fitted.plain(&h, 2879 + 288) - fitted.plain(&h, 2879)) / 288.0;
        assert!((slope - 0.1).abs() < 0.02, "{slope}");
    }

    #[test]
    fn the_young_and_the_constant_have_none() {
        let mut h = History::new(0, 300);
        assert!(Additive.path(&h, Known::NOTHING).is_none());
        (0..2000).for_each(|_| h.push(4.0));
        assert!(Additive.path(&h, Known::NOTHING).is_none());
    }
}
