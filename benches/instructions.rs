//! Instructions per query, counted by valgrind's callgrind: the same figure on a quiet machine and on a busy one.
//!
//! ```sh
//! cargo bench --bench instructions
//! ```
//!
//! The program runs itself under `valgrind --tool=callgrind` and prints a row for each kind of query: what
//! [`answer`] alone takes, and what one turn of a datagram thread takes (batches of 32 on loopback, the system
//! calls' own wrappers included, the kernel left out). Counting goes on and off with [`floodway_counted_answers`] and
//! [`floodway_counted_turn`]; the loop around is measured as a kind of its own and taken off.
//!
//! Cache misses and mispredicted branches are those of callgrind's models, of a program that has the caches for
//! itself: good for comparing two versions, no promise of what a server sees.
//!
//! Inputs are made here, the same every time: a zone of 10,000 names with A and AAAA, 100 names answered by
//! nearness and 100 by weight over 20 POPs, wildcards and delegations, and the built-in map.

use floodway::answer::{Client, Scratch, Transport, answer};
use floodway::cli::config::Config;
use floodway::cli::load::load;
use floodway::exchange::house::{Cookies, Secret};
use floodway::exchange::{Books, Exchange, House, Snapshot};
use floodway::transport::Answering;
use floodway::transport::mmsg::Wait;
use floodway::transport::udp::{BATCH, Worker};
use std::fmt::Write as _;
use std::hint::black_box;
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, exit};
use std::sync::Arc;

/// Set in the run under valgrind.
const COUNTED: &str = "FLOODWAY_COUNTED";
/// Queries of each kind: a multiple of the batch.
const N_QUERIES: usize = 128 * BATCH;
/// What callgrind calls the figures of a dump that are printed, and their columns.
const EVENTS: [(&str, &str); 3] = [("Ir", "instructions"), ("D1m", "L1 misses"), ("Bm", "mispredicted")];

fn main() {
    match std::env::var_os(COUNTED) {
        Some(_) => run(),
        None => count(),
    }
}

//----------- Inputs ---------------------------------------------------------

