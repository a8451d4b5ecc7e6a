//! What became of what was handed over: counters and the state of the file, for `/metrics` and `/state`.
//!
//! The books balance: received is written, dropped and waiting together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

//----------- Words ----------------------------------------------------------

/// Why something was not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The writer had not taken what was before it: the queue was full.
    Queue,
    /// The file could not be written for so long that the memory for it was full; the oldest goes.
    Memory,
    /// It is of a time later than now: somebody's clock is ahead.
    Ahead,
    /// It is older than anything that is kept.
    Old,
    /// It is no number, or none that anything is measured in.
    NoNumber,
}

impl Dropped {
    /// All of them.
    pub const ALL: [Dropped; 5] = [Dropped::Queue, Dropped::Memory, Dropped::Ahead, Dropped::Old, Dropped::NoNumber];

    /// As it stands in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Dropped::Queue => "queue-full",
            Dropped::Memory => "memory-full",
            Dropped::Ahead => "ahead",
            Dropped::Old => "too-old",
            Dropped::NoNumber => "no-number",
        }
    }
}

/// Where what is handed over goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// Nowhere: `[store] off`.
    #[default]
    Off,
    /// Into the file.
    File,
    /// Into memory until the file can be written again, and why.
    Memory(String),
}

impl Health {
    /// As it stands in `/state`.
    pub fn label(&self) -> &'static str {
        match self {
            Health::Off => "off",
            Health::File => "file",
            Health::Memory(_) => "memory",
        }
    }
}

//----------- Books ----------------------------------------------------------

/// See the module. Items are samples, and records of any kind.
#[derive(Debug, Default)]
pub struct Books {
    pub(super) received: AtomicU64,
    pub(super) written: AtomicU64,
    dropped: [AtomicU64; Dropped::ALL.len()],
    pub(super) batches: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) set_aside: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) octets: AtomicU64,
    pub(super) micros: AtomicU64,
    health: Mutex<Health>,
}

/// The books at one moment; counts are since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Where things go.
    pub health: Health,
    /// Items handed over.
    pub received: u64,
    /// Items in the file.
    pub written: u64,
    /// Items not kept, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
    /// Items that wait, in the queue and in memory.
    pub waiting: u64,
    /// Batches written.
    pub batches: u64,
    /// Attempts to write that failed.
    pub failures: u64,
    /// Files set aside because they were damaged.
    pub set_aside: u64,
    /// Blocks of buckets found damaged and left out.
    pub damaged: u64,
    /// Octets of the file, without its journal.
    pub octets: u64,
    /// Microseconds that the last batch took.
    pub micros: u64,
}

impl Books {
    /// The books now.
    pub fn counted(&self) -> Counted {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let dropped = std::array::from_fn(|i| get(&self.dropped[i]));
        let written = get(&self.written);
        // Read last: whatever is done with was received before.
        let received = get(&self.received);
        Counted {
            health: self.health(),
            received,
            written,
            dropped,
            waiting: received.saturating_sub(written + dropped.iter().sum::<u64>()),
            batches: get(&self.batches),
            failures: get(&self.failures),
            set_aside: get(&self.set_aside),
            damaged: get(&self.damaged),
            octets: get(&self.octets),
            micros: get(&self.micros),
        }
    }

    /// Where things go.
    pub fn health(&self) -> Health {
        self.health.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sets where things go, and gives where they went.
    pub(super) fn set_health(&self, health: Health) -> Health {
        std::mem::replace(&mut *self.health.lock().unwrap_or_else(PoisonError::into_inner), health)
    }

    pub(super) fn drop_items(&self, why: Dropped, n: u64) {
        self.dropped[why as usize].fetch_add(n, Ordering::Relaxed);
    }
}
