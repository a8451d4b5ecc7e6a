//! What the events of one group may add to the demand to come.

use crate::clock::Now;
use crate::control::announced::LEADS_SECS;
use crate::control::outlook::lead_secs;
use crate::control::state::{Layout, State};
use crate::events::follow::{Follower, Phase, REACH_SECS};
use crate::forecast::quantiles::Quantiles;
use crate::id::{GroupIdx, PopIdx};
use crate::steering::{MemberPlan, ShadowState};
use std::collections::BTreeMap;

/// The quantile that is planned for. Measured: 0.8 leaves no more overload than 0.9 when an event comes, is larger or late, and moves
/// a tenth fewer answers.
const PLANNED: f64 = 0.8;
/// Part of the targets that what is only announced may fill: an allocation that is full to the brim leads some out.
const MOST_FILLED: f64 = 0.95;
/// A rise of less than this part of what is usual moves nothing.
const SMALL: f64 = 0.1;
/// A rise is to come when so much more is ahead than there is.
const RISING: f64 = 1.2;
/// Pass-along from which on an event counts as a surge by itself.
const SPREADING: f64 = 0.65;

//----------- Extra ----------------------------------------------------------

/// What events may add to the demand of one group, from the moment it was made on. Rates are requests per second.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// At [`LEADS_SECS`].
    exact: Vec<Quantiles>,
    /// The greatest until then.
    greatest: Vec<Quantiles>,
    /// What of the greatest is planned for, bounded by what announcers may claim and by what others need.
    planned: Vec<f64>,
    /// What they are taken to bring now.
    pub now: f64,
    /// Shares of the cells that they come from; empty: from where the demand comes.
    pub cells: Vec<f64>,
    /// Seconds until shares begin to move for them, and when that was worked out; `None` while nothing is to move.
    shift: Option<(f64, f64)>,
    /// One of them spreads by itself.
    pub spreads: bool,
}

fn lead_idx(secs: f64) -> usize {
    LEADS_SECS.partition_point(|lead| *lead < secs).min(LEADS_SECS.len() - 1)
}

impl Extra {
    /// What may come on top `secs` from now.
    pub fn at(&self, secs: f64) -> &Quantiles {
        &self.exact[lead_idx(secs)]
    }

    /// The most that may come on top within `secs` and the minute after.
    pub fn within(&self, secs: f64) -> &Quantiles {
        &self.greatest[lead_idx(secs + 60.0)]
    }

    /// What of that is planned for.
    pub fn planned(&self, secs: f64) -> f64 {
        self.planned[lead_idx(secs)]
    }

    /// Seconds until shares move for them; 0 while they do.
    pub fn shift_secs(&self, now: Now) -> Option<f64> {
        self.shift.map(|(secs, made)| (secs - (now.unix - made)).max(0.0))
    }
}

//----------- what it adds ---------------------------------------------------

/// What the followed events of a group may add; `None` if nothing.
pub(super) fn extra(state: &State, layout: &Layout, g: GroupIdx, total: Option<f64>, now: Now) -> Option<Extra> {
    let (announced, spec) = (&state.announced, &layout.policies.groups[g.idx()]);
    let own: Vec<&Follower> =
        announced.followers.values().filter(|f| f.announcement.group == spec.name && !f.is_over()).collect();
    let first = own.iter().map(|f| f.announcement.start - REACH_SECS).fold(f64::INFINITY, f64::min);
    if first - now.unix > LEADS_SECS[LEADS_SECS.len() - 1] {
        return None;
    }
    let usual = announced.usual.get(&spec.name.to_string()).and_then(|u| u.at(now.unix)).or(total).unwrap_or(0.0);
    let course = |f: &&Follower| f.course(&LEADS_SECS.map(|lead| now.unix + lead - f.announcement.start));
    let curves: Vec<Vec<Quantiles>> = own.iter().map(course).collect();
    let scales = claims(state, layout, g, &own, &curves);
    let (mut exact, mut proven) = (vec![Quantiles::certain(0.0); LEADS_SECS.len()], vec![0.0; LEADS_SECS.len()]);
    let mut cells = vec![];
    let shares = state.groups[g.idx()].cells.shares(&layout.cells.cells);
    for ((f, curve), scale) in own.iter().zip(&curves).zip(&scales) {
        for (i, q) in curve.iter().enumerate() {
            exact[i] = exact[i].plus(&q.map(|v| scale * v));
            proven[i] += if f.phase() == Phase::Running { q.at(PLANNED) } else { 0.0 };
        }
        let size = curve.iter().map(|q| scale * q.at(PLANNED)).fold(0.0, f64::max);
        let from = f.announcement.shares(&layout.cells, &shares);
        cells.push((size, from));
    }
    let mean_now: f64 = own.iter().map(|f| f.mean(now.unix - f.announcement.start)).sum();
    // No more than there is: what was announced and did not come is not taken off what is measured.
    let brought = mean_now.min((total.unwrap_or(0.0) - usual).max(0.0));
    let mut greatest = exact.clone();
    (1..greatest.len()).for_each(|i| greatest[i] = greatest[i].or(&greatest[i - 1]));
    (1..proven.len()).for_each(|i| proven[i] = f64::max(proven[i], proven[i - 1]));
    let spare = spare(state, layout, g, usual);
    let plan = |(all, proven): (&Quantiles, &f64)| {
        let all = all.at(PLANNED);
        all.min(proven.max(spare))
    };
    let planned: Vec<f64> = greatest.iter().zip(&proven).map(plan).collect();
    let shift = shift(&planned, usual, brought, lead_secs(spec.ttl_min)).map(|secs| (secs, now.unix));
    let spreads = own.iter().any(|f| f.phase() == Phase::Running && f.pass_along() >= SPREADING);
    Some(Extra { exact, greatest, planned, now: brought, cells: mixed(cells, &shares), shift, spreads })
}

