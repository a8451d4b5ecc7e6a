//! The sockets, as a client on loopback sees them: every transport, every limit, and the stop.
//!
//! The handler is a stand-in, so that what is seen is the sockets' doing.

mod standin;

use floodway::exchange::books::TransportSum;
use floodway::exchange::{Books, Connection, Silence, Transport};
use floodway::transport::proxy::Proxies;
use floodway::transport::stream::Pace;
use floodway::transport::{Bound, Config, Server};
use hickory_proto::op::Message;
use standin::{StandIn, framed, query};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

//----------- Fixture --------------------------------------------------------

/// A server on loopback with a free port.
struct Fixture {
    server: Server,
    books: Arc<Books>,
    addr: SocketAddr,
}

fn start(config: Config) -> Fixture {
    let dns = vec!["127.0.0.1:0".parse().unwrap()];
    let config = Config { dns: if config.dns.is_empty() { dns } else { config.dns }, threads: 2, ..config };
    let bound = Bound::new(config).unwrap();
    let (addr, books) = (bound.addrs()[0], Arc::new(Books::new(bound.n_threads())));
    let server = bound.start(books.clone(), |_| StandIn).unwrap();
    Fixture { server, books, addr }
}

impl Fixture {
    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind(if self.addr.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        socket.connect(self.addr).unwrap();
        socket
    }

    /// Stops, and returns the books of UDP and TCP, which must balance.
    fn stop(self) -> (TransportSum, TransportSum) {
        self.server.stop();
        let sums = self.books.sum();
        assert!(sums.iter().all(|s| s.in_flight() == 0), "the books balance: {sums:?}");
        let tcp = &sums[Transport::Tcp as usize];
        assert_eq!(tcp.connections(Connection::Opened), tcp.connections(Connection::Closed));
        (sums[Transport::Udp as usize].clone(), tcp.clone())
    }
}

fn read_reply(stream: &mut TcpStream) -> Message {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut wire = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut wire).unwrap();
    Message::from_vec(&wire).unwrap()
}

fn ask_udp(socket: &UdpSocket, wire: &[u8]) -> Message {
    socket.send(wire).unwrap();
    let mut buffer = [0; 4096];
    let len = socket.recv(&mut buffer).unwrap();
    Message::from_vec(&buffer[..len]).unwrap()
}

/// Waits for the server to close, and returns what it said before.
fn read_to_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got); // a reset is a close, too
    got
}

//----------- Answers --------------------------------------------------------

/// Port 0 gives one port for both transports, and each says which it is, on both families.
#[test]
fn both_transports_answer_on_one_port() {
    for listen in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
        let listen: SocketAddr = listen.parse().unwrap();
        let mut fixture = start(Config { dns: vec![listen], ..Config::default() });
        if listen.ip().is_unspecified() {
            fixture.addr.set_ip(if listen.is_ipv4() { [127, 0, 0, 1].into() } else { "::1".parse().unwrap() });
        }
        let me = fixture.addr.ip();
        let reply = ask_udp(&fixture.udp(), &query(7, "a."));
        assert_eq!((reply.metadata.id, reply.answers[0].data.to_string()), (7, format!("{me} udp")));
        let mut stream = fixture.tcp();
        stream.write_all(&framed(&query(8, "a."))).unwrap();
        let reply = read_reply(&mut stream);
        assert_eq!((reply.metadata.id, reply.answers[0].data.to_string()), (8, format!("{me} tcp")));
        drop(stream);
        let (udp, tcp) = fixture.stop();
        assert_eq!((udp.queries, tcp.queries), (1, 1), "{listen}");
    }
}

/// What does not fit a datagram is marked TC and comes whole over TCP (RFC 7766 section 5).
#[test]
fn truncated_answers_are_whole_over_tcp() {
    let fixture = start(Config::default());
    let short = ask_udp(&fixture.udp(), &query(1, "big."));
    assert!(short.metadata.truncation && short.answers.is_empty());
    let mut stream = fixture.tcp();
    stream.write_all(&framed(&query(2, "big."))).unwrap();
    let whole = read_reply(&mut stream);
    assert!(!whole.metadata.truncation);
    assert_eq!(whole.answers.len(), 15);
    drop(stream);
    assert_eq!(fixture.stop().0.truncated, 1);
}