/// A kind of query: its name, and the `i`th question, with its EDNS options.
type Kind = (&'static str, fn(u32) -> (String, u16, Vec<u8>));

const A: u16 = 1;
const AAAA: u16 = 28;

const KINDS: [Kind; 11] = [
    ("static A", |i| (format!("h{:05}", i % 10_000), A, Vec::new())),
    ("static A, client cookie", |i| (format!("h{:05}", i % 10_000), A, cookie(i))),
    ("static AAAA", |i| (format!("h{:05}", i % 10_000), AAAA, Vec::new())),
    ("geo, client subnet", |i| (format!("g{:03}", i % 100), A, subnet(i))),
    ("geo, no subnet", |i| (format!("g{:03}", i % 100), A, Vec::new())),
    ("weighted", |i| (format!("w{:03}", i % 100), A, Vec::new())),
    ("sticky, client subnet", |i| (format!("s{:03}", i % 100), A, subnet(i))),
    ("NXDOMAIN", |i| (format!("n{i:05}"), A, Vec::new())),
    ("referral", |i| (format!("www.d{:02}", i % 50), A, Vec::new())),
    ("wildcard", |i| (format!("x{i:05}.any{:02}", i % 20), A, Vec::new())),
    ("alias", |i| (format!("c{:02}", i % 50), A, Vec::new())),
];

/// The client subnet that resolvers send: /24, and for one in four IPv6, /56.
fn subnet(i: u32) -> Vec<u8> {
    let [_, _, b, c] = i.to_be_bytes();
    match i % 4 {
        0 => vec![0, 8, 0, 11, 0, 2, 56, 0, 0x2a, 2, (i >> 16) as u8 & 15, b, b, c, c],
        _ => vec![0, 8, 0, 7, 0, 1, 24, 0, 1 + (i % 222) as u8, b, c],
    }
}

/// The cookie of a client that has none of ours yet, so that one is made.
fn cookie(i: u32) -> Vec<u8> {
    [&[0, 10, 0, 8][..], &i.to_be_bytes(), &i.to_le_bytes()].concat()
}

fn zone() -> String {
    let mut text = "$ORIGIN bench.example.\n$TTL 300\n@ SOA ns1 host 1 3600 600 86400 60\n@ NS ns1\n".to_owned();
    text += "ns1 A 192.0.2.53\n";
    let mut put = |line: std::fmt::Arguments| writeln!(text, "{line}").expect("strings take everything");
    for i in 0..10_000 {
        put(format_args!("h{i:05} A 10.{}.{}.1\nh{i:05} AAAA 2001:db8::{i:x}", i / 256, i % 256));
    }
    for i in 0..20 {
        put(format_args!("pop{i:02} A 192.0.2.{}\npop{i:02} AAAA 2001:db8:1::{i:x}\n*.any{i:02} A 192.0.2.42", i + 1));
    }
    for i in 0..50 {
        put(format_args!("d{i:02} NS ns1.d{i:02}\nd{i:02} NS ns2.d{i:02}\nc{i:02} CNAME h{i:05}"));
        put(format_args!("ns1.d{i:02} A 192.0.2.61\nns2.d{i:02} A 192.0.2.62"));
    }
    text
}

fn policy() -> String {
    let mut text = "$ORIGIN bench.example.\n".to_owned();
    let mut put = |line: std::fmt::Arguments| writeln!(text, "{line}").expect("strings take everything");
    for i in 0..20 {
        put(format_args!("site{i:02} POP at={},{} capacity=1M", i * 5 - 40, i * 17 - 160));
    }
    let mut group = |name: &str, settings: &str, weight: fn(u32) -> String| {
        put(format_args!("{name} GROUP {settings} ttl=60"));
        for i in 0..20 {
            put(format_args!("{name} MEMBER pop{i:02} pop=site{i:02}{}", weight(i)));
        }
    };
    group("nearest.group", "steer=nearest", |_| String::new());
    let weight = |i: u32| format!(" weight={}", 1 + i * 7 % 20);
    for i in 0..100 {
        group(&format!("w{i:03}.group"), "steer=static pick=spread", weight);
        group(&format!("s{i:03}.group"), "steer=static pick=sticky", weight);
    }
    for i in 0..100 {
        put(format_args!("g{i:03} STEER nearest.group\nw{i:03} STEER w{i:03}.group\ns{i:03} STEER s{i:03}.group"));
    }
    text
}

fn snapshot() -> Snapshot {
    let dir = tempfile::tempdir().expect("a folder for the zone");
    std::fs::write(dir.path().join("bench.example.zone"), zone()).expect("the zone is written");
    std::fs::write(dir.path().join("bench.example.policy"), policy()).expect("the policy is written");
    let mut config = Config::default();
    config.zones.dir = dir.path().into();
    let (loaded, report) = load(&config);
    let l = loaded.unwrap_or_else(|| panic!("the inputs load: {report}"));
    let (plan, table) = l.declared();
    let cookies = Some(Cookies { secrets: vec![Secret([7; 16])], required: false });
    let house = House { cookies, ..House::default() };
    Snapshot::first(1, l.zones, l.policies, l.cells, l.answers, plan, table).with_house(Arc::new(house))
}

/// The message of a question: RD off, an OPT that offers 1,232 octets, with these options.
fn message(name: &str, qtype: u16, options: &[u8]) -> Vec<u8> {
    let mut wire = b"\x12\x34\0\0\0\x01\0\0\0\0\0\x01".to_vec();
    for label in name.split('.').chain(["bench", "example"]) {
        wire.push(label.len() as u8);
        wire.extend(label.as_bytes());
    }
    wire.push(0);
    wire.extend([qtype.to_be_bytes(), [0, 1]].concat());
    wire.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, options.len() as u8]);
    wire.extend(options);
    wire
}

/// The messages of a kind, in an order that jumps about.
fn messages(kind: &Kind) -> Vec<Vec<u8>> {
    let one = |i: usize| {
        let (name, qtype, options) = kind.1((i as u32).wrapping_mul(0x9e37_79b1) >> 8);
        message(&name, qtype, &options)
    };
    (0..N_QUERIES).map(one).collect()
}

//----------- Run ------------------------------------------------------------

/// What callgrind looks at: the loop over messages.
#[inline(never)]
fn floodway_counted_answers(messages: &[Vec<u8>], mut answer: impl FnMut(&[u8]) -> usize) -> usize {
    messages.iter().map(|m| answer(m)).sum()
}

/// What callgrind looks at: one turn of a datagram thread.
#[inline(never)]
fn floodway_counted_turn(worker: &mut Worker<'_, Answering>) {
    worker.turn(Wait::No).expect("a batch has been sent");
}

/// What callgrind ends a row at.
#[inline(never)]
fn floodway_counted_row(row: &str) {
    black_box(row);
}

