//! Zones and keys → signed zones, keeping of the load before what still holds.

use crate::cli::check::count;
use crate::cli::config::Config;
use crate::cli::dnssec::config::Denial as Configured;
use crate::cli::dnssec::keys::{self, Filed, Folder};
use crate::cli::known::KEYS;
use crate::cli::load::about;
use crate::dnssec::sign::{Denial, Rules, Task, sign};
use crate::dnssec::signer::Validity;
use crate::dnssec::{Ring, State, presigned};
use crate::exchange::MemberAnswer;
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::policy::Policies;
use crate::wire::{Name, rtype};
use crate::zone::rdata::type_text;
use crate::zone::{Signed, Zone, ZoneSet};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Types that a zone's file may not hold at names of the zone when we make them.
const MADE: [u16; 7] =
    [rtype::RRSIG, rtype::NSEC, rtype::DNSKEY, rtype::NSEC3, rtype::NSEC3PARAM, rtype::CDS, rtype::CDNSKEY];

/// Signed zones of the last load that was taken, by apex.
pub type KnownSigned = HashMap<Name, OfZone>;

/// One signed zone, and all that it was made of.
#[derive(Clone)]
pub struct OfZone {
    zone: Arc<Zone>,
    policies: Arc<Policies>,
    answers: Arc<Vec<Vec<MemberAnswer>>>,
    rules: Rules,
    /// What the keys did; empty for a zone that was signed elsewhere.
    ring: Vec<String>,
    signed: Arc<Signed>,
}

/// What a load signs.
pub struct Request<'r> {
    /// The zones, steered names marked.
    pub zones: &'r ZoneSet,
    /// Their policies.
    pub policies: &'r Arc<Policies>,
    /// The members' answers.
    pub answers: &'r Arc<Vec<Vec<MemberAnswer>>>,
    /// The file.
    pub config: &'r Config,
}

/// Seconds since 1970.
pub fn now() -> u32 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as u32)
}

/// What became of signing.
#[derive(Default)]
pub struct Done {
    /// The signed zones.
    pub known: KnownSigned,
    /// Zones that were signed anew, or are signed no more.
    pub n_changed: usize,
    /// Zones that have keys and could not be signed; `None` if nobody can say which they are.
    pub failed: Option<Vec<Name>>,
}

/// Signs every zone that has keys. What is wrong is in the report.
pub fn sign_all(request: &Request<'_>, before: &KnownSigned, now: u32, report: &mut Report) -> Done {
    let dnssec = &request.config.dnssec;
    let Folder { keys, faulty } = keys::read(&dnssec.keys, report);
    let mut failed: Vec<Name> = Vec::new();
    let is_known = warn_of_idle(request, &keys, report) && !faulty.contains(&Name::root());
    let (mut known, mut n_changed) = (KnownSigned::new(), 0);
    for zone in request.zones.iter() {
        if faulty.contains(zone.apex()) {
            failed.push(zone.apex().clone());
            continue;
        }
        let mut of_zone = keys.iter().map(|filed| &filed.key).filter(|key| key.zone == *zone.apex()).peekable();
        if of_zone.peek().is_none() {
            if presigned::is_presigned(zone) {
                match gather(zone, request, before.get(zone.apex()), &mut n_changed) {
                    Ok(of_zone) => _ = known.insert(zone.apex().clone(), of_zone),
                    Err(problem) => {
                        report.push(problem);
                        failed.push(zone.apex().clone());
                    }
                }
            }
            continue;
        }
        let ring = match Ring::at(now, zone.apex(), of_zone) {
            Ok(ring) => ring,
            Err(e) => {
                let help = "`Activate` and `Inactive` in the private key's file say when it signs";
                report.push(about(&dnssec.keys, e).help(help));
                failed.push(zone.apex().clone());
                continue;
            }
        };
        if let Some(rtype) = made_by_others(zone) {
            let message = format!("{} has keys here, and {} records in its file", zone.apex(), type_text(rtype));
            let help =
                "a zone is signed either here or elsewhere: take these records out of the file, or the keys away";
            report.push(about(&dnssec.keys, message).help(help));
            failed.push(zone.apex().clone());
            continue;
        }
        let (rules, done) = (rules_of(request.config, zone.apex()), does(&ring));
        let old = before.get(zone.apex());
        if let Some(old) = old.filter(|old| old.still_holds(zone, request, &rules, &done, now)) {
            known.insert(zone.apex().clone(), old.clone());
            continue;
        }
        let task = Task {
            zone,
            policies: request.policies,
            answers: request.answers,
            ring: &ring,
            rules: &rules,
            now,
            hash_keys: *KEYS,
        };
        // What was signed under other rules is another chain, but every RRset that is the same keeps its signature.
        match sign(task, old.map(|old| (&*old.zone, &*old.signed))) {
            Ok(signed) => {
                n_changed += 1;
                let (policies, answers) = (request.policies.clone(), request.answers.clone());
                let signed = Arc::new(signed);
                let of_zone = OfZone { zone: zone.clone(), policies, answers, rules, ring: done, signed };
                known.insert(zone.apex().clone(), of_zone);
            }
            Err(e) => {
                report.push(about(&dnssec.keys, e));
                failed.push(zone.apex().clone());
            }
        }
    }
    n_changed += before.keys().filter(|apex| !known.contains_key(apex)).count();
    Done { known, n_changed, failed: is_known.then_some(failed) }
}

