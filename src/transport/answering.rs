//! The handler of the real server: [`answer`] from the current snapshot, within the rate limits.

use crate::answer::dealings::Dealings;
use crate::answer::errand::{Errand, Task};
use crate::answer::{Client, Rcode, Scratch, answer, foresee};
use crate::exchange::{Books, CookieSeen, Exchange, Silence, Snapshot, Transport};
use crate::transport::Outlet;
use crate::transport::handler::{Handler, Later, Peer, Said};
use crate::transport::outbound::Outbound;
use crate::transport::rate::{Decision, Limiter};
use crate::transport::sys;
use crate::transport::tap::Tap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};

/// Answers from whatever snapshot is current when a batch begins.
pub struct Answering {
    exchange: Arc<Exchange>,
    scratch: Scratch,
    limiter: Option<Limiter>,
    tap: Option<Tap>,
    /// Where this thread counts what only it can see.
    books: Option<(Arc<Books>, usize)>,
    /// Where queries come to that do not say it themselves.
    local: Option<SocketAddr>,
    /// Who does what is not done at once, and where replies over UDP go that come of it.
    clerk: Option<(mpsc::Sender<Task>, Outlet)>,
    /// What is asked about whole zones is counted there.
    dealings: Arc<Dealings>,
    /// Transfers that go out, by any thread.
    outbound: Arc<Outbound>,
    started: Instant,
}

/// What one batch of queries sees.
pub struct Moment {
    /// The snapshot, held for one batch only, so that an idle thread keeps no old zones in memory.
    pub snapshot: arc_swap::Guard<Arc<Snapshot>>,
    /// Seconds since 1970, as cookies count them (RFC 9018 section 4.3).
    pub now: u32,
    /// Nanoseconds since the thread started; read only where a limit needs them.
    nanos: u64,
}

impl Answering {
    /// For thread `thread`, its number in books and tallies. `seed`: see [`Scratch::new`].
    pub fn new(exchange: Arc<Exchange>, thread: usize, seed: u64) -> Answering {
        let scratch = Scratch::new(thread, seed);
        let (limiter, tap, books, local, clerk) = (None, None, None, None, None);
        let (dealings, outbound, started) = (Arc::default(), Arc::default(), Instant::now());
        Answering { exchange, scratch, limiter, tap, books, local, clerk, dealings, outbound, started }
    }

    /// Limits the rate of replies over UDP.
    pub fn limited(self, limiter: Option<Limiter>) -> Answering {
        Answering { limiter, ..self }
    }

    /// Tells dnstap of some queries.
    pub fn tapped(self, tap: Option<Tap>) -> Answering {
        Answering { tap, ..self }
    }

    /// Counts cookies and refusals on the thread's page of `books`.
    pub fn booked(self, books: Arc<Books>, thread: usize) -> Answering {
        Answering { books: Some((books, thread)), ..self }
    }

    /// Tells dnstap that queries were sent to `local`, where nobody knows better.
    pub fn at(self, local: Option<SocketAddr>) -> Answering {
        Answering { local, ..self }
    }

    /// Hands to others what cannot be done at once. Without, updates are SERVFAIL.
    pub fn helped(self, tasks: mpsc::Sender<Task>, outlet: Outlet) -> Answering {
        Answering { clerk: Some((tasks, outlet)), ..self }
    }

    /// Counts what is asked about whole zones there.
    pub fn dealing(self, dealings: Arc<Dealings>) -> Answering {
        Answering { dealings, ..self }
    }

    /// Counts transfers that go out together with other threads.
    pub fn sending(self, outbound: Arc<Outbound>) -> Answering {
        Answering { outbound, ..self }
    }

