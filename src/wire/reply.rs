//! Composing a reply: header, question, sections in order, truncation, OPT.
//!
//! The room for OPT is set aside from the start, so it always stays ([`crate::wire::opt`]). RRsets go in
//! whole or not at all; what does not fit in answer or authority sets TC (RFC 2181 section 9), what does not fit
//! in additional is left out without, glue that a referral cannot do without apart (RFC 9471 section 3.1).

use crate::wire::ede::Ede;
use crate::wire::opt::{Extras, Opt};
use crate::wire::request::{HEADER, OPCODE, QR, RD, Request};
use crate::wire::{Rcode, rtype};

/// AA, in the third octet of the header.
const AA: u8 = 0x04;
/// TC, in the third octet of the header.
const TC: u8 = 0x02;
/// Highest offset that a compression pointer reaches.
pub const POINTER_MAX: usize = 0x3fff;

/// A section of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Section {
    /// Answer.
    Answer = 0,
    /// Authority.
    Authority = 1,
    /// Additional.
    Additional = 2,
}

//----------- Spot -----------------------------------------------------------

/// Where a name stands in the message, so that any of its suffixes can be pointed to: its octets up to
/// `split` at `base`, the rest at `tail`.
#[derive(Clone, Copy, Debug)]
pub struct Spot {
    base: usize,
    split: usize,
    tail: usize,
}

impl Spot {
    /// The question's name.
    pub const QUESTION: Spot = Spot { base: HEADER, split: usize::MAX, tail: 0 };

    /// A name written at `base`, uncompressed.
    pub fn whole(base: usize) -> Spot {
        Spot { base, split: usize::MAX, tail: 0 }
    }

    /// A name whose first `split` octets are at `base`, followed by a pointer to `tail`.
    pub fn split(base: usize, split: usize, tail: usize) -> Spot {
        Spot { base, split, tail }
    }

    /// The message offset of the suffix that starts at octet `start` of the name.
    #[inline]
    pub fn offset(&self, start: usize) -> usize {
        if start < self.split { self.base + start } else { self.tail + (start - self.split) }
    }
}

//----------- Reply ----------------------------------------------------------

/// A reply in the making.
pub struct Reply<'o> {
    out: &'o mut [u8],
    at: usize,
    /// Records must end here: OPT and `tail` octets come after, and end by `bound`.
    limit: usize,
    bound: usize,
    tail: usize,
    counts: [u16; 3],
    truncated: bool,
}

