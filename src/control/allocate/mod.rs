//! Who serves what: demand per group and cell in, shares out.
//!
//! The tick states a [`Problem`] over all groups at once, since POPs are shared. Priced groups are solved
//! together by their dual, one price in milliseconds per POP and per member with a room of its own; the
//! other kinds of `steer=` look at no load, go first, and take their room from the priced ones.
//!
//! Costs are milliseconds on one ladder, each rung far above what the one below can add up to on real
//! distances: distance and money (up to some 400) < others than `members=…` ([`FIRST_MS`]) < external
//! overflow ([`EXTERNAL_MS`]) < more than the target ([`OVER_TARGET_MS`]) < more than the most a POP
//! bears ([`OVER_MAX_MS`]). So each is touched only when the one before cannot serve.

mod classes;
pub(crate) mod classic;
mod deadband;
mod dual;
mod kept;
mod limit;
mod lists;
mod priced;
pub mod problem;
mod settle;

use crate::control::allocate::classes::Classes;
use crate::control::rows::RowSet;
use crate::id::GroupIdx;

pub use kept::Kept;
pub use limit::limit_step;
pub use problem::{Allocation, Geography, GroupAllocation, GroupProblem, Options, PopAllocation, Problem, Room, Warm};

/// What members outside a route's `members=…` cost on top, milliseconds.
pub const FIRST_MS: f64 = 1000.0;
/// What external overflow costs on top, milliseconds.
pub const EXTERNAL_MS: f64 = 2000.0;
/// Price from which targets rise, in proportion of the way to the most, up to [`OVER_MAX_MS`].
pub const OVER_TARGET_MS: f64 = 4000.0;
/// Price at which the most is reached.
pub const OVER_MAX_MS: f64 = 8000.0;

//----------- Allocate -------------------------------------------------------

/// Decides the shares of every group and cell.
///
/// Shares of a cell sum to 1, or are all 0 where no member may be given: behind a fence whose members
/// are unusable, or where nothing is. No POP is over its target while demand can be placed otherwise
/// (fences and externals included); when it cannot, the targets that are in the way rise in proportion
/// towards `max`, and above that the excess is spread in proportion and reported as `short`.
///
/// `warm`: prices of the allocation before, [`Warm::default`] for none. The result depends on the
/// arguments alone; prices to start from change it by no more than the tolerance of the solve.
///
/// Cost: a few passes over `classes × cells × nearest` candidates, a class being groups with the same choices; and making the lists of
/// those, where `warm` has none that still hold.
pub fn allocate(problem: &Problem, options: &Options, warm: &Warm) -> Allocation {
    let classes = Classes::new(problem);
    let rows = |g: usize| match classes.of_group[g] {
        Some(_) => RowSet::default(),
        None => classic::rows(problem, GroupIdx::from(g)),
    };
    let mut groups: Vec<RowSet> = (0..problem.groups.len()).map(rows).collect();
    let taken = settle::settle(problem, groups.clone()).pops.iter().map(|p| p.load).collect::<Vec<f64>>();
    let solved = priced::solve(problem, &classes, options, warm, &taken);
    for (g, rows) in deadband::keep(problem, options, &classes, &solved).into_iter().enumerate() {
        if classes.of_group[g].is_some() {
            groups[g] = rows;
        }
    }
    let settled = settle::settle(problem, groups);
    let warm = Warm { kept: Kept::of(solved.key, solved.uses, solved.lists), ..solved.warm };
    Allocation { n_passes: solved.n_passes, ..settled.priced(warm) }
}

#[cfg(test)]
mod law_tests;
#[cfg(test)]
mod oracle_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
