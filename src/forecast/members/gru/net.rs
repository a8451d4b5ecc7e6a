//! The network: one layer of gated units and a linear head; forward, loss, backward.
//!
//! ```text
//! z = σ(Wz·x + Uz·h + bz)        r = σ(Wr·x + Ur·h + br)        n = tanh(Wn·x + Un·(r∘h) + bn)
//! h ← z∘h + (1 − z)∘n            o = V·h + c
//! ```
//!
//! Cho, van Merriënboer, Gulcehre, Bahdanau, Bougares, Schwenk and Bengio (2014), equations 5–8, with biases. The loss is the
//! mean pinball loss of all outputs (Wen, Torkkola, Narayanaswamy and Madeka 2017, *A multi-horizon quantile recurrent
//! forecaster*), its gradient by backpropagation through time (Werbos 1990).

use crate::forecast::quantiles::{LEVELS, N_LEVELS, pinball};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, s};

/// Sizes: `inputs` → `hidden` units → `outputs`, a multiple of [`N_LEVELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Numbers per step.
    pub inputs: usize,
    /// Units.
    pub hidden: usize,
    /// Leads × levels.
    pub outputs: usize,
}

/// All weights, one after the other: `W` (3H × D, rows of z, r, n), `U` (3H × H), `b` (3H), `V` (O × H), `c` (O).
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// Its sizes.
    pub shape: Shape,
    /// [`Shape::weights`] numbers.
    pub weights: Vec<f64>,
}

/// Steps of several sequences side by side.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Per step: sequences × inputs.
    pub inputs: Vec<Array2<f64>>,
    /// Per step: sequences × leads; NaN where nothing is known, and in steps that only warm up.
    pub targets: Vec<Array2<f64>>,
}

impl Shape {
    /// How many weights there are.
    pub fn weights(self) -> usize {
        let Shape { inputs, hidden, outputs } = self;
        3 * hidden * (inputs + hidden + 1) + outputs * (hidden + 1)
    }

    /// Where each part begins; the last is the end.
    fn parts(self) -> [usize; 6] {
        let Shape { inputs, hidden, outputs } = self;
        let mut at = 0;
        [0, 3 * hidden * inputs, 3 * hidden * hidden, 3 * hidden, outputs * hidden, outputs].map(|size| {
            at += size;
            at
        })
    }
}

struct View<'a> {
    w: ArrayView2<'a, f64>,
    u: ArrayView2<'a, f64>,
    b: ArrayView1<'a, f64>,
    v: ArrayView2<'a, f64>,
    c: ArrayView1<'a, f64>,
}

/// What the way back needs of one step.
struct Kept {
    before: Array2<f64>,
    z: Array2<f64>,
    r: Array2<f64>,
    n: Array2<f64>,
    after: Array2<f64>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Net {
    fn view(&self) -> View<'_> {
        let Shape { inputs, hidden, outputs } = self.shape;
        let [w, u, b, v, c, end] = self.shape.parts();
        let matrix = |from: usize, to: usize, columns: usize| {
            ArrayView2::from_shape(((to - from) / columns, columns), &self.weights[from..to]).expect("parts fit")
        };
        View {
            w: matrix(w, u, inputs),
            u: matrix(u, b, hidden),
            b: ArrayView1::from(&self.weights[b..v]),
            v: ArrayView2::from_shape((outputs, hidden), &self.weights[v..c]).expect("parts fit"),
            c: ArrayView1::from(&self.weights[c..end]),
        }
    }

    /// The biases of the head, to start from the quantiles of all targets.
    pub fn head_biases(&mut self) -> &mut [f64] {
        let [.., c, end] = self.shape.parts();
        &mut self.weights[c..end]
    }

