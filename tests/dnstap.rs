//! dnstap as a collector sees it: a real server, queries over UDP and TCP, frames on a socket and in a file.

mod fixture;

use fixture::{Steered, query, steered};
use floodway::exchange::{Books, Exchange};
use floodway::transport::tap::frames::{Control, control, expect};
use floodway::transport::tap::message::Dnstap;
use floodway::transport::tap::{self, Counts, Writer};
use floodway::transport::{Answering, Bound, Config, Server};
use prost::Message as _;
use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

struct Fixture {
    server: Server,
    writer: Writer,
    counts: Arc<Counts>,
    addr: SocketAddr,
}

fn start(config: &tap::Config) -> Fixture {
    let sockets = Config { dns: vec!["127.0.0.1:0".parse().unwrap()], threads: 1, ..Config::default() };
    let bound = Bound::new(sockets).unwrap();
    let (addr, books) = (bound.addrs()[0], Arc::new(Books::new(bound.n_threads())));
    let exchange = Arc::new(Exchange::new(steered(Steered::default())));
    let (taps, takers, counts) = tap::taps(config, bound.n_threads(), 1);
    let taps = RefCell::new(taps.into_iter().map(Some).collect::<Vec<_>>());
    let writer = Writer::start(config.clone(), takers, counts.clone(), exchange.clone()).unwrap();
    // The fixture's tally has room for one thread; UDP and TCP are asked one after the other.
    let make = |thread: usize| Answering::new(exchange.clone(), 0, 0).tapped(taps.borrow_mut()[thread].take());
    Fixture { server: bound.start(books, make).unwrap(), writer, counts, addr }
}

fn ask_udp(addr: SocketAddr, wire: &[u8]) -> (Vec<u8>, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.send_to(wire, addr).unwrap();
    let mut buffer = vec![0; 4096];
    let len = socket.recv(&mut buffer).unwrap();
    buffer.truncate(len);
    (buffer, socket.local_addr().unwrap().port())
}

fn ask_tcp(addr: SocketAddr, wire: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(&[&(wire.len() as u16).to_be_bytes(), wire].concat()).unwrap();
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut reply).unwrap();
    reply
}

/// Data frames up to STOP.
fn read_frames(mut from: impl Read) -> Vec<Dnstap> {
    let mut all = Vec::new();
    loop {
        let mut len = [0; 4];
        from.read_exact(&mut len).unwrap();
        match u32::from_be_bytes(len) {
            0 => {
                let mut rest = [0; 8];
                from.read_exact(&mut rest).unwrap();
                assert_eq!(rest, [0, 0, 0, 4, 0, 0, 0, Control::Stop as u8]);
                return all;
            }
            len => {
                let mut frame = vec![0; len as usize];
                from.read_exact(&mut frame).unwrap();
                all.push(Dnstap::decode(&frame[..]).unwrap());
            }
        }
    }
}

fn check(all: &[Dnstap], (query_wire, replies, port): (&[u8], [&[u8]; 2], u16)) {
    let messages: Vec<_> = all.iter().map(|d| d.message.clone().unwrap()).collect();
    let kinds: Vec<_> = messages.iter().map(|m| (m.kind.unwrap(), m.socket_protocol.unwrap())).collect();
    assert_eq!(kinds, [(1, 1), (2, 1), (1, 2), (2, 2)], "AUTH_QUERY and AUTH_RESPONSE over UDP, then over TCP");
    assert!(messages.iter().all(|m| m.socket_family == Some(1) && m.query_address == Some(vec![127, 0, 0, 1])));
    assert_eq!(messages[0].query_port, Some(port.into()));
    assert_eq!(messages[0].query_message.as_deref(), Some(query_wire));
    assert_eq!(messages[1].response_message.as_deref(), Some(replies[0]));
    assert_eq!(messages[3].response_message.as_deref(), Some(replies[1]));
    let extra = |at: usize| String::from_utf8(all[at].extra.clone().unwrap_or_default()).unwrap();
    assert_eq!(extra(0), "");
    for part in ["generation=1 ", " zone=example.com. ", " group=", " cell=", " member="] {
        assert!(extra(1).contains(part), "no {part:?} in {:?}", extra(1));
    }
    assert_eq!(all[1].identity.as_deref(), Some(&b"ns1"[..]));
}

/// The bidirectional handshake, both messages of each query, the reason; and the same in a file.
#[test]
fn a_collector_and_a_file_are_told_of_every_query() {
    let dir = tempfile::tempdir().unwrap();
    let (socket, file) = (dir.path().join("tap.sock"), dir.path().join("out.tap"));
    let listener = UnixListener::bind(&socket).unwrap();
    std::fs::write(&file, b"of an earlier run").unwrap();
    let collector = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        expect(&mut stream, Control::Ready).unwrap();
        stream.write_all(&control(Control::Accept)).unwrap();
        expect(&mut stream, Control::Start).unwrap();
        let all = read_frames(&mut stream);
        stream.write_all(&control(Control::Finish)).unwrap();
        all
    });
    let (some, identity) = (Some(socket), "ns1".to_owned());
    let config = tap::Config { socket: some, file: Some(file.clone()), sample: 1, identity, ..tap::Config::default() };
    let fixture = start(&config);
    let wire = query("www.example.com. A").ecs("203.0.113.0/24").wire();
    let (udp, port) = ask_udp(fixture.addr, &wire);
    let tcp = ask_tcp(fixture.addr, &wire);
    fixture.server.stop();
    drop(fixture.writer);
    let seen = (&wire[..], [&udp[..], &tcp[..]], port);
    check(&collector.join().unwrap(), seen);
    let written = std::fs::read(&file).unwrap();
    let start = control(Control::Start);
    assert_eq!(written[..start.len()], start);
    check(&read_frames(&written[start.len()..]), seen);
    let is_dated = |name: &std::path::PathBuf| name.to_string_lossy().contains("out.tap.2");
    let before = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).find(is_dated).unwrap();
    assert_eq!(std::fs::read(before).unwrap(), b"of an earlier run");
    let counts =
        (fixture.counts.sampled(), fixture.counts.dropped(), fixture.counts.written(), fixture.counts.unwritten());
    assert_eq!(counts, (2, 0, 8, 0));
}

/// A collector that accepts and never reads, and one that is not there, cost no query its answer.
#[test]
fn nobody_waits_for_a_collector() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("tap.sock");
    let _silent = UnixListener::bind(&socket).unwrap();
    let fixture = start(&tap::Config { socket: Some(socket), sample: 1, ..tap::Config::default() });
    let wire = query("www.example.com. A").wire();
    for _ in 0..1500 {
        ask_udp(fixture.addr, &wire);
    }
    fixture.server.stop();
    drop(fixture.writer);
    let (sampled, dropped) = (fixture.counts.sampled(), fixture.counts.dropped());
    assert_eq!(sampled + dropped, 1500);
    assert_eq!((fixture.counts.written(), fixture.counts.unwritten()), (0, 2 * sampled));
}
