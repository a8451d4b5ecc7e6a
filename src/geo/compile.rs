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

use crate::geo::cells::{ALIAS, Cell, CellMap, PlaceShare};
use crate::geo::database::Databases;
use crate::geo::name;
use crate::geo::place::Place;
use crate::geo::rule::Match;
use crate::geo::runs::{Address, Interner, Run, of_prefixes, overlay, rename, sizes};
use crate::geo::tree::{ALIASES, embedded_v4};
use crate::geo::{country, runs};
use crate::id::RuleIdx;
use crate::units::LatLon;
use ipnet::IpNet;
use std::collections::{HashMap, HashSet};

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
    /// `rules`: in the order of [`RuleIdx`]. `views`: sets of sites; a cell is split so that all its addresses
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
    runs::rename(&runs, |set| sets.values[set as usize].first().copied().unwrap_or(0))
}

//----------- Survey ---------------------------------------------------------

/// The part of a place that can matter to steering; texts are ids, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Spot {
    continent: Option<[u8; 2]>,
    country: Option<[u8; 2]>,
    subdivision: u32,
    city: u32,
    /// Bits of latitude and longitude.
    at: Option<(u64, u64)>,
    /// 0 unless some rule asks for it.
    asn: u32,
}

impl Spot {
    /// As [`Place::or`].
    fn or(self, other: Spot) -> Spot {
        let keep_subdivision = self.subdivision != 0 || (self.country.is_some() && self.country != other.country);
        Spot {
            continent: self.continent.or(other.continent),
            country: self.country.or(other.country),
            subdivision: if keep_subdivision { self.subdivision } else { other.subdivision },
            city: if self.city != 0 { self.city } else { other.city },
            at: self.at.or(other.at),
            asn: if self.asn != 0 { self.asn } else { other.asn },
        }
    }

    /// As [`Place::completed`].
    fn completed(mut self) -> Spot {
        if let Some(known) = self.country.and_then(country::country) {
            self.continent.get_or_insert(known.continent);
            self.at.get_or_insert((known.at.lat.to_bits(), known.at.lon.to_bits()));
        }
        self
    }

    fn is_placed(&self) -> bool {
        self.country.is_some() || self.at.is_some()
    }

    fn at(&self) -> Option<LatLon> {
        self.at.map(|(lat, lon)| LatLon { lat: f64::from_bits(lat), lon: f64::from_bits(lon) })
    }
}

/// What occurs in the address space.
struct Survey {
    spots: Interner<Spot>,
    texts: Interner<String>,
    /// Sets of rules whose prefixes cover a stretch.
    net_sets: Interner<Vec<u32>>,
    /// (spot, net set).
    combos: Interner<(u32, u32)>,
    asns_asked: HashSet<u32>,
    nets4: Vec<(u128, u8, u32)>,
    nets6: Vec<(u128, u8, u32)>,
    /// Sets of rules that match; set 0 is that of an address of which nothing is known.
    rule_sets: Interner<Vec<u32>>,
    /// The rule set of each combination, after [`Survey::judge`].
    rules_of_combo: Vec<u32>,
}

impl Survey {
    fn new(rules: &[&Match]) -> Survey {
        let (mut nets4, mut nets6) = (Vec::new(), Vec::new());
        for (idx, rule) in (0..).zip(rules) {
            for net in &rule.nets {
                match net {
                    IpNet::V4(net) => nets4.push((u128::from(net.network().to_bits()), net.prefix_len(), idx)),
                    IpNet::V6(net) => match embedded_v4(net.network().to_bits()) {
                        Some((v4, ahead)) if net.prefix_len() >= ahead => {
                            nets4.push((u128::from(v4), (net.prefix_len() - ahead).min(32), idx));
                        }
                        _ => nets6.push((net.network().to_bits(), net.prefix_len(), idx)),
                    },
                }
            }
        }
        let anywhere = |rule: &Match| rule.nets.is_empty() && matches_place(rule, &Spot::default(), "");
        let of_unknown = (0..).zip(rules).filter(|(_, rule)| anywhere(rule)).map(|(i, _)| i).collect();
        Survey {
            spots: Interner::with(vec![Spot::default()]),
            texts: Interner::with(vec![String::new()]),
            net_sets: Interner::with(vec![vec![]]),
            combos: Interner::with(vec![]),
            asns_asked: rules.iter().flat_map(|rule| rule.asns.iter().copied()).collect(),
            nets4,
            nets6,
            rule_sets: Interner::with(vec![of_unknown]),
            rules_of_combo: Vec::new(),
        }
    }

