//! The short way for plain queries: one question of class IN over UDP, with no OPT record, or one without options, or
//! one with a client subnet alone; answered by records that are there (a wildcard's too), by a member's addresses,
//! or by a denial.
//!
//! That is nearly all that resolvers send, and what the short way saves is the keeping of what could have been: half
//! the instructions (benches/README.md). Whatever is not plain gets `None` before anything has been counted or
//! taken, and goes the long way, [`crate::answer::answer`]. Both must say the same to the last octet; the test below
//! puts every query to both. What is to hold of every query has to be asked in both.

use crate::answer::additional::leads;
use crate::answer::steer::{Decision, Subject, rotation};
use crate::answer::{Client, MIN_REPLY, Outcome, Rcode, Scratch, Transport, is_stale};
use crate::exchange::{CookieSeen, Family, Snapshot};
use crate::id::GroupIdx;
use crate::wire::edns::{Ecs, OPTION_ECS};
use crate::wire::reply::pointer;
use crate::wire::request::{HEADER, OPCODE, QR, RD};
use crate::wire::rtype;
use crate::zone::lookup::Found;
use crate::zone::store::RECORD_HEADER;
use crate::zone::{RRset, Zone};

/// AA and QR of a reply's third octet.
const AUTHORITATIVE: u8 = 0x84;
/// Octets of a message before the question's counts are known to be plain.
const COUNTS: usize = 4;
/// Octets of an OPT record without options, of an option's code and length, and of a client subnet before its address.
const OPT: usize = 11;
const OPTION: usize = 4;

