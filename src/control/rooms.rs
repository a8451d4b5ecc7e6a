//! What each POP and member can carry now: declared, reported and learned, times the breaker's factor, and
//! less the reserve.

use crate::clock::Now;
use crate::control::allocate::Room;
use crate::control::candidates::{declared_capacity, members_at};
use crate::control::capacity::{Overload, exhausted};
use crate::control::expected::Expected;
use crate::control::overrides::force::Hold;
use crate::control::silence::{Rung, UNKNOWN_FACTOR, rung};
use crate::control::state::{GroupState, Layout, State};
use crate::control::trips::newest_at;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::Policies;
use crate::steering::BreakerState;

/// Part of its capacity that a POP that may not gain can be given all the same: as much cannot overload one that
/// was well when it fell silent, and one that was idle goes on to serve the clients near it. Our choice.
const KEPT_WHEN_SILENT: f64 = 0.1;

/// Part of what a POP is thought to carry that confirms it. Our choice: what a window of a rising load is behind.
const AS_MUCH: f64 = 0.9;

/// The room of one POP.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PopRoom {
    /// What it can carry, requests per second.
    pub capacity: f64,
    /// What to stay under, requests per second.
    pub target: f64,
    /// Target and most for the allocation, in requests per second as reporters count them. A POP on the
    /// ramp has all of its room here: its shares are cut afterwards, so cutting both would square it.
    pub room: Room,
    /// Load it gets per load that its answers should bring; divides the room for the allocation.
    pub gain: f64,
}

/// Learns from overload, and works out the room of every POP.
pub fn step(state: &mut State, layout: &Layout, expected: &[Expected], now: Now) -> Vec<PopRoom> {
    (0..state.pops.len()).map(|p| pop_room(state, layout, expected, PopIdx::from(p), now)).collect()
}

fn pop_room(state: &mut State, layout: &Layout, expected: &[Expected], pop: PopIdx, now: Now) -> PopRoom {
    let spec = &layout.policies.pops[pop.idx()];
    let sign = || Overload { goodput: newest_at(state, pop).goodput().unwrap_or(0.0), binding: binding(state, pop) };
    let of = &state.pops[pop.idx()];
    // A POP that serves well about as much as it is thought to carry is full, and nothing is learned from that; but who
    // cannot tell where demand comes from has nothing else to go by.
    let teaches = |sign: &Overload| !state.skills.origins || sign.goodput < AS_MUCH * of.base;
    let overload = of.overloaded.then(sign).filter(teaches);
    let reported = reported(state, pop);
    let of = &mut state.pops[pop.idx()];
    let learned = of.learned.step(spec.capacity, reported, overload, now);
    of.base = state.forced.capacity(pop, spec.capacity).unwrap_or(learned);
    let factor = match of.breaker.state() {
        _ if state.forced.pop(pop) == Some(Hold::Closed) => 1.0,
        BreakerState::Open if of.readmitted => 1.0 - of.tripped_errors,
        _ => of.breaker.factor(),
    };
    let (mut capacity, mut keep) = (of.base * factor, 1.0 - of.reserve);
    match rung(of.silent_secs(now)) {
        Rung::Normal | Rung::Hold => {}
        Rung::NoGain => {
            // Its share is kept, so that it follows the demand: what it carries now may be less than its part.
            let load = state.plan.pops[pop.idx()].load.max(load_when_heard(state, expected, pop));
            keep = keep.min((load / capacity.max(1e-9)).max(KEPT_WHEN_SILENT));
        }
        Rung::Unknown => capacity = capacity.min(UNKNOWN_FACTOR * spec.capacity),
    }
    let target = capacity * keep;
    let whole = match state.pops[pop.idx()].breaker.state() {
        BreakerState::Ramp if factor < 1.0 => 1.0 / factor,
        _ => 1.0,
    };
    let max = capacity * (spec.max / spec.capacity).max(1.0);
    let room = Room { target: whole * target, max: whole * max };
    PopRoom { capacity, target, room, gain: pop_gain(state, &layout.policies, pop) }
}

/// What the share that a POP had when it was last heard is of now's planned demand, requests per second.
fn load_when_heard(state: &State, expected: &[Expected], pop: PopIdx) -> f64 {
    let of_group = |(group, expected): (&GroupState, &Expected)| {
        let here = || group.reporters.iter().filter(|((p, _), _)| *p == pop);
        let whole = here().filter(|((_, m), _)| m.is_none()).map(|(_, r)| r.share_when_heard).sum::<f64>();
        let parts = here().filter(|((_, m), _)| m.is_some()).map(|(_, r)| r.share_when_heard).sum::<f64>();
        whole.max(parts) * expected.demand.planned
    };
    state.groups.iter().zip(expected).map(of_group).sum()
}

