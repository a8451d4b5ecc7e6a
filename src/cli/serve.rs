//! `floodway serve`: wires the parts, says when it is ready, reloads on a sign, drains at the end.

mod limits;
mod log;
pub mod ready;
pub mod reload;
mod signals;
mod watch;

use crate::admin::{self, Loads, Source};
use crate::cli::check;
use crate::cli::config::Config;
use crate::cli::known::Known;
use crate::cli::load::Loaded;
use crate::clock::Clock;
use crate::control::{Live, Saved, Wiring, live};
use crate::exchange::{Books, Exchange, Snapshot};
use crate::steering::Table;
use crate::telemetry::{self, Board, Inbox, listen};
use crate::transport::{self, Answering, Observed, rate};
use ready::{Ready, hints};
use reload::{Reloader, say};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync;
use tokio::task::JoinHandle;
use tonic::service::Routes;

/// Samples that wait for the next tick before more are refused. Our choice: some seconds of a thousand POPs.
const INBOX_ROOM: usize = 100_000;
/// Longest time that the listeners of gRPC and HTTP get to end their calls.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves DNS on UDP and TCP, takes telemetry over gRPC, and steers.
///
/// Prints one line of JSON on standard output once it answers; everything else goes to standard error.
/// SIGHUP and a change in the zones folder reload; SIGTERM and SIGINT drain and end.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Say what to try once the server is ready [default: when standard output is a terminal].
    #[arg(long)]
    hints: bool,
}

/// Runs the command.
pub fn run(args: Args, file: Option<&Path>) -> ExitCode {
    match Config::read(file).and_then(|config| serve(&args, config, file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", e.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args, config: Config, file: Option<&Path>) -> Result<(), String> {
    log::log_to_stderr(&config)?;
    let runtime = runtime()?;
    let mut server = Server::start(&runtime, config)?;
    let ready = serde_json::to_string(&server.ready).map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{ready}").map_err(|e| format!("standard output: {e}"))?;
    if args.hints || std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        eprint!("{}", hints(&server.ready, file));
    }
    runtime.block_on(signals::until_told(&server.reloader))?;
    server.stop();
    Ok(())
}

/// A runtime for what is not the query path: gRPC, HTTP, signals.
///
/// # Errors
/// What the system says.
pub fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("edge").enable_all().build().map_err(|e| format!("no runtime: {e}"))
}

//----------- Server ---------------------------------------------------------

/// A running server.
pub struct Server {
    /// Where it answers.
    pub ready: Ready,
    /// Loads anew.
    pub reloader: Arc<Reloader>,
    dns: Option<transport::Server>,
    control: Option<Live>,
    stop: sync::watch::Sender<bool>,
    edges: Vec<JoinHandle<()>>,
    runtime: tokio::runtime::Handle,
    watching: Option<JoinHandle<()>>,
}

