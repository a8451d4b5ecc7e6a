//! A series on a grid → quantiles of what comes; pure numerics, unaware of what is counted.
//!
//! The way of a forecast: [`history`] keeps the series and its running sums → [`features`] says what is
//! known at a step, relative to the last value and the local scale → [`direct`], one model per lead: ridge
//! ([`linear`]) for where, a log-linear model for how wide, boosted trees ([`trees`]) for the rest →
//! [`combine`] with other [members](member) by recent loss → [`calibrate`] so that stated levels hold. The
//! scale hears the last steps, so what is said of the first minutes of a surge is wide. [`engine`] calls all of it.
//!
//! Nothing here reads a clock, a file or a random source; the same values give the same forecasts.

pub mod accuracy;
pub mod anomaly;
pub mod bins;
pub mod calibrate;
pub mod combine;
pub mod contest;
pub mod daylight;
pub mod direct;
pub mod empirical;
pub mod engine;
pub mod features;
pub mod grid;
pub mod history;
pub mod known;
pub mod linear;
pub mod member;
pub mod members;
pub mod quantiles;
mod random;
pub mod record;
pub mod saved;
pub mod settings;
mod solve;
pub mod sums;
pub mod thrift;
pub mod trees;
