//! ROUTE: who may go where, sorted so that the first route that matches a client decides.
//!
//! More specific goes first: a longer prefix before a shorter one, any prefix before an AS, then
//! subdivision, country, continent, everyone; what one key leaves equal, the next decides; then file
//! order. A route over prefixes of several lengths becomes one route per length, since "the longest
//! prefix" is a question of each prefix, not of the list.

use crate::geo::Match;
use crate::id::MemberIdx;
use crate::masterfile::Report;
use crate::policy::check::{Book, GroupPlace, MAX_ROUTES, find_group, full, near, some};
use crate::policy::countries::may_lie_in;
use crate::policy::said::{Field, SaidName, Spot};
use crate::policy::spec::RouteSpec;
use crate::policy::value::{Effect, Group, Role, Route, SteerBy};
use ipnet::IpNet;
use std::cmp::Reverse;

/// A checked route with its place, before it is sorted and split.
struct Draft {
    route: Route,
    record: Spot,
    covered_by: Vec<String>,
    n_parts: usize,
}

/// Checks all routes and puts them into their groups.
pub fn routes(specs: Vec<RouteSpec>, book: &mut Book, report: &mut Report) {
    let mut drafts: Vec<Vec<Draft>> = book.policies.groups.iter().map(|_| Vec::new()).collect();
    for spec in specs {
        if let Some((group, draft)) = route(spec, book, report) {
            let what = format!("routes of group {}", book.policies.groups[group].name);
            if !full(&what, drafts[group].len(), MAX_ROUTES, &draft.record, report) {
                drafts[group].push(draft);
            }
        }
    }
    for (group, drafts) in drafts.into_iter().enumerate() {
        book.policies.groups[group].routes = arrange(drafts, report);
    }
}

//----------- One route ------------------------------------------------------

fn route(spec: RouteSpec, book: &mut Book, report: &mut Report) -> Option<(usize, Draft)> {
    let RouteSpec { group, record, text, country, subdivision, continent, net, asn, members, prefer, only } = spec;
    let known = find_group(&group, book, report);
    if members.is_absent() && prefer.is_absent() && only.is_absent() {
        let help = "add members= for where these clients go, or prefer= for what counts as nearest";
        record.error(report, "this route leads nowhere", help);
    }
    if let (Some(_), Some(prefer)) = (members.given(), prefer.given()) {
        let help =
            "members= says where clients go, prefer= what counts as nearest; write two routes or keep one of the two";
        prefer.spot.error(report, "a route has `members` or `prefer`, not both", help);
    }
    if let (Some(only), true) = (only.given(), members.is_absent()) {
        let help = "`only` keeps clients on the members of a members= list; add one, or leave `only` out";
        only.spot.error(report, "`only` stands without `members`", help);
    }
    let whole =
        ![country.is_refused(), subdivision.is_refused(), continent.is_refused(), net.is_refused(), asn.is_refused()]
            .contains(&true);
    let when = Match {
        countries: country.into_value().unwrap_or_default(),
        subdivisions: subdivision.into_value().unwrap_or_default(),
        continents: continent.into_value().unwrap_or_default(),
        nets: net.into_value().unwrap_or_default(),
        asns: asn.into_value().unwrap_or_default(),
    };
    if whole && let Some((message, help)) = contradiction(&when) {
        record.error(report, message, help);
    }
    let group = known?.idx();
    let (value, place) = (&book.policies.groups[group], &book.group_places[group]);
    let effect = effect(&members, &prefer, &only, value, place, book, report)?;
    if !whole {
        return None;
    }
    match &effect {
        Effect::Only(list) if !list.iter().any(|m| serves(value, *m)) => {
            let help = "shadows serve only once they are warm, and weight 0 never: until then these clients get what `all-down` says; add a member that always serves";
            record.warn(report, "this route fences clients in with nothing that serves", help);
        }
        Effect::First(list) if list.len() == value.members.len() => {
            let help = "add `only`, leave some members out, or remove the route";
            record.warn(report, "this route names every member, so it changes nothing", help);
        }
        _ => {}
    }
    let route = Route { when, effect, text };
    Some((group, Draft { route, record, covered_by: Vec::new(), n_parts: 0 }))
}

/// Whether a member serves without being asked to start.
fn serves(group: &Group, member: MemberIdx) -> bool {
    let member = &group.members[member.idx()];
    let weightless = group.steer == SteerBy::Static && member.weight == Some(0.0);
    !weightless && !matches!(member.role, Role::Shadow { .. })
}

fn effect(
    members: &Field<Vec<SaidName>>,
    prefer: &Field<Vec<SaidName>>,
    only: &Field<()>,
    group: &Group,
    place: &GroupPlace,
    book: &Book,
    report: &mut Report,
) -> Option<Effect> {
    let found = |list: &Field<Vec<SaidName>>, report: &mut Report| -> Option<Vec<MemberIdx>> {
        let said = list.given()?;
        let found: Vec<_> = said.value.iter().map(|name| find_member(name, group, place, book, report)).collect();
        found.into_iter().collect()
    };
    let (members_found, preferred) = (found(members, report), found(prefer, report));
    match (members_found, preferred) {
        (Some(list), _) if only.given().is_some() => Some(Effect::Only(list)),
        (Some(list), _) if only.is_absent() => Some(Effect::First(list)),
        (None, Some(list)) => Some(Effect::Prefer(list)),
        _ => None,
    }
}

