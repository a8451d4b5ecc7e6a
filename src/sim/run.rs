//! One run: a variant of the loop in one seed's world.

use crate::clock::Now;
use crate::control::live::answers_alike;
use crate::control::{Inputs, State, Ticked, Told, fitter, tick};
use crate::exchange::TallySum;
use crate::geo::CellMap;
use crate::id::{CellIdx, GroupIdx, PopIdx};
use crate::policy::{Policies, Role};
use crate::sim::course::{Course, Drawn, Trace};
use crate::sim::pilot::{self, Pilot};
use crate::sim::pops::Faults;
use crate::sim::scenario::Scenario;
use crate::sim::score::{Figures, Score};
use crate::sim::variant::{Controller, Picks, Shadows, Variant};
use crate::sim::world::{Way, World};
use crate::steering::Table;
use std::collections::HashMap;
use std::sync::Arc;

/// Seconds between fits, as a fitter with little to do finds them.
const FIT_SECS: f64 = 60.0;
/// Fits at one time, at most.
const MOST_FITS: usize = 16;
/// Minutes ahead that a plan looks, twice the lead of a TTL of a minute; beyond are shadows.
const LEAD_MINUTES: usize = 4;
/// Seconds of a lag, beside half of the TTL: noticing and connections, as the loop has them.
const LAG_SECS: f64 = 62.0;

//----------- Setting --------------------------------------------------------

/// Everything about a scenario that no seed changes.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The policies as written.
    pub policies: Policies,
    /// The cells.
    pub cells: Arc<CellMap>,
    /// The scenario.
    pub scenario: Scenario,
    /// Its demand.
    pub course: Course,
}

impl Setting {
    /// Puts a scenario together; `traces` runs parallel to its `[[demand]]`.
    ///
    /// # Errors
    /// What does not fit together, in words.
    pub fn new(
        scenario: Scenario,
        traces: &[Option<Trace>],
        policies: &Policies,
        cells: Arc<CellMap>,
    ) -> Result<Setting, String> {
        Faults::new(&scenario.fault, policies)?;
        let course = Course::new(&scenario, traces, policies, &cells)?;
        Ok(Setting { policies: policies.clone(), cells, scenario, course })
    }

    /// From when to when something is wrong with a POP, or with resolvers.
    pub fn faults_at(&self, pop: usize) -> Vec<[f64; 2]> {
        let faults = Faults::new(&self.scenario.fault, &self.policies).expect("the setting has checked it");
        faults.about(PopIdx::from(pop))
    }
}

//----------- Run ------------------------------------------------------------

/// A moment of a run, for pictures and tables.
#[derive(Clone, Debug, PartialEq)]
pub struct Moment {
    /// Seconds after the start.
    pub at: f64,
    /// Per group: demand, planned demand, TTL.
    pub groups: Vec<[f64; 3]>,
    /// Per POP: share intended, share answered and still held, share of the load observed; load, capacity, target.
    pub pops: Vec<[f64; 6]>,
}

/// What a run lets others see of a tick.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The policies of the run.
    pub policies: &'a Policies,
    /// The cells.
    pub cells: &'a CellMap,
    /// The loop after the tick.
    pub state: &'a State,
    /// What it decided.
    pub ticked: &'a Ticked,
    /// Seconds after the start.
    pub at: f64,
}

/// A variant that has read the past, ready for any seed.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    setting: &'a Setting,
    variant: Variant,
    policies: Arc<Policies>,
    state: State,
    first: Ticked,
    faults: Faults,
}

