//! What `floodway check` says of signed zones beyond what a load says: signatures that do not hold, keys that leave a zone
//! without a signer, delegations whose DS nobody can use.

use crate::cli::config::Config;
use crate::cli::dnssec::keys;
use crate::cli::load::about;
use crate::dnssec::Ring;
use crate::dnssec::verify::verify;
use crate::masterfile::{Report, Severity};
use crate::wire::rtype;
use crate::zone::ZoneSet;
use crate::zone::rdata::{print_moment, type_text};
use std::path::Path;

/// Most faults told of one zone: whoever sees these knows enough.
const MOST: usize = 20;
/// How far ahead keys are looked at. Our choice: a quarter of a year, so that there is time for a new one.
const AHEAD: u32 = 90 * 86_400;

/// Tells what is wrong, as warnings: the server would serve all of it.
pub fn check(zones: &ZoneSet, config: &Config, now: u32, report: &mut Report) {
    let keys = keys::read(&config.dnssec.keys, &mut Report::default()).keys;
    let mut warn = |path: &Path, message: String, help: &str| {
        let mut problem = about(path, message);
        problem.severity = Severity::Warning;
        report.push(if help.is_empty() { problem } else { problem.help(help) });
    };
    for (i, zone) in zones.iter().enumerate() {
        for node in zone.nodes().filter(|node| node.is_cut() && !node.is_occluded()) {
            // RFC 4034 section 5.1.4, RFC 4509, RFC 6605.
            let len = |digest_type: u8| match digest_type {
                1 => Some(20),
                2 => Some(32),
                4 => Some(48),
                _ => None,
            };
            let is_wrong = |rdata: &[u8]| rdata.get(3).and_then(|t| len(*t)).is_some_and(|len| rdata.len() != 4 + len);
            let ds = node.rrset(rtype::DS);
            if ds.iter().flat_map(|rrset| rrset.rdatas()).any(|rdata| is_wrong(&rdata)) {
                let message = format!("a DS of {} has a digest of a length that its type does not have", node.name());
                warn(&config.zones.dir, message, "resolvers that validate refuse what is below");
            }
        }
        let Some(signed) = zones.signed(i) else { continue };
        let faults = verify(zone, signed, now, MOST);
        for (name, rtype, fault) in &faults {
            warn(&config.zones.dir, format!("{name} {} {fault}", type_text(*rtype)), "");
        }
        let mut at = now;
        loop {
            match Ring::at(at, zone.apex(), keys.iter().map(|filed| &filed.key)) {
                Ok(Ring { next_change: Some(next), .. }) if next <= now.saturating_add(AHEAD) => at = next,
                Err(_) if at > now => {
                    let message = format!("from {} on no key of {} is active", print_moment(at), zone.apex());
                    warn(&config.dnssec.keys, message, "`floodway keygen dnssec` makes one that follows");
                    break;
                }
                _ => break,
            }
        }
    }
}
