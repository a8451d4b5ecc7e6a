//! Under a flood of one client the others keep their answers: a real server, real sockets, sources in 127.0.0.0/8.

mod fixture;

use fixture::{Steered, query, steered};
use floodway::exchange::{Books, Exchange, Silence};
use floodway::transport::rate::{self, Action, Class, Ledger, Limiter};
use floodway::transport::{Answering, Bound, Config, Server};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

struct Fixture {
    server: Server,
    addr: SocketAddr,
    books: Arc<Books>,
    ledger: Arc<Ledger>,
}

fn start(limits: rate::Config) -> Fixture {
    let config = Config { dns: vec!["127.0.0.1:0".parse().unwrap()], threads: 1, ..Config::default() };
    let bound = Bound::new(config).unwrap();
    let (addr, books) = (bound.addrs()[0], Arc::new(Books::new(bound.n_threads())));
    let ledger = Arc::new(Ledger::new(1));
    let exchange = Arc::new(Exchange::new(steered(Steered::default())));
    let make = |thread| {
        let limiter = (thread == 0).then(|| Limiter::new(&limits, 1, ledger.clone(), thread)).flatten();
        // The fixture's tally has room for one thread, and only datagrams are sent.
        Answering::new(exchange.clone(), 0, 0).limited(limiter)
    };
    let server = bound.start(books.clone(), make).unwrap();
    Fixture { server, addr, books, ledger }
}

fn client(fixture: &Fixture, source: &str) -> UdpSocket {
    let socket = UdpSocket::bind((source, 0)).unwrap();
    socket.connect(fixture.addr).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket
}

/// The replies that are there, by what they are: sent in full, sent truncated.
fn read_all(client: &UdpSocket) -> [usize; 2] {
    let (mut seen, mut buffer) = ([0; 2], [0; 4096]);
    client.set_nonblocking(true).unwrap();
    while let Ok(len) = client.recv(&mut buffer) {
        let is_truncated = buffer[2] & 0x02 != 0;
        assert_eq!(is_truncated, buffer[6..8] == [0, 0], "a truncated reply is empty, others are not: {len} octets");
        seen[usize::from(is_truncated)] += 1;
    }
    seen
}

/// One client asks for the same 2,000 times, from two ports and two addresses of one /24; a hundred others ask once each, in
/// between. The one has its 50 replies and a slip for every second one over that, the others have theirs, all of them.
#[test]
fn a_flood_costs_nobody_else_an_answer() {
    let fixture = start(rate::Config { per_second: 50, ..rate::Config::default() });
    let flood = [client(&fixture, "127.66.6.1"), client(&fixture, "127.66.6.200")];
    let asked = query("www.example.com. A").wire();
    let (mut full, mut truncated) = (0, 0);
    for round in 0..100u8 {
        for _ in 0..10 {
            flood.iter().for_each(|socket| assert_eq!(socket.send(&asked).unwrap(), asked.len()));
        }
        let other = client(&fixture, &format!("127.0.{round}.1"));
        other.send(&asked).unwrap();
        let mut buffer = [0; 4096];
        let len = other.recv(&mut buffer).unwrap();
        assert!(len > asked.len() && buffer[2] & 0x02 == 0, "client {round} is answered in full");
        // One thread answers in the order of arrival, so what it said to the flood is here by now.
        for socket in &flood {
            let [f, t] = read_all(socket);
            (full, truncated) = (full + f, truncated + t);
        }
    }
    // The burst, and what 50 a second gave back meanwhile, however slow this machine is.
    assert!((50..2000).contains(&full), "{full} in full");
    let Fixture { server, books, ledger, .. } = fixture;
    server.stop();
    let (udp, n_over) = (&books.sum()[0], (2000 - full) as u64);
    assert_eq!(udp.in_flight(), 0, "the books balance");
    assert_eq!(udp.silences(Silence::RateLimited), ledger.limited(Class::Answer, Action::Dropped));
    assert_eq!(truncated as u64, ledger.limited(Class::Answer, Action::Slipped));
    assert_eq!(udp.silences(Silence::RateLimited) + truncated as u64, n_over);
    assert!(n_over.abs_diff(2 * truncated as u64) <= 100, "every second one slips: {truncated} of {n_over}");
    let worst = ledger.take_worst();
    assert_eq!((worst[0].0.to_string().as_str(), worst[0].1), ("127.66.6.0", n_over));
    assert_eq!(worst.len(), 1);
}
