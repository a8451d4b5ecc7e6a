//! `floodway simulate`: scenarios in virtual time, controllers side by side.

mod film;
mod fronts;
mod matrix;
mod svg;
mod tables;

use crate::cli;
use crate::cli::config::Config;
use crate::cli::forecast::table::Series;
use crate::cli::load;
use crate::cli::simulate::matrix::Played;
use crate::forecast::grid::Reading;
use crate::sim::course::Trace;
use crate::sim::laws;
use crate::sim::run::{Moment, Run, Seen, Setting};
use crate::sim::scenario::Scenario;
use crate::sim::score::Figures;
use crate::sim::stability::{self, At};
use crate::sim::variant::{ABLATIONS, CONTROLLERS, Controller, Variant};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How the complaint about a trace that is not there begins: among several scenarios, one without its trace is left out.
const NO_TRACE: &str = "no trace";
/// Seconds between the moments of a picture and of a timeline.
const FILM_SECS: f64 = 10.0;

/// Plays scenarios thousands of times faster than they would happen, and compares who steers.
///
/// The loop is the server's own; the world around it (caches, connections, POPs, telemetry, faults) is simulated.
/// The same seed gives the same figures.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files (TOML).
    #[arg(value_name = "SCENARIO")]
    scenarios: Vec<PathBuf>,
    /// A scenario file.
    #[arg(long, value_name = "FILE")]
    scenario: Vec<PathBuf>,
    /// Folder of zones and policies, in the place of the scenario's.
    #[arg(long, value_name = "DIR")]
    zones: Option<PathBuf>,
    /// Who steers, separated by commas: nearest, static, static-best, weighted, equalise, reactive, floodway, oracle-a,
    /// oracle-b [default: the scenario's, else all].
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    controllers: Vec<String>,
    /// How many seeds, from the scenario's on; means and 95 % intervals are over them.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    seeds: u64,
    /// The first seed, in the place of the scenario's.
    #[arg(long)]
    seed: Option<u64>,
    /// Sweep the reserve of reactive, floodway and oracle-a: `0.05..0.5` in ten steps, or values separated by commas. Says what
    /// floodway's overload is of reactive's where both are equally fast.
    #[arg(long, value_name = "RANGE")]
    reserve: Option<String>,
    /// Leave out parts of floodway one at a time, or do them otherwise: names separated by commas, or `all`. A wrong name is
    /// answered with those there are.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    ablate: Vec<String>,
    /// Print one JSON object per scenario and seed, and with several seeds one with means.
    #[arg(long)]
    json: bool,
    /// Print Markdown instead, one table per figure with all scenarios in it.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Draw shares, load and capacity of every POP for the last controller of the first seed, as SVG; with --reserve the
    /// fronts of the controllers that were swept.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the same as CSV.
    #[arg(long, value_name = "FILE")]
    timeline: Option<PathBuf>,
    /// Say what the loop of the last controller said in the first seed: breakers, shadows, modes, with the second.
    #[arg(long)]
    notes: bool,
    /// Map how the first controller comes to rest after a rise, a fall and a POP's return, over TTL, caches that overstay, long
    /// connections and late telemetry.
    #[arg(long)]
    map: bool,
    /// Run so many random worlds instead, and check the laws of plans at every tick; the first is --seed.
    #[arg(long, value_name = "N", conflicts_with_all = ["scenarios", "scenario", "controllers", "reserve", "ablate", "plot", "timeline"])]
    laws: Option<u64>,
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    let done = match args.laws {
        Some(n) => check_laws(args.seed.unwrap_or(0), n),
        None => compare(&args, config),
    };
    cli::end(done)
}

fn check_laws(first: u64, n: u64) -> Result<(), String> {
    let mut broken = 0;
    for seed in first..first.saturating_add(n) {
        if let Err(e) = laws::try_seed(seed) {
            cli::print(&e)?;
            broken += 1;
        }
    }
    let said = format!("{n} random worlds from seed {first} on: {broken} broke a law");
    if broken == 0 { cli::print(&said) } else { Err(said) }
}

//----------- Comparing ------------------------------------------------------

/// What a variant scored, seed by seed.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The variant.
    pub variant: Variant,
    /// Its name.
    pub name: String,
    /// One per seed.
    pub figures: Vec<Figures>,
}

