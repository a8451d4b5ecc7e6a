//! Keys as files: BIND's pair `K<zone>+<algorithm>+<tag>.key` and `.private`, and PKCS#8 in PEM in place of the latter.
//!
//! The public half is one DNSKEY in master-file form; the private half is lines `Field: value` (format v1.3, as
//! dnssec-keygen(8) writes and Knot, ldns and PowerDNS read). Times stand in the private half, and as comments in the other.

use crate::dnssec::der::{self, Private};
use crate::dnssec::key::{Algorithm, Key, Timing};
use crate::wire::Name;
use crate::zone::rdata::{parse_moment, print_moment};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write;

/// What an RSA key's numbers are called, in the order of [`Private::Rsa`].
const RSA_FIELDS: [&str; 8] =
    ["Modulus", "PublicExponent", "PrivateExponent", "Prime1", "Prime2", "Exponent1", "Exponent2", "Coefficient"];

/// The name of a key's files, without ending: `Kexample.com.+013+12345`.
pub fn stem(zone: &Name, algorithm: Algorithm, tag: u16) -> String {
    // The root is `.` and escapes that would lead out of the folder are kept as digits.
    let zone = zone.to_string().replace('/', "\\047");
    format!("K{zone}+{:03}+{tag:05}", algorithm.number())
}

//----------- Reading --------------------------------------------------------

/// Reads a key out of the texts of its two files.
///
/// # Errors
/// A text for people.
pub fn read(public: &str, private: &str) -> Result<Key, String> {
    let (zone, flags, algorithm, public) = read_public(public)?;
    if private.contains("-----BEGIN") {
        let private = read_pem(private)?;
        return Key::new(zone, flags, algorithm, Some(public), private, Timing::default());
    }
    let (of_private, private, timing) = read_private(private)?;
    if of_private != algorithm {
        return Err(format!("the private key is one for {of_private}, the public one for {algorithm}"));
    }
    Key::new(zone, flags, algorithm, Some(public), private, timing)
}

/// Reads the DNSKEY of a `.key` file: zone, flags, algorithm, public key.
///
/// # Errors
/// A text for people.
pub fn read_public(text: &str) -> Result<(Name, u16, Algorithm, Vec<u8>), String> {
    let lines = text.lines().map(|line| line.split(';').next().unwrap_or(""));
    let words: Vec<&str> = lines.flat_map(str::split_whitespace).filter(|word| !matches!(*word, "(" | ")")).collect();
    let shape = "no DNSKEY record, such as `example.com. IN DNSKEY 257 3 13 …`";
    let at = words.iter().position(|word| word.eq_ignore_ascii_case("DNSKEY")).filter(|at| *at > 0).ok_or(shape)?;
    let zone = words[0].parse::<Name>().map_err(|e| format!("{}: {e}", words[0]))?;
    let [flags, protocol, algorithm, key @ ..] = &words[at + 1..] else { return Err(shape.into()) };
    let flags = flags.parse::<u16>().map_err(|_| format!("flags {flags:?}: 256 or 257"))?;
    if flags & crate::dnssec::key::ZONE_KEY == 0 || *protocol != "3" {
        return Err(format!("flags {flags} and protocol {protocol}: not a zone's key (RFC 4034 section 2.1)"));
    }
    let key = STANDARD.decode(key.concat()).map_err(|e| format!("the public key: {e}"))?;
    Ok((zone, flags, algorithm.parse()?, key))
}

