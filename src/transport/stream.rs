//! Queries on a stream: two octets of length before each message (RFC 1035 section 4.2.2, RFC 7766).
//!
//! [`serve`] takes one connection, whatever carries it, from its first octet to its last. Answering is
//! instant, so a connection needs no task or queue of its own inside: it reads what is there, answers all
//! whole messages of it in their order, writes the replies together, and reads on. (RFC 7766 section 7 lets replies come
//! in another order, so that a slow answer delays no other; here none is slow, and order costs nothing.) A client that does not
//! read its replies is not read from; one that is too slow in either direction is cut off.
//!
//! What is not made at once, a transfer or the reply of an update, is the exception: a transfer is written a message at a time,
//! and between two of them whatever was asked meanwhile is answered.
//!
//! Connections that wait hold next to no memory: what is read lands in a buffer of the thread, and only
//! the beginning of a message that has not ended is kept.

use crate::answer::Link;
use crate::exchange::Connection;
use crate::transport::desk::{Answered, Desk, MOST_LATER, Pending, first_message};
use crate::transport::gate::Permit;
use crate::transport::handler::{Handler, Peer};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// A waiting connection keeps buffers up to this size.
const KEEP: usize = 2048;

//----------- Pace -----------------------------------------------------------

/// How slow a client may be. Zero is not allowed anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Longest wait for a query. RFC 7766 section 6.2.3 wants seconds; Knot and NSD wait 10 s and more. It is also
    /// what edns-tcp-keepalive tells (RFC 7828); when three quarters of all connections are taken, it is a second.
    pub idle: Duration,
    /// Longest time from the first octet of a message to its last; the same for the header of a proxy, a
    /// handshake, and a request over HTTP.
    pub read: Duration,
    /// Longest time for the client to take the replies that are written together.
    pub write: Duration,
    /// After the server was asked to stop: longest silence that still keeps the connection. Queries on
    /// their way are answered, and no connection is cut inside a message.
    pub linger: Duration,
    /// After the server was asked to stop: how long a client that never pauses is answered. Then the connection ends between
    /// two messages, before the drain is over and would cut it anywhere.
    pub farewell: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            idle: Duration::from_secs(10),
            read: Duration::from_secs(5),
            write: Duration::from_secs(5),
            linger: Duration::from_millis(50),
            farewell: Duration::from_secs(1),
        }
    }
}

/// What happened on a connection.
enum Event {
    /// Octets came and were answered; `None`: the client has sent its last.
    Read(io::Result<Option<Answered>>),
    /// It is a transfer's turn.
    Turn,
    /// A reply was made, or never will be.
    Reply(Option<Vec<u8>>),
}

//----------- serve ----------------------------------------------------------

