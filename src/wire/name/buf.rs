//! A name on the stack, in the way of a query.

use crate::wire::name::{MAX_LABEL, MAX_LABELS, MAX_NAME, Name, ROOT_HASH, fold, print_wire};
use std::fmt;

/// Octets that names are copied, folded and hashed by, beyond the end of the longest one.
const BLOCK: usize = 16;

/// A question's name on the stack: lower case, label starts, suffix hashes.
///
/// Label `i` is counted from the leaf: `0` is the first label as written, `n_labels()` the root.
/// Suffix `i` is the name made of labels `i..`, so suffix 0 is the whole name.
#[derive(Clone)]
pub struct NameBuf {
    /// The name, and behind its end whatever was there before.
    wire: [u8; MAX_NAME + 1 + BLOCK],
    starts: [u8; MAX_LABELS + 1],
    hashes: [u64; MAX_LABELS + 1],
    len: u8,
    n_labels: u8,
}

impl Default for NameBuf {
    /// The root name.
    fn default() -> NameBuf {
        NameBuf {
            wire: [0; MAX_NAME + 1 + BLOCK],
            starts: [0; MAX_LABELS + 1],
            hashes: [ROOT_HASH; MAX_LABELS + 1],
            len: 1,
            n_labels: 0,
        }
    }
}

impl NameBuf {
    /// Reads an uncompressed wire-form name from the head of `wire` and returns its length.
    ///
    /// `None` if it ends early, is longer than 255 octets, or holds a pointer or an unknown label
    /// type: a question's name is the first of a message and has nothing to point to. `self` then
    /// holds nothing of use.
    #[inline(always)]
    pub fn parse(&mut self, wire: &[u8]) -> Option<usize> {
        let (len, n_labels) = find_labels(wire, &mut self.starts)?;
        (self.len, self.n_labels) = (len as u8, n_labels as u8);
        self.copy_folded(wire, len);
        self.hash_suffixes();
        Some(len)
    }

    /// Reads the name made of two parts; false if they make none, and then `self` holds nothing of use.
    #[inline]
    pub fn join(&mut self, head: &[u8], tail: &[u8]) -> bool {
        let len = head.len() + tail.len();
        if len > MAX_NAME {
            return false;
        }
        self.wire[..head.len()].copy_from_slice(head);
        self.wire[head.len()..len].copy_from_slice(tail);
        match find_labels(&self.wire[..len], &mut self.starts) {
            Some((end, n_labels)) if end == len => (self.len, self.n_labels) = (len as u8, n_labels as u8),
            _ => return false,
        }
        for block in &mut self.wire.as_chunks_mut::<BLOCK>().0[..len.div_ceil(BLOCK)] {
            block.make_ascii_lowercase();
        }
        self.hash_suffixes();
        true
    }

    /// Copies a name of `len` octets in lower case. Length octets are below `A`, so it can be folded whole.
    #[inline(always)]
    fn copy_folded(&mut self, wire: &[u8], len: usize) {
        // In blocks, because those are a few instructions each; behind a question is enough to fill the last one where
        // there is an OPT record.
        match wire.get(..len.next_multiple_of(BLOCK)) {
            Some(wire) => {
                let (to, _) = self.wire.as_chunks_mut::<BLOCK>();
                for (i, block) in wire.as_chunks::<BLOCK>().0.iter().enumerate() {
                    to[i] = block.map(|octet| octet.to_ascii_lowercase());
                }
            }
            None => {
                self.wire[..len].copy_from_slice(&wire[..len]);
                self.wire[..len].make_ascii_lowercase();
            }
        }
    }

    #[inline(always)]
    fn hash_suffixes(&mut self) {
        let n = self.n_labels as usize;
        let mut hash = ROOT_HASH;
        self.hashes[n] = hash;
        for i in (0..n).rev() {
            hash = self.extend_hash(hash, self.starts[i] as usize);
            self.hashes[i] = hash;
        }
    }

    /// As [`suffix_hash`](super::suffix_hash), for the label whose length octet is at `at`: whole words are read, and what lies behind
    /// the label is masked out.
    #[inline]
    fn extend_hash(&self, parent: u64, mut at: usize) -> u64 {
        let word = |at: usize| u64::from_le_bytes(*self.wire[at..].first_chunk().expect("there is a block behind"));
        let (mut hash, mut n_left) = (parent, 1 + u32::from(self.wire[at]));
        while n_left > 8 {
            hash = fold(hash, word(at));
            (at, n_left) = (at + 8, n_left - 8);
        }
        fold(hash, word(at) & u64::MAX >> (64 - 8 * n_left))
    }

