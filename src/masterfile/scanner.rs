//! The scanner: root text in, entries out, with directives followed.
//!
//! [`Scanner::next_entry`] lends one [`Entry`] at a time; its tokens borrow the text. It resolves what an entry
//! leaves out: the owner from the entry before, the TTL from `$TTL` or the last one stated (RFC 1035 section
//! 5.1, RFC 2308 section 4), names from the origin. It does not know record types, except that the type ends
//! the run of TTL and class; what follows is the reader's.
//!
//! An included file starts with the origin, owner and TTL of the including one and changes nothing there
//! (RFC 1035 section 5.1 says so of the origin; for `$TTL` it is our choice, as in Knot DNS).

use crate::masterfile::entry::span_of;
use crate::masterfile::generate::{self, Generate};
use crate::masterfile::lex::{Fault, Lexed, Lexer, RawToken};
use crate::masterfile::{Diagnostic, Entry, Report, Sources, Span, Token, parse_ttl};
use crate::wire::Name;

/// Gives the octets of an included file: its path is as written, or, where that is relative, joined to the
/// directory of the including file. An `Err` is the reason for people.
pub type Includes<'a> = dyn FnMut(&str) -> Result<Vec<u8>, String> + 'a;

/// Deepest nesting of `$INCLUDE`, the root file not counted. Our choice: nobody needs more, and it ends loops
/// that two spellings of one path hide.
pub const MAX_INCLUDES: usize = 16;

/// Class IN (RFC 1035 section 3.2.4).
pub const CLASS_IN: u16 = 1;

/// An [`Includes`] for texts that have no files around them: refuses every path.
pub fn no_includes(_path: &str) -> Result<Vec<u8>, String> {
    Err("this text cannot include files".into())
}

//----------- Scanner --------------------------------------------------------

/// Reads one root text and what it includes.
pub struct Scanner<'a> {
    pub(super) sources: &'a mut Sources,
    pub(super) includes: &'a mut Includes<'a>,
    /// The files being read, the root first, the current last; empty at the end.
    pub(super) open: Vec<OpenFile>,
    pub(super) tokens: Vec<RawToken>,
    pub(super) generating: Option<Generate>,
    scratch: generate::Scratch,
    /// Places in the root text, ascending, at which its pieces may begin.
    cuts: Vec<u32>,
    pieces: Vec<Piece>,
    pub(super) included: bool,
}

/// What an entry of a file takes from those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What names without a trailing dot are relative to.
    pub origin: Name,
    /// The last owner.
    pub owner: Option<Name>,
    /// What `$TTL` says.
    pub default_ttl: Option<u32>,
    /// The TTL that was stated last.
    pub last_ttl: Option<u32>,
}

/// A part of the root text that can be scanned by itself: it begins with a line that continues none before.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Octets from the start of the text.
    pub start: u32,
    /// What its first entry takes from those before.
    pub state: State,
}

/// What is particular to one file being read.
#[derive(Clone)]
pub(super) struct OpenFile {
    pub(super) file: u32,
    pub(super) lexer: Lexer,
    pub(super) origin: Name,
    /// The last owner, and its text if it can be compared: equal text under one origin is an equal name.
    owner: Option<Name>,
    pub(super) owner_text: (u32, u32),
    /// Set after an owner that was no name: entries that rely on it are passed over, having been told of once.
    owner_bad: bool,
    pub(super) default_ttl: Option<u32>,
    last_ttl: Option<u32>,
}

/// The head of an entry; positions are those of tokens.
struct Head {
    ttl: Option<u32>,
    ttl_at: Option<usize>,
    class: u16,
    class_at: Option<usize>,
    owner_at: Option<usize>,
    type_at: usize,
}

