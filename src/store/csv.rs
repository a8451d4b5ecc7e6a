//! The history as tables.
//!
//! Two forms. `timestamp,value` is one series as others have it: a value at a moment, nothing for a gap. The other has
//! everything: a bucket a line, with the series and the step; what is printed and read again is the same history.

use crate::store::codec::Octets;
use crate::store::pending::MAX_VALUE;
use crate::store::rollup::{Bucket, Level};
use crate::store::series::SeriesName;
use crate::store::sketch::Sketch;
use crate::store::timestamp;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The first line of the form for one series.
pub const VALUES: &str = "timestamp,value";
/// The first line of the form with everything.
pub const BUCKETS: &str = "series,step,start,count,sum,min,max,last,last_ms,sketch";

/// What a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`VALUES`].
    Values,
    /// [`BUCKETS`].
    Buckets,
}

/// A line of the form with everything.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The series.
    pub series: SeriesName,
    /// How long the stretch is.
    pub level: Level,
    /// Its beginning, unix seconds.
    pub start: i64,
    /// What was seen in it.
    pub bucket: Bucket,
}

/// The form that a first line announces.
///
/// # Errors
/// A text for people.
pub fn form(first: &str) -> Result<Form, String> {
    let first = first.trim_start_matches('\u{feff}').trim_end(); // spreadsheets begin with a byte order mark
    match first {
        VALUES => Ok(Form::Values),
        BUCKETS => Ok(Form::Buckets),
        _ => Err(format!("the first line is neither `{VALUES}` nor `{BUCKETS}`")),
    }
}

//----------- timestamp,value ------------------------------------------------

/// A line of the form for one series.
pub fn print_value(at: i64, value: Option<f64>) -> String {
    let value = value.map(|v| v.to_string()).unwrap_or_default();
    format!("{},{value}", timestamp::print(at))
}

/// Reads such a line: unix seconds and the value, `None` for a gap (empty, or `NaN` in any case).
///
/// # Errors
/// A text for people.
pub fn scan_value(line: &str) -> Result<(f64, Option<f64>), String> {
    let (at, value) = line.trim_end().split_once(',').ok_or("two fields are wanted: a timestamp and a value")?;
    let at = moment(at)?;
    if value.is_empty() || value.eq_ignore_ascii_case("nan") {
        return Ok((at, None));
    }
    let number = value.parse::<f64>().ok().filter(|v| v.abs() <= MAX_VALUE);
    Ok((at, Some(number.ok_or_else(|| format!("{value:?} is no value"))?)))
}

fn moment(text: &str) -> Result<f64, String> {
    let form = "`2026-11-22T07:00:00Z` would be one";
    timestamp::scan(text).ok_or_else(|| format!("{text:?} is no moment; {form}"))
}

//----------- Buckets --------------------------------------------------------

impl Line {
    /// The line as text.
    pub fn print(&self) -> String {
        let Bucket { count, sum, min, max, last, last_ms, sketch } = &self.bucket;
        let series = quoted(self.series.as_str());
        let sketch = sketch.as_ref().map(|sketch| {
            let mut octets = Vec::new();
            sketch.encode(&mut octets);
            BASE64.encode(octets)
        });
        let (step, start, sketch) = (self.level.label(), timestamp::print(self.start), sketch.unwrap_or_default());
        format!("{series},{step},{start},{count},{sum},{min},{max},{last},{last_ms},{sketch}")
    }

    /// Reads a line.
    ///
    /// # Errors
    /// A text for people.
    pub fn scan(line: &str) -> Result<Line, String> {
        let (series, rest) = series(line.trim_end())?;
        let fields: Vec<&str> = rest.split(',').collect();
        let [step, start, count, sum, min, max, last, last_ms, sketch] = fields[..] else {
            return Err(format!("{} fields, and 10 are wanted: {BUCKETS}", fields.len() + 1));
        };
        let level = Level::ALL.into_iter().find(|level| level.label() == step);
        let level = level.ok_or_else(|| format!("step {step:?} is none of 1m, 5m, 15m and 1h"))?;
        let start = moment(start)?;
        let whole = start.floor() as i64;
        if whole as f64 != start || level.floor(whole) != whole {
            return Err(format!("no stretch of {step} begins at {}", timestamp::print(whole)));
        }
        let value = |name: &str, text: &str| {
            let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
            value.ok_or_else(|| format!("{name} {text:?} is no value"))
        };
        let bucket = Bucket {
            count: count.parse().map_err(|_| format!("count {count:?} is no whole number"))?,
            sum: value("sum", sum)?,
            min: value("min", min)?,
            max: value("max", max)?,
            last: value("last", last)?,
            last_ms: last_ms.parse().map_err(|_| format!("last_ms {last_ms:?} is no whole number"))?,
            sketch: match sketch {
                "" => None,
                text => Some(Box::new(scan_sketch(text).ok_or("the last field is no sketch")?)),
            },
        };
        if bucket.sketch.as_ref().is_some_and(|sketch| sketch.count() != bucket.count) {
            return Err("the sketch is of other values: their numbers differ".into());
        }
        if !bucket.is_sound() || i64::from(bucket.last_ms) >= 1000 * level.secs() {
            return Err("the numbers do not go together: min ≤ last ≤ max, count ≥ 1, last_ms inside the step".into());
        }
        Ok(Line { series, level, start: whole, bucket })
    }
}

