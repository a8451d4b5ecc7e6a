//! Caches between clients and the server: each holds one answer until it lets go of it.

use crate::answer::steer::sticky_key;
use crate::exchange::{Carried, TallySum};
use crate::id::{CellIdx, GroupIdx, MemberIdx};
use crate::policy::Pick;
use crate::sim::pops::Outage;
use crate::sim::rng::Rng;
use crate::sim::scenario::Resolvers;
use crate::steering::{Table, slot_of};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};

/// Keys under which a giant with client subnets holds answers.
const SUBNETS: usize = 64;
/// A cache is asked at least so often, in seconds: an idle one is no one's.
const MOST_IDLE_SECS: f64 = 900.0;
/// Requests behind one lookup by clients: a page, its parts, the next page.
const REQUESTS_PER_CLIENT: f64 = 20.0;
/// Seconds until a cache that serves stale tries again (RFC 8767 section 5), and one that has nothing (our choice).
const AGAIN_SECS: [f64; 2] = [30.0, 5.0];
/// Seconds between looks whether a resolver that is out is back.
const OUT_SECS: f64 = 1.0;
/// No run begins earlier than this before 0, in seconds.
const EARLIEST_SECS: f64 = 100.0 * 86_400.0;
/// Step of the sequence of `pick=spread`; as in `answer::steer`.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

#[derive(Clone, Debug)]
struct Cache {
    /// Position of its cell in `cells`.
    at: u32,
    /// Part of the cell's demand behind it.
    weight: f64,
    addr: Ipv4Addr,
    /// It keeps answers at least so long; 0 where it keeps to the TTL.
    floor: f64,
    /// It goes on with what it has while nobody answers.
    stale: bool,
    /// It is a part of the largest resolver of its cell.
    largest: bool,
    member: Option<MemberIdx>,
}

/// The caches that hold answers of one group.
#[derive(Clone, Debug)]
pub struct Caches {
    group: GroupIdx,
    cells: Vec<CellIdx>,
    caches: Vec<Cache>,
    /// When each is to ask again, in milliseconds.
    due: BinaryHeap<Reverse<(u64, u32)>>,
    /// `mass[c * (M + 1) + m]`: part of the demand of `cells[c]` behind caches that hold member `m`; the last is of
    /// those with no answer.
    mass: Vec<f64>,
    n_members: usize,
    spread: u64,
    random: bool,
    /// The largest resolvers are out.
    out: bool,
    rng: Rng,
}

impl Caches {
    /// Caches of a group. `share[c]`: usual part of `cells[c]` in its demand. `random`: answers are drawn for each
    /// query by the shares alone, as most servers do, for the ablation of the sticky pick.
    pub fn new(
        group: GroupIdx,
        cells: Vec<CellIdx>,
        share: &[f64],
        n_members: usize,
        spec: &Resolvers,
        random: bool,
        seed: u64,
    ) -> Caches {
        let mut rng = Rng::new(seed, &format!("caches {}", group.idx()));
        let mut stale = Rng::new(seed, &format!("stale {}", group.idx()));
        let mut caches = Vec::new();
        for (at, share) in share.iter().enumerate() {
            let n = ((share * spec.caches as f64).round() as usize).max(2);
            let sizes: Vec<f64> = (1..=n).map(|rank| (rank as f64).powf(-spec.zipf)).collect();
            let sum: f64 = sizes.iter().sum();
            let giants = if spec.giants > 0 { spec.giant_share } else { 0.0 };
            let mut add = |weight: f64, obeys: bool, largest: bool, rng: &mut Rng| {
                let floor = if obeys { 0.0 } else { rng.between(spec.floor[0].0, spec.floor[1].0) };
                // Any /24 will do: where it is was decided by the cell it is put in.
                let addr = Ipv4Addr::from_bits((rng.bits() as u32) & 0xffff_ff00);
                let stale = stale.chance(spec.stale);
                caches.push(Cache { at: at as u32, weight, addr, floor, stale, largest, member: None });
            };
            for (rank, size) in sizes.into_iter().enumerate() {
                let obeys = rng.chance(spec.obey);
                add((1.0 - giants) * size / sum, obeys, rank == 0 && spec.giants == 0, &mut rng);
            }
            for giant in 0..spec.giants {
                // The first has half, the second a third: as public resolvers are used (our choice).
                let part = (spec.giants - giant) as f64 / (spec.giants * (spec.giants + 1)) as f64 * 2.0;
                let keys = if spec.ecs { SUBNETS } else { 1 };
                (0..keys).for_each(|_| add(giants * part / keys as f64, true, giant == 0, &mut rng));
            }
        }
        let mass = vec![0.0; cells.len() * (n_members + 1)];
        let spread = rng.bits();
        Caches { group, cells, caches, due: BinaryHeap::new(), mass, n_members, spread, random, out: false, rng }
    }

