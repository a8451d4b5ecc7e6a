//! The film of a play as one picture: SVG, written by hand, no script.
//!
//! Demand above, then one panel per POP with the three shares that tell how steering works: what the plan intends, what
//! clients would be answered at that moment, and what arrives at the POP, which lags by what caches keep.

use crate::cli::demo::film::{Film, Frame, PopFrame};
use crate::cli::forecast::plot::ticks;
use crate::steering::BreakerState;
use crate::units::print_quantity;
use std::fmt::Write as _;

const WIDTH: f64 = 1_100.0;
/// Margins of all panels: left, right; above the first, below the last.
const MARGINS: [f64; 4] = [86.0, 24.0, 132.0, 44.0];
/// Height of a panel, and what lies between two.
const PANEL: f64 = 84.0;
/// See [`PANEL`].
const GAP: f64 = 20.0;
/// Rows in which marks are named, so that neighbours do not cover each other.
const MARK_ROWS: usize = 4;
/// POPs that never have more than this part of anything are left out.
const LEAST: f64 = 0.005;

/// Draws a film.
pub fn svg(film: &Film, title: &str) -> String {
    let seen = |p: usize| film.frames.iter().any(|f| f.pops[p].intended.max(f.pops[p].observed) > LEAST);
    let pops: Vec<usize> = (0..film.pops.len()).filter(|p| seen(*p)).collect();
    let end = film.frames.last().map_or(1.0, |f| f.t).max(1.0);
    let mut picture = Picture { end, n_panels: 1 + pops.len(), body: String::new() };
    let demand = |of: fn(&Frame) -> f64| film.frames.iter().map(|f| (f.t, Some(of(f)))).collect::<Line>();
    let lines = [("planned", demand(|f| f.planned)), ("demand", demand(|f| f.demand))];
    picture.panel(0, "demand", "requests/s", &lines, print_quantity);
    for (i, p) in pops.into_iter().enumerate() {
        let line = |of: fn(&PopFrame) -> Option<f64>| {
            film.frames.iter().map(|f| (f.t, of(&f.pops[p]).map(|share| 100.0 * share))).collect::<Line>()
        };
        let name = film.pops[p].split('.').next().unwrap_or_default();
        picture.shade(1 + i, film, |f| f.pops[p].breaker == BreakerState::Open);
        let lines = [
            ("observed", line(|pop| Some(pop.observed))),
            ("answered", line(|pop| pop.answered)),
            ("intended", line(|pop| Some(pop.intended))),
        ];
        picture.panel(1 + i, name, "% of requests", &lines, |v| format!("{v}"));
    }
    picture.time_axis();
    picture.marks(film);
    picture.done(title)
}

/// Seconds and values, with gaps.
type Line = Vec<(f64, Option<f64>)>;

//----------- Picture --------------------------------------------------------

struct Picture {
    end: f64,
    n_panels: usize,
    body: String,
}

impl Picture {
    fn x(&self, t: f64) -> f64 {
        MARGINS[0] + (t / self.end).clamp(0.0, 1.0) * (WIDTH - MARGINS[0] - MARGINS[1])
    }

    /// The upper edge of a panel.
    fn top(i: usize) -> f64 {
        MARGINS[2] + i as f64 * (PANEL + GAP)
    }

    fn bottom(&self) -> f64 {
        Picture::top(self.n_panels - 1) + PANEL
    }

    fn panel(&mut self, i: usize, name: &str, unit: &str, lines: &[(&str, Line)], number: impl Fn(f64) -> String) {
        let values = lines.iter().flat_map(|(_, points)| points.iter().filter_map(|(_, v)| *v));
        let high = values.filter(|v| v.is_finite()).fold(0.0, f64::max).max(1e-6) * 1.08;
        let (top, left, right) = (Picture::top(i), MARGINS[0], WIDTH - MARGINS[1]);
        let y = |v: f64| top + PANEL * (1.0 - v / high);
        for v in ticks(0.0, high, 3) {
            let at = y(v);
            let _ = writeln!(self.body, "<path class=\"grid\" d=\"M{left} {at:.1}H{right}\"/>");
            let (x, at) = (left - 8.0, at + 4.0);
            let _ = writeln!(self.body, "<text x=\"{x}\" y=\"{at:.1}\" text-anchor=\"end\">{}</text>", number(v));
        }
        let (x, unit_x, middle) = (14.0, 29.0, top + PANEL / 2.0);
        let _ = writeln!(
            self.body,
            "<text class=\"name\" x=\"{x}\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {middle:.1})\">{}</text>\n\
             <text class=\"unit\" x=\"{unit_x}\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 {unit_x} {middle:.1})\">{unit}</text>",
            escape(name),
        );
        for (class, points) in lines {
            let (mut path, mut pen_up) = (String::new(), true);
            for (t, value) in points {
                match value {
                    Some(v) if v.is_finite() => {
                        let _ = write!(path, "{}{:.1} {:.1}", if pen_up { 'M' } else { 'L' }, self.x(*t), y(*v));
                        pen_up = false;
                    }
                    _ => pen_up = true,
                }
            }
            let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
        }
    }

