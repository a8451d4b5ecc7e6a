//! Where the demand of a group comes from, moment by moment.
//!
//! POPs report loads, not cells. But who was given which answers is known ([`ring`](crate::control::ring)), so a load that
//! is more than the outstanding answers explain says that the cells behind them ask for more. Every sample moves the
//! estimate of the cells it can be owed to:
//!
//! ```text
//!   ŷ   = Σ_r m_r D_r                         what the answers explain at the middle of the sample's window
//!   e   = y − ŷ
//!   R   = (f·y)² + y/T + Σ_r (f² + s²·m_r(1 − m_r)) D_r²      what is no news: noise, and caches of unequal size
//!   α   = e²/(e² + R),   β = α²/(2 − α)
//!   D_r += α e · m_r D_r / Σ m² D             all cells in proportion: a region surges as one
//!   Ḋ_r += β e/T · m_r D_r / Σ m² D
//! ```
//!
//! A Kalman filter of level and trend whose process noise is what the innovation itself suggests (`P = e²`, the greatest
//! likelihood of one sample), with the steady-state relation of the two gains of Benedict and Bordner (1962). Cells that the
//! same answers serve cannot be told apart so; between them the slow shares decide ([`CellShares`](crate::control::demand)),
//! towards which the estimate drifts.
//!
//! A POP that says of which cells its requests are is believed cell by cell, by the same filter.
//!
//! Demand is what clients want, not what they try: of failed requests about half are tries again, so a load with a part `f`
//! failing counts as `y/(1 + f)`.

use crate::control::ring::{Column, POOLS};

/// Part by which all cells together may differ from what all POPs report: windows end at different times.
const WHOLE: f64 = 0.1;
/// Part of a load that is noise whatever its size (`f`).
const NOISE: f64 = 0.03;
/// Deviation of the share that really follows a share of one half, times two (`s`): few caches carry most of a cell.
const SKEW: f64 = 0.35;
/// Seconds in which the estimate goes 1 − 1/e of the way to the slow shares.
const DRIFT_SECS: f64 = 900.0;
/// Seconds late from which on what is heard counts for less.
const LATE_SECS: f64 = 20.0;
/// Seconds after which a trend counts for 1/e.
const TREND_SECS: f64 = 120.0;
/// Seconds over which the demand is averaged that long connections were opened under.
const LONG_SECS: f64 = 300.0;
/// A cell loses at most this part in one step.
const MOST_LOST: f64 = 0.5;
/// A window counts as this long at least when a trend is taken from it, in seconds.
const LEAST_WINDOW_SECS: f64 = 5.0;
/// What is planned for does not follow a fall of less than this part, and goes after greater ones in so many seconds.
const BAND: f64 = 0.1;
/// See [`BAND`].
const RELEASE_SECS: f64 = 240.0;
/// A load moves the cells behind it by at most one over this times what it is off.
const LEAST_PART: f64 = 0.5;
/// What is planned for is at most so many times what is reported. Our choice: demand that doubles in two minutes grows
/// by half in the life of an answer.
const MOST_AHEAD: f64 = 1.5;
/// What all report may be planned to grow by as much again as it has over its mean of so many seconds, squared: in calm
/// nothing is planned for that nobody asks.
const USUAL_SECS: f64 = 60.0;
/// Seconds after the first sample within which all have reported.
const SETTLED_SECS: f64 = 30.0;
/// A load of which the answers explain less than this part is new: it says nothing of a trend.
const NEW: f64 = 0.3;
/// A cell is thought to ask for at least this part of what its slow share says, lest it be forgotten for ever.
const FLOOR: f64 = 0.01;

//----------- Origins --------------------------------------------------------

/// See the module. Requests per second per cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Origins {
    level: Vec<f64>,
    /// Per second.
    trend: Vec<f64>,
    /// Mean over [`LONG_SECS`].
    long: Vec<f64>,
    /// What is planned for: up at once, down slowly.
    held: Vec<f64>,
    /// What all POPs together reported last.
    whole: f64,
    /// When, and its mean over [`USUAL_SECS`].
    whole_at: f64,
    /// See `whole_at`.
    usual: f64,
    /// Unix seconds that level and trend are of; `None` before the first sample.
    at: Option<f64>,
    /// The same of the first sample.
    since: Option<f64>,
}

