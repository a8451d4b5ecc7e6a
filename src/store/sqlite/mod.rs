//! The file: opening, migrating and setting aside. Everything of the store that touches SQLite is in this folder.
//!
//! The journal is a write-ahead log and every commit reaches the disk before it returns (`synchronous=FULL`), so a batch
//! that was committed outlives the process and the power; a batch that was not is not there at all. Readers of other
//! processes (`floodway history`) see the last commit and hold nobody up.

pub mod records;
pub mod samples;
pub mod tidy;

use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::store::series::SeriesName;

/// `application_id` of our files, "FlwH": so that nobody's other database is taken for one.
const APPLICATION: i64 = 0x466c_7748;
/// How long somebody else's lock is waited for.
const BUSY: Duration = Duration::from_secs(1);
/// Statements kept prepared.
const STATEMENTS: usize = 64;
/// To what size the journal is cut back after a checkpoint, in octets.
const JOURNAL: i64 = 64 << 20;

/// What makes version `i + 1` out of version `i`. Never changed once released, only added to.
const MIGRATIONS: [&str; 2] = [SAMPLES, RECORDS];

/// Samples. `fresh` has a row per series and minute, those of one minute side by side, since they are written together;
/// an hour later they are packed into `block`, where a series lies together (see [`samples`]).
const SAMPLES: &str = "
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE fresh (
    start INTEGER NOT NULL,    -- unix seconds, a multiple of 60
    series INTEGER NOT NULL,
    count INTEGER NOT NULL,
    sum REAL NOT NULL,
    min REAL NOT NULL,
    max REAL NOT NULL,
    last REAL NOT NULL,
    last_ms INTEGER NOT NULL,
    sketch BLOB,
    PRIMARY KEY (start, series)
) STRICT, WITHOUT ROWID;
CREATE TABLE block (
    series INTEGER NOT NULL,
    level INTEGER NOT NULL,    -- seconds of a bucket
    start INTEGER NOT NULL,    -- unix seconds, a multiple of the block's length
    n INTEGER NOT NULL,        -- buckets in it
    body BLOB NOT NULL,
    UNIQUE (series, level, start)
) STRICT;
";

/// What else is remembered.
const RECORDS: &str = "
CREATE TABLE forecast (
    target INTEGER NOT NULL,   -- beginning of the minute that it is about
    series INTEGER NOT NULL,
    lead INTEGER NOT NULL,     -- seconds
    quantiles BLOB NOT NULL,   -- level and value in turn, 32-bit floats, big-endian
    outcome REAL,              -- what came, once it is known
    loss REAL,                 -- mean pinball loss over the levels
    PRIMARY KEY (target, series, lead)
) STRICT, WITHOUT ROWID;
CREATE TABLE model (
    series INTEGER NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,       -- unix seconds
    state BLOB NOT NULL,
    PRIMARY KEY (series, name)
) STRICT;
CREATE TABLE plan (
    target_group TEXT NOT NULL,
    at INTEGER NOT NULL,       -- unix seconds
    generation INTEGER NOT NULL,
    mode TEXT NOT NULL,
    shares TEXT NOT NULL,      -- member=share, separated by spaces
    PRIMARY KEY (at, target_group)
) STRICT, WITHOUT ROWID;
CREATE TABLE mark (
    name TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

//----------- File -----------------------------------------------------------

/// An open history.
#[derive(Debug)]
pub struct File {
    connection: Connection,
    /// Series that have a number.
    ids: RefCell<HashMap<SeriesName, i64>>,
    /// Blocks that were found damaged and left out.
    damaged: Cell<u64>,
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To read what is there.
    Read,
    /// To write, and make what is missing.
    Write,
}

impl File {
    /// Opens a history. To write: makes it if need be, and brings an older version up to this one.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(path: &Path, purpose: Purpose) -> Result<File, Error> {
        let flags = match purpose {
            Purpose::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
            Purpose::Write => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
        };
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let (application, version) = (pragma("application_id")?, pragma("user_version")?);
        let n_tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application != APPLICATION && n_tables > 0 {
            return Err(Error::Refused("it is a database of another program".into()));
        }
        let newest = MIGRATIONS.len() as i64;
        if version > newest {
            return Err(Error::Refused(format!(
                "it is of version {version}, written by a newer floodway; this one knows versions up to {newest}"
            )));
        }
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        match purpose {
            Purpose::Read if version < newest => {
                return Err(Error::Refused(format!(
                    "it is of version {version} and none that this floodway has opened to write; it knows {newest}"
                )));
            }
            Purpose::Read => {}
            Purpose::Write => prepare(&connection)?,
        }
        Ok(File { connection, ids: RefCell::default(), damaged: Cell::new(0) })
    }

    /// Begins to write; others wait. Dropped without a commit it was nothing.
    fn begin(&self) -> Result<Transaction<'_>, Error> {
        Ok(Transaction::new_unchecked(&self.connection, TransactionBehavior::Immediate)?)
    }

    /// Does several things as one: all of them are in the file afterwards, or none.
    ///
    /// # Errors
    /// Those of the things, and what the file says of the commit.
    pub fn whole<T, E: From<Error>>(&self, things: impl FnOnce(&File) -> Result<T, E>) -> Result<T, E> {
        let transaction = self.begin()?;
        let done = things(self).and_then(|done| match transaction.commit() {
            Ok(()) => Ok(done),
            Err(e) => Err(Error::from(e).into()),
        });
        if done.is_err() {
            // Numbers given to new series went with the rest.
            self.ids.borrow_mut().clear();
        }
        done
    }

    /// Blocks found damaged so far; what was in them is missing.
    pub fn n_damaged(&self) -> u64 {
        self.damaged.get()
    }

    /// Octets of the file, without its journal.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn size(&self) -> Result<u64, Error> {
        let pragma = |name| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        Ok((pragma("page_count")? * pragma("page_size")?) as u64)
    }

    #[cfg(test)]
    pub(super) fn limit(&self, pages: i64) {
        self.connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    }
}