    /// Cuts one family into combinations.
    fn cut<A: Address>(&mut self, databases: &Databases) -> Vec<Run<A>> {
        let lowest = A::from_bits(0);
        let mut spots = vec![Run { start: lowest, id: 0 }];
        for file in &databases.files {
            let spot_of_place: Vec<u32> = file.places.iter().map(|place| self.spot(place)).collect();
            let said = file.runs::<A>();
            let said = rename(&said, |id| if id == 0 { 0 } else { spot_of_place[id as usize - 1] });
            let mut known = HashMap::new();
            let all = &mut self.spots;
            spots = overlay(&spots, &said, |a, b| match (a, b) {
                (a, 0) => a,
                (0, b) => b,
                pair => *known.entry(pair).or_insert_with(|| all.id(all.values[a as usize].or(all.values[b as usize]))),
            });
        }
        let nets = if A::BITS == 32 { &self.nets4 } else { &self.nets6 };
        let nets = of_prefixes::<A>(nets, &mut self.net_sets);
        let combos = &mut self.combos;
        overlay(&spots, &nets, |spot, set| combos.id((spot, set)))
    }

    fn spot(&mut self, place: &Place) -> u32 {
        let mut text = |text: &Option<String>| text.as_ref().map_or(0, |text| self.texts.id(text.clone()));
        let code = |text: &Option<String>| text.as_deref().and_then(country::two_letters);
        let spot = Spot {
            continent: code(&place.continent),
            country: code(&place.country),
            subdivision: text(&place.subdivision),
            city: text(&place.city),
            at: place.at.map(|at| (at.lat.to_bits(), at.lon.to_bits())),
            asn: place.asn.filter(|asn| self.asns_asked.contains(asn)).unwrap_or(0),
        };
        self.spots.id(spot)
    }

    /// Completes the spots and finds the rules of every combination.
    fn judge(mut self, rules: &[&Match]) -> Survey {
        for spot in &mut self.spots.values {
            *spot = spot.completed();
        }
        let mut by_class: HashMap<_, Vec<u32>> = HashMap::new();
        for &(spot, set) in &self.combos.values {
            let spot = &self.spots.values[spot as usize];
            let class = (spot.continent, spot.country, spot.subdivision, spot.asn);
            let subdivision = &self.texts.values[spot.subdivision as usize];
            // All conditions but the prefixes.
            let candidates = by_class.entry(class).or_insert_with(|| {
                (0..).zip(rules).filter(|(_, rule)| matches_place(rule, spot, subdivision)).map(|(i, _)| i).collect()
            });
            let covered = &self.net_sets.values[set as usize];
            let matched = candidates
                .iter()
                .copied()
                .filter(|&i| rules[i as usize].nets.is_empty() || covered.binary_search(&i).is_ok())
                .collect();
            self.rules_of_combo.push(self.rule_sets.id(matched));
        }
        self
    }

    fn spot_of(&self, combo: u32) -> &Spot {
        &self.spots.values[self.combos.values[combo as usize].0 as usize]
    }

