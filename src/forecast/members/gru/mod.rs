//! A small recurrent network that says all quantiles at all leads, trained across series.
//!
//! ```text
//! last steps, each as ten numbers in local scales → gated units → quantiles of (y(t+h) − y(t)) / s(t)
//! ```
//!
//! The inputs and the scale are free of level and unit, so one network serves every series and a new series is forecast
//! from its second hour by what others taught. [`Gru::learn`] goes on from the weights it has, so training is
//! incremental and bounded by the call; a [`Gru`] that has not learnt trains on the one series it is fitted to.
//! [`net`] holds the mathematics. Same series, same order of calls, same weights: the seed is fixed.
//!
//! A gap takes the last value known, with a mark beside it, and is no target.

pub mod net;

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::member::{Fitted, Member};
use crate::forecast::members::gru::net::{Batch, Net, Shape};
use crate::forecast::members::spread::{floor, scale};
use crate::forecast::quantiles::{LEVELS, N_LEVELS, Quantiles, of_sorted};
use crate::forecast::random;
use ndarray::Array2;
use std::f64::consts::TAU;
use std::sync::Arc;

/// Numbers per step.
const INPUTS: usize = 10;
/// Steps from which a state is made, and of these the ones that are not scored in training. Our choice.
const LENGTH: usize = 36;
const WARM_UP: usize = 12;
/// Sequences per step of training.
const SEQUENCES: usize = 16;
/// Least targets to learn from.
const LEAST: usize = 300;
/// Days from which the day's pattern is an input.
const LEAST_DAYS: f64 = 1.5;
/// Days of a series that training draws from.
const DAYS: usize = 28;
/// Adam (Kingma and Ba 2015), algorithm 1, with its own defaults but the rate, which falls to a tenth over a call.
const RATE: f64 = 0.01;
const BETA: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;
/// Gradients longer than this are cut (Pascanu, Mikolov and Bengio 2013).
const MOST_SLOPE: f64 = 1.0;

//----------- Gru ------------------------------------------------------------

/// The method, with what it has learnt so far.
#[derive(Clone, Debug)]
pub struct Gru {
    /// Units.
    pub hidden: usize,
    /// Steps of training per call of [`Gru::learn`]; some 0.5 ms each in release.
    pub rounds: usize,
    learnt: Option<Learnt>,
}

#[derive(Clone, Debug)]
struct Learnt {
    net: Arc<Net>,
    leads: Vec<usize>,
    /// Adam's means of gradients and of their squares, and steps so far.
    means: Vec<f64>,
    squares: Vec<f64>,
    steps: i32,
    random: u64,
}

impl Default for Gru {
    fn default() -> Gru {
        Gru::new(12, 240)
    }
}

impl Gru {
    /// A network that has not learnt. `hidden`: units; `rounds`: steps of training per call.
    pub fn new(hidden: usize, rounds: usize) -> Gru {
        Gru { hidden, rounds, learnt: None }
    }

    /// Learns from several series at once, `rounds` steps on from what it knows. Other leads than before begin anew.
    /// Returns the mean loss of the last quarter, in local scales; `None` where there was too little to learn from.
    pub fn learn(&mut self, histories: &[&History], leads: &[usize]) -> Option<f64> {
        let rows: Vec<Rows> = histories.iter().filter_map(|h| Rows::of(h, leads)).collect();
        if rows.is_empty() {
            return None;
        }
        if self.learnt.as_ref().is_none_or(|l| l.leads != leads) {
            self.learnt = Some(Learnt::new(self.hidden, leads, &rows));
        }
        Some(self.learnt.as_mut()?.train(&rows, self.rounds))
    }
}

