//! Records in any order → a packed [`Zone`].
//!
//! While records come in, each is appended to a log and linked to its name's previous one; names are numbered
//! in a table of their own. [`Builder::finish`] then walks name by name and writes the arena in one pass, so
//! that a name whose records are scattered over the file costs no more than one whose records stand together.

use crate::wire::{Name, NameBuf, rtype};
use crate::zone::store::index::Index;
use crate::zone::store::{NODE_HEADER, RECORD_HEADER, RRSET_HEADER, Zone, flag};

/// Longest RRset in octets of its stored records: what fits in a message of 65,535 beside the longest
/// question and an OPT record.
const MAX_RRSET: usize = 65_000;
/// No record yet, or no parent.
const NONE: u32 = u32::MAX;
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
    apex: Name,
    apex_labels: usize,
    apex_hash: u64,
    /// The owner at hand and its number.
    buf: NameBuf,
    last_owner: Vec<u8>,
    last: u32,
    /// Relative names, one after another.
    names: Vec<u8>,
    drafts: Vec<Draft>,
    hashes: Vec<u64>,
    /// Open addressing: number of a draft plus one, 0 if free.
    table: Vec<u32>,
    /// Records: offset over four of the owner's next record, TTL, type, RDATA length, RDATA, padding.
    log: Vec<u8>,
}

/// A node in the making.
struct Draft {
    name_at: usize,
    name_len: u8,
    flags: u8,
    parent: u32,
    /// First and last record in the log, offset over four.
    head: u32,
    tail: u32,
}

