//! The thread behind dnstap: takes what the threads that answer have left, and writes it.

use crate::exchange::{Exchange, Snapshot};
use crate::transport::tap::capture::{Capture, Lost};
use crate::transport::tap::frames::{self, Control};
use crate::transport::tap::message::{Dnstap, Event, Message, frame};
use crate::transport::tap::queue::Taker;
use crate::transport::tap::{Config, Counts, reason::reason};
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Pause when there is nothing to write: short beside a queue's room, long beside a query.
const BEAT: Duration = Duration::from_millis(10);
/// Events taken from one queue before the next has its turn.
const TURN: usize = 64;
/// Longest wait for a collector to take octets or to answer a handshake.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pauses between tries to open a socket or file: the first, doubling up to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Least time between two lines about one that does not take anything.
const BETWEEN: Duration = Duration::from_secs(60);
/// How long a snapshot that was replaced is kept, for events that it answered.
const KEEP: Duration = Duration::from_secs(1);

//----------- Writer ---------------------------------------------------------

/// The running thread; dropping it writes what is left and ends it.
#[derive(Debug)]
pub struct Writer {
    stop: Arc<AtomicBool>,
    renamed: Renamed,
    thread: Option<JoinHandle<()>>,
}

/// Tells the writer that its file may have been renamed, as log rotation does.
#[derive(Clone, Debug, Default)]
pub struct Renamed(Arc<AtomicBool>);

impl Renamed {
    /// Has the writer look soon: if the file has another name now, it is ended and a new one begun.
    pub fn tell(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Writer {
    /// Starts it. `takers` and `counts` as [`super::taps`] made them.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(
        config: Config,
        takers: Vec<Taker>,
        counts: Arc<Counts>,
        exchange: Arc<Exchange>,
    ) -> io::Result<Writer> {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, renamed) = (stop.clone(), Renamed::default());
        let told = renamed.clone();
        let run = move || Loop::new(config, counts, exchange, told).run(&takers, &stopping);
        let thread = std::thread::Builder::new().name("dnstap".into()).spawn(run)?;
        Ok(Writer { stop, renamed, thread: Some(thread) })
    }

    /// For whoever hears that files were rotated.
    pub fn renamed(&self) -> Renamed {
        self.renamed.clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("dnstap had ended by a panic");
            }
        }
    }
}

struct Loop {
    config: Config,
    counts: Arc<Counts>,
    exchange: Arc<Exchange>,
    now: Arc<Snapshot>,
    /// The one before `now`, and when it was replaced.
    before: Option<(Arc<Snapshot>, Instant)>,
    sinks: Vec<Sink>,
    renamed: Renamed,
}

impl Loop {
    fn new(config: Config, counts: Arc<Counts>, exchange: Arc<Exchange>, renamed: Renamed) -> Loop {
        let socket = config.socket.clone().map(|path| Sink::new(Target::Socket(path)));
        let file = config.file.clone().map(|path| Sink::new(Target::File(path)));
        let now = exchange.load_full();
        Loop { config, counts, exchange, now, before: None, sinks: socket.into_iter().chain(file).collect(), renamed }
    }

    fn run(&mut self, takers: &[Taker], stop: &AtomicBool) {
        loop {
            let stopping = stop.load(Ordering::Acquire);
            self.follow();
            if self.renamed.0.swap(false, Ordering::AcqRel) {
                self.sinks.iter_mut().for_each(|sink| sink.close_if_renamed(&self.counts));
            }
            self.sinks.iter_mut().for_each(Sink::open_when_due);
            self.note_connection();
            let n: usize = takers.iter().map(|taker| taker.take(TURN, |event| self.write(event))).sum();
            if n > 0 {
                continue;
            }
            self.sinks.iter_mut().for_each(|sink| sink.flush(&self.counts));
            if stopping {
                break;
            }
            std::thread::park_timeout(BEAT);
        }
        self.sinks.iter_mut().for_each(|sink| sink.close(&self.counts));
        self.note_connection();
    }

