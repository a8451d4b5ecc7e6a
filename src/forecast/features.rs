//! What is known at one step about the value some steps later, as a row of numbers.
//!
//! Every number is a difference divided by the local scale, the logarithm of such a ratio, or the clock of
//! the target. So a row does not change when the series is shifted or scaled, and a model fitted on it
//! carries over. The kinds and their windows are our choice, after the benchmark's ridge, with the
//! hour's cycle and averages over several cycles added.

use crate::forecast::history::{DAY, History, Season};
use crate::forecast::known::{Known, Regressor};
use crate::forecast::saved::{Reader, Writer};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Stretches of the recent past, in steps back from the last value, whose means are features: fine near
/// the origin, coarse further off.
const LAGS: [(usize, usize); 13] =
    [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6), (7, 7), (8, 9), (10, 12), (13, 18), (19, 27), (28, 40), (41, 60)];
/// Steps that any row looks back.
const REACH: usize = 64;
/// Days of history from which the day is a feature, and weeks for the week: less is one example.
const LEAST_DAYS: f64 = 1.5;
const LEAST_WEEKS: f64 = 2.5;
/// In the local scale: what the last three steps and the distance from the hour's mean count beside the
/// hour's mean step. A jump then widens the forecast at once. Chosen on the traffic series, where it is 1 % less
/// loss than the hour alone; twice as much of both is level on the whole and loses 1 % at surge origins.
const SCALE_OF_LAST: f64 = 0.15;
const SCALE_OF_DISTANCE: f64 = 0.1;
/// The local scale does not fall below this share of the mean step of the last weeks.
const SCALE_FLOOR: f64 = 0.1;
/// Keeps logarithms of ratios finite.
const LOG_FLOOR: f64 = 0.02;

/// What a feature may be used for, besides the trees, which use all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A difference in the unit of the series over the scale: the ridge, which extrapolates.
    Level,
    /// The change of a known regressor until the target: the ridge, too, and never held within what is usual.
    Event,
    /// The logarithm of a spread over the scale: the model of how wide.
    Spread,
    /// Trees only.
    Shape,
}

//----------- Layout ---------------------------------------------------------

/// Which features there are: depends on the lead and on how old the series was when it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Steps from the last known value to the target, at least 1.
    pub lead: usize,
    /// The first step at which a row can be made.
    pub first: usize,
    /// Steps that a row looks back, about: all of them must be kept.
    pub reach: usize,
    /// Name and use of each feature, in order.
    pub columns: Arc<Vec<(String, Use)>>,
    /// Least local scale, above 0, in the unit of the series.
    floor: f64,
    cycles: Cycles,
    /// Whether the scale hears the last steps.
    pub hears_jumps: bool,
    /// Names of the known regressors that differed between some origin and its target.
    events: Vec<String>,
}

/// The longest cycle that features look back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cycles {
    /// The hour, if it has steps enough.
    Hourly,
    /// The hour and the day.
    Daily,
    /// The hour, the day and the week.
    Weekly,
}

impl Layout {
    /// The layout for `history` as it is now: with the day and the week if it is old enough for them. `None`
    /// if the series never moved or is too young to make one row and see its outcome.
    pub fn new(history: &History, known: &Known, lead: usize) -> Option<Layout> {
        let age = history.len() - history.begin().min(history.len());
        let reaches = |season: &Season, least: f64| age as f64 > least * season.len as f64;
        let (daily, weekly) = (reaches(&history.day, LEAST_DAYS), reaches(&history.week, LEAST_WEEKS));
        let cycles = if weekly {
            Cycles::Weekly
        } else if daily {
            Cycles::Daily
        } else {
            Cycles::Hourly
        };
        Layout::of(history, known, lead, cycles).filter(|layout| history.len() > layout.first + lead)
    }

    /// The layout with these cycles for `history`. `None` if the series never moved or is too young to make one row.
    pub fn of(history: &History, known: &Known, lead: usize, cycles: Cycles) -> Option<Layout> {
        let n = history.len();
        let longest = match (cycles, &history.hour) {
            (Cycles::Weekly, _) => history.week.len,
            (Cycles::Daily, _) => history.day.len,
            (Cycles::Hourly, Some(hour)) => hour.len * lead.div_ceil(hour.len),
            (Cycles::Hourly, None) => 0,
        };
        let reach = longest.max(REACH) + history.day.len / 24 + history.change_steps() + lead + 4;
        let first = history.begin() + reach;
        if n <= first {
            return None;
        }
        let floor = SCALE_FLOOR * history.movement(history.begin().max(n.saturating_sub(4 * history.week.len)), n);
        if floor <= 0.0 {
            return None;
        }
        // What never began or ended in the past taught nothing.
        let (from, to) = (history.secs(first), history.secs(n));
        let seen = |r: &&Regressor| r.spans().iter().any(|s| s.until_secs > from && s.from_secs < to);
        let events = known.regressors.iter().filter(seen).map(|r| r.name.clone()).collect();
        let mut layout =
            Layout { lead, first, reach, columns: Arc::new(vec![]), floor, cycles, hears_jumps: true, events };
        let mut named = Named(vec![]);
        layout.visit(history, known, first, 1.0, &mut named);
        layout.columns = Arc::new(named.0);
        Some(layout)
    }

