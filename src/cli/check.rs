//! `floodway check`: the server's own loader, and its report.

use crate::cli::config::Config;
use crate::cli::load::{self, Loaded};
use crate::masterfile::Report;
use std::path::Path;
use std::process::ExitCode;

/// Loads everything as `serve` would and prints every problem with its place.
///
/// Exit status: 0 when the server would take it (warnings allowed), 1 when it would not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// Let warnings count as errors.
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    let config = match Config::read(config) {
        Ok(config) => config,
        Err(e) => {
            eprintln!("{e}");
            return ExitCode::FAILURE;
        }
    };
    let (loaded, report) = load::load(&config);
    let (errors, warnings) = report.counts();
    let good = loaded.is_some() && !(args.strict && warnings > 0);
    if args.json {
        println!("{}", json(loaded.as_ref(), &report, good));
    } else {
        print!("{report}");
        match &loaded {
            Some(loaded) => println!("{}", summary(loaded)),
            None => println!("refused: {errors} errors, {warnings} warnings; a running server keeps what it has"),
        }
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What a load holds, in one line.
pub fn summary(loaded: &Loaded) -> String {
    let names: usize = loaded.zones.iter().map(|z| z.n_names()).sum();
    format!(
        "{} zones with {names} names, {} POPs, {} groups, {} steered names, {} cells",
        loaded.zones.n_zones(),
        loaded.policies.pops.len(),
        loaded.policies.groups.len(),
        loaded.policies.steers.len(),
        loaded.cells.cells.len(),
    )
}

/// The report as one object: `ok`, counts, and every diagnostic. Also what a reload answers.
pub fn json(loaded: Option<&Loaded>, report: &Report, ok: bool) -> serde_json::Value {
    let (errors, warnings) = report.counts();
    serde_json::json!({
        "ok": ok,
        "errors": errors,
        "warnings": warnings,
        "loaded": loaded.map(summary),
        "diagnostics": report.diagnostics,
    })
}
