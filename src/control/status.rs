//! What the control loop shows of itself: counters, the last notes, and what is not part of a plan.

use crate::clock::Now;
use crate::control::accounts::Accounts;
use crate::control::announced::Events;
use crate::control::foresight::Foresight;
use crate::control::notes::Note;
use crate::control::probes::Places;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Notes kept for people.
const NOTES_KEPT: usize = 200;

/// Counters of the loop, for metrics; and the last notes, for people.
#[derive(Debug, Default)]
pub struct Status {
    /// Beats that ended well.
    pub ticks: AtomicU64,
    /// Beats that panicked.
    pub panics: AtomicU64,
    /// Plans that were refused.
    pub refused: AtomicU64,
    /// Attempts to save the plan that failed.
    pub unsaved: AtomicU64,
    /// Microseconds that the last beat took, table and publication included.
    pub last_micros: AtomicU64,
    /// Steps of the wall clock.
    pub clock_steps: AtomicU64,
    /// When a beat last ended well.
    pub beaten: Moment,
    /// When a plan was refused last.
    pub refused_at: Moment,
    /// When the wall clock was stepped last.
    pub jumped: Moment,
    /// When the fit began that is not done.
    pub fitting: Moment,
    notes: Mutex<Vec<(f64, Note)>>,
    foresight: Mutex<Arc<Foresight>>,
    events: Mutex<Arc<Events>>,
    probed: Mutex<Arc<Places>>,
    accounts: Mutex<Arc<Accounts>>,
}

/// A moment that one thread sets and others read the age of; none at first.
#[derive(Debug, Default)]
pub struct Moment(AtomicU64);

impl Moment {
    /// It is now.
    pub(in crate::control) fn set(&self, now: Now) {
        // Milliseconds on the monotonic clock, from 1: 0 is none.
        self.0.store((now.mono.max(0.0) * 1e3) as u64 + 1, Ordering::Relaxed);
    }

    /// It is none, or that one.
    pub(in crate::control) fn put(&self, at: Option<Now>) {
        at.map_or_else(|| self.0.store(0, Ordering::Relaxed), |at| self.set(at));
    }

    /// Seconds since then; `None` if there was none.
    pub fn secs(&self, now: Now) -> Option<f64> {
        let at = self.0.load(Ordering::Relaxed).checked_sub(1)?;
        Some((now.mono - at as f64 * 1e-3).max(0.0))
    }
}

impl Status {
    /// What happened lately, oldest first, each with its unix seconds.
    pub fn notes(&self) -> Vec<(f64, Note)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How good the forecasts are, as of the last minute.
    pub fn foresight(&self) -> Arc<Foresight> {
        self.foresight.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Announced events as of the last beat.
    pub fn events(&self) -> Arc<Events> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What each place said of each POP that is probed, as of the last beat.
    pub fn probed(&self) -> Arc<Places> {
        self.probed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What shadows cost and bring, as of the last seconds.
    pub fn accounts(&self) -> Arc<Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Shows what shadows cost and bring.
    pub(in crate::control) fn show_accounts(&self, seen: Accounts) {
        *self.accounts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }

    /// Shows how good forecasts are.
    pub(in crate::control) fn show_foresight(&self, seen: Arc<Foresight>) {
        *self.foresight.lock().unwrap_or_else(PoisonError::into_inner) = seen;
    }

    /// Shows what is known of announced events.
    pub(in crate::control) fn show_events(&self, seen: Events) {
        *self.events.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }

    /// Shows what places say of POPs.
    pub(in crate::control) fn show_probed(&self, seen: Places) {
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(seen);
    }

    /// Keeps what a tick told, for people.
    pub(in crate::control) fn note(&self, now: Now, notes: &[Note]) {
        let mut kept = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(notes.iter().map(|n| (now.unix, n.clone())));
        let over = kept.len().saturating_sub(NOTES_KEPT);
        kept.drain(..over);
    }
}
