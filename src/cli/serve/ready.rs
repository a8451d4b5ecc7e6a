//! The line that says where a server answers, and what to try.

use serde::Serialize;
use std::net::SocketAddr;
use std::path::Path;

//----------- Ready ----------------------------------------------------------

/// The line that says the server answers.
#[derive(Clone, Debug, Serialize)]
pub struct Ready {
    pub(super) ready: bool,
    /// DNS over UDP and TCP.
    pub dns: Vec<SocketAddr>,
    /// DNS over TLS.
    pub tls: Vec<SocketAddr>,
    /// DNS over HTTPS, on TCP and, unless `http3 = false`, on UDP.
    pub https: Vec<SocketAddr>,
    /// DNS over HTTP without TLS.
    pub http: Vec<SocketAddr>,
    /// DNS over QUIC.
    pub quic: Vec<SocketAddr>,
    /// Telemetry and steering.
    pub grpc: SocketAddr,
    /// Metrics and state.
    pub admin: SocketAddr,
    pub(super) zones: usize,
    pub(super) generation: u64,
}

impl Ready {
    /// Every address with its key in `[listen]`.
    pub(super) fn listeners(&self) -> Vec<(&'static str, SocketAddr)> {
        let Ready { dns, tls, https, http, quic, grpc, admin, .. } = self;
        let lists = [("dns", dns), ("tls", tls), ("https", https), ("http", http), ("quic", quic)];
        let all = lists.into_iter().flat_map(|(key, addrs)| addrs.iter().map(move |addr| (key, *addr)));
        all.chain([("grpc", *grpc), ("admin", *admin)]).collect()
    }
}

/// What to try in another terminal. `file`: the configuration that was given.
pub(super) fn hints(ready: &Ready, file: Option<&Path>) -> String {
    let port = ready.dns.first().map_or(53, SocketAddr::port);
    let config = file.map(|f| format!(" --config {}", f.display())).unwrap_or_default();
    format!(
        "\nAnswering. In another terminal:\n\
         \x20 dig @127.0.0.1 -p {port} www.example.com +subnet=203.0.113.0/27     # a client in Tokyo\n\
         \x20 dig @127.0.0.1 -p {port} www.example.com +subnet=198.51.100.0/27    # a client in Frankfurt\n\
         \x20 floodway explain www.example.com 203.0.113.0/27 --server {grpc}\n\
         \x20 floodway pops --server {grpc}\n\
         \x20 floodway check{config}\n\n",
        grpc = ready.grpc,
    )
}
