//! Specs → values: every reference resolved, every range and relation checked, against each other and
//! against the zones.
//!
//! Checks go on after a problem with a stand-in value, so that one load reports everything; the caller
//! throws the values away if there was an error. What is wrong with a name is said once, where it is
//! used first.

use crate::id::{GroupIdx, PopIdx};
use crate::masterfile::{Report, suggest};
use crate::policy::assert;
use crate::policy::circle;
use crate::policy::ground::{self, Ground, Land};
use crate::policy::member;
use crate::policy::probe;
use crate::policy::route;
use crate::policy::said::{SaidName, Spot};
use crate::policy::spec::{GroupSpec, PopSpec, Specs, SteerSpec};
use crate::policy::value::{AllDown, BreakerConfig, Group, Pick, Policies, Pop, Role, Steer, SteerBy};
use crate::units::LatLon;
use crate::wire::{Name, rtype};
use std::collections::HashMap;

/// Most POPs of a server. Our choice, twenty times what the largest networks have.
pub const MAX_POPS: usize = 4096;
/// Most groups of a server. Our choice: a table row per group and cell has to fit in memory.
pub const MAX_GROUPS: usize = 16_384;
/// Most members of one group. Our choice, well inside the 16 bits of their ids.
pub const MAX_MEMBERS: usize = 4096;
/// Most routes of one group. Our choice: every route is a cell of its own for every group, while it may have any number of
/// prefixes: a provider's thousand are one route and one cell.
pub const MAX_ROUTES: usize = 4096;

/// Most milliseconds that distance and money may add up to for the ladder of the allocation to hold, which puts what `members=…`
/// leaves out a second behind: half a turn round the Earth is some 300.
const MOST_MONEY_MS: f64 = 400.0;

//----------- Book -----------------------------------------------------------

/// Everything defined so far, with the places of definition.
#[derive(Default)]
pub struct Book {
    /// The values, in order of definition.
    pub policies: Policies,
    /// The POPs by name.
    pub pops: HashMap<Name, PopIdx>,
    /// The groups by name.
    pub groups: HashMap<Name, GroupIdx>,
    /// What is known of each POP beside its value.
    pub pop_places: Vec<PopPlace>,
    /// What is known of each group beside its value.
    pub group_places: Vec<GroupPlace>,
}

/// A POP's definition, for messages.
pub struct PopPlace {
    /// Where it is defined.
    pub name: SaidName,
    /// Whether a member stands there.
    pub used: bool,
    /// Whether what it bears is as it was said; a stand-in otherwise.
    pub max_is_known: bool,
}

/// A group's definition and its members', for messages.
pub struct GroupPlace {
    /// Where it is defined.
    pub name: SaidName,
    /// Its members by name.
    pub by_name: HashMap<Name, usize>,
    /// Where each member is defined, parallel to `Group::members`.
    pub members: Vec<MemberPlace>,
    /// The steered names, with their places.
    pub steered: Vec<SaidName>,
}

/// A member's definition and what the zone has for it.
pub struct MemberPlace {
    /// Where it is defined.
    pub name: SaidName,
    /// Whether the zone has A there.
    pub a: bool,
    /// Whether the zone has AAAA there.
    pub aaaa: bool,
}

/// Checks everything said. Errors are in `report`; with any, the value is of no use.
pub fn check(specs: Specs, land: &Land<'_>, report: &mut Report) -> Policies {
    let Specs { pops, groups, members, routes, asserts, steers, lost_members } = specs;
    let mut book = Book::default();
    for spec in pops {
        pop(spec, &mut book, report);
    }
    for spec in groups {
        group(spec, &mut book, report);
    }
    for spec in members {
        member::member(spec, land, &mut book, report);
    }
    route::routes(routes, &mut book, report);
    assert::assertions(asserts, &mut book, report);
    for spec in steers {
        steer(spec, land, &mut book, report);
    }
    circle::circles(&book, land, report);
    for (group, place) in book.policies.groups.iter().zip(&book.group_places) {
        whole_group(group, place, &lost_members, report);
    }
    if !report.has_errors() {
        unused(&book, report);
    }
    book.policies.steers.sort_by(|a, b| a.name.cmp(&b.name));
    book.policies
}

