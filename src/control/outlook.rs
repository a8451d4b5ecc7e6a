//! What a group will ask for.
//!
//! The total is what its POPs report. Every minute it goes into the group's forecaster, whose quantiles
//! may raise the planned demand, never lower it. A tick hears of at most some hundred minutes that ended, and
//! of fits that were made elsewhere ([`fitter`](crate::control::fitter)); it makes none itself but the trivial.

use crate::clock::Now;
use crate::control::announced::Extra;
use crate::control::notes::Note;
use crate::control::state::{GroupState, Layout, State};
use crate::control::watch::{self, Watch};
use crate::forecast::engine::{Explained, Fan, Fits, Fitting, Forecaster};
use crate::forecast::quantiles::{LEVELS, Quantiles};
use crate::forecast::settings::Settings;
use crate::policy::ForecastUse;
use std::sync::Arc;

/// The grid of forecasts, seconds.
const STEP_SECS: u32 = 60;
/// Leads that people read, steps.
const SHOWN: [usize; 3] = [5, 15, 30];
/// Seconds until a surge is noticed and until connections follow, on top of half a TTL.
const REACT_SECS: f64 = 62.0;
/// Forecasts steer only when so many were scored at their lead: half an hour's worth.
const LEAST_SCORED: u64 = 15;
/// Most steps that are filled in as gaps after a pause.
const MOST_GAPS: u64 = 1440;
/// Outlooks that one tick brings up to date, at least; with many groups it is the twentieth part of them, so that
/// all of them have heard of a minute some twenty ticks later.
const LEAST_PER_TICK: usize = 32;
/// See [`LEAST_PER_TICK`].
const PER_TICK: usize = 20;
/// Part by which demand must exceed the highest level of a forecast to be [beyond it](Outlook::is_refuted).
const CLEARLY: f64 = 0.1;
/// Growth of a surge taken when no forecast can be trusted yet, per second, and how likely it is.
const PRIOR_GROWTH: f64 = 1e-3;
/// See [`PRIOR_GROWTH`].
const PRIOR_LIKELIHOOD: f64 = 0.1;

/// What somebody who knows says of the demand to come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// `ahead[i]`: the greatest demand of the next `i + 1` minutes, requests per second.
    pub ahead: Vec<f64>,
    /// Share of each cell; empty where nothing is said of that.
    pub shares: Vec<f64>,
}

//----------- Outlook --------------------------------------------------------

/// The forecaster of one group, and the minute it is in.
#[derive(Clone, Debug)]
pub struct Outlook {
    forecaster: Forecaster,
    origin: Now,
    /// Steps observed so far.
    step: u64,
    sum: f64,
    n: u32,
    /// What was said last, and whether a minute has ended since.
    fan: Fan,
    stale: bool,
    watch: Watch,
    /// Demand to come as told by someone who knows it; see [`Outlook::foretell`].
    told: Option<Told>,
    /// What announced events may add.
    extra: Option<Box<Extra>>,
    /// Demand that was seen last, without what events have brought; `None` while nobody reports.
    seen: Option<f64>,
}

impl Outlook {
    /// Nothing seen; the first step begins `now`. `ttl`: seconds, the shortest that the group's answers have.
    pub fn new(now: Now, ttl: u32, settings: Arc<Settings>) -> Outlook {
        let own = (lead_secs(ttl) / f64::from(STEP_SECS)).ceil() as usize;
        let leads: Vec<usize> = SHOWN.into_iter().chain([own]).collect();
        let forecaster = Forecaster::new(now.unix as i64, STEP_SECS, &leads, settings);
        Outlook {
            forecaster,
            origin: now,
            step: 0,
            sum: 0.0,
            n: 0,
            fan: Fan::default(),
            stale: false,
            watch: Watch::new(STEP_SECS),
            told: None,
            extra: None,
            seen: None,
        }
    }

    /// Takes in what was seen before the start, minute by minute up to it; gaps where nothing was. To be called
    /// before anything was observed.
    pub fn recall(&mut self, minutes: &[Option<f64>]) {
        let start = self.origin.unix as i64 - minutes.len() as i64 * i64::from(STEP_SECS);
        self.forecaster = self.forecaster.afresh(start);
        minutes.iter().for_each(|m| self.forecaster.observe(m.unwrap_or(f64::NAN)));
        self.stale = true;
    }

