//! What an UPDATE makes of a zone (RFC 2136): prerequisites, permissions, then all of it or nothing.

use crate::wire::name::{MAX_NAME, expand};
use crate::wire::records::{Records, Soa, is_newer};
use crate::wire::walk::{self, Section};
use crate::wire::{Name, Rcode, rtype};
use crate::zone::Zone;
use crate::zone::rdata;
use std::collections::BTreeMap;

const NONE: u16 = 254;
const ANY: u16 = 255;
/// Most octets of an RRset, headers included: it must fit into a message with its question.
const MOST_RRSET: usize = 64_000;

/// What goes and what comes; nothing of both if nothing changes.
pub type Changes = (Records, Records);

/// Records of a name as they will be: type, TTL, RDATA.
type Held = Vec<(u16, u32, Vec<u8>)>;

/// A record of the message.
struct Item {
    name: Name,
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: Vec<u8>,
}

/// Works out what the update in `message` changes in `zone`. `may`: whether the sender may touch a type at a name, `None`
/// for all types.
///
/// # Errors
/// The RCODE of the reply, by the rules of RFC 2136 section 3.
pub fn work_out(message: &[u8], zone: &Zone, may: impl Fn(&Name, Option<u16>) -> bool) -> Result<Changes, Rcode> {
    let (prerequisites, updates) = read(message, zone)?;
    check_prerequisites(&prerequisites, zone)?;
    updates.iter().try_for_each(prescan)?;
    // Section 3.3: permissions are checked once the prerequisites hold.
    let covers = |item: &&Item| !may(&item.name, (item.rtype != rtype::ANY).then_some(item.rtype));
    if updates.iter().find(covers).is_some() {
        return Err(Rcode::Refused);
    }
    let mut draft = Draft { zone, names: BTreeMap::new() };
    updates.into_iter().for_each(|item| draft.take(item));
    draft.changes()
}

/// The prerequisite and update sections.
fn read(message: &[u8], zone: &Zone) -> Result<(Vec<Item>, Vec<Item>), Rcode> {
    let (mut prerequisites, mut updates) = (Vec::new(), Vec::new());
    for record in walk::records(message) {
        let record = record.ok_or(Rcode::FormErr)?;
        let into = match record.section {
            Section::Answer => &mut prerequisites,
            Section::Authority => &mut updates,
            Section::Additional => break,
        };
        let mut wire = [0; MAX_NAME];
        let (len, _) = expand(message, record.start, &mut wire).ok_or(Rcode::FormErr)?;
        let name = Name::from_wire(&wire[..len]).map_err(|_| Rcode::FormErr)?;
        if !name.is_within(zone.apex()) {
            return Err(Rcode::NotZone);
        }
        let mut rdata = Vec::new();
        if !record.rdata.is_empty() {
            rdata::wire::expand(record.rtype, message, record.range(), &mut rdata).ok_or(Rcode::FormErr)?;
        }
        into.push(Item { name, rtype: record.rtype, class: record.class, ttl: record.ttl, rdata });
    }
    Ok((prerequisites, updates))
}

/// Section 3.2.
fn check_prerequisites(items: &[Item], zone: &Zone) -> Result<(), Rcode> {
    let mut wanted: BTreeMap<(&Name, u16), Vec<&[u8]>> = BTreeMap::new();
    for Item { name, rtype, class, ttl, rdata } in items {
        let node = zone.node_of(name).filter(|node| !node.is_empty());
        let is_there = || node.is_some_and(|node| node.rrset(*rtype).is_some());
        match *class {
            _ if *ttl != 0 => return Err(Rcode::FormErr),
            ANY | NONE if !rdata.is_empty() => return Err(Rcode::FormErr),
            ANY if *rtype == rtype::ANY && node.is_none() => return Err(Rcode::NxDomain),
            ANY if *rtype != rtype::ANY && !is_there() => return Err(Rcode::NxRrset),
            NONE if *rtype == rtype::ANY && node.is_some() => return Err(Rcode::YxDomain),
            NONE if *rtype != rtype::ANY && is_there() => return Err(Rcode::YxRrset),
            ANY | NONE => {}
            rtype::CLASS_IN => wanted.entry((name, *rtype)).or_default().push(rdata),
            _ => return Err(Rcode::FormErr),
        }
    }
    for ((name, rtype), rdatas) in wanted {
        let found: Vec<_> = zone.rrset(name, rtype).into_iter().flat_map(|rrset| rrset.rdatas()).collect();
        let holds = |rdata: &[u8]| found.iter().any(|there| is_same(rtype, there, rdata));
        let is_wanted = |there: &[u8]| rdatas.iter().any(|rdata| is_same(rtype, there, rdata));
        if !rdatas.iter().all(|rdata| holds(rdata)) || !found.iter().all(|there| is_wanted(there)) || found.is_empty() {
            return Err(Rcode::NxRrset);
        }
    }
    Ok(())
}

