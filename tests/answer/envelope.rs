//! What goes around an answer: header, EDNS, reasons, and what is told to those who limit and count.

use crate::cookies::COOKIE;
use crate::fixture::{Query, Steered, example, full_house, options, print, query, send, send_by, steered};
use floodway::answer::{Client, Ede, Link, Rcode, Scratch, Transport, answer};
use floodway::exchange::access::{Access, Prefixes};
use floodway::exchange::house::ClientSubnets;
use floodway::exchange::{House, Snapshot};
use floodway::policy::{AllDown, SteerBy};
use floodway::steering::Mode;
use proptest::prelude::*;
use std::sync::Arc;

/// Replies that one flood would bring forth have one key, others have others: names made up below a zone, below a
/// cut or a wildcard are one thing.
#[test]
fn alike_replies_have_one_key() {
    let key = |question| send(&example(), &query(question).wire()).0.key;
    assert_eq!(key("a.example.com. A"), key("b.c.example.com. TXT"));
    assert_eq!(key("a.wild.example.com. A"), key("b.wild.example.com. A"));
    assert_eq!(key("a.sub.example.com. A"), key("b.sub.example.com. AAAA"));
    assert_eq!(key("a.dn.example.com. A"), key("b.dn.example.com. A"));
    assert_eq!((key("elsewhere.test. A"), key("example.com. AXFR")), (0, 0));
    assert_ne!(key("www.example.com. A"), key("www.example.com. AAAA"));
    assert_ne!(key("www.example.com. A"), key("mail.example.com. A"));
    assert_ne!(key("a.example.com. A"), key("a.example.org. A"));
}

/// RFC 2308 section 2.2, RFC 1034 section 3.6.2, RFC 8482: types without data of their own are one thing at a name, so
/// that no flood gets a limit for each of the 65,536; the short way and the long way agree (plain.rs).
#[test]
fn types_that_are_not_there_have_one_key() {
    let key = |world: &Snapshot, question: &str| send(world, &query(question).wire()).0.key;
    let (plain, steered) = (example(), steered(Steered::default()));
    let all_alike = |world: &Snapshot, name: &str, types: &[&str]| {
        let keys: Vec<u64> = types.iter().map(|t| key(world, &format!("{name} {t}"))).collect();
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{name}: {keys:x?}");
        keys[0]
    };
    let none = all_alike(&plain, "www.example.com.", &["MX", "99", "ANY", "DS", "HTTPS", "65000"]);
    assert_ne!(none, key(&plain, "www.example.com. TXT"));
    all_alike(&plain, "ent.example.com.", &["A", "TXT", "ANY"]);
    all_alike(&plain, "alias.example.com.", &["A", "AAAA", "MX", "99"]);
    all_alike(&plain, "gone.example.com.", &["A", "TXT", "65000"]);
    all_alike(&steered, "api.example.com.", &["MX", "ANY", "HTTPS"]);
    assert_ne!(key(&steered, "api.example.com. A"), key(&steered, "api.example.com. AAAA"));
}

/// RFC 8914 section 4: each reason where it is true.
#[test]
fn reasons_are_true() {
    let why = |question| {
        let outcome = send(&example(), &query(question).wire()).0;
        (outcome.rcode, outcome.ede)
    };
    assert_eq!(why("www.example.com. A"), (Rcode::NoError, None));
    assert_eq!(why("nothing.example.com. A"), (Rcode::NxDomain, None));
    assert_eq!(why("elsewhere.test. A"), (Rcode::Refused, Some(Ede::NotAuthoritative)));
    assert_eq!(why("example.com. AXFR"), (Rcode::Refused, Some(Ede::NotSupported)));
    assert_eq!(why("example.com. 253"), (Rcode::NotImp, Some(Ede::NotSupported)));
    assert_eq!(why("example.com. 128"), (Rcode::FormErr, Some(Ede::InvalidQueryType)), "RFC 9824 section 3.5");
}

//----------- Header ---------------------------------------------------------

/// A query for `question` with this opcode, and an OPT if `edns`.
fn with_opcode(question: &str, opcode: u8, edns: bool) -> Vec<u8> {
    let q = query(question);
    let mut wire = if edns { q.edns(1232).wire() } else { q.wire() };
    wire[2] = opcode << 3;
    wire
}

