//! One AF_XDP socket: what the kernel gives a queue of an interface, in safe hands.
//!
//! A [`Queue`] has the socket, its memory and its four rings. Buffers go round: *fill* → kernel → *received* → us → *fill*
//! for frames that come in, *to send* → kernel → *completion* → *spare* → us → *to send* for those that go out. Each
//! circle has its own buffers, as many as its rings hold, so that no ring overflows.

use crate::transport::xdp::ring::{Consumer, Entry, Layout, Producer};
use crate::transport::xdp::umem::{BUFFER, Frame, Mapping, Umem};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;

/// Entries of each ring. Our choice: what comes in within some milliseconds of full load, in 8 MiB a queue with both circles.
pub const RING: u32 = 2048;
/// Octets of memory that the kernel locks for one queue (RLIMIT_MEMLOCK).
pub const LOCKED: u64 = 2 * RING as u64 * BUFFER as u64;

/// Frames that the kernel may send in one call where it copies them: what we hand it at once. Linux 6.17 and newer can be told
/// (`XDP_MAX_TX_SKB_BUDGET` of linux/if_xdp.h), others send 32.
const SEND_BUDGET: libc::c_int = 9;
/// Calls that may be needed to send what was handed over; what is left then waits for the next turn.
const SEND_CALLS: usize = 8;
/// Octets that may wait in the kernel to be sent where it copies frames, as with UDP sockets.
const SEND_BUFFER: libc::c_int = 4 << 20;

/// What the kernel counts for a socket; see [`Socket::statistics`].
pub type Statistics = libc::xdp_statistics;

//----------- Socket ---------------------------------------------------------

/// The descriptor. Others than its thread may look at it.
#[derive(Debug)]
pub struct Socket(OwnedFd);

impl Socket {
    fn new() -> io::Result<Socket> {
        // SAFETY: takes plain numbers.
        let socket = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
        if socket < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: just opened, and nobody else knows of it.
        Ok(Socket(unsafe { OwnedFd::from_raw_fd(socket) }))
    }

