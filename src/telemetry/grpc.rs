//! `floodway.v1.Telemetry`: the stream of one peer, from protobuf to the inbox and back.
//!
//! With `admin` the only place of protobuf types on the server's side. Each stream is one task,
//! the one in `Session::run`; it never waits for the inbox, and never for a peer that does not read.

use crate::clock::Clock;
use crate::exchange::Exchange;
use crate::probe::Ledger;
use crate::steering::ShadowState;
use crate::telemetry::check::{self, RawLatency, RawSample};
use crate::telemetry::listen::{Config, until_stopped};
use crate::telemetry::meter::{Meter, Peer};
use crate::telemetry::outbox::{Outbox, Word};
use crate::telemetry::proto::{self, telemetry_server::TelemetryServer};
use crate::telemetry::roster::Roster;
use crate::telemetry::told::{Pauses, Report, Told};
use crate::telemetry::vantage::{self, RawOutcome};
use crate::telemetry::{Board, Inbox, Refusal, Said, Utilisation, Voice, Wishes};
use crate::wire::Name;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

/// Octets of one sample: 1024 cells with ordinary names take some 30 KiB.
const MAX_MESSAGE: usize = 128 << 10;
/// Words on their way to a peer before they wait in the outbox.
const MAX_ON_THE_WAY: usize = 16;
/// Samples taken in before other tasks get a turn.
const MAX_IN_A_ROW: u32 = 64;

//----------- Service --------------------------------------------------------

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Intake {
    /// Where good samples go.
    pub inbox: Arc<Inbox>,
    /// Where outcomes of probes go.
    pub probes: Arc<Ledger>,
    /// Where wishes to POPs stand.
    pub board: Arc<Board>,
    /// Where the names of the current policies are.
    pub exchange: Arc<Exchange>,
    /// What time it is.
    pub clock: Clock,
}

/// The telemetry service. Its streams end when `stop` becomes true.
pub fn service(intake: Intake, config: &Config, stop: watch::Receiver<bool>) -> TelemetryServer<Service> {
    service_with(intake, config, Pauses::default(), stop)
}

fn service_with(
    intake: Intake,
    config: &Config,
    pauses: Pauses,
    stop: watch::Receiver<bool>,
) -> TelemetryServer<Service> {
    let meter = Meter::new(config.samples_per_second, 2.0 * config.samples_per_second);
    let service = Service {
        shared: Arc::new(Shared { intake, roster: Mutex::new(None), meter: Mutex::new(meter), pauses }),
        room: Arc::new(Semaphore::new(config.max_streams)),
        stop,
    };
    TelemetryServer::new(service).max_decoding_message_size(MAX_MESSAGE)
}

/// The telemetry service, as tonic wants it.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl proto::telemetry_server::Telemetry for Service {
    type ReportStream = ReceiverStream<Result<proto::Directive, Status>>;

    async fn report(&self, request: Request<Streaming<proto::Sample>>) -> Result<Response<Self::ReportStream>, Status> {
        let permit = self.room.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted("too many telemetry streams are open; close some, or raise [grpc] max-streams")
        })?;
        let (words, outgoing) = mpsc::channel(MAX_ON_THE_WAY);
        let session = Session {
            peer: peer_of(&request),
            roster: self.shared.roster(),
            shared: self.shared.clone(),
            outbox: Outbox::default(),
            told: Told::new(self.shared.pauses),
            began: Instant::now(),
            _permit: permit,
        };
        tokio::spawn(session.run(request.into_inner(), words, self.stop.clone()));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// Who sends: by its address, and by its certificate if there was TLS.
pub fn peer_of<T>(request: &Request<T>) -> Peer {
    let voice = match request.peer_certs() {
        // The first is the peer's own (RFC 8446 section 4.4.2).
        Some(certs) => certs.first().map_or(Voice::Pops(Vec::new()), |cert| Voice::of_certificate(cert)),
        None => Voice::Anyone,
    };
    Peer { addr: request.remote_addr().map(|a| a.ip()), voice }
}

#[derive(Debug)]
struct Shared {
    intake: Intake,
    roster: Mutex<Option<Arc<Roster>>>,
    meter: Mutex<Meter>,
    pauses: Pauses,
}

impl Shared {
    /// The names of the current policies, made once per load.
    fn roster(&self) -> Arc<Roster> {
        let snapshot = self.intake.exchange.load();
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        match &*roster {
            Some(made) if Arc::ptr_eq(&made.policies, &snapshot.policies) => made.clone(),
            _ => roster.insert(Arc::new(Roster::new(snapshot.policies.clone()))).clone(),
        }
    }
}

//----------- Session --------------------------------------------------------

