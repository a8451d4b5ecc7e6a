//! The texts of one load, and places in them.
//!
//! Every file that a load touches, roots and includes, is kept here until the load ends, so that a
//! [`Span`] can be turned into a [`Diagnostic`] at any time: while scanning, or later, when a reference
//! turns out to lead nowhere. Columns are counted only then; scanning keeps octet offsets.

use std::borrow::Cow;
use std::sync::Arc;

use crate::masterfile::{Diagnostic, Severity};
use crate::wire::name;

//----------- Span -----------------------------------------------------------

/// A place in one of the [`Sources`]: where a token stands, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which text: position in the [`Sources`].
    pub file: u32,
    /// Line, from 1; 0 means the text as a whole.
    pub line: u32,
    /// Octets from the start of the text.
    pub start: u32,
    /// Octets.
    pub len: u32,
}

impl Span {
    /// The place right behind this one, one character wide: where something is missing.
    pub fn after(self) -> Span {
        Span { start: self.start + self.len, len: 1, ..self }
    }

    /// A part of this place: `len` octets from octet `from`.
    pub fn part(self, from: usize, len: usize) -> Span {
        Span { start: self.start + from as u32, len: len as u32, ..self }
    }
}

//----------- Sources --------------------------------------------------------

/// Every text of one load.
#[derive(Debug, Default)]
pub struct Sources {
    texts: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    name: Arc<str>,
    text: String,
}

impl Sources {
    /// Takes in a text and returns its position; `None` if it is 4 GiB or longer.
    pub fn add(&mut self, name: &str, text: String) -> Option<u32> {
        u32::try_from(text.len()).ok()?;
        let file = u32::try_from(self.texts.len()).ok()?;
        self.texts.push(Source { name: name.into(), text });
        Some(file)
    }

    /// The name of a text as the operator gave it.
    pub fn name(&self, file: u32) -> &Arc<str> {
        &self.texts[file as usize].name
    }

    /// A whole text.
    pub fn text(&self, file: u32) -> &str {
        &self.texts[file as usize].text
    }

    /// `file:line` of a place.
    pub fn place(&self, span: Span) -> String {
        format!("{}:{}", self.name(span.file), span.line)
    }

    /// The line that a place begins on, without its line end.
    pub fn line(&self, span: Span) -> &str {
        let text = self.text(span.file);
        let (start, end) = line_bounds(text, span.start as usize);
        &text[start..end]
    }

    /// A problem that forbids taking the load.
    pub fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Error, span, message.into())
    }

    /// A problem that was mended.
    pub fn warning(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.diagnostic(Severity::Warning, span, message.into())
    }

    /// A problem at a place. A place that spans lines is underlined to the end of its first.
    pub fn diagnostic(&self, severity: Severity, span: Span, message: String) -> Diagnostic {
        let file = self.name(span.file).clone();
        if span.line == 0 {
            return Diagnostic {
                severity,
                file,
                line: 0,
                column: 0,
                width: 0,
                text: String::new(),
                message,
                help: None,
            };
        }
        let text = self.text(span.file);
        let (start, end) = line_bounds(text, span.start as usize);
        let from = floor_boundary(text, (span.start as usize).clamp(start, end));
        let to = floor_boundary(text, ((span.start + span.len) as usize).clamp(from, end));
        let column = text[start..from].chars().count() as u32 + 1;
        let width = (text[from..to].chars().count() as u32).max(1);
        Diagnostic {
            severity,
            file,
            line: span.line,
            column,
            width,
            text: text[start..end].into(),
            message,
            help: None,
        }
    }
}

fn line_bounds(text: &str, at: usize) -> (usize, usize) {
    let at = at.min(text.len());
    let bytes = text.as_bytes();
    let start = bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |i| i + 1);
    let end = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |i| at + i);
    let end = if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end };
    (start, end.max(start))
}

fn floor_boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

//----------- Octets to text -------------------------------------------------

/// Makes text out of a file's octets: what is not UTF-8 becomes `\DDD` escapes, which mean the same
/// octets in names and strings and nothing in comments (RFC 1035 section 5.1). The mark that some editors
/// put before UTF-8 is no part of the text.
pub fn decode(mut octets: Vec<u8>) -> String {
    if octets.starts_with(b"\xef\xbb\xbf") {
        octets.drain(..3);
    }
    let octets = match String::from_utf8(octets) {
        Ok(text) => return text,
        Err(e) => e.into_bytes(),
    };
    let mut text = String::with_capacity(octets.len() + 64);
    for chunk in octets.utf8_chunks() {
        text.push_str(chunk.valid());
        for octet in chunk.invalid() {
            // `\` before the octet already is the escape's backslash, unless it is escaped itself.
            let backslashes = text.bytes().rev().take_while(|&b| b == b'\\').count();
            if backslashes % 2 == 0 {
                text.push('\\');
            }
            text.push_str(&format!("{octet:03}"));
        }
    }
    text
}

/// The octets that a character-string stands for, its escapes resolved.
///
/// # Errors
/// The offset of the first escape that is neither `\DDD` nor `\X`.
pub fn unescape(text: &str) -> Result<Cow<'_, [u8]>, usize> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'\\') {
        return Ok(Cow::Borrowed(bytes));
    }
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        if bytes[i] == b'\\' {
            let (octet, len) = name::unescape(&bytes[i..]).ok_or(i)?;
            out.push(octet);
            i += len;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters() {
        let mut sources = Sources::default();
        let file = sources.add("z", "a\nüü bad\r\nc".into()).unwrap();
        let d = sources.error(Span { file, line: 2, start: 7, len: 3 }, "no");
        assert_eq!((d.line, d.column, d.width, d.text.as_str()), (2, 4, 3, "üü bad"));
        let d = sources.error(Span { file, line: 2, start: 7, len: 3 }.after(), "no");
        assert_eq!((d.column, d.width), (7, 1));
    }

    #[test]
    fn octets_that_are_not_text_become_escapes() {
        let check = |octets: &[u8], text: &str| assert_eq!(decode(octets.to_vec()), text);
        check(b"plain", "plain");
        check("größe".as_bytes(), "größe");
        check(b"gr\xf6\xdfe", "gr\\246\\223e");
        check(b"a\\\xf6", "a\\246");
        check(b"a\\\\\xf6", "a\\\\\\246");
        check(b"\xef\xbb\xbf$TTL 300", "$TTL 300");
        check(b"\xef\xbb\xbf\xf6", "\\246");
    }

    #[test]
    fn escapes_resolve() {
        assert_eq!(unescape("a\\.b\\065\\\\").unwrap().as_ref(), b"a.bA\\");
        assert_eq!(unescape("ab\\256"), Err(2));
        assert_eq!(unescape("ab\\"), Err(2));
    }
}
