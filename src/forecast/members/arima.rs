//! ARIMA(p,d,q) with `p ≤ 4, d ≤ 1, q ≤ 3`, estimated by conditional least squares.
//!
//! ```text
//! w = (1 − B)ᵈ y        w(t) = c + Σ φᵢ·w(t−i) + Σ θⱼ·e(t−j) + e(t)
//! ```
//!
//! Box and Jenkins (1970), chapter 7: the squares of `e` are summed, given `e = 0` before the first. Steps of Levenberg
//! and Marquardt on partial autocorrelations, whose image under `tanh` is always stationary and invertible
//! (Monahan 1984); `c` is a regression. `d` by the test of Kwiatkowski, Phillips, Schmidt and Shin (1992), `p` and `q` by
//! AICc along the stepwise walk of Hyndman and Khandakar (2008). Conditional and exact likelihood differ by a few
//! first values out of 600. There is no drift with `d = 1`: over half an hour it is noise.
//!
//! A gap takes the value forecast for it; what the series did meanwhile then counts as one error.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::members::ets::known_values;
use crate::forecast::members::spread::{Course, Path};
use crate::forecast::solve::solve;

/// Most orders.
pub const MOST_AR: usize = 4;
/// See [`MOST_AR`].
pub const MOST_MA: usize = 3;
/// Values fitted to, and fewest. Our choice, the window of the benchmark's baseline; four values a parameter.
const WINDOW: usize = 600;
const LEAST: usize = 40;
/// Most models tried in the walk, and most steps of the search in each.
const MOST_MODELS: usize = 20;
const MOST_STEPS: usize = 12;
/// Least statistic of the level test at which the series is differenced: 5 %, table 1 of the paper.
const KPSS_5_PERCENT: f64 = 0.463;
/// Partial autocorrelations stay this far inside of ±1.
const INSIDE: f64 = 0.995;

//----------- Model ----------------------------------------------------------

/// How many terms of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Past values, at most 4.
    pub p: usize,
    /// Differences taken, 0 or 1.
    pub d: usize,
    /// Past errors, at most 3.
    pub q: usize,
}

/// Parameters; terms beyond the order are 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FittedArima {
    /// The order.
    pub order: Order,
    /// `φ`
    pub ar: [f64; MOST_AR],
    /// `θ`
    pub ma: [f64; MOST_MA],
    /// `c`, in the unit of the series; 0 where differenced.
    pub constant: f64,
    /// Mean squared error over the values fitted to, in squared units of the series.
    pub variance: f64,
    /// Corrected Akaike criterion, up to what all models of the same differences have in common.
    pub aicc: f64,
}

/// What the next step depends on, newest first.
#[derive(Clone, Copy, Debug, Default)]
pub struct State {
    y: f64,
    w: [f64; MOST_AR],
    e: [f64; MOST_MA],
}

impl FittedArima {
    /// Expected `w` of the next step.
    fn said(&self, s: &State) -> f64 {
        let past: f64 = self.ar.iter().zip(&s.w).map(|(a, w)| a * w).sum();
        let errors: f64 = self.ma.iter().zip(&s.e).map(|(m, e)| m * e).sum();
        self.constant + past + errors
    }

    /// Takes in one value, `None` for a gap, and returns the error.
    pub fn take(&self, s: &mut State, value: Option<f64>) -> f64 {
        let (said, base) = (self.said(s), if self.order.d == 1 { s.y } else { 0.0 });
        let y = value.unwrap_or(base + said);
        let (w, e) = (y - base, y - base - said);
        s.w.copy_within(..MOST_AR - 1, 1);
        s.e.copy_within(..MOST_MA - 1, 1);
        (s.w[0], s.e[0], s.y) = (w, e, y);
        e
    }

    /// The value `lead` steps on.
    pub fn value(&self, mut s: State, lead: usize) -> f64 {
        (0..lead).for_each(|_| _ = self.take(&mut s, None));
        s.y
    }

    /// The state before a first value: as if it had been there for ever.
    pub fn before(&self, y: f64) -> State {
        State { y, w: [if self.order.d == 1 { 0.0 } else { y }; MOST_AR], ..State::default() }
    }