/// RFC 8906 section 3.1.4, RFC 3425 section 3 (IQUERY), RFC 8490 section 5.1.1 (DSO): NOTIMP for every opcode that is
/// not implemented, whatever follows the header; with the question where there is one, and OPT where the query had it.
#[test]
fn unknown_opcodes_are_not_implemented() {
    for opcode in [1, 2, 3, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] {
        for edns in [false, true] {
            let wire = with_opcode("www.example.com. A", opcode, edns);
            let (outcome, reply) = send(&example(), &wire);
            assert_eq!((outcome.rcode, outcome.ede), (Rcode::NotImp, Some(Ede::NotSupported)), "{opcode}");
            assert_eq!(reply[2], 0x80 | opcode << 3);
            assert_eq!(reply[3..12], [4, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)], "{opcode}");
            assert_eq!(reply[12..33], wire[12..33], "the question");
            assert_eq!(options(&reply), edns.then(|| vec![(15, vec![0, 21])]), "{opcode}");
        }
        let (outcome, reply) = send(&example(), &with_opcode("www.example.com. A", opcode, true)[..12]);
        assert_eq!((outcome.rcode, reply.len()), (Rcode::NotImp, 12), "a header alone, whose counts are wrong");
        let mut junk = with_opcode("www.example.com. A", opcode, false);
        junk.extend([0xff; 9]);
        assert_eq!(send(&example(), &junk).0.rcode, Rcode::NotImp);
    }
    // RFC 6891 section 6.1.3: the version comes first.
    let mut q = query("www.example.com. A");
    (q.flags, q.opt) = (0x7800, Some((1232, 0x0001_0000)));
    assert_eq!(send(&example(), &q.wire()).0.rcode, Rcode::BadVers);
}

/// RFC 1996 and RFC 2136 section 3.1: nobody is allowed to notify or update; zones that are not ours are NOTAUTH;
/// records in the other sections are no fault.
#[test]
fn notify_and_update_are_refused() {
    let check = |question: &str, opcode: u8, expected: (Rcode, Option<Ede>)| {
        for records in [false, true] {
            let mut wire = with_opcode(question, opcode, false);
            if records {
                wire.extend([0xc0, 12, 0, 6, 0, 1, 0, 0, 0, 0, 0, 0]);
                wire[if opcode == 4 { 7 } else { 9 }] = 1;
            }
            let (outcome, reply) = send(&example(), &wire);
            assert_eq!((outcome.rcode, outcome.ede), expected, "{question} {opcode}");
            assert_eq!((reply[2], reply[5]), (0x80 | opcode << 3, 1));
        }
    };
    let (refused, elsewhere) =
        ((Rcode::Refused, Some(Ede::NotSupported)), (Rcode::NotAuth, Some(Ede::NotAuthoritative)));
    for opcode in [4, 5] {
        check("example.com. SOA", opcode, refused);
        check("elsewhere.test. SOA", opcode, elsewhere);
        check("www.example.com. SOA", opcode, elsewhere);
        let mut none = with_opcode("example.com. SOA", opcode, false);
        none[5] = 0;
        none.truncate(12);
        assert_eq!(send(&example(), &none).0.rcode, Rcode::FormErr, "RFC 2136 section 3.1.1: no zone");
    }
    check("example.com. A", 5, (Rcode::FormErr, None)); // RFC 2136 section 3.1.1
    check("example.com. 59", 4, (Rcode::NotImp, Some(Ede::NotSupported))); // RFC 9859: CDS
}

/// RFC 1035 section 3.2.4 and 3.2.5: no zone here is of another class than IN.
#[test]
fn other_classes_are_refused() {
    for class in [0u16, 2, 4, 254, 255, 65535] {
        let mut q = query("www.example.com. A");
        let at = q.question.len() - 2;
        q.question[at..].copy_from_slice(&class.to_be_bytes());
        let outcome = send(&example(), &q.wire()).0;
        assert_eq!((outcome.rcode, outcome.ede), (Rcode::Refused, Some(Ede::NotSupported)), "class {class}");
    }
}

//----------- EDNS -----------------------------------------------------------

/// The example zone in a house.
pub fn housed(house: House) -> Snapshot {
    example().with_house(Arc::new(house))
}

