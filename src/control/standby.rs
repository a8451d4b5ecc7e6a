//! Shadows and TTLs: what the allocation that was just made says about the minutes to come.

use crate::clock::Now;
use crate::control::accounts;
use crate::control::expected::Expected;
use crate::control::notes::Note;
use crate::control::outlook::{high, lead_secs, likely, risk, usual_risk};
use crate::control::placing::Placed;
use crate::control::rooms::PopRoom;
use crate::control::shadow::{LEAST_ON_SECS, Need, START_RISK, Seen};
use crate::control::standing::Standing;
use crate::control::state::{GroupState, Layout, State};
use crate::control::ttl::Outlook;
use crate::control::worth::Ground;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Effect, ForecastUse, Group, Role};
use crate::steering::{BreakerState, Demand, ShadowState};
use crate::telemetry::Directive;

/// Part of what is usable without a shadow that demand must stay under for it to be let go.
const CALM: f64 = 0.75;
/// Demand that is planned to be so many times that of now is about to move shares: answers should not be held for long.
const GROWING: f64 = 1.1;
/// Parts of a shadow's least time at which demand is looked at.
const PROSPECT: [f64; 4] = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0];
/// For how long a surge lasts that nobody announced, seconds: the median is tens of minutes. Our choice: half an hour.
const SURGE_LIFE_SECS: f64 = 1800.0;
/// Leads at which the risk of running short shortens the TTL, seconds.
const RISK_LEADS_SECS: [f64; 2] = [300.0, 900.0];

/// What a tick knows of the moment; made once, read by both functions here.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Planned demand.
    pub expected: &'a [Expected],
    /// Room of every POP.
    pub rooms: &'a [PopRoom],
    /// What the allocation gave.
    pub placed: &'a Placed,
    /// What that gives each POP: see [`loads`].
    pub loads: &'a [f64],
    /// What members may get.
    pub standings: &'a [Vec<Standing>],
}

/// What each POP has free for a group: its target less what other groups have there, requests per second; 0 where the group
/// has no member.
fn free_for(layout: &Layout, scene: &Scene, g: usize) -> Vec<f64> {
    let mut free = vec![0.0; scene.rooms.len()];
    let members = || layout.policies.groups[g].members.iter().zip(&scene.placed.groups[g].load);
    let here = || members().filter_map(|(m, load)| Some((m.pop?.idx(), load)));
    for (p, _) in here() {
        let room = &scene.rooms[p];
        free[p] = room.target / room.gain - scene.loads[p];
    }
    here().for_each(|(p, load)| free[p] += load);
    free.iter_mut().for_each(|free| *free = free.max(0.0));
    free
}

/// What of `free` a group can count on by the members that `counts` names.
fn room(layout: &Layout, g: usize, free: &[f64], counts: impl Fn(usize) -> bool) -> Vec<f64> {
    let mut room = vec![0.0; free.len()];
    let members = layout.policies.groups[g].members.iter().enumerate().filter(|(m, _)| counts(*m));
    members.filter_map(|(_, m)| m.pop).for_each(|p| room[p.idx()] = free[p.idx()]);
    room
}

/// Where the demand of a group may go, its fences kept.
fn ground(layout: &Layout, scene: &Scene, g: usize) -> Ground {
    let spec = &layout.policies.groups[g];
    let pops = |may: &dyn Fn(usize) -> bool| -> Vec<usize> {
        spec.members.iter().enumerate().filter(|(m, _)| may(*m)).filter_map(|(_, m)| m.pop).map(PopIdx::idx).collect()
    };
    let by_cell = &scene.expected[g].by_cell;
    let mut parts = vec![(by_cell.iter().sum::<f64>(), pops(&|_| true))];
    for (at, route) in spec.routes.iter().enumerate() {
        let Effect::Only(set) = &route.effect else { continue };
        let here = layout.geography.route[g].iter().zip(by_cell).filter(|(r, _)| **r == Some(at as u16));
        let demand: f64 = here.map(|(_, d)| d).sum();
        parts[0].0 -= demand;
        parts.push((demand, pops(&|m| set.contains(&MemberIdx::from(m)))));
    }
    // What is left of the free part by rounding is none.
    parts[0].0 = if parts.len() > 1 { (parts[0].0).max(0.0) } else { parts[0].0 };
    Ground::new(parts)
}

/// The load that the allocation gives each POP, of all groups.
pub fn loads(layout: &Layout, placed: &Placed) -> Vec<f64> {
    let mut loads = vec![0.0; layout.policies.pops.len()];
    for (spec, placed) in layout.policies.groups.iter().zip(&placed.groups) {
        for (member, load) in spec.members.iter().zip(&placed.load) {
            member.pop.into_iter().for_each(|pop| loads[pop.idx()] += load);
        }
    }
    loads
}

