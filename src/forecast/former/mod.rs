//! The former forecaster, which the control loop uses until it goes over to [`engine`](crate::forecast::engine):
//! members, their records, and the combination.

pub mod ets;
pub mod naive;
pub mod track;

use crate::forecast::former::ets::{DampedTrend, FittedDampedTrend, MAX_FIT};
use crate::forecast::former::naive::seasonal_naive;
use crate::forecast::former::track::Track;
use crate::forecast::quantiles::{LEVELS, NORMAL, Quantiles};
use std::collections::VecDeque;

/// The leads whose errors are recorded; others take the record of the next lower one, scaled.
const LEADS: [usize; 6] = [1, 2, 5, 10, 15, 30];
/// Cycles of history kept beyond one, so that a gap in the last can be bridged.
const CYCLES: usize = 2;
/// Observations between fits of the smoothing model. Our choice: its parameters change slowly, its
/// state follows every observation.
const REFIT_EVERY: usize = 60;
/// Remembered values that members are judged by. Our choice: three hours of minutes, enough at every lead, some milliseconds.
const RECALLED: usize = 180;
/// Seconds after which a past loss counts half when members are weighed.
const LOSS_HALF_LIFE_SECS: f64 = 86_400.0;
/// Weights fall with this power of the loss: a member twice as bad has an eighth of the weight.
const LOSS_POWER: i32 = 3;
/// No member falls below this weight, so that it can come back.
const WEIGHT_FLOOR: f64 = 0.02;

//----------- Forecaster -----------------------------------------------------

/// Forecasts one series. Give it one observation per step; ask at any time.
///
/// Adding a constant to the series adds it to every quantile, and scaling the series scales them, as
/// long as nothing meets the bound at 0. Same observations, same forecasts.
#[derive(Clone, Debug)]
pub struct Forecaster {
    history: VecDeque<Option<f64>>,
    kept: usize,
    decay: f64,
    members: Vec<Member>,
    ets: Option<FittedDampedTrend>,
    since_fit: usize,
}

#[derive(Clone, Debug)]
struct Member {
    method: Method,
    /// Parallel to [`LEADS`].
    tracks: Vec<Track>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Method {
    Seasonal(usize),
    Ets,
}

impl Forecaster {
    /// A forecaster that has seen nothing.
    ///
    /// `step_secs`: seconds per step, above 0. `seasons`: steps per cycle of each season, such as 1440
    /// for a day of minutes; 0 and 1 are left out, since the last value is always a member.
    pub fn new(step_secs: f64, seasons: Vec<usize>) -> Forecaster {
        let longest = seasons.iter().copied().max().unwrap_or(1).max(1);
        let naive = std::iter::once(1).chain(seasons.into_iter().filter(|s| *s > 1)).map(Method::Seasonal);
        let members = naive
            .chain([Method::Ets])
            .map(|method| Member { method, tracks: LEADS.iter().map(|lead| Track::new(*lead)).collect() });
        Forecaster {
            history: VecDeque::new(),
            kept: (longest * CYCLES).max(MAX_FIT),
            decay: 0.5f64.powf(step_secs / LOSS_HALF_LIFE_SECS),
            members: members.collect(),
            ets: None,
            since_fit: 0,
        }
    }

    /// Takes in the value of the next step; `None`, NaN and infinities are gaps.
    pub fn observe(&mut self, value: Option<f64>) {
        let value = value.filter(|v| v.is_finite());
        for track in self.members.iter_mut().flat_map(|m| &mut m.tracks) {
            track.score(value, self.decay);
        }
        if self.history.len() == self.kept {
            self.history.pop_front();
        }
        self.history.push_back(value);
        self.follow(value);
        let history = self.history.make_contiguous();
        for member in &mut self.members {
            for (track, lead) in member.tracks.iter_mut().zip(LEADS) {
                track.issue(member.method.point(history, self.ets.as_ref(), lead));
            }
        }
    }

    /// Takes in what was seen before: all of it as history, and the latest [`RECALLED`] values as if they came now.
    pub fn recall(&mut self, values: &[Option<f64>]) {
        let (old, latest) = values.split_at(values.len().saturating_sub(RECALLED));
        let kept = old.len().min(self.kept);
        self.history.extend(old[old.len() - kept..].iter().map(|value| value.filter(|v| v.is_finite())));
        while self.history.len() > self.kept {
            self.history.pop_front();
        }
        latest.iter().for_each(|value| self.observe(*value));
    }

