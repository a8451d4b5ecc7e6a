//! The thread around the tick: clock, inbox, exchange, board and disk.
//!
//! It beats every second, and at once when samples arrive, but at most five times a second. Whatever goes
//! wrong here, queries go on being answered from the snapshot that is out: a panic inside a tick is
//! caught and counted, and the loop starts over from the last good plan.

mod history;
mod saving;
mod telling;

use crate::clock::{Clock, Now};
use crate::control::accounts::Accounts;
use crate::control::announced::Announced;
use crate::control::declared::declared_plan;
use crate::control::drains::drains;
use crate::control::fitter::Fitter;
use crate::control::foresight::{self, Alerts};
use crate::control::heavy;
use crate::control::overrides::desk::Question;
use crate::control::overrides::{Desk, Override, Overrides, Plans, What};
use crate::control::persist::Saved;
use crate::control::remember::Remember;
use crate::control::state::State;
use crate::control::status::Status;
use crate::control::story::story;
use crate::control::tick::{Inputs, Ticked, tick};
use crate::events;
use crate::exchange::{Exchange, Retired, Snapshot, Tally, TallySum};
use crate::forecast::daylight::Daylight;
use crate::geo::CellMap;
use crate::policy::Policies;
use crate::probe::Ledger;
use crate::steering::{Mode, Plan, Table};
use crate::store::History;
use crate::telemetry::{Board, Inbox};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between beats when nothing arrives.
const BEAT: Duration = Duration::from_secs(1);
/// Least time between beats.
const LEAST: Duration = Duration::from_millis(200);
/// Seconds between saves while nothing happens.
const SAVE_SECS: f64 = 10.0;
//----------- Live -----------------------------------------------------------

/// The running control loop. Dropping it lets the thread run on; [`Live::stop`] ends it.
#[derive(Debug)]
pub struct Live {
    inbox: Arc<Inbox>,
    stop: Arc<AtomicBool>,
    status: Arc<Status>,
    thread: JoinHandle<()>,
}

/// What the loop is wired to.
#[derive(Clone, Debug)]
pub struct Wiring {
    /// Where plans go, and where policies, cells and tally come from. A reload publishes its snapshot
    /// there, with [`carry`](crate::control::carry) for a plan; the next beat takes everything over by name.
    pub exchange: Arc<Exchange>,
    /// Where samples come from.
    pub inbox: Arc<Inbox>,
    /// Where directives go.
    pub board: Arc<Board>,
    /// Where operators' overrides and questions come from.
    pub desk: Arc<Desk>,
    /// The time.
    pub clock: Clock,
    /// Where the plan is saved; `None` saves nothing.
    pub state_dir: Option<PathBuf>,
    /// Where what was measured and decided is kept; `None` keeps nothing.
    pub history: Option<Arc<History>>,
    /// Where outcomes of probes come from.
    pub probes: Arc<Ledger>,
    /// Where announcements come from.
    pub announcements: Arc<events::Desk>,
    /// What one announcer may claim of the capacity of a group's POPs, in `(0, 1]`.
    pub announcer_share: f64,
    /// What forecasters may cost, and when to complain about them.
    pub forecast: foresight::Config,
    /// The clock that people go by, as `[forecast] zone` names it; `None` is UTC.
    pub daylight: Option<Arc<Daylight>>,
    /// Decides the jitter of breakers.
    pub seed: u64,
}

/// Lets other threads go before the calling one, for good: a plan may be some milliseconds late, an answer may not.
pub fn give_way() {
    // SAFETY: nice(2) takes a number and on Linux changes the calling thread alone. To give way is always allowed.
    unsafe { libc::nice(10) };
}

impl Live {
    /// Starts the thread. `saved`: the plan to go on from; `events`: what was known of events; `accounts`: what shadows had cost
    /// and brought: all as [`kept`](crate::control::kept) reads it.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(wiring: Wiring, saved: Option<Saved>, events: Announced, accounts: Accounts) -> std::io::Result<Live> {
        let (stop, status) = (Arc::new(AtomicBool::new(false)), Arc::new(Status::default()));
        let inbox = wiring.inbox.clone();
        let mut looping = Loop::new(wiring, saved, status.clone(), tick);
        looping.state.resume_events(events);
        looping.state.resume_accounts(accounts);
        looping.limit();
        let stopping = stop.clone();
        let run = move || {
            give_way();
            looping.run(&stopping);
        };
        let thread = std::thread::Builder::new().name("control".into()).spawn(run)?;
        Ok(Live { inbox, stop, status, thread })
    }

    /// Counters and notes.
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Ends the loop after the beat it is in, and saves the plan.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.inbox.wake();
        if self.thread.join().is_err() {
            tracing::error!("the control loop had died");
        }
    }
}

