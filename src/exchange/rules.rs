//! Who may have a whole zone, say that it has changed, or change it: by address, by key, or by both.

use crate::exchange::access::Prefixes;
use crate::wire::Name;
use crate::wire::tsig::Key;
use std::net::IpAddr;

//----------- Grant ----------------------------------------------------------

/// One way to be allowed: both parts must hold where both are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// From these addresses; `None`: from any.
    pub from: Option<Prefixes>,
    /// Signed with this key; `None`: with any of ours, or not at all.
    pub key: Option<Name>,
}

impl Grant {
    /// Whether it holds for a message from `addr`, signed with `key`.
    pub fn allows(&self, addr: IpAddr, key: Option<&Key>) -> bool {
        self.from.as_ref().is_none_or(|list| list.contains(addr))
            && self.key.as_ref().is_none_or(|name| key.is_some_and(|key| key.name == *name))
    }
}

/// Whether one of several grants holds.
pub fn any(grants: &[Grant], addr: IpAddr, key: Option<&Key>) -> bool {
    grants.iter().any(|grant| grant.allows(addr, key))
}

//----------- Update ---------------------------------------------------------

/// What one key may change in a zone (RFC 2136). An update that is not signed is never taken: addresses of datagrams can
/// be forged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateGrant {
    /// The key.
    pub key: Name,
    /// From these addresses; `None`: from any.
    pub from: Option<Prefixes>,
    /// At these names.
    pub names: Vec<Owners>,
    /// Of these types; `None`: of all that an update may touch.
    pub types: Option<Vec<u16>>,
}

/// Names that an update may touch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owners {
    /// This one.
    Exactly(Name),
    /// This one and all below.
    Within(Name),
    /// Those whose first label is this, anywhere in the zone: `_acme-challenge`.
    Label(Box<[u8]>),
}

impl Owners {
    fn hold(&self, name: &Name) -> bool {
        match self {
            Owners::Exactly(one) => name == one,
            Owners::Within(apex) => name.is_within(apex),
            Owners::Label(label) => name.labels().next() == Some(label),
        }
    }
}

impl UpdateGrant {
    /// Whether it is for this sender.
    pub fn is_for(&self, addr: IpAddr, key: &Key) -> bool {
        self.key == key.name && self.from.as_ref().is_none_or(|list| list.contains(addr))
    }

    /// Whether it covers records of a type at a name. `None`, the deletion of all of them (RFC 2136 section 2.5.3), needs
    /// a grant for all types.
    pub fn covers(&self, name: &Name, rtype: Option<u16>) -> bool {
        let types = self.types.as_ref();
        self.names.iter().any(|owners| owners.hold(name))
            && types.is_none_or(|types| rtype.is_some_and(|rtype| types.contains(&rtype)))
    }
}

//----------- Outbound -------------------------------------------------------

/// How many transfers may be on their way out at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// In all.
    pub all: usize,
    /// To one client.
    pub per_client: usize,
}

impl Default for Outbound {
    fn default() -> Outbound {
        Outbound { all: 64, per_client: 16 }
    }
}

//----------- Rules ----------------------------------------------------------

/// What holds for one zone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneRules {
    /// Who may have it whole, or what has changed in it.
    pub transfer: Vec<Grant>,
    /// Whether transfers leave over TLS alone (RFC 9103).
    pub only_over_tls: bool,
    /// Whose word counts that it has changed elsewhere.
    pub notify: Vec<Grant>,
    /// Who may change it.
    pub update: Vec<UpdateGrant>,
}

/// The rules of all zones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// For zones without rules of their own.
    everywhere: ZoneRules,
    /// Sorted by the octets of the apex.
    zones: Vec<(Name, ZoneRules)>,
}

impl Rules {
    /// `everywhere` holds for zones that are not among `zones`.
    pub fn new(everywhere: ZoneRules, zones: impl IntoIterator<Item = (Name, ZoneRules)>) -> Rules {
        let mut zones: Vec<_> = zones.into_iter().collect();
        zones.sort_by(|a, b| a.0.as_wire().cmp(b.0.as_wire()));
        Rules { everywhere, zones }
    }

    /// Those of a zone.
    pub fn of(&self, apex: &Name) -> &ZoneRules {
        let found = self.zones.binary_search_by(|(name, _)| name.as_wire().cmp(apex.as_wire()));
        found.map_or(&self.everywhere, |at| &self.zones[at].1)
    }

    /// The zones that have rules of their own.
    pub fn zones(&self) -> impl Iterator<Item = &Name> {
        self.zones.iter().map(|(apex, _)| apex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tsig::Algorithm;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn key(text: &str) -> Key {
        Key::new(name(text), Algorithm::Sha256, b"secret")
    }

    #[test]
    fn both_parts_of_a_grant_must_hold() {
        let check = |from: Option<&str>, key_name: Option<&str>, expected: [bool; 4]| {
            let from = from.map(|text| Prefixes::parse(&[text]).unwrap());
            let grant = Grant { from, key: key_name.map(name) };
            let [near, far] = ["192.0.2.1", "198.51.100.1"].map(|a| a.parse().unwrap());
            let (right, wrong) = (key("right"), key("wrong"));
            let found = [(near, Some(&right)), (near, Some(&wrong)), (near, None), (far, Some(&right))];
            assert_eq!(found.map(|(addr, key)| grant.allows(addr, key)), expected);
        };
        check(Some("192.0.2.0/24"), None, [true, true, true, false]);
        check(None, Some("right"), [true, false, false, true]);
        check(Some("192.0.2.0/24"), Some("right"), [true, false, false, false]);
        assert!(!any(&[], "192.0.2.1".parse().unwrap(), None));
    }

    #[test]
    fn updates_are_granted_by_name_and_type() {
        let check = |owners: Owners, types: Option<Vec<u16>>, at: &str, rtype, expected| {
            let grant = UpdateGrant { key: name("acme"), from: None, names: vec![owners], types };
            assert_eq!(grant.covers(&name(at), rtype), expected, "{at} {rtype:?}");
        };
        let label = || Owners::Label(b"_acme-challenge"[..].into());
        check(label(), Some(vec![16]), "_acme-challenge.www.example", Some(16), true);
        check(label(), Some(vec![16]), "_acme-challenge.www.example", Some(1), false);
        check(label(), Some(vec![16]), "_acme-challenge.www.example", None, false);
        check(label(), None, "_acme-challenge.www.example", None, true);
        check(label(), Some(vec![16]), "www.example", Some(16), false);
        check(Owners::Within(name("dyn.example")), None, "a.dyn.example", Some(1), true);
        check(Owners::Within(name("dyn.example")), None, "adyn.example", Some(1), false);
        check(Owners::Exactly(name("dyn.example")), None, "a.dyn.example", Some(1), false);
    }

    #[test]
    fn zones_without_rules_have_the_general_ones() {
        let open = ZoneRules { transfer: vec![Grant::default()], ..ZoneRules::default() };
        let rules = Rules::new(open, [(name("b.test"), ZoneRules::default())]);
        assert_eq!((rules.of(&name("a.test")).transfer.len(), rules.of(&name("b.test")).transfer.len()), (1, 0));
    }
}
