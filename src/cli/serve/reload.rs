//! A reload: everything is loaded anew and swapped in at once, or what there is goes on.

use crate::admin::Loads;
use crate::admin::loads::{Became, Reloaded};
use crate::cli::check::count;
use crate::cli::config::Config;
use crate::cli::house;
use crate::cli::known::{Changes, Known};
use crate::cli::load::Loaded;
use crate::cli::serve::secrets::{Fresh, Secrets};
use crate::cli::serve::systemd;
use crate::clock::Clock;
use crate::control;
use crate::exchange::{Exchange, House, Retired, Snapshot};
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::steering::Table;
use crate::transport;
use crate::transport::tap::writer::Renamed;
use crate::zone::ZoneSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Time in which every thread has ended the batch of queries it was in.
const A_BATCH: Duration = Duration::from_millis(50);
/// How often that is waited for, at most: the control loop may hold a snapshot for a beat, and frees it as well as we do.
const MOST_BATCHES: usize = 30;

/// What is read again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Somebody has asked for it.
    All,
    /// A zone or policy has changed.
    Zones,
}

//----------- Reloader -------------------------------------------------------

/// Loads everything anew and swaps it in at once, or keeps what there is.
pub struct Reloader {
    pub(super) config: Config,
    pub(super) exchange: Arc<Exchange>,
    pub(super) loads: Arc<Loads>,
    pub(super) clock: Clock,
    pub(super) secrets: Secrets,
    /// dnstap's file may have been renamed when somebody asks for a reload.
    pub(super) tap: Option<Renamed>,
    /// What is known of the files served; held for as long as a reload takes, so that there is one at a time.
    pub(super) known: Mutex<Known>,
    /// What was served before a change by transfer or update, until nobody holds it.
    pub(super) retired: Mutex<Retired>,
    /// The zones of which secondaries were last told.
    pub(super) told: Mutex<Weak<ZoneSet>>,
}

impl Reloader {
    /// Reloads everything; `why` is for the log. Shares go on as they were for everything that keeps its name.
    pub fn reload(&self, why: &str) -> Reloaded {
        self.tap.iter().for_each(Renamed::tell);
        self.reload_with(why, Scope::All)
    }

    /// The same but for certificates, which are followed by themselves: a pair that is being replaced shall not keep a zone
    /// from being served.
    pub fn reload_zones(&self, why: &str) -> Reloaded {
        self.reload_with(why, Scope::Zones)
    }

    /// What [`Reloader::reload`] would do; nothing is changed, nor counted.
    pub fn look(&self) -> Reloaded {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.clock.now();
        let mut report = Report::default();
        let house = self.house(&mut report);
        let certificates = self.secrets.look();
        certificates.err().into_iter().flatten().for_each(|e| report.push(self.refused_certificate(e)));
        let (would_be_taken, of_load, changes) = known.look(house.as_ref().map_or(&self.config, |(config, _)| config));
        report.diagnostics.extend(of_load.diagnostics);
        let taken = would_be_taken && house.is_some() && !report.has_errors();
        let generation = self.exchange.load().generation;
        Reloaded::new(taken, generation, self.clock.now().since(begun), said(&changes), report)
    }

    fn reload_with(&self, why: &str, scope: Scope) -> Reloaded {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let begun = self.clock.now();
        systemd::reloading();
        // What is loaded is known from then on, so nothing is unless it can be served.
        let signed_before = known.signed.clone();
        let mut report = Report::default();
        let house = self.house(&mut report);
        let fresh = (scope == Scope::All).then(|| self.fresh(&mut report)).flatten();
        let (loaded, of_load, changes) = match &house {
            Some((config, _)) if !report.has_errors() => known.load(config),
            _ => (None, Report::default(), Changes::default()),
        };
        report.diagnostics.extend(of_load.diagnostics);
        if let (Some((config, house)), Some(loaded)) = (&house, &loaded) {
            house::warn_of_idle_lists(house, &loaded.zones, config, &mut report);
        }
        let loaded = loaded.zip(house.map(|(_, house)| house));
        let taken = loaded.is_some();
        if let Some((loaded, house)) = loaded {
            self.publish(loaded, house, &changes).into_iter().for_each(|before| self.free(before));
            fresh.into_iter().for_each(|fresh| self.secrets.take(fresh, why));
            if changes.n_signed > 0 {
                let made = known.signed.values().map(|of_zone| of_zone.n_made_since(&signed_before)).sum();
                self.loads.note_signatures(made);
            }
        }
        let now = self.clock.now();
        self.loads.note(if taken { Became::Taken } else { Became::Refused }, now.since(begun), now.unix);
        say(&report);
        let refused_at = if taken { 0 } else { now.unix as u64 };
        self.exchange.load().refused_at.store(refused_at, Ordering::Relaxed);
        let (errors, warnings) = report.counts();
        let generation = self.exchange.load().generation;
        match taken {
            true => {
                let told = said(&changes);
                match changes.n_gone {
                    0 => tracing::info!(generation, warnings, "reloaded ({why}): {told}"),
                    // Meant or not, it is what somebody will look for.
                    _ => tracing::warn!(generation, warnings, "reloaded ({why}): {told}"),
                }
            }
            false => tracing::error!(generation, errors, "reload refused ({why}); the server goes on with what it had"),
        }
        systemd::ready(&self.status());
        Reloaded::new(taken, generation, now.since(begun), said(&changes), report)
    }

