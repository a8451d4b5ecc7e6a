//! The one place where data plane and control plane meet.
//!
//! Down: one immutable [`Snapshot`] behind one pointer, so no query sees half an update. It is built
//! outside and swapped whole. Up: a [`Tally`] of steered answers and the [`Books`] of all queries, both
//! per-thread counters, summed when read.

mod block;
pub mod books;
mod compose;
pub mod snapshot;
pub mod tally;

pub use books::{Books, Connection, Silence, Transport};
pub use compose::compose_answers;
pub use snapshot::{Exchange, MemberAnswer, Snapshot};
pub use tally::{Tally, TallySum};
