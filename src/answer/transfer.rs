//! A zone on its way out, whole (RFC 5936) or as differences (RFC 1995), message by message.
//!
//! Nothing is copied ahead: an [`Outgoing`] holds the zone as it was when it was asked for, and where in it it stands. A
//! steered name leaves with the records that the zone file has for it, which is what a server without policies can
//! make sense of. A zone that is signed here leaves with its keys, signatures and proofs.

use crate::answer::dealings::{Counted, Dealings, Sent};
use crate::answer::errand::{Asked, Refusal, Why};
use crate::wire::Rcode;
use crate::wire::records::{Record, Records};
use crate::wire::reply::{POINTER_MAX, pointer};
use crate::wire::request::{HEADER, QR, RD, Request};
use crate::wire::rtype;
use crate::wire::tsig::Seal;
use crate::zone::diff::Difference;
use crate::zone::rdata::put_base32;
use crate::zone::store::RECORD_HEADER;
use crate::zone::{Signed, Zone};
use std::sync::Arc;

/// Messages end once they hold so many octets. Our choice: what compression pointers reach (RFC 1035 section 4.1.4);
/// behind that every name would be written out.
const FULL: usize = POINTER_MAX;
/// Octets of an OPT record without options.
const OPT_LEN: usize = 11;
const AA: u8 = 0x04;

//----------- Outgoing -------------------------------------------------------

/// A transfer under way.
#[derive(Debug)]
pub struct Outgoing {
    zone: Arc<Zone>,
    /// What is made here of a signed zone.
    signed: Option<Arc<Signed>>,
    steps: Steps,
    /// The head of each message: header without counts, and the question.
    head: Vec<u8>,
    /// What this server takes over UDP, and DO, if the question had an OPT record: so has the first message.
    opt: Option<(u16, bool)>,
    seal: Option<Box<Seal>>,
    is_done: bool,
    counted: Counted,
}

/// What is still to be sent.
#[derive(Debug)]
enum Steps {
    /// The SOA, all else, the SOA.
    Whole(Place),
    /// The new SOA, the records of these differences, the new SOA.
    Differences { chain: Vec<Arc<Difference>>, part: usize, at: usize, opened: bool },
    /// The SOA alone: the client has this version.
    Soa,
    /// No record at all.
    Nothing,
}

/// Where in the zone a whole transfer stands.
#[derive(Debug, Default)]
struct Place {
    opened: bool,
    /// The node at hand is the one before this cursor; its RRset and the octets of that which are sent.
    cursor: usize,
    node: Option<usize>,
    rrset: usize,
    sent: usize,
    /// How many of the hashes of NSEC3 are sent, after all nodes.
    n_hashes: usize,
}

impl Outgoing {
    /// The whole zone. `query`: what asked for it, `request`: the same, read.
    pub fn whole(zone: Arc<Zone>, query: &[u8], request: &Request, udp_size: u16, seal: Option<Box<Seal>>) -> Outgoing {
        let mut head = query[..request.question_end].to_vec();
        head[2] = QR | AA | head[2] & RD;
        head[3] = 0;
        let opt = request.edns.as_ref().map(|edns| (udp_size, edns.dnssec_ok));
        let steps = Steps::Whole(Place::default());
        let counted = Counted::default();
        Outgoing { zone, signed: None, steps, head, opt, seal, is_done: false, counted }
    }

    /// With what makes the zone a signed one, unless its own records do.
    pub fn with_signed(self, signed: Option<Arc<Signed>>) -> Outgoing {
        Outgoing { signed: signed.filter(|signed| signed.is_made_here()), ..self }
    }

    /// What leads from the client's version to this one; nothing but the SOA if `chain` is empty.
    pub fn by_differences(self, chain: Vec<Arc<Difference>>) -> Outgoing {
        let steps = match chain.is_empty() {
            true => Steps::Soa,
            false => Steps::Differences { chain, part: 0, at: 0, opened: false },
        };
        Outgoing { steps, ..self }
    }

    /// Counted there, once it has ended.
    pub fn counted(self, dealings: Arc<Dealings>) -> Outgoing {
        let is_incremental = self.head.ends_with(&[rtype::IXFR.to_be_bytes(), rtype::CLASS_IN.to_be_bytes()].concat());
        let kind = match self.steps {
            Steps::Soa | Steps::Nothing => Sent::Current,
            Steps::Differences { .. } => Sent::Differences,
            Steps::Whole(_) if is_incremental => Sent::Whole,
            Steps::Whole(_) => Sent::Axfr,
        };
        Outgoing { counted: Counted::new(dealings, kind), ..self }
    }

