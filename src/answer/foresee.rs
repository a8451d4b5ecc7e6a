//! What queries will need from memory, asked for before the first of them is answered.
//!
//! A batch of queries reads all over zones and cell map, and a line that is in no cache takes longer to come than the rest of
//! an answer. Where one is, is known from another: a slot of a table, a first level. So the batch is gone through twice: for
//! the first kind, and, when that has come, for the second. Nothing of an answer depends on it.

use crate::answer::Scratch;
use crate::exchange::Snapshot;
use crate::wire::edns::OPTION_ECS;
use crate::wire::opt::{OPT_LEN, OPTION_LEN};
use crate::wire::request::HEADER;
use crate::zone::Zone;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Queries that are looked at together: enough that what is asked for has come when its turn is there again.
const TOGETHER: usize = 32;

/// What is known of a query at a glance.
#[derive(Clone, Copy, Default)]
struct Glance<'z> {
    /// Its zone, and the hash of its name.
    node: Option<(&'z Zone, u64)>,
    /// Its client subnet.
    addr: Option<IpAddr>,
}

/// Asks for what the answers to `queries` will probably be made of. Whatever is out of the ordinary asks for nothing.
#[inline]
pub fn foresee<'q>(mut queries: impl Iterator<Item = &'q [u8]>, snapshot: &Snapshot, scratch: &mut Scratch) {
    let mut glances = [Glance::default(); TOGETHER];
    loop {
        let mut n = 0;
        for (glance, query) in glances.iter_mut().zip(&mut queries) {
            *glance = Glance::at(query, snapshot, scratch);
            n += 1;
        }
        for glance in &glances[..n] {
            glance.node.inspect(|(zone, hash)| zone.foresee_node(*hash));
            glance.addr.inspect(|addr| snapshot.cells.foresee_runs(*addr));
        }
        if n < TOGETHER {
            return;
        }
    }
}

impl<'z> Glance<'z> {
    /// Looks at a query, and asks for what says where its node and its client's place are.
    #[inline(always)]
    fn at(query: &[u8], snapshot: &'z Snapshot, scratch: &mut Scratch) -> Glance<'z> {
        let Some(len) = query.get(HEADER..).and_then(|wire| scratch.name.parse(wire)) else { return Glance::default() };
        let hash = scratch.name.hash_from(0);
        let node = snapshot.zones.find(&scratch.name).map(|(zone, _)| (zone, hash));
        let addr = query.get(HEADER + len + 4 + OPT_LEN..).and_then(subnet);
        node.inspect(|(zone, hash)| zone.foresee_slot(*hash));
        addr.inspect(|addr| snapshot.cells.foresee(*addr));
        Glance { node, addr }
    }
}

/// The address in a client subnet option at the head of `options`, as far as it goes.
#[inline(always)]
fn subnet(options: &[u8]) -> Option<IpAddr> {
    let (&[c0, c1, _, _, 0, family, source, _], address) = options.split_first_chunk::<{ OPTION_LEN + 4 }>()? else {
        return None;
    };
    let octets = |n: usize| address.get(..usize::from(source).div_ceil(8).min(n));
    match (u16::from_be_bytes([c0, c1]), family) {
        (OPTION_ECS, 1) => Some(Ipv4Addr::from(padded(octets(4)?)).into()),
        (OPTION_ECS, 2) => Some(Ipv6Addr::from(padded(octets(16)?)).into()),
        _ => None,
    }
}

/// Octets with zeros behind them.
#[inline(always)]
fn padded<const N: usize>(octets: &[u8]) -> [u8; N] {
    let mut all = [0; N];
    all[..octets.len()].copy_from_slice(octets);
    all
}
