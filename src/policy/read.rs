//! Readers of single values: text → number, place, prefix, choice, or a report of what would do.

use crate::masterfile::{Report, suggest};
use crate::policy::countries;
use crate::policy::record::{self, Value};
use crate::policy::said::{Said, SaidName};
use crate::policy::value::Reserve;
use crate::units::{self, LatLon};
use crate::wire::Name;
use ipnet::IpNet;
use std::net::IpAddr;

/// Most seconds of a TTL (RFC 2181 section 8).
pub const MAX_TTL: u32 = (1 << 31) - 1;

//----------- Numbers --------------------------------------------------------

/// A rate, count or price: finite and not negative.
pub fn quantity(value: &Value, report: &mut Report) -> Option<f64> {
    match units::parse_quantity(&value.text) {
        Ok(n) if n.is_finite() => Some(n),
        Ok(_) => {
            value.refuse(report, "a smaller number");
            None
        }
        Err(why) => {
            value.refuse(report, why.0);
            None
        }
    }
}

/// A quantity above 0.
pub fn positive(value: &Value, report: &mut Report) -> Option<f64> {
    let n = quantity(value, report)?;
    if n > 0.0 {
        return Some(n);
    }
    value.spot.error(
        report,
        format!("`{}` must be above 0", value.key),
        "leave the record out if nothing is to go there",
    );
    None
}

/// A share in `[0, 1]`.
pub fn share(value: &Value, report: &mut Report) -> Option<f64> {
    units::parse_share(&value.text).map_err(|why| value.refuse(report, why.0)).ok()
}

/// `least..most` or one share, each below 1.
pub fn reserve(value: &Value, report: &mut Report) -> Option<Reserve> {
    let (from, to) = value.text.split_once("..").unwrap_or((&value.text, &value.text));
    let (Ok(least), Ok(most)) = (units::parse_share(from), units::parse_share(to)) else {
        value.refuse(report, "a share such as 15% or 0.15, or the least and the most such as 10%..20%");
        return None;
    };
    let (message, help) = match () {
        () if least.max(most) >= 1.0 => {
            let help = "write a share such as 15%: 100% would leave nothing to use".to_string();
            ("`reserve` must stay below 100%", help)
        }
        () if least > most => ("the least reserve is above the most", format!("turn them round: reserve={to}..{from}")),
        () => return Some(Reserve { least, most }),
    };
    value.spot.error(report, message, help);
    None
}

/// A share above 0.
pub fn share_above_zero(value: &Value, report: &mut Report) -> Option<f64> {
    let n = share(value, report)?;
    if n > 0.0 {
        return Some(n);
    }
    value.spot.error(
        report,
        format!("`{}` must be above 0%", value.key),
        "write a share such as 5%: at 0% a single failure would trip",
    );
    None
}

/// A duration above 0 in seconds, to the microsecond, at most a year.
pub fn duration_secs(value: &Value, report: &mut Report) -> Option<f64> {
    match units::parse_duration_secs(&value.text) {
        Ok(secs) if secs > 0.0 && secs <= 366.0 * 86_400.0 => Some((secs * 1e6).round() / 1e6),
        Ok(_) => {
            value.spot.error(
                report,
                format!("`{}` must be above 0 and at most a year", value.key),
                "write a duration such as 30s or 5m",
            );
            None
        }
        Err(why) => {
            value.refuse(report, why.0);
            None
        }
    }
}

/// A duration as milliseconds, to the microsecond.
pub fn duration_ms(value: &Value, report: &mut Report) -> Option<f64> {
    duration_secs(value, report).map(|secs| (secs * 1e6).round() / 1e3)
}

/// How many addresses an answer may hold, from 1.
pub fn answers(value: &Value, report: &mut Report) -> Option<u8> {
    match value.text.parse::<u8>() {
        Ok(n) if n > 0 => Some(n),
        _ => {
            value.refuse(report, "how many addresses of the member one answer holds, from 1 to 255");
            None
        }
    }
}

/// How many POPs, from 1.
pub fn at_least(value: &Value, report: &mut Report) -> Option<usize> {
    match value.text.parse::<usize>() {
        Ok(n) if n > 0 => Some(n),
        _ => {
            value.refuse(report, "how many POPs must be able to serve, at least 1");
            None
        }
    }
}

