//! One beat of the control loop at real size: 100 POPs × 1,000 cells, 50 groups, every POP reporting each
//! group once in ten seconds, so that a tenth of the reporters is heard in a beat.

use criterion::{Criterion, criterion_group, criterion_main};
use floodway::clock::Now;
use floodway::control::{Inputs, State, tick};
use floodway::exchange::TallySum;
use floodway::geo::{Cell, CellMap};
use floodway::id::PopIdx;
use floodway::policy::{BreakerConfig, Group, Member, Policies, Pop, Role};
use floodway::telemetry::{Sample, Utilisation};
use floodway::units::LatLon;
use floodway::wire::Name;
use std::sync::Arc;

const N_POPS: usize = 100;
const N_CELLS: usize = 1000;
const N_GROUPS: usize = 50;
const N_MEMBERS: usize = 20;

/// A spiral over the globe, so that places are spread and the same in each run.
fn place(i: usize, n: usize) -> LatLon {
    let z = 1.0 - 2.0 * (i as f64 + 0.5) / n as f64;
    let lon = (i as f64 * 137.507_764).rem_euclid(360.0) - 180.0;
    LatLon { lat: 0.8 * z.asin().to_degrees(), lon }
}

fn name(text: String) -> Name {
    text.parse().expect("well-formed")
}

fn policies() -> Policies {
    let pop = |i: usize| Pop {
        name: name(format!("p{i}.pop.example.com.")),
        at: place(i, N_POPS),
        capacity: 100_000.0,
        max: 120_000.0,
        price: 0.0,
        co2: 0.0,
        spill: None,
        breaker: BreakerConfig::default(),
        probe: None,
    };
    let group = |g: usize| {
        let member = |m: usize| Member {
            name: name(format!("m{m}.g{g}.example.com.")),
            pop: Some(PopIdx(((7 * g + 5 * m) % N_POPS) as u16)),
            role: Role::Active,
            capacity: None,
            weight: None,
            price: 0.0,
        };
        Group { members: (0..N_MEMBERS).map(member).collect(), ..Group::new(name(format!("g{g}.example.com."))) }
    };
    Policies { pops: (0..N_POPS).map(pop).collect(), groups: (0..N_GROUPS).map(group).collect(), steers: Vec::new() }
}

fn cells() -> CellMap {
    let cell = |i: usize| Cell {
        name: format!("c{i}"),
        country: None,
        at: Some(place(i, N_CELLS)),
        weight: 1.0 / N_CELLS as f64,
        rules: Vec::new(),
    };
    CellMap::from_cells((0..N_CELLS).map(cell).collect())
}

/// What is heard in beat `beat`: demand rises and falls by 30 %.
fn samples(policies: &Policies, beat: u64, now: Now) -> Vec<Sample> {
    let level = 50_000.0 * (1.0 + 0.3 * (beat as f64 / 100.0).sin()) / N_GROUPS as f64 * 5.0;
    let mut list = Vec::new();
    for (g, group) in policies.groups.iter().enumerate() {
        for (m, member) in group.members.iter().enumerate() {
            let Some(pop) = member.pop.filter(|_| (g + m) as u64 % 10 == beat % 10) else { continue };
            list.push(Sample {
                pop: policies.pops[pop.idx()].name.clone(),
                group: group.name.clone(),
                member: None,
                at: now.unix,
                window_secs: 10.0,
                requests: 10.0 * level,
                errors: 1.0,
                latency: None,
                capacity: None,
                utilisation: Utilisation::default(),
                shadow: None,
                cells: Vec::new(),
            });
        }
    }
    list
}

fn bench(c: &mut Criterion) {
    let (policies, cells) = (Arc::new(policies()), Arc::new(cells()));
    let mut state = State::new(1);
    let mut beat = 0;
    let mut step = || {
        beat += 1;
        let now = Now { mono: beat as f64, unix: 1e9 + beat as f64 };
        let samples = samples(&policies, beat, now);
        let tally = TallySum::default();
        let inputs = Inputs {
            policies: &policies,
            cells: &cells,
            samples: &samples,
            tally: &tally,
            calendar: None,
            probes: &[],
        };
        tick(&mut state, &inputs, now)
    };
    for _ in 0..30 {
        step();
    }
    let mut group = c.benchmark_group("tick");
    group.sample_size(20);
    group.bench_function("100 POPs x 1000 cells x 50 groups", |b| b.iter(&mut step));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
