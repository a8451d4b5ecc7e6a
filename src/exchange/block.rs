//! A block of counters with one writer.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters per line: two cache lines of 64 octets, because processors fetch them in pairs.
const PER_LINE: usize = 16;

#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; PER_LINE]);

/// Counters that one thread writes and any thread reads; starts on a cache line of its own and ends one.
#[derive(Debug, Default)]
pub(crate) struct Block {
    lines: Box<[Line]>,
}

impl Block {
    /// `n` counters at 0.
    pub(crate) fn new(n: usize) -> Block {
        Block { lines: (0..n.div_ceil(PER_LINE)).map(|_| Line::default()).collect() }
    }

    /// Adds to a counter. The block's one writer calls this, so a load and a store will do.
    #[inline]
    pub(crate) fn add(&self, at: usize, n: u64) {
        let counter = &self.lines[at / PER_LINE].0[at % PER_LINE];
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Reads a counter.
    pub(crate) fn get(&self, at: usize) -> u64 {
        self.lines[at / PER_LINE].0[at % PER_LINE].load(Ordering::Relaxed)
    }
}
