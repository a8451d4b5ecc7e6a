//! DNS over QUIC (RFC 9250).

use crate::standin::{framed, query};
use crate::{Fixture, SHORT, pace, runtime, start};
use floodway::exchange::{Connection, Transport};
use floodway::transport::stream::Pace;
use floodway::transport::{Config, Service};
use hickory_proto::op::Message;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, Endpoint, VarInt};
use std::sync::Arc;

/// A connection to one service with one ALPN.
pub async fn connect(fixture: &Fixture, service: Service, protocol: &[u8]) -> (Endpoint, quinn::Connection) {
    let (endpoint, connecting) = begin(fixture, service, protocol);
    (endpoint, connecting.await.unwrap())
}

fn begin(fixture: &Fixture, service: Service, protocol: &[u8]) -> (Endpoint, quinn::Connecting) {
    let mut endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let crypto = QuicClientConfig::try_from(fixture.client(&[protocol])).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(crypto)));
    let connecting = endpoint.connect(fixture.addr(service), "localhost").unwrap();
    (endpoint, connecting)
}

async fn ask(connection: &quinn::Connection, octets: &[u8]) -> Option<Vec<u8>> {
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(octets).await.ok()?;
    send.finish().ok()?;
    receive.read_to_end(70_000).await.ok()
}

/// RFC 9250 section 4.2: a query per stream, many streams at a time, the reply framed and ended likewise.
#[test]
fn each_stream_is_one_query() {
    let fixture = start(Config::default());
    runtime().block_on(async {
        let (endpoint, connection) = connect(&fixture, Service::Quic, b"doq").await;
        let asked = (0..250).map(|i| {
            let connection = connection.clone();
            tokio::spawn(async move {
                let got = ask(&connection, &framed(&query(0, if i % 10 == 0 { "big." } else { "a." }))).await.unwrap();
                assert_eq!(usize::from(u16::from_be_bytes([got[0], got[1]])), got.len() - 2);
                let reply = Message::from_vec(&got[2..]).unwrap();
                assert_eq!((reply.metadata.id, reply.answers.len()), (0, if i % 10 == 0 { 15 } else { 1 }));
                reply.answers[0].data.to_string()
            })
        });
        let all = asked.collect::<Vec<_>>();
        let mut texts = Vec::new();
        for task in all {
            texts.push(task.await.unwrap());
        }
        assert_eq!(texts[1], "127.0.0.1 quic");
        // A query that the client gives up takes nothing with it (section 4.3.1).
        let (mut send, _receive) = connection.open_bi().await.unwrap();
        send.write_all(&framed(&query(0, "a."))[..5]).await.unwrap();
        send.reset(VarInt::from_u32(3)).unwrap();
        assert!(ask(&connection, &framed(&query(0, "a."))).await.is_some());
        connection.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
    });
    let quic = fixture.stop(Transport::Quic);
    assert_eq!((quic.queries, quic.connections(Connection::Failed)), (251, 0));
}

/// RFC 9250 section 4.3.3: what is an error of the whole connection, DOQ_PROTOCOL_ERROR (2).
#[test]
fn protocol_errors_end_the_connection() {
    let fixture = start(Config::default());
    let plain = framed(&query(0, "a."));
    let mut keepalive = query(0, "a.");
    keepalive[11] = 1;
    keepalive.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
    let cases = [
        framed(&query(1, "a.")),
        [&plain[..], &plain[..]].concat(),
        plain[..plain.len() - 1].to_vec(),
        vec![0],
        framed(&[0; 5]),
        framed(&keepalive),
    ];
    let n_cases = cases.len() as u64;
    runtime().block_on(async {
        for octets in cases {
            let (endpoint, connection) = connect(&fixture, Service::Quic, b"doq").await;
            assert!(ask(&connection, &octets).await.is_none(), "{octets:?}");
            match connection.closed().await {
                ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code, VarInt::from_u32(2)),
                other => panic!("{octets:?}: {other}"),
            }
            drop(connection);
            endpoint.wait_idle().await;
        }
    });
    let quic = fixture.stop(Transport::Quic);
    assert_eq!((quic.queries, quic.connections(Connection::Failed)), (0, n_cases));
}

