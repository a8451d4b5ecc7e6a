//! Proofs that are made when they are asked for (RFC 9824): that a name is not there, in one NSEC of its own.
//!
//! All else that a zone can answer is signed ahead; names that are not there are not finite. So each thread keeps the signatures
//! that it has made, in a table of fixed size, and makes so many new ones within a second and no more, as the zone's rules say:
//! some tens of microseconds each, a few hundredths of its time. Beyond that, absence is proven by the chain of NSEC, which was
//! signed ahead and is as good to whoever validates. So a flood of made-up names costs the others nothing, and what it gets is what
//! any zone with NSEC tells.

use crate::wire::reply::{Reply, Section};
use crate::wire::rtype;
use crate::zone::signed::{LONGEST, Online, OnlineKey};
use crate::zone::store::ancestors;
use std::hash::{BuildHasher, RandomState};

/// Signatures that a thread keeps: some 400 KiB. Our choice: names that are asked for again are few, typing errors and search lists.
const ROOM: usize = 4096;
/// Seconds that such a signature holds from when it is made, and before that, for clocks that are behind. Our choice: a proof is
/// cached for three hours at most (RFC 2308 section 5).
const HOLDS: u32 = 86_400;
const BEFORE: u32 = 3600;
/// Longest name in wire form, and longest RDATA of such a proof: two names and a bitmap of more types than there are in use.
const MAX_NAME: usize = 255;
const MAX_RDATA: usize = 2 * MAX_NAME + 512;
/// Octets of an RRSIG's RDATA before the signer's name.
const RRSIG_HEAD: usize = 18;
/// Most keys of a zone that sign so.
const MAX_KEYS: usize = 4;

/// Bitmap of a name that is not there: RRSIG, NSEC and NXNAME (RFC 9824 section 3.1).
pub(super) const NXNAME: &[u8] = &[0, 17, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
/// Of an empty non-terminal: RRSIG and NSEC.
pub(super) const EMPTY: &[u8] = &[0, 6, 0, 0, 0, 0, 0, 3];

//----------- Made -----------------------------------------------------------

/// What one thread has signed.
pub(crate) struct Made {
    hasher: RandomState,
    slots: Box<[Slot]>,
    /// How many more may be made in this second.
    second: u32,
    left: u32,
}

/// One signature, by what it covers.
#[derive(Clone, Copy)]
struct Slot {
    covers: [u64; 2],
    ends: u32,
    len: u8,
    signature: [u8; LONGEST],
}

impl Default for Made {
    fn default() -> Made {
        let empty = Slot { covers: [0; 2], ends: 0, len: 0, signature: [0; LONGEST] };
        Made { hasher: RandomState::new(), slots: vec![empty; ROOM].into(), second: 0, left: 0 }
    }
}

/// Where a proof goes, and what it is about.
pub(super) struct Wanted<'w> {
    /// The name, in lower case; it stands in the message at `owner_at`.
    pub owner: &'w [u8],
    pub owner_at: usize,
    /// The zone's apex.
    pub apex: &'w [u8],
    /// The types that the name has.
    pub bitmap: &'w [u8],
}

impl Made {
    /// Puts in the NSEC of a name by itself, from the name to the one right behind it, and its signatures. False, and nothing is
    /// written, where that cannot be: too many were asked for in this second, or the name is as long as names can be.
    pub(super) fn prove(
        &mut self,
        reply: &mut Reply,
        section: Section,
        wanted: &Wanted<'_>,
        online: &Online,
        now: u32,
    ) -> bool {
        let Wanted { owner, owner_at, apex, bitmap } = *wanted;
        let len = 2 + owner.len() + bitmap.len();
        if owner.len() + 2 > MAX_NAME || len > MAX_RDATA || online.keys.is_empty() || online.keys.len() > MAX_KEYS {
            return false;
        }
        let mut room = [0; MAX_RDATA];
        let rdata = &mut room[..len];
        rdata[..2].copy_from_slice(b"\x01\0");
        rdata[2..2 + owner.len()].copy_from_slice(owner);
        rdata[2 + owner.len()..].copy_from_slice(bitmap);
        let mut signed = [(0, [0; LONGEST], 0); MAX_KEYS];
        for (key, signed) in online.keys.iter().zip(&mut signed) {
            match self.sign(owner, apex, rdata, online, key, now) {
                Some(made) => *signed = made,
                None => return false,
            }
        }
        if reply.put_record(section, owner_at, rtype::NSEC, online.ttl, [rdata, b""]).is_some() {
            for (key, (ends, signature, len)) in online.keys.iter().zip(&signed) {
                let (head, head_len) = rrsig_head(owner, apex, online.ttl, key, *ends);
                let rdata = [&head[..head_len], &signature[..*len]];
                reply.put_record(section, owner_at, rtype::RRSIG, online.ttl, rdata);
            }
        }
        true
    }

