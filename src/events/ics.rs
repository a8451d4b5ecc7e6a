//! Announcements in calendars (iCalendar, RFC 5545): events with `X-FLOODWAY-…` properties.
//!
//! Every `VEVENT` that has such a property is an announcement, other events are nobody's concern here. The keys behind
//! `X-FLOODWAY-` are those of [`written`](crate::events::written); `UID` is the id, `DTSTART` the start, `SUMMARY` the note.
//! `RRULE`, `RDATE`, `EXDATE` and `RECURRENCE-ID` make one announcement per occurrence, `STATUS:CANCELLED` takes it back. `DTEND` is
//! not read: it says how long people keep the evening free, not how long requests come.
//!
//! Content lines are taken apart here, since an operator is owed file, line and column, which no crate of this form keeps;
//! recurrence and time zones are rrule's.

use crate::events::announcement::Asked;
use crate::events::calendar::Entry;
use crate::events::written::{Against, KEYS, MAX_PER_FILE, Source, put, unknown_key};
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::store::timestamp;
use rrule::RRuleSet;
use std::collections::HashSet;
use std::ops::Range;

/// Before our keys.
const PREFIX: &str = "X-FLOODWAY-";
/// How far ahead occurrences are worked out, seconds; the folder is read again long before.
const AHEAD_SECS: f64 = 35.0 * 86_400.0;
/// How far back: one that began before may still run.
const BACK_SECS: f64 = 31.0 * 86_400.0;
/// Occurrences of one event that are taken.
const MAX_OCCURRENCES: u16 = 400;
/// Components within components that are followed.
const MAX_DEPTH: usize = 8;

//----------- Content lines --------------------------------------------------

/// One content line, unfolded (RFC 5545 section 3.1).
struct Line<'a> {
    /// Upper case.
    name: String,
    /// The value of its TZID parameter.
    zone: Option<String>,
    value: String,
    /// Octets of it in the file.
    at: Range<usize>,
    source: &'a Source<'a>,
}

impl Line<'_> {
    fn fault(&self, message: impl Into<String>) -> Diagnostic {
        self.source.fault(Severity::Error, self.at.clone(), message)
    }

    /// The zone as rrule reads it.
    fn in_zone(&self) -> String {
        self.zone.as_ref().map(|zone| format!(";TZID={zone}")).unwrap_or_default()
    }
}

/// Takes a text apart: a line that begins with a space or tab goes on the one before.
fn lines<'a>(source: &'a Source, text: &str, report: &mut Report) -> Vec<Line<'a>> {
    let mut all: Vec<(String, Range<usize>)> = vec![];
    let mut at = 0;
    for raw in text.split_inclusive('\n') {
        let content = raw.trim_end_matches(['\n', '\r']);
        match (content.strip_prefix([' ', '\t']), all.last_mut()) {
            (Some(more), Some((line, place))) => {
                line.push_str(more);
                place.end = at + content.len();
            }
            _ if content.trim().is_empty() => {}
            _ => all.push((content.to_owned(), at..at + content.len())),
        }
        at += raw.len();
    }
    let apart = |(line, at): (String, Range<usize>)| {
        let Some(colon) = value_at(&line) else {
            let fault = source.fault(Severity::Error, at, "no `NAME:value` as iCalendar has it");
            report.push(fault.help("a line that goes on the one before begins with a space"));
            return None;
        };
        let (head, value) = (&line[..colon], &line[colon + 1..]);
        let name = head.find(';').unwrap_or(head.len());
        let zone = params(&head[name..]).find_map(|(key, value)| key.eq_ignore_ascii_case("TZID").then_some(value));
        let zone = zone.map(str::to_owned);
        Some(Line { name: head[..name].to_uppercase(), zone, value: value.into(), at, source })
    };
    all.into_iter().filter_map(apart).collect()
}

/// The colon before the value: the first outside quotes.
fn value_at(line: &str) -> Option<usize> {
    let mut quoted = false;
    line.char_indices().find_map(|(i, c)| {
        quoted ^= c == '"';
        (c == ':' && !quoted).then_some(i)
    })
}

