//! The buckets of a rate limit: a table of fixed size that one thread owns.
//!
//! A bucket is kept as the time at which it will be full again, in the form that ATM calls the generic cell rate
//! algorithm (ITU-T I.371, Annex A, virtual scheduling): a token bucket of one number, with no refill to do. A bucket whose
//! time has come is full, and a full bucket is as good as none, so old entries need no cleaning up: they are
//! simply taken over.
//!
//! A key may stand in one line of four entries, which is one cache line; where all four are in use, the fullest
//! makes room. So an attacker who crowds the table (with as many forged prefixes as there are entries) buys himself at most
//! fresh buckets, never memory or time.

/// Entries in one line: four of 16 octets fill a cache line.
const PER_LINE: usize = 4;

//----------- Limit ----------------------------------------------------------

/// How often something may happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Nanoseconds that one occurrence costs; at least 1.
    interval: u64,
    /// Nanoseconds that may be owed: one less than what may happen at once, times the interval.
    tolerance: u64,
}

impl Limit {
    /// `rate` per second in all, of which a thread has its share: `rate / n_threads` per second in the long run, and
    /// `rate` at once. Both at least 1.
    pub fn shared(rate: u32, n_threads: usize) -> Limit {
        let interval = (1_000_000_000 * n_threads.max(1) as u64 / u64::from(rate.max(1))).max(1);
        Limit { interval, tolerance: interval * u64::from(rate.max(1) - 1) }
    }
}

//----------- Table ----------------------------------------------------------

/// One bucket, 16 octets.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// When the bucket is full again, in nanoseconds of the caller's clock; 0 was never used.
    full_at: u64,
    /// Part of the key, to tell the keys of one line apart.
    tag: u32,
    /// Occurrences turned away since the bucket was taken, for the slip.
    n_over: u32,
}

#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Line([Entry; PER_LINE]);

/// Buckets by key.
#[derive(Clone, Debug)]
pub struct Table {
    lines: Box<[Line]>,
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There was a token.
    Within,
    /// There was none, for the `nth` time (from 1, wrapping) since the bucket came into use.
    Over {
        /// See the variant.
        nth: u32,
    },
}

/// A verdict, and whether a bucket in use was given up for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether another key lost its bucket, because its line was full.
    pub evicted: bool,
}

impl Table {
    /// Room for at least `entries` buckets; a power of two, 4 to 2²⁴.
    pub fn new(entries: usize) -> Table {
        let n_lines = entries.clamp(PER_LINE, 1 << 24).div_ceil(PER_LINE).next_power_of_two();
        Table { lines: vec![Line::default(); n_lines].into() }
    }

    /// Buckets that there is room for.
    pub fn n_entries(&self) -> usize {
        self.lines.len() * PER_LINE
    }

