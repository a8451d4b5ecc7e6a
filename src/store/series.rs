//! What a series is called: its kind, whom it is about, and what is measured, as one text.
//!
//! `group/web.example.com./demand-rps`, `pop/ams.pop.example.com./latency-p95-ms`. Names are those of the policies, so
//! that history outlives a reload, a restart and a renumbering; a measure ends in its unit.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name, in octets. Our choice: two domain names in presentation form and a word.
const MAX_LEN: usize = 2100;

//----------- SeriesName -----------------------------------------------------

/// The name of a series. Clones share its text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesName(Arc<str>);

/// What a series is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A target group.
    Group,
    /// A site.
    Pop,
    /// A member: `GROUP/MEMBER`.
    Member,
    /// A cell of a group: `GROUP/CELL`.
    Cell,
    /// What came from elsewhere.
    Other,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Group, Kind::Pop, Kind::Member, Kind::Cell, Kind::Other];

    /// As it stands in names.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Group => "group",
            Kind::Pop => "pop",
            Kind::Member => "member",
            Kind::Cell => "cell",
            Kind::Other => "other",
        }
    }
}

impl SeriesName {
    /// Puts a name together.
    ///
    /// # Errors
    /// [`BadName`], as when one is read.
    pub fn new(kind: Kind, who: &str, measure: &str) -> Result<SeriesName, BadName> {
        format!("{}/{who}/{measure}", kind.label()).parse()
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whom it is about.
    pub fn who(&self) -> &str {
        let (_, rest) = self.0.split_once('/').unwrap_or_default();
        rest.rsplit_once('/').map_or("", |(who, _)| who)
    }

    /// What is measured, with its unit.
    pub fn measure(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(_, measure)| measure)
    }

    /// Whether a quantile sketch is kept of it: of latencies, whose mean says little of what users feel.
    pub fn is_sketched(&self) -> bool {
        self.measure().starts_with("latency")
    }

    /// The series of the same kind about the same, of another measure.
    ///
    /// # Errors
    /// [`BadName`], if the measure is none.
    pub fn beside(&self, measure: &str) -> Result<SeriesName, BadName> {
        let stem = self.0.rsplit_once('/').map_or("", |(stem, _)| stem);
        format!("{stem}/{measure}").parse()
    }
}

impl FromStr for SeriesName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<SeriesName, BadName> {
        let (kind, rest) = text.split_once('/').ok_or(BadName::Parts)?;
        let (who, measure) = rest.rsplit_once('/').ok_or(BadName::Parts)?;
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        match () {
            () if text.len() > MAX_LEN => Err(BadName::Long),
            () if !Kind::ALL.iter().any(|k| k.label() == kind) => Err(BadName::Kind),
            () if who.is_empty() || who.chars().any(char::is_control) => Err(BadName::Who),
            () if measure.is_empty() || !measure.bytes().all(is_word) => Err(BadName::Measure),
            () => Ok(SeriesName(text.into())),
        }
    }
}

impl fmt::Display for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SeriesName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//----------- BadName --------------------------------------------------------

/// Why a text names no series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadName {
    /// Not three parts.
    Parts,
    /// No such kind.
    Kind,
    /// Nobody, or control characters.
    Who,
    /// No measure.
    Measure,
    /// Longer than 2,100 octets.
    Long,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadName::Parts => "a series is KIND/WHO/MEASURE, such as `group/web.example.com./demand-rps`",
            BadName::Kind => "the first part of a series is group, pop, member, cell or other",
            BadName::Who => "the middle of a series is a name, without control characters",
            BadName::Measure => "the last part of a series is a word of a-z, 0-9 and `-`, such as `demand-rps`",
            BadName::Long => "a series has a name of at most 2100 octets",
        })
    }
}

impl std::error::Error for BadName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_they_were_put_together() {
        let name = SeriesName::new(Kind::Member, "web.example.com./ams.web.example.com.", "load-rps").unwrap();
        assert_eq!(name.as_str(), "member/web.example.com./ams.web.example.com./load-rps");
        assert_eq!((name.who(), name.measure()), ("web.example.com./ams.web.example.com.", "load-rps"));
        assert_eq!(name.to_string().parse(), Ok(name.clone()));
        assert_eq!(name.beside("x").unwrap().as_str(), "member/web.example.com./ams.web.example.com./x");
        assert!(SeriesName::new(Kind::Pop, "a", "latency-p95-ms").unwrap().is_sketched() && !name.is_sketched());
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let check = |text: &str, why| assert_eq!(text.parse::<SeriesName>(), Err(why), "{text}");
        check("", BadName::Parts);
        check("group/demand", BadName::Parts);
        check("zone/a/b", BadName::Kind);
        check("pop//b", BadName::Who);
        check("pop/a\nb/c", BadName::Who);
        check("pop/a/", BadName::Measure);
        check("pop/a/Load", BadName::Measure);
        check(&format!("pop/{}/b", "a".repeat(3000)), BadName::Long);
    }
}
