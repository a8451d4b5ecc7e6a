//! Forecasts from places in the past, scored.

use crate::cli;
use crate::cli::forecast::fan::{Fan, length};
use crate::cli::forecast::table::Series;
use crate::cli::forecast::{Args as ForecastArgs, Common, anomalies, leads_to, plot, read, say, write};
use crate::cli::table;
use crate::forecast::accuracy::{Accuracy, Report};
use crate::forecast::engine::Forecaster;
use crate::forecast::quantiles::{LEVELS, N_LEVELS, of_sorted, pinball};
use crate::forecast::settings::{STAGES, Settings};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Scores forecasts from places in the past of a series: what would have been said, and what came.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The series, `timestamp,value` rows; `-` is standard input.
    #[arg(value_name = "FILE")]
    input: PathBuf,
    #[command(flatten)]
    common: Common,
    /// Places to forecast from, evenly over the last fifth.
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Places to forecast from instead: JSON with the lists `origins` (rows known) and `steps` (leads).
    #[arg(long, value_name = "FILE", conflicts_with = "count")]
    origins: Option<PathBuf>,
    /// Take out every member and stage in turn, and say what that costs.
    #[arg(long, conflicts_with_all = ["json", "plot", "without"])]
    ablation: bool,
    /// Tell what would have been reported as anomalies over the last half, with when and how surely.
    #[arg(long, conflicts_with_all = ["json", "plot", "ablation"])]
    anomalies: bool,
}

/// Origins and leads, as the benchmark writes them.
#[derive(Clone, Debug, serde::Deserialize)]
struct Places {
    origins: Vec<usize>,
    steps: Vec<usize>,
}

impl Places {
    fn read(path: &std::path::Path, series: &Series) -> Result<Places, String> {
        let wrong = |e: String| format!("{}: {e}", path.display());
        let places: Places = serde_json::from_str(&read(path)?).map_err(|e| wrong(e.to_string()))?;
        let ascend = places.origins.windows(2).all(|w| w[0] <= w[1]);
        let inside = places.origins.iter().all(|o| (1..=series.values.len()).contains(o));
        match ascend && inside && !places.steps.is_empty() && places.steps.iter().all(|s| *s >= 1) {
            true => Ok(places),
            false => Err(wrong(format!("origins must ascend from 1 to {}, and steps begin at 1", series.values.len()))),
        }
    }
}

/// Runs `floodway backtest`.
pub fn run(args: Args) -> ExitCode {
    cli::end(scored(&args))
}

/// `floodway forecast --backtest`: forecasts only, as the benchmark reads them.
pub fn by_contract(args: &ForecastArgs) -> Result<(), String> {
    let series = args.common.series(args.input.as_deref())?;
    let path = args.origins.as_deref().ok_or("--origins is missing")?;
    let places = Places::read(path, &series)?;
    let mut forecaster = args.common.forecaster(series.start_secs, series.step_secs, &places.steps)?;
    match args.common.json {
        true => print_fans(&mut forecaster, &series, &places),
        false => {
            let fans = fans(&mut forecaster, &series, &places);
            cli::print(&scores(&series, &places, &fans))
        }
    }
}

fn scored(args: &Args) -> Result<(), String> {
    let common = &args.common;
    let series = common.series(Some(&args.input))?;
    let places = match &args.origins {
        Some(path) => Places::read(path, &series)?,
        None => spread(&series, common.steps(series.step_secs)?, args.count as usize)?,
    };
    if args.anomalies {
        let leads = leads_to(series.step_secs, common.steps(series.step_secs)?);
        let forecaster = common.forecaster(series.start_secs, series.step_secs, &leads)?;
        return cli::print(&anomalies::words(forecaster, &series));
    }
    if args.ablation {
        return cli::print(&ablation(common, &series, &places)?);
    }
    let mut forecaster = common.forecaster(series.start_secs, series.step_secs, &places.steps)?;
    if common.json {
        return print_fans(&mut forecaster, &series, &places);
    }
    let began = Instant::now();
    let fans = fans(&mut forecaster, &series, &places);
    let each = began.elapsed().as_secs_f64() * 1e3 / places.origins.len().max(1) as f64;
    if let Some(path) = &common.plot {
        write(path, &plot::backtest(&series, &fans))?;
    }
    let n = places.origins.len();
    cli::print(&format!("{}{n} origins, {each:.2} ms each with fits", scores(&series, &places, &fans)))
}

