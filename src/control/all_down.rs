//! Where nobody may be given: what `all-down=` puts in the place of an empty row.
//!
//! More often it is telemetry that is wrong about all members of a group than all of them are down, and a wrong
//! answer costs no more than none. So `all` answers as if every member were up, and `last` goes on with what was
//! given before; with `static`, `servfail` and `nodata` the row stays empty and `answer` does the rest. Fences
//! hold throughout: clients kept to members that are down are not sent to others. This is the one place where a
//! member that is Open gets answers without having been taken back ([`limits`](crate::control::limits)).

use crate::control::candidates::{candidates, is_retired, route_idx};
use crate::control::declared::{by_capacity, up_row};
use crate::control::rows::{RowSet, proportional};
use crate::geo::CellMap;
use crate::id::{GroupIdx, MemberIdx};
use crate::policy::{AllDown, Effect, Group, Policies, Route};
use crate::steering::Row;

/// How much of a group has nobody who may be given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Extent {
    /// Nothing of it.
    #[default]
    Nowhere,
    /// Some cells: those in fences around members that are down.
    Fenced,
    /// Every cell.
    Everywhere,
}

/// Whether rows of a group may name members that are down, where no other may be given.
pub fn stands_in(group: &Group) -> bool {
    matches!(group.all_down, AllDown::All | AllDown::Last)
}

/// How much of a group has nobody, when `given[m]` says whether member `m` may be given; `route_of_cell` as in
/// [`Geography::route`](crate::control::allocate::Geography::route).
pub fn extent(group: &Group, given: &[bool], route_of_cell: &[Option<u16>]) -> Extent {
    let none = |route: Option<&Route>| candidates(group, route, given).is_empty();
    let (open, under): (bool, Vec<bool>) = (none(None), group.routes.iter().map(|r| none(Some(r))).collect());
    if !open && !under.contains(&true) {
        return Extent::Nowhere;
    }
    let is_down = |route: &Option<u16>| route.map_or(open, |r| under[usize::from(r)]);
    match route_of_cell.iter().filter(|r| is_down(r)).count() {
        0 => Extent::Nowhere,
        n if n == route_of_cell.len() => Extent::Everywhere,
        _ => Extent::Fenced,
    }
}

/// The members that may stand in under a route: those inside its fence that are not retired. `is_off[m]`: member `m`
/// is drained, or a shadow that nobody has started.
fn inside(group: &Group, route: Option<&Route>, is_off: &[bool]) -> Vec<bool> {
    let fence = match route.map(|r| &r.effect) {
        Some(Effect::Only(set)) => Some(set),
        _ => None,
    };
    let stays = |m: MemberIdx| fence.is_none_or(|set| set.contains(&m)) && !is_off[m.idx()] && !is_retired(group, m);
    (0..group.members.len()).map(|m| stays(m.into())).collect()
}

/// Rows, and which of them each cell has.
pub type Rows<'a> = (&'a [Row], &'a [u32]);

/// What empty rows are filled from; all for the same policies and cells.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// Whether each member may be given at all.
    pub given: &'a [bool],
    /// Whether each member is drained, or a shadow that nobody has started: it does not stand in while another can.
    pub is_off: &'a [bool],
    /// What was served before.
    pub last: Option<Rows<'a>>,
    /// What is declared, every member up.
    pub declared: Option<Rows<'a>>,
}

/// Fills the empty rows of a group.
pub fn fill(policies: &Policies, cells: &CellMap, g: GroupIdx, from: Sources, set: RowSet) -> RowSet {
    if !set.has_gaps() {
        return set;
    }
    let spec = &policies.groups[g.idx()];
    let mut filled = RowSet::with_cells(cells.cells.len());
    for (r, (cell, at)) in cells.cells.iter().zip(&set.row_of_cell).enumerate() {
        let row = &set.rows[*at as usize];
        if !row.is_empty() {
            filled.push(row.clone());
            continue;
        }
        let route = route_idx(policies, g, cell).map(|i| &spec.routes[i]);
        let some = candidates(spec, route, from.given);
        let kept = || {
            let (rows, row_of_cell) = from.last.filter(|_| spec.all_down == AllDown::Last)?;
            let row = &rows[row_of_cell[r] as usize];
            let inside = inside(spec, route, from.is_off);
            let stays = |(m, inside): (usize, &bool)| if *inside { f64::from(row.get(m)) } else { 0.0 };
            let weights: Vec<f64> = inside.iter().enumerate().map(stays).collect();
            Some(proportional(&weights)).filter(|row| !row.is_empty())
        };
        let declared = || {
            let row = from.declared.map(|(rows, row_of_cell)| rows[row_of_cell[r] as usize].clone());
            let row = row.filter(|row| !row.is_empty()).unwrap_or_else(|| up_row(policies, g, cell, route));
            if !row.given().any(|(m, _)| from.is_off[m]) {
                return row;
            }
            let inside = inside(spec, route, from.is_off);
            let weights: Vec<f64> =
                (0..).zip(&inside).map(|(m, of)| if *of { row.get(m).into() } else { 0.0 }).collect();
            let others = candidates(spec, route, &inside);
            match proportional(&weights) {
                kept if !kept.is_empty() => kept,
                _ if !others.is_empty() => by_capacity(policies, g, &others),
                _ => row,
            }
        };
        filled.push(match () {
            () if !some.is_empty() => by_capacity(policies, g, &some),
            () if stands_in(spec) => kept().unwrap_or_else(declared),
            () => row.clone(),
        });
    }
    filled
}
