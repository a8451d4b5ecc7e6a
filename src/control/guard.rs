//! The last look at a plan before it is published: what no fault above may get past.
//!
//! A member that may not be given gets nothing, with one exception: under `all-down=all` and `all-down=last`, cells
//! where nobody may be given are answered as if members were up ([`all_down`]), inside their fences.

use crate::control::all_down;
use crate::control::allocate::Geography;
use crate::control::candidates::candidates;
use crate::geo::CellMap;
use crate::policy::{Effect, Policies};
use crate::steering::{GroupPlan, Plan, Row};
use std::collections::HashSet;

/// How far from 1 the shares of a row may sum: they are `f32`.
const SUM_SLACK: f64 = 1e-3;

/// Checks that a plan fits its policies and cells, that its numbers are numbers, that shares sum to 1 (or
/// are all 0 where nobody may be given), that nothing goes to a member that may not be given, and that
/// fences hold.
///
/// # Errors
/// The first thing that is wrong, in words.
pub fn check(plan: &Plan, policies: &Policies, cells: &CellMap, geography: &Geography) -> Result<(), String> {
    if plan.pops.len() != policies.pops.len() || plan.groups.len() != policies.groups.len() {
        return Err("it is for other policies".into());
    }
    for (pop, spec) in plan.pops.iter().zip(&policies.pops) {
        let numbers = [pop.capacity, pop.target, pop.load, pop.price_ms];
        if numbers.iter().any(|n| !n.is_finite() || *n < 0.0) {
            return Err(format!("{} has impossible numbers: {numbers:?}", spec.name));
        }
    }
    for (g, (group, spec)) in plan.groups.iter().zip(&policies.groups).enumerate() {
        let fits = group.members.len() == spec.members.len()
            && group.row_of_cell.len() == cells.cells.len()
            && group.blind_row_of_cell.len() == cells.cells.len();
        if !fits {
            return Err(format!("{} is for other members or cells", spec.name));
        }
        let usable: Vec<bool> = group.members.iter().map(|m| m.usable.is_ok()).collect();
        let of_rows = [(&group.rows, &group.row_of_cell), (&group.blind_rows, &group.blind_row_of_cell)];
        for (rows, row_of_cell) in of_rows {
            for row in rows {
                check_row(row, usable.len()).map_err(|why| format!("{}: {why}", spec.name))?;
            }
            let mut seen = HashSet::new();
            for (r, at) in row_of_cell.iter().enumerate() {
                let Some(row) = rows.get(*at as usize) else { return Err(format!("{} has no row {at}", spec.name)) };
                let route = geography.route[g][r];
                if !seen.insert((*at, route)) {
                    continue;
                }
                let route = route.map(|r| &spec.routes[usize::from(r)]);
                let nobody = candidates(spec, route, &usable).is_empty();
                let may = |m: usize| usable[m] || (nobody && all_down::stands_in(spec));
                if row.given().any(|(m, _)| !may(m)) {
                    return Err(format!("{}: shares {:?} for members that may not be given", spec.name, row.to_vec()));
                }
                let Some(Effect::Only(allowed)) = route.map(|r| &r.effect) else { continue };
                let outside = |(m, _): (usize, f32)| !allowed.iter().any(|a| a.idx() == m);
                if row.given().any(outside) {
                    return Err(format!("{} leaves the fence around {}", spec.name, cells.cells[r].name));
                }
            }
        }
    }
    Ok(())
}

fn check_row(row: &Row, n_members: usize) -> Result<(), String> {
    if row.n_members() != n_members || row.given().any(|(_, s)| !s.is_finite() || s < 0.0) {
        return Err(format!("impossible shares {:?}", row.to_vec()));
    }
    let sum: f64 = row.given().map(|(_, s)| f64::from(s)).sum();
    match sum == 0.0 || (sum - 1.0).abs() <= SUM_SLACK {
        true => Ok(()),
        false => Err(format!("shares {:?} sum to {sum}", row.to_vec())),
    }
}

