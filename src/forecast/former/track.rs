//! What one member got wrong at one lead, and the quantile function that follows from it.

use crate::forecast::quantiles::{LEVELS, NORMAL, pinball};
use std::collections::VecDeque;

/// Errors kept. Our choice: half a day of minutes; enough for the 0.995 quantile to be an observation.
const KEPT: usize = 720;
/// How many observations the first guess of the spread is worth. Our choice: after ten errors, what was
/// seen counts as much as the guess.
const PRIOR_WEIGHT: f64 = 10.0;
/// The first guess of the spread, in standard deviations of the errors seen: twice as wide.
const PRIOR_WIDTH: f64 = 2.0;

/// The record of one member at one lead.
#[derive(Clone, Debug)]
pub struct Track {
    lead: usize,
    /// The forecasts that wait for their outcome, oldest first; one per step, so the front of a full
    /// queue is due.
    pending: VecDeque<Option<f64>>,
    errors: VecDeque<f64>,
    /// The offsets from the point forecast at [`LEVELS`], ascending.
    offsets: [f64; LEVELS.len()],
    /// Decayed mean pinball loss over the levels, and its weight.
    loss: f64,
    loss_weight: f64,
}

impl Track {
    /// Nothing issued yet; `lead ≥ 1`.
    pub fn new(lead: usize) -> Track {
        Track {
            lead,
            pending: VecDeque::with_capacity(lead + 1),
            errors: VecDeque::new(),
            offsets: [0.0; LEVELS.len()],
            loss: 0.0,
            loss_weight: 0.0,
        }
    }

    /// Scores the forecast that is due against the outcome of this step; a gap scores nothing.
    ///
    /// `decay`: weight that the losses seen so far keep, in `[0, 1]`.
    pub fn score(&mut self, outcome: Option<f64>, decay: f64) {
        if self.pending.len() < self.lead {
            return;
        }
        let due = self.pending.pop_front().flatten();
        let (Some(point), Some(outcome)) = (due, outcome) else { return };
        if !self.errors.is_empty() {
            let loss = LEVELS.iter().zip(&self.offsets).map(|(q, o)| pinball(*q, point + o, outcome)).sum::<f64>();
            self.loss_weight = decay * self.loss_weight + 1.0;
            self.loss += (loss / LEVELS.len() as f64 - self.loss) / self.loss_weight;
        }
        if self.errors.len() == KEPT {
            self.errors.pop_front();
        }
        self.errors.push_back(outcome - point);
        self.offsets = offsets(&self.errors);
    }

    /// Notes what is forecast from this step for `lead` steps ahead.
    pub fn issue(&mut self, point: Option<f64>) {
        self.pending.push_back(point);
    }

    /// Forecasts scored so far, up to the number kept.
    pub fn n_scored(&self) -> usize {
        self.errors.len()
    }

    /// The decayed mean pinball loss; `None` before two forecasts were scored.
    pub fn loss(&self) -> Option<f64> {
        (self.loss_weight > 0.0).then_some(self.loss)
    }

    /// Offsets from the point forecast at [`LEVELS`]; `None` before one was scored.
    pub fn offsets(&self) -> Option<&[f64; LEVELS.len()]> {
        (!self.errors.is_empty()).then_some(&self.offsets)
    }
}

/// Empirical quantiles of the errors, drawn towards a normal of [`PRIOR_WIDTH`] times their root mean
/// square while they are few. Both ascend with the level, so their mean does.
fn offsets(errors: &VecDeque<f64>) -> [f64; LEVELS.len()] {
    let n = errors.len() as f64;
    let rms = (errors.iter().map(|e| e * e).sum::<f64>() / n).sqrt();
    let mut sorted: Vec<f64> = errors.iter().copied().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let trust = n / (n + PRIOR_WEIGHT);
    std::array::from_fn(|i| {
        // The conformal position (n + 1)·q, from 1, linear between neighbours.
        let at = ((n + 1.0) * LEVELS[i] - 1.0).clamp(0.0, n - 1.0);
        let (low, part) = (at as usize, at.fract());
        let high = (low + 1).min(sorted.len() - 1);
        let seen = sorted[low] + part * (sorted[high] - sorted[low]);
        trust * seen + (1.0 - trust) * PRIOR_WIDTH * rms * NORMAL[i]
    })
}
