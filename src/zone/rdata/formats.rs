//! The table: which fields each record type has, in order, and what they are called.

use std::borrow::Cow;

//----------- Format ---------------------------------------------------------

/// One record type.
#[derive(Debug)]
pub struct Format {
    /// The type's number (IANA DNS parameters).
    pub code: u16,
    /// Its mnemonic.
    pub name: &'static str,
    /// The fields of its RDATA with the names that people know them by.
    pub fields: &'static [(Field, &'static str)],
}

/// What a field looks like in text and on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// One octet.
    U8,
    /// Two octets.
    U16,
    /// Four octets.
    U32,
    /// Four octets, a time span with optional units.
    Period,
    /// One octet, a DNSSEC algorithm by number or mnemonic.
    Algorithm,
    /// Two octets, a certificate type by number or mnemonic (RFC 4398 section 2.1).
    CertType,
    /// A domain name.
    Name,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// One `<character-string>`: a length octet and up to 255 octets.
    Text,
    /// One or more character-strings, to the end.
    Texts,
    /// A string without a length, to the end.
    LongText,
    /// A CAA property tag: letters and digits behind a length octet (RFC 8659 section 4.1).
    Tag,
    /// Hexadecimal digits, to the end.
    Hex,
    /// Hexadecimal digits in one token behind a length octet; `-` is none (RFC 5155 section 3.3).
    Salt,
    /// Base 64, to the end.
    Base64,
    /// Base 32 with extended hex alphabet behind a length octet (RFC 5155 section 3.3).
    Base32,
    /// Two octets, a record type by mnemonic.
    Type,
    /// A set of record types (RFC 4034 section 4.1.2), to the end.
    Types,
    /// Four octets, a moment: `YYYYMMDDHHmmSS` or seconds since 1970 (RFC 4034 section 3.2).
    Moment,
    /// Six octets as pairs of hexadecimal digits with hyphens (RFC 7043 section 3.2).
    Eui48,
    /// Eight octets, likewise (RFC 7043 section 4.2).
    Eui64,
    /// Eight octets as four groups of hexadecimal digits with colons (RFC 6742 section 2.1.2).
    Locator64,
    /// A place on Earth (RFC 1876 section 3), to the end.
    Location,
    /// Service parameters (RFC 9460 section 2.1), to the end.
    Params,
}

use Field::{
    Algorithm, Base32, Base64, CertType, Eui48, Eui64, Hex, Ipv4, Ipv6, Location, Locator64, LongText, Moment, Params,
    Period, Salt, Tag, Text, Texts, Type, Types, U8, U16, U32,
};

const KEY: &[(Field, &str)] = &[(U16, "flags"), (U8, "protocol"), (Algorithm, "algorithm"), (Base64, "public key")];
const DIGEST: &[(Field, &str)] = &[(U16, "key tag"), (Algorithm, "algorithm"), (U8, "digest type"), (Hex, "digest")];
const ASSOCIATION: &[(Field, &str)] =
    &[(U8, "usage"), (U8, "selector"), (U8, "matching type"), (Hex, "certificate data")];
const SERVICE: &[(Field, &str)] = &[(U16, "priority"), (Field::Name, "target"), (Params, "parameters")];

macro_rules! formats {
    ($($name:literal $code:literal: $fields:expr;)*) => {
        /// Every type with a text form of its own, by number.
        pub static FORMATS: &[Format] = &[$(Format { code: $code, name: $name, fields: $fields }),*];
    };
}

