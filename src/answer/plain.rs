//! The short way for plain queries: one question of class IN over UDP, with no OPT record, or one with nothing but a
//! client subnet and a cookie; answered by records that are there (a wildcard's too), by a member's addresses, by a
//! denial, by a referral, or by aliases that lead to one of these. Where signatures are wanted, by records and a member's
//! addresses alone: proofs go the long way.
//!
//! That is nearly all that resolvers send, and what the short way saves is the keeping of what could have been: half
//! the instructions (benches/README.md). Whatever is not plain gets `None` before anything has been counted or
//! taken, and goes the long way, [`crate::answer::answer`]. Both must say the same to the last octet; the test below
//! puts every query to both. What is to hold of every query has to be asked in both.

use crate::answer::additional::leads;
use crate::answer::alias::read_target;
use crate::answer::cookie;
use crate::answer::records::of_type;
use crate::answer::resolve::MAX_LINKS;
use crate::answer::steer::{Decision, Subject, rotation};
use crate::answer::{Client, MIN_REPLY, Outcome, Rcode, Scratch, Transport, is_stale};
use crate::exchange::{CookieSeen, Family, Snapshot};
use crate::id::GroupIdx;
use crate::wire::edns::{Cookie, Ecs, OPTION_COOKIE, OPTION_ECS};
use crate::wire::opt::{COOKIE_LEN, OPT_LEN, OPTION_LEN};
use crate::wire::reply::{Section, Spot, copy_records, lower_ttls, pointer};
use crate::wire::request::{HEADER, OPCODE, QR, RD};
use crate::wire::rtype;
use crate::zone::lookup::Found;
use crate::zone::signed::{Item, Kind, Signed};
use crate::zone::store::{Node, RECORD_HEADER};
use crate::zone::{RRset, Zone};

/// AA, in the third octet of the header.
const AUTHORITATIVE: u8 = 0x04;
/// Octets of a message before the question's counts are known to be plain.
const COUNTS: usize = 4;

/// Answers a plain query; `None` if it is not one.
#[inline]
pub(super) fn answer(
    query: &[u8],
    client: Client,
    snapshot: &Snapshot,
    now: u32,
    scratch: &mut Scratch,
    out: &mut [u8],
) -> Option<Outcome> {
    let header = query.first_chunk::<HEADER>()?;
    let counts = u64::from_be_bytes(*header[COUNTS..].first_chunk()?);
    // One question, nothing else but perhaps one additional record.
    if header[2] & (QR | OPCODE) != 0 || counts & !1 != 1 << 48 || client.transport != Transport::Udp {
        return None;
    }
    let end = HEADER + scratch.name.parse(&query[HEADER..])? + 4;
    let &[t0, t1, c0, c1] = query.get(end - 4..end)?.first_chunk()?;
    let (qtype, qclass) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
    if qclass != rtype::CLASS_IN || !is_plain(qtype) {
        return None;
    }
    let opt = match counts & 1 {
        1 => Some(Opt::parse(&query[end..])?),
        _ if query.len() == end => None,
        _ => return None,
    };
    let house = &*snapshot.house;
    let (ecs, cookie) = opt.as_ref().map_or((None, None), |opt| (opt.ecs.as_ref(), opt.cookie.as_ref()));
    if ecs.is_some() && house.ecs.is_some() {
        return None;
    }
    let judged = match (cookie, &house.cookies) {
        (Some(cookie), Some(cookies)) => {
            let judged = cookie::judge(cookie, client.addr, cookies, now);
            // RFC 7873 section 5.2.3 has an error for those who have to bring one of ours.
            if cookies.required && judged.seen != CookieSeen::Valid {
                return None;
            }
            Some(judged)
        }
        _ => None,
    };
    let given = judged.as_ref().map(|judged| &judged.reply);
    let room = opt.as_ref().map_or(MIN_REPLY, |opt| usize::from(opt.udp_size.min(house.udp_size)).max(MIN_REPLY));
    let limit = room.min(out.len()).checked_sub(opt.as_ref().map_or(0, |opt| opt.reply_len(given)))?;
    let (subject, question) = (Subject::of(ecs, client.addr), scratch.name.hash_from(0));
    let said = Said { at: end, counts: [0; 3], rcode: Rcode::NoError, is_ours: true, scope: 0, steered: None, key: 0 };
    let dnssec_ok = opt.as_ref().is_some_and(|opt| opt.dnssec_ok);
    let mut draft = Draft { snapshot, client, subject, qtype, dnssec_ok, scratch, out, limit, said };
    match draft.step(Spot::QUESTION, true)? {
        Step::Done => {}
        Step::Follow(spot) => draft = draft.follow(spot, question)?,
        Step::Refer(referral) => draft = draft.refer(referral)?,
    }

    let Draft { out, said, .. } = draft;
    let mut len = said.at;
    if let Some(opt) = &opt {
        len = opt.compose(out, len, house.udp_size, said.scope, given);
    }
    out[..end].copy_from_slice(&query[..end]);
    out[2] = QR | if said.is_ours { AUTHORITATIVE } else { 0 } | header[2] & RD;
    out[3] = said.rcode.number() as u8;
    let [answers, authority, additional] = said.counts.map(u64::from);
    let counts = 1 << 48 | answers << 32 | authority << 16 | (additional + u64::from(opt.is_some()));
    out[COUNTS..HEADER].copy_from_slice(&counts.to_be_bytes());
    Some(Outcome {
        len,
        rcode: said.rcode,
        truncated: false,
        steered: said.steered,
        scope: said.scope,
        silence: None,
        ede: None,
        cookie: judged.map_or(CookieSeen::None, |judged| judged.seen),
        refused_by: None,
        key: said.key,
    })
}

