//! The keys of a zone at a moment: which of them are seen, and which sign what.

use crate::dnssec::{Algorithm, Key, State};
use crate::wire::{Name, rtype};
use std::fmt::Write;

/// Who signs in a zone.
#[derive(Debug, Default)]
pub struct Ring<'k> {
    /// The DNSKEY RRset.
    pub published: Vec<&'k Key>,
    /// Who signs DNSKEY, CDS and CDNSKEY.
    pub of_keys: Vec<&'k Key>,
    /// Who signs everything else.
    pub of_zone: Vec<&'k Key>,
    /// Whom CDS and CDNSKEY name.
    pub synced: Vec<&'k Key>,
    /// The next moment at which any of this changes.
    pub next_change: Option<u32>,
}

impl<'k> Ring<'k> {
    /// The keys of one zone as they stand at `now`.
    ///
    /// For every algorithm, keys with flags 257 sign keys and those with 256 the rest; where one kind has none that is active,
    /// the other does both, so that one key alone is a CSK.
    ///
    /// # Errors
    /// A text for people, if nobody signs: what the keys do now.
    pub fn at(now: u32, zone: &Name, keys: impl Iterator<Item = &'k Key>) -> Result<Ring<'k>, String> {
        let keys: Vec<&Key> = keys.filter(|key| key.zone == *zone).collect();
        let mut ring =
            Ring { next_change: keys.iter().filter_map(|k| k.timing.next_change(now)).min(), ..Ring::default() };
        ring.published = keys.iter().copied().filter(|key| key.timing.state(now).is_published()).collect();
        ring.synced = keys.iter().copied().filter(|key| key.is_sep() && key.timing.is_synced(now)).collect();
        for algorithm in Algorithm::ALL {
            let active =
                keys.iter().copied().filter(|k| k.algorithm == algorithm && k.timing.state(now) == State::Active);
            let (sep, rest): (Vec<&Key>, Vec<&Key>) = active.partition(|key| key.is_sep());
            ring.of_keys.extend(if sep.is_empty() { &rest } else { &sep });
            ring.of_zone.extend(if rest.is_empty() { &sep } else { &rest });
        }
        if ring.of_zone.is_empty() {
            let mut text = format!("no key of {zone} is active");
            for key in keys {
                _ = write!(text, "; {} is {}", key.tag, key.timing.state(now).word());
            }
            return Err(text);
        }
        Ok(ring)
    }

    /// Who signs a type.
    pub fn signers(&self, rtype: u16) -> &[&'k Key] {
        match rtype {
            rtype::DNSKEY | rtype::CDS | rtype::CDNSKEY => &self.of_keys,
            _ => &self.of_zone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::Timing;

    fn key(flags: u16, algorithm: Algorithm, from: u32, to: u32) -> Key {
        let timing = Timing { publish: Some(from), activate: Some(from + 10), inactive: Some(to), ..Timing::default() };
        Key::generate("example".parse().unwrap(), flags, algorithm, timing).unwrap()
    }

    /// KSK and ZSK share the work; one kind alone does all of it; a key is seen before it signs.
    #[test]
    fn keys_share_the_work() {
        let zone: Name = "example".parse().unwrap();
        let keys = [
            key(257, Algorithm::EcdsaP256, 0, 1000),
            key(256, Algorithm::EcdsaP256, 0, 100),
            key(256, Algorithm::EcdsaP256, 50, 1000),
            key(257, Algorithm::Ed25519, 500, 600),
        ];
        let check = |now, published: usize, of_keys: &[usize], of_zone: &[usize]| {
            let ring = Ring::at(now, &zone, keys.iter()).unwrap();
            let tags = |which: &[usize]| which.iter().map(|i| keys[*i].tag).collect::<Vec<_>>();
            let found = |keys: &[&Key]| keys.iter().map(|key| key.tag).collect::<Vec<_>>();
            assert_eq!(ring.published.len(), published, "at {now}");
            assert_eq!((found(&ring.of_keys), found(&ring.of_zone)), (tags(of_keys), tags(of_zone)), "at {now}");
        };
        check(20, 2, &[0], &[1]);
        check(55, 3, &[0], &[1]);
        check(60, 3, &[0], &[1, 2]);
        check(100, 3, &[0], &[2]);
        check(505, 4, &[0], &[2]);
        check(510, 4, &[0, 3], &[2, 3]);
        assert!(Ring::at(5, &zone, keys.iter()).unwrap_err().contains("is published"));
        assert!(Ring::at(1000, &zone, keys.iter()).unwrap_err().contains("is retired"));
        assert_eq!(Ring::at(20, &zone, keys.iter()).unwrap().next_change, Some(50));
    }
}
