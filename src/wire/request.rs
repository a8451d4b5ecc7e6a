//! Reading a query.
//!
//! ```text
//!   id u16 | QR opcode AA TC RD u8 | RA Z AD CD RCODE u8 | QDCOUNT | ANCOUNT | NSCOUNT | ARCOUNT u16 each
//!   question: name, type, class | additional: OPT, TSIG, …
//! ```
//!
//! Every message of at least a header that is not itself a response gets a reply, so a fault found on the
//! way is kept beside what was read before it: the reply then carries the question if that much was clear.

use crate::wire::edns::{Asks, Edns};
use crate::wire::tsig::Tsig;
use crate::wire::{NameBuf, Rcode, rtype};

/// Octets of a message's header.
pub const HEADER: usize = 12;
/// The response bit, in the third octet.
pub const QR: u8 = 0x80;
/// The opcode, in the third octet.
pub const OPCODE: u8 = 0x78;
/// Recursion desired, in the third octet.
pub const RD: u8 = 0x01;

//----------- Request --------------------------------------------------------

/// Why a message gets no reply at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// Shorter than a header: there is no id to reply to.
    Short,
    /// Itself a response: replying could loop (RFC 5358, RFC 8906 section 3).
    Response,
}

/// What kind of message it is (IANA registry of opcodes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A question (RFC 1035).
    Query,
    /// A zone has changed (RFC 1996).
    Notify,
    /// A zone is to be changed (RFC 2136).
    Update,
    /// IQUERY (obsolete, RFC 3425), STATUS, stateful operations (RFC 8490), and those not assigned.
    Other,
}

impl Opcode {
    #[inline]
    fn of(octet: u8) -> Opcode {
        match (octet & OPCODE) >> 3 {
            0 => Opcode::Query,
            4 => Opcode::Notify,
            5 => Opcode::Update,
            _ => Opcode::Other,
        }
    }
}

/// A query, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What kind of message it is.
    pub opcode: Opcode,
    /// End of the question in the message; 12 if there is none to echo.
    pub question_end: usize,
    /// QTYPE; 0 without question.
    pub qtype: u16,
    /// QCLASS; 0 without question.
    pub qclass: u16,
    /// The OPT record, if one was read.
    pub edns: Option<Edns>,
    /// The TSIG record, if it is signed.
    pub tsig: Option<Tsig>,
    /// The reply's RCODE, where what was read decides it.
    pub fault: Option<Rcode>,
}

impl Request {
    /// Reads a message, the question's name into `name`.
    ///
    /// # Errors
    /// [`NoReply`] for what must not be replied to.
    #[inline]
    pub fn parse(message: &[u8], name: &mut NameBuf) -> Result<Request, NoReply> {
        let Some(header) = message.first_chunk::<HEADER>() else { return Err(NoReply::Short) };
        if header[2] & QR != 0 {
            return Err(NoReply::Response);
        }
        let opcode = Opcode::of(header[2]);
        let mut request =
            Request { opcode, question_end: HEADER, qtype: 0, qclass: 0, edns: None, tsig: None, fault: None };
        request.fault = request.read(message, header, name).err();
        if opcode == Opcode::Other && request.fault != Some(Rcode::BadVers) {
            // RFC 8906 section 3.1.4: NOTIMP, whatever follows the header. What could be read as in a query stays, so
            // that the reply has OPT if the query did.
            request.fault = Some(Rcode::NotImp);
        }
        Ok(request)
    }

    /// Whether there is a question. A well-formed query without asks for a server cookie (RFC 7873 section 5.4).
    #[inline]
    pub fn has_question(&self) -> bool {
        self.question_end > HEADER
    }

