//! The program that the kernel runs for every frame that arrives: which ones are ours.
//!
//! Ours is what goes, in one piece and without decoration, to an address and port that we serve; it is handed to the
//! [`crate::transport::xdp::socket`] of the queue that it came in by. All else goes on to the kernel as if there were no program:
//! ARP, TCP, other ports, fragments, options, extension headers, VLAN tags, frames too long for our buffers, and what
//! a queue without a socket gets. The kernel serves those by our ordinary sockets, where they are for us at all.
//!
//! In the words of C:
//!
//! ```text
//!   if (frame longer than LONGEST || shorter than 42) pass;
//!   if (destination is a group of stations) pass;
//!   if (type == IPv4) {
//!       if (first octet != 0x45 || fragment || protocol != UDP) pass;
//!   } else if (type == IPv6) {
//!       if (shorter than 62 || version != 6 || next header != UDP) pass;
//!   } else pass;
//!   for each (address, port) of the family
//!       if (destination == address && destination port == port) return redirect(sockets, queue, else pass);
//!   pass;
//! ```
//!
//! The machine is eBPF (RFC 9669); a kernel of 5.9 or newer runs it.

use std::net::{IpAddr, SocketAddr};

/// Longest frame that is taken: a buffer of 2,048 octets less the 256 that the kernel keeps before a frame
/// (XDP_PACKET_HEADROOM). A full Ethernet frame is 1,514.
pub const LONGEST: usize = 2048 - 256;

/// Addresses that the program compares one by one, at most. Our choice: some 300 instructions, and a frame for the kernel
/// (TCP, say) leaves before the first comparison.
pub const MAX_ADDRS: usize = 64;

/// What the program returns to pass a frame on (`XDP_PASS` of linux/bpf.h).
const XDP_PASS: i32 = 2;
/// `bpf_redirect_map` among the kernel's helpers.
const REDIRECT_MAP: i32 = 51;

/// Ethernet's types, and the mark of a group in a station's first octet.
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const GROUP: i32 = 1;
const UDP: i32 = 17;

/// Where things stand in a frame; see the picture in [`crate::transport::xdp::frame`].
mod at {
    pub(super) const STATION: i16 = 0;
    pub(super) const TYPE: i16 = 12;
    pub(super) const VERSION: i16 = 14;
    pub(super) const V4_FRAGMENT: i16 = 20;
    pub(super) const V4_PROTOCOL: i16 = 23;
    pub(super) const V4_DESTINATION: i16 = 30;
    pub(super) const V4_PORT: i16 = 36;
    pub(super) const V4_PAYLOAD: i32 = 42;
    pub(super) const V6_NEXT_HEADER: i16 = 20;
    pub(super) const V6_DESTINATION: i16 = 38;
    pub(super) const V6_PORT: i16 = 56;
    pub(super) const V6_PAYLOAD: i32 = 62;
    // Of `struct xdp_md`, which the program is given:
    pub(super) const START: i16 = 0;
    pub(super) const END: i16 = 4;
    pub(super) const QUEUE: i16 = 16;
}

/// Registers by their use.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const FRAME: u8 = 2;
const FRAME_END: u8 = 3;
/// The four words of an address; the first two also hold what is looked at before.
const WORDS: [u8; 4] = [4, 6, 7, 8];
const EDGE: u8 = 4;
const FIELD: u8 = 5;
const PORT: u8 = 5;

