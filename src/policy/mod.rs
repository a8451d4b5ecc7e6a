//! Policies: what operators decide about POPs, target groups, members, routes and steered names.
//!
//! ```text
//! text ──masterfile──▶ Record ──spec──▶ Specs ──check──▶ Policies ──print──▶ text
//!                      tokens           what was said    what it means
//! ```
//!
//! [`load`] goes this way for all files of a load at once and reports everything wrong with them. A
//! record with one mistake still defines its name, so that the mistake is told once and not again
//! by everything that refers to it.

pub mod assert;
mod check;
mod circle;
mod countries;
mod ground;
mod keys;
#[cfg(test)]
mod laws;
mod load;
mod member;
mod print;
pub mod probe;
mod read;
mod record;
mod route;
mod said;
mod spec;
pub mod value;

pub use load::{PolicyFile, load};
pub use print::print;
pub use value::{
    AllDown, BreakerConfig, Effect, ForecastUse, Group, Member, Pick, Policies, Pop, Reserve, Resume, Role, Route,
    STANDBY, Steer, SteerBy,
};
