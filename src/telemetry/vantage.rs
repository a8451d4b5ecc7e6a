//! What a peer says that a probe of its own found → an outcome that counts, or the reason why not.
//!
//! Several vantage points vote on a POP, so each has to be somebody: over TLS one of the POPs that the certificate names,
//! whichever that is. What a POP says of itself is no outside view, and this server has its own voice.

use crate::probe::{Outcome, What, is_place};
use crate::telemetry::check::{Refused, quote, shorten, unknown};
use crate::telemetry::roster::{Among, Roster};
use crate::telemetry::{Refusal, Voice};
use std::sync::Arc;

/// An outcome as a peer sent it.
#[derive(Clone, Copy, Debug)]
pub struct RawOutcome<'a> {
    /// From where the probe was made.
    pub place: &'a str,
    /// Whether it was answered as it should be.
    pub well: bool,
}

/// Checks the outcome of a probe of `pop` that a peer with `voice` made; `own` is the place of this server.
///
/// # Errors
/// [`Refused`]: an unknown POP, a place that is none, or is not the peer's.
pub fn check(pop: &str, probe: RawOutcome<'_>, own: &str, roster: &Roster, voice: &Voice) -> Result<Outcome, Refused> {
    let pop_named = |text: &str| {
        let found = roster.pop(text).map_err(|e| unknown(e, Refusal::UnknownPop, "POP", Among::Pops, text))?;
        Ok(roster.policies.pops[found.idx()].name.clone())
    };
    let pop = pop_named(pop)?;
    let RawOutcome { place, well } = probe;
    let place: Arc<str> = match voice {
        Voice::Anyone if !is_place(place) => {
            let place = quote(&shorten(place));
            return Err(Refused::new(Refusal::Malformed, format!("{place} is not the name of a vantage point")));
        }
        Voice::Anyone => place.into(),
        Voice::Pops(_) => {
            let from = pop_named(place)?;
            if !voice.speaks_for(&from) {
                return Err(Refused::new(Refusal::Forbidden, format!("this certificate does not speak for {from}")));
            }
            if from == pop {
                return Err(Refused::new(Refusal::Forbidden, format!("{pop} is not asked about itself")));
            }
            from.to_string().into()
        }
    };
    if *place == *own {
        return Err(Refused::new(Refusal::Forbidden, format!("{own} is the place of this server")));
    }
    Ok(Outcome { pop, place, what: if well { What::Well } else { What::Reported } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::fixtures::policies;

    #[test]
    fn a_place_has_to_be_somebody() {
        let check = |pop: &str, place: &str, certificate: Option<&str>, expected: Result<&str, Refusal>| {
            let voice = match certificate {
                None => Voice::Anyone,
                Some(name) => Voice::Pops(vec![name.parse().unwrap()]),
            };
            let probe = RawOutcome { place, well: false };
            let found = super::check(pop, probe, "here", &Roster::new(policies()), &voice);
            let found = found.map(|outcome| outcome.place.to_string()).map_err(|refused| refused.refusal);
            assert_eq!(found, expected.map(str::to_owned), "{pop} from {place}");
        };
        check("ams.pop", "paris", None, Ok("paris"));
        check("ams.pop", "", None, Err(Refusal::Malformed));
        check("ams.pop", "a b", None, Err(Refusal::Malformed));
        check("ams.pop", "here", None, Err(Refusal::Forbidden));
        check("nowhere.pop", "paris", None, Err(Refusal::UnknownPop));
        let dub = Some("dub.pop.example.com.");
        check("ams.pop", "dub.pop", dub, Ok("dub.pop.example.com."));
        check("ams.pop", "sin.pop", dub, Err(Refusal::Forbidden));
        check("dub.pop", "dub.pop", dub, Err(Refusal::Forbidden));
        check("ams.pop", "paris", dub, Err(Refusal::UnknownPop));
    }
}
