//! Symmetric linear equations in double precision, for regressions of some dozens of columns: `p³/6` multiplications.

/// Solves `a·x = b` in place by Cholesky, leaving `x` in `b`; of `a` (p × p, row after row) only the lower half is read, and
/// it is overwritten. A pivot that vanishes beside its diagonal is raised, so that a column that says nothing new gets a small
/// weight.
pub fn solve(a: &mut [f64], b: &mut [f64]) {
    let p = b.len();
    for i in 0..p {
        for j in 0..=i {
            let size = a[i * p + i];
            let s = a[i * p + j] - (0..j).map(|k| a[i * p + k] * a[j * p + k]).sum::<f64>();
            a[i * p + j] = if i == j { s.max(1e-12 * size + f64::MIN_POSITIVE).sqrt() } else { s / a[j * p + j] };
        }
    }
    for i in 0..p {
        b[i] = (b[i] - (0..i).map(|k| a[i * p + k] * b[k]).sum::<f64>()) / a[i * p + i];
    }
    for i in (0..p).rev() {
        b[i] = (b[i] - (i + 1..p).map(|k| a[k * p + i] * b[k]).sum::<f64>()) / a[i * p + i];
    }
}
