//! One event from its announcement to its end: what is expected of it, and what came.
//!
//! Until telemetry says something, the size is log-normal around what was announced, and it comes on time with the confidence
//! it has. From 20 minutes before the announced start on, what is asked beyond what is usual is held against a set of
//! hypotheses, bin by bin: it begins at one of 41 minutes within ±20, its decay has one of twelve forms, it is passed along as
//! announced or much more, or it does not come at all. Each hypothesis keeps
//!
//! - a Gamma posterior of the size, `α ← α₀ + Σ ω^… N/φ`, `β ← β₀ + Σ ω^… k/φ` with `N` the requests of a bin beyond the usual, `k` the
//!   part of the whole that the curve has in the bin, `ω = 0.98`, and `φ` how much noisier than Poisson a bin is;
//! - a weight, its prior times the likelihood of every bin given the bins before it, forgotten at the same pace (a mixture of
//!   experts; Hedge with the logarithmic loss).
//!
//! So early, late, larger and smaller ones, and those that do not come, are one computation: a change-point matched by the form
//! of the curve. Above it stands a plain rule, because a model can be wrong: from five minutes after the start on, while
//! less than 30 % of what was expected has come in the last five, what is planned for is halved every five minutes.

use crate::events::announcement::{Announcement, Size};
use crate::events::curve::Curve;
use crate::events::kind::{FORMS, Learnt, Lesson};
use crate::events::response::Shape;
use crate::events::spread::Spread;
use crate::forecast::quantiles::Quantiles;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Seconds of one bin.
pub const BIN_SECS: f64 = 15.0;
/// How early and how late a beginning is recognised, seconds.
pub const REACH_SECS: f64 = 1200.0;
/// Seconds between beginnings that are told apart.
const SHIFT_SECS: f64 = 60.0;
/// Hypotheses lighter than this are not worth a word in a distribution.
const LIGHT: f64 = 1e-5;
/// Prior probability that it begins at another minute than announced. Our choice: half early, so that the 0.9 quantile
/// before the start is that of an event on time.
const OFF_TIME: f64 = 0.16;
/// Scale of how far off it then is, seconds.
const OFF_SCALE_SECS: f64 = 300.0;
/// Forgetting per bin.
const FORGET: f64 = 0.98;
/// From so many seconds after the start on, truth rules.
const TRUTH_SECS: f64 = 300.0;
/// Part of what was expected under which it is taken to be too bold.
const TOO_BOLD: f64 = 0.3;
/// Part of what was announced under which nothing has come.
const TRACE: f64 = 0.03;
/// What is usual is not known better than this share of it.
const USUAL_ERROR: f64 = 0.03;
/// A curve fits no better than this share of it.
const CURVE_ERROR: f64 = 0.15;
/// Pass-along of the hypotheses that it goes viral, and their prior probability.
const VIRAL: (f64, f64) = (0.75, 0.05);
/// An event is over when it asks for less than this share of what is usual.
const FAINT: f64 = 0.01;
/// Seconds after the start from which on one that is new has spoilt what would be usual.
const TOO_LATE_SECS: f64 = 120.0;
/// Bins for which it must be faint.
const FAINT_BINS: u32 = 40;
/// Probability of "not coming" from which on it is given up, once nothing can be late enough.
const SURELY_ABSENT: f64 = 0.95;

//----------- Follower -------------------------------------------------------

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Follower {
    /// What was announced.
    pub announcement: Arc<Announcement>,
    hypotheses: Vec<Hypothesis>,
    /// Log of the prior probability that it does not come, and log-likelihood of that.
    absent: [f64; 2],
    /// `α₀`, `β₀` of the size in requests; its mean is their quotient.
    prior: [f64; 2],
    /// What was announced in requests, without what was learnt of its kind.
    announced: f64,
    /// Part of what is expected that is still believed, in `[0, 1]`.
    trust: f64,
    /// Requests beyond the usual, expected at the matched start, and the noise (standard deviation) of each of the last bins.
    recent: VecDeque<[f64; 3]>,
    /// Requests beyond the usual so far, expected so far of the prior, and the variance of the first.
    came: [f64; 3],
    /// How much noisier than Poisson bins are.
    noise: f64,
    faint: u32,
    phase: Phase,
    /// The phase that was told last.
    told: Phase,
    /// It was followed too late after its start to know what would be usual.
    late: bool,
    /// Of each form, as announced and viral; made anew after a restart.
    #[serde(skip)]
    curves: Vec<Curve>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Hypothesis {
    /// Position in `curves`.
    curve: u8,
    /// Seconds after the announced start.
    shift: f64,
    /// Log prior, and log-likelihood.
    weight: [f64; 2],
    /// `Σ ω^… N/φ` and `Σ ω^… k/φ`.
    seen: [f64; 2],
}

/// Where an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It has not begun, as far as is known.
    #[default]
    Waiting,
    /// What came says that it has begun.
    Running,
    /// It should have begun, and less than 30 % of it came: less and less is planned for it.
    Doubted,
    /// It did not come.
    Absent,
    /// It came and is over.
    Over,
}

