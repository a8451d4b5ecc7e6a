//! Hashes that are the same in every process, on every machine and in every version.
//!
//! Which member a client gets hangs on these functions: changing one moves every client.

use crate::wire::Name;
use siphasher::sip::SipHasher24;
use std::hash::Hasher;

/// SipHash-2-4 key of [`name_hash`]; arbitrary and fixed for ever.
const NAME_KEY: (u64, u64) = (0x666c_6f6f_6477_6179, 0x6e61_6d65_2068_6173);

/// Stable hash of a name: SipHash-2-4 of its wire form in lower case under a fixed key.
pub fn name_hash(name: &Name) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(NAME_KEY.0, NAME_KEY.1);
    hasher.write(name.as_wire());
    hasher.finish()
}

/// SplitMix64's step and finalizer (Steele, Lea and Flood 2014) over two words: uniform in `u64`.
#[inline]
pub(crate) fn mix(seed: u64, at: u64) -> u64 {
    let mut z = seed.wrapping_add(at.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// −ln(u) for `u = (h | 1) / 2^64`: an exponential variate of mean 1 from a uniform hash.
///
/// Only additions, products and one quotient, all exact to the last bit by IEEE 754, because a
/// libm's `ln` may differ between machines. `u = f·2^−(z+1)` with `f` in `[1, 2)`, and
/// `ln f = 2·(s + s³/3 + s⁵/5 + …)`, `s = (f − 1)/(f + 1) ≤ 1/3`; twelve terms are right to 10⁻¹².
pub(crate) fn exponential(h: u64) -> f32 {
    let h = h | 1;
    let zeros = h.leading_zeros();
    let f = ((h << zeros) >> 11) as f64 * (1.0 / (1u64 << 52) as f64);
    let s = (f - 1.0) / (f + 1.0);
    let q = s * s;
    let mut sum = 0.0;
    for k in (0..12u32).rev() {
        sum = sum * q + 1.0 / f64::from(2 * k + 1);
    }
    (f64::from(zeros + 1) * std::f64::consts::LN_2 - 2.0 * s * sum).max(0.0) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden values: if they change, every client of every operator moves.
    #[test]
    fn values_never_change() {
        let name: Name = "ams.web.example.com.".parse().unwrap();
        let shout: Name = "AMS.web.Example.com".parse().unwrap();
        assert_eq!(name_hash(&name), name_hash(&shout));
        assert_eq!(name_hash(&name), 1618979048918486948);
        assert_eq!(mix(1, 2), 17911839290282890590);
    }

    #[test]
    fn exponential_is_minus_ln() {
        for i in 0..10_000 {
            let h = mix(7, i);
            let expect = -((h | 1) as f64 / 2f64.powi(64)).ln();
            assert!((f64::from(exponential(h)) - expect).abs() <= 1e-6 * expect.max(1e-3), "{h:x}");
        }
        assert!(exponential(0) > 44.0);
        assert!(exponential(u64::MAX) >= 0.0);
    }
}
