//! Domain names.
//!
//! Two forms of one thing. [`Name`] lives on the heap, in zones, policies and plans. [`NameBuf`]
//! lives on the stack, in the way of a query: the lower-cased question, with the place of every
//! label and the hash of every suffix, made in one pass. Both hold uncompressed wire form (RFC 1035
//! section 3.1), root label included, folded to lower case (RFC 4343), at most 255 octets.
//!
//! [`suffix_hash`] runs from the root label towards the leaf, so that the hashes of all suffixes of a
//! name fall out of one pass: a zone finds the node, the closest encloser and the cut by probing one
//! table, without hashing anything twice.

use std::fmt;

/// Most octets in a name, root label included (RFC 1035 section 2.3.4).
pub const MAX_NAME: usize = 255;
/// Most octets in one label (RFC 1035 section 2.3.4).
pub const MAX_LABEL: usize = 63;
/// Most labels in a name, root label left out.
pub const MAX_LABELS: usize = 127;

/// The hash of the root name, where every suffix hash starts.
pub const ROOT_HASH: u64 = 0x243f_6a88_85a3_08d3;

/// Extends the hash of a parent name by one more label, already in lower case.
///
/// A multiply-and-fold over eight octets at a time, the label's length octet being the first: most labels are one
/// product. Names in the table come from operators, not from queries, so nobody gains from finding collisions;
/// the function need not resist them.
#[inline]
pub fn suffix_hash(parent: u64, label: &[u8]) -> u64 {
    let (head, rest) = label.split_at(label.len().min(7));
    let first = word(head) << 8 | (label.len() as u64 & 0xff);
    rest.chunks(8).fold(fold(parent, first), |h, chunk| fold(h, word(chunk)))
}

#[inline]
fn fold(h: u64, word: u64) -> u64 {
    let wide = u128::from(h ^ word) * 0x9e37_79b9_7f4a_7c15;
    (wide as u64) ^ ((wide >> 64) as u64)
}

/// At most eight octets as a number, the first of them lowest.
#[inline]
fn word(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        // The middle is in both, alike, so joining them does no harm.
        (Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
        }
        _ if len == 0 => 0,
        _ => {
            let octet = |i: usize| u64::from(bytes[i]) << (8 * i);
            octet(0) | octet(len / 2) | octet(len - 1)
        }
    }
}

//----------- Name -----------------------------------------------------------

/// An absolute domain name on the heap, in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name {
    wire: Box<[u8]>,
}

/// Why text or bytes are not a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameError {
    /// A label is empty (two dots in a row, or a leading dot).
    EmptyLabel,
    /// A label is longer than 63 octets.
    LongLabel,
    /// The name is longer than 255 octets.
    LongName,
    /// A backslash escape is not `\DDD` with a value up to 255, nor `\X`.
    BadEscape,
    /// The wire form ends early, or holds a compression pointer or an unknown label type.
    BadWire,
}

impl Name {
    /// The root name.
    pub fn root() -> Name {
        Name { wire: Box::new([0]) }
    }

