//! Follows the folder of zones and policies, and reloads when something in it changes.

use crate::cli::serve::reload::Reloader;
use notify::Watcher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Quiet time in the zones folder before a change reloads: editors write in several steps.
const SETTLE: Duration = Duration::from_millis(300);
/// How often it is looked whether the folder under the name is still the one that is watched.
const FOLDER_BEAT: Duration = Duration::from_secs(2);

/// Reloads a while after the last change of a zone or policy in the folder, or after the folder was replaced.
pub(super) fn watch_folder(runtime: &Runtime, reloader: &Arc<Reloader>) -> Option<JoinHandle<()>> {
    let dir = reloader.config.zones.dir.clone();
    let (changed, mut changes) = mpsc::unbounded_channel();
    let mut watching = match watch(&dir, changed.clone()) {
        Ok(watcher) => (watcher, identity(&dir)),
        Err(e) => {
            tracing::warn!("{}: cannot be watched ({e}); SIGHUP reloads", dir.display());
            return None;
        }
    };
    let reloader = reloader.clone();
    Some(runtime.spawn(async move {
        loop {
            match tokio::time::timeout(FOLDER_BEAT, changes.recv()).await {
                Ok(_) => while tokio::time::timeout(SETTLE, changes.recv()).await.is_ok_and(|more| more.is_some()) {},
                // The kernel watches the folder itself, not its name: another folder under the name needs a new watch.
                Err(_) if identity(&dir) == watching.1 || identity(&dir).is_none() => continue,
                Err(_) => {}
            }
            if identity(&dir) != watching.1
                && let Ok(watcher) = watch(&dir, changed.clone())
            {
                watching = (watcher, identity(&dir));
            }
            let reloader = reloader.clone();
            let _ = tokio::task::spawn_blocking(move || reloader.reload_zones("a file changed")).await;
        }
    }))
}

/// Which folder stands under a name: device and inode.
fn identity(dir: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(dir).ok().map(|m| (m.dev(), m.ino()))
}

fn watch(dir: &Path, changed: mpsc::UnboundedSender<()>) -> notify::Result<notify::RecommendedWatcher> {
    let matters = |path: &PathBuf| path.extension().is_some_and(|e| e == "zone" || e == "policy");
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let reads_only = |e: &notify::Event| matches!(e.kind, notify::EventKind::Access(_));
        if event.is_ok_and(|e| !reads_only(&e) && e.paths.iter().any(matters)) {
            let _ = changed.send(()); // the receiver is gone only when the server stops
        }
    })?;
    watcher.watch(dir, notify::RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
