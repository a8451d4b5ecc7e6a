//! Each rule of the RFCs behind a case that names its section.

use crate::fixture::{Query, example, print, query, send, send_by, snapshot, zone};
use floodway::answer::{Rcode, Silence, Transport};

fn check_query(q: &Query, expected: &str) {
    let snapshot = example();
    let wire = q.wire();
    let (outcome, reply) = send(&snapshot, &wire);
    assert_eq!(print(&reply), expected);
    assert_eq!(reply[..2], wire[..2], "the id is kept");
    assert_eq!(reply[12..12 + q.question.len()], q.question, "the question is kept, letters as written");
    assert_eq!(outcome.truncated, reply[2] & 2 != 0);
}

fn check(question: &str, expected: &str) {
    check_query(&query(question), expected);
}

const NEGATIVE: &str = "~ 60 SOA ns1~ host~ 7 3600 600 86400 60";

fn check_negative(question: &str, rcode: &str) {
    check(question, &format!("{rcode} aa |  | {NEGATIVE}"));
}

/// RFC 1034 section 4.3.2, step 3a: data.
#[test]
fn data_is_answered() {
    check("www.example.com. A", "NOERROR aa | www~ 300 A 192.0.2.80, www~ 300 A 192.0.2.81");
    check("example.com. MX", "NOERROR aa | ~ 300 MX 10 mail~ |  | mail~ 300 A 192.0.2.25");
    check(
        "example.com. NS",
        "NOERROR aa | ~ 300 NS ns1~, ~ 300 NS ns.other.test. |  | ns1~ 300 A 192.0.2.53, ns1~ 300 AAAA 2001:db8::53",
    );
    check("example.com. SOA", "NOERROR aa | ~ 300 SOA ns1~ host~ 7 3600 600 86400 60");
    check("*.wild.example.com. A", "NOERROR aa | *.wild~ 300 A 192.0.2.42");
}

/// RFC 4343 section 4.1: letters compare without case; the question's are kept.
#[test]
fn case_is_kept() {
    check("wWw.eXample.COM. AAAA", "NOERROR aa | wWw.eXample.COM. 300 AAAA 2001:db8::80");
}

/// RFC 2308 sections 2, 3 and 5: SOA with the lesser of TTL and MINIMUM. RFC 8020: a name above a name exists.
#[test]
fn denials_carry_the_soa() {
    check_negative("nothing.example.com. A", "NXDOMAIN");
    check_negative("deep.er.nothing.example.com. A", "NXDOMAIN");
    check_negative("below.www.example.com. A", "NXDOMAIN");
    check_negative("www.example.com. MX", "NOERROR");
    check_negative("www.example.com. RRSIG", "NOERROR");
    check_negative("www.example.com. 65280", "NOERROR");
    check_negative("www.example.com. 0", "NOERROR");
    check_negative("ent.example.com. A", "NOERROR");
    check_negative("b.ent.example.com. ANY", "NOERROR");
    check_negative("c.ent.example.com. A", "NXDOMAIN");
    check_negative("example.com. DS", "NOERROR");
}

