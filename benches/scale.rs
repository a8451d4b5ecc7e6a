//! What size costs: many zones, many routes, and plans for many groups published while queries are answered.
//!
//! ```text
//! cargo bench --bench scale -- zones   [n]                        n zones of ten names: load, reload, memory over 100 reloads
//! cargo bench --bench scale -- routes  [n each]                   n prefixes, so many a ROUTE: load, look-up, reload
//! cargo bench --bench scale -- publish [groups cells pops each]   a server's latency, quiet and while plans are published
//! ```
//!
//! `publish` runs the server's own query threads on loopback, asks them at a fixed rate and counts from when a question was due,
//! so that what waits behind a late one counts as late, too. Phases take turns, since the machine may have other things to do:
//! quiet, beside a thread that only computes (what any busy thread costs here), and while plans are published. `each` is the
//! number of members that a group has, at as many POPs.

use floodway::cli::config::Config;
use floodway::cli::known::Known;
use floodway::control::live::give_way;
use floodway::exchange::{Books, Exchange, Retired, Snapshot, compose_answers};
use floodway::geo::{CellMap, Databases, Match};
use floodway::id::PopIdx;
use floodway::policy::{BreakerConfig, Group, Member, Policies, Pop, Role, Steer};
use floodway::steering::{Demand, GroupPlan, Mode, Plan, Row, Table};
use floodway::transport::{self, Answering, Bound};
use floodway::units::LatLon;
use floodway::wire::{Name, rtype};
use floodway::zone::{Builder, ZoneSet};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Questions a second.
const RATE: u32 = 2000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    // `cargo test --benches` comes without `--bench`: then all are only seen to work.
    let real = std::env::args().any(|a| a == "--bench");
    let number = |i: usize, full: usize, small: usize| {
        args.get(i).and_then(|a| a.parse().ok()).unwrap_or(if real { full } else { small })
    };
    let wanted = |what: &str| args.first().is_none_or(|a| a == what);
    if wanted("zones") {
        zones(number(1, 10_000, 20), if real { 100 } else { 3 });
    }
    if wanted("routes") {
        let (n, per_route) = (number(1, 100_000, 50), number(2, 200, 5));
        routes(n, per_route);
    }
    if wanted("publish") {
        let size = [number(1, 1000, 3), number(2, 500, 4), number(3, 200, 5), number(4, 8, 2)];
        publish(size, if real { 12 } else { 1 });
    }
}

//----------- Zones ----------------------------------------------------------

fn zones(n: usize, n_reloads: usize) {
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    let text = |serial: usize| {
        let mut text = format!("$TTL 300\n@ SOA ns host {serial} 7200 1800 1209600 300\n@ NS ns\nns A 192.0.2.1\n");
        for i in 0..9 {
            let _ = writeln!(text, "h{i} A 192.0.2.{i}");
        }
        text
    };
    let put = |i: usize, serial: usize| {
        std::fs::write(dir.path().join(format!("z{i}.example.zone")), text(serial)).expect("as above");
    };
    (0..n).for_each(|i| put(i, 1));
    let config = config(dir.path());
    let mut known = Known::default();
    let before = rss();
    let (start, cpu) = (Instant::now(), cpu_secs());
    let mut served = known.load(&config).0.expect("the zones are sound");
    println!("{n} zones of 10 names: load {:.3} s, {:.3} CPU s", start.elapsed().as_secs_f64(), cpu_secs() - cpu);
    println!("held: {:.0} octets a zone", (rss() - before) / n as f64);
    // The stamps of files that have just been written say nothing.
    std::thread::sleep(Duration::from_secs(3));
    let _ = known.load(&config);
    let mut times = Vec::new();
    let mut settled = 0.0;
    for round in 0..n_reloads {
        put(round * 7 % n, 2 + round);
        let cpu = cpu_secs();
        let (loaded, report, changes) = known.load(&config);
        served = loaded.unwrap_or_else(|| panic!("{report}"));
        times.push(cpu_secs() - cpu);
        transport::sys::trim_heap();
        match round {
            0 => println!("reload: {changes}"),
            9 => settled = rss(),
            _ => {}
        }
    }
    times.sort_by(f64::total_cmp);
    println!("reload of one changed zone: {:.4} CPU s", times[times.len() / 2]);
    println!("memory from the 10th reload to the last of {n_reloads}: {:+.0} KiB", (rss() - settled) / 1024.0);
    drop(served);
}

