//! Is something wrong with the series, since when, and how sure is that? Told sample by sample.
//!
//! ```text
//! z = (y − median of its forecast) / √(width of the forecast · usual size of its errors)
//! S⁺ ← max(0, S⁺ + z − 0.6·c)        S⁻ ← max(0, S⁻ − z − 0.6·c)        alarm when S > 0.5·c
//! ```
//!
//! CUSUM (Page 1954): one wild value, or some odd ones in a row, and the last time that the sum was 0 is when it began. One
//! value alone must be `1.1·c` out, a pair `0.85·c`. The width is of 80 % of the forecast's distribution, as deviations of a
//! normal; tails are left out, since those of a series that spikes hold the spikes. By the width alone a still night
//! cries wolf, by the usual size (of three days) alone noon does: their geometric mean found more than either on the
//! benchmark (`benches/forecast/anomalies.rs`). And a series that is forecast to the percent cries wolf at what nobody
//! would call a surge, so a fourteenth of the forecast is the least that an error is measured by: one value
//! must be two thirds off, a pair half, and what stays within a third is never told.
//!
//! Flat lines and lost telemetry are runs of equal values or of gaps that are too long for how often the series
//! repeats itself or has gaps, and longer than runs before. Nothing here depends on the unit of the series, though its zero
//! counts, and a series holds some 300 bytes.

use crate::forecast::quantiles::Quantiles;

/// `c`. Our choice: on the benchmark, a false alarm per series every ten days; see [`rate`].
pub const USUAL_LIMIT: f64 = 8.5;
/// What a value may be out, and the alarm, as shares of `c`.
const SLACK: f64 = 0.6;
const ALARM: f64 = 0.5;
/// The sums stop at so many alarms, so that what is over is over soon.
const MOST: f64 = 2.0;
/// Seconds of the mean size of errors; one of more than so many counts as that.
const SIZE_SECS: f64 = 3.0 * 86_400.0;
const MOST_ERROR: f64 = 5.0;
/// The width and the size count as at least this share of each other.
const LEAST_SHARE: f64 = 0.1;
/// The least measure of an error, as a share of what was forecast. Without it one series of seventeen, steady but for
/// blips of some percent, gave nearly half of all false alarms and set the limit for the others: at a tenth of a false alarm
/// a day 62 of 156 surges were found, and 89 with it. Of 0 to 0.15: more finds more surges and fewer of the operators' labels.
const LEAST_OF_FORECAST: f64 = 0.07;
/// Seconds of the means of what is, and of what was before; the latter stands still during an anomaly.
const NOW_SECS: f64 = 300.0;
const BEFORE_SECS: f64 = 7_200.0;
/// Seconds after which a surge or drop that stays is a shift of level, and without news after which it is over.
const SHIFT_SECS: f64 = 1_800.0;
const CALM_SECS: f64 = 600.0;
/// Sums below this share of the alarm are no news.
const CALM: f64 = 0.5;
/// Mean distances from before by which a level differs, and within which it is back.
const OFF: f64 = 3.0;
const BACK: f64 = 2.0;
/// Chance below which a run of equal values or of gaps is no accident, and their least lengths.
const NO_ACCIDENT: f64 = 1e-6;
const LEAST_EQUAL: u32 = 5;
const LEAST_GAPS: u32 = 3;
/// Changes that a series must have had for its standing still to be odd.
const LEAST_MOVES: u32 = 30;
/// How often values repeat and are missing is learnt over so many steps, from these guesses.
const HABIT_STEPS: f64 = 1_000.0;
/// The longest run is half forgotten after some 7,000 runs, and one that breaks it is twice as long.
const MEMORY_STEPS: f64 = 10_000.0;
const LONGER: f64 = 2.0;
const REPEATS: f64 = 0.3;
const GAPS: f64 = 0.05;
/// Forecasts that must have been judged before anything is said of levels.
const LEAST_STEPS: f64 = 30.0;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Far more than was forecast.
    Surge,
    /// Far less than was forecast.
    Drop,
    /// A surge or drop that has stayed for half an hour.
    LevelShift,
    /// The same value again and again from a series that moves.
    FlatLine,
    /// No values from a series that has them.
    TelemetryLoss,
}

