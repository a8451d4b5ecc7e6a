//! The socket of gRPC: who may bind where, TLS, limits, health and reflection.
//!
//! Knows nothing of samples or state; services are handed in as `Routes`.

use crate::telemetry::proto;
use crate::telemetry::tls::Tls;
use crate::wire::Name;
use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, Sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpConnectInfo};
use tonic_health::ServingStatus;

/// Time for a new connection to send its first octet, and for its TLS handshake.
const HELLO: Duration = Duration::from_secs(10);
/// Quiet time after which a connection is probed, and time for the answer; gRPC's own advice is not to
/// go below a minute from the client's side, the server's side is free.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(10));
/// Least time between two lines about connections that the system does not let in.
const BETWEEN: Duration = Duration::from_secs(60);
/// Streams on one connection: a collector opens one; a person with tools a few.
const MAX_STREAMS_PER_CONNECTION: u32 = 128;
/// Octets of request headers: certificates are not in them, so little is needed.
const MAX_HEADERS: u32 = 16 << 10;

//----------- Config ---------------------------------------------------------

/// `[grpc]` in `floodway.toml`.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// `[grpc.tls]`; without it the socket binds to loopback only.
    pub tls: Option<TlsFiles>,
    /// Whose certificates may override what the server decides: names as in a certificate's subject alternative name or common
    /// name. A plain connection, which comes from loopback only, may. Default: nobody's.
    #[serde(deserialize_with = "names")]
    pub operators: Vec<Name>,
    /// Connections at one time; more are closed at once. Default 1024.
    pub max_connections: usize,
    /// Telemetry streams at one time; more are refused. Default 4096.
    pub max_streams: usize,
    /// Samples per second that one peer may send in the long run, and twice that at once. Default 10,000:
    /// our choice, a collector for 100 POPs × 100 groups.
    pub samples_per_second: f64,
}

fn names<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Name>, D::Error> {
    let texts: Vec<String> = serde::Deserialize::deserialize(deserializer)?;
    let wrong = |text: &str, e: &dyn fmt::Display| {
        serde::de::Error::custom(format!("{text:?} is no name in a certificate: {e}"))
    };
    texts.iter().map(|text| text.parse::<Name>().map_err(|e| wrong(text, &e))).collect()
}

/// Files in PEM.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TlsFiles {
    /// The server's certificate chain.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities whose certificates peers must show.
    pub client_ca: PathBuf,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            tls: None,
            operators: Vec::new(),
            max_connections: 1024,
            max_streams: 4096,
            samples_per_second: 10_000.0,
        }
    }
}

/// Says whether gRPC may stand at `addr`: with TLS anywhere, without it on loopback alone.
///
/// # Errors
/// [`Error::Exposed`].
pub fn guard(addr: SocketAddr, config: &Config) -> Result<(), Error> {
    match config.tls.is_none() && !addr.ip().to_canonical().is_loopback() {
        true => Err(Error::Exposed(addr)),
        false => Ok(()),
    }
}

//----------- Bound ----------------------------------------------------------

/// A bound socket, ready to serve.
#[derive(Debug)]
pub struct Bound {
    door: Door,
    server: Server,
    tls: Option<Arc<Tls>>,
}

impl Bound {
    /// Checks that the socket may stand there, reads the TLS files and binds; port 0 takes a free port. `given` is a socket
    /// that is bound there already.
    ///
    /// # Errors
    /// [`Error::Exposed`] outside loopback without TLS, [`Error::File`] and [`Error::Tls`] for files that
    /// are missing or do not fit together, [`Error::Bind`] if the address cannot be had.
    pub async fn bind(addr: SocketAddr, config: &Config, given: Option<net::TcpListener>) -> Result<Bound, Error> {
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE.0))
            .http2_keepalive_timeout(Some(KEEPALIVE.1))
            .max_concurrent_streams(MAX_STREAMS_PER_CONNECTION)
            .http2_max_header_list_size(MAX_HEADERS);
        let tls = config.tls.clone().map(Tls::read).transpose()?.map(Arc::new);
        guard(addr, config)?;
        let listener = listener(addr, given).await.map_err(|e| Error::Bind(addr, e))?;
        Ok(Bound { door: Door::new(listener, config.max_connections, "gRPC"), server, tls })
    }

    /// The socket.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.door.listener.as_fd()
    }

    /// How handshakes go, if there are any: to be read again when files change.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.door.local_addr()
    }

    /// Serves `routes`, health and reflection until `stop` becomes true or its sender is gone; then takes
    /// no more connections and returns when the open ones have ended.
    ///
    /// # Errors
    /// [`Error::Serve`] if the server cannot go on.
    pub async fn serve(self, routes: Routes, stop: watch::Receiver<bool>) -> Result<(), Error> {
        let (health, health_service) = tonic_health::server::health_reporter();
        let names = [
            "",
            proto::telemetry_server::SERVICE_NAME,
            proto::steering_server::SERVICE_NAME,
            proto::events_server::SERVICE_NAME,
        ];
        for name in names {
            health.set_service_status(name, ServingStatus::Serving).await;
        }
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let v1 = reflection().build_v1().expect("the descriptors were compiled with the program");
        let v1alpha = reflection().build_v1alpha().expect("the descriptors were compiled with the program");
        let routes = routes.add_service(health_service).add_service(v1).add_service(v1alpha);

        let Bound { mut door, mut server, tls } = self;
        let mut stopping = stop.clone();
        let stopped = |acceptor: JoinHandle<()>| async move {
            until_stopped(&mut stopping).await;
            acceptor.abort();
            for name in names {
                health.set_service_status(name, ServingStatus::NotServing).await;
            }
        };
        let router = server.add_routes(routes);
        let served = match tls {
            None => {
                let (connections, incoming) = mpsc::channel::<io::Result<Connection>>(16);
                let acceptor =
                    tokio::spawn(async move { while connections.send(Ok(door.accept().await.0)).await.is_ok() {} });
                router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped(acceptor)).await
            }
            Some(tls) => {
                let (connections, incoming) = mpsc::channel::<io::Result<TlsStream<Connection>>>(16);
                let acceptor = tokio::spawn(shake_hands(door, tls, connections));
                router.serve_with_incoming_shutdown(ReceiverStream::new(incoming), stopped(acceptor)).await
            }
        };
        served.map_err(Error::Serve)
    }
}

