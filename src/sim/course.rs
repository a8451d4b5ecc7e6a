//! What is asked, second by second: traces and what is laid over them, per group and cell.

use crate::geo::CellMap;
use crate::id::{CellIdx, GroupIdx};
use crate::policy::{Policies, Role};
use crate::sim::announce::{Announce, Announced};
use crate::sim::rng::Rng;
use crate::sim::scenario::{Demand, Scenario, Shape, Surge, SurgeKind};
use crate::sim::secs::Start;
use std::collections::BTreeMap;

/// Seconds beyond the end that oracles look at.
const BEYOND_SECS: f64 = 3600.0;
/// See [`Demand::memory`].
const NOISE_MEMORY: f64 = 0.8;
/// See [`Demand::every`].
const EVERY_SECS: f64 = 1800.0;
/// Seconds in which a spike goes by 1/e.
const SPIKE_SECS: f64 = 240.0;
/// See [`Demand::noise`].
const NOISE: f64 = 0.02;
/// Where time begins without a trace: a Monday, midnight.
const MONDAY: f64 = 1_735_516_800.0;
/// Surges begin so many seconds early or late, uniform.
const AROUND_SECS: f64 = 30.0;

/// A trace, as it was read: `values[i]` at `start_secs + i·step_secs`, NaN a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Unix time of the first value.
    pub start_secs: f64,
    /// Seconds between values.
    pub step_secs: f64,
    /// The values, at least 0; gaps are filled in between neighbours.
    pub values: Vec<f64>,
}

//----------- Course ---------------------------------------------------------

/// The demand of all groups in one scenario; what seeds change is drawn by [`Course::draw`].
#[derive(Clone, Debug)]
pub struct Course {
    /// Unix seconds at which what is scored begins.
    pub start_unix: f64,
    /// What the loop is told of events.
    pub announced: Announced,
    groups: Vec<GroupCourse>,
}

#[derive(Clone, Debug)]
struct GroupCourse {
    /// Requests per second per minute, the first one [`Course::n_past`] minutes before the start.
    minutes: Vec<f64>,
    /// Deviation of the noise, and its correlation from minute to minute.
    noise: [f64; 2],
    shares: Vec<f64>,
    surges: Vec<(Surge, f64, Vec<f64>)>,
    /// What is announced, its announced peak, and where it comes from.
    events: Vec<(Announce, f64, Vec<f64>)>,
}

/// One seed's demand.
#[derive(Clone, Debug)]
pub struct Drawn {
    /// Per group: before the start of the settling, minute by minute, requests per second.
    pub past: Vec<Vec<f64>>,
    settle_secs: f64,
    groups: Vec<DrawnGroup>,
}

#[derive(Clone, Debug)]
struct DrawnGroup {
    /// Per second from the start of the settling on: base, and all of it.
    base: Vec<f64>,
    total: Vec<f64>,
    shares: Vec<f64>,
    /// Per surge: what it adds per second, and where; a shift has the part that moves.
    over: Vec<(SurgeKind, Vec<f64>, Vec<f64>)>,
    /// When each surge ends that does, seconds after the start.
    ends: Vec<f64>,
}

