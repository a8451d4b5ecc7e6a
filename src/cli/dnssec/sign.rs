//! Zones and keys → signed zones, keeping of the load before what still holds.

use crate::cli::check::count;
use crate::cli::config::Config;
use crate::cli::dnssec::config::Denial as Configured;
use crate::cli::dnssec::keys::{self, Filed, Folder};
use crate::cli::known::KEYS;
use crate::cli::load::about;
use crate::dnssec::sign::{Denial, Rules, Task};
use crate::dnssec::signer::Validity;
use crate::dnssec::{Key, Ring, State, presigned};
use crate::exchange::MemberAnswer;
use crate::id::ZoneIdx;
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::policy::Policies;
use crate::transfer::keep::Keep;
use crate::transfer::settings::ZoneSettings;
use crate::wire::{Name, rtype};
use crate::zone::rdata::type_text;
use crate::zone::{Signed, Zone, ZoneSet};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Types that a zone's file may not hold at names of the zone when we make them.
const MADE: [u16; 7] =
    [rtype::RRSIG, rtype::NSEC, rtype::DNSKEY, rtype::NSEC3, rtype::NSEC3PARAM, rtype::CDS, rtype::CDNSKEY];

/// Signed zones of the last load that was taken, by apex.
pub type KnownSigned = HashMap<Name, OfZone>;

/// One signed zone, and all that it was made of.
#[derive(Clone)]
pub struct OfZone {
    /// The zone as files, updates or a primary have it, and as it was handed over to be signed last: this one, or a version
    /// that was served.
    from: Arc<Zone>,
    given: Arc<Zone>,
    /// The zone as it is served: another serial may stand in it.
    zone: Arc<Zone>,
    policies: Arc<Policies>,
    answers: Arc<Vec<Vec<MemberAnswer>>>,
    rules: Rules,
    /// What the keys did; empty for a zone that was signed elsewhere.
    ring: Vec<String>,
    /// `None`: it was signed once, others have it, and it is signed no more.
    signed: Option<Arc<Signed>>,
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
    /// Who is to have the zones, and what is kept of them.
    pub settings: &'r dyn Fn(&Name) -> Arc<ZoneSettings>,
    /// What was served of those that others have.
    pub keep: &'r Mutex<Keep>,
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
    /// Zones of which there is another version than before, to be written down.
    fresh: Vec<Name>,
}

/// Signs every zone that has keys. What is wrong is in the report.
pub fn sign_all(request: &Request<'_>, before: &KnownSigned, now: u32, report: &mut Report) -> Done {
    let dnssec = &request.config.dnssec;
    let Folder { keys, faulty } = keys::read(&dnssec.keys, report);
    let mut failed: Vec<Name> = Vec::new();
    let is_known = warn_of_idle(request, &keys, report) && !faulty.contains(&Name::root());
    let (mut known, mut n_changed, mut fresh) = (KnownSigned::new(), 0, Vec::new());
    for zone in request.zones.iter() {
        let apex = zone.apex();
        if faulty.contains(apex) {
            failed.push(apex.clone());
            continue;
        }
        let of_zone: Vec<&Key> = keys.iter().map(|filed| &filed.key).filter(|key| key.zone == *apex).collect();
        let old = before.get(apex);
        let work = Work { request, zone, old, now, settings: (request.settings)(apex) };
        let made = match of_zone.is_empty() {
            false => work.sign(&of_zone),
            true if presigned::is_presigned(zone) => work.gather(),
            true => work.go_on_unsigned(),
        };
        match made {
            Ok(None) => {}
            Ok(Some(Made::Kept)) => _ = old.map(|old| known.insert(apex.clone(), old.clone())),
            Ok(Some(Made::New(of_zone))) => {
                n_changed += 1;
                fresh.push(apex.clone());
                known.insert(apex.clone(), *of_zone);
            }
            Err(problem) => {
                report.push(problem);
                failed.push(apex.clone());
            }
        }
    }
    n_changed += before.keys().filter(|apex| !known.contains_key(apex)).count();
    Done { known, n_changed, failed: is_known.then_some(failed), fresh }
}

