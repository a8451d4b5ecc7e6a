//! What rate limits did: counters for metrics, and the worst prefixes for people.

use crate::exchange::block::Block;
use crate::transport::rate::class::Class;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// Prefixes that each thread remembers between two reports.
const N_WORST: usize = 8;

/// What became of a reply over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Not sent.
    Dropped,
    /// Sent truncated.
    Slipped,
}

impl Action {
    /// Both, in the order of the counters.
    pub const ALL: [Action; 2] = [Action::Dropped, Action::Slipped];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Action::Dropped => "dropped",
            Action::Slipped => "slipped",
        }
    }
}

const EVICTED: usize = Class::ALL.len() * Action::ALL.len();

//----------- Ledger ---------------------------------------------------------

/// The pages of all threads.
#[derive(Debug, Default)]
pub struct Ledger {
    pages: Box<[Page]>,
}

/// What one thread has counted. That thread alone writes to it.
#[derive(Debug)]
pub struct Page {
    block: Block,
    /// The one other who locks it is the report, once a minute; a query never waits for it.
    worst: Mutex<[(Option<IpAddr>, u64); N_WORST]>,
}

impl Ledger {
    /// Empty, for `n_threads` writers.
    pub fn new(n_threads: usize) -> Ledger {
        let page = || Page { block: Block::new(EVICTED + 1), worst: Mutex::default() };
        Ledger { pages: (0..n_threads).map(|_| page()).collect() }
    }

    /// The page of a thread.
    ///
    /// # Panics
    /// If there are not that many pages.
    pub fn page(&self, thread: usize) -> &Page {
        &self.pages[thread]
    }

    /// Replies of a class over their limit with which something was done, since the process began.
    pub fn limited(&self, class: Class, action: Action) -> u64 {
        self.pages.iter().map(|p| p.block.get(at(class, action))).sum()
    }

    /// Buckets in use that were given up for others: above 0, the table is too small for the clients there are, or
    /// somebody is crowding it.
    pub fn evicted(&self) -> u64 {
        self.pages.iter().map(|p| p.block.get(EVICTED)).sum()
    }

    /// The prefixes with most replies over their limits since this was last asked, worst first, and about how many. A
    /// prefix that came late may be shown with the count of one that it pushed out (space-saving counters, Metwally,
    /// Agrawal, El Abbadi 2005).
    pub fn take_worst(&self) -> Vec<(IpAddr, u64)> {
        let mut all: Vec<(IpAddr, u64)> = Vec::new();
        for page in &self.pages {
            let worst = std::mem::take(&mut *page.worst.lock().unwrap_or_else(PoisonError::into_inner));
            for (prefix, n) in worst.into_iter().filter_map(|(prefix, n)| prefix.map(|p| (p, n))) {
                match all.iter_mut().find(|(p, _)| *p == prefix) {
                    Some((_, sum)) => *sum += n,
                    None => all.push((prefix, n)),
                }
            }
        }
        all.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
        all.truncate(N_WORST);
        all
    }
}

fn at(class: Class, action: Action) -> usize {
    class as usize * Action::ALL.len() + action as usize
}

impl Page {
    /// Counts a reply over its limit. While the report reads, the prefix is not noted; the counter misses nothing.
    pub(super) fn limited(&self, class: Class, action: Action, prefix: IpAddr) {
        self.block.add(at(class, action), 1);
        let Ok(mut worst) = self.worst.try_lock() else { return };
        if let Some((_, n)) = worst.iter_mut().find(|(p, _)| *p == Some(prefix)) {
            *n += 1;
        } else if let Some(least) = worst.iter_mut().min_by_key(|(_, n)| *n) {
            *least = (Some(prefix), least.1 + 1);
        }
    }

    pub(super) fn evicted(&self) {
        self.block.add(EVICTED, 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_names_the_worst() {
        let ledger = Ledger::new(2);
        let addr = |n: u8| IpAddr::from([192, 0, n, 0]);
        for i in 0..1000u32 {
            ledger.page(i as usize % 2).limited(Class::Error, Action::Dropped, addr(7));
            ledger.page(0).limited(Class::Answer, Action::Slipped, addr(100 + i as u8 % 50));
        }
        ledger.page(1).evicted();
        assert_eq!(ledger.limited(Class::Error, Action::Dropped), 1000);
        assert_eq!(ledger.limited(Class::Answer, Action::Slipped), 1000);
        assert_eq!(ledger.limited(Class::Answer, Action::Dropped), 0);
        assert_eq!(ledger.evicted(), 1);
        let worst = ledger.take_worst();
        assert_eq!((worst[0].0, worst.len()), (addr(7), N_WORST));
        assert!(worst[0].1 >= 1000);
        assert!(ledger.take_worst().is_empty(), "told once");
    }
}
