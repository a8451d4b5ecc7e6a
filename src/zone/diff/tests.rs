use super::*;
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// A zone with this serial, and A records: host number, last octet, TTL.
fn zone(serial: u32, hosts: &[(u8, u8, u32)]) -> Zone {
    let apex = name("example.com.");
    let mut builder = Builder::new(&apex);
    let soa = [&b"\x02ns\x07example\x03com\0\x01h\0"[..], &serial.to_be_bytes(), &[0; 16]].concat();
    builder.add(&apex, rtype::SOA, 3600, &soa);
    builder.add(&apex, rtype::NS, 3600, b"\x02ns\x07example\x03com\0");
    for (host, octet, ttl) in hosts {
        // Names of several depths: there are empty non-terminals between them.
        let owner = match host % 4 {
            0 => format!("h{host}.example.com."),
            1 => format!("a.b.h{host}.example.com."),
            2 => format!("*.h{host}.example.com."),
            _ => format!("h{}.sub.example.com.", host % 8),
        };
        builder.add(&name(&owner), rtype::A, *ttl, &[192, 0, 2, *octet]);
        if host % 4 == 3 {
            builder.add(
                &name("sub.example.com."),
                rtype::NS,
                60,
                format!("\x02h{}\x03sub\x07example\x03com\0", host % 8).as_bytes(),
            );
        }
    }
    builder.finish()
}

fn contents(zone: &Zone) -> Vec<String> {
    let line = |node: Node<'_>| {
        let mut rrsets: Vec<String> = node
            .rrsets()
            .map(|rrset| {
                let mut rdatas: Vec<_> = rrset.rdatas().map(|d| d.to_vec()).collect();
                rdatas.sort();
                format!("{} {} {rdatas:?}", rrset.rtype, rrset.ttl)
            })
            .collect();
        rrsets.sort();
        format!("{} {} {} {rrsets:?}", node.name(), node.is_cut(), node.is_occluded())
    };
    let mut lines: Vec<String> = zone.nodes().map(line).collect();
    lines.sort();
    lines.push(format!("{:?}", (zone.serial(), zone.n_names(), zone.n_rrsets(), zone.n_records())));
    lines
}

#[test]
fn a_difference_is_what_an_incremental_transfer_carries() {
    let (old, new) = (zone(1, &[(0, 1, 300), (4, 2, 300)]), zone(2, &[(0, 1, 300), (4, 3, 300), (8, 4, 60)]));
    let diff = Difference::between(&old, &new).unwrap();
    let print = |records: &Records| -> Vec<String> {
        records.iter().map(|r| format!("{} {} {}", r.name(), r.rtype, r.rdata.last().unwrap())).collect()
    };
    assert_eq!(print(&diff.removed), ["example.com. 6 0", "h4.example.com. 1 2"]);
    assert_eq!(diff.removed.iter().map(|r| Soa::parse(r.rdata)).next().flatten().unwrap().serial, 1);
    let mut added = print(&diff.added);
    added[1..].sort();
    assert_eq!(added, ["example.com. 6 0", "h4.example.com. 1 3", "h8.example.com. 1 4"]);
    assert!(!diff.is_empty() && Difference::between(&old, &old).unwrap().is_empty());
}

#[test]
fn what_does_not_fit_is_refused() {
    let (old, new) = (zone(1, &[(0, 1, 300)]), zone(2, &[(0, 2, 300)]));
    let diff = Difference::between(&old, &new).unwrap();
    assert_eq!(diff.apply(&new).unwrap_err(), Misfit::Serial { zone: 2, from: 1 });
    assert_eq!(diff.apply(&zone(1, &[(0, 9, 300)])).unwrap_err(), Misfit::Missing);
    assert_eq!(diff.apply(&zone(1, &[(0, 1, 300), (0, 2, 300)])).unwrap_err(), Misfit::Surplus);
    let mut outside = diff.clone();
    outside.added.push(b"\x01x\0", 1, 1, [&[0; 4], b""]);
    assert_eq!(outside.apply(&old).unwrap_err(), Misfit::Surplus);
    let mut no_soa = diff.clone();
    no_soa.added = Records::default();
    assert_eq!(no_soa.apply(&old).unwrap_err(), Misfit::NoSoa);
}

proptest! {
    /// The law of incremental transfers: the old zone with the difference is the new zone.
    #[test]
    fn the_old_with_the_difference_is_the_new(
        old in prop::collection::vec((0u8..24, 0u8..4, prop::sample::select(vec![60u32, 300])), 0..30),
        new in prop::collection::vec((0u8..24, 0u8..4, prop::sample::select(vec![60u32, 300])), 0..30),
    ) {
        let (old, new) = (zone(7, &old), zone(8, &new));
        let diff = Difference::between(&old, &new).unwrap();
        let made = diff.apply(&old).unwrap();
        prop_assert_eq!(contents(&made), contents(&new));
        // And by the way for large differences.
        let mut names = BTreeMap::new();
        for node in new.nodes().chain(old.nodes()) {
            let owner: &'static [u8] = node.name().as_wire().to_vec().leak();
            let rrsets = new.node_of(&node.name()).into_iter().flat_map(|node| node.rrsets());
            names.insert(owner, rrsets.flat_map(|r| r.rdatas().map(|d| (r.rtype, r.ttl, d.to_vec())).collect::<Vec<_>>()).collect());
        }
        prop_assert_eq!(contents(&rebuild(&old, &names)), contents(&new));
    }

    /// Several differences come to their net.
    #[test]
    fn differences_add_up(
        versions in prop::collection::vec(prop::collection::vec((0u8..12, 0u8..4), 0..16), 1..5),
    ) {
        let hosts = |version: &[(u8, u8)]| version.iter().map(|(h, o)| (*h, *o, 300)).collect::<Vec<_>>();
        let zones: Vec<Zone> = versions.iter().enumerate().map(|(i, v)| zone(i as u32, &hosts(v))).collect();
        let mut net = Net::default();
        for pair in zones.windows(2) {
            let diff = Difference::between(&pair[0], &pair[1]).unwrap();
            net.take(&diff.removed, &diff.added);
        }
        let (removed, mut added) = net.records();
        let last = zones.last().unwrap();
        soa_with_serial(last, last.serial()).unwrap().iter().for_each(|soa| added.put(&soa));
        let made = rewrite(&zones[0], &removed, &added, Strictness::Lenient).unwrap();
        prop_assert_eq!(contents(&made), contents(last));
    }
}
