//! Circuit breaker of one POP, or of one member of a POP that has healthy others.
//!
//! ```text
//!            unclear                still bad after 10 s            spell over
//!   Closed ──────────▶ Suspect (0.7) ───────────────────▶ Open (0) ────────────▶ HalfOpen (1 %)
//!     ▲ ▲ recovered ◀────┘                                ▲  ▲                      │      │
//!     │ └───── clear failure: Closed → Open at once ──────┘  └─── probe failed ─────┘      │ probe
//!     └──────────────── Ramp 5 → 25 → 50 → 100 % ◀─────────────────────────────────────────┘ succeeded
//! ```
//!
//! The tick feeds the breaker what was seen and reads its factor before allocation; the breaker decides
//! nothing else. Overload is not failure: a POP that still serves 0.7 of what it can is *capped*
//! (`control::capacity`), never opened, because its load would go on to bring down its neighbours.
//!
//! Invariants: after a trip, Closed is reached only through a successful probe. While Open nothing that is
//! reported counts, because it comes from clients that caches and connections pin to the POP.
//! Thresholds are our choice, where no source is named.

use crate::clock::Now;
use crate::control::window::Outcomes;
use crate::policy::BreakerConfig;
use crate::probe::What;
use crate::steering::BreakerState;

/// Factor on capacity while Suspect.
const SUSPECT_FACTOR: f64 = 0.7;
/// Seconds of Suspect before it is decided.
const SUSPECT_SECS: f64 = 10.0;
/// Longest Open spell, seconds.
const OPEN_CAP_SECS: f64 = 300.0;
/// Spells vary by this share to either side, so that breakers that tripped together do not probe together.
const JITTER: f64 = 0.2;
/// Share of a cell's answers while HalfOpen.
pub const TRICKLE: f64 = 0.01;
/// Shares of a cell's answers on the steps of the ramp.
const RAMP: [f64; 4] = [0.05, 0.25, 0.5, 1.0];
/// Outcomes that make a probe: fewer decide nothing.
const PROBE_REQUESTS: f64 = 10.0;
/// An error share whose lower bound is at least this, and at least [`CLEAR_FACTOR`] times the threshold, is clear: it
/// trips without waiting out Suspect.
const CLEAR_SHARE: f64 = 0.25;
/// See [`CLEAR_SHARE`].
const CLEAR_FACTOR: f64 = 4.0;
/// Seconds of Closed after which earlier trips no longer lengthen the next spell.
const FORGIVE_SECS: f64 = 600.0;
/// A ramp waits when nothing was heard for so long, seconds, and no probe says that somebody answers.
const RAMP_SILENCE_SECS: f64 = 60.0;
/// Two-sided 95 % for the Wilson bound.
const Z: f64 = 1.96;

//----------- Evidence -------------------------------------------------------

/// What was seen of the target, in the stretch that [`Breaker::since`] allows.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// Requests and errors of the last half minute.
    pub outcomes: Outcomes,
    /// Those of the newest seconds alone: a failure that is clear there need not wait until it has filled the
    /// half minute.
    pub sudden: Outcomes,
    /// p95 was over its bound in the last ten seconds and in the last two minutes.
    pub slow: bool,
    /// It serves at least 0.7 of what it can, or says it is full: what goes wrong is overload.
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
            () if low >= bar || sudden => Verdict::Failing,
            () if failing || self.slow => Verdict::Unclear,
            () if self.outlier && !self.overloaded && low > config.error_rate / 2.0 => Verdict::Unclear,
            () => Verdict::Healthy,
        }
    }

    /// Whether nothing is heard that could say how it does.
    fn is_unheard(&self) -> bool {
        self.silent_secs >= RAMP_SILENCE_SECS
    }

    /// The stretch that tells more against the target: what a trip acts on, and what its reason says.
    pub fn telling(&self) -> Outcomes {
        let newest = self.sudden.requests >= PROBE_REQUESTS && self.sudden.error_share() > self.outcomes.error_share();
        if newest { self.sudden } else { self.outcomes }
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

//----------- Breaker --------------------------------------------------------

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    state: BreakerState,
    entered: Now,
    /// Trips that still lengthen the next spell.
    trips: u32,
    spell_secs: f64,
    /// Position in [`RAMP`], and when it was reached.
    step: usize,
    stepped: Now,
    reason: String,
}

