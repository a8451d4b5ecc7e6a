//! `floodway demo`: a day with a surge in two minutes.
//!
//! Real parts on both sides of a synthetic world: resolvers ask the server over DNS with the subnets of
//! their clients, POPs report what reaches them over gRPC, and the view shows what the server says of
//! itself beside what the world measured. The same play is what `benches/live` measures: an observer looks at the answers
//! of all clients every second, and the film of it becomes a plot.

mod agent;
mod dns;
mod drive;
mod film;
mod plot;
mod view;
mod world;

use crate::cli;
use crate::cli::config::{Config, Listen, StateDir, Zones};
use crate::cli::serve::{self, Server};
use drive::{Drive, Target};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use view::View;
use world::Script;

/// Plays a day with a surge in two and a half minutes: synthetic clients and POPs, and a live view.
///
/// Without --server it starts a server of its own on free loopback ports with the zones of --zones. Demand in Asia grows to
/// five times after a quarter of the play, as is announced before; later the most loaded POP fails for a while.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// gRPC address of a running server to play against.
    #[arg(long, value_name = "ADDRESS", requires = "dns")]
    server: Option<String>,
    /// DNS address of that server.
    #[arg(long, value_name = "ADDRESS")]
    dns: Option<SocketAddr>,
    /// Zones and policies of the server that the demo starts.
    #[arg(long, default_value = "zones", value_name = "DIR", conflicts_with = "server")]
    zones: PathBuf,
    /// The steered name that clients ask for.
    #[arg(long, default_value = "www.example.com")]
    name: String,
    /// The group that answers it.
    #[arg(long, default_value = "web.example.com")]
    group: String,
    /// How long to play; what happens is spread over it.
    #[arg(long, default_value = "150", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(10..=86_400))]
    duration: u64,
    /// Always the same demand, and nothing happens: shows whether the loop keeps still.
    #[arg(long)]
    steady: bool,
    /// Look at answers by `dig`, a client that is not ours.
    #[arg(long)]
    dig: bool,
    /// Draw shares intended, answered and observed over time into this SVG file.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Write the same as CSV into this file.
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Print one JSON object a second instead of the view.
    #[arg(long, conflicts_with = "quiet")]
    json: bool,
    /// Print what it came to alone, as one JSON object.
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub fn run(args: Args) -> ExitCode {
    cli::end(play(args))
}

fn play(args: Args) -> Result<(), String> {
    let runtime = serve::runtime()?;
    let own = match args.server {
        Some(_) => None,
        None => Some(own_server(&runtime, &args.zones)?),
    };
    let (grpc, dns) = match (&own, &args.server, args.dns) {
        (Some((server, _)), _, _) => (server.ready.grpc.to_string(), server.ready.dns[0]),
        (None, Some(grpc), Some(dns)) => (grpc.clone(), dns),
        _ => return Err("--server needs --dns as well".into()),
    };
    let played = runtime.block_on(follow(&args, grpc, dns));
    if let Some((mut server, state)) = own {
        server.stop();
        let _ = std::fs::remove_dir_all(state); // a temporary folder that only this run knows
    }
    played
}

async fn follow(args: &Args, grpc: String, dns: SocketAddr) -> Result<(), String> {
    let script = if args.steady { Script::steady() } else { Script::day(args.duration as f64) };
    let (name, group) = (args.name.clone(), args.group.clone());
    let target = Target { grpc, dns, name, group, by_dig: args.dig };
    let mut drive = Drive::start(&target, script).await?;
    let mut view = View::new(args.json, args.quiet, &target);
    let mut beat = tokio::time::interval(Duration::from_secs(1));
    let end = tokio::time::sleep(Duration::from_secs(args.duration));
    tokio::pin!(end);
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            _ = &mut end => break,
            _ = tokio::signal::ctrl_c() => break,
        }
        let moment = drive.step().await?;
        view.show(&moment, &script).map_err(|e| format!("standard output: {e}"))?;
    }
    let what = if args.steady { "steady demand" } else { "an announced surge and a failing POP" };
    let title = format!("{} under {what}: shares of all requests by POP", args.name);
    let write = |file: &Option<PathBuf>, text: &dyn Fn() -> String| match file {
        Some(file) => std::fs::write(file, text()).map_err(|e| format!("{}: {e}", file.display())),
        None => Ok(()),
    };
    write(&args.csv, &|| drive.filmed().csv())?;
    write(&args.plot, &|| plot::svg(drive.filmed(), &title))?;
    view.end(&drive.summary()).map_err(|e| format!("standard output: {e}"))
}

/// A server on free loopback ports with a state folder of its own, so that it disturbs no other.
fn own_server(runtime: &tokio::runtime::Runtime, zones: &std::path::Path) -> Result<(Server, PathBuf), String> {
    let state = std::env::temp_dir().join(format!("floodway-demo-{}", std::process::id()));
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = Config {
        listen: Listen { dns: vec![free], threads: 1, grpc: free, admin: free, ..Listen::default() },
        zones: Zones { dir: zones.into(), watch: false },
        state: StateDir { dir: state.clone() },
        ..Config::default()
    };
    Ok((Server::start(runtime, config)?, state))
}
