//! Signing (RFC 4033 to 4035): everything that a zone can answer is signed before the first query.
//!
//! Keys come of files ([`keyfile`]) and have a life of their own ([`Timing`]); a [`ring::Ring`] says who signs what at a
//! moment. [`sign::sign`] goes through a zone once and makes the [`crate::zone::Signed`] that queries read. What steered names
//! may answer is finite ([`steered`]): a signature covers a set of addresses, and neither shares nor TTLs make new ones.
//! hickory-proto does the cryptography.
//!
//! It reads no clock and no file: `now` and texts are arguments. Signing itself takes randomness where the algorithm does.

pub mod canonical;
pub mod der;
pub mod key;
pub mod keyfile;
pub mod presigned;
pub mod ring;
pub mod sign;
pub mod signer;
pub mod steered;
pub mod verify;

pub use key::{Algorithm, Key, State, Timing};
pub use ring::Ring;
