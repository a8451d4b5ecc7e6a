//! From the question to the records (RFC 1034 section 4.3.2).

use crate::answer::additional::leads;
use crate::answer::denial::Absent;
use crate::answer::proofs::Proofs;
use crate::answer::records::{give, kind_of, of_family, of_type, put};
use crate::answer::steer::{Decision, Subject, is_picked, rotation};
use crate::answer::{Client, Scratch};
use crate::exchange::access::List;
use crate::exchange::{Family, House, MemberAnswer, Snapshot};
use crate::id::{GroupIdx, MemberIdx};
use crate::policy::AllDown;
use crate::wire::reply::{POINTER_MAX, Reply, Section, Spot};
use crate::wire::request::Request;
use crate::wire::{Ede, Rcode, rtype};
use crate::zone::lookup::Found;
use crate::zone::signed::Signed;
use crate::zone::store::Node;
use crate::zone::{RRset, Zone};

/// Most aliases followed in one reply. Our choice: resolvers give up between 8 and 16, and a chain that long is a
/// mistake.
pub(super) const MAX_LINKS: usize = 16;
/// TTL of the HINFO that stands for everything at a name without records of its own (RFC 8482 section 4.2).
const HINFO_TTL: u32 = 3600;

//----------- Way ------------------------------------------------------------

/// The way of one query through the zones.
pub(super) struct Way<'q> {
    pub(super) query: &'q [u8],
    pub(super) request: &'q Request,
    pub(super) client: Client,
    pub(super) snapshot: &'q Snapshot,
    pub(super) house: &'q House,
    pub(super) scratch: &'q mut Scratch,
    /// Whether the owner of the first answer, or the name denied, is in a zone of ours (RFC 1035 section 4.1.1).
    pub authoritative: bool,
    /// The longest scope of the decisions that gave something. A denial gives nothing: resolvers take it as one for
    /// everybody, whatever scope it has, and should be told 0 (RFC 7871 section 7.4).
    pub scope: u8,
    pub steered: Option<GroupIdx>,
    /// How many DNAMEs are in the reply: so many of the scratch's are this reply's.
    pub(super) n_dnames: usize,
    /// See [`crate::answer::Outcome::key`].
    pub key: u64,
    /// See [`crate::answer::Outcome::ede`].
    pub ede: Option<Ede>,
    /// See [`crate::answer::Outcome::refused_by`].
    pub refused_by: Option<List>,
    /// Whether the reply has the flag CO: it may have NXDOMAIN beside a compact proof (RFC 9824 section 5.1).
    pub compact: bool,
    /// Seconds since 1970.
    pub(super) now: u32,
    /// What is proven to be absent.
    pub(super) proofs: Proofs<'q>,
}

/// A name on the way: where it stands in the zones and in the message.
#[derive(Clone, Copy)]
pub(super) struct Here<'s> {
    pub zone: &'s Zone,
    /// What makes the zone a signed one.
    pub signed: Option<&'s Signed>,
    /// The suffix of the name that is the apex.
    pub apex: usize,
    /// Where the name stands in the message.
    pub spot: Spot,
    /// Offset of the name and of its apex in the message.
    pub owner: usize,
    pub apex_at: usize,
    pub is_question: bool,
    /// Whether a wildcard stands for the name.
    pub is_wildcard: bool,
}

/// What follows a step.
pub(super) enum Step {
    /// The reply is complete.
    Done(Rcode),
    /// The name at hand is now an alias's target, which stands here in the message.
    Follow(Spot),
}

/// What a pick makes of a question.
enum Steered {
    /// It is answered.
    Step(Step),
    /// The zone's own records are the answer, within this scope.
    Zone(u8),
}

/// What a group gives a client.
pub(super) struct Verdict<'s> {
    /// The member's records; `None` if nobody may be given.
    pub given: Option<&'s MemberAnswer>,
    /// Which member that is.
    pub member: Option<MemberIdx>,
    /// The TTL of all that follows from it.
    pub ttl: u32,
    /// The scope within which it holds.
    pub scope: u8,
    /// What chose the member, and chooses the first of its addresses.
    key: u64,
    /// Most addresses of a family.
    answers: u8,
    all_down: AllDown,
}

