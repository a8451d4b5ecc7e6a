//! A plan becomes a table.
//!
//! Sizes: a row has 2^10 slots, 2^12 in a cell that holds 1/64 or more of the map, and down to 2^8 where
//! groups × cells are so many that the table would pass 2^27 slots. They depend on the policies and
//! the map alone, so that no plan changes them.

use super::{GroupTable, Table};
use crate::geo::Cell;
use crate::id::CellIdx;
use crate::policy::{Group, Pick, Policies};
use crate::steering::apportion;
use crate::steering::hash::name_hash;
use crate::steering::plan::{GroupPlan, HeavySlot, Plan, Row};
use crate::steering::slots::{self, Counts, Filler, GONE, MAX_BITS, MIN_BITS, SPREAD_BITS, Slots};
use crate::wire::Name;
use std::collections::HashMap;
use std::sync::Arc;

/// Slots that a table may have if every cell of every group had a row of its own: 2^27, 128 MiB. Twice
/// as many where large cells are many.
const BUDGET_SLOTS: usize = 1 << 27;
/// A row's slots where there is room, as a power of two.
const DEFAULT_BITS: u32 = 10;
/// Share of the map's addresses from which a cell counts as large.
const LARGE: f64 = 1.0 / 64.0;
/// What a large cell gets on top, as a power of two.
const LARGE_BITS: u32 = 2;

//----------- Compile --------------------------------------------------------

impl Table {
    /// Compiles a plan.
    ///
    /// `policies` and `cells` are those that the plan was made for: `plan.groups` runs parallel to
    /// `policies.groups`, each `row_of_cell` to `cells`. `prev` is the table served until now, of these
    /// or other policies and cells: groups, members and cells are matched by name, and in a cell found
    /// again the fewest slots change owner that the new shares allow.
    ///
    /// Cost: a few microseconds for each distinct row that changed, tens of nanoseconds for each that
    /// did not.
    pub fn compile(plan: &Plan, policies: &Policies, cells: &[Cell], prev: Option<&Table>) -> Table {
        let base = base_bits(policies.groups.len(), cells.len());
        let bits: Vec<u8> =
            cells.iter().map(|c| (base + if c.weight >= LARGE { LARGE_BITS } else { 0 }) as u8).collect();
        let known = prev.map(|prev| CellMatch::new(prev, cells));
        let names = match (prev, &known) {
            (Some(prev), Some(CellMatch::Same)) => prev.cells.clone(),
            _ => cells.iter().map(|c| c.name.as_str().into()).collect(),
        };
        let prev_groups: HashMap<&Name, &GroupTable> =
            prev.iter().flat_map(|t| t.groups.iter().map(|g| (&g.name, g))).collect();
        let compile = |(plan, group): (&GroupPlan, &Group)| {
            let prev = prev_groups.get(&group.name).copied().zip(known.as_ref());
            compile_group(plan, group, &bits, prev)
        };
        Table { groups: plan.groups.iter().zip(&policies.groups).map(compile).collect(), cells: names }
    }
}

/// Slots of an ordinary row, as a power of two.
pub(super) fn base_bits(n_groups: usize, n_cells: usize) -> u32 {
    let rows = (n_groups * n_cells).max(1);
    (MIN_BITS..DEFAULT_BITS)
        .rev()
        .fold(DEFAULT_BITS, |bits, less| if rows << bits > BUDGET_SLOTS { less } else { bits })
}

/// Which cell of the table before each cell was.
enum CellMatch {
    Same,
    Renamed(Vec<Option<u32>>),
}

impl CellMatch {
    fn new(prev: &Table, cells: &[Cell]) -> CellMatch {
        if prev.cells.len() == cells.len() && prev.cells.iter().zip(cells).all(|(a, b)| **a == *b.name) {
            return CellMatch::Same;
        }
        let at: HashMap<&str, u32> = prev.cells.iter().zip(0..).map(|(name, i)| (&**name, i)).collect();
        CellMatch::Renamed(cells.iter().map(|c| at.get(c.name.as_str()).copied()).collect())
    }

    fn before(&self, cell: usize) -> Option<usize> {
        match self {
            CellMatch::Same => Some(cell),
            CellMatch::Renamed(at) => at[cell].map(|i| i as usize),
        }
    }
}

