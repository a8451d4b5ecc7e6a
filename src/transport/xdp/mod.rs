//! Datagrams past the kernel's stack (AF_XDP): off by default, beside the sockets, for one interface.
//!
//! ```text
//!   interface     its number, MTU and queues; the addresses of this machine
//!   program       which frames are ours: runs in the kernel, for each frame
//!   bpf           loads the program and puts it at the interface, until the process ends
//!   socket        one AF_XDP socket per queue: umem (buffers) and ring (queues in shared memory)
//!   frame         from frame to datagram, from reply to frame
//!   worker        a thread per queue: frames in, the handler of all, frames out
//! ```
//!
//! What the program leaves alone goes the kernel's way, and our sockets are always there: for TCP, fragments and loopback, for
//! queues that are not served, and for everything where any step here is refused. Then one line in the log says which.
//!
//! A reply leaves by the interface and to the station that the query came from, without asking routes, neighbours or
//! firewall. Nothing needs privileges once it is open. All `unsafe` is in `bpf`, `interface`, `ring`, `socket` and `umem`.

mod bpf;
pub mod frame;
pub mod interface;
pub mod program;
pub mod ring;
pub mod socket;
pub mod umem;
pub mod worker;

use crate::exchange::Books;
use crate::transport::handler::Handler;
use crate::transport::proxy::Proxies;
use crate::transport::sys;
use interface::Interface;
use serde::Deserialize;
use socket::{LOCKED, Queue, Socket};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;
use worker::{Counts, Watch, Worker};

/// Queues that are served, at most: each has a thread and 8 MiB.
pub const MAX_QUEUES: u32 = 64;
/// Least MTU of an interface: what every host takes over IPv4 (RFC 791 section 3.2).
pub const MIN_MTU: usize = 576;
/// Time between two tries to wake the threads at the end.
const WAKE_AGAIN: Duration = Duration::from_millis(1);

//----------- Config ---------------------------------------------------------

/// `[xdp]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The interface; default none, which turns all of this off.
    pub interface: Option<String>,
    /// Queues to serve, from the first on; 0, the default, for all, 64 at most. What others receive goes to the sockets.
    pub queues: u32,
    /// Who runs the program.
    pub mode: Mode,
}

/// Who runs the program, and whether frames are copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The kernel behind the driver, on any interface; frames are copied.
    #[default]
    Generic,
    /// The driver; frames are copied only where it cannot read and write our memory itself.
    Native,
}

impl Mode {
    fn word(self) -> &'static str {
        match self {
            Mode::Generic => "generic",
            Mode::Native => "native",
        }
    }
}

impl Config {
    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.interface.as_deref() == Some("") {
            return Err("[xdp] interface = \"\": leave it out to turn XDP off".into());
        }
        if self.queues > MAX_QUEUES {
            return Err(format!("[xdp] queues = {}: 0 (all) to {MAX_QUEUES}", self.queues));
        }
        Ok(())
    }
}

//----------- Opened ---------------------------------------------------------

/// Queues that receive already, and are not yet served.
#[derive(Debug)]
pub struct Opened {
    /// Whose queues.
    pub interface: Interface,
    queues: Vec<(Queue, Arc<Counts>)>,
    /// Keeps the program at the interface.
    link: OwnedFd,
}

impl Opened {
    /// Opens what `config` asks for, to serve what comes to the addresses that are `listened` on; `None` if it asks for nothing.
    ///
    /// # Errors
    /// The first step that is refused; everything is as before then.
    pub fn new(config: &Config, listened: &[SocketAddr]) -> Result<Option<Opened>, Refusal> {
        let Some(name) = &config.interface else { return Ok(None) };
        let at = |step: &'static str| move |source: io::Error| Refusal { step, source };
        let interface = Interface::find(name).map_err(at("finding the interface"))?;
        if interface.mtu < MIN_MTU {
            return Err(at("its MTU")(io::Error::other(format!("{} octets, at least {MIN_MTU}", interface.mtu))));
        }
        let addrs = interface::addrs(listened, name).map_err(at("choosing addresses"))?;
        let wanted = if config.queues == 0 { u32::MAX } else { config.queues };
        let n_queues = wanted.min(interface.n_queues).min(MAX_QUEUES);
        let is_native = config.mode == Mode::Native;
        // Tried first: what is most likely refused.
        let map = bpf::socket_map(n_queues).map_err(at("making a map of sockets"))?;
        let program = program::program(&addrs, std::os::fd::AsRawFd::as_raw_fd(&map));
        let program = bpf::load(&program).map_err(at("loading the program"))?;
        let mut queues = Vec::new();
        for number in 0..n_queues {
            let queue = Queue::open(interface.index, number, !is_native);
            let queue = queue.map_err(|(step, source)| Refusal { step, source })?;
            bpf::set_socket(map.as_fd(), number, queue.socket().as_fd()).map_err(at("entering a socket"))?;
            queues.push((queue, Arc::default()));
        }
        let link = bpf::attach(program.as_fd(), interface.index, is_native).map_err(at("attaching the program"))?;
        let copies = queues.iter().any(|(queue, _)| !queue.socket().is_zero_copy().unwrap_or(false));
        tracing::info!(
            "XDP on {name}: {n_queues} of {} queues, {} mode, {}; UDP to {}",
            interface.n_queues,
            config.mode.word(),
            if copies { "frames are copied" } else { "without copies" },
            addrs.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", "),
        );
        Ok(Some(Opened { interface, queues, link }))
    }

    /// The same; where it is refused, says so, and that the sockets answer everything.
    pub fn or_sockets(config: &Config, listened: &[SocketAddr]) -> Option<Opened> {
        Opened::new(config, listened).unwrap_or_else(|refusal| {
            let name = config.interface.as_deref().unwrap_or_default();
            tracing::warn!("XDP on {name} is off, the sockets answer everything: {refusal}");
            None
        })
    }

    /// Queues, and so threads.
    pub fn n_queues(&self) -> usize {
        self.queues.len()
    }

    /// The queues, to be watched while they are served.
    pub fn watches(&self) -> impl Iterator<Item = Watch> {
        self.queues.iter().map(|(queue, counts)| Watch {
            queue: queue.number,
            socket: Arc::downgrade(queue.socket()),
            counts: counts.clone(),
        })
    }

    /// Starts a thread per queue. `make(thread)` gives its handler; threads are numbered from `first` on, as are their pages of
    /// `books`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start<H: Handler + Send + 'static>(
        self,
        make: impl Fn(usize) -> H,
        first: usize,
        books: &Arc<Books>,
        proxies: &Proxies,
    ) -> io::Result<Running> {
        let Opened { interface, queues, link } = self;
        let mut running = Running { link: Some(link), stop: Arc::default(), threads: Vec::new(), sockets: Vec::new() };
        for (thread, (queue, counts)) in (first..).zip(queues) {
            running.sockets.push(Arc::downgrade(queue.socket()));
            let (handler, proxies, mtu) = (make(thread), proxies.clone(), interface.mtu);
            let (books, stop) = (books.clone(), running.stop.clone());
            let run = move || {
                let page = books.page(thread);
                Worker { queue, mtu, handler, proxies, page, counts }.serve(&stop);
            };
            running.threads.push(std::thread::Builder::new().name(format!("xdp-{thread}")).spawn(run)?);
        }
        Ok(running)
    }
}

