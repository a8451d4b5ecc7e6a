//! `floodway ds`: what the parent has to hold for a zone's keys.

use crate::cli::config::Config;
use crate::cli::dnssec::keys;
use crate::cli::{end, print};
use crate::dnssec::{Key, State};
use crate::masterfile::Report;
use crate::wire::Name;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Whose DS.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The zone.
    zone: String,
    /// The digest: 2 (SHA-256, what parents take) or 4 (SHA-384); may be repeated.
    #[arg(long, value_parser = clap::value_parser!(u8).range(2..=4), default_values_t = [2u8])]
    digest: Vec<u8>,
    /// The folder of keys [default: `[dnssec] keys` of floodway.toml, else `keys`].
    #[arg(long)]
    dir: Option<PathBuf>,
    /// As one object.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args, file: Option<&Path>) -> ExitCode {
    end(Config::read(file).and_then(|config| ds(&args, &config.dnssec.keys)))
}

fn ds(args: &Args, dir: &Path) -> Result<(), String> {
    let zone: Name = args.zone.parse().map_err(|e| format!("{}: {e}", args.zone))?;
    let dir = args.dir.as_deref().unwrap_or(dir);
    let mut report = Report::default();
    let keys = keys::read(dir, &mut report).keys;
    if report.has_errors() {
        return Err(report.to_string());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32);
    let of_zone: Vec<&Key> = keys.iter().map(|filed| &filed.key).filter(|key| key.zone == zone).collect();
    let fit = |key: &&&Key| key.is_sep() && !matches!(key.timing.state(now), State::Retired | State::Removed);
    let named: Vec<&&Key> = of_zone.iter().filter(fit).collect();
    if named.is_empty() {
        let n = of_zone.len();
        let help = format!("`floodway keygen dnssec --zone {zone}` makes one");
        return Err(format!("{}: {n} keys of {zone}, and none with flags 257 that is to serve; {help}", dir.display()));
    }
    let mut lines = Vec::new();
    for (key, digest_type) in named.iter().flat_map(|key| args.digest.iter().map(move |digest| (key, *digest))) {
        let ds = key.ds(digest_type).ok_or("digest types are 2 (SHA-256) and 4 (SHA-384)")?;
        let digest: String = ds[4..].iter().map(|b| format!("{b:02X}")).collect();
        let (algorithm, state) = (key.algorithm.number(), key.timing.state(now).word());
        lines.push((format!("{zone} IN DS {} {algorithm} {digest_type} {digest}", key.tag), key.tag, state));
    }
    match args.json {
        true => {
            let all = lines.iter().map(|(ds, tag, state)| json!({ "ds": ds, "tag": tag, "state": state }));
            print(&json!({ "zone": zone.to_string(), "ds": all.collect::<Vec<_>>() }).to_string())
        }
        false => print(&lines.iter().map(|(ds, ..)| ds.as_str()).collect::<Vec<_>>().join("\n")),
    }
}
