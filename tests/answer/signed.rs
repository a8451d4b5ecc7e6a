//! Signed answers, held against an independent verifier: whatever a client may be given has signatures that verify, whatever
//! it is denied is proven, and a proof's types are those that are answered.

use crate::fixture::{EXAMPLE, SIGNED_AT, Steered, example, key, members, query, send_at, send_by, signed, steered};
use floodway::answer::{Scratch, Transport};
use floodway::dnssec::sign::Denial;
use floodway::exchange::Snapshot;
use floodway::policy::{AllDown, Pick};
use floodway::wire::Name as OurName;
use floodway::zone::rdata::bitmap::types_of;
use hickory_proto::dnssec::rdata::{DNSKEY, DNSSECRData, RRSIG};
use hickory_proto::dnssec::{Algorithm, Nsec3HashAlgorithm, PublicKeyBuf, Verifier};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::BinEncodable;
use std::collections::BTreeMap;

const DENIALS: [Denial; 4] = [
    Denial::Nsec,
    Denial::Nsec3 { opt_out: false },
    Denial::Nsec3 { opt_out: true },
    Denial::Compact { per_second: 100_000 },
];

/// Names of every kind, and some that are not there.
const NAMES: [&str; 36] = [
    "",
    "www",
    "alias",
    "chain",
    "out",
    "over",
    "gone",
    "loop1",
    "tosub",
    "towild",
    "a.b.ent",
    "b.ent",
    "ent",
    "any.wild",
    "wild",
    "x.y.wild",
    "there.wild",
    "x.there.wild",
    "x.wc",
    "sub",
    "www.sub",
    "nods",
    "x.nods",
    "sib",
    "dn",
    "x.dn",
    "y.dn",
    "dnself",
    "x.dntwo",
    "big",
    "tobig",
    "nothing",
    "deep.er.nothing",
    "zzz",
    "0",
    "api",
];
const TYPES: [u16; 14] = [1, 28, 2, 5, 6, 13, 15, 16, 39, 43, 47, 48, 59, 255];

/// The replies to everything, over a stream so that none is cut.
fn each_reply(snapshot: &Snapshot, names: &[String], mut each: impl FnMut(&str, u16, Message)) {
    let mut scratch = Scratch::new(0, 0);
    for name in names {
        for qtype in TYPES {
            let mut q = query(&format!("{name} {qtype}"));
            q.opt = Some((1232, 0x8000));
            let (_, reply) = send_at(snapshot, &q.wire(), Transport::Tcp, SIGNED_AT, &mut scratch);
            each(name, qtype, Message::from_vec(&reply).unwrap());
        }
    }
}

fn names() -> Vec<String> {
    let absolute = |name: &&str| if name.is_empty() { "example.com.".into() } else { format!("{name}.example.com.") };
    NAMES.iter().map(absolute).collect()
}

/// The RRsets of a section.
fn rrsets(records: &[Record]) -> BTreeMap<(Name, u16), Vec<Record>> {
    let mut all: BTreeMap<(Name, u16), Vec<Record>> = BTreeMap::new();
    for record in records.iter().filter(|r| !matches!(r.record_type(), RecordType::RRSIG | RecordType::OPT)) {
        all.entry((record.name.to_lowercase(), record.record_type().into())).or_default().push(record.clone());
    }
    all
}

fn signatures(records: &[Record], owner: &Name, rtype: u16) -> Vec<(RRSIG, u32)> {
    let of = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) if record.name.to_lowercase() == *owner => {
            (u16::from(rrsig.input().type_covered) == rtype).then(|| (rrsig.clone(), record.ttl))
        }
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

fn dnskey(zone: &Name, flags: u16) -> DNSKEY {
    let zone = OurName::from_wire(&zone.to_bytes().unwrap()).unwrap();
    DNSKEY::with_flags(flags, PublicKeyBuf::new(key(&zone, flags).public, Algorithm::ED25519))
}

