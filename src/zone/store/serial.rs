//! A packed zone under another serial.

use crate::wire::rtype;
use crate::zone::store::{RECORD_HEADER, RRset, Zone};

/// Octets of a SOA's RDATA from its serial on (RFC 1035 section 3.3.13).
const FROM_SERIAL: usize = 20;

impl Zone {
    /// Gives the SOA another serial. Marks stay, and every node is where it was.
    pub fn set_serial(&mut self, serial: u32) {
        let apex = self.node_at_name(&[]);
        // A steered apex has a node as its file says it, too.
        let before = apex.map(|node| self.node_at(self.before_steering(node.at)));
        let of_apex = [apex, before].into_iter().flatten().filter_map(|node| node.rrset(rtype::SOA));
        let places: Vec<usize> = of_apex.chain(self.negative_soa()).map(|soa| self.serial_of(&soa)).collect();
        for at in &places {
            self.arena[*at..at + 4].copy_from_slice(&serial.to_be_bytes());
        }
        self.serial = if places.is_empty() { self.serial } else { serial };
    }

    /// Where in the arena the serial of a SOA stands.
    fn serial_of(&self, soa: &RRset<'_>) -> usize {
        let start = soa.records().as_ptr() as usize - self.arena.as_ptr() as usize;
        let len = usize::from(u16::from_be_bytes([self.arena[start + 10], self.arena[start + 11]]));
        start + RECORD_HEADER + len - FROM_SERIAL
    }
}

#[cfg(test)]
mod tests {
    use crate::id::GroupIdx;
    use crate::wire::{Name, rtype};
    use crate::zone::diff::{Difference, soa_of};
    use crate::zone::store::{Builder, Zone};

    fn zone() -> Zone {
        let apex: Name = "example".parse().unwrap();
        let mut builder = Builder::new(&apex);
        let soa = [&b"\x02ns\x07example\0\x01h\x07example\0"[..], &[0, 0, 0, 7], &[0; 16]].concat();
        builder.add(&apex, rtype::SOA, 60, &soa);
        builder.add(&apex, rtype::A, 60, &[192, 0, 2, 1]);
        builder.finish()
    }

    /// Wherever the SOA is kept it has the new serial, and nothing else is another than before.
    #[test]
    fn the_serial_alone_differs() {
        let apex: Name = "example".parse().unwrap();
        for is_steered in [false, true] {
            let mut old = zone();
            if is_steered {
                old.set_marks(vec![(apex.clone(), GroupIdx(3))]);
            }
            let mut new = old.clone();
            new.set_serial(0x0102_0304);
            let negative = new.negative_soa().unwrap().rdatas().next().unwrap().into_owned();
            assert_eq!(negative[negative.len() - 20..][..4], [1, 2, 3, 4]);
            assert_eq!((new.serial(), new.marks()), (0x0102_0304, old.marks()));
            assert!(Difference::between(&old, &new).unwrap().is_empty());
            new.set_marks(Vec::new());
            assert_eq!(soa_of(&new).unwrap().2.serial, 0x0102_0304, "as the file has it, too");
            assert_eq!(soa_of(&old).unwrap().2.serial, 7);
        }
    }
}
