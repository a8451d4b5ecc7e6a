//! What `floodway.toml` says of sockets, in the words of `transport`.

use crate::cli::config::Config;
use crate::transport;
use crate::transport::proxy::Proxies;
use crate::transport::stream::Pace;
use std::time::Duration;

/// Where to listen and what to allow.
///
/// # Errors
/// A text for people, for a proxy that is no address.
pub(super) fn config(config: &Config) -> Result<transport::Config, String> {
    let listen = &config.listen;
    let defaults = transport::Config::default();
    Ok(transport::Config {
        dns: listen.dns.clone(),
        tls: listen.tls.clone(),
        https: listen.https.clone(),
        http3: listen.http3,
        http: listen.http.clone(),
        quic: listen.quic.clone(),
        path: config.https.path.clone(),
        certificate: config.tls.clone(),
        proxies: Proxies::new(&config.proxy.nets()?),
        fast_open: config.tcp.fast_open,
        threads: config.n_threads(),
        stream_threads: listen.stream_threads,
        max_connections: config.tcp.connections,
        max_per_client: config.tcp.per_client,
        pace: Pace { idle: Duration::from_secs(config.tcp.idle_seconds), ..defaults.pace },
        xdp: config.xdp.clone(),
        ..defaults
    })
}
