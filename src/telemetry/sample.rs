//! What a POP reports of one window of time.

use crate::steering::ShadowState;
use crate::wire::Name;

//----------- Sample ---------------------------------------------------------

/// One report, already checked for shape and range; names are those of the policies at the time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The POP that reports.
    pub pop: Name,
    /// The group it is about.
    pub group: Name,
    /// The member, where the POP hosts several of the group; `None`: all of them together.
    pub member: Option<Name>,
    /// End of the window, unix seconds.
    pub at: f64,
    /// Length of the window in seconds, above 0.
    pub window_secs: f64,
    /// Requests in the window.
    pub requests: f64,
    /// Requests that failed, at most `requests`.
    pub errors: f64,
    /// Latency quantiles, where reported.
    pub latency: Option<Latency>,
    /// What the POP says it sustains, requests per second.
    pub capacity: Option<f64>,
    /// How full it is.
    pub utilisation: Utilisation,
    /// What a shadow member says of itself.
    pub shadow: Option<ShadowState>,
    /// Requests per cell name, where reported; they may sum to less than `requests`.
    pub cells: Vec<(String, f64)>,
}

/// Latency quantiles in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Median.
    pub p50_ms: f64,
    /// 0.95 quantile.
    pub p95_ms: f64,
    /// 0.99 quantile.
    pub p99_ms: f64,
}

/// Shares in use, each in `[0, 1]` (above 1 is taken as 1); `None` where not reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Utilisation {
    /// Processor.
    pub cpu: Option<f64>,
    /// Memory.
    pub memory: Option<f64>,
    /// Network.
    pub bandwidth: Option<f64>,
    /// Connections.
    pub connections: Option<f64>,
}
