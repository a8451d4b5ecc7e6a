//! An announcement: somebody says that something will be asked for, when, and how much of it.
//!
//! [`Asked`] is what was said, [`Announcement`] what it means once it has been checked against the names of a load.

use crate::events::kind::Kind;
use crate::geo::CellMap;
use crate::policy::Policies;
use crate::wire::Name;
use serde::{Deserialize, Serialize};

/// Longest id, announcer, or cell name, octets.
const MAX_WORD: usize = 128;
/// Longest remark, octets.
const MAX_NOTE: usize = 500;
/// Cells that one announcement may name.
const MAX_CELLS: usize = 256;
/// How far ahead it may begin, seconds: a little over a year.
const MAX_AHEAD_SECS: f64 = 400.0 * 86_400.0;
/// Longest time from start to expiry, and longest sending, seconds.
const MAX_SPAN_SECS: f64 = 30.0 * 86_400.0;
/// Time from the end of the sending to the expiry where none is said, seconds. Our choice: a day later a mail still draws,
/// but no faster than the forecast follows by itself.
const EXPIRY_SECS: f64 = 86_400.0;
/// Most requests that anything is announced for: more than the net has users times ten.
const MAX_REQUESTS: f64 = 1e11;
/// Offspring per response from which on nothing would ever end.
const MAX_PASS_ALONG: f64 = 0.95;

//----------- Announcement ---------------------------------------------------

/// One event to come, checked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Announcement {
    /// Unique among announcements; whoever announces it again replaces it.
    pub id: String,
    /// The group whose demand it raises.
    #[serde(with = "name_as_text")]
    pub group: Name,
    /// Cells or countries that it comes from, as `geo` names them; empty: from where the group's demand comes.
    pub cells: Vec<String>,
    /// How people respond.
    pub kind: Kind,
    /// Unix seconds of its beginning.
    pub start: f64,
    /// How much it is.
    pub size: Size,
    /// How long the sending takes, seconds; 0: at once.
    pub send_secs: f64,
    /// Seconds after which attention decays; `None`: as is usual of its kind.
    pub decay_secs: Option<f64>,
    /// How many more each response brings, in `[0, 0.95]`; `None`: as is usual of its kind.
    pub pass_along: Option<f64>,
    /// Probability that it comes at all, in `(0, 1]`; `None`: as is usual of its kind.
    pub confidence: Option<f64>,
    /// Unix seconds from which on nothing is expected of it.
    pub expires: f64,
    /// Who says so; what one announcer may claim is bounded.
    pub announcer: String,
    /// For people.
    pub note: String,
}

/// How much is announced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Size {
    /// Requests in all that messages draw directly: recipients × click rate × requests per click.
    Requests(f64),
    /// Requests per second at its peak, on top of what is usual.
    Peak(f64),
    /// Demand at its peak as a multiple of what is usual, above 1.
    Times(f64),
}

mod name_as_text {
    use crate::wire::Name;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(name: &Name, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(name)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Name, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

//----------- Asked ----------------------------------------------------------

/// What was said, as numbers and words, before anything is known to make sense.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Asked {
    /// See [`Announcement::id`]; `None`: made of group and start.
    pub id: Option<String>,
    /// The group: its whole name, or the beginning of it in whole labels where that is unique.
    pub group: String,
    /// See [`Announcement::cells`].
    pub cells: Vec<String>,
    /// `email`, `push`, `broadcast` or `social`; empty: `email`.
    pub kind: String,
    /// Unix seconds.
    pub start: f64,
    /// People who get the message.
    pub recipients: Option<f64>,
    /// Share of them who respond, in `(0, 1]`.
    pub click_rate: Option<f64>,
    /// Requests per response; 1 where it is not said.
    pub requests_per_click: Option<f64>,
    /// See [`Size::Peak`].
    pub peak: Option<f64>,
    /// See [`Size::Times`].
    pub times: Option<f64>,
    /// Seconds.
    pub send_secs: Option<f64>,
    /// Seconds.
    pub decay_secs: Option<f64>,
    /// Offspring per response.
    pub pass_along: Option<f64>,
    /// Probability.
    pub confidence: Option<f64>,
    /// Seconds after the start.
    pub expires_secs: Option<f64>,
    /// See [`Announcement::announcer`].
    pub announcer: String,
    /// See [`Announcement::note`].
    pub note: String,
}

/// What is wrong with what was said: the key that people wrote it under, and the text for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// One of [`KEYS`](crate::events::written::KEYS).
    pub key: &'static str,
    /// What was found and what would do.
    pub text: String,
}

