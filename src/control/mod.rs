//! The control loop: samples in, plans out.
//!
//! Everything here is a pure function of state, inputs and now, except `live`, which is the thread
//! around it. The query path does not know that any of this exists.

pub mod allocate;
pub mod breaker;
pub mod candidates;
pub mod capacity;
pub mod declared;
pub mod demand;
pub mod limits;
pub mod persist;
pub mod rows;
pub mod shadow;
pub mod silence;
pub mod ttl;
pub mod window;

pub use declared::declared_plan;

#[cfg(test)]
pub(crate) mod fixture;
