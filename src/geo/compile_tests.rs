//! The map against its sources: the files' own lookups, the rules' own words, the sites' own distances.

use super::*;
use crate::geo::build::build_csv;
use crate::geo::cells::Located;
use crate::geo::country;
use crate::geo::database::plain;
use crate::geo::place::Paths;
use crate::geo::runs::Address;
use crate::geo::tree::Tree;
use crate::id::{CellIdx, RuleIdx};
use crate::masterfile::Report;
use ipnet::IpNet;
use proptest::prelude::*;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

fn mmdb(table: &str) -> Vec<u8> {
    let mut report = Report::default();
    build_csv("t.csv", table, 0, &mut report).unwrap_or_else(|| panic!("{report}"))
}

fn tables(tables: &[&str]) -> Databases {
    let files = tables.iter().enumerate().map(|(i, table)| (format!("{i}"), mmdb(table))).collect();
    Databases::open(files, &Paths::default()).unwrap_or_else(|e| panic!("{e:?}"))
}

fn rule(key: &str, values: &[&str]) -> Match {
    let mut rule = Match::default();
    let texts = || values.iter().map(ToString::to_string).collect();
    match key {
        "country" => rule.countries = texts(),
        "subdivision" => rule.subdivisions = texts(),
        "continent" => rule.continents = texts(),
        "net" => rule.nets = values.iter().map(|v| v.parse().unwrap()).collect(),
        _ => rule.asns = values.iter().map(|v| v.parse().unwrap()).collect(),
    }
    rule
}

/// What a rule says of an address, by the words of [`Match`] and nothing else.
fn rule_holds(rule: &Match, databases: &Databases, addr: IpAddr) -> bool {
    let addr = plain(addr);
    let place = databases.place(addr).unwrap_or_default();
    let country = place.country.clone().unwrap_or_default();
    let whole = format!("{country}-{}", place.subdivision.clone().unwrap_or_default());
    let listed = |list: &[String], value: &str| list.is_empty() || list.iter().any(|v| v == value);
    let in_net = |net: &IpNet| plain_net(net).contains(&addr);
    listed(&rule.countries, &country)
        && listed(&rule.subdivisions, &whole)
        && listed(&rule.continents, &place.continent.unwrap_or_default())
        && (rule.asns.is_empty() || place.asn.is_some_and(|asn| rule.asns.contains(&asn)))
        && (rule.nets.is_empty() || rule.nets.iter().any(in_net))
}

/// A prefix of IPv6 addresses that stand for IPv4, as that of IPv4.
fn plain_net(net: &IpNet) -> IpNet {
    for (alias, v4_from) in [("::/96", 96), ("::ffff:0:0/96", 96), ("2002::/16", 16), ("2001::/32", 32)] {
        if alias.parse::<IpNet>().unwrap().contains(net) {
            return IpNet::new(plain(net.addr()), (net.prefix_len() - v4_from).min(32)).unwrap();
        }
    }
    *net
}

/// An address inside the prefix of `scope` bits around `addr`, with the other bits taken from `noise`.
fn within(addr: IpAddr, scope: u8, noise: u128) -> IpAddr {
    match addr {
        IpAddr::V4(v4) => {
            let host = u32::MAX.checked_shr(u32::from(scope)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & !host | noise as u32 & host).into()
        }
        IpAddr::V6(v6) => {
            let host = u128::MAX.checked_shr(u32::from(scope)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & !host | noise & host).into()
        }
    }
}

/// Holds a map to its sources at one address and at others within its scope.
fn check_at(map: &CellMap, databases: &Databases, rules: &[&Match], addr: IpAddr, noises: [u128; 3]) {
    let located = map.locate(addr);
    let cell = &map.cells[located.cell.idx()];
    let country = databases.place(addr).and_then(|p| p.country);
    assert_eq!(cell.country.map(country::letters), country, "{addr} in {}", cell.name);
    let matching = (0..).zip(rules).filter(|(_, rule)| rule_holds(rule, databases, addr)).map(|(i, _)| RuleIdx(i));
    assert_eq!(cell.rules, matching.collect::<Vec<_>>(), "{addr} in {}", cell.name);
    for noise in noises {
        let other = within(addr, located.scope, noise);
        assert_eq!(map.locate(other), located, "{other} within /{} of {addr}", located.scope);
    }
}

