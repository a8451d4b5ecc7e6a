//! What is wanted of each POP, for whoever reports from there to read.
//!
//! The control loop writes the whole of it after every tick; streams of POPs watch it. Directives are
//! wishes, not events: each says the state that should hold, so reading one twice or missing one in
//! between changes nothing. The board also keeps who has acknowledged what; see [`told`](crate::telemetry::told).

use crate::steering::ShadowState;
use crate::wire::Name;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

//----------- Directive ------------------------------------------------------

/// One wish to a POP.
#[derive(Clone, Debug, PartialEq)]
pub struct Directive {
    /// The POP that is to act.
    pub pop: Name,
    /// The group it is about.
    pub group: Name,
    /// The shadow member it is about.
    pub member: Name,
    /// The state that should hold there.
    pub wanted: ShadowState,
    /// Why, in words for the operator of the POP.
    pub reason: String,
}

/// Connections of one member that should end, since it gets no new answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Drain {
    /// The POP that is to act.
    pub pop: Name,
    /// The group it is about.
    pub group: Name,
    /// The member it is about.
    pub member: Name,
    /// Seconds after which a connection should be closed.
    pub max_connection_age_secs: u32,
    /// Why, in words for the operator of the POP.
    pub reason: &'static str,
}

/// All that is wanted of one POP; each list sorted by group and member.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wishes {
    /// Grows whenever the wishes to this POP change, also from one process to the next; 0 if nothing was ever wanted of it.
    pub generation: u64,
    /// Of its shadows.
    pub shadows: Vec<Directive>,
    /// Of its connections.
    pub drains: Vec<Drain>,
}

impl Wishes {
    /// Whether nothing is wanted.
    pub fn is_empty(&self) -> bool {
        self.shadows.is_empty() && self.drains.is_empty()
    }

    /// Whether the same is wanted as by `other`, of whatever generation.
    fn is_same(&self, other: &Wishes) -> bool {
        self.shadows == other.shadows && self.drains == other.drains
    }
}

/// All that is wanted, by POP. A POP stays when nothing is wanted of it any more, since that has to be said, too.
pub type Wanted = BTreeMap<Name, Arc<Wishes>>;

//----------- Delivery -------------------------------------------------------

/// Why wishes are said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// A POP reports on a stream for the first time.
    First,
    /// They changed.
    Changed,
    /// They were not acknowledged.
    Again,
}

impl Said {
    /// All, in the order of [`Said::idx`].
    pub const ALL: [Said; 3] = [Said::First, Said::Changed, Said::Again];

    /// Position in [`Said::ALL`].
    pub fn idx(self) -> usize {
        self as usize
    }

    /// A word of a closed set, for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Said::First => "first",
            Said::Changed => "changed",
            Said::Again => "again",
        }
    }
}

/// How far the wishes to one POP have come.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// The POP.
    pub pop: Name,
    /// What is wanted of it.
    pub wishes: Arc<Wishes>,
    /// How often this generation was said, over all streams.
    pub times: u32,
    /// Whether it was acknowledged.
    pub is_acknowledged: bool,
}

/// What was said of, and heard from, one POP.
#[derive(Clone, Copy, Debug, Default)]
struct Talk {
    /// The generation that was said last, and how often.
    said: (u64, u32),
    /// The generation that was acknowledged last.
    heard: Option<u64>,
}

//----------- Board ----------------------------------------------------------

/// The current directives, to be watched, and what became of them.
#[derive(Debug)]
pub struct Board {
    wanted: watch::Sender<Arc<Wanted>>,
    /// The newest generation that was given.
    newest: AtomicU64,
    /// By POP of which something was said. POPs are those of the policies, so a peer cannot make it grow.
    talks: Mutex<BTreeMap<Name, Talk>>,
    /// Times something was said, by [`Said::idx`].
    said: [AtomicU64; 3],
}

