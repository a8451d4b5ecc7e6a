//! What the loop of transfers has done by the one who holds the zones: commit, and publish.

use crate::answer::errand::Update;
use crate::cli::known::Known;
use crate::cli::serve::reload::{Reloader, say};
use crate::exchange::{Exchange, Snapshot};
use crate::transfer::keep::{Keep, Refused};
use crate::transfer::live::{Hands, Wanted};
use crate::transfer::settings::ZoneSettings;
use crate::transfer::update::work_out;
use crate::wire::{Name, Rcode};
use crate::zone::Zone;
use crate::zone::diff::Difference;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, MutexGuard, PoisonError};

/// The journals of a state folder; of one that another process still writes to only what it holds now.
pub(super) fn keep(folder: &Path, only_reads: bool) -> Keep {
    if only_reads {
        return Keep::peek(folder);
    }
    Keep::open(folder).unwrap_or_else(|e| {
        tracing::warn!("{}: {e}; transfers and updates are not kept over a restart", folder.display());
        Keep::default()
    })
}

/// Makes the folder ours: reads it again, and publishes what has changed since it was read first.
pub(super) fn take_over(known: &mut Known, folder: &Path, exchange: &Exchange) {
    *known.keep() = keep(folder, false);
    let (loaded, report, changes) = known.load_elsewhere();
    say(&report);
    if let Some(loaded) = loaded.filter(|_| changes.any()) {
        let next = |now: &Snapshot| now.with_zones(loaded.zones.clone(), loaded.answers.clone());
        drop(exchange.publish_next(next));
    }
}

impl Reloader {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what is known now before the queries.
    fn publish_elsewhere(&self, known: &mut Known, why: &str) {
        let (loaded, report, changes) = known.load_elsewhere();
        say(&report);
        let mut retired = self.retired.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = loaded.filter(|_| changes.any()) {
            let house = (*self.exchange.load().house).clone();
            self.publish(loaded, house, &changes).into_iter().for_each(|before| retired.put(before));
            tracing::debug!(generation = self.exchange.load().generation, "{why}: {changes}");
        }
        retired.free();
    }
}

impl Hands for Reloader {
    fn update(&self, update: &Update, from: IpAddr) -> Rcode {
        let mut known = self.known();
        let Some(used) = known.used.clone() else { return Rcode::ServFail };
        let of_zone = &known.beneath(used.1.of(&update.apex), &update.apex);
        let Some(zone) = known.keep().served(&update.apex).cloned() else { return Rcode::ServFail };
        let house = self.exchange.load().house.clone();
        let grants = &house.rules.of(&update.apex).update;
        let may = |name: &Name, rtype: Option<u16>| {
            grants.iter().any(|grant| grant.is_for(from, &update.key) && grant.covers(name, rtype))
        };
        let (removed, added) = match work_out(&update.message, &zone, may) {
            Err(rcode) => return rcode,
            Ok((removed, added)) if removed.is_empty() && added.is_empty() => return Rcode::NoError,
            Ok(changes) => changes,
        };
        let now = self.clock.now().unix as u64;
        // Let go of what is kept before it is published.
        let made = known.keep().update(&update.apex, (&removed, &added), of_zone, now);
        match made {
            Ok(_) => {
                self.publish_elsewhere(&mut known, "update");
                Rcode::NoError
            }
            Err(e) => {
                let why = match e {
                    Refused::NotKept => "the zone takes none".to_string(),
                    Refused::Misfit(e) => e.to_string(),
                    Refused::Disk(e) => format!("it could not be written down: {e}"),
                };
                tracing::error!("update of {}: {why}; nothing has changed", update.apex);
                Rcode::ServFail
            }
        }
    }

    fn wanted(&self) -> (Vec<Wanted>, usize) {
        let known = self.known();
        let Some(used) = known.used.clone() else { return (Vec::new(), 1) };
        let own = used.1.zones.iter().filter(|(_, of_zone)| !of_zone.primaries.is_empty());
        let all: Vec<(Name, Arc<ZoneSettings>)> =
            own.chain(&known.members).map(|(apex, of_zone)| (apex.clone(), of_zone.clone())).collect();
        let with_copy = all.into_iter().map(|(apex, settings)| {
            let copy = known.keep().copy(&apex, &settings).ok().flatten().map(|copy| (copy.zone, copy.checked));
            Wanted { apex, settings, copy }
        });
        (with_copy.collect(), used.1.inbound)
    }

    fn take(&self, zone: Arc<Zone>, chain: Option<Vec<Difference>>, now: u64) -> Result<(), String> {
        let known = self.known();
        let used = known.used.clone().ok_or("nothing is loaded")?;
        let of_member = known.members.get(zone.apex()).cloned();
        let of_zone = of_member.unwrap_or_else(|| used.1.of(zone.apex()).clone());
        known.keep().take(zone, chain, &of_zone, now).map_err(|e| format!("it could not be written down: {e}"))
    }

    fn checked(&self, apex: &Name, now: u64) {
        let known = self.known();
        let Some(used) = known.used.clone() else { return };
        if let Err(e) = known.keep().checked(apex, used.1.of(apex), now) {
            tracing::warn!("{apex}: that it is current could not be written down: {e}");
        }
    }

    fn publish(&self, why: &str) {
        self.publish_elsewhere(&mut self.known(), why);
    }

    fn journals(&self) -> BTreeMap<Name, u64> {
        self.known().keep().journals()
    }

    fn to_tell(&self) -> Option<Vec<(Arc<Zone>, Arc<ZoneSettings>)>> {
        self.retired.lock().unwrap_or_else(PoisonError::into_inner).free();
        let zones = self.exchange.load().zones.clone();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.upgrade().is_some_and(|told| Arc::ptr_eq(&told, &zones)) {
            return None;
        }
        *told = Arc::downgrade(&zones);
        let used = self.known().used.clone()?;
        let of = |zone: &Arc<Zone>| (zone.clone(), used.1.of(zone.apex()).clone());
        Some(zones.iter().map(of).filter(|(_, of_zone)| !of_zone.notify.is_empty()).collect())
    }
}
