//! Active probes: the server itself asks each POP, as its policy says, whether anybody answers there.
//!
//! ```text
//! policies ──schedule──▶ who is due ──ask──▶ TCP, TLS, HTTP/1.1, gRPC ──▶ Found ──▶ ledger
//!   live                                                                              │ control: rise, fall, quorum
//!                                                                                     ╰ metrics, state, log
//! ```
//!
//! A probe is one connection and one question. It ends by its deadline whatever the other side does: what is read is
//! bounded, no redirect is followed, nothing is kept open. What is wrong here (no descriptor left, a source address that is
//! not ours, no authorities) is no outcome: it is shown, and no POP suffers for it.
//!
//! Everything runs on the runtime of gRPC and HTTP, never on a thread that answers queries.

mod ask;
mod config;
mod ledger;
pub mod live;
mod schedule;
mod tls;

pub use config::{Config, is_place};
pub use ledger::{Ledger, Outcome, Record};

use std::fmt;
use std::sync::Arc;

//----------- What -----------------------------------------------------------

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// As it should.
    Well,
    /// The connection was refused or cut.
    Refused,
    /// No way leads there.
    Unreachable,
    /// It was not over in time.
    TimedOut,
    /// The certificate is not to be believed, or is somebody else's.
    Certificate,
    /// TLS failed otherwise.
    Tls,
    /// What came back is not what is spoken there.
    Protocol,
    /// HTTP answered with another status.
    Status,
    /// The body lacks what it has to have.
    Body,
    /// More came than a probe reads.
    TooLong,
    /// gRPC says that the service does not serve.
    NotServing,
    /// Somebody else found that it failed.
    Reported,
    /// It could not be made, for a reason of ours: no outcome.
    NotMade,
}

impl What {
    /// All of them.
    pub const ALL: [What; 13] = [
        What::Well,
        What::Refused,
        What::Unreachable,
        What::TimedOut,
        What::Certificate,
        What::Tls,
        What::Protocol,
        What::Status,
        What::Body,
        What::TooLong,
        What::NotServing,
        What::Reported,
        What::NotMade,
    ];

    /// A word for labels.
    pub fn label(self) -> &'static str {
        match self {
            What::Well => "well",
            What::Refused => "refused",
            What::Unreachable => "unreachable",
            What::TimedOut => "timed-out",
            What::Certificate => "certificate",
            What::Tls => "tls",
            What::Protocol => "protocol",
            What::Status => "status",
            What::Body => "body",
            What::TooLong => "too-long",
            What::NotServing => "not-serving",
            What::Reported => "reported",
            What::NotMade => "not-made",
        }
    }

    /// The same in a sentence: "its probes fail: …".
    pub fn words(self) -> &'static str {
        match self {
            What::Well => "all well",
            What::Refused => "connection refused",
            What::Unreachable => "unreachable",
            What::TimedOut => "no answer in time",
            What::Certificate => "wrong certificate",
            What::Tls => "TLS failed",
            What::Protocol => "not the protocol",
            What::Status => "wrong status",
            What::Body => "wrong body",
            What::TooLong => "too long an answer",
            What::NotServing => "not serving",
            What::Reported => "as others report",
            What::NotMade => "could not be made",
        }
    }

    /// Its position in [`What::ALL`].
    pub fn idx(self) -> usize {
        self as usize
    }
}

//----------- Found ----------------------------------------------------------

/// How a probe ended, and in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// How.
    pub what: What,
    /// What was found, one line; empty if all is well.
    pub text: String,
}

/// Characters of a text: what others say in it (certificates, errors) has no bounds of its own.
const MOST_TEXT: usize = 200;

impl Found {
    fn well() -> Found {
        Found { what: What::Well, text: String::new() }
    }

    fn bad(what: What, text: impl fmt::Display) -> Found {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text: String = text.to_string().chars().take(MOST_TEXT).map(plain).collect();
        Found { what, text }
    }
}

/// The name of this vantage point: as configured, else the host's.
pub fn place(config: &Config) -> Arc<str> {
    if !config.place.is_empty() {
        return config.place.as_str().into();
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if is_place(name) { name.into() } else { "here".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_order_and_texts_are_bounded() {
        assert!(What::ALL.iter().enumerate().all(|(i, what)| what.idx() == i));
        let found = Found::bad(What::Tls, "a\nb\u{1b}[31m".repeat(100));
        assert_eq!(found.text.chars().count(), MOST_TEXT);
        assert!(!found.text.contains(char::is_control));
    }
}
