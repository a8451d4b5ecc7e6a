//! From windows to breakers: who is judged by what.
//!
//! A member trips alone only while another of its POP is healthy; when all that is heard of a POP is bad,
//! the POP trips. What a member with a breaker of its own reports is no evidence about the POP.

use crate::clock::Now;
use crate::control::asserted::{self, WORTHLESS};
use crate::control::breaker::{Moved, Terms};
use crate::control::candidates::{declared_capacity, members_at};
use crate::control::capacity::exhausted;
use crate::control::evidence::{Evidence, Verdict};
use crate::control::expected::Expected;
use crate::control::limits::panic_readmits;
use crate::control::notes::Note;
use crate::control::probes::{Rules, Sight};
use crate::control::standing::member_standing;
use crate::control::state::{Layout, PopState, Reporter, State};
use crate::control::window::Outcomes;
use crate::id::{GroupIdx, MemberIdx, PopIdx};
use crate::policy::Pop;
use crate::probe::What;
use crate::steering::{BreakerState, ShadowState};
use crate::wire::Name;
use siphasher::sip::SipHasher24;
use std::hash::{Hash, Hasher};

/// Seconds of outcomes that are judged.
const JUDGED_SECS: f64 = 30.0;
/// Seconds in which a clear failure is enough.
const SUDDEN_SECS: f64 = 2.0;
/// Stretches over both of which p95 must be too high: an excursion is short, a trend is both.
const SLOW_SECS: [f64; 2] = [10.0, 120.0];
/// A POP that serves this part of what it can well is overloaded, not failing.
const SERVING: f64 = 0.7;
/// One that says it is full must serve this part of what it should: else it is broken, however busy it is.
const CARRYING: f64 = 0.5;
/// What a reporter says of its resources holds for so many seconds.
const FULL_SECS: f64 = 30.0;
/// Seconds that connections outlast an answer, twice: added to the TTL when a ramp is held.
const CONNECTIONS_SECS: f64 = 20.0;
/// Fewest POPs among which one can be an outlier, and from how many standard deviations on.
const PEERS: usize = 5;
/// See [`PEERS`].
const OUTLIER: f64 = 1.9;

type Key = (GroupIdx, Option<MemberIdx>);

/// Steps every breaker. A trip is in the plan of this very tick.
///
/// `heard`: most POPs are, so that the silence of one means something.
pub fn step(state: &mut State, layout: &Layout, heard: bool, now: Now, notes: &mut Vec<Note>) {
    let outliers = outliers(state, layout);
    let looks = looks(state, layout, heard, now);
    for (p, (outlier, look)) in outliers.into_iter().zip(looks).enumerate() {
        step_pop(state, layout, PopIdx::from(p), outlier, look, now, notes);
    }
}

/// What probes say of one POP.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// See [`Evidence::gone`].
    gone: Option<What>,
    /// See [`Evidence::proven`].
    proven: bool,
}

/// What probes say of every POP.
fn looks(state: &State, layout: &Layout, heard: bool, now: Now) -> Vec<Look> {
    let sight = Sight::of(state.pops.iter().map(|of| &of.probed), heard, now);
    let look = |(of, spec): (&PopState, &Pop)| {
        let is_gone = of.probed.is_gone(&sight, of.silent_secs(now), now);
        let proven = of.probed.is_proven(&sight, Rules::of(spec.probe.as_ref()), now);
        Look { gone: is_gone.then(|| of.probed.failure(now).unwrap_or(What::Reported)), proven }
    };
    state.pops.iter().zip(&layout.policies.pops).map(look).collect()
}

