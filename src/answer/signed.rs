//! What a signed answer has beside its records: signatures.
//!
//! All of it was made when the zone was signed ([`crate::zone::signed`]); here it is found and copied. Only queries with DO
//! get it (RFC 4035 section 3.1); keys and proofs asked for by type are data like any other.

use crate::answer::records::put;
use crate::answer::resolve::{Here, Verdict, Way};
use crate::exchange::{Family, MemberAnswer};
use crate::id::MemberIdx;
use crate::wire::reply::{Reply, Section};
use crate::wire::rtype;
use crate::zone::RRset;
use crate::zone::signed::{Item, Kind, Signed};
use crate::zone::store::Node;

impl<'q> Way<'q> {
    /// The zone's signatures, if the client wants them.
    #[inline]
    pub(super) fn wanted(&self, here: Here<'q>) -> Option<&'q Signed> {
        here.signed.filter(|_| self.request.edns.as_ref().is_some_and(|edns| edns.dnssec_ok))
    }

    /// Puts in an RRset of a node, and its signatures if they are wanted; returns where.
    #[inline]
    pub(super) fn put_signed(
        &self,
        reply: &mut Reply,
        section: Section,
        here: Here<'q>,
        node: Node<'q>,
        rrset: RRset<'q>,
        owner: usize,
    ) -> Option<usize> {
        let start = put(reply, section, rrset, owner, here.apex_at)?;
        self.put_signatures(reply, section, here, node, rrset.rtype, owner);
        Some(start)
    }

    /// Puts in the signatures of a node's RRset, if they are wanted.
    #[inline]
    pub(super) fn put_signatures(
        &self,
        reply: &mut Reply,
        section: Section,
        here: Here<'q>,
        node: Node<'q>,
        rtype: u16,
        owner: usize,
    ) {
        if let Some(item) = self.wanted(here).and_then(|signed| signed.entry(node)?.item(rtype)) {
            reply.put(section, item.n_signatures, item.signatures, owner, std::iter::empty(), 0);
        }
    }

    /// Puts in what a signed zone has of a type beside its records: keys, proofs, the answer to ANY, or, where signatures
    /// themselves are asked for, those of one RRset (RFC 8482 section 4.1). Whether there is any.
    pub(super) fn put_added(&self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, rtype: u16) -> bool {
        let Some((signed, entry)) = here.signed.and_then(|signed| Some((signed, signed.entry(node)?))) else {
            return false;
        };
        let section = Section::Answer;
        if rtype == rtype::NSEC && here.is_wildcard && signed.online().is_some() {
            return false;
        }
        if rtype == rtype::RRSIG {
            let own = entry.items().find(|item| item.n_signatures > 0);
            let Some(item) = own.and_then(|item| Some(signed.answered(entry.place(item.rtype)?))) else { return false };
            reply.put(section, item.n_signatures, item.signatures, here.owner, std::iter::empty(), 0);
            return true;
        }
        // In compact denial a name's NSEC tells of no other name.
        let item = entry.place(rtype).map(|place| signed.answered(place));
        let Some(item) = item.filter(|item| item.n > 0) else { return false };
        let is_in = reply.put(section, item.n, item.records, here.owner, std::iter::empty(), 0).is_some();
        if is_in && self.wanted(here).is_some() {
            reply.put(section, item.n_signatures, item.signatures, here.owner, std::iter::empty(), 0);
        }
        true
    }

    /// Puts in the signatures of what a member gave.
    pub(super) fn put_given(
        &self,
        reply: &mut Reply,
        section: Section,
        here: Here<'q>,
        node: Node<'q>,
        owner: usize,
        (kind, verdict): (Kind, &Verdict<'q>),
    ) {
        let Some(signed) = self.wanted(here) else { return };
        let Some((entry, member)) = signed.entry(node).zip(verdict.member) else { return };
        let Some(place) = entry.of_member(member.idx(), kind, verdict.first(kind)) else { return };
        let item = signed.item_at(place);
        if let Some(start) = reply.put(section, item.n_signatures, item.signatures, owner, std::iter::empty(), 0) {
            reply.lower_ttls(start, verdict.ttl);
        }
    }

    /// What was made and signed ahead of an RRset whose hints are a member's, if signatures are wanted.
    pub(super) fn made_ahead(
        &self,
        here: Here<'q>,
        node: Node<'q>,
        rtype: u16,
        member: Option<MemberIdx>,
    ) -> Option<Item<'q>> {
        let signed = self.wanted(here)?;
        let place = signed.entry(node)?.alternatives()?.service(rtype, member.map(MemberIdx::idx))?;
        Some(signed.item_at(place))
    }

    /// Puts in an item's records and signatures with a TTL of at most `ttl`; returns where.
    pub(super) fn put_item(
        &self,
        reply: &mut Reply,
        section: Section,
        item: Item<'q>,
        owner: usize,
        ttl: u32,
    ) -> Option<usize> {
        let start = reply.put(section, item.n, item.records, owner, std::iter::empty(), 0)?;
        reply.put(section, item.n_signatures, item.signatures, owner, std::iter::empty(), 0);
        reply.lower_ttls(start, ttl);
        Some(start)
    }
}

impl Verdict<'_> {
    /// Which of the member's records is the first given.
    fn first(&self, kind: Kind) -> usize {
        let Some(member) = self.given else { return 0 };
        match kind {
            Kind::A => self.first_of(member, Family::A),
            Kind::Aaaa => self.first_of(member, Family::Aaaa),
            Kind::Cname => 0,
        }
    }

    fn first_of(&self, member: &MemberAnswer, family: Family) -> usize {
        self.rotation(member, family).0
    }
}
