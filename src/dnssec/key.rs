//! One key of a zone: what it is for, when it does what, and how it signs.

use crate::dnssec::der;
use crate::wire::Name;
use crate::zone::signed::{LONGEST, Signs};
use hickory_proto::dnssec::crypto::{Digest, EcdsaSigningKey, Ed25519SigningKey, RsaSigningKey};
use hickory_proto::dnssec::{self, DigestType, SigningKey, TBS};
use rustls::pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::sync::Arc;

//----------- Algorithm ------------------------------------------------------

/// How a key signs (IANA DNS Security Algorithm Numbers; RFC 8624 section 3.1 for which of them).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// RSA with SHA-256 (RFC 5702); keys are read, not made: P-256 is as strong and its signatures a quarter as long.
    RsaSha256,
    /// RSA with SHA-512 (RFC 5702); likewise.
    RsaSha512,
    /// P-256 with SHA-256 (RFC 6605): what to take.
    EcdsaP256,
    /// P-384 with SHA-384 (RFC 6605).
    EcdsaP384,
    /// Ed25519 (RFC 8080).
    Ed25519,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 5] =
        [Algorithm::RsaSha256, Algorithm::RsaSha512, Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519];

    /// Its number.
    pub fn number(self) -> u8 {
        match self {
            Algorithm::RsaSha256 => 8,
            Algorithm::RsaSha512 => 10,
            Algorithm::EcdsaP256 => 13,
            Algorithm::EcdsaP384 => 14,
            Algorithm::Ed25519 => 15,
        }
    }

    /// Its mnemonic.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "RSASHA256",
            Algorithm::RsaSha512 => "RSASHA512",
            Algorithm::EcdsaP256 => "ECDSAP256SHA256",
            Algorithm::EcdsaP384 => "ECDSAP384SHA384",
            Algorithm::Ed25519 => "ED25519",
        }
    }

    /// The algorithm with this number.
    pub fn of_number(number: u8) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|a| a.number() == number)
    }

    fn hickory(self) -> dnssec::Algorithm {
        dnssec::Algorithm::from_u8(self.number())
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    /// Reads a mnemonic in any case, or a number.
    fn from_str(text: &str) -> Result<Algorithm, String> {
        let by_name = Algorithm::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(text));
        let by_number = || text.parse().ok().and_then(Algorithm::of_number);
        by_name.or_else(by_number).ok_or_else(|| {
            format!("no algorithm {text:?}: ecdsap256sha256, ecdsap384sha384, ed25519, rsasha256, rsasha512")
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

//----------- Timing ---------------------------------------------------------

/// When a key does what, in seconds since 1970: the timing metadata of BIND's key files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// When it was made.
    pub created: Option<u32>,
    /// From when on it is in the DNSKEY RRset.
    pub publish: Option<u32>,
    /// From when on it signs.
    pub activate: Option<u32>,
    /// From when on it signs no more; signatures that are there stay until they are renewed.
    pub inactive: Option<u32>,
    /// From when on it is not in the DNSKEY RRset.
    pub delete: Option<u32>,
    /// From when on CDS and CDNSKEY ask the parent for its DS (RFC 7344).
    pub sync_publish: Option<u32>,
    /// From when on they do not.
    pub sync_delete: Option<u32>,
}

/// What a key does at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is not to be seen yet.
    Waiting,
    /// In the DNSKEY RRset, so that resolvers know it before it signs.
    Published,
    /// It signs.
    Active,
    /// In the DNSKEY RRset, for signatures that caches still hold.
    Retired,
    /// It is to be seen no more.
    Removed,
}

impl State {
    /// Whether the key is in the DNSKEY RRset.
    pub fn is_published(self) -> bool {
        matches!(self, State::Published | State::Active | State::Retired)
    }

    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            State::Waiting => "waiting",
            State::Published => "published",
            State::Active => "active",
            State::Retired => "retired",
            State::Removed => "removed",
        }
    }
}

