//! `timestamp,value` files: read, checked, put on a grid.

use crate::forecast::grid::{Grid, Reading};
use crate::forecast::known::{Known, Regressor, Span};
use crate::store::timestamp;
use std::collections::BTreeMap;

/// Rows whose spacing decides the step.
const LOOKED_AT: usize = 100;
/// Most steps between the first and the last row.
const MOST_STEPS: i64 = 20_000_000;

/// A series on its grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Unix time of the first value.
    pub start_secs: i64,
    /// Seconds between values.
    pub step_secs: u32,
    /// NaN is a gap.
    pub values: Vec<f64>,
}

impl Series {
    /// Reads `timestamp,value` rows, with a line of headings or without. Further columns are ignored; an empty
    /// value, `nan` or `null` is a gap, and so is a step without a row. The step is the usual distance of the
    /// first rows.
    ///
    /// # Errors
    /// `file:line:column: error: …` for the first row that cannot be read, or what is wrong with the whole.
    pub fn read(file: &str, text: &str, reading: Reading) -> Result<Series, String> {
        let mut rows = rows(file, text)?;
        let wrong = |what: String| format!("{file}: error: {what}");
        rows.sort_by_key(|(secs, _)| *secs);
        let mut distances: Vec<i64> =
            rows.windows(2).take(LOOKED_AT).map(|w| w[1].0 - w[0].0).filter(|d| *d > 0).collect();
        distances.sort_unstable();
        let Some(step) = distances.get(distances.len().saturating_sub(1) / 2) else {
            return Err(wrong("fewer than two rows at different times; nothing to forecast from".into()));
        };
        let (first, last) = (rows[0].0, rows[rows.len() - 1].0);
        if (last - first) / step > MOST_STEPS || *step > i64::from(u32::MAX) {
            let span = format!("from {} to {}", timestamp::print(first), timestamp::print(last));
            return Err(wrong(format!("the rows reach {span} at a step of {step} s: is one of the times wrong?")));
        }
        let mut grid = Grid::new(*step as u32, reading);
        let mut values = Vec::with_capacity(rows.len());
        for (secs, value) in rows {
            grid.push(secs, value, |v| values.push(v));
        }
        grid.flush(|v| values.push(v));
        if values.iter().all(|v| !v.is_finite()) {
            return Err(wrong("no row has a value".into()));
        }
        Ok(Series { start_secs: first, step_secs: *step as u32, values })
    }

    /// Unix time of step `i`.
    pub fn secs(&self, i: usize) -> i64 {
        self.start_secs + i as i64 * i64::from(self.step_secs)
    }
}

fn rows(file: &str, text: &str) -> Result<Vec<(i64, f64)>, String> {
    let mut rows = vec![];
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        match row(line) {
            Ok(row) => rows.extend(row),
            // The first line may be headings.
            Err(_) if n == 0 && !line.starts_with(|c: char| c.is_ascii_digit()) => {}
            Err((column, what)) => return Err(format!("{file}:{}:{column}: error: {what}\n  {line}", n + 1)),
        }
    }
    Ok(rows)
}

/// Time and value of one line, `None` if it is empty or a remark; else column, from 1, and what is wrong.
pub fn row(line: &str) -> Result<Option<(i64, f64)>, (usize, String)> {
    if line.trim().is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (time, rest) = line.split_once(',').ok_or((1, "expected `timestamp,value`, found no comma".to_string()))?;
    let secs = timestamp::scan(time.trim().trim_matches('"'))
        .map(|secs| secs.floor() as i64)
        .ok_or_else(|| (1, format!("{time:?} is no time; write it like 2018-05-04T12:05:00Z or in Unix seconds")))?;
    let value = rest.split(',').next().unwrap_or("").trim().trim_matches('"');
    let value = match value.to_ascii_lowercase().as_str() {
        "" | "nan" | "null" | "na" => f64::NAN,
        other => match other.parse::<f64>() {
            Ok(value) if value.is_finite() => value,
            _ => return Err((time.chars().count() + 2, format!("{value:?} is no number; leave it empty for a gap"))),
        },
    };
    Ok(Some((secs, value)))
}

