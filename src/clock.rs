//! Where "now" comes from.
//!
//! Nothing below the edges reads a clock: `now` is an argument. Intervals are measured on the
//! monotonic part, so that a step of the wall clock never ages a plan or trips a breaker; the wall
//! part is for comparing with times that others wrote (samples, announcements) and for printing.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

//----------- Now ------------------------------------------------------------

/// One reading of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Now {
    /// Seconds on the monotonic clock since the process (or the simulation) began; never goes back.
    pub mono: f64,
    /// Seconds since 1970-01-01T00:00:00Z on the wall clock; may jump.
    pub unix: f64,
}

impl Now {
    /// The same moment `secs` later, on both clocks.
    pub fn after(self, secs: f64) -> Now {
        Now { mono: self.mono + secs, unix: self.unix + secs }
    }

    /// Seconds from `earlier` to this reading, on the monotonic clock; 0 if `earlier` is later.
    pub fn since(self, earlier: Now) -> f64 {
        (self.mono - earlier.mono).max(0.0)
    }
}

//----------- Clock ----------------------------------------------------------

/// The real clock. Only the edges (`transport`, `telemetry`'s gRPC file, `admin`, `cli`) hold one.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts the monotonic count at zero.
    pub fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Reads both clocks.
    pub fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64());
        Now { mono: self.start.elapsed().as_secs_f64(), unix }
    }
}
