//! Scenarios on a manual clock: what an operator would see, tick by tick.

use super::*;
use crate::control::Saved;
use crate::control::fixture::{self, at, sample};
use crate::id::CellIdx;
use crate::policy::SteerBy;
use crate::probe::What;
use crate::steering::ShadowState;
use crate::telemetry::Utilisation;

/// POPs of the fixture, by position.
const LABELS: [&str; 5] = ["ams", "fra", "iad", "sin", "dub"];
pub const IAD: usize = 2;
pub const SIN: usize = 3;
const DUB: usize = 4;
/// Cells of the fixture.
pub const DE: usize = 1;
pub const US: usize = 3;
pub const JP: usize = 4;

#[path = "all_down_tests.rs"]
mod all_down;
#[path = "event_tests.rs"]
mod events;
#[path = "external_tests.rs"]
mod external;
#[path = "flood_tests.rs"]
mod floods;
#[path = "tick_laws.rs"]
mod laws;
#[path = "probe_tests.rs"]
mod probes;
#[path = "standby_tests.rs"]
mod standby;

pub struct World {
    pub state: State,
    policies: Arc<Policies>,
    cells: Arc<CellMap>,
    now: f64,
    /// Seconds by which the wall clock is ahead of the monotonic one.
    skew: f64,
    pub last: Ticked,
    pub notes: Vec<String>,
    /// Requests per second and error share that each POP reports each second; `None` is silence.
    pub reports: [Option<(f64, f64)>; 5],
    shadow: ShadowState,
    pub calendar: Option<Arc<Calendar>>,
    /// POPs that are probed each second from each of these places, and whether they are found well.
    pub probes: Vec<(usize, &'static str, bool)>,
}

impl World {
    pub fn new(policies: Policies) -> World {
        World::resumed(policies, State::new(7), 1000.0)
    }

    fn resumed(policies: Policies, state: State, now: f64) -> World {
        let mut world = World {
            state,
            policies: Arc::new(policies),
            cells: Arc::new(fixture::cells()),
            now,
            skew: 0.0,
            last: Ticked { plan: Plan::default(), directives: Vec::new(), notes: Vec::new() },
            notes: Vec::new(),
            reports: [None; 5],
            shadow: ShadowState::Cold,
            calendar: None,
            probes: Vec::new(),
        };
        world.tick(&[]);
        world
    }

    pub fn calm() -> World {
        World::calm_with(fixture::policies())
    }

    pub fn calm_with(policies: Policies) -> World {
        let mut world = World::new(policies);
        for p in 0..4 {
            world.reports[p] = Some((500.0, 0.0));
        }
        world.run(30.0);
        world
    }

    fn tick(&mut self, samples: &[Sample]) {
        let probe = |(p, place, well): &(usize, &str, bool)| Outcome {
            pop: fixture::name(&format!("{}.pop.example.com.", LABELS[*p])),
            place: (*place).into(),
            what: if *well { What::Well } else { What::Refused },
        };
        let probes: Vec<Outcome> = self.probes.iter().map(probe).collect();
        let inputs = Inputs {
            policies: &self.policies,
            cells: &self.cells,
            samples,
            probes: &probes,
            tally: &TallySum::default(),
            calendar: self.calendar.as_ref(),
        };
        let now = Now { mono: self.now, unix: self.now + self.skew };
        self.last = tick(&mut self.state, &inputs, now);
        self.notes.extend(self.last.notes.iter().map(Note::to_string));
    }

    /// One second at a time, every POP reporting each second.
    pub fn run(&mut self, secs: f64) {
        let until = self.now + secs;
        while self.now < until {
            self.now += 1.0;
            let of = |(p, report): (usize, &Option<(f64, f64)>)| {
                let (rate, share) = (*report)?;
                let mut sample = sample(LABELS[p], self.now + self.skew, 1.0, rate, rate * share);
                if p == DUB {
                    sample.member = Some(fixture::name("dub.web.example.com."));
                    sample.shadow = Some(self.shadow);
                }
                Some(sample)
            };
            let samples: Vec<Sample> = self.reports.iter().enumerate().filter_map(of).collect();
            self.tick(&samples);
        }
    }

    pub fn shares(&self, cell: usize) -> Vec<f32> {
        self.last.plan.row(GroupIdx(0), CellIdx::from(cell)).to_vec()
    }

    pub fn breaker(&self, pop: usize) -> BreakerState {
        self.last.plan.pops[pop].breaker
    }

