//! Detection of labelled anomalies and of surges, beside a threshold on the naive residual, at equal false alarms.
//!
//!     cargo run --release --example anomalies -- ../shared/data/traffic
//!
//! Every series of the folder runs through the forecaster at its default settings, from its first fifth on; what was forecast half
//! an hour before (three steps for coarser series) is what each value is held against. A label is found by an alarm within its
//! window, or up to an hour after its beginning; an alarm outside all windows is false, and one anomaly alarms once.
//! Both detectors are set, by one number for all series, to at most the asked false alarms per series and day.

use floodway::forecast::anomaly::{Anomalies, Change, Kind};
use floodway::forecast::engine::Forecaster;
use floodway::forecast::quantiles::Quantiles;
use floodway::forecast::settings::Settings;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

/// False alarms per series and day.
const BUDGETS: [f64; 3] = [0.1, 0.2, 0.5];
const HOUR: i64 = 3_600;

struct Series {
    name: String,
    start: i64,
    step: i64,
    values: Vec<f64>,
    expected: Vec<Option<Quantiles>>,
    lead: usize,
    /// Windows of the sources' labels: first and last second, and when it began.
    labels: Vec<[i64; 3]>,
    surges: Vec<[i64; 3]>,
}

fn main() {
    let folder = std::env::args().nth(1).unwrap_or("../shared/data/traffic".into());
    let series = read(Path::new(&folder));
    let limits: Vec<f64> = (0..70).map(|i| 2.0 * 1.04f64.powi(i)).collect();
    let ours: Vec<(f64, Vec<Vec<i64>>)> =
        limits.iter().map(|c| (*c, series.iter().map(|s| by_cusum(s, *c)).collect())).collect();
    let naive: Vec<(f64, Vec<Vec<i64>>)> =
        limits.iter().map(|c| (*c, series.iter().map(|s| by_naive(s, *c)).collect())).collect();
    println!(
        "{} series, {} labels, {} surges",
        series.len(),
        count(&series, |s| &s.labels),
        count(&series, |s| &s.surges)
    );
    println!("budget  detector   set at   false/day  labels found  delay  precision   surges found  delay  precision");
    for budget in BUDGETS {
        for (name, all) in [("floodway", &ours), ("naive", &naive)] {
            let scored = all.iter().map(|(at, alarms)| (*at, score(&series, alarms)));
            let best = scored.filter(|(_, s)| s.false_per_day <= budget).max_by(|a, b| a.1.found().cmp(&b.1.found()));
            let Some((at, s)) = best else { continue };
            println!(
                "{budget:6} {name:>9} {at:8.3} {:11.3} {} {}",
                s.false_per_day,
                s.labels.words(s.n_false),
                s.surges.words(s.n_false)
            );
        }
    }
}

fn count(series: &[Series], of: impl Fn(&Series) -> &Vec<[i64; 3]>) -> usize {
    series.iter().map(|s| of(s).len()).sum()
}

//----------- Detectors ------------------------------------------------------

/// Unix times of alarms.
fn by_cusum(s: &Series, limit: f64) -> Vec<i64> {
    let mut watch = Anomalies::new(s.step as u32, limit);
    let mut alarms = vec![];
    for (t, value) in s.values.iter().enumerate().skip(s.values.len() / 5) {
        if let Some(Change::Began(a)) = watch.observe(*value, s.expected[t].as_ref())
            && matches!(a.kind, Kind::Surge | Kind::Drop | Kind::FlatLine)
        {
            alarms.push(s.start + t as i64 * s.step);
        }
    }
    alarms
}

/// The change over the lead, beside its mean size over three days; alarms less than an hour apart are one.
fn by_naive(s: &Series, limit: f64) -> Vec<i64> {
    let window = (3 * 86_400 / s.step) as usize;
    let change = |t: usize| (s.values[t] - s.values[t - s.lead]).abs();
    let mut sum: f64 = 0.0;
    let (mut alarms, mut last) = (vec![], i64::MIN / 2);
    for t in s.lead..s.values.len() {
        let seen = (t - s.lead).min(window);
        let now = s.start + t as i64 * s.step;
        if t >= s.values.len() / 5 && seen > 0 && change(t) > limit * sum / seen as f64 {
            if now - last > HOUR {
                alarms.push(now);
            }
            last = now;
        }
        sum += change(t);
        if t >= window + s.lead {
            sum -= change(t - window);
        }
    }
    alarms
}

//----------- Scores ---------------------------------------------------------

#[derive(Default)]
struct Found {
    n: usize,
    delays: Vec<i64>,
}

impl Found {
    fn words(&self, n_false: usize) -> String {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        let delay = delays.get(delays.len() / 2).copied().unwrap_or(0);
        let precision = delays.len() as f64 / (delays.len() + n_false).max(1) as f64;
        format!("{:3} of {:3} {:6.1} min {:6.0} %   ", delays.len(), self.n, delay as f64 / 60.0, 100.0 * precision)
    }
}