    fn cell(&self, p: &View<'_>, x: &Array2<f64>, h: Array2<f64>) -> Kept {
        let k = self.shape.hidden;
        let from_x = x.dot(&p.w.t()) + p.b;
        let gates = (&from_x.slice(s![.., ..2 * k]) + &h.dot(&p.u.slice(s![..2 * k, ..]).t())).mapv(sigmoid);
        let (z, r) = (gates.slice(s![.., ..k]).to_owned(), gates.slice(s![.., k..]).to_owned());
        let n = (&from_x.slice(s![.., 2 * k..]) + &(&r * &h).dot(&p.u.slice(s![2 * k.., ..]).t())).mapv(f64::tanh);
        let after = &z * &h + z.mapv(|z| 1.0 - z) * &n;
        Kept { before: h, z, r, n, after }
    }

    /// The hidden state after one more step; `hidden` has one number per unit.
    pub fn step(&self, hidden: &mut Vec<f64>, inputs: Vec<f64>) {
        let row = |v: Vec<f64>| Array2::from_shape_vec((1, v.len()), v).expect("one row");
        let kept = self.cell(&self.view(), &row(inputs), row(std::mem::take(hidden)));
        *hidden = kept.after.into_raw_vec_and_offset().0;
    }

    /// The outputs for the `lead_idx`-th lead.
    pub fn outputs(&self, hidden: &[f64], lead_idx: usize) -> [f64; N_LEVELS] {
        let p = self.view();
        std::array::from_fn(|i| {
            let o = lead_idx * N_LEVELS + i;
            p.c[o] + p.v.row(o).iter().zip(hidden).map(|(v, h)| v * h).sum::<f64>()
        })
    }

    /// Mean pinball loss over all known targets; 0 if there are none.
    pub fn loss(&self, batch: &Batch) -> f64 {
        self.forward(batch).1
    }

    fn forward(&self, batch: &Batch) -> (Vec<Kept>, f64, Vec<Array2<f64>>) {
        let p = self.view();
        let count = batch.targets.iter().flatten().filter(|y| y.is_finite()).count().max(1) * N_LEVELS;
        let sequences = batch.inputs.first().map_or(0, |x| x.nrows());
        let mut h = Array2::zeros((sequences, self.shape.hidden));
        let (mut steps, mut slopes, mut loss) = (vec![], vec![], 0.0);
        for (x, targets) in batch.inputs.iter().zip(&batch.targets) {
            let kept = self.cell(&p, x, h);
            h = kept.after.clone();
            let mut slope = Array2::zeros((0, 0));
            if targets.iter().any(|y| y.is_finite()) {
                let out = h.dot(&p.v.t()) + p.c;
                slope = Array2::zeros(out.dim());
                for ((row, o), value) in out.indexed_iter() {
                    let (y, q) = (targets[(row, o / N_LEVELS)], LEVELS[o % N_LEVELS]);
                    if y.is_finite() {
                        loss += pinball(q, *value, y);
                        slope[(row, o)] = (if y > *value { -q } else { 1.0 - q }) / count as f64;
                    }
                }
            }
            steps.push(kept);
            slopes.push(slope);
        }
        (steps, loss / count as f64, slopes)
    }

    /// The loss and its slope along every weight.
    pub fn gradient(&self, batch: &Batch) -> (f64, Vec<f64>) {
        let (steps, loss, slopes) = self.forward(batch);
        let (p, k) = (self.view(), self.shape.hidden);
        let mut gradient = vec![0.0; self.weights.len()];
        let (mut gw, mut gu, mut gb, mut gv, mut gc) = split(self.shape, &mut gradient);
        let mut from_later: Array2<f64> = Array2::zeros((batch.inputs.first().map_or(0, |x| x.nrows()), k));
        for ((x, s), slope) in batch.inputs.iter().zip(&steps).zip(&slopes).rev() {
            let mut dh = from_later;
            if slope.nrows() > 0 {
                gv += &slope.t().dot(&s.after);
                gc += &slope.sum_axis(Axis(0));
                dh += &slope.dot(&p.v);
            }
            let dz = &dh * &(&s.before - &s.n) * &s.z.mapv(|z| z * (1.0 - z));
            let dn = &dh * &s.z.mapv(|z| 1.0 - z) * &s.n.mapv(|n| 1.0 - n * n);
            let d_reset = dn.dot(&p.u.slice(s![2 * k.., ..]));
            let dr = &d_reset * &s.before * &s.r.mapv(|r| r * (1.0 - r));
            from_later =
                &dh * &s.z + &d_reset * &s.r + dz.dot(&p.u.slice(s![..k, ..])) + dr.dot(&p.u.slice(s![k..2 * k, ..]));
            let reset = &s.r * &s.before;
            for (i, (d, h)) in [(&dz, &s.before), (&dr, &s.before), (&dn, &reset)].into_iter().enumerate() {
                let rows = s![i * k..(i + 1) * k, ..];
                let mut part = gw.slice_mut(rows);
                part += &d.t().dot(x);
                let mut part = gu.slice_mut(rows);
                part += &d.t().dot(h);
                let mut part = gb.slice_mut(s![i * k..(i + 1) * k]);
                part += &d.sum_axis(Axis(0));
            }
        }
        (loss, gradient)
    }
}

