//! How people respond to one message: the kernel of the announced curves.
//!
//! `K(u) = (1 − e^{−u/t_r}) · (b/t_d)·(1 + u/t_d)^{−b−1} / Z`: nobody answers at once (rise `t_r`), and attention decays by
//! a power law (`t_d`, `b`). The form is that of responses to messages in social networks (Crane and Sornette 2008; SEISMIC,
//! Zhao et al. 2015) with a smooth onset; `Z` makes it integrate to 1.
//!
//! With `P(u) = 1 − (1 + u/t_d)^{−b}` and `C(u) = ∫₀ᵘ e^{−s/t_r}·P′(s) ds` the share that has responded by `u` is
//! `G(u) = (P(u) − C(u))/Z`, `Z = 1 − C(∞)`. `C` is all but constant after some rises, so a short table of it suffices.

/// Steps of the table, and how many times as many it has where the decay is faster than the rise.
const STEPS: f64 = 240.0;
/// See [`STEPS`].
const FINEST: f64 = 20.0;
/// Rises that the table covers: `e^{−24}` is below 1e-10.
const RISES: f64 = 24.0;

//----------- Response -------------------------------------------------------

/// The parameters of a kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// `t_r`: seconds until people have read it; above 0.
    pub rise_secs: f64,
    /// `t_d`: seconds after which attention decays; above 0.
    pub decay_secs: f64,
    /// `b`: how fast it does; above 0. Below 1 the tail is so heavy that there is no mean.
    pub exponent: f64,
}

/// A kernel, ready to be read.
#[derive(Clone, Debug)]
pub struct Response {
    shape: Shape,
    step: f64,
    /// `C` at multiples of `step`, its integral from 0, and its slope times `step`.
    slow: Vec<(f64, f64, f64)>,
    norm: f64,
}

impl Response {
    /// Works out the table: some microseconds.
    pub fn new(shape: Shape) -> Response {
        let steps = (STEPS * (4.0 * shape.rise_secs / shape.decay_secs).clamp(1.0, FINEST)) as usize;
        let step = shape.rise_secs * RISES / steps as f64;
        let density = |s: f64| (-s / shape.rise_secs).exp() * shape.density(s);
        let mut slow = vec![(0.0, 0.0, step * density(0.0))];
        for i in 0..steps {
            let (a, (c, area, _)) = (i as f64 * step, slow[i]);
            // Simpson on each half, so that the middle is known, too.
            let half = |a: f64| {
                let h = step / 2.0;
                h / 6.0 * (density(a) + 4.0 * density(a + h / 2.0) + density(a + h))
            };
            let middle = c + half(a);
            let end = middle + half(a + step / 2.0);
            slow.push((end, area + step / 6.0 * (c + 4.0 * middle + end), step * density(a + step)));
        }
        let norm = 1.0 - slow[steps].0;
        Response { shape, step, slow, norm }
    }

    /// `G(u)`: the share that has responded `u` seconds after the message, in `[0, 1]`; 0 before.
    pub fn by(&self, u: f64) -> f64 {
        if u <= 0.0 { 0.0 } else { ((self.shape.by(u) - self.slow(u).0) / self.norm).max(0.0) }
    }

    /// `∫₀ᵘ G`, seconds.
    pub fn area(&self, u: f64) -> f64 {
        if u <= 0.0 { 0.0 } else { ((self.shape.area(u) - self.slow(u).1) / self.norm).max(0.0) }
    }

    /// `C(u)` and its integral.
    fn slow(&self, u: f64) -> (f64, f64) {
        let at = u / self.step;
        let i = at as usize;
        let last = self.slow.len() - 1;
        if i >= last {
            let (c, area, _) = self.slow[last];
            return (c, area + c * (u - self.step * last as f64));
        }
        let ((c0, a0, d0), (c1, _, d1)) = (self.slow[i], self.slow[i + 1]);
        // Hermite's cubic through both values and slopes.
        let (part, gap) = (at - i as f64, c1 - c0);
        let c = c0 + part * (d0 + part * ((3.0 * gap - 2.0 * d0 - d1) + part * (d0 + d1 - 2.0 * gap)));
        (c, a0 + part * self.step * (c0 + c) / 2.0)
    }
}

