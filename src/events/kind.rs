//! Kinds of events: how people respond to each, and what was learnt of it.
//!
//! Priors are control.md's (3.11). What comes updates them, one conjugate step per event:
//!
//! - the logarithm of "came ÷ announced" is normal with unknown mean and variance, normal-inverse-gamma (Murphy 2007,
//!   section 6): `m ← (κm + x)/(κ + 1)`, `a ← a + ½`, `b ← b + κ(x − m)²/(2(κ + 1))`, `κ ← κ + 1`; the next size has the scale
//!   `σ² = b/a·(1 + 1/κ)`, which begins at the prior's and shrinks with events that came as announced;
//! - whether an event came is a beta-Bernoulli count; which of twelve forms its decay had, a Dirichlet count.

use crate::events::response::Shape;
use serde::{Deserialize, Serialize};

/// Forms of the decay, as factors on `t_d` and `b`; the first is the kind's own.
pub const FORMS: [(f64, f64); 12] = [
    (1.0, 1.0),
    (1.0, 0.7),
    (1.0, 1.4),
    (1.0, 2.0),
    (0.4, 1.0),
    (0.4, 0.7),
    (0.4, 1.4),
    (0.4, 2.0),
    (2.5, 1.0),
    (2.5, 0.7),
    (2.5, 1.4),
    (2.5, 2.0),
];
/// What the prior of size, and of whether it comes, is worth in events.
const PRIOR_EVENTS: f64 = 2.0;
/// See [`PRIOR_EVENTS`]: shape of the inverse gamma.
const PRIOR_SHAPE: f64 = 2.0;
/// Announced events that come, before any was seen: nine of ten. Our choice.
const PRIOR_CAME: [f64; 2] = [9.0, 1.0];
/// Counts of the forms before any event: the kind's own four, a half each of the others, so that it has 42 %.
const PRIOR_FORMS: [f64; 12] = [4.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];
/// The log of "came ÷ announced" is held within this: e^4 is 55 times.
const MOST_LOG: f64 = 4.0;

//----------- Kind -----------------------------------------------------------

/// How people hear of it, and so how they respond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Mails: slow, with a long tail.
    Email,
    /// Notifications on phones: minutes.
    Push,
    /// Television and radio: seconds, and soon over.
    Broadcast,
    /// Posts that people pass on.
    Social,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 4] = [Kind::Email, Kind::Push, Kind::Broadcast, Kind::Social];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Email => "email",
            Kind::Push => "push",
            Kind::Broadcast => "broadcast",
            Kind::Social => "social",
        }
    }

    /// The kind of a word.
    pub fn of_word(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|k| k.word() == word)
    }

    /// How people respond, before anything was learnt.
    pub fn shape(self) -> Shape {
        let (rise_secs, decay_secs, exponent) = match self {
            Kind::Email => (60.0, 5760.0, 0.54),
            Kind::Push => (20.0, 300.0, 1.2),
            Kind::Broadcast => (10.0, 180.0, 1.5),
            // control.md names no rise; our choice: a post is seen within minutes of scrolling.
            Kind::Social => (60.0, 900.0, 0.6),
        };
        Shape { rise_secs, decay_secs, exponent }
    }

    /// How many more each response brings. The mean of Beta(1, 4) is 0.2; posts are there to be passed on.
    pub fn pass_along(self) -> f64 {
        if self == Kind::Social { 0.3 } else { 0.2 }
    }

    /// Standard deviation of the logarithm of the size, before anything was learnt.
    fn sigma(self) -> f64 {
        match self {
            Kind::Email => 0.6,
            Kind::Push => 0.7,
            Kind::Broadcast => 0.8,
            Kind::Social => 1.0,
        }
    }
}

//----------- Learnt ---------------------------------------------------------

/// What is known of one kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learnt {
    /// `m`, `κ`, `a`, `b` of the logarithm of "came ÷ announced".
    log: [f64; 4],
    /// Events that came and that did not, the prior included.
    came: [f64; 2],
    /// Counts of [`FORMS`], the prior included.
    forms: [f64; 12],
    /// Events that taught something.
    pub events: u32,
}

