//! All that queries may see.

use crate::exchange::{House, Pairs, Tally};
use crate::geo::CellMap;
use crate::policy::{Pick, Policies};
use crate::steering::{Plan, Table};
use crate::zone::ZoneSet;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

//----------- Snapshot -------------------------------------------------------

/// One consistent state of the data plane. Its parts are shared between generations: a new plan
/// replaces `plan` and `table` alone, a reload replaces everything.
#[derive(Debug)]
pub struct Snapshot {
    /// Counts the publications of this process, from 1.
    pub generation: u64,
    /// The zones.
    pub zones: Arc<ZoneSet>,
    /// The policies.
    pub policies: Arc<Policies>,
    /// The map from addresses to cells.
    pub cells: Arc<CellMap>,
    /// Per group and member, the answer, pre-composed from the zones: `answers[group][member]`.
    pub answers: Arc<Vec<Vec<MemberAnswer>>>,
    /// Per group, whether every member has addresses of both families and no alias: such a group has an answer wherever
    /// a member may be given.
    pub always_addresses: Arc<[bool]>,
    /// The plan, for explain.
    pub plan: Arc<Plan>,
    /// Its compiled form, for picks.
    pub table: Arc<Table>,
    /// Counters of this layout of groups, members and cells.
    pub tally: Arc<Tally>,
    /// The pairing memory of `pick=spread`, of this layout of groups; without entries if no group spreads.
    pub pairs: Arc<Pairs>,
    /// What the server says of itself, and whom it answers.
    pub house: Arc<House>,
    /// Unix seconds at which the last load was refused; 0 if it was not. One number for all snapshots of a process.
    pub refused_at: Arc<AtomicU64>,
}

impl Snapshot {
    /// The first snapshot of a process: generation 1, a tally for `n_threads` threads that answer.
    ///
    /// The house is the default one, see [`Snapshot::with_house`]. `plan` and `table` run parallel to `policies` and `cells`;
    /// `answers` is what [`crate::exchange::compose_answers`] makes of `policies` and `zones`.
    pub fn first(
        n_threads: usize,
        zones: Arc<ZoneSet>,
        policies: Arc<Policies>,
        cells: Arc<CellMap>,
        answers: Arc<Vec<Vec<MemberAnswer>>>,
        plan: Arc<Plan>,
        table: Arc<Table>,
    ) -> Snapshot {
        let n_members: Vec<usize> = policies.groups.iter().map(|g| g.members.len()).collect();
        let tally = Arc::new(Tally::new(n_threads, &n_members, cells.cells.len()));
        let spreads = policies.groups.iter().any(|g| g.pick == Pick::Spread);
        let pairs = Arc::new(if spreads { Pairs::new() } else { Pairs::default() });
        let has_all = |m: &MemberAnswer| m.cname.is_empty() && !m.a.is_empty() && !m.aaaa.is_empty();
        let always_addresses = answers.iter().map(|members| members.iter().all(has_all)).collect();
        let (house, refused_at) = (Arc::default(), Arc::default());
        Snapshot {
            generation: 1,
            zones,
            policies,
            cells,
            answers,
            always_addresses,
            plan,
            table,
            tally,
            pairs,
            house,
            refused_at,
        }
    }

    /// The snapshot after this one when everything was loaded anew: the next generation, an empty
    /// tally and pairing memory, the house as before, all else as [`Snapshot::first`].
    pub fn reloaded(
        &self,
        zones: Arc<ZoneSet>,
        policies: Arc<Policies>,
        cells: Arc<CellMap>,
        answers: Arc<Vec<Vec<MemberAnswer>>>,
        plan: Arc<Plan>,
        table: Arc<Table>,
    ) -> Snapshot {
        let first = Snapshot::first(self.tally.n_threads(), zones, policies, cells, answers, plan, table);
        let (house, refused_at) = (self.house.clone(), self.refused_at.clone());
        Snapshot { generation: self.generation + 1, house, refused_at, ..first }
    }

    /// This snapshot under the rules of another house.
    pub fn with_house(self, house: Arc<House>) -> Snapshot {
        Snapshot { house, ..self }
    }

    /// The snapshot after this one when only the plan changed: the next generation; zones, policies,
    /// cells, answers, tally, pairing memory and house are shared with this one.
    pub fn with_plan(&self, plan: Arc<Plan>, table: Arc<Table>) -> Snapshot {
        Snapshot {
            generation: self.generation + 1,
            zones: self.zones.clone(),
            policies: self.policies.clone(),
            cells: self.cells.clone(),
            answers: self.answers.clone(),
            always_addresses: self.always_addresses.clone(),
            plan,
            table,
            tally: self.tally.clone(),
            pairs: self.pairs.clone(),
            house: self.house.clone(),
            refused_at: self.refused_at.clone(),
        }
    }

    /// The snapshot after this one when only zones changed: the next generation; all but zones and answers is shared
    /// with this one.
    pub fn with_zones(&self, zones: Arc<ZoneSet>, answers: Arc<Vec<Vec<MemberAnswer>>>) -> Snapshot {
        Snapshot { zones, answers, ..self.with_plan(self.plan.clone(), self.table.clone()) }
    }

    /// Whether a plan made for `other` fits this snapshot: both come from one load.
    pub fn same_load(&self, other: &Snapshot) -> bool {
        Arc::ptr_eq(&self.tally, &other.tally)
    }
}

/// What a member answers with, composed when the zones were loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MemberAnswer {
    /// The A records as they stand in an answer, 16 octets each: owner `c00c`, TTL 0 to be patched.
    pub a: Box<[u8]>,
    /// The AAAA records likewise, 28 octets each.
    pub aaaa: Box<[u8]>,
    /// External members: the one CNAME record, uncompressed target.
    pub cname: Box<[u8]>,
}

