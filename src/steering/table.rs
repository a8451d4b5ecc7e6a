//! The compiled table that queries read.
//!
//! For every group and cell there is a row of slots. A query's key falls into a slot, the slot names the
//! member. Cells whose shares and history agree have one row between them, and rows that a new plan
//! leaves as they were are shared with the table before. A cell with slots that carry much has a row of its own.
//!
//! Sizes: a row has 2^10 slots, 2^12 in a cell that holds 1/64 or more of the map, and down to 2^8 where
//! groups × cells are so many that the table would pass 2^27 slots. They depend on the policies and
//! the map alone, so that no plan changes them.

use crate::geo::Cell;
use crate::id::{CellIdx, GroupIdx, MemberIdx};
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

//----------- Table ----------------------------------------------------------

/// The compiled form of a plan: for every group and cell a row of slots, each slot naming a member.
#[derive(Debug, Default)]
pub struct Table {
    groups: Vec<GroupTable>,
    /// Names of the cells, by which the next table finds the rows of this one.
    cells: Arc<[Box<str>]>,
}

#[derive(Debug)]
struct GroupTable {
    row_of_cell: Vec<u32>,
    rows: Vec<Slots>,
    /// Parallel to `rows`: what each row holds of each member.
    counts: Vec<Arc<Counts>>,
    ttl: u32,
    pick: Pick,
    name: Name,
    /// Stable hash of `name`.
    seed: u64,
    /// Stable name hash per member.
    members: Vec<u64>,
}

/// The outcome of a pick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// The member to answer with.
    pub member: MemberIdx,
    /// The slot that named it.
    pub slot: u16,
}

impl Table {
    /// TTL of a group's answers, seconds; 0 for a group that the table does not have.
    #[inline]
    pub fn ttl(&self, group: GroupIdx) -> u32 {
        self.groups.get(group.idx()).map_or(0, |g| g.ttl)
    }

    /// How keys for a group are made; sticky for a group that the table does not have.
    #[inline]
    pub fn pick_mode(&self, group: GroupIdx) -> Pick {
        self.groups.get(group.idx()).map_or(Pick::Sticky, |g| g.pick)
    }

    /// What tells the keys of a sticky group from those of the others: a stable hash of its name; 0 for a group that
    /// the table does not have.
    #[inline]
    pub fn sticky_seed(&self, group: GroupIdx) -> u64 {
        self.groups.get(group.idx()).map_or(0, |g| g.seed)
    }

    /// The member of the slot that `key` falls into; `None` when no member may be given there.
    ///
    /// `key`: for sticky groups a stable hash of client prefix and group, for spread groups the
    /// position in a low-discrepancy sequence; uniform over `u64`.
    #[inline]
    pub fn pick(&self, group: GroupIdx, cell: CellIdx, key: u64) -> Option<Picked> {
        let group = self.groups.get(group.idx())?;
        let row = *group.row_of_cell.get(cell.idx())?;
        let (member, slot) = group.rows[row as usize].pick(key)?;
        Some(Picked { member: MemberIdx(member), slot })
    }

    /// Whether every key picks alike in a cell: the row has one member, or none.
    #[inline]
    pub fn is_sole(&self, group: GroupIdx, cell: CellIdx) -> bool {
        let row = self.groups.get(group.idx()).and_then(|g| Some(&g.rows[*g.row_of_cell.get(cell.idx())? as usize]));
        row.is_none_or(|row| matches!(row, Slots::Empty | Slots::One(_)))
    }

    /// What the row of a cell holds: members and their number of slots, by ascending member, and the
    /// number of slots in all. Empty and 0 when no member may be given there.
    pub fn slots(&self, group: GroupIdx, cell: CellIdx) -> (Vec<(MemberIdx, u32)>, u32) {
        let group = &self.groups[group.idx()];
        let counts = &group.counts[group.row_of_cell[cell.idx()] as usize];
        let total = counts.iter().map(|(_, n)| n).sum();
        (counts.iter().map(|&(m, n)| (MemberIdx(m), n)).collect(), total)
    }

