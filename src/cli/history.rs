//! `floodway history`: what was measured, forecast and decided.
//!
//! Reading goes beside a running server, which is not held up. Writing takes the lock of the state folder, so that a file
//! has one writer, and is done as a whole or not at all.

mod import;

use crate::cli::config::Config;
use crate::cli::serve::claim::Claim;
use crate::cli::{self, table};
use crate::store::sqlite::samples::block_of;
use crate::store::sqlite::{File, Purpose};
use crate::store::{self, Bucket, Level, SeriesName, csv, timestamp};
use serde_json::json;
use std::io::{self, BufWriter, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Everything that has a time.
const ALWAYS: Range<i64> = i64::MIN / 4..i64::MAX / 4;

/// Shows, exports, imports and compacts the history.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The history [default: the one of the configuration].
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Shows the series, and from when to when each is kept in which steps.
    List {
        /// Only series with this text in their names.
        text: Option<String>,
        /// Print one JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Prints series as CSV: all there is of them, or a value per step.
    ///
    /// Without --values there is a line per bucket, and each time in the finest step that is still kept. `floodway history
    /// import` makes the same history of it.
    Export(Export),
    /// Reads CSV: what `export` prints, or `timestamp,value` lines as one series.
    ///
    /// All of it is taken or, if anything in it is wrong, nothing.
    Import(import::Import),
    /// Prints forecasts as CSV, with what came of them.
    Forecasts {
        /// Only of this series.
        series: Option<SeriesName>,
        #[command(flatten)]
        during: During,
    },
    /// Prints what plans gave to the members of groups as CSV.
    Plans {
        /// Only of this group.
        group: Option<String>,
        #[command(flatten)]
        during: During,
    },
    /// Prints which models have left what they learnt, as CSV.
    Models {
        /// Only of series with this text in their names.
        text: Option<String>,
    },
    /// Checks the file, page by page, and writes it anew without gaps.
    Compact,
}

#[derive(Debug, clap::Args)]
struct Export {
    /// Only series with this text in their names.
    text: Option<String>,
    /// Print `timestamp,value` lines of one series: means of minutes, or of --step.
    #[arg(long)]
    values: bool,
    /// Steps such as 1m, 5m, 1h [default: the finest there is]. With --values any number of minutes; gaps are then empty.
    #[arg(long, value_parser = step)]
    step: Option<i64>,
    #[command(flatten)]
    during: During,
}

/// A stretch of time.
#[derive(Debug, clap::Args)]
struct During {
    /// From this moment on, such as 2026-11-22T07:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<i64>,
    /// Up to this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<i64>,
}

impl During {
    fn range(&self) -> Range<i64> {
        self.from.unwrap_or(ALWAYS.start)..self.to.unwrap_or(ALWAYS.end)
    }
}

fn moment(text: &str) -> Result<i64, String> {
    timestamp::scan(text).map(|at| at.floor() as i64).ok_or_else(|| "2026-11-22T07:00:00Z would be a moment".into())
}

fn step(text: &str) -> Result<i64, String> {
    let unit = |unit: char| match unit {
        'm' => Some(60),
        'h' => Some(3600),
        'd' => Some(86_400),
        _ => None,
    };
    let last = text.chars().last().and_then(unit);
    let n = last.and_then(|_| text[..text.len() - 1].parse::<i64>().ok()).filter(|n| (1..=100_000).contains(n));
    n.zip(last).map(|(n, unit)| n * unit).ok_or_else(|| "a step is a number of m, h or d, such as 5m".into())
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    cli::end(done(args, config))
}

fn done(args: Args, config: Option<&Path>) -> Result<(), String> {
    let config = Config::read(config)?;
    let path = args.file.unwrap_or_else(|| config.store.file(&config.state.dir));
    match args.command {
        Command::List { text, json } => list(&reading(&path)?, text.as_deref(), json),
        Command::Export(export) => printed(|out| export.run(&reading(&path)?, out)),
        Command::Import(import) => import.run(&path, &config.store.keep),
        Command::Forecasts { series, during } => {
            printed(|out| forecasts(&reading(&path)?, series.as_ref(), &during, out))
        }
        Command::Plans { group, during } => printed(|out| plans(&reading(&path)?, group.as_deref(), &during, out)),
        Command::Models { text } => printed(|out| models(&reading(&path)?, text.as_deref(), out)),
        Command::Compact => compact(&path),
    }
}

//----------- The file -------------------------------------------------------

fn reading(path: &Path) -> Result<File, String> {
    if !path.exists() {
        return Err(format!("{}: there is no history", path.display()));
    }
    File::open(path, Purpose::Read).map_err(|e| format!("{}: {e}", path.display()))
}

/// Opens the file to write, as the only one who does; for as long as the claim is held.
fn writing(path: &Path) -> Result<(File, Claim), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let busy =
        |_| format!("{}: a server writes here; `floodway serve` on this folder must end first", folder.display());
    let claim = Claim::take(folder).map_err(busy)?.ok_or_else(|| format!("{}: cannot be locked", folder.display()))?;
    let file = File::open(path, Purpose::Write).map_err(|e| format!("{}: {e}", path.display()))?;
    inherit(path, folder);
    Ok((file, claim))
}

