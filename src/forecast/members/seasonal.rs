//! Smoothing of what is left when the season is taken out: the additive method of Holt and Winters, and MSTL with ETS.
//!
//! ```text
//! ŷ(t+h) = ETS of (y − s), h steps on, + s(t+h)
//! ```
//!
//! Both keep the seasonal pattern between fits and let ETS follow what is left, so a new value costs one step of it.
//! They differ in the season: [`HoltWinters`] smooths each phase over cycles (Winters 1960; the chains of
//! [`Season`], whose gain is fixed, averaged over neighbours), [`Mstl`] splits
//! trend and seasons by loess (Cleveland et al. 1990; Bandara, Hyndman and Bergmeir 2021; crate `augurs`).
//!
//! A gap takes the last value known where the season is averaged, and is no observation of ETS.

use crate::forecast::history::{History, Season};
use crate::forecast::known::Known;
use crate::forecast::members::ets::{Ets, FittedEts, State};
use crate::forecast::members::spread::{Course, Path};
use augurs::mstl::stlrs::{MstlParams, StlParams};
use std::sync::Arc;

/// Values that ETS is fitted to. As by itself.
const WINDOW: usize = 600;
/// Neighbours averaged on either side of a phase, as shares of a day: ten minutes.
const REACH: usize = 144;

//----------- HoltWinters ----------------------------------------------------

/// The patterns of day and week smoothed over cycles, and ETS beside them.
///
/// How much of each pattern to take is a regression of hourly changes of the series on those of the patterns, in
/// `[0, 1]`: the pattern of a series without a day is noise, and all of it would be added to the forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HoltWinters;

/// Its parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedHoltWinters {
    /// Share of the day's pattern that is taken.
    pub day: f64,
    /// Share of the week's; 0 for a series younger than two weeks and a half.
    pub week: f64,
    ets: FittedEts,
}

/// A cycle's pattern at step `to`, from values a cycle or more before it, as known at step `now`.
fn pattern(h: &History, season: &Season, to: usize, now: usize) -> f64 {
    let then = h.before(to, season.len * (to - now).div_ceil(season.len).max(1)).clamp(h.first(), now);
    season.smooth(then, h.day.len / REACH, (then + h.day.len / REACH).min(now))
}

impl FittedHoltWinters {
    /// Both patterns at step `to` as known at step `now`.
    fn season(&self, h: &History, to: usize, now: usize) -> f64 {
        let day = if self.day > 0.0 { self.day * pattern(h, &h.day, to, now) } else { 0.0 };
        day + if self.week > 0.0 { self.week * pattern(h, &h.week, to, now) } else { 0.0 }
    }
}

impl Course for HoltWinters {
    type Path = FittedHoltWinters;

    fn name(&self) -> &'static str {
        "holt-winters"
    }

    /// `None` for a series younger than two days.
    fn path(&self, h: &History, _: &Known) -> Option<FittedHoltWinters> {
        let (n, day) = (h.len(), h.day.len);
        if n < h.begin() + 2 * day || day < 4 {
            return None;
        }
        let weekly = 2 * (n - h.begin()) >= 5 * h.week.len;
        let longest = if weekly { h.week.len } else { day };
        let hour = (day / 24).max(1);
        let from = (h.begin() + longest).max(n.saturating_sub(longest.max(4 * day)));
        // Normal equations of the changes over an hour on those of the two patterns.
        let (mut a, mut b) = ([0.0; 3], [0.0; 2]);
        for t in (from + hour..n).step_by((hour / 4).max(1)) {
            let change = |season| pattern(h, season, t, t) - pattern(h, season, t - hour, t - hour);
            let x = [change(&h.day), if weekly { change(&h.week) } else { 0.0 }];
            let y = h.y(t) - h.y(t - hour);
            a = [a[0] + x[0] * x[0], a[1] + x[0] * x[1], a[2] + x[1] * x[1]];
            b = [b[0] + x[0] * y, b[1] + x[1] * y];
        }
        let (share_of_day, share_of_week) = shares(a, b);
        let none = FittedEts::default();
        let mut fitted = FittedHoltWinters { day: share_of_day, week: share_of_week, ets: none };
        let rest: Vec<f64> = (fitted.first(h).max(n.saturating_sub(WINDOW))..n)
            .map(|t| if h.known(t) { h.y(t) - fitted.season(h, t, t) } else { f64::NAN })
            .collect();
        fitted.ets = Ets::Auto.fit_values(&rest)?;
        Some(fitted)
    }
}

