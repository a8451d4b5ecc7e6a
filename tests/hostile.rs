//! A million mutated packets: no panic, and whatever comes back is a well-formed reply.
//!
//! The seed is fixed, so a failure repeats; `FLOODWAY_HOSTILE=n` changes the number of packets.

mod fixture;

use fixture::{Steered, full_house, print, query, steered};
use floodway::answer::{Client, Rcode, Scratch, Transport, answer};
use hickory_proto::op::Message;
use std::sync::Arc;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Packets to start from: every kind of answer, with and without EDNS, subnets, signatures and junk.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for question in [
        "www.example.com. A",
        "api.example.com. AAAA",
        "x.y.any.example.com. A",
        "alias.example.com. TXT",
        "loop1.example.com. A",
        "x.dn.example.com. A",
        "x.dnself.example.com. A",
        "pppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp.long.example.com. A",
        "deep.sub.example.com. A",
        "sub.example.com. DS",
        "tosub.example.com. A",
        "big.example.com. TXT",
        "tobig.example.com. TXT",
        "nothing.example.com. A",
        "a.b.c.wild.example.com. ANY",
        "y.example.org. A",
        ". NS",
        "example.com. SOA",
    ] {
        let q = query(question);
        seeds.push(q.wire());
        seeds.push(q.clone().edns(1232).wire());
        seeds.push(q.clone().edns(65535).ecs("203.0.113.0/24").wire());
        seeds.push(q.clone().ecs("2001:db8:1234::/48").wire());
        let mut signed = q.wire();
        signed[11] = 1;
        signed.extend(b"\x03key\x00\x00\xfa\x00\xff\x00\x00\x00\x00\x00\x1d\x0bhmac-sha256\x00");
        signed.extend([0, 0, 0x65, 0, 0, 1, 1, 0x2c, 0, 0, 0x12, 0x34, 0, 0, 0, 0]);
        seeds.push(signed);
        seeds
            .push(q.option(3, &[]).option(10, &[7; 24]).option(11, &[]).option(12, &[0; 9]).ecs("192.0.2.0/24").wire());
    }
    seeds
}

fn mutate(packet: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    // Half of the packets lose one octet's meaning at most, so that they get past the first checks.
    let gentle = random.below(2) == 0;
    for _ in 0..if gentle { 1 } else { 1 + random.below(4) } {
        let n = packet.len().max(1);
        let at = random.below(n).min(packet.len());
        match random.below(if gentle { 3 } else { 8 }) {
            0 | 1 if at < packet.len() => packet[at] = random.next() as u8,
            2 if at < packet.len() => packet[at] ^= 1 << random.below(8),
            3 => packet.truncate(at),
            4 => packet.insert(at, random.next() as u8),
            5 if at < packet.len() => {
                packet.remove(at);
            }
            6 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len());
                let to = from + random.below(other.len() - from + 1);
                packet.splice(at..at, other[from..to].iter().copied());
            }
            // Counts and lengths are where parsers trip.
            _ if at < packet.len() => packet[at] = [0, 1, 2, 63, 64, 0xc0, 0xff, 41][random.below(8)],
            _ => {}
        }
    }
}

#[test]
fn mutated_packets_get_well_formed_replies() {
    let n_packets: u32 = std::env::var("FLOODWAY_HOSTILE").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let worlds = [
        Steered { shares: [0.3, 0.3, 0.2, 0.1, 0.1], answers: 2, ..Steered::default() },
        Steered { shares: [0.0; 5], all_down: floodway::policy::AllDown::ServFail, ..Steered::default() },
    ];
    let [plain, strict] = worlds.map(steered);
    let mut house = full_house();
    house.cookies.as_mut().unwrap().required = true;
    let snapshots = [plain, strict.with_house(Arc::new(house))];
    let seeds = seeds();
    let (mut random, mut scratch) = (Random(0x00f1_00d3), Scratch::new(0, 1));
    let mut out = vec![0; 65_535];
    let mut by_rcode = [0u32; Rcode::ALL.len()];
    for i in 0..n_packets {
        let mut packet = seeds[random.below(seeds.len())].clone();
        mutate(&mut packet, &seeds, &mut random);
        let transport = if i % 16 < 2 { Transport::Tls } else { Transport::Udp };
        let client =
            Client { addr: std::net::Ipv4Addr::from(random.next() as u32).into(), transport, link: Default::default() };
        let snapshot = &snapshots[usize::from(i % 8 == 1)];
        let outcome = answer(&packet, client, snapshot, 0, &mut scratch, &mut out);
        let reply = &out[..outcome.len];
        if outcome.silence.is_some() {
            assert!(reply.is_empty() && (packet.len() < 12 || packet[2] & 0x80 != 0), "{packet:02x?}");
            continue;
        }
        by_rcode[outcome.rcode.idx()] += 1;
        let limit = if transport == Transport::Udp { 1232 } else { 65_535 };
        assert!(reply.len() >= 12 && reply.len() <= limit, "{packet:02x?}");
        assert_eq!(reply[..2], packet[..2], "id of {packet:02x?}");
        assert_eq!(reply[2] & 0xf9, 0x80 | packet[2] & 0x79, "QR, opcode and RD of {packet:02x?}");
        assert_eq!(reply[2] & 2 != 0, outcome.truncated, "{packet:02x?}");
        let message = Message::from_vec(reply).unwrap_or_else(|e| panic!("{e}: {packet:02x?} gave {reply:02x?}"));
        assert_eq!(u16::from(message.metadata.response_code), outcome.rcode.number(), "{packet:02x?}");
        if i % 1000 == 0 {
            print(reply);
        }
    }
    println!("{:?}", Rcode::ALL.map(|r| (r.name(), by_rcode[r.idx()])));
    assert!(by_rcode[Rcode::NoError.idx()] > n_packets / 10, "enough of them are still understood");
    // What only the prerequisites and the sections of an update can bring about (RFC 2136 section 2.2), which no packet is taken
    // for here: updates are answered on connections.
    let of_updates = [Rcode::YxRrset, Rcode::NxRrset, Rcode::NotZone];
    let mut others = Rcode::ALL.iter().filter(|r| !of_updates.contains(r));
    assert!(others.all(|r| by_rcode[r.idx()] > 0), "every kind of reply is among them");
}
