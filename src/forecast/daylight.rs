//! The clock that people go by: how far it is from UTC at any time, by the rule of a zone with daylight saving.
//!
//! People rise by the wall clock. After it was put forward, what they do at eight they do an hour earlier in UTC, and a
//! pattern of days kept in UTC is wrong all day, for as long as it remembers. So "a day before" is by the wall clock
//! ([`History::before`](crate::forecast::history::History::before)), and so are hour and weekday.
//!
//! The rule is a TZ string of POSIX.1-2017 (Base Definitions, section 8.3), such as `CET-1CEST,M3.5.0,M10.5.0/3`: the last line of
//! any zone in the tz database (RFC 9636 section 3.3). It is taken to hold at all times: what was decreed otherwise years ago
//! is older than any history that is learnt from.

use std::fmt;

/// Years between which clocks are changed; outside, they stand at the first and at the last of these.
const YEARS: std::ops::Range<i64> = 1990..2100;
const DAY: i64 = 86_400;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daylight {
    /// Ascending Unix times, each with the seconds that the clock is ahead of UTC from then on.
    changes: Vec<(i64, i64)>,
    /// Before the first.
    usual: i64,
}

/// What is wrong with a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRule(&'static str);

impl fmt::Display for BadRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; a rule is like CET-1CEST,M3.5.0,M10.5.0/3", self.0)
    }
}

impl Daylight {
    /// Reads a rule.
    ///
    /// # Errors
    /// What is not understood: days that are counted through the year (`J60`) are not.
    pub fn scan(rule: &str) -> Result<Daylight, BadRule> {
        let mut rest = Rest(rule.trim());
        rest.name()?;
        let standard = -rest.time()?.ok_or(BadRule("it does not say how far the clock is from UTC"))?;
        if rest.0.is_empty() {
            return Ok(Daylight { changes: vec![], usual: standard });
        }
        rest.name()?;
        let summer = rest.time()?.map_or(standard + 3_600, |t| -t);
        let (begin, end) = (rest.change()?, rest.change()?);
        if !rest.0.is_empty() {
            return Err(BadRule("something follows the second change"));
        }
        // Either is by the clock that is left then.
        let both = |year: i64| [(begin.at(year) - standard, summer), (end.at(year) - summer, standard)];
        let mut changes: Vec<(i64, i64)> = YEARS.flat_map(both).collect();
        changes.sort_unstable();
        Ok(Daylight { changes, usual: standard })
    }

    /// Seconds that the clock is ahead of UTC at a Unix time.
    pub fn ahead(&self, secs: i64) -> i64 {
        let n = self.changes.partition_point(|(from, _)| *from <= secs);
        n.checked_sub(1).map_or(self.usual, |i| self.changes[i].1)
    }
}

/// `Mm.w.d/time`: day `d` (0 is Sunday) of week `w` (5 is the last) of month `m`, and seconds from its midnight.
#[derive(Clone, Copy)]
struct Rule {
    month: i64,
    week: i64,
    day: i64,
    time: i64,
}

impl Rule {
    /// The time by its own clock, as if that were UTC.
    fn at(&self, year: i64) -> i64 {
        let first = days(year, self.month, 1);
        let next = if self.month == 12 { days(year + 1, 1, 1) } else { days(year, self.month + 1, 1) };
        // 1 January 1970 was a Thursday.
        let mut day = first + (self.day - (first + 4)).rem_euclid(7) + 7 * (self.week - 1);
        while day >= next {
            day -= 7;
        }
        day * DAY + self.time
    }
}

/// Days since 1970 of a date (Hinnant's days from civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// What is left of a rule.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn name(&mut self) -> Result<(), BadRule> {
        let quoted = self.0.strip_prefix('<').and_then(|t| t.find('>').map(|end| end + 2));
        let end = quoted.unwrap_or(self.0.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.0.len()));
        if end < 3 {
            return Err(BadRule("a name of the time is missing"));
        }
        self.0 = &self.0[end..];
        Ok(())
    }

    fn skip(&mut self, mark: char) -> bool {
        let rest = self.0.strip_prefix(mark);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn number(&mut self) -> Option<i64> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let number = self.0[..end].parse().ok().filter(|n| *n <= 167)?;
        self.0 = &self.0[end..];
        Some(number)
    }

    /// `[+-]hh[:mm[:ss]]` in seconds; `None` where no time stands.
    fn time(&mut self) -> Result<Option<i64>, BadRule> {
        let sign = if self.skip('-') { -1 } else { 1 };
        self.skip('+');
        let Some(hours) = self.number() else { return Ok(None) };
        let mut secs = hours * 3_600;
        for unit in [60, 1] {
            if self.skip(':') {
                secs += unit * self.number().filter(|n| *n < 60).ok_or(BadRule("a time is like 2 or 02:30"))?;
            }
        }
        Ok(Some(sign * secs))
    }

    fn change(&mut self) -> Result<Rule, BadRule> {
        const ODD: BadRule = BadRule("a change is like ,M3.5.0/2: month, week, weekday and time");
        if !(self.skip(',') && self.skip('M')) {
            return Err(ODD);
        }
        let mut part = |range: std::ops::RangeInclusive<i64>, first: bool| {
            (first || self.skip('.')).then(|| self.number()).flatten().filter(|n| range.contains(n)).ok_or(ODD)
        };
        let (month, week, day) = (part(1..=12, true)?, part(1..=5, false)?, part(0..=6, false)?);
        let time = if self.skip('/') { self.time()?.ok_or(ODD)? } else { 7_200 };
        Ok(Rule { month, week, day, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of changes as `zdump -v` has them.
    #[test]
    fn clocks_change_when_zdump_says() {
        for (rule, secs, before, after) in [
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_774_746_000, 3_600, 7_200),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 1_792_890_000, 7_200, 3_600),
            ("EST5EDT,M3.2.0,M11.1.0", 1_772_953_200, -18_000, -14_400),
            ("EST5EDT,M3.2.0,M11.1.0", 1_793_512_800, -14_400, -18_000),
            ("AEST-10AEDT,M10.1.0,M4.1.0/3", 1_775_318_400, 39_600, 36_000),
            ("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 1_775_314_800, 39_600, 37_800),
        ] {
            let clock = Daylight::scan(rule).unwrap();
            assert_eq!((clock.ahead(secs - 1), clock.ahead(secs)), (before, after), "{rule}");
        }
        assert_eq!(Daylight::scan("JST-9").unwrap().ahead(0), 32_400);
        assert_eq!(Daylight::scan("UTC0").unwrap().ahead(1 << 40), 0);
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for rule in [
            "",
            "Europe/Berlin",
            "CET",
            "CET-1CEST",
            "CET-1CEST,M3.5.0",
            "CET-1CEST,J60,J300",
            "C-1",
            "CET-1CEST,M13.5.0,M1.1.1",
            "CET-1CEST,M3.5.0,M10.5.0/3x",
            "<+03",
            "CET-999999999999999999999",
        ] {
            assert!(Daylight::scan(rule).is_err(), "{rule}");
        }
    }
}
