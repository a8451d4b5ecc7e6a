//! How much demand finds room, where not all of it may go everywhere.

use std::collections::VecDeque;

/// The most of `demand` that can be placed at once: part `i` may go to the sites `may[i]`, site `p` takes `room[p]`.
///
/// Maximum flow by shortest augmenting paths (Edmonds and Karp), exact but for rounding; for the few fences of a group,
/// `parts² × sites` at most in practice. Parts without sites are not placed.
///
/// ```text
/// demand 8 6, may {a} {a b}, room 10 3   →   13: six of the second part's do not all fit beside the first's
/// ```
///
/// # Panics
/// If `may` names a site that `room` has not.
pub fn placed(demand: &[f64], may: &[Vec<usize>], room: &[f64]) -> f64 {
    let mut left = demand.to_vec();
    let mut free = room.to_vec();
    // flow[i][p]: what part i has at site p.
    let mut flow = vec![vec![0.0; room.len()]; demand.len()];
    let crumb = 1e-9 * demand.iter().sum::<f64>().max(1e-300);
    while let Some(path) = path(&left, may, &free, &flow, crumb) {
        // The path goes part, site, part, site, …: forward it takes up, backward it gives way.
        let (first, last) = (path[0], path[path.len() - 1]);
        let back = path[1..path.len() - 1].chunks(2).map(|pair| flow[pair[1]][pair[0]]);
        let amount = back.fold(left[first].min(free[last]), f64::min);
        left[first] -= amount;
        free[last] -= amount;
        for pair in path.chunks(2) {
            flow[pair[0]][pair[1]] += amount;
        }
        for pair in path[1..path.len() - 1].chunks(2) {
            flow[pair[1]][pair[0]] -= amount;
        }
    }
    demand.iter().sum::<f64>() - left.iter().sum::<f64>()
}

/// The shortest way from a part that is left to a site that is free: part, site, part, …, site.
fn path(left: &[f64], may: &[Vec<usize>], free: &[f64], flow: &[Vec<f64>], crumb: f64) -> Option<Vec<usize>> {
    let mut site_from = vec![usize::MAX; free.len()];
    let mut part_from = vec![usize::MAX; left.len()];
    let mut queue: VecDeque<usize> = (0..left.len()).filter(|i| left[*i] > crumb).collect();
    let starts: Vec<bool> = left.iter().map(|l| *l > crumb).collect();
    while let Some(i) = queue.pop_front() {
        for &p in &may[i] {
            if site_from[p] != usize::MAX {
                continue;
            }
            site_from[p] = i;
            if free[p] > crumb {
                let mut path = vec![p];
                let mut part = i;
                loop {
                    path.push(part);
                    if starts[part] {
                        path.reverse();
                        return Some(path);
                    }
                    let site = part_from[part];
                    path.push(site);
                    part = site_from[site];
                }
            }
            for other in (0..left.len()).filter(|o| flow[*o][p] > crumb) {
                if !starts[other] && part_from[other] == usize::MAX {
                    part_from[other] = p;
                    queue.push_back(other);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(demand: &[f64], may: &[&[usize]], room: &[f64], expect: f64) {
        let may: Vec<Vec<usize>> = may.iter().map(|m| m.to_vec()).collect();
        let got = placed(demand, &may, room);
        assert!((got - expect).abs() < 1e-6, "{got} for {expect}: {demand:?} {may:?} {room:?}");
    }

    #[test]
    fn what_fits_is_placed_and_no_more() {
        check(&[8.0], &[&[0, 1]], &[5.0, 2.0], 7.0);
        check(&[8.0, 6.0], &[&[0], &[0, 1]], &[10.0, 3.0], 13.0);
        // The first has to give way to the second: 0 → site 1.
        check(&[4.0, 4.0], &[&[0, 1], &[0]], &[4.0, 4.0], 8.0);
        // Over two others.
        check(&[4.0, 4.0, 4.0], &[&[0, 1], &[1, 2], &[0]], &[4.0, 4.0, 4.0], 12.0);
        check(&[5.0, 1.0], &[&[], &[0]], &[9.0], 1.0);
        check(&[], &[], &[1.0], 0.0);
        check(&[3.0], &[&[0]], &[0.0], 0.0);
    }

    /// Beside the slow obvious version: the least cut over all sets of sites (Ford and Fulkerson).
    #[test]
    fn the_most_is_the_least_cut() {
        let mut z = 7u64;
        let mut next = move |n: u64| {
            z = z.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (z >> 33) % n
        };
        for _ in 0..500 {
            let (n, sites) = (1 + next(4) as usize, 1 + next(4) as usize);
            let demand: Vec<f64> = (0..n).map(|_| next(10) as f64).collect();
            let room: Vec<f64> = (0..sites).map(|_| next(10) as f64).collect();
            let may: Vec<Vec<usize>> = (0..n).map(|_| (0..sites).filter(|_| next(2) == 0).collect()).collect();
            let cut = |set: u32| -> f64 {
                let inside = |p: &usize| set >> p & 1 == 1;
                let sites: f64 = (0..sites).filter(inside).map(|p| room[p]).sum();
                let parts = (0..n).filter(|i| !may[*i].iter().all(inside)).map(|i| demand[i]);
                sites + parts.sum::<f64>()
            };
            let least = (0..1u32 << sites).map(cut).fold(f64::INFINITY, f64::min);
            let got = placed(&demand, &may, &room);
            assert!((got - least).abs() < 1e-6, "{got} {least}: {demand:?} {may:?} {room:?}");
        }
    }
}
