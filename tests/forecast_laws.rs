//! Laws of the forecaster that hold for any series: what operators may rely on without looking inside.

use floodway::forecast::direct::Direct;
use floodway::forecast::empirical::Empirical;
use floodway::forecast::engine::Forecaster;
use floodway::forecast::known::{Known, Regressor, Span};
use floodway::forecast::quantiles::Quantiles;
use floodway::forecast::settings::Settings;
use floodway::forecast::trees::Growth;
use std::sync::Arc;

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

/// A day of 144 steps with noise; 900 steps.
fn traffic(seed: u64) -> Vec<f64> {
    let day = |i: usize| 1000.0 + 400.0 * (i as f64 * std::f64::consts::TAU / 144.0).sin();
    noise(seed, 900).into_iter().enumerate().map(|(i, e)| day(i) + 60.0 * e).collect()
}

fn direct() -> Direct {
    Direct { growth: Growth { rounds: 20, rate: 0.3, ..Growth::default() }, ..Direct::default() }
}

fn settings() -> Settings {
    with(direct())
}

fn with(direct: Direct) -> Settings {
    Settings { members: vec![Arc::new(direct), Arc::new(Empirical)], least: None, ..Settings::default() }
}

/// Fits at `fit_at` values, learns from the rest, forecasts at the end.
fn run(values: &[f64], fit_at: usize, settings: Settings) -> Vec<Quantiles> {
    let mut forecaster = Forecaster::new(1_500_000_000, 600, &LEADS, Arc::new(settings));
    for (i, v) in values.iter().enumerate() {
        if i == fit_at {
            forecaster.fit();
        }
        forecaster.observe(*v);
    }
    if forecaster.wants_fit() {
        forecaster.fit();
    }
    forecaster.forecast(&[1, 2, 3, 6, 30])
}

fn close(a: &[Quantiles], b: &[Quantiles], moved: impl Fn(f64) -> f64, within: f64) {
    for (a, b) in a.iter().zip(b) {
        for (a, b) in a.values().iter().zip(b.values()) {
            assert!((moved(*a) - b).abs() <= within, "{} is not {b}", moved(*a));
        }
    }
}

/// Units must not matter: requests or kilorequests, counted from any base. The tolerance is single
/// precision on a spread of some hundred units.
#[test]
fn shift_and_scale_carry_through() {
    for seed in 1..6 {
        let values = traffic(seed);
        let plain = run(&values, 800, settings());
        let shifted: Vec<f64> = values.iter().map(|v| v + 5000.0).collect();
        close(&plain, &run(&shifted, 800, settings()), |v| v + 5000.0, 1.0);
        let scaled: Vec<f64> = values.iter().map(|v| v * 0.25).collect();
        close(&plain, &run(&scaled, 800, settings()), |v| v * 0.25, 0.25);
    }
}

#[test]
fn quantiles_ascend_are_finite_and_repeat() {
    for seed in 1..8 {
        let mut values = traffic(seed);
        // Spikes, zeros and gaps of all lengths.
        for (i, e) in noise(seed + 100, 900).into_iter().enumerate() {
            match e {
                e if e > 0.48 => values[i] *= 50.0,
                e if e < -0.45 => values[i] = 0.0,
                e if (0.0..0.05).contains(&e) => values[i] = f64::NAN,
                _ => {}
            }
        }
        for n in [1, 2, 5, 50, 200, 400, 900] {
            let once = run(&values[..n], n * 3 / 4, Settings::default());
            for q in &once {
                assert!(q.values().iter().all(|v| v.is_finite() && *v >= 0.0), "{n}: {q:?}");
                assert!(q.values().windows(2).all(|w| w[0] <= w[1]), "{n}: {q:?}");
            }
            assert_eq!(once, run(&values[..n], n * 3 / 4, Settings::default()));
        }
    }
}

/// What comes after an origin must not reach the forecast made there, even through fits and scores.
#[test]
fn nothing_is_known_before_it_came() {
    let values = traffic(3);
    let mut forecaster = Forecaster::new(0, 600, &LEADS, Arc::new(settings()));
    let mut at_origin = vec![];
    for (i, v) in values.iter().enumerate() {
        if [700, 760, 840].contains(&i) {
            if forecaster.wants_fit() {
                forecaster.fit();
            }
            at_origin.push(forecaster.forecast(&LEADS));
        }
        forecaster.observe(if i >= 840 { -v } else { *v });
    }
    let mut again = Forecaster::new(0, 600, &LEADS, Arc::new(settings()));
    for (k, origin) in [700, 760, 840].into_iter().enumerate() {
        values[again.history().len()..origin].iter().for_each(|v| again.observe(*v));
        if again.wants_fit() {
            again.fit();
        }
        assert_eq!(again.forecast(&LEADS), at_origin[k]);
    }
}