    /// Writes what does not follow from a history, for [`restore`](Layout::restore).
    pub fn save(&self, to: &mut Writer) {
        to.u32(self.lead);
        to.u32(self.cycles as usize);
        to.f64(self.floor);
        to.list(self.events.iter(), |to, event| to.text(event));
    }

    /// Reads what was saved, for a series whose history may have been cut meanwhile. `None` if it is too young for it now.
    pub fn restore(history: &History, saved: &mut Reader) -> Option<Layout> {
        let lead = saved.u32().filter(|lead| *lead >= 1)?;
        let cycles = *[Cycles::Hourly, Cycles::Daily, Cycles::Weekly].get(saved.u32()?)?;
        let floor = saved.f64().filter(|floor| *floor > 0.0)?;
        let events = saved.list(|r| r.text().map(str::to_string))?;
        let mut layout = Layout::of(history, Known::NOTHING, lead, cycles)?;
        (layout.floor, layout.events) = (floor, events);
        let mut named = Named(vec![]);
        layout.visit(history, Known::NOTHING, layout.first, 1.0, &mut named);
        layout.columns = Arc::new(named.0);
        Some(layout)
    }

    /// Whether a row can be made at step `t`.
    pub fn reaches(&self, history: &History, t: usize) -> bool {
        t >= self.first.max(history.first() + self.reach) && t < history.len()
    }

    /// Positions of the features with this use.
    pub fn with(&self, wanted: Use) -> Vec<usize> {
        (0..self.columns.len()).filter(|i| self.columns[*i].1 == wanted).collect()
    }

    /// The local scale at step `t`, above 0, in the unit of the series: the mean step of the last hour (at
    /// least 12 steps), with a share of the last three and of the distance from the hour's mean.
    pub fn scale(&self, history: &History, t: usize) -> f64 {
        let hour = (history.day.len / 24).max(12);
        let since = |k: usize| history.movement(t + 1 - k, t + 1);
        if !self.hears_jumps {
            return since(hour).max(self.floor);
        }
        let distance = (history.y(t) - history.mean(t + 1 - hour, t + 1)).abs();
        (since(hour) + SCALE_OF_LAST * since(3) + SCALE_OF_DISTANCE * distance).max(self.floor)
    }

    /// What the local scale is on the whole, in the unit of the series.
    pub fn usual_scale(&self) -> f64 {
        self.floor / SCALE_FLOOR
    }

    /// Appends the row at step `t ≥ first` to `row`: one number per column.
    ///
    /// `scale`: that of the same step.
    pub fn row(&self, history: &History, known: &Known, t: usize, scale: f64, row: &mut Vec<f32>) {
        self.visit(history, known, t, scale, row);
    }

