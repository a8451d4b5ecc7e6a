//! Laws of loading and printing, on random policies and random text.

use crate::geo::Match;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::masterfile::{Report, no_includes};
use crate::policy::assert::Assertion;
use crate::policy::*;
use crate::units::LatLon;
use crate::wire::{Name, rtype};
use crate::zone::{Builder, ZoneSet};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Labels that members are made of, some of which need care in print.
const MEMBERS: [&str; 6] = ["ams", "fra", "a\\,b", "c\\=d", "e\\.f", "\\\"g\\;"];

/// A zone with addresses at every member and every steered name of these tests.
fn ground() -> ZoneSet {
    let apex = name("example.com.");
    let mut zone = Builder::new(&apex);
    zone.add(&apex, rtype::SOA, 300, &[0; 22]);
    let members = MEMBERS.iter().map(|m| format!("{m}.m.example.com."));
    for owner in members.chain((0..8).map(|i| format!("s{i}.example.com."))) {
        zone.add(&name(&owner), rtype::A, 300, &[192, 0, 2, 1]);
        zone.add(&name(&owner), rtype::AAAA, 300, &[0; 16]);
    }
    ZoneSet::new(vec![zone.finish()])
}

fn load_text(text: &str) -> (Option<Policies>, Report) {
    let mut report = Report::default();
    let file = PolicyFile::new("zones/example.com.policy", text);
    (load(vec![file], &mut no_includes, &ground(), &[], &mut report), report)
}

//----------- Random policies ------------------------------------------------

/// Numbers as an operator would write them, and some nobody would.
fn rate() -> impl Strategy<Value = f64> {
    prop_oneof![(1u32..1000).prop_map(|n| f64::from(n) * 1e3), 0.001f64..1e9]
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![(1u32..100).prop_map(|n| f64::from(n) / 100.0), 1e-6f64..0.999]
}

/// Whole microseconds, which is what durations are read to.
fn secs() -> impl Strategy<Value = f64> {
    prop_oneof![(1u32..10_000).prop_map(f64::from), (1u64..1_000_000_000).prop_map(|us| us as f64 / 1e6)]
}

fn pop(i: usize) -> impl Strategy<Value = Pop> {
    let breaker = (
        share(),
        proptest::option::of(1u64..10_000_000),
        rate(),
        secs(),
        (prop_oneof![Just(0.0), secs()], any::<bool>()),
    )
        .prop_map(|(e, l, n, c, (failback_secs, is_manual))| {
            let latency_ms = l.map(|us| us as f64 / 1e3);
            let resume = if is_manual { Resume::Manual } else { Resume::Auto };
            BreakerConfig { error_rate: e, latency_ms, min_requests: n, cooldown_secs: c, failback_secs, resume }
        });
    let weighs = (rate(), rate(), proptest::option::of(share()));
    (-90.0f64..=90.0, -180.0f64..=180.0, rate(), 1.0f64..3.0, weighs, breaker, proptest::option::of(probe())).prop_map(
        move |(lat, lon, capacity, above, (price, co2, spill), breaker, probe)| Pop {
            name: name(&format!("p{i}.example.com.")),
            at: LatLon { lat, lon },
            capacity,
            max: capacity * above,
            price,
            co2,
            spill,
            breaker,
            probe,
        },
    )
}

/// Probes of every kind; authorities stand in files, and there are none here.
fn probe() -> impl Strategy<Value = probe::Probe> {
    use crate::policy::probe::{Ask, Probe, Trust};
    let service = || prop_oneof![Just(String::new()), Just("pay.v1.Pay".to_string())];
    let status = proptest::collection::vec((100u16..300, 300u16..600), 1..3);
    let ask = prop_oneof![
        Just(Ask::Connect),
        ("/[a-z?=;,%0-9]{0,9}", any::<bool>(), status, proptest::option::of("[a-z,;=(][a-z ,;=:(){}$@']{0,9}[a-z]"))
            .prop_map(|(path, tls, status, body)| Ask::Http { path, tls, status, body }),
        (service(), any::<bool>()).prop_map(|(service, tls)| Ask::Grpc { service, tls }),
    ];
    let times = (1u32..3600, 1u32..100).prop_map(|(secs, part)| {
        let timeout = (f64::from(secs) * f64::from(part) / 100.0).clamp(0.01, 60.0);
        (f64::from(secs), (timeout * 1e6).round() / 1e6)
    });
    (ask, any::<[bool; 2]>(), 1u16.., times, 1u32..=100, 1u32..=100).prop_map(
        |(ask, [named, unverified], port, (interval_secs, timeout_secs), rise, fall)| {
            let (scheme, rest) = match &ask {
                Ask::Connect => ("tcp", ""),
                Ask::Http { path, tls, .. } => (if *tls { "https" } else { "http" }, path.as_str()),
                Ask::Grpc { service, tls } => (if *tls { "grpcs" } else { "grpc" }, service.as_str()),
            };
            let slash = if matches!(ask, Ask::Grpc { .. }) { "/" } else { "" };
            let host = if named { "health.example.net" } else { "192.0.2.7" };
            let authority = format!("{host}:{port}");
            Probe {
                url: format!("{scheme}://{authority}{slash}{rest}"),
                trust: if ask.is_over_tls() && unverified { Trust::Anyone } else { Trust::Usual },
                ask,
                authority,
                host: host.to_string(),
                to: format!("192.0.2.7:{port}").parse().unwrap(),
                interval_secs,
                timeout_secs,
                rise,
                fall,
            }
        },
    )
}

