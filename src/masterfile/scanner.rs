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
use crate::masterfile::{Diagnostic, Entry, Report, Sources, Span, Token, decode, parse_ttl, suggest};
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
    sources: &'a mut Sources,
    includes: &'a mut Includes<'a>,
    /// The files being read, the root first, the current last; empty at the end.
    open: Vec<OpenFile>,
    tokens: Vec<RawToken>,
    generating: Option<Generate>,
    scratch: generate::Scratch,
    /// Places in the root text, ascending, at which its pieces may begin.
    cuts: Vec<u32>,
    pieces: Vec<Piece>,
    included: bool,
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
struct OpenFile {
    file: u32,
    lexer: Lexer,
    origin: Name,
    /// The last owner, and its text if it can be compared: equal text under one origin is an equal name.
    owner: Option<Name>,
    owner_text: (u32, u32),
    /// Set after an owner that was no name: entries that rely on it are passed over, having been told of once.
    owner_bad: bool,
    default_ttl: Option<u32>,
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
    fn token(&self, i: usize) -> Token<'_> {
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

    //--- Directives

    fn directive(&mut self, report: &mut Report) {
        const DIRECTIVES: [&str; 4] = ["$ORIGIN", "$TTL", "$INCLUDE", "$GENERATE"];
        let word = self.token(0);
        let done = match word.text.to_ascii_uppercase().as_str() {
            "$ORIGIN" => self.set_origin(),
            "$TTL" => self.set_ttl(),
            "$INCLUDE" => self.include(),
            "$GENERATE" => self.generate(),
            other => {
                let error = self.sources.error(word.span, format!("unknown directive \"{}\"", word.text));
                Err(error.help(match suggest(other, DIRECTIVES) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => {
                        format!("directives are {}; a name that starts with $ is written \\$", DIRECTIVES.join(", "))
                    }
                }))
            }
        };
        if let Err(problem) = done {
            report.push(problem);
        }
    }

    /// Checks that a directive has from `least` to `most` arguments.
    fn arguments(&self, least: usize, most: usize, usage: &str) -> Result<(), Diagnostic> {
        let n = self.tokens.len() - 1;
        let (span, message) = if n < least {
            (self.token(n).span.after(), format!("{} needs more arguments", self.token(0).text))
        } else if n > most {
            (self.token(most + 1).span, format!("{} takes no more arguments", self.token(0).text))
        } else {
            return Ok(());
        };
        Err(self.sources.error(span, message).help(format!("it is written: {usage}")))
    }

    fn name_argument(&self, i: usize) -> Result<Name, Diagnostic> {
        let token = self.token(i);
        let state = self.open.last().expect("directives stand in an open file");
        Name::parse(token.text, &state.origin)
            .map_err(|why| self.sources.error(token.span, format!("\"{}\" cannot be an origin: {why}", token.text)))
    }

    fn set_origin(&mut self) -> Result<(), Diagnostic> {
        self.arguments(1, 1, "$ORIGIN name")?;
        let origin = self.name_argument(1)?;
        let state = self.open.last_mut().expect("directives stand in an open file");
        state.origin = origin;
        state.owner_text = (0, 0);
        Ok(())
    }

    fn set_ttl(&mut self) -> Result<(), Diagnostic> {
        self.arguments(1, 1, "$TTL seconds")?;
        let token = self.token(1);
        let ttl = parse_ttl(token.text).ok_or_else(|| bad_ttl(self.sources, token))?;
        self.open.last_mut().expect("directives stand in an open file").default_ttl = Some(ttl);
        Ok(())
    }

    fn include(&mut self) -> Result<(), Diagnostic> {
        self.arguments(1, 2, "$INCLUDE file [origin]")?;
        let token = self.token(1);
        let current = self.open.last().expect("directives stand in an open file");
        let octets = token.octets().map_err(|span| self.sources.error(span, "this escape stands for nothing"))?;
        let written = String::from_utf8_lossy(&octets);
        let path = join(self.sources.name(current.file), &written);
        if self.open.iter().any(|f| **self.sources.name(f.file) == *path) {
            let message = format!("{path} includes itself");
            let chain: Vec<&str> = self.open.iter().map(|f| &**self.sources.name(f.file)).collect();
            return Err(self.sources.error(token.span, message).help(format!("it is open: {}", chain.join(" → "))));
        }
        if self.open.len() > MAX_INCLUDES {
            let message = format!("files include each other more than {MAX_INCLUDES} deep");
            return Err(self.sources.error(token.span, message));
        }
        let origin = if self.tokens.len() > 2 { self.name_argument(2)? } else { current.origin.clone() };
        let mut inner = OpenFile { origin, owner_text: (0, 0), ..current.clone() };
        let span = token.span;
        let text = match (self.includes)(&path) {
            Ok(octets) => decode(octets),
            Err(why) => return Err(self.sources.error(span, format!("{path} cannot be included: {why}"))),
        };
        inner.lexer = Lexer::new(&text);
        inner.file = self.sources.add(&path, text).ok_or_else(|| too_long(&path))?;
        self.open.push(inner);
        self.included = true;
        Ok(())
    }

    fn generate(&mut self) -> Result<(), Diagnostic> {
        self.arguments(4, usize::MAX - 1, "$GENERATE start-stop[/step] owner [TTL] [class] type data")?;
        let token = self.token(1);
        let generate = Generate::new(token.text).map_err(|why| {
            self.sources
                .error(token.span, why)
                .help("a range is start-stop or start-stop/step, such as 1-20 or 0-254/2")
        })?;
        self.tokens.drain(..2);
        self.generating = Some(generate);
        Ok(())
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

/// A relative path is joined to the directory of the file it stands in.
fn join(including: &str, path: &str) -> String {
    match including.rsplit_once('/') {
        Some((dir, _)) if !path.starts_with('/') => format!("{dir}/{path}"),
        _ => path.into(),
    }
}

fn too_long(path: &str) -> Diagnostic {
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

fn bad_ttl(sources: &Sources, token: Token<'_>) -> Diagnostic {
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
mod tests {
    use super::*;

    /// Scans `text` under `example.` and prints each entry on a line, then each problem.
    fn scan_with(text: &str, includes: &mut Includes<'_>) -> Vec<String> {
        let (mut sources, mut report, mut out) = (Sources::default(), Report::default(), Vec::new());
        let origin = "example.".parse().unwrap();
        let mut scanner = Scanner::new(&mut sources, includes, "dir/z", text, &origin, &mut report);
        while let Some(e) = scanner.next_entry(&mut report) {
            let ttl = e.ttl.map_or("-".into(), |t| t.to_string());
            let mut line = format!("{} {ttl} {} {}", e.owner, e.class, e.rtype.text);
            for t in e.tokens() {
                line += &if t.quoted { format!(" '{}'", t.text) } else { format!(" {}", t.text) };
            }
            out.push(line);
        }
        out.extend(report.diagnostics.iter().map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.message)));
        out
    }

    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        assert_eq!(scan_with(text, &mut no_includes), want, "{text}");
    }

    #[test]
    fn heads_resolve_what_is_left_out() {
        check("a A 1", &["a.example. - 1 A 1"]);
        check("@ A 1\n  B 2", &["example. - 1 A 1", "example. - 1 B 2"]);
        check("a 5 IN A 1", &["a.example. 5 1 A 1"]);
        check("a in 5m A 1\n B", &["a.example. 300 1 A 1", "a.example. 300 1 B"]);
        check("a 5 A 1\nb A 1", &["a.example. 5 1 A 1", "b.example. 5 1 A 1"]);
        check("$TTL 1h\na 5 A 1\nb A 1", &["a.example. 5 1 A 1", "b.example. 3600 1 A 1"]);
        check("a CH A 1", &["a.example. - 3 A 1"]);
        check("a CLASS1 TYPE1 \\# 0", &["a.example. - 1 TYPE1 \\# 0"]);
        check("in in in in", &["in.example. - 1 in in"]);
        check("$ORIGIN b\na A\n$ORIGIN c.\na A", &["a.b.example. - 1 A", "a.c. - 1 A"]);
        check("a TXT \"x y\" z", &["a.example. - 1 TXT 'x y' z"]);
        check("WWW.Other.\tA 1", &["www.other. - 1 A 1"]);
    }

    #[test]
    fn problems_are_told_and_passed_over() {
        check(
            " A 1\n A 2\nb A 3",
            &["b.example. - 1 A 3", "dir/z:1:2 this line leaves its owner out, but no record stands before it"],
        );
        check(
            "a..b A 1\n A 2\nb A 3",
            &["b.example. - 1 A 3", "dir/z:1:1 \"a..b\" cannot be an owner: a label is empty"],
        );
        check("a 5 IN\nb A 3", &["b.example. - 1 A 3", "dir/z:1:7 the line ends before a record type"]);
        check("a 5x A 1", &["dir/z:1:3 \"5x\" is not a TTL"]);
        check(
            "$TTL\n$TTL 5 5\n$TLT 5",
            &[
                "dir/z:1:5 $TTL needs more arguments",
                "dir/z:2:8 $TTL takes no more arguments",
                "dir/z:3:1 unknown directive \"$TLT\"",
            ],
        );
        check("a A ( 1", &["dir/z:1:5 this parenthesis is never closed"]);
    }

    #[test]
    fn includes_are_followed_and_change_nothing_outside() {
        let mut files = |path: &str| match path {
            "dir/b" => Ok(b"@ A 1\n$TTL 9\n$ORIGIN x.\nc A 2\n".to_vec()),
            "dir/loop" => Ok(b"$INCLUDE z\nok A".to_vec()),
            "/abs" => Ok(b" A inherited".to_vec()),
            _ => Err("no such file".into()),
        };
        let mut check = |text: &str, want: &[&str]| assert_eq!(scan_with(text, &mut files), want, "{text}");
        check(
            "$TTL 5\na A\n$INCLUDE b sub\n A\nd A",
            &["a.example. 5 1 A", "sub.example. 5 1 A 1", "c.x. 9 1 A 2", "a.example. 5 1 A", "d.example. 5 1 A"],
        );
        check("a A\n$INCLUDE \"/abs\"", &["a.example. - 1 A", "a.example. - 1 A inherited"]);
        check("$INCLUDE loop", &["ok.example. - 1 A", "dir/loop:1:10 dir/z includes itself"]);
        check("$INCLUDE nope\na A", &["a.example. - 1 A", "dir/z:1:10 dir/nope cannot be included: no such file"]);
    }

    #[test]
    fn include_loops_under_two_names_end() {
        let mut n = 0;
        let mut files = |_: &str| {
            n += 1;
            Ok(format!("$INCLUDE /{n}").into_bytes())
        };
        let out = scan_with("$INCLUDE /x", &mut files);
        let (last, most) = (MAX_INCLUDES - 1, MAX_INCLUDES);
        assert_eq!(out, [format!("/{last}:1:10 files include each other more than {most} deep")]);
    }

    #[test]
    fn generated_lines_are_entries() {
        check(
            "$GENERATE 1-3/2 h-$ 60 A 10.0.0.$ ; x\n B",
            &["h-1.example. 60 1 A 10.0.0.1", "h-3.example. 60 1 A 10.0.0.3", "h-3.example. 60 1 B"],
        );
        check("$GENERATE 2-1 a A 1", &["dir/z:1:11 \"2-1\" runs backwards"]);
        check("$GENERATE 1-9 a..$ A 1", &["dir/z:1:15 \"a..1\" cannot be an owner: a label is empty"]);
        check("$GENERATE 1-9 a${ A 1", &["dir/z:1:15 `${` without `}`"]);
        check("$GENERATE 1-2 a", &["dir/z:1:16 $GENERATE needs more arguments"]);
    }

    #[test]
    fn pieces_of_tokens_have_places() {
        let (mut sources, mut report) = (Sources::default(), Report::default());
        let mut includes = no_includes;
        let text = "a GROUP at=1,23 note=\"x y\" plain";
        let mut scanner = Scanner::new(&mut sources, &mut includes, "z", text, &Name::root(), &mut report);
        let entry = scanner.next_entry(&mut report).unwrap();
        let (key, value) = entry.token(0).unwrap().key_value();
        let value = value.unwrap();
        assert_eq!((key.text, value.text, value.span.start), ("at", "1,23", 11));
        let parts: Vec<_> = value.split(',').map(|t| (t.text, t.span.start, t.span.len)).collect();
        assert_eq!(parts, [("1", 11, 1), ("23", 13, 2)]);
        let (_, note) = entry.token(1).unwrap().key_value();
        assert_eq!(note.map(|t| (t.text, t.quoted, t.span.len)), Some(("x y", true, 5)));
        assert_eq!(entry.token(2).unwrap().key_value().1, None);
        assert_eq!(entry.end().start as usize, text.len());
    }

    proptest::proptest! {
        /// Whatever operators or line noise write, scanning ends and no place lies outside its text.
        #[test]
        fn any_text_scans(pieces in proptest::collection::vec(proptest::sample::select(&[
            "a", " ", "\n", "(", ")", "\"", "\\", ";", "$ORIGIN", "$TTL", "$GENERATE", "$INCLUDE", "1-3", "5m", "IN", "A",
            "$", "${", "}", "=", "é", "\r", "\t", ".", "@", "9", "\u{0}",
        ][..]), 0..40)) {
            let text = pieces.concat();
            let mut self_include = |_: &str| Ok(text.clone().into_bytes());
            scan_with(&text, &mut self_include);
        }
    }
}
