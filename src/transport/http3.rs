//! A connection of HTTP/3 that carries DNS (RFC 9114, RFC 8484): the requests and responses of [`doh`] on streams of
//! QUIC.
//!
//! h3 speaks HTTP/3. It takes a connection's requests one after the other; each is answered in a task of its own, since
//! a body may be slow to come and a response slow to go.

use crate::exchange::Connection;
use crate::transport::desk::MAX_MESSAGE;
use crate::transport::doh::{self, Asked, Reply};
use crate::transport::gate::Permit;
use crate::transport::handler::{Handler, Peer};
use crate::transport::quic;
use crate::transport::site::Site;
use crate::transport::unfinished::Unfinished;
use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::server::{RequestResolver, RequestStream};
use http::header::DATE;
use http::{Method, Response, StatusCode};
use std::pin::pin;
use std::rc::Rc;
use std::time::SystemTime;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Octets of a request's headers, as for HTTP/2.
const MAX_HEADERS: u64 = 16 << 10;

type Stream = RequestStream<h3_quinn::BidiStream<Bytes>, Bytes>;

/// Serves one connection to its end and says how it ended.
pub async fn serve<H: Handler + 'static>(
    connection: quinn::Connection,
    peer: Peer,
    permit: Permit,
    site: Rc<Site<H>>,
) -> Connection {
    let (pace, mut stop) = (site.rules.pace, site.stop.clone());
    let close = |code: Code| {
        let code = quinn::VarInt::from_u64(code.value()).unwrap_or(quinn::VarInt::MAX);
        connection.close(code, b"");
    };
    let mut builder = h3::server::builder();
    let building = builder.max_field_section_size(MAX_HEADERS).build(h3_quinn::Connection::new(connection.clone()));
    let mut requests: h3::server::Connection<_, Bytes> = match timeout(pace.read, building).await {
        Ok(Ok(requests)) => requests,
        Ok(Err(_)) => return Connection::Failed,
        Err(_) => return Connection::TimedOutRead,
    };
    let (mut tasks, site, unfinished) = (JoinSet::new(), &site, Unfinished::default());
    let mut deadline = Instant::now() + permit.patience(pace.idle);
    let (mut alarm, mut displaced) = (pin!(sleep_until(deadline)), pin!(permit.displaced()));
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    // Whether the server stops, and whether more requests may come.
    let (mut stopping, mut accepting) = (false, true);
    loop {
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        tokio::select! {
            accepted = requests.accept(), if accepting => match accepted {
                Ok(Some(request)) => {
                    let (site, unfinished) = (site.clone(), unfinished.clone());
                    tasks.spawn_local(async move { answer(request, peer, &site, &unfinished).await });
                }
                // The client has said goodbye, or there is nothing left since we have: what was answered has time to go.
                Ok(None) => {
                    accepting = false;
                    deadline = Instant::now() + pace.linger;
                }
                Err(_) => return match connection.close_reason() {
                    // RFC 9114 section 8.1: H3_NO_ERROR is the client's way to say goodbye.
                    Some(quinn::ConnectionError::ApplicationClosed(by))
                        if by.error_code.into_inner() == Code::H3_NO_ERROR.value() => Connection::Closed,
                    Some(reason) => quic::end_of(&reason),
                    None => Connection::Failed,
                },
            },
            Some(_) = tasks.join_next(), if !tasks.is_empty() => {
                let now = Instant::now();
                permit.touch(now.into_std());
                deadline = now + if stopping || !accepting { pace.linger } else { permit.patience(pace.idle) };
            }
            _ = &mut stopped, if !stopping => {
                stopping = true;
                deadline = Instant::now() + pace.linger;
                // RFC 9114 section 5.2: GOAWAY names the first request that is not answered any more, the one after the
                // last that has come. If it cannot be sent, the connection is gone, which is heard above.
                let _ = timeout(pace.write, requests.shutdown(1)).await;
            }
            () = &mut displaced => {
                close(Code::H3_EXCESSIVE_LOAD);
                return Connection::Displaced;
            }
            () = &mut alarm => {
                let now = Instant::now();
                if now < deadline {
                    alarm.as_mut().reset(deadline);
                } else if tasks.is_empty() || site.rules.is_left() {
                    close(Code::H3_NO_ERROR);
                    let is_over = stopping || !accepting;
                    return if is_over { Connection::Closed } else { Connection::TimedOutIdle };
                } else {
                    deadline = now + pace.read; // each request has deadlines of its own
                    alarm.as_mut().reset(deadline);
                }
            }
        }
    }
}

/// Answers one request. What fails here concerns its stream alone, and ends it.
async fn answer<H: Handler>(
    request: RequestResolver<h3_quinn::Connection, Bytes>,
    peer: Peer,
    site: &Site<H>,
    unfinished: &Unfinished,
) {
    let pace = &site.rules.pace;
    let Ok(Ok((request, mut stream))) = timeout(pace.read, request.resolve_request()).await else { return };
    let reply = Reply::default();
    let query = match doh::read(request.method(), request.uri(), request.headers(), &site.rules.path) {
        Ok(Asked::Here(query)) => {
            stream.stop_sending(Code::H3_NO_ERROR); // nothing, if the request has ended
            Ok(query)
        }
        Ok(Asked::InBody) => match timeout(pace.read, body(&mut stream, unfinished)).await {
            Ok(body) => body,
            Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
        },
        Err(status) => Err(status),
    };
    let ask = |query: Vec<u8>| {
        doh::message(&query)?;
        let answer = site.desk.ask(&query, peer, |message| reply.answer(request.method(), message));
        answer.ok_or(StatusCode::TOO_MANY_REQUESTS)
    };
    let response = match query.and_then(ask) {
        Ok(response) => response,
        Err(status) => {
            stream.stop_sending(Code::H3_NO_ERROR); // RFC 9114 section 4.1.1: the rest of the request is not needed
            reply.refusal(request.method(), status)
        }
    };
    if timeout(pace.write, respond(&mut stream, request.method(), response)).await.is_err() {
        stream.stop_stream(Code::H3_EXCESSIVE_LOAD);
    }
}

async fn body(stream: &mut Stream, unfinished: &Unfinished) -> Result<Vec<u8>, StatusCode> {
    let mut whole = unfinished.begin(MAX_MESSAGE);
    while let Some(mut part) = stream.recv_data().await.map_err(|_| StatusCode::BAD_REQUEST)? {
        while part.has_remaining() {
            whole.add(part.chunk())?;
            part.advance(part.chunk().len());
        }
    }
    Ok(whole.finish())
}

async fn respond(
    stream: &mut Stream,
    method: &Method,
    response: Response<Bytes>,
) -> Result<(), h3::error::StreamError> {
    let (mut head, body) = response.into_parts();
    // RFC 9110 section 6.6.1; hyper does it for the older versions.
    if let Ok(date) = httpdate::fmt_http_date(SystemTime::now()).try_into() {
        head.headers.insert(DATE, date);
    }
    stream.send_response(Response::from_parts(head, ())).await?;
    if *method != Method::HEAD {
        stream.send_data(body).await?;
    }
    stream.finish().await
}
