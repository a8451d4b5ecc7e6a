//! The dual of the priced allocation, and Newton's method on its prices.
//!
//! Symbols: row `r` (a cell of groups with equal choices) with demand `D_r`, its candidates `k` with cost `c_k`,
//! resources `i` (POPs, members with a room of their own, what POPs take from elsewhere) with price `λ_i ≥ 0`;
//! `v_k = c_k + Σ_{i of k} λ_i`.
//!
//! ```text
//! x_k   = exp(−v_k/T) / Σ_{j of r} exp(−v_j/T)                     shares at these prices
//! g(λ)  = −T Σ_r D_r ln Σ_k exp(−v_k/T) − Σ_i ∫₀^{λ_i} B_i(l) dl   the dual, concave; maximised
//! ∇_i   = load_i − B_i(λ_i)
//! −∇²   = (1/T) Σ_r D_r (diag(x) − x xᵀ) summed over resources + diag(B_i′)
//! ```
//!
//! `B_i(λ)` is what resource `i` offers at a price: its target up to `OVER_TARGET_MS`, rising in
//! proportion to the most at `OVER_MAX_MS`, held there for another [`AT_MAX_MS`], then growing without
//! end, so that the dual has a maximum whatever the demand, and the prices of all that is over stay
//! within a few hundred milliseconds of each other: the shortage is spread in proportion.
//!
//! Levenberg–Marquardt steps with `diag(|∇|/Δ)`: it bounds a step of a resource that no row can choose
//! to leave at this temperature (a row of the Hessian is then 0), and vanishes with the gradient. Bounds
//! `λ ≥ 0` by an active set on the quadratic model. `Δ` by the ratio of true to predicted gain.
//!
//! Cost: one pass over all candidates per step, plus one Cholesky factorisation of the priced resources.

use crate::control::allocate::problem::Room;
use crate::control::allocate::{OVER_MAX_MS, OVER_TARGET_MS};
use std::sync::Arc;

/// Milliseconds for which a resource at its most raises its price before it gives way.
const AT_MAX_MS: f64 = 4000.0;
/// Milliseconds of price for which what is carried grows by a factor of e, above that.
const GIVE_MS: f64 = 8000.0;
/// Exponent at which growth is cut off, out of reach of any demand; keeps sums finite.
const MAX_GIVE: f64 = 200.0;
/// Resources with a place in the dense Hessian; more get their diagonal only.
const MAX_DENSE: usize = 768;
/// Candidates that cost this many temperatures more than the least have no share: with e^−28 the value of the dual
/// jumps by less than the noise that steps are judged with.
const FAR: f64 = 28.0;
/// Shares below this are left out of the Hessian, which without them is still positive semidefinite (they only take from what
/// `x` sums to) and as right as that; most rows then add one entry or none where they would add dozens.
const SLIGHT: f64 = 1e-3;

//----------- Rows -----------------------------------------------------------

/// The rows to solve for, flat. Resource `n` (one past the last) stands for none.
///
/// Which resources a candidate takes up is its *face*: with hundreds of POPs there are a few hundred of them
/// beside millions of candidates, so what a face costs is added up once per pass.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    /// `start[r]..start[r + 1]`: the candidates of row `r`.
    pub(crate) start: Arc<Vec<u32>>,
    /// `D_r`, in parts of all demand.
    pub(crate) demand: Vec<f64>,
    /// `c_k`; infinite for a candidate that is left out.
    pub(crate) cost: Arc<Vec<f32>>,
    /// Position in `faces`.
    pub(crate) face: Arc<Vec<u32>>,
    /// The resources of each face: of the POP, of the member itself, of what the POP takes from elsewhere.
    pub(crate) faces: Arc<Vec<Face>>,
}

/// See [`Rows`]; at least one of three may be none.
pub(crate) type Face = [u32; 3];

impl Rows {
    /// The candidates of a row.
    pub(crate) fn of(&self, row: usize) -> std::ops::Range<usize> {
        self.start[row] as usize..self.start[row + 1] as usize
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.demand.len()
    }

