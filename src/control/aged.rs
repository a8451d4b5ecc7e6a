//! A plan that nobody renews: what to serve when the loop that makes plans is dead.
//!
//! The same ladder as for silent telemetry ([`silence`](crate::control::silence)): the shares hold for a minute, then go over to the
//! blind rows in four. Those come with every plan, so whoever ages it needs no state, no policies' history and no loop.

use crate::control::placing::blended;
use crate::control::rows::RowSet;
use crate::control::silence::blind_weight;
use crate::control::standing::Standing;
use crate::policy::Policies;
use crate::steering::{GroupPlan, Mode, Plan};

/// Most seconds of a TTL while a plan ages: what comes after should not have to wait long.
const TTL_SECS: u32 = 60;

/// The plan to serve `secs` after the last beat of the loop that made it; `None` while it holds as it is.
pub fn aged(plan: &Plan, policies: &Policies, secs: f64) -> Option<Plan> {
    let weight = blind_weight(secs);
    if weight <= 0.0 {
        return None;
    }
    let groups = plan.groups.iter().zip(&policies.groups).map(|(group, spec)| {
        let standing: Vec<Standing> = group
            .members
            .iter()
            .map(|m| match m.usable {
                Ok(()) => Standing::Full,
                Err(why) => Standing::Not(why),
            })
            .collect();
        let blind = RowSet::of(group.blind_rows.clone(), group.blind_row_of_cell.clone());
        let set = blended(group, &blind, &standing, weight);
        let ttl = group.ttl.min(TTL_SECS.max(spec.ttl_min));
        GroupPlan { rows: set.rows, row_of_cell: set.row_of_cell, ttl, ..group.clone() }
    });
    // Before the first sample there is nothing to age.
    let mode = if plan.mode == Mode::Declared { Mode::Declared } else { Mode::Blind };
    Some(Plan { groups: groups.collect(), mode, ..plan.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::declared::declared_plan;
    use crate::control::fixture;
    use crate::steering::Row;

    /// The United States go to `iad` alone in the plan, and by capacity to all when nobody makes plans any more.
    #[test]
    fn it_holds_then_goes_over_to_declared_shares() {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let plan = Plan { mode: Mode::Live, ..declared_plan(&policies, &cells) };
        let iad = |secs: f64| {
            let plan = aged(&plan, &policies, secs).unwrap_or_else(|| plan.clone());
            let group = &plan.groups[0];
            for row in &group.rows {
                let sum: f32 = row.given().map(|(_, share)| share).sum();
                assert!((sum - 1.0).abs() < 1e-3, "{row:?}");
            }
            group.rows[group.row_of_cell[3] as usize].get(2)
        };
        assert_eq!((iad(0.0), iad(59.0)), (1.0, 1.0));
        assert!(iad(180.0) < 1.0 && iad(180.0) > iad(300.0));
        assert!((iad(300.0) - 8.0 / 21.0).abs() < 0.01 && iad(1e6) == iad(300.0));
        assert_eq!(aged(&plan, &policies, 1e6).unwrap().mode, Mode::Blind);
    }

    #[test]
    fn who_may_not_be_given_gets_nothing_at_any_age() {
        let (policies, cells) = (fixture::policies(), fixture::cells());
        let mut plan = declared_plan(&policies, &cells);
        let group = &mut plan.groups[0];
        group.members[2].usable = Err("Open");
        group.rows = vec![Row::new(&[0.5, 0.0, 0.5, 0.0, 0.0, 0.0]); group.rows.len()];
        for secs in [80.0, 200.0, 1e9] {
            let aged = aged(&plan, &policies, secs).unwrap();
            assert!(aged.groups[0].rows.iter().all(|row| row.get(2) == 0.0), "{secs}");
        }
    }
}
