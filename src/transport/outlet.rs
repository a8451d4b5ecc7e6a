//! Replies over UDP that are not made by the thread that was asked.
//!
//! The sockets belong to their threads and are closed when those end; here they are only known.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, OnceLock, Weak};

/// The sockets of a server, once it has started.
#[derive(Clone, Debug, Default)]
pub struct Outlet {
    sockets: Arc<OnceLock<Vec<Weak<UdpSocket>>>>,
}

impl Outlet {
    /// These are the sockets; the first call counts.
    pub(super) fn open(&self, sockets: Vec<Weak<UdpSocket>>) {
        let _ = self.sockets.set(sockets);
    }

    /// Sends a reply, from the address that was asked where that is known. Where a socket stands for every address of the
    /// machine, the kernel chooses one of them, as of any datagram. What cannot be sent is lost, as datagrams are.
    pub fn send(&self, reply: &[u8], to: SocketAddr, asked: Option<SocketAddr>) {
        let sockets = self.sockets.get().into_iter().flatten().filter_map(Weak::upgrade);
        let mut fitting = sockets.filter_map(|socket| Some((socket.local_addr().ok()?, socket)));
        let mut second = None;
        let is_it = |addr: SocketAddr| asked == Some(addr);
        let first = fitting.find_map(|(addr, socket)| {
            if is_it(addr) {
                return Some(socket);
            }
            if addr.is_ipv4() == to.is_ipv4() || addr.ip().is_unspecified() {
                second.get_or_insert(socket);
            }
            None
        });
        if let Some(socket) = first.or(second) {
            let to = match (socket.local_addr(), to) {
                (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => (v4.ip().to_ipv6_mapped(), v4.port()).into(),
                _ => to,
            };
            let _ = socket.send_to(reply, to);
        }
    }
}
