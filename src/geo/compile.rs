//! Databases, rules and sites → cells.
//!
//! Both families are cut three times, each cut laid over the last: by what the files say (a *spot*: the part
//! of a place that can matter), by the prefixes of rules, and, for IPv6, by the prefixes that stand for IPv4.
//! Every *combination* of spot and prefixes that occurs is then judged once, however many networks have it:
//! which rules match, which site of each set is nearest, and so which cell it belongs to.
//!
//! Weights. A cell's weight is its share of the addresses that some file knows. IPv6 allocations say little of
//! users (a provider's /20 may be empty), so the IPv6 share, counted in /48s, enters with [`V6_SHARE`]. Space
//! that no file knows gets [`UNKNOWN_SHARE`] of the whole, enough to count and too little to steer by.

use crate::geo::cells::{ALIAS, CellMap};
use crate::geo::database::Databases;
use crate::geo::grouping::{describe, group_within};
use crate::geo::nearest::Nearest;
use crate::geo::rule::Match;
use crate::geo::runs::{Interner, Run, of_prefixes, overlay, rename};
use crate::geo::survey::Survey;
use crate::geo::tree::ALIASES;
use crate::units::LatLon;

/// Most cells of a map unless told otherwise. Our choice: steering works per group and cell, and 4096 cells
/// keep a hundred groups' tables in tens of megabytes.
pub const CELL_BUDGET: usize = 4096;

/// A country is split by subdivision when its addresses lie more than this from their centre (root mean
/// square). 400 km are 6 ms of round trip, about where another site begins to be the better one; below
/// that, what a subdivision adds is finer than what databases know.
pub const SPLIT_KM: f64 = 400.0;

/// Weight of the IPv6 addresses of a place beside its IPv4 addresses. Our choice, no reference.
pub const V6_SHARE: f64 = 0.2;

/// Weight of space that no file knows, when files know some. Our choice, no reference.
pub const UNKNOWN_SHARE: f64 = 0.01;

impl CellMap {
    /// Compiles a map of at most [`CELL_BUDGET`] cells where the rules allow it.
    ///
    /// `rules`: in the order of [`RuleIdx`](crate::id::RuleIdx). `views`: sets of sites; a cell is split so that all its addresses
    /// have the same nearest site of each set, by their own coordinates (not the cell's).
    pub fn compile(databases: &Databases, rules: &[&Match], views: &[Vec<LatLon>]) -> CellMap {
        CellMap::compile_within(databases, rules, views, CELL_BUDGET)
    }

    /// Compiles a map of at most `budget` cells. When there would be more, first the subdivisions go, then the
    /// sites, and [`CellMap::notes`] says so. Countries and rules never go: fences depend on them.
    pub fn compile_within(databases: &Databases, rules: &[&Match], views: &[Vec<LatLon>], budget: usize) -> CellMap {
        let mut survey = Survey::new(rules);
        let v4 = survey.cut::<u32>(databases);
        let v6 = survey.cut::<u128>(databases);
        let v6 = overlay(&v6, &alias_runs(), |combo, alias| if alias == 0 { combo } else { alias });
        let survey = survey.judge(rules);
        let shares = survey.shares(&v4, &v6);
        let nearest = Nearest::new(&survey.spots, views);
        let (grouping, notes) = group_within(&survey, &shares, &nearest, budget);
        let (cells, places, cell_of_key) = describe(&survey, &shares, &nearest, &grouping, rules);
        let cell_of = |combo: u32| cell_of_key[grouping.key_of_combo[combo as usize] as usize];
        let v4 = rename(&v4, cell_of);
        // Where all of IPv4 is one cell, so is what stands for it.
        let sole = (v4.len() == 1).then(|| v4[0].id);
        let v6 = rename(&v6, |id| if id >= ALIAS { sole.unwrap_or(id) } else { cell_of(id) });
        let mut map = CellMap::new(cells, places, &v4, &v6);
        map.notes = notes;
        map
    }
}

/// Cuts IPv6 by [`ALIASES`]; 0 elsewhere.
fn alias_runs() -> Vec<Run<u128>> {
    let mut sets = Interner::with(vec![vec![]]);
    let prefixes: Vec<_> = ALIASES.iter().map(|&(bits, len)| (bits, len, ALIAS + u32::from(len))).collect();
    let runs = of_prefixes(&prefixes, &mut sets);
    rename(&runs, |set| sets.values[set as usize].first().copied().unwrap_or(0))
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
