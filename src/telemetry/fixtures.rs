//! Policies and samples that the tests of telemetry and admin share.

use crate::exchange::{Exchange, MemberAnswer, Snapshot};
use crate::geo::{CellMap, Match};
use crate::id::PopIdx;
use crate::policy::{BreakerConfig, Effect, Group, Member, Policies, Pop, Role, Route, STANDBY};
use crate::steering::{BreakerState, Demand, GroupPlan, MemberPlan, Mode, Plan, PopPlan, Row, ShadowState, Table};
use crate::telemetry::check::RawSample;
use crate::units::LatLon;
use crate::wire::Name;
use crate::zone::ZoneSet;
use std::sync::Arc;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Three POPs and a group with a member in each; dub has a shadow beside an active member, sin hosts only a shadow.
pub fn policies() -> Arc<Policies> {
    let pop = |n: &str| Pop {
        name: name(n),
        at: LatLon { lat: 0.0, lon: 0.0 },
        capacity: 40_000.0,
        max: 40_000.0,
        price: 0.0,
        co2: 0.0,
        spill: None,
        breaker: BreakerConfig::default(),
        probe: None,
    };
    let member = |n: &str, pop: Option<u16>, role| Member {
        name: name(n),
        pop: pop.map(PopIdx),
        role,
        capacity: None,
        weight: None,
        price: 0.0,
    };
    let shadow = Role::Shadow { warmup_secs: 300.0, standby: STANDBY };
    let group = |n: &str, members| Group {
        members,
        routes: vec![Route { when: Match::default(), effect: Effect::Prefer(vec![]), text: String::new() }],
        ..Group::new(name(n))
    };
    Arc::new(Policies {
        pops: vec![
            pop("ams.pop.example.com."),
            pop("dub.pop.example.com."),
            pop("sin.pop.example.com."),
            pop("idle.pop.example.com."),
        ],
        groups: vec![
            group(
                "web.example.com.",
                vec![
                    member("ams.web.example.com.", Some(0), Role::Active),
                    member("dub.web.example.com.", Some(1), Role::Active),
                    member("warm.web.example.com.", Some(1), shadow),
                    member("sin.web.example.com.", Some(2), shadow),
                    member("edge.cdn.example.net.", None, Role::External),
                ],
            ),
            group("api.example.com.", vec![member("ams.api.example.com.", Some(0), Role::Active)]),
        ],
        steers: Vec::new(),
    })
}

/// A sample that is taken.
pub fn good() -> RawSample {
    RawSample {
        pop: "ams.pop".into(),
        group: "web".into(),
        window_secs: 10.0,
        requests: 1000.0,
        ..RawSample::default()
    }
}

/// An exchange with the policies of [`policies`] and `plan`, and nothing else.
pub fn exchange(plan: Plan) -> Arc<Exchange> {
    let policies = policies();
    let answers = policies.groups.iter().map(|g| vec![MemberAnswer::default(); g.members.len()]).collect();
    Arc::new(Exchange::new(Snapshot::first(
        1,
        Arc::new(ZoneSet::default()),
        policies,
        Arc::new(CellMap::nowhere()),
        Arc::new(answers),
        Arc::new(plan),
        Arc::new(Table::default()),
    )))
}

/// A live plan for [`policies`]: ams carries most, dub is Open, shadows are Cold, a forecast exists.
pub fn plan() -> Plan {
    let pop = |breaker, silent_secs| PopPlan {
        breaker,
        reason: if breaker == BreakerState::Open { "errors 12 % of 3k".into() } else { String::new() },
        capacity: 40_000.0,
        target: 34_000.0,
        load: 700.0,
        price_ms: 31.0,
        silent_secs,
    };
    let member = |share: f64, usable, shadow| MemberPlan { usable, breaker: None, shadow, share, load: share * 1000.0 };
    let cold = || member(0.0, Err("Cold"), Some(ShadowState::Cold));
    let rows = |n: usize| vec![Row::new(&vec![1.0 / n as f32; n])];
    let group = |members: Vec<MemberPlan>| GroupPlan {
        ttl: 30,
        demand: Demand {
            now: 1000.0,
            planned: 1400.0,
            ahead: Some([[1100.0, 1200.0], [1200.0, 1300.0], [1300.0, 1400.0]]),
        },
        rows: rows(members.len()),
        row_of_cell: vec![0],
        blind_rows: rows(members.len()),
        blind_row_of_cell: vec![0],
        members,
        short: 0.0,
        heavy: Default::default(),
    };
    Plan {
        decided_at: 1.0,
        mode: Mode::Live,
        pops: vec![
            pop(BreakerState::Closed, 2.0),
            pop(BreakerState::Open, 3.0),
            pop(BreakerState::Closed, f64::INFINITY),
            pop(BreakerState::Closed, f64::INFINITY),
        ],
        groups: vec![
            group(vec![
                member(0.7, Ok(()), None),
                member(0.0, Err("Open"), None),
                cold(),
                cold(),
                member(0.3, Ok(()), None),
            ]),
            group(vec![member(1.0, Ok(()), None)]),
        ],
    }
}
