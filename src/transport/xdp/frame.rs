//! Frames in and out: the DNS query in an Ethernet frame, and the frame that carries its reply.
//!
//! Between [`crate::transport::xdp::program`], which picks frames by their headers, and the handler, which sees the
//! datagram alone. What the kernel would have checked before a socket saw the datagram is checked here: lengths,
//! checksums, sources that nobody can have. Nothing is allocated; the reply's payload is composed in its place.
//!
//! ```text
//!   Ethernet 14                IPv4 20                      IPv6 40                      UDP 8
//!   0  destination             14 version, header length    14 version, class, flow      +0 source port
//!   6  source                  16 total length              18 payload length            +2 destination port
//!   12 type                    20 flags, fragment           20 next header               +4 length
//!                              22 hops left, protocol       21 hops left                 +6 checksum
//!                              24 checksum                  22 source                    +8 payload
//!                              26 source, 30 destination    38 destination
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of an Ethernet header without a tag.
const ETHERNET: usize = 14;
/// Octets of a UDP header (RFC 768).
const UDP: usize = 8;
/// UDP among the protocols of IP (IANA).
const PROTOCOL_UDP: u8 = 17;
/// Routers that a reply may pass: what RFC 1340 recommends and IANA keeps; also the hop limit of IPv6 (RFC 8200 section 3).
const HOPS: u8 = 64;

/// Longest reply over IPv4, whatever the interface takes: RFC 9715 section 3.1, R3, since nobody tells of smaller links.
const LONGEST_V4: usize = 1400;
/// Longest reply over IPv6: what every link takes (1,280 octets, RFC 8200 section 5), likewise.
const LONGEST_V6: usize = 1232;

//----------- Family ---------------------------------------------------------

/// Which IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 without options.
    V4,
    /// IPv6 without extension headers.
    V6,
}

impl Family {
    /// Where the UDP header starts.
    pub const fn udp_at(self) -> usize {
        match self {
            Family::V4 => ETHERNET + 20,
            Family::V6 => ETHERNET + 40,
        }
    }

    /// Where the payload starts, in queries and replies alike.
    pub const fn payload_at(self) -> usize {
        self.udp_at() + UDP
    }

    /// Longest payload of a reply that an interface of this MTU (octets behind the Ethernet header) is given.
    pub fn longest_reply(self, mtu: usize) -> usize {
        let fits = mtu.saturating_sub(self.payload_at() - ETHERNET);
        fits.min(if self == Family::V4 { LONGEST_V4 } else { LONGEST_V6 })
    }

    /// Source and destination address, one behind the other.
    fn addresses(self) -> std::ops::Range<usize> {
        match self {
            Family::V4 => 26..34,
            Family::V6 => 22..54,
        }
    }
}

//----------- Flaw -----------------------------------------------------------

/// Why a frame is dropped. The kernel drops the same, and as silently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The program does not let such a frame through: no IP, options, extension headers, a fragment, not UDP.
    Foreign,
    /// A header or a length field says more than there is.
    Length,
    /// Of the IPv4 header or of UDP; with IPv6 also a missing one (RFC 8200 section 8.1).
    Checksum,
    /// A source that no host may use (RFC 1122 section 3.2.1.3, RFC 4291 section 2.5), or our own address.
    Source,
}

impl Flaw {
    /// All, in the order of their counters.
    pub const ALL: [Flaw; 4] = [Flaw::Foreign, Flaw::Length, Flaw::Checksum, Flaw::Source];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Flaw::Foreign => "foreign",
            Flaw::Length => "length",
            Flaw::Checksum => "checksum",
            Flaw::Source => "source",
        }
    }
}

//----------- Packet ---------------------------------------------------------

