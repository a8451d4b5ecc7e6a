//! Tests of frames: each rule by a case, checksums and replies against slow obvious versions.

use super::*;
use proptest::prelude::*;

/// RFC 1071 as it is written: 16 bits at a time, carry by carry.
fn slow_checksum(octets: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in octets.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        if sum > 0xffff {
            sum = sum - 0x1_0000 + 1;
        }
    }
    !(sum as u16)
}

/// The checksum of a datagram with its field taken for zero.
fn slow_udp(addresses: &[u8], udp: &[u8]) -> u16 {
    let mut all = addresses.to_vec();
    all.extend([0, PROTOCOL_UDP]);
    all.extend((udp.len() as u16).to_be_bytes());
    all.extend(&udp[..6]);
    all.extend([0, 0]);
    all.extend(&udp[8..]);
    match slow_checksum(&all) {
        0 => 0xffff,
        sum => sum,
    }
}

/// A whole frame with a datagram from port 4000 to port 53.
pub(in super::super) fn frame(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let udp_len = payload.len() as u16 + 8;
    let family = match (source, destination) {
        (IpAddr::V4(s), IpAddr::V4(d)) => {
            f.extend([8, 0, 0x45, 3]);
            f.extend((udp_len + 20).to_be_bytes());
            f.extend([0x12, 0x34, 0x40, 0, 57, 17, 0, 0]);
            f.extend(s.octets().iter().chain(&d.octets()));
            let sum = slow_checksum(&f[14..34]);
            f[24..26].copy_from_slice(&sum.to_be_bytes());
            Family::V4
        }
        (IpAddr::V6(s), IpAddr::V6(d)) => {
            f.extend([0x86, 0xdd, 0x6a, 0xbc, 0xde, 0xf1]);
            f.extend(udp_len.to_be_bytes());
            f.extend([17, 57]);
            f.extend(s.octets().iter().chain(&d.octets()));
            Family::V6
        }
        _ => panic!("one family"),
    };
    f.extend([0x0f, 0xa0, 0, 53]);
    f.extend(udp_len.to_be_bytes());
    f.extend([0, 0]);
    f.extend(payload);
    seal(&mut f, family);
    f
}

fn seal(f: &mut [u8], family: Family) {
    let at = family.udp_at();
    let sum = slow_udp(&f[family.addresses()], &f[at..]);
    f[at + 6..at + 8].copy_from_slice(&sum.to_be_bytes());
}

fn both() -> [Vec<u8>; 2] {
    let of = |source: &str, destination: &str| frame(source.parse().unwrap(), destination.parse().unwrap(), b"query");
    [of("192.0.2.9", "192.0.2.1"), of("2001:db8::9", "2001:db8::1")]
}

/// What becomes of both frames when something is done to them.
fn check(change: impl Fn(&mut Vec<u8>), expected: Result<&[u8], Flaw>) {
    for mut f in both() {
        change(&mut f);
        assert_eq!(Packet::read(&f).map(|p| p.payload), expected, "{f:02x?}");
    }
}

/// The same for one of them, 0 for IPv4.
fn check_one(which: usize, change: impl Fn(&mut Vec<u8>), expected: Result<&[u8], Flaw>) {
    let mut f = both()[which].clone();
    change(&mut f);
    assert_eq!(Packet::read(&f).map(|p| p.payload), expected, "{f:02x?}");
}

#[test]
fn whole_datagrams_are_read() {
    check(|_| {}, Ok(b"query"));
    check(|f| f.extend([0xee; 20]), Ok(b"query")); // padding of short frames
    let [v4, v6] = both();
    for (f, addr) in [(v4, "192.0.2.9"), (v6, "2001:db8::9")] {
        let packet = Packet::read(&f).unwrap();
        assert_eq!((packet.addr, packet.port), (addr.parse().unwrap(), 4000));
    }
}

