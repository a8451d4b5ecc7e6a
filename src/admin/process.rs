//! What the system says of the process: memory, descriptors, time, and datagrams that found a socket's queue full.
//!
//! Read out of `/proc/self` when somebody asks; what cannot be read is left out. The names of the metrics are those that
//! Prometheus' own clients use, so that dashboards know them.

use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The process at this moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Process {
    /// Octets of memory in use.
    pub resident_bytes: Option<f64>,
    /// Descriptors that are open, and how many may be.
    pub open_fds: Option<f64>,
    /// The soft limit of descriptors.
    pub max_fds: Option<f64>,
    /// Seconds of processor time, user and system.
    pub cpu_secs: Option<f64>,
    /// Unix seconds at which the process began.
    pub started_at: Option<f64>,
}

impl Process {
    /// Asks the system.
    pub fn look() -> Process {
        let per = |var| sysconf(var).ok().flatten().map(|n| n as f64);
        let (page, ticks) = (per(SysconfVar::PAGE_SIZE), per(SysconfVar::CLK_TCK));
        let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let [user, system, started] = [13, 14, 21].map(|i| field(&stat, i));
        let booted = boot.lines().find_map(|line| line.strip_prefix("btime ")?.parse::<f64>().ok());
        Process {
            resident_bytes: word(&statm, 1).zip(page).map(|(pages, page)| pages * page),
            open_fds: fs::read_dir("/proc/self/fd").ok().map(|all| all.count().saturating_sub(1) as f64),
            max_fds: limits.lines().find_map(|line| word(line.strip_prefix("Max open files")?, 0)),
            cpu_secs: user.zip(system).zip(ticks).map(|((user, system), ticks)| (user + system) / ticks),
            started_at: started.zip(ticks).zip(booted).map(|((started, ticks), booted)| booted + started / ticks),
        }
    }
}

fn word(text: &str, i: usize) -> Option<f64> {
    text.split_whitespace().nth(i)?.parse().ok()
}

/// Field `i`, from 0, of proc_pid_stat(5); the second is a name in brackets that may hold anything.
fn field(stat: &str, i: usize) -> Option<f64> {
    word(stat.rsplit_once(')')?.1, i.checked_sub(2)?)
}

//----------- Drops ----------------------------------------------------------

/// Datagrams that the kernel has dropped at the sockets of each of these addresses, mostly since their queue was full; since
/// the sockets were opened. What a successor has been handed counts on.
pub fn socket_drops(addrs: &[SocketAddr]) -> Vec<(SocketAddr, u64)> {
    if addrs.is_empty() {
        return Vec::new();
    }
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    sum_drops(addrs, &tables)
}

fn sum_drops(addrs: &[SocketAddr], tables: &[String]) -> Vec<(SocketAddr, u64)> {
    let rows: Vec<_> = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(row).collect();
    let of = |addr: &SocketAddr| rows.iter().filter(|(at, _)| at == addr).map(|(_, drops)| drops).sum();
    addrs.iter().map(|addr| (*addr, of(addr))).collect()
}

/// A line of `/proc/net/udp`: the local address, and the last column.
fn row(line: &str) -> Option<(SocketAddr, u64)> {
    let mut words = line.split_whitespace();
    let (ip, port) = words.nth(1)?.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Words of 32 bits as they lie in memory.
    let octets = |i: usize| Some(u32::from_str_radix(ip.get(8 * i..8 * i + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match ip.len() {
        8 => IpAddr::from(Ipv4Addr::from(octets(0)?)),
        _ => {
            let words = [octets(0)?, octets(1)?, octets(2)?, octets(3)?];
            IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(words.as_flattened()).ok()?))
        }
    };
    Some((SocketAddr::new(ip, port), words.last()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_seen() {
        let process = Process::look();
        assert!(process.resident_bytes.unwrap() > 1e6 && process.max_fds.unwrap() >= process.open_fds.unwrap());
        assert!(process.started_at.unwrap() > 1.6e9 && process.cpu_secs.is_some());
        assert_eq!(field("7 (a) b (c)) S 1 2", 3), Some(1.0), "whatever the name holds");
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn drops_are_summed_by_address() {
        let v4 = "  sl  local_address rem_address   st\n\
            1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1234 2 0000000000000000 5\n\
            2: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1235 2 0000000000000000 2\n\
            3: 00000000:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 1236 2 0000000000000000 9\n";
        let v6 = "  sl  local_address\n\
            1: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 0:0 0:0 0 0 0 1 2 0 4\n";
        let addrs = ["127.0.0.1:53", "[::1]:53", "127.0.0.1:54"].map(|addr| addr.parse().unwrap());
        let drops: Vec<_> = sum_drops(&addrs, &[v4.into(), v6.into()]).into_iter().map(|(_, n)| n).collect();
        assert_eq!(drops, [7, 4, 0]);
    }
}
