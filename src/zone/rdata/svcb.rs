//! Service parameters of SVCB and HTTPS (RFC 9460).
//!
//! In text a parameter is `key` or `key=value`; on the wire key, length and value, in the order of keys.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::masterfile::{Diagnostic, Token, suggest};
use crate::zone::rdata::codec::{self, Bits};
use crate::zone::rdata::print::{number, quote, take};
use crate::zone::rdata::scan::Reader;

/// What a parameter's value is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Keys,
    Alpns,
    Nothing,
    Port,
    Ipv4s,
    Ipv6s,
    Base64,
    Text,
}

/// The registered keys (IANA SvcParamKeys; RFC 9460 section 14.3.2, RFC 9461, RFC 9540).
const KEYS: &[(u16, &str, Kind)] = &[
    (0, "mandatory", Kind::Keys),
    (1, "alpn", Kind::Alpns),
    (2, "no-default-alpn", Kind::Nothing),
    (3, "port", Kind::Port),
    (4, "ipv4hint", Kind::Ipv4s),
    (5, "ech", Kind::Base64),
    (6, "ipv6hint", Kind::Ipv6s),
    (7, "dohpath", Kind::Text),
    (8, "ohttp", Kind::Nothing),
];

/// The key that is kept invalid (RFC 9460 section 14.3.2).
const INVALID_KEY: u16 = 65535;

//----------- Wire -----------------------------------------------------------

/// The target of a service that hands out addresses of it along with it, as `ipv4hint` or `ipv6hint` (RFC 9460
/// section 7.3); `.` is the owner. Of an alias, whose parameters mean nothing, there is none.
pub fn hinted_target(rdata: &[u8]) -> Option<&[u8]> {
    let (priority, rest) = rdata.split_first_chunk::<2>()?;
    let mut end = 0;
    while *rest.get(end)? != 0 {
        end += 1 + usize::from(rest[end]);
    }
    let (target, mut params) = rest.split_at(end + 1);
    while let Some((&[k0, k1, l0, l1], value)) = params.split_first_chunk::<4>() {
        if matches!(u16::from_be_bytes([k0, k1]), 4 | 6) {
            return (*priority != [0, 0]).then_some(target);
        }
        params = value.get(usize::from(u16::from_be_bytes([l0, l1]))..)?;
    }
    None
}

//----------- Text to wire ---------------------------------------------------

struct Param<'a> {
    key: u16,
    token: Token<'a>,
    value: Vec<u8>,
}

/// Reads the parameters to the end of the entry. Priority and target are already written.
pub fn scan(reader: &mut Reader<'_, '_>) -> Result<(), Diagnostic> {
    let mut params: Vec<Param<'_>> = Vec::new();
    while let Some(token) = reader.entry.token(reader.next) {
        reader.next += 1;
        let (key_token, value) = token.key_value();
        let key = parse_key(reader, key_token)?;
        if params.iter().any(|p| p.key == key) {
            return Err(reader
                .entry
                .error(key_token.span, format!("the parameter {} stands here twice", key_text(key))));
        }
        let value = scan_value(reader, key, key_token, value)?;
        params.push(Param { key, token: key_token, value });
    }
    check(reader, &params)?;
    params.sort_unstable_by_key(|p| p.key);
    for param in params {
        reader.out.extend(param.key.to_be_bytes());
        reader.out.extend((param.value.len() as u16).to_be_bytes());
        reader.out.extend(param.value);
    }
    Ok(())
}

