//! Rows of shares: normalised, capped, and stored once each.

use crate::steering::Row;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A row in proportion to `weights`; infinite weights, where there are any, share everything among
/// themselves. All 0 if no weight is above 0.
pub fn proportional(weights: &[f64]) -> Row {
    let infinite = weights.iter().any(|w| w.is_infinite() && *w > 0.0);
    let plain = |w: f64| match () {
        () if infinite => f64::from(u8::from(w.is_infinite())),
        () if w.is_finite() && w > 0.0 => w,
        () => 0.0,
    };
    let sum: f64 = weights.iter().map(|w| plain(*w)).sum();
    let share = |w: f64| if sum > 0.0 { plain(w) / sum } else { 0.0 };
    Row::of(weights.len(), (0..).zip(weights).map(|(m, w)| (m, share(*w) as f32)))
}

/// Distinct rows and, for each cell in turn, which of them it has.
#[derive(Clone, Debug, Default)]
pub struct RowSet {
    /// The distinct rows, in the order they were met.
    pub rows: Vec<Row>,
    /// For each cell that was pushed, its position in `rows`.
    pub row_of_cell: Vec<u32>,
    known: HashMap<Bits, u32, BuildHasherDefault<Mixed>>,
}

/// Multiplies and turns, as rustc's tables do: rows are our own, so nobody can choose them to collide.
#[derive(Clone, Copy, Debug, Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u64(u64::from(*b)));
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0.rotate_left(5) ^ n).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        // The table takes its place from the low bits, where a product has mixed least.
        self.0 ^ self.0 >> 32
    }
}

/// A row, equal to another if it is to the bit.
#[derive(Clone, Debug)]
struct Bits(Row);

impl Bits {
    fn bits(&self) -> impl Iterator<Item = (usize, u32)> + '_ {
        self.0.given().map(|(m, share)| (m, share.to_bits()))
    }
}

impl PartialEq for Bits {
    fn eq(&self, other: &Bits) -> bool {
        self.0.n_members() == other.0.n_members() && self.bits().eq(other.bits())
    }
}

impl Eq for Bits {}

impl Hash for Bits {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bits().for_each(|(m, share)| state.write_u64((m as u64) << 32 | u64::from(share)));
    }
}

impl RowSet {
    /// The rows of a plan; equal ones among them stay apart.
    pub fn of(rows: Vec<Row>, row_of_cell: Vec<u32>) -> RowSet {
        RowSet { rows, row_of_cell, known: HashMap::default() }
    }

    /// An empty set with room for `n_cells`.
    pub fn with_cells(n_cells: usize) -> RowSet {
        RowSet { row_of_cell: Vec::with_capacity(n_cells), ..RowSet::default() }
    }

    /// Whether some row is all 0.
    pub fn has_gaps(&self) -> bool {
        self.rows.iter().any(Row::is_empty)
    }

    /// Gives the next cell a row, equal rows stored once, and says where it stands in `rows`. Equal means equal to the bit.
    pub fn push(&mut self, row: Row) -> u32 {
        let next = self.rows.len() as u32;
        let at = *self.known.entry(Bits(row.clone())).or_insert(next);
        if at == next {
            self.rows.push(row);
        }
        self.row_of_cell.push(at);
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_weights() {
        let check = |weights: &[f64], shares: &[f32]| assert_eq!(proportional(weights).to_vec(), shares, "{weights:?}");
        check(&[1.0, 3.0], &[0.25, 0.75]);
        check(&[0.0, 0.0], &[0.0, 0.0]);
        check(&[f64::NAN, 2.0, -1.0], &[0.0, 1.0, 0.0]);
        check(&[f64::INFINITY, 2.0, f64::INFINITY], &[0.5, 0.0, 0.5]);
        check(&[], &[]);
    }

    #[test]
    fn equal_rows_are_stored_once() {
        let mut set = RowSet::with_cells(3);
        for weights in [[1.0, 1.0], [1.0, 0.0], [2.0, 2.0]] {
            set.push(proportional(&weights));
        }
        assert_eq!(set.rows.len(), 2);
        assert_eq!(set.row_of_cell, [0, 1, 0]);
    }
}
