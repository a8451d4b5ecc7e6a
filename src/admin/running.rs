//! What an operator asks of the process itself: where it listens, until when its certificate holds, what it turns away.

use crate::admin::loads::Counted;
use crate::exchange::access::List;
use crate::exchange::{Books, Connection, CookieSeen};
use crate::store;
use crate::transport::Observed;
use crate::transport::rate::{Action, Class};
use crate::zone::ZoneSet;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Most zones that are told one by one, here and in metrics: a page of ten thousand serials helps nobody, and costs whoever
/// stores it.
pub const MOST_ZONES: usize = 1000;

/// What does not change while the process runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// What is spoken where: the keys of `[listen]`.
    pub listeners: Vec<(&'static str, SocketAddr)>,
    /// How often the service has been taken over since it was started; 0 for a process that took over from none.
    pub takeovers: u64,
}

/// The process as `/state` shows it, under `server`. Counts are since the process began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Running {
    /// Its number, which a takeover changes.
    pub pid: u32,
    /// The release.
    pub version: &'static str,
    /// See [`Place::takeovers`].
    pub takeovers: u64,
    /// Whether the last load was taken; if not, what answers is older than the files.
    pub last_load_taken: bool,
    /// Unix seconds at which the load that answers was taken.
    pub loaded_at: f64,
    /// Whether the last look at certificates and keys found them good; if not, handshakes show older ones.
    pub last_certificate_taken: bool,
    /// Addresses by key of `[listen]`.
    pub listeners: BTreeMap<&'static str, Vec<SocketAddr>>,
    /// Unix seconds at which the certificate of `[tls]` expires; `None` without one.
    pub certificate_expires: Option<i64>,
    /// Zones that are served.
    pub n_zones: usize,
    /// The first [`MOST_ZONES`] of them, in the order of their files, and before them those that were left out.
    pub zones: Vec<ZoneStatus>,
    /// Connections open now, by transport.
    pub connections: BTreeMap<&'static str, u64>,
    /// Queries by what their cookie was worth; those without one are not counted here.
    pub cookies: BTreeMap<&'static str, u64>,
    /// Queries refused, by the list that refused them.
    pub refused_by: BTreeMap<&'static str, u64>,
    /// Replies over a rate limit, by what became of them.
    pub rate_limited: BTreeMap<&'static str, u64>,
    /// dnstap.
    pub dnstap: Dnstap,
    /// The history.
    pub history: History,
}

/// One zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZoneStatus {
    /// Its apex.
    pub name: String,
    /// Whether it is served; if not, the start has left it out for errors and it gets SERVFAIL.
    pub served: bool,
    /// The serial of its SOA; 0 if it is not served.
    pub serial: u32,
    /// Owner names with records.
    pub names: usize,
    /// Records.
    pub records: usize,
}

/// The zones of a set, those left out first; no more than [`MOST_ZONES`] of either kind.
pub(super) fn zones(set: &ZoneSet) -> impl Iterator<Item = ZoneStatus> {
    set.left_out().take(MOST_ZONES).chain(set.iter().take(MOST_ZONES)).map(|zone| ZoneStatus {
        name: zone.apex().to_string(),
        served: !zone.is_left_out(),
        serial: zone.serial(),
        names: zone.n_names(),
        records: zone.n_records(),
    })
}

/// What dnstap did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dnstap {
    /// Whether a collector is connected.
    pub connected: bool,
    /// Sampled queries that found room in their queue.
    pub queued: u64,
    /// Sampled queries that found none.
    pub dropped: u64,
    /// Messages written.
    pub written: u64,
    /// Messages that neither socket nor file took.
    pub unwritten: u64,
}

/// What the history keeps; items are samples, forecasts, states of models and plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct History {
    /// Where items go: `file`, `memory` (the file cannot be written now), or `off`.
    pub into: &'static str,
    /// Why not into the file; `None` where that is no fault.
    pub fault: Option<String>,
    /// Items handed over.
    pub received: u64,
    /// Items in the file.
    pub written: u64,
    /// Items that wait for the next batch, or for the file.
    pub waiting: u64,
    /// Items not kept, by reason; reasons that never occurred are left out.
    pub dropped: BTreeMap<&'static str, u64>,
    /// Damaged files set aside.
    pub set_aside: u64,
    /// Octets of the file, without its journal.
    pub file_octets: u64,
}