    /// The state before the first of `values` that has an error: `ncond` of them are taken as they are.
    fn start(&self, values: &[f64], ncond: usize) -> State {
        let mut s = self.before(values[0]);
        for y in &values[..ncond] {
            let known = y.is_finite().then_some(*y);
            self.take(&mut s, known);
            s.e[0] = 0.0;
        }
        s
    }

    /// The forecast `lead` steps behind `values`, not empty, with gaps as NaN.
    pub fn after(&self, values: &[f64], lead: usize) -> f64 {
        let ncond = (self.order.p + self.order.d).min(values.len());
        let mut s = self.start(values, ncond);
        values[ncond..].iter().for_each(|y| _ = self.take(&mut s, y.is_finite().then_some(*y)));
        self.value(s, lead)
    }
}

//----------- Fitting --------------------------------------------------------

/// Which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arima {
    /// Found by test and criterion.
    #[default]
    Auto,
    /// This one.
    Of(Order),
}

impl Arima {
    /// Fits to all of `values`; NaN is a gap. `None` for fewer than 40 known ones.
    pub fn fit_values(self, values: &[f64]) -> Option<FittedArima> {
        let first = values.iter().position(|v| v.is_finite())?;
        let values = &values[first..];
        if values.iter().filter(|v| v.is_finite()).count() < LEAST {
            return None;
        }
        match self {
            Arima::Of(order) => Some(fit(order, values, order.p + order.d)),
            Arima::Auto => Some(walk(values)),
        }
    }
}

/// The stepwise walk from (2,2), (0,0), (1,0) and (0,1) to neighbours that are better. All condition on the same values, so
/// that their criteria compare.
fn walk(values: &[f64]) -> FittedArima {
    let d = usize::from(kpss(values) > KPSS_5_PERCENT);
    let ncond = MOST_AR + d;
    let mut tried: Vec<Order> = vec![];
    let mut best: Option<FittedArima> = None;
    let mut queue: Vec<Order> = [(2, 2), (0, 0), (1, 0), (0, 1)].map(|(p, q)| Order { p, d, q }).to_vec();
    while let Some(order) = queue.pop() {
        if tried.contains(&order) || tried.len() >= MOST_MODELS {
            continue;
        }
        tried.push(order);
        let fitted = fit(order, values, ncond);
        if fitted.aicc.is_finite() && best.is_none_or(|b| fitted.aicc < b.aicc) {
            best = Some(fitted);
        }
        if let (true, Some(best)) = (queue.is_empty(), best) {
            let Order { p, q, .. } = best.order;
            let near = [(1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0)];
            let near = near.map(|(a, b)| (p.checked_add_signed(a), q.checked_add_signed(b)));
            let orders = near.into_iter().filter_map(|(p, q)| Some(Order { p: p?, d, q: q? }));
            queue.extend(orders.filter(|o| o.p <= MOST_AR && o.q <= MOST_MA && !tried.contains(o)));
        }
    }
    best.unwrap_or_else(|| fit(Order { p: 0, d, q: 0 }, values, ncond))
}

/// Statistic of the level test on what is known, with the window of R's `ndiffs`: ⌊3√n/13⌋ lags, Bartlett weights.
fn kpss(values: &[f64]) -> f64 {
    let known: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
    let n = known.len() as f64;
    let mean = known.iter().sum::<f64>() / n;
    let e: Vec<f64> = known.iter().map(|v| v - mean).collect();
    let lags = (3.0 * n.sqrt() / 13.0) as usize;
    let product = |k: usize| e[k..].iter().zip(&e).map(|(a, b)| a * b).sum::<f64>() / n;
    let weight = |k: usize| 1.0 - k as f64 / (lags as f64 + 1.0);
    let long_run = product(0) + 2.0 * (1..=lags).map(|k| weight(k) * product(k)).sum::<f64>();
    let (mut sum, mut squares) = (0.0, 0.0);
    for e in &e {
        sum += e;
        squares += sum * sum;
    }
    if long_run > 0.0 { squares / (n * n * long_run) } else { 0.0 }
}