/// The program that hands frames for `addrs` to the sockets in `map` (a descriptor of this process). Addresses are meant
/// as they stand: an unspecified one matches nothing.
pub fn program(addrs: &[SocketAddr], map: i32) -> Vec<Instruction> {
    let of_family = |is_v4: bool| addrs.iter().filter(move |a| a.is_ipv4() == is_v4);
    let mut p = Assembler::default();
    p.load(FRAME, Size::Word, CONTEXT, at::START);
    p.load(FRAME_END, Size::Word, CONTEXT, at::END);
    // Too long: the octet behind the longest frame would be there.
    p.offset(EDGE, FRAME, LONGEST as i32 + 1);
    p.jump_unless_above(EDGE, FRAME_END, Label::Pass);
    p.offset(EDGE, FRAME, at::V4_PAYLOAD);
    p.jump_if_above(EDGE, FRAME_END, Label::Pass);
    p.load(FIELD, Size::Octet, FRAME, at::STATION);
    p.jump_if_any(FIELD, GROUP, Label::Pass);
    p.load(FIELD, Size::Half, FRAME, at::TYPE);
    p.jump_if_equal(FIELD, half(IPV4), Label::V4);
    p.jump_if_other(FIELD, half(IPV6), Label::Pass);

    p.offset(EDGE, FRAME, at::V6_PAYLOAD);
    p.jump_if_above(EDGE, FRAME_END, Label::Pass);
    p.load(FIELD, Size::Octet, FRAME, at::VERSION);
    p.and(FIELD, 0xf0); // the rest is part of the traffic class
    p.jump_if_other(FIELD, 0x60, Label::Pass);
    p.load(FIELD, Size::Octet, FRAME, at::V6_NEXT_HEADER);
    p.jump_if_other(FIELD, UDP, Label::Pass);
    p.load(PORT, Size::Half, FRAME, at::V6_PORT);
    for (nth, register) in WORDS.into_iter().enumerate() {
        p.load(register, Size::Word, FRAME, at::V6_DESTINATION + 4 * nth as i16);
    }
    for (nth, addr) in of_family(false).enumerate() {
        p.compare(addr, Label::NextV6(nth));
    }
    p.jump(Label::Pass);

    p.here(Label::V4);
    p.load(FIELD, Size::Octet, FRAME, at::VERSION);
    p.jump_if_other(FIELD, 0x45, Label::Pass); // version 4, a header of 5 words: no options
    p.load(FIELD, Size::Half, FRAME, at::V4_FRAGMENT);
    p.jump_if_any(FIELD, half([0x3f, 0xff]), Label::Pass); // more to come, or not the first
    p.load(FIELD, Size::Octet, FRAME, at::V4_PROTOCOL);
    p.jump_if_other(FIELD, UDP, Label::Pass);
    p.load(PORT, Size::Half, FRAME, at::V4_PORT);
    p.load(WORDS[0], Size::Word, FRAME, at::V4_DESTINATION);
    for (nth, addr) in of_family(true).enumerate() {
        p.compare(addr, Label::NextV4(nth));
    }

    p.here(Label::Pass);
    p.set(RESULT, XDP_PASS);
    p.exit();

    p.here(Label::Ours);
    // redirect_map(map, queue, XDP_PASS): the last is the result where the queue has no socket.
    p.load(2, Size::Word, CONTEXT, at::QUEUE);
    p.set_map(1, map);
    p.set(3, XDP_PASS);
    p.call(REDIRECT_MAP);
    p.exit();
    p.finish()
}

/// Two octets as they are loaded from a frame.
fn half(octets: [u8; 2]) -> i32 {
    i32::from(u16::from_ne_bytes(octets))
}

/// Four octets likewise.
fn word(octets: &[u8; 4]) -> i32 {
    i32::from_ne_bytes(*octets)
}

//----------- Instruction ----------------------------------------------------

/// `struct bpf_insn` of linux/bpf.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// Destination in the low half, source in the high half (on little-endian machines).
    pub registers: u8,
    /// Of a jump, in instructions; of a load, in octets.
    pub offset: i16,
    /// The constant.
    pub immediate: i32,
}

/// Octets of a load.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Size {
    Word = 0x00,
    Half = 0x08,
    Octet = 0x10,
}

/// Places in the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    V4,
    Pass,
    Ours,
    NextV4(usize),
    NextV6(usize),
}

//----------- Assembler ------------------------------------------------------

/// Puts instructions one behind the other; jumps go forward, to labels set later.
#[derive(Default)]
struct Assembler {
    done: Vec<Instruction>,
    jumps: Vec<(usize, Label)>,
    labels: Vec<(Label, usize)>,
}

// Classes and operations of RFC 9669 section 3.
const LOAD_FROM: u8 = 0x61; // LDX | MEM
const LOAD_CONSTANT: u8 = 0x18; // LD | IMM | DW, over two instructions
const MOVE: u8 = 0xb7; // ALU64 | MOV | K
const MOVE_REGISTER: u8 = 0xbf; // ALU64 | MOV | X
const ADD: u8 = 0x07; // ALU64 | ADD | K
const AND: u8 = 0x57; // ALU64 | AND | K
const JUMP: u8 = 0x05; // JMP | JA
const IF_ABOVE: u8 = 0x2d; // JMP | JGT | X
const UNLESS_ABOVE: u8 = 0xbd; // JMP | JLE | X
const IF_EQUAL: u8 = 0x16; // JMP32 | JEQ | K
const IF_OTHER: u8 = 0x56; // JMP32 | JNE | K
const IF_ANY: u8 = 0x46; // JMP32 | JSET | K
const CALL: u8 = 0x85; // JMP | CALL
const EXIT: u8 = 0x95; // JMP | EXIT
/// Source register of [`LOAD_CONSTANT`] for a map's descriptor (`BPF_PSEUDO_MAP_FD`).
const OF_MAP: u8 = 1;

