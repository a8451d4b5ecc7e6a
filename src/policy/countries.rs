//! Country and continent codes, as GeoLite2 has them.
//!
//! ISO 3166-1 alpha-2 of 2026 plus `XK` (Kosovo), by the continent that GeoNames, and so MaxMind,
//! files each under.

const BY_CONTINENT: [(&str, &str); 7] = [
    (
        "AF",
        "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW MZ \
         NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
    ),
    ("AN", "AQ BV GS HM TF"),
    (
        "AS",
        "AE AF AM AZ BD BH BN BT CC CN CX GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY \
         NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
    ),
    (
        "EU",
        "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD \
         ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
    ),
    (
        "NA",
        "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV SX \
         TC TT US VC VG VI",
    ),
    ("OC", "AS AU CK FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS"),
    ("SA", "AR BO BR CL CO EC FK GF GY PE PY SR UY VE"),
];

/// The continent of an upper-case country code; `None` if there is no such country.
pub fn continent_of(country: &str) -> Option<&'static str> {
    BY_CONTINENT.iter().find(|(_, list)| list.split(' ').any(|c| c == country)).map(|(continent, _)| *continent)
}

/// Whether an upper-case code is one of the seven continents.
pub fn is_continent(code: &str) -> bool {
    BY_CONTINENT.iter().any(|(continent, _)| *continent == code)
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
    fn every_country_has_one_continent() {
        let mut all: Vec<&str> = BY_CONTINENT.iter().flat_map(|(_, list)| list.split(' ')).collect();
        let n = all.len();
        all.sort();
        all.dedup();
        assert_eq!((n, all.len()), (250, 250));
        assert_eq!(continent_of("JP"), Some("AS"));
        assert_eq!(continent_of("AS"), Some("OC"));
        assert_eq!(continent_of("ZZ"), None);
        assert!(is_continent("SA") && !is_continent("SX"));
    }
}