/// A resolver may send many queries before it reads (RFC 7766 section 6.2.1.1), in pieces of any size.
#[test]
fn pipelined_queries_are_all_answered() {
    let fixture = start(Config::default());
    let mut stream = fixture.tcp();
    let all: Vec<u8> = (0..500).flat_map(|id| framed(&query(id, "a."))).collect();
    for piece in all.chunks(1001) {
        stream.write_all(piece).unwrap();
    }
    for id in 0..500 {
        assert_eq!(read_reply(&mut stream).metadata.id, id);
    }
    drop(stream);
    let (_, tcp) = fixture.stop();
    assert_eq!(tcp.queries, 500);
    assert!(tcp.batches < 500, "{} batches", tcp.batches);
}

/// Hundreds of clients at once, on both threads: everyone gets the reply to the own query.
#[test]
fn many_datagram_clients_are_kept_apart() {
    let fixture = start(Config::default());
    let clients: Vec<UdpSocket> = (0..100).map(|_| fixture.udp()).collect();
    for round in 0..3 {
        for (i, client) in clients.iter().enumerate() {
            client.send(&query((i * 3 + round) as u16, &format!("n{i}."))).unwrap();
        }
    }
    let mut buffer = [0; 4096];
    for (i, client) in clients.iter().enumerate() {
        for round in 0..3 {
            let len = client.recv(&mut buffer).unwrap();
            let reply = Message::from_vec(&buffer[..len]).unwrap();
            assert_eq!(reply.metadata.id, (i * 3 + round) as u16);
            assert_eq!(reply.queries[0].name().to_string(), format!("n{i}."));
        }
    }
    assert_eq!(fixture.stop().0.queries, 300);
}

/// A bug in answering costs one SERVFAIL; the thread and its other clients live on.
#[test]
fn a_panic_costs_one_query() {
    let fixture = start(Config::default());
    let client = fixture.udp();
    let reply = ask_udp(&client, &query(9, "panic."));
    assert_eq!((reply.metadata.id, u16::from(reply.metadata.response_code)), (9, 2));
    assert_eq!(ask_udp(&client, &query(10, "a.")).answers.len(), 1);
    let (udp, _) = fixture.stop();
    assert_eq!((udp.replies[2], udp.replies[0]), (1, 1));
}

//----------- Limits ---------------------------------------------------------

/// One client cannot take all connections, and all clients together not more than there are.
#[test]
fn connections_above_the_limits_are_closed_at_once() {
    let fixture = start(Config { max_connections: 4, max_per_client: 3, ..Config::default() });
    let mut open: Vec<TcpStream> = (0..3).map(|_| fixture.tcp()).collect();
    for stream in &mut open {
        stream.write_all(&framed(&query(1, "a."))).unwrap();
        read_reply(stream);
    }
    assert_eq!(read_to_close(&mut fixture.tcp()), b"", "the fourth of this client");
    // Another client: another address of loopback.
    let from = |last: u8| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).unwrap();
        socket.connect(&fixture.addr.into()).unwrap();
        TcpStream::from(socket)
    };
    let mut other = from(2);
    other.write_all(&framed(&query(1, "a."))).unwrap();
    assert_eq!(read_reply(&mut other).answers[0].data.to_string(), "127.0.0.2 tcp");
    assert_eq!(read_to_close(&mut from(3)), b"", "the fifth of all");
    open.pop();
    drop((open, other));
    let (_, tcp) = fixture.stop();
    assert_eq!(tcp.connections(Connection::RefusedClient), 1);
    assert_eq!(tcp.connections(Connection::RefusedFull), 1);
    assert_eq!(tcp.connections(Connection::Opened), 4);
}

/// A newcomer takes the place of the connection that has asked nothing for the longest, once that has had its time.
#[test]
fn the_longest_idle_connection_gives_way() {
    let fixture = start(Config { max_connections: 2, ..Config::default() });
    let (mut idle, mut busy) = (fixture.tcp(), fixture.tcp());
    idle.write_all(&framed(&query(1, "a."))).unwrap();
    read_reply(&mut idle);
    let ask = |stream: &mut TcpStream| {
        let mut len = [0; 2];
        stream.write_all(&framed(&query(2, "a."))).is_ok() && stream.read_exact(&mut len).is_ok()
    };
    // Until the idle one has been idle for long enough, newcomers are refused.
    let mut newcomer = loop {
        busy.write_all(&framed(&query(3, "a."))).unwrap();
        read_reply(&mut busy);
        let mut newcomer = fixture.tcp();
        if ask(&mut newcomer) {
            break newcomer;
        }
    };
    assert_eq!(read_to_close(&mut idle), b"");
    let mut rest = vec![0; 64];
    assert!(newcomer.read(&mut rest).unwrap() > 12);
    drop((busy, newcomer));
    let (_, tcp) = fixture.stop();
    assert_eq!((tcp.connections(Connection::Displaced), tcp.connections(Connection::Opened)), (1, 3));
}

