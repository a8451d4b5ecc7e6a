//! A running server: its parts wired together, and the order in which they begin and end.

use crate::admin::loads::Wish;
use crate::admin::overrides::Operators;
use crate::admin::{self, Place, Source};
use crate::cli::config::Config;
use crate::cli::load::kept_in;
use crate::cli::serve::claim::Claim;
use crate::cli::serve::first::{self, First};
use crate::cli::serve::ready::Ready;
use crate::cli::serve::reload::Reloader;
use crate::cli::serve::secrets::Secrets;
use crate::cli::serve::sockets::Sockets;
use crate::cli::serve::takeover::{Estate, Heirloom, Predecessor};
use crate::cli::serve::{calendars, hands, keeping, limits, privileges, renew, systemd, watch, watchdog};
use crate::clock::Clock;
use crate::control::overrides::Desk;
use crate::control::{Live, Wiring, kept};
use crate::events;
use crate::exchange::{Books, Exchange};
use crate::probe;
use crate::store::History;
use crate::telemetry::{self, Board, Inbox};
use crate::transfer;
use crate::transport::bind::Given;
use crate::transport::{self, Answering, Observed, Outlet, Service, rate, tap};
use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync;
use tokio::task::JoinHandle;
use tonic::service::Routes;

/// Samples that wait for the next tick before more are refused. Our choice: some seconds of a thousand POPs.
const INBOX_ROOM: usize = 100_000;
/// Updates, notifications and refusals that wait to be seen to; more are SERVFAIL, or lost. Our choice.
const TASKS_ROOM: usize = 256;
/// Longest time that the listeners of gRPC and HTTP get to end their calls.
const DRAIN: Duration = Duration::from_secs(3);

//----------- Server ---------------------------------------------------------

/// A running server.
pub struct Server {
    /// Where it answers.
    pub ready: Ready,
    /// Loads anew.
    pub reloader: Arc<Reloader>,
    dns: Option<transport::Server>,
    control: Option<Live>,
    /// Where overrides are made.
    desk: Arc<Desk>,
    /// Writes what waits when it is dropped, after the control loop.
    history: Option<Arc<History>>,
    stop: sync::watch::Sender<bool>,
    /// Whether `/readyz` says that queries are answered.
    answers: sync::watch::Sender<bool>,
    /// Ends the admin listener: last of all, so that the drain can be watched; at once if a successor has the port.
    stop_admin: sync::watch::Sender<bool>,
    edges: Vec<JoinHandle<()>>,
    runtime: tokio::runtime::Handle,
    watching: Vec<JoinHandle<()>>,
    /// Waits for a successor.
    pub(super) heirloom: Option<Heirloom>,
    /// The state folder is ours.
    claim: Option<Claim>,
    /// Of dnstap; writes what is left when it is dropped.
    writer: Option<tap::Writer>,
}

impl Server {
    /// Loads, binds and starts everything. Ports are taken before the load, so that a taken port is known
    /// at once; nothing answers before the load is good.
    ///
    /// # Errors
    /// A text for people: the report of a refused load, an address that cannot be had, a file that cannot be read.
    pub fn start(runtime: &Runtime, config: Config) -> Result<Server, String> {
        Server::start_with(runtime, config, Given::default(), None, &mut || Ok(()))
    }

