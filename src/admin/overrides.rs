//! Overrides over gRPC: who may, what it means, and what it would do.

use crate::admin::Source;
use crate::control::asserted;
use crate::control::overrides::desk::Wish;
use crate::control::overrides::force::meant;
use crate::control::overrides::{Override, Overrides, Plans, What};
use crate::exchange::Snapshot;
use crate::policy::Policies;
use crate::telemetry::grpc::peer_of;
use crate::telemetry::listen::Config;
use crate::telemetry::{Voice, proto};
use crate::wire::Name;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Status};

/// Names that an answer lists, at most; a glob may mean a hundred thousand members.
const NAMES_LISTED: usize = 100;
/// How long the loop may take to answer a question.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Most decisions in one question.
const MOST_ASKED: usize = 100;

//----------- Operators ------------------------------------------------------

/// Who may override.
#[derive(Clone, Debug, Default)]
pub struct Operators {
    names: Arc<[Name]>,
}

impl Operators {
    /// Those that `[grpc]` names.
    pub fn of(config: &Config) -> Operators {
        Operators { names: config.operators.clone().into() }
    }

    /// Whether a peer is one of them.
    pub(super) fn include(&self, voice: &Voice) -> bool {
        match voice {
            Voice::Anyone => true,
            Voice::Pops(names) => self.names.iter().any(|name| names.contains(name)),
        }
    }

    /// What a peer is called behind the author that it states: the name by which it may; nothing on a plain connection.
    fn admit<T>(&self, request: &Request<T>) -> Result<Option<&Name>, Status> {
        match peer_of(request).voice {
            Voice::Anyone => Ok(None),
            Voice::Pops(names) => match self.names.iter().find(|name| names.contains(name)) {
                Some(name) => Ok(Some(name)),
                None => {
                    let shown = names.iter().map(Name::to_string).collect::<Vec<_>>().join(", ");
                    let text =
                        format!("the certificate of {shown} may not override; [grpc] operators names those that may");
                    Err(Status::permission_denied(text))
                }
            },
        }
    }

    /// Makes an override.
    pub(super) async fn make(
        &self,
        source: &Source,
        request: Request<proto::OverrideRequest>,
    ) -> Result<proto::OverrideResponse, Status> {
        let operator = self.admit(&request)?.cloned();
        let proto::OverrideRequest { what, seconds, author, reason, against_assertions } = request.into_inner();
        let what = understood(&what)?;
        let names = found(&what, &source.exchange.load().policies)?;
        let author = operator.map_or_else(|| author.clone(), |operator| format!("{author} ({operator})"));
        let wish = Wish { what, author, reason, secs: seconds };
        let (desk, exchange, now) = (source.desk.clone(), source.exchange.clone(), source.clock.now().unix);
        let may = move |all: &Overrides| match against_assertions {
            true => Ok(()),
            false => keeps_assertions(&exchange.load(), all),
        };
        // It is written to the disk before it is acknowledged.
        let made = tokio::task::spawn_blocking(move || desk.make(wish, now, may)).await;
        let made = made.map_err(|e| Status::internal(e.to_string()))?.map_err(Status::failed_precondition)?;
        source.inbox.wake();
        let names = names.iter().take(NAMES_LISTED).map(Name::to_string).collect();
        Ok(proto::OverrideResponse { made: Some(to_proto(&made)), names })
    }

    /// Ends overrides.
    pub(super) async fn end(
        &self,
        source: &Source,
        request: Request<proto::EndOverridesRequest>,
    ) -> Result<proto::EndOverridesResponse, Status> {
        self.admit(&request)?;
        let proto::EndOverridesRequest { ids, whats } = request.into_inner();
        let whats = whats.iter().map(|what| understood(what)).collect::<Result<Vec<_>, _>>()?;
        let desk = source.desk.clone();
        let ended =
            tokio::task::spawn_blocking(move || desk.end(|o| ids.contains(&o.id) || whats.contains(&o.what))).await;
        let ended = ended.map_err(|e| Status::internal(e.to_string()))?.map_err(Status::failed_precondition)?;
        source.inbox.wake();
        Ok(proto::EndOverridesResponse { ended: ended.iter().map(to_proto).collect() })
    }

