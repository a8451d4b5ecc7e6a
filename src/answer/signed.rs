//! What a signed answer has beside its records: signatures, and proofs of what is not there.
//!
//! All of it was made when the zone was signed ([`crate::zone::signed`]); here it is found and copied. Only queries with DO
//! get it (RFC 4035 section 3.1); keys and proofs asked for by type are data like any other.
//!
//! Proofs stand in the authority section, so those that belong to an expanded wildcard wait until the answer is complete.

use crate::answer::Scratch;
use crate::answer::online::{EMPTY, NXNAME, Wanted};
use crate::answer::records::put;
use crate::answer::resolve::{Here, Verdict, Way};
use crate::exchange::{Family, MemberAnswer};
use crate::id::MemberIdx;
use crate::wire::reply::{POINTER_MAX, Reply, Section};
use crate::wire::{NameBuf, Rcode, rtype};
use crate::zone::rdata::put_base32;
use crate::zone::signed::{Chain, HASH_LEN, Item, Kind, Signed};
use crate::zone::store::{Node, ancestors};
use crate::zone::{RRset, Zone};

/// Most proofs of one reply: a wildcard's for each of 16 aliases, and three for what is not there at the end. Our choice: a
/// reply with so many has long been truncated.
pub(super) const MAX_PROOFS: usize = 20;

/// Proofs of one reply.
#[derive(Default)]
pub(super) struct Proofs<'q> {
    waiting: [Option<Proof<'q>>; MAX_PROOFS],
    n_waiting: usize,
    /// Whose proofs are in the reply, by where the zone has the name or hash: each has one, or it would be taken for one RRset of
    /// two records.
    said: [usize; MAX_PROOFS],
    n_said: usize,
    /// How many were waiting before those of the wildcard at hand.
    of_wildcard: Option<usize>,
}

/// One NSEC or NSEC3.
#[derive(Clone, Copy)]
struct Proof<'q> {
    item: Item<'q>,
    owner: Owner<'q>,
    /// Where the zone has the owner's name or hash.
    whose: usize,
    apex_at: usize,
}

