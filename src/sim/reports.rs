//! What POPs report, and what of it arrives when.

use crate::geo::CellMap;
use crate::id::{GroupIdx, PopIdx};
use crate::policy::{Policies, Role};
use crate::sim::pops::Condition;
use crate::sim::rng::Rng;
use crate::sim::scenario::Telemetry;
use crate::steering::ShadowState;
use crate::telemetry::sample::Latency;
use crate::telemetry::{Sample, Utilisation};
use crate::wire::Name;

/// Milliseconds that a request takes at a POP without a queue.
const SERVICE_MS: f64 = 20.0;

/// One source of samples: a POP about a group, or about one member where it hosts a shadow of it.
#[derive(Clone, Debug)]
struct Source {
    pop: PopIdx,
    group: GroupIdx,
    members: Vec<usize>,
    names: (Name, Name, Option<Name>),
    requests: f64,
    errors: f64,
    queue_ms: f64,
    /// Greatest utilisation in the window.
    used: f64,
    secs: f64,
    /// Requests by cell, where that is reported.
    cells: Vec<f64>,
    next: f64,
}

/// All sources, and what is on its way.
#[derive(Clone, Debug)]
pub struct Reports {
    spec: Telemetry,
    sources: Vec<Source>,
    cell_names: Vec<String>,
    /// With the time of arrival, seconds after the start.
    on_the_way: Vec<(f64, Sample)>,
    rng: Rng,
}

/// What a step brought to one member, for those who report it.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// `load[g][m]`: requests per second, tries again included.
    pub load: &'a [Vec<f64>],
    /// `failing[g][m]`: part of them that fail.
    pub failing: &'a [Vec<f64>],
    /// `by_cell[g][m * R + r]`: requests per second, where cells are reported; empty rows else.
    pub by_cell: &'a [Vec<f64>],
    /// Per POP: milliseconds of queue, utilisation.
    pub pops: &'a [(f64, f64)],
    /// `shadow[g][m]`: what a shadow says of itself.
    pub shadow: &'a [Vec<Option<ShadowState>>],
    /// Per POP.
    pub is: &'a [Condition],
}

impl Reports {
    /// Sources for every POP that hosts members, their windows staggered.
    pub fn new(spec: &Telemetry, policies: &Policies, cells: &CellMap, from: f64, seed: u64) -> Reports {
        let mut rng = Rng::new(seed, "reports");
        let mut sources = Vec::new();
        for (g, group) in policies.groups.iter().enumerate() {
            for (p, pop) in policies.pops.iter().enumerate() {
                let here: Vec<usize> =
                    (0..group.members.len()).filter(|m| group.members[*m].pop == Some(PopIdx::from(p))).collect();
                let apart = here.iter().any(|m| matches!(group.members[*m].role, Role::Shadow { .. }));
                let sets: Vec<Vec<usize>> = if apart { here.iter().map(|m| vec![*m]).collect() } else { vec![here] };
                for members in sets.into_iter().filter(|set| !set.is_empty()) {
                    let member = apart.then(|| members[0]);
                    sources.push(Source {
                        pop: PopIdx::from(p),
                        group: GroupIdx::from(g),
                        members,
                        names: (pop.name.clone(), group.name.clone(), member.map(|m| group.members[m].name.clone())),
                        requests: 0.0,
                        errors: 0.0,
                        queue_ms: 0.0,
                        used: 0.0,
                        secs: 0.0,
                        cells: vec![0.0; if spec.cells { cells.cells.len() } else { 0 }],
                        next: from + rng.between(0.0, spec.every.0),
                    });
                }
            }
        }
        let cell_names = cells.cells.iter().map(|c| c.name.clone()).collect();
        Reports { spec: spec.clone(), sources, cell_names, on_the_way: Vec::new(), rng }
    }

    /// Counts a step that ends at `t`, and sends what is due; `unix` is that of the start.
    pub fn step(&mut self, served: &Served, dt: f64, t: f64, unix: f64) {
        for source in &mut self.sources {
            let (g, p) = (source.group.idx(), source.pop.idx());
            for m in &source.members {
                let load = served.load[g][*m];
                source.requests += load * dt;
                source.errors += load * served.failing[g][*m] * dt;
                if let Some(row) = served.by_cell.get(g).filter(|row| !row.is_empty()) {
                    let n = source.cells.len();
                    source.cells.iter_mut().zip(&row[m * n..][..n]).for_each(|(sum, rate)| *sum += rate * dt);
                }
            }
            source.queue_ms += served.pops[p].0 * dt;
            source.used = source.used.max(served.pops[p].1);
            source.secs += dt;
            if t < source.next {
                continue;
            }
            source.next = (source.next + self.spec.every.0).max(t);
            let is = &served.is[p];
            let shadow = source.members.iter().find_map(|m| served.shadow[g][*m]);
            let sample = sample(source, &self.cell_names, is.lies, shadow, self.spec.utilisation, unix + t);
            let (late, lost) =
                (self.rng.between(self.spec.delay[0].0, self.spec.delay[1].0), self.rng.chance(self.spec.loss));
            // A POP that is down says nothing either.
            if !is.silent && !is.down && !lost {
                self.on_the_way.push((t + late, sample));
            }
        }
    }

    /// What has arrived by `t`, in the order of arrival.
    pub fn arrived(&mut self, t: f64) -> Vec<Sample> {
        let (mut here, left): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.on_the_way).into_iter().partition(|(at, _)| *at <= t);
        self.on_the_way = left;
        here.sort_by(|a, b| a.0.total_cmp(&b.0));
        here.into_iter().map(|(_, sample)| sample).collect()
    }
}

/// Writes down a window and begins the next.
fn sample(
    source: &mut Source,
    names: &[String],
    lies: f64,
    shadow: Option<ShadowState>,
    used: bool,
    at: f64,
) -> Sample {
    let ms = SERVICE_MS + source.queue_ms / source.secs;
    let cells = names.iter().zip(&mut source.cells);
    let cells = cells.filter(|(_, n)| **n > 0.0).map(|(name, n)| (name.clone(), std::mem::take(n) * lies)).collect();
    let (pop, group, member) = source.names.clone();
    let requests = (source.requests * lies).round();
    let sample = Sample {
        pop,
        group,
        member,
        at,
        window_secs: source.secs,
        requests,
        errors: (source.errors * lies).round().min(requests),
        latency: Some(Latency { p50_ms: ms, p95_ms: 2.0 * ms, p99_ms: 3.0 * ms }),
        capacity: None,
        utilisation: Utilisation { cpu: used.then(|| (source.used * lies).min(1.0)), ..Utilisation::default() },
        shadow,
        cells,
    };
    (source.requests, source.errors, source.queue_ms, source.used, source.secs) = (0.0, 0.0, 0.0, 0.0, 0.0);
    sample
}
