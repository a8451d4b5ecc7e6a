//! Which combinations make one cell, what a cell is called, and what is known of it.

use crate::geo::cells::{Cell, PlaceShare};
use crate::geo::compile::SPLIT_KM;
use crate::geo::name;
use crate::geo::nearest::{Mean, Nearest};
use crate::geo::rule::Match;
use crate::geo::runs::Interner;
use crate::geo::survey::Survey;
use crate::id::RuleIdx;
use crate::units::LatLon;
use std::collections::{HashMap, HashSet};

/// What makes a cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    country: Option<[u8; 2]>,
    subdivision: u32,
    rules: u32,
    near: u32,
}

pub struct Grouping {
    /// Key 0 is `unknown`.
    pub keys: Interner<Key>,
    pub key_of_combo: Vec<u32>,
}

pub fn group_within(survey: &Survey, shares: &[f64], nearest: &Nearest, budget: usize) -> (Grouping, Vec<String>) {
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

/// Names and sums up the cells; returns them sorted, their cities, and the cell of each key.
pub fn describe(
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
        // Sums of parts may be more than the whole by a rounding.
        weight: weights[key].min(1.0),
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