/// Whose it is.
#[derive(Clone, Copy)]
enum Owner<'q> {
    /// The name that stands in the message there.
    At(usize),
    /// A name of the zone, relative to its apex.
    Name(&'q [u8]),
    /// A hash.
    Hash(&'q [u8; HASH_LEN]),
}

/// What is not there.
#[derive(Clone, Copy)]
pub(super) enum Absent<'q> {
    /// The name.
    Name,
    /// A type at this node, the name's own or its wildcard's.
    Type(Node<'q>, u16),
}

impl<'q> Way<'q> {
    /// The zone's signatures, if the client wants them.
    #[inline]
    fn wanted(&self, here: Here<'q>) -> Option<&'q Signed> {
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

    /// Says that something is not there: the SOA tells for how long (RFC 2308 sections 2, 3 and 5), and NSEC or NSEC3 prove it.
    ///
    /// `most_secs` bounds that where a pick, not the zone, has nothing to give: the next pick may have, and a resolver
    /// that goes by RFC 7871 section 7.4 takes the denial as one for all its clients, whatever the scope says.
    /// The RCODE is for names: NXDOMAIN, or NOERROR beside a compact proof, unless the client has said that it understands those
    /// (RFC 9824 sections 3.1 and 5.1).
    #[inline]
    pub(super) fn deny(&mut self, reply: &mut Reply, here: Here<'q>, absent: Absent<'q>, most_secs: u32) -> Rcode {
        let rcode = if matches!(absent, Absent::Name) { Rcode::NxDomain } else { Rcode::NoError };
        if self.request.qtype == rtype::NSEC && self.answers_itself(reply, here, absent) {
            return Rcode::NoError;
        }
        let Some(soa) = here.zone.negative_soa() else { return rcode };
        let Some(start) = put(reply, Section::Authority, soa, here.apex_at, here.apex_at) else { return rcode };
        let mut is_compact = false;
        if let Some(signed) = self.wanted(here) {
            is_compact = self.prove(reply, here, signed, absent);
            // The SOA was signed with its own TTL.
            reply.lower_ttls(start, most_secs.min(soa.ttl));
        } else if most_secs < soa.ttl {
            reply.set_ttls(start, 1, 0, most_secs);
        }
        if is_compact && !self.compact { Rcode::NoError } else { rcode }
    }

    /// Whether a name is proven to be absent by itself.
    #[cold]
    fn prove(&mut self, reply: &mut Reply, here: Here<'q>, signed: &'q Signed, absent: Absent<'q>) -> bool {
        if let Some(apex) = here.zone.node_at_name(&[]) {
            self.put_signatures(reply, Section::Authority, here, apex, rtype::SOA, here.apex_at);
        }
        let is_made = self.make(reply, Section::Authority, here, signed, absent);
        match absent {
            _ if is_made => {}
            Absent::Name => self.no_name(here, signed),
            Absent::Type(node, rtype) => self.no_type(here, signed, node, rtype),
        }
        self.put_waiting(reply);
        is_made
    }

    /// In compact denial every name has an NSEC, and who asks for it gets it: its absence could not be proven.
    #[cold]
    fn answers_itself(&mut self, reply: &mut Reply, here: Here<'q>, absent: Absent<'q>) -> bool {
        self.wanted(here).is_some_and(|signed| self.make(reply, Section::Answer, here, signed, absent))
    }

    /// Makes a proof for the name at hand, in compact denial, if it is one that has to be made; whether it was.
    fn make(
        &mut self,
        reply: &mut Reply,
        section: Section,
        here: Here<'q>,
        signed: &'q Signed,
        absent: Absent<'q>,
    ) -> bool {
        let Some(online) = signed.online() else { return false };
        let bitmap = match absent {
            Absent::Name => NXNAME,
            Absent::Type(node, rtype) => match self.place_of(signed, node, rtype) {
                // A wildcard's types are those of every name that it stands for.
                Some(place) if here.is_wildcard => signed.item_at(place).rdatas().next().map_or(EMPTY, bitmap_of),
                Some(_) => return false,
                None => EMPTY,
            },
        };
        let Scratch { made, name, .. } = &mut *self.scratch;
        let apex = here.zone.apex().as_wire();
        let wanted = Wanted { owner: name.as_wire(), owner_at: here.owner, apex, bitmap };
        let is_made = made.get_or_insert_default().prove(reply, section, &wanted, online, self.now);
        if is_made && here.is_wildcard {
            // The name is there by what was made, and nothing stands for it.
            self.proofs.forget_last();
        }
        is_made
    }

    /// The place of the proof that a type is absent at a node which has records.
    fn place_of(&self, signed: &'q Signed, node: Node<'q>, rtype: u16) -> Option<u32> {
        let entry = signed.entry(node)?;
        let kind = match rtype {
            rtype::A => Some(Kind::A),
            rtype::AAAA => Some(Kind::Aaaa),
            _ => None,
        };
        let without = kind.and_then(|kind| entry.alternatives()?.without(kind));
        without.or_else(|| entry.place(rtype::NSEC))
    }

    /// No such name, nor a wildcard that would stand for it (RFC 4035 section 3.1.3.2, RFC 5155 section 7.2.2).
    fn no_name(&mut self, here: Here<'q>, signed: &'q Signed) {
        let Some(encloser) = closest(here.zone, &self.scratch.name, here, signed) else { return };
        let mut wildcard = [0; 258];
        let above = self.scratch.name.suffix(encloser);
        let wildcard = &mut wildcard[..2 + above.len()];
        wildcard[..2].copy_from_slice(b"\x01*");
        wildcard[2..].copy_from_slice(above);
        match signed.chain() {
            Chain::Names { .. } => {
                let apex = here.zone.apex().as_wire().len();
                let name = self.scratch.name.as_wire();
                let of_name = covering(here, signed, &name[..name.len() - apex]);
                let of_wildcard = covering(here, signed, &wildcard[..wildcard.len() - apex]);
                [of_name, of_wildcard].into_iter().flatten().for_each(|proof| self.proofs.wait(proof));
            }
            Chain::Hashes { .. } => {
                self.no_closer(here, signed, encloser, true);
                self.proofs.wait_for(covering_hash(here, signed, wildcard));
            }
        }
    }

    /// The name is there, or a wildcard stands for it, but nothing of this type (RFC 4035 section 3.1.3.1, RFC 5155 sections
    /// 7.2.3 to 7.2.5).
    fn no_type(&mut self, here: Here<'q>, signed: &'q Signed, node: Node<'q>, rtype: u16) {
        let entry = signed.entry(node);
        let hashed = entry.and_then(|entry| signed.chain().hashed(entry.hashed()?));
        let place = self.place_of(signed, node, rtype).or(hashed.map(|(_, place)| place));
        let item = place.map(|place| if here.is_wildcard { signed.item_at(place) } else { signed.answered(place) });
        let owner = match hashed {
            Some((hash, _)) => Owner::Hash(hash),
            None if here.is_wildcard => Owner::Name(node.relative_name()),
            None => Owner::At(here.owner),
        };
        let whose = hashed.map_or_else(|| at(node.relative_name()), |(hash, _)| at(hash));
        match item {
            Some(item) => {
                self.proofs.wait_instead(Proof { item, owner, whose, apex_at: here.apex_at });
                // RFC 5155 section 7.2.5 wants the encloser, too.
                if here.is_wildcard && hashed.is_some() {
                    let encloser = self.encloser_of(here, node);
                    self.proofs.wait_for(matching(here, signed, &self.scratch.name, encloser));
                }
            }
            None if matches!(signed.chain(), Chain::Hashes { .. }) => {
                // Opt-out: it is the closest name that is hashed, and those below that may be unsigned.
                if let Some(encloser) = closest(here.zone, &self.scratch.name, here, signed) {
                    self.no_closer(here, signed, encloser, true);
                }
            }
            None => {
                // An empty non-terminal: the name before it leads past it.
                let name = self.scratch.name.as_wire();
                let relative = &name[..name.len() - here.zone.apex().as_wire().len()];
                self.proofs.wait_for(covering(here, signed, relative));
            }
        }
    }

    /// That no name is closer than a wildcard which is to stand for the name at hand; waits for the answer's end.
    pub(super) fn note_wildcard(&mut self, here: Here<'q>, node: Node<'q>) {
        let Some(signed) = self.wanted(here) else { return };
        self.proofs.of_wildcard = Some(self.proofs.n_waiting);
        match signed.chain() {
            // RFC 4035 section 3.1.3.3.
            Chain::Names { .. } => {
                let name = self.scratch.name.as_wire();
                let relative = &name[..name.len() - here.zone.apex().as_wire().len()];
                self.proofs.wait_for(covering(here, signed, relative));
            }
            // RFC 5155 section 7.2.6.
            Chain::Hashes { .. } => self.no_closer(here, signed, self.encloser_of(here, node), false),
        }
    }

    /// The suffix of the name at hand that a wildcard's node is below.
    fn encloser_of(&self, here: Here<'q>, wildcard: Node<'q>) -> usize {
        (here.apex + 1).saturating_sub(ancestors(wildcard.relative_name()).count())
    }

    /// That the name one label longer than the encloser is not there; and that the encloser is, if that is to be proven.
    fn no_closer(&mut self, here: Here<'q>, signed: &'q Signed, encloser: usize, is_proven: bool) {
        let name = &self.scratch.name;
        let proven = if is_proven { matching(here, signed, name, encloser) } else { None };
        let closer = covering_hash(here, signed, name.suffix(encloser.saturating_sub(1)));
        self.proofs.wait_for(proven);
        self.proofs.wait_for(closer);
    }

    /// A referral's DS, or the proof that there is none (RFC 4035 section 3.1.4, RFC 5155 section 7.2.7). `label`: the suffix of
    /// the name at hand that is the cut, which stands in the message at `cut`.
    pub(super) fn put_ds(&mut self, reply: &mut Reply, here: Here<'q>, node: Node<'q>, (label, cut): (usize, usize)) {
        let Some(signed) = self.wanted(here) else { return };
        self.put_waiting(reply);
        if let Some(ds) = node.rrset(rtype::DS) {
            self.put_signed(reply, Section::Authority, here, node, ds, cut);
            return;
        }
        let entry = signed.entry(node);
        let (hashed, nsec) = (entry.and_then(|entry| entry.hashed()), entry.and_then(|entry| entry.place(rtype::NSEC)));
        match (hashed.and_then(|number| signed.chain().hashed(number)), nsec) {
            (Some((hash, place)), _) => {
                let (item, owner) = (signed.item_at(place), Owner::Hash(hash));
                self.proofs.wait(Proof { item, owner, whose: at(hash), apex_at: here.apex_at });
            }
            (None, Some(place)) => {
                let item = signed.answered(place);
                let whose = at(node.relative_name());
                self.proofs.wait(Proof { item, owner: Owner::At(cut), whose, apex_at: here.apex_at });
            }
            (None, None) => {
                let is_hashed = |label: &usize| is_hashed(here.zone, &self.scratch.name, *label, here, signed);
                if let Some(encloser) = (label + 1..=here.apex).find(is_hashed) {
                    self.no_closer(here, signed, encloser, true);
                }
            }
        }
        self.put_waiting(reply);
    }

    /// Puts in the proofs that have waited.
    #[inline]
    pub(super) fn put_waiting(&mut self, reply: &mut Reply) {
        if self.proofs.n_waiting > 0 {
            self.proofs.put(reply);
        }
    }
}

impl<'q> Proofs<'q> {
    fn wait_for(&mut self, proof: Option<Proof<'q>>) {
        proof.into_iter().for_each(|proof| self.wait(proof));
    }

    /// As [`Proofs::wait`], in place of another of the same owner: what this one says of types is what is answered.
    fn wait_instead(&mut self, proof: Proof<'q>) {
        match self.waiting[..self.n_waiting].iter_mut().flatten().find(|other| other.whose == proof.whose) {
            Some(other) => *other = proof,
            None => self.wait(proof),
        }
    }

    fn wait(&mut self, proof: Proof<'q>) {
        if !self.said[..self.n_said].contains(&proof.whose) && self.n_said < MAX_PROOFS {
            self.said[self.n_said] = proof.whose;
            self.waiting[self.n_waiting] = Some(proof);
            (self.n_said, self.n_waiting) = (self.n_said + 1, self.n_waiting + 1);
        }
    }

    #[cold]
    fn put(&mut self, reply: &mut Reply) {
        for proof in &mut self.waiting[..self.n_waiting] {
            let Some(Proof { item, owner, apex_at, .. }) = proof.take() else { continue };
            let start = match owner {
                Owner::At(at) => {
                    reply.put(Section::Authority, item.n, item.records, at, std::iter::empty(), 0);
                    at
                }
                Owner::Name(relative) => match reply.put_owned(Section::Authority, item.records, relative, apex_at) {
                    Some(start) => start,
                    None => continue,
                },
                Owner::Hash(hash) => {
                    let mut label = [32; 33];
                    put_base32(hash, &mut label[1..]);
                    match reply.put_owned(Section::Authority, item.records, &label, apex_at) {
                        Some(start) => start,
                        None => continue,
                    }
                }
            };
            if start <= POINTER_MAX {
                reply.put(Section::Authority, item.n_signatures, item.signatures, start, std::iter::empty(), 0);
            } else {
                reply.truncate();
            }
        }
        (self.n_waiting, self.of_wildcard) = (0, None);
    }

    /// Forgets what a wildcard has had wait last.
    fn forget_last(&mut self) {
        if let Some(n) = self.of_wildcard.take() {
            (self.n_said, self.n_waiting) = (self.n_said - (self.n_waiting - n), n);
        }
    }

    /// Forgets all of them: the reply begins anew.
    pub(super) fn clear(&mut self) {
        (self.n_waiting, self.n_said, self.of_wildcard) = (0, 0, None);
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

//----------- Leaves ---------------------------------------------------------

/// The bitmap of an NSEC's RDATA, behind the next name.
fn bitmap_of(rdata: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(len) = rdata.get(at).filter(|len| **len > 0) {
        at += 1 + usize::from(*len);
    }
    rdata.get(at + 1..).unwrap_or_default()
}

/// Where octets lie.
fn at(octets: &[u8]) -> usize {
    octets.as_ptr() as usize
}

/// The NSEC that covers a name of the zone.
fn covering<'q>(here: Here<'q>, signed: &'q Signed, relative: &[u8]) -> Option<Proof<'q>> {
    let (node, item) = signed.covering(here.zone, relative)?;
    let name = node.relative_name();
    Some(Proof { item, owner: Owner::Name(name), whose: at(name), apex_at: here.apex_at })
}

/// The NSEC3 that covers a name.
fn covering_hash<'q>(here: Here<'q>, signed: &'q Signed, name: &[u8]) -> Option<Proof<'q>> {
    let chain = signed.chain();
    let (hash, place) = chain.hashed(chain.before_hash(&chain.hash(&[name])?)?)?;
    Some(Proof { item: signed.item_at(place), owner: Owner::Hash(hash), whose: at(hash), apex_at: here.apex_at })
}

/// The NSEC3 of suffix `label` of a name.
fn matching<'q>(here: Here<'q>, signed: &'q Signed, name: &NameBuf, label: usize) -> Option<Proof<'q>> {
    let entry = signed.entry(here.zone.node(name, label, here.apex)?)?;
    let (hash, place) = signed.chain().hashed(entry.hashed()?)?;
    Some(Proof { item: signed.item_at(place), owner: Owner::Hash(hash), whose: at(hash), apex_at: here.apex_at })
}

/// Whether suffix `label` of a name is there, and provably so.
fn is_hashed(zone: &Zone, name: &NameBuf, label: usize, here: Here<'_>, signed: &Signed) -> bool {
    let Some(node) = zone.node(name, label, here.apex) else { return false };
    match signed.chain() {
        Chain::Names { .. } => true,
        Chain::Hashes { .. } => signed.entry(node).is_some_and(|entry| entry.hashed().is_some()),
    }
}

/// The longest proper suffix of a name that is there, and provably so (RFC 5155 section 1.3).
fn closest(zone: &Zone, name: &NameBuf, here: Here<'_>, signed: &Signed) -> Option<usize> {
    (1..=here.apex).find(|label| is_hashed(zone, name, *label, here, signed))
}