/// Settings of a connection that writes, and migrations.
fn prepare(connection: &Connection) -> Result<(), Error> {
    // Takes effect before the first table only: pages that retention frees go back to the disk.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Where there is no write-ahead log (some network file systems) SQLite keeps its rollback journal: as safe, slower.
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL, |_| Ok(()))?;
    let version = || connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if version()? == MIGRATIONS.len() as i64 {
        return Ok(());
    }
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    // Read again: somebody may have been faster.
    for migration in MIGRATIONS.iter().skip(version()?.max(0) as usize) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(transaction.commit()?)
}

/// Renames a damaged history, with its journal, to a name with the time `now` (unix seconds) in it, and gives that name.
/// Nobody has it open any more.
///
/// # Errors
/// What the system says.
pub fn set_aside(path: &Path, now: i64) -> std::io::Result<PathBuf> {
    let name = |stem: &Path, end: &str| {
        let mut name = stem.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let aside = name(path, &format!(".damaged-{now}"));
    std::fs::rename(path, &aside)?;
    for end in ["-wal", "-shm"] {
        match std::fs::rename(name(path, end), name(&aside, end)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(aside)
}

//----------- Error ----------------------------------------------------------

/// Why a history cannot be read or written, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// What is in the file is no history any more: it is set aside, and a new one begun.
    Damaged(String),
    /// It is whole and not for us: it stays as it is.
    Refused(String),
    /// It is locked, the disk is full, a right is missing: may be otherwise soon.
    Unavailable(String),
}

impl From<rusqlite::Error> for Error {
    fn from(e: rusqlite::Error) -> Error {
        match e.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Error::Damaged(e.to_string()),
            Some(ErrorCode::DiskFull) => Error::Unavailable("the disk is full".into()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Error::Unavailable("another process has locked it".into())
            }
            _ => Error::Unavailable(e.to_string()),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Damaged(why) => write!(f, "it is damaged: {why}"),
            Error::Refused(why) | Error::Unavailable(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path, purpose: Purpose) -> Error {
        File::open(path, purpose).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_new_file_is_ours_and_of_the_newest_version() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        assert!(matches!(refusal(&path, Purpose::Read), Error::Unavailable(_)), "there is none to read");
        let file = File::open(&path, Purpose::Write).unwrap();
        let pragma = |name| file.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((pragma("user_version"), pragma("auto_vacuum"), pragma("synchronous")), (2, 2, 2));
        let mode = file.connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        assert_eq!(mode.unwrap(), "wal");
        File::open(&path, Purpose::Read).unwrap();
        assert!(file.size().unwrap() > 0);
    }

    #[test]
    fn an_older_version_is_brought_up_with_what_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(SAMPLES).unwrap();
        old.execute_batch("INSERT INTO series VALUES (7, 'pop/a/load-rps'); PRAGMA user_version = 1;").unwrap();
        old.pragma_update(None, "application_id", APPLICATION).unwrap();
        drop(old);
        assert!(refusal(&path, Purpose::Read).to_string().starts_with("it is of version 1"));
        let file = File::open(&path, Purpose::Write).unwrap();
        let count = |table: &str| {
            file.connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
        };
        assert_eq!((count("series"), count("plan")), (Ok(1), Ok(0)));
    }

    #[test]
    fn newer_versions_and_other_programs_are_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        drop(File::open(&path, Purpose::Write).unwrap());
        Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        for purpose in [Purpose::Read, Purpose::Write] {
            let e = refusal(&path, purpose);
            assert!(matches!(&e, Error::Refused(why) if why.contains("version 99, written by a newer")), "{e}");
        }
        let other = dir.path().join("other.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert_eq!(refusal(&other, Purpose::Write), Error::Refused("it is a database of another program".into()));
    }

    #[test]
    fn what_is_no_database_is_damaged_and_can_be_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history.db");
        std::fs::write(&path, vec![7; 9000]).unwrap();
        assert!(matches!(refusal(&path, Purpose::Write), Error::Damaged(_)));
        std::fs::write(dir.path().join("history.db-wal"), b"x").unwrap();
        let aside = set_aside(&path, 12).unwrap();
        assert_eq!(aside, dir.path().join("history.db.damaged-12"));
        assert!(aside.exists() && !path.exists() && dir.path().join("history.db.damaged-12-wal").exists());
        File::open(&path, Purpose::Write).unwrap();
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("history.db"), Purpose::Write).unwrap();
        let name: SeriesName = "pop/a/load-rps".parse().unwrap();
        let failed: Result<(), Error> = file.whole(|file| {
            file.number(&name)?;
            Err(Error::Unavailable("so".into()))
        });
        assert!(failed.is_err());
        assert_eq!(file.known(&name), Ok(None));
        let id = file.whole(|file| file.number(&name)).unwrap();
        assert_eq!(file.known(&name), Ok(Some(id)));
    }
}
