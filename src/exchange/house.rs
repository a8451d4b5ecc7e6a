//! What the server says of itself, and whom it answers.
//!
//! Everything here comes from `floodway.toml`, is the same for all zones unless it says otherwise, and is
//! replaced with the snapshot on a reload, so that one query sees one state of it.

//----------- House ----------------------------------------------------------

/// The rules of the house.
#[derive(Clone, Debug, PartialEq)]
pub struct House {
    /// Longest reply over UDP, whatever the client offers, and the size that OPT tells: 512 to 4,096 octets.
    pub udp_size: u16,
}

impl Default for House {
    /// Answers everybody and tells nothing of itself. 1,232 octets over UDP: fits an IPv6 packet of 1,280, the least
    /// MTU, so that replies are not fragmented (RFC 9715 section 3.1).
    fn default() -> House {
        House { udp_size: 1232 }
    }
}
