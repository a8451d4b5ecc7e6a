//! Text in, entries and problems out.

use super::*;

/// Scans `text` under `example.` and prints each entry on a line, then each problem.
fn scan_with(text: &str, includes: &mut Includes<'_>) -> Vec<String> {
    let (mut sources, mut report, mut out) = (Sources::default(), Report::default(), Vec::new());
    let origin = "example.".parse().unwrap();
    let mut scanner = Scanner::new(&mut sources, includes, "dir/z", text, &origin, &mut report);
    while let Some(e) = scanner.next_entry(&mut report) {
        let ttl = e.ttl.map_or("-".into(), |t| t.to_string());
        let mut line = format!("{} {ttl} {} {}", e.owner, e.class, e.rtype.text);
        for t in e.tokens() {
            line += &if t.quoted { format!(" '{}'", t.text) } else { format!(" {}", t.text) };
        }
        out.push(line);
    }
    out.extend(report.diagnostics.iter().map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.message)));
    out
}

#[track_caller]
fn check(text: &str, want: &[&str]) {
    assert_eq!(scan_with(text, &mut no_includes), want, "{text}");
}

#[test]
fn heads_resolve_what_is_left_out() {
    check("a A 1", &["a.example. - 1 A 1"]);
    check("@ A 1\n  B 2", &["example. - 1 A 1", "example. - 1 B 2"]);
    check("a 5 IN A 1", &["a.example. 5 1 A 1"]);
    check("a in 5m A 1\n B", &["a.example. 300 1 A 1", "a.example. 300 1 B"]);
    check("a 5 A 1\nb A 1", &["a.example. 5 1 A 1", "b.example. 5 1 A 1"]);
    check("$TTL 1h\na 5 A 1\nb A 1", &["a.example. 5 1 A 1", "b.example. 3600 1 A 1"]);
    check("a CH A 1", &["a.example. - 3 A 1"]);
    check("a CLASS1 TYPE1 \\# 0", &["a.example. - 1 TYPE1 \\# 0"]);
    check("in in in in", &["in.example. - 1 in in"]);
    check("$ORIGIN b\na A\n$ORIGIN c.\na A", &["a.b.example. - 1 A", "a.c. - 1 A"]);
    check("a TXT \"x y\" z", &["a.example. - 1 TXT 'x y' z"]);
    check("WWW.Other.\tA 1", &["www.other. - 1 A 1"]);
}

#[test]
fn problems_are_told_and_passed_over() {
    check(
        " A 1\n A 2\nb A 3",
        &["b.example. - 1 A 3", "dir/z:1:2 this line leaves its owner out, but no record stands before it"],
    );
    check("a..b A 1\n A 2\nb A 3", &["b.example. - 1 A 3", "dir/z:1:1 \"a..b\" cannot be an owner: a label is empty"]);
    check("a 5 IN\nb A 3", &["b.example. - 1 A 3", "dir/z:1:7 the line ends before a record type"]);
    check("a 5x A 1", &["dir/z:1:3 \"5x\" is not a TTL"]);
    check(
        "$TTL\n$TTL 5 5\n$TLT 5",
        &[
            "dir/z:1:5 $TTL needs more arguments",
            "dir/z:2:8 $TTL takes no more arguments",
            "dir/z:3:1 unknown directive \"$TLT\"",
        ],
    );
    check("a A ( 1", &["dir/z:1:5 this parenthesis is never closed"]);
}

#[test]
fn includes_are_followed_and_change_nothing_outside() {
    let mut files = |path: &str| match path {
        "dir/b" => Ok(b"@ A 1\n$TTL 9\n$ORIGIN x.\nc A 2\n".to_vec()),
        "dir/loop" => Ok(b"$INCLUDE z\nok A".to_vec()),
        "/abs" => Ok(b" A inherited".to_vec()),
        _ => Err("no such file".into()),
    };
    let mut check = |text: &str, want: &[&str]| assert_eq!(scan_with(text, &mut files), want, "{text}");
    check(
        "$TTL 5\na A\n$INCLUDE b sub\n A\nd A",
        &["a.example. 5 1 A", "sub.example. 5 1 A 1", "c.x. 9 1 A 2", "a.example. 5 1 A", "d.example. 5 1 A"],
    );
    check("a A\n$INCLUDE \"/abs\"", &["a.example. - 1 A", "a.example. - 1 A inherited"]);
    check("$INCLUDE loop", &["ok.example. - 1 A", "dir/loop:1:10 dir/z includes itself"]);
    check("$INCLUDE nope\na A", &["a.example. - 1 A", "dir/z:1:10 dir/nope cannot be included: no such file"]);
}

#[test]
fn include_loops_under_two_names_end() {
    let mut n = 0;
    let mut files = |_: &str| {
        n += 1;
        Ok(format!("$INCLUDE /{n}").into_bytes())
    };
    let out = scan_with("$INCLUDE /x", &mut files);
    let (last, most) = (MAX_INCLUDES - 1, MAX_INCLUDES);
    assert_eq!(out, [format!("/{last}:1:10 files include each other more than {most} deep")]);
}

#[test]
fn generated_lines_are_entries() {
    check(
        "$GENERATE 1-3/2 h-$ 60 A 10.0.0.$ ; x\n B",
        &["h-1.example. 60 1 A 10.0.0.1", "h-3.example. 60 1 A 10.0.0.3", "h-3.example. 60 1 B"],
    );
    check("$GENERATE 2-1 a A 1", &["dir/z:1:11 \"2-1\" runs backwards"]);
    check("$GENERATE 1-9 a..$ A 1", &["dir/z:1:15 \"a..1\" cannot be an owner: a label is empty"]);
    check("$GENERATE 1-9 a${ A 1", &["dir/z:1:15 `${` without `}`"]);
    check("$GENERATE 1-2 a", &["dir/z:1:16 $GENERATE needs more arguments"]);
}

#[test]
fn pieces_of_tokens_have_places() {
    let (mut sources, mut report) = (Sources::default(), Report::default());
    let mut includes = no_includes;
    let text = "a GROUP at=1,23 note=\"x y\" plain";
    let mut scanner = Scanner::new(&mut sources, &mut includes, "z", text, &Name::root(), &mut report);
    let entry = scanner.next_entry(&mut report).unwrap();
    let (key, value) = entry.token(0).unwrap().key_value();
    let value = value.unwrap();
    assert_eq!((key.text, value.text, value.span.start), ("at", "1,23", 11));
    let parts: Vec<_> = value.split(',').map(|t| (t.text, t.span.start, t.span.len)).collect();
    assert_eq!(parts, [("1", 11, 1), ("23", 13, 2)]);
    let (_, note) = entry.token(1).unwrap().key_value();
    assert_eq!(note.map(|t| (t.text, t.quoted, t.span.len)), Some(("x y", true, 5)));
    assert_eq!(entry.token(2).unwrap().key_value().1, None);
    assert_eq!(entry.end().start as usize, text.len());
}

proptest::proptest! {
    /// Whatever operators or line noise write, scanning ends and no place lies outside its text.
    #[test]
    fn any_text_scans(pieces in proptest::collection::vec(proptest::sample::select(&[
        "a", " ", "\n", "(", ")", "\"", "\\", ";", "$ORIGIN", "$TTL", "$GENERATE", "$INCLUDE", "1-3", "5m", "IN", "A",
        "$", "${", "}", "=", "é", "\r", "\t", ".", "@", "9", "\u{0}",
    ][..]), 0..40)) {
        let text = pieces.concat();
        let mut self_include = |_: &str| Ok(text.clone().into_bytes());
        scan_with(&text, &mut self_include);
    }
}
