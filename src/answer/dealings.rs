//! What passes between this server and others about whole zones, counted: transfers, notifications, updates, and how fresh the
//! copies of others' zones are.
//!
//! These are rare beside queries, so that one set of counters serves all threads. Counts are since the process began; what is
//! known of zones is replaced as a whole when it has changed, by the one loop that looks after them, and read by metrics.

use crate::answer::errand::{Asked, Refusal, Why};
use crate::wire::tsig;
use crate::wire::{Name, Rcode};
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

//----------- What is counted ------------------------------------------------

/// What a transfer that goes out consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The whole zone, asked for by AXFR.
    Axfr,
    /// Differences, asked for by IXFR.
    Differences,
    /// The whole zone, for an IXFR whose version is not remembered (RFC 1995 section 4).
    Whole,
    /// The SOA alone: there is nothing newer.
    Current,
}

impl Sent {
    /// All of them, in the order of the counters.
    pub const ALL: [Sent; 4] = [Sent::Axfr, Sent::Differences, Sent::Whole, Sent::Current];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Sent::Axfr => "axfr",
            Sent::Differences => "ixfr",
            Sent::Whole => "ixfr-whole",
            Sent::Current => "ixfr-current",
        }
    }
}

/// What a look at a primary came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing newer.
    Current,
    /// A whole zone.
    Whole,
    /// Differences.
    Differences,
    /// No connection, or it was cut.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// TLS was not agreed on, or the certificate is not the one that is asked for.
    Tls,
    /// An RCODE other than NOERROR.
    Refused,
    /// A signature that is missing or wrong.
    Signature,
    /// Something that is no transfer, or no zone.
    Malformed,
    /// It could not be written down here.
    NotKept,
}

impl Look {
    /// All of them, in the order of the counters.
    pub const ALL: [Look; 10] = [
        Look::Current,
        Look::Whole,
        Look::Differences,
        Look::Unreachable,
        Look::TimedOut,
        Look::Tls,
        Look::Refused,
        Look::Signature,
        Look::Malformed,
        Look::NotKept,
    ];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Look::Current => "current",
            Look::Whole => "whole",
            Look::Differences => "differences",
            Look::Unreachable => "unreachable",
            Look::TimedOut => "timed-out",
            Look::Tls => "tls",
            Look::Refused => "refused",
            Look::Signature => "signature",
            Look::Malformed => "malformed",
            Look::NotKept => "not-kept",
        }
    }
}

/// The labels of reasons to refuse, in the order of the counters.
const REASONS: [&str; 7] = ["badsig", "badkey", "badtime", "badtrunc", "no-grant", "not-encrypted", "busy"];

fn reason(why: Why) -> usize {
    match why {
        Why::Signature(tsig::Error::BadSig) => 0,
        Why::Signature(tsig::Error::BadKey) => 1,
        Why::Signature(tsig::Error::BadTime) => 2,
        Why::Signature(tsig::Error::BadTrunc) => 3,
        Why::NoGrant => 4,
        Why::NotEncrypted => 5,
        Why::Busy => 6,
    }
}

/// The copy of another server's zone. Moments are seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copy {
    /// Its serial; `None` while there is none.
    pub serial: Option<u32>,
    /// When a primary was last heard to have nothing newer; 0 for never.
    pub checked: u64,
    /// When a primary is looked at next.
    pub refresh: u64,
    /// When the copy is served no more; `u64::MAX` while there is none.
    pub expires: u64,
    /// Looks that have failed since the last good one.
    pub n_failed: u32,
}

//----------- Dealings -------------------------------------------------------

/// The counters, and what is known of zones.
#[derive(Debug, Default)]
pub struct Dealings {
    sent: [Ends; Sent::ALL.len()],
    looks: [AtomicU64; Look::ALL.len()],
    refused: [[AtomicU64; REASONS.len()]; Asked::ALL.len()],
    notified: [AtomicU64; 2],
    told: [AtomicU64; 2],
    updates: [AtomicU64; Rcode::ALL.len()],
    copies: ArcSwap<BTreeMap<Name, Copy>>,
    journals: ArcSwap<BTreeMap<Name, u64>>,
}

/// How transfers ended.
#[derive(Debug, Default)]
struct Ends {
    finished: AtomicU64,
    cut: AtomicU64,
}

impl Dealings {
    /// Counts what a look at a primary came to.
    pub fn looked(&self, look: Look) {
        self.looks[look as usize].fetch_add(1, Relaxed);
    }

    /// Looks by what they came to, in the order of [`Look::ALL`].
    pub fn looks(&self) -> [u64; Look::ALL.len()] {
        std::array::from_fn(|i| self.looks[i].load(Relaxed))
    }

    /// Transfers that went out, by kind: finished, and cut off before their end.
    pub fn transfers(&self) -> impl Iterator<Item = (Sent, u64, u64)> {
        Sent::ALL
            .into_iter()
            .zip(&self.sent)
            .map(|(kind, ends)| (kind, ends.finished.load(Relaxed), ends.cut.load(Relaxed)))
    }