#[test]
fn a_constant_stays_and_nothing_is_zero() {
    for q in run(&[42.0; 500], 300, Settings::default()) {
        assert_eq!(q, Quantiles::certain(42.0));
    }
    assert_eq!(Forecaster::new(0, 60, &LEADS, Arc::default()).forecast(&[1]), [Quantiles::certain(0.0)]);
    let mut empty = Forecaster::new(0, 60, &LEADS, Arc::default());
    empty.fit();
    empty.observe(f64::NAN);
    assert_eq!(empty.forecast(&[5]), [Quantiles::certain(0.0)]);
}

/// One value says nothing about spread: the quantiles must be wide, not sure.
#[test]
fn knows_little_after_one_value() {
    let q = run(&[100.0], 9, Settings::default())[0];
    assert!(q.at(0.5) == 100.0 && q.at(0.95) > 200.0 && q.at(0.05) == 0.0, "{q:?}");
}

/// A third of the values missing must not move the forecast far, nor a gap be taken for a value.
#[test]
fn gaps_do_not_hurt() {
    let mut values = traffic(9);
    let whole = run(&values, 800, settings());
    values.iter_mut().skip(1).step_by(3).for_each(|v| *v = f64::NAN);
    let holed = run(&values, 800, settings());
    close(&whole[..1], &holed[..1], |v| v, 80.0);
}

/// On an even rhythm the season is used, and stated coverage holds about where it was not learnt.
#[test]
fn a_daily_rhythm_is_learnt_with_its_coverage() {
    let values = traffic(11);
    let mut forecaster = Forecaster::new(0, 600, &LEADS, Arc::new(settings()));
    let (mut inside, mut n, mut ours, mut naive) = (0, 0, 0.0, 0.0);
    for (i, v) in values.iter().enumerate() {
        if (600..890).contains(&i) {
            if forecaster.wants_fit() {
                forecaster.fit();
            }
            let (q, came) = (forecaster.forecast(&[6])[0], values[i + 5]);
            inside += usize::from(q.at(0.1) <= came && came <= q.at(0.9));
            ours += (came - q.at(0.5)).abs();
            naive += (came - values[i - 1]).abs();
            n += 1;
        }
        forecaster.observe(*v);
    }
    assert!((0.7..0.9).contains(&(f64::from(inside as u32) / f64::from(n))), "{inside} of {n}");
    assert!(ours < 0.5 * naive, "{ours} against {naive}");
}

/// The start of a surge widens what is said above it, at once and by more than the hour's steps alone would.
#[test]
fn a_surge_widens_the_upper_quantiles() {
    let mut values = traffic(13);
    values.extend([2500.0, 2700.0]);
    let calm = run(&values[..values.len() - 2], 850, settings());
    let surge = run(&values, 850, settings());
    let deaf = run(&values, 850, with(Direct { hears_jumps: false, ..direct() }));
    let above = |said: &[Quantiles]| said[0].at(0.95) - said[0].at(0.5);
    assert!(above(&surge) > 2.0 * above(&calm) && above(&surge) > above(&deaf), "{surge:?} {deaf:?}");
}

/// A sale an hour long, each announced: what the past ones did is expected of the next, before it begins.
#[test]
fn an_announced_event_is_expected() {
    let begins = |i: usize| (i + 1).is_multiple_of(90) || (i + 40).is_multiple_of(170);
    let on = |i: usize| (i.saturating_sub(5)..=i).any(begins);
    let mut values = traffic(17);
    values.iter_mut().enumerate().filter(|(i, _)| on(*i)).for_each(|(_, v)| *v += 900.0);
    let secs = |i: usize| 1_500_000_000 + 600 * i as i64;
    let span = |i| Span { from_secs: secs(i), until_secs: secs(i + 6), value: 1.0 };
    let sale = Regressor::new("sale", (0..1000).filter(|i| begins(*i)).map(span).collect());
    let end = (860..898).find(|i| on(i + 2) && !on(*i)).unwrap();
    let at_end = |known: Known| {
        let mut forecaster = Forecaster::new(secs(0), 600, &LEADS, Arc::new(settings()));
        forecaster.know(Arc::new(known));
        values[..=end].iter().for_each(|v| forecaster.observe(*v));
        forecaster.fit();
        let effects = forecaster.explain(1).unwrap().parts[0].effects.clone();
        (forecaster.forecast(&[3])[0].at(0.5) - values[end], effects)
    };
    let (told, effects) = at_end(Known { regressors: vec![sale] });
    let (untold, none) = at_end(Known::default());
    assert!(told > 500.0 && untold < 400.0, "{told} {untold}");
    assert!(effects[0].0 == "sale" && effects[0].1 > 300.0 && none.is_empty(), "{effects:?}");
}