/// What parameters must be to one another (RFC 9460 sections 2.4.2, 7.1.1 and 8).
fn check(reader: &mut Reader<'_, '_>, params: &[Param<'_>]) -> Result<(), Diagnostic> {
    let has = |key: u16| params.iter().any(|p| p.key == key);
    let is_alias = reader.out.starts_with(&[0, 0]);
    if let (true, Some(first)) = (is_alias, params.first()) {
        let message = "with priority 0 this is an alias, whose parameters clients ignore";
        let problem = reader.entry.warning(first.token.span, message);
        reader.report.push(problem.help("give a priority of 1 or more to a record with parameters"));
    }
    for param in params {
        match param.key {
            2 if !has(1) => {
                let message = "no-default-alpn needs an alpn beside it";
                return Err(reader.entry.error(param.token.span, message));
            }
            0 => {
                let listed: Vec<u16> = param.value.chunks_exact(2).map(|k| u16::from_be_bytes([k[0], k[1]])).collect();
                if let Some(key) = listed.iter().find(|key| !has(**key)) {
                    let message = format!("mandatory names {}, which is not here", key_text(*key));
                    return Err(reader.entry.error(param.token.span, message));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn parse_key(reader: &Reader<'_, '_>, token: Token<'_>) -> Result<u16, Diagnostic> {
    if let Some(key) = key_of(token.text) {
        return Ok(key);
    }
    let error = reader.entry.error(token.span, format!("unknown service parameter \"{}\"", token.text));
    Err(match suggest(token.text, KEYS.iter().map(|k| k.1)) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("a parameter without a name of its own is written keyNNNNN=value"),
    })
}

fn key_of(text: &str) -> Option<u16> {
    if let Some((key, _, _)) = KEYS.iter().find(|(_, name, _)| *name == text) {
        return Some(*key);
    }
    let digits = text.strip_prefix("key")?;
    let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits.len() == 1 || !digits.starts_with('0'));
    if plain { digits.parse().ok().filter(|key| *key != INVALID_KEY) } else { None }
}

fn key_text(key: u16) -> String {
    KEYS.iter().find(|k| k.0 == key).map_or_else(|| format!("key{key}"), |k| k.1.into())
}

fn scan_value(
    reader: &Reader<'_, '_>,
    key: u16,
    key_token: Token<'_>,
    value: Option<Token<'_>>,
) -> Result<Vec<u8>, Diagnostic> {
    // `keyNNNNN` takes octets as they are, even for a key that has a name (RFC 9460 section 2.1).
    let named = KEYS.iter().find(|k| k.0 == key && k.1 == key_token.text).map(|k| k.2);
    if named == Some(Kind::Nothing) {
        return match value {
            None => Ok(Vec::new()),
            Some(value) => Err(reader.entry.error(value.span, format!("{} takes no value", key_token.text))),
        };
    }
    let value = match value.filter(|v| !v.text.is_empty()) {
        Some(value) => value,
        None if named.is_none() => return Ok(Vec::new()),
        None => return Err(reader.entry.error(key_token.span, format!("{} needs a value", key_token.text))),
    };
    let what = key_token.text;
    let mut out = Vec::new();
    let not = |token: Token<'_>, but: &str| reader.not_a(token, what, but);
    match named {
        None | Some(Kind::Text) => out.extend_from_slice(&reader.octets(value)?),
        Some(Kind::Port) => {
            let port = value.text.parse::<u16>().ok().filter(|_| value.text.bytes().all(|b| b.is_ascii_digit()));
            out.extend(port.ok_or_else(|| not(value, "expected a number from 0 to 65535"))?.to_be_bytes());
        }
        Some(Kind::Ipv4s) => {
            for item in value.split(',') {
                let address: Ipv4Addr =
                    item.text.parse().map_err(|_| not(item, "expected IPv4 addresses with commas"))?;
                out.extend(address.octets());
            }
        }
        Some(Kind::Ipv6s) => {
            for item in value.split(',') {
                let address: Ipv6Addr =
                    item.text.parse().map_err(|_| not(item, "expected IPv6 addresses with commas"))?;
                out.extend(address.octets());
            }
        }
        Some(Kind::Keys) => {
            let mut keys = Vec::new();
            for item in value.split(',') {
                keys.push(parse_key(reader, item)?);
                if keys.last() == Some(&0) {
                    return Err(not(item, "mandatory does not list itself"));
                }
            }
            keys.sort_unstable();
            if keys.windows(2).any(|w| w[0] == w[1]) {
                return Err(not(value, "a key stands in it twice"));
            }
            out.extend(keys.iter().flat_map(|k| k.to_be_bytes()));
        }
        Some(Kind::Alpns) => {
            for id in split_list(&reader.octets(value)?) {
                if id.is_empty() || id.len() > 255 {
                    return Err(not(value, "expected protocol ids of 1 to 255 octets with commas, such as h2,h3"));
                }
                out.push(id.len() as u8);
                out.extend(id);
            }
        }
        Some(Kind::Base64) => {
            let mut bits = Bits::default();
            for b in value.text.trim_end_matches('=').bytes() {
                let digit = codec::base64_digit(b).ok_or_else(|| not(value, "expected base 64"))?;
                bits.push(digit, 6, &mut out);
            }
            if !bits.is_done(6) || !value.text.len().is_multiple_of(4) || value.text.ends_with("===") {
                return Err(not(value, "expected base 64, padded to groups of four"));
            }
        }
        Some(Kind::Nothing) => {}
    }
    if out.len() > usize::from(u16::MAX) {
        return Err(not(value, "longer than 65535 octets"));
    }
    Ok(out)
}

/// Splits octets at commas; a backslash keeps the next octet from meaning anything (RFC 9460 appendix A.1).
fn split_list(octets: &[u8]) -> Vec<Vec<u8>> {
    let (mut items, mut item, mut octets) = (Vec::new(), Vec::new(), octets.iter());
    while let Some(&b) = octets.next() {
        match b {
            b',' => items.push(std::mem::take(&mut item)),
            b'\\' => item.extend(octets.next()),
            b => item.push(b),
        }
    }
    items.push(item);
    items
}

//----------- Wire to text ---------------------------------------------------

/// Prints the parameters that fill `rest`; `None` if [`scan`] would not read them back: they are not in order, a value
/// has not its key's form, or they contradict each other.
pub fn print(rest: &mut &[u8], text: &mut String) -> Option<()> {
    let (mut keys, mut mandatory): (Vec<u16>, &[u8]) = (Vec::new(), &[]);
    while !rest.is_empty() {
        let (key, len) = (number(rest, 2)? as u16, number(rest, 2)? as usize);
        let value = take(rest, len)?;
        if keys.last().is_some_and(|last| key <= *last) || key == INVALID_KEY {
            return None;
        }
        keys.push(key);
        let row = KEYS.iter().find(|k| k.0 == key);
        let kind = row.map_or(Kind::Text, |k| k.2);
        text.push_str(&key_text(key));
        match (kind, value, row) {
            (Kind::Nothing, [], _) | (Kind::Text, [], None) => {}
            (_, [], _) | (Kind::Nothing, _, _) => return None,
            _ => {
                text.push('=');
                print_value(kind, value, text)?;
            }
        }
        text.push(' ');
        if kind == Kind::Keys {
            mandatory = value;
        }
    }
    let listed: Vec<u16> = mandatory.chunks_exact(2).map(|k| u16::from_be_bytes([k[0], k[1]])).collect();
    let sound = listed.windows(2).all(|w| w[0] < w[1]) && listed.iter().all(|k| *k != 0 && keys.contains(k));
    (sound && (!keys.contains(&2) || keys.contains(&1))).then_some(())
}

fn print_value(kind: Kind, value: &[u8], text: &mut String) -> Option<()> {
    let list = |len: usize, show: &dyn Fn(&[u8]) -> Option<String>| -> Option<String> {
        let whole = value.len().is_multiple_of(len);
        whole.then(|| value.chunks(len).map(show).collect::<Option<Vec<_>>>()).flatten().map(|items| items.join(","))
    };
    match kind {
        Kind::Nothing => {}
        Kind::Text => quote(value, text),
        Kind::Port => {
            let port: [u8; 2] = value.try_into().ok()?;
            let _ = write!(text, "{}", u16::from_be_bytes(port));
        }
        Kind::Keys => text.push_str(&list(2, &|k| Some(key_text(u16::from_be_bytes([k[0], k[1]]))))?),
        Kind::Ipv4s => text.push_str(&list(4, &|a| Some(Ipv4Addr::from(<[u8; 4]>::try_from(a).ok()?).to_string()))?),
        Kind::Ipv6s => text.push_str(&list(16, &|a| Some(Ipv6Addr::from(<[u8; 16]>::try_from(a).ok()?).to_string()))?),
        Kind::Base64 => text.push_str(&codec::base64(value)),
        Kind::Alpns => {
            let (mut rest, mut joined) = (value, Vec::new());
            while !rest.is_empty() {
                let len = number(&mut rest, 1)? as usize;
                let id = take(&mut rest, len).filter(|id| !id.is_empty())?;
                if !joined.is_empty() {
                    joined.push(b',');
                }
                for &b in id {
                    if matches!(b, b',' | b'\\') {
                        joined.push(b'\\');
                    }
                    joined.push(b);
                }
            }
            quote(&joined, text);
        }
    }
    Some(())
}

/// RDATA of SVCB or HTTPS with these addresses in place of the hints that it has: `v4` and `v6` one address behind the other. A
/// family without addresses has no hint, and is not among the mandatory keys (RFC 9460 section 8).
pub fn with_hints(rdata: &[u8], v4: &[u8], v6: &[u8]) -> Vec<u8> {
    let (head, rest) = rdata.split_at(params_at(rdata));
    let mut out = head.to_vec();
    let mut put = |key: u16, value: &[u8]| {
        // `no-default-alpn` and the like have no value.
        if !value.is_empty() || !matches!(key, 0 | 4 | 6) {
            out.extend(key.to_be_bytes());
            out.extend((value.len() as u16).to_be_bytes());
            out.extend(value);
        }
    };
    for (key, param) in params(rest) {
        let value = &param[4..];
        match key {
            0 => {
                let stays = |key: &&[u8]| !(**key == [0, 4] && v4.is_empty() || **key == [0, 6] && v6.is_empty());
                put(0, &value.chunks_exact(2).filter(stays).collect::<Vec<_>>().concat());
            }
            4 => put(4, v4),
            6 => put(6, v6),
            key => put(key, value),
        }
    }
    out
}

/// Where the parameters begin: after priority and target. `rdata`: in its type's form.
pub(crate) fn params_at(rdata: &[u8]) -> usize {
    let mut at = 2;
    while rdata.get(at).is_some_and(|len| *len != 0) {
        at += 1 + usize::from(rdata[at]);
    }
    (at + 1).min(rdata.len())
}

/// Each parameter, its key and all of its octets.
pub(crate) fn params(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let (&[k0, k1, l0, l1], _) = rest.split_first_chunk::<4>()?;
        let (param, after) = rest.split_at_checked(4 + usize::from(u16::from_be_bytes([l0, l1])))?;
        rest = after;
        Some((u16::from_be_bytes([k0, k1]), param))
    })
}
