//! Verifying: the answer to a signed request, be it one message or the many of a transfer.

use crate::wire::name::{MAX_NAME, expand};
use crate::wire::tsig::{Algorithm, Key, Mac, Seal, Tsig, feed_mac, feed_variables};
use crate::wire::{rtype, walk};
use ring::hmac;
use std::fmt;
use std::sync::Arc;

/// Most messages in a row without a signature (RFC 8945 section 5.3.1).
const MOST_UNSIGNED: usize = 99;

/// Why an answer is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// Its first message is not signed, or its last, or too many in between are not.
    Unsigned,
    /// The record is not well-formed, or of another key.
    Malformed,
    /// The MAC is not what the key makes of the message, or shorter than it must be.
    Mac,
    /// The clocks are too far apart.
    Time,
    /// The other side found fault with the request, by this error.
    Refused(u16),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Unsigned => f.write_str("the answer is not signed"),
            Wrong::Malformed => f.write_str("the signature is malformed or of another key"),
            Wrong::Mac => f.write_str("the signature does not verify: is the secret the same on both sides?"),
            Wrong::Time => f.write_str("the signature's time is too far from this clock"),
            Wrong::Refused(16) => f.write_str("the other side says BADSIG: is the secret the same there?"),
            Wrong::Refused(17) => f.write_str("the other side says BADKEY: it does not know the key, or its algorithm"),
            Wrong::Refused(18) => f.write_str("the other side says BADTIME: its clock differs too much"),
            Wrong::Refused(error) => write!(f, "the other side says TSIG error {error}"),
        }
    }
}

/// Holds the messages of an answer against the request.
pub struct Watch {
    key: Arc<Key>,
    context: hmac::Context,
    is_first: bool,
    n_unsigned: usize,
}

impl Watch {
    /// For the answer to what `seal` has signed; `None` if it has signed nothing.
    pub fn of(seal: &Seal, key: &Arc<Key>) -> Option<Watch> {
        let mut watch = Watch { key: key.clone(), context: key.begin(), is_first: true, n_unsigned: 0 };
        watch.begin(&seal.last()?);
        Some(watch)
    }

    fn begin(&mut self, prior: &Mac) {
        self.context = self.key.begin();
        feed_mac(&mut self.context, prior);
    }

    /// Takes the next message.
    ///
    /// # Errors
    /// [`Wrong`], after which nothing of the answer may be believed.
    pub fn take(&mut self, message: &[u8], now: u64) -> Result<(), Wrong> {
        if message.len() < 12 {
            return Err(Wrong::Malformed);
        }
        let Some(tsig) = last_tsig(message)? else {
            self.n_unsigned += 1;
            if self.is_first || self.n_unsigned > MOST_UNSIGNED {
                return Err(Wrong::Unsigned);
            }
            self.context.update(message);
            return Ok(());
        };
        let mut name = [0; MAX_NAME];
        let name = expand(message, tsig.start, &mut name).map_or(&b""[..], |(len, _)| &name[..len]);
        let is_ours = name == self.key.name.as_wire()
            && Algorithm::of_wire(&message[tsig.algorithm.clone()]) == Some(self.key.algorithm);
        match tsig.error {
            // Unsigned errors cannot be verified (RFC 8945 section 5.4.1), but this attempt is over whoever sent it.
            error if error != 0 => return Err(Wrong::Refused(error)),
            _ if !is_ours => return Err(Wrong::Malformed),
            _ => {}
        }
        let mac = tsig.mac(message).filter(|mac| mac.as_slice().len() >= self.key.least_mac).ok_or(Wrong::Mac)?;
        let mut context = std::mem::replace(&mut self.context, self.key.begin());
        tsig.feed_message(message, &mut context);
        let rest = self.is_first.then_some((tsig.error, &message[tsig.other.clone()]));
        feed_variables(&mut context, &self.key, (tsig.time, tsig.fudge), rest);
        if !mac.is_head_of(context.sign().as_ref()) {
            return Err(Wrong::Mac);
        }
        if now.abs_diff(tsig.time) > u64::from(tsig.fudge) {
            return Err(Wrong::Time);
        }
        self.begin(&mac);
        (self.is_first, self.n_unsigned) = (false, 0);
        Ok(())
    }

    /// Whether the answer may end here: its last message was signed (RFC 8945 section 5.3.1).
    pub fn is_settled(&self) -> bool {
        !self.is_first && self.n_unsigned == 0
    }
}

/// The TSIG record of a message, which is its last.
fn last_tsig(message: &[u8]) -> Result<Option<Tsig>, Wrong> {
    let mut last = None;
    for record in walk::records(message) {
        last = Some(record.ok_or(Wrong::Malformed)?);
    }
    let Some(record) = last.filter(|record| record.rtype == rtype::TSIG) else { return Ok(None) };
    let tsig = Tsig::parse(message, record.start, record.class, record.ttl, record.range());
    tsig.map(Some).ok_or(Wrong::Malformed)
}
