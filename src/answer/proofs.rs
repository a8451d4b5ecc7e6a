//! The proofs of one reply, as they wait for their place in it.
//!
//! Proofs stand in the authority section, so those that belong to an expanded wildcard wait until the answer is complete.

use crate::wire::reply::{POINTER_MAX, Reply, Section};
use crate::zone::rdata::put_base32;
use crate::zone::signed::{HASH_LEN, Item};

/// Most proofs of one reply: a wildcard's for each of 16 aliases, and three for what is not there at the end. Our choice: a
/// reply with so many has long been truncated.
const MAX_PROOFS: usize = 20;

//----------- Proofs ---------------------------------------------------------

/// Proofs of one reply.
#[derive(Default)]
pub(super) struct Proofs<'q> {
    waiting: [Option<Proof<'q>>; MAX_PROOFS],
    n_waiting: usize,
    /// Whose proofs are in the reply, by where the zone has the name or hash: each has one, or it would be taken for one RRset of
    /// two records.
    said: [usize; MAX_PROOFS],
    n_said: usize,
    /// How many were waiting before those of the wildcard at hand.
    of_wildcard: Option<usize>,
}

/// One NSEC or NSEC3.
#[derive(Clone, Copy)]
pub(super) struct Proof<'q> {
    item: Item<'q>,
    owner: Owner<'q>,
    /// Where the zone has the owner's name or hash.
    whose: usize,
    apex_at: usize,
}

/// Whose it is.
#[derive(Clone, Copy)]
enum Owner<'q> {
    /// The name that stands in the message there.
    At(usize),
    /// A name of the zone, relative to its apex.
    Name(&'q [u8]),
    /// A hash.
    Hash(&'q [u8; HASH_LEN]),
}

impl<'q> Proof<'q> {
    /// That of a name which stands in the message at `owner`, and in the zone as `relative`.
    pub(super) fn standing(item: Item<'q>, owner: usize, relative: &'q [u8], apex_at: usize) -> Proof<'q> {
        Proof { item, owner: Owner::At(owner), whose: place(relative), apex_at }
    }

    /// That of a name of the zone, relative to its apex, which stands in the message at `apex_at`.
    pub(super) fn of_name(item: Item<'q>, relative: &'q [u8], apex_at: usize) -> Proof<'q> {
        Proof { item, owner: Owner::Name(relative), whose: place(relative), apex_at }
    }

    /// That of a hash.
    pub(super) fn of_hash(item: Item<'q>, hash: &'q [u8; HASH_LEN], apex_at: usize) -> Proof<'q> {
        Proof { item, owner: Owner::Hash(hash), whose: place(hash), apex_at }
    }
}

/// Where octets lie.
fn place(octets: &[u8]) -> usize {
    octets.as_ptr() as usize
}

impl<'q> Proofs<'q> {
    /// As [`Proofs::wait`], if there is one.
    pub(super) fn wait_for(&mut self, proof: Option<Proof<'q>>) {
        proof.into_iter().for_each(|proof| self.wait(proof));
    }

    /// As [`Proofs::wait`], in place of another of the same owner: what this one says of types is what is answered.
    pub(super) fn wait_instead(&mut self, proof: Proof<'q>) {
        match self.waiting[..self.n_waiting].iter_mut().flatten().find(|other| other.whose == proof.whose) {
            Some(other) => *other = proof,
            None => self.wait(proof),
        }
    }

    /// Has a proof wait, if there is none of the same owner and there is room.
    pub(super) fn wait(&mut self, proof: Proof<'q>) {
        if !self.said[..self.n_said].contains(&proof.whose) && self.n_said < MAX_PROOFS {
            self.said[self.n_said] = proof.whose;
            self.waiting[self.n_waiting] = Some(proof);
            (self.n_said, self.n_waiting) = (self.n_said + 1, self.n_waiting + 1);
        }
    }

    /// What waits from now on is for a wildcard that stands for the name at hand.
    pub(super) fn begin_wildcard(&mut self) {
        self.of_wildcard = Some(self.n_waiting);
    }

    /// Whether none waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.n_waiting == 0
    }

    /// Puts in all that wait.
    #[cold]
    pub(super) fn put(&mut self, reply: &mut Reply) {
        for proof in &mut self.waiting[..self.n_waiting] {
            let Some(Proof { item, owner, apex_at, .. }) = proof.take() else { continue };
            let start = match owner {
                Owner::At(at) => {
                    reply.put(Section::Authority, item.n, item.records, at, std::iter::empty(), 0);
                    at
                }
                Owner::Name(relative) => match reply.put_owned(Section::Authority, item.records, relative, apex_at) {
                    Some(start) => start,
                    None => continue,
                },
                Owner::Hash(hash) => {
                    let mut label = [32; 33];
                    put_base32(hash, &mut label[1..]);
                    match reply.put_owned(Section::Authority, item.records, &label, apex_at) {
                        Some(start) => start,
                        None => continue,
                    }
                }
            };
            if start <= POINTER_MAX {
                reply.put(Section::Authority, item.n_signatures, item.signatures, start, std::iter::empty(), 0);
            } else {
                reply.truncate();
            }
        }
        (self.n_waiting, self.of_wildcard) = (0, None);
    }

    /// Forgets what a wildcard has had wait last.
    pub(super) fn forget_last(&mut self) {
        if let Some(n) = self.of_wildcard.take() {
            (self.n_said, self.n_waiting) = (self.n_said - (self.n_waiting - n), n);
        }
    }

    /// Forgets all of them: the reply begins anew.
    pub(super) fn clear(&mut self) {
        (self.n_waiting, self.n_said, self.of_wildcard) = (0, 0, None);
    }
}
