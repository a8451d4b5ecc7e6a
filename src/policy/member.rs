//! MEMBER: a choice of a group, where it stands and what the zone has for it.

use crate::id::PopIdx;
use crate::masterfile::Report;
use crate::policy::check::{Book, MAX_MEMBERS, MemberPlace, find_group, full, near, some};
use crate::policy::ground::{self, Ground, Land};
use crate::policy::said::{Field, SaidName, Spot};
use crate::policy::spec::MemberSpec;
use crate::policy::value::{Member, Role, STANDBY, SteerBy};
use crate::wire::rtype;

/// Seconds from wish to readiness of a shadow that does not say: a container with warm images takes
/// one or two minutes, a virtual machine four or five. Our choice, on the safe side.
const WARMUP_SECS: f64 = 300.0;

/// Checks one member and puts it into its group.
pub fn member(spec: MemberSpec, land: &Land<'_>, book: &mut Book, report: &mut Report) {
    let MemberSpec { group, record, name, pop, shadow, external, warmup_secs, standby, capacity, weight, price } = spec;
    let known = find_group(&group, book, report);
    let role = role(&shadow, &external, &warmup_secs, &standby, report);
    let pop = site(role, &name, &record, &pop, &external, book, report);
    let Some(group) = known else { return };
    let n = book.policies.groups[group.idx()].members.len();
    if let Some(&first) = book.group_places[group.idx()].by_name.get(&name.name) {
        let first = &book.group_places[group.idx()].members[first].name;
        let help = format!("it is one at {} already; keep one of the two", first.spot.file_line());
        return name.spot.error(report, format!("{} is twice a member of this group", name.short()), help);
    }
    let what = format!("members of group {}", book.policies.groups[group.idx()].name);
    if full(&what, n, MAX_MEMBERS, &name.spot, report) {
        return;
    }
    if let (Some(pop), Some(capacity)) = (pop, capacity.given())
        && book.pop_places[pop.idx()].max_is_known
    {
        let pop = &book.policies.pops[pop.idx()];
        if capacity.value > pop.max {
            let message =
                format!("{} has more capacity than POP {} bears in all", name.short(), name.shorten(&pop.name));
            capacity.spot.warn(report, message, "the POP's `max` counts; lower this, or raise the POP's");
        }
    }
    if let Some(weight) = weight.given()
        && book.policies.groups[group.idx()].steer != SteerBy::Static
    {
        let help = "`weight` counts with steer=static alone; use `capacity` or `price`, or change the group";
        weight.spot.warn(report, "this weight changes nothing", help);
    }
    let (a, aaaa) = match role {
        Role::External => external_target(&name, land, report),
        Role::Active | Role::Shadow { .. } => addresses(&name, land, report),
    };
    let value = Member {
        name: name.name.clone(),
        pop,
        role,
        capacity: capacity.into_value(),
        weight: weight.into_value(),
        price: price.or(0.0),
    };
    let place = &mut book.group_places[group.idx()];
    place.by_name.insert(name.name.clone(), n);
    place.members.push(MemberPlace { name, a, aaaa });
    book.policies.groups[group.idx()].members.push(value);
}

fn role(
    shadow: &Field<()>,
    external: &Field<()>,
    warmup: &Field<f64>,
    standby: &Field<f64>,
    report: &mut Report,
) -> Role {
    if let (Some(_), Some(external)) = (shadow.given(), external.given()) {
        let help =
            "a shadow is an instance of ours at a POP, an external member is somebody else's; keep one of the two";
        external.spot.error(report, "a member cannot be `shadow` and `external`", help);
    }
    for (key, field) in [("warmup", warmup), ("standby", standby)] {
        if let (Some(said), true) = (field.given(), shadow.is_absent()) {
            let help = format!("add `shadow`, or leave `{key}` out");
            said.spot.error(report, format!("`{key}` is for shadows"), help);
        }
    }
    match (external, shadow) {
        (Field::Given(_), _) => Role::External,
        (_, Field::Given(_)) => Role::Shadow {
            warmup_secs: warmup.given().map_or(WARMUP_SECS, |w| w.value),
            standby: standby.given().map_or(STANDBY, |s| s.value),
        },
        _ => Role::Active,
    }
}

