//! Messages about whole zones: transfers (RFC 5936, RFC 1995), NOTIFY (RFC 1996) and UPDATE (RFC 2136).
//!
//! Whether they may be is decided here, by the rules of the house ([`crate::exchange::rules`]); what is let in goes on as an
//! [`Errand`]. A zone that is ours is REFUSED to those without a grant, and one that is not is NOTAUTH (RFC 2136 section
//! 3.1.2, RFC 5936 section 2.2.1); servers differ on NOTIFY there, and an error that says why serves best. A zone that the
//! client may not even ask is, to it, none of ours.

use crate::answer::errand::{Asked, Errand, Refusal, Update, Why};
use crate::answer::resolve::Way;
use crate::answer::transfer::Outgoing;
use crate::exchange::Transport;
use crate::exchange::rules::{self, ZoneRules};
use crate::id::ZoneIdx;
use crate::wire::records::{Soa, is_newer};
use crate::wire::reply::{Reply, Section};
use crate::wire::request::{HEADER, Opcode};
use crate::wire::tsig::{Key, Seal};
use crate::wire::{Ede, Name, Rcode, rtype, walk};
use crate::zone::Zone;
use std::sync::Arc;

/// What a message is answered with: RCODE and reason.
type Said = (Rcode, Option<Ede>);

/// The signature of a message that holds: the key, and the seal of what answers it, which an errand takes along.
#[derive(Default)]
pub(super) struct Signed {
    pub key: Option<Arc<Key>>,
    pub seal: Option<Box<Seal>>,
}

impl<'q> Way<'q> {
    /// NOTIFY and UPDATE.
    #[cold]
    pub(super) fn operate(&mut self, signed: &mut Signed) -> Said {
        let request = self.request;
        let is_update = request.opcode == Opcode::Update;
        if request.qtype != rtype::SOA {
            return match is_update {
                // RFC 2136 section 3.1.1: a zone section names its SOA.
                true => (Rcode::FormErr, None),
                // RFC 9859 has children announce CDS and CSYNC to their parents.
                false => (Rcode::NotImp, Some(Ede::NotSupported)),
            };
        }
        let Some((_, zone)) = self.zone_asked() else { return (Rcode::NotAuth, Some(Ede::NotAuthoritative)) };
        let (apex, rules) = (zone.apex().clone(), self.rules(zone));
        let (addr, key) = (self.client.addr, signed.key.as_deref());
        if is_update {
            let is_granted = key.is_some_and(|key| rules.update.iter().any(|grant| grant.is_for(addr, key)));
            return match (is_granted, signed.key.clone(), signed.seal.take()) {
                (true, Some(key), Some(seal)) if self.client.transport.is_plain_dns() => {
                    let message = self.query.to_vec();
                    self.leave(Errand::Update(Box::new(Update { apex, message, key, seal })));
                    (Rcode::NoError, None)
                }
                (true, _, seal) => {
                    signed.seal = seal;
                    (Rcode::Refused, Some(Ede::NotSupported))
                }
                (false, _, seal) => {
                    signed.seal = seal;
                    self.refuse_to(Asked::Update, apex, signed, Why::NoGrant, rules.update.is_empty())
                }
            };
        }
        if !rules::any(&rules.notify, addr, key) {
            return self.refuse_to(Asked::Notify, apex, signed, Why::NoGrant, rules.notify.is_empty());
        }
        // RFC 1996 section 3.7: the new SOA may be in the answer section, as a hint.
        let soa = self.record_of_zone(walk::Section::Answer).map(|soa| soa.serial);
        self.leave(Errand::Notify { apex, serial: soa });
        self.authoritative = true;
        (Rcode::NoError, None)
    }

