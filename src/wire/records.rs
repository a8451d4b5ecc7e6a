//! Records outside any message: in journals, differences and transfers.
//!
//! They stand one after another, each as in a message (RFC 1035 section 3.2.1) with nothing compressed: owner in lower case,
//! TYPE, CLASS IN, TTL, RDLENGTH, RDATA.

use crate::wire::name::MAX_NAME;
use crate::wire::{Name, rtype};

//----------- Records --------------------------------------------------------

/// A list of records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Records {
    octets: Vec<u8>,
    n: usize,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'r> {
    /// Its name in wire form, lower case.
    pub owner: &'r [u8],
    /// TYPE.
    pub rtype: u16,
    /// TTL in seconds.
    pub ttl: u32,
    /// RDATA, names in it uncompressed.
    pub rdata: &'r [u8],
    /// The whole record.
    pub octets: &'r [u8],
}

impl Record<'_> {
    /// Its name.
    pub fn name(&self) -> Name {
        Name::from_wire(self.owner).expect("only names are put in")
    }
}

impl Records {
    /// Adds a record; `owner`: wire form, lower case; `rdata`: two parts, at most 65,535 octets together.
    pub fn push(&mut self, owner: &[u8], rtype: u16, ttl: u32, rdata: [&[u8]; 2]) {
        self.octets.extend_from_slice(owner);
        self.octets.extend_from_slice(&rtype.to_be_bytes());
        self.octets.extend_from_slice(&rtype::CLASS_IN.to_be_bytes());
        self.octets.extend_from_slice(&ttl.to_be_bytes());
        self.octets.extend_from_slice(&((rdata[0].len() + rdata[1].len()) as u16).to_be_bytes());
        self.octets.extend_from_slice(rdata[0]);
        self.octets.extend_from_slice(rdata[1]);
        self.n += 1;
    }

    /// Adds a record of another list.
    pub fn put(&mut self, record: &Record<'_>) {
        self.octets.extend_from_slice(record.octets);
        self.n += 1;
    }

    /// Reads a list out of octets that were one.
    ///
    /// `None` if they are none, which a checksum should have told before.
    pub fn from_octets(octets: &[u8]) -> Option<Records> {
        let (mut at, mut n) = (0, 0);
        while at < octets.len() {
            let (_, end) = read(octets, at)?;
            (at, n) = (end, n + 1);
        }
        Some(Records { octets: octets.to_vec(), n })
    }

    /// All of it, as octets.
    pub fn as_octets(&self) -> &[u8] {
        &self.octets
    }

    /// Number of records.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The record at an offset, and the offset of the next; `None` at the end.
    pub fn at(&self, at: usize) -> Option<(Record<'_>, usize)> {
        read(&self.octets, at)
    }

    /// The records, in the order added.
    pub fn iter(&self) -> impl Iterator<Item = Record<'_>> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let (record, end) = read(&self.octets, at)?;
            at = end;
            Some(record)
        })
    }
}

fn read(octets: &[u8], start: usize) -> Option<(Record<'_>, usize)> {
    let mut at = start;
    loop {
        let len = usize::from(*octets.get(at)?);
        at += 1 + len;
        if len == 0 {
            break;
        }
        if len > 63 || at - start >= MAX_NAME {
            return None;
        }
    }
    let &[t0, t1, _, _, l0, l1, l2, l3, r0, r1] = octets.get(at..)?.first_chunk::<10>()?;
    let end = at + 10 + usize::from(u16::from_be_bytes([r0, r1]));
    let record = Record {
        owner: &octets[start..at],
        rtype: u16::from_be_bytes([t0, t1]),
        ttl: u32::from_be_bytes([l0, l1, l2, l3]),
        rdata: octets.get(at + 10..end)?,
        octets: &octets[start..end],
    };
    Some((record, end))
}

//----------- SOA ------------------------------------------------------------

/// The numbers of a SOA (RFC 1035 section 3.3.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soa {
    /// Version of the zone.
    pub serial: u32,
    /// Seconds between two looks of a secondary whether there is another version.
    pub refresh: u32,
    /// Seconds between two attempts after a failed one.
    pub retry: u32,
    /// Seconds after which a copy that could not be renewed is worth nothing.
    pub expire: u32,
    /// Seconds that denials are kept.
    pub minimum: u32,
}

impl Soa {
    /// Reads them out of RDATA whose names are uncompressed.
    pub fn parse(rdata: &[u8]) -> Option<Soa> {
        let numbers = rdata.last_chunk::<20>()?;
        let at = |i: usize| u32::from_be_bytes([numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]]);
        Some(Soa { serial: at(0), refresh: at(4), retry: at(8), expire: at(12), minimum: at(16) })
    }
}

/// Whether serial `a` is newer than `b` (RFC 1982 section 3.2). Of two that are 2^31 apart neither is.
pub fn is_newer(a: u32, b: u32) -> bool {
    let ahead = a.wrapping_sub(b);
    ahead != 0 && ahead < 1 << 31
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_back_what_was_put_in() {
        let mut records = Records::default();
        records.push(b"\x01a\0", 1, 300, [&[192, 0, 2, 1], b""]);
        records.push(b"\0", 16, 0, [b"\x01", b"x"]);
        let again = Records::from_octets(records.as_octets()).unwrap();
        assert_eq!(again, records);
        let found: Vec<_> = again.iter().map(|r| (r.name().to_string(), r.rtype, r.ttl, r.rdata.to_vec())).collect();
        assert_eq!(found, [("a.".into(), 1, 300, vec![192, 0, 2, 1]), (".".into(), 16, 0, vec![1, b'x'])]);
        for cut in 1..records.as_octets().len() {
            let whole = cut == 17;
            assert_eq!(Records::from_octets(&records.as_octets()[..cut]).is_some(), whole, "cut at {cut}");
        }
    }

    /// RFC 1982 section 5.
    #[test]
    fn serials_go_round() {
        for (a, b, newer) in
            [(1, 0, true), (44, 0, true), (0, 44, false), (44, 44, false), (0, u32::MAX, true), (1 << 31, 0, false)]
        {
            assert_eq!(is_newer(a, b), newer, "{a} {b}");
        }
    }
}
