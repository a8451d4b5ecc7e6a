//! `probe=` and `probe.*` of a POP: how the server itself asks whether anybody answers there.
//!
//! The URL names whom to ask and what; `probe.address` says where to go, apart from the addresses that answers give, and
//! is required where the URL has a name: a probe that needed a resolver would tell of the resolver.

use crate::masterfile::{Includes, Report, join};
use crate::policy::read;
use crate::policy::record::{Params, Value};
use crate::policy::said::{Field, Spot};
use http::uri::{PathAndQuery, Uri};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::net::{IpAddr, SocketAddr};

/// Most probes of one POP a second, as the least interval. Our choice: what asks more often is load and no probe.
const LEAST_INTERVAL_SECS: f64 = 1.0;
/// What is asked less often than this tells nothing in time. Our choice.
const MOST_INTERVAL_SECS: f64 = 3600.0;
/// Longest that a probe may wait. Our choice: a client has gone by then.
const MOST_TIMEOUT_SECS: f64 = 60.0;
/// Most outcomes in a row that may be asked for.
const MOST_IN_A_ROW: u32 = 100;
/// Most characters of a text that a body has to have.
const MOST_BODY: usize = 200;
/// Most ranges of status codes.
const MOST_STATUS: usize = 32;

//----------- Probe ----------------------------------------------------------

/// How to ask a POP, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// `probe=`: the URL as it was written.
    pub url: String,
    /// What is asked.
    pub ask: Ask,
    /// The host of the URL, with its port where one was written: whom a request names.
    pub authority: String,
    /// The host alone: whom a certificate has to name.
    pub host: String,
    /// Where the connection goes.
    pub to: SocketAddr,
    /// `probe.ca=`, `probe.unverified`: whom to believe; of no meaning without TLS.
    pub trust: Trust,
    /// `probe.interval=`: seconds between probes, 1 to 3600; default 5.
    pub interval_secs: f64,
    /// `probe.timeout=`: seconds that a probe may take in all, below the interval; default 2.
    pub timeout_secs: f64,
    /// `probe.rise=`: probes in a row that find it well until it counts as up, from 1; default 2.
    pub rise: u32,
    /// `probe.fall=`: failures in a row until it counts as down, from 1; default 3: with the usual interval, 15 s to leave and
    /// 10 s to come back.
    pub fall: u32,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `tcp://`: whether a connection is taken.
    Connect,
    /// `http://` and `https://`: GET.
    Http {
        /// Path and query.
        path: String,
        /// Over TLS.
        tls: bool,
        /// `probe.status=`: from and to, of those that are well; default 200 to 299.
        status: Vec<(u16, u16)>,
        /// `probe.body=`: what has to be somewhere in the body.
        body: Option<String>,
    },
    /// `grpc://` and `grpcs://`: `grpc.health.v1.Health/Check`.
    Grpc {
        /// The service; empty for the server as a whole.
        service: String,
        /// Over TLS.
        tls: bool,
    },
}

impl Ask {
    /// Whether it goes over TLS.
    pub fn is_over_tls(&self) -> bool {
        matches!(self, Ask::Http { tls: true, .. } | Ask::Grpc { tls: true, .. })
    }
}

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq)]
pub enum Trust {
    /// Those that the server trusts, `[probe] ca`.
    Usual,
    /// Those of this file alone.
    File(Authorities),
    /// Everybody's: whoever stands in the way may say that the POP is well.
    Anyone,
}

