//! Champion and challengers: ways of combining that run side by side, and the test that swaps them.
//!
//! All are scored on the same outcomes. A challenger takes over when the mean of the paired differences is
//! above 0 by Diebold and Mariano's test (1995) with the small-sample correction and Student's distribution
//! of Harvey, Leybourne and Newbold (1997):
//!
//! ```text
//! d = loss of champion − loss of challenger,  n of them,  h = lead in steps of scoring
//! V = (γ₀ + 2·Σ_{k<h} γₖ)/n        S = mean(d)/√V · √((n + 1 − 2h + h(h−1)/n)/n)  ~  t(n−1)
//! ```

use crate::forecast::saved::{Reader, Writer};
use std::collections::VecDeque;

/// Differences kept. Our choice: three hours at every second minute, sixteen at every second of five minutes.
const KEPT: usize = 96;
/// Least differences for a test.
const LEAST: usize = 48;
/// Probability of so great a mean by chance at which a challenger takes over. Small, since it is asked again
/// after every outcome.
const SIGNIFICANT: f64 = 0.005;

/// How members become one forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The first member alone.
    Alone,
    /// All, weighted by recent loss.
    Weighted,
    /// The first member and the best of the others, evenly.
    Paired,
}

/// All ways, in the order of their losses.
pub const WAYS: [Way; 3] = [Way::Alone, Way::Weighted, Way::Paired];

impl Way {
    /// What people read.
    pub fn name(self) -> &'static str {
        match self {
            Way::Alone => "alone",
            Way::Weighted => "weighted",
            Way::Paired => "paired",
        }
    }
}

//----------- Contest --------------------------------------------------------

/// Who speaks at one lead, and how the others would have done.
#[derive(Clone, Debug, PartialEq)]
pub struct Contest {
    champion: Way,
    losses: VecDeque<[f32; WAYS.len()]>,
    /// How often a challenger took over.
    pub promotions: u32,
}

impl Contest {
    /// Nothing seen; `champion` speaks.
    pub fn new(champion: Way) -> Contest {
        Contest { champion, losses: VecDeque::new(), promotions: 0 }
    }

    /// Who speaks.
    pub fn champion(&self) -> Way {
        self.champion
    }

    /// Takes in what each of [`WAYS`] lost at one outcome, and swaps the champion where the test says so.
    ///
    /// `h`: the lead in steps of scoring, at least 1: neighbouring losses within it are not independent.
    pub fn score(&mut self, losses: [f64; WAYS.len()], h: usize) {
        if self.losses.len() == KEPT {
            self.losses.pop_front();
        }
        self.losses.push_back(losses.map(|l| l as f32));
        let best = WAYS.into_iter().map(|way| (way, self.chance(way, h))).min_by(|a, b| a.1.total_cmp(&b.1));
        if let Some((way, _)) = best.filter(|(_, chance)| *chance < SIGNIFICANT) {
            (self.champion, self.promotions) = (way, self.promotions + 1);
            self.losses.clear();
        }
    }

    /// The probability that a way no better than the champion would have won by so much; 1 for the champion
    /// itself and while too little was seen.
    pub fn chance(&self, way: Way, h: usize) -> f64 {
        let place = |way: Way| WAYS.iter().position(|w| *w == way).unwrap_or(0);
        let (ours, theirs) = (place(self.champion), place(way));
        if self.losses.len() < LEAST.max(2 * h + 2) || ours == theirs {
            return 1.0;
        }
        let d: Vec<f64> = self.losses.iter().map(|l| f64::from(l[ours]) - f64::from(l[theirs])).collect();
        diebold_mariano(&d, h)
    }

    /// Mean loss of each of [`WAYS`] over what is kept; `None` before anything was scored.
    pub fn means(&self) -> Option<[f64; WAYS.len()]> {
        let n = self.losses.len() as f64;
        let mean = |i: usize| self.losses.iter().map(|l| f64::from(l[i])).sum::<f64>() / n;
        (n > 0.0).then(|| std::array::from_fn(mean))
    }

    /// Writes it for [`restore`](Contest::restore).
    pub fn save(&self, to: &mut Writer) {
        to.u32(WAYS.iter().position(|w| *w == self.champion).unwrap_or(0));
        to.u32(self.promotions as usize);
        to.list(self.losses.iter(), |to, losses| losses.iter().for_each(|l| to.f32(*l)));
    }

