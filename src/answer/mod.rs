//! Query → response: one pure function, [`answer`].
//!
//! Parse → find the zone → look up → (steered names) locate the client, pick a member → compose, scope,
//! truncate → count. Everything it needs is in the [`Snapshot`] and in [`Scratch`]; it reads no clock, takes no
//! lock, allocates nothing, and no message makes it panic.

mod additional;
pub mod explain;
mod resolve;
pub mod steer;

pub use crate::exchange::{Silence, Transport};
pub use crate::wire::{Ede, Rcode};
pub use explain::{Explanation, explain};

use crate::exchange::{House, Snapshot};
use crate::id::GroupIdx;
use crate::wire::reply::Reply;
use crate::wire::request::{NoReply, Request};
use crate::wire::{NameBuf, rtype};
use resolve::Way;
use std::net::IpAddr;

/// The least room for a reply: what every client takes over UDP (RFC 1035 section 2.3.4).
const MIN_REPLY: usize = 512;

//----------- Client, Scratch ------------------------------------------------

/// Who sent the packet.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// Source address of the packet; IPv4-mapped addresses are taken as IPv4.
    pub addr: IpAddr,
    /// How it came.
    pub transport: Transport,
}

/// What one thread reuses from query to query.
pub struct Scratch {
    /// The name at hand: the question's, then the target of each alias.
    pub(crate) name: NameBuf,
    /// The host at hand, of those that the answer leads to.
    pub(crate) host: NameBuf,
    /// The thread's number, for the tally; `None` counts nothing and leaves nothing for other queries to find.
    pub(crate) thread: Option<usize>,
    /// Where the low-discrepancy sequence of `pick=spread` stands.
    pub(crate) spread: u64,
}

impl Scratch {
    /// For thread `thread`, its place in the tally. `seed` sets where the sequence of `pick=spread` starts.
    pub fn new(thread: usize, seed: u64) -> Scratch {
        let spread = seed ^ (thread as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
        Scratch { name: NameBuf::default(), host: NameBuf::default(), thread: Some(thread), spread }
    }

    /// For answers that nobody gets, as in explain: they are not counted.
    pub fn uncounted() -> Scratch {
        Scratch { name: NameBuf::default(), host: NameBuf::default(), thread: None, spread: 0 }
    }
}

//----------- Outcome --------------------------------------------------------

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Octets of the reply; 0 if there is none.
    pub len: usize,
    /// The reply's RCODE; `NoError` if there is none.
    pub rcode: Rcode,
    /// Whether TC is set.
    pub truncated: bool,
    /// The group that answered, for steered answers; the last one, if a chain of aliases met several.
    pub steered: Option<GroupIdx>,
    /// The scope prefix length of the reply's client subnet option; 0 if it has none.
    pub scope: u8,
    /// Why there is no reply.
    pub silence: Option<Silence>,
    /// Why the RCODE is what it is, where there is more to say (RFC 8914); whether or not the client was told.
    pub ede: Option<Ede>,
    /// Whether the query brought a server cookie of ours (RFC 7873 section 5.2.5): its source address is no forgery,
    /// and no rate limit need hold it back.
    pub proven: bool,
    /// What was answered, for limits on alike replies to one client: equal for replies that a flood of made-up names
    /// would bring forth. Name and type where they have data of their own; the zone for denials and wildcards; the
    /// cut for referrals; 0 where no zone was asked. The RCODE is not in it.
    pub key: u64,
}

impl Outcome {
    fn silent(why: NoReply) -> Outcome {
        let silence = match why {
            NoReply::Short => Silence::Short,
            NoReply::Response => Silence::Response,
        };
        Outcome {
            len: 0,
            rcode: Rcode::NoError,
            truncated: false,
            steered: None,
            scope: 0,
            silence: Some(silence),
            ede: None,
            proven: false,
            key: 0,
        }
    }
}

//----------- answer ---------------------------------------------------------

/// Answers one query: `out[..len]` is the reply, unless [`Outcome::silence`] says why there is none.
///
/// `now`: seconds since 1970, which may wrap around (RFC 9018 section 4.3).
///
/// # Panics
/// If `out` is shorter than 512 octets. It should hold 65,535 for streams and the house's `udp_size` for datagrams;
/// the reply is truncated to it.
#[inline]
pub fn answer(
    query: &[u8],
    client: Client,
    snapshot: &Snapshot,
    _now: u32,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Outcome {
    assert!(out.len() >= MIN_REPLY, "the caller gives room for the least reply");
    let request = match Request::parse(query, &mut scratch.name) {
        Ok(request) => request,
        Err(why) => return Outcome::silent(why),
    };
    let house = &*snapshot.house;
    let limit = reply_limit(client.transport, &request, house);
    let mut reply = Reply::new(query, &request, limit, out);
    let mut way = Way::new(query, &request, client, snapshot, scratch);
    let refused = request.fault.map(|rcode| (rcode, None)).or_else(|| refusal(&request));
    let (rcode, ede) = refused.unwrap_or_else(|| way.resolve(&mut reply));
    let Way { authoritative, scope, steered, key, .. } = way;
    let truncated = reply.is_truncated();
    let mut len = reply.finish(&request, rcode, authoritative, scope, house.udp_size);
    if let (Some(tsig), Rcode::NotAuth) = (&request.tsig, rcode) {
        len = tsig.append_bad_key(query, out, len, limit);
    }
    Outcome { len, rcode, truncated, steered, scope, silence: None, ede, proven: false, key }
}

/// Longest reply that this client takes.
#[inline]
fn reply_limit(transport: Transport, request: &Request, house: &House) -> usize {
    match request.edns {
        _ if transport.is_stream() => usize::from(u16::MAX),
        Some(edns) => usize::from(edns.udp_size.min(house.udp_size)).max(MIN_REPLY),
        None => MIN_REPLY,
    }
}

/// What is refused before any zone is asked.
#[inline]
fn refusal(request: &Request) -> Option<(Rcode, Option<Ede>)> {
    if request.tsig.is_some() {
        // There are no keys here (RFC 8945 section 5.2.1).
        return Some((Rcode::NotAuth, None));
    }
    if request.qclass != rtype::CLASS_IN {
        return Some((Rcode::Refused, Some(Ede::NotSupported)));
    }
    match request.qtype {
        // Pseudo records are no data (RFC 6891 section 6.1.1, RFC 8945 section 4.2, RFC 9824 section 3.5).
        rtype::OPT | rtype::TSIG | rtype::NXNAME => Some((Rcode::FormErr, Some(Ede::InvalidQueryType))),
        // Obsolete (RFC 1035 section 3.2.3), or in need of more than a question (RFC 2930).
        rtype::MAILA | rtype::MAILB | rtype::TKEY => Some((Rcode::NotImp, Some(Ede::NotSupported))),
        // No transfers are given.
        rtype::AXFR | rtype::IXFR => Some((Rcode::Refused, Some(Ede::NotSupported))),
        _ => None,
    }
}