fn find_member(
    said: &SaidName,
    group: &Group,
    place: &GroupPlace,
    book: &Book,
    report: &mut Report,
) -> Option<MemberIdx> {
    if let Some(&member) = place.by_name.get(&said.name) {
        return Some(MemberIdx::from(member));
    }
    let of = place.name.short();
    let at_pop = book.pops.get(&said.name);
    let there = at_pop.and_then(|pop| group.members.iter().find(|m| m.pop == Some(*pop)));
    let elsewhere = book.group_places.iter().find(|g| g.by_name.contains_key(&said.name));
    let help = if let Some(there) = there {
        format!("{} is a POP; did you mean its member `{}`?", said.short(), said.shorten(&there.name))
    } else if let Some(near) = near(said, place.by_name.keys()) {
        near
    } else if let Some(other) = elsewhere {
        format!("it is a member of {}; add `{of}  MEMBER  {}  pop=…`", other.name.short(), said.short())
    } else if group.members.is_empty() {
        format!("add it with `{of}  MEMBER  {}  pop=…`", said.short())
    } else {
        format!("members are {}", some(said, group.members.iter().map(|m| m.name.clone())))
    };
    said.spot.error(report, format!("group {of} has no member {}", said.short()), help);
    None
}

/// Why no client can match, with what would do.
fn contradiction(when: &Match) -> Option<(String, String)> {
    let country_of = |code: &String| code.split('-').next().unwrap_or_default().to_string();
    let within = |country: &str| when.continents.iter().any(|c| may_lie_in(country, c));
    let help = "every key of a route has to match; write two routes, or leave one key out".to_string();
    let (countries, parts) = (when.countries.join(","), when.subdivisions.join(","));
    let continents = when.continents.join(",");
    if !when.countries.is_empty() && !when.subdivisions.is_empty() {
        let mut homes = when.subdivisions.iter().map(country_of);
        if !homes.any(|home| when.countries.contains(&home)) {
            return Some((format!("this route matches nobody: {parts} is not in {countries}"), help));
        }
    }
    if !when.continents.is_empty() {
        if !when.countries.is_empty() && !when.countries.iter().any(|c| within(c)) {
            return Some((format!("this route matches nobody: {countries} is not in {continents}"), help));
        }
        if !when.subdivisions.is_empty() && !when.subdivisions.iter().any(|s| within(&country_of(s))) {
            return Some((format!("this route matches nobody: {parts} is not in {continents}"), help));
        }
    }
    None
}

//----------- All routes of a group ------------------------------------------

/// Splits and sorts, and warns about routes that no client reaches.
fn arrange(mut drafts: Vec<Draft>, report: &mut Report) -> Vec<Route> {
    let mut parts: Vec<(usize, Match)> = Vec::new();
    for (i, draft) in drafts.iter_mut().enumerate() {
        let split = by_length(&draft.route.when);
        draft.n_parts = split.len();
        parts.extend(split.into_iter().map(|when| (i, when)));
    }
    // A stable sort: equal ones stay in file order.
    parts.sort_by_key(|(_, when)| Reverse(specificity(when)));
    for (at, (later, when)) in parts.iter().enumerate() {
        let earlier = parts[..at].iter().find(|(i, first)| i != later && covers(first, when));
        if let Some((i, _)) = earlier {
            let place = drafts[*i].record.file_line();
            drafts[*later].covered_by.push(place);
        }
    }
    for draft in drafts.iter_mut().filter(|d| d.covered_by.len() == d.n_parts) {
        draft.covered_by.sort();
        draft.covered_by.dedup();
        let message = format!("no client comes as far as this route: {} decides first", draft.covered_by.join(" and "));
        draft.record.warn(report, message, "join the two, narrow the other, or remove this one");
    }
    parts.into_iter().map(|(i, when)| Route { when, ..drafts[i].route.clone() }).collect()
}

/// One match for each length among the prefixes; the match itself where there are no prefixes.
fn by_length(when: &Match) -> Vec<Match> {
    let mut lengths: Vec<u8> = when.nets.iter().map(IpNet::prefix_len).collect();
    lengths.sort_by_key(|len| Reverse(*len));
    lengths.dedup();
    if lengths.len() < 2 {
        return vec![when.clone()];
    }
    let nets_of = |len: u8| when.nets.iter().filter(|n| n.prefix_len() == len).copied().collect();
    lengths.into_iter().map(|len| Match { nets: nets_of(len), ..when.clone() }).collect()
}

/// How specific a match is; greater goes first. A prefix length counts from 1, none as 0.
fn specificity(when: &Match) -> (u16, bool, bool, bool, bool) {
    let longest = when.nets.iter().map(|n| u16::from(n.prefix_len()) + 1).max().unwrap_or(0);
    let (asn, subdivision) = (!when.asns.is_empty(), !when.subdivisions.is_empty());
    (longest, asn, subdivision, !when.countries.is_empty(), !when.continents.is_empty())
}

/// Whether every client that matches `b` matches `a`, as far as the keys themselves show.
fn covers(a: &Match, b: &Match) -> bool {
    fn list<T: PartialEq>(a: &[T], b: &[T]) -> bool {
        a.is_empty() || (!b.is_empty() && b.iter().all(|item| a.contains(item)))
    }
    let nets = a.nets.is_empty()
        || (!b.nets.is_empty() && b.nets.iter().all(|inner| a.nets.iter().any(|outer| outer.contains(inner))));
    let country_of = |code: &str| code.split('-').next().unwrap_or_default().to_string();
    let homes: Vec<String> = b.subdivisions.iter().map(|s| country_of(s)).collect();
    let countries = list(&a.countries, &b.countries) || list(&a.countries, &homes);
    nets && countries
        && list(&a.subdivisions, &b.subdivisions)
        && list(&a.continents, &b.continents)
        && list(&a.asns, &b.asns)
}
