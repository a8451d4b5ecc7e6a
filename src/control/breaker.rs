//! Circuit breaker of one POP, or of one member of a POP that has healthy others.
//!
//! ```text
//!            unclear                still bad after 10 s            spell over, and nobody holds it
//!   Closed ──────────▶ Suspect (0.7) ───────────────────▶ Open (0) ────────────▶ HalfOpen (1 %)
//!     ▲ ▲ recovered ◀────┘                                ▲  ▲                      │      │
//!     │ └───── clear failure: Closed → Open at once ──────┘  └─── probe failed ─────┘      │ probe succeeded, and
//!     └──────────────── Ramp 5 → 25 → 50 → 100 % ◀─────────────────────────────────────────┘ `breaker.failback` is over
//! ```
//!
//! The tick feeds the breaker what was seen and reads its factor before allocation; the breaker decides
//! nothing else. Overload is not failure: a POP that still serves 0.7 of what it can is *capped*
//! (`control::capacity`), never opened, because its load would go on to bring down its neighbours.
//!
//! A spell lasts `breaker.cooldown`, doubled by each probe that fails, 300 s at most, and never less than answers and
//! connections last: who is pinned to the target would be taken for new evidence. Who fails again and again after having come
//! back is kept out by `control::damping`; with `breaker.resume=manual`, everybody is until an operator says so.
//!
//! Failure that begins with a flood waits ten seconds in Suspect: they tell whether the target is broken or full. A target that is heard and
//! hardly asked while HalfOpen goes on to the ramp after five minutes.
//!
//! Invariants: after a trip, Closed is reached only through HalfOpen and the ramp. While Open nothing that is
//! reported counts, because it comes from clients that caches and connections pin to the POP.
//! Thresholds are our choice, where no source is named.

use crate::clock::Now;
use crate::control::damping::Damping;
use crate::control::evidence::{Evidence, PROBE_REQUESTS, Verdict};
use crate::policy::{BreakerConfig, Resume};
use crate::steering::BreakerState;

/// Factor on capacity while Suspect.
const SUSPECT_FACTOR: f64 = 0.7;
/// Seconds of Suspect before it is decided.
const SUSPECT_SECS: f64 = 10.0;
/// Longest Open spell but for what answers last, damping and operators; seconds.
const OPEN_CAP_SECS: f64 = 300.0;
/// Spells vary by this share to either side, so that breakers that tripped together do not probe together.
const JITTER: f64 = 0.2;
/// Share of a cell's answers while HalfOpen.
pub const TRICKLE: f64 = 0.01;
/// Shares of a cell's answers on the steps of the ramp.
const RAMP: [f64; 4] = [0.05, 0.25, 0.5, 1.0];
/// Seconds of Closed after which all that is reported counts again, and not only what came after the last trip.
const FORGIVE_SECS: f64 = 600.0;
/// Seconds of HalfOpen without enough outcomes after which active probes are believed: who asks is elsewhere.
const FEW_SECS: f64 = 60.0;

/// Seconds of HalfOpen after which a target that is heard and that hardly anybody has asked gets more: where few resolvers ask,
/// a hundredth of the answers may be nobody's, and it would stand there for ever.
const UNASKED_SECS: f64 = 300.0;

//----------- Breaker --------------------------------------------------------

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Breaker {
    state: BreakerState,
    entered: Now,
    /// It has tripped, and not been Closed for long since.
    is_scarred: bool,
    /// Doublings of the cooldown: what flaps have left of their merit at the trip, and one per probe that failed since.
    level: f64,
    damping: Damping,
    spell_secs: f64,
    /// Position in [`RAMP`], and when it was reached.
    step: usize,
    stepped: Now,
    /// Since when probes have succeeded, while HalfOpen.
    well: Option<Now>,
    /// The spell is over, and only an operator ends it.
    waits: bool,
    reason: String,
}