/// A reply's RCODE and options, over a transport.
fn ask_by(house: House, q: &Query, transport: Transport) -> (Rcode, Vec<(u16, Vec<u8>)>, usize) {
    let (outcome, reply) = send_by(&housed(house), &q.wire(), transport);
    print(&reply);
    (outcome.rcode, options(&reply).unwrap_or_default(), reply.len())
}

/// RFC 5001 section 2.1 and 2.2: told to those who ask, what they send along is of no account; not told unless configured.
#[test]
fn nsid_is_told_to_those_who_ask() {
    let www = || query("www.example.com. A");
    let check = |house, q: &Query, expected: Option<&[u8]>| {
        let expected: Vec<_> = expected.into_iter().map(|nsid| (3, nsid.to_vec())).collect();
        assert_eq!(ask_by(house, q, Transport::Udp).1, expected);
    };
    check(full_house(), &www().option(3, &[]), Some(b"ams-1"));
    check(full_house(), &www().option(3, b"hello"), Some(b"ams-1"));
    check(full_house(), &query("nothing.example.com. A").option(3, &[]), Some(b"ams-1"));
    check(full_house(), &www().edns(1232), None);
    check(House::default(), &www().option(3, &[]), None);
}

/// RFC 6891 section 6.1.2: options that are not known are passed over, and not echoed.
#[test]
fn unknown_options_are_passed_over() {
    for code in [0, 1, 2, 4, 5, 9, 13, 14, 15, 16, 18, 100, 65001, 65535] {
        let q = query("www.example.com. A").option(code, &[1, 2, 3]);
        assert_eq!(ask_by(full_house(), &q, Transport::Udp).1, [], "option {code}");
    }
}

/// RFC 7828: the idle timeout, in units of 100 ms, over TCP and TLS (section 3.3.2); not over UDP, where what a client
/// sends is passed over (section 3.3.1); a timeout from the client is malformed (section 3.2.1).
#[test]
fn the_idle_timeout_is_told_on_connections() {
    let q = query("www.example.com. A").option(11, &[]);
    let told = |transport| ask_by(House { idle_100ms: 300, ..House::default() }, &q, transport).1;
    for transport in Transport::ALL {
        let on_connection = matches!(transport, Transport::Tcp | Transport::Tls);
        assert_eq!(told(transport), if on_connection { vec![(11, vec![1, 44])] } else { vec![] }, "{transport:?}");
    }
    let wrong = query("www.example.com. A").option(11, &[0, 1]);
    assert_eq!(ask_by(House::default(), &wrong, Transport::Tcp).0, Rcode::FormErr);
    assert_eq!(ask_by(House::default(), &wrong, Transport::Udp).0, Rcode::NoError);
}

/// RFC 7828 section 3.3.2: what is told is what holds for this connection; 0 where it should not be kept.
#[test]
fn a_hurried_connection_is_told_to_close() {
    let q = query("www.example.com. A").option(11, &[]);
    let link = Link { is_hurried: true, ..Link::default() };
    for transport in [Transport::Tcp, Transport::Tls] {
        let client = Client { addr: [192, 0, 2, 200].into(), transport, link };
        let mut out = vec![0; 65_535];
        let outcome = answer(&q.wire(), client, &housed(full_house()), 0, &mut Scratch::new(0, 0), &mut out);
        assert_eq!(options(&out[..outcome.len]), Some(vec![(11, vec![0, 0])]));
    }
}

/// RFC 6891 section 6.1.2: an option is malformed only to those who know it. Client subnets are not known of senders that
/// are not trusted, cookies not without a secret.
#[test]
fn malformed_options_that_are_not_known_are_passed_over() {
    let trusted = |list: &str| {
        let trusted = Some(Prefixes::parse(&[list]).unwrap());
        Some(ClientSubnets { trusted, ipv4_bits: 24, ipv6_bits: 56 })
    };
    let check = |house: House, code, data: &[u8], expected| {
        let q = query("www.example.com. A").option(code, data);
        assert_eq!(ask_by(house, &q, Transport::Udp).0, expected, "option {code} {data:?}");
    };
    for data in [&[0, 1, 33, 0, 1, 2, 3, 4, 5][..], &[0, 9, 0, 0], &[0], &[0, 1, 24, 0, 1, 2]] {
        check(House { ecs: trusted("198.51.100.0/24"), ..House::default() }, 8, data, Rcode::NoError);
        check(House { ecs: trusted("192.0.2.0/24"), ..House::default() }, 8, data, Rcode::FormErr);
        check(House::default(), 8, data, Rcode::FormErr);
    }
    check(House::default(), 10, &[1, 2, 3], Rcode::NoError);
    check(full_house(), 10, &[1, 2, 3], Rcode::FormErr);
}

