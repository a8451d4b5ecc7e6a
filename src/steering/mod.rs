//! Plan → table, and the pick of a member.
//!
//! `control` writes a [`Plan`]; [`Table::compile`] turns it into what queries read. Compiling is a pure
//! function of the plan, the policies, the cells and the table before, so that every node that has the
//! same four gives the same answers.

mod apportion;
pub mod asserted;
mod hash;
mod heavy;
pub mod plan;
mod slots;
pub mod table;

pub use apportion::apportion;
pub(crate) use hash::mix;
pub use hash::name_hash;
pub use plan::{
    BreakerState, Demand, GroupPlan, Heavy, HeavySlot, MemberPlan, Mode, OwnBreaker, Plan, PopPlan, Row, ShadowState,
};
pub use slots::slot_of;
pub use table::{Picked, Table};