/// Conditional least squares for one order.
fn fit(order: Order, values: &[f64], ncond: usize) -> FittedArima {
    let k = order.p + order.q;
    let mut x = vec![0.1; k];
    let mut now = errors(order, &x, values, ncond);
    let mut damping = 0.01;
    for _ in 0..MOST_STEPS {
        if k == 0 {
            break;
        }
        let columns: Vec<Vec<f64>> = (0..k)
            .map(|i| {
                let mut moved = x.clone();
                moved[i] += 1e-5;
                let other = errors(order, &moved, values, ncond);
                other.1.iter().zip(&now.1).map(|(a, b)| (a - b) / 1e-5).collect()
            })
            .collect();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut better = false;
        for _ in 0..5 {
            let mut a: Vec<f64> = (0..k * k).map(|ij| product(&columns[ij / k], &columns[ij % k])).collect();
            (0..k).for_each(|i| a[i * k + i] *= 1.0 + damping);
            let mut step: Vec<f64> = columns.iter().map(|c| -product(c, &now.1)).collect();
            solve(&mut a, &mut step);
            let moved: Vec<f64> = x.iter().zip(&step).map(|(x, s)| (x + s).clamp(-4.0, 4.0)).collect();
            let then = errors(order, &moved, values, ncond);
            if then.0.variance < now.0.variance {
                better = now.0.variance - then.0.variance > 1e-7 * now.0.variance;
                (x, now, damping) = (moved, then, damping * 0.2);
                break;
            }
            damping *= 6.0;
        }
        if !better {
            break;
        }
    }
    let fitted = now.0;
    let n = now.1.len() as f64;
    let parameters = (k + 1 + usize::from(order.d == 0)) as f64;
    let penalty = 2.0 * parameters + 2.0 * parameters * (parameters + 1.0) / (n - parameters - 1.0);
    FittedArima { aicc: n * (fitted.variance + f64::MIN_POSITIVE).ln() + penalty, ..fitted }
}

/// The model at partial autocorrelations `tanh x` and its errors from `ncond` on; gaps have none.
fn errors(order: Order, x: &[f64], values: &[f64], ncond: usize) -> (FittedArima, Vec<f64>) {
    let mut model = FittedArima { order, ..FittedArima::default() };
    coefficients(&x[..order.p], &mut model.ar);
    coefficients(&x[order.p..], &mut model.ma);
    model.ma.iter_mut().for_each(|m| *m = -*m);
    let run = |model: &FittedArima, values: &[f64]| -> Vec<f64> {
        let ncond = ncond.min(values.len());
        let mut s = model.start(values, ncond);
        let known = values[ncond..].iter().map(|y| (model.take(&mut s, y.is_finite().then_some(*y)), y.is_finite()));
        known.filter(|(_, known)| *known).map(|(e, _)| e).collect()
    };
    let mut e = run(&model, values);
    if order.d == 0 {
        // The errors are linear in c: one more pass gives the slope.
        model.constant = 1.0;
        let slope: Vec<f64> = run(&model, values).iter().zip(&e).map(|(one, none)| one - none).collect();
        let (se, ss) = slope.iter().zip(&e).fold((0.0, 0.0), |(se, ss), (s, e)| (se + s * e, ss + s * s));
        model.constant = if ss > 0.0 { -se / ss } else { 0.0 };
        e.iter_mut().zip(&slope).for_each(|(e, s)| *e += model.constant * s);
    }
    model.variance = e.iter().map(|e| e * e).sum::<f64>() / e.len().max(1) as f64;
    (model, e)
}

/// Coefficients of a stationary recursion from unbounded numbers, by Durbin and Levinson.
fn coefficients(x: &[f64], out: &mut [f64]) {
    for (k, x) in x.iter().enumerate() {
        let partial = INSIDE * x.tanh();
        let before: Vec<f64> = out[..k].to_vec();
        (0..k).for_each(|i| out[i] = before[i] - partial * before[k - 1 - i]);
        out[k] = partial;
    }
}