#[test]
fn lengths_must_fit() {
    check(|f| f.truncate(f.len() - 1), Err(Flaw::Length));
    check(|f| f.truncate(30), Err(Flaw::Length));
    check(|f| f.truncate(12), Err(Flaw::Foreign));
    for (which, at) in [(0, 38), (1, 58)] {
        check_one(which, |f| f[at + 1] = 7, Err(Flaw::Length)); // less than its own header
        check_one(which, |f| f[at + 1] += 1, Err(Flaw::Length));
        // Less than IP carries: the rest is nobody's.
        let shorter = |f: &mut Vec<u8>| {
            f[at + 1] -= 1;
            let len = f.len() - 1;
            seal(&mut f[..len], if which == 0 { Family::V4 } else { Family::V6 });
        };
        check_one(which, shorter, Ok(b"quer"));
    }
}

#[test]
fn foreign_packets_are_told_apart() {
    check(|f| f[12] = 0x81, Err(Flaw::Foreign)); // a tag, or anything
    check_one(0, |f| f[14] = 0x46, Err(Flaw::Foreign));
    check_one(0, |f| f[20] = 0x20, Err(Flaw::Foreign)); // more fragments
    check_one(0, |f| f[21] = 1, Err(Flaw::Foreign)); // not the first
    check_one(0, |f| f[23] = 6, Err(Flaw::Foreign));
    check_one(1, |f| f[14] = 0x50, Err(Flaw::Foreign));
    check_one(1, |f| f[20] = 44, Err(Flaw::Foreign)); // a fragment header
}

#[test]
fn checksums_must_be_right() {
    check(|f| *f.last_mut().unwrap() ^= 1, Err(Flaw::Checksum));
    check_one(0, |f| f[24] ^= 1, Err(Flaw::Checksum));
    check_one(0, |f| f[40..42].fill(0), Ok(b"query")); // none, RFC 768
    check_one(1, |f| f[60..62].fill(0), Err(Flaw::Checksum)); // RFC 8200 section 8.1
    // Only begun: the rest was left to a network card that is none.
    for (which, family) in [(0, Family::V4), (1, Family::V6)] {
        let at = family.udp_at() + 6;
        let begin = |f: &mut Vec<u8>| {
            let sum = fold(pseudo(&f[family.addresses()], 13));
            f[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        };
        check_one(which, begin, Ok(b"query"));
    }
}

#[test]
fn sources_must_be_hosts() {
    let check = |source: &str, destination: &str, expected: bool| {
        let f = frame(source.parse().unwrap(), destination.parse().unwrap(), b"q");
        assert_eq!(Packet::read(&f).map(|_| ()), if expected { Ok(()) } else { Err(Flaw::Source) }, "{source}");
    };
    for source in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "255.255.255.255", "192.0.2.1"] {
        check(source, "192.0.2.1", false);
    }
    for source in ["::", "::1", "ff02::1", "::ffff:192.0.2.9", "2001:db8::1"] {
        check(source, "2001:db8::1", false);
    }
    check("223.255.255.255", "192.0.2.1", true);
    check("fe80::1", "2001:db8::1", true);
    super::tests::check(|f| f[6] |= 1, Err(Flaw::Source)); // a group of stations sends nothing
    super::tests::check(|f| f[0] |= 1, Err(Flaw::Source));
}

#[test]
fn room_is_what_the_link_takes() {
    assert_eq!(Family::V4.longest_reply(576), 548);
    assert_eq!(Family::V4.longest_reply(1280), 1252);
    assert_eq!(Family::V4.longest_reply(1500), 1400); // RFC 9715
    assert_eq!(Family::V6.longest_reply(1280), 1232);
    assert_eq!(Family::V6.longest_reply(9000), 1232); // RFC 8200 section 5
    assert_eq!((Family::V4.longest_reply(0), Family::V6.longest_reply(47)), (0, 0));
}