/// Section 3.4.1: everything is well-formed before anything is done.
fn prescan(item: &Item) -> Result<(), Rcode> {
    let is_meta = matches!(item.rtype, 0 | rtype::OPT | 128..=255);
    let is_sound = match item.class {
        rtype::CLASS_IN => !is_meta && !item.rdata.is_empty() && item.ttl <= i32::MAX as u32,
        ANY => item.ttl == 0 && item.rdata.is_empty() && (!is_meta || item.rtype == rtype::ANY),
        NONE => item.ttl == 0 && !is_meta,
        _ => false,
    };
    if is_sound { Ok(()) } else { Err(Rcode::FormErr) }
}

/// Whether two RDATA are one; names compare without case (section 1.1).
fn is_same(rtype: u16, a: &[u8], b: &[u8]) -> bool {
    match rtype {
        rtype::NS | rtype::CNAME | rtype::PTR | rtype::DNAME | rtype::MX | rtype::SRV => a.eq_ignore_ascii_case(b),
        _ => a == b,
    }
}

/// The names that an update touches, as they will be.
struct Draft<'z> {
    zone: &'z Zone,
    names: BTreeMap<Name, Held>,
}

impl Draft<'_> {
    fn held(zone: &Zone, name: &Name) -> Held {
        let rrsets = zone.node_of(name).into_iter().flat_map(|node| node.rrsets());
        let of = |rrset: crate::zone::RRset<'_>| {
            rrset.rdatas().map(|rdata| (rrset.rtype, rrset.ttl, rdata.into_owned())).collect::<Vec<_>>()
        };
        rrsets.flat_map(of).collect()
    }

    /// Section 3.4.2.
    fn take(&mut self, item: Item) {
        let Item { name, rtype: of, class, ttl, rdata } = item;
        let (zone, is_apex) = (self.zone, name == *self.zone.apex());
        let held = self.names.entry(name.clone()).or_insert_with(|| Draft::held(zone, &name));
        // The zone's SOA and name servers cannot be taken from it.
        let is_fixed = |rtype: u16| is_apex && matches!(rtype, rtype::SOA | rtype::NS);
        match class {
            ANY if of == rtype::ANY => held.retain(|(rtype, ..)| is_fixed(*rtype)),
            ANY => held.retain(|(rtype, ..)| *rtype != of || is_fixed(of)),
            NONE => {
                let n_servers = held.iter().filter(|(rtype, ..)| *rtype == rtype::NS).count();
                if of != rtype::SOA && !(is_fixed(of) && n_servers == 1) {
                    held.retain(|(rtype, _, there)| *rtype != of || !is_same(of, there, &rdata));
                }
            }
            _ => {
                let is_beside = |rtype: u16| rtype == rtype::CNAME || rtype::BESIDE_CNAME.contains(&rtype);
                let is_in_the_way = |rtype: u16| match of {
                    rtype::CNAME => !is_beside(rtype),
                    _ => rtype == rtype::CNAME && !rtype::BESIDE_CNAME.contains(&of),
                };
                if held.iter().any(|(rtype, ..)| is_in_the_way(*rtype)) {
                    return;
                }
                if of == rtype::SOA {
                    let newer = |there: &[u8]| Some(is_newer(Soa::parse(&rdata)?.serial, Soa::parse(there)?.serial));
                    let soa = held.iter().find(|(rtype, ..)| *rtype == of);
                    if soa.and_then(|(_, _, there)| newer(there)) != Some(true) {
                        return;
                    }
                }
                if matches!(of, rtype::CNAME | rtype::SOA | rtype::DNAME) {
                    held.retain(|(rtype, ..)| *rtype != of);
                }
                held.retain(|(rtype, _, there)| *rtype != of || !is_same(of, there, &rdata));
                held.iter_mut().filter(|(rtype, ..)| *rtype == of).for_each(|(_, its, _)| *its = ttl);
                held.push((of, ttl, rdata));
            }
        }
    }

    fn changes(self) -> Result<Changes, Rcode> {
        let (mut removed, mut added) = (Records::default(), Records::default());
        for (name, held) in &self.names {
            let mut sizes: BTreeMap<u16, usize> = BTreeMap::new();
            for (rtype, _, rdata) in held {
                *sizes.entry(*rtype).or_default() += 12 + rdata.len();
            }
            if sizes.values().any(|size| *size > MOST_RRSET) {
                return Err(Rcode::Refused);
            }
            let before = Draft::held(self.zone, name);
            for (rtype, ttl, rdata) in before.iter().filter(|record| !held.contains(record)) {
                removed.push(name.as_wire(), *rtype, *ttl, [rdata, b""]);
            }
            for (rtype, ttl, rdata) in held.iter().filter(|record| !before.contains(record)) {
                added.push(name.as_wire(), *rtype, *ttl, [rdata, b""]);
            }
        }
        Ok((removed, added))
    }
}

#[cfg(test)]
mod tests;
