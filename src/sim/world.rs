//! The world that answers back: one step of caches, clients, POPs, shadows and reports.

use crate::control::candidates::{candidates, distance_ms, route_idx};
use crate::exchange::TallySum;
use crate::geo::CellMap;
use crate::id::{CellIdx, GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Policies, Role};
use crate::probe::{Outcome, What};
use crate::sim::caches::Caches;
use crate::sim::clients::Clients;
use crate::sim::course::{Course, Drawn};
use crate::sim::pops::{Condition, Faults, Pop, Standby};
use crate::sim::reports::{Reports, Served};
use crate::sim::rng::Rng;
use crate::sim::scenario::Scenario;
use crate::sim::score::Score;
use crate::sim::variant::{Picks, Variant};
use crate::steering::{Plan, ShadowState, Table};
use crate::telemetry::{Directive, Sample};

/// Seconds between probes of a POP; they fall on whole seconds.
const PROBE_SECS: i64 = 5;
/// Milliseconds to an external member: overflow goes to somebody who is everywhere, but not next door.
const EXTERNAL_MS: f64 = 60.0;

/// By what clients go.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// What caches hold, that ask this table, and connections.
    Answers(&'a Table),
    /// This plan, every request anew: what answers would do that arrived at once.
    Plan(&'a Plan),
}

/// The state of one run's world.
#[derive(Debug)]
pub struct World<'a> {
    policies: &'a Policies,
    drawn: Drawn,
    faults: &'a Faults,
    groups: Vec<Group>,
    pops: Vec<Pop>,
    reports: Reports,
    report_cells: bool,
    probes: bool,
    rng: Rng,
    n_cells: usize,
    tally: TallySum,
    /// Scratch, parallel to groups and members: see [`Served`].
    load: Vec<Vec<f64>>,
    failing: Vec<Vec<f64>>,
    by_cell: Vec<Vec<f64>>,
}

#[derive(Debug)]
struct Group {
    caches: Caches,
    clients: Clients,
    /// Per cell of the caches: milliseconds to every member.
    ms: Vec<Vec<f64>>,
    /// Per cell: members that are always on, nearest first, fences kept.
    near: Vec<Vec<usize>>,
    standby: Vec<Option<Standby>>,
    /// Standing by all the time.
    kept_on: usize,
    /// Requests per second of this step: `[c * (M + 1) + m]`.
    of_cell: Vec<f64>,
    demand: Vec<f64>,
}

