//! Checked policies → canonical policy text: absolute names, every setting that is not the default.
//!
//! Law: loading the text gives the same policies, but for `Route::text`, which tells where a route
//! stands.

use crate::geo::Match;
use crate::id::MemberIdx;
use crate::policy::assert::Assertion;
use crate::policy::probe::{self, Ask, Authorities, Probe, Trust};
use crate::policy::spec::{ALL_DOWN, FORECAST, PICK, RESUME, STEER_BY};
use crate::policy::value::{BreakerConfig, Effect, Group, Member, Policies, Pop, Role, Route, STANDBY};
use crate::units;
use crate::wire::Name;
use std::fmt::{Display, Write};

/// Prints policies as one file: POPs, then each group with its members, routes and assertions, then the steered
/// names.
pub fn print(policies: &Policies) -> String {
    let mut out = String::new();
    for one in &policies.pops {
        pop(one, &mut out);
    }
    for one in &policies.groups {
        group(one, policies, &mut out);
    }
    for steer in &policies.steers {
        let group = &policies.groups[steer.group.idx()].name;
        put(&mut out, format_args!("{} STEER {}\n", steer.name, group.to_string().replace('=', "\\061")));
    }
    out
}

fn put(out: &mut String, what: std::fmt::Arguments<'_>) {
    out.write_fmt(what).expect("writing to a String does not fail");
}

/// ` key=value` where the value is not the default.
fn setting<T: PartialEq>(out: &mut String, key: &str, value: T, default: T, text: impl Display) {
    if value != default {
        put(out, format_args!(" {key}={text}"));
    }
}

//----------- Records --------------------------------------------------------

fn pop(pop: &Pop, out: &mut String) {
    let Pop { name, at, capacity, max, price, co2, spill, breaker, probe } = pop;
    put(out, format_args!("{name} POP at={},{} capacity={}", at.lat, at.lon, rate(*capacity)));
    setting(out, "max", *max, *capacity, rate(*max));
    setting(out, "price", *price, 0.0, rate(*price));
    setting(out, "co2", *co2, 0.0, rate(*co2));
    if let Some(part) = spill {
        put(out, format_args!(" spill={}", share(*part)));
    }
    let BreakerConfig { error_rate, latency_ms, min_requests, cooldown_secs, failback_secs, resume } = breaker;
    let default = BreakerConfig::default();
    setting(out, "breaker.error-rate", *error_rate, default.error_rate, share(*error_rate));
    if let Some(ms) = latency_ms {
        put(out, format_args!(" breaker.latency={ms}ms"));
    }
    setting(out, "breaker.min-requests", *min_requests, default.min_requests, rate(*min_requests));
    setting(out, "breaker.cooldown", *cooldown_secs, default.cooldown_secs, duration(*cooldown_secs));
    setting(out, "breaker.failback", *failback_secs, default.failback_secs, duration(*failback_secs));
    setting(out, "breaker.resume", *resume, default.resume, word(RESUME, resume));
    if let Some(probe) = probe {
        print_probe(probe, out);
    }
    out.push('\n');
}

fn print_probe(probe: &Probe, out: &mut String) {
    let Probe { url, ask, authority: _, host, to, trust, interval_secs, timeout_secs, rise, fall } = probe;
    put(out, format_args!(" probe=\"{url}\""));
    if to.ip().to_string() != *host {
        put(out, format_args!(" probe.address={}", to.ip()));
    }
    put(out, format_args!(" probe.interval={} probe.timeout={}", duration(*interval_secs), duration(*timeout_secs)));
    setting(out, "probe.rise", *rise, probe::RISE, rise);
    setting(out, "probe.fall", *fall, probe::FALL, fall);
    if let Ask::Http { status, body, .. } = ask {
        let range = |(from, to): &(u16, u16)| if from == to { from.to_string() } else { format!("{from}..{to}") };
        list(out, "probe.status", &status.iter().map(range).collect::<Vec<_>>());
        if let Some(body) = body {
            put(out, format_args!(" probe.body=\"{body}\""));
        }
    }
    match trust {
        Trust::Usual => {}
        Trust::File(Authorities { path, .. }) => put(out, format_args!(" probe.ca=\"{path}\"")),
        Trust::Anyone => out.push_str(" probe.unverified"),
    }
}

