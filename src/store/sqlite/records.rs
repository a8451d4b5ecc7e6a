//! What else is remembered: forecasts and what came of them, states of models, plans.

use crate::store::records::{Issued, ModelState, PlanShares, Scored};
use crate::store::rollup::{Bucket, Level};
use crate::store::series::SeriesName;
use crate::store::sqlite::{Error, File};
use rusqlite::{OptionalExtension, params};
use std::ops::Range;

/// Until which target forecasts have been scored.
const SCORED: &str = "scored";
/// In that minute, until which series.
const SCORED_SERIES: &str = "scored-series";
/// Forecasts scored in one go; more than one series has of one minute.
const SCORED_AT_ONCE: i64 = 1000;

impl File {
    /// Keeps a forecast. Inside [`File::whole`], as all that writes here.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn put_forecast(&self, issued: &Issued) -> Result<(), Error> {
        let id = self.number(&issued.series)?;
        let octets: Vec<u8> =
            issued.quantiles.iter().flat_map(|(q, value)| [*q, *value]).flat_map(f32::to_be_bytes).collect();
        let mut put = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO forecast (target, series, lead, quantiles) VALUES (?, ?, ?, ?)")?;
        put.execute(params![issued.target, id, issued.lead_secs, octets])?;
        Ok(())
    }

    /// Scores forecasts whose target minute began before `until`, some thousands at most; each score becomes samples of
    /// series beside the one that was forecast ([`Scored::samples`]). Says whether more are left.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn score(&self, until: i64, sealed: i64) -> Result<bool, Error> {
        // Where the last round ended: a minute and, in it, a series, which is looked at again, as it may have been cut.
        let from = [self.mark(SCORED)?.unwrap_or(i64::MIN), self.mark(SCORED_SERIES)?.unwrap_or(0)];
        let mut query = self.connection.prepare_cached(
            "SELECT target, series, name, lead, quantiles, outcome IS NULL FROM forecast JOIN series ON id = series
             WHERE (target, series) >= (?, ?) AND target < ? ORDER BY target, series, lead LIMIT ?",
        )?;
        let mut rows = query.query([from[0], from[1], until, SCORED_AT_ONCE])?;
        let (mut due, mut n, mut end) = (Vec::new(), 0, [until, 0]);
        while let Some(row) = rows.next()? {
            n += 1;
            end = [row.get(0)?, row.get(1)?];
            if let (Ok(series), true) = (row.get::<_, String>(2)?.parse(), row.get(5)?) {
                let quantiles = quantiles(&row.get::<_, Vec<u8>>(4)?);
                due.push((end[1], Issued { series, target: end[0], lead_secs: row.get(3)?, quantiles }));
            }
        }
        drop(rows);
        let mut set = self
            .connection
            .prepare_cached("UPDATE forecast SET outcome = ?, loss = ? WHERE target = ? AND series = ? AND lead = ?")?;
        for (id, issued) in due {
            let minute = issued.target..issued.target + Level::Minute.secs();
            let Some((_, came)) = self.buckets(&issued.series, Level::Minute, minute)?.pop() else { continue };
            let Some(scored) = Scored::of(&issued, came.mean()) else { continue };
            set.execute(params![scored.outcome, scored.loss, issued.target, id, issued.lead_secs])?;
            for (name, value) in scored.samples(&issued) {
                self.add(&name, &[(issued.target, Bucket::of(value, 0, false))], sealed)?;
            }
        }
        let more = n == SCORED_AT_ONCE;
        let end = if more { end } else { [until, 0] };
        self.set_mark(SCORED, end[0])?;
        self.set_mark(SCORED_SERIES, end[1])?;
        Ok(more)
    }

    /// Forecasts about minutes that begin in `targets`, by target, series and lead, each with its score where there is
    /// one; of one series or of all; at most `limit`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn issued(
        &self,
        series: Option<&SeriesName>,
        targets: Range<i64>,
        limit: i64,
    ) -> Result<Vec<(Issued, Option<Scored>)>, Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT target, name, lead, quantiles, outcome, loss FROM forecast JOIN series ON id = series
             WHERE target >= ? AND target < ? AND (?3 IS NULL OR name = ?3) ORDER BY target, series, lead LIMIT ?4",
        )?;
        let mut rows = query.query(params![targets.start, targets.end, series.map(SeriesName::as_str), limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let Ok(series) = row.get::<_, String>(1)?.parse() else { continue };
            let quantiles = quantiles(&row.get::<_, Vec<u8>>(3)?);
            let issued = Issued { series, target: row.get(0)?, lead_secs: row.get(2)?, quantiles };
            let scored = match (row.get(4)?, row.get(5)?) {
                (Some(outcome), Some(loss)) => Some(Scored { outcome, loss }),
                _ => None,
            };
            found.push((issued, scored));
        }
        Ok(found)
    }

    /// Keeps the state of a model in the place of the one before.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn put_model(&self, model: &ModelState) -> Result<(), Error> {
        let id = self.number(&model.series)?;
        let mut put = self
            .connection
            .prepare_cached("INSERT OR REPLACE INTO model (series, name, version, at, state) VALUES (?, ?, ?, ?, ?)")?;
        put.execute(params![id, model.name, model.version, model.at, model.state])?;
        Ok(())
    }

    /// The states of models of a series, by name.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn models(&self, series: &SeriesName) -> Result<Vec<ModelState>, Error> {
        let Some(id) = self.known(series)? else { return Ok(Vec::new()) };
        let mut query = self
            .connection
            .prepare_cached("SELECT name, version, at, state FROM model WHERE series = ? ORDER BY name")?;
        let found = query.query_map([id], |row| {
            let (name, version, at, state) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(ModelState { series: series.clone(), name, version, at, state })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// Keeps what a plan gave to the members of one group.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn put_plan(&self, plan: &PlanShares) -> Result<(), Error> {
        let mut put = self.connection.prepare_cached(
            "INSERT OR REPLACE INTO plan (target_group, at, generation, mode, shares) VALUES (?, ?, ?, ?, ?)",
        )?;
        put.execute(params![plan.group, plan.at, plan.generation as i64, plan.mode, plan.shares_text()])?;
        Ok(())
    }

    /// From when to when there are forecasts and plans: the first moment of either, and the last.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn records_extent(&self) -> Result<Option<(i64, i64)>, Error> {
        let sql = "SELECT min(a), max(b) FROM (SELECT min(target) AS a, max(target) AS b FROM forecast
                   UNION ALL SELECT min(at), max(at) FROM plan)";
        let extent: (Option<i64>, Option<i64>) =
            self.connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(extent.0.zip(extent.1))
    }

    /// Plans of `during` (unix seconds), by time and group; of one group or of all; at most `limit`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn plans(&self, group: Option<&str>, during: Range<i64>, limit: i64) -> Result<Vec<PlanShares>, Error> {
        let mut query = self.connection.prepare_cached(
            "SELECT target_group, at, generation, mode, shares FROM plan
             WHERE at >= ? AND at < ? AND (?3 IS NULL OR target_group = ?3) ORDER BY at, target_group LIMIT ?4",
        )?;
        let found = query.query_map(params![during.start, during.end, group, limit], |row| {
            Ok(PlanShares {
                group: row.get(0)?,
                at: row.get(1)?,
                generation: row.get::<_, i64>(2)? as u64,
                mode: row.get(3)?,
                shares: PlanShares::scan_shares(&row.get::<_, String>(4)?),
            })
        })?;
        Ok(found.collect::<Result<_, _>>()?)
    }

    /// A moment that was noted under a name.
    pub(in crate::store) fn mark(&self, name: &str) -> Result<Option<i64>, Error> {
        let mut query = self.connection.prepare_cached("SELECT at FROM mark WHERE name = ?")?;
        Ok(query.query_row([name], |row| row.get(0)).optional()?)
    }

    /// Notes a moment under a name.
    pub(in crate::store) fn set_mark(&self, name: &str, at: i64) -> Result<(), Error> {
        self.connection.prepare_cached("INSERT OR REPLACE INTO mark VALUES (?, ?)")?.execute(params![name, at])?;
        Ok(())
    }
}

