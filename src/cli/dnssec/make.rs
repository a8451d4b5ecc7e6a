//! `floodway keygen dnssec`: a key of a zone, in BIND's files.

use crate::cli::dnssec::keys;
use crate::dnssec::key::{SEP, ZONE_KEY};
use crate::dnssec::{Algorithm, Key, Timing, keyfile};
use crate::wire::Name;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Which key is made.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The zone that it signs.
    #[arg(long)]
    zone: String,
    /// ecdsap256sha256, ecdsap384sha384 or ed25519.
    #[arg(long, default_value = "ecdsap256sha256")]
    algorithm: Algorithm,
    /// A key that the parent's DS names and that signs everything (the default; flags 257).
    #[arg(long, conflicts_with_all = ["ksk", "zsk"])]
    csk: bool,
    /// A key that the parent's DS names and that signs keys alone (flags 257); give the zone a ZSK, too.
    #[arg(long, conflicts_with = "zsk")]
    ksk: bool,
    /// A key that signs all but keys (flags 256).
    #[arg(long)]
    zsk: bool,
    /// Takes an existing private key in place of a new one: PKCS#8 in PEM.
    #[arg(long, value_name = "PEM")]
    import: Option<PathBuf>,
    /// The folder that it goes to [default: `[dnssec] keys` of floodway.toml, else `keys`].
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// Makes the key; returns what to say. `dir`: the folder unless the arguments name one.
///
/// # Errors
/// A text for people.
pub fn make(args: &Args, dir: &Path) -> Result<String, String> {
    let zone: Name = args.zone.parse().map_err(|e| format!("{}: {e}", args.zone))?;
    let flags = ZONE_KEY | if args.zsk { 0 } else { SEP };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32);
    // Whoever makes the first key wants a signed zone; the times of those that follow are for the operator to edit.
    let timing = Timing {
        created: Some(now),
        publish: Some(now),
        activate: Some(now),
        sync_publish: (!args.zsk).then_some(now),
        ..Timing::default()
    };
    let dir = args.dir.as_deref().unwrap_or(dir);
    let key = match &args.import {
        Some(pem) => {
            let text = std::fs::read_to_string(pem).map_err(|e| format!("{}: {e}", pem.display()))?;
            let private = keyfile::read_pem(&text).map_err(|e| format!("{}: {e}", pem.display()))?;
            Key::new(zone, flags, args.algorithm, None, private, timing)
                .map_err(|e| format!("{}: {e}", pem.display()))?
        }
        None => free(dir, || Key::generate(zone.clone(), flags, args.algorithm, timing))?,
    };
    let stem = keys::write_new(dir, &key)?;
    let mut said = format!("{}.key and .private, tag {}, {}", stem.display(), key.tag, key.algorithm);
    if let Some(ds) = key.ds(2).filter(|_| key.is_sep()) {
        let digest: String = ds[4..].iter().map(|b| format!("{b:02X}")).collect();
        said +=
            &format!("; for the parent, once the zone is signed:\n{} IN DS {} {} 2 {digest}", key.zone, key.tag, ds[2]);
    }
    Ok(said)
}

/// A key with a tag that no other of the zone's has: tags are how signatures name keys.
pub fn free(dir: &Path, make: impl Fn() -> Result<Key, String>) -> Result<Key, String> {
    loop {
        let key = make()?;
        let ending = format!("+{:05}.key", key.tag);
        let start = format!("K{}+", key.zone);
        let clashes = |name: &str| name.starts_with(&start) && name.ends_with(&ending);
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
        if !names.into_iter().any(|entry| entry.file_name().to_str().is_some_and(clashes)) {
            return Ok(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn args(line: &str) -> Args {
        Line::try_parse_from(["x"].into_iter().chain(line.split_whitespace())).unwrap().args
    }

    #[test]
    fn keys_are_made_by_kind() {
        let dir = tempfile::tempdir().unwrap();
        let made = make(&args("--zone example.com"), dir.path()).unwrap();
        assert!(made.contains("ECDSAP256SHA256") && made.contains("example.com. IN DS "), "{made}");
        let made = make(&args("--zone example.com --zsk --algorithm ed25519"), dir.path()).unwrap();
        assert!(made.contains("ED25519") && !made.contains(" DS "), "{made}");
        assert!(make(&args("--zone a..b"), dir.path()).unwrap_err().contains("a..b"));
        assert!(make(&args("--zone a --algorithm rsasha256"), dir.path()).unwrap_err().contains("not made"));
        assert!(make(&args("--zone a --import /nowhere"), dir.path()).unwrap_err().contains("/nowhere"));
        let mut report = crate::masterfile::Report::default();
        let mut flags: Vec<u16> = keys::read(dir.path(), &mut report).keys.iter().map(|k| k.key.flags).collect();
        flags.sort();
        assert_eq!(flags, [256, 257]);
    }
}
