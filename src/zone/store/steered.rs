//! Names that policies answer, marked in a packed zone.
//!
//! A marked name's node is copied to the end of the arena with room for its group, so that names which are not steered
//! pay nothing. What was done is remembered: another load's policies may mark other names in the same zone.

use crate::id::GroupIdx;
use crate::wire::{Name, NameBuf};
use crate::zone::store::index::{hash_relative, name_at};
use crate::zone::store::{Zone, flag};

//----------- Steered --------------------------------------------------------

/// The marks of a zone.
#[derive(Clone, Default)]
pub(super) struct Steered {
    marks: Vec<(Name, GroupIdx)>,
    done: Vec<Done>,
}

/// One step of marking.
#[derive(Clone, Copy)]
enum Done {
    /// A node was copied.
    Moved { from: usize, to: usize },
    /// A node was made where there was none.
    Made { at: usize },
    /// A node got its first child `*`.
    Starred { at: usize },
}

impl Steered {
    pub(super) fn memory_bytes(&self) -> usize {
        let names: usize = self.marks.iter().map(|(name, _)| name.as_wire().len()).sum();
        self.marks.capacity() * size_of::<(Name, GroupIdx)>() + self.done.capacity() * size_of::<Done>() + names
    }
}

impl Zone {
    /// The names marked as answered by groups, in the order of marking.
    pub fn marks(&self) -> &[(Name, GroupIdx)] {
        &self.steered.marks
    }

    /// Marks these names, and no others, as answered by groups. Nodes are made where there are none. Names that are
    /// not within the zone are passed over.
    pub fn set_marks(&mut self, marks: Vec<(Name, GroupIdx)>) {
        self.unmark();
        for (name, group) in &marks {
            if name.is_within(&self.apex) {
                let buf = NameBuf::from(name);
                let apex = buf.n_labels() - self.apex.n_labels();
                self.steer(&buf, apex, *group);
            }
        }
        self.steered.marks = marks;
        self.arena.shrink_to_fit();
    }

    /// Takes all marks away: the zone as its file says it.
    pub(super) fn unmark(&mut self) {
        for done in std::mem::take(&mut self.steered).done.into_iter().rev() {
            let hash = |at: usize| hash_relative(name_at(&self.arena, at), self.apex_hash);
            match done {
                Done::Moved { from, to } => self.index.replace(hash(to), to, from, &self.arena, self.apex_hash),
                Done::Made { at } => self.index.remove(hash(at), at, &self.arena, self.apex_hash),
                Done::Starred { at } => self.arena[at] &= !flag::WILDCARD_CHILD,
            }
        }
        self.arena.truncate(self.base_len);
    }

    /// Where a node was before its name was marked.
    pub(super) fn before_steering(&self, at: usize) -> usize {
        if at < self.base_len {
            return at;
        }
        let from = |done: &Done| match *done {
            Done::Moved { from, to } if to == at => Some(from),
            _ => None,
        };
        self.steered.done.iter().rev().find_map(from).unwrap_or(at)
    }

    /// Marks a name, making its node if there is none. `apex`: the suffix of `name` that is this zone's apex.
    fn steer(&mut self, name: &NameBuf, apex: usize, group: GroupIdx) {
        for i in (0..apex).rev() {
            if self.node(name, i, apex).is_none() {
                let above = self.node(name, i + 1, apex).map_or(0, |n| n.flags());
                let occluded = above & (flag::CUT | flag::DNAME | flag::OCCLUDED) != 0;
                self.insert_empty(name, i, apex, if occluded { flag::OCCLUDED } else { 0 });
                if name.label(i) == b"*"
                    && let Some(parent) = self.node(name, i + 1, apex)
                {
                    let at = parent.at;
                    self.arena[at] |= flag::WILDCARD_CHILD;
                    self.steered.done.push(Done::Starred { at });
                }
            }
        }
        let Some(old) = self.node(name, 0, apex) else { return };
        let (old, rrsets, end) = (old.at, old.rrsets_start(), old.end());
        if self.arena[old] & flag::STEERED != 0 {
            let at = rrsets - 2;
            self.arena[at..rrsets].copy_from_slice(&group.0.to_le_bytes());
            return;
        }
        self.align();
        let new = self.arena.len();
        self.arena.extend_from_within(old..rrsets);
        self.arena[new] |= flag::STEERED;
        self.arena.extend_from_slice(&group.0.to_le_bytes());
        self.arena.extend_from_within(rrsets..end);
        self.index.replace(name.hash_from(0), old, new, &self.arena, self.apex_hash);
        self.steered.done.push(Done::Moved { from: old, to: new });
    }

    fn align(&mut self) {
        self.arena.resize(self.arena.len().next_multiple_of(4), 0);
    }

    fn insert_empty(&mut self, name: &NameBuf, i: usize, apex: usize, flags: u8) {
        self.align();
        let at = self.arena.len();
        let relative = &name.as_wire()[name.start(i)..name.start(apex)];
        self.arena.extend_from_slice(&[flags, relative.len() as u8, 0, 0]);
        self.arena.extend_from_slice(relative);
        self.index.insert(name.hash_from(i), at, &self.arena, self.apex_hash);
        self.steered.done.push(Done::Made { at });
    }
}
