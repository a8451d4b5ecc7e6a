//! Binds, starts and stops: the life of the sockets.
//!
//! [`Bound::new`] takes the ports (and can say their numbers, and that they are taken, before anything else
//! is set up, and before privileges are dropped); [`Bound::start`] starts the threads; [`Server::stop`] ends
//! them, answering what has arrived.

use crate::exchange::Books;
use crate::transport::bind::{Endpoint, Given, Wanted};
use crate::transport::gate::Gate;
use crate::transport::handler::Handler;
use crate::transport::pulse::Pulse;
use crate::transport::stream::{Desk, Pace};
use crate::transport::{sys, tcp, udp};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::LocalSet;

/// Time between two tries to wake the threads that wait for datagrams.
const WAKE_AGAIN: Duration = Duration::from_millis(1);

/// Files that are open besides connections: sockets, logs, databases, gRPC.
const OTHER_FILES: u64 = 512;

//----------- Config ---------------------------------------------------------

/// What to listen on, and the limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Addresses, each served over UDP and TCP. Port 0 takes a free port, the same for both.
    pub dns: Vec<SocketAddr>,
    /// Threads for datagrams, per address; at least 1. Default: as many as there are processors.
    pub threads: usize,
    /// Threads for streams, for all addresses together; at least 1. Default 1.
    pub stream_threads: usize,
    /// Whether each datagram thread stays on one processor. Off by default: it helps where the network
    /// card's queues are tied to the same processors, and hurts where other programs share them.
    pub pin: bool,
    /// Octets of each UDP socket's buffers, one for each direction. Default 4 MiB, some 15,000 small queries
    /// waiting: a few milliseconds of full load. The kernel gives less where `net.core.rmem_max` is lower
    /// and the process may not overrule it.
    pub buffer: usize,
    /// Most connections in all. Default 2,000.
    pub max_connections: usize,
    /// Most connections of one client: one IPv4 address or IPv6 /56. Default 100: resolvers need a few, but
    /// many may sit behind one address.
    pub max_per_client: usize,
    /// How slow the client of a connection may be.
    pub pace: Pace,
    /// Longest time that stopping waits for connections. Default 3 s.
    pub drain: Duration,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dns: Vec::new(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            stream_threads: 1,
            pin: false,
            buffer: 4 << 20,
            max_connections: 2000,
            max_per_client: 100,
            pace: Pace::default(),
            drain: Duration::from_secs(3),
        }
    }
}

//----------- Bound ----------------------------------------------------------

/// Sockets that are bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    endpoints: Vec<Endpoint>,
}

impl Bound {
    /// Binds all sockets of `config`.
    ///
    /// An address that any other socket holds is refused, even one of our own that would share it: two
    /// servers on one port would each get a part of the clients.
    ///
    /// # Errors
    /// [`Error::Bind`] for the first address that cannot be had.
    pub fn new(config: Config) -> Result<Bound, Error> {
        Bound::with(config, &mut Given::default())
    }

    /// The same, except that sockets which are open already are used for their addresses. What no address wanted
    /// stays in `given`.
    ///
    /// # Errors
    /// As [`Bound::new`].
    pub fn with(config: Config, given: &mut Given) -> Result<Bound, Error> {
        let wanted =
            Wanted { datagrams: config.threads.max(1), listeners: config.stream_threads.max(1), buffer: config.buffer };
        let endpoints = config.dns.iter().map(|addr| Endpoint::bind(*addr, wanted, given));
        let endpoints = endpoints.collect::<Result<_, Error>>()?;
        Ok(Bound { config, endpoints })
    }

    /// Every address with its sockets, in the order of the configuration.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The addresses in the order of the configuration, with the ports that were given.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|e| e.addr).collect()
    }

    /// Threads for datagrams, numbered before those for streams.
    pub fn n_datagram_threads(&self) -> usize {
        self.endpoints.iter().map(|e| e.datagrams.len()).sum()
    }

    /// Threads that answer queries, and so the number that tallies and books need room for.
    pub fn n_threads(&self) -> usize {
        self.n_datagram_threads() + self.config.stream_threads.max(1)
    }

    /// Starts serving. `make(thread)` gives the handler of each thread, numbered from 0 below
    /// [`Bound::n_threads`], which is also the thread's page of `books`.
    ///
    /// # Errors
    /// [`Error::Start`] if the system gives no thread; those already started are stopped.
    ///
    /// # Panics
    /// If `books` has fewer pages than there are threads.
    pub fn start<H, F>(self, books: Arc<Books>, make: F) -> Result<Server, Error>
    where
        H: Handler + Send + 'static,
        F: Fn(usize) -> H,
    {
        assert!(books.n_threads() >= self.n_threads(), "the books have a page for every thread");
        let addrs = self.addrs();
        let Bound { config, endpoints } = self;
        if let Err(e) = sys::raise_open_files(config.max_connections as u64 + OTHER_FILES) {
            tracing::warn!("cannot raise the limit of open files, connections may be refused: {e}");
        }
        let mut server = Server {
            addrs,
            stop: Arc::default(),
            stop_streams: watch::channel(false).0,
            datagrams: Vec::new(),
            threads: Vec::new(),
            gate: Arc::new(Gate::new(config.max_connections, config.max_per_client)),
        };
        let mut listeners: Vec<Vec<TcpListener>> = (0..config.stream_threads.max(1)).map(|_| Vec::new()).collect();
        let mut thread = 0;
        for endpoint in endpoints {
            let with_address = endpoint.addr.ip().is_unspecified();
            for (nth, socket) in endpoint.datagrams.into_iter().enumerate() {
                let socket = Arc::new(socket);
                server.datagrams.push(Arc::downgrade(&socket));
                let (handler, books, stop) = (make(thread), books.clone(), server.stop.clone());
                let core = config.pin.then_some(nth);
                server.spawn(format!("udp-{thread}"), move || {
                    if let Some(core) = core
                        && let Err(e) = sys::pin_to_core(core)
                    {
                        tracing::warn!("cannot tie a thread to processor {core}: {e}");
                    }
                    udp::serve(socket, with_address, handler, books.page(thread), &stop);
                })?;
                thread += 1;
            }
            for (nth, listener) in endpoint.listeners.into_iter().enumerate() {
                let thread = nth % listeners.len();
                listeners[thread].push(listener);
            }
        }
        for of_thread in listeners {
            let desk = (make(thread), books.clone(), thread);
            server.start_streams(of_thread, desk, &config)?;
            thread += 1;
        }
        Ok(server)
    }
}