/// RFC 1034 section 4.3.2, step 3a: aliases. RFC 6604 section 3: the RCODE is the last name's. RFC 2181 section
/// 10.1: a CNAME itself is answered as data.
#[test]
fn aliases_are_followed() {
    let www = "www~ 300 A 192.0.2.80, www~ 300 A 192.0.2.81";
    check("alias.example.com. A", &format!("NOERROR aa | alias~ 300 CNAME www~, {www}"));
    check("chain.example.com. A", &format!("NOERROR aa | chain~ 300 CNAME alias~, alias~ 300 CNAME www~, {www}"));
    check("alias.example.com. CNAME", "NOERROR aa | alias~ 300 CNAME www~");
    check("alias.example.com. MX", &format!("NOERROR aa | alias~ 300 CNAME www~ | {NEGATIVE}"));
    // RFC 4034 sections 3 and 4: what may stand beside a CNAME is asked of the alias itself.
    check_negative("alias.example.com. NSEC", "NOERROR");
    check_negative("alias.example.com. RRSIG", "NOERROR");
    check("out.example.com. A", "NOERROR aa | out~ 300 CNAME www.elsewhere.test.");
    check("over.example.com. A", "NOERROR aa | over~ 300 CNAME www.example.org., www.example.org. 300 A 198.51.100.80");
    check("gone.example.com. A", &format!("NXDOMAIN aa | gone~ 300 CNAME nothing~ | {NEGATIVE}"));
    check("loop1.example.com. A", "NOERROR aa | loop1~ 300 CNAME loop2~, loop2~ 300 CNAME loop1~");
    check("towild.example.com. A", "NOERROR aa | towild~ 300 CNAME any.wild~, any.wild~ 300 A 192.0.2.42");
    let (_, reply) = send(&example(), &query("y.example.org. A").wire());
    assert_eq!(print(&reply), format!("NOERROR aa | y.example.org. 300 CNAME www~, {www}"));
    let (_, reply) = send(&example(), &query("y.example.org. HINFO").wire());
    assert_eq!(print(&reply), format!("NOERROR aa | y.example.org. 300 CNAME www~ | {NEGATIVE}"));
}

/// Our choice: sixteen links at most, then the resolver asks on.
#[test]
fn chains_end() {
    let links: String = (0..40).map(|i| format!("c{i} CNAME c{}\n", i + 1)).collect();
    let snapshot = snapshot(vec![zone("example.com.", &links)]);
    let (outcome, reply) = send(&snapshot, &query("c0.example.com. A").wire());
    assert_eq!(print(&reply).matches("CNAME").count(), 16);
    assert_eq!(outcome.rcode, Rcode::NoError);
}

/// RFC 4592 sections 2.2.1 and 3.3: the closest encloser's wildcard stands for names that are not there.
#[test]
fn wildcards_stand_in() {
    check("any.wild.example.com. A", "NOERROR aa | any.wild~ 300 A 192.0.2.42");
    check("a.b.c.wild.example.com. A", "NOERROR aa | a.b.c.wild~ 300 A 192.0.2.42");
    check_negative("any.wild.example.com. MX", "NOERROR");
    check("there.wild.example.com. A", "NOERROR aa | there.wild~ 300 A 192.0.2.43");
    check_negative("there.wild.example.com. TXT", "NOERROR");
    check_negative("below.there.wild.example.com. A", "NXDOMAIN");
    check_negative("ent.wild.example.com. A", "NOERROR");
    check_negative("other.ent.wild.example.com. A", "NXDOMAIN");
    check_negative("below.*.wild.example.com. A", "NXDOMAIN");
    check_negative("wild.example.com. A", "NOERROR");
    check("q.wc.example.com. AAAA", "NOERROR aa | q.wc~ 300 CNAME www~, www~ 300 AAAA 2001:db8::80");
}

/// RFC 1034 section 4.3.2, step 3b, and RFC 9471: a referral, not authoritative, with in-domain glue first, then
/// what else the zone knows. RFC 4035 section 3.1.4.1: DS is the parent's.
#[test]
fn delegations_refer() {
    let ns = "sub~ 300 NS ns.sub~, sub~ 300 NS ns.sib~, sub~ 300 NS ns1~, sub~ 300 NS ns.other.test.";
    let glue = "ns.sub~ 300 A 192.0.2.61, ns.sub~ 300 AAAA 2001:db8::61, ns.sib~ 300 A 192.0.2.62, \
                ns1~ 300 A 192.0.2.53, ns1~ 300 AAAA 2001:db8::53";
    let referral = format!("NOERROR |  | {ns} | {glue}");
    for question in [
        "sub.example.com. A",
        "sub.example.com. NS",
        "sub.example.com. ANY",
        "www.sub.example.com. A",
        "ns.sub.example.com. A",
        "deep.www.sub.example.com. A",
        "nothing.sub.example.com. DS",
    ] {
        check(question, &referral);
    }
    check("tosub.example.com. A", &format!("NOERROR aa | tosub~ 300 CNAME www.sub~ | {ns} | {glue}"));
    check("sub.example.com. DS", "NOERROR aa | sub~ 300 DS 1 2 3 AABB");
    check_negative("nods.example.com. DS", "NOERROR");
    check("x.nods.example.com. A", "NOERROR |  | nods~ 300 NS ns.other.test.");
}

