//! Catalog zones (RFC 9432): a zone whose records list zones.

use crate::wire::{Name, rtype};
use crate::zone::Zone;
use crate::zone::rdata;
use crate::zone::store::Builder;
use siphasher::sip128::{Hasher128, SipHasher24};
use std::collections::BTreeSet;
use std::hash::Hasher;

/// TTL of everything in a catalog: nobody asks for it (section 4.1).
const TTL: u32 = 0;
/// SOA numbers of a catalog made here: looked at hourly, though NOTIFY says more; kept for two weeks.
const NUMBERS: [u32; 5] = [1, 3600, 600, 1_209_600, 0];

/// A catalog of these zones, in any order; its serial is for others to say.
pub fn produce<'n>(apex: &Name, zones: impl Iterator<Item = &'n Name>) -> Zone {
    let mut builder = Builder::new(apex);
    let invalid = b"\x07invalid\0";
    let numbers: Vec<u8> = NUMBERS.iter().flat_map(|n| n.to_be_bytes()).collect();
    builder.add(apex, rtype::SOA, TTL, &[&invalid[..], invalid, &numbers].concat());
    // Section 4.1: an NS record that leads nowhere.
    builder.add(apex, rtype::NS, TTL, invalid);
    let child = |name: &Name, label: &[u8]| name.child(label).ok();
    if let Some(version) = child(apex, b"version") {
        builder.add(&version, rtype::TXT, TTL, b"\x012");
    }
    let Some(list) = child(apex, b"zones") else { return builder.finish() };
    for zone in zones.filter(|zone| *zone != apex) {
        // The same for as long as the zone is listed (section 4.3): made of its name.
        let mut hasher = SipHasher24::new();
        hasher.write(zone.as_wire());
        let id = format!("{:032x}", hasher.finish128().as_u128());
        if let Some(member) = child(&list, id.as_bytes()) {
            builder.add(&member, rtype::PTR, TTL, zone.as_wire());
        }
    }
    builder.finish()
}

/// The zones that a catalog lists.
///
/// # Errors
/// A text for people: the catalog is broken, and what it lists must not be followed (section 5.1).
pub fn members(catalog: &Zone) -> Result<BTreeSet<Name>, String> {
    let apex = catalog.apex();
    let version = apex.child(b"version").ok().and_then(|name| catalog.rrset(&name, rtype::TXT));
    let said: Vec<String> = version.iter().flat_map(|v| v.rdatas()).map(|d| rdata::print(rtype::TXT, &d)).collect();
    if said != ["\"2\""] {
        return Err(format!("its version is {}, and this server knows \"2\"", said.join(" ")));
    }
    let list = apex.child(b"zones").map_err(|e| e.to_string())?;
    let mut found = BTreeSet::new();
    for node in catalog.nodes() {
        let name = node.name();
        if name.parent().as_ref() != Some(&list) {
            continue;
        }
        let Some(rrset) = node.rrset(rtype::PTR) else { continue };
        let mut members = rrset.rdatas();
        let member = members.next().and_then(|wire| Name::from_wire(&wire.to_ascii_lowercase()).ok());
        match (member, members.next()) {
            // Section 4.3.1: two records at one member, or one zone twice, break the catalog.
            (Some(member), None) if member != *apex => {
                if !found.insert(member.clone()) {
                    return Err(format!("{member} is in it twice"));
                }
            }
            _ => return Err(format!("{name} does not list one zone")),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_produced_is_consumed() {
        let zones: Vec<Name> = (0..1000).map(|i| name(&format!("z{i}.example."))).collect();
        let made = produce(&name("catalog.invalid."), zones.iter());
        assert_eq!(members(&made).unwrap(), zones.iter().cloned().collect());
        assert_eq!((made.n_records(), members(&produce(&name("c."), [].iter())).unwrap().len()), (1003, 0));
    }

    /// RFC 9432 sections 4.2, 4.3.1 and 5.1.
    #[test]
    fn broken_catalogs_are_not_followed() {
        let check = |records: &[(&str, u16, &[u8])], expected: &str| {
            let mut builder = Builder::new(&name("c."));
            records.iter().for_each(|(at, rtype, rdata)| _ = builder.add(&name(at), *rtype, 0, rdata));
            assert!(members(&builder.finish()).unwrap_err().contains(expected), "{expected}");
        };
        let version: (&str, u16, &[u8]) = ("version.c.", 16, b"\x012");
        check(&[], "its version is");
        check(&[("version.c.", 16, b"\x011")], "\"1\"");
        check(&[version, ("a.zones.c.", 12, b"\x01x\0"), ("a.zones.c.", 12, b"\x01y\0")], "does not list one zone");
        check(&[version, ("a.zones.c.", 12, b"\x01x\0"), ("b.zones.c.", 12, b"\x01X\0")], "x. is in it twice");
        check(&[version, ("a.zones.c.", 12, b"\x01c\0")], "does not list one zone");
    }
}
