//! The search tree of an MMDB file, walked once from left to right.
//!
//! `maxminddb` reads records; this reads the tree's shape, because a compile needs every network in
//! order of address, and because a file that is no tree must be found out in bounded time: nodes that
//! point back, or that so many others share that the walk would not end.
//!
//! Addresses are given as in the format's IPv6 trees: IPv4 stands at `::/96`, and three IPv6 prefixes
//! that carry an IPv4 address are aliases of it ([`ALIASES`]); the walk leaves them out.
//!
//! Source: MaxMind DB file format specification, version 2.0, "Binary Search Tree Section".

use crate::geo::runs::Address;

/// IPv6 prefixes that stand for an IPv4 address, as (prefix bits, prefix length): IPv4-compatible,
/// IPv4-mapped (RFC 4291 section 2.5.5), Teredo (RFC 4380) and 6to4 (RFC 3056). The IPv4 address
/// follows the prefix; of Teredo that is the server's address, as in the databases' own aliases.
pub const ALIASES: [(u128, u8); 4] = [(0, 96), (0xffff << 32, 96), (0x2001 << 112, 32), (0x2002 << 112, 16)];

/// The IPv4 address that an IPv6 address stands for, and how many bits precede it; see [`ALIASES`].
pub fn embedded_v4(addr: u128) -> Option<(u32, u8)> {
    ALIASES.iter().find_map(|&(prefix, len)| {
        let inside = (addr ^ prefix) >> (128 - u32::from(len)) == 0;
        inside.then_some(((addr >> (96 - u32::from(len))) as u32, len))
    })
}

//----------- Tree -----------------------------------------------------------

/// The tree section of one file.
pub struct Tree<'a> {
    /// The whole file; the tree is at its start.
    pub bytes: &'a [u8],
    /// Nodes in the tree.
    pub n_nodes: u32,
    /// Bits of one of the two records of a node: 24, 28 or 32.
    pub record_bits: u16,
    /// 4 or 6.
    pub ip_version: u16,
    /// Octets of the data section.
    pub data_len: usize,
}

/// Why a tree is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadTree(pub &'static str);

impl std::fmt::Display for BadTree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

enum Record {
    Node(u32),
    Nothing,
    Data(u32),
}

impl Tree<'_> {
    /// Visits every leaf of one family from the lowest address up: first address, prefix length, and the
    /// data offset of its record (`None` where the file knows nothing). The leaves cover the family.
    ///
    /// # Errors
    /// [`BadTree`] when a path is longer than an address, when a record points outside the file, or
    /// when the nodes are shared so much that there are over eight times as many paths as nodes (honest
    /// files have one path to a node, and at most the aliases more).
    pub fn leaves<A: Address>(&self, mut visit: impl FnMut(A, u8, Option<u32>)) -> Result<(), BadTree> {
        let root = match (A::BITS, self.ip_version) {
            (32, 6) => self.v4_root()?,
            (128, 4) => Record::Nothing,
            _ => Record::Node(0),
        };
        let mut visits_left = u64::from(self.n_nodes) * 8 + 256;
        let mut stack = vec![(root, 0u128, 0u8)];
        while let Some((record, prefix, depth)) = stack.pop() {
            visits_left =
                visits_left.checked_sub(1).ok_or(BadTree("the search tree has a cycle or shares nodes without end"))?;
            let alias = A::BITS == 128 && depth >= 16 && ALIASES.contains(&(prefix, depth));
            match record {
                Record::Node(node) if !alias => {
                    if depth >= A::BITS {
                        return Err(BadTree("a path of the search tree is longer than an address: it has a cycle"));
                    }
                    let right = prefix | 1 << (A::BITS - 1 - depth);
                    stack.push((self.record(node, 1)?, right, depth + 1));
                    stack.push((self.record(node, 0)?, prefix, depth + 1));
                }
                Record::Data(offset) if !alias => visit(A::from_bits(prefix), depth, Some(offset)),
                _ => visit(A::from_bits(prefix), depth, None),
            }
        }
        Ok(())
    }

    fn v4_root(&self) -> Result<Record, BadTree> {
        let mut record = Record::Node(0);
        for _ in 0..96 {
            let Record::Node(node) = record else { break };
            record = self.record(node, 0)?;
        }
        Ok(record)
    }

    fn record(&self, node: u32, side: usize) -> Result<Record, BadTree> {
        let size = usize::from(self.record_bits) / 4;
        let octets = node as usize * size;
        let octets =
            self.bytes.get(octets..octets + size).ok_or(BadTree("the search tree ends before its last node"))?;
        let value = match (octets, side) {
            (&[a, b, c, _, _, _], 0) | (&[_, _, _, a, b, c], 1) => u32::from_be_bytes([0, a, b, c]),
            (&[a, b, c, mid, _, _, _], 0) => u32::from_be_bytes([mid >> 4, a, b, c]),
            (&[_, _, _, mid, a, b, c], 1) => u32::from_be_bytes([mid & 15, a, b, c]),
            (&[a, b, c, d, _, _, _, _], 0) | (&[_, _, _, _, a, b, c, d], 1) => u32::from_be_bytes([a, b, c, d]),
            _ => return Err(BadTree("its records are not of 24, 28 or 32 bits")),
        };
        match value.checked_sub(self.n_nodes) {
            None => Ok(Record::Node(value)),
            Some(0) => Ok(Record::Nothing),
            // Sixteen zero octets stand between the tree and the data.
            Some(n) if n >= 16 && ((n - 16) as usize) < self.data_len => Ok(Record::Data(n - 16)),
            Some(_) => Err(BadTree("a record of the search tree points outside the data section")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv6Addr;

    #[test]
    fn aliases_carry_their_address() {
        let v4 = u32::from_be_bytes([192, 0, 2, 33]);
        for (text, want) in [
            ("::ffff:192.0.2.33", Some((v4, 96))),
            ("::192.0.2.33", Some((v4, 96))),
            ("2002:c000:221::1", Some((v4, 16))),
            ("2001:0:c000:221::1", Some((v4, 32))),
            ("2001:db8::1", None),
            ("::1:0:0:1", None),
        ] {
            let addr: Ipv6Addr = text.parse().unwrap();
            assert_eq!(embedded_v4(addr.to_bits()), want, "{text}");
        }
    }

    /// Trees that are none end in bounded time with a reason: a node that is its own child, and a ladder
    /// whose every node has both sides on the next, which has 2^128 paths.
    #[test]
    fn hostile_shapes_are_refused() {
        let node = |l: u32, r: u32| [&l.to_be_bytes()[1..], &r.to_be_bytes()[1..]].concat();
        let check = |nodes: &[(u32, u32)], want: &str| {
            let bytes: Vec<u8> = nodes.iter().flat_map(|&(l, r)| node(l, r)).collect();
            let n_nodes = nodes.len() as u32;
            let tree = Tree { bytes: &bytes, n_nodes, record_bits: 24, ip_version: 6, data_len: 4 };
            let got = tree.leaves::<u128>(|_, _, _| ()).and(tree.leaves::<u32>(|_, _, _| ())).unwrap_err();
            assert!(got.0.contains(want), "{got:?}");
        };
        check(&[(0, 1)], "cycle");
        check(&[(0, 0)], "cycle");
        check(&[(3, 1)], "outside the data");
        check(&[(1 + 16 + 4, 1)], "outside the data");
        let ladder: Vec<_> = (0..120).map(|i| (i + 1, i + 1)).collect();
        check(&ladder, "without end");
    }
}
