//! The UDP socket of a QUIC port, which this process may have to leave to another one.
//!
//! After a takeover both processes hold the same socket, and each datagram goes to whoever reads first. The one that leaves
//! must not read any more: it would take the first words of newcomers and refuse them. What it still has to say to its own
//! clients, it sends.

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime, TokioRuntime, UdpPoller};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// A socket that is read until it is left to somebody else.
#[derive(Debug)]
pub struct Shared {
    socket: Arc<dyn AsyncUdpSocket>,
    left: Arc<AtomicBool>,
}

impl Shared {
    /// Nothing is read from `socket` once `left` is true. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(socket: UdpSocket, left: Arc<AtomicBool>) -> io::Result<Arc<Shared>> {
        Ok(Arc::new(Shared { socket: TokioRuntime.wrap_udp_socket(socket)?, left }))
    }
}

impl AsyncUdpSocket for Shared {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.socket.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.socket.try_send(transmit)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        match self.left.load(Ordering::Acquire) {
            true => Poll::Pending, // for good: nobody need be woken
            false => self.socket.poll_recv(context, buffers, meta),
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.socket.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.socket.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.socket.may_fragment()
    }
}
