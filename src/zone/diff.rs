//! From one version of a zone to the next: what an incremental transfer carries, a journal keeps, and an update makes.

use crate::wire::records::{Record, Records, Soa};
use crate::wire::{Name, rtype};
use crate::zone::store::{Builder, Node, Patch, RRset, Zone};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

//----------- Difference -----------------------------------------------------

/// What goes and what comes, as in an incremental transfer (RFC 1995 section 4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The serial before.
    pub from: u32,
    /// The serial after.
    pub to: u32,
    /// What goes; the first is the SOA before.
    pub removed: Records,
    /// What comes; the first is the SOA after.
    pub added: Records,
}

/// Why a difference does not fit a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// It begins at another serial.
    Serial {
        /// The zone's.
        zone: u32,
        /// The difference's.
        from: u32,
    },
    /// It removes a record that is not there.
    Missing,
    /// It adds a record that is there, or one outside the zone.
    Surplus,
    /// It has no SOA where one must be.
    NoSoa,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misfit::Serial { zone, from } => write!(f, "it begins at serial {from}, and the zone has {zone}"),
            Misfit::Missing => f.write_str("it removes a record that is not there"),
            Misfit::Surplus => f.write_str("it adds a record that is there already, or lies outside the zone"),
            Misfit::NoSoa => f.write_str("it has no SOA"),
        }
    }
}

impl Difference {
    /// What leads from `old` to `new`, whose apexes are one; `None` if one of them has no SOA. Two walks and a probe for each
    /// name.
    pub fn between(old: &Zone, new: &Zone) -> Option<Difference> {
        let (mut removed, mut added) = (soa_first(old)?, soa_first(new)?);
        let owner = |node: Node<'_>| [node.relative_name(), old.apex().as_wire()].concat();
        for node in new.nodes() {
            let before = old.node_by_relative(node.relative_name());
            let name = owner(node);
            if before.is_none_or(|before| !is_alike(before, node)) {
                compare(&name, before, Some(node), &mut removed, &mut added);
            }
        }
        for node in old.nodes().filter(|node| new.node_by_relative(node.relative_name()).is_none()) {
            compare(&owner(node), Some(node), None, &mut removed, &mut added);
        }
        Some(Difference { from: old.serial(), to: new.serial(), removed, added })
    }

    /// As [`Difference::between`], where it is known at which owners the two may differ.
    pub fn at<'o>(owners: impl IntoIterator<Item = &'o Name>, old: &Zone, new: &Zone) -> Option<Difference> {
        let (mut removed, mut added) = (soa_first(old)?, soa_first(new)?);
        for owner in owners {
            compare(owner.as_wire(), old.node_of(owner), new.node_of(owner), &mut removed, &mut added);
        }
        Some(Difference { from: old.serial(), to: new.serial(), removed, added })
    }

    /// Whether nothing but the SOA may differ.
    pub fn is_empty(&self) -> bool {
        self.removed.len() <= 1 && self.added.len() <= 1
    }

    /// Octets of its records.
    pub fn octets(&self) -> usize {
        self.removed.as_octets().len() + self.added.as_octets().len()
    }

    /// The zone after it.
    ///
    /// # Errors
    /// [`Misfit`]: the zone is not the one that this begins at.
    pub fn apply(&self, zone: &Zone) -> Result<Zone, Misfit> {
        if zone.serial() != self.from {
            return Err(Misfit::Serial { zone: zone.serial(), from: self.from });
        }
        rewrite(zone, &self.removed, &self.added, Strictness::Strict)
    }
}

/// Whether what goes must be there, and what comes must not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// As RFC 1995 has it: whoever sends something else has lost track.
    Strict,
    /// For changes that were made to another version.
    Lenient,
}