formats! {
    "A" 1: &[(Ipv4, "address")];
    "NS" 2: &[(Field::Name, "name server")];
    "MD" 3: &[(Field::Name, "mail agent")];
    "MF" 4: &[(Field::Name, "mail agent")];
    "CNAME" 5: &[(Field::Name, "target")];
    "SOA" 6: &[
        (Field::Name, "primary name server"), (Field::Name, "mailbox"), (U32, "serial"), (Period, "refresh"), (Period, "retry"),
        (Period, "expire"), (Period, "minimum")
    ];
    "MB" 7: &[(Field::Name, "mailbox host")];
    "MG" 8: &[(Field::Name, "mailbox")];
    "MR" 9: &[(Field::Name, "mailbox")];
    "PTR" 12: &[(Field::Name, "target")];
    "HINFO" 13: &[(Text, "hardware"), (Text, "system")];
    "MINFO" 14: &[(Field::Name, "mailbox"), (Field::Name, "error mailbox")];
    "MX" 15: &[(U16, "preference"), (Field::Name, "mail server")];
    "TXT" 16: &[(Texts, "text")];
    "RP" 17: &[(Field::Name, "mailbox"), (Field::Name, "text name")];
    "AFSDB" 18: &[(U16, "subtype"), (Field::Name, "host")];
    "RT" 21: &[(U16, "preference"), (Field::Name, "host")];
    "PX" 26: &[(U16, "preference"), (Field::Name, "RFC 822 name"), (Field::Name, "X.400 name")];
    "AAAA" 28: &[(Ipv6, "address")];
    "LOC" 29: &[(Location, "place")];
    "SRV" 33: &[(U16, "priority"), (U16, "weight"), (U16, "port"), (Field::Name, "target")];
    "NAPTR" 35: &[
        (U16, "order"), (U16, "preference"), (Text, "flags"), (Text, "services"), (Text, "expression"),
        (Field::Name, "replacement")
    ];
    "KX" 36: &[(U16, "preference"), (Field::Name, "exchanger")];
    "CERT" 37: &[(CertType, "type"), (U16, "key tag"), (Algorithm, "algorithm"), (Base64, "certificate")];
    "DNAME" 39: &[(Field::Name, "target")];
    "DS" 43: DIGEST;
    "SSHFP" 44: &[(U8, "algorithm"), (U8, "fingerprint type"), (Hex, "fingerprint")];
    "RRSIG" 46: &[
        (Type, "type covered"), (Algorithm, "algorithm"), (U8, "labels"), (U32, "original TTL"), (Moment, "expiration"),
        (Moment, "inception"), (U16, "key tag"), (Field::Name, "signer"), (Base64, "signature")
    ];
    "NSEC" 47: &[(Field::Name, "next name"), (Types, "types")];
    "DNSKEY" 48: KEY;
    "DHCID" 49: &[(Base64, "digest")];
    "NSEC3" 50: &[
        (U8, "hash algorithm"), (U8, "flags"), (U16, "iterations"), (Salt, "salt"), (Base32, "next hash"), (Types, "types")
    ];
    "NSEC3PARAM" 51: &[(U8, "hash algorithm"), (U8, "flags"), (U16, "iterations"), (Salt, "salt")];
    "TLSA" 52: ASSOCIATION;
    "SMIMEA" 53: ASSOCIATION;
    "CDS" 59: DIGEST;
    "CDNSKEY" 60: KEY;
    "OPENPGPKEY" 61: &[(Base64, "public key")];
    "CSYNC" 62: &[(U32, "serial"), (U16, "flags"), (Types, "types")];
    "ZONEMD" 63: &[(U32, "serial"), (U8, "scheme"), (U8, "hash algorithm"), (Hex, "digest")];
    "SVCB" 64: SERVICE;
    "HTTPS" 65: SERVICE;
    "SPF" 99: &[(Texts, "text")];
    "NID" 104: &[(U16, "preference"), (Locator64, "node id")];
    "L32" 105: &[(U16, "preference"), (Ipv4, "locator")];
    "L64" 106: &[(U16, "preference"), (Locator64, "locator")];
    "LP" 107: &[(U16, "preference"), (Field::Name, "name")];
    "EUI48" 108: &[(Eui48, "address")];
    "EUI64" 109: &[(Eui64, "address")];
    "URI" 256: &[(U16, "priority"), (U16, "weight"), (LongText, "target")];
    "CAA" 257: &[(U8, "flags"), (Tag, "tag"), (LongText, "value")];
}

