//! What the process is told by signals.

use crate::cli::serve::reload::Reloader;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Reloads on SIGHUP; returns on SIGTERM or SIGINT.
pub(super) async fn until_told(reloader: &Arc<Reloader>) -> Result<(), String> {
    let on = |kind| signal(kind).map_err(|e| format!("signals: {e}"));
    let (mut hup, mut term, mut int) =
        (on(SignalKind::hangup())?, on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    loop {
        tokio::select! {
            _ = hup.recv() => {
                let reloader = reloader.clone();
                let _ = tokio::task::spawn_blocking(move || reloader.reload("SIGHUP")).await;
            }
            _ = term.recv() => break,
            _ = int.recv() => break,
        }
    }
    tracing::info!("draining");
    Ok(())
}