    /// The whole name in wire form, lower case, root label included.
    #[inline(always)]
    pub fn as_wire(&self) -> &[u8] {
        &self.wire[..self.len as usize]
    }

    /// Number of labels, the root label left out.
    #[inline]
    pub fn n_labels(&self) -> usize {
        self.n_labels as usize
    }

    /// Offset of label `i` in the wire form; `i` up to and including `n_labels()`.
    #[inline(always)]
    pub fn start(&self, i: usize) -> usize {
        self.starts[i] as usize
    }

    /// Label `i` without its length octet.
    #[inline]
    pub fn label(&self, i: usize) -> &[u8] {
        let at = self.starts[i] as usize;
        &self.wire[at + 1..at + 1 + self.wire[at] as usize]
    }

    /// Suffix `i` in wire form.
    #[inline(always)]
    pub fn suffix(&self, i: usize) -> &[u8] {
        &self.wire[self.starts[i] as usize..self.len as usize]
    }

    /// Hash of suffix `i`.
    #[inline(always)]
    pub fn hash_from(&self, i: usize) -> u64 {
        self.hashes[i]
    }
}

/// Where the labels of the name at the head of `wire` start, the root's too: the name's length, and how many there are
/// but for the root. `None`: see [`NameBuf::parse`].
#[inline]
fn find_labels(wire: &[u8], starts: &mut [u8; MAX_LABELS + 1]) -> Option<(usize, usize)> {
    let (mut at, mut n) = (0, 0);
    loop {
        let len = *wire.get(at)? as usize;
        starts[n] = at as u8;
        if len == 0 {
            return Some((at + 1, n));
        }
        if len > MAX_LABEL || at + len + 2 > MAX_NAME {
            return None;
        }
        n += 1;
        at += 1 + len;
    }
}

impl From<&Name> for NameBuf {
    fn from(name: &Name) -> NameBuf {
        let mut buf = NameBuf::default();
        buf.parse(name.as_wire()).expect("a Name is well-formed");
        buf
    }
}

impl fmt::Display for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_wire(self.as_wire(), f)
    }
}

impl fmt::Debug for NameBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::name::suffix_hash;

    /// The fast ways to fold and to hash against the obvious ones: every octet, every length of label, with much, little
    /// and nothing behind the name.
    #[test]
    fn folding_and_hashing_agree_with_the_obvious() {
        for len in 1..=63u8 {
            let label: Vec<u8> = (0..len).map(|i| i.wrapping_mul(37).wrapping_add(len * 3)).collect();
            let mut wire = [&[len][..], &label, b"\x03CoM\0"].concat();
            let n = wire.len();
            wire.extend([b'Q'; 40]);
            let mut buf = NameBuf::default();
            for behind in [40, 4, 0] {
                buf.wire.fill(0xee);
                assert_eq!(buf.parse(&wire[..n + behind]), Some(n));
                assert_eq!(buf.as_wire(), wire[..n].to_ascii_lowercase());
                let obvious = |parent, label: &[u8]| {
                    let octets: Vec<u8> = [&[label.len() as u8], label].concat();
                    octets.chunks(8).fold(parent, |h, chunk| {
                        fold(h, chunk.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b)))
                    })
                };
                let com = obvious(ROOT_HASH, b"com");
                assert_eq!([buf.hash_from(1), suffix_hash(ROOT_HASH, b"com")], [com; 2]);
                let whole = obvious(com, &label.to_ascii_lowercase());
                assert_eq!([buf.hash_from(0), suffix_hash(com, &label.to_ascii_lowercase())], [whole; 2]);
            }
        }
    }

    /// A name in two parts is the name that they make, and nothing else is a name.
    #[test]
    fn parts_are_joined() {
        let mut buf = NameBuf::default();
        for (head, tail) in [(&b"\x03WwW"[..], &b"\x03com\0"[..]), (b"", b"\0"), (b"\x01a\0", b""), (b"\x02a", b"b\0")]
        {
            assert!(buf.join(head, tail));
            let whole = Name::from_wire(&[head, tail].concat()).unwrap();
            assert_eq!((buf.as_wire(), buf.hash_from(0)), (whole.as_wire(), whole.suffix_hash()));
        }
        for (head, tail) in [(&b"\x03www"[..], &b""[..]), (b"\0", b"\0"), (b"\xc0", b"\x0c"), (&[63; 200], &[0; 100])] {
            assert!(!buf.join(head, tail));
        }
    }
}
