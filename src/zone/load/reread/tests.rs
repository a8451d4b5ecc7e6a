//! The law of reading again: whatever is edited, the outcome is that of a whole load.

use super::*;
use crate::id::GroupIdx;
use crate::zone::load::{Read, read};
use proptest::prelude::*;

fn whole(text: &str) -> (Option<Read>, String) {
    let (mut report, mut includes) = (Report::default(), no_includes);
    let read = read("z", text, &"example.com.".parse().unwrap(), &mut includes, &mut report);
    (read, report.to_string())
}

/// All that a zone answers from, in order.
fn print(zone: &Zone) -> Vec<String> {
    let mut lines: Vec<String> = zone
        .nodes()
        .map(|node| {
            let sets: Vec<String> = node
                .rrsets()
                .map(|set| {
                    let glue: Vec<String> =
                        set.glue().map(|g| format!("{} {} {}", g.name_at, g.in_domain, g.node.name())).collect();
                    format!("{} {} {:?} {glue:?}", set.rtype, set.ttl, set.rdatas().collect::<Vec<_>>())
                })
                .collect();
            format!("{} {} {sets:?}", node.name(), node.flags())
        })
        .collect();
    lines.sort();
    lines.push(format!("{} {} {} {}", zone.serial(), zone.n_names(), zone.n_rrsets(), zone.n_records()));
    lines.push(format!("{:?}", zone.negative_soa()));
    lines
}

const HEAD: [&str; 6] =
    ["$TTL 300", "@ SOA ns h 1 2 3 4 5", "@ NS ns", "@ NS ns.other.net.", "ns A 192.0.2.1", "@ MX 10 mail"];

/// Lines that make a sound zone in any number, and lines that do not always.
fn line() -> impl Strategy<Value = String> {
    let n = 0..12u32;
    prop_oneof![
        8 => (0..60u32, n.clone()).prop_map(|(h, a)| format!("h{h} A 192.0.2.{a}")),
        3 => (0..60u32, n.clone()).prop_map(|(h, a)| format!("h{h} AAAA 2001:db8::{a}")),
        2 => n.clone().prop_map(|a| format!("mail A 192.0.2.{a}")),
        2 => n.clone().prop_map(|h| format!("  TXT \"more of it {h}\"")),
        2 => n.clone().prop_map(|h| format!("deep{h}.x{}.ent A 192.0.2.9", h % 3)),
        2 => (n.clone(), n.clone()).prop_map(|(c, h)| format!("c{c} CNAME h{h}")),
        1 => (n.clone(), n.clone()).prop_map(|(c, h)| format!("c{c} CNAME c{h}")),
        2 => n.clone().prop_map(|d| format!("d{d} NS ns.d{d}\nns.d{d} A 192.0.2.7")),
        1 => (n.clone(), n.clone()).prop_map(|(d, e)| format!("d{d} NS ns.d{e}")),
        2 => n.clone().prop_map(|d| format!("d{d} NS ns")),
        1 => n.clone().prop_map(|d| format!("h1.d{d} A 192.0.2.7")),
        1 => n.clone().prop_map(|d| format!("x{d}.ent NS ns")),
        1 => n.clone().prop_map(|d| format!("m{d} MX 5 h{d}\ns{d} SRV 0 0 5 h{d}.w")),
        1 => n.clone().prop_map(|d| format!("*.w{} A 192.0.2.{d}", d % 4)),
        1 => n.clone().prop_map(|d| format!("c{d} CNAME y.w{}", d % 4)),
        1 => n.clone().prop_map(|d| format!("n{d} DNAME h{d}")),
        1 => n.clone().prop_map(|d| format!("g.n{d} A 192.0.2.1")),
        1 => Just("@ SOA ns h 2 2 3 4 5".to_string()),
        1 => n.clone().prop_map(|t| format!("$TTL 30{t}")),
        1 => prop_oneof![Just("$ORIGIN sub.example.com."), Just("$ORIGIN example.com."), Just("$ORIGIN ent.example.com.")].prop_map(String::from),
        1 => n.clone().prop_map(|h| format!("p{h} (\n A\n 192.0.2.{h} )")),
        1 => n.prop_map(|h| format!("$GENERATE 1-3 g{h}-$ A 192.0.2.$")),
        1 => Just("; a remark, and nothing else".to_string()),
        1 => prop_oneof![Just("q (".to_string()), Just(") ; end".to_string()), Just("www A 192.0.2.300".to_string())],
    ]
}

/// One change: lines taken away at a place, and others put there.
type Edit = (usize, usize, Vec<String>);

fn edit() -> impl Strategy<Value = Edit> {
    (0..1000usize, 0..4usize, prop::collection::vec(line(), 0..4))
}

