//! What the loop says of each tick: in the log, for metrics, and to whoever looks.

use crate::clock::Now;
use crate::control::all_down::Extent;
use crate::control::announced::Happened;
use crate::control::foresight::Foresight;
use crate::control::live::Loop;
use crate::control::notes::Note;
use crate::forecast::anomaly::Change;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Seconds between looks at how good forecasts are.
const LOOK_OVER_SECS: f64 = 60.0;

impl Loop {
    /// Tells what happened, as loudly as it matters, and counts it.
    pub(super) fn tell(&self, notes: &[Note], now: Now) {
        for note in notes {
            match note {
                Note::Clock { .. } => {
                    self.status.clock_steps.fetch_add(1, Ordering::Relaxed);
                    self.status.jumped.set(now);
                    tracing::warn!("{note}");
                }
                Note::Refused { .. } => {
                    self.status.refused.fetch_add(1, Ordering::Relaxed);
                    self.status.refused_at.set(now);
                    tracing::error!("{note}");
                }
                Note::AllDown { extent: Extent::Nowhere, .. } => tracing::info!("{note}"),
                Note::Anomaly { change: Change::Ended(_), .. } => tracing::info!("{note}"),
                Note::Budget { .. }
                | Note::Breaker { .. }
                | Note::Panic { .. }
                | Note::AllDown { .. }
                | Note::Anomaly { .. } => {
                    tracing::warn!("{note}");
                }
                Note::Assertion { how, .. } if !how.holds() => tracing::error!("{note}"),
                Note::Override { over: false, .. } | Note::Event { what: Happened::Doubted, .. } => {
                    tracing::warn!("{note}");
                }
                Note::Shadow { .. }
                | Note::Event { .. }
                | Note::PanicOver
                | Note::Assertion { .. }
                | Note::Override { .. }
                | Note::Mode { .. } => {
                    tracing::info!("{note}")
                }
            }
        }
        self.status.note(now, notes);
    }

    /// Once a minute: how good the forecasts are, for metrics, and complaints where they are not.
    pub(super) fn look_over(&mut self, now: Now) {
        if self.looked_over.is_some_and(|at| now.since(at) < LOOK_OVER_SECS) {
            return;
        }
        self.looked_over = Some(now);
        let seen = Arc::new(Foresight::of(&self.state, self.fitter.as_ref()));
        let limit = self.wiring.forecast.alert_accuracy;
        let (worse, better) = self.alerts.step(&seen, limit);
        for (group, lead, accuracy) in worse {
            let (minutes, percent) = (f64::from(lead) / 60.0, 100.0 * accuracy);
            tracing::warn!(
                "{group}: forecasts {minutes:.0} min ahead were right to {percent:.0} % over the last day, under {:.0} %; \
                 they still only raise what is planned for, never lower it",
                100.0 * limit
            );
        }
        for group in better {
            tracing::info!("{group}: forecasts are right again to more than {:.0} %", 100.0 * limit);
        }
        self.status.show_foresight(seen);
    }

    /// Says what is known of announced events.
    pub(super) fn show_events(&self, now: Now) {
        // Without any event, too: what is usual and what kinds have taught says what a next one would be.
        self.status.show_events(self.state.announced().state(now));
    }

    /// Says what probes found of each POP.
    pub(super) fn show_probes(&self, now: Now) {
        let shown = self.state.probed(now);
        if !shown.is_empty() || !self.status.probed().is_empty() {
            self.status.show_probed(shown);
        }
    }
}
