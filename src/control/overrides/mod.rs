//! Overrides: what an operator decides in the place of the loop, for a while.
//!
//! An override has a verb and a glob of names: `drain fra.pop`, `capacity fra.*=20k`, `freeze web`. It is somebody's, has a
//! reason and an end, survives restarts ([`desk`]) and reloads (it goes by name), and takes nothing away for good: the
//! machines below it go on, so that what the loop would do stands beside what it was told ([`force`]).

pub mod desk;
pub mod force;
pub mod glob;

pub use desk::{Desk, Plans};
pub use force::Forced;

use crate::control::overrides::glob::Glob;
use crate::store::timestamp;
use crate::units::{parse_quantity, parse_share};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Most overrides at one time. Our choice: more than people keep in mind, and little to look through at every beat.
pub const MOST: usize = 1000;
/// Longest an override may last, seconds: 30 days. What is to hold for longer belongs in the policies.
pub const LONGEST_SECS: f64 = 30.0 * 86_400.0;
/// Most octets of an author or a reason.
pub const LONGEST_TEXT: usize = 500;

//----------- Verb -----------------------------------------------------------

/// What is decided.
#[derive(Clone, Debug, PartialEq)]
pub enum Verb {
    /// POPs or members get no new answers, unless nobody else may be given: then it is as `all-down=` says.
    Drain,
    /// POPs or members count as failed.
    ForceOpen,
    /// POPs or members count as whole, whatever their breakers say.
    ForceClosed,
    /// Breakers of POPs or members that wait for an operator (`breaker.resume=manual`), or are kept out since they failed again and
    /// again, go on by themselves.
    Resume,
    /// POPs can carry this much, requests per second or a part of what is declared.
    Capacity(Amount),
    /// Groups keep the shares they have, but for members that may no longer be given.
    Freeze,
    /// Groups are planned for what is asked now; forecasts are made and shown, and steer nothing.
    ForecastOff,
    /// Groups are answered as declared, as before the first measurement; breakers still count.
    SteeringOff,
}

/// A capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Requests per second.
    Rate(f64),
    /// Part of what is declared, 0 to 1.
    Part(f64),
}

impl Amount {
    /// Requests per second, of a POP that is declared to sustain `declared`.
    pub fn of(self, declared: f64) -> f64 {
        match self {
            Amount::Rate(rate) => rate,
            Amount::Part(part) => part * declared,
        }
    }
}

/// Verbs as they are written.
pub const WORDS: [&str; 8] =
    ["drain", "force-open", "force-closed", "capacity", "freeze", "forecast-off", "steering-off", "resume"];

impl Verb {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        WORDS[match self {
            Verb::Drain => 0,
            Verb::ForceOpen => 1,
            Verb::ForceClosed => 2,
            Verb::Capacity(_) => 3,
            Verb::Freeze => 4,
            Verb::ForecastOff => 5,
            Verb::SteeringOff => 6,
            Verb::Resume => 7,
        }]
    }

    /// Whether it is about groups; else it is about POPs, and members where it may be.
    pub fn is_of_groups(&self) -> bool {
        matches!(self, Verb::Freeze | Verb::ForecastOff | Verb::SteeringOff)
    }
}

//----------- What -----------------------------------------------------------

/// What is decided of whom: `drain fra.pop`, `capacity fra.pop=50%`.
#[derive(Clone, Debug, PartialEq)]
pub struct What {
    /// What.
    pub verb: Verb,
    /// Of whom.
    pub whom: Glob,
}

impl FromStr for What {
    type Err = String;

