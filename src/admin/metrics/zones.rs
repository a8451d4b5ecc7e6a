//! Zones: what is served of them, their signatures, and what passes between this server and others about them.
//!
//! What is told zone by zone is bounded, since ten thousand zones with ten series each would cost whoever stores them more than
//! they tell; what is to be alarmed of is there for all zones together, too.

use crate::admin::Source;
use crate::admin::page::{Labels, Page};
use crate::answer::dealings::{Copy, Dealings, Look};
use crate::wire::Name;
use crate::zone::signed::Facts;
use crate::zone::{Signed, Zone};
use std::collections::BTreeMap;

pub(super) fn add(page: &mut Page, source: &Source, most: usize) {
    served(page, source, most);
    let now = source.clock.now().unix;
    dealings(page, &source.observed.dealings);
    copies(page, &source.observed.dealings.copies(), now as u64, most);
    let journals = source.observed.dealings.journals();
    page.gauge("journals", "Zones whose changes are kept on disk", one(journals.len() as f64));
    let sum: u64 = journals.values().sum();
    page.gauge("journal_bytes", "Octets of all journals", one(sum as f64));
    let rows = journals.iter().take(most).map(|(apex, octets)| (of(apex), *octets as f64));
    page.gauge("zone_journal_bytes", "Octets of each zone's journal", rows);
}

fn one(value: f64) -> [(Labels, f64); 1] {
    [(Labels::new(), value)]
}

fn of(apex: &Name) -> Labels {
    vec![("zone", apex.to_string())]
}

//----------- Served ---------------------------------------------------------

fn served(page: &mut Page, source: &Source, most: usize) {
    let zones = &source.exchange.load().zones;
    let states = [("served", zones.n_zones()), ("left_out", zones.left_out().len())];
    let rows = states.map(|(state, n)| (vec![("state", state.to_owned())], n as f64));
    page.gauge("zones", "Zones, by whether they are served or were left out by the start for errors", rows);
    let serials = zones.iter().take(most).map(|zone| (of(zone.apex()), f64::from(zone.serial())));
    page.gauge("zone_serial", "Serial of each zone's SOA", serials);

    let loads = source.loads.counted();
    page.counter("signatures_made", "Signatures of zones that were made", [(Labels::new(), loads.signatures)]);
    let failed = [(Labels::new(), loads.renewals_failed)];
    page.counter("signing_failures", "Times that signatures or keys were due and could not be made", failed);
    let signed = || zones.iter().enumerate().filter_map(|(i, zone)| Some((&**zone, &**zones.signed(i)?)));
    page.gauge("signed_zones", "Zones that are signed", one(signed().count() as f64));
    let earliest = signed().map(|(_, signed)| signed.facts.earliest_end).min();
    let help = "Unix time at which the first signature of all zones ends";
    page.gauge("signature_expiry_timestamp_seconds", help, earliest.into_iter().flat_map(|at| one(at.into())));
    let by_zone = |of_facts: fn(&Facts) -> f64| {
        let row = move |(zone, signed): (&Zone, &Signed)| (of(zone.apex()), of_facts(&signed.facts));
        signed().take(most).map(row).filter(|(_, value)| *value > 0.0).collect::<Vec<_>>()
    };
    page.gauge("zone_signatures", "Signatures of a zone", by_zone(|facts| facts.n_signatures as f64));
    let help = "Unix time at which the first signature of a zone ends";
    page.gauge("zone_signature_expiry_timestamp_seconds", help, by_zone(|facts| facts.earliest_end.into()));
    let help = "Unix time at which signatures of a zone were made last";
    page.gauge("zone_signed_timestamp_seconds", help, by_zone(|facts| facts.signed_at.into()));
}

//----------- Dealings -------------------------------------------------------

fn dealings(page: &mut Page, dealings: &Dealings) {
    let two = |a: (&'static str, &str), b: (&'static str, &str)| vec![(a.0, a.1.to_owned()), (b.0, b.1.to_owned())];
    let label = |key: &'static str, word: &str| vec![(key, word.to_owned())];
    let ends = dealings.transfers().flat_map(|(kind, finished, cut)| {
        let row = |result, n| (two(("kind", kind.label()), ("result", result)), n);
        [row("finished", finished), row("cut", cut)]
    });
    page.counter("transfers_out", "Transfers that went out over a stream, by what they were and how they ended", ends);
    let looks = Look::ALL.into_iter().zip(dealings.looks()).map(|(look, n)| (label("result", look.label()), n));
    page.counter("transfers_in", "Looks at primaries, by what came of them", looks);
    let rows = dealings.refusals().map(|(asked, why, n)| (two(("asked", asked.label()), ("reason", why)), n));
    page.counter("peer_refusals", "Transfers, notifications, updates and signed queries that were refused", rows);
    let [dropped, taken] = dealings.notifies();
    let rows = [(label("result", "taken"), taken), (label("result", "dropped"), dropped)];
    page.counter("notifies_in", "NOTIFYs of primaries, by whether there was room to look into them", rows);
    let [unheard, heard] = dealings.tellings();
    let rows = [(label("result", "heard"), heard), (label("result", "unheard"), unheard)];
    page.counter("notifies_out", "NOTIFYs to secondaries, all tries together, by whether they were acknowledged", rows);
    // NOERROR stands for the family; of the other codes, those that have occurred.
    let updates = dealings.updates().filter(|(rcode, n)| *n > 0 || rcode.number() == 0);
    let rows = updates.map(|(rcode, n)| (label("rcode", rcode.name()), n));
    page.counter("updates", "UPDATEs that were let in, by the rcode of the reply", rows);
}