    /// Sees to what a message leaves to do; `None` if its reply is in `out` already.
    #[cold]
    fn run(&self, errand: Errand, moment: &Moment, peer: Peer, out: &mut [u8]) -> Option<Said> {
        let tasks = self.clerk.as_ref().map(|(tasks, _)| tasks);
        match errand {
            Errand::Transfer(outgoing) => {
                let Some(place) = self.outbound.enter(peer.addr.ip(), moment.snapshot.house.outbound) else {
                    let (reply, refusal) = outgoing.put_off(u64::from(moment.now));
                    out[..reply.len()].copy_from_slice(&reply);
                    self.run(Errand::Tell(refusal), moment, peer, out);
                    return Some(Said::Reply { len: reply.len(), rcode: 2, truncated: false });
                };
                let outgoing = outgoing.counted(self.dealings.clone());
                Some(Said::Later(Box::new(Later::Transfer(outgoing, place))))
            }
            // Where there is too much to do these are lost: who notifies asks again, and one of many refusals is enough.
            Errand::Notify { .. } => {
                let taken = tasks?.try_send(Task { errand, from: peer.addr, reply: None });
                self.dealings.notified(taken.is_ok());
                None
            }
            Errand::Tell(refusal) => {
                self.dealings.refuse(&refusal);
                let _ = tasks?.try_send(Task { errand: Errand::Tell(refusal), from: peer.addr, reply: None });
                None
            }
            Errand::Update(update) => {
                let place = tasks.and_then(|tasks| tasks.try_reserve().ok());
                let Some(place) = place else {
                    self.dealings.updated(Rcode::ServFail);
                    let reply = update.reply(Rcode::ServFail, u64::from(moment.now));
                    out[..reply.len()].copy_from_slice(&reply);
                    return Some(Said::Reply { len: reply.len(), rcode: 2, truncated: false });
                };
                let (reply, said): (Box<dyn FnOnce(Vec<u8>) + Send>, _) = match (peer.transport, &self.clerk) {
                    (Transport::Udp, Some((_, outlet))) => {
                        let (outlet, asked) = (outlet.clone(), peer.local.or(self.local));
                        let send = move |reply: Vec<u8>| outlet.send(&reply, peer.reply_to, asked);
                        (Box::new(send), Said::Silence(Silence::Deferred))
                    }
                    _ => {
                        let (sender, receiver) = oneshot::channel();
                        let send = move |reply| _ = sender.send(reply);
                        (Box::new(send), Said::Later(Box::new(Later::Reply(receiver))))
                    }
                };
                place.send(Task { errand: Errand::Update(update), from: peer.addr, reply: Some(reply) });
                Some(said)
            }
        }
    }

    #[inline]
    fn reply(&mut self, moment: &Moment, query: &[u8], peer: Peer, out: &mut [u8]) -> Said {
        let client = Client { addr: peer.addr.ip(), transport: peer.transport, link: peer.link };
        let outcome = answer(query, client, &moment.snapshot, moment.now, &mut self.scratch, out);
        if let Some(errand) = self.scratch.take_errand()
            && let Some(said) = self.run(*errand, moment, peer, out)
        {
            return said;
        }
        if let Some(why) = outcome.silence {
            return Said::Silence(why);
        }
        let (rcode, truncated, proven) =
            (outcome.rcode.number(), outcome.truncated, outcome.cookie == CookieSeen::Valid);
        if (outcome.cookie != CookieSeen::None || outcome.refused_by.is_some())
            && let Some((books, thread)) = &self.books
        {
            books.page(*thread).cookie(outcome.cookie);
            outcome.refused_by.into_iter().for_each(|list| books.page(*thread).refused(list));
        }
        if let (Some(limiter), Transport::Udp, false) = (&mut self.limiter, peer.transport, proven) {
            match limiter.decide(&mut out[..outcome.len], rcode, outcome.key, client.addr, moment.nanos) {
                Decision::Send => {}
                Decision::Slip(len) => return Said::Reply { len, rcode, truncated: true },
                Decision::Drop => return Said::Silence(Silence::RateLimited),
            }
        }
        Said::Reply { len: outcome.len, rcode, truncated }
    }
}

impl Handler for Answering {
    type State = Moment;

    #[inline]
    fn begin(&self) -> Moment {
        let nanos = self.limiter.as_ref().map_or(0, |_| self.started.elapsed().as_nanos() as u64);
        Moment { snapshot: self.exchange.load(), now: sys::unix_secs(), nanos }
    }