/// Everything a map always is.
fn check_whole(map: &CellMap) {
    assert_eq!(map.cells[0].name, "unknown");
    let names: HashSet<&str> = map.cells.iter().map(|cell| cell.name.as_str()).collect();
    assert_eq!(names.len(), map.cells.len(), "names are unique");
    let total: f64 = map.cells.iter().map(|cell| cell.weight).sum();
    assert!((total - 1.0).abs() < 1e-9, "weights sum to {total}");
    for (i, cell) in map.cells.iter().enumerate() {
        assert_eq!(map.find(&cell.name).map(|c| c.idx()), Some(i));
        assert!((0.0..=1.0).contains(&cell.weight), "{} weighs {}", cell.name, cell.weight);
    }
    assert_eq!(map.find("nowhere"), None);
}

const TABLE: &str = "prefix,country,subdivision,city,lat,lon,asn
192.0.2.0/25,US,CA,Los Angeles,34.05,-118.24,64500
192.0.2.128/25,US,NY,New York,40.71,-74.01,64501
198.51.100.0/24,DE,BE,Berlin,52.52,13.4,64502
203.0.113.0/24,JP,13,Tokyo,35.68,139.69,64500
2001:db8::/33,DE,HE,Frankfurt,50.11,8.68,
2001:db8:8000::/33,US,CA,Los Angeles,34.05,-118.24,
";

fn names(map: &CellMap) -> Vec<&str> {
    map.cells.iter().map(|cell| cell.name.as_str()).collect()
}

#[test]
fn cells_are_countries_split_by_what_tells_them_apart() {
    let databases = tables(&[TABLE]);
    let check = |rules: &[Match], views: &[Vec<LatLon>], want: &[&str]| {
        let rules: Vec<&Match> = rules.iter().collect();
        let map = CellMap::compile(&databases, &rules, views);
        check_whole(&map);
        assert_eq!(names(&map), want);
        assert_eq!(map.notes, Vec::<String>::new());
    };
    let (lax, iad, fra) =
        (LatLon { lat: 33.94, lon: -118.41 }, LatLon { lat: 38.95, lon: -77.45 }, LatLon { lat: 50.03, lon: 8.56 });
    check(&[], &[], &["unknown", "DE", "JP", "US-CA", "US-NY"]);
    // Sites part nothing that subdivisions have not parted, so no name changes.
    check(&[], &[vec![lax, iad, fra]], &["unknown", "DE", "JP", "US-CA", "US-NY"]);
    check(&[rule("country", &["DE", "JP"])], &[], &["unknown", "DE", "JP", "US-CA", "US-NY"]);
    check(
        &[rule("net", &["198.51.100.128/25"])],
        &[],
        &["unknown", "DE", "DE+198.51.100.128/25", "JP", "US-CA", "US-NY"],
    );
    check(&[rule("asn", &["64500"])], &[], &["unknown", "DE", "JP+AS64500", "US-CA", "US-CA+AS64500", "US-NY"]);
    check(&[rule("net", &["10.0.0.0/8"])], &[], &["unknown", "DE", "JP", "US-CA", "US-NY", "unknown+10.0.0.0/8"]);
    check(&[Match::default()], &[], &["unknown", "DE", "JP", "US-CA", "US-NY"]);
}