/// A file of authorities.
#[derive(Clone, Debug, PartialEq)]
pub struct Authorities {
    /// As it was written: relative to the file it is written in.
    pub path: String,
    /// What is in it, at least one once it was read.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// `probe.status=` where it is left out.
pub const STATUS: (u16, u16) = (200, 299);
/// `probe.interval=` where it is left out.
pub const INTERVAL_SECS: f64 = 5.0;
/// `probe.timeout=` where it is left out.
pub const TIMEOUT_SECS: f64 = 2.0;
/// `probe.rise=` where it is left out.
pub const RISE: u32 = 2;
/// `probe.fall=` where it is left out.
pub const FALL: u32 = 3;

impl Probe {
    /// The URL as it may be shown to anybody: what follows `?` is often a token, and is left out.
    pub fn shown(&self) -> String {
        without_query(&self.url)
    }
}

fn without_query(url: &str) -> String {
    match url.split_once('?') {
        Some((before, _)) => format!("{before}?…"),
        None => url.to_owned(),
    }
}

//----------- Spec -----------------------------------------------------------

/// The keys as they were said.
#[derive(Debug)]
#[allow(missing_docs)] // the fields are the keys
pub struct ProbeSpec {
    pub target: Field<Target>,
    pub address: Field<IpAddr>,
    pub interval_secs: Field<f64>,
    pub timeout_secs: Field<f64>,
    pub rise: Field<u32>,
    pub fall: Field<u32>,
    pub status: Field<Vec<(u16, u16)>>,
    pub body: Field<String>,
    pub ca: Field<Authorities>,
    pub unverified: Field<()>,
}

/// A URL taken apart.
#[derive(Clone, Debug)]
pub struct Target {
    url: String,
    scheme: Scheme,
    authority: String,
    host: Host,
    port: u16,
    path: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Tcp,
    Http,
    Https,
    Grpc,
    Grpcs,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Addr(IpAddr),
    Name(String),
}

const SCHEMES: [(&str, Scheme, Option<u16>); 5] = [
    ("tcp", Scheme::Tcp, None),
    ("http", Scheme::Http, Some(80)),
    ("https", Scheme::Https, Some(443)),
    ("grpc", Scheme::Grpc, None),
    ("grpcs", Scheme::Grpcs, None),
];

/// Takes the keys out of a record.
pub fn spec(params: &mut Params<'_>) -> ProbeSpec {
    ProbeSpec {
        target: params.take("probe", target),
        address: params.take("probe.address", address),
        interval_secs: params.take("probe.interval", |v, r| {
            within(v, LEAST_INTERVAL_SECS, MOST_INTERVAL_SECS, "a duration from 1s to 1h, such as 5s", r)
        }),
        timeout_secs: params.take("probe.timeout", |v, r| {
            within(v, 0.01, MOST_TIMEOUT_SECS, "a duration from 10ms to 1m, such as 2s", r)
        }),
        rise: params.take("probe.rise", in_a_row),
        fall: params.take("probe.fall", in_a_row),
        status: params.take("probe.status", status),
        body: params.take("probe.body", body),
        ca: params.take("probe.ca", |v, _| Some(Authorities { path: v.text.clone(), certificates: Vec::new() })),
        unverified: params.flag("probe.unverified"),
    }
}

/// Reads the authorities that a record names.
pub fn read_authorities(spec: &mut ProbeSpec, includes: &mut Includes<'_>, report: &mut Report) {
    let Field::Given(said) = &mut spec.ca else { return };
    let path = join(&said.spot.file, &said.value.path);
    let read = includes(&path).and_then(|octets| {
        let found = CertificateDer::pem_slice_iter(&octets).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|e| e.to_string())?;
        let unfit = found.iter().find_map(|one| webpki::anchor_from_trusted_cert(one).err());
        match (found.is_empty(), unfit) {
            (true, _) => Err("no certificate in it".to_string()),
            (_, Some(why)) => Err(format!("a certificate in it is none of an authority: {why}")),
            _ => Ok(found),
        }
    });
    match read {
        Ok(certificates) => said.value.certificates = certificates,
        Err(why) => {
            let help = "name a file in PEM with the authorities' certificates, relative to this one";
            said.spot.error(report, format!("{path} cannot be taken for `probe.ca`: {why}"), help);
            spec.ca = Field::Refused;
        }
    }
}

//----------- Values ---------------------------------------------------------

fn target(value: &Value, report: &mut Report) -> Option<Target> {
    let read = parse_target(&value.text);
    read.map_err(|help| value.spot.error(report, format!("cannot probe \"{}\"", value.text), help)).ok()
}

/// What would do is the error.
fn parse_target(text: &str) -> Result<Target, String> {
    let like = "write a URL such as https://health.example.net/healthz, tcp://192.0.2.1:25 or grpc://192.0.2.1:50051";
    let (scheme, _) = text.split_once("://").ok_or(like)?;
    let lower = scheme.to_ascii_lowercase();
    let (_, scheme, usual) = SCHEMES
        .into_iter()
        .find(|(word, ..)| *word == lower)
        .ok_or_else(|| format!("\"{scheme}\" is none of http, https, tcp, grpc and grpcs; {like}"))?;
    if text.contains('#') {
        return Err("a fragment (`#…`) is nothing that a server is told; leave it out".into());
    }
    if text.contains(['"', '\\']) {
        return Err("write %22 for \" and %5C for \\".into());
    }
    let uri: Uri = text.parse().map_err(|e| format!("{e}; {like}"))?;
    let authority = uri.authority().ok_or(like)?;
    if authority.as_str().contains('@') {
        return Err("a URL with a user in it would stand in every log; ask a path that needs none".into());
    }
    let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
    let host = match bare.parse::<IpAddr>() {
        Ok(addr) => Host::Addr(addr),
        Err(_) if matches!(ServerName::try_from(bare), Ok(ServerName::DnsName(_))) => Host::Name(bare.to_string()),
        Err(_) => return Err(format!("\"{bare}\" is neither an address nor a host name")),
    };
    let port = match (authority.port_u16(), usual) {
        (Some(0), _) => return Err("port 0 is nobody's".into()),
        (Some(port), _) => port,
        (None, _) if authority.as_str().trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(':') => {
            return Err("a port is a number from 1 to 65535".into());
        }
        (None, Some(usual)) => usual,
        (None, None) => return Err(format!("say the port: {lower}://{authority}:50051")),
    };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str).to_string();
    let is_bare = path.is_empty() || path == "/";
    match scheme {
        Scheme::Tcp if !is_bare => return Err("tcp:// takes no path: it only connects".into()),
        Scheme::Grpc | Scheme::Grpcs if path.contains('?') || path[1..].contains('/') => {
            return Err(
                "after a gRPC server comes the name of one service, as in grpc://192.0.2.1:50051/pay.v1.Pay".into()
            );
        }
        _ => {}
    }
    Ok(Target { url: text.to_string(), scheme, authority: authority.to_string(), host, port, path })
}

