//! Tests of the program: a small machine runs it, and each check it makes is a case.

use super::*;
use crate::transport::xdp::frame::tests::frame;
use crate::transport::xdp::frame::{Flaw, Packet};
use proptest::prelude::*;

/// Where the machine's memory has the frame, and what it takes for pointers elsewhere.
const FRAME_AT: u64 = 0x1_0000;
const MAP: i32 = 77;
const QUEUE: u64 = 5;

/// Runs `program` on a frame; `None`: handed to the socket, by the arguments that are expected. Panics on what the kernel
/// would not load: reads that the comparisons before do not cover, jumps back, registers not set.
fn run(program: &[Instruction], frame: &[u8]) -> Option<u64> {
    let mut registers: [Option<u64>; 11] = [None; 11];
    registers[1] = Some(0); // the context
    let (mut at, mut known_end) = (0, 0);
    loop {
        let i = program[at];
        let (to, from) = (usize::from(i.registers & 0xf), usize::from(i.registers >> 4));
        let value = |register: usize| registers[register].expect("a register that was set");
        let mut jumps = false;
        at += 1;
        match i.code {
            0x61 | 0x69 | 0x71 if value(from) == 0 => {
                registers[to] = Some(match i.offset {
                    0 => FRAME_AT,
                    4 => FRAME_AT + frame.len() as u64,
                    16 => QUEUE,
                    other => panic!("context {other}"),
                });
            }
            0x61 | 0x69 | 0x71 => {
                let n = [4, 2, 1][usize::from(i.code >> 3) - 12];
                let start = usize::try_from(value(from) - FRAME_AT).unwrap() + usize::try_from(i.offset).unwrap();
                assert!(start + n <= known_end, "octet {start} was not shown to be there");
                let mut octets = [0; 8];
                octets[..n].copy_from_slice(&frame[start..start + n]);
                registers[to] = Some(u64::from_le_bytes(octets));
            }
            0xbf => registers[to] = Some(value(from)),
            0xb7 => registers[to] = Some(i.immediate as u64),
            0x07 => registers[to] = Some(value(to) + i.immediate as u64),
            0x57 => registers[to] = Some(value(to) & i.immediate as u64),
            0x18 => {
                assert_eq!((from, i.immediate, program[at].code), (1, MAP, 0));
                registers[to] = Some(1);
                at += 1;
            }
            0x2d => {
                jumps = value(to) > value(from);
                if !jumps {
                    known_end = (value(to) - FRAME_AT) as usize;
                }
            }
            0xbd => jumps = value(to) <= value(from),
            0x16 => jumps = value(to) as u32 == i.immediate as u32,
            0x56 => jumps = value(to) as u32 != i.immediate as u32,
            0x46 => jumps = value(to) as u32 & i.immediate as u32 != 0,
            0x05 => jumps = true,
            0x85 => {
                assert_eq!((i.immediate, value(1), value(2), value(3)), (51, 1, QUEUE, 2));
                assert_eq!(program[at].code, 0x95);
                return None;
            }
            0x95 => return Some(value(0)),
            other => panic!("instruction {other:#x}"),
        }
        if jumps {
            assert!(i.offset >= 0, "a jump back");
            at += i.offset as usize;
        }
    }
}

const OURS: [&str; 5] =
    ["192.0.2.1:53", "192.0.2.2:5353", "[2001:db8::1]:53", "[2001:db8::2]:53", "[2001:db8::1]:5353"];

fn ours() -> Vec<Instruction> {
    program(&OURS.map(|a| a.parse().unwrap()), MAP)
}

fn to(destination: &str, port: u16) -> Vec<u8> {
    let destination: IpAddr = destination.parse().unwrap();
    let source = if destination.is_ipv4() { "198.51.100.9" } else { "2001:db8:9::9" };
    let mut f = frame(source.parse().unwrap(), destination, b"query");
    let at = if destination.is_ipv4() { 36 } else { 56 };
    f[at..at + 2].copy_from_slice(&port.to_be_bytes());
    f
}

/// Whether a frame is taken, after something was done to it.
fn check(destination: &str, port: u16, change: impl Fn(&mut Vec<u8>), is_taken: bool) {
    let mut f = to(destination, port);
    change(&mut f);
    assert_eq!(run(&ours(), &f), if is_taken { None } else { Some(2) }, "{destination} {port}: {f:02x?}");
}