#[test]
fn nearest_sites_part_a_cell_by_the_places_own_coordinates() {
    // Two cities 200 km apart in a small country, and a site beside each.
    let databases = tables(&["prefix,country,city,lat,lon\n10.0.0.0/9,DE,A,50,8\n10.128.0.0/9,DE,B,50,11\n"]);
    let (a, b) = (LatLon { lat: 50.0, lon: 8.5 }, LatLon { lat: 50.0, lon: 10.5 });
    let map = CellMap::compile(&databases, &[], &[vec![a, b]]);
    check_whole(&map);
    assert_eq!(names(&map), ["unknown", "DE@50,10.5", "DE@50,8.5"]);
    assert_eq!(map.cells[1].at, Some(LatLon { lat: 50.0, lon: 11.0 }));
    // Whatever the order of sites and views, and with views that say the same.
    let again = CellMap::compile(&databases, &[], &[vec![b, a], vec![a, b], vec![a]]);
    assert_eq!(names(&again), names(&map));
    let one = CellMap::compile(&databases, &[], &[vec![a]]);
    assert_eq!(names(&one), ["unknown", "DE"]);
    assert_eq!(one.places[1].iter().map(|p| (p.city.as_str(), p.share)).collect::<Vec<_>>(), [("A", 0.5), ("B", 0.5)]);
}

/// Whether files know all addresses, some, or none.
#[test]
fn weights_sum_to_one_whatever_is_known() {
    let check = |table: &str, rules: &[Match], unknown: f64| {
        let head = "prefix,country,subdivision,city,lat,lon,asn\n";
        let map = CellMap::compile(&tables(&[&format!("{head}{table}")]), &rules.iter().collect::<Vec<_>>(), &[]);
        check_whole(&map);
        assert!((map.cells[0].weight - unknown).abs() < 1e-9, "{table:?}: {}", map.cells[0].weight);
    };
    let germany = || vec![rule("country", &["DE"])];
    check("0.0.0.0/0,DE,,,51,10,\n::/0,DE,,,51,10,\n", &[], 0.0);
    check("0.0.0.0/0,DE,,,51,10,\n::/0,DE,,,51,10,\n", &germany(), 0.0);
    check("::/0,DE,,,51,10,\n", &[], 0.0);
    check("2000::/3,DE,,,51,10,\n", &[], UNKNOWN_SHARE);
    check("0.0.0.0/0,DE,,,51,10,\n", &[], 0.0);
    check("2001:db8::/128,DE,,,51,10,\n", &germany(), UNKNOWN_SHARE);
    check("192.0.2.0/24,,,,,,64500\n", &germany(), 1.0);
    check("0.0.0.0/0,DE,,,51,10,\n", &[rule("net", &["0.0.0.0/0", "::/0"])], 0.0);
}

#[test]
fn weights_are_shares_of_known_addresses() {
    let databases = tables(&["prefix,country,lat,lon\n10.0.0.0/10,DE,50,8\n11.0.0.0/8,JP,36,140\n"]);
    let map = CellMap::compile(&databases, &[], &[]);
    check_whole(&map);
    let weight = |name: &str| map.cells[map.find(name).unwrap().idx()].weight;
    assert!((weight("JP") / weight("DE") - 4.0).abs() < 1e-9);
    assert!((weight("unknown") - UNKNOWN_SHARE).abs() < 1e-12);
    // Nothing known at all: the whole space is unknown, but for what rules part off.
    let net = rule("net", &["128.0.0.0/1"]);
    let map = CellMap::compile(&Databases::default(), &[&net], &[]);
    check_whole(&map);
    assert_eq!(names(&map), ["unknown", "unknown+128.0.0.0/1"]);
    assert!((map.cells[1].weight - 0.5 * (1.0 - V6_SHARE)).abs() < 1e-9, "{:?}", map.cells);
}

#[test]
fn scopes_are_as_short_as_is_true() {
    let databases = tables(&[TABLE]);
    let map = CellMap::compile(&databases, &[], &[]);
    let check = |addr: &str, cell: &str, scope: u8| {
        let located = map.locate(addr.parse().unwrap());
        assert_eq!((map.cells[located.cell.idx()].name.as_str(), located.scope), (cell, scope), "{addr}");
    };
    check("192.0.2.5", "US-CA", 25);
    check("192.0.2.200", "US-NY", 25);
    check("203.0.113.255", "JP", 24);
    check("10.0.0.1", "unknown", 1);
    check("::ffff:203.0.113.9", "JP", 96 + 24);
    check("2002:cb00:7109::1", "JP", 16 + 24);
    check("2001:0:cb00:7109::1", "JP", 32 + 24);
    check("2001:db8::1", "DE", 33);
    check("2001:db8:8000::1", "US-CA", 33);
    check("2001:db9::1", "unknown", 32);
    check("ff02::1", "unknown", 1);
    assert_eq!(CellMap::nowhere().locate("2002:cb00:7109::1".parse().unwrap()).scope, 0);
    let nothing = CellMap::compile(&Databases::default(), &[], &[]);
    for addr in ["192.0.2.1", "2001:db8::1", "2002:c000:201::1", "::1"] {
        assert_eq!(nothing.locate(addr.parse().unwrap()), Located { cell: CellIdx(0), scope: 0 }, "{addr}");
    }
}

