//! `floodway keygen`: a self-signed certificate, to try encrypted transports without an authority; a TSIG key; and a key that
//! signs a zone ([`make`]).

use crate::cli::config::Config;
use crate::cli::dnssec::keys::create;
use crate::cli::dnssec::make;
use crate::cli::{end, print};
use crate::wire::Name;
use crate::wire::tsig::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DnType, KeyPair};
use ring::rand::{SecureRandom, SystemRandom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// How long a certificate holds: long enough for a trial, and too short to be forgotten in production.
const HOLDS: Duration = Duration::from_secs(90 * 24 * 3600);

/// Clocks differ: the certificate holds from an hour ago.
const BEFORE: Duration = Duration::from_secs(3600);

/// Makes keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Writes a P-256 key and a certificate that it has signed itself, valid for 90 days. Nothing is overwritten.
    Tls {
        /// Names and addresses that the certificate is for.
        #[arg(default_values = ["localhost", "127.0.0.1", "::1"])]
        names: Vec<String>,
        /// Where the certificate goes.
        #[arg(long, default_value = "cert.pem")]
        cert: PathBuf,
        /// Where the key goes; only its owner may read it.
        #[arg(long, default_value = "key.pem")]
        key: PathBuf,
    },
    /// Makes a secret that two servers share (RFC 8945), and prints what Floodway, BIND and Knot are to be told. Nothing is
    /// overwritten.
    Tsig {
        /// The name of the key.
        name: String,
        /// hmac-sha256, hmac-sha384 or hmac-sha512.
        #[arg(long, default_value = "hmac-sha256")]
        algorithm: String,
        /// Where the secret goes, to be named as secret-file; only its owner may read it. Left out: it is printed.
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Makes a key that signs a zone, as files in BIND's form: the zone is signed from the next reload on.
    Dnssec(make::Args),
}

/// Runs the command.
pub fn run(args: Args, file: Option<&Path>) -> ExitCode {
    let said = match args.what {
        What::Tls { names, cert, key } => tls(names, &cert, &key),
        What::Tsig { name, algorithm, file } => tsig(&name, &algorithm, file.as_deref()),
        What::Dnssec(args) => Config::read(file).and_then(|config| make::make(&args, &config.dnssec.keys)),
    };
    end(said.and_then(|text| print(&text)))
}

/// Makes the pair; returns what to say.
fn tls(names: Vec<String>, cert: &Path, key: &Path) -> Result<String, String> {
    let (in_pem, key_in_pem) = make(names.clone())?;
    create(key, 0o600, &key_in_pem)?;
    // A key without its certificate would stand in the way of the next try.
    create(cert, 0o644, &in_pem).inspect_err(|_| drop(std::fs::remove_file(key)))?;
    let (cert, key) = (cert.display(), key.display());
    Ok(format!(
        "{cert} and {key}, for {names}, 90 days. In floodway.toml:\n[tls]\ncert = \"{cert}\"\nkey = \"{key}\"",
        names = names.join(" ")
    ))
}

/// Makes a secret as long as the MACs that are made of it (RFC 8945 section 8); returns what to say.
fn tsig(name: &str, algorithm: &str, file: Option<&Path>) -> Result<String, String> {
    let name: Name = name.parse().map_err(|e| format!("{name:?}: {e}"))?;
    let algorithm: Algorithm = algorithm.parse()?;
    let mut secret = vec![0; algorithm.mac_len()];
    SystemRandom::new().fill(&mut secret).map_err(|_| "no random numbers from the system".to_string())?;
    let (secret, algorithm) = (STANDARD.encode(secret), algorithm.name());
    let ours = match file {
        Some(file) => {
            create(file, 0o600, &format!("{secret}\n"))?;
            format!("secret-file = \"{}\"", file.display())
        }
        None => format!("secret = \"{secret}\""),
    };
    let theirs = if file.is_some() { "<the line in that file>" } else { &secret };
    Ok(format!(
        "floodway.toml:\n[[tsig]]\nname = \"{name}\"\nalgorithm = \"{algorithm}\"\n{ours}\n\n\
         named.conf:\nkey \"{name}\" {{ algorithm {algorithm}; secret \"{theirs}\"; }};\n\n\
         knot.conf:\nkey:\n  - id: {name}\n    algorithm: {algorithm}\n    secret: {theirs}"
    ))
}

/// Certificate and key in PEM.
fn make(names: Vec<String>) -> Result<(String, String), String> {
    let common_name = names.first().cloned().unwrap_or_default();
    let mut wanted = CertificateParams::new(names).map_err(|e| format!("names of the certificate: {e}"))?;
    let now = SystemTime::now();
    (wanted.not_before, wanted.not_after) = ((now - BEFORE).into(), (now + HOLDS).into());
    wanted.distinguished_name.push(DnType::CommonName, common_name);
    let key = KeyPair::generate().map_err(|e| format!("no key: {e}"))?;
    let certificate = wanted.self_signed(&key).map_err(|e| format!("no certificate: {e}"))?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Certificate;
    use crate::transport::certificate::Files;
    use std::os::unix::fs::PermissionsExt;

    /// The pair is one that `serve` takes, the key is its owner's alone, and nothing is overwritten.
    #[test]
    fn a_pair_is_made_once() {
        let dir = tempfile::tempdir().unwrap();
        let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
        let make = || tls(vec!["ns1.example.com".into(), "192.0.2.1".into()], &cert, &key);
        assert!(make().unwrap().contains("ns1.example.com 192.0.2.1"));
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let made = Certificate::read(Files { cert: cert.clone(), key: key.clone() }).unwrap();
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
        assert!((89..=90).contains(&((made.expires() - now) / 86_400)));
        assert!(make().unwrap_err().contains("key.pem: is there already"));
        std::fs::remove_file(&key).unwrap();
        assert!(make().unwrap_err().contains("cert.pem: is there already"));
        assert!(!key.exists(), "no key is left behind");
    }
}
