//! Samples from POPs: checked, counted, and kept in a bounded inbox until the next tick.

pub mod sample;

pub use sample::{Latency, Sample, Utilisation};
