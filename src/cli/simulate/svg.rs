//! Pictures by hand: a frame with round ticks, and lines in it.

use std::fmt::Write as _;

/// What every picture begins with: its size, and the looks of its classes.
pub fn head(width: f64, height: f64) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height:.0}\" width=\"{width}\" height=\"{height:.0}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<style>rect.ground{{fill:#fff}}text{{fill:#333}}.title{{font-size:15px;\
         font-weight:bold}}.name{{font-weight:bold}}.small{{font-size:9px;fill:#777}}path{{fill:none;stroke-width:1.4;\
         stroke-linejoin:round}}path.grid{{stroke:#e5e5e5;stroke-width:1}}path.frame{{stroke:#999;stroke-width:1}}\
         path.blue,circle.blue{{stroke:#1261a0}}path.amber,circle.amber{{stroke:#d97706}}path.green,circle.green{{stroke:#15803d}}\
         path.red,circle.red{{stroke:#b91c1c}}path.grey,circle.grey{{stroke:#777}}path.purple,circle.purple{{stroke:#7c3aed}}\
         path.dashed{{stroke-dasharray:5 3}}path.over{{fill:#dc2626;fill-opacity:.35;stroke:none}}\
         rect.fault{{fill:#fecaca;fill-opacity:.45}}circle{{fill:#fff;stroke-width:1.6}}</style>\n\
         <rect class=\"ground\" width=\"{width}\" height=\"{height:.0}\"/>\n"
    )
}

/// A frame: where it lies in the picture, and the values at its edges.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Left and right edge, and the values there.
    pub x: [f64; 2],
    /// See `x`.
    pub from_to: [f64; 2],
    /// Upper and lower edge.
    pub y: [f64; 2],
    /// The value at the upper edge and at the lower one.
    pub high_low: [f64; 2],
}

impl Frame {
    /// Where a value lies.
    pub fn at_x(&self, v: f64) -> f64 {
        let [from, to] = self.from_to;
        self.x[0] + (v - from) / (to - from) * (self.x[1] - self.x[0])
    }

    /// Where a value lies, kept inside.
    pub fn at_y(&self, v: f64) -> f64 {
        let [high, low] = self.high_low;
        self.y[1] - ((v - low) / (high - low)).clamp(0.0, 1.0) * (self.y[1] - self.y[0])
    }

    /// Horizontal lines at values, with their words to the left.
    pub fn rungs(&self, out: &mut String, rungs: &[(f64, String)]) {
        for (v, word) in rungs {
            let y = self.at_y(*v);
            let _ = write!(
                out,
                "<path class=\"grid\" d=\"M{} {y:.1}H{}\"/><text class=\"small\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{word}</text>",
                self.x[0],
                self.x[1],
                self.x[0] - 5.0,
                y + 3.0
            );
        }
    }

    /// Vertical lines at values, with their words below where there are any.
    pub fn posts(&self, out: &mut String, posts: &[(f64, String)]) {
        for (v, word) in posts {
            let x = self.at_x(*v);
            let _ = write!(out, "<path class=\"grid\" d=\"M{x:.1} {}V{}\"/>", self.y[0], self.y[1]);
            if !word.is_empty() {
                let y = self.y[1] + 13.0;
                let _ =
                    write!(out, "<text class=\"small\" x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{word}</text>");
            }
        }
    }

    /// The left and the lower edge.
    pub fn edges(&self, out: &mut String) {
        let ([left, right], [top, bottom]) = (self.x, self.y);
        let _ = writeln!(out, "<path class=\"frame\" d=\"M{left} {top}V{bottom}H{right}\"/>");
    }

    /// A line through points.
    pub fn line(&self, out: &mut String, class: &str, points: impl Iterator<Item = (f64, f64)>) {
        let mut path = String::new();
        for (i, (x, y)) in points.enumerate() {
            let _ = write!(path, "{}{:.1} {:.1}", if i == 0 { 'M' } else { 'L' }, self.at_x(x), self.at_y(y));
        }
        let _ = writeln!(out, "<path class=\"{class}\" d=\"{path}\"/>");
    }
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is not below `v`; 1 for nothing.
pub fn round_up(v: f64) -> f64 {
    if v.is_nan() || v <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(v.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().find(|s| s * power >= v * (1.0 - 1e-9));
    step.unwrap_or(10.0) * power
}

/// Text between tags.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!([0.0, 0.7, 1.0, 1.1, 2.1, 23.0, 640.0].map(round_up), [1.0, 1.0, 1.0, 2.0, 2.5, 25.0, 1000.0]);
    }

    #[test]
    fn values_lie_where_they_should() {
        let frame = Frame { x: [100.0, 200.0], from_to: [0.0, 10.0], y: [10.0, 60.0], high_low: [5.0, 0.0] };
        assert_eq!((frame.at_x(5.0), frame.at_y(5.0), frame.at_y(0.0), frame.at_y(9.0)), (150.0, 10.0, 60.0, 10.0));
    }
}
