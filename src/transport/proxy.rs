//! The PROXY protocol, version 2 (HAProxy's `proxy-protocol.txt`, sections 2.2 to 2.2.7): who the client is, said by a
//! proxy such as dnsdist in front of what the client sent.
//!
//! Believed from the proxies that are configured, and demanded from them: a client's address decides answers and
//! limits, so that nobody else may choose one, and a proxy that forgets to tell it would be taken for all of its
//! clients. The `ppp` crate reads the header where it lies, without a copy; its TLVs are skipped, and so is what it
//! says about the transport (dnsdist says "stream" on a datagram for a client that came over TCP).

use ipnet::IpNet;
use ppp::v2::{Addresses, Command, Header, PROTOCOL_PREFIX};
use std::io;
use std::net::{IpAddr, SocketAddr};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The header without addresses: signature, version and command, family and protocol, length.
const FIXED: usize = 16;

/// Version 2, command LOCAL.
const VERSION_2_LOCAL: u8 = 0x20;

/// Most octets of addresses and TLVs on a stream. Our choice: addresses take 36 at most (216 for a Unix socket), and
/// a header shall fit the first segment (section 2.2, which names 536 octets), some TLVs of dnsdist included.
const MAX_REST: usize = 2048;

//----------- Proxies --------------------------------------------------------

/// Who may speak for others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    nets: Box<[IpNet]>,
}

/// Why something is not taken for a client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl Proxies {
    /// Those with an address in one of `nets`.
    pub fn new(nets: &[IpNet]) -> Proxies {
        Proxies { nets: nets.into() }
    }

    /// Whether there are none: nothing need be looked at then.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty()
    }

    /// Whether `peer` must tell whom it speaks for.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.nets.iter().any(|net| net.contains(&peer))
    }

    /// The client and the message in a datagram from `peer`.
    ///
    /// # Errors
    /// [`Refused`] if a proxy's datagram has no whole header, or a datagram of somebody else has one.
    #[inline]
    pub fn open<'a>(&self, peer: SocketAddr, datagram: &'a [u8]) -> Result<(SocketAddr, &'a [u8]), Refused> {
        if !self.contains(peer.ip()) {
            return if datagram.starts_with(PROTOCOL_PREFIX) { Err(Refused) } else { Ok((peer, datagram)) };
        }
        if let Some((fixed, rest)) = datagram.split_first_chunk()
            && is_local(fixed)
        {
            return Ok((peer, rest.get(rest_len(fixed)..).ok_or(Refused)?));
        }
        let header = Header::try_from(datagram).map_err(|_| Refused)?;
        Ok((client(&header, peer), &datagram[header.len()..]))
    }
}

/// Reads the header at the head of a stream from a proxy, and not an octet more. Returns the client.
///
/// # Errors
/// What the stream says; [`io::ErrorKind::InvalidData`] for what is no header.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, peer: SocketAddr) -> io::Result<SocketAddr> {
    let mut fixed = [0; FIXED];
    stream.read_exact(&mut fixed).await?;
    let rest = rest_len(&fixed);
    if fixed[..12] != *PROTOCOL_PREFIX || rest > MAX_REST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut whole = vec![0; FIXED + rest];
    whole[..FIXED].copy_from_slice(&fixed);
    stream.read_exact(&mut whole[FIXED..]).await?;
    if is_local(&fixed) {
        return Ok(peer);
    }
    let header = Header::try_from(&whole[..]).map_err(|_| io::ErrorKind::InvalidData)?;
    Ok(client(&header, peer))
}

/// Section 2.2: LOCAL is the proxy itself, a health check for one, and whatever family and addresses it has are to be
/// skipped, not read.
fn is_local(fixed: &[u8; FIXED]) -> bool {
    fixed.starts_with(PROTOCOL_PREFIX) && fixed[12] == VERSION_2_LOCAL
}

/// Octets of addresses and TLVs.
fn rest_len(fixed: &[u8; FIXED]) -> usize {
    usize::from(u16::from_be_bytes([fixed[14], fixed[15]]))
}

