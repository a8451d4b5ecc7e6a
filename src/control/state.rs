//! What the control loop remembers between ticks.
//!
//! Vectors run parallel to the policies of the last tick. When new policies or cells arrive, [`State::adopt`]
//! finds everything again by name: breakers, windows, forecasts and shares survive a reload.

use crate::clock::Now;
use crate::control::accounts::Accounts;
use crate::control::all_down::Extent;
use crate::control::allocate::{Geography, Warm};
use crate::control::announced::Announced;
use crate::control::breaker::Breaker;
use crate::control::capacity::Learned;
use crate::control::declared::{declared_plan, pop_reserve};
use crate::control::demand::{CellShares, Gain};
use crate::control::fitter;
use crate::control::heavy::Carriers;
use crate::control::limits::Removed;
use crate::control::origins::{Load, Origins};
use crate::control::outlook::{Outlook, Told};
use crate::control::overrides::{Forced, Overrides};
use crate::control::persist::{Saved, carry};
use crate::control::placing::Uncut;
use crate::control::probes::{Places, Probed, Sight};
use crate::control::ring::Ring;
use crate::control::shadow::Shadow;
use crate::control::skills::Skills;
use crate::control::ttl::Ttl;
use crate::control::window::Window;
use crate::forecast::daylight::Daylight;
use crate::forecast::settings::Settings;
use crate::forecast::thrift::{Thrift, Tier};
use crate::geo::CellMap;
use crate::id::{CellIdx, GroupIdx, MemberIdx, PopIdx};
use crate::policy::{ForecastUse, Policies, Resume, Role};
use crate::steering::{BreakerState, Mode, Plan, ShadowState};
use crate::telemetry::Directive;
use crate::telemetry::Utilisation;
use crate::wire::Name;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

//----------- State ----------------------------------------------------------

/// See the module. Only the tick changes it.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Decides the jitter of breakers, and nothing else.
    pub seed: u64,
    /// What it may use; all of it, but in comparisons.
    pub skills: Skills,
    /// What the vectors below run parallel to; `None` before the first tick.
    pub(in crate::control) layout: Option<Arc<Layout>>,
    pub(in crate::control) pops: Vec<PopState>,
    pub(in crate::control) groups: Vec<GroupState>,
    pub(in crate::control) removed: Removed,
    pub(in crate::control) warm: Warm,
    /// The plan that is served.
    pub(in crate::control) plan: Plan,
    /// Per group, the planned demand of each cell in the last tick, requests per second.
    pub(in crate::control) planned: Vec<Vec<f64>>,
    /// What was allocated, while ramps and trickles are laid over it.
    pub(in crate::control) uncut: Uncut,
    /// The plan of the last moment when telemetry was heard, while it is silent.
    pub(in crate::control) frozen: Option<Plan>,
    /// When the last tick was.
    pub(in crate::control) ticked: Option<Now>,
    /// Whether a sample has been heard since the start.
    pub(in crate::control) live: bool,
    /// Whether POPs are served although Open, because the others cannot carry the demand.
    pub(in crate::control) panicking: bool,
    /// Since when a move that nothing explains has been held back.
    pub(in crate::control) held: Option<Now>,
    /// Since when, after a restart, the saved plan has been served.
    pub(in crate::control) waiting: Option<Now>,
    /// While no sample has ever been heard, nothing to plan by can change: what the last tick wanted of the POPs.
    pub(in crate::control) untold: Option<Vec<Directive>>,
    /// What operators decide in the loop's place, and whom that means.
    pub(in crate::control) overrides: Overrides,
    /// See `overrides`.
    pub(in crate::control) forced: Forced,
    /// What shadows cost and bring.
    pub(in crate::control) accounts: Accounts,
    /// Announced events, and what they taught.
    pub(in crate::control) announced: Announced,
    resume: Option<Saved>,
    /// Demand of groups before the start, minute by minute up to it.
    past: HashMap<Name, Vec<Option<f64>>>,
    /// What their forecasters had learnt then.
    learnt: HashMap<Name, Learnt>,
    /// What forecasters may take up, and what they share.
    pub(in crate::control) thrift: Thrift,
    /// What each of them has.
    pub(in crate::control) tier: Tier,
    /// When what is shared was learnt.
    pub(in crate::control) shared_at: Option<Now>,
}