impl Timing {
    /// The state at `now`. A key without a time to publish and to activate is active: that is what files without timing
    /// metadata (format v1.2) mean. With one of the two, it does neither before.
    pub fn state(&self, now: u32) -> State {
        let is_past = |moment: Option<u32>| moment.is_some_and(|moment| moment <= now);
        let untimed = self.publish.is_none() && self.activate.is_none();
        match () {
            () if is_past(self.delete) => State::Removed,
            () if is_past(self.inactive) => State::Retired,
            () if untimed || is_past(self.activate) => State::Active,
            () if is_past(self.publish) => State::Published,
            () => State::Waiting,
        }
    }

    /// Whether CDS and CDNSKEY name the key at `now`.
    pub fn is_synced(&self, now: u32) -> bool {
        self.sync_publish.is_some_and(|moment| moment <= now) && self.sync_delete.is_none_or(|moment| moment > now)
    }

    /// The first moment after `now` at which something changes.
    pub fn next_change(&self, now: u32) -> Option<u32> {
        let Timing { created: _, publish, activate, inactive, delete, sync_publish, sync_delete } = *self;
        let moments = [publish, activate, inactive, delete, sync_publish, sync_delete];
        moments.into_iter().flatten().filter(|moment| *moment > now).min()
    }

    /// What is wrong with the order of the times, if anything is.
    pub fn fault(&self) -> Option<&'static str> {
        let after = |a: Option<u32>, b: Option<u32>| a.zip(b).is_some_and(|(a, b)| a > b);
        match () {
            () if after(self.publish, self.activate) => Some("it signs before it is published"),
            () if after(self.activate, self.inactive) => Some("it is inactive before it is active"),
            () if after(self.inactive, self.delete) => Some("it is deleted before it is inactive"),
            () if after(self.sync_publish, self.sync_delete) => Some("its CDS is deleted before it is published"),
            () => None,
        }
    }
}

//----------- Key ------------------------------------------------------------

/// Flags of a DNSKEY (RFC 4034 section 2.1.1): of a zone's key, and of one that the parent's DS may name.
pub const ZONE_KEY: u16 = 0x0100;
/// Secure entry point.
pub const SEP: u16 = 0x0001;

/// A key pair of a zone.
pub struct Key {
    /// The zone.
    pub zone: Name,
    /// Flags of the DNSKEY: 257 for a key that the parent's DS may name, 256 for others.
    pub flags: u16,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The public key as a DNSKEY has it.
    pub public: Vec<u8>,
    /// The private key.
    pub private: der::Private,
    /// When it does what.
    pub timing: Timing,
    /// The key tag (RFC 4034 appendix B).
    pub tag: u16,
    signer: Arc<dyn SigningKey>,
}

impl Key {
    /// Puts a key together.
    ///
    /// # Errors
    /// A text for people: the private key is of another algorithm, malformed, or does not fit the public one.
    pub fn new(
        zone: Name,
        flags: u16,
        algorithm: Algorithm,
        public: Option<Vec<u8>>,
        private: der::Private,
        timing: Timing,
    ) -> Result<Key, String> {
        let signer = signer(algorithm, &private, public.as_deref())?;
        let made = signer.to_public_key().map_err(|e| format!("the private key: {e}"))?;
        let made = dnssec::PublicKey::public_bytes(&made).to_vec();
        if public.is_some_and(|public| public != made) {
            return Err("the private key is not that of the public key beside it".into());
        }
        let tag = key_tag(&dnskey_rdata(flags, algorithm, &made));
        Ok(Key { zone, flags, algorithm, public: made, private, timing, tag, signer })
    }

    /// Makes a new one.
    ///
    /// # Errors
    /// A text for people: RSA keys are not made; there is no randomness.
    pub fn generate(zone: Name, flags: u16, algorithm: Algorithm, timing: Timing) -> Result<Key, String> {
        let made = match algorithm {
            Algorithm::EcdsaP256 | Algorithm::EcdsaP384 => EcdsaSigningKey::generate_pkcs8(algorithm.hickory()),
            Algorithm::Ed25519 => Ed25519SigningKey::generate_pkcs8(),
            Algorithm::RsaSha256 | Algorithm::RsaSha512 => {
                return Err(format!("{algorithm} keys are read, not made: take ecdsap256sha256 or ed25519"));
            }
        };
        let made = made.map_err(|e| format!("no key: {e}"))?;
        let private = der::read_pkcs8(made.secret_pkcs8_der()).ok_or("no key: it is not what was asked for")?;
        Key::new(zone, flags, algorithm, ed25519_public(&private), private, timing)
    }

