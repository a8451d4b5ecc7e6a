//! Announced events: what somebody says will be asked for, as curves with uncertainty, and what came of it.
//!
//! An [`Announcement`] comes over gRPC, from the command line or out of a folder of calendar files ([`written`], [`ics`]) and
//! stands in the [`Calendar`]. The control loop follows each one ([`follow`]): before its start it is planned for, after it what
//! comes rules. What became of it teaches its [`Kind`](kind::Kind).

pub mod announcement;
pub mod calendar;
pub mod config;
pub mod curve;
pub mod follow;
pub mod ics;
pub mod kind;
pub mod preview;
pub mod response;
pub mod spread;
pub mod written;

pub use announcement::{Announcement, Asked, Flaw, Size};
pub use calendar::{Calendar, Desk, Entry};
pub use config::Config;
