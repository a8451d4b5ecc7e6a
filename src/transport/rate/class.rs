//! The kinds of replies that are limited, and what stands in for one when there are too many.

use crate::wire::request::{HEADER, skip_name};
use crate::wire::rtype;

/// TC, in the third octet of the header (RFC 1035 section 4.1.1).
const TC: u8 = 0x02;

//----------- Class ----------------------------------------------------------

/// The kinds of replies, each with a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Data, an alias, a referral, or that there is no data of this type: something at a name that is there.
    Answer,
    /// A name that is not there; there is no end of such names.
    NxDomain,
    /// FORMERR, REFUSED, NOTIMP and all others.
    Error,
}

impl Class {
    /// All of them, in the order of the counters.
    pub const ALL: [Class; 3] = [Class::Answer, Class::NxDomain, Class::Error];

    /// The label that metrics use.
    pub fn label(self) -> &'static str {
        match self {
            Class::Answer => "answer",
            Class::NxDomain => "nxdomain",
            Class::Error => "error",
        }
    }

    /// By the reply's whole RCODE.
    pub fn of(rcode: u16) -> Class {
        match rcode {
            // YXDOMAIN: a DNAME's target that is too long (RFC 6672 section 2.2) is an answer of the DNAME.
            0 | 6 => Class::Answer,
            3 => Class::NxDomain,
            _ => Class::Error,
        }
    }
}

//----------- slip -----------------------------------------------------------

/// Turns a reply of ours into one that says "ask again over TCP": header with TC, question, OPT with all its options (a
/// cookie among them, so that the client has one the next time), and nothing else. Returns its length.
///
/// That is about as long as the query was, so there is nothing to gain from having it sent to somebody else.
pub fn slip(reply: &mut [u8]) -> usize {
    let Some(after) = skip_question(reply) else { return reply.len() };
    let opt = find_opt(reply, after);
    reply[2] |= TC;
    reply[6..HEADER].fill(0);
    let Some((start, end)) = opt else { return after };
    reply.copy_within(start..end, after);
    reply[11] = 1;
    after + (end - start)
}

/// The offset after the question, if there is one.
fn skip_question(message: &[u8]) -> Option<usize> {
    let header = message.first_chunk::<HEADER>()?;
    match u16::from_be_bytes([header[4], header[5]]) {
        0 => Some(HEADER),
        _ => skip_name(message, HEADER).map(|at| at + 4).filter(|at| *at <= message.len()),
    }
}

/// Where the OPT record begins and ends.
fn find_opt(message: &[u8], mut at: usize) -> Option<(usize, usize)> {
    while at < message.len() {
        let after_name = skip_name(message, at)?;
        let fixed = message.get(after_name..)?.first_chunk::<10>()?;
        let end = after_name + 10 + usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        if end > message.len() {
            return None;
        }
        if u16::from_be_bytes([fixed[0], fixed[1]]) == rtype::OPT {
            return Some((at, end));
        }
        at = end;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Header with the counts of question, answer, authority and additional; then the question `name` A.
    fn reply(counts: [u8; 4], name: &[u8], rest: &[u8]) -> Vec<u8> {
        let mut reply = vec![1, 2, 0x84, 0];
        counts.iter().for_each(|n| reply.extend([0, *n]));
        reply.extend_from_slice(name);
        reply.extend([0, 1, 0, 1]);
        reply.extend_from_slice(rest);
        reply
    }

    const NAME: &[u8] = b"\x01a\x02Xy\x03com\0";
    const A: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01";
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\x06\0\x0a\0\x02ab";

    #[test]
    fn a_slip_keeps_question_and_options() {
        let full = reply([1, 1, 0, 1], NAME, &[A, OPT].concat());
        let mut cut = full.clone();
        let len = slip(&mut cut);
        let mut expected = reply([1, 0, 0, 1], NAME, OPT);
        expected[2] |= 0x02;
        assert_eq!(cut[..len], expected);
        let mut plain = reply([1, 1, 0, 0], NAME, A);
        assert_eq!(slip(&mut plain), 12 + NAME.len() + 4);
        let mut without_question = [&[1, 2, 0x80, 1, 0, 0, 0, 0, 0, 0, 0, 1], OPT].concat();
        assert_eq!(slip(&mut without_question), 12 + OPT.len());
    }

    proptest! {
        /// Replies are ours, but nothing here may depend on it.
        #[test]
        fn any_octets_will_do(mut octets in proptest::collection::vec(any::<u8>(), 12..300)) {
            let len = octets.len();
            prop_assert!(slip(&mut octets) <= len);
        }
    }
}