/// Answers a plain query; `None` if it is not one.
#[inline]
pub(super) fn answer(
    query: &[u8],
    client: Client,
    snapshot: &Snapshot,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Option<Outcome> {
    let header = query.first_chunk::<HEADER>()?;
    let counts = u64::from_be_bytes(*header[COUNTS..].first_chunk()?);
    // One question, nothing else but perhaps one additional record.
    if header[2] & (QR | OPCODE) != 0 || counts & !1 != 1 << 48 || client.transport != Transport::Udp {
        return None;
    }
    let end = HEADER + scratch.name.parse(&query[HEADER..])? + 4;
    let &[t0, t1, c0, c1] = query.get(end - 4..end)?.first_chunk()?;
    let (qtype, qclass) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
    let opt = Opt::parse(&query[end..], counts & 1 == 1)?;
    if qclass != rtype::CLASS_IN || !is_plain(qtype) {
        return None;
    }
    let house = &*snapshot.house;
    if opt.ecs.is_some() && house.ecs.is_some() {
        return None;
    }
    let udp_size = house.udp_size;
    let room = Room { end, limit: opt.limit(udp_size).min(out.len()).checked_sub(query.len() - end)? };

    let name = &scratch.name;
    let (zone, apex) = snapshot.zones.find(name).filter(|(zone, _)| house.access.admits(client.addr, zone))?;
    let apex_at = HEADER + name.start(apex);
    let (key, node) = match zone.lookup(name, apex, qtype) {
        Found::Name { node, from_wildcard: false } => (name.hash_from(0) ^ u64::from(qtype), Some(node)),
        Found::Name { node, .. } => (zone.apex_hash(), Some(node)),
        Found::NxDomain => (zone.apex_hash(), None),
        Found::Cut { .. } | Found::Dname { .. } => return None,
    };
    let mut outcome = Outcome {
        len: 0,
        rcode: Rcode::NoError,
        truncated: false,
        steered: None,
        scope: 0,
        silence: None,
        ede: None,
        cookie: CookieSeen::None,
        refused_by: None,
        key,
    };
    // Records in answer and authority.
    let mut counts = [0u16; 2];
    let at = match node {
        Some(node) => match (node.group(), node.rrset(qtype)) {
            (Some(group), _) => {
                let family = family(qtype)?;
                let subject = Subject::of(opt.ecs.as_ref(), client.addr);
                let (end, n, scope) = steered(snapshot, group, family, subject, scratch, room, out)?;
                (counts[0], outcome.scope, outcome.steered) = (n, scope, Some(group));
                end
            }
            (None, Some(rrset)) => {
                counts[0] = rrset.n;
                room.put(rrset, apex_at, out)?
            }
            (None, None) if node.rrset(rtype::CNAME).is_some() => return None,
            (None, None) => {
                counts = [0, 1];
                denial(zone, room, apex_at, out)?
            }
        },
        None => {
            (outcome.rcode, counts) = (Rcode::NxDomain, [0, 1]);
            denial(zone, room, apex_at, out)?
        }
    };

    // The question and the OPT record as they came, but for what only a reply has.
    out[..end].copy_from_slice(&query[..end]);
    let tail = &mut out[at..at + query.len() - end];
    tail.copy_from_slice(&query[end..]);
    opt.finish(tail, udp_size, outcome.scope);
    out[2] = AUTHORITATIVE | header[2] & RD;
    out[3] = outcome.rcode.number() as u8;
    out[6..8].copy_from_slice(&counts[0].to_be_bytes());
    out[8..10].copy_from_slice(&counts[1].to_be_bytes());
    outcome.len = at + query.len() - end;
    Some(outcome)
}

/// Types that are data, of the record alone: neither pseudo and meta types (RFC 6895 section 3.1) nor DS, which lives at
/// the parent, nor those whose answer leads on to hosts.
#[inline]
fn is_plain(qtype: u16) -> bool {
    matches!(qtype, rtype::A | rtype::AAAA)
        || qtype < 128 && qtype != 0 && qtype != rtype::OPT && qtype != rtype::DS && !leads(qtype)
}

#[inline]
fn family(qtype: u16) -> Option<Family> {
    match qtype {
        rtype::A => Some(Family::A),
        rtype::AAAA => Some(Family::Aaaa),
        _ => None,
    }
}

/// The addresses of the member that a pick gives; returns where they end, how many they are, and their scope.
#[inline]
fn steered(
    snapshot: &Snapshot,
    group: GroupIdx,
    family: Family,
    subject: Subject,
    scratch: &mut Scratch,
    room: Room,
    out: &mut [u8],
) -> Option<(usize, u16, u8)> {
    // Such a group always has an answer where it has a member, so nothing is taken in vain below.
    if !*snapshot.always_addresses.get(group.idx())? || is_stale(snapshot, group) {
        return None;
    }
    let mut spread = scratch.spread;
    let decision = Decision::make(snapshot, group, subject, &mut spread, scratch.thread.map(|_| family));
    // Nobody to give: any key would say so, and the long way asks again.
    let member = decision.picked?.member;
    let answer = snapshot.answers.get(group.idx())?.get(member.idx())?;
    let (records, len) = match family {
        Family::A => (&answer.a, RECORD_HEADER + 4),
        Family::Aaaa => (&answer.aaaa, RECORD_HEADER + 16),
    };
    let n = records.len() / len;
    let (first, take) = rotation(decision.key, n, snapshot.policies.groups.get(group.idx())?.answers);
    let end = room.end + take * len;
    if end > room.limit {
        return None;
    }
    scratch.spread = spread;
    if let Some(thread) = scratch.thread {
        snapshot.tally.count(thread, group, decision.located.cell, Some(member));
    }
    let ttl = snapshot.table.ttl(group).to_be_bytes();
    for (i, record) in out[room.end..end].chunks_exact_mut(len).enumerate() {
        let from = (if first + i < n { first + i } else { first + i - n }) * len;
        record.copy_from_slice(&records[from..from + len]);
        record[6..10].copy_from_slice(&ttl);
    }
    Some((end, take as u16, decision.scope(subject)))
}

/// The SOA that says for how long there is no such name or data (RFC 2308); returns where it ends.
#[inline]
fn denial(zone: &Zone, room: Room, apex_at: usize, out: &mut [u8]) -> Option<usize> {
    let soa = zone.negative_soa()?;
    let end = room.put(soa, apex_at, out)?;
    out[room.end..room.end + 2].copy_from_slice(&pointer(apex_at));
    Some(end)
}

//----------- Room -----------------------------------------------------------

/// Where records go: from the end of the question to the limit.
#[derive(Clone, Copy)]
struct Room {
    end: usize,
    limit: usize,
}

impl Room {
    /// Copies an RRset whose owner is the question's name; returns where it ends, `None` if it does not fit.
    #[inline]
    fn put(self, rrset: RRset<'_>, apex_at: usize, out: &mut [u8]) -> Option<usize> {
        let records = rrset.records();
        let end = self.end + records.len();
        if end > self.limit {
            return None;
        }
        let here = &mut out[self.end..end];
        here.copy_from_slice(records);
        for at in rrset.apex_pointers() {
            here[at..at + 2].copy_from_slice(&pointer(apex_at));
        }
        Some(end)
    }
}

//----------- Opt ------------------------------------------------------------

/// The OPT record of a plain query.
struct Opt {
    is_there: bool,
    udp_size: u16,
    ecs: Option<Ecs>,
}

impl Opt {
    /// Reads what follows the question; `None` if that is anything but one OPT record of version 0 with at most a
    /// client subnet, or nothing at all.
    #[inline]
    fn parse(tail: &[u8], is_there: bool) -> Option<Opt> {
        if !is_there {
            return tail.is_empty().then_some(Opt { is_there, udp_size: 0, ecs: None });
        }
        // Root, type, class; extended RCODE, version, flags; length of the options.
        let (&[root, t0, t1, s0, s1, _, version, _, _, l0, l1], options) = tail.split_first_chunk::<OPT>()?;
        let is_opt = root == 0 && u16::from_be_bytes([t0, t1]) == rtype::OPT && version == 0;
        if !is_opt || usize::from(u16::from_be_bytes([l0, l1])) != options.len() {
            return None;
        }
        let ecs = match options.split_first_chunk::<OPTION>() {
            None if options.is_empty() => None,
            None => return None,
            Some((&[c0, c1, l0, l1], data)) => {
                let (code, len) = (u16::from_be_bytes([c0, c1]), u16::from_be_bytes([l0, l1]));
                if code != OPTION_ECS || usize::from(len) != data.len() {
                    return None;
                }
                Some(Ecs::parse(data)?)
            }
        };
        Some(Opt { is_there, udp_size: u16::from_be_bytes([s0, s1]), ecs })
    }

    /// Longest reply that the client takes.
    #[inline]
    fn limit(&self, house: u16) -> usize {
        if self.is_there { usize::from(self.udp_size.min(house)).max(MIN_REPLY) } else { MIN_REPLY }
    }

    /// Makes a reply's OPT record of the query's: our size, no extended RCODE, of the flags DO alone (RFC 6891 section
    /// 6.1.4), the scope (RFC 7871 section 7.2.1).
    #[inline]
    fn finish(&self, tail: &mut [u8], udp_size: u16, scope: u8) {
        if let Some(opt) = tail.first_chunk_mut::<OPT>() {
            [opt[3], opt[4]] = udp_size.to_be_bytes();
            [opt[5], opt[7], opt[8]] = [0, opt[7] & 0x80, 0];
        }
        if self.ecs.is_some() {
            tail[OPT + OPTION + 3] = scope;
        }
    }
}
