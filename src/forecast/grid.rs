//! Readings at any time → one value per step.
//!
//! A step's value is the mean of its readings; a step without one is a gap. Readings may come out of order
//! while their step is open: it closes when a reading two steps later is seen, or when asked to. What comes
//! later than that is counted and dropped, since its step was forecast from.

use std::collections::VecDeque;

/// Steps that stay open for readings that are late.
const OPEN: i64 = 2;
/// Longest gap that is filled in, in steps; a longer one is a wrong clock.
const LONGEST_GAP: i64 = 1_000_000;

/// What readings say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// The value itself.
    Gauge,
    /// A count of all so far, which starts anew at 0 now and then. The value is its growth per second.
    Counter,
}

//----------- Grid -----------------------------------------------------------

/// Puts readings on a grid.
#[derive(Clone, Debug)]
pub struct Grid {
    step_secs: i64,
    reading: Reading,
    /// The time of step 0, once there was a reading.
    start: Option<i64>,
    /// The step at the front of `open`.
    next: i64,
    open: VecDeque<(f64, u32)>,
    count: Option<(i64, f64)>,
    /// Readings dropped: too late, or so far ahead that the clock must be wrong.
    pub dropped: u64,
}

impl Grid {
    /// `step_secs` of 0 counts as 1.
    pub fn new(step_secs: u32, reading: Reading) -> Grid {
        let step_secs = i64::from(step_secs.max(1));
        Grid { step_secs, reading, start: None, next: 0, open: VecDeque::new(), count: None, dropped: 0 }
    }

    /// Unix time of step 0: that of the first reading.
    pub fn start_secs(&self) -> Option<i64> {
        self.start
    }

    /// Takes in a reading and hands the values of the steps that it closes to `closed`, in order. One that
    /// is not finite says nothing, but time passes.
    pub fn push(&mut self, secs: i64, value: f64, mut closed: impl FnMut(f64)) {
        let start = *self.start.get_or_insert(secs);
        // To the nearest step: stamps of a steady source waver around their grid.
        let step = (secs - start + self.step_secs / 2).div_euclid(self.step_secs);
        if step < self.next || step > self.next + LONGEST_GAP {
            self.dropped += 1;
            return;
        }
        let value = match self.reading {
            Reading::Gauge => Some(value),
            Reading::Counter => self.growth(secs, value),
        };
        while step - self.next >= OPEN.max(1) {
            closed(self.close());
        }
        let at = (step - self.next) as usize;
        while self.open.len() <= at {
            self.open.push_back((0.0, 0));
        }
        if let Some(value) = value.filter(|v| v.is_finite()) {
            self.open[at].0 += value;
            self.open[at].1 += 1;
        }
    }

    /// Closes every step up to the newest reading: what is known now is all that will be.
    pub fn flush(&mut self, mut closed: impl FnMut(f64)) {
        while !self.open.is_empty() {
            closed(self.close());
        }
    }

    fn close(&mut self) -> f64 {
        self.next += 1;
        match self.open.pop_front() {
            Some((sum, n)) if n > 0 => sum / f64::from(n),
            _ => f64::NAN,
        }
    }

    /// Growth per second since the last reading. A count that fell began anew at 0 in between, as
    /// Prometheus' `rate` takes it.
    fn growth(&mut self, secs: i64, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let (then, before) = self.count.unwrap_or((secs, value));
        if secs < then {
            return None;
        }
        self.count = Some((secs, value));
        let grown = if value >= before { value - before } else { value.max(0.0) };
        (secs > then).then(|| grown / (secs - then) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(reading: Reading, readings: &[(i64, f64)], values: &[f64], dropped: u64) {
        let mut grid = Grid::new(60, reading);
        let mut got = vec![];
        readings.iter().for_each(|(t, v)| grid.push(1_000 + t, *v, |v| got.push(v)));
        grid.flush(|v| got.push(v));
        let same = got.len() == values.len() && got.iter().zip(values).all(|(a, b)| a == b || a.is_nan() && b.is_nan());
        assert!(same && grid.dropped == dropped, "{readings:?}: {got:?}, {} dropped", grid.dropped);
    }

    #[test]
    fn readings_become_steps() {
        let gap = f64::NAN;
        let gauge = |readings: &[(i64, f64)], values: &[f64], dropped| check(Reading::Gauge, readings, values, dropped);
        gauge(&[], &[], 0);
        gauge(&[(0, 1.0), (60, 2.0), (120, 3.0)], &[1.0, 2.0, 3.0], 0);
        gauge(&[(0, 1.0), (62, 2.0), (118, 3.0)], &[1.0, 2.0, 3.0], 0);
        gauge(&[(0, 1.0), (20, 3.0), (60, 5.0)], &[2.0, 5.0], 0);
        gauge(&[(0, 1.0), (240, 5.0)], &[1.0, gap, gap, gap, 5.0], 0);
        gauge(&[(0, 1.0), (120, 3.0), (60, 2.0), (180, 4.0)], &[1.0, 2.0, 3.0, 4.0], 0);
        gauge(&[(0, 1.0), (180, 4.0), (60, 2.0), (10, 9.0)], &[1.0, gap, gap, 4.0], 2);
        gauge(&[(0, 1.0), (60, gap), (120, f64::INFINITY)], &[1.0, gap, gap], 0);
        gauge(&[(0, 1.0), (99_999_999_999, 4.0), (60, 2.0)], &[1.0, 2.0], 1);
    }

    #[test]
    fn counts_become_rates() {
        let counter = |readings: &[(i64, f64)], values: &[f64]| check(Reading::Counter, readings, values, 0);
        counter(&[(0, 100.0), (60, 160.0), (120, 280.0)], &[f64::NAN, 1.0, 2.0]);
        // A restart: 30 since then.
        counter(&[(0, 100.0), (60, 160.0), (120, 30.0), (180, 90.0)], &[f64::NAN, 1.0, 0.5, 1.0]);
        counter(&[(0, 100.0), (60, f64::NAN), (120, 220.0)], &[f64::NAN, f64::NAN, 1.0]);
    }
}
