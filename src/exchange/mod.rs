//! The one place where data plane and control plane meet.
//!
//! Down: one immutable [`Snapshot`] behind one pointer, so no query sees half an update. It is built
//! outside and swapped whole. Up: a [`Tally`] of per-thread counters, summed when read.

pub mod snapshot;
pub mod tally;

pub use snapshot::{Exchange, MemberAnswer, Snapshot};
pub use tally::{Tally, TallySum};
