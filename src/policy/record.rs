//! One record as scanned, and its parameters taken out one by one.
//!
//! Values are read where they are taken, so every field names its key and its reader in one line
//! (`spec`). What nobody takes does not exist: unknown words are reported before.

use crate::masterfile::Report;
use crate::policy::keys::{Key, Kind, advice};
use crate::policy::said::{Field, Said, SaidName, Spot};
use crate::wire::Name;

//----------- Record ---------------------------------------------------------

/// One token of a record, quotes taken off, escapes left in.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its text.
    pub text: String,
    /// Its place, quotes included.
    pub spot: Spot,
}

/// One record of a policy file, its type known.
#[derive(Clone, Debug)]
pub struct Record {
    /// The record type.
    pub kind: Kind,
    /// The owner and its place; the type's place where the owner was left out.
    pub owner: SaidName,
    /// Where the type stands.
    pub at: Spot,
    /// What follows the type.
    pub tokens: Vec<Token>,
}

impl Record {
    /// The record on one line, owner left out, shortened to 160 characters, with its `file:line`.
    pub fn one_line(&self) -> String {
        let mut line = self.kind.word().to_string();
        for token in &self.tokens {
            line.push(' ');
            line.push_str(&token.text);
        }
        if line.chars().count() > 160 {
            line = line.chars().take(159).collect::<String>() + "…";
        }
        format!("{line} ({})", self.at.file_line())
    }
}

//----------- Value ----------------------------------------------------------

/// The text after `key=`, or one item of it.
#[derive(Clone, Debug)]
pub struct Value {
    /// The key it was given for.
    pub key: &'static str,
    /// The text, quotes taken off, escapes left in.
    pub text: String,
    /// Its place.
    pub spot: Spot,
}

impl Value {
    /// Reports the value as not understood; `what` says what would do, after "write".
    pub fn refuse(&self, report: &mut Report, what: &str) {
        self.spot.error(report, format!("cannot read \"{}\" as `{}`", self.text, self.key), format!("write {what}"));
    }

    /// The items between commas, each with its own place. An escaped comma (`\,`) does not part.
    pub fn items(&self) -> Vec<Value> {
        let mut items = Vec::new();
        let (mut text, mut start, mut escaped) = (String::new(), 0, false);
        let chars: Vec<char> = self.text.chars().collect();
        for (i, &c) in chars.iter().enumerate() {
            if c == ',' && !escaped {
                items.push(self.item(std::mem::take(&mut text), start));
                start = i + 1;
                continue;
            }
            escaped = c == '\\' && !escaped;
            text.push(c);
        }
        items.push(self.item(text, start));
        items
    }

    /// An item with the spaces around it taken off: only quoted values have any.
    fn item(&self, text: String, start: usize) -> Value {
        let trimmed = text.trim();
        let blank = text.chars().count() - text.trim_start().chars().count();
        let spot = self.spot.part(start + blank, trimmed.chars().count());
        Value { key: self.key, text: trimmed.to_string(), spot }
    }
}

//----------- Params ---------------------------------------------------------

enum Param {
    Flag(Spot),
    Pair(Value),
    /// Reported already; the key counts as said.
    Refused,
}

/// The parameters of a record that nobody has taken yet.
pub struct Params<'r> {
    kind: Kind,
    given: Vec<(&'static str, Param)>,
    report: &'r mut Report,
}

