//! The last differences of a zone: from which versions it can be brought up to the present one.

use crate::zone::diff::Difference;
use std::collections::VecDeque;
use std::sync::Arc;

//----------- History --------------------------------------------------------

/// Differences that lead from one to the next, and the last of them to the version that is served.
#[derive(Clone, Debug, Default)]
pub struct History {
    chain: VecDeque<Arc<Difference>>,
    octets: usize,
}

impl History {
    /// Adds the difference to the newest version. One that does not begin where the last one ended begins anew. Of more than
    /// `room` octets the oldest go.
    pub fn push(&mut self, diff: Arc<Difference>, room: usize) {
        if self.chain.back().is_some_and(|last| last.to != diff.from) {
            *self = History::default();
        }
        self.octets += diff.octets();
        self.chain.push_back(diff);
        while self.octets > room
            && let Some(oldest) = self.chain.pop_front()
        {
            self.octets -= oldest.octets();
        }
    }

    /// The differences from version `serial` on; `None` if they are not known any more.
    pub fn since(&self, serial: u32) -> Option<Vec<Arc<Difference>>> {
        let first = self.chain.iter().rposition(|diff| diff.from == serial)?;
        Some(self.chain.iter().skip(first).cloned().collect())
    }

    /// The version that it leads to; `None` if it is empty.
    pub fn end(&self) -> Option<u32> {
        self.chain.back().map(|diff| diff.to)
    }

    /// The differences, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Difference>> {
        self.chain.iter()
    }

    /// Number of differences.
    pub fn len(&self) -> usize {
        self.chain.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chain.is_empty()
    }

    /// Octets of their records.
    pub fn octets(&self) -> usize {
        self.octets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::records::Records;

    fn diff(from: u32, to: u32) -> Arc<Difference> {
        let mut added = Records::default();
        added.push(b"\0", 16, 0, [&[0; 89], b""]);
        Arc::new(Difference { from, to, removed: Records::default(), added })
    }

    fn steps(history: &History, since: u32) -> Option<Vec<(u32, u32)>> {
        history.since(since).map(|chain| chain.iter().map(|diff| (diff.from, diff.to)).collect())
    }

    #[test]
    fn a_chain_has_no_gaps_and_an_end() {
        let mut history = History::default();
        for (from, to) in [(1, 2), (2, 5), (5, 6)] {
            history.push(diff(from, to), 1000);
        }
        assert_eq!(steps(&history, 2), Some(vec![(2, 5), (5, 6)]));
        assert_eq!((steps(&history, 3), steps(&history, 6), history.end()), (None, None, Some(6)));
        history.push(diff(6, 7), 250);
        assert_eq!((steps(&history, 2), steps(&history, 5)), (None, Some(vec![(5, 6), (6, 7)])));
        history.push(diff(9, 10), 1000);
        assert_eq!((steps(&history, 6), steps(&history, 9)), (None, Some(vec![(9, 10)])));
        history.push(diff(10, 11), 50);
        assert!(history.is_empty() && history.octets() == 0);
    }
}