/// RFC 8467 section 4.1: multiples of 468 octets, all of the message counted; RFC 7830 sections 4 and 6: where the
/// client pads, and where nobody reads along.
#[test]
fn replies_are_padded_where_they_are_secret() {
    for question in ["www.example.com. A", "nothing.example.com. A", "big.example.com. TXT", "elsewhere.test. A"] {
        for transport in Transport::ALL {
            let (_, options, len) = ask_by(full_house(), &query(question).option(12, &[0; 9]), transport);
            let padding = options.iter().find(|(code, _)| *code == 12);
            assert_eq!(padding.is_some(), transport.is_encrypted(), "{question} {transport:?}");
            if let Some((_, zeroes)) = padding {
                assert_eq!((len % 468, options.last()), (0, padding));
                assert!(zeroes.iter().all(|octet| *octet == 0), "RFC 7830 section 3");
            }
            let (_, options, _) = ask_by(full_house(), &query(question).edns(1232), transport);
            assert!(options.iter().all(|(code, _)| *code != 12));
        }
    }
}

/// RFC 8914: only to those who speak EDNS (section 2); where room is short the text goes first, then the option, and
/// TC is not set for it (section 3). RFC 8482 section 4.2: what is made up says so.
#[test]
fn reasons_are_told_where_there_is_room() {
    let told = |snapshot: &Snapshot, q: &Query| options(&send(snapshot, &q.wire()).1);
    let edns = |question| query(question).edns(1232);
    assert_eq!(told(&example(), &edns("elsewhere.test. A")), Some(vec![(15, vec![0, 20])]));
    assert_eq!(told(&example(), &query("elsewhere.test. A")), None);
    assert_eq!(told(&example(), &edns("www.example.com. A")), Some(vec![]));
    assert_eq!(told(&example(), &edns("example.com. 128")), Some(vec![(15, vec![0, 30])]));
    let steered = |all_down| steered(Steered { shares: [0.0; 5], all_down, ..Steered::default() });
    let text = |code: u8, text: &str| Some(vec![(15, [&[0, code], text.as_bytes()].concat())]);
    let api = "api.example.com. A";
    assert_eq!(told(&steered(AllDown::ServFail), &edns(api)), text(0, "all members are down"));
    assert_eq!(told(&steered(AllDown::NoData), &edns(api)), Some(vec![]));
    assert_eq!(told(&steered(AllDown::All), &edns("api.example.com. ANY")), text(29, "RFC 8482"));
}

/// RFC 8914 section 4.4: a plan that telemetry should have renewed says so, where telemetry matters to it.
#[test]
fn old_plans_say_so() {
    let told = |mode: Mode, steer: SteerBy| {
        let world = fixture_with_mode(mode, steer);
        let reply = send(&world, &query("www.example.com. A").edns(1232).wire()).1;
        options(&reply).unwrap().iter().map(|(code, data)| (*code, data[1])).collect::<Vec<_>>()
    };
    for (mode, steer, expected) in [
        (Mode::Live, SteerBy::Priced, None),
        (Mode::Declared, SteerBy::Priced, None),
        (Mode::Blind, SteerBy::Priced, Some((15, 3))),
        (Mode::Stale, SteerBy::Weighted, Some((15, 3))),
        (Mode::Stale, SteerBy::Static, None),
        (Mode::Blind, SteerBy::Nearest, None),
    ] {
        assert_eq!(told(mode, steer), Vec::from_iter(expected), "{mode:?} {steer:?}");
    }
}

fn fixture_with_mode(mode: Mode, steer: SteerBy) -> Snapshot {
    let world = steered(Steered::default());
    let mut policies = (*world.policies).clone();
    policies.groups[0].steer = steer;
    let plan = floodway::steering::Plan { mode, ..(*world.plan).clone() };
    Snapshot { policies: Arc::new(policies), plan: Arc::new(plan), ..world }
}

//----------- Client subnet, access, CHAOS -----------------------------------

