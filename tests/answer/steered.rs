//! Steered names: who answers, with what TTL and scope, and what happens when nobody can.

use crate::fixture::{Steered, print, query, send, steered, zone};
use floodway::answer::explain;
use floodway::clock::Now;
use floodway::control::{Inputs, State, tick};
use floodway::exchange::{Snapshot, TallySum};
use floodway::geo::{Cell, CellMap, Match};
use floodway::id::{MemberIdx, PopIdx, RuleIdx};
use floodway::policy::{AllDown, BreakerConfig, Effect, Pop, Role, Route};
use floodway::steering::{BreakerState, Demand, OwnBreaker, PopPlan, Table};
use floodway::telemetry::{Sample, Utilisation};
use floodway::units::LatLon;
use floodway::wire::rtype;
use floodway::zone::ZoneSet;
use std::sync::Arc;

const NEGATIVE: &str = "~ 60 SOA ns1~ host~ 7 3600 600 86400 60";
/// As [`NEGATIVE`], where it was the policy that had no address to give: with the plan's TTL.
const NO_ADDRESS: &str = "~ 33 SOA ns1~ host~ 7 3600 600 86400 60";
/// Shares that give one member everything.
const AMS: [f32; 5] = [1.0, 0.0, 0.0, 0.0, 0.0];
const FRA: [f32; 5] = [0.0, 1.0, 0.0, 0.0, 0.0];
const V4: [f32; 5] = [0.0, 0.0, 1.0, 0.0, 0.0];
const EDGE: [f32; 5] = [0.0, 0.0, 0.0, 1.0, 0.0];
const FAR: [f32; 5] = [0.0, 0.0, 0.0, 0.0, 1.0];
const NOBODY: [f32; 5] = [0.0; 5];

fn ask(world: Steered, question: &str) -> String {
    print(&send(&steered(world), &query(question).wire()).1)
}

fn check(shares: [f32; 5], question: &str, expected: &str) {
    assert_eq!(ask(Steered { shares, ..Steered::default() }, question), expected, "{question}");
}

/// The member's addresses with the plan's TTL, at names with and without records of their own, and at wildcards.
#[test]
fn members_answer() {
    check(AMS, "www.example.com. A", "NOERROR aa | www~ 33 A 192.0.2.11");
    check(AMS, "www.example.com. AAAA", "NOERROR aa | www~ 33 AAAA 2001:db8::b");
    check(AMS, "api.example.com. A", "NOERROR aa | api~ 33 A 192.0.2.11");
    check(AMS, "x.y.any.example.com. A", "NOERROR aa | x.y.any~ 33 A 192.0.2.11");
    check(AMS, "alias.example.com. A", "NOERROR aa | alias~ 300 CNAME www~, www~ 33 A 192.0.2.11");
    check(V4, "www.example.com. AAAA", &format!("NOERROR aa |  | {NO_ADDRESS}"));
}

/// Types other than addresses come from the zone, and if it has none there is none: never NXDOMAIN.
#[test]
fn other_types_come_from_the_zone() {
    check(AMS, "www.example.com. TXT", "NOERROR aa | www~ 33 TXT hello");
    for question in
        ["www.example.com. HTTPS", "api.example.com. HTTPS", "x.any.example.com. SVCB", "api.example.com. MX"]
    {
        check(AMS, question, &format!("NOERROR aa |  | {NO_ADDRESS}"));
    }
    // Without external members no pick has a say in it, and the zone's TTLs hold.
    let mut world = steered(Steered::default());
    world.answers = Arc::new(vec![world.answers[0][..3].to_vec()]);
    let ask = |question| print(&send(&world, &query(question).wire()).1);
    assert_eq!(ask("www.example.com. TXT"), "NOERROR aa | www~ 300 TXT hello");
    assert_eq!(ask("api.example.com. HTTPS"), format!("NOERROR aa |  | {NEGATIVE}"));
    check(AMS, "any.example.com. A", &format!("NOERROR aa |  | {NEGATIVE}"));
    check(AMS, "there.wild.example.com. A", "NOERROR aa | there.wild~ 300 A 192.0.2.43");
}

