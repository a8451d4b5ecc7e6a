//! The certificate that every encrypted listener shows, read from files and read again while serving.
//!
//! A handshake takes whatever certificate is current. [`Certificate::look`] builds the next one completely
//! (both files read, chain and key found to belong together) before [`Certificate::take`] puts it in the place of the
//! last; a file that cannot be used changes nothing. Connections that are open keep theirs.

use crate::transport::validity::not_after;
use arc_swap::ArcSwap;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

//----------- Files ----------------------------------------------------------

/// `[tls]` in `floodway.toml`: where certificate and key are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// The server's certificate, then those that lead to an authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<Current, Error> {
        let in_pem = |path: &Path, e: pem::Error| match e {
            pem::Error::Io(e) => Error::File(path.to_owned(), e),
            pem::Error::NoItemsFound => Error::Useless(path.to_owned(), "nothing of the kind in it".into()),
            other => Error::Useless(path.to_owned(), other.to_string()),
        };
        let chain = CertificateDer::pem_file_iter(&self.cert).and_then(|all| all.collect::<Result<Vec<_>, _>>());
        let chain = chain.map_err(|e| in_pem(&self.cert, e))?;
        let Some(own) = chain.first() else {
            return Err(in_pem(&self.cert, pem::Error::NoItemsFound));
        };
        let expires = not_after(own)
            .ok_or_else(|| Error::Useless(self.cert.clone(), "the first certificate is malformed".into()))?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|e| in_pem(&self.key, e))?;
        let key = any_supported_type(&key).map_err(|e| Error::Useless(self.key.clone(), e.to_string()))?;
        let key = CertifiedKey::new(chain, key);
        // A key whose public half cannot be told is taken: the handshake would show it.
        if let Err(e @ rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) = key.keys_match() {
            return Err(Error::Mismatch(self.clone(), e));
        }
        key.end_entity_cert()
            .and_then(rustls::server::ParsedCertificate::try_from)
            .map_err(|e| Error::Useless(self.cert.clone(), e.to_string()))?;
        Ok(Current { key: Arc::new(key), expires })
    }
}

//----------- Certificate ----------------------------------------------------

/// The current certificate and where the next one comes from.
#[derive(Debug)]
pub struct Certificate {
    files: Files,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    key: Arc<CertifiedKey>,
    /// Seconds since 1970.
    expires: i64,
}

impl Certificate {
    /// Reads the files.
    ///
    /// # Errors
    /// Each variant of [`Error`].
    pub fn read(files: Files) -> Result<Certificate, Error> {
        let current = ArcSwap::from_pointee(files.read()?);
        Ok(Certificate { files, current })
    }

    /// Reads the files again, and leaves the certificate that is current.
    ///
    /// # Errors
    /// As [`Certificate::read`].
    pub fn look(&self) -> Result<Next, Error> {
        self.files.read().map(Next)
    }

    /// Makes what was read the current one. Returns whether it is another certificate than before.
    pub fn take(&self, next: Next) -> bool {
        let is_new = next.0.key.cert != self.current.load().key.cert;
        self.current.store(Arc::new(next.0));
        is_new
    }

    /// Where it is read from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// When it expires, in seconds since 1970.
    pub fn expires(&self) -> i64 {
        self.current.load().expires
    }
}

/// What may become the current certificate: read and found good.
#[derive(Debug)]
pub struct Next(Current);

impl ResolvesServerCert for Certificate {
    /// One for all names: a name server has one identity, and clients may not send a name at all (RFC 8310).
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load().key.clone())
    }
}

//----------- Error ----------------------------------------------------------

/// Why files are no certificate.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be read.
    File(PathBuf, io::Error),
    /// There is nothing in a file that could be used.
    Useless(PathBuf, String),
    /// The key is of another certificate: one of the two files is old.
    Mismatch(Files, rustls::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::File(path, e) => write!(f, "{}: {e}", path.display()),
            Error::Useless(path, why) => {
                write!(
                    f,
                    "{}: {why}; certificates and keys are read in PEM (`floodway keygen tls` makes a pair for tests)",
                    path.display()
                )
            }
            Error::Mismatch(files, _) => {
                write!(f, "{}: not the key of {}", files.key.display(), files.cert.display())
            }
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["ns1.example.com".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    /// A new pair is taken, and whatever is wrong with one leaves the old one and names the file.
    #[test]
    fn a_bad_file_keeps_the_old_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files { cert: dir.path().join("cert.pem"), key: dir.path().join("key.pem") };
        let put = |cert: &str, key: &str| {
            std::fs::write(&files.cert, cert).unwrap();
            std::fs::write(&files.key, key).unwrap();
        };
        let (first, second) = (pair(), pair());
        assert!(Certificate::read(files.clone()).unwrap_err().to_string().contains("cert.pem: No such file"));
        put(&first.0, &first.1);
        let certificate = Certificate::read(files.clone()).unwrap();
        let shown = || certificate.current.load().key.cert.clone();
        let old = shown();
        assert!(!certificate.take(certificate.look().unwrap()), "the same again");
        for (cert, key, says) in [
            (&second.0[..], &first.1[..], "key.pem: not the key of"),
            ("", &first.1, "cert.pem: nothing of the kind"),
            (&first.1, &first.1, "cert.pem: nothing of the kind"),
            (&second.0, "", "key.pem: nothing of the kind"),
            (&second.0[..second.0.len() / 2], &second.1, "cert.pem: "),
        ] {
            put(cert, key);
            let e = certificate.look().unwrap_err().to_string();
            assert!(e.contains(says), "{e} lacks {says}");
            assert_eq!(shown(), old);
        }
        put(&second.0, &second.1);
        let next = certificate.look().unwrap();
        assert_eq!(shown(), old, "until it is taken");
        assert!(certificate.take(next));
        assert_ne!(shown(), old);
        assert!(certificate.expires() > 1_700_000_000);
    }
}
