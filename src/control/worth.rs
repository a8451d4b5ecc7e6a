//! What a shadow is worth: a newsvendor's sum.
//!
//! A shadow that is started now serves after its lead `L`, and is then on for its least time `W`. What it prevents is
//! demand that would find no room without it, as the allocation would place it: at all members that serve or are
//! coming (`A`), fences kept, within their POPs' targets.
//!
//! ```text
//! short(A, D) = D − what of D can be placed                              a maximum flow over the fences
//! prevented   = E ∫_L^{L+W} short(A, D(t)) − short(A ∪ {k}, D(t)) dt     over the levels of the forecast, requests
//! start  ⇔  P(short(A, D(L)) > c/2) ≥ 5 %   and   prevented ≥ s·c·(T + W)
//! ```
//!
//! The first says that it cannot wait, the second that it pays: `c` is what the shadow can carry, `T` its warm-up, `s`
//! what standby costs as a part of what it would cost if all it can carry found no room (`standby=`). Without the second a surge
//! that may outgrow what there is for a minute starts what takes five to come and stays for fifteen.
//! Arrow, Harris and Marschak, "Optimal inventory policy" (1951), is where the critical ratio comes from.

use crate::control::reach::placed;
use crate::forecast::quantiles::{LEVELS, Quantiles, weight};

/// Steps in which the least demand that leaves something short is searched for: to a millionth of the room.
const HALVINGS: u32 = 40;
/// Part of demand that is nothing: flows are added up in another order than demand was.
const ROUNDING: f64 = 1e-6;

/// Where the demand of a group may go.
#[derive(Clone, Debug, PartialEq)]
pub struct Ground {
    /// Parts of the demand that are fenced alike; they sum to 1.
    parts: Vec<f64>,
    /// The POPs that each part may go to.
    may: Vec<Vec<usize>>,
}

impl Ground {
    /// Of parts of the demand, at least one, with the POPs that each may go to; those without demand do not count, unless
    /// there is none at all.
    pub fn new(parts: Vec<(f64, Vec<usize>)>) -> Ground {
        let whole: f64 = parts.iter().map(|(demand, _)| demand).sum();
        let n = parts.len().max(1) as f64;
        let (parts, may) = parts
            .into_iter()
            .filter(|(demand, _)| *demand > 0.0 || whole <= 0.0)
            .map(|(demand, may)| (if whole > 0.0 { demand / whole } else { 1.0 / n }, may))
            .unzip();
        Ground { parts, may }
    }

    /// Requests per second of `demand` that find no place in `room[p]`.
    pub fn short(&self, demand: f64, room: &[f64]) -> f64 {
        if let [may] = &self.may[..] {
            return (demand - may.iter().map(|p| room[*p]).sum::<f64>()).max(0.0);
        }
        let parts: Vec<f64> = self.parts.iter().map(|part| part * demand).collect();
        let short = demand - placed(&parts, &self.may, room);
        if short > ROUNDING * demand { short } else { 0.0 }
    }

    /// The greatest demand of which no more than `short` finds no room.
    pub fn limit(&self, short: f64, room: &[f64]) -> f64 {
        let most = room.iter().sum::<f64>() + short;
        if let [may] = &self.may[..] {
            return may.iter().map(|p| room[*p]).sum::<f64>() + short;
        }
        let (mut low, mut high) = (short, most);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            match self.short(middle, room) <= short {
                true => low = middle,
                false => high = middle,
            }
        }
        low
    }

    /// Requests that are expected to find no place in `room` between the first and the last of `prospect`, ascending
    /// seconds with the demand then.
    pub fn expected_short(&self, prospect: &[(f64, Quantiles)], room: &[f64]) -> f64 {
        let rate =
            |of: &Quantiles| -> f64 { (0..LEVELS.len()).map(|i| weight(i) * self.short(of.values()[i], room)).sum() };
        let rates: Vec<(f64, f64)> = prospect.iter().map(|(at, of)| (*at, rate(of))).collect();
        rates.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_goes_by_fences() {
        let free = Ground::new(vec![(5.0, vec![0, 1])]);
        assert_eq!((free.short(120.0, &[60.0, 50.0]), free.limit(15.0, &[60.0, 50.0])), (10.0, 125.0));
        // A quarter may only go to the first site.
        let fenced = Ground::new(vec![(3.0, vec![0, 1]), (1.0, vec![0]), (0.0, vec![])]);
        let room = [20.0, 200.0];
        assert!((fenced.short(100.0, &room) - 5.0).abs() < 1e-6);
        assert!((fenced.limit(5.0, &room) - 100.0).abs() < 1e-3);
        assert_eq!(fenced.short(0.0, &room), 0.0);
        assert!((fenced.limit(0.0, &room) - 80.0).abs() < 1e-3);
        let idle = Ground::new(vec![(0.0, vec![0]), (0.0, vec![1])]);
        assert_eq!(idle.short(10.0, &[5.0, 5.0]), 0.0);
    }

    /// By hand: 30 short for certain over 100 s, then falling to 0 over another 100 s.
    #[test]
    fn the_expectation_is_over_levels_and_time() {
        let ground = Ground::new(vec![(1.0, vec![0])]);
        let at = |secs: f64, demand: f64| (secs, Quantiles::certain(demand));
        let prospect = [at(50.0, 130.0), at(150.0, 130.0), at(250.0, 100.0)];
        assert!((ground.expected_short(&prospect, &[100.0]) - 4500.0).abs() < 1e-6);
        // A quarter of the levels, by weight, is over.
        let spread = Quantiles::new(LEVELS.map(|level| if level > 0.75 { 200.0 } else { 0.0 }));
        let over: f64 = (0..LEVELS.len()).filter(|i| LEVELS[*i] > 0.75).map(weight).sum();
        let rate = ground.expected_short(&[(0.0, spread), (1.0, spread)], &[100.0]);
        assert!((rate - 100.0 * over).abs() < 1e-9 && (0.15..0.35).contains(&over), "{rate} {over}");
    }
}
