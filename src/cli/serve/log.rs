//! The log, on standard error.

use crate::cli::config::{Config, LogFormat};

/// Starts logging as configured; the environment's `FLOODWAY_LOG` wins.
///
/// # Errors
/// A filter that is not understood.
pub(super) fn log_to_stderr(config: &Config) -> Result<(), String> {
    let (filter, from) = match std::env::var("FLOODWAY_LOG") {
        Ok(filter) => (filter, "FLOODWAY_LOG"),
        Err(_) => (config.log.filter.clone(), "[log] filter"),
    };
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .map_err(|e| format!("{from} {filter:?}: {e}; `info` or `floodway=debug` would do"))?;
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second call in one process changes nothing: the first log stays.
    let _ = match config.log.format {
        LogFormat::Text => log.with_ansi(colour).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    Ok(())
}
