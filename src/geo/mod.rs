//! Address → place, and the prefix length for which that holds.
//!
//! The operator's files become [`Databases`]; these, the conditions of rules and the sites to be near to
//! become a [`CellMap`], which is all that queries read:
//!
//! ```text
//!   bytes ─ database ─ tree ─┐ runs of places
//!                     rules ─┤ runs of rule sets      (runs: one cut of the address space over another)
//!                     sites ─┴ compile → cells ─ lookup → locate(address) = cell, scope
//! ```
//!
//! `geo` knows addresses, databases and rules that match them; it has not heard of policies.

pub mod build;
pub mod cells;
pub mod compile;
pub mod country;
pub mod csv;
pub mod database;
pub mod explain;
mod grouping;
pub mod lookup;
mod name;
mod nearest;
pub mod place;
pub mod rule;
pub mod runs;
mod survey;
pub mod tree;

pub use cells::{Cell, CellMap, Located};
pub use database::{Database, Databases, Error};
pub use explain::{Explained, explain_address};
pub use place::{Paths, Place};
pub use rule::Match;

/// The MMDB file that comes with Floodway: special-purpose prefixes at real cities, so that the first run and
/// the tests need nothing else. `geoip/README.md` says what it is built from.
pub fn embedded() -> &'static [u8] {
    include_bytes!("../../geoip/default.mmdb")
}
