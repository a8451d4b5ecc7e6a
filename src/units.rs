//! Numbers with unit and range, and how people write them.
//!
//! Rates and capacities are requests per second in the unit of their group, as `f64`, finite and
//! not negative; shares and reserves are `f64` in `[0, 1]`; TTLs are whole seconds, below 2^31
//! (RFC 2181 section 8); latencies are milliseconds.

use std::fmt;

//----------- Places ---------------------------------------------------------

/// A point on the Earth, in degrees: latitude in `[-90, 90]`, longitude in `[-180, 180]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatLon {
    /// Degrees north.
    pub lat: f64,
    /// Degrees east.
    pub lon: f64,
}

impl LatLon {
    /// A point, or `None` outside the ranges or not finite.
    pub fn new(lat: f64, lon: f64) -> Option<LatLon> {
        ((-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon)).then_some(LatLon { lat, lon })
    }

    /// Great-circle distance in kilometres (haversine, mean radius 6371 km).
    pub fn km_to(self, other: LatLon) -> f64 {
        let (a, b) = (self.lat.to_radians(), other.lat.to_radians());
        let dlon = (other.lon - self.lon).to_radians();
        let h = ((b - a) / 2.0).sin().powi(2) + a.cos() * b.cos() * (dlon / 2.0).sin().powi(2);
        2.0 * 6371.0 * h.min(1.0).sqrt().asin()
    }
}

/// Round-trip milliseconds that a distance costs: 2 ms of access plus 15 ms per 1000 km.
///
/// Light in fibre takes 10 ms per 1000 km both ways; paths are about half as long again as the
/// great circle. Our choice: steering needs the differences, and those are right to some 20 %.
pub fn rtt_ms(km: f64) -> f64 {
    2.0 + 0.015 * km
}

//----------- What people write ----------------------------------------------

/// Why a number was not understood; the text says what would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadNumber(pub &'static str);

impl fmt::Display for BadNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let at = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    text.split_at(at)
}

fn plain(digits: &str) -> Option<f64> {
    if digits.is_empty() || digits.starts_with('.') || digits.ends_with('.') {
        return None;
    }
    digits.parse().ok()
}

/// A count or rate such as `850`, `40k`, `1.5M`, `2G` (powers of ten).
///
/// # Errors
/// [`BadNumber`] for anything else, a sign or an exponent included.
pub fn parse_quantity(text: &str) -> Result<f64, BadNumber> {
    let bad = BadNumber("a number such as 850, 40k, 1.5M or 2G");
    let (digits, unit) = split_unit(text);
    let factor = match unit {
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err(bad),
    };
    plain(digits).map(|n| n * factor).ok_or(bad)
}

/// A share such as `15%` or `0.15`, in `[0, 1]`.
///
/// # Errors
/// [`BadNumber`] for anything else or outside the range.
pub fn parse_share(text: &str) -> Result<f64, BadNumber> {
    let bad = BadNumber("a share from 0% to 100%, such as 15% or 0.15");
    let (digits, unit) = split_unit(text);
    let n = plain(digits).ok_or(bad)?;
    let n = match unit {
        "%" => n / 100.0,
        "" => n,
        _ => return Err(bad),
    };
    if (0.0..=1.0).contains(&n) { Ok(n) } else { Err(bad) }
}

/// A duration in seconds, from `500ms`, `30`, `30s`, `5m`, `2h`, `1d`, `1w` or a run such as `1h30m`.
///
/// # Errors
/// [`BadNumber`] for anything else.
pub fn parse_duration_secs(text: &str) -> Result<f64, BadNumber> {
    let bad = BadNumber("a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m");
    let (mut rest, mut total) = (text, 0.0);
    if rest.is_empty() {
        return Err(bad);
    }
    while !rest.is_empty() {
        let (digits, tail) = split_unit(rest);
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let secs = match unit.to_ascii_lowercase().as_str() {
            "" | "s" => 1.0,
            "ms" => 1e-3,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "w" => 604_800.0,
            _ => return Err(bad),
        };
        total += plain(digits).ok_or(bad)? * secs;
        rest = next;
    }
    Ok(total)
}