impl History {
    fn of(counted: &store::Counted) -> History {
        let dropped = store::Dropped::ALL.map(store::Dropped::label).into_iter().zip(counted.dropped);
        History {
            into: counted.health.label(),
            fault: match &counted.health {
                store::Health::Memory(why) => Some(why.clone()),
                store::Health::Off | store::Health::File => None,
            },
            received: counted.received,
            written: counted.written,
            waiting: counted.waiting,
            dropped: dropped.filter(|(_, n)| *n > 0).collect(),
            set_aside: counted.set_aside,
            file_octets: counted.octets,
        }
    }
}

/// Connections that are open now, by transport.
pub(super) fn open_connections(books: &Books) -> impl Iterator<Item = (&'static str, u64)> {
    books.sum().into_iter().filter(|sum| sum.transport.is_stream()).map(|sum| {
        let (opened, closed) = (sum.connections(Connection::Opened), sum.connections(Connection::Closed));
        (sum.transport.label(), opened.saturating_sub(closed))
    })
}

impl Running {
    /// The process at this moment.
    pub fn of(
        place: &Place,
        observed: &Observed,
        books: &Books,
        set: &ZoneSet,
        loads: Counted,
        history: &store::Counted,
    ) -> Running {
        let mut listeners = BTreeMap::<_, Vec<_>>::new();
        for (key, addr) in &place.listeners {
            listeners.entry(*key).or_default().push(*addr);
        }
        let limited = |action| Class::ALL.into_iter().map(|class| observed.rate.limited(class, action)).sum();
        let tap = &observed.tap;
        Running {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION"),
            takeovers: place.takeovers,
            last_load_taken: !loads.is_refused,
            last_certificate_taken: !loads.is_certificate_refused,
            loaded_at: loads.last_taken_at,
            listeners,
            certificate_expires: observed.certificate.as_ref().map(|certificate| certificate.expires()),
            n_zones: set.n_zones(),
            zones: zones(set).collect(),
            connections: open_connections(books).collect(),
            cookies: CookieSeen::COUNTED.map(CookieSeen::label).into_iter().zip(books.cookies()).collect(),
            refused_by: List::ALL.map(List::label).into_iter().zip(books.refusals()).collect(),
            rate_limited: Action::ALL.into_iter().map(|action| (action.label(), limited(action))).collect(),
            dnstap: Dnstap {
                connected: tap.is_connected(),
                queued: tap.sampled(),
                dropped: tap.dropped(),
                written: tap.written(),
                unwritten: tap.unwritten(),
            },
            history: History::of(history),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Loads;
    use crate::admin::loads::Became;
    use crate::exchange::Transport;

    #[test]
    fn an_operator_sees_where_and_how_much() {
        let (books, addr) = (Books::new(1), SocketAddr::from(([127, 0, 0, 1], 853)));
        let place = Place { listeners: vec![("tls", addr), ("quic", addr), ("tls", addr)], takeovers: 2 };
        let page = books.page(0);
        page.connection(Transport::Tls, Connection::Opened);
        page.connection(Transport::Tls, Connection::Opened);
        page.connection(Transport::Tls, Connection::Closed);
        page.cookie(CookieSeen::Valid);
        page.refused(List::Zone);
        let loads = Loads::default();
        loads.note(Became::Taken, 1.0, 7.0);
        loads.note(Became::Refused, 1.0, 8.0);
        let health = store::Health::Memory("the disk is full".into());
        let history = store::Counted { health, dropped: [0, 3, 0, 0, 0], ..Default::default() };
        let running = Running::of(&place, &Observed::default(), &books, &ZoneSet::default(), loads.counted(), &history);
        assert_eq!((running.last_load_taken, running.loaded_at), (false, 7.0), "answers from what it had");
        assert_eq!((running.history.into, running.history.fault.as_deref()), ("memory", Some("the disk is full")));
        assert_eq!(running.history.dropped, [("memory-full", 3)].into());
        assert_eq!(running.listeners["tls"], [addr, addr]);
        assert_eq!((running.takeovers, running.connections["tls"], running.certificate_expires), (2, 1, None));
        assert_eq!((running.cookies["valid"], running.cookies["new"]), (1, 0));
        assert_eq!((running.refused_by["access.zones"], running.refused_by["access"]), (1, 0));
    }
}
