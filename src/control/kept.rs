//! What the control loop leaves on disk for the next process, in the state folder.
//!
//! The only I/O of `control` beside the loop itself. A text is written beside and renamed, so that a crash leaves the old one
//! or the new one.

use crate::clock::Now;
use crate::control::accounts::Accounts;
use crate::control::announced::Kept;
use crate::control::persist::Saved;
use std::io::Write;
use std::path::Path;

/// Name of the saved plan in the state directory.
pub(super) const FILE: &str = "plan.json";
/// Name of the saved events there.
pub(super) const EVENTS_FILE: &str = "events.json";

/// Name of the saved accounts of shadows there.
pub(super) const ACCOUNTS_FILE: &str = "shadows.json";

/// Reads the plan that an earlier process left in `dir`; what cannot be used is logged and left out.
pub fn read_saved(dir: &Path, now: Now) -> Option<Saved> {
    let path = dir.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        Err(e) => {
            tracing::warn!("{}: {e}; starting from what is declared", path.display());
            return None;
        }
    };
    match Saved::parse(&text, now.unix) {
        Ok(saved) => Some(saved),
        Err(why) => {
            tracing::warn!("{}: {why}; starting from what is declared", path.display());
            None
        }
    }
}

/// Reads the events that an earlier process left in `dir`; what cannot be used is logged and left out.
pub fn read_events(dir: &Path) -> Kept {
    let path = dir.join(EVENTS_FILE);
    let kept = match std::fs::read_to_string(&path) {
        Ok(text) => Kept::parse(&text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Kept::default(),
        Err(e) => Err(e.to_string()),
    };
    kept.unwrap_or_else(|why| {
        tracing::warn!("{}: {why}; announced events begin anew", path.display());
        Kept::default()
    })
}

/// Reads what shadows had cost and brought, as an earlier process left it in `dir`; what cannot be used is logged and left out.
pub fn read_accounts(dir: &Path) -> Accounts {
    let path = dir.join(ACCOUNTS_FILE);
    let read = match std::fs::read_to_string(&path) {
        Ok(text) => Accounts::parse(&text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Accounts::default(),
        Err(e) => Err(e.to_string()),
    };
    read.unwrap_or_else(|why| {
        tracing::warn!("{}: {why}; standby is counted anew, this month's budget, too", path.display());
        Accounts::default()
    })
}

/// Writes beside and renames, so that a crash leaves the old text or the new one; the new one is on the disk when this returns.
pub(super) fn write_beside(dir: &Path, name: &str, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let beside = dir.join(format!("{name}.new"));
    let mut file = std::fs::File::create(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&beside, dir.join(name))?;
    std::fs::File::open(dir)?.sync_all()
}
