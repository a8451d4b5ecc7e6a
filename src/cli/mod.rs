//! Arguments, files on disk, wiring, exit status.
//!
//! One file per command. All commands that need zones and policies go through [`load`], so that what
//! checks is what loads. Exit statuses: 0 done, 1 the thing asked about is wrong or did not work,
//! 2 the command line was not understood (clap's own).

pub mod announce;
pub mod check;
pub mod client;
pub mod config;
pub mod demo;
pub mod dnssec;
mod elsewhere;
pub mod explain;
pub mod forecast;
pub mod geoip;
pub mod history;
pub mod house;
pub mod keygen;
pub mod known;
pub mod load;
pub mod online;
pub mod overrides;
pub mod peers;
pub mod pops;
pub mod report;
pub mod running;
mod salvage;
pub mod serve;
pub mod settled;
pub mod simulate;
pub mod table;

use clap::{Parser, Subcommand};
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

//----------- The command line -----------------------------------------------

/// Authoritative GeoDNS that opens the spillways before the flood.
///
/// Without a command it serves: zones and policies of `zones/` on 127.0.0.1:5300, unless a
/// floodway.toml says otherwise.
#[derive(Debug, Parser)]
#[command(name = "floodway", version, max_term_width = 110)]
struct Cli {
    /// Configuration file [default: floodway.toml where it exists].
    #[arg(long, short, global = true, value_name = "FILE", env = "FLOODWAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves DNS, takes telemetry, steers (also what no command does).
    Serve(serve::Args),
    /// Loads zones, policies and databases as the server would, and says what is wrong with them.
    Check(check::Args),
    /// Tells step by step why a client gets the answer it gets.
    Explain(explain::Args),
    /// Shows POPs, groups and shadows of a running server.
    Pops(pops::Args),
    /// Gives no new answers for POPs or members, for a while.
    Drain(overrides::Drain),
    /// Ends a drain.
    Undrain(overrides::Undrain),
    /// Decides in the place of a running server, for a while; lists and ends such decisions.
    Override(overrides::Override),
    /// Shows what shares a running server would give if something were decided.
    Plan(overrides::Plan),
    /// Says how a running server is, and what is wrong with it.
    Status(running::Status),
    /// Has a running server load its files anew, or say what that would do.
    Reload(running::Reload),
    /// Reports telemetry to a running server, as a POP would.
    Report(Box<report::Args>),
    /// Announces an event to a running server, lists and cancels events.
    Announce(Box<announce::Args>),
    /// Shows, exports, imports and compacts what was measured, forecast and decided.
    History(history::Args),
    /// Says where an address is, or builds a database from a table.
    Geoip(geoip::Args),
    /// Makes keys: a certificate for tests, a TSIG secret, a key that signs a zone.
    Keygen(keygen::Args),
    /// Forecasts any series of numbers: quantiles of what comes, from a CSV.
    Forecast(Box<forecast::Args>),
    /// Scores forecasts from places in the past of a series.
    Backtest(Box<forecast::backtest::Args>),
    /// Plays scenarios in virtual time: this server's loop beside simpler ones, in the same world.
    Simulate(Box<simulate::Args>),
    /// Says what the parent zone has to hold for the keys of a zone.
    Ds(dnssec::ds::Args),
    /// Plays a day with a surge in two and a half minutes: synthetic POPs, and a live view.
    Demo(demo::Args),
}

/// Runs the command line and says how it ended.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let config = cli.config.as_deref();
    match cli.command.unwrap_or_else(|| Command::Serve(serve::Args::default())) {
        Command::Serve(args) => serve::run(args, config),
        Command::Check(args) => check::run(args, config),
        Command::Explain(args) => explain::run(args, config),
        Command::Pops(args) => pops::run(args, config),
        Command::Drain(args) => end(overrides::drain(args, config)),
        Command::Undrain(args) => end(overrides::undrain(args, config)),
        Command::Override(args) => end(overrides::r#override(args, config)),
        Command::Plan(args) => end(overrides::plan(args, config)),
        Command::Status(args) => running::status(&args, config),
        Command::Reload(args) => running::reload(&args, config),
        Command::Report(args) => report::run(*args, config),
        Command::Announce(args) => announce::run(*args, config),
        Command::History(args) => history::run(args, config),
        Command::Geoip(args) => geoip::run(args, config),
        Command::Forecast(args) => forecast::run(*args),
        Command::Backtest(args) => forecast::backtest::run(*args),
        Command::Simulate(args) => simulate::run(*args, config),
        Command::Keygen(args) => keygen::run(args, config),
        Command::Ds(args) => dnssec::ds::run(args, config),
        Command::Demo(args) => demo::run(args),
    }
}

//----------- Ending well ----------------------------------------------------

/// The exit status of a command that is done, its error said on standard error.
pub(crate) fn end(done: Result<(), String>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if e.is_empty() => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("{}", e.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// Prints a text and a line end. A reader that has seen enough (`| head`) is no fault.
pub(crate) fn print(text: &str) -> Result<(), String> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(format!("standard output: {e}")),
        _ => Ok(()),
    }
}