impl<'a> Run<'a> {
    /// Lets the loop take in the past and fit what it fits. Costs seconds where the past is long.
    pub fn prepare(setting: &'a Setting, variant: &Variant) -> Run<'a> {
        let mut variant = variant.clone();
        let Setting { cells, scenario, course, .. } = setting;
        if variant.controller == Controller::StaticBest {
            let drawn = course.draw(scenario, scenario.seed);
            let needs = pilot::needs_shadows(&setting.policies, cells, scenario, &drawn);
            variant.parts.shadows = if needs { Shadows::On } else { Shadows::None };
        }
        let policies = Arc::new(variant.apply(&setting.policies));
        let mut state = State::new(1);
        state.skills = variant.parts.skills;
        if variant.parts.forecast {
            let past = setting.course.draw(&setting.scenario, setting.scenario.seed).past;
            let with = policies.groups.iter().zip(past).filter(|(_, minutes)| minutes.iter().any(|v| *v > 0.0));
            let some = |minutes: Vec<f64>| minutes.into_iter().map(Some).collect::<Vec<_>>();
            state.recall(with.map(|(g, minutes)| (g.name.clone(), some(minutes))).collect::<HashMap<_, _>>());
        }
        let faults = Faults::new(&setting.scenario.fault, &setting.policies).expect("the setting has checked it");
        let now = moment(setting, -setting.scenario.settle.0);
        let inputs = Inputs {
            policies: &policies,
            cells: &setting.cells,
            samples: &[],
            probes: &[],
            tally: &TallySum::default(),
            calendar: None,
        };
        let first = tick(&mut state, &inputs, now);
        if variant.parts.forecast {
            fit(&mut state, now);
        }
        Run { setting, variant, policies, state, first, faults }
    }

    /// Runs one seed; `watch` sees every tick, `film` says how many seconds lie between the moments that come back.
    ///
    /// # Errors
    /// What `watch` says; the run ends there.
    pub fn seed(
        &self,
        seed: u64,
        film: Option<f64>,
        watch: &mut dyn FnMut(&Seen) -> Result<(), String>,
    ) -> Result<(Figures, Vec<Moment>), String> {
        let Setting { cells, scenario, course, .. } = self.setting;
        let policies = &*self.policies;
        let mut world = World::new(policies, cells, scenario, course, &self.faults, &self.variant, seed);
        world.keep_on(&self.kept_on());
        let mut pilot = self.pilot(world.drawn());
        let mut state = self.state.clone();
        state.seed = seed;
        let mut plan = self.first.plan.clone();
        if let Some(pilot) = &pilot {
            pilot.lay(&mut plan, policies, &demands(&world, policies.groups.len()));
        }
        let mut table = Table::compile(&plan, policies, &cells.cells, None);
        world.begin(&table, -scenario.settle.0);
        let n_members: Vec<usize> = policies.groups.iter().map(|g| g.members.len()).collect();
        let mut score = Score::new(&n_members, cells.cells.len(), world.drawn().over_at(scenario));
        let (dt, mut t) = (scenario.step.0, -scenario.settle.0);
        let mut calendar = None;
        let at_once = self.variant.controller == Controller::OracleB;
        let (mut fitted, mut filmed, mut film_out) = (t, f64::NEG_INFINITY, Vec::new());
        while t < scenario.duration.0 {
            t += dt;
            let way = if at_once { Way::Plan(&plan) } else { Way::Answers(&table) };
            world.step(way, dt, t, course.start_unix, &mut score);
            let (samples, mut tally) = world.told(t);
            if !self.variant.parts.queries {
                tally.queries.iter_mut().for_each(|row| row.fill(0));
            }
            if at_once || self.variant.controller == Controller::OracleA {
                foretell(&mut state, world.drawn(), policies.groups.len(), cells.cells.len(), t, at_once.then_some(dt));
            }
            if self.variant.parts.calendar {
                calendar = Some(course.announced.calendar(t, calendar));
            }
            let inputs = Inputs {
                policies: &self.policies,
                cells,
                samples: &samples,
                probes: &world.probed(t),
                tally: &tally,
                calendar: calendar.as_ref(),
            };
            let mut ticked = tick(&mut state, &inputs, moment(self.setting, t));
            world.direct(&ticked.directives, t);
            if self.variant.parts.forecast && t - fitted >= FIT_SECS {
                fitted = t;
                fit(&mut state, moment(self.setting, t));
            }
            watch(&Seen { policies, cells, state: &state, ticked: &ticked, at: t })?;
            let demand = demands(&world, policies.groups.len());
            if let Some(pilot) = &mut pilot {
                pilot.hear(&samples, policies, t);
                pilot.lay(&mut ticked.plan, policies, &demand);
            }
            let alike = answers_alike(&plan, &ticked.plan);
            if t >= 0.0 {
                score.asked(tally.queries.iter().flatten().sum());
                if !alike {
                    score.moved(&plan.groups, &ticked.plan.groups, &demand);
                }
                let ttl = ticked.plan.groups.iter().map(|g| f64::from(g.ttl)).fold(0.0, f64::max);
                score.look(&ticked.plan.groups, &demand, LAG_SECS + ttl / 2.0, t);
            }
            if !alike {
                let before = (self.variant.parts.picks == Picks::Slots).then_some(&table);
                table = Table::compile(&ticked.plan, policies, &cells.cells, before);
            }
            plan = ticked.plan;
            if film.is_some_and(|every| t - filmed >= every) {
                filmed = t;
                film_out.push(filmed_moment(policies, &world, &plan, t));
            }
        }
        Ok((score.figures(), film_out))
    }

    /// Members that are on all the time though they are said to be shadows.
    fn kept_on(&self) -> Vec<Vec<bool>> {
        let groups = self.policies.groups.iter().zip(&self.setting.policies.groups);
        let is_shadow = |of: &crate::policy::Group, name: &crate::wire::Name| {
            of.members.iter().any(|m| m.name == *name && matches!(m.role, Role::Shadow { .. }))
        };
        let on = |(here, said): (&crate::policy::Group, &crate::policy::Group)| {
            here.members.iter().map(|m| m.role == Role::Active && is_shadow(said, &m.name)).collect()
        };
        groups.map(on).collect()
    }

    /// Who decides the shares in the place of the loop.
    fn pilot(&self, drawn: &Drawn) -> Option<Pilot> {
        let Setting { policies, cells, scenario, .. } = self.setting;
        match self.variant.controller {
            Controller::StaticBest => {
                let like = Variant { controller: Controller::Floodway, ..self.variant.clone() };
                Some(Pilot::best(&like.apply(policies), cells, scenario, drawn))
            }
            Controller::Equalise => Some(Pilot::even(policies.pops.len())),
            _ => None,
        }
    }
}

fn moment(setting: &Setting, t: f64) -> Now {
    Now { mono: t + setting.scenario.settle.0, unix: setting.course.start_unix + t }
}

/// Does all fits that are wanted, up to some.
fn fit(state: &mut State, now: Now) {
    for _ in 0..MOST_FITS {
        let Some(job) = fitter::wanted(state, now) else { return };
        fitter::take_over(state, job.run(), now);
    }
}

/// Tells the loop what comes. Whose answers are in force `soon` seconds from now plans for no more than that; what is
/// beyond the lead of answers is for shadows.
fn foretell(state: &mut State, drawn: &Drawn, n_groups: usize, n_cells: usize, t: f64, soon: Option<f64>) {
    for g in (0..n_groups).map(GroupIdx::from) {
        let (mut ahead, mut shares) = (drawn.ahead(g, t), drawn.shares_soon(g, n_cells, LEAD_MINUTES, t));
        if let Some(soon) = soon {
            ahead[..LEAD_MINUTES].fill(drawn.total(g, t + soon));
            shares = drawn.shares(g, n_cells, t + soon);
        }
        let told = Told { ahead, shares };
        state.foretell(g, Some(told));
    }
}

fn demands(world: &World, n_groups: usize) -> Vec<Vec<(usize, f64)>> {
    let of = |g: usize| world.demand(GroupIdx::from(g)).map(|(cell, d): (CellIdx, f64)| (cell.idx(), d)).collect();
    (0..n_groups).map(of).collect()
}

fn filmed_moment(policies: &Policies, world: &World, plan: &crate::steering::Plan, t: f64) -> Moment {
    let mut pops = vec![[0.0; 6]; policies.pops.len()];
    let mut groups = Vec::new();
    let totals: Vec<f64> =
        (0..policies.groups.len()).map(|g| world.demand(GroupIdx::from(g)).map(|(_, d)| d).sum()).collect();
    let whole: f64 = totals.iter().sum::<f64>().max(1e-9);
    for (g, spec) in policies.groups.iter().enumerate() {
        let of = &plan.groups[g];
        groups.push([totals[g], of.demand.planned, f64::from(of.ttl)]);
        let held = world.held(GroupIdx::from(g));
        for ((member, planned), (held, load)) in spec.members.iter().zip(&of.members).zip(held) {
            let Some(pop) = member.pop else { continue };
            let at = &mut pops[pop.idx()];
            at[0] += planned.share * totals[g] / whole;
            at[1] += held * totals[g] / whole;
            at[2] += load / whole;
        }
    }
    for ((at, pop), plan) in pops.iter_mut().zip(world.pops()).zip(&plan.pops) {
        (at[3], at[4], at[5]) = (pop.out.offered, pop.out.capacity, plan.target);
    }
    Moment { at: t, groups, pops }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture;

    fn setting(text: &str) -> Setting {
        let scenario = Scenario::parse(text).unwrap();
        let mut policies = fixture::policies();
        policies.pops.iter_mut().for_each(|p| (p.capacity, p.max) = (p.capacity / 10.0, p.max / 10.0));
        Setting::new(scenario, &[None], &policies, Arc::new(fixture::cells())).unwrap()
    }

    fn figures(setting: &Setting, name: &str, seed: u64) -> Figures {
        Run::prepare(setting, &Variant::named(name).unwrap()).seed(seed, None, &mut |_| Ok(())).unwrap().0
    }

    const CALM: &str = "duration = 600\nhistory = 0\n[[demand]]\nshare = 0.4\n[resolvers]\ncaches = 60\necs = false\n";

    /// A figure of one seed is a figure for ever.
    #[test]
    fn the_same_seed_gives_the_same_run() {
        let calm = setting(CALM);
        let a = figures(&calm, "floodway", 7);
        assert_eq!(a, figures(&calm, "floodway", 7));
        assert_ne!(a, figures(&calm, "floodway", 8));
    }

    /// With room everywhere the loop is as good as geography, and static shares are not.
    #[test]
    fn calm_is_nearly_nearest() {
        let calm = setting(CALM);
        let (near, here, fixed) =
            (figures(&calm, "nearest", 1), figures(&calm, "floodway", 1), figures(&calm, "static", 1));
        assert!(near.overload_requests + here.overload_requests < 1.0, "{near:?} {here:?}");
        assert!(here.added_ms < 0.1 * here.nearest_ms + 3.0 && fixed.added_ms > 20.0, "{here:?} {fixed:?}");
        assert!((here.requests - 600.0 * 840.0).abs() < 0.05 * 600.0 * 840.0, "{here:?}");
    }

    /// More than geography can bear: nearest overloads, the loop spills, the oracle no worse.
    #[test]
    fn a_step_is_spilled() {
        let step =
            setting(&(CALM.to_string() + "[[surge]]\nkind = \"step\"\nat = 120\nshare = 0.3\ncells = { JP = 1 }\n"));
        let (near, here, oracle) =
            (figures(&step, "nearest", 1), figures(&step, "reactive", 1), figures(&step, "oracle-a", 1));
        assert!(
            near.overload_percent > 5.0 && here.overload_percent < near.overload_percent / 2.0,
            "{near:?} {here:?}"
        );
        assert!(oracle.overload_percent <= here.overload_percent + 0.1, "{oracle:?} {here:?}");
    }

    /// For five minutes nobody reaches the server: caches that serve stale bridge that, others have nothing when answers expire.
    #[test]
    fn stale_answers_bridge_an_outage() {
        let outage = |stale: f64| {
            let fault = "[[fault]]\nkind = \"unreachable\"\nat = 60\nfor = 300\n";
            setting(&CALM.replace("ecs = false", &format!("ecs = false\nstale = {stale:.1}\n{fault}")))
        };
        let failed = |stale: f64| {
            let figures = figures(&outage(stale), "reactive", 1);
            (figures.failed_requests / figures.requests, figures.recovery_secs)
        };
        let ((bridged, _), (lost, Some(secs))) = (failed(1.0), failed(0.0)) else { panic!("it has an end") };
        assert!(bridged < 1e-6 && (0.15..0.5).contains(&lost), "{bridged} {lost}");
        assert!((1.0..60.0).contains(&secs), "whole again {secs} s after it");
    }

    /// With the largest resolver out, its clients ask others: nobody goes without, and demand is whole.
    #[test]
    fn clients_of_a_resolver_that_is_out_ask_another() {
        let out = setting(&(CALM.to_string() + "[[fault]]\nkind = \"resolver\"\nat = 60\nfor = 300\n"));
        let (out, calm) = (figures(&out, "reactive", 1), figures(&setting(CALM), "reactive", 1));
        assert!(out.failed_requests < 1.0 && (out.requests / calm.requests - 1.0).abs() < 1e-6, "{out:?} {calm:?}");
    }

    /// What groups got sums to what there was; but for what is tried again where nobody asks any more.
    #[test]
    fn groups_sum_to_the_whole() {
        let mut n_worlds = 0;
        for (policies, cells, scenario) in (0..12).map(crate::sim::random::world) {
            let n = scenario.demand.len();
            if n < 2 {
                continue;
            }
            n_worlds += 1;
            let setting = Setting::new(scenario, &vec![None; n], &policies, cells.into()).unwrap();
            let all = figures(&setting, "nearest", 1);
            let sum = |f: fn(&crate::sim::score::GroupFigures) -> f64| all.groups.iter().map(f).sum::<f64>();
            let failed = sum(|g| g.failed_percent * g.requests / 100.0);
            assert!((sum(|g| g.requests) - all.requests).abs() < 1e-6 * all.requests, "{all:?}");
            assert!((failed - all.failed_requests).abs() < 0.01 * all.requests, "{failed} {all:?}");
        }
        assert!(n_worlds > 2, "{n_worlds}");
    }

    /// A POP whose requests all fail, and that says so, is left; one that dies with its telemetry is not where nobody
    /// probes it: the loop takes silence for nothing but silence.
    #[test]
    fn a_failing_pop_is_left_and_a_silent_one_is_not() {
        let fault =
            |kind: &str| format!("{CALM}[[fault]]\nkind = \"{kind}\"\nat = 60\nfor = 500\npop = \"iad\"\nsize = 1.0\n");
        let (failing, silent) = (setting(&fault("gray")), setting(&fault("down")));
        let all = 0.4 * 840.0 * 500.0;
        let failed = |of: &Setting| figures(of, "reactive", 1).failed_requests;
        assert!((0.02 * all..0.5 * all).contains(&failed(&failing)), "{} of {all}", failed(&failing));
        assert!(failed(&silent) > 0.8 * all, "{} of {all}", failed(&silent));
    }
}