//----------- Exchange -------------------------------------------------------

/// The pointer to the current snapshot.
#[derive(Debug)]
pub struct Exchange {
    current: ArcSwap<Snapshot>,
}

impl Exchange {
    /// Starts with a first snapshot.
    pub fn new(first: Snapshot) -> Exchange {
        Exchange { current: ArcSwap::from_pointee(first) }
    }

    /// The snapshot to answer from; cheap, no lock.
    pub fn load(&self) -> arc_swap::Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// The snapshot, to keep.
    pub fn load_full(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Replaces the snapshot for all queries to come, and returns the one that was.
    ///
    /// Threads may hold the old one for the rest of their batch. Whoever drops it last frees it: put what is returned
    /// into [`Retired`], so that this is not a thread that answers queries.
    pub fn publish(&self, next: Snapshot) -> Arc<Snapshot> {
        self.current.swap(Arc::new(next))
    }

    /// Publishes what `make` makes of the current snapshot, all of it at once: no query sees new zones without the new
    /// house that guards them, nor the other way round. Returns the snapshot that was.
    ///
    /// `make` is called again if somebody else has published in between. It must give the next generation, as
    /// [`Snapshot::reloaded`], [`Snapshot::with_zones`] and [`Snapshot::with_plan`] do. See [`Exchange::publish`].
    pub fn publish_next(&self, make: impl Fn(&Snapshot) -> Snapshot) -> Arc<Snapshot> {
        self.current.rcu(|current| make(current))
    }

    /// Publishes a plan that was made for `made_for`, unless a reload has come between; then the plan
    /// would not fit, nothing changes, and `None` is returned. See [`Exchange::publish`] for the rest.
    pub fn publish_plan(&self, made_for: &Snapshot, plan: Arc<Plan>, table: Arc<Table>) -> Option<Arc<Snapshot>> {
        let mut fits = false;
        let before = self.current.rcu(|current| {
            fits = current.same_load(made_for);
            match fits {
                true => Arc::new(current.with_plan(plan.clone(), table.clone())),
                false => current.clone(),
            }
        });
        fits.then_some(before)
    }
}

//----------- Retired --------------------------------------------------------

/// Snapshots that queries to come do not see, held by the one who published: to free one takes a while, and no thread
/// that answers shall be the last to let go of it.
#[derive(Debug, Default)]
pub struct Retired {
    snapshots: Vec<Arc<Snapshot>>,
}

impl Retired {
    /// Takes in what [`Exchange::publish`] and its like return.
    pub fn put(&mut self, before: Arc<Snapshot>) {
        self.snapshots.push(before);
    }

    /// Frees those that nobody else holds any more; how many are left.
    pub fn free(&mut self) -> usize {
        // Out of the exchange nobody takes one up again, so that a count of 1 stays.
        self.snapshots.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.snapshots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Snapshot {
        Snapshot::first(
            2,
            Arc::default(),
            Arc::default(),
            Arc::new(CellMap::nowhere()),
            Arc::default(),
            Arc::default(),
            Arc::default(),
        )
    }

    /// A thread in the middle of a batch holds what was published before: it is freed here, later.
    #[test]
    fn a_snapshot_is_freed_by_its_publisher() {
        let exchange = Exchange::new(empty());
        let mut retired = Retired::default();
        let batch = exchange.load();
        let table = Arc::downgrade(&batch.table);
        for _ in 0..2 {
            let base = exchange.load_full();
            retired.put(exchange.publish_plan(&base, Arc::default(), Arc::default()).unwrap());
        }
        assert_eq!(retired.free(), 1);
        drop(batch);
        assert!(table.upgrade().is_some());
        assert_eq!(retired.free(), 0);
        assert!(table.upgrade().is_none());
    }

    /// Whatever a reload changes comes in one generation, on top of a plan that was published while it loaded.
    #[test]
    fn zones_and_their_house_come_together() {
        let exchange = Exchange::new(empty());
        let begun = exchange.load_full();
        let house = Arc::new(House { udp_size: 999, ..House::default() });
        let zones: Arc<ZoneSet> = Arc::default();
        exchange.publish_plan(&begun, Arc::default(), Arc::default());
        let before =
            exchange.publish_next(|now| now.with_zones(zones.clone(), Arc::default()).with_house(house.clone()));
        let after = exchange.load_full();
        assert_eq!((before.generation, after.generation), (2, 3));
        assert_eq!((before.house.udp_size, after.house.udp_size), (1232, 999));
        assert!(Arc::ptr_eq(&after.zones, &zones) && !Arc::ptr_eq(&before.zones, &zones));
        assert!(after.same_load(&begun) && Arc::ptr_eq(&after.plan, &before.plan));
    }

    /// A plan that was made before a reload must not be served after it: its vectors would not fit.
    #[test]
    fn a_plan_of_an_older_load_is_refused() {
        let exchange = Exchange::new(empty());
        let before = exchange.load_full();
        assert!(exchange.publish_plan(&before, Arc::default(), Arc::default()).is_some());
        let planned = exchange.load_full();
        assert_eq!(planned.generation, 2);
        assert!(planned.same_load(&before) && Arc::ptr_eq(&planned.zones, &before.zones));

        let cells = Arc::new(CellMap::nowhere());
        let reloaded =
            planned.reloaded(Arc::default(), Arc::default(), cells, Arc::default(), Arc::default(), Arc::default());
        let old = exchange.publish(reloaded);
        assert!(Arc::ptr_eq(&old, &planned));
        assert!(exchange.publish_plan(&before, Arc::default(), Arc::default()).is_none());
        assert_eq!(exchange.load().generation, 3);
        assert_eq!(exchange.load().tally.n_threads(), 2);
    }
}