/// Asserts that an RRset is signed by its zone, and held to the TTL of the signature.
fn verify(owner: &Name, rtype: u16, records: &[Record], section: &[Record], what: &str) {
    let found = signatures(section, owner, rtype);
    assert_eq!(found.len(), 1, "{what}: {owner} {rtype} has {} signatures\n{section:?}", found.len());
    let (rrsig, ttl) = &found[0];
    let input = rrsig.input();
    let flags = if matches!(rtype, 48 | 59 | 60) { 257 } else { 256 };
    let verified = dnskey(&input.signer_name, flags).verify_rrsig(owner, DNSClass::IN, rrsig, records.iter());
    assert!(verified.is_ok(), "{what}: {owner} {rtype}: {verified:?}\n{records:?}\n{rrsig:?}");
    // RFC 4035 section 2.2, RFC 4034 section 3.1.4.
    assert!(records.iter().all(|r| r.ttl == *ttl && r.ttl <= input.original_ttl), "{what}: TTLs of {owner} {rtype}");
    assert!(input.sig_inception.get() < SIGNED_AT && input.sig_expiration.get() > SIGNED_AT + 43_200);
    assert!(input.signer_name.zone_of(owner), "{what}: signed by {}", input.signer_name);
}

/// Asserts that everything in a reply is signed that should be.
pub fn verify_all(message: &Message, what: &str) {
    let is_dname = |r: &&Record| matches!(r.record_type(), RecordType::DNAME | RecordType::Unknown(39));
    let dnames: Vec<Name> = message.answers.iter().filter(is_dname).map(|r| r.name.to_lowercase()).collect();
    for ((owner, rtype), records) in rrsets(&message.answers) {
        // RFC 6672 section 5.3.1: a CNAME that follows from a DNAME has no signature.
        let is_synthesized = rtype == 5 && dnames.iter().any(|dname| *dname != owner && dname.zone_of(&owner));
        if !is_synthesized {
            verify(&owner, rtype, &records, &message.answers, what);
        }
    }
    for ((owner, rtype), records) in rrsets(&message.authorities) {
        // RFC 4035 section 2.2: the NS of a cut have none.
        if rtype != 2 {
            verify(&owner, rtype, &records, &message.authorities, what);
        }
    }
    for ((owner, rtype), records) in rrsets(&message.additionals) {
        if !signatures(&message.additionals, &owner, rtype).is_empty() {
            verify(&owner, rtype, &records, &message.additionals, what);
        }
    }
}

/// Every answer in a zone of every kind of name verifies, whichever way absence is proven.
#[test]
fn every_rrset_verifies() {
    for denial in DENIALS {
        let snapshot = signed(example(), denial);
        each_reply(&snapshot, &names(), |name, qtype, reply| verify_all(&reply, &format!("{denial:?} {name} {qtype}")));
    }
}

/// Every answer that a policy may give verifies: each member, each window of its addresses, aliases, and nobody.
#[test]
fn every_alternative_verifies() {
    for (i, denial) in DENIALS.into_iter().enumerate() {
        for member in 0..=members().len() {
            let mut shares = [0.0; 5];
            shares.iter_mut().enumerate().for_each(|(m, share)| *share = if m == member { 1.0 } else { 0.0 });
            for (all_down, answers) in [(AllDown::Static, 1), (AllDown::NoData, 2), (AllDown::ServFail, 9)] {
                let pick = if i == 0 { Pick::Spread } else { Pick::Sticky };
                let world = Steered { shares, all_down, pick, answers, ..Steered::default() };
                let snapshot = signed(steered(world), denial);
                let names = ["api.example.com.", "x.any.example.com.", "www.example.com."].map(str::to_string);
                for _ in 0..3 {
                    each_reply(&snapshot, &names, |name, qtype, reply| {
                        let what =
                            format!("{denial:?} {name} {qtype}, member {member}, {all_down:?}, {answers} answers");
                        verify_all(&reply, &what);
                        denied_is_proven(&reply, name, qtype, &what);
                    });
                }
            }
        }
    }
}

