//! Direct regression, one model for each lead: where by ridge, how wide by a log-linear model, the rest by trees.
//!
//! ```text
//! z = (y(t+h) − y(t)) / s(t)        m(x) = ridge on differences        e = z − m(x)
//! w(x) = exp(ridge of ln(|e| + δ) on logarithms of spreads)
//! Q(x) = y(t) + s(t)·(m(x) + w(x)·F(x)),     F = forest on e / w(x), from the quantiles of all of them
//! ```
//!
//! The ridge extrapolates, which trees cannot; the trees find what holds at some hours or in some states,
//! and every shape of distribution (zeros, two humps). Both learn from all rows up to the origin: learning
//! from alternate quarter days, so that the others could calibrate, cost 3 % of CRPS, more than its better
//! coverage gained, so coverage is left to [`calibrate`](crate::forecast::calibrate).

use crate::forecast::bins::Binned;
use crate::forecast::features::{Cycles, Layout, Use};
use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::linear::Linear;
use crate::forecast::member::{Fitted, Member};
use crate::forecast::quantiles::{LEVELS, Quantiles};
use crate::forecast::saved::{Reader, Writer};
use crate::forecast::trees::{Curve, Forest, Growth, restore_curve, save_curve};
use std::sync::Arc;

/// Fewest rows to learn from. Our choice: four per coefficient.
const LEAST_ROWS: usize = 200;
/// Rows looked at for the quantiles of columns.
const SAMPLE: usize = 1024;
/// Columns are held within these quantiles of the sample before the ridge sees them, and targets within
/// the like: one spike must not tilt a plane.
const COLUMN_TAIL: f64 = 0.003;
const TARGET_TAIL: f64 = 0.005;
/// `δ`, in mean `|e|`: keeps logarithms of small errors from ruling.
const DELTA: f64 = 0.3;
/// Penalty of the ridge, per row. Columns have like spread and much in common, so this much leaves the few directions in which they
/// go together, and what else there is to the trees: on 1,000 origins of each traffic series 1.2 % less CRPS than 0.1,
/// on 19 of the 20; 8 and more lose it again.
const LAMBDA: f64 = 2.0;
/// The spread of an event's column beside that of the others, which makes its penalty `λ / 20`: it has nothing in common with
/// them, and what was announced is to be believed.
const EVENT_SPREAD: f64 = 4.5;
/// Penalty of the model of width, per row.
const WIDTH_LAMBDA: f64 = 0.01;

/// What to fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Direct {
    /// Most rows learnt from, evenly taken from the window.
    pub rows: usize,
    /// Days of history learnt from, or `least_window` steps if those are more.
    pub window_days: usize,
    /// See `window_days`.
    pub least_window: usize,
    /// Penalty of the ridge, per row. `None` leaves the ridge out.
    pub lambda: Option<f64>,
    /// How the trees grow. 0 rounds leave them out.
    pub growth: Growth,
    /// Whether the local scale hears the last steps: how a surge widens what is said at its beginning.
    pub hears_jumps: bool,
}

impl Default for Direct {
    fn default() -> Self {
        Direct {
            rows: 4000,
            window_days: 42,
            least_window: 7000,
            lambda: Some(LAMBDA),
            growth: Growth::default(),
            hears_jumps: true,
        }
    }
}

/// Fitted models, one for each lead.
#[derive(Clone, Debug)]
pub struct FittedDirect {
    leads: Vec<OneLead>,
    /// Whether it was learnt from the series itself.
    is_own: bool,
}

#[derive(Clone, Debug)]
struct OneLead {
    layout: Layout,
    model: Arc<Model>,
}

/// What was learnt for one lead, in units of the local scale: it serves any series with the same features.
#[derive(Clone, Debug)]
pub struct Model {
    columns: Vec<Column>,
    levels: Vec<usize>,
    spreads: Vec<usize>,
    place: Option<Linear>,
    width: Linear,
    init: Curve,
    forest: Forest,
}

/// How a column is brought to like spread: held between two values, centred, scaled.
#[derive(Clone, Copy, Debug)]
struct Column {
    least: f32,
    most: f32,
    mean: f32,
    /// 1 / standard deviation, 0 for a column without spread.
    inverse: f32,
}

//----------- Fitting --------------------------------------------------------

impl Member for Direct {
    type Fitted = FittedDirect;

