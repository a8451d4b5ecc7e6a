//! Connections over TCP: accept, ask the gate, serve, close.
//!
//! A stream thread runs one small tokio loop for all its connections, so that they can share the
//! thread's handler and buffers without a lock. There are few stream threads: the work is on UDP.

use crate::exchange::{Connection, Transport};
use crate::transport::gate::Gate;
use crate::transport::handler::{Handler, Peer};
use crate::transport::stream::{self, Desk, Pace};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Pauses after an accept that failed for want of descriptors or memory: the first and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Idle time of a connection that was opened when the gate was crowded.
const CROWDED_IDLE: Duration = Duration::from_secs(1);

/// Once stopping: how long connections that the kernel has already set up are waited for.
const LAST_ACCEPT: Duration = Duration::from_millis(10);

/// How long, and for how many octets, a client that sent nonsense is heard out after our end was closed. Our choice:
/// some round trips across the world, and what such a client may have had under way.
const HEAR_OUT: (Duration, usize) = (Duration::from_millis(500), 1 << 20);

/// Accepts and serves connections until `stop` becomes true; then takes those that wait to be accepted,
/// and returns when all have ended as [`stream::serve`] ends them, or after `drain` at the latest.
///
/// Must run inside a [`tokio::task::LocalSet`].
pub async fn serve<H: Handler + 'static>(
    listeners: Vec<TcpListener>,
    desk: Rc<Desk<H>>,
    gate: Arc<Gate>,
    pace: Pace,
    drain: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut acceptors = JoinSet::new();
    for listener in listeners {
        acceptors.spawn_local(accept(listener, desk.clone(), gate.clone(), pace, stop.clone()));
    }
    // An error means that the sender is gone, which is a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
    let ended = async {
        while let Some(connections) = acceptors.join_next().await {
            if let Ok(mut connections) = connections {
                while connections.join_next().await.is_some() {}
            }
        }
    };
    let _ = timeout(drain, ended).await;
}

/// Accepts from one listener until told to stop; returns the connections still open.
async fn accept<H: Handler + 'static>(
    listener: TcpListener,
    desk: Rc<Desk<H>>,
    gate: Arc<Gate>,
    pace: Pace,
    mut stop: watch::Receiver<bool>,
) -> JoinSet<()> {
    let mut connections = JoinSet::new();
    let mut pause = PAUSES.0;
    let mut stopping = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop), if !stopping => {
                stopping = true;
                continue;
            }
            () = sleep(LAST_ACCEPT), if stopping => return connections,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((stream, from)) => {
                pause = PAUSES.0;
                admit(&mut connections, stream, from, &desk, &gate, pace, &stop);
            }
            Err(e) if is_of_one_connection(&e) => {}
            Err(e) => {
                desk.page().connection(Transport::Tcp, Connection::NotAccepted);
                if pause == PAUSES.0 {
                    tracing::warn!("cannot accept connections, retrying: {e}");
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

/// Errors of accept(2) that concern the connection that was to be accepted, and not the next one.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionReset, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable,
        PermissionDenied, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | PermissionDenied
            | TimedOut
    )
}

/// Starts serving a connection if the gate lets it in; closes it otherwise.
fn admit<H: Handler + 'static>(
    connections: &mut JoinSet<()>,
    mut stream: TcpStream,
    from: SocketAddr,
    desk: &Rc<Desk<H>>,
    gate: &Arc<Gate>,
    mut pace: Pace,
    stop: &watch::Receiver<bool>,
) {
    let permit = match gate.enter(from.ip()) {
        Ok(permit) => permit,
        Err(refused) => return desk.page().connection(Transport::Tcp, refused),
    };
    if gate.is_crowded() {
        pace.idle = pace.idle.min(CROWDED_IDLE);
    }
    desk.page().connection(Transport::Tcp, Connection::Opened);
    // Without these the connection works all the same: a little later, or longer when its client is gone.
    let _ = stream.set_nodelay(true);
    let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(pace.write));
    let (desk, mut stop) = (desk.clone(), stop.clone());
    connections.spawn_local(async move {
        let addr = SocketAddr::new(from.ip().to_canonical(), from.port());
        let peer = Peer { addr, transport: Transport::Tcp };
        let end = stream::serve(&mut stream, peer, &desk, &pace, &mut stop).await;
        if end != Connection::Closed {
            desk.page().connection(Transport::Tcp, end);
        }
        let _ = stream.shutdown().await;
        if end == Connection::Failed {
            let _ = timeout(HEAR_OUT.0, hear_out(&stream)).await;
        }
        desk.page().connection(Transport::Tcp, Connection::Closed);
        drop(permit);
    });
}

/// Reads what the client still sends and drops it, until it closes or has sent as much as it may.
///
/// To close a socket with octets unread, or to get some after, is a reset (RFC 1122 section 4.2.2.13), which may
/// overtake replies that were written before and take them from the client.
async fn hear_out(stream: &TcpStream) {
    let mut left = HEAR_OUT.1;
    while left > 0 && stream.readable().await.is_ok() {
        // On the stack only while it is used: no room is kept in the task of every connection.
        match stream.try_read(&mut [0; 16 * 1024]) {
            Ok(0) => return,
            Ok(n) => left = left.saturating_sub(n),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
