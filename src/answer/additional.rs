//! The additional section of an answer: what the hosts it leads to have, so that a resolver need not ask.
//!
//! Only the zone of the answer is asked: what other zones say, resolvers would not take from here (RFC 2181 section
//! 5.4.1). All of it is optional: what does not fit is left out without TC (RFC 2181 section 9). Names below a cut are
//! another zone's; their glue goes along with NS alone, since those are the servers by which the zone is found.
//!
//! A steered host has the addresses that a direct question of the same client would get, within their scope; they are
//! not counted, because resolvers ask again before they visit. Where that question would take a turn (`pick=spread`),
//! or be answered with an alias, nothing is said.

use crate::answer::records::{give, kind_of, type_of};
use crate::answer::resolve::{Here, Way};
use crate::exchange::Family;
use crate::policy::Pick;
use crate::wire::reply::{POINTER_MAX, Reply, Section};
use crate::wire::{NameBuf, rtype};
use crate::zone::RRset;
use crate::zone::lookup::Found;
use crate::zone::store::{Node, RECORD_HEADER};

/// Most hosts looked up for one answer. Our choice: more than any RRset of servers in use has, and few enough that an
/// RRset of thousands costs no more than its copy.
const MAX_HOSTS: usize = 32;

/// Mailbox (RFC 1035 section 3.3.3).
const MB: u16 = 7;
/// AFS database (RFC 1183 section 1).
const AFSDB: u16 = 18;
/// Route through (RFC 1183 section 3.3).
const RT: u16 = 21;
/// Naming authority pointer (RFC 3403).
const NAPTR: u16 = 35;
/// Key exchanger (RFC 2230).
const KX: u16 = 36;
/// Locators (RFC 6742 sections 2.2 to 2.4).
const L32: u16 = 105;
const L64: u16 = 106;
const LP: u16 = 107;

/// What a host is wanted for.
const ADDRESSES: &[u16] = &[rtype::A, rtype::AAAA];

/// Whether an answer of this type leads to hosts.
#[inline]
pub(super) fn leads(rtype: u16) -> bool {
    matches!(rtype, rtype::NS | MB | rtype::MX | AFSDB | RT | rtype::SRV | NAPTR | KX | rtype::SVCB | rtype::HTTPS | LP)
}

/// Where in RDATA of a type the name of a host stands, and what is wanted of it.
fn lead(rtype: u16, rdata: &[u8]) -> Option<(usize, &'static [u16])> {
    Some(match rtype {
        rtype::NS | MB => (0, ADDRESSES),
        rtype::MX | AFSDB | RT | KX => (2, ADDRESSES),
        rtype::SRV => (6, ADDRESSES),
        LP => (2, &[L32, L64]),
        // RFC 9460 section 4.1.
        rtype::SVCB => (2, &[rtype::A, rtype::AAAA, rtype::SVCB]),
        rtype::HTTPS => (2, &[rtype::A, rtype::AAAA, rtype::HTTPS]),
        // RFC 3403 sections 4.1 and 4.2; the flags are RFC 3404's, section 4.3.
        NAPTR => {
            let flags_len = usize::from(*rdata.get(4)?);
            let wanted = match rdata.get(5..5 + flags_len)? {
                b"a" | b"A" => ADDRESSES,
                b"s" | b"S" => &[rtype::SRV],
                _ => return None,
            };
            let mut at = 4;
            for _ in 0..3 {
                at += 1 + usize::from(*rdata.get(at)?);
            }
            (at, wanted)
        }
        _ => return None,
    })
}

impl<'q> Way<'q> {
    /// Answers with an RRset that leads to hosts, and adds what is known of those. `node`: the owner's; `most_secs` bounds
    /// the TTL.
    pub(super) fn put_leading(
        &mut self,
        reply: &mut Reply,
        here: Here<'q>,
        node: Node<'q>,
        rrset: RRset<'q>,
        most_secs: u32,
    ) {
        let start = match rrset.rtype {
            rtype::SVCB | rtype::HTTPS => {
                self.put_services(reply, Section::Answer, here, node, rrset, (here.owner, most_secs))
            }
            _ => self.put_signed(reply, Section::Answer, here, node, rrset, here.owner),
        };
        let Some(start) = start else { return };
        if most_secs < rrset.ttl {
            reply.lower_ttls(start, most_secs);
        }
        let end = start + self.records_len(reply, start, rrset.n);
        // Authority comes before additional.
        self.put_waiting(reply);
        self.additional(reply, here, node, (start, end));
    }

    /// Octets of `n` records from `start` on.
    fn records_len(&self, reply: &Reply, start: usize, n: u16) -> usize {
        let mut at = start;
        for _ in 0..n {
            let len = reply.written(at + RECORD_HEADER - 2, at + RECORD_HEADER);
            at += RECORD_HEADER + len.iter().fold(0, |len, b| len << 8 | usize::from(*b));
        }
        at - start
    }