/// RFC 7871 section 7.2.1 and 11: no scope is longer than the rules allow, the prefix is echoed as it came; the option
/// of a sender that is not trusted is passed over; family 0 and source 0 are no client (section 7.1.2).
#[test]
fn client_subnets_follow_the_rules() {
    let cells = || floodway::geo::CellMap::nowhere();
    let world = |rules| {
        let world = steered(Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], cells: cells(), ..Steered::default() });
        world.with_house(Arc::new(House { ecs: rules, ..House::default() }))
    };
    let trusted = |list: &str| Some(Prefixes::parse(&[list]).unwrap());
    let rules = |trusted| Some(ClientSubnets { trusted, ipv4_bits: 20, ipv6_bits: 48 });
    let ask = |rules, q: Query| {
        let (outcome, reply) = send(&world(rules), &q.wire());
        (outcome.scope, options(&reply).unwrap())
    };
    let www = || query("www.example.com. A");
    let echo = |scope| vec![(8, vec![0, 1, 24, scope, 203, 0, 113])];
    assert_eq!(ask(None, www().ecs("203.0.113.0/24")), (24, echo(24)));
    assert_eq!(ask(rules(None), www().ecs("203.0.113.0/24")), (20, echo(20)));
    assert_eq!(ask(rules(trusted("192.0.2.0/24")), www().ecs("203.0.113.0/24")), (20, echo(20)));
    assert_eq!(ask(rules(trusted("198.51.100.0/24")), www().ecs("203.0.113.0/24")), (0, vec![]));
    let six = ask(rules(None), www().ecs("2001:db8:1:2::/56"));
    assert_eq!(six, (48, vec![(8, vec![0, 2, 56, 48, 0x20, 1, 0xd, 0xb8, 0, 1, 0])]));
    let mut nobody = www().edns(1232);
    nobody.ecs = Some(vec![0, 0, 0, 0]);
    assert_eq!(ask(rules(None), nobody), (0, vec![(8, vec![0, 0, 0, 0])]));
    let same = |prefix| print(&send(&world(rules(None)), &www().ecs(prefix).wire()).1);
    assert_eq!(same("203.0.112.0/24"), same("203.0.113.0/24"), "what is beyond the limit decides nothing");
}

/// RFC 8914 section 4.19 (Prohibited): lists decide who is answered; aliases lead no further than the client might ask,
/// and whoever may not ask is not told what is here.
#[test]
fn lists_decide_who_is_answered() {
    let list = |text: &str| Prefixes::parse(&[text]).unwrap();
    let here = || Some(list("192.0.2.0/24"));
    let others = || Some(list("198.51.100.0/24"));
    let ask = |everywhere: Option<Prefixes>, org: Option<Prefixes>, question: &str| {
        let zones = org.map(|list| ("example.org".parse().unwrap(), list));
        let house = House { access: Access::new(everywhere, zones), ..House::default() };
        let (outcome, reply) = send(&housed(house), &query(question).wire());
        (print(&reply), outcome.ede)
    };
    let refused = || ("REFUSED".to_string(), Some(Ede::Prohibited));
    let unknown = || ("REFUSED".to_string(), Some(Ede::NotAuthoritative));
    let www = "www.example.org. A";
    let answered = || ("NOERROR aa | www.example.org. 300 A 198.51.100.80".to_string(), None);
    assert_eq!(ask(None, None, www), answered());
    assert_eq!(ask(here(), None, www), answered());
    assert_eq!(ask(others(), here(), www), answered());
    assert_eq!(ask(others(), None, www), refused());
    assert_eq!(ask(None, others(), www), unknown());
    assert_eq!(ask(here(), others(), www), unknown());
    assert_eq!(ask(others(), None, "elsewhere.test. A"), refused());
    assert_eq!(ask(here(), None, "elsewhere.test. A").1, Some(Ede::NotAuthoritative));
    assert_eq!(ask(None, others(), "nothing.example.org. A"), unknown());
    assert_eq!(ask(None, others(), "over.example.com. A").0, "NOERROR aa | over~ 300 CNAME www.example.org.");
}

