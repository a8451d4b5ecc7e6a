//! DNS over HTTPS (RFC 8484), in HTTP/1.1 by hand, in HTTP/2 by hyper and in HTTP/3 by h3.

use crate::standin::query;
use crate::{Fixture, SHORT, pace, runtime, start};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf, Bytes};
use floodway::exchange::{Connection, Transport};
use floodway::transport::proxy::Proxies;
use floodway::transport::stream::Pace;
use floodway::transport::{Config, Service};
use hickory_proto::op::Message;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

const HTTPS: Service = Service::Https { http3: true };

//----------- HTTP/1.1 -------------------------------------------------------

/// One connection, and what it answers: status line, headers, body.
struct Http1<S>(S);

impl<S: Read + Write> Http1<S> {
    fn ask(&mut self, request: impl AsRef<[u8]>) -> (u16, String, Vec<u8>) {
        self.0.write_all(request.as_ref()).unwrap();
        self.read(false)
    }

    fn read(&mut self, is_head: bool) -> (u16, String, Vec<u8>) {
        let (mut head, mut octet) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.0.read_exact(&mut octet).unwrap();
            head.push(octet[0]);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let len =
            head.split("content-length: ").nth(1).map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = vec![0; if is_head { 0 } else { len }];
        self.0.read_exact(&mut body).unwrap();
        (head[9..12].parse().unwrap(), head, body)
    }
}

