//! The forecaster of one series: when it learns, what it combines, what it says.

mod fitting;
mod saving;

pub use fitting::{Fits, Fitting};

use crate::forecast::accuracy::Report;
use crate::forecast::contest::Way;
use crate::forecast::history::{DAY, History};
use crate::forecast::known::Known;
use crate::forecast::member::{Fitted, Method};
use crate::forecast::quantiles::Quantiles;
use crate::forecast::record::Record;
use crate::forecast::settings::Settings;
use std::sync::Arc;

/// Days after which members are fitted again however long the history is.
const STALE_DAYS: u32 = 28;
/// A history shorter than this is fitted in microseconds: the direct models want more.
const SHORT: usize = 150;

//----------- Forecaster -----------------------------------------------------

/// Forecasts one series. Give it one value per step; let it [`fit`](Self::fit) when it
/// [`wants to`](Self::wants_fit), off the tick, and [`learn`](Self::learn); ask at any time.
///
/// Adding a constant to the series adds it to every quantile, and scaling the series scales them, as long
/// as nothing meets `Settings::least`. Same values, same calls, same forecasts.
#[derive(Clone, Debug)]
pub struct Forecaster {
    settings: Arc<Settings>,
    known: Arc<Known>,
    history: History,
    /// Ascending, at least 1.
    leads: Vec<usize>,
    /// Parallel to `settings.members`.
    members: Vec<Option<Box<dyn Fitted>>>,
    /// Parallel to `leads`.
    records: Vec<Record>,
    /// Steps known at the last fit; `None` before the first.
    fitted_at: Option<usize>,
    /// The step after the last one that was learnt from.
    next: usize,
    /// Whether it goes on with what an earlier process had learnt, and members of which nothing is saved are missing.
    is_partial: bool,
}

impl Forecaster {
    /// A forecaster that has seen nothing.
    ///
    /// `start_secs`: Unix time of the first value to come. `step_secs`: seconds per step. `leads`: steps
    /// ahead for which members are fitted; others are read between those.
    pub fn new(start_secs: i64, step_secs: u32, leads: &[usize], settings: Arc<Settings>) -> Forecaster {
        let mut leads: Vec<usize> = leads.iter().map(|l| (*l).max(1)).collect();
        leads.sort_unstable();
        leads.dedup();
        let mut history = History::new(start_secs, step_secs);
        history.keep(settings.keep);
        history.go_by(settings.daylight.clone());
        let members = vec![None; settings.members.len()];
        let records = leads.iter().map(|lead| Record::new(*lead, &settings)).collect();
        let known = Arc::new(Known::default());
        Forecaster { settings, known, history, leads, members, records, fitted_at: None, next: 0, is_partial: false }
    }

    /// One like this that has seen nothing, whose first value is of `start_secs`.
    pub fn afresh(&self, start_secs: i64) -> Forecaster {
        let mut fresh = Forecaster::new(start_secs, self.history.step_secs, &self.leads, self.settings.clone());
        fresh.know(self.known.clone());
        fresh
    }

    /// Goes on with other settings: members from the next fit on, which is due if it takes but microseconds, the
    /// rest at once.
    pub fn equip(&mut self, settings: Arc<Settings>) {
        if settings.members.len() != self.settings.members.len() {
            self.learn();
            self.members = vec![None; settings.members.len()];
            self.records = self.leads.iter().map(|lead| Record::new(*lead, &settings)).collect();
            (self.fitted_at, self.is_partial) = (None, false);
        }
        self.history.keep(settings.keep);
        self.history.go_by(settings.daylight.clone());
        self.settings = settings;
        if self.fits_at_once() {
            self.fitted_at = None;
        }
    }

    /// Says what is known of the future; members hear of new regressors at their next fit.
    pub fn know(&mut self, known: Arc<Known>) {
        self.known = known;
    }

    /// Takes in the value of the next step; NaN and infinities are gaps. Microseconds.
    pub fn observe(&mut self, value: f64) {
        self.history.push(value);
    }

    /// What was seen.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The leads that members are fitted for, ascending.
    pub fn leads(&self) -> &[usize] {
        &self.leads
    }

