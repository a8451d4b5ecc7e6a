//! One server per state folder: two that write one plan would steer by each other's.

use std::fs::{self, File, TryLockError};
use std::path::Path;

/// The file that is locked (flock(2)); what is in it does not matter, and it stays when the server ends.
const NAME: &str = "lock";

/// The right to write into a state folder, for as long as this is held; the kernel takes it back from a process that dies.
#[derive(Debug)]
pub(in crate::cli) struct Claim(#[expect(dead_code, reason = "the lock is held by being open")] File);

impl Claim {
    /// Takes the folder, which is made if need be. `None`, and a word in the log, where files cannot be written or locked:
    /// queries are answered all the same.
    ///
    /// # Errors
    /// A text for people: another server has it.
    pub(in crate::cli) fn take(dir: &Path) -> Result<Option<Claim>, String> {
        let path = dir.join(NAME);
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let locked = fs::create_dir_all(dir).and_then(|()| open()).map_err(TryLockError::Error);
        match locked.and_then(|file| file.try_lock().map(|()| Claim(file))) {
            Ok(claim) => Ok(Some(claim)),
            Err(TryLockError::WouldBlock) => Err(format!(
                "{}: another server runs on this state folder; `floodway serve --takeover` takes over from it, and a \
                 second server needs a folder of its own ([state] dir)",
                dir.display()
            )),
            Err(TryLockError::Error(e)) => {
                tracing::warn!("{}: {e}; plans are not kept over a restart", path.display());
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_server_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        let first = Claim::take(&state).unwrap();
        assert!(first.is_some());
        assert!(Claim::take(&state).unwrap_err().contains("another server runs on this state folder"));
        drop(first);
        assert!(Claim::take(&state).unwrap().is_some());
        // A folder that cannot be made costs the plan, not the service.
        assert!(Claim::take(&state.join("lock").join("below")).unwrap().is_none());
    }
}
