//! `floodway.v1.Events`: announcements over gRPC.
//!
//! Who may announce is settled as for telemetry: without TLS, on loopback, everybody; with it whom the certificate names. A peer
//! speaks for a group as a POP speaks for itself, and the operators of `[grpc]` for all.

use crate::admin::Source;
use crate::admin::overrides::Operators;
use crate::control::announced::{EventState, Events, KindState};
use crate::events::kind::Learnt;
use crate::events::preview::preview;
use crate::events::{Announcement, Asked, Desk};
use crate::policy::ForecastUse;
use crate::telemetry::Voice;
use crate::telemetry::grpc::peer_of;
use crate::telemetry::meter::{Meter, Peer};
use crate::telemetry::proto::{self, events_server::EventsServer};
use std::sync::{Arc, Mutex, PoisonError};
use tonic::{Request, Response, Status};

/// Octets of a request: 256 cells with long names.
const MAX_MESSAGE: usize = 64 << 10;
/// Words per second that one peer may send in the long run, and at once: announcements are rare, and each costs some
/// milliseconds. Our choice.
const PER_SECOND: f64 = 20.0;
/// See [`PER_SECOND`].
const AT_ONCE: f64 = 200.0;
/// Longest reason and author of a cancellation, octets.
const MAX_WORDS: usize = 500;

//----------- Service --------------------------------------------------------

/// The events service.
pub fn service(source: Source, operators: Operators) -> EventsServer<Service> {
    let meter = Mutex::new(Meter::new(PER_SECOND, AT_ONCE));
    EventsServer::new(Service { desk: source.announcements.clone(), source, operators, meter })
        .max_decoding_message_size(MAX_MESSAGE)
}

/// The events service, as tonic wants it.
#[derive(Debug)]
pub struct Service {
    source: Source,
    desk: Arc<Desk>,
    operators: Operators,
    meter: Mutex<Meter>,
}

impl Service {
    /// Lets a word in, if its peer has not sent too many.
    fn admit<T>(&self, request: &Request<T>) -> Result<Voice, Status> {
        let peer: Peer = peer_of(request);
        let now = self.source.clock.now().mono;
        match self.meter.lock().unwrap_or_else(PoisonError::into_inner).allow(&peer, now) {
            true => Ok(peer.voice),
            false => {
                self.desk.refuse();
                Err(Status::resource_exhausted("more words than one peer may send; try again in a minute"))
            }
        }
    }

    /// Whether a peer may change an announcement.
    fn may_change(&self, voice: &Voice, announcement: &Announcement) -> bool {
        self.operators.include(voice) || is_own(voice, announcement)
    }

    fn refused(&self, status: Status) -> Status {
        self.desk.refuse();
        status
    }
}

/// Who speaks, in the place of what it says of itself.
fn speaker(voice: &Voice, said: String) -> String {
    match voice {
        Voice::Anyone => said,
        Voice::Pops(names) => names.first().map_or(said, ToString::to_string),
    }
}

/// Whether an announcement is a peer's own.
fn is_own(voice: &Voice, announcement: &Announcement) -> bool {
    match voice {
        Voice::Anyone => true,
        Voice::Pops(names) => names.first().is_some_and(|name| name.to_string() == announcement.announcer),
    }
}

#[tonic::async_trait]
impl proto::events_server::Events for Service {
    async fn announce(
        &self,
        request: Request<proto::AnnounceRequest>,
    ) -> Result<Response<proto::AnnounceResponse>, Status> {
        let voice = self.admit(&request)?;
        let request = request.into_inner();
        let said = request.announcement.ok_or_else(|| self.refused(Status::invalid_argument("no announcement")))?;
        let now = self.source.clock.now().unix;
        let snapshot = self.source.exchange.load_full();
        let mut asked = asked(said, now);
        asked.announcer = speaker(&voice, asked.announcer);
        let group = |text: &str| Announcement::group_of(text, &snapshot.policies);
        let checked = asked.check(&group, &snapshot.cells, now);
        let announcement =
            checked.map_err(|flaw| self.refused(Status::invalid_argument(format!("{}: {}", flaw.key, flaw.text))))?;
        if !self.operators.include(&voice) && !voice.speaks_for(&announcement.group) {
            let text = format!("announce with a certificate that has {} as a DNS name", announcement.group);
            return Err(self.refused(Status::permission_denied(text)));
        }
        let response = self.expected(&announcement, &snapshot.policies);
        if !request.dry_run {
            // Counted there.
            self.desk.announce(announcement, now).map_err(|e| Status::failed_precondition(e.to_string()))?;
            self.source.inbox.wake();
        }
        Ok(Response::new(response))
    }

    async fn list(&self, _: Request<proto::ListRequest>) -> Result<Response<proto::ListResponse>, Status> {
        Ok(Response::new(to_proto(&self.source.control.events())))
    }

