//! Announced events: how many stand where, what is expected, what was learnt.

use crate::admin::metrics::{Labels, Page};
use crate::control::announced::{Events, KindState};
use crate::events::calendar::Counts;
use std::collections::BTreeMap;

/// Where an event can be.
const PHASES: [&str; 7] = ["planned", "waiting", "running", "doubted", "absent", "over", "cancelled"];

/// Adds them.
pub(super) fn add(page: &mut Page, events: &Events, counts: Counts) {
    let words = [
        ("taken", counts.taken),
        ("cancelled", counts.cancelled),
        ("outcomes", counts.outcomes),
        ("refused", counts.refused),
    ];
    let words = words.map(|(result, n)| (vec![("result", result.to_owned())], n));
    page.counter("event_words", "Words about announced events, by what became of them", words);
    let n = |phase: &str| events.events.iter().filter(|e| e.phase == phase).count() as f64;
    let phases = PHASES.map(|phase| (vec![("phase", phase.to_owned())], n(phase)));
    page.gauge("events", "Announced events, by where they are", phases);
    let mut expected = BTreeMap::<&str, f64>::new();
    for event in &events.events {
        *expected.entry(&event.group).or_default() += event.now;
    }
    let expected = expected.into_iter().map(|(group, rate)| (vec![("group", group.to_owned())], rate));
    let help = "What events are expected to bring now on top of what is usual";
    page.gauge("event_expected_requests_per_second", help, expected);
    let kind = |value: fn(&KindState) -> f64| {
        let labels = |k: &KindState| -> Labels { vec![("kind", k.kind.word().to_owned())] };
        events.kinds.iter().map(move |k| (labels(k), value(k))).collect::<Vec<_>>()
    };
    page.gauge("event_kind_came_ratio", "What came of events over what was announced, the median", kind(|k| k.factor));
    let help = "Standard deviation of the logarithm of that for the next event";
    page.gauge("event_kind_sigma", help, kind(|k| k.sigma));
    page.gauge("event_kind_comes_ratio", "Probability that the next event of a kind comes", kind(|k| k.comes));
}