/// RFC 9471 section 3.1: glue of the root's delegations, where every server's name is within the zone.
#[test]
fn the_root_refers_with_glue() {
    let root = ". SOA a.nic.test. host.nic.test. 1 2 3 4 5\n. NS a.nic.test.\n\
                net. NS other.org.\nnet. NS ns.net.\nns.net. A 192.0.2.1\nns.net. AAAA 2001:db8::1\n\
                org. NS ns.net.\norg. NS ns.elsewhere.\nother.org. A 192.0.2.2";
    let ask = |question| print(&send(&snapshot(vec![zone(".", root)]), &query(question).wire()).1);
    let ns_net = "ns.net. 300 A 192.0.2.1, ns.net. 300 AAAA 2001:db8::1";
    assert_eq!(
        ask("www.net. A"),
        format!("NOERROR |  | net. 300 NS other.org., net. 300 NS ns.net. | {ns_net}, other.org. 300 A 192.0.2.2")
    );
    assert_eq!(ask("org. A"), format!("NOERROR |  | org. 300 NS ns.net., org. 300 NS ns.elsewhere. | {ns_net}"));
}

/// RFC 4035 section 3.1.4.1: with both zones here, DS is answered from the parent, all else from the child.
#[test]
fn parent_and_child_both_served() {
    let child = "@ SOA ns host 1 1 1 1 1\n@ NS ns\nns A 192.0.2.61\nwww A 192.0.2.98";
    let zones = || {
        let parent = zone("example.com.", crate::fixture::EXAMPLE);
        snapshot(vec![parent, zone("sub.example.com.", child)])
    };
    let ask = |q| print(&send(&zones(), &query(q).wire()).1);
    assert_eq!(ask("sub.example.com. DS"), "NOERROR aa | sub~ 300 DS 1 2 3 AABB");
    assert_eq!(ask("www.sub.example.com. A"), "NOERROR aa | www.sub~ 300 A 192.0.2.98");
    assert_eq!(ask("sub.example.com. NS"), "NOERROR aa | sub~ 300 NS ns.sub~ |  | ns.sub~ 300 A 192.0.2.61");
    assert_eq!(ask("tosub.example.com. A"), "NOERROR aa | tosub~ 300 CNAME www.sub~, www.sub~ 300 A 192.0.2.98");
}

/// RFC 4035 section 3.1.4.1 and RFC 8020 section 2: a parent that never heard of the child cannot speak for it, not
/// even by a wildcard; one that delegates what lies between refers to there.
#[test]
fn ds_of_a_child_that_the_parent_lacks() {
    let child = "@ SOA ns host 1 1 1 1 1\n@ NS ns\nns A 192.0.2.61";
    let ask = |parent: &str, child_apex: &str, question: &str| {
        let parent = format!("@ SOA ns1 host 7 3600 600 86400 60\n@ NS ns1\n{parent}");
        let zones = vec![zone("example.com.", &parent), zone(child_apex, child)];
        print(&send(&snapshot(zones), &query(question).wire()).1)
    };
    let nodata = "NOERROR aa |  | sub~ 1 SOA ns.sub~ host.sub~ 1 1 1 1 1";
    assert_eq!(ask("", "sub.example.com.", "sub.example.com. DS"), nodata);
    assert_eq!(ask("* CNAME www", "sub.example.com.", "sub.example.com. DS"), nodata);
    let referral = ask("mid NS ns.other.test.", "sub.mid.example.com.", "sub.mid.example.com. DS");
    assert_eq!(referral, "NOERROR |  | mid~ 300 NS ns.other.test.");
}