/// A datagram in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// IPv4 or IPv6.
    pub family: Family,
    /// Who sent it.
    pub addr: IpAddr,
    /// The sender's port, perhaps 0.
    pub port: u16,
    /// What UDP carries.
    pub payload: &'a [u8],
    /// All headers.
    head: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a frame; octets behind the datagram are padding.
    ///
    /// # Errors
    /// The first [`Flaw`].
    pub fn read(frame: &'a [u8]) -> Result<Packet<'a>, Flaw> {
        let (family, ip_end) = match frame {
            [_, _, _, _, _, _, _, _, _, _, _, _, 0x08, 0x00, ip @ ..] => (Family::V4, ETHERNET + ipv4(ip)?),
            [_, _, _, _, _, _, _, _, _, _, _, _, 0x86, 0xdd, ip @ ..] => (Family::V6, ETHERNET + ipv6(ip)?),
            _ => return Err(Flaw::Foreign),
        };
        let udp = frame.get(family.udp_at()..ip_end).ok_or(Flaw::Length)?;
        let &[s0, s1, _, _, l0, l1, c0, c1, ..] = udp else { return Err(Flaw::Length) };
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let udp = udp.get(..len).filter(|_| len >= UDP).ok_or(Flaw::Length)?;
        let addresses = &frame[family.addresses()];
        if !is_intact(family, addresses, udp, u16::from_be_bytes([c0, c1])) {
            return Err(Flaw::Checksum);
        }
        let addr = source(addresses).ok_or(Flaw::Source)?;
        if (frame[0] | frame[6]) & 1 != 0 {
            return Err(Flaw::Source); // a group of stations: neither may a reply go there nor come from there
        }
        let head = &frame[..family.payload_at()];
        Ok(Packet { family, addr, port: u16::from_be_bytes([s0, s1]), payload: &udp[UDP..], head })
    }

    /// Writes the headers before a reply of `len` octets, which stands in `out` from [`Family::payload_at`] on; returns
    /// the length of the frame.
    ///
    /// The way back is the way the query came: stations, addresses and ports change sides.
    ///
    /// # Panics
    /// If `out` is shorter than headers and reply, or `len` more than an IPv4 packet can hold.
    pub fn answer(&self, len: usize, out: &mut [u8]) -> usize {
        let (family, head) = (self.family, self.head);
        let (udp_at, end) = (family.udp_at(), family.payload_at() + len);
        let udp_len = u16::try_from(UDP + len).expect("a reply is no longer than its room");
        let out = &mut out[..end];
        out[..6].copy_from_slice(&head[6..12]);
        out[6..12].copy_from_slice(&head[..6]);
        out[12..14].copy_from_slice(&head[12..14]);
        match family {
            Family::V4 => {
                let total = udp_len + 20;
                // Never to be fragmented (RFC 9715, R2), so that no identification is needed (RFC 6864 section 4.1).
                out[14..26].copy_from_slice(&[0x45, 0, 0, 0, 0, 0, 0x40, 0, HOPS, PROTOCOL_UDP, 0, 0]);
                out[16..18].copy_from_slice(&total.to_be_bytes());
                out[26..30].copy_from_slice(&head[30..34]);
                out[30..34].copy_from_slice(&head[26..30]);
                let checksum = !fold(sum(&out[14..34]));
                out[24..26].copy_from_slice(&checksum.to_be_bytes());
            }
            Family::V6 => {
                out[14..22].copy_from_slice(&[0x60, 0, 0, 0, 0, 0, PROTOCOL_UDP, HOPS]);
                out[18..20].copy_from_slice(&udp_len.to_be_bytes());
                out[22..38].copy_from_slice(&head[38..54]);
                out[38..54].copy_from_slice(&head[22..38]);
            }
        }
        out[udp_at..udp_at + 2].copy_from_slice(&head[udp_at + 2..udp_at + 4]);
        out[udp_at + 2..udp_at + 4].copy_from_slice(&head[udp_at..udp_at + 2]);
        out[udp_at + 4..udp_at + 6].copy_from_slice(&udp_len.to_be_bytes());
        out[udp_at + 6..udp_at + 8].fill(0);
        let (heads, udp) = out.split_at(udp_at);
        let checksum = match !fold(pseudo(&heads[family.addresses()], udp_len) + sum(udp)) {
            0 => 0xffff, // 0 says that there is none (RFC 768)
            checksum => checksum,
        };
        out[udp_at + 6..udp_at + 8].copy_from_slice(&checksum.to_be_bytes());
        end
    }
}

