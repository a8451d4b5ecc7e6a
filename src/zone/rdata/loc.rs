//! LOC: a place on Earth (RFC 1876).
//!
//! `d1 [m1 [s1]] {N|S} d2 [m2 [s2]] {E|W} alt[m] [size[m] [horizontal[m] [vertical[m]]]]`

use std::fmt::Write;

use crate::masterfile::{Diagnostic, Token};
use crate::zone::rdata::print::{number, take};
use crate::zone::rdata::scan::Reader;

const USAGE: &str = "written: LOC degrees [minutes [seconds]] N or S, the same E or W, altitude in metres, \
                     then optionally size and precisions, such as 52 22 23 N 4 53 32 E -2m";

/// The equator and the prime meridian in thousandths of an arc second.
const MIDDLE: i64 = 1 << 31;
/// Altitude 0 in centimetres above the base (RFC 1876 section 2).
const SEA_LEVEL: i64 = 10_000_000;

/// Reads the whole RDATA.
pub fn scan(reader: &mut Reader<'_, '_>) -> Result<(), Diagnostic> {
    let latitude = angle(reader, "latitude", 90, ["N", "S"])?;
    let longitude = angle(reader, "longitude", 180, ["E", "W"])?;
    let Some(token) = take_token(reader) else { return Err(missing(reader, "altitude")) };
    let altitude = centimetres(token.text)
        .and_then(|cm| u32::try_from(cm + SEA_LEVEL).ok())
        .ok_or_else(|| reader.not_a(token, "altitude", "expected metres from -100000.00 to 42849672.95"))?;
    // Size 1 m, horizontal precision 10 km, vertical precision 10 m (RFC 1876 section 3).
    let mut sizes = [0x12, 0x16, 0x13];
    for (size, what) in sizes.iter_mut().zip(["size", "horizontal precision", "vertical precision"]) {
        let Some(token) = take_token(reader) else { break };
        *size = centimetres(token.text)
            .and_then(|cm| pack(u64::try_from(cm).ok()?))
            .ok_or_else(|| reader.not_a(token, what, "expected metres from 0 to 90000000.00"))?;
    }
    reader.out.push(0);
    reader.out.extend(sizes);
    reader.out.extend((latitude as u32).to_be_bytes());
    reader.out.extend((longitude as u32).to_be_bytes());
    reader.out.extend(altitude.to_be_bytes());
    Ok(())
}

fn take_token<'a>(reader: &mut Reader<'_, 'a>) -> Option<Token<'a>> {
    let token = reader.entry.token(reader.next)?;
    reader.next += 1;
    Some(token)
}

fn missing(reader: &Reader<'_, '_>, what: &str) -> Diagnostic {
    reader.entry.error(reader.entry.end(), format!("the {what} is missing")).help(USAGE)
}

/// Degrees, minutes, seconds and hemisphere as thousandths of an arc second from the far corner.
fn angle(reader: &mut Reader<'_, '_>, what: &str, most: i64, hemispheres: [&str; 2]) -> Result<i64, Diagnostic> {
    let (mut total, mut unit) = (0i64, 3_600_000i64);
    loop {
        let Some(token) = take_token(reader) else { return Err(missing(reader, what)) };
        if let Some(i) = hemispheres.iter().position(|h| h.eq_ignore_ascii_case(token.text)) {
            if unit == 3_600_000 {
                return Err(reader.not_a(token, what, "expected degrees before it").help(USAGE));
            }
            return Ok(if i == 0 { MIDDLE + total } else { MIDDLE - total });
        }
        let part = match unit {
            3_600_000 | 60_000 => whole(token.text).map(|n| n * unit),
            1000 => thousandths(token.text),
            _ => None,
        };
        let limit = if unit == 3_600_000 { most * unit } else { unit * 60 - 1 };
        let part = part.filter(|p| *p <= limit && total + p <= most * 3_600_000).ok_or_else(|| {
            let [a, b] = hemispheres;
            reader
                .not_a(token, what, &format!("expected up to {most} degrees, minutes, seconds, then {a} or {b}"))
                .help(USAGE)
        })?;
        total += part;
        unit /= 60;
    }
}

fn whole(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten().filter(|n| *n <= 180)
}

/// A decimal number with up to `places` places, times 10^`places`.
fn decimal(text: &str, places: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > places || whole.len() > 9 {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse().ok()
}

fn thousandths(text: &str) -> Option<i64> {
    decimal(text, 3)
}

fn centimetres(text: &str) -> Option<i64> {
    let text = text.strip_suffix(['m', 'M']).unwrap_or(text);
    match text.strip_prefix('-') {
        Some(text) => decimal(text, 2).map(|cm| -cm),
        None => decimal(text, 2),
    }
}

/// A length in centimetres as a digit and a power of ten (RFC 1876 section 2), rounded down.
fn pack(cm: u64) -> Option<u8> {
    let (mut digit, mut power) = (cm, 0u8);
    while digit > 9 {
        digit /= 10;
        power += 1;
    }
    (power <= 9).then_some((digit as u8) << 4 | power)
}

/// Prints 16 octets of RDATA; `None` if they are of another version or out of range.
pub fn print(mut rdata: &[u8], text: &mut String) -> Option<()> {
    if number(&mut rdata, 1)? != 0 {
        return None;
    }
    let sizes = take(&mut rdata, 3)?;
    let mut angle = |most: i64, hemispheres: [&'static str; 2]| {
        let from_middle = i64::from(number(&mut rdata, 4)?) - MIDDLE;
        let n = from_middle.abs();
        if n > most * 3_600_000 {
            return None;
        }
        let hemisphere = hemispheres[usize::from(from_middle < 0)];
        Some(format!("{} {} {}.{:03} {hemisphere}", n / 3_600_000, n / 60_000 % 60, n / 1000 % 60, n % 1000))
    };
    let (latitude, longitude) = (angle(90, ["N", "S"])?, angle(180, ["E", "W"])?);
    let altitude = i64::from(number(&mut rdata, 4)?) - SEA_LEVEL;
    let sign = if altitude < 0 { "-" } else { "" };
    let _ = write!(text, "{latitude} {longitude} {sign}{}.{:02}m", altitude.abs() / 100, altitude.abs() % 100);
    for size in sizes {
        let (digit, power) = (u64::from(size >> 4), u32::from(size & 15));
        // One value has one form: 0 has power 0, and digits beyond 9 are no digits.
        if digit > 9 || power > 9 || (digit == 0 && power > 0) {
            return None;
        }
        let cm = digit * 10u64.pow(power);
        let _ = write!(text, " {}.{:02}m", cm / 100, cm % 100);
    }
    Some(())
}
