//! Ten thousand series of minutes, every one forecast every minute: CPU per minute, bytes per series.
//!
//! `cargo bench --bench forecast [-- SERIES MINUTES]`. Series are days with noise, surges and gaps, each with a
//! phase and a size of its own; after two days have been taken in, minutes go by: observe, fit what is due and
//! quick, learn, forecast at 2, 5, 15 and 30 minutes. Prints what the README beside this states.

use floodway::forecast::direct::{Direct, Shared};
use floodway::forecast::engine::Forecaster;
use floodway::forecast::history::History;
use floodway::forecast::thrift::{Thrift, Tier};
use std::sync::Arc;
use std::time::Instant;

const LEADS: [usize; 4] = [2, 5, 15, 30];
/// Minutes taken in before any is measured.
const PAST: usize = 2 * 1440 + 600;
/// Series that the shared models are learnt from.
const TEACHERS: usize = 16;

fn noise(seed: u64) -> f64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

/// Demand of series `i` in minute `t`.
fn value(i: usize, t: usize) -> f64 {
    let (i64, day) = (i as u64, (t + 37 * i) as f64 * std::f64::consts::TAU / 1440.0);
    let size = 10.0 * (1.0 + (i % 97) as f64);
    let surge = if (t + 61 * i) % 2_000 < 20 { 1.8 } else { 1.0 };
    if noise(i64 << 32 | t as u64 | 1 << 63) > 0.499 {
        return f64::NAN;
    }
    size * surge * (1.0 + 0.5 * day.sin() + 0.1 * noise(i64 << 32 | t as u64))
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let n = numbers.first().copied().unwrap_or(10_000).max(1);
    let minutes = numbers.get(1).copied().unwrap_or(20).max(1);

    let mut thrift = Thrift::default();
    let taught: Vec<History> = (0..TEACHERS).map(|i| taken_in(i, n, &thrift).history().clone()).collect();
    let began = Instant::now();
    thrift.shared = Arc::new(Shared::learn(&Direct::default(), &taught.iter().collect::<Vec<_>>(), &LEADS));
    println!("shared models: {} kB, learnt in {:.2} s", thrift.shared.size() / 1000, began.elapsed().as_secs_f64());

    let tier = thrift.tier(n);
    let mut series: Vec<Forecaster> = (0..n).map(|i| taken_in(i, n, &thrift)).collect();
    let began = Instant::now();
    series.iter_mut().for_each(Forecaster::fit);
    println!("{n} series with {}: first fits {:.2} s", tier.name(), began.elapsed().as_secs_f64());

    let (mut spent, mut worst, mut sum) = (0.0, 0.0f64, 0.0);
    for t in PAST..PAST + minutes {
        let began = Instant::now();
        for (i, forecaster) in series.iter_mut().enumerate() {
            forecaster.observe(value(i, t));
            if tier != Tier::Own && forecaster.wants_fit() {
                forecaster.fit();
            }
            sum += forecaster.fan().at(5).at(0.9);
        }
        let took = began.elapsed().as_secs_f64();
        (spent, worst) = (spent + took, worst.max(took));
    }
    assert!(sum.is_finite(), "forecasts are numbers");
    let bytes: usize = series.iter().map(Forecaster::size).sum();
    let each = spent / minutes as f64;
    println!("a minute: {each:.2} s CPU, at most {worst:.2} s; {:.0} us per series", 1e6 * each / n as f64);
    println!("memory: {} bytes per series by count, {} kB resident in all", bytes / n, resident_kb());
}

/// Series `i` of `n` with its past.
fn taken_in(i: usize, n: usize, thrift: &Thrift) -> Forecaster {
    let mut forecaster = Forecaster::new(1_600_000_000, 60, &LEADS, thrift.settings(n));
    (0..PAST).for_each(|t| forecaster.observe(value(i, t)));
    forecaster
}

/// What the kernel says of this process; 0 where it says nothing.
fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