fn matches() -> impl Strategy<Value = Match> {
    let some = |list: &'static [&'static str]| {
        proptest::sample::subsequence(list, 0..=2).prop_map(|l| l.into_iter().map(String::from).collect::<Vec<_>>())
    };
    let nets =
        proptest::sample::subsequence(&["192.0.2.0/24", "198.51.100.0/25", "2001:db8::/32", "10.0.0.0/8"][..], 0..=3);
    let asns = proptest::collection::hash_set(1u32.., 0..3);
    (some(&["DE", "FR", "US"]), some(&["US-CA", "FR-IDF"]), some(&["EU", "NA"]), nets, asns).prop_map(
        |(c, s, k, n, a)| Match {
            countries: c,
            subdivisions: s,
            continents: k,
            nets: n.into_iter().map(|n| n.parse().unwrap()).collect(),
            asns: a.into_iter().collect(),
        },
    )
}

fn member(i: usize, n_pops: usize) -> impl Strategy<Value = Member> {
    let shadow = (secs(), share()).prop_map(|(warmup_secs, standby)| Role::Shadow { warmup_secs, standby });
    let role = prop_oneof![Just(Role::Active), shadow];
    let role = if i == 0 { Just(Role::Active).boxed() } else { role.boxed() };
    (0..n_pops, role, proptest::option::of(rate()), proptest::option::of(rate()), rate()).prop_map(
        move |(pop, role, capacity, weight, price)| Member {
            name: name(&format!("{}.m.example.com.", MEMBERS[i])),
            pop: Some(PopIdx::from(pop)),
            role,
            capacity,
            weight,
            price,
        },
    )
}

fn route(n_members: usize) -> impl Strategy<Value = Route> {
    let list = proptest::sample::subsequence((0..n_members).collect::<Vec<_>>(), 1..=n_members);
    (matches(), list, 0..3).prop_map(|(when, list, kind)| {
        let list: Vec<MemberIdx> = list.into_iter().map(MemberIdx::from).collect();
        let effect = match kind {
            0 => Effect::Only(list),
            1 => Effect::First(list),
            _ => Effect::Prefer(list),
        };
        Route { when, effect, text: String::new() }
    })
}

fn group(i: usize, n_pops: usize) -> impl Strategy<Value = Group> {
    let words = (
        prop_oneof![Just(SteerBy::Priced), Just(SteerBy::Weighted), Just(SteerBy::Nearest), Just(SteerBy::Static)],
        prop_oneof![Just(Pick::Sticky), Just(Pick::Spread)],
        prop_oneof![
            Just(AllDown::Static),
            Just(AllDown::All),
            Just(AllDown::Last),
            Just(AllDown::ServFail),
            Just(AllDown::NoData)
        ],
        prop_oneof![Just(ForecastUse::Off), Just(ForecastUse::Show), Just(ForecastUse::Steer)],
        "[a-z][a-z /.-]{0,10}[a-z]",
    );
    let reserve = (share(), share()).prop_map(|(a, b)| Reserve { least: a.min(b), most: a.max(b) });
    let numbers = (1u8.., 1u32..1000, 0u32..1000, reserve, rate(), proptest::option::of(secs()));
    (1usize..=MEMBERS.len(), words, numbers).prop_flat_map(move |(n, words, numbers)| {
        let members: Vec<_> = (0..n).map(|m| member(m, n_pops)).collect();
        let routes = proptest::collection::vec(route(n), 0..6);
        (members, routes).prop_map(move |(members, routes)| {
            let (steer, pick, all_down, forecast, unit) = words.clone();
            let (answers, ttl_min, more, reserve, co2_price, budget_secs) = numbers;
            let name = name(&format!("g{i}.example.com."));
            let ttl_max = ttl_min + more;
            let mut pops: Vec<PopIdx> = members.iter().filter_map(|m| m.pop).collect();
            pops.sort();
            pops.dedup();
            // The first member always serves.
            let assertions = if more % 2 == 0 { vec![Assertion { pops, at_least: 1 }] } else { Vec::new() };
            Group {
                name,
                steer,
                pick,
                answers,
                ttl_min,
                ttl_max,
                reserve,
                all_down,
                forecast,
                unit,
                co2_price,
                budget_secs,
                members,
                routes,
                assertions,
            }
        })
    })
}

