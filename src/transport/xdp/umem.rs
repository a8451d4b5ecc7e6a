//! Memory that is shared with the kernel: mappings, and the buffers of frames in one of them.
//!
//! An AF_XDP socket reads and writes frames in memory of ours (UMEM), cut into buffers of one size. Either we or the kernel
//! may touch a buffer, never both. Here that is a matter of types: who holds the [`Frame`] may touch its buffer, a
//! frame is had once, and what the kernel gives back was lent to it before.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{NonNull, null_mut};

/// Octets of one buffer: an Ethernet frame and the room the kernel keeps before it. Half a page, the least there is.
pub const BUFFER: usize = 2048;

//----------- Mapping --------------------------------------------------------

/// Pages mapped into this process, until dropped.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a mapping belongs to the process and not to a thread, and this value is its only owner.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Zeroed memory of our own.
    ///
    /// # Errors
    /// Whatever mmap(2) says.
    pub fn anonymous(len: usize) -> io::Result<Mapping> {
        Mapping::new(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }

    /// What the kernel keeps at `offset` of a descriptor.
    ///
    /// # Errors
    /// Whatever mmap(2) says.
    pub fn of(descriptor: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Mapping> {
        Mapping::new(len, libc::MAP_SHARED, descriptor.as_raw_fd(), offset)
    }

    fn new(len: usize, flags: libc::c_int, descriptor: libc::c_int, offset: u64) -> io::Result<Mapping> {
        let (rights, flags) = (libc::PROT_READ | libc::PROT_WRITE, flags | libc::MAP_POPULATE);
        let offset = libc::off_t::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: without MAP_FIXED the kernel picks pages that nobody uses, so no memory of ours changes.
        let start = unsafe { libc::mmap(null_mut(), len, rights, flags, descriptor, offset) };
        match NonNull::new(start.cast::<u8>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Ok(Mapping { start, len }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The place of `n` values from `offset` on, valid for as long as the mapping. `None` if they are not inside, or not
    /// aligned.
    pub fn at<T>(&self, offset: usize, n: usize) -> Option<NonNull<T>> {
        let end = size_of::<T>().checked_mul(n)?.checked_add(offset)?;
        // SAFETY: `offset <= end`, and `end` is inside the mapping.
        let place = (end <= self.len).then(|| unsafe { self.start.add(offset) }.cast::<T>())?;
        place.is_aligned().then_some(place)
    }

    /// Octets.
    pub fn n_octets(&self) -> usize {
        self.len
    }

    /// The first octet.
    pub fn start(&self) -> NonNull<u8> {
        self.start
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: these pages were mapped in `new`, are unmapped here only, and pointers into them live no longer than
        // the value. The kernel holds pages that a socket still uses by itself.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

//----------- Umem -----------------------------------------------------------

/// The right to touch one buffer.
#[derive(Debug)]
pub struct Frame(u32);

/// The buffers of one socket.
#[derive(Debug)]
pub struct Umem {
    memory: Mapping,
    /// Of each buffer: whether the kernel has it.
    is_lent: Vec<bool>,
}

impl Umem {
    /// Gets memory for `n` buffers; all are ours at first.
    ///
    /// # Errors
    /// Whatever mmap(2) says.
    pub fn new(n: u32) -> io::Result<(Umem, Vec<Frame>)> {
        let memory = Mapping::anonymous(n as usize * BUFFER)?;
        Ok((Umem { memory, is_lent: vec![false; n as usize] }, (0..n).map(Frame).collect()))
    }

    /// The memory as a whole, to be registered.
    pub fn memory(&self) -> &Mapping {
        &self.memory
    }

    /// Gives the buffer to the kernel, which knows it by the address returned.
    pub fn lend(&mut self, frame: Frame) -> u64 {
        self.is_lent[frame.0 as usize] = true;
        u64::from(frame.0) * BUFFER as u64
    }

    /// Takes back the buffer that holds `address`, which the kernel returned, with the place of `address` in it. `None`
    /// if the kernel had no such buffer.
    pub fn regain(&mut self, address: u64) -> Option<(Frame, usize)> {
        let (nth, at) = (address / BUFFER as u64, (address % BUFFER as u64) as usize);
        let nth = usize::try_from(nth).ok()?;
        let was_lent = std::mem::take(self.is_lent.get_mut(nth)?);
        was_lent.then_some((Frame(nth as u32), at))
    }

    /// The octets of a buffer.
    #[inline]
    pub fn octets<'a>(&'a self, frame: &'a Frame) -> &'a [u8; BUFFER] {
        // SAFETY: as in `octets_mut`; the frame cannot be written through or lent while it is borrowed.
        unsafe { self.place(frame).as_ref() }
    }

    /// The octets of a buffer, to be written.
    #[inline]
    pub fn octets_mut<'a>(&'a self, frame: &'a mut Frame) -> &'a mut [u8; BUFFER] {
        // SAFETY: the buffer is inside the mapping (see `place`) and any octets are valid. There is one `Frame` of each
        // buffer at most: `new` makes one, it can be neither copied nor made outside this file, `lend` takes it away and
        // `regain` makes it again only then. It is borrowed here for as long as the reference lives. The kernel does not
        // touch a buffer that it has not, or no more, been lent.
        unsafe { self.place(frame).as_mut() }
    }

    fn place(&self, frame: &Frame) -> NonNull<[u8; BUFFER]> {
        let memory = &self.memory;
        assert!((frame.0 as usize + 1) * BUFFER <= memory.len, "a frame is of the memory that made it");
        // SAFETY: just asserted.
        unsafe { memory.start.add(frame.0 as usize * BUFFER) }.cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_the_kernels_or_ours() {
        let (mut umem, mut frames) = Umem::new(3).unwrap();
        assert_eq!(umem.memory().n_octets(), 3 * BUFFER);
        umem.octets_mut(&mut frames[1])[7] = 42;
        assert_eq!(umem.octets(&frames[1])[7], 42);
        assert!(umem.octets(&frames[0]).iter().chain(umem.octets(&frames[2])).all(|o| *o == 0));
        let last = umem.lend(frames.pop().unwrap());
        assert_eq!(last, 2 * BUFFER as u64);
        assert!(umem.regain(1).is_none(), "the kernel returns what it never had");
        assert!(umem.regain(3 * BUFFER as u64).is_none() && umem.regain(u64::MAX).is_none());
        let (frame, at) = umem.regain(last + 256).unwrap();
        assert_eq!((frame.0, at), (2, 256));
        assert!(umem.regain(last).is_none(), "and what it has returned already");
    }

    #[test]
    fn places_are_inside_and_aligned() {
        let memory = Mapping::anonymous(4096).unwrap();
        assert!(memory.at::<u64>(4088, 1).is_some());
        assert!(memory.at::<u64>(4088, 2).is_none() && memory.at::<u64>(4, 1).is_none());
        assert!(memory.at::<u64>(8, usize::MAX).is_none() && memory.at::<u8>(usize::MAX, 1).is_none());
    }
}
