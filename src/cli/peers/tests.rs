use super::*;

fn peers(toml: &str) -> Result<Peers, String> {
    let (config, mut said) = (Config::parse(toml, "x")?, Vec::new());
    let peers = read(&config, &mut |section, why| said.push(format!("[{section}] {why}")));
    if said.is_empty() { Ok(peers) } else { Err(said.join("\n")) }
}

const KEY: &str = "[[tsig]]\nname = \"k.\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"\n";

#[test]
fn what_is_wrong_is_said() {
    let check = |toml: &str, expected: &str| {
        let said = peers(&format!("{KEY}{toml}")).unwrap_err();
        assert!(said.contains(expected), "{said}");
    };
    check("[[tsig]]\nname = \"k\"\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"", "[tsig] two keys are called k.");
    check("[[tsig]]\nname = \"l\"\nsecret = \"MDEy\"", "[tsig] l: the secret has 3 octets");
    check("[[tsig]]\nname = \"l\"\nsecret = \"é\"", "not in base 64");
    check("[[tsig]]\nname = \"l\"", "give either secret or secret-file");
    check("[[tsig]]\nname = \"l\"\nalgorithm = \"hmac-md5\"\nsecret = \"MDEy\"", "none of hmac-sha256");
    check(
        "[[tsig]]\nname = \"l\"\nleast-mac-bits = 100\nsecret = \"MDEyMzQ1Njc4OWFiY2RlZg==\"",
        "multiple of 8 from 128 to 256",
    );
    check("[zone.\"a.test\"]\nallow-transfer = [\"192.0.2.0/33\"]", "is no prefix");
    check("[zone.\"a.test\"]\nallow-transfer = [{ key = \"x\" }]", "key \"x\" is in no [[tsig]]");
    check("[zone.\"a.test\"]\nallow-transfer = [{}]", "an empty table would let everybody in");
    check("[zone.\"a.test\"]\nprimaries = [\"ns1\"]", "\"ns1\" is no address");
    check("[zone.\"a.test\"]\nprimaries = [{ addr = \"192.0.2.1\", tls = \"ns1\" }]", "go together");
    check("[zone.\"a.test\"]\nprimaries = [{ addr = \"192.0.2.1\", tls = \"ns1\", ca = \"/nowhere\" }]", "ca /nowhere");
    check("[zone.\"a.test\"]\nprimaries = [\"192.0.2.1\"]\nserial = \"unixtime\"", "has their serial");
    check(
        "[zone.\"a.test\"]\nprimaries = [\"192.0.2.1\"]\n[[zone.\"a.test\".update]]\nkey = \"k\"\nnames = []",
        "is changed there",
    );
    check("[zone.\"a.test\"]\ncatalog = \"consumer\"", "comes from primaries");
    check("[zone.\"*\"]\nprimaries = [\"192.0.2.1\"]", "for single zones");
    check("[zone.\"a..test\"]", "a label is empty");
    check("[[zone.\"a.test\".update]]\nkey = \"k\"\nnames = [\"a.b.*\"]", "one label stands before");
    check("[[zone.\"a.test\".update]]\nkey = \"k\"\nnames = []\ntypes = [\"TEXT\"]", "\"TEXT\" is no type");
    check("[transfer]\ninbound = 0", "inbound = 0: 1 to 1000");
    check("[transfer]\noutbound = 0", "outbound = 0: 1 to 1000");
    check("[transfer]\noutbound = 4\noutbound-per-client = 5", "outbound-per-client = 5: 1 to outbound, 4");
    check("[zone.\"a.test\"]\nallow-transfer = [5]", "expected a prefix");
    // A key that is misspelt must not let everybody of the prefix in.
    check("[zone.\"a.test\"]\nallow-transfer = [{ from = [\"192.0.2.0/24\"], keys = \"k\" }]", "expected a prefix");
    check("[zone.\"a.test\"]\nnotify = [{ addr = \"192.0.2.1\", keys = \"k\" }]", "expected an address");
}

#[test]
fn tables_become_rules_and_settings() {
    let toml = "[zone.\"*\"]\nallow-transfer = [\"192.0.2.0/24\"]\n[zone.\"A.test\"]\nserial = \"date-counter\"\n\
        allow-transfer = [{ from = [\"198.51.100.1\"], key = \"k\" }]\nnotify = [\"198.51.100.1\", \"[2001:db8::1]:5353\"]\n\
        [[zone.\"A.test\".update]]\nkey = \"k\"\nnames = [\"_acme-challenge.*\", \"*.dyn\", \"www\", \"@\"]\ntypes = [\"TXT\"]\n\
        [zone.\"b.test\"]\nprimaries = [{ addr = \"192.0.2.9\", key = \"k\" }]\n";
    let peers = peers(&format!("{KEY}{toml}")).unwrap();
    let name = |text: &str| text.parse::<Name>().unwrap();
    let (a, b) = (peers.settings.of(&name("a.test")), peers.settings.of(&name("b.test")));
    assert_eq!(
        (a.serial, a.journaled, a.updated, a.notify[1].addr.port()),
        (SerialRule::DateCounter, true, true, 5353)
    );
    assert_eq!((a.notify[0].addr.port(), b.primaries[0].addr.port(), b.journaled), (53, 53, false));
    let key = peers.keys.get(name("k").as_wire()).unwrap();
    let addr = |text: &str| text.parse::<IpAddr>().unwrap();
    let rules = peers.rules.of(&name("b.test"));
    assert!(rules.notify[0].allows(addr("192.0.2.9"), Some(key)) && !rules.notify[0].allows(addr("192.0.2.9"), None));
    let update = &peers.rules.of(&name("a.test")).update[0];
    for (at, expected) in [
        ("_acme-challenge.x.a.test", true),
        ("x.dyn.a.test", true),
        ("www.a.test", true),
        ("a.test", true),
        ("x.a.test", false),
    ] {
        assert_eq!(update.covers(&name(at), Some(16)), expected, "{at}");
    }
    assert_eq!(peers.rules.of(&name("c.test")).transfer.len(), 1);
    assert!(!format!("{:?}", Config::parse(KEY, "x")).contains("MDEy"), "no secret is printed");
}
