use super::*;
use crate::dnssec::presigned;
use crate::dnssec::signer::moment;
use crate::dnssec::verify::{Fault, verify};
use crate::dnssec::{Algorithm, Key, Timing};
use crate::wire::Name;
use crate::zone::rdata::base32;
use crate::zone::store::Builder;
use std::fmt::Write;

const NOW: u32 = 1_800_000_000;
const DAY: u32 = 86_400;

fn key(flags: u16, timing: Timing) -> Key {
    Key::generate("example".parse().unwrap(), flags, Algorithm::EcdsaP256, timing).unwrap()
}

/// A zone of `n` hosts, the last of which has an address of its own choice.
fn zone(n: usize, last: u8) -> Zone {
    let mut text =
        "$TTL 300\n@ SOA ns h 1 2 3 4 60\n@ NS ns\nns A 192.0.2.1\nMiX MX 10 Ns\nsub NS ns.sub\nns.sub A 192.0.2.9\n\
                    *.w TXT \"w\"\na.b.c A 192.0.2.7\n"
            .to_string();
    (0..n).for_each(|i| writeln!(text, "h{i} A 192.0.2.{}", i % 200).unwrap());
    writeln!(text, "last A 192.0.2.{last}").unwrap();
    load(&text)
}

fn load(text: &str) -> Zone {
    let mut report = crate::masterfile::Report::default();
    let no_includes = &mut |_: &str| Err("none".to_string());
    let zone = crate::zone::load::load("z", text, &"example".parse().unwrap(), no_includes, &mut report);
    zone.unwrap_or_else(|| panic!("{report}"))
}

fn rules(denial: Denial) -> Rules {
    Rules { denial, validity: Validity { holds: 14 * DAY, refresh: 7 * DAY }, dnskey_ttl: 3600, max_alternatives: 100 }
}

fn sign_at(zone: &Zone, keys: &[Key], denial: Denial, now: u32, before: Option<(&Zone, &Signed)>) -> Signed {
    let ring = Ring::at(now, zone.apex(), keys.iter()).unwrap();
    let policies = Policies::default();
    let task =
        Task { zone, policies: &policies, answers: &[], ring: &ring, rules: &rules(denial), now, hash_keys: (1, 2) };
    sign(task, before).unwrap()
}

/// A load keeps every signature whose records, key and time still hold, whichever way absence is proven.
#[test]
fn what_holds_is_kept() {
    for denial in [Denial::Nsec, Denial::Nsec3 { opt_out: true }] {
        let keys = [key(257, Timing::default()), key(256, Timing::default())];
        let (old, new) = (zone(40, 1), zone(40, 2));
        let first = sign_at(&old, &keys, denial, NOW, None);
        assert_eq!(first.facts.n_made, first.facts.n_signatures);
        let again = sign_at(&old, &keys, denial, NOW + DAY, Some((&old, &first)));
        assert_eq!((again.facts.n_made, again.facts.n_signatures), (0, first.facts.n_signatures));
        let changed = sign_at(&new, &keys, denial, NOW + DAY, Some((&old, &first)));
        assert_eq!(changed.facts.n_made, 1, "the one address is another");
        assert_eq!(verify(&new, &changed, NOW + DAY, 9), []);
        // Names that come change the proofs beside them.
        let more = zone(41, 2);
        let grown = sign_at(&more, &keys, denial, NOW + DAY, Some((&new, &changed)));
        assert_eq!(grown.facts.n_made, 3);
        assert_eq!(verify(&more, &grown, NOW + DAY, 9), []);
    }
}

/// However long the zone stands still, passes at the times that the facts tell keep every signature from ending; they end at
/// different times, and are made in some passes, not one by one.
#[test]
fn signatures_are_renewed_in_time() {
    let keys = [key(257, Timing::default())];
    let zone = zone(60, 1);
    let mut signed = sign_at(&zone, &keys, Denial::Nsec, NOW, None);
    let (mut now, mut n_passes) = (NOW, 0);
    while now < NOW + 60 * DAY {
        let next = signed.facts.renew_at.unwrap();
        assert!(next > now && signed.facts.earliest_end >= next + 7 * DAY - 1);
        assert_eq!(verify(&zone, &signed, next, 9), []);
        now = next;
        let again = sign_at(&zone, &keys, Denial::Nsec, now, Some((&zone, &signed)));
        assert!(again.facts.n_made > 0);
        signed = again;
        n_passes += 1;
    }
    assert!((20..80).contains(&n_passes), "{n_passes} passes in sixty days");
    let ends = signed.entries().flat_map(|(_, e)| e.items().collect::<Vec<_>>());
    let mut ends: Vec<u32> = ends.flat_map(|item| item.rrsigs()).filter_map(|rdata| moment(rdata, 8)).collect();
    ends.sort_unstable();
    ends.dedup();
    assert!(ends.len() > 10);
}

