//! All that queries may see.

use crate::exchange::Tally;
use crate::geo::CellMap;
use crate::policy::Policies;
use crate::steering::{Plan, Table};
use crate::zone::ZoneSet;
use arc_swap::ArcSwap;
use std::sync::Arc;

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
    /// The plan, for explain.
    pub plan: Arc<Plan>,
    /// Its compiled form, for picks.
    pub table: Arc<Table>,
    /// Counters of this layout of groups, members and cells.
    pub tally: Arc<Tally>,
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

    /// Replaces the snapshot for all queries to come.
    pub fn publish(&self, next: Snapshot) {
        self.current.store(Arc::new(next));
    }
}