fn compile_group(plan: &GroupPlan, group: &Group, bits: &[u8], prev: Option<(&GroupTable, &CellMatch)>) -> GroupTable {
    let members: Vec<u64> = group.members.iter().map(|m| name_hash(&m.name)).collect();
    let mut table = GroupTable {
        row_of_cell: Vec::with_capacity(plan.row_of_cell.len()),
        rows: Vec::new(),
        counts: Vec::new(),
        ttl: plan.ttl,
        pick: group.pick,
        name: group.name.clone(),
        seed: name_hash(&group.name),
        members: Vec::new(),
    };
    let rename = prev.map(|(prev, _)| rename(&prev.members, &members));
    let same_members =
        rename.as_ref().is_some_and(|r| r.len() == members.len() && r.iter().zip(0..).all(|(a, b)| *a == b));
    let mut filler = Filler::new(&members);
    let mut made: HashMap<(u32, u32, u8, Option<CellIdx>), u32> = HashMap::new();
    for (cell, &plan_row) in plan.row_of_cell.iter().enumerate() {
        let size = if group.pick == Pick::Spread { SPREAD_BITS as u8 } else { bits[cell] };
        let old = prev.and_then(|(prev, cells)| Some((prev, *prev.row_of_cell.get(cells.before(cell)?)?)));
        let of_plan = &plan.rows[plan_row as usize];
        // Where there is one member to give, or none, nothing is placed; and spread rows have no slots to place.
        let is_split = group.pick == Pick::Sticky && shares(of_plan).nth(1).is_some();
        let heavy = if is_split { plan.heavy.of(cell.into()) } else { &[] };
        let own = (!heavy.is_empty()).then_some(cell.into());
        let key = (plan_row, old.map_or(u32::MAX, |(_, row)| row), size, own);
        let row = *made.entry(key).or_insert_with(|| {
            let old = old.map(|(prev, row)| (&prev.rows[row as usize], &prev.counts[row as usize]));
            let had = old.filter(|_| same_members).map(|(_, had)| had.as_slice());
            let rename = |m: u16| rename.as_ref().map_or(m, |to| to[m as usize]);
            let from: Option<(&Slots, &dyn Fn(u16) -> u16)> = old.map(|(slots, _)| (slots, &rename as _));
            let counts = counts(of_plan, u32::from(size), had.unwrap_or_default());
            let (slots, counts) = match old {
                _ if own.is_some() => {
                    let (shares, heavy) = (shares(of_plan).collect::<Vec<_>>(), in_row(heavy, u32::from(size)));
                    let (slots, counts) = filler.fill_by_weight(&shares, &heavy, u32::from(size), from);
                    (slots, Arc::new(counts))
                }
                Some((slots, had)) if same_members && **had == counts => (slots.clone(), had.clone()),
                _ if group.pick == Pick::Spread => (slots::ranges(&counts), Arc::new(counts)),
                _ => (filler.fill(&counts, u32::from(size), from), Arc::new(counts)),
            };
            table.rows.push(slots);
            table.counts.push(counts);
            (table.rows.len() - 1) as u32
        });
        table.row_of_cell.push(row);
    }
    table.members = members;
    table
}

/// Index in `new` of each member of `old`, or [`GONE`].
fn rename(old: &[u64], new: &[u64]) -> Vec<u16> {
    let at: HashMap<u64, u16> = new.iter().copied().zip(0..).collect();
    old.iter().map(|name| at.get(name).copied().unwrap_or(GONE)).collect()
}

/// Members that have a share: few of many.
fn shares(row: &Row) -> impl Iterator<Item = (u16, f32)> + '_ {
    row.given().filter(|(_, share)| *share > 0.0).map(|(m, share)| (m as u16, share))
}

fn counts(row: &Row, bits: u32, had: &[(u16, u32)]) -> Counts {
    let some: Vec<f32> = shares(row).map(|(_, share)| share).collect();
    let before = |m: u16| had.binary_search_by_key(&m, |(m, _)| *m).map_or(0, |at| had[at].1);
    let prev: Vec<u32> = if had.is_empty() { Vec::new() } else { shares(row).map(|(m, _)| before(m)).collect() };
    let counts = apportion(&some, 1 << bits, &prev);
    shares(row).zip(counts).filter(|(_, n)| *n > 0).map(|((m, _), n)| (m, n)).collect()
}

/// Heavy slots, of 4,096, as slots of a row of `1 << bits`, ascending: those that fall together carry their sum.
fn in_row(heavy: &[HeavySlot], bits: u32) -> Vec<(u16, f32)> {
    let mut slots: Vec<(u16, f32)> = Vec::with_capacity(heavy.len());
    for HeavySlot { slot, weight, .. } in heavy {
        let slot = slot >> (MAX_BITS - bits);
        match slots.last_mut().filter(|(last, _)| *last == slot) {
            Some((_, sum)) => *sum += weight,
            None => slots.push((slot, *weight)),
        }
    }
    slots
}
