//! Forecasts from one place, as JSON and as a table.

use crate::cli::forecast::table::Series;
use crate::cli::table;
use crate::forecast::quantiles::{LEVELS, Quantiles};
use crate::store::timestamp;
use std::fmt::Write as _;

/// Lines of the table for people, at most.
const MOST_LINES: usize = 16;

/// Distributions at ascending leads.
#[derive(Clone, Debug)]
pub struct Fan {
    /// Rows known.
    pub origin: usize,
    /// In steps.
    pub leads: Vec<usize>,
    /// Parallel to `leads`.
    pub quantiles: Vec<Quantiles>,
}

impl Fan {
    /// One object per lead; `origin` goes into each if it is asked for.
    pub fn json(&self, series: &Series, origin: Option<usize>) -> String {
        let mut text = String::new();
        for (lead, quantiles) in self.leads.iter().zip(&self.quantiles) {
            let time = timestamp::print(series.secs(self.origin + lead - 1));
            text += "{";
            if let Some(origin) = origin {
                let _ = write!(text, "\"origin\":{origin},");
            }
            let _ = write!(text, "\"step\":{lead},\"timestamp\":\"{time}\",\"quantiles\":{{");
            for (i, (q, v)) in LEVELS.iter().zip(quantiles.values()).enumerate() {
                let _ = write!(text, "{}\"{q}\":{v}", if i > 0 { "," } else { "" });
            }
            text += "}}\n";
        }
        text
    }

    /// A table: when, the median, intervals.
    pub fn words(&self, series: &Series) -> String {
        let heads = ["LEAD", "TIME", "MEDIAN", "80 %", "", "95 %", "", "99 % BELOW"].map(str::to_string).to_vec();
        let stride = self.leads.len().div_ceil(MOST_LINES).max(1);
        let shown =
            self.leads.iter().zip(&self.quantiles).filter(|(lead, _)| lead.is_multiple_of(stride) || **lead == 1);
        let line = |(lead, q): (&usize, &Quantiles)| {
            let at = |level: f64| number(q.at(level));
            let time = timestamp::print(series.secs(self.origin + lead - 1));
            let lead = length(*lead as u64 * u64::from(series.step_secs));
            vec![lead, time, at(0.5), at(0.1), at(0.9), at(0.025), at(0.975), at(0.99)]
        };
        let rows: Vec<Vec<String>> = std::iter::once(heads).chain(shown.map(line)).collect();
        table::print(&rows, &[0, 2, 3, 4, 5, 6, 7])
    }
}

/// Four digits that matter, with k, M, G, T for thousands and up.
pub fn number(v: f64) -> String {
    let (scaled, unit) = match v.abs() {
        a if a >= 1e13 => return format!("{v:.3e}"),
        a if a >= 1e12 => (v / 1e12, "T"),
        a if a >= 1e9 => (v / 1e9, "G"),
        a if a >= 1e6 => (v / 1e6, "M"),
        a if a >= 1e4 => (v / 1e3, "k"),
        _ => (v, ""),
    };
    let digits = match scaled.abs() {
        a if a >= 1000.0 => 0,
        a if a >= 100.0 => 1,
        a if a >= 10.0 => 2,
        a if a >= 0.001 || a == 0.0 => 3,
        _ => return format!("{v:.3e}"),
    };
    format!("{scaled:.digits$}{unit}")
}

/// `30 min`, `2 h`, `90 s`.
pub fn length(secs: u64) -> String {
    match secs {
        s if s % 86_400 == 0 => format!("{} d", s / 86_400),
        s if s % 3_600 == 0 => format!("{} h", s / 3_600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (v, text) in [
            (0.0, "0.000"),
            (1.5, "1.500"),
            (123.456, "123.5"),
            (9876.5, "9876"),
            (123_456.0, "123.5k"),
            (3.5e9, "3.500G"),
            (-12_345.0, "-12.35k"),
            (2e-6, "2.000e-6"),
        ] {
            assert_eq!(number(v), text);
        }
        assert_eq!([90, 1800, 7200, 86_400].map(length), ["90 s", "30 min", "2 h", "1 d"]);
    }
}
