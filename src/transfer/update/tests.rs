use super::*;
use crate::masterfile::{Report, no_includes};

const ZONE: &str =
    "$TTL 300\n@ SOA ns h 7 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\nwww A 192.0.2.3\nalias CNAME www\n";

fn zone() -> Zone {
    let mut report = Report::default();
    crate::zone::load::load("x", ZONE, &name(""), &mut no_includes, &mut report).unwrap_or_else(|| panic!("{report}"))
}

fn name(text: &str) -> Name {
    Name::parse(if text.is_empty() { "@" } else { text }, &"example.com.".parse().unwrap()).unwrap()
}

/// A line: name, class, TTL, type, RDATA in hex digits.
fn item(line: &str, out: &mut Vec<u8>) {
    let words: Vec<&str> = line.split(' ').collect();
    let class = match words[1] {
        "ANY" => ANY,
        "NONE" => NONE,
        _ => 1,
    };
    let rtype = if words[3] == "ANY" { 255 } else { rdata::parse_type(words[3]).unwrap() };
    let hex = words.get(4).copied().unwrap_or("");
    let rdata: Vec<u8> = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect();
    let owner = if words[0] == "elsewhere" { "elsewhere.".parse().unwrap() } else { name(words[0]) };
    out.extend_from_slice(owner.as_wire());
    out.extend(rtype.to_be_bytes());
    out.extend(class.to_be_bytes());
    out.extend(words[2].parse::<u32>().unwrap().to_be_bytes());
    out.extend((rdata.len() as u16).to_be_bytes());
    out.extend(rdata);
}

fn message(prerequisites: &[&str], updates: &[&str]) -> Vec<u8> {
    let mut out = vec![0, 1, 0x28, 0, 0, 1, 0, prerequisites.len() as u8, 0, updates.len() as u8, 0, 0];
    out.extend_from_slice(b"\x07example\x03com\0\0\x06\0\x01");
    prerequisites.iter().chain(updates).for_each(|line| item(line, &mut out));
    out
}

fn outcome(prerequisites: &[&str], updates: &[&str]) -> Result<Vec<String>, Rcode> {
    let may = |name: &Name, rtype: Option<u16>| *name != self::name("guarded") && rtype != Some(99);
    let (removed, added) = work_out(&message(prerequisites, updates), &zone(), may)?;
    let print = |sign: &str, records: &Records| -> Vec<String> {
        let line = |r: crate::wire::records::Record<'_>| {
            format!("{sign}{} {} {}", r.name(), rdata::type_text(r.rtype), rdata::print(r.rtype, r.rdata))
        };
        records.iter().map(line).collect()
    };
    Ok([print("-", &removed), print("+", &added)].concat())
}

/// RFC 2136 section 3.2.
#[test]
fn prerequisites() {
    let check = |line: &str, expected: Result<(), Rcode>| {
        assert_eq!(outcome(&[line], &[]).map(|_| ()), expected, "{line}");
    };
    check("www ANY 0 ANY", Ok(()));
    check("nobody ANY 0 ANY", Err(Rcode::NxDomain));
    check("www ANY 0 A", Ok(()));
    check("www ANY 0 AAAA", Err(Rcode::NxRrset));
    check("nobody NONE 0 ANY", Ok(()));
    check("www NONE 0 ANY", Err(Rcode::YxDomain));
    check("www NONE 0 AAAA", Ok(()));
    check("www NONE 0 A", Err(Rcode::YxRrset));
    check("www IN 0 A c0000202", Err(Rcode::NxRrset));
    check("ns IN 0 A c0000201", Ok(()));
    check("ns IN 0 A c0000202", Err(Rcode::NxRrset));
    check("alias IN 0 CNAME 03575757076578616d706c6503636f6d00", Ok(()));
    check("www ANY 1 A", Err(Rcode::FormErr));
    check("www ANY 0 A c0000202", Err(Rcode::FormErr));
    check("elsewhere ANY 0 A", Err(Rcode::NotZone));
    assert_eq!(outcome(&["www IN 0 A c0000202", "www IN 0 A c0000203"], &[]), Ok(vec![]));
}

/// Section 3.4.
#[test]
fn updates() {
    let check = |lines: &[&str], expected: &[&str]| {
        assert_eq!(outcome(&[], lines).unwrap(), expected, "{lines:?}");
    };
    check(&["_acme-challenge.www IN 60 TXT 0161"], &["+_acme-challenge.www.example.com. TXT \"a\""]);
    check(&["www IN 300 A c0000202"], &[]);
    check(&["www ANY 0 A"], &["-www.example.com. A 192.0.2.2", "-www.example.com. A 192.0.2.3"]);
    check(&["www ANY 0 ANY"], &["-www.example.com. A 192.0.2.2", "-www.example.com. A 192.0.2.3"]);
    check(&["www NONE 0 A c0000202"], &["-www.example.com. A 192.0.2.2"]);
    check(&["www NONE 0 A c0000209"], &[]);
    check(&["www ANY 0 A", "www IN 300 A c0000203"], &["-www.example.com. A 192.0.2.2"]);
    // The last word counts; nothing of the way there is left.
    check(&["new IN 60 A c0000209", "new ANY 0 ANY"], &[]);
    // A CNAME and other data do not meet, and one replaces another.
    check(&["www IN 60 CNAME 00", "alias IN 60 A c0000209"], &[]);
    check(&["alias IN 60 CNAME 00"], &["-alias.example.com. CNAME www.example.com.", "+alias.example.com. CNAME ."]);
    // The apex keeps its SOA and a name server.
    check(&[" ANY 0 ANY", " ANY 0 NS", " ANY 0 SOA", " NONE 0 NS 026e73076578616d706c6503636f6d00"], &[]);
    // An older SOA is passed over.
    check(&[" IN 60 SOA 00000000000600000000000000000000000000000000"], &[]);
    check(
        &[" IN 60 SOA 00000000000800000000000000000000000000000000"],
        &["-example.com. SOA ns.example.com. h.example.com. 7 2 3 4 5", "+example.com. SOA . . 8 0 0 0 0"],
    );
}

#[test]
fn refusals() {
    let check = |lines: &[&str], expected| assert_eq!(outcome(&[], lines), Err(expected), "{lines:?}");
    check(&["guarded IN 60 A c0000209"], Rcode::Refused);
    check(&["www IN 60 A c0000209", "guarded ANY 0 ANY"], Rcode::Refused);
    check(&["elsewhere IN 60 A c0000209"], Rcode::NotZone);
    check(&["www IN 60 A c00002"], Rcode::FormErr);
    check(&["www IN 60 ANY"], Rcode::FormErr);
    check(&["www ANY 60 A"], Rcode::FormErr);
    check(&["www NONE 60 A c0000202"], Rcode::FormErr);
    // A prerequisite that fails is told before a permission that lacks (section 3.3).
    assert_eq!(outcome(&["nobody ANY 0 ANY"], &["guarded ANY 0 ANY"]), Err(Rcode::NxDomain));
}

proptest::proptest! {
    #[test]
    fn any_octets_are_borne(mut octets: Vec<u8>, counts: [u8; 4]) {
        for (i, n) in counts.into_iter().enumerate() {
            if let Some(at) = octets.get_mut(5 + 2 * i) {
                *at = n;
            }
        }
        let _ = work_out(&octets, &zone(), |_, _| true);
    }
}