    /// The share of addresses of each combination; see the head of this file. Sums to 1, and what no
    /// file knows and no rule matches has [`UNKNOWN_SHARE`].
    fn shares(&self, v4: &[Run<u32>], v6: &[Run<u128>]) -> Vec<f64> {
        let n = self.combos.values.len();
        let (mut w4, mut w6) = (vec![0.0; n], vec![0.0; n]);
        sizes(v4).for_each(|(combo, size)| w4[combo as usize] += size);
        let cells6 = sizes(v6).filter(|&(combo, _)| combo < ALIAS);
        cells6.for_each(|(combo, size)| w6[combo as usize] += size * 2f64.powi(-80));
        let placed: Vec<bool> = (0..n as u32).map(|c| self.spot_of(c).is_placed()).collect();
        // A place may be known of no address at all, where all its prefixes are IPv4 in IPv6.
        let any_placed = (0..n).any(|c| placed[c] && w4[c] + w6[c] > 0.0);
        let total = |w: &[f64]| w.iter().zip(&placed).filter(|&(_, &p)| p || !any_placed).map(|(w, _)| w).sum::<f64>();
        let (t4, t6) = (total(&w4), total(&w6));
        let (f4, f6) = match (t4 > 0.0, t6 > 0.0) {
            (true, true) => ((1.0 - V6_SHARE) / t4, V6_SHARE / t6),
            (true, false) => (1.0 / t4, 0.0),
            (false, true) => (0.0, 1.0 / t6),
            (false, false) => (0.0, 0.0),
        };
        let mut shares: Vec<f64> = w4.iter().zip(&w6).map(|(a, b)| a * f4 + b * f6).collect();
        let is_unknown: Vec<bool> = (0..n).map(|c| !placed[c] && self.rules_of_combo[c] == 0).collect();
        if any_placed {
            let of = |unknown| (0..n).filter(|&c| is_unknown[c] == unknown).map(|c| shares[c]).sum::<f64>();
            let (known, unknown) = (of(false), of(true));
            // What is placed has a weight, so that `known` is above 0; `unknown` may be 0 times any number of spots.
            let (f_known, f_unknown) = match unknown > 0.0 {
                true => ((1.0 - UNKNOWN_SHARE) / known, UNKNOWN_SHARE / unknown),
                false => (1.0 / known, 0.0),
            };
            for c in 0..n {
                shares[c] *= if is_unknown[c] { f_unknown } else { f_known };
            }
        }
        shares
    }
}

/// Whether a rule's conditions other than its prefixes hold.
fn matches_place(rule: &Match, spot: &Spot, subdivision: &str) -> bool {
    let Match { countries, subdivisions, continents, nets: _, asns } = rule;
    let same = |code: Option<[u8; 2]>, text: &str| code.is_some_and(|code| text.as_bytes() == code);
    let whole = |text: &String| {
        text.split_once('-').is_some_and(|(c, s)| same(spot.country, c) && !s.is_empty() && s == subdivision)
    };
    (countries.is_empty() || countries.iter().any(|text| same(spot.country, text)))
        && (continents.is_empty() || continents.iter().any(|text| same(spot.continent, text)))
        && (subdivisions.is_empty() || subdivisions.iter().any(whole))
        && (asns.is_empty() || (spot.asn != 0 && asns.contains(&spot.asn)))
}

//----------- Nearest --------------------------------------------------------

/// The nearest sites of every spot.
struct Nearest {
    sites: Vec<LatLon>,
    /// For each spot, its tuple.
    of_spot: Vec<u32>,
    /// Positions in `sites`, one per view; tuple 0 is empty: no coordinates.
    tuples: Interner<Vec<u32>>,
}

impl Nearest {
    fn new(spots: &Interner<Spot>, views: &[Vec<LatLon>]) -> Nearest {
        // Sites and views are sorted by what they are, so that names and ties do not hang on their order.
        let order = |a: &LatLon, b: &LatLon| a.lat.total_cmp(&b.lat).then(a.lon.total_cmp(&b.lon));
        let mut sites: Vec<LatLon> = views.iter().flatten().copied().collect();
        sites.sort_by(order);
        sites.dedup();
        let mut views: Vec<Vec<u32>> = views
            .iter()
            .map(|view| {
                let mut idx: Vec<u32> =
                    view.iter().map(|at| sites.partition_point(|s| order(s, at).is_lt()) as u32).collect();
                idx.sort_unstable();
                idx.dedup();
                idx
            })
            .filter(|view| !view.is_empty())
            .collect();
        views.sort_unstable();
        views.dedup();
        let vectors: Vec<[f64; 3]> = sites.iter().map(|&at| on_sphere(at)).collect();
        let mut tuples = Interner::with(vec![vec![]]);
        let of_spot = spots
            .values
            .iter()
            .map(|spot| match spot.at() {
                None => 0,
                Some(at) => {
                    let v = on_sphere(at);
                    let closeness: Vec<f64> = vectors.iter().map(|s| dot(*s, v)).collect();
                    let best = |view: &Vec<u32>| {
                        let better = |a: u32, b: u32| if closeness[b as usize] > closeness[a as usize] { b } else { a };
                        view.iter().copied().reduce(better).unwrap_or(0)
                    };
                    tuples.id(views.iter().map(best).collect())
                }
            })
            .collect();
        Nearest { sites, of_spot, tuples }
    }
}

