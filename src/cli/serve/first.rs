//! The first load of a start, and what is served from then on.

use crate::admin::Loads;
use crate::admin::loads::Became;
use crate::cli::check::{self, counted};
use crate::cli::config::Config;
use crate::cli::house;
use crate::cli::known::Known;
use crate::cli::load::{Errors, Loaded, kept_in};
use crate::cli::serve::hands;
use crate::cli::serve::reload::say;
use crate::clock::Clock;
use crate::control::{Saved, kept, live};
use crate::exchange::Snapshot;
use crate::masterfile::Report;
use crate::steering::Table;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

//----------- First ----------------------------------------------------------

/// What a load gave.
pub(super) struct First {
    pub(super) snapshot: Snapshot,
    /// For the next load.
    pub(super) known: Known,
    /// With this one noted.
    pub(super) loads: Arc<Loads>,
    /// The plan of the last run.
    pub(super) saved: Option<Saved>,
    /// Zones that are served.
    pub(super) n_zones: usize,
}

/// Loads everything for `n_threads` threads that answer. A successor takes no load with errors: it would take zones from
/// clients that have them. Any other start leaves out what hangs together with errors.
///
/// # Errors
/// The report of a refused load.
pub(super) fn load(config: &Config, clock: Clock, n_threads: usize, is_successor: bool) -> Result<First, String> {
    let folder = kept_in(&config.state.dir);
    let mut known = Known { keep: Arc::new(Mutex::new(hands::keep(&folder, is_successor))), ..Known::default() };
    let mut report = Report::default();
    let house = house::read(config, None, &mut report);
    let errors = if is_successor { Errors::Refuse } else { Errors::LeaveOut };
    let (loaded, of_load, changes) = known.load_or(config, errors);
    let serials = changes.serials();
    report.diagnostics.extend(of_load.diagnostics);
    let (loaded, house) = loaded.zip(house).ok_or_else(|| format!("{report}not started: {}", counted(&report)))?;
    house::warn_of_idle_lists(&house, &loaded.zones, config, &mut report);
    say(&report);
    let loads = Arc::new(Loads::default());
    let became = if report.has_errors() { Became::TakenInPart } else { Became::Taken };
    loads.note(became, clock.now().mono, clock.now().unix);
    loads.note_signatures(known.n_signatures_made());
    let n_zones = loaded.zones.n_zones();
    tracing::info!("loaded {}: {serials}", check::summary(&loaded));
    if became == Became::TakenInPart {
        let what = check::count(loaded.zones.left_out().len(), "zone");
        tracing::error!("started all the same: what is left out ({what}) gets SERVFAIL until a reload succeeds");
    }
    let saved = kept::read_saved(&config.state.dir, clock.now());
    if let Some(saved) = &saved {
        let age = clock.now().unix - saved.decided_at;
        tracing::info!("serving the plan of the last run, decided {age:.0} s ago, until telemetry comes");
    }
    let snapshot = first_snapshot(loaded, n_threads, saved.as_ref()).with_house(Arc::new(house));
    if became == Became::TakenInPart {
        snapshot.refused_at.store(clock.now().unix as u64, Ordering::Relaxed);
    }
    Ok(First { snapshot, known, loads, saved, n_zones })
}

/// The first snapshot: the plan of the last run where one was saved, else the declared one.
fn first_snapshot(loaded: Loaded, n_threads: usize, saved: Option<&Saved>) -> Snapshot {
    let Loaded { zones, policies, cells, answers } = loaded;
    let plan = Arc::new(live::first_plan(saved, &policies, &cells));
    let table = Arc::new(Table::compile(&plan, &policies, &cells.cells, None));
    Snapshot::first(n_threads, zones, policies, cells, answers, plan, table)
}