    /// Whether members are missing, or the history has grown enough since they were fitted.
    pub fn wants_fit(&self) -> bool {
        let (n, h) = (self.history.len(), &self.history);
        let Some(fitted_at) = self.fitted_at.filter(|_| !self.is_partial) else { return n > 0 };
        let age_then = fitted_at.saturating_sub(h.begin());
        let grown = (age_then as f64 * self.settings.growth) as usize;
        n >= fitted_at + grown.clamp(1, h.steps(STALE_DAYS * DAY, 1))
    }

    /// Steps known at the last fit; `None` before the first.
    pub fn fitted_at(&self) -> Option<usize> {
        self.fitted_at
    }

    /// Whether a fit would take microseconds, so that it may be made on the spot.
    pub fn fits_at_once(&self) -> bool {
        self.history.age() < SHORT || self.settings.members.iter().all(|m| m.is_quick())
    }

    /// The fit that is wanted, to be run anywhere and [taken over](Self::adopt) later. `rehearse`: the first one of
    /// a series with a past tries itself on the end of that first.
    pub fn fitting(&self, rehearse: bool) -> Fitting {
        let (settings, known, leads) = (self.settings.clone(), self.known.clone(), self.leads.clone());
        let rehearse = rehearse && self.fitted_at.is_none();
        let had = self.fitted_at.filter(|_| self.is_partial);
        let had = had.map(|at| Fits { members: self.members.clone(), at, records: None });
        Fitting { settings, known, history: self.history.clone(), leads, rehearse, had }
    }

    /// Takes over fitted members; the history may have grown since they were fitted. Fits of another set of
    /// members, which the settings have been changed from, are dropped.
    pub fn adopt(&mut self, fits: Fits) {
        self.learn();
        if fits.members.len() != self.members.len() {
            return;
        }
        let main_before = self.members.first().is_some_and(Option::is_some);
        let main_now = fits.members.first().is_some_and(Option::is_some);
        if main_before != main_now {
            self.records.iter_mut().for_each(Record::begin_calibration);
        }
        if let Some(records) = fits.records.filter(|_| self.fitted_at.is_none()) {
            self.records = records;
        }
        self.members = fits.members;
        (self.fitted_at, self.is_partial) = (Some(fits.at), false);
        if let Some(t) = self.history.len().checked_sub(1) {
            self.follow(t);
        }
    }

    /// Fits every member to the history as it is, here and now.
    pub fn fit(&mut self) {
        self.learn();
        let fits = self.fitting(false).run();
        self.adopt(fits);
    }

    /// Issues and scores forecasts up to the last value seen. Some microseconds per member, lead and scored
    /// step.
    pub fn learn(&mut self) {
        let (from, to) = (self.next, self.history.len());
        self.next = to;
        if self.fitted_at.is_none() {
            return;
        }
        let every = self.settings.score_every.max(1);
        for t in from.max(self.history.first())..to {
            for record in &mut self.records {
                record.score_due(&self.history, &self.settings, t);
            }
            if t.is_multiple_of(every) {
                self.follow(t);
                self.issue(t);
            }
        }
        if from < to {
            self.follow(to - 1);
        }
    }

    fn follow(&mut self, t: usize) {
        self.members.iter_mut().flatten().for_each(|m| m.follow(&self.history, t));
    }

    /// Notes what is said at step `t`, for scoring.
    fn issue(&mut self, t: usize) {
        for record in &mut self.records {
            let curves = record.curves(&self.members, &self.history, &self.known, t);
            record.issue(&self.history, &self.settings, t, curves);
        }
    }

    /// The distribution at each of `leads`, in steps from the last value; see [`Fan::at`].
    pub fn forecast(&mut self, leads: &[usize]) -> Vec<Quantiles> {
        let fan = self.fan();
        leads.iter().map(|lead| fan.at(*lead)).collect()
    }

    /// The distributions at every fitted lead, from the last value. Learns before, if that was not done.
    pub fn fan(&mut self) -> Fan {
        self.learn();
        let h = &self.history;
        let Some(t) = h.len().checked_sub(1) else { return Fan::default() };
        let mut fan = vec![(0, Quantiles::certain(h.y(t)))];
        for record in &self.records {
            let curves = record.curves(&self.members, h, &self.known, t);
            fan.extend(record.say(h, &self.settings, t, &curves).map(|q| (record.lead, q)));
        }
        let least = self.settings.least.unwrap_or(f64::NEG_INFINITY);
        Fan(fan.into_iter().map(|(lead, q)| (lead, q.map(|v| (v + h.base).max(least)))).collect())
    }

