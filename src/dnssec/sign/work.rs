//! All that is signed of each name, on all cores.
//!
//! Names are taken in blocks by as many threads as there are cores, and what they made is put together in the zone's order.

use super::names::is_owner;
use super::{Denial, Task};
use crate::dnssec::signer::{Count, Signatures, Signer, canonical_rdatas, put_record};
use crate::dnssec::steered::{Hinted, Steered};
use crate::wire::name::MAX_NAME;
use crate::wire::rtype;
use crate::zone::RRset;
use crate::zone::rdata::base32;
use crate::zone::rdata::bitmap::put_bitmap;
use crate::zone::signed::{HASH_LEN, Parts, Service};
use crate::zone::store::Node;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Names that a thread takes at once.
const BLOCK: usize = 512;
/// TTL of the HINFO that stands for everything at a steered name without records of its own (RFC 8482 section 4.2).
const HINFO_TTL: u32 = 3600;
/// Its RDATA.
const HINFO: &[u8] = b"\x07RFC8482\x00";
/// NSEC3: SHA-1, no further rounds, no salt (RFC 9276 section 3.1).
const NSEC3_HEAD: [u8; 5] = [1, 0, 0, 0, 0];

//----------- Work -----------------------------------------------------------

/// What is to be done of a zone.
pub(super) struct Work<'t> {
    pub(super) task: Task<'t>,
    pub(super) signer: Signer<'t>,
    /// In canonical order.
    pub(super) names: Vec<u32>,
    /// With NSEC3: in order, and which name each is of.
    pub(super) hashes: Vec<([u8; HASH_LEN], usize)>,
    /// TTL of NSEC and NSEC3 (RFC 9077).
    pub(super) absent_ttl: u32,
}

/// By number of a hash, the part and the place in it that its item has.
pub(super) type Places = Vec<(usize, u32)>;

/// A part, and where in it the items of hashes are, by their numbers.
type Done = (Parts, Count, Vec<(usize, u32)>);