/// Accepts, and hands on what comes out of a handshake. Handshakes take their time beside each other; there
/// are no more of them than connections.
async fn shake_hands(mut door: Door, tls: Arc<Tls>, connections: mpsc::Sender<io::Result<TlsStream<Connection>>>) {
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            (connection, _) = door.accept() => {
                let (acceptor, connections) = (tls.acceptor(), connections.clone());
                under_way.spawn(async move {
                    // One that fails or takes too long is closed, and nobody else's concern.
                    if let Ok(Ok(stream)) = timeout(HELLO, acceptor.accept(connection)).await {
                        let _ = connections.send(Ok(stream)).await;
                    }
                });
            }
            Some(_) = under_way.join_next(), if !under_way.is_empty() => {}
            () = connections.closed() => return,
        }
    }
}

/// Binds, unless there is a socket already.
///
/// # Errors
/// What the system says.
pub async fn listener(addr: SocketAddr, given: Option<net::TcpListener>) -> io::Result<TcpListener> {
    match given {
        Some(given) => TcpListener::from_std(given),
        None => TcpListener::bind(addr).await,
    }
}

/// Waits until `stop` is true or nobody is left to set it.
pub async fn until_stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which stops as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

//----------- Connections ----------------------------------------------------

/// A listening socket that takes up a bounded number of connections.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    room: Arc<Semaphore>,
    max: usize,
    full: bool,
    /// When it was last said that the system lets nobody in.
    told: Option<Instant>,
    what: &'static str,
}

impl Door {
    /// Lets in `max` connections at one time; `what` is the word for it in the log.
    pub fn new(listener: TcpListener, max: usize, what: &'static str) -> Door {
        Door { listener, room: Arc::new(Semaphore::new(max)), max, full: false, told: None, what }
    }

    /// The socket.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The address it is bound to.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The next connection. While there is no room, new ones are closed at once.
    pub async fn accept(&mut self) -> (Connection, SocketAddr) {
        let what = self.what;
        loop {
            let (stream, peer) = match self.listener.accept().await {
                Ok(accepted) => accepted,
                Err(e) => {
                    // Mostly out of file descriptors: others must end first.
                    if self.told.is_none_or(|at| at.elapsed() > BETWEEN) {
                        tracing::warn!("{what} cannot accept connections: {e}; trying again every second");
                        self.told = Some(Instant::now());
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let Ok(permit) = self.room.clone().try_acquire_owned() else {
                if !self.full {
                    let max = self.max;
                    tracing::warn!(
                        "{what} has {max} connections, the most allowed; new ones are closed until some end"
                    );
                }
                self.full = true;
                continue;
            };
            self.full = false;
            // Words to peers are small and wanted at once; a socket that refuses the option still works.
            let _ = stream.set_nodelay(true);
            let hello = Some(Box::pin(tokio::time::sleep_until(Instant::now() + HELLO)));
            return (Connection { stream, hello, _permit: permit }, peer);
        }
    }
}

/// A connection that counts, and that must say something soon.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    hello: Option<Pin<Box<Sleep>>>,
    _permit: OwnedSemaphorePermit,
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.hello = None;
        }
        if let (Poll::Pending, Some(hello)) = (&read, &mut self.hello)
            && hello.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

//----------- Errors ---------------------------------------------------------

/// Why gRPC does not serve.
#[derive(Debug)]
pub enum Error {
    /// The address can be reached from elsewhere, and there is no `[grpc.tls]`.
    Exposed(SocketAddr),
    /// A TLS file cannot be read.
    File(PathBuf, io::Error),
    /// The TLS files do not make a server.
    Tls(String),
    /// The address cannot be bound.
    Bind(SocketAddr, io::Error),
    /// The server cannot go on.
    Serve(tonic::transport::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Exposed(addr) => write!(
                f,
                "gRPC on {addr} can be reached from elsewhere, and whoever writes telemetry steers traffic: \
                 give `cert`, `key` and `client-ca` in [grpc.tls], or listen on 127.0.0.1"
            ),
            Error::File(path, e) => write!(f, "[grpc.tls] {}: {e}", path.display()),
            Error::Tls(e) => write!(f, "[grpc.tls] {e}"),
            Error::Bind(addr, e) => write!(f, "gRPC cannot listen on {addr}: {e}"),
            Error::Serve(e) => write!(f, "gRPC stopped: {}", chain(e)),
        }
    }
}

impl std::error::Error for Error {}

/// An error with its causes: tonic's own text alone says only "transport error".
pub fn chain(e: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(e), |e| e.source());
    let mut said: Vec<String> = causes.map(ToString::to_string).collect();
    said.dedup();
    said.join(": ")
}