impl Learnt {
    fn new(hidden: usize, leads: &[usize], rows: &[Rows]) -> Learnt {
        let shape = Shape { inputs: INPUTS, hidden, outputs: leads.len() * N_LEVELS };
        let mut random = 0x5EED;
        let bound = 1.0 / (hidden as f64).sqrt();
        let weights = (0..shape.weights()).map(|_| bound * (2.0 * uniform(&mut random) - 1.0)).collect();
        let mut net = Net { shape, weights };
        let mut biases = vec![];
        for i in 0..leads.len() {
            let mut targets: Vec<f64> =
                rows.iter().flat_map(|r| r.targets.iter().map(move |t| t[i])).filter(|t| t.is_finite()).collect();
            targets.sort_unstable_by(f64::total_cmp);
            biases.extend(LEVELS.map(|q| if targets.is_empty() { 0.0 } else { of_sorted(&targets, q) }));
        }
        net.head_biases().copy_from_slice(&biases);
        let zero = vec![0.0; shape.weights()];
        Learnt { net: Arc::new(net), leads: leads.to_vec(), means: zero.clone(), squares: zero, steps: 0, random }
    }

    fn train(&mut self, rows: &[Rows], rounds: usize) -> f64 {
        let (mut late, mut count) = (0.0, 0.0);
        for round in 0..rounds {
            let batch = self.batch(rows);
            let (loss, mut gradient) = self.net.gradient(&batch);
            let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            if !length.is_finite() {
                continue;
            }
            if length > MOST_SLOPE {
                gradient.iter_mut().for_each(|g| *g *= MOST_SLOPE / length);
            }
            let rate = RATE * 0.1f64.powf(round as f64 / rounds as f64);
            self.descend(&gradient, rate);
            if 4 * round >= 3 * rounds {
                (late, count) = (late + loss, count + 1.0);
            }
        }
        late / f64::max(count, 1.0)
    }

    fn descend(&mut self, gradient: &[f64], rate: f64) {
        self.steps += 1;
        let (a, b) = (1.0 - BETA.0.powi(self.steps), 1.0 - BETA.1.powi(self.steps));
        let weights = &mut Arc::make_mut(&mut self.net).weights;
        for (i, g) in gradient.iter().enumerate() {
            self.means[i] = BETA.0 * self.means[i] + (1.0 - BETA.0) * g;
            self.squares[i] = BETA.1 * self.squares[i] + (1.0 - BETA.1) * g * g;
            weights[i] -= rate * (self.means[i] / a) / ((self.squares[i] / b).sqrt() + EPSILON);
        }
    }

    /// Sequences from random places of random series.
    fn batch(&mut self, rows: &[Rows]) -> Batch {
        let places: Vec<(&Rows, usize)> = (0..SEQUENCES)
            .map(|_| {
                let rows = &rows[below(&mut self.random, rows.len())];
                (rows, below(&mut self.random, rows.inputs.len() - LENGTH + 1))
            })
            .collect();
        let input =
            |k: usize| Array2::from_shape_fn((SEQUENCES, INPUTS), |(s, i)| places[s].0.inputs[places[s].1 + k][i]);
        let leads = self.leads.len();
        let target = |k: usize| match k < WARM_UP {
            true => Array2::from_elem((SEQUENCES, leads), f64::NAN),
            false => Array2::from_shape_fn((SEQUENCES, leads), |(s, i)| places[s].0.targets[places[s].1 + k][i]),
        };
        Batch { inputs: (0..LENGTH).map(input).collect(), targets: (0..LENGTH).map(target).collect() }
    }
}

/// The next number, in `[0, 1)`.
fn uniform(state: &mut u64) -> f64 {
    (random::next(state) >> 11) as f64 / (1u64 << 53) as f64
}

fn below(state: &mut u64, n: usize) -> usize {
    (uniform(state) * n as f64) as usize
}

//----------- Rows -----------------------------------------------------------

/// One series as the network sees it, step by step.
struct Rows {
    inputs: Vec<[f64; INPUTS]>,
    /// Per step, one per lead; NaN where it was not known.
    targets: Vec<Vec<f64>>,
}

