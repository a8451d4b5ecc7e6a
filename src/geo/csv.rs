//! Text tables of prefixes and places: what operators write to build a database of their own.
//!
//! ```text
//!   # office networks
//!   prefix,country,subdivision,city,lat,lon,asn
//!   203.0.113.0/26,JP,13,Tokyo,35.68,139.69,64500
//!   198.51.100.7-198.51.100.20,DE,,Berlin,52.52,13.40,
//! ```
//!
//! Comma-separated as RFC 4180, one row a line; the header names the columns in any order; rows that
//! start with `#` and empty rows are left out. Every bad row is reported, not the first alone.

use crate::geo::country;
use crate::geo::place::Place;
use crate::geo::tree::embedded_v4;
use crate::masterfile::{Diagnostic, Report, Severity};
use crate::units::LatLon;
use ipnet::{IpNet, Ipv4Net, Ipv4Subnets, Ipv6Net, Ipv6Subnets};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

//----------- Row ------------------------------------------------------------

/// One checked row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The prefixes it stands for: one, or those that make up its range.
    pub nets: Vec<IpNet>,
    /// What it says of them.
    pub place: Place,
    /// Its line, from 1.
    pub line: u32,
}

/// The columns of a header, as written there.
const COLUMNS: [&str; 7] = ["prefix", "country", "subdivision", "city", "lat", "lon", "asn"];

/// Reads a table; what is wrong goes to the report, and the rows that are right come back.
pub fn parse(file: &str, text: &str, report: &mut Report) -> Vec<Row> {
    let file: Arc<str> = file.into();
    let mut rows = Vec::new();
    let mut header: Option<Vec<usize>> = None;
    let mut seen: HashMap<IpNet, u32> = HashMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        let mut problems = Problems { file: &file, line, text, report };
        let fields = split(text);
        let Some(columns) = &header else {
            header = Some(read_header(&fields, &mut problems));
            continue;
        };
        if fields.len() != columns.len() {
            let message = format!("{} fields where the header has {}", fields.len(), columns.len());
            problems.error(fields.last(), message, Some("a field that is not known is left empty, its comma is not"));
            continue;
        }
        let Some(row) = read_row(columns, &fields, &mut problems) else { continue };
        for net in &row.nets {
            if let Some(first) = seen.insert(*net, line) {
                let at = columns.iter().position(|&c| c == 0).and_then(|i| fields.get(i));
                problems.error(at, format!("{net} stands in line {first} already"), None);
            }
        }
        rows.push(row);
    }
    if header.is_none() {
        let mut problems = Problems { file: &file, line: 0, text: "", report };
        problems.error(
            None,
            "the table is empty".into(),
            Some("the first row names the columns: prefix,country,city,lat,lon"),
        );
    }
    rows
}

/// For each field its position in [`COLUMNS`]; a header that will not do is reported and read as the usual one.
fn read_header(fields: &[Field], problems: &mut Problems<'_>) -> Vec<usize> {
    let mut columns = Vec::new();
    for field in fields {
        let name = field.text.to_ascii_lowercase();
        let name = if matches!(name.as_str(), "network" | "range" | "prefix or range") { "prefix" } else { &name };
        match COLUMNS.iter().position(|&c| c == name) {
            Some(c) if columns.contains(&c) => {
                problems.error(Some(field), format!("column {name:?} stands twice"), None)
            }
            Some(c) => columns.push(c),
            None => {
                let near = COLUMNS.iter().find(|c| strsim::osa_distance(c, name) <= 2);
                let help = match near {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("columns are {}", COLUMNS.join(", ")),
                };
                problems.error(Some(field), format!("unknown column {:?}", field.text), Some(&help));
            }
        }
    }
    if columns.len() == fields.len() && !columns.contains(&0) {
        problems.error(
            None,
            "no column \"prefix\"".into(),
            Some("the first row names the columns: prefix,country,city,lat,lon"),
        );
    }
    if columns.len() == fields.len() && columns.contains(&0) { columns } else { (0..COLUMNS.len()).collect() }
}

