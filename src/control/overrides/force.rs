//! Overrides laid over policies: who is held how.

use crate::clock::Now;
use crate::control::breaker::Breaker;
use crate::control::notes::Note;
use crate::control::overrides::{Amount, Override, Overrides, Verb};
use crate::control::state::{Layout, State};
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Policies, Resume};
use crate::steering::BreakerState;
use crate::wire::Name;
use std::collections::{HashMap, HashSet};

/// A POP that was heard within so many seconds returns in steps.
const HEARD_SECS: f64 = 15.0;

/// How a POP or a member is held; the stricter the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// It counts as whole.
    Closed,
    /// It counts as failed.
    Open,
    /// It is given to nobody.
    Drained,
}

/// What overrides say of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupForce {
    /// Shares stay.
    pub frozen: bool,
    /// Forecasts steer nothing.
    pub forecast_off: bool,
    /// Shares are as declared.
    pub steering_off: bool,
}

/// Overrides by position: of several of one kind the latest counts.
#[derive(Clone, Debug, Default)]
pub struct Forced {
    overrides: Overrides,
    pops: HashMap<PopIdx, Hold>,
    members: HashMap<(GroupIdx, MemberIdx), Hold>,
    /// Whose breakers may go on by themselves.
    resumed: (HashSet<PopIdx>, HashSet<(GroupIdx, MemberIdx)>),
    capacities: HashMap<PopIdx, Amount>,
    groups: HashMap<GroupIdx, GroupForce>,
    /// Who holds a POP, and why, for people.
    words: HashMap<PopIdx, String>,
    /// Positions are of other policies than those of now.
    pub(in crate::control) stale: bool,
}

impl Forced {
    /// Finds out whom overrides mean among policies.
    pub fn of(overrides: &Overrides, policies: &Policies) -> Forced {
        let mut forced = Forced { overrides: overrides.clone(), ..Forced::default() };
        for order in overrides.iter() {
            forced.lay(order, policies);
        }
        forced
    }

    fn lay(&mut self, order: &Override, policies: &Policies) {
        let whom = &order.what.whom;
        let hold = match order.what.verb {
            Verb::Drain => Hold::Drained,
            Verb::ForceOpen => Hold::Open,
            Verb::ForceClosed => Hold::Closed,
            Verb::Capacity(amount) => {
                for pop in pops_of(policies).filter(|(_, name)| whom.matches(name)).map(|(pop, _)| pop) {
                    self.capacities.insert(pop, amount);
                    self.say(pop, order);
                }
                return;
            }
            Verb::Resume => {
                for pop in pops_of(policies).filter(|(_, name)| whom.matches(name)).map(|(pop, _)| pop) {
                    self.resumed.0.insert(pop);
                    self.say(pop, order);
                }
                self.resumed.1.extend(members_of(policies).filter(|(_, name)| whom.matches(name)).map(|(at, _)| at));
                return;
            }
            Verb::Freeze | Verb::ForecastOff | Verb::SteeringOff => {
                for (g, _) in groups_of(policies).filter(|(_, name)| whom.matches(name)) {
                    let of = self.groups.entry(g).or_default();
                    of.frozen |= order.what.verb == Verb::Freeze;
                    of.forecast_off |= order.what.verb == Verb::ForecastOff;
                    of.steering_off |= order.what.verb == Verb::SteeringOff;
                }
                return;
            }
        };
        for pop in pops_of(policies).filter(|(_, name)| whom.matches(name)).map(|(pop, _)| pop) {
            self.pops.insert(pop, hold);
            self.say(pop, order);
        }
        for (at, _) in members_of(policies).filter(|(_, name)| whom.matches(name)) {
            self.members.insert(at, hold);
        }
    }

    fn say(&mut self, pop: PopIdx, order: &Override) {
        let words = self.words.entry(pop).or_default();
        if !words.is_empty() {
            words.push_str("; ");
        }
        words.push_str(&order.to_string());
    }

    /// How a POP is held.
    pub fn pop(&self, pop: PopIdx) -> Option<Hold> {
        self.pops.get(&pop).copied()
    }

    /// How a member is held: the stricter of what is said of it and of its POP.
    pub fn member(&self, policies: &Policies, g: GroupIdx, m: MemberIdx) -> Option<Hold> {
        if self.overrides.is_empty() {
            return None;
        }
        let pop = policies.groups[g.idx()].members[m.idx()].pop;
        self.members.get(&(g, m)).copied().max(pop.and_then(|pop| self.pop(pop)))
    }