    /// When the signature ends, the signature, its length.
    fn sign(
        &mut self,
        owner: &[u8],
        apex: &[u8],
        rdata: &[u8],
        online: &Online,
        key: &OnlineKey,
        now: u32,
    ) -> Option<(u32, [u8; LONGEST], usize)> {
        let what = (apex, key.tag, key.algorithm, online.ttl, rdata);
        // The owner stands in the RDATA. Nobody outside knows the keys of the hash.
        let covers = [self.hasher.hash_one((0u8, what)), self.hasher.hash_one((1u8, what))];
        let at = covers[0] as usize % self.slots.len();
        let slot = self.slots[at];
        let rest = slot.ends.wrapping_sub(now);
        if slot.len > 0 && slot.covers == covers && (HOLDS / 2..=HOLDS).contains(&rest) {
            return Some((slot.ends, slot.signature, slot.len.into()));
        }
        if self.second != now {
            (self.second, self.left) = (now, online.per_second);
        }
        self.left = self.left.checked_sub(1)?;
        let ends = now.wrapping_add(HOLDS);
        let (head, head_len) = rrsig_head(owner, apex, online.ttl, key, ends);
        let mut data = [0; RRSIG_HEAD + 2 * MAX_NAME + 10 + MAX_RDATA];
        let mut len = 0;
        let [t0, t1] = rtype::NSEC.to_be_bytes();
        let [c0, c1] = rtype::CLASS_IN.to_be_bytes();
        let [l0, l1, l2, l3] = online.ttl.to_be_bytes();
        let [r0, r1] = (rdata.len() as u16).to_be_bytes();
        for part in [&head[..head_len], owner, &[t0, t1, c0, c1, l0, l1, l2, l3, r0, r1], rdata] {
            data[len..len + part.len()].copy_from_slice(part);
            len += part.len();
        }
        let mut signature = [0; LONGEST];
        let n = key.signer.sign(&data[..len], &mut signature)?;
        self.slots[at] = Slot { covers, ends, len: n as u8, signature };
        Some((ends, signature, n))
    }
}

/// The RDATA of an NSEC's RRSIG up to the signature (RFC 4034 section 3.1).
fn rrsig_head(owner: &[u8], apex: &[u8], ttl: u32, key: &OnlineKey, ends: u32) -> ([u8; RRSIG_HEAD + MAX_NAME], usize) {
    let mut head = [0; RRSIG_HEAD + MAX_NAME];
    // Neither the root nor a leading `*` counts (RFC 4034 section 3.1.3).
    let relative = owner.split_last().map_or(owner, |(_, labels)| labels);
    let labels = ancestors(relative).count() - usize::from(owner.starts_with(b"\x01*"));
    head[..2].copy_from_slice(&rtype::NSEC.to_be_bytes());
    (head[2], head[3]) = (key.algorithm, labels as u8);
    head[4..8].copy_from_slice(&ttl.to_be_bytes());
    head[8..12].copy_from_slice(&ends.to_be_bytes());
    head[12..16].copy_from_slice(&ends.wrapping_sub(HOLDS + BEFORE).to_be_bytes());
    head[16..18].copy_from_slice(&key.tag.to_be_bytes());
    head[RRSIG_HEAD..RRSIG_HEAD + apex.len()].copy_from_slice(apex);
    (head, RRSIG_HEAD + apex.len())
}
