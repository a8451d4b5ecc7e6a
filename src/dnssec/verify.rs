//! Whether a zone's signatures hold: what a validator would find, for `floodway check`.

use crate::dnssec::key::key_tag;
use crate::dnssec::signer::{canonical_rdatas, moment};
use crate::wire::{Name, NameBuf, rtype};
use crate::zone::Zone;
use crate::zone::rdata::print_moment;
use crate::zone::signed::{Item, Signed};
use hickory_proto::dnssec::rdata::DNSKEY;
use hickory_proto::dnssec::{Algorithm, PublicKeyBuf, Verifier};

/// Octets of an RRSIG's RDATA before the signer's name.
const RRSIG_HEAD: usize = 18;

/// A signature's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An RRset that should be signed is not.
    Missing,
    /// No key of the zone has its tag and algorithm, or another zone is its signer.
    NoKey(u16),
    /// It has ended.
    Ended(u32),
    /// It has not begun.
    Early(u32),
    /// It is not that of the records.
    Wrong(u16),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Missing => f.write_str("has no signature"),
            Fault::NoKey(tag) => write!(f, "is signed by {tag}, which is no key of the zone"),
            Fault::Ended(at) => write!(f, "has a signature that ended at {}", print_moment(*at)),
            Fault::Early(at) => write!(f, "has a signature that begins at {}", print_moment(*at)),
            Fault::Wrong(tag) => write!(f, "has a signature by {tag} that is not of these records"),
        }
    }
}

/// What of a zone does not verify at `now`: owner, type, and why. At most `most`; the signatures of everything that policies may
/// give are not gone through, since nothing but this program has made them.
pub fn verify(zone: &Zone, signed: &Signed, now: u32, most: usize) -> Vec<(Name, u16, Fault)> {
    let keys = keys(zone, signed);
    let mut faults = Vec::new();
    for node in zone.nodes().filter(|node| !node.is_occluded() && !node.is_hash()) {
        let Some(entry) = signed.entry(node) else { continue };
        let name = node.name();
        for item in entry.items() {
            let is_signed = !node.is_cut() || matches!(item.rtype, rtype::DS | rtype::NSEC);
            let rdatas = match node.rrset(item.rtype) {
                Some(rrset) if item.n == 0 => canonical_rdatas(item.rtype, rrset.rdatas()),
                _ => canonical_rdatas(item.rtype, item.rdatas()),
            };
            if is_signed {
                let fault = of_item(&name, &item, rdatas, &keys, zone.apex(), now);
                faults.extend(fault.map(|fault| (name.clone(), item.rtype, fault)));
            }
        }
        if let Some((hash, place)) = entry.hashed().and_then(|number| signed.chain().hashed(number)) {
            let label = crate::zone::rdata::base32(hash);
            let item = signed.item_at(place);
            if let Ok(owner) = zone.apex().child(label.as_bytes()) {
                let rdatas = canonical_rdatas(item.rtype, item.rdatas());
                let fault = of_item(&owner, &item, rdatas, &keys, zone.apex(), now);
                faults.extend(fault.map(|fault| (owner, item.rtype, fault)));
            }
        }
        if faults.len() >= most {
            faults.truncate(most);
            break;
        }
    }
    faults
}

/// Tag and key, for every DNSKEY.
fn keys(zone: &Zone, signed: &Signed) -> Vec<(u16, u8, DNSKEY)> {
    let apex = zone.node_at_name(&[]);
    let own: Vec<Vec<u8>> = apex
        .and_then(|apex| apex.rrset(rtype::DNSKEY))
        .map_or(Vec::new(), |rrset| rrset.rdatas().map(|rdata| rdata.into_owned()).collect());
    let added = apex.and_then(|apex| signed.entry(apex)?.item(rtype::DNSKEY));
    let added = added.into_iter().flat_map(|item| item.rdatas()).map(<[u8]>::to_vec);
    let read = |rdata: Vec<u8>| {
        let (&[f0, f1, _, algorithm], public) = rdata.split_first_chunk()?;
        let public = PublicKeyBuf::new(public.to_vec(), Algorithm::from_u8(algorithm));
        Some((key_tag(&rdata), algorithm, DNSKEY::with_flags(u16::from_be_bytes([f0, f1]), public)))
    };
    own.into_iter().chain(added).filter_map(read).collect()
}

/// The first fault of an RRset's signatures; none if one of them holds, which is enough for a validator.
fn of_item(
    owner: &Name,
    item: &Item<'_>,
    mut rdatas: Vec<Vec<u8>>,
    keys: &[(u16, u8, DNSKEY)],
    apex: &Name,
    now: u32,
) -> Option<Fault> {
    rdatas.sort_unstable();
    rdatas.dedup();
    let mut found = Some(Fault::Missing);
    for rrsig in item.rrsigs() {
        match of_rrsig(owner, item.rtype, rrsig, &rdatas, keys, apex, now) {
            None => return None,
            fault => found = fault,
        }
    }
    found
}

fn of_rrsig(
    owner: &Name,
    rtype: u16,
    rrsig: &[u8],
    rdatas: &[Vec<u8>],
    keys: &[(u16, u8, DNSKEY)],
    apex: &Name,
    now: u32,
) -> Option<Fault> {
    let tag = rrsig.get(16..RRSIG_HEAD).map_or(0, |tag| u16::from_be_bytes([tag[0], tag[1]]));
    let (end, start) = (moment(rrsig, 8)?, moment(rrsig, 12)?);
    // RFC 1982 arithmetic, as RFC 4034 section 3.1.5 asks.
    if end.wrapping_sub(now) > u32::MAX / 2 {
        return Some(Fault::Ended(end));
    }
    if now.wrapping_sub(start) > u32::MAX / 2 {
        return Some(Fault::Early(start));
    }
    let mut signer = NameBuf::default();
    let signer_len = rrsig.get(RRSIG_HEAD..).and_then(|rest| signer.parse(rest)).unwrap_or(0);
    let Some((head, signature)) = rrsig.split_at_checked(RRSIG_HEAD + signer_len) else {
        return Some(Fault::Wrong(tag));
    };
    if signer.as_wire() != apex.as_wire() {
        return Some(Fault::NoKey(tag));
    }
    let mut data = [&head[..RRSIG_HEAD], apex.as_wire()].concat();
    for rdata in rdatas {
        data.extend(owner.as_wire());
        data.extend(rtype.to_be_bytes());
        data.extend(rtype::CLASS_IN.to_be_bytes());
        data.extend(&head[4..8]);
        data.extend((rdata.len() as u16).to_be_bytes());
        data.extend(rdata);
    }
    let mut of_tag = keys.iter().filter(|(t, algorithm, _)| *t == tag && *algorithm == head[2]).peekable();
    if of_tag.peek().is_none() {
        return Some(Fault::NoKey(tag));
    }
    let holds = of_tag.any(|(_, _, key)| key.verify(&data, signature).is_ok());
    (!holds).then_some(Fault::Wrong(tag))
}
