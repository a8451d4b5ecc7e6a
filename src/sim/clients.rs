//! Requests of one group: from the answers that caches hold, through connections that outlive them, to members.
//!
//! Two kinds of connections carry a cell's demand. Per kind and member `n[m]` is the rate of the requests on open
//! connections. In a step of `dt` seconds `n` fades by `e^(−dt/life)`; what is missing from the demand then opens
//! connections by the answers held now, and what is too much is taken from all alike.

use crate::sim::scenario::Clients as Spec;

/// See the module.
#[derive(Clone, Debug)]
pub struct Clients {
    long_share: f64,
    lives: [f64; 2],
    n_members: usize,
    /// `n[(kind * C + c) * (M + 1) + m]`.
    n: Vec<f64>,
    n_cells: usize,
}

impl Clients {
    /// Nobody is connected. `n_members` apart from "no answer".
    pub fn new(spec: &Spec, n_cells: usize, n_members: usize) -> Clients {
        Clients {
            long_share: spec.long_share,
            lives: [spec.short.0, spec.long.0],
            n_members: n_members + 1,
            n: vec![0.0; 2 * n_cells * (n_members + 1)],
            n_cells,
        }
    }

    /// One step for one cell: `mass` as [`Caches::mass`](crate::sim::caches::Caches::mass), `broken[m]`: connections to
    /// member `m` break at once. Adds the requests per second of every member to `load`, whose last entry is of those
    /// with no answer.
    pub fn step(&mut self, cell: usize, demand: f64, mass: &[f64], broken: &[bool], dt: f64, load: &mut [f64]) {
        let whole: f64 = mass.iter().map(|m| m.max(0.0)).sum::<f64>().max(1e-12);
        for (kind, share) in [1.0 - self.long_share, self.long_share].into_iter().enumerate() {
            let keep = (-dt / self.lives[kind]).exp();
            let from = (kind * self.n_cells + cell) * self.n_members;
            let open = &mut self.n[from..from + self.n_members];
            let mut sum = 0.0;
            for (m, n) in open.iter_mut().enumerate() {
                *n *= if broken.get(m).copied().unwrap_or(true) { 0.0 } else { keep };
                sum += *n;
            }
            let missing = share * demand - sum;
            let fewer = if missing < 0.0 && sum > 0.0 { share * demand / sum } else { 1.0 };
            for ((n, mass), load) in open.iter_mut().zip(mass).zip(load.iter_mut()) {
                *n = *n * fewer + missing.max(0.0) * mass.max(0.0) / whole;
                *load += *n;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After a change of all answers, what is left on the old member fades as the two kinds do, and nothing is lost.
    #[test]
    fn connections_outlive_answers() {
        let mut clients = Clients::new(&Spec::default(), 1, 2);
        let mut run = |mass: [f64; 3], broken: [bool; 2], secs: usize| {
            let mut load = [0.0; 3];
            for _ in 0..secs {
                load = [0.0; 3];
                clients.step(0, 100.0, &mass, &broken, 1.0, &mut load);
            }
            load
        };
        assert!((run([1.0, 0.0, 0.0], [false; 2], 1)[0] - 100.0).abs() < 1e-9);
        let after = run([0.0, 1.0, 0.0], [false; 2], 60);
        let want = 70.0 * (-3.0f64).exp() + 30.0 * (-0.2f64).exp();
        assert!((after[0] - want).abs() < 1e-6 && (after[0] + after[1] - 100.0).abs() < 1e-9, "{after:?}");
        let broken = run([0.0, 1.0, 0.0], [true, false], 1);
        assert!(broken[0].abs() < 1e-9 && (broken[1] - 100.0).abs() < 1e-9, "{broken:?}");
    }
}
