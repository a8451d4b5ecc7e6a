//! `floodway history import`.

use crate::cli;
use crate::cli::history::{said, writing};
use crate::store::grid::{self, Reading};
use crate::store::pending::MAX_VALUE;
use crate::store::rollup::fold;
use crate::store::sqlite::{self, File, tidy};
use crate::store::{Bucket, Keep, Level, SeriesName, csv, timestamp};
use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Buckets gathered before they go into the transaction: some 50 MB.
const AT_ONCE: usize = 300_000;
/// How far ahead of now a time may be, seconds.
const MOST_AHEAD: i64 = 300;
/// Seconds between two readings of a counter beyond which what lies between is a gap, in steps.
const LONGEST_STEPS: f64 = 5.0;

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The table; `-`: standard input.
    csv: PathBuf,
    /// The series that `timestamp,value` lines are of, such as group/web.example.com./demand-rps.
    #[arg(long, value_name = "NAME")]
    series: Option<SeriesName>,
    /// The values are readings of a counter that only grows: they become rates per second.
    #[arg(long)]
    counter: bool,
    /// Seconds to add to every time: whole minutes, or hours where steps are. For clocks that were wrong, and for a past
    /// that shall be recent.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    shift: i64,
    /// Add to series that have data already; the same table twice counts twice.
    #[arg(long)]
    merge: bool,
}

/// What went wrong, with the line where there is one.
enum Fault {
    Line(usize, String),
    File(sqlite::Error),
    Other(String),
}

impl From<sqlite::Error> for Fault {
    fn from(e: sqlite::Error) -> Fault {
        Fault::File(e)
    }
}

/// What was read and is not in the file yet, and what has been.
#[derive(Default)]
struct Taken {
    buckets: BTreeMap<(SeriesName, Level), Vec<(i64, Bucket)>>,
    n_waiting: usize,
    n_buckets: u64,
    series: HashSet<SeriesName>,
    first: Option<i64>,
    last: Option<i64>,
    n_old: u64,
}

impl Import {
    pub(super) fn run(self, path: &Path, keep: &Keep) -> Result<(), String> {
        if self.shift % 60 != 0 {
            return Err(format!("--shift {}: whole minutes, lest values fall between them", self.shift));
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() as i64);
        let name = self.csv.display().to_string();
        let input: Box<dyn BufRead> = match name.as_str() {
            "-" => Box::new(io::stdin().lock()),
            _ => Box::new(BufReader::new(std::fs::File::open(&self.csv).map_err(|e| format!("{name}: {e}"))?)),
        };
        let (file, _claim) = writing(path)?;
        let taken = file.whole(|file| self.take(input, file, keep, now));
        let taken = taken.map_err(|fault| match fault {
            Fault::Line(n, why) => format!("{name}:{n}: error: {why}\nnothing taken"),
            Fault::File(e) => said(path)(e),
            Fault::Other(why) => format!("{name}: {why}\nnothing taken"),
        })?;
        let Taken { n_buckets, series, first, last, n_old, .. } = taken;
        let Some((first, last)) = first.zip(last) else { return cli::print(&format!("{name}: no value in it")) };
        let [first, last] = [first, last].map(timestamp::print);
        cli::print(&format!("{name}: {n_buckets} buckets of {} series, {first} to {last}", series.len()))?;
        if n_old > 0 {
            eprintln!(
                "{n_old} of them are older than [store.keep] keeps: a server on this history lets them go; --shift moves them"
            );
        }
        Ok(())
    }

