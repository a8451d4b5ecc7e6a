//! Zones that were signed elsewhere: their own signatures and proofs, put where queries look for them.
//!
//! Nothing is made and nothing is checked here ([`crate::dnssec::verify`] does that): the zone is served as it came. A zone
//! that was signed here before a restart comes the same way, to have its signatures kept ([`remember`]).

use crate::dnssec::signer::{canonical_rdatas, digest, moment, put_record};
use crate::wire::rtype;
use crate::zone::rdata::unbase32;
use crate::zone::signed::{Chain, Facts, Parts, Signed, canonical, sort_key};
use crate::zone::store::Node;
use crate::zone::{RRset, Zone};

/// Most further rounds of hashing. RFC 9276 section 3.1 asks for none, and validators give up above 150 (its appendix A).
const MAX_ITERATIONS: u16 = 150;

/// Whether a zone's file brings its signatures: it has keys and their signatures at the apex.
pub fn is_presigned(zone: &Zone) -> bool {
    let apex = zone.node_at_name(&[]);
    apex.is_some_and(|apex| [rtype::DNSKEY, rtype::RRSIG].iter().all(|rtype| apex.rrset(*rtype).is_some()))
}

/// Gathers what a presigned zone has.
///
/// # Errors
/// A text for people: there is neither NSEC nor NSEC3, or the latter with parameters that are not served.
pub fn gather(zone: &Zone) -> Result<Signed, String> {
    gather_with(zone, &|_, _| 0)
}

/// As [`gather`], of a zone that was signed here: with what tells a signer that a signature is that of the same records.
/// `hash_keys`: see [`crate::dnssec::sign::Task`].
///
/// # Errors
/// As [`gather`].
pub fn remember(zone: &Zone, hash_keys: (u64, u64)) -> Result<Signed, String> {
    gather_with(zone, &|node, rrset| {
        let owner = [node.relative_name(), zone.apex().as_wire()].concat();
        let mut rdatas = canonical_rdatas(rrset.rtype, rrset.rdatas());
        rdatas.sort_unstable();
        rdatas.dedup();
        digest(hash_keys, &owner, rrset.rtype, rrset.ttl, &rdatas)
    })
}

/// Says in short what is signed of a node's RRset.
type Digest<'d> = &'d dyn Fn(Node<'_>, &RRset<'_>) -> u64;

fn gather_with(zone: &Zone, digest: Digest<'_>) -> Result<Signed, String> {
    let apex = zone.node_at_name(&[]).ok_or("the zone is empty")?;
    let (mut parts, mut facts) = (Parts::default(), Facts { earliest_end: u32::MAX, ..Facts::default() });
    let mut chain = match (apex.rrset(rtype::NSEC3PARAM), apex.rrset(rtype::NSEC)) {
        (Some(param), _) => hashes(zone, &param, digest, &mut parts, &mut facts)?,
        (None, Some(_)) => {
            let mut names: Vec<_> = zone
                .nodes()
                .filter(|node| !node.is_occluded() && node.rrset(rtype::NSEC).is_some())
                .map(|node| (sort_key(node.relative_name()), node.place()))
                .collect();
            let name = |place: u32| zone.node_in(place).relative_name();
            names.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| canonical(name(a.1), name(b.1))));
            Chain::of_names(zone, names.into_iter().map(|(_, place)| place).collect())
        }
        (None, None) => {
            return Err(format!("{} is signed and has neither NSEC nor NSEC3: nothing can be denied", zone.apex()));
        }
    };
    for node in zone.nodes().filter(|node| !node.is_occluded() && !node.is_hash()) {
        parts.entry(node, &[]);
        let hash = chain.hash(&[node.relative_name(), zone.apex().as_wire()]);
        if let Some(number) = hash
            .and_then(|hash| Some((chain.before_hash(&hash)?, hash)))
            .and_then(|(number, hash)| chain.hashed(number).filter(|(found, _)| **found == hash).map(|_| number))
        {
            parts.hashed(number);
        }
        for rrset in node.rrsets().filter(|rrset| rrset.rtype != rtype::RRSIG) {
            let (n, signatures) = signatures(node, &rrset, &mut facts);
            let mut records = Vec::new();
            if rrset.rtype == rtype::NSEC {
                rrset.rdatas().for_each(|rdata| put_record(rrset.rtype, rrset.ttl, &rdata, &mut records));
            }
            let n_records = if records.is_empty() { 0 } else { rrset.n };
            parts.item(rrset.rtype, (n_records, &records), (n, &signatures), digest(node, &rrset));
        }
    }
    if facts.n_signatures == 0 {
        facts.earliest_end = 0;
    }
    let last = |place: &dyn Fn(usize, u32) -> u32| {
        if let Chain::Hashes { items, .. } = &mut chain {
            items.iter_mut().for_each(|item| *item = place(0, *item));
        }
        chain
    };
    Ok(Parts::join(vec![parts], last, facts))
}

