//! Announcements as people write them: keys and texts, with the place of each.
//!
//! The command line, the TOML form and `X-FLOODWAY-*` properties of calendars have the same keys and the same texts, read here.
//! The TOML form is `[[announce]]` tables:
//!
//! ```toml
//! [[announce]]
//! id = "spring-sale"
//! group = "web"
//! start = 2026-03-01T09:00:00Z
//! recipients = "400k"
//! click-rate = "3%"
//! requests-per-click = 12
//! send = "20m"
//! ```

use crate::events::announcement::{Announcement, Asked};
use crate::events::calendar::Entry;
use crate::geo::CellMap;
use crate::masterfile::{Diagnostic, Report, Severity, suggest};
use crate::policy::Policies;
use crate::store::timestamp;
use crate::units::{parse_duration_secs, parse_quantity, parse_share};
use std::ops::Range;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// The keys, in the order of the documentation.
pub const KEYS: [&str; 17] = [
    "id",
    "group",
    "cells",
    "kind",
    "start",
    "recipients",
    "click-rate",
    "requests-per-click",
    "peak",
    "times",
    "send",
    "decay",
    "pass-along",
    "confidence",
    "expires",
    "announcer",
    "note",
];

/// Longest file that is read, octets.
pub const MAX_FILE: u64 = 4 << 20;
/// Announcements of one file; more are refused.
pub const MAX_PER_FILE: usize = 1000;

//----------- Fields ---------------------------------------------------------

/// Puts the text of one key into what was asked; `now` in unix seconds, for starts such as `+10m`.
///
/// # Errors
/// What was found and what would do. An unknown key is the caller's to report.
pub fn put(asked: &mut Asked, key: &str, text: &str, now: f64) -> Result<(), String> {
    let text = text.trim();
    let expected = |e: crate::units::BadNumber| format!("{text:?}: {e} would do");
    let quantity = || parse_quantity(text).map(Some).map_err(expected);
    let duration = || parse_duration_secs(text).map(Some).map_err(expected);
    let share = || parse_share(text).map(Some).map_err(expected);
    match key {
        "id" => asked.id = Some(text.to_owned()),
        "group" => asked.group = text.to_owned(),
        "cells" => asked.cells = text.split(',').map(|c| c.trim().to_owned()).filter(|c| !c.is_empty()).collect(),
        "kind" => asked.kind = text.to_lowercase(),
        "start" => asked.start = start(text, now)?,
        "recipients" => asked.recipients = quantity()?,
        "click-rate" => asked.click_rate = share()?,
        "requests-per-click" => asked.requests_per_click = quantity()?,
        "peak" => asked.peak = quantity()?,
        "times" => {
            let factor = text.trim_end_matches(['x', '×']);
            asked.times =
                Some(parse_quantity(factor).map_err(|_| format!("{text:?}: a multiple such as 3 or 2.5x would do"))?);
        }
        "send" => asked.send_secs = duration()?,
        "decay" => asked.decay_secs = duration()?,
        "pass-along" => asked.pass_along = share()?,
        "confidence" => asked.confidence = share()?,
        "expires" => asked.expires_secs = duration()?,
        "announcer" => asked.announcer = text.to_owned(),
        "note" => asked.note = text.to_owned(),
        _ => return Err(format!("unknown key {key:?}")),
    }
    Ok(())
}

/// A moment, or a time from now: `now`, `+10m`, `-5m`.
fn start(text: &str, now: f64) -> Result<f64, String> {
    let wrong =
        || format!("{text:?}: a moment such as 2026-03-01T09:00:00Z, `now`, or a time from now such as +10m would do");
    let from_now = |sign: f64, length: &str| parse_duration_secs(length).map(|secs| now + sign * secs);
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(length), _) => from_now(1.0, length).map_err(|_| wrong()),
        (_, Some(length)) => from_now(-1.0, length).map_err(|_| wrong()),
        _ if text == "now" => Ok(now),
        _ => timestamp::scan(text).ok_or_else(wrong),
    }
}

//----------- Sources --------------------------------------------------------

/// What announcements are checked against.
#[derive(Clone, Copy, Debug)]
pub struct Against<'a> {
    /// The groups.
    pub policies: &'a Policies,
    /// The cells.
    pub cells: &'a CellMap,
    /// Unix seconds.
    pub now: f64,
}

