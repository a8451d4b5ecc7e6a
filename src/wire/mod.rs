//! DNS messages, names, EDNS and client subnet: parse and compose.

pub mod name;

pub use name::{Name, NameBuf};
