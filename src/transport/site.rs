//! What all connections of one stream thread share, and the words for what is spoken on them.

use crate::exchange::{Connection, Transport};
use crate::transport::desk::Desk;
use crate::transport::gate::Gate;
use crate::transport::handler::Handler;
use crate::transport::proxy::Proxies;
use crate::transport::stream::Pace;
use crate::transport::tls::Handshakes;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;

//----------- Service --------------------------------------------------------

/// What is spoken on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// DNS over UDP and TCP (RFC 1035, RFC 7766).
    Dns,
    /// DNS over TLS (RFC 7858).
    Tls,
    /// DNS over HTTPS (RFC 8484): HTTP/2 and 1.1 on TCP, and HTTP/3 on UDP if `http3`.
    Https {
        /// Whether the UDP port is open too.
        http3: bool,
    },
    /// The same without TLS, for a proxy in front that has it.
    Http,
    /// DNS over QUIC (RFC 9250).
    Quic,
}

impl Service {
    /// Where its connections and queries are booked.
    pub fn transport(self) -> Transport {
        match self {
            Service::Dns => Transport::Tcp,
            Service::Tls => Transport::Tls,
            Service::Https { .. } | Service::Http => Transport::Https,
            Service::Quic => Transport::Quic,
        }
    }

    /// Whether it is on TCP.
    pub fn has_listeners(self) -> bool {
        self != Service::Quic
    }

    /// Whether it is on QUIC.
    pub fn has_quic(self) -> bool {
        matches!(self, Service::Quic | Service::Https { http3: true })
    }

    /// Whether it shows a certificate.
    pub fn is_encrypted(self) -> bool {
        !matches!(self, Service::Dns | Service::Http)
    }
}

//----------- Site -----------------------------------------------------------

/// What holds for every connection of the process.
#[derive(Clone)]
pub struct Rules {
    /// How slow a client may be.
    pub pace: Pace,
    /// Longest time that stopping waits for connections.
    pub drain: Duration,
    /// Who speaks for others.
    pub proxies: Proxies,
    /// How encrypted connections begin; `None` if no service is encrypted.
    pub handshakes: Option<Handshakes>,
    /// The path of DNS over HTTPS.
    pub path: Box<str>,
    /// True once another process has the sockets: a QUIC connection can send from then on, and hears nothing.
    pub left: Arc<AtomicBool>,
}

impl Rules {
    /// Whether another process has the sockets.
    pub fn is_left(&self) -> bool {
        self.left.load(Ordering::Acquire)
    }
}

/// What the connections of one thread share.
pub struct Site<H> {
    /// Handler, books and buffers.
    pub desk: Desk<H>,
    /// The places of all connections.
    pub gate: Arc<Gate>,
    /// See [`Rules`].
    pub rules: Arc<Rules>,
    /// True once the server stops.
    pub stop: watch::Receiver<bool>,
}

impl<H: Handler> Site<H> {
    /// Counts an event in the life of a connection.
    pub fn book(&self, transport: Transport, what: Connection) {
        self.desk.page().connection(transport, what);
    }

    /// Counts a connection as opened, and as closed when what this returns is dropped, however that comes about.
    pub fn open(self: &Rc<Site<H>>, transport: Transport) -> Open<H> {
        self.book(transport, Connection::Opened);
        Open { site: self.clone(), transport }
    }
}

/// A connection that is counted as open.
pub struct Open<H: Handler> {
    site: Rc<Site<H>>,
    transport: Transport,
}

impl<H: Handler> Open<H> {
    /// Counts how it ended.
    pub fn end(self, end: Connection) {
        if end != Connection::Closed {
            self.site.book(self.transport, end);
        }
    }
}

impl<H: Handler> Drop for Open<H> {
    fn drop(&mut self) {
        self.site.book(self.transport, Connection::Closed);
    }
}
