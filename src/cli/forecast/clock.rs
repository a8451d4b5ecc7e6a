//! The clock that people go by, from the name of a zone.

use crate::forecast::daylight::Daylight;
use std::path::Path;
use std::sync::Arc;

/// Where systems keep the tz database.
const ZONES: &str = "/usr/share/zoneinfo";

/// The clock of a zone of the tz database (`Europe/Berlin`) or of a rule (`CET-1CEST,M3.5.0,M10.5.0/3`); `None` for UTC.
///
/// # Errors
/// What there is to say to who wrote it.
pub fn daylight(zone: &str) -> Result<Option<Arc<Daylight>>, String> {
    if zone.is_empty() || zone.eq_ignore_ascii_case("utc") {
        return Ok(None);
    }
    let is_name = !zone.split('/').any(|part| part.is_empty() || part.starts_with('.'));
    let file = is_name.then(|| std::fs::read(Path::new(ZONES).join(zone))).and_then(Result::ok);
    // The last line of a zone's file is its rule (RFC 9636 section 3.3).
    let last = |bytes: &[u8]| {
        let text = bytes.strip_suffix(b"\n")?;
        let begin = text.iter().rposition(|b| *b == b'\n')? + 1;
        String::from_utf8(text[begin..].to_vec()).ok().filter(|rule| !rule.is_empty())
    };
    match file {
        Some(bytes) => {
            let rule = last(&bytes).ok_or(format!("the zone {zone:?} in {ZONES} has no rule for the future"))?;
            Daylight::scan(&rule).map_err(|e| format!("the zone {zone:?} changes its clock by {rule:?}: {e}"))
        }
        None => Daylight::scan(zone).map_err(|e| format!("{zone:?} is no zone in {ZONES}, and no rule either: {e}")),
    }
    .map(|clock| Some(Arc::new(clock)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_and_rules() {
        assert_eq!(daylight("UTC"), Ok(None));
        let rule = daylight("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        assert_eq!(rule.as_ref().map(|clock| clock.ahead(1_774_746_000)), Some(7_200));
        if Path::new(ZONES).join("Europe/Berlin").exists() {
            assert_eq!(daylight("Europe/Berlin"), Ok(rule));
        }
        for zone in ["Europe/Atlantis", "../../../etc/passwd", "/etc/passwd", "CET-1CEST"] {
            assert!(daylight(zone).is_err(), "{zone}");
        }
    }
}