/// One bin of what was asked of a group, requests per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Unix seconds of its end.
    pub until: f64,
    /// Mean demand.
    pub demand: f64,
    /// Demand that would be usual, other events included; `None` where nobody knows.
    pub usual: Option<f64>,
}

impl Follower {
    /// Begins to follow. `usual`: what the group is asked for at the time of the start without the event, requests per second.
    pub fn new(announcement: Arc<Announcement>, learnt: &Learnt, usual: f64) -> Follower {
        let mut follower = Follower {
            hypotheses: vec![],
            absent: [0.0; 2],
            prior: [1.0; 2],
            announced: 0.0,
            trust: 1.0,
            recent: VecDeque::new(),
            came: [0.0; 3],
            noise: 1.0,
            faint: 0,
            phase: Phase::Waiting,
            told: Phase::Waiting,
            late: false,
            curves: vec![],
            announcement,
        };
        follower.equip();
        let peak = follower.curves[0].peak().1;
        follower.announced = match follower.announcement.size {
            Size::Requests(requests) => requests,
            Size::Peak(rate) => rate / peak,
            Size::Times(times) => (times - 1.0) * usual / peak,
        };
        let sigma = learnt.sigma();
        let mean = follower.announced * (learnt.bias() + sigma * sigma / 2.0).exp();
        let alpha = 1.0 / (sigma * sigma).exp_m1();
        follower.prior = [alpha, alpha / mean.max(1e-9)];
        let comes = follower.announcement.confidence.unwrap_or(learnt.comes());
        follower.absent = [(1.0 - comes).max(1e-3).ln(), 0.0];
        let reach = (REACH_SECS / SHIFT_SECS) as i32;
        let off = |minute: i32| (-f64::from(minute.abs()) * SHIFT_SECS / OFF_SCALE_SECS).exp();
        let all_off: f64 = (-reach..=reach).filter(|m| *m != 0).map(off).sum();
        for minute in -reach..=reach {
            let on_time = if minute == 0 { 1.0 - OFF_TIME } else { OFF_TIME * off(minute) / all_off };
            for curve in 0..follower.curves.len() {
                let viral = if curve < FORMS.len() { 1.0 - VIRAL.1 } else { VIRAL.1 };
                let prior = comes * on_time * viral * learnt.forms()[curve % FORMS.len()];
                follower.hypotheses.push(Hypothesis {
                    curve: curve as u8,
                    shift: f64::from(minute) * SHIFT_SECS,
                    weight: [prior.max(1e-12).ln(), 0.0],
                    seen: [0.0; 2],
                });
            }
        }
        follower
    }

    /// Makes the curves, which are not saved.
    pub fn equip(&mut self) {
        let a = &self.announcement;
        let Shape { rise_secs, decay_secs, exponent } = a.kind.shape();
        let decay_secs = a.decay_secs.unwrap_or(decay_secs);
        let pass_along = a.pass_along.unwrap_or(a.kind.pass_along());
        let curve = |(n, (t, b)): (f64, &(f64, f64))| {
            Curve::new(Shape { rise_secs, decay_secs: t * decay_secs, exponent: b * exponent }, a.send_secs, n)
        };
        let as_announced = FORMS.iter().map(|form| (pass_along, form));
        let viral = FORMS.iter().map(|form| (VIRAL.0.max(pass_along), form));
        self.curves = as_announced.chain(viral).map(curve).collect();
    }

