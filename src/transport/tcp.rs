//! Connections over TCP: accept, ask the gate, hear the proxy, shake hands, serve, close.
//!
//! A stream thread runs one small tokio loop for all its connections, so that they can share the
//! thread's handler and buffers without a lock. There are few stream threads: the work is on UDP.

use crate::answer::Link;
use crate::exchange::Connection;
use crate::transport::gate::Permit;
use crate::transport::handler::{Handler, Peer};
use crate::transport::https::{self, Held};
use crate::transport::site::{Service, Site};
use crate::transport::{proxy, stream};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Pauses after an accept that failed for want of descriptors or memory: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Least time between two lines about that: descriptors may come and go many times a second.
const BETWEEN: Duration = Duration::from_secs(60);

/// Once stopping: how long connections that the kernel has already set up are waited for.
const LAST_ACCEPT: Duration = Duration::from_millis(10);

/// How long, and for how many octets, a client that sent nonsense is heard out after our end was closed. Our choice:
/// some round trips across the world, and what such a client may have had under way.
const HEAR_OUT: (Duration, usize) = (Duration::from_millis(500), 1 << 20);

/// How long the last words of TLS are waited for; a client that does not read shall not keep its place.
const FAREWELL: Duration = Duration::from_millis(500);

/// Accepts from one listener and serves until the server stops; then takes those that wait to be accepted, and
/// returns the connections still open.
///
/// Must run inside a [`tokio::task::LocalSet`].
pub async fn accept<H: Handler + 'static>(listener: TcpListener, service: Service, site: Rc<Site<H>>) -> JoinSet<()> {
    let mut stop = site.stop.clone();
    let mut connections = JoinSet::new();
    let (mut pause, mut told) = (PAUSES.0, None::<Instant>);
    let mut stopping = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // An error means that the sender is gone, which is a stop as well.
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                continue;
            }
            () = sleep(LAST_ACCEPT), if stopping => return connections,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, from)) => {
                pause = PAUSES.0;
                admit(&mut connections, stream, from, service, &site);
            }
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) => {
                site.book(service.transport(), Connection::NotAccepted);
                if told.is_none_or(|at| at.elapsed() > BETWEEN) {
                    tracing::warn!("cannot accept connections, retrying: {e}");
                    told = Some(Instant::now());
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Errors of accept(2) that concern the connection that was to be accepted, and not the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

/// IPv4 addresses that came as mapped into IPv6 as themselves.
pub(super) fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}

/// Starts serving a connection if the gate lets it in; closes it otherwise.
fn admit<H: Handler + 'static>(
    connections: &mut JoinSet<()>,
    stream: TcpStream,
    from: SocketAddr,
    service: Service,
    site: &Rc<Site<H>>,
) {
    let (transport, now) = (service.transport(), Instant::now());
    let is_proxy = site.rules.proxies.contains(from.ip());
    let entered = if is_proxy { site.gate.enter_unnamed(now) } else { site.gate.enter(from.ip(), now) };
    let permit = match entered {
        Ok(permit) => permit,
        Err(refused) => return site.book(transport, refused),
    };
    let open = site.open(transport);
    // Without these the connection works all the same: a little later, or longer when its client is gone.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(site.rules.pace.write));
    let site = site.clone();
    let addr = canonical(from);
    connections.spawn_local(async move {
        // What a client behind a proxy has asked, only the proxy knows.
        let local = stream.local_addr().ok().filter(|_| !is_proxy).map(canonical);
        let link = Link { is_relayed: service == Service::Http, ..Link::default() };
        let connection = Begun { stream, peer: Peer { local, link, ..Peer::new(addr, transport) }, permit, site };
        open.end(connection.serve(service, is_proxy).await);
    });
}

//----------- Begun ----------------------------------------------------------

/// A connection that has a place.
struct Begun<H> {
    stream: TcpStream,
    peer: Peer,
    permit: Permit,
    site: Rc<Site<H>>,
}

