//! Query → response: one pure function, [`answer`].
//!
//! Parse → find the zone → look up → (steered names) locate the client, pick a member → compose, scope,
//! truncate → count. Everything it needs is in the [`Snapshot`] and in [`Scratch`]; it reads no clock, takes no
//! lock, allocates nothing, and no message makes it panic. Where a zone has compact denial, some queries have a proof signed, as
//! many in a second as the zone's rules say (`answer::online`); that allocates.

mod additional;
mod alias;
mod chaos;
mod cookie;
pub mod dealings;
mod debug;
mod denial;
pub mod errand;
pub mod explain;
mod foresee;
mod online;
mod operation;
mod options;
mod plain;
mod proofs;
mod records;
mod resolve;
mod service;
mod signed;
pub mod steer;
pub mod transfer;

pub use crate::exchange::{Silence, Transport};
pub use crate::wire::{Ede, Rcode};
pub use explain::{Explanation, explain};
pub use foresee::foresee;

use crate::exchange::access::List;
use crate::exchange::{CookieSeen, House, Snapshot};
use crate::id::GroupIdx;
use crate::policy::SteerBy;
use crate::steering::Mode;
use crate::wire::opt::Extras;
use crate::wire::reply::{Ending, Reply};
use crate::wire::request::{NoReply, Opcode, Request};
use crate::wire::tsig::{self, Checked};
use crate::wire::{Name, NameBuf, rtype};
use errand::{Asked, Errand, Refusal, Why};
use operation::Signed;
use options::Settled;
use resolve::{MAX_LINKS, Way};
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
    /// What else is known of the way it came.
    pub link: Link,
}

/// What an answer may depend on of the connection that a query came by; nothing of it holds for a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Whether the address may be that of somebody in front, who has taken TLS off and not said whose query it is.
    pub is_relayed: bool,
    /// Whether the connection should not be kept: places are scarce, or the server stops.
    pub is_hurried: bool,
}

/// What one thread reuses from query to query.
pub struct Scratch {
    /// The name at hand: the question's, then the target of each alias.
    pub(crate) name: NameBuf,
    /// The host at hand, of those that the answer leads to.
    pub(crate) host: NameBuf,
    /// The DNAMEs of this reply: hash of the owner, and where the record stands.
    pub(crate) dnames: [(u64, usize); MAX_LINKS],
    /// The thread's number, for the tally; `None` counts nothing and leaves nothing for other queries to find.
    pub(crate) thread: Option<usize>,
    /// What the message at hand leaves to do.
    pub(crate) errand: Option<Box<Errand>>,
    /// The proofs of absence that were signed when they were asked for.
    pub(crate) made: Option<Box<online::Made>>,
    /// Where the low-discrepancy sequence of `pick=spread` stands.
    pub(crate) spread: u64,
}

impl Scratch {
    /// For thread `thread`, its place in the tally. `seed` sets where the sequence of `pick=spread` starts.
    pub fn new(thread: usize, seed: u64) -> Scratch {
        let spread = seed ^ (thread as u64).wrapping_mul(0xd1b5_4a32_d192_ed03);
        Scratch { thread: Some(thread), spread, ..Scratch::uncounted() }
    }