    /// Reads master-file text (RFC 1035 section 5.1 escapes). A name without a trailing dot is
    /// relative to `origin`; `@` alone is the origin.
    ///
    /// # Errors
    /// Any [`NameError`] but `BadWire`.
    pub fn parse(text: &str, origin: &Name) -> Result<Name, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 1 + origin.wire.len());
        compose_text(text, origin, &mut wire)?;
        // Length octets are at most 63, below every letter: folding leaves them as they are.
        wire.make_ascii_lowercase();
        Ok(Name { wire: wire.into() })
    }

    /// Takes an uncompressed wire-form name that fills `wire` exactly.
    ///
    /// # Errors
    /// [`NameError::BadWire`] or [`NameError::LongName`].
    pub fn from_wire(wire: &[u8]) -> Result<Name, NameError> {
        let mut buf = NameBuf::default();
        match buf.parse(wire) {
            Some(len) if len == wire.len() => Ok(Name { wire: buf.as_wire().into() }),
            _ if wire.len() > MAX_NAME => Err(NameError::LongName),
            _ => Err(NameError::BadWire),
        }
    }

    /// The uncompressed wire form, lower case, root label included.
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    /// The labels from the leaf towards the root, without the root label.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest: &[u8] = &self.wire;
        std::iter::from_fn(move || {
            let len = rest[0] as usize;
            if len == 0 {
                return None;
            }
            let label = &rest[1..=len];
            rest = &rest[1 + len..];
            Some(label)
        })
    }

    /// Number of labels, the root label left out.
    pub fn n_labels(&self) -> usize {
        self.labels().count()
    }

    /// The name without its first label; `None` for the root.
    pub fn parent(&self) -> Option<Name> {
        let len = self.wire[0] as usize;
        (len > 0).then(|| Name { wire: self.wire[1 + len..].into() })
    }

    /// Whether this is the root name.
    pub fn is_root(&self) -> bool {
        self.wire.len() == 1
    }

    /// Whether the first label is `*` (RFC 4592 section 2.1.1).
    pub fn is_wildcard(&self) -> bool {
        self.wire.starts_with(b"\x01*")
    }

    /// Whether this name is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &Name) -> bool {
        let mut rest: &[u8] = &self.wire;
        loop {
            if rest.len() <= ancestor.wire.len() {
                return *rest == *ancestor.wire;
            }
            rest = &rest[1 + rest[0] as usize..];
        }
    }

    /// This name with `label` in front.
    ///
    /// # Errors
    /// [`NameError::EmptyLabel`], [`NameError::LongLabel`] or [`NameError::LongName`].
    pub fn child(&self, label: &[u8]) -> Result<Name, NameError> {
        if label.is_empty() {
            return Err(NameError::EmptyLabel);
        }
        if label.len() > MAX_LABEL {
            return Err(NameError::LongLabel);
        }
        if 1 + label.len() + self.wire.len() > MAX_NAME {
            return Err(NameError::LongName);
        }
        let mut wire = Vec::with_capacity(1 + label.len() + self.wire.len());
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
        wire.extend_from_slice(&self.wire);
        Ok(Name { wire: wire.into() })
    }

    /// The hash that [`NameBuf::hash_from`] gives for the same name.
    pub fn suffix_hash(&self) -> u64 {
        NameBuf::from(self).hash_from(0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print_wire(&self.wire, f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Canonical order (RFC 4034 section 6.1): label by label from the root, as octets.
impl Ord for Name {
    fn cmp(&self, other: &Name) -> std::cmp::Ordering {
        let (a, b): (Vec<_>, Vec<_>) = (self.labels().collect(), other.labels().collect());
        a.iter().rev().cmp(b.iter().rev())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&NameBuf> for Name {
    fn from(buf: &NameBuf) -> Name {
        Name { wire: buf.as_wire().into() }
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    /// Reads text as an absolute name; the trailing dot may be left out.
    fn from_str(text: &str) -> Result<Name, NameError> {
        if text.is_empty() { Err(NameError::EmptyLabel) } else { Name::parse(text, &Name::root()) }
    }
}

/// Appends the wire form of a name written as master-file text, its letters as they are written.
///
/// What [`Name::parse`] does, for names inside RDATA, whose case is kept. After an error `out` may
/// hold a piece of the name behind its former end.
///
/// # Errors
/// Any [`NameError`] but `BadWire`.
pub fn compose_text(text: &str, origin: &Name, out: &mut Vec<u8>) -> Result<(), NameError> {
    if text == "@" {
        out.extend_from_slice(&origin.wire);
        return Ok(());
    }
    if text == "." {
        out.push(0);
        return Ok(());
    }
    let head = out.len();
    let mut start = head;
    out.push(0);
    let (bytes, mut i, mut absolute) = (text.as_bytes(), 0, false);
    while i < bytes.len() {
        let octet = match bytes[i] {
            b'.' => {
                close_label(out, start)?;
                i += 1;
                absolute = i == bytes.len();
                start = out.len();
                out.push(0);
                continue;
            }
            b'\\' => {
                let (octet, len) = unescape(&bytes[i..]).ok_or(NameError::BadEscape)?;
                i += len;
                octet
            }
            b => {
                i += 1;
                b
            }
        };
        out.push(octet);
    }
    // In an absolute name `start` points at the length octet that has become the root label.
    if !absolute {
        close_label(out, start)?;
        out.extend_from_slice(&origin.wire);
    }
    if out.len() - head > MAX_NAME { Err(NameError::LongName) } else { Ok(()) }
}

/// Writes the length of the label that began at `start` and ends with `out`.
fn close_label(out: &mut [u8], start: usize) -> Result<(), NameError> {
    match out.len() - start - 1 {
        0 => Err(NameError::EmptyLabel),
        len @ 1..=MAX_LABEL => {
            out[start] = len as u8;
            Ok(())
        }
        _ => Err(NameError::LongLabel),
    }
}

/// Reads one escape, `\DDD` or `\X` (RFC 1035 section 5.1), from the head of `text`, whose first octet
/// is the backslash: the octet it stands for, and the length of the escape. `None` if it is neither.
pub fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    match text.get(1..)? {
        [a, rest @ ..] if a.is_ascii_digit() => {
            let [b, c, ..] = rest else { return None };
            let digits = [*a, *b, *c];
            if !digits.iter().all(u8::is_ascii_digit) {
                return None;
            }
            let value = digits.iter().fold(0u32, |n, d| n * 10 + u32::from(d - b'0'));
            Some((u8::try_from(value).ok()?, 4))
        }
        [a, ..] => Some((*a, 2)),
        [] => None,
    }
}

/// Prints a well-formed, uncompressed wire-form name as master-file text, escaping what a scanner would
/// not read back as it is.
///
/// # Errors
/// Only those of `f`.
///
/// # Panics
/// If `wire` is not well-formed.
pub fn print_wire(wire: &[u8], f: &mut dyn fmt::Write) -> fmt::Result {
    if wire == [0] {
        return f.write_str(".");
    }
    let mut rest = wire;
    while rest[0] != 0 {
        let len = rest[0] as usize;
        for &b in &rest[1..=len] {
            match b {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => write!(f, "\\{}", b as char)?,
                0x21..=0x7e => write!(f, "{}", b as char)?,
                _ => write!(f, "\\{b:03}")?,
            }
        }
        f.write_str(".")?;
        rest = &rest[1 + len..];
    }
    Ok(())
}

//----------- NameBuf --------------------------------------------------------

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
    #[inline]
    pub fn parse(&mut self, wire: &[u8]) -> Option<usize> {
        let (mut at, mut n) = (0, 0);
        loop {
            let len = *wire.get(at)? as usize;
            if len == 0 {
                break;
            }
            if len > MAX_LABEL || at + len + 2 > MAX_NAME {
                return None;
            }
            self.starts[n] = at as u8;
            n += 1;
            at += 1 + len;
        }
        self.starts[n] = at as u8;
        self.len = (at + 1) as u8;
        self.n_labels = n as u8;
        self.copy_folded(wire, at + 1);
        self.hash_suffixes();
        Some(at + 1)
    }

    /// Copies a name of `len` octets in lower case. Length octets are below `A`, so it can be folded whole.
    #[inline]
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

    #[inline]
    fn hash_suffixes(&mut self) {
        let n = self.n_labels as usize;
        let mut hash = ROOT_HASH;
        self.hashes[n] = hash;
        for i in (0..n).rev() {
            hash = self.extend_hash(hash, self.starts[i] as usize);
            self.hashes[i] = hash;
        }
    }

    /// As [`suffix_hash`], for the label whose length octet is at `at`: whole words are read, and what lies behind
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
    #[inline]
    pub fn as_wire(&self) -> &[u8] {
        &self.wire[..self.len as usize]
    }

    /// Number of labels, the root label left out.
    #[inline]
    pub fn n_labels(&self) -> usize {
        self.n_labels as usize
    }

    /// Offset of label `i` in the wire form; `i` up to and including `n_labels()`.
    #[inline]
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
    #[inline]
    pub fn suffix(&self, i: usize) -> &[u8] {
        &self.wire[self.starts[i] as usize..self.len as usize]
    }

    /// Hash of suffix `i`.
    #[inline]
    pub fn hash_from(&self, i: usize) -> u64 {
        self.hashes[i]
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

//----------- Errors ---------------------------------------------------------

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::EmptyLabel => "a label is empty",
            NameError::LongLabel => "a label is longer than 63 octets",
            NameError::LongName => "the name is longer than 255 octets",
            NameError::BadEscape => "an escape is neither \\DDD (000 to 255) nor a backslash and one other character",
            NameError::BadWire => "the bytes are not an uncompressed name",
        })
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_wire_round_trip() {
        for text in [".", "example.com.", "a\\.b.example.", "\\000\\255.x.", "*.example.", "\\@.x."] {
            let n = name(text);
            assert_eq!(n.to_string(), text);
            assert_eq!(Name::from_wire(n.as_wire()), Ok(n.clone()));
        }
        assert_eq!(name("WWW.Example.COM").to_string(), "www.example.com.");
    }

    #[test]
    fn relative_names_take_the_origin() {
        let origin = name("example.com.");
        assert_eq!(Name::parse("www", &origin), Ok(name("www.example.com.")));
        assert_eq!(Name::parse("@", &origin), Ok(origin.clone()));
        assert_eq!(Name::parse("www.", &origin), Ok(name("www.")));
    }

    #[test]
    fn bad_names_are_refused() {
        let long = "x".repeat(64);
        let longer = ["abcdefg"; 32].join(".");
        for (text, why) in [
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            (&long, NameError::LongLabel),
            (&longer, NameError::LongName),
            ("a\\256", NameError::BadEscape),
            ("a\\", NameError::BadEscape),
            ("a\\1", NameError::BadEscape),
        ] {
            assert_eq!(text.parse::<Name>(), Err(why), "{text}");
        }
        assert_eq!(Name::from_wire(b"\x03ww"), Err(NameError::BadWire));
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::BadWire));
    }

    #[test]
    fn suffixes_agree_with_names() {
        let buf = NameBuf::from(&name("a.b.example.com."));
        let mut n = Some(name("a.b.example.com."));
        for i in 0..=4 {
            let here = n.take().unwrap();
            assert_eq!(buf.suffix(i), here.as_wire());
            assert_eq!(buf.hash_from(i), here.suffix_hash());
            n = here.parent();
        }
        assert!(n.is_none());
        assert!(name("a.b.example.com.").is_within(&name("example.com.")));
        assert!(!name("aexample.com.").is_within(&name("example.com.")));
    }

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

    #[test]
    fn order_is_canonical() {
        // RFC 4034 section 6.1, its own example.
        let sorted = [
            "example.",
            "a.example.",
            "yljkjljk.a.example.",
            "z.a.example.",
            "zabc.a.example.",
            "z.example.",
            "\\001.z.example.",
            "*.z.example.",
            "\\200.z.example.",
        ];
        let names: Vec<Name> = sorted.iter().map(|t| name(t)).collect();
        let mut shuffled = names.clone();
        shuffled.reverse();
        shuffled.sort();
        assert_eq!(shuffled, names);
    }
}