/// Types that are data, of the record alone: neither pseudo and meta types (RFC 6895 section 3.1) nor DS, which lives at
/// the parent.
#[inline]
fn is_plain(qtype: u16) -> bool {
    // What a signed zone has beside its records is the long way's.
    const NOT_DATA: u128 = 1
        | 1 << rtype::OPT
        | 1 << rtype::DS
        | 1 << rtype::RRSIG
        | 1 << rtype::NSEC
        | 1 << rtype::DNSKEY
        | 1 << rtype::NSEC3
        | 1 << rtype::NSEC3PARAM
        | 1 << rtype::CDS
        | 1 << rtype::CDNSKEY;
    matches!(qtype, rtype::A | rtype::AAAA) || qtype < 128 && NOT_DATA >> qtype & 1 == 0
}

//----------- Draft ----------------------------------------------------------

/// The reply in the making. Where a step has nothing to say, it is not plain.
///
/// What most queries do not need is handed the draft whole and gives it back, so that for the others it stays in
/// registers.
struct Draft<'q> {
    snapshot: &'q Snapshot,
    client: Client,
    subject: Subject,
    qtype: u16,
    /// Whether signatures are wanted, where there are any.
    dnssec_ok: bool,
    scratch: &'q mut Scratch,
    out: &'q mut [u8],
    /// Records must end here: OPT comes after.
    limit: usize,
    said: Said,
}

/// What the records say so far.
struct Said {
    /// Where the next one goes.
    at: usize,
    counts: [u16; 3],
    rcode: Rcode,
    /// AA.
    is_ours: bool,
    scope: u8,
    steered: Option<GroupIdx>,
    /// See [`Outcome::key`].
    key: u64,
}

/// What follows a step.
enum Step<'q> {
    /// The records are complete.
    Done,
    /// The name at hand is now an alias's target, which stands here in the message.
    Follow(Spot),
    /// Another server knows.
    Refer(Referral<'q>),
}

/// The cut, where its name stands in the message, and where the apex does.
struct Referral<'q> {
    node: Node<'q>,
    owner: usize,
    apex_at: usize,
}

