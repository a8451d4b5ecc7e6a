//! One beat of the control loop.
//!
//! [`tick`] is the whole way of a sample, top to bottom. It is a function of state, inputs and now: the
//! live server, the tests and the simulator run this and nothing else.

use crate::clock::Now;
use crate::control::all_down::{self, Extent, Sources};
use crate::control::announced;
use crate::control::asserted;
use crate::control::breaker::Breaker;
use crate::control::declared::blind_rows;
use crate::control::expected::{self, Expected};
use crate::control::guard;
use crate::control::heavy;
use crate::control::intake;
use crate::control::jump;
use crate::control::notes::Note;
use crate::control::outlook;
use crate::control::overrides::force;
use crate::control::placing::{self, Placed};
use crate::control::reserve;
use crate::control::rooms::{self, PopRoom};
use crate::control::rows::RowSet;
use crate::control::silence::{self, NORMAL_SECS};
use crate::control::standby::{self, Scene};
use crate::control::standing::{Standing, given, is_off, standings};
use crate::control::state::{Layout, State};
use crate::control::trips;
use crate::events::Calendar;
use crate::exchange::TallySum;
use crate::geo::CellMap;
use crate::id::{GroupIdx, PopIdx};
use crate::policy::Policies;
use crate::probe::Outcome;
use crate::steering::{BreakerState, GroupPlan, MemberPlan, Mode, OwnBreaker, Plan, PopPlan};
use crate::telemetry::{Directive, Sample};
use std::sync::Arc;

/// A plan that moves more than this of a group's answers at once must be explained by something that
/// happened; otherwise it is held back for [`HELD_SECS`].
const MOST_MOVED: f64 = 0.5;
/// See [`MOST_MOVED`]. A demand that really is so different still is after half a minute.
const HELD_SECS: f64 = 30.0;

/// What a tick is given.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// The policies; when they are others than at the last tick, the state is carried over by name.
    pub policies: &'a Arc<Policies>,
    /// The cells, likewise.
    pub cells: &'a Arc<CellMap>,
    /// Samples that arrived since the last tick, in any order.
    pub samples: &'a [Sample],
    /// Outcomes of probes since the last tick, in order.
    pub probes: &'a [Outcome],
    /// What the data plane counted since the last tick, for these policies and cells.
    pub tally: &'a TallySum,
    /// The announcements that stand; `None` where nobody announces anything.
    pub calendar: Option<&'a Arc<Calendar>>,
}

/// What a tick decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Ticked {
    /// The plan to serve.
    pub plan: Plan,
    /// What is wanted of the POPs: the whole of it, the same until it changes.
    pub directives: Vec<Directive>,
    /// What happened, in order.
    pub notes: Vec<Note>,
}

/// One beat: takes in what arrived, moves every machine one step, decides the plan.
pub fn tick(state: &mut State, inputs: &Inputs, now: Now) -> Ticked {
    let mut notes = Vec::new();
    let layout = &*state.adopt(inputs.policies, inputs.cells, now);
    force::step(state, layout, now, &mut notes);
    jump::step(state, now, &mut notes);
    let dt = state.elapse(now);
    heavy::learn(state, layout, inputs.tally, dt);
    let reported = intake::drain(state, layout, inputs.samples, now);
    intake::note_probes(state, layout, inputs.probes, now);
    if !state.live
        && !state.pops.iter().any(|pop| pop.probed.is_probed(now))
        && !state.groups.iter().any(|group| group.outlook.is_stale())
        && let Some(directives) = state.untold.clone()
    {
        intake::learn_cells(state, &reported, inputs.tally, dt);
        state.plan.decided_at = now.unix;
        return Ticked { plan: state.plan.clone(), directives, notes };
    }
    intake::learn_origins(state, layout, &reported, dt, now);
    let quiet = quiet_secs(state, now);
    let totals = expected::totals(state, layout, now);
    let heard = announced::heard(state, &totals, quiet < NORMAL_SECS, now);
    announced::step(state, layout, &heard, inputs.calendar, now, &mut notes);
    outlook::observe(state, layout, &totals, quiet >= NORMAL_SECS, now, &mut notes);
    trips::step(state, layout, state.live && quiet < NORMAL_SECS, now, &mut notes);
    intake::learn_cells(state, &reported, inputs.tally, dt);
    rooms::learn_gains(state, layout, dt, now);
    let expected = expected::expect(state, layout, &totals, now);
    trips::readmit(state, layout, &expected, &mut notes);
    reserve::step(state, layout, dt);
    let rooms = rooms::step(state, layout, &expected, now);
    let standings = standings(state, layout);
    let mut placed = placing::place(state, layout, &expected, &rooms, &standings);
    placing::overrule(state, layout, &expected, &standings, &mut placed);
    let mode = lay_silence(state, layout, &expected, &standings, quiet, now, &mut placed);
    stand_in(state, layout, &expected, &standings, quiet, &mut placed, &mut notes);
    let loads = standby::loads(layout, &placed);
    let scene = Scene { expected: &expected, rooms: &rooms, placed: &placed, loads: &loads, standings: &standings };
    let directives = standby::step(state, layout, &scene, now, dt, &mut notes);
    let ttls = standby::ttls(state, layout, &scene, quiet >= silence::HOLD_SECS, now);
    let plan = assemble(state, layout, mode, &expected, &rooms, &standings, placed, &ttls, now);
    publish(state, layout, plan, &standings, now, &mut notes);
    state.planned = expected.into_iter().map(|e| e.by_cell).collect();
    let settled = !state.live && state.waiting.is_none() && notes.is_empty();
    state.untold = settled.then(|| directives.clone());
    Ticked { plan: state.plan.clone(), directives, notes }
}

