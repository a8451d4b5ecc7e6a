//! Queries in frames: one thread, one queue of the interface, one batch after the other.
//!
//! As in [`crate::transport::udp`], with frames where that has datagrams: the same handler, books and rules.

use crate::exchange::Transport;
use crate::exchange::books::Page;
use crate::transport::handler::Handler;
use crate::transport::mmsg::Datagram;
use crate::transport::proxy::Proxies;
use crate::transport::udp;
use crate::transport::xdp::frame::{Family, Flaw, Packet};
use crate::transport::xdp::socket::{Queue, Socket};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Frames taken at once, at most.
pub const BATCH: usize = 64;

/// Most rounds in which a queue that is being stopped is emptied.
const DRAIN_ROUNDS: usize = 4096;

//----------- Counts ---------------------------------------------------------

/// What the thread of one queue counts beside the books. It alone writes.
#[derive(Debug, Default)]
pub struct Counts {
    received: AtomicU64,
    sent: AtomicU64,
    flaws: [AtomicU64; Flaw::ALL.len()],
}

impl Counts {
    /// Frames that the program handed to the socket, and the kernel had room for.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Frames handed to the kernel.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Frames dropped for a flaw.
    pub fn flawed(&self, flaw: Flaw) -> u64 {
        self.flaws[flaw as usize].load(Ordering::Relaxed)
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.store(counter.load(Ordering::Relaxed) + n, Ordering::Relaxed);
}

/// A queue as others see it.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The queue's number.
    pub queue: u32,
    /// There while the queue is served.
    pub socket: Weak<Socket>,
    /// Of its thread.
    pub counts: Arc<Counts>,
}

//----------- Worker ---------------------------------------------------------

/// One queue and what answers from it.
pub(super) struct Worker<'p, H> {
    pub(super) queue: Queue,
    /// Of the interface.
    pub(super) mtu: usize,
    pub(super) handler: H,
    pub(super) proxies: Proxies,
    pub(super) page: &'p Page,
    pub(super) counts: Arc<Counts>,
}

impl<H: Handler> Worker<'_, H> {
    /// Answers what arrives until `stop` is set *and* the thread is interrupted by a signal, as [`udp::serve`]; then what
    /// had already arrived.
    pub(super) fn serve(mut self, stop: &AtomicBool) {
        let mut troubles = 0;
        while !stop.load(Ordering::Acquire) {
            match self.wait_and_turn() {
                Ok(()) => troubles = 0,
                Err(e) => udp::pause_after(&e, &mut troubles),
            }
        }
        for _ in 0..DRAIN_ROUNDS {
            if self.turn() == 0 {
                break;
            }
        }
    }

    fn wait_and_turn(&mut self) -> io::Result<()> {
        if self.queue.wait()? {
            self.turn();
        }
        self.queue.send()
    }

    /// Takes one batch, answers it from one state of the handler, and has the replies sent. Returns the number of frames
    /// that came.
    fn turn(&mut self) -> usize {
        let (handler, proxies, page, mtu) = (&mut self.handler, &self.proxies, self.page, self.mtu);
        let (mut n_queries, mut flaws) = (0, [0; Flaw::ALL.len()]);
        let state = handler.begin();
        let taken = self.queue.take(BATCH, |frame, out| {
            let packet = match Packet::read(frame) {
                Ok(packet) => packet,
                Err(flaw) => {
                    flaws[flaw as usize] += 1;
                    return 0;
                }
            };
            n_queries += 1;
            let query = Datagram { bytes: packet.payload, cut: false, addr: packet.addr, port: packet.port };
            let (start, room) = (packet.family.payload_at(), packet.family.longest_reply(mtu));
            match udp::settle_datagram(handler, &state, proxies, page, query, &mut out[start..start + room]) {
                0 => 0,
                len => packet.answer(len, out),
            }
        });
        drop(state);
        page.queries(Transport::Udp, n_queries);
        if taken.n_unsent > 0 {
            page.unsent(Transport::Udp, taken.n_unsent as u64);
        }
        add(&self.counts.received, taken.n_received as u64);
        add(&self.counts.sent, taken.n_sent as u64);
        for (counter, n) in self.counts.flaws.iter().zip(flaws).filter(|(_, n)| *n > 0) {
            add(counter, n);
        }
        // What is not sent now waits for the next turn, or for the interface to come up again.
        let _ = self.queue.send();
        taken.n_received
    }
}

/// Every reply has the room that a handler is promised, and fits its buffer.
const _: () = {
    assert!(crate::transport::xdp::MIN_MTU - 48 >= 512);
    assert!(Family::V6.payload_at() + 1400 <= crate::transport::xdp::umem::BUFFER);
};
