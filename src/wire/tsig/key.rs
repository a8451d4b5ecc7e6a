//! Keys that two servers share, and what is made of them.

use crate::wire::Name;
use ring::hmac;
use std::fmt;
use std::sync::Arc;

/// Longest MAC there is, in octets: HMAC-SHA512.
pub const MAX_MAC: usize = 64;

//----------- Algorithm ------------------------------------------------------

/// The algorithms that are taken (RFC 8945 section 6). The older ones, MD5 and SHA-1, are not: nobody needs them any more
/// who does not need 8945 as a whole; and of SHA-224, optional, there is no implementation in `ring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// hmac-sha256.
    Sha256,
    /// hmac-sha384.
    Sha384,
    /// hmac-sha512.
    Sha512,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Algorithm; 3] = [Algorithm::Sha256, Algorithm::Sha384, Algorithm::Sha512];

    /// As it is written in configurations, here and elsewhere.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "hmac-sha256",
            Algorithm::Sha384 => "hmac-sha384",
            Algorithm::Sha512 => "hmac-sha512",
        }
    }

    /// Its name in messages.
    pub fn wire(self) -> &'static [u8] {
        match self {
            Algorithm::Sha256 => b"\x0bhmac-sha256\0",
            Algorithm::Sha384 => b"\x0bhmac-sha384\0",
            Algorithm::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    /// The one with this name in messages, upper case or lower.
    pub fn of_wire(wire: &[u8]) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|a| a.wire().eq_ignore_ascii_case(wire))
    }

    /// Octets of a whole MAC.
    pub fn mac_len(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha384 => 48,
            Algorithm::Sha512 => 64,
        }
    }

    fn of_ring(self) -> hmac::Algorithm {
        match self {
            Algorithm::Sha256 => hmac::HMAC_SHA256,
            Algorithm::Sha384 => hmac::HMAC_SHA384,
            Algorithm::Sha512 => hmac::HMAC_SHA512,
        }
    }
}

impl std::str::FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Algorithm, String> {
        let known = Algorithm::ALL.into_iter().find(|a| a.name().eq_ignore_ascii_case(text.trim_end_matches('.')));
        known.ok_or_else(|| format!("{text:?} is none of hmac-sha256, hmac-sha384 and hmac-sha512"))
    }
}

//----------- Key ------------------------------------------------------------

/// A shared secret under a name (RFC 8945 section 2).
#[derive(Clone)]
pub struct Key {
    /// Its name, which both sides must call it by.
    pub name: Name,
    /// What is done with it.
    pub algorithm: Algorithm,
    /// Least octets of a MAC that are taken (RFC 8945 section 5.2.2.1 leaves that to local policy).
    pub least_mac: usize,
    secret: Box<[u8]>,
    mac: hmac::Key,
}

impl Key {
    /// A key that takes whole MACs only.
    pub fn new(name: Name, algorithm: Algorithm, secret: &[u8]) -> Key {
        let mac = hmac::Key::new(algorithm.of_ring(), secret);
        Key { name, algorithm, least_mac: algorithm.mac_len(), secret: secret.into(), mac }
    }

    /// Starts a MAC with this key.
    pub(super) fn begin(&self) -> hmac::Context {
        hmac::Context::with_key(&self.mac)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        (&self.name, self.algorithm, self.least_mac, &self.secret)
            == (&other.name, other.algorithm, other.least_mac, &other.secret)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({} {} …)", self.name, self.algorithm.name())
    }
}

//----------- Keys -----------------------------------------------------------

/// Every key of this server, found by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    /// Sorted by the octets of their names.
    keys: Vec<Arc<Key>>,
}

impl Keys {
    /// Takes the keys. Of two with one name the first counts: the reader of the configuration refuses such sets.
    pub fn new(keys: impl IntoIterator<Item = Key>) -> Keys {
        let mut keys: Vec<Arc<Key>> = keys.into_iter().map(Arc::new).collect();
        keys.sort_by(|a, b| a.name.as_wire().cmp(b.name.as_wire()));
        keys.dedup_by(|a, b| a.name == b.name);
        Keys { keys }
    }

    /// The key of this name, in wire form and lower case.
    pub fn get(&self, name: &[u8]) -> Option<&Arc<Key>> {
        let at = self.keys.binary_search_by(|key| key.name.as_wire().cmp(name)).ok()?;
        Some(&self.keys[at])
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

//----------- Mac ------------------------------------------------------------

/// A message authentication code, on the stack.
#[derive(Clone, Copy)]
pub struct Mac {
    octets: [u8; MAX_MAC],
    len: u8,
}

impl Mac {
    /// None: what unsigned errors have.
    pub const NONE: Mac = Mac { octets: [0; MAX_MAC], len: 0 };

    /// These octets; `None` if no algorithm makes so many.
    pub fn of(octets: &[u8]) -> Option<Mac> {
        let mut mac = Mac { len: u8::try_from(octets.len()).ok()?, ..Mac::NONE };
        mac.octets.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(mac)
    }

    /// The octets.
    pub fn as_slice(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// Whether `self`, which may be truncated, is the head of `whole`; takes as long whatever differs.
    pub(super) fn is_head_of(&self, whole: &[u8]) -> bool {
        let differs = self.as_slice().iter().zip(whole).fold(0, |differs, (a, b)| differs | (a ^ b));
        usize::from(self.len) <= whole.len() && std::hint::black_box(differs) == 0
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({} octets)", self.len)
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Mac) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Mac {}
