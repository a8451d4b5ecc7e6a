//! What was seen of a target, and what it says: the judge of breakers.

use crate::control::window::Outcomes;
use crate::policy::BreakerConfig;
use crate::probe::What;

/// Outcomes that make a probe: fewer decide nothing.
pub const PROBE_REQUESTS: f64 = 10.0;
/// An error share whose lower bound is at least this, and at least [`CLEAR_FACTOR`] times the threshold, is clear: it
/// trips without waiting out Suspect.
const CLEAR_SHARE: f64 = 0.25;
/// See [`CLEAR_SHARE`].
const CLEAR_FACTOR: f64 = 4.0;
/// Seconds of silence after which nothing is heard that could say how it does.
const UNHEARD_SECS: f64 = 60.0;
/// Shortest silence that is told of one whose probes fail, seconds: what is heard now and then is not silent.
const SAID_SECS: f64 = 10.0;
/// What is served now over the mean of the half minute from which on a flood may have begun. Our choice: demand that grows by half
/// within seconds is one.
const MORE: f64 = 1.5;
/// Two-sided 95 % for the Wilson bound.
const Z: f64 = 1.96;

//----------- Evidence -------------------------------------------------------

/// What was seen of the target, in the stretch that [`Breaker::since`](crate::control::breaker::Breaker::since) allows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Requests and errors of the last half minute.
    pub outcomes: Outcomes,
    /// Those of the newest seconds alone: a failure that is clear there need not wait until it has filled the
    /// half minute.
    pub sudden: Outcomes,
    /// p95 was over its bound in the last ten seconds and in the last two minutes.
    pub slow: bool,
    /// What goes wrong is overload: it serves at least 0.7 of what it can, or says that it is full and serves at least half of
    /// what it should.
    pub overloaded: bool,
    /// It fails more than its peers, by more than 1.9 standard deviations, and there are at least five.
    pub outlier: bool,
    /// Nobody answers there: probes fail so, and it is silent, or several places say so.
    pub gone: Option<What>,
    /// Probes find it well. Counts only where nothing else is known: it proves that somebody answers, not how well.
    pub proven: bool,
    /// Seconds since anything was heard.
    pub silent_secs: f64,
}

/// What the evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Too little was seen.
    NoEvidence,
    /// Nothing wrong.
    Healthy,
    /// Something is wrong, and it is too much load: cap it.
    Overloaded,
    /// Something is wrong, but not beyond doubt.
    Unclear,
    /// Failing beyond doubt.
    Failing,
}

impl Evidence {
    /// Judges by the Wilson lower bound of the error share, over at least `min_requests` outcomes.
    pub fn verdict(&self, config: &BreakerConfig, min_requests: f64) -> Verdict {
        if self.gone.is_some() {
            return Verdict::Failing;
        }
        let n = self.outcomes.requests;
        if n < min_requests.max(1.0) {
            return Verdict::NoEvidence;
        }
        let low = wilson_low(self.outcomes.errors, n);
        let bar = CLEAR_SHARE.max(CLEAR_FACTOR * config.error_rate).min(0.9);
        let sudden = self.sudden.requests >= min_requests.max(1.0)
            && wilson_low(self.sudden.errors, self.sudden.requests) >= bar;
        let failing = low > config.error_rate || sudden;
        match () {
            () if (failing || self.slow) && self.overloaded => Verdict::Overloaded,
            () if (low >= bar || sudden) && !self.serves_more() => Verdict::Failing,
            () if failing || self.slow => Verdict::Unclear,
            () if self.outlier && !self.overloaded && low > config.error_rate / 2.0 => Verdict::Unclear,
            () => Verdict::Healthy,
        }
    }

    /// Whether it has just begun to serve much more: then it may fail for want of room, and the next seconds say which.
    fn serves_more(&self) -> bool {
        self.sudden.goodput().zip(self.outcomes.goodput()).is_some_and(|(now, mean)| now > MORE * mean)
    }

    /// Whether nothing is heard that could say how it does.
    pub fn is_unheard(&self) -> bool {
        self.silent_secs >= UNHEARD_SECS
    }

    /// The stretch that tells more against the target: what a trip acts on, and what its reason says.
    pub fn telling(&self) -> Outcomes {
        let newest = self.sudden.requests >= PROBE_REQUESTS && self.sudden.error_share() > self.outcomes.error_share();
        if newest { self.sudden } else { self.outcomes }
    }

    /// What is wrong, in words.
    pub fn words(&self) -> String {
        if let Some(what) = self.gone {
            let silent = match self.silent_secs {
                secs if (SAID_SECS..f64::INFINITY).contains(&secs) => format!("silent for {secs:.0} s, and "),
                _ => String::new(),
            };
            return format!("{silent}its probes fail: {}", what.words());
        }
        let seen = &self.telling();
        let errors = format!("{:.1} % of {:.0} requests failed", 100.0 * seen.error_share(), seen.requests);
        match (self.slow, seen.p95_ms()) {
            (true, Some(p95)) => format!("{errors}, p95 {p95:.0} ms"),
            _ => errors,
        }
    }
}

/// Lower end of the Wilson score interval at 95 % for `bad` of `n` (Wilson 1927); 0 for `n` = 0.
pub fn wilson_low(bad: f64, n: f64) -> f64 {
    if n <= 0.0 {
        return 0.0;
    }
    let (p, z2) = ((bad / n).clamp(0.0, 1.0), Z * Z);
    let centre = p + z2 / (2.0 * n);
    let spread = Z * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - spread) / (1.0 + z2 / n)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_wilsons() {
        assert!((wilson_low(50.0, 1000.0) - 0.0381).abs() < 1e-4);
        assert_eq!(wilson_low(0.0, 0.0), 0.0);
        assert!(wilson_low(1.0, 1.0) < 0.21);
    }
}