    /// What each face costs at prices `lambda` (with the 0 of "none" at its end).
    pub(crate) fn face_prices(&self, lambda: &[f64]) -> Vec<f64> {
        self.faces.iter().map(|face| face.iter().map(|i| lambda[*i as usize]).sum()).collect()
    }

    /// The candidates of a row that count where faces cost `price`, with their shares, into `near`; returns
    /// `−T ln Σ exp(−v_k/T)`, infinite where no candidate is left.
    ///
    /// `v` is a buffer.
    #[inline]
    pub(crate) fn shares(
        &self,
        row: usize,
        price: &[f64],
        t: f64,
        v: &mut Vec<f64>,
        near: &mut Vec<(usize, f64)>,
    ) -> f64 {
        let range = self.of(row);
        v.clear();
        near.clear();
        let (costs, faces) = (&self.cost[range.clone()], &self.face[range.clone()]);
        v.extend(costs.iter().zip(faces).map(|(c, f)| f64::from(*c) + price[*f as usize]));
        let least = v.iter().fold(f64::INFINITY, |least, v| if *v < least { *v } else { least });
        if least == f64::INFINITY {
            return least;
        }
        // Most rows have one member that is cheaper than all others by far.
        let far = least + FAR * t;
        if v.iter().filter(|v| **v < far).count() == 1 {
            near.extend(v.iter().position(|v| *v == least).map(|at| (range.start + at, 1.0)));
            return least;
        }
        let mut sum = 0.0;
        for (k, v) in range.zip(v.iter()).filter(|(_, v)| **v < far) {
            let x = ((least - v) / t).exp();
            sum += x;
            near.push((k, x));
        }
        near.iter_mut().for_each(|(_, x)| *x /= sum);
        least - t * sum.ln()
    }
}

//----------- Supply ---------------------------------------------------------

/// `B(λ)`, `B′(λ)` and `∫₀^λ B`.
pub(crate) fn supply(room: Room, lambda: f64) -> (f64, f64, f64) {
    let Room { target, max } = room;
    let slope = (max - target) / (OVER_MAX_MS - OVER_TARGET_MS);
    let flat = target * lambda.min(OVER_TARGET_MS);
    if lambda <= OVER_TARGET_MS {
        return (target, 0.0, flat);
    }
    let up = lambda.min(OVER_MAX_MS) - OVER_TARGET_MS;
    let rise = flat + target * up + 0.5 * slope * up * up;
    if lambda < OVER_MAX_MS {
        return (target + slope * up, slope, rise);
    }
    let at_max = rise + max * (lambda - OVER_MAX_MS).min(AT_MAX_MS);
    let above = lambda - OVER_MAX_MS - AT_MAX_MS;
    if above <= 0.0 {
        return (max, 0.0, at_max);
    }
    let offer = max * (above / GIVE_MS).min(MAX_GIVE).exp();
    (offer, offer / GIVE_MS, at_max + GIVE_MS * (offer - max))
}

//----------- Solver ---------------------------------------------------------

/// A dual to maximise.
pub(crate) struct Dual<'a> {
    rows: &'a Rows,
    rooms: &'a [Room],
    n_pops: usize,
    /// Passes over the rows so far.
    pub(crate) n_passes: u32,
}

/// Where the prices and loads came to rest.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    /// `λ_i`, milliseconds, with the 0 of "none" at its end.
    pub(crate) lambda: Vec<f64>,
    /// `load_i`, in parts of all demand; what goes to "none" at its end.
    pub(crate) load: Vec<f64>,
    /// Whether limits and prices agree to the tolerance asked for.
    pub(crate) settled: bool,
}

/// What a pass finds at one point.
struct Point {
    rest: Rest,
    value: f64,
    /// The resources with a place in `dense`.
    placed: Vec<u32>,
    /// `−∇²` of those, lower triangle of a square matrix, `diag(B′)` included.
    dense: Vec<f64>,
    /// Diagonal of `−∇²` of every resource.
    diagonal: Vec<f64>,
}

