//! One series on its grid, with the running sums that features are made from.
//!
//! Every mean, spread or seasonal level over any stretch is then a difference of two sums, so a row of
//! features costs about the same wherever it is taken, and a new value costs O(1).
//!
//! Some 20 bytes a step: values and seasonal levels in single precision, sums in double but kept at every
//! 16th step only, the rest added up when asked for. A history that [keeps](History::keep) so many steps
//! forgets the older ones, though not what they left in the seasonal averages.

use crate::forecast::daylight::Daylight;
use crate::forecast::sums::{Bits, Sums};
use std::sync::Arc;

/// Seconds in an hour, a day, a week: the cycles looked for. Our choice: traffic of machines keeps the hour
/// (jobs), traffic of people the day and the week.
const HOUR: u32 = 3_600;
/// A day: the cycle of people.
pub const DAY: u32 = 86_400;
const WEEK: u32 = 604_800;
/// Least steps in a cycle worth its features.
const LEAST_CYCLE: usize = 4;
/// Weight of the newest cycle in the average over cycles. Our choice, not tuned: three to four cycles count.
const DAY_GAIN: f64 = 0.3;
/// As [`DAY_GAIN`], for weeks, of which there are fewer.
const WEEK_GAIN: f64 = 0.4;
/// Steps forgotten at a time; a multiple of what [`Sums`] and [`Bits`] hold together.
const FORGOTTEN: usize = 1_024;

//----------- History --------------------------------------------------------

/// The values of one series at `start_secs + t·step_secs` for steps `t` from [`first`](History::first) to
/// [`len`](History::len)` − 1`.
///
/// A gap (NaN or infinite) takes the last known value in features, and is no target of any fit or score.
#[derive(Clone, Debug)]
pub struct History {
    /// Seconds per step, at least 1.
    pub step_secs: u32,
    /// Unix time of step 0.
    pub start_secs: i64,
    /// Subtracted from every value, so that a far-off level costs no digits: the first known value.
    pub base: f64,
    /// The step before the first change: a leading constant stretch is not data.
    pub birth: usize,
    /// Averages over cycles of an hour, a day, a week; the hour only where it has at least 4 steps.
    pub hour: Option<Season>,
    /// See `hour`.
    pub day: Season,
    /// See `hour`.
    pub week: Season,
    daylight: Option<Arc<Daylight>>,
    begun: bool,
    /// Steps forgotten.
    first: usize,
    /// The last value forgotten.
    before_first: Option<f32>,
    most: usize,
    y: Vec<f32>,
    known: Bits,
    sum: Sums,
    squares: Sums,
    moves: Sums,
}

impl History {
    /// Nothing seen yet. `step_secs` of 0 counts as 1.
    pub fn new(start_secs: i64, step_secs: u32) -> History {
        let step_secs = step_secs.max(1);
        let cycle = |secs: u32| (secs / step_secs).max(1) as usize;
        History {
            step_secs,
            start_secs,
            base: 0.0,
            birth: 0,
            hour: (cycle(HOUR) >= LEAST_CYCLE).then(|| Season::new(cycle(HOUR), DAY_GAIN)),
            day: Season::new(cycle(DAY), DAY_GAIN),
            week: Season::new(cycle(WEEK), WEEK_GAIN),
            daylight: None,
            begun: false,
            first: 0,
            before_first: None,
            most: usize::MAX,
            y: vec![],
            known: Bits::default(),
            sum: Sums::default(),
            squares: Sums::default(),
            moves: Sums::default(),
        }
    }

    /// Keeps about `most` steps from now on (up to 1023 more), and forgets older ones.
    pub fn keep(&mut self, most: usize) {
        self.most = most;
        self.forget();
    }

    /// Goes by this clock from now on, `None` for UTC; what was averaged over days before stays as it is.
    pub fn go_by(&mut self, daylight: Option<Arc<Daylight>>) {
        self.daylight = daylight;
    }

