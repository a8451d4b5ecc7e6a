//! Who may ask what: lists of prefixes.

use crate::wire::Name;
use crate::zone::Zone;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr};

//----------- Prefixes -------------------------------------------------------

/// A set of addresses, written as prefixes. A lookup is a binary search.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prefixes {
    /// First and last address of each run, IPv4 as mapped into IPv6; sorted, apart from each other.
    runs: Vec<(u128, u128)>,
}

impl Prefixes {
    /// The addresses of these prefixes. Bits beyond a prefix's length are of no account.
    pub fn new(nets: impl IntoIterator<Item = IpNet>) -> Prefixes {
        let run = |net: IpNet| (bits(net.network()), bits(net.broadcast()));
        let mut runs: Vec<(u128, u128)> = nets.into_iter().map(run).collect();
        runs.sort_unstable();
        runs.dedup_by(|next, before| {
            let joins = before.1.checked_add(1).is_none_or(|after| next.0 <= after);
            before.1 = if joins { before.1.max(next.1) } else { before.1 };
            joins
        });
        Prefixes { runs }
    }

    /// Reads prefixes, or single addresses.
    ///
    /// # Errors
    /// A text for people, about the first that is neither.
    pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Prefixes, String> {
        let net = |text: &S| {
            let text = text.as_ref();
            let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            net.map_err(|_| {
                format!("{text:?} is no prefix; \"192.0.2.0/24\", \"2001:db8::/32\" or an address would do")
            })
        };
        Ok(Prefixes::new(texts.iter().map(net).collect::<Result<Vec<IpNet>, String>>()?))
    }

    /// The addresses of this machine itself.
    pub fn loopback() -> Prefixes {
        Prefixes { runs: vec![(1, 1), (bits(Ipv4Addr::new(127, 0, 0, 0).into()), bits([127, 255, 255, 255].into()))] }
    }

    /// Whether an address is in the set. IPv4-mapped addresses are taken as IPv4.
    #[inline]
    pub fn contains(&self, addr: IpAddr) -> bool {
        let addr = bits(addr);
        let after = self.runs.partition_point(|(first, _)| *first <= addr);
        after > 0 && addr <= self.runs[after - 1].1
    }

    /// Whether nobody is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

#[inline]
fn bits(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

//----------- List -----------------------------------------------------------

/// The lists by which a client may be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `[access] allow-query`.
    General,
    /// That of a zone, `[access.zones]`.
    Zone,
    /// That of the debug zone, `[debug] allow-query`.
    Debug,
}

impl List {
    /// All of them, in the order of the books.
    pub const ALL: [List; 3] = [List::General, List::Zone, List::Debug];

    /// The label that metrics use: the section of `floodway.toml`.
    pub fn label(self) -> &'static str {
        match self {
            List::General => "access",
            List::Zone => "access.zones",
            List::Debug => "debug",
        }
    }
}

//----------- Access ---------------------------------------------------------

/// Who may ask for what is in the zones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// For zones without a list of their own; `None`: everybody.
    everywhere: Option<Prefixes>,
    /// Zones with a list of their own, by the hash of the apex.
    zones: Vec<(u64, Name, Prefixes)>,
}

impl Access {
    /// `everywhere` holds for all zones but those that have a list of their own.
    pub fn new(everywhere: Option<Prefixes>, zones: impl IntoIterator<Item = (Name, Prefixes)>) -> Access {
        let mut zones: Vec<_> = zones.into_iter().map(|(apex, list)| (apex.suffix_hash(), apex, list)).collect();
        zones.sort_by_key(|(hash, ..)| *hash);
        Access { everywhere, zones }
    }

    /// Whether an address may ask for what is in a zone. Where nothing is configured, that is two loads.
    #[inline]
    pub fn admits(&self, addr: IpAddr, zone: &Zone) -> bool {
        if self.zones.is_empty() { self.admits_in_general(addr) } else { self.admits_to(addr, zone) }
    }

    /// Whether an address may ask where no zone's list decides.
    #[inline]
    pub fn admits_in_general(&self, addr: IpAddr) -> bool {
        self.everywhere.as_ref().is_none_or(|list| list.contains(addr))
    }

    fn admits_to(&self, addr: IpAddr, zone: &Zone) -> bool {
        self.own(zone).map_or_else(|| self.admits_in_general(addr), |list| list.contains(addr))
    }

    /// Which list decides who may ask for what is in a zone.
    pub fn list_of(&self, zone: &Zone) -> List {
        self.own(zone).map_or(List::General, |_| List::Zone)
    }

