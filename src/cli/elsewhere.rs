//! Zones that are not, or not only, what files here say: copies of other servers' zones, catalogs, and files with updates and
//! serials of ours.

use crate::cli::config::Config;
use crate::cli::dnssec::keys;
use crate::cli::known::{Changes, Known, KnownFile};
use crate::cli::load::about;
use crate::cli::salvage::FromFile;
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::transfer::catalog;
use crate::transfer::keep::{Keep, Settled};
use crate::transfer::settings::{Catalog, Members, SerialRule, Settings, ZoneSettings};
use crate::wire::Name;
use crate::wire::records::Soa;
use crate::zone::Zone;
use crate::zone::diff::soa_of;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a load has from elsewhere.
pub(super) struct Elsewhere {
    /// Zones with files as those say them, where something else is served.
    pub from_files: HashMap<Name, Arc<Zone>>,
    /// What is to be written down once the load is good.
    pub settled: Vec<(Arc<ZoneSettings>, Settled)>,
    /// Zones that have not come yet, or have expired.
    pub absent: Vec<Name>,
    /// The zones that catalogs list.
    pub members: Members,
    /// Zones that were listed, and are no more.
    pub forgotten: Vec<Name>,
}

impl Known {
    /// What is kept, to be looked at or changed.
    pub(super) fn keep(&self) -> MutexGuard<'_, Keep> {
        self.keep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The settings of a zone for what becomes of its file and its updates: where it is signed here and others have it, what
    /// they get is looked after on top of that ([`crate::transfer::seal`]).
    pub(super) fn beneath(&self, of_zone: &Arc<ZoneSettings>, apex: &Name) -> Arc<ZoneSettings> {
        match self.keep().seals.has(apex) {
            true => Arc::new(ZoneSettings { journaled: false, is_sealed: true, ..(**of_zone).clone() }),
            false => of_zone.clone(),
        }
    }

    /// Writes down what was settled, now that all is good.
    pub(super) fn commit(
        &self,
        (settled, forgotten): (Vec<(Arc<ZoneSettings>, Settled)>, Vec<Name>),
        elsewhere: &HashMap<Name, Arc<Zone>>,
        config: &Config,
        report: &mut Report,
    ) {
        let mut keep = self.keep();
        for (of_zone, settled) in settled {
            let apex = settled.zone.apex().clone();
            if let Err(e) = keep.commit(settled, &of_zone) {
                let what = format!("{apex}: what has changed could not be written down: {e}");
                report.push(Diagnostic { severity: Severity::Warning, ..about(&config.state.dir, what) });
            }
        }
        elsewhere.values().for_each(|zone| keep.note(zone));
        forgotten.iter().for_each(|apex| keep.forget(apex));
    }

    /// Puts what is to be served in the place of what the files say, and adds what has no file.
    pub(super) fn add_elsewhere(
        &self,
        config: &Config,
        settings: &Settings,
        zones: &mut Vec<FromFile>,
        report: &mut Report,
        changes: &mut Changes,
    ) -> Elsewhere {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        let mut found = Elsewhere {
            from_files: HashMap::new(),
            settled: Vec::new(),
            absent: Vec::new(),
            members: BTreeMap::new(),
            forgotten: Vec::new(),
        };
        self.produce(settings, zones, &mut found, now);
        let with_keys = keys::zones(&config.dnssec.keys);
        for (path, zone, _) in zones.iter_mut() {
            let (apex, file) = (zone.apex().clone(), zone.clone());
            let begun = self.keep().seal(&apex, with_keys.contains(&apex), settings.of(&apex));
            begun.unwrap_or_else(|e| report.push(about(path, e)));
            let of_zone = &self.beneath(settings.of(&apex), &apex);
            match self.keep().settle(&file, of_zone, now) {
                Ok(settled) => {
                    if let Some(told) = &settled.told {
                        report
                            .push(Diagnostic { severity: Severity::Warning, ..about(path, format!("{apex}: {told}")) });
                    }
                    *zone = settled.zone.clone();
                    if !Arc::ptr_eq(&file, zone) || settled.is_change() {
                        found.from_files.insert(apex, file);
                    }
                    found.settled.push((of_zone.clone(), settled));
                }
                Err(e) => report.push(about(path, format!("the journal of {apex} cannot be read: {e}"))),
            }
        }
        let names: HashMap<Name, PathBuf> = zones.iter().map(|(path, z, _)| (z.apex().clone(), path.clone())).collect();
        for (apex, of_zone) in settings.zones.iter().filter(|(_, of_zone)| !of_zone.primaries.is_empty()) {
            if let Some(path) = names.get(apex) {
                report.push(about(
                    path,
                    format!("{apex} has a file here and primaries in [zone]; it can have one of both"),
                ));
                continue;
            }
            let copy = self.copy(config, apex, of_zone, zones, &mut found.absent, report, now);
            if let Some(catalog) = copy.filter(|_| of_zone.catalog == Some(Catalog::Consumer)) {
                self.consume(&catalog, of_zone, settings, &names, &mut found.members, report);
            }
        }
        for (apex, of_zone) in &found.members {
            self.copy(config, apex, of_zone, zones, &mut found.absent, report, now);
        }
        // RFC 9432 section 5.1: what is on no list any more is gone, and so is what was kept of it.
        let is_gone = |apex: &&Name| {
            !found.members.contains_key(*apex) && !settings.zones.contains_key(*apex) && !names.contains_key(*apex)
        };
        found.forgotten = self.members.keys().filter(is_gone).cloned().collect();
        let is_other =
            |zone: &Arc<Zone>| self.elsewhere.get(zone.apex()).is_none_or(|before| !Arc::ptr_eq(before, zone));
        let of_elsewhere =
            zones.iter().filter(|(_, zone, file)| file.is_elsewhere || found.from_files.contains_key(zone.apex()));
        changes.n_elsewhere = of_elsewhere.filter(|(_, zone, _)| is_other(zone)).count();
        let is_gone = |apex: &&Name| !zones.iter().any(|(_, zone, _)| zone.apex() == *apex);
        if zones.len() < self.elsewhere.len() + names.len() {
            changes.n_elsewhere += self.elsewhere.keys().filter(is_gone).count();
        }
        found
    }

