//! What a policy may answer at a name: a finite set, whatever the plan says.

use crate::exchange::MemberAnswer;
use crate::id::GroupIdx;
use crate::policy::{AllDown, Group, Policies};
use crate::wire::{Name, rtype};
use crate::zone::Zone;
use crate::zone::rdata::{hinted_target, with_hints};
use crate::zone::signed::rdatas;
use crate::zone::store::{Node, RECORD_HEADER};

/// Types by [`crate::zone::signed::Kind`].
const TYPES: [u16; 3] = [rtype::A, rtype::AAAA, rtype::CNAME];

/// The answers at one steered name.
pub struct Steered<'s> {
    group: &'s Group,
    answers: &'s [MemberAnswer],
    /// Which of A and AAAA the zone itself has at the name.
    of_zone: [bool; 2],
    /// The longest TTL that they may have, which is what is signed: a shorter one is what a cache would have, too (RFC 4034
    /// section 3.1.4).
    pub ttl: u32,
}

/// A member's answers.
pub struct OfMember<'s> {
    answer: &'s MemberAnswer,
    most: usize,
}

/// One answer.
pub struct Answer {
    /// Its type.
    pub rtype: u16,
    /// The RDATA of its records.
    pub rdatas: Vec<Vec<u8>>,
}

impl<'s> Steered<'s> {
    /// The answers that `group` may give at a node; `None` if there is no such group.
    pub fn of(
        node: Node<'_>,
        group: GroupIdx,
        policies: &'s Policies,
        answers: &'s [Vec<MemberAnswer>],
    ) -> Option<Steered<'s>> {
        let answers = answers.get(group.idx())?;
        let group = policies.groups.get(group.idx())?;
        let of_zone = [rtype::A, rtype::AAAA].map(|rtype| node.rrset(rtype).is_some());
        Some(Steered { group, answers, of_zone, ttl: group.ttl_max })
    }

    /// Each member's.
    pub fn members(&self) -> impl Iterator<Item = OfMember<'s>> {
        let most = usize::from(self.group.answers.max(1));
        self.answers.iter().map(move |answer| OfMember { answer, most })
    }

    /// Which of A and AAAA anybody may be given here, by the zone, a member, or an alias that leads to them.
    pub fn types(&self) -> impl Iterator<Item = u16> {
        let has = |kind: usize| {
            let member = |m: &MemberAnswer| !m.cname.is_empty() || !of_kind(m, kind).0.is_empty();
            self.of_zone[kind] || self.answers.iter().any(member)
        };
        [has(0).then_some(rtype::A), has(1).then_some(rtype::AAAA)].into_iter().flatten()
    }

    /// Whether somebody may be told that there is no A or no AAAA.
    pub fn may_lack(&self, rtype: u16) -> bool {
        let kind = usize::from(rtype == rtype::AAAA);
        let lacks = |m: &MemberAnswer| m.cname.is_empty() && of_kind(m, kind).0.is_empty();
        !self.of_zone[kind] || self.group.all_down == AllDown::NoData || self.answers.iter().any(lacks)
    }
}

impl OfMember<'_> {
    /// The answers of a kind. Where more addresses than one answer has are given by turns, one for every first address.
    pub fn answers(&self, kind: usize) -> Vec<Answer> {
        let (records, n) = of_kind(self.answer, kind);
        let all: Vec<&[u8]> = rdatas(records).collect();
        debug_assert_eq!(all.len(), n);
        let window = |first: usize| {
            let rdatas = (0..n.min(self.most)).map(|i| all[(first + i) % n].to_vec()).collect();
            Answer { rtype: TYPES[kind], rdatas }
        };
        (0..n_windows(n, self.most)).map(window).collect()
    }
}

/// How many answers `n` addresses make, of which `most` are given at a time.
fn n_windows(n: usize, most: usize) -> usize {
    if n > most { n } else { n.min(1) }
}

/// A member's records of a kind, and their number.
fn of_kind(answer: &MemberAnswer, kind: usize) -> (&[u8], usize) {
    match kind {
        0 => (&answer.a, answer.a.len() / (RECORD_HEADER + 4)),
        1 => (&answer.aaaa, answer.aaaa.len() / (RECORD_HEADER + 16)),
        _ => (&answer.cname, usize::from(!answer.cname.is_empty())),
    }
}