impl<'a> Scanner<'a> {
    /// A scanner at the start of a root text called `path`. Names without a trailing dot are relative to
    /// `origin` until the text says otherwise. A text of 4 GiB or more is reported and nothing scanned.
    pub fn new(
        sources: &'a mut Sources,
        includes: &'a mut Includes<'a>,
        path: &str,
        text: impl Into<String>,
        origin: &Name,
        report: &mut Report,
    ) -> Scanner<'a> {
        let mut open = Vec::new();
        let text = text.into();
        let lexer = Lexer::new(&text);
        match sources.add(path, text) {
            Some(file) => open.push(OpenFile {
                file,
                lexer,
                origin: origin.clone(),
                owner: None,
                owner_text: (0, 0),
                owner_bad: false,
                default_ttl: None,
                last_ttl: None,
            }),
            None => report.push(too_long(path)),
        }
        Scanner {
            sources,
            includes,
            open,
            tokens: Vec::new(),
            generating: None,
            scratch: generate::Scratch::default(),
            cuts: Vec::new(),
            pieces: Vec::new(),
            included: false,
        }
    }

    /// Continues a file: the text's first entry takes from those before it what `state` says.
    pub fn resume(&mut self, state: &State) {
        if let Some(open) = self.open.last_mut() {
            let State { origin, owner, default_ttl, last_ttl } = state.clone();
            *open = OpenFile { origin, owner, default_ttl, last_ttl, ..open.clone() };
        }
    }

    /// Notes what holds at these places of the root text, ascending, wherever a piece begins there; and at its end,
    /// as the last piece. See [`Scanner::pieces`].
    pub fn note_pieces(&mut self, mut cuts: Vec<u32>) {
        cuts.push(u32::MAX);
        cuts.reverse();
        self.cuts = cuts;
    }

    /// The pieces begun so far. What stands in one that begins where the entry at hand does belongs to it.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Whether another text was read, too.
    pub fn has_included(&self) -> bool {
        self.included
    }

    /// Notes the pieces that begin between the entry before and the one just read, or the end.
    fn note(&mut self, from: usize, at_end: bool) {
        let Some(open) = self.open.last() else { return };
        let to = open.lexer.entry_at();
        while let Some(&cut) = self.cuts.last() {
            let is_end = cut == u32::MAX && at_end;
            if cut as usize > to && !is_end {
                break;
            }
            self.cuts.pop();
            if cut as usize >= from || is_end {
                let OpenFile { origin, owner, default_ttl, last_ttl, .. } = open.clone();
                let start = cut.min(to as u32);
                self.pieces.push(Piece { start, state: State { origin, owner, default_ttl, last_ttl } });
            }
        }
    }

    /// The texts scanned so far.
    pub fn sources(&self) -> &Sources {
        self.sources
    }

    /// The next entry, or `None` at the end. Problems go to `report`, and scanning goes on behind them.
    pub fn next_entry(&mut self, report: &mut Report) -> Option<Entry<'_>> {
        let head = self.advance(report)?;
        let state = self.open.last().expect("an entry comes out of an open file");
        let text = self.sources.text(state.file);
        let at = |i: usize| span_of(state.file, self.tokens[i]);
        let type_span = at(head.type_at);
        let (type_text, generated) = match &self.generating {
            None => {
                let raw = self.tokens[head.type_at];
                (&text[raw.start as usize..(raw.start + raw.len) as usize], None)
            }
            Some(_) => {
                let (scratch, ranges) = self.scratch.view();
                (self.scratch.token(head.type_at), Some((scratch, &ranges[head.type_at + 1..])))
            }
        };
        Some(Entry {
            owner: state.owner.as_ref().expect("advance found an owner"),
            owner_span: head.owner_at.map_or(type_span, at),
            ttl: head.ttl.or(state.default_ttl).or(state.last_ttl),
            ttl_span: head.ttl_at.map_or(type_span, at),
            class: head.class,
            class_span: head.class_at.map_or(type_span, at),
            rtype: Token { text: type_text, quoted: self.tokens[head.type_at].quoted, span: type_span },
            origin: &state.origin,
            sources: self.sources,
            rdata: &self.tokens[head.type_at + 1..],
            text,
            file: state.file,
            generated,
            n_pieces: self.pieces.len(),
        })
    }

    /// Goes to the next entry that can be made sense of.
    fn advance(&mut self, report: &mut Report) -> Option<Head> {
        loop {
            if let Some(generate) = &mut self.generating {
                let file = self.open.last().expect("generation runs inside its file").file;
                match generate.step(&self.tokens, self.sources.text(file), &mut self.scratch) {
                    Ok(true) => {
                        let head = self.head(false, report);
                        if head.is_none() {
                            // What is wrong with one is wrong with all: say it once.
                            self.generating = None;
                        } else {
                            return head;
                        }
                    }
                    Ok(false) => self.generating = None,
                    Err((at, message)) => {
                        let span = span_of(file, self.tokens[at]);
                        report.push(self.sources.error(span, message));
                        self.generating = None;
                    }
                }
                continue;
            }
            let depth = self.open.len();
            let state = self.open.last_mut()?;
            let from = state.lexer.at();
            let lexed = state.lexer.next_entry(self.sources.text(state.file), &mut self.tokens);
            if depth == 1 && !self.cuts.is_empty() {
                self.note(from, lexed == Lexed::End);
            }
            let file = self.open.last()?.file;
            match lexed {
                Lexed::End => {
                    self.open.pop();
                }
                Lexed::Fault { fault, start, len, line } => {
                    let span = Span { file, line, start, len };
                    report.push(fault_diagnostic(self.sources, fault, span));
                }
                Lexed::Entry { blank } => {
                    if self.token(0).text.starts_with('$') && !self.token(0).quoted {
                        self.directive(report);
                    } else if let Some(head) = self.head(blank, report) {
                        return Some(head);
                    }
                }
            }
        }
    }

    /// Token `i` of the current line; of the line made, while generating.
    pub(super) fn token(&self, i: usize) -> Token<'_> {
        let file = self.open.last().expect("tokens come out of an open file").file;
        let raw = self.tokens[i];
        let text = match self.generating {
            None => &self.sources.text(file)[raw.start as usize..(raw.start + raw.len) as usize],
            Some(_) => self.scratch.token(i),
        };
        Token { text, quoted: raw.quoted, span: span_of(file, raw) }
    }

    //--- Entries

    /// Reads owner, TTL, class and the place of the type.
    fn head(&mut self, blank: bool, report: &mut Report) -> Option<Head> {
        let owner_at = (!blank).then_some(0);
        if owner_at.is_some() {
            self.take_owner(report);
        }
        let (mut ttl, mut ttl_at, mut class, mut class_at) = (None, None, CLASS_IN, None);
        let mut i = usize::from(!blank);
        while i < self.tokens.len() {
            let token = self.token(i);
            if let Some(code) = parse_class(token.text)
                && class_at.is_none()
            {
                (class, class_at) = (code, Some(i));
            } else if ttl_at.is_none() && token.text.starts_with(|c: char| c.is_ascii_digit()) {
                let Some(secs) = parse_ttl(token.text) else {
                    report.push(bad_ttl(self.sources, token));
                    return None;
                };
                (ttl, ttl_at) = (Some(secs), Some(i));
            } else {
                break;
            }
            i += 1;
        }
        if i == self.tokens.len() {
            let span = self.token(i - 1).span.after();
            let message = "the line ends before a record type";
            report.push(self.sources.error(span, message).help("a record is: owner [TTL] [class] type data"));
            return None;
        }
        let state = self.open.last_mut().expect("an entry comes out of an open file");
        if ttl.is_some() {
            state.last_ttl = ttl;
        }
        if state.owner_bad {
            return None;
        }
        if state.owner.is_none() {
            let span = span_of(state.file, self.tokens[i]);
            report.push(
                self.sources
                    .error(span, "this line leaves its owner out, but no record stands before it")
                    .help("a line that begins with white space belongs to the owner above; start with a name, or `@`"),
            );
            state.owner_bad = true;
            return None;
        }
        Some(Head { ttl, ttl_at, class, class_at, owner_at, type_at: i })
    }

    /// Makes token 0 the owner.
    fn take_owner(&mut self, report: &mut Report) {
        let token = self.token(0);
        let state = self.open.last().expect("an entry comes out of an open file");
        let file_text = self.sources.text(state.file);
        let (from, to) = state.owner_text;
        if self.generating.is_none()
            && state.owner.is_some()
            && !state.owner_bad
            && to > from
            && file_text.as_bytes()[from as usize..to as usize] == *token.text.as_bytes()
        {
            return;
        }
        let made = Name::parse(token.text, &state.origin);
        let place = (self.tokens[0].start, self.tokens[0].start + self.tokens[0].len);
        if let Err(why) = made {
            let message = format!("\"{}\" cannot be an owner: {why}", token.text);
            report.push(self.sources.error(token.span, message));
        }
        let owner_text = if self.generating.is_none() { place } else { (0, 0) };
        let state = self.open.last_mut().expect("an entry comes out of an open file");
        state.owner_bad = made.is_err();
        state.owner_text = owner_text;
        if let Ok(owner) = made {
            state.owner = Some(owner);
        }
    }
}

