//! The history's part of the page.

use crate::admin::metrics::{Labels, Page, flag};
use crate::store::{Counted, Dropped, Health};

/// Adds what became of what was handed to the history.
pub(super) fn add(page: &mut Page, counted: &Counted) {
    let one = |value: f64| [(Labels::new(), value)];
    let count = |value: u64| [(Labels::new(), value)];
    let in_memory = matches!(counted.health, Health::Memory(_));
    page.gauge("history_in_memory", "1 while the history cannot be written and stays in memory", one(flag(in_memory)));
    page.counter("history_received", "Samples and records handed to the history", count(counted.received));
    page.counter("history_written", "Of these, in the file", count(counted.written));
    let dropped = Dropped::ALL.into_iter().zip(counted.dropped);
    let dropped = dropped.map(|(why, n)| (vec![("reason", why.label().to_owned())], n));
    page.counter("history_dropped", "Of these, not kept, by reason", dropped);
    page.gauge("history_waiting", "Of these, neither written nor dropped yet", one(counted.waiting as f64));
    page.counter("history_batches", "Batches written", count(counted.batches));
    page.counter("history_failures", "Attempts to write the file that failed", count(counted.failures));
    page.counter("history_set_aside", "Damaged files set aside, a new one begun", count(counted.set_aside));
    page.counter("history_damaged_blocks", "Damaged blocks that were left out", count(counted.damaged));
    page.gauge("history_file_bytes", "Size of the file, without its journal", one(counted.octets as f64));
    let secs = counted.micros as f64 * 1e-6;
    page.gauge("history_batch_duration_seconds", "Time that the last batch took", one(secs));
}