impl Board {
    /// Nothing is wanted of anyone. Generations begin at 1.
    pub fn new() -> Board {
        Board::since(0.0)
    }

    /// Nothing is wanted of anyone. Generations begin at the milliseconds of `unix`, seconds since 1970: so that what a peer holds of
    /// an earlier process is not taken for what this one wants, as long as wishes change less than a thousand times a second.
    pub fn since(unix: f64) -> Board {
        Board {
            wanted: watch::Sender::new(Arc::default()),
            newest: AtomicU64::new((unix * 1e3) as u64),
            talks: Mutex::default(),
            said: Default::default(),
        }
    }

    /// Replaces all directives. Setting what already stands wakes nobody; the lists of POPs whose
    /// wishes did not change keep their identity and their generation.
    pub fn set(&self, directives: Vec<Directive>, drains: Vec<Drain>) {
        let mut by_pop: BTreeMap<Name, Wishes> = BTreeMap::new();
        for directive in directives {
            by_pop.entry(directive.pop.clone()).or_default().shadows.push(directive);
        }
        for drain in drains {
            by_pop.entry(drain.pop.clone()).or_default().drains.push(drain);
        }
        self.wanted.send_if_modified(|current| {
            for pop in current.keys().filter(|pop| !by_pop.contains_key(pop)).cloned().collect::<Vec<_>>() {
                by_pop.insert(pop, Wishes::default());
            }
            let mut is_changed = false;
            let place = |(pop, mut wishes): (Name, Wishes)| {
                wishes.shadows.sort_by(|a, b| (&a.group, &a.member).cmp(&(&b.group, &b.member)));
                wishes.drains.sort_by(|a, b| (&a.group, &a.member).cmp(&(&b.group, &b.member)));
                let wishes = match current.get(&pop) {
                    Some(old) if old.is_same(&wishes) => old.clone(),
                    _ => {
                        is_changed = true;
                        Arc::new(Wishes { generation: 1 + self.newest.fetch_add(1, Relaxed), ..wishes })
                    }
                };
                (pop, wishes)
            };
            let next: Wanted = by_pop.into_iter().map(place).collect();
            if is_changed {
                *current = Arc::new(next);
            }
            is_changed
        });
    }

    /// Notes that wishes to a POP were said.
    pub fn note_said(&self, pop: &Name, generation: u64, why: Said) {
        self.said[why.idx()].fetch_add(1, Relaxed);
        let mut talks = self.talks();
        let talk = talks.entry(pop.clone()).or_default();
        talk.said = match talk.said {
            (same, times) if same == generation => (same, times.saturating_add(1)),
            _ => (generation, 1),
        };
    }

    /// Notes which generation of the wishes to it a POP has acknowledged.
    pub fn note_heard(&self, pop: &Name, generation: u64) {
        self.talks().entry(pop.clone()).or_default().heard = Some(generation);
    }

    /// How far the wishes have come, of all POPs of which something is or was wanted.
    pub fn deliveries(&self) -> Vec<Delivery> {
        let (wanted, talks) = (self.wanted(), self.talks());
        let delivery = |(pop, wishes): (&Name, &Arc<Wishes>)| {
            let talk = talks.get(pop).copied().unwrap_or_default();
            Delivery {
                pop: pop.clone(),
                wishes: wishes.clone(),
                times: if talk.said.0 == wishes.generation { talk.said.1 } else { 0 },
                is_acknowledged: talk.heard == Some(wishes.generation),
            }
        };
        wanted.iter().map(delivery).collect()
    }

    /// How often something was said, by [`Said::idx`].
    pub fn said(&self) -> [u64; 3] {
        self.said.each_ref().map(|n| n.load(Relaxed))
    }

    fn talks(&self) -> MutexGuard<'_, BTreeMap<Name, Talk>> {
        self.talks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wanted now.
    pub fn wanted(&self) -> Arc<Wanted> {
        self.wanted.borrow().clone()
    }