fn policies() -> impl Strategy<Value = Policies> {
    (1usize..4, 0usize..3).prop_flat_map(|(n_pops, n_groups)| {
        let pops: Vec<_> = (0..n_pops).map(pop).collect();
        let groups: Vec<_> = (0..n_groups).map(|g| group(g, n_pops)).collect();
        let steers = proptest::collection::vec(0..n_groups.max(1), if n_groups > 0 { 0..8 } else { 0..1 });
        (pops, groups, steers).prop_map(|(pops, groups, steers)| {
            let steer = |(i, g)| Steer { name: name(&format!("s{i}.example.com.")), group: GroupIdx::from(g) };
            Policies { pops, groups, steers: steers.into_iter().enumerate().map(steer).collect() }
        })
    })
}

fn without_text(mut policies: Policies) -> Policies {
    policies.groups.iter_mut().flat_map(|g| &mut g.routes).for_each(|r| r.text.clear());
    policies
}

fn without_routes(mut policies: Policies) -> Policies {
    policies.groups.iter_mut().for_each(|g| g.routes.clear());
    policies
}

proptest! {
    /// What is printed is loaded as it was, so `print` is a way to hand policies on. Routes come back
    /// sorted and split; sorted ones come back as they are.
    #[test]
    fn printed_policies_load_as_they_were(mut policies in policies()) {
        // Of these a load refuses some with reason: routes that match nobody.
        let text = print(&policies);
        let (loaded, report) = load_text(&text);
        let Some(loaded) = loaded else {
            prop_assert!(report.to_string().contains("matches nobody") || report.to_string().contains("weight 0"), "{report}\n{text}");
            return Ok(());
        };
        policies.steers.sort_by(|a, b| a.name.cmp(&b.name));
        prop_assert_eq!(without_routes(loaded.clone()), without_routes(policies));
        let (again, _) = load_text(&print(&loaded));
        prop_assert_eq!(again.map(without_text), Some(without_text(loaded)));
    }

    /// Whatever the text, there is a report and no panic, and it says why if there is no value.
    #[test]
    fn no_text_panics(text in text()) {
        let (loaded, report) = load_text(&text);
        prop_assert_eq!(loaded.is_none(), report.has_errors(), "{}", report);
        let _ = report.to_string();
    }
}

/// Text that is nearly policy, and text that is not.
fn text() -> impl Strategy<Value = String> {
    let words = [
        "web",
        "ams.m",
        "p0",
        "@",
        "*.x",
        "POP",
        "GROUP",
        "MEMBER",
        "ROUTE",
        "STEER",
        "IN",
        "300",
        "at=1,2",
        "at=",
        "=",
        ",",
        "capacity=1k",
        "max=1",
        "pop=p0",
        "shadow",
        "external",
        "warmup=5m",
        "country=DE,",
        "net=10.0.0.1/8",
        "asn=1,1",
        "members=ams.m,,x",
        "members=\"ams.m, x\"",
        "prefer=ams.m",
        "only",
        "ttl=9..1",
        "unit=\"é è\"",
        "é=ü",
        "\\",
        "\\000",
        "(",
        ")",
        "\"",
        ";",
        "\n",
        "\n",
        "\n",
        " ",
        "\t",
        "$ORIGIN",
        "$GENERATE",
        "1-3",
        "$",
        "${0,2}",
    ];
    let nearly = proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..60).prop_map(|w| w.join(" "));
    prop_oneof![4 => nearly, 1 => "\\PC{0,200}"]
}

//----------- Meaning --------------------------------------------------------

const SMALL: &str = "\
p POP at=52.31,4.76 capacity=40k\n\
g GROUP\n\
g MEMBER ams.m pop=p\n\
g MEMBER fra.m pop=p shadow\n\
g MEMBER edge.example.net. external\n\
s0 STEER g\n";

