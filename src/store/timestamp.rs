//! Moments as people and files write them (RFC 3339), in UTC.

use crate::store::grid::MAX_UNIX;
use time::{Date, Month, OffsetDateTime};

/// A moment of whole unix seconds, as `2026-11-22T07:00:00Z`. Years have four digits up to 9999; beyond, the plain seconds.
pub fn print(unix: i64) -> String {
    match OffsetDateTime::from_unix_timestamp(unix) {
        Ok(t) if (0..=9999).contains(&t.year()) => {
            let (month, day) = (u8::from(t.month()), t.day());
            let (h, m, s) = t.to_hms();
            format!("{:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}Z", t.year())
        }
        _ => unix.to_string(),
    }
}

/// Reads a moment as unix seconds: RFC 3339, with `T` or a space, with `Z`, an offset (`+02:00`, `+0200`, `+02`) or neither
/// (then UTC), with or without a fraction of the second or the seconds at all; a date alone is its midnight; or unix seconds.
pub fn scan(text: &str) -> Option<f64> {
    if let Ok(unix) = text.parse::<f64>() {
        return (unix.abs() < MAX_UNIX).then_some(unix);
    }
    let (date, rest) = (text.get(..10)?, text.get(10..)?);
    let mut parts = date.split('-');
    let year = number(parts.next()?, 4)?;
    let month = Month::try_from(u8::try_from(number(parts.next()?, 2)?).ok()?).ok()?;
    let day = Date::from_calendar_date(year, month, u8::try_from(number(parts.next()?, 2)?).ok()?).ok()?;
    let midnight = day.midnight().assume_utc().unix_timestamp() as f64;
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone);
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0.0), seconds)?;
    // A leap second, 60, is the second after (RFC 3339 section 5.7 allows it).
    if hour > 23 || minute > 59 || second >= 61.0 {
        return None;
    }
    let offset = match zone {
        "" | "Z" | "z" => 0,
        zone => {
            let hours = &zone[1..];
            let (hours, minutes) = hours.split_once(':').or_else(|| hours.split_at_checked(2))?;
            let minutes = if minutes.is_empty() && !zone.contains(':') { "00" } else { minutes };
            let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
            let secs = (hours * 60 + minutes) * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if zone.starts_with('-') { -secs } else { secs }
        }
    };
    Some(midnight + f64::from(hour * 3600 + minute * 60) + second - f64::from(offset))
}

/// A number of exactly so many digits.
fn number(text: &str, n_digits: usize) -> Option<i32> {
    (text.len() == n_digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// `SS` or `SS.fff`.
fn seconds(text: &str) -> Option<f64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit());
    (number(whole, 2).is_some() && is_digits).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_usual_forms_are_understood() {
        let check = |text: &str, unix: f64| assert_eq!(scan(text), Some(unix), "{text}");
        check("1970-01-01T00:00:00Z", 0.0);
        check("2026-11-22T07:00:00Z", 1_795_330_800.0);
        check("2026-11-22 07:00", 1_795_330_800.0);
        check("2026-11-22T08:30:00.25+01:30", 1_795_330_800.25);
        check("2026-11-21T23:00:00-08:00", 1_795_330_800.0);
        check("2026-11-22T02:00:00-0500", 1_795_330_800.0);
        check("2026-11-22T09:00+02", 1_795_330_800.0);
        check("1969-12-31", -86_400.0);
        check("1795330800.5", 1_795_330_800.5);
        check("2016-12-31T23:59:60Z", 1_483_228_800.0);
    }

    #[test]
    fn nonsense_is_no_moment() {
        for text in [
            "",
            "now",
            "2026-13-01",
            "2026-02-30",
            "2026-1-01",
            "2026-11-22T24:00:00Z",
            "2026-11-22T07:60Z",
            "2026-11-22x",
            "2026-11-22T07:00:00+1",
            "2026-11-22T07:00:00+25:00",
            "2026-11-22T07:00:0é",
            "nan",
            "inf",
            "1e300",
            "2026-11-22T07:00:00.Z",
            "2026-11-22T7:00:00Z",
        ] {
            assert_eq!(scan(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(unix in -60_000_000_000..250_000_000_000i64) {
            prop_assert_eq!(scan(&print(unix)), Some(unix as f64));
        }

        #[test]
        fn any_text_does_no_harm(text: String) {
            scan(&text);
        }
    }
}
