//! RFC 7871: whose place decides, and the scope that a reply may tell.

use crate::fixture::{Steered, options, print, query, send, steered};
use floodway::answer::{Client, Scratch, Transport, answer};
use floodway::exchange::Snapshot;
use floodway::geo::{CellMap, Databases, Match};
use floodway::policy::{AllDown, Pick};
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, OnceLock};

/// Rules that cut prefixes out of what the databases say.
fn map(databases: &Databases) -> CellMap {
    let nets = ["203.0.113.0/24", "198.51.100.128/25", "10.0.0.0/8", "10.1.2.3/32", "2001:db8:1::/48"];
    let rules = nets.map(|n| Match { nets: vec![n.parse().unwrap()], ..Match::default() });
    CellMap::compile(databases, &rules.each_ref(), &[])
}

/// Nobody may be given in the cell of 203.0.113.0/24; elsewhere it is `ams`.
fn world() -> Snapshot {
    let cells = map(&Databases::default());
    let empty = cells.locate([203, 0, 113, 1].into()).cell.idx();
    steered(Steered { cells, empty_cells: vec![empty], all_down: AllDown::Static, ..Steered::default() })
}

/// Reply as text, and the scope in its option.
fn ask(snapshot: &Snapshot, question: &str, subnet: &str) -> (String, u8) {
    let (_, reply) = send(snapshot, &query(question).ecs(subnet).wire());
    let told = options(&reply).unwrap().into_iter().find(|(code, _)| *code == 8).unwrap().1[3];
    (print(&reply), told)
}

#[test]
fn the_subnet_decides() {
    let world = world();
    let ask = |subnet| ask(&world, "api.example.com. A", subnet);
    let ams = "NOERROR aa | api~ 33 A 192.0.2.11".to_string();
    let nobody = "NOERROR aa |  | ~ 33 SOA ns1~ host~ 7 3600 600 86400 60".to_string();
    assert_eq!(ask("203.0.113.0/24"), (nobody, 0));
    assert_eq!(ask("10.1.2.0/24"), (ams.clone(), 31), "longer than the source: more bits would be of use");
    assert_eq!(ask("10.9.0.0/16").0, ams);
    assert!((8..16).contains(&ask("10.9.0.0/16").1));
}

/// Section 7.1.2: a client that asks not to be told apart is decided for by its resolver's place, and the reply says
/// that it holds for all. Without the option the resolver's place decides; a mapped address is its IPv4 address.
#[test]
fn without_a_subnet_the_source_decides() {
    let world = world();
    let nobody = "NOERROR aa | www~ 33 A 192.0.2.80, www~ 33 A 192.0.2.81";
    assert_eq!(ask(&world, "www.example.com. A", "0.0.0.0/0"), ("NOERROR aa | www~ 33 A 192.0.2.11".into(), 0));
    let from = |addr: &str, wire: Vec<u8>| {
        let client = Client { addr: addr.parse().unwrap(), transport: Transport::Udp, link: Default::default() };
        let mut out = vec![0; 4096];
        let n = answer(&wire, client, &world, 0, &mut Scratch::new(0, 0), &mut out).len;
        print(&out[..n])
    };
    assert_eq!(from("203.0.113.9", query("www.example.com. A").wire()), nobody);
    assert_eq!(from("::ffff:203.0.113.9", query("www.example.com. A").wire()), nobody);
    assert_eq!(from("203.0.113.9", query("www.example.com. A").ecs("0.0.0.0/0").wire()), nobody);
    assert_ne!(from("203.0.113.9", query("www.example.com. A").ecs("10.0.0.0/8").wire()), nobody);
}

/// Section 7.2.1: scope 0 for what is the same for all; the scope of the decision if an alias leads to one, and for
/// types that an external member might answer with its alias.
#[test]
fn scope_is_that_of_the_decision() {
    let mut world = world();
    for question in ["mail.example.com. A", "nothing.example.com. A", "www.example.com. ANY"] {
        assert_eq!(ask(&world, question, "203.0.113.0/24").1, 0, "{question}");
    }
    assert_eq!(ask(&world, "chain.example.com. A", "203.0.113.0/24").1, 24);
    assert_eq!(ask(&world, "www.example.com. TXT", "203.0.113.0/24").1, 24);
    world.answers = Arc::new(vec![world.answers[0][..3].to_vec()]);
    assert_eq!(ask(&world, "www.example.com. TXT", "203.0.113.0/24").1, 0, "no external member");
}

/// Section 7.4: a denial has scope 0, though it be one client's, for resolvers will take it as one for all; the aliases
/// that led there keep theirs.
#[test]
fn denials_are_told_to_all() {
    let check = |shares, all_down, question: &str, starts: &str, scope: u8| {
        let cells = map(&Databases::default());
        let world = steered(Steered { shares, all_down, cells, ..Steered::default() });
        let (reply, told) = ask(&world, question, "203.0.113.0/24");
        assert!(reply.starts_with(starts), "{question} {reply}");
        assert_eq!(told, scope, "{question} {reply}");
    };
    let (nobody, v4, edge) = ([0.0; 5], [0.0, 0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0]);
    check(v4, AllDown::All, "www.example.com. AAAA", "NOERROR aa |  | ~ 33 SOA", 0);
    check(v4, AllDown::All, "alias.example.com. AAAA", "NOERROR aa | alias~ 300 CNAME www~ | ~ 33 SOA", 0);
    check(v4, AllDown::All, "api.example.com. HTTPS", "NOERROR aa |  | ~ 33 SOA", 0);
    check(nobody, AllDown::NoData, "www.example.com. A", "NOERROR aa |  | ~ 33 SOA", 0);
    check(nobody, AllDown::Static, "api.example.com. A", "NOERROR aa |  | ~ 33 SOA", 0);
    check(nobody, AllDown::ServFail, "www.example.com. A", "SERVFAIL", 0);
    check(nobody, AllDown::Static, "www.example.com. A", "NOERROR aa | www~ 33 A", 24);
    check(
        edge,
        AllDown::All,
        "api.example.com. AAAA",
        "NOERROR aa | api~ 33 CNAME www.example.org. | example.org.",
        24,
    );
}