/// Least squares of two columns with weights in `[0, 1]`, from their products: the free solution if it is inside, else the
/// better of the edges.
fn shares(a: [f64; 3], b: [f64; 2]) -> (f64, f64) {
    let det = a[0] * a[2] - a[1] * a[1];
    let free = ((a[2] * b[0] - a[1] * b[1]) / det, (a[0] * b[1] - a[1] * b[0]) / det);
    let inside = |w: f64| (0.0..=1.0).contains(&w);
    if det > 1e-9 * a[0] * a[2] && inside(free.0) && inside(free.1) {
        return free;
    }
    let alone = |aa: f64, b: f64| if aa > 0.0 { (b / aa).clamp(0.0, 1.0) } else { 0.0 };
    let loss = |(u, v): (f64, f64)| a[0] * u * u + 2.0 * a[1] * u * v + a[2] * v * v - 2.0 * (b[0] * u + b[1] * v);
    let edges =
        [0.0, 1.0].into_iter().flat_map(|e| [(alone(a[0], b[0] - a[1] * e), e), (e, alone(a[2], b[1] - a[1] * e))]);
    edges.min_by(|p, q| loss(*p).total_cmp(&loss(*q))).expect("there are edges")
}

impl Path for FittedHoltWinters {
    type State = State;
    const WARM_UP: usize = FittedEts::WARM_UP;

    fn first(&self, h: &History) -> usize {
        h.begin() + h.day.len / REACH + h.change_steps() + if self.week > 0.0 { h.week.len } else { h.day.len }
    }

    fn start(&self, h: &History, t: usize) -> State {
        State { level: h.y(t) - if t >= self.first(h) { self.season(h, t, t) } else { 0.0 }, trend: 0.0 }
    }

    fn step(&self, state: &mut State, h: &History, t: usize) {
        match t.cmp(&self.first(h)) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => *state = self.start(h, t),
            std::cmp::Ordering::Greater => self.ets.take(state, h.known(t).then(|| h.y(t) - self.season(h, t, t))),
        }
    }

    fn ahead(&self, state: &State, h: &History, _: &Known, t: usize, lead: usize) -> f64 {
        self.ets.value(*state, lead) + self.season(h, t + lead, t)
    }
}

//----------- Mstl -----------------------------------------------------------

/// Blocks of which a day has at least so many are not averaged further: fine enough for traffic, and loess over
/// minutes costs fifteen times as much.
const BLOCKS: usize = 96;
/// Weeks decomposed, and least days for the day and weeks for the week. Two cycles are what loess needs, the third of
/// the week is the benchmark's rule.
const WEEKS: usize = 4;
const LEAST_DAYS: usize = 2;
const LEAST_WEEKS: usize = 3;

/// Seasons of the day and, from three weeks on, the week by MSTL, and ETS on the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mstl;

/// The last cycle of each season, and the parameters of the rest.
#[derive(Clone, Debug)]
pub struct FittedMstl {
    /// One per season: value of each block of the last cycle.
    seasons: Arc<Vec<Vec<f32>>>,
    /// Steps per block.
    block: usize,
    /// The step at which the last cycles end.
    end: usize,
    ets: FittedEts,
}

impl FittedMstl {
    /// The sum of the seasons at step `t`, before or after the fit, read between the middles of blocks.
    fn season(&self, t: usize) -> f64 {
        let at = (t as f64 + 0.5 - self.end as f64) / self.block as f64 - 0.5;
        let (low, part) = (at.floor() as i64, at - at.floor());
        let of = |season: &Vec<f32>| {
            let value = |i: i64| f64::from(season[i.rem_euclid(season.len() as i64) as usize]);
            value(low) + part * (value(low + 1) - value(low))
        };
        self.seasons.iter().map(of).sum()
    }
}

impl Course for Mstl {
    type Path = FittedMstl;

