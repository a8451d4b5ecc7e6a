//! DNS messages, names, EDNS and client subnet: parse and compose.

pub mod ede;
pub mod edns;
pub mod name;
pub mod opt;
pub mod rcode;
pub mod records;
pub mod reply;
pub mod request;
pub mod rtype;
pub mod tsig;
pub mod walk;

pub use ede::Ede;
pub use name::{Name, NameBuf};
pub use rcode::Rcode;
