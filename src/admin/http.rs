//! HTTP for scrapers, probes and operators' scripts.
//!
//! | path | what |
//! |---|---|
//! | `GET /healthz` | 200 while the process runs |
//! | `GET /readyz` | 200 while it answers queries, else 503 |
//! | `GET /metrics` | OpenMetrics text; the first 1,000 zones one by one: `?zones=all`, `?zones=none` |
//! | `GET /state` | the state as JSON, as `floodway pops --json` prints it, and the process itself under `server` |
//! | `POST /reload` | loads zones and policies anew and reports, from loopback listeners only; `?dry-run`: only reports |
//!
//! There is no authentication: the listener binds to loopback unless `[admin] allow-remote` says
//! that something else guards it.

use crate::admin::degraded::Signs;
use crate::admin::loads::{Reloaded, Wish};
use crate::admin::running::MOST_ZONES;
use crate::admin::{Running, Source, State, metrics};
use crate::telemetry::listen::{Connection, Door, listener, until_stopped};
use axum::extract;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{self, SocketAddr};
use std::os::fd::BorrowedFd;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Connections at one time: a scraper or two and some people.
const MAX_CONNECTIONS: usize = 256;
/// Time for the next request of a connection to arrive whole: scrapers come back sooner than that, or open a new one.
const HEADERS: Duration = Duration::from_secs(30);
/// How long a connection may last, whatever comes over it: who reads slowly or not at all keeps no place for ever. A reload, which
/// waits for all files to be read, takes less.
const LIFE: Duration = Duration::from_secs(600);

//----------- Admin ----------------------------------------------------------

/// What the listener works with.
#[derive(Clone)]
pub struct Admin {
    /// Where the state comes from.
    pub source: Source,
    /// Whether queries are answered.
    pub ready: watch::Receiver<bool>,
    /// Loads zones and policies anew; takes its time.
    pub reload: Arc<dyn Fn(Wish) -> Reloaded + Send + Sync>,
}

/// A bound listener, ready to serve.
#[derive(Debug)]
pub struct Bound {
    door: Door,
    addr: SocketAddr,
}

impl Bound {
    /// Checks that the listener may stand there and binds; port 0 takes a free port. `given` is a socket that is bound
    /// there already.
    ///
    /// # Errors
    /// [`Error::Exposed`] outside loopback without `allow_remote`, [`Error::Bind`] if the address cannot
    /// be had.
    pub async fn bind(addr: SocketAddr, allow_remote: bool, given: Option<net::TcpListener>) -> Result<Bound, Error> {
        guard(addr, allow_remote)?;
        let listener = listener(addr, given).await.map_err(|e| Error::Bind(addr, e))?;
        let addr = listener.local_addr().map_err(|e| Error::Bind(addr, e))?;
        Ok(Bound { door: Door::new(listener, MAX_CONNECTIONS, "admin HTTP"), addr })
    }

    /// The socket.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.door.as_fd()
    }

    /// The address it is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `stop` becomes true or its sender is gone, then until the open requests have ended.
    ///
    /// # Errors
    /// What the system says of the socket.
    pub async fn serve(self, admin: Admin, stop: watch::Receiver<bool>) -> io::Result<()> {
        self.serve_within([HEADERS, LIFE], admin, stop).await
    }

    async fn serve_within(
        mut self,
        times: [Duration; 2],
        admin: Admin,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let shared = Shared { admin, loopback: is_loopback(self.addr), reloading: AtomicBool::new(false) };
        let router = Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz))
            .route("/metrics", get(print_metrics))
            .route("/state", get(state))
            .route("/reload", post(reload))
            .with_state(Arc::new(shared));
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                (connection, _) = self.door.accept() => {
                    open.spawn(converse(connection, times, router.clone(), stop.clone()));
                }
                Some(_) = open.join_next(), if !open.is_empty() => {}
                () = until_stopped(&mut stop) => break,
            }
        }
        while open.join_next().await.is_some() {}
        Ok(())
    }
}

/// Serves one connection to its end, to the end of the request that is under way at `stop`, or for as long as it may live.
async fn converse(
    connection: Connection,
    [headers, life]: [Duration; 2],
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let http = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(headers)
        .serve_connection(TokioIo::new(connection), TowerToHyperService::new(router));
    let mut http = pin!(http);
    let ended = async {
        tokio::select! {
            // What went wrong is between hyper and the peer.
            _ = http.as_mut() => return,
            () = until_stopped(&mut stop) => http.as_mut().graceful_shutdown(),
        }
        let _ = http.await;
    };
    let _ = timeout(life, ended).await;
}

/// Says whether the listener may stand at `addr`: on loopback, or where somebody has said that something else guards it.
///
/// # Errors
/// [`Error::Exposed`].
pub fn guard(addr: SocketAddr, allow_remote: bool) -> Result<(), Error> {
    match is_loopback(addr) || allow_remote {
        true => Ok(()),
        false => Err(Error::Exposed(addr)),
    }
}

fn is_loopback(addr: SocketAddr) -> bool {
    addr.ip().to_canonical().is_loopback()
}