impl Done {
    /// Writes down what is served from now on of the zones that others have. What could not be is in the report.
    pub fn commit(&self, request: &Request<'_>, report: &mut Report) {
        for of_zone in self.fresh.iter().filter_map(|apex| self.known.get(apex)) {
            let (apex, settings) = (of_zone.zone.apex(), (request.settings)(of_zone.zone.apex()));
            let (from, served) = (of_zone.given.serial(), of_zone.zone.serial());
            if from != served {
                tracing::info!("{apex} is served under serial {served}, not {from}: it is signed here");
            }
            let mut keep = lock(request.keep);
            if let Err(e) = keep.seals.commit(&of_zone.zone, of_zone.made_here(), &settings) {
                let mut problem = about(
                    &request.config.state.dir,
                    format!("{apex}: what has changed could not be written down: {e}"),
                );
                problem.severity = Severity::Warning;
                report.push(problem);
            }
        }
    }
}

//----------- Work -----------------------------------------------------------

/// One zone, to be signed or not.
struct Work<'w> {
    request: &'w Request<'w>,
    zone: &'w Arc<Zone>,
    old: Option<&'w OfZone>,
    now: u32,
    settings: Arc<ZoneSettings>,
}

/// What came of it.
enum Made {
    /// What there was holds.
    Kept,
    New(Box<OfZone>),
}

/// `Ok(None)`: the zone is not signed.
type Outcome = Result<Option<Made>, Diagnostic>;

impl Work<'_> {
    fn sign(&self, keys: &[&Key]) -> Outcome {
        let Work { request, zone, old, now, .. } = self;
        let dir = &request.config.dnssec.keys;
        let ring = Ring::at(*now, zone.apex(), keys.iter().copied())
            .map_err(|e| about(dir, e).help("`Activate` and `Inactive` in the private key's file say when it signs"))?;
        if let Some(rtype) = made_by_others(zone) {
            let message = format!("{} has keys here, and {} records in its file", zone.apex(), type_text(rtype));
            let help =
                "a zone is signed either here or elsewhere: take these records out of the file, or the keys away";
            return Err(about(dir, message).help(help));
        }
        let mut keep = self.keep(true)?;
        let (rules, done) = (rules_of(request.config, zone.apex()), does(&ring));
        if old.is_some_and(|old| old.still_holds(zone, request, &rules, &done, *now) && old.is_sealed(&keep)) {
            return Ok(Some(Made::Kept));
        }
        let task = Task {
            zone,
            policies: request.policies,
            answers: request.answers,
            ring: &ring,
            rules: &rules,
            now: *now,
            hash_keys: *KEYS,
        };
        let known = old.and_then(|old| Some((&*old.zone, &**old.signed.as_ref()?)));
        let signed = keep.seals.sign(zone, task, known, &self.settings);
        let (version, signed) = signed.map_err(|e| about(dir, e))?;
        Ok(Some(self.made(version, rules, done, Some(signed))))
    }

    /// What a zone that was signed elsewhere brings.
    fn gather(&self) -> Outcome {
        let Work { request, zone, old, now, .. } = self;
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
        let mut keep = self.keep(false)?;
        if old.is_some_and(|old| old.ring.is_empty() && old.signed.is_some() && old.is_of(zone) && old.is_sealed(&keep))
        {
            return Ok(Some(Made::Kept));
        }
        let version = keep.seals.number(zone, &self.settings, (*now).into());
        let signed = Arc::new(presigned::gather(&version).map_err(|e| about(dir, e))?);
        let rules = rules_of(request.config, zone.apex());
        Ok(Some(self.made(version, rules, Vec::new(), Some(signed))))
    }

    /// A zone without keys that others have had signed goes on under the serials of before.
    fn go_on_unsigned(&self) -> Outcome {
        let mut keep = self.keep(false)?;
        if !keep.seals.has(self.zone.apex()) {
            return Ok(None);
        }
        if self.old.is_some_and(|old| old.signed.is_none() && old.is_of(self.zone) && old.is_sealed(&keep)) {
            return Ok(Some(Made::Kept));
        }
        let version = keep.seals.number(self.zone, &self.settings, self.now.into());
        Ok(Some(self.made(version, rules_of(self.request.config, self.zone.apex()), Vec::new(), None)))
    }

    /// What is kept, with the zone in it if others are to have it.
    fn keep(&self, is_signed: bool) -> Result<MutexGuard<'_, Keep>, Diagnostic> {
        let mut keep = lock(self.request.keep);
        let begun = keep.seal(self.zone.apex(), is_signed, &self.settings);
        begun.map(|()| keep).map_err(|e| about(&self.request.config.state.dir, e))
    }

    fn made(&self, zone: Arc<Zone>, rules: Rules, ring: Vec<String>, signed: Option<Arc<Signed>>) -> Made {
        let (policies, answers, given) =
            (self.request.policies.clone(), self.request.answers.clone(), self.zone.clone());
        let from = self.old.filter(|old| Arc::ptr_eq(&old.zone, &given)).map_or(&given, |old| &old.from).clone();
        Made::New(Box::new(OfZone { from, given, zone, policies, answers, rules, ring, signed }))
    }
}

