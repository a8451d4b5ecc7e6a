//! The four rings of an AF_XDP socket: queues in shared memory, with one end here and the other in the kernel.
//!
//! ```text
//!   fill        empty buffers    ours → kernel        to send      frames           ours → kernel
//!   received    frames           kernel → ours        completion   sent buffers     kernel → ours
//! ```
//!
//! Each ring has two positions that only grow (modulo 2³²): one counts what was put in, by who puts in; the other what was
//! taken out, by who takes out. Who moves a position does so after touching the entries (release), and who reads the
//! other's does so before (acquire). Entries between the positions belong to the taker, the others to the
//! putter. Positions are moved once for a batch, and the other side's are read only when a ring looks full or empty.

use crate::transport::xdp::umem::Mapping;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

//----------- Entry ----------------------------------------------------------

/// What rings hold.
///
/// # Safety
/// Any bits must be a valid value: the kernel writes them.
pub unsafe trait Entry: Copy {}

// SAFETY: a number.
unsafe impl Entry for u64 {}
// SAFETY: a plain structure of three numbers.
unsafe impl Entry for libc::xdp_desc {}

//----------- Ring -----------------------------------------------------------

/// Where the parts of a ring lie in its mapping, in octets; `struct xdp_ring_offset` of linux/if_xdp.h.
pub type Layout = libc::xdp_ring_offset;

/// What both ends have in common.
#[derive(Debug)]
struct Ring<T> {
    /// Our position, as the other side sees it.
    ours: NonNull<AtomicU32>,
    theirs: NonNull<AtomicU32>,
    flags: NonNull<AtomicU32>,
    entries: NonNull<T>,
    /// The number of entries, a power of two, less one.
    mask: u32,
    /// Our position; not yet told.
    at: u32,
    /// Theirs when it was last read.
    seen: u32,
    /// What all pointers point into.
    _memory: Mapping,
}

// SAFETY: the pointers are into the mapping, which is owned and not tied to a thread.
unsafe impl<T: Entry> Send for Ring<T> {}

impl<T: Entry> Ring<T> {
    fn new(memory: Mapping, layout: &Layout, ours: u64, theirs: u64, n: u32) -> Option<Ring<T>> {
        if !n.is_power_of_two() {
            return None;
        }
        Some(Ring {
            ours: memory.at(usize::try_from(ours).ok()?, 1)?,
            theirs: memory.at(usize::try_from(theirs).ok()?, 1)?,
            flags: memory.at(usize::try_from(layout.flags).ok()?, 1)?,
            entries: memory.at(usize::try_from(layout.desc).ok()?, n as usize)?,
            mask: n - 1,
            at: 0,
            seen: 0,
            _memory: memory,
        })
    }

    fn look(&mut self) {
        // SAFETY: the position is inside the mapping and aligned (`Mapping::at`); both sides access it as an atomic.
        self.seen = unsafe { self.theirs.as_ref() }.load(Ordering::Acquire);
    }

    fn tell(&self) {
        // SAFETY: as in `look`.
        unsafe { self.ours.as_ref() }.store(self.at, Ordering::Release);
    }

    /// The entry at our position.
    fn entry(&self) -> NonNull<T> {
        // SAFETY: masked, so below the number of entries, which are all inside the mapping.
        unsafe { self.entries.add((self.at & self.mask) as usize) }
    }

    /// Whether the kernel sleeps and wants to be told of entries (XDP_USE_NEED_WAKEUP).
    fn wants_wakeup(&self) -> bool {
        // SAFETY: as in `look`.
        unsafe { self.flags.as_ref() }.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }
}

//----------- Producer -------------------------------------------------------

/// The end that puts in.
#[derive(Debug)]
pub struct Producer<T>(Ring<T>);

impl<T: Entry> Producer<T> {
    /// The ring of `n` entries in `memory`; `None` if it does not fit, or `n` is no power of two.
    pub fn new(memory: Mapping, layout: &Layout, n: u32) -> Option<Producer<T>> {
        Ring::new(memory, layout, layout.producer, layout.consumer, n).map(Producer)
    }

    /// Puts one in, if there is room. The kernel learns of it by [`Producer::publish`].
    #[inline]
    pub fn push(&mut self, entry: T) -> bool {
        let ring = &mut self.0;
        if ring.at.wrapping_sub(ring.seen) > ring.mask {
            ring.look();
            if ring.at.wrapping_sub(ring.seen) > ring.mask {
                return false;
            }
        }
        // SAFETY: fewer entries than there are places lie between the taker's position and ours, so this place is ours
        // until we move ours.
        unsafe { ring.entry().write(entry) };
        ring.at = ring.at.wrapping_add(1);
        true
    }

