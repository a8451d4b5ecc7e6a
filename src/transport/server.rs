//! Binds, starts and stops: the life of the sockets.
//!
//! [`Bound::new`] takes the ports (and can say their numbers, and that they are taken, before anything else
//! is set up, and before privileges are dropped); [`Bound::start`] starts the threads; [`Server::stop`] ends
//! them, answering what has arrived.

use crate::exchange::Books;
use crate::transport::bind::{Endpoint, Given, Wanted};
use crate::transport::certificate::{self, Certificate};
use crate::transport::desk::Desk;
use crate::transport::gate::Gate;
use crate::transport::handler::Handler;
use crate::transport::outlet::Outlet;
use crate::transport::proxy::Proxies;
use crate::transport::pulse::{Pulse, Source};
use crate::transport::site::{Rules, Service, Site};
use crate::transport::stream::Pace;
use crate::transport::tls::Handshakes;
use crate::transport::{quic, streams, sys, udp, xdp};
use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

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
    /// Addresses of DNS over TLS (RFC 7858; its port is 853). Needs [`Config::certificate`], as the next ones do.
    pub tls: Vec<SocketAddr>,
    /// Addresses of DNS over HTTPS (RFC 8484), HTTP/2 and 1.1.
    pub https: Vec<SocketAddr>,
    /// Whether HTTP/3 is served on UDP of the same ports. Default yes.
    pub http3: bool,
    /// Addresses of DNS over HTTP without TLS, for a proxy in front that has it.
    pub http: Vec<SocketAddr>,
    /// Addresses of DNS over QUIC (RFC 9250; its port is 853, beside that of TLS).
    pub quic: Vec<SocketAddr>,
    /// The path of DNS over HTTPS. Default `/dns-query`, as in RFC 8484's examples.
    pub path: String,
    /// Certificate and key of all encrypted services.
    pub certificate: Option<certificate::Files>,
    /// Those who speak for others by the PROXY protocol, and must.
    pub proxies: Proxies,
    /// Connections of each listener that may bring data in their SYN before they are set up (TCP Fast Open,
    /// RFC 7413); 0, the default, for none: middleboxes that drop such SYNs cost more than the round trip they save.
    pub fast_open: usize,
    /// Threads for datagrams, per address; at least 1. Default: as many as there are processors.
    pub threads: usize,
    /// Threads for connections, for all addresses together; at least 1. Default 1.
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
    /// Datagrams past the kernel's stack. Default none.
    pub xdp: xdp::Config,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            dns: Vec::new(),
            tls: Vec::new(),
            https: Vec::new(),
            http3: true,
            http: Vec::new(),
            quic: Vec::new(),
            path: "/dns-query".into(),
            certificate: None,
            proxies: Proxies::default(),
            fast_open: 0,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            stream_threads: 1,
            pin: false,
            buffer: 4 << 20,
            max_connections: 2000,
            max_per_client: 100,
            pace: Pace::default(),
            drain: Duration::from_secs(3),
            xdp: xdp::Config::default(),
        }
    }
}

impl Config {
    /// Every address with what is spoken there, in a fixed order.
    fn services(&self) -> impl Iterator<Item = (Service, SocketAddr)> {
        let https = Service::Https { http3: self.http3 };
        let dns = self.dns.iter().map(|addr| (Service::Dns, *addr));
        dns.chain(self.tls.iter().map(|addr| (Service::Tls, *addr)))
            .chain(self.https.iter().map(move |addr| (https, *addr)))
            .chain(self.http.iter().map(|addr| (Service::Http, *addr)))
            .chain(self.quic.iter().map(|addr| (Service::Quic, *addr)))
    }

    fn wanted(&self, service: Service) -> Wanted {
        let n_streams = self.stream_threads.max(1);
        let datagrams = match service {
            Service::Dns => self.threads.max(1),
            _ if service.has_quic() => n_streams,
            _ => 0,
        };
        let listeners = if service.has_listeners() { n_streams } else { 0 };
        Wanted { datagrams, listeners, buffer: self.buffer, fast_open: self.fast_open }
    }
}

