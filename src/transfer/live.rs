//! The loop: takes what the query path leaves to do, and sees to it.

use crate::answer::errand::{Errand, Refusal, Task, Why};
use crate::wire::tsig;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How long the same refusal of one client is not told again. Our choice: a secondary that is set up wrongly asks every
/// few minutes, an attacker without pause.
const QUIET: Duration = Duration::from_secs(60);
/// Most refusals that are remembered as told; beyond it none is told until they are forgotten.
const MOST_TOLD: usize = 256;

/// Does what comes, until the senders are gone.
pub async fn run(mut tasks: mpsc::Receiver<Task>) {
    let mut told = Told::default();
    while let Some(task) = tasks.recv().await {
        if let Errand::Tell(refusal) = &task.errand {
            told.tell(refusal, task.from, Instant::now());
        }
    }
}

//----------- Told -----------------------------------------------------------

/// Which refusals the operator has heard of.
#[derive(Default)]
struct Told {
    seen: HashMap<(IpAddr, Why), Instant>,
}

impl Told {
    fn tell(&mut self, refusal: &Refusal, from: SocketAddr, now: Instant) {
        if !self.is_news((from.ip(), refusal.why), now) {
            return;
        }
        let Refusal { what, name, key, why } = refusal;
        let key = key.as_ref().map_or_else(|| "not signed".to_string(), |key| format!("key {key}"));
        let why = match why {
            Why::Signature(tsig::Error::BadKey) => "NOTAUTH, BADKEY: no [[tsig]] has this name with this algorithm",
            Why::Signature(tsig::Error::BadSig) => {
                "NOTAUTH, BADSIG: the secret differs, or the message was changed on its way"
            }
            Why::Signature(tsig::Error::BadTime) => {
                "NOTAUTH, BADTIME: the clocks are too far apart, or the message is an old one"
            }
            Why::Signature(tsig::Error::BadTrunc) => "NOTAUTH, BADTRUNC: the MAC is shorter than least-mac-bits",
            Why::NoGrant => "REFUSED: no grant for this address and key",
            Why::NotEncrypted => "REFUSED: the zone leaves over TLS alone",
        };
        tracing::warn!("{} of {name} by {from} ({key}): {why}", what.word());
    }

    fn is_news(&mut self, what: (IpAddr, Why), now: Instant) -> bool {
        if self.seen.len() >= MOST_TOLD {
            self.seen.retain(|_, at| now.duration_since(*at) < QUIET);
        }
        match self.seen.get(&what) {
            Some(at) if now.duration_since(*at) < QUIET => false,
            _ if self.seen.len() >= MOST_TOLD => false,
            _ => {
                self.seen.insert(what, now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_not_told_again_soon() {
        let (mut told, now) = (Told::default(), Instant::now());
        let addr = |i: u32| IpAddr::from(i.to_be_bytes());
        assert!(told.is_news((addr(1), Why::NoGrant), now));
        assert!(!told.is_news((addr(1), Why::NoGrant), now + QUIET / 2));
        assert!(told.is_news((addr(1), Why::NotEncrypted), now));
        assert!(told.is_news((addr(1), Why::NoGrant), now + QUIET));
        let n_told = (2..1000).filter(|i| told.is_news((addr(*i), Why::NoGrant), now + QUIET)).count();
        assert!(n_told < MOST_TOLD && told.seen.len() <= MOST_TOLD);
    }
}
