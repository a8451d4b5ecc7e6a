//! SVCB and HTTPS records whose hints a policy gives.
//!
//! `ipv4hint` and `ipv6hint` are addresses of a record's target (RFC 9460 section 7.3), and clients may go by them before
//! they know its A and AAAA. So where the target is steered, hints are the addresses that the same client is given there,
//! from the same pick; what the zone file says in their place asks for them, and stands in where its addresses would.
//! A family that the pick lacks has no hint, nor is any given where an alias would be, or where every question takes a
//! member of its own (`pick=spread`). Records without hints are left as they are.
//!
//! Hints are put in when the answer is composed: most records have none, and a form of each record for every member, and
//! every address of it to begin with, would cost more than the few copies.

use crate::answer::records::addresses;
use crate::answer::resolve::{Here, Verdict, Way};
use crate::exchange::Family;
use crate::policy::Pick;
use crate::wire::reply::{Reply, Section, pointer};
use crate::wire::rtype;
use crate::zone::RRset;
use crate::zone::lookup::Found;
use crate::zone::rdata::{hinted_target, params, params_at};
use crate::zone::store::{Node, RECORD_HEADER};

/// Most records of one RRset whose hints are looked into; those after have none. Our choice: services have a few.
const MAX_RECORDS: usize = 16;

/// SvcParamKeys (RFC 9460 section 14.3.2).
const MANDATORY: u16 = 0;
const IPV4HINT: u16 = 4;
const IPV6HINT: u16 = 6;

/// What becomes of a record's hints.
enum Hints<'s> {
    /// They stay, if there are any.
    Kept,
    /// They are the addresses of this pick.
    Given(Verdict<'s>),
    /// They are left out.
    Dropped,
}

impl<'q> Way<'q> {
    /// Puts in an RRset of type SVCB or HTTPS whose owner stands in the message at `owner`, and returns where. `node` is the
    /// owner's; `most_secs` bounds the TTL.
    pub(super) fn put_services(
        &mut self,
        reply: &mut Reply,
        section: Section,
        here: Here<'q>,
        node: Node<'q>,
        rrset: RRset<'q>,
        (owner, most_secs): (usize, u32),
    ) -> Option<usize> {
        let (mut ttl, mut scope, mut steered) = (rrset.ttl.min(most_secs), 0, None);
        // Whose hints they are, if all are one's.
        let mut member = None;
        let mut hints = [const { Hints::Kept }; MAX_RECORDS];
        let mut changes = false;
        if !self.snapshot.policies.steers.is_empty() {
            for (i, rdata) in rdatas(rrset.records()).enumerate() {
                let Some(target) = hinted_target(rdata) else { continue };
                let Some(of_record) = hints.get_mut(i) else {
                    changes = true;
                    break;
                };
                let Some(group) = self.target(target, node).and_then(|node| node.group()) else { continue };
                *of_record = Hints::Dropped;
                if self.snapshot.table.pick_mode(group) == Pick::Sticky
                    && let Some(verdict) = self.decide(group, None)
                {
                    (ttl, scope) = (ttl.min(verdict.ttl), scope.max(verdict.scope));
                    steered = Some(group);
                    match verdict.given {
                        Some(answer) if answer.cname.is_empty() => {
                            member = verdict.member;
                            *of_record = Hints::Given(verdict);
                        }
                        None if verdict.zone_stands_in() => *of_record = Hints::Kept,
                        _ => {}
                    }
                }
                changes |= !matches!(of_record, Hints::Kept);
            }
        }
        let made_ahead = changes.then(|| self.made_ahead(here, node, rrset.rtype, member)).flatten();
        let start = match changes {
            true if made_ahead.is_some() => self.put_item(reply, section, made_ahead?, owner, ttl)?,
            true => put_changed(reply, section, rrset, &hints, ttl, owner)?,
            false => self.put_signed(reply, section, here, node, rrset, owner)?,
        };
        if !changes && ttl < rrset.ttl {
            reply.lower_ttls(start, ttl);
        }
        self.scope = self.scope.max(scope);
        if section == Section::Answer {
            self.steered = self.steered.or(steered);
        }
        Some(start)
    }