/// What the world asks of a step besides evidence.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The policy.
    pub config: BreakerConfig,
    /// Seconds to hold each step of the ramp: how long answers and connections last.
    pub hold_secs: f64,
    /// Whether automation may remove this capacity now (`control::limits`).
    pub may_open: bool,
    /// Uniform in `[0, 1)`: the jitter of a spell that starts now.
    pub draw: f64,
}

/// A change of state.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// Where it was.
    pub from: BreakerState,
    /// Where it is.
    pub to: BreakerState,
    /// Why, in words.
    pub reason: String,
}

impl Breaker {
    /// Closed, from `now` on.
    pub fn closed(now: Now) -> Breaker {
        Breaker {
            state: BreakerState::Closed,
            entered: now,
            trips: 0,
            spell_secs: 0.0,
            step: 0,
            stepped: now,
            reason: String::new(),
        }
    }

    /// Open since `now`, as after a restart that read so: the spell starts anew, unlengthened.
    pub fn reopened(now: Now, cooldown_secs: f64, reason: String) -> Breaker {
        let closed = Breaker::closed(now);
        Breaker { state: BreakerState::Open, trips: 1, spell_secs: cooldown_secs, reason, ..closed }
    }

    /// On the first step of the ramp since `now`: for what was kept out by somebody's decision and not for a failure.
    pub fn returning(now: Now) -> Breaker {
        Breaker { state: BreakerState::Ramp, reason: ramp_words(0), ..Breaker::closed(now) }
    }

    /// Its state.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Why it is there, in words; empty while Closed.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Unix seconds before which what happened is no evidence any more.
    pub fn since(&self) -> f64 {
        match self.state {
            // Suspicion is about what led to it.
            BreakerState::Closed | BreakerState::Suspect if self.trips == 0 => f64::NEG_INFINITY,
            BreakerState::Suspect => self.entered.unix - SUSPECT_SECS,
            BreakerState::Ramp => self.stepped.unix,
            _ => self.entered.unix,
        }
    }

    /// Factor on capacity, in `[0, 1]`.
    pub fn factor(&self) -> f64 {
        match self.state {
            BreakerState::Closed => 1.0,
            BreakerState::Suspect => SUSPECT_FACTOR,
            BreakerState::Open => 0.0,
            BreakerState::HalfOpen => TRICKLE,
            BreakerState::Ramp => RAMP[self.step],
        }
    }

    /// The most of any cell's answers that it may have, in `[0, 1]`.
    pub fn share_cap(&self) -> f64 {
        match self.state {
            BreakerState::Closed | BreakerState::Suspect => 1.0,
            _ => self.factor(),
        }
    }

    /// Takes in the evidence and says what changed; `now` may repeat but not go back.
    pub fn step(&mut self, evidence: &Evidence, terms: &Terms, now: Now) -> Option<Moved> {
        let config = &terms.config;
        match self.state {
            BreakerState::Closed => {
                if now.since(self.entered) >= FORGIVE_SECS {
                    self.trips = 0;
                }
                match evidence.verdict(config, config.min_requests) {
                    Verdict::Failing => self.trip(words(evidence), terms, now),
                    Verdict::Unclear => self.go(BreakerState::Suspect, words(evidence), now),
                    _ => None,
                }
            }
            BreakerState::Suspect => match evidence.verdict(config, config.min_requests) {
                Verdict::Failing => self.trip(words(evidence), terms, now),
                _ if now.since(self.entered) < SUSPECT_SECS => None,
                Verdict::Unclear => self.trip(words(evidence), terms, now),
                // A trip that was withheld is no trip, so this needs no probe.
                _ => self.go(BreakerState::Closed, String::new(), now),
            },
            BreakerState::Open if now.since(self.entered) < self.spell_secs || evidence.gone.is_some() => None,
            BreakerState::Open => {
                let reason = format!("probing after {:.0} s", self.spell_secs);
                self.go(BreakerState::HalfOpen, reason, now)
            }
            BreakerState::HalfOpen => match evidence.verdict(config, PROBE_REQUESTS) {
                Verdict::Healthy => self.go(BreakerState::Ramp, ramp_words(0), now),
                Verdict::Unclear | Verdict::Failing => self.relapse(evidence, terms, now),
                Verdict::NoEvidence if evidence.proven && evidence.is_unheard() => {
                    self.go(BreakerState::Ramp, ramp_words(0), now)
                }
                Verdict::NoEvidence | Verdict::Overloaded => None,
            },
            BreakerState::Ramp => match evidence.verdict(config, PROBE_REQUESTS) {
                Verdict::Unclear | Verdict::Failing => self.relapse(evidence, terms, now),
                _ if now.since(self.stepped) < terms.hold_secs => None,
                _ if evidence.is_unheard() && !evidence.proven => None,
                _ if self.step + 1 == RAMP.len() => self.go(BreakerState::Closed, String::new(), now),
                _ => {
                    (self.step, self.stepped) = (self.step + 1, now);
                    self.reason = ramp_words(self.step);
                    Some(Moved { from: BreakerState::Ramp, to: BreakerState::Ramp, reason: self.reason.clone() })
                }
            },
        }
    }

