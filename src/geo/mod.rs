//! Address → place, and the prefix length for which that holds.
//!
//! `geo` knows addresses, databases and rules that match them; it has not heard of policies.

pub mod cells;
pub mod rule;

pub use cells::{Cell, CellMap, Located};
pub use rule::Match;
