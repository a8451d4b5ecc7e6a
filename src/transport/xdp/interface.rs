//! What must be known of a network interface: its number, its MTU, its queues, and the addresses of this machine.

use crate::transport::xdp::program::MAX_ADDRS;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use std::ffi::c_char;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

/// `SIOCETHTOOL` of linux/sockios.h, `ETHTOOL_GCHANNELS` of linux/ethtool.h.
const SIOCETHTOOL: libc::Ioctl = 0x8946;
const GET_CHANNELS: u32 = 0x3c;

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// As operators call it.
    pub name: String,
    /// As the kernel does.
    pub index: u32,
    /// Longest packet, in octets behind the Ethernet header.
    pub mtu: usize,
    /// Queues that it receives by; at least 1.
    pub n_queues: u32,
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    /// Most that there can be: of receiving, sending, other and combined ones.
    max: [u32; 4],
    receiving: u32,
    sending: u32,
    other: u32,
    combined: u32,
}

impl Interface {
    /// Looks an interface up.
    ///
    /// # Errors
    /// `NotFound` or whatever ioctl(2) says.
    pub fn find(name: &str) -> io::Result<Interface> {
        let index = if_nametoindex(name)?;
        // Any socket will do to ask by.
        let socket = UdpSocket::bind("127.0.0.1:0").or_else(|_| UdpSocket::bind("[::]:0"))?;
        let mut request = request(name)?;
        // SAFETY: SIOCGIFMTU reads the name and writes `ifru_mtu` of a live ifreq.
        let mtu = unsafe {
            if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU as _, &raw mut request) != 0 {
                return Err(io::Error::last_os_error());
            }
            request.ifr_ifru.ifru_mtu
        };
        let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
        request.ifr_ifru.ifru_data = (&raw mut channels).cast::<c_char>();
        // SAFETY: SIOCETHTOOL reads the name and the pointer of a live ifreq; ETHTOOL_GCHANNELS writes one
        // ethtool_channels there, which lives through the call.
        let status = unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL, &raw mut request) };
        // A driver without this question has one queue.
        let n_queues = if status == 0 { channels.receiving + channels.combined } else { 1 };
        Ok(Interface {
            name: name.to_owned(),
            index,
            mtu: usize::try_from(mtu).unwrap_or(0),
            n_queues: n_queues.max(1),
        })
    }
}

fn request(name: &str) -> io::Result<libc::ifreq> {
    // SAFETY: a plain structure of octets, numbers and pointers, for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as c_char;
    }
    Ok(request)
}

/// The addresses that frames may be for: those that are listened on, an unspecified one standing for all that this machine
/// has now (one that comes later is served by the sockets), without loopback ones, which no frame may be for, and
/// link-local ones of other interfaces.
///
/// # Errors
/// Whatever getifaddrs(3) says; `InvalidInput` if there are more than [`MAX_ADDRS`], or none.
pub fn addrs(listened: &[SocketAddr], interface: &str) -> io::Result<Vec<SocketAddr>> {
    let mut machine = Vec::new();
    if listened.iter().any(|a| a.ip().is_unspecified()) {
        let meant =
            |ip: &IpAddr, of: &str| of == interface || !matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let all = getifaddrs()?.filter_map(|i| Some((ip(i.address.as_ref()?)?, i.interface_name)));
        machine = all.filter(|(ip, of)| meant(ip, of)).map(|(ip, _)| ip).collect();
    }
    let addrs = expand(listened, &machine);
    match addrs.len() {
        0 => Err(invalid("only loopback addresses are listened on")),
        n if n > MAX_ADDRS => Err(invalid(&format!("{n} addresses, {MAX_ADDRS} at most"))),
        _ => Ok(addrs),
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

fn ip(addr: &nix::sys::socket::SockaddrStorage) -> Option<IpAddr> {
    let v4 = addr.as_sockaddr_in().map(|a| a.ip().into());
    v4.or_else(|| addr.as_sockaddr_in6().map(|a| a.ip().into()))
}

/// Each unspecified address stands for those of its own family, as with our sockets.
fn expand(listened: &[SocketAddr], machine: &[IpAddr]) -> Vec<SocketAddr> {
    let mut all = Vec::new();
    for addr in listened {
        let meant = |ip: &&IpAddr| ip.is_ipv6() == addr.is_ipv6();
        let ips: Vec<IpAddr> = match addr.ip().is_unspecified() {
            true => machine.iter().filter(meant).copied().collect(),
            false => vec![addr.ip()],
        };
        all.extend(ips.into_iter().filter(|ip| !ip.is_loopback()).map(|ip| SocketAddr::new(ip, addr.port())));
    }
    all.sort();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_found() {
        let lo = Interface::find("lo").unwrap();
        assert_eq!((lo.name.as_str(), lo.n_queues), ("lo", 1), "without queues to ask for there is one");
        assert!(lo.index > 0 && lo.mtu >= 1280);
        assert!(Interface::find("no-such-one").is_err() && Interface::find("a-name-that-is-too-long").is_err());
    }

    #[test]
    fn unspecified_addresses_stand_for_all() {
        let check = |listened: &[&str], expected: &[&str]| {
            let parse = |all: &[&str]| all.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
            let machine = ["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1", "fe80::1"].map(|a| a.parse().unwrap());
            assert_eq!(expand(&parse(listened), &machine), parse(expected), "{listened:?}");
        };
        check(&["127.0.0.1:53", "[::1]:53"], &[]);
        check(&["0.0.0.0:53"], &["192.0.2.1:53"]);
        check(&["[::]:53"], &["[2001:db8::1]:53", "[fe80::1]:53"]);
        check(&["192.0.2.1:53", "0.0.0.0:53", "198.51.100.1:5353"], &["192.0.2.1:53", "198.51.100.1:5353"]);
    }
}
