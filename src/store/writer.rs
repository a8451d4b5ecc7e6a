//! The thread that writes, and the handles others hold.
//!
//! Whoever has something to remember hands it to a [`Recorder`], which never waits: a bounded queue takes it or counts it
//! as dropped. The thread gathers it by minute and writes a batch every five seconds, as one transaction: what a
//! [`History::flush`] has seen committed outlives the process, and a death in between takes the batch in flight and no more.
//!
//! States of the file. *File*: batches go into it. *Memory*: it is locked, the disk is full or something else is in the
//! way; what comes is gathered in memory ([`Pending`]), tried again at growing distances up to a minute, and written when
//! that works. A damaged file is set aside and a new one begun, at most once an hour. A file of a newer version or of
//! another program is left alone, and what comes stays in memory like under a lock. Each change is one line in the log.

use crate::clock::{Clock, Now};
use crate::store::books::{Books, Dropped, Health};
use crate::store::config::Config;
use crate::store::grid;
use crate::store::pending::{Pending, Record};
use crate::store::records::ModelState;
use crate::store::rollup::{Level, fold};
use crate::store::series::SeriesName;
use crate::store::sqlite::samples::sealed_before;
use crate::store::sqlite::{Error, File, Purpose, set_aside};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Messages that wait at most.
const QUEUE: usize = 1024;
/// Items that wait in the queue at most. Our choice: some seconds of 10,000 series each second.
const QUEUE_ITEMS: u64 = 100_000;
/// Seconds between batches: what a death of the process may cost.
const BATCH_SECS: f64 = 5.0;
/// Longest time between attempts to write what could not be written, seconds.
const MOST_PATIENCE: f64 = 60.0;
/// Seconds that must have passed before another damaged file is set aside: a disk that damages every file gets few.
const ASIDE_SECS: f64 = 3600.0;
/// Seconds between looks for what is to be tidied.
const TIDY_SECS: f64 = 60.0;
/// Seconds between looks for what is too old.
const PRUNE_SECS: f64 = 3600.0;
/// The moment that was last taken for now when something was too old.
const PRUNED: &str = "pruned";
/// How far that moment moves each time at most, seconds. A clock that is years ahead for an hour costs the oldest day, not
/// the history; a server that was off for a month catches up in a day or two.
const PRUNED_AT_ONCE: i64 = 86_400;
/// Series tidied in one transaction: some ten milliseconds, in which batches wait.
const SLICE: usize = 250;
/// Seconds from the end of a minute until forecasts about it are scored: late samples are in by then.
const SCORE_SECS: i64 = 120;

//----------- Handles --------------------------------------------------------

/// Hands things over. Clones hand to the same writer.
#[derive(Clone, Debug)]
pub struct Recorder {
    sender: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// A running writer. Dropping it writes what waits, and ends it.
#[derive(Debug)]
pub struct History {
    recorder: Recorder,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    books: Arc<Books>,
    /// Items in the queue.
    queued: AtomicU64,
    /// Locked by the writer while it gathers and while it writes, and by those who read what it may not have written yet.
    pending: Mutex<Pending>,
}

#[derive(Debug)]
enum Message {
    Record(Record),
    Flush(SyncSender<Result<(), Error>>),
    Stop,
}

impl Recorder {
    /// Hands something over, at once and without waiting; what the queue has no room for is counted as dropped. Says
    /// whether it was taken.
    pub fn record(&self, record: Record) -> bool {
        let n = record.n_items() as u64;
        let Shared { books, queued, .. } = &*self.shared;
        books.received.fetch_add(n, Ordering::Relaxed);
        let has_room = queued.fetch_add(n, Ordering::Relaxed) + n <= QUEUE_ITEMS;
        let taken = has_room && self.sender.try_send(Message::Record(record)).is_ok();
        if !taken {
            queued.fetch_sub(n, Ordering::Relaxed);
            books.drop_items(Dropped::Queue, n);
        }
        taken
    }

