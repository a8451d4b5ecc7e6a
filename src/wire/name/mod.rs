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

mod buf;
mod text;

pub use buf::NameBuf;
pub use text::{compose_text, print_wire, unescape};

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

/// Reads the name at `at` of a message, which may be compressed, into `out` as uncompressed wire form in lower case;
/// returns its length and where the message goes on behind it. `None`: see [`expand_as_written`].
pub fn expand(message: &[u8], at: usize, out: &mut [u8; MAX_NAME]) -> Option<(usize, usize)> {
    let read = expand_as_written(message, at, out)?;
    out[..read.0].make_ascii_lowercase();
    Some(read)
}

/// As [`expand`], with letters as they stand there.
///
/// `None` if it ends early, is longer than 255 octets, or has a label of an unknown type or a pointer that does not lead
/// back before the labels just read (RFC 1035 section 4.1.4 has them lead to a prior occurrence): so reading ends.
pub fn expand_as_written(message: &[u8], mut at: usize, out: &mut [u8; MAX_NAME]) -> Option<(usize, usize)> {
    let (mut len, mut end, mut before) = (0, None, at);
    loop {
        let head = *message.get(at)?;
        match head {
            0..=63 => {
                let next = at + 1 + usize::from(head);
                let label = message.get(at..next)?;
                out.get_mut(len..len + label.len())?.copy_from_slice(label);
                (at, len) = (next, len + label.len());
                if head == 0 {
                    return Some((len, end.unwrap_or(at)));
                }
            }
            0xc0..=0xff => {
                let to = usize::from(u16::from_be_bytes([head & 0x3f, *message.get(at + 1)?]));
                end.get_or_insert(at + 2);
                if to >= before {
                    return None;
                }
                (at, before) = (to, to);
            }
            _ => return None,
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

    /// RFC 1035 section 4.1.4; and pointers that lead nowhere, forward or to themselves.
    #[test]
    fn compressed_names_are_read() {
        let message = b"............\x03Www\x07example\x00\x03ftp\xc0\x10\xc0\x19\xc0\x1b\xc0\x21";
        let check = |at, expected: Option<(&str, usize)>| {
            let mut out = [0; MAX_NAME];
            let found = expand(message, at, &mut out);
            let found = found.map(|(len, end)| (Name::from_wire(&out[..len]).unwrap().to_string(), end));
            assert_eq!(found, expected.map(|(text, end)| (text.to_string(), end)), "at {at}");
        };
        check(12, Some(("www.example.", 25)));
        check(25, Some(("ftp.example.", 31)));
        check(31, Some(("ftp.example.", 33)));
        check(33, None);
        check(35, None);
        check(37, None);
        let mut out = [0; MAX_NAME];
        assert_eq!(expand_as_written(message, 12, &mut out), Some((13, 25)));
        assert_eq!(&out[..4], b"\x03Www");
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