/// Policies and cells, with what follows from them alone.
#[derive(Debug)]
pub struct Layout {
    pub policies: Arc<Policies>,
    pub cells: Arc<CellMap>,
    pub geography: Geography,
    pub declared: Plan,
    pub pop_idx: HashMap<Name, PopIdx>,
    pub group_idx: HashMap<Name, GroupIdx>,
    pub cell_idx: HashMap<String, CellIdx>,
}

/// One POP.
#[derive(Clone, Debug)]
pub struct PopState {
    pub breaker: Breaker,
    /// Share of its requests that failed when it tripped, in `[0, 1]`.
    pub tripped_errors: f64,
    pub learned: Learned,
    /// What it can carry before the breaker's factor, requests per second.
    pub base: f64,
    /// Share of it that is kept free, in `[0, 1)`.
    pub reserve: f64,
    /// A sign of overload was seen in this tick.
    pub overloaded: bool,
    /// Served although Open.
    pub readmitted: bool,
    /// When a sample of it last arrived, or, after a restart, when we began to wait for one.
    pub heard: Option<Now>,
    /// What probes say of it.
    pub probed: Probed,
}

/// One group.
#[derive(Clone, Debug)]
pub struct GroupState {
    pub reporters: BTreeMap<(PopIdx, Option<MemberIdx>), Reporter>,
    /// Where demand comes from, as it is learned slowly.
    pub cells: CellShares,
    /// The same from moment to moment.
    pub origins: Origins,
    /// Part of its demand that external members have, whom nobody reports; in `[0, 1)`.
    pub elsewhere: f64,
    /// What its slots carry.
    pub carriers: Carriers,
    /// By which plans clients go.
    pub ring: Ring,
    pub outlook: Outlook,
    pub ttl: Ttl,
    pub members: Vec<MemberState>,
    /// Where nobody may be given.
    pub down: Extent,
    /// Demand may outgrow what is usable: what was seen long ago counts for less.
    pub surge: bool,
}

/// One member.
#[derive(Clone, Debug)]
pub struct MemberState {
    pub breaker: Breaker,
    pub shadow: Option<Shadow>,
    /// Why the shadow is where it is; empty at the start.
    pub why: &'static str,
    pub gain: Gain,
}

/// One source of samples: a POP about a group, or about one member of it.
#[derive(Clone, Debug, Default)]
pub struct Reporter {
    pub window: Window,
    /// Newest values, and the sample's time that they are of.
    pub newest: f64,
    pub capacity: Option<f64>,
    pub utilisation: Utilisation,
    pub shadow: Option<(ShadowState, Now)>,
    /// Share of the group that its members had in the plan when it was last heard.
    pub share_when_heard: f64,
    /// The newest load that it reported.
    pub load: Option<Load>,
}

/// What the forecaster of one group had learnt, in its own form.
#[derive(Clone, Debug, Default)]
pub struct Learnt {
    /// See [`Forecaster::save_models`](crate::forecast::engine::Forecaster::save_models).
    pub models: Vec<u8>,
    /// See [`Forecaster::save_records`](crate::forecast::engine::Forecaster::save_records).
    pub records: Option<Vec<u8>>,
}

impl State {
    /// Nothing known yet.
    pub fn new(seed: u64) -> State {
        State { seed, ..State::default() }
    }

    /// Goes on from a plan that an earlier process saved.
    pub fn resume(seed: u64, saved: Saved) -> State {
        State { resume: Some(saved), ..State::new(seed) }
    }

    /// Limits what forecasters take up, in bytes for all of them together.
    pub fn limit(&mut self, memory: usize) {
        self.thrift.memory = memory;
    }

