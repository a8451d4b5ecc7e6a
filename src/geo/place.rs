//! What a database says of an address, and where in its records that stands.

use crate::geo::country;
use crate::units::LatLon;
use maxminddb::{LookupResult, MaxMindDbError, PathElement};
use serde::de::{Deserialize, Deserializer, Visitor};
use std::fmt;

//----------- Place ----------------------------------------------------------

/// What is known of where an address is; every field may be missing.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct Place {
    /// AF AN AS EU NA OC SA.
    pub continent: Option<String>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
    /// The part of ISO 3166-2 after the country (`CA` of `US-CA`); a name where the file has no code.
    pub subdivision: Option<String>,
    /// City, in English where the file has a choice.
    pub city: Option<String>,
    /// Coordinates.
    #[serde(serialize_with = "serialize_at")]
    pub at: Option<LatLon>,
    /// Autonomous system number, above 0.
    pub asn: Option<u32>,
    /// Who runs that autonomous system.
    pub org: Option<String>,
}

fn serialize_at<S: serde::Serializer>(at: &Option<LatLon>, out: S) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&at.map(|p| [p.lat, p.lon]), out)
}

impl Place {
    /// Whether nothing at all is known.
    pub fn is_empty(&self) -> bool {
        *self == Place::default()
    }

    /// Takes each field that is missing here from `other`.
    pub fn or(self, other: &Place) -> Place {
        let Place { continent, country, subdivision, city, at, asn, org } = self;
        Place {
            continent: continent.or_else(|| other.continent.clone()),
            // A subdivision means something within its own country only.
            subdivision: match &country {
                Some(_) if country != other.country => subdivision,
                _ => subdivision.or_else(|| other.subdivision.clone()),
            },
            country: country.or_else(|| other.country.clone()),
            city: city.or_else(|| other.city.clone()),
            at: at.or(other.at),
            asn: asn.or(other.asn),
            org: org.or_else(|| other.org.clone()),
        }
    }

    /// Fills continent and coordinates from the table of countries where no file knew them.
    pub fn completed(mut self) -> Place {
        let known = self.country.as_deref().and_then(country::two_letters).and_then(country::country);
        if let Some(known) = known {
            self.continent.get_or_insert_with(|| country::letters(known.continent));
            self.at.get_or_insert(known.at);
        }
        self
    }
}

//----------- Paths ----------------------------------------------------------

/// Where a record holds each field: for each the paths to try, in order. A path is the keys from the
/// record's top, joined by dots; a number is a position in an array: `subdivisions.0.iso_code`.
///
/// The defaults read GeoLite2 and GeoIP2 (City, Country, ASN, ISP, Enterprise), DB-IP and IPinfo.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// Two letters.
    pub continent: Vec<String>,
    /// Two letters.
    pub country: Vec<String>,
    /// Code or name.
    pub subdivision: Vec<String>,
    /// Name.
    pub city: Vec<String>,
    /// Degrees north, a number or text.
    pub lat: Vec<String>,
    /// Degrees east, a number or text.
    pub lon: Vec<String>,
    /// A number, or text such as `AS64500`.
    pub asn: Vec<String>,
    /// Name.
    pub org: Vec<String>,
}

impl Default for Paths {
    fn default() -> Paths {
        let list = |paths: &str| paths.split(' ').map(str::to_string).collect();
        Paths {
            continent: list("continent.code continent_code continent"),
            // The country of registration is the last resort: it says whose law, not where.
            country: list("country.iso_code country_code country registered_country.iso_code"),
            subdivision: list(
                "subdivisions.0.iso_code region_code subdivisions.0.names.en subdivision region state stateprov",
            ),
            city: list("city.names.en city city_name"),
            lat: list("location.latitude latitude lat"),
            lon: list("location.longitude longitude lng lon"),
            asn: list("autonomous_system_number asn traits.autonomous_system_number as_number"),
            org: list("autonomous_system_organization as_name traits.autonomous_system_organization as_organization"),
        }
    }
}

/// [`Paths`], taken apart once per file.
#[derive(Debug)]
pub(crate) struct Lenses {
    continent: Vec<Lens>,
    country: Vec<Lens>,
    subdivision: Vec<Lens>,
    city: Vec<Lens>,
    lat: Vec<Lens>,
    lon: Vec<Lens>,
    asn: Vec<Lens>,
    org: Vec<Lens>,
}