/// Section 2.2: where no address of the Internet was told, it is the proxy itself.
fn client(header: &Header<'_>, peer: SocketAddr) -> SocketAddr {
    match (header.command, header.addresses) {
        (Command::Proxy, Addresses::IPv4(of)) => (of.source_address, of.source_port).into(),
        (Command::Proxy, Addresses::IPv6(of)) => {
            SocketAddr::new(IpAddr::from(of.source_address).to_canonical(), of.source_port)
        }
        _ => peer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A header by hand, as section 2.2 draws it.
    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = (rest.len() as u16).to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &len, rest].concat()
    }

    const PROXY: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9)), 7);
    const V4: &[u8] = &[203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x34, 0, 53];

    fn proxies() -> Proxies {
        Proxies::new(&["192.0.2.0/24".parse().unwrap(), "2001:db8::/64".parse().unwrap()])
    }

    fn check(peer: &str, datagram: &[u8], expected: Option<(&str, &[u8])>) {
        let found = proxies().open(SocketAddr::new(peer.parse().unwrap(), 7), datagram).ok();
        assert_eq!(
            found.map(|(addr, rest)| (addr.ip().to_string(), rest)),
            expected.map(|(ip, rest)| (ip.to_owned(), rest))
        );
    }

    #[test]
    fn only_proxies_speak_for_others() {
        let with = |head: &[u8]| [head, b"query"].concat();
        let v6 = [&[0x20, 1, 0xd, 0xb8, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9][..], &[0; 16], &[0, 1, 0, 53]].concat();
        let tlv = [V4, &[1, 0, 3, b'd', b'o', b't'][..]].concat();
        check("192.0.2.9", &with(&header(0x21, 0x12, V4)), Some(("203.0.113.7", b"query")));
        check("192.0.2.9", &with(&header(0x21, 0x11, V4)), Some(("203.0.113.7", b"query")));
        check("::ffff:192.0.2.9", &with(&header(0x21, 0x12, &tlv)), Some(("203.0.113.7", b"query")));
        check("2001:db8::1", &with(&header(0x21, 0x22, &v6)), Some(("2001:db8:ff00::9", b"query")));
        check("192.0.2.9", &with(&header(0x20, 0x00, &[])), Some(("192.0.2.9", b"query")));
        check("192.0.2.9", &with(&header(0x20, 0x12, V4)), Some(("192.0.2.9", b"query")));
        // Section 2.2: LOCAL with whatever family, its block skipped.
        for family in [0x11, 0x21, 0x31, 0x13, 0x40, 0xff] {
            check("192.0.2.9", &with(&header(0x20, family, &[7; 3])), Some(("192.0.2.9", b"query")));
        }
        check("192.0.2.9", &header(0x20, 0xff, &[7; 3])[..18], None);
        check("192.0.2.9", &with(&header(0x30, 0x00, &[])), None);
        check("192.0.2.9", &with(&header(0x21, 0x00, &[1, 2])), Some(("192.0.2.9", b"query")));
        check("192.0.2.9", &with(&header(0x21, 0x31, &[7; 216])), Some(("192.0.2.9", b"query")));
        check("192.0.2.9", b"query", None);
        check("192.0.2.9", &header(0x21, 0x12, V4)[..20], None);
        check("192.0.2.9", &with(&header(0x21, 0x12, &V4[..8])), None);
        check("192.0.2.9", &with(&header(0x11, 0x12, V4)), None);
        check("192.0.2.9", &with(&header(0x22, 0x12, V4)), None);
        check("198.51.100.1", b"query", Some(("198.51.100.1", b"query")));
        check("198.51.100.1", &with(&header(0x21, 0x12, V4)), None);
    }

    #[test]
    fn streams_are_read_to_the_end_of_the_header() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let check = |octets: &[u8], expected: Result<(&str, &str), io::ErrorKind>| {
            let mut octets = octets;
            let found = runtime.block_on(read(&mut octets, PROXY)).map_err(|e| e.kind());
            let rest = std::str::from_utf8(octets).unwrap_or("");
            assert_eq!(
                found.map(|addr| (addr.ip().to_string(), rest)),
                expected.map(|(ip, rest)| (ip.to_owned(), rest))
            );
        };
        check(&[&header(0x21, 0x11, V4)[..], b"query"].concat(), Ok(("203.0.113.7", "query")));
        check(&[&header(0x20, 0x00, &[])[..], b"query"].concat(), Ok(("192.0.2.9", "query")));
        check(&[&header(0x20, 0xff, &[7; 3])[..], b"query"].concat(), Ok(("192.0.2.9", "query")));
        check(&header(0x21, 0x11, V4)[..27], Err(io::ErrorKind::UnexpectedEof));
        check(b"a query of another kind", Err(io::ErrorKind::InvalidData));
        check(&header(0x21, 0x11, &[0; MAX_REST + 1]), Err(io::ErrorKind::InvalidData));
    }

    proptest! {
        /// No octets do harm, with and without a sound beginning.
        #[test]
        fn any_octets_are_borne(command: u8, family: u8, rest: Vec<u8>, cut in 0..64_usize) {
            let datagram = header(command, family, &rest);
            let _ = proxies().open(PROXY, &datagram[..datagram.len().min(cut)]);
            let _ = proxies().open(PROXY, &datagram);
            let _ = proxies().open(PROXY, &rest);
        }
    }
}