/// Reads announced events: `name,from,until` rows, with a value as a fourth column if it is not 1. Rows of one
/// name are one regressor.
///
/// # Errors
/// As [`Series::read`].
pub fn events(file: &str, text: &str) -> Result<Known, String> {
    let mut spans: BTreeMap<String, Vec<Span>> = BTreeMap::new();
    for (n, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') || n == 0 && line.starts_with("name,") {
            continue;
        }
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let column = |i: usize| 1 + fields[..i].iter().map(|f| f.chars().count() + 1).sum::<usize>();
        let wrong = |i: usize, what: String| format!("{file}:{}:{}: error: {what}\n  {line}", n + 1, column(i));
        if !(3..=4).contains(&fields.len()) || fields[0].is_empty() {
            return Err(wrong(0, "expected `name,from,until` or `name,from,until,value`".into()));
        }
        let time = |i: usize| {
            timestamp::scan(fields[i].trim())
                .map(|secs| secs.floor() as i64)
                .ok_or_else(|| wrong(i, format!("{:?} is no time", fields[i])))
        };
        let (from_secs, until_secs) = (time(1)?, time(2)?);
        if from_secs >= until_secs {
            return Err(wrong(2, "the event ends before it begins".into()));
        }
        let value = match fields.get(3) {
            None => 1.0,
            Some(text) => {
                let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
                value.ok_or_else(|| wrong(3, format!("{text:?} is no number")))?
            }
        };
        spans.entry(fields[0].to_string()).or_default().push(Span { from_secs, until_secs, value });
    }
    Ok(Known { regressors: spans.into_iter().map(|(name, spans)| Regressor::new(name, spans)).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, said: Result<&[f64], &str>) {
        let read = Series::read("in.csv", text, Reading::Gauge);
        match (&read, said) {
            (Ok(series), Ok(values)) => assert_eq!(format!("{:?}", series.values), format!("{values:?}"), "{text}"),
            (Err(e), Err(said)) => assert!(e.contains(said), "{text}: {e}"),
            _ => panic!("{text}: {read:?}"),
        }
    }

    #[test]
    fn rows_are_read_or_refused_with_their_place() {
        check("timestamp,value\n2018-05-04T12:00:00Z,1\n2018-05-04T12:01:00Z,2\n", Ok(&[1.0, 2.0]));
        check("60,1\n120,2\r\n300,5,more\n", Ok(&[1.0, 2.0, f64::NAN, f64::NAN, 5.0]));
        check("\u{feff}time;value\n60,1\n180,\n120,2\n", Ok(&[1.0, 2.0, f64::NAN]));
        check("60,1\n120,two\n", Err("in.csv:2:5: error: \"two\" is no number"));
        check("60,1\nnoon,2\n", Err("in.csv:2:1: error: \"noon\" is no time"));
        check("60,1\n120\n", Err("in.csv:2:1: error: expected `timestamp,value`"));
        check("60,1\n120,1e999\n", Err("in.csv:2:5: error"));
        check("60,1\n", Err("in.csv: error: fewer than two rows"));
        check("", Err("fewer than two rows"));
        check("60,\n120,\n", Err("no row has a value"));
        check("0,1\n1,1\n99999999999,1\n", Err("is one of the times wrong"));
    }

    #[test]
    fn events_of_one_name_are_one_regressor() {
        let known = events("e.csv", "name,from,until,value\nsale,100,200\ngame,50,60,2\nsale,300,400\n").unwrap();
        assert_eq!(known.regressors.len(), 2);
        assert_eq!([150, 250, 350].map(|t| known.at(1, t)), [1.0, 0.0, 1.0]);
        for (text, said) in [
            ("sale,100", "e.csv:1:1"),
            ("sale,100,noon", "e.csv:1:10: error: \"noon\" is no time"),
            ("sale,100,90", "e.csv:1:10: error: the event ends"),
            ("sale,100,200,x", "e.csv:1:14"),
        ] {
            assert!(events("e.csv", text).unwrap_err().contains(said), "{text}");
        }
    }
}
