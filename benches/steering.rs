//! Table compile and allocation, at 100 POPs × 1,000 cells × 100 groups.
//!
//! The world is made from one seed: POPs and cells scattered over the globe, demand skewed over cells
//! (cube of a uniform) and groups, 80 % of all targets in sum, so that popular regions spill. `warm` is the next tick:
//! demand moved by up to 2 % per cell, prices and plan of the tick before, and the step that the tick takes from it.
//!
//! Groups have a member at every POP; or, in worlds called `apart`, each at a fifth of them that no other group has, so
//! that no two groups have the same choices.
//!
//! What is printed before is the processor time of this thread, which other jobs of the machine change less than the time on the wall.
//!
//! `FLOODWAY_BENCH_LARGE=1` adds 200 POPs × 1,000 cells × 500 groups of both kinds.

use criterion::{Criterion, criterion_group, criterion_main};
use floodway::control::allocate::{
    Allocation, Geography, GroupProblem, Kept, Options, Problem, Room, Warm, allocate, limit_step,
};
use floodway::geo::{Cell, CellMap};
use floodway::id::PopIdx;
use floodway::policy::{BreakerConfig, Group, Member, Policies, Pop, Role};
use floodway::steering::{Demand, GroupPlan, Mode, Plan, Table};
use floodway::units::LatLon;
use std::hint::black_box;
use std::time::Duration;