    /// Takes a token out of the bucket of `key`, a hash of which all 64 bits are good, at time `now` in nanoseconds. `now`
    /// may repeat and step back: a bucket is then as full as it was.
    #[inline]
    pub fn take(&mut self, key: u64, limit: Limit, now: u64) -> Taken {
        let at = key as usize & (self.lines.len() - 1);
        let (line, tag) = (&mut self.lines[at].0, (key >> 32) as u32);
        let mut evicted = false;
        let found = line.iter().position(|e| e.tag == tag && e.full_at > now);
        let entry = match found {
            Some(i) => &mut line[i],
            None => {
                let fullest = line.iter_mut().min_by_key(|e| e.full_at).expect("a line has entries");
                evicted = fullest.full_at > now;
                *fullest = Entry { full_at: 0, tag, n_over: 0 };
                fullest
            }
        };
        let owed_until = entry.full_at.max(now);
        let verdict = if owed_until - now > limit.tolerance {
            entry.n_over = entry.n_over.wrapping_add(1);
            Verdict::Over { nth: entry.n_over }
        } else {
            entry.full_at = owed_until + limit.interval;
            Verdict::Within
        };
        Taken { verdict, evicted }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn within(table: &mut Table, key: u64, limit: Limit, now: u64) -> bool {
        table.take(key, limit, now).verdict == Verdict::Within
    }

    #[test]
    fn a_line_is_a_cache_line() {
        assert_eq!((size_of::<Entry>(), size_of::<Line>()), (16, 64));
        assert_eq!(Table::new(5).n_entries(), 8);
        assert_eq!(Table::new(0).n_entries(), 4);
    }

    /// A second's worth at once, then one each interval; a second of rest gives all of it back.
    #[test]
    fn a_burst_then_the_rate() {
        let (mut table, limit) = (Table::new(64), Limit::shared(10, 1));
        let mut n = |now| (0..100).filter(|_| within(&mut table, 7, limit, now)).count();
        assert_eq!(n(5 * SECOND), 10);
        assert_eq!(n(5 * SECOND + SECOND / 10), 1);
        assert_eq!(n(5 * SECOND + SECOND / 2), 4);
        assert_eq!(n(9 * SECOND), 10);
        assert_eq!(n(8 * SECOND), 0, "a clock that steps back refills nothing");
    }

    /// Threads have a share of the rate each, and the whole of it at once.
    #[test]
    fn threads_share_the_rate() {
        let (mut table, limit) = (Table::new(64), Limit::shared(10, 4));
        let mut n = |now| (0..100).filter(|_| within(&mut table, 7, limit, now)).count();
        assert_eq!(n(SECOND), 10);
        assert_eq!(n(3 * SECOND), 5);
    }

    #[test]
    fn those_over_are_numbered() {
        let (mut table, limit) = (Table::new(64), Limit::shared(1, 1));
        assert!(within(&mut table, 7, limit, SECOND));
        for nth in 1..5 {
            assert_eq!(table.take(7, limit, SECOND).verdict, Verdict::Over { nth });
        }
    }

    /// Five keys of one line: the one that owes least makes room, and is told of; a full bucket is nobody's loss.
    #[test]
    fn the_fullest_makes_room() {
        let (mut table, limit) = (Table::new(4), Limit::shared(1, 1));
        let key = |n: u64| n << 32;
        for (i, n) in (1..=4).enumerate() {
            assert!(!table.take(key(n), limit, SECOND + i as u64).evicted);
        }
        assert!(table.take(key(5), limit, SECOND + 5).evicted);
        assert!(within(&mut table, key(1), limit, SECOND + 6), "the first had made room for the fifth");
        assert!(!within(&mut table, key(4), limit, SECOND + 6));
        assert!(!table.take(key(9), limit, 3 * SECOND).evicted);
    }

    proptest! {
        /// Whatever the times and the other keys: in no window of time does a key get more than the burst and the rate
        /// allow, and a key that keeps below the rate is never turned away while its line has room.
        #[test]
        fn no_window_exceeds_the_limit(
            rate in 1u32..50,
            n_threads in 1usize..5,
            steps in proptest::collection::vec((0u64..3, 0u64..400_000_000), 1..300),
        ) {
            let (mut table, limit) = (Table::new(4), Limit::shared(rate, n_threads));
            let (mut now, mut given): (u64, Vec<Vec<u64>>) = (SECOND, vec![Vec::new(); 3]);
            for (key, wait) in steps {
                now += wait;
                if within(&mut table, key << 32, limit, now) {
                    given[key as usize].push(now);
                }
            }
            for times in given {
                for (i, from) in times.iter().enumerate() {
                    for (j, to) in times.iter().enumerate().skip(i) {
                        let most = u64::from(rate) + (to - from) / limit.interval;
                        prop_assert!((j - i + 1) as u64 <= most, "{} in {} ns", j - i + 1, to - from);
                    }
                }
            }
        }

        #[test]
        fn who_keeps_below_the_rate_is_let_through(rate in 1u32..1000, waits in proptest::collection::vec(0u64..SECOND, 1..200)) {
            let (mut table, limit) = (Table::new(4), Limit::shared(rate, 1));
            let mut now = SECOND;
            for wait in waits {
                now += limit.interval + wait;
                prop_assert!(within(&mut table, 42, limit, now));
            }
        }
    }
}