/// What the world asks of a step besides evidence.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The policy.
    pub config: BreakerConfig,
    /// Seconds to hold each step of the ramp: how long answers and connections last, twice.
    pub hold_secs: f64,
    /// Seconds that answers and connections last: the least spell.
    pub lag_secs: f64,
    /// Whether automation may remove this capacity now (`control::limits`).
    pub may_open: bool,
    /// Whether an operator says that it may come back: ends damping and `breaker.resume=manual`.
    pub resumed: bool,
    /// Whether an assertion of the policies keeps it in (`control::asserted`).
    pub needed: bool,
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
            is_scarred: false,
            level: 0.0,
            damping: Damping::default(),
            spell_secs: 0.0,
            step: 0,
            stepped: now,
            well: None,
            waits: false,
            reason: String::new(),
        }
    }

    /// Open since `now`, as after a restart that read so: the spell starts anew, unlengthened.
    pub fn reopened(now: Now, cooldown_secs: f64, reason: String) -> Breaker {
        let closed = Breaker::closed(now);
        Breaker { state: BreakerState::Open, is_scarred: true, spell_secs: cooldown_secs, reason, ..closed }
    }

    /// HalfOpen since `now`: for what an operator has let come back before a restart.
    pub fn probing(now: Now) -> Breaker {
        let (state, reason) = (BreakerState::HalfOpen, "probing after a restart".to_string());
        Breaker { state, is_scarred: true, reason, ..Breaker::closed(now) }
    }

    /// On the first step of the ramp since `now`: for what was kept out by somebody's decision and not for a failure.
    pub fn returning(now: Now) -> Breaker {
        Breaker { state: BreakerState::Ramp, reason: ramp_words(0), ..Breaker::closed(now) }
    }

    /// An operator says that it may come back: what holds it beyond its spell ends.
    pub fn release(&mut self, now: Now) -> Option<Moved> {
        self.damping = Damping::default();
        let is_open = self.state == BreakerState::Open;
        is_open.then(|| self.go(BreakerState::HalfOpen, "probing, as an operator says".to_string(), now)).flatten()
    }

    /// Moves what it remembers of the wall clock by so many seconds, since that was stepped by as many.
    pub fn shift(&mut self, secs: f64) {
        self.entered.unix += secs;
        self.stepped.unix += secs;
    }

    /// Its state.
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// Why it is there, in words; empty while Closed.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What keeps it Open though its spell is over, in words; empty if nothing does.
    pub fn held(&self, now: Now) -> String {
        let damped = self.damping.hold_secs(now);
        match self.state {
            BreakerState::Open if self.waits => {
                "waits for an operator (breaker.resume=manual): floodway override 'resume NAME'".to_string()
            }
            BreakerState::Open if damped > 0.0 => {
                let (flaps, minutes) = (self.damping.merit(now), damped / 60.0);
                format!("came back and failed {flaps:.1} times lately: kept out for {minutes:.0} min more")
            }
            _ => String::new(),
        }
    }

    /// Unix seconds before which what happened is no evidence any more.
    pub fn since(&self) -> f64 {
        match self.state {
            // Suspicion is about what led to it.
            BreakerState::Closed | BreakerState::Suspect if !self.is_scarred => f64::NEG_INFINITY,
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
                    self.is_scarred = false;
                }
                match evidence.verdict(config, config.min_requests) {
                    Verdict::Failing => self.trip(evidence.words(), terms, now),
                    Verdict::Unclear => self.go(BreakerState::Suspect, evidence.words(), now),
                    _ => None,
                }
            }
            BreakerState::Suspect => match evidence.verdict(config, config.min_requests) {
                Verdict::Failing => self.trip(evidence.words(), terms, now),
                _ if now.since(self.entered) < SUSPECT_SECS => None,
                Verdict::Unclear => self.trip(evidence.words(), terms, now),
                // A trip that was withheld is no trip, so this needs no probe.
                _ => self.go(BreakerState::Closed, String::new(), now),
            },
            BreakerState::Open => self.step_open(evidence, terms, now),
            BreakerState::HalfOpen => self.step_half_open(evidence, terms, now),
            BreakerState::Ramp => match evidence.verdict(config, PROBE_REQUESTS) {
                Verdict::Unclear | Verdict::Failing => self.flap(relapse_words(evidence), terms, now),
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

    fn step_open(&mut self, evidence: &Evidence, terms: &Terms, now: Now) -> Option<Moved> {
        if terms.resumed {
            self.damping = Damping::default();
        }
        self.damping.settle(now);
        if now.since(self.entered) < self.spell_secs || evidence.gone.is_some() || self.damping.hold_secs(now) > 0.0 {
            return None;
        }
        if terms.config.resume == Resume::Manual && !terms.resumed {
            let is_new = !std::mem::replace(&mut self.waits, true);
            return is_new.then(|| Moved { from: BreakerState::Open, to: BreakerState::Open, reason: self.held(now) });
        }
        self.waits = false;
        let reason = format!("probing after {:.0} s", now.since(self.entered));
        self.go(BreakerState::HalfOpen, reason, now)
    }

    fn step_half_open(&mut self, evidence: &Evidence, terms: &Terms, now: Now) -> Option<Moved> {
        let few = evidence.is_unheard() || now.since(self.entered) >= FEW_SECS;
        let unasked = !evidence.is_unheard() && now.since(self.entered) >= UNASKED_SECS;
        let is_well = match evidence.verdict(&terms.config, PROBE_REQUESTS) {
            Verdict::Unclear | Verdict::Failing => {
                self.level += 1.0;
                return self.open(relapse_words(evidence), terms, now);
            }
            Verdict::Healthy => true,
            Verdict::NoEvidence => evidence.proven && few || unasked,
            Verdict::Overloaded => false,
        };
        // Too few outcomes for a while take nothing back.
        let since = match (self.well, is_well) {
            (None, false) => return None,
            (Some(since), _) => since,
            (None, true) => *self.well.insert(now),
        };
        let waited = now.since(since);
        if waited >= terms.config.failback_secs {
            return self.go(BreakerState::Ramp, ramp_words(0), now);
        }
        let minutes = (terms.config.failback_secs - waited) / 60.0;
        self.reason = format!("well again, returns in {minutes:.0} min (breaker.failback)");
        None
    }

    /// Opens, or stays Suspect where automation has removed enough already.
    fn trip(&mut self, reason: String, terms: &Terms, now: Now) -> Option<Moved> {
        let kept = match (terms.may_open, terms.needed) {
            (true, false) => return self.flap(reason, terms, now),
            (false, _) => "a third of all capacity was removed in ten minutes",
            (true, true) => "an assertion needs it and it serves half of what it gets",
        };
        let reason = format!("{reason}; kept, since {kept}");
        match self.state {
            BreakerState::Suspect => {
                self.reason = reason;
                None
            }
            _ => self.go(BreakerState::Suspect, reason, now),
        }
    }

    /// Opens what was given answers before.
    fn flap(&mut self, reason: String, terms: &Terms, now: Now) -> Option<Moved> {
        self.level = self.damping.merit(now);
        self.damping.flap(now);
        self.open(reason, terms, now)
    }

    fn open(&mut self, reason: String, terms: &Terms, now: Now) -> Option<Moved> {
        let doubled = (terms.config.cooldown_secs * 2f64.powf(self.level.min(16.0))).min(OPEN_CAP_SECS);
        let jittered = doubled * (1.0 + JITTER * (2.0 * terms.draw - 1.0));
        // Where what answers last decides, the jitter comes on top of it.
        self.spell_secs = jittered.max(terms.lag_secs * (1.0 + JITTER * terms.draw));
        self.is_scarred = true;
        self.go(BreakerState::Open, reason, now)
    }

    fn go(&mut self, to: BreakerState, reason: String, now: Now) -> Option<Moved> {
        let from = std::mem::replace(&mut self.state, to);
        (self.entered, self.stepped, self.step) = (now, now, 0);
        (self.well, self.waits) = (None, false);
        self.reason.clone_from(&reason);
        Some(Moved { from, to, reason })
    }
}

fn relapse_words(evidence: &Evidence) -> String {
    format!("probe failed: {}", evidence.words())
}

fn ramp_words(step: usize) -> String {
    format!("returning at {:.0} %", 100.0 * RAMP[step])
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
