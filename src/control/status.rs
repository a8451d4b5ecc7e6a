//! What the control loop shows of itself: counters, the last notes, and what is not part of a plan.

use crate::clock::Now;
use crate::control::announced::Events;
use crate::control::foresight::Foresight;
use crate::control::notes::Note;
use crate::control::probes::Places;
use std::sync::atomic::AtomicU64;
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
    notes: Mutex<Vec<(f64, Note)>>,
    foresight: Mutex<Arc<Foresight>>,
    events: Mutex<Arc<Events>>,
    probed: Mutex<Arc<Places>>,
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