/// RFC 6672 sections 2.2, 2.3 and 3.1: substitution below the owner, not at it; what lies below is hidden; too long a
/// name is YXDOMAIN.
#[test]
fn dnames_substitute() {
    let dname = "dn~ 300 DNAME target~";
    check(
        "x.dn.example.com. A",
        &format!("NOERROR aa | {dname}, x.dn~ 300 CNAME x.target~, x.target~ 300 A 192.0.2.72"),
    );
    check("X.dn.example.com. CNAME", &format!("NOERROR aa | {dname}, X.dn~ 300 CNAME X.target~"));
    check("hid.dn.example.com. A", &format!("NXDOMAIN aa | {dname}, hid.dn~ 300 CNAME hid.target~ | {NEGATIVE}"));
    check("dn.example.com. A", "NOERROR aa | dn~ 300 A 192.0.2.70");
    check("dn.example.com. DNAME", &format!("NOERROR aa | {dname}"));
    check(
        "www.dnorg.example.com. A",
        "NOERROR aa | dnorg~ 300 DNAME example.org., www.dnorg~ 300 CNAME www.example.org., www.example.org. 300 A 198.51.100.80",
    );
    // One DNAME, twice on the way (RFC 2181 section 5: an RRset stands in a reply once).
    check("dntwo.dntwo.example.com. DNAME", "NOERROR aa | dntwo~ 300 DNAME ~, dntwo.dntwo~ 300 CNAME dntwo~");
    check(
        "x.dntwo.dntwo.example.com. A",
        &format!(
            "NXDOMAIN aa | dntwo~ 300 DNAME ~, x.dntwo.dntwo~ 300 CNAME x.dntwo~, x.dntwo~ 300 CNAME x~ | {NEGATIVE}"
        ),
    );
    check("x.dnself.example.com. A", "NOERROR aa | dnself~ 300 DNAME dnself~, x.dnself~ 300 CNAME x.dnself~");
    let prefix = "p".repeat(63);
    let long = format!("{prefix}.long.example.com. A");
    let (outcome, reply) = send(&example(), &query(&long).wire());
    assert_eq!(outcome.rcode, Rcode::YxDomain);
    assert!(print(&reply).contains("DNAME") && !print(&reply).contains("CNAME"));
}

/// RFC 8482 section 4.1: ANY gets one RRset.
#[test]
fn any_is_minimal() {
    check("www.example.com. ANY", "NOERROR aa | www~ 300 A 192.0.2.80, www~ 300 A 192.0.2.81");
    check("alias.example.com. ANY", "NOERROR aa | alias~ 300 CNAME www~");
    check("q.wild.example.com. ANY", "NOERROR aa | q.wild~ 300 A 192.0.2.42");
    check_negative("nothing.example.com. ANY", "NXDOMAIN");
}

/// What is not ours, or not for us, is refused: zone, class, transfers, odd types.
#[test]
fn refusals() {
    check("www.elsewhere.test. A", "REFUSED");
    check(". NS", "REFUSED");
    check("com. A", "REFUSED");
    check("xexample.com. A", "REFUSED");
    check("example.com. AXFR", "REFUSED");
    check("example.com. 251", "REFUSED");
    check("example.com. 41", "FORMERR");
    check("example.com. 250", "FORMERR");
    check("example.com. 128", "FORMERR"); // RFC 9824 section 3.5
    check("example.com. 249", "NOTIMP");
    check("example.com. 253", "NOTIMP");
    let mut chaos = query("version.bind. TXT");
    *chaos.question.last_mut().unwrap() = 3;
    check_query(&chaos, "REFUSED");
}

