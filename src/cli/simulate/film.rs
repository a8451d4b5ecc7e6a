//! The course of a run: CSV, and SVG written by hand.

use crate::policy::Policies;
use crate::sim::run::Moment;
use std::fmt::Write as _;

const WIDTH: f64 = 1_100.0;
/// Height of one panel, and what lies between two.
const PANEL: f64 = 96.0;
/// See [`PANEL`].
const GAP: f64 = 22.0;
/// Left and right of the panels, and above the first.
const LEFT: f64 = 90.0;
/// See [`LEFT`].
const RIGHT: f64 = 20.0;
/// See [`LEFT`].
const TOP: f64 = 46.0;
/// Points of a line at most.
const MOST_POINTS: usize = 1_500;

/// One line per moment and POP.
pub fn csv(policies: &Policies, film: &[Moment]) -> String {
    let mut out = "secs,pop,intended,answered,observed,load,capacity,target,demand,planned,ttl\n".to_string();
    for moment in film {
        let sum = |i: usize| moment.groups.iter().map(|g| g[i]).sum::<f64>();
        let ttl = moment.groups.iter().map(|g| g[2]).fold(0.0, f64::max);
        for (pop, of) in policies.pops.iter().zip(&moment.pops) {
            let [intended, answered, observed, load, capacity, target] = of;
            let _ = writeln!(
                out,
                "{:.0},{},{intended:.4},{answered:.4},{observed:.4},{load:.1},{capacity:.1},{target:.1},{:.1},{:.1},{ttl:.0}",
                moment.at,
                pop.name,
                sum(0),
                sum(1)
            );
        }
    }
    out
}

/// Two panels per POP: shares intended, answered and observed; load against capacity and target.
pub fn picture(name: &str, policies: &Policies, film: &[Moment]) -> String {
    let n_panels = 1 + 2 * policies.pops.len();
    let height = TOP + n_panels as f64 * (PANEL + GAP);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" \
         font-size=\"11\">\n<style>svg{{background:#fff;color:#222}}text{{fill:#222}}path{{fill:none;stroke-width:1.3}}\
         .intended,.load,.demand{{stroke:#1261a0}}.answered,.target,.planned{{stroke:#d97706}}.observed{{stroke:#15803d}}\
         .capacity{{stroke:#b91c1c;stroke-dasharray:5 3}}.frame{{stroke:#bbb;stroke-width:1}}</style>\n\
         <text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{}</text>\n<text x=\"{LEFT}\" y=\"36\">shares: <tspan fill=\"#1261a0\">\
         intended</tspan>, <tspan fill=\"#d97706\">answered and still held</tspan>, <tspan fill=\"#15803d\">observed</tspan>; \
         load: <tspan fill=\"#1261a0\">carried</tspan>, <tspan fill=\"#d97706\">target</tspan>, <tspan fill=\"#b91c1c\">\
         capacity</tspan> (requests per second)</text>\n",
        escape(name)
    );
    let sum = |i: usize| film.iter().map(move |m| m.groups.iter().map(|g| g[i]).sum::<f64>()).collect::<Vec<_>>();
    panel(&mut out, 0, "demand, planned", film, &[("demand", sum(0)), ("planned", sum(1))], None);
    for (p, pop) in policies.pops.iter().enumerate() {
        let line = |i: usize| film.iter().map(|m| m.pops[p][i]).collect::<Vec<f64>>();
        let label = pop.name.to_string();
        let shares = [("intended", line(0)), ("answered", line(1)), ("observed", line(2))];
        panel(&mut out, 1 + 2 * p, &format!("{label} shares"), film, &shares, Some(1.0));
        let loads = [("target", line(5)), ("capacity", line(4)), ("load", line(3))];
        panel(&mut out, 2 + 2 * p, &format!("{label} load"), film, &loads, None);
    }
    out + "</svg>\n"
}

fn panel(out: &mut String, at: usize, title: &str, film: &[Moment], lines: &[(&str, Vec<f64>)], most: Option<f64>) {
    let (Some(first), Some(last)) = (film.first(), film.last()) else { return };
    let y0 = TOP + at as f64 * (PANEL + GAP);
    let high = lines.iter().flat_map(|(_, v)| v).copied().fold(1e-9, f64::max);
    let high = most.map_or(high, |most| high.min(most)).max(0.05);
    let span = (last.at - first.at).max(1.0);
    let x = |t: f64| LEFT + (t - first.at) / span * (WIDTH - LEFT - RIGHT);
    let y = |v: f64| y0 + PANEL - (v / high).clamp(0.0, 1.0) * PANEL;
    let right = WIDTH - RIGHT;
    let _ = writeln!(
        out,
        "<path class=\"frame\" d=\"M{LEFT} {y0}V{}H{right}\"/><text x=\"{LEFT}\" y=\"{}\">{}</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{high:.4}</text>",
        y0 + PANEL,
        y0 - 3.0,
        escape(title),
        LEFT - 6.0,
        y0 + 9.0
    );
    let hour = if span > 4.0 * 3600.0 { 3600.0 } else { 600.0 };
    let mut tick = (first.at / hour).ceil() * hour;
    while tick <= last.at {
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"8\">{:.0} min</text>",
            x(tick),
            y0 + PANEL + 10.0,
            tick / 60.0
        );
        tick += hour;
    }
    let stride = film.len().div_ceil(MOST_POINTS).max(1);
    for (class, values) in lines {
        let mut path = String::new();
        for (i, (moment, v)) in film.iter().zip(values).enumerate().step_by(stride) {
            let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, x(moment.at), y(*v));
        }
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