/// Finds the POP of a member; one that is missing, unknown or out of place is reported.
fn site(
    role: Role,
    name: &SaidName,
    record: &Spot,
    pop: &Field<SaidName>,
    external: &Field<()>,
    book: &mut Book,
    report: &mut Report,
) -> Option<PopIdx> {
    let Some(said) = pop.given().map(|p| &p.value) else {
        if pop.is_absent() && role != Role::External && external.is_absent() {
            let help = match book.pop_places.is_empty() {
                true => "write pop= and define the POP, or `external` if it is not ours".to_string(),
                false => {
                    let pops = some(name, book.policies.pops.iter().map(|p| p.name.clone()));
                    format!("write pop= with one of {pops}; or `external` if it is not ours")
                }
            };
            record.error(report, format!("member {} has no `pop`", name.short()), help);
        }
        return None;
    };
    let found = book.pops.get(&said.name).copied();
    match found {
        Some(pop) => book.pop_places[pop.idx()].used = true,
        None => {
            let help = match book.groups.contains_key(&said.name) {
                true => format!("{} is a group; a POP is a site", said.short()),
                false => near(said, book.pops.keys())
                    .unwrap_or_else(|| format!("define it with `{}  POP  at=… capacity=…`", said.short())),
            };
            said.spot.error(report, format!("there is no POP {}", said.short()), help);
        }
    }
    if role == Role::External {
        said.spot.error(report, "an external member stands at no POP", "leave `pop` or `external` out");
        return None;
    }
    found
}

/// Refuses an external member that lies in a zone of ours which has nothing there: most often the dot at
/// its end is missing. It has no addresses of its own either way.
fn external_target(name: &SaidName, land: &Land<'_>, report: &mut Report) -> (bool, bool) {
    if let Ground::Within(spoken) = Ground::of(&name.name, land)
        && !spoken.has_anything()
    {
        let message = format!("zone {} has nothing at {}", spoken.apex(), name.name);
        let help = match name.name == name.origin || name.short().ends_with('.') {
            true => "an external member has to be answered somewhere".to_string(),
            false => format!("if it lies elsewhere, the dot at its end is missing: `{}.`", name.short()),
        };
        name.spot.error(report, message, help);
    }
    (false, false)
}

/// Whether the zone has A and AAAA for a member; neither is reported, with what stands there instead.
fn addresses(name: &SaidName, land: &Land<'_>, report: &mut Report) -> (bool, bool) {
    let short = name.short();
    let refuse = |report: &mut Report, message: String, help: String| {
        name.spot.error(report, message, help);
        (false, false)
    };
    if name.name.is_wildcard() {
        let help = "a member is one name with addresses of its own".to_string();
        return refuse(report, format!("member {short} is a wildcard"), help);
    }
    let spoken = match Ground::of(&name.name, land) {
        Ground::Within(spoken) => spoken,
        Ground::Unknown => return (false, false),
        Ground::Outside => {
            let help = format!("a member that others serve is `external`; {}", ground::served(land));
            return refuse(report, format!("{} lies in no zone of this server", name.name), help);
        }
        Ground::Handed { at, by } => {
            let message = format!("{short} belongs to others: the zone has a {by} at {}", name.shorten(&at));
            return refuse(report, message, "a member's addresses stand in a zone of this server".to_string());
        }
    };
    let (a, aaaa) = (spoken.has(rtype::A), spoken.has(rtype::AAAA));
    if spoken.has(rtype::CNAME) {
        let help = "name the CNAME's target as the member, or put addresses in its place".to_string();
        return refuse(report, format!("member {short} is a CNAME in zone {}", spoken.apex()), help);
    }
    if !a && !aaaa {
        let message = format!("member {short} has neither A nor AAAA in zone {}", spoken.apex());
        let help = near(name, &spoken.others_with_addresses())
            .unwrap_or_else(|| format!("add its addresses to the zone file, as in `{short}  A  192.0.2.1`"));
        return refuse(report, message, help);
    }
    (a, aaaa)
}