/// RFC 1035 section 4.1.1 and RFC 4035 section 3.1.6: RD is copied; RA, AD, CD and Z are clear whatever was asked.
#[test]
fn flags_are_ours() {
    let mut q = query("alias.example.com. CNAME");
    q.flags = 0x0100;
    check_query(&q, "NOERROR aa rd | alias~ 300 CNAME www~");
    q.flags = 0x07f0;
    check_query(&q, "NOERROR aa rd | alias~ 300 CNAME www~");
    q.flags = 0x060f;
    check_query(&q, "NOERROR aa | alias~ 300 CNAME www~");
}

fn rcode_of(wire: &[u8]) -> &'static str {
    let (outcome, reply) = send(&example(), wire);
    if outcome.silence.is_none() {
        assert_eq!(reply[..2], wire[..2]);
        assert_eq!(reply[2] & 0x80, 0x80);
        assert_eq!(reply[2] & 0x78, wire[2] & 0x78, "the opcode is kept");
    }
    outcome.silence.map_or(outcome.rcode.name(), |s| s.label())
}

/// RFC 8906 section 3 and RFC 9619 section 4: headers that ask for an error, or for nothing.
#[test]
fn odd_headers() {
    let good = query("www.example.com. A").wire();
    let with = |at: usize, value: u8| {
        let mut wire = good.clone();
        wire[at] = value;
        rcode_of(&wire)
    };
    assert_eq!(rcode_of(&good), "NOERROR");
    assert_eq!(rcode_of(&good[..11]), "short");
    assert_eq!(rcode_of(&[]), "short");
    assert_eq!(with(2, 0x80), "response");
    assert_eq!(with(5, 0), "FORMERR", "no question");
    assert_eq!(with(5, 2), "FORMERR", "two questions");
    assert_eq!(with(7, 1), "FORMERR", "an answer");
    assert_eq!(with(9, 1), "FORMERR", "an authority");
    assert_eq!(with(11, 1), "FORMERR", "an additional that is not there");
    assert_eq!(rcode_of(&good[..12]), "FORMERR");
    assert_eq!(rcode_of(&good[..good.len() - 1]), "FORMERR");
    assert_eq!(rcode_of(&[&good[..], &[0]].concat()), "FORMERR", "an octet too many");
    let mut pointer = good[..12].to_vec();
    pointer.extend([0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(rcode_of(&pointer), "FORMERR", "a question that points to itself");
}

/// RFC 6891 sections 6 and 7: OPT is answered with OPT, also when things go wrong; DO is copied (RFC 3225).
#[test]
fn edns_is_answered() {
    let opt = |q: &Query| {
        let (outcome, reply) = send(&example(), &q.wire());
        let tail = reply[reply.len() - 11..].to_vec();
        (outcome.rcode.name(), reply[3] & 15, tail)
    };
    let plain = vec![0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];
    assert_eq!(opt(&query("www.example.com. A").edns(4096)), ("NOERROR", 0, plain.clone()));
    let mut q = query("www.example.com. A");
    q.opt = Some((1232, 0x0000_ffff));
    assert_eq!(opt(&q), ("NOERROR", 0, vec![0, 0, 41, 0x04, 0xd0, 0, 0, 0x80, 0, 0, 0]));
    q.opt = Some((1232, 0x0001_0000));
    assert_eq!(opt(&q), ("BADVERS", 0, vec![0, 0, 41, 0x04, 0xd0, 1, 0, 0, 0, 0, 0]));
    q.opt = Some((1232, 0x7f01_0000));
    assert_eq!(opt(&q).0, "BADVERS");
    let twice = |q: Query| {
        let mut wire = q.wire();
        let opt = wire[wire.len() - 11..].to_vec();
        wire.extend(opt);
        wire[11] = 2;
        wire
    };
    assert_eq!(rcode_of(&twice(query("www.example.com. A").edns(1232))), "FORMERR", "section 6.1.1");
    let mut owned = query("www.example.com. A").edns(1232).wire();
    let at = owned.len() - 11;
    owned.splice(at..at + 1, [0xc0, 12]);
    assert_eq!(rcode_of(&owned), "FORMERR", "section 6.1.2: the owner is the root");
    let no_name = query("nothing.example.com. A").edns(1232);
    assert_eq!(opt(&no_name), ("NXDOMAIN", 3, plain));
}

/// RFC 6891 sections 6.1.1 and 7: a FORMERR carries OPT if the query did, as long as the OPT can be found.
#[test]
fn format_errors_carry_opt() {
    let check = |what: &str, change: &dyn Fn(&mut Vec<u8>), has_opt: bool| {
        let mut wire = query("www.example.com. A").edns(1232).wire();
        change(&mut wire);
        let (outcome, reply) = send(&example(), &wire);
        assert_eq!((outcome.rcode, reply[3] & 15, reply[11]), (Rcode::FormErr, 1, u8::from(has_opt)), "{what}");
        assert_eq!(reply.ends_with(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]), has_opt, "{what}");
        print(&reply);
    };
    let question = query("www.example.com. A").question;
    let end = 12 + question.len();
    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1];
    let with = |at: usize, what: &[u8], count: usize| {
        let what = what.to_vec();
        move |wire: &mut Vec<u8>| {
            wire.splice(at..at, what.iter().copied());
            wire[count] += 1;
        }
    };
    check("two questions", &with(end, &question, 5), true);
    check("a pointer for a question", &with(end, &[0xc0, 12, 0, 1, 0, 1], 5), true);
    check("an answer", &with(end, &record, 7), true);
    check("an authority", &with(end, &record, 9), true);
    check("two OPT", &with(end, &[0, 0, 41, 2, 0, 0, 0, 0, 0, 0, 0], 11), true);
    check("a TSIG in front of it", &with(end, &[0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0], 11), true);
    check("an octet too many", &|wire| wire.push(0), true);
    check("no question", &|wire| wire.splice(4..end, [0, 0, 0, 0, 0, 0, 0, 1]).for_each(drop), true);
    check("an owner other than the root", &|wire| wire.splice(end..=end, [0xc0, 12]).for_each(drop), true);
    check("a question that is not there", &|wire| wire[5] = 9, false);
    check("an OPT cut short", &|wire| wire.truncate(wire.len() - 1), false);
}