/// For how long more than half of the POPs have been silent.
pub(in crate::control) fn quiet_secs(state: &State, now: Now) -> f64 {
    let silences: Vec<f64> = state.pops.iter().map(|p| p.silent_secs(now)).collect();
    silence::majority_secs(&silences)
}

/// Puts what silence asks for in the place of the allocation: the declared plan before the first sample,
/// the last plan while it holds, and something between it and the blind rows later.
fn lay_silence(
    state: &mut State,
    layout: &Layout,
    expected: &[Expected],
    standings: &[Vec<Standing>],
    quiet: f64,
    now: Now,
    placed: &mut Placed,
) -> Mode {
    let weight = state.skills.silence.blind_weight(quiet);
    let stale = still_stale(state, now);
    if !state.live && !stale {
        for ((placed, declared), standing) in placed.groups.iter_mut().zip(&layout.declared.groups).zip(standings) {
            let set = placing::blended(declared, &placed.blind, standing, 0.0);
            (placed.rows, placed.row_of_cell) = (set.rows, set.row_of_cell);
        }
        return Mode::Declared;
    }
    if !stale && quiet < NORMAL_SECS {
        state.frozen = None;
        return Mode::Live;
    }
    let frozen = state.frozen.take().unwrap_or_else(|| state.plan.clone());
    for (g, placed) in placed.groups.iter_mut().enumerate() {
        let set = placing::blended(&frozen.groups[g], &placed.blind, &standings[g], weight);
        placed.load = placing::loads(&set.rows, &set.row_of_cell, &expected[g].by_cell, standings[g].len());
        (placed.rows, placed.row_of_cell) = (set.rows, set.row_of_cell);
    }
    state.frozen = Some(frozen);
    match () {
        () if quiet >= silence::HOLD_SECS => Mode::Blind,
        () if stale => Mode::Stale,
        () => Mode::Live,
    }
}

/// Fills the rows of cells where nobody may be given, as their groups' `all-down=` says, and notes where that is.
fn stand_in(
    state: &mut State,
    layout: &Layout,
    expected: &[Expected],
    standings: &[Vec<Standing>],
    quiet: f64,
    placed: &mut Placed,
    notes: &mut Vec<Note>,
) {
    for (g, placed) in placed.groups.iter_mut().enumerate() {
        let (spec, standing) = (&layout.policies.groups[g], &standings[g]);
        let extent = all_down::extent(spec, &given(standing), &layout.geography.route[g]);
        if extent != std::mem::replace(&mut state.groups[g].down, extent) {
            notes.push(Note::AllDown { group: spec.name.clone(), extent, instead: spec.all_down });
        }
        let rows = RowSet::of(std::mem::take(&mut placed.rows), std::mem::take(&mut placed.row_of_cell));
        let weight = state.skills.silence.blind_weight(quiet);
        let sets = [rows, std::mem::take(&mut placed.blind)];
        let [rows, blind] = filled(state, layout, GroupIdx::from(g), standing, weight, sets);
        if extent != Extent::Nowhere {
            placed.load = placing::loads(&rows.rows, &rows.row_of_cell, &expected[g].by_cell, standing.len());
        }
        (placed.rows, placed.row_of_cell, placed.blind) = (rows.rows, rows.row_of_cell, blind);
    }
}

