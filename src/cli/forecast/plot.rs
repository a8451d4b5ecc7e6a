//! Pictures of forecasts: SVG, written by hand, no script, readable on light and dark paper.

use crate::cli::forecast::fan::{Fan, number};
use crate::cli::forecast::table::Series;
use crate::store::timestamp;
use std::fmt::Write as _;

const WIDTH: f64 = 1_100.0;
const HEIGHT: f64 = 460.0;
/// Margins: left, right, top, bottom.
const MARGINS: [f64; 4] = [72.0, 20.0, 44.0, 40.0];
/// Bands, outermost first: lower and upper level, and how dark.
const BANDS: [(f64, f64, f64); 4] = [(0.01, 0.99, 0.13), (0.025, 0.975, 0.16), (0.1, 0.9, 0.22), (0.3, 0.7, 0.3)];
/// Most points of a line: more than there are pixels help nobody.
const MOST_POINTS: usize = 2_000;

/// One forecast with the history before it and, where it is known, what came.
pub fn fan(series: &Series, fan: &Fan, known: usize) -> String {
    let longest = fan.leads.last().copied().unwrap_or(1);
    let from = known.saturating_sub((longest * 6).max(60));
    let to = known + longest;
    let ahead = |t: usize| fan.quantiles[t - known];
    let mut values: Vec<f64> = series.values[from..to.min(series.values.len())].to_vec();
    values.extend((known..to).flat_map(|t| [ahead(t).at(0.01), ahead(t).at(0.99)]));
    let Some(mut picture) = Picture::new(series, from, to - 1, &values) else { return empty() };
    for (low, high, dark) in BANDS {
        let side = |level: f64| (known..to).map(move |t| (t, ahead(t).at(level)));
        let start = last_known(series, known);
        let upper = start.into_iter().chain(side(high));
        let lower: Vec<(usize, f64)> = side(low).collect();
        picture.band(upper.chain(lower.into_iter().rev()), dark);
    }
    let median = last_known(series, known).into_iter().chain((known..to).map(|t| (t, ahead(t).at(0.5))));
    picture.line("median", median);
    picture.line("came", (from..to.min(series.values.len())).map(|t| (t, series.values[t])));
    picture.upright(known.saturating_sub(1), "origin");
    picture.done(&["history and what came", "median", "30–70, 10–90, 2.5–97.5, 1–99 %"])
}

/// Forecasts from many places at their longest lead, with what came.
pub fn backtest(series: &Series, fans: &[Fan]) -> String {
    let at = |fan: &Fan| (fan.origin - 1 + fan.leads[fan.leads.len() - 1], fan.quantiles[fan.quantiles.len() - 1]);
    let points: Vec<_> = fans.iter().map(at).filter(|(t, _)| *t < series.values.len()).collect();
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return empty() };
    let (from, to) = (first.0.saturating_sub((last.0 - first.0) / 10), last.0);
    // Single extremes may leave the picture; what came may not.
    let mut values: Vec<f64> = series.values[from..=to].to_vec();
    values.extend(points.iter().flat_map(|(_, q)| [q.at(0.025), q.at(0.975)]));
    let Some(mut picture) = Picture::new(series, from, to, &values) else { return empty() };
    for (low, high, dark) in &BANDS[1..] {
        let upper = points.iter().map(|(t, q)| (*t, q.at(*high)));
        picture.band(upper.chain(points.iter().rev().map(|(t, q)| (*t, q.at(*low)))), *dark);
    }
    picture.line("median", points.iter().map(|(t, q)| (*t, q.at(0.5))));
    picture.line("came", (from..=to).map(|t| (t, series.values[t])));
    let lead = fans[0].leads[fans[0].leads.len() - 1] as u64 * u64::from(series.step_secs);
    let said = format!("median, said {} before", crate::cli::forecast::fan::length(lead));
    picture.done(&["what came", &said, "30–70, 10–90, 2.5–97.5 %"])
}

fn last_known(series: &Series, known: usize) -> Option<(usize, f64)> {
    let t = (0..known).rev().find(|t| series.values[*t].is_finite())?;
    Some((known - 1, series.values[t]))
}

