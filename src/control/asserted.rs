//! Assertions of the policies, as the loop keeps them: what automation may not take away, and what is told when they break.
//!
//! A breaker that would break one is kept in Suspect, as where a third of all capacity has gone, as long as the POP serves
//! half of what it gets. One that does not is opened: it serves nobody, whatever is asserted. Overrides are refused before
//! they are made (`admin::overrides`).

use crate::control::notes::Note;
use crate::control::overrides::Overrides;
use crate::control::overrides::force::{Forced, Hold};
use crate::control::standing::member_standing;
use crate::control::state::{Layout, State};
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::Policies;
use crate::steering::Plan;
use crate::steering::asserted::{Asserted, asserted, asserted_but};

/// A POP that fails more than this part of what it gets is opened whatever is asserted: most of its clients are better off
/// anywhere else.
pub const WORTHLESS: f64 = 0.5;

/// Whether an assertion that holds would break if a POP, or one member alone, were given to nobody.
pub fn needs(state: &State, layout: &Layout, pop: PopIdx, member: Option<(GroupIdx, MemberIdx)>) -> bool {
    layout.policies.groups.iter().enumerate().any(|(g, spec)| {
        let g = GroupIdx::from(g);
        let touched = |m: MemberIdx| match member {
            Some(one) => one == (g, m),
            None => spec.members[m.idx()].pop == Some(pop),
        };
        spec.assertions.iter().filter(|a| a.pops.contains(&pop)).any(|assertion| {
            let serves = |m: MemberIdx| member_standing(state, layout, g, m).serves();
            let now = assertion.active(spec, serves).len();
            let then = assertion.active(spec, |m| serves(m) && !touched(m)).len();
            now >= assertion.at_least && then < assertion.at_least
        })
    })
}

/// What changed about assertions from one plan to the next.
pub fn changes(before: &Plan, after: &Plan, policies: &Policies) -> Vec<Note> {
    let with_any = policies.groups.iter().enumerate().filter(|(_, group)| !group.assertions.is_empty());
    let mut notes = Vec::new();
    for (g, group) in with_any {
        let [before, after] = [before, after].map(|plan| asserted(plan, policies, GroupIdx::from(g)));
        for (was, is) in before.into_iter().zip(after) {
            if was.holds() != is.holds() {
                notes.push(Note::Assertion { group: group.name.clone(), how: is });
            }
        }
    }
    notes
}

/// The assertions that would have fewer POPs, and too few, if these overrides held in the place of those that do: the group,
/// and how each would stand.
pub fn broken_by(plan: &Plan, policies: &Policies, overrides: &Overrides) -> Vec<(String, Asserted)> {
    let forced = Forced::of(overrides, policies);
    let mut broken = Vec::new();
    for (g, group) in policies.groups.iter().enumerate().filter(|(_, group)| !group.assertions.is_empty()) {
        let g = GroupIdx::from(g);
        let is_held = |m: MemberIdx| {
            let pop = group.members[m.idx()].pop;
            forced.member(policies, g, m).is_some_and(|hold| hold > Hold::Closed)
                || pop.is_some_and(|p| forced.capacity(p, policies.pops[p.idx()].capacity) == Some(0.0))
        };
        let (now, then) = (asserted(plan, policies, g), asserted_but(plan, policies, g, is_held));
        let worse =
            now.into_iter().zip(then).filter(|(now, then)| !then.holds() && then.active.len() < now.active.len());
        broken.extend(worse.map(|(_, then)| (group.name.to_string(), then)));
    }
    broken
}

/// Says of one that is broken what it asserts and who is left.
pub fn words(group: &str, how: &Asserted) -> String {
    let left = match how.active.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    format!("{group} asserts {}: that would leave {left}", how.words)
}

/// How assertions stand in two plans, of those that the second one breaks: as words.
pub fn broken_between(now: &Plan, then: &Plan, policies: &Policies) -> Vec<String> {
    let mut broken = Vec::new();
    for (g, group) in policies.groups.iter().enumerate() {
        let [before, after] = [now, then].map(|plan| asserted(plan, policies, GroupIdx::from(g)));
        let worse = before.iter().zip(&after).filter(|(b, a)| !a.holds() && a.active.len() < b.active.len());
        broken.extend(worse.map(|(_, how)| words(&group.name.to_string(), how)));
    }
    broken
}