/// The run under valgrind: the loop alone, then two rows for each kind.
fn run() {
    let exchange = Arc::new(Exchange::new(snapshot()));
    let books = Books::new(1);
    let server = Arc::new(UdpSocket::bind("127.0.0.1:0").expect("a port on loopback"));
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port on loopback");
    client.connect(server.local_addr().expect("it is bound")).expect("loopback connects");
    let mut worker = Worker::new(server, false, Answering::new(exchange.clone(), 0, 0), books.page(0));
    let snapshot = exchange.load_full();
    let from = Client { addr: [127, 0, 0, 1].into(), transport: Transport::Udp, link: Default::default() };
    let (mut scratch, mut out) = (Scratch::new(0, 0), vec![0; 4096]);

    floodway_counted_answers(&messages(&KINDS[0]), |message| black_box(message).len());
    floodway_counted_row("loop");
    for kind in &KINDS {
        let messages = messages(kind);
        let mut answer = |m: &[u8]| answer(black_box(m), from, &snapshot, 0, &mut scratch, &mut out).len;
        messages.iter().for_each(|m| assert!(answer(m) > 12, "{} gets an answer", kind.0));
        floodway_counted_answers(&messages, &mut answer);
        floodway_counted_row(kind.0);
        for (i, batch) in messages.chunks(BATCH).cycle().take(2 * N_QUERIES / BATCH).enumerate() {
            batch.iter().for_each(|m| assert_eq!(client.send(m).ok(), Some(m.len())));
            match i < N_QUERIES / BATCH {
                true => worker.turn(Wait::No).expect("a batch has been sent"),
                false => floodway_counted_turn(&mut worker),
            }
            batch.iter().for_each(|_| assert!(client.recv(&mut [0; 4096]).is_ok_and(|len| len > 12)));
        }
        floodway_counted_row(kind.0);
    }
    let sum = &books.sum()[0];
    assert_eq!((sum.in_flight(), sum.batches), (0, (2 * KINDS.len() * N_QUERIES / BATCH) as u64), "batches are full");
}

//----------- Count ----------------------------------------------------------

/// Runs this program under valgrind and prints the table.
fn count() {
    let dir = tempfile::tempdir().expect("a folder for the counts");
    let base = dir.path().join("counts");
    let status = Command::new("valgrind")
        .args(["--tool=callgrind", "--cache-sim=yes", "--branch-sim=yes", "--collect-atstart=no"])
        .args(["--toggle-collect=*floodway_counted_answers*", "--toggle-collect=*floodway_counted_turn*"])
        .args(["--dump-before=*floodway_counted_row*", "--quiet"])
        // One processor's caches for all, so that figures can be compared: 48 KiB of data, 32 KiB of code, 32 MiB shared.
        .args(["--D1=49152,12,64", "--I1=32768,8,64", "--LL=33554432,16,64"])
        .arg(format!("--callgrind-out-file={}", base.display()))
        .arg(std::env::current_exe().expect("this program has a path"))
        .env(COUNTED, "1")
        .status();
    match status {
        Ok(status) if status.success() => {}
        Ok(status) => exit(status.code().unwrap_or(1)),
        Err(e) => {
            eprintln!("valgrind cannot be run ({e}); Debian has it in the package `valgrind`");
            exit(1);
        }
    }
    let row = |i: usize| counts(&base.with_extension(i.to_string()));
    let of_loop = row(1);
    println!("| query | in | {} |", EVENTS.map(|(_, column)| column).join(" | "));
    println!("|---|---|{}", "--:|".repeat(EVENTS.len()));
    for (i, kind) in KINDS.iter().enumerate() {
        let (answer, turn) = (row(2 + 2 * i), row(3 + 2 * i));
        let without = std::array::from_fn(|e| (answer[e] - of_loop[e]).max(0.0));
        println!("| {} | `answer` | {} |", kind.0, print(without));
        println!("| | turn | {} |", print(turn));
    }
}

fn print(counts: [f64; EVENTS.len()]) -> String {
    format!("{:.0} | {:.2} | {:.2}", counts[0], counts[1], counts[2])
}

/// The totals of one dump, per query, in the order of [`EVENTS`].
fn counts(dump: &Path) -> [f64; EVENTS.len()] {
    let text = std::fs::read_to_string(dump).unwrap_or_else(|e| panic!("{}: {e}", dump.display()));
    let line = |head: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(head));
        found.unwrap_or_else(|| panic!("{}: no line {head}", dump.display())).split_whitespace()
    };
    let totals: Vec<(&str, f64)> =
        line("events:").zip(line("totals:").map(|n| n.parse().expect("totals are numbers"))).collect();
    // Misses of reads and writes (D1mr, D1mw), of conditional and indirect branches (Bcm, Bim) are one column each.
    let is_part = |name: &str, event: &str| match event {
        "D1m" => name.starts_with("D1m"),
        "Bm" => matches!(name, "Bcm" | "Bim"),
        _ => name == event,
    };
    EVENTS.map(|(event, _)| {
        totals.iter().filter(|(name, _)| is_part(name, event)).map(|(_, n)| n).sum::<f64>() / N_QUERIES as f64
    })
}
