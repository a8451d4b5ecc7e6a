//! How much a peer may send: a token bucket per peer.

use crate::telemetry::Voice;
use std::collections::HashMap;
use std::net::IpAddr;

/// Peers remembered; beyond, those that have been quiet are forgotten.
const MAX_PEERS: usize = 4096;

//----------- Meter ----------------------------------------------------------

/// Who is counted as one peer: everything from one address that speaks with one voice.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// The address it comes from; `None` where the transport has none.
    pub addr: Option<IpAddr>,
    /// For whom it speaks.
    pub voice: Voice,
}

/// Token buckets by peer: `rate` samples per second in the long run, `burst` at once.
#[derive(Debug)]
pub struct Meter {
    rate: f64,
    burst: f64,
    buckets: HashMap<Peer, Bucket>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    at: f64,
}

impl Meter {
    /// `rate` in samples per second and `burst` in samples, both above 0.
    pub fn new(rate: f64, burst: f64) -> Meter {
        Meter { rate, burst, buckets: HashMap::new() }
    }

    /// Whether `peer` may send one more sample at `now`, in monotonic seconds; counts it if so.
    pub fn allow(&mut self, peer: &Peer, now: f64) -> bool {
        if !self.buckets.contains_key(peer) {
            if self.buckets.len() >= MAX_PEERS {
                let (rate, burst) = (self.rate, self.burst);
                self.buckets.retain(|_, b| b.tokens + (now - b.at) * rate < burst);
            }
            if self.buckets.len() >= MAX_PEERS {
                return false;
            }
            self.buckets.insert(peer.clone(), Bucket { tokens: self.burst, at: now });
        }
        let Some(bucket) = self.buckets.get_mut(peer) else { return false };
        bucket.tokens = (bucket.tokens + (now - bucket.at).max(0.0) * self.rate).min(self.burst);
        bucket.at = now;
        let allowed = bucket.tokens >= 1.0;
        if allowed {
            bucket.tokens -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(i: u32) -> Peer {
        Peer { addr: Some(IpAddr::V4(i.into())), voice: Voice::Anyone }
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut meter = Meter::new(10.0, 20.0);
        let taken = (0..1000).filter(|_| meter.allow(&peer(1), 5.0)).count();
        assert_eq!(taken, 20);
        let taken = (0..1000).filter(|i| meter.allow(&peer(1), 5.0 + f64::from(*i) / 100.0)).count();
        assert!((99..=100).contains(&taken), "10 s at 10 per second: {taken}");
        assert!(meter.allow(&peer(2), 5.0), "others are not affected");
        assert!(meter.allow(&peer(2), 4.0), "a clock that stands still or goes back does no harm");
    }

    #[test]
    fn memory_is_bounded_and_quiet_peers_make_room() {
        let mut meter = Meter::new(10.0, 20.0);
        for i in 0..100_000 {
            meter.allow(&peer(i), 0.0);
        }
        assert_eq!(meter.buckets.len(), MAX_PEERS);
        assert!(!meter.allow(&peer(200_000), 0.0));
        assert!(meter.allow(&peer(200_000), 60.0));
        assert!(meter.buckets.len() < MAX_PEERS);
    }
}
