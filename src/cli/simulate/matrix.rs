//! Many scenarios side by side: one table per figure, for people and in Markdown.

use crate::cli::simulate::Scored;
use crate::cli::table;
use crate::sim::score::Figures;
use crate::sim::stability::{DELAYS, PUSHES, Point, Push};
use crate::sim::stats::{Mean, mean, paired};

/// A scenario, and what was scored in it.
pub type Played = (String, Vec<Scored>);

/// One table: what it shows, the figure, its decimals, and whether half of the interval goes with it.
type Sheet = (&'static str, fn(&Figures) -> f64, usize, bool);

const SHEETS: [Sheet; 7] = [
    ("overload, % of requests", |f| f.overload_percent, 3, true),
    ("worst minute, % of its requests", |f| f.worst_minute_percent, 1, false),
    ("failed, % of requests", |f| 100.0 * f.failed_requests / f.requests.max(1.0), 3, false),
    ("added latency, ms", |f| f.added_ms, 1, false),
    ("standby, hours", |f| f.shadow_hours, 2, false),
    ("churn, times all answers", |f| f.answer_churn, 2, false),
    ("reversed within one lag", |f| f.reversals, 2, false),
];

/// All sheets. Whatever there are more of goes down the rows: scenarios, or variants.
pub fn sheets(played: &[Played], markdown: bool) -> String {
    let Some((_, first)) = played.first() else { return String::new() };
    let names: Vec<String> = first.iter().map(|s| s.name.clone()).collect();
    let by_scenario = played.len() >= names.len();
    let mut out = String::new();
    for (title, figure, decimals, interval) in SHEETS {
        let cell = |(_, scored): &Played, name: &String| {
            let Some(of) = scored.iter().find(|s| s.name == *name) else { return String::new() };
            let Mean { mean, low, high } = mean(&of.figures.iter().map(figure).collect::<Vec<f64>>());
            let spread = (interval && of.figures.len() > 1).then(|| format!(" ± {:.decimals$}", (high - low) / 2.0));
            format!("{mean:.decimals$}{}", spread.unwrap_or_default())
        };
        let scenarios: Vec<String> = played.iter().map(|(name, _)| name.clone()).collect();
        let (across, mut rows): (&[String], Vec<Vec<String>>) = match by_scenario {
            true => {
                let row = |p: &Played| [p.0.clone()].into_iter().chain(names.iter().map(|n| cell(p, n))).collect();
                (&names, played.iter().map(row).collect())
            }
            false => {
                let row = |n: &String| [n.clone()].into_iter().chain(played.iter().map(|p| cell(p, n))).collect();
                (&scenarios, names.iter().map(row).collect())
            }
        };
        rows.insert(0, [title.to_string()].into_iter().chain(across.iter().cloned()).collect());
        out += &print(&rows, markdown);
        out.push('\n');
    }
    out + &against(played, markdown)
}

/// The loop's overload against reactive's and oracle-a's, seed by seed, as percents of all requests.
fn against(played: &[Played], markdown: bool) -> String {
    let heads = ["floodway's overload", "of reactive's, %", "− reactive's [95 %]", "− oracle-a's [95 %]"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for (name, scored) in played {
        let of = |name: &str| {
            let found = scored.iter().find(|s| s.name == name)?;
            Some(found.figures.iter().map(|f| f.overload_percent).collect::<Vec<f64>>())
        };
        let (Some(here), Some(reactive)) = (of("floodway"), of("reactive")) else { continue };
        let difference = |other: &[f64]| {
            let Mean { mean, low, high } = paired(&here, other);
            format!("{mean:+.3} [{low:+.3}, {high:+.3}]")
        };
        let there = mean(&reactive).mean;
        let part = if there > 0.0005 { format!("{:.0}", 100.0 * mean(&here).mean / there) } else { "-".into() };
        let oracle = of("oracle-a").map_or_else(String::new, |oracle| difference(&oracle));
        rows.push(vec![name.clone(), part, difference(&reactive), oracle]);
    }
    if rows.len() > 1 { print(&rows, markdown) } else { String::new() }
}

/// What a map of rest comes to: per push and delay, over TTLs, caches that overstay and long connections.
pub fn map_summary(points: &[Point], never: impl Fn(&Point) -> bool, markdown: bool) -> String {
    let heads =
        ["after", "telemetry late by, s", "settles, s: median", "slowest", "overshoot, %", "reversed", "never at rest"];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for push in PUSHES {
        for delay in DELAYS {
            let here: Vec<&Point> = points.iter().filter(|p| p.at.push == push && p.at.delay == delay).collect();
            let mut secs: Vec<f64> = here.iter().map(|p| p.settling_secs).collect();
            secs.sort_by(f64::total_cmp);
            let most = |f: fn(&Point) -> f64| here.iter().map(|p| f(p)).fold(0.0, f64::max);
            let word = match push {
                Push::Rise => "a rise by 30 %",
                Push::Fall => "a fall",
                Push::Return => "a POP's return",
            };
            rows.push(vec![
                word.into(),
                late(delay),
                format!("{:.0}", secs.get(secs.len() / 2).copied().unwrap_or(0.0)),
                format!("{:.0}", secs.last().copied().unwrap_or(0.0)),
                format!("{:.1}", 100.0 * most(|p| p.overshoot)),
                format!("{:.2}", most(|p| p.reversals)),
                format!("{} of {}", here.iter().filter(|p| never(p)).count(), here.len()),
            ]);
        }
    }
    print(&rows, markdown)
}

/// A delay in words.
pub fn late(delay: [f64; 2]) -> String {
    if delay[0] == delay[1] { format!("{:.0}", delay[0]) } else { format!("{:.0}..{:.0}", delay[0], delay[1]) }
}

/// A table whose first column is words and whose others are numbers; its first row is the heading.
pub fn print(rows: &[Vec<String>], markdown: bool) -> String {
    let n = rows.first().map_or(0, Vec::len);
    if !markdown {
        return table::print(rows, &(1..n).collect::<Vec<_>>());
    }
    let line = |row: &Vec<String>| format!("| {} |\n", row.join(" | "));
    let rule = format!("|---|{}\n", "--:|".repeat(n.saturating_sub(1)));
    rows.iter().enumerate().map(|(i, row)| if i == 0 { line(row) + &rule } else { line(row) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::variant::Variant;

    fn played(name: &str, over: [f64; 2]) -> Played {
        let scored = |(name, over): (&str, f64)| Scored {
            variant: Variant::named(name).unwrap(),
            name: name.into(),
            figures: vec![Figures { overload_percent: over, requests: 1.0, ..Figures::default() }; 2],
        };
        (name.into(), [("reactive", over[0]), ("floodway", over[1])].map(scored).to_vec())
    }

    #[test]
    fn scenarios_lie_beside_each_other() {
        let all = [played("a", [1.0, 0.25]), played("b", [0.0, 0.0]), played("c", [2.0, 0.5])];
        let text = sheets(&all, true);
        assert!(text.contains("| overload, % of requests | reactive | floodway |\n|---|--:|--:|\n| a | 1.000 ± 0.000 | 0.250 ± 0.000 |"), "{text}");
        assert!(text.contains("| a | 25 | -0.750 [-0.750, -0.750] |  |") && text.contains("| b | - |"), "{text}");
        let few = sheets(&all[..1], true);
        assert!(few.contains("| overload, % of requests | a |\n|---|--:|\n| reactive | 1.000"), "{few}");
    }
}
