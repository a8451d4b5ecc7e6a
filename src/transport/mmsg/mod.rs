//! Datagrams in batches: recvmmsg(2) and sendmmsg(2).
//!
//! A [`Batch`] owns every buffer and header that the two calls need, set up once; nothing is allocated
//! afterwards. One round is [`Batch::receive`], [`Batch::answer`], [`Batch::send`].
//!
//! The kernel is handed raw pointers into one heap allocation that never moves. References into it are
//! made for the length of one method and never across a system call.

mod addresses;
mod segments;

use addresses::{reply_from, sender};
use segments::{Run, Segments};
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

/// Longest datagram taken, and most that a reply may fill. Queries fit (we offer 1,232 octets), and so does
/// every reply that we may be asked to send by RFC 6891's advice of 4,096.
pub const MAX_DATAGRAM: usize = 4096;

/// Distance between receive buffers. Three lines more than the 4,096, so that their first lines do not
/// all fall into the same set of the first-level cache.
const STRIDE: usize = MAX_DATAGRAM + 3 * 64;

/// Room for the one control message that we ask for: an `in6_pktinfo` (40 octets with its header).
const CONTROL: usize = 64;

/// Replies start at multiples of this, each on a cache line of its own.
const REPLY_ALIGN: usize = 64;

//----------- Storage --------------------------------------------------------

/// All that the kernel reads and writes. For every field all zeroes is a valid value.
#[repr(C, align(64))]
struct Storage<const N: usize> {
    received: [libc::mmsghdr; N],
    to_send: [libc::mmsghdr; N],
    received_parts: [libc::iovec; N],
    to_send_parts: [libc::iovec; N],
    names: [libc::sockaddr_in6; N],
    controls: [Control; N],
    inputs: [[u8; STRIDE]; N],
    outputs: [[u8; MAX_DATAGRAM]; N],
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

//----------- Batch ----------------------------------------------------------

/// Up to `N` datagrams received together and the replies to them.
pub struct Batch<const N: usize> {
    storage: NonNull<Storage<N>>,
    with_address: bool,
    /// Whether the kernel cuts messages up: until it says that it does not.
    in_segments: bool,
    n_received: usize,
    n_to_send: usize,
}

/// One datagram of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Its payload, up to [`MAX_DATAGRAM`] octets.
    pub bytes: &'a [u8],
    /// Whether there was more.
    pub cut: bool,
    /// Who sent it; an IPv4-mapped address is given as IPv4.
    pub addr: IpAddr,
    /// The sender's port.
    pub port: u16,
}

/// Whether to wait for the first datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Wait for one, then take what is there.
    ForOne,
    /// Take what is there.
    No,
}

// SAFETY: the allocation belongs to this value alone, and nothing in it is tied to a thread.
unsafe impl<const N: usize> Send for Batch<N> {}

impl<const N: usize> Batch<N> {
    /// Sets up buffers and headers. `with_address`: the socket gives the address that was asked
    /// (IP_PKTINFO or IPV6_RECVPKTINFO), and replies leave from there.
    pub fn new(with_address: bool) -> Batch<N> {
        let layout = Layout::new::<Storage<N>>();
        // SAFETY: the layout is not empty.
        let Some(storage) = NonNull::new(unsafe { alloc_zeroed(layout) }.cast::<Storage<N>>()) else {
            handle_alloc_error(layout)
        };
        let all = storage.as_ptr();
        for i in 0..N {
            // SAFETY: `all` points to a live, zeroed Storage, zeroes are valid for all its fields, and
            // `i < N` keeps every index inside its array.
            unsafe {
                let (header, part) = (&raw mut (*all).received[i].msg_hdr, &raw mut (*all).received_parts[i]);
                (*part).iov_base = (&raw mut (*all).inputs[i]).cast();
                (*part).iov_len = MAX_DATAGRAM;
                (*header).msg_iov = part;
                (*header).msg_iovlen = 1;
                (*header).msg_name = (&raw mut (*all).names[i]).cast();
                if with_address {
                    (*header).msg_control = (&raw mut (*all).controls[i]).cast();
                }
                (*all).to_send[i].msg_hdr.msg_iov = &raw mut (*all).to_send_parts[i];
                (*all).to_send[i].msg_hdr.msg_iovlen = 1;
            }
        }
        // All headers need their lengths set before the first call.
        // With an address, the control message is taken.
        Batch { storage, with_address, in_segments: !with_address, n_received: N, n_to_send: 0 }
    }