//----------- POP ------------------------------------------------------------

fn pop(spec: PopSpec, book: &mut Book, report: &mut Report) {
    let PopSpec {
        name,
        record,
        at,
        capacity,
        max,
        price,
        co2,
        spill,
        error_rate,
        latency_ms,
        min_requests,
        cooldown_secs,
        failback_secs,
        resume,
        probe,
    } = spec;
    if let Some(&first) = book.pops.get(&name.name) {
        let first = &book.pop_places[first.idx()].name;
        return twice("POP", &name, first, report);
    }
    if !defines(&name, "POP", report) || full("POPs", book.policies.pops.len(), MAX_POPS, &name.spot, report) {
        return;
    }
    if at.is_absent() {
        let help = "say where it stands, latitude and longitude: at=52.31,4.76";
        record.error(report, format!("POP {} has no `at`", name.short()), help);
    }
    if capacity.is_absent() {
        let help = "say what it sustains in requests per second: capacity=40k";
        record.error(report, format!("POP {} has no `capacity`", name.short()), help);
    }
    if let (Some(capacity), Some(max)) = (capacity.given(), max.given())
        && max.value < capacity.value
    {
        let help = "`max` is what it bears for a short time, at least `capacity`; leave it out if that is the same";
        max.spot.error(report, format!("`max` is below `capacity` of POP {}", name.short()), help);
    }
    let probe = probe::check(probe, report);
    let max_is_known = max.given().is_some() || max.is_absent() && capacity.given().is_some();
    let defaults = BreakerConfig::default();
    let capacity = capacity.or(1.0);
    book.pops.insert(name.name.clone(), PopIdx::from(book.policies.pops.len()));
    book.policies.pops.push(Pop {
        name: name.name.clone(),
        at: at.or(LatLon { lat: 0.0, lon: 0.0 }),
        capacity,
        max: max.or(capacity),
        price: price.or(0.0),
        co2: co2.or(0.0),
        spill: spill.into_value(),
        breaker: BreakerConfig {
            error_rate: error_rate.or(defaults.error_rate),
            latency_ms: latency_ms.into_value().or(defaults.latency_ms),
            min_requests: min_requests.or(defaults.min_requests),
            cooldown_secs: cooldown_secs.or(defaults.cooldown_secs),
            failback_secs: failback_secs.or(defaults.failback_secs),
            resume: resume.or(defaults.resume),
        },
        probe,
    });
    book.pop_places.push(PopPlace { name, used: false, max_is_known });
}

//----------- GROUP ----------------------------------------------------------

fn group(spec: GroupSpec, book: &mut Book, report: &mut Report) {
    let GroupSpec { name, steer, pick, answers, ttl, reserve, all_down, forecast, unit, co2_price, budget_secs } = spec;
    if let Some(&first) = book.groups.get(&name.name) {
        let first = &book.group_places[first.idx()].name;
        return twice("GROUP", &name, first, report);
    }
    if !defines(&name, "GROUP", report) || full("groups", book.policies.groups.len(), MAX_GROUPS, &name.spot, report) {
        return;
    }
    let defaults = Group::new(name.name.clone());
    let (ttl_min, ttl_max) = ttl.or((defaults.ttl_min, defaults.ttl_max));
    book.groups.insert(name.name.clone(), GroupIdx::from(book.policies.groups.len()));
    book.policies.groups.push(Group {
        steer: steer.or(defaults.steer),
        pick: pick.or(defaults.pick),
        answers: answers.or(defaults.answers),
        ttl_min,
        ttl_max,
        reserve: reserve.or(defaults.reserve),
        all_down: all_down.or(defaults.all_down),
        forecast: forecast.or(defaults.forecast),
        unit: unit.or(defaults.unit),
        co2_price: co2_price.or(defaults.co2_price),
        budget_secs: budget_secs.into_value(),
        name: defaults.name,
        members: defaults.members,
        routes: defaults.routes,
        assertions: defaults.assertions,
    });
    book.group_places.push(GroupPlace { name, by_name: HashMap::new(), members: Vec::new(), steered: Vec::new() });
}