    /// Notes that it is followed from `now` on, in unix seconds.
    pub fn joined(self, now: f64) -> Follower {
        Follower { late: now > self.announcement.start + TOO_LATE_SECS, ..self }
    }

    /// Whether it was followed from so long after its start on that what was seen before was not the usual.
    pub fn joined_late(&self) -> bool {
        self.late
    }

    /// The phase it is in, if that was not told yet.
    pub fn news(&mut self) -> Option<Phase> {
        let is_news = self.phase != self.told;
        self.told = self.phase;
        is_news.then_some(self.phase)
    }

    /// Where it is.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether nothing more is to be expected of it.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Absent | Phase::Over)
    }

    /// Part of what is expected that is still believed, in `[0, 1]`.
    pub fn trust(&self) -> f64 {
        if self.is_over() { 0.0 } else { self.trust }
    }

    /// Takes in a bin of [`BIN_SECS`].
    pub fn observe(&mut self, bin: Bin) {
        let (end, from) = (bin.until - self.announcement.start, bin.until - self.announcement.start - BIN_SECS);
        if self.is_over() || end < -REACH_SECS {
            return;
        }
        if let Some(usual) = bin.usual {
            self.compare(from, end, BIN_SECS * (bin.demand - usual), BIN_SECS * usual.max(0.0));
        }
        self.judge(from, end, bin.usual);
        self.step(end, bin);
    }

    /// Updates every hypothesis by `came` requests beyond the `usual` ones between two times after the announced start.
    fn compare(&mut self, from: f64, end: f64, came: f64, usual: f64) {
        let [alpha, beta] = self.prior;
        let floor = (USUAL_ERROR * usual).powi(2) + 1.0;
        if end <= 0.0 && self.mean(end) * BIN_SECS < FAINT * usual {
            // Nothing is expected yet: what is seen now is noise, and teaches how much of it there is.
            let ratio = came * came / usual.max(1.0);
            self.noise += 0.05 * (ratio.clamp(1.0, 1e4) - self.noise);
        }
        let noise = self.noise;
        let likelihood = |expected: f64, doubt: f64| {
            let variance = noise * (usual + expected) + floor + expected * expected * (doubt + CURVE_ERROR.powi(2));
            -0.5 * (came - expected).powi(2) / variance - 0.5 * variance.ln()
        };
        self.absent[1] = FORGET * self.absent[1] + likelihood(0.0, 0.0);
        for h in &mut self.hypotheses {
            let curve = &self.curves[usize::from(h.curve)];
            let part = curve.by(end - h.shift) - curve.by(from - h.shift);
            let (a, b) = h.posterior(alpha, beta);
            let expected = part * a / b;
            h.weight[1] = FORGET * h.weight[1] + likelihood(expected, 1.0 / a);
            h.seen = h.seen.map(|seen| FORGET * seen);
            if part > 0.0 {
                // A bin counts as many Poisson responses as its noise leaves of it.
                let phi = (noise * (usual + expected) + floor) / expected.max(1e-9);
                h.seen[0] += came / phi;
                h.seen[1] += part / phi;
            }
        }
        let all = self.hypotheses.iter().map(|h| h.weight[1]).chain([self.absent[1]]);
        let best = all.fold(f64::NEG_INFINITY, f64::max);
        self.hypotheses.iter_mut().for_each(|h| h.weight[1] -= best);
        self.absent[1] -= best;
        let expected = self.expected_at_match(from, end);
        self.recent.push_back([came, expected, (noise * usual + floor).sqrt()]);
        if self.recent.len() > (TRUTH_SECS / BIN_SECS) as usize {
            self.recent.pop_front();
        }
        if end > 0.0 || self.is_matched(end) {
            self.came[0] += came;
            self.came[1] += expected;
            self.came[2] += noise * usual + floor;
        }
    }

    /// Whether what came says that it has begun, `t` seconds after the announced start.
    fn is_matched(&self, t: f64) -> bool {
        let sum = |i: usize| self.recent.iter().map(|r| r[i]).sum::<f64>();
        let noise = self.recent.iter().map(|r| r[2] * r[2]).sum::<f64>().sqrt();
        sum(0) > 3.0 * noise && self.p_begun(t) * (1.0 - self.p_absent()) >= 0.9
    }

    /// Requests that the announcement says for a stretch: from when it began, or should have.
    fn expected_at_match(&self, from: f64, end: f64) -> f64 {
        let shift = if self.is_matched(from) { self.shift() } else { 0.0 };
        self.prior[0] / self.prior[1] * (self.curves[0].by(end - shift) - self.curves[0].by(from - shift))
    }

    /// The rule: see the module.
    fn judge(&mut self, from: f64, end: f64, usual: Option<f64>) {
        if end < TRUTH_SECS || from < 0.0 {
            return;
        }
        let sum = |i: usize| self.recent.iter().map(|r| r[i]).sum::<f64>();
        let noise = self.recent.iter().map(|r| r[2] * r[2]).sum::<f64>().sqrt();
        let (came, expected) = (sum(0), sum(1));
        // Where nobody can see whether it came, it is not believed for longer than that either.
        let unseen = usual.is_none();
        if unseen || came < TOO_BOLD * expected && TOO_BOLD * expected > 2.0 * noise {
            self.trust *= 0.5f64.powf(BIN_SECS / TRUTH_SECS);
        } else if came >= TOO_BOLD * expected {
            self.trust = 1.0;
        }
    }

    fn step(&mut self, end: f64, bin: Bin) {
        let expected = self.mean(end);
        let faint = FAINT * bin.usual.unwrap_or(0.0).max(1e-3);
        let past_peak = end > self.announcement.send_secs + REACH_SECS;
        self.faint = if past_peak && expected < faint { self.faint + 1 } else { 0 };
        let p_absent = self.p_absent();
        let doubted = self.trust < 1.0;
        self.phase = match self.phase {
            _ if bin.until >= self.announcement.expires => self.last_phase(),
            _ if end > REACH_SECS && p_absent > SURELY_ABSENT => self.last_phase(),
            _ if end > REACH_SECS + TRUTH_SECS && doubted => self.last_phase(),
            _ if self.faint >= FAINT_BINS => self.last_phase(),
            Phase::Waiting | Phase::Running | Phase::Doubted if doubted => Phase::Doubted,
            Phase::Waiting if !self.is_matched(end) => Phase::Waiting,
            _ => Phase::Running,
        };
    }

    /// It came if what came is no noise, and more than a trace of what was announced.
    fn last_phase(&self) -> Phase {
        let [came, expected, variance] = self.came;
        if came > 3.0 * variance.sqrt() && came > TRACE * expected { Phase::Over } else { Phase::Absent }
    }

    //------- what is expected

    /// Weights of the hypotheses, and of "not coming" last; they sum to 1.
    fn weights(&self) -> impl Iterator<Item = f64> {
        let logs = || self.hypotheses.iter().map(|h| h.weight).chain([self.absent]).map(|w| w[0] + w[1]);
        let best = logs().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs().map(|w| (w - best).exp()).sum();
        logs().map(move |w| (w - best).exp() / sum)
    }

    /// Probability that it does not come.
    pub fn p_absent(&self) -> f64 {
        self.weights().last().unwrap_or(1.0)
    }

    /// Probability that it has begun `t` seconds after the announced start, if it comes.
    fn p_begun(&self, t: f64) -> f64 {
        let of = |begun: bool| -> f64 {
            let weights = self.hypotheses.iter().zip(self.weights());
            weights.filter(|(h, _)| !begun || h.shift < t).map(|(_, w)| w).sum()
        };
        of(true) / of(false).max(1e-12)
    }

    /// Seconds after the announced start at which it most likely begins or began.
    pub fn shift(&self) -> f64 {
        let mut by_shift: Vec<(f64, f64)> = vec![];
        for (h, weight) in self.hypotheses.iter().zip(self.weights()) {
            match by_shift.last_mut() {
                Some((shift, sum)) if *shift == h.shift => *sum += weight,
                _ => by_shift.push((h.shift, weight)),
            }
        }
        by_shift.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0.0, |(shift, _)| shift)
    }

    /// How many more each response brings, as what came says: the mean over hypotheses.
    pub fn pass_along(&self) -> f64 {
        let a = &self.announcement;
        let said = a.pass_along.unwrap_or(a.kind.pass_along());
        let viral = VIRAL.0.max(said);
        let mean = |(h, w): (&Hypothesis, f64)| w * if usize::from(h.curve) < FORMS.len() { said } else { viral };
        let sum: f64 = self.hypotheses.iter().zip(self.weights()).map(mean).sum();
        sum / (1.0 - self.p_absent()).max(1e-12)
    }

    /// Requests per second beyond the usual that are expected `t` seconds after the announced start: the mean, if it is
    /// believed as far as it is.
    pub fn mean(&self, t: f64) -> f64 {
        let mean = |(h, w): (&Hypothesis, f64)| w * self.rate(h, t);
        self.trust() * self.hypotheses.iter().zip(self.weights()).map(mean).sum::<f64>()
    }

    fn rate(&self, h: &Hypothesis, t: f64) -> f64 {
        let (a, b) = h.posterior(self.prior[0], self.prior[1]);
        a / b * self.curves[usize::from(h.curve)].rate(t - h.shift)
    }

    /// What may be asked for at `times`, seconds after the announced start: requests per second beyond the usual.
    pub fn course(&self, times: &[f64]) -> Vec<Quantiles> {
        let trust = self.trust();
        let mut parts = vec![];
        for (h, weight) in self.hypotheses.iter().zip(self.weights()).filter(|(_, weight)| *weight > LIGHT) {
            let (a, b) = h.posterior(self.prior[0], self.prior[1]);
            parts.push((h, weight, trust * a / b, (1.0 / a).ln_1p().sqrt()));
        }
        let p_absent = self.p_absent();
        let at = |t: &f64| {
            let mut spread = Spread::default();
            if self.is_over() || t + self.announcement.start >= self.announcement.expires {
                return spread.quantiles();
            }
            spread.add(p_absent, 0.0, 0.0);
            for (h, weight, size, sigma) in &parts {
                spread.add(*weight, size * self.curves[usize::from(h.curve)].rate(t - h.shift), *sigma);
            }
            spread.quantiles()
        };
        times.iter().map(at).collect()
    }

    /// When the announced course has its peak, seconds after the announced start.
    pub fn peak_at(&self) -> f64 {
        self.curves[0].peak().0 + self.shift()
    }

    /// Requests that the announcement says in all, pass-along included; requests per second at its peak.
    pub fn announced(&self) -> (f64, f64) {
        let curve = &self.curves[0];
        (
            self.announced * curve.by(self.announcement.expires - self.announcement.start),
            self.announced * curve.peak().1,
        )
    }

    /// Requests beyond the usual that came so far.
    pub fn came(&self) -> f64 {
        self.came[0].max(0.0)
    }

    /// What it teaches, if it is over and was seen. `told`: requests that came in all, where somebody has said so.
    pub fn lesson(&self, told: Option<f64>) -> Option<Lesson> {
        let announced = self.announced().0;
        if let Some(told) = told {
            let came = told > 0.0 && announced > 0.0;
            return Some(if came { Lesson::Came((told / announced).ln(), None) } else { Lesson::Absent });
        }
        match self.phase {
            Phase::Absent => Some(Lesson::Absent),
            Phase::Over if self.came[1] > 0.0 => {
                // Against what was announced for the very time that was seen, without what the kind had taught.
                let expected = self.came[1] * self.announced / (self.prior[0] / self.prior[1]).max(1e-9);
                let mut forms = [0.0; 12];
                let mut sum = 0.0;
                for (h, weight) in self.hypotheses.iter().zip(self.weights()) {
                    forms[usize::from(h.curve) % FORMS.len()] += weight;
                    sum += weight;
                }
                let forms = (sum > 0.0).then(|| forms.map(|f| f / sum));
                Some(Lesson::Came((self.came().max(1.0) / expected.max(1.0)).ln(), forms))
            }
            _ => None,
        }
    }
}

impl Hypothesis {
    /// `α`, `β` of the size; never so far down that a bin more could not raise it again.
    fn posterior(&self, alpha: f64, beta: f64) -> (f64, f64) {
        ((alpha + self.seen[0]).max(0.1 * alpha), beta + self.seen[1])
    }
}

#[cfg(test)]
#[path = "follow_tests.rs"]
mod tests;
