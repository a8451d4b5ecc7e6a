//! Text and wire of every type, against examples of the RFCs, against each other, and against hickory-proto.

use hickory_proto::rr::{RData, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};
use proptest::prelude::*;

use crate::masterfile::{Report, Scanner, Sources, no_includes};
use crate::wire::Name;
use crate::zone::rdata::{codec, formats::FORMATS, parse_type, print, scan, type_text};

/// Reads `TYPE data` under `origin`; the RDATA, or the problems.
fn read(text: &str, origin: &str) -> Result<Vec<u8>, String> {
    let (mut sources, mut report, mut includes) = (Sources::default(), Report::default(), no_includes);
    let origin: Name = origin.parse().unwrap();
    let line = format!("x {text}");
    let mut scanner = Scanner::new(&mut sources, &mut includes, "z", line, &origin, &mut report);
    let Some(entry) = scanner.next_entry(&mut report) else { return Err(report.to_string()) };
    let rtype = parse_type(entry.rtype.text).unwrap();
    let (mut out, mut problems) = (Vec::new(), Report::default());
    let taken = scan(rtype, &entry, &mut out, &mut problems);
    assert_eq!(taken, !problems.has_errors());
    if taken { Ok(out) } else { Err(problems.to_string()) }
}

/// `text` reads as `hex`, and prints as `printed` (itself if empty), which reads as `hex` again.
#[track_caller]
fn check(text: &str, hex: &str, printed: &str) {
    let (head, data) = text.split_once(' ').unwrap();
    let printed = if printed.is_empty() { data } else { printed };
    let wire = read(text, "example.com.").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(codec::hex(&wire), hex.replace(' ', "").to_uppercase(), "{text}");
    assert_eq!(print(parse_type(head).unwrap(), &wire), printed);
    assert_eq!(read(&format!("{head} {printed}"), "example.com.").as_deref(), Ok(&wire[..]));
}

#[test]
fn types_read_and_print() {
    let host = "03 6e7331 07 6578616d706c65 03 636f6d 00";
    check("A 192.0.2.1", "c0000201", "");
    check("AAAA 2001:DB8:0::1", "20010db8000000000000000000000001", "2001:db8::1");
    check("NS ns1", host, "ns1.example.com.");
    check("NS @", "07 6578616d706c65 03 636f6d 00", "example.com.");
    check("CNAME WwW.Example.Net.", "03 577757 07 4578616d706c65 03 4e6574 00", "");
    check("SOA . . 1 1h 15m 1w 300", "00 00 00000001 00000e10 00000384 00093a80 0000012c", ". . 1 3600 900 604800 300");
    check("MX 10 ns1", &format!("000a {host}"), "10 ns1.example.com.");
    check("TXT a \"b c\" \"\" \\\"\\200", "01 61 03 622063 00 02 22c8", "\"a\" \"b c\" \"\" \"\\\"\\200\"");
    check("HINFO PC \"Linux x\"", "02 5043 07 4c696e75782078", "\"PC\" \"Linux x\"");
    check("SRV 1 2 443 .", "0001 0002 01bb 00", "");
    check(
        "NAPTR 1 2 u E2U+sip !^.*$!sip:a@b! .",
        "0001 0002 01 75 07 4532552b736970 0e 215e2e2a24217369703a61406221 00",
        "1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@b!\" .",
    );
    check("CAA 0 issue \"ca.example\"", "00 05 6973737565 63612e6578616d706c65", "");
    check("CAA 128 iodef \"\"", "80 05 696f646566", "");
    check("URI 1 2 \"https://a/\"", "0001 0002 68747470733a2f2f612f", "");
    check(
        "SSHFP 4 1 123456789abcdef67890123456789abcdef67890",
        "0401 123456789abcdef67890123456789abcdef67890",
        "4 1 123456789ABCDEF67890123456789ABCDEF67890",
    );
    check("TLSA 3 1 0 00ff", "030100 00ff", "3 1 0 00FF");
    check("DS 1 RSASHA256 0 00", "0001 08 00 00", "1 8 0 00");
    check("DNSKEY 257 3 13 AQID BA==", "0101 03 0d 01020304", "257 3 13 AQIDBA==");
    check("CDNSKEY 0 3 0 AA==", "0000 03 00 00", "");
    check(
        "RRSIG A 13 2 300 20260101000000 1767225600 7 . AA==",
        "0001 0d 02 0000012c 69 55 b9 00 6955b900 0007 00 00",
        "A 13 2 300 20260101000000 20260101000000 7 . AA==",
    );
    // RFC 4034 section 4.3.
    check(
        "NSEC host.example.com. A MX RRSIG NSEC TYPE1234",
        "04686f7374076578616d706c6503636f6d00 0006400100000003 041b000000000000000000000000000000000000000000000000000020",
        "",
    );
    check(
        "NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr A",
        "01 01 000c 04 aabbccdd 14 174eb2409fe28bcb4887a1836f957f0a8425e27b 00 01 40",
        "1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A",
    );
    check("NSEC3PARAM 1 0 0 -", "01 00 0000 00", "");
    check("EUI48 00-00-5e-00-53-2a", "00005e00532a", "");
    check("EUI64 00-00-5e-ef-10-00-00-2a", "00005eef1000002a", "");
    check("L64 10 2001:0DB8:1140:1000", "000a 20010db811401000", "10 2001:0db8:1140:1000");
    check("OPENPGPKEY AQID", "010203", "");
    check("CERT PKIX 1 8 AQID", "0001 0001 08 010203", "1 1 8 AQID");
    // RFC 1876 section 4, the form of section 3.
    check(
        "LOC 42 21 54 N 71 06 18 W -24m 30m",
        "00 33 16 13 89 17 2d d0 70 be 15 f0 00 98 8d 20",
        "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
    );
    check("TYPE65280 \\# 3 010203", "010203", "\\# 3 010203");
    check("TYPE65280 \\# 0", "", "");
    check("A \\# 4 c000 0201", "c0000201", "192.0.2.1");
}