/// Section 7.2.1: a pick that is one of several is for the prefix that its key was made of, the source up to /24 or
/// /56, and no shorter one; but `pick=spread` deals out to visitors, whatever their prefix.
#[test]
fn scope_of_a_pick_is_that_of_its_key() {
    let world =
        |shares, pick| steered(Steered { shares, pick, cells: map(&Databases::default()), ..Steered::default() });
    let (sole, several) = ([1.0, 0.0, 0.0, 0.0, 0.0], [0.5, 0.5, 0.0, 0.0, 0.0]);
    let [one, sticky, spread] =
        [(sole, Pick::Sticky), (several, Pick::Sticky), (several, Pick::Spread)].map(|(s, p)| world(s, p));
    for (subnet, scope) in [
        ("10.9.0.0/18", 18),
        ("10.9.8.0/24", 24),
        ("10.9.8.7/32", 24),
        ("10.1.2.3/32", 32),
        ("10.1.2.0/24", 31),
        ("203.0.113.0/25", 24),
        ("2001:db8:1::/52", 52),
        ("2001:db8:1:2::/64", 56),
    ] {
        let ask = |world| ask(world, "www.example.com. A", subnet).1;
        assert_eq!(ask(&sticky), scope, "{subnet}");
        let cell = sticky.cells.locate(subnet.split_once('/').unwrap().0.parse().unwrap()).scope;
        assert_eq!((ask(&one), ask(&spread)), (cell, cell), "{subnet}");
    }
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<u32>().prop_map(|a| IpAddr::V4(Ipv4Addr::from(a))),
        any::<u8>().prop_map(|a| IpAddr::V4(Ipv4Addr::new(203, 0, 113, a))),
        any::<u8>().prop_map(|a| IpAddr::V4(Ipv4Addr::new(198, 51, 100, a))),
        any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::V4(Ipv4Addr::new(10, a, b, c))),
        any::<u128>().prop_map(|a| IpAddr::V6(Ipv6Addr::from(a))),
        any::<u128>().prop_map(|a| IpAddr::V6(Ipv6Addr::from(a >> 30 | 0x2001_0db8 << 96))),
    ]
}

/// `addr` with the bits after `prefix` taken from `other`.
fn within(addr: IpAddr, prefix: u8, other: u128) -> IpAddr {
    match addr {
        IpAddr::V4(a) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(a) & !host | other as u32 & host))
        }
        IpAddr::V6(a) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(a) & !host | other & host))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every client inside a scope that a reply told is decided for alike: it is in the same cell, and would hear the
    /// same scope. Here one member has all.
    #[test]
    fn clients_inside_a_scope_share_a_cell(
        clients in proptest::collection::vec((addresses(), 1..=128u8), 50),
        others in proptest::collection::vec(any::<u128>(), 20),
    ) {
        static WORLD: OnceLock<Snapshot> = OnceLock::new();
        let world = WORLD.get_or_init(|| {
            steered(Steered { cells: map(&Databases::embedded()), ..Steered::default() })
        });
        for (client, source) in clients {
            let source = if client.is_ipv4() { source.min(32) } else { source };
            let client = within(client, source, 0);
            let (_, scope) = ask(world, "api.example.com. A", &format!("{client}/{source}"));
            let here = world.cells.locate(client);
            prop_assert_eq!(scope, here.scope);
            for other in &others {
                let other = within(client, scope, *other);
                prop_assert_eq!(world.cells.locate(other), here, "{} in {}/{}", other, client, scope);
            }
        }
    }

    /// Where several have a part, too: whoever is inside a scope that a reply told, and sends as many bits, gets that
    /// reply, for both families, and so one member.
    #[test]
    fn clients_inside_a_scope_get_one_answer(
        clients in proptest::collection::vec((addresses(), 1..=128u8), 50),
        others in proptest::collection::vec(any::<u128>(), 5),
    ) {
        static WORLD: OnceLock<Snapshot> = OnceLock::new();
        let world = WORLD.get_or_init(|| {
            steered(Steered { shares: [0.4, 0.3, 0.0, 0.1, 0.2], cells: map(&Databases::embedded()), ..Steered::default() })
        });
        for (client, source) in clients {
            let source = if client.is_ipv4() { source.min(32) } else { source };
            let client = within(client, source, 0);
            for question in ["api.example.com. A", "api.example.com. AAAA"] {
                let (reply, scope) = ask(world, question, &format!("{client}/{source}"));
                prop_assert!(scope >= world.cells.locate(client).scope);
                for other in &others {
                    let other = within(within(client, scope, *other), source, 0);
                    let heard = ask(world, question, &format!("{other}/{source}"));
                    prop_assert_eq!(heard, (reply.clone(), scope), "{} in {}/{}", other, client, scope);
                }
            }
        }
    }
}