/// The parameters of `;TZID="Europe/Berlin";X=1`, without quotes. Those that are no `key=value` are left out.
fn params(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut quoted = false;
    let apart = text.split(move |c| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    apart.filter_map(|param| param.split_once('=')).map(|(key, value)| (key, value.trim_matches('"')))
}

/// A TEXT value without its escapes (section 3.3.11).
fn unescaped(text: &str) -> String {
    let (mut plain, mut chars) = (String::new(), text.chars());
    while let Some(c) = chars.next() {
        plain.push(match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('n' | 'N') => ' ',
                Some(other) => other,
                None => '\\',
            },
            (c, false) => c,
        });
    }
    plain
}

//----------- Events ---------------------------------------------------------

/// Reads a calendar called `file`. What is in order is given even where something else is not.
pub fn read(file: &str, text: &str, against: Against, report: &mut Report) -> Vec<Entry> {
    let source = Source::new(file, text.strip_prefix('\u{feff}').unwrap_or(text));
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = lines(&source, text, report);
    let events = components(&lines, &source, text, report);
    let moved: HashSet<(String, i64)> = events.iter().filter_map(|event| moved(event)).collect();
    let mut entries = vec![];
    for event in &events {
        entries.extend(announced(event, &moved, against, report));
        if entries.len() > MAX_PER_FILE {
            let place = event.first().map_or(0..0, |line| line.at.clone());
            let text =
                format!("more than {MAX_PER_FILE} announcements in one file; those after this event are left out");
            report.push(source.fault(Severity::Error, place, text));
            entries.truncate(MAX_PER_FILE);
            break;
        }
    }
    entries
}

/// The lines of each VEVENT of ours, without what is inside of it.
fn components<'l, 'a>(
    lines: &'l [Line<'a>],
    source: &Source,
    text: &str,
    report: &mut Report,
) -> Vec<Vec<&'l Line<'a>>> {
    let (mut open, mut events, mut event): (Vec<&Line>, Vec<Vec<&Line>>, Vec<&Line>) = (vec![], vec![], vec![]);
    for line in lines {
        let inside = line.value.trim().to_uppercase();
        match line.name.as_str() {
            "BEGIN" => {
                if open.len() >= MAX_DEPTH {
                    report.push(line.fault("components within components within components"));
                    return events;
                }
                if inside == "VEVENT" {
                    event.clear();
                }
                open.push(line);
            }
            "END" => match open.pop() {
                Some(began) if began.value.trim().eq_ignore_ascii_case(&inside) => {
                    if inside == "VEVENT" {
                        events.push(std::mem::take(&mut event));
                    }
                }
                _ => {
                    report.push(line.fault(format!("END:{inside} without its BEGIN")));
                    return events;
                }
            },
            _ if open.last().is_some_and(|o| o.value.trim().eq_ignore_ascii_case("VEVENT")) => event.push(line),
            _ if open.is_empty() => {
                report.push(line.fault("not inside of a calendar").help("it begins with BEGIN:VCALENDAR"));
                return events;
            }
            _ => {}
        }
    }
    if let Some(began) = open.last() {
        report.push(began.fault(format!("BEGIN:{} without its END", began.value.trim())));
    } else if lines.is_empty() && !text.trim().is_empty() {
        report.push(source.fault(Severity::Error, 0..0, "no calendar"));
    }
    events.retain(|event| event.iter().any(|line| line.name.starts_with(PREFIX)));
    events
}

fn property<'e, 'a>(event: &'e [&Line<'a>], name: &str) -> Option<&'e Line<'a>> {
    event.iter().find(|line| line.name == name).copied()
}

/// The occurrence of a series that an event of its own stands for: id and unix seconds.
fn moved(event: &[&Line]) -> Option<(String, i64)> {
    let at = property(event, "RECURRENCE-ID")?;
    let id = property(event, "UID")?;
    Some((id.value.trim().to_owned(), moment(at).ok()?))
}

/// Unix seconds of a line's DATE-TIME with a zone.
fn moment(line: &Line) -> Result<i64, String> {
    let value = line.value.trim();
    if !value.contains('T') {
        return Err(format!("{value:?} is a day: say at what time, such as 20260301T090000Z"));
    }
    if !value.ends_with('Z') && line.zone.is_none() {
        return Err(format!("{value:?} is a time without a zone: end it with Z, or name its TZID"));
    }
    // Windows' names of zones and those of VTIMEZONE components are not known.
    let date = format!("DTSTART{}:{value}\nRDATE{}:{value}", line.in_zone(), line.in_zone());
    let set: RRuleSet = date.parse().map_err(|e| format!("{e}; TZID takes names such as Europe/Berlin"))?;
    Ok(set.get_dt_start().timestamp())
}