/// `min..max` or one number, in seconds, at least 1.
pub fn ttl(value: &Value, report: &mut Report) -> Option<(u32, u32)> {
    let (min, max) = match value.text.split_once("..") {
        Some((min, max)) => (min, max),
        None => (value.text.as_str(), value.text.as_str()),
    };
    let (Some(min), Some(max)) = (ttl_secs(min), ttl_secs(max)) else {
        value.refuse(report, "least and most seconds such as 20..60, or one number such as 30");
        return None;
    };
    let problem = if min > max {
        Some(("the least TTL is above the most".to_string(), format!("turn them round: ttl={max}..{min}")))
    } else if min < 1.0 {
        Some(("a TTL of 0 makes every request a query".to_string(), "write at least 1, such as ttl=5..60".to_string()))
    } else if max > f64::from(MAX_TTL) {
        let help = "write at most 2147483647, better under an hour: ttl=20..60".to_string();
        Some(("a TTL ends at 2147483647 seconds (RFC 2181)".to_string(), help))
    } else {
        None
    };
    if let Some((message, help)) = problem {
        value.spot.error(report, message, help);
        return None;
    }
    if max > 3600.0 {
        // Our choice of an hour: longer than that and shares follow tomorrow.
        let message = format!("caches may keep answers for {max} seconds");
        value.spot.warn(report, message, "shares and breakers reach clients only that late; 20..60 is usual");
    }
    Some((min as u32, max as u32))
}

/// Whole seconds, not yet bounded.
fn ttl_secs(text: &str) -> Option<f64> {
    let secs = units::parse_duration_secs(text).ok()?;
    (secs.fract() == 0.0).then_some(secs)
}

/// `latitude,longitude` in degrees.
pub fn place(value: &Value, report: &mut Report) -> Option<LatLon> {
    let parts: Vec<&str> = value.text.split(',').collect();
    let degrees = |text: &str| text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
    let (lat, lon) = match parts.as_slice() {
        [lat, lon] => (degrees(lat), degrees(lon)),
        _ => (None, None),
    };
    let (Some(lat), Some(lon)) = (lat, lon) else {
        value.refuse(report, "latitude and longitude in degrees, such as 52.31,4.76; south and west are negative");
        return None;
    };
    let place = LatLon::new(lat, lon);
    if place.is_none() {
        let help = match LatLon::new(lon, lat) {
            Some(_) => format!("latitude comes first: at={lon},{lat}"),
            None => "latitude lies in -90..90, longitude in -180..180".to_string(),
        };
        value.spot.error(report, format!("{} is no place on Earth", value.text), help);
    }
    place
}

//----------- Choices --------------------------------------------------------

/// One of a closed set of words.
pub fn choice<T: Copy>(value: &Value, of: &[(&str, T)], report: &mut Report) -> Option<T> {
    if let Some((_, chosen)) = of.iter().find(|(word, _)| *word == value.text) {
        return Some(*chosen);
    }
    let words: Vec<&str> = of.iter().map(|(word, _)| *word).collect();
    let known = format!("`{}` is one of {}", value.key, words.join(", "));
    let help = match suggest(&value.text, words.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? {known}"),
        None => known,
    };
    value.spot.error(report, format!("`{}` cannot be \"{}\"", value.key, value.text), help);
    None
}

/// A short word or phrase for people.
pub fn phrase(value: &Value, report: &mut Report) -> Option<String> {
    let plain = |c: char| c.is_alphanumeric() || " -_/.".contains(c);
    if value.text.chars().count() <= 40 && value.text.chars().all(plain) {
        return Some(value.text.clone());
    }
    value.refuse(report, "up to 40 letters, digits, spaces and -_/. such as \"page views\"");
    None
}

//----------- Lists ----------------------------------------------------------

/// Reads every item, reports all that are wrong, and leaves out what was said before (with a warning).
fn list<T: PartialEq>(
    value: &Value,
    report: &mut Report,
    mut item: impl FnMut(&Value, &mut Report) -> Option<T>,
) -> Option<Vec<Said<T>>> {
    let (mut read, mut whole) = (Vec::<Said<T>>::new(), true);
    for one in value.items() {
        if one.text.is_empty() {
            one.spot.error(
                report,
                format!("an item of `{}` is empty", value.key),
                "write items with single commas and no spaces between",
            );
            whole = false;
            continue;
        }
        match item(&one, report) {
            None => whole = false,
            Some(v) if read.iter().any(|r| r.value == v) => {
                one.spot.warn(report, format!("{} is listed twice", one.text), "leave it out here");
            }
            Some(v) => read.push(Said { value: v, spot: one.spot }),
        }
    }
    whole.then_some(read)
}

