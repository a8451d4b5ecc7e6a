//! What is still to be said to one peer, in bounded space.
//!
//! A peer that reads hears of each sample by itself. A peer that does not read has its words merged:
//! acceptances into one count, refusals into one run per reason, wishes into the latest. So neither
//! side ever waits for the other, and a flood costs the server nothing to answer.

use crate::telemetry::{Refusal, Wishes};
use crate::wire::Name;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Refusals kept apart; beyond, those of one reason are merged.
const MAX_RUNS: usize = 256;

//----------- Outbox ---------------------------------------------------------

/// Words waiting for one peer.
#[derive(Debug, Default)]
pub struct Outbox {
    accepted: Option<(u64, u64)>,
    refused: VecDeque<Run>,
    wanted: BTreeMap<Name, Arc<Wishes>>,
}

/// Samples refused for one reason.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The reason.
    pub refusal: Refusal,
    /// The story of the first.
    pub text: String,
    /// `seq` of the first.
    pub first_seq: u64,
    /// `seq` of the last.
    pub last_seq: u64,
    /// How many.
    pub count: u64,
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// `count` samples were taken, the last with `last_seq`.
    Accepted {
        /// `seq` of the last of them.
        last_seq: u64,
        /// How many since the last such word.
        count: u64,
    },
    /// Samples were refused.
    Refused(Run),
    /// What is wanted of a POP, whole.
    Wanted(Name, Arc<Wishes>),
}

impl Outbox {
    /// Notes that a sample was taken.
    pub fn accept(&mut self, seq: u64) {
        let (_, count) = self.accepted.unwrap_or_default();
        self.accepted = Some((seq, count + 1));
    }

    /// Notes that a sample was refused. `text` is asked for only if it will be said.
    pub fn refuse(&mut self, seq: u64, refusal: Refusal, text: impl FnOnce() -> String) {
        let full = self.refused.len() >= MAX_RUNS;
        let run = self.refused.iter_mut().rev().find(|run| full && run.refusal == refusal);
        match run {
            Some(run) => (run.last_seq, run.count) = (seq, run.count + 1),
            // At most one more run per reason gets in here once it is full.
            None => self.refused.push_back(Run { refusal, text: text(), first_seq: seq, last_seq: seq, count: 1 }),
        }
    }

    /// Notes what is wanted of a POP; replaces an earlier wish that was not yet said.
    pub fn want(&mut self, pop: Name, wishes: Arc<Wishes>) {
        self.wanted.insert(pop, wishes);
    }

    /// Takes out the next thing to say: refusals first, then acceptances, then wishes.
    pub fn take(&mut self) -> Option<Word> {
        if let Some(run) = self.refused.pop_front() {
            return Some(Word::Refused(run));
        }
        if let Some((last_seq, count)) = self.accepted.take() {
            return Some(Word::Accepted { last_seq, count });
        }
        self.wanted.pop_first().map(|(pop, wishes)| Word::Wanted(pop, wishes))
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.accepted.is_none() && self.refused.is_empty() && self.wanted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Directive;

    #[test]
    fn a_reading_peer_hears_of_each_sample() {
        let mut outbox = Outbox::default();
        outbox.accept(1);
        assert_eq!(outbox.take(), Some(Word::Accepted { last_seq: 1, count: 1 }));
        for seq in [2, 3] {
            outbox.refuse(seq, Refusal::Stale, || format!("{seq}"));
        }
        for seq in [2, 3] {
            let run = Run { refusal: Refusal::Stale, text: format!("{seq}"), first_seq: seq, last_seq: seq, count: 1 };
            assert_eq!(outbox.take(), Some(Word::Refused(run)));
        }
        assert!(outbox.is_empty());
    }

    #[test]
    fn a_flood_is_merged_and_every_sample_is_accounted_for() {
        let mut outbox = Outbox::default();
        for seq in 0..1_000_000 {
            match seq % 3 {
                0 => outbox.accept(seq),
                1 => outbox.refuse(seq, Refusal::TooMany, String::new),
                _ => outbox.refuse(seq, Refusal::Stale, String::new),
            }
        }
        outbox.refuse(7, Refusal::InboxFull, || "a new reason still gets in".into());
        assert!(outbox.refused.len() <= MAX_RUNS + Refusal::ALL.len());
        let (mut accepted, mut refused) = (0, 0);
        while let Some(word) = outbox.take() {
            match word {
                Word::Accepted { count, .. } => accepted += count,
                Word::Refused(run) => refused += run.count,
                Word::Wanted(..) => unreachable!(),
            }
        }
        assert_eq!((accepted, refused), (333_334, 666_667));
    }

    #[test]
    fn only_the_latest_wish_is_said() {
        let mut outbox = Outbox::default();
        let pop: Name = "ams.pop.".parse().unwrap();
        let wish = |reason: &str| -> Arc<Wishes> {
            let wish = Directive {
                pop: pop.clone(),
                group: pop.clone(),
                member: pop.clone(),
                wanted: Default::default(),
                reason: reason.into(),
            };
            Arc::new(Wishes { shadows: vec![wish], ..Wishes::default() })
        };
        outbox.want(pop.clone(), wish("old"));
        outbox.want(pop.clone(), wish("new"));
        assert_eq!(outbox.take(), Some(Word::Wanted(pop.clone(), wish("new"))));
        assert_eq!(outbox.take(), None);
    }
}
