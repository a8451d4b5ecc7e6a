//! Transaction signatures (RFC 8945), as far as a server without keys goes: it says so.

use crate::wire::rtype;
use std::ops::Range;

/// TSIG error: the key is not known here (RFC 8945 section 3).
const BADKEY: u16 = 17;
/// Octets of the RDATA between algorithm name and MAC: time signed, fudge, MAC size.
const BEFORE_MAC: usize = 10;
/// Octets after the MAC without other data: original id, error, other length.
const AFTER_MAC: usize = 6;
/// The class of meta records.
const CLASS_ANY: u16 = 255;

//----------- Tsig -----------------------------------------------------------

/// Where the parts of a query's TSIG record are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tsig {
    /// The key's name.
    owner: Range<usize>,
    /// The algorithm's name.
    algorithm: Range<usize>,
    /// Where the original id is.
    original_id: usize,
}

impl Tsig {
    /// Reads a TSIG record whose owner starts at `start` and whose RDATA is `rdata`. `None` if it is not
    /// well-formed: names must not be compressed, CLASS is ANY, TTL 0 (RFC 8945 section 4.2).
    pub fn parse(message: &[u8], start: usize, class: u16, ttl: u32, rdata: Range<usize>) -> Option<Tsig> {
        let owner = name_end(message, start, rdata.start)?;
        let algorithm = name_end(message, rdata.start, rdata.end)?;
        let size = message.get(algorithm + BEFORE_MAC - 2..algorithm + BEFORE_MAC)?;
        let after_mac = algorithm + BEFORE_MAC + usize::from(u16::from_be_bytes([size[0], size[1]]));
        let other = message.get(after_mac + AFTER_MAC - 2..after_mac + AFTER_MAC)?;
        let end = after_mac + AFTER_MAC + usize::from(u16::from_be_bytes([other[0], other[1]]));
        (class == CLASS_ANY && ttl == 0 && end == rdata.end && owner + 10 == rdata.start).then_some(Tsig {
            owner: start..owner,
            algorithm: rdata.start..algorithm,
            original_id: after_mac,
        })
    }

    /// Octets of what [`Tsig::append_bad_key`] appends.
    pub fn bad_key_len(&self) -> usize {
        self.owner.len() + 10 + self.algorithm.len() + BEFORE_MAC + AFTER_MAC
    }

    /// Appends to the reply in `out[..len]` the unsigned TSIG that says the key is not known (RFC 8945 sections
    /// 5.2.1 and 5.3.2), and returns the new length. There must be room for it.
    pub fn append_bad_key(&self, query: &[u8], out: &mut [u8], len: usize) -> usize {
        let (owner, algorithm) = (&query[self.owner.clone()], &query[self.algorithm.clone()]);
        let rdata_len = algorithm.len() + BEFORE_MAC + AFTER_MAC;
        let end = len + self.bad_key_len();
        let mut at = len;
        let mut write = |bytes: &[u8]| {
            out[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        write(owner);
        write(&rtype::TSIG.to_be_bytes());
        write(&CLASS_ANY.to_be_bytes());
        write(&[0; 4]);
        write(&(rdata_len as u16).to_be_bytes());
        write(algorithm);
        let time = self.algorithm.end;
        write(&query[time..time + BEFORE_MAC - 2]);
        write(&[0; 2]);
        write(&query[self.original_id..self.original_id + 2]);
        write(&BADKEY.to_be_bytes());
        write(&[0; 2]);
        let n_additional = u16::from_be_bytes([out[10], out[11]]) + 1;
        out[10..12].copy_from_slice(&n_additional.to_be_bytes());
        end
    }
}

/// The end of an uncompressed name that starts at `at` and ends by `limit`.
fn name_end(message: &[u8], start: usize, limit: usize) -> Option<usize> {
    let mut at = start;
    while at < limit && at - start < 255 {
        match message[at] {
            0 => return Some(at + 1),
            len @ 1..=63 => at += 1 + usize::from(len),
            _ => return None,
        }
    }
    None
}
