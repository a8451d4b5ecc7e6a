//! ASSERT: how many POPs of a group must be able to serve, whatever operators and automation do.

use crate::id::{MemberIdx, PopIdx};
use crate::masterfile::Report;
use crate::policy::check::{Book, find_group, full, near, some};
use crate::policy::said::{Field, SaidName};
use crate::policy::spec::AssertSpec;
use crate::policy::value::{Group, Policies, Role, SteerBy};

/// Most assertions of one group. Our choice: more than people keep in mind.
const MAX_ASSERTIONS: usize = 100;

//----------- Assertion ------------------------------------------------------

/// What must hold of a group: so many of these POPs can serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// `pops=`: the POPs, each with a member of the group; all of the group's by default.
    pub pops: Vec<PopIdx>,
    /// `at-least=`: how many of them, from 1.
    pub at_least: usize,
}

impl Assertion {
    /// The POPs that serve, in their order, by what `serves` says of the group's members.
    pub fn active(&self, group: &Group, serves: impl Fn(MemberIdx) -> bool) -> Vec<PopIdx> {
        let members = || group.members.iter().enumerate();
        let at = |pop: PopIdx| members().any(|(m, member)| member.pop == Some(pop) && serves(MemberIdx::from(m)));
        self.pops.iter().copied().filter(|pop| at(*pop)).collect()
    }

    /// It in words: `at least 2 of ams.pop.example.com., fra.pop.example.com.`
    pub fn words(&self, policies: &Policies) -> String {
        let names: Vec<String> = self.pops.iter().map(|p| policies.pops[p.idx()].name.to_string()).collect();
        format!("at least {} of {}", self.at_least, names.join(", "))
    }
}

//----------- Spec → value ---------------------------------------------------

/// Checks all assertions and puts them into their groups; members are known by now.
pub fn assertions(specs: Vec<AssertSpec>, book: &mut Book, report: &mut Report) {
    for spec in specs {
        assertion(spec, book, report);
    }
}

fn assertion(spec: AssertSpec, book: &mut Book, report: &mut Report) {
    let AssertSpec { group: said, record, pops, at_least } = spec;
    let known = find_group(&said, book, report);
    if at_least.is_absent() {
        let help = "say how many POPs must be able to serve: at-least=2";
        record.error(report, "this assertion asserts nothing", help);
    }
    let Some(group) = known else { return };
    let value = &book.policies.groups[group.idx()];
    if full(&format!("assertions of group {}", value.name), value.assertions.len(), MAX_ASSERTIONS, &record, report) {
        return;
    }
    let Some(pops) = sites(&pops, value, &said, book, report) else { return };
    let Some(at_least) = at_least.given() else { return };
    // A group without members has been told of.
    if value.members.is_empty() {
        return;
    }
    let assertion = Assertion { pops, at_least: at_least.value };
    let n_serving = assertion.active(value, |m| serves(value, m)).len();
    let n = at_least.value;
    if n > assertion.pops.len() {
        let message = format!("at least {n} of {} POPs: no plan can keep that", assertion.pops.len());
        at_least.spot.error(report, message, "ask for fewer, name more POPs, or add members");
    } else if n > n_serving {
        let message = format!("at least {n}, and of these POPs always serving are only {n_serving}");
        let help = "shadows count once they are warm, members of weight 0 never: ask for fewer, or add members that always serve";
        at_least.spot.error(report, message, help);
    } else if n == n_serving {
        let help = "no POP of it that always serves can be drained, and one that fails is kept in while it serves half of what it gets";
        at_least.spot.warn(report, "this assertion leaves nothing to spare", help);
    }
    book.policies.groups[group.idx()].assertions.push(assertion);
}

/// Whether a member serves without being started.
fn serves(group: &Group, member: MemberIdx) -> bool {
    let member = &group.members[member.idx()];
    let weightless = group.steer == SteerBy::Static && member.weight == Some(0.0);
    !weightless && member.role == Role::Active
}

/// The POPs that are named, or all of the group; `None` if one of them makes no sense, which is reported.
fn sites(
    pops: &Field<Vec<SaidName>>,
    group: &Group,
    said: &SaidName,
    book: &Book,
    report: &mut Report,
) -> Option<Vec<PopIdx>> {
    let of_group = || group.members.iter().filter_map(|m| m.pop);
    let mut found: Vec<PopIdx> = Vec::new();
    match pops {
        Field::Refused => return None,
        Field::Absent => {
            for pop in of_group() {
                found.extend((!found.contains(&pop)).then_some(pop));
            }
        }
        Field::Given(list) => {
            for name in &list.value {
                let pop = book.pops.get(&name.name).copied();
                match pop.filter(|pop| of_group().any(|p| p == *pop)) {
                    Some(pop) => found.push(pop),
                    None => refuse(name, pop.is_some(), group, said, book, report),
                }
            }
            if found.len() < list.value.len() {
                return None;
            }
        }
    }
    Some(found)
}

fn refuse(name: &SaidName, is_pop: bool, group: &Group, said: &SaidName, book: &Book, report: &mut Report) {
    let of = said.short();
    let member = group.members.iter().find(|m| m.name == name.name).and_then(|m| m.pop);
    let (message, help) = match (is_pop, member) {
        (true, _) => {
            let at = group.members.iter().filter_map(|m| m.pop).map(|p| book.policies.pops[p.idx()].name.clone());
            (format!("group {of} has no member at POP {}", name.short()), format!("it has some at {}", some(name, at)))
        }
        (false, Some(pop)) => {
            let pop = name.shorten(&book.policies.pops[pop.idx()].name);
            (format!("{} is a member, not a POP", name.short()), format!("did you mean its POP `{pop}`?"))
        }
        (false, None) => {
            let help = near(name, book.pops.keys())
                .unwrap_or_else(|| format!("define it with `{}  POP  at=… capacity=…`", name.short()));
            (format!("there is no POP {}", name.short()), help)
        }
    };
    name.spot.error(report, message, help);
}