fn pops_of(layout: &Layout, g: GroupIdx) -> Vec<PopIdx> {
    let mut pops: Vec<_> = layout.policies.groups[g.idx()].members.iter().filter_map(|m| m.pop).collect();
    pops.sort_unstable();
    pops.dedup();
    pops
}

/// Factors in `(0, 1]` that bring what each announcer claims and has not shown yet under its share of the capacity there is.
fn claims(state: &State, layout: &Layout, g: GroupIdx, own: &[&Follower], curves: &[Vec<Quantiles>]) -> Vec<f64> {
    let capacity: f64 = pops_of(layout, g).iter().map(|p| layout.policies.pops[p.idx()].capacity).sum();
    let most = state.announced.share.unwrap_or(1.0) * capacity;
    let mut claimed = BTreeMap::<&str, f64>::new();
    let peak = |curve: &Vec<Quantiles>| curve.iter().map(|q| q.at(PLANNED)).fold(0.0, f64::max);
    let unproven = |f: &Follower| f.phase() != Phase::Running;
    for (f, curve) in own.iter().zip(curves).filter(|(f, _)| unproven(f)) {
        *claimed.entry(f.announcement.announcer.as_str()).or_default() += peak(curve);
    }
    let scale = |f: &&Follower| match claimed.get(f.announcement.announcer.as_str()) {
        Some(claimed) if unproven(f) && *claimed > most => most / claimed,
        _ => 1.0,
    };
    own.iter().map(scale).collect()
}

/// What of the targets of a group's POPs neither other groups nor its own usual demand take, requests per second.
/// Shadows count from when they are ready: before, what is planned for beyond the others would lead out, to external members.
fn spare(state: &State, layout: &Layout, g: GroupIdx, usual: f64) -> f64 {
    let plan = &state.plan;
    let serves = |of: &MemberPlan| {
        of.usable.is_ok() && matches!(of.shadow, None | Some(ShadowState::Ready | ShadowState::Active))
    };
    let members = layout.policies.groups[g.idx()].members.iter().zip(&plan.groups[g.idx()].members);
    let mut pops: Vec<PopIdx> = members.filter(|(_, of)| serves(of)).filter_map(|(spec, _)| spec.pop).collect();
    pops.sort_unstable();
    pops.dedup();
    let own: f64 = plan.groups[g.idx()].members.iter().map(|m| m.load).sum();
    let (target, load) = pops.iter().fold((0.0, 0.0), |(target, load), p| {
        let pop = &plan.pops[p.idx()];
        (target + pop.target, load + pop.load)
    });
    (MOST_FILLED * target - (load - own).max(0.0) - usual).max(0.0)
}

/// Seconds until shares begin to move for a rise that is to come; `None` for none.
fn shift(planned: &[f64], usual: f64, brought: f64, lead: f64) -> Option<f64> {
    let rise = |more: &f64| *more > SMALL * usual.max(1.0) && *more > RISING * brought;
    let at = planned.iter().position(rise)?;
    // Somewhere between this lead and the one before.
    let from = LEADS_SECS[at.saturating_sub(1)];
    Some((from - 2.0 * lead).max(0.0))
}

/// Cells of all events together by their sizes; empty if all come from where the demand comes.
fn mixed(cells: Vec<(f64, Option<Vec<f64>>)>, usual: &[f64]) -> Vec<f64> {
    let sum: f64 = cells.iter().map(|(size, _)| size).sum();
    if sum <= 0.0 || cells.iter().all(|(_, from)| from.is_none()) {
        return vec![];
    }
    let mut mixed = vec![0.0; usual.len()];
    for (size, from) in &cells {
        let from = from.as_deref().unwrap_or(usual);
        mixed.iter_mut().zip(from).for_each(|(to, share)| *to += size / sum * share);
    }
    mixed
}
