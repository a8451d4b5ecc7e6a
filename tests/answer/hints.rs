//! Address hints of SVCB and HTTPS whose target is steered (RFC 9460 section 7.3): the same pick as A and AAAA.

use crate::fixture::{Steered, loaded, print, query, send, send_by, steered};
use floodway::answer::{Transport, explain};
use floodway::exchange::Snapshot;
use floodway::policy::{AllDown, Pick};
use floodway::wire::rtype;
use floodway::zone::ZoneSet;
use std::sync::Arc;

const ZONE: &str = "
@              SOA    ns1 host 7 3600 600 86400 60
               NS     ns1
ns1            A      192.0.2.53
www            A      192.0.2.80
               HTTPS  1 . alpn=h2 ipv4hint=192.0.2.80 ipv6hint=2001:db8::80
api            HTTPS  1 . mandatory=alpn,ipv4hint alpn=h2 port=8443 ipv4hint=192.0.2.80
_8443._https   HTTPS  1 www alpn=h3 ipv6hint=2001:db8::80 key667=x
_dns           SVCB   1 www mandatory=ipv6hint alpn=dot ipv6hint=2001:db8::80
mixed          HTTPS  1 www alpn=h2 ipv4hint=192.0.2.80
               HTTPS  2 plain alpn=h2 ipv4hint=192.0.2.90
               HTTPS  3 far.elsewhere.test. alpn=h2 ipv4hint=203.0.113.1
plain          A      192.0.2.90
none           HTTPS  1 www alpn=h2
front          HTTPS  0 www
*.any          HTTPS  1 . ipv4hint=192.0.2.80
";

const AMS: [f32; 5] = [1.0, 0.0, 0.0, 0.0, 0.0];
const FRA: [f32; 5] = [0.0, 1.0, 0.0, 0.0, 0.0];
const V4: [f32; 5] = [0.0, 0.0, 1.0, 0.0, 0.0];
const FAR: [f32; 5] = [0.0, 0.0, 0.0, 0.0, 1.0];
const NOBODY: [f32; 5] = [0.0; 5];

fn world(steered_by: Steered) -> Snapshot {
    let is_external = steered_by.shares[4] > 0.0;
    let mut world = steered(steered_by);
    let mut zones = ZoneSet::new(vec![loaded("example.com.", ZONE)]);
    zones.steer(world.policies.steers.iter().map(|s| (&s.name, s.group)));
    world.zones = Arc::new(zones);
    if !is_external {
        // Policies refuse external members where there are other types; without them no other type is picked.
        world.answers = Arc::new(vec![world.answers[0][..3].to_vec()]);
    }
    world
}

fn answer(world: &Snapshot, question: &str) -> String {
    let reply = print(&send(world, &query(question).edns(1232).wire()).1);
    assert!(reply.starts_with("NOERROR aa | "), "{reply}");
    reply.split(" | ").nth(1).unwrap_or_default().to_string()
}

fn check(shares: [f32; 5], question: &str, expected: &str) {
    assert_eq!(answer(&world(Steered { shares, ..Steered::default() }), question), expected, "{question}");
}

/// The pick's addresses in place of the zone's, in order of keys, with the plan's TTL.
#[test]
fn hints_are_the_picks() {
    check(AMS, "www.example.com. HTTPS", "www~ 33 HTTPS 1 . alpn=h2, ipv4hint=192.0.2.11, ipv6hint=2001:db8::b");
    check(
        AMS,
        "api.example.com. HTTPS",
        "api~ 33 HTTPS 1 . mandatory=alpn,ipv4hint, alpn=h2, port=8443 ipv4hint=192.0.2.11",
    );
    check(
        AMS,
        "_8443._https.example.com. HTTPS",
        "_8443._https~ 33 HTTPS 1 www~ alpn=h3, ipv6hint=2001:db8::b, unknown667=\"x\"",
    );
    check(AMS, "x.any.example.com. HTTPS", "x.any~ 33 HTTPS 1 . ipv4hint=192.0.2.11");
    check(AMS, "none.example.com. HTTPS", "none~ 300 HTTPS 1 www~ alpn=h2");
}

/// Only hints of steered targets are the pick's, and the TTL is one for the RRset (RFC 2181 section 5.2).
#[test]
fn other_targets_keep_their_hints() {
    check(
        AMS,
        "mixed.example.com. HTTPS",
        "mixed~ 33 HTTPS 1 www~ alpn=h2, ipv4hint=192.0.2.11, mixed~ 33 HTTPS 2 plain~ alpn=h2, ipv4hint=192.0.2.90, \
         mixed~ 33 HTTPS 3 far.elsewhere.test. alpn=h2, ipv4hint=203.0.113.1",
    );
}

/// RFC 9460 section 8: what is mandatory is there, so what is not there is not mandatory.
#[test]
fn a_family_that_the_pick_lacks_has_no_hint() {
    check(V4, "www.example.com. HTTPS", "www~ 33 HTTPS 1 . alpn=h2, ipv4hint=192.0.2.30");
    check(V4, "_dns.example.com. SVCB", "_dns~ 33 SVCB 1 www~ alpn=dot");
}