impl Server {
    /// Loads, binds and starts everything. Ports are taken before the load, so that a taken port is known
    /// at once; nothing answers before the load is good.
    ///
    /// # Errors
    /// A text for people: the report of a refused load, an address that cannot be had, a file that cannot be read.
    pub fn start(runtime: &Runtime, config: Config) -> Result<Server, String> {
        let clock = Clock::start();
        let sockets = transport::Bound::new(transport::Config {
            dns: config.listen.dns.clone(),
            threads: config.n_threads(),
            max_connections: config.tcp.connections,
            max_per_client: config.tcp.per_client,
            ..transport::Config::default()
        });
        let sockets = sockets.map_err(|e| e.to_string())?;
        let grpc =
            runtime.block_on(listen::Bound::bind(config.listen.grpc, &config.grpc)).map_err(|e| e.to_string())?;
        let grpc_addr = grpc.local_addr().map_err(|e| e.to_string())?;
        let http = admin::http::Bound::bind(config.listen.admin, config.admin.allow_remote);
        let http = runtime.block_on(http).map_err(|e| e.to_string())?;

        let mut known = Known::default();
        let (loaded, report, _) = known.load(&config);
        let (errors, warnings) = report.counts();
        let loaded = loaded.ok_or_else(|| format!("{report}not started: {errors} errors, {warnings} warnings"))?;
        say(&report);
        let loads = Arc::new(Loads::default());
        loads.note(true, clock.now().mono, clock.now().unix);
        let n_zones = loaded.zones.n_zones();
        tracing::info!("loaded {}", check::summary(&loaded));
        let saved = live::read_saved(&config.state.dir, clock.now());
        if let Some(saved) = &saved {
            let age = clock.now().unix - saved.decided_at;
            tracing::info!("serving the plan of the last run, decided {age:.0} s ago, until telemetry comes");
        }
        let first = first_snapshot(loaded, sockets.n_threads(), saved.as_ref());
        let exchange = Arc::new(Exchange::new(first));
        let books = Arc::new(Books::new(sockets.n_threads()));
        let n_datagram_threads = sockets.n_datagram_threads();
        let n_sharing = n_datagram_threads.div_ceil(config.listen.dns.len());
        let observed = Observed { rate: Arc::new(rate::Ledger::new(n_datagram_threads)) };
        let (inbox, board) = (Arc::new(Inbox::new(INBOX_ROOM)), Arc::new(Board::new()));

        let seed = clock.now().unix.to_bits();
        transport::sys::trim_heap();
        let answering = |thread| {
            let limiter = (thread < n_datagram_threads)
                .then(|| rate::Limiter::new(&config.rate_limit, n_sharing, observed.rate.clone(), thread));
            Answering::new(exchange.clone(), thread, seed).limited(limiter.flatten())
        };
        let dns = sockets.start(books.clone(), answering).map_err(|e| e.to_string())?;
        let wiring = Wiring {
            exchange: exchange.clone(),
            inbox: inbox.clone(),
            board: board.clone(),
            clock,
            state_dir: Some(config.state.dir.clone()),
            seed,
        };
        let control = Live::start(wiring, saved).map_err(|e| format!("the control loop cannot start: {e}"))?;

        let (stop, stopping) = sync::watch::channel(false);
        let (_, ready_flag) = sync::watch::channel(true);
        let source = Source {
            exchange: exchange.clone(),
            inbox: inbox.clone(),
            books,
            observed: observed.clone(),
            loads: loads.clone(),
            clock,
        };
        let intake = telemetry::grpc::Intake { inbox, board, exchange: exchange.clone(), clock };
        let routes = Routes::new(telemetry::grpc::service(intake, &config.grpc, stopping.clone()))
            .add_service(admin::steering::service(source.clone(), stopping.clone()));
        let ready = Ready {
            ready: true,
            dns: dns.addrs().to_vec(),
            grpc: grpc_addr,
            admin: http.local_addr(),
            zones: n_zones,
            generation: exchange.load().generation,
        };
        let reloader = Arc::new(Reloader { config, exchange, loads, clock, known: Mutex::new(known) });
        let reload = {
            let reloader = reloader.clone();
            Arc::new(move || reloader.reload("asked over HTTP"))
        };
        let served = admin::http::Admin { source, ready: ready_flag, reload };
        let edges = vec![
            runtime.spawn(logged("gRPC", grpc.serve(routes, stopping.clone()))),
            runtime.spawn(logged("admin HTTP", http.serve(served, stopping.clone()))),
            runtime.spawn(limits::tell(observed.rate, stopping)),
        ];
        let watching = if reloader.config.zones.watch { watch::watch_folder(runtime, &reloader) } else { None };
        Ok(Server {
            ready,
            reloader,
            dns: Some(dns),
            control: Some(control),
            stop,
            edges,
            runtime: runtime.handle().clone(),
            watching,
        })
    }

    /// Answers what has arrived, ends the calls that are open, saves the plan, and returns.
    pub fn stop(&mut self) {
        self.stop.send_replace(true);
        if let Some(watching) = self.watching.take() {
            watching.abort();
        }
        if let Some(dns) = self.dns.take() {
            dns.stop();
        }
        if let Some(control) = self.control.take() {
            control.stop();
        }
        let edges = std::mem::take(&mut self.edges);
        self.runtime.block_on(async {
            for edge in edges {
                if tokio::time::timeout(DRAIN, edge).await.is_err() {
                    tracing::warn!("a call was still open after {} s and is cut", DRAIN.as_secs());
                }
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.dns.is_some() {
            self.stop();
        }
    }
}

async fn logged<E: std::fmt::Display>(what: &'static str, serving: impl Future<Output = Result<(), E>>) {
    if let Err(e) = serving.await {
        tracing::error!("{what} has stopped: {e}; queries are answered as before");
    }
}

/// The first snapshot: the plan of the last run where one was saved, else the declared one.
fn first_snapshot(loaded: Loaded, n_threads: usize, saved: Option<&Saved>) -> Snapshot {
    let Loaded { zones, policies, cells, answers } = loaded;
    let plan = Arc::new(live::first_plan(saved, &policies, &cells));
    let table = Arc::new(Table::compile(&plan, &policies, &cells.cells, None));
    Snapshot::first(n_threads, zones, policies, cells, answers, plan, table)
}
