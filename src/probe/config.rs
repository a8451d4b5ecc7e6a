//! `[probe]` in `floodway.toml`: what all probes share. Whom to ask, and how, is a matter of policies.

use std::net::IpAddr;
use std::path::PathBuf;

/// Most probes a second, and at one time, that may be allowed.
const MOST: usize = 10_000;

/// `[probe]`.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Whether no probes are made at all; default no.
    pub off: bool,
    /// The name of this vantage point, in metrics and where several look at one POP; default: the host's name.
    pub place: String,
    /// Addresses that probes come from, at most one of each family; default: what the system takes.
    pub source: Vec<IpAddr>,
    /// Probes that begin in a second, of all POPs together; default 100.
    pub per_second: f64,
    /// Probes at one time; default 64.
    pub concurrent: usize,
    /// A file of authorities in PEM, for `https://` and `grpcs://` without `probe.ca`; default: the system's.
    pub ca: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Config {
        Config { off: false, place: String::new(), source: Vec::new(), per_second: 100.0, concurrent: 64, ca: None }
    }
}

impl Config {
    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people.
    pub fn check(&self) -> Result<(), String> {
        if !self.place.is_empty() && !is_place(&self.place) {
            return Err(format!("[probe] place = {:?}: up to 63 letters, digits, - . and _", self.place));
        }
        for is_v4 in [true, false] {
            if self.source.iter().filter(|addr| addr.is_ipv4() == is_v4).count() > 1 {
                return Err("[probe] source: at most one address of each family".into());
            }
        }
        if !(self.per_second >= 0.1 && self.per_second <= MOST as f64) {
            return Err(format!("[probe] per-second = {}: 0.1 to {MOST}", self.per_second));
        }
        if !(1..=MOST).contains(&self.concurrent) {
            return Err(format!("[probe] concurrent = {}: 1 to {MOST}", self.concurrent));
        }
        Ok(())
    }
}

/// Whether a text can name a vantage point.
pub fn is_place(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}
