//! Whole numbers in given proportions.

/// Splits `total` seats over `shares` by largest remainder (Hamilton's method), as close to `prev` as that
/// leaves room for.
///
/// Shares need not sum to 1; negative and NaN count as 0. Each count is within one seat of
/// `share / Σ shares · total`; counts sum to `total`, or are all 0 when no share is above 0. A share of
/// 0 gets no seat. A count of `prev` (by index; empty for none) that is within one seat stays, so that
/// a change of two shares hardly ever re-seats the others by rounding. Equal remainders go to the lower
/// index.
pub fn apportion(shares: &[f32], total: u32, prev: &[u32]) -> Vec<u32> {
    let share = |i: usize| f64::from(shares[i]).max(0.0);
    let sum: f64 = (0..shares.len()).map(share).sum();
    if !(sum > 0.0 && sum.is_finite()) {
        return vec![0; shares.len()];
    }
    let exact = |i: usize| share(i) / sum * f64::from(total);
    let (least, most) = (|i: usize| exact(i).floor() as u32, |i: usize| exact(i).ceil() as u32);
    let start = |i: usize| prev.get(i).map_or(least(i), |&n| n.clamp(least(i), most(i)));
    let mut counts: Vec<u32> = (0..shares.len()).map(start).collect();
    let given: u32 = counts.iter().sum();
    let owed = |i: usize, counts: &[u32]| exact(i) - f64::from(counts[i]);
    if given < total {
        let mut order: Vec<usize> = (0..shares.len()).filter(|&i| counts[i] < most(i)).collect();
        order.sort_by(|&a, &b| owed(b, &counts).total_cmp(&owed(a, &counts)).then(a.cmp(&b)));
        order.iter().take((total - given) as usize).for_each(|&i| counts[i] += 1);
    } else if given > total {
        let mut order: Vec<usize> = (0..shares.len()).filter(|&i| counts[i] > least(i)).collect();
        order.sort_by(|&a, &b| owed(a, &counts).total_cmp(&owed(b, &counts)).then(b.cmp(&a)));
        order.iter().take((given - total) as usize).for_each(|&i| counts[i] -= 1);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden() {
        assert_eq!(apportion(&[0.5, 0.3, 0.2], 10, &[]), [5, 3, 2]);
        assert_eq!(apportion(&[1.0, 1.0, 1.0], 256, &[]), [86, 85, 85]);
        assert_eq!(apportion(&[1.0, 1.0, 1.0], 256, &[85, 85, 86]), [85, 85, 86]);
        assert_eq!(apportion(&[1.0, 1.0, 1.0], 256, &[256, 0, 0]), [86, 85, 85]);
        assert_eq!(apportion(&[0.0, 0.999, 0.001], 256, &[]), [0, 256, 0]);
        assert_eq!(apportion(&[0.0, 0.0], 256, &[128, 128]), [0, 0]);
        assert_eq!(apportion(&[f32::NAN, 1.0, -1.0], 8, &[]), [0, 8, 0]);
        assert_eq!(apportion(&[], 8, &[]), [0; 0]);
    }

    fn shares() -> impl Strategy<Value = Vec<f32>> {
        prop::collection::vec(prop_oneof![Just(0f32), 0f32..1.0], 1..300)
    }

    proptest! {
        #[test]
        fn counts_follow_shares(shares in shares(), before in shares(), bits in 8u32..17) {
            let total = 1 << bits;
            let sum: f64 = shares.iter().map(|&s| f64::from(s)).sum();
            let counts = apportion(&shares, total, &apportion(&before, total, &[]));
            prop_assert_eq!(counts.iter().sum::<u32>(), if sum > 0.0 { total } else { 0 });
            prop_assert_eq!(&apportion(&shares, total, &counts), &counts);
            for (&s, &c) in shares.iter().zip(&counts) {
                prop_assert!(s > 0.0 || c == 0);
                if sum > 0.0 {
                    prop_assert!((f64::from(c) - f64::from(s) / sum * f64::from(total)).abs() < 1.0 + 1e-6);
                }
            }
        }

        /// What two members do between them moves at most one seat of all the others together, where
        /// the two seats lie so that rounding leaves no other way.
        #[test]
        fn the_others_keep_their_seats(mut shares in prop::collection::vec(0.01f32..1.0, 3..20), part in 0f32..1.0) {
            let before = apportion(&shares, 1024, &[]);
            let moved = shares[0] * part;
            shares[0] -= moved;
            shares[1] += moved;
            let after = apportion(&shares, 1024, &before);
            let others: u32 = after[2..].iter().zip(&before[2..]).map(|(a, b)| a.abs_diff(*b)).sum();
            prop_assert!(others <= 1, "{after:?} {before:?}");
        }
    }
}