/// One load, as a sample has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Middle of its window, unix seconds.
    pub mid: f64,
    /// Length of the window, seconds.
    pub secs: f64,
    /// Requests per second, tries again left out: see [`wanted`].
    pub rate: f64,
}

/// What something counts for that is heard of `age` seconds late: all, up to two usual windows, and then less and less.
fn late(age: f64) -> f64 {
    (-(age - LATE_SECS).max(0.0) / LATE_SECS).exp()
}

/// Requests per second that clients wanted, of `tried` of which a part `failed` failed.
pub fn wanted(tried: f64, failed: f64) -> f64 {
    tried / (1.0 + failed.clamp(0.0, 1.0))
}

impl Origins {
    /// Nothing known of any cell.
    pub fn new(n_cells: usize) -> Origins {
        let none = || vec![0.0; n_cells];
        Origins {
            level: none(),
            trend: none(),
            long: none(),
            held: none(),
            whole: 0.0,
            whole_at: 0.0,
            usual: 0.0,
            at: None,
            since: None,
        }
    }

    /// Takes in a load. `column(r, grown)`: what part of cell `r`'s requests goes there, as [`Column::at`] says;
    /// `shares[r]`: its slow share.
    ///
    /// Returns what the answers had explained, requests per second.
    pub fn observe(&mut self, load: &Load, column: impl Fn(usize, f64) -> f64, shares: &[f64]) -> f64 {
        self.advance(load.mid, shares);
        let parts: Vec<_> = (0..self.level.len()).map(|r| (r, column(r, self.grown(r)))).collect();
        self.take(load, &parts, shares, false)
    }

    /// Takes in what part of a load is one cell's; `part(grown)`: what part of its requests goes there.
    pub fn observe_cell(&mut self, load: &Load, r: usize, part: impl Fn(f64) -> f64, shares: &[f64]) {
        self.advance(load.mid, shares);
        let parts = [(r, part(self.grown(r)))];
        self.take(load, &parts, shares, false);
    }

    /// Takes in the load of all POPs together, which is known whatever answers are in force.
    pub fn observe_whole(&mut self, load: &Load, shares: &[f64]) {
        // Right after the start some have not reported yet.
        let settled = self.since.is_some_and(|since| load.mid - since > SETTLED_SECS);
        if settled {
            self.advance(load.mid, shares);
            let parts: Vec<_> = (0..self.level.len()).map(|r| (r, 1.0)).collect();
            let explained = self.take(load, &parts, shares, true);
            if explained > (1.0 + WHOLE) * load.rate {
                // What was thought to grow did not.
                self.trend.iter_mut().for_each(|trend| *trend *= 0.5);
            }
        }
        let dt = (load.mid - self.whole_at).clamp(0.0, USUAL_SECS);
        let usual = if settled && self.usual > 0.0 { self.usual } else { load.rate };
        self.usual = usual + (1.0 - (-dt / USUAL_SECS).exp()) * (load.rate - usual);
        (self.whole, self.whole_at) = (load.rate, load.mid);
    }

    /// `parts`: what part of the requests of which cells the load is.
    fn take(&mut self, load: &Load, parts: &[(usize, f64)], shares: &[f64], whole: bool) -> f64 {
        let at = self.at.unwrap_or(load.mid);
        let back = load.mid - at;
        let total: f64 = self.level.iter().sum::<f64>().max(load.rate);
        let (mut explained, mut noise, mut spread, mut reach) = (0.0, 0.0, 0.0, 0.0);
        for (r, m) in parts.iter().copied() {
            let d = (self.level[r] + back * self.trend[r]).max(0.0);
            explained += m * d;
            noise += (NOISE * NOISE * m + SKEW * SKEW * m * (1.0 - m).max(0.0)) * d * d;
            let weight = self.weight(r, total, shares);
            spread += m * m * weight;
            reach += m * weight;
        }
        // What few answers cannot explain is not blown up to what all of them would.
        let spread = spread.max(LEAST_PART * reach);
        if spread <= 0.0 {
            return explained;
        }
        let error = load.rate - explained;
        let noise = noise + (NOISE * load.rate).powi(2) + load.rate / load.secs.max(1.0) + 1e-9;
        let squared = error * error;
        let alpha = match whole {
            false => squared / (squared + noise),
            true => (1.0 - (WHOLE * load.rate).powi(2) / squared.max(1e-12)).max(0.0),
        };
        let alpha = alpha * late(at - load.mid);
        let known = !whole && explained > NEW * load.rate;
        let beta = if known { alpha * alpha / (2.0 - alpha) / load.secs.max(LEAST_WINDOW_SECS) } else { 0.0 };
        for (r, m) in parts.iter().copied() {
            let part = error * m * self.weight(r, total, shares) / spread;
            let least = (1.0 - MOST_LOST) * self.level[r];
            self.level[r] = (self.level[r] + alpha * part).max(least);
            // A trend that empties a cell within half a minute, or doubles it within five seconds, is none.
            let most = self.weight(r, total, shares) / 5.0;
            self.trend[r] = (self.trend[r] + beta * part).clamp(-self.level[r] / 30.0, most);
        }
        explained
    }

