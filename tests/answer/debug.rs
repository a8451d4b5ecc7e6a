//! The debug zone: what it says, to whom, and that it is bounded.

use crate::fixture::{Steered, full_house, options, print, query, send, send_by, steered};
use floodway::answer::{Ede, Rcode, Transport};
use floodway::exchange::access::Prefixes;
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
    check("generation.floodway. TXT", &["generation 1", "plan declared", "2 zones, 0 POPs, 1 groups"]);
    check("zones.floodway. TXT", &["TXT ~ 7", "example.org. 3"]);
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
