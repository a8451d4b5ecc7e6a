//! `floodway forecast`: what comes next in any series of numbers.
//!
//! Three ways in: a file (forecast from its end), `--backtest` (from given places in it), `--stream` (rows on
//! standard input, forecasts when asked). `floodway backtest` is the second with figures for people.

pub mod anomalies;
pub mod backtest;
pub mod clock;
pub mod explain;
pub mod fan;
pub mod plot;
pub mod stream;
pub mod table;

use crate::cli;
use crate::cli::forecast::fan::Fan;
use crate::cli::forecast::table::Series;
use crate::forecast::engine::Forecaster;
use crate::forecast::grid::Reading;
use crate::forecast::known::Known;
use crate::forecast::settings::Settings;
use crate::units::parse_duration_secs;
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Forecasts a series: quantiles of what comes, from a CSV of `timestamp,value` rows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The series, `timestamp,value` rows; `-` is standard input.
    #[arg(long, short, value_name = "FILE", required_unless_present = "stream")]
    input: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
    /// Pretend that the series ended so long ago, and show what came since (in the plot).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["stream", "backtest"])]
    back: Option<String>,
    /// Say where the forecasts come from: members, weights, recent losses, effects of events.
    #[arg(long, conflicts_with_all = ["stream", "backtest", "json"])]
    explain: bool,
    /// Forecast from the places that --origins gives, each with the rows before it only.
    #[arg(long, requires = "origins", conflicts_with = "stream")]
    backtest: bool,
    /// JSON with the lists `origins` (rows known) and `steps` (leads).
    #[arg(long, value_name = "FILE", requires = "backtest")]
    origins: Option<PathBuf>,
    /// Read rows from standard input, and forecast at each line `? {"origin":N,"steps":[…]}`.
    #[arg(long, conflicts_with_all = ["input", "plot"])]
    stream: bool,
}

/// What both commands know.
#[derive(Debug, clap::Args)]
pub struct Common {
    /// How far ahead.
    #[arg(long, value_name = "TIME", default_value = "30m")]
    horizon: String,
    /// Print one JSON object per forecast.
    #[arg(long)]
    json: bool,
    /// Draw history, forecast and what came into an SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// The values are readings of a counter; forecast its growth per second.
    #[arg(long)]
    counter: bool,
    /// Announced events: `name,from,until` rows, with a size as a fourth column if it is not 1.
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Add a member that is off by default (drift, yesterday, last week, theta, ets, additive, arima, mstl, gru); may be
    /// given again.
    #[arg(long, value_name = "MEMBER")]
    with: Vec<String>,
    /// Leave out a member or a stage; may be given again.
    #[arg(long, value_name = "PART")]
    without: Vec<String>,
    /// The value may fall below 0.
    #[arg(long)]
    signed: bool,
    /// The zone by whose clock people go, such as Europe/Berlin: days are followed through changes of clocks.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    zone: String,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    cli::end(match (args.stream, args.backtest) {
        (true, _) => stream::run(&args.common),
        (_, true) => backtest::by_contract(&args),
        _ => once(&args),
    })
}

/// The seconds of a length of time such as `30m`, at least one.
fn whole_secs(text: &str) -> Result<u32, String> {
    match parse_duration_secs(text) {
        Ok(secs) if (1.0..=f64::from(u32::MAX)).contains(&secs) => Ok(secs as u32),
        Ok(_) => Err(format!("{text:?} is no length of time to look over; at least a second is")),
        Err(why) => Err(format!("{text:?} is not {why}")),
    }
}

fn once(args: &Args) -> Result<(), String> {
    let common = &args.common;
    let series = common.series(args.input.as_deref())?;
    let steps = common.steps(series.step_secs)?;
    let back = args.back.as_deref().map_or(Ok(0), whole_secs)? / series.step_secs;
    let known = series.values.len().saturating_sub(back as usize);
    if known < 1 {
        return Err("--back leaves nothing to forecast from".into());
    }
    let mut forecaster = common.forecaster(series.start_secs, series.step_secs, &leads_to(series.step_secs, steps))?;
    say("reading the series");
    series.values[..known].iter().for_each(|v| forecaster.observe(*v));
    say("fitting");
    let fits = forecaster.fitting(true).run();
    forecaster.adopt(fits);
    let leads: Vec<usize> = (1..=steps).collect();
    let fan = Fan { origin: known, leads: leads.clone(), quantiles: forecaster.forecast(&leads) };
    say("");
    if let Some(path) = &common.plot {
        write(path, &plot::fan(&series, &fan, known))?;
    }
    let text = match (common.json, args.explain) {
        (true, _) => fan.json(&series, None),
        (_, true) => fan.words(&series) + "\n" + &explain::words(&forecaster),
        _ => fan.words(&series),
    };
    cli::print(&text)
}

