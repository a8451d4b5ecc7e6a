//! What is wrong with text that operators wrote, and where.
//!
//! Loaders collect every problem in one [`Report`] instead of stopping at the first. A diagnostic
//! prints as `file:line:column: error: message`, the line itself, a caret under the spot, and what
//! would do:
//!
//! ```text
//! zones/example.com.policy:9:37: error: unknown key "capcity"
//!   ams.pop  POP  at=52.31,4.76  capcity=40k
//!                                ^^^^^^^
//!   help: did you mean `capacity`?
//! ```

use std::fmt;
use std::sync::Arc;

//----------- Diagnostic -----------------------------------------------------

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// What was written was mended, and the server runs.
    Warning,
    /// What was written is refused: nothing of this load is taken.
    Error,
}

/// One problem, with its place.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file as the operator named it.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the problem is with the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 when the problem is with the line as a whole.
    pub column: u32,
    /// Characters to underline, from `column`; at least 1 when there is a column.
    pub width: u32,
    /// The line's text without its line end; empty when there is no line.
    pub text: String,
    /// What was found.
    pub message: String,
    /// What would do; a full sentence or a suggestion.
    pub help: Option<String>,
}

impl Diagnostic {
    /// The same problem with what would do.
    pub fn help(self, help: impl Into<String>) -> Diagnostic {
        Diagnostic { help: Some(help.into()), ..self }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        match (self.line, self.column) {
            (0, _) => write!(f, "{}: {severity}: {}", self.file, self.message)?,
            (line, 0) => write!(f, "{}:{line}: {severity}: {}", self.file, self.message)?,
            (line, column) => write!(f, "{}:{line}:{column}: {severity}: {}", self.file, self.message)?,
        }
        if self.line > 0 && !self.text.trim().is_empty() {
            self.quote(f)?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Longest piece of a line that is quoted, in characters.
const MAX_QUOTE: usize = 120;

impl Diagnostic {
    /// The line, or of a long one the piece around the place, and the caret.
    fn quote(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = (self.column as usize).saturating_sub(1);
        let n = self.text.chars().count();
        let from = if n <= MAX_QUOTE { 0 } else { at.saturating_sub(MAX_QUOTE / 3).min(n - MAX_QUOTE) };
        let piece = self.text.chars().skip(from).take(MAX_QUOTE).map(|c| if c == '\t' { ' ' } else { c });
        let (before, behind) = (if from > 0 { "…" } else { "" }, if from + MAX_QUOTE < n { "…" } else { "" });
        write!(f, "\n  {before}{}{behind}", piece.collect::<String>())?;
        if self.column > 0 {
            let pad = at - from + before.chars().count();
            let width = (self.width as usize).min(MAX_QUOTE - (at - from).min(MAX_QUOTE - 1)).max(1);
            write!(f, "\n  {:pad$}{}", "", "^".repeat(width))?;
        }
        Ok(())
    }
}

//----------- Report ---------------------------------------------------------

/// Every problem of one load, in the order found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The problems.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Adds one problem.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }

    /// Whether anything forbids taking the load.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(|d| d.severity == Severity::Error)
    }

    /// Number of errors and of warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.diagnostics.iter().filter(|d| d.severity == Severity::Error).count();
        (errors, self.diagnostics.len() - errors)
    }

    /// Sorts by file, line and column, so that the printed order does not depend on the order of checks.
    pub fn sort(&mut self) {
        self.diagnostics.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostics.iter().try_for_each(|d| writeln!(f, "{d}"))
    }
}

//----------- Suggestions ----------------------------------------------------

/// The word of `words` that `word` was most likely meant to be, letter case aside; `None` if none is near.
pub fn suggest<'a>(word: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    // Our choice: a third of the letters may be wrong; swapped neighbours count as one.
    let most = (word.chars().count() / 3).max(1);
    words
        .into_iter()
        .map(|w| (strsim::osa_distance(&word, &w.to_lowercase()), w))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, w)| w)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_quoted_around_the_place() {
        let show = |text: &str, column: u32, width: u32| {
            let (file, message) = ("z".into(), "no".into());
            let line = 1;
            let d = Diagnostic {
                severity: Severity::Error,
                file,
                line,
                column,
                width,
                text: text.into(),
                message,
                help: None,
            };
            d.to_string().split_once('\n').unwrap().1.to_string()
        };
        assert_eq!(show("a\tbad", 3, 3), "  a bad\n    ^^^");
        let long = format!("{}bad{}", "-".repeat(200), "-".repeat(200));
        let (line, caret) = show(&long, 201, 3).split_once('\n').map(|(a, b)| (a.to_string(), b.to_string())).unwrap();
        assert_eq!(line, format!("  …{}bad{}…", "-".repeat(40), "-".repeat(77)));
        assert_eq!(caret, format!("  {}^^^", " ".repeat(41)));
        assert!(show(&long, 401, 1).ends_with('^'));
        assert!(show(&long, 390, 500).ends_with('^'));
    }

    #[test]
    fn near_words_are_suggested() {
        let keys = ["capacity", "price", "at"];
        assert_eq!(suggest("capcity", keys), Some("capacity"));
        assert_eq!(suggest("PRICE", keys), Some("price"));
        assert_eq!(suggest("ta", keys), Some("at"));
        assert_eq!(suggest("colour", keys), None);
    }
}