impl<'a> Dual<'a> {
    /// `rooms[i]`: what resource `i` offers, in parts of all demand. The first `n_pops` are POPs.
    pub(crate) fn new(rows: &'a Rows, rooms: &'a [Room], n_pops: usize) -> Dual<'a> {
        Dual { rows, rooms, n_pops, n_passes: 0 }
    }

    /// Prices at temperature `t`, starting from `lambda` (one per resource and the 0 of "none").
    ///
    /// Stops when every resource that has a price carries what it offers, and none carries more, to a
    /// part `tolerance` of it; or after `max_passes`.
    pub(crate) fn solve(&mut self, lambda: Vec<f64>, t: f64, tolerance: f64, max_passes: u32) -> Rest {
        let end = self.n_passes + max_passes;
        let mut radius = 64.0_f64.max(4.0 * t);
        let mut here = self.pass(lambda, t, None);
        loop {
            here.rest.settled = self.settled(&here.rest, tolerance);
            if here.rest.settled || self.n_passes >= end {
                return here.rest;
            }
            let (step, predicted) = self.step(&here, radius);
            let to = here.rest.lambda.iter().zip(&step).map(|(l, d)| (l + d).max(0.0)).collect();
            let there = self.pass(to, t, Some(&here.rest.load));
            let gain = there.value - here.value;
            let noise = 1e-13 * here.value.abs();
            let longest = step.iter().fold(0.0, |m: f64, d| m.max(d.abs()));
            if gain < 0.25 * predicted - noise {
                radius = longest / 4.0;
            } else if gain > 0.7 * predicted {
                radius = radius.max(4.0 * longest);
            }
            if gain >= 0.05 * predicted - noise {
                here = there;
            }
            if longest < 1e-9 {
                return here.rest;
            }
        }
    }

    fn settled(&self, at: &Rest, tolerance: f64) -> bool {
        self.rooms.iter().enumerate().all(|(i, &room)| {
            let offer = supply(room, at.lambda[i]).0;
            let excess = at.load[i] - offer;
            let off = if at.lambda[i] > 0.0 { excess.abs() } else { excess.max(0.0) };
            off <= tolerance * offer.max(1e-6)
        })
    }

    /// Which resources get a place in the dense Hessian: all POPs, and members that have a price or,
    /// by the pass before, are about to get one.
    fn placed(&self, lambda: &[f64], load: Option<&[f64]>) -> Vec<u32> {
        let wants = |i: usize| lambda[i] > 0.0 || load.is_some_and(|load| load[i] > 0.8 * self.rooms[i].target);
        (0..self.rooms.len()).filter(|&i| i < self.n_pops || wants(i)).take(MAX_DENSE).map(|i| i as u32).collect()
    }

    /// Value, loads and Hessian at `lambda`.
    fn pass(&mut self, lambda: Vec<f64>, t: f64, before: Option<&[f64]>) -> Point {
        self.n_passes += 1;
        let n = self.rooms.len();
        let placed = self.placed(&lambda, before);
        let mut place = vec![u32::MAX; n + 1];
        placed.iter().zip(0..).for_each(|(&i, at)| place[i as usize] = at);
        let side = placed.len();
        let (mut load, mut diagonal, mut dense) = (vec![0.0; n + 1], vec![0.0; n + 1], vec![0.0; side * side]);
        let (mut value, mut v, mut near, mut parts) = (0.0, Vec::new(), Vec::new(), Vec::<(u32, f64)>::new());
        let price = self.rows.face_prices(&lambda);
        let mut of_face = vec![0.0; price.len()];
        for row in 0..self.rows.len() {
            let demand = self.rows.demand[row];
            if demand == 0.0 {
                continue;
            }
            let soft = self.rows.shares(row, &price, t, &mut v, &mut near);
            if near.is_empty() {
                continue;
            }
            value += demand * soft;
            if let [(k, _)] = near[..] {
                of_face[self.rows.face[k] as usize] += demand;
                continue;
            }
            parts.clear();
            let per_t = demand / t;
            for &(k, x) in &near {
                let face = self.rows.face[k];
                of_face[face as usize] += demand * x;
                if x < SLIGHT {
                    continue;
                }
                let resources = &self.rows.faces[face as usize];
                for (nth, &i) in resources.iter().enumerate().filter(|(_, i)| (**i as usize) < n) {
                    let at = place[i as usize];
                    if at == u32::MAX {
                        diagonal[i as usize] += per_t * x * (1.0 - x);
                        continue;
                    }
                    parts.push((at, x));
                    dense[at as usize * (side + 1)] += per_t * x;
                    for &other in resources[..nth].iter().filter(|o| (**o as usize) < n) {
                        let other = place[other as usize];
                        if other != u32::MAX {
                            dense[at.max(other) as usize * side + at.min(other) as usize] += per_t * x;
                        }
                    }
                }
            }
            for &(a, xa) in &parts {
                let (line, xa) = (a as usize * side, per_t * xa);
                for &(b, xb) in &parts {
                    if b <= a {
                        dense[line + b as usize] -= xa * xb;
                    }
                }
            }
        }
        for (face, carried) in self.rows.faces.iter().zip(of_face) {
            face.iter().for_each(|i| load[*i as usize] += carried);
        }
        for (i, &room) in self.rooms.iter().enumerate() {
            let (_, slope, integral) = supply(room, lambda[i]);
            value -= integral;
            match place[i] {
                u32::MAX => diagonal[i] += slope,
                at => {
                    dense[at as usize * (side + 1)] += slope;
                    diagonal[i] = dense[at as usize * (side + 1)];
                }
            }
        }
        Point { rest: Rest { lambda, load, settled: false }, value, placed, dense, diagonal }
    }

    /// The step that maximises the quadratic model under `λ + d ≥ 0`, damped to some `radius`, and the
    /// gain that the model without damping predicts for it.
    fn step(&self, at: &Point, radius: f64) -> (Vec<f64>, f64) {
        let Rest { lambda, load, .. } = &at.rest;
        let n = self.rooms.len();
        let gradient: Vec<f64> = (0..n).map(|i| load[i] - supply(self.rooms[i], lambda[i]).0).collect();
        let damped = |i: usize| at.diagonal[i] + gradient[i].abs() / radius + 1e-12;
        let mut step = vec![0.0; n + 1];
        let mut free: Vec<bool> = (0..n).map(|i| lambda[i] > 0.0 || gradient[i] > 0.0).collect();
        // Resources without a place: their diagonal alone.
        let mut is_placed = vec![false; n];
        at.placed.iter().for_each(|&i| is_placed[i as usize] = true);
        for i in (0..n).filter(|&i| free[i] && !is_placed[i]) {
            step[i] = (gradient[i] / damped(i)).max(-lambda[i]);
        }
        let side = at.placed.len();
        let entry = |a: usize, b: usize| at.dense[a.max(b) * side + a.min(b)];
        // Those that would fall below 0 are held at −λ and the others solved again; each round holds one
        // more, a few rounds hold all that matter.
        for _ in 0..8 {
            let solved: Vec<usize> = (0..side).filter(|&a| free[at.placed[a] as usize]).collect();
            let held: Vec<usize> =
                (0..side).filter(|&a| !free[at.placed[a] as usize] && step[at.placed[a] as usize] != 0.0).collect();
            let m = solved.len();
            let (mut matrix, mut rhs) = (vec![0.0; m * m], vec![0.0; m]);
            for (row, &a) in solved.iter().enumerate() {
                let i = at.placed[a] as usize;
                for (column, &b) in solved[..row].iter().enumerate() {
                    matrix[row * m + column] = entry(a, b);
                }
                matrix[row * (m + 1)] = damped(i);
                rhs[row] = gradient[i] - held.iter().map(|&b| entry(a, b) * step[at.placed[b] as usize]).sum::<f64>();
            }
            cholesky_solve(&mut matrix, &mut rhs, m);
            let mut clean = true;
            for (&a, &d) in solved.iter().zip(&rhs) {
                let i = at.placed[a] as usize;
                step[i] = d;
                if lambda[i] + d < 0.0 {
                    step[i] = -lambda[i];
                    free[i] = false;
                    clean = false;
                }
            }
            if clean {
                break;
            }
        }
        let mut predicted: f64 = gradient.iter().zip(&step).map(|(g, d)| g * d).sum();
        for i in (0..n).filter(|&i| !is_placed[i]) {
            predicted -= 0.5 * at.diagonal[i] * step[i] * step[i];
        }
        for a in 0..side {
            let da = step[at.placed[a] as usize];
            if da != 0.0 {
                let off: f64 = (0..a).map(|b| at.dense[a * side + b] * step[at.placed[b] as usize]).sum();
                predicted -= da * (off + 0.5 * at.dense[a * (side + 1)] * da);
            }
        }
        (step, predicted.max(0.0))
    }
}