impl Kind {
    /// All kinds, for counters.
    pub const ALL: [Kind; 5] = [Kind::Surge, Kind::Drop, Kind::LevelShift, Kind::FlatLine, Kind::TelemetryLoss];

    /// What people and labels read.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Surge => "surge",
            Kind::Drop => "drop",
            Kind::LevelShift => "level-shift",
            Kind::FlatLine => "flat-line",
            Kind::TelemetryLoss => "telemetry-loss",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Surge => "surge",
            Kind::Drop => "drop",
            Kind::LevelShift => "level shift",
            Kind::FlatLine => "flat line",
            Kind::TelemetryLoss => "loss of telemetry",
        })
    }
}

/// Something that is wrong, or was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Anomaly {
    /// What.
    pub kind: Kind,
    /// The step at which it began, counted from the first sample; before the step at which it was told.
    pub since: u64,
    /// Probability that calm would not have looked so within a day, in `[0, 1)`; the most so far. Of surges and drops by
    /// [`rate`], of runs by how often the series repeats itself or has gaps.
    pub sure: f64,
}

/// What a sample changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// There was nothing, or something else that this takes the place of.
    Began(Anomaly),
    /// A surge or drop stayed and is a level shift now.
    Became(Anomaly),
    /// It is over.
    Ended(Anomaly),
}

//----------- Anomalies ------------------------------------------------------

/// Watches one series. Give it every step, in order, with what was forecast for it.
#[derive(Clone, Debug)]
pub struct Anomalies {
    step_secs: f64,
    limit: f64,
    steps: u64,
    up: Sum,
    down: Sum,
    /// Of the magnitudes of errors, and how many they are.
    size: f64,
    judged: f64,
    now: Mean,
    before: Mean,
    last: Option<f64>,
    /// Times that the value changed.
    moves: u32,
    equal: Habit,
    gaps: Habit,
    calm_steps: u32,
    current: Option<Anomaly>,
}

/// False alarms per series and day at a limit `c`, about: 0.49, 0.18 and 0.10 at 4.9, 6.5 and 8.5 on the benchmark's series,
/// and an exponential through the outer two.
pub fn rate(limit: f64) -> f64 {
    0.1 * (-(limit - 8.5) / 2.25).exp()
}

/// One side of CUSUM.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    /// The last step at which it was 0.
    zero_at: u64,
}

impl Sum {
    fn take(&mut self, over: f64, step: u64, most: f64) {
        self.value = (self.value + over).clamp(0.0, most);
        if self.value == 0.0 {
            self.zero_at = step;
        }
    }
}

/// Exponential mean and mean distance from it.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    value: f64,
    distance: f64,
    weight: f64,
}

impl Mean {
    fn take(&mut self, y: f64, keep: f64) {
        self.weight = 1.0 + self.weight * keep;
        let away = y - self.value;
        if self.weight > 1.0 {
            self.distance += (away.abs() - self.distance) / self.weight;
        }
        self.value += away / self.weight;
    }
}

/// A run of something that happens now and then by itself.
#[derive(Clone, Copy, Debug)]
struct Habit {
    rate: f64,
    run: u32,
    /// The longest run so far, forgotten slowly.
    longest: f64,
}

impl Habit {
    fn new(rate: f64) -> Habit {
        Habit { rate, run: 0, longest: 0.0 }
    }

    fn take(&mut self, happened: bool) {
        if happened {
            self.run = self.run.saturating_add(1);
        } else {
            self.longest = (self.longest * (1.0 - 1.0 / MEMORY_STEPS)).max(f64::from(self.run));
            self.run = 0;
        }
        // Within a run that is long already, nothing is learnt: it would excuse itself.
        if self.run < LEAST_EQUAL {
            self.rate += (f64::from(u8::from(happened)) - self.rate) / HABIT_STEPS;
        }
    }

