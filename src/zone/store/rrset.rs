//! The records of one name and type, as they lie in the arena.

use crate::wire::rtype;
use crate::zone::store::node::Node;
use crate::zone::store::{RECORD_HEADER, Zone, word};
use std::borrow::Cow;
use std::fmt;

//----------- RRset ----------------------------------------------------------

/// The records of one name and type.
#[derive(Clone, Copy)]
pub struct RRset<'z> {
    /// The type.
    pub rtype: u16,
    /// The TTL in seconds, one for all records (RFC 2181 section 5.2).
    pub ttl: u32,
    /// Number of records, at least 1.
    pub n: u16,
    pub(super) records: &'z [u8],
    pub(super) extra: &'z [u8],
    pub(super) zone: &'z Zone,
}

/// A name server of a referral whose addresses the zone knows.
pub(crate) struct Glue<'z> {
    /// Where in the RRset's records the server's name starts.
    pub name_at: usize,
    /// Below the very cut that is referred to: needed to get any further (RFC 9471 section 3.1).
    pub in_domain: bool,
    /// The node with the addresses.
    pub node: Node<'z>,
}

impl<'z> RRset<'z> {
    /// The records as they stand in an answer to a question for their owner.
    #[inline]
    pub(crate) fn records(&self) -> &'z [u8] {
        self.records
    }

    /// Positions in [`RRset::records`] of two-octet pointers to the apex, ascending.
    #[inline(always)]
    pub(crate) fn apex_pointers(&self) -> impl Iterator<Item = usize> + use<'z> {
        let list = if self.rtype == rtype::NS { &self.extra[2..2 + 2 * word(self.extra, 0)] } else { self.extra };
        list.chunks_exact(2).map(|c| word(c, 0))
    }

    /// The glue of a zone cut's NS, in-domain first.
    pub(crate) fn glue(&self) -> impl Iterator<Item = Glue<'z>> + use<'z> {
        let zone = self.zone;
        let list = if self.rtype == rtype::NS { &self.extra[2 + 2 * word(self.extra, 0)..] } else { &[] };
        list.chunks_exact(8).map(move |c| Glue {
            name_at: word(c, 0),
            in_domain: word(c, 2) != 0,
            node: zone.node_at((word(c, 4) | word(c, 6) << 16) << 2),
        })
    }

    /// The RDATA of every record in wire form, names uncompressed.
    pub fn rdatas(&self) -> impl Iterator<Item = Cow<'z, [u8]>> + use<'z> {
        let (records, apex) = (self.records, self.zone.apex.as_wire());
        let mut pointers = self.apex_pointers().peekable();
        let mut at = 0;
        (0..self.n).map(move |_| {
            let start = at + RECORD_HEADER;
            let end = start + usize::from(u16::from_be_bytes([records[start - 2], records[start - 1]]));
            at = end;
            if pointers.peek().is_none_or(|p| *p >= end) {
                return Cow::Borrowed(&records[start..end]);
            }
            let (mut whole, mut from) = (Vec::with_capacity(end - start + 2 * apex.len()), start);
            while let Some(p) = pointers.next_if(|p| *p < end) {
                whole.extend_from_slice(&records[from..p]);
                whole.extend_from_slice(apex);
                from = p + 2;
            }
            whole.extend_from_slice(&records[from..end]);
            Cow::Owned(whole)
        })
    }
}

impl fmt::Debug for RRset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RRset")
            .field("rtype", &self.rtype)
            .field("ttl", &self.ttl)
            .field("rdatas", &self.rdatas().collect::<Vec<_>>())
            .finish()
    }
}
