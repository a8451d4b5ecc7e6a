use super::compile::base_bits;
use super::*;
use crate::geo::Cell;
use crate::policy::{ForecastUse, Group, Member, Policies, Role, SteerBy};
use crate::steering::hash::mix;
use crate::steering::plan::{Demand, GroupPlan, HeavySlot, Mode, Plan, Row};
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
    for (x, df, p) in [(10.828, 1, 0.001), (16.266, 3, 0.001), (20.515, 5, 0.001), (11.070, 5, 0.05), (4.605, 2, 0.1)] {
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
