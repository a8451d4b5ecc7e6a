//! Why a POP stands as it does: its room and what takes from it, its price, who comes to it from where, and who is sent elsewhere.
//!
//! Told by the loop about its own state, by the functions that the tick calls. A cell's home is the nearest POP that always
//! serves the group and that the cell's route allows.

use crate::clock::Now;
use crate::control::candidates::{candidates, members_at, money_ms};
use crate::control::expected;
use crate::control::state::{Layout, State};
use crate::id::{CellIdx, GroupIdx, MemberIdx, PopIdx};
use crate::policy::{Policies, Role};
use crate::steering::asserted::{Asserted, asserted};
use crate::steering::{BreakerState, ShadowState};
use crate::units::{print_ms, print_quantity, print_short};
use std::collections::BTreeMap;
use std::fmt;

/// Cells that are told of one by one.
const MOST_CELLS: usize = 5;

//----------- Story ----------------------------------------------------------

/// One POP. Rates are requests per second.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Story {
    /// Its name.
    pub pop: String,
    /// Its breaker.
    pub breaker: BreakerState,
    /// Why the breaker is there, what else takes room, and who overrides it; empty while nothing does.
    pub reason: String,
    /// `capacity=` and `max=`.
    pub declared: f64,
    /// See `declared`.
    pub max: f64,
    /// What it can carry now.
    pub capacity: f64,
    /// What allocation aims to stay under.
    pub target: f64,
    /// Part of its capacity that is kept free.
    pub reserve: f64,
    /// What the plan expects it to carry.
    pub load: f64,
    /// Milliseconds that its fullness adds to its distance.
    pub price_ms: f64,
    /// Seconds since a sample arrived; `None` before the first.
    pub silent_secs: Option<f64>,
    /// What each member there carries.
    pub members: Vec<MemberStory>,
}

/// One member at the POP.
#[derive(Clone, Debug, serde::Serialize)]
pub struct MemberStory {
    /// Its group.
    pub group: String,
    /// Its name.
    pub member: String,
    /// Why it may not be given.
    pub unusable: Option<String>,
    /// State of a shadow.
    pub shadow: Option<ShadowState>,
    /// Part of the group's demand that it is given.
    pub share: f64,
    /// What that is of the planned demand.
    pub load: f64,
    /// The group's demand now, and planned for: the difference is what forecasts and announced events add.
    pub demand: f64,
    /// See `demand`.
    pub planned: f64,
    /// What of the planned demand finds no room anywhere.
    pub short: f64,
    /// Milliseconds that money and carbon add to its distance.
    pub money_ms: f64,
    /// Its own breaker and why it is there, where that is not Closed.
    pub breaker: Option<(BreakerState, String)>,
    /// The cells that bring most, heaviest first.
    pub cells: Vec<CellStory>,
    /// How many cells bring something.
    pub n_cells: usize,
    /// Load that spills in, by the POP that is its home.
    pub spills_in: BTreeMap<String, f64>,
    /// Load whose home is here and that is sent elsewhere, by the POP that has it.
    pub spills_out: BTreeMap<String, f64>,
    /// What the policies assert of the group that names this POP.
    pub assertions: Vec<Asserted>,
}

/// One cell at one member.
#[derive(Clone, Debug, serde::Serialize)]
pub struct CellStory {
    /// The cell.
    pub cell: String,
    /// What it brings here.
    pub load: f64,
    /// Part of its answers that lead here.
    pub share: f64,
    /// Milliseconds to here, by distance.
    pub ms: f64,
    /// Its home and the milliseconds to there, where that is another POP.
    pub home: Option<(String, f64)>,
}

//----------- story ----------------------------------------------------------