    /// Takes in the next value.
    pub fn push(&mut self, value: f64) {
        let t = self.len();
        let known = value.is_finite();
        if known && !self.begun {
            (self.base, self.begun) = (value, true);
        }
        let last = self.y.last().copied().unwrap_or(0.0);
        // Held within what single precision can say.
        let y = if known { (value - self.base).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32 } else { last };
        let step = if t == 0 { 0.0 } else { (f64::from(y) - f64::from(last)).abs() };
        if self.moves.total() == 0.0 {
            self.birth = t.saturating_sub(1);
        }
        self.sum.push(f64::from(y));
        self.squares.push(f64::from(y) * f64::from(y));
        self.moves.push(step);
        push_lean(&mut self.y, y);
        self.known.push(known);
        let first = self.birth;
        let [a_day, a_week] = [self.day.len, self.week.len].map(|len| if t >= len { self.before(t, len) } else { t });
        let hour_ago = self.hour.as_ref().map_or(t, |hour| t.saturating_sub(hour.len));
        self.hour.iter_mut().for_each(|s| s.push(y, hour_ago, first));
        self.day.push(y, a_day, first);
        self.week.push(y, a_week, first);
        self.forget();
    }

    fn forget(&mut self) {
        while self.y.len() - FORGOTTEN.min(self.y.len()) >= self.most.max(FORGOTTEN) {
            self.before_first = self.y.drain(..FORGOTTEN).next_back();
            self.known.forget(FORGOTTEN);
            [&mut self.sum, &mut self.squares, &mut self.moves].into_iter().for_each(|s| s.forget(FORGOTTEN));
            self.hour.iter_mut().chain([&mut self.day, &mut self.week]).for_each(|s| s.forget(FORGOTTEN));
            self.first += FORGOTTEN;
        }
    }

    /// Steps seen, those forgotten included: the next value is that of step `len`.
    pub fn len(&self) -> usize {
        self.first + self.y.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The oldest step that is kept.
    pub fn first(&self) -> usize {
        self.first
    }

    /// The oldest step that is kept and says something: neither forgotten nor before the birth.
    pub fn begin(&self) -> usize {
        self.first.max(self.birth)
    }

    /// Steps since the first change.
    pub fn age(&self) -> usize {
        self.len() - self.birth.min(self.len())
    }

    /// Steps in `secs`, at least `least`.
    pub fn steps(&self, secs: u32, least: usize) -> usize {
        ((secs / self.step_secs) as usize).max(least)
    }

    /// Unix time of step `t`, which may lie ahead.
    pub fn secs(&self, t: usize) -> i64 {
        self.start_secs + t as i64 * i64::from(self.step_secs)
    }

    /// Seconds since 1970 that the wall clock shows at step `t`, which may lie ahead: what hour and weekday it is for people.
    pub fn wall_secs(&self, t: usize) -> i64 {
        let secs = self.secs(t);
        secs + self.daylight.as_ref().map_or(0, |clock| clock.ahead(secs))
    }

    /// The step `back` steps before `to` by the wall clock, `back ≤ to`: where clocks were changed between the two, an hour
    /// more or less. Never later than an hour after `to − back`, nor after `to − 1`.
    pub fn before(&self, to: usize, back: usize) -> usize {
        let there = to - back;
        let Some(clock) = &self.daylight else { return there };
        let moved = (clock.ahead(self.secs(to)) - clock.ahead(self.secs(there))) / i64::from(self.step_secs);
        there.saturating_add_signed(moved as isize).min(to.saturating_sub(1))
    }

    /// Steps that a change of clocks moves "a day before" by, at most; 0 where none does.
    pub fn change_steps(&self) -> usize {
        self.daylight.as_ref().map_or(0, |_| self.steps(HOUR, 0))
    }

    /// The value at step `t`, `first ≤ t < len`, less `base`; a gap has the last known before it.
    pub fn y(&self, t: usize) -> f64 {
        f64::from(self.y[t - self.first])
    }

    /// The values at `a..b`, `first ≤ a ≤ b ≤ len`, as [`y`](History::y) has them.
    pub fn values(&self, a: usize, b: usize) -> &[f32] {
        &self.y[a - self.first..b - self.first]
    }

    /// Whether the value at step `t`, `first ≤ t < len`, was known.
    pub fn known(&self, t: usize) -> bool {
        self.known.at(t - self.first)
    }

    /// Mean of the values at `a..b`, `first ≤ a < b ≤ len`.
    pub fn mean(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (a - self.first, b - self.first);
        self.sum.between(a, b, |t| f64::from(self.y[t])) / (b - a) as f64
    }

    /// Standard deviation of the values at `a..b`, `first ≤ a < b ≤ len`.
    pub fn deviation(&self, a: usize, b: usize) -> f64 {
        let mean = self.mean(a, b);
        let (a, b) = (a - self.first, b - self.first);
        let squares = self.squares.between(a, b, |t| f64::from(self.y[t]) * f64::from(self.y[t]));
        (squares / (b - a) as f64 - mean * mean).max(0.0).sqrt()
    }

    /// Mean absolute step over `a..b`, `first ≤ a < b ≤ len`.
    pub fn movement(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (a - self.first, b - self.first);
        let step = |t: usize| {
            let before = if t == 0 { self.before_first.unwrap_or(self.y[0]) } else { self.y[t - 1] };
            (f64::from(self.y[t]) - f64::from(before)).abs()
        };
        self.moves.between(a, b, step) / (b - a) as f64
    }

    /// Bytes held.
    pub fn size(&self) -> usize {
        let sums: usize = [&self.sum, &self.squares, &self.moves].iter().map(|s| s.size()).sum();
        let seasons = self.hour.iter().chain([&self.day, &self.week]).map(Season::size).sum::<usize>();
        size_of::<History>() + self.y.capacity() * 4 + self.known.size() + sums + seasons
    }
}

//----------- Season ---------------------------------------------------------

/// Exponential average over cycles at equal phase: `m(t) = m(t−L) + a·(y(t) − m(t−L))`, and `y(t)` in the
/// first cycle. Simple exponential smoothing (Brown 1959), one chain per phase; `t−L` is by the wall clock.
#[derive(Clone, Debug)]
pub struct Season {
    /// Steps per cycle, `L`.
    pub len: usize,
    gain: f64,
    first: usize,
    level: Vec<f32>,
    sum: Sums,
}

impl Season {
    fn new(len: usize, gain: f64) -> Season {
        Season { len, gain, first: 0, level: vec![], sum: Sums::default() }
    }

