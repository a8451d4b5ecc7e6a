//! A shadow: a standby member that is started before it is needed and stopped when it is empty.
//!
//! ```text
//!   Cold ──wanted──▶ Warming ──confirmed──▶ Ready (1 %) ──needed──▶ Active
//!    ▲                  ▲ confirmation lost ◀──┴────────────────────────┤
//!    └── residue < 1 % ── Draining ◀── calm, and on for 15 min ─────────┘
//! ```
//!
//! It counts only after the POP has confirmed it, and is switched off on measured residue, not on a timer:
//! clients stay as long as their caches and connections do.

use crate::clock::Now;
use crate::steering::ShadowState;

/// Probability of running short from which on the start of a shadow cannot wait, if it pays at all
/// (`control::worth`): one wrong start costs some standby time, one missed start costs minutes of overload.
/// Default 0.02 to 0.05 in the newsvendor rule with usual costs.
pub const START_RISK: f64 = 0.05;
/// Seconds that a shadow stays on at least.
pub const LEAST_ON_SECS: f64 = 900.0;
/// A confirmation is good for so many seconds.
const CONFIRMED_SECS: f64 = 300.0;
/// Part of its capacity under which a draining shadow counts as empty.
const RESIDUE: f64 = 0.01;
/// Draining ends so many seconds after all caches must have let go, whatever is measured.
const HARD_STOP_SECS: f64 = 900.0;

/// What is asked of a shadow.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Need {
    /// It should be started: demand at its lead may outgrow what is usable by then, what it prevents is worth its standby,
    /// and there is a budget for it.
    pub start: bool,
    /// Planned demand outgrows what is usable without it now.
    pub now: bool,
    /// What is usable without it suffices with a quarter to spare, for the time it would take to be back.
    pub calm: bool,
}

/// What is known of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// What the POP says, and how many seconds ago it did.
    pub reported: Option<(ShadowState, f64)>,
    /// Requests per second that it still gets; `None` where nobody measures.
    pub residue: Option<f64>,
    /// What it can carry, requests per second.
    pub capacity: f64,
    /// The longest TTL of its group, seconds.
    pub ttl_max: u32,
}

/// A change of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it was.
    pub from: ShadowState,
    /// Where it is.
    pub to: ShadowState,
    /// Why, in words.
    pub reason: &'static str,
}

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shadow {
    state: ShadowState,
    entered: Now,
    /// When it left Cold.
    on: Now,
}

impl Shadow {
    /// Cold.
    pub fn cold(now: Now) -> Shadow {
        Shadow { state: ShadowState::Cold, entered: now, on: now }
    }

    /// As it was before a restart: what served must be confirmed anew, what drained goes on draining.
    pub fn resumed(state: ShadowState, now: Now) -> Shadow {
        let state = match state {
            ShadowState::Ready | ShadowState::Active => ShadowState::Warming,
            other => other,
        };
        Shadow { state, entered: now, on: now }
    }

    /// Its state; also what is wanted of the POP.
    pub fn state(&self) -> ShadowState {
        self.state
    }

    /// Takes in what is asked and known, and says what changed.
    pub fn step(&mut self, need: &Need, seen: &Seen, now: Now) -> Option<Moved> {
        use ShadowState::*;
        let fresh = seen.reported.filter(|(_, age)| *age <= CONFIRMED_SECS).map(|(state, _)| state);
        let confirmed = matches!(fresh, Some(Ready | Active));
        let rested = now.since(self.on) >= LEAST_ON_SECS;
        match self.state {
            Cold if need.start => self.go(Warming, "demand may outgrow what is usable", now),
            Cold => None,
            Warming if confirmed => self.go(Ready, "the POP confirms it", now),
            Warming if need.calm && rested => self.go(Cold, "no longer needed, never confirmed", now),
            Warming => None,
            Ready | Active if !confirmed => self.go(Warming, "the POP no longer confirms it", now),
            Ready if need.now => self.go(Active, "demand outgrows what is usable without it", now),
            Ready | Active if need.calm && rested => self.go(Draining, "no longer needed", now),
            Ready | Active => None,
            Draining if need.now && confirmed => self.go(Active, "needed again", now),
            Draining => {
                let spent = now.since(self.entered);
                let caches = f64::from(seen.ttl_max);
                let empty = seen.residue.is_some_and(|r| r < RESIDUE * seen.capacity);
                match () {
                    () if spent >= caches && empty => self.go(Cold, "its residue is gone", now),
                    () if spent >= 2.0 * caches + HARD_STOP_SECS => self.go(Cold, "drained long enough", now),
                    () => None,
                }
            }
        }
    }

    fn go(&mut self, to: ShadowState, reason: &'static str, now: Now) -> Option<Moved> {
        let from = std::mem::replace(&mut self.state, to);
        if from == ShadowState::Cold {
            self.on = now;
        }
        self.entered = now;
        Some(Moved { from, to, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;
    use ShadowState::*;

    fn needs(start: bool, now: bool, calm: bool) -> Need {
        Need { start, now, calm }
    }

    fn says(state: ShadowState) -> Seen {
        Seen { reported: Some((state, 1.0)), residue: Some(500.0), capacity: 1000.0, ttl_max: 60 }
    }

    fn check(steps: &[(f64, Need, Seen, ShadowState)]) {
        let mut shadow = Shadow::cold(at(0.0));
        for (secs, need, seen, state) in steps {
            shadow.step(need, seen, at(*secs));
            assert_eq!(shadow.state(), *state, "at {secs}");
        }
    }

    #[test]
    fn serves_only_what_is_confirmed_and_stops_only_when_empty() {
        let (idle, risky) = (needs(false, false, false), needs(true, false, false));
        let (needed, calm) = (needs(true, true, false), needs(false, false, true));
        let empty = Seen { residue: Some(5.0), ..says(Active) };
        check(&[
            (1.0, idle, says(Cold), Cold),
            (2.0, risky, says(Cold), Warming),
            (100.0, needed, says(Warming), Warming),
            (101.0, needed, says(Ready), Ready),
            (102.0, needed, says(Ready), Active),
            (500.0, calm, says(Active), Active),
            (902.0, calm, says(Active), Draining),
            (930.0, calm, empty, Draining),
            (962.0, calm, says(Active), Draining),
            (963.0, calm, empty, Cold),
        ]);
    }

    #[test]
    fn lost_confirmation_is_a_new_warm_up_and_drains_end() {
        let needed = needs(true, true, false);
        let old = Seen { reported: Some((Ready, 301.0)), ..says(Ready) };
        check(&[
            (1.0, needed, says(Ready), Warming),
            (2.0, needed, says(Ready), Ready),
            (3.0, needed, old, Warming),
            (4.0, needed, says(Ready), Ready),
            (950.0, needs(false, false, true), says(Ready), Draining),
            (951.0, needed, says(Ready), Active),
            (952.0, needs(false, false, true), says(Ready), Draining),
            (952.0 + 1020.0, needs(false, false, true), says(Active), Cold),
        ]);
        check(&[(1.0, needed, says(Cold), Warming), (902.0, needs(false, false, true), says(Cold), Cold)]);
    }

    #[test]
    fn a_restart_asks_for_confirmation_again() {
        let resumed = [Cold, Warming, Ready, Active, Draining].map(|s| Shadow::resumed(s, at(0.0)).state());
        assert_eq!(resumed, [Cold, Warming, Warming, Warming, Draining]);
    }
}
