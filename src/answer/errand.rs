//! What a message asks for that is more than one reply at once: a transfer, an update, a look at another server.
//!
//! The way of a query decides whether it may be, and leaves the rest to the caller: see [`Scratch::take_errand`].

use crate::answer::Scratch;
use crate::answer::transfer::Outgoing;
use crate::wire::request::{HEADER, OPCODE, QR, RD};
use crate::wire::tsig::{self, Key, Seal};
use crate::wire::{Name, Rcode, rtype};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

//----------- Errand ---------------------------------------------------------

/// Something that is left to do. Only messages that were let in have one, but for [`Errand::Tell`].
#[derive(Debug)]
pub enum Errand {
    /// A transfer goes out, in place of the reply.
    Transfer(Box<Outgoing>),
    /// A zone is to be changed (RFC 2136); the reply comes of that.
    Update(Box<Update>),
    /// Another server says that a zone has changed (RFC 1996); that it was heard has been replied.
    Notify {
        /// The zone.
        apex: Name,
        /// The serial that it says the zone has now.
        serial: Option<u32>,
    },
    /// Somebody was refused, and the operator should hear of it; the reply is made.
    Tell(Refusal),
}

/// An update whose sender may change something in the zone; what, is for the grants to say.
#[derive(Debug)]
pub struct Update {
    /// The zone.
    pub apex: Name,
    /// The message as it came.
    pub message: Vec<u8>,
    /// The key that it is signed with.
    pub key: Arc<Key>,
    /// Signs the reply.
    pub seal: Box<Seal>,
}

impl Update {
    /// The reply: header, zone section, signature (RFC 2136 section 3.8). `now`: seconds since 1970.
    pub fn reply(mut self, rcode: Rcode, now: u64) -> Vec<u8> {
        let apex = self.apex.as_wire();
        let mut out = vec![0; HEADER];
        out[..2].copy_from_slice(&self.message[..2]);
        out[2] = QR | self.message[2] & (OPCODE | RD);
        out[3] = (rcode.number() & 0x0f) as u8;
        out[5] = 1;
        // As it was written: the first name of a message is not compressed.
        out.extend_from_slice(&self.message[HEADER..HEADER + apex.len()]);
        out.extend_from_slice(&rtype::SOA.to_be_bytes());
        out.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
        let len = out.len();
        out.resize(len + self.seal.record_len(), 0);
        self.seal.append(&mut out, len, now);
        out
    }
}

/// An errand on its way to who does it.
pub struct Task {
    /// What is to be done. Transfers do not come here.
    pub errand: Errand,
    /// Who asked.
    pub from: SocketAddr,
    /// Where the reply of an update goes.
    pub reply: Option<Box<dyn FnOnce(Vec<u8>) + Send>>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Task({:?} from {})", self.errand, self.from)
    }
}

/// Who was refused what, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What was asked for.
    pub what: Asked,
    /// Of which zone, or at which name.
    pub name: Name,
    /// The name of the key that the message was signed with, known or not.
    pub key: Option<Name>,
    /// Why.
    pub why: Why,
}

/// What a refusal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A question, signed.
    Query,
    /// AXFR or IXFR.
    Transfer,
    /// NOTIFY.
    Notify,
    /// UPDATE.
    Update,
}

impl Asked {
    /// All of them, in the order of the counters.
    pub const ALL: [Asked; 4] = [Asked::Query, Asked::Transfer, Asked::Notify, Asked::Update];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Asked::Query => "query",
            Asked::Transfer => "transfer",
            Asked::Notify => "notify",
            Asked::Update => "update",
        }
    }

    /// For the log.
    pub fn word(self) -> &'static str {
        match self {
            Asked::Query => "signed query",
            Asked::Transfer => "transfer",
            Asked::Notify => "NOTIFY",
            Asked::Update => "UPDATE",
        }
    }
}

/// Why something was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The signature does not hold.
    Signature(tsig::Error),
    /// No grant holds for this address and key.
    NoGrant,
    /// The zone leaves over TLS alone.
    NotEncrypted,
    /// There are too many transfers on their way out.
    Busy,
}

impl Scratch {
    /// What the last message has left to do.
    #[inline]
    pub fn take_errand(&mut self) -> Option<Box<Errand>> {
        self.errand.take()
    }
}
