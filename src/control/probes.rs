//! What active probes say of a POP: whether anybody answers there at all.
//!
//! A POP that dies together with its telemetry says nothing; silence alone is no failure, because the way of the reports
//! may be what is broken. So a POP is *gone* when both agree: its probes have failed several times in a row from more than
//! half of the places they are made from, and it has been silent for longer than a window. Where two places or more make
//! probes they need no silence. One place alone never opens a breaker while the POP's telemetry is heard.
//!
//! Who sees nobody may be blind: a place that finds none of several POPs well has no voice, and one that probes a single POP
//! is believed only while the telemetry of others is heard. A POP that has no telemetry is judged by its probes, and returns
//! by them.

use crate::clock::Now;
use crate::policy::probe::{self, Probe};
use crate::probe::{Outcome, What};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A probe says something for so many seconds at least, and for three intervals where those are longer.
const FRESH_SECS: f64 = 60.0;
/// Seconds of silence that agree with probes from one place: one usual window is missing.
const SILENT_SECS: f64 = 12.0;
/// Places that are remembered of each POP.
const MOST_PLACES: usize = 16;

//----------- Rules ----------------------------------------------------------

/// How outcomes of a POP are counted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Failures in a row until a place finds it down.
    pub fall: u32,
    /// Good outcomes in a row until a place finds it up.
    pub rise: u32,
    /// Seconds for which an outcome says something.
    pub fresh_secs: f64,
}

impl Rules {
    /// Those of a policy; the defaults for a POP that only others probe.
    pub fn of(probe: Option<&Probe>) -> Rules {
        let interval = probe.map_or(probe::INTERVAL_SECS, |p| p.interval_secs + p.timeout_secs);
        Rules {
            fall: probe.map_or(probe::FALL, |p| p.fall),
            rise: probe.map_or(probe::RISE, |p| p.rise),
            fresh_secs: FRESH_SECS.max(3.0 * interval),
        }
    }
}

//----------- Probed ---------------------------------------------------------

/// What probes say of one POP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Probed(Vec<Place>);

#[derive(Clone, Debug, PartialEq)]
struct Place {
    name: Arc<str>,
    until: f64,
    at: Now,
    /// The last outcome, and how often in a row it was good, or was not.
    what: What,
    run: u32,
    is_down: bool,
}

impl Place {
    fn is_fresh(&self, now: Now) -> bool {
        now.mono < self.until
    }
}

impl Probed {
    /// Takes in an outcome.
    pub fn note(&mut self, outcome: &Outcome, rules: Rules, now: Now) {
        let Outcome { place, what, .. } = outcome;
        let i = match self.0.iter().position(|p| p.name == *place) {
            Some(i) => i,
            None => {
                self.0.retain(|p| p.is_fresh(now));
                if self.0.len() >= MOST_PLACES {
                    return;
                }
                let (name, what) = (place.clone(), *what);
                self.0.push(Place { name, until: 0.0, at: now, what, run: 0, is_down: false });
                self.0.len() - 1
            }
        };
        let of = &mut self.0[i];
        let is_well = *what == What::Well;
        of.run = if (of.what == What::Well) == is_well { of.run.saturating_add(1) } else { 1 };
        (of.what, of.at, of.until) = (*what, now, now.mono + rules.fresh_secs);
        match is_well {
            false if of.run >= rules.fall => of.is_down = true,
            true if of.run >= rules.rise => of.is_down = false,
            _ => {}
        }
    }

    /// Whether anybody has probed it lately.
    pub fn is_probed(&self, now: Now) -> bool {
        self.0.iter().any(|p| p.is_fresh(now))
    }

    /// Whether the POP is gone, silent for so long; see the module.
    pub fn is_gone(&self, sight: &Sight<'_>, silent_secs: f64, now: Now) -> bool {
        let (down, all) = self.votes(sight, now);
        let is_silent = silent_secs >= SILENT_SECS && (sight.heard || self.voices(sight, now).any(|p| sight.sees(p)));
        2 * down > all && (all >= 2 || is_silent)
    }

    /// Whether probes have found it well: from half of the places or more, and often enough in a row.
    pub fn is_proven(&self, sight: &Sight<'_>, rules: Rules, now: Now) -> bool {
        let (down, all) = self.votes(sight, now);
        let up = self.voices(sight, now).filter(|p| p.what == What::Well && p.run >= rules.rise).count();
        all > 0 && 2 * down < all && 2 * up >= all
    }

    /// Why it is down, for a reason: the newest failure; `None` if no place finds it down.
    pub fn failure(&self, now: Now) -> Option<What> {
        let down = self.0.iter().filter(|p| p.is_down && p.is_fresh(now) && p.what != What::Well);
        down.max_by(|a, b| a.at.mono.total_cmp(&b.at.mono)).map(|p| p.what)
    }

    /// Places that say it is down, and all, of those that have a voice.
    fn votes(&self, sight: &Sight<'_>, now: Now) -> (usize, usize) {
        self.voices(sight, now).fold((0, 0), |(down, all), p| (down + usize::from(p.is_down), all + 1))
    }

    fn voices<'p>(&'p self, sight: &'p Sight<'_>, now: Now) -> impl Iterator<Item = &'p Place> {
        self.0.iter().filter(move |p| p.is_fresh(now) && !sight.is_blind(p))
    }

    /// The same for people.
    pub fn shown(&self, sight: &Sight<'_>, now: Now) -> Vec<PlaceState> {
        let fresh = self.0.iter().filter(|p| p.is_fresh(now));
        let shown = fresh.map(|p| PlaceState {
            place: p.name.to_string(),
            up: !p.is_down,
            last: p.what.label().to_string(),
            in_a_row: p.run,
            blind: sight.is_blind(p),
        });
        shown.collect()
    }
}

