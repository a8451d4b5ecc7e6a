//! A checked table → an MMDB file.
//!
//! The layout is GeoLite2's, City and ASN in one record, so that any reader of those finds its way:
//! `continent.code`, `country.iso_code`, `subdivisions.0.iso_code`, `city.names.en`, `location.latitude`,
//! `location.longitude`, `autonomous_system_number`. The same rows and build epoch give the same bytes.

use crate::geo::csv::{self, Row};
use crate::geo::place::Place;
use crate::masterfile::{Diagnostic, Report, Severity};
use ipnet::IpNet;
use mmdb_writer::{Value, Writer};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// Builds a database from the text of a table. `None` when the report holds an error of it.
///
/// `build_epoch`: Unix seconds to write as the time of building.
pub fn build_csv(file: &str, text: &str, build_epoch: u64, report: &mut Report) -> Option<Vec<u8>> {
    let errors_before = report.counts().0;
    let rows = csv::parse(file, text, report);
    if report.counts().0 > errors_before {
        return None;
    }
    build(&rows, build_epoch)
        .map_err(|message| {
            report.push(Diagnostic {
                severity: Severity::Error,
                file: file.into(),
                line: 0,
                column: 0,
                width: 1,
                text: String::new(),
                message,
                help: None,
            });
        })
        .ok()
}

/// Builds a database. Where rows overlap the longest prefix wins, as a whole: it takes nothing from a wider row.
///
/// # Errors
/// The writer's words, for rows that did not come from [`csv::parse`].
pub fn build(rows: &[Row], build_epoch: u64) -> Result<Vec<u8>, String> {
    let mut writer = Writer::builder("Floodway-City-ASN")
        .description(&[("en", "Built by floodway geoip build")])
        .build_epoch(UNIX_EPOCH + Duration::from_secs(build_epoch))
        .build();
    let depth = |net: &IpNet| if net.addr().is_ipv4() { net.prefix_len() + 96 } else { net.prefix_len() };
    let mut nets: Vec<(&IpNet, &Place)> =
        rows.iter().flat_map(|row| row.nets.iter().map(|n| (n, &row.place))).collect();
    nets.sort_by_key(|(net, _)| (depth(net), **net));
    for (net, place) in nets {
        writer.insert_value(*net, record(place)).map_err(|e| e.to_string())?;
    }
    writer.to_bytes().map_err(|e| e.to_string())
}

fn record(place: &Place) -> Value {
    let Place { continent, country, subdivision, city, at, asn, org } = place;
    let mut record = BTreeMap::new();
    let mut put = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            record.insert(key.to_string(), value);
        }
    };
    let text = |text: &String| Value::from(text.as_str());
    put("continent", continent.as_ref().map(|c| Value::map([("code", text(c))])));
    put("country", country.as_ref().map(|c| Value::map([("iso_code", text(c))])));
    put("subdivisions", subdivision.as_ref().map(|s| Value::array([Value::map([("iso_code", text(s))])])));
    put("city", city.as_ref().map(|c| Value::map([("names", Value::map([("en", text(c))]))])));
    let location = at.map(|at| Value::map([("latitude", Value::from(at.lat)), ("longitude", Value::from(at.lon))]));
    put("location", location);
    put("autonomous_system_number", asn.map(Value::from));
    put("autonomous_system_organization", org.as_ref().map(text));
    Value::Map(record)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geo::database::Databases;
    use crate::geo::place::Paths;

    /// 2026-01-01, as geoip/README.md says.
    const EPOCH: u64 = 1_767_225_600;

    fn built(text: &str) -> Vec<u8> {
        let mut report = Report::default();
        build_csv("t.csv", text, EPOCH, &mut report).unwrap_or_else(|| panic!("{report}"))
    }

    /// The committed database is what the committed table builds, byte for byte.
    #[test]
    fn default_mmdb_is_built_from_default_csv() {
        let bytes = built(include_str!("../../geoip/default.csv"));
        if std::env::var_os("FLOODWAY_WRITE_DEFAULT_MMDB").is_some() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/geoip/default.mmdb");
            std::fs::write(path, &bytes).unwrap();
            return;
        }
        assert!(bytes == crate::geo::embedded(), "rebuild geoip/default.mmdb: geoip/README.md says how");
    }

    /// What was written comes back through the reader; the longest prefix wins whole.
    #[test]
    fn tables_come_back_through_the_reader() {
        let bytes = built(
            "prefix,country,subdivision,city,lat,lon,asn\n\
             192.0.2.128/25,JP,13,Tokyo,35.68,139.69,64500\n\
             192.0.2.0/24,DE,,Berlin,52.5,13.4,\n\
             2001:db8::-2001:db8::ffff,FR,,,,,\n",
        );
        let databases = Databases::open(vec![("t".into(), bytes)], &Paths::default()).unwrap();
        let check = |addr: &str, country: Option<&str>, city: Option<&str>, asn: Option<u32>| {
            let place = databases.place(addr.parse().unwrap()).unwrap_or_default();
            assert_eq!((place.country.as_deref(), place.city.as_deref(), place.asn), (country, city, asn), "{addr}");
        };
        check("192.0.2.1", Some("DE"), Some("Berlin"), None);
        check("192.0.2.129", Some("JP"), Some("Tokyo"), Some(64500));
        check("2002:c000:281::", Some("JP"), Some("Tokyo"), Some(64500));
        check("2001:db8::ffff", Some("FR"), None, None);
        check("2001:db8::1:0", None, None, None);
        check("192.0.3.0", None, None, None);
    }

    #[test]
    fn a_bad_table_builds_nothing() {
        let mut report = Report::default();
        assert_eq!(build_csv("t.csv", "prefix,country\nx,JP\n", EPOCH, &mut report), None);
        assert_eq!(report.counts(), (1, 0));
    }
}
