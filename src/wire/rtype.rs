//! Record types and classes that the server treats in a way of their own (IANA DNS parameters).

/// IPv4 address (RFC 1035 section 3.4.1).
pub const A: u16 = 1;
/// Name server (RFC 1035 section 3.3.11).
pub const NS: u16 = 2;
/// Alias (RFC 1035 section 3.3.1).
pub const CNAME: u16 = 5;
/// Start of authority (RFC 1035 section 3.3.13).
pub const SOA: u16 = 6;
/// Pointer (RFC 1035 section 3.3.12).
pub const PTR: u16 = 12;
/// Host information (RFC 1035 section 3.3.2); the minimal answer to ANY (RFC 8482 section 4.2).
pub const HINFO: u16 = 13;
/// Mail exchange (RFC 1035 section 3.3.9).
pub const MX: u16 = 15;
/// Text (RFC 1035 section 3.3.14).
pub const TXT: u16 = 16;
/// IPv6 address (RFC 3596).
pub const AAAA: u16 = 28;
/// Service location (RFC 2782).
pub const SRV: u16 = 33;
/// Alias of everything below (RFC 6672).
pub const DNAME: u16 = 39;
/// EDNS pseudo record (RFC 6891).
pub const OPT: u16 = 41;
/// Delegation signer, which lives at the parent (RFC 4034 section 5).
pub const DS: u16 = 43;
/// Signature (RFC 4034 section 3).
pub const RRSIG: u16 = 46;
/// The next name, and the types of this one (RFC 4034 section 4).
pub const NSEC: u16 = 47;
/// Key of a zone (RFC 4034 section 2).
pub const DNSKEY: u16 = 48;
/// The next hash, and the types of this one's name (RFC 5155 section 3).
pub const NSEC3: u16 = 50;
/// How names are hashed (RFC 5155 section 4).
pub const NSEC3PARAM: u16 = 51;
/// What the parent's DS should be (RFC 7344 section 3.1).
pub const CDS: u16 = 59;
/// The key that the parent's DS should be of (RFC 7344 section 3.2).
pub const CDNSKEY: u16 = 60;
/// Service binding (RFC 9460).
pub const SVCB: u16 = 64;
/// Service binding for HTTPS (RFC 9460).
pub const HTTPS: u16 = 65;
/// "No such name" in the bitmap of an NSEC, a meta type (RFC 9824 section 3.5).
pub const NXNAME: u16 = 128;
/// Key exchange, a meta type (RFC 2930).
pub const TKEY: u16 = 249;
/// Transaction signature, a meta type (RFC 8945).
pub const TSIG: u16 = 250;
/// Incremental transfer, a query type (RFC 1995).
pub const IXFR: u16 = 251;
/// Full transfer, a query type (RFC 5936).
pub const AXFR: u16 = 252;
/// Mailbox records, a query type nobody serves (RFC 1035 section 3.2.3).
pub const MAILB: u16 = 253;
/// Mail agent records, a query type nobody serves (RFC 1035 section 3.2.3).
pub const MAILA: u16 = 254;
/// Everything, answered minimally (RFC 8482).
pub const ANY: u16 = 255;

/// Types that may stand beside a CNAME, and so are the alias's own: SIG, KEY, RRSIG and NSEC (RFC 2181 section 10.1, RFC
/// 4034 sections 3 and 4).
pub const BESIDE_CNAME: [u16; 4] = [24, 25, 46, 47];

/// The Internet class.
pub const CLASS_IN: u16 = 1;
/// The Chaos class, where servers speak of themselves.
pub const CLASS_CH: u16 = 3;