    /// Adds what is known of the hosts that the records between two offsets lead to, which are of the type asked for.
    ///
    /// `node`: their owner's.
    fn additional(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, (start, end): (usize, usize)) {
        let (mut at, mut seen, mut n_seen) = (start, [0; MAX_HOSTS], 0);
        while at < end && n_seen < MAX_HOSTS {
            let rdata_at = at + RECORD_HEADER;
            let rdata = reply.written(rdata_at, end);
            let len = reply.written(rdata_at - 2, rdata_at).iter().fold(0, |len, b| len << 8 | usize::from(*b));
            at = rdata_at + len;
            let Some((name_at, wanted)) = lead(self.request.qtype, &rdata[..len]) else { continue };
            let is_service = wanted.len() > 2;
            let is_itself = match rdata[name_at..] {
                // RFC 9460 sections 2.5.1 and 2.5.2: `.` is the owner, or, of an alias, nothing at all.
                [0, ..] if is_service && rdata[..2] == [0, 0] => continue,
                [0, ..] if is_service => true,
                _ if !read_host(&mut self.scratch.host, &rdata[name_at..len], here) => continue,
                _ => self.scratch.host.as_wire() == self.scratch.name.as_wire(),
            };
            let name = if is_itself { &self.scratch.name } else { &self.scratch.host };
            let (hash, owner) = (name.hash_from(0), if is_itself { here.owner } else { rdata_at + name_at });
            if owner > POINTER_MAX || seen[..n_seen].contains(&hash) {
                continue;
            }
            seen[n_seen] = hash;
            n_seen += 1;
            // What the owner itself has of this type is the answer.
            let (node, wanted) = if is_itself { (Some(node), ADDRESSES) } else { (self.find_host(here), wanted) };
            if let Some(node) = node {
                self.host(reply, here, node, owner, wanted);
            }
        }
    }

    /// The node of the host at hand, if the zone speaks for it.
    fn find_host(&self, here: Here<'q>) -> Option<Node<'q>> {
        let host = &self.scratch.host;
        let (zone, apex) = self.snapshot.zones.find(host)?;
        if !std::ptr::eq(zone, here.zone) {
            return None;
        }
        match zone.lookup(host, apex, rtype::A) {
            Found::Name { node, .. } => Some(node),
            Found::Cut { .. } if self.request.qtype == rtype::NS => zone.node(host, 0, apex),
            _ => None,
        }
    }

    /// Adds the RRsets wanted of a host whose name stands in the message at `owner`.
    fn host(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, owner: usize, wanted: &[u16]) {
        for &rtype in wanted {
            match rtype {
                rtype::A => self.addresses(reply, here, node, owner, Family::A),
                rtype::AAAA => self.addresses(reply, here, node, owner, Family::Aaaa),
                _ => {
                    let Some(rrset) = node.rrset(rtype) else { continue };
                    if matches!(rtype, rtype::SVCB | rtype::HTTPS) {
                        self.put_services(reply, Section::Additional, here, node, rrset, (owner, u32::MAX));
                    } else {
                        self.put_signed(reply, Section::Additional, here, node, rrset, owner);
                    }
                }
            }
        }
    }

    /// Adds the addresses of one family.
    fn addresses(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, owner: usize, family: Family) {
        let (mut most_secs, mut scope) = (u32::MAX, 0);
        if let Some(group) = node.group() {
            if self.snapshot.table.pick_mode(group) == Pick::Spread {
                return;
            }
            let Some(verdict) = self.decide(group, None) else { return };
            match verdict.given {
                Some(member) if member.cname.is_empty() => {
                    if give(reply, Section::Additional, owner, member, family, &verdict) {
                        let given = (kind_of(family), &verdict);
                        self.put_given(reply, Section::Additional, here, node, owner, given);
                        self.scope = self.scope.max(verdict.scope);
                    }
                    return;
                }
                None if verdict.zone_stands_in() => (most_secs, scope) = (verdict.ttl, verdict.scope),
                _ => return,
            }
        }
        let Some(rrset) = node.rrset(type_of(family)) else { return };
        if let Some(start) = self.put_signed(reply, Section::Additional, here, node, rrset, owner) {
            self.scope = self.scope.max(scope);
            if most_secs < rrset.ttl {
                reply.lower_ttls(start, most_secs);
            }
        }
    }
}

/// Reads a name out of RDATA as it stands in the message, where a pointer can only be one to the apex; false if it is
/// outside of the zone.
fn read_host(host: &mut NameBuf, rdata: &[u8], here: Here) -> bool {
    let mut end = 0;
    loop {
        match rdata.get(end) {
            Some(0) => return host.parse(&rdata[..=end]).is_some(),
            Some(len @ 1..=63) => end += 1 + usize::from(*len),
            Some(0xc0..) => return host.join(&rdata[..end], here.zone.apex().as_wire()),
            _ => return false,
        }
    }
}