fn read_row(columns: &[usize], fields: &[Field], problems: &mut Problems<'_>) -> Option<Row> {
    let errors_before = problems.report.counts().0;
    let field = |c: usize| columns.iter().position(|&x| x == c).map(|i| &fields[i]);
    let given = |c: usize| field(c).filter(|f| !f.text.is_empty());
    let text = |c: usize| given(c).map(|f| f.text.clone());
    let nets = match field(0).map(|f| (f, nets(&f.text))) {
        Some((_, Ok(nets))) => nets,
        Some((field, Err((message, help)))) => {
            problems.error(Some(field), message, help.as_deref());
            Vec::new()
        }
        None => Vec::new(),
    };
    let country = given(1).and_then(|field| {
        let code = country::two_letters(&field.text);
        match code {
            None => problems.error(
                Some(field),
                format!("{:?} is no country code", field.text),
                Some("two letters of ISO 3166-1, such as JP"),
            ),
            Some(code) if country::country(code).is_none() => {
                problems.warning(field, format!("{} is not in ISO 3166-1", country::letters(code)));
            }
            Some(_) => {}
        }
        code.map(country::letters)
    });
    let mut degrees = |c: usize, limit: f64| {
        let field = given(c)?;
        let value = field.text.parse::<f64>().ok().filter(|v| v.abs() <= limit);
        if value.is_none() {
            let help = format!("degrees from -{limit} to {limit}, such as 35.68");
            problems.error(Some(field), format!("{:?} is no {}", field.text, COLUMNS[c]), Some(&help));
        }
        value
    };
    let (lat, lon) = (degrees(4, 90.0), degrees(5, 180.0));
    if given(4).is_some() != given(5).is_some() {
        problems.error(given(4).or(given(5)), "lat and lon go together".into(), Some("give both, or neither"));
    }
    let asn = given(6).and_then(|field| {
        let digits = field.text.strip_prefix("AS").unwrap_or(&field.text);
        let asn = digits.parse().ok().filter(|&n: &u32| n > 0);
        if asn.is_none() {
            problems.error(
                Some(field),
                format!("{:?} is no AS number", field.text),
                Some("a number such as 64500, or AS64500"),
            );
        }
        asn
    });
    let place = Place {
        continent: country
            .as_deref()
            .and_then(country::two_letters)
            .and_then(country::country)
            .map(|c| country::letters(c.continent)),
        country,
        subdivision: text(2),
        city: text(3),
        at: lat.zip(lon).and_then(|(lat, lon)| LatLon::new(lat, lon)),
        asn,
        org: None,
    };
    let sound = problems.report.counts().0 == errors_before;
    if sound && place.is_empty() {
        problems.error(
            field(0),
            "the row says nothing of its prefix".into(),
            Some("leave the row out, or give a country or coordinates"),
        );
        return None;
    }
    sound.then_some(Row { nets, place, line: problems.line })
}

//----------- Prefixes -------------------------------------------------------

type Told = (String, Option<String>);

/// Reads `192.0.2.0/24`, `192.0.2.1`, or `192.0.2.1-192.0.2.9`.
fn nets(text: &str) -> Result<Vec<IpNet>, Told> {
    let usage =
        || Some("a prefix such as 192.0.2.0/24, an address, or a range such as 192.0.2.1-192.0.2.9".to_string());
    let addr =
        |text: &str| text.trim().parse::<IpAddr>().map_err(|_| (format!("{:?} is no address", text.trim()), usage()));
    if let Some((from, to)) = text.split_once('-') {
        let range = match (addr(from)?, addr(to)?) {
            (a, b) if a.is_ipv4() == b.is_ipv4() && a > b => {
                return Err((
                    format!("the range ends before it starts: {a} is after {b}"),
                    Some(format!("write {b}-{a}")),
                ));
            }
            (IpAddr::V4(a), IpAddr::V4(b)) => Ipv4Subnets::new(a, b, 0).map(IpNet::from).collect(),
            (IpAddr::V6(a), IpAddr::V6(b)) => Ipv6Subnets::new(a, b, 0).map(IpNet::from).collect::<Vec<_>>(),
            _ => return Err(("a range of two families".to_string(), usage())),
        };
        return range.into_iter().map(own).collect();
    }
    if !text.contains('/') {
        return Ok(vec![own(IpNet::from(addr(text)?))?]);
    }
    let net: IpNet = text.parse().map_err(|_| (format!("{text:?} is no prefix"), usage()))?;
    if net != net.trunc() {
        return Err((format!("{net} has bits set after its length"), Some(format!("did you mean {}?", net.trunc()))));
    }
    Ok(vec![own(net)?])
}

