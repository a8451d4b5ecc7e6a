//! Seasonal naive: the value at the same phase of the last cycle that has one.
//!
//! `ŷ(t+h) = y(t+h−s·k)`, the least `k ≥ 1` for which that lies in the past and is known. A season of one
//! step is the plain naive forecast, the last value. Every other method must beat these to be worth it.

/// Cycles looked back over gaps before giving up.
const MAX_CYCLES: usize = 4;

/// The forecast `lead ≥ 1` steps after the last of `history`; `None` where all the cycles looked at have
/// a gap there, or lie before the history.
///
/// `season`: steps per cycle, at least 1.
pub fn seasonal_naive(history: &[Option<f64>], season: usize, lead: usize) -> Option<f64> {
    if season == 1 {
        return history.iter().rev().find_map(|v| *v);
    }
    let first = lead.div_ceil(season);
    (first..first + MAX_CYCLES).find_map(|k| {
        // Position of t + h − s·k, where t is the last position.
        let at = (history.len() + lead).checked_sub(season * k + 1)?;
        history.get(at).copied().flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_one_cycle_back_and_over_gaps() {
        let history: Vec<Option<f64>> = (0..10).map(|i| (i != 7).then_some(f64::from(i))).collect();
        let check = |season, lead, value| assert_eq!(seasonal_naive(&history, season, lead), value, "{season} {lead}");
        check(4, 1, Some(6.0));
        check(4, 2, Some(3.0));
        check(4, 5, Some(6.0));
        check(1, 9, Some(9.0));
        check(20, 1, None);
        assert_eq!(seasonal_naive(&[None, None], 1, 1), None);
        assert_eq!(seasonal_naive(&[], 7, 1), None, "nothing is known of a series that has just begun");
    }
}
