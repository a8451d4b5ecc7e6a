//! Housekeeping: what is older than it is kept, what nobody is named after any more, the room that leaves.

use crate::store::config::Keep;
use crate::store::rollup::{Level, floor};
use crate::store::sqlite::{Error, File};
use rusqlite::params;

/// Pages given back to the disk at once: 4 MiB.
const PAGES: i64 = 1024;
/// Seconds of a day.
const DAY: i64 = 86_400;

impl File {
    /// Deletes what is older than `keep` says, of at most `n_series` series with numbers above `after`; gives the number
    /// to go on after, or `None` at the end. Inside [`File::whole`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn prune(&self, keep: &Keep, after: i64, n_series: usize, now: i64) -> Result<Option<i64>, Error> {
        let mut of_series =
            self.connection.prepare_cached("DELETE FROM block WHERE series = ? AND level = ? AND start < ?")?;
        let mut is_used = self.connection.prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM block WHERE series = ?1) OR EXISTS (SELECT 1 FROM model WHERE series = ?1)",
        )?;
        let mut names = self.connection.prepare_cached("SELECT id FROM series WHERE id > ? ORDER BY id LIMIT ?")?;
        let ids = names.query_map(params![after, n_series as i64], |row| row.get::<_, i64>(0))?;
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        let mut idle = Vec::new();
        for &id in &ids {
            for level in Level::ALL {
                // Whole blocks, once their last bucket is too old.
                let oldest = now - keep.days(level) * DAY - level.block_secs();
                of_series.execute(params![id, level.secs(), oldest])?;
            }
            if !is_used.query_row([id], |row| row.get(0))? {
                idle.push(id);
            }
        }
        if !idle.is_empty() {
            self.forget_idle(&idle)?;
        }
        let last = ids.last().copied();
        if last.is_none() {
            let before = |days: u32| now - i64::from(days) * DAY;
            self.connection.execute("DELETE FROM forecast WHERE target < ?", [before(keep.forecasts)])?;
            self.connection.execute("DELETE FROM plan WHERE at < ?", [before(keep.plans)])?;
            self.connection.execute("DELETE FROM model WHERE at < ?", [before(keep.models)])?;
        }
        Ok(last)
    }

    /// Takes the numbers of series that nothing has, neither fresh minutes nor forecasts.
    fn forget_idle(&self, ids: &[i64]) -> Result<(), Error> {
        let collect = |sql: &str| {
            let mut query = self.connection.prepare_cached(sql)?;
            let found = query.query_map([], |row| row.get::<_, i64>(0))?;
            found.collect::<Result<std::collections::HashSet<_>, _>>()
        };
        let fresh = collect("SELECT DISTINCT series FROM fresh")?;
        let forecast = collect("SELECT DISTINCT series FROM forecast")?;
        let mut delete = self.connection.prepare_cached("DELETE FROM series WHERE id = ?")?;
        for id in ids.iter().filter(|id| !fresh.contains(id) && !forecast.contains(id)) {
            delete.execute([id])?;
            self.ids.borrow_mut().retain(|_, known| known != id);
        }
        Ok(())
    }

    /// Gives some of the pages that are free back to the disk. Outside of [`File::whole`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn shrink(&self) -> Result<(), Error> {
        Ok(self.connection.execute_batch(&format!("PRAGMA incremental_vacuum({PAGES})"))?)
    }

    /// Checks every page and writes the whole file anew, without gaps. It takes the time that this takes, and the room of
    /// a second file. Outside of [`File::whole`].
    ///
    /// # Errors
    /// See [`Error`]; [`Error::Damaged`] with what SQLite found.
    pub fn compact(&self) -> Result<(), Error> {
        let found: String = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found != "ok" {
            return Err(Error::Damaged(found));
        }
        self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?;
        Ok(())
    }
}

/// The moment before which a minute's bucket is too old to be kept at any level.
pub fn oldest(keep: &Keep, now: i64) -> i64 {
    let longest = Level::ALL.into_iter().map(|level| keep.days(level)).max().unwrap_or(0);
    floor(now - longest * DAY, Level::Hour.block_secs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::rollup::Bucket;
    use crate::store::series::SeriesName;
    use crate::store::sqlite::Purpose;

    #[test]
    fn each_level_is_kept_as_long_as_it_should_be() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("history.db"), Purpose::Write).unwrap();
        let load: SeriesName = "pop/a/load-rps".parse().unwrap();
        let gone: SeriesName = "pop/gone/load-rps".parse().unwrap();
        let days: Vec<_> = (0..400).map(|day| (day * DAY, Bucket::of(1.0, 0, false))).collect();
        let now = 400 * DAY;
        file.whole(|file| {
            file.add(&gone, &days[..1], now)?;
            file.add(&load, &days, now)
        })
        .unwrap();
        let keep = Keep { minutes: 10, five_minutes: 20, quarters: 30, hours: 300, ..Keep::default() };
        let mut after = Some(0);
        while let Some(from) = after {
            after = file.whole(|file| file.prune(&keep, from, 1, now)).unwrap();
            file.shrink().unwrap();
        }
        for level in Level::ALL {
            let found = file.buckets(&load, level, i64::MIN / 4..i64::MAX / 4).unwrap();
            let kept = (now - found[0].0) / DAY;
            let slack = level.block_secs().div_euclid(DAY) + 1;
            assert!((keep.days(level)..=keep.days(level) + slack).contains(&kept), "{level:?}: {kept} days");
        }
        assert_eq!(file.names().unwrap(), std::slice::from_ref(&load));
        assert!(oldest(&keep, now) <= 100 * DAY);
        file.compact().unwrap();
        assert_eq!(file.extents(&load).unwrap().len(), 4);
    }
}
