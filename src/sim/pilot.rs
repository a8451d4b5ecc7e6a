//! Shares that are not the loop's, laid over its plans for comparison.
//!
//! Breakers, ramps, shadows, silence and TTLs stay the tick's, which steers by `static` here: each of its rows is multiplied
//! by factors per cell and member, and made to sum to 1 again.

use crate::control::allocate::{
    Allocation, Geography, GroupProblem, OVER_TARGET_MS, Options, Problem, Room, Warm, allocate,
};
use crate::control::candidates::declared_capacity;
use crate::control::declared::pop_reserve;
use crate::control::rows::{RowSet, proportional};
use crate::geo::CellMap;
use crate::id::{CellIdx, GroupIdx};
use crate::policy::{Policies, Role};
use crate::sim::course::Drawn;
use crate::sim::scenario::Scenario;
use crate::steering::Plan;
use crate::telemetry::Sample;
use crate::wire::Name;
use std::collections::BTreeMap;

/// Seconds between looks for the greatest demand.
const LOOK_SECS: f64 = 10.0;
/// Seconds between steps of the feedback.
const BEAT_SECS: f64 = 10.0;
/// Step of the feedback. Our choice: with a minute and a half between an answer and its load, half of what would swing.
const GAIN: f64 = 0.05;
/// Below this utilisation a POP says nothing of what it would bear.
const IDLE: f64 = 0.01;
/// Factors stay within this of 1, either way.
const MOST: f64 = 20.0;

/// See the module.
#[derive(Clone, Debug)]
pub enum Pilot {
    /// `factor[g][r][m]`, the same for the whole run.
    Best(Vec<Vec<Vec<f64>>>),
    /// One factor per POP, moved until all are equally full.
    Even(Even),
}

impl Pilot {
    /// The shares of one allocation for the greatest demand that each cell has in a run. `priced`: the policies as the
    /// allocation reads them.
    pub fn best(priced: &Policies, cells: &CellMap, scenario: &Scenario, drawn: &Drawn) -> Pilot {
        let at_peak = at_peak(priced, cells, scenario, drawn);
        let of_group = |(g, spec): (usize, &crate::policy::Group)| {
            let found = &at_peak.groups[g];
            let of_cell = |row: &u32| {
                let row = &found.rows[*row as usize];
                let part = |(m, member)| f64::from(row.get(m)) / declared_capacity(priced, member).max(1e-9);
                spec.members.iter().enumerate().map(part).collect()
            };
            found.row_of_cell.iter().map(of_cell).collect()
        };
        Pilot::Best(priced.groups.iter().enumerate().map(of_group).collect())
    }

    /// Feedback that begins at declared capacity.
    pub fn even(n_pops: usize) -> Pilot {
        Pilot::Even(Even { factor: vec![1.0; n_pops], reported: BTreeMap::new(), stepped: f64::NEG_INFINITY })
    }

    /// Takes in what arrived by `t`.
    pub fn hear(&mut self, samples: &[Sample], policies: &Policies, t: f64) {
        if let Pilot::Even(even) = self {
            even.hear(samples, policies, t);
        }
    }

    /// Lays its shares over a plan; `demand[g]` yields cells with their requests per second.
    pub fn lay(&self, plan: &mut Plan, policies: &Policies, demand: &[Vec<(usize, f64)>]) {
        for (g, of) in plan.groups.iter_mut().enumerate() {
            let members = &policies.groups[g].members;
            let factor = |r: usize, m: usize| match self {
                Pilot::Best(factor) => factor[g][r][m],
                Pilot::Even(even) => members[m].pop.map_or(1.0, |p| even.factor[p.idx()]),
            };
            let mut set = RowSet::with_cells(of.row_of_cell.len());
            for (r, row) in of.row_of_cell.iter().enumerate() {
                let row = &of.rows[*row as usize];
                let laid: Vec<f64> =
                    row.to_vec().iter().enumerate().map(|(m, share)| f64::from(*share) * factor(r, m)).collect();
                let laid = proportional(&laid);
                set.push(if laid.is_empty() { row.clone() } else { laid });
            }
            (of.rows, of.row_of_cell) = (set.rows, set.row_of_cell);
            let total: f64 = demand[g].iter().map(|(_, d)| d).sum();
            of.members.iter_mut().for_each(|m| m.share = 0.0);
            for (r, d) in demand[g].iter().filter(|_| total > 0.0) {
                let row = &of.rows[of.row_of_cell[*r] as usize];
                row.given().for_each(|(m, share)| of.members[m].share += f64::from(share) * d / total);
            }
        }
    }
}

/// Whether the greatest demand of each cell is more than the active members' targets.
pub fn needs_shadows(priced: &Policies, cells: &CellMap, scenario: &Scenario, drawn: &Drawn) -> bool {
    let found = at_peak(priced, cells, scenario, drawn);
    found.groups.iter().any(|g| g.short > 0.0) || found.pops.iter().any(|p| p.price_ms >= OVER_TARGET_MS)
}

