//! Transaction signatures (RFC 8945).
//!
//! [`Tsig`] is the record as it stands in a message; [`check`] holds a request against the keys; [`Seal`] signs what is
//! answered, or sent, message after message; [`Watch`] holds the messages of the other side against the request that they
//! answer. Nothing here reads a clock: `now` is seconds since 1970.

mod key;
mod seal;
mod watch;

pub use key::{Algorithm, Key, Keys, MAX_MAC, Mac};
pub use seal::Seal;
pub use watch::{Watch, Wrong};

use crate::wire::Name;
use crate::wire::name::{MAX_NAME, expand};
use ring::hmac;
use std::ops::Range;
use std::sync::Arc;

/// Octets of the RDATA between algorithm name and MAC: time signed, fudge, MAC size.
const BEFORE_MAC: usize = 10;
/// Octets after the MAC without other data: original id, error, other length.
const AFTER_MAC: usize = 6;
/// The class of meta records.
const CLASS_ANY: u16 = 255;

/// How far two clocks may be apart, in seconds, where this side says so (RFC 8945 section 10 recommends it).
pub const FUDGE: u16 = 300;

//----------- Error ----------------------------------------------------------

/// What is wrong with a signature (RFC 8945 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Error {
    /// The MAC is not what the key makes of the message.
    BadSig = 16,
    /// The key is not known here, or goes with another algorithm.
    BadKey = 17,
    /// The clocks are too far apart, or the message is old.
    BadTime = 18,
    /// The MAC is right as far as it goes, and shorter than this key's must be.
    BadTrunc = 22,
}

impl Error {
    /// All of them, in the order of the books.
    pub const ALL: [Error; 4] = [Error::BadSig, Error::BadKey, Error::BadTime, Error::BadTrunc];

    /// The mnemonic.
    pub fn name(self) -> &'static str {
        match self {
            Error::BadSig => "BADSIG",
            Error::BadKey => "BADKEY",
            Error::BadTime => "BADTIME",
            Error::BadTrunc => "BADTRUNC",
        }
    }
}

//----------- Tsig -----------------------------------------------------------

/// The parts of a message's TSIG record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tsig {
    /// Where it starts, which is where its owner does: the key's name.
    pub start: usize,
    /// Where the algorithm's name is.
    algorithm: Range<usize>,
    /// Seconds since 1970 at which it was signed, 48 bits.
    pub time: u64,
    /// Seconds by which clocks may differ.
    pub fudge: u16,
    mac: Range<usize>,
    /// The message's id when it was signed: forwarders change it (RFC 8945 section 4.2).
    original_id: u16,
    /// An error of [`Error`], or another.
    pub error: u16,
    other: Range<usize>,
}

impl Tsig {
    /// Reads a TSIG record whose owner starts at `start` and whose RDATA is `rdata`. `None` if it is not
    /// well-formed: the algorithm's name must not be compressed, CLASS is ANY, TTL 0 (RFC 8945 section 4.2).
    pub fn parse(message: &[u8], start: usize, class: u16, ttl: u32, rdata: Range<usize>) -> Option<Tsig> {
        let algorithm = name_end(message, rdata.start, rdata.end)?;
        let number = |at: usize, n: usize| {
            let octets = message.get(at..at + n).filter(|_| at + n <= rdata.end)?;
            Some(octets.iter().fold(0u64, |value, octet| value << 8 | u64::from(*octet)))
        };
        let mac = algorithm + BEFORE_MAC;
        let after_mac = mac + number(mac - 2, 2)? as usize;
        let other = after_mac + AFTER_MAC;
        let end = other + number(other - 2, 2)? as usize;
        expand(message, start, &mut [0; MAX_NAME])?;
        (class == CLASS_ANY && ttl == 0 && end == rdata.end).then_some(Tsig {
            start,
            algorithm: rdata.start..algorithm,
            time: number(algorithm, 6)?,
            fudge: number(algorithm + 6, 2)? as u16,
            mac: mac..after_mac,
            original_id: number(after_mac, 2)? as u16,
            error: number(after_mac + 2, 2)? as u16,
            other: other..end,
        })
    }

    /// The name of the key; `message` must be the one that this was read from.
    pub fn owner(&self, message: &[u8]) -> Option<Name> {
        let mut name = [0; MAX_NAME];
        let (len, _) = expand(message, self.start, &mut name)?;
        Name::from_wire(&name[..len]).ok()
    }

