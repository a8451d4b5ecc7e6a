//! What active probes say of a POP: whether anybody answers there at all.
//!
//! A POP that dies together with its telemetry says nothing; silence alone is no failure, because the way of the reports
//! may be what is broken. So a POP is *gone* when both agree: its probes have failed several times in a row from more than
//! half of the places they are made from, and it has been silent for longer than a window. Where two places or more make
//! probes they need no silence. A probe alone never opens a breaker while telemetry is heard.

use crate::clock::Now;
use crate::wire::Name;

/// Probes that must fail in a row until a POP counts as down, and succeed until it is up. Our choice, with the usual
/// five seconds between them: 15 s to leave, 10 s to come back.
const FALL: u32 = 3;
/// See [`FALL`].
const RISE: u32 = 2;
/// A probe says something for so many seconds.
const FRESH_SECS: f64 = 60.0;
/// Seconds of silence that agree with probes from one place: one usual window is missing.
const SILENT_SECS: f64 = 12.0;
/// Places that are remembered of each POP.
const MOST_PLACES: usize = 16;

/// The outcome of one probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// The POP's name.
    pub pop: Name,
    /// From where, a small number.
    pub place: u16,
    /// Whether it was answered in time, and as it should be.
    pub well: bool,
}

/// What probes say of one POP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probed(Vec<Place>);

#[derive(Clone, Debug, PartialEq)]
struct Place {
    place: u16,
    at: Now,
    /// The last outcome, and how often in a row it came.
    well: bool,
    run: u32,
    down: bool,
}

impl Probed {
    /// Takes in an outcome.
    pub fn note(&mut self, place: u16, well: bool, now: Now) {
        let i = match self.0.iter().position(|p| p.place == place) {
            Some(i) => i,
            None if self.0.len() < MOST_PLACES => {
                self.0.push(Place { place, at: now, well, run: 0, down: false });
                self.0.len() - 1
            }
            None => return,
        };
        let of = &mut self.0[i];
        of.run = if of.well == well { of.run.saturating_add(1) } else { 1 };
        (of.well, of.at) = (well, now);
        match well {
            false if of.run >= FALL => of.down = true,
            true if of.run >= RISE => of.down = false,
            _ => {}
        }
    }

    /// Whether probes say that it is down: from more than half of the places that probed it lately.
    pub fn is_down(&self, now: Now) -> bool {
        let (down, all) = self.count(now);
        2 * down > all
    }

    /// Whether the POP is gone, silent for so long; see the module.
    pub fn is_gone(&self, silent_secs: f64, now: Now) -> bool {
        let (down, all) = self.count(now);
        2 * down > all && (all >= 2 || silent_secs >= SILENT_SECS)
    }

    /// Places that say it is down, and all, of those that probed it lately.
    fn count(&self, now: Now) -> (usize, usize) {
        let fresh = self.0.iter().filter(|p| now.since(p.at) < FRESH_SECS);
        fresh.fold((0, 0), |(down, all), p| (down + usize::from(p.down), all + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;

    fn after(outcomes: &[(u16, bool)]) -> Probed {
        let mut probed = Probed::default();
        outcomes.iter().for_each(|(place, well)| probed.note(*place, *well, at(1.0)));
        probed
    }

    #[test]
    fn three_failures_and_silence_make_it_gone() {
        let failing = [(0, true), (0, false), (0, false), (0, false)];
        assert!(!after(&failing[..3]).is_down(at(2.0)));
        let down = after(&failing);
        assert!(down.is_down(at(2.0)) && !down.is_gone(3.0, at(2.0)), "telemetry is heard");
        assert!(down.is_gone(15.0, at(2.0)) && !down.is_gone(15.0, at(62.0)), "an old probe says nothing");
        let back = |n: usize| after(&[&failing[..], &[(0, true); 2][..n]].concat());
        assert!(back(1).is_down(at(2.0)) && !back(2).is_down(at(2.0)));
        assert!(!Probed::default().is_gone(1e9, at(2.0)), "nobody probes it");
    }

    #[test]
    fn one_place_of_three_is_outvoted_and_two_need_no_silence() {
        let fail = |place| [(place, false); 3];
        assert!(!after(&[&fail(0)[..], &[(1, true), (2, true)]].concat()).is_gone(1e9, at(2.0)));
        assert!(after(&[&fail(0)[..], &fail(1), &[(2, true)]].concat()).is_gone(0.0, at(2.0)));
    }
}
