//! The state of a running server in one plain value: what `/state`, `floodway pops` and metrics show.
//!
//! Made from the current snapshot's plan, its tally, and the books of telemetry. Everything in it is
//! named, not numbered, so that it can be read next to the policy files.

use crate::admin::directives::{self, DirectivesState};
use crate::admin::standby::{BudgetState, StandbyState};
use crate::admin::{Loads, Place, Running};
use crate::clock::Clock;
use crate::control;
use crate::control::accounts::Accounts;
use crate::control::announced::Events;
use crate::control::foresight::Foresight;
use crate::control::overrides::{Desk, Override};
use crate::control::probes::PlaceState;
use crate::events;
use crate::exchange::{Books, Exchange, Snapshot};
use crate::id::GroupIdx;
use crate::policy::probe::Probe;
use crate::policy::{Group, Member, Policies, Role};
use crate::probe::{self, What};
use crate::steering::asserted::{Asserted, asserted};
use crate::steering::{BreakerState, GroupPlan, MemberPlan, Mode, PopPlan, ShadowState};
use crate::store;
use crate::telemetry::{Board, Counts, Inbox, Refusal};
use crate::transport::Observed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

//----------- State ----------------------------------------------------------

/// One moment of the server. Rates are requests per second in the unit of the group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Counts the publications of this process, from 1.
    pub generation: u64,
    /// Unix seconds at which this was put together.
    pub time: f64,
    /// Unix seconds at which the plan was decided; 0 before the first.
    pub decided_at: f64,
    /// On what the plan rests.
    pub mode: Mode,
    /// The sites, in file order.
    pub pops: Vec<PopState>,
    /// The target groups, in file order.
    pub groups: Vec<GroupState>,
    /// The books of telemetry since the process began.
    pub samples: Samples,
    /// What operators decided in the place of the loop.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// How good forecasts are, and where they come from, as of the last minute.
    #[serde(default)]
    pub forecasts: Foresight,
    /// Announced events, as of the last beat.
    #[serde(default)]
    pub events: Events,
}

/// One POP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PopState {
    /// Its name.
    pub name: String,
    /// Degrees north and east.
    pub at: [f64; 2],
    /// What it can carry now.
    pub capacity: f64,
    /// What allocation aims to stay under.
    pub target: f64,
    /// What the plan expects it to carry.
    pub load: f64,
    /// Milliseconds that its fullness adds to its distance.
    pub price_ms: f64,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Why the breaker is there, in words; empty while Closed.
    pub reason: String,
    /// Seconds since a sample arrived; `None` before the first.
    pub silent_seconds: Option<f64>,
    /// What probes say of it; `None` where nobody probes it.
    #[serde(default)]
    pub probe: Option<ProbeState>,
    /// What is wanted of it on the telemetry stream; `None` where nothing ever was.
    #[serde(default)]
    pub directives: Option<DirectivesState>,
}

/// What probes say of one POP.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProbeState {
    /// What this server asks, without the query of the URL, which may hold a secret; empty where only others do.
    pub url: String,
    /// What this server's last probe found, a word of a closed set; empty before the first.
    pub last: String,
    /// The same in words; empty if all was well.
    pub found: String,
    /// Seconds that it took.
    pub took_seconds: f64,
    /// Seconds since it ended; `None` before the first.
    pub age_seconds: Option<f64>,
    /// Outcomes of this server's probes since the process began; those that never occurred are left out.
    pub outcomes: BTreeMap<String, u64>,
    /// What each place says that probed it lately.
    pub places: Vec<PlaceState>,
}

/// One target group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupState {
    /// Its name.
    pub name: String,
    /// What one request is.
    pub unit: String,
    /// Demand now.
    pub demand: f64,
    /// Demand the plan was made for.
    pub planned: f64,
    /// The forecast by lead; empty without one.
    pub ahead: Vec<Ahead>,
    /// TTL of its answers.
    pub ttl_seconds: u32,
    /// Demand for which no room was found.
    pub short: f64,
    /// Slots that carry so much of their cell that each is placed as a whole.
    pub heavy_slots: u32,
    /// Part of its queries that those carry between them, in `[0, 1]`.
    pub heavy_part: f64,
    /// Steered answers that gave some member, since the last load.
    pub answered: u64,
    /// Steered queries for which no member could be given, since the last load.
    pub all_down: u64,
    /// Its members, in file order.
    pub members: Vec<MemberState>,
    /// What the policies assert of it, in file order.
    #[serde(default)]
    pub assertions: Vec<Asserted>,
    /// What of its budget for standby is spent; `None` without one.
    #[serde(default)]
    pub budget: Option<BudgetState>,
}

