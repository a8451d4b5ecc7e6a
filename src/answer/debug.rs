//! The debug zone: a zone of class CH in which the server explains itself to whoever may ask.
//!
//! ```text
//!   why.<name>.floodway.         the answer to A at <name> for this client (+subnet), step by step
//!   why-<type>.<name>.floodway.  the same for another type, such as why-aaaa
//!   <pop>.pop.floodway.          what the plan knows of a POP: its name, or the first label of it
//!   generation.floodway.         which snapshot, and what its plan rests on
//!   zones.floodway.              the zones and their serials
//! ```
//!
//! Of zones that the asking address may not ask, it speaks as of those of other servers. A TXT record a line. Unlike all other
//! answers these allocate; the access list bounds who may ask. What does not fit is truncated as anything else is.

use crate::answer::explain::explain_in;
use crate::answer::steer::Subject;
use crate::answer::{Client, Ede, Rcode};
use crate::exchange::house::DebugZone;
use crate::exchange::{House, Snapshot};
use crate::wire::reply::Reply;
use crate::wire::request::Request;
use crate::wire::{Name, NameBuf, rtype};
use crate::zone::Zone;
use hickory_proto::rr::RecordType;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Octets of one string of a TXT record (RFC 1035 section 3.3).
const MAX_STRING: usize = 255;

/// The labels of `name` below the debug zone; `None` if it is not in it.
pub(super) fn below<'n>(name: &'n NameBuf, zone: &DebugZone) -> Option<Vec<&'n [u8]>> {
    let n = name.n_labels().checked_sub(zone.apex.n_labels())?;
    (name.suffix(n) == zone.apex.as_wire()).then(|| (0..n).map(|i| name.label(i)).collect())
}

/// Whether the client may ask. Somebody in front may be on the list, which says nothing of whom he lets in.
pub(super) fn admits(client: Client, zone: &DebugZone) -> bool {
    !client.link.is_relayed && zone.access.contains(client.addr)
}

/// Answers a question in the debug zone, whose name has these `labels` below the apex.
#[cold]
pub(super) fn answer(
    labels: &[&[u8]],
    request: &Request,
    client: Client,
    snapshot: &Snapshot,
    (house, zone): (&House, &DebugZone),
    reply: &mut Reply,
) -> (Rcode, Option<Ede>) {
    if !admits(client, zone) {
        return (Rcode::Refused, Some(Ede::Prohibited));
    }
    let text = match labels {
        [] => Some(format!(
            "why.<name>.{0}\nwhy-<type>.<name>.{0}\n<pop>.pop.{0}\ngeneration.{0}\nzones.{0}\n",
            zone.apex
        )),
        [b"generation"] => Some(generation(snapshot)),
        [b"zones"] => Some(zones(client, house, snapshot)),
        [name @ .., b"pop"] if !name.is_empty() => pop(name, snapshot),
        [why, name @ ..] => why_type(why).and_then(|qtype| {
            let ecs = request.edns.as_ref().and_then(|edns| edns.ecs.as_ref());
            let subject = Subject::of(ecs, client.addr);
            // Nothing that who asks here could not ask for; whomever it is explained for.
            let view = House { access: house.access.as_seen_by(client.addr), ..House::default() };
            Some(explain_in(&view, &join(name)?, subject.addr, qtype, snapshot).to_string())
        }),
    };
    let Some(text) = text else { return (Rcode::NxDomain, None) };
    if matches!(request.qtype, rtype::TXT | rtype::ANY) {
        // Arrows are for terminals that read UTF-8; `dig` prints octets.
        for line in text.replace('→', "->").lines() {
            for piece in line.as_bytes().chunks(MAX_STRING) {
                if reply.put_text(piece).is_none() {
                    return (Rcode::NoError, None);
                }
            }
        }
    }
    (Rcode::NoError, None)
}

/// The type that `why` or `why-<type>` asks about.
fn why_type(label: &[u8]) -> Option<u16> {
    let label = std::str::from_utf8(label).ok()?;
    match label.strip_prefix("why")? {
        "" => Some(rtype::A),
        suffix => suffix.strip_prefix('-')?.to_ascii_uppercase().parse::<RecordType>().ok().map(u16::from),
    }
}

/// The absolute name of these labels.
fn join(labels: &[&[u8]]) -> Option<Name> {
    labels.iter().rev().try_fold(Name::root(), |name, label| name.child(label)).ok()
}

fn generation(snapshot: &Snapshot) -> String {
    let (plan, policies) = (&snapshot.plan, &snapshot.policies);
    let mode = format!("{:?}", plan.mode).to_lowercase();
    let left_out = match snapshot.zones.left_out().len() {
        0 => String::new(),
        n => format!(" ({n} left out)"),
    };
    let refused = match snapshot.refused_at.load(Ordering::Relaxed) {
        0 => String::new(),
        at => format!("the last load was refused at {at} (unix): the files are newer than this, see the log\n"),
    };
    format!(
        "generation {}\nplan {mode}, decided at {:.0} (unix)\nzones {}{left_out}, POPs {}, groups {}, cells {}\n{refused}",
        snapshot.generation,
        plan.decided_at,
        snapshot.zones.n_zones(),
        policies.pops.len(),
        policies.groups.len(),
        snapshot.cells.cells.len(),
    )
}

fn zones(client: Client, house: &House, snapshot: &Snapshot) -> String {
    let admits = |zone: &&Arc<Zone>| house.access.admits(client.addr, zone);
    let mut text = String::new();
    for zone in snapshot.zones.left_out().filter(admits) {
        let _ = writeln!(text, "{} left out: SERVFAIL", zone.apex()); // into a String, which takes it all
    }
    for zone in snapshot.zones.iter().filter(admits) {
        let _ = writeln!(text, "{} {}", zone.apex(), zone.serial());
    }
    text
}

/// What the plan knows of the POPs of that name, or of that first label.
fn pop(labels: &[&[u8]], snapshot: &Snapshot) -> Option<String> {
    let (policies, plan) = (&snapshot.policies, &snapshot.plan);
    let (whole, mut text) = (join(labels)?, String::new());
    for (i, pop) in policies.pops.iter().enumerate() {
        let is_asked = pop.name == whole || labels.len() == 1 && pop.name.labels().next() == labels.first().copied();
        let Some(now) = plan.pops.get(i).filter(|_| is_asked) else { continue };
        let reason = if now.reason.is_empty() { String::new() } else { format!(": {}", now.reason) };
        let _ = writeln!(text, "{} breaker {:?}{reason}", pop.name, now.breaker);
        let _ = writeln!(
            text,
            "load {:.0} of target {:.0}, capacity {:.0} requests/s; price {:.0} ms",
            now.load, now.target, now.capacity, now.price_ms
        );
        let _ = match now.silent_secs.is_finite() {
            true => writeln!(text, "last sample {:.0} s before the plan", now.silent_secs),
            false => writeln!(text, "no sample yet"),
        };
        for (group, of_plan) in policies.groups.iter().zip(&plan.groups) {
            let here = group.members.iter().zip(&of_plan.members);
            for (member, state) in here.filter(|(member, _)| member.pop.is_some_and(|p| p.idx() == i)) {
                let _ = write!(text, "{} in {}: share {:.1} %", member.name, group.name, 100.0 * state.share);
                let _ = match (state.usable, state.shadow) {
                    (Err(why), _) => writeln!(text, ", not given: {why}"),
                    (Ok(()), Some(shadow)) => writeln!(text, ", shadow {shadow:?}"),
                    (Ok(()), None) => writeln!(text),
                };
            }
        }
    }
    (!text.is_empty()).then_some(text)
}