    #[inline]
    fn foresee<'q>(&mut self, moment: &Moment, queries: impl Iterator<Item = &'q [u8]>) {
        foresee(queries, &moment.snapshot, &mut self.scratch);
    }

    #[inline]
    fn answer(&mut self, moment: &Moment, query: &[u8], peer: Peer, out: &mut [u8]) -> Said {
        let begun = self.tap.as_mut().and_then(Tap::begin);
        let said = self.reply(moment, query, peer, out);
        if let (Some(begun), Some(tap)) = (begun, &self.tap) {
            let len = if let Said::Reply { len, .. } = said { len } else { 0 };
            let peer = Peer { local: peer.local.or(self.local), ..peer };
            tap.tell(begun, peer, moment.snapshot.generation, query, &out[..len]);
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::House;
    use crate::exchange::rules::{Grant, Rules, ZoneRules};
    use crate::geo::CellMap;
    use crate::transport::handler::settle;
    use crate::wire::{Name, rtype};
    use crate::zone::ZoneSet;
    use crate::zone::store::Builder;
    use std::net::{IpAddr, Ipv4Addr};

    const PEER: Peer = Peer::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99)), 53), Transport::Udp);

    fn zones(address: u8) -> Arc<ZoneSet> {
        let apex: Name = "example.com".parse().unwrap();
        let mut zone = Builder::new(&apex);
        zone.add(&apex, rtype::A, 300, &[192, 0, 2, address]);
        Arc::new(ZoneSet::new(vec![zone.finish()]))
    }

    /// Where too many zones are on their way out, the next waits for the client's next try; one that has ended makes room.
    #[test]
    fn transfers_out_are_limited() {
        let apex: Name = "example.com".parse().unwrap();
        let mut zone = Builder::new(&apex);
        zone.add(&apex, rtype::SOA, 300, &[&b"\0\0"[..], &[0; 20]].concat());
        let zones = Arc::new(ZoneSet::new(vec![zone.finish()]));
        let cells = Arc::new(CellMap::nowhere());
        let open = ZoneRules { transfer: vec![Grant::default()], ..ZoneRules::default() };
        let outbound = crate::exchange::rules::Outbound { all: 9, per_client: 1 };
        let house = House { rules: Rules::new(open, []), outbound, ..House::default() };
        let first = Snapshot::first(1, zones, Arc::default(), cells, Arc::default(), Arc::default(), Arc::default());
        let mut handler = Answering::new(Arc::new(Exchange::new(first.with_house(Arc::new(house)))), 0, 0);
        let query = b"\x12\x34\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\xfc\0\x01";
        let peer = Peer::new(PEER.addr, Transport::Tcp);
        let (moment, mut out) = (handler.begin(), vec![0; 65_535]);
        let under_way = handler.answer(&moment, query, peer, &mut out);
        assert!(matches!(under_way, Said::Later(_)));
        let said = handler.answer(&moment, query, peer, &mut out);
        assert!(matches!(said, Said::Reply { len: 29, rcode: 2, .. }), "{said:?}");
        assert_eq!(out[..12], [0x12, 0x34, 0x80, 2, 0, 1, 0, 0, 0, 0, 0, 0]);
        drop(under_way);
        assert!(matches!(handler.answer(&moment, query, peer, &mut out), Said::Later(_)));
    }

    /// A batch sees one snapshot from its first query to its last; the next batch sees the new one.
    #[test]
    fn a_batch_keeps_its_snapshot() {
        let (cells, books) = (Arc::new(CellMap::nowhere()), Books::new(1));
        let first =
            Snapshot::first(1, zones(1), Arc::default(), cells.clone(), Arc::default(), Arc::default(), Arc::default());
        let exchange = Arc::new(Exchange::new(first));
        let mut handler = Answering::new(exchange.clone(), 0, 0);
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
        let mut out = [0; 4096];
        let mut last_octet = |handler: &mut Answering, state: &Moment| {
            let len = settle(handler, state, query, PEER, &mut out, books.page(0)).unwrap();
            out[len - 1]
        };
        let batch = handler.begin();
        assert_eq!(last_octet(&mut handler, &batch), 1);
        let next =
            batch.snapshot.reloaded(zones(2), Arc::default(), cells, Arc::default(), Arc::default(), Arc::default());
        drop(exchange.publish(next));
        assert_eq!(last_octet(&mut handler, &batch), 1);
        let batch = handler.begin();
        assert_eq!(last_octet(&mut handler, &batch), 2);
        let said = handler.answer(&batch, b"short", PEER, &mut [0; 4096]);
        assert!(matches!(said, Said::Silence(Silence::Short)));
        assert_eq!(books.sum()[0].replies[0], 3);
    }
}