    /// Number of caches.
    pub fn n(&self) -> usize {
        self.caches.len()
    }

    /// Fills all caches from a table at `t`, with what is left of their answers' lives uniform.
    pub fn fill(&mut self, table: &Table, t: f64) {
        for i in 0..self.caches.len() {
            let (member, _) = self.pick(i, table);
            let cache = &mut self.caches[i];
            cache.member = member;
            self.mass[slot(cache, self.n_members)] += cache.weight;
            let life = f64::from(table.ttl(self.group)).max(cache.floor).max(1.0);
            let due = t + self.rng.between(0.0, life);
            self.due.push(Reverse((millis(due), i as u32)));
        }
    }

    /// Lets every cache ask whose answer has expired by `t`; counts what the server is asked. `demand[c]`: requests per
    /// second from `cells[c]`.
    pub fn step(&mut self, table: &Table, demand: &[f64], outage: Outage, t: f64, tally: &mut TallySum) {
        if outage.resolver != self.out {
            self.out = outage.resolver;
            let sign = if self.out { -1.0 } else { 1.0 };
            for cache in self.caches.iter().filter(|c| c.largest) {
                self.mass[slot(cache, self.n_members)] += sign * cache.weight;
            }
        }
        let now = millis(t);
        while let Some(Reverse((due, i))) = self.due.peek().copied().filter(|Reverse((due, _))| *due <= now) {
            self.due.pop();
            if self.out && self.caches[i as usize].largest {
                self.due.push(Reverse((due + (OUT_SECS * 1e3) as u64, i)));
                continue;
            }
            if outage.unreachable {
                self.fail(i, due);
                continue;
            }
            let (member, key) = self.pick(i as usize, table);
            let cache = &mut self.caches[i as usize];
            let (before, weight) = (slot(cache, self.n_members), cache.weight);
            cache.member = member;
            let after = slot(cache, self.n_members);
            self.mass[before] -= weight;
            self.mass[after] += weight;
            let (g, r) = (self.group.idx(), self.cells[cache.at as usize].idx());
            tally.queries[g][r] += 1;
            if !self.random && table.pick_mode(self.group) == Pick::Sticky {
                let cell = self.cells[cache.at as usize];
                tally.carried.push(Carried { group: self.group, cell, slot: slot_of(key), n: 1 });
            }
            match member {
                Some(m) => tally.answered[g][m.idx()] += 1,
                None => tally.all_down[g] += 1,
            }
            let life = f64::from(table.ttl(self.group)).max(cache.floor).max(1.0);
            let rate = (demand[cache.at as usize] * weight / REQUESTS_PER_CLIENT).max(1e-9);
            let idle = (self.rng.exponential() / rate).min(MOST_IDLE_SECS);
            self.due.push(Reverse((due + ((life + idle) * 1e3) as u64, i)));
        }
    }

    /// Nobody answers a cache whose answer expired at `due` milliseconds.
    fn fail(&mut self, i: u32, due: u64) {
        let cache = &mut self.caches[i as usize];
        let secs = AGAIN_SECS[usize::from(!cache.stale)];
        if !cache.stale && cache.member.is_some() {
            self.mass[slot(cache, self.n_members)] -= cache.weight;
            cache.member = None;
            self.mass[slot(cache, self.n_members)] += cache.weight;
        }
        self.due.push(Reverse((due + (secs * 1e3) as u64, i)));
    }

    /// The member that a cache gets, and the key that chose it.
    fn pick(&mut self, i: usize, table: &Table) -> (Option<MemberIdx>, u64) {
        let cache = &self.caches[i];
        let key = match table.pick_mode(self.group) {
            _ if self.random => self.rng.bits(),
            Pick::Sticky => sticky_key(IpAddr::V4(cache.addr), table.sticky_seed(self.group)),
            Pick::Spread => {
                self.spread = self.spread.wrapping_add(GOLDEN);
                self.spread
            }
        };
        (table.pick(self.group, self.cells[cache.at as usize], key).map(|picked| picked.member), key)
    }

    /// What part of a cell's demand is behind caches that hold each member; the last entry: no answer.
    pub fn mass(&self, at: usize) -> &[f64] {
        &self.mass[at * (self.n_members + 1)..][..self.n_members + 1]
    }

    /// The cells, by position.
    pub fn cells(&self) -> &[CellIdx] {
        &self.cells
    }
}

fn slot(cache: &Cache, n_members: usize) -> usize {
    cache.at as usize * (n_members + 1) + cache.member.map_or(n_members, MemberIdx::idx)
}

fn millis(secs: f64) -> u64 {
    // Runs begin before 0, by days at most.
    ((secs + EARLIEST_SECS) * 1e3).max(0.0) as u64
}