/// RFC 8482 section 4.1: ANY gets one RRset, but never the zone's own addresses, which a resolver might keep and give
/// out as if they had been picked (RFC 2181 section 5.4.1); where there is nothing else, section 4.2, a HINFO.
#[test]
fn any_does_not_leak_the_fallback() {
    check(AMS, "www.example.com. ANY", "NOERROR aa | www~ 300 TXT hello");
    check(AMS, "alias.example.com. ANY", "NOERROR aa | alias~ 300 CNAME www~");
    check(AMS, "api.example.com. ANY", "NOERROR aa | api~ 3600 HINFO RFC8482");
    check(AMS, "x.any.example.com. ANY", "NOERROR aa | x.any~ 3600 HINFO RFC8482");
}

/// RFC 2308 section 5: how long a denial lasts is the TTL of its SOA. Where it is the pick that has no address, it
/// lasts no longer than the pick; a SOA that says less is left as it is.
#[test]
fn denials_of_a_pick_last_as_long_as_the_pick() {
    check(V4, "www.example.com. AAAA", &format!("NOERROR aa |  | {NO_ADDRESS}"));
    check(V4, "alias.example.com. AAAA", &format!("NOERROR aa | alias~ 300 CNAME www~ | {NO_ADDRESS}"));
    let mut short = steered(Steered { shares: V4, ..Steered::default() });
    let lines = "@ SOA ns1 host 7 3600 600 86400 5\n@ NS ns1\nwww TXT hello";
    let mut zones = ZoneSet::new(vec![zone("example.com.", lines)]);
    zones.steer(short.policies.steers.iter().map(|s| (&s.name, s.group)));
    short.zones = zones.into();
    let reply = print(&send(&short, &query("www.example.com. AAAA").wire()).1);
    assert_eq!(reply, "NOERROR aa |  | ~ 5 SOA ns1~ host~ 7 3600 600 86400 5");
}

/// External members answer by CNAME, followed if the target is ours.
#[test]
fn external_members_are_aliases() {
    let org = "www.example.org. 300 A 198.51.100.80";
    check(EDGE, "www.example.com. A", &format!("NOERROR aa | www~ 33 CNAME www.example.org., {org}"));
    check(
        EDGE,
        "api.example.com. AAAA",
        "NOERROR aa | api~ 33 CNAME www.example.org. | example.org. 300 SOA ns1~ host.example.org. 3 3600 600 86400 3600",
    );
    check(FAR, "x.any.example.com. A", "NOERROR aa | x.any~ 33 CNAME far.elsewhere.test.");
}

/// RFC 1034 section 3.6.2 and RFC 2181 section 10.1: an alias stands alone, so it is the answer for every type, also
/// where the zone has data; asked for itself it is not followed. ANY is minimal. None of it is counted as demand.
#[test]
fn external_members_are_aliases_for_every_type() {
    let org = "example.org. 300 SOA ns1~ host.example.org. 3 3600 600 86400 3600";
    for question in ["www.example.com. TXT", "www.example.com. HTTPS", "www.example.com. DS", "www.example.com. 65280"]
    {
        check(EDGE, question, &format!("NOERROR aa | www~ 33 CNAME www.example.org. | {org}"));
        check(FAR, question, "NOERROR aa | www~ 33 CNAME far.elsewhere.test.");
    }
    check(EDGE, "x.any.example.com. CNAME", "NOERROR aa | x.any~ 33 CNAME www.example.org.");
    check(AMS, "x.any.example.com. CNAME", &format!("NOERROR aa |  | {NO_ADDRESS}"));
    check(EDGE, "www.example.com. ANY", "NOERROR aa | www~ 300 TXT hello");
    let snapshot = steered(Steered { shares: EDGE, ..Steered::default() });
    send(&snapshot, &query("www.example.com. TXT").wire());
    assert_eq!(snapshot.tally.sum().total(), 0);
}