//----------- Bound ----------------------------------------------------------

/// Sockets that are bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    config: Config,
    endpoints: Vec<(Service, Endpoint)>,
    certificate: Option<Arc<Certificate>>,
    xdp: Option<xdp::Opened>,
}

impl Bound {
    /// Binds all sockets of `config`.
    ///
    /// An address that any other socket holds is refused, even one of our own that would share it: two
    /// servers on one port would each get a part of the clients.
    ///
    /// # Errors
    /// [`Error::Bind`] for the first address that cannot be had; [`Error::Certificate`] and
    /// [`Error::NoCertificate`] if what the encrypted services need cannot be read or was not named.
    pub fn new(config: Config) -> Result<Bound, Error> {
        Bound::with(config, &mut Given::default())
    }

    /// The same, except that sockets which are open already are used for their addresses. What no address wanted
    /// stays in `given`.
    ///
    /// # Errors
    /// As [`Bound::new`].
    pub fn with(config: Config, given: &mut Given) -> Result<Bound, Error> {
        let encrypted = config.services().find(|(service, _)| service.is_encrypted());
        let certificate = match (&config.certificate, encrypted) {
            (Some(files), _) => Some(Arc::new(Certificate::read(files.clone()).map_err(Error::Certificate)?)),
            (None, Some((_, addr))) => return Err(Error::NoCertificate(addr)),
            (None, None) => None,
        };
        let bind = |(service, addr)| Ok((service, Endpoint::bind(addr, config.wanted(service), given)?));
        let endpoints = config.services().map(bind).collect::<Result<_, Error>>()?;
        let mut bound = Bound { config, endpoints, certificate, xdp: None };
        bound.xdp = xdp::Opened::or_sockets(&bound.config.xdp, &bound.addrs());
        Ok(bound)
    }

    /// Every address with its sockets: those of [`Config::dns`] first, in the order of the configuration.
    pub fn endpoints(&self) -> &[(Service, Endpoint)] {
        &self.endpoints
    }

