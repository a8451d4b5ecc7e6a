//! What a member may get, before any number is looked at: from its breakers and its state as a shadow.

use crate::control::breaker::Breaker;
use crate::control::overrides::force::Hold;
use crate::control::state::{Layout, State};
use crate::id::{GroupIdx, MemberIdx};
use crate::steering::{BreakerState, ShadowState};

//----------- Standing -------------------------------------------------------

/// What a member may get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Standing {
    /// What allocation gives it.
    Full,
    /// At most this share of what it would get, in `(0, 1)`.
    Ramping(f64),
    /// A hundredth, to prove it.
    Trickle,
    /// Nothing, and why.
    Not(&'static str),
}

impl Standing {
    /// The part at which it returns, if it does.
    pub fn ramp(self) -> Option<f64> {
        match self {
            Standing::Ramping(part) => Some(part),
            _ => None,
        }
    }

    /// Whether it counts as able to carry load.
    pub fn serves(self) -> bool {
        matches!(self, Standing::Full | Standing::Ramping(_))
    }
}

/// What one member may get, by the breakers over it and its state as a shadow.
pub fn member_standing(state: &State, layout: &Layout, g: GroupIdx, m: MemberIdx) -> Standing {
    let pop = layout.policies.groups[g.idx()].members[m.idx()].pop;
    let hold = state.forced.member(&layout.policies, g, m);
    match hold {
        Some(Hold::Drained) => return Standing::Not("Drained"),
        Some(Hold::Open) => return Standing::Not("Open"),
        Some(Hold::Closed) | None => {}
    }
    let [of_pop, own] = breakers(state, layout, g, m).map(|breaker| breaker.filter(|_| hold.is_none()));
    let readmitted = pop.is_some_and(|p| state.pops[p.idx()].readmitted);
    let of_pop = of_pop.filter(|_| !readmitted);
    let least = [of_pop, own].into_iter().flatten().min_by(|a, b| a.share_cap().total_cmp(&b.share_cap()));
    let shadow = state.groups[g.idx()].members[m.idx()].shadow.map(|s| s.state());
    match (least.map(|b| b.state()), shadow) {
        (Some(BreakerState::Open), _) => Standing::Not("Open"),
        (_, Some(ShadowState::Cold)) => Standing::Not("Cold"),
        (_, Some(ShadowState::Warming)) => Standing::Not("Warming"),
        (_, Some(ShadowState::Draining)) => Standing::Not("Draining"),
        (Some(BreakerState::HalfOpen), _) | (_, Some(ShadowState::Ready)) => Standing::Trickle,
        (Some(BreakerState::Ramp), _) => match least.map_or(1.0, |b| b.share_cap()) {
            cap if cap < 1.0 => Standing::Ramping(cap),
            _ => Standing::Full,
        },
        _ => Standing::Full,
    }
}

/// What every member may get: `[g][m]`.
pub fn standings(state: &State, layout: &Layout) -> Vec<Vec<Standing>> {
    let of_group = |(g, group): (usize, &crate::policy::Group)| {
        (0..group.members.len()).map(|m| member_standing(state, layout, g.into(), m.into())).collect()
    };
    layout.policies.groups.iter().enumerate().map(of_group).collect()
}

/// Which members may be given at all.
pub fn given(standing: &[Standing]) -> Vec<bool> {
    standing.iter().map(|s| !matches!(s, Standing::Not(_))).collect()
}

/// Which members are shadows that nobody has started, or that are told to stop, or are drained.
pub fn is_off(standing: &[Standing]) -> Vec<bool> {
    standing.iter().map(|s| matches!(s, Standing::Not(why) if *why != "Open")).collect()
}

/// The breakers over a member: its POP's, and its own.
fn breakers<'a>(state: &'a State, layout: &Layout, g: GroupIdx, m: MemberIdx) -> [Option<&'a Breaker>; 2] {
    let pop = layout.policies.groups[g.idx()].members[m.idx()].pop;
    [pop.map(|p| &state.pops[p.idx()].breaker), pop.map(|_| &state.groups[g.idx()].members[m.idx()].breaker)]
}
