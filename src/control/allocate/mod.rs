//! Who serves what: demand per group and cell in, shares out.
//!
//! The tick states a [`Problem`] over all groups at once, since POPs are shared. Priced groups are solved
//! together by their dual, one price in milliseconds per POP and per member with a room of its own; the
//! other kinds of `steer=` look at no load, go first, and take their room from the priced ones.
//!
//! Costs are milliseconds on one ladder, each rung far above what the one below can add up to on real
//! distances: distance and money (up to some 400) < others than `members=…` ([`FIRST_MS`]) < external
//! overflow ([`EXTERNAL_MS`]) < more than the target ([`OVER_TARGET_MS`]) < more than the most a POP
//! bears ([`OVER_MAX_MS`]). So each is touched only when the one before cannot serve.

pub mod problem;

pub use problem::{Allocation, Geography, GroupAllocation, GroupProblem, Options, PopAllocation, Problem, Room, Warm};

/// What members outside a route's `members=…` cost on top, milliseconds.
pub const FIRST_MS: f64 = 1000.0;
/// What external overflow costs on top, milliseconds.
pub const EXTERNAL_MS: f64 = 2000.0;
/// Price from which targets rise, in proportion of the way to the most, up to [`OVER_MAX_MS`].
pub const OVER_TARGET_MS: f64 = 4000.0;
/// Price at which the most is reached.
pub const OVER_MAX_MS: f64 = 8000.0;
