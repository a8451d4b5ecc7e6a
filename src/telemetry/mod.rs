//! Samples from POPs: checked, counted, and kept in a bounded inbox until the next tick.

pub mod board;
pub mod inbox;
pub mod refusal;
pub mod sample;

pub use board::{Board, Directive, Wanted};
pub use inbox::{Counts, Inbox};
pub use refusal::Refusal;
pub use sample::{Latency, Sample, Utilisation};
