//! Response rate limiting over UDP: nobody shall have this server send more than so much of the same to one place.
//!
//! Who forges the source of datagrams can have replies sent to a victim. What gives him away is that one prefix "asks"
//! for the same again and again, more often than a client that caches ever would. So replies are counted by
//! (client prefix, what is answered); of those over the limit one of `slip` is sent without content and with
//! TC set, which a real client answers by coming over TCP, and the others are not sent. The idea and the words are of Vixie and
//! Schryver (ISC-TN-2012-1), as are the classes; as in BIND, NSD and Knot, streams are not limited, since a source that
//! has made a handshake is no forgery; nor is a client that shows a cookie of ours (RFC 7873 section 5.2.3).
//!
//! Differences from those servers: a bucket has no debt, so a prefix under attack goes on getting its full rate and
//! not nothing; and there is no table for all threads. Each thread limits what it sees itself to its share
//! of the rate: nothing shared is written, and the sum stays below the rate. The kernel deals clients out by address
//! *and port*, so a resolver (a new port for each query, RFC 5452) is spread evenly; a client that always sends from
//! one port has the share of one thread, and its burst of one whole second.

pub mod class;
pub mod ledger;
pub mod table;

pub use class::Class;
pub use ledger::{Action, Ledger};

use class::slip;
use ipnet::IpNet;
use ledger::Page;
use serde::Deserialize;
use siphasher::sip::SipHasher13;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use table::{Limit, Table, Verdict};

/// Highest rate that can be asked for: more than a thread answers in a second.
const MAX_RATE: u32 = 1_000_000;

//----------- Config ---------------------------------------------------------

/// `[rate-limit]` in `floodway.toml`.
///
/// Off by default, as in BIND and Knot. Our choice, because no number is right for everybody: a public resolver that sends
/// client subnets asks a large service for the same name thousands of times a second from one prefix, most of all when
/// demand surges, and a limit that nobody has set must not turn it away then. 1,000 is a good start for others.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Replies per second with the same answer to one prefix; 0 (default): no limit of this kind.
    pub per_second: u32,
    /// Denials (NXDOMAIN) per second of one zone to one prefix; default as `per_second`.
    pub nxdomain_per_second: Option<u32>,
    /// Errors (REFUSED, FORMERR, …) per second to one prefix; default as `per_second`.
    pub error_per_second: Option<u32>,
    /// One of so many replies over the limit is sent truncated, the others are not sent; 1: all are sent truncated; 0:
    /// none. Default 2, as in BIND and NSD: a real client among forged ones gets through in a few tries.
    pub slip: u32,
    /// Length of the prefix that counts as one client: 8 to 32. Default 24.
    pub ipv4_prefix: u8,
    /// The same for IPv6: 32 to 64. Default 56.
    pub ipv6_prefix: u8,
    /// Prefixes without limit: monitoring, large resolvers whose source is known to be checked.
    #[serde(deserialize_with = "prefixes")]
    pub exempt: Vec<IpNet>,
    /// Clients and answers that each thread keeps count of, 16 octets each. Default 65,536: 1 MiB a thread.
    pub entries: usize,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            per_second: 0,
            nxdomain_per_second: None,
            error_per_second: None,
            slip: 2,
            ipv4_prefix: 24,
            ipv6_prefix: 56,
            exempt: Vec::new(),
            entries: 65_536,
        }
    }
}

impl Config {
    /// The rate of a class, 0 for none.
    fn rate(&self, class: Class) -> u32 {
        match class {
            Class::Answer => self.per_second,
            Class::NxDomain => self.nxdomain_per_second.unwrap_or(self.per_second),
            Class::Error => self.error_per_second.unwrap_or(self.per_second),
        }
    }

    /// Whether anything is limited.
    pub fn is_on(&self) -> bool {
        Class::ALL.iter().any(|c| self.rate(*c) > 0)
    }