impl<'o> Reply<'o> {
    /// Starts a reply of at most `limit` octets with the question of `query`. `extras`: the options that the reply
    /// is to have; `tail`: octets that follow OPT. `out` must have room for 512 octets, and `limit` must not be less.
    #[inline]
    pub fn new(
        query: &[u8],
        request: &Request,
        limit: usize,
        extras: &Extras,
        tail: usize,
        out: &'o mut [u8],
    ) -> Reply<'o> {
        let bound = limit.min(out.len());
        let reserved = tail + request.edns.as_ref().map_or(0, |edns| extras.opt_len(edns));
        let at = request.question_end;
        out[..at].copy_from_slice(&query[..at]);
        Reply { out, at, limit: bound.saturating_sub(reserved).max(at), bound, tail, counts: [0; 3], truncated: false }
    }

    /// Whether something that had to be there did not fit.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Where the next record goes: the end of what is written.
    pub fn end(&self) -> usize {
        self.at
    }

    /// What is written from one offset to another.
    ///
    /// # Panics
    /// If that is not within the message.
    pub fn written(&self, from: usize, to: usize) -> &[u8] {
        &self.out[from..to]
    }

    /// Makes room for `len` octets holding `n` records and returns where; `None`, and TC but for the additional
    /// section, if they do not fit. Once TC is set nothing more goes in.
    #[inline]
    pub fn room(&mut self, section: Section, n: u16, len: usize) -> Option<usize> {
        let start = self.at;
        if self.truncated || len > self.limit - start {
            self.truncated |= section != Section::Additional;
            return None;
        }
        self.at += len;
        self.counts[section as usize] += n;
        Some(start)
    }

    /// Writes octets where room was made.
    pub fn write(&mut self, at: usize, octets: &[u8]) {
        self.out[at..at + octets.len()].copy_from_slice(octets);
    }

    /// Sets TC: something the section rules would let go had to be there.
    pub fn truncate(&mut self) {
        self.truncated = true;
    }

    /// Copies records whose owner is written as a pointer, and returns where. `owner`: the offset that owners
    /// point to. `pointers`: positions in `records` of pointers to the apex, which stands at offset `apex`.
    #[inline]
    pub fn put(
        &mut self,
        section: Section,
        n: u16,
        records: &[u8],
        owner: usize,
        pointers: impl Iterator<Item = usize>,
        apex: usize,
    ) -> Option<usize> {
        let start = self.room(section, n, records.len())?;
        copy_records(&mut self.out[start..start + records.len()], records, owner, pointers, apex);
        Some(start)
    }

    /// Copies one stored record whose owner is not in the message yet: `relative`, and a pointer to the apex at `apex`.
    /// Returns where the owner stands.
    pub fn put_owned(&mut self, section: Section, record: &[u8], relative: &[u8], apex: usize) -> Option<usize> {
        let start = self.room(section, 1, relative.len() + record.len())?;
        let (owner, rest) = self.out[start..start + relative.len() + record.len()].split_at_mut(relative.len());
        owner.copy_from_slice(relative);
        rest.copy_from_slice(record);
        rest[..2].copy_from_slice(&pointer(apex));
        Some(start)
    }

    /// Writes one record with RDATA in two parts and returns where. `owner`: as in [`Reply::put`].
    pub fn put_record(
        &mut self,
        section: Section,
        owner: usize,
        rtype: u16,
        ttl: u32,
        rdata: [&[u8]; 2],
    ) -> Option<usize> {
        let len = rdata[0].len() + rdata[1].len();
        let start = self.room(section, 1, 12 + len)?;
        let here = &mut self.out[start..start + 12 + len];
        here[0..2].copy_from_slice(&pointer(owner));
        here[2..4].copy_from_slice(&rtype.to_be_bytes());
        here[4..6].copy_from_slice(&rtype::CLASS_IN.to_be_bytes());
        here[6..10].copy_from_slice(&ttl.to_be_bytes());
        here[10..12].copy_from_slice(&(len as u16).to_be_bytes());
        here[12..12 + rdata[0].len()].copy_from_slice(rdata[0]);
        here[12 + rdata[0].len()..].copy_from_slice(rdata[1]);
        Some(start)
    }

    /// Writes one TXT record of class CH at the question's name, TTL 0, with one string of at most 255 octets; longer
    /// ones are cut.
    pub fn put_text(&mut self, text: &[u8]) -> Option<usize> {
        let text = &text[..text.len().min(255)];
        let start = self.put_record(Section::Answer, HEADER, rtype::TXT, 0, [&[text.len() as u8], text])?;
        self.out[start + 4..start + 6].copy_from_slice(&rtype::CLASS_CH.to_be_bytes());
        Some(start)
    }

    /// Sets the TTL of `n` records of equal length at `start`.
    #[inline]
    pub fn set_ttls(&mut self, start: usize, n: usize, record_len: usize, ttl: u32) {
        for i in 0..n {
            let at = start + i * record_len + 6;
            self.out[at..at + 4].copy_from_slice(&ttl.to_be_bytes());
        }
    }

    /// Lowers the TTL of every record from the one at `start` on to `most`.
    pub fn lower_ttls(&mut self, start: usize, most: u32) {
        lower_ttls(&mut self.out[start..self.at], most);
    }

    /// Takes back every record: the reply is to be an error after all.
    pub fn clear(&mut self, question_end: usize) {
        self.at = question_end;
        self.counts = [0; 3];
        self.truncated = false;
    }

    /// Writes OPT and header and returns the length.
    #[inline]
    pub fn finish(self, request: &Request, ending: &Ending) -> usize {
        let Reply { out, mut at, bound, tail, counts, truncated, .. } = self;
        let Ending { rcode, authoritative, scope, udp_size, extras, compact, ede } = *ending;
        let mut n_additional = counts[Section::Additional as usize];
        if let Some(edns) = &request.edns {
            at = Opt { edns, rcode, udp_size, scope, extras, compact, ede }.compose(out, at, bound, tail);
            n_additional += 1;
        }
        // AD and CD are clear in an authoritative answer without validation (RFC 4035 section 3.1.6), RA
        // because there is no recursion here, Z because it must be (RFC 1035 section 4.1.1).
        let kept = out[2] & (OPCODE | RD);
        out[2] = QR | kept | if authoritative { AA } else { 0 } | if truncated { TC } else { 0 };
        out[3] = (rcode.number() & 0x0f) as u8;
        out[4..6].copy_from_slice(&u16::from(request.question_end > HEADER).to_be_bytes());
        out[6..8].copy_from_slice(&counts[0].to_be_bytes());
        out[8..10].copy_from_slice(&counts[1].to_be_bytes());
        out[10..12].copy_from_slice(&n_additional.to_be_bytes());
        at
    }
}

