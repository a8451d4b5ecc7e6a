//! By which of the last plans clients go: the lag between an answer and the load that it brings.
//!
//! A plan that is published changes nothing until caches ask again. Until then clients go by the plans before it, so a
//! POP's load now is owed to answers of minutes ago. The ring keeps the plans by which anybody may still go (*eras*) and,
//! in four pools, what part of clients goes by each:
//!
//! ```text
//!   caches   answers outstanding, by the second in which they expire: exact where caches keep to the TTL     C
//!   short    connections of 20 s, opened by what caches hold          S′ = (C − S)/20
//!   long     connections of 300 s                                     L′ = (C − L)/300
//!   kept     caches that keep answers longer than they may            K′ = (1 − K)/330 for the newest era
//! ```
//!
//! `m = w·(C, S, L, K)` is what part of a cell's requests goes by an era; the weights `w` are learnt: the loads that POPs
//! report are compared with what each pool alone would bring (exponentiated gradient, Kivinen and Warmuth 1997), so only
//! shifts teach anything and calm forgets nothing.
//!
//! Kept true: the parts of each pool sum to 1. Bounded: `MOST_ERAS` eras, `MOST_BATCHES` batches, `KEPT_MIXES` mixes.

use crate::clock::Now;
use crate::steering::{GroupPlan, Row};
use std::collections::VecDeque;

/// Pools; see the module.
pub const POOLS: usize = 4;
/// Position of the pool of long connections.
const LONG: usize = 2;
/// What each pool carries before anything was learnt: three requests in ten on connections of minutes, one cache in ten
/// that keeps answers too long (Moura et al. 2019 found 8.7 %).
const PRIOR: [f64; POOLS] = [0.35, 0.30, 0.27, 0.08];
/// No pool is thought to carry less.
const LEAST: f64 = 0.02;
/// Seconds that a connection of each kind lives, and that answers are kept where the TTL is not.
const SHORT_SECS: f64 = 20.0;
/// See [`SHORT_SECS`].
const LONG_SECS: f64 = 300.0;
/// See [`SHORT_SECS`].
const KEPT_SECS: f64 = 330.0;
/// Eras that are told apart; where there are more, the one by which the fewest go is counted to the next.
const MOST_ERAS: usize = 32;
/// Plans that follow each other faster than this, in seconds, are one era unless they move [`APART`] of the answers.
const ERA_SECS: f64 = 3.0;
/// See [`ERA_SECS`].
const APART: f64 = 0.1;
/// Parts in which the life of an answer is told apart.
const PARTS: f64 = 64.0;
/// Batches at most: two full lives of answers whose TTL has just changed, and some.
const MOST_BATCHES: usize = 256;
/// An era by which less than this part goes in every pool is over.
const GONE: f64 = 5e-4;
/// Seconds between the mixes that are remembered for samples that arrive late, and how many are.
const MIX_SECS: f64 = 3.0;
/// See [`MIX_SECS`].
const KEPT_MIXES: usize = 40;
/// The longest lag that is told apart, seconds.
const MOST_LAG_SECS: f64 = 7200.0;
/// Step of learning.
const RATE: f64 = 0.05;
/// Pull of the prior, for as much as a load tells the pools apart: an error of a tenth that stays moves a weight by half. What a
/// surge brings looks like connections that do not end, and without the pull weights go from bound to bound.
const PULL: f64 = 0.1;

//----------- Ring -----------------------------------------------------------

/// The ring of one group.
#[derive(Clone, Debug, Default)]
pub struct Ring {
    eras: Vec<Era>,
    batches: Vec<Batch>,
    basis: Option<[f64; POOLS]>,
    mixes: VecDeque<Mix>,
    next: u32,
}

/// A plan by which somebody may still go.
#[derive(Clone, Debug)]
struct Era {
    id: u32,
    began: Now,
    rows: Vec<Row>,
    row_of_cell: Vec<u32>,
    /// Part of each pool that goes by it.
    part: [f64; POOLS],
}

/// Answers of one era that expire together.
#[derive(Clone, Copy, Debug)]
struct Batch {
    /// Monotonic seconds.
    expires: f64,
    era: u32,
    /// Part of all.
    mass: f64,
}

/// What part of each pool went by which era, at one moment.
#[derive(Clone, Debug)]
struct Mix {
    unix: f64,
    parts: Vec<(u32, [f32; POOLS])>,
}