/// The rows and the blind rows of a group without gaps; `weight` is that of the blind rows now.
fn filled(
    state: &State,
    layout: &Layout,
    g: GroupIdx,
    standing: &[Standing],
    weight: f64,
    [rows, blind]: [RowSet; 2],
) -> [RowSet; 2] {
    let (before, declared) = (&state.plan.groups[g.idx()], &layout.declared.groups[g.idx()]);
    let (given, is_off) = (given(standing), is_off(standing));
    let fill = |set, up: &RowSet| {
        let from = Sources {
            given: &given,
            is_off: &is_off,
            last: Some((&before.rows, &before.row_of_cell)),
            declared: Some((&up.rows, &up.row_of_cell)),
        };
        all_down::fill(&layout.policies, &layout.cells, g, from, set)
    };
    if !rows.has_gaps() && !blind.has_gaps() {
        return [rows, blind];
    }
    let spread = RowSet::of(declared.blind_rows.clone(), declared.blind_row_of_cell.clone());
    let up = placing::blended(declared, &spread, &vec![Standing::Full; standing.len()], weight);
    [fill(rows, &up), fill(blind, &spread)]
}

/// After a restart the saved plan holds until half of the POPs that should report have, or, once one has,
/// for 15 seconds: a demand that only one of them has told is not the demand.
fn still_stale(state: &State, now: Now) -> bool {
    let Some(start) = state.waiting else { return false };
    let expected = state.pops.iter().filter(|p| p.heard.is_some()).count();
    let reported = state.pops.iter().filter(|p| p.heard.is_some_and(|h| h.mono > start.mono)).count();
    !state.live || (2 * reported < expected && now.since(start) < NORMAL_SECS)
}

