//! Walks over the records of a message, queries and replies alike, for those who need one thing out of it.

use crate::wire::request::skip_name;
use std::ops::Range;

/// Octets of a message's header.
const HEADER: usize = 12;
const OPT: u16 = 41;

//----------- Records --------------------------------------------------------

/// A record's section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Answer.
    Answer,
    /// Authority.
    Authority,
    /// Additional.
    Additional,
}

/// One record; its owner is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it stands.
    pub section: Section,
    /// The offset of its owner.
    pub start: usize,
    /// TYPE.
    pub rtype: u16,
    /// CLASS.
    pub class: u16,
    /// TTL, as it stands there.
    pub ttl: u32,
    /// RDATA.
    pub rdata: &'a [u8],
    /// The offset of RDATA.
    pub rdata_at: usize,
}

impl Record<'_> {
    /// Where its RDATA is in the message.
    pub fn range(&self) -> Range<usize> {
        self.rdata_at..self.rdata_at + self.rdata.len()
    }
}

/// The records of `message` in their order; `None` in place of the first that does not fit, which is then the last.
/// Nothing at all comes from what is shorter than a header.
pub fn records(message: &[u8]) -> impl Iterator<Item = Option<Record<'_>>> {
    let count = |i: usize| message.get(i..i + 2).map_or(0, |n| u32::from(u16::from_be_bytes([n[0], n[1]])));
    let (n_answers, n_authority, n_additional) = (count(6), count(8), count(10));
    let skip_question = |at: Option<usize>, _| at.and_then(|at| skip_name(message, at)).map(|at| at + 4);
    let mut at = (0..count(4)).fold(Some(HEADER), skip_question);
    let mut is_over = message.len() < HEADER;
    (0..n_answers + n_authority + n_additional).map_while(move |nth| {
        if is_over {
            return None;
        }
        let section = match nth {
            _ if nth < n_answers => Section::Answer,
            _ if nth < n_answers + n_authority => Section::Authority,
            _ => Section::Additional,
        };
        let read = at.and_then(|at| record(message, at, section));
        is_over = read.is_none();
        at = read.map(|(_, end)| end);
        Some(read.map(|(record, _)| record))
    })
}

fn record(message: &[u8], start: usize, section: Section) -> Option<(Record<'_>, usize)> {
    let at = skip_name(message, start)?;
    let &[t0, t1, c0, c1, l0, l1, l2, l3, r0, r1] = message.get(at..)?.first_chunk::<10>()?;
    let end = at + 10 + usize::from(u16::from_be_bytes([r0, r1]));
    let (rtype, class) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
    let (ttl, rdata_at) = (u32::from_be_bytes([l0, l1, l2, l3]), at + 10);
    Some((Record { section, start, rtype, class, ttl, rdata: message.get(rdata_at..end)?, rdata_at }, end))
}

//----------- Options --------------------------------------------------------

/// The data of the first EDNS option with this code (RFC 6891 section 6.1.2).
pub fn option(message: &[u8], code: u16) -> Option<&[u8]> {
    let opt = records(message).flatten().find(|r| r.section == Section::Additional && r.rtype == OPT)?;
    let mut options = opt.rdata;
    loop {
        let [c0, c1, l0, l1, tail @ ..] = options else { return None };
        let (data, next) = tail.split_at_checked(usize::from(u16::from_be_bytes([*l0, *l1])))?;
        if u16::from_be_bytes([*c0, *c1]) == code {
            return Some(data);
        }
        options = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A response with two questions, a record per section, and an OPT with options 8 and 12.
    const SAMPLE: &[u8] = b"\0\0\x81\0\0\x02\0\x01\0\x01\0\x02\
        \x01a\0\0\x01\0\x01\0\0\x02\0\x01\
        \xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01\
        \x01b\xc0\x0c\0\x02\0\x01\0\0\0\x0a\0\x01\0\
        \0\0\x10\0\x01\0\0\0\x05\0\x02\x01x\
        \0\0\x29\x04\xd0\0\0\0\0\0\x0a\0\x08\0\x02\x09\x09\0\x0c\0\0";

    #[test]
    fn records_and_options_are_found() {
        let found: Vec<_> = records(SAMPLE).map(|r| r.map(|r| (r.rtype, r.ttl, r.rdata.len()))).collect();
        assert_eq!(found, [Some((1, 60, 4)), Some((2, 10, 1)), Some((16, 5, 2)), Some((41, 0, 10))]);
        assert_eq!(option(SAMPLE, 8), Some(&[9, 9][..]));
        assert_eq!(option(SAMPLE, 12), Some(&[][..]));
        assert_eq!(option(SAMPLE, 11), None);
    }

    #[test]
    fn what_is_cut_ends_with_none() {
        for cut in 0..SAMPLE.len() {
            let last = records(&SAMPLE[..cut]).last();
            assert_eq!(last, (cut >= 12).then_some(None), "cut at {cut}");
            assert_eq!(option(&SAMPLE[..cut], 12), None);
        }
    }

    proptest! {
        #[test]
        fn any_octets_are_borne(mut octets: Vec<u8>, counts: [u8; 4]) {
            for (i, n) in counts.into_iter().enumerate() {
                if let Some(at) = octets.get_mut(5 + 2 * i) {
                    *at = n;
                }
            }
            let _ = (records(&octets).count(), option(&octets, 8));
        }
    }
}
