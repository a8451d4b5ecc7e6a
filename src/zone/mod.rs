//! Zones: what the operator's master files say, checked, packed and looked up.

pub mod diff;
pub mod history;
pub mod load;
pub mod lookup;
pub mod rdata;
pub mod set;
pub mod signed;
pub mod store;

pub use set::ZoneSet;
pub use signed::Signed;
pub use store::{Builder, RRset, Zone};
