//! The allocation beside the linear program that it approximates.

use super::world::{World, shares, worlds};
use super::*;
use crate::id::{CellIdx, MemberIdx};
use crate::policy::Effect;
use good_lp::{Expression, Solution, SolverModel, Variable, constraint, microlp, variable, variables};
use proptest::prelude::*;

/// Cost of one request of a cell at a member, by the ladder; `None` behind a fence or at a member that is down.
fn cost(world: &World, g: usize, r: usize, m: usize) -> Option<f64> {
    let usable = &world.usable[g];
    let ms = f64::from(world.geography.ms[r * world.geography.n_pops + m]);
    let member = MemberIdx::from(m);
    let cost = match world.geography.effect(GroupIdx::from(g), &world.policies.groups[g], CellIdx::from(r)) {
        Some(Effect::Only(set)) => return (usable[m] && set.contains(&member)).then_some(ms),
        Some(Effect::First(set)) if set.iter().any(|m| usable[m.idx()]) && !set.contains(&member) => ms + FIRST_MS,
        Some(Effect::Prefer(set)) if set.contains(&member) => 0.0,
        _ => ms,
    };
    usable[m].then_some(cost)
}

/// The least cost, in ms × requests, that keeps every POP and member at its target; `None` if none does.
fn linear_program(world: &World) -> Option<f64> {
    let mut vars = variables!();
    let n_pops = world.rooms.len();
    let mut loads = vec![Expression::from(0.0); n_pops];
    let mut constraints = Vec::new();
    let mut total = Expression::from(0.0);
    for (g, demand) in world.demand.iter().enumerate() {
        let mut own = vec![Expression::from(0.0); n_pops];
        for (r, &demand) in demand.iter().enumerate().filter(|(_, d)| **d > 0.0) {
            let mut row = Expression::from(0.0);
            let mut any = false;
            for m in 0..n_pops {
                let Some(cost) = cost(world, g, r, m) else { continue };
                let x: Variable = vars.add(variable().min(0.0));
                row += x;
                loads[m] += x * demand;
                own[m] += x * demand;
                total += x * (demand * cost);
                any = true;
            }
            if !any {
                return None;
            }
            constraints.push(constraint!(row == 1.0));
        }
        for (own, room) in own.into_iter().zip(&world.own[g]) {
            if let Some(room) = room {
                constraints.push(constraint!(own <= room.target));
            }
        }
    }
    for (load, room) in loads.into_iter().zip(&world.rooms) {
        constraints.push(constraint!(load <= room.target));
    }
    let model = constraints.into_iter().fold(vars.minimise(total.clone()).using(microlp), |m, c| m.with(c));
    model.solve().ok().map(|s| s.eval(&total))
}

fn spent(world: &World, a: &Allocation) -> f64 {
    let mut spent = 0.0;
    for (g, demand) in world.demand.iter().enumerate() {
        for (r, &demand) in demand.iter().enumerate() {
            for (m, &share) in shares(a, g, r).iter().enumerate().filter(|(_, s)| **s > 0.0) {
                spent += demand * f64::from(share) * cost(world, g, r, m).unwrap();
            }
        }
    }
    spent
}

fn nothing_over(world: &World, a: &Allocation, within: f64, rounding: f64) -> bool {
    let pops = a.pops.iter().zip(&world.rooms).all(|(pop, room)| pop.load <= room.target * (1.0 + within) + rounding);
    let own = a.groups.iter().zip(&world.own).all(|(group, own)| {
        group
            .load
            .iter()
            .zip(own)
            .all(|(load, room)| room.is_none_or(|room| *load <= room.target * (1.0 + within) + rounding))
    });
    pops && own
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Where there is room, no POP is over its target, and as T → 0 the cost is that of the linear
    /// program; at the usual T it is within `T·ln K` a request.
    #[test]
    fn cost_is_that_of_the_linear_program(world in worlds()) {
        let Some(least) = linear_program(&world) else { return Ok(()) };
        let demand: f64 = world.demand.iter().flatten().sum();
        let cold = Options { temperature_ms: 0.01, least_share: 0.0, ..Options::default() };
        let a = allocate(&world.problem(&[]), &cold, &Warm::default());
        // Shares are rounded to 1/65536 of a cell, which can be much of a small POP.
        let rounding = demand / 65_536.0;
        prop_assert!(nothing_over(&world, &a, 1e-4, rounding), "{:?} {:?}", a.pops, world.rooms);
        let spent_cold = spent(&world, &a);
        prop_assert!((spent_cold - least).abs() <= 0.01 * least + 300.0 * rounding, "{spent_cold} {least}");
        let usual = world.solve();
        // A row may miss by half the least share for each of its members.
        prop_assert!(nothing_over(&world, &usual, 1e-3, 0.005 * demand), "{:?} {:?}", usual.pops, world.rooms);
        let entropy = 0.7 * (world.rooms.len() as f64).ln() * demand;
        prop_assert!(spent(&world, &usual) <= 1.01 * least + entropy, "{} {least}", spent(&world, &usual));
        prop_assert!(usual.groups.iter().map(|g| g.short).sum::<f64>() <= 0.005 * demand);
    }
}