impl Course {
    /// Puts together what a scenario asks; `traces` runs parallel to its `[[demand]]`.
    ///
    /// # Errors
    /// What does not fit to policies, cells or traces, in words.
    pub fn new(
        scenario: &Scenario,
        traces: &[Option<Trace>],
        policies: &Policies,
        cells: &CellMap,
    ) -> Result<Course, String> {
        let first = traces.iter().flatten().next();
        let start_unix = match (scenario.start, first) {
            (Some(Start::At(unix)), _) => unix,
            (Some(Start::Into(secs)), first) => first.map_or(MONDAY, |t| t.start_secs) + secs,
            (None, Some(first)) => first.busiest(scenario.duration.0, scenario.history.0 + scenario.settle.0),
            (None, None) => MONDAY + 12.0 * 3600.0,
        };
        let (mut groups, mut announced) = (Vec::new(), Announced::default());
        for (g, spec) in policies.groups.iter().enumerate() {
            let capacity = capacity(policies, g);
            let of = |name: &str| group_idx(policies, name);
            let mut minutes = Vec::new();
            let (mut shares, mut noise) = (shares(&BTreeMap::new(), cells)?, [NOISE, NOISE_MEMORY]);
            for (demand, trace) in scenario.demand.iter().zip(traces) {
                if of(&demand.group)? != g {
                    continue;
                }
                if !minutes.is_empty() {
                    return Err(format!("two [[demand]] of {}", spec.name));
                }
                minutes = base(demand, trace.as_ref(), scenario, start_unix, capacity)?;
                shares = self::shares(&demand.cells, cells)?;
                noise = [demand.noise.unwrap_or(NOISE), demand.memory.unwrap_or(NOISE_MEMORY)];
            }
            if minutes.is_empty() {
                minutes = vec![0.0; n_minutes(scenario)];
            }
            let mut surges = Vec::new();
            for surge in &scenario.surge {
                if of(&surge.group)? == g {
                    let size = match surge.kind {
                        SurgeKind::Shift => surge.share.unwrap_or(0.0),
                        _ => surge.peak.unwrap_or_else(|| surge.share.unwrap_or(0.0) * capacity),
                    };
                    let at = if surge.cells.is_empty() { shares.clone() } else { self::shares(&surge.cells, cells)? };
                    surges.push((surge.clone(), size, at));
                }
            }
            let mut events = Vec::new();
            for event in &scenario.announce {
                if of(&event.group)? == g {
                    let peak = event.peak.unwrap_or_else(|| event.share.unwrap_or(0.0) * capacity);
                    let at = if event.cells.is_empty() { shares.clone() } else { self::shares(&event.cells, cells)? };
                    announced.push(event, &spec.name, peak, start_unix);
                    events.push((event.clone(), peak, at));
                }
            }
            groups.push(GroupCourse { minutes, noise, shares, surges, events });
        }
        Ok(Course { start_unix, announced, groups })
    }

    /// The demand of one seed. The past is the same for all.
    pub fn draw(&self, scenario: &Scenario, seed: u64) -> Drawn {
        let (n_past, settle) = (n_past(scenario), scenario.settle.0);
        let n_secs = (scenario.settle.0 + scenario.duration.0 + BEYOND_SECS) as usize;
        let (mut past, mut groups) = (Vec::new(), Vec::new());
        for (g, course) in self.groups.iter().enumerate() {
            let (mut level, [noise, memory]) = (0.0, course.noise);
            let mut noisy = |rng: &mut Rng| {
                level = memory * level + (1.0 - memory * memory).sqrt() * rng.normal();
                (noise * level).exp()
            };
            let mut rng = Rng::new(scenario.seed, &format!("past {g}"));
            past.push(course.minutes[..n_past].iter().map(|v| v * noisy(&mut rng)).collect());
            let mut rng = Rng::new(seed, &format!("demand {g}"));
            let minutes: Vec<f64> = course.minutes[n_past..].iter().map(|v| v * noisy(&mut rng)).collect();
            let at = |s: usize| {
                let (i, part) = (s / 60, (s % 60) as f64 / 60.0);
                let (a, b) = (minutes[i.min(minutes.len() - 1)], minutes[(i + 1).min(minutes.len() - 1)]);
                a + part * (b - a)
            };
            let base: Vec<f64> = (0..n_secs).map(at).collect();
            let mut total = base.clone();
            let (mut over, mut ends) = (Vec::new(), Vec::new());
            for (i, (surge, size, cells)) in course.surges.iter().enumerate() {
                let mut rng = Rng::new(seed, &format!("surge {g} {i}"));
                let (curve, end) = drawn(surge, *size, settle, n_secs, &mut rng);
                ends.push(end);
                if surge.kind != SurgeKind::Shift {
                    total.iter_mut().zip(&curve).for_each(|(t, c)| *t += c);
                }
                over.push((surge.kind, curve, cells.clone()));
            }
            for (i, (event, peak, cells)) in course.events.iter().enumerate() {
                let mut rng = Rng::new(seed, &format!("event {g} {i}"));
                let curve = event.drawn(*peak, settle, n_secs, &mut rng);
                total.iter_mut().zip(&curve).for_each(|(t, c)| *t += c);
                over.push((SurgeKind::Burst, curve, cells.clone()));
            }
            groups.push(DrawnGroup { base, total, shares: course.shares.clone(), over, ends });
        }
        Drawn { past, settle_secs: settle, groups }
    }

    /// The cells from which anything of a group ever comes.
    pub fn cells_of(&self, group: GroupIdx) -> Vec<CellIdx> {
        let of = &self.groups[group.idx()];
        let extra = |r: usize| {
            let (surges, events) = (&of.surges, &of.events);
            surges.iter().any(|(_, _, at)| at[r] > 0.0) || events.iter().any(|(_, _, at)| at[r] > 0.0)
        };
        let any = |r: &usize| of.shares[*r] > 0.0 || extra(*r);
        (0..of.shares.len()).filter(any).map(CellIdx::from).collect()
    }