    /// Adds the copy of a zone, if it is good; else its apex to those that are absent.
    #[allow(clippy::too_many_arguments, reason = "one place in the loop above, for two kinds of zones")]
    fn copy(
        &self,
        config: &Config,
        apex: &Name,
        of_zone: &ZoneSettings,
        zones: &mut Vec<FromFile>,
        absent: &mut Vec<Name>,
        report: &mut Report,
        now: u64,
    ) -> Option<Arc<Zone>> {
        let copy = self.keep().copy(apex, of_zone).unwrap_or_else(|e| {
            let what = format!("the copy of {apex} cannot be read, and will be fetched: {e}");
            report.push(Diagnostic { severity: Severity::Warning, ..about(&config.state.dir, what) });
            None
        });
        let soa = |zone: &Zone| soa_of(zone).map(|(_, _, soa): (_, _, Soa)| soa);
        let good = copy.filter(|copy| soa(&copy.zone).is_some_and(|soa| now <= copy.checked + u64::from(soa.expire)));
        match good {
            Some(copy) => {
                zones.push((PathBuf::from(format!("{apex} (copy)")), copy.zone.clone(), KnownFile::elsewhere()));
                Some(copy.zone)
            }
            None => {
                absent.push(apex.clone());
                None
            }
        }
    }

    /// Makes the catalogs that list the zones of the files (RFC 9432 section 4).
    fn produce(&self, settings: &Settings, zones: &mut Vec<FromFile>, found: &mut Elsewhere, now: u64) {
        let producers = settings.zones.iter().filter(|(_, of_zone)| of_zone.catalog == Some(Catalog::Producer));
        let names: Vec<Name> = zones.iter().map(|(_, zone, _)| zone.apex().clone()).collect();
        for (apex, of_zone) in producers {
            let made = Arc::new(catalog::produce(apex, names.iter()));
            // A catalog has no file to say a serial.
            let rule = if of_zone.serial == SerialRule::File { SerialRule::UnixTime } else { of_zone.serial };
            let of_zone = Arc::new(ZoneSettings { serial: rule, journaled: true, ..(**of_zone).clone() });
            if let Ok(settled) = self.keep().settle(&made, &of_zone, now) {
                zones.push((PathBuf::from(format!("{apex} (catalog)")), settled.zone.clone(), KnownFile::elsewhere()));
                found.settled.push((of_zone, settled));
            }
        }
    }

    /// Adds the zones that a catalog lists; one that has a file or a table of its own is that.
    fn consume(
        &self,
        zone: &Zone,
        of_catalog: &Arc<ZoneSettings>,
        settings: &Settings,
        names: &HashMap<Name, PathBuf>,
        members: &mut Members,
        report: &mut Report,
    ) {
        let listed = match catalog::members(zone) {
            Ok(listed) => listed,
            Err(e) => {
                let what = format!("the catalog {} is broken, its zones stay as they are: {e}", zone.apex());
                report.push(Diagnostic { severity: Severity::Warning, ..about(&PathBuf::from("catalog"), what) });
                let before = self.members.iter().map(|(apex, of_zone)| (apex.clone(), of_zone.clone()));
                members.extend(before);
                return;
            }
        };
        let of_member = Arc::new(ZoneSettings {
            primaries: of_catalog.primaries.clone(),
            catalog: None,
            ..(*settings.everywhere).clone()
        });
        for apex in listed {
            if !names.contains_key(&apex) && !settings.zones.contains_key(&apex) {
                members.entry(apex).or_insert_with(|| of_member.clone());
            }
        }
    }
}
