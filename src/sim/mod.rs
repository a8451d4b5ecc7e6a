//! The control loop in virtual time, around it a world that answers back.
//!
//! ```text
//!   scenario ──▶ course ───▶ clients ───▶ pops ───▶ reports ──▶ control::tick ──▶ plan ──▶ table
//!                (demand)       ▲  (load, latency,   (delay, loss,                            │
//!                            resolvers   errors)      darkness, lies)                         │
//!                           (caches) ◀────────────────── pick ────────────────────────────────┘
//! ```
//!
//! The world is a fluid in steps of a second: caches are single things that hold one answer until it expires, and the
//! requests behind them are rates. What it is steered by is the very code of the live server: the tick, the compiler of
//! tables, the pick and the key that a client prefix has. Nothing here reads a clock or a file; a run is a function of
//! policies, cells, traces, scenario, controller and seed, to the last bit.

pub mod announce;
pub mod caches;
pub mod clients;
pub mod course;
pub mod front;
pub mod laws;
pub mod pilot;
pub mod pops;
pub mod random;
pub mod reports;
pub mod rng;
pub mod run;
pub mod scenario;
pub mod score;
pub mod secs;
pub mod stability;
pub mod stats;
pub mod variant;
pub mod world;