    fn set<T>(&self, level: libc::c_int, option: libc::c_int, value: &T) -> io::Result<()> {
        let len = size_of::<T>() as libc::socklen_t;
        // SAFETY: pointer and length describe `value`, which the kernel only reads.
        let status =
            unsafe { libc::setsockopt(self.0.as_raw_fd(), level, option, std::ptr::from_ref(value).cast(), len) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Reads an option.
    ///
    /// # Safety
    /// Any bits must be a valid `T`, all zeroes for what an older kernel leaves out.
    unsafe fn get<T>(&self, option: libc::c_int) -> io::Result<T> {
        let (mut value, mut len) = (MaybeUninit::<T>::zeroed(), size_of::<T>() as libc::socklen_t);
        // SAFETY: pointers to a live value and its length; the kernel writes no more than that.
        let status = unsafe {
            libc::getsockopt(self.0.as_raw_fd(), libc::SOL_XDP, option, value.as_mut_ptr().cast(), &raw mut len)
        };
        // SAFETY: zeroed or written by the kernel, which is valid by the caller's promise.
        if status == 0 { Ok(unsafe { value.assume_init() }) } else { Err(io::Error::last_os_error()) }
    }

    /// What the kernel has counted since the socket was opened.
    ///
    /// # Errors
    /// Whatever getsockopt(2) says.
    pub fn statistics(&self) -> io::Result<Statistics> {
        // SAFETY: a structure of numbers.
        unsafe { self.get(libc::XDP_STATISTICS) }
    }

    /// Whether the driver reads and writes our memory itself.
    ///
    /// # Errors
    /// Whatever getsockopt(2) says.
    pub fn is_zero_copy(&self) -> io::Result<bool> {
        // SAFETY: a structure of one number.
        let options: libc::xdp_options = unsafe { self.get(libc::XDP_OPTIONS) }?;
        Ok(options.flags & libc::XDP_OPTIONS_ZEROCOPY != 0)
    }

    /// Waits until a frame is there, at most `millis` milliseconds (-1: for as long as it takes).
    ///
    /// # Errors
    /// Whatever poll(2) says; what has happened to the interface.
    pub fn wait(&self, millis: libc::c_int) -> io::Result<bool> {
        let mut about = libc::pollfd { fd: self.0.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one live pollfd.
        match unsafe { libc::poll(&raw mut about, 1, millis) } {
            ..0 => Err(io::Error::last_os_error()),
            0 => Ok(false),
            _ if about.revents & libc::POLLIN != 0 => Ok(true),
            _ => Err(io::Error::other("the interface is gone")),
        }
    }

    fn bind(&self, interface: u32, queue: u32, flags: u16) -> io::Result<()> {
        let addr = libc::sockaddr_xdp {
            sxdp_family: libc::AF_XDP as u16,
            sxdp_flags: flags | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: interface,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let len = size_of_val(&addr) as libc::socklen_t;
        // SAFETY: pointer and length describe `addr`, which the kernel only reads.
        let status = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const addr).cast(), len) };
        if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Has the kernel take what waits to be sent.
    fn send(&self) -> io::Result<()> {
        // SAFETY: an empty message to nobody.
        let n =
            unsafe { libc::sendto(self.0.as_raw_fd(), std::ptr::null(), 0, libc::MSG_DONTWAIT, std::ptr::null(), 0) };
        if n >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    fn ring<E: Entry>(&self, layout: &Layout, at: u64) -> io::Result<Mapping> {
        Mapping::of(self.0.as_fd(), at, layout.desc as usize + RING as usize * size_of::<E>())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

//----------- Queue ----------------------------------------------------------

/// A socket that is bound to one queue of an interface, with its memory and rings.
#[derive(Debug)]
pub struct Queue {
    /// The queue's number.
    pub number: u32,
    socket: Arc<Socket>,
    umem: Umem,
    fill: Producer<u64>,
    received: Consumer<libc::xdp_desc>,
    to_send: Producer<libc::xdp_desc>,
    completion: Consumer<u64>,
    /// Buffers for frames to send.
    spare: Vec<Frame>,
    /// Where replies go when the kernel has all of these: composed and counted all the same, but not sent.
    nowhere: Box<[u8; BUFFER]>,
}

/// What [`Queue::take`] did, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Taken out of the ring.
    pub n_received: usize,
    /// Put into the ring of those to send.
    pub n_sent: usize,
    /// To be sent, but there was no buffer.
    pub n_unsent: usize,
}

impl Queue {
    /// Opens a socket for queue `number` of the interface of index `interface`. `may_copy_only`: whether the kernel is to copy
    /// frames even where the driver could read and write our memory.
    ///
    /// # Errors
    /// The step that was refused, and what the system said.
    pub fn open(interface: u32, number: u32, may_copy_only: bool) -> Result<Queue, (&'static str, io::Error)> {
        let at = |step: &'static str| move |e: io::Error| (step, e);
        let socket = Socket::new().map_err(at("opening an AF_XDP socket"))?;
        let (mut umem, mut frames) = Umem::new(2 * RING).map_err(at("memory for frames"))?;
        // SAFETY: a plain structure of numbers. Fields that are newer than the kernel must be zero.
        let mut area: libc::xdp_umem_reg = unsafe { std::mem::zeroed() };
        area.addr = umem.memory().start().as_ptr().expose_provenance() as u64;
        area.len = umem.memory().n_octets() as u64;
        area.chunk_size = BUFFER as u32;
        socket.set(libc::SOL_XDP, libc::XDP_UMEM_REG, &area).map_err(at("locking memory for frames"))?;
        let rings = [libc::XDP_UMEM_FILL_RING, libc::XDP_UMEM_COMPLETION_RING, libc::XDP_RX_RING, libc::XDP_TX_RING];
        for ring in rings {
            socket.set(libc::SOL_XDP, ring, &RING).map_err(at("making a ring"))?;
        }
        let made = at("mapping a ring");
        // SAFETY: a structure of numbers.
        let layout: libc::xdp_mmap_offsets = unsafe { socket.get(libc::XDP_MMAP_OFFSETS) }.map_err(made)?;
        let map = |ring: io::Result<Mapping>| ring.map_err(made);
        let unfit = || made(io::Error::other("it does not lie as the kernel says"));
        let memory = map(socket.ring::<u64>(&layout.fr, libc::XDP_UMEM_PGOFF_FILL_RING))?;
        let mut fill = Producer::new(memory, &layout.fr, RING).ok_or_else(unfit)?;
        let memory = map(socket.ring::<u64>(&layout.cr, libc::XDP_UMEM_PGOFF_COMPLETION_RING))?;
        let completion = Consumer::new(memory, &layout.cr, RING).ok_or_else(unfit)?;
        let memory = map(socket.ring::<libc::xdp_desc>(&layout.rx, libc::XDP_PGOFF_RX_RING as u64))?;
        let received = Consumer::new(memory, &layout.rx, RING).ok_or_else(unfit)?;
        let memory = map(socket.ring::<libc::xdp_desc>(&layout.tx, libc::XDP_PGOFF_TX_RING as u64))?;
        let to_send = Producer::new(memory, &layout.tx, RING).ok_or_else(unfit)?;

        let spare = frames.split_off(RING as usize);
        for frame in frames {
            fill.push(umem.lend(frame));
        }
        fill.publish();
        let flags = if may_copy_only { libc::XDP_COPY } else { 0 };
        socket.bind(interface, number, flags).map_err(at("binding to a queue"))?;
        // Neither is needed, only good to have.
        let _ = socket.set(libc::SOL_XDP, SEND_BUDGET, &RING);
        let _ = socket
            .set(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &SEND_BUFFER)
            .or_else(|_| socket.set(libc::SOL_SOCKET, libc::SO_SNDBUF, &SEND_BUFFER));
        Ok(Queue {
            number,
            socket: Arc::new(socket),
            umem,
            fill,
            received,
            to_send,
            completion,
            spare,
            nowhere: Box::new([0; BUFFER]),
        })
    }

    /// The socket, for those who watch.
    pub fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    /// Waits for a frame where none is there; see [`Socket::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&mut self) -> io::Result<bool> {
        if self.received.has_some() {
            return Ok(true);
        }
        // Frames that the kernel could not send at once are its to send when it can, but it must be asked.
        let millis = if self.to_send.n_waiting() > 0 { 1 } else { -1 };
        self.socket.wait(millis)
    }

    /// Hands up to `most` frames to `reply`, each with a buffer of [`BUFFER`] octets for the frame to send in return, whose
    /// length `reply` returns (0: none).
    pub fn take(&mut self, most: usize, mut reply: impl FnMut(&[u8], &mut [u8]) -> usize) -> Taken {
        while let Some(address) = self.completion.pop() {
            self.spare.extend(self.umem.regain(address).map(|(frame, _)| frame));
        }
        self.completion.release();
        let mut taken = Taken::default();
        while taken.n_received < most {
            let Some(descriptor) = self.received.pop() else { break };
            taken.n_received += 1;
            let Some((frame, at)) = self.umem.regain(descriptor.addr) else { continue };
            let octets = self.umem.octets(&frame).get(at..).unwrap_or(&[]);
            let octets = &octets[..octets.len().min(descriptor.len as usize)];
            match self.spare.pop() {
                None => taken.n_unsent += usize::from(reply(octets, &mut self.nowhere[..]) > 0),
                Some(mut out) => match reply(octets, self.umem.octets_mut(&mut out)) {
                    0 => self.spare.push(out),
                    len => {
                        let addr = self.umem.lend(out);
                        self.to_send.push(libc::xdp_desc { addr, len: len as u32, options: 0 });
                        taken.n_sent += 1;
                    }
                },
            }
            self.fill.push(self.umem.lend(frame));
        }
        self.received.release();
        self.fill.publish();
        self.to_send.publish();
        taken
    }

    /// Has the kernel send what there is to send. What it cannot take now waits for the next call.
    ///
    /// # Errors
    /// Whatever sendto(2) says that trying again will not change soon: an interface that is down.
    pub fn send(&mut self) -> io::Result<()> {
        for _ in 0..SEND_CALLS {
            if !self.to_send.wants_wakeup() || self.to_send.n_waiting() == 0 {
                return Ok(());
            }
            match self.socket.send() {
                Ok(()) => {}
                Err(e) if is_passing(&e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// Whether there is more to send (EAGAIN), a frame was sent into a full queue (EBUSY), there is no memory just now
/// (ENOBUFS), or a signal came.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR))
}
