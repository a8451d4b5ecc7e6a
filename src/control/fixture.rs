//! A small world for tests: four POPs on three continents, one group, one shadow, one overflow.

use crate::clock::Now;
use crate::geo::{Cell, CellMap, Match};
use crate::id::{MemberIdx, PopIdx, RuleIdx};
use crate::policy::{BreakerConfig, Effect, Group, Member, Policies, Pop, Role, Route, STANDBY};
use crate::telemetry::{Sample, Utilisation};
use crate::units::LatLon;
use crate::wire::Name;

pub fn name(text: &str) -> Name {
    text.parse().expect("test names are well-formed")
}

pub fn pop(label: &str, lat: f64, lon: f64, capacity: f64) -> Pop {
    Pop {
        name: name(&format!("{label}.pop.example.com.")),
        at: LatLon { lat, lon },
        capacity,
        max: capacity,
        price: 0.0,
        co2: 0.0,
        spill: None,
        breaker: BreakerConfig::default(),
        probe: None,
    }
}

pub fn member(label: &str, pop: Option<u16>, role: Role) -> Member {
    Member {
        name: name(&format!("{label}.web.example.com.")),
        pop: pop.map(PopIdx),
        role,
        capacity: None,
        weight: None,
        price: 0.0,
    }
}

pub fn group(members: Vec<Member>, routes: Vec<Route>) -> Group {
    Group { members, routes, ..Group::new(name("web.example.com.")) }
}

/// `ams` 4k, `fra` 6k, `iad` 8k, `sin` 3k requests per second; members `ams fra iad sin`, the shadow
/// `dub` at a fifth POP of 4k, and the external `edge`. Route 0 fences Germany to `fra` and `ams`.
pub fn policies() -> Policies {
    let pops = vec![
        pop("ams", 52.31, 4.76, 4000.0),
        pop("fra", 50.03, 8.56, 6000.0),
        pop("iad", 38.95, -77.45, 8000.0),
        pop("sin", 1.36, 103.99, 3000.0),
        pop("dub", 53.42, -6.27, 4000.0),
    ];
    let members = vec![
        member("ams", Some(0), Role::Active),
        member("fra", Some(1), Role::Active),
        member("iad", Some(2), Role::Active),
        member("sin", Some(3), Role::Active),
        member("dub", Some(4), Role::Shadow { warmup_secs: 300.0, standby: STANDBY }),
        member("edge", None, Role::External),
    ];
    let germany = Route {
        when: Match { countries: vec!["DE".into()], ..Match::default() },
        effect: Effect::Only(vec![MemberIdx(1), MemberIdx(0)]),
        text: "web ROUTE country=DE members=fra,ams only".into(),
    };
    Policies { pops, groups: vec![group(members, vec![germany])], steers: Vec::new() }
}

pub fn cell(label: &str, at: Option<(f64, f64)>, weight: f64, rules: &[u32]) -> Cell {
    Cell {
        name: label.into(),
        country: label.as_bytes().get(..2).and_then(|c| c.try_into().ok()).filter(|_| at.is_some()),
        at: at.map(|(lat, lon)| LatLon { lat, lon }),
        weight,
        rules: rules.iter().map(|r| RuleIdx(*r)).collect(),
    }
}

/// `unknown`, `DE` (fenced), `NL`, `US`, `JP`.
pub fn cells() -> CellMap {
    CellMap::from_cells(vec![
        cell("unknown", None, 0.1, &[]),
        cell("DE", Some((51.0, 10.0)), 0.2, &[0]),
        cell("NL", Some((52.1, 5.3)), 0.1, &[]),
        cell("US", Some((39.8, -98.6)), 0.4, &[]),
        cell("JP", Some((36.2, 138.3)), 0.2, &[]),
    ])
}

/// The moment at which both clocks read `secs`.
pub fn at(secs: f64) -> Now {
    Now { mono: secs, unix: secs }
}

/// A report of one POP about the group, window ending at `end`.
pub fn sample(label: &str, end: f64, window_secs: f64, requests: f64, errors: f64) -> Sample {
    Sample {
        pop: name(&format!("{label}.pop.example.com.")),
        group: name("web.example.com."),
        member: None,
        at: end,
        window_secs,
        requests,
        errors,
        latency: None,
        capacity: None,
        utilisation: Utilisation::default(),
        shadow: None,
        cells: Vec::new(),
    }
}