impl<'q> Draft<'q> {
    /// Says what there is at the name at hand, which stands in the message at `spot`.
    #[inline(always)]
    fn step(&mut self, spot: Spot, is_question: bool) -> Option<Step<'q>> {
        let (snapshot, name, qtype) = (self.snapshot, &self.scratch.name, self.qtype);
        let (zone, apex, signed) = match snapshot.zones.find_signed(name) {
            Some((zone, apex, signed)) if snapshot.house.access.admits(self.client.addr, zone) => (zone, apex, signed),
            // Refused, or another server's to tell.
            _ => return if is_question { None } else { Some(Step::Done) },
        };
        let (owner, apex_at) = (spot.offset(0), spot.offset(name.start(apex)));
        let found = zone.lookup(name, apex, qtype);
        if is_question {
            self.said.is_ours = !matches!(found, Found::Cut { .. });
            self.said.key = match &found {
                Found::Name { node, from_wildcard: false } => name.hash_from(0) ^ of_type(*node, qtype),
                Found::Cut { label, .. } | Found::Dname { label, .. } => name.hash_from(*label),
                Found::Name { .. } | Found::NxDomain => zone.apex_hash(),
            };
        }
        let is_signed = signed.is_some();
        let signed = signed.filter(|_| self.dnssec_ok);
        let node = match found {
            // What is not there has to be proven.
            Found::Name { from_wildcard: true, .. } | Found::NxDomain | Found::Cut { .. } if signed.is_some() => {
                return None;
            }
            Found::Name { node, .. } => node,
            Found::NxDomain => {
                self.said.rcode = Rcode::NxDomain;
                return self.deny(zone, apex_at);
            }
            Found::Cut { node, label } => {
                return Some(Step::Refer(Referral { node, owner: spot.offset(name.start(label)), apex_at }));
            }
            Found::Dname { .. } => return None,
        };
        if let Some(group) = node.group() {
            // Such a group always has an answer where it has a member, so nothing is taken in vain; and what is not an
            // address is the zone's.
            if !*snapshot.always_addresses.get(group.idx())? {
                return None;
            }
            if let Some(family) = Family::of(qtype) {
                return self.steer(group, family, owner, signed.map(|signed| (signed, node)));
            }
        }
        if let Some(rrset) = node.rrset(qtype) {
            if leads(qtype) {
                return None;
            }
            self.put(Section::Answer, rrset, owner, apex_at)?;
            if let Some(signed) = signed {
                self.sign(signed.entry(node)?.item(qtype)?, owner)?;
            }
            return Some(Step::Done);
        }
        if is_signed && (signed.is_some() && node.rrset(rtype::CNAME).is_none() || node.group().is_some()) {
            return None;
        }
        match node.rrset(rtype::CNAME) {
            Some(rrset) if !rtype::BESIDE_CNAME.contains(&qtype) => {
                let start = self.put(Section::Answer, rrset, owner, apex_at)?;
                if let Some(signed) = signed {
                    self.sign(signed.entry(node)?.item(rtype::CNAME)?, owner)?;
                }
                let spot = read_target(&mut self.scratch.name, rrset, zone, start, apex_at);
                Some(spot.map_or(Step::Done, Step::Follow))
            }
            _ => self.deny(zone, apex_at),
        }
    }

    /// On from an alias to its target. `question`: the hash of the name asked for.
    #[inline(never)]
    fn follow(mut self, mut spot: Spot, question: u64) -> Option<Draft<'q>> {
        let mut seen = [question; MAX_LINKS];
        for link in 1..MAX_LINKS {
            let hash = self.scratch.name.hash_from(0);
            if seen[..link].contains(&hash) {
                break;
            }
            seen[link] = hash;
            match self.step(spot, false)? {
                Step::Done => break,
                Step::Follow(next) => spot = next,
                Step::Refer(referral) => return self.refer(referral),
            }
        }
        Some(self)
    }

    /// The cut's NS, and the addresses of its servers that this zone knows.
    #[inline(never)]
    fn refer(mut self, Referral { node, owner, apex_at }: Referral<'q>) -> Option<Draft<'q>> {
        let ns = node.rrset(rtype::NS)?;
        let start = self.put(Section::Authority, ns, owner, apex_at)?;
        for glue in ns.glue() {
            for rrset in glue.node.rrsets().filter(|rrset| matches!(rrset.rtype, rtype::A | rtype::AAAA)) {
                self.put(Section::Additional, rrset, start + glue.name_at, apex_at)?;
            }
        }
        Some(self)
    }

    /// The addresses of the member that a pick gives.
    #[inline(always)]
    fn steer(
        &mut self,
        group: GroupIdx,
        family: Family,
        owner: usize,
        signed: Option<(&'q Signed, Node<'q>)>,
    ) -> Option<Step<'q>> {
        let (snapshot, start) = (self.snapshot, self.said.at);
        if is_stale(snapshot, group) {
            return None;
        }
        // Found before the decision, so that the memory of both comes at once.
        let signed = signed.map(|(signed, node)| (signed, signed.entry(node)));
        let (mut spread, thread) = (self.scratch.spread, self.scratch.thread);
        let decision = Decision::make(snapshot, group, self.subject, &mut spread, thread.map(|_| family));
        // Nobody to give: any key would say so, and the long way asks again.
        let member = decision.picked?.member;
        let answer = snapshot.answers.get(group.idx())?.get(member.idx())?;
        let (records, len, kind) = match family {
            Family::A => (&answer.a, RECORD_HEADER + 4, Kind::A),
            Family::Aaaa => (&answer.aaaa, RECORD_HEADER + 16, Kind::Aaaa),
        };
        let n = records.len() / len;
        let (first, take) = rotation(decision.key, n, snapshot.policies.groups.get(group.idx())?.answers);
        let end = start + take * len;
        let signatures = match signed {
            Some((signed, entry)) => Some(signed.item_at(entry?.of_member(member.idx(), kind, first)?)),
            None => None,
        };
        if end + signatures.map_or(0, |item| item.signatures.len()) > self.limit {
            return None;
        }
        self.scratch.spread = spread;
        if let Some(thread) = thread {
            snapshot.tally.count(thread, group, decision.located.cell, Some(member), decision.sticky());
        }
        let ttl = snapshot.table.ttl(group).to_be_bytes();
        for (i, record) in self.out[start..end].chunks_exact_mut(len).enumerate() {
            let from = (if first + i < n { first + i } else { first + i - n }) * len;
            record.copy_from_slice(&records[from..from + len]);
            record[..2].copy_from_slice(&pointer(owner));
            record[6..10].copy_from_slice(&ttl);
        }
        let said = &mut self.said;
        (said.at, said.counts[0]) = (end, said.counts[0] + take as u16);
        if let Some(item) = signatures {
            self.sign(item, owner)?;
            let ttl = snapshot.table.ttl(group);
            lower_ttls(&mut self.out[end..self.said.at], ttl);
        }
        let said = &mut self.said;
        (said.scope, said.steered) = (decision.scope(self.subject), Some(group));
        Some(Step::Done)
    }

    /// The SOA that says for how long there is no such name or data (RFC 2308).
    #[inline(always)]
    fn deny(&mut self, zone: &Zone, apex_at: usize) -> Option<Step<'q>> {
        self.put(Section::Authority, zone.negative_soa()?, apex_at, apex_at)?;
        Some(Step::Done)
    }

    /// Puts in the signatures of what was put in for the owner that stands in the message at `owner`.
    #[inline]
    fn sign(&mut self, item: Item<'_>, owner: usize) -> Option<()> {
        let (start, end) = (self.said.at, self.said.at + item.signatures.len());
        if end > self.limit {
            return None;
        }
        copy_records(&mut self.out[start..end], item.signatures, owner, std::iter::empty(), 0);
        self.said.at = end;
        self.said.counts[0] += item.n_signatures;
        Some(())
    }

    /// Puts in an RRset, whose owner stands in the message at `owner`, and returns where; `None` if it does not fit.
    #[inline(always)]
    fn put(&mut self, section: Section, rrset: RRset<'_>, owner: usize, apex_at: usize) -> Option<usize> {
        let (start, records) = (self.said.at, rrset.records());
        let end = start + records.len();
        if end > self.limit {
            return None;
        }
        copy_records(&mut self.out[start..end], records, owner, rrset.apex_pointers(), apex_at);
        self.said.at = end;
        self.said.counts[section as usize] += rrset.n;
        Some(start)
    }
}

