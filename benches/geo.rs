//! Promise: a lookup in the map costs tens of nanoseconds, a compile of a large database a second or two.
//!
//! Inputs: the embedded database; and, where `FLOODWAY_BENCH_MMDB` names one, a large file (the figures in
//! ARCHITECTURE.md are for a synthetic one of 1.7 million IPv4 and 0.2 million IPv6 networks, 40,000 places).
//! Sites are twenty cities; addresses are random over the space that the file fills, so that lookups
//! miss caches as they would on a busy server.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use floodway::geo::{CellMap, Databases, Paths};
use floodway::units::LatLon;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const SITES: [(f64, f64); 20] = [
    (38.9, -77.0),
    (41.9, -87.6),
    (32.8, -96.8),
    (34.0, -118.2),
    (47.6, -122.3),
    (25.8, -80.2),
    (43.7, -79.4),
    (-23.5, -46.6),
    (-33.4, -70.7),
    (51.5, -0.1),
    (52.4, 4.9),
    (50.1, 8.7),
    (40.4, -3.7),
    (52.2, 21.0),
    (-26.2, 28.0),
    (19.1, 72.9),
    (1.35, 103.8),
    (22.3, 114.2),
    (35.7, 139.7),
    (-33.9, 151.2),
];

fn databases() -> (&'static str, Databases) {
    match std::env::var("FLOODWAY_BENCH_MMDB") {
        Ok(path) => {
            let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
            ("large", Databases::open(vec![(path, bytes)], &Paths::default()).unwrap_or_else(|e| panic!("{e:?}")))
        }
        Err(_) => ("embedded", Databases::embedded()),
    }
}

/// A fixed sequence of well-mixed numbers (SplitMix64, Steele, Lea and Flood 2014).
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn bench(c: &mut Criterion) {
    let (name, databases) = databases();
    let sites = vec![SITES.map(|(lat, lon)| LatLon { lat, lon }).to_vec()];
    let map = CellMap::compile(&databases, &[], &sites);
    let (n4, n6) = map.n_runs();
    println!("{name}: {} cells, {n4} IPv4 and {n6} IPv6 runs, notes {:?}", map.cells.len(), map.notes);
    let v4: Vec<IpAddr> = (0..1 << 20).map(|n| Ipv4Addr::from_bits(mixed(n) as u32 % 0xe000_0000).into()).collect();
    let v6_at = |n: u64| {
        let top = 0x2000 + mixed(n) % 0xc00;
        Ipv6Addr::from_bits(u128::from(top << 48 | mixed(!n) >> 16) << 64).into()
    };
    let v6: Vec<IpAddr> = (0..1 << 20).map(v6_at).collect();
    let mut group = c.benchmark_group("geo");
    for (family, addrs) in [("v4", &v4), ("v6", &v6)] {
        let mut at = 0;
        group.throughput(Throughput::Elements(1));
        // Each address depends on the last answer, so that this is the time of one lookup, not of many at once.
        group.bench_function(format!("locate_{family}_{name}"), |b| {
            b.iter(|| {
                let located = map.locate(addrs[at]);
                at = (at + 1 + (located.cell.idx() & 1)) & (addrs.len() - 1);
                black_box(located)
            })
        });
    }
    group.sample_size(10);
    group.throughput(Throughput::Elements(databases.files[0].n_networks as u64));
    group.bench_function(format!("compile_{name}"), |b| b.iter(|| CellMap::compile(&databases, &[], &sites)));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
