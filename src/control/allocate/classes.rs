//! Groups that have the same choices everywhere, solved as one.
//!
//! Shares depend on what members cost and on what POPs are full, not on whose demand it is. So groups whose members
//! stand at the same POPs, at the same money and behind the same routes, have the same row in every cell, and the sum of
//! their demand decides: exact, and with hundreds of services on one footprint hundreds of times less to solve.

use crate::control::allocate::problem::Problem;
use crate::control::candidates::money_ms;
use crate::id::{GroupIdx, PopIdx};
use crate::policy::{Effect, Role, SteerBy};
use std::collections::{HashMap, HashSet};

/// The priced groups of a problem by what they may choose.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    /// `of_group[g]`: the class of a group; `None` if it is not priced.
    pub(crate) of_group: Vec<Option<u32>>,
    /// The groups of each class, ascending. The first stands for all.
    pub(crate) groups: Vec<Vec<GroupIdx>>,
}

/// What rows depend on, beside the cell. Members by position, those that may be given.
#[derive(PartialEq, Eq, Hash)]
struct Choices<'a> {
    n_members: usize,
    members: Vec<(usize, Option<PopIdx>, u64, bool)>,
    /// Empty without routes, so that nothing has to be read.
    route: &'a [Option<u16>],
    effects: Vec<&'a Effect>,
}

impl Classes {
    pub(crate) fn new(problem: &Problem) -> Classes {
        let mut classes = Classes::default();
        let mut known: HashMap<Choices, u32> = HashMap::new();
        for (g, spec) in problem.policies.groups.iter().enumerate() {
            if spec.steer != SteerBy::Priced {
                classes.of_group.push(None);
                continue;
            }
            let next = classes.groups.len() as u32;
            let class = choices(problem, g).map_or(next, |choices| *known.entry(choices).or_insert(next));
            if class == next {
                classes.groups.push(Vec::new());
            }
            classes.groups[class as usize].push(GroupIdx::from(g));
            classes.of_group.push(Some(class));
        }
        classes
    }

    /// The group that stands for a class.
    pub(crate) fn first(&self, class: usize) -> GroupIdx {
        self.groups[class][0]
    }
}

/// What the rows of a group depend on; `None` for a group that is like no other: where members have a room of their
/// own, or two of them stand at one POP, in an order that goes by their names.
fn choices<'a>(problem: &'a Problem, g: usize) -> Option<Choices<'a>> {
    let (spec, here) = (&problem.policies.groups[g], &problem.groups[g]);
    let mut seen = HashSet::new();
    let alone = spec.members.iter().filter_map(|m| m.pop).all(|pop| seen.insert(pop));
    if !alone || here.room.iter().any(Option::is_some) {
        return None;
    }
    let member = |(m, member): (usize, &crate::policy::Member)| {
        let is_shadow = matches!(member.role, Role::Shadow { .. });
        // A shadow that may not be given says nothing; an active member says where the cell is at home.
        (here.usable[m] || !is_shadow).then(|| {
            let money = if here.usable[m] { money_ms(problem.policies, spec, member).to_bits() } else { u64::MAX };
            (m, member.pop, money, is_shadow)
        })
    };
    Some(Choices {
        n_members: spec.members.len(),
        members: spec.members.iter().enumerate().filter_map(member).collect(),
        route: if spec.routes.is_empty() { &[] } else { &problem.geography.route[g] },
        effects: spec.routes.iter().map(|r| &r.effect).collect(),
    })
}
