//! Names of cells.
//!
//! A name is made from what the cell is, never from an order of files, rules or sites, so that learned
//! state finds its cell again after a reload:
//!
//! ```text
//!   COUNTRY[-SUBDIVISION] [+RULE…] [@LAT,LON…]
//! ```
//!
//! `+RULE` stands for a rule that splits the country: one that country and subdivision imply is not
//! named (`!RULE`: implied, yet not so). `@…` names the nearest site of each set of sites in which parts
//! of the same country and rules differ. More than three items of a list become the first and a hash.

use crate::geo::country::{country, letters};
use crate::geo::rule::Match;
use crate::units::LatLon;
use std::fmt::Write;

/// The part before the sites.
///
/// `rules`: the matches that hold in the cell, by position in `all`.
pub(crate) fn base(code: Option<[u8; 2]>, subdivision: Option<&str>, rules: &[u32], all: &[&Match]) -> String {
    let mut name = code.map_or_else(|| "unknown".to_string(), letters);
    if let Some(subdivision) = subdivision {
        name.push('-');
        name.extend(subdivision.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }));
    }
    let mut marks = Vec::new();
    for (i, rule) in (0..).zip(all) {
        let (holds, implied) = (rules.binary_search(&i).is_ok(), implied(code, subdivision, rule));
        if holds != implied {
            marks.push(format!("{}{}", if holds { '+' } else { '!' }, describe(rule)));
        }
    }
    marks.sort_unstable();
    marks.dedup();
    name.extend(marks);
    name
}

/// The part that names the nearest sites, one of each set in which siblings differ.
pub(crate) fn near(sites: &[LatLon]) -> String {
    let mut texts: Vec<String> = sites.iter().map(|at| format!("{},{}", at.lat, at.lon)).collect();
    if texts.iter().all(|text| *text == texts[0]) {
        texts.truncate(1);
    }
    if texts.is_empty() { String::new() } else { format!("@{}", shorten(&texts, "/")) }
}

/// Whether a rule holds by the country and subdivision alone.
fn implied(code: Option<[u8; 2]>, subdivision: Option<&str>, rule: &Match) -> bool {
    let Match { countries, subdivisions, continents, nets, asns } = rule;
    let country_text = code.map(letters);
    let continent = code.and_then(country).map(|c| letters(c.continent));
    let whole = country_text.as_ref().zip(subdivision).map(|(c, s)| format!("{c}-{s}"));
    let in_list = |list: &[String], value: &Option<String>| {
        list.is_empty() || value.as_ref().is_some_and(|value| list.contains(value))
    };
    nets.is_empty()
        && asns.is_empty()
        && in_list(countries, &country_text)
        && in_list(continents, &continent)
        && in_list(subdivisions, &whole)
}

/// A rule's condition in one word.
fn describe(rule: &Match) -> String {
    let Match { countries, subdivisions, continents, nets, asns } = rule;
    let mut nets = nets.clone();
    nets.sort_unstable();
    let mut asns = asns.clone();
    asns.sort_unstable();
    let sorted = |list: &[String]| {
        let mut list = list.to_vec();
        list.sort_unstable();
        list
    };
    let keys = [
        nets.iter().map(ToString::to_string).collect(),
        asns.iter().map(|n| format!("AS{n}")).collect(),
        sorted(subdivisions),
        sorted(countries),
        sorted(continents),
    ];
    let parts: Vec<String> = keys.iter().filter(|list| !list.is_empty()).map(|list| shorten(list, ",")).collect();
    if parts.is_empty() { "any".to_string() } else { parts.join("&") }
}

fn shorten(list: &[String], between: &str) -> String {
    if list.len() <= 3 {
        return list.join(between);
    }
    let mut text = list[0].clone();
    let _ = write!(text, "…{}", digest(&list.join(between)));
    text
}

/// Eight hexadecimal digits that tell texts apart: FNV-1a of 64 bits, folded. It must never change, so it is
/// not a library's.
pub(crate) fn digest(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", (hash ^ hash >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Match {
        let mut rule = Match::default();
        for word in text.split_whitespace() {
            let (key, values) = word.split_once('=').unwrap();
            let values = values.split(',');
            match key {
                "country" => rule.countries = values.map(Into::into).collect(),
                "sub" => rule.subdivisions = values.map(Into::into).collect(),
                "continent" => rule.continents = values.map(Into::into).collect(),
                "net" => rule.nets = values.map(|v| v.parse().unwrap()).collect(),
                _ => rule.asns = values.map(|v| v.parse().unwrap()).collect(),
            }
        }
        rule
    }

    #[test]
    fn names_say_what_the_cell_is() {
        let check = |code: &[u8; 2], subdivision, rules: &[u32], all: &[&str], want: &str| {
            let all: Vec<Match> = all.iter().map(|text| rule(text)).collect();
            let all: Vec<&Match> = all.iter().collect();
            assert_eq!(base(Some(*code), subdivision, rules, &all), want);
        };
        check(b"JP", None, &[], &[], "JP");
        check(b"US", Some("CA"), &[], &[], "US-CA");
        check(b"AU", Some("New South Wales"), &[], &[], "AU-New_South_Wales");
        check(b"DE", None, &[0], &["country=DE,AT"], "DE");
        check(b"DE", None, &[0, 1], &["country=DE,AT", "net=203.0.113.0/24"], "DE+203.0.113.0/24");
        check(b"DE", None, &[0, 1], &["net=203.0.113.0/24", "net=203.0.113.0/24"], "DE+203.0.113.0/24");
        check(b"US", None, &[0], &["sub=US-CA"], "US+US-CA");
        check(b"US", Some("CA"), &[0], &["sub=US-CA"], "US-CA");
        check(b"US", None, &[0], &["net=192.0.2.0/24 asn=64500"], "US+192.0.2.0/24&AS64500");
        check(b"FR", None, &[], &["continent=EU"], "FR!EU");
        check(b"FR", None, &[0], &["asn=4,3,2,1"], "FR+AS1…6227b325");
    }

    #[test]
    fn sites_are_named_where_they_differ() {
        let (a, b) = (LatLon { lat: 33.94, lon: -118.41 }, LatLon { lat: 1.36, lon: 103.99 });
        assert_eq!(near(&[]), "");
        assert_eq!(near(&[a]), "@33.94,-118.41");
        assert_eq!(near(&[a, a]), "@33.94,-118.41");
        assert_eq!(near(&[a, b]), "@33.94,-118.41/1.36,103.99");
    }
}
