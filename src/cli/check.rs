//! `floodway check`: the server's own loader, and its report.

use crate::cli;
use crate::cli::config::Config;
use crate::cli::dnssec::{self, sign};
use crate::cli::house;
use crate::cli::load::{self, Loaded};
use crate::cli::serve::{calendars, ground};
use crate::cli::{online, peers};
use crate::events::written::Against;
use crate::masterfile::{Report, Severity};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

/// Loads everything as `serve` would, certificates and listeners included, and prints every problem with its place.
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
    /// Ask other servers, too: each zone's primaries, secondaries and name servers for their serials. Takes a minute at most.
    #[arg(long)]
    online: bool,
    /// A resolver, by which the delegation is compared: NS, glue and DS at the parent [192.0.2.1 or [2001:db8::1]:53].
    #[arg(long, requires = "online", value_parser = resolver)]
    resolver: Option<SocketAddr>,
}

/// An address, with or without a port.
fn resolver(text: &str) -> Result<SocketAddr, String> {
    let ip = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, online::PORT));
    text.parse().or_else(|_| ip()).map_err(|_| "an address, such as 192.0.2.1 or [2001:db8::1]:53".to_string())
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    cli::end(check(&args, config))
}

fn check(args: &Args, config: Option<&Path>) -> Result<(), String> {
    let config = match Config::read(config) {
        Ok(config) => config,
        Err(e) if args.json => return cli::print(&json!({ "ok": false, "config": e }).to_string()).and(Err("".into())),
        Err(e) => return Err(e),
    };
    let (loaded, mut report) = load::load(&config);
    let mut asked = None;
    let house = house::read(&config, None, &mut report);
    ground::check(&config, &mut report);
    if let (Some(house), Some(loaded)) = (&house, &loaded) {
        house::warn_of_idle_lists(house, &loaded.zones, &config, &mut report);
        dnssec::check::check(&loaded.zones, &config, sign::now(), &mut report);
        if let Some(dir) = &config.events.dir {
            let against = Against { policies: &loaded.policies, cells: &loaded.cells, now: sign::now() as f64 };
            calendars::read(dir, against, &mut report);
        }
        asked = args.online.then(|| ask(args, loaded, &config, &mut report)).transpose()?;
        report.sort();
    }
    let loaded = loaded.filter(|_| !report.has_errors());
    let (_, warnings) = report.counts();
    let good = loaded.is_some() && !(args.strict && warnings > 0);
    if args.json {
        cli::print(&json(loaded.as_ref(), &report, good).to_string())?;
    } else {
        let end = match &loaded {
            Some(loaded) => summary(loaded) + &asked.map_or_else(String::new, |asked| format!("; {asked}")),
            None => format!(
                "refused: {}; a running server keeps what it has, and a start leaves out what hangs together with errors",
                counted(&report)
            ),
        };
        cli::print(&format!("{report}{end}"))?;
    }
    if good { Ok(()) } else { Err("".into()) }
}

/// Asks other servers; a line on what was asked. What is not as it should be is in the report, as warnings.
fn ask(args: &Args, loaded: &Loaded, config: &Config, report: &mut Report) -> Result<String, String> {
    let settings = peers::read(config, &mut |_, _| {}).settings;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("no runtime: {e}"))?;
    let found = runtime.block_on(online::check(&loaded.zones, &settings, args.resolver, online::PORT));
    let file = config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
    found.problems.into_iter().for_each(|what| report.push(house::problem(file, Severity::Warning, what)));
    Ok(found.summary)
}

/// `1 zone`, `2 zones`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// `1 error, 2 warnings`.
pub fn counted(report: &Report) -> String {
    let (errors, warnings) = report.counts();
    format!("{}, {}", count(errors, "error"), count(warnings, "warning"))
}

/// What a load holds, in one line.
pub fn summary(loaded: &Loaded) -> String {
    let names: usize = loaded.zones.iter().map(|z| z.n_names()).sum();
    format!(
        "{} with {}, {}, {}, {}, {}",
        count(loaded.zones.n_zones(), "zone"),
        count(names, "name"),
        count(loaded.policies.pops.len(), "POP"),
        count(loaded.policies.groups.len(), "group"),
        count(loaded.policies.steers.len(), "steered name"),
        count(loaded.cells.cells.len(), "cell"),
    ) + &sign::summary(&loaded.zones).map_or_else(String::new, |signed| format!("; {signed}"))
}

/// The report as one object: `ok`, counts, and every diagnostic. Also what a reload answers.
pub fn json(loaded: Option<&Loaded>, report: &Report, ok: bool) -> serde_json::Value {
    let (errors, warnings) = report.counts();
    json!({
        "ok": ok,
        "errors": errors,
        "warnings": warnings,
        "loaded": loaded.map(summary),
        "diagnostics": report.diagnostics,
    })
}
