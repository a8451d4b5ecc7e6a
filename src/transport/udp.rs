//! Queries in datagrams: one thread, one socket, one batch after the other.
//!
//! Every thread has its own socket on the same port (SO_REUSEPORT) and the kernel deals the clients out,
//! so threads share nothing. Nothing is allocated, locked or logged per query.

use crate::exchange::books::Page;
use crate::exchange::{Silence, Transport};
use crate::transport::handler::{Handler, Peer, settle};
use crate::transport::mmsg::{Batch, Datagram, Wait};
use crate::transport::proxy::{self, Proxies};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Datagrams taken at once, at most; whatever is there is taken, and nothing is waited for but the first.
///
/// Measured against a bare echo in C (also batches of 32) on a shared 2-core virtual machine, Linux 6.18, one thread
/// with an echo in place of the answer, medians of 11 rounds of the CPU time per query: batches of 16 ×1.01,
/// 32 ×1.01, 64 ×1.06 and 128 ×1.07 (buffers outgrow the first-level cache). Waiting in poll(2) between calls that do
/// not block, ×1.04; a receive timeout, so that a stop needs no wake-up, ×1.05; IP_PKTINFO, ×1.07. The echo
/// took 3.7 µs per query at full load, 8.7 µs at 20,000 queries a second, when nearly every batch is of one.
pub const BATCH: usize = 32;

/// Datagrams in a batch from which on it pays to look ahead: what one of them waits for must come while others are
/// looked at.
const MANY: usize = 3;

/// Most rounds in which a socket that is being stopped is emptied: a client that never pauses shall not
/// keep the process alive.
const DRAIN_ROUNDS: usize = 4096;

/// Answers what arrives on `socket` until `stop` is set *and* the thread is interrupted by a signal, which ends its
/// waiting; then answers what had already arrived, closes the socket at once, and returns.
///
/// `with_address`: see [`Batch::new`].
pub fn serve<H: Handler>(
    socket: Arc<UdpSocket>,
    with_address: bool,
    handler: H,
    proxies: Proxies,
    page: &Page,
    stop: &AtomicBool,
) {
    let mut worker = Worker::new(socket, with_address, handler, page);
    worker.proxies = proxies;
    let mut troubles = 0;
    while !stop.load(Ordering::Acquire) {
        match worker.turn(Wait::ForOne) {
            Ok(()) => troubles = 0,
            Err(e) => pause_after(&e, &mut troubles),
        }
    }
    for _ in 0..DRAIN_ROUNDS {
        match worker.turn(Wait::No) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // Before buffers and handler go, which takes a while: what comes from now on would wait for nobody.
    drop(worker.socket);
}

//----------- Worker ---------------------------------------------------------

/// One socket and what answers from it.
pub struct Worker<'p, H> {
    socket: Arc<UdpSocket>,
    batch: Batch<BATCH>,
    handler: H,
    proxies: Proxies,
    page: &'p Page,
}

impl<'p, H: Handler> Worker<'p, H> {
    /// Sets up the buffers. `with_address`: see [`Batch::new`].
    pub fn new(socket: Arc<UdpSocket>, with_address: bool, handler: H, page: &'p Page) -> Worker<'p, H> {
        Worker { socket, batch: Batch::new(with_address), handler, proxies: Proxies::default(), page }
    }

    /// Takes one batch, answers it from one state of the handler, and sends the replies.
    ///
    /// # Errors
    /// As [`Batch::receive`].
    pub fn turn(&mut self, wait: Wait) -> io::Result<()> {
        let n_received = self.batch.receive(self.socket.as_fd(), wait)?;
        let (handler, proxies, page) = (&mut self.handler, &self.proxies, self.page);
        let mut n_queries = 0;
        let state = handler.begin();
        if n_received >= MANY {
            handler.foresee(&state, self.batch.received());
        }
        self.batch.answer(|query, out| {
            n_queries += 1;
            settle_datagram(handler, &state, proxies, page, query, out)
        });
        drop(state);
        page.queries(Transport::Udp, n_queries);
        let n_unsent = self.batch.send(self.socket.as_fd());
        if n_unsent > 0 {
            page.unsent(Transport::Udp, n_unsent as u64);
        }
        Ok(())
    }
}

/// Has one datagram answered, whichever way it came, and entered into the books; returns the length of the reply, 0 for
/// none.
#[inline]
pub(crate) fn settle_datagram<H: Handler>(
    handler: &mut H,
    state: &H::State,
    proxies: &Proxies,
    page: &Page,
    query: Datagram<'_>,
    out: &mut [u8],
) -> usize {
    let refused = match (query.port, query.cut) {
        (0, _) => Some(Silence::Sender),
        (_, true) => Some(Silence::Oversize),
        _ => None,
    };
    if let Some(why) = refused {
        page.silence(Transport::Udp, why);
        return 0;
    }
    let reply_to = SocketAddr::new(query.addr, query.port);
    let (mut addr, mut octets) = (reply_to, query.bytes);
    if !proxies.is_empty() {
        match proxies.open(addr, octets) {
            Ok((client, rest)) => (addr, octets) = (client, rest),
            Err(proxy::Refused) => {
                page.silence(Transport::Udp, Silence::Proxy);
                return 0;
            }
        }
    }
    // Nothing comes later over UDP.
    settle(handler, state, octets, Peer { reply_to, ..Peer::new(addr, Transport::Udp) }, out, page).unwrap_or(0)
}

/// Rides out an error of receiving. An ICMP message about an earlier reply (ECONNREFUSED and its like) is
/// reported once and means nothing here; lack of memory passes; anything else is said once and
/// retried ever more slowly, because a server that still answers on its other threads should not exit.
pub(crate) fn pause_after(error: &io::Error, troubles: &mut u32) {
    if error.kind() == io::ErrorKind::Interrupted || error.kind() == io::ErrorKind::WouldBlock {
        return;
    }
    *troubles += 1;
    if *troubles == 3 {
        tracing::warn!("receiving datagrams fails, retrying: {error}");
    }
    if *troubles >= 3 {
        std::thread::sleep(Duration::from_millis(1 << (*troubles - 3).min(8)));
    }
}
