//! For people, scrapers and tools: the state of the running server over HTTP and gRPC.

mod beside;
pub mod degraded;
pub mod directives;
pub mod events;
#[cfg(test)]
mod fixture;
pub mod http;
pub mod loads;
pub mod metrics;
pub mod overrides;
mod page;
pub mod process;
pub mod running;
pub mod standby;
pub mod state;
pub mod steering;

pub use loads::Loads;
pub use running::{Place, Running};
pub use state::{Source, State};
