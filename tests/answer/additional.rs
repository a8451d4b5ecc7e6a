//! What goes along with an answer: the addresses of the hosts that it leads to.

use crate::fixture::{Steered, loaded, print, query, send, snapshot, steered, zone};
use floodway::exchange::Snapshot;

use floodway::policy::Pick;
use floodway::zone::ZoneSet;
use std::sync::Arc;

const HOSTS: &str = "
@         SOA    ns1 host 7 3600 600 86400 60
          NS     ns1
          NS     ns.child
          NS     ns.other.test.
ns1       A      192.0.2.53
          AAAA   2001:db8::53
child     NS     ns.child
ns.child  A      192.0.2.54
mail      A      192.0.2.25
          MX     10 mail
          MX     20 MAIL
          MX     30 alias
          MX     40 ns.child
          MX     50 gone
          MX     60 www.example.org.
          MX     70 any.wild
alias     CNAME  mail
*.wild    A      192.0.2.42
          SRV    1 2 53 a.wild
          SRV    1 2 53 b.wild
nomail    MX     0 .
_sip._udp SRV    1 2 5060 mail
          SRV    3 4 5060 .
kx        KX     1 mail
afs       AFSDB  1 mail
rt        RT     1 mail
naptr     NAPTR  1 1 \"a\" \"SIP+D2U\" \"\" mail
          NAPTR  2 1 \"S\" \"SIP+D2U\" \"\" _sip._udp
          NAPTR  3 1 \"u\" \"E2U+sip\" \"!^.*$!sip:x@example.com!\" .
lp        LP     10 node
node      L32    10 192.0.2.7
          L64    10 2001:db8:0:1
          A      192.0.2.8
svc       HTTPS  1 . alpn=h2
          HTTPS  2 pool alpn=h2
          HTTPS  3 svc alpn=h2
          A      192.0.2.90
          AAAA   2001:db8::90
pool      HTTPS  1 . alpn=h3
          A      192.0.2.91
alone     HTTPS  0 svc
off       HTTPS  0 .
          A      192.0.2.92
*.any     SVCB   1 .
          A      192.0.2.93
big       MX     1 mail
          TXT    \"x\"
";

fn ask(world: &Snapshot, question: &str) -> String {
    print(&send(world, &query(question).edns(1232).wire()).1)
}

/// The additional section of an answer.
fn check(question: &str, expected: &str) {
    let world = snapshot(vec![
        loaded("example.com.", HOSTS),
        zone("example.org.", "@ SOA ns host 1 1 1 1 1\nwww A 198.51.100.80"),
    ]);
    let reply = ask(&world, question);
    assert!(reply.starts_with("NOERROR aa | ") && !reply.contains(" tc"), "{reply}");
    assert_eq!(reply.split(" | ").nth(3).unwrap_or(""), expected, "{question}: {reply}");
}

/// RFC 1035 sections 3.3.9 and 3.3.11, RFC 2782, RFC 1183 sections 1 and 3.3, RFC 2230 section 2.2: addresses of hosts,
/// once each (RFC 2181 section 5.5 forbids doubles in a set); none of names that are not this zone's to speak for.
#[test]
fn hosts_have_their_addresses_along() {
    let mail = "mail~ 300 A 192.0.2.25";
    check("mail.example.com. MX", &format!("{mail}, any.wild~ 300 A 192.0.2.42"));
    check("nomail.example.com. MX", "");
    check("_sip._udp.example.com. SRV", mail);
    check("x.wild.example.com. SRV", "a.wild~ 300 A 192.0.2.42, b.wild~ 300 A 192.0.2.42");
    check("kx.example.com. 36", mail);
    check("afs.example.com. 18", mail);
    check("rt.example.com. 21", mail);
    check("big.example.com. MX", mail);
    check("big.example.com. TXT", "");
    check("big.example.com. ANY", "");
}

/// The servers of the zone itself, with glue where one lies below a cut (RFC 1034 section 4.2.1).
#[test]
fn servers_have_their_addresses_along() {
    let servers = "ns1~ 300 A 192.0.2.53, ns1~ 300 AAAA 2001:db8::53, ns.child~ 300 A 192.0.2.54";
    check("example.com. NS", servers);
}

/// RFC 3403 sections 4.1 and 4.2 with the flags of RFC 3404 section 4.3: hosts and services, no rules.
#[test]
fn naptr_leads_by_its_flags() {
    check(
        "naptr.example.com. NAPTR",
        "mail~ 300 A 192.0.2.25, _sip._udp~ 300 SRV 1 2 5060 mail~, _sip._udp~ 300 SRV 3 4 5060 .",
    );
}