fn group(group: &Group, policies: &Policies, out: &mut String) {
    let Group {
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
    } = group;
    put(out, format_args!("{name} GROUP steer={} pick={}", word(STEER_BY, steer), word(PICK, pick)));
    put(out, format_args!(" answers={answers} ttl={ttl_min}..{ttl_max} reserve={}", share(reserve.least)));
    if reserve.most > reserve.least {
        put(out, format_args!("..{}", share(reserve.most)));
    }
    put(out, format_args!(" all-down={} forecast={}", word(ALL_DOWN, all_down), word(FORECAST, forecast)));
    setting(out, "unit", unit.as_str(), "requests", format_args!("\"{unit}\""));
    setting(out, "co2-price", *co2_price, 0.0, rate(*co2_price));
    if let Some(secs) = budget_secs {
        put(out, format_args!(" budget={}", duration(*secs)));
    }
    out.push('\n');
    for one in members {
        member(name, one, policies, out);
    }
    for one in routes {
        route(name, one, members, out);
    }
    for Assertion { pops, at_least } in assertions {
        let pops: Vec<String> =
            pops.iter().map(|p| policies.pops[p.idx()].name.to_string().replace(',', "\\044")).collect();
        put(out, format_args!("{name} ASSERT at-least={at_least}"));
        list(out, "pops", &pops);
        out.push('\n');
    }
}

fn member(group: &Name, member: &Member, policies: &Policies, out: &mut String) {
    let Member { name, pop, role, capacity, weight, price } = member;
    // A word with `=` in it would be read as a parameter.
    put(out, format_args!("{group} MEMBER {}", name.to_string().replace('=', "\\061")));
    if let Some(pop) = pop {
        put(out, format_args!(" pop={}", policies.pops[pop.idx()].name));
    }
    match role {
        Role::Active => {}
        Role::Shadow { warmup_secs, standby } => {
            put(out, format_args!(" shadow warmup={}", duration(*warmup_secs)));
            setting(out, "standby", *standby, STANDBY, share(*standby));
        }
        Role::External => out.push_str(" external"),
    }
    for (key, value) in [("capacity", capacity), ("weight", weight)] {
        if let Some(value) = value {
            put(out, format_args!(" {key}={}", rate(*value)));
        }
    }
    setting(out, "price", *price, 0.0, rate(*price));
    out.push('\n');
}

fn route(group: &Name, route: &Route, members: &[Member], out: &mut String) {
    let Route { when, effect, text: _ } = route;
    let Match { countries, subdivisions, continents, nets, asns } = when;
    put(out, format_args!("{group} ROUTE"));
    list(out, "country", countries);
    list(out, "subdivision", subdivisions);
    list(out, "continent", continents);
    list(out, "net", nets);
    list(out, "asn", asns);
    let named = |list: &[MemberIdx]| -> Vec<String> {
        // A comma inside a label would part the list.
        list.iter().map(|m| members[m.idx()].name.to_string().replace(',', "\\044")).collect()
    };
    match effect {
        Effect::Only(to) => {
            list(out, "members", &named(to));
            out.push_str(" only");
        }
        Effect::First(to) => list(out, "members", &named(to)),
        Effect::Prefer(to) => list(out, "prefer", &named(to)),
    }
    out.push('\n');
}

//----------- Values ---------------------------------------------------------

fn list<T: Display>(out: &mut String, key: &str, items: &[T]) {
    if !items.is_empty() {
        let items: Vec<String> = items.iter().map(T::to_string).collect();
        put(out, format_args!(" {key}={}", items.join(",")));
    }
}

fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> &'static str {
    words.iter().find(|(_, v)| v == value).map(|(word, _)| *word).expect("the table has every variant")
}

/// The shortest way to write a number that reads back as exactly the same.
fn exact(n: f64, units: &[(&str, f64)], reads: impl Fn(&str) -> Option<f64>) -> String {
    let with_units = units.iter().map(|(unit, factor)| format!("{}{unit}", n / factor));
    with_units.filter(|text| reads(text) == Some(n)).min_by_key(String::len).unwrap_or_else(|| n.to_string())
}

fn rate(n: f64) -> String {
    let reads = |text: &str| units::parse_quantity(text).ok();
    exact(n, &[("", 1.0), ("k", 1e3), ("M", 1e6), ("G", 1e9)], reads)
}

fn share(n: f64) -> String {
    exact(n, &[("%", 0.01), ("", 1.0)], |text| units::parse_share(text).ok())
}

fn duration(secs: f64) -> String {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86_400.0)];
    exact(secs, &units, |text| units::parse_duration_secs(text).ok())
}