    /// Shows the kernel what was put in.
    #[inline]
    pub fn publish(&mut self) {
        self.0.tell();
    }

    /// Entries that the kernel has not taken yet.
    #[inline]
    pub fn n_waiting(&mut self) -> u32 {
        self.0.look();
        self.0.at.wrapping_sub(self.0.seen)
    }

    /// Whether the kernel must be woken to take entries.
    #[inline]
    pub fn wants_wakeup(&self) -> bool {
        self.0.wants_wakeup()
    }
}

//----------- Consumer -------------------------------------------------------

/// The end that takes out.
#[derive(Debug)]
pub struct Consumer<T>(Ring<T>);

impl<T: Entry> Consumer<T> {
    /// As [`Producer::new`].
    pub fn new(memory: Mapping, layout: &Layout, n: u32) -> Option<Consumer<T>> {
        Ring::new(memory, layout, layout.consumer, layout.producer, n).map(Consumer)
    }

    /// Takes one out, if there is one. The kernel may use its place again after [`Consumer::release`].
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        let ring = &mut self.0;
        if ring.at == ring.seen {
            ring.look();
            if ring.at == ring.seen {
                return None;
            }
        }
        // SAFETY: the putter's position is beyond ours, so this place was written before and is ours until we move
        // ours; any bits are a valid entry.
        let entry = unsafe { ring.entry().read() };
        ring.at = ring.at.wrapping_add(1);
        Some(entry)
    }

    /// Gives the places of what was taken out back.
    #[inline]
    pub fn release(&mut self) {
        self.0.tell();
    }

    /// Whether there is something to take.
    #[inline]
    pub fn has_some(&mut self) -> bool {
        if self.0.at == self.0.seen {
            self.0.look();
        }
        self.0.at != self.0.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, FromRawFd, OwnedFd};

    const LAYOUT: Layout = Layout { producer: 0, consumer: 64, desc: 192, flags: 128 };

    /// Both ends of one ring, each in a mapping of its own, as it is with the kernel.
    fn both(n: u32) -> (Producer<u64>, Consumer<u64>) {
        // SAFETY: the name ends in a zero; the descriptor returned is new and ours.
        let memory = unsafe { OwnedFd::from_raw_fd(libc::memfd_create(c"ring".as_ptr(), 0)) };
        std::fs::File::from(memory.try_clone().unwrap()).set_len(4096).unwrap();
        let map = || Mapping::of(memory.as_fd(), 0, 4096).unwrap();
        (Producer::new(map(), &LAYOUT, n).unwrap(), Consumer::new(map(), &LAYOUT, n).unwrap())
    }

    #[test]
    fn a_ring_fills_and_empties() {
        let (mut putter, mut taker) = both(4);
        assert_eq!((taker.pop(), taker.has_some()), (None, false));
        assert!((0..4).all(|i| putter.push(i)) && !putter.push(4), "room for four");
        assert_eq!(taker.pop(), None, "nothing was shown yet");
        putter.publish();
        assert_eq!(putter.n_waiting(), 4);
        assert_eq!([taker.pop(), taker.pop(), taker.pop()], [Some(0), Some(1), Some(2)]);
        assert!(!putter.push(4), "nothing was released yet");
        taker.release();
        assert_eq!(putter.n_waiting(), 1);
        assert!((4..7).all(|i| putter.push(i)) && !putter.push(7));
        putter.publish();
        assert!((3..7).all(|i| taker.pop() == Some(i)) && taker.pop().is_none());
        assert!(!putter.wants_wakeup());
    }

    /// Every entry arrives once and in order, past the end of the positions' range.
    #[test]
    fn positions_wrap() {
        let (mut putter, mut taker) = both(8);
        let start = u32::MAX - 1000;
        (putter.0.at, putter.0.seen, taker.0.at, taker.0.seen) = (start, start, start, start);
        putter.publish();
        taker.release();
        let n = 5000;
        let putting = std::thread::spawn(move || {
            for i in 0..n {
                while !putter.push(i) {
                    std::thread::yield_now();
                }
                putter.publish();
            }
        });
        for i in 0..n {
            let entry = loop {
                match taker.pop() {
                    Some(entry) => break entry,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(entry, i);
            taker.release();
        }
        putting.join().unwrap();
    }

    #[test]
    fn rings_that_do_not_fit_are_refused() {
        let map = || Mapping::anonymous(4096).unwrap();
        assert!(Producer::<u64>::new(map(), &LAYOUT, 488).is_none(), "no power of two");
        assert!(Producer::<u64>::new(map(), &LAYOUT, 512).is_none(), "192 + 512 × 8 octets");
        assert!(Consumer::<u64>::new(map(), &Layout { consumer: 4095, ..LAYOUT }, 4).is_none(), "not aligned");
    }
}
