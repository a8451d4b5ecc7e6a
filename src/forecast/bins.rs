//! Features cut into few bins, so that trees count instead of sorting (LightGBM, Ke et al. 2017, section 2).

/// Bins per feature. Our choice, so that the sums of a node fit in the nearest cache; not compared with more.
pub const BINS: usize = 32;

/// `n` rows of binned features, column after column.
pub struct Binned {
    /// Rows.
    pub n: usize,
    /// `bins[f·n + i]`: how many edges of feature `f` lie below its value in row `i`; under [`BINS`].
    pub bins: Vec<u8>,
    /// Edges of each feature, ascending, fewer than [`BINS`]; none if it has one value.
    pub edges: Vec<Vec<f32>>,
}

impl Binned {
    /// Cuts `x` (rows of `samples.len()` features) at the quantiles of `samples`: for each feature some of
    /// its values, ascending, at least one.
    pub fn new(x: &[f32], samples: &[Vec<f32>]) -> Binned {
        let width = samples.len();
        let n = x.len() / width;
        let edges: Vec<Vec<f32>> = samples.iter().map(|s| edges(s)).collect();
        let mut bins = vec![0; n * width];
        for (f, edges) in edges.iter().enumerate() {
            let mut padded = [f32::INFINITY; BINS];
            padded[..edges.len()].copy_from_slice(edges);
            for (i, bin) in bins[f * n..(f + 1) * n].iter_mut().enumerate() {
                *bin = below(&padded, x[i * width + f]);
            }
        }
        Binned { n, bins, edges }
    }

    /// The bins of feature `f`, one per row.
    pub fn column(&self, f: usize) -> &[u8] {
        &self.bins[f * self.n..(f + 1) * self.n]
    }
}

/// Halfway between neighbours at even shares of the sample, so that an edge is not itself a value.
fn edges(sorted: &[f32]) -> Vec<f32> {
    let mut edges: Vec<f32> = vec![];
    for k in 1..BINS {
        let i = k * (sorted.len() - 1) / BINS;
        let edge = 0.5 * (sorted[i] + sorted[(i + 1).min(sorted.len() - 1)]);
        if edge < sorted[sorted.len() - 1] && edges.last().is_none_or(|last| edge > *last) {
            edges.push(edge);
        }
    }
    edges
}

/// How many of the ascending edges lie below `v`, by halving without branches.
fn below(edges: &[f32; BINS], v: f32) -> u8 {
    let mut n = 0;
    for half in [16, 8, 4, 2, 1] {
        n += if edges[n + half - 1] < v { half } else { 0 };
    }
    n as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_is_the_number_of_edges_below() {
        let sample: Vec<f32> = (0..200).map(|i| (i * i) as f32).collect();
        let cut = Binned::new(&sample, std::slice::from_ref(&sample));
        for (v, bin) in sample.iter().zip(cut.column(0)) {
            assert_eq!(*bin as usize, cut.edges[0].iter().filter(|e| *e < v).count());
        }
        assert_eq!(cut.edges[0].len(), BINS - 1);
    }

    #[test]
    fn one_value_has_no_edges() {
        assert_eq!(Binned::new(&[3.0; 10], &[vec![3.0; 10]]).edges, [Vec::<f32>::new()]);
    }
}
