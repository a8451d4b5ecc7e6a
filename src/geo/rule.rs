//! What an operator's rule asks of a place.

use ipnet::IpNet;

/// A condition on a client. Every key that is given must hold; within one key any value may.
/// No key at all matches everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// ISO 3166-1 alpha-2 country codes, upper case.
    pub countries: Vec<String>,
    /// ISO 3166-2 codes such as `US-CA`, upper case.
    pub subdivisions: Vec<String>,
    /// Two-letter continent codes as in GeoLite2: AF AN AS EU NA OC SA.
    pub continents: Vec<String>,
    /// Prefixes.
    pub nets: Vec<IpNet>,
    /// Autonomous system numbers.
    pub asns: Vec<u32>,
}
