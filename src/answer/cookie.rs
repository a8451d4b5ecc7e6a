//! Cookies (RFC 7873) as all servers of one address make them (RFC 9018).
//!
//! ```text
//!   server cookie: version 1 | reserved, 3 octets of 0 | seconds u32 | SipHash-2-4, 8 octets
//!   hashed: client cookie | version | reserved | seconds | client's address
//! ```
//!
//! Nothing is kept per client: what comes back is hashed again.

use crate::exchange::CookieSeen;
use crate::exchange::house::{Cookies, Secret};
use crate::wire::edns::{Cookie, ServerCookie};
use crate::wire::opt::COOKIE_LEN;
use siphasher::sip::SipHasher24;
use std::net::IpAddr;

/// The version that RFC 9018 section 4.1 defines.
const VERSION: u8 = 1;
/// Oldest cookie that is known again, in seconds (RFC 9018 section 4.3).
const PAST: u32 = 3600;
/// Furthest time ahead of our clock, in seconds (RFC 9018 section 4.3).
const FUTURE: u32 = 300;
/// Older ones are replaced, in seconds (RFC 9018 section 4.3).
const RENEW: u32 = 1800;

/// What a query's cookie is worth, and what the reply has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// The reply's option: the client's cookie and one of ours.
    pub reply: [u8; COOKIE_LEN],
    /// What the query's server cookie was worth (RFC 7873 section 5.2.5).
    pub seen: CookieSeen,
}

/// Judges the cookie that came from `addr` at `now`, seconds since 1970.
pub fn judge(cookie: &Cookie, addr: IpAddr, cookies: &Cookies, now: u32) -> Judged {
    let addr = addr.to_canonical();
    let mut server = None;
    if let ServerCookie::Ours(received) = cookie.server {
        server = known(&cookie.client, &received, addr, cookies, now);
    }
    let fresh = || {
        let mut made = [0; 16];
        made[0] = VERSION;
        made[4..8].copy_from_slice(&now.to_be_bytes());
        let hash = cookies.secrets.first().map_or(0, |secret| hash(secret, &cookie.client, &made, addr));
        made[8..].copy_from_slice(&hash.to_le_bytes());
        made
    };
    let mut reply = [0; COOKIE_LEN];
    reply[..8].copy_from_slice(&cookie.client);
    // One that is not yet old goes back as it came, so that it stays good however fast the client asks.
    let given = server.filter(|(_, is_young)| *is_young).map_or_else(fresh, |(received, _)| received);
    reply[8..].copy_from_slice(&given);
    let seen = match cookie.server {
        _ if server.is_some() => CookieSeen::Valid,
        ServerCookie::None => CookieSeen::New,
        ServerCookie::Ours(_) | ServerCookie::Foreign => CookieSeen::Invalid,
    };
    Judged { reply, seen }
}

/// The received server cookie, if it is ours, and whether it may be given again: made by the present secret and not
/// long ago.
fn known(client: &[u8; 8], received: &[u8; 16], addr: IpAddr, cookies: &Cookies, now: u32) -> Option<([u8; 16], bool)> {
    let [VERSION, _, _, _, s0, s1, s2, s3, ..] = *received else { return None };
    // Serial number arithmetic (RFC 1982), as RFC 9018 section 4.3 wants it.
    let age = now.wrapping_sub(u32::from_be_bytes([s0, s1, s2, s3])) as i32;
    if age > PAST as i32 || age < -(FUTURE as i32) {
        return None;
    }
    let mac = u64::from_le_bytes(*received.last_chunk().expect("sixteen octets"));
    // Whoever guesses learns nothing from how long a comparison of 64-bit numbers takes.
    let by = cookies.secrets.iter().position(|secret| hash(secret, client, received, addr) == mac)?;
    Some((*received, by == 0 && age <= RENEW as i32))
}