struct Score {
    labels: Found,
    surges: Found,
    n_false: usize,
    false_per_day: f64,
}

impl Score {
    fn found(&self) -> usize {
        self.labels.delays.len() + self.surges.delays.len()
    }
}

fn score(series: &[Series], alarms: &[Vec<i64>]) -> Score {
    let mut score = Score { labels: Found::default(), surges: Found::default(), n_false: 0, false_per_day: 0.0 };
    let mut days = 0.0;
    for (s, alarms) in series.iter().zip(alarms) {
        let in_window = |w: &[i64; 3], at: i64| (w[0]..=w[1].max(w[2] + HOUR)).contains(&at);
        for (found, windows) in [(&mut score.labels, &s.labels), (&mut score.surges, &s.surges)] {
            found.n += windows.len();
            let first = |w: &[i64; 3]| alarms.iter().find(|a| in_window(w, **a)).map(|a| (a - w[2]).max(0));
            found.delays.extend(windows.iter().filter_map(first));
        }
        let outside = |a: &&i64| !s.labels.iter().chain(&s.surges).any(|w| in_window(w, **a));
        score.n_false += alarms.iter().filter(outside).count();
        days += s.values.len() as f64 * 0.8 * s.step as f64 / 86_400.0;
    }
    score.false_per_day = score.n_false as f64 / days;
    score
}

//----------- Series ---------------------------------------------------------

fn read(folder: &Path) -> Vec<Series> {
    let json = |name: &str| -> Value {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let (index, labels, surges) = (json("index.json"), json("labels.json"), json("surges.json"));
    let list = |v: &Value| v.as_array().cloned().unwrap_or_default();
    let mut all = vec![];
    for entry in list(&index["series"]) {
        let (name, step) = (entry["name"].as_str().unwrap_or(""), entry["resolution_seconds"].as_i64().unwrap_or(60));
        if step > 1800 {
            continue;
        }
        let text = std::fs::read_to_string(folder.join(entry["file"].as_str().unwrap_or(""))).unwrap_or_default();
        let rows: Vec<(&str, &str)> = text.lines().skip(1).filter_map(|l| l.split_once(',')).collect();
        let start = seconds(rows[0].0);
        let values: Vec<f64> = rows.iter().map(|r| r.1.parse().unwrap_or(f64::NAN)).collect();
        let from = start + values.len() as i64 / 5 * step;
        let time = |v: &Value| seconds(v.as_str().unwrap_or("1970-01-01T00:00:00"));
        let points: Vec<i64> = list(&labels["series"][name]["points"]).iter().map(time).collect();
        let window = |w: &Value| {
            let (a, b) = (time(&w[0]), time(&w[1]));
            [a, b, points.iter().copied().find(|p| (a..=b).contains(p)).unwrap_or(a)]
        };
        let windows = list(&labels["series"][name]["windows"]).iter().map(window).filter(|w| w[0] > from).collect();
        let surge = |w: &Value| [time(&w["onset"]) - 2 * step, time(&w["onset"]), time(&w["onset"])];
        let surges = list(&surges["series"][name]).iter().map(surge).filter(|w| w[0] > from).collect();
        let lead = if step <= 300 { 1800 / step as usize } else { 3 };
        let expected = expected(start, step, &values, lead);
        all.push(Series { name: name.into(), start, step, values, expected, lead, labels: windows, surges });
        eprintln!("{}", all.last().map_or("", |s| &s.name));
    }
    all
}

/// What was forecast for each step, `lead` steps before it.
fn expected(start: i64, step: i64, values: &[f64], lead: usize) -> Vec<Option<Quantiles>> {
    let mut forecaster = Forecaster::new(start, step as u32, &[lead], Arc::new(Settings::default()));
    let mut expected = vec![None; values.len() + lead];
    for (t, value) in values.iter().enumerate() {
        forecaster.observe(*value);
        if t + lead < values.len() / 5 {
            continue;
        }
        if forecaster.wants_fit() {
            forecaster.fit();
        }
        expected[t + lead] = forecaster.forecast(&[lead]).pop();
    }
    expected
}

/// Unix time of `2018-05-04T12:05:00Z`, by Hinnant's days from civil.
fn seconds(time: &str) -> i64 {
    let n = |a: usize, b: usize| time[a..b].parse::<i64>().unwrap_or(0);
    let (y, m, d) = (n(0, 4) - i64::from(n(5, 7) <= 2), n(5, 7), n(8, 10));
    let (era, of_era) = (y.div_euclid(400), y.rem_euclid(400));
    let of_year = (153 * (m + if m > 2 { -3 } else { 9 }) + 2) / 5 + d - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    days * 86_400 + n(11, 13) * HOUR + n(14, 16) * 60 + n(17, 19)
}