    /// The books of the writer.
    pub fn books(&self) -> Arc<Books> {
        self.shared.books.clone()
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.shared.pending()
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    /// Opens the history `config` names in the state folder, made if need be, and starts the writer. A file that cannot
    /// be had is no fault here: what comes is kept in memory, and the books and the log say so. `begin` runs first on the
    /// thread: to give way to others, for example.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(config: &Config, state: &Path, clock: Clock, begin: fn()) -> std::io::Result<History> {
        let (sender, receiver) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            path: config.file(state),
            books: Arc::default(),
            queued: AtomicU64::new(0),
            pending: Mutex::default(),
        });
        let mut writer = Writer::new(config.clone(), shared.clone(), clock.now());
        // Here and not on the thread: who reads at once finds what an earlier process left.
        writer.reopen(clock.now());
        let run = move || {
            begin();
            writer.run(&receiver, clock);
        };
        let thread = std::thread::Builder::new().name("history".into()).spawn(run)?;
        Ok(History { recorder: Recorder { sender, shared }, thread: Some(thread) })
    }

    /// A handle to hand things over by.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// Waits until all that was handed over before is in the file.
    ///
    /// # Errors
    /// Why it is not; then it is in memory still.
    pub fn flush(&self) -> Result<(), Error> {
        let gone = || Error::Unavailable("the writer has died".into());
        let (reply, answer) = sync_channel(1);
        self.recorder.sender.send(Message::Flush(reply)).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// The states of models of a series that are in the file, by name; what was handed over in the last seconds may not be.
    ///
    /// # Errors
    /// Why the file cannot be read.
    pub fn models(&self, series: &SeriesName) -> Result<Vec<ModelState>, Error> {
        File::open(&self.recorder.shared.path, Purpose::Read)?.models(series)
    }

    /// See [`recent`]; with what is not in the file yet. While the file cannot be read, that is all.
    pub fn recent(&self, series: &SeriesName, since: i64, until: i64, step: i64) -> Vec<Option<f64>> {
        // Held while reading, so that nothing is missed between memory and file.
        let pending = self.recorder.pending();
        let Some(level) = Level::dividing(step) else { return Vec::new() };
        let file = File::open(&self.recorder.shared.path, Purpose::Read);
        let found = file.and_then(|file| file.buckets(series, level, whole_steps(since, until, step)));
        let mut buckets = found.unwrap_or_default();
        for (start, bucket) in pending.minutes.get(series).into_iter().flatten() {
            fold(&mut buckets, level, *start, bucket);
        }
        grid::means(&buckets, since, until, step)
    }
}

/// The means of a series in steps of `step` seconds, from the one that `since` is in to the last that has ended at
/// `until` (unix seconds): `None` where nothing was seen. Steps begin at multiples of their length since 1970, UTC. Empty
/// if `step` is no multiple of a minute.
///
/// A step is read from the coarsest level that divides it, so a step of an hour reaches back as far as hours are kept.
///
/// # Errors
/// See [`Error`].
pub fn recent(file: &File, series: &SeriesName, since: i64, until: i64, step: i64) -> Result<Vec<Option<f64>>, Error> {
    let Some(level) = Level::dividing(step) else { return Ok(Vec::new()) };
    Ok(grid::means(&file.buckets(series, level, whole_steps(since, until, step))?, since, until, step))
}

fn whole_steps(since: i64, until: i64, step: i64) -> std::ops::Range<i64> {
    crate::store::rollup::floor(since, step)..crate::store::rollup::floor(until, step)
}

impl Drop for History {
    fn drop(&mut self) {
        // The writer empties its queue; a full one is no reason not to tell it.
        let _ = self.recorder.sender.send(Message::Stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the writer of the history had died");
        }
    }
}

//----------- Writer ---------------------------------------------------------

/// What the thread owns.
struct Writer {
    config: Config,
    shared: Arc<Shared>,
    file: Option<Opened>,
    /// Since when something waits to be written.
    waiting: Option<Now>,
    /// After failures: when to try again, and how long that was.
    again: Option<(f64, f64)>,
    /// When a damaged file was last set aside.
    aside: Option<Now>,
    chore: Chore,
    tidied: Now,
    pruned: Option<Now>,
}

struct Opened {
    file: File,
    /// Device and inode of its path then.
    identity: Option<(u64, u64)>,
    damaged: u64,
}

/// What is being tidied, a slice at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chore {
    Nothing,
    Seal,
    Score,
    /// On after the series of number `after`, as if it were `now`.
    Prune {
        after: i64,
        now: i64,
    },
}

impl Writer {
    fn new(config: Config, shared: Arc<Shared>, now: Now) -> Writer {
        Writer {
            config,
            shared,
            file: None,
            waiting: None,
            again: None,
            aside: None,
            chore: Chore::Seal,
            tidied: now,
            pruned: None,
        }
    }

