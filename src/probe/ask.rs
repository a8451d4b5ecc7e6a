//! One probe: one connection, one question, one deadline.

use crate::policy::probe::{Ask, Probe};
use crate::probe::{Found, What};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Collected, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Octets of a body that are read. Our choice: a page that says "well" is short.
const MOST_BODY: usize = 64 << 10;
/// Octets of the headers of an answer.
const MOST_HEADERS: usize = 16 << 10;
/// Octets of an answer about health: a number, in a frame.
const MOST_HEALTH: usize = 1 << 10;
/// Who asks.
const AGENT: &str = concat!("floodway/", env!("CARGO_PKG_VERSION"), " (probe)");

/// Asks. `tls`: how, where the probe goes over TLS. `source`: where it comes from. Ends by the probe's timeout.
pub async fn ask(probe: &Probe, tls: Option<Arc<ClientConfig>>, source: &[IpAddr]) -> Found {
    let limit = Limit { at: Instant::now() + Duration::from_secs_f64(probe.timeout_secs), secs: probe.timeout_secs };
    converse(probe, tls, source, limit).await.err().unwrap_or_else(Found::well)
}

async fn converse(probe: &Probe, tls: Option<Arc<ClientConfig>>, source: &[IpAddr], limit: Limit) -> Result<(), Found> {
    let stream = connect(probe, source, limit).await?;
    match tls {
        None => question(probe, stream, limit).await,
        Some(config) => {
            let name = ServerName::try_from(probe.host.clone()).map_err(|e| Found::bad(What::NotMade, e))?;
            let handshake = TlsConnector::from(config).connect(name, stream);
            let stream = limit.on("the TLS handshake", handshake).await?.map_err(|e| handshake_failed(&e))?;
            question(probe, stream, limit).await
        }
    }
}

async fn question(
    probe: &Probe,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    limit: Limit,
) -> Result<(), Found> {
    match &probe.ask {
        Ask::Connect => Ok(()),
        Ask::Http { path, status, body, .. } => get(probe, stream, path, status, body.as_deref(), limit).await,
        Ask::Grpc { service, .. } => check_health(probe, stream, service, limit).await,
    }
}

//----------- Limit ----------------------------------------------------------

/// When a probe ends.
#[derive(Clone, Copy, Debug)]
struct Limit {
    at: Instant,
    secs: f64,
}

impl Limit {
    async fn on<T>(self, what: &str, future: impl Future<Output = T>) -> Result<T, Found> {
        let over = |_| Found::bad(What::TimedOut, format!("{what} took longer than {} s", self.secs));
        timeout_at(self.at, future).await.map_err(over)
    }
}

//----------- TCP and TLS ----------------------------------------------------

async fn connect(probe: &Probe, source: &[IpAddr], limit: Limit) -> Result<TcpStream, Found> {
    let ours = |e: Error| Found::bad(What::NotMade, e);
    let socket = if probe.to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.map_err(ours)?;
    if let Some(from) = source.iter().find(|addr| addr.is_ipv4() == probe.to.is_ipv4()) {
        socket.bind((*from, 0).into()).map_err(|e| Found::bad(What::NotMade, format!("from {from}: {e}")))?;
    }
    let connected = limit.on("connecting", socket.connect(probe.to)).await?;
    connected.map_err(|e| Found::bad(of_socket(&e), format!("{}: {e}", probe.to)))
}

/// What an error of a socket says of the POP, if it says anything.
fn of_socket(e: &Error) -> What {
    match e.kind() {
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => What::Unreachable,
        ErrorKind::TimedOut => What::TimedOut,
        ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse | ErrorKind::PermissionDenied | ErrorKind::OutOfMemory => {
            What::NotMade
        }
        _ => What::Refused,
    }
}

fn handshake_failed(e: &Error) -> Found {
    let of_tls = e.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>());
    match of_tls {
        Some(e @ rustls::Error::InvalidCertificate(_)) => Found::bad(What::Certificate, e),
        Some(e) => Found::bad(What::Tls, e),
        None => Found::bad(What::Tls, format!("the connection ended in the handshake: {e}")),
    }
}

//----------- HTTP -----------------------------------------------------------

async fn get(
    probe: &Probe,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    path: &str,
    status: &[(u16, u16)],
    wanted: Option<&str>,
    limit: Limit,
) -> Result<(), Found> {
    let request = Request::get(path)
        .header(HOST, &probe.authority)
        .header(USER_AGENT, AGENT)
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Full::<Bytes>::default())
        .map_err(|e| Found::bad(What::NotMade, e))?;
    let mut builder = http1::Builder::new();
    builder.max_buf_size(MOST_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|e| not_spoken("HTTP", &e))?;
    let exchange = async {
        let reply = limit.on("the answer", sender.send_request(request)).await?.map_err(|e| not_spoken("HTTP", &e))?;
        let code = reply.status();
        if !status.iter().any(|(from, to)| (*from..=*to).contains(&code.as_u16())) {
            return Err(Found::bad(What::Status, wrong_status(code, status)));
        }
        let body = read(reply.into_body(), MOST_BODY, limit).await?.to_bytes();
        match wanted {
            Some(text) if !holds(&body, text.as_bytes()) => {
                Err(Found::bad(What::Body, format!("the body, {} octets, lacks \"{text}\"", body.len())))
            }
            _ => Ok(()),
        }
    };
    // The connection is driven here, in this task, and its end is told by the exchange.
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        found = exchange => found,
        never = driven => match never {},
    }
}