/// A record in the log.
#[derive(Clone, Copy)]
struct Logged<'l> {
    rtype: u16,
    ttl: u32,
    rdata: &'l [u8],
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
    fn number_of(&mut self, owner: &Name) -> Option<u32> {
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

    fn find_relative(&self, hash: u64, relative: &[u8]) -> Option<u32> {
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

    fn relative(&self, number: u32) -> &[u8] {
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
    fn logged(&self, number: usize) -> impl Iterator<Item = Logged<'_>> {
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
    pub fn finish(mut self) -> Zone {
        // A parent's number is less than its children's, so one pass carries occlusion all the way down.
        for i in 1..self.drafts.len() {
            let above = self.drafts[self.drafts[i].parent as usize].flags;
            if above & (flag::CUT | flag::DNAME | flag::OCCLUDED) != 0 {
                self.drafts[i].flags |= flag::OCCLUDED;
            }
        }
        Packer::new(&self).pack()
    }
}

//----------- Packer ---------------------------------------------------------

/// Writes the arena.
struct Packer<'b> {
    from: &'b Builder,
    arena: Vec<u8>,
    /// Arena offset of every draft's node.
    offsets: Vec<usize>,
    /// Where glue still holds the number of a draft in place of its node's offset.
    fixups: Vec<(usize, u32)>,
    /// Positions of apex pointers in the RRset at hand.
    pointers: Vec<u16>,
    n_names: usize,
    n_rrsets: usize,
    n_records: usize,
    oversized: Vec<(Name, u16)>,
}

impl<'b> Packer<'b> {
    fn new(from: &'b Builder) -> Packer<'b> {
        let size = from.names.len() + from.log.len() + from.drafts.len() * (NODE_HEADER + RRSET_HEADER + 3);
        Packer {
            from,
            arena: Vec::with_capacity(size),
            offsets: Vec::with_capacity(from.drafts.len()),
            fixups: Vec::new(),
            pointers: Vec::new(),
            n_names: 0,
            n_rrsets: 0,
            n_records: 0,
            oversized: Vec::new(),
        }
    }

    fn pack(mut self) -> Zone {
        // Offset 0 means "none" in the index.
        self.arena.extend_from_slice(&[0; 4]);
        let mut records = Vec::new();
        for number in 0..self.from.drafts.len() {
            self.pack_node(number, &mut records);
        }
        for (at, number) in std::mem::take(&mut self.fixups) {
            let offset = (self.offsets[number as usize] >> 2) as u32;
            self.arena[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        }
        let negative_at = self.pack_negative_soa();
        self.arena.shrink_to_fit();
        let mut index = Index::new(self.offsets.len(), self.arena.len());
        for (hash, at) in self.from.hashes.iter().zip(&self.offsets) {
            index.put(*hash, *at);
        }
        let soa = self.from.logged(0).find(|r| r.rtype == rtype::SOA);
        Zone {
            apex: self.from.apex.clone(),
            apex_hash: self.from.apex_hash,
            arena: self.arena,
            index,
            negative_at,
            serial: soa.and_then(|r| soa_number(r.rdata, 0)).unwrap_or(0),
            n_names: self.n_names,
            n_rrsets: self.n_rrsets,
            n_records: self.n_records,
            oversized: self.oversized,
        }
    }

    /// Writes one node. `records`: room to sort in, kept between calls.
    fn pack_node(&mut self, number: usize, records: &mut Vec<Logged<'b>>) {
        let from = self.from;
        let draft = &from.drafts[number];
        records.clear();
        records.extend(from.logged(number));
        // Stable, so that records of one RRset stay in the order of the file.
        records.sort_by_key(|r| r.rtype);
        self.arena.resize(self.arena.len().next_multiple_of(4), 0);
        let at = self.arena.len();
        self.offsets.push(at);
        self.arena.extend_from_slice(&[draft.flags, draft.name_len, 0, 0]);
        self.arena.extend_from_slice(from.relative(number as u32));
        let mut n_rrsets = 0u16;
        for rrset in records.chunk_by(|a, b| a.rtype == b.rtype) {
            self.pack_rrset(number, rrset);
            n_rrsets += 1;
        }
        self.arena[at + 2..at + 4].copy_from_slice(&n_rrsets.to_le_bytes());
        self.n_rrsets += usize::from(n_rrsets);
        self.n_names += usize::from(n_rrsets > 0);
    }

    fn pack_rrset(&mut self, number: usize, rrset: &[Logged<'b>]) {
        let rtype = rrset[0].rtype;
        let ttl = rrset.iter().map(|r| r.ttl).min().unwrap_or(0);
        let header = self.open_rrset(rtype);
        let start = header + RRSET_HEADER;
        let duplicate = duplicates(rrset);
        let mut n = 0u16;
        for (i, record) in rrset.iter().enumerate() {
            if duplicate.get(i) == Some(&true) {
                continue;
            }
            if self.arena.len() - start + RECORD_HEADER + record.rdata.len() > MAX_RRSET && n > 0 {
                let owner = [self.from.relative(number as u32), self.from.apex.as_wire()].concat();
                self.oversized.extend(Name::from_wire(&owner).ok().map(|owner| (owner, rtype)));
                break;
            }
            self.pack_record(rtype, ttl, record.rdata, start);
            n += 1;
        }
        self.n_records += usize::from(n);
        self.close_rrset(header, n);
        if self.from.drafts[number].flags & (flag::CUT | flag::OCCLUDED) == flag::CUT && rtype == rtype::NS {
            self.pack_glue(number, header, start);
        }
    }

    fn open_rrset(&mut self, rtype: u16) -> usize {
        let header = self.arena.len();
        self.arena.extend_from_slice(&rtype.to_le_bytes());
        self.arena.extend_from_slice(&[0; RRSET_HEADER - 2]);
        self.pointers.clear();
        header
    }

    fn close_rrset(&mut self, header: usize, n: u16) {
        let len = (self.arena.len() - header - RRSET_HEADER) as u16;
        let is_ns = self.arena[header..header + 2] == rtype::NS.to_le_bytes();
        let n_extra = self.pointers.len() as u16 + u16::from(is_ns);
        if is_ns {
            self.arena.extend_from_slice(&(self.pointers.len() as u16).to_le_bytes());
        }
        for pointer in &self.pointers {
            self.arena.extend_from_slice(&pointer.to_le_bytes());
        }
        for (i, value) in [n, len, n_extra].into_iter().enumerate() {
            self.arena[header + 2 + 2 * i..header + 4 + 2 * i].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Writes a record; `start`: where the RRset's records begin.
    fn pack_record(&mut self, rtype: u16, ttl: u32, rdata: &[u8], start: usize) {
        self.arena.extend_from_slice(&[0xc0, 0x0c]);
        self.arena.extend_from_slice(&rtype.to_be_bytes());
        self.arena.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
        self.arena.extend_from_slice(&ttl.to_be_bytes());
        let length_at = self.arena.len();
        self.arena.extend_from_slice(&[0, 0]);
        let mut rest = rdata;
        for (skip, len) in names_in(rtype, rdata) {
            let (before, name) = (&rest[..skip], &rest[skip..skip + len]);
            self.arena.extend_from_slice(before);
            match relative_len(name, self.from.apex.as_wire()) {
                Some(relative) => {
                    self.arena.extend_from_slice(&name[..relative]);
                    self.pointers.push((self.arena.len() - start) as u16);
                    self.arena.extend_from_slice(&[0xc0, 0]);
                }
                None => self.arena.extend_from_slice(name),
            }
            rest = &rest[skip + len..];
        }
        self.arena.extend_from_slice(rest);
        let len = (self.arena.len() - length_at - 2) as u16;
        self.arena[length_at..length_at + 2].copy_from_slice(&len.to_be_bytes());
    }

    /// Lists the addresses of a cut's name servers that the zone knows, in-domain ones first: those are
    /// needed to get any further, the others save a resolver a step (RFC 9471 sections 2 and 3).
    fn pack_glue(&mut self, number: usize, header: usize, start: usize) {
        let from = self.from;
        let cut = from.relative(number as u32);
        let (mut found, mut buf, mut at) = (Vec::new(), NameBuf::default(), start);
        let end = start + usize::from(u16::from_le_bytes([self.arena[header + 4], self.arena[header + 5]]));
        while at < end {
            let rdata = at + RECORD_HEADER;
            let len = usize::from(u16::from_be_bytes([self.arena[rdata - 2], self.arena[rdata - 1]]));
            at = rdata + len;
            // In the root's zone all names are within and none is compressed, see `relative_len`.
            let end_of_name: &[u8] = if from.apex.as_wire().len() == 1 { &[0] } else { &[0xc0, 0] };
            let Some(relative) = self.arena[rdata..at].strip_suffix(end_of_name) else { continue };
            let wire = [relative, from.apex.as_wire()].concat();
            if buf.parse(&wire).is_none() {
                continue;
            }
            let relative = &buf.as_wire()[..relative.len()];
            let Some(target) = from.find_relative(buf.hash_from(0), relative) else { continue };
            if from.logged(target as usize).any(|r| matches!(r.rtype, rtype::A | rtype::AAAA)) {
                let labels =
                    |name: &[u8]| NameBuf::from(&Name::from_wire(&[name, &[0]].concat()).unwrap_or(Name::root()));
                let (target_labels, cut_labels) = (labels(relative), labels(cut));
                let in_domain = target_labels
                    .n_labels()
                    .checked_sub(cut_labels.n_labels())
                    .is_some_and(|i| target_labels.suffix(i) == cut_labels.as_wire());
                found.push((!in_domain, (rdata - start) as u16, target));
            }
        }
        found.sort_by_key(|(sibling, ..)| *sibling);
        let n_extra = u16::from_le_bytes([self.arena[header + 6], self.arena[header + 7]]) + 4 * found.len() as u16;
        self.arena[header + 6..header + 8].copy_from_slice(&n_extra.to_le_bytes());
        for (sibling, name_at, target) in found {
            self.arena.extend_from_slice(&name_at.to_le_bytes());
            self.arena.extend_from_slice(&u16::from(!sibling).to_le_bytes());
            self.fixups.push((self.arena.len(), target));
            self.arena.extend_from_slice(&[0; 4]);
        }
    }

    /// The SOA once more, with the TTL that negative answers have; returns where, 0 without SOA.
    fn pack_negative_soa(&mut self) -> usize {
        let Some(soa) = self.from.logged(0).find(|r| r.rtype == rtype::SOA) else { return 0 };
        let ttl = soa_number(soa.rdata, 16).map_or(soa.ttl, |minimum| minimum.min(soa.ttl));
        let header = self.open_rrset(rtype::SOA);
        self.pack_record(rtype::SOA, ttl, soa.rdata, header + RRSET_HEADER);
        self.close_rrset(header, 1);
        header
    }
}

//----------- Leaves ---------------------------------------------------------

/// Which records of an RRset repeat an earlier one; empty if there is only one. Names compare without case where the RDATA is one name.
fn duplicates(rrset: &[Logged<'_>]) -> Vec<bool> {
    if rrset.len() == 1 {
        return Vec::new();
    }
    let fold = matches!(rrset[0].rtype, rtype::NS | rtype::CNAME | rtype::PTR | rtype::DNAME);
    let mut seen = std::collections::HashSet::with_capacity(rrset.len());
    rrset.iter().map(|r| !seen.insert(if fold { r.rdata.to_ascii_lowercase() } else { r.rdata.to_vec() })).collect()
}

/// The names in RDATA that may be compressed (RFC 3597 section 4), each as octets to skip from the end of the
/// last one, and its length. None if the RDATA is not what its type says.
fn names_in(rtype: u16, rdata: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let (skip, n_names, tail) = match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR => (0, 1, 0),
        rtype::MX => (2, 1, 0),
        rtype::SOA => (0, 2, 20),
        _ => (0, 0, rdata.len()),
    };
    let mut found = [(0, 0); 2];
    let mut at = skip;
    let mut whole = true;
    for slot in found.iter_mut().take(n_names) {
        match rdata.get(at..).and_then(name_len) {
            Some(len) => {
                *slot = (if at == skip { skip } else { 0 }, len);
                at += len;
            }
            None => whole = false,
        }
    }
    whole &= at + tail == rdata.len();
    found.into_iter().take(if whole { n_names } else { 0 })
}

/// Length of the uncompressed name at the head of `wire`.
fn name_len(wire: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *wire.get(at)? as usize {
            0 => return (at < 255).then_some(at + 1),
            len @ 1..=63 => at += 1 + len,
            _ => return None,
        }
    }
}

/// Octets of `name` before the suffix that is `apex`; `None` if it is not within, or if the apex is the
/// root, which is shorter than a pointer.
fn relative_len(name: &[u8], apex: &[u8]) -> Option<usize> {
    if apex.len() == 1 {
        return None;
    }
    let mut at = 0;
    while name.len() - at > apex.len() {
        at += 1 + name[at] as usize;
    }
    (name.len() - at == apex.len() && name[at..].eq_ignore_ascii_case(apex)).then_some(at)
}

/// The number at `offset` of the five that follow the names in a SOA's RDATA.
fn soa_number(rdata: &[u8], offset: usize) -> Option<u32> {
    let mname = name_len(rdata)?;
    let rname = name_len(&rdata[mname..])?;
    let at = mname + rname + offset;
    rdata.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}
