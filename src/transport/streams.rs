//! One stream thread: its listeners and QUIC sockets, from start to stop.

use crate::transport::handler::Handler;
use crate::transport::handover::Shared;
use crate::transport::server::Error;
use crate::transport::site::{Service, Site};
use crate::transport::{quic, tcp};
use quinn::{Endpoint, EndpointConfig, ServerConfig};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::runtime::Runtime;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::timeout;

/// The sockets of one stream thread, bound and not yet served.
#[derive(Default)]
pub struct Sockets {
    /// Each with what is spoken on it.
    pub tcp: Vec<(Service, TcpListener)>,
    /// Each with the configuration and the keys that it shares with the sockets of its port.
    pub quic: Vec<(Service, UdpSocket, ServerConfig, EndpointConfig)>,
}

/// The same, in the care of the thread's runtime.
pub struct Ready {
    runtime: Runtime,
    tcp: Vec<(Service, tokio::net::TcpListener)>,
    quic: Vec<(Service, Endpoint)>,
}

impl Sockets {
    /// Makes them ready, so that whatever the system refuses is known before a thread is started. `left`: see
    /// [`Rules::left`](crate::transport::site::Rules::left).
    ///
    /// # Errors
    /// [`Error::Start`].
    pub fn ready(self, left: &Arc<AtomicBool>) -> Result<Ready, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Start)?;
        let inside = runtime.enter();
        let listener = |(service, socket)| Ok((service, tokio::net::TcpListener::from_std(socket)?));
        let tcp = self.tcp.into_iter().map(listener).collect::<io::Result<_>>().map_err(Error::Start)?;
        let endpoint = |(service, socket, config, keys)| {
            let socket = Shared::new(socket, left.clone())?;
            let endpoint =
                Endpoint::new_with_abstract_socket(keys, Some(config), socket, Arc::new(quinn::TokioRuntime));
            endpoint.map(|e| (service, e))
        };
        let quic = self.quic.into_iter().map(endpoint).collect::<io::Result<_>>().map_err(Error::Start)?;
        drop(inside);
        Ok(Ready { runtime, tcp, quic })
    }
}

impl Ready {
    /// Serves until the server stops and every connection has ended as its protocol wants it, or
    /// [`Rules::drain`](crate::transport::site::Rules::drain) later at the latest.
    pub fn run<H: Handler + 'static>(self, site: Site<H>) {
        let Ready { runtime, tcp, quic } = self;
        LocalSet::new().block_on(&runtime, serve(tcp, quic, Rc::new(site)));
    }
}

async fn serve<H: Handler + 'static>(
    tcp: Vec<(Service, tokio::net::TcpListener)>,
    quic: Vec<(Service, Endpoint)>,
    site: Rc<Site<H>>,
) {
    let (mut listeners, mut endpoints) = (JoinSet::new(), JoinSet::new());
    for (service, listener) in tcp {
        listeners.spawn_local(tcp::accept(listener, service, site.clone()));
    }
    for (service, endpoint) in quic {
        endpoints.spawn_local(quic::serve(endpoint, service, site.clone()));
    }
    // An error means that the sender is gone, which is a stop as well.
    let _ = site.stop.clone().wait_for(|stop| *stop).await;
    let ended = async {
        while let Some(connections) = listeners.join_next().await {
            if let Ok(mut connections) = connections {
                while connections.join_next().await.is_some() {}
            }
        }
        while endpoints.join_next().await.is_some() {}
    };
    let _ = timeout(site.rules.drain, ended).await;
}
