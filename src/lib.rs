//! Floodway: an authoritative GeoDNS server that opens the spillways before the flood.
//!
//! Imports point down this list; `tests/layers.rs` holds them to it.
//!
//! ```text
//!   cli                                    arguments, files on disk, wiring, exit status
//!   admin                                  HTTP and the Steering service: state, metrics, explain
//!   sim                                    the tick in virtual time, and a world around it
//!   transport   transfer   control         sockets | zones to and from others | the tick
//!   answer  dnssec  telemetry  store       query → response | signatures | samples in, history kept
//!                   events  probe          what somebody says will be asked for | whether anybody answers
//!         ╲        ╱
//!          exchange                        Snapshot down to queries, Tally back up
//!          steering                        plan → table; pick a member
//!     zone      policy                     what operators write
//!   wire  masterfile  geo  forecast        bytes, text, addresses, numbers → values
//!      ahead  clock  id  units             standard library only
//! ```
//!
//! ARCHITECTURE.md tells the two journeys, of a query and of a sample.

pub mod ahead;
pub mod clock;
pub mod id;
pub mod units;

pub mod forecast;
pub mod geo;
pub mod masterfile;
pub mod wire;

pub mod policy;
pub mod zone;

pub mod steering;

pub mod exchange;

pub mod answer;
pub mod dnssec;
pub mod events;
pub mod probe;
pub mod store;
pub mod telemetry;

pub mod control;
pub mod transfer;
pub mod transport;

pub mod sim;

pub mod admin;
pub mod cli;
