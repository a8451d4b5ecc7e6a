//! Samples and the server's own tally into windows and counts.

use crate::clock::Now;
use crate::control::elsewhere;
use crate::control::expected::share_of;
use crate::control::origins::{Load, wanted};
use crate::control::probes::Rules;
use crate::control::state::{Layout, Reporter, State};
use crate::control::window::Arrival;
use crate::exchange::TallySum;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::{ForecastUse, Group};
use crate::probe::Outcome;
use crate::telemetry::Sample;
use crate::wire::Name;
use std::collections::BTreeMap;

/// What the samples of one tick say.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    /// Requests per group and cell: `[g][r]`; a group without any has an empty row.
    pub cells: Vec<Vec<f64>>,
    /// Loads, in order of arrival.
    pub loads: Vec<Told>,
}

/// A load that was reported, and by whom.
#[derive(Clone, Debug)]
pub struct Told {
    group: GroupIdx,
    pop: PopIdx,
    member: Option<MemberIdx>,
    load: Load,
    /// Of which cells its parts are, where it says, in requests per second; tries again left out.
    cells: Vec<(usize, f64)>,
}

/// What is asked of a plan: to hold until so much of the load goes by it. Measured: until half does is too short, since
/// what grows goes on growing meanwhile; more than three quarters buys nothing.
const FOLLOWED: f64 = 0.75;
/// Least and most that what grows is thought to go on growing, in seconds on top of the TTL: less than a surge is early by,
/// and beyond which a trend of seconds says nothing, whatever is thought of connections.
const AHEAD_SECS: [f64; 2] = [60.0, 120.0];
/// A reporter that carries more than this part of a group must be heard for the whole to be known, and counts as late
/// only after so many seconds.
const MATTERS: f64 = 0.02;
/// See [`MATTERS`].
const LEAST_LATE_SECS: f64 = 5.0;
/// A sample that ends so many seconds before now, or after it, says nothing of the demand of this moment.
const MOST_AGE_SECS: f64 = 120.0;

/// Puts samples into the windows of their reporters. Samples of what the policies no longer name are left
/// out: `telemetry` checked them against the policies of the moment they came in.
pub fn drain(state: &mut State, layout: &Layout, samples: &[Sample], now: Now) -> Reported {
    let cells = vec![Vec::new(); layout.policies.groups.len()];
    let mut reported = Reported { cells, loads: Vec::new() };
    for sample in samples {
        let (Some(&pop), Some(&group)) = (layout.pop_idx.get(&sample.pop), layout.group_idx.get(&sample.group)) else {
            continue;
        };
        let spec = &layout.policies.groups[group.idx()];
        let Ok(member) = sample.member.as_ref().map(|name| member_idx(spec, name).ok_or(())).transpose() else {
            continue;
        };
        let share = share_of(state, layout, group, pop, member);
        let reporter = state.groups[group.idx()].reporters.entry((pop, member)).or_default();
        let arrival = reporter.window.push(sample, now);
        if arrival == Arrival::Old {
            continue;
        }
        reporter.share_when_heard = share;
        if sample.at >= reporter.newest || arrival == Arrival::New && reporter.window.newest() == Some(sample.at) {
            reporter.newest = sample.at;
            reporter.capacity = sample.capacity.or(reporter.capacity);
            reporter.utilisation = sample.utilisation;
            reporter.shadow = sample.shadow.map(|shadow| (shadow, now)).or(reporter.shadow);
        }
        state.pops[pop.idx()].heard = Some(now);
        state.live = true;
        if arrival == Arrival::New {
            note_cells(layout, sample, &mut reported.cells[group.idx()]);
            if (sample.at - now.unix).abs() <= MOST_AGE_SECS {
                let load = load(sample);
                let wanted = load.rate / sample.requests.max(1e-9);
                let cells =
                    sample.cells.iter().filter_map(|(name, n)| Some((layout.cell_idx.get(name)?.idx(), wanted * n)));
                reported.loads.push(Told { group, pop, member, load, cells: cells.collect() });
            }
        }
    }
    reported
}

/// Hands outcomes of probes to their POPs.
pub fn note_probes(state: &mut State, layout: &Layout, probes: &[Outcome], now: Now) {
    for outcome in probes {
        if let Some(pop) = layout.pop_idx.get(&outcome.pop) {
            let rules = Rules::of(layout.policies.pops[pop.idx()].probe.as_ref());
            state.pops[pop.idx()].probed.note(outcome, rules, now);
        }
    }
}

fn load(sample: &Sample) -> Load {
    let failed = if sample.requests > 0.0 { sample.errors / sample.requests } else { 0.0 };
    Load {
        mid: sample.at - sample.window_secs / 2.0,
        secs: sample.window_secs,
        rate: wanted(sample.requests / sample.window_secs, failed),
    }
}