/// What shows only once all members, routes and steered names of a group are known.
fn whole_group(group: &Group, place: &GroupPlace, lost_members: &[Name], report: &mut Report) {
    let (name, spot) = (place.name.short(), &place.name.spot);
    let shadow = |role: Role| matches!(role, Role::Shadow { .. });
    if group.members.is_empty() {
        if !lost_members.contains(&group.name) {
            let help = format!("add one, as in `{name}  MEMBER  ams.web  pop=ams.pop`");
            spot.error(report, format!("group {name} has no members"), help);
        }
    } else if group.members.iter().all(|m| shadow(m.role)) {
        let help = "a shadow serves only once it is warm; add a member that always serves";
        spot.error(report, format!("every member of group {name} is a shadow"), help);
    } else if group.steer == SteerBy::Static && group.members.iter().all(|m| m.weight == Some(0.0) || shadow(m.role)) {
        let help = "give at least one member a `weight` above 0";
        spot.error(report, format!("every member of group {name} has weight 0"), help);
    }
    let local = || place.members.iter().zip(&group.members).filter(|(_, m)| m.role != Role::External);
    for (have, word, other) in [(false, "A", "IPv4"), (true, "AAAA", "IPv6")] {
        let has = |m: &MemberPlace| if have { m.aaaa } else { m.a };
        if !local().any(|(p, _)| has(p)) {
            continue;
        }
        for (lacking, _) in local().filter(|(p, _)| !has(p) && (p.a || p.aaaa)) {
            let short = lacking.name.short();
            let message = format!("member {short} has no {word}, but others of group {name} have");
            let help = format!(
                "clients over {other} that are sent here would get no address; add `{short} {word}` to the zone, or \
                 take {word} from all members"
            );
            lacking.name.spot.error(report, message, help);
        }
    }
}

/// What nothing refers to. Told only when there is no error: what refers to it may stand in a record
/// that was refused.
fn unused(book: &Book, report: &mut Report) {
    for PopPlace { name, used, .. } in &book.pop_places {
        if !used {
            let help = "give a MEMBER pop=, or take the POP out";
            name.spot.warn(report, format!("no member stands at POP {}", name.short()), help);
        }
    }
    let weighs = |group: &Group| group.co2_price > 0.0;
    let some_co2 = book.policies.pops.iter().any(|pop| pop.co2 > 0.0);
    if some_co2 && !book.policies.groups.iter().any(weighs) {
        let emits = book.policies.pops.iter().zip(&book.pop_places).find(|(pop, _)| pop.co2 > 0.0);
        if let Some((_, place)) = emits {
            let help =
                "give a GROUP co2-price=, the milliseconds of detour that a gram per kilowatt-hour is worth to it";
            place.name.spot.warn(report, "`co2` of POPs weighs nothing: no group has a price for it", help);
        }
    }
    for (group, place) in book.policies.groups.iter().zip(&book.group_places).filter(|(g, _)| weighs(g)) {
        let name = place.name.short();
        if !some_co2 {
            let help = "give the POPs co2=, grams per kilowatt-hour of their power";
            place.name.spot.warn(report, format!("`co2-price` of group {name} changes nothing"), help);
        } else if group.steer != SteerBy::Priced {
            let help = "prices count with steer=priced alone";
            place.name.spot.warn(report, format!("`co2-price` of group {name} changes nothing"), help);
        }
    }
    for (group, place) in book.policies.groups.iter().zip(&book.group_places) {
        dear(group, place, book, report);
        if group.budget_secs.is_some() && !group.members.iter().any(|m| matches!(m.role, Role::Shadow { .. })) {
            let help = "a budget bounds the standby of shadows; mark a MEMBER `shadow`, or leave `budget` out";
            let message = format!("`budget` of group {} changes nothing", place.name.short());
            place.name.spot.warn(report, message, help);
        }
        if place.steered.is_empty() {
            let name = place.name.short();
            let help = format!("add `www  STEER  {name}` for the names it answers, or take the group out");
            place.name.spot.warn(report, format!("group {name} answers no name"), help);
        }
    }
}