fn flaw<T>(key: &'static str, text: impl Into<String>) -> Result<T, Flaw> {
    Err(Flaw { key, text: text.into() })
}

impl Asked {
    /// Checks it against the names that `group` finds and the cells there are, at `now` in unix seconds. `group` answers with
    /// the whole name or says what would do.
    ///
    /// # Errors
    /// The first [`Flaw`].
    pub fn check(
        self,
        group: &dyn Fn(&str) -> Result<Name, String>,
        cells: &CellMap,
        now: f64,
    ) -> Result<Announcement, Flaw> {
        let group = group(&self.group).or_else(|text| flaw("group", text))?;
        let too_late = !self.start.is_finite() || self.start > now + MAX_AHEAD_SECS;
        if too_late {
            return flaw("start", "the start is more than 400 days ahead");
        }
        let kind = match self.kind.as_str() {
            "" => Kind::Email,
            word => Kind::of_word(word)
                .map_or_else(|| flaw("kind", format!("{word:?}: email, push, broadcast or social would do")), Ok)?,
        };
        let size = self.size()?;
        let send_secs = within("send", self.send_secs.unwrap_or(0.0), 0.0, MAX_SPAN_SECS, "a duration up to 30d")?;
        let decay_secs = self.decay_secs.map(|d| within("decay", d, 1.0, MAX_SPAN_SECS, "a duration from 1s to 30d"));
        let pass_along = self.pass_along.map(|n| {
            within("pass-along", n, 0.0, MAX_PASS_ALONG, "how many more each response brings, from 0 to 0.95")
        });
        let confidence = self.confidence.map(|p| within("confidence", p, 0.001, 1.0, "a probability up to 1"));
        let span = self.expires_secs.unwrap_or((send_secs + EXPIRY_SECS).min(MAX_SPAN_SECS));
        let span = within("expires", span, 60.0, MAX_SPAN_SECS, "a duration after the start, from 1m to 30d")?;
        if self.start + span <= now {
            return flaw("start", "it is over already");
        }
        if self.cells.len() > MAX_CELLS {
            return flaw("cells", format!("{} cells: at most {MAX_CELLS}", self.cells.len()));
        }
        if let Some(unknown) = self.cells.iter().find(|c| !cells.cells.iter().any(|cell| is_of(cell, c))) {
            let text =
                format!("{unknown:?}: no country or cell of the map; `floodway geoip` prints cells of addresses");
            return flaw("cells", text);
        }
        let id = self.id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("{group}@{:.0}", self.start));
        Ok(Announcement {
            id: word("id", id)?,
            group,
            cells: self.cells,
            kind,
            start: self.start,
            size,
            send_secs,
            decay_secs: decay_secs.transpose()?,
            pass_along: pass_along.transpose()?,
            confidence: confidence.transpose()?,
            expires: self.start + span,
            announcer: word("announcer", if self.announcer.is_empty() { "unnamed".into() } else { self.announcer })?,
            note: match self.note.len() {
                0..=MAX_NOTE => self.note.chars().filter(|c| !c.is_control()).collect(),
                n => return flaw("note", format!("{n} octets: at most {MAX_NOTE}")),
            },
        })
    }

    /// Whether it is over at `now`: calendars keep what was.
    pub fn is_past(&self, now: f64) -> bool {
        let span = self.expires_secs.unwrap_or(self.send_secs.unwrap_or(0.0).max(0.0) + EXPIRY_SECS);
        self.start + span.min(MAX_SPAN_SECS) <= now
    }

    fn size(&self) -> Result<Size, Flaw> {
        let (requests, ways) = (self.recipients, [self.recipients, self.peak, self.times]);
        if ways.iter().flatten().count() != 1 {
            let which = "say how much it is in one way: recipients (with click-rate), peak, or times";
            return flaw(if ways.iter().all(Option::is_none) { "recipients" } else { "peak" }, which);
        }
        if let Some(peak) = self.peak {
            return within("peak", peak, 1e-3, 1e10, "requests per second above 0").map(Size::Peak);
        }
        if let Some(times) = self.times {
            return within("times", times, 1.0 + 1e-6, 1000.0, "a multiple of what is usual, above 1").map(Size::Times);
        }
        let recipients = within("recipients", requests.unwrap_or(0.0), 1.0, MAX_REQUESTS, "people, from 1 to 100G")?;
        let Some(rate) = self.click_rate else {
            return flaw("click-rate", "recipients need a click-rate: the share of them who respond, such as 3%");
        };
        let rate = within("click-rate", rate, 1e-6, 1.0, "a share above 0, such as 3%")?;
        let each = self.requests_per_click.unwrap_or(1.0);
        let each = within("requests-per-click", each, 1e-3, 1e6, "requests that each response makes, such as 12")?;
        within("recipients", recipients * rate * each, 1e-3, MAX_REQUESTS, "at most 100G requests").map(Size::Requests)
    }
}

