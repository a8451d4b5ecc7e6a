//! Country and continent codes, as routes name them, over the table of [`crate::geo::country`].

use crate::geo::country::{country, two_letters};

/// The two-letter codes of GeoLite2.
pub const CONTINENTS: [&str; 7] = ["AF", "AN", "AS", "EU", "NA", "OC", "SA"];

/// Whether there is a country with this upper-case code.
pub fn is_country(code: &str) -> bool {
    two_letters(code).and_then(country).is_some()
}

/// Whether an upper-case code is one of the seven continents.
pub fn is_continent(code: &str) -> bool {
    CONTINENTS.contains(&code)
}

/// Whether some database may file a country under a continent. The tables of the UN and of GeoNames part
/// over these countries, so either is taken for them.
pub fn may_lie_in(country_code: &str, continent: &str) -> bool {
    const STRADDLING: [&str; 10] = ["AM", "AZ", "CY", "EG", "GE", "KZ", "RU", "TL", "TR", "UM"];
    STRADDLING.contains(&country_code)
        || two_letters(country_code).and_then(country).is_some_and(|c| c.continent == continent.as_bytes())
}

/// The code that was meant by one in wide use that is not ISO's.
pub fn usual_mistake(code: &str) -> Option<&'static str> {
    match code {
        "UK" | "EN" => Some("GB"),
        "EL" => Some("GR"),
        "SW" => Some("SE"),
        "JA" | "JAP" | "JPN" => Some("JP"),
        "DEU" | "GER" => Some("DE"),
        "USA" => Some("US"),
        "FRA" => Some("FR"),
        "NLD" => Some("NL"),
        "AUT" => Some("AT"),
        "CHE" => Some("CH"),
        "GBR" => Some("GB"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        assert!(is_country("JP") && is_country("XK") && !is_country("UK") && !is_country("ZZ") && !is_country("DEU"));
        assert!(is_continent("SA") && !is_continent("SX"));
        assert!(may_lie_in("JP", "AS") && !may_lie_in("JP", "EU"));
        assert!(may_lie_in("CY", "EU") && may_lie_in("CY", "AS"));
    }
}