impl Rows {
    fn of(h: &History, leads: &[usize]) -> Option<Rows> {
        let (n, longest) = (h.len(), leads.last().copied()?);
        let from = first(h).max(n.saturating_sub(DAYS * h.day.len));
        if n < from + longest + LEAST.max(LENGTH) || h.movement(from, n) <= 0.0 {
            return None;
        }
        let least = floor(h);
        let target = |t: usize, lead: usize| match h.known(t) && h.known(t + lead) {
            true => (h.y(t + lead) - h.y(t)) / scale(h, t, least),
            false => f64::NAN,
        };
        let steps = from..n - longest;
        Some(Rows {
            inputs: steps.clone().map(|t| inputs(h, t, least, longest)).collect(),
            targets: steps.map(|t| leads.iter().map(|lead| target(t, *lead)).collect()).collect(),
        })
    }
}

/// The first step with an hour behind it.
fn first(h: &History) -> usize {
    h.begin() + (h.day.len / 24).max(12) + 1
}

/// What is said of step `t ≥` [`first`] to the network; `longest` is the longest lead.
fn inputs(h: &History, t: usize, least: f64, longest: usize) -> [f64; INPUTS] {
    let (s, y, day) = (scale(h, t, least), h.y(t), h.day.len);
    let since = |k: usize| h.mean((t + 1).saturating_sub(k).max(h.first()), t + 1);
    // Roots of differences: one spike must not drown the rest.
    let over = |v: f64| (v / s).asinh();
    let ahead = |lead: usize| {
        let then = (t + lead).saturating_sub(day * lead.div_ceil(day));
        let (now, reach) = (then.saturating_sub(lead), (day / 144).max(1));
        match now >= h.begin() + reach && (t - h.begin()) as f64 >= LEAST_DAYS * day as f64 {
            true => over(h.day.smooth(then, reach, t) - h.day.smooth(now, reach, t)),
            false => 0.0,
        }
    };
    let turn = TAU * h.secs(t).rem_euclid(86_400) as f64 / 86_400.0;
    [
        over(y - h.y(t - 1)),
        over(y - since(5)),
        over(y - since((day / 24).max(12))),
        over(y - since(day)),
        (h.movement(t - 2, t + 1) / s + 0.05).ln(),
        ahead((longest / 3).max(1)),
        ahead(longest),
        turn.sin(),
        turn.cos(),
        if h.known(t) { 0.0 } else { 1.0 },
    ]
}

//----------- As a member ----------------------------------------------------

/// A trained network put to one series.
#[derive(Clone, Debug)]
pub struct FittedGru {
    net: Arc<Net>,
    leads: Vec<usize>,
    least: f64,
    /// The step last followed to, and the units after it.
    now: (usize, Vec<f64>),
}

impl Member for Gru {
    type Fitted = FittedGru;

    fn name(&self) -> &'static str {
        "gru"
    }

    /// With a network that has learnt for these leads: as it is. Else it learns from this series alone, which must have some
    /// 300 steps.
    fn fit(&self, h: &History, _: &Known, leads: &[usize]) -> Option<FittedGru> {
        if h.len() <= first(h) {
            return None;
        }
        let learnt = match self.learnt.as_ref().filter(|l| l.leads == leads) {
            Some(learnt) => learnt.clone(),
            None => {
                let mut own = Gru::new(self.hidden, self.rounds);
                own.learn(&[h], leads)?;
                own.learnt?
            }
        };
        let net = learnt.net;
        let mut fitted = FittedGru { net, leads: leads.to_vec(), least: floor(h), now: (0, vec![]) };
        fitted.now = (h.len() - 1, fitted.warm(h, h.len() - 1));
        Some(fitted)
    }
}

impl FittedGru {
    fn warm(&self, h: &History, t: usize) -> Vec<f64> {
        let mut hidden = vec![0.0; self.net.shape.hidden];
        (t.saturating_sub(LENGTH).max(first(h))..=t).for_each(|t| self.step(&mut hidden, h, t));
        hidden
    }