//----------- Server ---------------------------------------------------------

/// Running threads; dropping it stops them.
#[derive(Debug)]
pub struct Server {
    addrs: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    stop_streams: watch::Sender<bool>,
    /// Every datagram socket, to see that its thread has ended. The thread owns it, so that it is closed when the thread
    /// ends, however long others take: a query that comes later hears from the system that nobody is there (ICMP
    /// port unreachable) and is not left without a word.
    datagrams: Vec<Weak<UdpSocket>>,
    threads: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
}

impl Server {
    /// The addresses served.
    pub fn addrs(&self) -> &[SocketAddr] {
        &self.addrs
    }

    /// The gate of all connections, for other listeners to share and for metrics.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Stops: answers the datagrams that have arrived, lets connections finish what they have begun (for
    /// at most [`Config::drain`]), and returns when every thread has ended.
    pub fn stop(self) {
        drop(self);
    }

    /// Watches the threads for datagrams. `books`: those that they were started with.
    pub fn pulse(&self, books: Arc<Books>) -> Pulse {
        Pulse::new(books, self.datagrams.iter().cloned())
    }

    /// Stops taking queries and connections, and returns once nothing is read from the sockets for datagrams any
    /// more: what has been taken is answered, what comes from now on is for another process that holds the same sockets, or
    /// for nobody. Connections go on until [`Server::stop`].
    ///
    /// The sockets themselves are left as they are: to shut them down would shut them down for the other process, too.
    pub fn leave(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.stop_streams.send_replace(true);
        while self.datagrams.iter().any(|socket| socket.strong_count() > 0) {
            self.threads.iter().filter(|thread| !thread.is_finished()).for_each(sys::interrupt);
            std::thread::sleep(WAKE_AGAIN);
        }
    }

    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        self.threads.push(std::thread::Builder::new().name(name).spawn(run).map_err(Error::Start)?);
        Ok(())
    }

    fn start_streams<H: Handler + Send + 'static>(
        &mut self,
        listeners: Vec<TcpListener>,
        (handler, books, thread): (H, Arc<Books>, usize),
        config: &Config,
    ) -> Result<(), Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
        let listeners = {
            let _inside = runtime.enter();
            listeners.into_iter().map(tokio::net::TcpListener::from_std).collect::<io::Result<Vec<_>>>()
        };
        let listeners = listeners.map_err(Error::Start)?;
        let (gate, stop) = (self.gate.clone(), self.stop_streams.subscribe());
        let (pace, drain) = (config.pace, config.drain);
        self.spawn(format!("tcp-{thread}"), move || {
            let desk = Rc::new(Desk::new(handler, books, thread));
            LocalSet::new().block_on(&runtime, tcp::serve(listeners, desk, gate, pace, drain, stop));
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.leave();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that answers queries had ended by a panic");
            }
        }
    }
}

//----------- Error ----------------------------------------------------------

/// Why serving did not start.
#[derive(Debug)]
pub enum Error {
    /// An address cannot be had.
    Bind {
        /// Which.
        addr: SocketAddr,
        /// `UDP` or `TCP`.
        protocol: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no thread, event queue or descriptor.
    Start(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Bind { addr, protocol, source } => {
                write!(f, "cannot listen on {addr} over {protocol}: {source}")?;
                f.write_str(match source.kind() {
                    io::ErrorKind::AddrInUse => "; another server has this port: stop it, or listen on another",
                    io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address",
                    io::ErrorKind::PermissionDenied => {
                        "; ports below 1024 need the capability CAP_NET_BIND_SERVICE (or root)"
                    }
                    _ => "",
                })
            }
            Error::Start(source) => write!(f, "cannot start serving: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { source, .. } | Error::Start(source) => Some(source),
        }
    }
}