fn step_pop(
    state: &mut State,
    layout: &Layout,
    pop: PopIdx,
    outlier: bool,
    look: Look,
    now: Now,
    notes: &mut Vec<Note>,
) {
    let spec = &layout.policies.pops[pop.idx()];
    let closed = state.pops[pop.idx()].breaker.state() == BreakerState::Closed;
    let since = state.pops[pop.idx()].breaker.since();
    let base = state.pops[pop.idx()].base;
    let seen: Vec<(Key, Evidence)> = reporters_at(state, pop)
        .filter(|(key, _)| !is_off(state, layout, pop, *key))
        .map(|(key, reporter)| (key, evidence_of(reporter, spec, since, now)))
        .collect();
    let verdicts: Vec<Verdict> =
        seen.iter().map(|(_, e)| e.verdict(&spec.breaker, spec.breaker.min_requests)).collect();
    let is_bad = |v: &Verdict| matches!(v, Verdict::Unclear | Verdict::Failing);
    // What one service fails for want of room at a POP that is full is not that service's failure.
    let flooded = state.skills.caps && is_flooded(seen.iter().map(|(_, e)| e.telling()), base);
    let alone = closed && !flooded && verdicts.iter().any(is_bad) && verdicts.contains(&Verdict::Healthy);

    let (mut pooled, mut full) = (Evidence { silent_secs: f64::INFINITY, ..Evidence::default() }, false);
    for ((key, evidence), verdict) in seen.iter().zip(&verdicts) {
        let on_its_own = members_of(layout, pop, *key)
            .any(|(g, m)| state.groups[g.idx()].members[m.idx()].breaker.state() != BreakerState::Closed);
        let isolated = alone && is_bad(verdict);
        if isolated || on_its_own {
            step_members(state, layout, pop, *key, Among { isolated, flooded }, now, notes);
        } else {
            pooled.outcomes = pooled.outcomes.beside(evidence.outcomes);
            pooled.sudden = pooled.sudden.beside(evidence.sudden);
            pooled.slow |= evidence.slow;
            full |= evidence.overloaded;
            pooled.silent_secs = pooled.silent_secs.min(evidence.silent_secs);
        }
    }
    // A surge onto a POP that was idle fills the newest window long before the longer one.
    let serves = |seen: Outcomes| seen.goodput().is_some_and(|g| g >= SERVING * base);
    let serving = serves(pooled.outcomes) || serves(pooled.telling());
    pooled.overloaded = (serving || full && carries(&pooled.telling(), base)) && state.skills.caps;
    (pooled.outlier, pooled.gone, pooled.proven) = (outlier, look.gone, look.proven);
    let verdict = pooled.verdict(&spec.breaker, spec.breaker.min_requests);
    let resumed = state.forced.resumes_pop(pop);
    let mut terms = terms(state, layout, pop, &spec.name, spec.capacity, resumed, now);
    terms.needed = is_worth_it(&pooled) && asserted::needs(state, layout, pop, None);
    let state_of = &mut state.pops[pop.idx()];
    state_of.overloaded = full || verdict == Verdict::Overloaded;
    if let Some(moved) = state_of.breaker.step(&pooled, &terms, now) {
        if moved.to == BreakerState::Open && moved.from != BreakerState::Open {
            state_of.tripped_errors = if look.gone.is_some() { 1.0 } else { pooled.telling().error_share() };
        }
        note_trip(state, &moved, &spec.name, spec.capacity, now);
        notes.push(Note::Breaker { pop: spec.name.clone(), member: None, moved });
    }
}

/// Whether all that a reporter speaks of are shadows that are not to serve: who still asks them is no evidence.
fn is_off(state: &State, layout: &Layout, pop: PopIdx, key: Key) -> bool {
    use ShadowState::{Cold, Draining, Warming};
    let off = |(g, m): (GroupIdx, MemberIdx)| {
        let shadow = state.groups[g.idx()].members[m.idx()].shadow.map(|s| s.state());
        matches!(shadow, Some(Cold | Warming | Draining))
    };
    members_of(layout, pop, key).all(off)
}

/// Whether a POP is asked for more than it can carry, by all its reporters together, and serves most of what it can.
fn is_flooded(seen: impl Iterator<Item = Outcomes>, capacity: f64) -> bool {
    let rates = seen.filter_map(|of| Some((of.requests / of.secs, of.goodput()?)));
    let (offered, served) = rates.fold((0.0, 0.0), |all, of| (all.0 + of.0, all.1 + of.1));
    offered > capacity && served >= SERVING * capacity
}

/// How a reporter stands among those of its POP.
#[derive(Clone, Copy, Debug)]
struct Among {
    /// It alone fails: its members are judged by themselves.
    isolated: bool,
    /// See [`is_flooded`].
    flooded: bool,
}

