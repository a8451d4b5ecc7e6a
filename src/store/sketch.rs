//! A quantile sketch of bounded size: which values were seen, each to within some per cent of itself.
//!
//! Values fall into bins that grow by the factor γ, bin `i` holding `(γ^(i−1), γ^i]`, so that the middle of a bin,
//! `2γ^i / (γ + 1)`, is within `α = (γ − 1) / (γ + 1)` of every value in it: DDSketch (Masson, Rim, Lee, VLDB 2019,
//! section 2.1). With more than [`MAX_BINS`] bins in use all neighbours are joined in pairs, `i → ⌈i/2⌉`, which squares γ:
//! the uniform collapse of UDDSketch (Epicoco, Melle, Cafaro, Pulimeno, Morleo, IEEE Access 2020, section III). Every
//! quantile keeps a bound, where DDSketch's own collapse gives up the low ones.
//!
//! Invariant: the sketch is a function of the values, whatever their order and however they were put together by
//! [`Sketch::merge`], since it is joined just as often as the union of its bins asks for.

use crate::store::codec::{Octets, put_int, put_uint};

/// α of a sketch in which nothing has been joined. Our choice: clocks and p95s of latencies are no better.
const ALPHA: f64 = 0.01;
/// Bins in use at most. Our choice: an hour of latencies within a factor of 13 keeps 1 %, one within 167 keeps 2 %.
pub const MAX_BINS: usize = 128;
/// What is smaller counts as 0, in the unit of the series: a nanosecond, where that is milliseconds.
const LEAST: f64 = 1e-6;
/// Joins at most: with so many, γ spans all of `f64`.
const MAX_JOINS: u8 = 16;

//----------- Sketch ---------------------------------------------------------

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sketch {
    /// How often neighbours were joined.
    joins: u8,
    /// Values below [`LEAST`], negative ones among them.
    zeros: u64,
    /// Bins in use, ascending, each with its count, which is not 0.
    bins: Vec<(i32, u64)>,
}

impl Sketch {
    /// Adds one value; NaN is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        if value < LEAST {
            self.zeros = self.zeros.saturating_add(1);
            return;
        }
        let mut bin = (value.min(f64::MAX).ln() / ln_gamma(0)).ceil() as i32;
        for _ in 0..self.joins {
            bin = joined(bin);
        }
        self.put(bin, 1);
        self.shrink();
    }

    /// Adds what another one has seen.
    pub fn merge(&mut self, other: &Sketch) {
        self.zeros = self.zeros.saturating_add(other.zeros);
        while self.joins < other.joins {
            self.join();
        }
        for &(mut bin, n) in &other.bins {
            for _ in other.joins..self.joins {
                bin = joined(bin);
            }
            self.put(bin, n);
        }
        self.shrink();
    }

    /// Values seen.
    pub fn count(&self) -> u64 {
        self.bins.iter().fold(self.zeros, |sum, (_, n)| sum.saturating_add(*n))
    }

    /// The most that a quantile may be off, as a share of itself.
    pub fn alpha(&self) -> f64 {
        (ln_gamma(self.joins) / 2.0).tanh()
    }

    /// The value that a share `q` of those seen does not exceed; `None` if there is none.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = (q.clamp(0.0, 1.0) * (count - 1) as f64).floor() as u64;
        let mut seen = self.zeros;
        if rank < seen {
            return Some(0.0);
        }
        let bin = self.bins.iter().find_map(|(bin, n)| {
            seen = seen.saturating_add(*n);
            (rank < seen).then_some(*bin)
        })?;
        let ln_gamma = ln_gamma(self.joins);
        // 2γ^i / (γ + 1), without γ itself, which may be beyond a float.
        Some((f64::from(bin) * ln_gamma + 2f64.ln() - ln_gamma.exp().ln_1p()).exp())
    }

    fn put(&mut self, bin: i32, n: u64) {
        match self.bins.binary_search_by_key(&bin, |(bin, _)| *bin) {
            Ok(at) => self.bins[at].1 = self.bins[at].1.saturating_add(n),
            Err(at) => self.bins.insert(at, (bin, n)),
        }
    }

    fn shrink(&mut self) {
        while self.bins.len() > MAX_BINS {
            self.join();
        }
    }

    fn join(&mut self) {
        self.joins += 1;
        for (bin, _) in &mut self.bins {
            *bin = joined(*bin);
        }
        self.bins.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = earlier.1.saturating_add(later.1);
            }
            same
        });
    }
}

/// ⌈i/2⌉.
fn joined(bin: i32) -> i32 {
    (bin + 1).div_euclid(2)
}

