//! One server takes over from another without losing a query: it gets the very sockets, queues and all.
//!
//! The running server listens on a Unix socket in its state folder (mode 0600, and the kernel's word for the user at the
//! other end). A conversation, version 1, in lines of text:
//!
//! ```text
//!   new: floodway takeover 1
//!   old: {"version":1,"sockets":9,"takeovers":0,"dns":["192.0.2.1:53"],"tls":["192.0.2.1:853"],"https":[],"http":[],
//!         "quic":[],"grpc":"127.0.0.1:5301","admin":"127.0.0.1:5302"}      in one line
//!        and the descriptors (SCM_RIGHTS); or {"error":"…"}
//!   new: serving         everything is loaded; it answers from these sockets already
//!   old: released        it takes no more queries, and has saved its last plan
//! ```
//!
//! Until `serving` the old one goes on as if nobody had asked, and it goes on for good if the conversation ends before. For
//! a moment both answer from the same queues, which is harmless; at no time does nobody. After `released` the state
//! folder is the new one's; the old one finishes its connections and ends.

use crate::cli::config::Listen;
use crate::cli::serve::ready::Ready;
use crate::transport::passing;
use serde::{Deserialize, Serialize};
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;

/// The socket's name in the state folder.
const NAME: &str = "takeover.sock";
/// What a new server says first.
const HELLO: &str = "floodway takeover 1";
/// What it says when it answers queries.
const SERVING: &str = "serving";
/// What the old one says when it does not any more.
const RELEASED: &str = "released";
/// Longest line.
const MAX_LINE: usize = 64 << 10;
/// Longest wait for words that need no work.
const WORD: Duration = Duration::from_secs(10);
/// Longest wait for the new one to load its zones. Our choice: a thousand times what a million names take.
const LOADING: Duration = Duration::from_secs(3600);

/// What is handed over, in words. Addresses stand in the order of the configuration; what a predecessor does not name, it
/// did not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Estate {
    version: u32,
    /// Descriptors that follow.
    sockets: usize,
    /// How often the service has been taken over since it was started.
    #[serde(default)]
    pub(super) takeovers: u64,
    pub(super) dns: Vec<SocketAddr>,
    #[serde(default)]
    tls: Vec<SocketAddr>,
    #[serde(default)]
    https: Vec<SocketAddr>,
    #[serde(default)]
    http: Vec<SocketAddr>,
    #[serde(default)]
    quic: Vec<SocketAddr>,
    grpc: SocketAddr,
    admin: SocketAddr,
}

impl Estate {
    /// What a server has that answers where `ready` says.
    pub(super) fn new(ready: &Ready, takeovers: u64) -> Estate {
        let Ready { dns, tls, https, http, quic, grpc, admin, .. } = ready.clone();
        Estate { version: 1, sockets: 0, takeovers, dns, tls, https, http, quic, grpc, admin }
    }

    /// Whether queries come to this address: all do but those of gRPC and the admin listener.
    pub(super) fn is_asked_at(&self, addr: SocketAddr) -> bool {
        addr != self.grpc && addr != self.admin
    }

    /// Puts the ports that the predecessor was given where the configuration asks for any.
    pub(super) fn fill(&self, listen: &mut Listen) {
        let fill = |wanted: &mut SocketAddr, had: Option<&SocketAddr>| {
            if let Some(had) = had.filter(|had| wanted.port() == 0 && had.ip() == wanted.ip()) {
                *wanted = *had;
            }
        };
        let lists = [
            (&mut listen.dns, &self.dns),
            (&mut listen.tls, &self.tls),
            (&mut listen.https, &self.https),
            (&mut listen.http, &self.http),
            (&mut listen.quic, &self.quic),
        ];
        for (wanted, had) in lists {
            wanted.iter_mut().enumerate().for_each(|(i, wanted)| fill(wanted, had.get(i)));
        }
        fill(&mut listen.grpc, Some(&self.grpc));
        fill(&mut listen.admin, Some(&self.admin));
    }
}

#[derive(Serialize, Deserialize)]
struct Refusal {
    error: String,
}

//----------- The new one ----------------------------------------------------

