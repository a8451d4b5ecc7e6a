//! What a sweep over the reserve says: floodway beside the best-tuned reactive at equal latency; a table and a picture.

use crate::cli::simulate::Scored;
use crate::cli::simulate::matrix;
use crate::cli::simulate::svg::{Frame, escape, head, round_up};
use crate::sim::front::{self, Point};
use crate::sim::score::Figures;
use crate::sim::stats::mean;
use crate::sim::variant::Controller;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Controllers with a front, and their colours.
const SWEPT: [(Controller, &str, &str); 3] = [
    (Controller::Reactive, "reactive", "amber"),
    (Controller::Floodway, "floodway", "blue"),
    (Controller::OracleA, "oracle-a", "green"),
];
/// Overload below this is drawn as this, percents.
const DRAWN_FROM: f64 = 0.001;

/// Floodway at one reserve beside the best tuning of reactive that is as fast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beside {
    /// Floodway.
    pub here: Point,
    /// Reactive between its neighbouring reserves; its fastest where it is never so fast.
    pub there: Point,
}

/// What each controller scored at each reserve.
pub fn points(scored: &[Scored], controller: Controller) -> Vec<Point> {
    let of = |of: &Scored| {
        let figure = |f: fn(&Figures) -> f64| mean(&of.figures.iter().map(f).collect::<Vec<_>>()).mean;
        Point {
            reserve: of.variant.reserve.unwrap_or(0.0),
            ms: figure(|f| f.mean_ms),
            over: figure(|f| f.overload_percent),
            hours: figure(|f| f.shadow_hours),
        }
    };
    let swept = |s: &&Scored| s.variant.controller == controller && s.variant.reserve.is_some();
    scored.iter().filter(swept).map(of).collect()
}

/// Compares the two where they are equally fast; empty where one of them was not swept.
pub fn beside(reactive: &[Point], floodway: &[Point]) -> Vec<Beside> {
    let front = front::front(reactive);
    floodway.iter().filter_map(|here| Some(Beside { here: *here, there: front::at(&front, here.ms)? })).collect()
}

/// A table. Where reactive is never as fast, it is its fastest tuning that stands beside floodway, with its latency.
pub fn people(name: &str, all: &[Beside], markdown: bool) -> String {
    let heads = [
        "reserve, %",
        "mean ms",
        "over, %",
        "standby, h",
        "reactive's, %",
        "mean ms",
        "over, %",
        "standby, h",
        "part, %",
    ];
    let mut rows = vec![heads.map(String::from).to_vec()];
    for Beside { here, there } in all {
        let figures = |p: &Point| {
            let all = [100.0 * p.reserve, p.ms, p.over, p.hours].into_iter().zip([0, 2, 3, 2]);
            all.map(|(v, d)| format!("{v:.d$}")).collect::<Vec<String>>()
        };
        let star = if more_standby(here, there) { " *" } else { "" };
        let part = part(here, there).map_or("-".into(), |part| format!("{:.0}{star}", 100.0 * part));
        rows.push(figures(here).into_iter().chain(figures(there)).chain([part]).collect());
    }
    let starred = all.iter().any(|b| more_standby(&b.here, &b.there));
    let note = if starred { "\n\\* with more standby than reactive has\n" } else { "" };
    format!("{name}: floodway, and reactive tuned to be as fast\n\n{}{note}", matrix::print(&rows, markdown))
}

/// Floodway's overload as a part of reactive's.
fn part(here: &Point, there: &Point) -> Option<f64> {
    (there.over > 0.0).then(|| here.over / there.over)
}

/// Whether floodway stands by for longer, by more than a twentieth and three minutes.
fn more_standby(here: &Point, there: &Point) -> bool {
    here.hours > 1.05 * there.hours + 0.05
}

/// The same for programs.
pub fn program(name: &str, all: &[Beside]) -> String {
    let of = |b: &Beside| json!({"floodway": b.here, "reactive": b.there, "part": part(&b.here, &b.there)});
    json!({"scenario": name, "at_equal_latency": all.iter().map(of).collect::<Vec<Value>>()}).to_string()
}

