//! From a thread that answers to the writer: a fixed number of events that go round and round.
//!
//! Full events go one way, empty ones come back; neither side ever waits for the other, and nothing is allocated once an event's
//! buffers have grown to what messages need.

use crate::exchange::Transport;
use crate::transport::handler::Peer;
use crate::transport::tap::message::Event;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::UNIX_EPOCH;

/// Octets that each buffer starts with: all queries and nearly all responses over UDP.
const ROOM: usize = 1280;

/// The side of the thread that answers.
#[derive(Debug)]
pub struct Giver {
    empty: Receiver<Box<Event>>,
    full: SyncSender<Box<Event>>,
}

/// The side of the writer.
#[derive(Debug)]
pub struct Taker {
    full: Receiver<Box<Event>>,
    empty: SyncSender<Box<Event>>,
}

/// A queue of `n` events.
pub fn queue(n: usize) -> (Giver, Taker) {
    let ((full, fulls), (empty, empties)) = (sync_channel(n), sync_channel(n));
    for _ in 0..n {
        let event = Event {
            peer: Peer::new(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0), Transport::Udp),
            begun: UNIX_EPOCH,
            ended: UNIX_EPOCH,
            generation: 0,
            query: Vec::with_capacity(ROOM),
            response: Vec::with_capacity(ROOM),
        };
        // There is room for all n, and the receiver is right here.
        let _ = empty.try_send(Box::new(event));
    }
    (Giver { empty: empties, full }, Taker { full: fulls, empty })
}

impl Giver {
    /// Has the next event filled and hands it on; `false` if none is free.
    pub fn give(&self, fill: impl FnOnce(&mut Event)) -> bool {
        let Ok(mut event) = self.empty.try_recv() else { return false };
        fill(&mut event);
        self.full.try_send(event).is_ok()
    }
}

impl Taker {
    /// Shows what waits, oldest first, up to `most` events; returns how many there were.
    pub fn take(&self, most: usize, mut look: impl FnMut(&Event)) -> usize {
        let mut n = 0;
        while n < most
            && let Ok(event) = self.full.try_recv()
        {
            look(&event);
            n += 1;
            // As many empty ones as there ever were: there is room. The giver may be gone, which is no loss.
            let _ = self.empty.try_send(event);
        }
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_turned_away_and_what_was_taken_makes_room() {
        let (giver, taker) = queue(3);
        let give = |n: u64| giver.give(|event| event.generation = n);
        assert_eq!([give(1), give(2), give(3), give(4)], [true, true, true, false]);
        let mut seen = Vec::new();
        assert_eq!(taker.take(2, |event| seen.push(event.generation)), 2);
        assert_eq!([give(5), give(6), give(7)], [true, true, false]);
        assert_eq!(taker.take(9, |event| seen.push(event.generation)), 3);
        assert_eq!(seen, [1, 2, 3, 5, 6]);
    }

    /// Over and over, the same boxes: buffers that have grown stay.
    #[test]
    fn nothing_is_lost_or_made_on_the_way() {
        let (giver, taker) = queue(4);
        let giving = std::thread::spawn(move || {
            (0..10_000u64).filter(|n| giver.give(|event| event.generation = *n)).collect::<Vec<_>>()
        });
        let mut seen = Vec::new();
        while !giving.is_finished() {
            taker.take(100, |event| seen.push(event.generation));
        }
        taker.take(100, |event| seen.push(event.generation));
        assert_eq!(seen, giving.join().unwrap());
    }
}
