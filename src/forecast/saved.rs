//! Fitted models as octets, so that a restart goes on with what was learnt.
//!
//! A saved state is a version, what its owner wrote, and a checksum over both. Numbers are little-endian and as exact as they
//! were, so what is read back forecasts the same to the last digit. It holds nothing that counts from the beginning of
//! a history: which steps there are, and the unit's zero, are taken from the history it is put to.

/// The form of all that is written here; another is not read.
pub const VERSION: u32 = 1;

//----------- Writing --------------------------------------------------------

/// Octets in the making.
#[derive(Debug)]
pub struct Writer(Vec<u8>);

impl Default for Writer {
    fn default() -> Writer {
        Writer(VERSION.to_le_bytes().to_vec())
    }
}

impl Writer {
    /// Appends a number.
    pub fn u32(&mut self, v: usize) {
        self.0.extend((v.min(u32::MAX as usize) as u32).to_le_bytes());
    }

    /// Appends a number.
    pub fn f32(&mut self, v: f32) {
        self.0.extend(v.to_le_bytes());
    }

    /// Appends a number.
    pub fn f64(&mut self, v: f64) {
        self.0.extend(v.to_le_bytes());
    }

    /// Appends a text.
    pub fn text(&mut self, v: &str) {
        self.octets(v.as_bytes());
    }

    /// Appends octets, such as those of another saved state.
    pub fn octets(&mut self, v: &[u8]) {
        self.u32(v.len());
        self.0.extend(v);
    }

    /// Appends how many there are, and each of them.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut one: impl FnMut(&mut Writer, T)) {
        self.u32(items.len());
        items.for_each(|item| one(self, item));
    }

    /// All of it, with its checksum.
    pub fn done(mut self) -> Vec<u8> {
        self.0.extend(checksum(&self.0).to_le_bytes());
        self.0
    }
}

//----------- Reading --------------------------------------------------------

/// Octets that were written by a [`Writer`]. Everything is `None` once something is not as it was written.
#[derive(Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Begins to read.
    ///
    /// # Errors
    /// What is wrong with the whole: another version, or damage.
    pub fn open(octets: &'a [u8]) -> Result<Reader<'a>, &'static str> {
        let (rest, sum) = octets.split_last_chunk().ok_or("it is cut off")?;
        if u64::from_le_bytes(*sum) != checksum(rest) {
            return Err("its checksum does not fit");
        }
        match rest.split_first_chunk() {
            Some((version, rest)) if u32::from_le_bytes(*version) == VERSION => Ok(Reader(rest)),
            _ => Err("it is of another version"),
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    /// The next number.
    pub fn u32(&mut self) -> Option<usize> {
        self.take().map(|b| u32::from_le_bytes(b) as usize)
    }

    /// The next number, if it is one.
    pub fn f32(&mut self) -> Option<f32> {
        self.take().map(f32::from_le_bytes).filter(|v| v.is_finite())
    }

    /// The next number, if it is one.
    pub fn f64(&mut self) -> Option<f64> {
        self.take().map(f64::from_le_bytes).filter(|v| v.is_finite())
    }

    /// The next octets.
    pub fn octets(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()?;
        let (octets, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(octets)
    }

    /// The next text.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.octets()?).ok()
    }

    /// The next list, of items of at least four octets each.
    pub fn list<T>(&mut self, mut one: impl FnMut(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
        let n = self.u32().filter(|n| *n <= self.0.len() / 4)?;
        (0..n).map(|_| one(self)).collect()
    }

    /// Whether all was read.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }
}

/// FNV-1a of 64 bits (Fowler, Noll, Vo; draft-eastlake-fnv), by words of eight octets: a disk is no adversary.
fn checksum(octets: &[u8]) -> u64 {
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0u64, |w, b| w << 8 | u64::from(*b));
    let mix = |sum: u64, chunk: &[u8]| (sum ^ word(chunk)).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    octets.chunks(8).fold(0xcbf2_9ce4_8422_2325 ^ octets.len() as u64, mix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> Vec<u8> {
        let mut w = Writer::default();
        w.text("lag 1");
        w.list([0.1f64, -7.0].into_iter(), |w, v| w.f64(v));
        w.f32(1.5);
        w.done()
    }

    #[test]
    fn what_was_written_is_read() {
        let octets = written();
        let mut r = Reader::open(&octets).unwrap();
        assert_eq!((r.text(), r.list(Reader::f64), r.f32()), (Some("lag 1"), Some(vec![0.1, -7.0]), Some(1.5)));
        assert!(r.is_done() && r.u32().is_none());
    }

    #[test]
    fn any_damage_is_seen() {
        let octets = written();
        for i in 0..octets.len() {
            let mut bad = octets.clone();
            bad[i] ^= 4;
            assert!(Reader::open(&bad).is_err() && Reader::open(&octets[..i]).is_err(), "{i}");
        }
        let mut newer = Writer(9u32.to_le_bytes().to_vec());
        newer.u32(1);
        assert_eq!(Reader::open(&newer.done()).unwrap_err(), "it is of another version");
    }
}
