//! RRsets to signatures: each is made once, and kept for as long as what it covers, its key and its time allow.

use crate::dnssec::ring::Ring;
use crate::dnssec::{Key, canonical};
use crate::wire::{Name, rtype};
use crate::zone::Zone;
use crate::zone::signed::{Item, Signed};
use crate::zone::store::ancestors;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::Hasher;

/// Clocks of resolvers go wrong: signatures hold from an hour ago, as BIND, Knot and ldns have it.
const BEFORE: u32 = 3600;
/// Octets of an RRSIG's RDATA before the signer's name.
const RRSIG_HEAD: usize = 18;

/// How long signatures hold. Seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From now on, less up to an eighth by what is signed, so that they do not all end at once.
    pub holds: u32,
    /// What is left of it when one is made anew.
    pub refresh: u32,
}

/// Signatures that a load before this one has made, to be kept.
pub struct Kept<'o> {
    zone: &'o Zone,
    signed: &'o Signed,
    /// Items that stand under no type of a name: alternatives, NSEC3, what leaves in place of others; by digest.
    loose: HashMap<u64, u32>,
}

impl<'o> Kept<'o> {
    /// Those of `zone` as it was.
    pub fn of(zone: &'o Zone, signed: &'o Signed) -> Kept<'o> {
        let mut loose = HashMap::new();
        let places = signed.entries().filter_map(|(_, entry)| entry.alternatives()).flat_map(|a| a.places());
        let hashed = (0..).map_while(|number| signed.chain().hashed(number)).map(|(_, place)| place);
        for place in places.chain(hashed).chain(signed.stand_ins()) {
            loose.insert(signed.item_at(place).digest, place);
        }
        Kept { zone, signed, loose }
    }

    fn find(&self, relative: Option<&[u8]>, rtype: u16, digest: u64) -> Option<Item<'o>> {
        let own = relative.and_then(|relative| self.signed.entry(self.zone.node_at_name(relative)?)?.item(rtype));
        // What stands by itself here may have been a name's own before, as it left.
        let loose = || self.loose.get(&digest).map(|place| self.signed.item_at(*place));
        own.filter(|item| item.digest == digest).or_else(loose)
    }
}

/// Signs the RRsets of one zone.
pub struct Signer<'k> {
    apex: &'k Name,
    ring: &'k Ring<'k>,
    kept: Option<Kept<'k>>,
    now: u32,
    validity: Validity,
    /// Keys of the digests.
    hash_keys: (u64, u64),
}

/// What was signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// How many.
    pub n: u16,
    /// As they stand in an answer.
    pub records: Vec<u8>,
    /// What was signed, in short.
    pub digest: u64,
}

/// Counts of one thread.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Signatures there are.
    pub n: usize,
    /// Those that had to be made.
    pub n_made: usize,
    /// When the first ends; `None` without any.
    pub earliest_end: Option<u32>,
}

impl Count {
    /// Both together.
    pub fn plus(self, other: Count) -> Count {
        let earliest_end = self.earliest_end.into_iter().chain(other.earliest_end).min();
        Count { n: self.n + other.n, n_made: self.n_made + other.n_made, earliest_end }
    }
}