//----------- Routes ---------------------------------------------------------

/// `n` prefixes, so many to a route: those of one provider, say.
fn routes(n: usize, per_route: usize) {
    let dir = tempfile::tempdir().expect("there is room for temporary files");
    let zone = "$TTL 300\n@ SOA ns host 1 7200 1800 1209600 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.1\n\
                ams A 192.0.2.2\nfra A 192.0.2.3\n";
    let mut policy = String::from("ams.pop POP at=52,4 capacity=1k\nfra.pop POP at=50,8 capacity=1k\nwww STEER web0\n");
    // A group has 4,096 routes at most.
    let n_routes = n.div_ceil(per_route);
    for g in 0..n_routes.div_ceil(4000) {
        let _ = writeln!(policy, "web{g} GROUP\nweb{g} MEMBER ams pop=ams.pop\nweb{g} MEMBER fra pop=fra.pop");
    }
    // Prefixes of one route lie apart, as those of a provider do.
    let prefix = |i: usize| format!("{}.{}.{}.0/24", 11 + (i >> 16), i >> 8 & 255, i & 255);
    for route in 0..n_routes {
        let nets: Vec<String> = (route..n).step_by(n_routes).map(prefix).collect();
        let member = if route % 2 == 0 { "ams" } else { "fra" };
        let _ = writeln!(policy, "web{} ROUTE net={} members={member}", route / 4000, nets.join(","));
    }
    std::fs::write(dir.path().join("example.com.zone"), zone).expect("as above");
    std::fs::write(dir.path().join("example.com.policy"), &policy).expect("as above");
    let config = config(dir.path());
    let mut known = Known::default();
    let before = rss();
    let cpu = cpu_secs();
    let (loaded, report, _) = known.load(&config);
    let loaded = loaded.unwrap_or_else(|| panic!("{report}"));
    let n_cells = loaded.cells.cells.len();
    println!("{n} prefixes in {n_routes} routes: load {:.3} CPU s, {n_cells} cells", cpu_secs() - cpu);
    transport::sys::trim_heap();
    println!("held: {:.0} octets a prefix", (rss() - before) / n as f64);
    let addresses: Vec<IpAddr> = (0..1 << 20)
        .map(|i| Ipv4Addr::from_bits((11 << 24) + mix(i) as u32 % ((n as u32) << 8)))
        .map(IpAddr::V4)
        .collect();
    let cpu = cpu_secs();
    let sum: u64 =
        addresses.iter().map(|addr| u64::from(std::hint::black_box(loaded.cells.locate(*addr)).cell.0)).sum();
    println!(
        "look-up: {:.1} ns (mean cell {:.0})",
        (cpu_secs() - cpu) / addresses.len() as f64 * 1e9,
        sum as f64 / addresses.len() as f64
    );
    std::fs::write(dir.path().join("example.com.zone"), zone.replace(" 1 7200", " 2 7200")).expect("as above");
    let cpu = cpu_secs();
    let (_, _, changes) = known.load(&config);
    println!("reload of a changed zone: {:.3} CPU s ({changes})", cpu_secs() - cpu);
    std::fs::write(dir.path().join("example.com.policy"), policy.replacen("members=ams", "members=fra", 1))
        .expect("as above");
    let cpu = cpu_secs();
    let (_, _, changes) = known.load(&config);
    println!("reload of a changed route: {:.3} CPU s ({changes})", cpu_secs() - cpu);
}

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.zones.dir = dir.into();
    config
}

//----------- Publish --------------------------------------------------------