/// RFC 8914 sections 4.19 and 4.21, RFC 1996, RFC 2136 section 3.1.2: to whom a zone's own list does not admit, question,
/// NOTIFY and UPDATE are answered as if the zone were not here.
#[test]
fn a_hidden_zone_is_like_none() {
    for everywhere in [None, Some(Prefixes::parse(&["192.0.2.0/24"]).unwrap()), Some(Prefixes::loopback())] {
        let org = ("example.org".parse().unwrap(), Prefixes::parse(&["198.51.100.0/24"]).unwrap());
        let world = housed(House { access: Access::new(everywhere, [org]), ..House::default() });
        let ask = |apex: &str, opcode| {
            let (outcome, reply) = send(&world, &with_opcode(&format!("{apex} SOA"), opcode, true));
            (outcome.rcode, outcome.ede, outcome.key, reply[2..12].to_vec(), options(&reply))
        };
        for opcode in [0, 4, 5] {
            assert_eq!(ask("example.org.", opcode), ask("elsewhere.tes.", opcode), "opcode {opcode}");
        }
    }
}

/// RFC 4892 section 3 and the habits before it: who is here, told as configured; all else of class CH is refused.
#[test]
fn the_server_speaks_of_itself() {
    let ask = |house: House, question: &str| {
        let mut q = query(question);
        *q.question.last_mut().unwrap() = 3;
        let (outcome, reply) = send(&housed(house), &q.wire());
        (outcome.rcode, print(&reply))
    };
    let text = |name: &str, text: &str| (Rcode::NoError, format!("NOERROR aa | {name} 0 CH TXT {text}"));
    assert_eq!(ask(full_house(), "version.bind. TXT"), text("version.bind.", "floodway"));
    assert_eq!(ask(full_house(), "VERSION.server. ANY"), text("VERSION.server.", "floodway"));
    assert_eq!(ask(full_house(), "id.server. TXT"), text("id.server.", "ams-1"));
    assert_eq!(ask(full_house(), "hostname.bind. TXT"), text("hostname.bind.", "ams-1"));
    for question in ["version.bind. A", "authors.bind. TXT", "example.com. SOA", ". NS"] {
        assert_eq!(ask(full_house(), question).0, Rcode::Refused, "{question}");
    }
    for question in ["version.bind. TXT", "id.server. TXT"] {
        assert_eq!(ask(House::default(), question).0, Rcode::Refused, "not told unless configured");
        let access = Access::new(Some(Prefixes::default()), []);
        assert_eq!(ask(House { access, ..full_house() }, question).0, Rcode::Refused, "not to everybody");
    }
}

//----------- Laws -----------------------------------------------------------

proptest! {
    /// RFC 6891 section 7: whatever options are asked for, and however little room there is, OPT is there if and only
    /// if the query had it, no reply is longer than the client takes, and TC is set only where records are missing.
    #[test]
    fn opt_always_stays(
        question in prop::sample::select(vec!["www.example.com. A", "big.example.com. TXT", "www.sub.example.com. A", "x.test. A"]),
        label in 0usize..60,
        codes in prop::collection::vec(prop::sample::select(vec![3u16, 8, 10, 11, 12, 99]), 0..6),
        size in prop::sample::select(vec![0u16, 512, 600, 700, 1232, 4096]),
        nsid in 0usize..=128,
        transport in prop::sample::select(Transport::ALL.to_vec()),
    ) {
        let mut codes = codes;
        codes.sort_unstable();
        codes.dedup();
        let mut q = query(&format!("{}{question}", "a".repeat(label.max(1)) + "."));
        q = q.edns(size);
        for code in &codes {
            q = match code {
                8 => q.ecs("2001:db8::/128"),
                10 => q.option(10, &COOKIE),
                code => q.option(*code, &[]),
            };
        }
        let house = House { nsid: vec![b'n'; nsid], ..full_house() };
        let (outcome, reply) = send_by(&housed(house), &q.wire(), transport);
        let limit = if transport.is_stream() { 65_535 } else { usize::from(size.clamp(512, 1232)) };
        prop_assert!(reply.len() <= limit);
        let told = options(&reply).expect("OPT is there");
        for code in &codes {
            let expected = match code {
                3 => nsid > 0,
                8 | 10 => true,
                11 => matches!(transport, Transport::Tcp | Transport::Tls),
                12 => transport.is_encrypted(),
                _ => false,
            };
            prop_assert_eq!(told.iter().filter(|(c, _)| c == code).count(), usize::from(expected), "option {}", code);
        }
        prop_assert!(!outcome.truncated || !transport.is_stream());
    }
}