/// Over budget, subdivisions go first and sites next; rules stay, whatever it costs.
#[test]
fn budgets_are_kept_by_coarser_cells() {
    let databases = tables(&[TABLE]);
    let sites = vec![LatLon { lat: 33.94, lon: -118.41 }, LatLon { lat: 38.95, lon: -77.45 }];
    let rules = [rule("net", &["192.0.2.64/26"])];
    let rules: Vec<&Match> = rules.iter().collect();
    let check = |budget: usize, cells: usize, notes: usize| {
        let map = CellMap::compile_within(&databases, &rules, std::slice::from_ref(&sites), budget);
        check_whole(&map);
        assert_eq!((map.cells.len(), map.notes.len()), (cells, notes), "{:?} {:?}", names(&map), map.notes);
    };
    check(6, 6, 0);
    check(5, 5, 2);
    check(4, 5, 3);
}

/// Several files: for each field the first that knows it, and rules see the sum.
#[test]
fn files_join_field_by_field() {
    let asn = "prefix,asn\n192.0.2.0/24,64510\n8.8.0.0/16,64511\n";
    let databases = tables(&[asn, TABLE]);
    let rules = [rule("asn", &["64510"]), rule("subdivision", &["US-CA"]), rule("continent", &["EU"])];
    let rules: Vec<&Match> = rules.iter().collect();
    let map = CellMap::compile(&databases, &rules, &[]);
    check_whole(&map);
    assert_eq!(names(&map), ["unknown", "DE", "JP", "US-CA", "US-CA+AS64510", "US-NY+AS64510"]);
    for addr in ["192.0.2.1", "192.0.2.200", "198.51.100.1", "8.8.8.8", "2001:db8::1", "2001:db8:8000::"] {
        check_at(&map, &databases, &rules, addr.parse().unwrap(), [0, u128::MAX, 0x5555]);
    }
}

fn arb_addr() -> impl Strategy<Value = IpAddr> {
    let near = prop::sample::select(vec![0xc000_0200u32, 0xc633_6400, 0xcb00_7100, 0x0a00_0000]);
    let v6 = prop::sample::select(vec![
        0x2001_0db8u128 << 96,
        0x2002_c000u128 << 96,
        0xffffu128 << 32,
        0x2001u128 << 112,
        0,
    ]);
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from_bits(bits).into()),
        (near, 0u32..512).prop_map(|(net, low)| Ipv4Addr::from_bits(net ^ low).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from_bits(bits).into()),
        (v6, any::<u128>(), 32u32..128).prop_map(|(net, low, shift)| Ipv6Addr::from_bits(net | low >> shift).into()),
    ]
}

fn arb_rules() -> impl Strategy<Value = Vec<Match>> {
    let some = |all: &'static [&'static str]| {
        prop_oneof![
            2 => Just(vec![]),
            1 => prop::collection::vec(prop::sample::select(all), 1..3),
        ]
    };
    let nets = some(&[
        "192.0.2.0/26",
        "192.0.0.0/8",
        "10.0.0.0/9",
        "2001:db8:4000::/34",
        "2001:db8::7/128",
        "::/0",
        "0.0.0.0/0",
        "::ffff:198.51.100.0/120",
        "2002:cb00:7100::/41",
        "2001:db8::/64",
        "::1/128",
    ]);
    let one = (some(&["US", "DE"]), some(&["US-CA", "DE-BE"]), some(&["EU", "NA"]), nets, some(&["64500", "64502"]))
        .prop_map(|(countries, subdivisions, continents, nets, asns)| {
            let texts = |list: Vec<&str>| list.iter().map(ToString::to_string).collect();
            Match {
                countries: texts(countries),
                subdivisions: texts(subdivisions),
                continents: texts(continents),
                nets: nets.iter().map(|n| n.parse().unwrap()).collect(),
                asns: asns.iter().map(|n| n.parse().unwrap()).collect(),
            }
        });
    prop::collection::vec(one, 0..5)
}