    /// Receives up to `N` datagrams and returns how many; forgets those of the round before.
    ///
    /// # Errors
    /// As recvmmsg(2) says; `WouldBlock` where there was none and `wait` is `No`.
    pub fn receive(&mut self, socket: BorrowedFd<'_>, wait: Wait) -> io::Result<usize> {
        let all = self.storage.as_ptr();
        for i in 0..self.n_received {
            // SAFETY: as in `new`; the kernel has overwritten these lengths in the round before.
            unsafe {
                let header = &raw mut (*all).received[i].msg_hdr;
                (*header).msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                (*header).msg_controllen = if self.with_address { CONTROL as _ } else { 0 };
            }
        }
        (self.n_received, self.n_to_send) = (0, 0);
        let flags = match wait {
            Wait::ForOne => libc::MSG_WAITFORONE,
            Wait::No => libc::MSG_DONTWAIT,
        };
        // SAFETY: `received` holds N headers, whose pointers and lengths were set in `new` and above and
        // describe parts of the same live allocation; no Rust reference into it exists now.
        let n = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                (&raw mut (*all).received).cast(),
                N as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        self.n_received = usize::try_from(n).map_err(|_| io::Error::last_os_error())?.min(N);
        Ok(self.n_received)
    }

    /// The payload of each datagram received.
    #[inline]
    pub fn received(&self) -> impl Iterator<Item = &[u8]> {
        let all = self.storage.as_ptr();
        (0..self.n_received).map(move |i| {
            // SAFETY: `i < N`; the kernel is done with the allocation, and nothing is written while `&self` is held.
            let (header, input) = unsafe { (&(*all).received[i], &(&(*all).inputs)[i]) };
            &input[..(header.msg_len as usize).min(MAX_DATAGRAM)]
        })
    }

