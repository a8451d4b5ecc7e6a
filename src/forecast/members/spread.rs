//! From one value per lead to a distribution: the method's own errors, in units of the local scale.
//!
//! ```text
//! e = (y(t+h) − ŷ(t+h|t)) / s(t)        Q_q(t+h) = ŷ(t+h|t) + s(t)·quantile_q{e}
//! ```
//!
//! The analytic normal intervals of these methods assume errors of one size; traffic is calm at night and
//! rough at noon, and its errors have heavy tails. So the shape is empirical and the size follows the last hour
//! (split into location, scale and shape as in GARCH filtered by history: Barone-Adesi, Giannopoulos and
//! Vosper 1999). `s` is that of the direct models' rows without their distance term.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::member::{Fitted, Member};
use crate::forecast::quantiles::{LEVELS, N_LEVELS, NORMAL, Quantiles, of_sorted};
use std::fmt::Debug;

/// Days of errors that make the shape, and the most of them, evenly taken. As the empirical differences have.
const DAYS: usize = 3;
const MOST: usize = 700;
/// Fewest steps looked at even where a day has few: hourly series.
const LEAST: usize = 500;
/// How many errors the first guess, a normal of the same mean size, is worth.
const PRIOR_WEIGHT: f64 = 10.0;
/// What the last three steps count beside the hour's, and the least share of the long-run mean step. Both as in
/// [`features`](crate::forecast::features).
const SCALE_OF_LAST: f64 = 0.3;
const SCALE_FLOOR: f64 = 0.1;

//----------- Course and path ------------------------------------------------

/// A method that says how the series goes on, one value per lead, by a recursion over its values.
pub trait Course: Debug + Send + Sync {
    /// What fitting makes.
    type Path: Path;

    /// See [`Member::name`].
    fn name(&self) -> &'static str;

    /// Estimates the parameters. `None` where there is too little to learn from.
    fn path(&self, history: &History, known: &Known) -> Option<Self::Path>;
}

/// A course with its parameters.
///
/// Its state at a step follows from a bounded stretch of values before it. So each new value counts at once without a fit,
/// and any past origin can be asked again.
pub trait Path: Clone + Debug + Send + Sync + 'static {
    /// What the next steps depend on.
    type State: Clone + Debug + Send + Sync;

    /// Steps from which a state is made where there is none to go on from.
    const WARM_UP: usize;

    /// The first step that a forecast can be made from.
    fn first(&self, history: &History) -> usize {
        history.begin()
    }

    /// The state before the value at step `t`.
    fn start(&self, history: &History, t: usize) -> Self::State;

    /// Takes in the value at step `t`, or that it is a gap.
    fn step(&self, state: &mut Self::State, history: &History, t: usize);

    /// The value at `t + lead`, less the history's base, from the state after step `t` and values up to it.
    fn ahead(&self, state: &Self::State, history: &History, known: &Known, t: usize, lead: usize) -> f64;

    /// See [`Fitted::effects`].
    fn effects(&self) -> Vec<(String, f64)> {
        vec![]
    }

    /// Bytes held besides itself, about.
    fn size(&self) -> usize {
        0
    }
}

impl<C: Course> Member for C {
    type Fitted = Spread<C::Path>;

    fn name(&self) -> &'static str {
        Course::name(self)
    }

    fn fit(&self, history: &History, known: &Known, leads: &[usize]) -> Option<Spread<C::Path>> {
        if history.is_empty() {
            return None;
        }
        let path = self.path(history, known)?;
        (history.len() > path.first(history)).then(|| Spread::of(path, history, known, leads))
    }
}

//----------- Spread ---------------------------------------------------------

/// A path with the quantiles of its own errors at some leads.
#[derive(Clone, Debug)]
pub struct Spread<P: Path> {
    /// Where the centre comes from.
    pub path: P,
    /// The step last followed to, and the state after it.
    now: (usize, P::State),
    /// Errors at [`LEVELS`] in local scales, for each lead.
    shapes: Vec<(usize, [f64; N_LEVELS])>,
    floor: f64,
}