    /// The zone's own list.
    fn own(&self, zone: &Zone) -> Option<&Prefixes> {
        let first = self.zones.partition_point(|(hash, ..)| *hash < zone.apex_hash());
        let mut same = self.zones[first..].iter().take_while(|(hash, ..)| *hash == zone.apex_hash());
        same.find(|(_, apex, _)| apex == zone.apex()).map(|(.., list)| list)
    }

    /// What one address may ask, as lists that hold for every address.
    pub fn as_seen_by(&self, addr: IpAddr) -> Access {
        let all_or_none = |list: &Prefixes| match list.contains(addr) {
            true => Prefixes { runs: vec![(0, u128::MAX)] },
            false => Prefixes::default(),
        };
        let zones = self.zones.iter().map(|(hash, apex, list)| (*hash, apex.clone(), all_or_none(list))).collect();
        Access { everywhere: self.everywhere.as_ref().map(all_or_none), zones }
    }

    /// The zones that have a list of their own.
    pub fn zones(&self) -> impl Iterator<Item = &Name> {
        self.zones.iter().map(|(_, apex, _)| apex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(texts: &[&str]) -> Prefixes {
        Prefixes::parse(texts).unwrap()
    }

    fn check(texts: &[&str], inside: &[&str], outside: &[&str]) {
        let list = list(texts);
        inside.iter().for_each(|a| assert!(list.contains(a.parse().unwrap()), "{a} is in {texts:?}"));
        outside.iter().for_each(|a| assert!(!list.contains(a.parse().unwrap()), "{a} is not in {texts:?}"));
    }

    #[test]
    fn prefixes_hold_addresses() {
        check(&[], &[], &["0.0.0.0", "::", "192.0.2.1"]);
        check(&["192.0.2.0/24"], &["192.0.2.0", "192.0.2.255", "::ffff:192.0.2.7"], &["192.0.1.255", "192.0.3.0"]);
        check(&["192.0.2.9/24"], &["192.0.2.0"], &["192.0.3.0"]);
        check(&["192.0.2.9"], &["192.0.2.9"], &["192.0.2.8", "192.0.2.10"]);
        check(&["0.0.0.0/0"], &["0.0.0.0", "255.255.255.255"], &["::", "::1", "2001:db8::1"]);
        check(&["::/0"], &["0.0.0.0", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &[]);
        check(&["2001:db8::/32", "2001:db8:1::/48"], &["2001:db8:1::1", "2001:db8:2::1"], &["2001:db9::"]);
        assert_eq!(Prefixes::loopback(), list(&["127.0.0.0/8", "::1"]));
        let said = Prefixes::parse(&["192.0.2.0/33"]).unwrap_err();
        assert!(said.starts_with("\"192.0.2.0/33\" is no prefix"), "{said}");
    }

    /// A zone's list stands in place of the general one; a zone without has that.
    #[test]
    fn zones_have_lists_of_their_own() {
        let zone = |apex: &str| crate::zone::Builder::new(&apex.parse().unwrap()).finish();
        let own = [("b.test".parse().unwrap(), list(&["198.51.100.0/24"])), ("c.test".parse().unwrap(), list(&[]))];
        let access = Access::new(Some(list(&["192.0.2.0/24"])), own);
        let admits = |apex, addr: &str| access.admits(addr.parse().unwrap(), &zone(apex));
        assert!(admits("a.test", "192.0.2.1") && !admits("a.test", "198.51.100.1"));
        assert!(!admits("b.test", "192.0.2.1") && admits("b.test", "198.51.100.1"));
        assert!(!admits("c.test", "192.0.2.1") && !admits("c.test", "198.51.100.1"));
        assert!(Access::default().admits("192.0.2.1".parse().unwrap(), &zone("a.test")));
    }

    proptest! {
        /// The set holds what one of its prefixes holds.
        #[test]
        fn a_set_is_the_union(nets in prop::collection::vec((any::<u32>(), 0u8..=32), 0..8), addr: u32, near: usize) {
            let nets: Vec<IpNet> = nets.iter().map(|(a, len)| IpNet::new(Ipv4Addr::from(*a).into(), *len).unwrap()).collect();
            let set = Prefixes::new(nets.clone());
            let edge = nets.get(near % nets.len().max(1)).map_or(IpAddr::V4(addr.into()), |net| net.broadcast());
            for addr in [IpAddr::V4(addr.into()), edge] {
                prop_assert_eq!(set.contains(addr), nets.iter().any(|net| net.contains(&addr)));
            }
        }
    }
}