    /// Steps the smoothing model, and fits it anew when its time has come.
    fn follow(&mut self, value: Option<f64>) {
        if let Some(ets) = &mut self.ets {
            ets.observe(value);
        }
        self.since_fit += 1;
        if self.ets.is_some() && self.since_fit < REFIT_EVERY {
            return;
        }
        let recent = self.history.len().saturating_sub(MAX_FIT);
        let known: Vec<f64> = self.history.iter().skip(recent).copied().flatten().collect();
        if let Some(fitted) = DampedTrend.fit(&known) {
            self.ets = Some(fitted);
        }
        self.since_fit = 0;
    }

    /// The distribution at each of `leads`, in steps from the last observation, at least 1.
    ///
    /// Before anything was observed every value is 0; after a single one the quantiles reach from 0 to
    /// beyond twice that: it is honest to know nothing.
    pub fn forecast(&self, leads: &[usize]) -> Vec<Quantiles> {
        let (front, back) = self.history.as_slices();
        let joined: Vec<Option<f64>>;
        let history = match back.is_empty() {
            true => front,
            false => {
                joined = [front, back].concat();
                &joined
            }
        };
        leads.iter().map(|lead| self.at_lead(history, (*lead).max(1))).collect()
    }

    /// Forecasts scored at the longest recorded lead that is not above `lead`: how much its quantiles
    /// rest on experience.
    pub fn n_scored(&self, lead: usize) -> usize {
        let (slot, _) = recorded(lead);
        self.members.iter().map(|m| m.tracks[slot].n_scored()).max().unwrap_or(0)
    }

    fn at_lead(&self, history: &[Option<f64>], lead: usize) -> Quantiles {
        let (slot, stretch) = recorded(lead);
        let mut sum = [0.0; LEVELS.len()];
        let mut weights = 0.0;
        for (member, weight) in self.members.iter().zip(self.weights(slot)) {
            let track = &member.tracks[slot];
            let point = member.method.point(history, self.ets.as_ref(), lead);
            let (Some(point), Some(offsets)) = (point, track.offsets()) else { continue };
            for (s, o) in sum.iter_mut().zip(offsets) {
                *s += weight * (point + stretch * o);
            }
            weights += weight;
        }
        match weights > 0.0 {
            true => Quantiles::new(sum.map(|s| (s / weights).max(0.0))),
            false => self.cold(history, lead),
        }
    }

    /// Weights of the members by their loss at a recorded lead, on no particular scale.
    fn weights(&self, slot: usize) -> Vec<f64> {
        let losses: Vec<Option<f64>> = self.members.iter().map(|m| m.tracks[slot].loss()).collect();
        let least = losses.iter().flatten().copied().fold(f64::INFINITY, f64::min);
        let weigh = |loss: &Option<f64>| match loss {
            Some(loss) if *loss <= least => 1.0,
            Some(loss) => (least / loss).powi(LOSS_POWER).max(WEIGHT_FLOOR),
            // Not yet judged: no more say than the least, but alone it has all.
            None => WEIGHT_FLOOR,
        };
        losses.iter().map(weigh).collect()
    }

