//! What a group asks for now, and what it will ask for.
//!
//! The total is what its POPs report. Every minute it goes into the group's forecaster, whose quantiles
//! may raise the planned demand, never lower it.

use crate::clock::Now;
use crate::control::silence::NORMAL_SECS;
use crate::control::state::{GroupState, Layout, State};
use crate::forecast::former::Forecaster;
use crate::forecast::quantiles::Quantiles;
use crate::id::{GroupIdx, PopIdx};
use crate::policy::ForecastUse;
use crate::steering::Demand;

/// The grid of forecasts, seconds.
const STEP_SECS: f64 = 60.0;
/// Cycles of a day and of a week on that grid.
const SEASONS: [usize; 2] = [1440, 10_080];
/// Leads that people read, steps.
const SHOWN: [usize; 3] = [5, 15, 30];
/// Seconds until a surge is noticed and until connections follow, on top of half a TTL.
const REACT_SECS: f64 = 62.0;
/// Levels planned for, at the group's own lead and at twice that. Higher ones cost milliseconds all day
/// and bought nothing in simulation.
const PLANNED: [f64; 2] = [0.6, 0.8];
/// Forecasts steer only when so many were scored at their lead.
const LEAST_SCORED: usize = 30;
/// Most steps that are filled in as gaps after a pause.
const MOST_GAPS: u64 = 1440;
/// Growth of a surge taken when no forecast can be trusted yet, per second, and how likely it is.
const PRIOR_GROWTH: f64 = 1e-3;
/// See [`PRIOR_GROWTH`].
const PRIOR_LIKELIHOOD: f64 = 0.1;

//----------- Outlook --------------------------------------------------------

/// The forecaster of one group, and the minute it is in.
#[derive(Clone, Debug)]
pub struct Outlook {
    forecaster: Forecaster,
    origin: Now,
    /// Steps observed so far.
    step: u64,
    sum: f64,
    n: u32,
}

impl Outlook {
    /// Nothing seen. Steps begin with the minutes of the wall clock at the start, as those of the stored history do.
    pub fn new(now: Now) -> Outlook {
        Outlook {
            forecaster: Forecaster::new(STEP_SECS, SEASONS.to_vec()),
            origin: now.after(-now.unix.rem_euclid(STEP_SECS)),
            step: 0,
            sum: 0.0,
            n: 0,
        }
    }

    /// Takes in what was seen before the start, minute by minute up to it; gaps where nothing was.
    pub fn recall(&mut self, minutes: &[Option<f64>]) {
        self.forecaster.recall(minutes);
    }

    /// Takes in the demand of this moment, `None` while nobody reports; says whether a step was completed.
    pub fn observe(&mut self, demand: Option<f64>, now: Now) -> bool {
        let step = (now.since(self.origin) / STEP_SECS) as u64;
        let completed = step > self.step;
        if completed {
            let mean = (self.n > 0).then(|| self.sum / f64::from(self.n));
            self.forecaster.observe(mean);
            for _ in 0..(step - self.step - 1).min(MOST_GAPS) {
                self.forecaster.observe(None);
            }
            (self.step, self.sum, self.n) = (step, 0.0, 0);
        }
        if let Some(demand) = demand {
            self.sum += demand;
            self.n += 1;
        }
        completed
    }

    /// The distribution `secs` from now; `None` until enough forecasts at that lead were scored.
    pub fn at(&self, secs: f64) -> Option<Quantiles> {
        let lead = (secs / STEP_SECS).ceil().max(1.0) as usize;
        (self.forecaster.n_scored(lead) >= LEAST_SCORED).then(|| self.forecaster.forecast(&[lead])[0])
    }

    /// Median and 0.9 quantile at 5, 15 and 30 minutes; `None` before the first observation.
    pub fn shown(&self) -> Option<[[f64; 2]; 3]> {
        (self.forecaster.n_scored(1) > 0).then(|| {
            let quantiles = self.forecaster.forecast(&SHOWN);
            std::array::from_fn(|i| [quantiles[i].at(0.5), quantiles[i].at(0.9)])
        })
    }
}

//----------- Expected -------------------------------------------------------

/// The demand of one group that a tick plans for.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// As shown in the plan.
    pub demand: Demand,
    /// Planned demand per cell, requests per second.
    pub by_cell: Vec<f64>,
}

