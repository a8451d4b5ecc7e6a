//! Response codes (RFC 6895 section 2.3).

/// What became of a query. Extended codes (16 and up) go partly into the OPT record (RFC 6891 section 6.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[repr(u8)]
pub enum Rcode {
    /// No error.
    NoError = 0,
    /// The query was not understood.
    FormErr = 1,
    /// The server could not answer.
    ServFail = 2,
    /// The name does not exist.
    NxDomain = 3,
    /// The kind of query is not implemented.
    NotImp = 4,
    /// The server does not serve this zone, class or kind of query.
    Refused = 5,
    /// A DNAME substitution came out longer than a name may be (RFC 6672 section 2.2).
    YxDomain = 6,
    /// An RRset is there that an update wants absent (RFC 2136 section 2.2).
    YxRrset = 7,
    /// An RRset is absent that an update wants there (same section).
    NxRrset = 8,
    /// The query is signed with a key this server does not have (RFC 8945 section 5.2.1), or is an update of a zone
    /// it does not have (RFC 2136 section 3.1.2).
    NotAuth = 9,
    /// A name in an update is not in its zone (RFC 2136 section 2.2).
    NotZone = 10,
    /// The EDNS version is not implemented (RFC 6891 section 6.1.3).
    BadVers = 16,
    /// The query should be asked again with the cookie that is given (RFC 7873 section 5.2.3).
    BadCookie = 23,
}

impl Rcode {
    /// Every code this server sends, for counters.
    pub const ALL: [Rcode; 13] = [
        Rcode::NoError,
        Rcode::FormErr,
        Rcode::ServFail,
        Rcode::NxDomain,
        Rcode::NotImp,
        Rcode::Refused,
        Rcode::YxDomain,
        Rcode::YxRrset,
        Rcode::NxRrset,
        Rcode::NotAuth,
        Rcode::NotZone,
        Rcode::BadVers,
        Rcode::BadCookie,
    ];

    /// The twelve-bit number.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The position in [`Rcode::ALL`].
    pub fn idx(self) -> usize {
        match self {
            Rcode::YxRrset => 7,
            Rcode::NxRrset => 8,
            Rcode::NotAuth => 9,
            Rcode::NotZone => 10,
            Rcode::BadVers => 11,
            Rcode::BadCookie => 12,
            other => other as usize,
        }
    }

    /// The mnemonic, as `dig` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Rcode::NoError => "NOERROR",
            Rcode::FormErr => "FORMERR",
            Rcode::ServFail => "SERVFAIL",
            Rcode::NxDomain => "NXDOMAIN",
            Rcode::NotImp => "NOTIMP",
            Rcode::Refused => "REFUSED",
            Rcode::YxDomain => "YXDOMAIN",
            Rcode::YxRrset => "YXRRSET",
            Rcode::NxRrset => "NXRRSET",
            Rcode::NotAuth => "NOTAUTH",
            Rcode::NotZone => "NOTZONE",
            Rcode::BadVers => "BADVERS",
            Rcode::BadCookie => "BADCOOKIE",
        }
    }

    /// The mnemonic of a number, or `RCODE17` where there is none here.
    pub fn text(number: u16) -> String {
        let known = Rcode::ALL.into_iter().find(|known| known.number() == number);
        known.map_or_else(|| format!("RCODE{number}"), |known| known.name().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_agree_with_the_list() {
        for (i, rcode) in Rcode::ALL.into_iter().enumerate() {
            assert_eq!(rcode.idx(), i);
        }
    }
}