//----------- Small words ----------------------------------------------------

/// A class mnemonic or `CLASSnnn` (RFC 3597 section 5).
pub fn parse_class(text: &str) -> Option<u16> {
    let named = [("IN", CLASS_IN), ("CH", 3), ("HS", 4), ("CS", 2)];
    if let Some((_, code)) = named.iter().find(|(name, _)| text.eq_ignore_ascii_case(name)) {
        return Some(*code);
    }
    let (head, digits) = text.split_at_checked(5)?;
    let plain = head.eq_ignore_ascii_case("CLASS") && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

pub(super) fn too_long(path: &str) -> Diagnostic {
    Diagnostic {
        severity: crate::masterfile::Severity::Error,
        file: path.into(),
        line: 0,
        column: 0,
        width: 0,
        text: String::new(),
        message: "the file is 4 GiB or longer".into(),
        help: None,
    }
}

pub(super) fn bad_ttl(sources: &Sources, token: Token<'_>) -> Diagnostic {
    sources
        .error(token.span, format!("\"{}\" is not a TTL", token.text))
        .help("a TTL is seconds or units, such as 300, 5m or 1h30m")
}

fn fault_diagnostic(sources: &Sources, fault: Fault, span: Span) -> Diagnostic {
    match fault {
        Fault::Unclosed => sources
            .error(span, "this parenthesis is never closed")
            .help("the record it opens ends at the matching `)`, on whatever line that stands"),
        Fault::Unopened => sources.error(span, "this parenthesis was never opened"),
        Fault::OpenQuote => sources
            .error(span, "this quoted string does not end on its line")
            .help("close it with \"; a quote inside a string is written \\\""),
        Fault::LooseBackslash => sources
            .error(span, "a backslash escapes nothing here")
            .help("lines are continued with parentheses; a backslash itself is written \\\\"),
    }
}

#[cfg(test)]
#[path = "scanner_tests.rs"]
mod tests;