fn read_private(text: &str) -> Result<(Algorithm, Private, Timing), String> {
    let field = |name: &str| {
        let of_line = |line: &'_ str| {
            let (field, value) = line.split_once(':')?;
            field.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        text.lines().find_map(of_line)
    };
    let format = field("Private-key-format").ok_or("no `Private-key-format`, and no PEM")?;
    if !format.starts_with("v1.") {
        return Err(format!("Private-key-format {format}: v1.2 and v1.3 are read"));
    }
    let algorithm = field("Algorithm").ok_or("no `Algorithm`")?;
    let algorithm: Algorithm = algorithm.split_whitespace().next().unwrap_or("").parse()?;
    let octets = |name: &str| {
        let text = field(name).ok_or_else(|| format!("no `{name}`"))?;
        STANDARD.decode(text).map_err(|e| format!("`{name}`: {e}"))
    };
    let private = match algorithm {
        Algorithm::EcdsaP256 => Private::Ec { bits: 256, scalar: of_len(octets("PrivateKey")?, 32)?, public: None },
        Algorithm::EcdsaP384 => Private::Ec { bits: 384, scalar: of_len(octets("PrivateKey")?, 48)?, public: None },
        Algorithm::Ed25519 => Private::Ed25519(of_len(octets("PrivateKey")?, 32)?),
        Algorithm::RsaSha256 | Algorithm::RsaSha512 => {
            let mut numbers: [Vec<u8>; 8] = Default::default();
            for (number, name) in numbers.iter_mut().zip(RSA_FIELDS) {
                *number = octets(name)?;
            }
            Private::Rsa(Box::new(numbers))
        }
    };
    if field("Revoke").is_some() {
        return Err("`Revoke`: revoked keys (RFC 5011) are not served; take the file away".into());
    }
    let moment = |name: &str| match field(name) {
        None => Ok(None),
        Some(text) => match parse_moment(text.split_whitespace().next().unwrap_or("")) {
            Some(moment) => Ok(Some(moment)),
            None => Err(format!("`{name}`: {text:?} is no time, such as 20260101000000")),
        },
    };
    let timing = Timing {
        created: moment("Created")?,
        publish: moment("Publish")?,
        activate: moment("Activate")?,
        inactive: moment("Inactive")?,
        delete: moment("Delete")?,
        sync_publish: moment("SyncPublish")?,
        sync_delete: moment("SyncDelete")?,
    };
    Ok((algorithm, private, timing))
}

/// A number with zeros before it, to the length of the field: BIND has left them out.
fn of_len(octets: Vec<u8>, len: usize) -> Result<Vec<u8>, String> {
    match len.checked_sub(octets.len()) {
        Some(n) => Ok([vec![0; n], octets].concat()),
        None => Err(format!("`PrivateKey` has {} octets, and should have {len}", octets.len())),
    }
}

/// Reads PKCS#8 in PEM.
///
/// # Errors
/// A text for people.
pub fn read_pem(text: &str) -> Result<Private, String> {
    let body = text.split("-----BEGIN PRIVATE KEY-----").nth(1);
    let body = body.and_then(|rest| rest.split("-----END PRIVATE KEY-----").next());
    let body =
        body.ok_or("no PKCS#8 in PEM: `-----BEGIN PRIVATE KEY-----` (openssl pkcs8 -topk8 -nocrypt makes it)")?;
    let der = STANDARD.decode(body.split_whitespace().collect::<String>()).map_err(|e| format!("PEM: {e}"))?;
    der::read_pkcs8(&der).ok_or_else(|| "PKCS#8 with neither an EC (P-256, P-384), an Ed25519 nor an RSA key".into())
}

//----------- Writing --------------------------------------------------------

/// The times with the names that the files have for them.
fn times(timing: &Timing) -> impl Iterator<Item = (&'static str, String)> {
    let Timing { created, publish, activate, inactive, delete, sync_publish, sync_delete } = *timing;
    let named = [
        ("Created", created),
        ("Publish", publish),
        ("Activate", activate),
        ("Inactive", inactive),
        ("Delete", delete),
        ("SyncPublish", sync_publish),
        ("SyncDelete", sync_delete),
    ];
    named.into_iter().filter_map(|(name, moment)| Some((name, print_moment(moment?))))
}

