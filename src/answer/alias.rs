//! Aliases: CNAME, DNAME and the CNAMEs of external members, and where each leads (RFC 1034 section 3.6.2, RFC 6672).

use crate::answer::resolve::{Here, Step, Verdict, Way};
use crate::wire::reply::{POINTER_MAX, Reply, Section, Spot, pointer};
use crate::wire::request::HEADER;
use crate::wire::{NameBuf, Rcode, rtype};
use crate::zone::signed::Kind;
use crate::zone::store::{Node, RECORD_HEADER};
use crate::zone::{RRset, Zone};

impl<'q> Way<'q> {
    /// Where the DNAME stands that this reply has of the name with this hash.
    pub(super) fn dname(&self, owner: u64) -> Option<usize> {
        self.scratch.dnames[..self.n_dnames].iter().find(|(hash, _)| *hash == owner).map(|(_, at)| *at)
    }

    /// An external member: its CNAME, and on from there if the target is ours, unless the CNAME is what was asked for
    /// (RFC 1034 section 3.6.2).
    pub(super) fn external(
        &mut self,
        reply: &mut Reply,
        here: Here<'q>,
        node: Node<'q>,
        verdict: &Verdict<'q>,
    ) -> Step {
        let record = verdict.given.map_or(&[][..], |answer| &answer.cname);
        let put = reply.put(Section::Answer, 1, record, here.owner, std::iter::empty(), here.apex_at);
        let Some(start) = put else { return Step::Done(Rcode::NoError) };
        reply.set_ttls(start, 1, record.len(), verdict.ttl);
        self.put_given(reply, Section::Answer, here, node, here.owner, (Kind::Cname, verdict));
        if self.request.qtype == rtype::CNAME {
            return Step::Done(Rcode::NoError);
        }
        match record.get(RECORD_HEADER..).and_then(|target| self.scratch.name.parse(target)) {
            Some(_) => Step::Follow(Spot::whole(start + RECORD_HEADER)),
            None => Step::Done(Rcode::NoError),
        }
    }

    /// An alias: its record, and on with its target.
    pub(super) fn alias(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, rrset: RRset<'q>) -> Step {
        let Some(start) = self.put_signed(reply, Section::Answer, here, node, rrset, here.owner) else {
            return Step::Done(Rcode::NoError);
        };
        match read_target(&mut self.scratch.name, rrset, here.zone, start, here.apex_at) {
            Some(spot) => Step::Follow(spot),
            None => Step::Done(Rcode::NoError),
        }
    }

    /// Below a DNAME: the record, the CNAME that follows from it, and on with its target (RFC 6672 section 3.1).
    pub(super) fn substitute(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, label: usize) -> Step {
        let Some(rrset) = node.rrset(rtype::DNAME) else { return Step::Done(Rcode::ServFail) };
        let cut = self.scratch.name.start(label);
        // A DNAME that serves twice in a chain stands in the reply once (RFC 2181 section 5).
        let owner = self.scratch.name.hash_from(label);
        let dname_at = match self.dname(owner) {
            Some(at) => at,
            None => {
                let owner_at = here.spot.offset(cut);
                let Some(at) = self.put_signed(reply, Section::Answer, here, node, rrset, owner_at) else {
                    return Step::Done(Rcode::NoError);
                };
                self.scratch.dnames[self.n_dnames] = (owner, at);
                self.n_dnames += 1;
                at
            }
        };
        let target = first_rdata(rrset.records());
        let mut prefix = [0; 256];
        prefix[..cut].copy_from_slice(&self.scratch.name.as_wire()[..cut]);
        if here.is_question {
            // Letters in the case of the question.
            prefix[..cut].copy_from_slice(&self.query[HEADER..HEADER + cut]);
        }
        let prefix = &prefix[..cut];
        if !self.scratch.name.join(prefix, target) {
            return Step::Done(Rcode::YxDomain);
        }
        // The CNAME's target ends in the DNAME's, which stands there in full (RFC 6672 section 2.5).
        let target_at = dname_at + RECORD_HEADER;
        let tail = if target_at <= POINTER_MAX { &pointer(target_at)[..] } else { target };
        let put = reply.put_record(Section::Answer, here.owner, rtype::CNAME, rrset.ttl, [prefix, tail]);
        match put {
            Some(start) if !matches!(self.request.qtype, rtype::CNAME | rtype::ANY) => {
                Step::Follow(Spot::split(start + RECORD_HEADER, cut, target_at))
            }
            _ => Step::Done(Rcode::NoError),
        }
    }
}

/// The RDATA of the first record.
#[inline]
fn first_rdata(records: &[u8]) -> &[u8] {
    let len = usize::from(u16::from_be_bytes([records[10], records[11]]));
    &records[RECORD_HEADER..RECORD_HEADER + len]
}

/// Reads the target of an alias of `zone` into `name`, and returns where in the message it stands. The record stands at
/// `start`, the zone's apex at `apex_at`.
#[inline]
pub(super) fn read_target(name: &mut NameBuf, alias: RRset, zone: &Zone, start: usize, apex_at: usize) -> Option<Spot> {
    let (rdata, rdata_at) = (first_rdata(alias.records()), start + RECORD_HEADER);
    match alias.apex_pointers().next() {
        Some(pointer) => {
            let split = pointer - RECORD_HEADER;
            let target = Spot::split(rdata_at, split, apex_at);
            name.join(&rdata[..split], zone.apex().as_wire()).then_some(target)
        }
        None => name.parse(rdata).map(|_| Spot::whole(rdata_at)),
    }
}
