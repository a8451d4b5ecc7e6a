//! `floodway.v1.Steering`: the state of the server and its reasons over gRPC, and the protobuf form of
//! [`State`].

use crate::admin::beside::{Beside, Why};
use crate::admin::directives::DirectivesState;
use crate::admin::overrides::{Operators, PATIENCE};
use crate::admin::standby::{BudgetState, StandbyState};
use crate::admin::state::{Ahead, GroupState, MemberBreaker, MemberState, PopState, ProbeState, Samples};
use crate::admin::{Source, State};
use crate::answer;
use crate::control::probes::PlaceState;
use crate::control::story;
use crate::steering::asserted::Asserted;
use crate::steering::{BreakerState, Mode};
use crate::telemetry::grpc::{shadow_from_proto, shadow_to_proto};
use crate::telemetry::listen::until_stopped;
use crate::telemetry::proto::{self, steering_server::SteeringServer};
use crate::wire::Name;
use crate::zone::rdata;
use ipnet::IpNet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// Octets of a request: two names and an address.
const MAX_MESSAGE: usize = 8 << 10;
/// Watchers at one time.
const MAX_WATCHERS: usize = 256;

//----------- Service --------------------------------------------------------

/// The steering service. Its streams end when `stop` becomes true. `operators`: who may override.
pub fn service(source: Source, operators: Operators, stop: watch::Receiver<bool>) -> SteeringServer<Service> {
    let service = Service { source, operators, room: Arc::new(Semaphore::new(MAX_WATCHERS)), stop };
    SteeringServer::new(service).max_decoding_message_size(MAX_MESSAGE)
}

/// The steering service, as tonic wants it.
#[derive(Debug)]
pub struct Service {
    source: Source,
    operators: Operators,
    room: Arc<Semaphore>,
    stop: watch::Receiver<bool>,
}

#[tonic::async_trait]
impl proto::steering_server::Steering for Service {
    type WatchStream = ReceiverStream<Result<proto::StateResponse, Status>>;

    async fn state(&self, _: Request<proto::StateRequest>) -> Result<Response<proto::StateResponse>, Status> {
        Ok(Response::new(to_proto(self.source.state())))
    }

    async fn watch(&self, request: Request<proto::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let every = request.into_inner().interval_seconds.unwrap_or(1.0);
        if !(0.2..=60.0).contains(&every) {
            return Err(Status::invalid_argument("interval_seconds is to be from 0.2 to 60"));
        }
        let permit = self
            .room
            .clone()
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many watch the state; try again later"))?;
        let (states, outgoing) = mpsc::channel(1);
        let (source, mut stop) = (self.source.clone(), self.stop.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let mut beat = tokio::time::interval(Duration::from_secs_f64(every));
            // A peer that reads slowly gets states later, not older.
            beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = beat.tick() => {}
                    () = until_stopped(&mut stop) => return,
                    () = states.closed() => return,
                }
                // Who does not read does not hold up the stop.
                let free = tokio::select! {
                    free = states.reserve() => free,
                    () = until_stopped(&mut stop) => return,
                };
                let Ok(free) = free else { return };
                free.send(Ok(to_proto(source.state())));
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn explain(
        &self,
        request: Request<proto::ExplainRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let request = request.into_inner();
        let name: Name =
            request.name.parse().map_err(|e| Status::invalid_argument(format!("name {:?}: {e}", request.name)))?;
        let client = client_of(&request.client).ok_or_else(|| {
            let text = format!("client {:?}: an address or a prefix such as 203.0.113.0/24 would do", request.client);
            Status::invalid_argument(text)
        })?;
        let word = request.r#type.as_deref().unwrap_or("A");
        let qtype = rdata::parse_type(word).ok_or_else(|| {
            Status::invalid_argument(format!("type {word:?}: a record type such as A or AAAA would do"))
        })?;
        let snapshot = self.source.exchange.load_full();
        let explanation = answer::explain(&name, client, qtype, &snapshot);
        let beside = Beside::of(explanation.steering.as_ref(), &self.source, &snapshot);
        let text = format!("{explanation}{beside}");
        let json = serde_json::to_string(&Why { explanation, beside }).map_err(|e| Status::internal(e.to_string()))?;
        Ok(Response::new(proto::ExplainResponse { text, json }))
    }

    async fn explain_pop(
        &self,
        request: Request<proto::ExplainPopRequest>,
    ) -> Result<Response<proto::ExplainResponse>, Status> {
        let policies = self.source.exchange.load().policies.clone();
        let pop = story::find(&request.into_inner().pop, &policies).map_err(Status::not_found)?;
        let name = policies.pops[pop.idx()].name.clone();
        let answer = self.source.desk.why(name).map_err(Status::resource_exhausted)?;
        self.source.inbox.wake();
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(Some(story))) => {
                let json = serde_json::to_string(&story).map_err(|e| Status::internal(e.to_string()))?;
                Ok(Response::new(proto::ExplainResponse { text: story.to_string(), json }))
            }
            Ok(Ok(None)) => Err(Status::not_found("the POP is gone: a reload came between")),
            _ => Err(Status::unavailable("the control loop does not answer; `floodway status` says how it is")),
        }
    }

    async fn r#override(
        &self,
        request: Request<proto::OverrideRequest>,
    ) -> Result<Response<proto::OverrideResponse>, Status> {
        self.operators.make(&self.source, request).await.map(Response::new)
    }

    async fn end_overrides(
        &self,
        request: Request<proto::EndOverridesRequest>,
    ) -> Result<Response<proto::EndOverridesResponse>, Status> {
        self.operators.end(&self.source, request).await.map(Response::new)
    }

    async fn overrides(
        &self,
        _: Request<proto::OverridesRequest>,
    ) -> Result<Response<proto::OverridesResponse>, Status> {
        Ok(Response::new(self.operators.list(&self.source)))
    }

    async fn what_if(&self, request: Request<proto::WhatIfRequest>) -> Result<Response<proto::WhatIfResponse>, Status> {
        self.operators.what_if(&self.source, request.into_inner()).await.map(Response::new)
    }
}