/// One stream of one peer.
struct Session {
    peer: Peer,
    shared: Arc<Shared>,
    roster: Arc<Roster>,
    outbox: Outbox,
    /// What was said to be wanted of the POPs that have reported here; its clock counts from `began`.
    told: Told,
    began: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Session {
    async fn run(
        mut self,
        mut samples: Streaming<proto::Sample>,
        words: mpsc::Sender<Result<proto::Directive, Status>>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut board = self.shared.intake.board.watch();
        let (mut open, mut in_a_row) = (true, 0);
        while open || !self.outbox.is_empty() {
            let due = self.told.due();
            tokio::select! {
                free = words.reserve(), if !self.outbox.is_empty() => {
                    let Ok(free) = free else { return };
                    if let Some(word) = self.outbox.take() {
                        free.send(Ok(say(word)));
                    }
                    in_a_row = 0;
                }
                sample = samples.message(), if open => match sample {
                    Ok(Some(sample)) => {
                        self.take_in(sample);
                        in_a_row += 1;
                        if in_a_row >= MAX_IN_A_ROW {
                            in_a_row = 0;
                            tokio::task::yield_now().await;
                        }
                    }
                    Ok(None) => open = false,
                    Err(status) => return self.break_off(status, &words).await,
                },
                changed = board.changed(), if open => {
                    if changed.is_err() {
                        return;
                    }
                    let wanted = board.borrow_and_update().clone();
                    let news = self.told.update(&wanted, self.now());
                    self.say_wishes(news, Said::Changed);
                }
                () = sleep_until(self.began + Duration::from_secs_f64(due.unwrap_or(0.0))), if open && due.is_some() => {
                    let again = self.told.again(self.now());
                    self.say_wishes(again, Said::Again);
                }
                () = until_stopped(&mut stop), if open => {
                    let bye = Status::unavailable("the server is stopping; report to another, or again in a while");
                    // A peer that is gone needs no farewell.
                    let _ = words.try_send(Err(bye));
                    return;
                }
                () = words.closed() => return,
            }
        }
    }

    /// The way of one sample: meter, check, inbox or ledger, and the word back.
    fn take_in(&mut self, sample: proto::Sample) {
        let (shared, seq, generation) = (&self.shared, sample.seq, sample.wanted_generation);
        let (inbox, now) = (&shared.intake.inbox, shared.intake.clock.now());
        if !shared.meter.lock().unwrap_or_else(PoisonError::into_inner).allow(&self.peer, now.mono) {
            inbox.refuse(Refusal::TooMany);
            self.outbox.refuse(seq, Refusal::TooMany, || {
                format!("more samples than one peer may send; {}", Refusal::TooMany.advice())
            });
            return;
        }
        if !Arc::ptr_eq(&self.roster.policies, &shared.intake.exchange.load().policies) {
            self.roster = shared.roster();
        }
        let (roster, voice) = (&self.roster, &self.peer.voice);
        if let Some(probe) = &sample.probe {
            let probe = RawOutcome { place: &probe.place, well: probe.well };
            let own = &shared.intake.probes.place;
            match vantage::check(&sample.pop, probe, own, roster, voice) {
                Ok(outcome) => {
                    shared.intake.probes.report(outcome);
                    inbox.taken_elsewhere();
                    self.outbox.accept(seq);
                }
                Err(refused) => self.refuse(seq, refused),
            }
            return;
        }
        let sample = match check::check(raw(sample), roster, voice, now.unix) {
            Ok(sample) => sample,
            Err(refused) => return self.refuse(seq, refused),
        };
        let report = Report {
            pop: sample.pop.clone(),
            group: sample.group.clone(),
            member: sample.member.clone(),
            shadow: sample.shadow,
            generation,
        };
        match inbox.push(sample) {
            Ok(()) => {
                self.outbox.accept(seq);
                self.reply(report);
            }
            Err(refusal) => self.outbox.refuse(seq, refusal, || format!("the inbox is full; {}", refusal.advice())),
        }
    }

    fn refuse(&mut self, seq: u64, refused: check::Refused) {
        self.shared.intake.inbox.refuse(refused.refusal);
        let roster = &self.roster;
        self.outbox.refuse(seq, refused.refusal, || refused.text(roster));
    }

    /// Takes in what a sample acknowledges, and says what follows.
    fn reply(&mut self, report: Report) {
        let board = &self.shared.intake.board;
        let reply = self.told.report(&report, &board.wanted(), self.began.elapsed().as_secs_f64());
        if let Some(generation) = reply.acknowledged {
            board.note_heard(&report.pop, generation);
        }
        if let Some(wishes) = reply.say {
            self.say_wishes(vec![(report.pop, wishes)], Said::First);
        }
    }

    /// Says what is wanted of POPs, and notes why.
    fn say_wishes(&mut self, wishes: Vec<(Name, Arc<Wishes>)>, why: Said) {
        for (pop, wishes) in wishes {
            self.shared.intake.board.note_said(&pop, wishes.generation, why);
            self.outbox.want(pop, wishes);
        }
    }

    /// Seconds since the stream began.
    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Ends a stream that failed; a sample that could not be read counts as malformed.
    async fn break_off(self, status: Status, words: &mpsc::Sender<Result<proto::Directive, Status>>) {
        // tonic says OUT_OF_RANGE of a message that is too long, INTERNAL of one that does not decode;
        // everything else is a connection that went away.
        if matches!(status.code(), Code::OutOfRange | Code::Internal) {
            self.shared.intake.inbox.refuse(Refusal::Malformed);
        }
        // A peer that is gone needs no farewell.
        let _ = words.send(Err(status)).await;
    }
}

//----------- Protobuf in ----------------------------------------------------

fn raw(sample: proto::Sample) -> RawSample {
    let used = sample.utilisation.unwrap_or_default();
    RawSample {
        // An enum has a default, and peers of another version have other values: both come out as no state.
        shadow: sample.shadow.map(|n| match proto::ShadowState::try_from(n).ok().and_then(shadow_from_proto) {
            Some(state) => word_of(state).to_owned(),
            None => format!("number {n}"),
        }),
        pop: sample.pop,
        group: sample.group,
        member: sample.member,
        time: sample.time,
        window_secs: sample.window_seconds,
        requests: sample.requests,
        errors: sample.errors,
        latency: sample.latency.map(|l| RawLatency { p50_ms: l.p50_ms, p95_ms: l.p95_ms, p99_ms: l.p99_ms }),
        capacity: sample.capacity,
        utilisation: Utilisation {
            cpu: used.cpu,
            memory: used.memory,
            bandwidth: used.bandwidth,
            connections: used.connections,
        },
        cells: sample.cells.into_iter().collect(),
    }
}

/// The plain form of a shadow state; `None` for the unspecified one.
pub fn shadow_from_proto(state: proto::ShadowState) -> Option<ShadowState> {
    Some(match state {
        proto::ShadowState::Unspecified => return None,
        proto::ShadowState::Cold => ShadowState::Cold,
        proto::ShadowState::Warming => ShadowState::Warming,
        proto::ShadowState::Ready => ShadowState::Ready,
        proto::ShadowState::Active => ShadowState::Active,
        proto::ShadowState::Draining => ShadowState::Draining,
    })
}

fn word_of(state: ShadowState) -> &'static str {
    match state {
        ShadowState::Cold => "cold",
        ShadowState::Warming => "warming",
        ShadowState::Ready => "ready",
        ShadowState::Active => "active",
        ShadowState::Draining => "draining",
    }
}

