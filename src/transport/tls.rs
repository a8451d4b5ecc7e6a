//! TLS for every encrypted transport: one certificate, one set of session tickets, four protocols by ALPN.
//!
//! TLS 1.3 and 1.2 on TCP (RFC 8310 section 9 asks for 1.2 at least), 1.3 in QUIC (RFC 9001 section 4.2). Sessions are
//! resumed from tickets that the server does not store. Early data is refused everywhere: it can be replayed, and
//! though a query does no harm when it is, it lets anybody who has recorded one ask again from anywhere
//! (RFC 9250 section 4.5 leaves the choice to us); a resumed TLS 1.3 session saves the costly part anyway.

use crate::transport::certificate::Certificate;
use crate::transport::server::Error;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// How handshakes go, for each protocol.
#[derive(Clone)]
pub struct Handshakes {
    /// DNS over TLS (RFC 7858), ALPN `dot`; a client that offers no ALPN is taken as well.
    pub dot: TlsAcceptor,
    /// HTTP/2 or HTTP/1.1 (RFC 8484), ALPN `h2` and `http/1.1`.
    pub https: TlsAcceptor,
    /// DNS over QUIC (RFC 9250), ALPN `doq`.
    pub doq: Arc<ServerConfig>,
    /// HTTP/3 (RFC 9114), ALPN `h3`.
    pub h3: Arc<ServerConfig>,
}

impl Handshakes {
    /// Handshakes that show `certificate`.
    ///
    /// # Errors
    /// [`Error::Tls`] if the system gives no random numbers.
    pub fn new(certificate: Arc<Certificate>) -> Result<Handshakes, Error> {
        let tickets = ring::Ticketer::new().map_err(Error::Tls)?;
        let config = |versions: &[&'static rustls::SupportedProtocolVersion], protocols: &[&[u8]]| {
            let provider = Arc::new(ring::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_protocol_versions(versions)
                .map_err(Error::Tls)?
                .with_no_client_auth()
                .with_cert_resolver(certificate.clone());
            config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
            config.ticketer = tickets.clone();
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.max_early_data_size = 0;
            Ok(Arc::new(config))
        };
        let only_13: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
        Ok(Handshakes {
            dot: config(rustls::ALL_VERSIONS, &[b"dot"])?.into(),
            https: config(rustls::ALL_VERSIONS, &[b"h2", b"http/1.1"])?.into(),
            doq: config(only_13, &[b"doq"])?,
            h3: config(only_13, &[b"h3"])?,
        })
    }
}