/// Uniform in `[0, 1)`, the `i`-th of stream `s`.
fn uniform(s: u64, i: usize) -> f64 {
    let z = (s << 40 | i as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn place(s: u64, i: usize) -> LatLon {
    // Where people are: 60° N to 40° S.
    LatLon { lat: uniform(s, i) * 100.0 - 40.0, lon: uniform(s + 1, i) * 360.0 - 180.0 }
}

struct World {
    policies: Policies,
    cells: CellMap,
    geography: Geography,
    demand: Vec<Vec<f64>>,
}

impl World {
    fn new((n_pops, n_cells, n_groups): (usize, usize, usize), apart: bool) -> World {
        let pop = |p: usize| {
            let capacity = 1e4 * (1.0 + 4.0 * uniform(1, p));
            Pop {
                name: format!("p{p}.pop.example.com").parse().expect("a name"),
                at: place(2, p),
                capacity,
                max: 1.1 * capacity,
                price: uniform(4, p),
                co2: 0.0,
                spill: None,
                breaker: BreakerConfig::default(),
                probe: None,
            }
        };
        let member = |g: usize, p: usize| Member {
            name: format!("p{p}.g{g}.example.com").parse().expect("a name"),
            pop: Some(PopIdx::from(p)),
            role: Role::Active,
            capacity: None,
            weight: None,
            price: 0.0,
        };
        let group = |g: usize| Group {
            members: (0..n_pops).filter(|p| !apart || uniform(11 + g as u64, *p) < 0.2).map(|p| member(g, p)).collect(),
            ..Group::new(format!("g{g}.example.com").parse().expect("a name"))
        };
        let policies = Policies {
            pops: (0..n_pops).map(pop).collect(),
            groups: (0..n_groups).map(group).collect(),
            steers: Vec::new(),
        };
        let cell = |r: usize| Cell {
            name: format!("cell{r}"),
            country: None,
            at: Some(place(6, r)),
            weight: 1.0 / n_cells as f64,
            rules: Vec::new(),
        };
        let cells = CellMap::from_cells((0..n_cells).map(cell).collect());
        let geography = Geography::new(&policies, &cells);
        let raw =
            |g: usize, r: usize| uniform(8, r).powi(3) * (0.2 + uniform(9, g)) * (0.5 + uniform(10, g * n_cells + r));
        let target: f64 = policies.pops.iter().map(|p| 0.85 * p.capacity).sum();
        let mut demand: Vec<Vec<f64>> = (0..n_groups).map(|g| (0..n_cells).map(|r| raw(g, r)).collect()).collect();
        let by = 0.8 * target / demand.iter().flatten().sum::<f64>();
        demand.iter_mut().flatten().for_each(|d| *d *= by);
        World { policies, cells, geography, demand }
    }

    /// The problem at tick `tick`, after `prev`.
    fn problem<'a>(&'a self, tick: u64, prev: Option<&'a Plan>) -> Problem<'a> {
        let moved =
            |g: usize, (r, d): (usize, &f64)| d * (0.98 + 0.04 * uniform(100 + tick, g * self.geography.n_cells + r));
        let group = |g: usize| {
            let n_members = self.policies.groups[g].members.len();
            GroupProblem {
                demand: self.demand[g].iter().enumerate().map(|at| moved(g, at)).collect(),
                usable: vec![true; n_members],
                shadow_active: vec![false; n_members],
                room: vec![None; n_members],
                prev: prev.map(|plan| &plan.groups[g]),
            }
        };
        let room = |p: &Pop| Room { target: 0.85 * p.capacity, max: p.max };
        Problem {
            policies: &self.policies,
            geography: &self.geography,
            pops: self.policies.pops.iter().map(room).collect(),
            groups: (0..self.policies.groups.len()).map(group).collect(),
        }
    }
}

fn plan(allocation: Allocation) -> Plan {
    let groups = allocation.groups.into_iter().map(|g| GroupPlan {
        ttl: 60,
        demand: Demand::default(),
        members: Vec::new(),
        rows: g.rows,
        row_of_cell: g.row_of_cell,
        blind_rows: Vec::new(),
        blind_row_of_cell: Vec::new(),
        short: g.short,
        heavy: Default::default(),
    });
    Plan { decided_at: 0.0, mode: Mode::Live, pops: Vec::new(), groups: groups.collect() }
}

fn bench(c: &mut Criterion, size: (usize, usize, usize), apart: bool) {
    let (n_pops, n_cells, n_groups) = size;
    let kind = if apart { " apart" } else { "" };
    let world = World::new(size, apart);
    let options = Options::default();
    let first = allocate(&world.problem(0, None), &options, &Warm::default());
    let warm = first.warm.clone();
    let (n_first, n_full) = (first.n_passes, first.pops.iter().filter(|p| p.price_ms > 0.0).count());
    let first = plan(first);
    let second = allocate(&world.problem(1, Some(&first)), &options, &warm);
    let (n_second, rows) = (second.n_passes, second.groups.iter().map(|g| g.rows.len()).sum::<usize>());
    let second = plan(second);
    let cells = &world.cells.cells;
    let table = Table::compile(&first, &world.policies, cells, None);
    println!("{size:?}{kind}: {n_first} passes cold, {n_second} warm; {n_full} POPs full; {rows} distinct rows");
    let (cold, next) = (world.problem(0, None), world.problem(1, Some(&first)));
    let stays = vec![false; n_pops];
    let step = |warm: &Warm| limit_step(&next, allocate(black_box(&next), &options, warm), 0.1, &stays);
    let afresh = Warm { kept: Kept::default(), ..warm.clone() };
    println!(
        "{size:?}{kind}: CPU seconds (median of five): cold {:.2}, warm {:.2}, warm without the lists of before {:.2}",
        cpu_secs(|| drop(allocate(black_box(&cold), &options, &Warm::default()))),
        cpu_secs(|| drop(step(&warm))),
        cpu_secs(|| drop(step(&afresh))),
    );

    let mut group = c.benchmark_group(format!("{n_pops}x{n_cells}x{n_groups}{kind}"));
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.bench_function("allocate/cold", |b| b.iter(|| allocate(black_box(&cold), &options, &Warm::default())));
    group.bench_function("allocate/warm", |b| b.iter(|| step(&warm)));
    let compile = |plan: &Plan, prev: Option<&Table>| Table::compile(black_box(plan), &world.policies, cells, prev);
    group.bench_function("table/first", |b| b.iter(|| compile(&first, None)));
    group.bench_function("table/next", |b| b.iter(|| compile(&second, Some(&table))));
    group.bench_function("table/unchanged", |b| b.iter(|| compile(&first, Some(&table))));
    group.finish();
}

/// Processor time that this thread takes for something, median of five.
fn cpu_secs(mut what: impl FnMut()) -> f64 {
    let now = || {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes the one `timespec` that it is given.
        unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let mut once = || {
        let start = now();
        what();
        now() - start
    };
    let mut all: Vec<f64> = (0..5).map(|_| once()).collect();
    all.sort_by(f64::total_cmp);
    all[2]
}

fn steering(c: &mut Criterion) {
    bench(c, (100, 1000, 100), false);
    if std::env::var_os("FLOODWAY_BENCH_LARGE").is_some() {
        bench(c, (200, 1000, 500), false);
        bench(c, (200, 1000, 500), true);
    }
}

criterion_group!(benches, steering);
criterion_main!(benches);
