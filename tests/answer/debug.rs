//! The debug zone: what it says, to whom, and that it is bounded.

use crate::fixture::{Query, Steered, full_house, options, print, query, send, send_by, steered};
use floodway::answer::{Client, Ede, Link, Rcode, Scratch, Transport, answer};
use floodway::exchange::access::{Access, Prefixes};
use floodway::exchange::{House, Snapshot};
use std::sync::Arc;

fn world(house: House) -> Snapshot {
    steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() }).with_house(Arc::new(house))
}

/// A question of class CH, over TCP, in one line.
fn ask(question: &str) -> String {
    let mut q = query(question);
    *q.question.last_mut().unwrap() = 3;
    print(&send_by(&world(full_house()), &q.wire(), Transport::Tcp).1)
}

fn check(question: &str, parts: &[&str]) {
    let said = ask(question);
    parts.iter().for_each(|part| assert!(said.contains(part), "{question}: no {part:?} in {said}"));
}

#[test]
fn the_debug_zone_tells_and_explains() {
    check("why.www.example.com.floodway. TXT", &["NOERROR aa", "steered by group web~", "slot", "ams~", "reply"]);
    check("WHY-AAAA.www.example.com.floodway. TXT", &["www~ AAAA for 192.0.2.200"]);
    check("why-txt.www.example.com.floodway. TXT", &["www~ TXT for"]);
    check("why.elsewhere.test.floodway. TXT", &["not in a zone of this server", "REFUSED"]);
    check("generation.floodway. TXT", &["generation 1", "plan declared", "zones 2, POPs 0, groups 1"]);
    check("zones.floodway. TXT", &["TXT ~ 7"]);
    check("floodway. TXT", &["why.<name>.floodway.", "zones.floodway."]);
    assert_eq!(ask("generation.floodway. A"), "NOERROR aa");
    assert_eq!(ask("nothing.floodway. TXT"), "NXDOMAIN aa");
    assert_eq!(ask("why-nothing.example.com.floodway. TXT"), "NXDOMAIN aa");
    assert_eq!(ask("nowhere.pop.floodway. TXT"), "NXDOMAIN aa");
    assert_eq!(ask("pop.floodway. TXT"), "NXDOMAIN aa");
}

/// RFC 7871: the client subnet decides whom it is explained for, and what is said holds for that one alone.
#[test]
fn it_explains_for_the_client_asked_about() {
    let mut q = query("why.www.example.com.floodway. TXT").ecs("203.0.113.0/24");
    *q.question.last_mut().unwrap() = 3;
    let house = House { ecs: None, ..full_house() };
    let (outcome, reply) = send_by(&world(house), &q.wire(), Transport::Tcp);
    assert!(print(&reply).contains("for 203.0.113.0"), "{}", print(&reply));
    assert_eq!((outcome.scope, options(&reply).unwrap()[0].1[3]), (24, 24));
}

/// RFC 8914 section 4.19: a proxy in front that does not name its clients (the PROXY protocol, section 2) lets nobody
/// in by its own address.
#[test]
fn relayed_questions_are_refused() {
    let mut q = query("generation.floodway. TXT");
    *q.question.last_mut().unwrap() = 3;
    for (is_relayed, expected) in [(false, Rcode::NoError), (true, Rcode::Refused)] {
        let link = Link { is_relayed, ..Link::default() };
        let client = Client { addr: [192, 0, 2, 200].into(), transport: Transport::Https, link };
        let mut out = vec![0; 65_535];
        let outcome = answer(&q.wire(), client, &world(full_house()), 0, &mut Scratch::new(0, 0), &mut out);
        assert_eq!(outcome.rcode, expected);
    }
}

/// RFC 8914 section 4.19: what the lists of zones keep from an address, the debug zone keeps as well.
#[test]
fn it_tells_nothing_of_hidden_zones() {
    let org = ("example.org".parse().unwrap(), Prefixes::loopback());
    let house = House { access: Access::new(None, [org]), ecs: None, ..full_house() };
    let ask = |q: Query| {
        let mut q = q;
        *q.question.last_mut().unwrap() = 3;
        print(&send_by(&world(house.clone()), &q.wire(), Transport::Tcp).1)
    };
    let why = ask(query("why.www.example.org.floodway. TXT").ecs("127.0.0.0/24"));
    assert!(why.contains("not in a zone of this server") && !why.contains("198.51.100.80"), "{why}");
    let alias = ask(query("why.over.example.com.floodway. TXT"));
    assert!(alias.contains("not in a zone of this server") && !alias.contains("198.51.100.80"), "{alias}");
    assert!(!ask(query("zones.floodway. TXT")).contains("example.org"));
}

/// Nobody but those on the list hears of it; what does not fit into a datagram is truncated; without the zone, the name
/// is one of class CH like any other.
#[test]
fn the_debug_zone_is_bounded() {
    let mut q = query("why.www.example.com.floodway. TXT");
    *q.question.last_mut().unwrap() = 3;
    let mut house = full_house();
    house.debug.as_mut().unwrap().access = Prefixes::loopback();
    let outcome = send(&world(house.clone()), &q.wire()).0;
    assert_eq!((outcome.rcode, outcome.ede), (Rcode::Refused, Some(Ede::Prohibited)));
    house.debug = None;
    assert_eq!(send(&world(house), &q.wire()).0.ede, Some(Ede::NotAuthoritative));
    let (outcome, reply) = send(&world(full_house()), &q.wire());
    assert!(outcome.truncated && reply.len() <= 512);
}
