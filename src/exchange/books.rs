//! The books: every query that came in, and what became of it.
//!
//! Counted by the sockets, kept for the life of the process (a [`crate::exchange::Tally`] lives as long
//! as one load of the policies), read by metrics. Like the tally, each thread has a page that it alone
//! writes.
//!
//! Invariant: the books balance. Once the threads rest, replies by rcode plus silences by reason equal
//! the queries received, for every transport.

use crate::exchange::access::List;
use crate::exchange::block::Block;

//----------- What is counted ------------------------------------------------

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Datagrams (RFC 1035 section 4.2.1).
    Udp,
    /// A stream, two octets of length before each message (RFC 7766).
    Tcp,
    /// TCP inside TLS (RFC 7858).
    Tls,
    /// HTTPS (RFC 8484).
    Https,
    /// QUIC (RFC 9250).
    Quic,
}

impl Transport {
    /// All of them, in the order of the books.
    pub const ALL: [Transport; 5] = [Transport::Udp, Transport::Tcp, Transport::Tls, Transport::Https, Transport::Quic];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
            Transport::Https => "https",
            Transport::Quic => "quic",
        }
    }

    /// Whether messages come as RFC 1035 has them, or inside TLS: whoever speaks of whole zones speaks so.
    pub fn is_plain_dns(self) -> bool {
        matches!(self, Transport::Udp | Transport::Tcp | Transport::Tls)
    }

    /// Whether nobody on the way can read along.
    pub fn is_encrypted(self) -> bool {
        matches!(self, Transport::Tls | Transport::Https | Transport::Quic)
    }

    /// Whether messages may be as long as 65,535 octets and the client's address is proven.
    pub fn is_stream(self) -> bool {
        self != Transport::Udp
    }
}

/// Why a query got no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Silence {
    /// Shorter than a header: there is no id to reply to.
    Short,
    /// Longer than the buffer for datagrams: more than any query that we offer to take.
    Oversize,
    /// A response (QR set); to reply could start a loop.
    Response,
    /// A sender that cannot be replied to, such as port 0.
    Sender,
    /// Over a rate limit.
    RateLimited,
    /// None now: it comes of work that another thread does, which does not count it.
    Deferred,
    /// A proxy's that did not say for whom it speaks, or somebody else's that spoke for others (PROXY protocol).
    Proxy,
}

impl Silence {
    /// All of them, in the order of the books.
    pub const ALL: [Silence; 7] = [
        Silence::Short,
        Silence::Oversize,
        Silence::Response,
        Silence::Sender,
        Silence::RateLimited,
        Silence::Deferred,
        Silence::Proxy,
    ];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Silence::Deferred => "deferred",
            Silence::Short => "short",
            Silence::Oversize => "oversize",
            Silence::Response => "response",
            Silence::Sender => "sender",
            Silence::RateLimited => "rate-limited",
            Silence::Proxy => "proxy",
        }
    }
}

/// What became of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Connection {
    /// Taken up.
    Opened,
    /// Closed again, whatever the reason; opened minus closed are open now.
    Closed,
    /// Turned away: too many connections in all.
    RefusedFull,
    /// Turned away: too many connections of this client.
    RefusedClient,
    /// Closed after a while without a query, as RFC 7766 section 6.2.3 wants it.
    TimedOutIdle,
    /// Closed while it waited, to give its place to a newcomer when all were taken.
    Displaced,
    /// Cut off: a message was begun and not finished in time, or a handshake.
    TimedOutRead,
    /// Cut off: replies were not read in time.
    TimedOutWrite,
    /// Ended by an error of the socket, the end of the stream inside a message included.
    Failed,
    /// Ended in the handshake: no common version, protocol (ALPN) or cipher, or no TLS at all.
    Handshake,
    /// Turned away: a proxy that did not say for whom it speaks (PROXY protocol).
    RefusedProxy,
    /// Could not be accepted (no descriptors, no memory).
    NotAccepted,
}

impl Connection {
    /// All of them, in the order of the books.
    pub const ALL: [Connection; 12] = [
        Connection::Opened,
        Connection::Closed,
        Connection::RefusedFull,
        Connection::RefusedClient,
        Connection::TimedOutIdle,
        Connection::Displaced,
        Connection::TimedOutRead,
        Connection::TimedOutWrite,
        Connection::Failed,
        Connection::Handshake,
        Connection::RefusedProxy,
        Connection::NotAccepted,
    ];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Connection::Opened => "opened",
            Connection::Closed => "closed",
            Connection::RefusedFull => "refused-full",
            Connection::RefusedClient => "refused-client",
            Connection::TimedOutIdle => "timed-out-idle",
            Connection::TimedOutRead => "timed-out-read",
            Connection::TimedOutWrite => "timed-out-write",
            Connection::Failed => "failed",
            Connection::Displaced => "displaced",
            Connection::Handshake => "handshake",
            Connection::RefusedProxy => "refused-proxy",
            Connection::NotAccepted => "not-accepted",
        }
    }
}