/// Steps the breakers of a reporter's members on what it says of them.
fn step_members(
    state: &mut State,
    layout: &Layout,
    pop: PopIdx,
    key: Key,
    among: Among,
    now: Now,
    notes: &mut Vec<Note>,
) {
    let spec = &layout.policies.pops[pop.idx()];
    for (g, m) in members_of(layout, pop, key).collect::<Vec<_>>() {
        let member = &layout.policies.groups[g.idx()].members[m.idx()];
        let breaker = &state.groups[g.idx()].members[m.idx()].breaker;
        if breaker.state() == BreakerState::Closed && !among.isolated {
            continue;
        }
        let since = breaker.since();
        let Some(reporter) = state.groups[g.idx()].reporters.get(&(pop, key.1)) else { continue };
        let capacity = declared_capacity(&layout.policies, member);
        let mut evidence = evidence_of(reporter, spec, since, now);
        evidence.overloaded &= carries(&evidence.telling(), capacity);
        evidence.overloaded |= among.flooded;
        let resumed = state.forced.resumes_pop(pop) || state.forced.resumes_member(g, m);
        let mut terms = terms(state, layout, pop, &member.name, capacity, resumed, now);
        terms.needed = is_worth_it(&evidence) && asserted::needs(state, layout, pop, Some((g, m)));
        let breaker = &mut state.groups[g.idx()].members[m.idx()].breaker;
        if let Some(moved) = breaker.step(&evidence, &terms, now) {
            note_trip(state, &moved, &member.name, capacity, now);
            notes.push(Note::Breaker { pop: spec.name.clone(), member: Some(member.name.clone()), moved });
        }
    }
}

/// Whether what it still serves is worth to be kept in where an assertion needs it.
fn is_worth_it(evidence: &Evidence) -> bool {
    evidence.gone.is_none() && evidence.telling().error_share() < WORTHLESS
}

/// Counts what a trip takes away. What relapses from HalfOpen had not been given back; on the ramp it had, in part, and
/// counts whole.
fn note_trip(state: &mut State, moved: &Moved, name: &Name, capacity: f64, now: Now) {
    use BreakerState::{Closed, Open, Ramp, Suspect};
    if moved.to == Open && matches!(moved.from, Closed | Suspect | Ramp) {
        state.removed.note(name, capacity, now.mono);
    }
}

/// Whether a target serves enough of what it should for its failures to be overload.
fn carries(seen: &Outcomes, capacity: f64) -> bool {
    let offered = seen.requests / seen.secs.max(1e-9);
    seen.goodput().is_none_or(|goodput| goodput >= CARRYING * offered.min(capacity))
}

fn terms(state: &State, layout: &Layout, pop: PopIdx, name: &Name, capacity: f64, resumed: bool, now: Now) -> Terms {
    let total: f64 = layout.policies.pops.iter().map(|p| p.capacity).sum();
    let groups = layout.policies.groups.iter().zip(&state.plan.groups);
    let ttl = groups.filter(|(g, _)| members_at(g, pop).next().is_some()).map(|(_, plan)| plan.ttl).max().unwrap_or(0);
    Terms {
        config: layout.policies.pops[pop.idx()].breaker,
        hold_secs: f64::from(ttl) + CONNECTIONS_SECS,
        needed: false,
        lag_secs: f64::from(ttl) + CONNECTIONS_SECS / 2.0,
        may_open: state.removed.allows(name, capacity, total, now.mono),
        resumed,
        draw: draw(state.seed, name, now),
    }
}

/// Uniform in `[0, 1)`, the same for the same seed, name and moment.
fn draw(seed: u64, name: &Name, now: Now) -> f64 {
    let mut hasher = SipHasher24::new_with_keys(seed, now.mono.to_bits());
    name.hash(&mut hasher);
    (hasher.finish() >> 11) as f64 / (1u64 << 53) as f64
}

pub fn reporters_at(state: &State, pop: PopIdx) -> impl Iterator<Item = (Key, &Reporter)> {
    state.groups.iter().enumerate().flat_map(move |(g, group)| {
        let at = group.reporters.range((pop, None)..).take_while(move |((p, _), _)| *p == pop);
        at.map(move |((_, member), reporter)| ((GroupIdx::from(g), *member), reporter))
    })
}

