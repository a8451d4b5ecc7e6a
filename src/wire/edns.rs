//! EDNS (RFC 6891) and client subnet (RFC 7871): the OPT record of a query.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Option code of client subnet (RFC 7871 section 6).
pub const OPTION_ECS: u16 = 8;

//----------- Edns -----------------------------------------------------------

/// What a query's OPT record said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edns {
    /// Largest reply that the sender takes over UDP, at least 512 (RFC 6891 section 6.2.3).
    pub udp_size: u16,
    /// EDNS version.
    pub version: u8,
    /// DNSSEC OK, copied to the reply (RFC 3225 section 3).
    pub dnssec_ok: bool,
    /// Client subnet, if given.
    pub ecs: Option<Ecs>,
}

impl Edns {
    /// Reads an OPT record from its CLASS, TTL and RDATA fields. The second value is false if the options are
    /// malformed, which makes the query a FORMERR; options of another version are not looked at, since their
    /// meaning is unknown.
    pub fn parse(class: u16, ttl: u32, options: &[u8]) -> (Edns, bool) {
        let version = (ttl >> 16) as u8;
        let mut edns = Edns { udp_size: class.max(512), version, dnssec_ok: ttl & 0x8000 != 0, ecs: None };
        if version != 0 {
            return (edns, true);
        }
        let mut rest = options;
        while !rest.is_empty() {
            let [c0, c1, l0, l1, tail @ ..] = rest else { return (edns, false) };
            let (code, len) = (u16::from_be_bytes([*c0, *c1]), usize::from(u16::from_be_bytes([*l0, *l1])));
            let Some((data, next)) = tail.split_at_checked(len) else { return (edns, false) };
            if code == OPTION_ECS {
                // Twice is no well-formed query: there would be two clients to decide for. Our choice.
                let Some(ecs) = Ecs::parse(data).filter(|_| edns.ecs.is_none()) else { return (edns, false) };
                edns.ecs = Some(ecs);
            }
            rest = next;
        }
        (edns, true)
    }
}

//----------- Ecs ------------------------------------------------------------

/// A client subnet option as it came in.
///
/// ```text
///   family u16 | source prefix length u8 | scope prefix length u8 | address, as many octets as the source needs
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecs {
    /// 1 for IPv4, 2 for IPv6; 0 only with source prefix length 0.
    pub family: u16,
    /// Source prefix length: how many bits of the address were sent. 0: the client asks not to be told apart.
    pub source: u8,
    address: [u8; 16],
}