fn within(key: &'static str, value: f64, least: f64, most: f64, what: &str) -> Result<f64, Flaw> {
    match (least..=most).contains(&value) {
        true => Ok(value),
        false => flaw(key, format!("{value}: {what} would do")),
    }
}

fn word(key: &'static str, text: String) -> Result<String, Flaw> {
    match text.len() {
        0..=MAX_WORD if !text.chars().any(char::is_control) => Ok(text),
        0..=MAX_WORD => flaw(key, format!("{text:?}: control characters are in it")),
        n => flaw(key, format!("{n} octets: at most {MAX_WORD}")),
    }
}

/// Whether a cell is the one of this name, or lies in the country of this code.
fn is_of(cell: &crate::geo::Cell, named: &str) -> bool {
    cell.name == named || cell.country.is_some_and(|c| c.as_slice() == named.as_bytes())
}

impl Announcement {
    /// Shares of the cells that it comes from, summing to 1, in proportion to `usual`; `None` where none is named, or none of
    /// the named is in the map any more.
    pub fn shares(&self, cells: &CellMap, usual: &[f64]) -> Option<Vec<f64>> {
        let named = |cell: &crate::geo::Cell| self.cells.iter().any(|c| is_of(cell, c));
        let part = |(cell, usual): (&crate::geo::Cell, &f64)| if named(cell) { usual.max(1e-9) } else { 0.0 };
        let mut shares: Vec<f64> = cells.cells.iter().zip(usual).map(part).collect();
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|s| *s /= sum);
        (sum > 0.0).then_some(shares)
    }

    /// Finds `text` among the groups of `policies`: its whole name, or the first labels of exactly one.
    ///
    /// # Errors
    /// A text that says what would do.
    pub fn group_of(text: &str, policies: &Policies) -> Result<Name, String> {
        let names = || policies.groups.iter().map(|g| &g.name);
        let asked: Name = text.parse().map_err(|e| format!("{text:?}: {e}"))?;
        let labels = &asked.as_wire()[..asked.as_wire().len() - 1];
        let open = !text.ends_with('.') && !labels.is_empty();
        let mut fits = names().filter(|n| **n == asked || open && n.as_wire().starts_with(labels));
        match (names().find(|n| **n == asked), fits.next(), fits.next()) {
            (Some(name), ..) | (None, Some(name), None) => Ok(name.clone()),
            (None, Some(a), Some(b)) => Err(format!("{text:?}: {a} and {b} begin so; say which")),
            (None, None, _) => {
                let known: Vec<String> = names().take(4).map(Name::to_string).collect();
                Err(format!("{text:?} is no group; there is {}", known.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Group;

    fn policies() -> Policies {
        let groups = ["web.example.com.", "web.example.net.", "api.example.com."];
        Policies { groups: groups.map(|g| Group::new(g.parse().unwrap())).into(), ..Policies::default() }
    }

    fn cells() -> CellMap {
        let cell = |name: &str, country: &[u8; 2]| crate::geo::Cell {
            name: name.into(),
            country: Some(*country),
            at: None,
            weight: 0.5,
            rules: vec![],
        };
        CellMap::from_cells(vec![cell("US-CA", b"US"), cell("US-NY", b"US"), cell("DE", b"DE")])
    }

    fn mail() -> Asked {
        Asked {
            group: "api".into(),
            start: 1000.0,
            recipients: Some(4e5),
            click_rate: Some(0.03),
            requests_per_click: Some(12.0),
            ..Asked::default()
        }
    }

    fn checked(asked: Asked) -> Result<Announcement, Flaw> {
        asked.check(&|text| Announcement::group_of(text, &policies()), &cells(), 1000.0)
    }

    #[test]
    fn what_is_left_out_has_its_default() {
        let a = checked(mail()).unwrap();
        assert_eq!((a.id.as_str(), a.kind, a.announcer.as_str()), ("api.example.com.@1000", Kind::Email, "unnamed"));
        assert_eq!(a.expires, 1000.0 + 86_400.0);
        let Size::Requests(requests) = a.size else { panic!("{:?}", a.size) };
        assert!((requests - 144_000.0).abs() < 1e-6);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_key() {
        let check = |change: fn(&mut Asked), key: &str, says: &str| {
            let mut asked = mail();
            change(&mut asked);
            let flaw = checked(asked).unwrap_err();
            assert!(flaw.key == key && flaw.text.contains(says), "{flaw:?}");
        };
        check(|a| a.group = "nowhere".into(), "group", "there is web.example.com., web.example.net., api");
        check(|a| a.group = "web".into(), "group", "say which");
        check(|a| a.group = "a..b".into(), "group", "a..b");
        check(|a| a.start = -1e6, "start", "over already");
        check(|a| a.start = 1e9, "start", "400 days");
        check(|a| a.start = f64::NAN, "start", "400 days");
        check(|a| a.kind = "fax".into(), "kind", "email, push, broadcast or social");
        check(|a| a.recipients = None, "recipients", "in one way");
        check(|a| a.peak = Some(9.0), "peak", "in one way");
        check(|a| a.click_rate = None, "click-rate", "such as 3%");
        check(|a| a.click_rate = Some(3.0), "click-rate", "3: a share");
        check(|a| a.recipients = Some(f64::INFINITY), "recipients", "100G");
        check(|a| a.requests_per_click = Some(-1.0), "requests-per-click", "-1");
        check(|a| (a.recipients, a.times) = (None, Some(1.0)), "times", "above 1");
        check(|a| (a.recipients, a.peak) = (None, Some(f64::NAN)), "peak", "NaN");
        check(|a| a.send_secs = Some(-5.0), "send", "-5");
        check(|a| a.decay_secs = Some(0.0), "decay", "1s");
        check(|a| a.pass_along = Some(1.0), "pass-along", "0.95");
        check(|a| a.confidence = Some(0.0), "confidence", "up to 1");
        check(|a| a.expires_secs = Some(1.0), "expires", "1m");
        check(|a| a.cells = vec!["XX".into()], "cells", "XX");
        check(|a| a.cells = vec!["DE".into(); 257], "cells", "at most 256");
        check(|a| a.id = Some("x".repeat(129)), "id", "at most 128");
        check(|a| a.announcer = "a\nb".into(), "announcer", "control");
        check(|a| a.note = "x".repeat(501), "note", "at most 500");
    }

    #[test]
    fn a_country_is_all_of_its_cells() {
        let shares = |named: &str| {
            let a = checked(Asked { cells: vec![named.into()], ..mail() }).unwrap();
            a.shares(&cells(), &[0.2, 0.6, 0.2]).unwrap()
        };
        assert_eq!(shares("US")[2], 0.0);
        assert!((shares("US")[1] - 0.75).abs() < 1e-12);
        assert_eq!(shares("DE"), [0.0, 0.0, 1.0]);
        assert_eq!(checked(mail()).unwrap().shares(&cells(), &[1.0; 3]), None);
    }
}
