//! What stands beside the way of a query: what operators decided of the members that could answer, and the events that are
//! announced for the group.

use crate::admin::Source;
use crate::answer::explain::{Explanation, Steering};
use crate::control::overrides::force::meant;
use crate::exchange::Snapshot;
use crate::store::timestamp;
use crate::units::print_quantity;
use std::fmt;

/// Overrides and events that are told of, at most.
const MOST: usize = 20;

/// An explanation and what stands beside it.
#[derive(serde::Serialize)]
pub(super) struct Why {
    #[serde(flatten)]
    pub(super) explanation: Explanation,
    #[serde(flatten)]
    pub(super) beside: Beside,
}

/// See the module.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Beside {
    /// Overrides of the group, its members and their POPs, as they are written.
    overrides: Vec<String>,
    /// Events of the group that are not over, in words.
    events: Vec<String>,
}

impl Beside {
    /// What stands beside a steered answer; nothing beside another.
    pub(super) fn of(steering: Option<&Steering>, source: &Source, snapshot: &Snapshot) -> Beside {
        let Some(steering) = steering else { return Beside::default() };
        let pops = steering.candidates.iter().filter_map(|c| c.pop.as_ref());
        let members = steering.candidates.iter().map(|c| &c.member);
        let names: Vec<&String> = std::iter::once(&steering.group).chain(members).chain(pops).collect();
        let current = source.desk.current(source.clock.now().unix);
        let about = |order: &&crate::control::overrides::Override| {
            meant(&order.what, &snapshot.policies).iter().any(|name| names.contains(&&name.to_string()))
        };
        let events = source.control.events();
        let is_open = |phase: &str| !matches!(phase, "over" | "absent" | "cancelled");
        let open = events.events.iter().filter(|e| e.group == steering.group && is_open(&e.phase));
        let words = |e: &crate::control::announced::EventState| {
            let (kind, start, now) = (e.kind.word(), timestamp::print(e.start as i64), print_quantity(e.now));
            format!("{} ({kind}, {}) from {start}: {now}/s expected of it now", e.id, e.phase)
        };
        Beside {
            overrides: current.iter().filter(about).take(MOST).map(ToString::to_string).collect(),
            events: open.take(MOST).map(words).collect(),
        }
    }
}

impl fmt::Display for Beside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.overrides.iter().try_for_each(|order| writeln!(f, "  override {order}"))?;
        self.events.iter().try_for_each(|event| writeln!(f, "  event    {event}"))
    }
}
