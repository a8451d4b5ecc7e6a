//! How good the forecasts of one lead have been lately, in the measures that people know.

use crate::forecast::quantiles::{LEVELS, N_LEVELS};
use crate::forecast::saved::{Reader, Writer};

/// Hours after which an outcome counts half.
const HALF_LIFE_HOURS: f64 = 24.0;
/// Positions of 0.025, 0.1, 0.5, 0.9, 0.975 and 0.99 in [`LEVELS`].
const LOW_95: usize = 1;
const LOW_80: usize = 3;
const MEDIAN: usize = 7;
const HIGH_80: usize = 11;
const HIGH_95: usize = 13;
const HIGH_99: usize = 14;

/// Decayed means over outcomes of forecasts as they were given.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// Outcomes scored, all of them.
    pub n: u64,
    weight: f64,
    /// Of `|y − median| / |y|`, where y is not 0.
    relative: f64,
    relative_weight: f64,
    /// Of `|y − median|`.
    error: f64,
    /// Of `|y − y a day before|`.
    seasonal: f64,
    loss: f64,
    inside_80: f64,
    inside_95: f64,
    above_99: f64,
}

/// What [`Accuracy`] comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Outcomes scored.
    pub n: u64,
    /// Mean absolute error as a share of the outcome; outcomes of 0 left out. `None` if there were no others.
    pub mape: Option<f64>,
    /// Mean absolute error over that of "as a day before"; `None` if that never erred or has no day.
    pub mase: Option<f64>,
    /// Mean pinball loss over the levels, in the unit of the series.
    pub pinball: f64,
    /// Share of outcomes in the 80 % and in the 95 % interval, and above the 0.99 quantile.
    pub covered_80: f64,
    /// See `covered_80`.
    pub covered_95: f64,
    /// See `covered_80`.
    pub above_99: f64,
}

impl Report {
    /// `1 − MAPE`, not below 0: what the field calls accuracy. `None` where MAPE is.
    pub fn accuracy(&self) -> Option<f64> {
        self.mape.map(|m| (1.0 - m).max(0.0))
    }
}

impl Accuracy {
    /// Takes in one outcome of a forecast. `day_before`: the value a day before the outcome, if known.
    /// `elapsed_hours`: since the last.
    pub fn score(&mut self, said: &[f64; N_LEVELS], outcome: f64, day_before: Option<f64>, elapsed_hours: f64) {
        let decay = 0.5f64.powf(elapsed_hours / HALF_LIFE_HOURS);
        self.n += 1;
        self.weight = 1.0 + self.weight * decay;
        let share = 1.0 / self.weight;
        let into = |mean: &mut f64, value: f64| *mean += share * (value - *mean);
        let error = (outcome - said[MEDIAN]).abs();
        into(&mut self.error, error);
        if let Some(before) = day_before {
            into(&mut self.seasonal, (outcome - before).abs());
        }
        let loss = |(q, v): (&f64, &f64)| crate::forecast::quantiles::pinball(*q, *v, outcome);
        into(&mut self.loss, LEVELS.iter().zip(said).map(loss).sum::<f64>() / N_LEVELS as f64);
        let inside = |low: usize, high: usize| f64::from(u8::from((said[low]..=said[high]).contains(&outcome)));
        into(&mut self.inside_80, inside(LOW_80, HIGH_80));
        into(&mut self.inside_95, inside(LOW_95, HIGH_95));
        into(&mut self.above_99, f64::from(u8::from(outcome > said[HIGH_99])));
        self.relative_weight *= decay;
        if outcome != 0.0 {
            self.relative_weight += 1.0;
            self.relative += (error / outcome.abs() - self.relative) / self.relative_weight;
        }
    }

    /// Writes it for [`restore`](Accuracy::restore).
    pub fn save(&self, to: &mut Writer) {
        to.f64(self.n as f64);
        let Accuracy { weight, relative, relative_weight, error, seasonal, .. } = *self;
        [weight, relative, relative_weight, error, seasonal].into_iter().for_each(|v| to.f64(v));
        [self.loss, self.inside_80, self.inside_95, self.above_99].into_iter().for_each(|v| to.f64(v));
    }

    /// Reads what was saved.
    pub fn restore(saved: &mut Reader) -> Option<Accuracy> {
        let n = saved.f64()? as u64;
        let mut next = || saved.f64();
        let (weight, relative, relative_weight, error, seasonal) = (next()?, next()?, next()?, next()?, next()?);
        let (loss, inside_80, inside_95, above_99) = (next()?, next()?, next()?, next()?);
        Some(Accuracy { n, weight, relative, relative_weight, error, seasonal, loss, inside_80, inside_95, above_99 })
    }

    /// The means; `None` before anything was scored.
    pub fn report(&self) -> Option<Report> {
        (self.n > 0).then(|| Report {
            n: self.n,
            mape: (self.relative_weight > 0.0).then_some(self.relative),
            mase: (self.seasonal > 0.0).then(|| self.error / self.seasonal),
            pinball: self.loss,
            covered_80: self.inside_80,
            covered_95: self.inside_95,
            above_99: self.above_99,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_of_two_outcomes() {
        let mut accuracy = Accuracy::default();
        assert_eq!(accuracy.report(), None);
        let said = LEVELS.map(|q| 100.0 + 20.0 * (q - 0.5));
        accuracy.score(&said, 100.0, Some(50.0), 0.0);
        accuracy.score(&said, 200.0, Some(150.0), 0.0);
        let report = accuracy.report().unwrap();
        assert_eq!((report.n, report.mape, report.mase), (2, Some(0.25), Some(1.0)));
        assert_eq!((report.covered_80, report.covered_95, report.above_99), (0.5, 0.5, 0.5));
        assert_eq!(report.accuracy(), Some(0.75));
    }

    #[test]
    fn zeros_have_no_percentage() {
        let mut accuracy = Accuracy::default();
        accuracy.score(&[3.0; N_LEVELS], 0.0, None, 0.0);
        let report = accuracy.report().unwrap();
        assert_eq!((report.mape, report.mase, report.accuracy()), (None, None, None));
    }
}