/// The signatures of an RRset as they stand in an answer, with its TTL (RFC 4034 section 3).
fn signatures(node: Node<'_>, rrset: &RRset<'_>, facts: &mut Facts) -> (u16, Vec<u8>) {
    let (mut n, mut records) = (0, Vec::new());
    let all = node.rrset(rtype::RRSIG);
    for rdata in all.iter().flat_map(RRset::rdatas).filter(|rdata| rdata.starts_with(&rrset.rtype.to_be_bytes())) {
        put_record(rtype::RRSIG, rrset.ttl, &rdata, &mut records);
        facts.earliest_end = facts.earliest_end.min(moment(&rdata, 8).unwrap_or(0));
        (n, facts.n_signatures) = (n + 1, facts.n_signatures + 1);
    }
    (n, records)
}

/// The hashes of a zone, and items for them in `parts`.
fn hashes(
    zone: &Zone,
    param: &RRset<'_>,
    digest: Digest<'_>,
    parts: &mut Parts,
    facts: &mut Facts,
) -> Result<Chain, String> {
    let rdata = param.rdatas().next().unwrap_or_default();
    let [1, _, i0, i1, _, salt @ ..] = &*rdata else {
        return Err(format!("{} has an NSEC3PARAM with a hash other than SHA-1", zone.apex()));
    };
    let (iterations, salt) = (u16::from_be_bytes([*i0, *i1]), Box::from(salt));
    if iterations > MAX_ITERATIONS {
        let apex = zone.apex();
        return Err(format!("{apex} has NSEC3 with {iterations} iterations: more than {MAX_ITERATIONS} (RFC 9276)"));
    }
    // Iterations and salt as they stand in an NSEC3 (RFC 5155 section 3.2).
    let tail = rdata[2..].to_vec();
    let mut all = Vec::new();
    for node in zone.nodes().filter(|node| node.is_hash()) {
        let Some(rrset) = node.rrset(rtype::NSEC3) else { continue };
        // Records of other parameters are of a chain that comes or goes (RFC 5155 section 7.3).
        let of_param = |rdata: &[u8]| rdata.first() == Some(&1) && rdata.get(2..).is_some_and(|r| r.starts_with(&tail));
        let Some(rdata) = rrset.rdatas().find(|rdata| of_param(rdata)) else { continue };
        let Some(hash) = node.relative_name().get(1..).and_then(unbase32) else { continue };
        let mut records = Vec::new();
        put_record(rtype::NSEC3, rrset.ttl, &rdata, &mut records);
        let (n, signatures) = signatures(node, &rrset, facts);
        all.push((hash, parts.loose(rtype::NSEC3, (1, &records), (n, &signatures), digest(node, &rrset))));
    }
    if all.is_empty() {
        return Err(format!("{} has an NSEC3PARAM and no NSEC3 of it", zone.apex()));
    }
    all.sort_unstable();
    let (hashes, items) = all.into_iter().unzip();
    Ok(Chain::Hashes { hashes, items, iterations, salt })
}