//----------- Opt ------------------------------------------------------------

/// The OPT record of a plain query.
struct Opt {
    udp_size: u16,
    dnssec_ok: bool,
    ecs: Option<Ecs>,
    cookie: Option<Cookie>,
}

impl Opt {
    /// Reads what follows the question; `None` if that is anything but one OPT record of version 0 with at most a
    /// client subnet and a cookie.
    #[inline(always)]
    fn parse(tail: &[u8]) -> Option<Opt> {
        // Root, type, class; extended RCODE, version, flags; length of the options.
        let (&[root, t0, t1, s0, s1, _, version, flags, _, l0, l1], mut options) =
            tail.split_first_chunk::<OPT_LEN>()?;
        // CO asks for more than the short way knows of (RFC 9824 section 5.1).
        let version = if flags & 0x40 != 0 { return None } else { version };
        let is_opt = root == 0 && u16::from_be_bytes([t0, t1]) == rtype::OPT && version == 0;
        if !is_opt || usize::from(u16::from_be_bytes([l0, l1])) != options.len() {
            return None;
        }
        let udp_size = u16::from_be_bytes([s0, s1]);
        let mut opt = Opt { udp_size, dnssec_ok: flags & 0x80 != 0, ecs: None, cookie: None };
        while let Some((&[c0, c1, l0, l1], rest)) = options.split_first_chunk() {
            let (data, next) = rest.split_at_checked(usize::from(u16::from_be_bytes([l0, l1])))?;
            match u16::from_be_bytes([c0, c1]) {
                OPTION_ECS if opt.ecs.is_none() => opt.ecs = Some(Ecs::parse(data)?),
                OPTION_COOKIE if opt.cookie.is_none() => opt.cookie = Some(Cookie::parse(data)?),
                _ => return None,
            }
            options = next;
        }
        options.is_empty().then_some(opt)
    }

