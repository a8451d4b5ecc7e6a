//! How many transfers are on their way out, in all and to one client.
//!
//! A transfer holds the version of the zone that it began with, until its client has read it all. So a client that reads slowly
//! keeps an old version in memory, and as many such clients as there are places are all that can. Those above the limits get
//! SERVFAIL, and come again by the zone's timers (RFC 1035 section 3.3.13).

use crate::exchange::rules::Outbound as Limits;
use crate::transport::gate::client_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

//----------- Outbound -------------------------------------------------------

/// Counts transfers on their way out.
#[derive(Debug, Default)]
pub struct Outbound {
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

/// The right to one transfer; given back when dropped.
#[derive(Debug)]
pub struct Place {
    outbound: Arc<Outbound>,
    client: IpAddr,
}

impl Outbound {
    /// Asks for one more transfer to the client at `addr`; `None` where there are too many.
    pub fn enter(self: &Arc<Outbound>, addr: IpAddr, limits: Limits) -> Option<Place> {
        let (client, mut by_client) = (client_of(addr), self.lock());
        let n_own = by_client.get(&client).copied().unwrap_or(0);
        // Clients are no more than places.
        if n_own >= limits.per_client || by_client.values().sum::<usize>() >= limits.all {
            return None;
        }
        by_client.insert(client, n_own + 1);
        Some(Place { outbound: self.clone(), client })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_client.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_client = self.outbound.lock();
        if let Some(n) = by_client.get_mut(&self.client) {
            *n -= 1;
            if *n == 0 {
                by_client.remove(&self.client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One client's limit leaves room for others, and what ends makes room.
    #[test]
    fn places_are_given_back() {
        let (outbound, limits) = (Arc::new(Outbound::default()), Limits { all: 3, per_client: 2 });
        let enter = |addr: &str| outbound.enter(addr.parse().unwrap(), limits);
        let (first, _second) = (enter("192.0.2.1").unwrap(), enter("::ffff:192.0.2.1").unwrap());
        assert!(enter("192.0.2.1").is_none(), "two to one client");
        let _third = enter("2001:db8::1").unwrap();
        assert!(enter("2001:db8::2").is_none(), "three in all");
        drop(first);
        let _fourth = enter("2001:db8::2").unwrap();
        assert!(enter("2001:db8::3").is_none());
        assert_eq!(outbound.lock().len(), 2);
    }
}
