//! How many connections there may be, in all and per client; one gate for all stream listeners.

use crate::exchange::Connection;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

//----------- Gate -----------------------------------------------------------

/// Counts open connections and turns away those above the limits.
#[derive(Debug)]
pub struct Gate {
    max: usize,
    max_per_client: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
}

/// The right to one connection; given back when dropped.
#[derive(Debug)]
pub struct Permit {
    gate: Arc<Gate>,
    client: IpAddr,
}

impl Gate {
    /// At most `max` connections, of which at most `max_per_client` of one client.
    pub fn new(max: usize, max_per_client: usize) -> Gate {
        Gate { max, max_per_client, open: Mutex::default() }
    }

    /// Asks for one more connection of the client at `addr`.
    ///
    /// # Errors
    /// [`Connection::RefusedFull`] or [`Connection::RefusedClient`].
    pub fn enter(self: &Arc<Gate>, addr: IpAddr) -> Result<Permit, Connection> {
        let client = client_of(addr);
        let mut open = self.lock();
        if open.total >= self.max {
            return Err(Connection::RefusedFull);
        }
        let of_client = open.by_client.entry(client).or_default();
        if *of_client >= self.max_per_client {
            return Err(Connection::RefusedClient);
        }
        *of_client += 1;
        open.total += 1;
        Ok(Permit { gate: self.clone(), client })
    }

    /// Open connections.
    pub fn n_open(&self) -> usize {
        self.lock().total
    }

    /// Whether more than three quarters are taken: time to wait less for idle clients.
    pub fn is_crowded(&self) -> bool {
        self.n_open() > self.max / 4 * 3
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Nothing that holds the lock can panic half-way; a poisoned count is still a count.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.gate.lock();
        open.total -= 1;
        if let Some(n) = open.by_client.get_mut(&self.client) {
            *n -= 1;
            if *n == 0 {
                open.by_client.remove(&self.client);
            }
        }
    }
}

/// What counts as one client: an IPv4 address, or an IPv6 /56, which is what providers commonly give to one
/// site (RFC 6177).
fn client_of(addr: IpAddr) -> IpAddr {
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
        let gate = Arc::new(Gate::new(3, 2));
        let first = gate.enter(addr("2001:db8:0:aa00::1")).unwrap();
        let second = gate.enter(addr("2001:db8:0:aaff::2")).unwrap();
        assert_eq!(gate.enter(addr("2001:db8:0:aa12::3")).unwrap_err(), Connection::RefusedClient, "same /56");
        let third = gate.enter(addr("2001:db8:0:ab00::1")).unwrap();
        assert_eq!(gate.enter(addr("192.0.2.1")).unwrap_err(), Connection::RefusedFull);
        assert!(gate.is_crowded());
        drop((first, second, third));
        assert_eq!((gate.n_open(), gate.lock().by_client.len()), (0, 0));
        let _one = gate.enter(addr("192.0.2.1")).unwrap();
        let _two = gate.enter(addr("::ffff:192.0.2.1")).unwrap();
        assert_eq!(gate.enter(addr("192.0.2.1")).unwrap_err(), Connection::RefusedClient, "mapped is the same");
        assert!(gate.enter(addr("192.0.2.2")).is_ok());
    }
}
