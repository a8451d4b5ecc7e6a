//! How the assertions of the policies stand under a plan.

use crate::id::{GroupIdx, MemberIdx};
use crate::policy::Policies;
use crate::steering::{BreakerState, Plan, ShadowState};

/// How one assertion stands.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Asserted {
    /// It in words.
    pub words: String,
    /// How many POPs must be able to serve.
    pub at_least: usize,
    /// The POPs that can, by name.
    pub active: Vec<String>,
}

impl Asserted {
    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.active.len() >= self.at_least
    }
}

/// Every assertion of a group under a plan, in the order of the policies.
pub fn asserted(plan: &Plan, policies: &Policies, g: GroupIdx) -> Vec<Asserted> {
    asserted_but(plan, policies, g, |_| false)
}

/// The same, if the members that `is_held` names were given to nobody.
pub fn asserted_but(
    plan: &Plan,
    policies: &Policies,
    g: GroupIdx,
    is_held: impl Fn(MemberIdx) -> bool,
) -> Vec<Asserted> {
    let spec = &policies.groups[g.idx()];
    let of = |assertion: &crate::policy::assert::Assertion| {
        let active = assertion.active(spec, |m| !is_held(m) && serves(plan, policies, g, m));
        let active = active.iter().map(|p| policies.pops[p.idx()].name.to_string()).collect();
        Asserted { words: assertion.words(policies), at_least: assertion.at_least, active }
    };
    spec.assertions.iter().map(of).collect()
}

/// Whether a member serves by a plan: it may be given, for more than to prove it. A plan that does not cover it says nothing
/// against it.
fn serves(plan: &Plan, policies: &Policies, g: GroupIdx, m: MemberIdx) -> bool {
    let Some(of) = plan.groups.get(g.idx()).and_then(|group| group.members.get(m.idx())) else { return true };
    let pop = policies.groups[g.idx()].members[m.idx()].pop.and_then(|p| plan.pops.get(p.idx()));
    of.usable.is_ok()
        && of.shadow.is_none_or(|shadow| shadow == ShadowState::Active)
        && pop.is_none_or(|pop| pop.breaker != BreakerState::HalfOpen && pop.capacity > 0.0)
}