    /// Goes on with what an earlier process had learnt; to be called after [`recall`](Self::recall).
    ///
    /// # Errors
    /// Why it cannot be; then a fit is wanted as for any series with a past.
    pub fn restore(&mut self, models: &[u8], records: Option<&[u8]>) -> Result<(), &'static str> {
        self.stale = true;
        self.forecaster.restore(models, records)
    }

    /// Takes in the demand of this moment, `None` while nobody reports; says whether a step was completed. What events
    /// have brought is left out of what the forecaster learns from.
    pub fn observe(&mut self, demand: Option<f64>, now: Now) -> bool {
        let demand = demand.map(|demand| (demand - self.brought()).max(0.0));
        self.seen = demand;
        let step = (now.since(self.origin) / f64::from(STEP_SECS)) as u64;
        let completed = step > self.step;
        if completed {
            let mean = if self.n > 0 { self.sum / f64::from(self.n) } else { f64::NAN };
            let gaps = (step - self.step - 1).min(MOST_GAPS) as usize;
            for value in std::iter::once(mean).chain(std::iter::repeat_n(f64::NAN, gaps)) {
                self.watch.observe(self.forecaster.history().len(), value);
                self.forecaster.observe(value);
            }
            (self.step, self.sum, self.n, self.stale) = (step, 0.0, 0, true);
        }
        if let Some(demand) = demand {
            self.sum += demand;
            self.n += 1;
        }
        completed
    }

    /// Takes what is said to come in the place of its own forecasts; `None`: its own again.
    pub fn foretell(&mut self, told: Option<Told>) {
        self.told = told.filter(|told| !told.ahead.is_empty());
    }

    /// Says what announced events may add from now on.
    pub fn announce(&mut self, extra: Option<Extra>) {
        self.extra = extra.map(Box::new);
    }

    /// What announced events may add; `None` while none is near.
    pub fn extra(&self) -> Option<&Extra> {
        self.extra.as_deref()
    }

    /// Demand to come as told by someone who knows it.
    pub fn told(&self) -> Option<&Told> {
        self.told.as_ref()
    }

    /// Requests per second that events are taken to bring now.
    pub fn brought(&self) -> f64 {
        self.extra.as_ref().map_or(0.0, |extra| extra.now)
    }

    /// Looks ahead from the last minute that ended.
    fn look(&mut self) {
        if self.forecaster.wants_fit() && self.forecaster.fits_at_once() {
            self.forecaster.fit();
        }
        self.fan = self.forecaster.fan();
        self.stale = false;
        if self.forecaster.n_scored(watch::LEAD) >= LEAST_SCORED {
            self.watch.expect(self.forecaster.history().len() - 1 + watch::LEAD, self.fan.at(watch::LEAD));
        }
    }

    /// Whether something has come that it has not looked ahead from: a minute, a past, a fit.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The fit that is wanted and is too long for a tick; with how badly: new ones first, then the oldest.
    pub fn fitting(&self) -> Option<(Urgency, impl FnOnce() -> Fitting)> {
        let wanted = self.forecaster.wants_fit() && !self.forecaster.fits_at_once();
        let urgency = match self.forecaster.fitted_at() {
            None => Urgency::New,
            Some(at) => Urgency::Aged(self.forecaster.history().len() - at),
        };
        wanted.then_some((urgency, || self.forecaster.fitting(true)))
    }

    /// Takes over a fit.
    pub fn adopt(&mut self, fits: Fits) {
        self.forecaster.adopt(fits);
        self.stale = true;
    }

    /// Goes on with other members from the next fit on.
    pub fn equip(&mut self, settings: &Arc<Settings>) {
        self.forecaster.equip(settings.clone());
    }

    /// The forecaster, for what is learnt from many of them.
    pub fn forecaster(&self) -> &Forecaster {
        &self.forecaster
    }

    /// The watch for anomalies.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Where the forecasts come from, per lead.
    pub fn explain(&self) -> Vec<Explained> {
        (0..self.forecaster.leads().len()).filter_map(|i| self.forecaster.explain(i)).collect()
    }

    /// The distribution `secs` from now, with the most that announced events may add until then; `None` until enough
    /// forecasts at that lead were scored, and no event is near.
    pub fn at(&self, secs: f64) -> Option<Quantiles> {
        match self.extra() {
            None => self.usual_at(secs),
            Some(extra) => {
                let usual = self.usual_at(secs).or(self.seen.map(|now| by_prior(now, secs)));
                usual.map(|usual| usual.plus(extra.within(secs)))
            }
        }
    }

    /// The distribution `secs` from now without announced events; `None` until enough forecasts at that lead were scored.
    pub fn usual_at(&self, secs: f64) -> Option<Quantiles> {
        let lead = (secs / f64::from(STEP_SECS)).ceil().max(1.0) as usize;
        if let Some(told) = &self.told {
            return Some(Quantiles::certain(told.ahead[lead.min(told.ahead.len()) - 1]));
        }
        (self.forecaster.n_scored(lead) >= LEAST_SCORED).then(|| self.fan.at(lead))
    }

    /// Whether demand is clearly beyond all that was forecast for this minute: until the minute has ended, and the next forecast
    /// knows of it, what is asked now is the best guess at what will be.
    fn is_refuted(&self, now: f64) -> bool {
        self.at(f64::from(STEP_SECS)).is_some_and(|q| now > (1.0 + CLEARLY) * q.at(LEVELS[LEVELS.len() - 1]))
    }

    /// What is expected at 5, 15 and 30 minutes, each with its seconds; `None` before a forecast was scored, unless an event is
    /// near.
    pub fn issued(&self) -> Option<[(u32, Quantiles); 3]> {
        let secs = |lead: usize| lead as f64 * f64::from(STEP_SECS);
        let usual = |lead| match (self.forecaster.n_scored(1) > 0, &self.extra) {
            (true, _) => Some(self.fan.at(lead)),
            (false, Some(_)) => self.seen.map(|now| by_prior(now, secs(lead))),
            (false, None) => None,
        };
        let mut issued = [(0, Quantiles::certain(0.0)); SHOWN.len()];
        for (issued, lead) in issued.iter_mut().zip(SHOWN) {
            let usual = usual(lead)?;
            let whole = self.extra().map_or(usual, |extra| usual.plus(extra.at(secs(lead))));
            *issued = (lead as u32 * STEP_SECS, whole);
        }
        Some(issued)
    }

    /// Median and 0.9 quantile of what is [`issued`](Self::issued).
    pub fn shown(&self) -> Option<[[f64; 2]; 3]> {
        self.issued().map(|each| each.map(|(_, q)| [q.at(0.5), q.at(0.9)]))
    }
}

