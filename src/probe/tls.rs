//! Whose certificates a probe believes.

use crate::policy::probe::{Ask, Probe, Trust};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;

/// Where systems keep the authorities that they trust: Debian and Alpine, Fedora and Red Hat, SUSE, the BSDs.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The authorities of probes that name none.
pub type Usual = Result<Arc<RootCertStore>, String>;

/// Reads the authorities that probes without `probe.ca` believe.
///
/// # Errors
/// A text for people: the probes that need them cannot be made.
pub fn usual(ca: Option<&Path>) -> Usual {
    let found = SYSTEM.iter().map(Path::new).find(|path| path.exists());
    let path = ca.or(found).ok_or("no authorities are known here: name a file of them as [probe] ca")?;
    let of_file = |e: String| format!("authorities of probes, {}: {e}", path.display());
    let all = CertificateDer::pem_file_iter(path).map_err(|e| of_file(e.to_string()))?;
    let mut roots = RootCertStore::empty();
    // A bundle may hold one that is of no use here; the others are.
    roots.add_parsable_certificates(all.filter_map(Result::ok));
    if roots.is_empty() {
        return Err(of_file("no certificate in it".into()));
    }
    Ok(Arc::new(roots))
}

/// How a probe speaks TLS, `None` if it does not; the error is why it cannot be made.
pub type Spoken = Result<Option<Arc<ClientConfig>>, String>;

/// How a probe speaks TLS; `None` if it does not. Sessions are not resumed, so that every probe looks at the certificate.
///
/// # Errors
/// A text for people.
pub fn client(probe: &Probe, usual: &Usual) -> Spoken {
    if !probe.ask.is_over_tls() {
        return Ok(None);
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions().map_err(|e| e.to_string())?;
    let mut config = match &probe.trust {
        Trust::Usual => builder.with_root_certificates(usual.clone()?).with_no_client_auth(),
        Trust::File(authorities) => {
            let mut roots = RootCertStore::empty();
            for certificate in &authorities.certificates {
                roots.add(certificate.clone()).map_err(|e| e.to_string())?;
            }
            builder.with_root_certificates(roots).with_no_client_auth()
        }
        Trust::Anyone => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider))).with_no_client_auth()
        }
    };
    config.resumption = Resumption::disabled();
    let spoken: &[u8] = if matches!(probe.ask, Ask::Grpc { .. }) { b"h2" } else { b"http/1.1" };
    config.alpn_protocols = vec![spoken.to_vec()];
    Ok(Some(Arc::new(config)))
}

/// Believes every certificate, as `probe.unverified` asks; the handshake is still that of its key.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
