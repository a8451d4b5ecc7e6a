//! What occurs in the address space: spots, the sets of rules' prefixes over them, and what share of the addresses each
//! combination of the two has.

use crate::geo::cells::ALIAS;
use crate::geo::compile::{UNKNOWN_SHARE, V6_SHARE};
use crate::geo::country;
use crate::geo::database::Databases;
use crate::geo::place::Place;
use crate::geo::rule::Match;
use crate::geo::runs::{Address, Interner, Run, of_prefixes, overlay, rename, sizes};
use crate::geo::tree::embedded_v4;
use crate::units::LatLon;
use ipnet::IpNet;
use std::collections::{HashMap, HashSet};

/// The part of a place that can matter to steering; texts are ids, 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spot {
    pub continent: Option<[u8; 2]>,
    pub country: Option<[u8; 2]>,
    pub subdivision: u32,
    pub city: u32,
    /// Bits of latitude and longitude.
    pub at: Option<(u64, u64)>,
    /// 0 unless some rule asks for it.
    pub asn: u32,
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

    pub fn at(&self) -> Option<LatLon> {
        self.at.map(|(lat, lon)| LatLon { lat: f64::from_bits(lat), lon: f64::from_bits(lon) })
    }
}

/// What occurs in the address space.
pub struct Survey {
    pub spots: Interner<Spot>,
    pub texts: Interner<String>,
    /// Sets of rules whose prefixes cover a stretch.
    net_sets: Interner<Vec<u32>>,
    /// (spot, net set).
    pub combos: Interner<(u32, u32)>,
    asns_asked: HashSet<u32>,
    nets4: Vec<(u128, u8, u32)>,
    nets6: Vec<(u128, u8, u32)>,
    /// Sets of rules that match; set 0 is that of an address of which nothing is known.
    pub rule_sets: Interner<Vec<u32>>,
    /// The rule set of each combination, after [`Survey::judge`].
    pub rules_of_combo: Vec<u32>,
}

impl Survey {
    pub fn new(rules: &[&Match]) -> Survey {
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
    pub fn cut<A: Address>(&mut self, databases: &Databases) -> Vec<Run<A>> {
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
    pub fn judge(mut self, rules: &[&Match]) -> Survey {
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

    pub fn spot_of(&self, combo: u32) -> &Spot {
        &self.spots.values[self.combos.values[combo as usize].0 as usize]
    }

    /// The share of addresses of each combination; see the head of [`crate::geo::compile`]. Sums to 1, and what no
    /// file knows and no rule matches has [`UNKNOWN_SHARE`].
    pub fn shares(&self, v4: &[Run<u32>], v6: &[Run<u128>]) -> Vec<f64> {
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