    fn name(&self) -> &'static str {
        "direct"
    }

    /// Some 35 ms per lead at the default settings and 4000 rows, in release.
    fn fit(&self, history: &History, known: &Known, leads: &[usize]) -> Option<FittedDirect> {
        let leads: Vec<OneLead> = leads.iter().filter_map(|lead| self.fit_lead(history, known, *lead)).collect();
        (!leads.is_empty()).then_some(FittedDirect { leads, is_own: true })
    }

    fn restore(&self, history: &History, saved: &mut Reader) -> Option<FittedDirect> {
        let one = |r: &mut Reader| {
            let layout = Layout::restore(history, r)?;
            let model = Arc::new(Model::restore(&layout, r)?);
            Some(OneLead { layout, model })
        };
        Some(FittedDirect { leads: saved.list(one)?, is_own: true })
    }
}

impl Direct {
    fn fit_lead(&self, history: &History, known: &Known, lead: usize) -> Option<OneLead> {
        let mut layout = Layout::new(history, known, lead)?;
        layout.hears_jumps = self.hears_jumps;
        let (x, z) = self.rows(history, known, &layout, self.rows);
        let model = Arc::new(self.learn(&layout, x, z)?);
        Some(OneLead { layout, model })
    }

    /// Learns from rows of features `x` and targets `z`; `None` where there are too few.
    fn learn(&self, layout: &Layout, mut x: Vec<f32>, z: Vec<f32>) -> Option<Model> {
        let (n, p, lead) = (z.len(), layout.columns.len(), layout.lead);
        if n < LEAST_ROWS {
            return None;
        }
        let samples = samples(&x, p);
        let binned = Binned::new(&x, &samples);
        let events = layout.with(Use::Event);
        let column = |(c, s): (usize, &Vec<f32>)| match events.contains(&c) {
            true => Column::of_all(x.iter().skip(c).step_by(p).copied()),
            false => Column::of(s),
        };
        let columns: Vec<Column> = samples.iter().enumerate().map(column).collect();
        x.chunks_mut(p).for_each(|row| standardise(row, &columns));

        let levels = [layout.with(Use::Level), events].concat();
        let spreads = layout.with(Use::Spread);
        let place = self.lambda.map(|lambda| Linear::fit(&x, p, &levels, &bounded(&z), lambda));
        let at = |linear: &Linear, row: &[f32], cols: &[usize]| linear.at(cols.iter().map(|c| row[*c])) as f32;
        let mut e = z;
        if let Some(place) = &place {
            e.iter_mut().zip(x.chunks(p)).for_each(|(e, row)| *e -= at(place, row, &levels));
        }
        let delta = DELTA * e.iter().map(|e| f64::from(e.abs())).sum::<f64>() / n as f64 + 1e-9;
        let log: Vec<f32> = e.iter().map(|e| (f64::from(e.abs()) + delta).ln() as f32).collect();
        let width = Linear::fit(&x, p, &spreads, &log, WIDTH_LAMBDA);
        e.iter_mut().zip(x.chunks(p)).for_each(|(e, row)| *e /= at(&width, row, &spreads).exp());

        let mut sorted = e.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let init = LEVELS.map(|q| sorted[((q * (n as f64 + 1.0) - 0.5).clamp(0.0, n as f64 - 1.0)) as usize]);
        let growth = Growth { seed: self.growth.seed.wrapping_mul(lead as u64), ..self.growth.clone() };
        let forest = Forest::grow(&binned, &e, &init, &growth);
        Some(Model { columns, levels, spreads, place, width, init, forest })
    }

    /// Features and targets of at most `most` rows to learn from, newest first.
    fn rows(&self, h: &History, known: &Known, layout: &Layout, most: usize) -> (Vec<f32>, Vec<f32>) {
        let (n, lead) = (h.len(), layout.lead);
        let window = (self.window_days * h.day.len).max(self.least_window);
        let (first, last) = (layout.first.max(n.saturating_sub(window)), n - 1 - lead);
        let span = last + 1 - first;
        let count = span.min(most);
        let mut x = Vec::with_capacity(count * layout.columns.len());
        let mut z = Vec::with_capacity(count);
        for t in (0..count).map(|k| last - k * span / count).filter(|t| h.known(*t) && h.known(t + lead)) {
            let scale = layout.scale(h, t);
            layout.row(h, known, t, scale, &mut x);
            z.push(((h.y(t + lead) - h.y(t)) / scale) as f32);
        }
        (x, z)
    }
}

/// Some values of each column, ascending.
fn samples(x: &[f32], p: usize) -> Vec<Vec<f32>> {
    let stride = (x.len() / p).div_ceil(SAMPLE);
    let column = |c: usize| {
        let mut values: Vec<f32> = x[c..].iter().step_by(p * stride).copied().collect();
        values.sort_unstable_by(f32::total_cmp);
        values
    };
    (0..p).map(column).collect()
}