/// Steps every shadow; returns what is wanted of the POPs, the same until it changes.
/// `dt`: seconds since the last tick.
pub fn step(
    state: &mut State,
    layout: &Layout,
    scene: &Scene,
    now: Now,
    dt: f64,
    notes: &mut Vec<Note>,
) -> Vec<Directive> {
    let mut directives = Vec::new();
    for g in 0..layout.policies.groups.len() {
        step_group(state, layout, scene, g, now, dt, notes);
        let spec = &layout.policies.groups[g];
        for (member, of) in spec.members.iter().zip(&state.groups[g].members) {
            if let (Some(shadow), Some(pop)) = (of.shadow, member.pop) {
                directives.push(Directive {
                    pop: layout.policies.pops[pop.idx()].name.clone(),
                    group: spec.name.clone(),
                    member: member.name.clone(),
                    wanted: shadow.state(),
                    reason: of.why.into(),
                });
            }
        }
    }
    directives
}

fn step_group(state: &mut State, layout: &Layout, scene: &Scene, g: usize, now: Now, dt: f64, notes: &mut Vec<Note>) {
    let spec = &layout.policies.groups[g];
    let mut order: Vec<usize> =
        (0..spec.members.len()).filter(|m| state.groups[g].members[*m].shadow.is_some()).collect();
    if order.is_empty() {
        return;
    }
    order.sort_by(|a, b| {
        let (a, b) = (&spec.members[*a], &spec.members[*b]);
        a.price.total_cmp(&b.price).then_with(|| a.name.cmp(&b.name))
    });
    let (free, ground) = (free_for(layout, scene, g), ground(layout, scene, g));
    let affordable = afford(state, spec, now, notes);
    for m in order {
        let Role::Shadow { warmup_secs, standby } = spec.members[m].role else { continue };
        let state_of = |m: usize| state.groups[g].members[m].shadow.map(|s| s.state());
        let serves = |other: usize| other != m && scene.standings[g][other].serves();
        let coming = |other: usize| {
            serves(other) || other != m && matches!(state_of(other), Some(ShadowState::Warming | ShadowState::Ready))
        };
        let without = room(layout, g, &free, serves);
        let pop = spec.members[m].pop;
        let capacity = pop.map_or(0.0, |p| free[p.idx()]);
        let lead = warmup_secs + lead_secs(state.plan.groups[g].ttl);
        let mut plan = Worth {
            ground: &ground,
            base: room(layout, g, &free, coming),
            pop,
            capacity,
            lead,
            cost: standby * capacity * (warmup_secs + LEAST_ON_SECS),
        };
        let short = scene.placed.groups[g].short > 0.0 && plan.base == without;
        // In a take-off that nobody announced each is judged as if no other were coming: one wrong start costs some standby,
        // one missed costs minutes of overload.
        let group = &state.groups[g];
        if lead < SURGE_LIFE_SECS && group.outlook.watch().is_unsettled() {
            plan.base.clone_from(&without);
        }
        let forecast = state.forecast_use(layout, GroupIdx::from(g));
        let demand = &scene.expected[g].demand;
        let now_short = demand.planned > ground.limit(0.0, &without) || short;
        let need = Need {
            start: affordable && known(state) && plan.pays(group, forecast, demand, now_short),
            now: now_short,
            calm: scene.placed.groups[g].short <= 0.0
                && later(state, group, forecast, demand, lead) <= CALM * ground.limit(0.0, &without),
        };
        let prevented = ground.short(demand.now, &without)
            - ground.short(demand.now, &room(layout, g, &free, |o| o == m || serves(o)));
        let seen = seen(state, g, m, pop, capacity, spec.ttl_max, now);
        let of = &mut state.groups[g].members[m];
        let Some(shadow) = &mut of.shadow else { continue };
        let before = shadow.state();
        let moved = shadow.step(&need, &seen, now);
        let is = shadow.state();
        let moment = accounts::Moment {
            is_on: is != ShadowState::Cold,
            started: before == ShadowState::Cold && is != ShadowState::Cold,
            cost: standby * capacity,
            prevented: if matches!(is, ShadowState::Ready | ShadowState::Active) { prevented } else { 0.0 },
        };
        let account = state.accounts.account(&spec.name.to_string(), &spec.members[m].name.to_string(), now.unix);
        account.pass(&moment, dt, now.unix);
        let Some(moved) = moved else { continue };
        of.why = moved.reason;
        notes.push(Note::Shadow { group: spec.name.clone(), member: spec.members[m].name.clone(), moved });
    }
}

/// Whether POPs were heard that are worth as much as those that were not: before that, what is asked is not known.
fn known(state: &State) -> bool {
    2 * state.pops.iter().filter(|p| p.heard.is_some()).count() >= state.pops.len()
}

/// Whether the budget of a group has room for another start; what of it is spent is told where it passes an alert.
fn afford(state: &mut State, spec: &Group, now: Now, notes: &mut Vec<Note>) -> bool {
    let Some(budget_secs) = spec.budget_secs else { return true };
    let group = spec.name.to_string();
    let spent_secs = state.accounts.spent_secs(&group, now.unix);
    if state.accounts.passed(&group, spent_secs, budget_secs, now.unix).is_some() {
        notes.push(Note::Budget { group: spec.name.clone(), spent_secs, budget_secs });
    }
    spent_secs < budget_secs
}

