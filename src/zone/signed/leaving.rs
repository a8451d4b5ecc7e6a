//! A zone as it leaves in a transfer: its own records, and what makes it a signed one.
//!
//! What policies may answer stays here: a server without them gets what the file has.

use crate::wire::records::Records;
use crate::wire::rtype;
use crate::zone::diff::{Difference, Held, put_changes, soa_of};
use crate::zone::rdata::{put_base32, unbase32};
use crate::zone::signed::{HASH_LEN, Item, Signed};
use crate::zone::store::Zone;
use std::borrow::Cow;

/// Octets of a SOA's RDATA behind its names, the serial first.
const SOA_NUMBERS: usize = 20;
/// Length of a hash as a label.
const HASH_LABEL: u8 = 32;

//----------- Version --------------------------------------------------------

/// One version of a zone.
#[derive(Clone, Copy)]
pub struct Version<'v> {
    /// The zone.
    pub zone: &'v Zone,
    /// What is made here of a signed one; `None`: nothing, or its own records have it.
    pub signed: Option<&'v Signed>,
}

impl<'v> Version<'v> {
    /// What signing adds to a name, as it leaves.
    fn items(self, relative: &[u8]) -> impl Iterator<Item = Item<'v>> {
        let entry = self.signed.and_then(|signed| signed.entry(self.zone.node_at_name(relative)?));
        entry.into_iter().flat_map(|entry| entry.leaving())
    }

    /// The NSEC3 whose owner is this name.
    fn hashed(self, relative: &[u8]) -> Option<Item<'v>> {
        let signed = self.signed?;
        let hash = unbase32(relative.strip_prefix(&[HASH_LABEL])?)?;
        let number = signed.chain().before_hash(&hash)?;
        let (found, _) = signed.chain().hashed(number)?;
        (*found == hash).then(|| signed.leaving_hash(number)).flatten()
    }

    /// All records of an owner but the SOA and its signatures.
    fn held(self, relative: &[u8]) -> Held {
        let mut held = Held::new();
        let node = self.zone.node_at_name(relative);
        for (node, rrset) in node.into_iter().flat_map(|node| node.rrsets().map(move |rrset| (node, rrset))) {
            for rdata in rrset.rdatas().filter(|rdata| !is_of_soa(rrset.rtype, rdata)) {
                let ttl = node.ttl_of(&rrset, &rdata);
                held.insert((rrset.rtype, rdata.into_owned()), ttl);
            }
        }
        for item in self.items(relative).chain(self.hashed(relative)) {
            let records = item.rdatas().map(|rdata| (item.rtype, rdata));
            let all = records.chain(item.rrsigs().map(|rdata| (rtype::RRSIG, rdata)));
            for (rtype, rdata) in all.filter(|(rtype, rdata)| !is_of_soa(*rtype, rdata)) {
                held.insert((rtype, rdata.to_vec()), item.ttl());
            }
        }
        held
    }

    /// Whether an owner has the same octets in both, which is the quick way to see that nothing changed.
    fn is_alike(self, other: Version<'v>, relative: &[u8]) -> bool {
        let records = |version: Version<'v>| {
            let rrsets = version.zone.node_at_name(relative).into_iter().flat_map(|node| node.rrsets());
            rrsets.filter(|rrset| rrset.rtype != rtype::SOA).map(|rrset| (rrset.rtype, rrset.records()))
        };
        let made = |version: Version<'v>| {
            let items = version.items(relative).chain(version.hashed(relative));
            let items = items.filter(|item| item.rtype != rtype::SOA);
            items.map(|item| (item.rtype, item.records, item.signatures))
        };
        records(self).eq(records(other)) && made(self).eq(made(other))
    }

    /// Every owner, in no particular order, relative to the apex.
    fn owners(self) -> impl Iterator<Item = Cow<'v, [u8]>> {
        let label = |hash: &[u8; HASH_LEN]| {
            let mut label = [HASH_LABEL; 1 + HASH_LABEL as usize];
            put_base32(hash, &mut label[1..]);
            Cow::Owned(label.to_vec())
        };
        let hashes = self.signed.into_iter().flat_map(|signed| (0..).map_while(|number| signed.chain().hashed(number)));
        self.zone
            .nodes()
            .map(|node| Cow::Borrowed(node.relative_name()))
            .chain(hashes.map(move |(hash, _)| label(hash)))
    }

    /// The SOA and its signatures.
    fn soa(self) -> Option<Records> {
        let (mut records, apex) = (Records::default(), self.zone.apex());
        let soa = self.zone.rrset(apex, rtype::SOA)?;
        let item = self.items(&[]).find(|item| item.rtype == rtype::SOA);
        records.push(apex.as_wire(), rtype::SOA, soa.ttl, [&soa.rdatas().next()?, b""]);
        let own = self.zone.rrset(apex, rtype::RRSIG);
        let own = own.iter().flat_map(|rrset| rrset.rdatas()).filter(|rdata| is_of_soa(rtype::RRSIG, rdata));
        own.for_each(|rdata| records.push(apex.as_wire(), rtype::RRSIG, soa.ttl, [&rdata, b""]));
        for rdata in item.iter().flat_map(Item::rrsigs) {
            records.push(apex.as_wire(), rtype::RRSIG, soa.ttl, [rdata, b""]);
        }
        Some(records)
    }

    /// The same, whatever the order of the signatures.
    fn of_soa(self) -> Option<Vec<(u16, u32, Vec<u8>)>> {
        let soa = self.soa()?;
        let mut records: Vec<_> = soa.iter().map(|record| (record.rtype, record.ttl, record.rdata.to_vec())).collect();
        records.sort();
        Some(records)
    }

    /// All records, owner by owner, in no particular order but that the SOA comes first.
    pub fn records(self) -> impl Iterator<Item = Records> {
        let apex = self.zone.apex().as_wire();
        let of_owner = move |relative: Cow<'v, [u8]>| {
            let (mut records, owner) = (Records::default(), [&relative, apex].concat());
            for ((rtype, rdata), ttl) in self.held(&relative) {
                records.push(&owner, rtype, ttl, [&rdata, b""]);
            }
            records
        };
        self.soa().into_iter().chain(self.owners().map(of_owner))
    }
}