    /// The addresses of [`Config::dns`], with the ports that were given.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().filter(|(service, _)| *service == Service::Dns).map(|(_, e)| e.addr).collect()
    }

    /// By thread for datagrams, the address it is asked at; `None` for one that stands for every address of the machine.
    pub fn asked(&self) -> Vec<Option<SocketAddr>> {
        let of_dns = self.endpoints.iter().filter(|(service, _)| *service == Service::Dns);
        let addr = |e: &Endpoint| (!e.addr.ip().is_unspecified()).then_some(e.addr);
        of_dns.flat_map(|(_, e)| e.datagrams.iter().map(move |_| addr(e))).collect()
    }

    /// What the encrypted services show, if a certificate is configured.
    pub fn certificate(&self) -> Option<&Arc<Certificate>> {
        self.certificate.as_ref()
    }

    /// Threads for datagrams, numbered before those for streams; those of XDP are the last of them.
    pub fn n_datagram_threads(&self) -> usize {
        let of_dns = self.endpoints.iter().filter(|(service, _)| *service == Service::Dns);
        of_dns.map(|(_, e)| e.datagrams.len()).sum::<usize>() + self.n_queues()
    }

    /// Threads for datagrams that come past the kernel's stack.
    pub fn n_queues(&self) -> usize {
        self.xdp.as_ref().map_or(0, xdp::Opened::n_queues)
    }

    /// The queues that these serve, to be watched.
    pub fn queues(&self) -> Vec<xdp::worker::Watch> {
        self.xdp.iter().flat_map(xdp::Opened::watches).collect()
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
        let addrs = self.endpoints.iter().map(|(service, e)| (*service, e.addr)).collect();
        let Bound { config, endpoints, certificate, xdp } = self;
        if let Err(e) = sys::raise_open_files(config.max_connections as u64 + OTHER_FILES) {
            tracing::warn!("cannot raise the limit of open files, connections may be refused: {e}");
        }
        let mut server = Server {
            addrs,
            stop: Arc::default(),
            left: Arc::default(),
            stop_streams: watch::channel(false).0,
            datagrams: Vec::new(),
            xdp: None,
            threads: Vec::new(),
            gate: Arc::new(Gate::new(config.max_connections, config.max_per_client)),
        };
        let rules = Arc::new(Rules {
            pace: config.pace,
            drain: config.drain,
            proxies: config.proxies.clone(),
            handshakes: certificate.map(Handshakes::new).transpose()?,
            path: config.path.as_str().into(),
            left: server.left.clone(),
        });
        let n_streams = config.stream_threads.max(1);
        let mut streams: Vec<streams::Sockets> = (0..n_streams).map(|_| streams::Sockets::default()).collect();
        let mut thread = 0;
        for (service, endpoint) in endpoints {
            let Endpoint { addr, datagrams, listeners } = endpoint;
            for (nth, listener) in listeners.into_iter().enumerate() {
                streams[nth % n_streams].tcp.push((service, listener));
            }
            if service != Service::Dns {
                server.hand_quic(service, datagrams, &rules, &mut streams)?;
                continue;
            }
            for (nth, socket) in datagrams.into_iter().enumerate() {
                let core = config.pin.then_some(nth);
                let page = (books.clone(), thread);
                server.start_datagrams(Arc::new(socket), addr, make(thread), config.proxies.clone(), page, core)?;
                thread += 1;
            }
        }
        if let Some(xdp) = xdp {
            let n_queues = xdp.n_queues();
            server.xdp = Some(xdp.start(&make, thread, &books, &config.proxies).map_err(Error::Start)?);
            thread += n_queues;
        }
        for sockets in streams {
            server.start_streams(sockets, make(thread), (books.clone(), thread), rules.clone())?;
            thread += 1;
        }
        Ok(server)
    }
}

//----------- Server ---------------------------------------------------------

/// Running threads; dropping it stops them.
#[derive(Debug)]
pub struct Server {
    addrs: Vec<(Service, SocketAddr)>,
    stop: Arc<AtomicBool>,
    left: Arc<AtomicBool>,
    stop_streams: watch::Sender<bool>,
    /// Every datagram socket, to see that its thread has ended. The thread owns it, so that it is closed when the thread
    /// ends, however long others take: a query that comes later hears from the system that nobody is there (ICMP
    /// port unreachable) and is not left without a word.
    datagrams: Vec<Weak<UdpSocket>>,
    xdp: Option<xdp::Running>,
    threads: Vec<JoinHandle<()>>,
    gate: Arc<Gate>,
}