impl<P: Path> Spread<P> {
    fn of(path: P, h: &History, known: &Known, leads: &[usize]) -> Spread<P> {
        let n = h.len();
        let floor = floor(h);
        let shortest = leads.first().copied().unwrap_or(1);
        let to = n.saturating_sub(shortest);
        let from = path.first(h).max(to.saturating_sub((DAYS * h.day.len).max(LEAST)));
        let stride = to.saturating_sub(from).div_ceil(MOST).max(1);
        let mut errors = vec![vec![]; leads.len()];
        let mut state = warm(&path, h, from);
        for t in from..n {
            if t > from {
                path.step(&mut state, h, t);
            }
            if (t - from).is_multiple_of(stride) && h.known(t) {
                for (lead, errors) in leads.iter().zip(&mut errors).filter(|(l, _)| t + *l < n && h.known(t + *l)) {
                    let said = path.ahead(&state, h, known, t, *lead);
                    errors.push((h.y(t + lead) - said) / scale(h, t, floor));
                }
            }
        }
        let shapes = leads.iter().zip(errors).map(|(lead, errors)| (*lead, shape(errors, *lead))).collect();
        Spread { path, now: (n - 1, state), shapes, floor }
    }
}

/// The state after step `t`, from the values before it.
fn warm<P: Path>(path: &P, h: &History, t: usize) -> P::State {
    let from = t.saturating_sub(P::WARM_UP).max(h.begin()).max(h.first()).min(t);
    let mut state = path.start(h, from);
    (from..=t).for_each(|t| path.step(&mut state, h, t));
    state
}

/// Errors at [`LEVELS`]; a normal stands in while there are few.
fn shape(mut errors: Vec<f64>, lead: usize) -> [f64; N_LEVELS] {
    errors.retain(|e| e.is_finite());
    errors.sort_unstable_by(f64::total_cmp);
    // The mean size of a normal is √(2/π) of its deviation. Nothing seen: the deviation of a random walk whose mean step is
    // the scale, twice over.
    let deviation = match errors.len() {
        0 => 2.0 * (lead as f64).sqrt(),
        k => errors.iter().map(|e| e.abs()).sum::<f64>() / k as f64 * std::f64::consts::FRAC_PI_2.sqrt(),
    };
    let trust = errors.len() as f64 / (errors.len() as f64 + PRIOR_WEIGHT);
    std::array::from_fn(|i| {
        let seen = if errors.is_empty() { 0.0 } else { of_sorted(&errors, LEVELS[i]) };
        trust * seen + (1.0 - trust) * deviation * NORMAL[i]
    })
}

impl<P: Path> Fitted for Spread<P> {
    fn follow(&mut self, history: &History, t: usize) {
        if t < self.now.0 || t - self.now.0 > P::WARM_UP.max(1) {
            self.now = (t, warm(&self.path, history, t));
        }
        (self.now.0 + 1..=t).for_each(|t| self.path.step(&mut self.now.1, history, t));
        self.now.0 = t;
    }

    fn at(&self, history: &History, known: &Known, t: usize, lead: usize) -> Option<Quantiles> {
        if t < self.path.first(history) {
            return None;
        }
        let (_, shape) = self.shapes.iter().find(|(l, _)| *l == lead)?;
        let centre = match t == self.now.0 {
            true => self.path.ahead(&self.now.1, history, known, t, lead),
            false => self.path.ahead(&warm(&self.path, history, t), history, known, t, lead),
        };
        let scale = scale(history, t, self.floor);
        let values = shape.map(|e| centre + scale * e);
        // A recursion that ran away says nothing.
        values.iter().all(|v| v.is_finite()).then(|| Quantiles::new(values))
    }

    fn effects(&self) -> Vec<(String, f64)> {
        self.path.effects()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.path.size() + self.shapes.len() * size_of::<(usize, [f64; N_LEVELS])>()
    }

    fn boxed(&self) -> Box<dyn Fitted> {
        Box::new(self.clone())
    }
}

/// The least local scale of a series: a tenth of the mean step of the last four weeks.
pub fn floor(h: &History) -> f64 {
    let n = h.len();
    SCALE_FLOOR * h.movement(h.begin().max(n.saturating_sub(4 * h.week.len)).min(n - 1), n)
}

/// The local scale at `t`: the mean step of the last hour (at least 12 steps) with a share of the last three; the least
/// positive number for a series that never moved, whose errors are all 0 then.
pub fn scale(h: &History, t: usize, floor: f64) -> f64 {
    let since = |k: usize| h.movement((t + 1).saturating_sub(k).max(h.first()), t + 1);
    let s = (since((h.day.len / 24).max(12)) + SCALE_OF_LAST * since(3)).max(floor);
    if s > 0.0 { s } else { f64::MIN_POSITIVE }
}
