//! RFC 7871: whose place decides, and the scope that a reply may tell.

use crate::fixture::{Steered, print, query, send, steered};
use floodway::answer::{Client, Limits, Scratch, Transport, answer};
use floodway::exchange::Snapshot;
use floodway::geo::{CellMap, Databases, Match};
use floodway::policy::AllDown;
use proptest::prelude::*;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

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

/// Reply as text, and the scope in its option, which is the last thing in the message.
fn ask(snapshot: &Snapshot, question: &str, subnet: &str) -> (String, u8) {
    let source: usize = subnet.split_once('/').unwrap().1.parse().unwrap();
    let (_, reply) = send(snapshot, &query(question).ecs(subnet).wire());
    (print(&reply), reply[reply.len() - source.div_ceil(8) - 1])
}

#[test]
fn the_subnet_decides() {
    let world = world();
    let ask = |subnet| ask(&world, "api.example.com. A", subnet);
    let ams = "NOERROR aa | api~ 33 A 192.0.2.11".to_string();
    let nobody = "NOERROR aa |  | ~ 33 SOA ns1~ host~ 7 3600 600 86400 60".to_string();
    assert_eq!(ask("203.0.113.0/24"), (nobody, 24));
    assert_eq!(ask("10.1.2.0/24"), (ams.clone(), 31), "longer than the source: more bits would be of use");
    assert_eq!(ask("10.9.0.0/16").0, ams);
    assert!((8..16).contains(&ask("10.9.0.0/16").1));
}

/// Section 7.1.2: a client that asks not to be told apart is decided for by its resolver's place, and the reply says
/// that it holds for all. Without the option the resolver's place decides; a mapped address is its IPv4 address.
#[test]
fn without_a_subnet_the_source_decides() {
    let world = world();
    let nobody = "NOERROR aa | www~ 300 A 192.0.2.80, www~ 300 A 192.0.2.81";
    assert_eq!(ask(&world, "www.example.com. A", "0.0.0.0/0"), ("NOERROR aa | www~ 33 A 192.0.2.11".into(), 0));
    let from = |addr: &str, wire: Vec<u8>| {
        let client = Client { addr: addr.parse().unwrap(), transport: Transport::Udp };
        let mut out = vec![0; 4096];
        let n = answer(&wire, client, &world, &Limits::default(), &mut Scratch::new(0, 0), &mut out).len;
        print(&out[..n])
    };
    assert_eq!(from("203.0.113.9", query("www.example.com. A").wire()), nobody);
    assert_eq!(from("::ffff:203.0.113.9", query("www.example.com. A").wire()), nobody);
    assert_eq!(from("203.0.113.9", query("www.example.com. A").ecs("0.0.0.0/0").wire()), nobody);
    assert_ne!(from("203.0.113.9", query("www.example.com. A").ecs("10.0.0.0/8").wire()), nobody);
}

/// Section 7.2.1: scope 0 for what is the same for all, also at steered names; the scope of the decision if an
/// alias leads to one.
#[test]
fn scope_is_that_of_the_decision() {
    let world = world();
    for question in ["www.example.com. TXT", "mail.example.com. A", "nothing.example.com. A", "api.example.com. HTTPS"]
    {
        assert_eq!(ask(&world, question, "203.0.113.0/24").1, 0, "{question}");
    }
    assert_eq!(ask(&world, "chain.example.com. A", "203.0.113.0/24").1, 24);
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
    /// same scope.
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
}