/// What a reply says beside its records.
pub struct Ending<'a> {
    /// What became of the query.
    pub rcode: Rcode,
    /// AA.
    pub authoritative: bool,
    /// Scope prefix length for the client subnet.
    pub scope: u8,
    /// What this server takes over UDP.
    pub udp_size: u16,
    /// The options that room was set aside for.
    pub extras: &'a Extras<'a>,
    /// Whether the zone proves absence compactly, and the query has CO (RFC 9824 section 5.1).
    pub compact: bool,
    /// Why, if there is more to say than the RCODE does.
    pub ede: Option<Ede>,
}

/// Copies records, `here` being as long; the rest as [`Reply::put`] has it.
#[inline]
pub fn copy_records(here: &mut [u8], records: &[u8], owner: usize, pointers: impl Iterator<Item = usize>, apex: usize) {
    here.copy_from_slice(records);
    for at in pointers {
        here[at..at + 2].copy_from_slice(&pointer(apex));
    }
    if owner != HEADER {
        let mut at = 0;
        while at < here.len() {
            here[at..at + 2].copy_from_slice(&pointer(owner));
            at += 12 + usize::from(u16::from_be_bytes([here[at + 10], here[at + 11]]));
        }
    }
}

/// Lowers the TTL of every record to `most`; owners are pointers, or names that end in one.
#[inline]
pub fn lower_ttls(mut records: &mut [u8], most: u32) {
    loop {
        // A pointer ends the owner; a proof's has labels before.
        let mut owner = 0;
        while records.get(owner).is_some_and(|len| *len < 0xc0) {
            owner += 1 + usize::from(records[owner]);
        }
        let Some(record) = std::mem::take(&mut records).get_mut(owner..) else { return };
        let Some((head, rest)) = record.split_first_chunk_mut::<12>() else { return };
        let [.., t0, t1, t2, t3, l0, l1] = head;
        let ttl = u32::from_be_bytes([*t0, *t1, *t2, *t3]).min(most);
        [*t0, *t1, *t2, *t3] = ttl.to_be_bytes();
        records = &mut rest[usize::from(u16::from_be_bytes([*l0, *l1]))..];
    }
}

/// A compression pointer to an offset, which must not exceed [`POINTER_MAX`] (RFC 1035 section 4.1.4).
#[inline]
pub fn pointer(offset: usize) -> [u8; 2] {
    (0xc000 | offset as u16).to_be_bytes()
}