    /// Whether an operator lets a POP's breaker go on.
    pub fn resumes_pop(&self, pop: PopIdx) -> bool {
        self.resumed.0.contains(&pop) || self.pop(pop) == Some(Hold::Closed)
    }

    /// Whether an operator lets a member's own breaker go on.
    pub fn resumes_member(&self, g: GroupIdx, m: MemberIdx) -> bool {
        self.resumed.1.contains(&(g, m)) || self.members.get(&(g, m)) == Some(&Hold::Closed)
    }

    /// What a POP is said to be able to carry, requests per second.
    pub fn capacity(&self, pop: PopIdx, declared: f64) -> Option<f64> {
        self.capacities.get(&pop).map(|amount| amount.of(declared))
    }

    /// What is said of a group.
    pub fn group(&self, g: GroupIdx) -> GroupForce {
        self.groups.get(&g).copied().unwrap_or_default()
    }

    /// Who holds a POP, and why; empty if nobody does.
    pub fn words(&self, pop: PopIdx) -> &str {
        self.words.get(&pop).map_or("", String::as_str)
    }
}

/// The names that an override means among policies, in the order of the files.
pub fn meant(what: &crate::control::overrides::What, policies: &Policies) -> Vec<Name> {
    let matching = |name: &Name| what.whom.matches(name);
    match what.verb {
        Verb::Capacity(_) => pops_of(policies).map(|(_, n)| n).filter(|n| matching(n)).cloned().collect(),
        _ if what.verb.is_of_groups() => groups_of(policies).map(|(_, n)| n).filter(|n| matching(n)).cloned().collect(),
        _ => {
            let pops = pops_of(policies).map(|(_, name)| name);
            pops.chain(members_of(policies).map(|(_, name)| name)).filter(|n| matching(n)).cloned().collect()
        }
    }
}

fn pops_of(policies: &Policies) -> impl Iterator<Item = (PopIdx, &Name)> {
    policies.pops.iter().enumerate().map(|(p, pop)| (PopIdx::from(p), &pop.name))
}

fn groups_of(policies: &Policies) -> impl Iterator<Item = (GroupIdx, &Name)> {
    policies.groups.iter().enumerate().map(|(g, group)| (GroupIdx::from(g), &group.name))
}

fn members_of(policies: &Policies) -> impl Iterator<Item = ((GroupIdx, MemberIdx), &Name)> {
    policies.groups.iter().enumerate().flat_map(|(g, group)| {
        group.members.iter().enumerate().map(move |(m, member)| ((g.into(), m.into()), &member.name))
    })
}

/// Takes over what [`State::overrule`] was told last, by name under the policies of now, and notes what began and ended. What
/// is let go of comes back as after a failure, in steps, where telemetry can tell how it does.
pub fn step(state: &mut State, layout: &Layout, now: Now, notes: &mut Vec<Note>) {
    let (overrides, adopted) = (state.overrides.clone(), state.forced.stale);
    if !adopted && state.forced.overrides.are(&overrides) {
        return;
    }
    let forced = Forced::of(&overrides, &layout.policies);
    let was = std::mem::replace(&mut state.forced, forced);
    let begun = overrides.iter().filter(|o| !was.overrides.iter().any(|w| w.id == o.id));
    notes.extend(begun.map(|o| Note::Override { order: o.to_string(), over: false }));
    let ended = was.overrides.iter().filter(|w| !overrides.iter().any(|o| w.id == o.id));
    notes.extend(ended.map(|o| Note::Override { order: o.to_string(), over: true }));
    state.untold = None;
    // Positions are of the policies of now: after a reload nothing says which of them were held.
    if adopted {
        return;
    }
    // A drain that is ended before its time is an operator's word that the target may come back.
    for order in was.overrides.iter().filter(|w| w.what.verb == Verb::Drain && w.ends_at > now.unix) {
        if !overrides.iter().any(|o| o.id == order.id) {
            release(state, layout, order, now, notes);
        }
    }
    let is_held = |hold: Option<Hold>| hold.is_some_and(|hold| hold > Hold::Closed);
    for p in 0..state.pops.len() {
        let pop = PopIdx::from(p);
        let let_go = is_held(was.pop(pop)) && !is_held(state.forced.pop(pop));
        let of = &mut state.pops[p];
        if let_go && of.breaker.state() == BreakerState::Closed && of.silent_secs(now) < HEARD_SECS {
            of.breaker = Breaker::returning(now);
        }
    }
    for (g, m) in was.members.keys().filter(|at| is_held(was.members.get(at).copied())) {
        let pop = layout.policies.groups[g.idx()].members[m.idx()].pop;
        if pop.is_none_or(|pop| state.pops[pop.idx()].silent_secs(now) >= HEARD_SECS) {
            continue;
        }
        let breaker = &mut state.groups[g.idx()].members[m.idx()].breaker;
        if !is_held(state.forced.member(&layout.policies, *g, *m)) && breaker.state() == BreakerState::Closed {
            *breaker = Breaker::returning(now);
        }
    }
}

