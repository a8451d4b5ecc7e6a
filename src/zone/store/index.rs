//! The table that finds a zone's nodes by the hash of their name.
//!
//! Open addressing with linear probing, at most seven tenths full. An entry is a node's offset over four in
//! its low bits, and above it a tag: as many low bits of the hash as there is room for. The home slot comes
//! from the high half of the hash, so tag and home are independent.

use crate::ahead;
use crate::wire::name::suffix_hash;
use crate::zone::store::NODE_HEADER;

//----------- Index ----------------------------------------------------------

/// Hash → arena offset of a node.
#[derive(Clone)]
pub(super) struct Index {
    slots: Vec<u32>,
    n: usize,
    offset_bits: u32,
}

impl Index {
    /// Room for `n` nodes in an arena of `arena_len` octets.
    pub(super) fn new(n: usize, arena_len: usize) -> Index {
        // A little room, so that the first names to come do not cost a new table.
        let (n, arena_len) = (n + n / 64, arena_len + arena_len / 16);
        let offset_bits = usize::BITS - (arena_len >> 2).leading_zeros();
        Index { slots: vec![0; n * 10 / 7 + 2], n: 0, offset_bits: offset_bits.clamp(8, 32) }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<u32>()
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    #[inline]
    fn tag(&self, hash: u64) -> u32 {
        ((hash & 0xffff_ffff) << self.offset_bits) as u32
    }

    #[inline]
    fn offset(&self, entry: u32) -> usize {
        let mask = ((1u64 << self.offset_bits) - 1) as u32;
        ((entry & mask) as usize) << 2
    }

    /// Asks for the slot where [`Index::find`] begins.
    #[inline(always)]
    pub(super) fn foresee(&self, hash: u64) {
        ahead::fetch(&self.slots, self.home(hash));
    }

    /// The first node with this hash's tag that `is_it` accepts.
    #[inline(always)]
    pub(super) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = ((1u64 << self.offset_bits) - 1) as u32;
        let (mut i, tag) = (self.home(hash), self.tag(hash));
        loop {
            let entry = self.slots[i];
            if entry == 0 {
                return None;
            }
            if entry & !mask == tag {
                let at = self.offset(entry);
                if is_it(at) {
                    return Some(at);
                }
            }
            i += 1;
            if i == self.slots.len() {
                i = 0;
            }
        }
    }

    /// Every node's offset.
    pub(super) fn offsets(&self) -> impl Iterator<Item = usize> {
        self.slots.iter().filter(|e| **e != 0).map(|e| self.offset(*e))
    }

    /// The offset of the first node in slot `slot` or behind it, and the slot after its own.
    pub(super) fn offset_after(&self, slot: usize) -> Option<(usize, usize)> {
        let n = self.slots.get(slot..)?.iter().position(|entry| *entry != 0)?;
        Some((self.offset(self.slots[slot + n]), slot + n + 1))
    }

    /// Puts in a node that is not there yet and for which there is room.
    pub(super) fn put(&mut self, hash: u64, at: usize) {
        let mut i = self.home(hash);
        while self.slots[i] != 0 {
            i = (i + 1) % self.slots.len();
        }
        self.slots[i] = self.tag(hash) | (at >> 2) as u32;
        self.n += 1;
    }

    /// Puts in a node of a finished arena, growing where needed.
    pub(super) fn insert(&mut self, hash: u64, at: usize, arena: &[u8], apex_hash: u64) {
        self.make_room(arena, apex_hash);
        self.put(hash, at);
    }

    /// Lets the node at `old` be found at `new`.
    pub(super) fn replace(&mut self, hash: u64, old: usize, new: usize, arena: &[u8], apex_hash: u64) {
        self.make_room(arena, apex_hash);
        let mut i = self.home(hash);
        while self.slots[i] != 0 {
            if self.offset(self.slots[i]) == old {
                self.slots[i] = self.tag(hash) | (new >> 2) as u32;
                return;
            }
            i = (i + 1) % self.slots.len();
        }
    }

    /// Rebuilds the table if one more node would crowd it or the arena has outgrown the offsets.
    fn make_room(&mut self, arena: &[u8], apex_hash: u64) {
        if (self.n + 1) * 10 <= self.slots.len() * 7 && (arena.len() >> 2) >> self.offset_bits == 0 {
            return;
        }
        let mut grown = Index::new((self.n + 8) * 5 / 4, arena.len() + arena.len() / 4);
        for at in self.offsets() {
            grown.put(hash_relative(name_at(arena, at), apex_hash), at);
        }
        *self = grown;
    }

    /// Takes out the node at `at`, if it is there. What was pushed aside by it moves back.
    pub(super) fn remove(&mut self, hash: u64, at: usize, arena: &[u8], apex_hash: u64) {
        let len = self.slots.len();
        let mut hole = self.home(hash);
        while self.offset(self.slots[hole]) != at {
            if self.slots[hole] == 0 {
                return;
            }
            hole = (hole + 1) % len;
        }
        let mut i = hole;
        loop {
            i = (i + 1) % len;
            let entry = self.slots[i];
            if entry == 0 {
                break;
            }
            let home = self.home(hash_relative(name_at(arena, self.offset(entry)), apex_hash));
            if (i + len - home) % len >= (i + len - hole) % len {
                self.slots[hole] = entry;
                hole = i;
            }
        }
        self.slots[hole] = 0;
        self.n -= 1;
    }
}

/// The relative name of the node at an arena offset.
#[inline]
pub(super) fn name_at(arena: &[u8], at: usize) -> &[u8] {
    &arena[at + NODE_HEADER..at + NODE_HEADER + arena[at + 1] as usize]
}

/// The suffix hash of a relative name under an apex.
pub(super) fn hash_relative(name: &[u8], apex_hash: u64) -> u64 {
    if name.is_empty() {
        return apex_hash;
    }
    let (label, rest) = name[1..].split_at(name[0] as usize);
    suffix_hash(hash_relative(rest, apex_hash), label)
}
