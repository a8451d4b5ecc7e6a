//! Is a surge under way? A detector of upward level shifts, on the history alone.
//!
//! Forecasts then lift their quantiles. The spread widens by itself, since the local scale hears jumps;
//! but of the outcomes after a jump the model has seen few, most of them single spikes that fell back, and
//! a server that plans for those is late when the jump stays.

use crate::forecast::history::History;

/// Seconds averaged into "now", and by which the hour compared with ends before it, so that the surge is
/// not its own base. Both as the rule by which the traffic folder's surges were found.
const NOW_SECS: u32 = 180;
const GAP_SECS: u32 = 1_800;
/// Score at which the lift begins, and grows to its most at twice that. About five deviations of a noise
/// whose mean step is 1.
const THRESHOLD: f64 = 5.0;
/// Most lift: the median then reads level 0.587, q0.9 level 0.922. Our choice: on rows 42–100 % of the
/// traffic series it is worth 0.5 % at surge origins (within noise) and costs 0.2 % elsewhere; twice as
/// much is no better.
const MOST_LIFT: f64 = 0.3;

/// How far the last minutes lie above what the hour before and the same time on past days explain, in mean
/// steps of the last day; 0 if by less than the day's standard deviation, or if the series is younger than
/// a day or does not move. Neither shift nor scale of the series matter.
pub fn score(h: &History, t: usize) -> f64 {
    let (now, gap, hour, day) = (h.steps(NOW_SECS, 1), h.steps(GAP_SECS, 2), h.steps(3_600, 4), h.day.len);
    if t < h.begin() + day + gap + hour {
        return 0.0;
    }
    let before = t + 1 - gap;
    let usual = h.movement(before - day, before);
    let recent = h.mean(before - hour, before);
    let profile = h.day.smooth(t - day, (day / 144).max(1), t);
    let excess = h.mean(t + 1 - now, t + 1) - recent.max(profile);
    if usual <= 0.0 || excess < h.deviation(before - day, before) { 0.0 } else { excess / usual }
}

/// The lift of quantiles for a score, in `[0, 0.3]`; see [`Calibration::apply`].
///
/// [`Calibration::apply`]: crate::forecast::calibrate::Calibration::apply
pub fn lift(score: f64) -> f64 {
    MOST_LIFT * (score / THRESHOLD - 1.0).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_heard_and_a_calm_day_is_not() {
        let noise = |i: u64| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1u64 << 24) as f64;
        let mut h = History::new(0, 300);
        (0..900).for_each(|i| h.push(100.0 + 10.0 * noise(i)));
        assert_eq!(lift(score(&h, 899)), 0.0);
        (0..2).for_each(|_| h.push(250.0));
        assert_eq!(lift(score(&h, 901)), MOST_LIFT);
    }
}
