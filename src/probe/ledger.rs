//! Where outcomes of probes wait for the control loop, and are counted.

use crate::probe::{Found, What};
use crate::wire::Name;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Outcomes that wait; more are dropped, and counted. Our choice: minutes of the usual rate, for a loop that beats each second.
const ROOM: usize = 65_536;

/// The outcome of one probe, for the control loop.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The POP's name.
    pub pop: Name,
    /// From where it was made.
    pub place: Arc<str>,
    /// How it ended; never [`What::NotMade`].
    pub what: What,
}

/// What this server's own probes of one POP have found.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Outcomes, by [`What::idx`].
    pub counts: [u64; What::ALL.len()],
    /// The last one.
    pub last: Found,
    /// Seconds that it took.
    pub took_secs: f64,
    /// Unix seconds at which it ended.
    pub at: f64,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    /// The name of this vantage point.
    pub place: Arc<str>,
    inner: Mutex<Inner>,
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger::at("here".into())
    }
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Outcome>,
    dropped: u64,
    records: BTreeMap<Name, Record>,
    late_secs: f64,
}

impl Ledger {
    /// Nothing found yet, at the vantage point of this name.
    pub fn at(place: Arc<str>) -> Ledger {
        Ledger { place, inner: Mutex::default() }
    }

    /// Notes how a probe ended that was made here. What could not be made goes no further. Says what the last one was
    /// before, if it was another.
    pub fn note(&self, pop: &Name, found: Found, took_secs: f64, at: f64) -> Option<Option<What>> {
        let what = found.what;
        let mut inner = self.lock();
        if what != What::NotMade {
            inner.push(Outcome { pop: pop.clone(), place: self.place.clone(), what });
        }
        let before = inner.records.get(pop).map(|record| record.last.what);
        let mut counts = inner.records.get(pop).map_or([0; What::ALL.len()], |record| record.counts);
        counts[what.idx()] += 1;
        inner.records.insert(pop.clone(), Record { counts, last: found, took_secs, at });
        (before != Some(what)).then_some(before)
    }

    /// Takes in what somebody else found.
    pub fn report(&self, outcome: Outcome) {
        self.lock().push(outcome);
    }

    /// Takes out what waits, in order.
    pub fn drain(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Forgets POPs that are probed no more.
    pub fn keep(&self, is_kept: impl Fn(&Name) -> bool) {
        self.lock().records.retain(|name, _| is_kept(name));
    }

    /// Notes how long after it was due the last probe began.
    pub fn begun(&self, late_secs: f64) {
        self.lock().late_secs = late_secs;
    }

    /// How long after it was due the last probe began, seconds.
    pub fn late_secs(&self) -> f64 {
        self.lock().late_secs
    }

    /// Outcomes that found no room.
    pub fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// What was found here, by POP.
    pub fn records(&self) -> BTreeMap<Name, Record> {
        self.lock().records.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn push(&mut self, outcome: Outcome) {
        match self.waiting.len() < ROOM {
            true => self.waiting.push(outcome),
            false => self.dropped += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_made_is_no_outcome_and_the_queue_is_bounded() {
        let ledger = Ledger::default();
        let pop: Name = "ams.pop.".parse().unwrap();
        let note = |found| ledger.note(&pop, found, 0.1, 5.0);
        assert_eq!(note(Found::well()), Some(None));
        assert_eq!(note(Found::well()), None);
        assert_eq!(note(Found::bad(What::NotMade, "no descriptor")), Some(Some(What::Well)));
        assert_eq!(ledger.drain().len(), 2);
        let record = &ledger.records()[&pop];
        assert_eq!((record.counts[What::Well.idx()], record.counts[What::NotMade.idx()]), (2, 1));
        for _ in 0..ROOM + 3 {
            note(Found::well());
        }
        assert_eq!((ledger.drain().len(), ledger.dropped()), (ROOM, 3));
        ledger.keep(|_| false);
        assert!(ledger.records().is_empty());
    }
}
