//! What no news means, step by step.
//!
//! | silence of | to 15 s | to 60 s | to 5 min | after |
//! | --- | --- | --- | --- | --- |
//! | one POP | normal | its numbers hold | it may lose, not gain | unknown: at most 0.7 of what is declared |
//! | more than half | normal | the shares hold | they blend to the blind rows | blind rows |
//!
//! Silence is unknown, not failure: it never opens a breaker and never empties an answer. To hold for ever
//! is wrong (a surge nobody sees), to jump is wrong (all caches at once): so the shares go over in four
//! minutes. POPs that were never heard do not count as fallen silent.

/// Seconds up to which silence is normal.
pub const NORMAL_SECS: f64 = 15.0;
/// Seconds up to which things hold.
pub const HOLD_SECS: f64 = 60.0;
/// Seconds after which nothing is known.
pub const UNKNOWN_SECS: f64 = 300.0;
/// Most of what is declared that a POP of which nothing is known is given.
pub const UNKNOWN_FACTOR: f64 = 0.7;

/// How far one POP is down the ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Heard lately, or never.
    Normal,
    /// Its last numbers stand.
    Hold,
    /// It may lose load, but not gain.
    NoGain,
    /// Nothing is known.
    Unknown,
}

/// The rung of a POP that was heard so long ago; infinite means never, and is normal.
pub fn rung(silent_secs: f64) -> Rung {
    match silent_secs {
        s if s.is_infinite() || s < NORMAL_SECS => Rung::Normal,
        s if s < HOLD_SECS => Rung::Hold,
        s if s < UNKNOWN_SECS => Rung::NoGain,
        _ => Rung::Unknown,
    }
}

/// For how long more than half of the POPs have been silent, seconds; infinite silences (never heard)
/// count as 0, and so does having no POP.
pub fn majority_secs(silences: &[f64]) -> f64 {
    let mut sorted: Vec<f64> = silences.iter().map(|s| if s.is_finite() { *s } else { 0.0 }).collect();
    sorted.sort_unstable_by(|a, b| b.total_cmp(a));
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Weight of the blind rows after so many seconds of silence of the majority, in `[0, 1]`; in 24 steps,
/// so that a table is compiled every ten seconds and not every second.
pub fn blind_weight(majority_secs: f64) -> f64 {
    let part = ((majority_secs - HOLD_SECS) / (UNKNOWN_SECS - HOLD_SECS)).clamp(0.0, 1.0);
    (part * 24.0).floor() / 24.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rungs_follow_the_table() {
        let check = |secs: f64, expected: Rung| assert_eq!(rung(secs), expected, "{secs}");
        check(0.0, Rung::Normal);
        check(15.0, Rung::Hold);
        check(60.0, Rung::NoGain);
        check(300.0, Rung::Unknown);
        check(f64::INFINITY, Rung::Normal);
    }

    #[test]
    fn more_than_half_must_be_silent() {
        let inf = f64::INFINITY;
        let check = |list: &[f64], secs: f64| assert_eq!(majority_secs(list), secs, "{list:?}");
        check(&[100.0, 100.0, 1.0, 1.0], 1.0);
        check(&[100.0, 90.0, 80.0, 1.0], 80.0);
        check(&[100.0, 90.0, 1.0], 90.0);
        check(&[100.0, inf, inf], 0.0);
        check(&[70.0], 70.0);
        check(&[], 0.0);
    }

    #[test]
    fn blending_takes_four_minutes() {
        for (secs, weight) in [(0.0, 0.0), (60.0, 0.0), (180.0, 0.5), (300.0, 1.0), (1e9, 1.0)] {
            assert_eq!(blind_weight(secs), weight);
        }
    }
}