/// A point as a vector of length 1.
fn on_sphere(at: LatLon) -> [f64; 3] {
    let (lat, lon) = (at.lat.to_radians(), at.lon.to_radians());
    [lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()]
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// Weighted mean of points on the sphere: the direction of the sum of their vectors.
#[derive(Clone, Copy, Default)]
struct Mean {
    sum: [f64; 3],
    weight: f64,
}

impl Mean {
    fn add(&mut self, at: LatLon, weight: f64) {
        let v = on_sphere(at);
        (0..3).for_each(|i| self.sum[i] += weight * v[i]);
        self.weight += weight;
    }

    fn at(&self) -> Option<LatLon> {
        let [x, y, z] = self.sum;
        let degrees = |radians: f64| (radians.to_degrees() * 1e4).round() / 1e4;
        (dot(self.sum, self.sum) > 0.0).then(|| LatLon { lat: degrees(z.atan2(x.hypot(y))), lon: degrees(y.atan2(x)) })
    }

    /// Root mean square distance from the mean, in kilometres, along the chord: with mean vector length r,
    /// the mean of |v − m|² over unit vectors is 2 (1 − r).
    fn spread_km(&self) -> f64 {
        let r = if self.weight > 0.0 { dot(self.sum, self.sum).sqrt() / self.weight } else { 1.0 };
        6371.0 * (2.0 * (1.0 - r).max(0.0)).sqrt()
    }
}

//----------- Grouping -------------------------------------------------------

/// What makes a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Key {
    country: Option<[u8; 2]>,
    subdivision: u32,
    rules: u32,
    near: u32,
}

struct Grouping {
    /// Key 0 is `unknown`.
    keys: Interner<Key>,
    key_of_combo: Vec<u32>,
}

fn group_within(survey: &Survey, shares: &[f64], nearest: &Nearest, budget: usize) -> (Grouping, Vec<String>) {
    let large = large_countries(survey, shares);
    let group = |subdivisions: bool, sites: bool| {
        let mut keys = Interner::with(vec![Key::default()]);
        let key_of_combo = (0..survey.combos.values.len() as u32).map(|combo| {
            let spot = survey.spot_of(combo);
            let split = subdivisions && spot.country.is_some_and(|c| large.contains(&c));
            let near = nearest.of_spot[survey.combos.values[combo as usize].0 as usize];
            keys.id(Key {
                country: spot.country,
                subdivision: if split { spot.subdivision } else { 0 },
                rules: survey.rules_of_combo[combo as usize],
                near: if sites { near } else { 0 },
            })
        });
        let key_of_combo = key_of_combo.collect();
        Grouping { keys, key_of_combo }
    };
    let (mut notes, full) = (Vec::new(), group(true, true));
    let mut wanted = full.keys.values.len();
    let mut note = |wanted: usize, what: &str| {
        notes.push(format!("the map would have {wanted} cells, over its budget of {budget}: {what}"));
    };
    if wanted <= budget {
        return (full, notes);
    }
    note(wanted, "countries are not split by subdivision");
    let coarser = group(false, true);
    wanted = coarser.keys.values.len();
    if wanted <= budget {
        return (coarser, notes);
    }
    note(wanted, "cells are not split by nearest site, so clients at a cell's edge may be led to the second nearest");
    let coarsest = group(false, false);
    wanted = coarsest.keys.values.len();
    if wanted > budget {
        note(wanted, "the rules need them all, so the budget is exceeded; fewer or wider rules would mend it");
    }
    (coarsest, notes)
}

/// Countries to split by subdivision; see [`SPLIT_KM`].
fn large_countries(survey: &Survey, shares: &[f64]) -> HashSet<[u8; 2]> {
    let mut means: HashMap<[u8; 2], Mean> = HashMap::new();
    for (combo, &share) in (0..).zip(shares) {
        let spot = survey.spot_of(combo);
        if let (Some(country), Some(at)) = (spot.country, spot.at()) {
            means.entry(country).or_default().add(at, share);
        }
    }
    means.into_iter().filter(|(_, mean)| mean.spread_km() > SPLIT_KM).map(|(country, _)| country).collect()
}

//----------- Cells ----------------------------------------------------------