fn empty() -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"40\"><text x=\"10\" y=\"25\">nothing to draw</text></svg>\n".into()
}

//----------- Picture --------------------------------------------------------

/// A picture being drawn: steps `from..=to` across, values `low..high` up.
struct Picture<'a> {
    series: &'a Series,
    from: usize,
    to: usize,
    low: f64,
    high: f64,
    body: String,
}

impl Picture<'_> {
    /// `None` where no value is finite.
    fn new<'a>(series: &'a Series, from: usize, to: usize, values: &[f64]) -> Option<Picture<'a>> {
        let finite = || values.iter().copied().filter(|v| v.is_finite());
        let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        if low > high {
            return None;
        }
        // A series far from 0 is drawn around itself, others from 0.
        let low = if low >= 0.0 && low < 0.5 * high { 0.0 } else { low };
        let pad = if high > low { 0.05 * (high - low) } else { high.abs().max(1.0) * 0.1 };
        let low = if low == 0.0 { 0.0 } else { low - pad };
        let mut picture = Picture { series, from, to: to.max(from + 1), low, high: high + pad, body: String::new() };
        picture.axes();
        Some(picture)
    }

    fn x(&self, t: usize) -> f64 {
        let share = (t as f64 - self.from as f64) / (self.to - self.from) as f64;
        MARGINS[0] + share * (WIDTH - MARGINS[0] - MARGINS[1])
    }

    fn y(&self, v: f64) -> f64 {
        let share = (v.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        HEIGHT - MARGINS[3] - share * (HEIGHT - MARGINS[2] - MARGINS[3])
    }

    fn axes(&mut self) {
        for v in ticks(self.low, self.high, 6) {
            let y = self.y(v);
            let (left, right) = (MARGINS[0], WIDTH - MARGINS[1]);
            let _ = writeln!(self.body, "<path class=\"grid\" d=\"M{left} {y:.1}H{right}\"/>");
            let _ = writeln!(
                self.body,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                left - 8.0,
                y + 4.0,
                number(v)
            );
        }
        let step = i64::from(self.series.step_secs);
        let span = (self.to - self.from) as i64 * step;
        let every =
            [60, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000, 31_536_000];
        let every = every.into_iter().find(|e| span / e <= 10).unwrap_or(31_536_000 * (1 + span / 315_360_000));
        let first = self.series.secs(self.from).div_euclid(every) + 1;
        for k in first..=self.series.secs(self.to).div_euclid(every) {
            let t = ((k * every - self.series.start_secs) / step).max(0) as usize;
            let time = timestamp::print(k * every);
            let (date, clock) = (&time[..10], &time[11..16]);
            let text = if every >= 86_400 || clock == "00:00" { date } else { clock };
            let x = self.x(t.clamp(self.from, self.to));
            let _ = writeln!(self.body, "<path class=\"grid\" d=\"M{x:.1} {}V{}\"/>", MARGINS[2], HEIGHT - MARGINS[3]);
            let _ =
                writeln!(self.body, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>", HEIGHT - 18.0);
        }
    }

    fn band(&mut self, points: impl Iterator<Item = (usize, f64)>, dark: f64) {
        let points: Vec<String> = points.map(|(t, v)| format!("{:.1},{:.1}", self.x(t), self.y(v))).collect();
        let _ =
            writeln!(self.body, "<polygon class=\"band\" fill-opacity=\"{dark}\" points=\"{}\"/>", points.join(" "));
    }

    /// A line with a break at every gap, thinned where there are more points than pixels: of each stretch
    /// the least and the most are drawn.
    fn line(&mut self, class: &str, points: impl Iterator<Item = (usize, f64)>) {
        let points: Vec<(usize, f64)> = points.collect();
        let stride = points.len().div_ceil(MOST_POINTS / 2).max(1);
        let mut path = String::new();
        let mut pen_up = true;
        for stretch in points.chunks(stride) {
            let known = || stretch.iter().filter(|(_, v)| v.is_finite());
            let least = known().min_by(|a, b| a.1.total_cmp(&b.1));
            let most = known().max_by(|a, b| a.1.total_cmp(&b.1));
            let (Some(least), Some(most)) = (least, most) else {
                pen_up = true;
                continue;
            };
            let mut both = [least, most];
            both.sort_by_key(|(t, _)| *t);
            for (t, v) in &both[..if stride == 1 { 1 } else { 2 }] {
                let _ = write!(path, "{}{:.1} {:.1}", if pen_up { 'M' } else { 'L' }, self.x(*t), self.y(*v));
                pen_up = false;
            }
        }
        let _ = writeln!(self.body, "<path class=\"{class}\" d=\"{path}\"/>");
    }

    fn upright(&mut self, t: usize, text: &str) {
        let x = self.x(t);
        let _ = writeln!(self.body, "<path class=\"mark\" d=\"M{x:.1} {}V{}\"/>", MARGINS[2], HEIGHT - MARGINS[3]);
        let _ = writeln!(
            self.body,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"end\">{text}</text>",
            x - 5.0,
            MARGINS[2] + 12.0
        );
    }

    /// `names`: of the dark line, of the coloured line, of the bands.
    fn done(self, names: &[&str; 3]) -> String {
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" role=\"img\">\n"
        );
        out += "<style>
svg{background:#fff;font:12px system-ui,sans-serif}
text{fill:#444} .grid{stroke:#000;stroke-opacity:.08;fill:none} .mark{stroke:#666;stroke-dasharray:3 3;fill:none}
.came{stroke:#1b1f24;stroke-width:1.4;fill:none;stroke-linejoin:round} .median{stroke:#0b63c5;stroke-width:1.8;fill:none;stroke-linejoin:round}
.band{fill:#0b63c5;stroke:none}
@media(prefers-color-scheme:dark){svg{background:#14171a} text{fill:#b8bec5} .grid{stroke:#fff} .came{stroke:#e8eaed} .median{stroke:#6cb1ff} .band{fill:#6cb1ff}}
</style>\n";
        out += &self.body;
        let mut x = MARGINS[0];
        for (class, name) in ["came", "median", "band"].iter().zip(names) {
            let mark = match *class {
                "band" => {
                    format!("<rect class=\"band\" fill-opacity=\".35\" x=\"{x}\" y=\"14\" width=\"22\" height=\"12\"/>")
                }
                line => format!("<path class=\"{line}\" d=\"M{x} 20h22\"/>"),
            };
            let _ = writeln!(out, "{mark}<text x=\"{}\" y=\"24\">{name}</text>", x + 28.0);
            x += 60.0 + 6.5 * name.chars().count() as f64;
        }
        out + "</svg>\n"
    }
}

/// Round numbers from `low` to `high`, about `n` of them.
pub(in crate::cli) fn ticks(low: f64, high: f64, n: usize) -> Vec<f64> {
    let raw = (high - low) / n as f64;
    let power = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| *s >= raw).unwrap_or(raw);
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    (first..=last.min(first.saturating_add(2 * n as i64))).map(|k| k as f64 * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forecast::quantiles::{LEVELS, Quantiles};

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 100.0, 6), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(ticks(-1.1, 1.1, 4), [-1.0, 0.0, 1.0]);
    }

    /// Whatever is drawn is a whole picture of finite numbers.
    #[test]
    fn pictures_are_well_formed() {
        for values in [
            vec![5.0; 80],
            (0..80).map(|i| f64::from(i) * 1e9).collect(),
            vec![f64::NAN; 80],
            vec![-3.0, f64::NAN, 2.0],
        ] {
            let series = Series { start_secs: 1_000, step_secs: 60, values };
            let n = series.values.len();
            let quantiles = vec![Quantiles::new(LEVELS.map(|q| 10.0 * q)); 3];
            let one = Fan { origin: n - 1, leads: vec![1, 2, 3], quantiles };
            for svg in [fan(&series, &one, n - 1), backtest(&series, std::slice::from_ref(&one))] {
                assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            }
        }
    }
}