impl Verdict<'_> {
    /// Whether the zone's records are given where no member may be: `All` and `Last` are in the table, and where even
    /// that has nobody it is as with `Static`.
    pub fn zone_stands_in(&self) -> bool {
        matches!(self.all_down, AllDown::Static | AllDown::All | AllDown::Last)
    }

    /// Which of a member's addresses is the first given, and how many are.
    #[inline]
    pub fn rotation(&self, member: &MemberAnswer, family: Family) -> (usize, usize) {
        let (records, len) = of_family(member, family);
        rotation(self.key, records.len() / len, self.answers)
    }
}

impl<'q> Way<'q> {
    #[inline]
    pub fn new(
        query: &'q [u8],
        request: &'q Request,
        client: Client,
        (snapshot, house, now): (&'q Snapshot, &'q House, u32),
        scratch: &'q mut Scratch,
    ) -> Way<'q> {
        Way {
            query,
            request,
            client,
            snapshot,
            house,
            scratch,
            authoritative: false,
            scope: 0,
            steered: None,
            n_dnames: 0,
            key: 0,
            ede: None,
            refused_by: None,
            compact: false,
            now,
            proofs: Proofs::default(),
        }
    }

    /// Fills the reply's sections and returns its RCODE. With aliases, the RCODE is that of the last name (RFC 6604
    /// section 3).
    #[inline]
    pub fn resolve(&mut self, reply: &mut Reply) -> Rcode {
        let rcode = self.walk(reply);
        self.put_waiting(reply);
        rcode
    }

    #[inline]
    fn walk(&mut self, reply: &mut Reply) -> Rcode {
        let mut spot = Spot::QUESTION;
        let mut seen = [0; MAX_LINKS];
        for link in 0..MAX_LINKS {
            // A zone that the client may not ask is, to it, a zone of another server.
            let Some((zone, apex, signed)) = self.zone().filter(|(zone, ..)| self.admits(zone)) else {
                return if link == 0 { self.refuse() } else { Rcode::NoError };
            };
            if zone.is_left_out() {
                return if link == 0 { self.fail() } else { Rcode::NoError };
            }
            if self.request.edns.as_ref().is_some_and(|edns| edns.compact_ok && edns.dnssec_ok) {
                self.compact |= signed.is_some_and(|signed| signed.online().is_some());
            }
            let name = &self.scratch.name;
            let hash = name.hash_from(0);
            if seen[..link].contains(&hash) {
                break;
            }
            seen[link] = hash;
            let (owner, apex_at) = (spot.offset(0), spot.offset(name.start(apex)));
            if owner.max(apex_at) > POINTER_MAX {
                break;
            }
            let is_question = link == 0;
            let here = Here { zone, signed, apex, spot, owner, apex_at, is_question, is_wildcard: false };
            match self.step(reply, here) {
                Step::Done(rcode) => return rcode,
                Step::Follow(next) => spot = next,
            }
        }
        Rcode::NoError
    }

    /// Whether the client may ask for what is in a zone.
    #[inline]
    fn admits(&self, zone: &Zone) -> bool {
        self.house.access.admits(self.client.addr, zone)
    }

    /// No zone for the question: there is none, or none for this client, which is not told which of the two. So what
    /// holds in general is the reason: a list of a zone's own is not to be seen from outside.
    #[cold]
    fn refuse(&mut self) -> Rcode {
        let access = &self.house.access;
        self.refused_by = match self.zone() {
            Some((zone, ..)) => Some(access.list_of(zone)),
            None => (!access.admits_in_general(self.client.addr)).then_some(List::General),
        };
        let may_ask = access.admits_in_general(self.client.addr);
        self.ede = Some(if may_ask { Ede::NotAuthoritative } else { Ede::Prohibited });
        Rcode::Refused
    }

    /// The zone is ours to serve and could not be loaded. SERVFAIL sends resolvers to the other servers of the zone, as
    /// from BIND, Knot and NSD; an answer out of the zone above could be a denial, which they would keep.
    #[cold]
    fn fail(&mut self) -> Rcode {
        self.ede = Some(Ede::InvalidData);
        Rcode::ServFail
    }

    /// The zone for the name at hand. DS lives at the parent, so its question goes to the zone above where that is
    /// ours too (RFC 4035 section 3.1.4.1).
    #[inline]
    fn zone(&self) -> Option<(&'q Zone, usize, Option<&'q Signed>)> {
        let (zones, name) = (&self.snapshot.zones, &self.scratch.name);
        let found = zones.find_signed(name);
        match found {
            Some((_, 0, _)) if self.request.qtype == rtype::DS => {
                // A parent that lacks the delegation would deny the very name that the child proves (RFC 8020
                // section 2), or hand out what its wildcard has.
                let knows_cut = |(zone, apex, _): &(&Zone, usize, Option<&Signed>)| {
                    if zone.is_left_out() {
                        return true;
                    }
                    let found = zone.lookup(name, *apex, rtype::DS);
                    matches!(found, Found::Name { from_wildcard: false, .. } | Found::Cut { .. })
                };
                zones.find_above(name, 0).filter(knows_cut).or(found)
            }
            _ => found,
        }
    }

    #[inline]
    fn step(&mut self, reply: &mut Reply, here: Here<'q>) -> Step {
        let (name, qtype) = (&self.scratch.name, self.request.qtype);
        let found = here.zone.lookup(name, here.apex, qtype);
        if here.is_question {
            self.key = match &found {
                Found::Name { node, from_wildcard: false } => name.hash_from(0) ^ of_type(*node, qtype),
                Found::Cut { label, .. } | Found::Dname { label, .. } => name.hash_from(*label),
                Found::Name { .. } | Found::NxDomain => here.zone.apex_hash(),
            };
        }
        match found {
            Found::Name { node, from_wildcard } => {
                self.authoritative = true;
                if from_wildcard {
                    self.note_wildcard(here, node);
                }
                self.at_name(reply, Here { is_wildcard: from_wildcard, ..here }, node)
            }
            Found::NxDomain => {
                self.authoritative = true;
                Step::Done(self.deny(reply, here, Absent::Name, u32::MAX))
            }
            Found::Cut { node, label } => {
                let cut = here.spot.offset(self.scratch.name.start(label));
                self.refer(reply, here, node, (label, cut));
                Step::Done(Rcode::NoError)
            }
            Found::Dname { node, label } => {
                self.authoritative = true;
                self.substitute(reply, here, node, label)
            }
        }
    }

    /// The name is there: data, an alias, or nothing of this type.
    #[inline]
    fn at_name(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>) -> Step {
        let qtype = self.request.qtype;
        // How long what the zone says holds, at most, and within which scope: where a pick left the answer to the
        // zone, the next one may not.
        let (mut most_secs, mut scope) = (u32::MAX, 0);
        if let Some(group) = node.group()
            && is_picked(self.snapshot, group, qtype)
        {
            match self.steer(reply, here, node, group) {
                Steered::Step(step) => return step,
                Steered::Zone(of_decision) => (most_secs, scope) = (self.snapshot.table.ttl(group), of_decision),
            }
        }
        if qtype == rtype::DNAME && self.dname(self.scratch.name.hash_from(0)).is_some() {
            return Step::Done(Rcode::NoError);
        }
        if let Some(rrset) = node.rrset(qtype) {
            self.scope = self.scope.max(scope);
            if leads(qtype) {
                self.put_leading(reply, here, node, rrset, most_secs);
            } else if let Some(start) = self.put_signed(reply, Section::Answer, here, node, rrset, here.owner)
                && most_secs < rrset.ttl
            {
                reply.lower_ttls(start, most_secs);
            }
            return Step::Done(Rcode::NoError);
        }
        if qtype == rtype::ANY {
            return self.any(reply, here, node);
        }
        if here.signed.is_some() && self.put_added(reply, here, node, qtype) {
            return Step::Done(Rcode::NoError);
        }
        if let Some(rrset) = node.rrset(rtype::CNAME)
            && !rtype::BESIDE_CNAME.contains(&qtype)
        {
            return self.alias(reply, here, node, rrset);
        }
        self.deny(reply, here, Absent::Type(node, qtype), most_secs);
        Step::Done(Rcode::NoError)
    }

    /// Answers for a group.
    #[inline]
    fn steer(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, group: GroupIdx) -> Steered {
        let family = Family::of(self.request.qtype);
        let Some(verdict) = self.decide(group, family) else { return Steered::Zone(0) };
        self.steered = Some(group);
        let Some(member) = verdict.given else {
            return match verdict.all_down {
                // Other types are the zone's, whoever may be given.
                _ if family.is_none() || verdict.zone_stands_in() => Steered::Zone(verdict.scope),
                AllDown::NoData => {
                    let absent = Absent::Type(node, self.request.qtype);
                    self.deny(reply, here, absent, verdict.ttl);
                    Steered::Step(Step::Done(Rcode::NoError))
                }
                _ => {
                    reply.clear(self.request.question_end);
                    self.proofs.clear();
                    (self.authoritative, self.scope, self.ede) = (false, 0, Some(Ede::AllDown));
                    Steered::Step(Step::Done(Rcode::ServFail))
                }
            };
        };
        if !member.cname.is_empty() {
            self.scope = self.scope.max(verdict.scope);
            return Steered::Step(self.external(reply, here, node, &verdict));
        }
        let Some(family) = family else { return Steered::Zone(verdict.scope) };
        if of_family(member, family).0.is_empty() {
            self.deny(reply, here, Absent::Type(node, self.request.qtype), verdict.ttl);
        } else {
            self.scope = self.scope.max(verdict.scope);
            if give(reply, Section::Answer, here.owner, member, family, &verdict) {
                let given = (kind_of(family), &verdict);
                self.put_given(reply, Section::Answer, here, node, here.owner, given);
            }
        }
        Steered::Step(Step::Done(Rcode::NoError))
    }

    /// Whom a group gives this client; `None` if there is no such group. `family`: what the question asks for. Only
    /// addresses bring visitors: nothing else is counted, or takes a turn of `pick=spread`.
    #[inline]
    pub(super) fn decide(&mut self, group: GroupIdx, family: Option<Family>) -> Option<Verdict<'q>> {
        let snapshot = self.snapshot;
        let policy = snapshot.policies.groups.get(group.idx())?;
        let subject = Subject::of(self.request.edns.as_ref().and_then(|e| e.ecs.as_ref()), self.client.addr);
        let thread = self.scratch.thread.filter(|_| family.is_some());
        let mut spread = self.scratch.spread;
        let decision = Decision::make(snapshot, group, subject, &mut spread, thread.and(family));
        let member = decision.picked.map(|p| p.member);
        if family.is_some() {
            self.scratch.spread = spread;
        }
        if let Some(thread) = thread {
            snapshot.tally.count(thread, group, decision.located.cell, member, decision.sticky());
        }
        Some(Verdict {
            given: member.and_then(|m| snapshot.answers.get(group.idx())?.get(m.idx())),
            member,
            ttl: snapshot.table.ttl(group),
            scope: decision.scope(subject),
            key: decision.key,
            answers: policy.answers,
            all_down: policy.all_down,
        })
    }

    /// QTYPE ANY: one RRset of those there are (RFC 8482 section 4.1). At a steered name none of the zone's addresses:
    /// a resolver may keep what it gets here (RFC 2181 section 5.4.1) and give it out in place of a pick. Where that
    /// leaves nothing, a HINFO that says so (RFC 8482 section 4.2).
    fn any(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>) -> Step {
        let is_fallback = |rrset: &RRset| node.group().is_some() && matches!(rrset.rtype, rtype::A | rtype::AAAA);
        if let Some(rrset) = node.rrsets().find(|rrset| !is_fallback(rrset)) {
            match rrset.rtype {
                // Their hints may be addresses of a steered target, and are then the pick's here as well.
                rtype::SVCB | rtype::HTTPS => {
                    self.put_services(reply, Section::Answer, here, node, rrset, (here.owner, u32::MAX));
                }
                _ => _ = self.put_signed(reply, Section::Answer, here, node, rrset, here.owner),
            }
        } else if here.signed.is_some() && self.put_added(reply, here, node, rtype::HINFO) {
            self.ede = Some(Ede::Synthesized);
        } else if node.group().is_some() {
            reply.put_record(Section::Answer, here.owner, rtype::HINFO, HINFO_TTL, [b"\x07RFC8482", b"\x00"]);
            self.ede = Some(Ede::Synthesized);
        } else {
            self.deny(reply, here, Absent::Type(node, rtype::ANY), u32::MAX);
        }
        Step::Done(Rcode::NoError)
    }

    /// A referral: the cut's NS, whether it is signed, and the addresses of its servers that this zone knows. `cut`: which
    /// suffix of the name at hand that is, and where it stands in the message.
    fn refer(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, cut: (usize, usize)) {
        let Some(ns) = node.rrset(rtype::NS) else { return };
        let Some(start) = put(reply, Section::Authority, ns, cut.1, here.apex_at) else { return };
        self.put_ds(reply, here, node, cut);
        for glue in ns.glue() {
            let owner = start + glue.name_at;
            for rrset in [rtype::A, rtype::AAAA].into_iter().filter_map(|t| glue.node.rrset(t)) {
                let done =
                    owner <= POINTER_MAX && put(reply, Section::Additional, rrset, owner, here.apex_at).is_some();
                if !done && glue.in_domain {
                    // RFC 9471 section 3.1: without it a resolver gets no further.
                    reply.truncate();
                }
            }
        }
    }
}
