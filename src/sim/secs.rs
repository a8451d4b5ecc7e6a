//! Times as scenarios write them.

use crate::store::timestamp;
use crate::units::parse_duration_secs;
use serde::{Deserialize, Deserializer, de};

/// Longest of anything that is a time, in seconds: 90 days. Our choice: the traces at hand are shorter.
const MOST_SECS: f64 = 90.0 * 86_400.0;

/// Seconds, at least 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Secs(pub f64);

impl<'de> Deserialize<'de> for Secs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Secs, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Number(f64),
            Text(String),
        }
        let secs = match Said::deserialize(from)
            .map_err(|_| de::Error::custom("expected seconds, or a text such as \"5m\""))?
        {
            Said::Number(secs) => secs,
            Said::Text(text) => parse_duration_secs(&text).map_err(de::Error::custom)?,
        };
        match (0.0..=MOST_SECS).contains(&secs) {
            true => Ok(Secs(secs)),
            false => Err(de::Error::custom(format!("{secs} s is not between 0 and 90 days"))),
        }
    }
}

/// Where in the traces a run begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// Seconds after the first row.
    Into(f64),
    /// Unix seconds.
    At(f64),
}

impl<'de> Deserialize<'de> for Start {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Start, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Said {
            Number(f64),
            Text(String),
        }
        let wrong = || de::Error::custom("expected seconds, a duration or a moment such as \"2018-05-01T10:00:00Z\"");
        match Said::deserialize(from).map_err(|_| wrong())? {
            Said::Number(secs) if (0.0..1e10).contains(&secs) => Ok(Start::Into(secs)),
            Said::Number(_) => Err(wrong()),
            Said::Text(text) => match (parse_duration_secs(&text), timestamp::scan(&text)) {
                (Ok(secs), _) => Ok(Start::Into(secs)),
                (_, Some(unix)) => Ok(Start::At(unix)),
                _ => Err(wrong()),
            },
        }
    }
}