/// A copy of a zone without some records and with others. A SOA among `added` replaces the one there is.
///
/// # Errors
/// [`Misfit::Missing`] and [`Misfit::Surplus`], if `strictness` asks; [`Misfit::NoSoa`] if there would be none.
pub fn rewrite(zone: &Zone, removed: &Records, added: &Records, strictness: Strictness) -> Result<Zone, Misfit> {
    let mut names = Names::new();
    let gone: HashSet<(&[u8], u16, &[u8])> = removed.iter().map(|r| (r.owner, r.rtype, r.rdata)).collect();
    let soa = added.iter().filter(|r| r.rtype == rtype::SOA).last();
    let mut n_gone = 0;
    for record in removed.iter().chain(added.iter()) {
        if names.contains_key(record.owner) {
            continue;
        }
        let name = record.name();
        if !name.is_within(zone.apex()) {
            return Err(Misfit::Surplus);
        }
        let mut kept = Vec::new();
        for rrset in zone.node_of(&name).into_iter().flat_map(|node| node.rrsets()) {
            for rdata in rrset.rdatas() {
                if gone.contains(&(record.owner, rrset.rtype, &*rdata)) {
                    n_gone += 1;
                } else if rrset.rtype != rtype::SOA || soa.is_none() {
                    kept.push((rrset.rtype, rrset.ttl, rdata.into_owned()));
                }
            }
        }
        names.insert(record.owner, kept);
    }
    if strictness == Strictness::Strict && n_gone != gone.len() {
        return Err(Misfit::Missing);
    }
    for record in added.iter() {
        let Some(kept) = names.get_mut(record.owner) else { continue };
        let is_there = kept.iter().position(|(rtype, _, rdata)| *rtype == record.rtype && *rdata == record.rdata);
        match is_there {
            Some(_) if strictness == Strictness::Strict => return Err(Misfit::Surplus),
            Some(at) => kept[at].1 = record.ttl,
            None => kept.push((record.rtype, record.ttl, record.rdata.to_vec())),
        }
        // One TTL for an RRset (RFC 2181 section 5.2): what comes last says it.
        kept.iter_mut().filter(|(rtype, ..)| *rtype == record.rtype).for_each(|(_, ttl, _)| *ttl = record.ttl);
    }
    let patch = patch(zone, &names);
    let patched = patch.and_then(|patch| patch.apply(zone)).map(|patched| patched.zone);
    let made = patched.unwrap_or_else(|| rebuild(zone, &names));
    if made.rrset(made.apex(), rtype::SOA).is_none_or(|soa| soa.n != 1) {
        return Err(Misfit::NoSoa);
    }
    Ok(made)
}

/// By owner all records that it is to have: type, TTL, RDATA.
type Names<'r> = BTreeMap<&'r [u8], Vec<(u16, u32, Vec<u8>)>>;

fn patch(zone: &Zone, names: &Names) -> Option<Patch> {
    let (mut builder, mut candidates) = (Builder::new(zone.apex()), Vec::with_capacity(names.len()));
    for (owner, records) in names {
        let name = Name::from_wire(owner).ok()?;
        for (rtype, ttl, rdata) in records {
            builder.add(&name, *rtype, *ttl, rdata);
        }
        candidates.push(name);
    }
    Some(Patch::new(builder, zone, &candidates))
}

/// The way for patches that are too much of one.
fn rebuild(zone: &Zone, names: &Names) -> Zone {
    let mut builder = Builder::new(zone.apex());
    let others = zone.nodes().map(|node| (node.name(), node)).filter(|(name, _)| !names.contains_key(name.as_wire()));
    for (name, node) in others {
        for rrset in node.rrsets() {
            rrset.rdatas().for_each(|rdata| _ = builder.add(&name, rrset.rtype, rrset.ttl, &rdata));
        }
    }
    for (owner, records) in names {
        let name = Name::from_wire(owner).expect("names of records are names");
        records.iter().for_each(|(rtype, ttl, rdata)| _ = builder.add(&name, *rtype, *ttl, rdata));
    }
    builder.finish()
}

/// A zone of these records.
///
/// # Errors
/// [`Misfit::Surplus`] for a record outside the zone, [`Misfit::NoSoa`] unless there is one SOA.
pub fn build(apex: &Name, records: &Records) -> Result<Zone, Misfit> {
    let mut builder = Builder::new(apex);
    for record in records.iter() {
        if builder.add(&record.name(), record.rtype, record.ttl, record.rdata) != crate::zone::store::Added::Taken {
            return Err(Misfit::Surplus);
        }
    }
    let zone = builder.finish();
    match zone.rrset(apex, rtype::SOA) {
        Some(soa) if soa.n == 1 => Ok(zone),
        _ => Err(Misfit::NoSoa),
    }
}

//----------- Comparing ------------------------------------------------------