fn compare(args: &Args, config: Option<&Path>) -> Result<(), String> {
    let files: Vec<&PathBuf> = args.scenarios.iter().chain(&args.scenario).collect();
    if files.is_empty() {
        return Err("no scenario; name a file, such as tests/scenarios/sim/pop-loss.toml, or --laws 1000".into());
    }
    let several = files.len() > 1;
    let mut played: Vec<Played> = Vec::new();
    for file in files {
        let setting = match setting(file, args.zones.as_deref(), config) {
            Err(why) if several && why.contains(NO_TRACE) => {
                cli::print(&format!("{}: skipped: {why}", file.display()))?;
                continue;
            }
            setting => setting?,
        };
        let variants = variants(args, &setting.scenario)?;
        let first = args.seed.unwrap_or(setting.scenario.seed);
        if args.map {
            let one = |at: &At| stability::point(&setting, &variants[0], first, *at);
            let points = on_all_cores(&stability::grid(), &one)?;
            if !args.markdown {
                cli::print(&tables::map(&variants[0].name, &points, args.json))?;
            }
            if !args.json {
                cli::print(&matrix::map_summary(&points, |p| p.restless > stability::NEAR, args.markdown))?;
            }
            continue;
        }
        let seeds: Vec<u64> = (first..first.saturating_add(args.seeds)).collect();
        let name = file.file_stem().map_or_else(String::new, |s| s.to_string_lossy().into_owned());
        let films = args.plot.is_some() || args.timeline.is_some();
        let (mut scored, mut film) = (Vec::new(), Vec::new());
        for (i, variant) in variants.iter().enumerate() {
            let run = Run::prepare(&setting, variant);
            let last = i + 1 == variants.len();
            let one = |seed: &u64| {
                let seed = *seed;
                let noted = args.notes && last && seed == first;
                let mut watch = |seen: &Seen| match noted {
                    true => seen.ticked.notes.iter().try_for_each(|n| cli::print(&format!("{:>7.0} s  {n}", seen.at))),
                    false => Ok(()),
                };
                run.seed(seed, (films && last && seed == first).then_some(FILM_SECS), &mut watch)
            };
            let mut figures = Vec::new();
            for (of, moments) in on_all_cores(&seeds, &one)? {
                figures.push(of);
                film = if moments.is_empty() { film } else { moments };
            }
            scored.push(Scored { variant: variant.clone(), name: variant.name.clone(), figures });
        }
        tell(args, &name, &setting, &seeds, &scored)?;
        write(args, &name, &setting, &scored, &film)?;
        played.push((name, scored));
    }
    if args.markdown && args.reserve.is_none() {
        cli::print(&matrix::sheets(&played, true))?;
    }
    if several && args.reserve.is_some() { say_fronts(args, "all of them", &pooled(played)) } else { Ok(()) }
}

/// All scenarios as one.
fn pooled(played: Vec<Played>) -> Vec<Scored> {
    let mut pooled: Vec<Scored> = Vec::new();
    for of in played.into_iter().flat_map(|(_, scored)| scored) {
        match pooled.iter_mut().find(|p| p.name == of.name) {
            Some(known) => known.figures.extend(of.figures),
            None => pooled.push(of),
        }
    }
    pooled
}

/// Compares the fronts of a sweep, where there are any.
fn say_fronts(args: &Args, name: &str, scored: &[Scored]) -> Result<(), String> {
    let all =
        fronts::beside(&fronts::points(scored, Controller::Reactive), &fronts::points(scored, Controller::Floodway));
    match all.is_empty() {
        true => Ok(()),
        false if args.json => cli::print(&fronts::program(name, &all)),
        false => cli::print(&fronts::people(name, &all, args.markdown)),
    }
}

/// What is done for one of many.
type One<'a, I, T> = &'a (dyn Fn(&I) -> Result<T, String> + Sync);

/// Does `one` for each, as many at a time as there are cores; in their order.
fn on_all_cores<I: Sync, T: Send>(all: &[I], one: One<I, T>) -> Result<Vec<T>, String> {
    let n = std::thread::available_parallelism().map_or(1, usize::from).min(all.len());
    let mut done: Vec<(usize, Result<T, String>)> = std::thread::scope(|scope| {
        let part = |k: usize| move || (k..all.len()).step_by(n).map(|i| (i, one(&all[i]))).collect::<Vec<_>>();
        let threads: Vec<_> = (0..n).map(|k| scope.spawn(part(k))).collect();
        threads.into_iter().flat_map(|t| t.join().unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
    });
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, of)| of).collect()
}

