//! Steps of the wall clock.
//!
//! Everything here ages by the monotonic clock. What is compared with times that others wrote (windows of samples, what a breaker
//! counts as evidence, the answers that are outstanding) stands on the wall clock: when that is stepped, it is moved along, so
//! that a minute ago stays a minute ago. What people wrote (overrides, announced events) goes by the clock as it is.

use crate::clock::Now;
use crate::control::notes::Note;
use crate::control::state::State;

/// Least step that counts as one, seconds: less is a clock being slewed, or a beat that was late between two readings.
const LEAST_SECS: f64 = 2.0;

/// How far the wall clock was stepped since `before`, seconds, positive when it went ahead; `None` if it was not.
pub fn between(before: Now, now: Now) -> Option<f64> {
    let step = (now.unix - before.unix) - (now.mono - before.mono);
    (step.abs() >= LEAST_SECS).then_some(step)
}

/// Moves along what stands on the wall clock, if it was stepped since the last tick.
pub fn step(state: &mut State, now: Now, notes: &mut Vec<Note>) {
    let Some(secs) = state.ticked.and_then(|before| between(before, now)) else { return };
    state.pops.iter_mut().for_each(|pop| pop.breaker.shift(secs));
    for group in &mut state.groups {
        group.members.iter_mut().for_each(|member| member.breaker.shift(secs));
        for reporter in group.reporters.values_mut() {
            reporter.window.shift(secs);
            reporter.newest += secs;
            if let Some(load) = &mut reporter.load {
                load.mid += secs;
            }
        }
        group.origins.shift(secs);
        group.ring.shift(secs);
    }
    notes.push(Note::Clock { secs });
}
