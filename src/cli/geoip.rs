//! `floodway geoip`: where an address is, and building a database from a table.

use crate::cli;
use crate::cli::config::Config;
use crate::cli::load;
use crate::geo::{self, CellMap};
use crate::masterfile::Report;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Says where addresses are: cell, place, coordinates, scope, and which file said so.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
pub struct Args {
    /// Addresses to look up, with the databases and policies of the configuration.
    #[arg(value_name = "ADDRESS")]
    addresses: Vec<IpAddr>,
    /// Print one JSON object per address.
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Builds an MMDB file from a table.
    ///
    /// The first line names the columns: prefix (or a range a-b), country, subdivision, city, lat, lon, asn.
    /// Empty fields are unknown; lines that begin with # are left out; the longest prefix wins.
    Build {
        /// The table.
        csv: PathBuf,
        /// The database to write.
        #[arg(long, short)]
        out: PathBuf,
        /// Unix time to write into it as its build time [default: now]; set it to get the same bytes again.
        #[arg(long, value_name = "SECONDS")]
        epoch: Option<u64>,
    },
}

/// Runs the command.
pub fn run(args: Args, config: Option<&Path>) -> ExitCode {
    let done = match args.command {
        Some(Command::Build { csv, out, epoch }) => build(&csv, &out, epoch),
        None => Config::read(config).and_then(|config| look_up(&config, &args.addresses, args.json)),
    };
    cli::end(done)
}

fn look_up(config: &Config, addresses: &[IpAddr], json: bool) -> Result<(), String> {
    let (databases, cells) = match load::load(config) {
        (Some(loaded), _) => (load::databases(config)?, loaded.cells),
        (None, _) => {
            let databases = load::databases(config)?;
            eprintln!("zones and policies do not load (see `floodway check`); cells are those without their rules");
            let cells = CellMap::compile(&databases, &[], &[]);
            (databases, cells.into())
        }
    };
    for address in addresses {
        let said = geo::explain_address(&databases, &cells, *address);
        match json {
            true => cli::print(&serde_json::to_string(&said).map_err(|e| e.to_string())?)?,
            false => cli::print(&said.to_string())?,
        }
    }
    Ok(())
}

fn build(csv: &Path, out: &Path, epoch: Option<u64>) -> Result<(), String> {
    let text = std::fs::read_to_string(csv).map_err(|e| format!("{}: {e}", csv.display()))?;
    let text = text.trim_start_matches('\u{feff}'); // spreadsheets begin with a byte order mark
    let mut report = Report::default();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let epoch = epoch.unwrap_or_else(now);
    let built = geo::build::build_csv(&csv.display().to_string(), text, epoch, &mut report);
    let bytes = built.ok_or_else(|| format!("{report}nothing written"))?;
    std::fs::write(out, &bytes).map_err(|e| format!("{}: {e}", out.display()))?;
    cli::print(&format!("{report}{}: {} octets", out.display(), bytes.len()))
}