/// The plan to serve first: the saved one, marked stale, or what is declared.
pub fn first_plan(saved: Option<&Saved>, policies: &Policies, cells: &CellMap) -> Plan {
    match saved.filter(|s| s.mode != Mode::Declared) {
        Some(saved) => Plan { mode: Mode::Stale, ..saved.onto(policies, cells) },
        None => declared_plan(policies, cells),
    }
}

//----------- Loop -----------------------------------------------------------

type Tick = fn(&mut State, &Inputs, Now) -> Ticked;

/// What the thread owns.
struct Loop {
    wiring: Wiring,
    status: Arc<Status>,
    tick: Tick,
    state: State,
    /// The tally that was read last, and its sum then.
    counted: Option<(Arc<Tally>, TallySum)>,
    /// When slots were last asked what they carry; `None` when it is this beat's turn to ask.
    weighed: Option<Now>,
    /// What the table that is out was compiled from.
    compiled: Option<(Arc<Plan>, Arc<Table>)>,
    saved_at: Option<Now>,
    remember: Remember,
    /// Fits forecasters; `None` where no thread could be started, and in tests.
    fitter: Option<Fitter>,
    /// When forecasts were looked over last, and what was complained about.
    looked_over: Option<Now>,
    alerts: Alerts,
    /// Snapshots before the current one that are still held somewhere.
    retired: Retired,
}

impl Loop {
    fn new(wiring: Wiring, saved: Option<Saved>, status: Arc<Status>, tick: Tick) -> Loop {
        let state = saved.map_or_else(|| State::new(wiring.seed), |saved| State::resume(wiring.seed, saved));
        let (counted, weighed, compiled, saved_at) = (None, None, None, None);
        let (remember, retired) = (Remember::default(), Retired::default());
        let (fitter, looked_over, alerts) = (None, None, Alerts::default());
        let mut looping = Loop {
            wiring,
            status,
            tick,
            state,
            counted,
            weighed,
            compiled,
            saved_at,
            remember,
            fitter,
            looked_over,
            alerts,
            retired,
        };
        looping.limit();
        looping
    }

    fn run(&mut self, stop: &AtomicBool) {
        self.recall();
        self.fitter = Fitter::start(self.wiring.forecast.cpu_seconds_per_minute)
            .inspect_err(|e| tracing::error!("no thread for fitting forecasts: {e}; old ones go on"))
            .ok();
        let mut first = true;
        while !stop.load(Ordering::Relaxed) {
            if !first {
                std::thread::sleep(LEAST);
                self.retired.free();
                self.wiring.inbox.wait(BEAT - LEAST);
            }
            first = false;
            let now = self.wiring.clock.now();
            self.beat(now);
            let spent = self.wiring.clock.now().since(now);
            self.status.last_micros.store((spent * 1e6) as u64, Ordering::Relaxed);
        }
        self.save();
    }