/// The server that still runs, as its successor sees it.
pub(super) struct Predecessor {
    stream: UnixStream,
    pub(super) estate: Estate,
}

impl Predecessor {
    /// Asks the server whose state folder this is for its sockets.
    ///
    /// # Errors
    /// A text for people: nobody there, not allowed, another version.
    pub(super) fn ask(dir: &Path) -> Result<(Predecessor, Vec<OwnedFd>), String> {
        let path = dir.join(NAME);
        let mut stream = UnixStream::connect(&path).map_err(|e| {
            format!("nobody to take over from at {} ({e}); `floodway serve` without --takeover starts", path.display())
        })?;
        let failed =
            |e: io::Error| format!("the takeover at {} failed: {e}; the running server goes on", path.display());
        let (who, me) = (passing::neighbour(&stream).map_err(failed)?, nix::unistd::geteuid());
        if who.uid != me.as_raw() && !me.is_root() {
            return Err(format!("{} is held by user {}, not by ours, {me}: not trusted", path.display(), who.uid));
        }
        stream.set_read_timeout(Some(WORD)).map_err(failed)?;
        say(&mut stream, HELLO).map_err(failed)?;
        let line = read_line(&mut stream).map_err(failed)?;
        if let Ok(Refusal { error }) = serde_json::from_str(&line) {
            return Err(format!("the running server does not hand over: {error}"));
        }
        let estate: Estate = serde_json::from_str(&line).map_err(|e| failed(e.into()))?;
        let sockets = passing::receive(&stream, estate.sockets).map_err(failed)?;
        tracing::info!("taking over {} sockets from process {}", sockets.len(), who.pid);
        Ok((Predecessor { stream, estate }, sockets))
    }

    /// Tells it that its successor answers, and waits until it has let go. Its death is as good as its word.
    pub(super) fn relieve(mut self) {
        let told = self.stream.set_read_timeout(Some(WORD)).and_then(|()| say(&mut self.stream, SERVING));
        match told.and_then(|()| read_line(&mut self.stream)) {
            Ok(word) if word == RELEASED => tracing::info!("the server before has let go"),
            Ok(word) => tracing::warn!("the server before says {word:?}; both may answer until it ends"),
            Err(e) => tracing::warn!("the server before says nothing ({e}); both may answer until it ends"),
        }
    }
}

//----------- The old one ----------------------------------------------------

/// A successor that answers queries and waits for its predecessor to let go.
#[derive(Debug)]
pub(super) struct Successor {
    stream: UnixStream,
    /// Its process.
    pub(super) pid: i32,
}

impl Successor {
    /// Tells it that this process takes no more queries and writes no more files.
    pub(super) fn release(mut self) {
        if let Err(e) = say(&mut self.stream, RELEASED) {
            tracing::warn!("the server that takes over has gone: {e}");
        }
    }
}

/// Waits for successors, on a thread of its own.
#[derive(Debug)]
pub(super) struct Heirloom {
    path: PathBuf,
    /// Copies of the sockets; none once the server stops, so that they close when their threads close them.
    sockets: Arc<Mutex<Vec<OwnedFd>>>,
    successors: mpsc::Receiver<Successor>,
}

