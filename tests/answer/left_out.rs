//! Zones that are this server's to serve and could not be loaded.

use crate::fixture::{EXAMPLE, ORG, options, print, query, send, snapshot, zone};
use floodway::exchange::Snapshot;
use floodway::wire::{Ede, Rcode};
use floodway::zone::ZoneSet;
use std::sync::Arc;

/// `example.com.` is there; of what it holds at `mail` and `b.ent` there should be zones, and of `example.org.`.
fn lacking() -> Snapshot {
    let left_out = ["mail.example.com.", "b.ent.example.com.", "example.org."].map(|apex| apex.parse().unwrap());
    let zones = Arc::new(ZoneSet::lacking(vec![Arc::new(zone("example.com.", EXAMPLE))], &left_out));
    Snapshot { zones, ..snapshot(Vec::new()) }
}

fn check(question: &str, expected: &str) {
    let (outcome, reply) = send(&lacking(), &query(question).edns(1232).wire());
    assert_eq!(print(&reply), expected, "{question}");
    if outcome.rcode == Rcode::ServFail {
        let (code, data) = options(&reply).unwrap().remove(0);
        assert_eq!((outcome.ede, code, &data[..2]), (Some(Ede::InvalidData), 15, &[0, 24][..]));
    }
}

/// RFC 8914 section 4.25. Neither a denial nor a referral out of the zone above, at the apex and below it, for every type.
#[test]
fn names_of_zones_left_out_fail() {
    for question in ["mail.example.com. A", "mail.example.com. SOA", "x.mail.example.com. TXT", "mail.example.com. ANY"]
    {
        check(question, "SERVFAIL");
    }
    check("b.ent.example.com. A", "SERVFAIL");
    check("y.example.org. A", "SERVFAIL");
    check("www.example.net. A", "REFUSED");
}

/// Other servers of the zone may have it: whoever asked goes on to them. Nothing of it is added to what is answered.
#[test]
fn what_leads_there_is_answered() {
    check("over.example.com. A", "NOERROR aa | over~ 300 CNAME www.example.org.");
    check("example.com. MX", "NOERROR aa | ~ 300 MX 10 mail~");
}

/// RFC 4035 section 3.1.4.1: DS is the parent's to answer where that has the cut; if it is the parent that is lacking,
/// the child cannot speak for it.
#[test]
fn ds_is_asked_of_the_parent() {
    let child = |left_out: &str| {
        let zones = vec![Arc::new(zone("sub.example.org.", ORG))];
        let zones = Arc::new(ZoneSet::lacking(zones, &[left_out.parse().unwrap()]));
        let (_, reply) = send(&Snapshot { zones, ..snapshot(Vec::new()) }, &query("sub.example.org. DS").wire());
        print(&reply)
    };
    assert_eq!(child("example.org."), "SERVFAIL");
    assert!(child("example.net.").starts_with("NOERROR aa |"));
}