    /// Whether the run is longer than habit explains: as accidents, and beside the runs there were.
    fn breaks(&self, least: u32, chance: f64) -> bool {
        self.run >= least && self.chance() < chance && f64::from(self.run) > LONGER * self.longest
    }

    /// Chance of a run as long as this.
    fn chance(&self) -> f64 {
        self.rate.clamp(1e-4, 0.999).powi(self.run.min(100_000) as i32)
    }
}

impl Anomalies {
    /// Nothing seen. `step_secs`: seconds per step, above 0. `limit`: `c`, held within 2 and 100;
    /// [`USUAL_LIMIT`] unless there is a reason, [`rate`] says what others cost.
    pub fn new(step_secs: u32, limit: f64) -> Anomalies {
        Anomalies {
            step_secs: f64::from(step_secs.max(1)),
            limit: limit.clamp(2.0, 100.0),
            steps: 0,
            up: Sum::default(),
            down: Sum::default(),
            size: 0.0,
            judged: 0.0,
            now: Mean::default(),
            before: Mean::default(),
            last: None,
            moves: 0,
            equal: Habit::new(REPEATS),
            gaps: Habit::new(GAPS),
            calm_steps: 0,
            current: None,
        }
    }

    /// What is wrong now.
    pub fn current(&self) -> Option<Anomaly> {
        self.current
    }

    /// Steps seen, gaps included.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Takes in the next step. `value`: NaN or infinite is a gap. `expected`: its distribution as it was forecast some
    /// minutes before; the farther ahead, the longer a surge stands out, since forecasts catch up with it. `None` where
    /// nothing was forecast: then only runs are judged.
    pub fn observe(&mut self, value: f64, expected: Option<&Quantiles>) -> Option<Change> {
        let step = self.steps;
        self.steps += 1;
        self.gaps.take(!value.is_finite());
        if !value.is_finite() {
            // Nothing is lost before there was anything.
            self.last?;
            let lost = self.gaps.breaks(LEAST_GAPS, NO_ACCIDENT.sqrt()) || self.has(Kind::TelemetryLoss);
            return lost.then(|| self.run(Kind::TelemetryLoss, self.gaps, step)).flatten();
        }
        if let Some(over) = self.current.take_if(|c| c.kind == Kind::TelemetryLoss) {
            (self.up, self.down) = (Sum { value: 0.0, zero_at: step }, Sum { value: 0.0, zero_at: step });
            self.last = Some(value);
            return Some(Change::Ended(over));
        }
        self.equal.take(self.last == Some(value));
        self.moves = self.moves.saturating_add(u32::from(self.last.is_some_and(|last| last != value)));
        self.last = Some(value);
        let odd = self.moves >= LEAST_MOVES && self.equal.breaks(LEAST_EQUAL, NO_ACCIDENT);
        if odd || (self.has(Kind::FlatLine) && self.equal.run > 0) {
            return self.run(Kind::FlatLine, self.equal, step);
        }
        if let Some(over) = self.current.take_if(|c| c.kind == Kind::FlatLine && self.equal.run == 0) {
            return Some(Change::Ended(over));
        }
        self.level(value, expected?, step)
    }

    fn has(&self, kind: Kind) -> bool {
        self.current.is_some_and(|c| c.kind == kind)
    }

    /// A run that is no accident: begins, or goes on more surely.
    fn run(&mut self, kind: Kind, habit: Habit, step: u64) -> Option<Change> {
        let sure = (1.0 - habit.chance().sqrt()).min(1.0 - 1e-9);
        match &mut self.current {
            Some(current) if current.kind == kind => {
                current.sure = current.sure.max(sure);
                None
            }
            current => {
                let since = (step + 1).saturating_sub(u64::from(habit.run));
                *current = Some(Anomaly { kind, since, sure });
                current.map(Change::Began)
            }
        }
    }