/// The announcements of one event: one, or one per occurrence.
fn announced(event: &[&Line], moved: &HashSet<(String, i64)>, against: Against, report: &mut Report) -> Vec<Entry> {
    let (mut asked, mut sound) = (Asked { start: f64::NAN, ..Asked::default() }, true);
    for line in event {
        let Some(key) = line.name.strip_prefix(PREFIX) else { continue };
        let key = key.to_lowercase();
        if !KEYS.contains(&key.as_str()) {
            report.push(unknown_key(line.source, line.at.clone(), &key));
            sound = false;
        } else if let Err(message) = put(&mut asked, &key, &unescaped(&line.value), against.now) {
            report.push(line.fault(message));
            sound = false;
        }
    }
    let whole = event.first().copied();
    let (Some(id), Some(start)) = (property(event, "UID"), property(event, "DTSTART")) else {
        whole.into_iter().for_each(|line| report.push(line.fault("an event needs UID and DTSTART")));
        return vec![];
    };
    let id = id.value.trim().to_owned();
    if let (true, Some(summary)) = (asked.note.is_empty(), property(event, "SUMMARY")) {
        asked.note = unescaped(&summary.value);
    }
    let starts = match occurrences(event, start, against.now) {
        Ok(starts) => starts,
        Err(message) => {
            report.push(start.fault(message));
            return vec![];
        }
    };
    if !sound {
        return vec![];
    }
    let is_moved = property(event, "RECURRENCE-ID").is_some();
    let recurs = starts.len() != 1 || property(event, "RRULE").is_some() || property(event, "RDATE").is_some();
    let cancelled = property(event, "STATUS").is_some_and(|s| s.value.trim().eq_ignore_ascii_case("CANCELLED"));
    let mut entries = vec![];
    for at in starts {
        if !is_moved && moved.contains(&(id.clone(), at)) {
            continue;
        }
        let one = if recurs || is_moved { format!("{id}@{}", timestamp::print(at)) } else { id.clone() };
        let asked = Asked { id: Some(asked.id.clone().map_or(one, |id| id)), start: at as f64, ..asked.clone() };
        if asked.is_past(against.now) {
            continue;
        }
        match against.check(asked) {
            Ok(announcement) => {
                let mut entry = Entry::new(announcement, Some(start.source.file().to_owned()));
                entry.cancelled = cancelled.then(|| "the calendar says so".into());
                entries.push(entry);
            }
            Err(flaw) => {
                let ours = format!("{PREFIX}{}", flaw.key.to_uppercase());
                let name = match flaw.key {
                    "start" => "DTSTART",
                    "id" => "UID",
                    "note" => "SUMMARY",
                    _ => ours.as_str(),
                };
                let line = property(event, &ours).or(property(event, name)).unwrap_or(start);
                report.push(line.fault(format!("{}: {}", flaw.key, flaw.text)));
                // Every occurrence would say the same.
                return vec![];
            }
        }
    }
    entries
}

/// Unix seconds of the occurrences around now; of the only one, whenever it is.
fn occurrences(event: &[&Line], start: &Line, now: f64) -> Result<Vec<i64>, String> {
    let first = moment(start)?;
    let names = ["RRULE", "RDATE", "EXDATE"];
    let rules: Vec<&&Line> = event.iter().filter(|line| names.contains(&line.name.as_str())).collect();
    if rules.is_empty() || property(event, "RECURRENCE-ID").is_some() {
        return Ok(vec![first]);
    }
    let mut text = format!("DTSTART{}:{}", start.in_zone(), start.value.trim());
    for line in rules {
        text.push_str(&format!("\n{}{}:{}", line.name, line.in_zone(), line.value.trim()));
    }
    let set: RRuleSet = text.parse().map_err(|e| format!("the recurrence is not understood: {e}"))?;
    let zone = set.get_dt_start().timezone();
    let at = |secs: f64| chrono::DateTime::from_timestamp(secs as i64, 0).map(|t| t.with_timezone(&zone));
    let (Some(from), Some(until)) = (at(now - BACK_SECS), at(now + AHEAD_SECS)) else {
        return Err("the clock of this machine is beyond the calendar".into());
    };
    let dates = set.after(from).before(until).all(MAX_OCCURRENCES).dates;
    Ok(dates.into_iter().map(|date| date.timestamp()).collect())
}

#[cfg(test)]
#[path = "ics_tests.rs"]
mod tests;