proptest! {
    /// Every address has the country its files give it and the rules that match it by their own words, and so
    /// has every address within its scope.
    #[test]
    fn maps_say_what_files_and_rules_say(
        rules in arb_rules(),
        addrs in prop::collection::vec(arb_addr(), 1..20),
        noises in any::<[u128; 3]>(),
    ) {
        let databases = tables(&[TABLE]);
        let rules: Vec<&Match> = rules.iter().collect();
        let map = CellMap::compile(&databases, &rules, &[]);
        check_whole(&map);
        for addr in addrs {
            check_at(&map, &databases, &rules, addr, noises);
        }
    }

    /// A file with any octets changed is refused or read, and never panics or hangs; what is read compiles.
    #[test]
    fn damaged_files_do_no_harm(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12), cut in any::<prop::sample::Index>(), keep in any::<bool>()) {
        let mut bytes = mmdb(TABLE);
        for (at, octet) in changes {
            let at = at.index(bytes.len());
            bytes[at] = octet;
        }
        if !keep {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(databases) = Databases::open(vec![("damaged".into(), bytes)], &Paths::default()) {
            check_whole(&CellMap::compile(&databases, &[], &[]));
        }
    }
}

//----------- Files as operators have them -----------------------------------

/// Bytes of a file of the shared test data, if they are there.
fn shared(name: &str) -> Option<Vec<u8>> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../shared", "../../shared"].map(|up| root.join(up).join("data/mmdb").join(name));
    let found = places.iter().find_map(|path| std::fs::read(path).ok());
    if found.is_none() {
        println!("left out: {name} is not beside the checkout");
    }
    found
}

fn open_shared(name: &str) -> Option<Result<Databases, Vec<crate::geo::Error>>> {
    shared(name).map(|bytes| Databases::open(vec![(name.to_string(), bytes)], &Paths::default()))
}

/// An address and what a file says of it: country, latitude and longitude if to be looked at, AS number.
type Known = (&'static str, &'static str, Option<(f64, f64)>, Option<u32>);

/// Every network of a file: the map has the file's country there, and its scope holds.
#[test]
fn maps_equal_the_files_operators_have() {
    let check = |name: &str, some: &[Known]| {
        let Some(databases) = open_shared(name) else { return };
        let databases = databases.unwrap_or_else(|e| panic!("{e:?}"));
        let map = CellMap::compile(&databases, &[], &[]);
        check_whole(&map);
        let mut n = 0;
        for (v4, _, _) in leaves::<u32>(&databases) {
            check_at(&map, &databases, &[], Ipv4Addr::from_bits(v4).into(), [0, u128::MAX, 0x1234_5678]);
            n += 1;
        }
        for (v6, _, _) in leaves::<u128>(&databases) {
            check_at(&map, &databases, &[], Ipv6Addr::from_bits(v6).into(), [0, u128::MAX, 0x1234_5678 << 60]);
            n += 1;
        }
        assert!(n > 10, "{n}");
        for &(addr, country, at, asn) in some {
            let place = databases.place(addr.parse().unwrap()).unwrap_or_default();
            assert_eq!(place.country.as_deref().unwrap_or(""), country, "{name} {addr}");
            if at.is_some() {
                assert_eq!(place.at.map(|at| (at.lat, at.lon)), at, "{name} {addr}");
            }
            assert_eq!(place.asn, asn, "{name} {addr}");
        }
    };
    check(
        "GeoIP2-City-Test.mmdb",
        &[
            ("81.2.69.160", "GB", Some((51.5142, -0.0931)), None),
            ("2001:218::1", "JP", Some((35.68536, 139.75309)), None),
        ],
    );
    check("GeoLite2-City-Test.mmdb", &[("81.2.69.160", "GB", None, None)]);
    check("GeoIP2-Country-Test.mmdb", &[("81.2.69.160", "GB", Some((52.0, -1.0)), None)]);
    check("GeoLite2-Country-Test.mmdb", &[("81.2.69.160", "GB", Some((52.0, -1.0)), None)]);
    check("GeoIP2-Enterprise-Test.mmdb", &[("74.209.24.0", "US", None, Some(14671))]);
    check("GeoIP2-ISP-Test.mmdb", &[("1.128.0.1", "", None, Some(1221))]);
    check("GeoLite2-ASN-Test.mmdb", &[("1.128.0.1", "", None, Some(1221))]);
}