impl Against<'_> {
    /// Checks what was asked.
    ///
    /// # Errors
    /// The first flaw.
    pub fn check(&self, asked: Asked) -> Result<Announcement, crate::events::Flaw> {
        asked.check(&|text| Announcement::group_of(text, self.policies), self.cells, self.now)
    }
}

/// A text with the places of its octets.
pub(super) struct Source<'a> {
    file: Arc<str>,
    text: &'a str,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Source<'a> {
        Source { file: file.into(), text }
    }

    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// A problem with a stretch of the text.
    pub(super) fn fault(&self, severity: Severity, at: Range<usize>, message: impl Into<String>) -> Diagnostic {
        let at = at.start.min(self.text.len())..at.end.min(self.text.len());
        let before = &self.text[..floor(self.text, at.start)];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        let line = self.text[line_start..].lines().next().unwrap_or("");
        let width = self.text[floor(self.text, at.start)..floor(self.text, at.end)].lines().next().unwrap_or("");
        Diagnostic {
            severity,
            file: self.file.clone(),
            line: before.matches('\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
            width: (width.chars().count() as u32).max(1),
            text: line.to_owned(),
            message: message.into(),
            help: None,
        }
    }
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// An unknown key, and what was meant.
pub(super) fn unknown_key(source: &Source, at: Range<usize>, key: &str) -> Diagnostic {
    let fault = source.fault(Severity::Error, at, format!("unknown key {key:?}"));
    match suggest(key, KEYS) {
        Some(meant) => fault.help(format!("did you mean `{meant}`?")),
        None => fault.help(format!("the keys are {}", KEYS.join(", "))),
    }
}

//----------- TOML -----------------------------------------------------------

/// Reads the TOML form of a file called `file`. What is in order is given even where something else is not.
pub fn toml(file: &str, text: &str, against: Against, report: &mut Report) -> Vec<Entry> {
    let source = Source::new(file, text);
    let document = match DeTable::parse(text) {
        Ok(document) => document,
        Err(e) => {
            report.push(source.fault(Severity::Error, e.span().unwrap_or(0..0), e.message()));
            return vec![];
        }
    };
    let mut entries = vec![];
    for (key, value) in document.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("announce", DeValue::Array(tables)) => {
                for table in tables.iter().take(MAX_PER_FILE) {
                    entries.extend(table_entry(&source, table.get_ref(), table.span(), against, report));
                }
                if tables.len() > MAX_PER_FILE {
                    let text = format!("{} announcements: at most {MAX_PER_FILE} in one file", tables.len());
                    report.push(source.fault(Severity::Error, value.span(), text));
                }
            }
            (key_text, _) => {
                let text = format!("unknown key {key_text:?}");
                report.push(
                    source.fault(Severity::Error, key.span(), text).help("announcements are [[announce]] tables"),
                );
            }
        }
    }
    entries
}

fn table_entry(
    source: &Source,
    table: &DeValue,
    whole: Range<usize>,
    against: Against,
    report: &mut Report,
) -> Option<Entry> {
    let DeValue::Table(table) = table else {
        report.push(source.fault(Severity::Error, whole, "not a table").help("write [[announce]] and its keys below"));
        return None;
    };
    let (mut asked, mut places, mut sound) = (Asked { start: f64::NAN, ..Asked::default() }, vec![], true);
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        if !KEYS.contains(&name) {
            report.push(unknown_key(source, key.span(), name));
            sound = false;
            continue;
        }
        let put = text_of(value.get_ref()).and_then(|text| put(&mut asked, name, &text, against.now));
        if let Err(message) = put {
            report.push(source.fault(Severity::Error, value.span(), message));
            sound = false;
        }
        places.push((name.to_owned(), value.span()));
    }
    if asked.start.is_nan() && sound {
        let text = "no start: when does it begin?";
        report.push(source.fault(Severity::Error, whole, text).help("start = 2026-03-01T09:00:00Z would do"));
        return None;
    }
    if !sound || asked.is_past(against.now) {
        return None;
    }
    match against.check(asked) {
        Ok(announcement) => Some(Entry::new(announcement, Some(source.file.to_string()))),
        Err(flaw) => {
            let place = places.into_iter().find(|(key, _)| key == flaw.key).map_or(whole, |(_, place)| place);
            report.push(source.fault(Severity::Error, place, format!("{}: {}", flaw.key, flaw.text)));
            None
        }
    }
}

