//! Sends queries over UDP at a steady rate and tells what became of each: the measure of an upgrade without a gap.
//!
//! `steady ADDRESS NAME RATE SECONDS [SUBNET]` sends RATE queries a second for NAME (type A) from 64 ports, as a crowd of
//! resolvers would, and prints one line of JSON: sent, answered, lost, other rcodes, the longest time without any
//! answer, and the times to an answer. A query is lost if no answer has come 5 s after the last was sent.
//! Nothing is sent twice. Exit status 1 if anything was lost.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Ports to send from: each is one flow, which the kernel gives to one thread of the server.
const PORTS: usize = 64;
/// How long late answers are waited for.
const LATE: Duration = Duration::from_secs(5);

/// Queries of one port that wait for an answer, by id.
type Waiting = Mutex<HashMap<u16, Instant>>;

#[derive(Default)]
struct Seen {
    /// Microseconds from query to answer.
    micros: Vec<u32>,
    /// Answers with an rcode other than NOERROR.
    n_other: u64,
    /// When answers came, in microseconds since the start.
    at: Vec<u64>,
}

fn query(name: &str) -> Vec<u8> {
    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.trim_end_matches('.').split('.') {
        query.push(label.len() as u8);
        query.extend_from_slice(label.as_bytes());
    }
    query.extend([0, 0, 1, 0, 1]);
    // OPT: 1,232 octets, no flags, no options (RFC 6891 section 6.1.2).
    query.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    query
}

fn receive(socket: &UdpSocket, waiting: &Waiting, start: Instant, done: &AtomicBool, n_answered: &AtomicU64) -> Seen {
    let (mut seen, mut buffer) = (Seen::default(), [0; 4096]);
    while !done.load(Ordering::Relaxed) {
        // A time-out, or an ICMP message about an earlier query, which is lost and will be missed at the end.
        let Ok(len) = socket.recv(&mut buffer) else { continue };
        let now = Instant::now();
        if len < 12 {
            continue;
        }
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        if let Some(sent) = waiting.lock().expect("nobody panics with it").remove(&id) {
            n_answered.fetch_add(1, Ordering::Relaxed);
            seen.micros.push((now - sent).as_micros() as u32);
            seen.at.push((now - start).as_micros() as u64);
            seen.n_other += u64::from(buffer[3] & 0x0f != 0);
        }
    }
    seen
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().collect();
    let [_, address, name, rate, seconds] = &args[..] else {
        eprintln!("steady ADDRESS NAME RATE SECONDS");
        return ExitCode::from(2);
    };
    let address: SocketAddr = address.parse().expect("an address with port");
    let (rate, seconds): (u64, u64) = (rate.parse().expect("a rate"), seconds.parse().expect("seconds"));
    let (start, done, n_answered) = (Instant::now(), AtomicBool::new(false), AtomicU64::new(0));
    let flows: Vec<(UdpSocket, Waiting)> = (0..PORTS)
        .map(|_| {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).expect("a free port");
            socket.connect(address).expect("an address that can be reached");
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a time-out");
            (socket, Waiting::default())
        })
        .collect();
    let flows = Arc::new(flows);
    let mut packet = query(name);
    let (mut sent, total, mut unsent) = (0u64, rate * seconds, 0u64);
    let seen: Vec<Seen> = std::thread::scope(|scope| {
        let receivers: Vec<_> = flows
            .iter()
            .map(|(socket, waiting)| scope.spawn(|| receive(socket, waiting, start, &done, &n_answered)))
            .collect();
        while sent < total {
            let due = ((start.elapsed().as_micros() as u64 * rate) / 1_000_000).min(total);
            while sent < due {
                let ((socket, waiting), id) = (&flows[sent as usize % PORTS], (sent as usize / PORTS) as u16);
                packet[..2].copy_from_slice(&id.to_be_bytes());
                waiting.lock().expect("nobody panics with it").insert(id, Instant::now());
                sent += 1;
                if socket.send(&packet).is_err() {
                    unsent += 1;
                }
            }
            std::thread::sleep(Duration::from_micros(500));
        }
        let last = Instant::now();
        while n_answered.load(Ordering::Relaxed) < sent && last.elapsed() < LATE {
            std::thread::sleep(Duration::from_millis(20));
        }
        done.store(true, Ordering::Relaxed);
        receivers.into_iter().map(|r| r.join().expect("a receiver ends")).collect()
    });
    let mut micros: Vec<u32> = seen.iter().flat_map(|s| s.micros.iter().copied()).collect();
    let mut at: Vec<u64> = seen.iter().flat_map(|s| s.at.iter().copied()).collect();
    micros.sort_unstable();
    at.sort_unstable();
    let part = |q: f64| micros.get(((micros.len() as f64 * q) as usize).min(micros.len().saturating_sub(1))).copied();
    let gap = at.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0);
    let (answered, n_other) = (micros.len() as u64, seen.iter().map(|s| s.n_other).sum::<u64>());
    println!(
        "{{\"sent\":{sent},\"answered\":{answered},\"lost\":{},\"refused_by_icmp\":{unsent},\"other_rcodes\":{n_other},\
         \"longest_gap_ms\":{:.1},\"p50_us\":{},\"p99_us\":{},\"max_us\":{}}}",
        sent - answered,
        gap as f64 / 1e3,
        part(0.5).unwrap_or(0),
        part(0.99).unwrap_or(0),
        micros.last().copied().unwrap_or(0),
    );
    if sent == answered && n_other == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