/// When a key gives way, everything is signed by the next one, which resolvers have seen before.
#[test]
fn keys_take_turns() {
    let times = |publish, activate, inactive| Timing {
        publish: Some(NOW + publish),
        activate: Some(NOW + activate),
        inactive,
        ..Timing::default()
    };
    let keys = [key(257, Timing::default()), key(256, times(0, 0, Some(NOW + DAY))), key(256, times(3600, DAY, None))];
    let zone = zone(10, 1);
    let first = sign_at(&zone, &keys, Denial::Nsec, NOW, None);
    assert_eq!(first.facts.renew_at, Some(NOW + 3600));
    let seen = sign_at(&zone, &keys, Denial::Nsec, NOW + 3600, Some((&zone, &first)));
    assert_eq!((seen.facts.n_made, seen.facts.renew_at), (1, Some(NOW + DAY)), "DNSKEY alone is another");
    let turned = sign_at(&zone, &keys, Denial::Nsec, NOW + DAY, Some((&zone, &seen)));
    assert_eq!(turned.facts.n_made, turned.facts.n_signatures - 1, "all but DNSKEY");
    for (signed, now) in [(&first, NOW), (&seen, NOW + 3600), (&turned, NOW + DAY)] {
        assert_eq!(verify(&zone, signed, now, 9), []);
    }
}

/// The zone and all that signing adds to it, as one that was signed elsewhere.
fn exported(zone: &Zone, signed: &Signed) -> Zone {
    let mut builder = Builder::new(zone.apex());
    let mut put_item = |owner: &Name, item: &crate::zone::signed::Item<'_>| {
        item.rdatas().for_each(|rdata| _ = builder.add(owner, item.rtype, item.ttl(), rdata));
        item.rrsigs().for_each(|rdata| _ = builder.add(owner, rtype::RRSIG, item.ttl(), rdata));
    };
    for (place, entry) in signed.entries() {
        let name = zone.node_in(place).name();
        entry.items().for_each(|item| put_item(&name, &item));
        if let Some((hash, place)) = entry.hashed().and_then(|number| signed.chain().hashed(number)) {
            put_item(&zone.apex().child(base32(hash).as_bytes()).unwrap(), &signed.item_at(place));
        }
    }
    for node in zone.nodes() {
        for rrset in node.rrsets() {
            rrset.rdatas().for_each(|rdata| _ = builder.add(&node.name(), rrset.rtype, rrset.ttl, &rdata));
        }
    }
    builder.finish()
}

/// A zone that was signed elsewhere has, gathered, what it had where it was signed; faults are found by their kind.
#[test]
fn presigned_zones_are_served_as_they_are() {
    for denial in [Denial::Nsec, Denial::Nsec3 { opt_out: false }] {
        let keys = [key(257, Timing::default())];
        let zone = zone(20, 1);
        assert!(!presigned::is_presigned(&zone));
        let signed = sign_at(&zone, &keys, denial, NOW, None);
        let elsewhere = exported(&zone, &signed);
        assert!(presigned::is_presigned(&elsewhere));
        let gathered = presigned::gather(&elsewhere).unwrap();
        assert_eq!(gathered.facts.n_signatures, signed.facts.n_signatures);
        assert_eq!(gathered.facts.renew_at, None);
        assert_eq!(verify(&elsewhere, &gathered, NOW, 9), []);
        let faults = verify(&elsewhere, &gathered, NOW + 20 * DAY, 3);
        assert!(faults.len() == 3 && faults.iter().all(|(.., fault)| matches!(fault, Fault::Ended(_))));
        assert!(matches!(verify(&elsewhere, &gathered, NOW - DAY, 1)[0].2, Fault::Early(_)));
        // A hash is no name.
        let hash = elsewhere.nodes().find(|node| node.is_hash()).map(|node| node.name());
        assert_eq!(hash.is_some(), denial != Denial::Nsec);
        if let Some(name) = hash {
            let buf = crate::wire::NameBuf::from(&name);
            assert!(matches!(elsewhere.lookup(&buf, 1, rtype::NSEC3), crate::zone::lookup::Found::NxDomain));
        }
    }
    assert!(presigned::gather(&zone(1, 1)).unwrap_err().contains("neither NSEC nor NSEC3"));
}