/// Overload against latency: every setting a point, and a line along the front of each controller.
pub fn picture(name: &str, about: &str, scored: &[Scored]) -> String {
    let (width, height) = (900.0, 560.0);
    let mut out = head(width, height);
    let lines: Vec<(&str, &str, Vec<Point>)> = SWEPT
        .iter()
        .map(|(controller, word, class)| (*word, *class, points(scored, *controller)))
        .filter(|(_, _, points)| !points.is_empty())
        .collect();
    let all = || lines.iter().flat_map(|(.., points)| points);
    let ends = |f: fn(&Point) -> f64| all().map(f).fold((f64::INFINITY, 0.0f64), |(a, b), v| (a.min(v), b.max(v)));
    let ((fastest, slowest), (best, worst)) = (ends(|p| p.ms), ends(|p| p.over));
    if lines.is_empty() {
        return out + "</svg>\n";
    }
    let log = |over: f64| over.max(DRAWN_FROM).log10();
    let (top, bottom) = (log(round_up(worst.max(10.0 * DRAWN_FROM))), log(best).floor());
    let margin = 0.05 * (slowest - fastest).max(0.5);
    let frame = Frame {
        x: [70.0, width - 30.0],
        from_to: [fastest - margin, slowest + margin],
        y: [96.0, height - 50.0],
        high_low: [top, bottom],
    };
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"70\" y=\"26\">{}: overload against latency, by reserve</text><text x=\"70\" y=\"44\">{}</text>",
        escape(name),
        escape(about)
    );
    let rungs = (-3..=2)
        .map(|power| (f64::from(power), 10f64.powi(power)))
        .filter(|(at, _)| (bottom..=top + 1e-9).contains(at));
    let rungs: Vec<(f64, String)> =
        rungs.map(|(at, v)| (at, if v <= DRAWN_FROM { "≤ 0.001 %".into() } else { format!("{v} %") })).collect();
    frame.rungs(&mut out, &rungs);
    let step = round_up((slowest - fastest + 2.0 * margin) / 10.0);
    let first = ((fastest - margin) / step).ceil();
    let posts = (0..12).map(|i| (first + f64::from(i)) * step).filter(|v| *v <= slowest + margin);
    let posts: Vec<(f64, String)> = posts.map(|v| (v, format!("{:.1} ms", v))).collect();
    frame.posts(&mut out, &posts);
    frame.edges(&mut out);
    for (i, (word, class, points)) in lines.iter().enumerate() {
        let mut sorted = points.clone();
        sorted.sort_by(|a, b| a.reserve.total_cmp(&b.reserve));
        frame.line(&mut out, class, front::front(&sorted).iter().map(|p| (p.ms, log(p.over))));
        for p in &sorted {
            let (x, y) = (frame.at_x(p.ms), frame.at_y(log(p.over)));
            let _ = write!(
                out,
                "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/><text class=\"small\" x=\"{:.1}\" y=\"{:.1}\">{:.0}</text>",
                x + 5.0,
                y - 5.0,
                100.0 * p.reserve
            );
        }
        let (x, mean_hours) =
            (70.0 + 220.0 * i as f64, points.iter().map(|p| p.hours).sum::<f64>() / points.len() as f64);
        let _ = writeln!(
            out,
            "<path class=\"{class}\" d=\"M{x} 68H{}\"/><text x=\"{}\" y=\"72\">{word}, {mean_hours:.2} h of standby</text>",
            x + 18.0,
            x + 24.0
        );
    }
    let _ = writeln!(
        out,
        "<text class=\"small\" x=\"{}\" y=\"{}\" text-anchor=\"end\">mean latency; numbers at points are reserves in percent; lines join what no other setting beats</text>",
        width - 30.0,
        height - 12.0
    );
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_part_is_taken_at_equal_latency() {
        let of = |reserve: f64, ms: f64, over: f64| Point { reserve, ms, over, hours: 1.0 };
        let reactive = [of(0.1, 15.0, 4.0), of(0.2, 16.0, 1.0)];
        let all = beside(&reactive, &[of(0.15, 16.0, 0.25), of(0.1, 14.0, 1.0)]);
        let text = people("x", &all, false);
        let ends = |part: &str| text.lines().any(|line| line.trim_end().ends_with(part));
        assert!(ends(" 25") && text.contains("15.00"), "{text}");
        assert!(program("x", &all).contains("\"part\":0.25"));
        assert!(beside(&[], &reactive).is_empty());
    }
}