    /// How good the forecasts at the `i`-th lead have been; `None` before one was scored.
    pub fn accuracy(&self, i: usize) -> Option<Report> {
        self.records.get(i)?.accuracy.report()
    }

    /// Forecasts scored at the longest fitted lead not above `lead`, or at the first: how much is known of
    /// how good they are.
    pub fn n_scored(&self, lead: usize) -> u64 {
        let i = self.leads.partition_point(|l| *l <= lead).saturating_sub(1);
        self.records.get(i).map_or(0, |r| r.accuracy.n)
    }

    /// How the forecasts at the `i`-th lead come about.
    pub fn explain(&self, i: usize) -> Option<Explained> {
        let record = self.records.get(i)?;
        let t = self.history.len().checked_sub(1)?;
        let curves = record.curves(&self.members, &self.history, &self.known, t);
        let weights = record.weights_of(record.contest.champion(), &self.history, t, &curves);
        let part = |(k, method): (usize, &Arc<dyn Method>)| Part {
            name: method.name(),
            fitted: self.members[k].is_some(),
            weight: weights[k],
            loss: record.weights.loss(k),
            effects: self.members[k].as_ref().map_or(vec![], |m| m.effects()),
        };
        Some(Explained {
            lead: record.lead,
            parts: self.settings.members.iter().enumerate().map(part).collect(),
            champion: record.contest.champion(),
            challengers: record.challengers(&self.settings),
            promotions: record.contest.promotions,
            drift: record.calibration.drift(),
            accuracy: record.accuracy.report(),
        })
    }

    /// Bytes held, about; what methods share between series is not counted.
    pub fn size(&self) -> usize {
        let members: usize = self.members.iter().flatten().map(|m| m.size()).sum();
        let records: usize = self.records.iter().map(Record::size).sum();
        size_of::<Forecaster>() + self.history.size() + members + records
    }
}

//----------- Fan ------------------------------------------------------------

/// Distributions at ascending leads, the first of which is 0: the last value. Empty before one was seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fan(Vec<(usize, Quantiles)>);

impl Fan {
    /// The distribution `lead` steps ahead, at least 1.
    ///
    /// Leads between fitted ones are read between them, shorter ones between the last value and the first, by
    /// the root of the lead (as a random walk spreads); longer ones are the last. Before the first fit of a
    /// series every value is its last, or 0.
    pub fn at(&self, lead: usize) -> Quantiles {
        let above = self.0.partition_point(|(l, _)| *l < lead.max(1));
        match (above.checked_sub(1).map(|i| self.0[i]), self.0.get(above)) {
            (None, None) => Quantiles::certain(0.0),
            (Some((_, last)), None) => last,
            (None, Some((_, first))) => *first,
            (Some((a, low)), Some((b, high))) => {
                let root = |l: usize| (l as f64).sqrt();
                low.blend(high, (root(lead.max(1)) - root(a)) / (root(*b) - root(a)))
            }
        }
    }
}

//----------- Explained ------------------------------------------------------

/// Where the forecasts of one lead come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Explained {
    /// In steps.
    pub lead: usize,
    /// The members, in the order of the settings.
    pub parts: Vec<Part>,
    /// Who speaks.
    pub champion: Way,
    /// Every way of combining: its recent mean loss, and the probability that it is better by chance alone.
    pub challengers: Vec<(Way, f64, f64)>,
    /// How often a challenger took over.
    pub promotions: u32,
    /// How far calibration moved the levels 0.1, 0.5 and 0.9 from where it starts.
    pub drift: [f64; 3],
    /// How good the forecasts were.
    pub accuracy: Option<Report>,
}

/// One member's part.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// See [`Method::name`].
    pub name: &'static str,
    /// Whether it had enough to learn from.
    pub fitted: bool,
    /// In the forecast as it is now, in `[0, 1]`.
    pub weight: f64,
    /// Its decayed mean pinball loss in the unit of the series.
    pub loss: Option<f64>,
    /// See [`Fitted::effects`].
    pub effects: Vec<(String, f64)>,
}
