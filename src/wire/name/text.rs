//! Names as master files write them (RFC 1035 section 5.1).

use crate::wire::name::{MAX_LABEL, MAX_NAME, Name, NameError};
use std::fmt;

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
