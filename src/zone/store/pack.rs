//! A [`Builder`]'s names, written into an arena.
//!
//! [`Packer::pack`] makes a zone of all of them. A patch (`store::patch`) writes some of them behind the nodes of a zone
//! that is there; what lies in that zone, it looks up there.

use crate::wire::{Name, NameBuf, rtype};
use crate::zone::store::build::{Builder, Logged};
use crate::zone::store::index::Index;
use crate::zone::store::steered::Steered;
use crate::zone::store::{NODE_HEADER, RECORD_HEADER, RRSET_HEADER, Zone, flag};

/// Longest RRset in octets of its stored records: what fits in a message of 65,535 beside the longest
/// question and an OPT record.
const MAX_RRSET: usize = 65_000;

//----------- Packer ---------------------------------------------------------

/// Writes nodes.
pub(super) struct Packer<'b> {
    from: &'b Builder,
    /// The zone that is patched, if one is, and by draft whether it is written anew or the zone's holds.
    onto: Option<(&'b Zone, &'b [bool])>,
    pub(super) arena: Vec<u8>,
    /// Arena offset of every draft's node; 0 of those not written.
    pub(super) offsets: Vec<usize>,
    /// Where glue still holds the number of a draft in place of its node's offset.
    pub(super) fixups: Vec<(usize, u32)>,
    /// Positions of apex pointers in the RRset at hand.
    pointers: Vec<u16>,
    pub(super) n_names: usize,
    pub(super) n_rrsets: usize,
    pub(super) n_records: usize,
    pub(super) n_cuts: usize,
    pub(super) oversized: Vec<(Name, u16)>,
}

/// Where glue stands.
#[derive(Clone, Copy)]
enum Target {
    /// In a node that this packer writes.
    Draft(u32),
    /// In a node of the zone that is patched.
    Node(usize),
}