    /// Puts it off, since there are too many: the reply, with its length left out, and what to tell of it. SERVFAIL says that it
    /// is this server that cannot, now.
    pub fn put_off(mut self, now: u64) -> (Vec<u8>, Refusal) {
        self.head[2] &= !AA;
        self.head[3] = Rcode::ServFail.number() as u8;
        self.steps = Steps::Nothing;
        let what = Refusal {
            what: Asked::Transfer,
            name: self.zone.apex().clone(),
            key: self.seal.as_ref().and_then(|seal| seal.key()).map(|key| key.name.clone()),
            why: Why::Busy,
        };
        let mut message = Vec::new();
        self.next(&mut message, now);
        (message.split_off(2), what)
    }

    /// Whether the last message has been written.
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Writes the next message to the end of `out`, two octets of length before it. `now`: seconds since 1970, for the
    /// signature.
    pub fn next(&mut self, out: &mut Vec<u8>, now: u64) {
        let start = out.len();
        out.extend([0; 2]);
        let opt = self.opt.take();
        let reserved = opt.map_or(0, |_| OPT_LEN) + self.seal.as_ref().map_or(0, |seal| seal.record_len());
        let mut message =
            Message { at: out.len(), out, n: 0, apex_len: self.zone.apex().as_wire().len(), room: 0xffff - reserved };
        message.out.extend_from_slice(&self.head);
        self.is_done = self.steps.fill(&self.zone, self.signed.as_deref(), &mut message);
        if self.is_done {
            self.counted.finish();
        }
        let (at, n) = (message.at, message.n);
        out[at + 4..at + HEADER].fill(0);
        out[at + 5] = 1;
        out[at + 6..at + 8].copy_from_slice(&n.to_be_bytes());
        if let Some((udp_size, dnssec_ok)) = opt {
            let [s0, s1] = udp_size.to_be_bytes();
            out.extend([0, 0, rtype::OPT as u8, s0, s1, 0, 0, if dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
            out[at + 11] = 1;
        }
        if let Some(seal) = &mut self.seal {
            let len = out.len() - at;
            out.resize(out.len() + seal.record_len(), 0);
            seal.append(&mut out[at..], len, now);
        }
        let len = (out.len() - at) as u16;
        out[start..at].copy_from_slice(&len.to_be_bytes());
    }
}

impl Steps {
    /// Fills a message; whether that was the last.
    fn fill(&mut self, zone: &Zone, signed: Option<&Signed>, message: &mut Message<'_>) -> bool {
        match self {
            Steps::Nothing => true,
            Steps::Soa => {
                put_soa(zone, message);
                true
            }
            Steps::Whole(place) => place.fill(zone, signed, message),
            Steps::Differences { chain, part, at, opened } => {
                if !std::mem::replace(opened, true) {
                    put_soa(zone, message);
                }
                while let Some(records) = part_of(chain, *part) {
                    while let Some((record, next)) = records.at(*at) {
                        if !message.put_record(zone, &record) {
                            return false;
                        }
                        *at = next;
                    }
                    (*part, *at) = (*part + 1, 0);
                }
                put_soa(zone, message)
            }
        }
    }
}

/// Of two parts a difference: what goes, and what comes.
fn part_of(chain: &[Arc<Difference>], part: usize) -> Option<&Records> {
    let diff = chain.get(part / 2)?;
    Some(if part.is_multiple_of(2) { &diff.removed } else { &diff.added })
}

/// Whether it fits.
fn put_soa(zone: &Zone, message: &mut Message<'_>) -> bool {
    let Some(soa) = zone.rrset(zone.apex(), rtype::SOA) else { return true };
    let pointers: Vec<usize> = soa.apex_pointers().collect();
    message.put_stored(b"", soa.records(), 0, &pointers, |_| None).is_none()
}

impl Place {
    fn fill(&mut self, zone: &Zone, signed: Option<&Signed>, message: &mut Message<'_>) -> bool {
        if !std::mem::replace(&mut self.opened, true) {
            put_soa(zone, message);
        }
        loop {
            let node = match self.node {
                Some(before) => zone.node_after(&mut { before }),
                None => {
                    let before = self.cursor;
                    let node = zone.node_after(&mut self.cursor);
                    (self.node, self.rrset, self.sent) = (Some(before), 0, 0);
                    node
                }
            };
            let Some(node) = node else {
                return self.hashes(signed, message) && put_soa(zone, message);
            };
            for rrset in node.rrsets().skip(self.rrset) {
                // The SOA, at the apex, comes first and last.
                if rrset.rtype != rtype::SOA {
                    let pointers: Vec<usize> = rrset.apex_pointers().collect();
                    let ttl = |rdata: &[u8]| (rrset.rtype == rtype::RRSIG).then(|| node.ttl_of(&rrset, rdata));
                    let name = node.relative_name();
                    if let Some(sent) = message.put_stored(name, rrset.records(), self.sent, &pointers, ttl) {
                        self.sent = sent;
                        return false;
                    }
                }
                (self.rrset, self.sent) = (self.rrset + 1, 0);
            }
            // What signing adds stands with the node that policies have marked.
            let entry = signed.and_then(|signed| signed.entry(zone.node_at_name(node.relative_name())?));
            let n_own = node.rrsets().count();
            let added =
                entry.into_iter().flat_map(|entry| entry.leaving()).flat_map(|item| [item.records, item.signatures]);
            for records in added.skip(self.rrset - n_own) {
                if !self.put(node.relative_name(), records, message) {
                    return false;
                }
            }
            self.node = None;
        }
    }

    /// NSEC3, whose owners are no nodes; whether all of it fits.
    fn hashes(&mut self, signed: Option<&Signed>, message: &mut Message<'_>) -> bool {
        while let Some((hash, item)) = signed.and_then(|signed| {
            let (hash, _) = signed.chain().hashed(self.n_hashes)?;
            Some((hash, signed.leaving_hash(self.n_hashes)?))
        }) {
            let mut label = [32; 33];
            put_base32(hash, &mut label[1..]);
            for records in [item.records, item.signatures].into_iter().skip(self.rrset) {
                if !self.put(&label, records, message) {
                    return false;
                }
            }
            (self.n_hashes, self.rrset) = (self.n_hashes + 1, 0);
        }
        true
    }

    /// Puts in what is left of the records at hand; whether all of it fits.
    fn put(&mut self, relative: &[u8], records: &[u8], message: &mut Message<'_>) -> bool {
        if let Some(sent) = message.put_stored(relative, records, self.sent, &[], |_| None) {
            self.sent = sent;
            return false;
        }
        (self.rrset, self.sent) = (self.rrset + 1, 0);
        true
    }
}

//----------- Message --------------------------------------------------------

/// A message in the making.
struct Message<'o> {
    out: &'o mut Vec<u8>,
    /// Where it starts.
    at: usize,
    n: u16,
    apex_len: usize,
    /// Most octets of it.
    room: usize,
}

impl Message<'_> {
    /// Whether so many octets more fit: into a message that has records up to the limit of pointers, into one without up to
    /// the limit of messages.
    fn fits(&self, len: usize) -> bool {
        let end = self.out.len() - self.at + len;
        end <= if self.n == 0 { self.room } else { FULL.min(self.room) }
    }