impl<H: Handler + 'static> Begun<H> {
    /// Serves it to its end, and says how it ended. What not every connection has is on the heap, so that the
    /// others need no room for it.
    async fn serve(mut self, service: Service, is_proxy: bool) -> Connection {
        if is_proxy && let Err(end) = Box::pin(self.hear_proxy()).await {
            return end;
        }
        let handshakes = self.site.rules.handshakes.as_ref();
        match service {
            Service::Dns => self.serve_plain().await,
            Service::Tls => match handshakes.map(|h| h.dot.clone()) {
                Some(acceptor) => Box::pin(self.serve_tls(acceptor)).await,
                None => Connection::Failed,
            },
            Service::Https { http3 } => match handshakes.map(|h| h.https.clone()) {
                Some(acceptor) => Box::pin(self.serve_https(acceptor, http3)).await,
                None => Connection::Failed,
            },
            Service::Http => Box::pin(self.serve_http()).await,
            Service::Quic => Connection::Failed, // has no TCP socket
        }
    }

    async fn serve_plain(mut self) -> Connection {
        let (site, mut stop) = (&self.site, self.site.stop.clone());
        let pace = &site.rules.pace;
        let end = stream::serve(&mut self.stream, self.peer, &site.desk, pace, &self.permit, &mut stop).await;
        let _ = self.stream.shutdown().await;
        // A client that did not expect the end may have sent more.
        if end == Connection::Failed || *self.site.stop.borrow() {
            let _ = timeout(HEAR_OUT.0, hear_out(&self.stream)).await;
        }
        end
    }

    async fn serve_tls(self, acceptor: TlsAcceptor) -> Connection {
        let Begun { stream, peer, permit, site } = self;
        let (mut stream, pace) = match shake_hands(stream, &acceptor, &permit, &site).await {
            Ok(stream) => (stream, &site.rules.pace),
            Err(end) => return end,
        };
        let mut stop = site.stop.clone();
        let end = stream::serve(&mut stream, peer, &site.desk, pace, &permit, &mut stop).await;
        let _ = timeout(FAREWELL, stream.shutdown()).await;
        if end == Connection::Failed || *site.stop.borrow() {
            let _ = timeout(HEAR_OUT.0, hear_out(stream.get_ref().0)).await;
        }
        end
    }

    async fn serve_https(self, acceptor: TlsAcceptor, http3: bool) -> Connection {
        let Begun { stream, peer, permit, site } = self;
        let port = stream.local_addr().ok().filter(|_| http3).map(|addr| addr.port());
        let held = match shake_hands(stream, &acceptor, &permit, &site).await {
            Ok(stream) => Held::new(stream),
            Err(end) => return end,
        };
        let end = https::serve(&held, peer, permit, site, port).await;
        if let Some(mut stream) = held.into_inner() {
            let _ = timeout(FAREWELL, stream.shutdown()).await;
            if end == Connection::Failed {
                let _ = timeout(HEAR_OUT.0, hear_out(stream.get_ref().0)).await;
            }
        }
        end
    }

    async fn serve_http(self) -> Connection {
        let held = Held::new(self.stream);
        let end = https::serve(&held, self.peer, self.permit, self.site, None).await;
        if let Some(mut stream) = held.into_inner() {
            let _ = stream.shutdown().await;
            if end == Connection::Failed {
                let _ = timeout(HEAR_OUT.0, hear_out(&stream)).await;
            }
        }
        end
    }

    /// Reads for whom a proxy speaks, and asks whether that client may have one more connection.
    async fn hear_proxy(&mut self) -> Result<(), Connection> {
        let heard = tokio::select! {
            heard = timeout(self.site.rules.pace.read, proxy::read(&mut self.stream, self.peer.addr)) => heard,
            () = self.permit.displaced() => return Err(Connection::Displaced),
        };
        match heard {
            Ok(Ok(addr)) => {
                // A proxy that names nobody speaks for itself, or for whom it does not know.
                self.peer.link.is_relayed &= addr == self.peer.addr;
                self.peer.addr = addr;
            }
            Ok(Err(e)) if e.kind() == io::ErrorKind::InvalidData => return Err(Connection::RefusedProxy),
            Ok(Err(_)) => return Err(Connection::Failed),
            Err(_) => return Err(Connection::TimedOutRead),
        }
        self.permit.name(self.peer.addr.ip())
    }
}

async fn shake_hands<H>(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    permit: &Permit,
    site: &Site<H>,
) -> Result<TlsStream<TcpStream>, Connection> {
    tokio::select! {
        shaken = timeout(site.rules.pace.read, acceptor.accept(stream)) => match shaken {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(_)) => Err(Connection::Handshake),
            Err(_) => Err(Connection::TimedOutRead),
        },
        () = permit.displaced() => Err(Connection::Displaced),
    }
}

/// Reads what the client still sends and drops it, until it closes or has sent as much as it may.
///
/// To close a socket with octets unread, or to get some after, is a reset (RFC 1122 section 4.2.2.13), which may
/// overtake replies that were written before and take them from the client.
async fn hear_out(stream: &TcpStream) {
    let mut left = HEAR_OUT.1;
    while left > 0 && stream.readable().await.is_ok() {
        // On the stack only while it is used: no room is kept in the task of every connection.
        match stream.try_read(&mut [0; 16 * 1024]) {
            Ok(0) => return,
            Ok(n) => left = left.saturating_sub(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
