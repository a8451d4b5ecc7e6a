//! Signing: a request, the answer to one, or the many messages of a transfer.

use crate::wire::rtype;
use crate::wire::tsig::{AFTER_MAC, BEFORE_MAC, CLASS_ANY, Error, FUDGE, Key, Mac, Tsig, feed_mac, feed_variables};
use std::sync::Arc;

/// Signs messages one after another; the first is the request, or the answer to it.
#[derive(Clone, Debug)]
pub struct Seal {
    /// The owner of the record, its algorithm, and with what it is signed; an error may be told without a key.
    owner: Box<[u8]>,
    algorithm: Box<[u8]>,
    key: Option<Arc<Key>>,
    /// The MAC before: the request's, then the last message's.
    prior: Option<Mac>,
    /// Whether the next message is not the first.
    goes_on: bool,
    original_id: Option<u16>,
    fudge: u16,
    /// What the record says, where that is not now: errors repeat the time of the request (RFC 8945 section 5.2.3).
    time: Option<u64>,
    error: u16,
    /// The server's time, of BADTIME.
    other: Option<u64>,
}

impl Seal {
    /// The key that it signs with, if it does.
    pub fn key(&self) -> Option<&Arc<Key>> {
        self.key.as_ref()
    }

    /// Signs a request.
    pub fn request(key: Arc<Key>) -> Seal {
        Seal {
            owner: key.name.as_wire().into(),
            algorithm: key.algorithm.wire().into(),
            key: Some(key),
            prior: None,
            goes_on: false,
            original_id: None,
            fudge: FUDGE,
            time: None,
            error: 0,
            other: None,
        }
    }

    /// Signs the answer to a good request.
    pub(super) fn answering(key: Arc<Key>, mac: Mac, tsig: &Tsig) -> Seal {
        Seal { prior: Some(mac), original_id: Some(tsig.original_id), ..Seal::request(key) }
    }

    /// Signs an error whose request had the right MAC (RFC 8945 section 5.3.2).
    pub(super) fn of_error(key: Arc<Key>, mac: Mac, tsig: &Tsig, error: Error, now: u64) -> Seal {
        let is_time = error == Error::BadTime;
        Seal {
            time: is_time.then_some(tsig.time),
            other: is_time.then_some(now),
            error: error as u16,
            ..Seal::answering(key, mac, tsig)
        }
    }

    /// Tells an error without signing it, since there is nothing that both sides know (same section).
    pub(super) fn unsigned(owner: &[u8], algorithm: &[u8], tsig: &Tsig, error: Error) -> Seal {
        Seal {
            owner: owner.into(),
            algorithm: algorithm.into(),
            key: None,
            prior: None,
            goes_on: false,
            original_id: Some(tsig.original_id),
            fudge: tsig.fudge,
            time: Some(tsig.time),
            error: error as u16,
            other: None,
        }
    }

    /// Octets of the record that [`Seal::append`] appends.
    pub fn record_len(&self) -> usize {
        let mac = self.key.as_ref().map_or(0, |key| key.algorithm.mac_len());
        let other = self.other.map_or(0, |_| 6);
        self.owner.len() + 10 + self.algorithm.len() + BEFORE_MAC + mac + AFTER_MAC + other
    }

    /// The MAC of the message signed last, to hold the answer against; `None` if nothing was signed.
    pub fn last(&self) -> Option<Mac> {
        self.prior
    }

    /// Appends the record to the message in `out[..len]` and returns the new length. `now`: seconds since 1970.
    ///
    /// # Panics
    /// If there is no room of [`Seal::record_len`] octets behind the message, or that has no header.
    pub fn append(&mut self, out: &mut [u8], len: usize, now: u64) -> usize {
        let time = self.time.unwrap_or(now);
        let other = self.other.map(|secs| secs.to_be_bytes());
        let other = other.as_ref().map_or(&[][..], |octets| &octets[2..]);
        let id = self.original_id.unwrap_or_else(|| u16::from_be_bytes([out[0], out[1]]));
        let mac = self.key.as_ref().map_or(Mac::NONE, |key| {
            let mut context = key.begin();
            if let Some(prior) = &self.prior {
                feed_mac(&mut context, prior);
            }
            context.update(&id.to_be_bytes());
            context.update(&out[2..len]);
            let rest = (!self.goes_on).then_some((self.error, other));
            feed_variables(&mut context, key, (time, self.fudge), rest);
            Mac::of(context.sign().as_ref()).unwrap_or(Mac::NONE)
        });
        let rdata_len = self.algorithm.len() + BEFORE_MAC + mac.as_slice().len() + AFTER_MAC + other.len();
        let mut at = len;
        let mut write = |octets: &[u8]| {
            out[at..at + octets.len()].copy_from_slice(octets);
            at += octets.len();
        };
        write(&self.owner);
        write(&rtype::TSIG.to_be_bytes());
        write(&CLASS_ANY.to_be_bytes());
        write(&[0; 4]);
        write(&(rdata_len as u16).to_be_bytes());
        write(&self.algorithm);
        write(&time.to_be_bytes()[2..]);
        write(&self.fudge.to_be_bytes());
        write(&(mac.as_slice().len() as u16).to_be_bytes());
        write(mac.as_slice());
        write(&id.to_be_bytes());
        write(&self.error.to_be_bytes());
        write(&(other.len() as u16).to_be_bytes());
        write(other);
        let n_additional = u16::from_be_bytes([out[10], out[11]]).wrapping_add(1);
        out[10..12].copy_from_slice(&n_additional.to_be_bytes());
        (self.prior, self.goes_on) = (Some(mac), true);
        at
    }
}
