//! Compact denial (RFC 9824): a name that is not there is told to have nothing, in one NSEC of its own.

use crate::fixture::{SIGNED_AT, Steered, example, query, send_at, signed, steered};
use crate::signed::verify_all;
use floodway::answer::{Ede, Outcome, Rcode, Scratch, Transport};
use floodway::dnssec::sign::Denial;
use floodway::exchange::Snapshot;
use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::op::Message;
use hickory_proto::rr::RData;

const DO: u32 = 0x8000;
const CO: u32 = 0x4000;

fn world(per_second: u32) -> Snapshot {
    signed(example(), Denial::Compact { per_second })
}

fn ask(snapshot: &Snapshot, question: &str, flags: u32, now: u32, scratch: &mut Scratch) -> (Outcome, Message) {
    let mut q = query(question);
    q.opt = Some((1232, flags));
    let (outcome, reply) = send_at(snapshot, &q.wire(), Transport::Udp, now, scratch);
    let message = Message::from_vec(&reply).unwrap();
    let sent_co = reply.windows(11).any(|w| w[..3] == [0, 0, 41] && w[7] & 0x40 != 0);
    assert_eq!(sent_co, flags == DO | CO, "{question}: the flag comes back (RFC 9824 section 5.1)");
    if flags & DO != 0 && now < SIGNED_AT + 100 {
        verify_all(&message, question);
    }
    (outcome, message)
}

/// The proofs of a reply: `owner next types`.
fn proofs(message: &Message) -> Vec<String> {
    let read = |record: &hickory_proto::rr::Record| match &record.data {
        RData::DNSSEC(DNSSECRData::NSEC(nsec)) => {
            let types: Vec<String> = nsec.type_bit_maps().map(|t| u16::from(t).to_string()).collect();
            Some(format!("{} {} {}", record.name, nsec.next_domain_name(), types.join(" ")))
        }
        _ => None,
    };
    message.authorities.iter().chain(&message.answers).filter_map(read).collect()
}

/// RFC 9824 sections 3.1 to 3.4: one NSEC about the very name, whatever it lacks.
#[test]
fn one_proof_says_all() {
    let snapshot = world(1000);
    let check = |question: &str, rcode: Rcode, expected: &str| {
        let (outcome, message) = ask(&snapshot, question, DO, SIGNED_AT, &mut Scratch::new(0, 0));
        assert_eq!((outcome.rcode, proofs(&message)), (rcode, vec![expected.to_string()]), "{question}");
    };
    let not_there = |name: &str| format!("{name} \\000.{name} 46 47 128");
    check("nothing.example.com. A", Rcode::NoError, &not_there("nothing.example.com."));
    check("a.b.c.nothing.example.com. TXT", Rcode::NoError, &not_there("a.b.c.nothing.example.com."));
    check("gone.example.com. A", Rcode::NoError, &not_there("nothing.example.com."));
    check("b.ent.example.com. A", Rcode::NoError, "b.ent.example.com. \\000.b.ent.example.com. 46 47");
    check("www.example.com. MX", Rcode::NoError, "www.example.com. \\000.www.example.com. 1 16 28 46 47");
    check("any.wild.example.com. AAAA", Rcode::NoError, "any.wild.example.com. \\000.any.wild.example.com. 1 16 46 47");
    check("x.nods.example.com. A", Rcode::NoError, "nods.example.com. \\000.nods.example.com. 2 46 47");
    // Asked for, it is there.
    check("nothing.example.com. NSEC", Rcode::NoError, &not_there("nothing.example.com."));
    check("www.example.com. NSEC", Rcode::NoError, "www.example.com. \\000.www.example.com. 1 16 28 46 47");
}

/// RFC 9824 section 5.1: NXDOMAIN for those who know what to make of it; for those who do not look at proofs, too.
#[test]
fn rcodes_are_restored() {
    let snapshot = world(1000);
    for (flags, expected) in [(DO, Rcode::NoError), (DO | CO, Rcode::NxDomain), (0, Rcode::NxDomain)] {
        let (outcome, message) = ask(&snapshot, "nothing.example.com. A", flags, SIGNED_AT, &mut Scratch::new(0, 0));
        assert_eq!((outcome.rcode, proofs(&message).len()), (expected, usize::from(flags & DO != 0)));
        let (outcome, _) = ask(&snapshot, "www.example.com. MX", flags, SIGNED_AT, &mut Scratch::new(0, 0));
        assert_eq!(outcome.rcode, Rcode::NoError);
    }
}

/// RFC 9824 section 3.5: NXNAME is no type to ask for.
#[test]
fn nxname_is_refused() {
    let (outcome, _) = ask(&world(1000), "www.example.com. 128", DO, SIGNED_AT, &mut Scratch::new(0, 0));
    assert_eq!((outcome.rcode, outcome.ede), (Rcode::FormErr, Some(Ede::InvalidQueryType)));
}

/// So many proofs are signed within a second and no more; those that were made stay, and the chain stands in for the others.
#[test]
fn a_flood_gets_the_chain() {
    let (snapshot, mut scratch) = (world(2), Scratch::new(0, 0));
    let mut check = |name: &str, now: u32, is_made: bool| {
        let (outcome, message) = ask(&snapshot, &format!("{name}.example.com. A"), DO, now, &mut scratch);
        let expected = if is_made { (Rcode::NoError, 1) } else { (Rcode::NxDomain, 2) };
        assert_eq!((outcome.rcode, proofs(&message).len()), expected, "{name} at {now}");
    };
    for (name, is_made) in [("m1", true), ("m2", true), ("m3", false), ("m1", true), ("m2", true), ("m4", false)] {
        check(name, SIGNED_AT, is_made);
    }
    check("m3", SIGNED_AT + 1, true);
    // Half a day on a signature is made anew.
    for (name, is_made) in [("m1", true), ("m2", true), ("m3", false)] {
        check(name, SIGNED_AT + 43_202, is_made);
    }
}

/// What policies answer is in the bitmap, and nothing of it is denied (RFC 9824 section 3.2).
#[test]
fn steered_names_are_there() {
    let world = Steered { shares: [0.5, 0.5, 0.0, 0.0, 0.0], ..Steered::default() };
    let snapshot = signed(steered(world), Denial::Compact { per_second: 9 });
    let (_, message) = ask(&snapshot, "x.any.example.com. TXT", DO, SIGNED_AT, &mut Scratch::new(0, 0));
    let types = proofs(&message)[0].split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
    assert!(types.starts_with("1 ") && types.contains(" 28 ") && types.ends_with("46 47"), "{types}");
    assert!(message.answers.is_empty() && proofs(&message)[0].starts_with("x.any.example.com. "));
}