    /// The clock that people go by, for forecasters made from now on; `None` is UTC.
    pub fn go_by(&mut self, daylight: Option<Arc<Daylight>>) {
        self.thrift.daylight = daylight;
    }

    /// Gives it the demand of groups before the start, requests per second, minute by minute up to it.
    pub fn recall(&mut self, past: HashMap<Name, Vec<Option<f64>>>) {
        self.past = past;
    }

    /// Gives it what forecasters of groups had learnt before the start; to no avail without their demand.
    pub fn remind(&mut self, learnt: HashMap<Name, Learnt>) {
        self.learnt = learnt;
    }

    /// Tells it what will be asked of a group, in the place of its forecasts, for as long as it is not told otherwise:
    /// how an oracle is made of the very same loop. `None` ends it. Does nothing before the first tick.
    pub fn foretell(&mut self, group: GroupIdx, told: Option<Told>) {
        if let Some(of) = self.groups.get_mut(group.idx()) {
            of.outlook.foretell(told);
        }
    }

    /// Has the next tick plan, though nothing was ever told.
    pub fn rouse(&mut self) {
        self.untold = None;
    }

    /// Tells it what operators decide in its place from the next tick on: all of it.
    pub fn overrule(&mut self, overrides: Overrides) {
        self.overrides = overrides;
    }

    /// The plan that is served, parallel to the policies of the last tick.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Goes on with what shadows had cost and brought.
    pub fn resume_accounts(&mut self, accounts: Accounts) {
        self.accounts = accounts;
    }

    /// What shadows cost and bring.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The demand that the last tick planned for, per group and cell, requests per second.
    pub fn planned(&self) -> &[Vec<f64>] {
        &self.planned
    }

    /// Whether ramps or trickles are laid over what the last tick allocated.
    pub fn is_overlaid(&self) -> bool {
        self.uncut.is_overlaid()
    }

    /// What forecasts of a group may do: what its policy says, less what is overridden.
    pub(in crate::control) fn forecast_use(&self, layout: &Layout, g: GroupIdx) -> ForecastUse {
        match layout.policies.groups[g.idx()].forecast {
            ForecastUse::Steer if self.forced.group(g).forecast_off => ForecastUse::Show,
            said => said,
        }
    }

    /// What each place says of each POP that was probed lately, by name.
    pub fn probed(&self, now: Now) -> Places {
        let Some(layout) = &self.layout else { return Places::new() };
        let sight = Sight::of(self.pops.iter().map(|of| &of.probed), false, now);
        let shown = self.pops.iter().zip(&layout.policies.pops);
        let shown = shown.map(|(of, spec)| (spec.name.to_string(), of.probed.shown(&sight, now)));
        shown.filter(|(_, places)| !places.is_empty()).collect()
    }

    /// What to save of it; `None` before the first tick, and while there is nothing but declarations.
    pub fn saved(&self) -> Option<Saved> {
        let layout = self.layout.as_ref().filter(|_| self.plan.mode != Mode::Declared)?;
        Some(Saved::of(&self.plan, &layout.policies, &layout.cells))
    }

    /// Seconds since the last tick; 0 at the first.
    pub fn elapse(&mut self, now: Now) -> f64 {
        let dt = self.ticked.map_or(0.0, |before| now.since(before));
        self.ticked = Some(now);
        dt
    }

