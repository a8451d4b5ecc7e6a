//! Many values of a stretch of time as a few numbers, and coarser stretches out of finer ones.
//!
//! Stretches begin at multiples of their length since 1970, UTC: a clock that is put forward or back for summer moves
//! none of them. A bucket of a coarse level is the merge of the finer ones in it, so that every level tells the same sums.

use crate::store::sketch::Sketch;

//----------- Level ----------------------------------------------------------

/// How long the stretches are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// One minute.
    Minute,
    /// Five minutes.
    FiveMinutes,
    /// A quarter of an hour.
    Quarter,
    /// An hour.
    Hour,
}

impl Level {
    /// From the finest.
    pub const ALL: [Level; 4] = [Level::Minute, Level::FiveMinutes, Level::Quarter, Level::Hour];

    /// Length of a stretch.
    pub fn secs(self) -> i64 {
        match self {
            Level::Minute => 60,
            Level::FiveMinutes => 300,
            Level::Quarter => 900,
            Level::Hour => 3600,
        }
    }

    /// Stretches that are stored as one block: an hour, six, a day and four days. Our choice: some hundred buckets are
    /// small beside a page and many beside a row.
    pub fn slots(self) -> usize {
        match self {
            Level::Minute => 60,
            Level::FiveMinutes => 72,
            Level::Quarter | Level::Hour => 96,
        }
    }

    /// Length of a block.
    pub fn block_secs(self) -> i64 {
        self.secs() * self.slots() as i64
    }

    /// As people write it.
    pub fn label(self) -> &'static str {
        match self {
            Level::Minute => "1m",
            Level::FiveMinutes => "5m",
            Level::Quarter => "15m",
            Level::Hour => "1h",
        }
    }

    /// The beginning of the stretch that a moment is in, unix seconds.
    pub fn floor(self, at: i64) -> i64 {
        floor(at, self.secs())
    }

    /// The coarsest level that divides `step` seconds.
    pub fn dividing(step: i64) -> Option<Level> {
        Level::ALL.into_iter().rev().find(|level| step > 0 && step % level.secs() == 0)
    }
}

/// The greatest multiple of `step` that is not after `at`.
pub fn floor(at: i64, step: i64) -> i64 {
    at - at.rem_euclid(step)
}

//----------- Bucket ---------------------------------------------------------

/// What was seen in one stretch. Values are finite; there is at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Bucket {
    /// Values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// The one of the latest moment; of several then, the greatest.
    pub last: f64,
    /// That moment, in milliseconds from the beginning of the stretch.
    pub last_ms: u32,
    /// Which values they were, for series that have it.
    pub sketch: Option<Box<Sketch>>,
}

impl Bucket {
    /// One value, `ms` milliseconds into the stretch.
    pub fn of(value: f64, ms: u32, sketched: bool) -> Bucket {
        let sketch = sketched.then(|| {
            let mut sketch = Sketch::default();
            sketch.add(value);
            Box::new(sketch)
        });
        Bucket { count: 1, sum: value, min: value, max: value, last: value, last_ms: ms, sketch }
    }

    /// Adds one value of the same stretch.
    pub fn add(&mut self, value: f64, ms: u32) {
        if let Some(sketch) = &mut self.sketch {
            sketch.add(value);
        }
        let other = Bucket { sketch: None, ..Bucket::of(value, ms, false) };
        self.merge(&other, 0);
    }

    /// Adds another bucket, whose stretch begins `shift_ms` milliseconds after this one's.
    pub fn merge(&mut self, other: &Bucket, shift_ms: u32) {
        let last_ms = other.last_ms.saturating_add(shift_ms);
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        if (last_ms, other.last) > (self.last_ms, self.last) {
            (self.last_ms, self.last) = (last_ms, other.last);
        }
        match (&mut self.sketch, &other.sketch) {
            (Some(sketch), Some(other)) => sketch.merge(other),
            (None, Some(other)) => self.sketch = Some(other.clone()),
            (_, None) => {}
        }
    }

    /// This bucket as part of a coarser one that begins `shift_ms` milliseconds earlier.
    pub fn moved(&self, shift_ms: u32) -> Bucket {
        Bucket { last_ms: self.last_ms.saturating_add(shift_ms), ..self.clone() }
    }

    /// The mean.
    pub fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }

    /// Whether the numbers can be those of values: what is read from elsewhere must be.
    pub fn is_sound(&self) -> bool {
        let finite = [self.sum, self.min, self.max, self.last].iter().all(|x| x.is_finite());
        let inside = self.min <= self.last && self.last <= self.max;
        finite && inside && self.count > 0
    }
}

/// Puts a bucket into the list of a coarser level, at its place by time: both are ascending by their beginnings.
pub fn fold(into: &mut Vec<(i64, Bucket)>, level: Level, start: i64, bucket: &Bucket) {
    let coarse = level.floor(start);
    let shift_ms = ((start - coarse) * 1000) as u32;
    match into.binary_search_by_key(&coarse, |(start, _)| *start) {
        Ok(at) => into[at].1.merge(bucket, shift_ms),
        Err(at) => into.insert(at, (coarse, bucket.moved(shift_ms))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn by_hand() {
        let mut bucket = Bucket::of(4.0, 1000, false);
        bucket.add(1.0, 59_000);
        bucket.add(7.0, 2000);
        let expected = Bucket { count: 3, sum: 12.0, min: 1.0, max: 7.0, last: 1.0, last_ms: 59_000, sketch: None };
        assert_eq!((bucket.mean(), bucket), (4.0, expected));
    }

    #[test]
    fn levels_nest() {
        for pair in Level::ALL.windows(2) {
            assert_eq!(pair[1].secs() % pair[0].secs(), 0);
            assert_eq!(pair[1].block_secs() % pair[0].block_secs(), 0);
        }
        assert_eq!(Level::Hour.floor(-1), -3600);
        assert_eq!((Level::dividing(1800), Level::dividing(7200)), (Some(Level::Quarter), Some(Level::Hour)));
        assert_eq!((Level::dividing(90), Level::dividing(0)), (None, None));
    }

    proptest! {
        /// An hour folded at once, minute by minute, or by way of the levels between, is one hour.
        #[test]
        fn every_way_up_leads_to_the_same(values in prop::collection::vec((0..3_600_000i64, 0..10_000u32), 1..200)) {
            let mut minutes = Vec::new();
            let mut whole: Option<Bucket> = None;
            for (ms, value) in &values {
                let (start, offset) = (Level::Minute.floor(ms / 1000), ms % 60_000);
                let bucket = Bucket::of(f64::from(*value), offset as u32, true);
                fold(&mut minutes, Level::Minute, start, &bucket);
                match &mut whole {
                    Some(whole) => whole.add(f64::from(*value), *ms as u32),
                    None => whole = Some(Bucket::of(f64::from(*value), *ms as u32, true)),
                }
            }
            let up = |from: &[(i64, Bucket)], level| {
                let mut into = Vec::new();
                from.iter().for_each(|(start, bucket)| fold(&mut into, level, *start, bucket));
                into
            };
            let by_steps = Level::ALL.iter().fold(minutes.clone(), |from, level| up(&from, *level));
            prop_assert_eq!(&by_steps, &up(&minutes, Level::Hour));
            prop_assert_eq!(by_steps, vec![(0, whole.unwrap())]);
        }
    }
}
