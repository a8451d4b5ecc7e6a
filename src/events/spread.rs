//! A distribution of a rate that is put together from many log-normal parts.

use crate::forecast::quantiles::{N_LEVELS, NORMAL, Quantiles, weight};

/// Logarithm of the least rate told apart from nothing, requests per second.
const LEAST_LOG: f64 = -7.0;
/// Cells per factor of e: 3 % apart.
const PER_E: f64 = 32.0;
/// Cells: up to e^26, 2·10^11 requests per second.
const N_CELLS: usize = 33 * 32;

/// Weights over a logarithmic grid, and at nothing.
#[derive(Clone, Debug)]
pub struct Spread {
    nothing: f64,
    cells: Vec<f64>,
}

impl Default for Spread {
    fn default() -> Spread {
        Spread { nothing: 0.0, cells: vec![0.0; N_CELLS] }
    }
}

impl Spread {
    /// Adds a log-normal of this mean with a weight; `sigma` of the logarithm.
    pub fn add(&mut self, share: f64, mean: f64, sigma: f64) {
        if share < 1e-9 {
            return;
        }
        if mean.ln() <= LEAST_LOG || mean.is_nan() {
            self.nothing += share;
            return;
        }
        let middle = mean.ln() - sigma * sigma / 2.0;
        for (i, z) in NORMAL.iter().enumerate() {
            let cell = ((middle + sigma * z - LEAST_LOG) * PER_E).clamp(0.0, (N_CELLS - 1) as f64);
            self.cells[cell as usize] += share * weight(i);
        }
    }

    /// Its quantiles; nothing for sure if nothing was added.
    pub fn quantiles(&self) -> Quantiles {
        let sum = self.nothing + self.cells.iter().sum::<f64>();
        let value = |i: usize| (LEAST_LOG + (i as f64 + 0.5) / PER_E).exp();
        let parts = self.cells.iter().enumerate().filter(|(_, w)| **w > 0.0).map(|(i, w)| (value(i), w / sum));
        let nothing = self.nothing / sum;
        let mut sorted = Vec::with_capacity(2 * N_LEVELS);
        if nothing > 0.0 {
            // Twice, so that all of its weight is at nothing, not only its middle.
            sorted.extend([(0.0, nothing), (0.0, 0.0)]);
        }
        sorted.extend(parts);
        if sorted.is_empty() { Quantiles::certain(0.0) } else { Quantiles::of_weighted(&sorted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_normal_comes_out_as_it_went_in() {
        let mut spread = Spread::default();
        spread.add(1.0, 1000.0, 0.6);
        let q = spread.quantiles();
        let expected = |z: f64| (1000.0f64.ln() - 0.18 + 0.6 * z).exp();
        for (level, z) in [(0.1, -1.2816), (0.5, 0.0), (0.9, 1.2816), (0.95, 1.6449)] {
            assert!((q.at(level) / expected(z) - 1.0).abs() < 0.06, "{level}: {} {}", q.at(level), expected(z));
        }
    }

    #[test]
    fn what_may_not_come_is_nothing_as_often() {
        let mut spread = Spread::default();
        spread.add(0.7, 0.0, 0.6);
        spread.add(0.3, 1000.0, 0.01);
        let q = spread.quantiles();
        assert_eq!((q.at(0.5), q.at(0.6)), (0.0, 0.0));
        assert!((q.at(0.9) / 1000.0 - 1.0).abs() < 0.05, "{q:?}");
        assert_eq!(Spread::default().quantiles(), Quantiles::certain(0.0));
    }
}
