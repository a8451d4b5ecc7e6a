//! Whether a file is as it was read.
//!
//! It is if the system says so (device, inode, length and both times of change, the later one long enough before it was read), or
//! if its octets have the same keyed hash.

use crate::cli::load::read;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A file that changed less than this before it was read may have changed again since, unseen: file systems count time in
/// steps of up to two seconds.
const GRAIN: Duration = Duration::from_secs(2);

/// Keys of the hashes, new for every process, so that nobody can prepare two texts that look alike.
pub(in crate::cli) static KEYS: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let random = RandomState::new();
    (random.hash_one(0), random.hash_one(1))
});

//----------- Seen -----------------------------------------------------------

/// A file as it was read.
#[derive(Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) stamp: Option<Stamp>,
    /// Keyed, of its octets.
    pub(super) hash: Option<u128>,
}

/// What the system says of a file's version; only taken if it can be relied on, see [`GRAIN`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    dev: u64,
    ino: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let m = std::fs::metadata(path).ok()?;
        let (modified, changed) = ((m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec()));
        let latest = modified.max(changed);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let then = Duration::new(latest.0.try_into().ok()?, latest.1.try_into().ok()?);
        let age = now.checked_sub(then)?;
        (age >= GRAIN).then_some(Stamp { dev: m.dev(), ino: m.ino(), len: m.len(), modified, changed })
    }
}

/// A look at a file that may have been seen before.
pub(super) struct Looked {
    /// The file, if it is unchanged.
    pub(super) file: Option<Seen>,
    /// Its octets, if they had to be read to know.
    octets: Option<Result<Vec<u8>, String>>,
    stamp: Option<Stamp>,
}

impl Looked {
    pub(super) fn at(path: &Path, before: Option<&Seen>) -> Looked {
        let stamp = Stamp::of(path);
        let Some(before) = before else { return Looked { file: None, octets: None, stamp } };
        if stamp.is_some() && stamp == before.stamp {
            return Looked { file: Some(*before), octets: None, stamp };
        }
        let Some(known) = before.hash else { return Looked { file: None, octets: None, stamp } };
        let octets = read(path);
        let same = octets.as_ref().is_ok_and(|octets| hash(octets) == known);
        Looked { file: same.then_some(Seen { stamp, hash: Some(known) }), octets: Some(octets), stamp }
    }

    /// The octets, and the stamp that held before they were read.
    pub(super) fn take(self, path: &Path) -> Result<(Vec<u8>, Option<Stamp>), String> {
        Ok((self.octets.unwrap_or_else(|| read(path))?, self.stamp))
    }
}

/// A file that was not seen before.
pub(super) fn read_and_hash(path: &Path) -> Result<(Vec<u8>, Seen), String> {
    let stamp = Stamp::of(path);
    let octets = read(path)?;
    let hash = Some(hash(&octets));
    Ok((octets, Seen { stamp, hash }))
}

pub(super) fn hash(octets: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(KEYS.0, KEYS.1);
    hasher.write(octets);
    hasher.finish128().as_u128()
}