impl<'k> Signer<'k> {
    /// Signs with these keys, at `now`.
    pub fn new(
        apex: &'k Name,
        ring: &'k Ring<'k>,
        kept: Option<Kept<'k>>,
        now: u32,
        validity: Validity,
        hash_keys: (u64, u64),
    ) -> Signer<'k> {
        Signer { apex, ring, kept, now, validity, hash_keys }
    }

    /// When an RRset whose first signature ends at `end` should be signed again.
    pub fn renew_at(&self, end: u32) -> u32 {
        end.saturating_sub(self.validity.refresh)
    }

    /// The signatures of an RRset. `relative`: its owner, if it may be one that stands in its name's entry; `owner` is absolute, in
    /// lower case. `rdatas`: canonical, in any order.
    ///
    /// # Errors
    /// A text for people: there is no randomness.
    pub fn sign(
        &self,
        relative: Option<&[u8]>,
        owner: &[u8],
        rtype: u16,
        ttl: u32,
        rdatas: &mut Vec<Vec<u8>>,
        count: &mut Count,
    ) -> Result<Signatures, String> {
        // RFC 4034 section 6.3: in order, and each once.
        rdatas.sort_unstable();
        rdatas.dedup();
        let digest = digest(self.hash_keys, owner, rtype, ttl, rdatas);
        let keys = self.ring.signers(rtype);
        if let Some(item) = self.kept.as_ref().and_then(|kept| kept.find(relative, rtype, digest))
            && self.is_good(&item, keys)
        {
            let ends = item.rrsigs().filter_map(|rdata| moment(rdata, 8));
            count.earliest_end = count.earliest_end.into_iter().chain(ends).min();
            count.n += usize::from(item.n_signatures);
            return Ok(Signatures { n: item.n_signatures, records: item.signatures.to_vec(), digest });
        }
        // RFC 4034 section 3.1.3: neither the root nor a leading `*` counts.
        let labels = (ancestors(&owner[..owner.len() - 1]).count() - usize::from(owner.starts_with(b"\x01*"))) as u8;
        let spread = (digest >> 32) as u32 % (self.validity.holds / 8).max(1);
        let end = self.now + self.validity.holds - spread;
        let mut records = Vec::new();
        for key in keys {
            let mut rdata = Vec::with_capacity(RRSIG_HEAD + self.apex.as_wire().len() + 64);
            rdata.extend(rtype.to_be_bytes());
            rdata.extend([key.algorithm.number(), labels]);
            rdata.extend(ttl.to_be_bytes());
            rdata.extend(end.to_be_bytes());
            rdata.extend(self.now.saturating_sub(BEFORE).to_be_bytes());
            rdata.extend(key.tag.to_be_bytes());
            rdata.extend(self.apex.as_wire());
            let mut data = rdata.clone();
            for record in rdatas.iter() {
                data.extend(owner);
                data.extend(rtype.to_be_bytes());
                data.extend(rtype::CLASS_IN.to_be_bytes());
                data.extend(ttl.to_be_bytes());
                data.extend((record.len() as u16).to_be_bytes());
                data.extend(record);
            }
            rdata.extend(key.sign(&data)?);
            put_record(rtype::RRSIG, ttl, &rdata, &mut records);
        }
        let n = keys.len();
        *count = count.plus(Count { n, n_made: n, earliest_end: (n > 0).then_some(end) });
        Ok(Signatures { n: n as u16, records, digest })
    }

    /// Whether signatures are those of these keys and hold for a while. Those that end within a thirty-second of the validity
    /// after the first that is due are made anew with it, so that there are some passes over the zone, not thousands.
    fn is_good(&self, item: &Item<'_>, keys: &[&Key]) -> bool {
        let enough = self.now + self.validity.refresh + self.validity.holds / 32;
        let of_key = |rdata: &[u8], key: &Key| {
            rdata.get(2) == Some(&key.algorithm.number())
                && rdata.get(16..18) == Some(&key.tag.to_be_bytes())
                && moment(rdata, 8).is_some_and(|end| end > enough)
        };
        let has = |key: &Key| item.rrsigs().any(|rdata| of_key(rdata, key));
        usize::from(item.n_signatures) == keys.len() && keys.iter().all(|key| has(key))
    }
}

/// What is signed, in short. `rdatas`: canonical and in order, each once.
pub fn digest(hash_keys: (u64, u64), owner: &[u8], rtype: u16, ttl: u32, rdatas: &[Vec<u8>]) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(hash_keys.0, hash_keys.1);
    hasher.write(owner);
    hasher.write_u16(rtype);
    hasher.write_u32(ttl);
    for rdata in rdatas {
        hasher.write_usize(rdata.len());
        hasher.write(rdata);
    }
    hasher.finish()
}

/// A moment of an RRSIG's RDATA: 8 the end, 12 the beginning.
pub fn moment(rdata: &[u8], at: usize) -> Option<u32> {
    rdata.get(at..at + 4).and_then(|octets| octets.first_chunk()).map(|octets| u32::from_be_bytes(*octets))
}

/// Appends a record as it stands in an answer.
pub fn put_record(rtype: u16, ttl: u32, rdata: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xc0, 12]);
    out.extend_from_slice(&rtype.to_be_bytes());
    out.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(rdata);
}

/// The RDATA of an RRset in canonical form.
pub fn canonical_rdatas<'r>(rtype: u16, rdatas: impl Iterator<Item = impl AsRef<[u8]> + 'r>) -> Vec<Vec<u8>> {
    rdatas.map(|rdata| canonical::rdata(rtype, rdata.as_ref()).into_owned()).collect()
}