/// What became of one event.
#[derive(Clone, Debug, PartialEq)]
pub enum Lesson {
    /// It came: the logarithm of what came over what was announced, and the weights of the forms (summing to 1) where its
    /// course was seen.
    Came(f64, Option<[f64; 12]>),
    /// It did not.
    Absent,
}

impl Learnt {
    /// Nothing yet.
    pub fn prior(kind: Kind) -> Learnt {
        let variance = kind.sigma().powi(2) / (1.0 + 1.0 / PRIOR_EVENTS);
        let log = [0.0, PRIOR_EVENTS, PRIOR_SHAPE, PRIOR_SHAPE * variance];
        Learnt { log, came: PRIOR_CAME, forms: PRIOR_FORMS, events: 0 }
    }

    /// One step.
    pub fn learn(&mut self, lesson: &Lesson) {
        self.events += 1;
        let Lesson::Came(x, forms) = lesson else {
            self.came[1] += 1.0;
            return;
        };
        self.came[0] += 1.0;
        let ([m, k, a, b], x) = (self.log, x.clamp(-MOST_LOG, MOST_LOG));
        self.log = [(k * m + x) / (k + 1.0), k + 1.0, a + 0.5, b + k * (x - m).powi(2) / (2.0 * (k + 1.0))];
        for (count, weight) in self.forms.iter_mut().zip(forms.iter().flatten()) {
            *count += weight;
        }
    }

    /// Mean of the logarithm of "came ÷ announced".
    pub fn bias(&self) -> f64 {
        self.log[0]
    }

    /// Its standard deviation for the next event.
    pub fn sigma(&self) -> f64 {
        let [_, k, a, b] = self.log;
        (b / a * (1.0 + 1.0 / k)).sqrt()
    }

    /// Probability that the next one comes.
    pub fn comes(&self) -> f64 {
        self.came[0] / (self.came[0] + self.came[1])
    }

    /// Probabilities of the forms; they sum to 1.
    pub fn forms(&self) -> [f64; 12] {
        let sum: f64 = self.forms.iter().sum();
        self.forms.map(|f| f / sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prior_is_as_written() {
        for kind in Kind::ALL {
            let learnt = Learnt::prior(kind);
            assert!((learnt.sigma() - kind.sigma()).abs() < 1e-12 && learnt.bias() == 0.0);
            assert!((learnt.comes() - 0.9).abs() < 1e-12);
            assert!((learnt.forms().iter().sum::<f64>() - 1.0).abs() < 1e-12);
            assert_eq!(Kind::of_word(kind.word()), Some(kind));
        }
        assert_eq!(Kind::of_word("fax"), None);
    }

    #[test]
    fn one_event_is_one_conjugate_step() {
        let mut learnt = Learnt::prior(Kind::Email);
        learnt.learn(&Lesson::Came(-0.6, None));
        // By hand: κ 2 → 3, m = −0.6/3, b = 2·0.24 + 2·0.36/6.
        assert_eq!(learnt.log, [-0.6 / 3.0, 3.0, 2.5, 2.0 * 0.36 / 1.5 + 2.0 * 0.36 / 6.0]);
        assert!((learnt.bias() + 0.2).abs() < 1e-12);
    }

    #[test]
    fn events_as_announced_make_it_surer_and_absent_ones_doubtful() {
        let mut learnt = Learnt::prior(Kind::Push);
        let mut forms = [0.0; 12];
        forms[5] = 1.0;
        (0..20).for_each(|_| learnt.learn(&Lesson::Came(0.0, Some(forms))));
        assert!(learnt.sigma() < 0.35 && learnt.forms()[5] > 0.5 && learnt.comes() > 0.95, "{learnt:?}");
        (0..10).for_each(|_| learnt.learn(&Lesson::Absent));
        assert!(learnt.comes() < 0.75 && learnt.events == 30);
        learnt.learn(&Lesson::Came(f64::INFINITY, None));
        assert!(learnt.bias().is_finite() && learnt.sigma().is_finite());
    }
}
