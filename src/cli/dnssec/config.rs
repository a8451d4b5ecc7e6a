//! `[dnssec]` of floodway.toml. A reload reads it anew.

use crate::wire::Name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Shortest time that signatures may hold: long enough that a server which cannot sign for a night does no harm.
const MIN_VALIDITY: u32 = 86_400;
/// Longest: RFC 1982 compares moments half of 136 years apart, and nobody wants a signature for more than a year.
const MAX_VALIDITY: u32 = 400 * 86_400;

/// Most proofs that a thread may be told to sign within a second: a third of its time, or so.
const MOST_PER_SECOND: u32 = 10_000;

/// How zones with keys are signed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Dnssec {
    /// Folder of key files (`floodway keygen dnssec` makes them); a zone is signed when it has keys there. Default `keys`.
    pub keys: PathBuf,
    /// Seconds for which a signature holds, less up to an eighth so that not all end together. Default 14 days: caches
    /// outlive a server that stands still for a week, and what was signed by mistake is over in two.
    pub validity_seconds: u32,
    /// Seconds before its end at which a signature is made anew. Default 7 days.
    pub refresh_seconds: u32,
    /// TTL of DNSKEY, CDS and CDNSKEY. Default 3600.
    pub dnskey_ttl: u32,
    /// Seconds for which a zone-signing key (flags 256) signs before the server makes its successor; 0, the default: never.
    pub zsk_lifetime_seconds: u32,
    /// Most answers of one zone's steered names, each of which has signatures of its own. Default 65,536: some seconds of
    /// one core, and 8 MiB.
    pub max_alternatives: usize,
    /// Most proofs of compact denial that a thread signs within a second; beyond it NSEC proves absence. Default 500: some
    /// hundredths of a thread's time.
    pub compact_per_second: u32,
    /// Zones with rules of their own, by name.
    pub zones: BTreeMap<String, OfZone>,
}

impl Default for Dnssec {
    fn default() -> Dnssec {
        Dnssec {
            keys: "keys".into(),
            validity_seconds: 14 * 86_400,
            refresh_seconds: 7 * 86_400,
            dnskey_ttl: 3600,
            zsk_lifetime_seconds: 0,
            max_alternatives: 65_536,
            compact_per_second: 500,
            zones: BTreeMap::new(),
        }
    }
}

/// `[dnssec.zones."example.com"]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct OfZone {
    /// How absence is proven; default `nsec`.
    pub denial: Denial,
    /// With `nsec3`: whether unsigned delegations are left out of the chain (RFC 5155 section 6). Default no.
    pub opt_out: bool,
}

/// How absence is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Denial {
    /// NSEC (RFC 4034): the names next to the absent one are told.
    #[default]
    Nsec,
    /// NSEC3 (RFC 5155) with the parameters of RFC 9276: hashes of them are told.
    Nsec3,
    /// Compact denial (RFC 9824): nothing but the name itself is told, in one NSEC that is signed when it is asked for.
    Compact,
}

impl Dnssec {
    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people.
    pub fn check(&self) -> Result<(), String> {
        if !(MIN_VALIDITY..=MAX_VALIDITY).contains(&self.validity_seconds) {
            let found = self.validity_seconds;
            return Err(format!("[dnssec] validity-seconds = {found}: {MIN_VALIDITY} to {MAX_VALIDITY}"));
        }
        let most = self.validity_seconds / 4 * 3;
        if !(3600..=most).contains(&self.refresh_seconds) {
            let found = self.refresh_seconds;
            return Err(format!("[dnssec] refresh-seconds = {found}: 3600 to {most}, three quarters of the validity"));
        }
        if self.compact_per_second > MOST_PER_SECOND {
            let found = self.compact_per_second;
            return Err(format!("[dnssec] compact-per-second = {found}: at most {MOST_PER_SECOND}"));
        }
        if self.dnskey_ttl > 86_400 {
            return Err(format!("[dnssec] dnskey-ttl = {}: at most 86400, a day", self.dnskey_ttl));
        }
        let shortest = 2 * (self.dnskey_ttl + 3600);
        if self.zsk_lifetime_seconds != 0 && self.zsk_lifetime_seconds < shortest {
            let found = self.zsk_lifetime_seconds;
            return Err(format!("[dnssec] zsk-lifetime-seconds = {found}: 0 for none, or at least {shortest}"));
        }
        for (name, of_zone) in &self.zones {
            name.parse::<Name>().map_err(|e| format!("[dnssec.zones.{name:?}]: {e}"))?;
            if of_zone.opt_out && of_zone.denial != Denial::Nsec3 {
                return Err(format!("[dnssec.zones.{name:?}] opt-out: is for denial = \"nsec3\" alone"));
            }
        }
        Ok(())
    }

    /// The rules of a zone.
    pub fn of_zone(&self, apex: &Name) -> OfZone {
        let found = self.zones.iter().find(|(name, _)| name.parse::<Name>().is_ok_and(|name| name == *apex));
        found.map_or_else(OfZone::default, |(_, of_zone)| of_zone.clone())
    }
}
