//! EDNS (RFC 6891) and client subnet (RFC 7871): the OPT record of a query.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Option code of the name server identifier (RFC 5001 section 2.3).
pub const OPTION_NSID: u16 = 3;
/// Option code of client subnet (RFC 7871 section 6).
pub const OPTION_ECS: u16 = 8;
/// Option code of cookies (RFC 7873 section 4).
pub const OPTION_COOKIE: u16 = 10;
/// Option code of the idle timeout of connections (RFC 7828 section 3.1).
pub const OPTION_KEEPALIVE: u16 = 11;
/// Option code of padding (RFC 7830 section 3).
pub const OPTION_PADDING: u16 = 12;

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
    /// Compact Answers OK: NXDOMAIN is wanted where a compact proof says that a name is not there (RFC 9824 section 5.1).
    pub compact_ok: bool,
    /// Client subnet, if given.
    pub ecs: Option<Ecs>,
    /// Which other options there are.
    pub asks: Asks,
    /// The cookie, if `asks` has one.
    pub cookie: Cookie,
}

impl Edns {
    /// Reads an OPT record from its CLASS, TTL and RDATA fields. The second value is false if the options do not fill the
    /// RDATA, which makes the query a FORMERR; options of another version are not looked at, since their meaning is
    /// unknown. What is wrong inside of an option is noted in [`Edns::asks`]: that is a fault only to those who know
    /// the option (RFC 6891 section 6.1.2).
    #[inline]
    pub fn parse(class: u16, ttl: u32, options: &[u8]) -> (Edns, bool) {
        let version = (ttl >> 16) as u8;
        let mut edns = Edns {
            udp_size: class.max(512),
            version,
            dnssec_ok: ttl & 0x8000 != 0,
            compact_ok: ttl & 0x4000 != 0,
            ecs: None,
            asks: Asks::default(),
            cookie: Cookie::default(),
        };
        if version != 0 {
            return (edns, true);
        }
        let mut rest = options;
        while !rest.is_empty() {
            let [c0, c1, l0, l1, tail @ ..] = rest else { return (edns, false) };
            let (code, len) = (u16::from_be_bytes([*c0, *c1]), usize::from(u16::from_be_bytes([*l0, *l1])));
            let Some((data, next)) = tail.split_at_checked(len) else { return (edns, false) };
            match code {
                OPTION_ECS => {
                    // Twice is not well-formed: there would be two clients to decide for. Our choice.
                    match Ecs::parse(data).filter(|_| edns.ecs.is_none()) {
                        Some(ecs) => edns.ecs = Some(ecs),
                        None => edns.asks.add(Asks::BAD_ECS),
                    }
                }
                // The one closest to the header counts (RFC 7873 section 5.2).
                OPTION_COOKIE if !edns.asks.has(Asks::ANY_COOKIE) => match Cookie::parse(data) {
                    Some(cookie) => {
                        edns.asks.add(Asks::COOKIE);
                        edns.cookie = cookie;
                    }
                    None => edns.asks.add(Asks::BAD_COOKIE),
                },
                // Data of the client is of no account (RFC 5001 section 2.1).
                OPTION_NSID => edns.asks.add(Asks::NSID),
                OPTION_KEEPALIVE if data.is_empty() => edns.asks.add(Asks::KEEPALIVE),
                OPTION_KEEPALIVE => edns.asks.add(Asks::BAD_KEEPALIVE),
                OPTION_PADDING => edns.asks.add(Asks::PADDING),
                // What is not known is passed over (RFC 6891 section 6.1.2).
                _ => {}
            }
            rest = next;
        }
        (edns, true)
    }
}

//----------- Asks -----------------------------------------------------------

/// The options of a query that most queries do not have, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks(u8);

impl Asks {
    /// To know which server answers (RFC 5001).
    pub const NSID: Asks = Asks(1);
    /// For a server cookie (RFC 7873).
    pub const COOKIE: Asks = Asks(2);
    /// To know how long the connection may be idle (RFC 7828).
    pub const KEEPALIVE: Asks = Asks(4);
    /// The same with a timeout, which is the server's to give (RFC 7828 section 3.2.1).
    pub const BAD_KEEPALIVE: Asks = Asks(8);
    /// For a reply of a length that does not tell what is in it (RFC 7830).
    pub const PADDING: Asks = Asks(16);
    /// A client subnet that is malformed or there twice (RFC 7871 section 7.2.1: FORMERR).
    pub const BAD_ECS: Asks = Asks(32);
    /// A cookie of a length that none has (RFC 7873 section 5.2.2: FORMERR).
    pub const BAD_COOKIE: Asks = Asks(64);
    /// A cookie, good or bad.
    const ANY_COOKIE: Asks = Asks(Asks::COOKIE.0 | Asks::BAD_COOKIE.0);

    /// Whether there is none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether there is this one, or one of these.
    #[inline]
    pub fn has(self, one: Asks) -> bool {
        self.0 & one.0 != 0
    }

    fn add(&mut self, one: Asks) {
        self.0 |= one.0;
    }
}

//----------- Cookie ---------------------------------------------------------

/// Octets of a client cookie (RFC 7873 section 4.1).
const CLIENT_COOKIE: usize = 8;

