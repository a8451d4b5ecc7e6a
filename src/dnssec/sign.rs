//! A zone, its keys and what policies may answer in it → everything that is signed, before the first query.
//!
//! For every name: the signatures of its RRsets, its NSEC or NSEC3, and, where it is steered, every answer that a policy can
//! give there. None of it depends on shares.

mod names;
mod work;

use crate::dnssec::ring::Ring;
use crate::dnssec::signer::{Count, Kept, Signer, Validity, canonical_rdatas};
use crate::dnssec::steered;
use crate::dnssec::{Algorithm, Key};
use crate::exchange::MemberAnswer;
use crate::policy::Policies;
use crate::wire::rtype;
use crate::zone::Zone;
use crate::zone::signed::{Chain, Facts, Online, OnlineKey, Parts, Signed};
use names::{hash_all, hashed_owners, owners};
use work::Work;

/// How a zone is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How absence is proven.
    pub denial: Denial,
    /// How long signatures hold.
    pub validity: Validity,
    /// TTL of DNSKEY, CDS and CDNSKEY.
    pub dnskey_ttl: u32,
    /// Most answers that policies may give at the zone's names, all together.
    pub max_alternatives: usize,
}

/// How absence is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// By names (RFC 4034 section 4).
    Nsec,
    /// By hashes (RFC 5155, with the parameters of RFC 9276).
    Nsec3 {
        /// Whether unsigned delegations are left out (RFC 5155 section 6).
        opt_out: bool,
    },
    /// By the absent name itself (RFC 9824): signed ahead where it has records, else when it is asked for. There is a chain of
    /// NSEC, too, for what leaves in a transfer, for wildcards, and for more questions than may be signed.
    Compact {
        /// Most signatures that a thread makes within a second.
        per_second: u32,
    },
}

/// What there is to be signed.
#[derive(Clone, Copy)]
pub struct Task<'t> {
    /// The zone, steered names marked.
    pub zone: &'t Zone,
    /// The policies that marked them.
    pub policies: &'t Policies,
    /// Their members' answers.
    pub answers: &'t [Vec<MemberAnswer>],
    /// The keys at this moment.
    pub ring: &'t Ring<'t>,
    /// How.
    pub rules: &'t Rules,
    /// Seconds since 1970.
    pub now: u32,
    /// Keys of the digests by which signatures are kept: the same from load to load.
    pub hash_keys: (u64, u64),
}

/// Signs a zone. `before`: the zone and its signatures of the load before, to keep what holds.
///
/// # Errors
/// A text for people: policies have more answers than the rules allow, there is no SOA or no randomness, or two names have
/// one hash.
pub fn sign(task: Task<'_>, before: Option<(&Zone, &Signed)>) -> Result<Signed, String> {
    let zone = task.zone;
    let n_alternatives = steered::count(zone, task.policies, task.answers);
    if n_alternatives > task.rules.max_alternatives {
        return Err(format!(
            "policies have {n_alternatives} answers at the names of {}, which would all be signed: more than \
             `[dnssec] max-alternatives`, {}",
            zone.apex(),
            task.rules.max_alternatives
        ));
    }
    let absent_ttl = zone.negative_soa().ok_or_else(|| format!("{} has no SOA", zone.apex()))?.ttl;
    let kept = before.map(|(zone, signed)| Kept::of(zone, signed));
    let signer = Signer::new(zone.apex(), task.ring, kept, task.now, task.rules.validity, task.hash_keys);
    let (names, hashes) = match task.rules.denial {
        Denial::Nsec | Denial::Compact { .. } => (owners(zone, false), Vec::new()),
        Denial::Nsec3 { opt_out } => {
            let names = hashed_owners(zone, opt_out);
            let hashes = hash_all(zone, &names)?;
            (names, hashes)
        }
    };
    let work = Work { task, signer, names, hashes, absent_ttl };
    let (parts, count, items) = work.run()?;
    let renew_at = [count.earliest_end.map(|end| work.signer.renew_at(end)), task.ring.next_change];
    let facts = Facts {
        n_signatures: count.n,
        n_made: count.n_made,
        signed_at: match before {
            Some((_, before)) if count.n_made == 0 => before.facts.signed_at,
            _ => task.now,
        },
        earliest_end: count.earliest_end.unwrap_or(0),
        renew_at: renew_at.into_iter().flatten().min(),
    };
    let Work { names, hashes, .. } = work;
    let chain = |place: &dyn Fn(usize, u32) -> u32| match hashes.is_empty() {
        true => Chain::of_names(zone, names),
        false => Chain::Hashes {
            items: items.iter().map(|(part, at)| place(*part, *at)).collect(),
            hashes: hashes.iter().map(|(hash, _)| *hash).collect(),
            iterations: 0,
            salt: Box::default(),
        },
    };
    let signed = Parts::join(parts, chain, facts);
    match task.rules.denial {
        Denial::Compact { per_second } => Ok(signed.with_online(online(task.ring, absent_ttl, per_second)?)),
        _ => Ok(signed),
    }
}

/// The keys of a zone, to sign what is asked for.
fn online(ring: &Ring<'_>, ttl: u32, per_second: u32) -> Result<Online, String> {
    let key = |key: &&Key| match key.online() {
        Some(signer) => Ok(OnlineKey { algorithm: key.algorithm.number(), tag: key.tag, signer }),
        None => Err(format!(
            "compact denial of {} is signed when it is asked for, which takes keys of {} or {}; {} is one of {}",
            key.zone,
            Algorithm::EcdsaP256,
            Algorithm::Ed25519,
            key.tag,
            key.algorithm
        )),
    };
    Ok(Online { keys: ring.of_zone.iter().map(key).collect::<Result<_, _>>()?, ttl, per_second })
}

/// Signs the SOA anew in what was made of a zone that differs from `task.zone` in its serial alone.
///
/// # Errors
/// As [`sign`].
pub fn sign_soa(task: Task<'_>, signed: &mut Signed) -> Result<(), String> {
    let (zone, mut count) = (task.zone, Count::default());
    let Some((apex, soa)) = zone.node_at_name(&[]).and_then(|apex| Some((apex, apex.rrset(rtype::SOA)?))) else {
        return Err(format!("{} has no SOA", zone.apex()));
    };
    let signer = Signer::new(zone.apex(), task.ring, None, task.now, task.rules.validity, task.hash_keys);
    let mut rdatas = canonical_rdatas(rtype::SOA, soa.rdatas());
    let s = signer.sign(None, zone.apex().as_wire(), rtype::SOA, soa.ttl, &mut rdatas, &mut count)?;
    if !signed.replace_signatures(apex, rtype::SOA, &s.records, s.digest) {
        // Of another length than a key's signatures are: none does that.
        return Err(format!("the SOA of {} cannot be signed again", zone.apex()));
    }
    let end = count.earliest_end.unwrap_or(u32::MAX);
    signed.facts.signed_at = task.now;
    signed.facts.earliest_end = signed.facts.earliest_end.min(end);
    signed.facts.renew_at = signed.facts.renew_at.map(|at| at.min(signer.renew_at(end)));
    Ok(())
}

#[cfg(test)]
mod tests;