/// Where an IPv4 packet ends that holds a whole datagram and nothing else (RFC 791).
fn ipv4(ip: &[u8]) -> Result<usize, Flaw> {
    let head = ip.get(..20).ok_or(Flaw::Length)?;
    let fragment = u16::from_be_bytes([head[6], head[7]]) & 0x3fff; // more to come, or not the first
    if head[0] != 0x45 || fragment != 0 || head[9] != PROTOCOL_UDP {
        return Err(Flaw::Foreign);
    }
    if fold(sum(head)) != 0xffff {
        return Err(Flaw::Checksum);
    }
    Ok(usize::from(u16::from_be_bytes([head[2], head[3]])))
}

/// Likewise for IPv6 (RFC 8200).
fn ipv6(ip: &[u8]) -> Result<usize, Flaw> {
    let head = ip.get(..40).ok_or(Flaw::Length)?;
    if head[0] >> 4 != 6 || head[6] != PROTOCOL_UDP {
        return Err(Flaw::Foreign);
    }
    Ok(40 + usize::from(u16::from_be_bytes([head[4], head[5]])))
}

/// The source, if a host can have it. Reads source and destination.
fn source(addresses: &[u8]) -> Option<IpAddr> {
    let (source, destination) = addresses.split_at(addresses.len() / 2);
    if source == destination {
        return None;
    }
    if let Ok(octets) = <[u8; 4]>::try_from(source) {
        let can_be = !matches!(octets[0], 0 | 127 | 224..);
        return can_be.then_some(Ipv4Addr::from(octets).into());
    }
    let addr = Ipv6Addr::from(<[u8; 16]>::try_from(source).ok()?);
    // IPv4-mapped ones would pass for clients of IPv4, and are of no use on a wire (RFC 4291 section 2.5.5.2).
    let can_be = !(addr.is_unspecified() || addr.is_loopback() || addr.is_multicast());
    (can_be && addr.to_ipv4_mapped().is_none()).then_some(addr.into())
}

//----------- Checksums ------------------------------------------------------

/// Whether a datagram arrived as it was sent.
///
/// Besides a checksum that is right, and none at all where IPv4 allows that, one that is only begun will do: it holds the
/// sum over the pseudo header alone. Linux leaves the rest to the network card, and between two ends of a virtual cable
/// nobody does it.
fn is_intact(family: Family, addresses: &[u8], udp: &[u8], checksum: u16) -> bool {
    if checksum == 0 {
        return family == Family::V4;
    }
    let pseudo = pseudo(addresses, udp.len() as u16);
    fold(pseudo + sum(udp)) == 0xffff || fold(pseudo) == checksum
}

/// The sum over what UDP's checksum covers besides the datagram: addresses, protocol, length (RFC 768, RFC 8200 section 8.1).
fn pseudo(addresses: &[u8], udp_len: u16) -> u64 {
    sum(addresses) + u64::from(PROTOCOL_UDP) + u64::from(udp_len)
}

/// The sum of big-endian words, an odd octet at the end being the high one of a word. Words of 32 bits fold to the same as
/// those of 16 (RFC 1071 section 2), and a frame's worth of them cannot overflow.
#[inline]
fn sum(octets: &[u8]) -> u64 {
    let (words, rest) = octets.as_chunks::<4>();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    let whole: u64 = words.iter().map(|word| u64::from(u32::from_be_bytes(*word))).sum();
    whole + u64::from(u32::from_be_bytes(last))
}

/// Folds a sum to the one's complement sum of 16 bits.
#[inline]
fn fold(mut sum: u64) -> u16 {
    sum = (sum & 0xffff_ffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    ((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
#[path = "frame_tests.rs"]
pub(super) mod tests;