impl<'a> World<'a> {
    /// The world before its first step.
    pub fn new(
        policies: &'a Policies,
        cells: &CellMap,
        scenario: &Scenario,
        course: &Course,
        faults: &'a Faults,
        variant: &Variant,
        seed: u64,
    ) -> World<'a> {
        let mut rng = Rng::new(seed, "standby");
        let mut resolvers = scenario.resolvers.clone();
        resolvers.ecs &= variant.parts.subnets;
        let mut telemetry = scenario.telemetry.clone();
        telemetry.utilisation &= variant.parts.utilisation;
        let mut groups = Vec::new();
        for (g, spec) in policies.groups.iter().enumerate() {
            let group = GroupIdx::from(g);
            let at = course.cells_of(group);
            let share: Vec<f64> = at.iter().map(|r| course.share(group, *r)).collect();
            let n = spec.members.len();
            let random = variant.parts.picks == Picks::Coins;
            let ms = at.iter().map(|r| {
                let cell = &cells.cells[r.idx()];
                spec.members
                    .iter()
                    .map(|m| if m.pop.is_some() { distance_ms(policies, m, cell) } else { EXTERNAL_MS })
                    .collect()
            });
            let ms: Vec<Vec<f64>> = ms.collect();
            let always: Vec<bool> = spec.members.iter().map(|m| m.role == Role::Active).collect();
            let near = at.iter().zip(&ms).map(|(r, ms)| {
                let route = route_idx(policies, group, &cells.cells[r.idx()]).map(|i| &spec.routes[i]);
                let mut list: Vec<usize> = candidates(spec, route, &always).into_iter().map(MemberIdx::idx).collect();
                list.sort_by(|a, b| ms[*a].total_cmp(&ms[*b]));
                list
            });
            let standby = spec.members.iter().map(|m| match m.role {
                Role::Shadow { warmup_secs, .. } => Some(Standby::new(warmup_secs, &mut rng)),
                _ => None,
            });
            let (near, standby) = (near.collect(), standby.collect());
            let (of_cell, demand) = (vec![0.0; at.len() * (n + 1)], vec![0.0; at.len()]);
            let clients = Clients::new(&scenario.clients, at.len(), n);
            let caches = Caches::new(group, at, &share, n, &resolvers, random, seed);
            groups.push(Group { caches, clients, ms, near, standby, kept_on: 0, of_cell, demand });
        }
        let n_cells = cells.cells.len();
        let of = |n: &dyn Fn(usize) -> usize| -> Vec<Vec<f64>> {
            policies.groups.iter().map(|g| vec![0.0; n(g.members.len())]).collect()
        };
        World {
            policies,
            drawn: course.draw(scenario, seed),
            faults,
            pops: policies.pops.iter().map(|p| Pop::new(p.max, scenario.clients.retries)).collect(),
            reports: Reports::new(&telemetry, policies, cells, -scenario.settle.0, seed),
            report_cells: telemetry.cells,
            probes: telemetry.probes,
            rng: Rng::new(seed, "probes"),
            n_cells,
            tally: empty_tally(policies, n_cells),
            load: of(&|n| n + 1),
            failing: of(&|n| n + 1),
            by_cell: of(&|n| if telemetry.cells { n * n_cells } else { 0 }),
            groups,
        }
    }

    /// Fills all caches from the first table.
    pub fn begin(&mut self, table: &Table, t: f64) {
        self.groups.iter_mut().for_each(|g| g.caches.fill(table, t));
    }

    /// Takes members for standing by that are on all the time: `flags[g][m]`. They count as such, and nobody is measured by
    /// their nearness.
    pub fn keep_on(&mut self, flags: &[Vec<bool>]) {
        for (group, flags) in self.groups.iter_mut().zip(flags) {
            group.near.iter_mut().for_each(|list| list.retain(|m| !flags[*m]));
            group.kept_on = flags.iter().filter(|on| **on).count();
        }
    }

    /// Moves on by `dt` seconds to `t`: caches ask, clients go where they were told.
    pub fn step(&mut self, way: Way, dt: f64, t: f64, unix: f64, score: &mut Score) {
        let is: Vec<Condition> = (0..self.pops.len()).map(|p| self.faults.at(PopIdx::from(p), t)).collect();
        for (g, group) in self.groups.iter_mut().enumerate() {
            let spec = &self.policies.groups[g];
            let n = spec.members.len() + 1;
            let down = |m: &crate::policy::Member| m.pop.is_some_and(|p| is[p.idx()].down);
            let broken: Vec<bool> = spec.members.iter().map(down).chain([true]).collect();
            for (c, cell) in group.caches.cells().iter().enumerate() {
                group.demand[c] = self.drawn.of_cell(GroupIdx::from(g), *cell, t);
            }
            group.of_cell.fill(0.0);
            if let Way::Answers(table) = way {
                group.caches.step(table, &group.demand, self.faults.of_resolvers(t), t, &mut self.tally);
            }
            for (c, demand) in group.demand.iter().enumerate() {
                let load = &mut group.of_cell[c * n..][..n];
                match way {
                    Way::Answers(_) => group.clients.step(c, *demand, group.caches.mass(c), &broken, dt, load),
                    Way::Plan(plan) => {
                        let row = plan.row(GroupIdx::from(g), group.caches.cells()[c]);
                        row.given().for_each(|(m, share)| load[m] = demand * f64::from(share));
                        load[n - 1] = if row.is_empty() { *demand } else { 0.0 };
                    }
                }
            }
            self.load[g].fill(0.0);
            for row in group.of_cell.chunks(n) {
                self.load[g].iter_mut().zip(row).for_each(|(sum, l)| *sum += l);
            }
        }
        self.serve(&is);
        self.score(&is, dt, t, score);
        self.report(&is, dt, t, unix);
    }

    /// Lets POPs serve what they are asked, members that are off apart.
    fn serve(&mut self, is: &[Condition]) {
        let mut fresh = vec![0.0; self.pops.len()];
        for (g, group) in self.groups.iter().enumerate() {
            for (m, member) in self.policies.groups[g].members.iter().enumerate() {
                let on = group.standby[m].is_none_or(|s| s.serves());
                if let (Some(pop), true) = (member.pop, on) {
                    fresh[pop.idx()] += self.load[g][m];
                }
            }
        }
        self.pops.iter_mut().zip(&fresh).zip(is).for_each(|((pop, fresh), is)| pop.step(*fresh, is));
        for (g, group) in self.groups.iter().enumerate() {
            for (m, member) in self.policies.groups[g].members.iter().enumerate() {
                let on = group.standby[m].is_none_or(|s| s.serves());
                self.failing[g][m] = match member.pop {
                    Some(pop) if on => self.pops[pop.idx()].out.failing,
                    Some(_) => 1.0,
                    None => 0.0,
                };
            }
            *self.failing[g].last_mut().expect("the last is of no answer") = 1.0;
        }
    }

    fn score(&self, is: &[Condition], dt: f64, t: f64, score: &mut Score) {
        if t < 0.0 {
            return;
        }
        for (g, group) in self.groups.iter().enumerate() {
            let members = &self.policies.groups[g].members;
            let n = members.len() + 1;
            for (c, row) in group.of_cell.chunks(n).enumerate() {
                let well = |m: &&usize| members[**m].pop.is_none_or(|p| !is[p.idx()].down);
                let least = group.near[c].iter().find(well).map_or(EXTERNAL_MS, |m| group.ms[c][*m]);
                for (m, load) in row.iter().enumerate().filter(|(_, load)| **load > 0.0) {
                    if m + 1 == n {
                        score.nowhere(g, *load * dt);
                        continue;
                    }
                    let queue = members[m].pop.map_or(0.0, |p| self.pops[p.idx()].out.queue_ms);
                    let price = members[m].price + members[m].pop.map_or(0.0, |p| self.policies.pops[p.idx()].price);
                    score.served(g, *load * dt, self.failing[g][m], [group.ms[c][m] + queue, least], price);
                }
            }
            score.kept_on(group.kept_on as f64 * dt);
            for (m, standby) in group.standby.iter().enumerate() {
                if let Some(standby) = standby {
                    score.standby(g, m, standby.state, if standby.serves() { 0.0 } else { self.load[g][m] * dt }, dt);
                }
            }
        }
        if self.groups.len() > 1 {
            self.parts(dt, score);
        }
        score.pops(self.pops.iter().map(|p| p.out), dt, t);
    }

    /// Deals what POPs were offered too much, and gave up, out to the groups, by what each asks of them.
    fn parts(&self, dt: f64, score: &mut Score) {
        for (p, pop) in self.pops.iter().enumerate().filter(|(_, pop)| pop.out.over + pop.out.lost > 0.0) {
            let fresh = self.fresh_at(PopIdx::from(p)).max(1e-9);
            for (g, group) in self.groups.iter().enumerate() {
                for (m, member) in self.policies.groups[g].members.iter().enumerate() {
                    let on = group.standby[m].is_none_or(|s| s.serves());
                    if on && member.pop == Some(PopIdx::from(p)) {
                        let part = dt * self.load[g][m] / fresh;
                        score.part(g, part * pop.out.over, part * pop.out.lost);
                    }
                }
            }
        }
    }

    fn report(&mut self, is: &[Condition], dt: f64, t: f64, unix: f64) {
        let mut shadow: Vec<Vec<Option<ShadowState>>> = Vec::new();
        for (g, group) in self.groups.iter().enumerate() {
            let n = self.policies.groups[g].members.len();
            shadow.push(group.standby.iter().map(|s| s.map(|s| s.state)).collect());
            if self.report_cells {
                self.by_cell[g].fill(0.0);
                for (c, row) in group.of_cell.chunks(n + 1).enumerate() {
                    let r = group.caches.cells()[c].idx();
                    row[..n].iter().enumerate().for_each(|(m, load)| self.by_cell[g][m * self.n_cells + r] += load);
                }
            }
        }
        // Tries again are requests like others to whoever serves them.
        let mut load = self.load.clone();
        for (g, row) in load.iter_mut().enumerate() {
            for (m, member) in self.policies.groups[g].members.iter().enumerate() {
                let fresh: f64 = member.pop.map_or(0.0, |p| self.fresh_at(p));
                if let Some(pop) = member.pop.filter(|_| fresh > 0.0) {
                    row[m] *= self.pops[pop.idx()].out.offered / fresh;
                }
            }
        }
        let pops: Vec<(f64, f64)> =
            self.pops.iter().map(|p| (p.out.queue_ms, p.out.offered / p.out.capacity.max(1e-9))).collect();
        let (load, failing, by_cell) = (&load[..], &self.failing[..], &self.by_cell[..]);
        let served = Served { load, failing, by_cell, pops: &pops, shadow: &shadow, is };
        self.reports.step(&served, dt, t, unix);
    }

    fn fresh_at(&self, pop: PopIdx) -> f64 {
        let of = |(g, spec): (usize, &crate::policy::Group)| {
            let here = spec.members.iter().enumerate().filter(|(_, m)| m.pop == Some(pop));
            let on = here.filter(|(m, _)| self.groups[g].standby[*m].is_none_or(|s| s.serves()));
            on.map(|(m, _)| self.load[g][m]).sum::<f64>()
        };
        self.policies.groups.iter().enumerate().map(of).sum()
    }

    /// What has arrived at the server by `t`, and what it was asked since the last time.
    pub fn told(&mut self, t: f64) -> (Vec<Sample>, TallySum) {
        let fresh = empty_tally(self.policies, self.n_cells);
        (self.reports.arrived(t), std::mem::replace(&mut self.tally, fresh))
    }

    /// Outcomes of the probes that end at `t`: of every POP one in `PROBE_SECS`, from one place.
    pub fn probed(&mut self, t: f64) -> Vec<Outcome> {
        if !self.probes {
            return Vec::new();
        }
        let step = t.round() as i64;
        let due = |p: usize| (step + p as i64).rem_euclid(PROBE_SECS) == 0;
        let mut probes = Vec::new();
        for (p, pop) in self.policies.pops.iter().enumerate().filter(|(p, _)| due(*p)) {
            let is = self.faults.at(PopIdx::from(p), t);
            let well = !is.down && !self.rng.chance(self.pops[p].out.failing);
            let what = if well { What::Well } else { What::TimedOut };
            probes.push(Outcome { pop: pop.name.clone(), place: "here".into(), what });
        }
        probes
    }

    /// Takes in what is wanted of shadows.
    pub fn direct(&mut self, directives: &[Directive], t: f64) {
        for directive in directives {
            let Some(g) = self.policies.groups.iter().position(|g| g.name == directive.group) else { continue };
            let Some(m) = self.policies.groups[g].members.iter().position(|m| m.name == directive.member) else {
                continue;
            };
            if let Some(standby) = &mut self.groups[g].standby[m] {
                standby.step(directive.wanted, t);
            }
        }
    }

    /// The seed's demand.
    pub fn drawn(&self) -> &Drawn {
        &self.drawn
    }

    /// Demand of a group's cells in the last step, requests per second.
    pub fn demand(&self, group: GroupIdx) -> impl Iterator<Item = (CellIdx, f64)> + '_ {
        let of = &self.groups[group.idx()];
        of.caches.cells().iter().copied().zip(of.demand.iter().copied())
    }

    /// Per member: share of a group's demand behind caches that hold it, and its load, requests per second.
    pub fn held(&self, group: GroupIdx) -> Vec<(f64, f64)> {
        let of = &self.groups[group.idx()];
        let n = self.policies.groups[group.idx()].members.len();
        let total: f64 = of.demand.iter().sum::<f64>().max(1e-9);
        let held = |m: usize| of.demand.iter().enumerate().map(|(c, d)| d * of.caches.mass(c)[m]).sum::<f64>() / total;
        (0..n).map(|m| (held(m), self.load[group.idx()][m])).collect()
    }

    /// The POPs.
    pub fn pops(&self) -> &[Pop] {
        &self.pops
    }
}

fn empty_tally(policies: &Policies, n_cells: usize) -> TallySum {
    TallySum {
        answered: policies.groups.iter().map(|g| vec![0; g.members.len()]).collect(),
        queries: policies.groups.iter().map(|_| vec![0; n_cells]).collect(),
        all_down: vec![0; policies.groups.len()],
        carried: Vec::new(),
    }
}
