//! Where checked samples wait for the next tick.
//!
//! Peers push, the control loop drains. The inbox holds a bounded number of values and turns away
//! what does not fit. It also keeps the books of telemetry: what was received is what was accepted plus
//! what was refused by each reason, at every moment, since all of it sits under one lock.

use crate::telemetry::{Refusal, Sample};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Values an inbox holds unless told otherwise: a sample counts 1 and each of its cells 1.
///
/// Our choice: one beat's worth of 100 POPs × 100 groups × 25 cells once a second. Full of samples
/// without cells, the worst case, that is some 90 MB.
pub const DEFAULT_ROOM: usize = 262_144;

//----------- Inbox ----------------------------------------------------------

/// A bounded queue of samples with its books.
#[derive(Debug)]
pub struct Inbox {
    room: usize,
    inner: Mutex<Inner>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    waiting: Vec<Sample>,
    values: usize,
    woken: bool,
    counts: Counts,
}

/// What came in since the process began. `received == accepted + refused.iter().sum()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Samples that peers sent.
    pub received: u64,
    /// Samples that went into the inbox, and outcomes of probes that others made.
    pub accepted: u64,
    /// Samples turned away, by [`Refusal::idx`].
    pub refused: [u64; Refusal::ALL.len()],
}

impl Inbox {
    /// An empty inbox for at most `room` values ([`DEFAULT_ROOM`]).
    pub fn new(room: usize) -> Inbox {
        Inbox { room, inner: Mutex::default(), wake: Condvar::new() }
    }

    /// Takes in one checked sample and wakes the control loop.
    ///
    /// # Errors
    /// [`Refusal::InboxFull`] when there is no room, also counted.
    pub fn push(&self, sample: Sample) -> Result<(), Refusal> {
        let mut inner = self.lock();
        let values = 1 + sample.cells.len();
        if inner.values + values > self.room {
            inner.refuse(Refusal::InboxFull);
            return Err(Refusal::InboxFull);
        }
        inner.counts.received += 1;
        inner.counts.accepted += 1;
        inner.values += values;
        inner.waiting.push(sample);
        if !inner.woken {
            inner.woken = true;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Counts a sample that was taken and is none of the inbox: the outcome of a probe.
    pub fn taken_elsewhere(&self) {
        let mut inner = self.lock();
        inner.counts.received += 1;
        inner.counts.accepted += 1;
    }

    /// Counts a sample that a check turned away before it could be pushed.
    pub fn refuse(&self, refusal: Refusal) {
        self.lock().refuse(refusal);
    }

    /// Takes out everything that waits, in the order of arrival.
    pub fn drain(&self) -> Vec<Sample> {
        let mut inner = self.lock();
        inner.values = 0;
        inner.woken = false;
        std::mem::take(&mut inner.waiting)
    }

    /// Sleeps until a sample waits, [`Inbox::wake`] is called, or `timeout` is over. Returns whether it
    /// was woken. At once if a sample has arrived since the last `drain`.
    pub fn wait(&self, timeout: Duration) -> bool {
        let inner = self.lock();
        let (mut inner, _) =
            self.wake.wait_timeout_while(inner, timeout, |inner| !inner.woken).unwrap_or_else(PoisonError::into_inner);
        let woken = inner.woken;
        inner.woken = !inner.waiting.is_empty();
        woken
    }

    /// Ends a [`Inbox::wait`] without a sample: there is other news (a reload, a stop).
    pub fn wake(&self) {
        self.lock().woken = true;
        self.wake.notify_all();
    }

    /// The books at this moment.
    pub fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    /// Samples that wait.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    /// Whether no sample waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves the counters whole: nothing in here can panic between two of them.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Inbox {
    fn default() -> Inbox {
        Inbox::new(DEFAULT_ROOM)
    }
}

impl Inner {
    fn refuse(&mut self, refusal: Refusal) {
        self.counts.received += 1;
        self.counts.refused[refusal.idx()] += 1;
    }
}

impl Counts {
    /// Samples turned away, for whatever reason.
    pub fn refused_sum(&self) -> u64 {
        self.refused.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Utilisation;
    use std::sync::Arc;

    fn sample(n_cells: usize) -> Sample {
        Sample {
            pop: "ams.pop.example.com.".parse().unwrap(),
            group: "web.example.com.".parse().unwrap(),
            member: None,
            at: 0.0,
            window_secs: 10.0,
            requests: 1.0,
            errors: 0.0,
            latency: None,
            capacity: None,
            utilisation: Utilisation::default(),
            shadow: None,
            cells: (0..n_cells).map(|i| (i.to_string(), 0.0)).collect(),
        }
    }

    #[test]
    fn a_full_inbox_turns_away_and_the_books_balance() {
        let inbox = Inbox::new(10);
        let taken = (0..20).filter(|_| inbox.push(sample(2)).is_ok()).count();
        assert_eq!(taken, 3, "three values each");
        inbox.refuse(Refusal::Stale);
        let counts = inbox.counts();
        assert_eq!((counts.received, counts.accepted), (21, 3));
        assert_eq!(counts.refused[Refusal::InboxFull.idx()], 17);
        assert_eq!(counts.received, counts.accepted + counts.refused_sum());
        assert_eq!(inbox.drain().len(), 3);
        assert!(inbox.is_empty());
        assert_eq!(inbox.push(sample(9)), Ok(()), "drained room is free again");
    }

    #[test]
    fn a_push_wakes_the_waiter_and_draining_settles_it() {
        let inbox = Inbox::new(10);
        assert!(!inbox.wait(Duration::ZERO));
        inbox.push(sample(0)).unwrap();
        assert!(inbox.wait(Duration::ZERO));
        assert!(inbox.wait(Duration::ZERO), "still there");
        inbox.drain();
        assert!(!inbox.wait(Duration::ZERO));
        inbox.wake();
        assert!(inbox.wait(Duration::ZERO));
        assert!(!inbox.wait(Duration::ZERO), "a wake counts once");
    }

    /// Pushing from many threads while draining loses nothing and counts everything.
    #[test]
    fn books_balance_under_contention() {
        let inbox = Arc::new(Inbox::new(64));
        let pushers: Vec<_> = (0..4)
            .map(|_| {
                let inbox = inbox.clone();
                std::thread::spawn(move || (0..1000).filter(|_| inbox.push(sample(0)).is_ok()).count())
            })
            .collect();
        let mut drained = 0;
        while !pushers.iter().all(|p| p.is_finished()) {
            let got = inbox.drain().len();
            assert!(got <= 64);
            drained += got;
        }
        let pushed: usize = pushers.into_iter().map(|p| p.join().unwrap()).sum();
        drained += inbox.drain().len();
        let counts = inbox.counts();
        assert_eq!(drained, pushed);
        assert_eq!(counts.accepted, pushed as u64);
        assert_eq!(counts.received, 4000);
        assert_eq!(counts.received, counts.accepted + counts.refused_sum());
    }
}
