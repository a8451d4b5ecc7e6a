//! What one stream has said is wanted of its POPs, and when to say it again.
//!
//! A wish is a state that should hold, so saying it twice changes nothing. It is said when a POP first reports on the stream, when
//! it changes, and again after growing pauses until it is acknowledged: by the generation that the peer says it holds, or, from
//! peers that say none, by shadows that report to be on the way to the state that is wanted. Both are read off every sample, so a
//! peer that was restarted behind its stream and holds an older generation is told anew.

use crate::steering::ShadowState;
use crate::telemetry::{Wanted, Wishes};
use crate::wire::Name;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

//----------- Pauses ---------------------------------------------------------

/// How long to wait for an acknowledgement before saying it again, seconds: `first`, then twice as long each time, up to `most`;
/// each longer or shorter by up to a quarter, so that POPs that were told together are not told together again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pauses {
    /// Before the second time.
    pub first_secs: f64,
    /// At most.
    pub most_secs: f64,
}

impl Default for Pauses {
    /// Our choice: an acknowledgement comes with the next sample, ten seconds later by custom; and once in five minutes costs
    /// nothing, for as long as a peer stays that never acknowledges.
    fn default() -> Pauses {
        Pauses { first_secs: 15.0, most_secs: 300.0 }
    }
}

impl Pauses {
    /// The pause after something was said for the `n`-th time, from 1.
    fn after(self, pop: &Name, generation: u64, n: u32) -> f64 {
        let plain = (self.first_secs * 2f64.powi(n.saturating_sub(1).min(30) as i32)).min(self.most_secs);
        let mut hasher = DefaultHasher::new();
        (pop, generation, n).hash(&mut hasher);
        let jitter = (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64;
        plain * (0.75 + 0.5 * jitter)
    }
}

//----------- Told -----------------------------------------------------------

/// The POPs that have reported on one stream, each with what was last said of it. Times are seconds on a clock that never goes
/// back, the same one in all calls.
#[derive(Debug, Default)]
pub struct Told {
    pauses: Pauses,
    pops: BTreeMap<Name, Said>,
}

#[derive(Debug)]
struct Said {
    wishes: Arc<Wishes>,
    /// How often.
    times: u32,
    /// When to say it again; infinite once it is acknowledged, or if nothing was said.
    due: f64,
    /// Whether the peer says which generation it holds.
    says_generation: bool,
    /// Per shadow of the wishes, whether it reports to be on the way.
    heeded: Vec<bool>,
}

/// What a sample says beside its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The POP.
    pub pop: Name,
    /// The group.
    pub group: Name,
    /// The member, where only that one is meant.
    pub member: Option<Name>,
    /// The state of a shadow.
    pub shadow: Option<ShadowState>,
    /// The generation of wishes that the peer holds.
    pub generation: Option<u64>,
}

/// What follows from a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// To be said now.
    pub say: Option<Arc<Wishes>>,
    /// The generation that is acknowledged, now or again.
    pub acknowledged: Option<u64>,
}

impl Told {
    /// Nothing was said yet.
    pub fn new(pauses: Pauses) -> Told {
        Told { pauses, pops: BTreeMap::new() }
    }

    /// Takes in a sample at `now`. A POP that reports for the first time is told all that is wanted of it, unless nothing ever was.
    pub fn report(&mut self, report: &Report, wanted: &Wanted, now: f64) -> Reply {
        let mut reply = Reply::default();
        let pop = &report.pop;
        let said = self.pops.entry(pop.clone()).or_insert_with(|| {
            let said = Said::new(wanted.get(pop).cloned().unwrap_or_default());
            let holds_other = report.generation.is_some_and(|g| g != said.wishes.generation);
            reply.say = (said.wishes.generation > 0 || holds_other).then(|| said.wishes.clone());
            said
        });
        if reply.say.is_some() {
            said.say(self.pauses, pop, now);
        }
        if said.hear(report) {
            said.due = f64::INFINITY;
            reply.acknowledged = Some(said.wishes.generation);
        } else if said.due == f64::INFINITY && said.says_generation {
            // It was acknowledged, and is not any more.
            reply.say = Some(said.wishes.clone());
            said.times = 0;
            said.say(self.pauses, pop, now);
        }
        reply
    }

