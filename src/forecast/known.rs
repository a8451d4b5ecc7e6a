//! What is known of the future: holidays, announced events, anything that somebody wrote into a calendar.
//!
//! The clock itself (hour, weekday) is no regressor: members read it off the time of a step.

/// Regressors, shared by all series they concern.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// In no particular order; names differ.
    pub regressors: Vec<Regressor>,
}

/// A number over time, 0 outside its spans.
#[derive(Clone, Debug, PartialEq)]
pub struct Regressor {
    /// What people call it: `holiday`, `sale`, `final`. One name, one effect.
    pub name: String,
    /// Ascending and apart.
    spans: Vec<Span>,
}

/// A stretch of time with one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Unix time of its beginning.
    pub from_secs: i64,
    /// Unix time of its end, not part of it.
    pub until_secs: i64,
    /// 1 for "is on"; a share or a size for "so much of it".
    pub value: f64,
}

impl Known {
    /// Nothing is known.
    pub const NOTHING: &'static Known = &Known { regressors: vec![] };

    /// The value at a Unix time of the regressor of this name; 0 if there is none.
    pub fn of(&self, name: &str, secs: i64) -> f64 {
        self.regressors.iter().find(|r| r.name == name).map_or(0.0, |r| r.at(secs))
    }

    /// The value of regressor `i` at a Unix time.
    pub fn at(&self, i: usize, secs: i64) -> f64 {
        self.regressors[i].at(secs)
    }
}

impl Regressor {
    /// Spans in any order; where two overlap the one that begins later counts from there on. Spans that are
    /// empty or have no finite value are left out.
    pub fn new(name: impl Into<String>, mut spans: Vec<Span>) -> Regressor {
        spans.retain(|s| s.from_secs < s.until_secs && s.value.is_finite());
        spans.sort_by_key(|s| (s.from_secs, s.until_secs));
        for i in 1..spans.len() {
            let next = spans[i].from_secs;
            spans[i - 1].until_secs = spans[i - 1].until_secs.min(next);
        }
        spans.retain(|s| s.from_secs < s.until_secs);
        Regressor { name: name.into(), spans }
    }

    /// The spans, ascending and apart.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Its value at a Unix time.
    pub fn at(&self, secs: i64) -> f64 {
        let after = self.spans.partition_point(|s| s.from_secs <= secs);
        let span = after.checked_sub(1).map(|i| self.spans[i]);
        span.filter(|s| secs < s.until_secs).map_or(0.0, |s| s.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regressor_is_read_at_any_time() {
        let span = |from_secs, until_secs, value| Span { from_secs, until_secs, value };
        let r =
            Regressor::new("sale", vec![span(50, 60, 2.0), span(10, 20, 1.0), span(15, 30, 3.0), span(70, 70, 9.0)]);
        let at = [9, 10, 14, 15, 29, 30, 55, 60, 70].map(|t| r.at(t));
        assert_eq!(at, [0.0, 1.0, 1.0, 3.0, 3.0, 0.0, 2.0, 0.0, 0.0]);
    }
}