/// Targets held within a bound of their size.
fn bounded(z: &[f32]) -> Vec<f32> {
    let mut sizes: Vec<f32> = z.iter().map(|z| z.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let most = sizes[((z.len() - 1) as f64 * (1.0 - TARGET_TAIL)) as usize];
    z.iter().map(|z| z.clamp(-most, most)).collect()
}

impl Column {
    fn of(sorted: &[f32]) -> Column {
        let tail = (sorted.len() as f64 * COLUMN_TAIL) as usize;
        let (least, most) = (sorted[tail], sorted[sorted.len() - 1 - tail]);
        let n = sorted.len() as f64;
        let held = || sorted.iter().map(|v| f64::from(v.clamp(least, most)));
        let mean = held().sum::<f64>() / n;
        let deviation = (held().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
        let inverse = if deviation > 1e-6 { 1.0 / deviation } else { 0.0 };
        Column { least, most, mean: mean as f32, inverse: inverse as f32 }
    }
}

impl Column {
    /// For a column that is rarely other than 0: all of it is looked at, nothing is held back, and its spread is
    /// [`EVENT_SPREAD`].
    fn of_all(values: impl Iterator<Item = f32> + Clone) -> Column {
        let n = values.clone().count().max(1) as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / n;
        let deviation = (values.map(|v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n).sqrt();
        let inverse = if deviation > 1e-6 { EVENT_SPREAD / deviation } else { 0.0 };
        Column { least: f32::MIN, most: f32::MAX, mean: mean as f32, inverse: inverse as f32 }
    }
}

fn standardise(row: &mut [f32], columns: &[Column]) {
    for (v, c) in row.iter_mut().zip(columns) {
        *v = (v.clamp(c.least, c.most) - c.mean) * c.inverse;
    }
}

//----------- Forecasting ----------------------------------------------------

impl Fitted for FittedDirect {
    fn at(&self, history: &History, known: &Known, t: usize, lead: usize) -> Option<Quantiles> {
        let fitted = self.leads.iter().find(|l| l.layout.lead == lead)?;
        fitted.layout.reaches(history, t).then(|| fitted.model.at(&fitted.layout, history, known, t))
    }

    fn effects(&self) -> Vec<(String, f64)> {
        // People read one figure: that of the middle lead.
        self.leads.get(self.leads.len() / 2).map_or(vec![], |one| one.model.effects(&one.layout))
    }

    /// Shared models are learnt again from all series.
    fn save(&self, to: &mut Writer) -> bool {
        to.list(self.leads.iter(), |to, one| {
            one.layout.save(to);
            one.model.save(to);
        });
        self.is_own
    }

    fn size(&self) -> usize {
        self.leads.iter().map(OneLead::size).sum()
    }

    fn boxed(&self) -> Box<dyn Fitted> {
        Box::new(self.clone())
    }
}

impl OneLead {
    /// A model that others use too is not counted.
    fn size(&self) -> usize {
        let own = if Arc::strong_count(&self.model) > 1 { 0 } else { self.model.size() };
        size_of::<OneLead>() + own
    }
}

impl Model {
    fn save(&self, to: &mut Writer) {
        let column =
            |to: &mut Writer, c: &Column| [c.least, c.most, c.mean, c.inverse].into_iter().for_each(|v| to.f32(v));
        to.list(self.columns.iter(), column);
        to.list(self.place.iter(), |to, place| place.save(to));
        self.width.save(to);
        save_curve(&self.init, to);
        self.forest.save(to);
    }

    /// Reads what was saved; `None` if it is not for rows of this layout.
    fn restore(layout: &Layout, saved: &mut Reader) -> Option<Model> {
        let column =
            |r: &mut Reader| Some(Column { least: r.f32()?, most: r.f32()?, mean: r.f32()?, inverse: r.f32()? });
        let columns = saved.list(column)?;
        let (levels, spreads) = ([layout.with(Use::Level), layout.with(Use::Event)].concat(), layout.with(Use::Spread));
        let place = saved.list(Linear::restore)?.pop();
        let width = Linear::restore(saved)?;
        let (init, forest) = (restore_curve(saved)?, Forest::restore(saved, columns.len())?);
        let fits = columns.len() == layout.columns.len()
            && columns.iter().all(|c| c.least <= c.most)
            && place.as_ref().is_none_or(|p| p.width() == levels.len())
            && width.width() == spreads.len();
        fits.then_some(Model { columns, levels, spreads, place, width, init, forest })
    }

    /// What each event does when it begins, at the usual scale.
    fn effects(&self, layout: &Layout) -> Vec<(String, f64)> {
        let Some(place) = &self.place else { return vec![] };
        let effect = |at: usize| {
            let mut unit = vec![0.0; self.levels.len()];
            unit[at] = self.columns[self.levels[at]].inverse;
            let zero = vec![0.0; self.levels.len()];
            (place.at(unit) - place.at(zero)) * layout.usual_scale()
        };
        let events = (0..self.levels.len()).filter(|at| layout.columns[self.levels[*at]].1 == Use::Event);
        let name =
            |at: usize| layout.columns[self.levels[at]].0.rsplit_once(' ').map_or("", |(name, _)| name).to_string();
        events.map(|at| (name(at), effect(at))).collect()
    }

    fn at(&self, layout: &Layout, history: &History, known: &Known, t: usize) -> Quantiles {
        let scale = layout.scale(history, t);
        let mut row = Vec::with_capacity(self.columns.len());
        layout.row(history, known, t, scale, &mut row);
        let mut curve = self.init;
        self.forest.add(&row, &mut curve);
        standardise(&mut row, &self.columns);
        let of = |cols: &'_ [usize], linear: &Linear| linear.at(cols.iter().map(|c| row[*c]));
        let place = self.place.as_ref().map_or(0.0, |p| of(&self.levels, p));
        let width = of(&self.spreads, &self.width).exp();
        Quantiles::new(curve.map(|v| history.y(t) + scale * (place + width * f64::from(v))))
    }

    fn size(&self) -> usize {
        let columns = self.columns.len() * size_of::<Column>();
        size_of::<Model>() + self.forest.size() + columns + (self.levels.len() + self.spreads.len()) * 16
    }
}

//----------- Shared ---------------------------------------------------------

/// Direct models learnt from many series at once, for those that are too young or too many to have their own.
/// Rows are differences over the local scale, so what one series teaches holds for its siblings.
#[derive(Clone, Debug, Default)]
pub struct Shared {
    /// Without the day: for a series of hours.
    young: Vec<(usize, Arc<Model>)>,
    /// With the day.
    grown: Vec<(usize, Arc<Model>)>,
}

impl Shared {
    /// Learns from `histories`, which have one step, an equal number of rows from each. Empty where they are
    /// too few or too short.
    pub fn learn(direct: &Direct, histories: &[&History], leads: &[usize]) -> Shared {
        let learnt = |cycles: Cycles| {
            let one = |lead: &usize| {
                let layouts =
                    histories.iter().filter_map(|h| Some((*h, Layout::of(h, Known::NOTHING, *lead, cycles)?)));
                let layouts: Vec<_> = layouts.filter(|(h, l)| h.len() > l.first + lead).collect();
                let (mut x, mut z) = (vec![], vec![]);
                for (h, layout) in &layouts {
                    let (rows, targets) = direct.rows(h, Known::NOTHING, layout, direct.rows.div_ceil(layouts.len()));
                    x.extend(rows);
                    z.extend(targets);
                }
                Some((*lead, Arc::new(direct.learn(&layouts.first()?.1, x, z)?)))
            };
            leads.iter().filter_map(one).collect()
        };
        Shared { young: learnt(Cycles::Hourly), grown: learnt(Cycles::Daily) }
    }

    /// Whether anything was learnt.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.grown.is_empty()
    }

    /// Bytes held, once for all series.
    pub fn size(&self) -> usize {
        self.young.iter().chain(&self.grown).map(|(_, model)| model.size()).sum()
    }
}

impl Member for Shared {
    type Fitted = FittedDirect;

    fn name(&self) -> &'static str {
        "shared"
    }

    fn is_quick(&self) -> bool {
        true
    }

    /// Microseconds: the models are there, only the series' own scale is taken.
    fn fit(&self, history: &History, _: &Known, leads: &[usize]) -> Option<FittedDirect> {
        let one = |lead: &usize| {
            let of = |models: &[(usize, Arc<Model>)], cycles: Cycles| {
                let (_, model) = models.iter().find(|(l, _)| l == lead)?;
                let layout = Layout::of(history, Known::NOTHING, *lead, cycles)?;
                (layout.columns.len() == model.columns.len()).then(|| OneLead { layout, model: model.clone() })
            };
            of(&self.grown, Cycles::Daily).or_else(|| of(&self.young, Cycles::Hourly))
        };
        let leads: Vec<OneLead> = leads.iter().filter_map(one).collect();
        (!leads.is_empty()).then_some(FittedDirect { leads, is_own: false })
    }
}