//----------- Denial ---------------------------------------------------------

/// The hash of a name (RFC 9276: no rounds, no salt).
fn hash(name: &Name) -> Vec<u8> {
    Nsec3HashAlgorithm::SHA1.hash(&[], &name.to_lowercase(), 0).unwrap().as_ref().to_vec()
}

/// The proofs in a reply: owner, next and types; for NSEC3 as hashes.
enum Proof {
    Nsec { owner: Name, next: Name, types: Vec<u16> },
    Nsec3 { owner: String, next: Vec<u8>, types: Vec<u16>, opt_out: bool },
}

fn proofs(message: &Message) -> Vec<Proof> {
    let read = |record: &Record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => Some(Proof::Nsec {
            owner: record.name.to_lowercase(),
            next: nsec.next_domain_name().to_lowercase(),
            types: nsec.type_bit_maps().map(u16::from).collect(),
        }),
        RData::DNSSEC(DNSSECRData::NSEC3(nsec3)) => Some(Proof::Nsec3 {
            owner: String::from_utf8(record.name.iter().next().unwrap().to_vec()).unwrap(),
            next: nsec3.next_hashed_owner_name().to_vec(),
            types: nsec3.type_bit_maps().map(u16::from).collect(),
            opt_out: nsec3.opt_out(),
        }),
        _ => None,
    };
    message.authorities.iter().filter_map(read).collect()
}

fn digits(hash: &[u8]) -> String {
    const DIGITS: &[u8] = b"0123456789abcdefghijklmnopqrstuv";
    let bit = |i: usize| hash.get(i / 8).is_some_and(|octet| octet & (0x80 >> (i % 8)) != 0);
    (0..32).map(|d| DIGITS[(0..5).fold(0, |n, b| n << 1 | usize::from(bit(d * 5 + b)))] as char).collect()
}

/// Whether `x` lies between two in a ring.
fn between<T: Ord>(from: &T, x: &T, to: &T) -> bool {
    if from < to { from < x && x < to } else { x > from || x < to }
}

impl Proof {
    /// The types that it says its name has, if it is about this name.
    fn types_of(&self, name: &Name) -> Option<&[u16]> {
        match self {
            Proof::Nsec { owner, types, .. } => (owner == name).then_some(types),
            Proof::Nsec3 { owner, types, .. } => (*owner == digits(&hash(name))).then_some(types),
        }
    }

    /// Whether it says that this name is not there, or that nothing but names below it are.
    fn covers(&self, name: &Name) -> bool {
        match self {
            Proof::Nsec { owner, next, .. } => between(owner, name, next),
            Proof::Nsec3 { owner, next, .. } => between(owner, &digits(&hash(name)), &digits(next)),
        }
    }
}

/// Asserts that what a reply denies is proven: the last name on the way has no such type, or is not there.
fn denied_is_proven(message: &Message, name: &str, qtype: u16, what: &str) {
    let has_soa = message.authorities.iter().any(|r| r.record_type() == RecordType::SOA);
    if !has_soa || message.metadata.response_code == ResponseCode::ServFail {
        return;
    }
    let mut last = Name::from_ascii(name).unwrap().to_lowercase();
    for record in &message.answers {
        if let RData::CNAME(target) = &record.data {
            last = target.0.to_lowercase();
        }
    }
    let proofs = proofs(message);
    let above: Vec<Name> = (0..last.num_labels()).map(|n| last.trim_to((last.num_labels() - n).into())).collect();
    let covered = proofs.iter().any(|proof| above.iter().any(|name| proof.covers(name)));
    let wildcards = above.iter().skip(1).map(|name| name.prepend_label("*").unwrap());
    let wildcards: Vec<Name> = wildcards.collect();
    if message.metadata.response_code == ResponseCode::NXDomain {
        assert!(covered, "{what}: no proof that {last} is not there");
        assert!(
            wildcards.iter().any(|wildcard| proofs.iter().any(|proof| proof.covers(wildcard))),
            "{what}: no proof that no wildcard stands for {last}"
        );
        return;
    }
    let denies = |name: &Name| {
        let types = proofs.iter().find_map(|proof| proof.types_of(name));
        // NSEC may stand beside an alias, and is not there with NSEC3.
        types.is_some_and(|types| !types.contains(&qtype) && (!types.contains(&5) || qtype == 47))
    };
    let by_wildcard = covered && wildcards.iter().any(denies);
    let is_opt_out = proofs.iter().any(|p| matches!(p, Proof::Nsec3 { opt_out: true, .. }));
    let by_cover = covered && (is_opt_out || matches!(proofs.first(), Some(Proof::Nsec { .. })));
    assert!(denies(&last) || by_wildcard || by_cover, "{what}: no proof that {last} has no {qtype}");
}