/// The forecast at one lead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ahead {
    /// Minutes ahead.
    pub minutes: u32,
    /// Median.
    pub median: f64,
    /// Not exceeded with probability 0.9.
    pub q90: f64,
}

/// One member of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberState {
    /// The name that holds its addresses, or the target of its CNAME.
    pub name: String,
    /// Its POP; `None` for external members.
    pub pop: Option<String>,
    /// `active`, `shadow` or `external`.
    pub role: String,
    /// Share of the group's demand that the plan gives it, in `[0, 1]`.
    pub planned_share: f64,
    /// Share of the group's steered answers that gave it since the last load, in `[0, 1]`; `None` before
    /// the first answer.
    pub answered_share: Option<f64>,
    /// Steered answers that gave it, since the last load.
    pub answered: u64,
    /// Load that the plan expects of this group here.
    pub load: f64,
    /// Why it may not be given; `None` if it may.
    pub unusable: Option<String>,
    /// Its own breaker, where that is not Closed: it fails and others at its POP do not.
    #[serde(default)]
    pub breaker: Option<MemberBreaker>,
    /// State of a shadow member.
    pub shadow: Option<ShadowState>,
    /// What its standby cost and brought; `None` for others, and before the first tick.
    #[serde(default)]
    pub standby: Option<StandbyState>,
}

/// The breaker of one member alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberBreaker {
    /// Its state, not Closed.
    pub state: BreakerState,
    /// Why it is there, and what keeps it there, in words.
    pub reason: String,
}

/// The books of telemetry: `received` is `accepted` plus all of `refused`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Samples that peers sent.
    pub received: u64,
    /// Samples that were taken.
    pub accepted: u64,
    /// Samples that were turned away, by reason; reasons that never occurred are left out.
    pub refused: BTreeMap<String, u64>,
}

/// The leads of [`crate::steering::Demand::ahead`], in minutes.
const LEADS: [u32; 3] = [5, 15, 30];

//----------- Source ---------------------------------------------------------

/// Where the state of a running server comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The current snapshot.
    pub exchange: Arc<Exchange>,
    /// The books of telemetry.
    pub inbox: Arc<Inbox>,
    /// What is wanted of POPs, and what became of it.
    pub board: Arc<Board>,
    /// The books of queries.
    pub books: Arc<Books>,
    /// What the sockets count besides.
    pub observed: Observed,
    /// Where the process stands.
    pub place: Arc<Place>,
    /// What became of loads.
    pub loads: Arc<Loads>,
    /// The books of the history.
    pub history: Arc<store::Books>,
    /// Where overrides are made and kept.
    pub desk: Arc<Desk>,
    /// The books of the control loop.
    pub control: Arc<control::status::Status>,
    /// What probes made here have found.
    pub probes: Arc<probe::Ledger>,
    /// The announcements that stand.
    pub announcements: Arc<events::Desk>,
    /// What time it is.
    pub clock: Clock,
}

impl Source {
    /// The state at this moment.
    pub fn state(&self) -> State {
        let mut state = State::of(&self.exchange.load(), &self.inbox.counts(), self.clock.now().unix);
        self.add_probes(&mut state);
        directives::show(&self.board, &mut state);
        state.enter(&self.control.accounts(), &self.exchange.load().policies);
        let overrides = self.desk.current(state.time).iter().cloned().collect();
        let (forecasts, events) = ((*self.control.foresight()).clone(), (*self.control.events()).clone());
        State { forecasts, events, overrides, ..state }
    }