impl Shape {
    /// `P′(s)`.
    fn density(&self, s: f64) -> f64 {
        self.exponent / self.decay_secs * (1.0 + s / self.decay_secs).powf(-self.exponent - 1.0)
    }

    /// `P(u)`, by `expm1` so that small values keep their digits.
    fn by(&self, u: f64) -> f64 {
        -(-self.exponent * (u / self.decay_secs).ln_1p()).exp_m1()
    }

    /// `∫₀ᵘ P`.
    fn area(&self, u: f64) -> f64 {
        let (b, log) = (self.exponent, (u / self.decay_secs).ln_1p());
        // ∫(1+s/t)^{−b} = t·((1+u/t)^{1−b} − 1)/(1−b), and t·ln(1+u/t) at b = 1.
        let kept = match (1.0 - b).abs() < 1e-9 {
            true => log,
            false => ((1.0 - b) * log).exp_m1() / (1.0 - b),
        };
        u - self.decay_secs * kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// By small steps, as the definition reads.
    fn slowly(shape: Shape, until: f64) -> f64 {
        let n = 200_000;
        let h = until / f64::from(n);
        (0..n)
            .map(|i| {
                let u = (f64::from(i) + 0.5) * h;
                (1.0 - (-u / shape.rise_secs).exp()) * shape.density(u) * h
            })
            .sum()
    }

    #[test]
    fn it_is_the_integral_of_the_kernel() {
        let check = |rise_secs, decay_secs, exponent| {
            let shape = Shape { rise_secs, decay_secs, exponent };
            let response = Response::new(shape);
            for u in [rise_secs / 2.0, 3.0 * rise_secs, decay_secs, 10.0 * decay_secs] {
                let (quick, slow) = (response.by(u), slowly(shape, u) / response.norm);
                assert!((quick - slow).abs() < 1e-4, "{shape:?} at {u}: {quick} {slow}");
            }
        };
        check(60.0, 5760.0, 0.54);
        check(20.0, 300.0, 1.2);
        check(10.0, 180.0, 1.0);
        check(300.0, 60.0, 2.0);
    }

    #[test]
    fn nobody_has_responded_before_and_everybody_in_the_end() {
        let response = Response::new(Shape { rise_secs: 20.0, decay_secs: 300.0, exponent: 1.2 });
        assert_eq!([response.by(-1.0), response.by(0.0), response.area(-5.0)], [0.0; 3]);
        assert!((response.by(1e9) - 1.0).abs() < 1e-6);
    }

    /// control.md 3.11: a mail has some 8 % of its responses in the first quarter of an hour, 23 % in the first hour.
    #[test]
    fn a_mail_is_answered_as_mails_are() {
        let response = Response::new(Shape { rise_secs: 60.0, decay_secs: 5760.0, exponent: 0.54 });
        let [quarter, hour] = [900.0, 3600.0].map(|u| response.by(u));
        assert!((quarter - 0.08).abs() < 0.01 && (hour - 0.23).abs() < 0.02, "{quarter} {hour}");
    }

    proptest! {
        /// Ascending, within [0, 1], and its area is its integral.
        #[test]
        fn a_distribution(rise in 1.0..600.0f64, decay in 10.0..1e5f64, exponent in 0.2..3.0f64, u in 0.0..1e6f64) {
            let response = Response::new(Shape { rise_secs: rise, decay_secs: decay, exponent });
            let (here, later) = (response.by(u), response.by(u * 1.01 + 0.01));
            prop_assert!((0.0..=1.0 + 1e-9).contains(&here) && later >= here - 1e-7);
            let h = 1e-3 * (u + 1.0);
            let slope = (response.area(u + h) - response.area(u)) / h;
            prop_assert!((slope - response.by(u + h / 2.0)).abs() < 2e-3, "{slope} {}", response.by(u + h / 2.0));
        }
    }
}