/// How far off the usual temperature is, over 1,000 random cases that have a solution, held to what the law above holds its
/// few to; `cargo test --lib beside_the_linear_program -- --nocapture` prints it.
#[test]
fn a_thousand_cases_beside_the_linear_program() {
    use proptest::strategy::{Strategy, ValueTree};
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let strategy = worlds();
    let (mut off_ms, mut off_part, mut off_cold, mut over) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    while off_ms.len() < 1000 {
        let world = strategy.new_tree(&mut runner).expect("nothing is filtered").current();
        let demand: f64 = world.demand.iter().flatten().sum();
        let Some(least) = linear_program(&world).filter(|_| demand > 0.0) else { continue };
        let usual = world.solve();
        let entropy = 0.7 * (world.rooms.len() as f64).ln() * demand;
        assert!(spent(&world, &usual) <= 1.01 * least + entropy, "{} {least}", spent(&world, &usual));
        let cold = Options { temperature_ms: 0.01, least_share: 0.0, ..Options::default() };
        let cold = allocate(&world.problem(&[]), &cold, &Warm::default());
        off_ms.push((spent(&world, &usual) - least) / demand);
        off_part.push((spent(&world, &usual) - least) / least.max(1e-9));
        off_cold.push((spent(&world, &cold) - least) / demand);
        let part = |(pop, room): (&PopAllocation, &Room)| pop.load / room.target - 1.0;
        over.push(usual.pops.iter().zip(&world.rooms).map(part).fold(0.0, f64::max));
    }
    for (what, off) in [
        ("ms a request over the optimum, T = 0.7 ms", &mut off_ms),
        ("part of the optimum", &mut off_part),
        ("ms a request over the optimum, T = 0.01 ms", &mut off_cold),
        ("part by which the fullest POP is over its target", &mut over),
    ] {
        off.sort_by(f64::total_cmp);
        let at = |q: f64| off[(q * (off.len() - 1) as f64) as usize];
        println!("{what}: median {:.4}, 95 % {:.4}, most {:.4}", at(0.5), at(0.95), at(1.0));
    }
}

/// A larger case, of the size where the program still solves in a blink: 30 POPs, 60 cells, 3 groups, at
/// 95 % of all targets.
#[test]
fn a_full_world_costs_what_it_must() {
    let mix = |i: u64| {
        let z = (i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        ((z ^ (z >> 27)) >> 11) as f64 / (1u64 << 53) as f64
    };
    let (n_pops, n_cells, n_groups) = (30, 60, 3);
    let at = |i: usize| (mix(i as u64) * 200.0, mix(i as u64 + 5000) * 100.0);
    let ms = |r: usize, p: usize| {
        let ((x, y), (u, v)) = (at(r + 100), at(p));
        (2.0 + (x - u).hypot(y - v)) as f32
    };
    let ms: Vec<Vec<f32>> = (0..n_cells).map(|r| (0..n_pops).map(|p| ms(r, p)).collect()).collect();
    let capacity: Vec<f64> = (0..n_pops).map(|p| 500.0 + 2000.0 * mix(p as u64 + 900)).collect();
    let raw: Vec<Vec<f64>> =
        (0..n_groups).map(|g| (0..n_cells).map(|r| mix((g * 1000 + r) as u64 + 20_000).powi(3)).collect()).collect();
    let by = 0.95 * 0.85 * capacity.iter().sum::<f64>() / raw.iter().flatten().sum::<f64>();
    let demand: Vec<Vec<f64>> = raw.iter().map(|d| d.iter().map(|d| d * by).collect()).collect();
    let (ms, demand): (Vec<&[f32]>, Vec<&[f64]>) =
        (ms.iter().map(|m| &m[..]).collect(), demand.iter().map(|d| &d[..]).collect());
    let world = World::new(&ms, &capacity, &demand);
    let least = linear_program(&world).unwrap();
    let cold = Options { temperature_ms: 0.01, least_share: 0.0, ..Options::default() };
    let a = allocate(&world.problem(&[]), &cold, &Warm::default());
    assert!(nothing_over(&world, &a, 1e-4, 0.0), "{:?}", a.pops);
    assert!((spent(&world, &a) - least).abs() <= 0.01 * least, "{} {least}", spent(&world, &a));
    let usual = world.solve();
    assert!(nothing_over(&world, &usual, 1e-3, 0.0), "{:?}", usual.pops);
    println!(
        "passes: {} to 0.01 ms, {} to 0.7 ms; cost {least:.0}, {:.0}, {:.0}",
        a.n_passes,
        usual.n_passes,
        spent(&world, &a),
        spent(&world, &usual)
    );
}