impl<'r> Params<'r> {
    /// Sorts a record's tokens into parameters and reports those that are none: unknown, twice, a flag
    /// with a value, a key without one.
    pub fn read(record: &Record, skip: usize, report: &'r mut Report) -> Params<'r> {
        let mut given: Vec<(&'static str, Param)> = Vec::new();
        for token in record.tokens.iter().skip(skip) {
            let Some((key, param)) = read_param(record.kind, token, report) else { continue };
            if given.iter().any(|(k, _)| *k == key) {
                token.spot.error(report, format!("`{key}` is given twice"), "leave one of the two out");
            } else {
                given.push((key, param));
            }
        }
        Params { kind: record.kind, given, report }
    }

    fn pull(&mut self, word: &str) -> Option<Param> {
        debug_assert!(Key::find(self.kind, word).is_some(), "{} has no key {word}", self.kind.word());
        let at = self.given.iter().position(|(k, _)| *k == word)?;
        Some(self.given.swap_remove(at).1)
    }

    /// Takes `key=value`, read by `reader`, which reports what it refuses.
    pub fn take<T>(&mut self, word: &str, reader: impl FnOnce(&Value, &mut Report) -> Option<T>) -> Field<T> {
        match self.pull(word) {
            None => Field::Absent,
            Some(Param::Pair(value)) => match reader(&value, self.report) {
                Some(read) => Field::Given(Said { value: read, spot: value.spot }),
                None => Field::Refused,
            },
            Some(Param::Flag(_) | Param::Refused) => Field::Refused,
        }
    }

    /// Takes a flag.
    pub fn flag(&mut self, word: &str) -> Field<()> {
        match self.pull(word) {
            None => Field::Absent,
            Some(Param::Flag(spot)) => Field::Given(Said { value: (), spot }),
            Some(Param::Pair(_) | Param::Refused) => Field::Refused,
        }
    }

    /// Ends the taking. Every key of the table has a field, so nothing is left.
    pub fn done(self) {
        debug_assert!(self.given.is_empty(), "{} does not take all its keys", self.kind.word());
    }
}

fn read_param(kind: Kind, token: &Token, report: &mut Report) -> Option<(&'static str, Param)> {
    let (word, value) = match token.text.split_once('=') {
        Some((word, value)) => (word, Some(value)),
        None => (token.text.as_str(), None),
    };
    let word_len = word.chars().count();
    let spot = if value.is_some() { token.spot.part(0, word_len) } else { token.spot.clone() };
    let Some(key) = Key::find(kind, word) else {
        let (help, meant) = advice(kind, word);
        let what = match (value, word_len) {
            (_, 0) => "a key is missing before \"=\"".to_string(),
            (Some(_), _) => format!("{} has no key \"{word}\"", kind.word()),
            (None, _) => format!("{} has no flag \"{word}\"", kind.word()),
        };
        let help = match meant {
            _ if word_len == 0 => "write key=value without spaces around `=`".to_string(),
            None if value.is_none() && kind != Kind::Steer => format!("{help}; values go after `=`, without spaces"),
            _ => help,
        };
        spot.error(report, what, help);
        return meant.map(|key| (key.word, Param::Refused));
    };
    let param = match (key.is_flag(), value) {
        (true, None) => Param::Flag(token.spot.clone()),
        (true, Some(_)) => {
            let help = format!("write `{}` alone, or leave it out", key.word);
            token.spot.error(report, format!("`{}` is a flag and takes no value", key.word), help);
            Param::Refused
        }
        (false, None | Some("")) => {
            let help = format!("write for example `{}`", key.written());
            token.spot.error(report, format!("`{}` needs a value", key.word), help);
            Param::Refused
        }
        (false, Some(text)) => {
            // A quoted value is underlined with its quotes left out.
            let (text, quotes) = match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
                Some(inner) => (inner, 1),
                None => (text, 0),
            };
            let spot = token.spot.part(word_len + 1 + quotes, text.chars().count());
            if text.is_empty() {
                token.spot.error(
                    report,
                    format!("`{}` needs a value", key.word),
                    format!("write for example `{}`", key.written()),
                );
                return Some((key.word, Param::Refused));
            }
            Param::Pair(Value { key: key.word, text: text.to_string(), spot })
        }
    };
    Some((key.word, param))
}

//----------- Names ----------------------------------------------------------

/// What stands where a record's name is wanted.
pub enum Subject {
    /// No name; reported. The parameters start at once.
    Missing,
    /// Something that is no name; reported.
    Refused,
    /// This one.
    Given(SaidName),
}

impl Subject {
    /// How many tokens it takes up.
    pub fn n_tokens(&self) -> usize {
        usize::from(!matches!(self, Subject::Missing))
    }

    /// The name, if there is one.
    pub fn name(self) -> Option<SaidName> {
        match self {
            Subject::Given(name) => Some(name),
            Subject::Missing | Subject::Refused => None,
        }
    }
}

/// Reads the name that a MEMBER or STEER starts with, and reports its absence.
pub fn subject(record: &Record, report: &mut Report) -> Subject {
    match record.tokens.first() {
        Some(token) if !token.text.contains('=') => {
            match name(&token.text, &token.spot, &record.owner.origin, report) {
                Some(name) => Subject::Given(name),
                None => Subject::Refused,
            }
        }
        _ => {
            let what = record.kind.subject().unwrap_or("the name");
            let help = format!("as in `{}`", record.kind.example());
            record.at.error(report, format!("{what} is missing after {}", record.kind.word()), help);
            Subject::Missing
        }
    }
}

/// Reads a name that a record refers to.
pub fn name(text: &str, spot: &Spot, origin: &Name, report: &mut Report) -> Option<SaidName> {
    match Name::parse(text, origin) {
        Ok(name) => Some(SaidName { name, spot: spot.clone(), origin: origin.clone() }),
        Err(why) => {
            let help = "write a name such as ams.web or ams.web.example.com.";
            spot.error(report, format!("\"{text}\" is not a domain name: {why}"), help);
            None
        }
    }
}