/// An alias has no addresses to hint at, and where nobody may be given the zone's records stand in or nothing does.
#[test]
fn hints_without_a_member() {
    check(FAR, "_8443._https.example.com. HTTPS", "_8443._https~ 33 HTTPS 1 www~ alpn=h3, unknown667=\"x\"");
    let all_down =
        |all_down| answer(&world(Steered { shares: NOBODY, all_down, ..Steered::default() }), "www.example.com. HTTPS");
    let of_zone = "www~ 33 HTTPS 1 . alpn=h2, ipv4hint=192.0.2.80, ipv6hint=2001:db8::80";
    assert_eq!(all_down(AllDown::Static), of_zone);
    assert_eq!(all_down(AllDown::All), of_zone);
    assert_eq!(all_down(AllDown::NoData), "www~ 33 HTTPS 1 . alpn=h2");
    assert_eq!(all_down(AllDown::ServFail), "www~ 33 HTTPS 1 . alpn=h2");
    let spread = world(Steered { shares: AMS, pick: Pick::Spread, ..Steered::default() });
    assert_eq!(answer(&spread, "www.example.com. HTTPS"), "www~ 300 HTTPS 1 . alpn=h2");
}

/// The same client gets the same addresses, in the same order, by A, by AAAA, by hint and beside the answer; the scope is
/// that of the pick (RFC 7871 section 7.2.1), and nothing but A and AAAA is counted.
#[test]
fn hints_agree_with_addresses() {
    let world = world(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], answers: 2, ..Steered::default() });
    let list = |text: &str, rtype: &str| {
        let records = text.split(", ").filter_map(|r| r.split_once(rtype).map(|(_, address)| address.to_string()));
        records.collect::<Vec<_>>().join(",")
    };
    for i in 0..100 {
        let ask = |question: &str| send(&world, &query(question).ecs(&format!("203.0.{i}.0/24")).wire());
        let (https, reply) = ask("www.example.com. HTTPS");
        let reply = print(&reply);
        let (a, a_reply) = ask("www.example.com. A");
        let (_, aaaa_reply) = ask("www.example.com. AAAA");
        let (v4, v6) = (list(&print(&a_reply), " A "), list(&print(&aaaa_reply), " AAAA "));
        assert!(reply.contains(&format!("ipv4hint={v4},")), "{v4} in {reply}");
        assert!(reply.contains(&format!("ipv6hint={v6}")), "{v6} in {reply}");
        let beside = reply.split(" | ").nth(3).unwrap();
        assert_eq!((list(beside, " A "), list(beside, " AAAA ")), (v4, v6));
        assert_eq!((https.scope, https.steered), (a.scope, a.steered));
        assert_eq!(https.scope, 24);
    }
    assert_eq!(world.tally.sum().total(), 200);
}

/// RFC 9460 section 4.1: records of an alias's target go along, with the pick's hints as well.
#[test]
fn records_that_go_along_have_the_picks_hints() {
    let world = world(Steered { shares: FRA, ..Steered::default() });
    let reply = print(&send(&world, &query("front.example.com. HTTPS").edns(1232).wire()).1);
    assert!(reply.starts_with("NOERROR aa | front~ 300 HTTPS 0 www~ |  | www~ 33 A 192.0.2.2"), "{reply}");
    assert!(reply.contains("www~ 33 HTTPS 1 . alpn=h2, ipv4hint=192.0.2.2"), "{reply}");
}

/// RFC 8482 section 4.1: the one RRset that ANY gets has the pick's hints too, since resolvers may keep it.
#[test]
fn any_has_the_picks_hints() {
    check(
        AMS,
        "api.example.com. ANY",
        "api~ 33 HTTPS 1 . mandatory=alpn,ipv4hint, alpn=h2, port=8443 ipv4hint=192.0.2.11",
    );
    check(AMS, "_dns.example.com. ANY", "_dns~ 33 SVCB 1 www~ mandatory=ipv6hint, alpn=dot, ipv6hint=2001:db8::b");
    check(FAR, "_8443._https.example.com. ANY", "_8443._https~ 33 HTTPS 1 www~ alpn=h3, unknown667=\"x\"");
}

/// RFC 2181 section 9: an RRset goes in whole or not at all, at the length that it has with its hints. Our choice: of more
/// than 16 records, those after have none.
#[test]
fn hints_that_do_not_fit() {
    let records: String =
        (1..40).map(|i| format!("www HTTPS {i} . alpn=h2 ipv4hint=192.0.2.80 ipv6hint=2001:db8::80\n")).collect();
    let mut world = world(Steered { shares: AMS, ..Steered::default() });
    let zone = loaded("example.com.", &format!("@ SOA ns1 host 7 3600 600 86400 60\n@ NS ns.other.test.\n{records}"));
    let mut zones = ZoneSet::new(vec![zone]);
    zones.steer(world.policies.steers.iter().map(|s| (&s.name, s.group)));
    world.zones = Arc::new(zones);
    let (outcome, reply) = send(&world, &query("www.example.com. HTTPS").wire());
    assert!(outcome.truncated && !print(&reply).contains("HTTPS"));
    let (_, whole) = send_by(&world, &query("www.example.com. HTTPS").wire(), Transport::Tcp);
    assert_eq!(print(&whole).matches("ipv4hint=192.0.2.11").count(), 16);
    assert_eq!(print(&whole).matches("ipv4hint").count(), 16);
    assert_eq!(print(&whole).matches("HTTPS").count(), 39);
}

/// What is explained is what was answered.
#[test]
fn explain_tells_of_the_pick() {
    let world = world(Steered { shares: FRA, ..Steered::default() });
    let told = explain(&"www.example.com".parse().unwrap(), "192.0.2.200".parse().unwrap(), rtype::HTTPS, &world);
    let chosen: Vec<_> = told.steering.iter().flat_map(|s| &s.candidates).filter(|c| c.chosen).collect();
    assert_eq!((chosen.len(), chosen[0].member.as_str()), (1, "fra.example.com."));
    assert!(told.answer[0].contains("ipv4hint=192.0.2.2"), "{:?}", told.answer);
}
