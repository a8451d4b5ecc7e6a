//! Takes the ports: opens and binds the sockets of one address, or uses those that are open already.
//!
//! An [`Endpoint`] is one address of the configuration with all its sockets. [`Given`] holds sockets that
//! somebody else has opened (systemd, or the process that ran before); each address takes what is its own out of
//! it before anything is bound.

use crate::transport::server::Error;
use crate::transport::sys;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Connections that the kernel keeps ready for accept(2).
const BACKLOG: i32 = 1024;

/// How often a free port is asked for that both UDP and TCP can have.
const PORT_TRIES: usize = 32;

//----------- Given ----------------------------------------------------------

/// Sockets that are open and bound already.
#[derive(Debug, Default)]
pub struct Given {
    sockets: Vec<(SocketAddr, Type, Socket)>,
}

impl Given {
    /// Takes descriptors and looks up what each of them is.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::Unsupported`] for what is no UDP or TCP socket of an IP address.
    pub fn new(descriptors: impl IntoIterator<Item = OwnedFd>) -> io::Result<Given> {
        let look = |descriptor: OwnedFd| {
            let socket = Socket::from(descriptor);
            let (addr, kind) = (socket.local_addr()?.as_socket(), socket.r#type()?);
            match addr {
                Some(addr) if kind == Type::DGRAM || kind == Type::STREAM => Ok((addr, kind, socket)),
                _ => Err(io::Error::new(io::ErrorKind::Unsupported, "a socket that is neither UDP nor TCP")),
            }
        };
        Ok(Given { sockets: descriptors.into_iter().map(look).collect::<io::Result<_>>()? })
    }

    /// Those that no address of the configuration has taken.
    pub fn left(&self) -> impl Iterator<Item = (SocketAddr, &'static str)> {
        self.sockets.iter().map(|(addr, kind, _)| (*addr, protocol_name(*kind)))
    }

    /// A listening socket of another service at `addr`, to be waited for by tokio.
    pub fn listener(&mut self, addr: SocketAddr) -> Option<TcpListener> {
        let at = self.sockets.iter().position(|(a, k, _)| *a == addr && *k == Type::STREAM)?;
        let socket = self.sockets.swap_remove(at).2;
        socket.set_nonblocking(true).ok()?;
        Some(socket.into())
    }

    /// All sockets of one kind that are bound to `addr`.
    fn take(&mut self, addr: SocketAddr, kind: Type) -> Vec<Socket> {
        self.sockets.extract_if(.., |(a, k, _)| *a == addr && *k == kind).map(|(_, _, socket)| socket).collect()
    }
}

fn protocol_name(kind: Type) -> &'static str {
    if kind == Type::DGRAM { "UDP" } else { "TCP" }
}

//----------- Endpoint -------------------------------------------------------

/// How many sockets of each kind an address gets, and of what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// UDP sockets; 0 if the service is not on UDP.
    pub datagrams: usize,
    /// Listening TCP sockets; 0 if the service is not on TCP.
    pub listeners: usize,
    /// Octets of each UDP socket's buffers, one for each direction.
    pub buffer: usize,
    /// Connections per listener that may be in the making with TCP Fast Open; 0 turns it off.
    pub fast_open: usize,
}

/// One address with its sockets.
#[derive(Debug)]
pub struct Endpoint {
    /// The address, with the port that was given where 0 was asked for.
    pub addr: SocketAddr,
    /// At least as many as were wanted; more, if more were given: each must be read by somebody.
    pub datagrams: Vec<UdpSocket>,
    /// Likewise.
    pub listeners: Vec<TcpListener>,
}

impl Endpoint {
    /// Takes what `given` has for `addr` and binds the rest. Port 0 takes a free port, the same for both kinds.
    ///
    /// # Errors
    /// [`Error::Bind`] if the address cannot be had.
    pub fn bind(addr: SocketAddr, wanted: Wanted, given: &mut Given) -> Result<Endpoint, Error> {
        let mut tries = if addr.port() == 0 { PORT_TRIES } else { 1 };
        loop {
            tries -= 1;
            match try_bind(addr, wanted, given) {
                Err(Error::Bind { source, .. }) if source.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
                done => return done,
            }
        }
    }

    /// Every socket, for a process that is to go on with them.
    pub fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.datagrams.iter().map(AsFd::as_fd).chain(self.listeners.iter().map(AsFd::as_fd))
    }
}

/// Binds the first socket of each kind alone, so that a port in use is noticed and no other server can be
/// joined by accident; then opens the port to the sockets of the other threads.
fn try_bind(addr: SocketAddr, wanted: Wanted, given: &mut Given) -> Result<Endpoint, Error> {
    let mut bound = addr;
    let mut all = |kind, n| {
        if n == 0 {
            // What is open there is another service's: DoT and DoQ have one port.
            return Ok(Vec::new());
        }
        let sockets = fill(given.take(bound, kind), bound, kind, n, wanted);
        let sockets = sockets.map_err(|source| Error::Bind { addr: bound, protocol: protocol_name(kind), source })?;
        if let Some(given) = sockets.first().and_then(|s| s.local_addr().ok()?.as_socket()) {
            bound = given;
        }
        Ok(sockets)
    };
    let datagrams: Vec<Socket> = all(Type::DGRAM, wanted.datagrams)?;
    let listeners: Vec<Socket> = all(Type::STREAM, wanted.listeners)?;
    Ok(Endpoint {
        addr: bound,
        datagrams: datagrams.into_iter().map(UdpSocket::from).collect(),
        listeners: listeners.into_iter().map(TcpListener::from).collect(),
    })
}