/// IPv6 prefixes that stand for IPv4 have no place of their own in a database; `::/96` is IPv4's own.
fn own(net: IpNet) -> Result<IpNet, Told> {
    let IpNet::V6(v6) = net else { return Ok(net) };
    match embedded_v4(v6.network().to_bits()) {
        Some((v4, ahead)) if v6.prefix_len() >= ahead => {
            let len = (v6.prefix_len() - ahead).min(32);
            let v4 = Ipv4Net::new_assert(Ipv4Addr::from_bits(v4), len);
            if v6.network().to_bits() >> 32 == 0 {
                Ok(IpNet::V4(v4))
            } else {
                Err((format!("{net} stands for IPv4 addresses"), Some(format!("write {v4}, which covers both"))))
            }
        }
        _ => Ok(IpNet::V6(Ipv6Net::new_assert(v6.network(), v6.prefix_len()))),
    }
}

//----------- Fields ---------------------------------------------------------

/// One field of a row.
#[derive(Clone, Debug, PartialEq)]
struct Field {
    text: String,
    /// In characters, from 1.
    column: u32,
    width: u32,
}

/// Splits a row at its commas; in quotes a comma is text and `""` is a quote.
fn split(row: &str) -> Vec<Field> {
    let (mut fields, mut text, mut quoted, mut start) = (Vec::new(), String::new(), false, 1);
    let mut chars = (1u32..).zip(row.chars()).peekable();
    let field = |text: &str, start: u32| {
        let lead = text.chars().take_while(|c| c.is_whitespace()).count() as u32;
        let text = text.trim();
        Field { text: text.to_string(), column: start + lead, width: (text.chars().count() as u32).max(1) }
    };
    while let Some((column, c)) = chars.next() {
        match c {
            '"' if quoted && chars.peek().is_some_and(|&(_, c)| c == '"') => {
                chars.next();
                text.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => {
                fields.push(field(&text, start));
                text.clear();
                start = column + 1;
            }
            c => text.push(c),
        }
    }
    fields.push(field(&text, start));
    fields
}

struct Problems<'a> {
    file: &'a Arc<str>,
    line: u32,
    text: &'a str,
    report: &'a mut Report,
}

