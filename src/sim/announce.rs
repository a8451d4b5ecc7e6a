//! Events that are announced to the loop, and what really comes of them: as said, wrong by a factor, late, early, or not at all.

use crate::events::announcement::Size;
use crate::events::curve::Curve;
use crate::events::kind::Kind;
use crate::events::response::Shape;
use crate::events::{Announcement, Calendar, Entry};
use crate::sim::rng::Rng;
use crate::sim::secs::Secs;
use crate::wire::Name;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One `[[announce]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Announce {
    /// The group; may be left out where there is one.
    #[serde(default)]
    pub group: String,
    /// How people hear of it; default `email`.
    #[serde(default = "email")]
    pub kind: Kind,
    /// The announced start.
    pub at: Secs,
    /// How long before that it is announced; default: from the beginning.
    #[serde(default)]
    pub before: Option<Secs>,
    /// The announced peak, requests per second on top of the demand.
    #[serde(default)]
    pub peak: Option<f64>,
    /// The same as a share of the capacity of the group's active members.
    #[serde(default)]
    pub share: Option<f64>,
    /// How long the sending takes.
    #[serde(default)]
    pub send: Secs,
    /// How long attention lasts; default as usual of the kind.
    #[serde(default)]
    pub decay: Option<Secs>,
    /// How many more each response brings; default as usual of the kind.
    #[serde(default)]
    pub pass_along: Option<f64>,
    /// Probability that it comes, as said; default as usual of the kind.
    #[serde(default)]
    pub confidence: Option<f64>,
    /// Countries or cells it comes from; default as the demand. The announcement says them, too.
    #[serde(default)]
    pub cells: BTreeMap<String, f64>,
    /// What comes over what is announced; 0: nothing. Default 1.
    #[serde(default = "one")]
    pub factor: f64,
    /// How much later it comes than announced.
    #[serde(default)]
    pub late: Secs,
    /// How much earlier.
    #[serde(default)]
    pub early: Secs,
    /// Standard deviation of the logarithm of its size from seed to seed; default 0.1.
    #[serde(default = "tenth")]
    pub spread: f64,
}

fn email() -> Kind {
    Kind::Email
}
fn one() -> f64 {
    1.0
}
fn tenth() -> f64 {
    0.1
}

impl Announce {
    /// What is wrong with its numbers, in words.
    pub fn wrong(&self) -> Option<String> {
        let size = self.peak.or(self.share);
        let all = [
            (self.peak.is_some() == self.share.is_some()).then(|| "announce: either `peak` or `share`".to_owned()),
            size.and_then(|v| (!(v > 0.0 && v < 1e12)).then(|| format!("announce: a size of {v} is not above 0"))),
            self.pass_along.and_then(|n| (!(0.0..=0.95).contains(&n)).then(|| format!("announce.pass-along = {n}"))),
            self.confidence.and_then(|p| (!(p > 0.0 && p <= 1.0)).then(|| format!("announce.confidence = {p}"))),
            (!(0.0..=1000.0).contains(&self.factor)).then(|| format!("announce.factor = {}", self.factor)),
            (!(0.0..=2.0).contains(&self.spread)).then(|| format!("announce.spread = {}", self.spread)),
            self.decay.and_then(|d| (d.0 < 1.0).then(|| "announce.decay is below 1 s".to_owned())),
        ];
        all.into_iter().flatten().next()
    }

    fn curve(&self) -> Curve {
        let usual = self.kind.shape();
        let shape = Shape { decay_secs: self.decay.map_or(usual.decay_secs, |d| d.0), ..usual };
        Curve::new(shape, self.send.0, self.pass_along.unwrap_or(self.kind.pass_along()))
    }

    /// What really comes, second by second from the start of the settling on. `peak`: the announced one, requests per second.
    pub fn drawn(&self, peak: f64, settle: f64, n_secs: usize, rng: &mut Rng) -> Vec<f64> {
        let curve = self.curve();
        let size = self.factor * peak / curve.peak().1 * (self.spread * rng.normal()).exp();
        let at = settle + self.at.0 + self.late.0 - self.early.0;
        (0..n_secs).map(|s| size * curve.rate(s as f64 - at)).collect()
    }

    /// What is said of it.
    fn announcement(&self, i: usize, group: &Name, peak: f64, start_unix: f64) -> Announcement {
        Announcement {
            id: format!("event {i}"),
            group: group.clone(),
            cells: self.cells.keys().cloned().collect(),
            kind: self.kind,
            start: start_unix + self.at.0,
            size: Size::Peak(peak),
            send_secs: self.send.0,
            decay_secs: self.decay.map(|d| d.0),
            pass_along: self.pass_along,
            confidence: self.confidence,
            expires: start_unix + self.at.0 + self.send.0 + 86_400.0,
            announcer: "scenario".into(),
            note: String::new(),
        }
    }
}

/// The announcements of a scenario, as they become known.
#[derive(Clone, Debug, Default)]
pub struct Announced {
    /// Seconds after the start at which it becomes known, and the announcement.
    all: Vec<(f64, Announcement)>,
}

impl Announced {
    /// Adds one of a group, with its announced peak.
    pub fn push(&mut self, announce: &Announce, group: &Name, peak: f64, start_unix: f64) {
        let known = announce.before.map_or(f64::NEG_INFINITY, |before| announce.at.0 - before.0);
        self.all.push((known, announce.announcement(self.all.len(), group, peak, start_unix)));
    }

    /// The calendar `t` seconds after the start; `last` where that is the same.
    pub fn calendar(&self, t: f64, last: Option<Arc<Calendar>>) -> Arc<Calendar> {
        let known = self.all.iter().filter(|(known, _)| *known <= t);
        match last.filter(|last| last.entries.len() == known.clone().count()) {
            Some(last) => last,
            None => {
                let entry = |(_, a): &(f64, Announcement)| (a.id.clone(), Entry::new(a.clone(), None));
                Arc::new(Calendar { entries: known.map(entry).collect() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announce(text: &str) -> Announce {
        toml::from_str(&format!("kind = \"push\"\nat = 600\npeak = 100\nspread = 0.0\n{text}")).unwrap()
    }

    #[test]
    fn what_comes_is_what_was_said_or_not() {
        let peak = |text: &str| {
            let drawn = announce(text).drawn(100.0, 60.0, 7200, &mut Rng::new(1, "x"));
            let at = (0..drawn.len()).max_by(|a, b| drawn[*a].total_cmp(&drawn[*b])).unwrap();
            (drawn[at], at as f64 - 660.0)
        };
        let (size, at) = peak("");
        assert!((size - 100.0).abs() < 1e-9 && (0.0..120.0).contains(&at), "{size} {at}");
        assert_eq!(peak("factor = 0.0").0, 0.0);
        assert_eq!(peak("late = \"5m\"").1, at + 300.0);
        assert_eq!(peak("early = \"5m\"").1, at - 300.0);
        assert!((peak("factor = 2.5").0 - 250.0).abs() < 1e-9);
    }

    #[test]
    fn it_becomes_known_when_it_is_said() {
        let mut announced = Announced::default();
        let group = "web.example.com.".parse().unwrap();
        announced.push(&announce(""), &group, 100.0, 1e9);
        announced.push(&announce("before = \"2m\""), &group, 100.0, 1e9);
        let first = announced.calendar(-900.0, None);
        assert_eq!(first.entries.len(), 1);
        assert!(Arc::ptr_eq(&first, &announced.calendar(479.0, Some(first.clone()))));
        assert_eq!(announced.calendar(480.0, Some(first)).entries.len(), 2);
    }

    #[test]
    fn bad_numbers_are_told() {
        let check = |text: &str, says: &str| {
            let wrong = announce(text).wrong();
            assert!(wrong.as_ref().is_some_and(|w| w.contains(says)), "{wrong:?}");
        };
        assert_eq!(announce("").wrong(), None);
        check("share = 0.3", "either `peak` or `share`");
        check("pass-along = 1.0", "pass-along = 1");
        check("confidence = 0.0", "confidence = 0");
        check("factor = -1.0", "factor = -1");
        check("decay = 0", "below 1 s");
    }
}
