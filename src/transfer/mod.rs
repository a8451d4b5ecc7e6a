//! Zones from and to other servers, and changes that come over the wire.
//!
//! ```text
//!   settings            what the operator wants of each zone
//!   keep                what is on disk: copies of others' zones, and what has changed in each (`zone::history`)
//!   journal, replay     the file that it is in, and the zone that the file leads to
//!   seal                the same of zones that are signed here, as they leave
//!   serial              which serial a changed zone gets
//!   fetch, intake       one transfer in: TCP or TLS, AXFR or IXFR, verified | what its messages become
//!   notify              telling secondaries
//!   catalog             which zones there are, by a zone (RFC 9432)
//!   update              what an UPDATE makes of a zone
//!   live                the loop that does it all, beside the control loop and never in the way of a query
//! ```
//!
//! What is decided here becomes a zone like any other, and goes to the queries by the same swap as a reload's.

pub mod catalog;
pub mod fetch;
pub mod intake;
pub mod journal;
pub mod keep;
pub mod live;
pub mod notify;
pub mod replay;
pub mod seal;
pub mod serial;
pub mod settings;
pub mod update;
