//! The short way for plain queries and the long way for all say the same: reply, outcome and counts.

use crate::fixture::{Query, STEERED, Steered, example, full_house, query, steered};
use floodway::answer::{Client, Scratch, Transport, answer, answer_at_length};
use floodway::exchange::Snapshot;
use floodway::policy::{AllDown, Pick};
use proptest::prelude::*;

/// Names of the tests' zones: of every kind, some of them not there, some not ours.
const NAMES: [&str; 22] = [
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
];
const TYPES: [u16; 20] = [1, 28, 1, 28, 2, 5, 6, 15, 16, 33, 39, 41, 43, 46, 65, 99, 128, 252, 255, 0];

fn question() -> impl Strategy<Value = Query> {
    let subnet = prop_oneof!["192\\.0\\.[0-9]\\.0/24", Just("2001:db8:1::/56".into()), Just("0.0.0.0/0".into())];
    (
        prop::sample::select(&NAMES[..]),
        prop::sample::select(&["example.com.", "example.org.", "elsewhere.test."][..]),
        prop::sample::select(&TYPES[..]),
        prop::option::of((prop::sample::select(&[0u16, 511, 512, 540, 600, 1232, 4096][..]), any::<bool>())),
        prop::option::of(subnet),
    )
        .prop_map(|(name, apex, qtype, opt, subnet)| {
            let dot = if name.is_empty() { "" } else { "." };
            let mut q = query(&format!("{name}{dot}{apex} {qtype}"));
            q.flags = 0x0110;
            q.opt = opt.map(|(size, dnssec_ok)| (size, u32::from(dnssec_ok) << 15 | 0x4000));
            if let (Some(_), Some(subnet)) = (opt, subnet) {
                q = q.ecs(&subnet);
            }
            q
        })
}

/// Puts the same queries to both ways of two snapshots that are alike.
fn check(both: [Snapshot; 2], queries: &[Vec<u8>]) {
    let mut scratches = [Scratch::new(0, 7), Scratch::new(0, 7)];
    for wire in queries {
        let client = Client { addr: [192, 0, 2, 200].into(), transport: Transport::Udp };
        let [mut short, mut long] = [[0xee; 4096]; 2];
        let [a, b] = &mut scratches;
        let got = answer(wire, client, &both[0], 0, a, &mut short);
        let want = answer_at_length(wire, client, &both[1], 0, b, &mut long);
        assert_eq!(got, want, "{wire:02x?}");
        assert_eq!(short[..got.len], long[..want.len], "{wire:02x?}");
    }
    assert_eq!(both[0].tally.sum(), both[1].tally.sum());
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
        is_full_house in any::<bool>(),
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
            if is_full_house { snapshot.with_house(full_house().into()) } else { snapshot }
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
        check([world(), world()], &wires);
        check([example(), example()], &wires);
    }
}