/// Part of each cell's requests at one place, per pool; made by [`Ring::column`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// `pools[k][r]`: what part of cell `r`'s requests of pool `k` goes there.
    pools: [Vec<f32>; POOLS],
    basis: [f64; POOLS],
}

impl Ring {
    /// Lets `dt` seconds pass under the plan that is served.
    pub fn step(&mut self, plan: &GroupPlan, dt: f64, now: Now) {
        let ttl = f64::from(plan.ttl).max(1.0);
        self.open(plan, ttl, now);
        let Some(newest) = self.eras.last().map(|e| e.id) else { return };
        let mut freed = 0.0;
        self.batches.retain(|b| {
            let over = b.expires <= now.mono;
            freed += if over { b.mass } else { 0.0 };
            !over
        });
        if freed > 0.0 {
            let expires = now.mono + ttl;
            match self.batches.iter_mut().rev().find(|b| b.era == newest) {
                Some(last) if (expires - last.expires).abs() < ttl / PARTS => last.mass += freed,
                _ => self.batches.push(Batch { expires, era: newest, mass: freed }),
            }
        }
        let keep = [SHORT_SECS, LONG_SECS, KEPT_SECS].map(|secs| (-dt / secs).exp());
        self.eras.iter_mut().for_each(|era| era.part[0] = 0.0);
        for batch in &self.batches {
            if let Some(era) = self.eras.iter_mut().find(|e| e.id == batch.era) {
                era.part[0] += batch.mass;
            }
        }
        for era in &mut self.eras {
            let target = [era.part[0], era.part[0], f64::from(u8::from(era.id == newest))];
            for ((part, target), keep) in era.part[1..].iter_mut().zip(target).zip(keep) {
                *part = target + keep * (*part - target);
            }
        }
        self.forget();
        if self.mixes.back().is_none_or(|mix| now.unix - mix.unix >= MIX_SECS || now.unix < mix.unix) {
            self.mixes.retain(|mix| mix.unix < now.unix);
            self.mixes.push_back(self.mix(now.unix));
            if self.mixes.len() > KEPT_MIXES {
                self.mixes.pop_front();
            }
        }
    }

    /// Begins an era where the plan differs from the last one's.
    fn open(&mut self, plan: &GroupPlan, ttl: f64, now: Now) {
        let era =
            |id, part| Era { id, began: now, rows: plan.rows.clone(), row_of_cell: plan.row_of_cell.clone(), part };
        let Some(last) = self.eras.last() else {
            self.eras.push(era(self.next, [1.0; POOLS]));
            let n = 16;
            let uniform = |i: usize| now.mono + ttl * (i as f64 + 1.0) / n as f64;
            let id = self.next;
            self.batches = (0..n).map(|i| Batch { expires: uniform(i), era: id, mass: 1.0 / n as f64 }).collect();
            self.next += 1;
            return;
        };
        if last.rows == plan.rows && last.row_of_cell == plan.row_of_cell {
            return;
        }
        if now.since(last.began) < ERA_SECS && last.moved(plan) < APART {
            return;
        }
        self.eras.push(era(self.next, [0.0; POOLS]));
        self.next += 1;
    }

    /// Counts eras by which hardly anybody goes, and those there are too many of, to the one after them.
    fn forget(&mut self) {
        let weight = |era: &Era| era.part.iter().copied().fold(0.0, f64::max);
        loop {
            let old = &self.eras[..self.eras.len() - 1];
            let Some(least) = (0..old.len()).min_by(|a, b| weight(&old[*a]).total_cmp(&weight(&old[*b]))) else {
                return;
            };
            let crowded = self.eras.len() > MOST_ERAS || self.batches.len() > MOST_BATCHES;
            if weight(&self.eras[least]) >= GONE && !crowded {
                return;
            }
            let gone = self.eras.remove(least);
            let heir = &mut self.eras[least];
            heir.part.iter_mut().zip(gone.part).for_each(|(to, part)| *to += part);
            let id = heir.id;
            self.batches.iter_mut().filter(|b| b.era == gone.id).for_each(|b| b.era = id);
            if self.batches.len() > MOST_BATCHES {
                self.thin();
            }
        }
    }

    /// Joins neighbours in time of the same era.
    fn thin(&mut self) {
        self.batches.sort_by(|a, b| a.era.cmp(&b.era).then(a.expires.total_cmp(&b.expires)));
        let mut thin: Vec<Batch> = Vec::with_capacity(self.batches.len());
        for batch in self.batches.drain(..) {
            match thin.last_mut().filter(|last| last.era == batch.era && last.mass + batch.mass < 1.0 / PARTS) {
                Some(last) => last.mass += batch.mass,
                None => thin.push(batch),
            }
        }
        self.batches = thin;
    }

