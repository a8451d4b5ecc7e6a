//! Telling secondaries that a zone has changed (RFC 1996).

use crate::transfer::fetch::{compose, random_id, sign};
use crate::transfer::settings::Server;
use crate::wire::{Name, Rcode};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// How long each answer is waited for: six tries within two minutes. RFC 1996 section 3.6 suggests five tries a minute apart;
/// our choice is sooner, as Knot's and BIND's.
const WAITS: [u64; 6] = [1, 3, 7, 15, 30, 60];

/// Tells one secondary, until it says that it has heard.
///
/// # Errors
/// A text for people.
pub async fn notify(server: &Server, apex: &Name, soa: (u32, &[u8])) -> Result<(), String> {
    let any: SocketAddr = match server.addr {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.map_err(|e| e.to_string())?;
    socket.connect(server.addr).await.map_err(|e| e.to_string())?;
    let mut last = "no answer".to_string();
    for secs in WAITS {
        let id = random_id();
        let mut message = compose(id, 4, apex, crate::wire::rtype::SOA, Some((soa.0, soa.1, 0)));
        let mut watch = sign(&mut message, server);
        if let Err(e) = socket.send(&message).await {
            last = e.to_string();
        }
        let answered = timeout(Duration::from_secs(secs), async {
            let mut reply = [0; 1232];
            loop {
                match socket.recv(&mut reply).await {
                    Ok(n) if n >= 12 && reply[..2] == id.to_be_bytes() && reply[2] & 0xf8 == 0xa0 => {
                        let believed =
                            watch.as_mut().map_or(Ok(()), |watch| watch.take(&reply[..n], super::fetch::unix_secs()));
                        return believed.map_err(|e| e.to_string()).map(|()| reply[3] & 0x0f);
                    }
                    Ok(_) => {}
                    // Nobody listens there now; the rest of the time is waited all the same.
                    Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
                }
            }
        });
        match answered.await {
            Ok(Ok(0)) => return Ok(()),
            // It was heard, and will be answered so again.
            Ok(Ok(rcode)) => return Err(Rcode::text(rcode.into())),
            Ok(Err(e)) => last = e,
            Err(_) => {}
        }
    }
    Err(last)
}
