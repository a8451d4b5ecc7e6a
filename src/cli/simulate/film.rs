//! The course of a run: CSV, and a picture.

use crate::cli::simulate::svg::{Frame, escape, head, round_up};
use crate::policy::Policies;
use crate::sim::run::{Moment, Setting};
use std::fmt::Write as _;

/// Width of the picture, height of a panel, and what lies between two.
const WIDTH: f64 = 1_200.0;
/// See [`WIDTH`].
const PANEL: f64 = 84.0;
/// See [`WIDTH`].
const GAP: f64 = 20.0;
/// Edges of the two columns.
const COLUMNS: [[f64; 2]; 2] = [[52.0, 590.0], [662.0, 1_184.0]];
/// Where the first panel begins, and room below the last.
const TOP: f64 = 92.0;
/// See [`TOP`].
const BOTTOM: f64 = 28.0;
/// Points of a line at most.
const MOST_POINTS: usize = 600;

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

/// Demand and TTL; below, of each POP, shares to the left and load to the right. Faults are shaded, and so is what a POP is
/// offered over what it can serve.
pub fn picture(name: &str, controller: &str, setting: &Setting, film: &[Moment]) -> String {
    let policies = &setting.policies;
    let height = TOP + (1 + policies.pops.len()) as f64 * (PANEL + GAP) + BOTTOM;
    let mut out = head(WIDTH, height);
    let key = |class: &str, x: f64, y: f64, word: &str| {
        let (from, to, at) = (x, x + 18.0, y - 4.0);
        format!("<path class=\"{class}\" d=\"M{from} {at}H{to}\"/><text x=\"{}\" y=\"{y}\">{word}</text>", x + 22.0)
    };
    let _ = writeln!(
        out,
        "<text class=\"title\" x=\"52\" y=\"24\">{} under {}</text><text x=\"52\" y=\"42\">{}</text>",
        escape(name),
        escape(controller),
        escape(&setting.scenario.about)
    );
    let legend = [
        ("blue", 52.0, "answers intended"),
        ("amber", 190.0, "answers held by caches"),
        ("green", 370.0, "requests seen"),
    ];
    out += &legend.map(|(class, x, word)| key(class, x, 64.0, word)).concat();
    let legend =
        [("blue", 662.0, "load"), ("amber dashed", 722.0, "target"), ("red dashed", 802.0, "most it can serve")];
    out += &legend.map(|(class, x, word)| key(class, x, 64.0, word)).concat();
    let sum = |i: usize| film.iter().map(move |m| m.groups.iter().map(|g| g[i]).sum::<f64>()).collect::<Vec<_>>();
    let ttl: Vec<f64> = film.iter().map(|m| m.groups.iter().map(|g| g[2]).fold(0.0, f64::max)).collect();
    let panel =
        |row: usize, column: usize, title: &str, lines: &[(&str, &[f64])], percent: bool, faults: &[[f64; 2]]| {
            self::panel(row, column, title, film, lines, percent, faults, row == policies.pops.len())
        };
    let (demand, planned) = (sum(0), sum(1));
    out += &panel(
        0,
        0,
        "demand, and planned (amber), requests per second",
        &[("blue", &demand), ("amber", &planned)],
        false,
        &[],
    );
    out += &panel(0, 1, "TTL, seconds", &[("purple", &ttl)], false, &[]);
    for (p, pop) in policies.pops.iter().enumerate() {
        let line = |i: usize| film.iter().map(|m| m.pops[p][i]).collect::<Vec<f64>>();
        let label = pop.name.to_string();
        let label = label.split('.').next().unwrap_or("");
        let faults: Vec<[f64; 2]> = setting.faults_at(p);
        let (intended, held, seen) = (line(0), line(1), line(2));
        let shares = [("blue", &intended[..]), ("amber", &held), ("green", &seen)];
        out += &panel(1 + p, 0, &format!("{label}: share of all, percent"), &shares, true, &faults);
        let (load, capacity, target) = (line(3), line(4), line(5));
        let loads = [("amber dashed", &target[..]), ("red dashed", &capacity), ("blue", &load)];
        out += &panel(1 + p, 1, &format!("{label}: load, requests per second"), &loads, false, &faults);
    }
    out + "</svg>\n"
}

