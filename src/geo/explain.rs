//! What is known of one address, for people: by the functions that queries use.

use crate::geo::cells::{CellMap, PlaceShare};
use crate::geo::database::{Databases, plain};
use crate::geo::place::Place;
use crate::id::CellIdx;
use crate::units::LatLon;
use std::fmt;
use std::net::IpAddr;

//----------- Explained ------------------------------------------------------

/// Everything about one address.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Explained {
    /// The address asked for.
    pub address: IpAddr,
    /// The IPv4 address it stands for, if it is IPv6 and does.
    pub stands_for: Option<IpAddr>,
    /// Name of its cell.
    pub cell: String,
    /// Position of the cell in this map.
    #[serde(skip)]
    pub cell_idx: CellIdx,
    /// Scope prefix length that answers for it have.
    pub scope: u8,
    /// The prefix of that length.
    pub network: String,
    /// Where the cell is on average: latitude, longitude.
    pub cell_at: Option<[f64; 2]>,
    /// The cell's share of the map's addresses.
    pub cell_weight: f64,
    /// The cell's heaviest cities.
    pub cell_places: Vec<PlaceShare>,
    /// The rules that match it, as positions in the order the map was compiled with.
    pub rules: Vec<u32>,
    /// What is known of the address itself.
    pub facts: Vec<Fact>,
}

/// One fact and who said so.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Fact {
    /// `continent`, `country`, `subdivision`, `city`, `coordinates`, `asn` or `organization`.
    pub name: &'static str,
    /// As text.
    pub value: String,
    /// The file's name; `table of countries` where no file knew.
    pub source: String,
}

/// Explains where an address is found and why.
pub fn explain_address(databases: &Databases, cells: &CellMap, address: IpAddr) -> Explained {
    let located = cells.locate(address);
    let cell = &cells.cells[located.cell.idx()];
    let degrees = |at: LatLon| [at.lat, at.lon];
    Explained {
        address,
        stands_for: Some(plain(address)).filter(|&v4| v4 != address),
        cell: cell.name.clone(),
        cell_idx: located.cell,
        scope: located.scope,
        network: network(address, located.scope),
        cell_at: cell.at.map(degrees),
        cell_weight: cell.weight,
        cell_places: cells.places[located.cell.idx()].clone(),
        rules: cell.rules.iter().map(|rule| rule.0).collect(),
        facts: facts(databases, address),
    }
}

fn network(addr: IpAddr, len: u8) -> String {
    ipnet::IpNet::new(addr, len).map_or_else(|_| addr.to_string(), |net| net.trunc().to_string())
}

/// Every field of the address's place, with the file that gave it: the first whose absence would change it.
fn facts(databases: &Databases, address: IpAddr) -> Vec<Fact> {
    let said: Vec<(&str, &Place)> =
        databases.files.iter().filter_map(|file| Some((file.name.as_str(), file.place(address)?))).collect();
    let mut before = Place::default();
    let mut facts = Vec::new();
    let steps = said.iter().map(|&(name, place)| (name, Some(place))).chain([("table of countries", None)]);
    for (source, place) in steps {
        let after = match place {
            Some(place) => before.clone().or(place),
            None => before.clone().completed(),
        };
        for ((name, old), (_, new)) in fields(&before).into_iter().zip(fields(&after)) {
            if let (None, Some(value)) = (old, new) {
                facts.push(Fact { name, value, source: source.to_string() });
            }
        }
        before = after;
    }
    let order = |fact: &Fact| fields(&before).iter().position(|(name, _)| *name == fact.name);
    facts.sort_by_key(order);
    facts
}

fn fields(place: &Place) -> [(&'static str, Option<String>); 7] {
    let Place { continent, country, subdivision, city, at, asn, org } = place;
    [
        ("continent", continent.clone()),
        ("country", country.clone()),
        ("subdivision", subdivision.clone()),
        ("city", city.clone()),
        ("coordinates", at.map(|at| format!("{}, {}", at.lat, at.lon))),
        ("asn", asn.map(|asn| format!("AS{asn}"))),
        ("organization", org.clone()),
    ]
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &str| writeln!(f, "{name:<13} {value}");
        row("address", &self.address.to_string())?;
        if let Some(v4) = self.stands_for {
            row("stands for", &v4.to_string())?;
        }
        row("cell", &self.cell)?;
        row("scope", &format!("/{}, all of {} is in this cell", self.scope, self.network))?;
        for Fact { name, value, source } in &self.facts {
            row(name, &format!("{value:<24} ({source})"))?;
        }
        if self.facts.is_empty() {
            row("place", "no file knows this address")?;
        }
        if let Some([lat, lon]) = self.cell_at {
            row("cell centre", &format!("{lat}, {lon}"))?;
        }
        row("cell weight", &format!("{:.3} % of the addresses known", self.cell_weight * 100.0))?;
        if !self.cell_places.is_empty() {
            let cities = self.cell_places.iter().map(|p| format!("{} {:.0} %", p.city, p.share * 100.0));
            row("cell cities", &cities.collect::<Vec<_>>().join(", "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of `floodway geoip` sees place, cell, scope and source, for plain and for embedded addresses.
    #[test]
    fn the_embedded_database_explains_itself() {
        let databases = Databases::embedded();
        let cells = CellMap::compile(&databases, &[], &[]);
        let check = |addr: &str, cell: &str, facts: &[(&str, &str, &str)]| {
            let told = explain_address(&databases, &cells, addr.parse().unwrap());
            assert_eq!(told.cell, cell, "{told}");
            for &(name, value, source) in facts {
                let has = told.facts.iter().any(|f| (f.name, &*f.value, &*f.source) == (name, value, source));
                assert!(has, "{name} {value} {source}: {told}");
            }
            assert_eq!(told.to_string().lines().filter(|line| line.starts_with("scope")).count(), 1);
        };
        check("203.0.113.5", "JP", &[("country", "JP", "embedded"), ("continent", "AS", "embedded")]);
        check("::ffff:203.0.113.5", "JP", &[("city", "Tokyo", "embedded")]);
        check("8.8.8.8", "unknown", &[]);
    }
}
