//! dnstap: queries and responses as they were, with the reason of each answer, for a collector or a file.
//!
//! ```text
//!   Tap        of each thread that answers: counts down to the next sampled query, copies it into a queue
//!   queue      fixed, one per thread; full: the event is dropped and counted
//!   writer     one thread for all: works out the reason, composes, writes; reconnects
//! ```
//!
//! The query path never waits for any of it. Off, it costs a comparison; on, a query that is not sampled costs a
//! countdown. How far apart samples are is drawn at random around what is configured, so that traffic with a
//! rhythm is not seen at one beat only.

mod capture;
pub mod frames;
pub mod message;
pub mod queue;
pub mod reason;
pub mod writer;

pub use writer::Writer;

use crate::exchange::block::Block;
use crate::transport::handler::Peer;
use queue::{Giver, Taker, queue};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

/// Events that each thread's queue holds: what the writer may fall behind by, some 3 MB a thread.
const QUEUE: usize = 1024;

//----------- Config ---------------------------------------------------------

/// `[dnstap]` in `floodway.toml`. Off unless a socket or a file is named.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// A Unix socket on which a collector listens.
    pub socket: Option<PathBuf>,
    /// A file to write; one that is there already gets the time of its last change added to its name. Once it has been
    /// renamed, a reload begins a new one.
    pub file: Option<PathBuf>,
    /// One query of so many is told; 1: all. Default 1,000: our choice, some hundred a second of a busy server.
    pub sample: u32,
    /// Whether to send AUTH_QUERY messages; default yes.
    pub queries: bool,
    /// Whether to send AUTH_RESPONSE messages, with the reason in `extra`; default yes.
    pub responses: bool,
    /// The server's name in each message; default: none.
    pub identity: String,
    /// The program's name in each message; default: `floodway` and its version.
    pub version: String,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            socket: None,
            file: None,
            sample: 1000,
            queries: true,
            responses: true,
            identity: String::new(),
            version: concat!("floodway ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

impl Config {
    /// Whether anything is told.
    pub fn is_on(&self) -> bool {
        self.socket.is_some() || self.file.is_some()
    }

    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.sample == 0 {
            return Err(
                "[dnstap] sample = 0: one query of so many, so at least 1; without socket and file it is off".into()
            );
        }
        if self.is_on() && !self.queries && !self.responses {
            return Err("[dnstap] neither queries nor responses: nothing would be told".into());
        }
        Ok(())
    }
}

//----------- Counts ---------------------------------------------------------

/// What dnstap did, for metrics.
#[derive(Debug, Default)]
pub struct Counts {
    /// Two counters for each thread: events taken, events dropped.
    threads: Box<[Block]>,
    written: AtomicU64,
    unwritten: AtomicU64,
    connected: AtomicBool,
}

impl Counts {
    fn new(n_threads: usize) -> Counts {
        Counts { threads: (0..n_threads).map(|_| Block::new(2)).collect(), ..Counts::default() }
    }

    /// Sampled queries that found room in their queue.
    pub fn sampled(&self) -> u64 {
        self.threads.iter().map(|b| b.get(0)).sum()
    }

    /// Sampled queries that did not.
    pub fn dropped(&self) -> u64 {
        self.threads.iter().map(|b| b.get(1)).sum()
    }

    /// Messages written to the socket or the file; to both: counted twice.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Messages that could not be written, because nobody listened or the file could not be had.
    pub fn unwritten(&self) -> u64 {
        self.unwritten.load(Ordering::Relaxed)
    }

    /// Whether a collector is connected.
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }
}

//----------- Tap ------------------------------------------------------------

/// The end of one thread that answers.
#[derive(Debug)]
pub struct Tap {
    giver: Giver,
    /// Queries until the next that is told.
    until_next: u32,
    sample: u32,
    /// State of the generator that spaces samples (xorshift64, Marsaglia 2003).
    random: u64,
    counts: Arc<Counts>,
    thread: usize,
}

/// Taps for `n_threads` threads, and the other end of their queues.
pub fn taps(config: &Config, n_threads: usize, seed: u64) -> (Vec<Tap>, Vec<Taker>, Arc<Counts>) {
    let counts = Arc::new(Counts::new(n_threads));
    let pair = |thread: usize| {
        let (giver, taker) = queue(QUEUE);
        let random = (seed ^ (thread as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        let mut tap =
            Tap { giver, until_next: 0, sample: config.sample.max(1), random, counts: counts.clone(), thread };
        tap.until_next = tap.spacing();
        (tap, taker)
    };
    let (taps, takers) = (0..n_threads).map(pair).unzip();
    (taps, takers, counts)
}

impl Tap {
    /// Counts a query; gives the time if this is one to be told.
    #[inline]
    pub fn begin(&mut self) -> Option<SystemTime> {
        self.until_next -= 1;
        if self.until_next > 0 {
            return None;
        }
        self.until_next = self.spacing();
        Some(SystemTime::now())
    }

    /// Tells of a query that has been answered; `response` is empty if it got none.
    #[cold]
    pub fn tell(&self, begun: SystemTime, peer: Peer, generation: u64, query: &[u8], response: &[u8]) {
        let given = self.giver.give(|event| {
            (event.peer, event.generation) = (peer, generation);
            (event.begun, event.ended) = (begun, SystemTime::now());
            event.query.clear();
            event.query.extend_from_slice(query);
            event.response.clear();
            event.response.extend_from_slice(response);
        });
        self.counts.threads[self.thread].add(usize::from(!given), 1);
    }

    /// 1 to `2 × sample − 1`, all alike: `sample` on average, and always 1 for 1.
    fn spacing(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        1 + ((self.random >> 32) % (2 * u64::from(self.sample) - 1)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::Transport;

    #[test]
    fn one_of_so_many_is_told() {
        let check = |sample: u32, n: u64, expected: std::ops::RangeInclusive<u64>| {
            let (mut taps, _takers, _) = taps(&Config { sample, ..Config::default() }, 1, 7);
            let told = (0..n).filter(|_| taps[0].begin().is_some()).count() as u64;
            assert!(expected.contains(&told), "{told} of {n} at 1/{sample}");
        };
        check(1, 100, 100..=100);
        check(10, 100_000, 9_500..=10_500);
        check(u32::MAX, 1000, 0..=1);
    }

    #[test]
    fn a_full_queue_drops_and_counts() {
        let (mut taps, takers, counts) = taps(&Config { sample: 1, ..Config::default() }, 2, 7);
        let peer = Peer::new("192.0.2.1:53".parse().unwrap(), Transport::Tcp);
        for _ in 0..QUEUE + 5 {
            let begun = taps[1].begin().unwrap();
            taps[1].tell(begun, peer, 3, b"query", b"response");
        }
        assert_eq!((counts.sampled(), counts.dropped()), (QUEUE as u64, 5));
        let n = takers[1].take(usize::MAX, |event| {
            assert_eq!((&event.query[..], &event.response[..], event.peer), (&b"query"[..], &b"response"[..], peer));
        });
        assert_eq!((n, takers[0].take(9, |_| ())), (QUEUE, 0));
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let check = |text: &str| toml::from_str::<Config>(text).map_err(|e| e.to_string()).and_then(|c| c.check());
        assert_eq!(check(""), Ok(()));
        assert!(check("sample = 0").unwrap_err().contains("at least 1"));
        assert!(check("file = \"x\"\nqueries = false\nresponses = false").unwrap_err().contains("neither"));
        assert!(check("sampling = 3").unwrap_err().contains("unknown field"));
    }
}