/// Serves one connection until the client closes it, is too slow, loses its place to another (see
/// [`Gate`](crate::transport::gate::Gate)), or the server stops (`stop` becomes true). Returns why it ended:
/// [`Connection::Closed`] for a clean end. Books nothing about the connection itself; closing is left to the caller.
pub async fn serve<S, H>(
    stream: &mut S,
    peer: Peer,
    desk: &Desk<H>,
    pace: &Pace,
    permit: &Permit,
    stop: &mut watch::Receiver<bool>,
) -> Connection
where
    S: AsyncRead + AsyncWrite + Unpin,
    H: Handler,
{
    // `held`: octets received and not answered, at most one message less its last octet, and what one read
    // brought besides.
    let (mut held, mut output) = (Vec::new(), Vec::new());
    let pending = RefCell::new(Pending::default());
    let mut has_ended = false;
    let mut deadline = Instant::now() + permit.patience(pace.idle);
    let mut stopping = *stop.borrow();
    let mut farewell = Instant::now() + pace.farewell;
    // Made once, since each would cost about as much as an answer: the alarm is set anew when it has rung too
    // early, and not with every query.
    let (mut alarm, mut displaced) = (pin!(sleep_until(deadline)), pin!(permit.displaced()));
    let mut stopped = pin!(stop.wait_for(|stop| *stop));
    // The peer as it is when a query is answered, since it may be told of the idle time (RFC 7828 section 3.3.2).
    let peer_now = |stopping| {
        let is_hurried = stopping || permit.is_hurried();
        Peer { link: Link { is_hurried, ..peer.link }, ..peer }
    };
    loop {
        let was_empty = held.is_empty();
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        }
        let n_pending = pending.borrow().len();
        let event = tokio::select! {
            biased;
            answered = read_and_answer(stream, || peer_now(stopping), desk, &mut held, &mut output, &pending),
                if n_pending < MOST_LATER && !has_ended => Event::Read(answered),
            _ = &mut stopped, if !stopping => {
                (stopping, farewell) = (true, Instant::now() + pace.farewell);
                if held.is_empty() {
                    deadline = deadline.min(Instant::now() + pace.linger);
                }
                continue;
            }
            () = &mut displaced => return Connection::Displaced,
            ready = poll_fn(|context| pending.borrow_mut().poll(context)), if n_pending > 0 => {
                ready.map_or(Event::Turn, Event::Reply)
            }
            // While there is something to send, writing has its own limit.
            () = &mut alarm, if n_pending == 0 || !held.is_empty() => {
                if Instant::now() < deadline {
                    alarm.as_mut().reset(deadline);
                    continue;
                }
                return match (held.is_empty(), stopping) {
                    (true, true) => Connection::Closed,
                    (true, false) => Connection::TimedOutIdle,
                    (false, _) => Connection::TimedOutRead,
                };
            }
        };
        let mut answered = Answered { used: 0, nonsense: false };
        match event {
            Event::Read(Ok(Some(read))) => answered = read,
            // What it has asked for it may still want to have.
            Event::Read(Ok(None)) if held.is_empty() && n_pending > 0 => has_ended = true,
            Event::Read(Ok(None)) if held.is_empty() => return Connection::Closed,
            Event::Read(Ok(None) | Err(_)) => return Connection::Failed,
            Event::Turn => pending.borrow_mut().transfer(&mut output),
            Event::Reply(reply) => desk.settle_later(reply, peer, &mut output),
        }
        // Write, and answer what did not fit, until no whole message is left.
        loop {
            if !output.is_empty() {
                let written = tokio::select! {
                    biased;
                    written = timeout(pace.write, write(stream, &output)) => written,
                    () = &mut displaced => return Connection::Displaced,
                };
                match written {
                    Err(_) => return Connection::TimedOutWrite,
                    Ok(Err(_)) => return Connection::Failed,
                    Ok(Ok(())) => output.clear(),
                }
            }
            if answered.nonsense {
                return Connection::Failed;
            }
            if first_message(&held).is_none() || pending.borrow().len() >= MOST_LATER {
                break;
            }
            let mut pending = pending.borrow_mut();
            answered =
                desk.inner.borrow_mut().answer(&held, peer_now(stopping), &mut output, &mut pending, desk.page());
            held.drain(..answered.used);
        }
        let now = Instant::now();
        if answered.used > 0 || n_pending > 0 {
            permit.touch(now.into_std());
        }
        if has_ended && pending.borrow().len() == 0 {
            return Connection::Closed;
        }
        if stopping && held.is_empty() && now >= farewell {
            return Connection::Closed;
        }
        // The message under way has its deadline from its first octet on, however many reads it takes.
        deadline = match (held.is_empty(), stopping) {
            (true, true) => now + pace.linger,
            (true, false) => now + permit.patience(pace.idle),
            (false, _) if was_empty || answered.used > 0 => now + pace.read,
            (false, _) => deadline,
        };
        give_back(&mut output);
        give_back(&mut held);
    }
}

/// Waits for octets, then at once answers the whole messages among them and keeps the rest in `held`.
/// `None` at the end of the stream. Safe to drop while it waits: nothing is taken before it is ready.
async fn read_and_answer<S: AsyncRead + Unpin, H: Handler>(
    stream: &mut S,
    peer: impl Fn() -> Peer,
    desk: &Desk<H>,
    held: &mut Vec<u8>,
    output: &mut Vec<u8>,
    pending: &RefCell<Pending>,
) -> io::Result<Option<Answered>> {
    poll_fn(|context| {
        let inner = &mut *desk.inner.borrow_mut();
        let mut input = std::mem::take(&mut inner.input);
        let mut buffer = ReadBuf::new(&mut input);
        let polled = Pin::new(&mut *stream).poll_read(context, &mut buffer);
        let n = buffer.filled().len();
        let answered = matches!(polled, Poll::Ready(Ok(()))).then(|| {
            let pending = &mut *pending.borrow_mut();
            if held.is_empty() {
                let answered = inner.answer(&input[..n], peer(), output, pending, desk.page());
                held.extend_from_slice(&input[answered.used..n]);
                answered
            } else {
                held.extend_from_slice(&input[..n]);
                let answered = inner.answer(held, peer(), output, pending, desk.page());
                held.drain(..answered.used);
                answered
            }
        });
        inner.input = input;
        ready!(polled)?;
        Poll::Ready(Ok(answered.filter(|_| n > 0)))
    })
    .await
}

/// Writes it all and has it sent: a TLS stream keeps what is not flushed.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S, octets: &[u8]) -> io::Result<()> {
    stream.write_all(octets).await?;
    stream.flush().await
}