    /// Says every feature of step `t` to `out`, always in the same order.
    fn visit(&self, h: &History, known: &Known, t: usize, scale: f64, out: &mut impl Sink) {
        let (lead, last, to, day) = (self.lead, h.y(t), t + self.lead, h.day.len);
        let (daily, weekly) = (self.cycles != Cycles::Hourly, self.cycles == Cycles::Weekly);
        let a_day = (t + 1).saturating_sub(day).max(h.first());
        let over = |v: f64| v / scale;
        let log = |v: f64| (v / scale + LOG_FLOOR).ln();
        for (near, far) in LAGS {
            out.say(Use::Level, "lag", far, over(h.mean(t - far, t + 1 - near) - last));
        }
        out.say(Use::Level, "mean", day, over(h.mean(a_day, t + 1) - last));
        for k in [5, 15, 60] {
            out.say(Use::Spread, "moves", k, log(h.movement(t + 1 - k, t + 1)));
        }
        out.say(Use::Spread, "moves", day, log(h.movement(a_day, t + 1)));
        for k in [12, 60] {
            out.say(Use::Spread, "spread", k, log(h.deviation(t + 1 - k, t + 1)));
        }
        let recent = || h.values(t - 11, t + 1).iter().map(|v| f64::from(*v));
        out.say(Use::Shape, "least", 12, over(recent().fold(f64::INFINITY, f64::min) - last));
        out.say(Use::Shape, "most", 12, over(recent().fold(f64::NEG_INFINITY, f64::max) - last));

        let reach = (day / 144).max(1);
        let seasons = [
            h.hour.as_ref().map(|s| (s, "hour", 1)),
            daily.then_some((&h.day, "day", reach)),
            weekly.then_some((&h.week, "week", reach)),
        ];
        for (season, name, reach) in seasons.into_iter().flatten() {
            let back = season.len * lead.div_ceil(season.len);
            // Jobs of machines keep the hour whatever people do to their clocks.
            let (then, target) = match name {
                "hour" => (t - back, to - back),
                _ => (h.before(t, back), h.before(to, back).min(t)),
            };
            let (smooth_then, smooth_target) = (season.smooth(then, reach, t), season.smooth(target, reach, t));
            out.say(Use::Level, name, 1, over(season.at(target) - season.at(then)));
            out.say(Use::Level, name, 2, over(smooth_target - smooth_then));
            out.say(Use::Level, name, 3, over(smooth_target - last));
            out.say(Use::Level, name, 4, over(season.at(target) - last));
            out.say(Use::Level, name, 5, over(h.y(target) - h.y(then)));
            out.say(Use::Level, name, 6, over(h.y(target) - last));
        }
        if daily {
            let (at, reach) = (h.before(to, day * lead.div_ceil(day)).min(t), (day / 48).max(1));
            let (a, b) = (at.saturating_sub(reach).max(h.first()), (at + reach).min(t) + 1);
            out.say(Use::Spread, "moves then", day, log(h.movement(a, b)));
        }
        let (secs, now) = (h.secs(to), h.secs(t));
        for (k, name) in self.events.iter().enumerate() {
            out.say(Use::Event, name, k, known.of(name, secs) - known.of(name, now));
        }
        let wall = h.wall_secs(to);
        let share = |cycle: i64| wall.rem_euclid(cycle) as f64 / cycle as f64;
        if daily {
            let time = share(i64::from(DAY));
            out.say(Use::Shape, "time", 0, time);
            for k in [1, 2] {
                out.say(Use::Shape, "sine", k, (TAU * k as f64 * time).sin());
                out.say(Use::Shape, "cosine", k, (TAU * k as f64 * time).cos());
            }
        }
        if weekly {
            // 1 January 1970 was a Thursday; 0 is Sunday.
            let weekday = (wall.div_euclid(i64::from(DAY)) + 4).rem_euclid(7);
            out.say(Use::Shape, "weekday", 0, weekday as f64);
            out.say(Use::Shape, "weekend", 0, f64::from(u8::from(weekday == 0 || weekday == 6)));
        }
        if h.hour.is_some() {
            out.say(Use::Shape, "minute", 0, share(3600));
        }
    }
}

/// Takes features as they are said: numbers into a row, or names into a layout.
trait Sink {
    fn say(&mut self, used: Use, name: &str, k: usize, value: f64);
}

impl Sink for Vec<f32> {
    fn say(&mut self, _: Use, _: &str, _: usize, value: f64) {
        self.push(value as f32);
    }
}

struct Named(Vec<(String, Use)>);

impl Sink for Named {
    fn say(&mut self, used: Use, name: &str, k: usize, _: f64) {
        self.0.push((format!("{name} {k}"), used));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(value: impl Fn(usize) -> f64) -> Vec<f32> {
        let mut h = History::new(0, 300);
        (0..900).for_each(|i| h.push(value(i)));
        let layout = Layout::new(&h, Known::NOTHING, 6).unwrap();
        let mut row = vec![];
        layout.row(&h, Known::NOTHING, 899, layout.scale(&h, 899), &mut row);
        assert_eq!(row.len(), layout.columns.len());
        row
    }

    /// One model must serve requests and kilorequests, counted from any base.
    #[test]
    fn rows_do_not_change_with_shift_and_scale() {
        let wave = |i: usize| (i as f64 * 0.05).sin() * 30.0 + (i * i % 17) as f64;
        let (plain, moved) = (row_of(wave), row_of(|i| 1000.0 * wave(i) + 5e5));
        assert!(plain.iter().zip(&moved).all(|(a, b)| (a - b).abs() < 1e-4), "{plain:?}\n{moved:?}");
    }

    #[test]
    fn a_constant_or_empty_series_has_no_layout() {
        let mut h = History::new(0, 60);
        assert_eq!(Layout::new(&h, Known::NOTHING, 5), None);
        (0..5000).for_each(|_| h.push(3.0));
        assert_eq!(Layout::new(&h, Known::NOTHING, 5), None);
    }
}