    /// One beat. A panic inside is caught; the next beat starts over from the last good plan.
    fn beat(&mut self, now: Now) {
        let base = self.wiring.exchange.load_full();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.step(&base, now)));
        match outcome {
            Ok(()) => {
                self.status.ticks.fetch_add(1, Ordering::Relaxed);
                self.status.beaten.set(now);
            }
            Err(_) => {
                self.status.panics.fetch_add(1, Ordering::Relaxed);
                tracing::error!("the control tick panicked; the plan that is out goes on serving");
                let saved = Saved::of(&base.plan, &base.policies, &base.cells);
                let (announced, accounts) = (self.state.announced().clone(), self.state.accounts().clone());
                self.state = State::resume(self.wiring.seed, saved);
                self.state.resume_events(announced);
                self.state.resume_accounts(accounts);
                (self.counted, self.compiled) = (None, None);
                self.limit();
                self.recall();
            }
        }
    }

    fn step(&mut self, base: &Arc<Snapshot>, now: Now) {
        let samples = self.wiring.inbox.drain();
        let probes = self.wiring.probes.drain();
        let tally = self.count(base, now);
        let calendar = self.wiring.announcements.calendar();
        let (policies, cells) = (&base.policies, &base.cells);
        let inputs =
            Inputs { policies, cells, samples: &samples, probes: &probes, tally: &tally, calendar: Some(&calendar) };
        self.state.overrule(self.wiring.desk.current(now.unix));
        let ticked = (self.tick)(&mut self.state, &inputs, now);
        self.tell(&ticked.notes, now);
        self.wiring.board.set(ticked.directives, drains(&ticked.plan, policies));
        self.publish(base, ticked.plan);
        self.show_events(now);
        self.show_probes(now);
        self.remember(now);
        if let Some(fitter) = &mut self.fitter {
            fitter.step(&mut self.state, now);
            self.status.fitting.put(fitter.busy_since());
        }
        self.look_over(now);
        self.answer(base, now);
        let due = self.saved_at.is_none_or(|at| now.since(at) >= SAVE_SECS);
        if due || !ticked.notes.is_empty() {
            self.saved_at = Some(now);
            self.status.show_accounts(self.state.accounts().clone());
            self.save();
        }
    }

    /// Answers a question: why a POP stands as it does, or what would be if something were overridden.
    fn answer(&mut self, base: &Arc<Snapshot>, now: Now) {
        // Whoever asked may have gone.
        match self.wiring.desk.question() {
            None => {}
            Some(Question::WhatIf(whats, answer)) => drop(answer.send(self.rehearse(whats, base, now))),
            Some(Question::Why(name, answer)) => {
                let at = base.policies.pops.iter().position(|pop| pop.name == name);
                drop(answer.send(at.and_then(|pop| story(&self.state, pop.into(), now))));
            }
        }
    }

    /// What would be if something were overridden that is not: by ticks on copies of the state.
    fn rehearse(&mut self, whats: Vec<What>, base: &Arc<Snapshot>, now: Now) -> Plans {
        let asked = whats.into_iter().zip(1..).map(|(what, id)| Override {
            id: u64::MAX - id,
            what,
            author: "the question".into(),
            reason: "what if".into(),
            made_at: now.unix,
            ends_at: f64::MAX,
        });
        let current = self.wiring.desk.current(now.unix);
        let with_asked = Overrides::of(current.iter().cloned().chain(asked));
        let none = TallySum::default();
        let inputs = {
            let (policies, cells) = (&base.policies, &base.cells);
            // What is announced is in the state by now.
            Inputs { policies, cells, samples: &[], probes: &[], tally: &none, calendar: None }
        };
        // The plan that is out may be older than what is known: both are of this moment.
        let [now, then] = [current, with_asked].map(|overrides| {
            let mut state = self.state.clone();
            state.rouse();
            state.overrule(overrides);
            (self.tick)(&mut state, &inputs, now).plan
        });
        Plans { now, then, policies: base.policies.clone() }
    }

    /// What the data plane counted since the last beat.
    fn count(&mut self, base: &Snapshot, now: Now) -> TallySum {
        let sum = base.tally.sum();
        let mut since = match self.counted.take().filter(|(tally, _)| Arc::ptr_eq(tally, &base.tally)) {
            Some((_, before)) => sum.since(&before),
            None => sum.clone(),
        };
        self.counted = Some((base.tally.clone(), sum));
        match self.weighed {
            Some(at) if now.since(at) < heavy::LOOK_SECS => {}
            // The next beat asks what they carried: whoever is counting has finished by then.
            Some(_) => {
                base.tally.turn();
                self.weighed = None;
            }
            None => {
                since.carried = base.tally.carried();
                self.weighed = Some(now);
            }
        }
        since
    }

    /// Compiles a table if queries would see a difference, and publishes. A plan made for a snapshot that a
    /// reload has replaced meanwhile is dropped: the next beat plans for the new one.
    fn publish(&mut self, base: &Arc<Snapshot>, plan: Plan) {
        let plan = Arc::new(plan);
        let same_load = self.compiled.as_ref().filter(|(before, _)| Arc::ptr_eq(before, &base.plan));
        let table = match same_load {
            Some((before, table)) if answers_alike(before, &plan) => table.clone(),
            _ => Arc::new(Table::compile(&plan, &base.policies, &base.cells.cells, Some(&base.table))),
        };
        let before = self.wiring.exchange.publish_plan(base, plan.clone(), table.clone());
        self.compiled = before.is_some().then_some((plan, table));
        before.into_iter().for_each(|before| self.retired.put(before));
    }

    /// Tells the state what forecasters may take up, and the clock that people go by.
    fn limit(&mut self) {
        self.state.limit(self.wiring.forecast.memory_megabytes as usize * 1_000_000);
        self.state.announced_mut().allow(self.wiring.announcer_share);
        self.state.go_by(self.wiring.daylight.clone());
    }
}

/// Whether queries would see no difference between two plans for the same policies and cells.
pub fn answers_alike(a: &Plan, b: &Plan) -> bool {
    let same = |(a, b): (&crate::steering::GroupPlan, &crate::steering::GroupPlan)| {
        a.ttl == b.ttl && a.row_of_cell == b.row_of_cell && a.rows == b.rows && a.heavy.slots == b.heavy.slots
    };
    a.groups.len() == b.groups.len() && a.groups.iter().zip(&b.groups).all(same)
}

#[cfg(test)]
#[path = "live_tests.rs"]
mod tests;
