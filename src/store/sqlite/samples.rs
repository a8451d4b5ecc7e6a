//! Samples in the file: recent minutes as rows, older stretches as blocks of every level.
//!
//! A minute is a row of `fresh` until its hour is over and late samples have had their time; then [`File::seal`] merges
//! it into one block of each level, in the transaction that takes the row away. So nothing is counted twice or left out
//! at any moment, a level is blocks and fresh rows together, and what comes later still is merged into the blocks at once.

use crate::store::block;
use crate::store::codec::Octets;
use crate::store::rollup::{Bucket, Level, floor, fold};
use crate::store::series::SeriesName;
use crate::store::sketch::Sketch;
use crate::store::sqlite::{Error, File};
use rusqlite::{OptionalExtension, Row, params};
use std::ops::Range;

/// How long after its hour a late sample still goes into the fresh rows, seconds.
const GRACE_SECS: i64 = 120;

/// The moment before which minutes belong in blocks: the beginning of the last hour that is not sealed at `now`.
pub fn sealed_before(now: i64) -> i64 {
    floor(now - GRACE_SECS, Level::Minute.block_secs())
}

/// What there is of a series at one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The series.
    pub series: SeriesName,
    /// The level.
    pub level: Level,
    /// Buckets.
    pub n_buckets: u64,
    /// Beginning of the first, unix seconds.
    pub first: i64,
    /// Beginning of the last.
    pub last: i64,
    /// Octets of its blocks.
    pub octets: u64,
}

impl File {
    //------- Numbers of series

