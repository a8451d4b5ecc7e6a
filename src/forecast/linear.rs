//! Ridge regression by normal equations (Hoerl and Kennard 1970).
//!
//! `w = (XᵀX + λnI)⁻¹ Xᵀz`, the intercept not penalised. Products are summed over blocks of 64 rows in
//! single precision, blocks in double: `n·p²/2` multiplications.

use crate::forecast::saved::{Reader, Writer};
use crate::forecast::solve::solve;

/// Rows whose products are summed in single precision at a time.
const BLOCK: usize = 64;

/// Weights of a linear function; the last is the intercept.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear(Vec<f64>);

impl Linear {
    /// Fits `z` (n) to the columns `cols` of `x` (n rows of `width`, row after row). Other columns get
    /// weight 0 and are not looked at; the result applies to rows of `cols` only, in that order.
    ///
    /// `lambda`: penalty per row, above 0; columns should have like spread.
    pub fn fit(x: &[f32], width: usize, cols: &[usize], z: &[f32], lambda: f64) -> Linear {
        let p = cols.len() + 1;
        let (mut a, mut b) = (vec![0.0f64; p * p], vec![0.0f64; p]);
        let mut block = vec![[0.0f32; BLOCK]; p];
        for (rows, targets) in x.chunks(BLOCK * width).zip(z.chunks(BLOCK)) {
            block.iter_mut().for_each(|c| c.fill(0.0));
            for (r, row) in rows.chunks(width).enumerate() {
                for (c, from) in block.iter_mut().zip(cols) {
                    c[r] = row[*from];
                }
                block[p - 1][r] = 1.0;
            }
            let mut target = [0.0f32; BLOCK];
            target[..targets.len()].copy_from_slice(targets);
            for i in 0..p {
                for j in 0..=i {
                    a[i * p + j] += f64::from(dot(&block[i], &block[j]));
                }
                b[i] += f64::from(dot(&block[i], &target));
            }
        }
        for i in 0..p {
            // The small constant keeps columns without spread solvable.
            a[i * p + i] += 1e-9 + if i + 1 < p { lambda * z.len() as f64 } else { 0.0 };
        }
        solve(&mut a, &mut b);
        Linear(b)
    }

    /// How many columns it was fitted to.
    pub fn width(&self) -> usize {
        self.0.len().saturating_sub(1)
    }

    /// Writes it for [`restore`](Linear::restore).
    pub fn save(&self, to: &mut Writer) {
        to.list(self.0.iter(), |to, w| to.f64(*w));
    }

    /// Reads what was saved.
    pub fn restore(saved: &mut Reader) -> Option<Linear> {
        saved.list(Reader::f64).filter(|weights| !weights.is_empty()).map(Linear)
    }

    /// The value at `x`, which has the fitted columns in order.
    pub fn at(&self, x: impl IntoIterator<Item = f32>) -> f64 {
        let (intercept, weights) = self.0.split_last().expect("there is always an intercept");
        intercept + weights.iter().zip(x).map(|(w, x)| w * f64::from(x)).sum::<f64>()
    }
}

fn dot(a: &[f32; BLOCK], b: &[f32; BLOCK]) -> f32 {
    // Eight sums side by side: the compiler makes vectors of them.
    let mut sums = [0.0f32; 8];
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for k in 0..8 {
            sums[k] += a[k] * b[k];
        }
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_plane_and_ignores_other_columns() {
        let x: Vec<f32> = (0..300).flat_map(|i| [(i % 7) as f32, 99.0, (i % 5) as f32]).collect();
        let z: Vec<f32> = x.chunks(3).map(|r| 2.0 * r[0] - 3.0 * r[2] + 1.0).collect();
        let plane = Linear::fit(&x, 3, &[0, 2], &z, 1e-9);
        assert!((plane.at([1.0, 1.0])).abs() < 1e-3, "{plane:?}");
        assert!((plane.at([6.0, 0.0]) - 13.0).abs() < 1e-3);
    }

    #[test]
    fn a_column_without_spread_is_harmless() {
        let x: Vec<f32> = (0..100).flat_map(|i| [0.0, (i % 9) as f32]).collect();
        let z: Vec<f32> = x.chunks(2).map(|r| r[1]).collect();
        let fitted = Linear::fit(&x, 2, &[0, 1], &z, 1e-9);
        assert!((fitted.at([5.0, 4.0]) - 4.0).abs() < 1e-3);
    }
}