/// RFC 6742 section 2.4.2: locators of the name that an LP leads to, not its addresses.
#[test]
fn lp_leads_to_locators() {
    let world = snapshot(vec![loaded("example.com.", HOSTS)]);
    let wire = send(&world, &query("lp.example.com. 107").edns(1232).wire()).1;
    assert_eq!(wire[11], 3, "two locators and OPT");
}

/// RFC 9460 sections 2.5 and 4.1: the target's addresses and its records of the same type; `.` is the owner, or of an
/// alias nothing.
#[test]
fn services_have_their_targets_along() {
    let svc = "svc~ 300 A 192.0.2.90, svc~ 300 AAAA 2001:db8::90";
    let pool = "pool~ 300 A 192.0.2.91, pool~ 300 HTTPS 1 . alpn=h3";
    check("svc.example.com. HTTPS", &format!("{svc}, {pool}"));
    let world = snapshot(vec![loaded("example.com.", HOSTS)]);
    let alone = ask(&world, "alone.example.com. HTTPS");
    assert_eq!(alone.matches("svc~ 300 HTTPS").count(), 3, "{alone}");
    assert!(alone.contains(svc), "{alone}");
    check("off.example.com. HTTPS", "");
    check("x.any.example.com. SVCB", "x.any~ 300 A 192.0.2.93");
}

/// RFC 2181 section 9: what is merely useful is left out where it does not fit, without TC.
#[test]
fn what_does_not_fit_is_left_out() {
    let records: String =
        (0..16).map(|i| format!("@ MX {i} h{i}\nh{i} A 192.0.2.{i}\nh{i} AAAA 2001:db8::{i}\n")).collect();
    let world = snapshot(vec![zone("example.com.", &records)]);
    let (outcome, wire) = send(&world, &query("example.com. MX").wire());
    let reply = print(&wire);
    assert!(!outcome.truncated && outcome.len <= 512);
    assert_eq!(reply.matches(" MX ").count(), 16);
    let along = reply.matches(" A ").count() + reply.matches(" AAAA ").count();
    assert!((1..32).contains(&along), "{reply}");
}

/// Our choice: an RRset of thousands has the first 32 hosts looked up.
#[test]
fn hosts_are_bounded() {
    let records: String = (0..100).map(|i| format!("@ MX {i} h{i}\nh{i} A 192.0.2.{i}\n")).collect();
    let world = snapshot(vec![zone("example.com.", &records)]);
    let wire = crate::fixture::send_by(&world, &query("example.com. MX").wire(), floodway::answer::Transport::Tcp).1;
    assert_eq!(print(&wire).matches(" A ").count(), 32);
}

/// A steered host has the addresses that this client would be given, within their scope, and is not counted.
#[test]
fn steered_hosts_are_picked_for_the_client() {
    let zones = |mut world: Snapshot| {
        let records = format!("{}\nmx MX 10 www\nmx MX 20 mail", crate::fixture::EXAMPLE);
        let mut zones = ZoneSet::new(vec![zone("example.com.", &records)]);
        zones.steer(world.policies.steers.iter().map(|s| (&s.name, s.group)));
        world.zones = Arc::new(zones);
        world
    };
    let even = [0.5, 0.5, 0.0, 0.0, 0.0];
    let world = zones(steered(Steered { shares: even, ..Steered::default() }));
    for i in 0..50 {
        let ecs = format!("203.0.{i}.0/24");
        let direct = send(&world, &query("www.example.com. A").ecs(&ecs).wire());
        let along = send(&world, &query("mx.example.com. MX").ecs(&ecs).wire());
        let (direct_text, along_text) = (print(&direct.1), print(&along.1));
        let address = direct_text.split("| ").nth(1).unwrap();
        assert!(along_text.contains(address) && along_text.contains("www~ 33 AAAA"), "{direct_text} {along_text}");
        assert_eq!(direct.0.scope, along.0.scope);
        assert_eq!(along.0.steered, None, "nobody asked for it");
    }
    assert_eq!(world.tally.sum().total(), 50);
    // A turn is taken by a question alone, and an alias is no address.
    let world = zones(steered(Steered { shares: even, pick: Pick::Spread, ..Steered::default() }));
    let mail = "NOERROR aa | mx~ 300 MX 10 www~, mx~ 300 MX 20 mail~ |  | mail~ 300 A 192.0.2.25";
    assert_eq!(ask(&world, "mx.example.com. MX"), mail);
    let world = zones(steered(Steered { shares: [0.0, 0.0, 0.0, 1.0, 0.0], ..Steered::default() }));
    assert_eq!(ask(&world, "mx.example.com. MX"), mail);
}