    /// The number of a series, if it has one.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn known(&self, name: &SeriesName) -> Result<Option<i64>, Error> {
        if let Some(id) = self.ids.borrow().get(name) {
            return Ok(Some(*id));
        }
        let mut query = self.connection.prepare_cached("SELECT id FROM series WHERE name = ?")?;
        let id = query.query_row([name.as_str()], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            self.ids.borrow_mut().insert(name.clone(), id);
        }
        Ok(id)
    }

    /// The number of a series, given to it if need be.
    pub(super) fn number(&self, name: &SeriesName) -> Result<i64, Error> {
        if let Some(id) = self.known(name)? {
            return Ok(id);
        }
        self.connection.prepare_cached("INSERT INTO series (name) VALUES (?)")?.execute([name.as_str()])?;
        let id = self.connection.last_insert_rowid();
        self.ids.borrow_mut().insert(name.clone(), id);
        Ok(id)
    }

    /// Every series, by name. A name that this version does not understand is left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn names(&self) -> Result<Vec<SeriesName>, Error> {
        let mut query = self.connection.prepare_cached("SELECT name FROM series ORDER BY name")?;
        let names = query.query_map([], |row| row.get::<_, String>(0))?;
        let names = names.collect::<Result<Vec<_>, _>>()?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }

    //------- Writing

    /// Adds minutes of a series, ascending; those that begin before `sealed` go into blocks. Inside [`File::whole`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn add(&self, name: &SeriesName, minutes: &[(i64, Bucket)], sealed: i64) -> Result<(), Error> {
        let id = self.number(name)?;
        let (old, fresh) = minutes.split_at(minutes.partition_point(|(start, _)| *start < sealed));
        self.add_blocks(id, Level::Minute, old)?;
        let mut find = self.connection.prepare_cached(
            "SELECT start, count, sum, min, max, last, last_ms, sketch FROM fresh WHERE start = ? AND series = ?",
        )?;
        let mut put =
            self.connection.prepare_cached("INSERT OR REPLACE INTO fresh VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (start, bucket) in fresh {
            let mut merged = find.query_row([*start, id], fresh_row).optional()?.flatten().map(|(_, found)| found);
            let bucket = match &mut merged {
                Some(found) => {
                    found.merge(bucket, 0);
                    found
                }
                None => bucket,
            };
            let sketch = bucket.sketch.as_ref().map(|sketch| {
                let mut octets = Vec::new();
                sketch.encode(&mut octets);
                octets
            });
            let Bucket { count, sum, min, max, last, last_ms, .. } = bucket;
            put.execute(params![start, id, *count as i64, sum, min, max, last, last_ms, sketch])?;
        }
        Ok(())
    }

    /// Adds buckets of one level, ascending, to the blocks of that level and of all coarser ones. Inside [`File::whole`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn add_coarse(&self, name: &SeriesName, level: Level, buckets: &[(i64, Bucket)]) -> Result<(), Error> {
        self.add_blocks(self.number(name)?, level, buckets)
    }

    fn add_blocks(&self, id: i64, from: Level, buckets: &[(i64, Bucket)]) -> Result<(), Error> {
        if buckets.is_empty() {
            return Ok(());
        }
        let mut put = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO block (series, level, start, n, body) VALUES (?, ?, ?, ?, ?)")?;
        for level in Level::ALL.into_iter().filter(|level| *level >= from) {
            for part in buckets.chunk_by(|a, b| block_of(level, a.0) == block_of(level, b.0)) {
                let start = block_of(level, part[0].0);
                let mut merged = self.block(id, level, start)?;
                part.iter().for_each(|(at, bucket)| fold(&mut merged, level, *at, bucket));
                let body = block::encode(level, start, &merged);
                put.execute(params![id, level.secs(), start, merged.len() as i64, body])?;
            }
        }
        Ok(())
    }

    /// Moves fresh minutes of hours that are over into blocks: those of one hour, of at most `n_series` series. Says
    /// whether there was anything to move. Inside [`File::whole`].
    ///
    /// # Errors
    /// See [`Error`].
    pub fn seal(&self, n_series: usize, sealed: i64) -> Result<bool, Error> {
        let first: Option<i64> = self.connection.query_row("SELECT min(start) FROM fresh", [], |row| row.get(0))?;
        let Some(first) = first.filter(|first| *first < sealed) else { return Ok(false) };
        let hour = block_of(Level::Minute, first);
        let starts = || (hour..hour + Level::Minute.block_secs()).step_by(60);
        // Series are taken in the order of their numbers, from the least that the hour has.
        let mut of_minute =
            self.connection.prepare_cached("SELECT series FROM fresh WHERE start = ? ORDER BY series LIMIT ?")?;
        let mut series = Vec::new();
        for start in starts() {
            let found = of_minute.query_map(params![start, n_series as i64], |row| row.get::<_, i64>(0))?;
            series.extend(found.collect::<Result<Vec<_>, _>>()?);
        }
        series.sort_unstable();
        series.dedup();
        series.truncate(n_series);
        let (Some(&from), Some(&to)) = (series.first(), series.last()) else { return Ok(false) };
        let mut minutes = vec![Vec::new(); series.len()];
        let mut rows = self.connection.prepare_cached(
            "SELECT start, count, sum, min, max, last, last_ms, sketch, series FROM fresh
             WHERE start = ? AND series BETWEEN ? AND ?",
        )?;
        let mut delete =
            self.connection.prepare_cached("DELETE FROM fresh WHERE start = ? AND series BETWEEN ? AND ?")?;
        for start in starts() {
            let found = rows.query_map([start, from, to], |row| Ok((row.get::<_, i64>(8)?, fresh_row(row)?)))?;
            for row in found {
                let (id, bucket) = row?;
                if let (Ok(at), Some(bucket)) = (series.binary_search(&id), bucket) {
                    minutes[at].push(bucket);
                }
            }
            delete.execute([start, from, to])?;
        }
        for (id, minutes) in series.into_iter().zip(minutes) {
            self.add_blocks(id, Level::Minute, &minutes)?;
        }
        Ok(true)
    }

    //------- Reading

    /// The buckets of a series that begin in `during` (unix seconds), ascending. None for a series that is not known.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn buckets(&self, name: &SeriesName, level: Level, during: Range<i64>) -> Result<Vec<(i64, Bucket)>, Error> {
        let Some(id) = self.known(name)? else { return Ok(Vec::new()) };
        let first = during.start.saturating_sub(level.block_secs());
        let mut query = self.connection.prepare_cached(
            "SELECT start, body FROM block WHERE series = ? AND level = ? AND start > ? AND start < ? ORDER BY start",
        )?;
        let mut rows = query.query(params![id, level.secs(), first, during.end])?;
        let mut buckets = Vec::new();
        while let Some(row) = rows.next()? {
            buckets.append(&mut self.unpack(level, row.get(0)?, row.get_ref(1)?.as_blob().unwrap_or_default()));
        }
        // Fresh minutes of all series lie side by side: from one minute that there is to the next.
        let mut query = self.connection.prepare_cached(
            "WITH RECURSIVE minute (at) AS (
                 SELECT min(start) FROM fresh WHERE start >= ?2
                 UNION ALL SELECT (SELECT min(start) FROM fresh WHERE start > minute.at) FROM minute WHERE minute.at < ?3
             )
             SELECT start, count, sum, min, max, last, last_ms, sketch
             FROM minute JOIN fresh ON fresh.start = minute.at AND fresh.series = ?1 ORDER BY start",
        )?;
        let mut rows = query.query([id, level.floor(during.start), during.end.saturating_add(level.secs())])?;
        while let Some(row) = rows.next()? {
            if let Some((start, bucket)) = fresh_row(row)? {
                fold(&mut buckets, level, start, &bucket);
            }
        }
        buckets.retain(|(start, _)| during.contains(start));
        Ok(buckets)
    }

    /// What there is of a series, by level; levels without a bucket are left out.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn extents(&self, name: &SeriesName) -> Result<Vec<Extent>, Error> {
        let Some(id) = self.known(name)? else { return Ok(Vec::new()) };
        let mut query = self.connection.prepare_cached(
            "SELECT sum(n), min(start), max(start), sum(length(body)) FROM block WHERE series = ? AND level = ?",
        )?;
        let mut extents = Vec::new();
        for level in Level::ALL {
            let (n, first, last, octets) = query.query_row([id, level.secs()], |row| {
                let numbers: (Option<i64>, Option<i64>, Option<i64>, Option<i64>) =
                    (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
                Ok(numbers)
            })?;
            // The ends by bucket: those of the first block and of everything from the last block on.
            let tail = self.buckets(name, level, last.unwrap_or(i64::MIN / 2)..i64::MAX / 2)?;
            let last_block = match last {
                Some(start) => self.block(id, level, start)?.len() as u64,
                None => 0,
            };
            let head = match first {
                Some(start) => self.block(id, level, start)?.first().map(|(at, _)| *at),
                None => None,
            };
            let first = head.into_iter().chain(tail.first().map(|(at, _)| *at)).min();
            if let (Some(first), Some((last, _))) = (first, tail.last()) {
                let n_buckets = (n.unwrap_or(0) as u64 + tail.len() as u64).saturating_sub(last_block);
                let octets = octets.unwrap_or(0) as u64;
                extents.push(Extent { series: name.clone(), level, n_buckets, first, last: *last, octets });
            }
        }
        Ok(extents)
    }

    fn block(&self, id: i64, level: Level, start: i64) -> Result<Vec<(i64, Bucket)>, Error> {
        let mut query =
            self.connection.prepare_cached("SELECT body FROM block WHERE series = ? AND level = ? AND start = ?")?;
        let body = query.query_row([id, level.secs(), start], |row| row.get::<_, Vec<u8>>(0)).optional()?;
        Ok(body.map(|body| self.unpack(level, start, &body)).unwrap_or_default())
    }

    fn unpack(&self, level: Level, start: i64, body: &[u8]) -> Vec<(i64, Bucket)> {
        block::decode(level, start, body).unwrap_or_else(|block::Damaged| {
            self.damaged.set(self.damaged.get() + 1);
            Vec::new()
        })
    }
}

