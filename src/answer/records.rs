//! Records into a reply: a zone's RRsets, and the addresses of the member that was picked.

use crate::answer::resolve::Verdict;
use crate::exchange::{Family, MemberAnswer};
use crate::wire::reply::{Reply, Section};
use crate::wire::rtype;
use crate::zone::RRset;
use crate::zone::signed::Kind;
use crate::zone::store::{Node, RECORD_HEADER};

/// Octets of a stored A and AAAA record.
const A_LEN: usize = RECORD_HEADER + 4;
const AAAA_LEN: usize = RECORD_HEADER + 16;

/// What a type adds to the key of limits (see [`crate::answer::Outcome::key`]): itself where there is an answer of its
/// own, else nothing, since there are 65,536 types to ask for.
#[inline]
pub(super) fn of_type(node: Node, qtype: u16) -> u64 {
    let is_steered = node.group().is_some() && matches!(qtype, rtype::A | rtype::AAAA);
    if is_steered || node.rrset(qtype).is_some() { qtype.into() } else { 0 }
}

/// The type of a family's addresses.
#[inline]
pub(super) fn type_of(family: Family) -> u16 {
    match family {
        Family::A => rtype::A,
        Family::Aaaa => rtype::AAAA,
    }
}

/// A family as a kind of answer.
#[inline]
pub(super) fn kind_of(family: Family) -> Kind {
    match family {
        Family::A => Kind::A,
        Family::Aaaa => Kind::Aaaa,
    }
}

/// A member's records of a family, and the length of each.
#[inline]
pub(super) fn of_family(member: &MemberAnswer, family: Family) -> (&[u8], usize) {
    match family {
        Family::A => (&member.a, A_LEN),
        Family::Aaaa => (&member.aaaa, AAAA_LEN),
    }
}

/// A member's records of a family that the group gives of them, in two parts, and the length of each record. The first part
/// is empty only if there are none.
#[inline]
pub(super) fn addresses<'s>(member: &'s MemberAnswer, family: Family, verdict: &Verdict) -> ([&'s [u8]; 2], usize) {
    let (records, len) = of_family(member, family);
    let n = records.len() / len;
    let (first, take) = verdict.rotation(member, family);
    let head = take.min(n - first);
    ([&records[first * len..(first + head) * len], &records[..(take - head) * len]], len)
}

/// Puts in a member's addresses, as many as the group gives; whether any went in.
#[inline]
pub(super) fn give(
    reply: &mut Reply,
    section: Section,
    owner: usize,
    member: &MemberAnswer,
    family: Family,
    verdict: &Verdict,
) -> bool {
    let (parts, len) = addresses(member, family, verdict);
    let mut some = false;
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        let n = part.len() / len;
        if let Some(start) = reply.put(section, n as u16, part, owner, std::iter::empty(), 0) {
            reply.set_ttls(start, n, len, verdict.ttl);
            some = true;
        }
    }
    some
}

/// Puts in an RRset whose owner stands at `owner`, of a zone whose apex stands at `apex_at`.
#[inline]
pub(super) fn put(reply: &mut Reply, section: Section, rrset: RRset, owner: usize, apex_at: usize) -> Option<usize> {
    reply.put(section, rrset.n, rrset.records(), owner, rrset.apex_pointers(), apex_at)
}