    /// Whether the parent's DS may name it.
    pub fn is_sep(&self) -> bool {
        self.flags & SEP != 0
    }

    /// The RDATA of its DNSKEY, which is that of its CDNSKEY.
    pub fn dnskey(&self) -> Vec<u8> {
        dnskey_rdata(self.flags, self.algorithm, &self.public)
    }

    /// The RDATA of its DS with this digest type (2: SHA-256, 4: SHA-384), which is that of its CDS; `None` for other types.
    pub fn ds(&self, digest_type: u8) -> Option<Vec<u8>> {
        ds_rdata(&self.zone, &self.dnskey(), digest_type)
    }

    /// Signs.
    ///
    /// # Errors
    /// A text for people: there is no randomness.
    pub fn sign(&self, data: &[u8]) -> Result<Vec<u8>, String> {
        self.signer.sign(&TBS::from(data)).map_err(|e| format!("key {} of {} does not sign: {e}", self.tag, self.zone))
    }
}

impl Key {
    /// What signs while a query waits; `None` for algorithms that take too long or too much room.
    pub fn online(&self) -> Option<Arc<dyn Signs>> {
        let is_quick = matches!(self.algorithm, Algorithm::EcdsaP256 | Algorithm::Ed25519);
        is_quick.then(|| Arc::new(Quick { signer: self.signer.clone(), tag: self.tag }) as Arc<dyn Signs>)
    }
}

/// A key that signs while a query waits.
struct Quick {
    signer: Arc<dyn SigningKey>,
    tag: u16,
}

impl Signs for Quick {
    fn sign(&self, data: &[u8], out: &mut [u8; LONGEST]) -> Option<usize> {
        let signature = self.signer.sign(&TBS::from(data)).ok()?;
        out.get_mut(..signature.len())?.copy_from_slice(&signature);
        Some(signature.len())
    }
}

impl fmt::Debug for Quick {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quick({})", self.tag)
    }
}

impl fmt::Debug for Key {
    /// Without the private key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {} {} tag {})", self.zone, self.flags, self.algorithm, self.tag)
    }
}

fn signer(algorithm: Algorithm, private: &der::Private, public: Option<&[u8]>) -> Result<Arc<dyn SigningKey>, String> {
    let wrong = |e: dnssec::DnsSecError| format!("the private key: {e}");
    Ok(match (private, algorithm) {
        (der::Private::Ec { bits, scalar, public: own }, Algorithm::EcdsaP256 | Algorithm::EcdsaP384)
            if (*bits == 256) == (algorithm == Algorithm::EcdsaP256) =>
        {
            let public = public.or(own.as_deref()).ok_or("the private key lacks its public key")?;
            let pkcs8 = PrivatePkcs8KeyDer::from(der::ec_pkcs8(*bits, scalar, public));
            Arc::new(EcdsaSigningKey::from_pkcs8(&pkcs8, algorithm.hickory()).map_err(wrong)?)
        }
        (der::Private::Ed25519(seed), Algorithm::Ed25519) => {
            let found = ed25519_public(private);
            let public = public.or(found.as_deref()).ok_or("the private key is no Ed25519 key")?;
            let pkcs8 = PrivatePkcs8KeyDer::from(der::ed25519_pkcs8(seed, public));
            Arc::new(Ed25519SigningKey::from_pkcs8(&pkcs8).map_err(wrong)?)
        }
        (der::Private::Rsa(numbers), Algorithm::RsaSha256 | Algorithm::RsaSha512) => {
            let pkcs1 = PrivatePkcs1KeyDer::from(der::rsa_pkcs1(numbers));
            Arc::new(RsaSigningKey::from_pkcs1(&pkcs1, algorithm.hickory()).map_err(wrong)?)
        }
        _ => return Err(format!("the private key is not one for {algorithm}")),
    })
}