/// A field, in quotes where it needs them.
pub fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        false => field.to_owned(),
        true => format!("\"{}\"", field.replace('"', "\"\"")),
    }
}

/// The first field, which alone may be quoted, and what follows its comma.
fn series(line: &str) -> Result<(SeriesName, &str), String> {
    let few = || "the fields are too few".to_owned();
    let (name, rest) = match line.strip_prefix('"') {
        None => line.split_once(',').map(|(name, rest)| (name.to_owned(), rest)).ok_or_else(few)?,
        Some(quoted) => {
            let mut name = String::new();
            let mut rest = quoted;
            loop {
                let (part, after) = rest.split_once('"').ok_or("a quote is not closed")?;
                name += part;
                match after.strip_prefix('"') {
                    Some(more) => {
                        name.push('"');
                        rest = more;
                    }
                    None => break (name, after.strip_prefix(',').ok_or_else(few)?),
                }
            }
        }
    };
    Ok((name.parse().map_err(|e| format!("{name:?}: {e}"))?, rest))
}

fn scan_sketch(text: &str) -> Option<Sketch> {
    let octets = BASE64.decode(text).ok()?;
    let mut octets = Octets(&octets);
    Sketch::decode(&mut octets).filter(|_| octets.0.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(series: &str, level: Level, slot: i64, values: &[f64]) -> Line {
        let series: SeriesName = series.parse().unwrap();
        let mut bucket = Bucket::of(values[0], 7, series.is_sketched());
        values[1..].iter().for_each(|v| bucket.add(*v, 6));
        Line { series, level, start: slot * level.secs(), bucket }
    }

    #[test]
    fn by_hand() {
        let text = "pop/a/load-rps,5m,1970-01-01T00:05:00Z,2,7.5,2.5,5,5,7,";
        assert_eq!(line("pop/a/load-rps", Level::FiveMinutes, 1, &[5.0, 2.5]).print(), text);
        assert_eq!(print_value(60, Some(0.1)), "1970-01-01T00:01:00Z,0.1");
        assert_eq!(scan_value("1970-01-01T00:01:00Z,\r\n"), Ok((60.0, None)));
        assert_eq!(scan_value("60,3562280000"), Ok((60.0, Some(3_562_280_000.0))));
        assert_eq!(form("\u{feff}timestamp,value\r"), Ok(Form::Values));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let good = "pop/a/load-rps,1m,1970-01-01T00:01:00Z,1,5,5,5,5,7,";
        assert!(Line::scan(good).is_ok());
        let check = |from: &str, to: &str, says: &str| {
            let e = Line::scan(&good.replacen(from, to, 1)).unwrap_err();
            assert!(e.contains(says), "{e}");
        };
        check("pop/a/load-rps", "load", "a series is KIND/WHO/MEASURE");
        check("pop/a/load-rps", "\"pop/a/load-rps", "a quote is not closed");
        check("1m", "2m", "step \"2m\" is none of");
        check("00:01:00Z", "00:01:30Z", "no stretch of 1m begins at");
        check("00:01:00Z", "99:01:00Z", "is no moment");
        check(",5,5,5,5,", ",5,6,5,5,", "do not go together");
        check(",5,5,5,5,", ",NaN,5,5,5,", "sum \"NaN\" is no value");
        check(",7,", ",60000,", "do not go together");
        check(",7,", ",7,AAAA", "the sketch is of other values");
        check(",7,", ",7,AAA", "is no sketch");
        check(",7,", ",7", "9 fields, and 10 are wanted");
        assert!(scan_value("x").unwrap_err().contains("two fields"));
        assert!(scan_value("60,many").unwrap_err().contains("\"many\" is no value"));
        assert!(form("time,load").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(
            values in prop::collection::vec(prop_oneof![0.0..1e6f64, -1e150..1e150f64], 1..9),
            slot in 0..9_000_000i64,
            who in "[^/\\p{C}]{1,12}",
            latency: bool,
            level in prop::sample::select(&Level::ALL),
        ) {
            let measure = if latency { "latency-ms" } else { "load-rps" };
            let line = line(&format!("other/{who}/{measure}"), level, slot, &values);
            prop_assert_eq!(Line::scan(&line.print()), Ok(line));
        }

        #[test]
        fn any_line_does_no_harm(line: String) {
            let _ = (Line::scan(&line), scan_value(&line));
        }
    }
}