/// The address that a text means: itself, or the first of a prefix.
fn client_of(text: &str) -> Option<IpAddr> {
    text.parse().ok().or_else(|| text.parse::<IpNet>().ok().map(|net| net.network()))
}

//----------- Both ways ------------------------------------------------------

/// What has the same fields here and in the protocol. A field that only one of the two has is a compile error.
macro_rules! alike {
    ($($name:ident { $($field:ident),+ })+) => {$(
        impl From<$name> for proto::$name {
            fn from($name { $($field),+ }: $name) -> proto::$name {
                proto::$name { $($field),+ }
            }
        }

        impl From<proto::$name> for $name {
            fn from(proto::$name { $($field),+ }: proto::$name) -> $name {
                $name { $($field),+ }
            }
        }
    )+};
}

alike! {
    Ahead { minutes, median, q90 }
    BudgetState { spent_hours, hours }
    DirectivesState { generation, shadows, connections, times_said, acknowledged }
    PlaceState { place, up, last, in_a_row, blind }
    StandbyState { since, hours, month_hours, starts, paid_starts, cost_requests, prevented_requests, advice }
}

//----------- State to protobuf ----------------------------------------------

/// The state as it is sent.
pub fn to_proto(state: State) -> proto::StateResponse {
    proto::StateResponse {
        generation: state.generation,
        time: state.time,
        decided_at: state.decided_at,
        mode: mode_word(state.mode).to_owned(),
        pops: state.pops.into_iter().map(pop_to_proto).collect(),
        groups: state.groups.into_iter().map(group_to_proto).collect(),
        samples: Some(proto::SampleCounts {
            received: state.samples.received,
            accepted: state.samples.accepted,
            refused: state.samples.refused.into_iter().collect(),
        }),
    }
}

fn pop_to_proto(pop: PopState) -> proto::PopState {
    proto::PopState {
        name: pop.name,
        lat: pop.at[0],
        lon: pop.at[1],
        capacity: pop.capacity,
        target: pop.target,
        load: pop.load,
        price_ms: pop.price_ms,
        breaker: format!("{:?}", pop.breaker),
        reason: pop.reason,
        silent_seconds: pop.silent_seconds,
        probe: pop.probe.map(probe_to_proto),
        directives: pop.directives.map(Into::into),
    }
}

fn probe_to_proto(probe: ProbeState) -> proto::ProbeState {
    proto::ProbeState {
        url: probe.url,
        last: probe.last,
        found: probe.found,
        took_seconds: probe.took_seconds,
        age_seconds: probe.age_seconds,
        outcomes: probe.outcomes.into_iter().collect(),
        places: probe.places.into_iter().map(Into::into).collect(),
    }
}

fn group_to_proto(group: GroupState) -> proto::GroupState {
    proto::GroupState {
        name: group.name,
        unit: group.unit,
        demand: group.demand,
        planned: group.planned,
        ahead: group.ahead.into_iter().map(Into::into).collect(),
        ttl_seconds: group.ttl_seconds,
        short: group.short,
        answered: group.answered,
        all_down: group.all_down,
        members: group.members.into_iter().map(member_to_proto).collect(),
        heavy_slots: group.heavy_slots,
        heavy_part: group.heavy_part,
        assertions: group.assertions.into_iter().map(assertion_to_proto).collect(),
        budget: group.budget.map(Into::into),
    }
}

