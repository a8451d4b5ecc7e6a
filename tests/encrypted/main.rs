//! The encrypted transports, as a client on loopback sees them. rustls, quinn, hyper and h3 are the clients; where a
//! client must break a rule, its octets are written by hand.

mod doq;
mod dot;
mod https;
#[path = "../standin/mod.rs"]
mod standin;

use floodway::exchange::books::TransportSum;
use floodway::exchange::{Books, Connection, Transport};
use floodway::transport::certificate::Files;
use floodway::transport::stream::Pace;
use floodway::transport::{Bound, Certificate, Config, Server, Service};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use standin::StandIn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A server with every encrypted service on free ports of loopback, and a certificate for `localhost`.
struct Fixture {
    server: Server,
    books: Arc<Books>,
    certificate: Arc<Certificate>,
    dir: tempfile::TempDir,
}

/// So short that a test need not wait, for what times out.
const SHORT: Duration = Duration::from_millis(60);

fn start(config: Config) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let files = Files { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
    write_pair(&files);
    let free: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
    let certificate = Some(files);
    let (tls, https, http, quic) = (free.clone(), free.clone(), free.clone(), free);
    let bound = Bound::new(Config { tls, https, http, quic, certificate, ..config }).unwrap();
    let books = Arc::new(Books::new(bound.n_threads()));
    let certificate = bound.certificate().unwrap().clone();
    let server = bound.start(books.clone(), |_| StandIn).unwrap();
    Fixture { server, books, certificate, dir }
}

/// Everything is slow but what is named.
fn pace() -> Pace {
    let long = Duration::from_secs(600);
    Pace { idle: long, read: long, write: long, linger: Duration::from_millis(1), farewell: long }
}

fn write_pair(files: &Files) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
}

impl Fixture {
    fn addr(&self, service: Service) -> SocketAddr {
        self.server.addrs_of(service)[0]
    }

    /// A client that trusts the certificate of now, and offers these protocols.
    fn client(&self, protocols: &[&[u8]]) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.certificate.files().cert).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|p| p.to_vec()).collect();
        config.enable_early_data = true;
        config
    }

    /// Stops, and returns the books of one transport, which must balance.
    fn stop(self, transport: Transport) -> TransportSum {
        self.server.stop();
        drop(self.dir);
        let sums = self.books.sum();
        assert!(sums.iter().all(|s| s.in_flight() == 0), "the books balance: {sums:?}");
        for sum in &sums {
            assert_eq!(sum.connections(Connection::Opened), sum.connections(Connection::Closed), "{:?}", sum.transport);
        }
        sums[transport as usize].clone()
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// An encrypted service without a certificate is refused before anything is bound, with advice.
#[test]
fn no_certificate_is_a_clear_error() {
    let config = Config { tls: vec!["127.0.0.1:0".parse().unwrap()], ..Config::default() };
    let refused = Bound::new(config.clone()).unwrap_err().to_string();
    assert!(refused.contains("keygen tls"), "{refused}");
    let files = Files { cert: "/nowhere/cert.pem".into(), key: "/nowhere/key.pem".into() };
    let refused = Bound::new(Config { certificate: Some(files), ..config }).unwrap_err().to_string();
    assert!(refused.contains("/nowhere/cert.pem: No such file"), "{refused}");
}