//----------- Running --------------------------------------------------------

/// Queues that are served; dropping it stops that.
///
/// The program leaves the interface first, so that from then on the sockets get everything, and what it has handed over
/// before is still answered.
#[derive(Debug)]
pub struct Running {
    link: Option<OwnedFd>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    sockets: Vec<Weak<Socket>>,
}

impl Running {
    /// The socket of each thread, in their order, there while it is served.
    pub fn sockets(&self) -> &[Weak<Socket>] {
        &self.sockets
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.link = None;
        self.stop.store(true, Ordering::Release);
        while self.threads.iter().any(|thread| !thread.is_finished()) {
            self.threads.iter().filter(|thread| !thread.is_finished()).for_each(sys::interrupt);
            std::thread::sleep(WAKE_AGAIN);
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that answers queries had ended by a panic");
            }
        }
    }
}

//----------- Refusal --------------------------------------------------------

/// What stands in the way of XDP.
#[derive(Debug)]
pub struct Refusal {
    /// Doing what.
    pub step: &'static str,
    /// What the system said.
    pub source: io::Error,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.step, self.source)?;
        match self.source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => {
                f.write_str("; it takes CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF (or root)")
            }
            Some(libc::ENOBUFS) => {
                write!(f, "; it takes {} MiB of locked memory per queue (LimitMEMLOCK=, ulimit -l)", LOCKED >> 20)
            }
            Some(libc::EBUSY) => f.write_str("; another process has the interface, or the queue"),
            Some(libc::EOPNOTSUPP) => f.write_str("; the driver cannot: try mode = \"generic\""),
            Some(libc::EAFNOSUPPORT) => f.write_str("; the kernel is built without CONFIG_XDP_SOCKETS"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_checked() {
        let check = |text: &str| toml::from_str::<Config>(text).map_err(|e| e.to_string()).and_then(|c| c.check());
        assert_eq!(check(""), Ok(()));
        assert_eq!(check("interface = \"eth0\"\nqueues = 2\nmode = \"native\""), Ok(()));
        assert!(check("interface = \"\"").unwrap_err().contains("leave it out"));
        assert!(check("queues = 65").unwrap_err().contains("0 (all) to 64"));
        assert!(check("mode = \"offload\"").is_err() && check("port = 53").is_err());
    }

    /// Nothing asked for is nothing done; what cannot be had names itself.
    #[test]
    fn refusals_say_what_is_missing() {
        let open = |name: Option<&str>, listened: &str| {
            let config = Config { interface: name.map(String::from), ..Config::default() };
            Opened::new(&config, &[listened.parse().unwrap()]).map(|opened| opened.is_some()).map_err(|r| r.to_string())
        };
        assert_eq!(open(None, "192.0.2.1:53"), Ok(false));
        assert!(open(Some("no-such-one"), "192.0.2.1:53").unwrap_err().starts_with("finding the interface: "));
        assert!(open(Some("lo"), "127.0.0.1:53").unwrap_err().contains("only loopback addresses"));
        let text = |code| Refusal { step: "a step", source: io::Error::from_raw_os_error(code) }.to_string();
        assert!(text(libc::EPERM).ends_with("CAP_BPF (or root)"));
        assert!(text(libc::ENOBUFS).contains("8 MiB of locked memory"));
    }
}
