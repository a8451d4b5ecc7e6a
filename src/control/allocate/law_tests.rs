//! Laws of the allocation, on random worlds.

use super::world::{World, served, shares, worlds};
use super::*;
use crate::id::{CellIdx, MemberIdx};
use crate::policy::Effect;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn shares_sum_to_one_and_respect_fences(world in worlds()) {
        let a = world.solve();
        prop_assert!(a.n_passes < 200, "{} passes", a.n_passes);
        let mut demand = 0.0;
        for g in 0..world.demand.len() {
            for r in 0..world.geography.n_cells {
                demand += world.demand[g][r];
                let fence = match world.geography.effect(GroupIdx::from(g), &world.policies.groups[g], CellIdx::from(r)) {
                    Some(Effect::Only(set)) => Some(set),
                    _ => None,
                };
                let may = |m: usize| world.usable[g][m] && fence.is_none_or(|set| set.contains(&MemberIdx::from(m)));
                let row = shares(&a, g, r);
                let sum: f32 = row.iter().sum();
                prop_assert_eq!(sum, if (0..row.len()).any(may) { 1.0 } else { 0.0 });
                for (m, share) in row.iter().enumerate() {
                    prop_assert!(*share == 0.0 || may(m));
                    prop_assert!(*share == 0.0 || *share > 0.0045);
                }
            }
        }
        let placed: f64 = a.pops.iter().map(|p| p.load).sum();
        prop_assert!(placed <= demand * (1.0 + 1e-6));
        // The same again, and from its own prices, is the same.
        prop_assert_eq!(&world.solve(), &a);
        let warm = allocate(&world.problem(&[]), &Options::default(), &a.warm);
        for (p, q) in a.pops.iter().zip(&warm.pops) {
            prop_assert!((p.load - q.load).abs() <= 0.01 * demand, "{:?} {:?}", a.pops, warm.pops);
        }
    }

    /// More capacity never serves less: what is short does not grow.
    #[test]
    fn more_capacity_never_serves_less(world in worlds(), p in 0usize..6, more in 1.0f64..3.0) {
        let mut larger = world.clone();
        let p = p % world.rooms.len();
        larger.rooms[p].target *= more;
        larger.rooms[p].max *= more;
        let demand: f64 = world.demand.iter().flatten().sum();
        let short = |w: &World| w.solve().groups.iter().map(|g| g.short).sum::<f64>();
        let (before, after) = (short(&world), short(&larger));
        prop_assert!(after <= before + 0.005 * demand, "{before} {after} of {demand}");
    }

    /// Groups with the same choices are solved as one, and get what they would get apart.
    #[test]
    fn classes_change_nothing(world in worlds()) {
        let mut apart = world.clone();
        let (most, n_pops) = (Room { target: 1e12, max: 1e12 }, world.rooms.len());
        // A room that is never full, so that no group is like another.
        apart.own.iter_mut().for_each(|own| own[n_pops - 1] = own[n_pops - 1].or(Some(most)));
        let (a, b) = (world.solve(), apart.solve());
        let demand: f64 = world.demand.iter().flatten().sum();
        for (a, b) in a.groups.iter().zip(&b.groups) {
            let moved: f64 = a.load.iter().zip(&b.load).map(|(a, b)| (a - b).abs()).sum();
            prop_assert!(moved <= 0.01 * demand, "{:?} {:?}", a.load, b.load);
        }
    }

    /// In other units of demand the same shares.
    #[test]
    fn shares_do_not_depend_on_the_unit(world in worlds(), power in -10i32..11) {
        let by = 2f64.powi(power);
        let mut scaled = world.clone();
        scaled.demand.iter_mut().flatten().for_each(|d| *d *= by);
        let room = |r: &mut Room| *r = Room { target: r.target * by, max: r.max * by };
        scaled.rooms.iter_mut().for_each(room);
        scaled.own.iter_mut().flatten().flatten().for_each(room);
        let (a, b) = (world.solve(), scaled.solve());
        for (a, b) in a.groups.iter().zip(&b.groups) {
            prop_assert_eq!((&a.rows, &a.row_of_cell), (&b.rows, &b.row_of_cell));
        }
    }

    /// A bounded step stays between where it was and where it goes, and keeps its bound.
    #[test]
    fn steps_are_bounded(world in worlds(), other in worlds(), max_in in 0.01f64..0.3) {
        let wanted = world.solve();
        let mut before = world.clone();
        let n = before.geography.ms.len();
        before.geography.ms.iter_mut().zip(other.geography.ms.iter().cycle()).for_each(|(m, o)| *m = *o);
        prop_assert_eq!(before.geography.ms.len(), n);
        let prev = served(&before.solve());
        let problem = world.problem(&prev);
        let step = limit_step(&problem, wanted.clone(), max_in, &vec![false; world.rooms.len()]);
        let mut came_in = vec![0.0; world.rooms.len()];
        for (g, prev) in prev.iter().enumerate() {
            for r in 0..world.geography.n_cells {
                let (row, to) = (shares(&step, g, r), shares(&wanted, g, r));
                let from = prev.rows[prev.row_of_cell[r] as usize].to_vec();
                let sum: f32 = row.iter().sum();
                prop_assert!((sum - to.iter().sum::<f32>()).abs() < 1e-5);
                for m in 0..row.len() {
                    prop_assert!(row[m] >= from[m].min(to[m]) - 1e-6 && row[m] <= from[m].max(to[m]) + 1e-6);
                    came_in[m] += world.demand[g][r] * f64::from((row[m] - from[m]).max(0.0));
                }
            }
        }
        for (p, came_in) in came_in.iter().enumerate() {
            prop_assert!(*came_in <= max_in * world.rooms[p].max * 1.001 + 1e-3, "{came_in} of {}", world.rooms[p].max);
        }
    }

    /// Lists that are taken up again are those that would be made: whatever changes between two ticks.
    #[test]
    fn what_is_kept_changes_nothing(world in worlds(), what in 0u8..6, at in 0usize..1000, by in 0.1f64..3.0) {
        let before = world.solve();
        let mut next = world.clone();
        let (g, m) = (at % world.demand.len(), at % world.rooms.len());
        match what {
            0 => next.usable[g][m] = !next.usable[g][m],
            1 => {
                let ms = world.geography.ms.iter().enumerate();
                let ms = ms.map(|(i, ms)| if i % 3 == at % 3 { ms * by as f32 } else { *ms }).collect();
                let route = world.geography.route.clone();
                next.geography = Geography::from_ms(&world.policies, world.geography.n_cells, ms, route);
            }
            2 => next.own[g][m] = Some(Room { target: by, max: by }),
            3 => next.policies.groups[g].members[m].price = by,
            4 => next = next.route(at % world.geography.n_cells, Effect::Only(vec![MemberIdx::from(m)])),
            _ => next.demand.iter_mut().flatten().for_each(|d| *d *= by),
        }
        let from = |warm: &Warm| allocate(&next.problem(&[]), &Options::default(), warm);
        prop_assert_eq!(from(&before.warm), from(&Warm { kept: Kept::default(), ..before.warm.clone() }));
    }
}