/// What goes on beside the questions.
#[derive(Clone, Copy, PartialEq)]
enum Beside {
    /// Nothing.
    Quiet,
    /// A thread that gives way as the control loop does, and computes without touching memory: what a second busy
    /// thread costs on this machine, whatever it does.
    Spinning,
    /// A plan of full size is made, compiled and published every second.
    Publishing,
    /// The end of the run.
    Done,
}

const PHASES: [(Beside, &str); 3] =
    [(Beside::Quiet, "quiet"), (Beside::Spinning, "spinning"), (Beside::Publishing, "publishing")];

fn publish([n_groups, n_cells, n_pops, each]: [usize; 4], n_rounds: usize) {
    let (policies, zones) = world(n_groups, n_pops, each);
    let cells = Arc::new(map(n_cells));
    let n_cells = cells.cells.len();
    let answers = Arc::new(compose_answers(&policies, &zones));
    let (policies, zones) = (Arc::new(policies), Arc::new(zones));
    let before = rss();
    let first = Arc::new(plan(&policies, n_cells, 0));
    let held_by_plan = rss() - before;
    let start = Instant::now();
    let table = Arc::new(Table::compile(&first, &policies, &cells.cells, None));
    println!("{n_groups} groups × {n_cells} cells × {n_pops} POPs, {each} members a group: {} rows", table.n_rows());
    println!(
        "first table: {:.2} s; held by it {:.0} MB, by the plan {:.0} MB",
        start.elapsed().as_secs_f64(),
        (rss() - before - held_by_plan) / 1e6,
        held_by_plan / 1e6
    );
    let bound = Bound::new(transport::Config {
        dns: vec!["127.0.0.1:0".parse().expect("an address")],
        threads: 1,
        ..transport::Config::default()
    });
    let bound = bound.expect("a free port on loopback");
    let addr = bound.addrs()[0];
    let snapshot = Snapshot::first(bound.n_threads(), zones, policies.clone(), cells.clone(), answers, first, table);
    let exchange = Arc::new(Exchange::new(snapshot));
    let books = Arc::new(Books::new(bound.n_threads()));
    let answering = |thread| Answering::new(exchange.clone(), thread, 1);
    let server = bound.start(books, answering).expect("threads start");

    let beside = Mutex::new(Beside::Quiet);
    let now = || *beside.lock().expect("nobody panics with it");
    // By phase, by round.
    let mut micros: [Vec<Vec<u32>>; 3] = Default::default();
    let mut times = std::thread::scope(|scope| {
        let publisher = scope.spawn(|| {
            give_way();
            let (mut retired, mut times, mut x) = (Retired::default(), Vec::new(), 1);
            for tick in 1.. {
                match now() {
                    Beside::Done => break,
                    Beside::Quiet => std::thread::sleep(Duration::from_millis(5)),
                    Beside::Spinning => (0..1_000_000).for_each(|i| x = std::hint::black_box(mix(x ^ i))),
                    Beside::Publishing => {
                        let begun = Instant::now();
                        let base = exchange.load_full();
                        let plan = Arc::new(plan(&policies, n_cells, tick));
                        let cpu = thread_secs();
                        let table = Arc::new(Table::compile(&plan, &policies, &cells.cells, Some(&base.table)));
                        times.push(thread_secs() - cpu);
                        exchange.publish_plan(&base, plan, table).into_iter().for_each(|before| retired.put(before));
                        drop(base);
                        retired.free();
                        while begun.elapsed() < Duration::from_secs(1) && now() == Beside::Publishing {
                            std::thread::sleep(Duration::from_millis(5));
                        }
                    }
                }
            }
            times
        });
        let mut client = Client::new(addr, n_groups, n_cells);
        client.ask(4 * RATE, &mut Vec::new());
        for round in 0..n_rounds {
            // Each phase comes first, in the middle and last equally often.
            for i in 0..PHASES.len() {
                let phase = (round + i) % PHASES.len();
                *beside.lock().expect("nobody panics with it") = PHASES[phase].0;
                // The beat under way ends.
                client.ask(RATE, &mut Vec::new());
                let mut here = Vec::new();
                client.ask(3 * RATE, &mut here);
                here.sort_unstable();
                micros[phase].push(here);
            }
        }
        *beside.lock().expect("nobody panics with it") = Beside::Done;
        publisher.join().expect("the publisher ends")
    });
    server.stop();
    times.sort_by(f64::total_cmp);
    println!("next table: {:.2} CPU s (median of {})", times.get(times.len() / 2).unwrap_or(&0.0), times.len());
    println!("held in all: {:.0} MB", rss() / 1e6);
    println!(
        "microseconds: median of {n_rounds} rounds (least to most), and by how much of the same round's quiet one"
    );
    for (phase, (_, name)) in PHASES.iter().enumerate() {
        let of = |q: f64| {
            let at = |sorted: &Vec<u32>| f64::from(sorted[((sorted.len() as f64 * q) as usize).min(sorted.len() - 1)]);
            let [here, quiet] = [phase, 0].map(|phase| micros[phase].iter().map(at).collect::<Vec<f64>>());
            let ratios = here.iter().zip(&quiet).map(|(a, b)| a / b).collect();
            format!("{} × {}", spread(here, 0), spread(ratios, 2))
        };
        println!("{name:>10}: p50 {}; p99 {}; p99.9 {}", of(0.5), of(0.99), of(0.999));
    }
}