impl Problems<'_> {
    fn error(&mut self, at: Option<&Field>, message: String, help: Option<&str>) {
        self.add(Severity::Error, at, message, help);
    }

    fn warning(&mut self, at: &Field, message: String) {
        self.add(Severity::Warning, Some(at), message, None);
    }

    fn add(&mut self, severity: Severity, at: Option<&Field>, message: String, help: Option<&str>) {
        self.report.push(Diagnostic {
            severity,
            file: self.file.clone(),
            line: self.line,
            column: at.map_or(0, |field| field.column),
            width: at.map_or(1, |field| field.width),
            text: self.text.to_string(),
            message,
            help: help.map(str::to_string),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "prefix,country,subdivision,city,lat,lon,asn\n";

    #[test]
    fn rows_read_as_written() {
        let check = |row: &str, nets: &[&str], want: Place| {
            let mut report = Report::default();
            let rows = parse("t.csv", &format!("# note\n\n{HEAD}{row}\n"), &mut report);
            assert_eq!(report.diagnostics, [], "{report}");
            assert_eq!(rows[0].nets.iter().map(ToString::to_string).collect::<Vec<_>>(), nets);
            assert_eq!(rows[0].place, want);
            assert_eq!(rows[0].line, 4);
        };
        let jp = Place { continent: Some("AS".into()), country: Some("JP".into()), ..Place::default() };
        check("192.0.2.0/24,JP,,,,,", &["192.0.2.0/24"], jp.clone());
        check("192.0.2.7,jp,,,,,", &["192.0.2.7/32"], jp.clone());
        check("192.0.2.1 - 192.0.2.4,JP,,,,,", &["192.0.2.1/32", "192.0.2.2/31", "192.0.2.4/32"], jp.clone());
        check("2001:db8::/33,JP,,,,,", &["2001:db8::/33"], jp.clone());
        check("::1,JP,,,,,", &["0.0.0.1/32"], jp.clone());
        check("0.0.0.0-255.255.255.255,JP,,,,,", &["0.0.0.0/0"], jp.clone());
        let at = LatLon { lat: -33.9, lon: 151.2 };
        let full = Place {
            continent: Some("OC".into()),
            country: Some("AU".into()),
            subdivision: Some("NSW".into()),
            city: Some("Sydney, \"Harbour\"".into()),
            at: Some(at),
            asn: Some(64500),
            org: None,
        };
        check("192.0.2.0/24, AU, NSW, \"Sydney, \"\"Harbour\"\"\", -33.9, 151.2, AS64500", &["192.0.2.0/24"], full);
        check("192.0.2.0/24,,,,,,7", &["192.0.2.0/24"], Place { asn: Some(7), ..Place::default() });
    }

    /// Every kind of mistake is met with its place and what would do.
    #[test]
    fn bad_rows_are_reported_where_they_are() {
        let check = |text: &str, want: &str| {
            let mut report = Report::default();
            parse("t.csv", text, &mut report);
            let got: Vec<String> = report.diagnostics.iter().map(|d| d.to_string().replace('\n', " | ")).collect();
            assert!(got.iter().any(|line| line.contains(want)), "wanted {want:?} in {got:#?}");
        };
        let row = |row: &str, want: &str| check(&format!("{HEAD}{row}\n"), want);
        row("10.0.0.1/8,JP,,,,,", "t.csv:2:1: error: 10.0.0.1/8 has bits set");
        row("10.0.0.1/8,JP,,,,,", "help: did you mean 10.0.0.0/8?");
        row("10.0.0.0/33,JP,,,,,", "is no prefix");
        row("ten,JP,,,,,", "\"ten\" is no address");
        row("10.0.0.9-10.0.0.1,JP,,,,,", "write 10.0.0.1-10.0.0.9");
        row("10.0.0.9-::1,JP,,,,,", "two families");
        row("2002:c000:200::/40,JP,,,,,", "write 192.0.2.0/24");
        row("10.0.0.0/8,JPN,,,,,", "t.csv:2:12: error: \"JPN\" is no country code");
        row("10.0.0.0/8,ZZ,,,,,", "warning: ZZ is not in ISO 3166-1");
        row("10.0.0.0/8,JP,,,91,0,", "t.csv:2:17: error: \"91\" is no lat");
        row("10.0.0.0/8,JP,,,NaN,0,", "is no lat");
        row("10.0.0.0/8,JP,,,1,,", "lat and lon go together");
        row("10.0.0.0/8,JP,,,,,ASX", "\"ASX\" is no AS number");
        row("10.0.0.0/8,JP", "2 fields where the header has 7");
        row("10.0.0.0/8,,,,,,", "says nothing");
        row("10.0.0.0/8,JP,,,,,\n10.0.0.0/8,US,,,,,", "t.csv:3:1: error: 10.0.0.0/8 stands in line 2 already");
        row("::1,JP,,,,,\n0.0.0.1,US,,,,,", "stands in line 2 already");
        check("prefix,contry\n", "did you mean `country`?");
        check("country,city\n", "no column \"prefix\"");
        check("prefix,prefix\n", "stands twice");
        check("# nothing\n", "the table is empty");
    }
}