/// A cookie option as it came in.
///
/// ```text
///   client cookie, 8 octets | server cookie, none or 8 to 32 octets (RFC 7873 section 4)
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cookie {
    /// What the client knows us by.
    pub client: [u8; CLIENT_COOKIE],
    /// What the client says we know it by.
    pub server: ServerCookie,
}

/// The server's part of a query's cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerCookie {
    /// The client has none yet.
    #[default]
    None,
    /// As long as ours are (RFC 9018 section 4).
    Ours([u8; 16]),
    /// Of another length: not ours.
    Foreign,
}

impl Cookie {
    /// Reads the option's data. `None` if the length is none that a cookie can have (RFC 7873 section 5.2.2).
    pub fn parse(data: &[u8]) -> Option<Cookie> {
        let (client, server) = data.split_first_chunk()?;
        let server = match server.len() {
            0 => ServerCookie::None,
            16 => ServerCookie::Ours(server.try_into().expect("sixteen octets")),
            8..=32 => ServerCookie::Foreign,
            _ => return None,
        };
        Some(Cookie { client: *client, server })
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
    /// How many of those bits are taken note of.
    pub used: u8,
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
        Some(Ecs { family, source, used: source, address })
    }

    /// The client's prefix, as far as it is taken note of, as an address with zeros after it; `None` if the client
    /// asked not to be told apart (RFC 7871 section 7.1.2).
    #[inline]
    pub fn client(&self) -> Option<IpAddr> {
        let [a, b, c, d, ..] = self.address;
        let addr = match (self.used, self.family) {
            (0, _) => return None,
            (_, 1) => IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
            _ => IpAddr::V6(Ipv6Addr::from(self.address)),
        };
        if self.used == self.source { Some(addr) } else { Some(cut(addr, self.used)) }
    }

    /// Takes note of no more than `most` bits.
    pub fn limit(&mut self, most: u8) {
        self.used = self.used.min(most);
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

/// The address with zeros after the first `bits`, of which there are at least one and fewer than the family has.
#[cold]
fn cut(addr: IpAddr, bits: u8) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() & u32::MAX << (32 - bits)).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & u128::MAX << (128 - bits)).into()),
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
        assert!(ok(&[0, 100, 0, 2, 1, 2]));
        assert!(!ok(&[0, 100, 0, 2, 1]));
        assert!(!ok(&[0, 100, 0]));
        assert!(ok(&[0, 8, 0, 4, 0, 1, 0, 0]));
        let asks = |options: &[u8]| Edns::parse(1232, 0, options).0.asks;
        assert!(asks(&[0, 8, 0, 4, 0, 1, 0, 0, 0, 8, 0, 4, 0, 1, 0, 0]).has(Asks::BAD_ECS), "twice");
        assert!(asks(&[0, 8, 0, 4, 0, 9, 0, 0]).has(Asks::BAD_ECS));
        assert!(asks(&[0, 10, 0, 1, 0]).has(Asks::BAD_COOKIE));
        let plain = |udp_size, version, dnssec_ok| Edns {
            udp_size,
            version,
            dnssec_ok,
            compact_ok: false,
            ecs: None,
            asks: Asks::default(),
            cookie: Cookie::default(),
        };
        assert_eq!(Edns::parse(100, 0x8000, &[]).0, plain(512, 0, true));
        assert_eq!(Edns::parse(512, 0x4000, &[]).0, Edns { compact_ok: true, ..plain(512, 0, false) });
        assert_eq!(Edns::parse(1232, 0x0001_0000, &[0xff]), (plain(1232, 1, false), true));
    }

    /// RFC 7873 sections 4 and 5.2.2: which lengths a cookie may have; section 5.2: the first one counts.
    #[test]
    fn cookies_are_read_strictly() {
        for len in 0..=45 {
            let expected = match len {
                8 => Some(ServerCookie::None),
                24 => Some(ServerCookie::Ours([7; 16])),
                16..=40 => Some(ServerCookie::Foreign),
                _ => None,
            };
            assert_eq!(Cookie::parse(&vec![7; len]).map(|c| c.server), expected, "{len} octets");
        }
        let first_then = [[0, 10, 0, 8, 1, 1, 1, 1, 1, 1, 1, 1], [0, 10, 0, 8, 2, 2, 2, 2, 2, 2, 2, 2]].concat();
        let (edns, well_formed) = Edns::parse(1232, 0, &first_then);
        assert_eq!((edns.cookie.client, well_formed), ([1; 8], true));
    }

    /// RFC 7871 section 7.1.3: of a prefix that is longer than it may be, the first bits count; all of it is echoed.
    #[test]
    fn long_prefixes_are_cut() {
        let mut ecs = Ecs::parse(&[0, 1, 32, 0, 192, 0, 2, 255]).unwrap();
        ecs.limit(28);
        assert_eq!(ecs.client(), Some([192, 0, 2, 240].into()));
        let mut out = [0; 12];
        ecs.compose(28, &mut out);
        assert_eq!(out, [0, 8, 0, 8, 0, 1, 32, 28, 192, 0, 2, 255]);
        ecs.limit(0);
        assert_eq!(ecs.client(), None);
        let mut ecs = Ecs::parse(&[0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0xff, 0xff, 0xff]).unwrap();
        ecs.limit(33);
        assert_eq!(ecs.client(), Some("2001:db8:8000::".parse().unwrap()));
    }
}