impl<'b> Packer<'b> {
    /// Writes the names of `from` behind what is in `arena`.
    pub(super) fn new(from: &'b Builder, onto: Option<(&'b Zone, &'b [bool])>, arena: Vec<u8>) -> Packer<'b> {
        Packer {
            from,
            onto,
            arena,
            offsets: vec![0; from.drafts.len()],
            fixups: Vec::new(),
            pointers: Vec::new(),
            n_names: 0,
            n_rrsets: 0,
            n_records: 0,
            n_cuts: 0,
            oversized: Vec::new(),
        }
    }

    /// Writes every name: a zone.
    pub(super) fn pack(from: &'b Builder) -> (Zone, Vec<usize>) {
        let size = from.names.len() + from.log.len() + from.drafts.len() * (NODE_HEADER + RRSET_HEADER + 3);
        let mut packer = Packer::new(from, None, Vec::with_capacity(size));
        // Offset 0 means "none" in the index.
        packer.arena.extend_from_slice(&[0; 4]);
        let mut records = Vec::new();
        for (number, draft) in from.drafts.iter().enumerate() {
            packer.pack_node(number, draft.flags, &mut records);
        }
        packer.finish()
    }

    /// Lets glue lead to where its nodes came to lie.
    pub(super) fn fix_glue(&mut self) {
        for (at, number) in std::mem::take(&mut self.fixups) {
            let offset = (self.offsets[number as usize] >> 2) as u32;
            self.arena[at..at + 4].copy_from_slice(&offset.to_le_bytes());
        }
    }

    fn finish(mut self) -> (Zone, Vec<usize>) {
        self.fix_glue();
        let negative_at = self.pack_negative_soa();
        self.align();
        self.arena.shrink_to_fit();
        let mut index = Index::new(self.offsets.len(), self.arena.len());
        for (hash, at) in self.from.hashes.iter().zip(&self.offsets) {
            index.put(*hash, *at);
        }
        let serial = self.serial();
        let zone = Zone {
            apex: self.from.apex.clone(),
            apex_hash: self.from.apex_hash,
            base_len: self.arena.len(),
            arena: self.arena,
            index,
            negative_at,
            serial,
            n_names: self.n_names,
            n_rrsets: self.n_rrsets,
            n_records: self.n_records,
            n_cuts: self.n_cuts,
            n_dead: 0,
            oversized: self.oversized,
            steered: Steered::default(),
        };
        (zone, self.offsets)
    }

    /// The serial of the SOA at hand; 0 without.
    pub(super) fn serial(&self) -> u32 {
        let soa = self.from.logged(0).find(|r| r.rtype == rtype::SOA);
        soa.and_then(|r| soa_number(r.rdata, 0)).unwrap_or(0)
    }

    fn align(&mut self) {
        self.arena.resize(self.arena.len().next_multiple_of(4), 0);
    }

    /// Writes one node at the end, padded to a multiple of four, and returns where. `records`: room to sort in, kept
    /// between calls.
    pub(super) fn pack_node(&mut self, number: usize, flags: u8, records: &mut Vec<Logged<'b>>) -> usize {
        let from = self.from;
        let draft = &from.drafts[number];
        records.clear();
        records.extend(from.logged(number));
        // Stable, so that records of one RRset stay in the order of the file.
        records.sort_by_key(|r| r.rtype);
        let is_of_hash = |r: &Logged<'_>| matches!(r.rtype, rtype::NSEC3 | rtype::RRSIG);
        let is_hash = records.iter().any(|r| r.rtype == rtype::NSEC3) && records.iter().all(is_of_hash);
        let flags = if is_hash { flags | flag::HASH } else { flags };
        self.align();
        let at = self.arena.len();
        self.offsets[number] = at;
        self.arena.extend_from_slice(&[flags, draft.name_len, 0, 0]);
        self.arena.extend_from_slice(from.relative(number as u32));
        let mut n_rrsets = 0u16;
        for rrset in records.chunk_by(|a, b| a.rtype == b.rtype) {
            self.pack_rrset(number, flags, rrset);
            n_rrsets += 1;
        }
        self.arena[at + 2..at + 4].copy_from_slice(&n_rrsets.to_le_bytes());
        self.n_rrsets += usize::from(n_rrsets);
        self.n_names += usize::from(n_rrsets > 0);
        self.n_cuts += usize::from(flags & flag::CUT != 0);
        self.align();
        at
    }

    fn pack_rrset(&mut self, number: usize, flags: u8, rrset: &[Logged<'b>]) {
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
        if flags & (flag::CUT | flag::OCCLUDED) == flag::CUT && rtype == rtype::NS {
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
            if let Some(target) = self.addresses_at(buf.hash_from(0), relative) {
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
            match target {
                Target::Draft(number) => {
                    self.fixups.push((self.arena.len(), number));
                    self.arena.extend_from_slice(&[0; 4]);
                }
                Target::Node(at) => self.arena.extend_from_slice(&((at >> 2) as u32).to_le_bytes()),
            }
        }
    }

    /// The node with a name's addresses, if it has any.
    fn addresses_at(&self, hash: u64, relative: &[u8]) -> Option<Target> {
        let from = self.from;
        let drafted = from.find_relative(hash, relative);
        match (drafted, self.onto) {
            (Some(number), onto) if onto.is_none_or(|(_, anew)| anew[number as usize]) => {
                let mut records = from.logged(number as usize);
                records.any(|r| matches!(r.rtype, rtype::A | rtype::AAAA)).then_some(Target::Draft(number))
            }
            (_, Some((zone, _))) => {
                let node = zone.node_by(hash, relative)?;
                node.has_addresses().then(|| Target::Node(zone.before_steering(node.at)))
            }
            (_, None) => None,
        }
    }

    /// The SOA once more, with the TTL that negative answers have, in a node that no name leads to; returns
    /// where the RRset is, 0 without SOA.
    pub(super) fn pack_negative_soa(&mut self) -> usize {
        let Some(soa) = self.from.logged(0).find(|r| r.rtype == rtype::SOA) else { return 0 };
        let ttl = soa_number(soa.rdata, 16).map_or(soa.ttl, |minimum| minimum.min(soa.ttl));
        self.align();
        self.arena.extend_from_slice(&[flag::DEAD, 0, 1, 0]);
        let header = self.open_rrset(rtype::SOA);
        self.pack_record(rtype::SOA, ttl, soa.rdata, header + RRSET_HEADER);
        self.close_rrset(header, 1);
        self.align();
        header
    }
}

//----------- Leaves ---------------------------------------------------------

/// Which records of an RRset repeat an earlier one; empty if there is only one. Names compare without case where the RDATA is
/// one name.
pub(super) fn duplicates(rrset: &[Logged<'_>]) -> Vec<bool> {
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
pub(super) fn relative_len(name: &[u8], apex: &[u8]) -> Option<usize> {
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
