//! Writes into a history until somebody ends it: the measure of what a death costs.
//!
//! `history_loop FOLDER` hands over samples of three series, flushes, and prints `N` once N samples of each are in the
//! file; each sample is worth 1 and its time is now. `history_loop FOLDER check N` opens the history and fails unless at
//! least N samples of each series are there, every level tells the same sums, and no page is damaged; it prints how many.

use floodway::clock::Clock;
use floodway::store::sqlite::{File, Purpose};
use floodway::store::{Config, History, Level, Observation, Record, SeriesName};
use std::path::Path;
use std::process::ExitCode;

const SERIES: [&str; 3] = ["group/web./demand-rps", "pop/ams./load-rps", "pop/ams./latency-p95-ms"];

fn names() -> Vec<SeriesName> {
    SERIES.iter().map(|name| name.parse().expect("a name")).collect()
}

/// Samples of each series, the least over the series.
fn check(file: &File) -> Result<u64, String> {
    let mut least = u64::MAX;
    for name in names() {
        let sums = Level::ALL.map(|level| {
            let buckets = file.buckets(&name, level, i64::MIN / 4..i64::MAX / 4)?;
            let count: u64 = buckets.iter().map(|(_, bucket)| bucket.count).sum();
            let sum: f64 = buckets.iter().map(|(_, bucket)| bucket.sum).sum();
            Ok::<_, floodway::store::sqlite::Error>((count, sum))
        });
        let sums = sums.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
        if sums.iter().any(|(count, sum)| *count != sums[0].0 || *sum != *count as f64) {
            return Err(format!("{name}: levels differ: {sums:?}"));
        }
        least = least.min(sums[0].0);
    }
    match file.n_damaged() {
        0 => Ok(least),
        n => Err(format!("{n} blocks are damaged")),
    }
}

fn write(folder: &Path) -> Result<(), String> {
    let clock = Clock::start();
    let history = History::start(&Config::default(), folder, clock, || {}).map_err(|e| e.to_string())?;
    let file = File::open(&Config::default().file(folder), Purpose::Read).map_err(|e| e.to_string())?;
    let mut n = check(&file)?;
    loop {
        for _ in 0..5 {
            let at = clock.now().unix;
            let one = |series| Observation { series, at, value: 1.0 };
            history.recorder().record(Record::Samples(names().into_iter().map(one).collect()));
            n += 1;
        }
        history.flush().map_err(|e| e.to_string())?;
        println!("{n}");
    }
}

fn run() -> Result<(), String> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match &args[..] {
        [folder] => write(Path::new(folder)),
        [folder, word, n] if word == "check" => {
            let path = Config::default().file(Path::new(folder));
            let file = File::open(&path, Purpose::Write).map_err(|e| e.to_string())?;
            let (found, wanted) = (check(&file)?, n.parse::<u64>().map_err(|e| e.to_string())?);
            println!("{found}");
            if found < wanted { Err(format!("{wanted} were acknowledged, {found} are there")) } else { Ok(()) }
        }
        _ => Err("history_loop FOLDER [check N]".to_owned()),
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