    /// Octets of the reply's.
    #[inline]
    fn reply_len(&self, cookie: Option<&[u8; COOKIE_LEN]>) -> usize {
        OPT_LEN + self.ecs.as_ref().map_or(0, Ecs::option_len) + cookie.map_or(0, |_| OPTION_LEN + COOKIE_LEN)
    }

    /// Writes the reply's at `at` and returns its end: our size, no extended RCODE, of the flags DO alone (RFC 6891
    /// section 6.1.4), the scope (RFC 7871 section 7.2.1).
    #[inline(always)]
    fn compose(
        &self,
        out: &mut [u8],
        mut at: usize,
        udp_size: u16,
        scope: u8,
        cookie: Option<&[u8; COOKIE_LEN]>,
    ) -> usize {
        let ([t0, t1], [s0, s1]) = (rtype::OPT.to_be_bytes(), udp_size.to_be_bytes());
        let [l0, l1] = ((self.reply_len(cookie) - OPT_LEN) as u16).to_be_bytes();
        let flags = if self.dnssec_ok { 0x80 } else { 0 };
        out[at..at + OPT_LEN].copy_from_slice(&[0, t0, t1, s0, s1, 0, 0, flags, 0, l0, l1]);
        at += OPT_LEN;
        if let Some(ecs) = &self.ecs {
            let len = ecs.option_len();
            ecs.compose(scope, &mut out[at..at + len]);
            at += len;
        }
        if let Some(cookie) = cookie {
            out[at..at + 2].copy_from_slice(&OPTION_COOKIE.to_be_bytes());
            out[at + 2..at + OPTION_LEN].copy_from_slice(&(COOKIE_LEN as u16).to_be_bytes());
            out[at + OPTION_LEN..at + OPTION_LEN + COOKIE_LEN].copy_from_slice(cookie);
            at += OPTION_LEN + COOKIE_LEN;
        }
        at
    }
}