    /// Those that hold.
    pub(super) fn list(&self, source: &Source) -> proto::OverridesResponse {
        let current = source.desk.current(source.clock.now().unix);
        proto::OverridesResponse { overrides: current.iter().map(to_proto).collect() }
    }

    /// Has the loop asked.
    pub(super) async fn what_if(
        &self,
        source: &Source,
        request: proto::WhatIfRequest,
    ) -> Result<proto::WhatIfResponse, Status> {
        if request.whats.is_empty() || request.whats.len() > MOST_ASKED {
            return Err(Status::invalid_argument(format!(
                "ask about one to {MOST_ASKED} decisions, such as `drain fra.pop`"
            )));
        }
        let whats = request.whats.iter().map(|what| understood(what)).collect::<Result<Vec<_>, _>>()?;
        for what in &whats {
            found(what, &source.exchange.load().policies)?;
        }
        let answer = source.desk.ask(whats).map_err(Status::resource_exhausted)?;
        source.inbox.wake();
        match tokio::time::timeout(PATIENCE, answer).await {
            Ok(Ok(plans)) => Ok(beside(&plans)),
            _ => Err(Status::unavailable("the control loop does not answer; `floodway status` says how it is")),
        }
    }
}

/// Refuses overrides that would break what the policies assert.
fn keeps_assertions(snapshot: &Snapshot, all: &Overrides) -> Result<(), String> {
    let broken = asserted::broken_by(&snapshot.plan, &snapshot.policies, all);
    match broken.is_empty() {
        true => Ok(()),
        false => {
            let words: Vec<String> = broken.iter().map(|(group, how)| asserted::words(group, how)).collect();
            Err(format!("{}; undrain another first, or say --against-assertions", words.join("; ")))
        }
    }
}

fn understood(what: &str) -> Result<What, Status> {
    what.parse().map_err(Status::invalid_argument)
}

/// Whom it means; an override of nobody is a slip of the pen.
fn found(what: &What, policies: &Policies) -> Result<Vec<Name>, Status> {
    let names = meant(what, policies);
    if !names.is_empty() {
        return Ok(names);
    }
    let (kind, some) = match what.verb.is_of_groups() {
        true => ("group", policies.groups.iter().map(|g| &g.name).take(8).map(Name::to_string).collect::<Vec<_>>()),
        false => ("POP or member", policies.pops.iter().map(|p| &p.name).take(8).map(Name::to_string).collect()),
    };
    Err(Status::not_found(format!("{what}: no {kind} of this name; there are {}", some.join(", "))))
}

fn to_proto(order: &Override) -> proto::OverrideState {
    let Override { id, what, author, reason, made_at, ends_at } = order;
    proto::OverrideState {
        id: *id,
        what: what.to_string(),
        author: author.clone(),
        reason: reason.clone(),
        made_at: *made_at,
        ends_at: *ends_at,
    }
}

//----------- Plans side by side ---------------------------------------------

fn beside(plans: &Plans) -> proto::WhatIfResponse {
    let Plans { now, then, policies } = plans;
    let pops = policies.pops.iter().zip(now.pops.iter().zip(&then.pops)).map(|(spec, (now, then))| proto::PopChange {
        name: spec.name.to_string(),
        capacity_now: now.capacity,
        capacity_then: then.capacity,
        load_now: now.load,
        load_then: then.load,
        price_ms_now: now.price_ms,
        price_ms_then: then.price_ms,
    });
    let groups = policies.groups.iter().zip(now.groups.iter().zip(&then.groups)).map(|(spec, (now, then))| {
        let members = spec.members.iter().zip(now.members.iter().zip(&then.members));
        proto::GroupChange {
            name: spec.name.to_string(),
            planned: then.demand.planned,
            short_now: now.short,
            short_then: then.short,
            members: members
                .map(|(spec, (now, then))| proto::MemberChange {
                    name: spec.name.to_string(),
                    share_now: now.share,
                    share_then: then.share,
                    unusable_now: now.usable.err().map(str::to_owned),
                    unusable_then: then.usable.err().map(str::to_owned),
                })
                .collect(),
        }
    });
    let broken = asserted::broken_between(now, then, policies);
    proto::WhatIfResponse { pops: pops.collect(), groups: groups.collect(), broken }
}