type Parts<'a> = (
    ArrayViewMut2<'a, f64>,
    ArrayViewMut2<'a, f64>,
    ArrayViewMut1<'a, f64>,
    ArrayViewMut2<'a, f64>,
    ArrayViewMut1<'a, f64>,
);

/// The parts of a vector laid out as [`Net::weights`], to write to.
fn split(shape: Shape, all: &mut [f64]) -> Parts<'_> {
    let Shape { inputs, hidden, outputs } = shape;
    let (w, rest) = all.split_at_mut(3 * hidden * inputs);
    let (u, rest) = rest.split_at_mut(3 * hidden * hidden);
    let (b, rest) = rest.split_at_mut(3 * hidden);
    let (v, c) = rest.split_at_mut(outputs * hidden);
    (
        ArrayViewMut2::from_shape((3 * hidden, inputs), w).expect("parts fit"),
        ArrayViewMut2::from_shape((3 * hidden, hidden), u).expect("parts fit"),
        ArrayViewMut1::from(b),
        ArrayViewMut2::from_shape((outputs, hidden), v).expect("parts fit"),
        ArrayViewMut1::from(c),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(seed: u64) -> impl FnMut() -> f64 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        }
    }

    fn example() -> (Net, Batch) {
        let shape = Shape { inputs: 3, hidden: 4, outputs: 2 * N_LEVELS };
        let mut number = numbers(5);
        let net = Net { shape, weights: (0..shape.weights()).map(|_| 1.5 * number()).collect() };
        let mut batch = Batch::default();
        for step in 0..6 {
            batch.inputs.push(Array2::from_shape_simple_fn((3, 3), || 2.0 * number()));
            let known = |v: f64| if step < 2 { f64::NAN } else { 3.0 * v };
            batch.targets.push(Array2::from_shape_simple_fn((3, 2), || known(number())));
        }
        batch.targets[4][(1, 0)] = f64::NAN;
        (net, batch)
    }

    /// Every weight's slope against a difference of losses: a wrong sign or a forgotten path would pass unseen in training,
    /// which still goes down.
    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let (net, batch) = example();
        let (loss, gradient) = net.gradient(&batch);
        assert_eq!(loss, net.loss(&batch));
        for (i, said) in gradient.iter().enumerate() {
            let moved = |by: f64| {
                let mut net = net.clone();
                net.weights[i] += by;
                net.loss(&batch)
            };
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!((slope - said).abs() < 1e-6 + 1e-4 * slope.abs(), "weight {i}: {} is not {slope}", gradient[i]);
        }
    }

    /// One row at a time gives what a batch gives.
    #[test]
    fn steps_agree_with_batches() {
        let (net, batch) = example();
        let (steps, ..) = net.forward(&batch);
        let mut hidden = vec![0.0; 4];
        batch.inputs.iter().for_each(|x| net.step(&mut hidden, x.row(1).to_vec()));
        let after = &steps[5].after;
        assert!(hidden.iter().zip(after.row(1)).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