    /// Finds everything again by name under new policies or cells; does nothing while they are the same.
    pub fn adopt(&mut self, policies: &Arc<Policies>, cells: &Arc<CellMap>, now: Now) -> Arc<Layout> {
        let same = |l: &&Arc<Layout>| Arc::ptr_eq(&l.policies, policies) && Arc::ptr_eq(&l.cells, cells);
        if let Some(layout) = self.layout.as_ref().filter(same) {
            return layout.clone();
        }
        let layout = Arc::new(Layout::new(policies.clone(), cells.clone()));
        let resumed = self.resume.take().filter(|saved| saved.mode != Mode::Declared);
        match (self.layout.take(), &resumed) {
            (Some(old), _) => {
                let (from, to) = ((&*old.policies, &*old.cells), (&**policies, &**cells));
                self.plan = carry(&self.plan, from, to);
                self.frozen = self.frozen.take().map(|plan| carry(&plan, from, to));
                self.move_states(&old, &layout, now);
            }
            (None, Some(saved)) => {
                self.plan = saved.onto(policies, cells);
                self.plan.mode = Mode::Stale;
                self.waiting = Some(now);
                self.fresh_states(&layout, now);
                self.wake_from_plan(&layout, now);
            }
            (None, None) => {
                self.plan = layout.declared.clone();
                self.fresh_states(&layout, now);
            }
        }
        self.layout = Some(layout.clone());
        self.untold = None;
        self.forced.stale = true;
        layout
    }

    fn fresh_states(&mut self, layout: &Layout, now: Now) {
        let n_cells = layout.cells.cells.len();
        self.uncut = Uncut::default();
        let reserve = |p| pop_reserve(&layout.policies, p).middle();
        let fresh = |(p, pop): (usize, &crate::policy::Pop)| PopState::new(pop.capacity, reserve(p), now);
        self.pops = layout.policies.pops.iter().enumerate().map(fresh).collect();
        let n_groups = layout.policies.groups.len();
        self.tier = self.thrift.tier(n_groups);
        let settings = self.thrift.settings(n_groups);
        let fresh = |group| GroupState::new(group, n_cells, &settings, now);
        self.groups = layout.policies.groups.iter().map(fresh).collect();
        let (mut past, mut learnt) = (std::mem::take(&mut self.past), std::mem::take(&mut self.learnt));
        for (spec, state) in layout.policies.groups.iter().zip(&mut self.groups) {
            if let Some(minutes) = past.remove(&spec.name) {
                state.outlook.recall(&minutes);
                let Some(Learnt { models, records }) = learnt.remove(&spec.name) else { continue };
                if let Err(why) = state.outlook.restore(&models, records.as_deref()) {
                    tracing::warn!(
                        "the stored models of {} are not gone on with: {why}; they are fitted again",
                        spec.name
                    );
                }
            }
        }
    }

    /// What a saved plan says of breakers and shadows.
    fn wake_from_plan(&mut self, layout: &Layout, now: Now) {
        for ((state, plan), spec) in self.pops.iter_mut().zip(&self.plan.pops).zip(&layout.policies.pops) {
            if plan.breaker != BreakerState::Closed && plan.breaker != BreakerState::Suspect {
                // What is told after the reason of the trip is of then.
                let reason = plan.reason.split("; ").next().unwrap_or_default().to_string();
                let is_back = plan.breaker != BreakerState::Open && spec.breaker.resume == Resume::Manual;
                state.breaker = match is_back {
                    true => Breaker::probing(now),
                    false => Breaker::reopened(now, spec.breaker.cooldown_secs, reason),
                };
                state.tripped_errors = 0.5;
                self.removed.note(&spec.name, spec.capacity, now.mono);
            }
            state.heard = plan.silent_secs.is_finite().then_some(now);
        }
        for (state, plan) in self.groups.iter_mut().zip(&self.plan.groups) {
            for (state, plan) in state.members.iter_mut().zip(&plan.members) {
                state.shadow = plan.shadow.map(|shadow| Shadow::resumed(shadow, now));
            }
        }
    }

