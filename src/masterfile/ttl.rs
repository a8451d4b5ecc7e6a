//! Times to live as people write them.

/// Seconds out of `300`, `1h`, `1h30m`, `2w3d` (units w, d, h, m, s in either case, as BIND reads them).
///
/// `None` for anything else, and for more than 2^32 − 1 seconds. Whether the value may be a TTL
/// (RFC 2181 section 8: below 2^31) is for the caller to ask.
pub fn parse_ttl(text: &str) -> Option<u32> {
    let (mut total, mut number, mut digits) = (0u32, 0u32, 0);
    for b in text.bytes() {
        if b.is_ascii_digit() {
            number = number.checked_mul(10)?.checked_add(u32::from(b - b'0'))?;
            digits += 1;
            continue;
        }
        let unit = match b.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        if digits == 0 {
            return None;
        }
        total = total.checked_add(number.checked_mul(unit)?)?;
        (number, digits) = (0, 0);
    }
    // A number without unit counts seconds; it ends the text and may follow units.
    match (digits, text.is_empty()) {
        (_, true) => None,
        (0, _) => Some(total),
        _ => total.checked_add(number),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_add_up() {
        let check = |text: &str, secs: Option<u32>| assert_eq!(parse_ttl(text), secs, "{text:?}");
        check("300", Some(300));
        check("1h30m", Some(5400));
        check("1H30M", Some(5400));
        check("2w3d", Some(1_468_800));
        check("1h30", Some(3630));
        check("0", Some(0));
        check("4294967295", Some(u32::MAX));
        check("4294967296", None);
        check("8000w", None);
        check("", None);
        check("h", None);
        check("1x", None);
        check("-1", None);
        check("1.5h", None);
    }
}