fn ln_gamma(joins: u8) -> f64 {
    f64::from(1u32 << joins.min(MAX_JOINS)) * 2.0 * ALPHA.atanh()
}

//----------- Octets ---------------------------------------------------------

impl Sketch {
    /// Appends it: joins, zeros, number of bins, and of each bin the distance from the one before and its count.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.joins);
        put_uint(out, self.zeros);
        put_uint(out, self.bins.len() as u64);
        let mut before = 0;
        for (bin, n) in &self.bins {
            put_int(out, i64::from(*bin) - before);
            put_uint(out, *n);
            before = i64::from(*bin);
        }
    }

    /// Reads what [`Sketch::encode`] has written; `None` for anything else.
    pub fn decode(octets: &mut Octets) -> Option<Sketch> {
        let joins = octets.take(1)?[0];
        let zeros = octets.uint()?;
        let n_bins = usize::try_from(octets.uint()?).ok().filter(|n| *n <= MAX_BINS)?;
        let mut bins = Vec::<(i32, u64)>::with_capacity(n_bins);
        let mut total = zeros;
        for _ in 0..n_bins {
            let before = bins.last().map(|(bin, _)| i64::from(*bin));
            let bin = before.unwrap_or(0).checked_add(octets.int()?)?;
            let n = octets.uint()?;
            total = total.checked_add(n)?;
            if n == 0 || before.is_some_and(|before| bin <= before) {
                return None;
            }
            // No value has a bin beyond these.
            bins.push((i32::try_from(bin).ok().filter(|bin| bin.abs() < 1 << 20)?, n));
        }
        (joins <= MAX_JOINS).then_some(Sketch { joins, zeros, bins })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f64]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|v| sketch.add(*v));
        sketch
    }

    #[test]
    fn by_hand() {
        let sketch = of(&[0.0, 10.0, 10.0, 100.0]);
        assert_eq!((sketch.count(), sketch.quantile(0.0), Sketch::default().quantile(0.5)), (4, Some(0.0), None));
        let near = |q: f64, value: f64| assert!((sketch.quantile(q).unwrap() / value - 1.0).abs() <= 0.01 + 1e-12);
        near(0.5, 10.0);
        near(1.0, 100.0);
        assert!((sketch.alpha() - 0.01).abs() < 1e-12);
        assert_eq!(of(&[f64::NAN]), Sketch::default());
        assert!(of(&[f64::INFINITY, 1e-300, -4.0]).quantile(1.0).unwrap() > 1e300);
    }

    #[test]
    fn ten_decades_fit_and_keep_their_bound() {
        let values: Vec<f64> = (0..5000).map(|i| 1e-5 * 10f64.powf(f64::from(i) / 500.0)).collect();
        let sketch = of(&values);
        assert!(sketch.bins.len() <= MAX_BINS && sketch.alpha() < 0.16, "{}", sketch.alpha());
        let mut octets = Vec::new();
        sketch.encode(&mut octets);
        assert!(octets.len() < 4 * MAX_BINS, "{}", octets.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn quantiles_are_within_alpha(mut values in prop::collection::vec(1e-3..1e6f64, 1..400), q in 0.0..=1.0f64) {
            let sketch = of(&values);
            values.sort_by(f64::total_cmp);
            let exact = values[(q * (values.len() - 1) as f64).floor() as usize];
            let off = (sketch.quantile(q).unwrap() / exact - 1.0).abs();
            prop_assert!(off <= sketch.alpha() * (1.0 + 1e-9), "{off} over {}", sketch.alpha());
        }

        /// However values are dealt out and put together again, the sketch is the same; and so is what is read back.
        #[test]
        fn order_and_parts_do_not_matter(
            values in prop::collection::vec(prop_oneof![1e-9..1e9f64, 1.0..20.0f64], 0..400),
            cut in 0..400usize,
        ) {
            let whole = of(&values);
            let (a, b) = values.split_at(cut.min(values.len()));
            let (mut ab, mut ba) = (of(a), of(b));
            ab.merge(&of(b));
            ba.merge(&of(a));
            prop_assert_eq!(&ab, &whole);
            prop_assert_eq!(&ba, &whole);
            let mut octets = Vec::new();
            whole.encode(&mut octets);
            prop_assert_eq!(Sketch::decode(&mut Octets(&octets)), Some(whole));
        }

        #[test]
        fn nonsense_is_no_sketch(octets: Vec<u8>) {
            if let Some(mut sketch) = Sketch::decode(&mut Octets(&octets)) {
                sketch.merge(&of(&[1.0, 1e5]));
                sketch.quantile(0.5);
            }
        }
    }
}