    async fn cancel(&self, request: Request<proto::CancelRequest>) -> Result<Response<proto::CancelResponse>, Status> {
        let voice = self.admit(&request)?;
        let proto::CancelRequest { id, by, reason } = request.into_inner();
        let by = speaker(&voice, by);
        if by.len() + reason.len() > MAX_WORDS || by.chars().chain(reason.chars()).any(char::is_control) {
            let text = format!("by and reason: at most {MAX_WORDS} octets without control characters");
            return Err(self.refused(Status::invalid_argument(text)));
        }
        let by = if by.is_empty() { "unnamed".to_owned() } else { by };
        let who = [by, reason].into_iter().filter(|w| !w.is_empty()).collect::<Vec<_>>().join(": ");
        let done = self.desk.cancel(&id, who, |a| self.may_change(&voice, a));
        done.map_err(|e| Status::failed_precondition(e.to_string()))?;
        self.source.inbox.wake();
        Ok(Response::new(proto::CancelResponse {}))
    }

    async fn report_outcome(
        &self,
        request: Request<proto::ReportOutcomeRequest>,
    ) -> Result<Response<proto::ReportOutcomeResponse>, Status> {
        let voice = self.admit(&request)?;
        let proto::ReportOutcomeRequest { id, requests } = request.into_inner();
        if !(0.0..=1e12).contains(&requests) {
            return Err(self.refused(Status::invalid_argument(format!("requests: {requests}: a number from 0 on"))));
        }
        let done = self.desk.report(&id, requests, |a| self.may_change(&voice, a));
        done.map_err(|e| Status::failed_precondition(e.to_string()))?;
        Ok(Response::new(proto::ReportOutcomeResponse {}))
    }
}

impl Service {
    /// What is expected of an announcement, and what to know about it.
    fn expected(&self, announcement: &Announcement, policies: &crate::policy::Policies) -> proto::AnnounceResponse {
        let events = self.source.control.events();
        let group = announcement.group.to_string();
        let usual = events.usual.get(&group).copied();
        let learnt = events.learnt.get(&announcement.kind).cloned().unwrap_or_else(|| Learnt::prior(announcement.kind));
        let expected = preview(Arc::new(announcement.clone()), &learnt, usual.unwrap_or(0.0));
        let mut remarks = vec![];
        if usual.is_none() {
            remarks.push(format!("nobody has reported of {group} yet: what would be usual is not known"));
        }
        let spec = policies.groups.iter().find(|g| g.name == announcement.group);
        if spec.is_some_and(|g| g.forecast != ForecastUse::Steer) {
            remarks.push(format!("{group} has forecast=show or forecast=off: the event is shown and steers nothing"));
        }
        let point = |p: &crate::events::preview::Point| proto::ExpectedPoint {
            seconds: p.secs,
            q10: p.q10,
            q50: p.q50,
            q90: p.q90,
        };
        proto::AnnounceResponse {
            id: announcement.id.clone(),
            group,
            requests: expected.requests,
            peak: expected.peak,
            peak_seconds: expected.peak_secs,
            curve: expected.points.iter().map(point).collect(),
            remarks,
        }
    }
}

//----------- Protobuf in ----------------------------------------------------

fn asked(said: proto::Announcement, now: f64) -> Asked {
    Asked {
        id: Some(said.id),
        group: said.group,
        cells: said.cells,
        kind: said.kind,
        start: said.start.unwrap_or(now),
        recipients: said.recipients,
        click_rate: said.click_rate,
        requests_per_click: said.requests_per_click,
        peak: said.peak,
        times: said.times,
        send_secs: said.send_seconds,
        decay_secs: said.decay_seconds,
        pass_along: said.pass_along,
        confidence: said.confidence,
        expires_secs: said.expires_seconds,
        announcer: said.announcer,
        note: said.note,
    }
}

/// The protobuf form of what was asked; `None` for a start means now.
pub fn asked_to_proto(asked: Asked, start: Option<f64>) -> proto::Announcement {
    proto::Announcement {
        id: asked.id.unwrap_or_default(),
        group: asked.group,
        cells: asked.cells,
        kind: asked.kind,
        start,
        recipients: asked.recipients,
        click_rate: asked.click_rate,
        requests_per_click: asked.requests_per_click,
        peak: asked.peak,
        times: asked.times,
        send_seconds: asked.send_secs,
        decay_seconds: asked.decay_secs,
        pass_along: asked.pass_along,
        confidence: asked.confidence,
        expires_seconds: asked.expires_secs,
        announcer: asked.announcer,
        note: asked.note,
    }
}

//----------- Protobuf out ---------------------------------------------------

fn to_proto(events: &Events) -> proto::ListResponse {
    proto::ListResponse {
        events: events.events.iter().cloned().map(event_to_proto).collect(),
        kinds: events.kinds.iter().map(kind_to_proto).collect(),
    }
}

fn event_to_proto(e: EventState) -> proto::EventState {
    proto::EventState {
        id: e.id,
        group: e.group,
        kind: e.kind.word().into(),
        announcer: e.announcer,
        note: e.note,
        start: e.start,
        expires: e.expires,
        file: e.file,
        cancelled: e.cancelled,
        phase: e.phase,
        announced: e.announced,
        came: e.came,
        now: e.now,
        p_absent: e.p_absent,
        late_seconds: e.late_seconds,
        trust: e.trust,
        pass_along: e.pass_along,
    }
}

fn kind_to_proto(k: &KindState) -> proto::KindState {
    let kind = k.kind.word().to_owned();
    proto::KindState { kind, events: k.events, factor: k.factor, sigma: k.sigma, comes: k.comes }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