    /// `then`: the step a cycle before the one that `y` is of, or that one itself where there is none.
    fn push(&mut self, y: f32, then: usize, birth: usize) {
        let t = self.first + self.level.len();
        let before = Some(then).filter(|then| t >= self.len && *then < t && *then >= birth.max(self.first));
        let level = match before.map(|then| self.at(then)) {
            None => y,
            Some(before) => (before + self.gain * (f64::from(y) - before)) as f32,
        };
        push_lean(&mut self.level, level);
        self.sum.push(f64::from(level));
    }

    fn forget(&mut self, n: usize) {
        self.level.drain(..n);
        self.sum.forget(n);
        self.first += n;
    }

    /// `m(t)`, for a step that is kept.
    pub fn at(&self, t: usize) -> f64 {
        f64::from(self.level[t - self.first])
    }

    /// Mean of `m` from `at − reach` to `at + reach`, cut to what is kept and known at step `now ≥ at`.
    pub fn smooth(&self, at: usize, reach: usize, now: usize) -> f64 {
        let (a, b) = (at.saturating_sub(reach).max(self.first), (at + reach).min(now) + 1);
        let (a, b) = (a - self.first, b - self.first);
        self.sum.between(a, b, |t| f64::from(self.level[t])) / (b - a) as f64
    }

