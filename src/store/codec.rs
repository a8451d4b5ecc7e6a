//! Numbers as few octets: whole numbers in groups of seven bits, floats by what differs from the one before.
//!
//! Floats follow Pelkonen et al., "Gorilla: a fast, scalable, in-memory time series database" (VLDB 2015), section 4.1.2,
//! cut at octets instead of bits: the XOR with the value before has zeros in front where the two are near each other and
//! behind where they are short numbers. Our choice, because half of the gain is there and nothing straddles an octet.

//----------- Writing --------------------------------------------------------

/// Appends a whole number, 1 to 10 octets (LEB128).
pub fn put_uint(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Appends a signed number: small ones of either sign are short (zigzag).
pub fn put_int(out: &mut Vec<u8>, n: i64) {
    put_uint(out, ((n << 1) ^ (n >> 63)) as u64);
}

/// Appends a float, given the one `before` it in its column: an octet with the number of zero octets in front (high
/// half) and of those that follow (low half), and the latter.
pub fn put_float(out: &mut Vec<u8>, x: f64, before: f64) {
    let xor = x.to_bits() ^ before.to_bits();
    if xor == 0 {
        out.push(0);
        return;
    }
    let front = xor.leading_zeros() / 8;
    let n = 8 - front - xor.trailing_zeros() / 8;
    out.push((front << 4 | n) as u8);
    out.extend_from_slice(&xor.to_be_bytes()[front as usize..][..n as usize]);
}

//----------- Reading --------------------------------------------------------

/// Octets that are being read. Every reader gives `None` at what nobody has written.
#[derive(Clone, Copy, Debug)]
pub struct Octets<'a>(pub &'a [u8]);

impl<'a> Octets<'a> {
    /// The next `n` octets.
    pub fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    /// A whole number.
    pub fn uint(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let octet = u64::from(self.take(1)?[0]);
            let bits = octet & 0x7f;
            if bits << shift >> shift != bits {
                return None;
            }
            n |= bits << shift;
            if octet < 0x80 {
                return Some(n);
            }
        }
        None
    }

    /// A signed number.
    pub fn int(&mut self) -> Option<i64> {
        let n = self.uint()?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }

    /// A float, given the one before it in its column.
    pub fn float(&mut self, before: f64) -> Option<f64> {
        let head = self.take(1)?[0];
        let (front, n) = (usize::from(head >> 4), usize::from(head & 15));
        if front + n > 8 {
            return None;
        }
        let mut xor = [0; 8];
        xor[front..front + n].copy_from_slice(self.take(n)?);
        Some(f64::from_bits(before.to_bits() ^ u64::from_be_bytes(xor)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_numbers_are_short() {
        let check = |x: f64, before: f64, n: usize| {
            let mut out = Vec::new();
            put_float(&mut out, x, before);
            assert_eq!(out.len(), n, "{x} after {before}");
        };
        check(5.0, 5.0, 1);
        check(1.0, 0.0, 3);
        check(1234.0, 1233.0, 2);
        check(0.1, 0.0, 9);
    }

    proptest! {
        /// Reading gives what was written, whatever the bits, NaN included.
        #[test]
        fn what_is_written_is_read(floats: Vec<u64>, uints: Vec<u64>, ints: Vec<i64>) {
            let mut out = Vec::new();
            let mut before = 0.0;
            for bits in &floats {
                put_float(&mut out, f64::from_bits(*bits), before);
                before = f64::from_bits(*bits);
            }
            uints.iter().for_each(|n| put_uint(&mut out, *n));
            ints.iter().for_each(|n| put_int(&mut out, *n));
            let mut octets = Octets(&out);
            let mut before = 0.0;
            for bits in floats {
                before = octets.float(before).unwrap();
                prop_assert_eq!(before.to_bits(), bits);
            }
            for n in uints {
                prop_assert_eq!(octets.uint(), Some(n));
            }
            for n in ints {
                prop_assert_eq!(octets.int(), Some(n));
            }
            prop_assert_eq!(octets.uint(), None);
        }

        #[test]
        fn nonsense_is_no_number(octets: Vec<u8>) {
            let (mut a, mut b) = (Octets(&octets), Octets(&octets));
            while a.uint().is_some() {}
            while b.float(1.0).is_some() {}
        }
    }
}
