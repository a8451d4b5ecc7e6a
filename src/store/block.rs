//! Some hundred buckets of one series as octets.
//!
//! ```text
//!   version (1)   which slots hold a bucket, a bit each, lowest first
//!   per bucket:   2 · count + (1 if a sketch follows)   last_ms   last
//!                 unless count is 1: sum, min, max
//!                 the sketch
//!   check         SipHash-1-3 of all before it, the low 32 bits
//! ```
//!
//! Whole numbers and floats are those of [`codec`](crate::store::codec); a float is written against the same column of
//! the bucket before. The check is there because SQLite has none of its own: a page that came back wrong from a disk is
//! told as damaged, and does not become a demand.

use crate::store::codec::{Octets, put_float, put_uint};
use crate::store::rollup::{Bucket, Level};
use crate::store::sketch::Sketch;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// The form above.
const VERSION: u8 = 1;
/// Octets of the check.
const CHECK: usize = 4;

/// Octets that are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// Writes the buckets of a block that begins at `start`, ascending and each inside of it.
pub fn encode(level: Level, start: i64, buckets: &[(i64, Bucket)]) -> Vec<u8> {
    let mut out = vec![VERSION];
    let mut used = vec![0u8; level.slots().div_ceil(8)];
    for (at, _) in buckets {
        let slot = ((at - start) / level.secs()) as usize;
        used[slot / 8] |= 1 << (slot % 8);
    }
    out.extend_from_slice(&used);
    let mut before = [0.0; 4];
    for (_, bucket) in buckets {
        put_uint(&mut out, bucket.count.min(u64::MAX >> 1) << 1 | u64::from(bucket.sketch.is_some()));
        put_uint(&mut out, bucket.last_ms.into());
        let columns = [bucket.last, bucket.sum, bucket.min, bucket.max];
        let n_columns = if bucket.count == 1 { 1 } else { columns.len() };
        for (value, before) in columns.iter().zip(&before).take(n_columns) {
            put_float(&mut out, *value, *before);
        }
        before = columns;
        if let Some(sketch) = &bucket.sketch {
            sketch.encode(&mut out);
        }
    }
    let check = check(&out);
    out.extend_from_slice(&check);
    out
}

/// Reads the buckets of a block that begins at `start`, ascending.
///
/// # Errors
/// [`Damaged`] for anything that [`encode`] has not written.
pub fn decode(level: Level, start: i64, octets: &[u8]) -> Result<Vec<(i64, Bucket)>, Damaged> {
    let (body, sum) = octets.split_at_checked(octets.len().wrapping_sub(CHECK)).ok_or(Damaged)?;
    if sum != check(body) {
        return Err(Damaged);
    }
    read(level, start, body).ok_or(Damaged)
}

fn read(level: Level, start: i64, body: &[u8]) -> Option<Vec<(i64, Bucket)>> {
    let mut octets = Octets(body);
    if octets.take(1)? != [VERSION] {
        return None;
    }
    let used = octets.take(level.slots().div_ceil(8))?;
    let slots = (0..level.slots()).filter(|slot| used[slot / 8] >> (slot % 8) & 1 == 1);
    let mut buckets = Vec::with_capacity(level.slots());
    let mut before = [0.0; 4];
    for slot in slots {
        let head = octets.uint()?;
        let (count, has_sketch) = (head >> 1, head & 1 == 1);
        let last_ms = u32::try_from(octets.uint()?).ok()?;
        let last = octets.float(before[0])?;
        let [sum, min, max] = match count {
            1 => [last; 3],
            _ => [octets.float(before[1])?, octets.float(before[2])?, octets.float(before[3])?],
        };
        before = [last, sum, min, max];
        let sketch = match has_sketch {
            true => Some(Box::new(Sketch::decode(&mut octets)?)),
            false => None,
        };
        let bucket = Bucket { count, sum, min, max, last, last_ms, sketch };
        buckets.push((start + slot as i64 * level.secs(), Some(bucket).filter(Bucket::is_sound)?));
    }
    octets.0.is_empty().then_some(buckets)
}

fn check(octets: &[u8]) -> [u8; CHECK] {
    let mut hasher = SipHasher13::new();
    hasher.write(octets);
    (hasher.finish() as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket() -> impl Strategy<Value = Bucket> {
        let one =
            (-1e12..1e12f64, 0..3_600_000u32, any::<bool>()).prop_map(|(v, ms, sketched)| Bucket::of(v, ms, sketched));
        let many = (one.clone(), prop::collection::vec(0.0..1e6f64, 0..5)).prop_map(|(mut bucket, more)| {
            more.iter().for_each(|v| bucket.add(*v, bucket.last_ms / 2));
            bucket
        });
        prop_oneof![one, many]
    }

    /// Sixty demands seen sixty times each are at most half of their numbers; a minute seen once is a few octets.
    #[test]
    fn blocks_are_small() {
        let minute = |m: i64| {
            let demand = |s: i64| f64::from((1000.0 + 50.0 * ((60 * m + s) as f32 / 700.0).sin()).round());
            let mut bucket = Bucket::of(demand(0), 0, false);
            (1..60).for_each(|s| bucket.add(demand(s), 1000 * s as u32));
            (60 * m, bucket)
        };
        let dense: Vec<_> = (0..60).map(minute).collect();
        let sparse: Vec<_> = (0..60).map(|m| (60 * m, Bucket::of(1000.0 + m as f64, 0, false))).collect();
        let len = |buckets: &[_]| encode(Level::Minute, 0, buckets).len();
        assert!(len(&dense) < 60 * 20, "{}", len(&dense));
        assert!(len(&sparse) < 60 * 6, "{}", len(&sparse));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(slots in prop::collection::btree_map(0..96i64, bucket(), 0..96), at in -9..9i64) {
            let level = Level::Hour;
            let start = at * level.block_secs();
            let buckets: Vec<_> = slots.into_iter().map(|(slot, b)| (start + slot * level.secs(), b)).collect();
            prop_assert_eq!(decode(level, start, &encode(level, start, &buckets)), Ok(buckets));
        }

        /// A flipped bit is noticed, and octets that were never written do no harm.
        #[test]
        fn damage_is_noticed(bucket in bucket(), at: prop::sample::Index, bit in 0..8u8, octets: Vec<u8>) {
            let mut block = encode(Level::Minute, 0, &[(60, bucket)]);
            let at = at.index(block.len());
            block[at] ^= 1 << bit;
            prop_assert_eq!(decode(Level::Minute, 0, &block), Err(Damaged));
            prop_assert_eq!(decode(Level::Minute, 0, &octets), Err(Damaged));
            read(Level::Minute, 0, &[&[VERSION], &octets[..]].concat());
        }
    }
}