    pub fn told(&self, part: &str) -> bool {
        self.notes.iter().any(|n| n.contains(part))
    }
}

#[test]
fn before_the_first_sample_the_plan_is_the_declared_one() {
    let mut world = World::new(fixture::policies());
    world.run(600.0);
    assert_eq!(world.last.plan.mode, Mode::Declared);
    assert_eq!(world.shares(JP)[SIN], 1.0);
    assert!(world.notes.is_empty() && world.state.saved().is_none());
}

#[test]
fn near_members_serve_while_there_is_room() {
    let world = World::calm();
    assert_eq!(world.last.plan.mode, Mode::Live);
    assert!(world.shares(US)[IAD] > 0.98, "{:?}", world.shares(US));
    assert!(world.shares(JP)[SIN] > 0.98);
    assert_eq!(world.shares(DE)[IAD..].iter().sum::<f32>(), 0.0, "a fence is a fence");
    assert_eq!(world.last.plan.groups[0].demand.now, 2000.0);
}

/// The acceptance of breakers: half of 1,000 requests failing must be out of the answers of the very tick
/// that takes the sample in.
#[test]
fn one_clear_sample_takes_a_pop_out_at_once() {
    let mut world = World::new(fixture::policies());
    world.now += 0.3;
    world.tick(&[sample("iad", 1000.0, 10.0, 1000.0, 500.0)]);
    assert_eq!(world.breaker(IAD), BreakerState::Open);
    for cell in 0..5 {
        assert_eq!(world.shares(cell)[IAD], 0.0, "cell {cell}");
    }
    assert_eq!(world.last.plan.groups[0].members[IAD].usable, Err("Open"));
    assert!(world.told("Closed → Open: 50.0 % of 1000 requests failed"), "{:?}", world.notes);
}

#[test]
fn the_way_back_is_a_trickle_and_a_ramp() {
    let mut world = World::calm();
    world.reports[IAD] = Some((500.0, 0.6));
    world.run(25.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open);
    // Caches and connections pin clients: their errors do not keep it Open.
    let opened = world.now;
    while world.breaker(IAD) == BreakerState::Open {
        world.run(1.0);
        assert!(world.now - opened < 90.0, "errors while Open lengthen nothing");
    }
    assert_eq!(world.breaker(IAD), BreakerState::HalfOpen);
    assert!((world.shares(US)[IAD] - 0.01).abs() < 1e-3, "{:?}", world.shares(US));
    world.reports[IAD] = Some((40.0, 0.0));
    world.run(2.0);
    assert_eq!(world.breaker(IAD), BreakerState::Ramp);
    let mut steps = Vec::new();
    while world.breaker(IAD) == BreakerState::Ramp {
        let share = (100.0 * world.shares(US)[IAD]).round() as i32;
        if steps.last() != Some(&share) {
            steps.push(share);
        }
        world.run(1.0);
    }
    assert!(steps.ends_with(&[5, 25, 50, 100]) || steps.ends_with(&[5, 25, 50]), "{steps:?}");
    assert_eq!(world.breaker(IAD), BreakerState::Closed);
    assert!(world.shares(US)[IAD] > 0.98);
}

#[test]
fn a_flapping_pop_stays_out_longer_each_time() {
    let mut policies = fixture::policies();
    // So short that what answers last decides no spell.
    (policies.groups[0].ttl_min, policies.groups[0].ttl_max) = (1, 1);
    let mut world = World::new(policies);
    (0..4).for_each(|p| world.reports[p] = Some((500.0, 0.0)));
    world.run(30.0);
    let mut spells = Vec::new();
    for _ in 0..3 {
        world.reports[SIN] = Some((500.0, 0.9));
        while world.breaker(SIN) != BreakerState::Open {
            world.run(1.0);
        }
        let from = world.now;
        while world.breaker(SIN) == BreakerState::Open {
            world.run(1.0);
        }
        spells.push(world.now - from);
    }
    assert!(spells[1] > 1.3 * spells[0] && spells[2] > 1.3 * spells[1], "{spells:?}");
}

/// Two thirds of all capacity seem to fail at once: automation takes out one POP and suspects the rest.
#[test]
fn automation_removes_a_third_at_most() {
    let mut world = World::calm();
    for p in 0..3 {
        world.reports[p] = Some((500.0, 0.9));
    }
    world.run(60.0);
    let open = (0..3).filter(|p| world.breaker(*p) == BreakerState::Open).count();
    let suspect = (0..3).filter(|p| world.breaker(*p) == BreakerState::Suspect).count();
    assert!(open >= 1 && suspect >= 1 && open + suspect == 3, "{:?}", world.last.plan.pops);
}

#[test]
fn panic_takes_back_what_still_serves_half() {
    let mut policies = fixture::policies();
    policies.pops.iter_mut().for_each(|p| p.capacity /= 10.0);
    policies.pops.iter_mut().for_each(|p| p.max = p.capacity);
    let mut world = World::new(policies);
    for p in 0..4 {
        world.reports[p] = Some((400.0, 0.0));
    }
    world.run(10.0);
    world.reports[IAD] = Some((400.0, 0.5));
    world.run(20.0);
    assert_eq!(world.breaker(IAD), BreakerState::Open);
    assert!(world.told("serve although Open"), "{:?}", world.notes);
    assert!(world.shares(US)[IAD] > 0.1, "{:?} {:?} {:?}", world.shares(US), world.last.plan.pops, world.notes);
    assert!(world.last.plan.pops[IAD].capacity > 0.0);
}

#[test]
fn no_pop_is_over_its_target_while_there_is_room() {
    let mut world = World::calm();
    for p in 0..4 {
        world.reports[p] = Some((3000.0, 0.0));
    }
    world.run(60.0);
    for (p, pop) in world.last.plan.pops.iter().enumerate() {
        assert!(pop.load <= pop.target * 1.01 + 1.0, "{}: {pop:?}", LABELS[p]);
    }
    assert!(world.last.plan.groups[0].short <= 1.0);
}

#[test]
fn a_surge_starts_the_shadow_which_serves_once_confirmed() {
    let mut world = World::calm();
    world.reports[DUB] = Some((0.0, 0.0));
    let wanted = |world: &World| world.last.directives[0].wanted;
    world.run(5.0);
    assert_eq!(wanted(&world), ShadowState::Cold);
    for p in 0..4 {
        world.reports[p] = Some((5000.0, 0.0));
    }
    world.run(60.0);
    assert_eq!(wanted(&world), ShadowState::Warming);
    assert_eq!(world.last.plan.groups[0].members[DUB].usable, Err("Warming"));
    assert_eq!(world.last.plan.groups[0].ttl, 20, "short before a move");
    world.shadow = ShadowState::Ready;
    world.run(3.0);
    assert_eq!(wanted(&world), ShadowState::Active);
    world.reports[DUB] = Some((3000.0, 0.0));
    world.run(20.0);
    assert!(world.last.plan.groups[0].members[DUB].share > 0.0);
    for p in 0..4 {
        world.reports[p] = Some((100.0, 0.0));
    }
    world.reports[DUB] = Some((0.0, 0.0));
    world.run(1000.0);
    assert_eq!(wanted(&world), ShadowState::Cold, "{:?}", world.notes);
}

/// Whichever way the wall clock is stepped, nothing moves, nothing trips, nobody counts as silent, and what comes next is
/// believed at once.
#[test]
fn a_step_of_the_wall_clock_changes_nothing() {
    for step in [-86_400.0, -3600.0, -100.0, -30.0, 30.0, 100.0, 3600.0, 86_400.0] {
        let mut world = World::calm();
        world.run(120.0);
        let before = (world.shares(US), world.shares(JP), world.last.plan.groups[0].demand.now);
        world.skew = step;
        for _ in 0..90 {
            world.run(1.0);
            assert_eq!(world.last.plan.mode, Mode::Live, "{step}");
            assert_eq!((world.shares(US), world.shares(JP)), (before.0.clone(), before.1.clone()), "{step}");
            let demand = world.last.plan.groups[0].demand.now;
            assert!((demand / before.2 - 1.0).abs() < 0.01, "{step}: {demand}");
        }
        assert_eq!(world.notes.iter().filter(|n| n.contains("wall clock was stepped")).count(), 1, "{:?}", world.notes);
        world.reports[IAD] = Some((500.0, 0.9));
        world.run(3.0);
        assert_eq!(world.breaker(IAD), BreakerState::Open, "{step}");
        // And in the middle of a spell.
        world.reports[IAD] = None;
        world.skew = 0.0;
        let from = world.now;
        while world.breaker(IAD) == BreakerState::Open {
            world.run(1.0);
        }
        assert!((20.0..150.0).contains(&(world.now - from)), "{step}: a spell is as long as it was");
        assert_eq!(world.breaker(IAD), BreakerState::HalfOpen, "{step}");
        world.reports[IAD] = Some((40.0, 0.0));
        world.run(3.0);
        assert_eq!(world.breaker(IAD), BreakerState::Ramp, "{step}");
    }
}

#[test]
fn silence_holds_then_spreads_and_never_empties() {
    let mut world = World::calm();
    let live = world.shares(US);
    world.reports = [None; 5];
    world.run(55.0);
    assert_eq!(world.shares(US), live, "held");
    world.run(120.0);
    assert_eq!(world.last.plan.mode, Mode::Blind);
    let half = world.shares(US)[IAD];
    assert!((0.6..0.8).contains(&half), "{half}");
    world.run(400.0);
    assert!((world.shares(US)[IAD] - 8.0 / 21.0).abs() < 0.01, "by capacity: {:?}", world.shares(US));
    assert_eq!(world.shares(DE)[IAD], 0.0);
    assert!((0..5).all(|p| world.breaker(p) == BreakerState::Closed), "silence opens nothing");
    for p in 0..4 {
        world.reports[p] = Some((500.0, 0.0));
    }
    world.run(2.0);
    assert_eq!(world.last.plan.mode, Mode::Live);
}

#[test]
fn a_restart_serves_the_last_plan_and_keeps_what_is_open_out() {
    let mut world = World::calm();
    world.reports[IAD] = Some((500.0, 0.9));
    world.run(25.0);
    let (before, text) = (world.shares(US), world.state.saved().unwrap().print());
    let saved = Saved::parse(&text, world.now + 60.0).unwrap();
    let mut world = World::resumed(fixture::policies(), State::resume(7, saved), world.now + 60.0);
    assert_eq!(world.last.plan.mode, Mode::Stale);
    assert_eq!((world.breaker(IAD), world.shares(US)), (BreakerState::Open, before));
    world.run(70.0);
    assert_eq!(world.last.plan.mode, Mode::Blind, "nobody reports after the restart");
    world.reports[0] = Some((500.0, 0.0));
    world.run(20.0);
    assert_eq!(world.last.plan.groups[0].demand.now, 500.0);
}

#[test]
fn a_reload_keeps_breakers_by_name() {
    let mut world = World::calm();
    world.reports[IAD] = Some((500.0, 0.9));
    world.run(25.0);
    let mut fewer = fixture::policies();
    fewer.pops.swap(0, IAD);
    for member in &mut fewer.groups[0].members {
        member.pop = member.pop.map(|p| crate::id::PopIdx([2, 1, 0, 3, 4][p.idx()]));
    }
    fewer.groups[0].members.remove(1);
    fewer.groups[0].routes.clear();
    world.policies = Arc::new(fewer);
    world.tick(&[]);
    assert_eq!(world.breaker(0), BreakerState::Open, "iad stands first now");
    assert_eq!(world.last.plan.groups[0].members.len(), 5);
    assert_eq!(world.shares(US)[1], 0.0);
}

//----------- Reasons --------------------------------------------------------

/// One small report, then silence: the POP may not gain, but it is not emptied of room either.
#[test]
fn silence_leaves_room_and_says_so() {
    let mut world = World::new(fixture::policies());
    world.now += 1.0;
    world.tick(&[sample("iad", world.now, 1.0, 40.0, 0.0)]);
    world.run(10.0);
    assert_eq!((world.last.plan.pops[IAD].target, world.last.plan.pops[IAD].reason.as_str()), (6800.0, ""));
    world.run(53.0);
    let pop = &world.last.plan.pops[IAD];
    assert_eq!(pop.reason, "silent 63 s: gets no more than it carries");
    assert!((800.0..6800.0).contains(&pop.target), "{pop:?}");
    world.run(300.0);
    assert_eq!(world.last.plan.pops[IAD].reason, "silent 363 s: at most 70 % of what is declared");
}

/// Demand triples while a POP is silent: it keeps its share, so its part of the demand stays with it.
#[test]
fn a_silent_pop_keeps_its_share_of_a_growing_demand() {
    let mut world = World::calm();
    world.reports[IAD] = None;
    world.run(62.0);
    let before = world.shares(US)[IAD];
    for p in [0, 1, SIN] {
        world.reports[p] = Some((1500.0, 0.0));
    }
    world.run(30.0);
    let pop = &world.last.plan.pops[IAD];
    assert!(world.shares(US)[IAD] > 0.9 * before && pop.reason.contains("silent"), "{before} {pop:?}");
}

#[test]
fn a_reported_capacity_is_a_reason() {
    let mut world = World::calm();
    world.now += 1.0;
    let mut closed = sample("sin", world.now, 1.0, 500.0, 0.0);
    closed.capacity = Some(0.0);
    world.tick(&[closed]);
    let pop = &world.last.plan.pops[SIN];
    assert_eq!((pop.capacity, pop.reason.as_str()), (0.0, "reports capacity 0"));
}

/// A report that was overtaken on its way says nothing of where demand comes from now.
#[test]
fn a_report_that_comes_behind_a_newer_one_moves_nothing() {
    let mut world = World::calm();
    world.run(30.0);
    let before = world.state.groups[0].origins.demand(world.now);
    let (newest, old) = (world.now, world.now - 10.0);
    world.tick(&[sample("sin", old, 1.0, 50_000.0, 0.0)]);
    assert_eq!(world.state.groups[0].origins.demand(newest), before);
    world.tick(&[sample("sin", newest + 1.0, 1.0, 50_000.0, 0.0)]);
    assert_ne!(world.state.groups[0].origins.demand(newest), before);
}
