//! Cells: the units of geography that steering distinguishes, and the map from addresses to them.

use crate::geo::lookup::{V4, V6};
use crate::geo::runs::Run;
use crate::id::{CellIdx, RuleIdx};
use crate::units::LatLon;
use std::collections::HashMap;
use std::net::IpAddr;

//----------- Cell -----------------------------------------------------------

/// A set of clients that steering treats alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Unique, and the same across reloads of the same data: `JP`, `US-CA`, `US-CA@33.94,-118.41` (its part
    /// nearest to that site), `DE+203.0.113.0/24` (its part that a rule with that prefix matches), `unknown`.
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

/// One of the places that make up a cell, for people.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct PlaceShare {
    /// The city.
    pub city: String,
    /// Its share of the cell's addresses, in `[0, 1]`.
    pub share: f64,
}

//----------- CellMap --------------------------------------------------------

/// The compiled map. Total: every address has a cell; cell 0 is `unknown`.
#[derive(Debug)]
pub struct CellMap {
    /// The cells; index 0 is `unknown`, the others are sorted by name.
    pub cells: Vec<Cell>,
    /// The heaviest named cities of each cell, heaviest first, at most five.
    pub places: Vec<Vec<PlaceShare>>,
    /// What was given up to stay within the budget of cells, in words for the operator; mostly empty.
    pub notes: Vec<String>,
    v4: V4,
    v6: V6,
    by_name: HashMap<String, CellIdx>,
}

/// Ids in the IPv6 runs from here on are no cells: the address stands for an IPv4 address, which begins
/// after as many bits as the id exceeds this.
pub(crate) const ALIAS: u32 = 1 << 31;

impl CellMap {
    /// A map with the one cell `unknown`, for tests and for policies without geography.
    pub fn nowhere() -> CellMap {
        CellMap::from_cells(vec![Cell {
            name: "unknown".into(),
            country: None,
            at: None,
            weight: 1.0,
            rules: Vec::new(),
        }])
    }

    /// A map with these cells that finds every address in the first: for tests of what reads cells only.
    pub fn from_cells(cells: Vec<Cell>) -> CellMap {
        let places = vec![Vec::new(); cells.len()];
        CellMap::new(cells, places, &[Run { start: 0, id: 0 }], &[Run { start: 0, id: 0 }])
    }

    /// Puts a map together from runs whose ids are cells, or [`ALIAS`] and up in IPv6.
    pub(crate) fn new(cells: Vec<Cell>, places: Vec<Vec<PlaceShare>>, v4: &[Run<u32>], v6: &[Run<u128>]) -> CellMap {
        let by_name = cells.iter().enumerate().map(|(i, cell)| (cell.name.clone(), CellIdx::from(i))).collect();
        CellMap { cells, places, notes: Vec::new(), v4: V4::new(v4), v6: V6::new(v6), by_name }
    }

    /// Finds the cell of an address and the prefix length for which that holds.
    ///
    /// An IPv6 address that stands for an IPv4 address (mapped, 6to4: `tree::ALIASES`) has that
    /// one's cell, and a scope that counts the bits in front of it.
    #[inline]
    pub fn locate(&self, addr: IpAddr) -> Located {
        let (id, scope) = match addr {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                match self.v6.find(bits) {
                    (id, _) if id >= ALIAS => {
                        let ahead = id - ALIAS;
                        let (id, scope) = self.v4.find((bits >> (96 - ahead)) as u32);
                        (id, scope + ahead as u8)
                    }
                    found => found,
                }
            }
        };
        Located { cell: CellIdx(id), scope }
    }

    /// Asks for what [`CellMap::locate`] will read first.
    #[inline(always)]
    pub fn foresee(&self, addr: IpAddr) {
        match addr {
            IpAddr::V4(v4) => self.v4.foresee(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.foresee(v6.to_bits()),
        }
    }

    /// Asks for what [`CellMap::locate`] will read next, by what it reads first.
    #[inline(always)]
    pub fn foresee_runs(&self, addr: IpAddr) {
        match addr {
            IpAddr::V4(v4) => self.v4.foresee_block(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.foresee_runs(v6.to_bits()),
        }
    }

    /// The cell of that name.
    pub fn find(&self, name: &str) -> Option<CellIdx> {
        self.by_name.get(name).copied()
    }

    /// Runs in the lookup structure: IPv4, IPv6. For metrics and benches.
    pub fn n_runs(&self) -> (usize, usize) {
        (self.v4.n_runs(), self.v6.n_runs())
    }
}