    /// What to say at `now` since `wanted` is another: the wishes of the POPs here for which they have changed.
    pub fn update(&mut self, wanted: &Wanted, now: f64) -> Vec<(Name, Arc<Wishes>)> {
        let mut news = Vec::new();
        for (pop, said) in &mut self.pops {
            let Some(wishes) = wanted.get(pop).filter(|wishes| said.wishes.generation != wishes.generation) else {
                continue;
            };
            *said = Said { says_generation: said.says_generation, ..Said::new(wishes.clone()) };
            said.say(self.pauses, pop, now);
            news.push((pop.clone(), wishes.clone()));
        }
        news
    }

    /// What to say again at `now`.
    pub fn again(&mut self, now: f64) -> Vec<(Name, Arc<Wishes>)> {
        let late = self.pops.iter_mut().filter(|(_, said)| said.due <= now);
        let repeat = |(pop, said): (&Name, &mut Said)| {
            said.say(self.pauses, pop, now);
            (pop.clone(), said.wishes.clone())
        };
        late.map(repeat).collect()
    }

    /// When something is to be said again; `None` if all is acknowledged.
    pub fn due(&self) -> Option<f64> {
        let first = self.pops.values().map(|said| said.due).fold(f64::INFINITY, f64::min);
        first.is_finite().then_some(first)
    }
}

impl Said {
    fn new(wishes: Arc<Wishes>) -> Said {
        let heeded = vec![false; wishes.shadows.len()];
        Said { wishes, times: 0, due: f64::INFINITY, says_generation: false, heeded }
    }

    fn say(&mut self, pauses: Pauses, pop: &Name, now: f64) {
        self.times = self.times.saturating_add(1);
        self.due = now + pauses.after(pop, self.wishes.generation, self.times);
    }

    /// Whether the wishes are acknowledged, after one more sample.
    fn hear(&mut self, report: &Report) -> bool {
        if let Some(generation) = report.generation {
            self.says_generation = true;
            return generation == self.wishes.generation;
        }
        if let Some(is) = report.shadow {
            let about = |group: &Name, member: &Name| {
                *group == report.group && report.member.as_ref().is_none_or(|m| m == member)
            };
            for (wish, heeded) in self.wishes.shadows.iter().zip(&mut self.heeded) {
                if about(&wish.group, &wish.member) {
                    *heeded = heeds(wish.wanted, is);
                }
            }
        }
        // Nothing that is reported tells whether connections are ended, or that nothing is wanted any more.
        let told_by_state = !self.wishes.shadows.is_empty() && self.wishes.drains.is_empty();
        !self.says_generation && told_by_state && self.heeded.iter().all(|h| *h)
    }
}

