//! The writer on real files: what it keeps, what it says, and how it comes back.

use super::*;
use crate::store::pending::Observation;
use crate::store::records::Issued;
use rusqlite::Connection;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

fn load() -> SeriesName {
    "pop/a/load-rps".parse().unwrap()
}

fn sample(at: f64, value: f64) -> Record {
    Record::Samples(vec![Observation { series: load(), at, value }])
}

fn started(dir: &Path) -> (History, Clock) {
    let clock = Clock::start();
    (History::start(&Config::default(), dir, clock, || {}).unwrap(), clock)
}

fn balanced(history: &History) -> crate::store::books::Counted {
    let counted = history.recorder.shared.books.counted();
    assert_eq!(counted.received, counted.written + counted.dropped.iter().sum::<u64>() + counted.waiting);
    counted
}

fn minute_ago(clock: Clock) -> i64 {
    Level::Minute.floor(clock.now().unix as i64) - 60
}

#[test]
fn what_is_flushed_is_there_for_the_next_process() {
    let dir = tempfile::tempdir().unwrap();
    let (history, clock) = started(dir.path());
    let at = minute_ago(clock);
    assert!(history.recorder().record(sample(at as f64, 4.0)));
    assert!(history.recorder().record(sample(at as f64 + 1.0, 6.0)));
    history.flush().unwrap();
    history.recorder().record(sample(at as f64 + 2.0, 11.0));
    drop(history);
    let (history, _) = started(dir.path());
    assert_eq!(history.recent(&load(), at - 60, at + 60, 60), [None, Some(7.0)]);
    assert_eq!(history.recent(&load(), at, at + 60, 59), []);
    let counted = balanced(&history);
    assert_eq!((counted.health, counted.received), (Health::File, 0));
}

#[test]
fn what_models_have_learnt_outlives_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let (history, _) = started(dir.path());
    let state = vec![7; 1000];
    let model = ModelState { series: load(), name: "gru".into(), version: 3, at: i64::MAX / 4, state };
    history.recorder().record(Record::Model(model.clone()));
    drop(history);
    assert_eq!(started(dir.path()).0.models(&load()), Ok(vec![model]));
}

#[test]
fn a_locked_file_leaves_it_in_memory_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (history, clock) = started(dir.path());
    let at = minute_ago(clock);
    let other = Connection::open(dir.path().join("history.db")).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    history.recorder().record(sample(at as f64, 4.0));
    assert_eq!(history.flush(), Err(Error::Unavailable("another process has locked it".into())));
    let counted = balanced(&history);
    assert_eq!(counted.health, Health::Memory("another process has locked it".into()));
    assert!(counted.failures > 0 && (counted.waiting, counted.written) == (1, 0));
    assert_eq!(history.recent(&load(), at, at + 60, 60), [Some(4.0)], "it is read from memory");
    other.execute_batch("ROLLBACK").unwrap();
    history.flush().unwrap();
    assert_eq!((balanced(&history).health, balanced(&history).written), (Health::File, 1));
    assert_eq!(history.recent(&load(), at, at + 60, 60), [Some(4.0)]);
}

#[test]
fn a_full_disk_leaves_it_in_memory_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::start();
    let shared = Arc::new(Shared {
        path: dir.path().join("history.db"),
        books: Arc::default(),
        queued: AtomicU64::new(100_000),
        pending: Mutex::default(),
    });
    let mut writer = Writer::new(Config::default(), shared.clone(), clock.now());
    writer.reopen(clock.now());
    writer.file.as_ref().unwrap().file.limit(1);
    let many: Vec<_> = (0..2000)
        .map(|i| Observation {
            series: format!("pop/{i}/load-rps").parse().unwrap(),
            at: minute_ago(clock) as f64,
            value: f64::from(i),
        })
        .collect();
    writer.take(Record::Samples(many), clock.now());
    assert_eq!(writer.write(clock.now()), Err(Error::Unavailable("the disk is full".into())));
    assert_eq!(shared.books.health(), Health::Memory("the disk is full".into()));
    // Opened again it has its room back, as a disk that somebody has cleared.
    writer.write(clock.now()).unwrap();
    assert_eq!((shared.books.health(), shared.pending().n_items()), (Health::File, 0));
    assert_eq!(writer.file.as_ref().unwrap().file.names().unwrap().len(), 2000);
}

#[test]
fn a_damaged_file_is_set_aside_once_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    std::fs::write(&path, [7; 9000]).unwrap();
    let (history, clock) = started(dir.path());
    assert_eq!((balanced(&history).set_aside, balanced(&history).health), (1, Health::File));
    let at = minute_ago(clock);
    history.recorder().record(sample(at as f64, 4.0));
    history.flush().unwrap();
    // Pages overwritten while it is open: it was set aside just now, so this one stays, and so does what comes.
    std::fs::write(&path, [7; 90_000]).unwrap();
    history.recorder().record(sample(at as f64, 6.0));
    let _ = history.flush();
    let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.iter().filter(|n| n.to_string_lossy().ends_with(char::is_numeric)).count(), 1, "{names:?}");
}

