//! The control loop: samples in, plans out.
//!
//! The tick and all that it calls are pure functions of state, inputs and now. Around it are `live`, the thread; `fitter`, the
//! thread that fits forecasters; `kept`, the files; and what other threads look into, `status` and `overrides::Desk`. The query
//! path does not know that any of this exists.

pub mod accounts;
pub mod aged;
pub mod all_down;
pub mod allocate;
pub mod announced;
pub mod asserted;
pub mod breaker;
pub mod candidates;
pub mod capacity;
mod damping;
pub mod declared;
pub mod demand;
mod drains;
mod elsewhere;
pub mod evidence;
mod expected;
pub mod fitter;
pub mod foresight;
mod guard;
mod heavy;
mod intake;
mod jump;
pub mod kept;
pub mod limits;
pub mod live;
mod notes;
mod origins;
mod outlook;
pub mod overrides;
pub mod persist;
mod placing;
pub mod probes;
pub mod reach;
mod remember;
mod reserve;
pub mod ring;
mod rooms;
pub mod rows;
pub mod shadow;
pub mod silence;
mod skills;
mod standby;
mod standing;
mod state;
pub mod status;
pub mod story;
mod tick;
mod trips;
pub mod ttl;
pub mod watch;
mod window;
mod worth;

pub use declared::declared_plan;
pub use live::{Live, Wiring};
pub use notes::Note;
pub use outlook::Told;
pub use persist::{Saved, carry};
pub use remember::demand_of;
pub use skills::{Silence, Skills};
pub use state::State;
pub use tick::{Inputs, Ticked, tick};

#[cfg(test)]
pub(crate) mod fixture;