/// Origins evenly over the last fifth, so that every lead still has its outcome.
fn spread(series: &Series, steps: usize, count: usize) -> Result<Places, String> {
    let leads: Vec<usize> = leads_to(series.step_secs, steps).into_iter().filter(|l| *l <= steps).collect();
    let leads = if leads.is_empty() { vec![steps] } else { leads };
    let n = series.values.len();
    let (from, to) = (n * 4 / 5, n.saturating_sub(leads[leads.len() - 1]));
    if from == 0 || from >= to {
        return Err(format!("{n} values are too few to look back {steps} steps from the last fifth of them"));
    }
    let count = count.min(to - from);
    Ok(Places { origins: (0..count).map(|k| from + 1 + k * (to - from) / count).collect(), steps: leads })
}

/// Runs through the series, calling `each` at every origin.
fn walk(forecaster: &mut Forecaster, series: &Series, places: &Places, mut each: impl FnMut(&mut Forecaster, usize)) {
    for (k, origin) in places.origins.iter().enumerate() {
        series.values[forecaster.history().len()..*origin].iter().for_each(|v| forecaster.observe(*v));
        if forecaster.wants_fit() {
            say(&format!("origin {} of {}: fitting", k + 1, places.origins.len()));
            forecaster.fit();
        }
        each(forecaster, *origin);
        say(&format!("origin {} of {}", k + 1, places.origins.len()));
    }
    say("");
}

fn print_fans(forecaster: &mut Forecaster, series: &Series, places: &Places) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    let mut done = Ok(());
    walk(forecaster, series, places, |f, origin| {
        let fan = Fan { origin, leads: places.steps.clone(), quantiles: f.forecast(&places.steps) };
        if done.is_ok() {
            done = out.write_all(fan.json(series, Some(origin)).as_bytes());
        }
    });
    match done.and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(format!("standard output: {e}")),
        _ => Ok(()),
    }
}

fn fans(forecaster: &mut Forecaster, series: &Series, places: &Places) -> Vec<Fan> {
    let mut fans = vec![];
    walk(forecaster, series, places, |f, origin| {
        fans.push(Fan { origin, leads: places.steps.clone(), quantiles: f.forecast(&places.steps) });
    });
    fans
}

//----------- Scores ---------------------------------------------------------

/// What the forecasts of one lead came to, beside naive: the last value with the quantiles of the
/// differences over three days before the origin, as the benchmark has it.
#[derive(Clone, Copy, Debug)]
struct Score {
    report: Option<Report>,
    /// CRPS over the nine deciles, as a share of naive's.
    crps: f64,
    /// Pinball loss at 0.95 and 0.99, as a share of naive's.
    tail: f64,
}

/// Positions of the deciles, and of 0.95 and 0.99.
const DECILES: [usize; 9] = [3, 4, 5, 6, 7, 8, 9, 10, 11];
const TAIL: [usize; 2] = [12, 14];

fn score(series: &Series, lead: usize, fans: &[Fan], i: usize) -> Score {
    let mut accuracy = Accuracy::default();
    let (mut ours, mut theirs) = ([0.0; 2], [0.0; 2]);
    let day = (86_400 / series.step_secs as usize).max(1);
    for fan in fans {
        let at = fan.origin - 1 + lead;
        let Some(came) = series.values.get(at).copied().filter(|v| v.is_finite()) else { continue };
        let before = at.checked_sub(day).map(|t| series.values[t]).filter(|v| v.is_finite());
        let said = fan.quantiles[i].values();
        accuracy.score(said, came, before, 0.0);
        let naive = naive(&series.values[..fan.origin], lead, 3 * day);
        for (k, levels) in [&DECILES[..], &TAIL[..]].into_iter().enumerate() {
            let loss = |of: &[f64; N_LEVELS]| levels.iter().map(|l| pinball(LEVELS[*l], of[*l], came)).sum::<f64>();
            ours[k] += loss(said);
            theirs[k] += loss(&naive);
        }
    }
    Score { report: accuracy.report(), crps: ours[0] / theirs[0], tail: ours[1] / theirs[1] }
}

fn naive(known: &[f64], lead: usize, window: usize) -> [f64; N_LEVELS] {
    let recent = &known[known.len().saturating_sub(window + lead)..];
    let last = recent.iter().rev().find(|v| v.is_finite()).copied().unwrap_or(0.0);
    let differences = recent.iter().zip(recent.iter().skip(lead)).map(|(a, b)| b - a);
    let mut differences: Vec<f64> = differences.filter(|d| d.is_finite()).collect();
    differences.sort_unstable_by(f64::total_cmp);
    LEVELS.map(|q| last + if differences.is_empty() { 0.0 } else { of_sorted(&differences, q) })
}