#[test]
fn a_newer_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("history.db");
    drop(File::open(&path, Purpose::Write).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let before = std::fs::read(&path).unwrap();
    let (history, clock) = started(dir.path());
    history.recorder().record(sample(minute_ago(clock) as f64, 4.0));
    assert!(matches!(history.flush(), Err(Error::Refused(why)) if why.contains("version 99")));
    drop(history);
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_taken_away_is_begun_anew() {
    let dir = tempfile::tempdir().unwrap();
    let (history, clock) = started(dir.path());
    let at = minute_ago(clock);
    history.recorder().record(sample(at as f64, 4.0));
    history.flush().unwrap();
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(dir.path().join(format!("history.db{end}"))).unwrap();
    }
    history.recorder().record(sample(at as f64, 6.0));
    history.flush().unwrap();
    assert_eq!(history.recent(&load(), at, at + 60, 60), [Some(6.0)]);
}

#[test]
fn the_queue_is_bounded_and_says_what_it_turns_away() {
    let dir = tempfile::tempdir().unwrap();
    let (history, clock) = started(dir.path());
    let at = minute_ago(clock) as f64;
    let many = |n| Record::Samples(vec![Observation { series: load(), at, value: 1.0 }; n]);
    assert!(!history.recorder().record(many(QUEUE_ITEMS as usize + 1)));
    assert!(history.recorder().record(many(10)));
    history.flush().unwrap();
    let counted = balanced(&history);
    assert_eq!((counted.dropped[Dropped::Queue as usize], counted.written), (QUEUE_ITEMS + 1, 10));
}

/// What the thread does while nothing comes, by hand: hours are packed, forecasts scored, and what is too old goes.
#[test]
fn the_house_is_kept_tidy() {
    let dir = tempfile::tempdir().unwrap();
    let shared = Arc::new(Shared {
        path: dir.path().join("history.db"),
        books: Arc::default(),
        queued: AtomicU64::new(100),
        pending: Mutex::default(),
    });
    let start = Now { mono: 0.0, unix: 2_000_000_000.0 };
    let mut writer = Writer::new(Config::default(), shared.clone(), start);
    writer.reopen(start);
    let at = Level::Minute.floor(start.unix as i64);
    writer.take(sample(start.unix, 5.0), start);
    let issued = Issued { series: load(), target: at, lead_secs: 60, quantiles: vec![(0.5, 4.0)] };
    writer.take(Record::Forecast(issued), start);
    writer.write(start).unwrap();
    let tidied = |writer: &mut Writer, now: Now| {
        writer.tidy(now);
        while writer.chore != Chore::Nothing {
            writer.tidy(now);
        }
        let file = &writer.file.as_ref().unwrap().file;
        (file.names().unwrap().len(), file.extents(&load()).unwrap())
    };
    let (n, extents) = tidied(&mut writer, start.after(7200.0));
    assert_eq!((n, extents.len()), (3, 4), "the score is two series beside it");
    assert!(extents.iter().all(|extent| extent.octets > 0));
    let day = 86_400.0;
    let year = start.after(365.0 * day);
    let (_, extents) = tidied(&mut writer, year);
    assert_eq!(extents.len(), 4, "a clock that jumps takes nothing at once");
    let long_since = |writer: &Writer, now: Now| {
        writer.file.as_ref().unwrap().file.whole(|file| file.set_mark(PRUNED, now.unix as i64 - 3600)).unwrap();
    };
    let year = year.after(day);
    long_since(&writer, year);
    let (_, extents) = tidied(&mut writer, year);
    assert_eq!(extents.iter().map(|e| e.level).collect::<Vec<_>>(), [Level::Quarter, Level::Hour]);
    let decade = start.after(3650.0 * day);
    long_since(&writer, decade);
    let (n, _) = tidied(&mut writer, decade);
    assert_eq!(n, 0);
}

/// Where the child of the next test writes; set for it alone.
const CHILD: &str = "FLOODWAY_TEST_HISTORY";

/// A process that is killed while it writes loses nothing that it was told is in the file. `tests/e2e/history` does this
/// two hundred times on the program itself.
#[test]
fn a_killed_process_loses_nothing_acknowledged() {
    if let Some(dir) = std::env::var_os(CHILD) {
        write_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for round in 0..8u32 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "store::writer::tests::a_killed_process_loses_nothing_acknowledged"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let told =
            lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("in the file: ")?.parse::<u64>().ok());
        // Killed after as many words as the round says; in what it does then it is somewhere in a batch.
        acknowledged = told.take(1 + round as usize * 3).last().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let file = File::open(&dir.path().join("history.db"), Purpose::Write).unwrap();
        let buckets = file.buckets(&load(), Level::Hour, 0..i64::MAX / 4).unwrap();
        let found: u64 = buckets.iter().map(|(_, bucket)| bucket.count).sum();
        assert!(found >= acknowledged, "{found} of {acknowledged} after round {round}");
        file.compact().unwrap();
    }
    assert!(acknowledged > 0);
}

/// Writes samples, flushes, and says how many are in the file, until somebody ends it.
fn write_until_killed(dir: &Path) -> ! {
    let (history, clock) = started(dir);
    let file = File::open(&dir.join("history.db"), Purpose::Read).unwrap();
    let before = file.buckets(&load(), Level::Hour, 0..i64::MAX / 4).unwrap();
    let mut n: u64 = before.iter().map(|(_, bucket)| bucket.count).sum();
    loop {
        for _ in 0..7 {
            history.recorder().record(sample(clock.now().unix, 1.0));
            n += 1;
        }
        history.flush().unwrap();
        println!("in the file: {n}");
    }
}
