//! The short way for plain queries and the long way for all say the same: reply, outcome and counts.

use crate::fixture::{Query, STEERED, Steered, example, full_house, query, signed, steered};
use floodway::answer::{Client, Scratch, Transport, answer, answer_at_length};
use floodway::dnssec::sign::Denial;
use floodway::exchange::Snapshot;
use floodway::policy::{AllDown, Pick};
use proptest::prelude::*;

/// Names of the tests' zones: of every kind, some of them not there, some not ours.
const NAMES: [&str; 30] = [
    "www",
    "WwW",
    "",
    "alias",
    "ns1",
    "a.b.ent",
    "b.ent",
    "any.wild",
    "there.wild",
    "deep.there.wild",
    "x.wc",
    "sub",
    "www.sub",
    "ns.sib",
    "dn",
    "x.dn",
    "big",
    "nothing",
    "deep.er.nothing",
    "api",
    "x.any",
    "out",
    "chain",
    "over",
    "gone",
    "loop1",
    "tosub",
    "towild",
    "tobig",
    "y",
];
/// A cookie of the full house for [`PROVEN`], made at [`MADE`] (RFC 9018 appendix A.1).
const COOKIE: &[u8; 24] = b"\x24\x64\xc4\xab\xcf\x10\xc9\x57\x01\0\0\0\x5c\xf7\x9f\x11\x1f\x81\x30\xc3\xee\xe2\x94\x80";
const PROVEN: [u8; 4] = [198, 51, 100, 100];
const MADE: u32 = 1_559_731_985;

const TYPES: [u16; 20] = [1, 28, 1, 28, 2, 5, 6, 15, 16, 33, 39, 41, 43, 46, 65, 99, 128, 252, 255, 0];

fn question() -> impl Strategy<Value = Query> {
    let subnet = prop_oneof!["192\\.0\\.[0-9]\\.0/24", Just("2001:db8:1::/56".into()), Just("0.0.0.0/0".into())];
    (
        prop::sample::select(&NAMES[..]),
        prop::sample::select(&["example.com.", "example.org.", "elsewhere.test."][..]),
        prop::sample::select(&TYPES[..]),
        prop::option::of((prop::sample::select(&[0u16, 511, 512, 540, 600, 1232, 4096][..]), any::<bool>())),
        prop::option::of(subnet),
        // None yet, ours, another's, and of no length that there is; before the client subnet and after it.
        prop::option::of((prop::sample::select(&[8, 24, 16, 9][..]), any::<bool>())),
    )
        .prop_map(|(name, apex, qtype, opt, subnet, cookie)| {
            let dot = if name.is_empty() { "" } else { "." };
            let mut q = query(&format!("{name}{dot}{apex} {qtype}"));
            q.flags = 0x0110;
            q.opt = opt.map(|(size, dnssec_ok)| (size, u32::from(dnssec_ok) << 15 | 0x2000));
            let (Some(_), cookie) = (opt, cookie.map(|(len, is_first)| (&COOKIE[..len], is_first))) else { return q };
            if let Some((cookie, true)) = cookie {
                q = q.option(10, cookie);
            }
            if let Some(subnet) = subnet {
                q = q.ecs(&subnet);
            }
            if let Some((cookie, false)) = cookie {
                q = q.option(10, cookie);
            }
            q
        })
}

/// Puts the same queries to both ways of two snapshots that are alike, `age` seconds after the cookie was made.
fn check(both: [Snapshot; 2], queries: &[Vec<u8>], addr: [u8; 4], age: u32) {
    let mut scratches = [Scratch::new(0, 7), Scratch::new(0, 7)];
    for wire in queries {
        let client = Client { addr: addr.into(), transport: Transport::Udp, link: Default::default() };
        let [mut short, mut long] = [[0xee; 4096]; 2];
        let [a, b] = &mut scratches;
        let got = answer(wire, client, &both[0], MADE + age, a, &mut short);
        let want = answer_at_length(wire, client, &both[1], MADE + age, b, &mut long);
        assert_eq!(got, want, "{wire:02x?}");
        assert_eq!(short[..got.len], long[..want.len], "{wire:02x?}");
    }
    assert_eq!(both[0].tally.sum(), both[1].tally.sum());
    both.iter().for_each(|snapshot| snapshot.tally.turn());
    let carried = both.each_ref().map(|snapshot| snapshot.tally.carried());
    assert_eq!(carried[0], carried[1]);
}

/// Whose rules hold.
#[derive(Clone, Copy, Debug)]
enum House {
    Empty,
    Full,
    /// All client subnets count.
    Open,
    /// The same, and a cookie has to be brought.
    Strict,
}

/// Worlds with members of every kind, and with none but such as have addresses of both families.
fn worlds() -> impl Strategy<Value = (Pick, AllDown, [f32; 5], u8, bool)> {
    let all_down =
        prop::sample::select(&[AllDown::All, AllDown::Static, AllDown::ServFail, AllDown::NoData, AllDown::Last][..]);
    let shares = prop::sample::select(&[[1.0, 0.0, 0.0, 0.0, 0.0], [0.3, 0.7, 0.0, 0.0, 0.0], [0.2; 5], [0.0; 5]][..]);
    (prop::sample::select(&[Pick::Sticky, Pick::Spread][..]), all_down, shares, 1u8..4, any::<bool>())
}

proptest! {
    // Each case makes four worlds.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn both_ways_say_the_same(
        queries in prop::collection::vec(question(), 1..40),
        (pick, all_down, shares, answers, plain) in worlds(),
        house in prop::sample::select(&[House::Empty, House::Full, House::Open, House::Strict][..]),
        addr in prop::sample::select(&[PROVEN, [192, 0, 2, 200]][..]),
        age in prop::sample::select(&[0, 1801, 3601][..]),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
    ) {
        let world = || {
            let mut snapshot = steered(Steered { shares, all_down, pick, answers, ..Steered::default() });
            if plain {
                // The first two members have addresses alone.
                snapshot.always_addresses = [true].into();
                let answers = (*snapshot.answers).clone().into_iter();
                snapshot.answers = std::sync::Arc::new(answers.map(|mut of| {
                    for i in 2..5 {
                        of[i] = of[1].clone();
                    }
                    of
                }).collect());
            }
            let open = || floodway::exchange::House { ecs: None, ..full_house() };
            let required = |cookies| floodway::exchange::house::Cookies { required: true, ..cookies };
            match house {
                House::Empty => snapshot,
                House::Full => snapshot.with_house(full_house().into()),
                House::Open => snapshot.with_house(open().into()),
                House::Strict => {
                    let open = open();
                    let cookies = open.cookies.clone().map(required);
                    snapshot.with_house(floodway::exchange::House { cookies, ..open }.into())
                }
            }
        };
        let mut wires: Vec<Vec<u8>> = queries.iter().map(Query::wire).collect();
        // Steered names over and over, so that pairs meet.
        wires.extend(STEERED.iter().flat_map(|n| [1, 28, 28, 1].map(|t| query(&format!("{n} {t}")).edns(1232).wire())));
        if let Some((at, octet)) = cut {
            // Hostile: one octet changed, and the message cut there.
            let mut wire = wires[0].clone();
            let at = at.index(wire.len());
            wire[at] ^= octet;
            wires.push(wire.clone());
            wire.truncate(at);
            wires.push(wire);
        }
        check([world(), world()], &wires, addr, age);
        check([example(), example()], &wires, addr, age);
        let denial = if age == 0 { Denial::Nsec } else { Denial::Nsec3 { opt_out: age == 1801 } };
        check([world(), world()].map(|world| signed(world, denial)), &wires, addr, age);
    }
}