/// A member that costs more than any distance on Earth: it comes after what `members=…` leaves out, or after overload.
fn dear(group: &Group, place: &GroupPlace, book: &Book, report: &mut Report) {
    if group.steer != SteerBy::Priced {
        return;
    }
    for (member, place) in group.members.iter().zip(&place.members) {
        let pop = member.pop.map(|p| &book.policies.pops[p.idx()]);
        let cost = member.price + pop.map_or(0.0, |pop| pop.price + group.co2_price * pop.co2);
        if cost > MOST_MONEY_MS {
            let name = place.name.short();
            let message = format!("member {name} costs {cost:.0} ms, more than any distance: it is left for last");
            let help = "a price counts as milliseconds beside distance, of which there are some 300 at most; \
                        price= of member and POP, and co2= times co2-price=, add up";
            place.name.spot.warn(report, message, help);
        }
    }
}

//----------- STEER ----------------------------------------------------------

fn steer(spec: SteerSpec, land: &Land<'_>, book: &mut Book, report: &mut Report) {
    let SteerSpec { name, group } = spec;
    let short = name.short();
    let known = find_group(&group, book, report);
    let other = book.group_places.iter().flat_map(|g| &g.steered).find(|s| s.name == name.name);
    if let Some(first) = other {
        let help = format!("it is steered at {} already; keep one of the two", first.spot.file_line());
        return name.spot.error(report, format!("{short} is steered twice"), help);
    }
    let Some(group) = known else { return };
    book.group_places[group.idx()].steered.push(name.clone());
    book.policies.steers.push(Steer { name: name.name.clone(), group });
    let spoken = match Ground::of(&name.name, land) {
        Ground::Within(spoken) => spoken,
        Ground::Unknown => return,
        Ground::Outside => {
            let message = format!("{} lies in no zone of this server", name.name);
            return name.spot.error(
                report,
                message,
                format!("add its zone file, or mend the name; {}", ground::served(land)),
            );
        }
        Ground::Handed { at, by } => {
            let message = format!("{short} belongs to others: the zone has a {by} at {}", name.shorten(&at));
            return name.spot.error(
                report,
                message,
                "steer it where it is served, or take the record at that name out of the zone",
            );
        }
    };
    if spoken.has(rtype::CNAME) {
        let help = "a name has a CNAME or is steered; put the static fallback in its place, as A and AAAA";
        return name.spot.error(report, format!("{short} has a CNAME in zone {}", spoken.apex()), help);
    }
    if let (Some(word), Pick::Spread) = (spoken.hinted(), book.policies.groups[group.idx()].pick) {
        let message = format!("the address hints in the {word} record of {short} are left out of answers");
        let help = "with `pick=spread` every visit takes a member of its own, and a hint might be of another one";
        name.spot.warn(report, message, help);
    }
    let value = &book.policies.groups[group.idx()];
    let place = &book.group_places[group.idx()];
    let (a, aaaa) = (spoken.has(rtype::A), spoken.has(rtype::AAAA));
    if !a && !aaaa {
        let message = format!("{short} has neither A nor AAAA in zone {}", spoken.apex());
        let help = match value.all_down {
            AllDown::Static => {
                "with `all-down=static` it has no answer when all is down; add addresses to the zone file"
            }
            _ => "the zone's addresses answer when steering is off; add some to the zone file",
        };
        name.spot.warn(report, message, help);
    }
    for (lacks, word) in
        [(a && !place.members.iter().any(|m| m.a), "A"), (aaaa && !place.members.iter().any(|m| m.aaaa), "AAAA")]
    {
        // Members without any address have been told of, or lie in a zone that is missing.
        let mut local = value.members.iter().zip(&place.members).filter(|(m, _)| m.role != Role::External).peekable();
        if lacks && local.peek().is_some() && local.all(|(_, m)| m.a || m.aaaa) {
            let message = format!("{short} has {word} in the zone, but no member of group {} has", place.name.short());
            name.spot.warn(
                report,
                message,
                format!("steering takes {word} away from this name; add {word} to the members' names"),
            );
        }
    }
    let external = value.members.iter().zip(&place.members).find(|(m, _)| m.role == Role::External);
    if let (Some((_, target)), Some(why)) = (external, spoken.forbids_cname()) {
        let message = format!("{short} cannot answer with the CNAME of an external member: {why}");
        let help = format!(
            "steer it to a group without external members ({} is one, {}); two groups may share the others",
            target.name.short(),
            target.name.spot.file_line()
        );
        name.spot.error(report, message, help);
    }
}