    /// The node of a record's target, if a zone of ours speaks for it to this client; `.` is the owner (RFC 9460 section 2.5.2).
    fn target(&mut self, target: &[u8], owner: Node<'q>) -> Option<Node<'q>> {
        if target == [0] {
            return Some(owner);
        }
        let name = &mut self.scratch.host;
        name.parse(target)?;
        let admits = |zone| self.house.access.admits(self.client.addr, zone);
        let (zone, apex) = self.snapshot.zones.find(name).filter(|(zone, _)| admits(zone))?;
        match zone.lookup(name, apex, rtype::A) {
            Found::Name { node, .. } => Some(node),
            _ => None,
        }
    }
}

/// Puts in an RRset with other hints than it is stored with.
fn put_changed(
    reply: &mut Reply,
    section: Section,
    rrset: RRset,
    hints: &[Hints; MAX_RECORDS],
    ttl: u32,
    owner: usize,
) -> Option<usize> {
    let of_record = |i: usize| hints.get(i).unwrap_or(&Hints::Dropped);
    let len_of = |i: usize, rdata: &[u8]| {
        let mut len = 0;
        compose(rdata, of_record(i), &mut |part| len += part.len());
        len
    };
    let total = rdatas(rrset.records()).enumerate().map(|(i, rdata)| RECORD_HEADER + len_of(i, rdata)).sum();
    let start = reply.room(section, rrset.n, total)?;
    let mut at = start;
    let mut write = |part: &[u8]| {
        reply.write(at, part);
        at += part.len();
    };
    for (i, rdata) in rdatas(rrset.records()).enumerate() {
        write(&pointer(owner));
        write(&rrset.rtype.to_be_bytes());
        write(&rtype::CLASS_IN.to_be_bytes());
        write(&ttl.to_be_bytes());
        write(&(len_of(i, rdata) as u16).to_be_bytes());
        compose(rdata, of_record(i), &mut write);
    }
    Some(start)
}

/// Hands out the parts of a record's RDATA, in the order of keys as they stand.
fn compose(rdata: &[u8], hints: &Hints, out: &mut impl FnMut(&[u8])) {
    let params_at = params_at(rdata);
    out(&rdata[..params_at]);
    for (key, param) in params(&rdata[params_at..]) {
        match key {
            _ if matches!(hints, Hints::Kept) => out(param),
            MANDATORY => mandatory(&param[4..], hints, out),
            IPV4HINT | IPV6HINT => hint(key, hints, out),
            _ => out(param),
        }
    }
}

/// The keys that are mandatory: those of hints only where they are there (RFC 9460 section 8).
fn mandatory(keys: &[u8], hints: &Hints, out: &mut impl FnMut(&[u8])) {
    let stays = |key: &&[u8]| {
        let key = u16::from_be_bytes([key[0], key[1]]);
        !matches!(key, IPV4HINT | IPV6HINT) || given(key, hints).is_some()
    };
    let n = keys.chunks_exact(2).filter(stays).count();
    if n > 0 {
        out(&MANDATORY.to_be_bytes());
        out(&(2 * n as u16).to_be_bytes());
        keys.chunks_exact(2).filter(stays).for_each(out);
    }
}

fn hint(key: u16, hints: &Hints, out: &mut impl FnMut(&[u8])) {
    let Some((records, record_len)) = given(key, hints) else { return };
    let n = records.iter().map(|part| part.len() / record_len).sum::<usize>();
    let address_len = record_len - RECORD_HEADER;
    out(&key.to_be_bytes());
    out(&((n * address_len) as u16).to_be_bytes());
    for record in records.iter().flat_map(|part| part.chunks_exact(record_len)) {
        out(&record[RECORD_HEADER..]);
    }
}

/// The address records that become a hint, in two parts as they are given, and the length of each; `None` if there are
/// none.
fn given<'v>(key: u16, hints: &'v Hints) -> Option<([&'v [u8]; 2], usize)> {
    let Hints::Given(verdict) = hints else { return None };
    let family = if key == IPV4HINT { Family::A } else { Family::Aaaa };
    let (parts, len) = addresses(verdict.given?, family, verdict);
    (!parts[0].is_empty()).then_some((parts, len))
}

//----------- Leaves ---------------------------------------------------------

/// The RDATA of stored records.
fn rdatas(mut records: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (head, rest) = records.split_first_chunk::<RECORD_HEADER>()?;
        let (rdata, rest) = rest.split_at(usize::from(u16::from_be_bytes([head[10], head[11]])));
        records = rest;
        Some(rdata)
    })
}