impl Work<'_> {
    /// All names, on all cores: the parts, what was signed, and for every hash its part and place.
    pub(super) fn run(&self) -> Result<(Vec<Parts>, Count, Places), String> {
        // Which hash is that of a name.
        let mut number = vec![0; self.names.len()];
        self.hashes.iter().enumerate().for_each(|(n, (_, name))| number[*name] = n);
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::<(usize, Done)>::new()));
        let worker = || -> Result<(), String> {
            loop {
                let start = next.fetch_add(BLOCK, Ordering::Relaxed);
                if start >= self.names.len() {
                    return Ok(());
                }
                let (mut parts, mut count, mut items) = (Parts::default(), Count::default(), Vec::new());
                for (i, number) in number.iter().enumerate().skip(start).take(BLOCK) {
                    self.name(i, *number, &mut parts, &mut items, &mut count)?;
                }
                let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                done.push((start, (parts, count, items)));
            }
        };
        let n_threads = std::thread::available_parallelism().map_or(1, usize::from);
        let n_threads = n_threads.min(self.names.len().div_ceil(BLOCK)).max(1);
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..n_threads).map(|_| scope.spawn(worker)).collect();
            let own = worker();
            let theirs = others.into_iter().map(|other| other.join().unwrap_or_else(|e| std::panic::resume_unwind(e)));
            theirs.collect::<Vec<_>>().into_iter().chain([own]).collect::<Result<(), String>>()
        })?;
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        // The same zone gives the same octets, however the threads ran.
        done.sort_unstable_by_key(|(start, _)| *start);
        let (mut parts, mut total, mut places) = (Vec::new(), Count::default(), vec![(0, 0); self.hashes.len()]);
        for (i, (_, (part, count, items))) in done.into_iter().enumerate() {
            total = total.plus(count);
            parts.push(part);
            items.into_iter().for_each(|(number, at)| places[number] = (i, at));
        }
        Ok((parts, total, places))
    }

    /// Everything of one name. `number`: of its hash.
    fn name(
        &self,
        i: usize,
        number: usize,
        parts: &mut Parts,
        items: &mut Vec<(usize, u32)>,
        count: &mut Count,
    ) -> Result<(), String> {
        let Task { zone, policies, answers, .. } = self.task;
        let node = zone.node_in(self.names[i]);
        let owner = [node.relative_name(), zone.apex().as_wire()].concat();
        let steered = node.group().and_then(|group| Steered::of(node, group, policies, answers));
        let nsec3 = !self.hashes.is_empty();

        // What stands by itself comes before the entry.
        let mut windows = Vec::new();
        let mut without = [0, 0];
        let types = self.types(node, steered.as_ref(), steered.is_some());
        // A server without policies has other types here, and has to prove that others are absent.
        let of_file = self.types(node, None, steered.is_some());
        let mut leaving = None;
        if let Some(steered) = &steered {
            for member in steered.members() {
                let mut of_member: [Vec<u32>; 3] = Default::default();
                for (kind, of_kind) in of_member.iter_mut().enumerate() {
                    for mut answer in member.answers(kind) {
                        let (rtype, ttl) = (answer.rtype, steered.ttl);
                        let s = self.signer.sign(None, &owner, rtype, ttl, &mut answer.rdatas, count)?;
                        of_kind.push(parts.loose(rtype, (0, &[]), (s.n, &s.records), s.digest));
                    }
                }
                windows.push(of_member);
            }
            for (place, rtype) in without.iter_mut().zip([rtype::A, rtype::AAAA]) {
                if types.contains(&rtype) && steered.may_lack(rtype) {
                    let types: Vec<u16> = types.iter().copied().filter(|t| *t != rtype).collect();
                    *place = match nsec3 {
                        true => self.hashed(number, &types, parts, count)?,
                        false => {
                            let (records, s) = self.nsec(None, i, &owner, &types, count)?;
                            let place = parts.loose(rtype::NSEC, (1, &records), (s.n, &s.records), s.digest);
                            let other = self.compact(&owner, &types, parts, count)?;
                            other.into_iter().for_each(|other| parts.answered_as(place, other));
                            place
                        }
                    };
                }
            }
        }
        let compact = self.compact(&owner, &types, parts, count)?;
        let mut services = Vec::new();
        for hinted in Hinted::at(node, policies, answers) {
            let (rtype, ttl, mut places) = (hinted.rtype, hinted.ttl, Vec::new());
            for mut rdatas in hinted.answers() {
                let mut records = Vec::new();
                rdatas.iter().for_each(|rdata| put_record(rtype, ttl, rdata, &mut records));
                let n = rdatas.len() as u16;
                let s = self.signer.sign(None, &owner, rtype, ttl, &mut rdatas, count)?;
                places.push(parts.loose(rtype, (n, &records), (s.n, &s.records), s.digest));
            }
            services.push(Service { rtype, places });
        }
        let differs = of_file != types;
        if nsec3 {
            let place = self.hashed(number, &types, parts, count)?;
            items.push((number, place));
            if differs {
                let other = self.hashed(number, &of_file, parts, count)?;
                parts.leaves_as(place, other);
            }
        } else if differs {
            let (records, s) = self.nsec(Some(node.relative_name()), i, &owner, &of_file, count)?;
            leaving = Some(parts.loose(rtype::NSEC, (1, &records), (s.n, &s.records), s.digest));
        }

        parts.entry(node, &windows);
        if nsec3 {
            parts.hashed(number);
        }
        for of_type in self.rrsets(node, steered.is_some(), !nsec3) {
            match of_type {
                Own::Zone(rrset) => {
                    let mut rdatas = canonical_rdatas(rrset.rtype, rrset.rdatas());
                    let relative = Some(node.relative_name());
                    let s = self.signer.sign(relative, &owner, rrset.rtype, rrset.ttl, &mut rdatas, count)?;
                    parts.item(rrset.rtype, (0, &[]), (s.n, &s.records), s.digest);
                }
                Own::Added { rtype, ttl, mut rdatas } => {
                    let relative = Some(node.relative_name());
                    let s = self.signer.sign(relative, &owner, rtype, ttl, &mut rdatas, count)?;
                    let mut records = Vec::new();
                    rdatas.iter().for_each(|rdata| put_record(rtype, ttl, rdata, &mut records));
                    parts.item(rtype, (rdatas.len() as u16, &records), (s.n, &s.records), s.digest);
                }
                Own::Nsec => {
                    let (records, s) = self.nsec(Some(node.relative_name()), i, &owner, &types, count)?;
                    let place = parts.item(rtype::NSEC, (1, &records), (s.n, &s.records), s.digest);
                    leaving.into_iter().for_each(|other| parts.leaves_as(place, other));
                    compact.into_iter().for_each(|other| parts.answered_as(place, other));
                }
            }
        }
        if !windows.is_empty() || !services.is_empty() {
            parts.alternatives(&windows, without, services);
        }
        Ok(())
    }

    /// The types that a name has, for its bitmap: those of records, of what is added, and of what a policy may give.
    ///
    /// An alias that a policy may give is not among them: with CNAME in the bitmap, no proof that another type is absent would
    /// be taken (RFC 4035 section 5.4), and there are such whenever somebody else is picked. A and AAAA are there instead, so
    /// that no resolver denies out of its cache (RFC 8198) what the alias leads to.
    ///
    /// `steered`: what a policy may give, `None` for the types that are left without; `is_steered`: whether one answers here.
    fn types(&self, node: Node<'_>, steered: Option<&Steered<'_>>, is_steered: bool) -> Vec<u16> {
        let nsec3 = !self.hashes.is_empty();
        let mut types: Vec<u16> = node.rrsets().map(|rrset| rrset.rtype).collect();
        if node.is_cut() {
            types.retain(|rtype| matches!(*rtype, rtype::NS | rtype::DS));
        }
        types.extend(self.rrsets(node, is_steered, false).map(|own| own.rtype()));
        types.extend(steered.into_iter().flat_map(Steered::types));
        let is_signed = !nsec3 || types.iter().any(|rtype| !node.is_cut() || *rtype == rtype::DS);
        types.extend(is_signed.then_some(rtype::RRSIG));
        types.extend((!nsec3).then_some(rtype::NSEC));
        types.sort_unstable();
        types.dedup();
        types
    }

    /// The RRsets of a name that are signed, ascending by type.
    fn rrsets<'n>(&self, node: Node<'n>, is_steered: bool, nsec: bool) -> impl Iterator<Item = Own<'n>> {
        let is_signed = |rtype: u16| !node.is_cut() || rtype == rtype::DS;
        let mut all: Vec<Own<'n>> = node.rrsets().filter(|rrset| is_signed(rrset.rtype)).map(Own::Zone).collect();
        if node.relative_name().is_empty() {
            self.of_apex(&mut all);
        }
        let is_address = |own: &Own<'_>| matches!(own.rtype(), rtype::A | rtype::AAAA);
        if is_steered && all.iter().all(is_address) {
            all.push(Own::Added { rtype: rtype::HINFO, ttl: HINFO_TTL, rdatas: vec![HINFO.to_vec()] });
        }
        if nsec && is_owner(node) {
            all.push(Own::Nsec);
        }
        all.sort_by_key(Own::rtype);
        all.into_iter()
    }

    /// What the apex has beside the zone's records.
    fn of_apex(&self, all: &mut Vec<Own<'_>>) {
        let (ring, ttl) = (self.task.ring, self.task.rules.dnskey_ttl);
        let mut add = |rtype: u16, ttl: u32, rdatas: Vec<Vec<u8>>| {
            if !rdatas.is_empty() {
                all.push(Own::Added { rtype, ttl, rdatas });
            }
        };
        add(rtype::DNSKEY, ttl, ring.published.iter().map(|key| key.dnskey()).collect());
        add(rtype::CDS, ttl, ring.synced.iter().filter_map(|key| key.ds(2)).collect());
        add(rtype::CDNSKEY, ttl, ring.synced.iter().map(|key| key.dnskey()).collect());
        if let Denial::Nsec3 { .. } = self.task.rules.denial {
            // RFC 5155 section 4.1.2: flags are 0 here, whatever the chain has. The TTL is our choice: BIND has 0, too.
            add(rtype::NSEC3PARAM, 0, vec![NSEC3_HEAD.to_vec()]);
        }
    }

    /// The NSEC of name `i` with these types, and its signatures. `relative`: as in [`Signer::sign`].
    fn nsec(
        &self,
        relative: Option<&[u8]>,
        i: usize,
        owner: &[u8],
        types: &[u16],
        count: &mut Count,
    ) -> Result<(Vec<u8>, Signatures), String> {
        let zone = self.task.zone;
        let next = zone.node_in(self.names[(i + 1) % self.names.len()]);
        let mut rdata = [next.relative_name(), zone.apex().as_wire()].concat();
        put_bitmap(types, &mut rdata);
        self.proof(rtype::NSEC, relative, owner, rdata, count)
    }

    /// Adds the NSEC of a name by itself, in compact denial; its place. None for a name so long that none is right behind it.
    fn compact(
        &self,
        owner: &[u8],
        types: &[u16],
        parts: &mut Parts,
        count: &mut Count,
    ) -> Result<Option<u32>, String> {
        if !matches!(self.task.rules.denial, Denial::Compact { .. }) || owner.len() + 2 > MAX_NAME {
            return Ok(None);
        }
        let mut rdata = [b"\x01\0", owner].concat();
        put_bitmap(types, &mut rdata);
        let (records, s) = self.proof(rtype::NSEC, None, owner, rdata, count)?;
        Ok(Some(parts.loose(rtype::NSEC, (1, &records), (s.n, &s.records), s.digest)))
    }

    /// Adds the NSEC3 of a hash with these types; its place.
    fn hashed(&self, number: usize, types: &[u16], parts: &mut Parts, count: &mut Count) -> Result<u32, String> {
        let Denial::Nsec3 { opt_out } = self.task.rules.denial else { return Ok(0) };
        let label = base32(&self.hashes[number].0).to_ascii_lowercase();
        let owner = [&[label.len() as u8], label.as_bytes(), self.task.zone.apex().as_wire()].concat();
        let (next, _) = self.hashes[(number + 1) % self.hashes.len()];
        let mut rdata = NSEC3_HEAD.to_vec();
        rdata[1] = u8::from(opt_out);
        rdata.push(HASH_LEN as u8);
        rdata.extend(next);
        put_bitmap(types, &mut rdata);
        let (records, s) = self.proof(rtype::NSEC3, None, &owner, rdata, count)?;
        Ok(parts.loose(rtype::NSEC3, (1, &records), (s.n, &s.records), s.digest))
    }

    fn proof(
        &self,
        rtype: u16,
        relative: Option<&[u8]>,
        owner: &[u8],
        rdata: Vec<u8>,
        count: &mut Count,
    ) -> Result<(Vec<u8>, Signatures), String> {
        let (mut records, ttl) = (Vec::new(), self.absent_ttl);
        put_record(rtype, ttl, &rdata, &mut records);
        let signatures = self.signer.sign(relative, owner, rtype, ttl, &mut vec![rdata], count)?;
        Ok((records, signatures))
    }
}

/// An RRset of a name.
enum Own<'n> {
    /// The zone has it.
    Zone(RRset<'n>),
    /// It comes of keys or of policies.
    Added { rtype: u16, ttl: u32, rdatas: Vec<Vec<u8>> },
    /// The name's NSEC.
    Nsec,
}

impl Own<'_> {
    fn rtype(&self) -> u16 {
        match self {
            Own::Zone(rrset) => rrset.rtype,
            Own::Added { rtype, .. } => *rtype,
            Own::Nsec => rtype::NSEC,
        }
    }
}