//----------- Protobuf out ---------------------------------------------------

/// The protobuf form of a shadow state.
pub fn shadow_to_proto(state: ShadowState) -> proto::ShadowState {
    match state {
        ShadowState::Cold => proto::ShadowState::Cold,
        ShadowState::Warming => proto::ShadowState::Warming,
        ShadowState::Ready => proto::ShadowState::Ready,
        ShadowState::Active => proto::ShadowState::Active,
        ShadowState::Draining => proto::ShadowState::Draining,
    }
}

fn say(word: Word) -> proto::Directive {
    use proto::directive::Say;
    let say = match word {
        Word::Accepted { last_seq, count } => Say::Accepted(proto::Accepted { last_seq, count }),
        Word::Refused(run) => Say::Refused(proto::Refused {
            reason: run.refusal.label().to_owned(),
            text: run.text,
            first_seq: run.first_seq,
            last_seq: run.last_seq,
            count: run.count,
        }),
        Word::Wanted(pop, wishes) => Say::Wanted(proto::Wanted {
            pop: pop.to_string(),
            generation: wishes.generation,
            shadows: wishes
                .shadows
                .iter()
                .map(|wish| proto::WantedShadow {
                    group: wish.group.to_string(),
                    member: wish.member.to_string(),
                    wanted: shadow_to_proto(wish.wanted).into(),
                    reason: wish.reason.clone(),
                })
                .collect(),
            connections: wishes
                .drains
                .iter()
                .map(|drain| proto::WantedConnections {
                    group: drain.group.to_string(),
                    member: drain.member.to_string(),
                    max_connection_age_seconds: drain.max_connection_age_secs,
                    reason: drain.reason.to_owned(),
                })
                .collect(),
        }),
    };
    proto::Directive { say: Some(say) }
}

#[cfg(test)]
mod tests;