    /// The usual share of a cell in a group's demand.
    pub fn share(&self, group: GroupIdx, cell: CellIdx) -> f64 {
        self.groups[group.idx()].shares[cell.idx()]
    }
}

impl Drawn {
    /// Demand of a group `t` seconds after the start, requests per second; `t` from the start of the settling on.
    pub fn total(&self, group: GroupIdx, t: f64) -> f64 {
        let of = &self.groups[group.idx()].total;
        of[self.second(t).min(of.len() - 1)]
    }

    /// When all surges and faults are over, seconds after the start; `None` where there is none, or one that goes on.
    pub fn over_at(&self, scenario: &Scenario) -> Option<f64> {
        let faults = scenario.fault.iter().map(|f| f.at.0 + f.lasts.0);
        let last =
            self.groups.iter().flat_map(|g| g.ends.iter().copied()).chain(faults).fold(f64::NEG_INFINITY, f64::max);
        (0.0..scenario.duration.0).contains(&last).then_some(last)
    }

    /// Where an oracle says that it comes from: each cell's greatest demand of the next `minutes`, as a part of the group's
    /// greatest in them. They sum to more than 1 where demand moves from cell to cell: each is to have room for its own.
    pub fn shares_soon(&self, group: GroupIdx, n_cells: usize, minutes: usize, t: f64) -> Vec<f64> {
        let looks = || (0..=2 * minutes).map(|i| t + 30.0 * i as f64);
        let total = looks().map(|t| self.total(group, t)).fold(0.0, f64::max);
        let most = |r: usize| looks().map(|t| self.of_cell(group, CellIdx::from(r), t)).fold(0.0, f64::max);
        (0..n_cells).map(|r| if total > 0.0 { most(r) / total } else { 1.0 / n_cells as f64 }).collect()
    }

    /// Where demand comes from at a moment, as shares.
    pub fn shares(&self, group: GroupIdx, n_cells: usize, t: f64) -> Vec<f64> {
        let now: Vec<f64> = (0..n_cells).map(|r| self.of_cell(group, CellIdx::from(r), t)).collect();
        let sum: f64 = now.iter().sum();
        now.iter().map(|d| if sum > 0.0 { d / sum } else { 1.0 / n_cells as f64 }).collect()
    }

    fn second(&self, t: f64) -> usize {
        (t + self.settle_secs).max(0.0) as usize
    }

    /// Demand of one cell of it.
    pub fn of_cell(&self, group: GroupIdx, cell: CellIdx, t: f64) -> f64 {
        let of = &self.groups[group.idx()];
        let (s, r) = (self.second(t).min(of.base.len() - 1), cell.idx());
        let mut share = of.shares[r];
        let mut extra = 0.0;
        for (kind, curve, cells) in &of.over {
            match kind {
                SurgeKind::Shift => share += curve[s] * (cells[r] - share),
                _ => extra += curve[s] * cells[r],
            }
        }
        of.base[s] * share + extra
    }

    /// What an oracle says at `t`: the greatest demand of the next `i + 1` minutes, for 32 of them.
    pub fn ahead(&self, group: GroupIdx, t: f64) -> Vec<f64> {
        let of = &self.groups[group.idx()].total;
        let mut most = 0.0f64;
        let minute = |i: usize| {
            let from = (self.second(t) + 60 * i).min(of.len() - 1);
            let to = (from + 60).min(of.len());
            most = of[from..to].iter().copied().fold(most, f64::max);
            most
        };
        (0..32).map(minute).collect()
    }
}

fn n_past(scenario: &Scenario) -> usize {
    (scenario.history.0 / 60.0).round() as usize
}

fn n_minutes(scenario: &Scenario) -> usize {
    n_past(scenario) + ((scenario.settle.0 + scenario.duration.0 + BEYOND_SECS) / 60.0).ceil() as usize + 1
}

/// Position of the group of that name; of the only one where it is empty.
fn group_idx(policies: &Policies, name: &str) -> Result<usize, String> {
    let names = || policies.groups.iter().map(|g| g.name.to_string()).collect::<Vec<_>>().join(", ");
    if name.is_empty() && policies.groups.len() == 1 {
        return Ok(0);
    }
    let is = |n: &str| {
        n == name || n.trim_end_matches('.') == name.trim_end_matches('.') || n.split('.').next() == Some(name)
    };
    let found = policies.groups.iter().position(|g| is(&g.name.to_string()));
    found.ok_or_else(|| format!("no group is called {name:?}; there are {}", names()))
}

