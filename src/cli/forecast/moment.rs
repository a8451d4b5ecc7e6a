//! Times as people and machines write them, in UTC.

/// Unix time of `2018-05-04T12:05:00Z`, `2018-05-04 12:05`, `2018-05-04T12:05:00.250+02:00` or `1525435500`.
/// Without a zone it is UTC; fractions of a second are cut off. Days from the civil date as by Hinnant,
/// *chrono-compatible low-level date algorithms*.
pub fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(secs) = text.parse::<f64>() {
        return (secs.is_finite() && secs.abs() < 1e11).then_some(secs.floor() as i64);
    }
    let number = |a: usize, b: usize| {
        let part = text.get(a..b).filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<i64>().ok()
    };
    let is = |at: usize, any: &str| text.get(at..at + 1).is_some_and(|c| any.contains(c));
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !is(4, "-") || !is(7, "-") || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let midnight = days(year, month, day) * 86_400;
    if text.len() == 10 {
        return Some(midnight);
    }
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    if !is(10, "T ") || !is(13, ":") || hour > 23 || minute > 59 {
        return None;
    }
    let (second, mut at) = if is(16, ":") { (number(17, 19)?, 19) } else { (0, 16) };
    if is(at, ".") {
        at += 1 + text[at + 1..].bytes().take_while(u8::is_ascii_digit).count();
    }
    let offset = match text.get(at..)? {
        "" | "Z" | "z" => 0,
        zone => {
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let digits: String = zone.get(1..)?.split(':').collect();
            let well = "+-".contains(&zone[..1]) && [2, 4].contains(&digits.len());
            let value = digits.parse::<i64>().ok().filter(|_| well)?;
            let (hours, minutes) = if digits.len() == 2 { (value, 0) } else { (value / 100, value % 100) };
            sign * (hours * 3_600 + minutes * 60)
        }
    };
    (second <= 60).then_some(midnight + hour * 3_600 + minute * 60 + second - offset)
}

fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `2018-05-04T12:05:00Z`.
pub fn print(secs: i64) -> String {
    let (days, secs) = (secs.div_euclid(86_400) + 719_468, secs.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (date, month_of) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + i64::from(month_of <= 2);
    format!("{year:04}-{month_of:02}-{date:02}T{:02}:{:02}:{:02}Z", secs / 3_600, secs / 60 % 60, secs % 60)
}

/// Seconds of `30m`, `90s`, `6h`, `2d`.
///
/// # Errors
/// What is wrong, for people.
pub fn duration(text: &str) -> Result<u32, String> {
    let unit = text.chars().last().unwrap_or(' ');
    let per = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(format!("{text:?} is no length of time; write it like 30m, 6h or 2d")),
    };
    let count = text[..text.len() - 1].parse::<u32>().ok().filter(|n| *n > 0);
    count
        .and_then(|n| n.checked_mul(per))
        .ok_or_else(|| format!("{text:?} is no length of time; write it like 30m, 6h or 2d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, secs) in [
            ("2018-05-04T12:05:00Z", Some(1_525_435_500)),
            ("2018-05-04 12:05", Some(1_525_435_500)),
            ("2018-05-04T14:05:00.25+02:00", Some(1_525_435_500)),
            ("2018-05-04T07:05:00-0500", Some(1_525_435_500)),
            ("1525435500", Some(1_525_435_500)),
            ("1970-01-01", Some(0)),
            ("2000-02-29T00:00:00Z", Some(951_782_400)),
            ("2018-13-04T12:05:00Z", None),
            ("2018-05-04T25:05:00Z", None),
            ("yesterday", None),
            ("2018-05-04T12:05:00+é", None),
            ("", None),
        ] {
            assert_eq!(parse(text), secs, "{text}");
        }
        assert_eq!(print(1_525_435_500), "2018-05-04T12:05:00Z");
        assert_eq!(print(951_782_399), "2000-02-28T23:59:59Z");
    }

    #[test]
    fn lengths_of_time() {
        for (text, secs) in
            [("30m", Some(1800)), ("6h", Some(21_600)), ("0m", None), ("m", None), ("", None), ("3é", None)]
        {
            assert_eq!(duration(text).ok(), secs, "{text}");
        }
    }
}
