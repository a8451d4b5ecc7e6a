//! What is kept of one lead: forecasts that wait for their outcome, and all that is learnt from outcomes.

use crate::forecast::accuracy::Accuracy;
use crate::forecast::calibrate::Calibration;
use crate::forecast::combine::{self, Weights};
use crate::forecast::contest::{Contest, WAYS, Way};
use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::member::Fitted;
use crate::forecast::quantiles::{N_LEVELS, Quantiles};
use crate::forecast::saved::{Reader, Writer};
use crate::forecast::settings::Settings;
use std::collections::VecDeque;

/// What a member says, less the base of the history; `None` where it says nothing.
type Curve = Option<[f32; N_LEVELS]>;

/// See the module.
#[derive(Clone, Debug)]
pub struct Record {
    /// In steps, at least 1.
    pub lead: usize,
    /// Of the members.
    pub weights: Weights,
    /// Between the ways of combining them.
    pub contest: Contest,
    /// Of the levels.
    pub calibration: Calibration,
    /// Of the forecasts as they were given.
    pub accuracy: Accuracy,
    start: Calibration,
    pending: VecDeque<Issued>,
}

/// A forecast that waits for its outcome.
#[derive(Clone, Debug)]
struct Issued {
    target: usize,
    /// One per member.
    curves: Box<[Curve]>,
    said: [f32; N_LEVELS],
}

impl Record {
    /// Nothing issued.
    pub fn new(lead: usize, settings: &Settings) -> Record {
        Record {
            lead,
            weights: Weights::new(settings.members.len().max(1)),
            contest: Contest::new(settings.champion),
            calibration: settings.calibration.clone(),
            accuracy: Accuracy::default(),
            start: settings.calibration.clone(),
            pending: VecDeque::new(),
        }
    }

    /// Calibration starts over: who is to be calibrated has changed.
    pub fn begin_calibration(&mut self) {
        self.calibration = self.start.clone();
    }

    /// Forgets what waits for its outcome: steps are counted anew, or nobody will come for it.
    pub fn drop_pending(&mut self) {
        self.pending.clear();
    }

    /// What each member says at step `t`.
    pub fn curves(&self, members: &[Option<Box<dyn Fitted>>], h: &History, known: &Known, t: usize) -> Box<[Curve]> {
        let say = |member: &Option<Box<dyn Fitted>>| {
            let quantiles = member.as_ref()?.at(h, known, t, self.lead)?;
            Some(quantiles.values().map(|v| v as f32))
        };
        members.iter().map(say).collect()
    }

    /// Weights of the members under a way of combining, for what is said at step `t`.
    pub fn weights_of(&self, way: Way, h: &History, t: usize, curves: &[Curve]) -> Vec<f64> {
        let there: Vec<bool> = curves.iter().map(Option::is_some).collect();
        let only = |i: usize, w: f64| (0..there.len()).map(move |k| if k == i { w } else { 0.0 });
        let Some(main) = there.iter().position(|t| *t) else { return vec![0.0; there.len()] };
        match way {
            Way::Alone => only(main, 1.0).collect(),
            Way::Weighted => self.weights.weights(&there, Weights::slot(h.secs(t + self.lead))),
            Way::Paired => {
                let judged = (0..there.len()).filter(|i| there[*i] && *i != main);
                let loss = |i: usize| self.weights.loss(i);
                let best = judged.filter_map(|i| Some((i, loss(i)?))).min_by(|a, b| a.1.total_cmp(&b.1));
                match best {
                    Some((other, _)) => only(main, 0.5).zip(only(other, 0.5)).map(|(a, b)| a + b).collect(),
                    None => only(main, 1.0).collect(),
                }
            }
        }
    }

    /// The forecast, less the base of the history; `None` where no member says anything.
    pub fn say(&self, h: &History, settings: &Settings, t: usize, curves: &[Curve]) -> Option<Quantiles> {
        let way = if settings.compete { self.contest.champion() } else { settings.champion };
        let raw = combine::mean(curves, &self.weights_of(way, h, t, curves))?;
        Some(self.calibration.apply(&raw))
    }