    fn step(&self, hidden: &mut Vec<f64>, h: &History, t: usize) {
        let longest = self.leads.last().copied().unwrap_or(1);
        self.net.step(hidden, inputs(h, t, self.least, longest).to_vec());
    }
}

impl Fitted for FittedGru {
    fn follow(&mut self, history: &History, t: usize) {
        let mut hidden = match t >= self.now.0 && t - self.now.0 <= LENGTH {
            true => std::mem::take(&mut self.now.1),
            false => self.warm(history, t),
        };
        let from = if t >= self.now.0 && t - self.now.0 <= LENGTH { self.now.0 + 1 } else { t + 1 };
        (from..=t).for_each(|t| self.step(&mut hidden, history, t));
        self.now = (t, hidden);
    }

    fn at(&self, history: &History, _: &Known, t: usize, lead: usize) -> Option<Quantiles> {
        if t < first(history) {
            return None;
        }
        let lead_idx = self.leads.iter().position(|l| *l == lead)?;
        let outputs = match t == self.now.0 {
            true => self.net.outputs(&self.now.1, lead_idx),
            false => self.net.outputs(&self.warm(history, t), lead_idx),
        };
        let scale = scale(history, t, self.least);
        let values = outputs.map(|o| history.y(t) + scale * o);
        values.iter().all(|v| v.is_finite()).then(|| Quantiles::new(values))
    }

    fn size(&self) -> usize {
        // The network is shared.
        size_of::<Self>() + 8 * (self.leads.len() + self.now.1.len())
    }

    fn boxed(&self) -> Box<dyn Fitted> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A saw of 24 steps with a little noise: what comes next depends on the place in it.
    fn saw(n: usize, unit: f64) -> History {
        let mut h = History::new(0, 3600);
        let mut random = 3;
        (0..n).for_each(|i| h.push(unit * ((i % 17) as f64 + 0.3 * uniform(&mut random))));
        h
    }

    fn loss(fitted: &FittedGru, h: &History) -> f64 {
        let steps = h.len() - 60..h.len() - 2;
        let n = steps.len() as f64;
        steps.map(|t| fitted.at(h, Known::NOTHING, t, 2).unwrap().loss(h.y(t + 2))).sum::<f64>() / n
    }

    /// Learning must go down, from call to call, and reach a net that reads the saw.
    #[test]
    fn it_learns_and_goes_on_learning() {
        let h = saw(700, 1.0);
        let mut gru = Gru::new(5, 40);
        let first = gru.learn(&[&h], &[2]).unwrap();
        let then = (0..2).filter_map(|_| gru.learn(&[&h], &[2])).last().unwrap();
        assert!(then < 0.9 * first, "{first} {then}");
    }

    /// What one series taught holds for another of the same shape in another unit, without a fit.
    #[test]
    fn one_network_serves_other_series() {
        let (a, b, young) = (saw(700, 1.0), saw(700, 1000.0), saw(120, 50.0));
        let mut gru = Gru::new(5, 40);
        gru.learn(&[&a], &[2]);
        let at = |h: &History| gru.fit(h, Known::NOTHING, &[2]).unwrap();
        let (on_a, on_b) = (loss(&at(&a), &a), loss(&at(&b), &b) / 1000.0);
        assert!((on_a - on_b).abs() < 0.05 * on_a, "{on_a} {on_b}");
        assert!(loss(&at(&young), &young) / 50.0 < 1.5 * on_a);
    }

    #[test]
    fn the_young_and_the_constant_teach_nothing() {
        let mut still = History::new(0, 60);
        (0..900).for_each(|_| still.push(5.0));
        assert_eq!(Gru::default().learn(&[&still, &saw(40, 1.0), &History::new(0, 60)], &[1]), None);
    }
}