    /// What types cannot say.
    ///
    /// # Errors
    /// A text for people that names the key.
    pub fn check(&self) -> Result<(), String> {
        if let Some(rate) = Class::ALL.iter().map(|c| self.rate(*c)).find(|r| *r > MAX_RATE) {
            return Err(format!("[rate-limit] {rate} per second: at most {MAX_RATE}; 0 is no limit"));
        }
        if !(8..=32).contains(&self.ipv4_prefix) {
            return Err(format!("[rate-limit] ipv4-prefix = {}: 8 to 32, 24 is usual", self.ipv4_prefix));
        }
        if !(32..=64).contains(&self.ipv6_prefix) {
            return Err(format!("[rate-limit] ipv6-prefix = {}: 32 to 64, 56 is usual", self.ipv6_prefix));
        }
        if !(1024..=1 << 24).contains(&self.entries) {
            return Err(format!("[rate-limit] entries = {}: 1024 to 16777216", self.entries));
        }
        Ok(())
    }
}

/// Reads prefixes as text; an address alone is a prefix of its whole length.
fn prefixes<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let parse = |text: &String| {
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map_err(|_| serde::de::Error::custom(format!("{text:?} is no prefix; \"192.0.2.0/24\" would do")))
    };
    Vec::<String>::deserialize(from)?.iter().map(parse).collect()
}

//----------- Limiter --------------------------------------------------------

/// The rate limits of one thread.
pub struct Limiter {
    /// In the order of [`Class::ALL`]; `None`: no limit.
    limits: [Option<Limit>; 3],
    slip: u32,
    /// What of an address is its prefix, IPv4 as IPv4-mapped IPv6.
    masks: (u128, u128),
    exempt: Ranges,
    /// With a secret key, so that nobody can aim at the buckets of others.
    hasher: SipHasher13,
    table: Table,
    ledger: Arc<Ledger>,
    thread: usize,
}

/// What is to be done with a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it.
    Send,
    /// It was cut to so many octets, with TC: send that.
    Slip(usize),
    /// Send nothing.
    Drop,
}

impl Limiter {
    /// For thread `thread` of the `n_threads` that serve datagrams of one address; `None` if nothing is limited.
    pub fn new(config: &Config, n_threads: usize, ledger: Arc<Ledger>, thread: usize) -> Option<Limiter> {
        if !config.is_on() {
            return None;
        }
        let limit = |class| Some(config.rate(class)).filter(|r| *r > 0).map(|r| Limit::shared(r, n_threads));
        // The standard library's own source of keys against crafted collisions, which the system's randomness feeds.
        let secret = || RandomState::new().build_hasher().finish();
        Some(Limiter {
            limits: Class::ALL.map(limit),
            slip: config.slip,
            masks: (mask(96 + config.ipv4_prefix), mask(config.ipv6_prefix)),
            exempt: Ranges::new(&config.exempt),
            hasher: SipHasher13::new_with_keys(secret(), secret()),
            table: Table::new(config.entries),
            ledger,
            thread,
        })
    }

    /// Decides on a reply to `client` with the given RCODE at time `now`, nanoseconds of any clock that goes on. `answered`
    /// is [`crate::answer::Outcome::key`].
    #[inline]
    pub fn decide(&mut self, reply: &mut [u8], rcode: u16, answered: u64, client: IpAddr, now: u64) -> Decision {
        let class = Class::of(rcode);
        let Some(limit) = self.limits[class as usize] else { return Decision::Send };
        let (addr, is_v4) = match client {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped().to_bits(), true),
            IpAddr::V6(v6) => (v6.to_bits(), false),
        };
        if self.exempt.contain(addr) {
            return Decision::Send;
        }
        let prefix = addr & if is_v4 { self.masks.0 } else { self.masks.1 };
        // Errors are all one.
        let answered = if class == Class::Error { 0 } else { answered };
        let key = self.key(prefix, class, answered);
        let taken = self.table.take(key, limit, now);
        if taken.evicted {
            self.page().evicted();
        }
        match taken.verdict {
            Verdict::Within => Decision::Send,
            Verdict::Over { nth } => self.turn_away(reply, class, address(prefix, is_v4), nth),
        }
    }

    fn key(&self, prefix: u128, class: Class, answered: u64) -> u64 {
        let mut octets = [class as u8; 25];
        octets[..16].copy_from_slice(&prefix.to_be_bytes());
        octets[16..24].copy_from_slice(&answered.to_be_bytes());
        self.hasher.hash(&octets)
    }

    #[cold]
    fn turn_away(&self, reply: &mut [u8], class: Class, prefix: IpAddr, nth: u32) -> Decision {
        if self.slip > 0 && nth.is_multiple_of(self.slip) {
            self.page().limited(class, Action::Slipped, prefix);
            return Decision::Slip(slip(reply));
        }
        self.page().limited(class, Action::Dropped, prefix);
        Decision::Drop
    }

    fn page(&self) -> &Page {
        self.ledger.page(self.thread)
    }
}

