//! Records in any order → a packed [`Zone`].
//!
//! While records come in, each is appended to a log and linked to its name's previous one; names are numbered
//! in a table of their own. [`Builder::finish`] then walks name by name and writes the arena in one pass
//! (`store::pack`), so that a name whose records are scattered over the file costs no more than one whose records
//! stand together.

use crate::wire::{Name, NameBuf, rtype};
use crate::zone::store::pack::Packer;
use crate::zone::store::{Zone, flag};

/// No record yet, or no parent.
pub(super) const NONE: u32 = u32::MAX;
/// Octets of a logged record before its RDATA: next, TTL, type, RDATA length.
const LOG_HEADER: usize = 12;

/// What became of a record handed to [`Builder::add`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It will be in the zone (once: a duplicate is dropped at the end).
    Taken,
    /// Its owner is not within the zone.
    OutOfZone,
    /// Its RDATA is longer than 65,535 octets, or the zone holds more than 16 GiB of records.
    TooLarge,
}

//----------- Builder --------------------------------------------------------

/// Gathers the records of one zone.
///
/// It checks nothing but that owners lie within the zone: what a zone may hold is `zone::load`'s business. A
/// zone without SOA is answered from, but has no SOA to put into negative answers.
pub struct Builder {
    pub(super) apex: Name,
    apex_labels: usize,
    pub(super) apex_hash: u64,
    /// The owner at hand and its number.
    buf: NameBuf,
    last_owner: Vec<u8>,
    last: u32,
    /// Relative names, one after another.
    pub(super) names: Vec<u8>,
    pub(super) drafts: Vec<Draft>,
    pub(super) hashes: Vec<u64>,
    /// Open addressing: number of a draft plus one, 0 if free.
    table: Vec<u32>,
    /// Records: offset over four of the owner's next record, TTL, type, RDATA length, RDATA, padding.
    pub(super) log: Vec<u8>,
}

/// A node in the making.
pub(super) struct Draft {
    name_at: usize,
    pub(super) name_len: u8,
    pub(super) flags: u8,
    parent: u32,
    /// First and last record in the log, offset over four.
    pub(super) head: u32,
    tail: u32,
}

/// A record in the log.
#[derive(Clone, Copy)]
pub(super) struct Logged<'l> {
    pub(super) rtype: u16,
    pub(super) ttl: u32,
    pub(super) rdata: &'l [u8],
}

impl Builder {
    /// An empty zone.
    pub fn new(apex: &Name) -> Builder {
        let buf = NameBuf::from(apex);
        let mut builder = Builder {
            apex: apex.clone(),
            apex_labels: buf.n_labels(),
            apex_hash: buf.hash_from(0),
            buf,
            last_owner: apex.as_wire().to_vec(),
            last: 0,
            names: Vec::new(),
            drafts: Vec::new(),
            hashes: Vec::new(),
            table: vec![0; 64],
            log: Vec::new(),
        };
        builder.new_draft(0, 0, NONE);
        builder
    }

    /// Takes one record. `rdata`: wire form, names in it uncompressed. If TTLs within an RRset differ, the
    /// least holds for all (RFC 2181 section 5.2).
    pub fn add(&mut self, owner: &Name, rtype: u16, ttl: u32, rdata: &[u8]) -> Added {
        let at = self.log.len() >> 2;
        if rdata.len() > usize::from(u16::MAX) || at >= NONE as usize - (1 << 15) {
            return Added::TooLarge;
        }
        if *self.last_owner != *owner.as_wire() {
            let Some(number) = self.number_of(owner) else { return Added::OutOfZone };
            self.last = number;
            self.last_owner.clear();
            self.last_owner.extend_from_slice(owner.as_wire());
        }
        let draft = &mut self.drafts[self.last as usize];
        match rtype {
            rtype::NS if self.last != 0 => draft.flags |= flag::CUT,
            rtype::DNAME => draft.flags |= flag::DNAME,
            _ => {}
        }
        let tail = std::mem::replace(&mut draft.tail, at as u32);
        if tail == NONE {
            draft.head = at as u32;
        } else {
            let tail = (tail as usize) << 2;
            self.log[tail..tail + 4].copy_from_slice(&(at as u32).to_ne_bytes());
        }
        self.log.extend_from_slice(&NONE.to_ne_bytes());
        self.log.extend_from_slice(&ttl.to_ne_bytes());
        self.log.extend_from_slice(&rtype.to_ne_bytes());
        self.log.extend_from_slice(&(rdata.len() as u16).to_ne_bytes());
        self.log.extend_from_slice(rdata);
        self.log.resize(self.log.len().next_multiple_of(4), 0);
        Added::Taken
    }

