//! Why a query got its answer, in one line for the `extra` field: worked out afterwards, by the functions that
//! `floodway explain` calls.

use crate::answer::{Explanation, explain};
use crate::exchange::Snapshot;
use crate::transport::tap::message::Event;
use crate::wire::Name;
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use std::fmt::Write;

/// The reason, as `key=value` words. `snapshot` is the one that answered; `None`: it is gone, and its generation is all that
/// can be said.
pub fn reason(event: &Event, snapshot: Option<&Snapshot>) -> String {
    let mut line = format!("generation={}", event.generation);
    let asked = Message::from_vec(&event.query).ok();
    let question = asked.as_ref().and_then(|m| Some((m, m.queries.first()?)));
    let (Some(snapshot), Some((message, question))) = (snapshot, question) else { return line };
    let Ok(name) = question.name().to_string().parse::<Name>() else { return line };
    let subnet = message.edns.as_ref().and_then(|edns| match edns.option(EdnsCode::Subnet) {
        Some(EdnsOption::Subnet(subnet)) if subnet.source_prefix() > 0 => Some(subnet.addr()),
        _ => None,
    });
    let client = subnet.unwrap_or(event.peer.addr.ip());
    describe(&mut line, &explain(&name, client, question.query_type().into(), snapshot));
    line
}

fn describe(line: &mut String, said: &Explanation) {
    let mut word = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = write!(line, " {key}={value}");
    };
    if let Some((zone, serial)) = said.steps.first().and_then(|step| step.zone.as_ref()) {
        word("zone", zone);
        word("serial", serial);
    }
    let Some(steering) = &said.steering else {
        if let Some(step) = said.steps.last() {
            word("found", &format_args!("{:?}", step.found));
        }
        return;
    };
    word("group", &steering.group);
    word("steer", &steering.steer.replace(", ", ",").replace(' ', "="));
    word("mode", &format!("{:?}", steering.mode).to_lowercase());
    word("cell", &steering.place.cell.replace(' ', "_"));
    if let Some(route) = &steering.route {
        word("route", &format_args!("{route:?}"));
    }
    match &steering.picked {
        Some(picked) => {
            word("member", &picked.member);
            word("slot", &picked.slot);
        }
        None => word("all-down", &steering.all_down),
    }
    word("ttl", &steering.ttl);
}