#[test]
fn service_parameters_follow_rfc_9460() {
    // Appendix D.1 and D.2, its figures 2 to 10.
    let foo = "03 666f6f 07 6578616d706c65 03 636f6d 00";
    check("HTTPS 0 foo.example.com.", &format!("0000 {foo}"), "");
    check("SVCB 1 .", "0001 00", "");
    check("SVCB 16 foo.example.com. port=53", &format!("0010 {foo} 0003 0002 0035"), "");
    check(
        "SVCB 1 foo.example.com. key667=hello",
        &format!("0001 {foo} 029b 0005 68656c6c6f"),
        "1 foo.example.com. key667=\"hello\"",
    );
    check("SVCB 1 foo.example.com. key667=\"hello\\210qoo\"", &format!("0001 {foo} 029b 0009 68656c6c6fd2716f6f"), "");
    check(
        "SVCB 1 foo.example.com. ipv6hint=\"2001:db8::1,2001:db8::53:1\"",
        &format!("0001 {foo} 0006 0020 20010db8000000000000000000000001 20010db8000000000000000000530001"),
        "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
    );
    check(
        "SVCB 16 foo.example.org. alpn=h2,h3-19 mandatory=ipv4hint,alpn ipv4hint=192.0.2.1",
        "0010 03666f6f076578616d706c65036f726700 0000 0004 00010004 0001 0009 02683205 68332d3139 0004 0004 c0000201",
        "16 foo.example.org. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1",
    );
    let escaped = "0010 03666f6f076578616d706c65036f726700 0001 000c 08 665c6f6f2c626172 02 6832";
    check(r#"SVCB 16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#, escaped, "");
    check(
        r"SVCB 16 foo.example.org. alpn=f\\\092oo\092,bar,h2",
        escaped,
        r#"16 foo.example.org. alpn="f\\\\oo\\,bar,h2""#,
    );
    check(
        "HTTPS 1 . alpn=h2 no-default-alpn ech=AQI= key65000",
        "0001 00 0001 0003 026832 0002 0000 0005 0002 0102 fde8 0000",
        "1 . alpn=\"h2\" no-default-alpn ech=AQI= key65000",
    );

    // Appendix D.3, failure cases, and more like them.
    for bad in [
        "SVCB 1 foo key123=abc key123=def",
        "SVCB 1 foo mandatory",
        "SVCB 1 foo alpn",
        "SVCB 1 foo port",
        "SVCB 1 foo ipv4hint",
        "SVCB 1 foo ipv6hint",
        "SVCB 1 foo no-default-alpn=abc",
        "SVCB 1 foo mandatory=key123",
        "SVCB 1 foo mandatory=mandatory",
        "SVCB 1 foo mandatory=key123,key123 key123=abc",
        "SVCB 1 foo no-default-alpn",
        "SVCB 1 foo key65535=a",
        "SVCB 1 foo key01=a",
        "SVCB 1 foo port=65536",
        "SVCB 1 foo alpn=,h2",
        "SVCB 1 foo ech=AQI",
        "SVCB 1 foo ipv4hint=1.2.3",
        "SVCB foo",
        "SVCB 1",
    ] {
        assert!(read(bad, "example.com.").is_err(), "{bad}");
    }
}

#[test]
fn what_is_refused() {
    #[track_caller]
    fn check(text: &str, place: &str, message: &str) {
        let problem = read(text, "example.com.").expect_err(text);
        let first = problem.lines().next().unwrap();
        assert_eq!(first, format!("z:1:{place}: error: {message}"), "{text}");
    }
    check("A 192.0.2.256", "5", "\"192.0.2.256\" is not an IPv4 address");
    check("A 1.2.3.4 5", "13", "A takes nothing after its address");
    check("MX ns1 10", "6", "\"ns1\" is not a valid preference: expected a number from 0 to 65535");
    check("MX 65536 a", "6", "the preference 65536 is out of range: expected a number from 0 to 65535");
    check("MX 10", "8", "the mail server is missing");
    check("NS a..b", "6", "\"a..b\" is not a valid name server: a label is empty");
    check("DS 1 8 2 00FG", "15", "'G' in the digest is not a hexadecimal digit");
    check("DS 1 8 2 00FF 000", "20", "the digest has an odd number of hexadecimal digits");
    check("DS 1 8 2 00FF", "12", "a SHA-256 digest has 32 octets, not 2");
    check(
        "DNSKEY 256 3 13 AQIDB",
        "24",
        "the public key is cut short: 5 digits of base 64 are no whole number of octets",
    );
    check("DNSKEY 256 1 13 AQID", "14", "the protocol of a key is 3, not 1");
    check("TXT a\\300", "8", "this escape is neither \\DDD (000 to 255) nor a backslash and one other character");
    check("TXT a=\"b c\"", "9", "a quote in the middle of a string");
    check("TYPE65280 abc", "13", "TYPE65280 has no text form of its own");
    check("TYPE65280 \\# 3 0102", "16", "the length says 3, but 2 octets follow");
    check("A \\# 3 010203", "5", "these octets are not A data");
    check(
        "LOC 91 N 1 E 0m",
        "7",
        "\"91\" is not a valid latitude: expected up to 90 degrees, minutes, seconds, then N or S",
    );
    check("CAA 0 iss-ue x", "9", "\"iss-ue\" is not a valid tag: expected letters and digits, such as issue or iodef");
    check("NSEC a FOO", "10", "unknown record type \"FOO\"");
}

//----------- Laws -----------------------------------------------------------

/// Octets that look like RDATA often enough: small numbers, labels, lengths.
fn octets() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => proptest::collection::vec(any::<u8>(), 1..6),
        2 => Just(b"\x03www\x07Example\x00".to_vec()),
        2 => Just(vec![0]),
        2 => (0u8..12).prop_flat_map(|n| proptest::collection::vec(any::<u8>(), usize::from(n)).prop_map(move |mut v| { v.insert(0, n); v })),
        2 => (0u8..10, 0u8..9).prop_flat_map(|(k, n)| proptest::collection::vec(any::<u8>(), usize::from(n)).prop_map(move |v| [vec![0, k, 0, n], v].concat())),
        1 => Just(vec![0, 1, 0, 3, 2, b'h', b'2']),
        1 => Just(vec![0, 0x12, 0x16, 0x13, 0x89, 0x17, 0x2d, 0xd0, 0x70, 0xbe, 0x15, 0xf0, 0, 0x98, 0x8d, 0x20]),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|p| p.concat())
}