    /// Notes a forecast made at step `t`.
    pub fn issue(&mut self, h: &History, settings: &Settings, t: usize, curves: Box<[Curve]>) {
        let Some(said) = self.say(h, settings, t, &curves) else { return };
        let least = settings.least.map_or(f64::NEG_INFINITY, |least| least - h.base);
        let said = said.values().map(|v| v.max(least) as f32);
        self.pending.push_back(Issued { target: t + self.lead, curves, said });
    }

    /// Scores the forecasts that were waiting for step `t`. What is combined and calibrated is made from what
    /// members said then and what is known of them now.
    pub fn score_due(&mut self, h: &History, settings: &Settings, t: usize) {
        while let Some(issued) = self.pending.pop_front_if(|i| i.target <= t) {
            if issued.target == t && h.known(t) {
                self.score(h, settings, &issued);
            }
        }
    }

    fn score(&mut self, h: &History, settings: &Settings, issued: &Issued) {
        let (outcome, every) = (h.y(issued.target), settings.score_every.max(1));
        let origin = issued.target - self.lead;
        let hours = f64::from(h.step_secs) * every as f64 / 3600.0;
        let mixed = |way: Way| combine::mean(&issued.curves, &self.weights_of(way, h, origin, &issued.curves));
        let losses = WAYS.map(|way| mixed(way).map_or(0.0, |q| q.loss(outcome)));
        let way = if settings.compete { self.contest.champion() } else { settings.champion };
        if let Some(raw) = mixed(way) {
            self.calibration.learn(&raw, outcome);
        }
        if issued.curves.len() > 1 {
            if settings.compete {
                self.contest.score(losses, self.lead.div_ceil(every));
            }
            let losses = issued.curves.iter().map(|c| c.as_ref().map(|c| combine::loss(c, outcome)));
            self.weights.score(losses, Weights::slot(h.secs(issued.target)), hours);
        }
        let a_day = (issued.target >= h.day.len).then(|| h.before(issued.target, h.day.len));
        let before = a_day.filter(|t| *t >= h.begin() && h.known(*t)).map(|t| h.y(t));
        let said = issued.said.map(|v| f64::from(v) + h.base);
        self.accuracy.score(&said, outcome + h.base, before.map(|v| v + h.base), hours);
    }

    /// Every way of combining, its recent mean loss, and the probability that it is better by chance alone.
    pub fn challengers(&self, settings: &Settings) -> Vec<(Way, f64, f64)> {
        let h = self.lead.div_ceil(settings.score_every.max(1));
        let means = self.contest.means();
        let each = |(i, way): (usize, &Way)| means.map(|m| (*way, m[i], self.contest.chance(*way, h)));
        WAYS.iter().enumerate().filter_map(each).collect()
    }

    /// Writes what outcomes have taught, for [`restore`](Record::restore).
    pub fn save(&self, to: &mut Writer) {
        to.u32(self.lead);
        self.weights.save(to);
        self.contest.save(to);
        self.calibration.save(to);
        self.accuracy.save(to);
    }

    /// A record like this one with what was saved; `None` if that is of another lead or of other members.
    pub fn restore(&self, saved: &mut Reader) -> Option<Record> {
        let mut record = Record { pending: VecDeque::new(), ..self.clone() };
        saved.u32().filter(|lead| *lead == self.lead)?;
        record.weights.restore(saved)?;
        record.contest = Contest::restore(saved)?;
        record.calibration.restore(saved)?;
        record.accuracy = Accuracy::restore(saved)?;
        Some(record)
    }

    /// Bytes held, about.
    pub fn size(&self) -> usize {
        let pending =
            self.pending.iter().map(|i| size_of::<Issued>() + i.curves.len() * size_of::<Curve>()).sum::<usize>();
        size_of::<Record>() + pending + self.contest.size() + self.weights.size()
    }
}