type Lens = Vec<Step>;

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Lenses {
    pub(crate) fn new(paths: &Paths) -> Lenses {
        let Paths { continent, country, subdivision, city, lat, lon, asn, org } = paths;
        let all = |paths: &[String]| paths.iter().map(|path| lens(path)).collect();
        Lenses {
            continent: all(continent),
            country: all(country),
            subdivision: all(subdivision),
            city: all(city),
            lat: all(lat),
            lon: all(lon),
            asn: all(asn),
            org: all(org),
        }
    }

    /// Reads one record.
    ///
    /// # Errors
    /// When the record's bytes are broken. A path that leads nowhere, or to something of another kind, is no
    /// error: the next one is tried.
    pub(crate) fn place<S: AsRef<[u8]>>(&self, record: &LookupResult<'_, S>) -> Result<Place, MaxMindDbError> {
        let text = |lenses: &[Lens]| first(record, lenses, |scalar| scalar.text());
        let number = |lenses: &[Lens]| first(record, lenses, |scalar| scalar.number());
        let code = |lenses: &[Lens]| {
            first(record, lenses, |s| s.text().and_then(|t| country::two_letters(&t)).map(country::letters))
        };
        let at = match number(&self.lat)? {
            Some(lat) => number(&self.lon)?.and_then(|lon| LatLon::new(lat, lon)),
            None => None,
        };
        let asn = first(record, &self.asn, Scalar::asn)?;
        Ok(Place {
            continent: code(&self.continent)?,
            country: code(&self.country)?,
            subdivision: text(&self.subdivision)?,
            city: text(&self.city)?,
            at,
            asn,
            org: if asn.is_some() { text(&self.org)? } else { None },
        })
    }
}

fn lens(path: &str) -> Lens {
    path.split('.')
        .map(|step| match step.parse() {
            Ok(n) => Step::Index(n),
            Err(_) => Step::Key(step.to_string()),
        })
        .collect()
}

fn first<S: AsRef<[u8]>, T>(
    record: &LookupResult<'_, S>,
    lenses: &[Lens],
    read: impl Fn(Scalar) -> Option<T>,
) -> Result<Option<T>, MaxMindDbError> {
    for lens in lenses {
        let path: Vec<PathElement<'_>> = lens
            .iter()
            .map(|step| match step {
                Step::Key(key) => PathElement::Key(key),
                Step::Index(n) => PathElement::Index(*n),
            })
            .collect();
        match record.decode_path::<Scalar>(&path) {
            Ok(scalar) => {
                if let Some(found) = scalar.and_then(&read) {
                    return Ok(Some(found));
                }
            }
            Err(MaxMindDbError::Decoding { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(None)
}

//----------- Scalar ---------------------------------------------------------

/// A value that is not made of others.
#[derive(Debug)]
enum Scalar {
    Text(String),
    Number(f64),
}

impl Scalar {
    fn text(self) -> Option<String> {
        match self {
            Scalar::Text(text) if !text.trim().is_empty() => Some(text.trim().to_string()),
            _ => None,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Scalar::Text(text) => text.trim().parse().ok(),
            Scalar::Number(n) => Some(n),
        }
    }

    fn asn(self) -> Option<u32> {
        let number = match self {
            Scalar::Text(text) => {
                let text = text.trim();
                let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
                digits.parse().ok()?
            }
            Scalar::Number(n) if n.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&n) => n as u32,
            Scalar::Number(_) => return None,
        };
        (number > 0).then_some(number)
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Scalar, D::Error> {
        from.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl Visitor<'_> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a number")
    }

    fn visit_str<E>(self, v: &str) -> Result<Scalar, E> {
        Ok(Scalar::Text(v.to_string()))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Scalar, E> {
        Ok(Scalar::Number(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Scalar, E> {
        Ok(Scalar::Number(v as f64))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Scalar, E> {
        Ok(Scalar::Number(v as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(country: Option<&str>, subdivision: Option<&str>, asn: Option<u32>) -> Place {
        Place { country: country.map(Into::into), subdivision: subdivision.map(Into::into), asn, ..Place::default() }
    }

    /// The first file that knows a field wins it; a subdivision never joins another file's country.
    #[test]
    fn fields_come_from_the_first_that_knows() {
        let check = |a: Place, b: Place, want: Place| assert_eq!(a.or(&b), want);
        check(place(Some("US"), None, None), place(Some("DE"), Some("BE"), Some(1)), place(Some("US"), None, Some(1)));
        check(place(Some("US"), None, None), place(Some("US"), Some("CA"), None), place(Some("US"), Some("CA"), None));
        check(
            place(None, None, Some(2)),
            place(Some("DE"), Some("BE"), Some(1)),
            place(Some("DE"), Some("BE"), Some(2)),
        );
    }

    #[test]
    fn numbers_of_autonomous_systems_read_as_written() {
        for (scalar, want) in [
            (Scalar::Text("AS64500".into()), Some(64500)),
            (Scalar::Text("64500".into()), Some(64500)),
            (Scalar::Number(64500.0), Some(64500)),
            (Scalar::Number(0.0), None),
            (Scalar::Number(1.5), None),
            (Scalar::Text("ASX".into()), None),
        ] {
            assert_eq!(scalar.asn(), want);
        }
    }

    #[test]
    fn the_country_table_fills_gaps_only() {
        let filled = place(Some("JP"), None, None).completed();
        assert_eq!(filled.continent.as_deref(), Some("AS"));
        assert!(filled.at.is_some());
        let tokyo = LatLon { lat: 35.7, lon: 139.7 };
        let kept = Place { at: Some(tokyo), ..place(Some("JP"), None, None) }.completed();
        assert_eq!(kept.at, Some(tokyo));
    }
}
