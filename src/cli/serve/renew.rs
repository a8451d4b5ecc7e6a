//! Signatures made anew before they end, and keys that change their state, while the server serves.
//!
//! Nothing is read but keys: a zone file that somebody has left broken must not let signatures end.

use crate::cli::check::count;
use crate::cli::dnssec::sign::{self, Request};
use crate::cli::dnssec::{keys, rollover};
use crate::cli::serve::reload::{Reloader, say};
use crate::exchange::Snapshot;
use crate::masterfile::{Report, Severity};
use crate::transfer::settings::ZoneSettings;
use crate::wire::Name;
use crate::zone::ZoneSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often it is looked whether anything is due. Our choice: the times of keys are told in seconds and waited for in hours.
const BEAT: Duration = Duration::from_secs(20);

/// Renews what is due until `stop` is true.
pub(super) async fn keep(reloader: Arc<Reloader>, mut stop: watch::Receiver<bool>) {
    while tokio::time::timeout(BEAT, stop.wait_for(|stop| *stop)).await.is_err() {
        let reloader = reloader.clone();
        let _ = tokio::task::spawn_blocking(move || reloader.renew()).await;
    }
}

impl Reloader {
    /// Signs zones anew whose signatures end soon or whose keys change their state, and takes the next steps of rollovers.
    fn renew(&self) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.signed.is_empty() {
            return;
        }
        let config = self.config.read_again().map_or_else(|_| self.config.clone(), |(config, _)| config);
        let now = sign::now();
        let mut report = Report::default();
        let served = self.exchange.load_full().zones.clone();
        let has_rolled = self.roll_over(&config.dnssec, &served, now, &mut report);
        let is_due = known.signed.values().any(|of_zone| of_zone.is_due(now));
        let Some((policies, answers)) = known.policies.as_ref().map(|p| p.policies.clone()).zip(known.answers.clone())
        else {
            return;
        };
        if !is_due && !has_rolled && !report.has_errors() {
            return;
        }
        let Some(used) = known.used.clone() else { return };
        let of_zone = |apex: &Name| known.members.get(apex).unwrap_or_else(|| used.1.of(apex)).clone();
        let (settings, keep) = (&of_zone as &dyn Fn(&Name) -> Arc<ZoneSettings>, &*known.keep.clone());
        let request =
            Request { zones: &served, policies: &policies, answers: &answers, config: &config, settings, keep };
        let done = sign::sign_all(&request, &known.signed, now, &mut report);
        if report.has_errors() {
            self.loads.note_renewal_failed();
            report.diagnostics.retain(|diagnostic| diagnostic.severity == Severity::Error);
            say(&report);
            tracing::error!("signatures that are due were not made anew; those that are there go on until they end");
            return;
        }
        if done.n_changed == 0 {
            return;
        }
        let n_made: usize = done.known.values().map(|of_zone| of_zone.n_made_since(&known.signed)).sum();
        done.commit(&request, &mut report);
        say(&report);
        known.signed = done.known;
        let histories = known.keep().histories();
        let zones = |now: &Snapshot| {
            let zones = sign::with_signed((*now.zones).clone(), &known.signed);
            Arc::new(zones.with_histories(histories.clone()))
        };
        let next = |now: &Snapshot| now.with_zones(zones(now), now.answers.clone());
        let before = self.exchange.publish_next(next);
        self.free(before);
        self.loads.note_signatures(n_made);
        tracing::info!("{} signed anew, {n_made} signatures made", count(done.n_changed, "zone"));
    }

    /// The next steps of rollovers; whether any was taken.
    fn roll_over(
        &self,
        config: &crate::cli::dnssec::config::Dnssec,
        zones: &ZoneSet,
        now: u32,
        report: &mut Report,
    ) -> bool {
        if config.zsk_lifetime_seconds == 0 {
            return false;
        }
        let (mut all, mut has_rolled) = (keys::read(&config.keys, report).keys, false);
        for zone in
            zones.iter().filter(|zone| all.iter().any(|filed| filed.key.zone == *zone.apex())).collect::<Vec<_>>()
        {
            let longest = zone.nodes().flat_map(|node| node.rrsets()).map(|rrset| rrset.ttl).max().unwrap_or(0);
            match rollover::step(config, &mut all, zone.apex(), longest, now) {
                Ok(said) => {
                    has_rolled |= !said.is_empty();
                    said.iter().for_each(|said| tracing::info!("{said}"));
                }
                Err(e) => {
                    self.loads.note_renewal_failed();
                    tracing::error!("{}: {e}; the keys that are there go on signing", zone.apex());
                }
            }
        }
        has_rolled
    }
}