/// What root makes in a folder belongs to the folder's owner, who serves.
fn inherit(path: &Path, folder: &Path) {
    use std::os::unix::fs::{MetadataExt, chown};
    let Ok(owner) = std::fs::metadata(folder) else { return };
    if !nix::unistd::geteuid().is_root() || owner.uid() == 0 {
        return;
    }
    for end in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        if let Err(e) = chown(&name, Some(owner.uid()), Some(owner.gid()))
            && e.kind() != ErrorKind::NotFound
        {
            eprintln!("{}: {e}; the server may not be able to write it", name.display());
        }
    }
}

fn said(path: &Path) -> impl Fn(store::sqlite::Error) -> String {
    let path = path.display().to_string();
    move |e| format!("{path}: {e}")
}

fn compact(path: &Path) -> Result<(), String> {
    if !path.exists() {
        return Err(format!("{}: there is no history", path.display()));
    }
    let (file, _claim) = writing(path)?;
    let size = |file: &File| file.size().map_err(said(path));
    let before = size(&file)?;
    file.compact().map_err(said(path))?;
    cli::print(&format!("{}: whole; {before} octets before, {} now", path.display(), size(&file)?))
}

//----------- Printing -------------------------------------------------------

/// Prints on standard output; a reader that has seen enough (`| head`) is no fault.
fn printed(print: impl FnOnce(&mut dyn Write) -> Result<(), Fault>) -> Result<(), String> {
    let mut out = BufWriter::new(io::stdout().lock());
    match print(&mut out).and_then(|()| Ok(out.flush()?)) {
        Err(Fault::Output(e)) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        Err(Fault::Output(e)) => Err(format!("standard output: {e}")),
        Err(Fault::Said(text)) => Err(text),
        Ok(()) => Ok(()),
    }
}

/// What ends printing before its end.
enum Fault {
    Output(io::Error),
    Said(String),
}

impl From<io::Error> for Fault {
    fn from(e: io::Error) -> Fault {
        Fault::Output(e)
    }
}

impl From<String> for Fault {
    fn from(text: String) -> Fault {
        Fault::Said(text)
    }
}

impl From<store::sqlite::Error> for Fault {
    fn from(e: store::sqlite::Error) -> Fault {
        Fault::Said(e.to_string())
    }
}

fn named(file: &File, text: Option<&str>) -> Result<Vec<SeriesName>, store::sqlite::Error> {
    let names = file.names()?.into_iter();
    Ok(names.filter(|name| text.is_none_or(|text| name.as_str().contains(text))).collect())
}