/// What takes room from a POP whose breaker does not, in words; empty if nothing does.
pub fn limits(state: &State, layout: &Layout, pop: PopIdx, now: Now) -> String {
    let declared = layout.policies.pops[pop.idx()].capacity;
    let silent = state.pops[pop.idx()].silent_secs(now);
    let quiet = match rung(silent) {
        Rung::Normal | Rung::Hold => None,
        Rung::NoGain => Some(format!("silent {silent:.0} s: gets no more than it carries")),
        Rung::Unknown => {
            Some(format!("silent {silent:.0} s: at most {:.0} % of what is declared", 100.0 * UNKNOWN_FACTOR))
        }
    };
    let reports = reported(state, pop).filter(|r| *r < declared).map(|r| format!("reports capacity {r:.0}"));
    [reports, quiet].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// The newest capacity that a POP reports of itself; of a single member, where it hosts only that.
fn reported(state: &State, pop: PopIdx) -> Option<f64> {
    let at = state.groups.iter().flat_map(|g| g.reporters.iter().filter(move |((p, _), _)| *p == pop));
    let all: Vec<_> = at.collect();
    let whole = all.iter().filter(|((_, member), _)| member.is_none() || all.len() == 1);
    let newest = whole.filter(|(_, r)| r.capacity.is_some()).max_by(|a, b| a.1.newest.total_cmp(&b.1.newest));
    newest.and_then(|(_, r)| r.capacity)
}

fn binding(state: &State, pop: PopIdx) -> &'static str {
    let at = state.groups.iter().flat_map(|g| g.reporters.iter().filter(move |((p, _), _)| *p == pop));
    at.filter_map(|(_, r)| exhausted(&r.utilisation)).next().unwrap_or("requests")
}

/// Mean gain of a POP's members, by the load that is planned for them.
fn pop_gain(state: &State, policies: &Policies, pop: PopIdx) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for ((spec, group), plan) in policies.groups.iter().zip(&state.groups).zip(&state.plan.groups) {
        for m in members_at(spec, pop) {
            let load = plan.members[m.idx()].load;
            sum += load * group.members[m.idx()].gain.get();
            weight += load;
        }
    }
    if weight > 0.0 { sum / weight } else { 1.0 }
}

/// The room of a member that has a part of its POP, or a breaker of its own that is not Closed; `None`
/// where its POP's room is the only limit.
pub fn member_room(state: &State, layout: &Layout, rooms: &[PopRoom], g: GroupIdx, m: MemberIdx) -> Option<Room> {
    let spec = &layout.policies.groups[g.idx()].members[m.idx()];
    let pop = spec.pop?;
    let own = &state.groups[g.idx()].members[m.idx()];
    let reporter = state.groups[g.idx()].reporters.get(&(pop, Some(m))).and_then(|r| r.capacity);
    let factor = match own.breaker.state() {
        BreakerState::Ramp => 1.0,
        _ if state.forced.member(&layout.policies, g, m) == Some(Hold::Closed) => 1.0,
        _ => own.breaker.factor(),
    };
    if spec.capacity.is_none() && reporter.is_none() && factor >= 1.0 {
        return None;
    }
    let declared = declared_capacity(&layout.policies, spec);
    let capacity = reporter.map_or(declared, |r| r.min(declared)) * factor;
    let PopRoom { room, capacity: of_pop, gain, .. } = rooms[pop.idx()];
    let part = |of: f64| if of_pop > 0.0 { capacity.min(of_pop) * of / of_pop / gain } else { 0.0 };
    Some(Room { target: part(room.target), max: part(room.max).max(part(room.target)) })
}

/// Learns how much load each member gets per answer, from reporters that speak of one member alone; frozen
/// while a breaker is not Closed, or demand is surging.
pub fn learn_gains(state: &mut State, layout: &Layout, dt: f64, now: Now) {
    let quiet = state.pops.iter().all(|p| p.breaker.state() == BreakerState::Closed);
    if !quiet || dt <= 0.0 || !state.skills.gains {
        return;
    }
    for (g, group) in state.groups.iter_mut().enumerate().filter(|(_, group)| !group.surge) {
        let spec = &layout.policies.groups[g];
        let mut seen = Vec::new();
        for ((pop, member), reporter) in &group.reporters {
            let mut at = members_at(spec, *pop);
            let only = match (member, at.next(), at.next()) {
                (Some(m), _, _) => Some(*m),
                (None, Some(m), None) => Some(m),
                _ => None,
            };
            let fresh = rung(reporter.window.silent_secs(now)) == Rung::Normal;
            if let (Some(m), Some(rate), true) = (only, reporter.window.rate(), fresh) {
                seen.push((m, rate));
            }
        }
        for (m, rate) in seen {
            let plan = &state.plan.groups[g];
            // What now's demand should bring there; the plan's load is for planned demand.
            group.members[m.idx()].gain.observe(rate, plan.members[m.idx()].share * plan.demand.now, dt);
        }
    }
}