#[test]
fn what_is_left_out_has_the_documented_default() {
    let (loaded, report) = load_text(SMALL);
    let loaded = loaded.unwrap_or_else(|| panic!("{report}"));
    assert_eq!(loaded.pops[0].max, 40_000.0);
    assert_eq!(loaded.pops[0].price, 0.0);
    assert_eq!(loaded.pops[0].breaker, BreakerConfig::default());
    let group = &loaded.groups[0];
    assert_eq!((group.steer, group.pick, group.answers), (SteerBy::Priced, Pick::Sticky, 1));
    assert_eq!((group.ttl_min, group.ttl_max, group.reserve), (20, 60, Reserve::of(0.15)));
    assert_eq!((group.all_down, group.forecast, group.unit.as_str()), (AllDown::All, ForecastUse::Steer, "requests"));
    let roles: Vec<Role> = group.members.iter().map(|m| m.role).collect();
    assert_eq!(roles, [Role::Active, Role::Shadow { warmup_secs: 300.0, standby: STANDBY }, Role::External]);
    assert_eq!(group.members[2].pop, None);
}

#[test]
fn more_specific_routes_decide_first() {
    let check = |written: &[&str], sorted: &[&str]| {
        let routes: Vec<String> = written.iter().map(|w| format!("g ROUTE {w} members=ams.m\n")).collect();
        let (loaded, report) = load_text(&format!("{SMALL}{}", routes.concat()));
        let loaded = loaded.unwrap_or_else(|| panic!("{report}"));
        let printed = print(&loaded);
        let found: Vec<&str> = printed.lines().filter_map(|l| l.split_once(" ROUTE ").map(|(_, r)| r)).collect();
        let expected: Vec<String> =
            sorted.iter().map(|s| format!("{s} members=ams.m.example.com.").trim().into()).collect();
        assert_eq!(found, expected);
    };
    let by_kind = ["", "continent=EU", "country=DE", "subdivision=DE-BY", "asn=1", "net=10.0.0.0/8", "net=10.1.0.0/16"];
    let reversed: Vec<&str> = by_kind.iter().rev().copied().collect();
    check(&by_kind[1..], &reversed[..6]);
    check(&["country=DE", "country=FR"], &["country=DE", "country=FR"]);
    check(&["country=FR", "country=DE"], &["country=FR", "country=DE"]);
    check(&["country=DE", "country=DE asn=1", "asn=2"], &["country=DE asn=1", "asn=2", "country=DE"]);
    // One route over two lengths stands on both sides of a route between them.
    check(
        &["net=10.0.0.0/8,192.0.2.0/24", "net=10.1.0.0/16"],
        &["net=192.0.2.0/24", "net=10.1.0.0/16", "net=10.0.0.0/8"],
    );
}

#[test]
fn routes_carry_what_was_written() {
    let (loaded, _) = load_text(&format!("{SMALL}g ROUTE ( country=de ; here\n  members=ams.m,fra.m ) only\n"));
    let routes = &loaded.unwrap().groups[0].routes;
    assert_eq!(routes[0].text, "ROUTE country=de members=ams.m,fra.m only (zones/example.com.policy:7)");
    assert_eq!(routes[0].when.countries, ["DE"]);
    assert_eq!(routes[0].effect, Effect::Only(vec![MemberIdx(0), MemberIdx(1)]));
}

#[test]
fn files_are_one_load() {
    let files = SMALL.split_inclusive('\n').map(|line| PolicyFile::new("zones/example.com.policy", line)).rev();
    let mut report = Report::default();
    let loaded = load(files.collect(), &mut no_includes, &ground(), &[], &mut report);
    assert_eq!(loaded.map(|p| p.groups[0].members.len()), Some(3), "{report}");
    assert_eq!(load(Vec::new(), &mut no_includes, &ground(), &[], &mut report), Some(Policies::default()));
}

#[test]
fn the_file_name_is_the_origin() {
    let check = |path: &str, origin: &str| assert_eq!(PolicyFile::new(path, "").origin, name(origin));
    check("zones/example.com.policy", "example.com.");
    check("example.com", "example.com.");
    check("zones/.policy", ".");
    check("a..b.policy", ".");
}

#[test]
fn too_many_are_refused_once() {
    let many: String = (0..4100).map(|i| format!("g ROUTE asn={} members=ams.m\n", i + 1)).collect();
    let (loaded, report) = load_text(&format!("{SMALL}{many}"));
    assert!(loaded.is_none());
    assert_eq!(report.counts().0, 1, "{}", report.diagnostics[0]);
    assert!(report.diagnostics[0].message.contains("more than 4096 routes"));
}
