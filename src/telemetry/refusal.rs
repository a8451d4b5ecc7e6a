//! Why a sample is not taken: a closed set of reasons, each counted, each with what would do.

use std::fmt;

//----------- Refusal --------------------------------------------------------

/// Why a sample was turned away. Every refused sample has exactly one reason, the first that was met
/// in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The peer sends more samples per second than it may.
    TooMany,
    /// A name cannot be read as a domain name, or a state is not one of the known ones.
    Malformed,
    /// No policy names this POP, or more than one begins so.
    UnknownPop,
    /// The peer's certificate does not speak for this POP.
    Forbidden,
    /// No policy names this group, or more than one begins so.
    UnknownGroup,
    /// The group has no such member.
    UnknownMember,
    /// The member stands at another POP, or the group has no member at this one.
    NotAtPop,
    /// A shadow state was reported for something that is not one shadow member.
    NotShadow,
    /// The window ends in the future.
    ClockSkew,
    /// The window ended too long ago to say anything about now.
    Stale,
    /// The window is too short or too long.
    BadWindow,
    /// A number is negative, not finite or absurdly large, or quantiles cross.
    BadNumber,
    /// More requests failed than were made.
    ErrorsOverRequests,
    /// Too many cells, a cell without a readable name, or cells that sum to more than the requests.
    BadCells,
    /// The inbox is full: the control loop is behind.
    InboxFull,
}

impl Refusal {
    /// Every reason, in the order of the variants.
    pub const ALL: [Refusal; 15] = [
        Refusal::TooMany,
        Refusal::Malformed,
        Refusal::UnknownPop,
        Refusal::Forbidden,
        Refusal::UnknownGroup,
        Refusal::UnknownMember,
        Refusal::NotAtPop,
        Refusal::NotShadow,
        Refusal::ClockSkew,
        Refusal::Stale,
        Refusal::BadWindow,
        Refusal::BadNumber,
        Refusal::ErrorsOverRequests,
        Refusal::BadCells,
        Refusal::InboxFull,
    ];

    /// Its position in [`Refusal::ALL`].
    pub fn idx(self) -> usize {
        self as usize
    }

    /// The word for it in metrics, JSON and on the wire.
    pub fn label(self) -> &'static str {
        match self {
            Refusal::TooMany => "too-many",
            Refusal::Malformed => "malformed",
            Refusal::UnknownPop => "unknown-pop",
            Refusal::Forbidden => "forbidden",
            Refusal::UnknownGroup => "unknown-group",
            Refusal::UnknownMember => "unknown-member",
            Refusal::NotAtPop => "not-at-pop",
            Refusal::NotShadow => "not-shadow",
            Refusal::ClockSkew => "clock-skew",
            Refusal::Stale => "stale",
            Refusal::BadWindow => "bad-window",
            Refusal::BadNumber => "bad-number",
            Refusal::ErrorsOverRequests => "errors-over-requests",
            Refusal::BadCells => "bad-cells",
            Refusal::InboxFull => "inbox-full",
        }
    }

    /// What the reporter should do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Refusal::TooMany => "report less often, or one sample per window instead of one per request",
            Refusal::Malformed => {
                "write names as in the policy file, and states as cold, warming, ready, active or draining"
            }
            Refusal::UnknownPop => "use the owner name of a POP record; `floodway pops` lists them",
            Refusal::Forbidden => "report with a certificate that has the POP's name as a DNS name",
            Refusal::UnknownGroup => "use the owner name of a GROUP record; `floodway pops` lists them",
            Refusal::UnknownMember => "use a name from the group's MEMBER records; `floodway pops` lists them",
            Refusal::NotAtPop => "report a member from the POP that its MEMBER record names",
            Refusal::NotShadow => "name one member that is marked `shadow` in the policy",
            Refusal::ClockSkew => "set the reporter's clock (NTP), or leave the time out to have the server's",
            Refusal::Stale => "send samples as they are made, and drop old ones after an outage",
            Refusal::BadWindow => "report windows of 0.1 to 300 seconds",
            Refusal::BadNumber => "send finite numbers from 0 on, and quantiles in order",
            Refusal::ErrorsOverRequests => "count failed requests among the requests",
            Refusal::BadCells => "report the largest cells only, by the names that `floodway geoip` prints",
            Refusal::InboxFull => "try again in a second; if it lasts, the control loop is stuck: see the log",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_reason_has_its_place_and_its_own_word() {
        assert!(Refusal::ALL.iter().enumerate().all(|(i, r)| r.idx() == i));
        let words: HashSet<_> = Refusal::ALL.iter().map(|r| r.label()).collect();
        assert_eq!(words.len(), Refusal::ALL.len());
    }
}
