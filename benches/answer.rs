//! User-mode work of one answer, without sockets: static, denial, referral, wildcard, alias, steered with client subnet.
//!
//! The static zone has a million names with one A each (`h0.example.net.` to `h999999.example.net.`), asked for in an
//! order that defeats the caches; the others come from the tests' zones. Building that zone is timed too.

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use fixture::{Steered, query, snapshot, steered};
use floodway::answer::{Client, Scratch, Transport, answer};
use floodway::exchange::Snapshot;
use floodway::wire::Name;
use floodway::zone::{Builder, Zone};

/// Names in the big zone.
const N_NAMES: u32 = 1_000_000;

fn big_zone() -> Zone {
    let apex: Name = "example.net.".parse().expect("a name");
    let mut builder = Builder::new(&apex);
    let soa = [apex.as_wire(), apex.as_wire(), &[0; 20]].concat();
    builder.add(&apex, 6, 3600, &soa);
    for i in 0..N_NAMES {
        let owner = apex.child(format!("h{i}").as_bytes()).expect("a short label");
        builder.add(&owner, 1, 300, &i.to_be_bytes());
    }
    builder.finish()
}

/// 65,536 packets asking for what `text` makes of a number that jumps about.
fn packets(text: impl Fn(u32) -> Vec<u8>) -> Vec<Vec<u8>> {
    (0..1u32 << 16).map(|i| text(i.wrapping_mul(0x9e37_79b1) % N_NAMES)).collect()
}

fn measure(c: &mut Criterion, name: &str, snapshot: &Snapshot, packets: &[Vec<u8>]) {
    let client = Client { addr: [192, 0, 2, 200].into(), transport: Transport::Udp, link: Default::default() };
    let (mut scratch, mut out) = (Scratch::new(0, 0), vec![0; 4096]);
    let mut group = c.benchmark_group("answer");
    group.throughput(Throughput::Elements(1));
    let mut i = 0;
    group.bench_function(name, |b| {
        b.iter(|| {
            i = (i + 1) % packets.len();
            answer(&packets[i], client, snapshot, 0, &mut scratch, &mut out).len
        });
    });
    group.finish();
}

fn answers(c: &mut Criterion) {
    let big = snapshot(vec![big_zone()]);
    let zone = big.zones.iter().next().expect("one zone");
    println!(
        "big zone: {} names, {:.1} octets a name",
        zone.n_names(),
        zone.memory_bytes() as f64 / zone.n_names() as f64
    );
    measure(c, "static", &big, &packets(|i| query(&format!("h{i}.example.net. A")).wire()));
    measure(c, "static-edns", &big, &packets(|i| query(&format!("h{i}.example.net. A")).edns(1232).wire()));
    measure(c, "nxdomain", &big, &packets(|i| query(&format!("n{i}.example.net. A")).wire()));
    let small = fixture::example();
    for (name, question) in [
        ("referral", "www.sub.example.com. A"),
        ("wildcard", "any.wild.example.com. A"),
        ("alias", "alias.example.com. A"),
        ("refused", "www.elsewhere.test. A"),
    ] {
        measure(c, name, &small, &[query(question).wire()]);
    }
    let steered = steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() });
    let subnets = packets(|i| {
        let client = format!("{}.{}.{}.0/24", 1 + i % 200, i / 256 % 256, i % 256);
        query("www.example.com. A").ecs(&client).wire()
    });
    measure(c, "steered-ecs", &steered, &subnets);
}

fn building(c: &mut Criterion) {
    let mut group = c.benchmark_group("zone");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(N_NAMES)));
    group.bench_function("build-1M", |b| b.iter_batched(|| (), |()| big_zone(), BatchSize::PerIteration));
    group.finish();
}

criterion_group!(benches, answers, building);
criterion_main!(benches);