    /// What the answers of each pool of a column alone would bring, requests per second.
    pub fn alone(&self, column: &Column) -> [f64; POOLS] {
        let mut sum = [0.0; POOLS];
        for (r, level) in self.level.iter().enumerate() {
            sum.iter_mut().zip(column.alone(r)).for_each(|(sum, part)| *sum += level * part);
        }
        sum
    }

    fn weight(&self, r: usize, total: f64, shares: &[f64]) -> f64 {
        self.level[r] + FLOOR * total * shares[r]
    }

    /// What part of a cell's demand is younger than long connections are.
    pub fn grown(&self, r: usize) -> f64 {
        if self.level[r] > self.long[r] { 1.0 - self.long[r] / self.level[r] } else { 0.0 }
    }

    /// Moves it by so many seconds, since the wall clock was stepped by as many.
    pub fn shift(&mut self, secs: f64) {
        for at in [&mut self.at, &mut self.since] {
            *at = at.map(|at| at + secs);
        }
        self.whole_at += secs;
    }

    /// Goes on to a later moment.
    fn advance(&mut self, unix: f64, shares: &[f64]) {
        let Some(at) = self.at else {
            (self.at, self.since) = (Some(unix), Some(unix));
            return;
        };
        let dt = unix - at;
        if dt <= 0.0 {
            return;
        }
        self.at = Some(unix);
        let (fades, drift, long) =
            ((-dt / TREND_SECS).exp(), 1.0 - (-dt / DRIFT_SECS).exp(), 1.0 - (-dt / LONG_SECS).exp());
        let run = TREND_SECS * (1.0 - fades);
        let mut total = 0.0;
        for ((level, trend), mean) in self.level.iter_mut().zip(&mut self.trend).zip(&mut self.long) {
            *level = (*level + run * *trend).max(0.0);
            *trend *= fades;
            *mean += long * (*level - *mean);
            total += *level;
        }
        for (level, share) in self.level.iter_mut().zip(shares) {
            *level += drift * (share * total - *level);
        }
    }

    /// Demand per cell at a moment, at or after the newest sample: the trend goes on, and fades. `None` before the first.
    pub fn demand(&self, unix: f64) -> Option<Vec<f64>> {
        self.ahead_of(unix, 0.0)
    }

    /// The same `lead` seconds after that. A trend that is old when it is heard of says less: what was done about it meanwhile
    /// is not in it yet, and going on by it would swing.
    fn ahead_of(&self, unix: f64, lead: f64) -> Option<Vec<f64>> {
        let age = (unix - self.at?).max(0.0);
        let ahead = age + lead;
        let run = TREND_SECS * (1.0 - (-ahead / TREND_SECS).exp()) * late(age);
        Some(self.level.iter().zip(&self.trend).map(|(l, b)| (l + run * b).max(0.0)).collect())
    }