/// An RRset of services whose hints follow a policy.
pub struct Hinted<'s> {
    /// Its type.
    pub rtype: u16,
    /// Its TTL: the group's, where that is less.
    pub ttl: u32,
    /// Its RDATA, and whether the hints in it are those of a steered target.
    rdatas: Vec<(Vec<u8>, bool)>,
    group: Option<(&'s Group, &'s [MemberAnswer])>,
}

impl<'s> Hinted<'s> {
    /// The RRsets at a node that have hints of steered targets, wildcards among those left out.
    pub fn at(
        node: Node<'_>,
        policies: &'s Policies,
        answers: &'s [Vec<MemberAnswer>],
    ) -> impl Iterator<Item = Hinted<'s>> {
        let owner = node.name();
        let group_of = |rdata: &[u8]| {
            let target = hinted_target(rdata)?;
            let target = if target == [0] { owner.clone() } else { Name::from_wire(target).ok()? };
            let at = policies.steers.binary_search_by(|steer| steer.name.cmp(&target)).ok()?;
            Some(policies.steers[at].group)
        };
        let mut found = Vec::new();
        for rrset in node.rrsets().filter(|rrset| matches!(rrset.rtype, rtype::SVCB | rtype::HTTPS)) {
            let rdatas: Vec<Vec<u8>> = rrset.rdatas().map(|rdata| rdata.into_owned()).collect();
            let mut groups: Vec<GroupIdx> = rdatas.iter().filter_map(|rdata| group_of(rdata)).collect();
            groups.sort();
            groups.dedup();
            let Some(first) = groups.first() else { continue };
            let ttl_max = groups.iter().filter_map(|g| policies.groups.get(g.idx())).map(|g| g.ttl_max).min();
            let group = policies.groups.get(first.idx()).zip(answers.get(first.idx()).map(Vec::as_slice));
            let rdatas =
                rdatas.into_iter().map(|rdata| (group_of(&rdata).is_some(), rdata)).map(|(is, rdata)| (rdata, is));
            found.push(Hinted {
                rtype: rrset.rtype,
                ttl: rrset.ttl.min(ttl_max.unwrap_or(u32::MAX)),
                rdatas: rdatas.collect(),
                group: group.filter(|_| groups.len() == 1),
            });
        }
        found.into_iter()
    }

    /// The RDATA without hints of steered targets; then with those of each member of the group, if it is one, the first of its
    /// addresses in the order of the zone.
    pub fn answers(&self) -> impl Iterator<Item = Vec<Vec<u8>>> {
        let with = |v4: &[u8], v6: &[u8]| -> Vec<Vec<u8>> {
            let record = |(rdata, is_steered): &(Vec<u8>, bool)| match is_steered {
                true => with_hints(rdata, v4, v6),
                false => rdata.clone(),
            };
            self.rdatas.iter().map(record).collect()
        };
        let members =
            self.group.into_iter().flat_map(|(group, members)| members.iter().map(move |m| (group.answers, m)));
        let given = members.map(move |(most, m)| {
            let of = |kind: usize| -> Vec<u8> {
                rdatas(of_kind(m, kind).0).take(usize::from(most.max(1))).flatten().copied().collect()
            };
            with(&of(0), &of(1))
        });
        [with(&[], &[])].into_iter().chain(given.collect::<Vec<_>>())
    }
}

/// How many answers policies may give at a zone's names, all together.
pub fn count(zone: &Zone, policies: &Policies, answers: &[Vec<MemberAnswer>]) -> usize {
    let of_group = |group: GroupIdx| -> usize {
        let Some((of_group, members)) = policies.groups.get(group.idx()).zip(answers.get(group.idx())) else {
            return 0;
        };
        let most = usize::from(of_group.answers.max(1));
        members.iter().flat_map(|m| (0..3).map(move |kind| n_windows(of_kind(m, kind).1, most))).sum()
    };
    let hinted =
        |node: Node<'_>| Hinted::at(node, policies, answers).map(|h| 1 + h.group.map_or(0, |(_, m)| m.len())).sum();
    let n_hinted: usize = match policies.steers.is_empty() {
        true => 0,
        false => zone.nodes().map(hinted).collect::<Vec<usize>>().iter().sum(),
    };
    zone.marks().iter().map(|(_, group)| of_group(*group)).sum::<usize>() + n_hinted
}
