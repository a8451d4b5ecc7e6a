//! The order of a zone's names, or of their hashes: where an absent name would stand.

use crate::zone::store::{Zone, ancestors};
use hickory_proto::dnssec::DigestType;
use hickory_proto::dnssec::crypto::Digest;
use std::cmp::Ordering;

/// Octets of a hash (SHA-1, the only one there is: RFC 5155 section 11).
pub const HASH_LEN: usize = 20;

/// How absence is proven.
#[derive(Debug)]
pub enum Chain {
    /// NSEC: the places of the nodes that own one, in canonical order (RFC 4034 section 6.1). Beside each the head of its name
    /// in a form that sorts as a number, so that a search rarely looks at a name.
    Names {
        /// The heads.
        keys: Vec<u64>,
        /// The places.
        nodes: Vec<u32>,
    },
    /// NSEC3: the hashes in order, and the places of their items.
    Hashes {
        /// The hashes.
        hashes: Vec<[u8; HASH_LEN]>,
        /// The items.
        items: Vec<u32>,
        /// Further rounds of hashing; 0 where we sign (RFC 9276 section 3.1).
        iterations: u16,
        /// Salt; none where we sign.
        salt: Box<[u8]>,
    },
}

impl Chain {
    /// The chain of these names, which are in canonical order.
    pub fn of_names(zone: &Zone, nodes: Vec<u32>) -> Chain {
        let keys = nodes.iter().map(|place| sort_key(zone.node_in(*place).relative_name())).collect();
        Chain::Names { keys, nodes }
    }

    /// The place of the last node that is not behind `relative`.
    pub(super) fn before(&self, zone: &Zone, relative: &[u8]) -> Option<u32> {
        let Chain::Names { keys, nodes } = self else { return None };
        let key = sort_key(relative);
        let low = keys.partition_point(|k| *k < key);
        let alike = keys[low..].partition_point(|k| *k == key);
        let is_before = |place: &u32| canonical(zone.node_in(*place).relative_name(), relative) != Ordering::Greater;
        let end = low + nodes[low..low + alike].partition_point(is_before);
        nodes.get(end.checked_sub(1)?).copied()
    }

    /// The hash of a name in lower-case wire form (RFC 5155 section 5); `None` without NSEC3.
    pub fn hash(&self, name: &[&[u8]]) -> Option<[u8; HASH_LEN]> {
        let Chain::Hashes { iterations, salt, .. } = self else { return None };
        let parts = name.iter().copied().chain([&salt[..]]);
        let mut digest = Digest::from_iter(parts, DigestType::SHA1).ok()?;
        for _ in 0..*iterations {
            digest = Digest::from_iter([digest.as_ref(), salt], DigestType::SHA1).ok()?;
        }
        digest.as_ref().first_chunk().copied()
    }

    /// Which hash is the last that is not behind this one; the last of all before the first.
    pub fn before_hash(&self, hash: &[u8; HASH_LEN]) -> Option<usize> {
        let Chain::Hashes { hashes, .. } = self else { return None };
        let end = hashes.partition_point(|h| h <= hash);
        end.checked_sub(1).or_else(|| hashes.len().checked_sub(1))
    }

    /// A hash, and the place of its item.
    pub fn hashed(&self, number: usize) -> Option<(&[u8; HASH_LEN], u32)> {
        let Chain::Hashes { hashes, items, .. } = self else { return None };
        Some((hashes.get(number)?, *items.get(number)?))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Chain::Names { keys, nodes } => keys.capacity() * 8 + nodes.capacity() * 4,
            Chain::Hashes { hashes, items, .. } => hashes.capacity() * HASH_LEN + items.capacity() * 4,
        }
    }
}

/// Canonical order of two names relative to one apex: label by label from the right, as octets.
pub fn canonical(a: &[u8], b: &[u8]) -> Ordering {
    let (mut of_a, mut of_b) = ([0u8; 128], [0u8; 128]);
    let (mut n_a, mut n_b) = (starts(a, &mut of_a), starts(b, &mut of_b));
    loop {
        match (n_a, n_b) {
            (0, 0) => return Ordering::Equal,
            (0, _) => return Ordering::Less,
            (_, 0) => return Ordering::Greater,
            _ => (n_a, n_b) = (n_a - 1, n_b - 1),
        }
        match label(a, of_a[n_a]).cmp(label(b, of_b[n_b])) {
            Ordering::Equal => {}
            other => return other,
        }
    }
}

fn starts(name: &[u8], into: &mut [u8; 128]) -> usize {
    let mut n = 0;
    for (slot, rest) in into.iter_mut().zip(std::iter::once(name).chain(ancestors(name))) {
        if rest.is_empty() {
            break;
        }
        *slot = (name.len() - rest.len()) as u8;
        n += 1;
    }
    n
}

fn label(name: &[u8], at: u8) -> &[u8] {
    let at = usize::from(at);
    &name[at + 1..at + 1 + usize::from(name[at])]
}

/// The head of a name, its last label first, as a number that is less only if the name is. Labels end in 0; octets 0 and 1
/// are written as 1 and themselves plus one.
pub fn sort_key(relative: &[u8]) -> u64 {
    let mut at = [0u8; 128];
    let n = starts(relative, &mut at);
    let (mut key, mut room) = (0u64, 8);
    let mut push = |octet: u8| {
        if room > 0 {
            key = key << 8 | u64::from(octet);
            room -= 1;
        }
        room > 0
    };
    'all: for i in (0..n).rev() {
        for &octet in label(relative, at[i]) {
            let more = if octet < 2 { push(1) && push(octet + 1) } else { push(octet) };
            if !more {
                break 'all;
            }
        }
        if !push(0) {
            break;
        }
    }
    key << (8 * room).min(63) << u32::from(room == 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;
    use proptest::prelude::*;

    fn relative(name: &Name) -> &[u8] {
        name.as_wire().split_last().unwrap().1
    }

    proptest! {
        /// The order of names as [`Name`] has it, and numbers that never contradict it.
        #[test]
        fn order_is_canonical(a in labels(), b in labels()) {
            let order = a.cmp(&b);
            prop_assert_eq!(canonical(relative(&a), relative(&b)), order);
            let keys = sort_key(relative(&a)).cmp(&sort_key(relative(&b)));
            prop_assert!(keys == order || keys == Ordering::Equal);
        }
    }

    fn labels() -> impl Strategy<Value = Name> {
        let octet = prop_oneof![Just(0u8), Just(1), Just(2), Just(b'a'), Just(b'b'), Just(255)];
        let label = proptest::collection::vec(octet, 1..5);
        proptest::collection::vec(label, 0..5)
            .prop_map(|labels| labels.iter().fold(Name::root(), |name, label| name.child(label).unwrap()))
    }
}