fn lock(keep: &Mutex<Keep>) -> MutexGuard<'_, Keep> {
    keep.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The zones as they are served, with their signatures; those that are others than were signed have none.
pub fn with_signed(mut zones: ZoneSet, known: &KnownSigned) -> ZoneSet {
    let mut all = Vec::with_capacity(zones.n_zones());
    for i in 0..zones.n_zones() {
        let idx = ZoneIdx::from(i);
        let zone = zones.share(idx);
        let of_zone = known.get(zone.apex()).filter(|of_zone| of_zone.is_of(&zone));
        if let Some(of_zone) = of_zone {
            zones.replace(idx, of_zone.zone.clone());
        }
        all.push(of_zone.and_then(|of_zone| of_zone.signed.clone()));
    }
    zones.with_signed(all)
}

impl OfZone {
    /// Whether it should be signed again.
    pub fn is_due(&self, now: u32) -> bool {
        self.signed.as_ref().and_then(|signed| signed.facts.renew_at).is_some_and(|at| at <= now)
    }

    /// Signatures made for it since `before`.
    pub fn n_made_since(&self, before: &KnownSigned) -> usize {
        let Some(signed) = &self.signed else { return 0 };
        let before = before.get(self.zone.apex()).and_then(|before| before.signed.as_ref());
        if before.is_some_and(|before| Arc::ptr_eq(before, signed)) { 0 } else { signed.facts.n_made }
    }

    /// Whether it is made of this zone.
    fn is_of(&self, zone: &Arc<Zone>) -> bool {
        [&self.from, &self.given, &self.zone].iter().any(|own| Arc::ptr_eq(own, zone))
    }

    /// What is made here of it.
    fn made_here(&self) -> Option<&Arc<Signed>> {
        self.signed.as_ref().filter(|signed| signed.is_made_here())
    }

    /// Whether it is the version that was written down last.
    fn is_sealed(&self, keep: &Keep) -> bool {
        keep.seals.holds(&self.zone, self.made_here())
    }

    fn still_holds(&self, zone: &Arc<Zone>, request: &Request<'_>, rules: &Rules, ring: &[String], now: u32) -> bool {
        let is_steered = !zone.marks().is_empty();
        self.is_of(zone)
            && (!is_steered || Arc::ptr_eq(&self.policies, request.policies))
            && (!is_steered || Arc::ptr_eq(&self.answers, request.answers))
            && self.rules == *rules
            && self.ring == ring
            && self.signed.as_ref().is_some_and(|signed| signed.facts.renew_at.is_none_or(|at| at > now))
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
            Configured::Compact => Denial::Compact { per_second: dnssec.compact_per_second },
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
