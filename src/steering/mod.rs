//! Plan → table, and the pick of a member.
//!
//! `control` writes a [`Plan`]; [`Table::compile`] turns it into what queries read.

pub mod plan;
pub mod table;

pub use plan::{BreakerState, Demand, GroupPlan, MemberPlan, Mode, Plan, PopPlan, Row, ShadowState};
pub use table::{Picked, Table};