/// Median, least and most, with so many decimals.
fn spread(mut figures: Vec<f64>, decimals: usize) -> String {
    figures.sort_by(f64::total_cmp);
    let (least, most) = (figures[0], figures[figures.len() - 1]);
    format!("{:.decimals$} ({least:.decimals$}–{most:.decimals$})", figures[figures.len() / 2])
}

/// A map with so many cells, most of them by rules: the `i`-th rule's is 11.x.y.0/24, `xy` being `i`.
fn map(n_cells: usize) -> CellMap {
    let databases = Databases::embedded();
    let n_places = CellMap::compile(&databases, &[], &[]).cells.len();
    let rule = |i: usize| Match {
        nets: vec![format!("11.{}.{}.0/24", i >> 8, i & 255).parse().expect("a prefix")],
        ..Match::default()
    };
    let rules: Vec<Match> = (0..n_cells.saturating_sub(n_places)).map(rule).collect();
    CellMap::compile(&databases, &rules.iter().collect::<Vec<_>>(), &[])
}

/// POPs, groups of `each` members and the names that the groups answer, all in one zone.
fn world(n_groups: usize, n_pops: usize, each: usize) -> (Policies, ZoneSet) {
    let name = |text: String| text.parse::<Name>().expect("a name");
    let mut zone = Builder::new(&name("example.com".into()));
    let pops = (0..n_pops).map(|p| Pop {
        name: name(format!("p{p}.pop.example.com")),
        at: LatLon { lat: 0.0, lon: p as f64 },
        capacity: 1e4,
        max: 1.1e4,
        price: 0.0,
        co2: 0.0,
        spill: None,
        breaker: BreakerConfig::default(),
        probe: None,
    });
    let mut policies = Policies { pops: pops.collect(), groups: Vec::new(), steers: Vec::new() };
    for g in 0..n_groups {
        let mut group = Group::new(name(format!("g{g}.example.com")));
        for m in 0..each.min(n_pops) {
            let member = name(format!("p{m}.g{g}.example.com"));
            zone.add(&member, rtype::A, 60, &[192, 0, 2, m as u8]);
            let pop = Some(PopIdx::from((g + m) % n_pops));
            group.members.push(Member {
                name: member,
                pop,
                role: Role::Active,
                capacity: None,
                weight: None,
                price: 0.0,
            });
        }
        policies.groups.push(group);
        policies.steers.push(Steer { name: name(format!("s{g}.example.com")), group: g.into() });
    }
    let mut zones = ZoneSet::new(vec![zone.finish()]);
    zones.steer(policies.steers.iter().map(|s| (&s.name, s.group)));
    (policies, zones)
}

