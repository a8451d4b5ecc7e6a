//! The one place where data plane and control plane meet.
//!
//! Down: one immutable [`Snapshot`] behind one pointer, so no query sees half an update. It is built
//! outside and swapped whole. Up: a [`Tally`] of steered answers and the [`Books`] of all queries, both
//! per-thread counters, summed when read. Between threads of the data plane: [`Pairs`], which keeps the two
//! queries of a client together where answers are dealt out.

pub mod access;
pub(crate) mod block;
pub mod books;
mod compose;
mod hitters;
pub mod house;
pub mod pairs;
pub mod rules;
pub mod snapshot;
pub mod tally;

pub use books::{Books, Connection, CookieSeen, Silence, Transport};
pub use compose::compose_answers;
pub use house::House;
pub use pairs::{Family, Pairs};
pub use snapshot::{Exchange, MemberAnswer, Retired, Snapshot};
pub use tally::{Carried, Tally, TallySum};
