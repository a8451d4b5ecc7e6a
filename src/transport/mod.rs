//! The sockets around `answer`.
//!
//! ```text
//!   server, bind        takes the ports, starts, stops
//!   datagrams           udp → mmsg              a thread and a socket per core, in batches
//!   streams             tcp → gate, stream      one small tokio loop per stream thread, pipelined
//!   both                handler, answering      answer one query, enter it into the books
//!   around              passing, pulse          sockets to and from other processes; signs of life
//!   datagrams           rate                    not too much of the same to one client
//! ```
//!
//! All `unsafe` is in `mmsg`, `passing` and `sys`. Linux only: batches of datagrams are its system calls.

pub mod answering;
pub mod bind;
pub mod gate;
pub mod handler;
pub mod mmsg;
pub mod passing;
pub mod pulse;
pub mod rate;
pub mod server;
pub mod stream;
pub mod sys;
pub mod tcp;
pub mod udp;

pub use answering::Answering;
pub use server::{Bound, Config, Server};

use std::sync::Arc;

/// What the sockets count beside the books of queries, for metrics.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// What rate limits did.
    pub rate: Arc<rate::Ledger>,
}