/// Whether a shadow in state `is` does what is `wanted`, or is on the way there.
fn heeds(wanted: ShadowState, is: ShadowState) -> bool {
    use ShadowState::*;
    match wanted {
        Cold => is == Cold,
        Warming | Ready | Active => matches!(is, Warming | Ready | Active),
        Draining => matches!(is, Draining | Cold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Directive, Drain};

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    /// What is wanted of dub.pop.: its shadow in a state, if any, and its connections ended, or not.
    fn wanted(generation: u64, state: Option<ShadowState>, drains: bool) -> Wanted {
        let (pop, group, member) = (name("dub.pop."), name("web."), name("dub.web."));
        let shadow = |wanted| Directive {
            pop: pop.clone(),
            group: group.clone(),
            member: member.clone(),
            wanted,
            reason: String::new(),
        };
        let drain = Drain {
            pop: pop.clone(),
            group: group.clone(),
            member: member.clone(),
            max_connection_age_secs: 60,
            reason: "",
        };
        let wishes = Wishes {
            generation,
            shadows: state.map(shadow).into_iter().collect(),
            drains: drains.then_some(drain).into_iter().collect(),
        };
        [(pop, Arc::new(wishes))].into()
    }

    fn report(shadow: Option<ShadowState>, generation: Option<u64>) -> Report {
        Report { pop: name("dub.pop."), group: name("web."), member: None, shadow, generation }
    }

    const PAUSES: Pauses = Pauses { first_secs: 10.0, most_secs: 100.0 };

    /// A POP that is told at 0 s and never acknowledges: when it is told again, up to `until`.
    fn times(until: f64) -> Vec<f64> {
        let mut told = Told::new(PAUSES);
        assert!(told.report(&report(None, None), &wanted(1, Some(ShadowState::Active), false), 0.0).say.is_some());
        let mut times = Vec::new();
        while let Some(due) = told.due().filter(|due| *due <= until) {
            assert!(told.again(due - 1e-3).is_empty(), "not before");
            assert_eq!(told.again(due).len(), 1);
            times.push(due);
        }
        times
    }

    #[test]
    fn what_is_not_acknowledged_is_said_again_after_growing_pauses() {
        let times = times(1000.0);
        let pauses: Vec<f64> = std::iter::once(&0.0).chain(&times).zip(&times).map(|(a, b)| b - a).collect();
        for (pause, plain) in pauses.iter().zip([10.0, 20.0, 40.0, 80.0, 100.0, 100.0, 100.0]) {
            assert!((0.75 * plain..=1.25 * plain).contains(pause), "{pauses:?}");
        }
        assert!((8..=14).contains(&times.len()), "{times:?}");
        let others = |pop: &str| PAUSES.after(&name(pop), 1, 1);
        assert!(others("ams.pop.") != others("dub.pop."), "not all at once");
    }

    #[test]
    fn a_generation_acknowledges_and_the_loss_of_it_is_seen() {
        let mut told = Told::new(PAUSES);
        let all = wanted(7, Some(ShadowState::Warming), true);
        let reply = told.report(&report(None, Some(3)), &all, 0.0);
        assert_eq!((reply.say.map(|w| w.generation), reply.acknowledged), (Some(7), None), "it holds an older one");
        let heeds = report(Some(ShadowState::Warming), Some(3));
        assert_eq!(told.report(&heeds, &all, 1.0), Reply::default(), "in word it does not");
        for now in [2.0, 3.0] {
            let reply = told.report(&report(None, Some(7)), &all, now);
            assert_eq!(reply, Reply { say: None, acknowledged: Some(7) }, "as often as it says so");
        }
        assert_eq!((told.due(), told.again(1e6).len()), (None, 0));
        let reply = told.report(&report(None, Some(0)), &all, 4.0);
        assert!(reply.say.is_some() && reply.acknowledged.is_none(), "restarted behind its stream");
        assert!(told.due().is_some_and(|due| due < 20.0), "and the pauses begin anew");
        assert_eq!(told.update(&all, 5.0), Vec::new());
        assert_eq!(told.update(&wanted(8, None, false), 6.0).len(), 1, "that nothing is wanted is a wish, too");
        assert!(told.report(&report(None, Some(7)), &all, 7.0).acknowledged.is_none());
        assert_eq!(told.report(&report(None, Some(8)), &all, 8.0).acknowledged, Some(8));
    }

    #[test]
    fn a_peer_without_generations_acknowledges_by_what_its_shadows_do() {
        let mut told = Told::new(PAUSES);
        let all = wanted(7, Some(ShadowState::Warming), false);
        let mut hears = |shadow| told.report(&report(shadow, None), &all, 0.0).acknowledged.is_some();
        assert!(!hears(None) && !hears(Some(ShadowState::Cold)));
        assert!(hears(Some(ShadowState::Warming)) && hears(None) && hears(Some(ShadowState::Ready)));
        told.update(&wanted(8, Some(ShadowState::Warming), true), 1.0);
        let heeds = report(Some(ShadowState::Active), None);
        assert!(told.report(&heeds, &all, 2.0).acknowledged.is_none(), "connections end unseen");
    }

    #[test]
    fn a_stream_that_begins_anew_is_told_all_of_it() {
        let all = wanted(7, Some(ShadowState::Active), true);
        for _ in 0..2 {
            let said = Told::new(PAUSES).report(&report(None, None), &all, 0.0).say.unwrap();
            assert_eq!((said.shadows.len(), said.drains.len()), (1, 1));
        }
        let nothing = |holds| Told::new(PAUSES).report(&report(None, holds), &Wanted::new(), 0.0);
        assert_eq!(nothing(None), Reply::default(), "nothing was ever wanted");
        assert_eq!(nothing(Some(0)).say, None);
        assert!(nothing(Some(5)).say.is_some(), "another server wanted something");
    }

    #[test]
    fn what_is_on_the_way_is_heeded() {
        use ShadowState::*;
        let heeded = |wanted| [Cold, Warming, Ready, Active, Draining].map(|is| heeds(wanted, is));
        assert_eq!(heeded(Cold), [true, false, false, false, false]);
        for wanted in [Warming, Ready, Active] {
            assert_eq!(heeded(wanted), [false, true, true, true, false]);
        }
        assert_eq!(heeded(Draining), [true, false, false, false, true]);
    }
}