fn address(value: &Value, report: &mut Report) -> Option<IpAddr> {
    let read = value.text.parse::<IpAddr>().ok().filter(|addr| !addr.is_unspecified() && !addr.is_multicast());
    if read.is_none() {
        value.refuse(report, "one address such as 198.51.100.7 or 2001:db8::7; the port stands in `probe`");
    }
    read
}

fn within(value: &Value, least: f64, most: f64, what: &str, report: &mut Report) -> Option<f64> {
    let secs = read::duration_secs(value, report)?;
    if (least..=most).contains(&secs) {
        return Some(secs);
    }
    value.refuse(report, what);
    None
}

fn in_a_row(value: &Value, report: &mut Report) -> Option<u32> {
    let read = value.text.parse::<u32>().ok().filter(|n| (1..=MOST_IN_A_ROW).contains(n));
    if read.is_none() {
        value.refuse(report, "how many in a row, from 1 to 100");
    }
    read
}

fn status(value: &Value, report: &mut Report) -> Option<Vec<(u16, u16)>> {
    let code = |text: &str| text.parse::<u16>().ok().filter(|n| (100..=599).contains(n) && text.len() == 3);
    let one = |text: &str| match text.split_once("..") {
        Some((from, to)) => code(from).zip(code(to)).filter(|(from, to)| from <= to),
        None => code(text).map(|n| (n, n)),
    };
    let read: Option<Vec<_>> = value.items().iter().map(|item| one(&item.text)).collect();
    let read = read.filter(|ranges| ranges.len() <= MOST_STATUS);
    if read.is_none() {
        value.refuse(report, "status codes and ranges of them, such as 200 or 200..299,404");
    }
    read
}

fn body(value: &Value, report: &mut Report) -> Option<String> {
    let plain = |c: char| !c.is_control() && c != '\\' && c != '"';
    if value.text.chars().count() <= MOST_BODY && value.text.chars().all(plain) {
        return Some(value.text.clone());
    }
    value
        .refuse(report, "up to 200 characters that the body holds, without \" and \\, such as probe.body=\"all well\"");
    None
}

//----------- Spec → Probe ---------------------------------------------------