    /// The message's MAC; `None` if no algorithm makes one as long.
    fn mac(&self, message: &[u8]) -> Option<Mac> {
        Mac::of(&message[self.mac.clone()])
    }

    /// Feeds a MAC with the message as it was when it was signed: without this record, and with its first id.
    fn feed_message(&self, message: &[u8], context: &mut hmac::Context) {
        let mut head = [0; 12];
        head.copy_from_slice(&message[..12]);
        head[..2].copy_from_slice(&self.original_id.to_be_bytes());
        let n_additional = u16::from_be_bytes([head[10], head[11]]).wrapping_sub(1);
        head[10..12].copy_from_slice(&n_additional.to_be_bytes());
        context.update(&head);
        context.update(&message[12..self.start]);
    }
}

/// Feeds a MAC with the variables of a TSIG record (RFC 8945 section 4.3.3); of all but the first message of several only
/// the timers (section 5.3.1).
fn feed_variables(context: &mut hmac::Context, key: &Key, (time, fudge): (u64, u16), rest: Option<(u16, &[u8])>) {
    if rest.is_some() {
        context.update(key.name.as_wire());
        context.update(&[0, 255, 0, 0, 0, 0]);
        context.update(key.algorithm.wire());
    }
    context.update(&time.to_be_bytes()[2..]);
    context.update(&fudge.to_be_bytes());
    if let Some((error, other)) = rest {
        context.update(&error.to_be_bytes());
        context.update(&(other.len() as u16).to_be_bytes());
        context.update(other);
    }
}

/// Feeds a MAC with the one before, its length first.
fn feed_mac(context: &mut hmac::Context, mac: &Mac) {
    let octets = mac.as_slice();
    context.update(&(octets.len() as u16).to_be_bytes());
    context.update(octets);
}

//----------- check ----------------------------------------------------------

/// What a request's signature was worth.
#[derive(Debug)]
pub enum Checked {
    /// It holds. The seal signs the answer.
    Good(Arc<Key>, Box<Seal>),
    /// It does not, for this reason; the seal of the answer, which is NOTAUTH, says so.
    Bad(Error, Box<Seal>),
    /// The MAC is longer than the algorithm makes it, or shorter than anybody may send it: FORMERR (RFC 8945 section
    /// 5.2.2.1).
    Malformed,
}

/// Holds a request against the keys, in the order of RFC 8945 section 5.2: key, MAC, time, truncation.
///
/// `message` must be the one that `tsig` was read from.
pub fn check(message: &[u8], tsig: &Tsig, keys: &Keys, now: u64) -> Checked {
    let mut name = [0; MAX_NAME];
    let name = expand(message, tsig.start, &mut name).map_or(&b""[..], |(len, _)| &name[..len]);
    let algorithm = &message[tsig.algorithm.clone()];
    let unsigned = |error| Checked::Bad(error, Box::new(Seal::unsigned(name, algorithm, tsig, error)));
    let Some(key) = keys.get(name).filter(|key| Algorithm::of_wire(algorithm) == Some(key.algorithm)) else {
        return unsigned(Error::BadKey);
    };
    let whole = key.algorithm.mac_len();
    let Some(mac) = tsig.mac(message).filter(|_| (10.max(whole / 2)..=whole).contains(&tsig.mac.len())) else {
        return Checked::Malformed;
    };
    let mut context = key.begin();
    tsig.feed_message(message, &mut context);
    feed_variables(&mut context, key, (tsig.time, tsig.fudge), Some((tsig.error, &message[tsig.other.clone()])));
    if !mac.is_head_of(context.sign().as_ref()) {
        return unsigned(Error::BadSig);
    }
    let signed = |error| Checked::Bad(error, Box::new(Seal::of_error(key.clone(), mac, tsig, error, now)));
    if now.abs_diff(tsig.time) > u64::from(tsig.fudge) {
        return signed(Error::BadTime);
    }
    if tsig.mac.len() < key.least_mac {
        return signed(Error::BadTrunc);
    }
    Checked::Good(key.clone(), Box::new(Seal::answering(key.clone(), mac, tsig)))
}

/// The end of an uncompressed name that starts at `at` and ends by `limit`.
fn name_end(message: &[u8], start: usize, limit: usize) -> Option<usize> {
    let mut at = start;
    while at < limit && at - start < 255 {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests;