/// RFC 7871 section 7.2.1: the option comes back as it was, scope 0 where the answer is the same for all; malformed
/// ones are FORMERR.
#[test]
fn client_subnet_is_echoed() {
    let tail = |q: &Query, n: usize| {
        let (outcome, reply) = send(&example(), &q.wire());
        (outcome.rcode.name(), reply[reply.len() - n..].to_vec())
    };
    let q = query("www.example.com. A").ecs("203.0.113.0/24");
    assert_eq!(tail(&q, 11), ("NOERROR", vec![0, 8, 0, 7, 0, 1, 24, 0, 203, 0, 113]));
    let q = query("www.example.com. A").ecs("2001:db8::/56");
    assert_eq!(tail(&q, 15), ("NOERROR", vec![0, 8, 0, 11, 0, 2, 56, 0, 0x20, 1, 0xd, 0xb8, 0, 0, 0]));
    let q = query("nothing.example.com. A").ecs("0.0.0.0/0");
    assert_eq!(tail(&q, 8), ("NXDOMAIN", vec![0, 8, 0, 4, 0, 1, 0, 0]));
    let mut q = query("www.example.com. A").ecs("203.0.113.0/24");
    q.ecs = Some(vec![0, 1, 24, 24, 203, 0, 113]);
    assert_eq!(tail(&q, 11).0, "FORMERR");
}