    fn mix(&self, unix: f64) -> Mix {
        Mix { unix, parts: self.eras.iter().map(|e| (e.id, e.part.map(|p| p as f32))).collect() }
    }

    /// Moves what it remembers of the wall clock by so many seconds, since that was stepped by as many.
    pub fn shift(&mut self, secs: f64) {
        self.mixes.iter_mut().for_each(|mix| mix.unix += secs);
    }

    /// The column of some members of the group, as of `unix` seconds or the nearest moment that is remembered.
    pub fn column(&self, unix: f64, is: impl Fn(usize) -> bool) -> Column {
        let n_cells = self.eras.last().map_or(0, |era| era.row_of_cell.len());
        let mut column = Column { pools: std::array::from_fn(|_| vec![0.0; n_cells]), basis: self.basis() };
        let at = self.mixes.iter().rev().find(|mix| mix.unix <= unix).or(self.mixes.front());
        let now;
        let mix = match at {
            Some(mix) => mix,
            None => {
                now = self.mix(unix);
                &now
            }
        };
        let mut known = [0f32; POOLS];
        let parts: Vec<(&Era, [f32; POOLS])> = (mix.parts.iter())
            .filter_map(|(id, part)| self.eras.iter().find(|e| e.id == *id).map(|era| (era, *part)))
            .inspect(|(_, part)| known.iter_mut().zip(part).for_each(|(sum, p)| *sum += p))
            .collect();
        for (era, part) in parts {
            let share: Vec<f32> =
                era.rows.iter().map(|row| row.given().filter(|(m, _)| is(*m)).map(|(_, s)| s).sum()).collect();
            for (k, pool) in column.pools.iter_mut().enumerate().filter(|(k, _)| known[*k] > 0.0) {
                let part = part[k] / known[k];
                if part > 0.0 {
                    pool.iter_mut().zip(&era.row_of_cell).for_each(|(to, row)| *to += part * share[*row as usize]);
                }
            }
        }
        column
    }

    /// What part of requests each pool is thought to carry; they sum to 1.
    pub fn basis(&self) -> [f64; POOLS] {
        self.basis.unwrap_or(PRIOR)
    }

    /// Takes all clients to go by what caches hold.
    pub fn go_by_caches(&mut self) {
        self.basis = Some([1.0, 0.0, 0.0, 0.0]);
    }

    /// Seconds until a part of a group's requests goes by a plan from its first answer on, at a TTL of `ttl` seconds;
    /// `part` in `(0, 1)`. At most two hours.
    pub fn lag(&self, part: f64, ttl: f64) -> f64 {
        let (mut early, mut late) = (0.0, MOST_LAG_SECS);
        while late - early > 0.5 {
            let middle = (early + late) / 2.0;
            *if moved(&self.basis(), ttl.max(1.0), middle) < part { &mut early } else { &mut late } = middle;
        }
        late
    }

    /// Compares a load with what each pool alone would bring (`alone`), all in requests per second.
    pub fn learn(&mut self, alone: [f64; POOLS], load: f64) {
        let basis = self.basis();
        let all: f64 = alone.iter().zip(basis).map(|(a, w)| a * w).sum();
        let scale = all.max(load).max(1.0);
        let error = (load - all) / scale;
        let apart = alone.map(|a| (a - all) / scale);
        let told: f64 = apart.iter().zip(basis).map(|(d, w)| w * d * d).sum();
        let mut next = basis;
        for ((weight, apart), prior) in next.iter_mut().zip(apart).zip(PRIOR) {
            let back = PULL * told * (prior / *weight).ln();
            *weight = (*weight * (RATE * error * apart + back).exp()).max(LEAST);
        }
        let sum: f64 = next.iter().sum();
        self.basis = Some(next.map(|w| w / sum));
    }
}

/// What part of requests goes by a plan `secs` seconds after its first answer: the pools in closed form.
fn moved(basis: &[f64; POOLS], ttl: f64, secs: f64) -> f64 {
    let until = secs.min(ttl);
    let caches = until / ttl;
    // Connections opened by what caches held, that many seconds ago on the average.
    let followed = |life: f64| caches - life / ttl * ((-(secs - until) / life).exp() - (-secs / life).exp());
    let pools = [caches, followed(SHORT_SECS), followed(LONG_SECS), 1.0 - (-secs / KEPT_SECS).exp()];
    basis.iter().zip(pools).map(|(weight, part)| weight * part).sum()
}