    /// A receiver that sees every change from now on.
    pub fn watch(&self) -> watch::Receiver<Arc<Wanted>> {
        self.wanted.subscribe()
    }
}

impl Default for Board {
    fn default() -> Board {
        Board::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directive(pop: &str, wanted: ShadowState) -> Directive {
        Directive {
            pop: pop.parse().unwrap(),
            group: "web.example.com.".parse().unwrap(),
            member: "dub.web.example.com.".parse().unwrap(),
            wanted,
            reason: String::new(),
        }
    }

    #[test]
    fn the_same_wishes_again_wake_nobody() {
        let board = Board::new();
        let mut watch = board.watch();
        board.set(Vec::new(), Vec::new());
        assert!(!watch.has_changed().unwrap());
        board.set(
            vec![directive("dub.pop.", ShadowState::Warming), directive("ams.pop.", ShadowState::Cold)],
            Vec::new(),
        );
        assert!(watch.has_changed().unwrap());
        watch.mark_unchanged();
        board.set(
            vec![directive("ams.pop.", ShadowState::Cold), directive("dub.pop.", ShadowState::Warming)],
            Vec::new(),
        );
        assert!(!watch.has_changed().unwrap(), "order does not matter");
    }

    #[test]
    fn a_change_at_one_pop_leaves_the_others_alone() {
        let board = Board::new();
        let ams: Name = "ams.pop.".parse().unwrap();
        board.set(
            vec![directive("dub.pop.", ShadowState::Warming), directive("ams.pop.", ShadowState::Cold)],
            Vec::new(),
        );
        let before = board.wanted();
        board.set(
            vec![directive("dub.pop.", ShadowState::Active), directive("ams.pop.", ShadowState::Cold)],
            Vec::new(),
        );
        assert!(Arc::ptr_eq(&before[&ams], &board.wanted()[&ams]));
        board.set(vec![directive("ams.pop.", ShadowState::Cold)], Vec::new());
        let wanted = board.wanted();
        assert!(Arc::ptr_eq(&before[&ams], &wanted[&ams]));
        let dub = &wanted[&"dub.pop.".parse().unwrap()];
        assert!(dub.is_empty() && dub.generation > wanted[&ams].generation, "that nothing is wanted is news");
    }

    #[test]
    fn generations_grow_with_each_change_and_over_restarts() {
        let pop: Name = "ams.pop.".parse().unwrap();
        let generation = |board: &Board, wanted| {
            board.set(vec![directive("ams.pop.", wanted)], Vec::new());
            board.wanted()[&pop].generation
        };
        let board = Board::since(1000.0);
        let (first, same) = (generation(&board, ShadowState::Cold), generation(&board, ShadowState::Cold));
        let next = generation(&board, ShadowState::Warming);
        assert_eq!((first, same, next), (1_000_001, 1_000_001, 1_000_002));
        assert!(generation(&Board::since(1001.0), ShadowState::Cold) > next);
    }

    #[test]
    fn what_was_not_acknowledged_is_known() {
        let (board, pop) = (Board::new(), "ams.pop.".parse().unwrap());
        assert_eq!(board.deliveries(), Vec::new());
        board.set(vec![directive("ams.pop.", ShadowState::Warming)], Vec::new());
        let told = || board.deliveries().iter().map(|d| (d.times, d.is_acknowledged)).collect::<Vec<_>>();
        assert_eq!(told(), [(0, false)], "it has not reported yet");
        board.note_said(&pop, 1, Said::First);
        board.note_said(&pop, 1, Said::Again);
        assert_eq!((told(), board.said()), (vec![(2, false)], [1, 0, 1]));
        board.note_heard(&pop, 1);
        assert_eq!(told(), [(2, true)]);
        board.set(Vec::new(), Vec::new());
        assert_eq!(told(), [(0, false)], "nor that nothing is wanted any more");
    }
}
