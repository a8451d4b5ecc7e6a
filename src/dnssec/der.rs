//! Just enough DER (ITU-T X.690) to read and make private keys: PKCS#8 (RFC 5958) around an EC key (RFC 5915), an
//! Ed25519 seed (RFC 8410) or an RSA key (RFC 8017 appendix A.1.2).

/// Object identifiers of `AlgorithmIdentifier`, without tag and length.
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[0]`, `[1]` with a value of its own inside, and `[1]` of primitive octets.
const CONTEXT_1: u8 = 0xa1;
const CONTEXT_1_PRIMITIVE: u8 = 0x81;

/// What a PKCS#8 document holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Private {
    /// A curve's scalar, and the public point without its leading 4 where it is told.
    Ec {
        /// 256 or 384.
        bits: u16,
        /// The scalar, big-endian, as long as the field.
        scalar: Vec<u8>,
        /// x and y.
        public: Option<Vec<u8>>,
    },
    /// The seed.
    Ed25519(Vec<u8>),
    /// The numbers of an RSAPrivateKey: n, e, d, p, q, d mod p−1, d mod q−1, 1/q mod p.
    Rsa(Box<[Vec<u8>; 8]>),
}

//----------- Reading --------------------------------------------------------

/// Takes one value off the head: its tag and contents.
fn next<'d>(from: &mut &'d [u8]) -> Option<(u8, &'d [u8])> {
    let (&[tag, first], rest) = from.split_first_chunk::<2>()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (octets.iter().fold(0, |len, b| len << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(len)?;
    *from = rest;
    Some((tag, value))
}

/// Takes a value of this tag.
fn take<'d>(from: &mut &'d [u8], tag: u8) -> Option<&'d [u8]> {
    next(from).filter(|(found, _)| *found == tag).map(|(_, value)| value)
}

/// Reads PKCS#8. `None`: it is none, or of a kind that does not sign zones here.
pub fn read_pkcs8(der: &[u8]) -> Option<Private> {
    let mut all = take(&mut &der[..], SEQUENCE)?;
    take(&mut all, INTEGER)?;
    let mut algorithm = take(&mut all, SEQUENCE)?;
    let kind = take(&mut algorithm, OID)?;
    let key = take(&mut all, OCTETS)?;
    match kind {
        EC_PUBLIC_KEY => {
            let bits = match take(&mut algorithm, OID)? {
                P256 => 256,
                P384 => 384,
                _ => return None,
            };
            let mut key = take(&mut &key[..], SEQUENCE)?;
            take(&mut key, INTEGER)?;
            let scalar = take(&mut key, OCTETS)?.to_vec();
            let mut public = None;
            while let Some((tag, value)) = next(&mut key) {
                if tag == CONTEXT_1 {
                    public = take(&mut &value[..], BIT_STRING)?.strip_prefix(&[0, 4]).map(<[u8]>::to_vec);
                }
            }
            Some(Private::Ec { bits, scalar, public })
        }
        ED25519 => take(&mut &key[..], OCTETS).map(|seed| Private::Ed25519(seed.to_vec())),
        RSA => read_rsa(key),
        _ => None,
    }
}

/// Reads an RSAPrivateKey.
fn read_rsa(der: &[u8]) -> Option<Private> {
    let mut all = take(&mut &der[..], SEQUENCE)?;
    take(&mut all, INTEGER)?;
    let mut numbers: [Vec<u8>; 8] = Default::default();
    for number in &mut numbers {
        let value = take(&mut all, INTEGER)?;
        *number = value.strip_prefix(&[0]).unwrap_or(value).to_vec();
    }
    Some(Private::Rsa(Box::new(numbers)))
}

//----------- Making ---------------------------------------------------------

fn put(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

/// A number of any length that is not negative.
fn integer(octets: &[u8]) -> Vec<u8> {
    let octets = &octets[octets.iter().take_while(|b| **b == 0).count()..];
    let sign: &[u8] = if octets.first().is_none_or(|b| *b >= 0x80) { &[0] } else { &[] };
    put(INTEGER, &[sign, octets])
}

/// PKCS#8 of an EC key. `public`: x and y.
pub fn ec_pkcs8(bits: u16, scalar: &[u8], public: &[u8]) -> Vec<u8> {
    let curve = put(OID, &[if bits == 256 { P256 } else { P384 }]);
    let algorithm = put(SEQUENCE, &[&put(OID, &[EC_PUBLIC_KEY]), &curve]);
    let point = put(CONTEXT_1, &[&put(BIT_STRING, &[&[0, 4], public])]);
    let key = put(SEQUENCE, &[&integer(&[1]), &put(OCTETS, &[scalar]), &point]);
    put(SEQUENCE, &[&integer(&[0]), &algorithm, &put(OCTETS, &[&key])])
}

/// PKCS#8 of an Ed25519 key, in the second version, which has the public key.
pub fn ed25519_pkcs8(seed: &[u8], public: &[u8]) -> Vec<u8> {
    let algorithm = put(SEQUENCE, &[&put(OID, &[ED25519])]);
    let key = put(OCTETS, &[&put(OCTETS, &[seed])]);
    put(SEQUENCE, &[&integer(&[1]), &algorithm, &key, &put(CONTEXT_1_PRIMITIVE, &[&[0], public])])
}

/// PKCS#8 of an Ed25519 key, in the first version, without the public key.
pub fn ed25519_pkcs8_v1(seed: &[u8]) -> Vec<u8> {
    let algorithm = put(SEQUENCE, &[&put(OID, &[ED25519])]);
    put(SEQUENCE, &[&integer(&[0]), &algorithm, &put(OCTETS, &[&put(OCTETS, &[seed])])])
}

/// An RSAPrivateKey out of its numbers, in the order of [`Private::Rsa`].
pub fn rsa_pkcs1(numbers: &[Vec<u8>; 8]) -> Vec<u8> {
    let numbers: Vec<Vec<u8>> = numbers.iter().map(|n| integer(n)).collect();
    let version = integer(&[0]);
    let parts: Vec<&[u8]> = std::iter::once(&version).chain(&numbers).map(Vec::as_slice).collect();
    put(SEQUENCE, &parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is made is what is read.
    #[test]
    fn keys_round_trip() {
        let (scalar, public) = (vec![7; 32], vec![9; 64]);
        let ec = read_pkcs8(&ec_pkcs8(256, &scalar, &public)).unwrap();
        assert_eq!(ec, Private::Ec { bits: 256, scalar: scalar.clone(), public: Some(public) });
        for der in [ed25519_pkcs8(&scalar, &[1; 32]), ed25519_pkcs8_v1(&scalar)] {
            assert_eq!(read_pkcs8(&der), Some(Private::Ed25519(scalar.clone())));
        }
        let numbers = [vec![0x80; 200], vec![1, 0, 1], vec![3], vec![4], vec![5], vec![6], vec![7], vec![8]];
        assert_eq!(read_rsa(&rsa_pkcs1(&numbers)), Some(Private::Rsa(Box::new(numbers))));
    }

    /// No octets make the reader panic, and none that end early are taken.
    #[test]
    fn what_ends_early_is_refused() {
        let der = ec_pkcs8(256, &[7; 32], &[9; 64]);
        assert!((0..der.len()).all(|n| read_pkcs8(&der[..n]).is_none()));
        assert_eq!(read_pkcs8(&[0x30, 0x84, 1, 1, 1, 1]), None);
    }
}