    /// Writes the owner with this relative name: its labels and a pointer to the apex in the question; as a pointer if it
    /// stands at `before`.
    fn put_owner(&mut self, relative: &[u8], before: &mut Option<usize>) {
        match before {
            Some(at) => self.out.extend(pointer(*at)),
            None => {
                let at = self.out.len() - self.at;
                if !relative.is_empty() && at <= POINTER_MAX {
                    *before = Some(at);
                }
                self.out.extend_from_slice(relative);
                match self.apex_len {
                    1 => self.out.push(0),
                    _ => self.out.extend(pointer(HEADER)),
                }
            }
        }
    }

    /// Writes the records of a stored RRset from octet `from` on, as far as they fit; where it stopped, if that was before
    /// the end. `pointers`: see [`crate::zone::RRset::apex_pointers`].
    /// `ttl`: that of a record by its RDATA, where it is another than it stands there.
    fn put_stored(
        &mut self,
        relative: &[u8],
        records: &[u8],
        from: usize,
        pointers: &[usize],
        ttl: impl Fn(&[u8]) -> Option<u32>,
    ) -> Option<usize> {
        let (mut at, mut owner) = (from, None);
        while at < records.len() {
            let rdata = at + RECORD_HEADER;
            let end = rdata + usize::from(u16::from_be_bytes([records[rdata - 2], records[rdata - 1]]));
            if !self.fits(relative.len() + 2 + end - at) {
                return Some(at);
            }
            self.put_owner(relative, &mut owner);
            // What stands there is `c00c`, a pointer to the question.
            let written = self.out.len();
            self.out.extend_from_slice(&records[at + 2..end]);
            if let Some(ttl) = ttl(&records[rdata..end]) {
                self.out[written + 4..written + 8].copy_from_slice(&ttl.to_be_bytes());
            }
            for pointer_at in pointers.iter().filter(|p| (rdata..end).contains(p)) {
                let to = written + pointer_at - at - 2;
                self.out[to..to + 2].copy_from_slice(&pointer(HEADER));
            }
            self.n += 1;
            at = end;
        }
        None
    }

    /// Writes a record out of a list; whether it fits.
    fn put_record(&mut self, zone: &Zone, record: &Record<'_>) -> bool {
        if !self.fits(record.octets.len()) {
            return false;
        }
        match record.owner.strip_suffix(zone.apex().as_wire()) {
            Some(relative) if zone.apex().as_wire().len() > 1 => self.put_owner(relative, &mut None),
            _ => self.out.extend_from_slice(record.owner),
        }
        self.out.extend_from_slice(&record.octets[record.owner.len()..]);
        self.n += 1;
        true
    }
}
