//! Small random worlds, for laws.

use crate::geo::{Cell, CellMap, Match};
use crate::id::{MemberIdx, PopIdx, RuleIdx};
use crate::policy::{BreakerConfig, Effect, ForecastUse, Group, Member, Policies, Pop, Reserve, Role, Route, STANDBY};
use crate::sim::rng::Rng;
use crate::sim::scenario::{Demand, Fault, FaultKind, Resolvers, Scenario, Surge, SurgeKind, Telemetry};
use crate::sim::secs::Secs;
use crate::units::LatLon;
use crate::wire::Name;

/// Seconds that are run, and those before.
const SECS: f64 = 150.0;
/// See [`SECS`].
const SETTLE_SECS: f64 = 10.0;

/// The world of a seed: two to five POPs, one or two groups, a few cells, surges, faults and lies.
pub fn world(seed: u64) -> (Policies, CellMap, Scenario) {
    let mut rng = Rng::new(seed, "random world");
    let (n_pops, n_cells, n_groups) = (2 + rng.below(4), 2 + rng.below(4), 1 + rng.below(2));
    let place = |rng: &mut Rng| LatLon { lat: rng.between(-50.0, 60.0), lon: rng.between(-180.0, 180.0) };
    let pops: Vec<Pop> = (0..n_pops)
        .map(|p| {
            let capacity = rng.between(20.0, 400.0);
            let max = capacity * if rng.chance(0.3) { 1.2 } else { 1.0 };
            let breaker = BreakerConfig { min_requests: rng.between(20.0, 200.0), ..BreakerConfig::default() };
            Pop {
                name: name(&format!("p{p}")),
                at: place(&mut rng),
                capacity,
                max,
                price: rng.between(0.0, 2.0),
                co2: 0.0,
                spill: None,
                breaker,
                probe: None,
            }
        })
        .collect();
    let mut rules = Vec::new();
    let groups: Vec<Group> = (0..n_groups).map(|g| group(g, n_pops, n_cells, &mut rules, &mut rng)).collect();
    let cell = |r: usize, rng: &mut Rng| Cell {
        name: if r == 0 { "unknown".into() } else { format!("c{r}") },
        country: None,
        at: (r > 0).then(|| place(rng)),
        weight: 1.0 / n_cells as f64,
        rules: rules.iter().enumerate().filter(|(_, at)| **at == r).map(|(i, _)| RuleIdx(i as u32)).collect(),
    };
    let cells = (0..n_cells).map(|r| cell(r, &mut rng)).collect();
    let policies = Policies { pops, groups, steers: Vec::new() };
    let scenario = scenario(&policies, &mut rng);
    (policies, CellMap::from_cells(cells), scenario)
}

fn name(label: &str) -> Name {
    format!("{label}.example.com.").parse().expect("labels made here are names")
}

/// A group on all POPs; `rules` grows by the cell of each of its routes.
fn group(g: usize, n_pops: usize, n_cells: usize, rules: &mut Vec<usize>, rng: &mut Rng) -> Group {
    let mut members: Vec<Member> = (0..n_pops)
        .map(|p| Member {
            name: name(&format!("m{p}.g{g}")),
            pop: Some(PopIdx::from(p)),
            role: if p > 1 && rng.chance(0.25) {
                Role::Shadow { warmup_secs: rng.between(5.0, 120.0), standby: STANDBY }
            } else {
                Role::Active
            },
            capacity: None,
            weight: None,
            price: 0.0,
        })
        .collect();
    if rng.chance(0.2) {
        members.push(Member { name: name(&format!("edge{g}")), pop: None, role: Role::External, ..members[0].clone() });
    }
    let mut routes = Vec::new();
    if rng.chance(0.3) {
        let set = vec![MemberIdx(0), MemberIdx::from(1 + rng.below(n_pops - 1))];
        rules.push(rng.below(n_cells));
        let effect = if rng.chance(0.5) { Effect::Only(set) } else { Effect::First(set) };
        routes.push(Route { when: Match::default(), effect, text: String::new() });
    }
    let ttl_min = [5, 20, 60][rng.below(3)];
    let forecast = if rng.chance(0.7) { ForecastUse::Steer } else { ForecastUse::Show };
    let ttl_max = ttl_min * (1 + rng.below(4) as u32);
    Group {
        members,
        routes,
        ttl_min,
        ttl_max,
        forecast,
        reserve: Reserve::of(rng.between(0.05, 0.3)),
        ..Group::new(name(&format!("g{g}")))
    }
}

fn scenario(policies: &Policies, rng: &mut Rng) -> Scenario {
    let moment = |rng: &mut Rng| Secs(rng.between(0.0, SECS));
    let n_groups = policies.groups.len();
    let of = |g: usize| policies.groups[g].name.to_string();
    let demand = (0..n_groups).map(|g| Demand {
        group: of(g),
        share: Some(rng.between(0.05, 0.9) / n_groups as f64),
        noise: Some(rng.between(0.0, 0.2)),
        ..Demand::default()
    });
    let demand: Vec<Demand> = demand.collect();
    let kinds = [SurgeKind::Burst, SurgeKind::Step, SurgeKind::Ramp, SurgeKind::Hawkes, SurgeKind::Shift];
    let surge = (0..rng.below(3)).map(|_| Surge {
        group: of(rng.below(n_groups)),
        kind: kinds[rng.below(5)],
        at: moment(rng),
        rise: Secs(rng.between(1.0, 120.0)),
        decay: Secs(rng.between(20.0, 300.0)),
        exponent: 1.5,
        lasts: rng.chance(0.5).then_some(Secs(120.0)),
        peak: None,
        share: Some(rng.between(0.1, 1.0)),
        branching: rng.between(0.0, 0.95),
        spread: 0.2,
        cells: Default::default(),
    });
    let surge: Vec<Surge> = surge.collect();
    let kinds = [
        FaultKind::Down,
        FaultKind::Half,
        FaultKind::Gray,
        FaultKind::Slow,
        FaultKind::Flap,
        FaultKind::Silent,
        FaultKind::Lies,
    ];
    let mut fault = Vec::new();
    for _ in 0..rng.below(4) {
        let kind = kinds[rng.below(kinds.len())];
        let size = (kind == FaultKind::Lies)
            .then(|| if rng.chance(0.5) { rng.between(0.1, 1.0) } else { rng.between(1.0, 5.0) });
        let pop =
            if rng.chance(0.2) { "*".into() } else { policies.pops[rng.below(policies.pops.len())].name.to_string() };
        fault.push(Fault { at: moment(rng), lasts: moment(rng), pop, kind, size });
    }
    let late = rng.between(0.0, 60.0);
    let telemetry = Telemetry {
        every: Secs(rng.between(2.0, 15.0)),
        delay: [Secs(rng.between(0.0, late)), Secs(late)],
        loss: rng.between(0.0, 0.3),
        cells: rng.chance(0.5),
        utilisation: rng.chance(0.5),
        probes: rng.chance(0.5),
    };
    let resolvers = Resolvers { caches: 30, giants: 1, ecs: false, ..Resolvers::default() };
    let (history, settle, duration) = (Secs(0.0), Secs(SETTLE_SECS), Secs(SECS));
    let step = Secs(1.0 + rng.below(2) as f64);
    Scenario { step, history, settle, duration, demand, surge, fault, resolvers, telemetry, ..Scenario::default() }
}
