//! Laws that every member keeps on any series: what the combination relies on without looking inside.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::member::{Fitted, Method};
use crate::forecast::members::{all, gru::Gru};
use crate::forecast::quantiles::Quantiles;

const LEADS: [usize; 3] = [1, 3, 6];

/// Uniform on (−½, ½), the same for the same seed.
fn noise(seed: u64, n: usize) -> Vec<f64> {
    let mut state = seed;
    let step = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
    };
    (0..n).map(step).collect()
}

/// A day of 24 steps with noise that wanders.
fn traffic(seed: u64, n: usize) -> Vec<f64> {
    let day = |i: usize| 1000.0 + 400.0 * (i as f64 * std::f64::consts::TAU / 24.0).sin();
    let mut walk = 0.0;
    let wander = |(i, e): (usize, f64)| {
        walk = 0.95 * walk + 60.0 * e;
        day(i) + walk
    };
    noise(seed, n).into_iter().enumerate().map(wander).collect()
}

/// The members, the network made small so that the tests stay quick.
fn members() -> Vec<Box<dyn Method>> {
    let small = Gru::new(4, 3);
    all().into_iter().filter(|m| m.name() != "gru").chain([Box::new(small) as Box<dyn Method>]).collect()
}

fn history(values: &[f64]) -> History {
    let mut h = History::new(1_500_000_000, 3600);
    values.iter().for_each(|v| h.push(*v));
    h
}

/// Fits at `fit_at` values and forecasts behind all of them, with the base added.
fn run(method: &dyn Method, values: &[f64], fit_at: usize) -> Option<Vec<Quantiles>> {
    let mut fitted = method.fit(&history(&values[..fit_at]), Known::NOTHING, &LEADS)?;
    let h = history(values);
    fitted.follow(&h, h.len() - 1);
    let at = |lead: &usize| fitted.at(&h, Known::NOTHING, h.len() - 1, *lead).map(|q| q.map(|v| v + h.base));
    LEADS.iter().map(at).collect()
}

/// Units must not matter: requests or kilorequests, counted from any base. The tolerance is single precision of the
/// history on a spread of hundreds, through searches that stop within 10⁻⁷.
#[test]
fn shift_and_scale_carry_through() {
    for method in members() {
        let values = traffic(4, 600);
        let plain = run(&*method, &values, 560).unwrap();
        for (by, add) in [(1.0, 30_000.0), (0.125, 0.0), (4.0, -9_000.0)] {
            let moved: Vec<f64> = values.iter().map(|v| by * v + add).collect();
            let moved = run(&*method, &moved, 560).unwrap();
            for (a, b) in plain.iter().zip(&moved) {
                let width = by * (a.at(0.95) - a.at(0.05));
                let worst =
                    a.values().iter().zip(b.values()).map(|(a, b)| (by * a + add - b).abs()).fold(0.0, f64::max);
                assert!(worst <= 0.02 * width + 0.1, "{} ×{by} +{add}: {worst} of {width}", method.name());
            }
        }
    }
}

/// Spikes, zeros and gaps, young and old: no panic, nothing infinite, nothing that crosses, the same again.
#[test]
fn any_series_gives_finite_ascending_quantiles_that_repeat() {
    let mut values = traffic(9, 600);
    for (i, e) in noise(77, 600).into_iter().enumerate() {
        match e {
            e if e > 0.48 => values[i] *= 50.0,
            e if e < -0.45 => values[i] = 0.0,
            e if (0.0..0.05).contains(&e) => values[i] = f64::NAN,
            _ => {}
        }
    }
    values[520..560].fill(f64::NAN);
    for method in members() {
        for n in [1, 2, 5, 13, 50, 160, 300, 600] {
            let once = run(&*method, &values[..n], n.div_ceil(2));
            for q in once.iter().flatten() {
                assert!(q.values().iter().all(|v| v.is_finite()), "{} {n}: {q:?}", method.name());
                assert!(q.values().windows(2).all(|w| w[0] <= w[1]), "{} {n}: {q:?}", method.name());
            }
            assert_eq!(once, run(&*method, &values[..n], n.div_ceil(2)), "{} {n}", method.name());
        }
    }
}

#[test]
fn nothing_is_said_of_nothing_and_a_constant_stays() {
    for method in members() {
        assert!(method.fit(&history(&[]), Known::NOTHING, &LEADS).is_none(), "{}", method.name());
        assert!(method.fit(&history(&[f64::NAN; 40]), Known::NOTHING, &LEADS).is_none_or(|f| f.size() > 0));
        for q in run(&*method, &[42.0; 400], 300).iter().flatten() {
            assert!(q.values().iter().all(|v| (v - 42.0).abs() < 1e-6), "{}: {q:?}", method.name());
        }
    }
}

/// What comes after an origin must not reach the forecast made there.
#[test]
fn nothing_is_known_before_it_came() {
    let values = traffic(5, 620);
    let mut other = values.clone();
    other[580..].iter_mut().for_each(|v| *v = -*v);
    for method in members() {
        let at = |values: &[f64]| {
            let h = history(values);
            let mut fitted = method.fit(&history(&values[..560]), Known::NOTHING, &LEADS).unwrap();
            fitted.follow(&h, 579);
            LEADS.map(|lead| fitted.at(&h, Known::NOTHING, 579, lead))
        };
        assert_eq!(at(&values), at(&other), "{}", method.name());
    }
}

/// Followed step by step, at once, or asked for an origin that was not followed to: nearly the same forecast, since states
/// forget how they began.
#[test]
fn a_state_does_not_depend_on_how_it_was_reached() {
    let values = traffic(6, 620);
    for method in members() {
        let h = history(&values);
        let mut slow = method.fit(&history(&values[..570]), Known::NOTHING, &LEADS).unwrap();
        let fast: Box<dyn Fitted> = slow.boxed();
        (570..600).for_each(|t| slow.follow(&h, t));
        for lead in LEADS {
            let (a, b) =
                (slow.at(&h, Known::NOTHING, 599, lead).unwrap(), fast.at(&h, Known::NOTHING, 599, lead).unwrap());
            let width = a.at(0.9) - a.at(0.1);
            assert!((a.at(0.5) - b.at(0.5)).abs() < 0.03 * width, "{} {lead}: {a:?} {b:?}", method.name());
        }
    }
}

/// A history that forgets its oldest steps must not be read where it has none.
#[test]
fn a_history_that_forgets_is_enough() {
    let values = traffic(8, 4000);
    for method in members() {
        let mut h = History::new(0, 3600);
        h.keep(1100);
        values.iter().for_each(|v| h.push(*v));
        let Some(mut fitted) = method.fit(&h, Known::NOTHING, &LEADS) else { continue };
        for v in traffic(11, 1200) {
            h.push(v);
            fitted.follow(&h, h.len() - 1);
        }
        assert!(fitted.at(&h, Known::NOTHING, h.len() - 1, 3).is_some(), "{}", method.name());
    }
}