/// The public key that belongs to an Ed25519 seed.
fn ed25519_public(private: &der::Private) -> Option<Vec<u8>> {
    let der::Private::Ed25519(seed) = private else { return None };
    let pkcs8 = PrivatePkcs8KeyDer::from(der::ed25519_pkcs8_v1(seed));
    let key = rustls::crypto::ring::sign::any_eddsa_type(&pkcs8).ok()?;
    key.public_key()?.last_chunk::<32>().map(|public| public.to_vec())
}

//----------- Leaves ---------------------------------------------------------

/// RDATA of a DNSKEY (RFC 4034 section 2.1), protocol 3.
pub fn dnskey_rdata(flags: u16, algorithm: Algorithm, public: &[u8]) -> Vec<u8> {
    [&flags.to_be_bytes(), &[3, algorithm.number()], public].concat()
}

/// The tag of a DNSKEY (RFC 4034 appendix B).
pub fn key_tag(rdata: &[u8]) -> u16 {
    let pairs = rdata.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = pairs.fold(0, u32::wrapping_add);
    (sum + (sum >> 16)) as u16
}

/// RDATA of the DS of a DNSKEY (RFC 4034 section 5.1.4, RFC 4509, RFC 6605 section 2); `None` for digest types other than 2
/// and 4.
pub fn ds_rdata(zone: &Name, dnskey: &[u8], digest_type: u8) -> Option<Vec<u8>> {
    let kind = match digest_type {
        2 => DigestType::SHA256,
        4 => DigestType::SHA384,
        _ => return None,
    };
    let digest = Digest::from_iter([zone.as_wire(), dnskey], kind).ok()?;
    let head = [&key_tag(dnskey).to_be_bytes()[..], &[*dnskey.get(3)?, digest_type]].concat();
    Some([&head, digest.as_ref()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// States follow the times, in the order of a key's life.
    #[test]
    fn times_make_states() {
        let timing = Timing {
            publish: Some(10),
            activate: Some(20),
            inactive: Some(30),
            delete: Some(40),
            sync_publish: Some(25),
            sync_delete: Some(35),
            ..Timing::default()
        };
        let states: Vec<&str> = (0..5).map(|i| timing.state(5 + 10 * i).word()).collect();
        assert_eq!(states, ["waiting", "published", "active", "retired", "removed"]);
        assert_eq!([20, 25, 34, 35].map(|now| timing.is_synced(now)), [false, true, true, false]);
        assert_eq!([0, 10, 30, 40].map(|now| timing.next_change(now)), [Some(10), Some(20), Some(35), None]);
        assert_eq!(Timing::default().state(0), State::Active);
        assert_eq!(timing.fault(), None);
        assert!(Timing { publish: Some(21), ..timing }.fault().unwrap().contains("before it is published"));
    }

    /// Every algorithm that is made signs what hickory-proto verifies with the public key.
    #[test]
    fn made_keys_sign() {
        let zone: Name = "example.com".parse().unwrap();
        for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Ed25519] {
            let key = Key::generate(zone.clone(), 257, algorithm, Timing::default()).unwrap();
            let signature = key.sign(b"data").unwrap();
            let public = dnssec::PublicKeyBuf::new(key.public.clone(), algorithm.hickory());
            let dnskey = dnssec::rdata::DNSKEY::with_flags(257, public);
            assert!(dnssec::Verifier::verify(&dnskey, b"data", &signature).is_ok());
            assert!(dnssec::Verifier::verify(&dnskey, b"date", &signature).is_err());
            assert_eq!(dnskey.calculate_key_tag().unwrap(), key.tag);
        }
        assert!(Key::generate(zone, 257, Algorithm::RsaSha256, Timing::default()).is_err());
    }

    /// RFC 6605 section 6.1: the key, its tag and its DS.
    #[test]
    fn ds_is_as_published() {
        use base64::Engine;
        let public = base64::engine::general_purpose::STANDARD
            .decode("GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==")
            .unwrap();
        let zone: Name = "example.net".parse().unwrap();
        let rdata = dnskey_rdata(257, Algorithm::EcdsaP256, &public);
        assert_eq!(key_tag(&rdata), 55648);
        let ds = ds_rdata(&zone, &rdata, 2).unwrap();
        let digest: String = ds[4..].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(digest, "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17");
    }
}