/// What the active members of a group are declared to sustain together, each POP once, requests per second.
pub fn capacity(policies: &Policies, g: usize) -> f64 {
    let active = policies.groups[g].members.iter().filter(|m| m.role == Role::Active);
    let of = |m: &crate::policy::Member| {
        m.pop.map(|p| m.capacity.unwrap_or(f64::INFINITY).min(policies.pops[p.idx()].capacity))
    };
    active.filter_map(of).sum()
}

/// Shares of all cells, summing to 1. A country's is spread over its cells by their weights.
fn shares(said: &BTreeMap<String, f64>, cells: &CellMap) -> Result<Vec<f64>, String> {
    let mut shares = vec![0.0; cells.cells.len()];
    for (name, share) in said {
        let country = |c: &crate::geo::Cell| c.country.is_some_and(|c| c.as_slice() == name.as_bytes());
        let mut at: Vec<usize> = (0..shares.len()).filter(|r| cells.cells[*r].name == *name).collect();
        if at.is_empty() {
            at = (0..shares.len()).filter(|r| country(&cells.cells[*r])).collect();
        }
        let weight: f64 = at.iter().map(|r| cells.cells[*r].weight).sum();
        for r in &at {
            let part = if weight > 0.0 { cells.cells[*r].weight / weight } else { 1.0 / at.len() as f64 };
            shares[*r] += share * part;
        }
        if at.is_empty() {
            let names: Vec<&str> = cells.cells.iter().map(|c| c.name.as_str()).take(40).collect();
            return Err(format!("no cell and no country is called {name:?}; there are {}", names.join(" ")));
        }
    }
    if said.is_empty() {
        // `unknown` has a weight, too, but nobody lives there.
        shares = cells.cells.iter().map(|c| if c.at.is_some() { c.weight } else { 0.0 }).collect();
    }
    let sum: f64 = shares.iter().sum();
    if sum <= 0.0 {
        return Err("the shares of the cells sum to nothing".into());
    }
    shares.iter_mut().for_each(|s| *s /= sum);
    Ok(shares)
}

/// Requests per second of every minute from the history's first on, without noise.
fn base(
    demand: &Demand,
    trace: Option<&Trace>,
    scenario: &Scenario,
    start_unix: f64,
    capacity: f64,
) -> Result<Vec<f64>, String> {
    let first = start_unix - scenario.settle.0 - n_past(scenario) as f64 * 60.0;
    let at = |i: usize| first + i as f64 * 60.0;
    let scored = |i: &usize| (0.0..=scenario.duration.0).contains(&(at(*i) - start_unix));
    let n = n_minutes(scenario);
    let shape: Vec<f64> = match trace {
        None => (0..n).map(|i| form(demand, at(i))).collect(),
        Some(trace) => {
            if !trace.holds(start_unix) || !trace.holds(start_unix + scenario.duration.0 - trace.step_secs) {
                return Err("the trace does not reach over what is scored".into());
            }
            // Before its first row a trace goes on with the same time of its first day.
            (0..n).map(|i| trace.at(at(i))).collect()
        }
    };
    let greatest = match (demand.peak, trace) {
        (Some(_), Some(trace)) => trace.values.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max),
        _ => (0..n).filter(scored).map(|i| shape[i]).fold(0.0, f64::max),
    };
    if greatest <= 0.0 {
        return Err("nothing is asked in what is scored".into());
    }
    let peak = demand.peak.unwrap_or_else(|| demand.share.unwrap_or(0.7) * capacity);
    Ok(shape.into_iter().map(|v| v * peak / greatest).collect())
}

/// The form of a demand without a trace, as [`Shape`] has it.
fn form(demand: &Demand, unix: f64) -> f64 {
    // Highest at 20:00, where the evening is.
    let day = (unix - 20.0 * 3600.0) / 86_400.0 * std::f64::consts::TAU;
    let every = demand.every.map_or(EVERY_SECS, |e| e.0);
    let into = unix.rem_euclid(every);
    let weekend = ((unix - MONDAY) / 86_400.0).rem_euclid(7.0) >= 5.0;
    match demand.shape {
        Shape::Wave => 1.0 - demand.wave * 0.5 * (1.0 - day.cos()),
        Shape::Diurnal => {
            let days = 1.0 - demand.wave * (0.5 - 0.3 * day.cos() - 0.2 * (2.0 * day).cos());
            if weekend { 0.8 * days } else { days }
        }
        Shape::Sawtooth => 1.0 - demand.wave * (1.0 - into / every),
        Shape::Spikes => 1.0 - demand.wave * (1.0 - (-into / SPIKE_SECS).exp()),
    }
}

