//! The thread behind dnstap: takes what the threads that answer have left, and writes it.

use crate::exchange::{Exchange, Snapshot};
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
                self.sinks.iter_mut().for_each(Sink::close_if_renamed);
            }
            self.sinks.iter_mut().for_each(Sink::open_when_due);
            self.note_connection();
            let n: usize = takers.iter().map(|taker| taker.take(TURN, |event| self.write(event))).sum();
            if n > 0 {
                continue;
            }
            self.sinks.iter_mut().for_each(Sink::flush);
            if stopping {
                break;
            }
            std::thread::park_timeout(BEAT);
        }
        self.sinks.iter_mut().for_each(Sink::close);
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
            for sink in &mut self.sinks {
                let counter = if sink.write(frame) { &self.counts.written } else { &self.counts.unwritten };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn note_connection(&self) {
        let is = self.sinks.iter().any(|sink| matches!(sink.state, State::Socket(_)));
        self.counts.connected.store(is, Ordering::Relaxed);
    }
}

//----------- Sink -----------------------------------------------------------

/// Where frames go.
struct Sink {
    target: Target,
    state: State,
}

enum Target {
    Socket(PathBuf),
    File(PathBuf),
}

enum State {
    Socket(BufWriter<UnixStream>),
    File(BufWriter<File>),
    /// Nobody is there: when to try again, and how long to wait after that.
    Closed {
        again: Instant,
        pause: Duration,
    },
}

impl Sink {
    fn new(target: Target) -> Sink {
        Sink { target, state: State::Closed { again: Instant::now(), pause: PAUSES.0 } }
    }

    fn path(&self) -> &Path {
        match &self.target {
            Target::Socket(path) | Target::File(path) => path,
        }
    }

    fn open_when_due(&mut self) {
        let State::Closed { again, pause } = self.state else { return };
        if again > Instant::now() {
            return;
        }
        match self.open() {
            Ok(state) => {
                tracing::info!("dnstap writes to {}", self.path().display());
                self.state = state;
            }
            Err(e) => {
                // Once for each time that it went away: the metric counts on.
                if pause == PAUSES.0 {
                    tracing::warn!("dnstap cannot write to {}: {e}; trying again now and then", self.path().display());
                }
                self.state = State::Closed { again: Instant::now() + pause, pause: (pause * 2).min(PAUSES.1) };
            }
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
                Ok(State::Socket(BufWriter::new(stream)))
            }
            Target::File(path) => {
                if path.exists() {
                    let mut old = path.clone().into_os_string();
                    old.push(".old");
                    std::fs::rename(path, old)?;
                }
                let mut file = BufWriter::new(File::create(path)?);
                file.write_all(&frames::control(Control::Start))?;
                Ok(State::File(file))
            }
        }
    }

    /// Writes a frame; `false` if it could not be.
    fn write(&mut self, frame: &[u8]) -> bool {
        let written = match &mut self.state {
            State::Socket(stream) => stream.write_all(frame),
            State::File(file) => file.write_all(frame),
            State::Closed { .. } => return false,
        };
        self.check(written)
    }

    fn flush(&mut self) {
        let flushed = match &mut self.state {
            State::Socket(stream) => stream.flush(),
            State::File(file) => file.flush(),
            State::Closed { .. } => return,
        };
        self.check(flushed);
    }

    /// A sink that fails is closed, to be opened anew: what was written by halves cannot be gone on from.
    fn check(&mut self, done: io::Result<()>) -> bool {
        if let Err(e) = &done {
            tracing::warn!("dnstap lost {}: {e}", self.path().display());
            let closed = State::Closed { again: Instant::now() + PAUSES.0, pause: PAUSES.0 };
            match std::mem::replace(&mut self.state, closed) {
                // Without the flush that dropping a BufWriter does: it would wait for the same once more.
                State::Socket(stream) => drop(stream.into_parts()),
                State::File(file) => drop(file.into_parts()),
                State::Closed { .. } => {}
            }
        }
        done.is_ok()
    }

    /// Ends a file that does not stand under its name any more; the next beat begins a new one.
    fn close_if_renamed(&mut self) {
        let State::File(file) = &self.state else { return };
        let identity = |m: Metadata| (m.dev(), m.ino());
        let (ours, there) = (file.get_ref().metadata(), fs::metadata(self.path()));
        if ours.ok().map(identity) != there.ok().map(identity) {
            self.close();
            self.state = State::Closed { again: Instant::now(), pause: PAUSES.0 };
        }
    }

    /// Says that it is over, and hears a collector say so, too.
    fn close(&mut self) {
        let stop = frames::control(Control::Stop);
        let done = match &mut self.state {
            State::Socket(stream) => stream
                .write_all(&stop)
                .and_then(|()| stream.flush())
                .and_then(|()| frames::expect(stream.get_mut(), Control::Finish)),
            State::File(file) => file.write_all(&stop).and_then(|()| file.flush()),
            State::Closed { .. } => Ok(()),
        };
        if let Err(e) = done {
            tracing::info!("dnstap could not take leave of {}: {e}", self.path().display());
        }
    }
}
