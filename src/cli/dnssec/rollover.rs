//! Rolling zone-signing keys over by themselves, where `[dnssec] zsk-lifetime-seconds` asks for it (pre-publication, RFC 6781
//! section 4.1.1.1, RFC 7583 section 3.2.1).
//!
//! ```text
//! old key    ────────── active ──────────┤ retired ├ removed
//! successor                   │ published ┤──────── active …
//!                             now         + lead     + lead + what caches keep
//! ```
//!
//! The plan is written into the key files as times, so that a restart, another server of the zone and the operator see it.
//! Keys that the parent's DS names are rolled over by times that the operator sets: only the parent can say when it is done.

use crate::cli::dnssec::config::Dnssec;
use crate::cli::dnssec::keys::{self, Filed};
use crate::cli::dnssec::make;
use crate::dnssec::{Key, State, Timing};
use crate::wire::Name;

/// Time in which every server of a zone has what this one has. Our choice: an hour, as Knot's `propagation-delay` and BIND's
/// `zone-propagation-delay` with room.
const PROPAGATION: u32 = 3600;

/// Takes the next step for every key of `zone` that is due for one: a successor is made, and times are set. Says what was done.
/// `longest_ttl`: of the zone's records, which caches keep with the old key's signatures.
///
/// # Errors
/// A text for people: a file cannot be written.
pub fn step(
    config: &Dnssec,
    keys: &mut Vec<Filed>,
    zone: &Name,
    longest_ttl: u32,
    now: u32,
) -> Result<Vec<String>, String> {
    let lifetime = config.zsk_lifetime_seconds;
    let lead = config.dnskey_ttl + PROPAGATION;
    let mut said = Vec::new();
    if lifetime == 0 {
        return Ok(said);
    }
    for i in 0..keys.len() {
        let key = &keys[i].key;
        let is_due = |from: u32| now >= from.saturating_add(lifetime).saturating_sub(lead);
        let (is_zsk, timing) = (key.zone == *zone && !key.is_sep(), key.timing);
        let is_active = is_zsk && timing.state(now) == State::Active && timing.inactive.is_none();
        // A key without times has been active for as long as anybody can tell.
        if !is_active || !is_due(timing.activate.or(timing.created).unwrap_or(0)) {
            continue;
        }
        let at = now + lead;
        let is_next = |other: &Key| {
            other.zone == *zone
                && other.algorithm == key.algorithm
                && !other.is_sep()
                && matches!(other.timing.state(now), State::Waiting | State::Published)
        };
        let next = match keys.iter().find(|other| is_next(&other.key)) {
            // The operator has one ready.
            Some(next) => next.key.tag,
            None => {
                let times = Timing { created: Some(now), publish: Some(now), activate: Some(at), ..Timing::default() };
                let (flags, algorithm) = (key.flags, key.algorithm);
                let made = make::free(&config.keys, || Key::generate(zone.clone(), flags, algorithm, times))?;
                let (tag, stem) = (made.tag, keys::write_new(&config.keys, &made)?);
                keys.push(Filed { key: made, stem });
                tag
            }
        };
        let from = keys.iter().find(|k| k.key.zone == *zone && k.key.tag == next).and_then(|k| k.key.timing.activate);
        let inactive = from.unwrap_or(at).max(now + 1);
        let old = &mut keys[i];
        old.key.timing.inactive = Some(inactive);
        old.key.timing.delete = Some(inactive.saturating_add(longest_ttl).saturating_add(PROPAGATION));
        keys::rewrite(old)?;
        said.push(format!("key {} of {zone} gives way to {next} in {} s", old.key.tag, inactive - now));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dnssec::{Algorithm, Ring};
    use crate::masterfile::Report;

    /// Forty days of a zone whose key lives three: at every hour somebody signs, and nobody who was not seen an hour and the
    /// TTL of DNSKEY before; what was signed is verifiable for as long as caches keep it.
    #[test]
    fn keys_follow_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let config = Dnssec { keys: dir.path().into(), zsk_lifetime_seconds: 3 * 86_400, ..Dnssec::default() };
        let zone: Name = "example".parse().unwrap();
        let start = 1_800_000_000;
        let timing = Timing { publish: Some(start), activate: Some(start), ..Timing::default() };
        for flags in [257, 256] {
            let key = Key::generate(zone.clone(), flags, Algorithm::Ed25519, timing).unwrap();
            keys::write_new(dir.path(), &key).unwrap();
        }
        let mut seen: Vec<(u16, u32)> = Vec::new();
        let mut signed: Vec<(u16, u32)> = Vec::new();
        let mut rolled = 0;
        for hour in 0..40 * 24 {
            let now = start + hour * 3600;
            let mut keys = keys::read(dir.path(), &mut Report::default()).keys;
            rolled += step(&config, &mut keys, &zone, 7200, now).unwrap().len();
            let ring = Ring::at(now, &zone, keys.iter().map(|filed| &filed.key)).unwrap();
            for key in &ring.published {
                if !seen.iter().any(|(tag, _)| *tag == key.tag) {
                    seen.push((key.tag, now));
                }
            }
            let active = ring.of_zone[0].tag;
            assert_eq!(ring.of_zone.len(), 1);
            let first_seen = seen.iter().find(|(tag, _)| *tag == active).unwrap().1;
            assert!(first_seen == start || now >= first_seen + 7200, "hour {hour}");
            signed.push((active, now));
            let in_caches = signed.iter().rev().take_while(|(_, at)| *at + 7200 > now).map(|(tag, _)| *tag);
            for tag in in_caches {
                assert!(ring.published.iter().any(|key| key.tag == tag), "hour {hour}: {tag} is gone");
            }
        }
        assert_eq!(rolled, 13);
    }
}