    /// Opens, or stays Suspect where automation has removed enough already.
    fn trip(&mut self, reason: String, terms: &Terms, now: Now) -> Option<Moved> {
        if terms.may_open {
            return self.open(reason, terms, now);
        }
        let reason = format!("{reason}; kept, since a third of all capacity was removed in ten minutes");
        match self.state {
            BreakerState::Suspect => {
                self.reason = reason;
                None
            }
            _ => self.go(BreakerState::Suspect, reason, now),
        }
    }

    fn relapse(&mut self, evidence: &Evidence, terms: &Terms, now: Now) -> Option<Moved> {
        self.open(format!("probe failed: {}", words(evidence)), terms, now)
    }

    fn open(&mut self, reason: String, terms: &Terms, now: Now) -> Option<Moved> {
        let doubled = terms.config.cooldown_secs * 2f64.powi(self.trips.min(16) as i32);
        self.spell_secs = doubled.min(OPEN_CAP_SECS) * (1.0 + JITTER * (2.0 * terms.draw - 1.0));
        self.trips += 1;
        self.go(BreakerState::Open, reason, now)
    }

    fn go(&mut self, to: BreakerState, reason: String, now: Now) -> Option<Moved> {
        let from = std::mem::replace(&mut self.state, to);
        (self.entered, self.stepped, self.step) = (now, now, 0);
        self.reason.clone_from(&reason);
        Some(Moved { from, to, reason })
    }
}

fn ramp_words(step: usize) -> String {
    format!("returning at {:.0} %", 100.0 * RAMP[step])
}