    fn take(&self, mut input: Box<dyn BufRead>, file: &File, keep: &Keep, now: i64) -> Result<Taken, Fault> {
        let mut taken = Taken::default();
        let (mut line, mut n) = (String::new(), 0);
        let mut next = |line: &mut String| {
            line.clear();
            n += 1;
            match input.read_line(line) {
                Ok(0) => Ok(None),
                Ok(_) => Ok(Some(n)),
                Err(e) => Err(Fault::Line(n, e.to_string())),
            }
        };
        let first = next(&mut line)?;
        let form = csv::form(&line).map_err(|e| Fault::Line(first.unwrap_or(1), e))?;
        let values_of = match (form, &self.series) {
            (csv::Form::Values, Some(series)) => Some(series.clone()),
            (csv::Form::Values, None) => {
                return Err(Fault::Other("whose values are these? --series NAME says it".into()));
            }
            (csv::Form::Buckets, Some(_)) => {
                return Err(Fault::Other("the table names its series; --series is for others".into()));
            }
            (csv::Form::Buckets, None) if self.counter => {
                return Err(Fault::Other("--counter is for `timestamp,value` tables".into()));
            }
            (csv::Form::Buckets, None) => None,
        };
        let mut readings = Vec::new();
        while let Some(n) = next(&mut line)? {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = |why: String| Fault::Line(n, why);
            match &values_of {
                Some(series) => {
                    let (at, value) = csv::scan_value(&line).map_err(wrong)?;
                    let at = at + self.shift as f64;
                    let Some(value) = value else { continue };
                    if at > (now + MOST_AHEAD) as f64 {
                        return Err(wrong(ahead(at as i64)));
                    }
                    if self.counter {
                        readings.push(Reading { at, value });
                        continue;
                    }
                    let start = Level::Minute.floor(at.floor() as i64);
                    let ms = ((at - start as f64) * 1000.0) as u32;
                    let bucket = Bucket::of(value, ms, series.is_sketched());
                    taken.put(series, Level::Minute, start, &bucket, keep, now);
                }
                None => {
                    let csv::Line { series, level, start, bucket } = csv::Line::scan(&line).map_err(wrong)?;
                    let start = start + self.shift;
                    if level.floor(start) != start {
                        return Err(wrong(format!("--shift {} moves off the steps of {}", self.shift, level.label())));
                    }
                    if start > now + MOST_AHEAD {
                        return Err(wrong(ahead(start)));
                    }
                    taken.put(&series, level, start, &bucket, keep, now);
                }
            }
            if taken.n_waiting >= AT_ONCE {
                self.write(&mut taken, file)?;
            }
        }
        if let Some(series) = values_of.filter(|_| self.counter) {
            for (start, rate) in grid::rates(&readings, 60, longest(&readings)) {
                if rate.abs() <= MAX_VALUE {
                    taken.put(&series, Level::Minute, start, &Bucket::of(rate, 0, series.is_sketched()), keep, now);
                }
            }
        }
        self.write(&mut taken, file)?;
        Ok(taken)
    }

    fn write(&self, taken: &mut Taken, file: &File) -> Result<(), Fault> {
        for ((series, level), buckets) in std::mem::take(&mut taken.buckets) {
            let is_new = taken.series.insert(series.clone());
            if is_new && !self.merge && !file.extents(&series)?.is_empty() {
                return Err(Fault::Other(format!("{series} has data already; --merge adds to it")));
            }
            file.add_coarse(&series, level, &buckets)?;
        }
        taken.n_waiting = 0;
        Ok(())
    }
}

impl Taken {
    fn put(&mut self, series: &SeriesName, level: Level, start: i64, bucket: &Bucket, keep: &Keep, now: i64) {
        let buckets = self.buckets.entry((series.clone(), level)).or_default();
        let before = buckets.len();
        fold(buckets, level, start, bucket);
        let more = buckets.len() - before;
        self.n_waiting += more;
        self.n_buckets += more as u64;
        self.n_old += u64::from(start < tidy::oldest(keep, now));
        self.first = Some(self.first.map_or(start, |first| first.min(start)));
        self.last = Some(self.last.map_or(start, |last| last.max(start)));
    }
}

fn ahead(at: i64) -> String {
    format!("{} is ahead of now; --shift moves all times", timestamp::print(at))
}

/// How far apart readings may be: some steps of the usual distance between them.
fn longest(readings: &[Reading]) -> f64 {
    let mut at: Vec<f64> = readings.iter().map(|r| r.at).collect();
    at.sort_by(f64::total_cmp);
    let mut apart: Vec<f64> = at.windows(2).map(|pair| pair[1] - pair[0]).filter(|d| *d > 0.0).collect();
    apart.sort_by(f64::total_cmp);
    LONGEST_STEPS * apart.get(apart.len() / 2).copied().unwrap_or(60.0)
}