/// How a copy is.
fn state(copy: &Copy, now: u64) -> &'static str {
    match copy {
        Copy { serial: None, .. } => "absent",
        copy if copy.expires < now => "expired",
        Copy { n_failed: 0, .. } => "fresh",
        _ => "failing",
    }
}

fn copies(page: &mut Page, copies: &BTreeMap<Name, Copy>, now: u64, most: usize) {
    let states = ["fresh", "failing", "expired", "absent"].map(|word| {
        let n = copies.values().filter(|copy| state(copy, now) == word).count();
        (vec![("state", word.to_owned())], n as f64)
    });
    let help =
        "Zones from elsewhere: the last look at a primary was good, or failed; the copy is too old; there is none";
    page.gauge("secondary_zones", help, states);
    let first = copies.values().filter(|copy| copy.serial.is_some()).map(|copy| copy.expires).min();
    let help = "Unix time at which the first copy is served no more, unless a primary is reached";
    page.gauge("secondary_expiry_timestamp_seconds", help, first.into_iter().flat_map(|at| one(at as f64)));
    let by_zone = |value: fn(&Copy) -> Option<f64>| {
        let row = move |(apex, copy): (&Name, &Copy)| Some((of(apex), value(copy)?));
        copies.iter().take(most).filter_map(row).collect::<Vec<_>>()
    };
    let at = |page: &mut Page, name: &str, help, value| page.gauge(name, help, by_zone(value));
    at(page, "secondary_zone_serial", "Serial of a zone's copy", |copy| copy.serial.map(f64::from));
    let help = "Unix time at which a primary was last heard to have nothing newer";
    let checked = |copy: &Copy| (copy.checked > 0).then_some(copy.checked as f64);
    at(page, "secondary_zone_checked_timestamp_seconds", help, checked);
    let help = "Unix time at which a primary is looked at next; 0: at once";
    at(page, "secondary_zone_refresh_timestamp_seconds", help, |copy| Some(copy.refresh as f64));
    let help = "Unix time at which a zone's copy is served no more, unless a primary is reached";
    let expires = |copy: &Copy| copy.serial.map(|_| copy.expires as f64);
    at(page, "secondary_zone_expiry_timestamp_seconds", help, expires);
    let help = "Looks at the primaries of a zone that have failed since the last good one";
    at(page, "secondary_zone_failures", help, |copy| Some(copy.n_failed.into()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::fixture::source;

    #[test]
    fn zones_are_told_one_by_one_up_to_a_limit() {
        let source = source();
        let name = |i: u32| format!("z{i}.example").parse::<Name>().unwrap();
        let copy = |serial, n_failed, expires| Copy { serial, checked: 5, refresh: 9, expires, n_failed };
        let copies =
            [copy(Some(7), 0, u64::MAX), copy(Some(8), 2, u64::MAX), copy(Some(9), 3, 10), copy(None, 1, u64::MAX)];
        let dealings = &source.observed.dealings;
        dealings.note_copies((0..).map(name).zip(copies).collect());
        dealings.note_journals((0..3).map(|i| (name(i), 100)).collect());
        dealings.looked(Look::Tls);
        dealings.updated(crate::wire::Rcode::Refused);
        let text = crate::admin::metrics::print(&source, 2).unwrap();
        for line in [
            "floodway_secondary_zones{state=\"fresh\"} 1.0",
            "floodway_secondary_zones{state=\"failing\"} 1.0",
            "floodway_secondary_zones{state=\"expired\"} 1.0",
            "floodway_secondary_zones{state=\"absent\"} 1.0",
            "floodway_secondary_expiry_timestamp_seconds 10.0",
            "floodway_secondary_zone_serial{zone=\"z1.example.\"} 8.0",
            "floodway_secondary_zone_failures{zone=\"z1.example.\"} 2.0",
            "floodway_journals 3.0",
            "floodway_journal_bytes 300.0",
            "floodway_transfers_in_total{result=\"tls\"} 1",
            "floodway_transfers_out_total{kind=\"ixfr-whole\",result=\"cut\"} 0",
            "floodway_peer_refusals_total{asked=\"transfer\",reason=\"badkey\"} 0",
            "floodway_notifies_out_total{result=\"heard\"} 0",
            "floodway_updates_total{rcode=\"REFUSED\"} 1",
            "floodway_updates_total{rcode=\"NOERROR\"} 0",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
        assert!(!text.contains("z2.example"), "no more than two of any");
        let none = crate::admin::metrics::print(&source, 0).unwrap();
        assert!(!none.contains("zone=") && none.contains("floodway_secondary_zones"));
    }
}