fn list(file: &File, text: Option<&str>, json: bool) -> Result<(), String> {
    let heads = ["SERIES", "STEP", "FROM", "LAST", "BUCKETS", "OCTETS"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    let mut lines = String::new();
    for name in named(file, text).map_err(|e| e.to_string())? {
        for extent in file.extents(&name).map_err(|e| e.to_string())? {
            let (step, n, octets) = (extent.level.label(), extent.n_buckets, extent.octets);
            let [first, last] = [extent.first, extent.last].map(timestamp::print);
            let line = json!({ "series": name.as_str(), "step": step, "first": first, "last": last, "buckets": n, "octets": octets });
            lines += &format!("{line}\n");
            rows.push(vec![name.to_string(), step.to_owned(), first, last, n.to_string(), octets.to_string()]);
        }
    }
    match json {
        true if lines.is_empty() => Ok(()),
        true => cli::print(&lines),
        false => cli::print(&table::print(&rows, &[4, 5])),
    }?;
    match file.n_damaged() {
        0 => Ok(()),
        n => Err(format!("{n} blocks are damaged and left out; `floodway history compact` checks the file")),
    }
}

impl Export {
    fn run(&self, file: &File, out: &mut dyn Write) -> Result<(), Fault> {
        let names = named(file, self.text.as_deref())?;
        match (self.values, &names[..]) {
            (true, [one]) => self.values(file, one, out)?,
            (true, names) => {
                let text = self.text.as_deref().unwrap_or_default();
                return Err(
                    format!("{} series have {text:?} in their names, and --values is of one", names.len()).into()
                );
            }
            (false, names) => self.buckets(file, names, out)?,
        }
        match file.n_damaged() {
            0 => Ok(()),
            n => Err(format!("{n} blocks are damaged and left out").into()),
        }
    }

    fn values(&self, file: &File, name: &SeriesName, out: &mut dyn Write) -> Result<(), Fault> {
        writeln!(out, "{}", csv::VALUES)?;
        let during = self.during.range();
        let Some(step) = self.step else {
            for (start, bucket) in finest(file, name, during)? {
                writeln!(out, "{}", csv::print_value(start, Some(bucket.1.mean())))?;
            }
            return Ok(());
        };
        // From the first to the last step that has anything.
        let level = Level::dividing(step).ok_or_else(|| "a step is whole minutes".to_owned())?;
        let buckets = file.buckets(name, level, during)?;
        let (Some((first, _)), Some((last, _))) = (buckets.first(), buckets.last()) else { return Ok(()) };
        let since = store::rollup::floor(*first, step);
        let until = store::rollup::floor(*last, step) + step;
        for (i, mean) in store::recent(file, name, since, until, step)?.into_iter().enumerate() {
            writeln!(out, "{}", csv::print_value(since + i as i64 * step, mean))?;
        }
        Ok(())
    }

    fn buckets(&self, file: &File, names: &[SeriesName], out: &mut dyn Write) -> Result<(), Fault> {
        let one_level =
            match self.step {
                None => None,
                Some(step) => {
                    let level = Level::ALL.into_iter().find(|level| level.secs() == step);
                    Some(level.ok_or_else(|| {
                        "buckets are kept in steps of 1m, 5m, 15m and 1h; --values has others".to_owned()
                    })?)
                }
            };
        writeln!(out, "{}", csv::BUCKETS)?;
        for name in names {
            let found = match one_level {
                Some(level) => {
                    let buckets = file.buckets(name, level, self.during.range())?;
                    buckets.into_iter().map(|(start, bucket)| (start, (level, bucket))).collect()
                }
                None => finest(file, name, self.during.range())?,
            };
            for (start, (level, bucket)) in found {
                writeln!(out, "{}", csv::Line { series: name.clone(), level, start, bucket }.print())?;
            }
        }
        Ok(())
    }
}

type Found = Vec<(i64, (Level, Bucket))>;

/// All there is of a series, ascending, each time in the finest step that is kept of it.
fn finest(file: &File, name: &SeriesName, during: Range<i64>) -> Result<Found, store::sqlite::Error> {
    let (mut found, mut until) = (Found::new(), during.end);
    for level in Level::ALL {
        let buckets = file.buckets(name, level, during.start..until)?;
        if let Some((first, _)) = buckets.first() {
            // Blocks go as a whole: from the beginning of the first, this level has all there was.
            until = block_of(level, *first);
        }
        found.extend(buckets.into_iter().rev().map(|(start, bucket)| (start, (level, bucket))));
    }
    found.reverse();
    Ok(found)
}

/// Forecasts and plans are printed a quarter of a day at a time, so that a long past is not held in memory.
fn parts(file: &File, during: &During) -> Result<impl Iterator<Item = Range<i64>>, Fault> {
    let (from, to) = (during.range().start, during.range().end);
    let (first, last) = file.records_extent()?.unwrap_or((0, -1));
    let (first, end) = (first.max(from), last.saturating_add(1).min(to));
    Ok((first..end).step_by(6 * 3600).map(move |at| at..end.min(at + 6 * 3600)))
}

fn forecasts(file: &File, series: Option<&SeriesName>, during: &During, out: &mut dyn Write) -> Result<(), Fault> {
    writeln!(out, "series,target,lead_seconds,quantiles,outcome,pinball")?;
    for part in parts(file, during)? {
        for (issued, scored) in file.issued(series, part, i64::MAX)? {
            let quantiles = issued.quantiles.iter().map(|(q, v)| format!("{q}={v}")).collect::<Vec<_>>().join(" ");
            let (outcome, loss) = scored.map(|s| (s.outcome.to_string(), s.loss.to_string())).unwrap_or_default();
            let (name, target) = (csv::quoted(issued.series.as_str()), timestamp::print(issued.target));
            writeln!(out, "{name},{target},{},{quantiles},{outcome},{loss}", issued.lead_secs)?;
        }
    }
    Ok(())
}

fn plans(file: &File, group: Option<&str>, during: &During, out: &mut dyn Write) -> Result<(), Fault> {
    writeln!(out, "group,time,generation,mode,shares")?;
    for part in parts(file, during)? {
        for plan in file.plans(group, part, i64::MAX)? {
            let (group, shares) = (csv::quoted(&plan.group), csv::quoted(&plan.shares_text()));
            writeln!(out, "{group},{},{},{},{shares}", timestamp::print(plan.at), plan.generation, plan.mode)?;
        }
    }
    Ok(())
}

fn models(file: &File, text: Option<&str>, out: &mut dyn Write) -> Result<(), Fault> {
    writeln!(out, "series,model,version,time,octets")?;
    for name in named(file, text)? {
        for model in file.models(&name)? {
            let (series, model_name, at) =
                (csv::quoted(name.as_str()), csv::quoted(&model.name), timestamp::print(model.at));
            writeln!(out, "{series},{model_name},{},{at},{}", model.version, model.state.len())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        assert_eq!((step("5m"), step("1h"), step("2d")), (Ok(300), Ok(3600), Ok(172_800)));
        for wrong in ["", "m", "5", "0m", "-1m", "5s", "5µ", "99999999999999999999m"] {
            assert!(step(wrong).is_err(), "{wrong}");
        }
    }

    /// Minutes where they are kept, coarser steps before, nothing twice.
    #[test]
    fn each_time_is_told_by_the_finest_step() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("history.db"), Purpose::Write).unwrap();
        let name: SeriesName = "pop/a/load-rps".parse().unwrap();
        let minutes: Vec<_> = (0..600).map(|i| (600 * i, Bucket::of(i as f64, 0, false))).collect();
        let now = 600 * 600;
        file.whole(|file| file.add(&name, &minutes, now)).unwrap();
        let keep = store::Keep { minutes: 1, five_minutes: 2, ..Default::default() };
        file.whole(|file| file.prune(&keep, 0, 10, now)).unwrap();
        let found = finest(&file, &name, ALWAYS).unwrap();
        let count: u64 = found.iter().map(|(_, (_, bucket))| bucket.count).sum();
        assert_eq!(count, 600);
        assert!(found.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1.0 >= pair[1].1.0));
        assert_eq!((found[0].1.0, found[found.len() - 1].1.0), (Level::Quarter, Level::Minute));
    }
}