#[expect(clippy::too_many_arguments, reason = "a panel is its place, its words and its lines")]
fn panel(
    row: usize,
    column: usize,
    title: &str,
    film: &[Moment],
    lines: &[(&str, &[f64])],
    percent: bool,
    faults: &[[f64; 2]],
    last: bool,
) -> String {
    let mut out = String::new();
    let (Some(begin), Some(end)) = (film.first(), film.last()) else { return out };
    let top = TOP + row as f64 * (PANEL + GAP);
    let most = lines.iter().flat_map(|(_, v)| *v).copied().fold(0.0, f64::max);
    let high = round_up(most.max(if percent { 0.02 } else { 0.0 }));
    let span = [begin.at, end.at.max(begin.at + 1.0)];
    let frame = Frame { x: COLUMNS[column], from_to: span, y: [top, top + PANEL], high_low: [high, 0.0] };
    for [from, to] in faults {
        let (a, b) = (frame.at_x(from.max(span[0])), frame.at_x(to.min(span[1])));
        let _ = write!(
            out,
            "<rect class=\"fault\" x=\"{a:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{PANEL}\"/>",
            (b - a).max(0.0)
        );
    }
    let word = |v: f64| if percent { format!("{:.3}", 100.0 * v) } else { format!("{v:.3}") };
    let word = |v: f64| word(v).trim_end_matches('0').trim_end_matches('.').to_string();
    frame.rungs(&mut out, &[0.0, 0.5, 1.0].map(|part| (part * high, word(part * high))));
    let every = [300.0, 600.0, 1800.0, 3600.0, 4.0 * 3600.0, 86_400.0].into_iter();
    let every = every.clone().find(|e| (span[1] - span[0]) / e <= 14.0).unwrap_or(86_400.0);
    let n = ((span[1] - span[0]) / every) as usize + 1;
    let first = (span[0] / every).ceil() * every;
    let clock = |t: f64| if every >= 3600.0 { format!("{:.0} h", t / 3600.0) } else { format!("{:.0} min", t / 60.0) };
    let posts = (0..n).map(|i| first + i as f64 * every).filter(|t| *t <= span[1]);
    let posts: Vec<(f64, String)> = posts.map(|t| (t, if last { clock(t) } else { String::new() })).collect();
    frame.posts(&mut out, &posts);
    let stride = film.len().div_ceil(MOST_POINTS).max(1);
    if let [_, (_, capacity), (_, load)] = lines
        && !percent
    {
        out += &over(&frame, film, capacity, load, stride);
    }
    for (class, values) in lines {
        frame.line(&mut out, class, film.iter().zip(*values).map(|(m, v)| (m.at, *v)).step_by(stride));
    }
    frame.edges(&mut out);
    let _ = writeln!(out, "<text class=\"name\" x=\"{}\" y=\"{}\">{}</text>", frame.x[0], top - 5.0, escape(title));
    out
}

/// What a load is over a capacity, shaded.
fn over(frame: &Frame, film: &[Moment], capacity: &[f64], load: &[f64], stride: usize) -> String {
    let points: Vec<usize> = (0..film.len()).step_by(stride).collect();
    let mut out = String::new();
    for run in points.chunk_by(|a, b| (load[*a] > capacity[*a]) == (load[*b] > capacity[*b])) {
        if load[run[0]] <= capacity[run[0]] || capacity[run[0]] <= 0.0 {
            continue;
        }
        let there = run.iter().map(|i| (film[*i].at, load[*i]));
        let back = run.iter().rev().map(|i| (film[*i].at, capacity[*i]));
        frame.line(&mut out, "over", there.chain(back));
    }
    out
}
