//! Samples from POPs: checked, counted, and kept in a bounded inbox until the next tick.

pub mod board;
pub mod check;
#[cfg(test)]
pub mod fixtures;
pub mod grpc;
pub mod inbox;
pub mod listen;
pub mod meter;
pub mod outbox;
pub mod proto;
pub mod refusal;
pub mod roster;
pub mod sample;
pub mod tls;
pub mod told;
pub mod vantage;
mod voice;

pub use board::{Board, Delivery, Directive, Drain, Said, Wanted, Wishes};
pub use inbox::{Counts, Inbox};
pub use refusal::Refusal;
pub use sample::{Latency, Sample, Utilisation};
pub use voice::Voice;