    #[inline]
    fn read(&mut self, message: &[u8], header: &[u8; HEADER], name: &mut NameBuf) -> Result<(), Rcode> {
        let count = |i: usize| u16::from_be_bytes([header[i], header[i + 1]]);
        // A message that breaks a rule is read on for as long as its parts can be told apart: if it has an OPT,
        // the reply must have one too (RFC 6891 sections 6.1.1 and 7).
        let mut is_sound = true;
        let mut at = HEADER;
        // RFC 9619 section 4: a QUERY has one question, and so do NOTIFY (RFC 1996 section 3.6) and UPDATE (RFC 2136
        // section 2.3). None at all is for cookies, which come later in the message.
        if count(4) == 1 {
            at += name.parse(&message[HEADER..]).ok_or(Rcode::FormErr)?;
            let Some(&[t0, t1, c0, c1]) = message.get(at..at + 4) else { return Err(Rcode::FormErr) };
            self.qtype = u16::from_be_bytes([t0, t1]);
            self.qclass = u16::from_be_bytes([c0, c1]);
            at += 4;
            self.question_end = at;
        } else {
            is_sound = count(4) == 0 && self.opcode == Opcode::Query;
            for _ in 0..count(4) {
                at = skip_name(message, at).ok_or(Rcode::FormErr)? + 4;
            }
        }
        // Of queries only a transfer's has records before the additional section (RFC 1995 section 3).
        is_sound &= self.opcode != Opcode::Query || count(6) == 0 && (count(8) == 0 || self.qtype == rtype::IXFR);
        for _ in 0..u32::from(count(6)) + u32::from(count(8)) {
            at = Record::parse(message, at).ok_or(Rcode::FormErr)?.end;
        }
        let n_additional = count(10);
        for i in 0..n_additional {
            let record = Record::parse(message, at).ok_or(Rcode::FormErr)?;
            match record.rtype {
                rtype::OPT => {
                    // RFC 6891 section 6.1.1: one OPT; section 6.1.2: owned by the root.
                    is_sound &= self.edns.is_none() && message[at] == 0;
                    let (edns, well_formed) = Edns::parse(record.class, record.ttl, &message[record.rdata..record.end]);
                    is_sound &= well_formed;
                    self.edns.get_or_insert(edns);
                }
                // RFC 8945 section 5.1: one TSIG, the last record of all.
                rtype::TSIG if i + 1 < n_additional => is_sound = false,
                rtype::TSIG => {
                    let rdata = record.rdata..record.end;
                    let tsig = Tsig::parse(message, at, record.class, record.ttl, rdata).ok_or(Rcode::FormErr)?;
                    self.tsig = Some(tsig);
                }
                _ => {}
            }
            at = record.end;
        }
        if !is_sound || at != message.len() {
            // Octets after the last record: the counts are wrong or the sender is. RFCs are silent; our choice,
            // because a message that two readers could take for two things is not well-formed.
            return Err(Rcode::FormErr);
        }
        match &self.edns {
            Some(edns) if edns.version != 0 => Err(Rcode::BadVers),
            Some(edns) if !self.has_question() && !edns.asks.has(Asks::COOKIE) => Err(Rcode::FormErr),
            None if !self.has_question() => Err(Rcode::FormErr),
            _ => Ok(()),
        }
    }
}

/// Where a record's parts are.
struct Record {
    rtype: u16,
    class: u16,
    ttl: u32,
    rdata: usize,
    end: usize,
}

impl Record {
    #[inline]
    fn parse(message: &[u8], start: usize) -> Option<Record> {
        let at = skip_name(message, start)?;
        let &[t0, t1, c0, c1, l0, l1, l2, l3, r0, r1] = message.get(at..at + 10)?.first_chunk::<10>()?;
        let rdata = at + 10;
        let end = rdata + usize::from(u16::from_be_bytes([r0, r1]));
        (end <= message.len()).then_some(Record {
            rtype: u16::from_be_bytes([t0, t1]),
            class: u16::from_be_bytes([c0, c1]),
            ttl: u32::from_be_bytes([l0, l1, l2, l3]),
            rdata,
            end,
        })
    }
}

/// The offset after a name that may end in a pointer, which is not followed.
#[inline]
pub(crate) fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    let start = at;
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            len @ 1..=63 if at - start < 255 => at += 1 + usize::from(len),
            0xc0..=0xff => return (at + 2 <= message.len()).then_some(at + 2),
            _ => return None,
        }
    }
}