/// The beginning of the block that a moment is in.
pub fn block_of(level: Level, at: i64) -> i64 {
    floor(at, level.block_secs())
}

/// A bucket of `fresh`; `None` if its numbers cannot be those of values.
fn fresh_row(row: &Row) -> rusqlite::Result<Option<(i64, Bucket)>> {
    let sketch = match row.get_ref(7)?.as_blob_or_null().unwrap_or_default() {
        Some(octets) => Sketch::decode(&mut Octets(octets)).map(Box::new),
        None => None,
    };
    let bucket = Bucket {
        count: row.get::<_, i64>(1)?.max(0) as u64,
        sum: row.get(2)?,
        min: row.get(3)?,
        max: row.get(4)?,
        last: row.get(5)?,
        last_ms: row.get(6)?,
        sketch,
    };
    let start = row.get(0)?;
    Ok(bucket.is_sound().then_some((start, bucket)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn name(text: &str) -> SeriesName {
        text.parse().unwrap()
    }

    fn file() -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("history.db"), crate::store::sqlite::Purpose::Write).unwrap();
        (dir, file)
    }

    const ALWAYS: Range<i64> = i64::MIN / 4..i64::MAX / 4;

    #[test]
    fn minutes_are_merged_whether_fresh_or_packed() {
        let (_dir, file) = file();
        let load = name("pop/a/load-rps");
        let add = |start, value, sealed| {
            file.whole(|file| file.add(&load, &[(start, Bucket::of(value, 5, false))], sealed)).unwrap();
        };
        add(60, 1.0, 0);
        add(60, 3.0, 0);
        assert_eq!(file.buckets(&load, Level::Minute, ALWAYS).unwrap()[0].1.mean(), 2.0);
        assert_eq!(file.whole(|file| file.seal(10, 3600)), Ok(true));
        assert_eq!(file.whole(|file| file.seal(10, 3600)), Ok(false));
        add(60, 5.0, 3600);
        add(3600, 9.0, 3600);
        for level in Level::ALL {
            let buckets = file.buckets(&load, level, ALWAYS).unwrap();
            assert_eq!(buckets[0].0, level.floor(60));
            assert_eq!((buckets[0].1.count, buckets[0].1.sum, buckets[1].1.sum), (3, 9.0, 9.0), "{level:?}");
        }
        let extents = file.extents(&load).unwrap();
        assert_eq!((extents.len(), extents[0].n_buckets, extents[0].first, extents[0].last), (4, 2, 60, 3600));
        assert_eq!(file.names().unwrap(), [load]);
        assert!(file.extents(&name("pop/b/load-rps")).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_block_is_left_out_and_counted() {
        let (_dir, file) = file();
        let load = name("pop/a/load-rps");
        file.whole(|file| file.add(&load, &[(60, Bucket::of(1.0, 0, false))], 3600)).unwrap();
        file.connection.execute("UPDATE block SET body = x'0102030405' WHERE level = 60", []).unwrap();
        assert_eq!(file.buckets(&load, Level::Minute, ALWAYS), Ok(Vec::new()));
        assert_eq!(file.n_damaged(), 1);
        assert_eq!(file.buckets(&load, Level::Hour, ALWAYS).unwrap().len(), 1, "the others are whole");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Whatever the order of samples, batches and packing, every level tells what folding all samples at once tells.
        #[test]
        fn every_level_tells_the_same_story(
            batches in prop::collection::vec(
                (prop::collection::vec((0..2usize, 0..300i64, 0..1000u32), 1..30), 0..8i64, 1..3usize), 1..12),
        ) {
            let (_dir, file) = file();
            let names = [name("pop/a/latency-p95-ms"), name("pop/b/load-rps")];
            let mut expected: [BTreeMap<i64, Bucket>; 2] = Default::default();
            for (samples, sealed_hours, slice) in batches {
                let mut minutes: [Vec<(i64, Bucket)>; 2] = Default::default();
                for (s, minute, value) in samples {
                    let (start, value, sketched) = (60 * minute, f64::from(value), s == 0);
                    fold(&mut minutes[s], Level::Minute, start, &Bucket::of(value, value as u32, sketched));
                    expected[s].entry(start).and_modify(|b| b.add(value, value as u32))
                        .or_insert_with(|| Bucket::of(value, value as u32, sketched));
                }
                file.whole(|file| {
                    names.iter().zip(&minutes).try_for_each(|(name, minutes)| file.add(name, minutes, 3600 * sealed_hours))
                }).unwrap();
                file.whole(|file| file.seal(slice, 3600 * sealed_hours)).unwrap();
            }
            for (name, expected) in names.iter().zip(expected) {
                for level in Level::ALL {
                    let mut folded = Vec::new();
                    expected.iter().for_each(|(start, bucket)| fold(&mut folded, level, *start, bucket));
                    prop_assert_eq!(file.buckets(name, level, ALWAYS).unwrap(), folded);
                }
            }
        }
    }
}