    /// For answers that nobody gets, as in explain: they are not counted.
    pub fn uncounted() -> Scratch {
        let (name, host) = (NameBuf::default(), NameBuf::default());
        Scratch { name, host, dnames: [(0, 0); MAX_LINKS], thread: None, errand: None, made: None, spread: 0 }
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
    /// What the query's cookie was worth; where it is valid (RFC 7873 section 5.2.5), the source address is no forgery,
    /// and no rate limit need hold the reply back.
    pub cookie: CookieSeen,
    /// The list that refused the client.
    pub refused_by: Option<List>,
    /// What was answered, for limits on alike replies to one client: equal for replies that a flood of made-up names
    /// or types would bring forth. Name and type where that type is there or steered; the name alone where it is not,
    /// be that a denial, an alias or ANY; the zone for names that are not there, and wildcards; the cut for referrals; 0
    /// where no zone was asked. The RCODE is not in it.
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
            cookie: CookieSeen::None,
            refused_by: None,
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
    now: u32,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Outcome {
    assert!(out.len() >= MIN_REPLY, "the caller gives room for the least reply");
    match plain::answer(query, client, snapshot, now, scratch, out) {
        Some(outcome) => outcome,
        None => answer_at_length(query, client, snapshot, now, scratch, out),
    }
}

/// The long way of [`answer`], on which any query gets the same outcome and reply.
///
/// # Panics
/// As [`answer`].
pub fn answer_at_length(
    query: &[u8],
    client: Client,
    snapshot: &Snapshot,
    now: u32,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Outcome {
    answer_by(&snapshot.house, query, client, snapshot, now, scratch, out)
}

/// Answers by the rules of another house than the snapshot's: explain is under none.
fn answer_by(
    house: &House,
    query: &[u8],
    client: Client,
    snapshot: &Snapshot,
    now: u32,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Outcome {
    assert!(out.len() >= MIN_REPLY, "the caller gives room for the least reply");
    scratch.errand = None;
    let mut request = match Request::parse(query, &mut scratch.name) {
        Ok(request) => request,
        Err(why) => return Outcome::silent(why),
    };
    let limit = reply_limit(client.transport, &request, house).min(out.len());
    let has_rules = request.edns.as_ref().is_some_and(|edns| house.ecs.is_some() || !edns.asks.is_empty());
    let Settled { extras, cookie, fault } =
        if has_rules { options::settle(&mut request, client, house, now) } else { Settled::default() };
    let (mut signed, unsound) = match &request.tsig {
        Some(tsig) => check_signature(query, tsig, &request, house, now, scratch),
        None => (Signed::default(), None),
    };
    let tail = tsig_len(&request, &signed, &extras, limit);
    let mut reply = Reply::new(query, &request, limit, &extras, tail, out);
    let mut way = Way::new(query, &request, client, (snapshot, house, now), scratch);
    let rcode = match request.fault.or(fault).or(unsound) {
        Some(rcode) => {
            way.ede = (rcode == Rcode::NotImp).then_some(Ede::NotSupported);
            rcode
        }
        None => way.go(&mut reply, &mut signed),
    };
    let Way { authoritative, scope, steered, key, compact, ede, refused_by, .. } = way;
    let ede = ede.or_else(|| steered.filter(|group| is_stale(snapshot, *group)).map(|_| Ede::Stale));
    let scope = scope.min(longest_scope(&request, house));
    let truncated = reply.is_truncated();
    let ending = Ending { rcode, authoritative, scope, udp_size: house.udp_size, extras: &extras, compact, ede };
    let mut len = reply.finish(&request, &ending);
    if let Some(seal) = signed.seal.as_mut().filter(|_| tail > 0) {
        len = seal.append(out, len, u64::from(now));
    }
    let is_elsewhere = matches!(scratch.errand.as_deref(), Some(Errand::Transfer(_) | Errand::Update(_)));
    let silence = is_elsewhere.then_some(Silence::Deferred);
    Outcome { len, rcode, truncated, steered, scope, silence, ede, cookie, refused_by, key }
}

/// Longest reply that this client takes.
#[inline]
fn reply_limit(transport: Transport, request: &Request, house: &House) -> usize {
    match &request.edns {
        _ if transport.is_stream() => usize::from(u16::MAX),
        Some(edns) => usize::from(edns.udp_size.min(house.udp_size)).max(MIN_REPLY),
        None => MIN_REPLY,
    }
}

/// Octets that the TSIG record of the reply takes: none if the query is not signed, or if it does not fit.
#[inline]
fn tsig_len(request: &Request, signed: &Signed, extras: &Extras, limit: usize) -> usize {
    let Some(seal) = &signed.seal else { return 0 };
    let opt_len = request.edns.as_ref().map_or(0, |edns| extras.opt_len(edns));
    let len = seal.record_len();
    if request.question_end + opt_len + len <= limit { len } else { 0 }
}

/// Holds a message against the keys. With it, the RCODE of one whose signature does not hold, which is told.
#[cold]
fn check_signature(
    query: &[u8],
    tsig: &tsig::Tsig,
    request: &Request,
    house: &House,
    now: u32,
    scratch: &mut Scratch,
) -> (Signed, Option<Rcode>) {
    match tsig::check(query, tsig, &house.keys, u64::from(now)) {
        Checked::Good(key, seal) => (Signed { key: Some(key), seal: Some(seal) }, None),
        Checked::Malformed => (Signed::default(), Some(Rcode::FormErr)),
        Checked::Bad(error, seal) => {
            let what = match (request.opcode, request.qtype) {
                (Opcode::Update, _) => Asked::Update,
                (Opcode::Notify, _) => Asked::Notify,
                (_, rtype::AXFR | rtype::IXFR) => Asked::Transfer,
                _ => Asked::Query,
            };
            let refusal = Refusal {
                what,
                name: if request.has_question() { Name::from(&scratch.name) } else { Name::root() },
                key: tsig.owner(query),
                why: Why::Signature(error),
            };
            scratch.errand = Some(Box::new(Errand::Tell(refusal)));
            (Signed { key: None, seal: Some(seal) }, Some(Rcode::NotAuth))
        }
    }
}

/// The longest scope that the house's rules leave.
#[inline]
fn longest_scope(request: &Request, house: &House) -> u8 {
    match (&house.ecs, request.edns.as_ref().and_then(|edns| edns.ecs.as_ref())) {
        (Some(rules), Some(ecs)) => rules.most_bits(ecs.family),
        _ => u8::MAX,
    }
}

/// Whether a group was steered by a plan that telemetry should have renewed and has not.
#[inline]
fn is_stale(snapshot: &Snapshot, group: GroupIdx) -> bool {
    matches!(snapshot.plan.mode, Mode::Stale | Mode::Blind)
        && snapshot
            .policies
            .groups
            .get(group.idx())
            .is_some_and(|g| matches!(g.steer, SteerBy::Priced | SteerBy::Weighted))
}

impl Way<'_> {
    /// From a sound message to the RCODE: what is not for the zones is answered first.
    #[inline]
    fn go(&mut self, reply: &mut Reply, signed: &mut Signed) -> Rcode {
        let request = self.request;
        let plain = request.opcode == Opcode::Query && request.qclass == rtype::CLASS_IN;
        let refused = match request.qtype {
            _ if !plain => self.not_for_the_zones(reply, signed),
            rtype::AXFR | rtype::IXFR => Some(self.transfer(reply, signed)),
            qtype => refuse_type(qtype),
        };
        match refused {
            Some((rcode, ede)) => {
                self.ede = ede;
                rcode
            }
            None => self.resolve(reply),
        }
    }

    /// What is no question, or is of another class.
    #[cold]
    fn not_for_the_zones(&mut self, reply: &mut Reply, signed: &mut Signed) -> Option<(Rcode, Option<Ede>)> {
        let (request, name) = (self.request, &self.scratch.name);
        Some(match request.qclass {
            _ if request.opcode != Opcode::Query => self.operate(signed),
            // For a cookie alone, which the reply has (RFC 7873 section 5.4).
            _ if !request.has_question() => (Rcode::NoError, None),
            rtype::CLASS_CH => {
                let zone = self.house.debug.as_ref();
                let said = match zone.and_then(|zone| Some((zone, debug::below(name, zone)?))) {
                    Some((zone, labels)) => {
                        // Whatever is asked is asked for this client and no other.
                        self.scope = request.edns.as_ref().and_then(|e| e.ecs.as_ref()).map_or(0, |ecs| ecs.source);
                        self.refused_by = (!debug::admits(self.client, zone)).then_some(List::Debug);
                        debug::answer(&labels, request, self.client, self.snapshot, (self.house, zone), reply)
                    }
                    None => {
                        let may_ask = self.house.access.admits_in_general(self.client.addr);
                        self.refused_by = (!may_ask).then_some(List::General);
                        chaos::answer(request, name, self.client.addr, self.house, reply)
                    }
                };
                self.authoritative = said.0 != Rcode::Refused;
                said
            }
            // HS, ANY, NONE and those not assigned: no zone of ours is in them. RFC 1035 section 3.2.5 has QCLASS ANY
            // for whoever has zones of several classes.
            _ => (Rcode::Refused, Some(Ede::NotSupported)),
        })
    }
}

/// Types that are no data.
#[inline]
fn refuse_type(qtype: u16) -> Option<(Rcode, Option<Ede>)> {
    match qtype {
        // Pseudo records (RFC 6891 section 6.1.1, RFC 8945 section 4.2, RFC 9824 section 3.5).
        rtype::OPT | rtype::TSIG | rtype::NXNAME => Some((Rcode::FormErr, Some(Ede::InvalidQueryType))),
        // Obsolete (RFC 1035 section 3.2.3), or in need of more than a question (RFC 2930).
        rtype::MAILA | rtype::MAILB | rtype::TKEY => Some((Rcode::NotImp, Some(Ede::NotSupported))),
        _ => None,
    }
}