/// Idle, slow to write, slow to read: each is cut off, each is counted as what it was.
#[test]
fn slow_clients_are_cut_off_and_counted() {
    let soon = Duration::from_millis(50);
    let pace = Pace { idle: soon, read: soon, write: soon, ..Pace::default() };
    let fixture = start(Config { pace, ..Config::default() });
    let mut idle = fixture.tcp();
    let mut begun = fixture.tcp();
    begun.write_all(&framed(&query(1, "a."))[..9]).unwrap();
    assert_eq!(read_to_close(&mut idle), b"");
    assert_eq!(read_to_close(&mut begun), b"");
    // Asks for some 100 MB and reads none of it: the write at our end fails once the server has cut.
    let mut greedy = fixture.tcp();
    let burst = framed(&query(1, "big.")).repeat(1000);
    while greedy.write_all(&burst).is_ok() {}
    let (_, tcp) = fixture.stop();
    for what in [Connection::TimedOutIdle, Connection::TimedOutRead, Connection::TimedOutWrite] {
        assert_eq!(tcp.connections(what), 1, "{what:?}");
    }
}

/// Messages that are no queries: empty, as long as can be, cut short, or too long for a datagram.
#[test]
fn odd_sizes_do_no_harm() {
    let fixture = start(Config::default());
    let mut longest = query(1, "a.");
    longest.resize(65_535, 0);
    let mut stream = fixture.tcp();
    stream.write_all(&framed(&longest)).unwrap();
    assert_eq!(read_reply(&mut stream).metadata.id, 1);
    stream.write_all(&framed(b"")).unwrap();
    assert_eq!(read_to_close(&mut stream), b"");
    let client = fixture.udp();
    client.send(b"").unwrap();
    client.send(&longest[..5000]).unwrap();
    assert_eq!(ask_udp(&client, &query(3, "a.")).metadata.id, 3);
    let (udp, tcp) = fixture.stop();
    assert_eq!((udp.silences(Silence::Short), udp.silences(Silence::Oversize)), (1, 1));
    assert_eq!((tcp.silences(Silence::Short), tcp.connections(Connection::Failed)), (1, 1));
}

/// RFC 1122 section 4.2.2.13: closing with octets unread is a reset, which would take the replies to what came before
/// with it. A client that sent nonsense, and a lot behind it, reads them all and then a clean end.
#[test]
fn nonsense_takes_no_reply_with_it() {
    let fixture = start(Config::default());
    let mut stream = fixture.tcp();
    let mut all: Vec<u8> = (0..100).flat_map(|id| framed(&query(id, "a."))).collect();
    all.extend(framed(b""));
    all.resize(all.len() + 400_000, 0);
    stream.write_all(&all).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    (0..100).for_each(|id| assert_eq!(read_reply(&mut stream).metadata.id, id));
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "an end, not a reset");
    drop(stream);
    assert_eq!(fixture.stop().1.connections(Connection::Failed), 1);
}

//----------- Proxies --------------------------------------------------------

/// A PROXY header (version 2) for a client at 203.0.113.7.
fn header(protocol: u8) -> Vec<u8> {
    [&b"\r\n\r\n\0\r\nQUIT\n\x21"[..], &[protocol, 0, 12, 203, 0, 113, 7, 127, 0, 0, 1, 9, 9, 0, 53]].concat()
}

