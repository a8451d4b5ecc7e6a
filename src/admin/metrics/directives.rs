//! Metrics of what is said to POPs on the telemetry stream.

use crate::admin::page::Page;
use crate::telemetry::{Board, Said};

/// Writes what was said, and whom it waits for.
pub(super) fn write(page: &mut Page, board: &Board) {
    let (said, deliveries) = (board.said(), board.deliveries());
    let all = Said::ALL.iter().map(|why| (vec![("why", why.label().to_owned())], said[why.idx()]));
    page.counter("directives", "Wishes to POPs that were said, by why", all);
    let waits = deliveries.iter().map(|d| (vec![("pop", d.pop.to_string())], f64::from(u8::from(!d.is_acknowledged))));
    page.gauge("pop_directives_unacknowledged", "1 while a POP has not acknowledged what is wanted of it", waits);
}
