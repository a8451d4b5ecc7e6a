//! QUIC: connections for DNS over QUIC (RFC 9250) and for HTTP/3.
//!
//! quinn speaks QUIC. Each stream thread has its own socket of the port and its own endpoint, so that connections
//! share the thread's handler as those of TCP do; the kernel keeps a client's datagrams together by its address and
//! port, which is why connections may not migrate (a client whose address changes begins anew).
//!
//! Unlike TCP, a first datagram proves no address. While few handshakes are under way each is taken up at once; when there
//! are many, or the gate is crowded, a client must first show by a Retry (RFC 9000 section 8.1.2) that it gets what is sent to
//! its address. So nobody can take the places of another client by forging its address.
//!
//! A DoQ stream is one query: two octets of length, the message, the end of the stream; the reply likewise.
//! RFC 9250 section 4.3.3 lists what ends the whole connection with DOQ_PROTOCOL_ERROR.

use crate::exchange::Connection;
use crate::transport::desk::MAX_MESSAGE;
use crate::transport::gate::Permit;
use crate::transport::handler::{Handler, Peer};
use crate::transport::http3;
use crate::transport::server::Error;
use crate::transport::site::{Service, Site};
use crate::transport::stream::Pace;
use crate::transport::tcp::canonical;
use crate::transport::unfinished::{TooMuch, Unfinished};
use crate::wire::walk;
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, Incoming, RecvStream, SendStream, ServerConfig, VarInt};
use std::cell::Cell;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant as StdInstant;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// Handshakes under way on one thread before clients have to prove their addresses. Less than one client may have
/// connections, so that forged addresses cannot use up the places of their owner. Our choice.
const FREE_HANDSHAKES: usize = 32;

/// Streams open at a time on one connection: as many queries as HTTP/2 has.
const MAX_STREAMS: u32 = 100;

/// Streams in one direction that HTTP/3 needs: control and two for compression (RFC 9114 section 6.2), and some that
/// are there to be ignored. DoQ has none (RFC 9250 section 4.3.3).
const MAX_ONE_WAY: u32 = 8;

/// Octets that a client may send ahead: on a stream the longest message, on a connection some of them.
const WINDOWS: (u32, u32) = (2 + MAX_MESSAGE as u32, 256 << 10);

/// edns-tcp-keepalive (RFC 7828 section 3.1).
const OPTION_KEEPALIVE: u16 = 11;

/// RFC 9250 section 8.4.
mod code {
    use quinn::VarInt;
    pub const NO_ERROR: VarInt = VarInt::from_u32(0);
    pub const PROTOCOL_ERROR: VarInt = VarInt::from_u32(2);
    pub const REQUEST_CANCELLED: VarInt = VarInt::from_u32(3);
    pub const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(4);
}

//----------- Configuration --------------------------------------------------

/// How connections of one service are taken up; one for all threads, so that all know the same keys.
///
/// # Errors
/// [`Error::Tls`] if there is no cipher for the first packets, which ring has.
pub fn config(service: Service, tls: Arc<rustls::ServerConfig>, pace: &Pace) -> Result<ServerConfig, Error> {
    let crypto = QuicServerConfig::try_from(tls).map_err(|e| Error::Tls(rustls::Error::General(e.to_string())))?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(MAX_STREAMS.into())
        .max_concurrent_uni_streams(if service == Service::Quic { 0_u32 } else { MAX_ONE_WAY }.into())
        .stream_receive_window(WINDOWS.0.into())
        .receive_window(WINDOWS.1.into())
        .send_window(WINDOWS.1.into())
        .datagram_receive_buffer_size(None)
        // RFC 9250 section 5.4: lengths tell what was asked for; better hidden from packets than in messages. HTTP/3 leaves
        // it to the client, who asks for padding of the message (RFC 8484 section 8.1).
        .pad_to_mtu(service == Service::Quic)
        // The silence of a dead client; one that lives and asks nothing is ended by the loop of its connection.
        .max_idle_timeout(Some((pace.idle + pace.read).try_into().unwrap_or(VarInt::MAX.into())));
    config.transport_config(Arc::new(transport)).migration(false).max_incoming(1024).incoming_buffer_size(16 << 10);
    Ok(config)
}

//----------- accept ---------------------------------------------------------

