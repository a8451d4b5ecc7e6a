//! What the server says of itself, and whom it answers.
//!
//! Everything here comes from `floodway.toml`, is the same for all zones unless it says otherwise, and is
//! replaced with the snapshot on a reload, so that one query sees one state of it.

use crate::exchange::access::{Access, Prefixes};
use crate::exchange::rules::{Outbound, Rules};
use crate::wire::Name;
use crate::wire::tsig::Keys;
use std::fmt;
use std::net::IpAddr;

/// Longest name server identifier, in octets. Our choice: with it, and every other option at its longest, the least
/// reply (512 octets) has room for the longest question.
pub const MAX_NSID: usize = 128;

//----------- House ----------------------------------------------------------

/// The rules of the house.
#[derive(Clone, Debug, PartialEq)]
pub struct House {
    /// Longest reply over UDP, whatever the client offers, and the size that OPT tells: 512 to 4,096 octets.
    pub udp_size: u16,
    /// How long a TCP or TLS connection may be idle, in units of 100 ms, for those who ask (RFC 7828).
    pub idle_100ms: u16,
    /// What `version.bind` and `version.server` are answered with; empty: nothing.
    pub version: String,
    /// Which server this is (RFC 5001; `id.server`, RFC 4892; `hostname.bind`): at most [`MAX_NSID`] octets; empty:
    /// not told.
    pub nsid: Vec<u8>,
    /// Cookies (RFC 7873); `None`: the option is not known here.
    pub cookies: Option<Cookies>,
    /// Whose client subnets count, and how much of them; `None`: everybody's, all of it.
    pub ecs: Option<ClientSubnets>,
    /// Who may ask for what is in the zones.
    pub access: Access,
    /// The zone that tells of the server's state.
    pub debug: Option<DebugZone>,
    /// Keys that others share with this server.
    pub keys: Keys,
    /// Who may have or change whole zones.
    pub rules: Rules,
    /// How many transfers may be on their way out.
    pub outbound: Outbound,
}

impl Default for House {
    /// Answers everybody and tells nothing of itself. 1,232 octets over UDP: fits an IPv6 packet of 1,280, the least
    /// MTU, so that replies are not fragmented (RFC 9715 section 3.1).
    fn default() -> House {
        House {
            udp_size: 1232,
            idle_100ms: 100,
            version: String::new(),
            nsid: Vec::new(),
            cookies: None,
            ecs: None,
            access: Access::default(),
            debug: None,
            keys: Keys::default(),
            rules: Rules::default(),
            outbound: Outbound::default(),
        }
    }
}

//----------- Cookies --------------------------------------------------------

/// How server cookies are made and known again (RFC 9018).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookies {
    /// The first makes cookies, all know them again. Never empty.
    pub secrets: Vec<Secret>,
    /// Whether a client that knows cookies must bring one of ours before it is answered over UDP; else it hears
    /// BADCOOKIE, with one to bring.
    pub required: bool,
}

/// A server secret, which all servers of one address share (RFC 9018 section 5).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    /// Most secrets in a file: the one before, the present one, the next.
    pub const MOST: usize = 3;

    /// Reads the secrets of a file: 32 hex digits a line, the one that makes cookies first; `#` begins a comment.
    ///
    /// # Errors
    /// A text for people, which does not tell the secret.
    pub fn parse_all(text: &str) -> Result<Vec<Secret>, String> {
        let mut secrets = Vec::new();
        for (n, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or("").trim();
            if line.is_empty() {
                continue;
            }
            let octet = |i: usize| line.get(2 * i..2 * i + 2).and_then(|two| u8::from_str_radix(two, 16).ok());
            let octets: Option<Vec<u8>> = (0..16).map(octet).collect();
            match octets.and_then(|octets| octets.try_into().ok()).filter(|_| line.len() == 32 && !line.contains('+')) {
                Some(secret) => secrets.push(Secret(secret)),
                None => return Err(format!("line {}: a cookie secret is 32 hex digits (RFC 9018 section 4)", n + 1)),
            }
        }
        match secrets.len() {
            0 => Err("no cookie secret in it; `openssl rand -hex 16` makes one".into()),
            n if n > Secret::MOST => Err(format!("{n} cookie secrets; more than {} are of no use", Secret::MOST)),
            _ => Ok(secrets),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

//----------- ClientSubnets --------------------------------------------------

/// Whose client subnets count (RFC 7871 section 11.3 warns of trusting all), and how much of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSubnets {
    /// From whom; `None`: from everybody. The option of others is passed over as if it were not known.
    pub trusted: Option<Prefixes>,
    /// Most bits of an IPv4 prefix that are taken note of; no scope is longer.
    pub ipv4_bits: u8,
    /// The same for IPv6.
    pub ipv6_bits: u8,
}

impl ClientSubnets {
    /// Whether the option of this sender counts.
    pub fn trusts(&self, sender: IpAddr) -> bool {
        self.trusted.as_ref().is_none_or(|list| list.contains(sender))
    }

    /// Most bits that count of a prefix of this family (RFC 7871 section 6).
    pub fn most_bits(&self, family: u16) -> u8 {
        if family == 1 { self.ipv4_bits } else { self.ipv6_bits }
    }
}

//----------- DebugZone ------------------------------------------------------

/// The zone of class CH that explains answers and tells the state of the server.
#[derive(Clone, Debug, PartialEq)]
pub struct DebugZone {
    /// Its apex.
    pub apex: Name,
    /// Who may ask.
    pub access: Prefixes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_strictly() {
        let (a, b) = ("e5e973e5a6b2a43f48e7dc849e37bfcf", "445536BCD2513298075a5d379663c962");
        let all = Secret::parse_all(&format!("# rolled on Monday\n{a}\n\n  {b} # the one before\n")).unwrap();
        assert_eq!((all.len(), all[0].0[0], all[1].0[15]), (2, 0xe5, 0x62));
        assert_eq!(format!("{all:?}"), "[Secret(…), Secret(…)]", "no secret is printed");
        let check = |text: &str, expected: &str| {
            let said = Secret::parse_all(text).unwrap_err();
            assert!(said.starts_with(expected) && !said.contains("e5e9"), "{said}");
        };
        check("", "no cookie secret");
        check(&a[..31], "line 1: ");
        check(&format!("{a}\n{a}0"), "line 2: ");
        check(&a.replacen("e5", "+5", 1), "line 1: ");
        check(&a.replacen("e5", "é", 1), "line 1: ");
        check(&format!("{a}\n").repeat(4), "4 cookie secrets");
    }
}
