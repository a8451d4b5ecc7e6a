//! Which names of a zone own something signed, in the order of its chain.

use crate::wire::rtype;
use crate::zone::Zone;
use crate::zone::rdata::base32;
use crate::zone::signed::{Chain, HASH_LEN, canonical, sort_key};
use crate::zone::store::{Node, ancestors};
use std::collections::HashSet;

/// Whether a node has anything to sign, or an NSEC: a name of the zone's own, or a cut, with records or a policy.
pub(super) fn is_owner(node: Node<'_>) -> bool {
    !node.is_occluded() && (!node.is_empty() || node.group().is_some())
}

/// The places of the names that own RRsets, in canonical order; with `all`, also of those that have none and lie above them.
pub(super) fn owners(zone: &Zone, all: bool) -> Vec<u32> {
    let is_in = |node: &Node<'_>| if all { !node.is_occluded() } else { is_owner(*node) };
    let mut names: Vec<(u64, u32)> =
        zone.nodes().filter(is_in).map(|node| (sort_key(node.relative_name()), node.place())).collect();
    let name = |place: u32| zone.node_in(place).relative_name();
    names.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| canonical(name(a.1), name(b.1))));
    names.into_iter().map(|(_, place)| place).collect()
}

/// The places of the names that are hashed (RFC 5155 section 7.1): all that exist; with opt-out, not unsigned delegations, nor
/// what only they are below.
pub(super) fn hashed_owners(zone: &Zone, opt_out: bool) -> Vec<u32> {
    let names = owners(zone, true);
    if !opt_out {
        return names;
    }
    let is_unsigned = |node: Node<'_>| node.is_cut() && node.rrset(rtype::DS).is_none();
    let mut needed: HashSet<&[u8]> = HashSet::new();
    for node in names.iter().map(|place| zone.node_in(*place)).filter(|node| is_owner(*node) && !is_unsigned(*node)) {
        needed.insert(node.relative_name());
        needed.extend(ancestors(node.relative_name()));
    }
    names.into_iter().filter(|place| needed.contains(zone.node_in(*place).relative_name())).collect()
}

/// The hashes of names in order, and which of `names` each is of.
pub(super) fn hash_all(zone: &Zone, names: &[u32]) -> Result<Vec<([u8; HASH_LEN], usize)>, String> {
    let parameters = Chain::Hashes { hashes: Vec::new(), items: Vec::new(), iterations: 0, salt: Box::default() };
    let hash = |(i, place): (usize, &u32)| {
        let name = [zone.node_in(*place).relative_name(), zone.apex().as_wire()];
        parameters.hash(&name).map(|hash| (hash, i))
    };
    let hashes: Option<Vec<_>> = names.iter().enumerate().map(hash).collect();
    let mut hashes = hashes.ok_or("SHA-1 is not to be had")?;
    hashes.sort_unstable();
    // RFC 5155 section 7.1 asks for another salt then; it happens to nobody.
    match hashes.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(format!("two names have the hash {}: use nsec", base32(&pair[0].0))),
        None => Ok(hashes),
    }
}