    /// The same on the sockets of the server that runs, which goes on until this one answers.
    pub(super) fn succeed(
        runtime: &Runtime,
        mut config: Config,
        heed: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<Server, String> {
        let (predecessor, sockets) = Predecessor::ask(&config.state.dir)?;
        let given = Given::new(sockets).map_err(|e| format!("the sockets that were handed over: {e}"))?;
        predecessor.estate.fill(&mut config.listen);
        Server::start_with(runtime, config, given, Some(predecessor), heed)
    }

    /// `heed` is called when the load is good, before anything is answered: what ends the process from then on has to end
    /// the server well.
    pub(super) fn start_with(
        runtime: &Runtime,
        config: Config,
        given: Given,
        predecessor: Option<Predecessor>,
        heed: &mut dyn FnMut() -> Result<(), String>,
    ) -> Result<Server, String> {
        let clock = Clock::start();
        let sockets = Sockets::open(runtime, &config, given, predecessor.as_ref().map(|p| &p.estate))?;
        privileges::give_up(&config.server, &config.state.dir)?;
        let claim = match &predecessor {
            None => Claim::take(&config.state.dir)?,
            // It lets go of the folder when we answer.
            Some(_) => None,
        };
        let copies = sockets.copies()?;
        let (grpc_addr, admin_addr) = sockets.addrs()?;
        let Sockets { dns: sockets, grpc, http } = sockets;
        let secrets = Secrets { dns: sockets.certificate().cloned(), grpc: grpc.tls().cloned() };
        if let (Some(user), Err(faults)) = (&config.server.user, secrets.look()) {
            let faults = faults.join("; ");
            return Err(format!("user {user:?} could never take a renewed certificate, give it the files: {faults}"));
        }

        let first = first::load(&config, clock, sockets.n_threads(), predecessor.is_some())?;
        let First { snapshot, mut known, loads, saved, n_zones } = first;
        let exchange = Arc::new(Exchange::new(snapshot));
        let books = Arc::new(Books::new(sockets.n_threads()));
        let n_datagram_threads = sockets.n_datagram_threads();
        let n_queues = sockets.n_queues();
        let first_queue = n_datagram_threads - n_queues;
        let n_sharing =
            |thread| if thread < first_queue { first_queue.div_ceil(config.listen.dns.len()) } else { n_queues };
        let n_taps = if config.dnstap.is_on() { sockets.n_threads() } else { 0 };
        let (taps, takers, tapped) = tap::taps(&config.dnstap, n_taps, clock.now().unix.to_bits());
        // What a client behind a proxy has asked, only the proxy knows.
        let asked = if config.proxy.from.is_empty() { sockets.asked() } else { Vec::new() };
        let taps = RefCell::new(taps.into_iter().map(Some).collect::<Vec<_>>());
        let observed = Observed {
            rate: Arc::new(rate::Ledger::new(n_datagram_threads)),
            certificate: secrets.dns.clone(),
            tap: tapped,
            dealings: Arc::default(),
            xdp: sockets.queues(),
        };
        let ledger = Arc::new(probe::Ledger::at(probe::place(&config.probe)));
        let (inbox, board) = (Arc::new(Inbox::new(INBOX_ROOM)), Arc::new(Board::since(clock.now().unix)));

        let seed = clock.now().unix.to_bits();
        transport::sys::trim_heap();
        let (tasks, to_do) = sync::mpsc::channel(TASKS_ROOM);
        let outbound: Arc<transport::outbound::Outbound> = Arc::default();
        let outlet = Outlet::default();
        let answering = |thread| {
            let limiter = (thread < n_datagram_threads)
                .then(|| rate::Limiter::new(&config.rate_limit, n_sharing(thread), observed.rate.clone(), thread));
            Answering::new(exchange.clone(), thread, seed)
                .booked(books.clone(), thread)
                .at(asked.get(thread).copied().flatten())
                .limited(limiter.flatten())
                .helped(tasks.clone(), outlet.clone())
                .dealing(observed.dealings.clone())
                .sending(outbound.clone())
                .tapped(taps.borrow_mut().get_mut(thread).and_then(Option::take))
        };
        heed()?;
        let dns = sockets.start(books.clone(), answering).map_err(|e| e.to_string())?;
        dns.open(&outlet);
        let writer: Option<tap::Writer> = match takers.is_empty() {
            true => None,
            false => {
                let counts = observed.tap.clone();
                let writer = tap::Writer::start(config.dnstap.clone(), takers, counts, exchange.clone());
                Some(writer.map_err(|e| format!("dnstap cannot start: {e}"))?)
            }
        };
        let takeovers = predecessor.as_ref().map_or(0, |predecessor| predecessor.estate.takeovers + 1);
        let (saved, claim) = match predecessor {
            Some(predecessor) => {
                // Only one control loop writes: ours goes on from the last plan of the one before.
                predecessor.relieve();
                // What it has committed since we read it is known to the folder alone.
                hands::take_over(&mut known, &kept_in(&config.state.dir), &exchange);
                let claim = Claim::take(&config.state.dir).unwrap_or_else(|e| {
                    tracing::warn!("{e}");
                    None
                });
                (kept::read_saved(&config.state.dir, clock.now()).or(saved), claim)
            }
            None => (saved, claim),
        };
        let ready = Ready {
            ready: true,
            dns: dns.addrs_of(Service::Dns),
            tls: dns.addrs_of(Service::Tls),
            https: dns.addrs_of(Service::Https { http3: config.listen.http3 }),
            http: dns.addrs_of(Service::Http),
            quic: dns.addrs_of(Service::Quic),
            grpc: grpc_addr,
            admin: admin_addr,
            zones: n_zones,
            generation: exchange.load().generation,
        };
        let heirloom = keeping::keep_for_successors(&config, takeovers > 0, copies, Estate::new(&ready, takeovers));
        let history = keeping::keep_history(&config, clock);
        let kept = history.as_ref().map(|history| history.recorder().books()).unwrap_or_default();
        let desk = Arc::new(Desk::open(&config.state.dir, clock.now().unix)?);
        // A predecessor has let go of them by now.
        let known_events = kept::read_events(&config.state.dir);
        let announcements = Arc::new(events::Desk::new(config.events.room, known_events.calendar));
        let wiring = Wiring {
            exchange: exchange.clone(),
            inbox: inbox.clone(),
            board: board.clone(),
            desk: desk.clone(),
            clock,
            state_dir: Some(config.state.dir.clone()),
            history: history.clone(),
            probes: ledger.clone(),
            announcements: announcements.clone(),
            announcer_share: config.events.announcer_share,
            forecast: config.forecast.clone(),
            daylight: crate::cli::forecast::clock::daylight(&config.forecast.zone)?,
            seed,
        };
        let control = Live::start(wiring, saved, known_events.announced, kept::read_accounts(&config.state.dir))
            .map_err(|e| format!("the control loop cannot start: {e}"))?;
        let (pulse, status) = (dns.pulse(books.clone()), control.status());

        let (stop, stopping) = sync::watch::channel(false);
        let (stopping_renewal, stopping_calendars) = (stopping.clone(), stopping.clone());
        let stopping_probes = stopping.clone();
        let (answers, ready_flag) = sync::watch::channel(true);
        let (stop_admin, admin_stopping) = sync::watch::channel(false);
        let source = Source {
            exchange: exchange.clone(),
            inbox: inbox.clone(),
            board: board.clone(),
            books,
            observed: observed.clone(),
            place: Arc::new(Place { listeners: ready.listeners(), takeovers }),
            loads: loads.clone(),
            history: kept,
            desk: desk.clone(),
            control: status.clone(),
            announcements: announcements.clone(),
            probes: ledger.clone(),
            clock,
        };
        let operators = Operators::of(&config.grpc);
        let intake =
            telemetry::grpc::Intake { inbox, probes: ledger.clone(), board, exchange: exchange.clone(), clock };
        let routes = Routes::new(telemetry::grpc::service(intake, &config.grpc, stopping.clone()))
            .add_service(admin::steering::service(source.clone(), operators.clone(), stopping.clone()))
            .add_service(admin::events::service(source.clone(), operators));
        let reloader = Arc::new(Reloader {
            config,
            exchange,
            loads,
            clock,
            secrets: secrets.clone(),
            tap: writer.as_ref().map(tap::Writer::renamed),
            known: Mutex::new(known),
            retired: Mutex::default(),
            told: Mutex::default(),
        });
        let reload = {
            let reloader = reloader.clone();
            Arc::new(move |wish| match wish {
                Wish::Take => reloader.reload("asked over HTTP"),
                Wish::Look => reloader.look(),
            })
        };
        let served = admin::http::Admin { source, ready: ready_flag, reload };
        let edges = vec![
            runtime.spawn(logged("gRPC", grpc.serve(routes, stopping.clone()))),
            runtime.spawn(logged("admin HTTP", http.serve(served, admin_stopping))),
            runtime.spawn(limits::tell(observed.rate, stopping.clone())),
            runtime.spawn(watchdog::watch(reloader.exchange.clone(), status.clone(), clock, stopping.clone())),
            runtime.spawn(systemd::beat(pulse, status, stopping)),
        ];
        let mut watching = vec![runtime.spawn(transfer::live::run(to_do, reloader.clone(), observed.dealings))];
        watching.push(runtime.spawn(renew::keep(reloader.clone(), stopping_renewal)));
        if !reloader.config.probe.off {
            let (config, exchange) = (reloader.config.probe.clone(), reloader.exchange.clone());
            let probing = probe::live::Wiring { config, exchange, ledger, clock, seed };
            watching.push(runtime.spawn(probe::live::run(probing, stopping_probes)));
        }
        if let Some(dir) = reloader.config.events.dir.clone() {
            let exchange = reloader.exchange.clone();
            watching.push(runtime.spawn(calendars::follow(dir, announcements, exchange, clock, stopping_calendars)));
        }
        if reloader.config.zones.watch {
            watching.extend(watch::watch_folder(runtime, &reloader));
        }
        watching.extend(secrets.watch(runtime, reloader.loads.clone()));
        Ok(Server {
            ready,
            reloader,
            dns: Some(dns),
            control: Some(control),
            desk,
            history,
            stop,
            answers,
            stop_admin,
            edges,
            runtime: runtime.handle().clone(),
            watching,
            heirloom,
            claim,
            writer,
        })
    }

    /// Takes no more queries and writes no more files, since a successor does both from now on. What is open is left for
    /// [`Server::stop`].
    pub(super) fn leave(&mut self) {
        self.end(true);
        // What was acknowledged is on the disk before the successor reads it.
        self.desk.close();
        if let Some(dns) = &mut self.dns {
            dns.leave();
        }
        if let Some(control) = self.control.take() {
            control.stop();
        }
        self.history = None;
        self.claim = None;
    }

    /// Tells everybody that it ends. `is_left`: to a successor.
    fn end(&mut self, is_left: bool) {
        if let Some(heirloom) = self.heirloom.take() {
            heirloom.end(is_left);
        }
        self.stop.send_replace(true);
        self.answers.send_replace(false);
        if is_left {
            self.stop_admin.send_replace(true);
        }
        for watching in self.watching.drain(..) {
            watching.abort();
        }
    }

    /// Answers what has arrived, ends the calls that are open, saves the plan, and returns.
    pub fn stop(&mut self) {
        self.end(false);
        if let Some(dns) = self.dns.take() {
            dns.stop();
        }
        self.writer = None;
        if let Some(control) = self.control.take() {
            control.stop();
        }
        self.history = None;
        self.stop_admin.send_replace(true);
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
