//! Least value of a function of a few bounded variables, by the simplex method of Nelder and Mead (1965).
//!
//! Needs no derivative, and finds the same point on every machine that rounds alike. Bounds are kept by
//! clamping the points that the simplex tries (Box 1965).

/// Reflection, expansion, contraction and shrinkage, as in the paper.
const REFLECT: f64 = 1.0;
const EXPAND: f64 = 2.0;
const CONTRACT: f64 = 0.5;
const SHRINK: f64 = 0.5;

/// Where and how hard to look.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Evaluations after which it stops, whatever was found.
    pub most_calls: usize,
    /// It also stops once the values at the corners differ by less than this share of their size.
    pub tolerance: f64,
}

impl Search {
    /// The point with the least value found, and the value.
    ///
    /// `start`: the first corner; `reach[i]`: how far the `i`-th other corner lies from it, not 0; `bounds[i]`: least
    /// and most. A value of `f` that is not finite counts as worse than any other.
    pub fn least(
        &self,
        start: &[f64],
        reach: &[f64],
        bounds: &[(f64, f64)],
        mut f: impl FnMut(&[f64]) -> f64,
    ) -> (Vec<f64>, f64) {
        let dims = start.len();
        let mut value = |mut x: Vec<f64>| {
            x.iter_mut().zip(bounds).for_each(|(x, (least, most))| *x = x.clamp(*least, *most));
            let y = f(&x);
            (x, if y.is_finite() { y } else { f64::INFINITY })
        };
        let mut corners = vec![value(start.to_vec())];
        for i in 0..dims {
            let mut x = start.to_vec();
            // A corner that the bound would push back onto the start lies on the other side.
            let outside = x[i] + reach[i] > bounds[i].1 || x[i] + reach[i] < bounds[i].0;
            x[i] += if outside { -reach[i] } else { reach[i] };
            corners.push(value(x));
        }
        let mut calls = corners.len();
        while calls < self.most_calls && dims > 0 {
            corners.sort_by(|a, b| a.1.total_cmp(&b.1));
            let (best, worst) = (corners[0].1, corners[dims].1);
            if worst - best <= self.tolerance * (best.abs() + 1e-300) {
                break;
            }
            let centre: Vec<f64> =
                (0..dims).map(|k| corners[..dims].iter().map(|c| c.0[k]).sum::<f64>() / dims as f64).collect();
            let toward = |by: f64, from: &[f64]| -> Vec<f64> {
                centre.iter().zip(from).map(|(c, w)| c + by * (c - w)).collect()
            };
            let away = corners[dims].0.clone();
            let reflected = value(toward(REFLECT, &away));
            calls += 1;
            if reflected.1 < best {
                let expanded = value(toward(EXPAND, &away));
                calls += 1;
                corners[dims] = if expanded.1 < reflected.1 { expanded } else { reflected };
            } else if reflected.1 < corners[dims - 1].1 {
                corners[dims] = reflected;
            } else {
                let by = if reflected.1 < worst { CONTRACT } else { -CONTRACT };
                let contracted = value(toward(by, &away));
                calls += 1;
                if contracted.1 < worst.min(reflected.1) {
                    corners[dims] = contracted;
                } else {
                    let first = corners[0].0.clone();
                    for corner in &mut corners[1..] {
                        *corner = value(first.iter().zip(&corner.0).map(|(a, b)| a + SHRINK * (b - a)).collect());
                    }
                    calls += dims;
                }
            }
        }
        corners.into_iter().min_by(|a, b| a.1.total_cmp(&b.1)).expect("a simplex has corners")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search { most_calls: 2000, tolerance: 1e-14 };

    /// Rosenbrock's valley, the usual trial.
    #[test]
    fn walks_down_a_bent_valley() {
        let valley = |x: &[f64]| (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2);
        let (x, _) = SEARCH.least(&[-1.2, 1.0], &[0.5, 0.5], &[(-5.0, 5.0); 2], valley);
        assert!((x[0] - 1.0).abs() < 1e-4 && (x[1] - 1.0).abs() < 1e-4, "{x:?}");
    }

    #[test]
    fn keeps_bounds_and_survives_nonsense() {
        let (x, _) = SEARCH.least(&[0.5], &[0.9], &[(0.0, 1.0)], |x| -x[0]);
        assert_eq!(x, [1.0]);
        let (x, y) = SEARCH.least(&[0.5, 0.5], &[0.1, 0.1], &[(0.0, 1.0); 2], |_| f64::NAN);
        assert!(x.iter().all(|x| (0.0..=1.0).contains(x)) && y == f64::INFINITY);
    }
}