fn assertion_to_proto(a: Asserted) -> proto::AssertionState {
    proto::AssertionState { words: a.words, at_least: u32::try_from(a.at_least).unwrap_or(u32::MAX), active: a.active }
}

fn member_to_proto(member: MemberState) -> proto::MemberState {
    proto::MemberState {
        name: member.name,
        pop: member.pop,
        role: member.role,
        planned_share: member.planned_share,
        answered_share: member.answered_share,
        answered: member.answered,
        load: member.load,
        unusable: member.unusable,
        breaker: member
            .breaker
            .map(|own| proto::MemberBreaker { state: format!("{:?}", own.state), reason: own.reason }),
        shadow: member.shadow.map(|s| shadow_to_proto(s).into()),
        standby: member.standby.map(Into::into),
    }
}

const MODES: [Mode; 4] = [Mode::Declared, Mode::Live, Mode::Blind, Mode::Stale];

fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Declared => "declared",
        Mode::Live => "live",
        Mode::Blind => "blind",
        Mode::Stale => "stale",
    }
}

//----------- Protobuf to state ----------------------------------------------

/// The plain form of what a server sent. A word that this version does not know comes out as the
/// default of its kind.
pub fn from_proto(state: proto::StateResponse) -> State {
    let samples = state.samples.unwrap_or_default();
    State {
        generation: state.generation,
        time: state.time,
        decided_at: state.decided_at,
        mode: MODES.into_iter().find(|m| mode_word(*m) == state.mode).unwrap_or_default(),
        pops: state.pops.into_iter().map(pop_from_proto).collect(),
        groups: state.groups.into_iter().map(group_from_proto).collect(),
        samples: Samples {
            received: samples.received,
            accepted: samples.accepted,
            refused: samples.refused.into_iter().collect(),
        },
        // Not in the protocol: `/state` has them, and `Overrides` the latter.
        overrides: Vec::new(),
        forecasts: Default::default(),
        events: Default::default(),
    }
}

fn breaker_from_word(word: &str) -> BreakerState {
    BreakerState::ALL.into_iter().find(|b| format!("{b:?}") == word).unwrap_or_default()
}

fn pop_from_proto(pop: proto::PopState) -> PopState {
    PopState {
        breaker: breaker_from_word(&pop.breaker),
        name: pop.name,
        at: [pop.lat, pop.lon],
        capacity: pop.capacity,
        target: pop.target,
        load: pop.load,
        price_ms: pop.price_ms,
        reason: pop.reason,
        silent_seconds: pop.silent_seconds,
        probe: pop.probe.map(probe_from_proto),
        directives: pop.directives.map(Into::into),
    }
}

fn probe_from_proto(probe: proto::ProbeState) -> ProbeState {
    ProbeState {
        url: probe.url,
        last: probe.last,
        found: probe.found,
        took_seconds: probe.took_seconds,
        age_seconds: probe.age_seconds,
        outcomes: probe.outcomes.into_iter().collect(),
        places: probe.places.into_iter().map(Into::into).collect(),
    }
}

fn group_from_proto(group: proto::GroupState) -> GroupState {
    GroupState {
        name: group.name,
        unit: group.unit,
        demand: group.demand,
        planned: group.planned,
        ahead: group.ahead.into_iter().map(Into::into).collect(),
        ttl_seconds: group.ttl_seconds,
        short: group.short,
        answered: group.answered,
        all_down: group.all_down,
        members: group.members.into_iter().map(member_from_proto).collect(),
        heavy_slots: group.heavy_slots,
        heavy_part: group.heavy_part,
        assertions: group.assertions.into_iter().map(assertion_from_proto).collect(),
        budget: group.budget.map(Into::into),
    }
}

fn assertion_from_proto(a: proto::AssertionState) -> Asserted {
    Asserted { words: a.words, at_least: a.at_least as usize, active: a.active }
}

fn member_from_proto(member: proto::MemberState) -> MemberState {
    MemberState {
        shadow: member.shadow.and_then(|n| proto::ShadowState::try_from(n).ok().and_then(shadow_from_proto)),
        name: member.name,
        pop: member.pop,
        role: member.role,
        planned_share: member.planned_share,
        answered_share: member.answered_share,
        answered: member.answered,
        load: member.load,
        unusable: member.unusable,
        breaker: member.breaker.map(|own| MemberBreaker { state: breaker_from_word(&own.state), reason: own.reason }),
        standby: member.standby.map(Into::into),
    }
}

#[cfg(test)]
mod tests;
