//! Naive forecast with the quantiles of past differences: `y(t) + quantile_q{ y(s+h) − y(s) }`.
//!
//! What every other method must beat, the fallback while those have too little to learn from, and the
//! safe end of the combination when a learnt model is led astray.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::member::{Fitted, Member};
use crate::forecast::quantiles::{LEVELS, N_LEVELS, NORMAL, Quantiles, of_sorted};

/// Days of differences used, and the most of them, evenly taken. Our choice: three days hold every phase.
const DAYS: usize = 3;
const MOST: usize = 600;
/// How many differences the first guess is worth: a normal twice as wide as what was seen.
const PRIOR_WEIGHT: f64 = 10.0;

/// The method; it has no settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Empirical;

/// Offsets from the last value, for each lead.
#[derive(Clone, Debug)]
pub struct FittedEmpirical {
    offsets: Vec<(usize, [f64; N_LEVELS])>,
}

impl Member for Empirical {
    type Fitted = FittedEmpirical;

    fn name(&self) -> &'static str {
        "naive"
    }

    fn is_quick(&self) -> bool {
        true
    }

    /// With one value its own size, with few a normal as wide as the steps seen make a random walk, twice
    /// over, is mixed in: it is honest to know little. `None` only for an empty history.
    fn fit(&self, history: &History, _: &Known, leads: &[usize]) -> Option<FittedEmpirical> {
        let offsets = || leads.iter().map(|lead| (*lead, offsets(history, *lead))).collect();
        (!history.is_empty()).then(|| FittedEmpirical { offsets: offsets() })
    }
}

fn offsets(history: &History, lead: usize) -> [f64; N_LEVELS] {
    let n = history.len();
    // A series that never moved was not born, but its differences are known: none.
    let moved = history.movement(history.first(), n) > 0.0;
    let born = if moved { history.begin() } else { history.first() };
    let from = born.max(n.saturating_sub(DAYS * history.day.len));
    let starts = from..n.saturating_sub(lead);
    let stride = starts.len().div_ceil(MOST).max(1);
    let known = |t: &usize| history.known(*t) && history.known(t + lead);
    let mut seen: Vec<f64> = starts.step_by(stride).filter(known).map(|t| history.y(t + lead) - history.y(t)).collect();
    seen.sort_unstable_by(f64::total_cmp);
    let trust = seen.len() as f64 / (seen.len() as f64 + PRIOR_WEIGHT);
    let guess = match n - from {
        ..3 => (history.y(n - 1) + history.base).abs(),
        age => 2.0 * history.movement(from + 1, from + age) * (lead as f64).sqrt(),
    };
    let offset = |i: usize| {
        let seen = if seen.is_empty() { 0.0 } else { of_sorted(&seen, LEVELS[i]) };
        trust * seen + (1.0 - trust) * guess * NORMAL[i]
    };
    std::array::from_fn(offset)
}

impl Fitted for FittedEmpirical {
    fn at(&self, history: &History, _: &Known, t: usize, lead: usize) -> Option<Quantiles> {
        let (_, offsets) = self.offsets.iter().find(|(l, _)| *l == lead)?;
        Some(Quantiles::new(offsets.map(|o| history.y(t) + o)))
    }

    fn size(&self) -> usize {
        self.offsets.len() * size_of::<(usize, [f64; N_LEVELS])>()
    }

    fn boxed(&self) -> Box<dyn Fitted> {
        Box::new(self.clone())
    }
}
