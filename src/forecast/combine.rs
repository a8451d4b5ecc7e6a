//! Weights of members by recent pinball loss, per season slot, and their mean.
//!
//! ```text
//! lᵢ = decayed mean loss of member i, half-life 24 h, drawn towards rᵢ·l₀ while few outcomes were seen
//! wᵢ ∝ (lᵢ / min l)^−p, at least the floor,        Q = Σ wᵢ·Qᵢ   (Vincentisation: order is kept)
//! ```
//!
//! Of each slot of the day a loss of its own is kept, drawn towards that of the whole day: some members are
//! better in the morning rise than at night.

use crate::forecast::quantiles::{LEVELS, N_LEVELS, Quantiles};
use crate::forecast::saved::{Reader, Writer};

/// Hours after which a past loss counts half.
const HALF_LIFE_HOURS: f64 = 24.0;
/// Slots of a day, six hours each in UTC: night, morning, afternoon, evening somewhere. Our choice.
const SLOTS: usize = 4;
/// `p`. Our choice: the direct models lose half of what naive loses on most series, and a mean with equal say
/// would throw that away; at this power a member is heard where it is about as good, hardly where it is half
/// again as bad.
const POWER: f64 = 12.0;
/// Least weight of a member, so that it can come back.
const FLOOR: f64 = 0.001;
/// `rᵢ` of all but the first, and how many outcomes that guess is worth. The named classics lose some 1.5 times what
/// the direct models do on the traffic series; believing less of that at the start (1.25) cost 2 % of CRPS.
const PRIOR_RATIO: f64 = 1.6;
const PRIOR_WEIGHT: f64 = 40.0;
/// How many outcomes of its own a slot needs to be heard half.
const SLOT_WEIGHT: f64 = 30.0;

//----------- Weights --------------------------------------------------------

/// Decayed losses of members at one lead, and what follows from them.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// `members × (1 + SLOTS)`: all day, then each slot.
    losses: Vec<Decayed>,
    n: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Decayed {
    mean: f32,
    weight: f32,
}

impl Decayed {
    fn take(&mut self, value: f64, elapsed_hours: f64) {
        self.weight = (1.0 + f64::from(self.weight) * 0.5f64.powf(elapsed_hours / HALF_LIFE_HOURS)) as f32;
        self.mean += (value as f32 - self.mean) / self.weight;
    }
}

impl Weights {
    /// Nothing scored; `n ≥ 1` members, the first is the one trusted to begin with.
    pub fn new(n: usize) -> Weights {
        Weights { losses: vec![Decayed::default(); n * (1 + SLOTS)], n }
    }

    /// The slot of a Unix time.
    pub fn slot(secs: i64) -> usize {
        (secs.rem_euclid(86_400) as usize * SLOTS) / 86_400
    }

    /// Takes in the loss of each member at one outcome in `slot`; `None` where it said nothing.
    /// `elapsed_hours`: since the last.
    pub fn score(&mut self, losses: impl IntoIterator<Item = Option<f64>>, slot: usize, elapsed_hours: f64) {
        for (i, loss) in losses.into_iter().enumerate().take(self.n) {
            let Some(loss) = loss else { continue };
            self.losses[i * (1 + SLOTS)].take(loss, elapsed_hours);
            // Outcomes of one slot come in a quarter of the day: time passes for it at a quarter of the pace.
            self.losses[i * (1 + SLOTS) + 1 + slot].take(loss, elapsed_hours / SLOTS as f64);
        }
    }

    /// The decayed mean loss of member `i`; `None` before it was scored.
    pub fn loss(&self, i: usize) -> Option<f64> {
        let all = self.losses[i * (1 + SLOTS)];
        (all.weight > 0.0).then_some(f64::from(all.mean))
    }

    /// Writes them for [`restore`](Weights::restore).
    pub fn save(&self, to: &mut Writer) {
        to.list(self.losses.iter(), |to, l| {
            to.f32(l.mean);
            to.f32(l.weight);
        });
    }

    /// Takes what was saved; `None`, and nothing is changed, if that is of another number of members.
    pub fn restore(&mut self, saved: &mut Reader) -> Option<()> {
        let losses = saved.list(|r| Some(Decayed { mean: r.f32()?, weight: r.f32()? }))?;
        self.losses = Some(losses).filter(|losses| losses.len() == self.losses.len())?;
        Some(())
    }

    /// Bytes held besides itself.
    pub fn size(&self) -> usize {
        self.losses.capacity() * size_of::<Decayed>()
    }

