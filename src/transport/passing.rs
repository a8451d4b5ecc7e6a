//! Descriptors that come from, or go to, another process: SCM_RIGHTS over a Unix socket (unix(7)), and the sockets that
//! systemd opens (sd_listen_fds(3)).

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// Descriptors in one message; the kernel takes 253.
const PER_MESSAGE: usize = 128;

/// Who is at the other end of a Unix socket, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Its process, in our own numbering.
    pub pid: i32,
    /// Its user.
    pub uid: u32,
}

/// Asks the kernel who connected, or whom we are connected to.
///
/// # Errors
/// What the system says.
pub fn neighbour(stream: &UnixStream) -> io::Result<Neighbour> {
    let credentials = getsockopt(stream, PeerCredentials)?;
    Ok(Neighbour { pid: credentials.pid(), uid: credentials.uid() })
}

/// Sends descriptors; the other side gets copies of its own.
///
/// # Errors
/// What the system says; `UnexpectedEof` if a message was taken by halves, which the kernel does not do.
pub fn send(stream: &UnixStream, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    for part in descriptors.chunks(PER_MESSAGE) {
        let raw: Vec<RawFd> = part.iter().map(AsRawFd::as_raw_fd).collect();
        // One octet, since descriptors do not travel alone.
        let n = sendmsg::<()>(
            stream.as_raw_fd(),
            &[IoSlice::new(b"S")],
            &[ControlMessage::ScmRights(&raw)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        if n != 1 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}

/// Receives `n` descriptors that [`send`] has sent; they are closed on exec.
///
/// # Errors
/// What the system says; `UnexpectedEof` if the other side ends before; `InvalidData` for more than were announced.
pub fn receive(stream: &UnixStream, n: usize) -> io::Result<Vec<OwnedFd>> {
    let mut all: Vec<OwnedFd> = Vec::new();
    while all.len() < n {
        let (mut octet, mut room) = ([0], nix::cmsg_space!([RawFd; PER_MESSAGE]));
        let mut parts = [IoSliceMut::new(&mut octet)];
        let message = recvmsg::<()>(stream.as_raw_fd(), &mut parts, Some(&mut room), MsgFlags::MSG_CMSG_CLOEXEC)?;
        let before = all.len();
        for control in message.cmsgs()? {
            if let ControlMessageOwned::ScmRights(raw) = control {
                // SAFETY: the kernel has just made these descriptors for this process; nobody else knows of them.
                all.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
            }
        }
        if all.len() == before {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    if all.len() > n { Err(io::ErrorKind::InvalidData.into()) } else { Ok(all) }
}

/// The sockets that systemd has opened for this process; none where it has not. To be called once, before anything
/// else opens files.
///
/// # Errors
/// `LISTEN_FDS` that is no number.
pub fn from_systemd() -> io::Result<Vec<OwnedFd>> {
    // SAFETY: sd_listen_fds(3) promises that these descriptors are open and this process's own, when LISTEN_PID says
    // that they are meant for it, which is checked by the crate.
    Ok(sd_notify::listen_fds()?.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    /// More than fit in one message; a copy is the same socket.
    #[test]
    fn descriptors_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let sent: Vec<BorrowedFd<'_>> = (0..300).map(|i| sockets[i % 3].as_fd()).collect();
        let receiver = std::thread::spawn(move || receive(&there, 300));
        send(&here, &sent).unwrap();
        for (i, fd) in receiver.join().unwrap().unwrap().into_iter().enumerate() {
            assert_eq!(UdpSocket::from(fd).local_addr().unwrap(), sockets[i % 3].local_addr().unwrap());
        }
        let me = neighbour(&here).unwrap();
        assert_eq!(me.pid, std::process::id() as i32);
    }

    #[test]
    fn an_end_before_the_last_is_an_error() {
        let (here, there) = UnixStream::pair().unwrap();
        send(&here, &[UdpSocket::bind("127.0.0.1:0").unwrap().as_fd()]).unwrap();
        drop(here);
        assert_eq!(receive(&there, 2).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
