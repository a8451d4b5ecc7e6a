//! `floodway serve`: wires the parts, says when it is ready, reloads on a sign, drains at the end.

pub(super) mod calendars;
pub(super) mod claim;
mod first;
pub mod ground;
mod hands;
mod keeping;
mod limits;
mod listeners;
mod log;
mod privileges;
pub mod ready;
pub mod reload;
mod renew;
mod secrets;
mod server;
mod signals;
mod sockets;
mod systemd;
mod takeover;
mod watch;
mod watchdog;

pub use server::Server;

use crate::cli::config::Config;
use crate::transport;
use ready::hints;
use signals::{Asked, Ends, Program, Told};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use tokio::runtime::Runtime;

/// Serves DNS on UDP and TCP, takes telemetry over gRPC, and steers.
///
/// Prints one line of JSON on standard output once it answers; everything else goes to standard error.
/// SIGHUP and a change in the zones folder reload; SIGTERM and SIGINT drain and end. SIGUSR2 starts the
/// program anew to take over, and ends this process when the new one serves: an upgrade without a gap.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Say what to try once the server is ready [default: when standard output is a terminal].
    #[arg(long)]
    hints: bool,
    /// Take over from the server that runs on this state folder: its sockets, its plan, its clients.
    #[arg(long)]
    takeover: bool,
}

/// Runs the command.
pub fn run(args: Args, file: Option<&Path>) -> ExitCode {
    match Config::read(file).and_then(|config| serve(&args, config, file)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{}", e.trim_end());
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args, config: Config, file: Option<&Path>) -> Result<(), String> {
    log::log_to_stderr(&config)?;
    transport::sys::map_large_memory();
    let program = Program::of_this_process();
    let given = sockets::from_systemd()?;
    let runtime = runtime()?;
    let asked = Asked::listen(&runtime)?;
    let mut ends = None;
    let heed = &mut || Ends::listen(&runtime).map(|listening| ends = Some(listening));
    let mut server = match args.takeover {
        true => Server::succeed(&runtime, config, heed)?,
        false => Server::start_with(&runtime, config, given, None, heed)?,
    };
    let ends = ends.expect("a server that starts has called it");
    let ready = serde_json::to_string(&server.ready).map_err(|e| e.to_string())?;
    writeln!(std::io::stdout(), "{ready}").map_err(|e| format!("standard output: {e}"))?;
    systemd::ready(&server.reloader.status());
    if args.hints || std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        eprint!("{}", hints(&server.ready, file));
    }
    let told = signals::until_told(asked, ends, &server.reloader, program.as_ref(), server.heirloom.as_mut());
    match runtime.block_on(told) {
        Told::Stop => {
            tracing::info!("draining");
            systemd::stopping();
        }
        Told::Replaced(successor) => {
            tracing::info!("process {} answers from here on; draining", successor.pid);
            server.leave();
            systemd::replaced(successor.pid);
            successor.release();
        }
    }
    server.stop();
    Ok(())
}

/// A runtime for what is not the query path: gRPC, HTTP, signals.
///
/// # Errors
/// What the system says.
pub fn runtime() -> Result<Runtime, String> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_name("edge").enable_all().build().map_err(|e| format!("no runtime: {e}"))
}