/// `all-down=`: what stands in when nobody may be given, no longer than the plan's TTL: the next plan may have
/// somebody (RFC 1034 section 3.6, the TTL says how long a record may be used).
#[test]
fn nobody_left() {
    let www = "www~ 33 A 192.0.2.80, www~ 33 A 192.0.2.81";
    let check = |all_down, question: &str, expected: &str| {
        let world = Steered { shares: NOBODY, all_down, ..Steered::default() };
        assert_eq!(ask(world, question), expected, "{all_down:?}");
    };
    check(AllDown::Static, "www.example.com. A", &format!("NOERROR aa | {www}"));
    check(AllDown::Static, "api.example.com. A", &format!("NOERROR aa |  | {NO_ADDRESS}"));
    check(AllDown::Static, "alias.example.com. A", &format!("NOERROR aa | alias~ 300 CNAME www~, {www}"));
    check(AllDown::NoData, "www.example.com. A", &format!("NOERROR aa |  | {NO_ADDRESS}"));
    check(AllDown::ServFail, "www.example.com. A", "SERVFAIL");
    check(AllDown::ServFail, "alias.example.com. A", "SERVFAIL");
    check(AllDown::ServFail, "www.example.com. TXT", "NOERROR aa | www~ 33 TXT hello");
    let explained = |all_down, question: &str| {
        let world = steered(Steered { shares: NOBODY, all_down, ..Steered::default() });
        let steering = explain(&question.parse().unwrap(), [10, 0, 0, 1].into(), rtype::A, &world).steering.unwrap();
        format!("{} s, {}", steering.ttl, steering.ttl_why)
    };
    let bounded = "33 s, for the zone's records as well: chosen by the plan within ttl=20..60";
    assert_eq!(explained(AllDown::Static, "www.example.com."), bounded);
    assert_eq!(explained(AllDown::NoData, "www.example.com."), bounded);
    assert_eq!(explained(AllDown::ServFail, "www.example.com."), "0 s, there is nothing to keep");
    // A zone that says less is left as it is.
    let mut short = steered(Steered { shares: NOBODY, ..Steered::default() });
    let lines = "@ SOA ns1 host 7 3600 600 86400 5\n@ NS ns1";
    let mut zones = ZoneSet::new(vec![zone("example.com.", lines)]);
    zones.steer(short.policies.steers.iter().map(|s| (&s.name, s.group)));
    short.zones = zones.into();
    let explanation = explain(&"api.example.com.".parse().unwrap(), [10, 0, 0, 1].into(), rtype::A, &short);
    assert!(explanation.to_string().contains("ttl      5 s, as in the zone, which is less than the 33 s of the plan"));
}