    fn name(&self) -> &'static str {
        "mstl"
    }

    /// `None` for a series younger than two days, or one whose day has no whole number of steps.
    fn path(&self, h: &History, _: &Known) -> Option<FittedMstl> {
        let (n, day) = (h.len(), h.day.len);
        let block = (1..=day / BLOCKS.min(day)).rev().find(|b| day.is_multiple_of(*b))?;
        let count = ((n - h.begin()) / block).min(WEEKS * 7 * day / block);
        let per_day = day / block;
        if count < LEAST_DAYS * per_day + 1 || per_day < 4 {
            return None;
        }
        let begin = n - count * block;
        let mean = |i: usize| h.mean(begin + i * block, begin + (i + 1) * block) as f32;
        let values: Vec<f32> = (0..count).map(mean).collect();
        let weekly = count > LEAST_WEEKS * 7 * per_day;
        let periods = if weekly { vec![per_day, 7 * per_day] } else { vec![per_day] };
        let seasons = decompose(&values, &periods)?;
        let mut fitted = FittedMstl { seasons: Arc::new(seasons), block, end: n, ets: FittedEts::default() };
        let rest: Vec<f64> = (h.begin().max(n.saturating_sub(WINDOW))..n)
            .map(|t| if h.known(t) { h.y(t) - fitted.season(t) } else { f64::NAN })
            .collect();
        fitted.ets = Ets::Auto.fit_values(&rest)?;
        Some(fitted)
    }
}

/// The last cycle of each season; loess is read at every tenth of a cycle and between, as R does.
fn decompose(values: &[f32], periods: &[usize]) -> Option<Vec<Vec<f32>>> {
    let day = periods[0];
    let mut stl = StlParams::new();
    stl.trend_jump((day / 7).max(1)).low_pass_jump((day / 10).max(1));
    let parts = MstlParams::new().stl_params(stl).fit(values, periods).ok()?;
    let last = |(season, period): (&Vec<f32>, &usize)| season[season.len() - period..].to_vec();
    let seasons: Vec<Vec<f32>> = parts.seasonal().iter().zip(periods).map(last).collect();
    seasons.iter().flatten().all(|v| v.is_finite()).then_some(seasons)
}

impl Path for FittedMstl {
    type State = State;
    const WARM_UP: usize = FittedEts::WARM_UP;

    fn start(&self, h: &History, t: usize) -> State {
        State { level: h.y(t) - self.season(t), trend: 0.0 }
    }

    fn step(&self, state: &mut State, h: &History, t: usize) {
        self.ets.take(state, h.known(t).then(|| h.y(t) - self.season(t)));
    }

    fn ahead(&self, state: &State, _: &History, _: &Known, t: usize, lead: usize) -> f64 {
        self.ets.value(*state, lead) + self.season(t + lead)
    }

    fn size(&self) -> usize {
        self.seasons.iter().map(|s| s.len() * 4).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// Hours of five days: a sine over a slow line.
    fn days(n: usize) -> History {
        let mut h = History::new(0, 3600);
        (0..n).for_each(|i| h.push(100.0 + 0.1 * i as f64 + 30.0 * (i as f64 * TAU / 24.0).sin()));
        h
    }

    fn misses<C: Course>(course: C, h: &History, lead: usize) -> f64 {
        let path = course.path(h, Known::NOTHING).unwrap();
        let mut s = path.start(h, h.len() - 60);
        (h.len() - 60..h.len()).for_each(|t| path.step(&mut s, h, t));
        let at = (h.len() - 1 + lead) as f64;
        let truth = 100.0 + 0.1 * at + 30.0 * (at * TAU / 24.0).sin() - h.base;
        (path.ahead(&s, h, Known::NOTHING, h.len() - 1, lead) - truth).abs()
    }

    #[test]
    fn both_follow_a_day_over_a_line() {
        let h = days(24 * 12 + 7);
        for lead in [1, 6, 13, 24] {
            assert!(misses(HoltWinters, &h, lead) < 3.0, "{lead}: {}", misses(HoltWinters, &h, lead));
            assert!(misses(Mstl, &h, lead) < 3.0, "{lead}: {}", misses(Mstl, &h, lead));
        }
    }

    #[test]
    fn shares_stay_within_bounds_and_are_least() {
        // Columns (1,0), (0,1) and targets (0.3, 0.8); then (0.3, 2).
        assert_eq!(shares([1.0, 0.0, 1.0], [0.3, 0.8]), (0.3, 0.8));
        assert_eq!(shares([1.0, 0.0, 1.0], [0.3, 2.0]), (0.3, 1.0));
        assert_eq!(shares([1.0, 0.0, 0.0], [0.3, 0.0]).0, 0.3);
        assert_eq!(shares([0.0; 3], [0.0; 2]), (0.0, 0.0));
    }

    #[test]
    fn the_young_have_none() {
        assert!(HoltWinters.path(&days(40), Known::NOTHING).is_none());
        assert!(Mstl.path(&days(40), Known::NOTHING).is_none());
    }
}
