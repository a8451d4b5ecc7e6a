//! The form of records that is signed (RFC 4034 section 6).

use crate::zone::rdata::{Field, format_of};
use std::borrow::Cow;

/// Types whose RDATA has names that count without case (RFC 4034 section 6.2, as RFC 6840 section 5.1 has it: not NSEC, nor
/// the signer of an RRSIG, which has none to begin with).
const FOLDED: [u16; 18] = [2, 3, 4, 5, 6, 7, 8, 9, 12, 14, 15, 17, 18, 21, 26, 33, 35, 36];
/// Likewise; apart so that the list stays in order.
const DNAME: u16 = 39;

/// RDATA with its names in lower case, where its type has it so. `rdata`: names uncompressed.
pub fn rdata(rtype: u16, rdata: &[u8]) -> Cow<'_, [u8]> {
    let is_folded = FOLDED.contains(&rtype) || rtype == DNAME;
    if !is_folded || !rdata.iter().any(u8::is_ascii_uppercase) {
        return Cow::Borrowed(rdata);
    }
    let mut out = rdata.to_vec();
    let mut at = 0;
    for (field, _) in format_of(rtype).map_or(&[][..], |format| format.fields) {
        let len = match field {
            Field::U8 => 1,
            Field::U16 => 2,
            Field::U32 | Field::Period => 4,
            Field::Text => out.get(at).map_or(0, |len| 1 + usize::from(*len)),
            Field::Name => {
                let len = name_len(&out[at.min(out.len())..]);
                // Length octets are below every letter.
                out[at..at + len].make_ascii_lowercase();
                len
            }
            _ => break,
        };
        at = (at + len).min(out.len());
    }
    Cow::Owned(out)
}

/// Length of the name at the head of `wire`; all of it if it ends early.
fn name_len(wire: &[u8]) -> usize {
    let mut at = 0;
    while let Some(len) = wire.get(at) {
        at += 1 + usize::from(*len);
        if *len == 0 {
            return at.min(wire.len());
        }
    }
    wire.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names in RDATA are folded, and nothing else.
    #[test]
    fn names_are_folded() {
        let check = |rtype: u16, from: &[u8], to: &[u8]| assert_eq!(rdata(rtype, from)[..], *to, "{rtype}");
        check(2, b"\x02NS\x01A\0", b"\x02ns\x01a\0");
        check(15, b"\0A\x02MX\0", b"\0A\x02mx\0");
        check(35, b"\0A\0B\x01U\x01S\x01R\x01N\0", b"\0A\0B\x01U\x01S\x01R\x01n\0");
        check(6, b"\x01M\0\x01R\0AAAABBBBCCCCDDDDEEEE", b"\x01m\0\x01r\0AAAABBBBCCCCDDDDEEEE");
        check(16, b"\x01T", b"\x01T");
        check(65, b"\0\x01\x01T\0", b"\0\x01\x01T\0");
        check(2, b"\x09N", b"\x09n");
    }
}