/// What each group is asked for now, requests per second: the sum of what is reported of it. A POP that
/// fell silent is taken to carry what it did, in proportion to the share it still gets. `None` for a group
/// that nobody has reported on.
pub fn totals(state: &State, layout: &Layout, now: Now) -> Vec<Option<f64>> {
    let total = |(g, group): (usize, &GroupState)| {
        let rates = group.reporters.iter().filter_map(|((pop, member), reporter)| {
            let rate = reporter.window.rate()?;
            let kept = match reporter.window.silent_secs(now) {
                s if s < NORMAL_SECS => 1.0,
                _ if reporter.share_when_heard <= 0.0 => 0.0,
                _ => (share_of(state, layout, GroupIdx::from(g), *pop, *member) / reporter.share_when_heard).min(1.0),
            };
            Some(kept * rate)
        });
        rates.reduce(|a, b| a + b)
    };
    state.groups.iter().enumerate().map(total).collect()
}

/// Share of a group's demand that the served plan gives to a reporter's members.
pub fn share_of(
    state: &State,
    layout: &Layout,
    group: GroupIdx,
    pop: PopIdx,
    member: Option<crate::id::MemberIdx>,
) -> f64 {
    let spec = &layout.policies.groups[group.idx()].members;
    let members = spec.iter().zip(&state.plan.groups[group.idx()].members).enumerate();
    let at = members.filter(|(i, (spec, _))| member.map_or(spec.pop == Some(pop), |m| m.idx() == *i));
    at.map(|(_, (_, plan))| plan.share).sum()
}

/// Feeds the forecasters; nothing is observed while more than half of the POPs are silent.
pub fn observe(state: &mut State, totals: &[Option<f64>], blind: bool, now: Now) {
    for (group, total) in state.groups.iter_mut().zip(totals) {
        group.outlook.observe(total.filter(|_| !blind), now);
    }
}

/// Planned demand of every group: the greatest of now and of the quantiles looked at, over the cells.
pub fn expect(state: &State, layout: &Layout, totals: &[Option<f64>]) -> Vec<Expected> {
    let expect = |((g, group), total): ((usize, &GroupState), &Option<f64>)| {
        let spec = &layout.policies.groups[g];
        let now = total.unwrap_or(0.0);
        let lead = lead_secs(state.plan.groups[g].ttl);
        let level = |i: usize| group.outlook.at((i + 1) as f64 * lead).map_or(0.0, |q| q.at(PLANNED[i]));
        let planned = match spec.forecast {
            ForecastUse::Steer => now.max(level(0)).max(level(1)),
            ForecastUse::Show | ForecastUse::Off => now,
        };
        let ahead = if spec.forecast == ForecastUse::Off { None } else { group.outlook.shown() };
        let shares = group.cells.shares(&layout.cells.cells);
        let by_cell = shares.into_iter().map(|s| s * planned).collect();
        Expected { demand: Demand { now, planned, ahead }, by_cell }
    };
    state.groups.iter().enumerate().zip(totals).map(expect).collect()
}

/// Seconds until a change of answers has reached half of the load: noticing, half a TTL, connections.
pub fn lead_secs(ttl: u32) -> f64 {
    REACT_SECS + f64::from(ttl) / 2.0
}

/// Probability that demand exceeds `limit` in `secs`; by a prior on how surges grow where no forecast can
/// be trusted yet or none may be used.
pub fn risk(group: &GroupState, forecast: ForecastUse, now: f64, limit: f64, secs: f64) -> f64 {
    match group.outlook.at(secs).filter(|_| forecast == ForecastUse::Steer) {
        _ if now > limit => 1.0,
        Some(quantiles) => quantiles.above(limit),
        None if now * (PRIOR_GROWTH * secs).exp() > limit => PRIOR_LIKELIHOOD,
        None => 0.0,
    }
}

/// The 0.9 quantile of demand in `secs`, at least what it is now; by the same prior as [`risk`].
pub fn high(group: &GroupState, forecast: ForecastUse, now: f64, secs: f64) -> f64 {
    match group.outlook.at(secs).filter(|_| forecast == ForecastUse::Steer) {
        Some(quantiles) => quantiles.at(0.9).max(now),
        None => now * (PRIOR_GROWTH * secs).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;

    #[test]
    fn minutes_go_into_the_forecaster_and_pauses_become_gaps() {
        let mut outlook = Outlook::new(at(0.0));
        let mut completed = 0;
        for s in 0..3600 {
            completed += usize::from(outlook.observe(Some(100.0), at(f64::from(s))));
        }
        assert_eq!(completed, 59);
        assert!(outlook.at(60.0).is_some() && outlook.at(1800.0).is_none(), "29 scored at half an hour");
        assert!(outlook.observe(None, at(7200.0)));
        assert_eq!(outlook.step, 120);
        let shown = outlook.shown().unwrap();
        assert!((shown[2][0] - 100.0).abs() < 1e-6, "{shown:?}");
    }
}