/// What the keys of a POP mean together; `None` where it is not probed.
pub fn check(spec: ProbeSpec, report: &mut Report) -> Option<Probe> {
    let ProbeSpec { target, address, interval_secs, timeout_secs, rise, fall, status, body, ca, unverified } = spec;
    let Field::Given(said) = target else {
        if target.is_absent() {
            let spots = [
                ("probe.address", spot(&address)),
                ("probe.interval", spot(&interval_secs)),
                ("probe.timeout", spot(&timeout_secs)),
                ("probe.rise", spot(&rise)),
                ("probe.fall", spot(&fall)),
                ("probe.status", spot(&status)),
                ("probe.body", spot(&body)),
                ("probe.ca", spot(&ca)),
                ("probe.unverified", spot(&unverified)),
            ];
            if let Some((key, spot)) = spots.into_iter().find_map(|(key, spot)| Some((key, spot?))) {
                let help = "say what to ask, too: probe=https://health.example.net/healthz";
                spot.error(report, format!("`{key}` without `probe`"), help);
            }
        }
        return None;
    };
    let (Target { url, scheme, authority, host, port, path }, url_spot) = (said.value, said.spot);
    for (key, spot) in [("probe.status", spot(&status)), ("probe.body", spot(&body))] {
        if let (Some(spot), false) = (spot, matches!(scheme, Scheme::Http | Scheme::Https)) {
            spot.error(report, format!("`{key}` is of HTTP"), "leave it out, or probe http:// or https://");
        }
    }
    let is_over_tls = matches!(scheme, Scheme::Https | Scheme::Grpcs);
    for (key, spot) in [("probe.ca", spot(&ca)), ("probe.unverified", spot(&unverified))] {
        if let (Some(spot), false) = (spot, is_over_tls) {
            spot.error(report, format!("`{key}` without TLS"), "leave it out, or probe https:// or grpcs://");
        }
    }
    if let (Some(spot), false) = (spot(&unverified), ca.is_absent()) {
        spot.error(report, "`probe.unverified` beside `probe.ca`", "leave one of the two out: verify, or do not");
    }
    let addr = match (&host, &address) {
        (Host::Addr(addr), Field::Absent) => *addr,
        (Host::Addr(addr), Field::Given(said)) => {
            let help = "leave it out, or put the host's name into the URL";
            said.spot.error(report, format!("`probe` goes to {addr} already"), help);
            *addr
        }
        (Host::Name(name), Field::Absent) => {
            let help = format!("say where {name} is asked: probe.address=198.51.100.7; names are not looked up");
            url_spot.error(report, "a name in `probe` without `probe.address`", help);
            return None;
        }
        (_, Field::Given(said)) => said.value,
        (_, Field::Refused) => return None,
    };
    let interval = interval_secs.given().map_or(INTERVAL_SECS, |said| said.value);
    let timeout = timeout_secs.given().map_or(TIMEOUT_SECS.min(0.8 * interval), |said| said.value);
    if timeout > interval {
        let spot = spot(&timeout_secs).or(spot(&interval_secs)).unwrap_or(&url_spot);
        let help = "a probe is over before the next one begins; shorten the one or lengthen the other";
        spot.error(report, "`probe.timeout` is longer than `probe.interval`", help);
    }
    let trust = match (ca, unverified.given()) {
        (Field::Given(said), _) => Trust::File(said.value),
        (_, Some(_)) => Trust::Anyone,
        _ => Trust::Usual,
    };
    let ask = match scheme {
        Scheme::Tcp => Ask::Connect,
        Scheme::Http | Scheme::Https => {
            Ask::Http { path, tls: is_over_tls, status: status.or(vec![STATUS]), body: body.into_value() }
        }
        Scheme::Grpc | Scheme::Grpcs => Ask::Grpc { service: path[1..].to_string(), tls: is_over_tls },
    };
    let host = match host {
        Host::Addr(addr) => addr.to_string(),
        Host::Name(name) => name,
    };
    Some(Probe {
        url,
        ask,
        authority,
        host,
        to: SocketAddr::new(addr, port),
        trust,
        interval_secs: interval,
        timeout_secs: timeout,
        rise: rise.or(RISE),
        fall: fall.or(FALL),
    })
}

fn spot<T>(field: &Field<T>) -> Option<&Spot> {
    field.given().map(|said| &said.spot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_token_is_not_shown() {
        assert_eq!(without_query("https://a.example/healthz?token=s3cret"), "https://a.example/healthz?…");
        assert_eq!(without_query("tcp://192.0.2.1:25"), "tcp://192.0.2.1:25");
    }

    #[test]
    fn urls_are_taken_apart() {
        let check = |text: &str, expected: Option<(&str, u16, &str)>| match (parse_target(text), expected) {
            (Ok(t), Some((host, port, path))) => {
                let found = match &t.host {
                    Host::Addr(addr) => addr.to_string(),
                    Host::Name(name) => name.clone(),
                };
                assert_eq!((found.as_str(), t.port, t.path.as_str()), (host, port, path), "{text}");
            }
            (Err(_), None) => {}
            (found, _) => panic!("{text}: {found:?}"),
        };
        check("http://192.0.2.1/", Some(("192.0.2.1", 80, "/")));
        check("HTTPS://health.example.net", Some(("health.example.net", 443, "/")));
        check("https://[2001:db8::1]:8443/a?b=c", Some(("2001:db8::1", 8443, "/a?b=c")));
        check("tcp://192.0.2.1:25", Some(("192.0.2.1", 25, "/")));
        check("grpc://192.0.2.1:50051/pay.v1.Pay", Some(("192.0.2.1", 50051, "/pay.v1.Pay")));
        check("grpcs://pay.example.net:443", Some(("pay.example.net", 443, "/")));
        for text in [
            "",
            "https://",
            "192.0.2.1:80",
            "ftp://192.0.2.1/",
            "tcp://192.0.2.1",
            "tcp://192.0.2.1:25/path",
            "grpc://192.0.2.1:1/a/b",
            "http://192.0.2.1:0/",
            "http://192.0.2.1:65536/",
            "http://user@192.0.2.1/",
            "http://192.0.2.1/#part",
            "http://a b/",
            "http://-/",
            "https://exa_mple..net/",
        ] {
            check(text, None);
        }
    }
}