    fn size(&self) -> usize {
        self.level.capacity() * 4 + self.sum.size()
    }
}

/// Pushes without doubling: of ten thousand histories the slack would be most.
fn push_lean(values: &mut Vec<f32>, value: f32) {
    if values.len() == values.capacity() {
        values.reserve_exact(FORGOTTEN);
    }
    values.push(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[f64]) -> History {
        let mut h = History::new(0, 3600);
        values.iter().for_each(|v| h.push(*v));
        h
    }

    #[test]
    fn sums_agree_with_the_values() {
        let h = of(&[5.0, 7.0, f64::NAN, 4.0]);
        assert_eq!(h.values(0, 4), [0.0, 2.0, 2.0, -1.0]);
        assert_eq!([0, 1, 2, 3].map(|t| h.known(t)), [true, true, false, true]);
        assert!((h.mean(0, 4) - 0.75).abs() < 1e-12);
        assert!((h.movement(1, 4) - 5.0 / 3.0).abs() < 1e-12);
        assert!((h.deviation(0, 2) - 1.0).abs() < 1e-12);
    }

    /// A service that counted zeros for a week before its first request was born with that request.
    #[test]
    fn a_constant_beginning_is_not_data() {
        let h = of(&[0.0, 0.0, 0.0, 3.0, 0.0]);
        assert_eq!((h.birth, h.age()), (2, 3));
        assert_eq!(of(&[f64::NAN, 9.0, 9.0]).base, 9.0);
    }

    #[test]
    fn a_season_averages_equal_phases() {
        let values: Vec<f64> = (0..72).map(|i| f64::from(i % 24) + if i >= 48 { 10.0 } else { 0.0 }).collect();
        let h = of(&values);
        assert_eq!(h.day.len, 24);
        assert!((h.day.at(50) - (2.0 + DAY_GAIN * 10.0)).abs() < 1e-6);
        assert!((h.day.smooth(30, 1, 71) - 6.0).abs() < 1e-6);
    }

    /// Clocks are put forward, or back, after ten days, and who comes at eight comes an hour earlier or later in UTC: the day
    /// and the week before, and what is averaged over them, go along at once. Only from two to three there is no yesterday.
    #[test]
    fn days_follow_the_clock() {
        let clock = Arc::new(Daylight::scan("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        for change in [1_774_746_000, 1_792_890_000] {
            let start = change - 10 * 86_400;
            let wall = |t: usize| {
                let secs = start + 900 * t as i64;
                (secs + clock.ahead(secs)).rem_euclid(86_400) as f64
            };
            let mut h = History::new(start, 900);
            h.go_by(Some(clock.clone()));
            (0..96 * 22).for_each(|t| h.push(wall(t)));
            for t in (96 * 8..96 * 22).filter(|t| !(7_200.0..10_800.0).contains(&wall(*t))) {
                for season in [&h.day, &h.week] {
                    let then = h.before(t, season.len);
                    assert!((h.y(then) - h.y(t)).abs() < 1e-3, "{change} {t}: {} {}", h.y(then), h.y(t));
                    assert!((season.at(t) - h.y(t)).abs() < 1e-3, "{change} {t}: {} {}", season.at(t), h.y(t));
                }
            }
        }
    }

    /// What is left of a history that forgets is what one that does not has there.
    #[test]
    fn forgetting_changes_nothing_that_is_kept() {
        let (mut all, mut some) = (History::new(0, 3600), History::new(0, 3600));
        some.keep(1_500);
        for i in 0..5_000u64 {
            let value = (i * i % 97) as f64 + (i % 24) as f64;
            all.push(value);
            some.push(value);
        }
        let (a, n) = (some.first(), some.len());
        assert!((1_500..2_600).contains(&(n - a)) && n == all.len(), "{a}");
        assert_eq!(some.values(a, n), all.values(a, n));
        for (from, to) in [(a, n), (a + 1, a + 9), (n - 77, n - 3)] {
            assert!((some.mean(from, to) - all.mean(from, to)).abs() < 1e-9);
            assert!((some.deviation(from, to) - all.deviation(from, to)).abs() < 1e-6);
            assert!((some.movement(from + 1, to) - all.movement(from + 1, to)).abs() < 1e-9);
            assert!((some.day.smooth(to - 1, 5, n - 1) - all.day.smooth(to - 1, 5, n - 1)).abs() < 1e-6);
        }
        assert!(some.size() < all.size() * 2 / 3 && all.size() < 5_000 * 20, "{} {}", some.size(), all.size());
    }
}
