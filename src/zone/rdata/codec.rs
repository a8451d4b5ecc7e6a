//! Octets as digits, and moments as dates: the encodings that RDATA text uses.
//!
//! Digits may be spread over tokens, so decoders are fed character by character and say which one they refuse.

use std::fmt::Write;

//----------- Digits ---------------------------------------------------------

/// Gathers bits of digits into octets.
#[derive(Default)]
pub struct Bits {
    held: u32,
    n_held: u32,
}

impl Bits {
    /// Takes in one digit of `width` bits.
    pub fn push(&mut self, digit: u8, width: u32, out: &mut Vec<u8>) {
        self.held = self.held << width | u32::from(digit);
        self.n_held += width;
        if self.n_held >= 8 {
            self.n_held -= 8;
            out.push((self.held >> self.n_held) as u8);
            self.held &= (1 << self.n_held) - 1;
        }
    }

    /// Whether what is left over is fewer bits than one digit has, and all of them zero.
    pub fn is_done(&self, width: u32) -> bool {
        self.n_held < width && self.held == 0
    }
}

/// The value of a hexadecimal digit.
pub fn hex_digit(b: u8) -> Option<u8> {
    (b as char).to_digit(16).map(|d| d as u8)
}

/// The value of a base 64 digit (RFC 4648 section 4).
pub fn base64_digit(b: u8) -> Option<u8> {
    Some(match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

/// The value of a digit of base 32 with extended hex alphabet (RFC 4648 section 7).
pub fn base32_digit(b: u8) -> Option<u8> {
    Some(match b.to_ascii_uppercase() {
        b @ b'0'..=b'9' => b - b'0',
        b @ b'A'..=b'V' => b - b'A' + 10,
        _ => return None,
    })
}

/// Octets as upper-case hexadecimal digits.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02X}");
        text
    })
}

/// Octets as base 64 with padding.
pub fn base64(octets: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = digits(octets, 6, DIGITS);
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// Writes octets as lower-case base 32 with extended hex alphabet into `out`, which has room for their digits: five bits
/// each, and no more octets than make whole digits.
pub fn put_base32(octets: &[u8; 20], out: &mut [u8]) {
    let (mut held, mut n_held, mut octets) = (0u32, 0, octets.iter());
    for digit in out {
        if n_held < 5 {
            held = held << 8 | u32::from(*octets.next().unwrap_or(&0));
            n_held += 8;
        }
        n_held -= 5;
        *digit = b"0123456789abcdefghijklmnopqrstuv"[(held >> n_held & 31) as usize];
        held &= (1 << n_held) - 1;
    }
}

/// Octets as base 32 with extended hex alphabet, without padding (RFC 5155 section 3.3).
pub fn base32(octets: &[u8]) -> String {
    digits(octets, 5, b"0123456789ABCDEFGHIJKLMNOPQRSTUV")
}

fn digits(octets: &[u8], width: u32, alphabet: &[u8]) -> String {
    let (mut text, mut held, mut n_held) = (String::new(), 0u32, 0);
    let mask = (1 << width) - 1;
    for b in octets {
        held = held << 8 | u32::from(*b);
        n_held += 8;
        while n_held >= width {
            n_held -= width;
            text.push(alphabet[(held >> n_held & mask) as usize] as char);
        }
        held &= (1 << n_held) - 1;
    }
    if n_held > 0 {
        text.push(alphabet[(held << (width - n_held) & mask) as usize] as char);
    }
    text
}

//----------- Moments --------------------------------------------------------

/// Seconds since 1970, modulo 2^32, out of `YYYYMMDDHHmmSS` or a plain number (RFC 4034 section 3.2).
pub fn parse_moment(text: &str) -> Option<u32> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    if text.len() != 14 {
        return text.parse().ok();
    }
    let part = |from: usize, len: usize| text[from..from + len].parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 2)?, part(6, 2)?);
    let (hour, minute, second) = (part(8, 2)?, part(10, 2)?, part(12, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if year < 1970 || day < 1 || day > days || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let secs = days_of(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // The field wraps every 136 years and is compared by serial arithmetic.
    Some(secs as u32)
}

/// A moment as `YYYYMMDDHHmmSS`, taken to lie before 2106.
pub fn print_moment(secs: u32) -> String {
    let (days, rest) = (i64::from(secs) / 86_400, secs % 86_400);
    // Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days.
    let z = days + 719_468;
    let era = z / 146_097;
    let doe = z % 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    let year = yoe + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{day:02}{:02}{:02}{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

/// Days from 1970-01-01 (same source, days_from_civil; years from 1970).
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
}

/// The octets of a hash's label (RFC 5155 section 3.3); `None` if it is none, or not in lower case.
pub fn unbase32(label: &[u8]) -> Option<[u8; 20]> {
    let (mut out, mut held, mut n_held, mut at) = ([0; 20], 0u32, 0, 0);
    if label.len() != 32 {
        return None;
    }
    for octet in label {
        let digit = match octet {
            b'0'..=b'9' => octet - b'0',
            b'a'..=b'v' => octet - b'a' + 10,
            _ => return None,
        };
        held = (held << 5 | u32::from(digit)) & 0xfff;
        n_held += 5;
        if n_held >= 8 {
            n_held -= 8;
            out[at] = (held >> n_held) as u8;
            at += 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_print_as_rfc_4648_says() {
        // RFC 4648 section 10.
        for (octets, b64, b32) in [
            ("", "", ""),
            ("f", "Zg==", "CO"),
            ("fo", "Zm8=", "CPNG"),
            ("foo", "Zm9v", "CPNMU"),
            ("foob", "Zm9vYg==", "CPNMUOG"),
            ("fooba", "Zm9vYmE=", "CPNMUOJ1"),
            ("foobar", "Zm9vYmFy", "CPNMUOJ1E8"),
        ] {
            assert_eq!(base64(octets.as_bytes()), b64);
            assert_eq!(base32(octets.as_bytes()), b32);
        }
    }

    #[test]
    fn moments_are_dates() {
        let check = |text: &str, secs: Option<u32>| assert_eq!(parse_moment(text), secs, "{text}");
        check("20260101000000", Some(1_767_225_600));
        check("20240229235959", Some(1_709_251_199));
        check("19700101000000", Some(0));
        check("1767225600", Some(1_767_225_600));
        check("20230229000000", None);
        check("20231301000000", None);
        check("2026010100000", None);
        check("x", None);
        for secs in [0, 951_782_400, 1_709_251_199, 1_767_225_600, u32::MAX] {
            assert_eq!(parse_moment(&print_moment(secs)), Some(secs));
        }
    }
}
