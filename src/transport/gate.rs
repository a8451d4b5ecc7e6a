//! How many connections there may be, in all and per client; one gate for all listeners of connections.
//!
//! When all places are taken, the connection that has been without a query for the longest gives its place to the
//! newcomer, as BIND and Knot do it: somebody who fills the places and falls silent keeps nobody out. A client that
//! has all the places of one client pushes out nobody.

use crate::exchange::Connection;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Idle time of connections when the gate is crowded.
const CROWDED_IDLE: Duration = Duration::from_secs(1);

/// A connection is not pushed out sooner after its beginning or its last query: time for a client across the
/// world to send its first, so that a flood of newcomers does not push out those who came just before. Our choice.
const LEAST_IDLE: Duration = Duration::from_millis(250);

/// Longest-idle connections that one look at all of them finds; looks cost time when there are many.
const PER_LOOK: usize = 64;

/// After a look that found none.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

//----------- Gate -----------------------------------------------------------

/// Counts open connections and turns away those above the limits.
#[derive(Debug)]
pub struct Gate {
    max: usize,
    max_per_client: usize,
    /// What [`Seat::since`] counts from.
    epoch: Instant,
    n_open: AtomicUsize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    by_client: HashMap<IpAddr, usize>,
    seats: HashMap<u64, Arc<Seat>>,
    next_number: u64,
    /// What the last look at all seats found: since when, number; the longest idle last.
    idle: Vec<(u64, u64)>,
    /// No look before this time, in milliseconds of the epoch.
    next_look: u64,
}

#[derive(Debug)]
struct Seat {
    /// Beginning or last query, in milliseconds of the epoch.
    since: AtomicU64,
    /// Told once, when the seat has gone to somebody else.
    displaced: Notify,
    client: Mutex<Option<IpAddr>>,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    number: u64,
    seat: Arc<Seat>,
}

impl Gate {
    /// At most `max` connections, of which at most `max_per_client` of one client.
    pub fn new(max: usize, max_per_client: usize) -> Gate {
        let (n_open, open) = (AtomicUsize::new(0), Mutex::default());
        Gate { max, max_per_client, epoch: Instant::now(), n_open, open }
    }

    /// Asks for one more connection of the client at `addr`.
    ///
    /// # Errors
    /// [`Connection::RefusedFull`] or [`Connection::RefusedClient`].
    pub fn enter(self: &Arc<Gate>, addr: IpAddr, now: Instant) -> Result<Permit, Connection> {
        self.seat(Some(client_of(addr)), now)
    }

    /// Asks for one more connection of a proxy, whose client is named afterwards.
    ///
    /// # Errors
    /// [`Connection::RefusedFull`].
    pub fn enter_unnamed(self: &Arc<Gate>, now: Instant) -> Result<Permit, Connection> {
        self.seat(None, now)
    }

    fn seat(self: &Arc<Gate>, client: Option<IpAddr>, now: Instant) -> Result<Permit, Connection> {
        let now = self.millis(now);
        let mut open = self.lock();
        if let Some(client) = client {
            // First: somebody with too many connections shall not push out others.
            if open.by_client.get(&client).is_some_and(|n| *n >= self.max_per_client) {
                return Err(Connection::RefusedClient);
            }
        }
        if open.seats.len() >= self.max && !open.displace(now) {
            return Err(Connection::RefusedFull);
        }
        if let Some(client) = client {
            *open.by_client.entry(client).or_default() += 1;
        }
        let number = open.next_number;
        open.next_number += 1;
        let seat = Seat { since: AtomicU64::new(now), displaced: Notify::new(), client: Mutex::new(client) };
        let seat = Arc::new(seat);
        open.seats.insert(number, seat.clone());
        self.n_open.store(open.seats.len(), Ordering::Relaxed);
        Ok(Permit { gate: self.clone(), number, seat })
    }

    /// Open connections.
    pub fn n_open(&self) -> usize {
        self.n_open.load(Ordering::Relaxed)
    }

    /// Whether more than three quarters are taken: time to wait less for idle clients.
    pub fn is_crowded(&self) -> bool {
        self.n_open() * 4 > self.max * 3
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.epoch).as_millis() as u64
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing that holds the lock can panic half-way; a poisoned count is still a count.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    /// Takes the seat of the connection that is idle for the longest, if one is.
    fn displace(&mut self, now: u64) -> bool {
        for looked in [false, true] {
            while let Some((since, number)) = self.idle.pop() {
                let is_idle_still = |seat: &Arc<Seat>| seat.since.load(Ordering::Relaxed) == since;
                if self.seats.get(&number).is_some_and(is_idle_still)
                    && let Some(seat) = self.remove(number)
                {
                    seat.displaced.notify_one();
                    return true;
                }
            }
            if looked || now < self.next_look {
                break;
            }
            let long_ago = now.saturating_sub(LEAST_IDLE.as_millis() as u64);
            let all = self.seats.iter().map(|(number, seat)| (seat.since.load(Ordering::Relaxed), *number));
            self.idle.extend(all.filter(|(since, _)| *since < long_ago));
            self.idle.sort_unstable_by(|a, b| b.cmp(a));
            self.idle.drain(..self.idle.len().saturating_sub(PER_LOOK));
            if self.idle.is_empty() {
                self.next_look = now + LOOK_AGAIN.as_millis() as u64;
            }
        }
        false
    }

    fn remove(&mut self, number: u64) -> Option<Arc<Seat>> {
        let seat = self.seats.remove(&number)?;
        let client = *seat.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = client
            && let Some(n) = self.by_client.get_mut(&client)
        {
            *n -= 1;
            if *n == 0 {
                self.by_client.remove(&client);
            }
        }
        Some(seat)
    }
}

