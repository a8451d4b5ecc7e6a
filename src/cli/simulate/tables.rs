//! Figures of runs, for people and for programs.

use crate::cli::simulate::{Scored, matrix};
use crate::cli::table;
use crate::sim::score::{Figures, GroupFigures};
use crate::sim::stability::{DELAYS, NEAR, PUSHES, Point};
use crate::sim::stats::{Mean, mean, paired};
use serde_json::{Map, Value, json};

/// Columns for people: heading, figure, decimals.
type Column = (&'static str, fn(&Figures) -> f64, usize);

const COLUMNS: [Column; 11] = [
    ("OVER %", |f| f.overload_percent, 3),
    ("WORST MIN %", |f| f.worst_minute_percent, 1),
    ("FAILED %", |f| 100.0 * f.failed_requests / f.requests.max(1.0), 3),
    ("MEAN MS", |f| f.mean_ms, 1),
    ("ADDED MS", |f| f.added_ms, 1),
    ("P95 MS", |f| f.p95_ms, 0),
    ("SHADOW H", |f| f.shadow_hours, 2),
    ("STARTS", |f| f.shadow_starts, 1),
    ("CHURN", |f| f.answer_churn, 2),
    ("REVERSED", |f| f.reversals, 2),
    ("QUERIES/S", |f| f.queries_per_sec, 1),
];

fn figures(of: &Figures) -> Map<String, Value> {
    match serde_json::to_value(of) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn column(scored: &Scored, figure: impl Fn(&Figures) -> f64) -> Vec<f64> {
    scored.figures.iter().map(figure).collect()
}

/// A table of means, with half of the 95 % interval where there are several seeds; then overload against the first
/// that is called reactive, seed by seed. `names` of the groups.
pub fn people(name: &str, about: &str, names: &[String], seeds: &[u64], scored: &[Scored]) -> String {
    let heads = ["".to_string()].into_iter().chain(COLUMNS.map(|(head, ..)| head.to_string()));
    let mut rows = vec![heads.collect::<Vec<_>>()];
    for of in scored {
        let cell = |(_, figure, decimals): &Column| {
            let Mean { mean, low, high } = mean(&column(of, figure));
            match seeds.len() {
                1 => format!("{mean:.decimals$}"),
                _ => format!("{mean:.decimals$}±{:.decimals$}", (high - low) / 2.0),
            }
        };
        rows.push([of.name.clone()].into_iter().chain(COLUMNS.iter().map(cell)).collect());
    }
    let right: Vec<usize> = (1..=COLUMNS.len()).collect();
    let last = seeds.last().copied().unwrap_or(0);
    let mut text = format!("{name}, seeds {}..{last}  {about}\n", seeds[0]) + &table::print(&rows, &right);
    text += &recoveries(seeds, scored);
    text += &by_group(names, scored);
    let over = |of: &Scored| column(of, |f| f.overload_requests);
    if let Some(reactive) = scored.iter().find(|s| s.name.starts_with("reactive")).filter(|_| seeds.len() > 1) {
        for of in scored.iter().filter(|s| s.name.starts_with("floodway") || s.name.starts_with("oracle")) {
            let less = paired(&over(of), &over(reactive));
            let (here, there) = (mean(&over(of)).mean, mean(&over(reactive)).mean);
            let share = if there > 0.0 { format!(" ({:.0} % of it)", 100.0 * here / there) } else { String::new() };
            text += &format!(
                "{}: {:+.0} overloaded requests [{:+.0}, {:+.0}] against {}{share}\n",
                of.name, less.mean, less.low, less.high, reactive.name
            );
        }
    }
    text
}

/// How long after all was over service was whole again, where that has a moment.
fn recoveries(seeds: &[u64], scored: &[Scored]) -> String {
    let of = |of: &Scored| {
        let secs: Vec<f64> = of.figures.iter().filter_map(|f| f.recovery_secs).collect();
        let Mean { mean, low, high } = mean(&secs);
        let spread = if seeds.len() > 1 { format!("±{:.0}", (high - low) / 2.0) } else { String::new() };
        (!secs.is_empty()).then(|| format!("{} {mean:.0}{spread} s", of.name))
    };
    let all: Vec<String> = scored.iter().filter_map(of).collect();
    if all.is_empty() { String::new() } else { format!("99 % served well again after: {}\n", all.join(", ")) }
}

/// What each group got, where there are several.
fn by_group(names: &[String], scored: &[Scored]) -> String {
    if names.len() < 2 {
        return String::new();
    }
    let mut rows = vec![["", "GROUP", "OVER %", "FAILED %", "ADDED MS"].map(String::from).to_vec()];
    for of in scored {
        for (g, name) in names.iter().enumerate() {
            let figure = |f: fn(&GroupFigures) -> f64, decimals: usize| {
                let all: Vec<f64> = of.figures.iter().filter_map(|figures| figures.groups.get(g).map(f)).collect();
                format!("{:.decimals$}", mean(&all).mean)
            };
            let figures =
                [figure(|f| f.overload_percent, 3), figure(|f| f.failed_percent, 3), figure(|f| f.added_ms, 1)];
            rows.push([of.name.clone(), name.clone()].into_iter().chain(figures).collect());
        }
    }
    table::print(&rows, &[2, 3, 4])
}

/// The map of rest, as tables or one JSON object per point. Settled, overshoot and what went to and fro, for each delay.
pub fn map(name: &str, points: &[Point], json: bool) -> String {
    if json {
        return points.iter().map(|p| json!(p).to_string() + "\n").collect();
    }
    let mut text = format!(
        "{name}: seconds until rest, overshoot in percents of all load, answers to and fro; by telemetry's delay in seconds\n"
    );
    for push in PUSHES {
        let delays =
            DELAYS.iter().flat_map(|d| [format!("LATE {}", matrix::late(*d)), "OVER".into(), "REVERSED".into()]);
        let heads = [format!("{push:?}").to_uppercase(), "OVERSTAY".into(), "LONG".into()].into_iter().chain(delays);
        let mut rows = vec![heads.collect::<Vec<String>>()];
        let of_push: Vec<&Point> = points.iter().filter(|p| p.at.push == push).collect();
        for same in of_push.chunks(DELAYS.len()) {
            let at = same[0].at;
            let percent = |v: f64| format!("{:.0} %", 100.0 * v);
            let settled =
                |p: &Point| if p.restless > NEAR { "never".into() } else { format!("{:.0}", p.settling_secs) };
            let figures = same
                .iter()
                .flat_map(|p| [settled(p), format!("{:.1}", 100.0 * p.overshoot), format!("{:.2}", p.reversals)]);
            let who = [format!("TTL {}", at.ttl), percent(at.overstay), percent(at.long)];
            rows.push(who.into_iter().chain(figures).collect());
        }
        text += &table::print(&rows, &(1..rows[0].len()).collect::<Vec<_>>());
        text.push('\n');
    }
    text
}

/// One JSON object of one seed.
pub fn one_seed(name: &str, seed: u64, scored: &[Scored], i: usize) -> String {
    let controllers = scored.iter().map(|of| {
        let mut map = Map::from_iter([("name".to_string(), json!(of.name))]);
        map.extend(figures(&of.figures[i]));
        Value::Object(map)
    });
    json!({"scenario": name, "seed": seed, "controllers": controllers.collect::<Vec<_>>()}).to_string()
}

/// One JSON object of means and intervals over seeds.
pub fn means(name: &str, seeds: &[u64], scored: &[Scored]) -> String {
    let controllers = scored.iter().map(|of| {
        let all: Vec<Map<String, Value>> = of.figures.iter().map(figures).collect();
        let plain = |m: &Map<String, Value>| m.iter().filter(|(_, v)| v.is_number()).map(|(k, _)| k.clone()).collect();
        let keys: Vec<String> = all.first().map(plain).unwrap_or_default();
        let values = |key: &str| all.iter().filter_map(|m| m[key].as_f64()).collect::<Vec<f64>>();
        let mut map = Map::from_iter([("name".to_string(), json!(of.name))]);
        map.extend(keys.into_iter().map(|key| (key.clone(), json!(mean(&values(&key))))));
        Value::Object(map)
    });
    json!({"scenario": name, "seeds": seeds.len(), "controllers": controllers.collect::<Vec<_>>()}).to_string()
}
