//! What the zones say at a name: the ground on which members and steered names stand.

use crate::wire::{Name, rtype};
use crate::zone::rdata::hinted_target;
use crate::zone::{Zone, ZoneSet};

//----------- Ground ---------------------------------------------------------

/// The zones that names can lie in.
pub struct Land<'z> {
    /// Those that are loaded.
    pub zones: &'z ZoneSet,
    /// The names of those that could not be.
    pub missing: &'z [Name],
}

/// Where a name stands among the zones.
pub enum Ground<'z> {
    /// In none of them.
    Outside,
    /// In one that could not be loaded, or that may be so.
    Unknown,
    /// In a zone, but at or below a name where it hands over to others.
    Handed {
        /// The name of the NS or DNAME record.
        at: Name,
        /// `delegation` or `DNAME`.
        by: &'static str,
    },
    /// In this zone, which speaks for it.
    Within(Spoken<'z>),
}

/// A name with the zone that speaks for it.
pub struct Spoken<'z> {
    zone: &'z Zone,
    name: Name,
}

impl<'z> Ground<'z> {
    /// Finds the ground of a name.
    pub fn of(name: &Name, land: &Land<'z>) -> Ground<'z> {
        let Some(zone) = land.zones.zone_of(name) else {
            // A missing zone may turn out to have another name than its file.
            return if land.missing.is_empty() { Ground::Outside } else { Ground::Unknown };
        };
        if land.missing.iter().any(|apex| name.is_within(apex) && apex.is_within(zone.apex())) {
            return Ground::Unknown;
        }
        let mut above = name.clone();
        while above != *zone.apex() {
            if zone.rrset(&above, rtype::NS).is_some() {
                return Ground::Handed { at: above, by: "delegation" };
            }
            let Some(parent) = above.parent() else { break };
            above = parent;
            if zone.rrset(&above, rtype::DNAME).is_some() {
                return Ground::Handed { at: above, by: "DNAME" };
            }
        }
        Ground::Within(Spoken { zone, name: name.clone() })
    }
}

impl Spoken<'_> {
    /// The name of the zone.
    pub fn apex(&self) -> &Name {
        self.zone.apex()
    }

    /// Whether the zone holds records of a type at the name itself.
    pub fn has(&self, rtype: u16) -> bool {
        self.zone.rrset(&self.name, rtype).is_some()
    }

    /// Where the CNAME at the name itself leads to.
    pub fn cname(&self) -> Option<Name> {
        let mut target = self.zone.rrset(&self.name, rtype::CNAME)?.rdatas().next()?.into_owned();
        target.make_ascii_lowercase();
        Name::from_wire(&target).ok()
    }

    /// Whether the name itself exists, be it for names below it alone.
    pub fn exists(&self) -> bool {
        self.zone.node_of(&self.name).is_some()
    }

    /// The type of the records here that hand out addresses of this very name by themselves, as hints.
    pub fn hinted(&self) -> Option<&'static str> {
        let hints = |rdata: &[u8]| {
            let target = hinted_target(rdata);
            target.is_some_and(|t| t == [0] || t.eq_ignore_ascii_case(self.name.as_wire()))
        };
        let types = [(rtype::HTTPS, "HTTPS"), (rtype::SVCB, "SVCB")];
        let has = |code| self.zone.rrset(&self.name, code).is_some_and(|set| set.rdatas().any(|rdata| hints(&rdata)));
        types.into_iter().find(|(code, _)| has(*code)).map(|(_, word)| word)
    }

    /// Whether the zone holds anything at all for the name, by itself or by a wildcard above it.
    pub fn has_anything(&self) -> bool {
        let mut above = Some(self.name.clone());
        let mut at = self.name.clone();
        loop {
            if self.zone.node_of(&at).is_some() {
                return true;
            }
            above = above.and_then(|name| name.parent()).filter(|name| name.is_within(self.apex()));
            match above.as_ref().map(|name| name.child(b"*")) {
                Some(Ok(wildcard)) => at = wildcard,
                _ => return false,
            }
        }
    }

    /// Names of the zone with addresses and as many labels as this one, to find what was meant; none in a
    /// zone too large to search for a mere suggestion.
    pub fn others_with_addresses(&self) -> Vec<Name> {
        if self.zone.n_names() > 100_000 {
            return Vec::new();
        }
        let nodes = self.zone.nodes().filter(|node| !node.is_occluded());
        let with_addresses = nodes.filter(|node| node.rrset(rtype::A).is_some() || node.rrset(rtype::AAAA).is_some());
        with_addresses.map(|node| node.name()).filter(|name| name.n_labels() == self.name.n_labels()).collect()
    }

    /// What keeps a CNAME from standing here, in words; `None` if nothing does.
    pub fn forbids_cname(&self) -> Option<String> {
        if self.name == *self.apex() {
            return Some("the apex of a zone holds SOA and NS".to_string());
        }
        // What a CNAME may stand beside is for DNSSEC alone (RFC 4034 sections 3 and 4); addresses are the
        // policy's to answer with.
        const BESIDE: [u16; 5] = [rtype::A, rtype::AAAA, rtype::CNAME, 46, 47];
        let node = self.zone.node_of(&self.name)?;
        let types: Vec<u16> = node.rrsets().map(|rrset| rrset.rtype).filter(|t| !BESIDE.contains(t)).collect();
        let words: Vec<String> = types.into_iter().map(type_word).collect();
        (!words.is_empty()).then(|| format!("the zone has {} there", words.join(", ")))
    }
}

/// The zones served, for a help text.
pub fn served(land: &Land<'_>) -> String {
    let mut names: Vec<String> = land.zones.iter().map(|z| z.apex().to_string()).collect();
    names.sort();
    match names.len() {
        0 => "no zone is loaded".to_string(),
        1..=4 => format!("zones served: {}", names.join(" ")),
        n => format!("zones served: {} and {} more", names[..3].join(" "), n - 3),
    }
}

fn type_word(code: u16) -> String {
    match code {
        rtype::MX => "MX".to_string(),
        rtype::TXT => "TXT".to_string(),
        rtype::SRV => "SRV".to_string(),
        rtype::SVCB => "SVCB".to_string(),
        rtype::HTTPS => "HTTPS".to_string(),
        257 => "CAA".to_string(),
        other => format!("TYPE{other}"),
    }
}