impl Common {
    fn series(&self, input: Option<&Path>) -> Result<Series, String> {
        let path = input.unwrap_or(Path::new("-"));
        let name = if path == Path::new("-") { "standard input".to_string() } else { path.display().to_string() };
        Series::read(&name, &read(path)?, self.reading())
    }

    fn reading(&self) -> Reading {
        if self.counter { Reading::Counter } else { Reading::Gauge }
    }

    fn settings(&self) -> Result<Settings, String> {
        let daylight = clock::daylight(&self.zone).map_err(|e| format!("--zone: {e}"))?;
        let whole = Settings { least: (!self.signed).then_some(0.0), daylight, ..Settings::default() };
        let whole = self.with.iter().try_fold(whole, |settings, member| settings.with(member))?;
        self.without.iter().filter(|w| *w != "events").try_fold(whole, |settings, part| settings.without(part))
    }

    fn known(&self) -> Result<Arc<Known>, String> {
        match self.events.as_deref().filter(|_| !self.without.iter().any(|w| w == "events")) {
            None => Ok(Arc::new(Known::default())),
            Some(path) => Ok(Arc::new(table::events(&path.display().to_string(), &read(path)?)?)),
        }
    }

    fn forecaster(&self, start_secs: i64, step_secs: u32, leads: &[usize]) -> Result<Forecaster, String> {
        let mut forecaster = Forecaster::new(start_secs, step_secs, leads, Arc::new(self.settings()?));
        forecaster.know(self.known()?);
        Ok(forecaster)
    }

    /// Steps to the horizon, at least 1.
    fn steps(&self, step_secs: u32) -> Result<usize, String> {
        let steps = (whole_secs(&self.horizon)? / step_secs).max(1) as usize;
        match steps {
            1..=10_000 => Ok(steps),
            _ => Err(format!("{} are {steps} steps of {step_secs} s; at most 10000 can be forecast", self.horizon)),
        }
    }
}

/// The leads that get models of their own: 5, 15 and 30 minutes, or 1, 3 and 6 steps where a step is longer
/// than five minutes; then twice that and again, up to the horizon.
fn leads_to(step_secs: u32, steps: usize) -> Vec<usize> {
    let usual = match step_secs {
        ..=300 => [5, 15, 30].map(|m| (m * 60 / step_secs as usize).max(1)),
        _ => [1, 3, 6],
    };
    let further = std::iter::successors(Some(usual[2]), |l| Some(l * 2)).skip(1).take_while(|l| *l < steps * 2);
    let mut leads: Vec<usize> = usual.into_iter().chain(further).collect();
    let enough = leads.iter().position(|l| *l >= steps).map_or(leads.len(), |i| i + 1);
    leads.truncate(enough);
    leads
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = vec![];
    let done = match path == Path::new("-") {
        true => std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ()),
        false => std::fs::read(path).map(|b| bytes = b),
    };
    done.map_err(|e| format!("{}: {e}", path.display()))?;
    String::from_utf8(bytes).map_err(|e| {
        let line = 1 + e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
        format!("{}:{line}: error: not UTF-8 text", path.display())
    })
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Shows progress on standard error, on a terminal only; the next word takes its place, "" clears it.
fn say(what: &str) {
    let mut err = std::io::stderr().lock();
    if err.is_terminal() {
        // Progress that cannot be shown is no fault.
        let _ = write!(err, "\r\x1b[2K{what}").and_then(|()| err.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_reach_the_horizon() {
        for (step, steps, leads) in [
            (60, 30, vec![5, 15, 30]),
            (60, 10, vec![5, 15]),
            (60, 100, vec![5, 15, 30, 60, 120]),
            (300, 6, vec![1, 3, 6]),
            (3600, 24, vec![1, 3, 6, 12, 24]),
            (3600, 1, vec![1]),
        ] {
            assert_eq!(leads_to(step, steps), leads, "{step} {steps}");
        }
    }
}
