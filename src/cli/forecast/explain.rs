//! Where the forecasts of a forecaster come from, in words.

use crate::cli::forecast::fan::{length, number};
use crate::cli::table;
use crate::forecast::engine::{Explained, Forecaster};

/// One part per lead: members, ways of combining, calibration, accuracy.
pub fn words(forecaster: &Forecaster) -> String {
    let step = u64::from(forecaster.history().step_secs);
    let n = forecaster.leads().len();
    (0..n).filter_map(|i| forecaster.explain(i)).map(|e| lead(&e, step)).collect::<Vec<_>>().join("\n")
}

fn lead(e: &Explained, step: u64) -> String {
    let mut rows = vec![["MEMBER", "WEIGHT", "RECENT LOSS", "EFFECTS"].map(str::to_string).to_vec()];
    for part in &e.parts {
        let effects: Vec<String> = part.effects.iter().map(|(name, v)| format!("{name} {}", number(*v))).collect();
        let loss = match (part.fitted, part.loss) {
            (false, _) => "too little history".into(),
            (_, None) => "not scored yet".into(),
            (_, Some(loss)) => number(loss),
        };
        rows.push(vec![part.name.into(), format!("{:.3}", part.weight), loss, effects.join(", ")]);
    }
    let mut text = format!("{} ahead\n", length(e.lead as u64 * step));
    text += &indent(&table::print(&rows, &[1, 2]));
    text += &format!("  combined: {}", e.champion.name());
    for (way, loss, chance) in e.challengers.iter().filter(|(way, ..)| *way != e.champion) {
        text += &format!("; {} would lose {} (p {chance:.3})", way.name(), number(*loss));
    }
    text.push('\n');
    let moved = e.drift.map(|d| format!("{d:+.3}"));
    text += &format!("  levels read 0.1 {}, 0.5 {}, 0.9 {} from where they begin\n", moved[0], moved[1], moved[2]);
    if let Some(a) = &e.accuracy {
        let percent = |v: Option<f64>| v.map_or("-".to_string(), |v| format!("{:.1} %", 100.0 * v));
        text += &format!(
            "  of {} forecasts lately: accuracy {}, MASE {}, in the 80 % interval {}, above 0.99 {}\n",
            a.n,
            percent(a.accuracy()),
            a.mase.map_or("-".into(), |m| format!("{m:.2}")),
            percent(Some(a.covered_80)),
            percent(Some(a.above_99)),
        );
    }
    text
}

fn indent(text: &str) -> String {
    text.lines().map(|l| format!("  {l}\n")).collect()
}