/// The highest `len` bits.
fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

fn address(prefix: u128, is_v4: bool) -> IpAddr {
    if is_v4 { Ipv4Addr::from_bits(prefix as u32).into() } else { Ipv6Addr::from_bits(prefix).into() }
}

//----------- Ranges ---------------------------------------------------------

/// Addresses in prefixes: sorted ranges that do not touch, IPv4 as IPv4-mapped IPv6.
#[derive(Clone, Debug, Default)]
struct Ranges(Vec<(u128, u128)>);

impl Ranges {
    fn new(nets: &[IpNet]) -> Ranges {
        let bits = |addr| match addr {
            IpAddr::V4(v4) => Ipv4Addr::to_ipv6_mapped(&v4).to_bits(),
            IpAddr::V6(v6) => v6.to_bits(),
        };
        let mut all: Vec<_> = nets.iter().map(|net| (bits(net.network()), bits(net.broadcast()))).collect();
        all.sort_unstable();
        all.dedup_by(|next, kept| {
            let inside = next.0 <= kept.1;
            kept.1 = if inside { kept.1.max(next.1) } else { kept.1 };
            inside
        });
        Ranges(all)
    }

    #[inline]
    fn contain(&self, addr: u128) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= addr);
        after > 0 && addr <= self.0[after - 1].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn limiter(text: &str) -> Limiter {
        let config: Config = toml::from_str(text).unwrap();
        config.check().unwrap();
        Limiter::new(&config, 1, Arc::new(Ledger::new(1)), 0).unwrap()
    }

    /// A reply to a question of type A at a name of one label; NOERROR has one A record.
    fn reply(label: &str, rcode: u8) -> Vec<u8> {
        let mut reply = vec![0, 9, 0x84, rcode, 0, 1, 0, u8::from(rcode == 0), 0, 0, 0, 0, label.len() as u8];
        reply.extend_from_slice(label.as_bytes());
        reply.extend([0, 0, 1, 0, 1]);
        if rcode == 0 {
            reply.extend_from_slice(b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\xc0\0\x02\x01");
        }
        reply
    }

    /// Asks `n` times in one second and counts what is sent, sent truncated and dropped.
    fn ask(limiter: &mut Limiter, n: usize, label: &str, rcode: u8, client: &str) -> [usize; 3] {
        let (mut done, key) = ([0; 3], u64::from(label.as_bytes()[0]));
        for _ in 0..n {
            let mut reply = reply(label, rcode);
            match limiter.decide(&mut reply, rcode.into(), key, client.parse().unwrap(), SECOND) {
                Decision::Send => done[0] += 1,
                Decision::Slip(len) => {
                    assert_eq!((len, reply[2] & 0x02, reply[7]), (12 + label.len() + 6, 2, 0));
                    done[1] += 1;
                }
                Decision::Drop => done[2] += 1,
            }
        }
        done
    }

    #[test]
    fn one_prefix_does_not_spend_what_is_of_others() {
        let mut l = limiter("per-second = 10");
        assert_eq!(ask(&mut l, 30, "a", 0, "192.0.2.1"), [10, 10, 10]);
        assert_eq!(ask(&mut l, 4, "a", 0, "192.0.2.255"), [0, 2, 2], "the same prefix");
        assert_eq!(ask(&mut l, 4, "a2", 0, "192.0.2.1"), [0, 2, 2], "the same answer");
        assert_eq!(ask(&mut l, 10, "b", 0, "192.0.2.1"), [10, 0, 0], "another answer");
        assert_eq!(ask(&mut l, 10, "a", 0, "192.0.3.1"), [10, 0, 0], "another prefix");
        assert_eq!(ask(&mut l, 12, "a", 0, "2001:db8:0:aa01::1"), [10, 1, 1]);
        assert_eq!(ask(&mut l, 2, "a", 0, "2001:db8:0:aaff::2"), [0, 1, 1], "the same /56");
        assert_eq!(ask(&mut l, 10, "a", 0, "2001:db8:0:ab00::1"), [10, 0, 0]);
        assert_eq!(l.ledger.limited(Class::Answer, Action::Slipped), 16);
        assert_eq!(l.ledger.limited(Class::Answer, Action::Dropped), 16);
        assert_eq!(l.ledger.take_worst()[0], ("192.0.2.0".parse().unwrap(), 28));
    }

    #[test]
    fn classes_have_limits_of_their_own() {
        let mut l = limiter("nxdomain-per-second = 5\nerror-per-second = 2\nslip = 1");
        assert_eq!(ask(&mut l, 1000, "a", 0, "192.0.2.1"), [1000, 0, 0], "no limit");
        assert_eq!(ask(&mut l, 7, "a", 5, "192.0.2.1"), [2, 5, 0]);
        assert_eq!(ask(&mut l, 7, "b", 1, "192.0.2.1"), [0, 7, 0], "errors are all one");
        assert_eq!(ask(&mut l, 7, "a", 3, "192.0.2.1"), [5, 2, 0]);
        let mut l = limiter("per-second = 3\nnxdomain-per-second = 0\nslip = 0");
        assert_eq!(ask(&mut l, 7, "a", 3, "192.0.2.1"), [7, 0, 0]);
        assert_eq!(ask(&mut l, 7, "a", 5, "192.0.2.1"), [3, 0, 4]);
    }

    #[test]
    fn the_exempt_are_let_through() {
        let mut l = limiter("per-second = 1\nexempt = [\"127.0.0.0/8\", \"192.0.2.7\", \"2001:db8::/32\"]");
        for client in ["127.9.9.9", "192.0.2.7", "2001:db8:ffff::1"] {
            assert_eq!(ask(&mut l, 50, "a", 0, client), [50, 0, 0]);
        }
        for client in ["128.0.0.0", "126.255.255.255", "192.0.2.8", "2001:db9::"] {
            assert_eq!(ask(&mut l, 3, "a", 0, client), [1, 1, 1], "{client}");
        }
    }

    #[test]
    fn values_that_cannot_be_are_refused() {
        let check = |text: &str, part: &str| {
            let said = toml::from_str::<Config>(text).map_err(|e| e.to_string()).and_then(|c| c.check()).unwrap_err();
            assert!(said.contains(part), "{said}");
        };
        check("per-second = 1000001", "at most 1000000");
        check("ipv4-prefix = 33", "ipv4-prefix");
        check("ipv6-prefix = 65", "ipv6-prefix");
        check("entries = 3", "entries");
        check("exempt = [\"10.0.0.0/33\"]", "is no prefix");
        check("rate = 3", "unknown field `rate`");
        let (ledger, off) = (Arc::new(Ledger::new(1)), Config::default());
        assert!(Limiter::new(&off, 1, ledger, 0).is_none(), "off by default");
    }

    proptest! {
        /// Ranges say what a linear scan over the prefixes says.
        #[test]
        fn ranges_agree_with_prefixes(
            nets in proptest::collection::vec((any::<u32>(), 0u8..=32), 0..20),
            more in proptest::collection::vec((any::<u128>(), 0u8..=128), 0..5),
            probes in proptest::collection::vec(any::<u32>(), 0..50),
        ) {
            let mut all: Vec<IpNet> = Vec::new();
            all.extend(nets.iter().map(|(a, n)| IpNet::new(Ipv4Addr::from_bits(*a).into(), *n).unwrap()));
            all.extend(more.iter().map(|(a, n)| IpNet::new(Ipv6Addr::from_bits(*a).into(), *n).unwrap()));
            let ranges = Ranges::new(&all);
            let edges = nets.iter().flat_map(|(a, _)| [*a, a.wrapping_sub(1), a.wrapping_add(1)]);
            for probe in probes.iter().copied().chain(edges) {
                let addr = Ipv4Addr::from_bits(probe);
                let mapped = addr.to_ipv6_mapped();
                let expected = all.iter().any(|n| n.contains(&IpAddr::from(addr)) || n.contains(&IpAddr::from(mapped)));
                prop_assert_eq!(ranges.contain(mapped.to_bits()), expected);
            }
        }
    }
}