/// What a query's cookie option was worth (RFC 7873 section 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieSeen {
    /// There was none, or cookies are off.
    #[default]
    None,
    /// The client's own part alone: it has not met us before.
    New,
    /// With a server cookie of ours: the address is proven.
    Valid,
    /// With a server cookie that is not ours, or not any more.
    Invalid,
}

impl CookieSeen {
    /// Those that have counters, in the order of the books. All other queries are [`CookieSeen::None`].
    pub const COUNTED: [CookieSeen; 3] = [CookieSeen::New, CookieSeen::Valid, CookieSeen::Invalid];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            CookieSeen::None => "none",
            CookieSeen::New => "new",
            CookieSeen::Valid => "valid",
            CookieSeen::Invalid => "invalid",
        }
    }
}

/// Rcodes with a counter of their own: 0 to 23 (BADCOOKIE is the last one assigned); the counter behind
/// them takes all others.
pub const N_RCODES: usize = 24;

//----------- Layout ---------------------------------------------------------

// One page: for each transport QUERIES, TRUNCATED, UNSENT, BATCHES, rcodes and "other", silences;
// then, for each transport, the connections; behind all of them cookies and refusals, whatever the transport.
const QUERIES: usize = 0;
const TRUNCATED: usize = 1;
const UNSENT: usize = 2;
const BATCHES: usize = 3;
const RCODES: usize = 4;
const SILENCES: usize = RCODES + N_RCODES + 1;
const CONNECTIONS: usize = SILENCES + Silence::ALL.len();
const PER_TRANSPORT: usize = CONNECTIONS + Connection::ALL.len();
const COOKIES: usize = PER_TRANSPORT * Transport::ALL.len();
const REFUSALS: usize = COOKIES + CookieSeen::COUNTED.len();
const PER_PAGE: usize = REFUSALS + List::ALL.len();

//----------- Books ----------------------------------------------------------

/// The pages of all threads.
#[derive(Debug)]
pub struct Books {
    pages: Box<[Page]>,
}

/// What one thread has counted. That thread alone may write to it.
#[derive(Debug)]
pub struct Page {
    block: Block,
}

impl Books {
    /// Empty books for `n_threads` writers.
    pub fn new(n_threads: usize) -> Books {
        Books { pages: (0..n_threads).map(|_| Page { block: Block::new(PER_PAGE) }).collect() }
    }

    /// Number of pages.
    pub fn n_threads(&self) -> usize {
        self.pages.len()
    }

    /// The page of a thread.
    ///
    /// # Panics
    /// If there are not that many pages.
    pub fn page(&self, thread: usize) -> &Page {
        &self.pages[thread]
    }

    /// Sums over threads; one entry per transport in the order of [`Transport::ALL`].
    ///
    /// Replies and silences are read before queries, so that a sum taken under load shows queries in
    /// flight rather than replies to nothing.
    pub fn sum(&self) -> Vec<TransportSum> {
        let of = |transport: Transport| {
            let base = transport as usize * PER_TRANSPORT;
            let total = |at: usize| self.pages.iter().map(|p| p.block.get(base + at)).sum::<u64>();
            let mut sum = TransportSum {
                transport,
                queries: 0,
                replies: std::array::from_fn(|i| total(RCODES + i)),
                other_rcodes: total(RCODES + N_RCODES),
                silences: std::array::from_fn(|i| total(SILENCES + i)),
                truncated: total(TRUNCATED),
                unsent: total(UNSENT),
                batches: total(BATCHES),
                connections: std::array::from_fn(|i| total(CONNECTIONS + i)),
            };
            sum.queries = total(QUERIES);
            sum
        };
        Transport::ALL.into_iter().map(of).collect()
    }

    /// Queries that brought a cookie, in the order of [`CookieSeen::COUNTED`].
    pub fn cookies(&self) -> [u64; CookieSeen::COUNTED.len()] {
        std::array::from_fn(|i| self.pages.iter().map(|p| p.block.get(COOKIES + i)).sum())
    }

    /// Queries refused by a list, in the order of [`List::ALL`].
    pub fn refusals(&self) -> [u64; List::ALL.len()] {
        std::array::from_fn(|i| self.pages.iter().map(|p| p.block.get(REFUSALS + i)).sum())
    }
}

impl Page {
    /// Counts queries as they arrive: `n` in one batch (one datagram batch, or one read of a stream).
    #[inline]
    pub fn queries(&self, transport: Transport, n: u64) {
        let base = transport as usize * PER_TRANSPORT;
        self.block.add(base + QUERIES, n);
        self.block.add(base + BATCHES, 1);
    }

    /// Batches counted so far.
    pub fn batches(&self, transport: Transport) -> u64 {
        self.block.get(transport as usize * PER_TRANSPORT + BATCHES)
    }

