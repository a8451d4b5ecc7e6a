//! What has been handed over and is not in the file yet, by minute.
//!
//! While the file cannot be written this is all there is, so it is bounded: beyond [`MOST_MINUTES`] the oldest hour goes.

use crate::store::books::Dropped;
use crate::store::config::Keep;
use crate::store::grid::MAX_UNIX;
use crate::store::records::{Issued, MAX_STATE, ModelState, PlanShares};
use crate::store::rollup::{Bucket, Level, fold};
use crate::store::series::SeriesName;
use crate::store::sqlite::tidy;
use std::collections::HashMap;

/// Minutes of series held at most, some 50 MB: an hour of 5,000 series. Our choice.
pub const MOST_MINUTES: usize = 300_000;
/// Octets of records held at most.
const MOST_OCTETS: usize = 64 << 20;
/// How far ahead of now a sample may be: clocks are that wrong, and a tick's own never is. Seconds.
const MOST_AHEAD: f64 = 300.0;
/// Values beyond are nothing that is counted or timed, and their squares are no floats.
pub const MAX_VALUE: f64 = 1e150;

//----------- What is handed over --------------------------------------------

/// One value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The series.
    pub series: SeriesName,
    /// Unix seconds.
    pub at: f64,
    /// In the unit of the series; finite.
    pub value: f64,
}

/// Something to remember.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// Values of series.
    Samples(Vec<Observation>),
    /// A forecast, to be scored when its time comes.
    Forecast(Issued),
    /// What a model has learnt.
    Model(ModelState),
    /// What a plan gave to a group's members.
    Plan(PlanShares),
}

impl Record {
    /// Items that it counts as.
    pub fn n_items(&self) -> usize {
        match self {
            Record::Samples(samples) => samples.len(),
            Record::Forecast(_) | Record::Model(_) | Record::Plan(_) => 1,
        }
    }

    fn octets(&self) -> usize {
        match self {
            Record::Samples(_) => 0,
            Record::Forecast(issued) => 100 + 8 * issued.quantiles.len(),
            Record::Model(model) => 100 + model.state.len(),
            Record::Plan(plan) => 100 + 60 * plan.shares.len(),
        }
    }
}

//----------- Pending --------------------------------------------------------

/// See the module.
#[derive(Debug, Default)]
pub struct Pending {
    /// Per series its minutes, ascending.
    pub minutes: HashMap<SeriesName, Vec<(i64, Bucket)>>,
    /// The rest, in the order it came.
    pub records: Vec<Record>,
    n_minutes: usize,
    n_items: u64,
    octets: usize,
}

impl Pending {
    /// Takes a record in; `now` in unix seconds. What is not taken is given to `drop`, with how many items it was.
    pub fn take(&mut self, record: Record, keep: &Keep, now: i64, mut drop: impl FnMut(Dropped, u64)) {
        let samples = match record {
            Record::Samples(samples) => samples,
            Record::Model(model) if model.state.len() > MAX_STATE => return drop(Dropped::Memory, 1),
            other => {
                let octets = other.octets();
                if self.octets + octets > MOST_OCTETS {
                    return drop(Dropped::Memory, 1);
                }
                self.octets += octets;
                self.n_items += 1;
                self.records.push(other);
                return;
            }
        };
        let oldest = tidy::oldest(keep, now) as f64;
        for Observation { series, at, value } in samples {
            let refused = match () {
                () if value.is_nan() || value.abs() > MAX_VALUE || at.is_nan() => Some(Dropped::NoNumber),
                () if at > now as f64 + MOST_AHEAD || at > MAX_UNIX => Some(Dropped::Ahead),
                () if at < oldest => Some(Dropped::Old),
                () => None,
            };
            match refused {
                Some(why) => drop(why, 1),
                None => self.add(series, at, value),
            }
        }
        while self.n_minutes > MOST_MINUTES {
            drop(Dropped::Memory, self.forget_oldest());
        }
    }