/// How badly a fit is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// There is one, so many steps old.
    Aged(usize),
    /// There is none.
    New,
}

/// Demand in `secs` where no forecast can be trusted: as it is now, and sometimes in a surge.
fn by_prior(now: f64, secs: f64) -> Quantiles {
    let surges = |level: f64| level >= 1.0 - PRIOR_LIKELIHOOD;
    Quantiles::new(LEVELS.map(|level| if surges(level) { now * (PRIOR_GROWTH * secs).exp() } else { now }))
}

//----------- what a tick asks of them ----------------------------------------

/// Feeds the forecasters; nothing is observed while more than half of the POPs are silent. Of those whose minute
/// has ended as many look ahead as one tick has time for.
pub fn observe(
    state: &mut State,
    layout: &Layout,
    totals: &[Option<f64>],
    blind: bool,
    now: Now,
    notes: &mut Vec<Note>,
) {
    for ((group, total), spec) in state.groups.iter_mut().zip(totals).zip(&layout.policies.groups) {
        if group.outlook.observe(total.filter(|_| !blind), now) {
            let news = group.outlook.watch.news();
            notes.extend(news.into_iter().map(|(change, secs)| Note::Anomaly {
                group: spec.name.clone(),
                change,
                secs,
            }));
        }
    }
    let most = LEAST_PER_TICK.max(state.groups.len().div_ceil(PER_TICK));
    state.groups.iter_mut().filter(|group| group.outlook.stale).take(most).for_each(|group| group.outlook.look());
}

/// Seconds until a change of answers has reached half of the load: noticing, half a TTL, connections.
pub fn lead_secs(ttl: u32) -> f64 {
    REACT_SECS + f64::from(ttl) / 2.0
}

/// Probability that demand exceeds `limit` in `secs`; by a prior on how surges grow where no forecast can
/// be trusted yet or none may be used.
pub fn risk(group: &GroupState, forecast: ForecastUse, now: f64, limit: f64, secs: f64) -> f64 {
    risk_by(group.outlook.at(secs), forecast, now, limit, secs)
}

/// The same without announced events.
pub fn usual_risk(group: &GroupState, forecast: ForecastUse, now: f64, limit: f64, secs: f64) -> f64 {
    risk_by(group.outlook.usual_at(secs), forecast, now, limit, secs)
}

/// The distribution of demand in `secs`; by the same prior as [`risk`], in which a surge grows until `lead` and stays, since
/// what comes later can be answered later.
pub fn likely(group: &GroupState, forecast: ForecastUse, now: f64, secs: f64, lead: f64) -> Quantiles {
    let known = group.outlook.at(secs).filter(|_| forecast == ForecastUse::Steer);
    let at_least = |q: Quantiles| if group.outlook.is_refuted(now) { q.or(&Quantiles::certain(now)) } else { q };
    known.map(at_least).unwrap_or_else(|| by_prior(now, secs.min(lead)))
}