impl Heirloom {
    /// Opens the socket in the state folder, which is made if need be. `has_let_go`: whose socket is there now has
    /// let go.
    ///
    /// # Errors
    /// What the system says; `AddrInUse` if a server is there that has not let go.
    pub(super) fn keep(dir: &Path, has_let_go: bool, sockets: Vec<OwnedFd>, estate: Estate) -> io::Result<Heirloom> {
        fs::create_dir_all(dir)?;
        let (path, beside) = (dir.join(NAME), dir.join(format!("{NAME}.{}", std::process::id())));
        if !has_let_go && UnixStream::connect(&path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        // Bound under another name, so that it is never there with other rights, nor away for a moment.
        let _ = fs::remove_file(&beside);
        let listener = UnixListener::bind(&beside)?;
        fs::set_permissions(&beside, Permissions::from_mode(0o600))?;
        fs::rename(&beside, &path)?;
        let (sender, successors) = mpsc::channel(1);
        let sockets = Arc::new(Mutex::new(sockets));
        let shared = sockets.clone();
        std::thread::Builder::new()
            .name("takeover".into())
            .spawn(move || wait(&listener, &shared, &estate, &sender))?;
        Ok(Heirloom { path, sockets, successors })
    }

    /// Waits until a successor serves.
    pub(super) async fn claimed(&mut self) -> Successor {
        match self.successors.recv().await {
            Some(successor) => successor,
            None => std::future::pending().await,
        }
    }

    /// Hands nothing over any more. `is_left`: to a successor, whose the path is now.
    pub(super) fn end(mut self, is_left: bool) {
        self.successors.close();
        locked(&self.sockets).clear();
        if !is_left {
            // Wakes the thread, which sees that nobody waits for successors any more.
            let _ = UnixStream::connect(&self.path);
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn locked(sockets: &Mutex<Vec<OwnedFd>>) -> MutexGuard<'_, Vec<OwnedFd>> {
    sockets.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands copies of the sockets to whoever asks, one after the other, until one of them serves.
fn wait(listener: &UnixListener, sockets: &Mutex<Vec<OwnedFd>>, estate: &Estate, successors: &mpsc::Sender<Successor>) {
    for stream in listener.incoming() {
        let successor = stream.and_then(|stream| converse(stream, sockets, estate));
        if successors.is_closed() {
            return;
        }
        match successor {
            Ok(Some(successor)) => {
                // Sent to a server that is stopping, it learns from the end of the stream that nobody is there.
                let _ = successors.blocking_send(successor);
                return;
            }
            Ok(None) => tracing::info!("a takeover was given up; this server goes on"),
            Err(e) => tracing::warn!("a takeover failed: {e}; this server goes on"),
        }
    }
}

/// One conversation; `None` if the other side ends it before it serves.
fn converse(mut stream: UnixStream, sockets: &Mutex<Vec<OwnedFd>>, estate: &Estate) -> io::Result<Option<Successor>> {
    let (who, me) = (passing::neighbour(&stream)?, nix::unistd::geteuid().as_raw());
    stream.set_read_timeout(Some(WORD))?;
    stream.set_write_timeout(Some(WORD))?;
    if who.uid != me && who.uid != 0 {
        return refuse(&mut stream, format!("user {} may not take over from user {me}", who.uid));
    }
    match read_line(&mut stream) {
        Ok(hello) if hello == HELLO => {}
        Ok(hello) => return refuse(&mut stream, format!("{hello:?} is not {HELLO:?}: the versions do not fit")),
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(e) => return Err(e),
    }
    tracing::info!("process {} takes over; this server goes on until it serves", who.pid);
    {
        let sockets = locked(sockets);
        say(&mut stream, &serde_json::to_string(&Estate { sockets: sockets.len(), ..estate.clone() })?)?;
        passing::send(&stream, &sockets.iter().map(AsFd::as_fd).collect::<Vec<_>>())?;
    }
    stream.set_read_timeout(Some(LOADING))?;
    match read_line(&mut stream) {
        Ok(word) if word == SERVING => Ok(Some(Successor { stream, pid: who.pid })),
        _ => Ok(None),
    }
}

fn refuse(stream: &mut UnixStream, error: String) -> io::Result<Option<Successor>> {
    say(stream, &serde_json::to_string(&Refusal { error: error.clone() })?)?;
    Err(io::Error::new(io::ErrorKind::PermissionDenied, error))
}

//----------- Lines ----------------------------------------------------------

fn say(stream: &mut UnixStream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}

/// Reads a line, octet by octet: what follows it may be descriptors, which a larger read would lose.
fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let (mut line, mut octet) = (Vec::new(), [0]);
    loop {
        match stream.read(&mut octet)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if octet[0] == b'\n' => return String::from_utf8(line).map_err(|_| io::ErrorKind::InvalidData.into()),
            _ if line.len() >= MAX_LINE => return Err(io::ErrorKind::InvalidData.into()),
            _ => line.push(octet[0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    fn estate() -> Estate {
        let addr = |text: &str| text.parse().unwrap();
        Estate {
            version: 1,
            sockets: 0,
            takeovers: 0,
            dns: vec![addr("127.0.0.1:5300")],
            tls: vec![addr("127.0.0.1:5853")],
            https: Vec::new(),
            http: Vec::new(),
            quic: vec![addr("[::1]:5853")],
            grpc: addr("127.0.0.1:5301"),
            admin: addr("127.0.0.1:5302"),
        }
    }

    /// The whole conversation; and what is sent is the socket itself: a query that waits in it is not lost.
    #[test]
    fn a_successor_gets_sockets_with_what_waits_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let (socket, client) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        client.send_to(b"before", socket.local_addr().unwrap()).unwrap();
        let mut old = Heirloom::keep(dir.path(), false, vec![socket.into()], estate()).unwrap();
        let mode = fs::metadata(dir.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);

        // One that asks and fails to load changes nothing.
        drop(Predecessor::ask(dir.path()).unwrap());
        let (new, mut sockets) = Predecessor::ask(dir.path()).unwrap();
        assert_eq!((&new.estate.dns, sockets.len()), (&estate().dns, 1));
        let letting_go = std::thread::spawn(move || {
            let successor = old.successors.blocking_recv().unwrap();
            assert_eq!(successor.pid, std::process::id() as i32);
            successor.release();
            old.end(true);
        });
        new.relieve();
        letting_go.join().unwrap();
        let mut buffer = [0; 99];
        let n = UdpSocket::from(sockets.remove(0)).recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"before");
        assert!(dir.path().join(NAME).exists(), "the path is the successor's");
    }

    #[test]
    fn two_servers_do_not_share_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        let first = Heirloom::keep(dir.path(), false, Vec::new(), estate()).unwrap();
        let second = Heirloom::keep(dir.path(), false, Vec::new(), estate()).unwrap_err();
        assert_eq!(second.kind(), io::ErrorKind::AddrInUse);
        first.end(false);
        assert!(Predecessor::ask(dir.path()).is_err_and(|e| e.starts_with("nobody to take over from")));
        // What a killed process leaves behind is in nobody's way.
        drop(UnixListener::bind(dir.path().join(NAME)).unwrap());
        Heirloom::keep(dir.path(), false, Vec::new(), estate()).unwrap().end(false);
    }

    #[test]
    fn other_versions_and_nonsense_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let heirloom = Heirloom::keep(dir.path(), false, Vec::new(), estate()).unwrap();
        for hello in ["floodway takeover 2\n", "GET / HTTP/1.1\n"] {
            let mut stream = UnixStream::connect(dir.path().join(NAME)).unwrap();
            stream.write_all(hello.as_bytes()).unwrap();
            assert!(read_line(&mut stream).unwrap().contains("the versions do not fit"));
        }
        heirloom.end(false);
    }

    #[test]
    fn ports_that_were_given_are_kept() {
        let addr = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut listen = Listen { dns: vec![addr("127.0.0.1:0"), addr("127.0.0.2:0")], ..Listen::default() };
        (listen.tls, listen.https, listen.quic) =
            (vec![addr("127.0.0.1:0")], vec![addr("127.0.0.1:0")], vec![addr("[::1]:0")]);
        listen.admin = addr("[::1]:0");
        estate().fill(&mut listen);
        assert_eq!(listen.dns, [addr("127.0.0.1:5300"), addr("127.0.0.2:0")]);
        assert_eq!(listen.admin, addr("[::1]:0"), "another address has another port");
        assert_eq!((listen.tls, listen.quic), (vec![addr("127.0.0.1:5853")], vec![addr("[::1]:5853")]));
        assert_eq!(listen.https, [addr("127.0.0.1:0")], "the one before had none");
    }

    /// A server from before there were encrypted listeners names none.
    #[test]
    fn an_older_estate_is_understood() {
        let line = r#"{"version":1,"sockets":3,"dns":["127.0.0.1:53"],"grpc":"127.0.0.1:1","admin":"127.0.0.1:2"}"#;
        let estate: Estate = serde_json::from_str(line).unwrap();
        assert_eq!((estate.sockets, estate.tls.len(), estate.takeovers), (3, 0, 0));
    }
}