proptest! {
    #[test]
    fn sums_are_those_of_rfc_1071(octets in proptest::collection::vec(any::<u8>(), 0..100), fill in prop_oneof![Just(None), Just(Some(0xff))]) {
        let octets = fill.map_or(octets.clone(), |fill| vec![fill; octets.len()]);
        prop_assert_eq!(!fold(sum(&octets)), slow_checksum(&octets));
    }

    /// A reply read at the other end: sides changed, checksums right, nothing of the query left.
    #[test]
    fn replies_go_back_where_queries_came_from(
        is_v4: bool, a: u128, b: u128, ports: (u16, u16), reply in proptest::collection::vec(any::<u8>(), 1..1400),
    ) {
        let (source, destination): (IpAddr, IpAddr) = match is_v4 {
            true => (Ipv4Addr::from(0x0a00_0000 | a as u32 >> 8).into(), Ipv4Addr::from(0xc000_0000 | b as u32 >> 8).into()),
            false => (Ipv6Addr::from(a >> 8 | 0x2 << 124).into(), Ipv6Addr::from(b >> 8 | 0x3 << 124).into()),
        };
        let mut query = frame(source, destination, b"query");
        let packet = Packet::read(&query).unwrap();
        let at = packet.family.udp_at();
        let family = packet.family;
        query[at..at + 2].copy_from_slice(&ports.0.to_be_bytes());
        query[at + 2..at + 4].copy_from_slice(&ports.1.to_be_bytes());
        seal(&mut query, family);
        let packet = Packet::read(&query).unwrap();
        let mut out = vec![0xaa; 2048];
        let start = packet.family.payload_at();
        out[start..start + reply.len()].copy_from_slice(&reply);
        let len = packet.answer(reply.len(), &mut out);
        prop_assert!(out[len..].iter().all(|o| *o == 0xaa));
        let out = &out[..len];
        prop_assert_eq!((&out[..6], &out[6..12]), (&query[6..12], &query[..6]));
        let back = Packet::read(out).unwrap();
        prop_assert_eq!((back.addr, back.port, back.payload), (destination, ports.1, &reply[..]));
        prop_assert_eq!(&out[at + 2..at + 4], &ports.0.to_be_bytes());
        let addresses = &out[family.addresses()];
        let (from, to) = addresses.split_at(addresses.len() / 2);
        let asked = &query[family.addresses()];
        prop_assert_eq!((to, from), asked.split_at(asked.len() / 2));
        prop_assert_eq!(slow_udp(addresses, &out[at..]), u16::from_be_bytes([out[at + 6], out[at + 7]]));
        match family {
            Family::V4 => {
                prop_assert_eq!(slow_checksum(&out[14..34]), 0);
                prop_assert_eq!(&out[18..24], &[0, 0, 0x40, 0, 64, 17]); // DF, 64 hops
                prop_assert_eq!(usize::from(u16::from_be_bytes([out[16], out[17]])), len - 14);
            }
            Family::V6 => {
                prop_assert_eq!(&out[14..18], &[0x60, 0, 0, 0]);
                prop_assert_eq!(&out[20..22], &[17, 64]);
                prop_assert_eq!(usize::from(u16::from_be_bytes([out[18], out[19]])), len - 54);
            }
        }
    }

    /// Whatever arrives, reading ends, and a changed octet of the datagram is noticed.
    #[test]
    fn nothing_read_is_made_up(mut octets in proptest::collection::vec(any::<u8>(), 0..120), which in 0..2usize, at in 0..66usize, bit in 0..8) {
        let _ = Packet::read(&octets);
        let f = &both()[which];
        let n = octets.len().min(20);
        octets.splice(..n, f[..n].iter().copied());
        let _ = Packet::read(&octets);
        let mut f = f.clone();
        let at = at % f.len();
        f[at] ^= 1u8 << bit;
        if let Ok(packet) = Packet::read(&f) {
            let family = packet.family;
            let harmless = at < 14 || family == Family::V6 && (14..18).contains(&at) || at == 21 && family == Family::V6;
            prop_assert!(harmless, "octet {} of {:?}", at, family);
        }
    }
}