fn hickory(rtype: u16, text: &str) -> Option<Vec<u8>> {
    let data = RData::try_from_str(RecordType::from(rtype), text).ok()?;
    let mut wire = Vec::new();
    let mut encoder = BinEncoder::new(&mut wire);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).ok()?;
    Some(wire)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever octets a record has, its text reads back to them, unless the type forbids them.
    #[test]
    fn scan_after_print_is_identity(octets in octets(), row in 0..FORMATS.len()) {
        let rtype = FORMATS[row].code;
        let text = print(rtype, &octets);
        let back = read(&format!("{} {text}", type_text(rtype)), "example.com.");
        match text.starts_with("\\#") {
            false => prop_assert_eq!(back, Ok(octets), "{}", text),
            true => prop_assert!(back.is_err(), "{}", text),
        }
    }

    /// Types we do not know carry any octets.
    #[test]
    fn unknown_types_carry_anything(octets in octets()) {
        let text = print(65280, &octets);
        prop_assert_eq!(read(&format!("TYPE65280 {text}"), "."), Ok(octets));
    }

    /// Where hickory-proto reads our text, it means the same octets. Escapes are left out, since it takes `\\DDD`
    /// for octal, letter case, since it folds some names, and CSYNC, whose unassigned flags it drops.
    #[test]
    fn hickory_agrees(octets in octets(), row in 0..FORMATS.len()) {
        let format = &FORMATS[row];
        let text = print(format.code, &octets);
        if !text.contains('\\') && format.code != 62 && let Some(theirs) = hickory(format.code, &text) {
            prop_assert_eq!(codec::hex(&theirs.to_ascii_lowercase()), codec::hex(&octets.to_ascii_lowercase()), "{} {}", format.name, text);
        }
    }

    /// Any tokens are read or refused; nothing panics.
    #[test]
    fn any_text_is_read_or_refused(
        row in 0..FORMATS.len(),
        words in proptest::collection::vec(prop_oneof![
            proptest::sample::select(&["0", "1", "65535", "4294967296", "-", "@", ".", "a.b.", "\\#", "\"\"", "\"a b\"", "é", "\\255", "\\", "\\é",
                "N", "E", "1.5m", "alpn=h2", "mandatory=alpn", "ipv4hint=", "port=1", "key9=\"é\"", "AQID", "AQ==", "=", "2001:db8::1",
                "192.0.2.1", "20260101000000", "A", "TYPE9", "00-00-5e-00-53-2a", "1:2:3:4", "(", ")", "ff"][..]).prop_map(String::from),
            "[ -~]{0,8}",
        ], 0..9),
    ) {
        let _ = read(&format!("{} {}", FORMATS[row].name, words.join(" ")), "example.com.");
    }
}