fn hash(secret: &Secret, client: &[u8; 8], server: &[u8; 16], addr: IpAddr) -> u64 {
    let mut input = [0; 32];
    input[..8].copy_from_slice(client);
    input[8..16].copy_from_slice(&server[..8]);
    let len = match addr {
        IpAddr::V4(v4) => {
            input[16..20].copy_from_slice(&v4.octets());
            20
        }
        IpAddr::V6(v6) => {
            input[16..].copy_from_slice(&v6.octets());
            32
        }
    };
    SipHasher24::new_with_key(&secret.0).hash(&input[..len])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn octets<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
    }

    fn cookies(secrets: &[&str]) -> Cookies {
        Cookies { secrets: secrets.iter().map(|s| Secret(octets(s))).collect(), required: false }
    }

    const OLD: &str = "dd3bdf9344b678b185a6f5cb60fca715";
    const NEW: &str = "445536bcd2513298075a5d379663c962";
    const FIRST: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

    fn check(secrets: &[&str], addr: &str, now: u32, query: &str, expected: &str, valid: bool) {
        let server = match query.len() {
            16 => ServerCookie::None,
            _ => ServerCookie::Ours(octets(&query[16..])),
        };
        let cookie = Cookie { client: octets(query), server };
        let judged = judge(&cookie, addr.parse().unwrap(), &cookies(secrets), now);
        let said: String = judged.reply.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!((said.as_str(), judged.seen == CookieSeen::Valid), (expected, valid));
    }

    /// RFC 9018 appendix A.1 to A.4, octet for octet.
    #[test]
    fn cookies_are_those_of_the_rfc() {
        let first = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
        check(&[FIRST], "198.51.100.100", 1_559_731_985, "2464c4abcf10c957", first, false);
        let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
        check(&[FIRST], "198.51.100.100", 1_559_734_385, first, renewed, true);
        // A.3: the reserved octets are hashed as they came; here they are not zero. By the time of the example the
        // cookie is older than an hour.
        let other = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
        let renewed = "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e";
        check(&[FIRST], "203.0.113.203", 1_559_734_700, other, renewed, false);
        check(&[FIRST], "203.0.113.203", 1_559_728_585, other, other, true);
        let old = "22681ab97d52c298010000005cf7c57926556bd0934c72f8";
        let rolled = "22681ab97d52c298010000005cf7c609a6bb79d16625507a";
        check(&[NEW, OLD], "2001:db8:220:1:59de:d0f4:8769:82b8", 1_559_741_961, old, rolled, true);
    }

    /// RFC 9018 section 4.3: an hour back, five minutes ahead; given again for half an hour; over the turn of the
    /// 32-bit clock, too.
    #[test]
    fn cookies_have_their_time() {
        for made in [1_700_000_000, 0, u32::MAX - 10] {
            let cookie = |server| Cookie { client: [5; 8], server };
            let at = |cookie: &Cookie, now: u32| judge(cookie, [192, 0, 2, 1].into(), &cookies(&[FIRST]), now);
            let first = at(&cookie(ServerCookie::None), made);
            let again = cookie(ServerCookie::Ours(first.reply[8..].try_into().unwrap()));
            let is_known = |by: i64| at(&again, (i64::from(made) + by) as u32).seen == CookieSeen::Valid;
            assert!(is_known(0) && is_known(3600) && is_known(-300));
            assert!(!is_known(3601) && !is_known(-301) && !is_known(i64::from(i32::MAX)));
            assert_eq!(at(&again, made.wrapping_add(1800)).reply, first.reply);
            assert_ne!(at(&again, made.wrapping_add(1801)).reply, first.reply);
        }
    }

    /// RFC 7873 section 5.2.4: what another client, address, secret or version made is no cookie of ours.
    #[test]
    fn foreign_cookies_are_not_ours() {
        let good = Cookie { client: [5; 8], server: ServerCookie::None };
        let addr: IpAddr = [192, 0, 2, 1].into();
        let made = judge(&good, addr, &cookies(&[FIRST]), 1000).reply;
        let server: [u8; 16] = made[8..].try_into().unwrap();
        let valid = |client, server, addr, secrets: &[&str]| {
            let server = ServerCookie::Ours(server);
            judge(&Cookie { client, server }, addr, &cookies(secrets), 1000).seen == CookieSeen::Valid
        };
        assert!(valid([5; 8], server, addr, &[FIRST]));
        assert!(valid([5; 8], server, "::ffff:192.0.2.1".parse().unwrap(), &[FIRST]));
        assert!(valid([5; 8], server, addr, &[NEW, OLD, FIRST]), "section 5: any of those that are kept");
        assert!(!valid([5; 8], server, addr, &[NEW, OLD]));
        assert!(!valid([6; 8], server, addr, &[FIRST]));
        assert!(!valid([5; 8], server, [192, 0, 2, 2].into(), &[FIRST]));
        for i in 0..16 {
            let mut other = server;
            other[i] ^= 1;
            assert!(!valid([5; 8], other, addr, &[FIRST]), "octet {i}");
        }
        let foreign = Cookie { client: [5; 8], server: ServerCookie::Foreign };
        assert_eq!(judge(&foreign, addr, &cookies(&[FIRST]), 1000).seen, CookieSeen::Invalid);
    }
}
