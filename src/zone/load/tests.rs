//! What a loaded zone holds; what is wrong with one is in `tests/golden/zones`.

use super::*;
use crate::masterfile::no_includes;

fn load_text(text: &str) -> (Option<Zone>, String) {
    let (mut report, mut includes) = (Report::default(), no_includes);
    let zone = load("z", text, &"example.com.".parse().unwrap(), &mut includes, &mut report);
    (zone, report.to_string())
}

const HEAD: &str = "$TTL 300\n@ SOA ns h 7 1 1 1 1\n@ NS ns\nns A 192.0.2.1\n";

/// `text` behind a sound head loads without a word and holds `rrset` as `ttl` and the data of its records.
#[track_caller]
fn check(text: &str, owner: &str, rtype: &str, ttl: u32, rdatas: &[&str]) {
    let (zone, problems) = load_text(&format!("{HEAD}{text}"));
    assert_eq!(problems, "");
    let (zone, code) = (zone.unwrap(), rdata::parse_type(rtype).unwrap());
    let rrset = zone.rrset(&owner.parse().unwrap(), code).unwrap();
    let found: Vec<String> = rrset.rdatas().map(|r| rdata::print(code, &r)).collect();
    assert_eq!((rrset.ttl, found), (ttl, rdatas.iter().map(|r| r.to_string()).collect()), "{text}");
}

#[test]
fn records_arrive() {
    check("www 60 A 192.0.2.2\n 60 A 192.0.2.3", "www.example.com.", "A", 60, &["192.0.2.2", "192.0.2.3"]);
    check("www CNAME WWW.example.net.", "www.example.com.", "CNAME", 300, &["WWW.example.net."]);
    check("@ TXT hello", "example.com.", "TXT", 300, &["\"hello\""]);
    check("$GENERATE 1-3 h$ A 192.0.2.$", "h2.example.com.", "A", 300, &["192.0.2.2"]);
    check("x TYPE65280 \\# 1 ff", "x.example.com.", "TYPE65280", 300, &["\\# 1 FF"]);
    check("sub NS ns.sub\nns.sub A 192.0.2.9", "ns.sub.example.com.", "A", 300, &["192.0.2.9"]);
    check("a CNAME x.y\n*.y A 192.0.2.9", "a.example.com.", "CNAME", 300, &["x.y.example.com."]);
}

#[test]
fn the_soa_need_not_come_first_and_decides_the_apex() {
    let (zone, problems) =
        load_text("$TTL 5\n$ORIGIN sub.example.com.\nwww A 192.0.2.1\n@ NS www\n@ SOA www h 9 1 1 1 1\n@ A 192.0.2.4");
    assert_eq!(problems, "");
    let zone = zone.unwrap();
    assert_eq!((zone.apex().to_string(), zone.serial(), zone.n_records()), ("sub.example.com.".into(), 9, 4));
}

#[test]
fn file_names_give_origins() {
    let check = |path: &str, origin: Option<&str>| {
        assert_eq!(origin_of(path), origin.map(|o| o.parse().unwrap()), "{path}");
    };
    check("zones/example.com.zone", Some("example.com."));
    check("example.zone", Some("example."));
    check("example.com", None);
    check("dir.zone/x", None);
    check("a..b.zone", None);
}

#[test]
fn a_flood_of_problems_is_cut() {
    let text = format!("{HEAD}{}", "www.example.org. A 192.0.2.1\n".repeat(5000));
    let (zone, problems) = load_text(&text);
    assert!(zone.is_some());
    assert!(problems.ends_with("z: warning: 4000 more problems like these are not shown\n"), "{problems}");
    let text = format!("{HEAD}{}", "www A nonsense\n".repeat(5000));
    let (zone, problems) = load_text(&text);
    assert!(zone.is_none());
    assert!(problems.len() < 1_000_000);
}

proptest::proptest! {
    /// Any records load or are refused with a reason; nothing panics.
    #[test]
    fn any_records_load_or_are_refused(lines in proptest::collection::vec((
        proptest::sample::select(&["@", "a", "b.a", "*.a", "*", "x.b.a", "example.org.", "", "c", "."][..]),
        proptest::sample::select(&["", "5 ", "9 ", "4294967295 ", "CH "][..]),
        proptest::sample::select(&[
            "SOA ns h 7 1 1 1 1", "NS a", "NS x.b.a", "CNAME c", "CNAME a", "CNAME b.a", "DNAME c", "DNAME example.org.", "A 192.0.2.1",
            "A 192.0.2.2", "AAAA ::1", "MX 1 a", "MX 1 c", "SRV 1 1 1 c", "DS 1 8 0 00", "TXT x", "ANY x", "NSEC c A", "TYPE1 \\# 4 01020304",
            "CNAME .", "A",
        ][..]),
    ), 0..12)) {
        let text: String = lines.iter().map(|(owner, head, data)| format!("{owner} {head}{data}\n")).collect();
        let (zone, problems) = load_text(&text);
        proptest::prop_assert_eq!(zone.is_none(), problems.contains(": error: "));
    }
}