/// One shadow that may be started.
struct Worth<'a> {
    ground: &'a Ground,
    /// What is usable without it by the time it would serve.
    base: Vec<f64>,
    pop: Option<PopIdx>,
    /// What it can carry, requests per second.
    capacity: f64,
    /// Seconds until it would serve.
    lead: f64,
    /// What its start costs, requests.
    cost: f64,
}

impl Worth<'_> {
    /// See [`worth`](crate::control::worth).
    fn pays(&self, group: &GroupState, forecast: ForecastUse, demand: &Demand, now_short: bool) -> bool {
        let limit = self.ground.limit(self.capacity / 2.0, &self.base);
        if !now_short && risk(group, forecast, demand.planned, limit, self.lead) < START_RISK {
            return false;
        }
        let Some(pop) = self.pop else { return false };
        let prospect = PROSPECT.map(|part| {
            let secs = self.lead + part * LEAST_ON_SECS;
            (secs, likely(group, forecast, demand.now, secs, self.lead))
        });
        let mut with = self.base.clone();
        with[pop.idx()] = self.capacity;
        let short = |room: &[f64]| self.ground.expected_short(&prospect, room);
        short(&self.base) - short(&with) >= self.cost
    }
}

/// The most that is likely to be asked until a shadow that is let go of now could be back, requests per second.
fn later(state: &State, group: &GroupState, forecast: ForecastUse, demand: &Demand, lead: f64) -> f64 {
    if !state.skills.prior {
        return demand.now;
    }
    let until = lead.max(LEAST_ON_SECS);
    let high = |part: f64| high(group, forecast, demand.now, part * until);
    [1.0 / 3.0, 2.0 / 3.0, 1.0].into_iter().map(high).fold(0.0, f64::max)
}

fn seen(state: &State, g: usize, m: usize, pop: Option<PopIdx>, capacity: f64, ttl_max: u32, now: Now) -> Seen {
    let reporter = pop.and_then(|p| state.groups[g].reporters.get(&(p, Some(MemberIdx::from(m)))));
    Seen {
        reported: reporter.and_then(|r| r.shadow).map(|(state, heard)| (state, now.since(heard))),
        residue: if state.skills.residue { reporter.and_then(|r| r.window.rate()) } else { Some(0.0) },
        capacity,
        ttl_max,
    }
}

/// The TTL of every group, and whether its demand may outgrow what is usable.
pub fn ttls(state: &mut State, layout: &Layout, scene: &Scene, blind: bool, now: Now) -> Vec<u32> {
    (0..layout.policies.groups.len()).map(|g| ttl(state, layout, scene, g, blind, now)).collect()
}

fn ttl(state: &mut State, layout: &Layout, scene: &Scene, g: usize, blind: bool, now: Now) -> u32 {
    let spec = &layout.policies.groups[g];
    let demand = &scene.expected[g].demand;
    let serving = room(layout, g, &free_for(layout, scene, g), |m| scene.standings[g][m].serves());
    let limit: f64 = serving.iter().sum();
    let group = &state.groups[g];
    let forecast = state.forecast_use(layout, GroupIdx::from(g));
    let risk = |lead: &f64| usual_risk(group, forecast, demand.now, limit, *lead);
    let risk = RISK_LEADS_SECS.iter().map(risk).fold(0.0, f64::max);
    let unsettled = spec.members.iter().zip(&group.members).any(|(member, of)| {
        let shadow = of.shadow.map(|s| s.state());
        // A Cold shadow's POP may be in any state: it is not in play.
        let in_play = shadow.is_none_or(|s| s != ShadowState::Cold);
        let breaker = member.pop.map_or(BreakerState::Closed, |p| state.pops[p.idx()].breaker.state());
        in_play && (breaker != BreakerState::Closed || of.breaker.state() != BreakerState::Closed)
            || matches!(shadow, Some(ShadowState::Warming | ShadowState::Draining))
    });
    let extra = group.outlook.extra().filter(|_| forecast == ForecastUse::Steer);
    let shift_secs = extra.and_then(|extra| extra.shift_secs(now));
    let outlook = Outlook {
        moving: unsettled
            || group.outlook.watch().is_unsettled()
            || extra.is_some_and(|extra| extra.spreads)
            || group.origins.ahead() > GROWING * demand.now,
        shift_secs,
        // Without any demand nothing can run short.
        risk: if demand.now > 0.0 { risk } else { 0.0 },
        utilisation: if limit > 0.0 { demand.planned / limit } else { f64::from(u8::from(demand.planned > 0.0)) },
        blind,
    };
    let group = &mut state.groups[g];
    // While shares move for an event, where it comes from is learnt fast.
    group.surge = outlook.risk >= START_RISK || shift_secs == Some(0.0);
    group.ttl.step(spec.ttl_min, spec.ttl_max, &outlook, now)
}
