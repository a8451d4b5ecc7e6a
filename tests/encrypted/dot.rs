//! DNS over TLS (RFC 7858, RFC 8310).

use crate::standin::{framed, query};
use crate::{Fixture, SHORT, pace, start, write_pair};
use floodway::exchange::{Connection, Transport};
use floodway::transport::stream::Pace;
use floodway::transport::{Config, Service};
use hickory_proto::op::Message;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

type Stream = StreamOwned<ClientConnection, TcpStream>;

fn tcp(fixture: &Fixture) -> TcpStream {
    let stream = TcpStream::connect(fixture.addr(Service::Tls)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn connect(fixture: &Fixture, config: &Arc<ClientConfig>) -> Stream {
    let session = ClientConnection::new(config.clone(), "localhost".try_into().unwrap()).unwrap();
    StreamOwned::new(session, tcp(fixture))
}

fn ask(stream: &mut Stream, id: u16, name: &str) -> io::Result<Message> {
    stream.write_all(&framed(&query(id, name)))?;
    read_reply(stream)
}

fn read_reply(stream: &mut Stream) -> io::Result<Message> {
    let mut len = [0; 2];
    stream.read_exact(&mut len)?;
    let mut wire = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut wire)?;
    Ok(Message::from_vec(&wire).unwrap())
}

/// RFC 7858 section 3.3: the same stream of messages as over TCP, pipelined; RFC 8310 section 9: TLS 1.2 at least.
#[test]
fn queries_are_answered_in_both_versions() {
    let fixture = start(Config::default());
    for (version, expected) in
        [(&rustls::version::TLS12, ProtocolVersion::TLSv1_2), (&rustls::version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let base = fixture.client(&[]);
        let provider = base.crypto_provider().clone();
        let mut roots = rustls::RootCertStore::empty();
        roots
            .add(rustls::pki_types::pem::PemObject::from_pem_file(fixture.dir.path().join("cert.pem")).unwrap())
            .unwrap();
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"dot".to_vec()];
        let mut stream = connect(&fixture, &Arc::new(config));
        let reply = ask(&mut stream, 7, "a.").unwrap();
        assert_eq!((reply.metadata.id, reply.answers[0].data.to_string()), (7, "127.0.0.1 tls".to_owned()));
        assert_eq!(stream.conn.protocol_version(), Some(expected));
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"dot"[..]));
        let all: Vec<u8> = (0..200).flat_map(|id| framed(&query(id, "big."))).collect();
        stream.write_all(&all).unwrap();
        (0..200).for_each(|id| assert_eq!(read_reply(&mut stream).unwrap().metadata.id, id));
        // RFC 8446 section 6.1: the server says that nothing more comes.
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0);
    }
    let tls = fixture.stop(Transport::Tls);
    assert_eq!((tls.queries, tls.connections(Connection::Failed)), (402, 0));
    assert!(tls.batches < 100, "{} batches", tls.batches);
}

/// RFC 7858 section 3.4: a session is resumed, so that the next connection costs less; and early data, which could be
/// replayed, is not offered.
#[test]
fn sessions_are_resumed_without_early_data() {
    let fixture = start(Config::default());
    let config = Arc::new(fixture.client(&[b"dot"]));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let mut stream = connect(&fixture, &config);
        assert!(stream.conn.early_data().is_none());
        ask(&mut stream, 1, "a.").unwrap();
        kinds.push(stream.conn.handshake_kind().unwrap());
    }
    assert_eq!(kinds, [HandshakeKind::Full, HandshakeKind::Resumed, HandshakeKind::Resumed]);
    fixture.stop(Transport::Tls);
}

/// RFC 7301 section 3.2: a client that speaks something else is told so; one without ALPN is taken for a resolver. What
/// is no TLS at all, or stops in the middle, is counted as what it is.
#[test]
fn handshakes_that_fail_are_counted() {
    let fixture = start(Config { pace: Pace { read: SHORT, ..pace() }, ..Config::default() });
    let refused = ask(&mut connect(&fixture, &Arc::new(fixture.client(&[b"h2"]))), 1, "a.").unwrap_err();
    assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    assert_eq!(ask(&mut connect(&fixture, &Arc::new(fixture.client(&[]))), 2, "a.").unwrap().metadata.id, 2);
    let mut plain = tcp(&fixture);
    plain.write_all(&framed(&query(3, "a."))).unwrap();
    let _ = plain.read_to_end(&mut Vec::new());
    let mut slow = tcp(&fixture);
    slow.write_all(&[22, 3, 1]).unwrap();
    assert_eq!(slow.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
    let tls = fixture.stop(Transport::Tls);
    let counted = [Connection::Handshake, Connection::TimedOutRead].map(|what| tls.connections(what));
    assert_eq!((counted, tls.queries), ([2, 1], 1));
}

/// Handshakes take places like connections that ask, and idle ones are closed in the end.
#[test]
fn limits_hold_from_the_first_octet() {
    let fixture = start(Config { max_per_client: 2, pace: Pace { idle: SHORT, ..pace() }, ..Config::default() });
    let (first, second) = (tcp(&fixture), tcp(&fixture));
    let mut third = tcp(&fixture);
    assert_eq!(third.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
    drop((first, second));
    let config = Arc::new(fixture.client(&[b"dot"]));
    let mut stream = loop {
        // The places of the two are free a moment after they are closed.
        let mut stream = connect(&fixture, &config);
        if ask(&mut stream, 1, "a.").is_ok() {
            break stream;
        }
    };
    assert_eq!(stream.read(&mut [0; 9]).unwrap(), 0, "a clean end after the idle time");
    let tls = fixture.stop(Transport::Tls);
    assert_eq!(tls.connections(Connection::TimedOutIdle), 1);
    assert!(tls.connections(Connection::RefusedClient) >= 1);
}

/// A new certificate is shown from the next handshake on; connections that are open do not notice.
#[test]
fn certificates_are_replaced_while_serving() {
    let fixture = start(Config::default());
    let before = Arc::new(fixture.client(&[b"dot"]));
    let mut open = connect(&fixture, &before);
    ask(&mut open, 1, "a.").unwrap();
    write_pair(fixture.certificate.files());
    let now = Arc::new(fixture.client(&[b"dot"]));
    assert!(ask(&mut connect(&fixture, &now), 2, "a.").is_err(), "is not shown before it is read");
    assert!(fixture.certificate.take(fixture.certificate.look().unwrap()));
    assert_eq!(ask(&mut connect(&fixture, &now), 3, "a.").unwrap().metadata.id, 3);
    assert_eq!(ask(&mut open, 4, "a.").unwrap().metadata.id, 4);
    drop(open);
    fixture.stop(Transport::Tls);
}
