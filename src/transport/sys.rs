//! The few settings of sockets and threads that have no safe wrapper.
//!
//! Together with [`crate::transport::mmsg`] this file holds all `unsafe` of the sockets.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::thread::JoinHandleExt;
use std::sync::Once;
use std::thread::JoinHandle;

/// Sets an option of a socket whose value is a C `int`.
///
/// # Errors
/// Whatever setsockopt(2) says.
pub fn set_option(socket: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as it is borrowed; the pointer and the length describe
    // `value`, which lives through the call, and the kernel only reads it.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Ties the calling thread to the `nth` (modulo their number) of the processors it may run on.
///
/// # Errors
/// Whatever sched_getaffinity(2) or sched_setaffinity(2) say.
pub fn pin_to_core(nth: usize) -> io::Result<()> {
    // SAFETY: a cpu_set_t is a plain bit mask, for which all zeroes is the empty set.
    let (mut allowed, mut one): (libc::cpu_set_t, libc::cpu_set_t) = unsafe { std::mem::zeroed() };
    // SAFETY: pointer and size describe `allowed`; 0 is the calling thread.
    if unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the positions are below CPU_SETSIZE, and `allowed` is initialised.
    let cores: Vec<usize> =
        (0..libc::CPU_SETSIZE as usize).filter(|c| unsafe { libc::CPU_ISSET(*c, &allowed) }).collect();
    let Some(core) = cores.get(nth % cores.len().max(1)) else { return Ok(()) };
    // SAFETY: the position came out of the mask's own range.
    unsafe { libc::CPU_SET(*core, &mut one) };
    // SAFETY: pointer and size describe `one`; 0 is the calling thread.
    if unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has the calling thread run as soon as it wakes, ahead of threads that compute: with the shortest slice that Linux
/// gives (0.1 ms), it takes the processor from a thread with a longer one (6.12 and later; elsewhere nothing changes). An
/// answer takes microseconds, but would wait up to 1.4 ms for a control loop that happens to be on its processor.
pub fn run_when_woken() {
    /// The first version of the kernel's `sched_attr`, see sched_setattr(2).
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let size = size_of::<Attributes>() as u32;
    let mut attributes = Attributes { size, ..Attributes::default() };
    // SAFETY: pointer and size describe `attributes`; the first 0 is the calling thread, the last means no flags.
    let known = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    if known == 0 && attributes.policy == libc::SCHED_OTHER as u32 {
        attributes.runtime = 100_000;
        // SAFETY: as above; the kernel only reads it. Whether it agrees does not matter: then all is as it was.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    }
}

/// Seconds since 1970, to the last tick of the kernel (some milliseconds): read without a system call and without
/// asking the processor's counter. Wraps around in 2106, as those who compare such numbers expect (RFC 1982).
#[inline]
pub fn unix_secs() -> u32 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec. The clock exists on every Linux, so the call cannot fail.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME_COARSE, &raw mut now) };
    now.tv_sec as u32
}

/// Raises the soft limit of open files to `wanted`, or as near as the hard limit lets; never lowers it.
/// Returns the limit that holds from now on.
///
/// # Errors
/// Whatever getrlimit(2) or setrlimit(2) say.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live rlimit.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let next = wanted.min(limit.rlim_max).max(limit.rlim_cur);
    if next > limit.rlim_cur {
        limit.rlim_cur = next;
        // SAFETY: as above; the kernel only reads it.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(next)
}

/// Ends the system call that `thread` waits in, if it waits in one, with EINTR.
///
/// A signal does it, whose handler does nothing: SIGURG, which nobody minds, since programs that know nothing of it
/// ignore it. A thread that is just about to wait misses it: ask again until it has noticed.
pub fn interrupt<T>(thread: &JoinHandle<T>) {
    static HANDLER: Once = Once::new();
    extern "C" fn nothing(_: libc::c_int) {}
    HANDLER.call_once(|| {
        // SAFETY: all zeroes is a valid sigaction; its mask is empty and SA_RESTART is not set. The handler touches nothing.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut());
        }
    });
    // SAFETY: the handle has not been joined, so its thread's id is valid, ended or not.
    unsafe { libc::pthread_kill(thread.as_pthread_t() as libc::pthread_t, libc::SIGURG) };
}

//----------- Memory ---------------------------------------------------------

/// Has every large piece of memory be a mapping of its own, which goes back to the system when it is freed. By itself the
/// allocator learns from the first load to put pieces of up to 32 MiB onto its heaps, where what outlives a reload keeps them
/// from shrinking: 6 MB more after the first reload of a million names.
pub fn map_large_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes plain numbers and may be called from any thread; 1 MiB is within its limits.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// Gives freed memory back to the system. Loading a million names frees more than it keeps, and the
/// allocator would hold on to it: 124 octets a name instead of 46.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) takes a plain number, may be called from any thread at any time, and moves no
    // live allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn settings_are_taken_or_refused() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        set_option(socket.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, 100_000).unwrap();
        assert!(set_option(socket.as_fd(), libc::SOL_SOCKET, -1, 1).is_err());
        let now = raise_open_files(0).unwrap();
        assert_eq!(raise_open_files(now).unwrap(), now);
        std::thread::spawn(|| pin_to_core(12_345).unwrap()).join().unwrap();
        std::thread::spawn(run_when_woken).join().unwrap();
    }
}