    /// Keeps up with the snapshots, so that an event can be explained by the one that answered it.
    fn follow(&mut self) {
        if self.exchange.load().generation != self.now.generation {
            let replaced = std::mem::replace(&mut self.now, self.exchange.load_full());
            self.before = Some((replaced, Instant::now()));
        }
        if self.before.as_ref().is_some_and(|(_, at)| at.elapsed() > KEEP) {
            self.before = None;
        }
    }

    fn write(&mut self, event: &Event) {
        self.follow();
        let before = self.before.as_ref().map(|(snapshot, _)| snapshot);
        let snapshot = [Some(&self.now), before].into_iter().flatten().find(|s| s.generation == event.generation);
        let text = |text: &str| Some(text.as_bytes().to_vec()).filter(|t| !t.is_empty());
        let outer = |message: Message, extra: Option<String>| {
            frame(&Dnstap {
                identity: text(&self.config.identity),
                version: text(&self.config.version),
                extra: extra.map(String::into_bytes),
                message: Some(message),
                kind: Some(1),
            })
        };
        let mut all = Vec::new();
        if self.config.queries {
            all.push(outer(event.query(), None));
        }
        if self.config.responses && !event.response.is_empty() {
            // The way of a query catches its panics; what explains it must not be the first to find one.
            let why = catch_unwind(AssertUnwindSafe(|| reason(event, snapshot.map(|s| &**s))));
            all.push(outer(event.response(), why.ok()));
        }
        for frame in &all {
            self.sinks.iter_mut().for_each(|sink| sink.write(frame, &self.counts));
        }
    }

    fn note_connection(&self) {
        let is = self.sinks.iter().any(|sink| matches!(sink.state, State::Socket(..)));
        self.counts.connected.store(is, Ordering::Relaxed);
    }
}

//----------- Sink -----------------------------------------------------------

/// Where frames go.
struct Sink {
    target: Target,
    state: State,
    /// After a failure: when to try again; nothing is tried before.
    again: Option<Instant>,
    /// How long to wait after the next failure.
    pause: Duration,
    /// When it was last said that something is wrong, if that is still so.
    told: Option<Instant>,
}

enum Target {
    Socket(PathBuf),
    File(PathBuf),
}

enum State {
    /// A collector, and since when it listens.
    Socket(BufWriter<UnixStream>, Instant),
    /// Kept open whatever happens to the disk.
    File(Capture<File>),
    /// Nobody is there.
    Closed,
}

impl Sink {
    fn new(target: Target) -> Sink {
        Sink { target, state: State::Closed, again: None, pause: PAUSES.0, told: None }
    }

    fn path(&self) -> &Path {
        match &self.target {
            Target::Socket(path) | Target::File(path) => path,
        }
    }

    /// Whether it is too early to try again.
    fn rests(&self) -> bool {
        self.again.is_some_and(|again| again > Instant::now())
    }

    fn open_when_due(&mut self) {
        if !matches!(self.state, State::Closed) || self.rests() {
            return;
        }
        match self.open() {
            Ok(state) => {
                tracing::info!("dnstap writes to {}", self.path().display());
                (self.state, self.again) = (state, None);
            }
            Err(e) => self.fail(&e),
        }
    }

    fn open(&self) -> io::Result<State> {
        match &self.target {
            Target::Socket(path) => {
                let mut stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.write_all(&frames::control(Control::Ready))?;
                frames::expect(&mut stream, Control::Accept)?;
                stream.write_all(&frames::control(Control::Start))?;
                Ok(State::Socket(BufWriter::new(stream), Instant::now()))
            }
            Target::File(path) => Capture::create(path).map(State::File),
        }
    }

    /// Waits before the next try, longer each time; says so at most once a minute: the metric counts on.
    fn fail(&mut self, why: &io::Error) {
        self.again = Some(Instant::now() + self.pause);
        self.pause = (self.pause * 2).min(PAUSES.1);
        if self.told.is_none_or(|at| at.elapsed() > BETWEEN) {
            let path = self.path().display();
            tracing::warn!("dnstap cannot write to {path}: {why}; what comes is left out, trying again now and then");
            self.told = Some(Instant::now());
        }
    }