    /// Adds what is known of probes.
    fn add_probes(&self, state: &mut State) {
        let (snapshot, records, places) = (self.exchange.load(), self.probes.records(), self.control.probed());
        for (pop, spec) in state.pops.iter_mut().zip(&snapshot.policies.pops) {
            let places = places.get(&pop.name).cloned().unwrap_or_default();
            if spec.probe.is_none() && places.is_empty() {
                continue;
            }
            let url = spec.probe.as_ref().map(Probe::shown).unwrap_or_default();
            let mut shown = ProbeState { url, places, ..ProbeState::default() };
            if let Some(record) = records.get(&spec.name) {
                let outcomes = What::ALL.iter().map(|what| (what.label().to_owned(), record.counts[what.idx()]));
                shown.outcomes = outcomes.filter(|(_, n)| *n > 0).collect();
                shown.last = record.last.what.label().to_owned();
                shown.found.clone_from(&record.last.text);
                shown.took_seconds = record.took_secs;
                shown.age_seconds = Some((state.time - record.at).max(0.0));
            }
            pop.probe = Some(shown);
        }
    }

    /// The process at this moment.
    pub fn running(&self) -> Running {
        let zones = self.exchange.load().zones.clone();
        Running::of(&self.place, &self.observed, &self.books, &zones, self.loads.counted(), &self.history.counted())
    }
}

impl State {
    /// Enters what shadows cost and brought.
    fn enter(&mut self, accounts: &Accounts, policies: &Policies) {
        for group in &mut self.groups {
            for member in &mut group.members {
                member.standby = accounts.get(&group.name, &member.name).map(StandbyState::of);
            }
        }
        // A load may have come between; then the next state has it.
        for (group, spec) in self.groups.iter_mut().zip(&policies.groups) {
            group.budget = spec.budget_secs.map(|secs| BudgetState {
                spent_hours: accounts.spent_secs(&group.name, self.time) / 3600.0,
                hours: secs / 3600.0,
            });
        }
    }

    /// The state that `snapshot` and `counts` show at `now`, in unix seconds.
    pub fn of(snapshot: &Snapshot, counts: &Counts, now: f64) -> State {
        let (policies, plan, tally) = (&snapshot.policies, &snapshot.plan, snapshot.tally.sum());
        // A plan that does not cover a POP or group says nothing of it; it counts as declared.
        let pops = policies.pops.iter().enumerate().map(|(i, pop)| {
            let declared = PopPlan {
                breaker: BreakerState::Closed,
                reason: String::new(),
                capacity: pop.capacity,
                target: pop.capacity,
                load: 0.0,
                price_ms: 0.0,
                silent_secs: f64::INFINITY,
            };
            let plan = plan.pops.get(i).unwrap_or(&declared);
            PopState {
                name: pop.name.to_string(),
                at: [pop.at.lat, pop.at.lon],
                capacity: plan.capacity,
                target: plan.target,
                load: plan.load,
                price_ms: plan.price_ms,
                breaker: plan.breaker,
                reason: plan.reason.clone(),
                silent_seconds: plan.silent_secs.is_finite().then_some(plan.silent_secs),
                probe: None,
                directives: None,
            }
        });
        let groups = policies.groups.iter().enumerate().map(|(i, group)| {
            let answered = tally.answered.get(i).map_or(&[][..], Vec::as_slice);
            let all_down = tally.all_down.get(i).copied().unwrap_or(0);
            let assertions = asserted(plan, policies, GroupIdx::from(i));
            GroupState { assertions, ..group_state(snapshot, group, plan.groups.get(i), answered, all_down) }
        });
        State {
            generation: snapshot.generation,
            time: now,
            decided_at: plan.decided_at,
            mode: plan.mode,
            pops: pops.collect(),
            groups: groups.collect(),
            samples: Samples::of(counts),
            overrides: Vec::new(),
            forecasts: Foresight::default(),
            events: Events::default(),
        }
    }
}

