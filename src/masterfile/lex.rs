//! Cuts text into the tokens of one entry at a time (RFC 1035 section 5.1).
//!
//! The scanner calls [`Lexer::next_entry`] until the text ends. Tokens are offsets into the text; nothing is
//! copied and, once the caller's vector has grown, nothing allocated. After a fault the lexer stands at the
//! start of a later line, so one mistake hides as little as it can of what follows.

/// A token as offsets into its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawToken {
    /// Octets from the start of the text; inside the quotes of a quoted string.
    pub start: u32,
    /// Octets, without quotes.
    pub len: u32,
    /// Line, from 1.
    pub line: u32,
    /// Whether quotes stand around it.
    pub quoted: bool,
}

/// What [`Lexer::next_entry`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lexed {
    /// An entry; `blank` tells whether its first line began with white space.
    Entry {
        /// Whether the owner is left out.
        blank: bool,
    },
    /// Something that is no entry. The tokens read so far are void.
    Fault {
        /// What is wrong.
        fault: Fault,
        /// Where: octets from the start, and how many.
        start: u32,
        /// See `start`.
        len: u32,
        /// The line of `start`.
        line: u32,
    },
    /// The text is at its end.
    End,
}

/// Text that cannot be cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `(` without `)`.
    Unclosed,
    /// `)` without `(`.
    Unopened,
    /// A string whose closing quote is not on its line.
    OpenQuote,
    /// A backslash that ends its line.
    LooseBackslash,
}

/// A place in one text, from which entries are read.
#[derive(Clone, Debug)]
pub struct Lexer {
    at: usize,
    line: u32,
    /// Start of the line on which the entry at hand begins.
    entry_at: usize,
    /// Set once a parenthesis was found open at the end of the text: from then on a line whose first
    /// column holds something ends an open parenthesis, since it looks like the next record.
    wary: bool,
}

const PLAIN: u8 = 0;
const BLANK: u8 = 1;
const SPECIAL: u8 = 2;

/// What each octet is to a word: part of it, or its end, or something to look at.
static KIND: [u8; 256] = {
    let mut kind = [PLAIN; 256];
    kind[b' ' as usize] = BLANK;
    kind[b'\t' as usize] = BLANK;
    kind[b'\r' as usize] = BLANK;
    let special = b"\n;()\"\\";
    let mut i = 0;
    while i < special.len() {
        kind[special[i] as usize] = SPECIAL;
        i += 1;
    }
    kind
};

impl Lexer {
    /// A lexer at the start of `text`, behind a byte order mark if there is one.
    pub fn new(text: &str) -> Lexer {
        Lexer { at: if text.starts_with('\u{feff}') { 3 } else { 0 }, line: 1, entry_at: 0, wary: false }
    }

    /// How far the text has been read: behind the last entry.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Where the line starts on which the last entry begins; the end of the text after the last one.
    pub fn entry_at(&self) -> usize {
        self.entry_at
    }

    /// Reads the tokens of the next entry into `tokens`. `text` is the same at every call.
    pub fn next_entry(&mut self, text: &str, tokens: &mut Vec<RawToken>) -> Lexed {
        let bytes = text.as_bytes();
        tokens.clear();
        self.entry_at = self.at;
        let mut blank = self.starts_blank(bytes);
        // How many parentheses are open, and where the outermost stands.
        let (mut depth, mut outermost) = (0usize, (0, 0));
        while let Some(&b) = bytes.get(self.at) {
            match b {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.at += 1;
                    self.line += 1;
                    match depth {
                        0 if tokens.is_empty() => {
                            blank = self.starts_blank(bytes);
                            self.entry_at = self.at;
                        }
                        0 => return Lexed::Entry { blank },
                        _ if self.wary && self.starts_record(bytes) => return unclosed(outermost),
                        _ => {}
                    }
                }
                b';' => self.skip_to_line_end(bytes),
                b'(' => {
                    if depth == 0 {
                        outermost = (self.at, self.line);
                    }
                    depth += 1;
                    self.at += 1;
                }
                b')' if depth == 0 => return self.fault(bytes, Fault::Unopened, self.at, 1),
                b')' => {
                    depth -= 1;
                    self.at += 1;
                }
                b'"' => {
                    let open = self.at;
                    match quoted_end(bytes, open + 1) {
                        Some(end) => {
                            let (start, len) = (open + 1, end - open - 1);
                            tokens.push(RawToken {
                                start: start as u32,
                                len: len as u32,
                                line: self.line,
                                quoted: true,
                            });
                            self.at = end + 1;
                        }
                        None => return self.fault(bytes, Fault::OpenQuote, open, line_rest(bytes, open)),
                    }
                }
                _ => {
                    let start = self.at;
                    match word_end(bytes, start) {
                        Ok(end) => {
                            tokens.push(RawToken {
                                start: start as u32,
                                len: (end - start) as u32,
                                line: self.line,
                                quoted: false,
                            });
                            self.at = end;
                        }
                        Err((fault, at)) => {
                            let len = if fault == Fault::OpenQuote { line_rest(bytes, at) } else { 1 };
                            return self.fault(bytes, fault, at, len);
                        }
                    }
                }
            }
        }
        match depth {
            0 if tokens.is_empty() => {
                self.entry_at = self.at;
                Lexed::End
            }
            0 => Lexed::Entry { blank },
            _ => {
                self.recover(bytes, outermost);
                unclosed(outermost)
            }
        }
    }

    fn starts_blank(&self, bytes: &[u8]) -> bool {
        matches!(bytes.get(self.at), Some(b' ' | b'\t'))
    }

    fn starts_record(&self, bytes: &[u8]) -> bool {
        !matches!(bytes.get(self.at), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b')' | b'(' | b';'))
    }

    fn skip_to_line_end(&mut self, bytes: &[u8]) {
        self.at += line_rest(bytes, self.at);
    }

    fn fault(&mut self, bytes: &[u8], fault: Fault, start: usize, len: usize) -> Lexed {
        let line = self.line;
        self.at = start;
        self.skip_to_line_end(bytes);
        if self.at < bytes.len() {
            self.at += 1;
            self.line += 1;
        }
        Lexed::Fault { fault, start: start as u32, len: len as u32, line }
    }

    /// Goes back to the first line after the open parenthesis that looks like a record.
    fn recover(&mut self, bytes: &[u8], open: (usize, u32)) {
        (self.at, self.line) = open;
        if self.wary {
            // Cannot be: a wary lexer leaves the parenthesis at the next record. Nothing follows it.
            self.at = bytes.len();
            return;
        }
        self.wary = true;
        while self.at < bytes.len() {
            self.skip_to_line_end(bytes);
            if self.at < bytes.len() {
                self.at += 1;
                self.line += 1;
            }
            if self.starts_record(bytes) {
                return;
            }
        }
    }
}

