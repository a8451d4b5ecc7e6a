//! Follows the folder of zones and policies, and reloads when something in it changes.

use crate::cli::serve::reload::Reloader;
use notify::Watcher;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Quiet time in the zones folder before a change reloads: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(300);
/// How often it is looked whether folder and links still lead where they did.
const BEAT: Duration = Duration::from_secs(2);

/// Reloads a while after the last change of a zone or policy in the folder, after the folder was replaced, and after a link
/// in it leads elsewhere.
pub(super) fn watch_folder(runtime: &Runtime, reloader: &Arc<Reloader>) -> Option<JoinHandle<()>> {
    let dir = reloader.config.zones.dir.clone();
    let (changed, mut changes) = mpsc::unbounded_channel();
    let mut watcher = match watch(&dir, changed.clone()) {
        Ok(watcher) => Some(watcher),
        Err(e) => {
            tracing::warn!("{}: cannot be watched ({e}); SIGHUP reloads", dir.display());
            return None;
        }
    };
    let mut seen = Standing::of(&dir);
    let reloader = reloader.clone();
    Some(runtime.spawn(async move {
        loop {
            let is_told = match tokio::time::timeout(BEAT, changes.recv()).await {
                Ok(_) => {
                    while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok_and(|more| more.is_some()) {}
                    true
                }
                Err(_) => false,
            };
            let looked = (dir.clone(), seen.as_ref().map(Standing::links));
            let look = move || match looked {
                // Which files are links is only read anew where something was told of.
                (dir, Some(links)) if !is_told => Standing::again(&dir, links),
                (dir, _) => Standing::of(&dir),
            };
            let Ok(now) = tokio::task::spawn_blocking(look).await else { return };
            let Some(now) = now else {
                if seen.take().is_some() {
                    tracing::warn!("{}: the folder is gone; what it held is served on until it is back", dir.display());
                }
                watcher = None;
                continue;
            };
            let before = seen.replace(now);
            let (before, now) = (before.as_ref(), seen.as_ref());
            // The kernel watches the folder itself, not its name: another folder under the name needs a new watch.
            if watcher.is_none() || before.map(|b| b.folder) != now.map(|n| n.folder) {
                watcher = watch(&dir, changed.clone()).ok();
            }
            if is_told || before != now {
                let (reloader, dir) = (reloader.clone(), dir.clone());
                let reload = move || {
                    // Before the load, so that what changes meanwhile is seen the next time.
                    let standing = Standing::of(&dir);
                    reloader.reload_zones("a file changed");
                    standing
                };
                seen = tokio::task::spawn_blocking(reload).await.ok().flatten();
            }
        }
    }))
}

//----------- Standing -------------------------------------------------------

/// What stands under the name of the folder, as far as the kernel's watch does not tell: which folder it is, and where links
/// lead. Kubernetes puts `..data` in the place of another, through which all files go, and touches none of them.
#[derive(Debug, PartialEq)]
struct Standing {
    folder: (u64, u64, Option<SystemTime>),
    links: Vec<(PathBuf, Option<Stamp>)>,
}

/// Device, inode, size, and the time of the last change in seconds and nanoseconds.
type Stamp = (u64, u64, u64, i64, i64);

impl Standing {
    /// Reads the folder; `None` if there is none.
    fn of(dir: &Path) -> Option<Standing> {
        let links = fs::read_dir(dir).ok()?.flatten().filter(|entry| entry.file_type().is_ok_and(|t| t.is_symlink()));
        let mut links: Vec<_> = links.map(|entry| entry.path()).filter(|path| matters(path)).collect();
        links.sort();
        Standing::again(dir, links)
    }

    /// The same of links that are known.
    fn again(dir: &Path, links: Vec<PathBuf>) -> Option<Standing> {
        let folder = fs::metadata(dir).ok().filter(fs::Metadata::is_dir)?;
        let stamp =
            |path: &PathBuf| fs::metadata(path).ok().map(|m| (m.dev(), m.ino(), m.size(), m.mtime(), m.mtime_nsec()));
        let links = links.into_iter().map(|path| (path.clone(), stamp(&path))).collect();
        // A folder that is made anew may get the inode of the one before.
        Some(Standing { folder: (folder.dev(), folder.ino(), folder.created().ok()), links })
    }

    fn links(&self) -> Vec<PathBuf> {
        self.links.iter().map(|(path, _)| path.clone()).collect()
    }
}

fn matters(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "zone" || e == "policy")
}

fn watch(dir: &Path, changed: mpsc::UnboundedSender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let reads_only = |e: &notify::Event| matches!(e.kind, notify::EventKind::Access(_));
        if event.is_ok_and(|e| !reads_only(&e) && e.paths.iter().any(|path| matters(path))) {
            let _ = changed.send(()); // the receiver is gone only when the server stops
        }
    })?;
    watcher.watch(dir, notify::RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// As a ConfigMap is mounted and changed: https://kubernetes.io/docs/concepts/configuration/configmap/
    #[test]
    fn links_that_lead_elsewhere_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (folder, text) in [("..1", "one"), ("..2", "two")] {
            fs::create_dir(at(folder)).unwrap();
            fs::write(at(folder).join("a.zone"), text).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/a.zone", at("a.zone")).unwrap();
        fs::write(at("b.zone"), "a file").unwrap();
        let before = Standing::of(dir.path()).unwrap();
        assert_eq!(before.links(), [at("a.zone")], "files are told of by the kernel");
        let again = || Standing::again(dir.path(), before.links()).unwrap();
        assert_eq!(again(), before);
        symlink("..2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert_ne!(again(), before);
        fs::remove_file(at("..data")).unwrap();
        assert_eq!(again().links[0].1, None, "one that leads nowhere is something else, too");
    }

    #[test]
    fn another_folder_under_the_name_is_seen() {
        let dir = tempfile::tempdir().unwrap();
        let zones = dir.path().join("zones");
        assert_eq!(Standing::of(&zones), None);
        fs::create_dir(&zones).unwrap();
        let before = Standing::of(&zones);
        fs::rename(&zones, dir.path().join("old")).unwrap();
        fs::create_dir(&zones).unwrap();
        assert_ne!(Standing::of(&zones), before);
    }
}