/// Solves `A d = b` for a symmetric positive definite `A` (lower triangle, `n × n`), both overwritten.
/// A pivot that rounding has made small or negative is raised, which shortens the step along it.
fn cholesky_solve(a: &mut [f64], b: &mut [f64], n: usize) {
    for j in 0..n {
        let (done, rest) = a.split_at_mut((j + 1) * n);
        let line = &mut done[j * n..];
        let pivot = line[j] - line[..j].iter().map(|l| l * l).sum::<f64>();
        let pivot = pivot.max(1e-10 * line[j]).max(1e-30).sqrt();
        line[j] = pivot;
        for below in rest.chunks_exact_mut(n) {
            let dot: f64 = below[..j].iter().zip(&line[..j]).map(|(x, y)| x * y).sum();
            below[j] = (below[j] - dot) / pivot;
        }
    }
    for i in 0..n {
        let dot: f64 = (0..i).map(|j| a[i * n + j] * b[j]).sum();
        b[i] = (b[i] - dot) / a[i * (n + 1)];
    }
    for i in (0..n).rev() {
        b[i] /= a[i * (n + 1)];
        for j in 0..i {
            b[j] -= a[i * n + j] * b[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn supply_is_the_slope_of_its_integral() {
        let room = Room { target: 3.0, max: 5.0 };
        for lambda in [0.0, 10.0, 3999.0, 4001.0, 6000.0, 7999.0, 8001.0, 11_000.0, 12_001.0, 40_000.0] {
            let (offer, slope, integral) = supply(room, lambda);
            let (next, _, more) = supply(room, lambda + 1e-3);
            assert!(((more - integral) / 1e-3 - offer).abs() < 1e-3, "{lambda}");
            assert!(((next - offer) / 1e-3 - slope).abs() < 1e-6, "{lambda}");
        }
        assert_eq!(supply(room, 8000.0).0, 5.0);
        assert_eq!(supply(Room { target: 0.0, max: 0.0 }, 1e6).0, 0.0);
    }

    proptest! {
        #[test]
        fn cholesky_solves(seed in prop::collection::vec(-1.0f64..1.0, 36), b in prop::collection::vec(-1.0f64..1.0, 6)) {
            // A = S Sᵀ + I/10
            let full = |i: usize, j: usize| {
                let dot: f64 = (0..6).map(|k| seed[i * 6 + k] * seed[j * 6 + k]).sum();
                dot + if i == j { 0.1 } else { 0.0 }
            };
            let mut a: Vec<f64> = (0..36).map(|at| if at % 6 <= at / 6 { full(at / 6, at % 6) } else { f64::NAN }).collect();
            let mut x = b.clone();
            cholesky_solve(&mut a, &mut x, 6);
            for (i, b) in b.iter().enumerate() {
                let got: f64 = (0..6).map(|j| full(i, j) * x[j]).sum();
                prop_assert!((got - b).abs() < 1e-9);
            }
        }
    }
}