/// Tells about a POP; `None` before the first tick.
pub fn story(state: &State, pop: PopIdx, now: Now) -> Option<Story> {
    let layout = &**state.layout.as_ref()?;
    let spec = layout.policies.pops.get(pop.idx())?;
    let plan = state.plan.pops.get(pop.idx())?;
    let expected = expected::expect(state, layout, &expected::totals(state, layout, now), now);
    let member = |(g, m): (usize, MemberIdx)| member_story(state, layout, g, m, pop, &expected[g]);
    let at =
        layout.policies.groups.iter().enumerate().flat_map(|(g, group)| members_at(group, pop).map(move |m| (g, m)));
    Some(Story {
        pop: spec.name.to_string(),
        breaker: plan.breaker,
        reason: plan.reason.clone(),
        declared: spec.capacity,
        max: spec.max,
        capacity: plan.capacity,
        target: plan.target,
        reserve: state.pops[pop.idx()].reserve,
        load: plan.load,
        price_ms: plan.price_ms,
        silent_secs: plan.silent_secs.is_finite().then_some(plan.silent_secs),
        members: at.map(member).collect(),
    })
}

fn member_story(
    state: &State,
    layout: &Layout,
    g: usize,
    m: MemberIdx,
    pop: PopIdx,
    expected: &expected::Expected,
) -> MemberStory {
    let (spec, plan) = (&layout.policies.groups[g], &state.plan.groups[g]);
    let of = &plan.members[m.idx()];
    let name = |pop: PopIdx| layout.policies.pops[pop.idx()].name.to_string();
    let (mut cells, mut spills_in, mut spills_out) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (r, demand) in expected.by_cell.iter().enumerate().filter(|(_, demand)| **demand > 0.0) {
        let row = &plan.rows[plan.row_of_cell[r] as usize];
        let cell = CellIdx::from(r);
        let home = home(layout, GroupIdx::from(g), cell);
        let share = f64::from(row.get(m.idx()));
        if share > 0.0 {
            let ms = |pop: PopIdx| f64::from(layout.geography.ms(cell, pop));
            let away = home.filter(|home| *home != pop);
            if let Some(home) = away {
                *spills_in.entry(name(home)).or_insert(0.0) += share * demand;
            }
            cells.push(CellStory {
                cell: layout.cells.cells[r].name.clone(),
                load: share * demand,
                share,
                ms: ms(pop),
                home: away.map(|home| (name(home), ms(home))),
            });
        }
        if home == Some(pop) {
            for (other, share) in row.given() {
                let at = spec.members[other].pop;
                if at != Some(pop) {
                    let at = at.map_or_else(|| spec.members[other].name.to_string(), name);
                    *spills_out.entry(at).or_insert(0.0) += f64::from(share) * demand;
                }
            }
        }
    }
    let n_cells = cells.len();
    cells.sort_by(|a, b| b.load.total_cmp(&a.load));
    cells.truncate(MOST_CELLS);
    let names_it = |(assertion, _): &(&crate::policy::assert::Assertion, Asserted)| assertion.pops.contains(&pop);
    let assertions = spec.assertions.iter().zip(asserted(&state.plan, &layout.policies, GroupIdx::from(g)));
    MemberStory {
        group: spec.name.to_string(),
        member: spec.members[m.idx()].name.to_string(),
        unusable: of.usable.err().map(str::to_owned),
        shadow: of.shadow,
        share: of.share,
        load: of.load,
        demand: plan.demand.now,
        planned: plan.demand.planned,
        short: plan.short,
        money_ms: money_ms(&layout.policies, spec, &spec.members[m.idx()]),
        breaker: of.breaker.as_ref().map(|own| (own.state, own.reason.clone())),
        cells,
        n_cells,
        spills_in,
        spills_out,
        assertions: assertions.filter(names_it).map(|(_, how)| how).collect(),
    }
}

/// The nearest POP that always serves a group and that the cell's route allows.
fn home(layout: &Layout, g: GroupIdx, cell: CellIdx) -> Option<PopIdx> {
    let spec = &layout.policies.groups[g.idx()];
    let route = layout.geography.route[g.idx()][cell.idx()].map(|r| &spec.routes[usize::from(r)]);
    let always: Vec<bool> = spec.members.iter().map(|m| m.role == Role::Active).collect();
    let pops = candidates(spec, route, &always).into_iter().filter_map(|m| spec.members[m.idx()].pop);
    pops.min_by(|a, b| layout.geography.ms(cell, *a).total_cmp(&layout.geography.ms(cell, *b)))
}