/// Whether the line can stay: with it the zone loads without a word.
fn grow(lines: &mut Vec<String>, more: Vec<String>) {
    for line in more {
        lines.push(line);
        if !whole(&lines.join("\n")).1.is_empty() {
            lines.pop();
        }
    }
}

/// Makes the edits one after another and compares; how many of those that load were read by what was remembered.
fn run(start: Vec<String>, edits: Vec<Edit>, n_marks: u8) -> Result<(usize, usize), TestCaseError> {
    let mut lines: Vec<String> = HEAD.iter().map(|l| l.to_string()).collect();
    lines.push("mail A 192.0.2.2".into());
    lines.extend((0..80).map(|i| format!("b{i} A 192.0.2.{i}")));
    grow(&mut lines, start);
    let mut known = whole(&lines.join("\n")).0.unwrap();
    let (mut n_loads, mut n_reread) = (0, 0);
    for (at, n_gone, new) in edits {
        let mut next = lines.clone();
        let at = at % next.len();
        next.splice(at..(at + n_gone).min(lines.len()), new);
        let text = next.join("\n");
        let (read, problems) = whole(&text);
        let mut served = known.zone.clone();
        served.set_marks((0..n_marks).map(|i| (format!("h{i}.example.com.").parse().unwrap(), GroupIdx(1))).collect());
        // A version without an outline (its SOA is not the first record, say) is loaded whole after any edit.
        match known.outline.as_ref().and_then(|outline| reread(text.as_bytes(), &served, outline)) {
            Some(again) => {
                prop_assert_eq!(&problems, "", "{}", text);
                let plain = {
                    let mut zone = served.clone();
                    zone.set_marks(Vec::new());
                    zone
                };
                prop_assert_eq!(
                    print(again.zone.as_ref().unwrap_or(&plain)),
                    print(&read.as_ref().unwrap().zone),
                    "{}",
                    text
                );
                (n_loads, n_reread) = (n_loads + 1, n_reread + 1);
                known = Read { zone: again.zone.unwrap_or(plain), outline: again.outline };
                lines = next;
            }
            None if problems.is_empty() => {
                n_loads += 1;
                known = read.unwrap();
                lines = next;
            }
            None => {}
        }
    }
    Ok((n_loads, n_reread))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn reading_again_is_loading(
        start in prop::collection::vec(line(), 0..60),
        edits in prop::collection::vec(edit(), 1..12),
        n_marks in 0..4u8,
    ) {
        run(start, edits, n_marks)?;
    }
}

/// Most edits are read by what is remembered: else the law would say little.
#[test]
fn most_edits_need_no_whole_load() {
    let edits = (0..40usize).map(|i| (i * 7, i % 2, vec![format!("new{i} A 192.0.2.{i}")])).collect();
    let (n_loads, n_reread) = run(Vec::new(), edits, 2).unwrap();
    assert!(n_loads >= 30 && n_reread * 10 >= n_loads * 8, "{n_reread} of {n_loads}");
}

/// A record that is removed and one that leads to it: told of by a whole load alone.
#[test]
fn what_must_be_told_is_left_to_the_whole_load() {
    let mut text: String = HEAD.map(|l| format!("{l}\n")).concat();
    text += &(0..300).map(|i| format!("b{i} A 192.0.2.1\n")).collect::<String>();
    text += "mail A 192.0.2.2\nalias CNAME b7\n";
    let known = whole(&text).0.unwrap();
    let check = |from: &str, to: &str, is_reread: bool| {
        let text = text.replace(from, to);
        assert_eq!(reread(text.as_bytes(), &known.zone, known.outline.as_ref().unwrap()).is_some(), is_reread, "{to}");
    };
    check("b9 A 192.0.2.1\n", "b9 A 192.0.2.2\n", true);
    check("b9 A 192.0.2.1\n", "", true);
    check("b7 A 192.0.2.1\n", "", false);
    check("mail A 192.0.2.2\n", "", false);
    check("b9 A 192.0.2.1\n", "b9 CNAME b8\n", true);
    check("b9 A 192.0.2.1\n", "b9 CNAME b9\n", false);
    check("b9 A 192.0.2.1\n", "b9 A 192.0.2.1\nb8 CNAME b9\n", false);
    check("b9 A 192.0.2.1\n", "b9 NS ns.b9\nns.b9 A 192.0.2.3\n", true);
    check("b9 A 192.0.2.1\n", "b9 NS ns.b9\n", false);
    check("b9 A", "$INCLUDE x\nb9 A", false);
    check("b9 A", "b9 DNSKEY 257 3 13 abcd\nb9 A", true);
    check("@ SOA ns h 1 2 3 4 5", "@ SOA ns h 2 2 3 4 5", true);
    check("@ SOA ns h 1 2 3 4 5", "", false);
}