    /// The number of a name's draft, made with its ancestors where missing; `None` outside the zone.
    pub(super) fn number_of(&mut self, owner: &Name) -> Option<u32> {
        self.buf.parse(owner.as_wire())?;
        let apex = self.buf.n_labels().checked_sub(self.apex_labels)?;
        if self.buf.suffix(apex) != self.apex.as_wire() {
            return None;
        }
        let mut known = 0;
        while known < apex && self.find(known, apex).is_none() {
            known += 1;
        }
        let mut number = if known == apex { 0 } else { self.find(known, apex)? };
        for i in (0..known).rev() {
            number = self.new_draft(i, apex, number);
        }
        Some(number)
    }

    fn find(&self, i: usize, apex: usize) -> Option<u32> {
        let relative = &self.buf.as_wire()[self.buf.start(i)..self.buf.start(apex)];
        self.find_relative(self.buf.hash_from(i), relative)
    }

    pub(super) fn find_relative(&self, hash: u64, relative: &[u8]) -> Option<u32> {
        let mask = self.table.len() - 1;
        let mut slot = (hash >> 32) as usize & mask;
        while self.table[slot] != 0 {
            let number = self.table[slot] - 1;
            if self.hashes[number as usize] == hash && self.relative(number) == relative {
                return Some(number);
            }
            slot = (slot + 1) & mask;
        }
        None
    }

    pub(super) fn relative(&self, number: u32) -> &[u8] {
        let draft = &self.drafts[number as usize];
        &self.names[draft.name_at..draft.name_at + draft.name_len as usize]
    }

    /// Makes the draft of suffix `i` of the owner at hand, a child of `parent`.
    fn new_draft(&mut self, i: usize, apex: usize, parent: u32) -> u32 {
        let number = self.drafts.len() as u32;
        let hash = self.buf.hash_from(i);
        let relative = &self.buf.as_wire()[self.buf.start(i)..self.buf.start(apex)];
        let name_at = self.names.len();
        self.names.extend_from_slice(relative);
        let name_len = relative.len() as u8;
        if parent != NONE && self.buf.label(i) == b"*" {
            self.drafts[parent as usize].flags |= flag::WILDCARD_CHILD;
        }
        self.drafts.push(Draft { name_at, name_len, flags: 0, parent, head: NONE, tail: NONE });
        self.hashes.push(hash);
        if self.drafts.len() * 8 > self.table.len() * 5 {
            self.table = vec![0; self.table.len() * 2];
            for number in 0..self.drafts.len() {
                self.link(number as u32);
            }
        } else {
            self.link(number);
        }
        number
    }

    fn link(&mut self, number: u32) {
        let mask = self.table.len() - 1;
        let mut slot = (self.hashes[number as usize] >> 32) as usize & mask;
        while self.table[slot] != 0 {
            slot = (slot + 1) & mask;
        }
        self.table[slot] = number + 1;
    }

    /// The records of a draft, in the order added.
    pub(super) fn logged(&self, number: usize) -> impl Iterator<Item = Logged<'_>> {
        let mut next = self.drafts[number].head;
        std::iter::from_fn(move || {
            if next == NONE {
                return None;
            }
            let at = (next as usize) << 2;
            let four = |i: usize| u32::from_ne_bytes([self.log[i], self.log[i + 1], self.log[i + 2], self.log[i + 3]]);
            let two = |i: usize| u16::from_ne_bytes([self.log[i], self.log[i + 1]]);
            next = four(at);
            let rdata = &self.log[at + LOG_HEADER..at + LOG_HEADER + usize::from(two(at + 10))];
            Some(Logged { ttl: four(at + 4), rtype: two(at + 8), rdata })
        })
    }

    /// Packs the zone.
    pub fn finish(self) -> Zone {
        self.finish_with_offsets().0
    }

    /// Packs the zone; with it, by number of a name as [`Builder::last`] tells it, where in the arena its node lies.
    pub(crate) fn finish_with_offsets(mut self) -> (Zone, Vec<usize>) {
        // A parent's number is less than its children's, so one pass carries occlusion all the way down.
        for i in 1..self.drafts.len() {
            let above = self.drafts[self.drafts[i].parent as usize].flags;
            if above & (flag::CUT | flag::DNAME | flag::OCCLUDED) != 0 {
                self.drafts[i].flags |= flag::OCCLUDED;
            }
        }
        Packer::pack(&self)
    }

    /// The number of the name that the last record was added to; numbers ascend in the order of first records.
    pub(crate) fn last(&self) -> u32 {
        self.last
    }
}
