//! What the sockets hand queries to.
//!
//! The sockets are generic over it, so that a call is static, and so that they can be tried out with a
//! few lines in its place.

use crate::answer::Link;
use crate::answer::transfer::Outgoing;
use crate::exchange::books::Page;
use crate::exchange::{Silence, Transport};
use crate::transport::outbound::Place;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tokio::sync::oneshot;

/// Who sent a query, and how it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Address and port at the other end; IPv4-mapped addresses are given as IPv4.
    pub addr: SocketAddr,
    /// What carries the query.
    pub transport: Transport,
    /// Where the query was sent to, where that is known without asking: datagrams have one socket for all.
    pub local: Option<SocketAddr>,
    /// Where replies go: another address than `addr` where a proxy speaks for it.
    pub reply_to: SocketAddr,
    /// What else is known of the way it came.
    pub link: Link,
}

impl Peer {
    /// Somebody of whom it is not known which of our addresses was asked.
    pub const fn new(addr: SocketAddr, transport: Transport) -> Peer {
        Peer { addr, transport, local: None, reply_to: addr, link: Link { is_relayed: false, is_hurried: false } }
    }
}

/// Answers queries. Each thread has its own.
pub trait Handler {
    /// What stays the same for a batch of queries: the snapshot.
    type State;

    /// Called before each batch.
    fn begin(&self) -> Self::State;

    /// Looks through the queries of a batch before the first is answered, for what takes long to get from memory. Does nothing
    /// that could be noticed but by a clock.
    #[inline]
    fn foresee<'q>(&mut self, state: &Self::State, queries: impl Iterator<Item = &'q [u8]>) {
        let _ = (state, queries);
    }

    /// Answers one query of the batch. `out` holds at least 65,535 octets for streams; for datagrams 4,096, or what the
    /// link takes, and at least 512: a longer reply is truncated.
    fn answer(&mut self, state: &Self::State, query: &[u8], peer: Peer, out: &mut [u8]) -> Said;
}

/// What became of a query.
#[derive(Debug)]
pub enum Said {
    /// `out[..len]` is the reply.
    Reply {
        /// Octets, at least 12.
        len: usize,
        /// The rcode, its EDNS bits included.
        rcode: u16,
        /// Whether TC is set.
        truncated: bool,
    },
    /// There is none.
    Silence(Silence),
    /// There is more to come than `out` can take, or it is not made yet. Of queries over TCP and TLS alone.
    Later(Box<Later>),
}

/// What a connection still has to send.
#[derive(Debug)]
pub enum Later {
    /// A transfer, message by message.
    Transfer(Outgoing, Place),
    /// A reply that somebody else makes; dropped by that, there is none.
    Reply(oneshot::Receiver<Vec<u8>>),
}

/// Has one query answered and entered into the books; returns the length of the reply, 0 for none, or what will be sent
/// later: a transfer is in the books, a reply is not.
///
/// A handler that panics has a bug, but its thread has other clients: this query gets SERVFAIL (a bare
/// header) and the thread goes on. Catching costs nothing where nothing is thrown.
#[inline]
pub(crate) fn settle<H: Handler>(
    handler: &mut H,
    state: &H::State,
    query: &[u8],
    peer: Peer,
    out: &mut [u8],
    page: &Page,
) -> Result<usize, Box<Later>> {
    let said = catch_unwind(AssertUnwindSafe(|| handler.answer(state, query, peer, out)));
    match said.unwrap_or_else(|_| servfail(query, out)) {
        Said::Reply { len, rcode, truncated } => {
            page.reply(peer.transport, rcode, truncated);
            Ok(len)
        }
        Said::Silence(why) => {
            page.silence(peer.transport, why);
            Ok(0)
        }
        Said::Later(later) => {
            if matches!(*later, Later::Transfer(..)) {
                page.reply(peer.transport, 0, false);
            }
            Err(later)
        }
    }
}

#[cold]
fn servfail(query: &[u8], out: &mut [u8]) -> Said {
    let Some(head) = query.get(..4) else { return Said::Silence(Silence::Short) };
    out[..12].fill(0);
    out[..2].copy_from_slice(&head[..2]);
    out[2] = 0x80 | head[2] & 0x79; // QR; opcode and RD as asked (RFC 1035 section 4.1.1)
    out[3] = 2;
    Said::Reply { len: 12, rcode: 2, truncated: false }
}