/// Takes up connections until the server stops, and returns when all have ended.
///
/// Must run inside a [`tokio::task::LocalSet`].
pub async fn serve<H: Handler + 'static>(endpoint: Endpoint, service: Service, site: Rc<Site<H>>) {
    let transport = service.transport();
    let mut stop = site.stop.clone();
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let (mut connections, n_shaking) = (JoinSet::new(), Rc::new(Cell::new(0)));
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            _ = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        let Some(incoming) = incoming else { break };
        let from = incoming.remote_address();
        let is_busy = n_shaking.get() >= FREE_HANDSHAKES || site.gate.is_crowded();
        if is_busy && !incoming.remote_address_validated() && incoming.may_retry() {
            let _ = incoming.retry(); // what cannot be retried was asked just before
            continue;
        }
        match site.gate.enter(from.ip(), StdInstant::now()) {
            Ok(permit) => {
                let open = site.open(transport);
                let at = endpoint
                    .local_addr()
                    .ok()
                    .map(|at| SocketAddr::new(incoming.local_ip().unwrap_or(at.ip()), at.port()));
                let peer = Peer { local: at.map(canonical), ..Peer::new(canonical(from), transport) };
                let (site, n_shaking) = (site.clone(), n_shaking.clone());
                connections.spawn_local(async move {
                    open.end(take_up(incoming, service, peer, permit, &site, &n_shaking).await);
                });
            }
            Err(refused) => {
                site.book(transport, refused);
                incoming.refuse();
            }
        }
    }
    endpoint.set_server_config(None); // newcomers hear CONNECTION_REFUSED, unless they are somebody else's
    while connections.join_next().await.is_some() {}
    // Lets the last words out; bounded by whoever waits for this.
    endpoint.wait_idle().await;
}

async fn take_up<H: Handler + 'static>(
    incoming: Incoming,
    service: Service,
    peer: Peer,
    permit: Permit,
    site: &Rc<Site<H>>,
    n_shaking: &Cell<usize>,
) -> Connection {
    n_shaking.set(n_shaking.get() + 1);
    let shaken = async {
        let connecting = incoming.accept().map_err(|_| Connection::Handshake)?;
        tokio::select! {
            shaken = timeout(site.rules.pace.read, connecting) => match shaken {
                Ok(shaken) => shaken.map_err(|_| Connection::Handshake),
                Err(_) => Err(Connection::TimedOutRead),
            },
            () = permit.displaced() => Err(Connection::Displaced),
        }
    };
    let shaken = shaken.await;
    n_shaking.set(n_shaking.get() - 1);
    match shaken {
        Ok(connection) if service == Service::Quic => converse(connection, peer, &permit, site).await,
        Ok(connection) => http3::serve(connection, peer, permit, site.clone()).await,
        Err(end) => end,
    }
}

/// How a connection that ended by itself is booked.
pub(super) fn end_of(error: &quinn::ConnectionError) -> Connection {
    match error {
        quinn::ConnectionError::ApplicationClosed(close) if close.error_code == code::NO_ERROR => Connection::Closed,
        quinn::ConnectionError::ConnectionClosed(close) if close.error_code == quinn::TransportErrorCode::NO_ERROR => {
            Connection::Closed
        }
        quinn::ConnectionError::TimedOut => Connection::TimedOutIdle,
        _ => Connection::Failed,
    }
}

//----------- DNS over QUIC --------------------------------------------------

/// What a stream showed of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// It was answered, or given up by the client, or too slow: the connection goes on.
    Well,
    /// It broke a rule: the connection ends (RFC 9250 section 4.3.3).
    Badly(&'static str),
}

/// Serves the streams of one connection.
async fn converse<H: Handler + 'static>(
    connection: quinn::Connection,
    peer: Peer,
    permit: &Permit,
    site: &Rc<Site<H>>,
) -> Connection {
    let (pace, mut stop) = (site.rules.pace, site.stop.clone());
    let (mut streams, unfinished) = (JoinSet::new(), Unfinished::default());
    let mut deadline = Instant::now() + permit.patience(pace.idle);
    let (mut alarm, mut displaced) = (pin!(sleep_until(deadline)), pin!(permit.displaced()));
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    let mut stopping = false;
    loop {
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        tokio::select! {
            accepted = connection.accept_bi() => match accepted {
                Ok((send, receive)) => {
                    let (site, unfinished) = (site.clone(), unfinished.clone());
                    streams.spawn_local(async move { answer(send, receive, peer, &site, &unfinished).await });
                }
                Err(e) => return end_of(&e),
            },
            Some(ended) = streams.join_next(), if !streams.is_empty() => {
                let now = Instant::now();
                permit.touch(now.into_std());
                deadline = now + if stopping { pace.linger } else { permit.patience(pace.idle) };
                if let Ok(Ended::Badly(why)) = ended {
                    connection.close(code::PROTOCOL_ERROR, why.as_bytes());
                    return Connection::Failed;
                }
            }
            _ = &mut stopped, if !stopping => {
                stopping = true;
                deadline = Instant::now() + pace.linger;
            }
            () = &mut displaced => {
                connection.close(code::EXCESSIVE_LOAD, b"all connections are taken");
                return Connection::Displaced;
            }
            () = &mut alarm => {
                let now = Instant::now();
                if now < deadline {
                    alarm.as_mut().reset(deadline);
                } else if streams.is_empty() || site.rules.is_left() {
                    connection.close(code::NO_ERROR, b"");
                    return if stopping { Connection::Closed } else { Connection::TimedOutIdle };
                } else {
                    // Each stream has deadlines of its own.
                    deadline = now + pace.read;
                    alarm.as_mut().reset(deadline);
                }
            }
        }
    }
}

