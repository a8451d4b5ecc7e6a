//! Who may serve a cell: routes applied to the members of a group, before any number is looked at.
//!
//! Fences (`only`) are hard. `First` names those that go before all others while one of them is usable.
//! Externals are the last resort: they are candidates where no member at a POP is.

use crate::geo::Cell;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Effect, Group, Member, Policies, Pop, Role, Route, SteerBy};
use crate::units::rtt_ms;

/// Milliseconds taken for a distance that nobody knows: the same for every POP, so that it decides nothing.
const UNKNOWN_MS: f64 = 100.0;

/// The position of the route that decides for a cell: the first of the group that matches it.
pub fn route_idx(policies: &Policies, group: GroupIdx, cell: &Cell) -> Option<usize> {
    let first = policies.first_rule(group);
    let n = policies.groups[group.idx()].routes.len();
    // `rules` ascends, and routes stand most specific first.
    let at = cell.rules.partition_point(|r| r.idx() < first);
    cell.rules.get(at).map(|r| r.idx() - first).filter(|r| *r < n)
}

/// Whether a member is never given: `weight=0` under `steer=static`.
pub fn is_retired(group: &Group, m: MemberIdx) -> bool {
    group.steer == SteerBy::Static && group.members[m.idx()].weight == Some(0.0)
}

/// The members that may be given under a route, in file order; empty where a fence leaves nothing.
///
/// `usable[m]`: whether member `m` may be given at all.
pub fn candidates(group: &Group, route: Option<&Route>, usable: &[bool]) -> Vec<MemberIdx> {
    let may = |m: &MemberIdx| usable[m.idx()] && !is_retired(group, *m);
    let usable_of = |set: &[MemberIdx]| -> Vec<MemberIdx> {
        let mut list: Vec<MemberIdx> = set.iter().copied().filter(may).collect();
        list.sort_unstable();
        list.dedup();
        list
    };
    match route.map(|r| &r.effect) {
        Some(Effect::Only(set)) => return usable_of(set),
        Some(Effect::First(set)) => {
            let first = usable_of(set);
            if !first.is_empty() {
                return first;
            }
        }
        Some(Effect::Prefer(_)) | None => {}
    }
    let all = (0..group.members.len()).map(MemberIdx::from).filter(may);
    let (external, at_pops): (Vec<_>, Vec<_>) = all.partition(|m| group.members[m.idx()].role == Role::External);
    if at_pops.is_empty() { external } else { at_pops }
}

/// Round-trip milliseconds from a cell to a member; preferred members count as nearest.
pub fn distance_ms(policies: &Policies, member: &Member, cell: &Cell) -> f64 {
    member.pop.map_or(UNKNOWN_MS, |pop| distance_ms_to(&policies.pops[pop.idx()], cell))
}

/// Round-trip milliseconds from a cell to a POP.
pub fn distance_ms_to(pop: &Pop, cell: &Cell) -> f64 {
    cell.at.map_or(UNKNOWN_MS, |at| rtt_ms(pop.at.km_to(at)))
}

/// What a member is declared to sustain, requests per second: its own `capacity=`, or all of its POP.
/// An external member has none of its own and counts as `f64::INFINITY`.
pub fn declared_capacity(policies: &Policies, member: &Member) -> f64 {
    match member.pop {
        Some(pop) => {
            let all = policies.pops[pop.idx()].capacity;
            member.capacity.map_or(all, |own| own.min(all))
        }
        None => member.capacity.unwrap_or(f64::INFINITY),
    }
}

/// What money and carbon add to a member's distance, milliseconds: its own price, its POP's, and the POP's carbon
/// at what the group has it weigh.
pub fn money_ms(policies: &Policies, group: &Group, member: &Member) -> f64 {
    let pop = member.pop.map(|p| &policies.pops[p.idx()]);
    member.price + pop.map_or(0.0, |pop| pop.price + group.co2_price * pop.co2)
}

/// The members of a group at a POP.
pub fn members_at(group: &Group, pop: PopIdx) -> impl Iterator<Item = MemberIdx> + '_ {
    group.members.iter().enumerate().filter(move |(_, m)| m.pop == Some(pop)).map(|(i, _)| MemberIdx::from(i))
}