    fn from_str(text: &str) -> Result<What, String> {
        let (word, rest) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
        let rest = rest.trim();
        let (whom, amount) = match rest.split_once('=') {
            Some((whom, amount)) => (whom.trim_end(), Some(amount.trim())),
            None => (rest, None),
        };
        let verb = match (word, amount) {
            ("drain", None) => Verb::Drain,
            ("force-open", None) => Verb::ForceOpen,
            ("force-closed", None) => Verb::ForceClosed,
            ("resume", None) => Verb::Resume,
            ("freeze", None) => Verb::Freeze,
            ("forecast-off", None) => Verb::ForecastOff,
            ("steering-off", None) => Verb::SteeringOff,
            ("capacity", Some(amount)) => Verb::Capacity(parse_amount(amount)?),
            ("capacity", None) => return Err(format!("{text:?}: a capacity is missing, as in `capacity fra.pop=20k`")),
            (word, Some(_)) if WORDS.contains(&word) => return Err(format!("{text:?}: {word} takes no value")),
            _ => return Err(format!("{word:?} is no override; there are {}", WORDS.join(", "))),
        };
        Ok(What { verb, whom: whom.parse()? })
    }
}

fn parse_amount(text: &str) -> Result<Amount, String> {
    let no = || format!("{text:?} is no capacity: requests per second such as 20k, or a part such as 50%, would do");
    let amount = match text.ends_with('%') {
        true => Amount::Part(parse_share(text).map_err(|_| no())?),
        false => Amount::Rate(parse_quantity(text).map_err(|_| no())?),
    };
    match amount {
        Amount::Part(part) if !(0.0..=1.0).contains(&part) => Err(no()),
        Amount::Rate(rate) if !(0.0..=1e12).contains(&rate) => Err(no()),
        amount => Ok(amount),
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.word(), self.whom)?;
        match self.verb {
            Verb::Capacity(Amount::Rate(rate)) => write!(f, "={rate}"),
            Verb::Capacity(Amount::Part(part)) => write!(f, "={}%", 100.0 * part),
            _ => Ok(()),
        }
    }
}

//----------- Override -------------------------------------------------------

/// One override.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Override {
    /// By which it is ended; never used twice.
    pub id: u64,
    /// What is decided of whom.
    #[serde(with = "as_text")]
    pub what: What,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// Unix seconds at which it was made.
    pub made_at: f64,
    /// Unix seconds at which it ends.
    pub ends_at: f64,
}

mod as_text {
    use super::What;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(what: &What, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(what)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<What, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {} until {}: {}", self.what, self.author, timestamp::print(self.ends_at as i64), self.reason)
    }
}

/// The overrides of a moment. Clones share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    all: Arc<[Override]>,
}

impl Overrides {
    /// These.
    pub fn of(all: impl IntoIterator<Item = Override>) -> Overrides {
        Overrides { all: all.into_iter().collect() }
    }

    /// Them, in the order in which they were made.
    pub fn iter(&self) -> std::slice::Iter<'_, Override> {
        self.all.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether these are the very same as at another moment.
    pub fn are(&self, others: &Overrides) -> bool {
        Arc::ptr_eq(&self.all, &others.all) || (self.is_empty() && others.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, printed: &str) {
        match text.parse::<What>() {
            Ok(what) => {
                assert_eq!(what.to_string(), printed, "{text}");
                assert_eq!(printed.parse(), Ok(what), "{text}");
            }
            Err(why) => assert!(why.contains(printed), "{text}: {why}"),
        }
    }

    #[test]
    fn overrides_are_read_and_printed() {
        check("drain fra.pop", "drain fra.pop");
        check("  drain   FRA.* ", "drain fra.*");
        check("force-open fra.web.example.com.", "force-open fra.web.example.com.");
        check("capacity fra.pop=20k", "capacity fra.pop=20000");
        check("capacity fra.pop = 50%", "capacity fra.pop=50%");
        check("capacity *=0", "capacity *=0");
        check("freeze web", "freeze web");
        check("forecast-off *", "forecast-off *");
        check("steering-off web", "steering-off web");
        check("drain", "a name is missing");
        check("capacity fra.pop", "as in `capacity fra.pop=20k`");
        check("capacity fra.pop=150%", "no capacity");
        check("capacity fra.pop=-1", "no capacity");
        check("capacity fra.pop=lots", "no capacity");
        check("drain fra.pop=1", "takes no value");
        check("close fra.pop", "there are drain, force-open");
        check("", "is no override");
        check("drain a b", "one name");
    }
}