impl Server {
    /// The addresses of one service.
    pub fn addrs_of(&self, service: Service) -> Vec<SocketAddr> {
        self.addrs.iter().filter(|(s, _)| *s == service).map(|(_, addr)| *addr).collect()
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

    /// Lets replies out that are not made by the thread that was asked.
    pub fn open(&self, outlet: &Outlet) {
        outlet.open(self.datagrams.clone());
    }

    /// Watches the threads for datagrams. `books`: those that they were started with.
    pub fn pulse(&self, books: Arc<Books>) -> Pulse {
        let queues = self.xdp.iter().flat_map(xdp::Running::sockets).cloned().map(Source::Xdp);
        Pulse::new(books, self.datagrams.iter().cloned().map(Source::Udp).chain(queues))
    }

    /// Leaves the sockets to another process that holds the same ones: stops taking queries and connections, and returns
    /// once nothing is read from the sockets for datagrams any more. What has been taken is answered, what comes from now
    /// on is for the other. Connections of TCP go on until [`Server::stop`]; those of QUIC, which share a socket,
    /// are told to end.
    ///
    /// The sockets themselves are left as they are: to shut them down would shut them down for the other process, too.
    pub fn leave(&mut self) {
        self.left.store(true, Ordering::Release);
        self.take_no_more();
    }

    fn take_no_more(&mut self) {
        self.xdp = None;
        self.stop.store(true, Ordering::Release);
        self.stop_streams.send_replace(true);
        while self.datagrams.iter().any(|socket| socket.strong_count() > 0) {
            self.threads.iter().filter(|thread| !thread.is_finished()).for_each(sys::interrupt);
            std::thread::sleep(WAKE_AGAIN);
        }
    }

    fn spawn(&mut self, name: String, run: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let run = || {
            sys::run_when_woken();
            run();
        };
        self.threads.push(std::thread::Builder::new().name(name).spawn(run).map_err(Error::Start)?);
        Ok(())
    }

    fn start_datagrams<H: Handler + Send + 'static>(
        &mut self,
        socket: Arc<UdpSocket>,
        addr: SocketAddr,
        handler: H,
        proxies: Proxies,
        (books, thread): (Arc<Books>, usize),
        core: Option<usize>,
    ) -> Result<(), Error> {
        self.datagrams.push(Arc::downgrade(&socket));
        let (stop, with_address) = (self.stop.clone(), addr.ip().is_unspecified());
        self.spawn(format!("udp-{thread}"), move || {
            if let Some(core) = core
                && let Err(e) = sys::pin_to_core(core)
            {
                tracing::warn!("cannot tie a thread to processor {core}: {e}");
            }
            udp::serve(socket, with_address, handler, proxies, books.page(thread), &stop);
        })
    }

    /// Deals the sockets of one QUIC port out to the stream threads, with configuration and keys in common.
    fn hand_quic(
        &self,
        service: Service,
        sockets: Vec<UdpSocket>,
        rules: &Rules,
        streams: &mut [streams::Sockets],
    ) -> Result<(), Error> {
        let Some(handshakes) = rules.handshakes.as_ref().filter(|_| service.has_quic()) else { return Ok(()) };
        let tls = if service == Service::Quic { &handshakes.doq } else { &handshakes.h3 };
        let (config, keys) = (quic::config(service, tls.clone(), &rules.pace)?, quinn::EndpointConfig::default());
        for (nth, socket) in sockets.into_iter().enumerate() {
            streams[nth % streams.len()].quic.push((service, socket, config.clone(), keys.clone()));
        }
        Ok(())
    }

    fn start_streams<H: Handler + Send + 'static>(
        &mut self,
        sockets: streams::Sockets,
        handler: H,
        (books, thread): (Arc<Books>, usize),
        rules: Arc<Rules>,
    ) -> Result<(), Error> {
        let (ready, gate, stop) = (sockets.ready(&self.left)?, self.gate.clone(), self.stop_streams.subscribe());
        self.spawn(format!("streams-{thread}"), move || {
            ready.run(Site { desk: Desk::new(handler, books, thread), gate, rules, stop });
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.take_no_more();
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
    /// The certificate cannot be used.
    Certificate(certificate::Error),
    /// An encrypted service has no certificate to show.
    NoCertificate(SocketAddr),
    /// TLS cannot be set up.
    Tls(rustls::Error),
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
            Error::Certificate(source) => write!(f, "{source}"),
            Error::NoCertificate(addr) => write!(
                f,
                "{addr} is to be encrypted and there is no certificate: name `cert` and `key` in [tls] \
                 (`floodway keygen tls` makes a pair for tests)"
            ),
            Error::Tls(source) => write!(f, "cannot set up TLS: {source}"),
            Error::Start(source) => write!(f, "cannot start serving: {source}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Bind { source, .. } | Error::Start(source) => Some(source),
            Error::Certificate(source) => Some(source),
            Error::Tls(source) => Some(source),
            Error::NoCertificate(_) => None,
        }
    }
}