    /// Hands each datagram received to `reply`, with room for its reply, and keeps the replies for
    /// [`Batch::send`]. `reply` returns the length of the reply, 0 for none.
    ///
    /// Wake-ups without a datagram (a socket that is being shut down) are passed over. `reply` always
    /// has [`MAX_DATAGRAM`] octets of room, whose content is of no meaning.
    #[inline]
    pub fn answer(&mut self, mut reply: impl FnMut(Datagram<'_>, &mut [u8]) -> usize) {
        let all = self.storage.as_ptr();
        let (mut n, mut n_parts, mut at) = (0, 0, 0);
        let mut run = Run::default();
        for i in 0..self.n_received {
            // SAFETY: `i < N`; the kernel is done with the allocation, `&mut self` keeps others away, and the
            // references made here are to distinct fields: headers and names are read, one input is read,
            // and a part of the outputs that no earlier reply fills is written. `at` stays inside the
            // outputs, because each of the at most N replies moves it by at most MAX_DATAGRAM.
            let (header, name, input, room) = unsafe {
                let outputs = (&raw mut (*all).outputs).cast::<u8>();
                (
                    &(*all).received[i],
                    &(*all).names[i],
                    &(&(*all).inputs)[i],
                    std::slice::from_raw_parts_mut(outputs.add(at), MAX_DATAGRAM),
                )
            };
            let Some((addr, port)) = sender(name, header.msg_hdr.msg_namelen) else { continue };
            let len = (header.msg_len as usize).min(MAX_DATAGRAM);
            let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            let filled = reply(Datagram { bytes: &input[..len], cut, addr, port }, room).min(MAX_DATAGRAM);
            if filled == 0 {
                continue;
            }
            // SAFETY: `n <= n_parts <= i < N`, and the references made above are no longer used but for `header` and
            // `name`, which lie in other fields than those written here. A run has at least one message before it, `n - 1`.
            // The parts of a message follow each other, because parts are filled in turn. Controls are free to be
            // written where the socket gives no address; one is aligned for and longer than a `Segments`.
            unsafe {
                let part = &raw mut (*all).to_send_parts[n_parts];
                (*part).iov_base = (&raw mut (*all).outputs).cast::<u8>().add(at).cast();
                (*part).iov_len = filled;
                n_parts += 1;
                at += filled.next_multiple_of(REPLY_ALIGN);
                if self.in_segments && run.takes(name, filled) {
                    let out = &raw mut (*all).to_send[n - 1].msg_hdr;
                    (*out).msg_iovlen = run.len as _;
                    if run.len == 2 {
                        let control = (&raw mut (*all).controls[n - 1]).cast::<Segments>();
                        control.write(Segments::of(run.segment));
                        (*out).msg_control = control.cast();
                        (*out).msg_controllen = size_of::<Segments>() as _;
                    }
                    continue;
                }
                run = Run::of(name, filled);
                let out = &raw mut (*all).to_send[n].msg_hdr;
                (*out).msg_iov = part;
                (*out).msg_iovlen = 1;
                (*out).msg_controllen = 0;
                (*out).msg_name = header.msg_hdr.msg_name;
                (*out).msg_namelen = header.msg_hdr.msg_namelen;
                if self.with_address {
                    let control = &mut (&mut (*all).controls)[i];
                    #[allow(clippy::unnecessary_cast, reason = "a size_t with glibc, a socklen_t with musl")]
                    let len = reply_from(control, header.msg_hdr.msg_controllen as usize);
                    (*out).msg_controllen = len as _;
                    (*out).msg_control = (&raw mut *control).cast();
                }
            }
            n += 1;
        }
        self.n_to_send = n;
    }

    /// Sends the replies and returns how many the kernel did not take.
    ///
    /// A reply that cannot be sent (no buffer, no route, a firewall) is left out and the next one tried:
    /// the client asks again, and the other clients wait.
    pub fn send(&mut self, socket: BorrowedFd<'_>) -> usize {
        let (mut at, mut n_unsent) = (0, 0);
        while at < self.n_to_send {
            // SAFETY: headers `at..n_to_send` were filled by `answer` and describe parts of the same live
            // allocation; no Rust reference into it exists now.
            let n = unsafe {
                let first = (&raw mut (*self.storage.as_ptr()).to_send).cast::<libc::mmsghdr>().add(at);
                libc::sendmmsg(socket.as_raw_fd(), first, (self.n_to_send - at) as libc::c_uint, 0)
            };
            match usize::try_from(n) {
                Ok(sent) if sent > 0 => at += sent,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => {
                    n_unsent += self.send_apart(socket, at);
                    at += 1;
                }
            }
        }
        self.n_to_send = 0;
        n_unsent
    }

    /// The kernel did not take message `at`. If that was several replies, sends them one by one, and from now on all, if
    /// it is the cutting up that an interface cannot do. Returns how many were not taken.
    #[cold]
    fn send_apart(&mut self, socket: BorrowedFd<'_>, at: usize) -> usize {
        let error = io::Error::last_os_error().raw_os_error();
        // SAFETY: as in `send`; `at < n_to_send`. Each message made here has one part of this one's, the same name, and
        // no control message.
        unsafe {
            let mut one = (*self.storage.as_ptr()).to_send[at].msg_hdr;
            #[allow(clippy::unnecessary_cast, reason = "a size_t with glibc, a c_int with musl")]
            let (parts, n_parts) = (one.msg_iov, one.msg_iovlen as usize);
            if n_parts == 1 {
                return 1;
            }
            (one.msg_iovlen, one.msg_controllen) = (1, 0);
            let mut n_unsent = 0;
            for i in 0..n_parts {
                one.msg_iov = parts.add(i);
                n_unsent += usize::from(libc::sendmsg(socket.as_raw_fd(), &raw const one, 0) < 0);
            }
            self.in_segments &= !matches!(error, Some(libc::EINVAL | libc::EIO | libc::EOPNOTSUPP));
            n_unsent
        }
    }
}

impl<const N: usize> Drop for Batch<N> {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed only here; nothing in it needs dropping.
        unsafe { dealloc(self.storage.as_ptr().cast(), Layout::new::<Storage<N>>()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};
    use std::os::fd::AsFd;

    /// Sends `n` datagrams from one client, answers all but the multiples of three, and compares.
    fn check(listen: &str, to: &str, with_address: bool, n: u16) {
        let server = UdpSocket::bind(listen).unwrap();
        let is_v4 = server.local_addr().unwrap().is_ipv4();
        if with_address {
            let (level, option) = match is_v4 {
                true => (libc::IPPROTO_IP, libc::IP_PKTINFO),
                false => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
            };
            crate::transport::sys::set_option(server.as_fd(), level, option, 1).unwrap();
        }
        let target = SocketAddr::new(to.parse().unwrap(), server.local_addr().unwrap().port());
        let client = UdpSocket::bind(if is_v4 { "127.0.0.1:0" } else { "[::1]:0" }).unwrap();
        for i in 0..n {
            client.send_to(&vec![i as u8; usize::from(i) * 7 + 1], target).unwrap();
        }
        let mut batch = Batch::<8>::new(with_address);
        let (mut seen, port) = (0u16, client.local_addr().unwrap().port());
        while seen < n {
            batch.receive(server.as_fd(), Wait::ForOne).unwrap();
            batch.answer(|query, out| {
                assert_eq!((query.bytes.len(), query.port), (usize::from(seen) * 7 + 1, port));
                assert!(query.addr.is_loopback() && !query.cut && out.len() == MAX_DATAGRAM);
                out[..query.bytes.len()].copy_from_slice(query.bytes);
                seen += 1;
                if seen.is_multiple_of(3) { 0 } else { query.bytes.len() }
            });
            assert_eq!(batch.send(server.as_fd()), 0);
        }
        assert_eq!(
            batch.receive(server.as_fd(), Wait::No).unwrap_err().kind(),
            io::ErrorKind::WouldBlock,
            "nothing is left"
        );
        let mut buffer = [0; MAX_DATAGRAM];
        for i in (0..n).filter(|i| !(i + 1).is_multiple_of(3)) {
            let (len, from) = client.recv_from(&mut buffer).unwrap();
            assert_eq!(buffer[..len], vec![i as u8; usize::from(i) * 7 + 1]);
            assert_eq!(from, target, "the reply leaves from the address that was asked");
        }
    }

    #[test]
    fn each_reply_goes_to_its_sender() {
        check("127.0.0.1:0", "127.0.0.1", false, 40);
        check("[::1]:0", "::1", false, 3);
    }

    /// Replies to one client leave together, and arrive apart: of all lengths, in runs of one length and with a shorter one
    /// behind. `in_segments`: whether the kernel is asked to cut.
    fn check_runs(lens: &[usize], in_segments: bool) {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let clients = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut batch = Batch::<8>::new(false);
        batch.in_segments = in_segments;
        for (i, _) in lens.iter().enumerate() {
            clients[i / 4 % 2].send_to(&[i as u8], server.local_addr().unwrap()).unwrap();
        }
        let mut n = 0;
        while n < lens.len() {
            batch.receive(server.as_fd(), Wait::ForOne).unwrap();
            batch.answer(|query, out| {
                let i = usize::from(query.bytes[0]);
                out[..lens[i]].fill(query.bytes[0]);
                n += 1;
                lens[i]
            });
            assert_eq!(batch.send(server.as_fd()), 0);
        }
        let mut buffer = [0; MAX_DATAGRAM];
        for (i, len) in lens.iter().enumerate() {
            assert_eq!(clients[i / 4 % 2].recv(&mut buffer).unwrap(), *len, "{lens:?}");
            assert_eq!(buffer[..*len], vec![i as u8; *len]);
        }
    }

    #[test]
    fn runs_of_replies_arrive_one_by_one() {
        for lens in
            [&[70; 8][..], &[70, 70, 70, 9, 70, 69, 69, 70], &[1232, 1232, 1300, 1300], &[2, 1, 3, 3, 3, 1, 1, 1]]
        {
            check_runs(lens, true);
            check_runs(lens, false);
        }
    }

    /// 127.0.0.2 was asked on a wildcard socket: without the address a reply would leave from 127.0.0.1.
    #[test]
    fn wildcards_reply_from_the_address_asked() {
        check("0.0.0.0:0", "127.0.0.2", true, 20);
        check("[::]:0", "::1", true, 20);
    }

    /// The kernel's wake-up of a shut-down socket looks like an empty datagram from nobody.
    #[test]
    fn a_shut_down_socket_wakes_its_reader() {
        let server = socket2::Socket::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        let other = server.try_clone().unwrap();
        let reader = std::thread::spawn(move || {
            let mut batch = Batch::<4>::new(false);
            batch.receive(server.as_fd(), Wait::ForOne).unwrap();
            batch.answer(|_, _| panic!("there is no datagram"));
        });
        other.shutdown(std::net::Shutdown::Read).unwrap_err();
        reader.join().unwrap();
    }

    /// What is longer than the buffer is marked, so that nobody takes its head for the whole.
    #[test]
    fn long_datagrams_are_marked() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&[7; MAX_DATAGRAM + 1], server.local_addr().unwrap()).unwrap();
        client.send_to(&[], server.local_addr().unwrap()).unwrap();
        let mut batch = Batch::<4>::new(false);
        let mut seen = Vec::new();
        while seen.len() < 2 {
            batch.receive(server.as_fd(), Wait::ForOne).unwrap();
            batch.answer(|query, _| {
                seen.push((query.bytes.len(), query.cut));
                0
            });
        }
        assert_eq!(seen, [(MAX_DATAGRAM, true), (0, false)]);
    }
}
