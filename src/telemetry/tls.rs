//! Mutual TLS of gRPC: certificate, key and authorities from files, read again while serving.
//!
//! Each handshake goes by what was current when it began. [`Tls::look`] builds the next state completely before [`Tls::take`]
//! puts it in the place of the last; files that cannot be used change nothing. Streams that are open go on.

use crate::telemetry::listen::{Error, TlsFiles};
use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// How handshakes go now, and where the next state comes from.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// What the files held, to see that they hold something else.
    octets: [Vec<u8>; 3],
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`Error::File`] for a file that cannot be read, [`Error::Tls`] for what is in them.
    pub fn read(files: TlsFiles) -> Result<Tls, Error> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Tls { files, current })
    }

    /// Reads the files again, and leaves what is current.
    ///
    /// # Errors
    /// As [`Tls::read`].
    pub fn look(&self) -> Result<Next, Error> {
        read(&self.files).map(Next)
    }

    /// Makes what was read current. Returns whether it is another state than before.
    pub fn take(&self, next: Next) -> bool {
        let is_new = next.0.octets != self.current.load().octets;
        if is_new {
            self.current.store(Arc::new(next.0));
        }
        is_new
    }

    /// Where it is read from.
    pub fn files(&self) -> &TlsFiles {
        &self.files
    }

    /// For the next handshake.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current.load().config.clone().into()
    }
}

/// What may become current: read and found good.
#[derive(Debug)]
pub struct Next(Current);

fn read(files: &TlsFiles) -> Result<Current, Error> {
    let open = |path: &Path| std::fs::read(path).map_err(|e| Error::File(path.to_owned(), e));
    let octets = [open(&files.cert)?, open(&files.key)?, open(&files.client_ca)?];
    let wrong = |path: &Path, why: String| Error::Tls(format!("{}: {why}", path.display()));
    let certificates = |path: &Path, octets: &[u8]| {
        let all: Vec<_> =
            CertificateDer::pem_slice_iter(octets).collect::<Result<_, _>>().map_err(|e| wrong(path, e.to_string()))?;
        if all.is_empty() { Err(wrong(path, "no certificate in it; PEM is read".into())) } else { Ok(all) }
    };
    let chain = certificates(&files.cert, &octets[0])?;
    let key = PrivateKeyDer::from_pem_slice(&octets[1]).map_err(|e| wrong(&files.key, e.to_string()))?;
    let mut authorities = RootCertStore::empty();
    for authority in certificates(&files.client_ca, &octets[2])? {
        authorities.add(authority).map_err(|e| wrong(&files.client_ca, e.to_string()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(authorities.into(), provider.clone())
        .build()
        .map_err(|e| wrong(&files.client_ca, e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_client_cert_verifier(verifier).with_single_cert(chain, key))
        .map_err(|e| wrong(&files.cert, format!("{e} (with {})", files.key.display())))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Current { config: Arc::new(config), octets })
}