/// The same by the whole way from samples: `ams` fails all requests and all clients are kept to it. `all` and `last`
/// name it all the same, and neither the member that is up nor the externals, which are outside the fence.
#[test]
fn all_down_by_what_is_reported() {
    let check = |all_down, expected: &str| {
        let fence = Cell { rules: vec![RuleIdx(0)], ..CellMap::nowhere().cells[0].clone() };
        let cells = CellMap::from_cells(vec![fence]);
        let before = steered(Steered { all_down, cells, ..Steered::default() });
        let mut policies = (*before.policies).clone();
        let pop = |label: &str| Pop {
            name: format!("{label}.pop.example.com.").parse().unwrap(),
            at: LatLon { lat: 52.0, lon: 5.0 },
            capacity: 1000.0,
            max: 1000.0,
            price: 0.0,
            co2: 0.0,
            spill: None,
            breaker: BreakerConfig::default(),
            probe: None,
        };
        policies.pops = vec![pop("ams"), pop("v4")];
        let group = &mut policies.groups[0];
        for (member, pop) in [(0, 0), (2, 1)] {
            (group.members[member].pop, group.members[member].role) = (Some(PopIdx(pop)), Role::Active);
        }
        let only = Effect::Only(vec![MemberIdx(0)]);
        group.routes = vec![Route { when: Match::default(), effect: only, text: "web ROUTE members=ams only".into() }];
        let failing = Sample {
            pop: policies.pops[0].name.clone(),
            group: policies.groups[0].name.clone(),
            member: None,
            at: 1000.0,
            window_secs: 10.0,
            requests: 1000.0,
            errors: 1000.0,
            latency: None,
            capacity: None,
            utilisation: Utilisation::default(),
            shadow: None,
            cells: Vec::new(),
        };
        let (policies, cells) = (Arc::new(policies), before.cells.clone());
        let tally = TallySum::default();
        let inputs = Inputs {
            policies: &policies,
            cells: &cells,
            samples: &[failing],
            probes: &[],
            tally: &tally,
            calendar: None,
        };
        let ticked = tick(&mut State::new(1), &inputs, Now { mono: 1000.0, unix: 1000.0 });
        assert_eq!(ticked.plan.groups[0].members[0].usable, Err("Open"));
        let table = Table::compile(&ticked.plan, &policies, &cells.cells, None);
        let (zones, answers) = (before.zones.clone(), before.answers.clone());
        let snapshot = Snapshot::first(3, zones, policies, cells, answers, Arc::new(ticked.plan), Arc::new(table));
        let reply = print(&send(&snapshot, &query("www.example.com. A").wire()).1);
        assert!(reply.contains(expected), "{all_down:?}: {reply}");
    };
    check(AllDown::All, "A 192.0.2.11");
    check(AllDown::Last, "A 192.0.2.11");
    check(AllDown::Static, "www~ 20 A 192.0.2.80, www~ 20 A 192.0.2.81");
    check(AllDown::ServFail, "SERVFAIL");
    check(AllDown::NoData, "NOERROR aa |  | ~ ");
}

/// `answers=` bounds the addresses; which ones turns from client to client and is the same for A and AAAA.
#[test]
fn answers_rotate() {
    for (answers, n) in [(1, 1), (2, 2), (3, 3), (9, 3)] {
        let snapshot = steered(Steered { shares: FRA, answers, ..Steered::default() });
        let mut firsts = std::collections::BTreeSet::new();
        for i in 0..64 {
            let client = format!("198.51.{i}.0/24");
            let first = |rtype: &str, before: &str| {
                let (_, reply) = send(&snapshot, &query(&format!("www.example.com. {rtype}")).ecs(&client).wire());
                let text = print(&reply);
                assert_eq!(text.matches("www~ 33 ").count(), n, "{text}");
                text.split(before).nth(1).unwrap().split(',').next().unwrap().to_string()
            };
            let a = first("A", "192.0.2.").parse::<u8>().unwrap();
            let aaaa = u8::from_str_radix(&first("AAAA", "2001:db8::"), 16).unwrap();
            assert_eq!(a, aaaa);
            firsts.insert(a);
        }
        assert_eq!(firsts.len(), 3);
    }
}

/// One client has one member for both families; different clients spread by the shares; every answer is counted.
#[test]
fn picks_are_sticky_and_counted() {
    let snapshot = steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() });
    let mut n_ams = 0;
    for i in 0..1000u32 {
        let client = format!("10.{}.{}.0/24", i / 256, i % 256);
        let ask =
            |rtype: &str| print(&send(&snapshot, &query(&format!("api.example.com. {rtype}")).ecs(&client).wire()).1);
        let (a, aaaa) = (ask("A"), ask("AAAA"));
        assert_eq!(a, ask("A"));
        assert_eq!(a.contains("192.0.2.11"), aaaa.contains("2001:db8::b"));
        n_ams += u64::from(a.contains("192.0.2.11"));
    }
    assert!((400..600).contains(&n_ams), "{n_ams}");
    let sum = snapshot.tally.sum();
    assert_eq!(sum.answered[0][0], 3 * n_ams);
    assert_eq!(sum.queries[0].iter().sum::<u64>(), 3000);
    let nobody = steered(Steered { shares: NOBODY, ..Steered::default() });
    send(&nobody, &query("www.example.com. A").wire());
    assert_eq!(nobody.tally.sum().all_down, [1]);
}

