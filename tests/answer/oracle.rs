//! The lookup against RFC 1034 section 4.3.2 written out as it stands, on random zones; and the law that a reply holds
//! only records of the zone.

use crate::fixture::{query, send, snapshot};
use floodway::wire::{Name, NameBuf, rtype};
use floodway::zone::lookup::Found;
use floodway::zone::{Builder, Zone};
use hickory_proto::op::Message;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const APEX: &str = "ex.";

//----------- The obvious version --------------------------------------------

/// Owner → type → RDATA.
type Records = BTreeMap<Name, BTreeMap<u16, Vec<Vec<u8>>>>;

fn exists(records: &Records, name: &Name) -> bool {
    records.keys().any(|owner| owner.is_within(name))
}

/// Walks from the apex down, label by label, as the text says.
fn walk(records: &Records, qname: &Name, qtype: u16) -> String {
    let apex: Name = APEX.parse().unwrap();
    let mut path = vec![qname.clone()];
    while *path.last().unwrap() != apex {
        let parent = path.last().unwrap().parent().unwrap();
        path.push(parent);
    }
    path.reverse();
    for (i, node) in path.iter().enumerate() {
        let has = |rtype| records.get(node).is_some_and(|sets| sets.contains_key(&rtype));
        let is_last = i + 1 == path.len();
        // 3b: a referral. DS is asked of the parent (RFC 4035 section 3.1.4.1).
        if i > 0 && has(rtype::NS) && !(is_last && qtype == rtype::DS) {
            return format!("cut {node}");
        }
        if is_last {
            return format!("name {node}");
        }
        // RFC 6672 section 3.2, step 3c as amended.
        if has(rtype::DNAME) {
            return format!("dname {node}");
        }
        // 3c: no match at this label; does `*` exist?
        if !exists(records, &path[i + 1]) {
            let wildcard = node.child(b"*").unwrap();
            return if exists(records, &wildcard) { format!("wildcard {wildcard}") } else { "nxdomain".into() };
        }
    }
    unreachable!("the path ends with the question");
}

//----------- Comparison -----------------------------------------------------

fn found(zone: &Zone, qname: &Name, qtype: u16) -> String {
    let buf = NameBuf::from(qname);
    match zone.lookup(&buf, buf.n_labels() - zone.apex().labels().count(), qtype) {
        Found::Name { node, from_wildcard: false } => format!("name {}", node.name()),
        Found::Name { node, from_wildcard: true } => format!("wildcard {}", node.name()),
        Found::Cut { node, .. } => format!("cut {}", node.name()),
        Found::Dname { node, .. } => format!("dname {}", node.name()),
        Found::NxDomain => "nxdomain".into(),
    }
}

fn build(records: &[(Name, u16, Vec<u8>)]) -> (Zone, Records) {
    let mut builder = Builder::new(&APEX.parse().unwrap());
    let mut map = Records::new();
    for (owner, rtype, rdata) in records {
        builder.add(owner, *rtype, 60, rdata);
        let set = map.entry(owner.clone()).or_default().entry(*rtype).or_default();
        if !set.contains(rdata) {
            set.push(rdata.clone());
        }
    }
    (builder.finish(), map)
}

/// Every record of a reply is one of the zone, owner and RDATA, or follows from a wildcard or a DNAME of it.
fn check_reply(wire: &[u8], records: &Records) {
    let message = Message::from_vec(wire).unwrap();
    for record in message.answers.iter().chain(&message.authorities).chain(&message.additionals) {
        let owner: Name = record.name.to_string().parse().unwrap();
        let rtype = u16::from(record.record_type());
        let mut rdata = Vec::new();
        let mut encoder = hickory_proto::serialize::binary::BinEncoder::new(&mut rdata);
        hickory_proto::serialize::binary::BinEncodable::emit(&record.data, &mut encoder).unwrap();
        let of = |name: &Name| records.get(name).and_then(|sets| sets.get(&rtype)).is_some_and(|s| s.contains(&rdata));
        let mut above = owner.parent();
        let mut by_wildcard = false;
        let mut by_dname = false;
        while let Some(name) = above {
            by_wildcard |= name.child(b"*").is_ok_and(|w| of(&w));
            by_dname |= rtype == rtype::CNAME && records.get(&name).is_some_and(|s| s.contains_key(&rtype::DNAME));
            above = name.parent();
        }
        assert!(of(&owner) || by_wildcard || by_dname, "{record} is not of the zone");
    }
}

