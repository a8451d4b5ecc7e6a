//! Extended errors (RFC 8914): why, for people who debug.
//!
//! Codes that are true of resolvers, or of states that this server does not answer in, are absent: Not Ready (14),
//! since nothing is answered before the zones are loaded.

/// Option code of extended errors (RFC 8914 section 2).
pub const OPTION_EDE: u16 = 15;

/// The reasons that this server gives, each where it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ede {
    /// The policy wants SERVFAIL where no member of a group may be given. Other (section 4.1).
    AllDown,
    /// Answered by a plan that could not be renewed, rather than not at all. Stale Answer (section 4.4).
    Stale,
    /// The client may not ask this. Prohibited (section 4.19).
    Prohibited,
    /// The name is in no zone of this server. Not Authoritative (section 4.21).
    NotAuthoritative,
    /// The zone is this server's to serve, and could not be loaded, or has expired, or has not come yet. Invalid Data (section 4.25).
    InvalidData,
    /// The operation, class or type is not implemented. Not Supported (section 4.22).
    NotSupported,
    /// The record stands for what the zone has, and is not in it (RFC 8482 section 4.2). Synthesized (IANA).
    Synthesized,
    /// A type that nobody may ask for (RFC 9824 section 3.5). Invalid Query Type (IANA).
    InvalidQueryType,
}

impl Ede {
    /// The INFO-CODE (IANA registry of extended errors).
    pub fn code(self) -> u16 {
        match self {
            Ede::AllDown => 0,
            Ede::Stale => 3,
            Ede::Prohibited => 18,
            Ede::NotAuthoritative => 20,
            Ede::NotSupported => 21,
            Ede::InvalidData => 24,
            Ede::Synthesized => 29,
            Ede::InvalidQueryType => 30,
        }
    }

    /// The EXTRA-TEXT: what the code does not say, and no more than anybody may know. UTF-8 without an end mark.
    pub fn text(self) -> &'static str {
        match self {
            Ede::AllDown => "all members are down",
            Ede::Stale => "steered without fresh telemetry",
            Ede::Synthesized => "RFC 8482",
            Ede::InvalidData => "no valid copy of the zone",
            Ede::Prohibited | Ede::NotAuthoritative | Ede::NotSupported | Ede::InvalidQueryType => "",
        }
    }
}