fn words(evidence: &Evidence) -> String {
    if let Some(what) = evidence.gone {
        let silent = match evidence.silent_secs {
            secs if secs.is_finite() => format!("silent for {secs:.0} s, and "),
            _ => String::new(),
        };
        return format!("{silent}its probes fail: {}", what.words());
    }
    let seen = &evidence.telling();
    let errors = format!("{:.1} % of {:.0} requests failed", 100.0 * seen.error_share(), seen.requests);
    match (evidence.slow, seen.p95_ms()) {
        (true, Some(p95)) => format!("{errors}, p95 {p95:.0} ms"),
        _ => errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;
    use proptest::prelude::*;

    fn seen(requests: f64, errors: f64) -> Evidence {
        Evidence { outcomes: Outcomes::of(requests, errors, 10.0), ..Evidence::default() }
    }

    fn terms() -> Terms {
        Terms { config: BreakerConfig::default(), hold_secs: 60.0, may_open: true, draw: 0.5 }
    }

    /// Steps through `(seconds, evidence, state after)`.
    fn check(steps: &[(f64, Evidence, BreakerState)]) -> Breaker {
        let mut breaker = Breaker::closed(at(0.0));
        for (secs, evidence, state) in steps {
            breaker.step(evidence, &terms(), at(*secs));
            assert_eq!(breaker.state(), *state, "at {secs}: {}", breaker.reason());
        }
        breaker
    }

    use BreakerState::*;

    #[test]
    fn clear_failure_opens_at_once_and_the_way_back_is_long() {
        let (good, bad) = (seen(1000.0, 0.0), seen(1000.0, 500.0));
        let none = Evidence::default();
        let breaker = check(&[
            (1.0, bad, Open),
            (2.0, good, Open),
            (29.0, good, Open),
            (31.0, bad, HalfOpen),
            (32.0, none, HalfOpen),
            (33.0, good, Ramp),
            (92.0, good, Ramp),
            (93.0, good, Ramp),
            (153.0, good, Ramp),
            (213.0, good, Ramp),
            (272.0, good, Ramp),
            (273.0, good, Closed),
        ]);
        assert_eq!((breaker.factor(), breaker.reason()), (1.0, ""));
    }

    #[test]
    fn doubt_waits_ten_seconds() {
        let unclear = seen(1000.0, 90.0);
        check(&[(1.0, unclear, Suspect), (10.0, unclear, Suspect), (11.0, unclear, Open)]);
        check(&[(1.0, unclear, Suspect), (11.0, seen(1000.0, 10.0), Closed)]);
        check(&[(1.0, unclear, Suspect), (2.0, seen(1000.0, 900.0), Open)]);
    }

    #[test]
    fn small_samples_and_overload_never_trip() {
        check(&[(1.0, seen(99.0, 99.0), Closed), (2.0, seen(100.0, 8.0), Closed)]);
        check(&[(1.0, Evidence { overloaded: true, ..seen(1000.0, 600.0) }, Closed)]);
        check(&[(1.0, Evidence { slow: true, overloaded: true, ..seen(1000.0, 0.0) }, Closed)]);
        check(&[(1.0, Evidence { slow: true, ..seen(1000.0, 0.0) }, Suspect)]);
        check(&[(1.0, Evidence { outlier: true, ..seen(1000.0, 10.0) }, Closed)]);
        check(&[(1.0, Evidence { outlier: true, ..seen(1000.0, 45.0) }, Suspect)]);
    }

    #[test]
    fn spells_double_up_to_a_cap_and_are_forgiven() {
        let bad = seen(100.0, 100.0);
        let mut breaker = Breaker::closed(at(0.0));
        let (mut now, mut spells) = (0.0, Vec::new());
        breaker.step(&bad, &terms(), at(now));
        for _ in 0..6 {
            spells.push(breaker.spell_secs);
            now += breaker.spell_secs;
            breaker.step(&bad, &terms(), at(now));
            breaker.step(&bad, &terms(), at(now));
        }
        assert_eq!(spells, [30.0, 60.0, 120.0, 240.0, 300.0, 300.0]);
        let mut calm = Breaker { state: Closed, entered: at(now), ..breaker };
        calm.step(&seen(1000.0, 0.0), &terms(), at(now + 600.0));
        assert_eq!(calm.trips, 0);
        let spell = |draw| {
            let mut breaker = Breaker::closed(at(0.0));
            breaker.step(&bad, &Terms { draw, ..terms() }, at(0.0));
            breaker.spell_secs
        };
        assert_eq!((spell(0.0), spell(0.5), spell(1.0)), (24.0, 30.0, 36.0));
    }

    #[test]
    fn a_trip_that_may_not_be_is_a_suspicion() {
        let held = Terms { may_open: false, ..terms() };
        let mut breaker = Breaker::closed(at(0.0));
        breaker.step(&seen(1000.0, 900.0), &held, at(1.0));
        breaker.step(&seen(1000.0, 900.0), &held, at(20.0));
        assert_eq!(breaker.state(), Suspect);
        assert!(breaker.reason().contains("a third"), "{}", breaker.reason());
    }

    #[test]
    fn the_bound_is_wilsons() {
        assert!((wilson_low(50.0, 1000.0) - 0.0381).abs() < 1e-4);
        assert_eq!(wilson_low(0.0, 0.0), 0.0);
        assert!(wilson_low(1.0, 1.0) < 0.21);
    }

    proptest! {
        /// After a trip nothing but a successful probe leads back, whatever is reported in between.
        #[test]
        fn closed_only_through_a_probe(
            steps in prop::collection::vec((0.0..40.0f64, 0.0..2000.0f64, 0.0..=1.0f64, any::<[bool; 4]>()), 1..120),
            draw in 0.0..1.0f64,
        ) {
            let (mut breaker, mut now, mut proven) = (Breaker::closed(at(0.0)), 0.0, true);
            for (dt, requests, share, [slow, overloaded, outlier, may_open]) in steps {
                now += dt;
                let evidence = Evidence { slow, overloaded, outlier, ..seen(requests, share * requests) };
                let moved = breaker.step(&evidence, &Terms { may_open, draw, ..terms() }, at(now));
                match moved.map(|m| (m.from, m.to)) {
                    Some((_, Open)) => proven = false,
                    Some((from, Ramp)) => {
                        prop_assert!(from == Ramp || evidence.verdict(&terms().config, PROBE_REQUESTS) == Verdict::Healthy);
                        proven = true;
                    }
                    Some((from, Closed)) => prop_assert!(proven && (from == Ramp || from == Suspect)),
                    Some((from, to)) => prop_assert!((from, to) == (Closed, Suspect) || (from, to) == (Open, HalfOpen)),
                    None => {}
                }
                prop_assert!((0.0..=1.0).contains(&breaker.factor()));
                prop_assert_eq!(breaker.factor() == 0.0, breaker.state() == Open);
            }
        }
    }
}