fn values<T>(list: Vec<Said<T>>) -> Vec<T> {
    list.into_iter().map(|said| said.value).collect()
}

/// Names relative to `origin`, each with its place.
pub fn names(value: &Value, origin: &Name, report: &mut Report) -> Option<Vec<SaidName>> {
    let read = list(value, report, |one, report| record::name(&one.text, &one.spot, origin, report).map(|n| n.name))?;
    Some(read.into_iter().map(|said| SaidName { name: said.value, spot: said.spot, origin: origin.clone() }).collect())
}

/// ISO 3166-1 alpha-2 codes, made upper case.
pub fn countries(value: &Value, report: &mut Report) -> Option<Vec<String>> {
    list(value, report, |one, report| {
        let code = one.text.to_uppercase();
        if countries::is_country(&code) {
            return Some(code);
        }
        let help = match countries::usual_mistake(&code) {
            Some(iso) => format!("did you mean {iso}? Countries are ISO 3166-1 alpha-2 codes such as DE or JP"),
            None if code.contains('-') => format!("write subdivision={code} for a part of a country"),
            None if countries::is_continent(&code) => format!("write continent={code} for a continent"),
            None => "write an ISO 3166-1 alpha-2 code such as DE or JP".to_string(),
        };
        one.spot.error(report, format!("no country has the code \"{}\"", one.text), help);
        None
    })
    .map(values)
}

/// Two-letter continent codes, made upper case.
pub fn continents(value: &Value, report: &mut Report) -> Option<Vec<String>> {
    list(value, report, |one, report| {
        let code = one.text.to_uppercase();
        if countries::is_continent(&code) {
            return Some(code);
        }
        let help = match countries::is_country(&code) {
            true => format!("write country={code} for a country; continents are AF, AN, AS, EU, NA, OC, SA"),
            false => "continents are AF, AN, AS, EU, NA, OC, SA".to_string(),
        };
        one.spot.error(report, format!("no continent has the code \"{}\"", one.text), help);
        None
    })
    .map(values)
}

/// ISO 3166-2 codes, made upper case: a country, a hyphen, one to three letters or digits.
pub fn subdivisions(value: &Value, report: &mut Report) -> Option<Vec<String>> {
    list(value, report, |one, report| {
        let code = one.text.to_uppercase();
        let Some((country, part)) = code.split_once('-') else {
            one.refuse(report, "an ISO 3166-2 code such as US-CA or DE-BY");
            return None;
        };
        if !countries::is_country(country) {
            one.spot.error(
                report,
                format!("no country has the code \"{country}\""),
                "write an ISO 3166-2 code such as US-CA or DE-BY",
            );
            return None;
        }
        if !(1..=3).contains(&part.len()) || !part.bytes().all(|b| b.is_ascii_alphanumeric()) {
            one.refuse(report, "an ISO 3166-2 code such as US-CA or DE-BY");
            return None;
        }
        Some(code)
    })
    .map(values)
}

/// Prefixes without host bits; an address alone is a prefix of its full length.
pub fn nets(value: &Value, report: &mut Report) -> Option<Vec<IpNet>> {
    list(value, report, |one, report| {
        if let Ok(addr) = one.text.parse::<IpAddr>() {
            return Some(IpNet::from(addr));
        }
        let Ok(net) = one.text.parse::<IpNet>() else {
            one.refuse(report, "a prefix such as 203.0.113.0/24 or 2001:db8::/32");
            return None;
        };
        if net.network() != net.addr() {
            let message = format!("{net} has bits set behind its prefix length");
            let help = format!("write {} for the network, or {} for the one address", net.trunc(), net.addr());
            one.spot.error(report, message, help);
            return None;
        }
        Some(net)
    })
    .map(values)
}

/// Autonomous system numbers, with or without `AS` in front; 0 is nobody's (RFC 7607).
pub fn asns(value: &Value, report: &mut Report) -> Option<Vec<u32>> {
    list(value, report, |one, report| {
        let digits = one.text.strip_prefix("AS").or_else(|| one.text.strip_prefix("as")).unwrap_or(&one.text);
        let plain = digits.bytes().all(|b| b.is_ascii_digit());
        match digits.parse::<u32>() {
            Ok(asn) if asn > 0 && plain => Some(asn),
            _ => {
                one.refuse(report, "a number from 1 to 4294967295, such as 64500");
                None
            }
        }
    })
    .map(values)
}
