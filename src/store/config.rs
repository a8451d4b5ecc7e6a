//! `[store]`: where the history is, and for how long it is kept.

use crate::store::rollup::Level;
use serde::Deserialize;
use std::path::{Component, Path, PathBuf};

/// Longest time that anything may be kept, in days: a century.
const MAX_DAYS: u32 = 36_500;

/// `[store]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Name of the file in the state folder, whose lock makes it one server's; default `history.db`.
    pub path: PathBuf,
    /// Whether nothing is kept; default no.
    pub off: bool,
    /// `[store.keep]`.
    pub keep: Keep,
}

/// `[store.keep]`: for how long what is kept, in days.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Keep {
    /// Minutes; default 90: a quarter of a year, so that a week has a dozen before it.
    pub minutes: u32,
    /// Five minutes; default 180.
    pub five_minutes: u32,
    /// Quarters of an hour; default 400: the same week of last year.
    pub quarters: u32,
    /// Hours; default 1,100: three years, for what grows.
    pub hours: u32,
    /// Forecasts as issued; default 7. Their scores are series, and kept like these.
    pub forecasts: u32,
    /// What plans gave to members; default 90.
    pub plans: u32,
    /// States of models that are not renewed; default 30.
    pub models: u32,
}

impl Default for Config {
    fn default() -> Config {
        Config { path: "history.db".into(), off: false, keep: Keep::default() }
    }
}

impl Default for Keep {
    fn default() -> Keep {
        Keep { minutes: 90, five_minutes: 180, quarters: 400, hours: 1100, forecasts: 7, plans: 90, models: 30 }
    }
}

impl Keep {
    /// Days that a level is kept.
    pub fn days(&self, level: Level) -> i64 {
        i64::from(match level {
            Level::Minute => self.minutes,
            Level::FiveMinutes => self.five_minutes,
            Level::Quarter => self.quarters,
            Level::Hour => self.hours,
        })
    }
}

impl Config {
    /// The file, in the state folder `state`.
    pub fn file(&self, state: &Path) -> PathBuf {
        state.join(&self.path)
    }

    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people.
    pub fn check(&self) -> Result<(), String> {
        let mut parts = self.path.components();
        if !matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) {
            return Err(format!(
                "[store] path = {:?}: the name of a file in the state folder ([state] dir), such as `history.db`",
                self.path
            ));
        }
        let Keep { minutes, five_minutes, quarters, hours, forecasts, plans, models } = self.keep;
        let levels = [("minutes", minutes), ("five-minutes", five_minutes), ("quarters", quarters), ("hours", hours)];
        let others = [("forecasts", forecasts), ("plans", plans), ("models", models)];
        if let Some((key, days)) = levels.iter().chain(&others).find(|(_, days)| !(1..=MAX_DAYS).contains(days)) {
            return Err(format!("[store.keep] {key} = {days}: 1 to {MAX_DAYS} days"));
        }
        if let Some(pair) = levels.windows(2).find(|pair| pair[0].1 > pair[1].1) {
            return Err(format!(
                "[store.keep] {} = {} is more than {} = {}: coarse levels are kept at least as long as finer ones",
                pair[0].0, pair[0].1, pair[1].0, pair[1].1
            ));
        }
        Ok(())
    }
}