impl Era {
    /// The part of answers that a plan gives differently, every cell counted alike.
    fn moved(&self, plan: &GroupPlan) -> f64 {
        let n = self.row_of_cell.len().max(1);
        let mut sum = 0.0;
        for (a, b) in self.row_of_cell.iter().zip(&plan.row_of_cell) {
            let (a, b) = (&self.rows[*a as usize], &plan.rows[*b as usize]);
            sum += a.given().map(|(m, share)| f64::from((share - b.get(m)).max(0.0))).sum::<f64>();
        }
        sum / n as f64
    }
}

impl Column {
    /// What part of a cell's requests goes there. `grown`: part of the cell's demand that is younger than long
    /// connections are, in `[0, 1]`: it opens its own by what caches hold now.
    pub fn at(&self, cell: usize, grown: f64) -> f64 {
        let of = |k: usize| f64::from(self.pools[k][cell]);
        let long = of(LONG) + grown * (of(0) - of(LONG));
        self.basis[0] * of(0) + self.basis[1] * of(1) + self.basis[LONG] * long + self.basis[3] * of(3)
    }

    /// What each pool alone would say of a cell.
    pub fn alone(&self, cell: usize) -> [f64; POOLS] {
        std::array::from_fn(|k| f64::from(self.pools[k][cell]))
    }

    /// Number of cells.
    pub fn n_cells(&self) -> usize {
        self.pools[0].len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::fixture::at;
    use proptest::prelude::*;

    /// A group of one cell and two members, the second of which gets `share`.
    fn plan(share: f32, ttl: u32) -> GroupPlan {
        let (rows, demand) = (vec![Row::new(&[1.0 - share, share])], Default::default());
        let (members, row_of_cell) = (Vec::new(), vec![0]);
        GroupPlan {
            ttl,
            demand,
            members,
            rows,
            row_of_cell,
            blind_rows: Vec::new(),
            blind_row_of_cell: Vec::new(),
            short: 0.0,
            heavy: Default::default(),
        }
    }

    /// Part of requests that go to the second member.
    fn second(ring: &Ring, now: f64) -> f64 {
        ring.column(at(now).unix, |m| m == 1).at(0, 0.0)
    }

    /// All answers move at once at second 100; what the ring says then is what [`moved`] says in closed form.
    #[test]
    fn a_move_arrives_as_the_closed_form_says() {
        let mut ring = Ring::default();
        for s in 0..900 {
            let share = if s < 100 { 0.0 } else { 1.0 };
            ring.step(&plan(share, 60), 1.0, at(f64::from(s)));
            let (says, expected) = (second(&ring, f64::from(s)), moved(&PRIOR, 60.0, f64::from((s - 100).max(0))));
            assert!((says - expected).abs() < 0.05, "{s}: {says} for {expected}");
        }
    }

    /// Half of the load in less than a TTL, nine tenths when connections of minutes have gone.
    #[test]
    fn lags_are_those_of_their_pools() {
        let ring = Ring::default();
        let lags = |ttl| [0.5, 0.9, 0.99].map(|part| ring.lag(part, ttl).round());
        assert_eq!([lags(20.0), lags(60.0)], [[23.0, 392.0, 1100.0], [52.0, 408.0, 1115.0]]);
    }

    proptest! {
        /// Parts of every pool sum to 1 and nothing grows without bound, however plans and TTLs change.
        #[test]
        fn everybody_goes_by_some_plan(
            moves in proptest::collection::vec((0f32..=1.0, 1u32..300, 1f64..40.0), 1..120),
        ) {
            let (mut ring, mut now) = (Ring::default(), 0.0);
            for (share, ttl, dt) in moves {
                now += dt;
                ring.step(&plan(share, ttl), dt, at(now));
                for k in 0..POOLS {
                    let sum: f64 = ring.eras.iter().map(|e| e.part[k]).sum();
                    prop_assert!((sum - 1.0).abs() < 1e-6, "pool {} sums to {}", k, sum);
                }
                prop_assert!(ring.eras.len() <= MOST_ERAS + 1 && ring.batches.len() <= MOST_BATCHES + 1);
                let part = second(&ring, now);
                prop_assert!((-1e-6..=1.0 + 1e-6).contains(&part), "{}", part);
            }
        }
    }
}