    /// Plans for the demand of now and of `lead` seconds from now, whichever is more: more at once, less slowly, so that
    /// noise moves nobody to and fro. `dt`: seconds since the last time.
    pub fn hold(&mut self, unix: f64, lead: f64, dt: f64) {
        let (Some(now), Some(then)) = (self.demand(unix), self.ahead_of(unix, lead)) else { return };
        let release = 1.0 - (-dt / RELEASE_SECS).exp();
        for (held, want) in self.held.iter_mut().zip(now.into_iter().zip(then).map(|(a, b)| a.max(b))) {
            let upper = want / (1.0 - BAND);
            match () {
                () if want > *held => *held = want,
                () if upper < *held => *held += release * (upper - *held),
                () => {}
            }
        }
        // Where loads do not follow answers at all, cells are anybody's guess, but what they sum to is not.
        let grown = if self.usual > 0.0 { (self.whole / self.usual).powi(2) } else { 1.0 };
        let (sum, most) = (self.held.iter().sum::<f64>(), grown.clamp(1.0, MOST_AHEAD) * self.whole);
        if self.whole > 0.0 && sum > most {
            self.held.iter_mut().for_each(|held| *held *= most / sum);
        }
    }

    /// What is planned for, of all cells together.
    pub fn ahead(&self) -> f64 {
        self.held.iter().sum()
    }

    /// What is planned for; `None` before the first sample.
    pub fn held(&self) -> Option<&[f64]> {
        self.at.map(|_| &self.held[..])
    }

    /// The same for another set of cells: `from[r]` is where new cell `r` was, if it was.
    pub fn moved(&self, from: &[Option<usize>]) -> Origins {
        let of = |values: &[f64]| from.iter().map(|old| old.map_or(0.0, |r| values[r])).collect();
        let (level, trend, long, held) = (of(&self.level), of(&self.trend), of(&self.long), of(&self.held));
        Origins {
            level,
            trend,
            long,
            held,
            whole: self.whole,
            whole_at: self.whole_at,
            usual: self.usual,
            at: self.at,
            since: self.since,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three cells, two POPs: the first serves cells 0 and 1, the second cell 2. What each load says goes to its cells, and
    /// a ramp is followed.
    #[test]
    fn loads_tell_cells_apart() {
        let mut origins = Origins::new(3);
        let shares = [0.25, 0.25, 0.5];
        let at = |pop: usize| move |r: usize, _: f64| f64::from(u8::from((r == 2) == (pop == 1)));
        let mut show = |t: f64, rates: [f64; 2]| {
            for (pop, rate) in rates.into_iter().enumerate() {
                origins.observe(&Load { mid: t, secs: 10.0, rate }, at(pop), &shares);
            }
            origins.observe_whole(&Load { mid: t, secs: 10.0, rate: rates[0] + rates[1] }, &shares);
            origins.demand(t).unwrap()
        };
        for i in 0..30 {
            show(10.0 * f64::from(i), [100.0, 100.0]);
        }
        let calm = show(300.0, [100.0, 100.0]);
        assert!((calm[0] - 50.0).abs() < 1.0 && (calm[2] - 100.0).abs() < 1.0, "{calm:?}");
        for i in 1..6 {
            show(300.0 + 10.0 * f64::from(i), [100.0 + 100.0 * f64::from(i), 100.0]);
        }
        let surge = show(360.0, [700.0, 100.0]);
        assert!((surge[0] + surge[1] - 700.0).abs() < 60.0 && (surge[2] - 100.0).abs() < 20.0, "{surge:?}");
        let soon = origins.demand(380.0).unwrap();
        assert!(soon[0] + soon[1] > 800.0, "{soon:?}");
    }

    /// Two cells behind one POP cannot be told apart by its load, and are by its words.
    #[test]
    fn a_pop_is_believed_cell_by_cell() {
        let mut origins = Origins::new(2);
        let shares = [0.5, 0.5];
        let of = |mid: f64, rate: f64| Load { mid, secs: 10.0, rate };
        for i in 0..60 {
            let t = 10.0 * f64::from(i);
            let grown = if i < 30 { 0.0 } else { 100.0 };
            origins.observe(&of(t, 200.0 + grown), |_, _| 1.0, &shares);
            for (r, rate) in [(0, 100.0 + grown), (1, 100.0)] {
                origins.observe_cell(&of(t, rate), r, |_| 1.0, &shares);
            }
        }
        let seen = origins.demand(590.0).unwrap();
        assert!((seen[0] - 200.0).abs() < 10.0 && (seen[1] - 100.0).abs() < 10.0, "{seen:?}");
    }
}