/// Numbers that name questions or messages, not records (RFC 6895 section 3.1; NXNAME: RFC 9824): no zone
/// may hold them.
pub const META: &[(u16, &str)] = &[
    (41, "OPT"),
    (128, "NXNAME"),
    (249, "TKEY"),
    (250, "TSIG"),
    (251, "IXFR"),
    (252, "AXFR"),
    (253, "MAILB"),
    (254, "MAILA"),
    (255, "ANY"),
];

//----------- Looking things up ----------------------------------------------

/// The row of a type, if it has one.
pub fn format_of(code: u16) -> Option<&'static Format> {
    FORMATS.binary_search_by_key(&code, |f| f.code).ok().map(|i| &FORMATS[i])
}

/// A type's number from its mnemonic or `TYPEnnn` (RFC 3597 section 5), in any letter case.
pub fn parse_type(text: &str) -> Option<u16> {
    // The two that fill zones come first; the others are few enough to walk.
    if text.eq_ignore_ascii_case("A") {
        return Some(1);
    }
    if text.eq_ignore_ascii_case("AAAA") {
        return Some(28);
    }
    if let Some(format) = FORMATS.iter().find(|f| f.name.eq_ignore_ascii_case(text)) {
        return Some(format.code);
    }
    if let Some((code, _)) = META.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        return Some(*code);
    }
    let (head, digits) = text.split_at_checked(4)?;
    let plain = head.eq_ignore_ascii_case("TYPE") && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// A type's mnemonic, or `TYPEnnn`.
pub fn type_text(code: u16) -> Cow<'static, str> {
    match format_of(code) {
        Some(format) => format.name.into(),
        None => match META.iter().find(|(meta, _)| *meta == code) {
            Some((_, name)) => (*name).into(),
            None => format!("TYPE{code}").into(),
        },
    }
}

/// The mnemonics of all types that a zone may hold, for suggestions.
pub fn type_names() -> impl Iterator<Item = &'static str> {
    FORMATS.iter().map(|f| f.name)
}

impl Format {
    /// How the data is written, for people: its fields' names in order.
    pub fn usage(&self) -> String {
        let fields = self.fields.iter().map(|(_, name)| name.replace(' ', "-"));
        fields.fold(format!("written: {}", self.name), |text, field| text + " " + &field)
    }
}

//----------- Registries -----------------------------------------------------

/// DNSSEC algorithms (IANA DNS Security Algorithm Numbers).
pub const ALGORITHMS: &[(u16, &str)] = &[
    (1, "RSAMD5"),
    (2, "DH"),
    (3, "DSA"),
    (5, "RSASHA1"),
    (6, "DSA-NSEC3-SHA1"),
    (7, "RSASHA1-NSEC3-SHA1"),
    (8, "RSASHA256"),
    (10, "RSASHA512"),
    (12, "ECC-GOST"),
    (13, "ECDSAP256SHA256"),
    (14, "ECDSAP384SHA384"),
    (15, "ED25519"),
    (16, "ED448"),
    (252, "INDIRECT"),
    (253, "PRIVATEDNS"),
    (254, "PRIVATEOID"),
];

/// Certificate types (RFC 4398 section 2.1).
pub const CERT_TYPES: &[(u16, &str)] = &[
    (1, "PKIX"),
    (2, "SPKI"),
    (3, "PGP"),
    (4, "IPKIX"),
    (5, "ISPKI"),
    (6, "IPGP"),
    (7, "ACPKIX"),
    (8, "IACPKIX"),
    (253, "URI"),
    (254, "OID"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(FORMATS.windows(2).all(|w| w[0].code < w[1].code));
    }

    #[test]
    fn mnemonics_and_numbers_agree() {
        for format in FORMATS {
            assert_eq!(parse_type(format.name), Some(format.code));
            assert_eq!(parse_type(&format!("type{}", format.code)), Some(format.code));
            assert_eq!(type_text(format.code), format.name);
        }
        assert_eq!(parse_type("https"), Some(65));
        assert_eq!(parse_type("ANY"), Some(255));
        for bad in ["", "TYPE", "TYPE65536", "TYPE-1", "TYPE+1", "FOO", "é"] {
            assert_eq!(parse_type(bad), None, "{bad}");
        }
        assert_eq!(type_text(65280), "TYPE65280");
    }
}
