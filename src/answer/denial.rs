//! What is not there, and the proof of it.
//!
//! Proofs were made when the zone was signed ([`crate::zone::signed`]), or are made for the name at hand in compact denial; only
//! queries with DO get them (RFC 4035 section 3.1).

use crate::answer::Scratch;
use crate::answer::online::{EMPTY, NXNAME, Wanted};
use crate::answer::proofs::Proof;
use crate::answer::records::put;
use crate::answer::resolve::{Here, Way};
use crate::wire::reply::{Reply, Section};
use crate::wire::{NameBuf, Rcode, rtype};
use crate::zone::Zone;
use crate::zone::signed::{Chain, Kind, Signed};
use crate::zone::store::{Node, ancestors};

/// What is not there.
#[derive(Clone, Copy)]
pub(super) enum Absent<'q> {
    /// The name.
    Name,
    /// A type at this node, the name's own or its wildcard's.
    Type(Node<'q>, u16),
}

impl<'q> Way<'q> {
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
        let relative = node.relative_name();
        match item {
            Some(item) => {
                self.proofs.wait_instead(match hashed {
                    Some((hash, _)) => Proof::of_hash(item, hash, here.apex_at),
                    None if here.is_wildcard => Proof::of_name(item, relative, here.apex_at),
                    None => Proof::standing(item, here.owner, relative, here.apex_at),
                });
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
        self.proofs.begin_wildcard();
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
                self.proofs.wait(Proof::of_hash(signed.item_at(place), hash, here.apex_at));
            }
            (None, Some(place)) => {
                self.proofs.wait(Proof::standing(signed.answered(place), cut, node.relative_name(), here.apex_at));
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
        if !self.proofs.is_empty() {
            self.proofs.put(reply);
        }
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

/// The NSEC that covers a name of the zone.
fn covering<'q>(here: Here<'q>, signed: &'q Signed, relative: &[u8]) -> Option<Proof<'q>> {
    let (node, item) = signed.covering(here.zone, relative)?;
    Some(Proof::of_name(item, node.relative_name(), here.apex_at))
}

/// The NSEC3 that covers a name.
fn covering_hash<'q>(here: Here<'q>, signed: &'q Signed, name: &[u8]) -> Option<Proof<'q>> {
    let chain = signed.chain();
    let (hash, place) = chain.hashed(chain.before_hash(&chain.hash(&[name])?)?)?;
    Some(Proof::of_hash(signed.item_at(place), hash, here.apex_at))
}

/// The NSEC3 of suffix `label` of a name.
fn matching<'q>(here: Here<'q>, signed: &'q Signed, name: &NameBuf, label: usize) -> Option<Proof<'q>> {
    let entry = signed.entry(here.zone.node(name, label, here.apex)?)?;
    let (hash, place) = signed.chain().hashed(entry.hashed()?)?;
    Some(Proof::of_hash(signed.item_at(place), hash, here.apex_at))
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
