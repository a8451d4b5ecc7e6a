//! Which serial a zone gets when it changes.

use crate::transfer::settings::SerialRule;
use crate::wire::records::is_newer;

/// The serial after `before` by a rule that makes serials. `now`: seconds since 1970.
///
/// One more than before where the rule would not give a newer one: secondaries look at nothing else. 0 is passed over, since
/// some take it for "none" (RFC 2136 section 4.6 has the same care).
pub fn next(rule: SerialRule, before: Option<u32>, now: u64) -> u32 {
    let wanted = match (rule, before) {
        (SerialRule::File, None) => 1,
        (SerialRule::File, Some(before)) => before.wrapping_add(1),
        (SerialRule::UnixTime, _) => now as u32,
        (SerialRule::DateCounter, _) => date(now) * 100,
    };
    let serial = match before {
        Some(before) if !is_newer(wanted, before) => before.wrapping_add(1),
        _ => wanted,
    };
    serial.max(1)
}

/// `YYYYMMDD` of a moment, in UTC.
fn date(now: u64) -> u32 {
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let z = now / 86_400 + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + u64::from(month <= 2);
    (year * 10_000 + month * 100 + doy - (153 * mp + 2) / 5 + 1) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_only_grow() {
        const NOW: u64 = 1_767_225_600; // 2026-01-01
        let check = |rule, before, expected| assert_eq!(next(rule, before, NOW), expected, "{rule:?} {before:?}");
        check(SerialRule::File, Some(7), 8);
        check(SerialRule::File, Some(u32::MAX), 1);
        check(SerialRule::UnixTime, None, 1_767_225_600);
        check(SerialRule::UnixTime, Some(1_767_225_600), 1_767_225_601);
        check(SerialRule::UnixTime, Some(1_767_225_900), 1_767_225_901);
        check(SerialRule::DateCounter, None, 2_026_010_100);
        check(SerialRule::DateCounter, Some(2_026_010_100), 2_026_010_101);
        check(SerialRule::DateCounter, Some(2_026_010_199), 2_026_010_200);
        check(SerialRule::DateCounter, Some(2_025_123_105), 2_026_010_100);
        assert_eq!([date(0), date(951_782_399), date(951_782_400)], [19_700_101, 20_000_228, 20_000_229]);
    }
}