    /// Counts one reply.
    #[inline]
    pub fn reply(&self, transport: Transport, rcode: u16, truncated: bool) {
        let base = transport as usize * PER_TRANSPORT;
        self.block.add(base + RCODES + usize::from(rcode).min(N_RCODES), 1);
        if truncated {
            self.block.add(base + TRUNCATED, 1);
        }
    }

    /// Counts one query that got no reply.
    #[inline]
    pub fn silence(&self, transport: Transport, why: Silence) {
        self.block.add(transport as usize * PER_TRANSPORT + SILENCES + why as usize, 1);
    }

    /// Counts a query by its cookie; those without one are not counted here.
    #[inline]
    pub fn cookie(&self, seen: CookieSeen) {
        if let Some(at) = (seen as usize).checked_sub(1) {
            self.block.add(COOKIES + at, 1);
        }
    }

    /// Counts a query that a list refused.
    pub fn refused(&self, list: List) {
        self.block.add(REFUSALS + list as usize, 1);
    }

    /// Counts replies that the kernel did not take; they have been counted as replies before.
    #[inline]
    pub fn unsent(&self, transport: Transport, n: u64) {
        self.block.add(transport as usize * PER_TRANSPORT + UNSENT, n);
    }

    /// Counts an event in the life of a connection.
    pub fn connection(&self, transport: Transport, what: Connection) {
        self.block.add(transport as usize * PER_TRANSPORT + CONNECTIONS + what as usize, 1);
    }
}

//----------- TransportSum ---------------------------------------------------

/// The sums of one transport since the process began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportSum {
    /// Which.
    pub transport: Transport,
    /// Queries received.
    pub queries: u64,
    /// Replies by rcode.
    pub replies: [u64; N_RCODES],
    /// Replies with an rcode beyond those.
    pub other_rcodes: u64,
    /// Queries left without reply, in the order of [`Silence::ALL`].
    pub silences: [u64; Silence::ALL.len()],
    /// Replies with TC set.
    pub truncated: u64,
    /// Replies that the kernel did not take.
    pub unsent: u64,
    /// Batches in which the queries came.
    pub batches: u64,
    /// Lives of connections, in the order of [`Connection::ALL`].
    pub connections: [u64; Connection::ALL.len()],
}

impl TransportSum {
    /// Replies of every rcode.
    pub fn n_replies(&self) -> u64 {
        self.replies.iter().sum::<u64>() + self.other_rcodes
    }

    /// Queries that have neither a reply nor a reason for silence: those in flight, and 0 at rest.
    pub fn in_flight(&self) -> i64 {
        self.queries as i64 - (self.n_replies() + self.silences.iter().sum::<u64>()) as i64
    }

    /// How often something happened to a connection.
    pub fn connections(&self, what: Connection) -> u64 {
        self.connections[what as usize]
    }

    /// How often a query got no reply for this reason.
    pub fn silences(&self, why: Silence) -> u64 {
        self.silences[why as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every kind of event has a counter of its own, on every transport and page, and they balance.
    #[test]
    fn every_event_has_its_own_counter() {
        let books = Books::new(2);
        for (i, transport) in Transport::ALL.into_iter().enumerate() {
            let page = books.page(i % 2);
            for rcode in 0..N_RCODES as u16 + 2 {
                page.queries(transport, 1);
                page.reply(transport, rcode, rcode == 3);
            }
            for why in Silence::ALL {
                page.queries(transport, 1);
                page.silence(transport, why);
            }
            for what in Connection::ALL {
                page.connection(transport, what);
            }
            page.unsent(transport, 7);
        }
        for seen in CookieSeen::COUNTED.into_iter().chain([CookieSeen::None, CookieSeen::Valid]) {
            books.page(1).cookie(seen);
        }
        for list in List::ALL {
            books.page(0).refused(list);
        }
        assert_eq!((books.cookies(), books.refusals()), ([1, 2, 1], [1; 3]));
        for sum in books.sum() {
            assert_eq!(sum.replies, [1; N_RCODES], "{:?}", sum.transport);
            assert_eq!(sum.other_rcodes, 2);
            assert_eq!(sum.silences, [1; Silence::ALL.len()]);
            assert_eq!(sum.connections, [1; Connection::ALL.len()]);
            assert_eq!((sum.truncated, sum.unsent), (1, 7));
            assert_eq!(sum.in_flight(), 0, "the books balance");
            assert_eq!(sum.queries, sum.batches);
        }
    }

    /// The order of `ALL` is the order of the counters.
    #[test]
    fn lists_are_in_order() {
        assert!(Transport::ALL.iter().enumerate().all(|(i, t)| *t as usize == i));
        assert!(Silence::ALL.iter().enumerate().all(|(i, s)| *s as usize == i));
        assert!(Connection::ALL.iter().enumerate().all(|(i, c)| *c as usize == i));
        assert!(CookieSeen::COUNTED.iter().enumerate().all(|(i, c)| *c as usize == i + 1));
        assert!(List::ALL.iter().enumerate().all(|(i, l)| *l as usize == i));
    }
}