    fn move_states(&mut self, old: &Layout, new: &Layout, now: Now) {
        let (old_pops, old_groups) = (std::mem::take(&mut self.pops), std::mem::take(&mut self.groups));
        let tier = self.tier;
        self.fresh_states(new, now);
        self.warm = Warm::default();
        for (spec, state) in new.policies.pops.iter().zip(&mut self.pops) {
            if let Some(was) = old.pop_idx.get(&spec.name) {
                state.clone_from(&old_pops[was.idx()]);
            }
        }
        let cell_from: Vec<Option<usize>> =
            new.cells.cells.iter().map(|c| old.cell_idx.get(&c.name).map(|i| i.idx())).collect();
        for (spec, state) in new.policies.groups.iter().zip(&mut self.groups) {
            let Some(was) = old.group_idx.get(&spec.name) else { continue };
            let (old_spec, old_state) = (&old.policies.groups[was.idx()], &old_groups[was.idx()]);
            state.cells = old_state.cells.moved(&cell_from);
            state.origins = old_state.origins.moved(&cell_from);
            state.carriers = old_state.carriers.moved(&cell_from);
            state.outlook = old_state.outlook.clone();
            (state.ttl, state.surge, state.down) = (old_state.ttl, old_state.surge, old_state.down);
            let member_of: HashMap<&Name, usize> =
                old_spec.members.iter().enumerate().map(|(i, m)| (&m.name, i)).collect();
            for (spec, state) in spec.members.iter().zip(&mut state.members) {
                let Some(was) = member_of.get(&spec.name) else { continue };
                let was = &old_state.members[*was];
                (state.breaker, state.gain) = (was.breaker.clone(), was.gain);
                state.shadow = state.shadow.and(was.shadow).or(state.shadow);
            }
            let member_idx = |old: MemberIdx| {
                let name = &old_spec.members[old.idx()].name;
                spec.members.iter().position(|m| m.name == *name).map(MemberIdx::from)
            };
            for ((pop, member), reporter) in &old_state.reporters {
                let pop = new.pop_idx.get(&old.policies.pops[pop.idx()].name);
                let member = member.map(|m| member_idx(m).ok_or(())).transpose();
                if let (Some(pop), Ok(member)) = (pop, member) {
                    state.reporters.insert((*pop, member), reporter.clone());
                }
            }
        }
        if self.tier != tier {
            fitter::equip(self);
        }
    }
}

impl Layout {
    fn new(policies: Arc<Policies>, cells: Arc<CellMap>) -> Layout {
        Layout {
            geography: Geography::new(&policies, &cells),
            declared: declared_plan(&policies, &cells),
            pop_idx: policies.pops.iter().enumerate().map(|(i, p)| (p.name.clone(), i.into())).collect(),
            group_idx: policies.groups.iter().enumerate().map(|(i, g)| (g.name.clone(), i.into())).collect(),
            cell_idx: cells.cells.iter().enumerate().map(|(i, c)| (c.name.clone(), i.into())).collect(),
            policies,
            cells,
        }
    }
}

impl PopState {
    fn new(capacity: f64, reserve: f64, now: Now) -> PopState {
        PopState {
            breaker: Breaker::closed(now),
            tripped_errors: 0.0,
            learned: Learned::default(),
            base: capacity,
            reserve,
            overloaded: false,
            readmitted: false,
            heard: None,
            probed: Probed::default(),
        }
    }

    /// Seconds since it was heard; infinite if it never was.
    pub fn silent_secs(&self, now: Now) -> f64 {
        self.heard.map_or(f64::INFINITY, |heard| now.since(heard))
    }
}

impl GroupState {
    fn new(spec: &crate::policy::Group, n_cells: usize, settings: &Arc<Settings>, now: Now) -> GroupState {
        let member = |m: &crate::policy::Member| MemberState {
            breaker: Breaker::closed(now),
            shadow: matches!(m.role, Role::Shadow { .. }).then(|| Shadow::cold(now)),
            why: "",
            gain: Gain::unit(),
        };
        GroupState {
            reporters: BTreeMap::new(),
            cells: CellShares::new(n_cells),
            origins: Origins::new(n_cells),
            elsewhere: 0.0,
            carriers: Carriers::default(),
            ring: Ring::default(),
            outlook: Outlook::new(now, spec.ttl_min, settings.clone()),
            ttl: Ttl::new(spec.ttl_max, now),
            members: spec.members.iter().map(member).collect(),
            down: Extent::Nowhere,
            surge: false,
        }
    }
}