//----------- As a member ----------------------------------------------------

impl Course for Arima {
    type Path = FittedArima;

    fn name(&self) -> &'static str {
        "arima"
    }

    /// Fits to the last 600 values. `None` for fewer than 40.
    fn path(&self, h: &History, _: &Known) -> Option<FittedArima> {
        self.fit_values(&known_values(h, WINDOW))
    }
}

impl Path for FittedArima {
    type State = State;
    const WARM_UP: usize = 200;

    fn start(&self, h: &History, t: usize) -> State {
        self.before(h.y(t))
    }

    fn step(&self, state: &mut State, h: &History, t: usize) {
        self.take(state, h.known(t).then(|| h.y(t)));
    }

    fn ahead(&self, state: &State, _: &History, _: &Known, _: usize, lead: usize) -> f64 {
        self.value(*state, lead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deviates of about a normal: the sum of four uniform ones.
    fn noise(n: usize) -> impl Iterator<Item = f64> {
        let mut state = 7u64;
        let mut uniform = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        (0..n).map(move |_| (uniform() + uniform() + uniform() + uniform()) * 3f64.sqrt())
    }

    fn simulate(ar: &[f64], ma: &[f64], n: usize) -> Vec<f64> {
        let (mut y, mut e) = (vec![], vec![]);
        for (t, shock) in noise(n).enumerate() {
            let past: f64 = ar.iter().enumerate().filter(|(i, _)| *i < t).map(|(i, a)| a * y[t - 1 - i]).sum();
            let errors: f64 = ma.iter().enumerate().filter(|(j, _)| *j < t).map(|(j, m)| m * e[t - 1 - j]).sum();
            y.push(past + errors + shock);
            e.push(shock);
        }
        y
    }

    #[test]
    fn finds_the_coefficients_it_was_made_with() {
        let y = simulate(&[0.6, 0.2], &[0.4], 3000);
        let fitted = Arima::Of(Order { p: 2, d: 0, q: 1 }).fit_values(&y).unwrap();
        assert!((fitted.ar[0] - 0.6).abs() < 0.15 && (fitted.ma[0] - 0.4).abs() < 0.15, "{fitted:?}");
        assert!((fitted.variance - 1.0).abs() < 0.08, "{fitted:?}");
    }

    #[test]
    fn differences_a_walk_and_not_noise() {
        let noise: Vec<f64> = noise(600).collect();
        let walk: Vec<f64> = noise
            .iter()
            .scan(0.0, |s, e| {
                Some({
                    *s += e;
                    *s
                })
            })
            .collect();
        assert_eq!(Arima::Auto.fit_values(&noise).unwrap().order.d, 0);
        assert_eq!(Arima::Auto.fit_values(&walk).unwrap().order.d, 1);
    }

    /// AR(1) by hand: from 2 with c = 1 and φ = ½ come 2, 2, …; from 4 come 3, 2.5.
    #[test]
    fn forecasts_as_by_hand() {
        let model = FittedArima {
            order: Order { p: 1, d: 0, q: 0 },
            ar: [0.5, 0.0, 0.0, 0.0],
            constant: 1.0,
            ..FittedArima::default()
        };
        assert_eq!(model.after(&[2.0, 4.0], 1), 3.0);
        assert_eq!(model.after(&[2.0, 4.0], 2), 2.5);
        assert_eq!(model.after(&[2.0, 4.0, f64::NAN], 1), 2.5);
    }

    #[test]
    fn any_numbers_make_a_stationary_recursion() {
        for x in [[3.0, 3.0, 3.0, 3.0], [-3.0, 2.0, -1.0, 0.5], [4.0, -4.0, 4.0, -4.0]] {
            let mut ar = [0.0; 4];
            coefficients(&x, &mut ar);
            let mut y = vec![1.0; 4];
            (4..20_000).for_each(|t| y.push((0..4).map(|i| ar[i] * y[t - 1 - i]).sum()));
            assert!(y[19_999].abs() < 1.0, "{ar:?} {}", y[19_999]);
        }
    }
}
