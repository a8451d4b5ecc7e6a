//! What became of loading zones and policies: counted by who loads, read by metrics.

use crate::masterfile::{Diagnostic, Report};
use std::sync::{Mutex, MutexGuard, PoisonError};

//----------- Reloaded -------------------------------------------------------

/// The report of one load, as `POST /reload` returns it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Reloaded {
    /// Whether it was taken; if not, the server goes on with what it had.
    pub taken: bool,
    /// The generation that answers now.
    pub generation: u64,
    /// Seconds that it took to load and build.
    pub seconds: f64,
    /// What changed, in words.
    pub changes: String,
    /// Number of errors.
    pub errors: usize,
    /// Number of warnings.
    pub warnings: usize,
    /// Every problem, with its place.
    pub diagnostics: Vec<Diagnostic>,
    /// The same as `floodway check` prints it.
    pub report: String,
}

impl Reloaded {
    /// A load that ended with `report` after `seconds`, and after which `generation` answers.
    pub fn new(taken: bool, generation: u64, seconds: f64, changes: String, report: Report) -> Reloaded {
        let (errors, warnings) = report.counts();
        let text = report.to_string();
        Reloaded {
            taken,
            generation,
            seconds,
            changes,
            errors,
            warnings,
            diagnostics: report.diagnostics,
            report: text,
        }
    }
}

//----------- Became -----

/// What became of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Became {
    /// It answers.
    Taken,
    /// Most of it answers: at a start, zones with errors are left out.
    TakenInPart,
    /// The server goes on with what it had.
    Refused,
}

/// What is asked of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To be taken.
    Take,
    /// To be looked at: what would become of it.
    Look,
}

//----------- Loads ----------------------------------------------------------

/// The loads of this process.
#[derive(Debug, Default)]
pub struct Loads {
    inner: Mutex<Counted>,
}

/// What [`Loads`] has counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counted {
    /// Loads that were taken, the first one included.
    pub taken: u64,
    /// Loads that were refused.
    pub refused: u64,
    /// Whether the last one was refused, be it in part: what is on disk is not what answers.
    pub is_refused: bool,
    /// Seconds that the last one took.
    pub last_secs: f64,
    /// Unix seconds at which the last taken one was taken; 0 before the first.
    pub last_taken_at: f64,
    /// How often certificates and keys were read again and found good.
    pub certificates_taken: u64,
    /// How often they could not be used, and those before stayed.
    pub certificates_refused: u64,
    /// Whether the last look at them ended so: what handshakes show is not what is on disk.
    pub is_certificate_refused: bool,
    /// Signatures of zones that were made.
    pub signatures: u64,
    /// Times that signatures or keys were due and could not be made.
    pub renewals_failed: u64,
}

impl Loads {
    /// Counts a load that took `secs` and ended at `at`, unix seconds.
    pub fn note(&self, became: Became, secs: f64, at: f64) {
        let mut counted = self.lock();
        counted.last_secs = secs;
        counted.is_refused = became != Became::Taken;
        if became == Became::Refused {
            counted.refused += 1;
        } else {
            counted.taken += 1;
            counted.last_taken_at = at;
        }
    }

    /// Counts a look at certificates and keys. Returns whether the one before was refused.
    pub fn note_certificates(&self, is_good: bool) -> bool {
        let mut counted = self.lock();
        match is_good {
            true => counted.certificates_taken += 1,
            false => counted.certificates_refused += 1,
        }
        std::mem::replace(&mut counted.is_certificate_refused, !is_good)
    }

    /// Counts signatures that were made.
    pub fn note_signatures(&self, n: usize) {
        self.lock().signatures += n as u64;
    }

    /// Counts signatures or keys that were due and could not be made.
    pub fn note_renewal_failed(&self) {
        self.lock().renewals_failed += 1;
    }

    /// The counts at this moment.
    pub fn counted(&self) -> Counted {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