impl Assembler {
    fn add(&mut self, code: u8, to: u8, from: u8, offset: i16, immediate: i32) {
        let registers = if cfg!(target_endian = "little") { from << 4 | to } else { to << 4 | from };
        self.done.push(Instruction { code, registers, offset, immediate });
    }

    fn add_jump(&mut self, code: u8, left: u8, right: u8, immediate: i32, to: Label) {
        self.jumps.push((self.done.len(), to));
        self.add(code, left, right, 0, immediate);
    }

    /// `to = *(from + offset)`.
    fn load(&mut self, to: u8, size: Size, from: u8, offset: i16) {
        self.add(LOAD_FROM | size as u8, to, from, offset, 0);
    }

    /// `to = from + n`.
    fn offset(&mut self, to: u8, from: u8, n: i32) {
        self.add(MOVE_REGISTER, to, from, 0, 0);
        self.add(ADD, to, 0, 0, n);
    }

    /// `register &= mask`.
    fn and(&mut self, register: u8, mask: i32) {
        self.add(AND, register, 0, 0, mask);
    }

    /// `register = constant`.
    fn set(&mut self, register: u8, constant: i32) {
        self.add(MOVE, register, 0, 0, constant);
    }

    /// `register = the map behind a descriptor`.
    fn set_map(&mut self, register: u8, map: i32) {
        self.add(LOAD_CONSTANT, register, OF_MAP, 0, map);
        self.add(0, 0, 0, 0, 0);
    }

    fn jump(&mut self, to: Label) {
        self.add_jump(JUMP, 0, 0, 0, to);
    }

    fn jump_if_above(&mut self, left: u8, right: u8, to: Label) {
        self.add_jump(IF_ABOVE, left, right, 0, to);
    }

    fn jump_unless_above(&mut self, left: u8, right: u8, to: Label) {
        self.add_jump(UNLESS_ABOVE, left, right, 0, to);
    }

    fn jump_if_equal(&mut self, register: u8, constant: i32, to: Label) {
        self.add_jump(IF_EQUAL, register, 0, constant, to);
    }

    fn jump_if_other(&mut self, register: u8, constant: i32, to: Label) {
        self.add_jump(IF_OTHER, register, 0, constant, to);
    }

    fn jump_if_any(&mut self, register: u8, bits: i32, to: Label) {
        self.add_jump(IF_ANY, register, 0, bits, to);
    }

    /// To [`Label::Ours`] if destination and port are those of `addr`; else on to `next`, which follows.
    fn compare(&mut self, addr: &SocketAddr, next: Label) {
        let (v4, v6);
        let octets: &[u8] = match addr.ip() {
            IpAddr::V4(addr) => (v4 = addr.octets(), &v4).1,
            IpAddr::V6(addr) => (v6 = addr.octets(), &v6).1,
        };
        for (register, octets) in WORDS.into_iter().zip(octets.as_chunks().0) {
            self.jump_if_other(register, word(octets), next);
        }
        self.jump_if_equal(PORT, half(addr.port().to_be_bytes()), Label::Ours);
        self.here(next);
    }

    fn call(&mut self, helper: i32) {
        self.add(CALL, 0, 0, 0, helper);
    }

    fn exit(&mut self) {
        self.add(EXIT, 0, 0, 0, 0);
    }

    /// The next instruction is `label`.
    fn here(&mut self, label: Label) {
        self.labels.push((label, self.done.len()));
    }

    fn finish(mut self) -> Vec<Instruction> {
        for (from, to) in self.jumps {
            let target = self.labels.iter().find(|(label, _)| *label == to).expect("every label is set").1;
            self.done[from].offset = i16::try_from(target - from - 1).expect("programs are short");
        }
        self.done
    }
}

#[cfg(test)]
#[path = "program_tests.rs"]
mod tests;