/// Prints a rate the way policies write it: `40k`, `1.5M`, `850`; three digits.
pub fn print_quantity(n: f64) -> String {
    let (value, unit) = match n.abs() {
        a if a >= 999.5e6 => (n / 1e9, "G"),
        a if a >= 999.5e3 => (n / 1e6, "M"),
        a if a >= 999.5 => (n / 1e3, "k"),
        _ => (n, ""),
    };
    let text = match value.abs() {
        a if a >= 99.95 => format!("{value:.0}"),
        a if a >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Prints a stretch of time in its largest fitting unit: `4.2 s`, `95 s`, `12 min`, `40 h`.
pub fn print_secs(secs: f64) -> String {
    match secs {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

/// Prints a price in milliseconds. What is above ten seconds is no distance any more: nobody would go there but whoever
/// has nowhere else to go.
pub fn print_ms(ms: f64) -> String {
    if ms > 10_000.0 { ">10 s".to_owned() } else { format!("{ms:.0} ms") }
}

/// What of a planned demand finds no room, in words such as `short of 4.62k (17.1 %)`; `None` while less than a
/// two-thousandth of it.
pub fn print_short(short: f64, planned: f64) -> Option<String> {
    let part = short / planned.max(short);
    (part >= 0.0005).then(|| format!("short of {} ({:.1} %)", print_quantity(short), 100.0 * part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_written() {
        assert_eq!(parse_quantity("40k"), Ok(40_000.0));
        assert_eq!(parse_quantity("1.5M"), Ok(1.5e6));
        for bad in ["", "-1", "k", "1e3", ".5", "5.", "40K", "4 0"] {
            assert!(parse_quantity(bad).is_err(), "{bad:?}");
        }
        assert_eq!(parse_share("15%"), Ok(0.15));
        assert!(parse_share("101%").is_err());
        assert_eq!(parse_duration_secs("1h30m"), Ok(5400.0));
        assert_eq!(parse_duration_secs("250ms"), Ok(0.25));
        assert!(parse_duration_secs("5 m").is_err());
    }

    #[test]
    fn quantities_print_short() {
        for (n, text) in
            [(40_000.0, "40k"), (850.0, "850"), (1.5e6, "1.5M"), (0.0, "0"), (12_345.0, "12.3k"), (999.9, "1k")]
        {
            assert_eq!(print_quantity(n), text);
        }
    }

    #[test]
    fn distances_are_great_circles() {
        let (ams, fra) = (LatLon { lat: 52.31, lon: 4.76 }, LatLon { lat: 50.03, lon: 8.56 });
        assert!((ams.km_to(fra) - 367.0).abs() < 5.0, "{}", ams.km_to(fra));
        assert_eq!(ams.km_to(ams), 0.0);
    }

    #[test]
    fn times_are_told_in_their_unit() {
        let told = [0.0, 9.0, 95.0, 119.0, 720.0, 7199.0, 144_000.0].map(print_secs);
        assert_eq!(told, ["0.0 s", "9.0 s", "95 s", "119 s", "12 min", "120 min", "40 h"]);
    }

    #[test]
    fn what_is_short_is_told_with_its_part() {
        let check = |short, planned, says: Option<&str>| assert_eq!(print_short(short, planned).as_deref(), says);
        check(4620.0, 27_000.0, Some("short of 4.62k (17.1 %)"));
        check(5.0, 5.0, Some("short of 5 (100.0 %)"));
        check(5.0, 0.0, Some("short of 5 (100.0 %)"));
        check(0.1, 1000.0, None);
        check(0.0, 0.0, None);
        assert_eq!((print_ms(31.4), print_ms(6e11)), ("31 ms".to_owned(), ">10 s".to_owned()));
    }
}
