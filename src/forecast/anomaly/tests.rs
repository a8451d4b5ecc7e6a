use super::*;
use crate::forecast::quantiles::NORMAL;

/// Uniform on (−½, ½), the same for the same seed.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
    }
}

/// Minutes of 100 ± 10, forecast a quarter of an hour ahead as the mean then; `shape` is what happens at each step.
fn told(n: usize, unit: f64, shape: impl Fn(usize, f64) -> f64) -> Vec<(usize, Change)> {
    let mut draw = noise(1);
    let values: Vec<f64> = (0..n).map(|i| unit * shape(i, 100.0 + 34.0 * draw())).collect();
    let mut watch = Anomalies::new(60, USUAL_LIMIT);
    let mut changes = vec![];
    for (i, value) in values.iter().enumerate() {
        let seen: Vec<f64> =
            values[i.saturating_sub(35)..i.saturating_sub(14)].iter().copied().filter(|v| v.is_finite()).collect();
        let mean = seen.iter().sum::<f64>() / seen.len().max(1) as f64;
        let expected = (!seen.is_empty()).then(|| Quantiles::new(NORMAL.map(|z| mean + 10.0 * unit * z)));
        changes.extend(watch.observe(*value, expected.as_ref()).map(|c| (i, c)));
    }
    changes
}

fn kinds(changes: &[(usize, Change)]) -> Vec<(&'static str, Kind)> {
    let of = |(_, change): &(usize, Change)| match change {
        Change::Began(a) => ("began", a.kind),
        Change::Became(a) => ("became", a.kind),
        Change::Ended(a) => ("ended", a.kind),
    };
    changes.iter().map(of).collect()
}

#[test]
fn calm_is_calm() {
    let changes = told(5 * 1440, 1.0, |_, v| v);
    assert!(changes.len() <= 2, "{changes:?}");
}

/// Told within three minutes, dated to the minute, and in any unit.
#[test]
fn a_surge_is_told_at_once_and_dated() {
    for unit in [1.0, 1e-6, 1e9] {
        let changes = told(1000, unit, |i, v| if (600..620).contains(&i) { 2.0 * v } else { v });
        let (at, Change::Began(surge)) = changes[0] else { panic!("{changes:?}") };
        assert!(surge.kind == Kind::Surge && (600..603).contains(&at), "{changes:?}");
        assert!((598..=600).contains(&surge.since) && surge.sure > 0.75, "{surge:?}");
    }
}

#[test]
fn a_surge_that_falls_back_ends() {
    let changes = told(1000, 1.0, |i, v| if (600..612).contains(&i) { 1.8 * v } else { v });
    assert_eq!(kinds(&changes), [("began", Kind::Surge), ("ended", Kind::Surge)], "{changes:?}");
    assert!(changes[1].0 < 690, "{changes:?}");
}

#[test]
fn what_stays_is_a_level_shift() {
    for (factor, first) in [(2.0, Kind::Surge), (0.3, Kind::Drop)] {
        let changes = told(1000, 1.0, |i, v| if i >= 600 { factor * v } else { v });
        assert_eq!(kinds(&changes)[..2], [("began", first), ("became", Kind::LevelShift)], "{changes:?}");
        assert!((625..640).contains(&changes[1].0), "{changes:?}");
        assert_eq!(kinds(&changes).last(), Some(&("ended", Kind::LevelShift)), "{changes:?}");
    }
}

#[test]
fn a_flat_line_and_its_end() {
    let changes = told(900, 1.0, |i, v| if (600..700).contains(&i) { 100.0 } else { v });
    let flat: Vec<_> = changes
        .iter()
        .filter(|(_, c)| matches!(c, Change::Began(a) | Change::Ended(a) if a.kind == Kind::FlatLine))
        .collect();
    assert_eq!(flat.len(), 2, "{changes:?}");
    assert!(flat[0].0 < 620 && flat[1].0 == 700, "{changes:?}");
    let Change::Began(began) = flat[0].1 else { panic!() };
    assert!((599..=601).contains(&began.since), "{began:?}");
}

/// A service that nobody uses at night says 0 for hours, and that is its way.
#[test]
fn a_series_that_often_repeats_may() {
    let changes = told(8000, 1.0, |i, v| if i % 2 == 0 || (i / 30) % 2 == 0 { 100.0 } else { v });
    let flat = changes.iter().filter(|(_, c)| matches!(c, Change::Began(a) if a.kind == Kind::FlatLine)).count();
    assert!(flat <= 1, "told {flat} times");
}

#[test]
fn silence_is_told_and_its_end() {
    let changes = told(900, 1.0, |i, v| if (600..640).contains(&i) { f64::NAN } else { v });
    assert_eq!(kinds(&changes)[..2], [("began", Kind::TelemetryLoss), ("ended", Kind::TelemetryLoss)], "{changes:?}");
    assert!((602..606).contains(&changes[0].0) && changes[1].0 == 640, "{changes:?}");
}

/// Any values, any forecasts: no panic, and what is told is well formed.
#[test]
fn any_input_keeps_the_order_of_changes() {
    for seed in 0..20 {
        let mut draw = noise(seed);
        let mut watch = Anomalies::new(60, 3.0);
        let mut open = None;
        for _ in 0..3000 {
            let value = match draw() {
                d if d > 0.4 => f64::NAN,
                d if d > 0.3 => 0.0,
                d if d > 0.28 => 1e300 * draw(),
                _ => 100.0 * draw(),
            };
            let expected = Quantiles::new(NORMAL.map(|z| z * (draw() + 0.5).max(0.0)));
            match watch.observe(value, (draw() > -0.4).then_some(&expected)) {
                Some(Change::Began(a)) => open = Some(a.kind),
                Some(Change::Became(a)) => {
                    assert!(open.is_some() && a.kind == Kind::LevelShift);
                    open = Some(a.kind);
                }
                Some(Change::Ended(a)) => assert_eq!(open.take(), Some(a.kind)),
                None => {}
            }
            assert_eq!(watch.current().map(|a| a.kind), open);
            assert!(watch.current().is_none_or(|a| (0.0..1.0).contains(&a.sure) && a.since <= watch.steps()));
        }
    }
}
