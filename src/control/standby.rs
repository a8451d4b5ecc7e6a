//! Shadows and TTLs: what the allocation that was just made says about the minutes to come.

use crate::clock::Now;
use crate::control::notes::Note;
use crate::control::outlook::{Expected, high, lead_secs, risk, usual_risk};
use crate::control::placing::Placed;
use crate::control::rooms::PopRoom;
use crate::control::shadow::{LEAST_ON_SECS, Need, Seen};
use crate::control::standing::Standing;
use crate::control::state::{Layout, State};
use crate::control::ttl::Outlook;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::{ForecastUse, Role};
use crate::steering::{BreakerState, ShadowState};
use crate::telemetry::Directive;

/// Part of what is usable without a shadow that demand must stay under for it to be let go.
const CALM: f64 = 0.75;
/// Demand that is planned to be so many times that of now is about to move shares: answers should not be held for long.
const GROWING: f64 = 1.1;
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

/// Requests per second that a group can count on, by what each member brings: the target of its POP less
/// what other groups have there; a POP counts once.
fn usable(layout: &Layout, scene: &Scene, g: usize, counts: impl Fn(usize) -> bool) -> f64 {
    let members = &layout.policies.groups[g].members;
    let mut counted: Vec<PopIdx> =
        members.iter().enumerate().filter(|(m, _)| counts(*m)).filter_map(|(_, m)| m.pop).collect();
    counted.sort_unstable();
    counted.dedup();
    counted.iter().map(|pop| free_for(layout, scene, g, *pop)).sum()
}

fn free_for(layout: &Layout, scene: &Scene, g: usize, pop: PopIdx) -> f64 {
    let members = layout.policies.groups[g].members.iter().zip(&scene.placed.groups[g].load);
    let own: f64 = members.filter(|(m, _)| m.pop == Some(pop)).map(|(_, load)| load).sum();
    let room = &scene.rooms[pop.idx()];
    (room.target / room.gain - (scene.loads[pop.idx()] - own)).max(0.0)
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
pub fn step(state: &mut State, layout: &Layout, scene: &Scene, now: Now, notes: &mut Vec<Note>) -> Vec<Directive> {
    let mut directives = Vec::new();
    for g in 0..layout.policies.groups.len() {
        step_group(state, layout, scene, g, now, notes);
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

fn step_group(state: &mut State, layout: &Layout, scene: &Scene, g: usize, now: Now, notes: &mut Vec<Note>) {
    let spec = &layout.policies.groups[g];
    let mut order: Vec<usize> =
        (0..spec.members.len()).filter(|m| state.groups[g].members[*m].shadow.is_some()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&spec.members[*a], &spec.members[*b]);
        a.price.total_cmp(&b.price).then_with(|| a.name.cmp(&b.name))
    });
    let demand = &scene.expected[g].demand;
    for m in order {
        let Role::Shadow { warmup_secs } = spec.members[m].role else { continue };
        let state_of = |m: usize| state.groups[g].members[m].shadow.map(|s| s.state());
        let serves = |other: usize| other != m && scene.standings[g][other].serves();
        let coming = |other: usize| {
            serves(other) || other != m && matches!(state_of(other), Some(ShadowState::Warming | ShadowState::Ready))
        };
        let without = usable(layout, scene, g, serves);
        let soon = usable(layout, scene, g, coming);
        let pop = spec.members[m].pop;
        let capacity = pop.map_or(0.0, |p| free_for(layout, scene, g, p));
        let lead = warmup_secs + lead_secs(state.plan.groups[g].ttl);
        let short = scene.placed.groups[g].short > 0.0 && soon <= without;
        let forecast = state.forecast_use(layout, GroupIdx::from(g));
        let group = &state.groups[g];
        let later = match state.skills.prior {
            true => high(group, forecast, demand.now, lead.max(LEAST_ON_SECS)),
            false => demand.now,
        };
        let need = Need {
            risk: risk(group, forecast, demand.planned, soon + capacity / 2.0, lead),
            now: demand.planned > without || short,
            calm: scene.placed.groups[g].short <= 0.0 && later <= CALM * without,
        };
        let seen = seen(state, g, m, pop, capacity, spec.ttl_max, now);
        let of = &mut state.groups[g].members[m];
        let Some(moved) = of.shadow.as_mut().and_then(|s| s.step(&need, &seen, now)) else { continue };
        of.why = moved.reason;
        notes.push(Note::Shadow { group: spec.name.clone(), member: spec.members[m].name.clone(), moved });
    }
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
    let limit = usable(layout, scene, g, |m| scene.standings[g][m].serves());
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
    group.surge = outlook.risk >= crate::control::shadow::START_RISK || shift_secs == Some(0.0);
    group.ttl.step(spec.ttl_min, spec.ttl_max, &outlook, now)
}