/// Names and sums up the cells; returns them sorted, their cities, and the cell of each key.
fn describe(
    survey: &Survey,
    shares: &[f64],
    nearest: &Nearest,
    grouping: &Grouping,
    rules: &[&Match],
) -> (Vec<Cell>, Vec<Vec<PlaceShare>>, Vec<u32>) {
    let keys = &grouping.keys.values;
    let names = name_keys(survey, nearest, keys, rules);
    let mut order: Vec<usize> = (1..keys.len()).collect();
    order.sort_unstable_by(|&a, &b| names[a].cmp(&names[b]));
    order.insert(0, 0);
    let mut means = vec![Mean::default(); keys.len()];
    let mut weights = vec![0.0; keys.len()];
    let mut cities = vec![HashMap::<u32, f64>::new(); keys.len()];
    for ((combo, &share), &key) in (0..).zip(shares).zip(&grouping.key_of_combo) {
        let spot = survey.spot_of(combo);
        weights[key as usize] += share;
        if let Some(at) = spot.at() {
            means[key as usize].add(at, share);
        }
        if spot.city != 0 {
            *cities[key as usize].entry(spot.city).or_default() += share;
        }
    }
    let cell = |&key: &usize| Cell {
        name: names[key].clone(),
        country: keys[key].country,
        at: means[key].at(),
        weight: weights[key],
        rules: survey.rule_sets.values[keys[key].rules as usize].iter().map(|&i| RuleIdx(i)).collect(),
    };
    let places = |&key: &usize| {
        let mut heaviest: Vec<(u32, f64)> = cities[key].iter().map(|(&city, &share)| (city, share)).collect();
        let city_name = |city: u32| &survey.texts.values[city as usize];
        heaviest.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| city_name(a.0).cmp(city_name(b.0))));
        heaviest.truncate(5);
        let share_of_cell = |share: f64| if weights[key] > 0.0 { share / weights[key] } else { 0.0 };
        heaviest.iter().map(|&(c, s)| PlaceShare { city: city_name(c).clone(), share: share_of_cell(s) }).collect()
    };
    let mut cell_of_key = vec![0; keys.len()];
    order.iter().enumerate().for_each(|(cell, &key)| cell_of_key[key] = cell as u32);
    (order.iter().map(cell).collect(), order.iter().map(places).collect(), cell_of_key)
}

fn name_keys(survey: &Survey, nearest: &Nearest, keys: &[Key], rules: &[&Match]) -> Vec<String> {
    let mut siblings: HashMap<Key, Vec<&[u32]>> = HashMap::new();
    let tuple = |key: &Key| nearest.tuples.values[key.near as usize].as_slice();
    for key in keys {
        siblings.entry(Key { near: 0, ..*key }).or_default().push(tuple(key));
    }
    let mut bases = HashMap::new();
    let mut names: Vec<String> = keys
        .iter()
        .map(|key| {
            let family = Key { near: 0, ..*key };
            let base = bases.entry(family).or_insert_with(|| {
                let subdivision =
                    Some(survey.texts.values[key.subdivision as usize].as_str()).filter(|s| !s.is_empty());
                name::base(key.country, subdivision, &survey.rule_sets.values[key.rules as usize], rules)
            });
            let differs = |view: usize| siblings[&family].iter().any(|t| t.get(view) != tuple(key).get(view));
            let telling = tuple(key).iter().enumerate().filter(|&(view, _)| differs(view));
            let sites: Vec<LatLon> = telling.map(|(_, &site)| nearest.sites[site as usize]).collect();
            format!("{base}{}", name::near(&sites))
        })
        .collect();
    // Two different contents under one text (subdivisions that differ in punctuation only) are told apart by all
    // there is to them.
    let mut counts: HashMap<String, usize> = HashMap::new();
    names.iter().for_each(|name| *counts.entry(name.clone()).or_default() += 1);
    for (name, key) in names.iter_mut().zip(keys) {
        if counts[name] > 1 {
            let sites: Vec<LatLon> = tuple(key).iter().map(|&site| nearest.sites[site as usize]).collect();
            let subdivision = &survey.texts.values[key.subdivision as usize];
            let matched = survey.rule_sets.values[key.rules as usize].iter().map(|&i| rules[i as usize]);
            let all = format!("{subdivision:?} {sites:?} {:?}", matched.collect::<Vec<_>>());
            name.push('~');
            name.push_str(&name::digest(&all));
        }
    }
    names
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