/// Explain says what weighs on each member and what finds no room: who is sent elsewhere by money, carbon, a bound or a breaker
/// of a member's own must be able to see it.
#[test]
fn explain_tells_what_weighs_and_what_is_short() {
    let mut snapshot = steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() });
    let (mut policies, mut plan) = ((*snapshot.policies).clone(), (*snapshot.plan).clone());
    policies.pops.push(Pop {
        name: "ams.pop.example.com.".parse().unwrap(),
        at: LatLon { lat: 52.3, lon: 4.8 },
        capacity: 1000.0,
        max: 1000.0,
        price: 0.0,
        co2: 350.0,
        spill: Some(0.2),
        breaker: BreakerConfig::default(),
        probe: None,
    });
    (policies.groups[0].co2_price, policies.groups[0].members[0].pop) = (0.1, Some(PopIdx(0)));
    plan.pops.push(PopPlan {
        breaker: BreakerState::Closed,
        reason: "20 % of its target are taken by clients from elsewhere: +3 ms for them".into(),
        capacity: 1000.0,
        target: 850.0,
        load: 700.0,
        price_ms: 0.0,
        silent_secs: 1.0,
    });
    let own = OwnBreaker { state: BreakerState::HalfOpen, reason: "probing after 40 s".into() };
    plan.groups[0].members[1].breaker = Some(Arc::new(own));
    plan.groups[0].demand = Demand { now: 18_000.0, planned: 27_000.0, ahead: None };
    plan.groups[0].short = 4620.0;
    (snapshot.policies, snapshot.plan) = (Arc::new(policies), Arc::new(plan));
    let text = explain(&"www.example.com.".parse().unwrap(), [10, 0, 0, 1].into(), rtype::A, &snapshot).to_string();
    let line = |word: &str| text.lines().find(|line| line.contains(word)).unwrap_or_default();
    assert_eq!(
        line("demand").trim(),
        "demand   18k requests/s now, planned for 27k; short of 4.62k (17.1 %)",
        "{text}"
    );
    assert!(line("+ 35.00 ms carbon").contains("taken by clients from elsewhere: +3 ms"), "{text}");
    assert!(line("breaker HalfOpen").ends_with("breaker HalfOpen: probing after 40 s"), "{text}");
}

/// Explain gives the reply that a query would get, counts nothing, and names each step.
#[test]
fn explain_tells_every_step() {
    let snapshot = steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() });
    let explanation = explain(&"alias.example.com.".parse().unwrap(), [10, 0, 0, 1].into(), rtype::A, &snapshot);
    let reply = print(&send(&snapshot, &query("alias.example.com. A").ecs("10.0.0.1/32").wire()).1);
    let address = explanation.answer.last().unwrap().rsplit(' ').next().unwrap();
    assert!(reply.ends_with(address), "{reply} {explanation}");
    let steering = explanation.steering.as_ref().unwrap();
    let chosen: Vec<_> = steering.candidates.iter().filter(|c| c.chosen).map(|c| c.member.as_str()).collect();
    assert_eq!(chosen, [steering.picked.as_ref().unwrap().member.as_str()]);
    assert_eq!(steering.by, "www.example.com. STEER web.example.com.");
    let text = explanation.to_string();
    for word in [
        "an alias",
        "steered by group web.example.com.",
        "place",
        "unknown",
        "slot",
        "ttl      33 s",
        "reply    NOERROR",
    ] {
        assert!(text.contains(word), "{word} is in\n{text}");
    }
    assert_eq!(snapshot.tally.sum().total(), 1, "the one query that was sent");
    assert!(serde_json::to_string(&explanation).unwrap().contains("\"rcode\":\"NOERROR\""));
    let none = explain(&"x.sub.example.com.".parse().unwrap(), [10, 0, 0, 1].into(), rtype::A, &snapshot);
    assert_eq!(none.steps[0].found, "delegated at sub.example.com.");
}