fn scores(series: &Series, places: &Places, fans: &[Fan]) -> String {
    let heads = ["LEAD", "SCORED", "ACCURACY", "MASE", "CRPS/NAIVE", "TAIL/NAIVE", "IN 80 %", "IN 95 %", "ABOVE 0.99"];
    let mut rows = vec![heads.map(str::to_string).to_vec()];
    let percent = |v: f64| format!("{:.1} %", 100.0 * v);
    for (i, lead) in places.steps.iter().enumerate() {
        let score = score(series, *lead, fans, i);
        let Some(r) = score.report else { continue };
        rows.push(vec![
            length(*lead as u64 * u64::from(series.step_secs)),
            r.n.to_string(),
            r.accuracy().map_or("-".into(), percent),
            r.mase.map_or("-".into(), |m| format!("{m:.3}")),
            format!("{:.3}", score.crps),
            format!("{:.3}", score.tail),
            percent(r.covered_80),
            percent(r.covered_95),
            percent(r.above_99),
        ]);
    }
    table::print(&rows, &[0, 1, 2, 3, 4, 5, 6, 7, 8])
}

//----------- Ablation -------------------------------------------------------

/// What each part is worth: the mean over leads of CRPS and tail loss against naive, with and without it.
fn ablation(common: &Common, series: &Series, places: &Places) -> Result<String, String> {
    let whole = common.settings()?;
    let names: Vec<&str> = whole.members.iter().map(|m| m.name()).chain(STAGES).collect();
    let mut rows = vec![["LEFT OUT", "CRPS/NAIVE", "", "TAIL/NAIVE", ""].map(str::to_string).to_vec()];
    let mut first: Option<[f64; 2]> = None;
    let sets =
        std::iter::once(("nothing", Ok(whole.clone()))).chain(names.iter().map(|n| (*n, whole.clone().without(n))));
    for (name, settings) in sets {
        let Ok(settings) = settings else { continue };
        let got = means(settings, common, series, places)?;
        let base = *first.get_or_insert(got);
        let change = |i: usize| format!("{:+.2} %", 100.0 * (got[i] / base[i] - 1.0));
        rows.push(vec![name.into(), format!("{:.4}", got[0]), change(0), format!("{:.4}", got[1]), change(1)]);
    }
    Ok(table::print(&rows, &[1, 2, 3, 4]))
}

fn means(settings: Settings, common: &Common, series: &Series, places: &Places) -> Result<[f64; 2], String> {
    let mut forecaster = Forecaster::new(series.start_secs, series.step_secs, &places.steps, settings.into());
    forecaster.know(common.known()?);
    let fans = fans(&mut forecaster, series, places);
    let each: Vec<Score> = places.steps.iter().enumerate().map(|(i, lead)| score(series, *lead, &fans, i)).collect();
    let mean = |of: fn(&Score) -> f64| each.iter().map(of).sum::<f64>() / each.len() as f64;
    Ok([mean(|s| s.crps), mean(|s| s.tail)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(n: usize) -> Series {
        let value = |i: usize| 100.0 + (i as f64 * 0.1).sin() * 20.0 + (i * i % 7) as f64;
        Series { start_secs: 0, step_secs: 300, values: (0..n).map(value).collect() }
    }

    #[test]
    fn origins_leave_room_for_outcomes() {
        let places = spread(&series(1000), 6, 50).unwrap();
        assert_eq!((places.origins.len(), places.origins[0], places.steps), (50, 801, vec![1, 3, 6]));
        assert!(places.origins.iter().all(|o| o - 1 + 6 < 1000));
        assert!(spread(&series(20), 6, 50).is_err());
    }

    #[test]
    fn a_perfect_forecast_costs_nothing() {
        let series = series(400);
        let fans: Vec<Fan> = (300..390)
            .map(|origin| Fan {
                origin,
                leads: vec![3],
                quantiles: vec![crate::forecast::quantiles::Quantiles::certain(series.values[origin + 2])],
            })
            .collect();
        let score = score(&series, 3, &fans, 0);
        assert!(score.crps == 0.0 && score.tail == 0.0 && score.report.unwrap().accuracy() == Some(1.0));
    }
}