impl Ecs {
    /// Reads the option's data. `None` if malformed: an unknown family, a prefix longer than the family's
    /// addresses, a scope other than 0, an address that is not exactly as long as the prefix needs, or bits set
    /// beyond the prefix (RFC 7871 sections 6 and 7.1.2; 7.2.1 asks for FORMERR).
    pub fn parse(data: &[u8]) -> Option<Ecs> {
        let [f0, f1, source, scope, octets @ ..] = data else { return None };
        let (family, source) = (u16::from_be_bytes([*f0, *f1]), *source);
        let longest = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return None,
        };
        if source > longest || *scope != 0 || octets.len() != usize::from(source).div_ceil(8) {
            return None;
        }
        let mut address = [0; 16];
        address[..octets.len()].copy_from_slice(octets);
        if let Some(last) = octets.last()
            && source % 8 != 0
            && last << (source % 8) != 0
        {
            return None;
        }
        Some(Ecs { family, source, address })
    }

    /// The client's prefix as an address with zeros after the prefix; `None` if the client asked not to be told
    /// apart (RFC 7871 section 7.1.2).
    #[inline]
    pub fn client(&self) -> Option<IpAddr> {
        match (self.source, self.family) {
            (0, _) => None,
            (_, 1) => {
                Some(IpAddr::V4(Ipv4Addr::new(self.address[0], self.address[1], self.address[2], self.address[3])))
            }
            _ => Some(IpAddr::V6(Ipv6Addr::from(self.address))),
        }
    }

    /// Octets of address that the source prefix needs.
    #[inline]
    fn n_octets(&self) -> usize {
        usize::from(self.source).div_ceil(8)
    }

    /// Length of the option in a reply, code and length included.
    #[inline]
    pub fn option_len(&self) -> usize {
        8 + self.n_octets()
    }

    /// Writes the option for a reply into the head of `out`, with `scope` filled in: family, source and
    /// address as they came (RFC 7871 section 7.2.1). `out` must have [`Ecs::option_len`] octets.
    #[inline]
    pub fn compose(&self, scope: u8, out: &mut [u8]) {
        let n = self.n_octets();
        out[0..2].copy_from_slice(&OPTION_ECS.to_be_bytes());
        out[2..4].copy_from_slice(&(4 + n as u16).to_be_bytes());
        out[4..6].copy_from_slice(&self.family.to_be_bytes());
        out[6] = self.source;
        out[7] = scope;
        out[8..8 + n].copy_from_slice(&self.address[..n]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(data: &[u8], expected: Option<&str>) {
        let text = Ecs::parse(data).map(|e| match e.client() {
            Some(ip) => format!("{ip}/{}", e.source),
            None => format!("family {} /0", e.family),
        });
        assert_eq!(text.as_deref(), expected, "{data:?}");
    }

    /// RFC 7871 sections 6 and 7.1.2: what is a well-formed option of a query.
    #[test]
    fn ecs_is_read_strictly() {
        check(&[0, 1, 24, 0, 192, 0, 2], Some("192.0.2.0/24"));
        check(&[0, 1, 32, 0, 192, 0, 2, 1], Some("192.0.2.1/32"));
        check(&[0, 1, 20, 0, 192, 0, 0x20], Some("192.0.32.0/20"));
        check(&[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 1], Some("2001:db8:0:100::/56"));
        check(&[0, 1, 0, 0], Some("family 1 /0"));
        check(&[0, 2, 0, 0], Some("family 2 /0"));
        check(&[0, 0, 0, 0], Some("family 0 /0"));
        check(&[], None);
        check(&[0, 1, 24], None);
        check(&[0, 1, 24, 0, 192, 0], None);
        check(&[0, 1, 24, 0, 192, 0, 2, 0], None);
        check(&[0, 1, 24, 24, 192, 0, 2], None);
        check(&[0, 1, 33, 0, 192, 0, 2, 1, 0], None);
        check(&[0, 1, 20, 0, 192, 0, 0x28], None);
        check(&[0, 2, 129, 0], None);
        check(&[0, 3, 0, 0], None);
        check(&[0, 0, 8, 0, 1], None);
    }

    #[test]
    fn compose_echoes_with_scope() {
        let ecs = Ecs::parse(&[0, 1, 20, 0, 192, 0, 0x20]).unwrap();
        let mut out = [0xff; 11];
        assert_eq!(ecs.option_len(), 11);
        ecs.compose(16, &mut out);
        assert_eq!(out, [0, 8, 0, 7, 0, 1, 20, 16, 192, 0, 0x20]);
    }

    /// RFC 6891 section 6.1.2: options fill the RDATA exactly.
    #[test]
    fn options_are_read_strictly() {
        let ok = |options: &[u8]| Edns::parse(1232, 0, options).1;
        assert!(ok(&[]));
        assert!(ok(&[0, 10, 0, 2, 1, 2]));
        assert!(!ok(&[0, 10, 0, 2, 1]));
        assert!(!ok(&[0, 10, 0]));
        assert!(ok(&[0, 8, 0, 4, 0, 1, 0, 0]));
        assert!(!ok(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0]), "twice");
        assert_eq!(Edns::parse(100, 0x8000, &[]).0, Edns { udp_size: 512, version: 0, dnssec_ok: true, ecs: None });
        assert_eq!(
            Edns::parse(1232, 0x0001_0000, &[0xff]),
            (Edns { udp_size: 1232, version: 1, dnssec_ok: false, ecs: None }, true)
        );
    }
}
