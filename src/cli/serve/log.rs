//! The log, on standard error.

use crate::cli::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

/// Levels as people write them, and as the filter takes them.
const LEVELS: [(&str, &str); 7] = [
    ("off", "off"),
    ("error", "error"),
    ("warn", "warn"),
    ("warning", "warn"),
    ("info", "info"),
    ("debug", "debug"),
    ("trace", "trace"),
];

/// What writes log lines in this process: we, and the crates that a filter may name.
const TARGETS: [&str; 13] = [
    "floodway",
    "axum",
    "h2",
    "h3",
    "hyper",
    "hyper_util",
    "mio",
    "notify",
    "quinn",
    "quinn_proto",
    "rustls",
    "tonic",
    "tower",
];

/// Starts logging as configured; the environment's `FLOODWAY_LOG` wins.
///
/// # Errors
/// As [`filter`].
pub(super) fn log_to_stderr(config: &Config) -> Result<(), String> {
    let filter = filter(config)?;
    let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // A second call in one process changes nothing: the first log stays.
    let _ = match config.log.format {
        LogFormat::Text => log.with_ansi(colour).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    Ok(())
}

/// The filter that holds: the environment's, else the file's.
///
/// # Errors
/// A text for people: where it stands, the word that is not understood, and what would do.
pub(super) fn filter(config: &Config) -> Result<EnvFilter, String> {
    match std::env::var("FLOODWAY_LOG") {
        Ok(text) => parse(&text).map_err(|e| format!("FLOODWAY_LOG={text:?}: {e}")),
        Err(_) => parse(&config.log.filter).map_err(|e| format!("[log] filter = {:?}: {e}", config.log.filter)),
    }
}

/// Takes levels and `target=level`, parted by commas. The filter's own parser would take any word for a target that
/// logs everything, and so silence the rest.
fn parse(text: &str) -> Result<EnvFilter, String> {
    let directives: Vec<String> = text.split(',').map(directive).collect::<Result<_, _>>()?;
    EnvFilter::try_new(directives.join(",")).map_err(|e| e.to_string())
}

fn directive(text: &str) -> Result<String, String> {
    let level = |word: &str| LEVELS.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, level)| *level);
    let is_target = |word: &str| TARGETS.contains(&word.split("::").next().unwrap_or(word));
    let levels = "off, error, warn, info, debug or trace";
    match text.trim().split_once('=') {
        None => match level(text.trim()) {
            Some(level) => Ok(level.to_owned()),
            None if is_target(text.trim()) => Ok(text.trim().to_owned()),
            None => Err(format!("{:?} is no level; {levels} would do, or `floodway=debug`", text.trim())),
        },
        Some((target, _)) if !is_target(target) => {
            Err(format!("nothing here is called {target:?}; {} are", TARGETS.join(", ")))
        }
        Some((target, word)) => match level(word) {
            Some(level) => Ok(format!("{target}={level}")),
            None => Err(format!("{word:?} is no level; {levels} would do")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A word that was misspelled once silenced the whole log.
    #[test]
    fn what_is_no_level_is_refused() {
        let check = |text: &str, expected: &str| {
            let got = parse(text).map(|filter| filter.to_string());
            match got {
                Ok(got) => assert_eq!(got, expected, "{text}"),
                Err(e) => assert!(e.contains(expected) && !expected.is_empty(), "{text}: {e}"),
            }
        };
        check("info", "info");
        check("Warning", "warn");
        check("floodway=debug", "floodway=debug");
        check("quinn=warning", "quinn=warn");
        check("floodway::control=trace", "floodway::control=trace");
        check("inof", "\"inof\" is no level; off, error, warn");
        check("", "\"\" is no level");
        check("warn,", "\"\" is no level");
        check("flodway=debug", "nothing here is called \"flodway\"");
        check("floodway=loud", "\"loud\" is no level");
        assert!(parse("info, hyper=off").is_ok());
    }
}