    /// Reads what was saved.
    pub fn restore(saved: &mut Reader) -> Option<Contest> {
        let (champion, promotions) = (*WAYS.get(saved.u32()?)?, saved.u32()? as u32);
        let losses = saved.list(|r| Some([r.f32()?, r.f32()?, r.f32()?]))?;
        (losses.len() <= KEPT).then(|| Contest { champion, losses: losses.into(), promotions })
    }

    /// Bytes held besides itself.
    pub fn size(&self) -> usize {
        self.losses.capacity() * size_of::<[f32; WAYS.len()]>()
    }
}

/// One-sided probability, under a mean of 0, of a mean as high as that of `d`; see the module. 1 where
/// nothing differs, and where the estimate of the variance is not above 0 that of independent differences
/// is taken.
pub fn diebold_mariano(d: &[f64], h: usize) -> f64 {
    let (n, h) = (d.len() as f64, h.max(1) as f64);
    let mean = d.iter().sum::<f64>() / n;
    let gamma = |k: usize| d.iter().zip(&d[k..]).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>() / n;
    let own = gamma(0);
    if own <= 0.0 || n < 3.0 {
        return if n >= 3.0 && mean > 0.0 { 0.0 } else { 1.0 };
    }
    let long_run = own + 2.0 * (1..(h as usize).min(d.len())).map(gamma).sum::<f64>();
    let variance = if long_run > 0.0 { long_run } else { own } / n;
    let correction = ((n + 1.0 - 2.0 * h + h * (h - 1.0) / n) / n).max(0.0).sqrt();
    above_student(mean / variance.sqrt() * correction, n - 1.0)
}

/// Probability that a Student t with `df ≥ 2` lies above `t`: the normal at Wallace's argument (Abramowitz
/// and Stegun 26.7.8), within 0.001 for `df ≥ 20`.
fn above_student(t: f64, df: f64) -> f64 {
    let z = t * (1.0 - 1.0 / (4.0 * df)) / (1.0 + t * t / (2.0 * df)).sqrt();
    let tail = normal_tail(z.abs());
    if z >= 0.0 { tail } else { 1.0 - tail }
}

/// Probability that a standard normal lies above `z ≥ 0` (Abramowitz and Stegun 26.2.17, within 7.5e-8).
pub fn normal_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let sum =
        t * (0.319_381_530 + t * (-0.356_563_782 + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: u64) -> f64 {
        (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1u64 << 24) as f64 - 0.5
    }

    /// Values of R's `pt(t, df, lower.tail = FALSE)`.
    #[test]
    fn student_tails() {
        for (t, df, p) in [(0.0, 30.0, 0.5), (2.0, 30.0, 0.027_313), (-1.0, 47.0, 0.838_818), (3.0, 95.0, 0.001_723)] {
            assert!((above_student(t, df) - p).abs() < 1e-3, "{t} {df}: {}", above_student(t, df));
        }
    }

    /// By hand: d = 1, 2, 3, 4; mean 2.5, γ₀ = 1.25, V = 0.3125, S = 4.472·√(3/4) = 3.873 (h = 1).
    #[test]
    fn the_statistic_of_four_differences() {
        assert!((diebold_mariano(&[1.0, 2.0, 3.0, 4.0], 1) - above_student(3.872_983, 3.0)).abs() < 1e-6);
    }

    /// A way that is better by a tenth takes over; one that differs by noise alone does not.
    #[test]
    fn only_a_better_challenger_is_promoted() {
        for (gain, promoted) in [(0.1, true), (0.0, false), (-0.1, false)] {
            let mut contest = Contest::new(Way::Alone);
            for i in 0..90 {
                let loss = 1.0 + noise(i);
                contest.score([loss, loss * (1.0 - gain) + 0.1 * noise(i + 7_000), loss * 1.5], 4);
            }
            assert_eq!(contest.champion() == Way::Weighted, promoted, "{gain}");
        }
    }

    #[test]
    fn equal_losses_change_nothing() {
        let mut contest = Contest::new(Way::Weighted);
        (0..200).for_each(|_| contest.score([0.0; WAYS.len()], 8));
        assert_eq!((contest.champion(), contest.promotions), (Way::Weighted, 0));
    }
}