fn tell(args: &Args, name: &str, setting: &Setting, seeds: &[u64], scored: &[Scored]) -> Result<(), String> {
    if args.markdown {
        return say_fronts(args, name, scored);
    }
    if !args.json {
        let names: Vec<String> = setting.policies.groups.iter().map(|g| g.name.to_string()).collect();
        cli::print(&tables::people(name, &setting.scenario.about, &names, seeds, scored))?;
        return say_fronts(args, name, scored);
    }
    for (i, seed) in seeds.iter().enumerate() {
        cli::print(&tables::one_seed(name, *seed, scored, i))?;
    }
    if seeds.len() > 1 {
        cli::print(&tables::means(name, seeds, scored))?;
    }
    say_fronts(args, name, scored)
}

fn write(args: &Args, name: &str, setting: &Setting, scored: &[Scored], film: &[Moment]) -> Result<(), String> {
    let save = |file: &Option<PathBuf>, text: &dyn Fn() -> String| match file {
        Some(file) => std::fs::write(file, text()).map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    };
    let who = scored.last().map_or("", |s| &s.name);
    save(&args.plot, &|| match args.reserve {
        Some(_) => fronts::picture(name, &setting.scenario.about, scored),
        None => film::picture(name, who, setting, film),
    })?;
    save(&args.timeline, &|| film::csv(&setting.policies, film))
}

fn variants(args: &Args, scenario: &Scenario) -> Result<Vec<Variant>, String> {
    let named = if args.controllers.is_empty() { &scenario.controllers } else { &args.controllers };
    let all: Vec<String> = CONTROLLERS.iter().map(|(n, _)| n.to_string()).collect();
    let named = if named.is_empty() { &all } else { named };
    let mut variants: Vec<Variant> = named.iter().map(|n| Variant::named(n)).collect::<Result<_, _>>()?;
    if let Some(range) = &args.reserve {
        let reserves = reserves(range)?;
        let swept = |v: &Variant| match v.controller {
            Controller::Reactive | Controller::Floodway | Controller::OracleA => {
                reserves.iter().map(|r| v.with_reserve(*r)).collect()
            }
            _ => vec![v.clone()],
        };
        variants = variants.iter().flat_map(swept).collect();
    }
    for name in &args.ablate {
        match name.as_str() {
            "all" => {
                variants.extend(ABLATIONS.iter().map(|(n, ..)| Variant::without(n)).collect::<Result<Vec<_>, _>>()?)
            }
            name => variants.push(Variant::without(name)?),
        }
    }
    Ok(variants)
}

fn reserves(text: &str) -> Result<Vec<f64>, String> {
    let wrong = || format!("--reserve {text}: write 0.05..0.5, or values in 0 to below 1 separated by commas");
    let number = |t: &str| t.trim().parse::<f64>().ok().filter(|v| (0.0..1.0).contains(v)).ok_or_else(wrong);
    match text.split_once("..") {
        Some((low, high)) => {
            let (low, high) = (number(low)?, number(high)?);
            Ok((0..10).map(|i| low + (high - low) * f64::from(i) / 9.0).collect())
        }
        None => text.split(',').map(number).collect(),
    }
}

//----------- Reading --------------------------------------------------------

/// Reads a scenario with all that it names: traces, zones and policies (`zones`, else its own, else the configured ones).
///
/// # Errors
/// What is wrong, with the file.
pub fn setting(file: &Path, zones: Option<&Path>, config: Option<&Path>) -> Result<Setting, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let scenario = Scenario::parse(&text).map_err(|e| format!("{}:{e}", file.display()))?;
    let beside = file.parent().unwrap_or(Path::new(""));
    let mut config = Config::read(config)?;
    let zones = zones.map(Path::to_path_buf).or_else(|| scenario.zones.as_ref().map(|dir| beside.join(dir)));
    config.zones.dir = zones.unwrap_or(config.zones.dir);
    let (loaded, report) = load::load(&config);
    let loaded =
        loaded.ok_or_else(|| format!("{report}zones and policies of {} do not load", config.zones.dir.display()))?;
    let traces = scenario.demand.iter().map(|d| d.trace.as_ref().map(|t| trace(&beside.join(t))).transpose());
    let traces: Vec<Option<Trace>> = traces.collect::<Result<_, _>>()?;
    Setting::new(scenario, &traces, &loaded.policies, loaded.cells.clone())
        .map_err(|e| format!("{}: error: {e}", file.display()))
}

fn trace(file: &Path) -> Result<Trace, String> {
    let text = std::fs::read_to_string(file).map_err(|e| format!("{NO_TRACE} {}: {e}", file.display()))?;
    let series = Series::read(&file.display().to_string(), &text, Reading::Gauge)?;
    Ok(Trace { start_secs: series.start_secs as f64, step_secs: f64::from(series.step_secs), values: series.values })
}
