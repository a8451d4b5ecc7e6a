//! What the scanner hands out: entries, and their tokens.
//!
//! Both borrow the text. A token knows its place to the octet, and so do the pieces it is split into.

use std::borrow::Cow;

use crate::masterfile::lex::RawToken;
use crate::masterfile::{Diagnostic, Sources, Span, source};
use crate::wire::Name;

//----------- Token ----------------------------------------------------------

/// One token. Escapes in `text` are as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The text, without the quotes of a quoted string.
    pub text: &'a str,
    /// Whether quotes stand around it.
    pub quoted: bool,
    /// Where it stands, quotes included.
    pub span: Span,
}

impl<'a> Token<'a> {
    /// The octets it stands for, its escapes resolved.
    ///
    /// # Errors
    /// The place of an escape that is neither `\DDD` nor `\X`.
    pub fn octets(&self) -> Result<Cow<'a, [u8]>, Span> {
        source::unescape(self.text).map_err(|at| {
            let digits = self.text[at + 1..].bytes().take_while(u8::is_ascii_digit).count().min(3);
            self.part(at, 1 + digits.max(1))
        })
    }

    /// Splits `key=value` at the first `=`; the value may be quoted. A token without `=` is a key alone.
    pub fn key_value(&self) -> (Token<'a>, Option<Token<'a>>) {
        if self.quoted {
            return (*self, None);
        }
        let Some(at) = self.text.find('=') else { return (*self, None) };
        let key = Token { text: &self.text[..at], quoted: false, span: self.part(0, at) };
        let value = &self.text[at + 1..];
        let span = self.part(at + 1, value.len());
        let value = match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
            Some(inside) => Token { text: inside, quoted: true, span },
            None => Token { text: value, quoted: false, span },
        };
        (key, Some(value))
    }

    /// Splits at every `separator`, each part with its place; for lists such as `DE,AT`.
    pub fn split(&self, separator: char) -> impl Iterator<Item = Token<'a>> {
        let token = *self;
        let mut at = 0;
        token.text.split(separator).map(move |text| {
            let span = token.part(at, text.len());
            at += text.len() + separator.len_utf8();
            Token { text, quoted: token.quoted, span }
        })
    }

    /// The place of a piece of `text`.
    pub fn part(&self, from: usize, len: usize) -> Span {
        let from = from + usize::from(self.quoted);
        // A generated token's text is not what stands in the file: then the whole token is the place.
        if from + len > self.span.len as usize { self.span } else { self.span.part(from, len) }
    }
}

//----------- Entry ----------------------------------------------------------

/// One record as written, its head resolved, its RDATA still tokens.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The owner.
    pub owner: &'a Name,
    /// Where the owner stands; the type where it is left out.
    pub owner_span: Span,
    /// The TTL as stated, else of `$TTL`, else as last stated in this file; `None` if nowhere. May exceed 2^31 − 1.
    pub ttl: Option<u32>,
    /// Where the TTL stands; the type where it is left out.
    pub ttl_span: Span,
    /// The class; IN where it is left out.
    pub class: u16,
    /// Where the class stands; the type where it is left out.
    pub class_span: Span,
    /// The record type.
    pub rtype: Token<'a>,
    /// The origin that relative names in the RDATA take.
    pub origin: &'a Name,
    /// The texts, for diagnostics.
    pub sources: &'a Sources,
    pub(crate) rdata: &'a [RawToken],
    pub(crate) text: &'a str,
    pub(crate) file: u32,
    /// Text of the tokens of a generated entry, and where in it each is.
    /// How many pieces of the text have begun, see [`crate::masterfile::Scanner::pieces`].
    pub(crate) n_pieces: usize,
    pub(crate) generated: Option<(&'a str, &'a [(u32, u32)])>,
}

impl<'a> Entry<'a> {
    /// Number of RDATA tokens.
    pub fn n_rdata(&self) -> usize {
        self.rdata.len()
    }

    /// RDATA token `i`, if there are that many.
    #[inline]
    pub fn token(&self, i: usize) -> Option<Token<'a>> {
        let raw = *self.rdata.get(i)?;
        let span = span_of(self.file, raw);
        let text = match self.generated {
            None => &self.text[raw.start as usize..(raw.start + raw.len) as usize],
            Some((scratch, ranges)) => &scratch[ranges[i].0 as usize..ranges[i].1 as usize],
        };
        Some(Token { text, quoted: raw.quoted, span })
    }

    /// The RDATA tokens.
    pub fn tokens(&self) -> impl Iterator<Item = Token<'a>> {
        let entry = *self;
        (0..entry.n_rdata()).filter_map(move |i| entry.token(i))
    }

    /// Whether the entry was made by `$GENERATE`; its places are those of the one line it stands for.
    pub fn is_generated(&self) -> bool {
        self.generated.is_some()
    }

    /// The place behind the last token: where something is missing.
    pub fn end(&self) -> Span {
        self.rdata.last().map_or(self.rtype.span, |&raw| span_of(self.file, raw)).after()
    }

    /// A problem that forbids taking the load.
    pub fn error(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.sources.error(span, message)
    }

    /// A problem that was mended.
    pub fn warning(&self, span: Span, message: impl Into<String>) -> Diagnostic {
        self.sources.warning(span, message)
    }
}

/// Where a token stands in its file, quotes included.
#[inline]
pub(crate) fn span_of(file: u32, raw: RawToken) -> Span {
    let quotes = u32::from(raw.quoted);
    Span { file, line: raw.line, start: raw.start - quotes, len: raw.len + 2 * quotes }
}
