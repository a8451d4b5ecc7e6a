//! Cells: the units of geography that steering distinguishes, and the map from addresses to them.

use crate::id::{CellIdx, RuleIdx};
use crate::units::LatLon;
use std::net::IpAddr;

//----------- Cell -----------------------------------------------------------

/// A set of clients that steering treats alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Unique and stable across reloads of the same data: `JP`, `US-CA`, `DE+rule…`, `unknown`.
    pub name: String,
    /// ISO 3166-1 alpha-2, upper case; `None` where no database knows.
    pub country: Option<[u8; 2]>,
    /// Where its addresses are on average; `None` where no database knows.
    pub at: Option<LatLon>,
    /// Share of the addresses of the map that lie here, in `[0, 1]`: the prior of its demand.
    pub weight: f64,
    /// The rules that match these clients, ascending.
    pub rules: Vec<RuleIdx>,
}

/// Where a client was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// The cell.
    pub cell: CellIdx,
    /// Prefix length, in the address's own family, within which every address has this cell (RFC 7871
    /// section 7.2.1); as short as that is true.
    pub scope: u8,
}

//----------- CellMap --------------------------------------------------------

/// The compiled map. Total: every address has a cell; cell 0 is `unknown`.
#[derive(Debug)]
pub struct CellMap {
    /// The cells; index 0 is `unknown`.
    pub cells: Vec<Cell>,
}

impl CellMap {
    /// A map with these cells that finds every address in the first: for tests of what reads cells only.
    pub fn from_cells(cells: Vec<Cell>) -> CellMap {
        CellMap { cells }
    }

    /// A map with the one cell `unknown`, for tests and for policies without geography.
    pub fn nowhere() -> CellMap {
        CellMap {
            cells: vec![Cell { name: "unknown".into(), country: None, at: None, weight: 1.0, rules: Vec::new() }],
        }
    }

    /// Finds the cell of an address and the prefix length for which that holds.
    pub fn locate(&self, _addr: IpAddr) -> Located {
        Located { cell: CellIdx(0), scope: 0 }
    }
}