/// What a surge adds, second by second from the start of the settling on, and when it ends, seconds after the start.
fn drawn(surge: &Surge, size: f64, settle: f64, n_secs: usize, rng: &mut Rng) -> (Vec<f64>, f64) {
    let spread = if surge.kind == SurgeKind::Shift { 0.0 } else { surge.spread };
    let size = size * (spread * rng.normal()).exp();
    let at = surge.at.0 + rng.between(-AROUND_SECS, AROUND_SECS);
    let lasts = surge.lasts.map_or(f64::INFINITY, |l| l.0);
    if surge.kind == SurgeKind::Hawkes {
        return (hawkes(surge, size, at + settle, lasts, n_secs, rng), f64::INFINITY);
    }
    let rise = surge.rise.0.max(1.0);
    let of = |u: f64| match surge.kind {
        _ if u < 0.0 => 0.0,
        SurgeKind::Burst if u < rise => u / rise,
        SurgeKind::Burst => (1.0 + (u - rise) / surge.decay.0).powf(-surge.exponent),
        _ if u > lasts => 0.0,
        SurgeKind::Ramp | SurgeKind::Shift => (u / rise).min(1.0),
        SurgeKind::Step | SurgeKind::Hawkes => 1.0,
    };
    let ends = if surge.kind == SurgeKind::Burst { f64::INFINITY } else { at + lasts };
    ((0..n_secs).map(|s| size * of(s as f64 - settle - at)).collect(), ends)
}

/// Immigrants for as long as it lasts, `branching` offspring each within minutes, and a load of two minutes from each
/// event; scaled so that it hovers about `size`. `at` counts from the first second.
fn hawkes(surge: &Surge, size: f64, at: f64, lasts: f64, n_secs: usize, rng: &mut Rng) -> Vec<f64> {
    const IMMIGRANTS: f64 = 0.05;
    const EXCITED_SECS: f64 = 60.0;
    const LOADED_SECS: f64 = 120.0;
    let usual = IMMIGRANTS / (1.0 - surge.branching) * LOADED_SECS;
    let (mut excited, mut load) = (0.0, 0.0);
    let mut curve = Vec::with_capacity(n_secs);
    for s in 0..n_secs {
        let u = s as f64 - at;
        let immigrants = if u >= 0.0 && u <= lasts { IMMIGRANTS } else { 0.0 };
        let n = rng.count(immigrants + excited / EXCITED_SECS);
        excited = excited * (1.0 - 1.0 / EXCITED_SECS) + surge.branching * n;
        load = load * (1.0 - 1.0 / LOADED_SECS) + n;
        curve.push(size * load / usual);
    }
    curve
}

impl Trace {
    fn holds(&self, unix: f64) -> bool {
        let at = (unix - self.start_secs) / self.step_secs;
        at >= 0.0 && at <= self.values.len() as f64
    }

    /// The value at a moment, linear between rows; before the first row that of the same time of the first whole week
    /// or day, after the last one the last.
    fn at(&self, unix: f64) -> f64 {
        let length = self.values.len() as f64 * self.step_secs;
        let period = if length >= 604_800.0 { 604_800.0 } else { 86_400.0f64.min(length) };
        let mut unix = unix;
        if unix < self.start_secs {
            unix += ((self.start_secs - unix) / period).ceil() * period;
        }
        let at = ((unix - self.start_secs) / self.step_secs).clamp(0.0, (self.values.len() - 1) as f64);
        let (i, part) = (at as usize, at.fract());
        self.known(i) * (1.0 - part) + self.known((i + 1).min(self.values.len() - 1)) * part
    }

    fn known(&self, i: usize) -> f64 {
        let before = self.values[..=i].iter().rev().find(|v| v.is_finite());
        before.or_else(|| self.values[i..].iter().find(|v| v.is_finite())).map_or(0.0, |v| v.max(0.0))
    }

    /// Where a stretch of that length begins that has the greatest value in its middle, with the history before it
    /// where there is so much.
    fn busiest(&self, duration: f64, history: f64) -> f64 {
        let n = self.values.len();
        let first = (history / self.step_secs).ceil() as usize;
        let from = if first + 1 < n { first } else { 0 };
        let best = (from..n).max_by(|a, b| self.known(*a).total_cmp(&self.known(*b))).unwrap_or(0);
        let last = self.start_secs + (n - 1) as f64 * self.step_secs - duration;
        let start = self.start_secs + best as f64 * self.step_secs - duration / 2.0;
        ((start.min(last).max(self.start_secs)) / 60.0).ceil() * 60.0
    }
}
