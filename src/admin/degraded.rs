//! What a server does without, by name: each way in which it fails static, for `/state`, `/metrics` and `floodway status`.
//!
//! None of them stops an answer. Each says what is missing and what is done instead.

use crate::admin::Source;
use crate::clock::Now;
use crate::steering::Mode;
use crate::store::Health;
use std::sync::atomic::Ordering;

/// The loop beats every second; after so many without one it counts as dead.
pub const DEAD_SECS: f64 = 15.0;
/// A refused plan and a step of the clock are told of for so long, seconds.
const TOLD_SECS: f64 = 300.0;
/// A fit takes milliseconds to seconds; one that takes longer than this hangs.
pub const FIT_SECS: f64 = 600.0;

//----------- Degraded -------------------------------------------------------

/// Something that the server does without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Degraded {
    /// Most POPs are silent.
    TelemetrySilent,
    /// The plan is that of the last run.
    PlanStale,
    /// A plan was refused lately.
    PlanRefused,
    /// Fitting forecasters hangs.
    ForecastStuck,
    /// The history cannot be written.
    StoreGone,
    /// The wall clock was stepped lately.
    ClockJumped,
    /// The control loop does not beat.
    ControllerDead,
}

impl Degraded {
    /// All of them.
    pub const ALL: [Degraded; 7] = [
        Degraded::TelemetrySilent,
        Degraded::PlanStale,
        Degraded::PlanRefused,
        Degraded::ForecastStuck,
        Degraded::StoreGone,
        Degraded::ClockJumped,
        Degraded::ControllerDead,
    ];

    /// As it stands in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Degraded::TelemetrySilent => "telemetry-silent",
            Degraded::PlanStale => "plan-stale",
            Degraded::PlanRefused => "plan-refused",
            Degraded::ForecastStuck => "forecast-stuck",
            Degraded::StoreGone => "store-gone",
            Degraded::ClockJumped => "clock-jumped",
            Degraded::ControllerDead => "controller-dead",
        }
    }

    /// What is missing, and what is done instead.
    pub fn words(self) -> &'static str {
        match self {
            Degraded::TelemetrySilent => {
                "most POPs are silent: shares go over to those by declared capacity, fenced and of healthy members"
            }
            Degraded::PlanStale => "the plan of the last run answers until POPs report",
            Degraded::PlanRefused => "a plan was refused and the one before answers: see the log",
            Degraded::ForecastStuck => "fitting forecasts hangs: those that were fitted before go on",
            Degraded::StoreGone => "the history cannot be written: it is kept in memory",
            Degraded::ClockJumped => "the wall clock was stepped: what was measured was moved along",
            Degraded::ControllerDead => {
                "the control loop does not beat: its last plan holds for a minute, then goes over to declared shares"
            }
        }
    }
}

//----------- Signs ----------------------------------------------------------

/// What tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signs {
    /// On what the plan rests.
    pub mode: Mode,
    /// Seconds since the loop last ended a beat; `None` before the first.
    pub beaten_secs: Option<f64>,
    /// Seconds since a plan was refused.
    pub refused_secs: Option<f64>,
    /// Seconds since the wall clock was stepped.
    pub jumped_secs: Option<f64>,
    /// Seconds since the fit began that is not done.
    pub fitting_secs: Option<f64>,
    /// Whether the history waits in memory.
    pub in_memory: bool,
}

impl Signs {
    /// The signs at this moment.
    pub fn of(source: &Source, now: Now) -> Signs {
        let control = &source.control;
        Signs {
            mode: source.exchange.load().plan.mode,
            beaten_secs: control.beaten.secs(now),
            refused_secs: control.refused_at.secs(now),
            jumped_secs: control.jumped.secs(now),
            fitting_secs: control.fitting.secs(now),
            in_memory: matches!(source.history.counted().health, Health::Memory(_)),
        }
    }

    /// What is done without.
    pub fn degraded(&self) -> Vec<Degraded> {
        let lately = |secs: Option<f64>| secs.is_some_and(|secs| secs < TOLD_SECS);
        let is = |degraded: &Degraded| match degraded {
            Degraded::TelemetrySilent => self.mode == Mode::Blind,
            Degraded::PlanStale => self.mode == Mode::Stale,
            Degraded::PlanRefused => lately(self.refused_secs),
            Degraded::ForecastStuck => self.fitting_secs.is_some_and(|secs| secs >= FIT_SECS),
            Degraded::StoreGone => self.in_memory,
            Degraded::ClockJumped => lately(self.jumped_secs),
            Degraded::ControllerDead => self.beaten_secs.is_some_and(|secs| secs >= DEAD_SECS),
        };
        Degraded::ALL.into_iter().filter(is).collect()
    }
}

/// Beats and panics of the loop, for metrics.
pub(super) fn add(page: &mut super::page::Page, source: &Source) {
    let (now, control) = (source.clock.now(), &source.control);
    let signs = Signs::of(source, now);
    let degraded = signs.degraded();
    let rows = Degraded::ALL.map(|d| {
        let is = if degraded.contains(&d) { 1.0 } else { 0.0 };
        (vec![("mode", d.label().to_owned())], is)
    });
    page.gauge("fail_static", "1 for each thing that is done without; none stops an answer", rows);
    let age = signs.beaten_secs.map(|secs| (Vec::new(), secs));
    page.gauge("control_age_seconds", "Time since the control loop ended a beat; absent before the first", age);
    let count = |n: &std::sync::atomic::AtomicU64| [(Vec::new(), n.load(Ordering::Relaxed))];
    page.counter("control_beats", "Beats of the control loop that ended well", count(&control.ticks));
    page.counter("control_panics", "Beats of the control loop that panicked", count(&control.panics));
    page.counter(
        "plans_refused",
        "Plans that broke an invariant or moved half of a group for no reason",
        count(&control.refused),
    );
    page.counter("plans_unsaved", "Attempts to save plan or events that failed", count(&control.unsaved));
    page.counter("clock_steps", "Steps of the wall clock", count(&control.clock_steps));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_its_sign() {
        let well = || Signs { mode: Mode::Live, beaten_secs: Some(1.0), ..Signs::default() };
        let check = |signs: Signs, is: &[Degraded]| assert_eq!(signs.degraded(), is, "{signs:?}");
        check(well(), &[]);
        check(Signs::default(), &[]);
        check(Signs { mode: Mode::Blind, ..well() }, &[Degraded::TelemetrySilent]);
        check(Signs { mode: Mode::Stale, ..well() }, &[Degraded::PlanStale]);
        check(Signs { refused_secs: Some(10.0), ..well() }, &[Degraded::PlanRefused]);
        check(Signs { refused_secs: Some(1000.0), ..well() }, &[]);
        check(Signs { fitting_secs: Some(30.0), ..well() }, &[]);
        check(Signs { fitting_secs: Some(700.0), ..well() }, &[Degraded::ForecastStuck]);
        check(Signs { in_memory: true, ..well() }, &[Degraded::StoreGone]);
        check(Signs { jumped_secs: Some(1.0), ..well() }, &[Degraded::ClockJumped]);
        let dead = Signs { beaten_secs: Some(20.0), mode: Mode::Blind, ..Signs::default() };
        check(dead, &[Degraded::TelemetrySilent, Degraded::ControllerDead]);
    }
}
