//! What is remembered besides samples: forecasts and their scores, states of models, plans.

use crate::store::series::SeriesName;

//----------- Forecasts ------------------------------------------------------

/// A forecast of the mean of one minute of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Issued {
    /// The series.
    pub series: SeriesName,
    /// Beginning of the minute that it is about, unix seconds.
    pub target: i64,
    /// How far ahead that was, seconds.
    pub lead_secs: u32,
    /// Levels in `(0, 1)`, ascending, each with its value, in the unit of the series.
    pub quantiles: Vec<(f32, f32)>,
}

/// What came of a forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The mean of that minute.
    pub outcome: f64,
    /// The mean pinball loss over the levels (Koenker, Bassett, Econometrica 1978): `max(q·d, (q − 1)·d)` for `d`,
    /// the outcome less the value.
    pub loss: f64,
}

impl Scored {
    /// Compares a forecast with what came; `None` for one without levels.
    pub fn of(issued: &Issued, outcome: f64) -> Option<Scored> {
        let pinball = |(q, value): &(f32, f32)| {
            let (q, d) = (f64::from(*q), outcome - f64::from(*value));
            (q * d).max((q - 1.0) * d)
        };
        let sum: f64 = issued.quantiles.iter().map(pinball).sum();
        let n = issued.quantiles.len() as f64;
        (n > 0.0 && sum.is_finite() && outcome.is_finite()).then(|| Scored { outcome, loss: sum / n })
    }

    /// The score as samples of series beside the one that was forecast, so that it is rolled up like anything else:
    /// `…-pinball-300s`, `…-abs-error-300s` (of the median), `…-within-q90-300s` (1 if the outcome was not above it) and
    /// `…-inside-80-300s` (1 if it was between 0.1 and 0.9).
    pub fn samples(&self, issued: &Issued) -> Vec<(SeriesName, f64)> {
        let at = |level: f32| issued.quantiles.iter().find(|(q, _)| *q == level).map(|(_, value)| f64::from(*value));
        let named = |what: &str, value: f64| {
            let measure = format!("{}-{what}-{}s", issued.series.measure(), issued.lead_secs);
            Some((issued.series.beside(&measure).ok()?, value))
        };
        let error = at(0.5).and_then(|median| named("abs-error", (self.outcome - median).abs()));
        let within = at(0.9).and_then(|q90| named("within-q90", f64::from(u8::from(self.outcome <= q90))));
        let inside = at(0.1).zip(at(0.9)).map(|(low, high)| (low..=high).contains(&self.outcome));
        let inside = inside.and_then(|inside| named("inside-80", f64::from(u8::from(inside))));
        [named("pinball", self.loss), error, within, inside].into_iter().flatten().collect()
    }
}

//----------- Models ---------------------------------------------------------

/// What a model has learnt of a series, in a form that only it knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelState {
    /// The series.
    pub series: SeriesName,
    /// The model.
    pub name: String,
    /// The form of the state.
    pub version: u32,
    /// Unix seconds at which it was so.
    pub at: i64,
    /// The state; at most [`MAX_STATE`] octets.
    pub state: Vec<u8>,
}

/// Longest state of a model, in octets. Our choice: a network of a million weights.
pub const MAX_STATE: usize = 4 << 20;

//----------- Plans ----------------------------------------------------------

/// What a plan gave to the members of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanShares {
    /// The group.
    pub group: String,
    /// Unix seconds at which it was decided.
    pub at: i64,
    /// The generation of the snapshot it was published in.
    pub generation: u64,
    /// On what it rests.
    pub mode: String,
    /// Members with a share of the group's demand, in `(0, 1]`, to four digits.
    pub shares: Vec<(String, f32)>,
}

impl PlanShares {
    /// `member=share`, separated by spaces. Names have no spaces: those in presentation form are escaped.
    pub fn shares_text(&self) -> String {
        let one = |(member, share): &(String, f32)| format!("{member}={}", (share * 1e4).round() / 1e4);
        self.shares.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    /// Reads such a text; what is not understood is left out.
    pub fn scan_shares(text: &str) -> Vec<(String, f32)> {
        let one = |word: &str| {
            let (member, share) = word.rsplit_once('=')?;
            Some((member.to_owned(), share.parse().ok()?))
        };
        text.split(' ').filter_map(one).collect()
    }

    /// The most that the share of one member differs between two plans of a group; 1 if the modes differ.
    pub fn moved(&self, other: &PlanShares) -> f32 {
        if self.mode != other.mode {
            return 1.0;
        }
        let share =
            |plan: &PlanShares, name: &str| plan.shares.iter().find(|(n, _)| n == name).map_or(0.0, |(_, s)| *s);
        let names = self.shares.iter().chain(&other.shares).map(|(name, _)| name);
        names.map(|name| (share(self, name) - share(other, name)).abs()).fold(0.0, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_text_and_back() {
        let plan = |mode: &str, shares: &[(&str, f32)]| PlanShares {
            group: "web.".into(),
            at: 0,
            generation: 1,
            mode: mode.into(),
            shares: shares.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect(),
        };
        let a = plan("live", &[("a=b.", 0.123_44), ("c.", 0.876_6)]);
        assert_eq!(a.shares_text(), "a=b.=0.1234 c.=0.8766");
        assert_eq!(PlanShares::scan_shares(&a.shares_text())[0], ("a=b.".to_owned(), 0.1234));
        assert_eq!(PlanShares::scan_shares("x =1 y=z"), [(String::new(), 1.0)]);
        let b = plan("live", &[("c.", 1.0)]);
        assert!((a.moved(&b) - 0.1234).abs() < 1e-4 && (b.moved(&a) - 0.1234).abs() < 1e-4);
        assert_eq!(a.moved(&plan("stale", &a.shares.iter().map(|(n, s)| (n.as_str(), *s)).collect::<Vec<_>>())), 1.0);
    }

    #[test]
    fn a_forecast_of_nothing_has_no_score() {
        let issued = |quantiles| Issued { series: "pop/a/b".parse().unwrap(), target: 0, lead_secs: 60, quantiles };
        assert_eq!(Scored::of(&issued(vec![]), 1.0), None);
        assert_eq!(Scored::of(&issued(vec![(0.5, f32::NAN)]), 1.0), None);
        assert_eq!(Scored::of(&issued(vec![(0.5, 3.0)]), 1.0), Some(Scored { outcome: 1.0, loss: 1.0 }));
    }
}