/// RFC 9250 section 4.1.1: `doq` and nothing else; section 5.5: an idle connection is closed with DOQ_NO_ERROR; section
/// 4.5: no early data; a slow stream is given up with DOQ_EXCESSIVE_LOAD and the connection goes on.
#[test]
fn connections_begin_and_end_by_the_rules() {
    let fixture = start(Config { pace: Pace { idle: 4 * SHORT, read: SHORT, ..pace() }, ..Config::default() });
    runtime().block_on(async {
        let (_endpoint, connecting) = begin(&fixture, Service::Quic, b"h3");
        assert!(matches!(connecting.await, Err(ConnectionError::ConnectionClosed(_))));
        let (endpoint, connection) = connect(&fixture, Service::Quic, b"doq").await;
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&framed(&query(0, "a."))[..5]).await.unwrap();
        assert_eq!(receive.received_reset().await.unwrap(), Some(VarInt::from_u32(4)));
        assert!(ask(&connection, &framed(&query(0, "a."))).await.is_some());
        match connection.closed().await {
            ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code, VarInt::from_u32(0)),
            other => panic!("{other}"),
        }
        let again = endpoint.connect(fixture.addr(Service::Quic), "localhost").unwrap();
        let again = again.into_0rtt().map(drop).expect_err("the server offers no early data").await.unwrap();
        assert!(ask(&again, &framed(&query(0, "a."))).await.is_some());
        again.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
    });
    let quic = fixture.stop(Transport::Quic);
    let counted =
        [Connection::Handshake, Connection::TimedOutIdle, Connection::Failed].map(|what| quic.connections(what));
    assert_eq!((counted, quic.queries), ([1, 1, 0], 2));
}

/// RFC 9250 section 4.3.1 and 8.4: unfinished queries of one connection are held up to a limit, and those beyond given up
/// with DOQ_EXCESSIVE_LOAD; the connection goes on.
#[test]
fn unfinished_queries_are_bounded() {
    let fixture = start(Config::default());
    runtime().block_on(async {
        let (endpoint, connection) = connect(&fixture, Service::Quic, b"doq").await;
        let (mut open, mut waiting) = (Vec::new(), tokio::task::JoinSet::new());
        for _ in 0..7 {
            let (mut send, mut receive) = connection.open_bi().await.unwrap();
            let _ = send.write_all(&framed(&[0; 65_535])[..40_000]).await; // may be given up meanwhile
            open.push(send);
            waiting.spawn(async move { receive.received_reset().await });
        }
        let first = waiting.join_next().await.unwrap().unwrap();
        assert_eq!(first.unwrap(), Some(VarInt::from_u32(4)));
        open.iter_mut().for_each(|send| drop(send.reset(VarInt::from_u32(3))));
        assert!(ask(&connection, &framed(&query(0, "a."))).await.is_some());
        connection.close(VarInt::from_u32(0), b"");
        endpoint.wait_idle().await;
    });
    assert_eq!(fixture.stop(Transport::Quic).connections(Connection::Failed), 0);
}

/// RFC 9000 section 8.1.2: when places are scarce a client has to prove its address, which it does without noticing;
/// above the limits it is refused.
#[test]
fn places_are_limited() {
    let fixture = start(Config { max_connections: 5, max_per_client: 5, ..Config::default() });
    runtime().block_on(async {
        // With four of five places taken, the gate is crowded.
        let mut open = Vec::new();
        for _ in 0..5 {
            let (endpoint, connection) = connect(&fixture, Service::Quic, b"doq").await;
            assert!(ask(&connection, &framed(&query(0, "a."))).await.is_some());
            open.push((endpoint, connection));
        }
        let (_endpoint, sixth) = begin(&fixture, Service::Quic, b"doq");
        assert!(matches!(sixth.await, Err(ConnectionError::ConnectionClosed(_))));
    });
    let quic = fixture.stop(Transport::Quic);
    assert_eq!((quic.connections(Connection::RefusedClient), quic.connections(Connection::Opened)), (1, 5));
}

/// A server that stops answers what it has taken and says goodbye with DOQ_NO_ERROR.
#[test]
fn stopping_says_goodbye() {
    let fixture = start(Config::default());
    runtime().block_on(async {
        let (_endpoint, connection) = connect(&fixture, Service::Quic, b"doq").await;
        assert!(ask(&connection, &framed(&query(0, "a."))).await.is_some());
        let stopping = tokio::task::spawn_blocking(move || fixture.stop(Transport::Quic));
        match connection.closed().await {
            ConnectionError::ApplicationClosed(close) => assert_eq!(close.error_code, VarInt::from_u32(0)),
            other => panic!("{other}"),
        }
        drop(connection);
        assert_eq!(stopping.await.unwrap().connections(Connection::Failed), 0);
    });
}