    /// It works again.
    fn recover(&mut self) {
        (self.again, self.pause) = (None, PAUSES.0);
        if self.told.take().is_some() {
            tracing::info!("dnstap writes to {} again", self.path().display());
        }
    }

    /// Writes a frame, or counts that it could not be.
    fn write(&mut self, frame: &[u8], counts: &Counts) {
        let rests = self.rests();
        match &mut self.state {
            State::Socket(stream, _) => {
                let written = stream.write_all(frame);
                let counter = if written.is_ok() { &counts.written } else { &counts.unwritten };
                counter.fetch_add(1, Ordering::Relaxed);
                self.check(written);
            }
            State::File(capture) if !rests => {
                let written = capture.write(frame);
                self.note(written, counts);
            }
            State::File(_) | State::Closed => {
                counts.unwritten.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn flush(&mut self, counts: &Counts) {
        let rests = self.rests();
        match &mut self.state {
            State::Socket(stream, _) => {
                let flushed = stream.flush();
                self.check(flushed);
            }
            State::File(capture) if !rests => {
                let flushed = capture.flush();
                self.note(flushed, counts);
            }
            State::File(_) | State::Closed => {}
        }
    }

    /// A connection that fails is closed, to be made anew: what was sent by halves cannot be gone on from.
    fn check(&mut self, done: io::Result<()>) {
        let State::Socket(_, since) = &self.state else { return };
        let has_lasted = since.elapsed() > PAUSES.1;
        match done {
            // One that accepts and leaves at once is no better than none.
            Ok(()) if has_lasted && self.told.is_some() => self.recover(),
            Ok(()) => {}
            Err(e) => {
                if has_lasted {
                    self.pause = PAUSES.0;
                }
                if let State::Socket(stream, _) = std::mem::replace(&mut self.state, State::Closed) {
                    // Without the flush that dropping a BufWriter does: it would wait for the same once more.
                    drop(stream.into_parts());
                }
                self.fail(&e);
            }
        }
    }

    /// What became of frames for the file.
    fn note(&mut self, done: Result<u64, Lost>, counts: &Counts) {
        match done {
            Ok(0) => {}
            Ok(n) => {
                counts.written.fetch_add(n, Ordering::Relaxed);
                self.recover();
            }
            Err(lost) => {
                counts.unwritten.fetch_add(lost.n, Ordering::Relaxed);
                if lost.is_torn {
                    self.state = State::Closed;
                }
                self.fail(&lost.why);
            }
        }
    }

    /// Ends a file that does not stand under its name any more; the next beat begins a new one.
    fn close_if_renamed(&mut self, counts: &Counts) {
        let State::File(capture) = &self.state else { return };
        let identity = |m: Metadata| (m.dev(), m.ino());
        let (ours, there) = (capture.file().metadata(), fs::metadata(self.path()));
        if ours.ok().map(identity) != there.ok().map(identity) {
            self.close(counts);
            (self.state, self.again) = (State::Closed, None);
        }
    }

    /// Says that it is over, and hears a collector say so, too.
    fn close(&mut self, counts: &Counts) {
        let stop = frames::control(Control::Stop);
        let done = match &mut self.state {
            State::Socket(stream, _) => stream
                .write_all(&stop)
                .and_then(|()| stream.flush())
                .and_then(|()| frames::expect(stream.get_mut(), Control::Finish)),
            State::File(capture) => match capture.end() {
                Ok(n) => {
                    counts.written.fetch_add(n, Ordering::Relaxed);
                    Ok(())
                }
                Err(lost) => {
                    counts.unwritten.fetch_add(lost.n, Ordering::Relaxed);
                    Err(lost.why)
                }
            },
            State::Closed => Ok(()),
        };
        if let Err(e) = done {
            tracing::info!("dnstap could not take leave of {}: {e}", self.path().display());
        }
    }
}