    /// AXFR and IXFR.
    #[cold]
    pub(super) fn transfer(&mut self, reply: &mut Reply, signed: &mut Signed) -> Said {
        let (request, client) = (self.request, self.client);
        let Some((idx, zone)) = self.zone_asked() else { return (Rcode::NotAuth, Some(Ede::NotAuthoritative)) };
        let (apex, rules) = (zone.apex().clone(), self.rules(zone));
        if !rules::any(&rules.transfer, client.addr, signed.key.as_deref()) {
            return self.refuse_to(Asked::Transfer, apex, signed, Why::NoGrant, rules.transfer.is_empty());
        }
        if rules.only_over_tls && client.transport != Transport::Tls {
            return self.refuse_to(Asked::Transfer, apex, signed, Why::NotEncrypted, false);
        }
        if zone.is_left_out() {
            return (Rcode::ServFail, Some(Ede::InvalidData));
        }
        let has = match request.qtype {
            rtype::IXFR => match self.record_of_zone(walk::Section::Authority) {
                Some(soa) => Some(soa.serial),
                // RFC 1995 section 3: the client's SOA says from where on.
                None => return (Rcode::FormErr, None),
            },
            _ => None,
        };
        let is_current = has.is_some_and(|has| !is_newer(zone.serial(), has));
        match client.transport {
            Transport::Tcp | Transport::Tls => {}
            // RFC 1995 section 2: over UDP the SOA says whether there is more to come for.
            Transport::Udp if has.is_some() => {
                self.authoritative = true;
                self.put_soa(reply, zone);
                if !is_current {
                    reply.truncate();
                }
                return (Rcode::NoError, None);
            }
            // RFC 5936 section 4.2 has no AXFR over UDP, and over HTTPS (RFC 8484) and QUIC here nobody asked for it yet.
            _ => return (Rcode::Refused, Some(Ede::NotSupported)),
        }
        let zones = &self.snapshot.zones;
        let of_zone = zones.signed(idx.idx()).cloned();
        let octets = zone.memory_bytes() + of_zone.as_ref().map_or(0, |of_zone| of_zone.memory_bytes());
        let whole = Outgoing::whole(zones.share(idx), self.query, request, self.house.udp_size, signed.seal.take());
        let whole = whole.with_signed(of_zone);
        let outgoing = match has {
            None => whole,
            Some(_) if is_current => whole.by_differences(Vec::new()),
            // Without differences that lead on from there, or where they are more than all of it, it is all (section 4).
            Some(has) => match zones.history(&apex).and_then(|history| history.since(has)) {
                Some(chain) if chain.iter().map(|diff| diff.octets()).sum::<usize>() < octets => {
                    whole.by_differences(chain)
                }
                _ => whole,
            },
        };
        self.leave(Errand::Transfer(Box::new(outgoing)));
        (Rcode::NoError, None)
    }

    fn put_soa(&mut self, reply: &mut Reply, zone: &Zone) {
        if let Some(soa) = zone.rrset(zone.apex(), rtype::SOA) {
            reply.put(Section::Answer, 1, soa.records(), HEADER, soa.apex_pointers(), HEADER);
        }
    }

    /// The zone whose very apex is asked for, if this client may know of it.
    fn zone_asked(&self) -> Option<(ZoneIdx, &'q Zone)> {
        let zones = &self.snapshot.zones;
        let (zone, _) = zones.find(&self.scratch.name).filter(|(_, apex)| *apex == 0)?;
        let may_know = self.request.qclass == rtype::CLASS_IN && self.may_know(zone);
        zones.position(zone.apex()).filter(|_| may_know).map(|idx| (idx, zone))
    }

    /// Who may transfer or change a zone need not be somebody who may ask it.
    fn may_know(&self, zone: &Zone) -> bool {
        let (rules, addr) = (self.house.rules.of(zone.apex()), self.client.addr);
        let from = |grant: &rules::Grant| grant.from.as_ref().is_none_or(|list| list.contains(addr));
        self.house.access.admits(addr, zone)
            || rules.transfer.iter().chain(&rules.notify).any(from)
            || rules.update.iter().any(|grant| grant.from.as_ref().is_none_or(|list| list.contains(addr)))
    }

    fn rules(&self, zone: &Zone) -> &'q ZoneRules {
        self.house.rules.of(zone.apex())
    }

    /// The SOA of the zone asked for in one of the message's sections.
    fn record_of_zone(&self, section: walk::Section) -> Option<Soa> {
        let found = walk::records(self.query).flatten().find(|r| r.section == section && r.rtype == rtype::SOA)?;
        Soa::parse(found.rdata)
    }

    fn leave(&mut self, errand: Errand) {
        self.scratch.errand = Some(Box::new(errand));
    }

    /// Refuses, and has it told unless nobody at all is let in, which is no news.
    fn refuse_to(&mut self, what: Asked, name: Name, signed: &Signed, why: Why, is_closed: bool) -> Said {
        if is_closed {
            return (Rcode::Refused, Some(Ede::NotSupported));
        }
        let key = signed.key.as_ref().map(|key| key.name.clone());
        self.leave(Errand::Tell(Refusal { what, name, key, why }));
        (Rcode::Refused, Some(Ede::Prohibited))
    }
}
