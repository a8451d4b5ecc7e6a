//! What every method of forecasting looks like: unfitted and fitted are two types.

use crate::forecast::history::History;
use crate::forecast::known::Known;
use crate::forecast::quantiles::Quantiles;
use crate::forecast::saved::{Reader, Writer};
use std::fmt::Debug;

/// A method with its settings; nothing has been learnt yet. One that learns from many series is a value
/// that has learnt from them already, and `fit` puts it to one series.
pub trait Member {
    /// What fitting makes.
    type Fitted: Fitted + 'static;

    /// What people read: short, lower case, the same for every series.
    fn name(&self) -> &'static str;

    /// Whether a fit takes microseconds, so that it may be made in passing.
    fn is_quick(&self) -> bool {
        false
    }

    /// Learns from `history`, from [`begin`](History::begin) to its end, to forecast each of `leads`
    /// (ascending, at least 1). `None` where there is too little to learn from; the caller then does without.
    ///
    /// Must not panic on any history: empty, constant, full of gaps, with steps forgotten.
    fn fit(&self, history: &History, known: &Known, leads: &[usize]) -> Option<Self::Fitted>;

    /// Reads what [`Fitted::save`] wrote, and puts it to `history`, which need not begin where the one it was fitted to did.
    /// `None` where it does not fit, or where nothing is ever saved: a fit is cheap enough.
    fn restore(&self, _history: &History, _saved: &mut Reader) -> Option<Self::Fitted> {
        None
    }
}

/// A method that has learnt from one series.
pub trait Fitted: Debug + Send + Sync {
    /// Moves the state on to step `t`, which is not before the last one it was moved to (at first: the end
    /// of the history it was fitted to, which may be passed again). `history` may go on beyond `t`; what
    /// comes after `t` must not be looked at. Methods that read all they need off the history do nothing.
    fn follow(&mut self, _history: &History, _t: usize) {}

    /// The distribution of the value at `t + lead`, less [`History::base`], where `t` is the step last
    /// [followed](Fitted::follow) to. Nothing after `t` but `known` may be looked at; bounds such as "not
    /// below 0" are the caller's. `None` where it cannot say: too early a step, a lead it was not fitted to.
    fn at(&self, history: &History, known: &Known, t: usize, lead: usize) -> Option<Quantiles>;

    /// What each known regressor is taken to do, for people: name and effect in the unit of the series.
    /// Empty where it uses none.
    fn effects(&self) -> Vec<(String, f64)> {
        vec![]
    }

    /// Writes what it has learnt for [`Member::restore`]; says whether it did.
    fn save(&self, _to: &mut Writer) -> bool {
        false
    }

    /// Bytes held, about.
    fn size(&self) -> usize;

    /// A copy of its own.
    fn boxed(&self) -> Box<dyn Fitted>;
}

impl Clone for Box<dyn Fitted> {
    fn clone(&self) -> Self {
        self.boxed()
    }
}

/// Any [`Member`], without the type of what it makes.
pub trait Method: Debug + Send + Sync {
    /// See [`Member::name`].
    fn name(&self) -> &'static str;

    /// See [`Member::is_quick`].
    fn is_quick(&self) -> bool;

    /// See [`Member::fit`].
    fn fit(&self, history: &History, known: &Known, leads: &[usize]) -> Option<Box<dyn Fitted>>;

    /// See [`Member::restore`].
    fn restore(&self, history: &History, saved: &mut Reader) -> Option<Box<dyn Fitted>>;
}

impl<M: Member + Debug + Send + Sync> Method for M {
    fn name(&self) -> &'static str {
        Member::name(self)
    }

    fn is_quick(&self) -> bool {
        Member::is_quick(self)
    }

    fn fit(&self, history: &History, known: &Known, leads: &[usize]) -> Option<Box<dyn Fitted>> {
        Some(Box::new(Member::fit(self, history, known, leads)?))
    }

    fn restore(&self, history: &History, saved: &mut Reader) -> Option<Box<dyn Fitted>> {
        Some(Box::new(Member::restore(self, history, saved)?))
    }
}
