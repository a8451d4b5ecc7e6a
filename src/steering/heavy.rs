//! Slots that carry much, placed as a whole.
//!
//! A row's shares are shares of what its slots carry. Ordinary slots carry about the same each and are counted; one with a
//! large resolver behind it is not one slot of 1,024, so slots that are known to carry much are placed first, by their
//! weight, and the others fill the shares up. The order is that of list scheduling, the heaviest first (Graham 1969): each
//! goes to the member that lacks most. Its owner keeps it, though, while that lacks at least half of it, since what is moved
//! is the very client whose caches are the largest; and while all that is given beyond shares stays within half of the
//! heaviest, or many slots, kept for half of their weight each, would leave nothing for somebody else.
//!
//! Law: whoever holds a heavy slot is above its share, and anyone else below it, by 1.5 of the heaviest together at most
//! (by 1 in a row without a history), and a slot or two of rounding. Less cannot be promised of what is not split.

use crate::steering::apportion;
use crate::steering::slots::Counts;

/// Heavy slots of a row are worth this much together at most: what has not been asked yet goes by shares, too.
const MOST_WHOLE: f64 = 0.95;

/// Where the heavy slots of a row go, and how many slots each member has with the ordinary ones.
#[derive(Debug, PartialEq)]
pub(crate) struct Placed {
    /// Slots of the row and their owners, by ascending slot.
    pub pins: Vec<(u16, u16)>,
    /// Slots of each member, those among them.
    pub counts: Counts,
}

