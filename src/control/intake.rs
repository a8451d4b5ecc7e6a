//! Samples and the server's own tally into windows and counts.

use crate::clock::Now;
use crate::control::outlook::share_of;
use crate::control::state::{Layout, State};
use crate::control::window::Arrival;
use crate::exchange::TallySum;
use crate::id::MemberIdx;
use crate::policy::Group;
use crate::telemetry::Sample;
use crate::wire::Name;

/// Requests per group and cell that the samples of one tick report: `[g][r]`; a group without any has an
/// empty row.
pub type Reported = Vec<Vec<f64>>;

/// Puts samples into the windows of their reporters. Samples of what the policies no longer name are left
/// out: `telemetry` checked them against the policies of the moment they came in.
pub fn drain(state: &mut State, layout: &Layout, samples: &[Sample], now: Now) -> Reported {
    let mut reported = vec![Vec::new(); layout.policies.groups.len()];
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
            note_cells(layout, sample, &mut reported[group.idx()]);
        }
    }
    reported
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
        group.cells.add(dt, &reported[g], queries);
    }
}