#[test]
fn only_our_addresses_and_ports() {
    let same = |_: &mut Vec<u8>| {};
    check("192.0.2.1", 53, same, true);
    check("192.0.2.2", 5353, same, true);
    check("192.0.2.2", 53, same, false); // each address with its own port
    check("192.0.2.3", 53, same, false);
    check("2001:db8::1", 53, same, true);
    check("2001:db8::1", 5353, same, true);
    check("2001:db8::2", 53, same, true);
    check("2001:db8::2", 5353, same, false);
    check("2001:db8:1::1", 53, same, false);
}

#[test]
fn all_else_is_the_kernels() {
    for (destination, version) in [("192.0.2.1", 14), ("2001:db8::1", 14)] {
        check(destination, 53, |f| f[version] ^= 0x10, false);
        check(destination, 53, |f| f[0] |= 1, false); // to a group of stations
        check(destination, 53, |f| f[12..14].copy_from_slice(&[0x81, 0]), false); // a VLAN tag
        check(destination, 53, |f| f[12..14].copy_from_slice(&[8, 6]), false); // ARP
        check(destination, 53, |f| f.truncate(41), false);
        check(destination, 53, |f| f.resize(LONGEST, 0), true);
        check(destination, 53, |f| f.resize(LONGEST + 1, 0), false);
        check(destination, 53, |f| f.clear(), false);
    }
    check("192.0.2.1", 53, |f| f[14] = 0x46, false); // options
    check("192.0.2.1", 53, |f| f[20] = 0x20, false); // more fragments
    check("192.0.2.1", 53, |f| f[21] = 0x08, false); // a later one
    check("192.0.2.1", 53, |f| f[20] = 0x40, true); // not to be fragmented
    check("192.0.2.1", 53, |f| f[23] = 6, false); // TCP
    check("192.0.2.1", 53, |f| f.truncate(42), true);
    check("2001:db8::1", 53, |f| f[20] = 6, false);
    check("2001:db8::1", 53, |f| f[20] = 44, false); // a fragment
    check("2001:db8::1", 53, |f| f[14] = 0x6f, true); // any traffic class
    check("2001:db8::1", 53, |f| f.truncate(61), false);
}

/// As many addresses as are allowed, and one family alone, make a program whose jumps reach.
#[test]
fn programs_of_any_size() {
    let many: Vec<SocketAddr> = (0..MAX_ADDRS as u8).map(|i| SocketAddr::new([192, 0, 2, i].into(), 53)).collect();
    assert_eq!(run(&program(&many, MAP), &to("192.0.2.63", 53)), None);
    assert_eq!(run(&program(&many, MAP), &to("192.0.2.64", 53)), Some(2));
    assert_eq!(run(&program(&many, MAP), &to("2001:db8::1", 53)), Some(2));
    let v6 = program(&["[2001:db8::1]:53".parse().unwrap()], MAP);
    assert_eq!((run(&v6, &to("192.0.2.1", 53)), run(&v6, &to("2001:db8::1", 53))), (Some(2), None));
}

proptest! {
    /// What the program takes is never foreign to those who read it, whatever arrives.
    #[test]
    fn what_is_taken_can_be_read(
        mut f in prop_oneof![Just(to("192.0.2.1", 53)), Just(to("2001:db8::1", 53))],
        changes in proptest::collection::vec((0..62usize, any::<u8>()), 0..3), len in 0..70usize,
    ) {
        for (at, octet) in changes {
            if let Some(old) = f.get_mut(at) {
                *old = octet;
            }
        }
        f.truncate(len.max(10));
        if run(&ours(), &f).is_none() {
            prop_assert_ne!(Packet::read(&f), Err(Flaw::Foreign));
        }
    }
}

/// The kernel's own checker takes it. Only where it may be asked: as root.
#[test]
fn the_kernel_takes_it() {
    use crate::transport::xdp::bpf;
    use std::os::fd::AsRawFd;
    let Ok(map) = bpf::socket_map(4) else { return };
    let many: Vec<SocketAddr> = (0..32)
        .flat_map(|i| {
            [SocketAddr::new([192, 0, 2, i].into(), 53), SocketAddr::new([8193, 0, 0, 0, 0, 0, 0, i.into()].into(), 53)]
        })
        .collect();
    for addrs in [&many[..], &many[..1], &many[1..2]] {
        bpf::load(&program(addrs, map.as_raw_fd())).unwrap();
    }
}