/// The texts of a key's files: `.key` and `.private`.
pub fn print(key: &Key) -> (String, String) {
    let kind = if key.is_sep() { "key-signing" } else { "zone-signing" };
    let mut public = format!("; This is a {kind} key, keyid {}, for {}\n", key.tag, key.zone);
    let mut private =
        format!("Private-key-format: v1.3\nAlgorithm: {} ({})\n", key.algorithm.number(), key.algorithm.name());
    let mut field = |name: &str, octets: &[u8]| _ = writeln!(private, "{name}: {}", STANDARD.encode(octets));
    match &key.private {
        Private::Ec { scalar, .. } => field("PrivateKey", scalar),
        Private::Ed25519(seed) => field("PrivateKey", seed),
        Private::Rsa(numbers) => numbers.iter().zip(RSA_FIELDS).for_each(|(number, name)| field(name, number)),
    }
    for (name, moment) in times(&key.timing) {
        _ = writeln!(public, "; {name}: {moment}");
        _ = writeln!(private, "{name}: {moment}");
    }
    _ = writeln!(
        public,
        "{} IN DNSKEY {} 3 {} {}",
        key.zone,
        key.flags,
        key.algorithm.number(),
        STANDARD.encode(&key.public)
    );
    (public, private)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: &str = "; This is a key-signing key, keyid 55648, for example.net.\n\
        example.net. 3600 IN DNSKEY 257 3 13 (\n  GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edb\n  \
        krSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA== )\n";
    const PRIVATE: &str = "Private-key-format: v1.2\nAlgorithm: 13 (ECDSAP256SHA256)\n\
        PrivateKey: GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=\n";

    /// RFC 6605 section 6.1 has a key in this form.
    #[test]
    fn a_published_key_is_read() {
        let key = read(PUBLIC, PRIVATE).unwrap();
        assert_eq!((key.tag, key.flags, key.timing), (55648, 257, Timing::default()));
        assert_eq!(stem(&key.zone, key.algorithm, key.tag), "Kexample.net.+013+55648");
    }

    /// What is written is what is read, with all times, for every kind of key that is made.
    #[test]
    fn files_round_trip() {
        let timing = Timing {
            created: Some(1_700_000_000),
            publish: Some(1_700_000_001),
            activate: Some(1_700_000_002),
            inactive: Some(1_800_000_000),
            delete: Some(1_900_000_000),
            sync_publish: Some(1_700_000_003),
            sync_delete: Some(1_800_000_001),
        };
        for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519] {
            let key = Key::generate("a.example".parse().unwrap(), 256, algorithm, timing).unwrap();
            let (public, private) = print(&key);
            let again = read(&public, &private).unwrap();
            assert_eq!((again.dnskey(), again.timing), (key.dnskey(), timing));
            assert_eq!(print(&again), (public, private));
        }
    }

    /// PKCS#8 stands in for the private half.
    #[test]
    fn pem_is_read() {
        let key = read(PUBLIC, PRIVATE).unwrap();
        let Private::Ec { scalar, .. } = &key.private else { panic!() };
        let pem = STANDARD.encode(der::ec_pkcs8(256, scalar, &key.public));
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        assert_eq!(read(PUBLIC, &pem).unwrap().tag, 55648);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let check = |public: &str, private: &str, says: &str| {
            let e = read(public, private).unwrap_err();
            assert!(e.contains(says), "{e}");
        };
        check("", PRIVATE, "no DNSKEY record");
        check(&PUBLIC.replace("257", "1"), PRIVATE, "not a zone's key");
        check(&PUBLIC.replace(" 13 ", " 5 "), PRIVATE, "no algorithm \"5\"");
        check(&PUBLIC.replace("GojI", "HojI"), PRIVATE, "private key");
        check(PUBLIC, "", "no `Private-key-format`");
        check(PUBLIC, &PRIVATE.replace("v1.2", "v2.0"), "v1.2 and v1.3");
        check(PUBLIC, &PRIVATE.replace("PrivateKey", "Privat"), "no `PrivateKey`");
        check(PUBLIC, &PRIVATE.replace("13 (", "15 ("), "ED25519");
        check(PUBLIC, &format!("{PRIVATE}Publish: soon\n"), "\"soon\" is no time");
        check(PUBLIC, &format!("{PRIVATE}Revoke: 20260101000000\n"), "revoked keys");
        check(PUBLIC, "-----BEGIN RSA PRIVATE KEY-----", "no PKCS#8 in PEM");
    }
}