/// What each place says of each POP that was probed lately, by the POP's name.
pub type Places = BTreeMap<String, Vec<PlaceState>>;

/// What one place says of a POP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceState {
    /// The place.
    pub place: String,
    /// Whether it finds the POP up, by rise and fall.
    pub up: bool,
    /// The last outcome, a word of a closed set.
    pub last: String,
    /// How often in a row it was good, or was not.
    pub in_a_row: u32,
    /// It finds none of several POPs well, so that it has no voice.
    pub blind: bool,
}

//----------- Sight ----------------------------------------------------------

/// What each place sees of all POPs.
#[derive(Debug, Default)]
pub struct Sight<'p> {
    /// POPs that it finds up, and all that it probes.
    places: BTreeMap<&'p str, (usize, usize)>,
    /// Whether the telemetry of most POPs is heard.
    heard: bool,
}

impl<'p> Sight<'p> {
    /// Of what is known of all POPs.
    pub fn of(all: impl Iterator<Item = &'p Probed>, heard: bool, now: Now) -> Sight<'p> {
        let mut places = BTreeMap::<&str, (usize, usize)>::new();
        for place in all.flat_map(|probed| &probed.0).filter(|place| place.is_fresh(now)) {
            let (up, n) = places.entry(&place.name).or_default();
            (*up, *n) = (*up + usize::from(!place.is_down), *n + 1);
        }
        Sight { places, heard }
    }

    fn is_blind(&self, place: &Place) -> bool {
        matches!(self.places.get(&*place.name), Some((0, n)) if *n >= 2)
    }

    fn sees(&self, place: &Place) -> bool {
        matches!(self.places.get(&*place.name), Some((up, _)) if *up > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::{at, name};

    const RULES: Rules = Rules { fall: 3, rise: 2, fresh_secs: 60.0 };

    fn after(outcomes: &[(&str, bool)]) -> Probed {
        let mut probed = Probed::default();
        for (place, well) in outcomes {
            let what = if *well { What::Well } else { What::Refused };
            probed.note(&Outcome { pop: name("ams.pop."), place: (*place).into(), what }, RULES, at(1.0));
        }
        probed
    }

    fn is_gone(probed: &Probed, others: &[Probed], heard: bool, silent: f64, now: f64) -> bool {
        let sight = Sight::of(others.iter().chain([probed]), heard, at(now));
        probed.is_gone(&sight, silent, at(now))
    }

    const FAILING: [(&str, bool); 4] = [("a", true), ("a", false), ("a", false), ("a", false)];

    #[test]
    fn three_failures_and_silence_make_it_gone() {
        let down = after(&FAILING);
        assert!(!is_gone(&after(&FAILING[..3]), &[], true, 15.0, 2.0), "two are not enough");
        assert!(!is_gone(&down, &[], true, 3.0, 2.0), "its telemetry is heard");
        assert!(is_gone(&down, &[], true, 15.0, 2.0));
        assert!(!is_gone(&down, &[], true, 15.0, 62.0), "an old probe says nothing");
        let back = |n: usize| after(&[&FAILING[..], &[("a", true); 2][..n]].concat());
        assert!(is_gone(&back(1), &[], true, 15.0, 2.0) && !is_gone(&back(2), &[], true, 15.0, 2.0));
        assert!(!is_gone(&Probed::default(), &[], true, 1e9, 2.0), "nobody probes it");
        assert_eq!((down.failure(at(2.0)), back(2).failure(at(2.0))), (Some(What::Refused), None));
    }

    #[test]
    fn one_place_of_three_is_outvoted_and_two_need_no_silence() {
        let fail = |place| [(place, false); 3];
        let one = after(&[&fail("a")[..], &[("b", true), ("c", true)]].concat());
        assert!(!is_gone(&one, &[], true, 1e9, 2.0));
        let two = after(&[&fail("a")[..], &fail("b"), &[("c", true)]].concat());
        assert!(is_gone(&two, &[], true, 0.0, 2.0));
    }

    /// The way of our own probes may be what is broken.
    #[test]
    fn who_sees_nobody_has_no_voice() {
        let (down, up) = (after(&FAILING), after(&[("a", true)]));
        assert!(!is_gone(&down, std::slice::from_ref(&down), true, 1e9, 2.0), "all that it probes is down");
        assert!(is_gone(&down, &[down.clone(), up.clone()], true, 1e9, 2.0), "it sees somebody");
        assert!(!is_gone(&down, &[], false, 1e9, 2.0), "one POP, and no telemetry at all");
        assert!(is_gone(&down, &[up], false, f64::INFINITY, 2.0), "without telemetry probes decide");
    }

    #[test]
    fn a_pop_is_proven_by_enough_in_a_row() {
        let proven = |probed: &Probed| {
            let sight = Sight::of([probed].into_iter(), true, at(2.0));
            probed.is_proven(&sight, RULES, at(2.0))
        };
        assert!(!proven(&Probed::default()) && !proven(&after(&[("a", true)])));
        assert!(proven(&after(&[("a", true); 2])));
        assert!(!proven(&after(&[("a", true), ("a", true), ("a", false)])));
        assert!(!proven(&after(&FAILING)));
    }

    #[test]
    fn places_are_bounded_and_old_ones_make_room() {
        let mut probed = Probed::default();
        let mut note = |i: usize, now: f64| {
            let place = format!("p{i}").into();
            probed.note(&Outcome { pop: name("ams.pop."), place, what: What::Well }, RULES, at(now));
            probed.0.len()
        };
        let most = (0..100).map(|i| note(i, 1.0)).max();
        assert_eq!(most, Some(MOST_PLACES));
        assert_eq!(note(200, 100.0), 1);
    }
}