    fn run(&mut self, receiver: &Receiver<Message>, clock: Clock) {
        loop {
            let message = match self.chore {
                Chore::Nothing => receiver.recv_timeout(Duration::from_millis(500)),
                _ => receiver.try_recv().map_err(|e| match e {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
            };
            let now = clock.now();
            match message {
                Ok(Message::Record(record)) => self.take(record, now),
                Ok(Message::Flush(reply)) => {
                    // Nobody may wait for the answer any more.
                    let _ = reply.send(self.write(now));
                }
                Ok(Message::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    if let Err(e) = self.write(now) {
                        let n = self.shared.pending().n_items();
                        tracing::warn!("{}: {e}; {n} samples and records are lost", self.shared.path.display());
                    }
                    return;
                }
                Err(RecvTimeoutError::Timeout) => self.tidy(now),
            }
            let is_due = self.waiting.is_some_and(|since| now.since(since) >= BATCH_SECS);
            if is_due && self.again.is_none_or(|(at, _)| now.mono >= at) {
                let _ = self.write(now);
            }
        }
    }

    fn take(&mut self, record: Record, now: Now) {
        self.shared.queued.fetch_sub(record.n_items() as u64, Ordering::Relaxed);
        let books = &self.shared.books;
        self.shared.pending().take(record, &self.config.keep, now.unix as i64, |why, n| books.drop_items(why, n));
        self.waiting.get_or_insert(now);
    }

    /// Writes what waits, as one transaction.
    fn write(&mut self, now: Now) -> Result<(), Error> {
        let begun = std::time::Instant::now();
        let shared = self.shared.clone();
        let mut pending = shared.pending();
        let n = pending.n_items();
        let sealed = sealed_before(now.unix as i64);
        let written = self.at_hand(now).and_then(|file| {
            file.whole(|file| {
                for (series, minutes) in &pending.minutes {
                    file.add(series, minutes, sealed)?;
                }
                pending.records.iter().try_for_each(|record| match record {
                    Record::Samples(_) => Ok(()),
                    Record::Forecast(issued) => file.put_forecast(issued),
                    Record::Model(model) => file.put_model(model),
                    Record::Plan(plan) => file.put_plan(plan),
                })
            })
        });
        if let Err(e) = written {
            drop(pending);
            self.fail(&e, now);
            return Err(e);
        }
        *pending = Pending::default();
        drop(pending);
        (self.waiting, self.again) = (None, None);
        let books = &shared.books;
        books.written.fetch_add(n, Ordering::Relaxed);
        books.batches.fetch_add(u64::from(n > 0), Ordering::Relaxed);
        books.micros.store(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
        self.note_file();
        if let Health::Memory(_) = books.set_health(Health::File) {
            tracing::info!("{}: written again, {n} samples and records that had waited", shared.path.display());
        }
        Ok(())
    }

    /// The file, opened if need be. One that was taken away or replaced is left, and what stands at the path is opened.
    fn at_hand(&mut self, now: Now) -> Result<&File, Error> {
        let identity = identity(&self.shared.path);
        if self.file.as_ref().is_some_and(|opened| identity != opened.identity) {
            tracing::warn!("{}: the file has been taken away; going on with what is there", self.shared.path.display());
            self.file = None;
        }
        if self.file.is_none()
            && let Err(e) = self.open()
        {
            self.repair(&e, now)?;
        }
        match &self.file {
            Some(opened) => Ok(&opened.file),
            None => Err(Error::Unavailable("it is not open".into())),
        }
    }

    fn open(&mut self) -> Result<(), Error> {
        let path = &self.shared.path;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::Unavailable(e.to_string()))?;
        }
        let file = File::open(path, Purpose::Write)?;
        self.file = Some(Opened { file, identity: identity(path), damaged: 0 });
        Ok(())
    }

    /// Sets a damaged file aside and begins anew; any other error is given back.
    fn repair(&mut self, error: &Error, now: Now) -> Result<(), Error> {
        let path = self.shared.path.clone();
        let was_just = self.aside.is_some_and(|at| now.since(at) < ASIDE_SECS);
        if !matches!(error, Error::Damaged(_)) || was_just {
            return Err(error.clone());
        }
        self.file = None;
        let aside = set_aside(&path, now.unix as i64).map_err(|e| Error::Unavailable(e.to_string()))?;
        self.aside = Some(now);
        self.shared.books.set_aside.fetch_add(1, Ordering::Relaxed);
        tracing::error!("{}: {error}; set aside as {}, a new history begins", path.display(), aside.display());
        self.open()
    }

    /// Opens the file at the start.
    fn reopen(&mut self, now: Now) {
        match self.at_hand(now).map(|_| ()) {
            Ok(()) => {
                self.shared.books.set_health(Health::File);
                self.note_file();
            }
            Err(e) => self.fail(&e, now),
        }
    }

    /// Something could not be written.
    fn fail(&mut self, error: &Error, now: Now) {
        self.shared.books.failures.fetch_add(1, Ordering::Relaxed);
        self.file = None;
        self.chore = Chore::Nothing;
        if self.repair(error, now).is_ok() {
            // What waits goes into the new one with the next batch.
            self.again = None;
            return;
        }
        let patience = self.again.map_or(1.0, |(_, patience)| (2.0 * patience).min(MOST_PATIENCE));
        self.again = Some((now.mono + patience, patience));
        self.waiting.get_or_insert(now);
        let before = self.shared.books.set_health(Health::Memory(error.to_string()));
        if !matches!(before, Health::Memory(_)) {
            let path = self.shared.path.display();
            match error {
                Error::Refused(_) => tracing::error!("{path}: {error}; the history stays in memory"),
                _ => tracing::warn!("{path}: {error}; the history stays in memory until that is over"),
            }
        }
    }

    fn note_file(&mut self) {
        let Some(opened) = &mut self.file else { return };
        let books = &self.shared.books;
        if let Ok(octets) = opened.file.size() {
            books.octets.store(octets, Ordering::Relaxed);
        }
        let damaged = opened.file.n_damaged();
        let more = damaged - std::mem::replace(&mut opened.damaged, damaged);
        if more > 0 {
            books.damaged.fetch_add(more, Ordering::Relaxed);
            let path = self.shared.path.display();
            tracing::error!(
                "{path}: {more} blocks are damaged and left out; `floodway history compact` checks the file"
            );
        }
    }

    //------- Tidying

    /// Does one slice of what is to be tidied, while nothing else is to do.
    fn tidy(&mut self, now: Now) {
        if self.chore == Chore::Nothing {
            if now.since(self.tidied) < TIDY_SECS {
                return;
            }
            self.tidied = now;
            self.chore = Chore::Seal;
        }
        if self.again.is_some() {
            self.chore = Chore::Nothing;
            return;
        }
        match self.slice(now) {
            Ok(next) => self.chore = next,
            Err(e) => self.fail(&e, now),
        }
        self.note_file();
    }

    fn slice(&mut self, now: Now) -> Result<Chore, Error> {
        let (chore, keep) = (self.chore, self.config.keep.clone());
        let unix = now.unix as i64;
        let sealed = sealed_before(unix);
        let prune = self.pruned.is_none_or(|at| now.since(at) >= PRUNE_SECS);
        let file = self.at_hand(now)?;
        let next = match chore {
            Chore::Nothing => Chore::Nothing,
            Chore::Seal if file.whole(|file| file.seal(SLICE, sealed))? => Chore::Seal,
            Chore::Seal => Chore::Score,
            Chore::Score if file.whole(|file| file.score(unix - SCORE_SECS, sealed))? => Chore::Score,
            Chore::Score if prune => Chore::Prune { after: 0, now: horizon(file.mark(PRUNED)?, unix) },
            Chore::Score => Chore::Nothing,
            Chore::Prune { after, now } => {
                let next = file.whole(|file| {
                    file.set_mark(PRUNED, now)?;
                    file.prune(&keep, after, SLICE, now)
                })?;
                file.shrink()?;
                next.map_or(Chore::Nothing, |after| Chore::Prune { after, now })
            }
        };
        if matches!((chore, next), (Chore::Prune { .. }, Chore::Nothing)) {
            self.pruned = Some(now);
        }
        Ok(next)
    }
}

/// What is taken for now when something is too old: not much later than the time before.
fn horizon(before: Option<i64>, now: i64) -> i64 {
    before.map_or(now, |before| now.min(before.saturating_add(PRUNED_AT_ONCE)))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|there| (there.dev(), there.ino()))
}

#[cfg(test)]
#[path = "writer_tests.rs"]
mod tests;