    /// Certificates and keys as the files have them now.
    fn fresh(&self, report: &mut Report) -> Option<Fresh> {
        let fresh = self.secrets.look();
        self.loads.note_certificates(fresh.is_ok());
        let faults = fresh.as_ref().err().into_iter().flatten();
        faults.for_each(|e| report.push(self.refused_certificate(e.clone())));
        fresh.ok()
    }

    fn refused_certificate(&self, why: String) -> Diagnostic {
        let file = self.config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
        house::problem(file, Severity::Error, format!("certificate refused: {why}"))
    }

    /// Frees what was served before, once no thread that answers holds it: each does for one batch.
    pub(super) fn free(&self, before: Arc<Snapshot>) {
        // Whoever drops the last reference to the old snapshot frees a million names; it shall be this one.
        let mut retired = Retired::default();
        retired.put(before);
        for _ in 0..MOST_BATCHES {
            std::thread::sleep(A_BATCH);
            if retired.free() == 0 {
                break;
            }
        }
        drop(retired);
        transport::sys::trim_heap();
    }

    /// The rules of the house as the file has them now.
    fn house(&self, report: &mut Report) -> Option<(Config, House)> {
        let file = self.config.file.as_deref().unwrap_or(Path::new("floodway.toml"));
        let read = self.config.read_again().map_err(|e| report.push(house::problem(file, Severity::Error, e)));
        let (config, changed) = read.ok()?;
        for section in changed {
            let what = format!("[{section}] changed: takes a restart or a takeover");
            report.push(house::problem(file, Severity::Warning, what));
        }
        let house = house::read(&config, Some(&*self.exchange.load().house), report)?;
        Some((config, house))
    }

    /// A line for `systemctl status`.
    pub fn status(&self) -> String {
        let now = self.exchange.load();
        let refused = if self.loads.counted().is_refused { "; the last load was refused, see the log" } else { "" };
        let left_out = match now.zones.left_out().len() {
            0 => String::new(),
            n => format!(" ({n} left out)"),
        };
        let zones = count(now.zones.n_zones(), "zone");
        format!("answering from {zones}{left_out}, generation {}{refused}", now.generation)
    }

    /// Swaps in what was loaded, all at once, and returns what was served before; `None` if all is as it was.
    pub(super) fn publish(&self, loaded: Loaded, house: House, changes: &Changes) -> Option<Arc<Snapshot>> {
        let before = self.exchange.load_full();
        let house = if *before.house == house { before.house.clone() } else { Arc::new(house) };
        let Loaded { zones, policies, cells, answers } = loaded;
        if !changes.any() {
            let is_new = !Arc::ptr_eq(&house, &before.house);
            let next = |now: &Snapshot| now.with_plan(now.plan.clone(), now.table.clone()).with_house(house.clone());
            return is_new.then(|| self.exchange.publish_next(next));
        }
        // The plan goes on, with its counters, if it means what it meant.
        if Arc::ptr_eq(&policies, &before.policies) && Arc::ptr_eq(&cells, &before.cells) {
            let next = |now: &Snapshot| now.with_zones(zones.clone(), answers.clone()).with_house(house.clone());
            return Some(self.exchange.publish_next(next));
        }
        let plan = control::carry(&before.plan, (&before.policies, &before.cells), (&policies, &cells));
        let table = Arc::new(Table::compile(&plan, &policies, &cells.cells, Some(&before.table)));
        let plan = Arc::new(plan);
        let next = |now: &Snapshot| {
            let (plan, table, house) = (plan.clone(), table.clone(), house.clone());
            now.reloaded(zones.clone(), policies.clone(), cells.clone(), answers.clone(), plan, table).with_house(house)
        };
        Some(self.exchange.publish_next(next))
    }
}

/// What changed, with serials.
fn said(changes: &Changes) -> String {
    let serials = changes.serials();
    let of = if serials.is_empty() { "" } else { ": " };
    format!("{changes}{of}{serials}")
}

/// Writes every problem of a load to the log.
pub(super) fn say(report: &Report) {
    for diagnostic in &report.diagnostics {
        match diagnostic.severity {
            Severity::Error => tracing::error!("{diagnostic}"),
            Severity::Warning => tracing::warn!("{diagnostic}"),
        }
    }
}
