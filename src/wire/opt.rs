//! The OPT record of a reply: which options, in which order, and the room they take.
//!
//! What the query asked for is settled before the first record goes in, and its room is set aside; so OPT always
//! stays (RFC 6891 section 7). Extended errors take what is left, and padding comes last, when the length is known.

use crate::wire::ede::{Ede, OPTION_EDE};
use crate::wire::edns::{Edns, OPTION_COOKIE, OPTION_KEEPALIVE, OPTION_NSID, OPTION_PADDING};
use crate::wire::{Rcode, rtype};

/// Octets of an OPT record without options.
pub const OPT_LEN: usize = 11;
/// Octets of an option without data.
pub const OPTION_LEN: usize = 4;
/// Octets of a client cookie and a server cookie of ours.
pub const COOKIE_LEN: usize = 24;
/// Padded replies are multiples of this many octets (RFC 8467 section 4.1).
const PAD_BLOCK: usize = 468;

//----------- Extras ---------------------------------------------------------

/// What a reply's OPT record holds beside flags, client subnet and extended error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras<'h> {
    /// Which server this is (RFC 5001).
    pub nsid: Option<&'h [u8]>,
    /// Client cookie and server cookie (RFC 7873).
    pub cookie: Option<[u8; COOKIE_LEN]>,
    /// How long the connection may be idle, in units of 100 ms (RFC 7828).
    pub keepalive: Option<u16>,
    /// Whether the reply is made as long as others are (RFC 7830).
    pub pads: bool,
}

impl Extras<'_> {
    /// Octets to set aside for the OPT record with these options and the client subnet of `edns`. Padding that does
    /// not fit is left out, so it takes no room.
    #[inline]
    pub fn opt_len(&self, edns: &Edns) -> usize {
        let of = |data: Option<usize>| data.map_or(0, |len| OPTION_LEN + len);
        OPT_LEN
            + edns.ecs.as_ref().map_or(0, |ecs| ecs.option_len())
            + of(self.nsid.map(<[u8]>::len))
            + of(self.cookie.map(|_| COOKIE_LEN))
            + of(self.keepalive.map(|_| 2))
    }
}

//----------- Opt ------------------------------------------------------------

/// The OPT record of a reply.
pub struct Opt<'a> {
    /// That of the query.
    pub edns: &'a Edns,
    /// The reply's RCODE, whose upper bits stand here.
    pub rcode: Rcode,
    /// What this server takes over UDP.
    pub udp_size: u16,
    /// Scope prefix length for the client subnet.
    pub scope: u8,
    /// See [`Extras`].
    pub extras: &'a Extras<'a>,
    /// Whether RCODEs are restored beside compact proofs (RFC 9824 section 5.1).
    pub compact: bool,
    /// The extended error, if there is one to tell.
    pub ede: Option<Ede>,
}

impl Opt<'_> {
    /// Writes the record at `start`, so that the message ends by `limit` when `tail` octets have followed, and
    /// returns its end. The room of [`Extras::opt_len`] must be there.
    #[inline]
    pub fn compose(&self, out: &mut [u8], start: usize, limit: usize, tail: usize) -> usize {
        let head = &mut out[start..start + OPT_LEN];
        head[0] = 0;
        head[1..3].copy_from_slice(&rtype::OPT.to_be_bytes());
        head[3..5].copy_from_slice(&self.udp_size.to_be_bytes());
        head[5] = (self.rcode.number() >> 4) as u8;
        head[6] = 0; // our version, the only one there is
        // DO is copied (RFC 3225 section 3), unknown flags are not (RFC 6891 section 6.1.4).
        head[7] = if self.edns.dnssec_ok { 0x80 } else { 0 } | if self.compact { 0x40 } else { 0 };
        head[8] = 0;
        let mut at = start + OPT_LEN;
        if let Some(ecs) = &self.edns.ecs {
            ecs.compose(self.scope, &mut out[at..at + ecs.option_len()]);
            at += ecs.option_len();
        }
        if self.ede.is_some() || !self.edns.asks.is_empty() {
            at = self.compose_rest(out, at, limit, tail);
        }
        let len = (at - start - OPT_LEN) as u16;
        out[start + 9..start + 11].copy_from_slice(&len.to_be_bytes());
        at
    }

    /// The options that most replies do not have.
    #[inline(never)]
    fn compose_rest(&self, out: &mut [u8], mut at: usize, limit: usize, tail: usize) -> usize {
        let limit = limit - tail;
        if let Some(cookie) = &self.extras.cookie {
            at = put(out, at, OPTION_COOKIE, [cookie, &[]]);
        }
        if let Some(nsid) = self.extras.nsid {
            at = put(out, at, OPTION_NSID, [nsid, &[]]);
        }
        if let Some(timeout) = self.extras.keepalive {
            at = put(out, at, OPTION_KEEPALIVE, [&timeout.to_be_bytes(), &[]]);
        }
        if let Some(ede) = self.ede {
            // The first to go where room is short: the text, then the option (RFC 8914 section 3).
            let (code, room) = (ede.code().to_be_bytes(), limit.saturating_sub(at));
            let text = [ede.text(), ""].into_iter().find(|text| OPTION_LEN + 2 + text.len() <= room);
            if let Some(text) = text {
                at = put(out, at, OPTION_EDE, [&code, text.as_bytes()]);
            }
        }
        if self.extras.pads && at + OPTION_LEN <= limit {
            let least = at + OPTION_LEN + tail;
            let total = least.next_multiple_of(PAD_BLOCK).min(limit + tail);
            at = put(out, at, OPTION_PADDING, [&[0; PAD_BLOCK][..total - least], &[]]);
        }
        at
    }
}

/// Writes one option, whose data is in two parts, at `at` and returns its end.
fn put(out: &mut [u8], at: usize, code: u16, parts: [&[u8]; 2]) -> usize {
    let (data, len) = (at + OPTION_LEN, parts[0].len() + parts[1].len());
    out[at..at + 2].copy_from_slice(&code.to_be_bytes());
    out[at + 2..data].copy_from_slice(&(len as u16).to_be_bytes());
    out[data..data + parts[0].len()].copy_from_slice(parts[0]);
    out[data + parts[0].len()..data + len].copy_from_slice(parts[1]);
    data + len
}