    /// Weights in `slot` of the members that are `there`, summing to 1, 0 for the others. Before anything
    /// was scored the first of them has nearly all.
    pub fn weights(&self, there: &[bool], slot: usize) -> Vec<f64> {
        let lead = (0..self.n).find(|i| there[*i]).unwrap_or(0);
        let main = f64::from(self.losses[lead * (1 + SLOTS)].mean);
        let expected = |i: usize| {
            let all = self.losses[i * (1 + SLOTS)];
            let own = self.losses[i * (1 + SLOTS) + 1 + slot];
            let prior = if i == lead { main } else { main * PRIOR_RATIO };
            let weight = f64::from(all.weight);
            let day = (weight * f64::from(all.mean) + PRIOR_WEIGHT * prior) / (weight + PRIOR_WEIGHT);
            let heard = f64::from(own.weight) / (f64::from(own.weight) + SLOT_WEIGHT);
            day + heard * (f64::from(own.mean) - f64::from(all.mean))
        };
        let losses: Vec<f64> =
            (0..self.n).map(|i| if there[i] { expected(i).max(0.0) } else { f64::INFINITY }).collect();
        let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
        let n_there = there.iter().filter(|t| **t).count();
        let weigh = |(i, loss): (usize, &f64)| match (there[i], least > 0.0 && least.is_finite()) {
            (false, _) => 0.0,
            (true, true) => (least / loss).powf(POWER),
            // Nobody ever lost anything, or nobody was judged.
            (true, false) => f64::from(u8::from(i == lead)),
        };
        let raw: Vec<f64> = losses.iter().enumerate().map(weigh).collect();
        let sum: f64 = raw.iter().sum::<f64>().max(f64::MIN_POSITIVE);
        let room = 1.0 - FLOOR * n_there.saturating_sub(1) as f64;
        let floored = |(i, w): (usize, &f64)| match there[i] {
            false => 0.0,
            true if n_there == 1 => 1.0,
            true => (FLOOR * (n_there - 1) as f64 / n_there as f64) + room * w / sum,
        };
        raw.iter().enumerate().map(floored).collect()
    }
}

/// The mean of quantile functions with these weights, which sum to 1; `None` where none has a say.
pub fn mean(curves: &[Option<[f32; N_LEVELS]>], weights: &[f64]) -> Option<Quantiles> {
    let mut sum = [0.0; N_LEVELS];
    let mut all = 0.0;
    for (curve, w) in curves.iter().zip(weights) {
        if let Some(curve) = curve.filter(|_| *w > 0.0) {
            sum.iter_mut().zip(curve).for_each(|(s, v)| *s += w * f64::from(v));
            all += w;
        }
    }
    (all > 0.0).then(|| Quantiles::new(sum.map(|s| s / all)))
}

/// Mean pinball loss of values at the levels once `outcome` is known.
pub fn loss(curve: &[f32; N_LEVELS], outcome: f64) -> f64 {
    let at = |(q, v): (&f64, &f32)| crate::forecast::quantiles::pinball(*q, f64::from(*v), outcome);
    LEVELS.iter().zip(curve).map(at).sum::<f64>() / N_LEVELS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights_after(n: usize, losses: [Option<f64>; 3]) -> Vec<f64> {
        let mut weights = Weights::new(3);
        (0..n).for_each(|_| weights.score(losses, 1, 0.1));
        weights.weights(&losses.map(|l| l.is_some()), 1)
    }

    #[test]
    fn the_better_is_heard() {
        for (n, losses, least, most) in [
            (0, [Some(1.0), Some(9.0), Some(9.0)], 0.98, 1.0),
            (400, [Some(1.0), Some(2.0), Some(2.0)], 0.98, 1.0),
            (400, [Some(1.0), Some(1.0), Some(2.0)], 0.4, 0.75),
            (400, [Some(2.0), Some(1.0), Some(2.0)], 0.0, 0.05),
            (400, [None, Some(1.0), Some(3.0)], 0.0, 0.0),
            (400, [Some(0.0), Some(0.0), Some(3.0)], 0.33, 1.0),
        ] {
            let w = weights_after(n, losses);
            assert!((least..=most).contains(&w[0]), "{losses:?}: {w:?}");
            assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{w:?}");
            assert!(w.iter().zip(losses).all(|(w, l)| (*w > 0.0) == l.is_some()), "{w:?}");
        }
    }

    #[test]
    fn a_day_halves_the_past() {
        let mut seen = Decayed::default();
        seen.take(3.0, 0.0);
        seen.take(0.0, 24.0);
        assert!((seen.mean - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_mean_is_level_by_level() {
        let curve = |v: f32| Some([v; N_LEVELS]);
        assert_eq!(mean(&[curve(1.0), None, curve(4.0)], &[0.5, 0.25, 0.25]), Some(Quantiles::certain(2.0)));
        assert_eq!(mean(&[None, None], &[0.5, 0.5]), None);
    }
}