/// Returns the memory of a buffer that has grown, once it is empty.
fn give_back(buffer: &mut Vec<u8>) {
    if buffer.is_empty() && buffer.capacity() > KEEP {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Books, Silence, Transport};
    use crate::transport::gate::Gate;
    use crate::transport::handler::Said;
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};

    /// Gives each query back; a query of `[n, …]` with `n` above 0 gives `n × 1000` octets, an empty one silence.
    struct Mirror;

    impl Handler for Mirror {
        type State = ();
        fn begin(&self) {}
        fn answer(&mut self, (): &(), query: &[u8], _: Peer, out: &mut [u8]) -> Said {
            assert_ne!(query, b"panic");
            match query.first() {
                None => return Said::Silence(Silence::Short),
                Some(0) => {}
                Some(n) => {
                    let len = (usize::from(*n) * 1000).min(out.len());
                    out[..len].fill(*n);
                    return Said::Reply { len, rcode: 0, truncated: false };
                }
            }
            out[..query.len()].copy_from_slice(query);
            Said::Reply { len: query.len(), rcode: 0, truncated: false }
        }
    }

    const CLIENT: Peer = Peer::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5353), Transport::Tcp);

    fn message(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u16).to_be_bytes()[..], body].concat()
    }

    /// So short that a test need not wait, for what times out, and so long that nothing else does.
    const SHORT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(600);
    const PATIENT: Pace = Pace { idle: LONG, read: LONG, write: LONG, linger: Duration::ZERO, farewell: LONG };

    /// Runs one connection against a script, and returns how it ended and the books.
    fn check<F: Future<Output = ()>>(
        pace: Pace,
        room: usize,
        script: impl FnOnce(DuplexStream, watch::Sender<bool>) -> F,
    ) -> (Connection, crate::exchange::books::TransportSum) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let books = Arc::new(Books::new(1));
        let end = runtime.block_on(async {
            let desk = Desk::new(Mirror, books.clone(), 0);
            let (near, mut far) = duplex(room);
            let (stopper, mut stop) = watch::channel(false);
            let permit = Arc::new(Gate::new(100, 1)).enter(CLIENT.addr.ip(), std::time::Instant::now()).unwrap();
            let server = async move {
                let end = serve(&mut far, CLIENT, &desk, &pace, &permit, &mut stop).await;
                drop(far);
                end
            };
            tokio::join!(server, script(near, stopper)).0
        });
        (end, books.sum()[Transport::Tcp as usize].clone())
    }

    /// Asked to stop, the server answers what is there and ends between two messages, though the client goes on and on.
    #[test]
    fn a_client_that_never_pauses_is_taken_leave_of() {
        let pace = Pace { linger: LONG, farewell: Duration::ZERO, ..PATIENT };
        let (end, sum) = check(pace, 1 << 20, async |mut near, stopper| {
            near.write_all(&message(&[0; 9])).await.unwrap();
            near.read_exact(&mut [0; 11]).await.unwrap();
            stopper.send_replace(true);
            tokio::task::yield_now().await;
            near.write_all(&message(&[0; 9]).repeat(2)).await.unwrap();
            near.write_all(&message(&[0; 9])[..5]).await.unwrap();
            tokio::task::yield_now().await;
            near.write_all(&message(&[0; 9])[5..]).await.unwrap();
            let mut got = Vec::new();
            near.read_to_end(&mut got).await.unwrap();
            assert_eq!(got.len(), 33);
        });
        assert_eq!((end, sum.queries, sum.in_flight()), (Connection::Closed, 4, 0));
    }

    /// A reply is what the handler said, whatever pieces the query came in.
    #[test]
    fn messages_may_come_in_any_pieces() {
        let bodies: Vec<Vec<u8>> = vec![vec![0; 1], vec![0; 300], vec![0; 17], vec![0; 65_535], vec![0; 2]];
        let all: Vec<u8> = bodies.iter().flat_map(|b| message(b)).collect();
        for piece in [1, 2, 3, 7, 301, 5000, all.len()] {
            let (end, sum) = check(PATIENT, 1 << 20, async |mut near, _stopper| {
                for octets in all.chunks(piece) {
                    near.write_all(octets).await.unwrap();
                    tokio::task::yield_now().await;
                }
                near.shutdown().await.unwrap();
                let mut got = Vec::new();
                near.read_to_end(&mut got).await.unwrap();
                assert_eq!(got, all);
            });
            assert_eq!((end, sum.queries, sum.in_flight()), (Connection::Closed, 5, 0), "pieces of {piece}");
        }
    }

    /// Pipelined queries are answered together: fewer batches than queries.
    #[test]
    fn pipelined_queries_share_a_write() {
        let (_, sum) = check(PATIENT, 1 << 20, async |mut near, _stopper| {
            near.write_all(&message(&[0; 20]).repeat(100)).await.unwrap();
            let mut got = vec![0; 2200];
            near.read_exact(&mut got).await.unwrap();
        });
        assert_eq!((sum.queries, sum.batches), (100, 1));
    }

    /// Replies of 60 kB each to hundreds of queries in one read: memory stays bounded because answering
    /// waits for the client to read; nothing is lost.
    #[test]
    fn long_replies_wait_for_the_client() {
        let (end, sum) = check(PATIENT, 4096, async |mut near, _stopper| {
            let (mut reader, mut writer) = tokio::io::split(&mut near);
            let send = async {
                for _ in 0..30 {
                    writer.write_all(&message(&[60; 12]).repeat(10)).await.unwrap();
                }
            };
            let receive = async {
                let mut reply = vec![0; 60_002];
                for _ in 0..300 {
                    reader.read_exact(&mut reply).await.unwrap();
                    assert_eq!(reply[..3], [0xea, 0x60, 60]);
                }
            };
            tokio::join!(send, receive);
        });
        assert_eq!((end, sum.queries), (Connection::Closed, 300));
    }

    /// Each way to be slow has its name and its end.
    #[test]
    fn slow_clients_are_cut_off() {
        let (end, _) = check(Pace { idle: SHORT, ..PATIENT }, 100, async |mut near, _stopper| {
            near.read_to_end(&mut Vec::new()).await.unwrap();
        });
        assert_eq!(end, Connection::TimedOutIdle);
        let (end, sum) = check(Pace { read: SHORT, ..PATIENT }, 100, async |mut near, _stopper| {
            near.write_all(&message(&[0; 20])).await.unwrap();
            // Octet by octet, for longer than any test runs: that does not renew the deadline.
            for octet in message(&[0; 65_000]) {
                tokio::time::sleep(SHORT / 10).await;
                if near.write_all(&[octet]).await.is_err() {
                    break;
                }
            }
        });
        assert_eq!((end, sum.queries), (Connection::TimedOutRead, 1));
        let (end, _) = check(Pace { write: SHORT, ..PATIENT }, 100, async |mut near, stopper| {
            near.write_all(&message(&[60; 1])).await.unwrap();
            stopper.closed().await;
        });
        assert_eq!(end, Connection::TimedOutWrite);
    }

    /// What carries no queries is not kept: empty messages, an end inside a message. Replies to what came
    /// before are sent all the same.
    #[test]
    fn nonsense_ends_the_connection() {
        let (end, sum) = check(PATIENT, 4096, async |mut near, _stopper| {
            near.write_all(&[message(&[0; 5]), message(&[]), message(&[0; 5])].concat()).await.unwrap();
            let mut got = Vec::new();
            near.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, message(&[0; 5]));
        });
        assert_eq!((end, sum.queries, sum.silences(Silence::Short)), (Connection::Failed, 2, 1));
        let (end, _) = check(PATIENT, 4096, async |mut near, _stopper| near.write_all(&[0, 9, 1]).await.unwrap());
        assert_eq!(end, Connection::Failed);
    }

    /// A handler's bug costs one query, not the thread: SERVFAIL, and the next query is answered.
    #[test]
    fn a_panic_is_a_servfail() {
        let (end, sum) = check(PATIENT, 4096, async |mut near, _stopper| {
            near.write_all(&[message(b"panic"), message(&[0; 5])].concat()).await.unwrap();
            let mut got = [0; 14 + 7];
            near.read_exact(&mut got).await.unwrap();
            assert_eq!(got[..6], [0, 12, b'p', b'a', 0x80 | b'n' & 0x79, 2]);
        });
        assert_eq!((end, sum.replies[2], sum.replies[0], sum.in_flight()), (Connection::Closed, 1, 1, 0));
    }

    /// Stopping waits for what is on its way, and for nothing else.
    #[test]
    fn stopping_answers_what_has_begun() {
        let (end, sum) = check(PATIENT, 4096, async |mut near, stopper| {
            near.write_all(&message(&[0; 20])[..10]).await.unwrap();
            tokio::task::yield_now().await;
            stopper.send(true).unwrap();
            tokio::task::yield_now().await;
            near.write_all(&message(&[0; 20])[10..]).await.unwrap();
            let mut got = Vec::new();
            near.read_to_end(&mut got).await.unwrap();
            assert_eq!(got.len(), 22);
        });
        assert_eq!((end, sum.queries), (Connection::Closed, 1));
        let (end, _) = check(PATIENT, 4096, async |mut near, stopper| {
            stopper.send(true).unwrap();
            near.read_to_end(&mut Vec::new()).await.unwrap();
        });
        assert_eq!(end, Connection::Closed, "not after an idle time of minutes");
    }
}