/// Places the heavy slots of a row of `n` slots.
///
/// `shares`: of members that have one, ascending by member. `heavy`: slots of this row, ascending, and what part of it each
/// carries; fewer than `n`. `names`: a stable hash per member. `old`: who owns each slot now.
pub(crate) fn place(
    shares: &[(u16, f32)],
    heavy: &[(u16, f32)],
    names: &[u64],
    old: Option<&[u16]>,
    n: usize,
) -> Placed {
    let sum: f64 = shares.iter().map(|(_, share)| f64::from(*share)).sum();
    // What each member should carry and does not yet; negative where it carries too much.
    let mut lack: Vec<f64> = shares.iter().map(|(_, share)| f64::from(*share) / sum).collect();
    let carried: f64 = heavy.iter().map(|(_, weight)| f64::from(*weight)).sum();
    let scale = (MOST_WHOLE / carried).min(1.0);
    let mut order: Vec<(u16, f64)> = heavy.iter().map(|&(slot, weight)| (slot, scale * f64::from(weight))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let most_over = order.first().map_or(0.0, |(_, heaviest)| heaviest / 2.0);
    let mut over = 0.0;
    let mut pins = Vec::with_capacity(order.len());
    for (slot, weight) in order {
        let beyond = |lack: f64| (weight - lack).max(0.0) - (-lack).max(0.0);
        let owner = old.and_then(|old| shares.binary_search_by_key(&old[usize::from(slot)], |(m, _)| *m).ok());
        let keeps = |i: &usize| lack[*i] >= weight / 2.0 && over + beyond(lack[*i]) <= most_over;
        let name = |i: usize| names[usize::from(shares[i].0)];
        let neediest = || {
            let order = |a: &usize, b: &usize| lack[*a].total_cmp(&lack[*b]).then_with(|| name(*a).cmp(&name(*b)));
            (0..shares.len()).max_by(order).unwrap_or_default()
        };
        let to = owner.filter(keeps).unwrap_or_else(neediest);
        over += beyond(lack[to]);
        lack[to] -= weight;
        pins.push((slot, shares[to].0));
    }
    pins.sort_unstable();
    Placed { counts: counts(shares, &lack, &pins, old, n), pins }
}

/// Slots of each member: its heavy ones, and of the others as many as make up for what it lacks.
fn counts(shares: &[(u16, f32)], lack: &[f64], pins: &[(u16, u16)], old: Option<&[u16]>, n: usize) -> Counts {
    let at = |m: u16| shares.binary_search_by_key(&m, |(m, _)| *m).ok();
    let mut had = vec![0u32; if old.is_some() { shares.len() } else { 0 }];
    for owner in old.into_iter().flatten() {
        at(*owner).into_iter().for_each(|i| had[i] += 1);
    }
    for (slot, _) in pins {
        old.and_then(|old| at(old[usize::from(*slot)])).into_iter().for_each(|i| had[i] -= 1);
    }
    let lack: Vec<f32> = lack.iter().map(|lack| lack.max(0.0) as f32).collect();
    let mut counts = apportion(&lack, (n - pins.len()) as u32, &had);
    for (_, owner) in pins {
        at(*owner).into_iter().for_each(|i| counts[i] += 1);
    }
    shares.iter().zip(counts).filter(|(_, n)| *n > 0).map(|((m, _), n)| (*m, n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steering::hash::mix;
    use crate::steering::slots::{Filler, Slots};
    use proptest::prelude::*;

    const BITS: u32 = 10;
    const N: usize = 1 << BITS;

    fn names(n: usize) -> Vec<u64> {
        (0..n).map(|i| mix(99, i as u64)).collect()
    }

    fn some(shares: &[f32]) -> Vec<(u16, f32)> {
        (0..).zip(shares.iter().copied()).filter(|(_, share)| *share > 0.0).collect()
    }

    fn filled(shares: &[f32], heavy: &[(u16, f32)], old: Option<&Slots>) -> (Slots, Counts) {
        let names = names(shares.len());
        Filler::new(&names).fill_by_weight(&some(shares), heavy, BITS, old.map(|old| (old, &(|m| m) as _)))
    }

    fn owners(slots: &Slots) -> Vec<u16> {
        (0..N as u64).map(|slot| slots.pick(slot << (64 - BITS)).unwrap().0).collect()
    }

    /// What each member carries beyond its share, by weight; what an ordinary slot carries; and what the heaviest does.
    fn beyond(shares: &[f32], heavy: &[(u16, f32)], owners: &[u16]) -> (Vec<f64>, f64, f64) {
        let carried: f64 = heavy.iter().map(|(_, w)| f64::from(*w)).sum();
        let scale = (MOST_WHOLE / carried).min(1.0);
        let ordinary = (1.0 - scale * carried) / (N - heavy.len()) as f64;
        let sum: f64 = shares.iter().map(|s| f64::from(*s)).sum();
        let mut beyond: Vec<f64> = shares.iter().map(|s| -f64::from(*s) / sum).collect();
        owners.iter().for_each(|m| beyond[usize::from(*m)] += ordinary);
        for (slot, weight) in heavy {
            beyond[usize::from(owners[usize::from(*slot)])] += scale * f64::from(*weight) - ordinary;
        }
        let heaviest = heavy.iter().map(|(_, w)| scale * f64::from(*w)).fold(0.0, f64::max);
        (beyond, ordinary, heaviest)
    }

    /// Places heavy slots in a row without a history: who gets each, and how many slots every member has.
    #[track_caller]
    fn check(shares: &[f32], heavy: &[(u16, f32)], pins: &[(u16, u16)], counts: &[(u16, u32)]) {
        let placed = place(&some(shares), heavy, &names(shares.len()), None, N);
        assert_eq!((placed.pins.as_slice(), placed.counts.as_slice()), (pins, counts));
    }

    #[test]
    fn the_heaviest_goes_where_most_is_lacking() {
        check(&[0.5, 0.3, 0.2], &[], &[], &[(0, 512), (1, 307), (2, 205)]);
        // 0.3 of 0.5 leave 0.2 of 0.7: 292 of the 1,023 others.
        check(&[0.5, 0.3, 0.2], &[(9, 0.3)], &[(9, 0)], &[(0, 293), (1, 439), (2, 292)]);
        // The second one is for whoever lacks most then.
        check(&[0.5, 0.3, 0.2], &[(3, 0.25), (9, 0.3)], &[(3, 1), (9, 0)], &[(0, 455), (1, 115), (2, 454)]);
        // A share that is less than any heavy slot still has ordinary ones; none has none.
        check(&[0.9, 0.1, 0.0], &[(3, 0.4), (9, 0.4)], &[(3, 0), (9, 0)], &[(0, 513), (1, 511)]);
        // What is too much for everybody is beyond one share, and the others have all that is ordinary.
        check(&[0.5, 0.5, 0.0], &[(9, 1.0)], &[(9, 0)], &[(0, 1), (1, 1023)]);
    }

    /// Its owner keeps a slot while it lacks half of it, even if others lack more.
    #[test]
    fn owners_keep_what_they_lack_half_of() {
        let heavy = [(9, 0.4)];
        let (first, _) = filled(&[0.6, 0.4], &heavy, None);
        let owner = |slots: &Slots| owners(slots)[9];
        let after = |share: f32| owner(&filled(&[share, 1.0 - share], &heavy, Some(&first)).0);
        assert_eq!((owner(&first), after(0.3), after(0.21), after(0.19)), (0, 0, 0, 1));
        // Ten that are kept for half of their weight each would leave nothing for the one who should have half.
        let heavy: Vec<(u16, f32)> = (0..10).map(|slot| (slot * 100, 0.1)).collect();
        let (first, _) = filled(&[[0.1; 10].as_slice(), &[0.0]].concat(), &heavy, None);
        let (second, _) = filled(&[[0.05; 10].as_slice(), &[0.5]].concat(), &heavy, Some(&first));
        let of_last = heavy.iter().filter(|(slot, _)| owners(&second)[usize::from(*slot)] == 10).count();
        assert!((4..=6).contains(&of_last), "{of_last}");
    }

    fn shares() -> impl Strategy<Value = Vec<f32>> {
        let share = prop_oneof![Just(0f32), 0.001f32..1.0];
        prop::collection::vec(share, 5).prop_filter("somebody", |s| s.iter().filter(|s| **s > 0.0).count() > 1)
    }

    fn heavy() -> impl Strategy<Value = Vec<(u16, f32)>> {
        let weight = prop_oneof![0.005f32..0.05, 0.005f32..0.6];
        prop::collection::btree_map(0..N as u16, weight, 1..40).prop_map(|slots| slots.into_iter().collect())
    }

    proptest! {
        /// See the module; and nobody without a share has a slot, and a row that is as it should be stays so.
        #[test]
        fn rows_hold_shares_by_weight(a in shares(), b in shares(), heavy_a in heavy(), heavy_b in heavy()) {
            let (first, _) = filled(&a, &heavy_a, None);
            let (second, counts) = filled(&b, &heavy_b, Some(&first));
            for (shares, heavy, slots, most) in [(&a, &heavy_a, &first, 1.0), (&b, &heavy_b, &second, 1.5)] {
                let owners = owners(slots);
                prop_assert!(owners.iter().all(|m| shares[usize::from(*m)] > 0.0));
                let (beyond, ordinary, heaviest) = beyond(shares, heavy, &owners);
                let over = beyond.iter().copied().fold(0.0, f64::max);
                let under = beyond.iter().copied().fold(0.0, f64::min);
                prop_assert!(over - under <= most * heaviest + 2.0 * ordinary + 1e-5, "{over} {under} {heaviest}");
            }
            for (m, n) in &counts {
                prop_assert_eq!(owners(&second).iter().filter(|owner| *owner == m).count(), *n as usize);
            }
            prop_assert_eq!(&filled(&b, &heavy_b, Some(&second)).0, &second);
            // Of the ordinary slots no more change hands than counts require.
            let is_heavy = |slot: &usize| heavy_b.binary_search_by_key(slot, |(s, _)| usize::from(*s)).is_ok();
            let (was, is) = (owners(&first), owners(&second));
            let ordinary: Vec<usize> = (0..N).filter(|slot| !is_heavy(slot)).collect();
            let of = |owners: &[u16], m: u16| ordinary.iter().filter(|slot| owners[**slot] == m).count();
            let must: usize = (0..5).map(|m| of(&was, m).saturating_sub(of(&is, m))).sum();
            prop_assert_eq!(ordinary.iter().filter(|slot| was[**slot] != is[**slot]).count(), must);
        }

        /// Between two, one heavy slot leaves each within half of it.
        #[test]
        fn two_are_within_half_of_it(share in 0.01f32..0.99, before in 0.01f32..0.99, weight in 0.005f32..0.9) {
            let heavy = [(500, weight)];
            let (first, _) = filled(&[before, 1.0 - before], &heavy, None);
            let (second, _) = filled(&[share, 1.0 - share], &heavy, Some(&first));
            let (beyond, ordinary, heaviest) = beyond(&[share, 1.0 - share], &heavy, &owners(&second));
            prop_assert!(beyond[0].abs() <= heaviest / 2.0 + ordinary + 1e-5, "{beyond:?} {heaviest}");
        }
    }
}