    fn level(&mut self, value: f64, expected: &Quantiles, step: u64) -> Option<Change> {
        let keep = |secs: f64| (-self.step_secs / secs.max(2.0 * self.step_secs)).exp();
        let (keep_now, keep_before, keep_size) = (keep(NOW_SECS), keep(BEFORE_SECS), keep(SIZE_SECS));
        let away = value - expected.at(0.5);
        let z = away / self.scale(expected);
        let most = MOST * ALARM * self.limit;
        self.up.take(z - SLACK * self.limit, step, most);
        self.down.take(-z - SLACK * self.limit, step, most);
        self.now.take(value, keep_now);
        if self.current.is_none() || self.has(Kind::LevelShift) {
            // The mean magnitude of a normal is 0.8 of its deviation. A few wild errors are not the usual size.
            let error = away.abs() / 0.8;
            let error = if self.judged > 10.0 * LEAST_STEPS { error.min(MOST_ERROR * self.size) } else { error };
            self.judged = 1.0 + self.judged * keep_size;
            self.size += (error - self.size) / self.judged;
        }
        if self.current.is_none() {
            self.before.take(value, keep_before);
        }
        let news = self.up.value.max(self.down.value) > CALM * ALARM * self.limit;
        self.calm_steps = if news { 0 } else { self.calm_steps.saturating_add(1) };
        match self.current {
            None => self.alarm(),
            Some(anomaly) => self.go_on(anomaly, step),
        }
    }

    /// What an error is measured by, above 0, in the unit of the series.
    fn scale(&self, expected: &Quantiles) -> f64 {
        let width = (expected.at(0.9) - expected.at(0.1)) / 2.563;
        let (width, size) = (width.max(LEAST_SHARE * self.size), self.size.max(LEAST_SHARE * width));
        (width * size).sqrt().max(LEAST_OF_FORECAST * expected.at(0.5).abs()).max(f64::MIN_POSITIVE)
    }

    fn alarm(&mut self) -> Option<Change> {
        let (kind, sum) =
            if self.up.value >= self.down.value { (Kind::Surge, self.up) } else { (Kind::Drop, self.down) };
        if sum.value <= ALARM * self.limit || self.judged < LEAST_STEPS {
            return None;
        }
        let anomaly = Anomaly { kind, since: sum.zero_at + 1, sure: self.sure(sum.value) };
        self.current = Some(anomaly);
        Some(Change::Began(anomaly))
    }

    /// What a sum as high as this would be as an alarm's limit, and how rare alarms are there.
    fn sure(&self, sum: f64) -> f64 {
        1.0 - rate(self.limit * sum / (ALARM * self.limit)).min(0.9)
    }

    /// Is it over, or a new level?
    fn go_on(&mut self, mut anomaly: Anomaly, step: u64) -> Option<Change> {
        let sum = if anomaly.kind == Kind::Drop { self.down.value } else { self.up.value.max(self.down.value) };
        anomaly.sure = anomaly.sure.max(self.sure(sum));
        self.current = Some(anomaly);
        let age_secs = (step + 1 - anomaly.since) as f64 * self.step_secs;
        let calm = f64::from(self.calm_steps) * self.step_secs >= CALM_SECS && self.calm_steps >= 2;
        let away = (self.now.value - self.before.value) / (self.before.distance + f64::MIN_POSITIVE);
        let same_side = match anomaly.kind {
            Kind::Surge => away > 0.0,
            Kind::Drop => away < 0.0,
            _ => true,
        };
        let shifted = same_side && away.abs() > OFF && age_secs >= SHIFT_SECS;
        let over = match anomaly.kind {
            Kind::LevelShift => calm,
            // Without news but not back either: wait until it is one or the other.
            _ => calm && (age_secs >= SHIFT_SECS || away.abs() < BACK || !same_side),
        };
        if shifted && anomaly.kind != Kind::LevelShift {
            anomaly.kind = Kind::LevelShift;
            self.current = Some(anomaly);
            self.before = Mean { weight: 1.0, ..self.before };
            self.before.value = self.now.value;
            self.calm_steps = 0;
            return Some(Change::Became(anomaly));
        }
        if over {
            self.current = None;
            self.before.value = self.now.value;
            (self.up, self.down) = (Sum { value: 0.0, zero_at: step }, Sum { value: 0.0, zero_at: step });
            return Some(Change::Ended(anomaly));
        }
        None
    }
}

#[cfg(test)]
mod tests;
