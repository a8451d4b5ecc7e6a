//! What is wanted of each POP, for whoever reports from there to read.
//!
//! The control loop writes the whole of it after every tick; streams of POPs watch it. Directives are
//! wishes, not events: each says the state that should hold, so reading one twice or missing one in
//! between changes nothing.

use crate::steering::ShadowState;
use crate::wire::Name;
use std::collections::BTreeMap;
use std::sync::Arc;
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
}

/// All that is wanted, by POP.
pub type Wanted = BTreeMap<Name, Arc<Wishes>>;

//----------- Board ----------------------------------------------------------

/// The current directives, to be watched.
#[derive(Debug)]
pub struct Board {
    wanted: watch::Sender<Arc<Wanted>>,
}

impl Board {
    /// Nothing is wanted of anyone.
    pub fn new() -> Board {
        Board { wanted: watch::Sender::new(Arc::default()) }
    }

    /// Replaces all directives. Setting what already stands wakes nobody; the lists of POPs whose
    /// wishes did not change keep their identity.
    pub fn set(&self, directives: Vec<Directive>, drains: Vec<Drain>) {
        let mut by_pop: BTreeMap<Name, Wishes> = BTreeMap::new();
        for directive in directives {
            by_pop.entry(directive.pop.clone()).or_default().shadows.push(directive);
        }
        for drain in drains {
            by_pop.entry(drain.pop.clone()).or_default().drains.push(drain);
        }
        self.wanted.send_if_modified(|current| {
            let next: Wanted = by_pop
                .into_iter()
                .map(|(pop, mut wishes)| {
                    wishes.shadows.sort_by(|a, b| (&a.group, &a.member).cmp(&(&b.group, &b.member)));
                    wishes.drains.sort_by(|a, b| (&a.group, &a.member).cmp(&(&b.group, &b.member)));
                    let wishes = match current.get(&pop) {
                        Some(old) if **old == wishes => old.clone(),
                        _ => Arc::new(wishes),
                    };
                    (pop, wishes)
                })
                .collect();
            let changed = **current != next;
            if changed {
                *current = Arc::new(next);
            }
            changed
        });
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
        assert_eq!(board.wanted().len(), 1);
    }
}
