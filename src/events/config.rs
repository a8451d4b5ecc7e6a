//! `[events]` in `floodway.toml`.

use crate::events::calendar::DEFAULT_ROOM;
use std::path::PathBuf;

/// Most announcements that may be allowed: each takes about a kilobyte, and they are written down as a whole.
const MOST_ROOM: usize = 100_000;

/// Announced events.
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Folder of calendars: `*.ics` with `X-FLOODWAY-…` properties, and `*.toml` with `[[announce]]` tables. Default none.
    pub dir: Option<PathBuf>,
    /// Announcements that may stand at one time. Default 1000.
    pub room: usize,
    /// Greatest part of the declared capacity of a group's POPs that one announcer may claim before anything has come, in
    /// `(0, 1]`. Default 0.5: our choice, half of a network for one mailing is as much as anybody should be believed.
    pub announcer_share: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { dir: None, room: DEFAULT_ROOM, announcer_share: 0.5 }
    }
}

impl Config {
    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=MOST_ROOM).contains(&self.room) {
            return Err(format!("[events] room = {}: 1 to {MOST_ROOM}", self.room));
        }
        if !(self.announcer_share > 0.0 && self.announcer_share <= 1.0) {
            return Err(format!("[events] announcer-share = {}: above 0 and up to 1", self.announcer_share));
        }
        Ok(())
    }
}