//----------- Handlers -------------------------------------------------------

struct Shared {
    admin: Admin,
    loopback: bool,
    reloading: AtomicBool,
}

type Here = extract::State<Arc<Shared>>;

/// What `/state` shows.
#[derive(serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    state: State,
    server: Running,
    /// What is done without: mode to words.
    degraded: BTreeMap<&'static str, &'static str>,
}

async fn readyz(extract::State(here): Here) -> Response {
    match *here.admin.ready.borrow() {
        // A server without some of its zones is worth more than none: who wants to know asks for the metric.
        true => match here.admin.source.exchange.load().zones.left_out().len() {
            0 => "ready\n".into_response(),
            n => format!("ready; zones left out: {n}\n").into_response(),
        },
        false => (StatusCode::SERVICE_UNAVAILABLE, "not answering queries\n").into_response(),
    }
}

async fn print_metrics(extract::State(here): Here, extract::RawQuery(query): extract::RawQuery) -> Response {
    let most_zones = match query.as_deref() {
        None | Some("") => MOST_ZONES,
        Some("zones=all") => usize::MAX,
        Some("zones=none") => 0,
        Some(_) => return (StatusCode::BAD_REQUEST, "only ?zones=all and ?zones=none are known\n").into_response(),
    };
    match metrics::print(&here.admin.source, most_zones) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

async fn state(extract::State(here): Here) -> Response {
    let source = &here.admin.source;
    let degraded = Signs::of(source, source.clock.now()).degraded();
    let degraded = degraded.into_iter().map(|d| (d.label(), d.words())).collect();
    Json(Shown { state: source.state(), server: source.running(), degraded }).into_response()
}

async fn reload(
    extract::State(here): Here,
    extract::RawQuery(query): extract::RawQuery,
    headers: HeaderMap,
) -> Response {
    let wish = match query.as_deref() {
        None | Some("") => Wish::Take,
        Some("dry-run") => Wish::Look,
        Some(_) => return (StatusCode::BAD_REQUEST, "only ?dry-run is known\n").into_response(),
    };
    if !here.loopback {
        let text = "this listener is not on loopback; send SIGHUP to reload\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    // A browser on this machine can be led here by any page; it always says by which.
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "pages of browsers may not reload\n").into_response();
    }
    if here.reloading.swap(true, Ordering::AcqRel) {
        return (StatusCode::CONFLICT, "a reload is under way\n").into_response();
    }
    // Whoever asked may go before it is done, and this with them.
    let place = Place(here);
    let done = tokio::task::spawn_blocking(move || (place.0.admin.reload)(wish)).await;
    match done {
        Ok(done) if done.taken => Json(done).into_response(),
        Ok(done) => (StatusCode::UNPROCESSABLE_ENTITY, Json(done)).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("the reload failed: {e}\n")).into_response(),
    }
}

/// The place of the reload that is under way: free for the next one when it ends, however that is.
struct Place(Arc<Shared>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.reloading.store(false, Ordering::Release);
    }
}

//----------- Errors ---------------------------------------------------------

