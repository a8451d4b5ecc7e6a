//! The sockets around `answer`.
//!
//! ```text
//!   server, bind        takes the ports, starts, stops
//!   datagrams           udp → mmsg              a thread and a socket per core, in batches
//!                       xdp                     a thread per queue of an interface, past the kernel's stack
//!   rate                not too much of the same to one client over UDP
//!   streams, site       one small tokio loop per stream thread; desk: what its connections share
//!     tcp → stream      TCP and TLS: pipelined, a loop per connection, no task per query
//!     tcp → https       HTTP/1.1 and HTTP/2   ╲
//!     quic → http3      HTTP/3                 doh, freshness: requests and responses, and how long they hold
//!     quic              DNS over QUIC
//!   gate                how many connections there may be, and who gives way
//!   proxy               who the client is, where a proxy says so
//!   tls, certificate    handshakes, and what they show; validity: until when
//!   around              passing, handover, pulse, tap     sockets to and from other processes; signs of life; dnstap
//!                       outlet                      replies over UDP that others make
//!                       outbound                    how many zones are on their way out
//!   all                 handler, answering      answer one query, enter it into the books
//! ```
//!
//! The protocols are those of rustls, hyper, quinn and h3. hickory-server has listeners for all of them and is not used: a
//! handler can give it records only, not the octets that are composed here, and its DoH knows neither GET nor
//! HTTP/1.1. All `unsafe` is in `mmsg`, `passing`, `sys` and `xdp`. Linux only: batches of datagrams are its system calls.

pub mod answering;
pub mod bind;
pub mod certificate;
pub mod desk;
mod doh;
mod freshness;
pub mod gate;
pub mod handler;
mod handover;
mod http3;
mod https;
pub mod mmsg;
pub mod outbound;
pub mod outlet;
pub mod passing;
pub mod proxy;
pub mod pulse;
mod quic;
pub mod rate;
pub mod server;
pub mod site;
pub mod stream;
mod streams;
pub mod sys;
pub mod tap;
mod tcp;
mod tls;
pub mod udp;
mod unfinished;
mod validity;
pub mod xdp;

pub use answering::Answering;
pub use certificate::Certificate;
pub use outlet::Outlet;
pub use server::{Bound, Config, Server};
pub use site::Service;

use crate::answer::dealings::Dealings;
use std::sync::Arc;

/// What the sockets count beside the books of queries, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What rate limits did.
    pub rate: Arc<rate::Ledger>,
    /// What encrypted services show, if there are any.
    pub certificate: Option<Arc<Certificate>>,
    /// What dnstap did.
    pub tap: Arc<tap::Counts>,
    /// Transfers, notifications and updates.
    pub dealings: Arc<Dealings>,
    /// Each queue that is served past the kernel's stack.
    pub xdp: Vec<xdp::worker::Watch>,
}