    /// Counts a refusal.
    pub fn refuse(&self, refusal: &Refusal) {
        self.refused[refusal.what as usize][reason(refusal.why)].fetch_add(1, Relaxed);
    }

    /// Refusals by what was asked for and the reason's label.
    pub fn refusals(&self) -> impl Iterator<Item = (Asked, &'static str, u64)> {
        let of = |(asked, by_reason): (Asked, &[AtomicU64; REASONS.len()])| {
            let counts: [u64; REASONS.len()] = std::array::from_fn(|i| by_reason[i].load(Relaxed));
            REASONS.into_iter().zip(counts).map(move |(reason, n)| (asked, reason, n))
        };
        Asked::ALL.into_iter().zip(&self.refused).flat_map(of)
    }

    /// Counts a NOTIFY that came and was let in; `is_taken`: whether there was room for what is to be done about it.
    pub fn notified(&self, is_taken: bool) {
        self.notified[usize::from(is_taken)].fetch_add(1, Relaxed);
    }

    /// NOTIFYs that were let in: dropped for want of room, and taken.
    pub fn notifies(&self) -> [u64; 2] {
        std::array::from_fn(|i| self.notified[i].load(Relaxed))
    }

    /// Counts a secondary that was to hear of a change; `has_heard`: whether it said so, in any of the tries.
    pub fn told(&self, has_heard: bool) {
        self.told[usize::from(has_heard)].fetch_add(1, Relaxed);
    }

    /// Secondaries that were to hear of changes: that did not, and that did.
    pub fn tellings(&self) -> [u64; 2] {
        std::array::from_fn(|i| self.told[i].load(Relaxed))
    }

    /// Counts an update that was let in, by its reply.
    pub fn updated(&self, rcode: Rcode) {
        self.updates[rcode.idx()].fetch_add(1, Relaxed);
    }

    /// Updates that were let in, by the RCODE of their reply.
    pub fn updates(&self) -> impl Iterator<Item = (Rcode, u64)> {
        Rcode::ALL.into_iter().zip(&self.updates).map(|(rcode, n)| (rcode, n.load(Relaxed)))
    }

    /// Replaces what is known of the zones from elsewhere.
    pub fn note_copies(&self, copies: BTreeMap<Name, Copy>) {
        self.copies.store(Arc::new(copies));
    }

    /// The zones from elsewhere.
    pub fn copies(&self) -> Arc<BTreeMap<Name, Copy>> {
        self.copies.load_full()
    }

    /// Replaces the octets of the journals.
    pub fn note_journals(&self, journals: BTreeMap<Name, u64>) {
        self.journals.store(Arc::new(journals));
    }

    /// Octets of each journal.
    pub fn journals(&self) -> Arc<BTreeMap<Name, u64>> {
        self.journals.load_full()
    }
}

//----------- Counted --------------------------------------------------------

/// Counts one transfer that goes out, when it has ended: as cut off, unless it was told to have finished.
#[derive(Debug, Default)]
pub struct Counted(Option<(Arc<Dealings>, Sent)>);

impl Counted {
    /// For a transfer of this kind.
    pub fn new(dealings: Arc<Dealings>, kind: Sent) -> Counted {
        Counted(Some((dealings, kind)))
    }

    /// The last message has been composed.
    pub fn finish(&mut self) {
        if let Some((dealings, kind)) = self.0.take() {
            dealings.sent[kind as usize].finished.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some((dealings, kind)) = self.0.take() {
            dealings.sent[kind as usize].cut.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of `ALL` is the order of the counters, and every event has one of its own.
    #[test]
    fn every_event_has_its_own_counter() {
        assert!(Sent::ALL.iter().enumerate().all(|(i, kind)| *kind as usize == i));
        assert!(Look::ALL.iter().enumerate().all(|(i, look)| *look as usize == i));
        assert!(Asked::ALL.iter().enumerate().all(|(i, asked)| *asked as usize == i));
        let dealings = Arc::new(Dealings::default());
        Look::ALL.into_iter().for_each(|look| dealings.looked(look));
        for kind in Sent::ALL {
            drop(Counted::new(dealings.clone(), kind));
            (0..2).for_each(|_| Counted::new(dealings.clone(), kind).finish());
        }
        let whys = tsig::Error::ALL.into_iter().map(Why::Signature).chain([Why::NoGrant, Why::NotEncrypted, Why::Busy]);
        let whys: Vec<Why> = whys.collect();
        for (what, why) in Asked::ALL.into_iter().flat_map(|what| whys.iter().map(move |why| (what, *why))) {
            dealings.refuse(&Refusal { what, name: Name::root(), key: None, why });
        }
        assert_eq!(dealings.looks(), [1; Look::ALL.len()]);
        assert!(dealings.transfers().all(|(_, finished, cut)| (finished, cut) == (2, 1)));
        assert!(dealings.refusals().all(|(_, _, n)| n == 1));
        assert_eq!(dealings.refusals().count(), Asked::ALL.len() * whys.len());
    }
}