fn group_state(
    snapshot: &Snapshot,
    group: &Group,
    plan: Option<&GroupPlan>,
    answered: &[u64],
    all_down: u64,
) -> GroupState {
    let n_answered: u64 = answered.iter().sum();
    let demand = plan.map(|p| p.demand).unwrap_or_default();
    let ahead = demand.ahead.iter().flatten().zip(LEADS);
    let members = group.members.iter().enumerate().map(|(m, member)| {
        let answered = answered.get(m).copied().unwrap_or(0);
        let share = (n_answered > 0).then(|| answered as f64 / n_answered as f64);
        member_state(snapshot, member, plan.and_then(|p| p.members.get(m)), answered, share)
    });
    GroupState {
        name: group.name.to_string(),
        unit: group.unit.clone(),
        demand: demand.now,
        planned: demand.planned,
        ahead: ahead.map(|([median, q90], minutes)| Ahead { minutes, median: *median, q90: *q90 }).collect(),
        ttl_seconds: plan.map_or(group.ttl_max, |p| p.ttl),
        short: plan.map_or(0.0, |p| p.short),
        heavy_slots: plan.map_or(0, |p| p.heavy.slots.len() as u32),
        heavy_part: plan.map_or(0.0, |p| p.heavy.part),
        answered: n_answered,
        all_down,
        members: members.collect(),
        assertions: Vec::new(),
        budget: None,
    }
}

fn member_state(
    snapshot: &Snapshot,
    member: &Member,
    plan: Option<&MemberPlan>,
    answered: u64,
    answered_share: Option<f64>,
) -> MemberState {
    MemberState {
        name: member.name.to_string(),
        pop: member.pop.map(|p| snapshot.policies.pops[p.idx()].name.to_string()),
        role: match member.role {
            Role::Active => "active",
            Role::Shadow { .. } => "shadow",
            Role::External => "external",
        }
        .to_owned(),
        planned_share: plan.map_or(0.0, |p| p.share),
        answered_share,
        answered,
        load: plan.map_or(0.0, |p| p.load),
        unusable: plan.and_then(|p| p.usable.err()).map(str::to_owned),
        breaker: plan
            .and_then(|p| p.breaker.as_deref())
            .map(|own| MemberBreaker { state: own.state, reason: own.reason.clone() }),
        shadow: plan.and_then(|p| p.shadow),
        standby: None,
    }
}

impl Samples {
    /// The books as people read them.
    pub fn of(counts: &Counts) -> Samples {
        let refused = Refusal::ALL.iter().map(|r| (r.label().to_owned(), counts.refused[r.idx()]));
        Samples {
            received: counts.received,
            accepted: counts.accepted,
            refused: refused.filter(|(_, n)| *n > 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{CellIdx, MemberIdx};
    use crate::telemetry::fixtures;

    #[test]
    fn without_a_plan_it_is_as_declared() {
        let exchange = fixtures::exchange(Default::default());
        let state = State::of(&exchange.load(), &Counts::default(), 5.0);
        assert_eq!((state.generation, state.mode), (1, Mode::Declared));
        assert_eq!(state.pops[0].capacity, 40_000.0);
        assert_eq!(state.pops[0].silent_seconds, None);
        let members: Vec<_> = state.groups[0].members.iter().map(|m| (m.role.as_str(), m.pop.is_some())).collect();
        assert_eq!(members[2..], [("shadow", true), ("shadow", true), ("external", false)]);
        assert_eq!(state.groups[0].members[0].answered_share, None);
    }

    #[test]
    fn answers_and_plan_are_shown() {
        let exchange = fixtures::exchange(fixtures::plan());
        let snapshot = exchange.load();
        for (member, n) in [(Some(0), 30), (Some(1), 10), (None, 5)] {
            for _ in 0..n {
                snapshot.tally.count(0, GroupIdx(0), CellIdx(0), member.map(MemberIdx), None);
            }
        }
        let mut counts = Counts { received: 5, accepted: 3, ..Counts::default() };
        counts.refused[Refusal::Stale.idx()] = 2;
        let state = State::of(&snapshot, &counts, 5.0);
        let web = &state.groups[0];
        assert_eq!((web.answered, web.all_down), (40, 5));
        assert_eq!(web.members[0].answered_share, Some(0.75));
        assert_eq!(web.members[0].planned_share, 0.7);
        assert_eq!(web.members[2].unusable.as_deref(), Some("Cold"));
        assert_eq!(web.ahead[2], Ahead { minutes: 30, median: 1300.0, q90: 1400.0 });
        assert_eq!(state.pops[1].breaker, BreakerState::Open);
        assert_eq!(state.pops[0].silent_seconds, Some(2.0));
        assert_eq!(state.samples.refused, [("stale".to_string(), 2)].into());
        let json = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&json).unwrap(), state);
    }
}