/// Whatever is denied is proven.
#[test]
fn denials_are_proven() {
    for denial in DENIALS {
        let snapshot = signed(example(), denial);
        each_reply(&snapshot, &names(), |name, qtype, reply| {
            denied_is_proven(&reply, name, qtype, &format!("{denial:?} {name} {qtype}"));
        });
    }
}

/// The types in a name's NSEC are those that somebody is given there, steered names included, and no others.
#[test]
fn bitmap_is_what_is_answered() {
    // Aliases are answered for any type, and are in no bitmap of a name that has others, too.
    let world = || Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() };
    for snapshot in [signed(example(), Denial::Nsec), signed(steered(world()), Denial::Nsec)] {
        let zone = snapshot.zones.zone(&"example.com".parse().unwrap()).unwrap();
        let nodes: Vec<_> = zone.nodes().filter(|n| !n.is_occluded() && !n.is_cut()).collect();
        for node in nodes.iter().filter(|node| !node.is_empty() || node.group().is_some()) {
            let name = node.name();
            let entry = snapshot.zones.signed(0).unwrap().entry(*node).unwrap();
            let nsec = entry.item(47).unwrap();
            let rdata = nsec.rdatas().next().unwrap();
            let next_len = OurName::from_wire(rdata.split_at(name_len(rdata)).0).unwrap().as_wire().len();
            let mut answered: Vec<u16> = Vec::new();
            for qtype in (1..=64).chain([65, 257]) {
                let mut q = query(&format!("{name} {qtype}"));
                q.opt = Some((1232, 0x8000));
                let (_, reply) = send_by(&snapshot, &q.wire(), Transport::Tcp);
                let message = Message::from_vec(&reply).unwrap();
                let is_it = |r: &Record| u16::from(r.record_type()) == qtype && r.name.to_string() == name.to_string();
                if message.answers.iter().any(is_it) {
                    answered.push(qtype);
                }
            }
            assert_eq!(types_of(&rdata[next_len..]), answered, "{name}");
        }
    }
    assert!(EXAMPLE.contains("wild"));
}

fn name_len(wire: &[u8]) -> usize {
    let mut at = 0;
    while wire[at] != 0 {
        at += 1 + usize::from(wire[at]);
    }
    at + 1
}

/// RFC 4035 section 3.1: without DO there are no signatures; a question for keys is answered all the same.
#[test]
fn without_do_nothing_is_signed() {
    let snapshot = signed(example(), Denial::Nsec);
    for (question, n) in [("www.example.com. 1", 2), ("nothing.example.com. 1", 0), ("example.com. 48", 2)] {
        let (_, reply) = send_by(&snapshot, &query(question).wire(), Transport::Udp);
        let message = Message::from_vec(&reply).unwrap();
        let all = message.answers.iter().chain(&message.authorities).chain(&message.additionals);
        let n_secured = all.filter(|r| matches!(u16::from(r.record_type()), 46 | 47 | 50)).count();
        assert_eq!((message.answers.len(), n_secured), (n, 0), "{question}");
    }
}