//----------- Names of things ------------------------------------------------

/// The group that a record refers to; an unknown one is reported.
pub fn find_group(said: &SaidName, book: &Book, report: &mut Report) -> Option<GroupIdx> {
    if let Some(&group) = book.groups.get(&said.name) {
        return Some(group);
    }
    let help = match book.pops.contains_key(&said.name) {
        true => format!("{} is a POP; define the group with `{}  GROUP`", said.short(), said.short()),
        false => near(said, book.groups.keys()).unwrap_or_else(|| format!("define it with `{}  GROUP`", said.short())),
    };
    said.spot.error(report, format!("there is no group {}", said.short()), help);
    None
}

/// What to say where a name is unknown but one of `known` is near; names as they are written there.
pub fn near<'a>(said: &SaidName, known: impl IntoIterator<Item = &'a Name>) -> Option<String> {
    let mut known: Vec<String> = known.into_iter().map(|name| said.shorten(name)).collect();
    known.sort();
    let found = said.short();
    // `ams.pop.example.com` without its dot has become `ams.pop.example.com.example.com.`
    let full = said.origin.to_string();
    if let Some(head) = found.strip_suffix(&full[..full.len() - 1])
        && let Some(head) = head.strip_suffix('.')
        && known.iter().any(|k| k == head)
    {
        return Some(format!("the dot at its end is missing: `{found}.`, or shorter `{head}`"));
    }
    // What both end in says nothing about how near they are.
    let lone = |name: &str, tail: usize| name.chars().take(name.chars().count() - tail).collect::<String>();
    let candidates = known.iter().filter(|candidate| {
        let tail = found.chars().rev().zip(candidate.chars().rev()).take_while(|(a, b)| a == b).collect::<Vec<_>>();
        let labels = tail.iter().rposition(|(c, _)| *c == '.').map_or(0, |dot| dot + 1);
        let (a, b) = (lone(&found, labels), lone(candidate, labels));
        a.chars().count() > 1 && b.chars().count() > 1 && suggest(&a, [b.as_str()]).is_some()
    });
    suggest(&found, candidates.map(String::as_str)).map(|name| format!("did you mean `{name}`?"))
}

/// Up to five names, for a help text.
pub fn some(said: &SaidName, known: impl Iterator<Item = Name>) -> String {
    let names: Vec<String> = known.map(|name| said.shorten(&name)).collect();
    match names.len() {
        0..=5 => names.join(", "),
        n => format!("{} and {} more", names[..4].join(", "), n - 4),
    }
}

fn twice(what: &str, name: &SaidName, first: &SaidName, report: &mut Report) {
    let help = format!("it is defined at {} already; rename or remove one of the two", first.spot.file_line());
    name.spot.error(report, format!("{what} {} is defined twice", name.short()), help);
}

/// Whether a name may name a thing; a wildcard may not.
fn defines(name: &SaidName, what: &str, report: &mut Report) -> bool {
    if name.name.is_wildcard() {
        let help = "only STEER takes wildcards; give this a name of its own";
        name.spot.error(report, format!("{what} {} is a wildcard", name.short()), help);
    }
    !name.name.is_wildcard()
}

/// Whether there are as many as there may be; reported once, for the first too many.
pub fn full(what: &str, n: usize, most: usize, spot: &Spot, report: &mut Report) -> bool {
    if n < most {
        return false;
    }
    let message = format!("there are more than {most} {what}");
    if !report.diagnostics.iter().any(|d| d.message == message) {
        spot.error(report, message, "split them over several servers");
    }
    true
}