/// Writes everything down.
#[expect(clippy::too_many_arguments, reason = "one per step of the tick; a struct of them would only rename them")]
fn assemble(
    state: &State,
    layout: &Layout,
    mode: Mode,
    expected: &[Expected],
    rooms: &[PopRoom],
    standings: &[Vec<Standing>],
    placed: Placed,
    ttls: &[u32],
    now: Now,
) -> Plan {
    let mut loads = vec![0.0; rooms.len()];
    let mut groups = Vec::with_capacity(placed.groups.len());
    for (g, found) in placed.groups.into_iter().enumerate() {
        let spec = &layout.policies.groups[g];
        let shares = mean_shares(&found.rows, &found.row_of_cell, &expected[g], state, layout, GroupIdx::from(g));
        let member = |(m, spec): (usize, &crate::policy::Member)| {
            let gain = state.groups[g].members[m].gain.get();
            let load = found.load.get(m).copied().unwrap_or(0.0) * gain;
            if let Some(pop) = spec.pop {
                loads[pop.idx()] += load;
            }
            MemberPlan {
                usable: match standings[g][m] {
                    Standing::Not(why) => Err(why),
                    _ => Ok(()),
                },
                breaker: own_breaker(&state.groups[g].members[m].breaker, now),
                shadow: state.groups[g].members[m].shadow.map(|s| s.state()),
                share: shares[m],
                load,
            }
        };
        groups.push(GroupPlan {
            ttl: ttls[g],
            demand: expected[g].demand,
            members: spec.members.iter().enumerate().map(member).collect(),
            rows: found.rows,
            row_of_cell: found.row_of_cell,
            blind_rows: found.blind.rows,
            blind_row_of_cell: found.blind.row_of_cell,
            short: found.short,
            heavy: state.plan.groups[g].heavy.clone(),
        });
    }
    let pop = |(p, of): (usize, &crate::control::state::PopState)| {
        let PopRoom { capacity, target, .. } = rooms[p];
        let reason = match of.readmitted {
            true => format!("serves although Open, the others cannot carry the demand: {}", of.breaker.reason()),
            false if of.learned.binding().is_empty() => of.breaker.reason().to_string(),
            false => format!("capped: {} ran out {}", of.learned.binding(), of.breaker.reason()).trim_end().to_string(),
        };
        // Away from Closed the breaker says it all, and takes its reason up again after a restart.
        let limits = match of.breaker.state() {
            BreakerState::Closed | BreakerState::Suspect => rooms::limits(state, layout, PopIdx::from(p), now),
            _ => String::new(),
        };
        let held = state.forced.words(PopIdx::from(p)).to_string();
        let spill = match (layout.policies.pops[p].spill, placed.spill_ms.get(p)) {
            (Some(part), Some(ms)) if *ms > 0.5 => {
                format!("{:.0} % of its target are taken by clients from elsewhere: +{ms:.0} ms for them", 100.0 * part)
            }
            _ => String::new(),
        };
        // What probes say is told even where it decides nothing, as while telemetry is heard.
        let probes = of.probed.failure(now).filter(|_| of.breaker.state() != BreakerState::Open);
        let probes = probes.map_or(String::new(), |what| format!("its probes fail: {}", what.words()));
        let kept_out = of.breaker.held(now);
        let reason = [reason, kept_out, limits, spill, probes, held]
            .into_iter()
            .filter(|r| !r.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        PopPlan {
            breaker: of.breaker.state(),
            reason,
            capacity,
            target,
            load: loads[p],
            price_ms: placed.price_ms[p],
            silent_secs: of.silent_secs(now),
        }
    };
    let pops = state.pops.iter().enumerate().map(pop).collect();
    Plan { decided_at: now.unix, mode, pops, groups }
}

/// A member's own breaker as it is shown, with what keeps it out beyond its spell.
fn own_breaker(breaker: &Breaker, now: Now) -> Option<Arc<OwnBreaker>> {
    let state = breaker.state();
    let words = [breaker.reason().to_string(), breaker.held(now)];
    let reason = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("; ");
    (state != BreakerState::Closed).then(|| Arc::new(OwnBreaker { state, reason }))
}

/// Each member's share of a group's demand; of its cells by what is known of them, without demand.
fn mean_shares(
    rows: &[crate::steering::Row],
    row_of_cell: &[u32],
    expected: &Expected,
    state: &State,
    layout: &Layout,
    g: GroupIdx,
) -> Vec<f64> {
    let n = layout.policies.groups[g.idx()].members.len();
    let total: f64 = expected.by_cell.iter().sum();
    let by_cell = match total > 0.0 {
        true => expected.by_cell.iter().map(|d| d / total).collect(),
        false => state.groups[g.idx()].cells.shares(&layout.cells.cells),
    };
    placing::loads(rows, row_of_cell, &by_cell, n)
}

/// Makes a plan the served one, unless it breaks an invariant or moves half of a group with no reason.
fn publish(
    state: &mut State,
    layout: &Layout,
    plan: Plan,
    standings: &[Vec<Standing>],
    now: Now,
    notes: &mut Vec<Note>,
) {
    if let Err(reason) = guard::check(&plan, &layout.policies, &layout.cells, &layout.geography) {
        notes.push(Note::Refused { reason });
        strip(state, layout, standings);
        return;
    }
    let explained = notes.iter().any(|n| !matches!(n, Note::Refused { .. }))
        || plan.mode != Mode::Live
        || state.plan.mode != Mode::Live
        || plan.pops.iter().any(|p| matches!(p.breaker, BreakerState::Ramp | BreakerState::HalfOpen))
        || state.groups.iter().any(|g| g.surge);
    if !explained && let Some(reason) = great_move(state, layout, &plan) {
        let since = *state.held.get_or_insert_with(|| {
            notes.push(Note::Refused { reason });
            now
        });
        if now.since(since) < HELD_SECS {
            return;
        }
    }
    state.held = None;
    if plan.mode != state.plan.mode {
        notes.push(Note::Mode { from: state.plan.mode, to: plan.mode });
    }
    notes.extend(asserted::changes(&state.plan, &plan, &layout.policies));
    state.plan = plan;
}

/// Takes out of the served plan what may no longer be given: a refusal must not keep an Open POP.
fn strip(state: &mut State, layout: &Layout, standings: &[Vec<Standing>]) {
    for (g, standing) in standings.iter().enumerate() {
        let given = given(standing);
        let blind = blind_rows(&layout.policies, &layout.cells, GroupIdx::from(g), &given);
        let set = placing::blended(&state.plan.groups[g], &blind, standing, 0.0);
        let [set, blind] = filled(state, layout, GroupIdx::from(g), standing, 0.0, [set, blind]);
        let group = &mut state.plan.groups[g];
        (group.rows, group.row_of_cell) = (set.rows, set.row_of_cell);
        (group.blind_rows, group.blind_row_of_cell) = (blind.rows, blind.row_of_cell);
        for (member, standing) in group.members.iter_mut().zip(standing) {
            member.usable = match standing {
                Standing::Not(why) => Err(why),
                _ => Ok(()),
            };
        }
    }
}

fn great_move(state: &State, layout: &Layout, plan: &Plan) -> Option<String> {
    plan.groups.iter().zip(&state.plan.groups).enumerate().find_map(|(g, (after, before))| {
        let same = before.members.iter().zip(&after.members).all(|(a, b)| a.usable == b.usable);
        let weights = state.groups[g].cells.shares(&layout.cells.cells);
        let moved = guard::moved(before, after, &weights);
        let name = &layout.policies.groups[g].name;
        (same && moved > MOST_MOVED).then(|| format!("{:.0} % of {name} would move with no reason", 100.0 * moved))
    })
}

#[cfg(test)]
#[path = "tick_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "overrides/tick_tests.rs"]
mod override_tests;

#[cfg(test)]
#[path = "asserted_tests.rs"]
mod assertion_tests;
