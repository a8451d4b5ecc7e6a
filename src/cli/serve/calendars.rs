//! Follows the folder of calendars: what it says is announced, and what it no longer says is taken back.
//!
//! It is looked at every two seconds by names, sizes and times of change: there are few files in it, they may lie on anything
//! that can be mounted, and occurrences come near as time goes by even if no file changes. A folder that cannot be read takes
//! nothing back.

use crate::cli::load::{about, read_up_to};
use crate::cli::serve::reload::say;
use crate::clock::Clock;
use crate::events::written::{self, Against, MAX_FILE};
use crate::events::{Desk, Entry, ics};
use crate::exchange::Exchange;
use crate::masterfile::Report;
use crate::policy::Policies;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Time between looks.
const BEAT: Duration = Duration::from_secs(2);
/// Seconds after which everything is read again, for the occurrences that have come near.
const AGAIN_SECS: f64 = 3600.0;
/// Files that are read; a folder with more is not one of calendars.
const MAX_FILES: usize = 1000;

//----------- Reading --------------------------------------------------------

/// What stands in the folder, and every problem with it. What is in order is given even where something else is not.
pub(in crate::cli) fn read(dir: &Path, against: Against, report: &mut Report) -> Vec<Entry> {
    let mut entries = vec![];
    let files = match files(dir) {
        Ok(files) => files,
        Err(e) => {
            report.push(about(dir, format!("the folder of events cannot be read: {e}")));
            return entries;
        }
    };
    if files.len() > MAX_FILES {
        report.push(about(dir, format!("{} calendars: at most {MAX_FILES} are read", files.len())));
    }
    for (path, ..) in files.into_iter().take(MAX_FILES) {
        let name = path.display().to_string();
        let octets = read_up_to(&path, MAX_FILE);
        match octets.and_then(|octets| String::from_utf8(octets).map_err(|_| "not text in UTF-8".into())) {
            Ok(text) if is_toml(&path) => entries.extend(written::toml(&name, &text, against, report)),
            Ok(text) => entries.extend(ics::read(&name, &text, against, report)),
            Err(e) => report.push(about(&path, e)),
        }
    }
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| {
        let is_new = seen.insert(entry.announcement.id.clone());
        if !is_new {
            let file = entry.file.as_deref().unwrap_or_default();
            let text = format!("the id {:?} is taken by another event of the folder", entry.announcement.id);
            report.push(about(Path::new(file), text));
        }
        is_new
    });
    entries
}

/// Calendars in the folder with their sizes and times of change, by name.
fn files(dir: &Path) -> std::io::Result<Vec<(PathBuf, u64, Option<SystemTime>)>> {
    let mut files = vec![];
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        // Through links, as Kubernetes mounts files.
        let is_calendar = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("ics")) || is_toml(&path);
        if let (true, Ok(meta)) = (is_calendar, fs::metadata(&path)) {
            files.push((path, meta.len(), meta.modified().ok()));
        }
    }
    files.sort();
    Ok(files)
}

fn is_toml(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("toml"))
}

//----------- Following ------------------------------------------------------

/// Reads the folder now and whenever it, the policies or the hour change, until `stop`.
pub(super) async fn follow(
    dir: PathBuf,
    desk: Arc<Desk>,
    exchange: Arc<Exchange>,
    clock: Clock,
    stop: watch::Receiver<bool>,
) {
    let mut before = None;
    let mut stop = stop;
    loop {
        let look = {
            let (dir, desk, exchange) = (dir.clone(), desk.clone(), exchange.clone());
            move || look(&dir, &desk, &exchange, clock, before)
        };
        let Ok(seen) = tokio::task::spawn_blocking(look).await else { return };
        before = Some(seen);
        if tokio::time::timeout(BEAT, crate::telemetry::listen::until_stopped(&mut stop)).await.is_ok() {
            return;
        }
    }
}

/// What was read, and when.
struct Seen {
    /// `None`: the folder cannot be read.
    files: Option<Vec<(PathBuf, u64, Option<SystemTime>)>>,
    /// What it was read for. Only told apart from others; held, so that no others can lie where these lay.
    policies: Weak<Policies>,
    at: f64,
}