    /// No member has been scored at this lead: a normal around the last value, as wide as the steps seen
    /// so far make a random walk, twice over; with no steps seen, as wide as the value itself.
    fn cold(&self, history: &[Option<f64>], lead: usize) -> Quantiles {
        let Some(last) = seasonal_naive(history, 1, lead) else { return Quantiles::certain(0.0) };
        let known: Vec<f64> = history.iter().rev().take(MAX_FIT).copied().flatten().collect();
        let steps: Vec<f64> = known.windows(2).map(|w| w[0] - w[1]).collect();
        let spread = match steps.len() {
            0..3 => last.abs(),
            n => 2.0 * (steps.iter().map(|s| s * s).sum::<f64>() / n as f64 * lead as f64).sqrt(),
        };
        Quantiles::new(NORMAL.map(|z| (last + z * spread).max(0.0)))
    }
}

impl Method {
    fn point(self, history: &[Option<f64>], ets: Option<&FittedDampedTrend>, lead: usize) -> Option<f64> {
        match self {
            Method::Seasonal(season) => seasonal_naive(history, season, lead),
            Method::Ets => ets.map(|m| m.point(lead)),
        }
    }
}

/// The recorded lead to use for `lead`: its position in [`LEADS`], and by how much errors grow from it
/// to there, taken as the root of the ratio (exact for a random walk).
fn recorded(lead: usize) -> (usize, f64) {
    let slot = LEADS.partition_point(|l| *l <= lead).saturating_sub(1);
    (slot, (lead as f64 / LEADS[slot] as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, n: usize) -> Vec<f64> {
        let mut state = seed;
        (0..n)
            .map(|_| {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
            })
            .collect()
    }

    fn fed(values: impl IntoIterator<Item = Option<f64>>, seasons: &[usize]) -> Forecaster {
        let mut forecaster = Forecaster::new(60.0, seasons.to_vec());
        values.into_iter().for_each(|v| forecaster.observe(v));
        forecaster
    }

    #[test]
    fn knows_nothing_before_and_little_after_one_observation() {
        assert_eq!(fed([], &[]).forecast(&[1])[0], Quantiles::certain(0.0));
        let one = fed([Some(100.0)], &[]).forecast(&[5])[0];
        assert_eq!(one.at(0.01), 0.0);
        assert!(one.at(0.5) == 100.0 && one.at(0.95) > 200.0);
    }

    #[test]
    fn a_constant_stays_a_constant() {
        let flat = fed((0..200).map(|_| Some(42.0)), &[24]);
        for quantiles in flat.forecast(&[1, 7, 30, 90]) {
            assert!(quantiles.values().iter().all(|v| (v - 42.0).abs() < 1e-6), "{quantiles:?}");
        }
        assert_eq!(fed((0..200).map(|_| Some(0.0)), &[24]).forecast(&[30])[0], Quantiles::certain(0.0));
    }

    /// Coverage on an independent stretch: stated 0.9 must hold about nine times in ten.
    #[test]
    fn stated_coverage_holds_on_a_daily_rhythm() {
        let season = 144;
        let value = |i: usize, e: f64| 1000.0 + 400.0 * (i as f64 * std::f64::consts::TAU / 144.0).sin() + 60.0 * e;
        let values: Vec<f64> = noise(3, 900).into_iter().enumerate().map(|(i, e)| value(i, e)).collect();
        let mut forecaster = fed(values[..500].iter().map(|v| Some(*v)), &[season]);
        let (mut under, mut n, mut naive, mut ours) = (0, 0, 0.0, 0.0);
        for t in 500..890 {
            let q = forecaster.forecast(&[10])[0];
            under += usize::from(values[t + 9] <= q.at(0.9));
            ours += (values[t + 9] - q.at(0.5)).abs();
            naive += (values[t + 9] - values[t - 1]).abs();
            n += 1;
            forecaster.observe(Some(values[t]));
        }
        let share = under as f64 / n as f64;
        assert!((0.84..=0.96).contains(&share), "{share}");
        assert!(ours < 0.5 * naive, "the season is used: {ours} against {naive}");
    }

    #[test]
    fn gaps_do_not_hurt() {
        let values = noise(5, 300).into_iter().enumerate().map(|(i, e)| match i % 7 {
            3 => Some(f64::NAN),
            5 => None,
            _ => Some(500.0 + 20.0 * e),
        });
        for quantiles in fed(values, &[12]).forecast(&[1, 30]) {
            assert!((480.0..520.0).contains(&quantiles.at(0.5)), "{quantiles:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Units must not matter: requests or kilorequests, counted from any base.
        #[test]
        fn shifts_and_scales_carry_through(seed: u64, shift in 0.0..1e4f64, scale in 0.01..100.0f64) {
            let base: Vec<f64> = noise(seed, 150).into_iter().map(|e| 1000.0 + 100.0 * e).collect();
            let plain = fed(base.iter().map(|v| Some(*v)), &[24]).forecast(&[1, 5, 40]);
            let moved = fed(base.iter().map(|v| Some(scale * (v + shift))), &[24]).forecast(&[1, 5, 40]);
            for (a, b) in plain.iter().zip(&moved) {
                for (a, b) in a.values().iter().zip(b.values()) {
                    prop_assert!((scale * (a + shift) - b).abs() <= 1e-3 * b.abs(), "{} {}", scale * (a + shift), b);
                }
            }
        }

        /// Whatever is observed, quantiles ascend, are finite and not negative, and repeat.
        #[test]
        fn quantiles_never_cross(
            values in prop::collection::vec(prop::option::weighted(0.9, 0.0..1e9f64), 0..200),
            lead in 1..100usize,
        ) {
            let run = || fed(values.iter().copied(), &[7, 48]).forecast(&[lead]);
            let quantiles = run()[0];
            prop_assert!(quantiles.values().windows(2).all(|w| w[0] <= w[1]));
            prop_assert!(quantiles.values().iter().all(|v| v.is_finite() && *v >= 0.0));
            prop_assert_eq!(run()[0], quantiles);
        }
    }
}
