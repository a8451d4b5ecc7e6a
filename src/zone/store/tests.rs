use super::*;
use crate::id::GroupIdx;
use crate::wire::rtype;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn wire(text: &str) -> Vec<u8> {
    name(text).as_wire().to_vec()
}

fn soa() -> Vec<u8> {
    let mut rdata = [wire("ns.example."), wire("host.example.")].concat();
    for n in [7u32, 3600, 600, 86400, 300] {
        rdata.extend(n.to_be_bytes());
    }
    rdata
}

/// Owners and RRsets of a zone as text, in order.
fn print(zone: &Zone) -> Vec<String> {
    let mut lines: Vec<(Name, String)> = zone
        .nodes()
        .flat_map(|node| {
            let sets: Vec<RRset> = node.rrsets().collect();
            let empty = sets.is_empty().then(|| (node.name(), format!("{} empty", node.name())));
            let line = move |s: RRset| {
                let rdatas: Vec<_> = s.rdatas().map(|r| r.into_owned()).collect();
                (node.name(), format!("{} {} {} {rdatas:?}", node.name(), s.ttl, s.rtype))
            };
            empty.into_iter().chain(sets.into_iter().map(line)).collect::<Vec<_>>()
        })
        .collect();
    lines.sort();
    lines.into_iter().map(|(_, line)| line).collect()
}

/// What goes in comes out: scattered RRsets are gathered, names in RDATA come back whole, duplicates are gone,
/// the least TTL holds, and names between have nodes.
#[test]
fn records_come_back() {
    let mut builder = Builder::new(&name("example."));
    let a = |last: u8| vec![192, 0, 2, last];
    for (owner, rtype, ttl, rdata) in [
        ("www.a.b.example.", rtype::A, 60, a(1)),
        ("example.", rtype::NS, 300, wire("ns.example.")),
        ("example.", rtype::SOA, 900, soa()),
        ("mail.example.", rtype::MX, 300, [&[0, 10][..], &wire("mx.example.")].concat()),
        ("www.a.b.example.", rtype::A, 30, a(2)),
        ("example.", rtype::NS, 300, wire("ns.example.")),
        ("www.a.b.example.", rtype::A, 60, a(1)),
        ("example.", rtype::NS, 300, wire("ns.else.")),
    ] {
        assert_eq!(builder.add(&name(owner), rtype, ttl, &rdata), Added::Taken);
    }
    assert_eq!(builder.add(&name("example.org."), rtype::A, 1, &a(1)), Added::OutOfZone);
    assert_eq!(builder.add(&name("xexample."), rtype::A, 1, &a(1)), Added::OutOfZone);
    let zone = builder.finish();
    assert_eq!(
        print(&zone),
        [
            format!("example. 300 2 {:?}", [wire("ns.example."), wire("ns.else.")]),
            format!("example. 900 6 {:?}", [soa()]),
            "b.example. empty".to_string(),
            "a.b.example. empty".to_string(),
            format!("www.a.b.example. 30 1 {:?}", [a(1), a(2)]),
            format!("mail.example. 300 15 {:?}", [[&[0, 10][..], &wire("mx.example.")].concat()]),
        ]
    );
    assert_eq!((zone.serial(), zone.n_names(), zone.n_rrsets(), zone.n_records()), (7, 3, 4, 6));
    assert_eq!(zone.negative_soa().unwrap().ttl, 300);
}

/// Steering moves nodes and makes new ones; everything stays where lookups find it, however often.
#[test]
fn steering_marks_names() {
    let mut builder = Builder::new(&name("example."));
    for i in 0..100 {
        builder.add(&name(&format!("h{i}.example.")), rtype::A, 60, &[192, 0, 2, i]);
    }
    let before = builder.finish();
    let names = print(&before).len();
    let mut set = crate::zone::ZoneSet::new(vec![before]);
    let marks: Vec<Name> =
        (0..200).map(|i| name(&format!("h{i}.example."))).chain([name("*.deep.w.example.")]).collect();
    for round in 0..2 {
        set.steer(marks.iter().map(|n| (n, GroupIdx(round))));
        let zone = set.zone(&name("example.")).unwrap();
        for n in &marks {
            assert_eq!(zone.node_of(n).unwrap().group(), Some(GroupIdx(round)));
        }
        assert_eq!(zone.nodes().count(), names + 100 + 3, "new ones, and two between");
        assert_eq!(zone.rrset(&name("h7.example."), rtype::A).unwrap().rdatas().next().unwrap(), &[192, 0, 2, 7][..]);
        assert!(zone.node_of(&name("deep.w.example.")).unwrap().flags() & flag::WILDCARD_CHILD != 0);
    }
}

/// An RRset longer than any message is cut and reported.
#[test]
fn oversized_rrsets_are_told() {
    let mut builder = Builder::new(&name("example."));
    for i in 0..5000u32 {
        builder.add(&name("big.example."), rtype::A, 60, &i.to_be_bytes());
    }
    let zone = builder.finish();
    assert_eq!(zone.oversized(), [(name("big.example."), rtype::A)]);
    assert!(zone.rrset(&name("big.example."), rtype::A).unwrap().records().len() <= 65_000);
}