/// Lets the breakers of those that an override meant go on, where they waited for an operator.
fn release(state: &mut State, layout: &Layout, order: &Override, now: Now, notes: &mut Vec<Note>) {
    let whom = &order.what.whom;
    for (pop, name) in pops_of(&layout.policies).filter(|(_, name)| whom.matches(name)) {
        if layout.policies.pops[pop.idx()].breaker.resume == Resume::Manual {
            let moved = state.pops[pop.idx()].breaker.release(now);
            notes.extend(moved.map(|moved| Note::Breaker { pop: name.clone(), member: None, moved }));
        }
    }
    for ((g, m), name) in members_of(&layout.policies).filter(|(_, name)| whom.matches(name)) {
        let pop = layout.policies.groups[g.idx()].members[m.idx()].pop.map(|pop| &layout.policies.pops[pop.idx()]);
        let Some(pop) = pop.filter(|pop| pop.breaker.resume == Resume::Manual) else { continue };
        let moved = state.groups[g.idx()].members[m.idx()].breaker.release(now);
        let (pop, member) = (pop.name.clone(), Some(name.clone()));
        notes.extend(moved.map(|moved| Note::Breaker { pop, member, moved }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;

    fn forced(texts: &[&str]) -> Forced {
        let order = |(id, text): (u64, &&str)| Override {
            id,
            what: text.parse().unwrap(),
            author: "anna".into(),
            reason: "test".into(),
            made_at: 0.0,
            ends_at: 3600.0,
        };
        Forced::of(&Overrides::of((0..).zip(texts).map(order)), &fixture::policies())
    }

    #[track_caller]
    fn check(texts: &[&str], pop: usize, held: Option<Hold>, member: (usize, usize), hold: Option<Hold>) {
        let forced = forced(texts);
        assert_eq!(forced.pop(pop.into()), held, "{texts:?}");
        assert_eq!(forced.member(&fixture::policies(), member.0.into(), member.1.into()), hold, "{texts:?}");
    }

    #[test]
    fn the_latest_counts_and_the_stricter_of_pop_and_member() {
        let policies = fixture::policies();
        let pop = policies.pops[0].name.to_string();
        let member = policies.groups[0].members[0].name.to_string();
        assert_eq!(policies.groups[0].members[0].pop, Some(PopIdx(0)));
        check(&[], 0, None, (0, 0), None);
        check(&[&format!("drain {pop}")], 0, Some(Hold::Drained), (0, 0), Some(Hold::Drained));
        check(&["drain *.pop"], 1, Some(Hold::Drained), (0, 1), Some(Hold::Drained));
        check(&[&format!("drain {member}")], 0, None, (0, 0), Some(Hold::Drained));
        check(&[&format!("drain {member}")], 0, None, (0, 1), None);
        let both = [format!("force-closed {member}"), format!("force-open {pop}")];
        check(&[&both[0], &both[1]], 0, Some(Hold::Open), (0, 0), Some(Hold::Open));
        let again = [format!("drain {pop}"), format!("force-closed {pop}")];
        check(&[&again[0], &again[1]], 0, Some(Hold::Closed), (0, 0), Some(Hold::Closed));
    }

    #[test]
    fn capacities_and_groups() {
        let forced = forced(&["capacity *=50%", "freeze *", "forecast-off *"]);
        assert_eq!(forced.capacity(PopIdx(0), 1000.0), Some(500.0));
        assert_eq!(forced.group(GroupIdx(0)), GroupForce { frozen: true, forecast_off: true, steering_off: false });
        assert!(forced.words(PopIdx(0)).contains("capacity *=50% by anna until 1970-01-01T01:00:00Z: test"));
    }
}