//----------- Permit ---------------------------------------------------------

impl Permit {
    /// Says whose connection it is, for one that began with [`Gate::enter_unnamed`].
    ///
    /// # Errors
    /// [`Connection::RefusedClient`] if that client has too many.
    pub fn name(&self, addr: IpAddr) -> Result<(), Connection> {
        let client = client_of(addr);
        let mut open = self.gate.lock();
        if !open.seats.contains_key(&self.number) {
            return Ok(()); // has lost its seat and is about to hear of it
        }
        let of_client = open.by_client.entry(client).or_default();
        if *of_client >= self.gate.max_per_client {
            return Err(Connection::RefusedClient);
        }
        *of_client += 1;
        *self.seat.client.lock().unwrap_or_else(PoisonError::into_inner) = Some(client);
        Ok(())
    }

    /// Notes that a query has been answered: the connection is worth its place.
    pub fn touch(&self, now: Instant) {
        self.seat.since.store(self.gate.millis(now), Ordering::Relaxed);
    }

    /// Waits until the place has gone to somebody else, after which the connection is to end at once. Ready once.
    pub fn displaced(&self) -> impl Future<Output = ()> {
        self.seat.displaced.notified()
    }

    /// Whether the gate is crowded: the client should be told to close the connection rather than wait.
    pub fn is_hurried(&self) -> bool {
        self.gate.is_crowded()
    }

    /// How long the connection may wait for a query now: `idle`, and less when the gate is crowded.
    pub fn patience(&self, idle: Duration) -> Duration {
        if self.gate.is_crowded() { idle.min(CROWDED_IDLE) } else { idle }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.gate.lock();
        open.remove(self.number);
        self.gate.n_open.store(open.seats.len(), Ordering::Relaxed);
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /56, which is what providers commonly give to one
/// site (RFC 6177).
pub(super) fn client_of(addr: IpAddr) -> IpAddr {
    match addr.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 72 << 72).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn limits_hold_and_permits_come_back() {
        let (gate, now) = (Arc::new(Gate::new(3, 2)), Instant::now());
        let first = gate.enter(addr("2001:db8:0:aa00::1"), now).unwrap();
        let second = gate.enter(addr("2001:db8:0:aaff::2"), now).unwrap();
        assert_eq!(gate.enter(addr("2001:db8:0:aa12::3"), now).unwrap_err(), Connection::RefusedClient, "same /56");
        let third = gate.enter(addr("2001:db8:0:ab00::1"), now).unwrap();
        assert_eq!(gate.enter(addr("192.0.2.1"), now).unwrap_err(), Connection::RefusedFull);
        assert!(gate.is_crowded());
        assert_eq!(first.patience(Duration::from_secs(9)), CROWDED_IDLE);
        drop((first, second, third));
        assert_eq!((gate.n_open(), gate.lock().by_client.len()), (0, 0));
        let one = gate.enter(addr("192.0.2.1"), now).unwrap();
        assert_eq!(one.patience(Duration::from_secs(9)), Duration::from_secs(9));
        let _two = gate.enter(addr("::ffff:192.0.2.1"), now).unwrap();
        assert_eq!(gate.enter(addr("192.0.2.1"), now).unwrap_err(), Connection::RefusedClient, "mapped is the same");
        assert!(gate.enter(addr("192.0.2.2"), now).is_ok());
    }

    /// The place of the one that is idle for the longest, and its count, go to the newcomer; others stay.
    #[test]
    fn the_longest_idle_gives_its_place() {
        let gate = Arc::new(Gate::new(3, 2));
        let at = |millis| gate.epoch + Duration::from_millis(millis);
        let enter = |ip: &str, millis| gate.enter(addr(ip), at(millis));
        let was_displaced = |permit: &Permit| {
            let mut told = std::pin::pin!(permit.displaced());
            told.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_ready()
        };
        let (a, b, c) =
            (enter("192.0.2.1", 0).unwrap(), enter("192.0.2.2", 1).unwrap(), enter("192.0.2.3", 2).unwrap());
        assert_eq!(enter("192.0.2.4", 100).unwrap_err(), Connection::RefusedFull, "nobody is idle for long enough");
        a.touch(at(5000));
        let d = enter("192.0.2.4", 6000).unwrap();
        assert_eq!([&a, &b, &c, &d].map(was_displaced), [false, true, false, false]);
        c.touch(at(6001)); // after it was found idle
        let e = enter("192.0.2.5", 7000).unwrap();
        assert_eq!([&a, &c, &d, &e].map(was_displaced), [true, false, false, false]);
        drop((a, b));
        assert_eq!((gate.n_open(), gate.lock().by_client.len()), (3, 3), "their places were given already");
        let (_f, _g) = (enter("192.0.2.5", 9000).unwrap(), enter("192.0.2.6", 9000).unwrap());
        assert_eq!(gate.n_open(), 3);
        assert_eq!(enter("192.0.2.5", 9999).unwrap_err(), Connection::RefusedClient, "pushes out nobody");
    }

    #[test]
    fn a_proxy_s_client_is_counted_when_it_is_named() {
        let (gate, now) = (Arc::new(Gate::new(9, 1)), Instant::now());
        let (a, b) = (gate.enter_unnamed(now).unwrap(), gate.enter_unnamed(now).unwrap());
        assert_eq!(a.name(addr("192.0.2.1")), Ok(()));
        assert_eq!(b.name(addr("192.0.2.1")), Err(Connection::RefusedClient));
        drop(a);
        assert_eq!(b.name(addr("192.0.2.1")), Ok(()));
        drop(b);
        assert_eq!((gate.n_open(), gate.lock().by_client.len()), (0, 0));
    }
}