/// Every cell of every group has a row of its own, over three members; a tenth of the rows moves each tick.
fn plan(policies: &Policies, n_cells: usize, tick: u64) -> Plan {
    let group = |(g, group): (usize, &Group)| {
        let row = |cell: usize| {
            let mut shares = vec![0.0; group.members.len()];
            let moves = (cell + g).is_multiple_of(10);
            let at = mix((g * n_cells + cell) as u64);
            let first = 0.3 + 0.4 * (mix(at ^ if moves { tick } else { 0 }) % 1000) as f32 / 1000.0;
            for (i, share) in [first, 0.7 * (1.0 - first), 0.3 * (1.0 - first)].into_iter().enumerate() {
                shares[(at as usize + i) % group.members.len()] += share;
            }
            Row::new(&shares)
        };
        GroupPlan {
            ttl: 60,
            demand: Demand::default(),
            members: Vec::new(),
            rows: (0..n_cells).map(row).collect(),
            row_of_cell: (0..n_cells as u32).collect(),
            blind_rows: Vec::new(),
            blind_row_of_cell: Vec::new(),
            short: 0.0,
            heavy: Default::default(),
        }
    };
    let groups = policies.groups.iter().enumerate().map(group).collect();
    Plan { decided_at: 0.0, mode: Mode::Live, pops: Vec::new(), groups }
}

fn mix(i: u64) -> u64 {
    let z = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z ^ (z >> 31)
}

/// Asks one question after another, of all groups and from all cells.
struct Client {
    socket: UdpSocket,
    n_groups: usize,
    n_cells: usize,
    n_asked: u64,
}

impl Client {
    fn new(server: SocketAddr, n_groups: usize, n_cells: usize) -> Client {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback");
        socket.connect(server).expect("loopback");
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout is allowed");
        Client { socket, n_groups, n_cells, n_asked: 0 }
    }

    /// Asks `n` questions at [`RATE`] and notes for each the microseconds from when it was due.
    fn ask(&mut self, n: u32, micros: &mut Vec<u32>) {
        let begun = Instant::now();
        let mut reply = [0; 2048];
        for i in 0..n {
            let due = begun + Duration::from_secs(1) / RATE * i;
            let is_late = Instant::now() > due;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            let query = self.question();
            // A sleep ends late by itself; what waited for the answer before counts.
            let due = if is_late { due } else { Instant::now() };
            self.socket.send(&query).expect("loopback takes it");
            let len = self.socket.recv(&mut reply).expect("an answer");
            assert!(len > query.len() && reply[..2] == query[..2], "an answer with an address");
            micros.push(due.elapsed().as_micros() as u32);
        }
    }

    /// The next question: a random group's name, and a client subnet (RFC 7871 section 6) in a random cell.
    fn question(&mut self) -> Vec<u8> {
        self.n_asked += 1;
        let random = mix(self.n_asked) as usize;
        let label = format!("s{}", random % self.n_groups);
        let cell = (random >> 32) % self.n_cells;
        let [_, .., high, low] = self.n_asked.to_be_bytes();
        let mut query = vec![high, low, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, label.len() as u8];
        query.extend_from_slice(label.as_bytes());
        query.extend_from_slice(b"\x07example\x03com\0\0\x01\0\x01");
        query.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
        query.extend_from_slice(&[11, (cell >> 8) as u8, cell as u8]);
        query
    }
}

//----------- Figures --------------------------------------------------------

fn cpu_secs() -> f64 {
    clock_secs(libc::CLOCK_PROCESS_CPUTIME_ID)
}

fn thread_secs() -> f64 {
    clock_secs(libc::CLOCK_THREAD_CPUTIME_ID)
}

fn clock_secs(clock: libc::clockid_t) -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes the one `timespec` that it is given.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Octets of memory that the process holds.
fn rss() -> f64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
