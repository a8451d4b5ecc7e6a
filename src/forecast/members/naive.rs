//! The methods that any other must beat: drift and the same time a cycle ago.
//!
//! Hyndman and Athanasopoulos, *Forecasting: Principles and Practice* (3rd ed. 2021), section 5.2.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::members::spread::{Course, Path};

//----------- Drift ----------------------------------------------------------

/// The last value and the mean step of the last day, carried on: `y(t) + h·(y(t) − y(t−w))/w`.
///
/// The book takes all of the series; of traffic, the first day says nothing about the present slope. A gap takes the
/// last value known, so the line bends there and stays unbroken.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift;

impl Course for Drift {
    type Path = Drift;

    fn name(&self) -> &'static str {
        "drift"
    }

    /// `None` only for an empty history.
    fn path(&self, history: &History, _: &Known) -> Option<Drift> {
        (!history.is_empty()).then_some(Drift)
    }
}

impl Path for Drift {
    type State = ();
    const WARM_UP: usize = 0;

    fn start(&self, _: &History, _: usize) {}

    fn step(&self, (): &mut (), _: &History, _: usize) {}

    fn ahead(&self, (): &(), h: &History, _: &Known, t: usize, lead: usize) -> f64 {
        let back = h.day.len.min(t - h.begin().min(t));
        let slope = if back == 0 { 0.0 } else { (h.y(t) - h.y(t - back)) / back as f64 };
        h.y(t) + lead as f64 * slope
    }
}

//----------- SeasonalNaive --------------------------------------------------

/// The value at the same time a cycle ago: `y(t + h − L·⌈h/L⌉)`.
///
/// A gap a cycle ago takes the value known before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeasonalNaive {
    /// The same time yesterday.
    Day,
    /// The same time and weekday last week.
    Week,
}

/// The cycle found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FittedSeasonalNaive {
    len: usize,
}

impl Course for SeasonalNaive {
    type Path = FittedSeasonalNaive;

    fn name(&self) -> &'static str {
        match self {
            SeasonalNaive::Day => "yesterday",
            SeasonalNaive::Week => "last week",
        }
    }

    /// `None` for a series younger than one cycle and the hour after.
    fn path(&self, h: &History, _: &Known) -> Option<FittedSeasonalNaive> {
        let len = match self {
            SeasonalNaive::Day => h.day.len,
            SeasonalNaive::Week => h.week.len,
        };
        (h.len() - h.begin() > len + (h.day.len / 24).max(12)).then_some(FittedSeasonalNaive { len })
    }
}

impl Path for FittedSeasonalNaive {
    type State = ();
    const WARM_UP: usize = 0;

    fn first(&self, h: &History) -> usize {
        h.begin() + self.len
    }

    fn start(&self, _: &History, _: usize) {}

    fn step(&self, (): &mut (), _: &History, _: usize) {}

    fn ahead(&self, (): &(), h: &History, _: &Known, t: usize, lead: usize) -> f64 {
        h.y(h.before(t + lead, self.len * lead.div_ceil(self.len)).clamp(h.first(), t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(path: &impl Path<State = ()>, h: &History, lead: usize) -> f64 {
        path.ahead(&(), h, Known::NOTHING, h.len() - 1, lead)
    }

    fn of(values: impl IntoIterator<Item = f64>) -> History {
        let mut h = History::new(0, 3600);
        values.into_iter().for_each(|v| h.push(v));
        h
    }

    #[test]
    fn drift_follows_a_line() {
        let h = of((0..60).map(|i| 2.0 * f64::from(i)));
        assert_eq!(says(&Drift, &h, 3), 118.0 + 6.0);
        assert_eq!(says(&Drift, &of([5.0]), 3), 0.0, "less its base");
    }

    #[test]
    fn the_day_and_the_week_before() {
        let h = of((0..400).map(|i| f64::from(i % 24) + f64::from(i / 168) * 100.0));
        let day = SeasonalNaive::Day.path(&h, Known::NOTHING).unwrap();
        assert_eq!(says(&day, &h, 1), h.y(376));
        assert_eq!(says(&day, &h, 25), h.y(376));
        let week = SeasonalNaive::Week.path(&h, Known::NOTHING).unwrap();
        assert_eq!(says(&week, &h, 6), h.y(399 + 6 - 168));
        assert!(SeasonalNaive::Week.path(&of((0..170).map(f64::from)), Known::NOTHING).is_none());
    }
}