/// RFC 2181 section 9: whole RRsets or none, TC where something is missing; RFC 6891 section 7: OPT stays;
/// section 6.2.5: sizes below 512 count as 512. RFC 7766: nothing is cut on a stream.
#[test]
fn long_replies_are_truncated() {
    check("big.example.com. TXT", "NOERROR aa tc");
    check_query(&query("big.example.com. TXT").edns(100), "NOERROR aa tc");
    check("tobig.example.com. TXT", "NOERROR aa tc | tobig~ 300 CNAME big~");
    let (outcome, reply) = send(&example(), &query("big.example.com. TXT").edns(100).wire());
    assert_eq!((reply[11], outcome.len), (1, 33 + 11), "OPT is there");
    for (q, transport) in [
        (query("big.example.com. TXT").edns(1232), Transport::Udp),
        (query("big.example.com. TXT"), Transport::Tcp),
        (query("big.example.com. TXT").edns(512), Transport::Tcp),
    ] {
        let (outcome, reply) = send_by(&example(), &q.wire(), transport);
        assert!(!outcome.truncated && print(&reply).matches("TXT").count() == 5);
    }
}

/// RFC 9471 section 3.1: a referral whose in-domain glue does not fit says TC; other glue is left out without.
#[test]
fn glue_that_does_not_fit() {
    let servers = |domain: &str| -> String {
        (0..14)
            .map(|i| format!("sub NS n{i}.{domain}\nn{i}.{domain} A 192.0.2.{i}\nn{i}.{domain} AAAA 2001:db8::{i}\n"))
            .collect()
    };
    let ask = |records: &str| {
        let snapshot = snapshot(vec![zone("example.com.", records)]);
        print(&send(&snapshot, &query("www.sub.example.com. A").wire()).1)
    };
    let (inside, sibling) = (ask(&servers("sub")), ask(&format!("sib NS n0.sib\n{}", servers("sib"))));
    assert!(inside.starts_with("NOERROR tc |  | sub~ 300 NS"), "{inside}");
    assert!(sibling.starts_with("NOERROR |  | sub~ 300 NS"), "{sibling}");
    assert!(sibling.contains("n0.sib~ 300 A 192.0.2.0"), "{sibling}");
}

/// RFC 8945 section 5.2.1: a key that is not known gets NOTAUTH, BADKEY and no signature; section 5.1: TSIG is last.
#[test]
fn signed_queries_hear_that_the_key_is_unknown() {
    let key = b"\x03key\x00";
    let algorithm = b"\x0bhmac-sha256\x00";
    let mut rdata = algorithm.to_vec();
    rdata.extend([0, 0, 0x65, 0, 0, 1, 1, 0x2c, 0, 4, 9, 9, 9, 9, 0x12, 0x34, 0, 0, 0, 0]);
    let mut wire = query("www.example.com. A").wire();
    wire[11] = 1;
    let start = wire.len();
    wire.extend(key);
    wire.extend([0, 250, 0, 255, 0, 0, 0, 0, 0, rdata.len() as u8]);
    wire.extend(&rdata);
    let (outcome, reply) = send(&example(), &wire);
    assert_eq!(outcome.rcode, Rcode::NotAuth);
    let mut expected = key.to_vec();
    expected.extend([0, 250, 0, 255, 0, 0, 0, 0, 0, 29]);
    expected.extend(algorithm);
    expected.extend([0, 0, 0x65, 0, 0, 1, 1, 0x2c, 0, 0, 0x12, 0x34, 0, 17, 0, 0]);
    assert_eq!(reply[33..], expected);
    assert_eq!(reply[11], 1);
    let mut cut = wire.clone();
    cut[start + 5 + 3] = 0;
    assert_eq!(rcode_of(&cut), "FORMERR", "class");
    let mut not_last = wire.clone();
    not_last.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
    not_last[11] = 2;
    assert_eq!(rcode_of(&not_last), "FORMERR");
}

/// A message shorter than a header, and a response, get nothing.
#[test]
fn silence_has_a_reason() {
    let (outcome, reply) = send(&example(), &[0; 11]);
    assert_eq!((outcome.silence, reply.len()), (Some(Silence::Short), 0));
}
