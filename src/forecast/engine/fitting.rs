//! A fit by itself: everything it needs, so that it can be made on another thread.

use super::Forecaster;
use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::member::{Fitted, Method};
use crate::forecast::record::Record;
use crate::forecast::settings::Settings;
use std::sync::Arc;

/// Most steps that a rehearsal lives through: a day of minutes.
const REHEARSED: usize = 1_440;

//----------- Fitting --------------------------------------------------------

/// A fit that is to be made.
#[derive(Clone, Debug)]
pub struct Fitting {
    pub(super) settings: Arc<Settings>,
    pub(super) known: Arc<Known>,
    pub(super) history: History,
    pub(super) leads: Vec<usize>,
    pub(super) rehearse: bool,
    /// What is fitted already.
    pub(super) had: Option<Fits>,
}

/// What a [`Fitting`] made.
#[derive(Clone, Debug)]
pub struct Fits {
    pub(super) members: Vec<Option<Box<dyn Fitted>>>,
    pub(super) at: usize,
    /// What a rehearsal taught about weights and levels.
    pub(super) records: Option<Vec<Record>>,
}

impl Fitting {
    /// Fits every member to the history. The one expensive call: some 35 ms per lead of the direct models at
    /// the default settings and 4000 rows, in release; twice that with a rehearsal.
    pub fn run(&self) -> Fits {
        let records = self.rehearse.then(|| self.rehearsed()).flatten();
        let fit = |(i, method): (usize, &Arc<dyn Method>)| {
            let had = self.had.as_ref().and_then(|had| had.members.get(i)?.clone());
            had.or_else(|| method.fit(&self.history, &self.known, &self.leads))
        };
        let at = self.had.as_ref().map_or(self.history.len(), |had| had.at);
        Fits { members: self.settings.members.iter().enumerate().map(fit).collect(), at, records }
    }

    /// Lives through the last stretch of the history as if it were coming: weights and calibration then begin
    /// with what that taught.
    fn rehearsed(&self) -> Option<Vec<Record>> {
        let (h, n) = (&self.history, self.history.len());
        let stretch = ((n - h.begin()) / 10).min(REHEARSED);
        let mut past = Forecaster::new(h.secs(h.first()), h.step_secs, &self.leads, self.settings.clone());
        past.know(self.known.clone());
        let value = |t: usize| if h.known(t) { h.y(t) + h.base } else { f64::NAN };
        (h.first()..n - stretch).for_each(|t| past.observe(value(t)));
        if stretch == 0 || past.fits_at_once() {
            return None;
        }
        past.fit();
        (n - stretch..n).for_each(|t| past.observe(value(t)));
        past.learn();
        past.records.iter_mut().for_each(Record::drop_pending);
        Some(past.records)
    }
}