/// Why the admin listener does not serve.
#[derive(Debug)]
pub enum Error {
    /// The address can be reached from elsewhere, and nobody has said that this is meant.
    Exposed(SocketAddr),
    /// The address cannot be bound.
    Bind(SocketAddr, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Exposed(addr) => write!(
                f,
                "admin HTTP on {addr} can be reached from elsewhere and has no authentication: listen on \
                 127.0.0.1, or set `allow-remote = true` in [admin] if something else guards it"
            ),
            Error::Bind(addr, e) => write!(f, "admin HTTP cannot listen on {addr}: {e}"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::source;
    use crate::masterfile::{Diagnostic, Report, Severity};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    struct Live {
        addr: SocketAddr,
        ready: watch::Sender<bool>,
        stop: watch::Sender<bool>,
        served: tokio::task::JoinHandle<io::Result<()>>,
    }

    async fn start(taken: bool) -> Live {
        start_within([HEADERS, LIFE], taken).await
    }

    async fn start_within(times: [Duration; 2], taken: bool) -> Live {
        start_with(times, move |wish| reloaded(wish, taken)).await
    }

    fn reloaded(wish: Wish, taken: bool) -> Reloaded {
        let mut report = Report::default();
        report.push(Diagnostic {
            severity: if taken { Severity::Warning } else { Severity::Error },
            file: "zones/example.com.policy".into(),
            line: 9,
            column: 37,
            width: 7,
            text: String::new(),
            message: "unknown key \"capcity\"".into(),
            help: None,
        });
        Reloaded::new(taken, 2, 0.01, format!("{wish:?}"), report)
    }

    async fn start_with(times: [Duration; 2], reload: impl Fn(Wish) -> Reloaded + Send + Sync + 'static) -> Live {
        let (ready, stop) = (watch::Sender::new(false), watch::Sender::new(false));
        let admin = Admin { source: source(), ready: ready.subscribe(), reload: Arc::new(reload) };
        let bound = Bound::bind("127.0.0.1:0".parse().unwrap(), false, None).await.unwrap();
        let addr = bound.local_addr();
        let served = tokio::spawn(bound.serve_within(times, admin, stop.subscribe()));
        Live { addr, ready, stop, served }
    }

    impl Live {
        /// Says something and listens until the server closes.
        async fn hear(&self, says: &str) -> String {
            let mut stream = TcpStream::connect(self.addr).await.unwrap();
            stream.write_all(says.as_bytes()).await.unwrap();
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.unwrap();
            reply
        }

        /// Sends a request by hand and returns status, headers and body.
        async fn ask(&self, request: &str) -> (u16, String, String) {
            let reply = self.hear(&format!("{request}\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await;
            let (head, body) = reply.split_once("\r\n\r\n").unwrap();
            (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_lowercase(), body.to_owned())
        }
    }

    fn run<F: Future<Output = ()>>(test: F) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test hangs") });
    }

    /// Places are few, so nobody keeps one by saying little, or nothing more, or by not reading.
    #[test]
    fn who_dawdles_is_let_go_of() {
        run(async {
            let (short, long) = (Duration::from_millis(50), Duration::from_secs(3600));
            let ended = async |times, says: &str| start_within(times, true).await.hear(says).await;
            assert!(!ended([short, long], "GET /healthz HTTP/1.1\r\nHost: a\r\n").await.contains(" 200 "));
            for times in [[short, long], [long, short]] {
                assert!(ended(times, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await.contains(" 200 "));
            }
        });
    }

    #[test]
    fn probes_scrapers_and_people_are_served() {
        run(async {
            let live = start(true).await;
            assert_eq!(live.ask("GET /healthz HTTP/1.1").await.0, 200);
            assert_eq!(live.ask("GET /readyz HTTP/1.1").await.0, 503);
            live.ready.send(true).unwrap();
            assert_eq!(live.ask("GET /readyz HTTP/1.1").await.0, 200);
            let (status, head, body) = live.ask("GET /metrics HTTP/1.1").await;
            assert_eq!(status, 200);
            assert!(head.contains("content-type: application/openmetrics-text"), "{head}");
            assert!(body.contains("floodway_pop_capacity_requests_per_second"));
            let (status, _, body) = live.ask("GET /metrics?zones=none HTTP/1.1").await;
            assert!(status == 200 && body.contains("floodway_secondary_zones"));
            assert_eq!(live.ask("GET /metrics?zone=a HTTP/1.1").await.0, 400);
            let (status, _, body) = live.ask("GET /state HTTP/1.1").await;
            assert_eq!(status, 200);
            let state: crate::admin::State = serde_json::from_str(&body).unwrap();
            assert_eq!(state.pops[0].name, "ams.pop.example.com.");
            let whole: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(whole["server"]["takeovers"], 0);
            assert_eq!(live.ask("GET /nothing HTTP/1.1").await.0, 404);
            live.stop.send(true).unwrap();
            live.served.await.unwrap().unwrap();
        });
    }

    #[test]
    fn a_reload_reports() {
        run(async {
            let live = start(true).await;
            let (status, _, body) = live.ask("POST /reload HTTP/1.1").await;
            let report: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((status, &report["taken"], &report["warnings"]), (200, &true.into(), &1.into()));
            assert_eq!(report["diagnostics"][0]["column"], 37);
            assert_eq!(report["changes"], "Take");
            let (_, _, body) = live.ask("POST /reload?dry-run HTTP/1.1").await;
            assert!(body.contains("\"changes\":\"Look\""), "{body}");
            assert_eq!(live.ask("POST /reload?dryrun HTTP/1.1").await.0, 400);
            let refused = start(false).await;
            assert_eq!(refused.ask("POST /reload HTTP/1.1").await.0, 422);
            assert_eq!(live.ask("GET /reload HTTP/1.1").await.0, 405);
            assert_eq!(live.ask("POST /reload HTTP/1.1\r\nOrigin: https://evil.example").await.0, 403);
        });
    }

    /// Whoever asks for a reload and is gone before it is done keeps nobody else from asking.
    #[test]
    fn a_reload_that_nobody_waits_for_ends() {
        run(async {
            let (open, gate) = std::sync::mpsc::channel();
            let gate = std::sync::Mutex::new(gate);
            let times = [Duration::from_secs(3600), Duration::from_millis(50)];
            let live = start_with(times, move |wish| {
                gate.lock().unwrap().recv().unwrap();
                reloaded(wish, true)
            });
            let live = live.await;
            let reload = "POST /reload HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            assert_eq!(live.hear(reload).await, "", "the connection is over and the reload is not");
            while !live.hear(reload).await.contains(" 409 ") {}
            (0..1000).for_each(|_| open.send(()).unwrap());
            while !live.hear(reload).await.contains(" 200 ") {}
        });
    }

    #[test]
    fn outside_loopback_it_wants_to_be_told() {
        run(async {
            let error = Bound::bind("0.0.0.0:0".parse().unwrap(), false, None).await.unwrap_err();
            assert!(error.to_string().contains("allow-remote"), "{error}");
            assert!(Bound::bind("0.0.0.0:0".parse().unwrap(), true, None).await.is_ok());
        });
    }
}