/// PROXY protocol section 2.2: the client is who the proxy says, over UDP and TCP, for answers and for limits; from a
/// proxy without the header, and from others with one, nothing is taken.
#[test]
fn proxies_speak_for_clients() {
    let proxies = Proxies::new(&["127.0.0.1/32".parse().unwrap()]);
    let fixture = start(Config { proxies, max_per_client: 1, fast_open: 16, ..Config::default() });
    let udp = fixture.udp();
    udp.send(&query(1, "a.")).unwrap();
    let reply = ask_udp(&udp, &[header(0x12), query(2, "a.")].concat());
    assert_eq!((reply.metadata.id, reply.answers[0].data.to_string()), (2, "203.0.113.7 udp".to_owned()));
    let other = UdpSocket::bind("127.0.0.2:0").unwrap();
    other.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    other.connect(fixture.addr).unwrap();
    other.send(&[header(0x12), query(3, "a.")].concat()).unwrap();
    assert_eq!(ask_udp(&other, &query(4, "a.")).answers[0].data.to_string(), "127.0.0.2 udp");

    let mut stream = fixture.tcp();
    let begun = [header(0x11), framed(&query(5, "a."))].concat();
    begun.chunks(7).for_each(|piece| stream.write_all(piece).unwrap());
    assert_eq!(read_reply(&mut stream).answers[0].data.to_string(), "203.0.113.7 tcp");
    let mut second = fixture.tcp();
    second.write_all(&header(0x11)).unwrap();
    assert_eq!(read_to_close(&mut second), b"", "that client has its one connection");
    let mut without = fixture.tcp();
    without.write_all(&framed(&query(6, "a."))).unwrap();
    assert_eq!(read_to_close(&mut without), b"");
    drop(stream);
    let (udp, tcp) = fixture.stop();
    assert_eq!((udp.queries, udp.silences(Silence::Proxy)), (4, 2));
    let refused = [Connection::RefusedClient, Connection::RefusedProxy].map(|what| tcp.connections(what));
    assert_eq!((tcp.queries, refused), (1, [1, 1]));
}

//----------- Start and stop -------------------------------------------------

/// Whatever has reached the server when it is told to stop is answered.
#[test]
fn stopping_loses_no_query() {
    let fixture = start(Config::default());
    let (clients, mut stream) = ((0..20).map(|_| fixture.udp()).collect::<Vec<_>>(), fixture.tcp());
    for client in &clients {
        for id in 0..20 {
            client.send(&query(id, "a.")).unwrap();
        }
    }
    for id in 0..100 {
        stream.write_all(&framed(&query(id, "a."))).unwrap();
    }
    let (udp, tcp) = fixture.stop();
    assert_eq!((udp.queries, tcp.queries), (400, 100));
    let mut buffer = [0; 4096];
    for client in &clients {
        (0..20).for_each(|_| assert!(client.recv(&mut buffer).unwrap() > 12));
    }
    (0..100).for_each(|id| assert_eq!(read_reply(&mut stream).metadata.id, id));
    assert_eq!(read_to_close(&mut stream), b"");
}

/// RFC 1122 section 4.1.3.1: a datagram for nobody is refused by the system. That is what a query hears once its
/// socket's thread has stopped, though a connection keeps the server from ending.
#[test]
fn stopped_sockets_are_closed() {
    let fixture = start(Config::default());
    let (udp, mut stream) = (fixture.udp(), fixture.tcp());
    let message = framed(&query(1, "a."));
    stream.write_all(&framed(&query(0, "a."))).unwrap();
    read_reply(&mut stream);
    stream.write_all(&message[..9]).unwrap();
    let stopping = std::thread::spawn(|| fixture.stop());
    // One that arrives between the last look and the close is lost on each thread, and no more than that.
    udp.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut buffer = [0; 512];
    let mut ask = || udp.send(&query(2, "a.")).and_then(|_| udp.recv(&mut buffer));
    let mut failures = std::iter::repeat_with(|| ask().err()).flatten().take(5);
    assert!(failures.any(|e| e.kind() == std::io::ErrorKind::ConnectionRefused));
    stream.write_all(&message[9..]).unwrap();
    assert_eq!(read_reply(&mut stream).metadata.id, 1, "the connection was still served");
    drop(stream);
    stopping.join().unwrap();
}

/// Two servers on one port would each get a part of the clients: the second is refused, with advice, though
/// both are willing to share among their own threads.
#[test]
fn a_port_in_use_is_refused() {
    let fixture = start(Config::default());
    let again = Config { dns: vec![fixture.addr], ..Config::default() };
    let refused = Bound::new(again.clone()).unwrap_err().to_string();
    assert!(refused.contains("cannot listen on 127.0.0.1:") && refused.contains("another server"), "{refused}");
    fixture.stop();
    drop(Bound::new(again).expect("the port is free after the stop"));
}
