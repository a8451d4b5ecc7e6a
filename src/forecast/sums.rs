//! Running sums that take little room, and packed yes and no.

/// Steps between two sums that are kept. Our choice: half a byte a step for a sum in double precision, and
/// at most thirty additions to read one.
const EVERY: usize = 16;

/// Running sums of a row of numbers that somebody else holds.
#[derive(Clone, Debug, Default)]
pub struct Sums {
    /// The sum before every 16th number.
    kept: Vec<f64>,
    n: usize,
    total: f64,
}

impl Sums {
    /// Takes in the next number.
    pub fn push(&mut self, value: f64) {
        if self.n.is_multiple_of(EVERY) {
            self.kept.push(self.total);
        }
        self.n += 1;
        self.total += value;
    }

    /// Forgets the first `n`, a multiple of 16; positions count from the next on.
    pub fn forget(&mut self, n: usize) {
        self.kept.drain(..n / EVERY);
        self.n -= n;
    }

    /// The sum of all, what was forgotten included.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// The sum over positions `a..b`, `a ≤ b`, where `value` is the number at a position.
    pub fn between(&self, a: usize, b: usize, value: impl Fn(usize) -> f64) -> f64 {
        if b - a <= EVERY {
            return (a..b).map(value).sum();
        }
        let before = |i: usize| match self.kept.get(i / EVERY) {
            Some(kept) => kept + (i / EVERY * EVERY..i).map(&value).sum::<f64>(),
            None => self.total,
        };
        before(b) - before(a)
    }

    /// Bytes held besides itself.
    pub fn size(&self) -> usize {
        self.kept.capacity() * 8
    }
}

/// A row of yes and no.
#[derive(Clone, Debug, Default)]
pub struct Bits {
    words: Vec<u64>,
    n: usize,
}

impl Bits {
    /// Takes in the next.
    pub fn push(&mut self, bit: bool) {
        if self.n.is_multiple_of(64) {
            self.words.push(0);
        }
        self.words[self.n / 64] |= u64::from(bit) << (self.n % 64);
        self.n += 1;
    }

    /// Forgets the first `n`, a multiple of 64.
    pub fn forget(&mut self, n: usize) {
        self.words.drain(..n / 64);
        self.n -= n;
    }

    /// The one at a position.
    pub fn at(&self, i: usize) -> bool {
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// Bytes held besides itself.
    pub fn size(&self) -> usize {
        self.words.capacity() * 8
    }
}
