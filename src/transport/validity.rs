//! Until when a certificate holds: the one field of X.509 that no crate at hand gives (RFC 5280 section 4.1).
//!
//! ```text
//!   Certificate ::= SEQUENCE { TBSCertificate ::= SEQUENCE {
//!     [0] version OPTIONAL, serialNumber INTEGER, signature SEQUENCE, issuer SEQUENCE,
//!     validity SEQUENCE { notBefore Time, notAfter Time }, … } … }
//! ```
//!
//! Reads as far as that and no further; everything else about the certificate is for those who verify it.

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, constructed: the version.
const VERSION: u8 = 0xa0;

/// The `notAfter` of a certificate in DER, in seconds since 1970; `None` if it is not a certificate.
pub fn not_after(certificate: &[u8]) -> Option<i64> {
    let (mut tbs, _) = element(element(certificate, SEQUENCE)?.0, SEQUENCE)?;
    if let Some((_, rest)) = element(tbs, VERSION) {
        tbs = rest;
    }
    let (_serial, rest) = element(tbs, INTEGER)?;
    let (_signature, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, rest) = time(validity)?;
    Some(time(rest)?.0)
}

/// The content of the element at the head of `der`, which must have this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (len, rest) = rest.split_first()?;
    match *len {
        short @ 0..=0x7f => rest.split_at_checked(short.into()),
        // X.690 section 8.1.3.5: the number of octets that hold the length; certificates are shorter than 16 MB.
        long @ 0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            rest.split_at_checked(octets.iter().fold(0, |len, octet| len << 8 | usize::from(*octet)))
        }
        _ => None,
    }
}

/// RFC 5280 section 4.1.2.5: `YYMMDDHHMMSSZ` until 2049, `YYYYMMDDHHMMSSZ` from 2050 on.
fn time(der: &[u8]) -> Option<(i64, &[u8])> {
    let (year_digits, (text, rest)) = match *der.first()? {
        UTC_TIME => (2, element(der, UTC_TIME)?),
        GENERALIZED_TIME => (4, element(der, GENERALIZED_TIME)?),
        _ => return None,
    };
    let number = |at: usize, n: usize| {
        let digits = text.get(at..at + n)?;
        digits.iter().try_fold(0_i64, |n, d| d.is_ascii_digit().then(|| n * 10 + i64::from(d - b'0')))
    };
    let year = match (year_digits, number(0, year_digits)?) {
        (2, year @ 50..) => 1900 + year,
        (2, year) => 2000 + year,
        (_, year) => year,
    };
    let field = |nth: usize| number(year_digits + 2 * nth, 2);
    let (month, day) = (field(0)?, field(1)?);
    let seconds = field(2)? * 3600 + field(3)? * 60 + field(4)?;
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    (is_date && text.len() == year_digits + 11 && text.ends_with(b"Z"))
        .then(|| (days_since_1970(year, month, day) * 86_400 + seconds, rest))
}

/// Days of the proleptic Gregorian calendar, by counting years from March on, so that the leap day is a year's last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: u8, text: &str, expected: Option<i64>) {
        let der = [&[tag, text.len() as u8], text.as_bytes()].concat();
        assert_eq!(time(&der).map(|(seconds, _)| seconds), expected, "{text}");
    }

    #[test]
    fn times_are_read() {
        check(UTC_TIME, "700101000000Z", Some(0));
        check(UTC_TIME, "991231235959Z", Some(946_684_799));
        check(UTC_TIME, "240229120000Z", Some(1_709_208_000));
        check(UTC_TIME, "491231235959Z", Some(2_524_607_999));
        check(GENERALIZED_TIME, "20500101000000Z", Some(2_524_608_000));
        check(GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799));
        check(GENERALIZED_TIME, "19700101000000Z", Some(0));
        check(UTC_TIME, "700101000000", None);
        check(UTC_TIME, "701301000000Z", None);
        check(UTC_TIME, "70010100000xZ", None);
        check(SEQUENCE, "700101000000Z", None);
    }

    /// What certificates say is what was asked for when they were made; what is cut short is none.
    #[test]
    fn certificates_say_their_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        for (year, expected) in [(2031, 1_925_942_400), (2051, 2_557_094_400)] {
            let mut wanted = rcgen::CertificateParams::new(vec!["ns1.example.com".into()]).unwrap();
            wanted.not_after = rcgen::date_time_ymd(year, 1, 12);
            let made = wanted.self_signed(&key).unwrap();
            assert_eq!(not_after(made.der()), Some(expected), "{year}");
            for cut in 0..120 {
                assert_eq!(not_after(&made.der()[..cut]), None);
            }
        }
    }
}
