//! The demand that a tick plans for: what is asked now, what forecasts and events raise it to, and where it comes from.

use crate::clock::Now;
use crate::control::outlook::lead_secs;
use crate::control::silence::NORMAL_SECS;
use crate::control::state::{GroupState, Layout, State};
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::ForecastUse;
use crate::steering::Demand;

/// The demand of one group that a tick plans for.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    /// As shown in the plan.
    pub demand: Demand,
    /// Planned demand per cell, requests per second.
    pub by_cell: Vec<f64>,
}

/// What each group is asked for now, requests per second: the sum of what is reported of it, and what external members have
/// beside that. A POP that fell silent is taken to carry what it did, in proportion to the share it still gets. `None` for a
/// group that nobody has reported on.
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
        Some(rates.reduce(|a, b| a + b)? / (1.0 - group.elsewhere))
    };
    state.groups.iter().enumerate().map(total).collect()
}

/// Share of a group's demand that the served plan gives to a reporter's members.
pub fn share_of(state: &State, layout: &Layout, group: GroupIdx, pop: PopIdx, member: Option<MemberIdx>) -> f64 {
    let spec = &layout.policies.groups[group.idx()].members;
    let members = spec.iter().zip(&state.plan.groups[group.idx()].members).enumerate();
    let at = members.filter(|(i, (spec, _))| member.map_or(spec.pop == Some(pop), |m| m.idx() == *i));
    at.map(|(_, (_, plan))| plan.share).sum()
}

/// Planned demand of every group: the greatest of now and of the quantiles looked at, over the cells.
pub fn expect(state: &State, layout: &Layout, totals: &[Option<f64>], at: Now) -> Vec<Expected> {
    let expect = |((g, group), total): ((usize, &GroupState), &Option<f64>)| {
        let spec = &layout.policies.groups[g];
        let told = group.outlook.told().map(|told| &told.shares).filter(|s| s.len() == layout.cells.cells.len());
        let origins = &group.origins;
        let seen = (state.skills.origins && told.is_none()).then(|| origins.demand(at.unix)).flatten();
        let now = total.unwrap_or(0.0);
        let lead = lead_secs(state.plan.groups[g].ttl);
        let extra = |secs| group.outlook.extra().map_or(0.0, |extra| extra.planned(secs));
        let usual = (now - group.outlook.brought()).max(0.0);
        let level = |i: usize| {
            let secs = (i + 1) as f64 * lead;
            let quantile = group.outlook.usual_at(secs).map_or(0.0, |q| q.at(state.skills.planned[i]));
            quantile.max(usual) + extra(secs)
        };
        let planned = match state.forecast_use(layout, GroupIdx::from(g)) {
            ForecastUse::Steer => now.max(level(0)).max(level(1)),
            ForecastUse::Show | ForecastUse::Off => now,
        };
        let ahead = if spec.forecast == ForecastUse::Off { None } else { group.outlook.shown() };
        // What events bring may come from elsewhere than the rest.
        let from = group.outlook.extra().map_or(&[][..], |extra| &extra.cells);
        let apart = |n: usize| if from.len() == n { extra(2.0 * lead).min(planned) } else { 0.0 };
        let of_event = |r: usize, apart: f64| from.get(r).map_or(0.0, |from| from * apart);
        let steers = state.forecast_use(layout, GroupIdx::from(g)) == ForecastUse::Steer;
        let by_cell: Vec<f64> = match seen.and_then(|_| origins.held()) {
            Some(held) if origins.ahead() > 0.0 && !steers => {
                let scale = planned / origins.ahead();
                held.iter().map(|d| scale * d).collect()
            }
            Some(held) if origins.ahead() > 0.0 => {
                // What is held has begun; only what is still to come is laid on top.
                let missing = (planned - origins.ahead()).max(0.0);
                let apart = apart(held.len()).min(missing);
                let raised = 1.0 + (missing - apart) / origins.ahead();
                held.iter().enumerate().map(|(r, d)| raised * d + of_event(r, apart)).collect()
            }
            _ => {
                let shares = told.map_or_else(|| group.cells.shares(&layout.cells.cells), Vec::clone);
                let apart = apart(shares.len());
                let of_cell = |(r, s): (usize, f64)| s * (planned - apart) + of_event(r, apart);
                shares.into_iter().enumerate().map(of_cell).collect()
            }
        };
        let whole: f64 = by_cell.iter().sum();
        let planned = if whole > planned * (1.0 + 1e-9) { whole } else { planned };
        Expected { demand: Demand { now, planned, ahead }, by_cell }
    };
    state.groups.iter().enumerate().zip(totals).map(expect).collect()
}