/// The text that a value stands for: what people would have written in quotes.
fn text_of(value: &DeValue) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(n) => Ok(n.to_string()),
        DeValue::Float(n) => Ok(n.to_string()),
        DeValue::Datetime(moment) if moment.offset.is_none() => {
            Err(format!("{moment} has no offset: which zone? `{moment}Z` would be UTC"))
        }
        DeValue::Datetime(moment) => Ok(moment.to_string()),
        DeValue::Array(all) => {
            let texts: Result<Vec<String>, String> = all.iter().map(|one| text_of(one.get_ref())).collect();
            texts.map(|texts| texts.join(","))
        }
        DeValue::Boolean(_) | DeValue::Table(_) => Err("a text or a number would do".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Group;

    fn read(text: &str) -> (Vec<Entry>, String) {
        let policies =
            Policies { groups: vec![Group::new("web.example.com.".parse().unwrap())], ..Policies::default() };
        let cells = CellMap::from_cells(vec![]);
        let mut report = Report::default();
        let entries =
            toml("a.toml", text, Against { policies: &policies, cells: &cells, now: 1_772_000_000.0 }, &mut report);
        (entries, report.to_string())
    }

    const SALE: &str = "[[announce]]\nid = \"sale\"\ngroup = \"web\"\nstart = 2026-03-01T09:00:00Z\nrecipients = \"400k\"\n\
                        click-rate = \"3%\"\nrequests-per-click = 12\nsend = \"20m\"\n";

    #[test]
    fn a_sale_is_read() {
        let (entries, report) = read(SALE);
        assert_eq!(report, "");
        let a = &entries[0].announcement;
        assert_eq!((a.start, a.send_secs, entries[0].file.as_deref()), (1_772_355_600.0, 1200.0, Some("a.toml")));
        assert_eq!(
            read("[[announce]]\ngroup = \"web\"\nstart = \"+10m\"\ntimes = \"3x\"\n").0[0].announcement.start,
            1_772_000_600.0
        );
    }

    #[test]
    fn faults_have_their_place() {
        let check = |text: &str, says: &str| {
            let (entries, report) = read(text);
            assert!(entries.is_empty() && report.starts_with(says), "{report}");
        };
        check(
            &SALE.replace("send", "sent"),
            "a.toml:8:1: error: unknown key \"sent\"\n  sent = \"20m\"\n  ^^^^\n  help: did you mean `send`?",
        );
        check(&SALE.replace("3%", "3%%"), "a.toml:6:14: error: \"3%%\": a share");
        check(&SALE.replace("09:00:00Z", "09:00:00"), "a.toml:4:9: error: 2026-03-01T09:00:00 has no offset");
        check(
            &SALE.replace("\"web\"", "\"wob\""),
            "a.toml:3:9: error: group: \"wob\" is no group; there is web.example.com.",
        );
        check(&SALE.replace("start = 2026-03-01T09:00:00Z\n", ""), "a.toml:1:1: error: no start");
        check(&SALE.replace("\"20m\"", "true"), "a.toml:8:8: error: a text or a number");
        check("[[announce]\n", "a.toml:1:");
        check("[sale]\n", "a.toml:1:2: error: unknown key \"sale\"");
        check("announce = [3]\n", "a.toml:1:13: error: not a table");
        check("announce = 3\n", "a.toml:1:1: error: unknown key");
        let (entries, report) = read(&format!("{}{SALE}", SALE.replace("web", "wob")));
        assert_eq!((entries.len(), report.matches("error").count()), (1, 1), "what is in order is taken");
    }

    #[test]
    fn bad_texts_say_what_would_do() {
        let check = |key: &str, text: &str, says: &str| {
            let e = put(&mut Asked::default(), key, text, 0.0).unwrap_err();
            assert!(e.contains(says), "{e}");
        };
        check("start", "tomorrow", "+10m");
        check("start", "+", "+10m");
        check("start", "-", "+10m");
        check("recipients", "many", "40k");
        check("click-rate", "-3%", "15%");
        check("times", "twice", "2.5x");
        check("send", "5 m", "1h30m");
        check("colour", "red", "unknown key");
    }
}