    /// Shades a panel where something holds.
    fn shade(&mut self, i: usize, film: &Film, holds: impl Fn(&Frame) -> bool) {
        for pair in film.frames.windows(2).filter(|pair| holds(&pair[0])) {
            let (from, to, top) = (self.x(pair[0].t), self.x(pair[1].t), Picture::top(i));
            let width = to - from;
            let _ = writeln!(
                self.body,
                "<rect class=\"open\" x=\"{from:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{PANEL}\"/>"
            );
        }
    }

    fn time_axis(&mut self) {
        let bottom = self.bottom();
        for t in ticks(0.0, self.end, 12) {
            let (x, y) = (self.x(t), bottom + 18.0);
            let _ = writeln!(self.body, "<path class=\"grid\" d=\"M{x:.1} {}V{bottom}\"/>", MARGINS[2]);
            let _ = writeln!(self.body, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{t}</text>");
        }
        let (x, y) = ((MARGINS[0] + WIDTH - MARGINS[1]) / 2.0, bottom + 36.0);
        let _ = writeln!(self.body, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\">seconds since the start</text>");
    }

    fn marks(&mut self, film: &Film) {
        let mut marks = film.marks.clone();
        marks.sort_by(|a, b| a.t.total_cmp(&b.t));
        let bottom = self.bottom();
        for (mark, row) in marks.iter().zip((0..MARK_ROWS).cycle()) {
            let (x, y) = (self.x(mark.t), 66.0 + 15.0 * row as f64);
            let near_the_end = x > WIDTH - 140.0;
            let (anchor, side) = if near_the_end { ("end", -4.0) } else { ("start", 4.0) };
            let text = escape(&mark.text);
            let _ = writeln!(
                self.body,
                "<path class=\"mark\" d=\"M{x:.1} {}V{bottom}\"/><text x=\"{:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>",
                y - 10.0,
                x + side,
            );
        }
    }

    fn done(self, title: &str) -> String {
        let height = self.bottom() + MARGINS[3];
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n"
        );
        out += "<style>
svg{background:#fff;font:12px system-ui,sans-serif} text{fill:#333} .title{font-size:16px;font-weight:600} .name{font-weight:600} .unit{fill:#777;font-size:11px}
path{fill:none;stroke-linejoin:round} .grid{stroke:#000;stroke-opacity:.08} .mark{stroke:#555;stroke-opacity:.55;stroke-dasharray:3 3}
.intended{stroke:#0b63c5;stroke-width:1.6} .answered{stroke:#e07b00;stroke-width:1.6} .observed{stroke:#2d8a3e;stroke-width:1.6}
.demand{stroke:#1b1f24;stroke-width:1.6} .planned{stroke:#8a3ffc;stroke-width:1.6} .open{fill:#d92d20;fill-opacity:.12}
</style>\n";
        let _ = writeln!(
            out,
            "<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/><text class=\"title\" x=\"{}\" y=\"24\">{}</text>",
            MARGINS[0],
            escape(title)
        );
        let mut x = MARGINS[0];
        let names = [
            ("intended", "intended: the plan"),
            ("answered", "answered: what clients are told now"),
            ("observed", "observed: what arrives"),
            ("demand", "demand"),
            ("planned", "planned for"),
            ("open", "breaker Open"),
        ];
        for (class, name) in names {
            let mark = match class {
                "open" => format!("<rect class=\"open\" x=\"{x}\" y=\"36\" width=\"20\" height=\"12\"/>"),
                line => format!("<path class=\"{line}\" d=\"M{x} 42h20\"/>"),
            };
            let _ = writeln!(out, "{mark}<text x=\"{}\" y=\"46\">{name}</text>", x + 26.0);
            x += 52.0 + 6.1 * name.chars().count() as f64;
        }
        out + &self.body + "</svg>\n"
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::film::tests::film;

    #[test]
    fn pictures_are_well_formed() {
        let mut nothing_seen = film();
        nothing_seen.frames.iter_mut().for_each(|f| f.pops.iter_mut().for_each(|p| p.answered = None));
        nothing_seen.mark(5.0, "a < b");
        for film in [film(), nothing_seen, Film::default()] {
            let svg = svg(&film, "a & b");
            assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf\"") && !svg.contains("a < b"), "{svg}");
            assert!(svg.contains("seconds since the start") && svg.contains("a &amp; b"));
        }
    }
}