fn wrong_status(code: StatusCode, expected: &[(u16, u16)]) -> String {
    let range = |(from, to): &(u16, u16)| if from == to { from.to_string() } else { format!("{from} to {to}") };
    let expected: Vec<String> = expected.iter().map(range).collect();
    let hint = if code.is_redirection() { "; redirects are not followed" } else { "" };
    format!("status {}, expected {}{hint}", code.as_u16(), expected.join(" or "))
}

/// The whole of a body of at most `most` octets.
async fn read(body: Incoming, most: usize, limit: Limit) -> Result<Collected<Bytes>, Found> {
    let whole = limit.on("the body", Limited::new(body, most).collect()).await?;
    whole.map_err(|e| match e.downcast_ref::<LengthLimitError>() {
        Some(_) => Found::bad(What::TooLong, format!("the body is longer than {most} octets")),
        None => Found::bad(What::Protocol, format!("the body broke off: {e}")),
    })
}

fn holds(body: &[u8], text: &[u8]) -> bool {
    body.windows(text.len().max(1)).any(|part| part == text)
}

fn not_spoken(what: &str, e: &hyper::Error) -> Found {
    if e.is_parse_too_large() {
        return Found::bad(What::TooLong, format!("headers longer than {MOST_HEADERS} octets"));
    }
    // hyper says what happened, and the error below it why.
    let why = std::error::Error::source(e).map(|e| format!(": {e}")).unwrap_or_default();
    Found::bad(What::Protocol, format!("no {what} answer: {e}{why}"))
}

//----------- gRPC -----------------------------------------------------------

/// The tasks of an HTTP/2 connection; they end when it is let go of.
#[derive(Clone, Debug, Default)]
struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, task: F) {
        let task = async {
            task.await;
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).spawn(task);
    }
}

async fn check_health(
    probe: &Probe,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: &str,
    limit: Limit,
) -> Result<(), Found> {
    let scheme = if probe.ask.is_over_tls() { "https" } else { "http" };
    // The gRPC protocol over HTTP/2: <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>.
    let request = Request::post(format!("{scheme}://{}/grpc.health.v1.Health/Check", probe.authority))
        .header(CONTENT_TYPE, "application/grpc")
        .header(TE, "trailers")
        .header(USER_AGENT, AGENT)
        .header("grpc-timeout", format!("{}m", (probe.timeout_secs * 1e3).ceil() as u64))
        .body(Full::new(frame(&HealthCheckRequest { service: service.to_string() })))
        .map_err(|e| Found::bad(What::NotMade, e))?;
    let tasks = Tasks::default();
    let mut builder = http2::Builder::new(tasks.clone());
    builder.max_header_list_size(MOST_HEADERS as u32).initial_stream_window_size(65_535);
    let handshake = builder.handshake(TokioIo::new(stream));
    let (mut sender, connection) =
        limit.on("the HTTP/2 handshake", handshake).await?.map_err(|e| not_spoken("HTTP/2", &e))?;
    let exchange = async {
        let reply = limit.on("the answer", sender.send_request(request)).await?.map_err(|e| not_spoken("gRPC", &e))?;
        if reply.status() != StatusCode::OK {
            return Err(Found::bad(What::Status, format!("HTTP status {}, expected 200", reply.status().as_u16())));
        }
        let headers = reply.headers().clone();
        let body = read(reply.into_body(), MOST_HEALTH, limit).await?;
        let trailers = body.trailers().cloned().unwrap_or(headers);
        let code = grpc_status(&trailers).ok_or_else(|| Found::bad(What::Protocol, "an answer without grpc-status"))?;
        health(code, &body.to_bytes(), service)
    };
    let driven = async {
        let _ = connection.await;
        std::future::pending::<Infallible>().await
    };
    tokio::select! {
        found = exchange => found,
        never = driven => match never {},
    }
}

/// A message as it goes over the wire: not compressed, its length, itself.
fn frame(message: &HealthCheckRequest) -> Bytes {
    let mut octets = BytesMut::with_capacity(5 + message.encoded_len());
    octets.put_u8(0);
    octets.put_u32(message.encoded_len() as u32);
    message.encode(&mut octets).expect("a BytesMut grows");
    octets.freeze()
}

fn grpc_status(headers: &HeaderMap) -> Option<u32> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// What a status of gRPC and an answer about health say together.
fn health(code: u32, octets: &Bytes, service: &str) -> Result<(), Found> {
    let of = if service.is_empty() { "the server".to_string() } else { format!("{service:?}") };
    match code {
        0 => {}
        5 => return Err(Found::bad(What::NotServing, format!("{of} is not known there (NOT_FOUND)"))),
        12 => return Err(Found::bad(What::NotServing, "there is no grpc.health.v1.Health (UNIMPLEMENTED)")),
        code => return Err(Found::bad(What::NotServing, format!("grpc-status {code}"))),
    }
    let mut octets = octets.clone();
    let broken = || Found::bad(What::Protocol, "an answer about health that cannot be read");
    if octets.len() < 5 || octets.get_u8() != 0 || octets.get_u32() as usize != octets.len() {
        return Err(broken());
    }
    let response = HealthCheckResponse::decode(octets).map_err(|_| broken())?;
    match response.status() {
        ServingStatus::Serving => Ok(()),
        other => Err(Found::bad(What::NotServing, format!("{of} is {}", other.as_str_name()))),
    }
}

#[cfg(test)]
#[path = "ask_tests.rs"]
mod tests;