/// Answers the query of one stream, and waits until the client has the reply.
async fn answer<H: Handler>(
    mut send: SendStream,
    mut receive: RecvStream,
    peer: Peer,
    site: &Site<H>,
    unfinished: &Unfinished,
) -> Ended {
    let pace = &site.rules.pace;
    // The end of the stream is waited for, which RFC 9250 section 4.2 allows: what follows the query is seen that way.
    let octets = match timeout(pace.read, read(&mut receive, unfinished)).await {
        Ok(Ok(octets)) => octets,
        Ok(Err(Broken::TooMuch(TooMuch::Request))) => return Ended::Badly("more than one message on a stream"),
        Ok(Err(Broken::Off)) => {
            // Section 4.3.1: a client that resets its half wants no answer.
            let _ = send.reset(code::REQUEST_CANCELLED);
            return Ended::Well;
        }
        // Too slow, or too much at a time.
        Err(_) | Ok(Err(Broken::TooMuch(TooMuch::Connection))) => {
            let _ = (receive.stop(code::EXCESSIVE_LOAD), send.reset(code::EXCESSIVE_LOAD));
            return Ended::Well;
        }
    };
    let query = match check(&octets) {
        Ok(query) => query,
        Err(why) => return Ended::Badly(why),
    };
    let framed = |reply: &[u8]| [&(reply.len() as u16).to_be_bytes()[..], reply].concat();
    let Some(reply) = site.desk.ask(query, peer, framed) else {
        // What is a query and gets silence is over a limit.
        let _ = send.reset(code::EXCESSIVE_LOAD);
        return Ended::Well;
    };
    let written = timeout(pace.write, async {
        send.write_all(&reply).await.ok()?;
        send.finish().ok()?;
        send.stopped().await.ok()
    });
    if written.await.is_err() {
        let _ = send.reset(code::EXCESSIVE_LOAD);
    }
    Ended::Well
}

/// Why there is no query to be had of a stream.
enum Broken {
    TooMuch(TooMuch),
    /// It was broken off by the client, or with the connection.
    Off,
}

/// All that a stream has, to its end.
async fn read(receive: &mut RecvStream, unfinished: &Unfinished) -> Result<Vec<u8>, Broken> {
    let mut whole = unfinished.begin(2 + MAX_MESSAGE);
    while let Some(part) = receive.read_chunk(MAX_MESSAGE, true).await.map_err(|_| Broken::Off)? {
        whole.add(&part.bytes).map_err(Broken::TooMuch)?;
    }
    Ok(whole.finish())
}

/// The one query of a stream.
///
/// # Errors
/// What the client did wrong, by RFC 9250 sections 4.2.1 and 4.3.3, for the reason phrase.
fn check(octets: &[u8]) -> Result<&[u8], &'static str> {
    let Some((len, query)) = octets.split_first_chunk::<2>() else { return Err("no length before the end") };
    match usize::from(u16::from_be_bytes(*len)) {
        len if len > query.len() => return Err("the end inside a message"),
        len if len < query.len() => return Err("more than one message on a stream"),
        _ => {}
    }
    match query {
        [0, 0, flags, ..] if query.len() >= 12 && flags & 0x80 == 0 => {}
        [0, 0, ..] => return Err("not a query"),
        [_, _, ..] => return Err("a message id that is not 0"),
        _ => return Err("not a query"),
    }
    if walk::option(query, OPTION_KEEPALIVE).is_some() {
        return Err("edns-tcp-keepalive on QUIC");
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 9250 section 4.3.3: what a server treats as an error of the whole connection.
    #[test]
    fn streams_hold_one_query() {
        let head = b"\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\x01\0\x01";
        let framed = |message: &[u8]| [&(message.len() as u16).to_be_bytes()[..], message].concat();
        assert_eq!(check(&framed(head)), Ok(&head[..]));
        let fails = |octets: &[u8], expected: &str| assert!(check(octets).unwrap_err().contains(expected));
        fails(b"", "no length");
        fails(b"\0", "no length");
        fails(&framed(head)[..9], "the end inside");
        fails(&[framed(head), framed(head)].concat(), "more than one");
        fails(&framed(&head[..11]), "not a query");
        fails(&framed(b""), "not a query");
        fails(&framed(&[&[0, 0, 0x81][..], &head[3..]].concat()), "not a query");
        fails(&framed(&[&[0, 1][..], &head[2..]].concat()), "id that is not 0");
        let with_option = |code: u8| {
            let mut message = head.to_vec();
            message[11] = 1;
            message.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 4, 0, code, 0, 0]);
            framed(&message)
        };
        fails(&with_option(11), "keepalive");
        assert!(check(&with_option(12)).is_ok());
    }
}