/// The POP that a text means: its whole name, or the beginning of exactly one, in whole labels.
///
/// # Errors
/// What would do.
pub fn find(text: &str, policies: &Policies) -> Result<PopIdx, String> {
    let glob: crate::control::overrides::glob::Glob = text.parse()?;
    let found: Vec<usize> = (0..policies.pops.len()).filter(|p| glob.matches(&policies.pops[*p].name)).collect();
    match found.as_slice() {
        [one] => Ok(PopIdx::from(*one)),
        [] => {
            let names: Vec<String> = policies.pops.iter().take(8).map(|p| p.name.to_string()).collect();
            Err(format!("no POP is called {text:?}; there are {}", names.join(", ")))
        }
        several => Err(format!("{text:?} means {} POPs; say more of the name", several.len())),
    }
}

//----------- For people -----------------------------------------------------

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [declared, max, capacity, target, load] =
            [self.declared, self.max, self.capacity, self.target, self.load].map(print_quantity);
        write!(f, "{}: breaker {:?}", self.pop, self.breaker)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        let heard = self.silent_secs.map_or("never heard".to_owned(), |secs| format!("heard {secs:.0} s ago"));
        writeln!(f, "; {heard}")?;
        let reserve = 100.0 * self.reserve;
        writeln!(f, "  room     carries {capacity} now; declared {declared}, {max} for a short time")?;
        writeln!(f, "  target   {target} with {reserve:.0} % in reserve; planned load {load}")?;
        match self.price_ms {
            _ if self.capacity <= 0.0 => writeln!(f, "  price    none: it has no room to ask one for")?,
            price if price < 0.5 => writeln!(f, "  price    none: it has room for all that want to come")?,
            price => {
                let spilt: f64 = self.members.iter().flat_map(|m| m.spills_out.values()).sum();
                writeln!(
                    f,
                    "  price    +{}: it is full; who is less than that nearer to it goes elsewhere, {} in all",
                    print_ms(price),
                    print_quantity(spilt)
                )?;
            }
        }
        self.members.iter().try_for_each(|member| write!(f, "{member}"))
    }
}

impl fmt::Display for MemberStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [load, demand, planned] = [self.load, self.demand, self.planned].map(print_quantity);
        let more = print_quantity((self.planned - self.demand).max(0.0));
        write!(f, "  group    {} by {}: {load}, {:.1} % of it", self.group, self.member, 100.0 * self.share)?;
        if let Some(shadow) = self.shadow {
            write!(f, "; shadow {shadow:?}")?;
        }
        if let Some(why) = &self.unusable {
            write!(f, "; not given: {why}")?;
        }
        if let Some((state, reason)) = &self.breaker {
            write!(f, "; a breaker of its own is {state:?}: {reason}")?;
        }
        write!(f, "\n           planned for {planned}: {demand} now and {more} by forecasts and events")?;
        match print_short(self.short, self.planned) {
            Some(words) => writeln!(f, "; {words} at all POPs")?,
            None => writeln!(f)?,
        }
        if self.money_ms > 0.0 {
            writeln!(f, "           counts as {:.2} ms farther for money and carbon", self.money_ms)?;
        }
        for cell in &self.cells {
            let (load, share) = (print_quantity(cell.load), 100.0 * cell.share);
            write!(f, "    from   {:<24} {load:>7}  {share:>5.1} % of its answers, {:.0} ms", cell.cell, cell.ms)?;
            match &cell.home {
                Some((home, ms)) => writeln!(f, "; spills in from {home}, {ms:.0} ms")?,
                None => writeln!(f)?,
            }
        }
        if self.n_cells > self.cells.len() {
            writeln!(f, "           and {} more", self.n_cells - self.cells.len())?;
        }
        for (words, spills) in [("in from", &self.spills_in), ("out to", &self.spills_out)] {
            if !spills.is_empty() {
                let each: Vec<String> =
                    spills.iter().map(|(pop, load)| format!("{pop} {}", print_quantity(*load))).collect();
                writeln!(f, "  spills   {words} {}", each.join(", "))?;
            }
        }
        for how in &self.assertions {
            let verdict = if how.holds() { "holds" } else { "BROKEN" };
            writeln!(f, "  assert   {}: {verdict}, {} can serve", how.words, how.active.len())?;
        }
        Ok(())
    }
}