fn tcp(fixture: &Fixture, service: Service) -> TcpStream {
    let stream = TcpStream::connect(fixture.addr(service)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn http1(fixture: &Fixture) -> Http1<StreamOwned<ClientConnection, TcpStream>> {
    let config = Arc::new(fixture.client(&[b"http/1.1"]));
    let session = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    Http1(StreamOwned::new(session, tcp(fixture, HTTPS)))
}

fn get(id: u16, name: &str) -> String {
    format!("GET /dns-query?dns={} HTTP/1.1\r\nhost: localhost\r\n\r\n", URL_SAFE_NO_PAD.encode(query(id, name)))
}

fn post(path: &str, media_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {media_type}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

const DNS: &str = "application/dns-message";

/// RFC 8484 section 4: both methods, one after the other on one connection, and every way to get it wrong.
#[test]
fn http1_answers_and_refuses() {
    let fixture = start(Config::default());
    let mut connection = http1(&fixture);
    let (status, head, body) = connection.ask(get(0, "a."));
    let reply = Message::from_vec(&body).unwrap();
    assert_eq!((status, reply.answers[0].data.to_string()), (200, "127.0.0.1 https".to_owned()));
    assert!(head.contains("content-type: application/dns-message\r\n"), "{head}");
    assert!(head.contains("cache-control: private, max-age=0\r\n") && head.contains("\r\ndate: "), "{head}");
    let alt_svc = format!("alt-svc: h3=\":{}\"", fixture.addr(HTTPS).port());
    assert!(head.contains(&alt_svc), "{head}");
    let (status, _, body) = connection.ask(post("/dns-query", DNS, &query(9, "big.")));
    assert_eq!((status, Message::from_vec(&body).unwrap().answers.len()), (200, 15));
    let head_request = get(0, "a.").replacen("GET", "HEAD", 1);
    connection.0.write_all(head_request.as_bytes()).unwrap();
    assert_eq!(connection.read(true).0, 200);

    for (request, expected) in [
        (post("/dns-query", "text/plain", b"x"), 415),
        (post("/other", DNS, b"x"), 404),
        (post("/dns-query", DNS, b"short"), 400),
        (post("/dns-query", DNS, b"\0\0\x81\0\0\0\0\0\0\0\0\0"), 400),
        (b"GET /dns-query HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), 400),
        (b"PUT /dns-query HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".to_vec(), 405),
        (get(0, "a.").replacen("HTTP/1.1", "HTTP/1.1\r\nx: y", 1).into_bytes(), 200),
    ] {
        let (status, _, _) = connection.ask(&request);
        assert_eq!(status, expected, "{}", String::from_utf8_lossy(&request));
    }
    let (status, head, _) = http1(&fixture).ask(post("/dns-query", DNS, &[0; 65_536]));
    assert_eq!(status, 413, "{head}");
    let chunked = format!(
        "POST /dns-query HTTP/1.1\r\nhost: x\r\ncontent-type: {DNS}\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n"
    );
    assert_eq!(http1(&fixture).ask([chunked.as_bytes(), &[0; 0x1_0001], b"\r\n0\r\n\r\n"].concat()).0, 413);
    let (status, _, _) = http1(&fixture).ask("nonsense\r\n\r\n");
    assert_eq!(status, 400);
    let long = format!("GET /dns-query?dns={} HTTP/1.1\r\nhost: x\r\n\r\n", "A".repeat(20_000));
    let (status, _, _) = http1(&fixture).ask(long);
    assert!(matches!(status, 414 | 431), "{status}");
    drop(connection);
    assert_eq!(fixture.stop(Transport::Https).queries, 4);
}

/// A body that does not come is not waited for, nor is a request.
#[test]
fn slow_requests_are_cut_off() {
    let fixture = start(Config { pace: Pace { read: SHORT, idle: 5 * SHORT, ..pace() }, ..Config::default() });
    let request = post("/dns-query", DNS, &query(0, "a."));
    assert_eq!(http1(&fixture).ask(&request[..request.len() - 3]).0, 408);
    let mut silent = http1(&fixture);
    silent.0.write_all(b"GET /dns-q").unwrap();
    assert_eq!(silent.0.read_to_end(&mut Vec::new()).unwrap_or(0), 0);
    let https = fixture.stop(Transport::Https);
    assert_eq!((https.connections(Connection::TimedOutIdle), https.queries), (1, 0));
}

/// Without TLS, and with a PROXY header, for a proxy in front.
#[test]
fn a_proxy_may_have_the_tls() {
    let proxies = Proxies::new(&["127.0.0.1".parse::<std::net::IpAddr>().unwrap().into()]);
    let fixture = start(Config { proxies, ..Config::default() });
    let mut connection = Http1(tcp(&fixture, Service::Http));
    let header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x7f\0\0\x01\x09\x09\0\x35";
    let (status, head, body) = connection.ask([&header[..], get(0, "a.").as_bytes()].concat());
    let reply = Message::from_vec(&body).unwrap();
    assert_eq!((status, reply.answers[0].data.to_string()), (200, "203.0.113.7 https".to_owned()));
    assert!(!head.contains("alt-svc"));
    drop(connection);
    fixture.stop(Transport::Https);
}

//----------- HTTP/2 ---------------------------------------------------------

/// RFC 8484 section 5.2: HTTP/2, many requests at a time on one connection, GET and POST.
#[test]
fn http2_answers_many_at_a_time() {
    let fixture = start(Config::default());
    runtime().block_on(async {
        let tls = tokio_rustls::TlsConnector::from(Arc::new(fixture.client(&[b"h2", b"http/1.1"])));
        let stream = tokio::net::TcpStream::connect(fixture.addr(HTTPS)).await.unwrap();
        let stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let asked = (0..250).map(|i| {
            let mut sender = sender.clone();
            let request = if i % 2 == 0 {
                let uri = format!("https://localhost/dns-query?dns={}", URL_SAFE_NO_PAD.encode(query(i, "a.")));
                Request::get(uri).body(Full::default()).unwrap()
            } else {
                let body = Full::new(Bytes::from(query(i, "big.")));
                Request::post("https://localhost/dns-query").header("content-type", DNS).body(body).unwrap()
            };
            tokio::spawn(async move {
                let response = sender.send_request(request).await.unwrap();
                assert_eq!(response.status(), StatusCode::OK);
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(Message::from_vec(&body).unwrap().metadata.id, i);
            })
        });
        for task in asked.collect::<Vec<_>>() {
            task.await.unwrap();
        }
        let mut sender = sender;
        let too_long = Request::post("https://localhost/dns-query").header("content-type", DNS);
        let too_long = too_long.body(Full::new(Bytes::from(vec![0; 70_000]))).unwrap();
        assert_eq!(sender.send_request(too_long).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
        drop(sender);
        connection.await.unwrap().unwrap();
    });
    let https = fixture.stop(Transport::Https);
    assert_eq!((https.queries, https.connections(Connection::Opened)), (250, 1));
}

/// A body of which a part comes, and no more.
struct Stuck(Option<Bytes>);

impl hyper::body::Body for Stuck {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, Self::Error>>> {
        match self.0.take() {
            Some(part) => std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(part)))),
            None => std::task::Poll::Pending,
        }
    }
}

/// RFC 9110 section 15.6.4: unfinished requests of one connection are held up to a limit, and those beyond get a 503.
#[test]
fn unfinished_requests_are_bounded() {
    let fixture = start(Config::default());
    runtime().block_on(async {
        let tls = tokio_rustls::TlsConnector::from(Arc::new(fixture.client(&[b"h2"])));
        let stream = tokio::net::TcpStream::connect(fixture.addr(HTTPS)).await.unwrap();
        let stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..7 {
            let request = Request::post("https://localhost/dns-query").header("content-type", DNS);
            let response = sender.send_request(request.body(Stuck(Some(vec![0; 40_000].into()))).unwrap());
            waiting.spawn(response);
        }
        let first = waiting.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(first.status(), StatusCode::SERVICE_UNAVAILABLE);
        drop((waiting, sender, first));
        connection.abort();
    });
    fixture.stop(Transport::Https);
}

/// RFC 9113 section 6.8: a server that stops says so, and answers what it has taken.
#[test]
fn http2_is_ended_when_idle() {
    let fixture = start(Config { pace: Pace { idle: SHORT, ..pace() }, ..Config::default() });
    runtime().block_on(async {
        let tls = tokio_rustls::TlsConnector::from(Arc::new(fixture.client(&[b"h2"])));
        let stream = tokio::net::TcpStream::connect(fixture.addr(HTTPS)).await.unwrap();
        let stream = tls.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let (_sender, connection) =
            hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        let _ = connection.await;
    });
    assert_eq!(fixture.stop(Transport::Https).connections(Connection::TimedOutIdle), 1);
}

//----------- HTTP/3 ---------------------------------------------------------

/// RFC 9114: the same requests and refusals over QUIC.
#[test]
fn http3_answers_and_refuses() {
    let fixture = start(Config::default());
    runtime().block_on(async {
        let (endpoint, connection) = crate::doq::connect(&fixture, HTTPS, b"h3").await;
        let (mut driver, mut requests) = h3::client::new(h3_quinn::Connection::new(connection)).await.unwrap();
        let driver = tokio::spawn(async move { driver.wait_idle().await });
        let uri = format!("https://localhost/dns-query?dns={}", URL_SAFE_NO_PAD.encode(query(0, "a.")));
        let cases = [
            (Method::GET, uri.as_str(), "", Vec::new(), 200),
            (Method::HEAD, uri.as_str(), "", Vec::new(), 200),
            (Method::POST, "https://localhost/dns-query", DNS, query(0, "big."), 200),
            (Method::POST, "https://localhost/dns-query", DNS, vec![0; 70_000], 413),
            (Method::POST, "https://localhost/dns-query", "text/plain", b"x".to_vec(), 415),
            (Method::GET, "https://localhost/", "", Vec::new(), 404),
            (Method::DELETE, "https://localhost/dns-query", "", Vec::new(), 405),
        ];
        for (method, uri, media_type, body, expected) in cases {
            let request =
                Request::builder().method(method.clone()).uri(uri).header("content-type", media_type).body(()).unwrap();
            let mut stream = requests.send_request(request).await.unwrap();
            if !body.is_empty() {
                let _ = stream.send_data(Bytes::from(body)).await; // may be refused before its end
            }
            let _ = stream.finish().await;
            let response = stream.recv_response().await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{method} {uri}");
            assert!(response.headers().contains_key("date"));
            let mut got = Vec::new();
            while let Some(mut part) = stream.recv_data().await.unwrap() {
                got.extend_from_slice(&part.copy_to_bytes(part.remaining()));
            }
            match (expected, method) {
                (200, Method::HEAD) => assert!(got.is_empty()),
                (200, Method::GET) => {
                    assert_eq!(Message::from_vec(&got).unwrap().answers[0].data.to_string(), "127.0.0.1 https");
                }
                (200, _) => assert_eq!(Message::from_vec(&got).unwrap().answers.len(), 15),
                _ => {}
            }
        }
        drop(requests);
        let _ = driver.await;
        endpoint.wait_idle().await;
    });
    let https = fixture.stop(Transport::Https);
    assert_eq!((https.queries, https.connections(Connection::Failed)), (3, 0));
}
