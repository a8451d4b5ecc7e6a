//! Who signs proofs that are made when they are asked for (RFC 9824): there are as many as names that are not there.
//!
//! What signing is made of lies above; here is what a query sees of it.

use std::fmt;
use std::sync::Arc;

/// Longest signature that is made so: those of P-256 and Ed25519. Others take too long, too.
pub const LONGEST: usize = 64;

/// A key that signs within some tens of microseconds.
pub trait Signs: fmt::Debug + Send + Sync {
    /// Signs `data` into `out`; octets of the signature, `None` if there is no randomness.
    fn sign(&self, data: &[u8], out: &mut [u8; LONGEST]) -> Option<usize>;
}

/// How a zone's proofs are signed when they are asked for.
#[derive(Clone, Debug)]
pub struct Online {
    /// Each of which signs.
    pub keys: Vec<OnlineKey>,
    /// TTL of the proofs (RFC 9077).
    pub ttl: u32,
    /// Most signatures that a thread makes within a second.
    pub per_second: u32,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct OnlineKey {
    /// Its algorithm.
    pub algorithm: u8,
    /// Its tag.
    pub tag: u16,
    /// What signs.
    pub signer: Arc<dyn Signs>,
}