/// Levels and values, as [`File::put_forecast`] has written them.
fn quantiles(octets: &[u8]) -> Vec<(f32, f32)> {
    let floats: Vec<f32> = octets.as_chunks().0.iter().map(|four| f32::from_be_bytes(*four)).collect();
    floats.as_chunks().0.iter().map(|[q, value]| (*q, *value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::Purpose;

    fn file() -> (tempfile::TempDir, File) {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("history.db"), Purpose::Write).unwrap();
        (dir, file)
    }

    fn demand() -> SeriesName {
        "group/web./demand-rps".parse().unwrap()
    }

    fn issued(target: i64, quantiles: &[(f32, f32)]) -> Issued {
        Issued { series: demand(), target, lead_secs: 300, quantiles: quantiles.to_vec() }
    }

    #[test]
    fn a_forecast_is_scored_when_its_minute_has_come() {
        let (_dir, file) = file();
        let (first, second) = (issued(600, &[(0.5, 100.0), (0.9, 130.0)]), issued(660, &[(0.5, 7.0)]));
        file.whole(|file| {
            file.put_forecast(&first)?;
            file.put_forecast(&second)?;
            file.add(&demand(), &[(600, Bucket::of(120.0, 0, false))], 0)
        })
        .unwrap();
        assert_eq!(file.whole(|file| file.score(660, 0)), Ok(false));
        // By hand: (0.5·20 + 0.1·10) / 2.
        let scored = Scored { outcome: 120.0, loss: 5.5 };
        let found = file.issued(Some(&demand()), 0..9999, 10).unwrap();
        assert_eq!(found[0].0, first);
        assert!((found[0].1.unwrap().loss - scored.loss).abs() < 1e-6, "{found:?}");
        assert_eq!(found[1], (second, None));
        let loss = |measure: &str| {
            let name = demand().beside(measure).unwrap();
            file.buckets(&name, Level::Minute, 0..9999).unwrap()
        };
        assert!((loss("demand-rps-pinball-300s")[0].1.mean() - 5.5).abs() < 1e-6);
        assert_eq!(loss("demand-rps-abs-error-300s")[0].1.mean(), 20.0);
        assert_eq!(loss("demand-rps-within-q90-300s")[0].1.mean(), 1.0);
        // The minute of the second has passed without a sample: no outcome, no score, and it is not waited for.
        assert_eq!(file.whole(|file| file.score(900, 0)), Ok(false));
        assert_eq!(file.issued(None, 660..661, 10).unwrap()[0].1, None);
        assert_eq!(file.issued(Some(&"pop/x/y".parse().unwrap()), 0..9999, 10), Ok(Vec::new()));
    }

    /// More of one minute than are scored in one go.
    #[test]
    fn rounds_go_on_where_the_last_one_ended() {
        let (_dir, file) = file();
        let n = 2 * SCORED_AT_ONCE + 7;
        let name = |i: i64| format!("group/g{i}./demand-rps").parse::<SeriesName>().unwrap();
        file.whole(|file| {
            (0..n).try_for_each(|i| {
                let quantiles = vec![(0.5, 1.0)];
                file.put_forecast(&Issued { series: name(i), target: 600, lead_secs: 300, quantiles })?;
                file.add(&name(i), &[(600, Bucket::of(2.0, 0, false))], 0)
            })
        })
        .unwrap();
        let rounds = (1..9).find(|_| !file.whole(|file| file.score(660, 0)).unwrap());
        assert_eq!(rounds, Some(3));
        let scored = file.issued(None, 600..601, i64::MAX).unwrap();
        assert!(scored.len() as i64 == n && scored.iter().all(|(_, scored)| scored.is_some()));
        let loss = name(0).beside("demand-rps-pinball-300s").unwrap();
        assert_eq!(file.buckets(&loss, Level::Minute, 0..9999).unwrap()[0].1.count, 1, "once each");
    }

    #[test]
    fn models_and_plans_come_back() {
        let (_dir, file) = file();
        let model = |version, state: &[u8]| ModelState {
            series: demand(),
            name: "gru".into(),
            version,
            at: 5,
            state: state.to_vec(),
        };
        let plan = |at, share| PlanShares {
            group: "web.".into(),
            at,
            generation: 9,
            mode: "live".into(),
            shares: vec![("ams.web.".into(), share), ("fra.web.".into(), 1.0 - share)],
        };
        file.whole(|file| {
            file.put_model(&model(1, b"old"))?;
            file.put_model(&model(2, b"\0new"))?;
            file.put_plan(&plan(1, 0.25))?;
            file.put_plan(&plan(2, 0.5))
        })
        .unwrap();
        assert_eq!(file.models(&demand()), Ok(vec![model(2, b"\0new")]));
        assert_eq!(file.plans(Some("web."), 0..9, 9), Ok(vec![plan(1, 0.25), plan(2, 0.5)]));
        assert_eq!(file.plans(None, 2..9, 9), Ok(vec![plan(2, 0.5)]));
        assert_eq!(file.plans(Some("api."), 0..9, 9), Ok(Vec::new()));
    }
}