fn risk_by(at: Option<Quantiles>, forecast: ForecastUse, now: f64, limit: f64, secs: f64) -> f64 {
    match at.filter(|_| forecast == ForecastUse::Steer) {
        _ if now > limit => 1.0,
        Some(quantiles) => quantiles.above(limit),
        None if now * (PRIOR_GROWTH * secs).exp() > limit => PRIOR_LIKELIHOOD,
        None => 0.0,
    }
}

/// The 0.9 quantile of demand in `secs`, at least what it is now; by the same prior as [`risk`].
pub fn high(group: &GroupState, forecast: ForecastUse, now: f64, secs: f64) -> f64 {
    match group.outlook.at(secs).filter(|_| forecast == ForecastUse::Steer) {
        Some(quantiles) => quantiles.at(0.9).max(now),
        None => now * (PRIOR_GROWTH * secs).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;
    use crate::forecast::anomaly::{Change, Kind};
    use crate::forecast::thrift::Thrift;

    #[test]
    fn minutes_go_into_the_forecaster_and_pauses_become_gaps() {
        let mut outlook = Outlook::new(at(0.0), 20, Thrift::default().settings(1));
        let mut completed = 0;
        for s in 0..4200 {
            completed += usize::from(outlook.observe(Some(100.0), at(f64::from(s))));
            outlook.look();
        }
        assert_eq!(completed, 69);
        assert!(outlook.at(60.0).is_some() && outlook.at(1800.0).is_some(), "nineteen scored at half an hour");
        assert!(outlook.at(1800.0).unwrap().at(0.99) < 101.0);
        assert!(outlook.observe(None, at(8400.0)));
        outlook.look();
        assert_eq!((outlook.step, outlook.forecaster().history().len()), (140, 140));
        let shown = outlook.shown().unwrap();
        assert!((shown[2][0] - 100.0).abs() < 1e-6, "{shown:?}");
    }

    /// Two hours of calm, then three times as much: the watch hears of it within two minutes.
    #[test]
    fn an_unforeseen_surge_is_news() {
        let mut outlook = Outlook::new(at(0.0), 20, Thrift::default().settings(10_000));
        let mut news = vec![];
        for s in (0..8000).step_by(5) {
            let calm = 100.0 + f64::from((s / 60) * (s / 60) % 13);
            let minute = outlook.observe(Some(if s >= 7200 { 3.0 * calm } else { calm }), at(f64::from(s)));
            if minute {
                outlook.look();
                news.extend(outlook.watch.news().into_iter().map(|(change, _)| (s, change)));
            }
        }
        let [(told, Change::Began(anomaly))] = news[..] else { panic!("{news:?}") };
        assert!(anomaly.kind == Kind::Surge && (7260..7330).contains(&told), "{told} {anomaly:?}");
        assert!(outlook.watch().is_unsettled());
    }

    /// A step within a minute is beyond the forecast, which has not heard of it: until it has, what is asked now counts.
    #[test]
    fn the_present_refutes_a_forecast() {
        let mut outlook = Outlook::new(at(0.0), 20, Thrift::default().settings(1));
        (0..4200).for_each(|s| {
            outlook.observe(Some(100.0), at(f64::from(s)));
            outlook.look();
        });
        assert_eq!([101.0, 108.0, 115.0, 300.0].map(|now| outlook.is_refuted(now)), [false, false, true, true]);
    }

    /// A restart goes on from what is stored: the first fit is wanted elsewhere, tries itself on the past, and what
    /// follows is trusted at once.
    #[test]
    fn what_is_recalled_is_learnt_from_beside_the_tick() {
        let mut outlook = Outlook::new(at(1e6), 20, Thrift::default().settings(1));
        let minutes: Vec<Option<f64>> =
            (0..900).map(|i| (i % 97 != 3).then_some(100.0 + f64::from(i * i % 31))).collect();
        outlook.recall(&minutes);
        outlook.look();
        assert!(outlook.at(300.0).is_none());
        let (urgency, fitting) = outlook.fitting().unwrap();
        assert_eq!(urgency, Urgency::New);
        let fits = fitting().run();
        outlook.observe(Some(110.0), at(1e6));
        assert!(outlook.observe(Some(110.0), at(1e6 + 61.0)));
        outlook.adopt(fits);
        outlook.look();
        let q = outlook.at(300.0).unwrap();
        assert!(q.at(0.1) > 90.0 && q.at(0.9) < 140.0, "{q:?}");
        assert!(outlook.fitting().is_none() && outlook.explain()[0].accuracy.is_some());
    }
}
