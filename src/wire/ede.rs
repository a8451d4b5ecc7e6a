//! Extended errors (RFC 8914): why, for people who debug.

/// Option code of extended errors (RFC 8914 section 2).
pub const OPTION_EDE: u16 = 15;

/// The reasons that this server gives, each where it is true of an authoritative server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Ede {
    /// A reason without a code of its own; the text says which (section 4.1).
    Other = 0,
    /// The client may not ask this (section 4.19).
    Prohibited = 18,
    /// The name is in no zone of this server (section 4.21).
    NotAuthoritative = 20,
    /// The operation, class or type is not implemented (section 4.22).
    NotSupported = 21,
    /// A type that nobody may ask for (RFC 9824 section 3.5).
    InvalidQueryType = 30,
}

impl Ede {
    /// The INFO-CODE.
    pub fn code(self) -> u16 {
        self as u16
    }
}