/// What a zone that was signed elsewhere brings.
fn gather(
    zone: &Arc<Zone>,
    request: &Request<'_>,
    before: Option<&OfZone>,
    n_changed: &mut usize,
) -> Result<OfZone, Diagnostic> {
    let dir = &request.config.zones.dir;
    if let Some((name, _)) = zone.marks().first() {
        let message =
            format!("{name} cannot be steered: {} was signed elsewhere, and its keys are not here", zone.apex());
        let help = format!(
            "put the zone's keys into {} and take the signatures out of its file, or steer names of an unsigned zone",
            request.config.dnssec.keys.display()
        );
        return Err(about(dir, message).help(help));
    }
    if let Some(before) = before.filter(|before| before.ring.is_empty() && Arc::ptr_eq(&before.zone, zone)) {
        return Ok(before.clone());
    }
    let signed = Arc::new(presigned::gather(zone).map_err(|e| about(dir, e))?);
    *n_changed += 1;
    let (policies, answers) = (request.policies.clone(), request.answers.clone());
    let rules = rules_of(request.config, zone.apex());
    Ok(OfZone { zone: zone.clone(), policies, answers, rules, ring: Vec::new(), signed })
}

/// The zones with their signatures; those that are others than were signed have none.
pub fn with_signed(zones: ZoneSet, known: &KnownSigned) -> ZoneSet {
    let of = |zone: &Arc<Zone>| known.get(zone.apex()).filter(|known| Arc::ptr_eq(&known.zone, zone));
    let signed = zones.iter().map(|zone| of(zone).map(|of_zone| of_zone.signed.clone())).collect();
    zones.with_signed(signed)
}

impl OfZone {
    /// Whether it should be signed again.
    pub fn is_due(&self, now: u32) -> bool {
        self.signed.facts.renew_at.is_some_and(|at| at <= now)
    }

    /// Signatures made for it since `before`.
    pub fn n_made_since(&self, before: &KnownSigned) -> usize {
        let is_same = before.get(self.zone.apex()).is_some_and(|before| Arc::ptr_eq(&before.signed, &self.signed));
        if is_same { 0 } else { self.signed.facts.n_made }
    }

    fn still_holds(&self, zone: &Arc<Zone>, request: &Request<'_>, rules: &Rules, ring: &[String], now: u32) -> bool {
        let is_steered = !zone.marks().is_empty();
        Arc::ptr_eq(&self.zone, zone)
            && (!is_steered || Arc::ptr_eq(&self.policies, request.policies))
            && (!is_steered || Arc::ptr_eq(&self.answers, request.answers))
            && self.rules == *rules
            && self.ring == ring
            && self.signed.facts.renew_at.is_none_or(|at| at > now)
    }
}

/// Keys of zones that are not here, and rules for zones without keys; false if there are such, which is an error: the zone is
/// meant to be signed.
fn warn_of_idle(request: &Request<'_>, keys: &[Filed], report: &mut Report) -> bool {
    let dnssec = &request.config.dnssec;
    for filed in keys.iter().filter(|filed| request.zones.zone(&filed.key.zone).is_none()) {
        let mut problem = about(&filed.file(".key"), format!("there is no zone {} here to be signed", filed.key.zone));
        problem.severity = Severity::Warning;
        report.push(problem);
    }
    let file = request.config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
    let mut all_good = true;
    for name in dnssec.zones.keys() {
        if !keys.iter().any(|filed| name.parse::<Name>().is_ok_and(|name| name == filed.key.zone)) {
            let message = format!("[dnssec.zones.{name:?}]: {} has no key of it", dnssec.keys.display());
            report.push(about(file, message).help(format!("`floodway keygen dnssec --zone {name}` makes one")));
            all_good = false;
        }
    }
    all_good
}

/// A type of the zone's that only a signer makes.
fn made_by_others(zone: &Zone) -> Option<u16> {
    zone.nodes()
        .filter(|node| !node.is_occluded())
        .flat_map(|node| node.rrsets())
        .map(|rrset| rrset.rtype)
        .find(|t| MADE.contains(t))
}

fn rules_of(config: &Config, apex: &Name) -> Rules {
    let (dnssec, of_zone) = (&config.dnssec, config.dnssec.of_zone(apex));
    Rules {
        denial: match of_zone.denial {
            Configured::Nsec => Denial::Nsec,
            Configured::Nsec3 => Denial::Nsec3 { opt_out: of_zone.opt_out },
        },
        validity: Validity { holds: dnssec.validity_seconds, refresh: dnssec.refresh_seconds },
        dnskey_ttl: dnssec.dnskey_ttl,
        max_alternatives: dnssec.max_alternatives,
    }
}

/// What every key does, to be compared.
fn does(ring: &Ring<'_>) -> Vec<String> {
    let lists = [(&ring.published, "seen"), (&ring.of_keys, "keys"), (&ring.of_zone, "zone"), (&ring.synced, "synced")];
    let all = lists.into_iter().flat_map(|(keys, what)| keys.iter().map(move |key| (key.dnskey(), what)));
    all.map(|(dnskey, what)| format!("{dnskey:02x?} {what}")).collect()
}

/// One line about the signed zones, for people; `None` if there are none.
pub fn summary(zones: &ZoneSet) -> Option<String> {
    let signed: Vec<&Arc<Signed>> = (0..zones.n_zones()).filter_map(|i| zones.signed(i)).collect();
    let (n, n_made) = signed.iter().fold((0, 0), |(n, made), s| (n + s.facts.n_signatures, made + s.facts.n_made));
    (!signed.is_empty())
        .then(|| format!("{} signed, {}, {n_made} of them new", count(signed.len(), "zone"), count(n, "signature")))
}

/// The state of a zone's keys in words, for `check`.
pub fn states(keys: &[Filed], zone: &Name, now: u32) -> Vec<(u16, State)> {
    let of_zone = keys.iter().map(|filed| &filed.key).filter(|key| key.zone == *zone);
    of_zone.map(|key| (key.tag, key.timing.state(now))).collect()
}
