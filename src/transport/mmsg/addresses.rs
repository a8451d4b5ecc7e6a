//! Whom a datagram came from, and where its reply leaves from.

use crate::transport::mmsg::Control;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads the address that the kernel wrote; `None` if it wrote none.
#[inline]
pub(super) fn sender(name: &libc::sockaddr_in6, len: libc::socklen_t) -> Option<(IpAddr, u16)> {
    if len as usize >= size_of::<libc::sockaddr_in6>() && i32::from(name.sin6_family) == libc::AF_INET6 {
        return Some((Ipv6Addr::from(name.sin6_addr.s6_addr).to_canonical(), u16::from_be(name.sin6_port)));
    }
    if len as usize >= size_of::<libc::sockaddr_in>() && i32::from(name.sin6_family) == libc::AF_INET {
        // SAFETY: a sockaddr_in is smaller, less strictly aligned, and any bits are a valid value of it.
        let name = unsafe { &*(&raw const *name).cast::<libc::sockaddr_in>() };
        return Some((Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes()).into(), u16::from_be(name.sin_port)));
    }
    None
}

/// Turns the control message of a query, which says where it arrived, into that of its reply, which says
/// where to leave from. Returns the length to give to sendmmsg, 0 if there was none.
///
/// The interface is left to routing, as the way back may be another one; but a link-local address means
/// nothing without its interface.
pub(super) fn reply_from(control: &mut Control, len: usize) -> usize {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct With<T> {
        header: libc::cmsghdr,
        info: T,
    }
    if len < size_of::<libc::cmsghdr>() {
        return 0;
    }
    let start = (&raw mut *control).cast::<u8>();
    // SAFETY: `control` is aligned for and longer than either `With`, and any bits are valid values of both.
    // CMSG_DATA follows the header at once on Linux, where both are aligned to 8 octets or less.
    unsafe {
        let header = start.cast::<libc::cmsghdr>().read();
        match (header.cmsg_level, header.cmsg_type) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) if len >= size_of::<With<libc::in_pktinfo>>() => {
                (*start.cast::<With<libc::in_pktinfo>>()).info.ipi_ifindex = 0;
                len
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) if len >= size_of::<With<libc::in6_pktinfo>>() => {
                let info = &mut (*start.cast::<With<libc::in6_pktinfo>>()).info;
                if !Ipv6Addr::from(info.ipi6_addr.s6_addr).is_unicast_link_local() {
                    info.ipi6_ifindex = 0;
                }
                len
            }
            _ => 0,
        }
    }
}
