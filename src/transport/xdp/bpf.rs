//! The four calls of bpf(2) that are needed: a map of sockets, an entry of it, a program, its place at an interface.
//!
//! What they make lives as long as a descriptor of it does. The program leaves the interface when the process ends, however
//! that happens, because the link is one of those descriptors.

use crate::transport::xdp::program::Instruction;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// Commands, kinds and places of linux/bpf.h.
const MAP_CREATE: libc::c_long = 0;
const MAP_UPDATE_ELEM: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const MAP_TYPE_XSKMAP: u32 = 17;
const PROG_TYPE_XDP: u32 = 6;
const AT_XDP: u32 = 37;
/// `XDP_FLAGS_SKB_MODE` and `XDP_FLAGS_DRV_MODE` of linux/if_link.h.
const GENERIC: u32 = 1 << 1;
const NATIVE: u32 = 1 << 2;

/// Most that the kernel's checker says of a program that it refuses, in octets.
const LOG: usize = 16 << 10;

/// The head of `union bpf_attr` for [`MAP_CREATE`].
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// For [`MAP_UPDATE_ELEM`].
#[repr(C)]
struct MapUpdate {
    map: u32,
    _unused: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// For [`PROG_LOAD`].
#[repr(C)]
struct ProgLoad {
    prog_type: u32,
    n_instructions: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
}

/// For [`LINK_CREATE`].
#[repr(C)]
struct LinkCreate {
    prog: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
}

/// Calls bpf(2); a descriptor or 0.
///
/// # Safety
/// `A` must be the head of `union bpf_attr` that `command` reads, without padding, and what it points to must be as
/// long as it says and live through the call.
unsafe fn bpf<A>(command: libc::c_long, attributes: &mut A) -> io::Result<libc::c_long> {
    // SAFETY: pointer and size describe `attributes`; the kernel takes what is missing of the union for zeroes. The rest is the
    // caller's promise.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<A>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn owned(descriptor: libc::c_long) -> OwnedFd {
    // SAFETY: bpf(2) has just returned this descriptor, and nobody else knows of it.
    unsafe { OwnedFd::from_raw_fd(descriptor as libc::c_int) }
}

/// Makes a map from queues below `n` to AF_XDP sockets.
///
/// # Errors
/// Whatever bpf(2) says; `PermissionDenied` without CAP_NET_ADMIN.
pub fn socket_map(n: u32) -> io::Result<OwnedFd> {
    let mut wanted = MapCreate { map_type: MAP_TYPE_XSKMAP, key_size: 4, value_size: 4, max_entries: n, map_flags: 0 };
    // SAFETY: `MapCreate` is the head of the union for this command; it has no pointers.
    unsafe { bpf(MAP_CREATE, &mut wanted) }.map(owned)
}

/// Enters the socket of a queue. It leaves the map when it is closed.
///
/// # Errors
/// Whatever bpf(2) says.
pub fn set_socket(map: BorrowedFd<'_>, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
    let value = socket.as_raw_fd();
    let mut wanted = MapUpdate {
        map: map.as_raw_fd() as u32,
        _unused: 0,
        key: (&raw const queue).expose_provenance() as u64,
        value: (&raw const value).expose_provenance() as u64,
        flags: 0,
    };
    // SAFETY: `MapUpdate` is the head of the union for this command; key and value are of the 4 octets each that every map
    // made here has, and live through the call.
    unsafe { bpf(MAP_UPDATE_ELEM, &mut wanted) }.map(|_| ())
}

/// Loads a program. Where the kernel's checker refuses it, the error has its words.
///
/// # Errors
/// Whatever bpf(2) says; `PermissionDenied` without CAP_BPF and CAP_NET_ADMIN.
pub fn load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut log = vec![0; LOG];
    let result = try_load(program, &mut []);
    match result {
        Err(e) if e.raw_os_error() == Some(libc::EINVAL) || e.raw_os_error() == Some(libc::EACCES) => {
            try_load(program, &mut log).map_err(|e| {
                let words: String = log.iter().take_while(|o| **o != 0).map(|o| char::from(*o)).collect();
                io::Error::new(e.kind(), format!("{e}: {}", words.trim_end()))
            })
        }
        result => result,
    }
}

fn try_load(program: &[Instruction], log: &mut [u8]) -> io::Result<OwnedFd> {
    let mut wanted = ProgLoad {
        prog_type: PROG_TYPE_XDP,
        n_instructions: program.len() as u32,
        instructions: program.as_ptr().expose_provenance() as u64,
        license: c"MIT".as_ptr().expose_provenance() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr().expose_provenance() as u64 },
        kernel_version: 0,
        flags: 0,
        name: *b"floodway\0\0\0\0\0\0\0\0",
    };
    // SAFETY: `ProgLoad` is the head of the union for this command; the program is as long as it says, the license ends in a
    // zero, the log is as long as it says and may be written; all live through the call.
    unsafe { bpf(PROG_LOAD, &mut wanted) }.map(owned)
}

/// Has the interface of index `interface` run a program, until the descriptor returned is closed. `in_driver`: by the driver
/// itself, not by the kernel behind it.
///
/// # Errors
/// Whatever bpf(2) says; [`io::ErrorKind::ResourceBusy`] if another program is there.
pub fn attach(program: BorrowedFd<'_>, interface: u32, in_driver: bool) -> io::Result<OwnedFd> {
    let mut wanted = LinkCreate {
        prog: program.as_fd().as_raw_fd() as u32,
        interface,
        attach_type: AT_XDP,
        flags: if in_driver { NATIVE } else { GENERIC },
    };
    // SAFETY: `LinkCreate` is the head of the union for this command; it has no pointers.
    unsafe { bpf(LINK_CREATE, &mut wanted) }.map(owned)
}