    /// Number of distinct rows over all groups.
    pub fn n_rows(&self) -> usize {
        self.groups.iter().map(|g| g.rows.len()).sum()
    }
}

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
fn base_bits(n_groups: usize, n_cells: usize) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{ForecastUse, Member, Role, SteerBy};
    use crate::steering::hash::mix;
    use crate::steering::plan::{Demand, Mode};
    use proptest::prelude::*;

    const WEB: GroupIdx = GroupIdx(0);

    fn policies(pick: Pick, members: &[&str]) -> Policies {
        let member = |name: &&str| Member {
            name: format!("{name}.web.example.com").parse().unwrap(),
            pop: None,
            role: Role::Active,
            capacity: None,
            weight: None,
            price: 0.0,
        };
        let group = Group {
            steer: SteerBy::Static,
            pick,
            forecast: ForecastUse::Off,
            members: members.iter().map(member).collect(),
            ..Group::new("web.example.com".parse().unwrap())
        };
        Policies { pops: Vec::new(), groups: vec![group], steers: Vec::new() }
    }

    fn cells(names: &[&str]) -> Vec<Cell> {
        let weight = 1.0 / names.len() as f64;
        let cell = |n: &&str| Cell { name: (*n).into(), country: None, at: None, weight, rules: Vec::new() };
        names.iter().map(cell).collect()
    }

    /// A plan of one group with one row per cell.
    fn plan(rows: &[&[f32]]) -> Plan {
        let group = GroupPlan {
            ttl: 42,
            demand: Demand::default(),
            members: Vec::new(),
            rows: rows.iter().map(|r| Row::new(r)).collect(),
            row_of_cell: (0..rows.len() as u32).collect(),
            blind_rows: Vec::new(),
            blind_row_of_cell: Vec::new(),
            short: 0.0,
            heavy: Default::default(),
        };
        Plan { decided_at: 0.0, mode: Mode::Live, pops: Vec::new(), groups: vec![group] }
    }

    fn client(i: u64) -> u64 {
        mix(0xC11E, i)
    }

    fn member_of(table: &Table, cell: u32, i: u64) -> Option<u16> {
        table.pick(WEB, CellIdx(cell), client(i)).map(|p| p.member.0)
    }

    #[test]
    fn a_table_says_what_the_plan_says() {
        let p = policies(Pick::Sticky, &["ams", "fra", "iad"]);
        let cells = cells(&["unknown", "DE", "US"]);
        let t = Table::compile(&plan(&[&[0.5, 0.25, 0.25], &[0.0, 1.0, 0.0], &[0.0; 3]]), &p, &cells, None);
        assert_eq!((t.ttl(WEB), t.pick_mode(WEB), t.n_rows()), (42, Pick::Sticky, 3));
        let (slots, n) = t.slots(WEB, CellIdx(0));
        assert_eq!((slots, n), (vec![(MemberIdx(0), 2048), (MemberIdx(1), 1024), (MemberIdx(2), 1024)], 4096));
        assert!((0..1000).all(|i| member_of(&t, 1, i) == Some(1)));
        assert_eq!(member_of(&t, 2, 0), None);
        assert_eq!([0, 1, 2, 9].map(|cell| t.is_sole(WEB, CellIdx(cell))), [false, true, true, true]);
        assert_eq!(t.pick(WEB, CellIdx(9), 0), None);
        assert_eq!(Table::default().pick(WEB, CellIdx(0), 0), None);
    }

    /// Nodes that share no memory give the same answers: golden picks of a fresh table.
    #[test]
    fn picks_never_change() {
        let p = policies(Pick::Sticky, &["ams", "fra", "iad"]);
        let t = Table::compile(&plan(&[&[0.4, 0.35, 0.25]]), &p, &cells(&["unknown"]), None);
        let picks: String = (0..40).map(|i| member_of(&t, 0, i).unwrap().to_string()).collect();
        assert_eq!(picks, "0001201012120100201111012200000220000002");
    }

    #[test]
    fn equal_shares_and_history_share_a_row() {
        let p = policies(Pick::Sticky, &["ams", "fra"]);
        let cells = cells(&["a", "b", "c"]);
        let mut even = plan(&[&[0.5, 0.5]]);
        even.groups[0].row_of_cell = vec![0; 3];
        let first = Table::compile(&even, &p, &cells, None);
        assert_eq!(first.n_rows(), 1);
        let parted = Table::compile(&plan(&[&[0.5, 0.5], &[0.5, 0.5], &[1.0, 0.0]]), &p, &cells, Some(&first));
        let joined = Table::compile(&even, &p, &cells, Some(&parted));
        // `c` comes from a row of its own and may keep one; the others were never apart.
        assert_eq!((parted.n_rows(), joined.n_rows()), (3, 3));
        assert!((0..1000).all(|i| member_of(&joined, 0, i) == member_of(&first, 0, i)));
    }

    /// A large resolver counts for what it carries: alone in half of a cell's queries it has one member, and nearly all others
    /// have the other. Cells that have none keep the row they share.
    #[test]
    fn a_heavy_slot_is_placed_whole() {
        let p = policies(Pick::Sticky, &["ams", "fra"]);
        let cells = cells(&["a", "b", "c"]);
        let mut even = plan(&[&[0.5, 0.5]]);
        even.groups[0].row_of_cell = vec![0; 3];
        let first = Table::compile(&even, &p, &cells, None);
        let slot = crate::steering::slot_of(client(7));
        even.groups[0].heavy.slots = vec![HeavySlot { cell: CellIdx(1), slot, weight: 0.5 }].into();
        let table = Table::compile(&even, &p, &cells, Some(&first));
        assert_eq!(table.n_rows(), 2);
        let whose = member_of(&table, 1, 7).unwrap();
        assert_eq!(Some(whose), member_of(&first, 1, 7), "it stays where it is");
        let others = |cell| (100..1100).filter(|i| member_of(&table, cell, *i) == Some(whose)).count();
        assert!(others(1) <= 1 && (450..550).contains(&others(0)), "{} {}", others(1), others(0));
        let again = Table::compile(&even, &p, &cells, Some(&table));
        assert!((0..1000).all(|i| (0..3).all(|c| member_of(&again, c, i) == member_of(&table, c, i))));
        // When it has gone the row is counted again, and as many come back as must.
        even.groups[0].heavy = Default::default();
        let back = Table::compile(&even, &p, &cells, Some(&again));
        assert_eq!(back.slots(WEB, CellIdx(1)).0, first.slots(WEB, CellIdx(1)).0);
    }

    #[test]
    fn a_reload_keeps_clients_where_they_were() {
        let old = policies(Pick::Sticky, &["ams", "fra", "iad"]);
        let t = Table::compile(&plan(&[&[1.0, 0.0, 0.0], &[0.5, 0.3, 0.2]]), &old, &cells(&["unknown", "DE"]), None);
        // Members and cells in another order, and one new of each.
        let new = policies(Pick::Sticky, &["sin", "iad", "fra", "ams"]);
        let rows: [&[f32]; 3] = [&[1.0, 0.0, 0.0, 0.0], &[0.0, 0.2, 0.3, 0.5], &[0.25; 4]];
        let t2 = Table::compile(&plan(&rows), &new, &cells(&["unknown", "DE", "FR"]), Some(&t));
        let names = |p: &Policies, m: Option<u16>| p.groups[0].members[m.unwrap() as usize].name.clone();
        for i in 0..1000 {
            assert_eq!(names(&old, member_of(&t, 1, i)), names(&new, member_of(&t2, 1, i)));
            assert_eq!(member_of(&t2, 0, i), Some(0));
        }
    }

    #[test]
    fn sizes_keep_memory_bounded() {
        assert_eq!(base_bits(1, 1), 10);
        assert_eq!(base_bits(100, 1000), 10);
        assert_eq!(base_bits(1000, 250), 9);
        assert_eq!(base_bits(1000, 500), 8);
        assert_eq!(base_bits(65_535, 100_000), 8);
    }

    //--- The law of shares ---

    /// P(X ≥ x) of the chi-square distribution with `df` degrees of freedom: the regularised upper
    /// incomplete gamma function Q(df/2, x/2), by its series.
    fn chi_square_p(x: f64, df: usize) -> f64 {
        let (a, x) = (df as f64 / 2.0, x / 2.0);
        if x <= 0.0 {
            return 1.0;
        }
        // ln Γ(a) of an integer or half-integer, from Γ(1) = 1, Γ(1/2) = √π.
        let (mut ln_gamma, mut at) =
            if df.is_multiple_of(2) { (0.0, 1.0) } else { (std::f64::consts::PI.sqrt().ln(), 0.5) };
        while at < a {
            ln_gamma += f64::ln(at);
            at += 1.0;
        }
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-15 {
            n += 1.0;
            term *= x / n;
            sum += term;
        }
        (1.0 - (a * x.ln() - x - ln_gamma).exp() * sum).max(0.0)
    }

    #[test]
    fn chi_square_is_as_tabled() {
        // Upper critical values of the usual tables.
        for (x, df, p) in
            [(10.828, 1, 0.001), (16.266, 3, 0.001), (20.515, 5, 0.001), (11.070, 5, 0.05), (4.605, 2, 0.1)]
        {
            assert!((chi_square_p(x, df) - p).abs() < p * 0.002, "{x} {df}: {}", chi_square_p(x, df));
        }
    }

    fn chi_square(picked: &[u64], shares: &[f32]) -> (f64, usize) {
        let n: u64 = picked.iter().sum();
        let mut stat = 0.0;
        let mut df = 0;
        for (&got, &share) in picked.iter().zip(shares) {
            let expect = n as f64 * f64::from(share);
            if share == 0.0 {
                assert_eq!(got, 0);
                continue;
            }
            stat += (got as f64 - expect).powi(2) / expect;
            df += 1;
        }
        (stat, df - 1)
    }

    fn picked(t: &Table, n_members: usize, keys: impl Iterator<Item = u64>) -> Vec<u64> {
        let mut picked = vec![0; n_members];
        for key in keys {
            picked[t.pick(WEB, CellIdx(0), key).unwrap().member.idx()] += 1;
        }
        picked
    }

    const SHARES: [f32; 6] = [0.32, 0.25, 0.0, 0.2, 0.15, 0.08];

    /// 100,000 spread picks follow the shares (chi-square, p > 0.001), and better than chance would: each
    /// count is within a handful of its expectation, where coin flips miss by hundreds.
    #[test]
    fn spread_picks_follow_shares() {
        let p = policies(Pick::Spread, &["a", "b", "c", "d", "e", "f"]);
        let t = Table::compile(&plan(&[&SHARES]), &p, &cells(&["unknown"]), None);
        for start in [0, 1 << 40, u64::MAX / 3] {
            let sequence = (0..100_000u64).map(|i| i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(start));
            let got = picked(&t, 6, sequence);
            let (stat, df) = chi_square(&got, &SHARES);
            assert_eq!(df, 4);
            assert!(chi_square_p(stat, df) > 0.001, "{stat} {got:?}");
            for (&n, &share) in got.iter().zip(&SHARES) {
                assert!((n as f64 - 1e5 * f64::from(share)).abs() < 12.0, "{got:?}");
            }
        }
    }

    /// Sticky: 100,000 random clients follow the shares, and moving 10 points moves 10 % of them.
    #[test]
    fn sticky_picks_follow_shares_and_move_no_more_than_they_must() {
        let p = policies(Pick::Sticky, &["a", "b", "c", "d", "e", "f"]);
        let cells = cells(&["unknown"]);
        let before = Table::compile(&plan(&[&SHARES]), &p, &cells, None);
        let got = picked(&before, 6, (0..100_000).map(client));
        // Slots hold shares to 1/4096; the rest is the chance of which slot a client falls into.
        let (slots, n) = before.slots(WEB, CellIdx(0));
        let mut held = [0.0; 6];
        slots.iter().for_each(|(m, c)| held[m.idx()] = *c as f32 / n as f32);
        let (stat, df) = chi_square(&got, &held);
        assert!(chi_square_p(stat, df) > 0.001, "{stat} {got:?}");
        for to in [1, 2, 5] {
            let mut shares = SHARES;
            shares[0] -= 0.1;
            shares[to] += 0.1;
            let after = Table::compile(&plan(&[&shares]), &p, &cells, Some(&before));
            let moved = (0..100_000).filter(|&i| member_of(&before, 0, i) != member_of(&after, 0, i)).count();
            assert!((9_000..=11_000).contains(&moved), "{moved}");
            for i in 0..100_000 {
                let (from, at) = (member_of(&before, 0, i), member_of(&after, 0, i));
                assert!(from == at || (from, at) == (Some(0), Some(to as u16)));
            }
        }
    }

    proptest! {
        #[test]
        fn compiling_twice_gives_the_same(
            a in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0f32), 0f32..1.0], 3), 4),
            b in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0f32), 0f32..1.0], 3), 4),
            spread in any::<bool>(),
        ) {
            let p = policies(if spread { Pick::Spread } else { Pick::Sticky }, &["x", "y", "z"]);
            let cells = cells(&["1", "2", "3", "4"]);
            let rows = |r: &[Vec<f32>]| plan(&r.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let first = Table::compile(&rows(&a), &p, &cells, None);
            let [t, u] = [(); 2].map(|()| Table::compile(&rows(&b), &p, &cells, Some(&first)));
            for cell in 0..4 {
                for i in 0..200 {
                    let pick = t.pick(WEB, CellIdx(cell), client(i));
                    prop_assert_eq!(pick, u.pick(WEB, CellIdx(cell), client(i)));
                    let row = &b[cell as usize];
                    prop_assert_eq!(pick.is_none(), row.iter().all(|&s| s == 0.0));
                    prop_assert!(pick.is_none_or(|p| row[p.member.idx()] > 0.0));
                }
            }
        }
    }
}