fn note_cells(layout: &Layout, sample: &Sample, row: &mut Vec<f64>) {
    for (name, requests) in &sample.cells {
        if let Some(cell) = layout.cell_idx.get(name) {
            row.resize(layout.cells.cells.len(), 0.0);
            row[cell.idx()] += requests;
        }
    }
}

/// The member of a group that has this name.
pub fn member_idx(group: &Group, name: &Name) -> Option<MemberIdx> {
    group.members.iter().position(|m| m.name == *name).map(MemberIdx::from)
}

/// Learns where demand comes from, from what was reported and asked in the last `dt` seconds.
pub fn learn_cells(state: &mut State, reported: &Reported, tally: &TallySum, dt: f64) {
    for (g, group) in state.groups.iter_mut().enumerate() {
        group.cells.forget(dt, group.surge);
        let queries = tally.queries.get(g).map_or(&[][..], Vec::as_slice);
        group.cells.add(dt, &reported.cells[g], queries);
    }
}

/// The load of all POPs together, which is known whatever answers are in force; `None` while one that matters is late.
pub fn whole(reporters: &BTreeMap<(PopIdx, Option<MemberIdx>), Reporter>) -> Option<Load> {
    let loads: Vec<&Load> = reporters.values().filter_map(|r| r.load.as_ref()).collect();
    let rate: f64 = loads.iter().map(|l| l.rate).sum();
    let newest = loads.iter().map(|l| l.mid).fold(f64::NEG_INFINITY, f64::max);
    let late = |l: &&&Load| newest - l.mid > 2.0 * l.secs.max(LEAST_LATE_SECS) && l.rate > MATTERS * rate;
    let secs = loads.iter().map(|l| l.secs).fold(0.0, f64::max);
    let mid = loads.iter().map(|l| l.mid * l.rate).sum::<f64>() / rate;
    (rate > 0.0 && !loads.iter().any(|l| late(&l))).then_some(Load { mid, secs, rate })
}

/// Reads from the loads that arrived which cells they come from, by the answers that were in force.
pub fn learn_origins(state: &mut State, layout: &Layout, reported: &Reported, dt: f64, now: Now) {
    for (group, plan) in state.groups.iter_mut().zip(&state.plan.groups) {
        if !state.skills.tail {
            group.ring.go_by_caches();
        }
        group.ring.step(plan, dt, now);
    }
    for (group, spec) in state.groups.iter_mut().zip(&layout.policies.groups) {
        if spec.members.iter().any(|m| m.pop.is_none()) {
            let demand = group.origins.demand(now.unix).unwrap_or_else(|| group.cells.shares(&layout.cells.cells));
            group.elsewhere = elsewhere::part(spec, &group.ring, &demand, now.unix);
        }
    }
    let mut shares: Vec<Option<Vec<f64>>> = vec![None; state.groups.len()];
    for Told { group: g, pop, member, load, cells } in &reported.loads {
        let group = &mut state.groups[g.idx()];
        // One that was overtaken on its way says nothing of now, and going by it would swing.
        let last = &mut group.reporters.entry((*pop, *member)).or_default().load;
        if last.is_some_and(|last| load.mid < last.mid && last.mid <= now.unix) {
            continue;
        }
        *last = Some(*load);
        let spec = &layout.policies.groups[g.idx()].members;
        let is = |m: usize| member.map_or(spec[m].pop == Some(*pop), |named| named.idx() == m);
        let column = group.ring.column(load.mid, is);
        let shares = shares[g.idx()].get_or_insert_with(|| group.cells.shares(&layout.cells.cells));
        group.origins.observe(load, |r, grown| column.at(r, grown), shares);
        for (r, rate) in cells {
            group.origins.observe_cell(&Load { rate: *rate, ..*load }, *r, |grown| column.at(*r, grown), shares);
        }
        if state.skills.tail {
            group.ring.learn(group.origins.alone(&column), load.rate);
        }
        if let Some(whole) = whole(&group.reporters) {
            let rate = whole.rate / (1.0 - group.elsewhere);
            group.origins.observe_whole(&Load { rate, ..whole }, shares);
        }
    }
    let uses: Vec<ForecastUse> =
        (0..state.groups.len()).map(|g| state.forecast_use(layout, GroupIdx::from(g))).collect();
    for (g, group) in state.groups.iter_mut().enumerate() {
        let ttl = f64::from(state.plan.groups[g].ttl);
        let grows = uses[g] == ForecastUse::Steer && state.skills.trend;
        let followed = group.ring.lag(FOLLOWED, ttl).clamp(ttl + AHEAD_SECS[0], ttl + AHEAD_SECS[1]);
        let lead = if grows { followed } else { 0.0 };
        group.origins.hold(now.unix, lead, dt);
    }
}