/// Makes sockets until there are `n`. Where the opener of the first ones lets nobody share the port, threads share
/// the sockets instead.
fn fill(
    mut sockets: Vec<Socket>,
    mut addr: SocketAddr,
    kind: Type,
    n: usize,
    wanted: Wanted,
) -> io::Result<Vec<Socket>> {
    let n_given = sockets.len();
    for socket in &sockets {
        set_options(socket, addr, kind, wanted)?;
    }
    while sockets.len() < n {
        let protocol = if kind == Type::DGRAM { Protocol::UDP } else { Protocol::TCP };
        let socket = Socket::new(Domain::for_address(addr), kind, Some(protocol))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?; // or [::] would take 0.0.0.0's port too
        }
        if kind == Type::STREAM {
            socket.set_reuse_address(true)?; // connections of an earlier run may still be in TIME-WAIT
        }
        if !sockets.is_empty() {
            socket.set_reuse_port(true)?;
        }
        match socket.bind(&addr.into()) {
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && n_given > 0 => {
                sockets.push(sockets[sockets.len() % n_given].try_clone()?);
                continue;
            }
            bound => bound?,
        }
        socket.set_reuse_port(true)?;
        if addr.port() == 0
            && let Some(bound) = socket.local_addr()?.as_socket()
        {
            addr = bound;
        }
        set_options(&socket, addr, kind, wanted)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

fn set_options(socket: &Socket, addr: SocketAddr, kind: Type, wanted: Wanted) -> io::Result<()> {
    if kind == Type::STREAM {
        socket.set_nonblocking(true)?;
        if wanted.fast_open > 0 {
            let room = i32::try_from(wanted.fast_open).unwrap_or(i32::MAX);
            sys::set_option(socket.as_fd(), libc::IPPROTO_TCP, libc::TCP_FASTOPEN, room)?;
        }
        return socket.listen(BACKLOG);
    }
    let fd = socket.as_fd();
    let size = i32::try_from(wanted.buffer).unwrap_or(i32::MAX);
    for (beyond_limit, option) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        // Without the privilege the kernel gives what its limit allows, which is better than nothing.
        if sys::set_option(fd, libc::SOL_SOCKET, beyond_limit, size).is_err() {
            let _ = sys::set_option(fd, libc::SOL_SOCKET, option, size);
        }
    }
    // Fragment by the interface's MTU alone: a forged ICMP message shall not make us send fragments, which can
    // be spoofed (RFC 9715 section 3.1). The size that EDNS allows keeps replies below it.
    let (level, discover, omit) = match addr.is_ipv4() {
        true => (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT),
        false => (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_OMIT),
    };
    let _ = sys::set_option(fd, level, discover, omit);
    if addr.ip().is_unspecified() {
        match addr.is_ipv4() {
            true => sys::set_option(fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?,
            false => sys::set_option(fd, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Wanted = Wanted { datagrams: 2, listeners: 1, buffer: 1 << 16, fast_open: 16 };

    /// What was opened before is used, on its own port, and whatever is missing joins it.
    #[test]
    fn given_sockets_are_used() {
        let first = Endpoint::bind("127.0.0.1:0".parse().unwrap(), BOTH, &mut Given::default()).unwrap();
        let copies = || Given::new(first.descriptors().map(|d| d.try_clone_to_owned().unwrap())).unwrap();
        let mut given = copies();
        let second = Endpoint::bind(first.addr, Wanted { datagrams: 3, ..BOTH }, &mut given).unwrap();
        assert_eq!((second.addr, second.datagrams.len(), second.listeners.len()), (first.addr, 3, 1));
        assert_eq!(given.left().count(), 0);
        let other = Endpoint::bind("127.0.0.2:0".parse().unwrap(), BOTH, &mut copies()).unwrap();
        assert_eq!(other.datagrams.len(), 2);
        let fewer = Endpoint::bind(first.addr, Wanted { datagrams: 1, ..BOTH }, &mut copies()).unwrap();
        assert_eq!(fewer.datagrams.len(), 2, "each socket is read by somebody");
    }

    /// RFC 9250 section 4.1.1 and RFC 7858 section 3.1 give DNS over QUIC and over TLS one port: each takes its own half,
    /// whichever comes first.
    #[test]
    fn services_of_one_port_leave_each_other_theirs() {
        let (tls, quic) = (Wanted { datagrams: 0, ..BOTH }, Wanted { listeners: 0, ..BOTH });
        let first = Endpoint::bind("127.0.0.1:0".parse().unwrap(), BOTH, &mut Given::default()).unwrap();
        for order in [[tls, quic], [quic, tls]] {
            let copies = first.descriptors().map(|d| d.try_clone_to_owned().unwrap());
            let mut given = Given::new(copies).unwrap();
            for wanted in order {
                let endpoint = Endpoint::bind(first.addr, wanted, &mut given).unwrap();
                assert_eq!(endpoint.datagrams.len(), wanted.datagrams);
                assert_eq!(endpoint.listeners.len(), wanted.listeners);
            }
            assert_eq!(given.left().count(), 0);
        }
    }

    /// A port that its opener does not share (systemd without ReusePort=) is read by all threads from one socket.
    #[test]
    fn a_socket_that_is_not_shared_is_cloned() {
        let alone = UdpSocket::bind("127.0.0.1:0").unwrap();
        let addr = alone.local_addr().unwrap();
        let mut given = Given::new([OwnedFd::from(alone)]).unwrap();
        let endpoint = Endpoint::bind(addr, BOTH, &mut given).unwrap();
        assert!(endpoint.datagrams.iter().all(|s| s.local_addr().unwrap() == addr) && endpoint.datagrams.len() == 2);
        let (pipe, _other) = std::os::unix::net::UnixDatagram::pair().unwrap();
        assert_eq!(Given::new([OwnedFd::from(pipe)]).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