    fn add(&mut self, series: SeriesName, at: f64, value: f64) {
        let start = Level::Minute.floor(at.floor() as i64);
        let ms = ((at - start as f64) * 1000.0) as u32;
        let sketched = series.is_sketched();
        let minutes = self.minutes.entry(series).or_default();
        self.n_items += 1;
        match minutes.last_mut().filter(|(last, _)| *last == start) {
            Some((_, bucket)) => bucket.add(value, ms),
            None => {
                let before = minutes.len();
                fold(minutes, Level::Minute, start, &Bucket::of(value, ms, sketched));
                self.n_minutes += minutes.len() - before;
            }
        }
    }

    /// Forgets an hour from the oldest minute on; gives how many items that were.
    fn forget_oldest(&mut self) -> u64 {
        let oldest = self.minutes.values().filter_map(|minutes| minutes.first()).map(|(start, _)| *start).min();
        let Some(until) = oldest.map(|oldest| oldest + Level::Hour.secs()) else { return 0 };
        let mut gone = 0;
        for minutes in self.minutes.values_mut() {
            let n = minutes.partition_point(|(start, _)| *start < until);
            self.n_minutes -= n;
            gone += minutes.drain(..n).map(|(_, bucket)| bucket.count).sum::<u64>();
        }
        self.minutes.retain(|_, minutes| !minutes.is_empty());
        self.n_items -= gone;
        gone
    }

    /// Items in it.
    pub fn n_items(&self) -> u64 {
        self.n_items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(of: &str, values: &[(f64, f64)]) -> Record {
        let series: SeriesName = of.parse().unwrap();
        Record::Samples(
            values.iter().map(|(at, value)| Observation { series: series.clone(), at: *at, value: *value }).collect(),
        )
    }

    fn taken(pending: &mut Pending, record: Record, now: i64) -> Vec<(Dropped, u64)> {
        let mut dropped = Vec::new();
        pending.take(record, &Keep::default(), now, |why, n| dropped.push((why, n)));
        dropped
    }

    #[test]
    fn late_samples_find_their_minute_and_wrong_ones_are_told() {
        let mut pending = Pending::default();
        let now = 2_000_000_000;
        let at = |secs: f64| now as f64 + secs;
        let values =
            [(at(0.0), 1.0), (at(-70.0), 2.0), (at(0.25), 3.0), (at(301.0), 1.0), (0.0, 1.0), (at(0.0), f64::NAN)];
        let dropped = taken(&mut pending, samples("pop/a/b", &values), now);
        assert_eq!(dropped, [(Dropped::Ahead, 1), (Dropped::Old, 1), (Dropped::NoNumber, 1)]);
        let minutes = &pending.minutes[&"pop/a/b".parse().unwrap()];
        let seen: Vec<_> = minutes.iter().map(|(start, b)| (*start, b.count, b.last)).collect();
        assert_eq!(seen, [(now - 80, 1, 2.0), (now - 20, 2, 3.0)]);
        assert_eq!(pending.n_items(), 3);
    }

    #[test]
    fn memory_is_bounded_and_the_oldest_goes() {
        let (mut pending, now) = (Pending::default(), 2_000_000_000);
        let mut dropped = 0;
        for minute in 0..4000 {
            let at = (now - 60 * (4000 - minute)) as f64;
            let series: Vec<_> = (0..100).map(|i| format!("pop/{i}/b").parse::<SeriesName>().unwrap()).collect();
            let values = series.into_iter().map(|series| Observation { series, at, value: 1.0 }).collect();
            dropped += taken(&mut pending, Record::Samples(values), now).iter().map(|(_, n)| n).sum::<u64>();
        }
        assert!(pending.n_minutes <= MOST_MINUTES);
        assert_eq!(pending.n_items() + dropped, 400_000);
        assert!(dropped <= 106_000, "an hour at a time: {dropped}");
        let model = |n| {
            Record::Model(ModelState {
                series: "pop/a/b".parse().unwrap(),
                name: "m".into(),
                version: 1,
                at: now,
                state: vec![0; n],
            })
        };
        assert_eq!(taken(&mut pending, model(MAX_STATE + 1), now), [(Dropped::Memory, 1)]);
        let refused: usize = (0..20).map(|_| taken(&mut pending, model(MAX_STATE), now).len()).sum();
        assert_eq!(refused, 5, "15 of 4 MiB fit beside their names");
    }
}