/// Whether a record is a SOA, or signs it.
fn is_of_soa(rtype: u16, rdata: &[u8]) -> bool {
    rtype == rtype::SOA || rtype == rtype::RRSIG && rdata.starts_with(&rtype::SOA.to_be_bytes())
}

//----------- Changes --------------------------------------------------------

/// What goes and what comes from one version to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// All but the SOA and its signatures.
    removed: Records,
    added: Records,
    /// Whether the SOA differs in more than the serial; under one serial, also whether its signatures do.
    of_soa: bool,
}

impl Changes {
    /// What leads from `old` to `new`, whose apexes are one. Two walks, and a probe for each name.
    pub fn between<'v>(old: Version<'v>, new: Version<'v>) -> Changes {
        let (apex, mut changes) = (new.zone.apex().as_wire(), Changes::default());
        for relative in new.owners().filter(|relative| !new.is_alike(old, relative)) {
            changes.compare(&[&relative, apex].concat(), &old.held(&relative), &new.held(&relative));
        }
        let is_gone = |name: &Cow<'v, [u8]>| new.zone.node_at_name(name).is_none() && new.hashed(name).is_none();
        for relative in old.owners().filter(is_gone) {
            changes.compare(&[&relative, apex].concat(), &old.held(&relative), &Held::new());
        }
        changes.of_soa = match old.zone.serial() == new.zone.serial() {
            true => old.of_soa() != new.of_soa(),
            false => {
                let numbers = |version: Version<'_>| {
                    let (ttl, mut rdata, _) = soa_of(version.zone)?;
                    let at = rdata.len() - SOA_NUMBERS;
                    rdata[at..at + 4].fill(0);
                    Some((ttl, rdata))
                };
                numbers(old) != numbers(new)
            }
        };
        changes
    }

    fn compare(&mut self, owner: &[u8], old: &Held, new: &Held) {
        put_changes(owner, old, new, (&mut self.removed, &mut self.added));
    }

    /// Whether nothing goes and nothing comes.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && !self.of_soa
    }

    /// As a difference, with the SOAs of both versions and their signatures; `None` if one of them has no SOA.
    pub fn into_difference(self, old: Version<'_>, new: Version<'_>) -> Option<Difference> {
        let with_soa = |version: Version<'_>, rest: &Records| {
            let mut records = version.soa()?;
            rest.iter().for_each(|record| records.put(&record));
            Some(records)
        };
        let (removed, added) = (with_soa(old, &self.removed)?, with_soa(new, &self.added)?);
        Some(Difference { from: old.zone.serial(), to: new.zone.serial(), removed, added })
    }
}
