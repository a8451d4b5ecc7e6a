//! RDATA out of a message, where names in it may be compressed.

use crate::wire::name::{MAX_NAME, expand_as_written};
use crate::wire::rtype;
use crate::zone::rdata::formats::{Field, format_of};
use std::ops::Range;

/// Appends the RDATA at `range` of `message` to `out`, names uncompressed (RFC 3597 section 4).
///
/// `None` if it does not have its type's form: a name is malformed, a field lacks octets, or some are left over. What
/// stands in the last, open-ended field of a type is not looked into.
pub fn expand(rtype: u16, message: &[u8], range: Range<usize>, out: &mut Vec<u8>) -> Option<()> {
    let (mut at, end) = (range.start, range.end);
    let rdata = message.get(range)?;
    let Some(format) = format_of(rtype) else {
        out.extend_from_slice(rdata);
        return Some(());
    };
    for (field, _) in format.fields {
        let octet = || message.get(at).filter(|_| at < end).map(|len| 1 + usize::from(*len));
        let len = match field {
            Field::Name => {
                let mut name = [0; MAX_NAME];
                let (len, next) = expand_as_written(message.get(..end)?, at, &mut name)?;
                // Pointers only where there may be some: no type newer than those of RFC 3597 section 4 has them.
                if next - at != len && !may_be_compressed(rtype) {
                    return None;
                }
                out.extend_from_slice(&name[..len]);
                at = next;
                continue;
            }
            Field::U8 | Field::Algorithm => 1,
            Field::U16 | Field::CertType | Field::Type => 2,
            Field::U32 | Field::Period | Field::Moment | Field::Ipv4 => 4,
            Field::Eui48 => 6,
            Field::Eui64 | Field::Locator64 => 8,
            Field::Ipv6 => 16,
            Field::Text | Field::Tag | Field::Salt | Field::Base32 => octet()?,
            Field::Texts => {
                let mut to = at;
                while to == at || to < end {
                    to += 1 + usize::from(*message.get(to).filter(|_| to < end)?);
                }
                to - at
            }
            Field::Types | Field::LongText | Field::Hex | Field::Base64 | Field::Location | Field::Params => {
                end.checked_sub(at)?
            }
        };
        let next = at.checked_add(len).filter(|next| *next <= end)?;
        out.extend_from_slice(&message[at..next]);
        at = next;
    }
    (at == end).then_some(())
}

/// Types whose names a sender may compress: those of RFC 1035, and those that RFC 3597 section 4 lists beside them.
fn may_be_compressed(rtype: u16) -> bool {
    matches!(
        rtype,
        2..=9 | rtype::PTR | 14 | rtype::MX | 17 | 18 | 21 | 24 | 26 | 30 | rtype::SRV | 35 | 36 | rtype::DNAME
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_are_expanded_and_forms_checked() {
        let head = b"\x03WWW\x07example\0";
        let check = |rtype, rdata: &[u8], expected: Option<&[u8]>| {
            let message = [&head[..], rdata].concat();
            let mut out = Vec::new();
            let found = expand(rtype, &message, head.len()..message.len(), &mut out);
            assert_eq!(found.map(|()| &out[..]), expected, "{rtype} {rdata:?}");
        };
        check(rtype::NS, b"\xc0\x00", Some(b"\x03WWW\x07example\0"));
        check(rtype::MX, b"\0\x0a\x01m\xc0\x04", Some(b"\0\x0a\x01m\x07example\0"));
        check(rtype::SVCB, b"\0\x01\xc0\x00", None);
        check(rtype::A, &[1, 2, 3, 4], Some(&[1, 2, 3, 4]));
        check(rtype::A, &[1, 2, 3], None);
        check(rtype::A, &[1, 2, 3, 4, 5], None);
        check(rtype::TXT, b"\x01a\x02bc", Some(b"\x01a\x02bc"));
        check(rtype::TXT, b"\x01a\x03bc", None);
        check(rtype::TXT, b"", None);
        check(rtype::SOA, b"\0\0\0\0\0\x01", None);
        check(65_280, b"\x01\x02", Some(b"\x01\x02"));
    }

    proptest! {
        #[test]
        fn any_octets_are_borne(message: Vec<u8>, rtype in 0u16..70, a: usize, b: usize) {
            let (a, b) = (a % (message.len() + 2), b % (message.len() + 2));
            let _ = expand(rtype, &message, a..b, &mut Vec::new());
        }
    }
}
