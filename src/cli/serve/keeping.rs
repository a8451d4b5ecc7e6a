//! What a server keeps for later: its history, and what a successor takes over.

use crate::cli::config::Config;
use crate::cli::serve::takeover::{Estate, Heirloom};
use crate::clock::Clock;
use crate::control::live;
use crate::store::History;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The history, unless it is off. A server without one answers all the same.
pub fn keep_history(config: &Config, clock: Clock) -> Option<Arc<History>> {
    if config.store.off {
        return None;
    }
    match History::start(&config.store, &config.state.dir, clock, live::give_way) {
        Ok(history) => Some(Arc::new(history)),
        Err(e) => {
            tracing::error!("the history cannot be written: {e}; nothing is kept");
            None
        }
    }
}

/// Waits for a server that takes over. One that cannot be taken over from serves all the same.
pub fn keep_for_successors(
    config: &Config,
    is_successor: bool,
    copies: Vec<OwnedFd>,
    estate: Estate,
) -> Option<Heirloom> {
    let kept = Heirloom::keep(&config.state.dir, is_successor, copies, estate);
    let why = match kept {
        Ok(heirloom) => return Some(heirloom),
        Err(e) if e.kind() == ErrorKind::AddrInUse => "another server runs on it".to_owned(),
        Err(e) => e.to_string(),
    };
    tracing::warn!("nobody can take over from this server: {}: {why}", config.state.dir.display());
    None
}
