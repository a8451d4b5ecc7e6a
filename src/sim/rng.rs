//! Random numbers that are the same on every machine.

use crate::steering::mix;

/// SplitMix64 (Steele, Lea and Flood 2014), one stream per seed and purpose.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: u64,
    at: u64,
}

impl Rng {
    /// The stream of `seed` for one purpose; streams for different purposes have nothing to do with each other.
    pub fn new(seed: u64, purpose: &str) -> Rng {
        let seed = purpose.bytes().fold(mix(seed, 0), |s, b| mix(s, u64::from(b)));
        Rng { seed, at: 0 }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.at += 1;
        mix(self.seed, self.at)
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in `[low, high)`; `low` where they are the same.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// One of `0..n`; `n` is above 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Whether something of probability `p` happens.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Exponential of mean 1.
    pub fn exponential(&mut self) -> f64 {
        -(1.0 - self.unit()).ln()
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// A count of mean `mean`: Poisson by Knuth's product for small means, its normal limit from 30 on.
    pub fn count(&mut self, mean: f64) -> f64 {
        if mean > 30.0 {
            return (mean + mean.sqrt() * self.normal()).max(0.0).round();
        }
        let (limit, mut n, mut product) = ((-mean.max(0.0)).exp(), 0.0, self.unit());
        while product > limit {
            n += 1.0;
            product *= self.unit();
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right_and_streams_apart() {
        let mut rng = Rng::new(1, "test");
        let n = 20_000;
        let mean = |draw: &mut dyn FnMut() -> f64| (0..n).map(|_| draw()).sum::<f64>() / f64::from(n);
        assert!((mean(&mut || rng.unit()) - 0.5).abs() < 0.01);
        assert!((mean(&mut || rng.exponential()) - 1.0).abs() < 0.03);
        assert!(mean(&mut || rng.normal()).abs() < 0.03);
        assert!((mean(&mut || rng.count(3.0)) - 3.0).abs() < 0.06);
        assert!((mean(&mut || rng.count(400.0)) - 400.0).abs() < 1.0);
        assert_ne!(Rng::new(1, "a").bits(), Rng::new(1, "b").bits());
        assert_eq!(Rng::new(9, "a").bits(), Rng::new(9, "a").bits());
    }
}