fn members_of(layout: &Layout, pop: PopIdx, (group, member): Key) -> impl Iterator<Item = (GroupIdx, MemberIdx)> {
    let at = members_at(&layout.policies.groups[group.idx()], pop);
    at.filter(move |m| member.is_none_or(|named| named == *m)).map(move |m| (group, m))
}

fn evidence_of(reporter: &Reporter, spec: &Pop, since: f64, now: Now) -> Evidence {
    let over = |secs: f64| match (spec.breaker.latency_ms, reporter.window.recent(secs, since).p95_ms()) {
        (Some(bound), Some(p95)) => p95 > bound,
        _ => false,
    };
    let silent_secs = reporter.window.silent_secs(now);
    Evidence {
        outcomes: reporter.window.recent(JUDGED_SECS, since),
        sudden: reporter.window.recent(SUDDEN_SECS, since),
        slow: SLOW_SECS.into_iter().all(over),
        overloaded: silent_secs < FULL_SECS && exhausted(&reporter.utilisation).is_some(),
        outlier: false,
        gone: None,
        proven: false,
        silent_secs,
    }
}

/// What all reporters of a POP saw in the last [`JUDGED_SECS`].
pub fn outcomes_at(state: &State, pop: PopIdx) -> Outcomes {
    seen_at(state, pop, JUDGED_SECS)
}

/// What all reporters of a POP saw in their newest samples.
pub fn newest_at(state: &State, pop: PopIdx) -> Outcomes {
    seen_at(state, pop, SUDDEN_SECS)
}

fn seen_at(state: &State, pop: PopIdx, secs: f64) -> Outcomes {
    let since = state.pops[pop.idx()].breaker.since();
    reporters_at(state, pop).map(|(_, r)| r.window.recent(secs, since)).fold(Outcomes::default(), Outcomes::beside)
}

/// Which POPs fail more than their peers: success below the mean by more than [`OUTLIER`] deviations.
fn outliers(state: &State, layout: &Layout) -> Vec<bool> {
    let success = |p: usize| {
        let outcomes = outcomes_at(state, PopIdx::from(p));
        let enough = outcomes.requests >= layout.policies.pops[p].breaker.min_requests.max(1.0);
        enough.then(|| 1.0 - outcomes.error_share())
    };
    let rates: Vec<Option<f64>> = (0..state.pops.len()).map(success).collect();
    let known: Vec<f64> = rates.iter().flatten().copied().collect();
    if known.len() < PEERS {
        return vec![false; rates.len()];
    }
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    let deviation = (known.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / known.len() as f64).sqrt();
    rates.iter().map(|r| r.is_some_and(|r| r < mean - OUTLIER * deviation - 1e-9)).collect()
}

/// Takes Open POPs back while the others cannot carry the demand, and lets them go when they can.
pub fn readmit(state: &mut State, layout: &Layout, expected: &[Expected], notes: &mut Vec<Note>) {
    let demand: f64 = expected.iter().map(|e| e.demand.now).sum();
    let (mut healthy, mut open) = (0.0, Vec::new());
    for (p, pop) in state.pops.iter().enumerate() {
        let pop_idx = PopIdx::from(p);
        let serves = |(g, group): (usize, &crate::policy::Group)| {
            members_at(group, pop_idx).any(|m| member_standing(state, layout, GroupIdx::from(g), m).serves())
        };
        match pop.breaker.state() {
            BreakerState::Open => open.push((pop_idx, pop.base, pop.tripped_errors)),
            _ if layout.policies.groups.iter().enumerate().any(serves) => healthy += pop.base * pop.breaker.factor(),
            _ => {}
        }
    }
    let readmitted = panic_readmits(healthy, demand, &open).unwrap_or_default();
    for (p, pop) in state.pops.iter_mut().enumerate() {
        pop.readmitted = readmitted.contains(&PopIdx::from(p));
    }
    if readmitted.is_empty() == state.panicking {
        state.panicking = !readmitted.is_empty();
        let names = readmitted.iter().map(|p| layout.policies.pops[p.idx()].name.clone());
        notes.push(match state.panicking {
            true => Note::Panic { readmitted: names.collect(), demand },
            false => Note::PanicOver,
        });
    }
}