fn soa_first(zone: &Zone) -> Option<Records> {
    let mut records = Records::default();
    let soa = zone.rrset(zone.apex(), rtype::SOA)?;
    records.push(zone.apex().as_wire(), rtype::SOA, soa.ttl, [&soa.rdatas().next()?, b""]);
    Some(records)
}

/// Whether two nodes hold the same octets, which is the quick way to see that nothing changed.
fn is_alike(a: Node<'_>, b: Node<'_>) -> bool {
    a.rrsets().map(|r| (r.rtype, r.records())).eq(b.rrsets().map(|r| (r.rtype, r.records())))
}

fn compare(owner: &[u8], old: Option<Node<'_>>, new: Option<Node<'_>>, removed: &mut Records, added: &mut Records) {
    let all = |node: Option<Node<'_>>| -> Held {
        let Some(node) = node else { return Held::new() };
        let of = |rrset: RRset<'_>| {
            rrset.rdatas().map(|d| ((rrset.rtype, d.to_vec()), node.ttl_of(&rrset, &d))).collect::<Vec<_>>()
        };
        node.rrsets().filter(|rrset| rrset.rtype != rtype::SOA).flat_map(of).collect()
    };
    put_changes(owner, &all(old), &all(new), (removed, added));
}

/// Records of one owner by type and RDATA, with their TTLs.
pub(crate) type Held = HashMap<(u16, Vec<u8>), u32>;

/// Adds what an owner has lost to `removed`, and what it has gained to `added`; a record of another TTL is in both.
pub(crate) fn put_changes(owner: &[u8], old: &Held, new: &Held, (removed, added): (&mut Records, &mut Records)) {
    let only = |of: &Held, other: &Held, into: &mut Records| {
        let mut these: Vec<_> = of.iter().filter(|(record, ttl)| other.get(*record) != Some(*ttl)).collect();
        these.sort();
        for ((rtype, rdata), ttl) in these {
            into.push(owner, *rtype, *ttl, [rdata, b""]);
        }
    };
    only(old, new, removed);
    only(new, old, added);
}

//----------- Net ------------------------------------------------------------

/// What several differences come to, taken together: the last word on each record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Net {
    /// By owner, type and RDATA: the TTL of one that is there now, `None` for one that is not.
    last: BTreeMap<(Vec<u8>, u16, Vec<u8>), Option<u32>>,
}

impl Net {
    /// Takes the next difference in. SOAs are left out: they follow rules of their own.
    pub fn take(&mut self, removed: &Records, added: &Records) {
        let key = |r: &Record<'_>| (r.owner.to_vec(), r.rtype, r.rdata.to_vec());
        for record in removed.iter().filter(|r| r.rtype != rtype::SOA) {
            self.last.insert(key(&record), None);
        }
        for record in added.iter().filter(|r| r.rtype != rtype::SOA) {
            self.last.insert(key(&record), Some(record.ttl));
        }
    }

    /// What goes and what comes.
    pub fn records(&self) -> (Records, Records) {
        let (mut removed, mut added) = (Records::default(), Records::default());
        for ((owner, rtype, rdata), ttl) in &self.last {
            let into = if ttl.is_some() { &mut added } else { &mut removed };
            into.push(owner, *rtype, ttl.unwrap_or(0), [rdata, b""]);
        }
        (removed, added)
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.last.is_empty()
    }

    /// Number of records that it speaks of.
    pub fn len(&self) -> usize {
        self.last.len()
    }
}

/// The SOA of a zone as it stands: TTL, RDATA, numbers.
pub fn soa_of(zone: &Zone) -> Option<(u32, Vec<u8>, Soa)> {
    let soa = zone.rrset(zone.apex(), rtype::SOA)?;
    let rdata = soa.rdatas().next()?.into_owned();
    let numbers = Soa::parse(&rdata)?;
    Some((soa.ttl, rdata, numbers))
}

/// A zone's SOA with another serial, as the one record to add.
pub fn soa_with_serial(zone: &Zone, serial: u32) -> Option<Records> {
    let (ttl, mut rdata, _) = soa_of(zone)?;
    let at = rdata.len() - 20;
    rdata[at..at + 4].copy_from_slice(&serial.to_be_bytes());
    let mut records = Records::default();
    records.push(zone.apex().as_wire(), rtype::SOA, ttl, [&rdata, b""]);
    Some(records)
}

#[cfg(test)]
mod tests;
