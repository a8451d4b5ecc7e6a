//! What a zone file said and where: every RRset with the place of its first record.
//!
//! The loader fills it record by record, and the checks of the whole zone read it; it goes away when the load ends.
//! It is kept small, since for that time it stands beside the zone itself: some 90 octets a name.

use std::collections::HashSet;

use crate::masterfile::Span;
use crate::wire::name::{ROOT_HASH, suffix_hash};

/// No RRset.
const NONE: u32 = u32::MAX;

/// Every owner and RRset of one load.
#[derive(Default)]
pub struct Index {
    /// Names in wire form, one behind the other.
    names: Vec<u8>,
    owners: Vec<Owner>,
    /// Open addressing by hash of the name: position in `owners` plus one, 0 if free. At most five eighths full.
    table: Vec<u32>,
    rrsets: Vec<Seen>,
    /// Records beyond the first of their RRset: its position, and a hash of the RDATA.
    others: HashSet<(u32, u32)>,
}

struct Owner {
    name_at: u32,
    hash: u32,
    first: u32,
}

/// One RRset.
pub struct Seen {
    /// Its type.
    pub rtype: u16,
    /// Records in it, duplicates left out; stays at its limit.
    pub n: u16,
    /// The least TTL so far.
    pub ttl: u32,
    /// Where its first record's owner or type stands.
    pub span: Span,
    rdata_hash: u32,
    next: u32,
}

/// What became of a record.
pub enum Put {
    /// It is the first of its RRset.
    First,
    /// It joins the RRset at this position.
    Joins(usize),
    /// It repeats a record of the RRset at this position.
    Repeats(usize),
}

impl Index {
    /// Takes in a record. `owner`: wire form in lower case.
    pub fn put(&mut self, owner: &[u8], rtype: u16, ttl: u32, rdata: &[u8], span: Span) -> Put {
        let owner = self.intern(owner);
        let rdata_hash = suffix_hash(u64::from(rtype), rdata) as u32;
        let (mut at, mut last) = (self.owners[owner as usize].first, NONE);
        while at != NONE {
            let seen = &mut self.rrsets[at as usize];
            if seen.rtype == rtype {
                if seen.rdata_hash == rdata_hash || !self.others.insert((at, rdata_hash)) {
                    return Put::Repeats(at as usize);
                }
                seen.n = seen.n.saturating_add(1);
                return Put::Joins(at as usize);
            }
            (last, at) = (at, seen.next);
        }
        let new = self.rrsets.len() as u32;
        self.rrsets.push(Seen { rtype, n: 1, ttl, span, rdata_hash, next: NONE });
        match last {
            NONE => self.owners[owner as usize].first = new,
            last => self.rrsets[last as usize].next = new,
        }
        Put::First
    }

    /// The position of an owner, made if new.
    fn intern(&mut self, name: &[u8]) -> u32 {
        // Records of one owner mostly stand together.
        if let Some(last) = self.owners.len().checked_sub(1)
            && self.name(last as u32) == name
        {
            return last as u32;
        }
        if self.owners.len() * 8 >= self.table.len() * 5 {
            self.grow();
        }
        let hash = hash_of(name);
        match self.probe(name, hash) {
            Ok(owner) => owner,
            Err(slot) => {
                let owner = self.owners.len() as u32;
                self.owners.push(Owner { name_at: self.names.len() as u32, hash, first: NONE });
                self.names.extend_from_slice(name);
                self.table[slot] = owner + 1;
                owner
            }
        }
    }

    fn grow(&mut self) {
        self.table = vec![0; (self.table.len() * 2).max(64)];
        let mask = self.table.len() - 1;
        for (i, owner) in self.owners.iter().enumerate() {
            let mut slot = owner.hash as usize & mask;
            while self.table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.table[slot] = i as u32 + 1;
        }
    }

    /// The owner's position, or the free slot where it would go.
    fn probe(&self, name: &[u8], hash: u32) -> Result<u32, usize> {
        let mask = self.table.len() - 1;
        let mut slot = hash as usize & mask;
        while self.table[slot] != 0 {
            let owner = self.table[slot] - 1;
            if self.owners[owner as usize].hash == hash && self.name(owner) == name {
                return Ok(owner);
            }
            slot = (slot + 1) & mask;
        }
        Err(slot)
    }

    /// The position of an owner.
    pub fn find(&self, name: &[u8]) -> Option<u32> {
        if self.table.is_empty() { None } else { self.probe(name, hash_of(name)).ok() }
    }

    /// An owner's name in wire form.
    pub fn name(&self, owner: u32) -> &[u8] {
        let from = self.owners[owner as usize].name_at as usize;
        let to = self.owners.get(owner as usize + 1).map_or(self.names.len(), |next| next.name_at as usize);
        &self.names[from..to]
    }

    /// Number of owners.
    pub fn n_owners(&self) -> u32 {
        self.owners.len() as u32
    }

    /// The RRsets of an owner, in the order of the file.
    pub fn rrsets(&self, owner: u32) -> impl Iterator<Item = &Seen> {
        let mut at = self.owners[owner as usize].first;
        std::iter::from_fn(move || {
            let seen = self.rrsets.get(at as usize)?;
            at = seen.next;
            Some(seen)
        })
    }

    /// An owner's RRset of one type.
    pub fn rrset(&self, owner: u32, rtype: u16) -> Option<&Seen> {
        self.rrsets(owner).find(|seen| seen.rtype == rtype)
    }

    /// The RRset at a position.
    pub fn at(&mut self, i: usize) -> &mut Seen {
        &mut self.rrsets[i]
    }
}

fn hash_of(name: &[u8]) -> u32 {
    let hash = suffix_hash(ROOT_HASH, name);
    (hash ^ hash >> 32) as u32
}
