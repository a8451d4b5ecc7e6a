//! Zones: what the operator's master files say, checked, packed and looked up.

pub mod set;

pub use set::ZoneSet;