fn leaves<A: Address>(databases: &Databases) -> Vec<(A, u8, Option<u32>)> {
    let mut all = Vec::new();
    let tree: Tree<'_> = databases.files[0].tree();
    tree.leaves(|start, len, offset| all.push((start, len, offset))).unwrap();
    all
}

/// Broken and foreign files are refused with the reason.
#[test]
fn broken_files_are_refused_with_the_reason() {
    let check = |name: &str, want: &str| {
        let Some(opened) = open_shared(name) else { return };
        let errors = opened.map(|_| ()).unwrap_err();
        assert!(errors[0].to_string().contains(want) && errors[0].to_string().starts_with(name), "{}", errors[0]);
    };
    check("GeoIP2-City-Test-Invalid-Node-Count.mmdb", "not a sound MaxMind DB file");
    check("MaxMind-DB-test-broken-pointers-24.mmdb", "not a sound MaxMind DB file");
    check("MaxMind-DB-test-broken-search-tree-24.mmdb", "not a sound MaxMind DB file");
    check("MaxMind-DB-test-ipv4-24.mmdb", "holds a country, coordinates or AS number");
    check("MaxMind-DB-test-mixed-32.mmdb", "holds a country, coordinates or AS number");
    check("MaxMind-DB-no-ipv4-search-tree.mmdb", "holds a country, coordinates or AS number");
    let refused = |bytes: &[u8]| {
        Databases::open(vec![("x".into(), bytes.to_vec())], &Paths::default()).unwrap_err()[0].to_string()
    };
    assert!(refused(b"").contains("empty"));
    assert!(refused(b"hello").contains("metadata"), "{}", refused(b"hello"));
    assert!(refused(&mmdb("prefix,country\n")).contains("no networks"));
}

/// Flat layouts (IPinfo, and others) and paths of the operator's own.
#[test]
fn flat_layouts_and_own_paths_are_read() {
    use mmdb_writer::{Value, Writer};
    let file = |fields: &[(&str, &str)]| {
        let mut writer = Writer::builder("flat").build();
        let record = Value::map(fields.iter().map(|&(k, v)| (k, Value::from(v))));
        writer.insert_value("192.0.2.0/24".parse::<IpNet>().unwrap(), record).unwrap();
        writer.to_bytes().unwrap()
    };
    let check = |fields: &[(&str, &str)], paths: &Paths, want: (&str, Option<f64>, Option<u32>)| {
        let databases = Databases::open(vec![("flat".into(), file(fields))], paths).unwrap_or_else(|e| panic!("{e:?}"));
        let place = databases.place("192.0.2.9".parse().unwrap()).unwrap();
        let lat = place.at.map(|at| at.lat).filter(|_| fields.iter().any(|f| f.0.starts_with("lat")));
        assert_eq!((place.country.as_deref().unwrap(), lat, place.asn), want);
    };
    let usual = Paths::default();
    check(&[("country_code", "FR"), ("latitude", "48.9"), ("longitude", "2.3")], &usual, ("FR", Some(48.9), None));
    check(
        &[("country", "FR"), ("lat", "48.9"), ("lng", "2.3"), ("asn", "AS64500")],
        &usual,
        ("FR", Some(48.9), Some(64500)),
    );
    check(&[("country", "France"), ("country_code", "fr")], &usual, ("FR", None, None));
    let own = Paths { country: vec!["land".into()], ..Paths::default() };
    check(&[("land", "FR"), ("country", "DE")], &own, ("FR", None, None));
}
