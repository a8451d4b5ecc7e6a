//! What was said, and where: the small types between scanned text and checked values.

use crate::masterfile::{Diagnostic, Report, Severity};
use crate::wire::Name;
use std::sync::Arc;

//----------- Spot -----------------------------------------------------------

/// A place in a file that a problem can point to. Cheap to copy: file and line are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The file as the operator named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters to underline.
    pub width: u32,
    /// The line's text.
    pub text: Arc<str>,
}

impl Spot {
    /// The part of this place that starts `skip` characters in and is `width` wide; the whole where it
    /// has no such part, as in text that `$GENERATE` made.
    pub fn part(&self, skip: usize, width: usize) -> Spot {
        if skip + width.max(1) > self.width as usize + 1 {
            return self.clone();
        }
        Spot { column: self.column + skip as u32, width: width.max(1) as u32, ..self.clone() }
    }

    /// `file:line`, to name this place in another problem's help.
    pub fn file_line(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Reports what is refused here, and what would do.
    pub fn error(&self, report: &mut Report, message: impl Into<String>, help: impl Into<String>) {
        self.tell(report, Severity::Error, message.into(), help.into());
    }

    /// Reports what is taken but deserves a look, and what would do.
    pub fn warn(&self, report: &mut Report, message: impl Into<String>, help: impl Into<String>) {
        self.tell(report, Severity::Warning, message.into(), help.into());
    }

    fn tell(&self, report: &mut Report, severity: Severity, message: String, help: String) {
        report.push(Diagnostic {
            severity,
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            width: self.width,
            text: self.text.to_string(),
            message,
            help: (!help.is_empty()).then_some(help),
        });
    }
}

//----------- Said and Field -------------------------------------------------

/// A value with the place where it was said.
#[derive(Clone, Debug)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub spot: Spot,
}

/// A name with its place, and the origin there, so that messages can say it as its writer would.
#[derive(Clone, Debug)]
pub struct SaidName {
    /// The name in full.
    pub name: Name,
    /// Its place.
    pub spot: Spot,
    /// What relative names are relative to there.
    pub origin: Name,
}

impl SaidName {
    /// The name as it would be written here.
    pub fn short(&self) -> String {
        self.shorten(&self.name)
    }

    /// Another name as it would be written here.
    pub fn shorten(&self, name: &Name) -> String {
        shorten(name, &self.origin)
    }
}

/// `name` relative to `origin` where it lies below it (`@` for the origin itself), in full elsewhere.
pub fn shorten(name: &Name, origin: &Name) -> String {
    let full = name.to_string();
    if origin.is_root() || !name.is_within(origin) {
        return full;
    }
    let tail = origin.to_string().len();
    match full.len() - tail {
        0 => "@".to_string(),
        head => full[..head - 1].to_string(),
    }
}

/// What a record says about one key.
#[derive(Clone, Debug)]
pub enum Field<T> {
    /// Nothing.
    Absent,
    /// Something that has been reported as wrong: its absence is no second problem.
    Refused,
    /// This.
    Given(Said<T>),
}

impl<T> Field<T> {
    /// What was given, if it was understood.
    pub fn given(&self) -> Option<&Said<T>> {
        match self {
            Field::Given(said) => Some(said),
            Field::Absent | Field::Refused => None,
        }
    }

    /// Whether nothing at all was said.
    pub fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }

    /// Whether something was said and refused.
    pub fn is_refused(&self) -> bool {
        matches!(self, Field::Refused)
    }

    /// The value without its place.
    pub fn into_value(self) -> Option<T> {
        match self {
            Field::Given(said) => Some(said.value),
            Field::Absent | Field::Refused => None,
        }
    }

    /// The value, or the default. A refused one also gets the default: the load has failed by then,
    /// and the checks that follow need some value to go on with.
    pub fn or(self, default: T) -> T {
        self.into_value().unwrap_or(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_said_as_written() {
        let check = |name: &str, origin: &str, short: &str| {
            assert_eq!(shorten(&name.parse().unwrap(), &origin.parse().unwrap()), short);
        };
        check("ams.web.example.com.", "example.com.", "ams.web");
        check("example.com.", "example.com.", "@");
        check("example.net.", "example.com.", "example.net.");
        check("example.net.", ".", "example.net.");
        check("a\\.b.example.com.", "example.com.", "a\\.b");
    }
}