fn look(dir: &Path, desk: &Desk, exchange: &Exchange, clock: Clock, before: Option<Seen>) -> Seen {
    let (snapshot, now) = (exchange.load_full(), clock.now());
    let files = files(dir).map_err(|e| e.to_string());
    let policies = Arc::downgrade(&snapshot.policies);
    let is_same = |seen: &Seen| seen.files.as_ref() == files.as_ref().ok() && seen.policies.ptr_eq(&policies);
    match (before, &files) {
        (Some(seen), _) if is_same(&seen) && now.mono - seen.at < AGAIN_SECS => seen,
        // A mount that is away takes nothing back: what it said stands until it can be read again.
        (Some(seen), Err(e)) => {
            if seen.files.is_some() {
                tracing::error!(
                    "{}: the folder of events cannot be read: {e}; what it announced stands",
                    dir.display()
                );
            }
            Seen { files: None, policies, at: now.mono }
        }
        (before, _) => {
            let mut report = Report::default();
            let against = Against { policies: &snapshot.policies, cells: &snapshot.cells, now: now.unix };
            let entries = read(dir, against, &mut report);
            let n = entries.len();
            let left_out = desk.set_files(entries, now.unix);
            if before.as_ref().is_none_or(|before| !is_same(before)) {
                say(&report);
                tracing::info!("{}: {n} events announced", dir.display());
                if left_out > 0 {
                    tracing::warn!(
                        "{left_out} events of the folder found no room, or their ids are taken: see [events] room"
                    );
                }
            }
            Seen { files: files.ok(), policies, at: now.mono }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::CellMap;
    use crate::policy::Group;
    use crate::telemetry::fixtures;

    #[test]
    fn both_forms_are_read_and_faults_named() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        let event = "group = \"web\"\nstart = \"+1h\"\npeak = 100\n";
        put("a.toml", &format!("[[announce]]\nid = \"a\"\n{event}[[announce]]\nid = \"a\"\n{event}"));
        put(
            "b.ics",
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:b\nDTSTART:20300101T000000Z\nX-FLOODWAY-GROUP:web\nX-FLOODWAY-PEAK:9\nEND:VEVENT\nEND:VCALENDAR",
        );
        put("notes.txt", "not a calendar");
        put("c.ICS", "hello");
        fs::write(dir.path().join("d.ics"), [0xff; 9]).unwrap();
        fs::create_dir(dir.path().join("e.toml")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", dir.path().join("f.ics")).unwrap();
        let policies =
            Policies { groups: vec![Group::new("web.example.com.".parse().unwrap())], ..Policies::default() };
        let cells = CellMap::from_cells(vec![]);
        let read_in = |dir: &Path| {
            let mut report = Report::default();
            let against = Against { policies: &policies, cells: &cells, now: 1_893_400_000.0 };
            let ids: Vec<String> = read(dir, against, &mut report).iter().map(|e| e.announcement.id.clone()).collect();
            (ids, report.to_string())
        };
        let (ids, report) = read_in(dir.path());
        assert_eq!(ids, ["a", "b"], "{report}");
        assert!(report.contains("c.ICS:1:1: error: no `NAME:value`") && report.contains("\"a\" is taken"), "{report}");
        for says in ["d.ics: error: not text", "e.toml: error: a folder, and", "f.ics: error: a pipe, socket or device"]
        {
            assert!(report.contains(says), "{says} is not in\n{report}");
        }
        assert!(read_in(&dir.path().join("none")).1.contains("cannot be read"));
    }

    /// A file that goes takes its events along; a folder that cannot be read does not.
    #[test]
    fn what_stood_in_a_folder_that_is_away_stands() {
        let top = tempfile::tempdir().unwrap();
        let (dir, away) = (top.path().join("events"), top.path().join("away"));
        fs::create_dir(&dir).unwrap();
        let event = "[[announce]]\nid = \"a\"\ngroup = \"web\"\nstart = \"+1h\"\npeak = 100\n";
        fs::write(dir.join("a.toml"), event).unwrap();
        let (desk, exchange, clock) =
            (Desk::new(10, Default::default()), fixtures::exchange(fixtures::plan()), Clock::start());
        let mut seen = None;
        let mut check = |n: usize| {
            seen = Some(look(&dir, &desk, &exchange, clock, seen.take()));
            assert_eq!(desk.calendar().entries.len(), n);
        };
        check(1);
        fs::rename(&dir, &away).unwrap();
        check(1);
        check(1);
        fs::rename(&away, &dir).unwrap();
        check(1);
        fs::remove_file(dir.join("a.toml")).unwrap();
        check(0);
    }
}
