//! Whether the threads that answer datagrams are alive, without asking anything of them.
//!
//! A thread that waits and one that hangs look alike from outside. The difference: a query that waits in the socket at
//! two looks, while no batch was finished in between, is one that nobody is going to take.

use crate::exchange::{Books, Transport};
use crate::transport::xdp;
use socket2::SockRef;
use std::mem::MaybeUninit;
use std::net::UdpSocket;
use std::sync::{Arc, Weak};

/// The last look at each thread.
#[derive(Debug)]
pub struct Pulse {
    books: Arc<Books>,
    /// In the order of the threads' pages.
    threads: Vec<Seen>,
}

#[derive(Debug)]
struct Seen {
    socket: Source,
    n_batches: u64,
    waits: bool,
}

/// Where a thread's queries wait. The thread alone owns it: it is gone when the thread is.
#[derive(Debug)]
pub(crate) enum Source {
    /// A socket of UDP.
    Udp(Weak<UdpSocket>),
    /// A queue of an interface.
    Xdp(Weak<xdp::socket::Socket>),
}

impl Source {
    /// Whether something waits there; `None` if it is gone.
    fn waits(&self) -> Option<bool> {
        match self {
            Source::Udp(socket) => {
                let (socket, flags) = (socket.upgrade()?, libc::MSG_PEEK | libc::MSG_DONTWAIT);
                Some(SockRef::from(&*socket).recv_with_flags(&mut [MaybeUninit::uninit()], flags).is_ok())
            }
            Source::Xdp(socket) => Some(socket.upgrade()?.wait(0).unwrap_or(false)),
        }
    }
}

/// A thread that does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It has ended, number and all.
    Ended(usize),
    /// Queries wait for it, and it has taken none since the last look.
    Stuck(usize),
}

impl Pulse {
    /// Of the threads that own `sockets`, numbered as the pages of `books`.
    pub(crate) fn new(books: Arc<Books>, sockets: impl IntoIterator<Item = Source>) -> Pulse {
        let seen = |socket| Seen { socket, n_batches: 0, waits: false };
        Pulse { books, threads: sockets.into_iter().map(seen).collect() }
    }

    /// Looks at every thread. Two looks should be seconds apart: a batch takes a millisecond, but the
    /// system may let a thread wait.
    ///
    /// # Errors
    /// The first thread that does not answer.
    pub fn look(&mut self) -> Result<(), Fault> {
        let mut found = Ok(());
        for (thread, seen) in self.threads.iter_mut().enumerate() {
            let Some(waits) = seen.socket.waits() else {
                found = found.and(Err(Fault::Ended(thread)));
                continue;
            };
            let n_batches = self.books.page(thread).batches(Transport::Udp);
            if seen.waits && waits && n_batches == seen.n_batches {
                found = found.and(Err(Fault::Stuck(thread)));
            }
            (seen.n_batches, seen.waits) = (n_batches, waits);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuck_is_who_leaves_a_query_waiting() {
        let (books, socket) = (Arc::new(Books::new(1)), Arc::new(UdpSocket::bind("127.0.0.1:0").unwrap()));
        let mut pulse = Pulse::new(books.clone(), [Source::Udp(Arc::downgrade(&socket))]);
        assert_eq!((pulse.look(), pulse.look()), (Ok(()), Ok(())), "idle is alive");
        socket.send_to(b"query", socket.local_addr().unwrap()).unwrap();
        assert_eq!(pulse.look(), Ok(()), "it may have come just now");
        books.page(0).queries(Transport::Udp, 1);
        assert_eq!(pulse.look(), Ok(()), "busy is alive");
        assert_eq!(pulse.look(), Err(Fault::Stuck(0)));
        socket.recv(&mut [0; 9]).unwrap();
        assert_eq!(pulse.look(), Ok(()));
        drop(socket);
        assert_eq!(pulse.look(), Err(Fault::Ended(0)));
    }
}
