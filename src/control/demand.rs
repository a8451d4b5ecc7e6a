//! Demand per group and cell: a total that is measured, and shares that are learned.
//!
//! Shares are Dirichlet counts with exponential forgetting: what was seen of each cell, on top of the
//! cell's weight in the map worth `PRIOR_COUNTS`. Reports by POPs count requests and say it best; the
//! server's own queries are seen through caches, so they count for less where reports are made.

use crate::geo::Cell;

/// What the weights of the map are worth, in counts.
const PRIOR_COUNTS: f64 = 50.0;
/// Counts that a second of reports, or of queries, may add at most: enough to learn within a minute,
/// little enough that a minute does not outweigh the hours before.
const COUNTS_PER_SEC: f64 = 10.0;
/// What a query is worth beside reports of requests.
const QUERY_WORTH: f64 = 0.25;
/// Seconds after which what was seen counts half, in calm and in a surge.
const HALF_LIFE_SECS: [f64; 2] = [7200.0, 600.0];

//----------- CellShares -----------------------------------------------------

/// Where the demand of one group comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellShares {
    /// Per cell, what was seen and not yet forgotten.
    counts: Vec<f64>,
}

impl CellShares {
    /// Nothing seen yet of `n_cells` cells.
    pub fn new(n_cells: usize) -> CellShares {
        CellShares { counts: vec![0.0; n_cells] }
    }

    /// Lets `dt` seconds pass.
    pub fn forget(&mut self, dt: f64, surge: bool) {
        let keep = 0.5f64.powf(dt / HALF_LIFE_SECS[usize::from(surge)]);
        self.counts.iter_mut().for_each(|c| *c *= keep);
    }

    /// Adds what was seen in the last `dt` seconds: `reported[r]` requests and `queries[r]` queries of
    /// cell `r`. Missing entries are 0.
    pub fn add(&mut self, dt: f64, reported: &[f64], queries: &[u64]) {
        let bounded = |total: f64| if total > 0.0 { (COUNTS_PER_SEC * dt / total).min(1.0) } else { 0.0 };
        let total: f64 = reported.iter().sum();
        let asked: u64 = queries.iter().sum();
        let worth = if total > 0.0 { QUERY_WORTH } else { 1.0 };
        let (of_report, of_query) = (bounded(total), worth * bounded(asked as f64));
        for (r, count) in self.counts.iter_mut().enumerate() {
            *count += of_report * reported.get(r).copied().unwrap_or(0.0);
            *count += of_query * queries.get(r).copied().unwrap_or(0) as f64;
        }
    }

    /// The share of each cell; they sum to 1. `cells` as many as were seen.
    pub fn shares(&self, cells: &[Cell]) -> Vec<f64> {
        let weights: f64 = cells.iter().map(|c| c.weight).sum();
        let prior = |cell: &Cell| match weights > 0.0 {
            true => PRIOR_COUNTS * cell.weight / weights,
            false => PRIOR_COUNTS / cells.len() as f64,
        };
        let sum: f64 = self.counts.iter().sum::<f64>() + PRIOR_COUNTS;
        self.counts.iter().zip(cells).map(|(count, cell)| (count + prior(cell)) / sum).collect()
    }

    /// The same counts for another set of cells: `from[r]` is where new cell `r` was, if it was.
    pub fn moved(&self, from: &[Option<usize>]) -> CellShares {
        let count = |old: &Option<usize>| old.and_then(|r| self.counts.get(r)).copied().unwrap_or(0.0);
        CellShares { counts: from.iter().map(count).collect() }
    }
}

//----------- Gain -----------------------------------------------------------

/// Load that a member gets per load that its answers should bring: slow, and within a factor of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain(f64);

/// Seconds in which a gain goes half the way to what is seen.
const GAIN_HALF_LIFE_SECS: f64 = 1800.0;

impl Gain {
    /// 1: load follows answers.
    pub fn unit() -> Gain {
        Gain(1.0)
    }

    /// Takes in `dt` seconds with `observed` requests per second where `expected` were planned.
    pub fn observe(&mut self, observed: f64, expected: f64, dt: f64) {
        if expected > 0.0 && observed.is_finite() {
            let seen = (observed / expected).clamp(0.5, 2.0);
            self.0 += (1.0 - 0.5f64.powf(dt / GAIN_HALF_LIFE_SECS)) * (seen - self.0);
        }
    }

    /// The factor, in `[0.5, 2]`.
    pub fn get(self) -> f64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::cells;

    #[test]
    fn shares_begin_at_the_map_and_follow_what_is_seen() {
        let map = cells();
        let mut shares = CellShares::new(5);
        assert_eq!(shares.shares(&map.cells), [0.1, 0.2, 0.1, 0.4, 0.2]);
        for _ in 0..60 {
            shares.add(1.0, &[0.0, 0.0, 0.0, 0.0, 5000.0], &[9]);
        }
        let learned = shares.shares(&map.cells);
        assert!(learned[4] > 0.6 && learned[3] < 0.1, "{learned:?}");
        assert!((learned.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        shares.forget(7200.0 * 20.0, false);
        assert!((shares.shares(&map.cells)[4] - 0.2).abs() < 0.01, "and goes back to the map");
    }

    #[test]
    fn counts_follow_their_cells_through_a_reload() {
        let mut shares = CellShares::new(2);
        shares.add(1.0, &[4.0, 6.0], &[]);
        assert_eq!(shares.moved(&[Some(1), None, Some(0)]), CellShares { counts: vec![6.0, 0.0, 4.0] });
    }

    #[test]
    fn gains_are_slow_and_bounded() {
        let mut gain = Gain::unit();
        gain.observe(1000.0, 10.0, 1800.0);
        assert_eq!(gain.get(), 1.5);
        gain.observe(1000.0, 10.0, 1e6);
        assert!((gain.get() - 2.0).abs() < 1e-9);
        gain.observe(5.0, 0.0, 1e6);
        assert!((gain.get() - 2.0).abs() < 1e-9, "nothing planned says nothing");
    }
}
