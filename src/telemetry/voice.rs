//! For which POPs a peer may speak.
//!
//! Whoever writes telemetry steers traffic. Outside loopback a peer shows a certificate, and speaks for
//! the POPs that the certificate names: every dNSName of its subject alternative name, or, where it has
//! none, the common name of its subject. Wildcards count for nothing. TLS has verified the chain before
//! anything here looks at it.

use crate::wire::Name;
use webpki::EndEntityCert;

//----------- Voice ----------------------------------------------------------

/// For whom a peer speaks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Voice {
    /// For everyone: a plain connection, which is let in from loopback only.
    Anyone,
    /// For these POPs.
    Pops(Vec<Name>),
}

impl Voice {
    /// The voice of a verified certificate in DER; of nobody if it cannot be read.
    pub fn of_certificate(der: &[u8]) -> Voice {
        let der = der.into();
        let Ok(cert) = EndEntityCert::try_from(&der) else { return Voice::Pops(Vec::new()) };
        let mut names: Vec<Name> = cert.valid_dns_names().filter_map(|n| n.parse().ok()).collect();
        if names.is_empty() {
            names.extend(common_name(cert.subject()).and_then(|n| n.parse().ok()));
        }
        names.sort();
        Voice::Pops(names)
    }

    /// Whether it speaks for `pop`.
    pub fn speaks_for(&self, pop: &Name) -> bool {
        match self {
            Voice::Anyone => true,
            Voice::Pops(pops) => pops.contains(pop),
        }
    }
}

//----------- Subject --------------------------------------------------------

/// OID 2.5.4.3, commonName (RFC 4519 section 2.3), as a whole DER element.
const OID_COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// The last common name in the contents of a DER `Name` (RFC 5280 section 4.1.2.4):
/// `RDNSequence ::= SEQUENCE OF SET OF SEQUENCE { OID, value }`.
fn common_name(subject: &[u8]) -> Option<&str> {
    let mut found = None;
    let mut rdns = subject;
    while let Some((0x31, mut set, rest)) = element(rdns) {
        rdns = rest;
        while let Some((0x30, attribute, rest)) = element(set) {
            set = rest;
            if let Some(value) = attribute.strip_prefix(&OID_COMMON_NAME)
                // UTF8String, PrintableString, IA5String
                && let Some((0x0c | 0x13 | 0x16, text, _)) = element(value)
            {
                found = std::str::from_utf8(text).ok();
            }
        }
    }
    found
}

/// Splits off one DER element: tag, contents, what follows. `None` at the end or if it is cut short.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&len, rest) = rest.split_first()?;
    let (len, rest) = match len {
        0..=0x7f => (usize::from(len), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes([*rest.first()?, *rest.get(1)?])), &rest[2..]),
        _ => return None,
    };
    let (contents, rest) = rest.split_at_checked(len)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair};

    fn check(sans: &[&str], common_name: Option<&str>, pops: &[&str]) {
        let mut params = CertificateParams::new(sans.iter().map(|s| s.to_string()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Floodway");
        if let Some(name) = common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let names = pops.iter().map(|n| n.parse().unwrap()).collect();
        assert_eq!(Voice::of_certificate(cert.der()), Voice::Pops(names), "{sans:?} {common_name:?}");
    }

    #[test]
    fn certificates_speak_for_the_names_in_them() {
        check(&["ams.pop.example.com"], None, &["ams.pop.example.com."]);
        check(&["AMS.pop.example.com", "dub.pop.example.com"], None, &["ams.pop.example.com.", "dub.pop.example.com."]);
        check(&[], Some("ams.pop.example.com"), &["ams.pop.example.com."]);
        // A common name beside alternative names says nothing (RFC 9525 section 6.3 forbids it altogether).
        check(&["ams.pop.example.com"], Some("fra.pop.example.com"), &["ams.pop.example.com."]);
        check(&[], None, &[]);
        check(&["192.0.2.1"], None, &[]);
    }

    #[test]
    fn wildcards_and_broken_bytes_speak_for_nobody() {
        let mut params = CertificateParams::new(vec!["*.pop.example.com".to_string()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let cert = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let voice = Voice::of_certificate(cert.der());
        assert!(!voice.speaks_for(&"ams.pop.example.com.".parse().unwrap()));
        for cut in 0..cert.der().len() {
            assert_eq!(Voice::of_certificate(&cert.der()[..cut]), Voice::Pops(Vec::new()));
        }
        for cut in 0..64 {
            common_name(&cert.der()[cut..]);
        }
    }
}