fn unclosed((start, line): (usize, u32)) -> Lexed {
    Lexed::Fault { fault: Fault::Unclosed, start: start as u32, len: 1, line }
}

/// Octets from `at` to the end of its line.
fn line_rest(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len())
}

/// The closing quote of a string whose first octet is at `at`.
fn quoted_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\n' => return None,
            b'\\' => at += if bytes.get(at + 1) == Some(&b'\n') { 1 } else { 2 },
            _ => at += 1,
        }
    }
}

/// The end of a word that begins at `at`. A quote right behind `=` belongs to the word, to its closing
/// quote: `key="a value"` (RFC 9460 section 2.1).
fn word_end(bytes: &[u8], mut at: usize) -> Result<usize, (Fault, usize)> {
    let start = at;
    while let Some(&b) = bytes.get(at) {
        match KIND[b as usize] {
            PLAIN => at += 1,
            BLANK => break,
            _ if b == b'\\' => match bytes.get(at + 1) {
                None | Some(b'\n') => return Err((Fault::LooseBackslash, at)),
                Some(b'\r') if matches!(bytes.get(at + 2), None | Some(b'\n')) => {
                    return Err((Fault::LooseBackslash, at));
                }
                Some(_) => at += 2,
            },
            _ if b == b'"' && at > start && bytes[at - 1] == b'=' => {
                at = quoted_end(bytes, at + 1).ok_or((Fault::OpenQuote, at))? + 1;
            }
            _ => break,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(text: &str) -> Vec<String> {
        let (mut lexer, mut tokens, mut out) = (Lexer::new(text), Vec::new(), Vec::new());
        loop {
            match lexer.next_entry(text, &mut tokens) {
                Lexed::End => return out,
                Lexed::Entry { blank } => {
                    let words: Vec<_> = tokens
                        .iter()
                        .map(|t| {
                            let text = &text[t.start as usize..(t.start + t.len) as usize];
                            if t.quoted { format!("{}'{text}'", t.line) } else { format!("{}{text}", t.line) }
                        })
                        .collect();
                    out.push(format!("{}{}", if blank { "_ " } else { "" }, words.join(" ")));
                }
                Lexed::Fault { fault, start, len, line } => out.push(format!("{fault:?} {line} {start}+{len}")),
            }
        }
    }

    #[test]
    fn entries_are_cut_as_written() {
        let check = |text: &str, entries: &[&str]| assert_eq!(lex(text), entries, "{text:?}");
        check("", &[]);
        check("\n ; nothing\n\n", &[]);
        check("a b\n\tc", &["1a 1b", "_ 2c"]);
        check("a b\r\nc ;x\r\n", &["1a 1b", "2c"]);
        check("a ( b ; one\n c ) d\ne", &["1a 1b 2c 2d", "3e"]);
        check("a ((b) c\n) d", &["1a 1b 1c 2d"]);
        check("a \"b ; ( c\" d", &["1a 1'b ; ( c' 1d"]);
        check("a \"\" \"x\\\"y\"", &["1a 1'' 1'x\\\"y'"]);
        check("a\\ b\\; c", &["1a\\ b\\; 1c"]);
        check("s alpn=\"h2,h3 x\" b", &["1s 1alpn=\"h2,h3 x\" 1b"]);
        check("a x\"y z\"", &["1a 1x 1'y z'"]);
        check("\u{feff}a b", &["1a 1b"]);
    }

    #[test]
    fn faults_hide_little() {
        let check = |text: &str, entries: &[&str]| assert_eq!(lex(text), entries, "{text:?}");
        check("a ) b\nc", &["Unopened 1 2+1", "2c"]);
        check("a \"b\nc", &["OpenQuote 1 2+2", "2c"]);
        check("a k=\"b\nc", &["OpenQuote 1 4+2", "2c"]);
        check("a b\\\nc", &["LooseBackslash 1 3+1", "2c"]);
        check("a b\\", &["LooseBackslash 1 3+1"]);
        check("a ( b\n c\nd e\nf ( g\n h )\ni", &["Unclosed 1 2+1", "3d 3e", "4f 4g 5h", "6i"]);
        check("a ( b\nc ( d\ne", &["Unclosed 1 2+1", "Unclosed 2 8+1", "3e"]);
    }
}