/// The part of a group's answers that goes to another member than before, in `[0, 1]`, by `weights` of cells.
pub fn moved(before: &GroupPlan, after: &GroupPlan, weights: &[f64]) -> f64 {
    let (mut sum, mut total) = (0.0, 0.0);
    for ((a, b), weight) in before.row_of_cell.iter().zip(&after.row_of_cell).zip(weights) {
        let (a, b) = (&before.rows[*a as usize], &after.rows[*b as usize]);
        let of_a: f64 = a.given().map(|(m, share)| f64::from((share - b.get(m)).abs())).sum();
        let of_b_alone: f64 = b.given().filter(|(m, _)| a.get(*m) == 0.0).map(|(_, share)| f64::from(share)).sum();
        let distance = of_a + of_b_alone;
        sum += weight * distance / 2.0;
        total += weight;
    }
    if total > 0.0 { sum / total } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::declared::declared_plan;
    use crate::control::fixture;

    fn check_with(spoil: impl Fn(&mut Plan), complaint: &str) {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let mut plan = declared_plan(&policies, &cells);
        spoil(&mut plan);
        let found = check(&plan, &policies, &cells, &Geography::new(&policies, &cells));
        match complaint {
            "" => assert_eq!(found, Ok(())),
            _ => assert!(found.as_ref().is_err_and(|why| why.contains(complaint)), "{found:?}"),
        }
    }

    #[test]
    fn poison_is_found() {
        check_with(|_| {}, "");
        let with_first = |p: &mut Plan, share: fn(f32) -> f32| {
            let mut shares = p.groups[0].rows[0].to_vec();
            shares[0] = share(shares[0]);
            p.groups[0].rows[0] = Row::new(&shares);
        };
        check_with(|p| p.groups[0].rows[0] = Row::new(&[0.0; 6]), "");
        check_with(|p| with_first(p, |share| share + 0.1), "sum to");
        check_with(|p| with_first(p, |_| f32::NAN), "impossible");
        check_with(|p| p.pops[1].price_ms = f64::INFINITY, "impossible");
        check_with(|p| p.groups[0].members[0].usable = Err("Open"), "may not be given");
        check_with(|p| p.groups[0].row_of_cell[1] = p.groups[0].row_of_cell[4], "fence around DE");
        // Where nobody may be given, members that are down stand in, but none from outside the fence.
        let germany_to = |p: &mut Plan, m: usize| {
            let group = &mut p.groups[0];
            group.members[..2].iter_mut().for_each(|m| m.usable = Err("Open"));
            group.row_of_cell = vec![0, 1, 0, 0, 0];
            let only = |m: usize| Row::of(6, std::iter::once((m as u16, 1.0)));
            group.rows = vec![only(2), only(m)];
            (group.blind_rows, group.blind_row_of_cell) = (group.rows.clone(), group.row_of_cell.clone());
        };
        check_with(|p| germany_to(p, 0), "");
        check_with(|p| germany_to(p, 2), "fence around DE");
        let one_up = |p: &mut Plan| {
            germany_to(p, 0);
            p.groups[0].members[1].usable = Ok(());
        };
        check_with(one_up, "may not be given");
        check_with(|p| p.groups[0].row_of_cell[1] = 99, "no row 99");
        check_with(|p| drop(p.groups.pop()), "other policies");
    }

    #[test]
    fn moved_counts_the_answers_that_change() {
        let plan = declared_plan(&fixture::policies(), &fixture::cells());
        let mut after = plan.groups[0].clone();
        after.row_of_cell[3] = after.row_of_cell[4];
        assert_eq!(moved(&plan.groups[0], &plan.groups[0], &[1.0; 5]), 0.0);
        assert_eq!(moved(&plan.groups[0], &after, &[0.1, 0.2, 0.1, 0.4, 0.2]), 0.4);
    }
}