//----------- Random zones ---------------------------------------------------

fn names() -> impl Strategy<Value = Name> {
    proptest::collection::vec(prop_oneof![4 => Just("a"), 4 => Just("b"), 2 => Just("*"), 1 => Just("ccc")], 0..5)
        .prop_map(|labels| labels.iter().fold(APEX.parse().unwrap(), |n: Name, l| n.child(l.as_bytes()).unwrap()))
}

fn targets() -> impl Strategy<Value = Name> {
    prop_oneof![5 => names(), 1 => Just("out.side.".parse().unwrap()), 1 => Just(Name::root())]
}

fn records() -> impl Strategy<Value = (Name, u16, Vec<u8>)> {
    let data = prop_oneof![
        6 => any::<[u8; 4]>().prop_map(|a| (rtype::A, a.to_vec())),
        2 => any::<[u8; 16]>().prop_map(|a| (rtype::AAAA, a.to_vec())),
        3 => targets().prop_map(|t| (rtype::NS, t.as_wire().to_vec())),
        2 => targets().prop_map(|t| (rtype::CNAME, t.as_wire().to_vec())),
        1 => targets().prop_map(|t| (rtype::DNAME, t.as_wire().to_vec())),
        2 => (any::<u16>(), targets())
            .prop_map(|(n, t)| (rtype::MX, [&n.to_be_bytes(), t.as_wire()].concat())),
        1 => Just((rtype::DS, vec![0, 1, 2, 3, 0xaa, 0xbb])),
    ];
    (names(), data).prop_map(|(owner, (rtype, rdata))| (owner, rtype, rdata))
}

/// One alias per owner, as zones have it: which of two would be followed is anyone's guess.
fn zones() -> impl Strategy<Value = Vec<(Name, u16, Vec<u8>)>> {
    proptest::collection::vec(records(), 0..16).prop_map(|mut records| {
        let mut seen = BTreeSet::new();
        records.retain(|(owner, rtype, _)| {
            !matches!(*rtype, rtype::CNAME | rtype::DNAME) || seen.insert((owner.clone(), *rtype))
        });
        records
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn lookup_is_rfc_1034(records in zones(), questions in proptest::collection::vec(names(), 30)) {
        let (zone, map) = build(&records);
        for qname in &questions {
            for qtype in [rtype::A, rtype::DS] {
                prop_assert_eq!(found(&zone, qname, qtype), walk(&map, qname, qtype), "{} {}", qname, qtype);
            }
        }
    }

    #[test]
    fn replies_hold_records_of_the_zone(records in zones(), questions in proptest::collection::vec(names(), 10)) {
        let (zone, map) = build(&records);
        let snapshot = snapshot(vec![zone]);
        for qname in &questions {
            for qtype in ["A", "MX", "NS", "CNAME", "DS", "ANY", "39"] {
                let (_, reply) = send(&snapshot, &query(&format!("{qname} {qtype}")).edns(4096).wire());
                check_reply(&reply, &map);
            }
        }
    }

    /// What the builder packs, it gives back.
    #[test]
    fn the_store_keeps_what_it_is_given(records in zones()) {
        let (zone, map) = build(&records);
        for (owner, sets) in &map {
            for (rtype, rdatas) in sets {
                let rrset = zone.rrset(owner, *rtype).unwrap();
                let kept: Vec<Vec<u8>> = rrset.rdatas().map(|r| r.into_owned()).collect();
                prop_assert_eq!(&kept, rdatas);
            }
        }
        prop_assert_eq!(zone.n_rrsets(), map.values().map(|sets| sets.len()).sum::<usize>());
    }
}
