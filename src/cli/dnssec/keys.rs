//! The folder of keys.

use crate::cli::load::about;
use crate::dnssec::{Key, keyfile};
use crate::masterfile::Report;
use crate::wire::Name;
use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Most of a key file that is read: RSA keys of 4096 bits have some 4 KiB.
const MAX_FILE: u64 = 64 * 1024;

/// A key and where it lies: its files without ending.
#[derive(Debug)]
pub struct Filed {
    /// The key.
    pub key: Key,
    /// `…/Kexample.com.+013+12345`.
    pub stem: PathBuf,
}

impl Filed {
    /// One of its files.
    pub fn file(&self, ending: &str) -> PathBuf {
        with_ending(&self.stem, ending)
    }
}

/// Names have dots, so `with_extension` would cut them.
fn with_ending(stem: &Path, ending: &str) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Folder {
    /// The keys.
    pub keys: Vec<Filed>,
    /// Zones of keys that cannot be read, by the names of the files; the root for names that tell none.
    pub faulty: Vec<Name>,
}

/// Reads every key of a folder, in the order of file names; what cannot be read is in `report`. A folder that is not there has
/// no keys. Public keys without a private half are of keys that sign elsewhere, and passed over.
pub fn read(dir: &Path, report: &mut Report) -> Folder {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == ErrorKind::NotFound => return Folder::default(),
        Err(e) => {
            report
                .push(about(dir, e.to_string()).help("`[dnssec] keys` of floodway.toml names the folder of key files"));
            return Folder { keys: Vec::new(), faulty: vec![Name::root()] };
        }
    };
    let mut stems: Vec<PathBuf> = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(name) = name.filter(|name| name.starts_with('K'))
            && let Some(stem) = name.strip_suffix(".private")
        {
            stems.push(dir.join(stem));
        }
    }
    stems.sort();
    let (mut keys, mut faulty): (Vec<Filed>, Vec<Name>) = Default::default();
    for stem in stems {
        let (public, private) = (with_ending(&stem, ".key"), with_ending(&stem, ".private"));
        let read = text_of(&public).map_err(|e| (&public, e)).and_then(|public| {
            let private_text = text_of(&private).map_err(|e| (&private, e))?;
            keyfile::read(&public, &private_text).map_err(|e| (&private, e))
        });
        match read {
            Ok(key) if keys.iter().any(|k| k.key.zone == key.zone && k.key.dnskey() == key.dnskey()) => {
                report.push(about(&public, "this key is in another file here, too").help("remove the copy"));
                faulty.push(key.zone);
            }
            Ok(key) => {
                if let Some(fault) = key.timing.fault() {
                    let help = "Publish, Activate, Inactive and Delete come in this order";
                    report.push(about(&private, format!("the times of key {} are wrong: {fault}", key.tag)).help(help));
                    faulty.push(key.zone.clone());
                }
                keys.push(Filed { key, stem });
            }
            Err((path, e)) => {
                faulty.push(zone_of(&stem).unwrap_or_else(Name::root));
                report.push(about(path, e));
            }
        }
    }
    Folder { keys, faulty }
}

/// The zones that have keys in a folder, by the names of the files.
pub fn zones(dir: &Path) -> HashSet<Name> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let private = entries.filter(|path| path.extension().is_some_and(|extension| extension == "private"));
    private.filter_map(|path| zone_of(&path)).collect()
}

/// The zone that a key's files are named for: `Kexample.com.+013+12345`.
fn zone_of(stem: &Path) -> Option<Name> {
    stem.file_name()?.to_str()?.strip_prefix('K')?.split('+').next()?.parse().ok()
}

fn text_of(path: &Path) -> Result<String, String> {
    let len = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if len > MAX_FILE {
        return Err(format!("{len} octets: no key file is that long"));
    }
    std::fs::read_to_string(path).map_err(|e| e.to_string())
}

/// Writes a key into a folder, which is made if it is not there. Only its owner may read the private half.
///
/// # Errors
/// A text for people; nothing is overwritten.
pub fn write_new(dir: &Path, key: &Key) -> Result<PathBuf, String> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let stem = dir.join(keyfile::stem(&key.zone, key.algorithm, key.tag));
    let (public, private) = keyfile::print(key);
    let (of_public, of_private) = (with_ending(&stem, ".key"), with_ending(&stem, ".private"));
    create(&of_public, 0o644, &public)?;
    // A public key without the other half would stand in the way of the next try.
    create(&of_private, 0o600, &private).inspect_err(|_| drop(std::fs::remove_file(&of_public)))?;
    Ok(stem)
}

/// Writes a key's files anew, each as a whole: its times have changed.
///
/// # Errors
/// A text for people.
pub fn rewrite(filed: &Filed) -> Result<(), String> {
    let (public, private) = keyfile::print(&filed.key);
    // The private half first: that is where times are read.
    for (ending, mode, text) in [(".private", 0o600, private), (".key", 0o644, public)] {
        let (file, new) = (filed.file(ending), filed.file(&format!("{ending}.new")));
        // One that a crash has left behind.
        drop(std::fs::remove_file(&new));
        create(&new, mode, &text)?;
        std::fs::rename(&new, &file).map_err(|e| format!("{}: {e}", file.display()))?;
    }
    Ok(())
}

/// Writes a file that was not there before.
///
/// # Errors
/// A text for people.
pub fn create(path: &Path, mode: u32, text: &str) -> Result<(), String> {
    let mut options = OpenOptions::new();
    let created = options.write(true).create_new(true).mode(mode).open(path);
    created.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => format!("{}: is there already, and is not overwritten", path.display()),
        _ => format!("{}: {e}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::{Algorithm, Timing};
    use std::os::unix::fs::PermissionsExt;

    /// Keys that were written are read; what is wrong with one is told with its file, and the others are there.
    #[test]
    fn a_folder_of_keys() {
        let dir = tempfile::tempdir().unwrap();
        let keys = dir.path().join("keys");
        let mut report = Report::default();
        assert!(read(&keys, &mut report).keys.is_empty() && report.diagnostics.is_empty());
        let make =
            || Key::generate("a.b.example".parse().unwrap(), 257, Algorithm::Ed25519, Timing::default()).unwrap();
        let (first, second) = (make(), make());
        let stem = write_new(&keys, &first).unwrap();
        write_new(&keys, &second).unwrap();
        assert!(write_new(&keys, &first).unwrap_err().contains("is not overwritten"));
        let private = with_ending(&stem, ".private");
        assert_eq!(std::fs::metadata(&private).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read(&keys, &mut report).keys.len(), 2);
        assert!(report.diagnostics.is_empty());
        std::fs::write(&private, "Private-key-format: v9\n").unwrap();
        let Folder { keys: left, faulty } = read(&keys, &mut report);
        assert_eq!(faulty[0].to_string(), "a.b.example.");
        assert_eq!((left.len(), left[0].key.tag), (1, second.tag));
        assert!(report.to_string().contains("v1.2 and v1.3 are read"), "{report}");
    }
}