/// The allocation for the greatest demand of every cell; those that always serve take part.
fn at_peak(priced: &Policies, cells: &CellMap, scenario: &Scenario, drawn: &Drawn) -> Allocation {
    let geography = Geography::new(priced, cells);
    let n_looks = (scenario.duration.0 / LOOK_SECS) as usize;
    let most = |g: GroupIdx, r: usize| {
        let at = |i: usize| drawn.of_cell(g, CellIdx::from(r), i as f64 * LOOK_SECS);
        (0..=n_looks).map(at).fold(0.0, f64::max)
    };
    let room = |capacity: f64| Room { target: capacity, max: capacity };
    let group = |(g, spec): (usize, &crate::policy::Group)| GroupProblem {
        demand: (0..cells.cells.len()).map(|r| most(GroupIdx::from(g), r)).collect(),
        usable: spec.members.iter().map(|m| !matches!(m.role, Role::Shadow { .. })).collect(),
        shadow_active: vec![false; spec.members.len()],
        room: spec.members.iter().map(|m| m.capacity.map(room)).collect(),
        prev: None,
    };
    let pop = |(p, pop): (usize, &crate::policy::Pop)| Room {
        target: pop.capacity * (1.0 - pop_reserve(priced, p).middle()),
        max: pop.max,
    };
    let problem = Problem {
        policies: priced,
        geography: &geography,
        pops: priced.pops.iter().enumerate().map(pop).collect(),
        groups: priced.groups.iter().enumerate().map(group).collect(),
    };
    allocate(&problem, &Options::default(), &Warm::default())
}

//----------- Even -----------------------------------------------------------

/// What a POP said of a group, or of one member of it, last.
type Reported = BTreeMap<(Name, Name, Option<Name>), (f64, Option<f64>)>;

/// Multiplicative feedback: `f ← f·e^(−k(u/ū − 1))` per POP, `u` its utilisation and `ū` the mean by capacity.
#[derive(Clone, Debug)]
pub struct Even {
    factor: Vec<f64>,
    /// Requests per second, and the processor's utilisation.
    reported: Reported,
    stepped: f64,
}

impl Even {
    fn hear(&mut self, samples: &[Sample], policies: &Policies, t: f64) {
        for sample in samples {
            let who = (sample.pop.clone(), sample.group.clone(), sample.member.clone());
            self.reported.insert(who, (sample.requests / sample.window_secs, sample.utilisation.cpu));
        }
        if t - self.stepped < BEAT_SECS {
            return;
        }
        self.stepped = t;
        let used: Vec<f64> = policies.pops.iter().map(|pop| self.used(&pop.name, pop.max)).collect();
        let serving = || policies.pops.iter().zip(&used).filter(|(_, u)| **u > IDLE);
        let capacity: f64 = serving().map(|(pop, _)| pop.max).sum();
        let mean = serving().map(|(pop, u)| pop.max * u).sum::<f64>() / capacity.max(1e-9);
        for (factor, u) in self.factor.iter_mut().zip(&used).filter(|(_, u)| **u > IDLE) {
            *factor = (*factor * (-GAIN * (u / mean - 1.0)).exp()).clamp(1.0 / MOST, MOST);
        }
    }

    /// A POP's utilisation: by its load, or its processor where that says more.
    fn used(&self, pop: &Name, max: f64) -> f64 {
        let here = || self.reported.iter().filter(|((p, ..), _)| p == pop).map(|(_, said)| said);
        let cpu = here().filter_map(|(_, cpu)| *cpu).fold(0.0, f64::max);
        (here().map(|(rate, _)| rate).sum::<f64>() / max).max(cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::declared_plan;
    use crate::control::fixture;
    use crate::policy::SteerBy;
    use crate::telemetry::Utilisation;

    /// The fuller POP loses, and rows keep their sums.
    #[test]
    fn feedback_takes_from_the_fullest() {
        let mut policies = fixture::policies();
        policies.groups[0].steer = SteerBy::Static;
        let mut plan = declared_plan(&policies, &fixture::cells());
        let before = plan.row(GroupIdx(0), CellIdx(3)).to_vec();
        let mut pilot = Pilot::even(policies.pops.len());
        let said = |p: usize, used: f64| Sample {
            pop: policies.pops[p].name.clone(),
            group: policies.groups[0].name.clone(),
            member: None,
            at: 0.0,
            window_secs: 10.0,
            requests: 0.0,
            errors: 0.0,
            latency: None,
            capacity: None,
            utilisation: Utilisation { cpu: Some(used), ..Utilisation::default() },
            shadow: None,
            cells: Vec::new(),
        };
        for i in 0..10 {
            pilot.hear(&[said(0, 0.9), said(1, 0.3), said(2, 0.3)], &policies, f64::from(i) * 10.0);
        }
        pilot.lay(&mut plan, &policies, &[vec![(3, 10.0)]]);
        let row = plan.row(GroupIdx(0), CellIdx(3)).to_vec();
        assert!(row[0] < 0.7 * before[0] && row[1] > before[1], "{before:?} {row:?}");
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}
